//! Line charts: curves by iteration, with reference levels.

use super::axis::{Axis, drawable};
use super::figure::{Figure, Key, Sign};
use super::frame::{Frame, Size};
use super::svg;
use super::text::escape;
use crate::number;

/// Space right of the plot for the names of levels.
const LEVEL_LABELS: f64 = 66.0;

/// A curve; NaN interrupts it.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) label: String,
    /// Index into the series' colours.
    pub(super) style: usize,
    pub(super) points: Vec<[f64; 2]>,
    /// x, lower and upper end of the uncertainty band; empty without one.
    pub(super) band: Vec<[f64; 3]>,
}

/// A horizontal reference line.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) name: String,
    pub(super) value: f64,
}

/// A line chart.
#[derive(Debug, Clone, Default)]
pub(super) struct Chart {
    /// Accessible name.
    pub(super) name: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    pub(super) lines: Vec<Line>,
    pub(super) levels: Vec<Level>,
    /// Fixed vertical range; otherwise it covers curves and levels.
    pub(super) range: Option<[f64; 2]>,
    /// Whether to mark every point, for curves with few measurements.
    pub(super) marks: bool,
}

impl Level {
    pub(super) fn new(name: &str, value: f64) -> Self {
        let name = name.into();
        Self { name, value }
    }
}

impl Chart {
    /// The chart as SVG; `None` without a single point.
    pub(super) fn svg(&self, size: Size) -> Option<String> {
        let values = |i: usize| self.lines.iter().flat_map(|l| &l.points).map(move |p| p[i]);
        values(1).find(|v| drawable(*v))?;
        let x = Axis::exactly(values(0), size.ticks[0])?;
        let levels = self.levels.iter().map(|l| l.value);
        let y = match self.range {
            // A small margin, so that a curve at the end of its range is not cut in half.
            Some([low, high]) => {
                let air = 0.02 * (high - low);
                Axis::linear(low - air, high + air, size.ticks[1])
            }
            None => {
                let bands = self.lines.iter().flat_map(|l| &l.band);
                let bands = bands.flat_map(|b| [b[1], b[2]]);
                Axis::fitting(values(1).chain(levels).chain(bands), size.ticks[1])?
            }
        };
        let right = match self.levels.is_empty() || size.labels_inside {
            true => 12.0,
            false => LEVEL_LABELS,
        };
        let frame = Frame::new(size, x, y, right);
        let mut content = frame.axes(&self.x_label, &self.y_label, false);
        content.extend(self.lines.iter().map(|line| draw_band(line, &frame)));
        content.extend(self.lines.iter().map(|line| draw(line, &frame)));
        if self.marks {
            content.extend(self.lines.iter().map(|line| draw_marks(line, &frame)));
        }
        content += &self.draw_levels(&frame);
        Some(frame.svg(&self.name, &content))
    }

    /// Legend entries of its lines.
    pub(super) fn key(&self) -> Vec<Key> {
        let sign = match self.marks {
            true => Sign::Mark,
            false => Sign::Line,
        };
        let entry = |l: &Line| Key {
            label: l.label.clone(),
            sign: sign(l.style),
        };
        self.lines.iter().map(entry).collect()
    }

    /// The chart as a figure; `None` without a single point.
    pub(super) fn figure(&self, name: &str, heading: &str, size: Size) -> Option<Figure> {
        Some(Figure {
            key: self.key(),
            ..Figure::new(name, heading, size, self.svg(size)?)
        })
    }

    fn draw_levels(&self, frame: &Frame) -> String {
        let visible =
            |l: &&Level| drawable(l.value) && (0.0..=1.0).contains(&frame.y.position(l.value));
        let mut levels: Vec<&Level> = self.levels.iter().filter(visible).collect();
        levels.sort_by(|a, b| b.value.total_cmp(&a.value));
        let mut out = String::new();
        let mut free = f64::NEG_INFINITY;
        for Level { name, value } in levels {
            let [_, y] = frame.at([0.0, *value]);
            let value = number::trimmed(*value);
            out += &svg::line("level", [frame.left, y], [frame.right, y]);
            if frame.size.labels_inside {
                let at = [frame.right, y - 5.0];
                out += &svg::text("level-name inside end", at, &format!("{name} {value}"));
                continue;
            }
            // Names of close levels are moved down so that they do not overlap.
            let label = y.max(free);
            free = label + 30.0;
            let x = frame.right + 7.0;
            out += &svg::text("level-name", [x, label - 1.0], name);
            out += &svg::text("level-value", [x, label + 12.0], &value);
        }
        out
    }
}

/// The band around a curve, one outline per segment without a gap.
fn draw_band(line: &Line, frame: &Frame) -> String {
    let whole = |b: &[f64; 3]| b.iter().all(|v| drawable(*v)) && (!frame.y.is_log() || b[1] > 0.0);
    // The full extent of each segment, so that no peak of the thinned curve leaves its band.
    let stretch = (2 * line.band.len())
        .div_ceil(frame.size.points.max(2))
        .max(1);
    let extent = |part: &[[f64; 3]]| {
        let low = part.iter().map(|b| b[1]).fold(f64::INFINITY, f64::min);
        let high = part.iter().map(|b| b[2]).fold(f64::NEG_INFINITY, f64::max);
        [
            [part[0][0], low, high],
            [part[part.len() - 1][0], low, high],
        ]
    };
    let kept: Vec<[f64; 3]> = match stretch {
        1 | 2 => line.band.clone(),
        n => line.band.chunks(n).flat_map(extent).collect(),
    };
    let mut out = String::new();
    for run in kept.split(|b| !whole(b)).filter(|run| run.len() > 1) {
        let upper = run.iter().map(|b| [b[0], b[2]]);
        let lower = run.iter().rev().map(|b| [b[0], b[1]]);
        let path = svg::through(upper.chain(lower).map(|p| frame.at(p)));
        out += &format!(r#"<path class="band s{}" d="{path}z"/>"#, line.style % 8);
    }
    out
}

fn draw_marks(line: &Line, frame: &Frame) -> String {
    let shown = line.points.iter().filter(|p| drawable(p[1]));
    shown.map(|p| svg::mark(line.style, frame.at(*p))).collect()
}

/// The path of a curve, with a dot for every isolated point.
fn draw(line: &Line, frame: &Frame) -> String {
    let mut path = String::new();
    let mut dots = String::new();
    let series = line.style % 8;
    let points = thin(&line.points, frame.size.points);
    for run in points.split(|p| !(drawable(p[1]) && (!frame.y.is_log() || p[1] > 0.0))) {
        if let [point] = run {
            dots += &svg::circle(&format!("dot s{series}"), frame.at(*point), 3.0);
        }
        path += &svg::through(run.iter().map(|p| frame.at(*p)));
    }
    format!(
        r#"<path class="curve s{series}" data-label="{}" d="{path}"{}/>{dots}"#,
        escape(&line.label),
        svg::dashes(line.style),
    )
}

/// Thins to about `limit` points: the minimum and maximum of each segment, which preserves peaks.
fn thin(points: &[[f64; 2]], limit: usize) -> Vec<[f64; 2]> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let stretch = (2 * points.len()).div_ceil(limit.max(2));
    let mut kept = Vec::with_capacity(limit + 2);
    for part in points.chunks(stretch) {
        let recorded = || part.iter().enumerate().filter(|(_, p)| drawable(p[1]));
        let low = recorded().min_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        let high = recorded().max_by(|a, b| a.1[1].total_cmp(&b.1[1]));
        match low.zip(high) {
            None => kept.push([part[0][0], f64::NAN]),
            Some(((i, _), (j, _))) => {
                kept.push(part[i.min(j)]);
                if i != j {
                    kept.push(part[i.max(j)]);
                }
            }
        }
    }
    // Curves end where training ended.
    if kept.last() != points.last() {
        kept.extend(points.last());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::frame::WIDE;

    #[test]
    fn thinning_keeps_peaks_gaps_and_the_end() {
        let mut points: Vec<[f64; 2]> = (0..10_000)
            .map(|i| [f64::from(i), f64::from(i % 7)])
            .collect();
        points[4321][1] = 99.0;
        points[7000..7300].iter_mut().for_each(|p| p[1] = f64::NAN);
        let thinned = thin(&points, 200);
        assert!(thinned.len() <= 202, "{}", thinned.len());
        assert!(thinned.contains(&[4321.0, 99.0]));
        assert!(thinned.iter().any(|p| p[1].is_nan()));
        assert_eq!(thinned.last(), points.last());
        assert!(thinned.windows(2).all(|w| w[0][0] < w[1][0]));
    }

    #[test]
    fn close_levels_keep_their_names_apart() {
        let chart = Chart {
            lines: vec![Line {
                label: "l".into(),
                style: 0,
                points: vec![[0.0, 0.0], [1.0, 100.0]],
                band: Vec::new(),
            }],
            levels: vec![Level::new("a", 50.0), Level::new("b", 50.1)],
            ..Chart::default()
        };
        let svg = chart.svg(WIDE).unwrap();
        let y = |text: &str| -> f64 {
            let (_, y) = text.split_once("y=\"").unwrap();
            y.split_once('"').unwrap().0.parse().unwrap()
        };
        let names = svg.split(r#"class="level-name""#).skip(1);
        let ys: Vec<f64> = names.map(y).collect();
        assert_eq!(ys.len(), 2);
        assert!((ys[0] - ys[1]).abs() >= 28.0, "{ys:?}");
    }
}
