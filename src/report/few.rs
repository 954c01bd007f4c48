//! Scores against the number of demonstrations, as small multiples.

use super::axis::Axis;
use super::frame::{Frame, SMALL_SQUARE as SMALL};
use super::{small, svg};

/// One small plot.
pub struct FewShot {
    /// Its heading.
    pub title: String,
    /// A line per method.
    pub lines: Vec<Vec<FewShotPoint>>,
}

/// A method's score from so many demonstrations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FewShotPoint {
    /// Demonstrations.
    pub demonstrations: usize,
    /// Normalised score.
    pub score: f64,
    /// Its 95 % interval, where several seeds show one.
    pub ci95: Option<[f64; 2]>,
}

/// Lowest score shown; lower ones are drawn at the edge.
const FLOOR: f64 = -0.5;
/// Highest score shown.
const CEILING: f64 = 1.15;
/// Factor on the number of demonstrations between one method's marks and the next's, so that bars stand apart.
const APART: f64 = 1.05;

/// Scores from few demonstrations as a standalone SVG with its own background; `methods` names the lines.
pub fn few_shot_svg(title: &str, methods: &[String], plots: &[FewShot]) -> String {
    let plots = plots.iter().map(|p| (p.title.clone(), plot(p)));
    small::arranged(title, methods, svg::mark, plots)
}

fn plot(plotted: &FewShot) -> String {
    let points = plotted.lines.iter().flatten();
    let Some(x) = Axis::counts(points.map(|p| p.demonstrations as f64)) else {
        return String::new();
    };
    let y = Axis::linear(FLOOR - 0.05, CEILING, SMALL.ticks[1]);
    let frame = Frame::new(SMALL, x, y, 12.0);
    let middle = 0.5 * plotted.lines.len().saturating_sub(1) as f64;
    let mut content = frame.axes("demonstrations", "score", true);
    for (i, line) in plotted.lines.iter().enumerate() {
        let at = |count: usize, score: f64| {
            let x = count as f64 * APART.powf(i as f64 - middle);
            frame.at([x, score.clamp(FLOOR, CEILING)])
        };
        let places = || line.iter().map(|p| at(p.demonstrations, p.score));
        let class = format!("curve s{}", i % 8);
        for point in line {
            if let Some(ends) = point.ci95 {
                let [low, high] = ends.map(|score| at(point.demonstrations, score));
                content += &svg::line(&class, low, high);
            }
        }
        content += &svg::polyline(&class, places());
        content.extend(places().map(|place| svg::mark(i, place)));
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_lines_and_intervals_where_there_are_any() {
        let point = |demonstrations, score, ci95| FewShotPoint {
            demonstrations,
            score,
            ci95,
        };
        let plots = [
            FewShot {
                title: "a < b".into(),
                lines: vec![
                    vec![point(1, 0.2, Some([0.1, 0.3])), point(25, 1.0, None)],
                    vec![point(1, -7.0, None), point(3, 0.5, None)],
                ],
            },
            FewShot {
                title: "empty".into(),
                lines: vec![Vec::new(), Vec::new()],
            },
        ];
        let svg = few_shot_svg("few", &["one".into(), "two".into()], &plots);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches(r#"<line class="curve s0""#).count(), 1);
        // One number of demonstrations, one tick.
        for tick in [">1<", ">3<", ">25<"] {
            assert_eq!(svg.matches(tick).count(), 1, "{tick}");
        }
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
    }
}
