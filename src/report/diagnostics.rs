//! What the quantities in `metrics.jsonl` mean and how to read them, by the algorithm that logged them.

use serde_json::Value;

use super::run::Run;

/// A recorded quantity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantity {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) unit: &'static str,
    /// How to read it, in a sentence or two.
    pub(super) reading: String,
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
        "{Rows} told apart correctly. Towards ½ the policy passes for the expert; near 1 also \
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
        "{Rows} that carry the cost’s gradient. Healthy above 0.3; below 0.1 a handful decide everything.",
    ),
    (
        "saturation",
        "Saturated discriminator",
        "share",
        "{Rows} of which the discriminator is all but certain: they hardly teach any more. \
         Lower is better.",
    ),
    (
        "calibration_error",
        "Calibration error",
        "share",
        "How far the discriminator’s probabilities lie from the shares of demonstrations that they stand \
         for. 0 is honest; with few {rows} 0.1 is noise.",
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
        "Half the width of its 95 % interval. Growing while the policy stands still: ever fewer {rows} decide \
         it.",
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

/// What the runs on a page have in common that changes how their quantities are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Readers {
    /// The algorithm, if it is one.
    algo: Option<String>,
    /// What the discriminator tells apart.
    rows: &'static str,
    /// Whether log Z is a weight.
    learned_log_z: bool,
    /// Whether all policies start as clones.
    cloned: bool,
}

impl Readers {
    pub(super) fn of(runs: &[Run]) -> Self {
        let settings = |run: &Run, key: &str| {
            let config = run.config_json();
            config.pointer(&format!("/algo/settings/{key}")).cloned()
        };
        let rows = |run: &Run| match (run.algo(), settings(run, "window")) {
            ("airl" | "gail", _) => "steps",
            ("gan-gcl", Some(Value::Number(_))) => "windows",
            ("gan-gcl" | "gcl" | "gcl-lqg", _) => "trajectories",
            _ => "rows",
        };
        let shared = |of: &dyn Fn(&Run) -> &'static str| {
            let first = runs.first().map(of);
            first.filter(|first| runs.iter().all(|r| of(r) == *first))
        };
        let algo = runs.first().map(|r| r.algo().to_owned());
        let cloned = |run: &Run| {
            ["base_steps", "clone_steps", "warm_start"]
                .iter()
                .any(|key| settings(run, key).and_then(|v| v.as_f64()) > Some(0.0))
        };
        Self {
            algo: algo.filter(|algo| runs.iter().all(|r| r.algo() == algo)),
            rows: shared(&rows).unwrap_or("rows"),
            learned_log_z: runs
                .iter()
                .any(|r| settings(r, "log_z").is_some_and(|v| v == "learned")),
            cloned: !runs.is_empty() && runs.iter().all(cloned),
        }
    }

    /// How to read `name` where that is not what all algorithms have in common.
    fn own(&self, name: &str) -> Option<&'static str> {
        Some(match (name, self.algo.as_deref()) {
            ("ess", Some("gan-gcl")) => {
                "{Rows} that carry the cost’s gradient. Healthy above 0.3; below 0.1 a handful decide everything, and a \
                 larger β helps."
            }
            ("ess", Some("gcl" | "gcl-lqg")) => {
                "Demonstrations and samples that carry the cost’s gradient. Good runs have 0.1 and more; below that a \
                 handful decide everything, and a larger β helps."
            }
            ("ess", Some("gail")) => {
                "Steps that carry the gradient. There are so many that a small share is enough."
            }
            ("log_z", Some("gcl" | "gcl-lqg")) => {
                "Log partition function of the learned cost, estimated by importance sampling. Its level means nothing; \
                 it should drift and settle, not jump."
            }
            ("log_z", Some("gan-gcl")) if self.learned_log_z => {
                "Log partition function of the learned model, a weight like the others. Its level means nothing; it \
                 should drift and settle, not jump."
            }
            ("loss" | "held_out_loss", Some("ibc")) => match name {
                "loss" => {
                    "Demonstrated actions told from counter-examples: ln(1 + negatives) is guessing. Falls, then levels \
                     off at what the demonstrator’s own noise leaves."
                }
                _ => {
                    "The same on episodes not trained on. Rising while the training loss falls is overfitting; the \
                     weights at the minimum are kept."
                }
            },
            ("loss", Some("dagger")) => {
                "Negative log-likelihood of the expert’s labels. May rise when states are added that were not seen \
                 before."
            }
            ("policy_std", _) if self.cloned => {
                "Starts at the clone’s, near the noise of the demonstrations, and should stay there. Growing: training \
                 is failing."
            }
            _ => return None,
        })
    }
}

/// Describes a recorded quantity; `None` for those shown elsewhere.
pub(super) fn describe(name: &str, readers: &Readers) -> Option<Quantity> {
    if ELSEWHERE.contains(&name) {
        return None;
    }
    let known = KNOWN.iter().find(|entry| entry.0 == name);
    let words = name.replace('_', " ");
    let (title, unit, reading) = known.map_or((words.as_str(), "", ""), |e| (e.1, e.2, e.3));
    let unit = match (name, readers.algo.as_deref()) {
        ("ess", Some("gcl" | "gcl-lqg")) => "share of the pool",
        ("loss" | "held_out_loss", Some("ibc")) => "nats",
        _ => unit,
    };
    let rows = match readers.rows {
        "" => "rows",
        rows => rows,
    };
    let start: String = rows.chars().take(1).flat_map(char::to_uppercase).collect();
    let capital = start + &rows[1..];
    let reading = readers.own(name).unwrap_or(reading);
    Some(Quantity {
        name: name.into(),
        title: title.into(),
        unit,
        reading: reading.replace("{Rows}", &capital).replace("{rows}", rows),
        range: matches!(
            name,
            "discriminator_accuracy" | "ess" | "saturation" | "calibration_error"
        )
        .then_some([0.0, 1.0]),
        level: match (name, readers.algo.as_deref()) {
            ("discriminator_accuracy", _) => Some((0.5, "chance")),
            ("discriminator_loss", _) => Some((2.0 * std::f64::consts::LN_2, "chance")),
            ("ess", Some("gail")) => None,
            ("ess", _) => Some((0.1, "alarm")),
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

/// What is wrong with the spaces of a text, with what stands around it; for tests of all texts.
#[cfg(test)]
pub(crate) fn stray_space(text: &str) -> Option<&'static str> {
    ["  ", " .", " ,", " ;", " :", "\n"]
        .into_iter()
        .find(|stray| text.contains(stray))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(algo: &str) -> Readers {
        Readers {
            algo: Some(algo.into()),
            rows: match algo {
                "airl" | "gail" => "steps",
                _ => "trajectories",
            },
            ..Readers::default()
        }
    }

    #[test]
    fn texts_have_no_stray_spaces() {
        let mut all: Vec<Readers> = crate::learners::algorithm::names()
            .into_iter()
            .map(readers)
            .collect();
        all.push(Readers::default());
        all.push(Readers {
            cloned: true,
            learned_log_z: true,
            ..readers("gan-gcl")
        });
        for readers in all {
            for (name, ..) in KNOWN {
                let q = describe(name, &readers).unwrap();
                for text in [&q.title, q.unit, &q.reading] {
                    assert_eq!(stray_space(text), None, "{name}: {text}");
                    assert!(!text.contains('{'), "{name}: {text}");
                }
            }
        }
    }

    #[test]
    fn readings_fit_the_algorithm() {
        let reading = |algo: &str, name: &str| describe(name, &readers(algo)).unwrap().reading;
        assert!(reading("gan-gcl", "ess").contains('β'));
        assert!(!reading("airl", "ess").contains('β'));
        assert!(reading("airl", "discriminator_accuracy").starts_with("Steps told apart"));
        assert!(reading("gan-gcl", "saturation").starts_with("Trajectories of which"));
        assert!(reading("gcl", "log_z").contains("importance sampling"));
        assert!(reading("ibc", "loss").contains("counter-examples"));
        assert!(reading("bc", "loss").contains("demonstrated actions"));
    }
}
