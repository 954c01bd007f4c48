//! Speed-up against workers: schedules as curves, measurements as dots, the ideal as a diagonal.

use super::frame::{self, Frame, Size, WIDE};
use super::svg;

/// Speed-up of a batch.
#[derive(Debug, Clone)]
pub struct Speedup {
    /// What is run, e.g. `hopper, 64 episodes`.
    pub label: String,
    /// (workers, speed-up) of the schedule.
    pub simulated: Vec<[f64; 2]>,
    /// (workers, speed-up) as measured.
    pub measured: Vec<[f64; 2]>,
}

/// Speed-up against workers as a standalone SVG with its own background; at most four curves have distinct colours.
pub fn speedup_svg(title: &str, curves: &[Speedup]) -> String {
    let size = Size {
        width: 640.0,
        height: 420.0,
        ticks: [8, 8],
        ..WIDE
    };
    let all = || curves.iter().flat_map(|c| &c.simulated);
    let most = all().map(|p| p[0]).fold(1.0, f64::max);
    let frame = Frame::linear(size, [[0.0, most]; 2], 12.0);
    let mut content = frame.axes("workers", "times one worker", false);
    content += &svg::line("level", frame.at([0.0; 2]), frame.at([most; 2]));
    for (i, curve) in curves.iter().enumerate() {
        let [line, dot] = ["curve", "dot"].map(|class| format!("{class} s{}", i % 4));
        content += &svg::polyline(&line, curve.simulated.iter().map(|p| frame.at(*p)));
        for point in &curve.measured {
            content += &svg::circle(&dot, frame.at(*point), 4.0);
        }
        let [x, y] = frame.at([0.03 * most, 0.96 * most]);
        let y = y + 20.0 * i as f64;
        content += &svg::line(&line, [x, y], [x + 24.0, y]);
        content += &svg::text("level-name", [x + 32.0, y + 4.0], &curve.label);
    }
    frame::standalone_plot(size, title, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_has_its_curve_dots_and_name() {
        let curve = |label: &str, scale: f64| Speedup {
            label: label.into(),
            simulated: (1..=64)
                .map(|w| [f64::from(w), scale * f64::from(w)])
                .collect(),
            measured: vec![[1.0, 1.0], [2.0, 1.9]],
        };
        let svg = speedup_svg("more workers", &[curve("a < b", 1.0), curve("c", 0.5)]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("a &lt; b") && svg.contains("more workers"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
