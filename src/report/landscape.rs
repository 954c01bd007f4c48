//! The learned cost over two state dimensions, with trajectories of expert and policy.

use serde::Serialize;

use super::axis::drawable;
use super::figure::Figure;
use super::frame::{Frame, LAND};
use super::heat::Map;
use super::run::Run;
use super::text::escape;
use super::ways::Ways;

/// Maximum number of maps on a page, which would otherwise grow too large.
const MAPS: usize = 40;

/// The learned cost over pairs of observation channels.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Landscape {
    /// The channels that surfaces and paths refer to.
    pub channels: Vec<LandscapeChannel>,
    /// The pairs, the first one shown first.
    pub surfaces: Vec<Surface>,
    /// Episodes of the expert and of the policy.
    pub paths: Vec<Way>,
    /// Transitions that a surface is averaged over.
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
    /// Points per side.
    pub size: usize,
    /// Nats, row by row from the lowest `y`, `[size × size]`.
    pub cost: Vec<f32>,
}

/// Who produced a trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Walker {
    /// The demonstrations.
    Expert,
    /// The learned policy.
    Policy,
}

impl Walker {
    /// The CSS class of its elements.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Expert => "expert",
            Self::Policy => "learned",
        }
    }
}

/// An episode in the landscape's channels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// Who produced it.
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
        let named = [self.channel(surface.x)?, self.channel(surface.y)?];
        let map = Map {
            names: [&named[0], &named[1]],
            ranges: [surface.x_range, surface.y_range],
            size: surface.size,
            values: &surface.cost,
            colours: colour_range(&surface.cost)?,
            meaning: "cost, nats",
        };
        let frame = map.frame()?;
        let ways = Ways::of(self, surface, &frame);
        let Frame {
            left,
            right,
            top,
            bottom,
            ..
        } = frame;
        let (width, height) = (right - left, bottom - top);
        let over = format!(
            r#"<svg x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" viewBox="{left:.1} {top:.1} {width:.1} {height:.1}">{}</svg>"#,
            ways.draw()
        );
        let [x, y] = self.names(surface);
        Some(Figure {
            key: ways.key(),
            ..Figure::new(
                &format!("landscape-{x}-{y}{of}"),
                &format!("Learned cost over {x} and {y}{of}"),
                LAND,
                map.plot(&frame, "Learned cost", &over)?,
            )
        })
    }

    /// Names of a surface's channels, which exist.
    fn names(&self, surface: &Surface) -> [&str; 2] {
        [surface.x, surface.y].map(|i| self.channels[i].name.as_str())
    }
}

/// The colour range: without the outermost 2 % at either end.
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

/// All maps of all runs.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let of = |run: &Run| {
        let landscape = run.report.landscape.as_ref()?;
        let maps = landscape.surfaces.iter();
        let maps = maps.filter_map(|s| landscape.figure(s, &run.suffix()));
        Some(maps.collect::<Vec<_>>())
    };
    runs.iter().filter_map(of).flatten().collect()
}

/// The maps of every run, one shown at a time; `None` without any.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let most = (MAPS / runs.len().max(1)).max(1);
    let mut out = String::new();
    let mut averaged = None;
    let mut played = false;
    for run in runs {
        let Some(landscape) = &run.report.landscape else {
            continue;
        };
        let mut maps = String::new();
        for surface in landscape.surfaces.iter().take(most) {
            let Some(figure) = landscape.figure(surface, "") else {
                continue;
            };
            let [x, y] = landscape.names(surface).map(escape);
            let hidden = if maps.is_empty() { "" } else { " hidden=\"\"" };
            maps += &figure.html(&format!(r#" data-first="{x}" data-second="{y}"{hidden}"#));
        }
        if maps.is_empty() {
            continue;
        }
        averaged = averaged.or(Some(landscape.averaged_over));
        played |= (landscape.paths.iter()).any(|way| way.walker == Walker::Policy);
        out += &run.heading(4);
        out += &format!(
            "<div class=\"landscape\"><div class=\"controls\" hidden=\"\"><label>Cost over <select \
             class=\"first\"></select></label><label>and <select class=\"second\"></select></label></div>{maps}</div>"
        );
    }
    let averaged = averaged?;
    let (and_policy, shared) = match played {
        true => (" and policy", ", shared by expert and policy"),
        false => ("", ""),
    };
    Some(format!(
        "<h3>Cost landscape</h3>{out}<p class=\"note\">Mean of c(s, a) over {averaged} transitions of \
         demonstrations{and_policy}, with two dimensions of their states set to the map’s values (partial \
         dependence). Level and scale of a learned cost are free: only differences within one map are meaningful. \
         Colours are clipped at the outermost 2 % of the map. Far from any line or spot there is no data, and the cost is extrapolated. Round \
         dots on lines are starts{shared}; where lines would hide the map, spots show the \
         visited states.</p>"
    ))
}
