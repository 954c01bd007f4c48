//! The section about the learned cost: learned against true, and figures with their readings.

use super::facts::{CostPoint, Facts, algo_title};
use super::figure::{Figure, Key, Sign, slug};
use super::frame::{SMALL_SQUARE, SQUARE};
use super::row::Estimate;
use super::text::{self, escape};
use super::{correlations, discriminator, landscape, scatter, table};

/// key in `evaluation.json`, name, how to read it
const FIGURES: [(&str, &str, &str); 9] = [
    (
        "spearman",
        "Spearman’s ρ",
        "Agreement in order with the true cost: 1 is the same order, 0 none.",
    ),
    (
        "ranking_accuracy",
        "Ranking accuracy",
        "Share of pairs of trajectories that the learned cost orders as the true one does: 1 all, 0.5 is guessing.",
    ),
    (
        "epic",
        "EPIC distance",
        "Distance from the true cost that shaping and scale do not change: 0 equal, 0.71 unrelated, 1 \
         opposite.",
    ),
    (
        "dard",
        "DARD distance",
        "The same where one step of the simulator leads, so that impossible transitions do not count.",
    ),
    (
        "frozen_score",
        "Fresh policy’s score",
        "Of a policy that was trained from nothing on the frozen cost alone: 1 is the expert, 0 random actions.",
    ),
    (
        "frozen_delta",
        "Fresh policy’s δ",
        "Its learned soft value against the expert’s: about 0 is sound, below −0.02 (or a nat a step) the cost could not be \
         optimised, above 0.15 it was exploited.",
    ),
    (
        "discriminator_accuracy",
        "Discriminator accuracy",
        "Demonstrations and fresh samples told apart: 0.5 is a perfect imitation.",
    ),
    (
        "ess",
        "Effective sample size",
        "Share of the batch that carries the cost’s gradient.",
    ),
    (
        "log_z",
        "log Z",
        "Log partition function, nats; its level has no meaning of its own.",
    ),
];

/// Scatter plots and figures of all runs with a learned cost.
pub(super) fn html(runs: &[Facts], labels: &[String]) -> Option<String> {
    let body = match runs {
        [run] => single(run),
        runs => several(runs, labels),
    };
    let judged = discriminator::figures(runs, labels);
    let judged = match judged.is_empty() {
        true => None,
        false => {
            let figures: String = judged.iter().map(|f| f.html("")).collect();
            Some(format!(
                "<h3>The discriminator’s probabilities</h3><div class=\"multiples\">{figures}</div>"
            ))
        }
    };
    let parts = [
        body,
        correlations::html(runs, labels),
        landscape::html(runs, labels),
        judged,
    ];
    let parts: String = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        format!(
            "<p>A learned cost is worth as much as its order: what costs more in truth should cost more when \
             learned. Level and scale are free, so marks need to rise from left to right, not lie on the \
             diagonal.</p>{parts}"
        )
    })
}

/// Everything drawn in this section, as figures of their own.
pub(super) fn figures(runs: &[Facts], labels: &[String]) -> Vec<Figure> {
    let scatters = runs.iter().zip(labels).filter_map(|(run, label)| {
        let groups = scatter::groups(&run.cost_points);
        let of = match runs.len() {
            1 => String::new(),
            _ => format!(", {label}"),
        };
        let heading = format!("Learned against true cost{of}");
        Some(Figure {
            name: slug(&format!("learned-against-true-cost{of}")),
            plot: scatter::svg(&run.cost_points, &groups, &heading, SQUARE)?,
            heading,
            key: groups
                .iter()
                .enumerate()
                .map(|(i, group)| Key {
                    label: algo_title(group),
                    sign: Sign::Mark(i),
                })
                .collect(),
            size: SQUARE,
            caption: String::new(),
        })
    });
    let mut figures: Vec<Figure> = scatters.collect();
    figures.extend(landscape::figures(runs, labels));
    figures.extend(discriminator::figures(runs, labels));
    figures
}

/// `0.81 to 0.94. `, where the interval is known.
fn interval(e: Estimate) -> String {
    e.ci95.map_or(String::new(), |[low, high]| {
        format!("({} to {}) ", text::number(low), text::number(high))
    })
}

fn single(run: &Facts) -> Option<String> {
    let groups = scatter::groups(&run.cost_points);
    let plot = scatter::svg(
        &run.cost_points,
        &groups,
        "Learned against true cost",
        SQUARE,
    )
    .map(|plot| format!("<figure>{}{plot}</figure>", key(&groups)));
    let entries: String = FIGURES
        .iter()
        .filter_map(|(key, name, reading)| {
            let estimate = run.estimated(key)?;
            let (value, interval) = (text::number(estimate.mean), interval(estimate));
            Some(format!(
                "<div><dt>{name}</dt><dd><b>{value}</b> <small>{interval}{reading}</small></dd></div>"
            ))
        })
        .collect();
    if plot.is_none() && entries.is_empty() {
        return None;
    }
    let figures = if entries.is_empty() {
        String::new()
    } else {
        format!("<dl class=\"readings\">{entries}</dl>")
    };
    Some(format!(
        "<div class=\"beside\">{}{figures}</div>",
        plot.unwrap_or_default()
    ))
}

fn several(runs: &[Facts], labels: &[String]) -> Option<String> {
    let points: Vec<CostPoint> = runs.iter().flat_map(|r| r.cost_points.clone()).collect();
    let groups = scatter::groups(&points);
    let plots: String = runs
        .iter()
        .zip(labels)
        .filter_map(|(run, label)| {
            let name = format!("Learned against true cost, {label}");
            let plot = scatter::svg(&run.cost_points, &groups, &name, SMALL_SQUARE)?;
            Some(format!(
                "<figure><h3><span class=\"label\">{}</span></h3>{plot}</figure>",
                escape(label)
            ))
        })
        .collect();
    let known: Vec<_> = FIGURES
        .iter()
        .filter(|f| runs.iter().any(|r| r.evaluated(f.0).is_some()))
        .collect();
    if plots.is_empty() && known.is_empty() {
        return None;
    }
    let mut out = String::new();
    if !plots.is_empty() {
        out += &format!("{}<div class=\"multiples\">{plots}</div>", key(&groups));
    }
    if !known.is_empty() {
        out += &figures_by_run(runs, labels, &known);
    }
    Some(out)
}

fn figures_by_run(runs: &[Facts], labels: &[String], known: &[&(&str, &str, &str)]) -> String {
    let head: String = known
        .iter()
        .map(|f| format!("<th scope=\"col\" class=\"n\">{}</th>", f.1))
        .collect();
    let rows: String = runs
        .iter()
        .zip(labels)
        .filter(|(run, _)| known.iter().any(|f| run.evaluated(f.0).is_some()))
        .map(|(run, label)| {
            let cell = |f: &&(&str, &str, &str)| {
                let value = table::estimate(run.estimated(f.0), text::number);
                format!("<td class=\"n\">{value}</td>")
            };
            let cells: String = known.iter().map(cell).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(label))
        })
        .collect();
    let readings: String = known
        .iter()
        .map(|f| format!("<div><dt>{}</dt><dd>{}</dd></div>", f.1, f.2))
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"figures-by-run\"><thead><tr><th scope=\"col\">Run</th>\
         {head}</tr></thead><tbody>{rows}</tbody></table></div><dl class=\"readings note\">{readings}</dl>"
    )
}

/// Which mark stands for which trajectories.
fn key(groups: &[&str]) -> String {
    let items: String = groups
        .iter()
        .enumerate()
        .map(|(i, group)| {
            format!(
                r#"<li><svg class="marker" viewBox="0 0 12 12" aria-hidden="true">{}</svg><span class="label">{}</span></li>"#,
                scatter::mark(i, 6.0, 6.0),
                escape(&algo_title(group))
            )
        })
        .collect();
    format!("<ul class=\"legend\">{items}</ul>")
}
