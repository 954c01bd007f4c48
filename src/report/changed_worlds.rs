//! Transfer to changed worlds: fresh policies trained on the frozen cost and on the true cost.

use super::dots::{self, Block, Entry};
use super::run::{Kind, Run};
use crate::evaluate::validation::{Frozen, Verdict};
use crate::evaluate::{Row, Standing, Transfer};
use crate::number::{fixed, typeset};

/// One block per variant.
pub(super) fn blocks(run: &Run) -> Vec<Block> {
    let variants = run.evaluation().map_or(&[][..], |e| &e.transfer);
    let block = |t: &Transfer| Block {
        title: t.variant.clone(),
        summary: t.summary.clone(),
        verdict: verdict(t),
        entries: t.rows.iter().map(entry).collect(),
    };
    variants.iter().map(block).collect()
}

fn entry(row: &Row) -> Entry {
    let kind = match row.policy.as_str() {
        p if p.starts_with("expert") => Kind::Expert,
        "random" => Kind::Random,
        // What the run learned: its policy, and policies trained on its cost alone.
        p if p.ends_with("transferred") || p.contains("frozen") => Kind::Learned,
        _ => Kind::Baseline,
    };
    Entry::of_row(&row.policy, kind, row)
}

/// The reference of the score there, and what δ says about the cost.
fn verdict(transfer: &Transfer) -> String {
    let scale = format!(
        "Score 1 is {} (return {}, random {}).",
        transfer.reference.words(),
        typeset(transfer.reference_return),
        typeset(transfer.random_return)
    );
    match transfer
        .frozen
        .as_ref()
        .and_then(|f| judged(f, transfer.standing))
    {
        Some(judged) => format!("{scale} {judged}"),
        None => scale,
    }
}

/// What δ says about the cost; `None` if the kept policy is not among the fresh ones.
fn judged(frozen: &Frozen, standing: Option<Standing>) -> Option<String> {
    let says = match frozen.verdict {
        Verdict::Sound => "the cost is sound here; a fresh policy reaches the expert’s soft value",
        Verdict::Exploited => {
            "the cost is exploited here; a fresh policy found behaviour that it prefers to the expert’s"
        }
        Verdict::NotOptimisable => {
            "the cost is not optimisable here; fresh policies fall short of the expert’s soft value"
        }
    };
    let aside = match (frozen.verdict, standing) {
        (Verdict::Sound, None) => "; not compared with the clone",
        _ => "",
    };
    let delta = frozen.policies.get(frozen.kept)?.delta;
    Some(format!("δ = {}: {says}{aside}.", fixed(delta, 3)))
}

/// The section; `None` if not requested.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let tables = dots::tables(runs, 3, blocks)?;
    Some(format!(
        "<p>Does the cost transfer, or does it hold in one world only? In each variant, fresh policies were \
         trained on the frozen cost alone and, for comparison, on the true cost; the policy that the run \
         learned acts there without further training.</p>{tables}<p class=\"note\">δ compares a fresh policy’s learned soft value \
         with the expert’s, per step and relative to random actions: about 0 is sound, below −0.02 could not be \
         optimised, above 0.15 was exploited.</p>"
    ))
}
