//! The page: sections in the order in which a reader asks.

use super::run::{Group, Run, by_environment};
use super::text::escape;
use super::{
    RunReport, certificate, changed_worlds, cost, curves, findings, learning, motion, robustness,
    settings, summary, table,
};

const STYLE: &str = include_str!("../../assets/report/style.css");
const SCRIPTS: [&str; 3] = [
    include_str!("../../assets/report/motion.js"),
    include_str!("../../assets/report/plots.js"),
    include_str!("../../assets/report/landscape.js"),
];

/// One self-contained page about `reports`: a summary in words, motion, evaluation, learning curves, the learned cost,
/// diagnostics, configuration and how to repeat it.
///
/// Several runs share one table and one set of axes. What a run does not have leaves its part of the page out.
pub fn html(reports: &[RunReport]) -> String {
    let runs = Run::all(reports);
    let groups = by_environment(&runs);
    let title = match reports {
        [run] if !run.title.is_empty() => run.title.clone(),
        [_] => "A run".into(),
        runs => format!("{} runs compared", runs.len()),
    };
    let title = escape(&title);
    let subtitle = match &runs[..] {
        [run] => settings::line(run),
        runs => {
            let labels: Vec<String> = runs.iter().map(|r| escape(&r.label)).collect();
            labels.join(" · ")
        }
    };
    let sections = [
        ("Summary", "summary", Some(summary::html(&runs, &groups))),
        ("Findings", "findings", findings::html(&runs)),
        ("Motion", "motion", motion::html(&groups)),
        ("Evaluation", "evaluation", evaluation(&runs, &groups)),
        ("Robustness", "robustness", robustness::html(&runs)),
        ("Transfer", "transfer", changed_worlds::html(&runs)),
        ("Learning curve", "learning", learning::html(&groups)),
        ("Learned cost", "cost", cost::html(&runs)),
        ("Along the way", "way", certificate::html(&runs)),
        ("Diagnostics", "diagnostics", curves::html(&runs)),
        ("Configuration", "configuration", configuration(&runs)),
        ("Repeat it", "repeat", repeat(&runs)),
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

fn evaluation(runs: &[Run], groups: &[Group]) -> Option<String> {
    let table = table::html(groups)?;
    let actions = runs
        .iter()
        .find_map(|r| match r.evaluation()?.actions.as_str() {
            "mean" => Some(" Policies act by their mean action, without noise."),
            "sample" => Some(" Policies act with their own noise, as while learning."),
            _ => None,
        });
    Some(format!(
        "{table}<p class=\"note\">Mean over episodes and 95 % bootstrap interval. Score = (return − \
         random) ∕ (expert − random).{}</p>",
        actions.unwrap_or_default()
    ))
}

fn configuration(runs: &[Run]) -> Option<String> {
    let mut out = String::new();
    if let Some(table) = settings::differences(runs) {
        out += &format!("<p>What differs between the runs:</p>{table}");
    }
    for run in runs {
        let name = if run.one_of_many {
            run.label.as_str()
        } else {
            "Every value"
        };
        out += &settings::table(name, &run.config_json());
    }
    (!out.is_empty()).then_some(out)
}

fn repeat(runs: &[Run]) -> Option<String> {
    let one = |run: &Run| {
        let commands = settings::reproduce(run)?;
        Some(match run.one_of_many {
            false => commands,
            true => format!(
                "<details><summary>{}</summary>{commands}</details>",
                escape(&run.label)
            ),
        })
    };
    let out: String = runs.iter().filter_map(one).collect();
    (!out.is_empty()).then(|| {
        format!(
            "<p>The same seed gives the same bits on the same kind of machine, whatever the number of \
             workers.</p>{out}"
        )
    })
}
