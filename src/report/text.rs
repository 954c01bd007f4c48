//! Text for readers: escapes, numbers, durations.

/// Escapes text for element content and quoted attributes of HTML and XML. Characters that XML
/// forbids become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c < ' ' || matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}

/// Escaped, and not broken at hyphens: for names in running text and narrow columns.
pub(super) fn unbroken(name: &str) -> String {
    escape(&name.replace('-', "\u{2011}"))
}

/// A number to about four significant digits, with a true minus sign.
pub(super) fn number(v: f64) -> String {
    let magnitude = v.abs();
    if !v.is_finite() {
        "–".into()
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

/// A number without the zeros at its end, for values that are round by nature.
pub(super) fn trimmed(v: f64) -> String {
    let text = number(v);
    if text.contains('.') && !text.contains('×') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// A number with `decimals` digits after the point, thousands set apart from 10 000 on.
pub(super) fn fixed(v: f64, decimals: usize) -> String {
    if !v.is_finite() {
        return "–".into();
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
pub(super) fn scientific(v: f64) -> String {
    let text = format!("{v:.2e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let power = superscript(exponent);
    match mantissa {
        "1" => format!("10{power}"),
        "-1" => format!("−10{power}"),
        m => format!("{}×10{power}", m.replace('-', "−")),
    }
}

fn superscript(exponent: &str) -> String {
    let digits = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    exponent
        .chars()
        .filter_map(|c| match c.to_digit(10) {
            Some(d) => digits.get(d as usize).copied(),
            None => Some('⁻'),
        })
        .collect()
}

/// A count: `120`, `9600`, `614,400`, `1.23 million`.
pub(super) fn count(v: f64) -> String {
    if v.abs() >= 1e9 {
        format!("{} billion", number(v / 1e9))
    } else if v.abs() >= 1e6 {
        format!("{} million", fixed(v / 1e6, 2))
    } else {
        fixed(v, 0)
    }
}

/// A count with its noun in the right number.
pub(super) fn counted(v: f64, singular: &str, plural: &str) -> String {
    format!("{} {}", count(v), if v == 1.0 { singular } else { plural })
}

/// A duration: `0.4 s`, `48 s`, `12 min 5 s`, `2 h 14 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !(0.0..1e12).contains(&seconds) {
        return "–".into();
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

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.98321, "0.983"),
            (-149.52, "−149.5"),
            (-1229.4, "−1229"),
            (53065.2, "53,065"),
            (1.0, "1.000"),
            (3.2e-5, "3.2×10⁻⁵"),
            (1e9, "10⁹"),
            (-1e-9, "−10⁻⁹"),
            (f64::NAN, "–"),
        ];
        for (v, expected) in cases {
            assert_eq!(number(v), expected, "{v}");
        }
        assert_eq!(trimmed(-150.0), "−150");
        assert_eq!(trimmed(0.5), "0.5");
        assert_eq!(trimmed(1000.0), "1000");
        assert_eq!(fixed(-0.004, 2), "0.00");
        assert_eq!(fixed(1_234_567.0, 0), "1,234,567");
    }

    #[test]
    fn durations_and_counts_read_well() {
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
    fn escapes_leave_no_markup_and_no_forbidden_character() {
        let hostile = "</script><b a='1' b=\"2\">&\u{0}\u{b}\u{ffff}";
        let safe = escape(hostile);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{0}', '\u{b}', '\u{ffff}']));
        assert_eq!(escape("a & b"), "a &amp; b");
    }
}
