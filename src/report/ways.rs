//! The ways of expert and policy across a map: lines, or spots where lines would cover everything.

use super::axis::drawable;
use super::figure::Sign;
use super::frame::Frame;
use super::landscape::{Landscape, Surface, Walker};

/// Lines this many times as long as the map is wide and high together hide it: a gait's loops, say.
const CROWDED: f64 = 40.0;
/// Spots of a way at most.
const SPOTS: usize = 60;

/// Points in tenths of a unit.
type Line = Vec<[i64; 2]>;

/// How ways are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Lines,
    Spots,
}

/// The ways across one map.
pub(super) struct Ways {
    manner: Manner,
    /// The expert's below, as the policy's have gaps to see them through.
    walked: [(Walker, Vec<Line>); 2],
}

impl Ways {
    /// Those of a landscape over a surface's channels.
    pub(super) fn of(landscape: &Landscape, surface: &Surface, frame: &Frame) -> Self {
        let place = |p: &Vec<f32>| {
            let at = |i: usize| p.get(i).map(|v| f64::from(*v)).filter(|v| drawable(*v));
            let [x, y] = [frame.px(at(surface.x)?), frame.py(at(surface.y)?)];
            // A diverged episode leaves the map; its numbers need not be drawn to the end.
            let inside = |v: f64| (-2000.0..3000.0).contains(&v);
            (inside(x) && inside(y)).then_some([x, y].map(|v| (v * 10.0).round() as i64))
        };
        let walked = [Walker::Expert, Walker::Policy].map(|walker| {
            let own = landscape.paths.iter().filter(|w| w.walker == walker);
            let lines = own.map(|w| w.points.iter().map_while(place).collect());
            (walker, lines.filter(|l: &Line| !l.is_empty()).collect())
        });
        let [left, right, top, bottom] = frame.area();
        let lines = walked.iter().flat_map(|(_, lines)| lines);
        let length: f64 = lines.map(length).sum();
        let manner = match length > CROWDED * (right - left + bottom - top) {
            true => Manner::Spots,
            false => Manner::Lines,
        };
        Self { manner, walked }
    }

    /// What is drawn for whom.
    pub(super) fn key(&self) -> impl Iterator<Item = (&'static str, Sign)> {
        let shown = self.walked.iter().filter(|(_, lines)| !lines.is_empty());
        shown.map(|(walker, _)| match (walker, self.manner) {
            (Walker::Expert, Manner::Lines) => ("expert", Sign::ExpertPath),
            (Walker::Expert, Manner::Spots) => ("expert", Sign::ExpertSpots),
            (Walker::Policy, Manner::Lines) => ("learned policy", Sign::PolicyPath),
            (Walker::Policy, Manner::Spots) => ("learned policy", Sign::PolicySpots),
        })
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

fn class(walker: Walker) -> &'static str {
    match walker {
        Walker::Expert => "expert",
        Walker::Policy => "learned",
    }
}

/// Lines with dots where they start.
fn draw_lines(walker: Walker, lines: &[Line]) -> String {
    let class = class(walker);
    let path: String = lines.iter().map(relative).collect();
    let mut out = format!(
        r#"<path class="casing {class}" d="{path}"/><path class="way {class}" d="{path}"/>"#
    );
    for [x, y] in lines.iter().filter_map(|l| l.first()) {
        out += &format!(
            r#"<circle class="start {class}" cx="{}" cy="{}" r="3.6"/>"#,
            tenths(*x),
            tenths(*y)
        );
    }
    out
}

/// Spots where somebody was.
fn draw_spots(walker: Walker, lines: &[Line]) -> String {
    let mut path = String::new();
    for line in lines {
        let every = line.len().div_ceil(SPOTS).max(1);
        for [x, y] in line.iter().step_by(every) {
            path += &spot(walker, *x, *y);
        }
    }
    format!(r#"<path class="spot {}" d="{path}"/>"#, class(walker))
}

/// A diamond for the expert, a square for the policy; tenths of a unit.
pub(super) fn spot(walker: Walker, x: i64, y: i64) -> String {
    match walker {
        Walker::Expert => format!(
            "M{} {}l2.2 2.2l-2.2 2.2l-2.2 -2.2z",
            tenths(x),
            tenths(y - 22)
        ),
        Walker::Policy => format!("M{} {}h3v3h-3z", tenths(x - 15), tenths(y - 15)),
    }
}

/// A path from points in tenths of a unit; steps too short to be seen are left out.
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
