//! Synthetic runs, and a strict parser for their report pages.

mod evaluated;
mod motion;
mod page;
mod rich;
pub(crate) mod samples;

/// The page without the insides of scripts and styles, which are not markup.
fn markup(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = ["<script", "<style"]
        .iter()
        .filter_map(|tag| rest.find(tag))
        .min()
    {
        let open = at + rest[at..].find('>').expect("an opening tag ends") + 1;
        let close = open + rest[open..].find("</s").expect("a script or style ends");
        out += &rest[..open];
        rest = &rest[close..];
        let end = rest.find('>').expect("a closing tag ends") + 1;
        out += &rest[..end];
        rest = &rest[end..];
    }
    out + rest
}

/// Parses the page strictly; gives its visible text.
fn parse(page: &str) -> String {
    let markup = markup(page);
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let document = roxmltree::Document::parse_with_options(&markup, options)
        .unwrap_or_else(|e| panic!("{e}: {}", near(&markup, e.pos().row as usize)));
    for node in document.descendants() {
        for attribute in node.attributes() {
            let value = attribute.value();
            // In embedded picture data these letters mean nothing.
            let broken = !value.starts_with("data:image/png;base64,")
                && (value.contains("NaN") || value.contains("inf"));
            assert!(!broken, "{}=\"{value}\"", attribute.name());
            assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
        }
    }
    let texts = document
        .descendants()
        .filter_map(|n| if n.is_text() { n.text() } else { None });
    texts.collect::<Vec<_>>().join(" ")
}

fn near(markup: &str, row: usize) -> &str {
    markup
        .lines()
        .nth(row.saturating_sub(1))
        .unwrap_or_default()
}
