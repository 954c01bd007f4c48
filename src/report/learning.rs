//! The true return during training: one plot per environment.

use super::RunReport;
use super::chart::{Chart, Level};
use super::figure::{Figure, legend};
use super::frame::{self, NARROW, Size, WIDE};
use super::run::{Group, Run, by_environment};
use super::seeds;

/// True return by iteration for runs of one environment; `None` if none recorded it.
fn chart(group: &Group) -> Option<Chart> {
    let lines = seeds::lines(&group.members);
    let first = |of: fn(&Run) -> Option<f64>| group.members.iter().find_map(of);
    let levels = [
        ("expert", first(|r| r.expert_return())),
        ("random", first(|r| Some(r.evaluation()?.random_return))),
    ];
    let level = |(name, value): (&str, Option<f64>)| Some(Level::new(name, value?));
    (!lines.is_empty()).then(|| Chart {
        name: "True return by iteration".into(),
        x_label: "Iteration".into(),
        y_label: "True return, mean of an iteration’s rollouts".into(),
        lines,
        levels: levels.into_iter().filter_map(level).collect(),
        ..Chart::default()
    })
}

/// The plots at this size, or smaller on narrow screens, and how to read them.
pub(super) fn html(groups: &[Group], size: Size) -> Option<String> {
    let mut out = String::new();
    let mut bands = false;
    for group in groups {
        let Some(chart) = chart(group) else { continue };
        out += &group.heading();
        if group.members.len() > 1 {
            out += &legend(&chart.key());
        }
        bands |= chart.lines.iter().any(|l| !l.band.is_empty());
        // For wide and for narrow screens; style sheets show one of them.
        let plots = [size, NARROW]
            .into_iter()
            .filter_map(|size| chart.svg(size));
        out += &format!(
            "<figure class=\"chart\">{}</figure>",
            plots.collect::<String>()
        );
    }
    let seeds = match bands {
        true => {
            " Runs that differ only in their seed are one line, the mean over seeds; its band spans their minimum \
             and maximum, which is no confidence interval."
        }
        false => "",
    };
    (!out.is_empty()).then(|| {
        format!(
            "{out}<p class=\"note\">The true return is known in simulation and shown for reference; the \
             learner does not see it. It is that of the noisy exploring policy, so it may stay \
             below that of the evaluated policy.{seeds}</p>"
        )
    })
}

/// Separate figures, where several runs share one.
pub(super) fn figures(groups: &[Group]) -> Vec<Figure> {
    let several = groups.iter().filter(|g| g.members.len() > 1);
    let figure = |group: &Group| {
        let name = format!("learning-curves-{}", group.env);
        let heading = format!("True return during training on {}", group.env);
        chart(group)?.figure(&name, &heading, WIDE)
    };
    several.filter_map(figure).collect()
}

/// The learning curve of one run (true return by iteration, with the expert's and the random policy's) as a standalone SVG
/// with its own background.
pub fn curves_svg(report: &RunReport) -> String {
    let runs = Run::all(std::slice::from_ref(report));
    let title = format!("{} on {}", runs[0].algo_title(), runs[0].env());
    let size = Size {
        width: 720.0,
        height: 300.0,
        ticks: [6, 5],
        ..WIDE
    };
    let chart = by_environment(&runs).first().and_then(chart);
    let plot = chart.and_then(|chart| chart.svg(size));
    let plot = plot.unwrap_or_else(|| {
        r#"<text class="name" x="20" y="40">No true return was recorded.</text>"#.into()
    });
    frame::standalone_plot(size, &title, &plot)
}
