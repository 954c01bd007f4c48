//! Where the world has changed: fresh policies on the frozen cost, beside those on the true one.

use serde_json::Value;

use super::dots::{self, Block, Entry};
use super::facts::{Facts, array, number, string};
use super::row::{Kind, estimate};
use super::text::{self, escape};

/// One block a variant.
pub(super) fn blocks(run: &Facts) -> Vec<Block> {
    array(run.evaluation(), "transfer")
        .filter_map(|t| {
            Some(Block {
                title: string(t, "/variant")?,
                summary: string(t, "/summary").unwrap_or_default(),
                verdict: verdict(t),
                entries: array(t, "rows").filter_map(entry).collect(),
            })
        })
        .collect()
}

fn entry(row: &Value) -> Option<Entry> {
    let policy = string(row, "/policy")?;
    let kind = match policy.as_str() {
        p if p.starts_with("expert") => Kind::Expert,
        "random" => Kind::Random,
        // What the run learned: its policy, and what its cost alone leads to.
        p if p.ends_with("transferred") || p.contains("frozen") => Kind::Learned,
        _ => Kind::Baseline,
    };
    Some(Entry {
        kind,
        returns: estimate(row.get("return"), row.get("ci95")),
        score: estimate(
            row.get("normalized_score"),
            row.get("normalized_score_ci95"),
        ),
        policy,
    })
}

/// Who sets the scale there, and what δ says of the cost.
fn verdict(transfer: &Value) -> String {
    let who = match transfer.get("reference").and_then(Value::as_str) {
        Some("expert") => "Score 1 is the expert, designed for this variant",
        Some("true_cost") => "Score 1 is the best policy trained on the true cost there",
        _ => "",
    };
    let returned =
        |name: &str, at: &str| number(transfer, at).map(|v| format!("{name} {}", text::number(v)));
    let returns: Vec<String> = [
        returned("return", "/reference_return"),
        returned("random", "/random_return"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let scale = match (who, returns.is_empty()) {
        ("", _) => String::new(),
        (who, true) => format!("{who}. "),
        (who, false) => format!("{who} ({}). ", returns.join(", ")),
    };
    let frozen = transfer.get("frozen").unwrap_or(&Value::Null);
    let says = match frozen.get("verdict").and_then(Value::as_str) {
        Some("sound") => "the cost is sound here, a fresh policy reaches the expert’s soft value",
        Some("exploited") => {
            "the cost is exploited here, a fresh policy found behaviour that it prefers to the expert’s"
        }
        Some("not_optimisable") => {
            "the cost is not optimisable here, a fresh policy stays short of the expert’s soft value"
        }
        _ => "",
    };
    let kept = frozen.get("kept").and_then(Value::as_u64);
    let delta = kept.and_then(|k| number(frozen, &format!("/policies/{k}/delta")));
    let judged = match (delta, says) {
        (Some(d), "") => format!("δ = {}.", text::fixed(d, 3)),
        (Some(d), says) => format!("δ = {}: {says}.", text::fixed(d, 3)),
        (None, "") => String::new(),
        (None, says) => format!("Verdict: {says}."),
    };
    (scale + &judged).trim_end().into()
}

/// The section; `None` where nobody asked for it.
pub(super) fn html(runs: &[Facts], labels: &[String]) -> Option<String> {
    let mut tables = String::new();
    for (run, label) in runs.iter().zip(labels) {
        if let Some(table) = dots::html(&blocks(run)) {
            if runs.len() > 1 {
                tables += &format!("<h3>{}</h3>", escape(label));
            }
            tables += &table;
        }
    }
    (!tables.is_empty()).then(|| {
        format!(
            "<p>Does the cost say what to do, or only what to do in one world? In each variant fresh policies \
             learned from the frozen cost alone, and beside them from the true cost; the policy that the run \
             learned only acts there.</p>{tables}<p class=\"note\">δ compares a fresh policy’s learned soft value \
             with the expert’s, per step and relative to random actions: about 0 is sound, below −0.02 could not be \
             optimised, above 0.15 was exploited.</p>"
        )
    })
}
