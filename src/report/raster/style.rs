//! Style sheets of classes and elements: as much of CSS as our sheet uses.

use roxmltree::{Document, Node};
use tiny_skia::Paint;

use super::solid;

/// What an element is painted with.
#[derive(Debug, Clone)]
pub(super) struct Style {
    fill: Option<[u8; 3]>,
    stroke: Option<[u8; 3]>,
    fill_opacity: f32,
    stroke_opacity: f32,
    opacity: f32,
    pub(super) stroke_width: f32,
    /// Whether strokes keep their width whatever a view box does.
    pub(super) unscaled_stroke: bool,
    pub(super) dashes: Vec<f32>,
    pub(super) round_cap: bool,
    pub(super) round_join: bool,
    pub(super) font_size: f32,
    pub(super) bold: bool,
    pub(super) anchor: Anchor,
}

/// Which point of a text its `x` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    /// Share of the text left of `x`.
    pub(super) fn share(self) -> f32 {
        match self {
            Self::Start => 0.0,
            Self::Middle => 0.5,
            Self::End => 1.0,
        }
    }
}

impl Default for Style {
    fn default() -> Self {
        Self {
            fill: Some([0; 3]),
            stroke: None,
            fill_opacity: 1.0,
            stroke_opacity: 1.0,
            opacity: 1.0,
            stroke_width: 1.0,
            unscaled_stroke: false,
            dashes: Vec::new(),
            round_cap: false,
            round_join: false,
            font_size: 12.0,
            bold: false,
            anchor: Anchor::Start,
        }
    }
}

impl Style {
    /// How to fill, if at all.
    pub(super) fn fill_paint(&self) -> Option<Paint<'static>> {
        Some(solid(self.fill?, self.fill_opacity * self.opacity))
    }

    /// How to stroke, if at all.
    pub(super) fn stroke_paint(&self) -> Option<Paint<'static>> {
        let seen = self.stroke_width > 0.0;
        Some(solid(
            self.stroke.filter(|_| seen)?,
            self.stroke_opacity * self.opacity,
        ))
    }

    /// Takes over one property; those that are not ours do nothing.
    fn set(&mut self, property: &str, value: &str) {
        let number = value.trim_end_matches("px").parse::<f32>().ok();
        let share = |old: f32| number.unwrap_or(old);
        match property {
            "fill" => self.fill = colour(value),
            "stroke" => self.stroke = colour(value),
            "fill-opacity" => self.fill_opacity = share(self.fill_opacity),
            "stroke-opacity" => self.stroke_opacity = share(self.stroke_opacity),
            "opacity" => self.opacity *= number.unwrap_or(1.0),
            "stroke-width" => self.stroke_width = share(self.stroke_width),
            "vector-effect" => self.unscaled_stroke = value == "non-scaling-stroke",
            "stroke-dasharray" => {
                let parts = value.split([' ', ',']);
                self.dashes = parts.filter_map(|v| v.parse().ok()).collect();
            }
            "stroke-linecap" => self.round_cap = value == "round",
            "stroke-linejoin" => self.round_join = value == "round",
            "font-size" => self.font_size = share(self.font_size),
            "font-weight" => self.bold = number.map_or(value == "bold", |w| w >= 600.0),
            "text-anchor" => {
                self.anchor = match value {
                    "middle" => Anchor::Middle,
                    "end" => Anchor::End,
                    _ => Anchor::Start,
                }
            }
            _ => {}
        }
    }
}

/// `#rgb` or `#rrggbb`; anything else is no paint.
fn colour(text: &str) -> Option<[u8; 3]> {
    let hex = text.strip_prefix('#')?;
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    match digits[..] {
        [r, g, b] => Some([r, g, b].map(|d| 17 * d)),
        [r, s, g, h, b, c] => Some([16 * r + s, 16 * g + h, 16 * b + c]),
        _ => None,
    }
}

/// `element.class.class`
struct Selector {
    element: String,
    classes: Vec<String>,
}

impl Selector {
    fn of(text: &str) -> Self {
        let mut parts = text.trim().split('.');
        Self {
            element: parts.next().unwrap_or_default().into(),
            classes: parts.map(str::to_owned).collect(),
        }
    }

    fn fits(&self, node: Node) -> bool {
        let own = node.attribute("class").unwrap_or_default();
        (self.element.is_empty() || self.element == node.tag_name().name())
            && self
                .classes
                .iter()
                .all(|c| own.split_whitespace().any(|o| o == c))
    }

    fn weight(&self) -> usize {
        10 * self.classes.len() + usize::from(!self.element.is_empty())
    }
}

/// The rules of a document, the weightier ones last.
pub(super) struct Sheet(Vec<(Selector, Vec<(String, String)>)>);

impl Sheet {
    /// Reads every `style` element.
    pub(super) fn of(document: &Document) -> Self {
        let styles = document
            .descendants()
            .filter(|n| n.tag_name().name() == "style");
        let mut rules = Vec::new();
        for rule in styles
            .filter_map(|n| n.text())
            .flat_map(|css| css.split('}'))
        {
            let Some((selectors, body)) = rule.split_once('{') else {
                continue;
            };
            let declarations: Vec<(String, String)> = body
                .split(';')
                .filter_map(|d| d.split_once(':'))
                .map(|(p, v)| (p.trim().into(), v.trim().into()))
                .collect();
            let selectors = selectors.split(',').map(Selector::of);
            rules.extend(selectors.map(|s| (s, declarations.clone())));
        }
        // Stable: among equals the later one wins, as in CSS.
        rules.sort_by_key(|(s, _): &(Selector, _)| s.weight());
        Self(rules)
    }

    /// The style of an element: attributes first, then rules, which are stronger.
    pub(super) fn style(&self, node: Node, inherited: &Style) -> Style {
        let mut style = inherited.clone();
        for attribute in node.attributes() {
            style.set(attribute.name(), attribute.value());
        }
        let fitting = self.0.iter().filter(|(selector, _)| selector.fits(node));
        for (property, value) in fitting.flat_map(|(_, d)| d) {
            style.set(property, value);
        }
        style
    }
}
