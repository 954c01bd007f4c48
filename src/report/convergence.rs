//! Distance against number of samples, as small multiples with logarithmic axes.

use super::axis::Axis;
use super::frame::{Frame, SMALL_SQUARE as SMALL};
use super::{small, svg};

/// One small plot.
pub struct Convergence {
    /// Its heading.
    pub title: String,
    /// One line per learner: (samples, distance), both positive.
    pub lines: Vec<Vec<[f64; 2]>>,
}

/// Distance against samples as a standalone SVG with its own background; `learners` names the lines, of which at most four
/// have distinct colours.
pub fn convergence_svg(title: &str, learners: &[String], plots: &[Convergence]) -> String {
    let plots = plots.iter().map(|p| (p.title.clone(), plot(p)));
    small::arranged(title, learners, dot, plots)
}

fn dot(i: usize, place: [f64; 2]) -> String {
    svg::circle(&format!("dot s{}", i % 4), place, 4.0)
}

fn plot(plotted: &Convergence) -> String {
    let all = |place: usize| {
        let points = plotted.lines.iter().flatten();
        points.map(move |p| p[place]).collect::<Vec<_>>()
    };
    let axis = |place: usize| Axis::decades(all(place), SMALL.ticks[place]);
    let (Some(x), Some(y)) = (axis(0), axis(1)) else {
        return String::new();
    };
    let frame = Frame::new(SMALL, x, y, 12.0);
    let mut content = frame.axes("walks", "distance", true);
    for (i, line) in plotted.lines.iter().enumerate() {
        let places = || line.iter().map(|p| frame.at(*p));
        content += &svg::polyline(&format!("curve s{}", i % 4), places());
        content.extend(places().map(|p| dot(i, p)));
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_learner_has_its_line_and_empty_plots_are_none() {
        let plots = [
            Convergence {
                title: "a < b".into(),
                lines: vec![vec![[50.0, 0.2], [200.0, 0.1]], vec![[50.0, 0.3]]],
            },
            Convergence {
                title: "empty".into(),
                lines: vec![Vec::new(), Vec::new()],
            },
        ];
        let svg = convergence_svg("distance", &["one".into(), "two".into()], &plots);
        assert_eq!(svg.matches("<polyline").count(), 2);
        // Three points and the key's two.
        assert_eq!(svg.matches("<circle").count(), 5);
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
    }
}
