//! Speed-up over workers: schedules as curves, measurements as dots, the ideal as a diagonal.

use super::axis::Axis;
use super::frame::{self, Frame, Size, WIDE};
use super::text::escape;

/// How a batch speeds up.
#[derive(Debug, Clone)]
pub struct Speedup {
    /// What is run, e.g. `hopper, 64 episodes`.
    pub label: String,
    /// (workers, speed-up) of the schedule.
    pub simulated: Vec<[f64; 2]>,
    /// (workers, speed-up) as measured.
    pub measured: Vec<[f64; 2]>,
}

/// A standalone picture; at most four curves keep a colour of their own.
pub(super) fn standalone(title: &str, curves: &[Speedup]) -> String {
    let size = Size {
        width: 640.0,
        height: 420.0,
        ticks: [8, 8],
        ..WIDE
    };
    let all = || curves.iter().flat_map(|c| &c.simulated);
    let most = all().map(|p| p[0]).fold(1.0, f64::max);
    let axis = |target| Axis::linear(0.0, most, target);
    let frame = Frame::new(size, axis(size.ticks[0]), axis(size.ticks[1]), 12.0);
    let mut content = frame.axes("workers", "times one worker", false);
    let (low, high) = (0.0, most);
    content += &format!(
        r#"<line class="level" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        frame.px(low),
        frame.py(low),
        frame.px(high),
        frame.py(high)
    );
    for (i, curve) in curves.iter().enumerate() {
        let style = i % 4;
        let points: Vec<String> = curve
            .simulated
            .iter()
            .map(|[x, y]| format!("{:.1},{:.1}", frame.px(*x), frame.py(*y)))
            .collect();
        content += &format!(
            r#"<polyline class="curve s{style}" points="{}"/>"#,
            points.join(" ")
        );
        for [x, y] in &curve.measured {
            let (x, y) = (frame.px(*x), frame.py(*y));
            content += &format!(r#"<circle class="dot s{style}" cx="{x:.1}" cy="{y:.1}" r="4"/>"#);
        }
        let (x, y) = (
            frame.px(0.03 * most),
            frame.py(0.96 * most) + 20.0 * i as f64,
        );
        content += &format!(
            r#"<line class="curve s{style}" x1="{x:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="level-name" x="{:.1}" y="{:.1}">{}</text>"#,
            x + 24.0,
            x + 32.0,
            y + 4.0,
            escape(&curve.label)
        );
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
        let svg = standalone("more workers", &[curve("a < b", 1.0), curve("c", 0.5)]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("a &lt; b") && svg.contains("more workers"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
