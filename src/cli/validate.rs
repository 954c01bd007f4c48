//! Fresh policies on a frozen cost, as text.

use super::ui::{number, table};
use crate::evaluate::{Controls, Frozen};

/// The validation as text.
pub fn describe(frozen: &Frozen, controls: &Controls) -> String {
    let rows: Vec<Vec<String>> = frozen
        .policies
        .iter()
        .enumerate()
        .map(|(i, p)| {
            vec![
                p.seed.to_string(),
                number(p.discount),
                number(p.soft_value),
                format!("{:+.3}", p.delta),
                number(p.normalized_score),
                if i == frozen.kept {
                    "kept".into()
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    let header = [
        "fresh policy",
        "discount",
        "soft value",
        "δ",
        "[truth: score]",
        "",
    ];
    format!(
        "fresh policies on the frozen cost:\n{}{}δ {:+.3}: the cost is {}\n",
        table(&header, &rows),
        parts(frozen, controls),
        frozen.best().delta,
        controls.words(frozen.verdict)
    )
}

/// The whole cost beside its parts; empty if fresh policies were not trained on these.
fn parts(frozen: &Frozen, controls: &Controls) -> String {
    let all = controls.all(frozen);
    if all.len() < 2 {
        return String::new();
    }
    let mut rows = Vec::new();
    for (part, frozen) in all {
        let best = frozen.best();
        let others: Vec<String> = frozen
            .others()
            .map(|p| number(p.normalized_score))
            .collect();
        let error = best.return_standard_error.map(number);
        rows.push(vec![
            part.words().into(),
            number(best.normalized_score),
            others.join(" "),
            number(best.mean_return),
            error.unwrap_or("–".into()),
            format!("{:+.3}", best.delta),
        ]);
    }
    let header = [
        "trained on",
        "[truth: score]",
        "[others' scores]",
        "[truth: return]",
        "[standard error]",
        "δ",
    ];
    format!(
        "the kept ones on the whole cost c_θ − log π_0, π_0 the clone, and on its two parts:\n{}",
        table(&header, &rows)
    )
}
