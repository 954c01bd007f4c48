//! Numbers as people read them.

/// About four significant digits in ASCII: `-149.5`, `0.983`, `5.3e-7`.
pub fn plain(v: f64) -> String {
    match v.abs() {
        _ if !v.is_finite() => "–".into(),
        0.0 => "0".into(),
        size if !(1e-4..1e6).contains(&size) => format!("{v:.2e}"),
        size if size >= 1000.0 => format!("{v:.0}"),
        size if size >= 100.0 => format!("{v:.1}"),
        size if size >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

/// `low … high` in ASCII digits.
pub fn plain_interval([low, high]: [f64; 2]) -> String {
    format!("{} … {}", plain(low), plain(high))
}
