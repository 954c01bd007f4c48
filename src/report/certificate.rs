//! The soft value along the policy's way: does the cost to go fall?

use serde_json::Value;

use super::chart::{Chart, Level, Line};
use super::facts::{Facts, array, number};
use super::figure::{Figure, slug};
use super::frame::MEDIUM;
use super::row::estimate;
use super::text;

/// One chart a run.
pub(super) fn figures(runs: &[Facts], labels: &[String]) -> Vec<Figure> {
    let of = |(run, label): (&Facts, &String)| {
        let title = match runs.len() {
            1 => String::new(),
            _ => format!(", {label}"),
        };
        figure(run.evaluation().get("certificate")?, &title)
    };
    runs.iter().zip(labels).filter_map(of).collect()
}

fn figure(certificate: &Value, of: &str) -> Option<Figure> {
    let numbers = |descent: &Value, key: &str| -> Vec<f64> {
        array(descent, key).filter_map(Value::as_f64).collect()
    };
    let lines = array(certificate, "descents")
        .enumerate()
        .map(|(i, d)| Line {
            label: format!("trajectory {}", i + 1),
            style: 0,
            points: std::iter::zip(numbers(d, "steps"), numbers(d, "cost_to_go"))
                .map(|(t, j)| [t, j])
                .collect(),
            band: Vec::new(),
        });
    let chart = Chart {
        name: format!("Soft cost to go along the policy’s trajectories{of}"),
        x_label: "Step".into(),
        y_label: "Soft cost to go, nats".into(),
        lines: lines.collect(),
        levels: vec![Level {
            name: "arrived".into(),
            value: number(certificate, "/arrived")?,
        }],
        range: None,
        marks: false,
    };
    Some(Figure {
        name: slug(&format!("soft-value-along-the-way{of}")),
        heading: format!("Soft cost to go along the way{of}"),
        key: Vec::new(),
        plot: chart.svg(MEDIUM)?,
        size: MEDIUM,
        caption: words(certificate)?,
    })
}

fn words(certificate: &Value) -> Option<String> {
    let horizon = number(certificate, "/horizon")?;
    let rollouts = number(certificate, "/rollouts")?;
    let said = |key: &str, whose: &str| {
        let share = certificate.get(key)?;
        let states = number(share, "/states")?;
        let Some(e) = estimate(share.get("falling"), None) else {
            return Some(format!("No state {whose}."));
        };
        let percent = |v: f64| text::fixed(100.0 * v, 0);
        let interval = e.ci95.map_or(String::new(), |[low, high]| {
            format!(" (95 %: {} to {})", percent(low), percent(high))
        });
        Some(format!(
            "From {} %{interval} of the {states} states {whose} it falls to the next measured one.",
            percent(e.mean)
        ))
    };
    let (all, above) = (
        said("all", "before the last tenth")?,
        said("above", "above what trajectories come to")?,
    );
    Some(format!(
        "The learned cost less the policy’s entropy over the next {horizon} steps, mean of {rollouts} rollouts from \
         every state. {all} {above} A Lyapunov function would fall from all of them; this is sampled, not proven."
    ))
}

/// The section; `None` where no cost was learned.
pub(super) fn html(runs: &[Facts], labels: &[String]) -> Option<String> {
    let figures: String = figures(runs, labels)
        .iter()
        .map(|f| f.html(r#" class="chart" data-reads="level""#))
        .collect();
    (!figures.is_empty()).then(|| format!("<div class=\"multiples wide-ones\">{figures}</div>"))
}
