//! Trajectories of expert and policy across a map: lines, or spots where lines would cover everything.

use super::axis::drawable;
use super::figure::{Key, Sign};
use super::frame::Frame;
use super::landscape::{Landscape, Surface, Walker};
use super::svg;

/// Lines longer than this many times the map's width plus height would hide it, e.g. the loops of a gait.
const CROWDED: f64 = 40.0;
/// Maximum spots per trajectory.
const SPOTS: usize = 60;

/// Points in tenths of a unit.
type Line = Vec<[i64; 2]>;

/// How trajectories are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Lines,
    Spots,
}

/// The trajectories across one map.
pub(super) struct Ways {
    manner: Manner,
    /// The expert's below, visible through the gaps in the policy's.
    walked: [(Walker, Vec<Line>); 2],
}

impl Ways {
    /// Those of a landscape over a surface's channels.
    pub(super) fn of(landscape: &Landscape, surface: &Surface, frame: &Frame) -> Self {
        let place = |p: &Vec<f32>| {
            let at = |i: usize| p.get(i).map(|v| f64::from(*v)).filter(|v| drawable(*v));
            let place = frame.at([at(surface.x)?, at(surface.y)?]);
            // A diverged episode leaves the map; its numbers need not be drawn to the end.
            let inside = place.iter().all(|v| (-2000.0..3000.0).contains(v));
            inside.then(|| place.map(|v| (v * 10.0).round() as i64))
        };
        let walked = [Walker::Expert, Walker::Policy].map(|walker| {
            let own = landscape.paths.iter().filter(|w| w.walker == walker);
            let lines = own.map(|w| w.points.iter().map_while(place).collect());
            (walker, lines.filter(|l: &Line| !l.is_empty()).collect())
        });
        let extent = frame.right - frame.left + frame.bottom - frame.top;
        let lines = walked.iter().flat_map(|(_, lines)| lines);
        let length: f64 = lines.map(length).sum();
        let manner = match length > CROWDED * extent {
            true => Manner::Spots,
            false => Manner::Lines,
        };
        Self { manner, walked }
    }

    /// Legend entries.
    pub(super) fn key(&self) -> Vec<Key> {
        let shown = self.walked.iter().filter(|(_, lines)| !lines.is_empty());
        let entry = |(walker, _): &(Walker, Vec<Line>)| Key {
            label: match walker {
                Walker::Expert => "expert".into(),
                Walker::Policy => "learned policy".into(),
            },
            sign: match self.manner {
                Manner::Lines => Sign::Path(*walker),
                Manner::Spots => Sign::Spots(*walker),
            },
        };
        shown.map(entry).collect()
    }

    /// As SVG, in the frame's units.
    pub(super) fn draw(&self) -> String {
        let drawn = self.walked.iter().filter(|(_, lines)| !lines.is_empty());
        drawn
            .map(|(walker, lines)| match self.manner {
                Manner::Lines => draw_lines(*walker, lines),
                Manner::Spots => draw_spots(*walker, lines),
            })
            .collect()
    }
}

fn length(line: &Line) -> f64 {
    let step = |w: &[[i64; 2]]| {
        let [dx, dy] = [w[1][0] - w[0][0], w[1][1] - w[0][1]];
        (dx as f64).hypot(dy as f64) / 10.0
    };
    line.windows(2).map(step).sum()
}

/// Lines with dots where they start.
fn draw_lines(walker: Walker, lines: &[Line]) -> String {
    let class = walker.class();
    let path: String = lines.iter().map(relative).collect();
    let mut out = format!(
        r#"<path class="casing {class}" d="{path}"/><path class="way {class}" d="{path}"/>"#
    );
    for start in lines.iter().filter_map(|l| l.first()) {
        let place = start.map(|v| v as f64 / 10.0);
        out += &svg::circle(&format!("start {class}"), place, 3.6);
    }
    out
}

/// Spots at visited states.
fn draw_spots(walker: Walker, lines: &[Line]) -> String {
    let mut path = String::new();
    for line in lines {
        let every = line.len().div_ceil(SPOTS).max(1);
        path.extend(line.iter().step_by(every).map(|p| spot(walker, *p)));
    }
    format!(r#"<path class="spot {}" d="{path}"/>"#, walker.class())
}

/// A diamond for the expert, a square for the policy; tenths of a unit.
pub(super) fn spot(walker: Walker, [x, y]: [i64; 2]) -> String {
    let (x, y, outline) = match walker {
        Walker::Expert => (x, y - 22, "l2.2 2.2l-2.2 2.2l-2.2 -2.2z"),
        Walker::Policy => (x - 15, y - 15, "h3v3h-3z"),
    };
    format!("M{} {}{outline}", tenths(x), tenths(y))
}

/// A path from points in tenths of a unit; invisibly short steps are left out.
fn relative(points: &Line) -> String {
    let Some((first, rest)) = points.split_first() else {
        return String::new();
    };
    let mut out = format!("M{} {}", tenths(first[0]), tenths(first[1]));
    let mut at = *first;
    for (i, p) in rest.iter().enumerate() {
        let [dx, dy] = [p[0] - at[0], p[1] - at[1]];
        if dx.abs() + dy.abs() < 15 && i + 1 < rest.len() {
            continue;
        }
        out += &format!("l{} {}", tenths(dx), tenths(dy));
        at = *p;
    }
    out
}

fn tenths(v: i64) -> String {
    let sign = if v < 0 { "-" } else { "" };
    match (v.abs() / 10, v.abs() % 10) {
        (whole, 0) => format!("{sign}{whole}"),
        (whole, part) => format!("{sign}{whole}.{part}"),
    }
}
