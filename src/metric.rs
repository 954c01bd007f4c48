//! What learners report of an iteration: one enum, with the key in `metrics.jsonl`, title, unit and meaning of each.

use serde::{Deserialize, Serialize};

/// A learner's diagnostics of one iteration, in order of interest.
pub type Diagnostics = Vec<(Metric, f64)>;

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $key:literal, $title:literal, $unit:literal, $reading:literal;)*) => {
        /// A quantity that learners record every iteration.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Metric {
            $(#[doc = $reading] $name,)*
        }

        impl Metric {
            /// All of them, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in `metrics.jsonl` and TensorBoard.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// Its name for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Its unit; empty for pure numbers.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit,)* }
            }

            /// What it means and how to read it. `{rows}` stands for what the algorithm's discriminator compares.
            pub const fn reading(self) -> &'static str {
                match self { $(Self::$name => $reading,)* }
            }
        }
    };
}

metrics! {
    TrueReturn: "true_return", "True return", "return",
        "Mean return of the rollouts by the world’s own cost. Learners never see it.";
    Solved: "solved", "Solved", "share",
        "Share of the rollouts that solved the task. Learners never see it.";
    DiscriminatorAccuracy: "discriminator_accuracy", "Discriminator accuracy", "share",
        "{Rows} told apart correctly. Towards ½ the policy passes for the expert; near 1 also happens in good \
        runs, so it is no alarm by itself.";
    DiscriminatorLoss: "discriminator_loss", "Discriminator loss", "nats",
        "1.39 is guessing. Close to 0 while the return stands still: the discriminator has won and teaches \
        nothing.";
    Ess: "ess", "Effective sample size", "share of the batch",
        "{Rows} that carry the cost’s gradient. Healthy above 0.3; below 0.1 a handful decide everything.";
    Saturation: "saturation", "Saturated discriminator", "share",
        "{Rows} of which the discriminator is all but certain: they hardly teach any more. Lower is better.";
    CalibrationError: "calibration_error", "Calibration error", "share",
        "How far the discriminator’s probabilities lie from the shares of demonstrations that they stand for. \
        0 is honest; with few {rows} 0.1 is noise.";
    LogZ: "log_z", "log Z", "nats",
        "Log partition function of the learned model, solved at every step. Its level means nothing; it \
        should drift and settle, not jump.";
    LogZHalfWidth: "log_z_half_width", "Uncertainty of log Z", "± nats",
        "Half the width of its 95 % interval. Growing while the policy stands still: ever fewer {rows} decide \
        it.";
    CostGradientNorm: "cost_gradient_norm", "Gradient of the cost", "norm",
        "How hard the discriminator pulls on the cost. Shrinks as policy and expert become alike; spikes mean \
        a learning rate too high.";
    Entropy: "entropy", "Entropy of the policy", "nats a step",
        "Randomness of the actions. Falls while the policy learns and settles at the expert’s own noise; \
        climbing without end is a failure.";
    PolicyStd: "policy_std", "Action noise of the policy", "std. dev., action units",
        "Should come down towards the noise of the demonstrations. At its ceiling or unchanged by mid-run: \
        training is failing.";
    Kl: "kl", "Policy change", "nats a step",
        "Mean KL divergence from one iteration’s policy to the next. Small and steady is good; spikes undo \
        what was learned.";
    Passes: "passes", "Passes over the batch", "passes",
        "Passes before the bound on the policy’s change stopped them. Always 1: the policy’s learning rate is \
        too high.";
    PolicyGradientNorm: "policy_gradient_norm", "Gradient of the policy", "norm",
        "Before clipping. Settles to a plateau; growth over the run points to an unstable critic.";
    ValueError: "value_error", "Critic’s error", "share of variance",
        "Part of the cost to go that the critic does not explain. Near 1 it is no better than a constant; \
        well below 1 its advantages are useful.";
    SoftCost: "soft_cost", "Soft cost", "nats a step",
        "Learned cost plus log-density of the actions: what the policy lowers.";
    Loss: "loss", "Training loss", "nats a step",
        "Negative log-likelihood of the demonstrated actions. Falls, then levels off at the expert’s own \
        noise.";
    HeldOutLoss: "held_out_loss", "Held-out loss", "nats a step",
        "The same on episodes not trained on. Rising while the training loss falls is overfitting; the \
        weights at the minimum are kept.";
    IocLoss: "ioc_loss", "Loss of the cost", "nats",
        "What guided cost learning descends: the demonstrations’ energy plus the log partition function. Its \
        level means nothing; it should settle.";
    EssPlain: "ess_plain", "Effective sample size, untempered", "share of the pool",
        "The same at β = 1: how far the samples alone could carry an estimate of log Z.";
    EntropyWeight: "entropy_weight", "Entropy weight", "α",
        "Weight of the policy’s log-density in what it minimises. Moves only where SAC holds a target \
        entropy.";
    Accuracy: "accuracy", "Accuracy", "share",
        "Share of the steps whose demonstrated action has the lowest energy among its counter-examples.";
    HeldOutAccuracy: "held_out_accuracy", "Held-out accuracy", "share",
        "The same on episodes not trained on.";
    LabelledSteps: "labelled_steps", "Labelled steps", "steps",
        "Steps with an expert’s label so far, demonstrations included.";
    StepCost: "step_cost", "Cost", "a step",
        "Mean cost of a step of the rollouts: what is minimised.";
    EpisodeSteps: "episode_steps", "Length of the episodes", "steps",
        "Mean number of steps of the rollouts.";
    Success: "success", "Success", "share",
        "Share of the rollouts that solved the task.";
    Eta: "eta", "Step’s temperature η", "",
        "Multiplier that holds the controllers’ step within its KL bound.";
    KlBound: "kl_bound", "KL bound", "nats a step",
        "Bound on the controllers’ step, adapted to how well steps kept what they promised.";
    Stuck: "stuck", "Controllers without a step", "share",
        "Controllers for which no step within the bound was found.";
    TakenBack: "taken_back", "Steps taken back", "share",
        "Controllers that went back to an earlier one because the step lost more than it promised.";
    DynamicsError: "dynamics_error", "Error of the dynamics", "share of variance",
        "Part of the next states that the fitted dynamics do not explain.";
    DistillationLoss: "distillation_loss", "Distillation loss", "nats a step",
        "Negative log-likelihood of the controllers’ actions under the distilled policy.";
    DemonstratedEnergy: "demonstrated_energy", "Energy of the demonstrations", "nats",
        "Mean energy of the demonstrations.";
    SampledEnergy: "sampled_energy", "Energy of the rollouts", "nats",
        "Mean energy of the newest rollouts. Comes down to the demonstrations’ while the controllers learn.";
}

impl Metric {
    /// The metric with this key; keys of earlier versions are known, too.
    pub fn with_key(key: &str) -> Option<Self> {
        let key = match key {
            // Runs before format 2.
            "temperature" => "entropy_weight",
            key => key,
        };
        Self::ALL.iter().copied().find(|m| m.key() == key)
    }

    /// Whether it is a share, in [0, 1].
    pub fn is_share(self) -> bool {
        matches!(
            self,
            Self::DiscriminatorAccuracy | Self::Ess | Self::Saturation | Self::CalibrationError
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_lead_back() {
        for &metric in Metric::ALL {
            assert_eq!(Metric::with_key(metric.key()), Some(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.key());
        }
        assert_eq!(Metric::with_key("temperature"), Some(Metric::EntropyWeight));
        assert_eq!(Metric::with_key("nothing"), None);
    }
}
