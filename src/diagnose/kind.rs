//! All findings: names, meaning, and advice per algorithm.

use costate_demos::experts::{default_noise, experts_for};
use costate_envs::gym::is_gym;

use super::Situation;
use super::advice::Advice;
use crate::learners::Algo;
use crate::learners::algorithm::Cloning;

/// Kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The expert's actions carry no noise of known density.
    DeterministicExpert,
    /// The demonstrations do not solve the task.
    UnsolvedDemonstrations,
    /// There is only one demonstration.
    SingleDemonstration,
    /// Demonstrations end before the horizon.
    ShortDemonstrations,
    /// Weights or losses diverged.
    Diverged,
    /// A clone explains little of the demonstrated actions.
    VagueClone,
    /// The cost hardly learns.
    StarvedDiscriminator,
    /// The cost separates policy and expert perfectly.
    DiscriminatorHasWon,
    /// The policy is still distinguishable from the expert.
    NotMatched,
    /// Few rows dominate the cost.
    FewSamples,
    /// The policy hardly changes.
    StillPolicy,
    /// The policy stays or becomes random.
    EntropyRunaway,
    /// The critic explains nothing.
    BlindCritic,
    /// The policy's episodes end long before the demonstrations'.
    EarlyEnds,
    /// The policy became worse than the clone that it started from.
    StartKept,
}

/// The source of the demonstrations, as far as it determines whether more can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demonstrator {
    /// A built-in expert, or the policy of a run: it can record again, with noise.
    Expert,
    /// A person, or a recording from elsewhere.
    Unknown,
}

impl Demonstrator {
    pub(super) fn of(situation: &Situation) -> Option<Self> {
        let name = &situation.config.demonstrations.as_ref()?.expert;
        let known = experts_for(&situation.config.env.name);
        Some(match known.contains(&name.as_str()) || name == TRAINED {
            true => Self::Expert,
            false => Self::Unknown,
        })
    }
}

/// Name of policy experts in datasets.
const TRAINED: &str = "trained";

impl Kind {
    /// All kinds, in reporting order.
    pub const ALL: [Self; 15] = [
        Self::DeterministicExpert,
        Self::UnsolvedDemonstrations,
        Self::SingleDemonstration,
        Self::ShortDemonstrations,
        Self::Diverged,
        Self::VagueClone,
        Self::StarvedDiscriminator,
        Self::DiscriminatorHasWon,
        Self::NotMatched,
        Self::FewSamples,
        Self::StillPolicy,
        Self::EntropyRunaway,
        Self::BlindCritic,
        Self::EarlyEnds,
        Self::StartKept,
    ];

    /// Whether it applies to runs of `algo`.
    pub fn concerns(self, algo: &Algo) -> bool {
        let rolls_out = algo.adversarial().is_some();
        match self {
            // Algorithms whose cost models the density of the demonstrated actions.
            Self::DeterministicExpert => algo.effective_samples().is_some(),
            Self::UnsolvedDemonstrations | Self::SingleDemonstration | Self::Diverged => true,
            // Others compare steps, or reject such demonstrations.
            Self::ShortDemonstrations => rolls_out && algo.discrimination(1).is_some(),
            Self::VagueClone => algo.cloning() == Some(Cloning::Likelihood),
            Self::StarvedDiscriminator
            | Self::DiscriminatorHasWon
            | Self::NotMatched
            | Self::FewSamples
            | Self::StillPolicy
            | Self::EntropyRunaway
            | Self::BlindCritic
            | Self::EarlyEnds
            | Self::StartKept => rolls_out,
        }
    }

    /// Whether it is certain from the first iteration that shows it; others judge by how a run goes or ends.
    pub fn shows_early(self) -> bool {
        match self {
            Self::DeterministicExpert
            | Self::UnsolvedDemonstrations
            | Self::SingleDemonstration
            | Self::ShortDemonstrations
            | Self::Diverged => true,
            Self::VagueClone
            | Self::StarvedDiscriminator
            | Self::DiscriminatorHasWon
            | Self::NotMatched
            | Self::FewSamples
            | Self::StillPolicy
            | Self::EntropyRunaway
            | Self::BlindCritic
            | Self::EarlyEnds
            | Self::StartKept => false,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeterministicExpert => "deterministic expert",
            Self::UnsolvedDemonstrations => "unsolved demonstrations",
            Self::SingleDemonstration => "single demonstration",
            Self::ShortDemonstrations => "short demonstrations",
            Self::Diverged => "diverged",
            Self::VagueClone => "vague clone",
            Self::StarvedDiscriminator => "starved discriminator",
            Self::DiscriminatorHasWon => "discriminator has won",
            Self::NotMatched => "not matched",
            Self::FewSamples => "few samples carry the gradient",
            Self::StillPolicy => "still policy",
            Self::EntropyRunaway => "entropy runaway",
            Self::BlindCritic => "blind critic",
            Self::EarlyEnds => "early ends",
            Self::StartKept => "start handed over",
        }
    }

    /// What it means in a run.
    pub fn means(self, situation: &Situation) -> &'static str {
        let by_steps = situation.config.algo.discrimination(1).is_none();
        match self {
            Self::DeterministicExpert => match Demonstrator::of(situation) {
                Some(Demonstrator::Unknown) => {
                    "If a demonstrator's actions hardly vary, the cost that explains them sharpens without bound, \
                     and the policy's σ falls to its floor."
                }
                _ => {
                    "A deterministic expert has no density: the cost that explains it sharpens without bound, and \
                     the policy's σ falls to its floor."
                }
            },
            Self::UnsolvedDemonstrations => {
                "The horizon is too short for the task, or the demonstrator too weak: the policy imitates something other than the task."
            }
            Self::SingleDemonstration => {
                "One start says little about others, and nothing can be held out to tell generalisation from \
                 memorisation."
            }
            Self::ShortDemonstrations => {
                "Rollouts are cut to the same lengths before the cost compares them; it learns nothing about what comes \
                 after a demonstration's end."
            }
            Self::Diverged => {
                "The steps are too large: what was learned is lost again, or nothing was learned."
            }
            Self::VagueClone => {
                "The mean explains little of the demonstrated actions: too little was learned, or there are several ways \
                 to act in one state."
            }
            Self::StarvedDiscriminator => {
                "The cost cannot distinguish even an untrained policy from the expert, so it gives no training signal."
            }
            Self::DiscriminatorHasWon => {
                "It separates policy and expert perfectly: its gradient has vanished, and with it the training signal."
            }
            Self::NotMatched => {
                "The policy is still distinguishable from the expert: it has not learned to behave like it."
            }
            Self::FewSamples => match by_steps {
                true => {
                    "A handful of steps dominates the cost: it fits their noise, not the demonstrations."
                }
                false => {
                    "A handful of trajectories dominates the cost: it fits their noise, not the demonstrations."
                }
            },
            Self::StillPolicy => {
                "Its steps are too small: whatever the cost learns, the policy does not change."
            }
            Self::EntropyRunaway => {
                "The cost is too flat compared with the policy's entropy bonus: the policy stays random."
            }
            Self::BlindCritic => "Advantages are noise, so the policy wanders.",
            Self::EarlyEnds => {
                "An end ends the cost as well: as long as every step costs, the policy learns to end its episodes, and such short \
                 rollouts show nothing better."
            }
            Self::StartKept => {
                "Learning made the policy worse than the clone that it started from by both measures that need no true \
                 cost, so that clone is handed over."
            }
        }
    }

    /// What to change in a run.
    #[expect(clippy::too_many_lines, reason = "one arm per finding")]
    pub fn advice(self, situation: &Situation) -> Vec<Advice> {
        let settings = &situation.settings;
        match self {
            Self::DeterministicExpert => {
                let mut advice = settings.raise(&["policy.std_floor"]);
                if Demonstrator::of(situation) == Some(Demonstrator::Expert) {
                    let noise = default_noise(&situation.config.env.name).to_string();
                    advice.extend(record(situation, "record with noise", &["--noise", &noise]));
                }
                advice.extend(train_with(situation, "learn by steps", "gail"));
                advice.extend(train_with(situation, "clone", "bc"));
                advice
            }
            Self::UnsolvedDemonstrations => {
                let longer = situation
                    .horizon()
                    .map(|h| format!("env.horizon={}", 2 * h))
                    .and_then(|set| record(situation, "record longer episodes", &["--set", &set]));
                let longer = longer.unwrap_or_else(|| Advice::act("record longer episodes"));
                vec![longer, Advice::act("find a better demonstrator")]
            }
            Self::SingleDemonstration => more_demonstrations(situation),
            Self::ShortDemonstrations => vec![Advice::act(
                "if what comes after the end matters, record up to the horizon",
            )],
            Self::Diverged => {
                let sizes = situation.config.algo.step_sizes();
                let names: Vec<&str> = sizes.iter().map(|(name, _)| *name).collect();
                settings.lower(&names)
            }
            Self::VagueClone => {
                let mut advice = settings.raise(&["iterations", "passes"]);
                advice.extend(settings.to("policy.std_form", "network"));
                advice.extend(train_with(situation, "clone several modes", "flow-bc"));
                advice.extend(train_with(situation, "or with an energy", "ibc"));
                advice
            }
            Self::StarvedDiscriminator => {
                let mut advice = settings.raise(&["cost_learning_rate"]);
                advice.extend(settings.raise(&["cost_steps"]));
                advice.extend(settings.raise(&["iterations"]));
                advice
            }
            Self::DiscriminatorHasWon => {
                let mut advice = settings.raise(&["regularizers.gradient_penalty"]);
                advice.extend(settings.lower(&["cost_steps"]));
                advice.extend(more_even(situation));
                advice
            }
            Self::NotMatched => {
                let mut advice = settings.raise(&["iterations"]);
                advice.extend(more_demonstrations(situation));
                advice.extend(settings.lower(&["ppo.learning_rate", "sac.learning_rate"]));
                advice
            }
            Self::FewSamples => {
                let mut advice = settings.raise(&["regularizers.gradient_penalty"]);
                advice.extend(settings.lower(&["cost_learning_rate"]));
                advice.extend(more_even(situation));
                advice.extend(more_demonstrations(situation));
                advice
            }
            Self::StillPolicy => settings.raise(&[
                "ppo.learning_rate",
                "ppo.target_kl",
                "ppo.epochs",
                "sac.learning_rate",
                "sac.gradient_steps",
                "trajectories",
            ]),
            Self::EntropyRunaway => {
                let mut advice = settings.raise(&["iterations", "cost_learning_rate"]);
                advice.extend(settings.raise(&["cost_steps"]));
                advice.extend(settings.lower(&["regularizers.gradient_penalty", "entropy_weight"]));
                if !situation.starts_cloned() {
                    advice.extend(cloned_start(situation));
                }
                advice
            }
            Self::BlindCritic => {
                let mut advice =
                    settings.raise(&["ppo.epochs", "sac.gradient_steps", "trajectories"]);
                advice.extend(settings.lower(&["ppo.discount", "sac.discount"]));
                advice
            }
            Self::EarlyEnds => {
                let mut advice = settings.to("reward", "positive");
                if !situation.starts_cloned() {
                    advice.extend(cloned_start(situation));
                }
                advice.extend(settings.raise(&["trajectories"]));
                advice
            }
            Self::StartKept => {
                let mut advice = settings.lower(&["ppo.learning_rate", "sac.learning_rate"]);
                advice.extend(settings.raise(&["trajectories"]));
                advice.extend(more_demonstrations(situation));
                advice
            }
        }
    }
}

/// Advice to start the policy as a clone, with the cost relative to it if the cost allows that.
fn cloned_start(situation: &Situation) -> Vec<Advice> {
    let settings = &situation.settings;
    let exact = settings
        .get("cost.form")
        .is_some_and(|form| form == "quadratic");
    let blind = settings.get("cost.state_only").is_some_and(|on| on == true);
    let base = match exact || blind {
        true => Vec::new(),
        false => settings.to("base_steps", 2000),
    };
    match base.is_empty() {
        true => settings.to("clone_steps", 2000),
        false => base,
    }
}

/// Advice that evens out trajectory weights: β at the steps of a row, or twice that.
fn more_even(situation: &Situation) -> Vec<Advice> {
    let settings = &situation.settings;
    let Some(now) = settings.get("beta") else {
        return Vec::new();
    };
    let rows = settings.number("window").map(|w| w as usize);
    match (now.as_f64(), situation.horizon()) {
        (None, Some(horizon)) => {
            settings.to("beta", 2.0 * rows.unwrap_or(horizon).min(horizon) as f64)
        }
        (Some(_), _) => settings.to("beta", serde_json::Value::Null),
        (None, None) => Vec::new(),
    }
}

/// The `costate record` command of the demonstrations with extra arguments; `None` if they cannot be recorded again.
fn record(situation: &Situation, purpose: &str, more: &[&str]) -> Option<Advice> {
    if Demonstrator::of(situation)? == Demonstrator::Unknown {
        return None;
    }
    let env = situation.config.env.name.as_str();
    let expert = situation.config.demonstrations.as_ref()?.expert.as_str();
    let known = experts_for(env);
    let mut words = vec!["costate", "record", env];
    if !known.contains(&expert) {
        words.extend(["--expert", "RUN"]);
    } else if known.first() != Some(&expert) || is_gym(env) {
        words.extend(["--expert", expert]);
    }
    words.extend(more);
    Some(Advice::run(purpose, words))
}

fn more_demonstrations(situation: &Situation) -> Vec<Advice> {
    let Some(imitated) = &situation.config.demonstrations else {
        return Vec::new();
    };
    let purpose = "record more demonstrations";
    let count = (2 * imitated.episodes).to_string();
    let command = record(situation, purpose, &["-n", &count]);
    vec![command.unwrap_or_else(|| Advice::act(purpose))]
}

/// The same demonstrations with another algorithm.
fn train_with(situation: &Situation, purpose: &str, algo: &str) -> Vec<Advice> {
    let Some(imitated) = &situation.config.demonstrations else {
        return Vec::new();
    };
    if situation.config.algo.name() == algo {
        return Vec::new();
    }
    let path = imitated.path.display().to_string();
    vec![Advice::run(
        purpose,
        ["costate", "train", &path, "--algo", algo],
    )]
}
