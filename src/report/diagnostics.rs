//! What the quantities in `metrics.jsonl` mean and how to read them.

/// A recorded quantity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantity {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) unit: &'static str,
    /// How to read it, in a sentence or two.
    pub(super) reading: &'static str,
    /// Fixed range, for shares.
    pub(super) range: Option<[f64; 2]>,
    /// A value worth a line, with its name.
    pub(super) level: Option<(f64, &'static str)>,
}

/// Not diagnostics: the axes and the plot of their own.
const ELSEWHERE: [&str; 4] = ["iteration", "seconds", "env_steps", "true_return"];

/// name, title, unit, reading
const KNOWN: [(&str, &str, &str, &str); 19] = [
    (
        "discriminator_accuracy",
        "Discriminator accuracy",
        "share",
        "Trajectories told apart correctly. Towards ½ the policy passes for the expert; near 1 also \
         happens in good runs, so it is no alarm by itself.",
    ),
    (
        "discriminator_loss",
        "Discriminator loss",
        "nats",
        "1.39 is guessing. Close to 0 while the return stands still: the discriminator has won and \
         teaches nothing.",
    ),
    (
        "ess",
        "Effective sample size",
        "share of the batch",
        "Trajectories that carry the cost’s gradient. Healthy above 0.3; below 0.1 a handful decide \
         everything, and a larger β helps.",
    ),
    (
        "saturation",
        "Saturated discriminator",
        "share",
        "Trajectories of which the discriminator is all but certain: they hardly teach any more. \
         Lower is better.",
    ),
    (
        "calibration_error",
        "Calibration error",
        "share",
        "How far the discriminator’s probabilities lie from the shares of demonstrations that they stand          for. 0 is honest; with few trajectories 0.1 is noise.",
    ),
    (
        "log_z",
        "log Z",
        "nats",
        "Log partition function of the learned model, solved at every step. Its level means nothing; \
         it should drift and settle, not jump.",
    ),
    (
        "log_z_half_width",
        "Uncertainty of log Z",
        "± nats",
        "Half the width of its 95 % interval. Growing while the policy stands still: ever fewer          trajectories decide it.",
    ),
    (
        "cost_gradient_norm",
        "Gradient of the cost",
        "norm",
        "How hard the discriminator pulls on the cost. Shrinks as policy and expert become alike; \
         spikes mean a learning rate too high.",
    ),
    (
        "entropy",
        "Entropy of the policy",
        "nats a step",
        "Randomness of the actions. Falls while the policy learns and settles at the expert’s own \
         noise; climbing without end is a failure.",
    ),
    (
        "policy_std",
        "Action noise of the policy",
        "std. dev., action units",
        "Should come down towards the noise of the demonstrations. At its ceiling or unchanged by \
         mid-run: training is failing.",
    ),
    (
        "kl",
        "Policy change",
        "nats a step",
        "Mean KL divergence from one iteration’s policy to the next. Small and steady is good; \
         spikes undo what was learned.",
    ),
    (
        "passes",
        "Passes over the batch",
        "passes",
        "Passes before the bound on the policy’s change stopped them. Always 1: the policy’s \
         learning rate is too high.",
    ),
    (
        "policy_gradient_norm",
        "Gradient of the policy",
        "norm",
        "Before clipping. Settles to a plateau; growth over the run points to an unstable critic.",
    ),
    (
        "value_error",
        "Critic’s error",
        "share of variance",
        "Part of the cost to go that the critic does not explain. Near 1 it is no better than a \
         constant; well below 1 its advantages are useful.",
    ),
    (
        "soft_cost",
        "Soft cost",
        "nats a step",
        "Learned cost plus log-density of the actions: what the policy lowers.",
    ),
    (
        "loss",
        "Training loss",
        "nats a step",
        "Negative log-likelihood of the demonstrated actions. Falls, then levels off at the expert’s \
         own noise.",
    ),
    (
        "held_out_loss",
        "Held-out loss",
        "nats a step",
        "The same on episodes not trained on. Rising while the training loss falls is overfitting; \
         the weights at the minimum are kept.",
    ),
    (
        "gradient_penalty",
        "Gradient penalty",
        "",
        "Keeps the cost smooth in observations and actions. Should stay small beside the loss.",
    ),
    (
        "steps_per_second",
        "Speed",
        "steps/s",
        "Environment steps a second, learning included.",
    ),
];

/// Describes a recorded quantity; `None` for those shown elsewhere.
pub(super) fn describe(name: &str) -> Option<Quantity> {
    if ELSEWHERE.contains(&name) {
        return None;
    }
    let known = KNOWN.iter().find(|entry| entry.0 == name);
    let words = name.replace('_', " ");
    let (title, unit, reading) = known.map_or((words.as_str(), "", ""), |e| (e.1, e.2, e.3));
    Some(Quantity {
        name: name.into(),
        title: title.into(),
        unit,
        reading,
        range: matches!(
            name,
            "discriminator_accuracy" | "ess" | "saturation" | "calibration_error"
        )
        .then_some([0.0, 1.0]),
        level: match name {
            "discriminator_accuracy" => Some((0.5, "chance")),
            "discriminator_loss" => Some((2.0 * std::f64::consts::LN_2, "chance")),
            "ess" => Some((0.1, "alarm")),
            _ => None,
        },
    })
}

/// The order to show quantities in: known ones as listed, then the others.
pub(super) fn rank(name: &str) -> usize {
    KNOWN
        .iter()
        .position(|entry| entry.0 == name)
        .unwrap_or(KNOWN.len())
}
