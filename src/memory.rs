//! The process's memory: how much there is, where the system tells, what demonstrations will take of it, and keeping
//! what is freed.

use std::fs;
use std::path::Path;

use costate_demos::dataset::Meta;

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
    // f32 for what is seen and done, f64 for cost and log-density.
    let mib = COPIES * rows as f64 * (4 * columns + 16) as f64 / (1024.0 * 1024.0);
    let available = available.filter(|available| mib > LARGE * available)?;
    Some(format!(
        "{rows} rows of {columns} columns are read whole and take about {mib:.0} MiB of memory, of which {available:.0} MiB \
         are available; record or keep fewer episodes if this fails"
    ))
}

/// Learning makes and drops tensors of a megabyte all the time. By default glibc gives such memory back to the
/// system and asks for it again, page fault by page fault: a tenth of a training's time.
/// For programs that learn, at their start.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets thresholds of the allocator, and no other thread is running yet.
    unsafe {
        const GIBIBYTE: libc::c_int = 1 << 30;
        libc::mallopt(libc::M_MMAP_THRESHOLD, GIBIBYTE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, GIBIBYTE);
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
}
