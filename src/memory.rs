//! The process's memory: how much there is, where the system tells, and keeping what is freed.

use std::fs;

/// Memory in use, MiB.
pub fn resident_mib() -> Option<f64> {
    of("VmRSS:")
}

/// The most that was ever in use, MiB.
pub fn peak_mib() -> Option<f64> {
    of("VmHWM:")
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
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
