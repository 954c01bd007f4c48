//! Human-readable numbers, counts and durations: the one place that chooses their digits.
//!
//! Terminals get plain ASCII digits ([`plain`]), pages typeset ones ([`typeset`]): a true minus sign, thousands separators,
//! powers of ten.

/// Placeholder for a non-finite number.
const NONE: &str = "–";

/// About four significant digits in ASCII: `-149.5`, `0.983`, `5.3e-7`.
pub fn plain(v: f64) -> String {
    match v {
        0.0 => "0".into(),
        v => plain_beside(v, v),
    }
}

/// `v` in ASCII with decimals that suit `greatest`, the largest value of a series.
pub fn plain_beside(v: f64, greatest: f64) -> String {
    match greatest.abs() {
        _ if !v.is_finite() => NONE.into(),
        most if most >= 1e6 || (0.0 < most && most < 1e-4) => format!("{v:.2e}"),
        most if most >= 1000.0 => format!("{v:.0}"),
        most if most >= 100.0 => format!("{v:.1}"),
        most if most >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.3}"),
    }
}

/// `low … high` in ASCII digits.
pub fn plain_interval([low, high]: [f64; 2]) -> String {
    format!("{} … {}", plain(low), plain(high))
}

/// About four significant digits, typeset: `−149.5`, `53,065`, `5.3×10⁻⁷`.
pub fn typeset(v: f64) -> String {
    let magnitude = v.abs();
    if !v.is_finite() {
        NONE.into()
    } else if magnitude == 0.0 {
        "0".into()
    } else if !(1e-3..1e7).contains(&magnitude) {
        scientific(v)
    } else {
        let digits: i32 = if magnitude < 1.0 { 2 } else { 3 };
        let decimals = (digits - magnitude.log10().floor() as i32).max(0) as usize;
        fixed(v, decimals)
    }
}

/// Typeset without trailing zeros, for values that are naturally round.
pub fn trimmed(v: f64) -> String {
    let text = typeset(v);
    if text.contains('.') && !text.contains('×') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// Typeset with `decimals` digits after the point and thousands separators from 10 000 on.
pub fn fixed(v: f64, decimals: usize) -> String {
    if !v.is_finite() {
        return NONE.into();
    }
    let text = format!("{:.decimals$}", v.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    if v < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
        out.push('−');
    }
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && whole.len() > 4 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// m×10ⁿ with two digits after the point, trailing zeros dropped.
pub fn scientific(v: f64) -> String {
    let text = format!("{v:.2e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let superscript = |c: char| match c.to_digit(10) {
        Some(d) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][d as usize],
        None => '⁻',
    };
    let power: String = exponent.chars().map(superscript).collect();
    match mantissa {
        "1" => format!("10{power}"),
        "-1" => format!("−10{power}"),
        m => format!("{}×10{power}", m.replace('-', "−")),
    }
}

/// A share as a typeset percentage; 99.6 % does not round to 100 %.
pub fn percent(share: f64) -> String {
    let digits = usize::from(share > 0.0 && share < 1.0 && !(0.01..=0.99).contains(&share));
    fixed(100.0 * share, digits) + "\u{a0}%"
}

/// A typeset count: `120`, `9600`, `614,400`, `1.23 million`.
pub fn count(v: f64) -> String {
    if v.abs() >= 1e9 {
        format!("{} billion", typeset(v / 1e9))
    } else if v.abs() >= 1e6 {
        format!("{} million", fixed(v / 1e6, 2))
    } else {
        fixed(v, 0)
    }
}

/// A count with its noun, singular or plural.
pub fn counted(v: f64, singular: &str, plural: &str) -> String {
    format!("{} {}", count(v), if v == 1.0 { singular } else { plural })
}

/// An amount of memory or disk in binary units: `512 B`, `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// A duration: `0.4 s`, `48 s`, `12 min 5 s`, `2 h 14 min`.
pub fn duration(seconds: f64) -> String {
    if !(0.0..1e12).contains(&seconds) {
        return NONE.into();
    }
    let whole = seconds.round() as u64;
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if whole < 90 {
        format!("{whole} s")
    } else if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let cases = [
            (0.0, "0", "0"),
            (-0.0, "0", "0"),
            (0.98321, "0.983", "0.983"),
            (-149.52, "−149.5", "-149.5"),
            (-1229.4, "−1229", "-1229"),
            (53065.2, "53,065", "53065"),
            (1.0, "1.000", "1.00"),
            (3.2e-5, "3.2×10⁻⁵", "3.20e-5"),
            (1e9, "10⁹", "1.00e9"),
            (-1e-9, "−10⁻⁹", "-1.00e-9"),
            (f64::NAN, "–", "–"),
        ];
        for (v, page, terminal) in cases {
            assert_eq!(typeset(v), page, "{v}");
            assert_eq!(plain(v), terminal, "{v}");
        }
        assert_eq!(trimmed(-150.0), "−150");
        assert_eq!(trimmed(0.5), "0.5");
        assert_eq!(trimmed(1000.0), "1000");
        assert_eq!(fixed(-0.004, 2), "0.00");
        assert_eq!(fixed(1_234_567.0, 0), "1,234,567");
        assert_eq!(percent(0.996), "99.6\u{a0}%");
        assert_eq!(plain_beside(0.5, 2000.0), "0");
        assert_eq!(plain_interval([-1.0, 20.0]), "-1.00 … 20.00");
    }

    #[test]
    fn durations_and_counts_are_readable() {
        assert_eq!(duration(0.44), "0.4 s");
        assert_eq!(duration(48.4), "48 s");
        assert_eq!(duration(725.0), "12 min 5 s");
        assert_eq!(duration(8040.0), "2 h 14 min");
        assert_eq!(duration(f64::NAN), "–");
        assert_eq!(count(614_400.0), "614,400");
        assert_eq!(count(1_230_000.0), "1.23 million");
        assert_eq!(counted(1.0, "episode", "episodes"), "1 episode");
    }

    #[test]
    fn bytes_have_binary_units() {
        let said = [0, 1023, 1024, 1536, 5 << 20, u64::MAX].map(bytes);
        let expected = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.5 KiB",
            "5.0 MiB",
            "16777216.0 TiB",
        ];
        assert_eq!(said, expected);
    }
}
