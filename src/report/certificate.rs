//! The soft value along the policy's trajectories: does the cost to go decrease?

use super::chart::{Chart, Level, Line};
use super::figure::{Figure, multiples};
use super::frame::MEDIUM;
use super::run::Run;
use crate::evaluate::Certificate;
use crate::evaluate::certificate::Share;
use crate::number::fixed;

/// One chart per run.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let of = |run: &Run| figure(run.evaluation()?.certificate.as_ref()?, &run.suffix());
    runs.iter().filter_map(of).collect()
}

fn figure(certificate: &Certificate, of: &str) -> Option<Figure> {
    let lines = certificate.descents.iter().enumerate().map(|(i, d)| Line {
        label: format!("trajectory {}", i + 1),
        points: std::iter::zip(&d.steps, &d.cost_to_go)
            .map(|(t, j)| [*t as f64, *j])
            .collect(),
        ..Line::default()
    });
    let chart = Chart {
        name: format!("Soft cost to go along the policy’s trajectories{of}"),
        x_label: "Step".into(),
        y_label: "Soft cost to go, nats".into(),
        lines: lines.collect(),
        levels: vec![Level::new("arrived", certificate.arrived)],
        ..Chart::default()
    };
    Some(Figure {
        caption: words(certificate),
        ..Figure::new(
            &format!("soft-value-along-the-way{of}"),
            &format!("Soft cost to go along trajectories{of}"),
            MEDIUM,
            chart.svg(MEDIUM)?,
        )
    })
}

fn words(certificate: &Certificate) -> String {
    let said = |share: Share, whose: &str| {
        let Some(e) = share.falling else {
            return format!("No state {whose}.");
        };
        let [share_falling, low, high] =
            [e.mean, e.ci95[0], e.ci95[1]].map(|v| fixed(100.0 * v, 0));
        format!(
            "It falls from {share_falling} % (95 %: {low} to {high}) of the {} states {whose} to the next measured state.",
            share.states
        )
    };
    format!(
        "The learned cost minus the policy’s entropy over the next {} steps, mean of {} rollouts from every state. {} {} A \
         Lyapunov function would decrease from all of them; this is sampled, not proven.",
        certificate.horizon,
        certificate.rollouts,
        said(certificate.all, "before the last tenth"),
        said(
            certificate.above,
            "above the level at which trajectories settle"
        ),
    )
}

/// The section; `None` where no cost was learned.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let attributes = r#" class="chart" data-reads="level""#;
    multiples("multiples wide-ones", &figures(runs), attributes)
}
