//! The page: sections in the order in which a reader asks.

use super::facts::Facts;
use super::group::{Group, by_environment, labels};
use super::text::escape;
use super::{
    RunReport, certificate, cost, curves, findings, motion, robustness, settings, summary, table,
    transfer,
};

const STYLE: &str = include_str!("../../assets/report/style.css");
const SCRIPTS: [&str; 3] = [
    include_str!("../../assets/report/motion.js"),
    include_str!("../../assets/report/plots.js"),
    include_str!("../../assets/report/landscape.js"),
];

/// The whole page.
pub(super) fn html(reports: &[RunReport]) -> String {
    let runs: Vec<Facts> = reports.iter().map(Facts::of).collect();
    let labels = labels(&runs.iter().collect::<Vec<_>>());
    let groups = by_environment(&runs);
    let title = match reports {
        [run] if !run.title.is_empty() => run.title.clone(),
        [_] => "A run".into(),
        runs => format!("{} runs compared", runs.len()),
    };
    let title = escape(&title);
    let subtitle = match &runs[..] {
        [run] => settings::line(run),
        _ => labels
            .iter()
            .map(|l| escape(l))
            .collect::<Vec<_>>()
            .join(" · "),
    };
    let sections = [
        ("Summary", "summary", Some(summary::html(&runs, &groups))),
        ("Findings", "findings", findings::html(&runs, &labels)),
        ("Motion", "motion", motion::html(&groups)),
        ("Evaluation", "evaluation", evaluation(&runs, &groups)),
        ("Robustness", "robustness", robustness::html(&runs, &labels)),
        ("Transfer", "transfer", transfer::html(&runs, &labels)),
        ("Learning curve", "learning", curves::learning(&groups)),
        ("Learned cost", "cost", cost::html(&runs, &labels)),
        ("Along the way", "way", certificate::html(&runs, &labels)),
        (
            "Diagnostics",
            "diagnostics",
            curves::diagnostics(&runs, &labels),
        ),
        (
            "Configuration",
            "configuration",
            configuration(&runs, &labels),
        ),
        ("Repeat it", "repeat", repeat(&runs, &labels)),
    ];
    let sections: Vec<_> = sections
        .into_iter()
        .filter_map(|(name, id, body)| Some((name, id, body?)))
        .collect();
    let body: String = sections
        .iter()
        .map(|(name, id, body)| format!("<section id=\"{id}\"><h2>{name}</h2>{body}</section>\n"))
        .collect();
    let contents: String = sections
        .iter()
        .skip(1)
        .map(|(name, id, _)| format!("<a href=\"#{id}\">{name}</a> "))
        .collect();
    let version = settings::version(&runs)
        .map(|v| format!(" {}", escape(&v)))
        .unwrap_or_default();
    let scripts: String = SCRIPTS
        .iter()
        .map(|s| format!("<script>\n{s}</script>\n"))
        .collect();
    // The policy forbids every request, so that the page cannot depend on the network.
    format!(
        r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"/>
<link rel="icon" href="data:,"/>
<title>{title} – Costate report</title>
<style>
{STYLE}</style></head>
<body><header><p class="kind">Costate report</p><h1>{title}</h1><p class="subtitle">{subtitle}</p>
<nav aria-label="Sections">{contents}</nav></header>
<main>
{body}</main>
<footer><p>Made by Costate{version}. This page needs no network.</p></footer>
{scripts}</body></html>
"#
    )
}

fn evaluation(runs: &[Facts], groups: &[Group]) -> Option<String> {
    let table = table::html(groups)?;
    let actions =
        runs.iter().find_map(
            |r| match r.run.evaluation.as_ref()?.get("actions")?.as_str()? {
                "mean" => Some(" Policies act by their mean action, without noise."),
                "sample" => Some(" Policies act with their own noise, as while learning."),
                _ => None,
            },
        );
    Some(format!(
        "{table}<p class=\"note\">Mean over episodes and 95 % bootstrap interval. Score = (return − \
         random) ∕ (expert − random).{}</p>",
        actions.unwrap_or_default()
    ))
}

fn configuration(runs: &[Facts], labels: &[String]) -> Option<String> {
    let mut out = String::new();
    if runs.len() > 1
        && let Some(table) = settings::differences(runs, labels)
    {
        out += &format!("<p>What differs between the runs:</p>{table}");
    }
    for (run, label) in runs.iter().zip(labels) {
        let name = if runs.len() > 1 {
            label.as_str()
        } else {
            "Every value"
        };
        out += &settings::table(name, &run.run.config);
    }
    (!out.is_empty()).then_some(out)
}

fn repeat(runs: &[Facts], labels: &[String]) -> Option<String> {
    let mut out = String::new();
    for (run, label) in runs.iter().zip(labels) {
        let Some(commands) = settings::reproduce(run) else {
            continue;
        };
        out += &match runs.len() {
            1 => commands,
            _ => format!(
                "<details><summary>{}</summary>{commands}</details>",
                escape(label)
            ),
        };
    }
    (!out.is_empty()).then(|| {
        format!(
            "<p>The same seed gives the same bits on the same kind of machine, whatever the number of \
             workers.</p>{out}"
        )
    })
}
