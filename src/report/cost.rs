//! The section about the learned cost: learned against true, and figures with their readings.

use super::facts::{Facts, algo_title};
use super::frame::{SMALL_SQUARE, SQUARE};
use super::scatter;
use super::text::{self, escape};

/// key in `evaluation.json`, name, how to read it
const FIGURES: [(&str, &str, &str); 8] = [
    (
        "spearman",
        "Spearman’s ρ",
        "Agreement in order with the true cost: 1 is the same order, 0 none.",
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
        [run] => single(run)?,
        runs => several(runs, labels)?,
    };
    Some(format!(
        "<p>A learned cost is worth as much as its order: what costs more in truth should cost more when \
         learned. Level and scale are free, so marks need to rise from left to right, not lie on the \
         diagonal.</p>{body}"
    ))
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
            let value = text::number(run.evaluated(key)?);
            Some(format!(
                "<div><dt>{name}</dt><dd><b>{value}</b> <small>{reading}</small></dd></div>"
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
    let points: Vec<_> = runs.iter().flat_map(|r| r.cost_points.clone()).collect();
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
        out += &table(runs, labels, &known);
    }
    Some(out)
}

fn table(runs: &[Facts], labels: &[String], known: &[&(&str, &str, &str)]) -> String {
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
                let value = run.evaluated(f.0).map_or_else(|| "–".into(), text::number);
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
