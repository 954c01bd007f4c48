//! Scores of several policies in several worlds: dots with whiskers on one scale.

use super::run::{Kind, Run, algo_title};
use super::scale::Scale;
use super::table::estimate;
use super::text::{escape, note};
use super::{frame, svg};
use crate::evaluate::Row;
use crate::evaluate::robustness::Scored;
use crate::evaluate::statistics::Estimate;
use crate::number::{fixed, typeset};

/// A policy's score.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) policy: String,
    pub(super) kind: Kind,
    /// Series style of the run, for learned policies.
    pub(super) style: usize,
    pub(super) returns: Estimate,
    pub(super) score: Estimate,
}

/// Policies in the same world.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    pub(super) title: String,
    /// What differs there, in words.
    pub(super) summary: String,
    /// The result, in words.
    pub(super) verdict: String,
    pub(super) entries: Vec<Entry>,
}

impl Entry {
    pub(super) fn of_row(policy: &str, kind: Kind, row: &Row) -> Self {
        Self {
            policy: policy_title(policy),
            kind,
            style: 0,
            returns: row.returned(),
            score: row.score(),
        }
    }

    pub(super) fn of_scored(named: &Named, scored: &Scored) -> Self {
        Self {
            policy: named.label.clone(),
            kind: named.kind,
            style: named.style,
            returns: scored.returned(),
            score: scored.score(),
        }
    }
}

/// How a policy is shown among the runs of an environment.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) style: usize,
}

/// A policy's display name, with the algorithm's usual name.
pub(super) fn policy_title(policy: &str) -> String {
    match policy.split_once(", ") {
        Some((algo, rest)) => format!("{}, {rest}", algo_title(algo)),
        None => algo_title(policy),
    }
}

fn scale(blocks: &[Block]) -> Scale {
    let entries = blocks.iter().flat_map(|b| &b.entries);
    Scale::around(entries.map(|e| e.score))
}

/// A table per run that has blocks, below a heading if there are several runs; `None` without an entry.
pub(super) fn tables(runs: &[Run], level: usize, blocks: fn(&Run) -> Vec<Block>) -> Option<String> {
    let one = |run: &Run| Some(run.heading(level) + &table(&blocks(run))?);
    let tables: String = runs.iter().filter_map(one).collect();
    (!tables.is_empty()).then_some(tables)
}

/// A table with a part per block; `None` without an entry.
pub(super) fn table(blocks: &[Block]) -> Option<String> {
    if blocks.iter().all(|b| b.entries.is_empty()) {
        return None;
    }
    let scale = scale(blocks);
    let mut out = format!(
        r#"<table class="results dots"><thead><tr><th scope="col">Policy</th><th scope="col" class="n minor">Return</th><th scope="col" class="n">Score</th><th scope="col" class="scale">{}</th></tr></thead>"#,
        scale.header()
    );
    for block in blocks.iter().filter(|b| !b.entries.is_empty()) {
        out += &format!(
            r#"<tbody><tr class="env"><th colspan="4" scope="rowgroup">{}{}{}</th></tr>"#,
            escape(&block.title),
            note(&block.summary),
            note(&block.verdict),
        );
        for e in &block.entries {
            let class = match e.kind {
                Kind::Learned => " class=\"learned\"",
                _ => "",
            };
            out += &format!(
                r#"<tr{class}><th scope="row"><span class="label">{}</span></th><td class="n minor">{}</td><td class="n">{}</td><td class="scale">{}</td></tr>"#,
                escape(&e.policy),
                estimate(e.returns, typeset),
                estimate(e.score, |v| fixed(v, 3)),
                scale.mark(e.score, e.kind, e.style)
            );
        }
        out += "</tbody>";
    }
    Some(out + "</table>")
}

const WIDTH: f64 = 760.0;
/// Height of a row.
const LINE: f64 = 24.0;

/// The same as a standalone picture; `None` without an entry.
pub(super) fn standalone(heading: &str, blocks: &[Block]) -> Option<String> {
    if blocks.iter().all(|b| b.entries.is_empty()) {
        return None;
    }
    let scale = scale(blocks);
    let x = |v: f64| 250.0 + scale.place(v) * (WIDTH - 190.0 - 250.0);
    let mut y = 66.0;
    let mut rows = String::new();
    for block in blocks.iter().filter(|b| !b.entries.is_empty()) {
        if !block.title.is_empty() {
            y += 8.0;
            let title = match block.summary.as_str() {
                "" => block.title.clone(),
                summary => format!("{}: {summary}", block.title),
            };
            rows += &svg::text("level-name", [20.0, y + 4.0], &shortened(&title, 110));
            y += LINE;
        }
        for e in &block.entries {
            rows += &row(e, &scale, x, y);
            y += LINE;
        }
    }
    let mut content = String::new();
    for (v, name) in [(0.0, "0 random"), (1.0, "expert 1")] {
        content += &svg::line("grid", [x(v), 58.0], [x(v), y - 8.0]);
        content += &svg::text("tick middle", [x(v), 52.0], name);
    }
    content += &rows;
    Some(frame::standalone(WIDTH, y + 8.0, heading, &content))
}

/// A policy's row of the picture at height `y`; `x` maps a score to its position.
fn row(e: &Entry, scale: &Scale, x: impl Fn(f64) -> f64, y: f64) -> String {
    let Estimate { mean, ci95 } = e.score;
    let ends = ci95.map(|v| [x(v), y]);
    let class = match e.kind {
        Kind::Learned => "point learned",
        _ => "point",
    };
    let dot = match scale.is_off(mean) {
        true => svg::shape(class, [x(mean), y - 5.0], "l5 5l-5 5l-5 -5z"),
        false => svg::circle(class, [x(mean), y], 4.5),
    };
    let [mean, low, high] = [mean, ci95[0], ci95[1]].map(|v| fixed(v, 3));
    svg::text("", [28.0, y + 4.0], &shortened(&e.policy, 34))
        + &svg::line("whisker", ends[0], ends[1])
        + &dot
        + &svg::text(
            "tick end",
            [WIDTH - 20.0, y + 4.0],
            &format!("{mean} ({low} to {high})"),
        )
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most - 1).collect::<String>() + "…"
}
