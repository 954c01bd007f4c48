//! How well policies predict demonstrated actions: all that can be measured without a simulator.

use super::run::Run;
use super::text::{escape, with_code};
use crate::evaluate::held_out::{ActionError, Figure, HeldOut};
use crate::number::{counted, fixed, plain, plain_interval};

/// The figures of every run that has them; `None` without any.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let measured = |run: &Run| Some(one(run, run.report.held_out.as_ref()?));
    let out: String = runs.iter().filter_map(measured).collect();
    (!out.is_empty()).then(|| {
        format!(
            "{out}<p class=\"note\">Means over episodes and 95 % bootstrap intervals. Small errors add up when a policy acts \
             by itself: these figures compare policies, but do not say whether one solves the task.</p>"
        )
    })
}

fn one(run: &Run, found: &HeldOut) -> String {
    let mut out = run.heading(3);
    out += &format!(
        "<p>{} ({}), {}; trained on {}.</p>",
        counted(found.episodes as f64, "episode", "episodes"),
        counted(found.steps as f64, "step", "steps"),
        escape(found.part.in_words()),
        found.trained_on
    );
    out.extend(
        found
            .statements
            .iter()
            .map(|said| format!("<p class=\"note\">{}</p>", with_code(said))),
    );
    if let Some(l) = &found.log_likelihood {
        let rows = [
            ("Policy", l.policy),
            ("Gaussian that ignores the state", l.baseline),
            ("Gain", l.gain),
        ];
        let row = |(name, figure): (&str, Figure)| {
            let ends = figure.ci95.map_or("–".into(), |[low, high]| {
                format!("{} … {}", fixed(low, 3), fixed(high, 3))
            });
            line(&[name.into(), fixed(figure.mean, 3), ends])
        };
        let body: String = rows.into_iter().map(row).collect();
        out += &table(
            &["Log-likelihood of the actions", "nats a step", "95 %"],
            &body,
        );
    }
    let row = |a: &ActionError| {
        line(&[
            format!("{} ({})", a.name, a.unit),
            plain(a.rmse.mean),
            a.rmse.ci95.map_or("–".into(), plain_interval),
            plain(a.baseline_rmse),
            a.explained.map_or("–".into(), |share| fixed(share, 3)),
        ])
    };
    let body: String = found.actions.iter().map(row).collect();
    let header = [
        "Error of the most likely action",
        "RMS",
        "95 %",
        "of the mean action",
        "Explained",
    ];
    out + &table(&header, &body)
}

fn table(header: &[&str], body: &str) -> String {
    let cell = |(i, name): (usize, &&str)| match i {
        0 => format!("<th scope=\"col\">{name}</th>"),
        _ => format!("<th scope=\"col\" class=\"n\">{name}</th>"),
    };
    let header: String = header.iter().enumerate().map(cell).collect();
    format!(
        "<table class=\"results\"><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
    )
}

/// A row with its name and numbers.
fn line(cells: &[String]) -> String {
    let cell = |(i, text): (usize, &String)| match i {
        0 => format!("<th scope=\"row\">{}</th>", escape(text)),
        _ => format!("<td class=\"n\">{}</td>", escape(text)),
    };
    let cells: String = cells.iter().enumerate().map(cell).collect();
    format!("<tr>{cells}</tr>")
}
