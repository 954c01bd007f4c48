//! The evaluation table: every policy's return and normalised score, drawn on one scale.

use super::dots;
use super::run::{Group, Kind, algo_title};
use super::scale::Scale;
use super::text::{self, escape, small};
use crate::evaluate::Row;
use crate::evaluate::statistics::Estimate;
use crate::number::{self, fixed, percent};

/// A line of the table.
struct Entry<'a> {
    label: String,
    kind: Kind,
    row: &'a Row,
    /// Series style of the run, for learned policies among several runs.
    style: Option<usize>,
    /// Training time (s) and steps, for learned policies.
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
    let rows = tables.iter().flat_map(|(_, e)| e).map(|e| e.row);
    let scale = Scale::around(rows.clone().map(Row::score));
    let columns = Columns {
        success: rows.clone().any(|r| r.success_rate.is_some()),
        distance: rows.clone().any(|r| r.occupancy.is_some()),
        training: several,
    };
    let mut out = format!(
        r#"<table class="results"><thead><tr><th scope="col">Policy</th><th scope="col" class="n">Return</th><th scope="col" class="n">Score</th><th scope="col" class="scale">{}</th>{}</tr></thead>"#,
        scale.header(),
        columns.header(),
    );
    for (group, entries) in &tables {
        out += "<tbody>";
        if group.one_of_many {
            let env = escape(group.env);
            out += &format!(r#"<tr class="env"><th colspan="8" scope="rowgroup">{env}</th></tr>"#);
        }
        out.extend(entries.iter().map(|entry| line(entry, &scale, columns)));
        out += "</tbody>";
    }
    Some(out + "</table>" + &readings(rows))
}

fn entries<'a>(group: &Group<'a>, several: bool) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry> = Vec::new();
    for run in &group.members {
        for (kind, row) in run.rows() {
            let learned = kind == Kind::Learned;
            // A baseline evaluated identically appears once.
            if !learned && entries.iter().any(|e| e.row == row) {
                continue;
            }
            entries.push(Entry {
                label: match learned {
                    true => run.label.clone(),
                    false => algo_title(&row.policy),
                },
                kind,
                row,
                style: (learned && several).then_some(run.style),
                training: learned.then(|| ["seconds", "env_steps"].map(|name| run.last(name))),
            });
        }
    }
    // Nor beside the run that it is the policy of.
    let learned: Vec<&Row> = entries
        .iter()
        .filter(|e| e.kind == Kind::Learned)
        .map(|e| e.row)
        .collect();
    entries.retain(|e| e.kind == Kind::Learned || !learned.contains(&e.row));
    entries.sort_by_key(|e| e.kind);
    entries
}

/// Which of the columns hidden on phones are present.
#[derive(Debug, Clone, Copy)]
struct Columns {
    success: bool,
    distance: bool,
    training: bool,
}

impl Columns {
    fn header(self) -> String {
        let names = [
            (self.success, "Solved"),
            (self.distance, "Distance"),
            (self.training, "Training"),
            (true, "Episodes"),
        ];
        let shown = names.iter().filter(|(shown, _)| *shown);
        shown
            .map(|(_, name)| format!(r#"<th scope="col" class="n minor">{name}</th>"#))
            .collect()
    }

    fn cells(self, entry: &Entry) -> String {
        let row = entry.row;
        let [seconds, steps] = entry.training.unwrap_or_default();
        let steps = steps.filter(|s| *s > 0.0);
        let training = [
            seconds.map(number::duration),
            steps.map(|s| small(&number::counted(s, "step", "steps"))),
        ];
        let training: String = training.into_iter().flatten().collect();
        let distance = row.occupancy.map_or("–".into(), |o| {
            let p = if o.p_value < 0.001 { 0.0 } else { o.p_value };
            fixed(o.sliced_wasserstein, 3) + &small(&format!("p\u{a0}=\u{a0}{}", fixed(p, 3)))
        });
        let success = match row.success_rate {
            Some(rate) => value(rate, row.success_rate_ci95, percent),
            None => "–".into(),
        };
        let cells = [
            (self.success, success),
            (self.distance, distance),
            (self.training, training),
            (true, number::count(row.episodes as f64)),
        ];
        let shown = cells.iter().filter(|(shown, _)| *shown);
        shown
            .map(|(_, cell)| format!(r#"<td class="n minor">{cell}</td>"#))
            .collect()
    }
}

/// Explanation of the columns.
fn readings<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> String {
    let mut out = String::new();
    if rows.clone().any(|r| r.success_rate.is_some()) {
        out += "<p class=\"note\"><b>Solved</b>: the share of episodes that complete the task.</p>";
    }
    if let Some(first) = rows.filter_map(|r| r.occupancy).next() {
        let chance = first.within_reference.map_or(String::new(), |w| {
            format!(
                " Two halves of the demonstrations are {} apart by chance alone.",
                fixed(w, 3)
            )
        });
        let what = match first.states_alone {
            true => "states",
            false => "states and actions",
        };
        out += &format!(
            "<p class=\"note\"><b>Distance</b>: how far the visited {what} are from the demonstrations’, in \
             their standard deviations; 0 is identical.{chance} p: probability of so large a difference by chance alone; \
             below 0.05 the episodes visit different states, above it no difference can be shown.</p>"
        );
    }
    out
}

/// The scores as a standalone picture: one part per environment.
pub(super) fn standalone(groups: &[Group]) -> Option<String> {
    let several = groups.iter().map(|g| g.members.len()).sum::<usize>() > 1;
    let entry = |e: &Entry| dots::Entry::of_row(&e.label, e.kind, e.row);
    let block = |g: &Group| dots::Block {
        title: if g.one_of_many {
            g.env.into()
        } else {
            String::new()
        },
        entries: entries(g, several).iter().map(entry).collect(),
        ..dots::Block::default()
    };
    let blocks: Vec<dots::Block> = groups.iter().map(block).collect();
    dots::standalone("Normalised score, mean and 95 % interval", &blocks)
}

fn line(entry: &Entry, scale: &Scale, columns: Columns) -> String {
    let row = entry.row;
    let key = entry.style.map_or_else(String::new, |s| {
        format!(r#"<span class="key s{}" aria-hidden="true"></span>"#, s % 8)
    });
    let class = match entry.kind {
        Kind::Learned => " class=\"learned\"",
        _ => "",
    };
    format!(
        r#"<tr{class}><th scope="row">{key}<span class="label">{}</span>{}</th><td class="n">{}</td><td class="n">{}</td><td class="scale">{}</td>{}</tr>"#,
        text::unbroken(&entry.label),
        on_phones(row),
        estimate(row.returned(), number::typeset),
        estimate(row.score(), |v| fixed(v, 3)),
        scale.mark(row.score(), entry.kind, entry.style.unwrap_or(0)),
        columns.cells(entry),
    )
}

/// On phones, a line below the name instead of more columns.
fn on_phones(row: &Row) -> String {
    let solved = row.success_rate.map(|s| format!("solved {}", percent(s)));
    let distance = |d| format!("distance {}", fixed(d, 2));
    let distance = row.occupancy.map(|o| distance(o.sliced_wasserstein));
    let parts: Vec<String> = [solved, distance].into_iter().flatten().collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("<small class=\"narrow\">{}</small>", parts.join(", "))
}

/// A mean above its interval.
pub(super) fn estimate(e: Estimate, show: impl Fn(f64) -> String) -> String {
    value(e.mean, Some(e.ci95), show)
}

/// A figure above its interval, if known.
pub(super) fn value(mean: f64, ci95: Option<[f64; 2]>, show: impl Fn(f64) -> String) -> String {
    let interval = ci95.map(|ci| ci.map(&show));
    let interval = interval.map(|[low, high]| small(&format!("{low} to\u{a0}{high}")));
    show(mean) + &interval.unwrap_or_default()
}
