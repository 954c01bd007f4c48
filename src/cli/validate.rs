//! Fresh policies on a frozen cost, as text.

use super::ui::{number, table};
use crate::evaluate::Frozen;

/// The validation as text.
pub fn describe(frozen: &Frozen) -> String {
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
    let best = frozen.best();
    let header = [
        "fresh policy",
        "discount",
        "soft value",
        "δ",
        "[truth: score]",
        "",
    ];
    format!(
        "fresh policies on the frozen cost:\n{}δ {:+.3}: the cost is {}\n",
        table(&header, &rows),
        best.delta,
        frozen.verdict.words()
    )
}
