//! The evaluation table: every policy's return and normalised score, drawn on one scale.

use super::facts::{Estimate, Kind, Row, algo_title};
use super::group::{Group, Member};
use super::text::{self, escape};

/// A line of the table.
struct Entry<'a> {
    label: String,
    /// Series style of the run, for learned policies among several runs.
    style: Option<usize>,
    row: &'a Row,
    /// Seconds and steps of training, for learned policies.
    training: Option<[Option<f64>; 2]>,
}

/// The table of all evaluated runs; `None` if none is evaluated.
pub(super) fn html(groups: &[Group]) -> Option<String> {
    let several = groups.iter().map(|g| g.members.len()).sum::<usize>() > 1;
    let tables: Vec<(&Group, Vec<Entry>)> =
        groups.iter().map(|g| (g, entries(g, several))).collect();
    if tables.iter().all(|(_, entries)| entries.is_empty()) {
        return None;
    }
    let scores = tables
        .iter()
        .flat_map(|(_, e)| e)
        .filter_map(|e| e.row.score);
    let scale = Scale::around(&scores.collect::<Vec<_>>());
    let mut out = format!(
        r#"<table class="results"><thead><tr><th scope="col">Policy</th><th scope="col" class="n">Return</th><th scope="col" class="n">Score</th><th scope="col" class="scale">{}</th>{}<th scope="col" class="n minor">Episodes</th></tr></thead>"#,
        scale.header(),
        if several {
            r#"<th scope="col" class="n minor">Training</th>"#
        } else {
            ""
        },
    );
    for (group, entries) in &tables {
        out += "<tbody>";
        if group.one_of_many {
            let env = escape(group.name());
            out += &format!(r#"<tr class="env"><th colspan="6" scope="rowgroup">{env}</th></tr>"#);
        }
        out.extend(entries.iter().map(|entry| line(entry, &scale, several)));
        out += "</tbody>";
    }
    Some(out + "</table>")
}

fn entries<'a>(group: &Group<'a>, several: bool) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry> = Vec::new();
    for Member { run, label, style } in &group.members {
        for row in &run.rows {
            // The same baseline, evaluated the same way, is one line.
            if row.kind != Kind::Learned && entries.iter().any(|e| e.row == row) {
                continue;
            }
            let learned = row.kind == Kind::Learned;
            entries.push(Entry {
                label: if learned {
                    label.clone()
                } else {
                    algo_title(&row.policy)
                },
                style: (learned && several).then_some(*style),
                row,
                training: learned.then(|| [run.last("seconds"), run.last("env_steps")]),
            });
        }
    }
    entries.sort_by_key(|e| e.row.kind);
    entries
}

fn line(entry: &Entry, scale: &Scale, several: bool) -> String {
    let row = entry.row;
    let key = entry.style.map_or_else(String::new, |s| {
        format!(r#"<span class="key s{}" aria-hidden="true"></span>"#, s % 8)
    });
    let class = if row.kind == Kind::Learned {
        " class=\"learned\""
    } else {
        ""
    };
    let training = if several {
        let [seconds, steps] = entry.training.unwrap_or_default();
        let steps = steps
            .filter(|s| *s > 0.0)
            .map(|s| small(&text::counted(s, "step", "steps")));
        format!(
            r#"<td class="n minor">{}{}</td>"#,
            seconds.map(text::duration).unwrap_or_default(),
            steps.unwrap_or_default(),
        )
    } else {
        String::new()
    };
    format!(
        r#"<tr{class}><th scope="row">{key}<span class="label">{}</span></th><td class="n">{}</td><td class="n">{}</td><td class="scale">{}</td>{training}<td class="n minor">{}</td></tr>"#,
        text::unbroken(&entry.label),
        estimate(row.returns, text::number),
        estimate(row.score, |v| text::fixed(v, 3)),
        row.score
            .map(|s| scale.mark(s, row.kind, entry.style.unwrap_or(0)))
            .unwrap_or_default(),
        row.episodes.map(text::count).unwrap_or_default(),
    )
}

fn small(text: &str) -> String {
    format!("<small>{text}</small>")
}

/// A mean above its interval.
fn estimate(e: Option<Estimate>, format: impl Fn(f64) -> String) -> String {
    let Some(e) = e else {
        return "–".into();
    };
    let interval = e
        .ci95
        .map(|[low, high]| small(&format!("{} to\u{a0}{}", format(low), format(high))));
    format!("{}{}", format(e.mean), interval.unwrap_or_default())
}

/// The scale of normalised scores: holds random at 0 and the expert at 1, and runaway policies up
/// to a point.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn around(scores: &[Estimate]) -> Self {
        let ends = || {
            scores
                .iter()
                .flat_map(|e| [e.mean].into_iter().chain(e.ci95.into_iter().flatten()))
        };
        Self {
            low: ends().fold(0.0, f64::min).max(-0.5),
            high: ends().fold(1.0, f64::max).min(1.5),
        }
    }

    /// The place of a score, per cent of the width: marks keep their size on any screen.
    fn place(&self, v: f64) -> f64 {
        let v = v.clamp(self.low, self.high);
        5.0 + (v - self.low) / (self.high - self.low) * 90.0
    }

    fn header(&self) -> String {
        let [random, expert] = [self.place(0.0), self.place(1.0)];
        format!(
            r#"<svg class="interval" height="16" aria-hidden="true"><text class="tick" x="{random:.1}%" dx="-3" y="12">0 random</text><text class="tick end" x="{expert:.1}%" dx="3" y="12">expert 1</text></svg>"#,
        )
    }

    /// A dot with its interval; an arrow where the policy is off the scale.
    fn mark(&self, e: Estimate, kind: Kind, style: usize) -> String {
        let x = self.place(e.mean);
        let mut out = String::from(r#"<svg class="interval" height="26" aria-hidden="true">"#);
        for v in [0.0, 1.0] {
            let x = self.place(v);
            out += &format!(r#"<line class="grid" x1="{x:.1}%" x2="{x:.1}%" y1="0" y2="26"/>"#);
        }
        if let Some([low, high]) = e.ci95 {
            let (low, high) = (self.place(low), self.place(high));
            out += &format!(
                r#"<line class="whisker" x1="{low:.1}%" x2="{high:.1}%" y1="13" y2="13"/>"#
            );
        }
        let class = match kind {
            Kind::Learned => format!("point learned s{}", style % 8),
            _ => "point".into(),
        };
        let arrow = |d: &str| {
            format!(r#"<svg x="{x:.1}%" overflow="visible"><path class="{class}" d="{d}"/></svg>"#)
        };
        out += &if e.mean < self.low {
            arrow("M-4 13l7 -5v10z")
        } else if e.mean > self.high {
            arrow("M4 13l-7 -5v10z")
        } else {
            format!(r#"<circle class="{class}" cx="{x:.1}%" cy="13" r="4.5"/>"#)
        };
        out + "</svg>"
    }
}
