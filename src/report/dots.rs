//! Scores of several policies in several worlds: dots with whiskers on one scale.

use super::facts::algo_title;
use super::frame;
use super::row::{Estimate, Kind};
use super::scale::Scale;
use super::table::estimate;
use super::text::{self, escape};

/// A policy's score.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) policy: String,
    pub(super) kind: Kind,
    pub(super) returns: Option<Estimate>,
    pub(super) score: Option<Estimate>,
}

/// Policies in the same world.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) title: String,
    /// What is special there, in words.
    pub(super) summary: String,
    /// What came out, in words.
    pub(super) verdict: String,
    pub(super) entries: Vec<Entry>,
}

/// A policy's name for readers: the algorithm's as the field writes it.
pub(super) fn policy_title(policy: &str) -> String {
    match policy.split_once(", ") {
        Some((algo, rest)) => format!("{}, {rest}", algo_title(algo)),
        None => algo_title(policy),
    }
}

fn scale(blocks: &[Block]) -> Scale {
    let entries = blocks.iter().flat_map(|b| &b.entries);
    Scale::around(&entries.filter_map(|e| e.score).collect::<Vec<_>>())
}

/// One table, a part for each block; `None` without an entry.
pub(super) fn html(blocks: &[Block]) -> Option<String> {
    if blocks.iter().all(|b| b.entries.is_empty()) {
        return None;
    }
    let scale = scale(blocks);
    let mut out = format!(
        r#"<table class="results dots"><thead><tr><th scope="col">Policy</th><th scope="col" class="n minor">Return</th><th scope="col" class="n">Score</th><th scope="col" class="scale">{}</th></tr></thead>"#,
        scale.header()
    );
    for block in blocks.iter().filter(|b| !b.entries.is_empty()) {
        let note = |text: &str| match text {
            "" => String::new(),
            text => format!("<small>{}</small>", escape(text)),
        };
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
                escape(&policy_title(&e.policy)),
                estimate(e.returns, text::number),
                estimate(e.score, |v| text::fixed(v, 3)),
                e.score
                    .map(|s| scale.mark(s, e.kind, 0))
                    .unwrap_or_default(),
            );
        }
        out += "</tbody>";
    }
    Some(out + "</table>")
}

/// The same as a picture of its own; `None` without a score.
pub(super) fn standalone(heading: &str, blocks: &[Block]) -> Option<String> {
    const WIDTH: f64 = 760.0;
    const LINE: f64 = 24.0;
    let scored = |b: &Block| b.entries.iter().any(|e| e.score.is_some());
    if !blocks.iter().any(scored) {
        return None;
    }
    let scale = scale(blocks);
    let (left, right) = (250.0, WIDTH - 190.0);
    let x = |v: f64| left + scale.place(v) * (right - left);
    let mut y = 66.0;
    let mut rows = String::new();
    for block in blocks.iter().filter(|b| scored(b)) {
        if !block.title.is_empty() {
            y += 8.0;
            let title = shortened(
                &match block.summary.as_str() {
                    "" => block.title.clone(),
                    summary => format!("{}: {summary}", block.title),
                },
                110,
            );
            rows += &format!(
                r#"<text class="level-name" x="20" y="{:.1}">{}</text>"#,
                y + 4.0,
                escape(&title)
            );
            y += LINE;
        }
        for e in &block.entries {
            let Some(score) = e.score else { continue };
            rows += &format!(
                r#"<text x="28" y="{:.1}">{}</text>"#,
                y + 4.0,
                escape(&shortened(&policy_title(&e.policy), 34))
            );
            if let Some([low, high]) = score.ci95 {
                rows += &format!(
                    r#"<line class="whisker" x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#,
                    x(low),
                    x(high)
                );
            }
            let class = match e.kind {
                Kind::Learned => "point learned",
                _ => "point",
            };
            let at = x(score.mean);
            rows += &match scale.is_off(score.mean) {
                true => format!(
                    r#"<path class="{class}" d="M{at:.1} {:.1}l5 5l-5 5l-5 -5z"/>"#,
                    y - 5.0
                ),
                false => format!(r#"<circle class="{class}" cx="{at:.1}" cy="{y:.1}" r="4.5"/>"#),
            };
            let interval = score.ci95.map_or(String::new(), |[low, high]| {
                format!(" ({} to {})", text::fixed(low, 3), text::fixed(high, 3))
            });
            rows += &format!(
                r#"<text class="tick end" x="{:.1}" y="{:.1}">{}{interval}</text>"#,
                WIDTH - 20.0,
                y + 4.0,
                text::fixed(score.mean, 3),
            );
            y += LINE;
        }
    }
    let mut content = String::new();
    for (v, name) in [(0.0, "0 random"), (1.0, "expert 1")] {
        content += &format!(
            r#"<line class="grid" x1="{0:.1}" x2="{0:.1}" y1="58" y2="{1:.1}"/><text class="tick middle" x="{0:.1}" y="52">{name}</text>"#,
            x(v),
            y - 8.0
        );
    }
    Some(frame::standalone(
        WIDTH,
        y + 8.0,
        heading,
        &(content + &rows),
    ))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.into();
    }
    text.chars().take(most - 1).collect::<String>() + "…"
}
