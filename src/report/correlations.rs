//! Correlation of learned and true cost on the trajectories of different policies, as a table.

use super::run::{Run, algo_title};
use super::table;
use super::text::{escape, small};
use crate::evaluate::Correlation;
use crate::number::{counted, fixed};

/// The table of every run that has one.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let mut out = String::new();
    for run in runs {
        let all = run.cost().map_or(&[][..], |c| &c.correlations);
        let rows: String = all.iter().filter_map(line).collect();
        if rows.is_empty() {
            continue;
        }
        out += &run.heading(4);
        out += "<div class=\"scroll\"><table class=\"results correlations\"><thead><tr><th scope=\"col\" \
                rowspan=\"2\">Acting policy</th><th colspan=\"2\" scope=\"colgroup\" class=\"n\">Whole \
                trajectories</th><th colspan=\"2\" scope=\"colgroup\" class=\"n\">Single steps</th></tr><tr><th \
                scope=\"col\" class=\"n\">Pearson</th><th scope=\"col\" class=\"n\">Spearman</th><th scope=\"col\" \
                class=\"n\">Pearson</th><th scope=\"col\" class=\"n\">Spearman</th></tr></thead><tbody>";
        out += &rows;
        out += "</tbody></table></div>";
    }
    (!out.is_empty()).then(|| {
        format!(
            "<h3>Correlation with the true cost, by acting policy</h3>{out}<p class=\"note\">1: learned and true cost rise \
             together; 0: unrelated. Pearson measures linear agreement, Spearman rank agreement only. Within one \
             policy’s episodes differences are small, so expect lower values there than overall. – means that one of \
             the two costs hardly varies.</p>"
        )
    })
}

/// A row; `None` if nothing could be correlated.
fn line(c: &Correlation) -> Option<String> {
    let values = [c.pearson, c.spearman, c.step_pearson, c.step_spearman];
    values.iter().any(Option::is_some).then_some(())?;
    let cells = values.map(|e| {
        let cell = e.map_or("–".into(), |e| table::estimate(e, |v| fixed(v, 2)));
        format!("<td class=\"n\">{cell}</td>")
    });
    Some(format!(
        "<tr><th scope=\"row\"><span class=\"label\">{}</span>{}</th>{}</tr>",
        escape(&algo_title(&c.distribution)),
        small(&counted(
            c.trajectories as f64,
            "trajectory",
            "trajectories"
        )),
        cells.concat(),
    ))
}
