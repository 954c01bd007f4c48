//! Numbers in messages.

/// A number with about four significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match value {
        v if !v.is_finite() => "–".into(),
        _ if size == 0.0 => "0".into(),
        v if !(1e-4..1e6).contains(&size) => format!("{v:.2e}"),
        v if size >= 1000.0 => format!("{v:.0}"),
        v if size >= 100.0 => format!("{v:.1}"),
        v if size >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}
