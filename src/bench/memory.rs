//! What the process holds of the machine's memory, where the system tells.

use std::fs;

/// Memory in use, MiB.
pub fn resident_mib() -> Option<f64> {
    of("VmRSS:")
}

/// The most that was ever in use, MiB.
pub fn peak_mib() -> Option<f64> {
    of("VmHWM:")
}

fn of(field: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
