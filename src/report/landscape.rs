//! The learned cost over two dimensions of the state, with the ways of expert and policy across it.

use serde::Serialize;

use super::axis::{Axis, drawable};
use super::facts::Facts;
use super::figure::{Figure, Key, slug};
use super::frame::{Frame, LAND};
use super::heat;
use super::text::escape;
use super::ways::Ways;

/// Maps of all runs of a page together, beyond which it would grow too large.
const MAPS: usize = 40;
/// Space right of a map for its scale.
pub(super) const SCALE: f64 = 84.0;

/// The learned cost over pairs of observation channels.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Landscape {
    /// The channels that surfaces and paths speak of.
    pub channels: Vec<LandscapeChannel>,
    /// The pairs, the first one shown first.
    pub surfaces: Vec<Surface>,
    /// Episodes of the expert and of the policy.
    pub paths: Vec<Way>,
    /// Transitions that a surface is the mean over.
    pub averaged_over: usize,
}

/// An observation channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LandscapeChannel {
    /// Its name.
    pub name: String,
    /// Its unit; `1` for a pure number.
    pub unit: String,
}

/// Mean cost where two channels are set to the values of a grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Surface {
    /// Index of the horizontal channel.
    pub x: usize,
    /// Index of the vertical channel.
    pub y: usize,
    /// First and last column's value.
    pub x_range: [f64; 2],
    /// First and last row's value.
    pub y_range: [f64; 2],
    /// Points along either side.
    pub size: usize,
    /// Nats, row by row from the lowest `y`, `[size × size]`.
    pub cost: Vec<f32>,
}

/// Who went a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Walker {
    /// The demonstrations.
    Expert,
    /// The learned policy.
    Policy,
}

/// An episode in the landscape's channels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// Who went it.
    pub walker: Walker,
    /// `[points][channels]`.
    pub points: Vec<Vec<f32>>,
}

impl Landscape {
    fn channel(&self, i: usize) -> Option<String> {
        let LandscapeChannel { name, unit } = self.channels.get(i)?;
        let name: String = name.chars().take(40).collect();
        Some(match unit.as_str() {
            "" | "1" => name,
            unit => format!("{name}, {}", unit.chars().take(16).collect::<String>()),
        })
    }

    /// The map of a surface; `None` for one that cannot be drawn.
    fn figure(&self, surface: &Surface, of: &str) -> Option<Figure> {
        let Surface { size, cost, .. } = surface;
        let sane = |[low, high]: [f64; 2]| drawable(low) && drawable(high) && low < high;
        if *size < 2
            || cost.len() != size * size
            || !sane(surface.x_range)
            || !sane(surface.y_range)
        {
            return None;
        }
        let (x_name, y_name) = (self.channel(surface.x)?, self.channel(surface.y)?);
        let [low, high] = colour_range(cost)?;
        let axis = |[low, high]: [f64; 2], ticks| Axis::linear(low, high, ticks);
        let frame = Frame::new(
            LAND,
            axis(surface.x_range, LAND.ticks[0]),
            axis(surface.y_range, LAND.ticks[1]),
            SCALE,
        );
        let [left, right, top, bottom] = frame.area();
        let (width, height) = (right - left, bottom - top);
        let ways = Ways::of(self, surface, &frame);
        let image = heat::map(cost, *size, low, high)?;
        let mut content = frame.axes(&x_name, &y_name, false);
        content += &format!(
            r#"<image x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" preserveAspectRatio="none" href="{image}"/><svg x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" viewBox="{left:.1} {top:.1} {width:.1} {height:.1}">{}</svg>{}"#,
            ways.draw(),
            scale(&frame, low, high, "cost, nats"),
        );
        let names = [surface.x, surface.y].map(|i| self.channels[i].name.as_str());
        Some(Figure {
            name: slug(&format!("landscape-{}-{}{of}", names[0], names[1])),
            heading: format!("Learned cost over {} and {}{of}", names[0], names[1]),
            key: ways
                .key()
                .map(|(label, sign)| Key {
                    label: label.into(),
                    sign,
                })
                .collect(),
            plot: frame.svg(
                &format!("Learned cost over {x_name} and {y_name}"),
                &content,
            ),
            size: LAND,
            caption: String::new(),
        })
    }
}

/// The range that colours spread over: without the outermost 2 % at either end.
fn colour_range(cost: &[f32]) -> Option<[f64; 2]> {
    let mut values: Vec<f64> = cost.iter().map(|c| f64::from(*c)).collect();
    values.retain(|v| drawable(*v));
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * values.len() as f64) as usize).copied();
    let (low, high) = (at(0.02)?, at(0.98)?);
    Some(match high > low {
        true => [low, high],
        false => [low - 0.5, low + 0.5],
    })
}

/// The colours beside a map with their numbers, and what they mean.
pub(super) fn scale(frame: &Frame, low: f64, high: f64, meaning: &str) -> String {
    let [_, right, top, bottom] = frame.area();
    let axis = Axis::linear(low, high, 6);
    let (x, wide) = (right + 16.0, 14.0);
    let step = (bottom - top) / heat::BANDS as f64;
    let mut out = String::new();
    for band in 0..heat::BANDS {
        let [r, g, b] = heat::colour(band);
        // A hair of overlap, so that no background shines through between bands.
        out += &format!(
            r##"<rect x="{x:.1}" y="{:.2}" width="{wide}" height="{:.2}" fill="#{r:02x}{g:02x}{b:02x}"/>"##,
            bottom - step * (band + 1) as f64,
            step + if band == 0 { 0.0 } else { 0.4 },
        );
    }
    for &tick in &axis.ticks {
        let y = bottom - axis.position(tick) * (bottom - top);
        out += &format!(
            r#"<line class="axis" x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}">{}</text>"#,
            x + wide,
            x + wide + 4.0,
            x + wide + 7.0,
            y + 4.0,
            axis.label(tick)
        );
    }
    out + &format!(
        r#"<text class="name end" x="{:.1}" y="12">{meaning}</text>"#,
        frame.size.width
    )
}

/// All maps of all runs.
pub(super) fn figures(runs: &[Facts], labels: &[String]) -> Vec<Figure> {
    let several = runs.len() > 1;
    runs.iter()
        .zip(labels)
        .filter_map(|(run, label)| Some((run.run.landscape.as_ref()?, label)))
        .flat_map(|(landscape, label)| {
            let of = if several {
                format!(", {label}")
            } else {
                String::new()
            };
            let figures = landscape.surfaces.iter();
            figures
                .filter_map(|s| landscape.figure(s, &of))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The maps of every run, one shown at a time; `None` without any.
pub(super) fn html(runs: &[Facts], labels: &[String]) -> Option<String> {
    let several = runs.len() > 1;
    let most = (MAPS / runs.len().max(1)).max(1);
    let mut out = String::new();
    let mut averaged = None;
    for (run, label) in runs.iter().zip(labels) {
        let Some(landscape) = &run.run.landscape else {
            continue;
        };
        let mut maps = String::new();
        for surface in landscape.surfaces.iter().take(most) {
            let Some(figure) = landscape.figure(surface, "") else {
                continue;
            };
            let names = [surface.x, surface.y].map(|i| escape(&landscape.channels[i].name));
            let hidden = if maps.is_empty() { "" } else { " hidden=\"\"" };
            maps += &figure.html(&format!(
                r#" data-first="{}" data-second="{}"{hidden}"#,
                names[0], names[1]
            ));
        }
        if maps.is_empty() {
            continue;
        }
        averaged = averaged.or(Some(landscape.averaged_over));
        if several {
            out += &format!("<h4>{}</h4>", escape(label));
        }
        out += &format!(
            "<div class=\"landscape\"><div class=\"controls\" hidden=\"\"><label>Cost over <select \
             class=\"first\"></select></label><label>and <select class=\"second\"></select></label></div>{maps}</div>"
        );
    }
    let averaged = averaged?;
    Some(format!(
        "<h3>Landscape of the cost</h3>{out}<p class=\"note\">Mean of c(s, a) over {averaged} transitions of demonstrations \
         and policy, with two dimensions of their states set to the map’s values (partial dependence). Level and \
         scale of a learned cost are free: only differences within one map mean something. Colours end where the \
         outermost 2 % of the map begin. Where neither line nor spot is near, nobody ever was, and the cost is a guess. Round \
         dots on lines are starts, which expert and policy share; where lines would hide the map, spots show the states \
         that were visited.</p>"
    ))
}
