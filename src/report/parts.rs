//! Fresh policies on a cost relative to a clone, and on its two parts, as a table.

use super::run::Run;
use super::text::escape;
use crate::evaluate::{Controls, Frozen};
use crate::number::{fixed, typeset};

/// The table of every run that has one.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let mut out = String::new();
    for run in runs {
        let Some((frozen, controls)) = run.evaluation().and_then(|e| {
            let frozen = e.frozen.as_ref()?;
            Some((frozen, &e.controls))
        }) else {
            continue;
        };
        let rows = rows(frozen, controls);
        if rows.is_empty() {
            continue;
        }
        out += &run.heading(4);
        out += &rows;
    }
    (!out.is_empty()).then(|| {
        format!(
            "<h3>What the cost adds to the clone in it</h3><p>The cost is c<sub>θ</sub> − log π<sub>0</sub>, \
             π<sub>0</sub> a clone of the demonstrations. Fresh policies were trained in the same way on each part \
             alone.</p>{out}<p class=\"note\">A policy trained on −log π<sub>0</sub> alone copies the clone: only what \
             the whole cost does beyond it is due to c<sub>θ</sub>. The kept policy has the highest learned soft value \
             of those trained on that cost; returns are of its own episodes after training, ± their standard \
             error.</p>"
        )
    })
}

/// What was found, and a row for each cost; empty if fresh policies were not trained on the parts.
fn rows(frozen: &Frozen, controls: &Controls) -> String {
    let all = controls.all(frozen);
    if all.len() < 2 {
        return String::new();
    }
    let mut rows = String::new();
    for (part, frozen) in all {
        let Some(kept) = frozen.policies.get(frozen.kept) else {
            continue;
        };
        let others: Vec<String> = frozen
            .others()
            .map(|p| fixed(p.normalized_score, 2))
            .collect();
        let error = kept.return_standard_error;
        let error = error.map_or(String::new(), |e| format!(" ± {}", typeset(e)));
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}{error}</td>\
             <td class=\"n\">{}</td></tr>",
            escape(part.words()),
            fixed(kept.normalized_score, 2),
            others.join(" "),
            typeset(kept.mean_return),
            fixed(kept.delta, 3),
        );
    }
    format!(
        "<p>The cost is {}.</p><div class=\"scroll\"><table class=\"results parts\"><thead><tr><th scope=\"col\">Trained \
         on</th><th scope=\"col\" class=\"n\">Score</th><th scope=\"col\" class=\"n\">Other fresh policies</th><th \
         scope=\"col\" class=\"n\">Return</th><th scope=\"col\" class=\"n\">δ</th></tr></thead><tbody>{rows}</tbody>\
         </table></div>",
        escape(&controls.words(frozen.verdict))
    )
}
