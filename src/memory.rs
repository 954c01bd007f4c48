//! The process's memory: how much there is, where the system tells, what demonstrations will take of it, and keeping
//! what is freed.

use std::fs;
use std::path::Path;

use costate_demos::dataset::Meta;
use costate_envs::EnvSpec;
use serde_json::Value;

use crate::error::Error;

/// Memory in use, MiB.
pub fn resident_mib() -> Option<f64> {
    of("VmRSS:")
}

/// The most that was ever in use, MiB.
pub fn peak_mib() -> Option<f64> {
    of("VmHWM:")
}

/// The most that the process may still take, MiB: what the machine has free, or what is left of its control group's
/// limit.
pub fn available_mib() -> Option<f64> {
    let machine = in_file("/proc/meminfo", "MemAvailable:");
    let group = |file: &str| -> Option<f64> {
        let bytes: f64 = fs::read_to_string(Path::new("/sys/fs/cgroup").join(file))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        Some(bytes / (1024.0 * 1024.0))
    };
    let left = || Some(group("memory.max")? - group("memory.current")?);
    match (machine, left()) {
        (Some(machine), Some(left)) => Some(machine.min(left.max(0.0))),
        (machine, left) => machine.or(left),
    }
}

/// Times that a learner holds the demonstrations: as they were read, as trajectories of its own, as tensors.
const COPIES: f64 = 3.0;

/// Share of the available memory from which on demonstrations are announced before they are read.
const LARGE: f64 = 0.5;

/// What to say before the demonstrations of `meta` are read whole with `available` MiB at hand; `None` where they are
/// small against that.
pub fn announcement(meta: &Meta, available: Option<f64>) -> Option<String> {
    let columns = meta.spec.observation.dim() + meta.spec.action.dim();
    let rows = meta.total_steps + meta.episodes.len();
    let mib = mib(COPIES * rows as f64 * (4 * columns + 16) as f64);
    let available = available.filter(|available| mib > LARGE * available)?;
    Some(format!(
        "{rows} rows of {columns} columns are read whole and take about {mib:.0} MiB of memory, of which {available:.0} MiB \
         are available; record or keep fewer episodes if this fails"
    ))
}

/// A network in training: weights, gradients and Adam's two moments, for it and its target or predecessor.
const BYTES_PER_WEIGHT: f64 = 4.0 * 4.0 * 2.0;

/// Memory that is assumed where the system does not tell: more than any machine has.
const UNKNOWN_MIB: f64 = 1024.0 * 1024.0;

/// About how much a training with these settings will take, MiB: its networks, one batch of rollouts, and what is
/// replayed of earlier ones.
pub fn of_training(settings: &Value, spec: &EnvSpec) -> f64 {
    let width = spec.observation.dim() + spec.action.dim();
    let mut weights = 0.0;
    each(settings, &mut |key, value| {
        if let (true, Some(hidden)) = (key.ends_with("hidden"), value.as_array()) {
            let units = hidden.iter().filter_map(Value::as_f64);
            let widths: Vec<f64> = std::iter::once(width as f64).chain(units).collect();
            weights += widths.windows(2).map(|w| w[0] * w[1]).sum::<f64>();
        }
    });
    let count = |path: &str| settings.pointer(path).and_then(Value::as_f64);
    let improved = settings.get("improvement").and_then(Value::as_str);
    let replayed = match improved {
        Some("sac") | None => count("/sac/replay_iterations"),
        _ => None,
    };
    let batches = 1.0 + replayed.unwrap_or_default();
    let trajectories = count("/trajectories").unwrap_or_default()
        + count("/samples").unwrap_or_default()
        + count("/validation/trajectories").unwrap_or_default();
    let rows = batches * trajectories;
    mib(weights * BYTES_PER_WEIGHT) + of_episodes(rows, spec)
}

/// About how much so many episodes of full length take, MiB, with the copies that are made of them.
pub fn of_episodes(episodes: f64, spec: &EnvSpec) -> f64 {
    // f32 for what is seen and done, f64 for cost and log-density.
    let row = 4 * (spec.observation.dim() + spec.action.dim()) + 16;
    mib(COPIES * episodes * (spec.horizon as f64 + 1.0) * row as f64)
}

/// Refuses what needs more memory than there is; announces what needs most of it.
///
/// `reason` says what needs it, `way` how to need less.
pub fn check(needed_mib: f64, reason: &str, way: &str) -> Result<(), Error> {
    against(
        needed_mib,
        available_mib().unwrap_or(UNKNOWN_MIB),
        reason,
        way,
    )
}

fn against(needed: f64, available: f64, reason: &str, way: &str) -> Result<(), Error> {
    let text = format!(
        "{reason} will take about {needed:.0} MiB of memory, of which {available:.0} MiB are available; {way}"
    );
    match needed {
        n if n > available => Err(Error::Misuse(text)),
        n if n > LARGE * available => {
            tracing::warn!("{text} if this fails");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Calls `visit` with every key and value in a tree of settings.
fn each(settings: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    for (key, value) in settings.as_object().into_iter().flatten() {
        visit(key, value);
        each(value, visit);
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / (1024.0 * 1024.0)
}

/// Learning makes and drops tensors of a megabyte all the time. By default glibc gives such memory back to the
/// system and asks for it again, page fault by page fault: a tenth of a training's time. And it keeps a pool for each of up
/// to eight threads a core: what a thread of one iteration freed, those of the next could not use.
/// For programs that learn, at their start.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets thresholds of the allocator, and no other thread is running yet.
    unsafe {
        const GIBIBYTE: libc::c_int = 1 << 30;
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIBIBYTE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, GIBIBYTE);
        libc::mallopt(
            libc::M_ARENA_MAX,
            costate_base::workers::default_workers() as libc::c_int,
        );
    }
}

/// A server answers on many threads, for days. By default glibc keeps a pool of memory for each of up to eight threads a
/// core, which all grow to what the largest answer took. For programs that serve, at their start.
pub fn share_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: as above.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

fn of(field: &str) -> Option<f64> {
    in_file("/proc/self/status", field)
}

/// A field in kB of a file of the system's, in MiB.
fn in_file(file: &str, field: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(field))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demonstrations_that_are_large_against_the_memory_are_announced() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/pendulum");
        let mut meta = Meta::open(&folder).unwrap();
        assert_eq!(announcement(&meta, Some(8192.0)), None);
        assert_eq!(announcement(&meta, None), None);
        // 5025 rows of 4 columns: 32 bytes each, three times.
        let text = announcement(&meta, Some(0.5)).unwrap();
        assert!(text.starts_with("5025 rows of 4 columns"), "{text}");
        meta.total_steps = 100_000_000;
        let text = announcement(&meta, Some(8192.0)).unwrap();
        assert!(
            text.contains("9155 MiB") && text.contains("8192 MiB"),
            "{text}"
        );
        assert!(available_mib().is_none_or(|mib| mib > 0.0));
    }

    #[test]
    fn what_training_takes_is_estimated() {
        let spec = Meta::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/pendulum"));
        let spec = spec.unwrap().spec;
        let small = serde_json::json!({"trajectories": 32, "policy": {"hidden": [64, 64]}});
        let needed = of_training(&small, &spec);
        // 32 episodes of 200 steps, 32 bytes a row, three times; 4 · 64 + 64 · 64 weights of 32 bytes.
        let expected = (3.0 * 32.0 * 201.0 * 32.0 + 32.0 * (4.0 * 64.0 + 64.0 * 64.0)) / 1048576.0;
        assert!((needed - expected).abs() < 1e-9, "{needed} {expected}");
        let replayed = serde_json::json!({"trajectories": 32, "improvement": "sac", "sac": {"replay_iterations": 20}});
        assert!(of_training(&replayed, &spec) > 10.0 * of_episodes(32.0, &spec));
        let wide = serde_json::json!({"policy": {"hidden": [1_000_000, 1_000_000]}});
        let refused = against(
            of_training(&wide, &spec),
            8192.0,
            "this training",
            "use fewer",
        );
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("MiB") && text.contains("8192"), "{text}");
        assert!(against(needed, 8192.0, "", "").is_ok());
    }
}
