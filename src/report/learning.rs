//! The chart of the true return while learning.

use super::chart::{Chart, Level};
use super::facts::Facts;
use super::frame::{self, Size, WIDE};
use super::group::{Group, by_environment};
use super::seeds;

/// True return by iteration for runs of one environment; `None` if none recorded any.
pub(super) fn return_chart(group: &Group) -> Option<Chart> {
    let lines = seeds::lines(&group.members);
    let first = |value: fn(&Facts) -> Option<f64>| group.members.iter().find_map(|m| value(m.run));
    let level = |name: &str, value: Option<f64>| {
        Some(Level {
            name: name.into(),
            value: value?,
        })
    };
    (!lines.is_empty()).then(|| Chart {
        name: "True return by iteration".into(),
        x_label: "Iteration".into(),
        y_label: "True return, mean of an iteration’s rollouts".into(),
        lines,
        levels: [
            level("expert", first(|f| f.expert_return)),
            level("random", first(|f| f.random_return)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        range: None,
        marks: false,
    })
}

/// The learning curve of one run as a file of its own.
pub(super) fn standalone_return_curve(run: &Facts) -> String {
    let mut title = run.algo_title();
    if let Some(env) = &run.env {
        title += &format!(" on {env}");
    }
    let chart = by_environment(std::slice::from_ref(run))
        .first()
        .and_then(return_chart);
    let size = Size {
        width: 720.0,
        height: 300.0,
        ticks: [6, 5],
        ..WIDE
    };
    let plot = chart.and_then(|chart| chart.svg(size));
    let plot = plot.unwrap_or_else(|| {
        r#"<text class="name" x="20" y="40">No true return was recorded.</text>"#.into()
    });
    frame::standalone_plot(size, &title, &plot)
}
