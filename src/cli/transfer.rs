//! Results in variants of a world, as text.

use super::ui::{interval, number, score_interval, table};
use crate::evaluate::{Standing, Transfer};

/// Results in variants, as text.
pub fn describe(found: &[Transfer]) -> String {
    let mut text = String::new();
    for t in found {
        let lines: Vec<Vec<String>> = t
            .rows
            .iter()
            .map(|r| {
                vec![
                    r.policy.clone(),
                    number(r.mean_return),
                    interval(r.ci95),
                    format!("{:.3}", r.normalized_score),
                    score_interval(r.normalized_score_ci95),
                ]
            })
            .collect();
        text += &format!(
            "\n{}: {}\n{}1 is {}\n",
            t.variant,
            t.summary,
            table(&["policy", "return", "95 %", "score", "95 %"], &lines),
            t.reference.words()
        );
        if let Some(frozen) = &t.frozen {
            text += &format!(
                "δ {:+.3}: the cost is {}\n",
                frozen.best().delta,
                Standing::words(t.standing, frozen.verdict)
            );
        }
    }
    text
}
