//! The metrics that learners record per iteration: one enum, with the key in `metrics.jsonl`, title, unit and meaning.

use serde::{Deserialize, Serialize};

/// A learner's diagnostics of one iteration, in order of interest.
pub type Diagnostics = Vec<(Metric, f64)>;

/// A quantity of one iteration whose distribution is worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Commands in the rollouts, by number of the action channel.
    Action(usize),
    /// Logits of the discriminator for demonstrations.
    DemonstrationLogit,
    /// Logits of the discriminator for rollouts.
    RolloutLogit,
    /// Log importance weights of the pool.
    LogWeight,
}

impl Spread {
    /// Its name, with those of the action channels.
    pub fn tag(self, actions: &[String]) -> String {
        match self {
            Self::Action(i) => match actions.get(i) {
                Some(name) => format!("actions/{name}"),
                None => format!("actions/{i}"),
            },
            Self::DemonstrationLogit => "logits/demonstrations".into(),
            Self::RolloutLogit => "logits/rollouts".into(),
            Self::LogWeight => "importance/log_weight".into(),
        }
    }
}

/// The values of such quantities.
pub type Spreads = Vec<(Spread, Vec<f64>)>;

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $key:literal, $title:literal, $unit:literal, $reading:literal;)*) => {
        /// A quantity that learners record every iteration.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Metric {
            $(#[doc = $reading] $name,)*
        }

        impl Metric {
            /// All metrics, in display order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in `metrics.jsonl` and TensorBoard.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }

            /// Its display name.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Its unit; empty if dimensionless.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit,)* }
            }

            /// What it means and how to read it. `{rows}` is a placeholder for what the algorithm's discriminator compares.
            pub const fn reading(self) -> &'static str {
                match self { $(Self::$name => $reading,)* }
            }
        }
    };
}

metrics! {
    TrueReturn: "true_return", "True return", "return",
        "Mean return of the rollouts under the environment’s own cost. Learners never see it.";
    Solved: "solved", "Solved", "share",
        "Share of the rollouts that solved the task. Learners never see it.";
    DiscriminatorAccuracy: "discriminator_accuracy", "Discriminator accuracy", "share",
        "{Rows} classified correctly. Near ½ the policy passes for the expert; values near 1 also occur in good \
        runs, so they are no alarm by themselves.";
    DiscriminatorLoss: "discriminator_loss", "Discriminator loss", "nats",
        "1.39 is chance level. Close to 0 while the return stagnates: the discriminator has won and gives no \
        gradient.";
    Ess: "ess", "Effective sample size", "share of the batch",
        "{Rows} that carry the cost’s gradient. Healthy above 0.3; below 0.1 a handful dominate.";
    Saturation: "saturation", "Saturated discriminator", "share",
        "{Rows} on which the discriminator is almost certain: they contribute almost no gradient. Lower is better.";
    CalibrationError: "calibration_error", "Calibration error", "share",
        "Gap between the discriminator’s probabilities and the observed shares of demonstrations. \
        0 is perfect calibration; with few {rows}, 0.1 is noise.";
    LogZ: "log_z", "log Z", "nats",
        "Log partition function of the learned model, solved for at every step. Its level means \
        nothing; it should drift and settle, not jump.";
    LogZHalfWidth: "log_z_half_width", "Uncertainty of log Z", "± nats",
        "Half the width of its 95 % interval. Growing while the policy is unchanged: fewer and fewer {rows} \
        dominate the estimate.";
    CostGradientNorm: "cost_gradient_norm", "Cost gradient", "norm",
        "Norm of the gradient in the cost’s weights. Shrinks as the policy approaches the expert; spikes \
        mean that the learning rate is too high.";
    Entropy: "entropy", "Policy entropy", "nats per step",
        "Randomness of the actions. Falls while the policy learns and settles at the expert’s own noise; \
        unbounded growth is a failure.";
    PolicyStd: "policy_std", "Policy action noise", "std. dev., action units",
        "Should fall towards the noise of the demonstrations. At its ceiling or unchanged by mid-run: \
        training is failing.";
    Kl: "kl", "Policy change", "nats per step",
        "Mean KL divergence between the policies of successive iterations. Small and steady is good; spikes \
        undo what was learned.";
    Passes: "passes", "Passes over the batch", "passes",
        "Passes until the bound on the policy change stopped the update. Always 1: the policy’s learning rate \
        is too high.";
    PolicyGradientNorm: "policy_gradient_norm", "Policy gradient", "norm",
        "Before clipping. Should plateau; growth over the run points to an unstable critic.";
    ValueError: "value_error", "Critic error", "share of variance",
        "Variance of the cost to go that the critic leaves unexplained. Near 1 it is no better than a constant; \
        well below 1 its advantages are useful.";
    SoftCost: "soft_cost", "Soft cost", "nats per step",
        "Learned cost plus log-density of the actions: what the policy minimises.";
    CriticLoss: "critic_loss", "Critics’ loss", "",
        "Objective of soft-Q learning. Its level means nothing; it should settle, not diverge.";
    DemonstratedCost: "demonstrated_cost", "Implied cost of demonstrations", "per step",
        "Mean cost that the critics imply for demonstrated steps. Should stay below that of the rollouts, and the two \
        approach each other as the policy imitates.";
    SampledCost: "sampled_cost", "Implied cost of rollouts", "per step",
        "The same of replayed rollouts.";
    CostError: "cost_error", "Error of the fitted cost", "share of variance",
        "Variance of the implied costs that the cost of state and action leaves unexplained. Near 1 the cost says no more \
        than a constant.";
    KernelWidth: "kernel_width", "Width of the kernels", "standard deviations",
        "Standard deviation of the kernels behind the density ratio, in those of the cost’s inputs. Chosen anew in every \
        iteration; the smallest possible for long means that pairs of two episodes are hardly ever alike.";
    FeatureGap: "feature_gap", "Gap of the features", "norm",
        "Distance of the features’ means over the policy’s episodes from those over the demonstrations, which are equal where \
        the policy visits what was demonstrated. Falls while it learns; features that change along the way move it, too.";
    PredictionError: "prediction_error", "Error of the predictions", "share of variance",
        "Variance of the next states that the features leave unexplained. Near 1 they say no more than a constant.";
    ForetoldAnswers: "foretold_answers", "Foretold answers", "share",
        "Share of the newest answers that the cost foretold before it was fitted to them. A half is chance; what stays \
        short of 1 is the rater’s doubt, or what a cost of state and action cannot say.";
    Comparisons: "comparisons", "Comparisons", "pairs",
        "Pairs of segments compared so far, demonstrated ones included.";
    Loss: "loss", "Training loss", "nats per step",
        "Negative log-likelihood of the demonstrated actions. Falls, then levels off at the expert’s own \
        noise.";
    HeldOutLoss: "held_out_loss", "Held-out loss", "nats per step",
        "The same on episodes not trained on. Rising while the training loss falls means overfitting; the \
        weights at the minimum are kept.";
    IocLoss: "ioc_loss", "Cost loss", "nats",
        "Objective of guided cost learning: the demonstrations’ energy plus the log partition function. Its \
        level means nothing; it should settle.";
    EssPlain: "ess_plain", "Effective sample size, untempered", "share of the pool",
        "The same at β = 1: how well the samples alone support an estimate of log Z.";
    EntropyWeight: "entropy_weight", "Entropy weight", "α",
        "Weight of the policy’s log-density in what it minimises. Changes only where a target entropy is held.";
    LikelihoodGain: "likelihood_gain", "Likelihood above the start", "nats per step",
        "Log-likelihood of held-out demonstrations under the learned policy minus that under the clone that it started \
        from. Computed after the last iteration.";
    SoftValueGain: "soft_value_gain", "Soft value above the start", "nats per episode",
        "Soft value of the learned policy under the learned cost minus that of the clone that it started from. Computed \
        after the last iteration.";
    KeptStart: "kept_start", "Start handed over", "0 or 1",
        "1 if the learned policy was worse than its start by both, and the start was handed over in its place.";
    Accuracy: "accuracy", "Accuracy", "share",
        "Share of the steps whose demonstrated action has the lowest energy among its counter-examples.";
    HeldOutAccuracy: "held_out_accuracy", "Held-out accuracy", "share",
        "The same on episodes not trained on.";
    LabelledSteps: "labelled_steps", "Labelled steps", "steps",
        "Steps labelled by the expert so far, including demonstrations.";
    StepCost: "step_cost", "Cost", "per step",
        "Mean cost per step of the rollouts: the objective.";
    EpisodeSteps: "episode_steps", "Episode length", "steps",
        "Mean number of steps of the rollouts.";
    Success: "success", "Success", "share",
        "Share of the rollouts that solved the task.";
    Eta: "eta", "Step temperature η", "",
        "Lagrange multiplier that keeps the controllers’ step within its KL bound.";
    KlBound: "kl_bound", "KL bound", "nats per step",
        "Bound on the controllers’ step, adapted to how well steps deliver the predicted improvement.";
    Stuck: "stuck", "Controllers without a step", "share",
        "Controllers for which no step within the bound was found.";
    TakenBack: "taken_back", "Reverted steps", "share",
        "Controllers reverted to an earlier one because the step did worse than predicted.";
    DynamicsError: "dynamics_error", "Dynamics error", "share of variance",
        "Variance of the next states that the fitted dynamics leave unexplained.";
    DistillationLoss: "distillation_loss", "Distillation loss", "nats per step",
        "Negative log-likelihood of the controllers’ actions under the distilled policy.";
    DemonstratedEnergy: "demonstrated_energy", "Demonstration energy", "nats",
        "Mean energy of the demonstrations.";
    SampledEnergy: "sampled_energy", "Rollout energy", "nats",
        "Mean energy of the newest rollouts. Falls to the demonstrations’ as the controllers learn.";
}

impl Metric {
    /// The metric with this key; keys of earlier versions are also accepted.
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
    fn keys_are_unique_and_round_trip() {
        for &metric in Metric::ALL {
            assert_eq!(Metric::with_key(metric.key()), Some(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.key());
        }
        assert_eq!(Metric::with_key("temperature"), Some(Metric::EntropyWeight));
        assert_eq!(Metric::with_key("nothing"), None);
    }
}
