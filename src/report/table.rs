//! The evaluation table: every policy's return and normalised score, drawn on one scale.

use super::dots;
use super::facts::algo_title;
use super::group::{Group, Member};
use super::row::{Distance, Estimate, Kind, Row};
use super::scale::Scale;
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
    let columns = Columns::of(&tables, several);
    let mut out = format!(
        r#"<table class="results"><thead><tr><th scope="col">Policy</th><th scope="col" class="n">Return</th><th scope="col" class="n">Score</th><th scope="col" class="scale">{}</th>{}</tr></thead>"#,
        scale.header(),
        columns.header(),
    );
    for (group, entries) in &tables {
        out += "<tbody>";
        if group.one_of_many {
            let env = escape(group.name());
            out += &format!(r#"<tr class="env"><th colspan="8" scope="rowgroup">{env}</th></tr>"#);
        }
        out.extend(entries.iter().map(|entry| line(entry, &scale, columns)));
        out += "</tbody>";
    }
    Some(out + "</table>" + &readings(&tables))
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

/// Which of the columns that phones leave out are there.
#[derive(Debug, Clone, Copy)]
struct Columns {
    success: bool,
    distance: bool,
    training: bool,
}

impl Columns {
    fn of(tables: &[(&Group, Vec<Entry>)], several: bool) -> Self {
        let any = |has: fn(&Row) -> bool| tables.iter().flat_map(|t| &t.1).any(|e| has(e.row));
        Self {
            success: any(|r| r.success.is_some()),
            distance: any(|r| r.distance.is_some()),
            training: several,
        }
    }

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
        let steps = steps
            .filter(|s| *s > 0.0)
            .map(|s| small(&text::counted(s, "step", "steps")));
        let training = format!(
            "{}{}",
            seconds.map(text::duration).unwrap_or_default(),
            steps.unwrap_or_default()
        );
        let distance = row.distance.map_or_else(
            || "–".into(),
            |d| {
                let p = d
                    .p_value
                    .map(|p| small(&format!("p\u{a0}=\u{a0}{}", probability(p))));
                text::fixed(d.sliced_wasserstein, 3) + &p.unwrap_or_default()
            },
        );
        let cells = [
            (self.success, estimate(row.success, percent)),
            (self.distance, distance),
            (self.training, training),
            (true, row.episodes.map(text::count).unwrap_or_default()),
        ];
        let shown = cells.iter().filter(|(shown, _)| *shown);
        shown
            .map(|(_, cell)| format!(r#"<td class="n minor">{cell}</td>"#))
            .collect()
    }
}

fn percent(share: f64) -> String {
    // 99.6 % is not all.
    let digits = usize::from(share > 0.0 && share < 1.0 && !(0.01..=0.99).contains(&share));
    text::fixed(100.0 * share, digits) + "\u{a0}%"
}

fn probability(p: f64) -> String {
    if p < 0.001 {
        "0.000".into()
    } else {
        text::fixed(p, 3)
    }
}

/// What the columns mean, in plain words.
fn readings(tables: &[(&Group, Vec<Entry>)]) -> String {
    let rows = || tables.iter().flat_map(|t| &t.1).map(|e| e.row);
    let mut out = String::new();
    if rows().any(|r| r.success.is_some()) {
        out += "<p class=\"note\"><b>Solved</b>: the share of episodes that do the task to the end.</p>";
    }
    let distances: Vec<Distance> = rows().filter_map(|r| r.distance).collect();
    if let Some(first) = distances.first() {
        let chance = first.within_reference.map_or(String::new(), |w| {
            format!(
                " Two halves of the demonstrations are {} apart by chance alone.",
                text::fixed(w, 3)
            )
        });
        let test = if distances.iter().any(|d| d.p_value.is_some()) {
            " p: how often chance alone would tell the episodes from the demonstrations as clearly; below 0.05 \
             they visit other states, above it no difference can be shown."
        } else {
            ""
        };
        out += &format!(
            "<p class=\"note\"><b>Distance</b>: how far the visited states and actions are from the demonstrations’, in \
             their standard deviations; 0 is the same.{chance}{test}</p>"
        );
    }
    out
}

/// The scores as a picture of its own: one part an environment.
pub(super) fn standalone(groups: &[Group]) -> Option<String> {
    let several = groups.iter().map(|g| g.members.len()).sum::<usize>() > 1;
    let blocks: Vec<dots::Block> = groups
        .iter()
        .map(|g| dots::Block {
            title: if g.one_of_many {
                g.name().into()
            } else {
                String::new()
            },
            summary: String::new(),
            verdict: String::new(),
            entries: entries(g, several)
                .iter()
                .map(|e| dots::Entry {
                    policy: e.label.clone(),
                    kind: e.row.kind,
                    returns: e.row.returns,
                    score: e.row.score,
                })
                .collect(),
        })
        .collect();
    dots::standalone("Normalised score, mean and 95 % interval", &blocks)
}

fn line(entry: &Entry, scale: &Scale, columns: Columns) -> String {
    let row = entry.row;
    let key = entry.style.map_or_else(String::new, |s| {
        format!(r#"<span class="key s{}" aria-hidden="true"></span>"#, s % 8)
    });
    let class = if row.kind == Kind::Learned {
        " class=\"learned\""
    } else {
        ""
    };
    format!(
        r#"<tr{class}><th scope="row">{key}<span class="label">{}</span>{}</th><td class="n">{}</td><td class="n">{}</td><td class="scale">{}</td>{}</tr>"#,
        text::unbroken(&entry.label),
        on_phones(row),
        estimate(row.returns, text::number),
        estimate(row.score, |v| text::fixed(v, 3)),
        row.score
            .map(|s| scale.mark(s, row.kind, entry.style.unwrap_or(0)))
            .unwrap_or_default(),
        columns.cells(entry),
    )
}

/// Phones have no room for more columns: a line below the name instead.
fn on_phones(row: &Row) -> String {
    let parts: Vec<String> = [
        row.success.map(|s| format!("solved {}", percent(s.mean))),
        row.distance
            .map(|d| format!("distance {}", text::fixed(d.sliced_wasserstein, 2))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("<small class=\"narrow\">{}</small>", parts.join(", "))
}

fn small(text: &str) -> String {
    format!("<small>{text}</small>")
}

/// A mean above its interval.
pub(super) fn estimate(e: Option<Estimate>, format: impl Fn(f64) -> String) -> String {
    let Some(e) = e else {
        return "–".into();
    };
    let interval = e
        .ci95
        .map(|[low, high]| small(&format!("{} to\u{a0}{}", format(low), format(high))));
    format!("{}{}", format(e.mean), interval.unwrap_or_default())
}
