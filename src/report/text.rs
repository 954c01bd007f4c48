//! Text for readers: escapes and lists.

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

/// Escaped, with what stands between backticks as code.
pub(super) fn with_code(text: &str) -> String {
    let part = |(i, part): (usize, &str)| match i % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    text.split('`').enumerate().map(part).collect()
}

/// Escaped, with non-breaking hyphens: for names in running text and narrow columns.
pub(super) fn unbroken(name: &str) -> String {
    escape(&name.replace('-', "\u{2011}"))
}

/// Smaller text below a figure or a name.
pub(super) fn small(html: &str) -> String {
    format!("<small>{html}</small>")
}

/// The same from plain text; empty for empty text.
pub(super) fn note(text: &str) -> String {
    match text {
        "" => String::new(),
        text => small(&escape(text)),
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
    fn backticks_make_code() {
        assert_eq!(
            with_code("a < b: `costate demos import <X>` does"),
            "a &lt; b: <code>costate demos import &lt;X&gt;</code> does"
        );
    }

    #[test]
    fn escapes_leave_no_markup_and_no_forbidden_character() {
        let hostile = "</script><b a='1' b=\"2\">&\u{0}\u{b}\u{ffff}";
        let safe = escape(hostile);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{0}', '\u{b}', '\u{ffff}']));
        assert_eq!(escape("a & b"), "a &amp; b");
    }
}
