//! Learned against true cost where different policies go, as a table.

use super::facts::{Facts, algo_title, array, number, string};
use super::row::{Estimate, estimate};
use super::table;
use super::text::{self, escape};

/// Keys of a row's columns.
const COLUMNS: [&str; 4] = ["pearson", "spearman", "step_pearson", "step_spearman"];

struct Row {
    distribution: String,
    trajectories: Option<f64>,
    values: [Option<Estimate>; 4],
}

fn rows(run: &Facts) -> Vec<Row> {
    array(run.evaluation(), "correlations")
        .filter_map(|c| {
            let values = COLUMNS.map(|key| estimate(c.get(key), None));
            values.iter().any(Option::is_some).then_some(())?;
            Some(Row {
                distribution: string(c, "/distribution")?,
                trajectories: number(c, "/trajectories"),
                values,
            })
        })
        .take(100)
        .collect()
}

/// The table of every run that has one.
pub(super) fn html(runs: &[Facts], labels: &[String]) -> Option<String> {
    let mut out = String::new();
    for (run, label) in runs.iter().zip(labels) {
        let rows = rows(run);
        if rows.is_empty() {
            continue;
        }
        if runs.len() > 1 {
            out += &format!("<h4>{}</h4>", escape(label));
        }
        out += "<div class=\"scroll\"><table class=\"results correlations\"><thead><tr><th scope=\"col\" \
                rowspan=\"2\">Who acts</th><th colspan=\"2\" scope=\"colgroup\" class=\"n\">Whole \
                trajectories</th><th colspan=\"2\" scope=\"colgroup\" class=\"n\">Single steps</th></tr><tr><th \
                scope=\"col\" class=\"n\">Pearson</th><th scope=\"col\" class=\"n\">Spearman</th><th scope=\"col\" \
                class=\"n\">Pearson</th><th scope=\"col\" class=\"n\">Spearman</th></tr></thead><tbody>";
        out.extend(rows.iter().map(line));
        out += "</tbody></table></div>";
    }
    (!out.is_empty()).then(|| {
        format!(
            "<h3>Correlation with the true cost, by who acts</h3>{out}<p class=\"note\">1: learned and true cost rise \
             together, 0: unrelated. Pearson asks for a straight line, Spearman for the same order only. Within one \
             policy’s episodes differences are small, so expect less there than over all. – means that one of the two \
             costs hardly varies.</p>"
        )
    })
}

fn line(row: &Row) -> String {
    let cells: String = row
        .values
        .iter()
        .map(|v| {
            format!(
                "<td class=\"n\">{}</td>",
                table::estimate(*v, |v| text::fixed(v, 2))
            )
        })
        .collect();
    let count = row.trajectories.map_or(String::new(), |n| {
        format!(
            "<small>{}</small>",
            text::counted(n, "trajectory", "trajectories")
        )
    });
    format!(
        "<tr><th scope=\"row\"><span class=\"label\">{}</span>{count}</th>{cells}</tr>",
        escape(&algo_title(&row.distribution))
    )
}
