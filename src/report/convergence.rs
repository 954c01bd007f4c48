//! Distances that fall with samples, as small multiples with logarithmic axes.

use super::axis::Axis;
use super::frame::{Frame, SMALL_SQUARE as SMALL};
use super::small::{self, Small};

/// One small plot.
pub struct Convergence {
    /// Its heading.
    pub title: String,
    /// A line a learner: (samples, distance), both positive.
    pub lines: Vec<Vec<[f64; 2]>>,
}

/// All plots with one key; at most four learners keep a colour of their own.
pub(super) fn standalone(title: &str, learners: &[String], plots: &[Convergence]) -> String {
    let plots: Vec<Small> = plots
        .iter()
        .map(|p| Small {
            title: &p.title,
            content: plot(p),
        })
        .collect();
    small::arranged(title, learners, dot, &plots)
}

fn dot(i: usize, x: f64, y: f64) -> String {
    format!(
        r#"<circle class="dot s{}" cx="{x:.1}" cy="{y:.1}" r="4"/>"#,
        i % 4
    )
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
        let at = |p: &[f64; 2]| (frame.px(p[0]), frame.py(p[1]));
        let points: Vec<String> = line
            .iter()
            .map(at)
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        content += &format!(
            r#"<polyline class="curve s{}" points="{}"/>"#,
            i % 4,
            points.join(" ")
        );
        content.extend(line.iter().map(at).map(|(x, y)| dot(i, x, y)));
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_learner_has_its_line_and_nothing_is_drawn_of_nothing() {
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
        let svg = standalone("distance", &["one".into(), "two".into()], &plots);
        assert_eq!(svg.matches("<polyline").count(), 2);
        // Three points and the key's two.
        assert_eq!(svg.matches("<circle").count(), 5);
        assert!(svg.contains("a &lt; b") && !svg.contains("NaN"));
    }
}
