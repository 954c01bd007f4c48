//! An evaluation as text.

use super::ui::{interval, number, score_interval, table};
use super::{transfer, validate};
use crate::evaluate::held_out::{ActionError, Figure, HeldOut};
use crate::evaluate::robustness::Change;
use crate::evaluate::statistics::Estimate;
use crate::evaluate::{CLONE, Correlation, CostReport, Curve, Evaluation};
use crate::number::counted;

/// The evaluation as a table with its explanations.
pub fn describe(e: &Evaluation) -> String {
    let enough = match e.precision {
        Some(width) => format!(" (asked for an interval at most {width} wide)"),
        None => String::new(),
    };
    let mut text = format!(
        "{}, {} seed {}; {} episodes a policy{enough}, actions: {}\n\n",
        e.env, e.algo, e.seed, e.episodes, e.actions
    );
    for said in &e.statements {
        text += &format!("note: {said}\n\n");
    }
    text += &policies(e);
    if let Some(c) = &e.cost {
        text += &cost(c, ladder_of(e));
    }
    for curve in &e.robustness {
        text += &robustness(curve);
    }
    if let Some(frozen) = &e.frozen {
        text += &format!("\n{}", validate::describe(frozen, &e.controls));
    }
    text + &transfer::describe(&e.transfer)
}

/// An evaluation without a simulator as a table with its explanations.
pub fn held_out(e: &HeldOut) -> String {
    let mut text = format!(
        "{}, {} seed {}, trained on {}; figures of {} ({}), {}\n\n",
        e.env,
        e.algo,
        e.seed,
        counted(e.trained_on as f64, "episode", "episodes"),
        counted(e.episodes as f64, "episode", "episodes"),
        counted(e.steps as f64, "step", "steps"),
        e.part.in_words()
    );
    for said in &e.statements {
        text += &format!("note: {said}\n\n");
    }
    let with = |f: Figure| match f.ci95 {
        Some(ends) => format!("{} ({})", three(f.mean), score_interval(ends)),
        None => three(f.mean),
    };
    if let Some(l) = &e.log_likelihood {
        text += &format!(
            "log-likelihood of the actions, nats a step, 95 % intervals in brackets:\n  policy {}\n  \
             Gaussian that ignores the state {}\n  gain {}\n\n",
            with(l.policy),
            with(l.baseline),
            with(l.gain)
        );
    }
    let row = |a: &ActionError| {
        vec![
            a.name.clone(),
            a.unit.clone(),
            number(a.rmse.mean),
            or_none(a.rmse.ci95, interval),
            number(a.baseline_rmse),
            or_none(a.explained, three),
        ]
    };
    let rows: Vec<Vec<String>> = e.actions.iter().map(row).collect();
    text += &table(
        &[
            "action",
            "unit",
            "error",
            "95 %",
            "of the mean action",
            "explained",
        ],
        &rows,
    );
    text + "error = root mean square of the difference from the demonstrated action, in the action's unit\n\
            explained = share of the squared error of the mean training action that the policy removes (1 is best)\n"
}

fn three(v: f64) -> String {
    format!("{v:.3}")
}

fn or_none<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or("–".into(), show)
}

/// Column of the modes, which most tasks do not have.
const MODES: usize = 7;

/// Shares of the modes among the solved episodes: `left 48 %, right 52 %`.
fn modes(row: &crate::evaluate::Row) -> String {
    let shares = row.modes.iter();
    let shown: Vec<String> = shares
        .map(|(name, share)| format!("{name} {:.0} %", 100.0 * share))
        .collect();
    match shown.is_empty() {
        true => "–".into(),
        false => shown.join(", "),
    }
}

fn policies(e: &Evaluation) -> String {
    let row = |r: &crate::evaluate::Row| {
        vec![
            r.policy.clone(),
            r.episodes.to_string(),
            number(r.mean_return),
            interval(r.ci95),
            three(r.normalized_score),
            score_interval(r.normalized_score_ci95),
            or_none(r.success_rate, |s| format!("{:.0} %", 100.0 * s)),
            modes(r),
            or_none(r.occupancy, |o| three(o.sliced_wasserstein)),
            or_none(r.occupancy, |o| three(o.p_value)),
        ]
    };
    let rows: Vec<Vec<String>> = e.rows.iter().map(row).collect();
    let mut header = vec![
        "policy", "episodes", "return", "95 %", "score", "95 %", "solved", "modes", "distance", "p",
    ];
    let mut rows = rows;
    let told = e.rows.iter().any(|r| !r.modes.is_empty());
    if !told {
        header.remove(MODES);
        rows.iter_mut().for_each(|row| drop(row.remove(MODES)));
    }
    let mut text = table(&header, &rows);
    text +=
        "\nscore = (return − random) / (expert − random); 95 % bootstrap intervals over episodes\n";
    if told {
        text += "modes = ways to solve the task, as shares of the solved episodes\n";
    }
    if let Some(found) = e.rows.iter().find_map(|r| r.occupancy) {
        let chance = or_none(found.within_reference, |w| {
            format!("; the demonstrations' two halves are {w:.3} apart")
        });
        text += &format!(
            "distance = of visited {} from the demonstrations' (sliced Wasserstein, in their standard deviations){}\n\
             p = of a permutation test (MMD, whole episodes): below 0.05 the episodes are told from the demonstrations\n",
            match found.states_alone {
                true => "states",
                false => "states and actions",
            },
            chance.trim_start_matches('–')
        );
    }
    text
}

/// Whose actions are replaced by random ones on the ladder.
fn ladder_of(e: &Evaluation) -> &'static str {
    match e.rows.iter().any(|r| r.policy == CLONE) {
        true => "the clone",
        false => "the policy",
    }
}

fn cost(c: &CostReport, ladder: &str) -> String {
    let figure = |v: Option<f64>, ci: Option<[f64; 2]>| match (v, ci) {
        (Some(v), Some(ci)) => format!("{v:.3} ({})", score_interval(ci)),
        (Some(v), None) => three(v),
        (None, _) => "– (one cost is constant)".into(),
    };
    let mut text = format!(
        "\ncost against the true one, {} trajectories, 95 % intervals in brackets:\n  \
         Spearman {} (1 is best)\n  ranking of graded trajectories {} (1 is best, 0.5 chance)\n  \
         EPIC distance {} (0 is best)\n  DARD distance {} (0 is best)\n\n",
        c.cost_scatter.len(),
        figure(c.spearman, c.spearman_ci95),
        figure(c.ranking_accuracy, c.ranking_accuracy_ci95),
        figure(c.epic, c.epic_ci95),
        figure(c.dard, c.dard_ci95),
    );
    if let Some(share) = c.base_share {
        text += &format!(
            "share of −log π_0 in the cost's variation over the ladder: {}\n\n",
            figure(Some(share), c.base_share_ci95)
        );
    }
    let estimate = |e: Option<Estimate>| {
        or_none(e, |e| {
            format!("{:.2} ({:.2} … {:.2})", e.mean, e.ci95[0], e.ci95[1])
        })
    };
    let row = |c: &Correlation| {
        vec![
            c.distribution.clone(),
            c.trajectories.to_string(),
            estimate(c.pearson),
            estimate(c.spearman),
            estimate(c.step_pearson),
            estimate(c.step_spearman),
        ]
    };
    let rows: Vec<Vec<String>> = c.correlations.iter().map(row).collect();
    text += &table(
        &[
            "distribution",
            "trajectories",
            "Pearson",
            "Spearman",
            "Pearson, steps",
            "Spearman, steps",
        ],
        &rows,
    );
    text += &format!(
        "ladder = {ladder} with 0, 15, 30, 60 and 100 % of its actions replaced by random ones\n"
    );
    if let Some(d) = &c.discriminator {
        text += &format!(
            "discriminator: accuracy {:.3} (0.5 when demonstrations and policy cannot be told apart), \
             calibration error {:.3}, ESS {:.2} of the batch, log Z {}\n",
            d.discriminator_accuracy,
            d.calibration_error,
            d.ess,
            number(d.log_z)
        );
    }
    text
}

fn robustness(curve: &Curve) -> String {
    let title = match curve.kind {
        Change::ActionNoise => "noise on actions",
        Change::ObservationNoise => "noise on observations",
        Change::Variant => "variants",
    };
    let names: Vec<&str> = curve.points.first().map_or(Vec::new(), |p| {
        p.policies.iter().map(|s| s.policy.as_str()).collect()
    });
    let mut header = vec![title];
    for name in &names {
        header.extend([name, "95 %"]);
    }
    let row = |p: &crate::evaluate::robustness::Point| {
        let place = p.level.map(number).or(p.name.clone());
        let mut cells = vec![place.unwrap_or_default()];
        for s in &p.policies {
            cells.extend([
                three(s.normalized_score),
                score_interval(s.normalized_score_ci95),
            ]);
        }
        cells
    };
    let rows: Vec<Vec<String>> = curve.points.iter().map(row).collect();
    format!(
        "\n{}scores on the unmodified world's scale; {}\n",
        table(&header, &rows),
        curve.unit
    )
}
