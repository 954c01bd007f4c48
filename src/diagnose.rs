//! Named findings about a run: what goes wrong, how one sees it, what to change.
//!
//! Each looks at the demonstrations or at quantities that learners log; none needs the true cost. The
//! thresholds were measured on good and on failed runs: docs/experiments.md.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::run::{Algo, RunConfig};

/// Something that keeps a run from succeeding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// What was seen, with figures.
    pub seen: String,
    /// What that means.
    pub means: &'static str,
    /// What to change.
    pub change: &'static str,
}

/// Least effective sample size of the cost's gradient, as a share of the batch, in the last quarter.
const LEAST_ESS: f64 = 0.2;
/// The same for GCL, whose weights run over demonstrations and samples together.
const LEAST_POOL_ESS: f64 = 0.1;
/// The same where it started as a clone, whose σ should not grow beyond this multiple.
const MOST_GROWTH: f64 = 1.5;
/// How far Adam may move a weight of the cost in the whole run, at least.
const LEAST_REACH: f64 = 0.02;
/// Discriminator loss in the last quarter below which the policy has not matched the expert.
const LEAST_MATCHED_LOSS: f64 = 0.5;
/// Share of its first σ that a policy should have lost by the end.
const LEAST_SHRINKAGE: f64 = 0.2;
/// Accuracy that a discriminator should reach against an untrained policy.
const LEAST_EARLY_ACCURACY: f64 = 0.6;
/// Discriminator loss below which it teaches nothing more; guessing is 1.39.
const LEAST_LOSS: f64 = 0.02;
/// Share of solved demonstrations below which they are not worth imitating.
const LEAST_SUCCESS: f64 = 0.5;
/// Share of the variance of the cost to go that a critic may leave unexplained.
const MOST_VALUE_ERROR: f64 = 0.9;

/// What the metrics of a run say over time.
struct Course<'a>(&'a [Map<String, Value>]);

impl Course<'_> {
    fn values(&self, name: &str) -> Vec<f64> {
        let value = |line: &Map<String, Value>| line.get(name).and_then(Value::as_f64);
        self.0.iter().filter_map(value).collect()
    }

    /// Median over the given share of the iterations, counted from the start or, if negative, from the
    /// end; `None` where the quantity is not logged.
    fn median(&self, name: &str, share: f64) -> Option<f64> {
        let all = self.values(name);
        let count = ((all.len() as f64 * share.abs()).ceil() as usize).min(all.len());
        let mut part = match share < 0.0 {
            true => all[all.len() - count..].to_vec(),
            false => all[..count].to_vec(),
        };
        part.sort_by(f64::total_cmp);
        part.get(part.len() / 2).copied()
    }
}

/// Looks for everything that it knows, worst first.
pub fn diagnose(config: &RunConfig, metrics: &[Map<String, Value>]) -> Vec<Finding> {
    let course = Course(metrics);
    let mut findings = demonstrations(config);
    if !matches!(
        config.algo,
        Algo::Bc(_) | Algo::Ibc(_) | Algo::Dagger(_) | Algo::Ppo(_) | Algo::Rl(_)
    ) {
        findings.extend(discriminator(&config.algo, &course));
        findings.extend(policy(&config.algo, &course));
    }
    findings
}

fn demonstrations(config: &RunConfig) -> Vec<Finding> {
    let Some(imitated) = &config.demonstrations else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let needs_density = matches!(config.algo, Algo::GanGcl(_) | Algo::Gcl(_) | Algo::Airl(_));
    if imitated.noise_known == Some(false) && needs_density {
        findings.push(Finding {
            name: "deterministic expert",
            seen: format!("the demonstrations by `{}` were recorded without action noise", imitated.expert),
            means: "A deterministic expert has no density: the cost that explains it grows sharper without end, \
                    and the policy's σ falls to its floor.",
            change: "record with noise (`costate record ENV --noise 0.05`), raise policy.std_floor, or use gail or bc",
        });
    }
    if let Some(solved) = imitated.success_rate.filter(|s| *s < LEAST_SUCCESS) {
        findings.push(Finding {
            name: "unsolved demonstrations",
            seen: format!("{:.0} % of the demonstrations end where the task wants them", 100.0 * solved),
            means: "The horizon is too short for the task, or the expert too weak: what is imitated is not the task.",
            change: "record longer episodes (`--set env.task.horizon=N`) or with a better expert",
        });
    }
    findings
}

fn discriminator(algo: &Algo, course: &Course) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(start) = Start::of(algo) else {
        return findings;
    };
    if start.reach < LEAST_REACH {
        findings.push(Finding {
            name: "starved discriminator",
            seen: format!("Adam can move a weight of the cost by {:.1e} at most in the whole run", start.reach),
            means: "The cost stays what it was before it saw a demonstration, so it teaches nothing.",
            change: "raise cost_learning_rate, discriminator_steps or iterations",
        });
    } else if let Some(accuracy) = course
        .median("discriminator_accuracy", 0.2)
        .filter(|a| !start.cloned && *a < LEAST_EARLY_ACCURACY)
    {
        findings.push(Finding {
            name: "starved discriminator",
            seen: format!("accuracy {accuracy:.2} in the first fifth of the run, 0.5 is guessing"),
            means: "It cannot tell even an untrained policy from the expert, so it teaches nothing.",
            change: "raise discriminator_steps or cost_learning_rate, or give the cost more hidden units",
        });
    }
    if let Some(loss) = course
        .median("discriminator_loss", -0.25)
        .filter(|l| *l < LEAST_LOSS)
    {
        findings.push(Finding {
            name: "discriminator has won",
            seen: format!("loss {loss:.3} in the last quarter, guessing is 1.39"),
            means: "It tells everything apart: its gradient has vanished, and so has what the policy can learn.",
            change: "raise regularizers.gradient_penalty or beta, lower discriminator_steps",
        });
    } else if let Some(loss) = course
        .median("discriminator_loss", -0.25)
        .filter(|l| *l < LEAST_MATCHED_LOSS)
    {
        findings.push(Finding {
            name: "not matched",
            seen: format!("discriminator loss {loss:.2} in the last quarter, 1.39 when policy and expert are alike"),
            means: "The policy is still told from the expert: it has not learned to behave like it.",
            change: "raise iterations or record more demonstrations; where the return falls, lower ppo.learning_rate",
        });
    }
    let least = match algo {
        Algo::Gcl(_) => LEAST_POOL_ESS,
        // GAIL's weights are those of steps, of which there are always enough.
        Algo::Gail(_) => 0.0,
        _ => LEAST_ESS,
    };
    if let Some(ess) = course.median("ess", -0.25).filter(|ess| *ess < least) {
        findings.push(Finding {
            name: "few samples carry the gradient",
            seen: format!("effective sample size {ess:.2} of the batch in the last quarter"),
            means: "A handful of rows decides the cost: it follows their accidents, not the demonstrations.",
            change: "raise beta or regularizers.gradient_penalty, lower cost_learning_rate, or record more demonstrations",
        });
    }
    findings
}

/// Where an adversarial run starts, and how far its cost can come.
struct Start {
    /// Whether the policy starts as a clone.
    cloned: bool,
    /// σ of a policy that starts from nothing.
    std_initial: f64,
    /// Sum of Adam's step sizes on the cost: no weight moves further.
    reach: f64,
}

impl Start {
    fn of(algo: &Algo) -> Option<Self> {
        let s = algo.shared()?;
        let steps = (s.iterations * s.cost_steps) as f64;
        Some(Self {
            cloned: s.base_steps + s.warm_start > 0,
            std_initial: s.policy.std_initial,
            reach: s.cost_learning_rate * steps * 0.5 * (1.0 + s.learning_rate_left),
        })
    }
}

fn policy(algo: &Algo, course: &Course) -> Vec<Finding> {
    let Some(start) = Start::of(algo) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let (first, most) = match (start.cloned, course.values("policy_std").first()) {
        (true, Some(&clone)) => (clone, MOST_GROWTH * clone),
        _ => (
            start.std_initial,
            (1.0 - LEAST_SHRINKAGE) * start.std_initial,
        ),
    };
    if let Some(std) = course.median("policy_std", -0.1).filter(|s| *s > most) {
        findings.push(Finding {
            name: "entropy runaway",
            seen: format!("σ is {std:.2} of half the action range at the end, {first:.2} at the start"),
            means: "The cost is too flat against the entropy that the policy is paid for: it stays random.",
            change: "raise iterations, cost_learning_rate or discriminator_steps, or start from a base policy (base_steps)",
        });
    }
    if let Some(error) = course
        .median("value_error", -0.25)
        .filter(|e| *e > MOST_VALUE_ERROR)
    {
        findings.push(Finding {
            name: "blind critic",
            seen: format!("the critic leaves {:.0} % of the cost to go unexplained", 100.0 * error),
            means: "Advantages are noise, so the policy wanders.",
            change: "lower ppo.discount, raise ppo.epochs or trajectories, or give the critic more hidden units",
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::config::FORMAT;
    use crate::run::{DemonstrationsRef, settings};
    use costate_envs::EnvConfig;
    use serde_json::json;

    fn config(algo: &str) -> RunConfig {
        RunConfig {
            format: FORMAT,
            costate_version: "0".into(),
            env: EnvConfig::named("pendulum").unwrap(),
            demonstrations: Some(DemonstrationsRef {
                path: "x".into(),
                fingerprint: "x".into(),
                episodes: 25,
                expert_return: -1.0,
                expert: "energy".into(),
                noise_known: Some(true),
                success_rate: Some(1.0),
            }),
            cost: None,
            algo: settings::resolve(algo, "pendulum", None, &from_nothing(algo)).unwrap(),
            seed: 0,
            checkpoint_every: 10,
            changes: Vec::new(),
        }
    }

    fn from_nothing(algo: &str) -> Vec<settings::Override> {
        let set = settings::Override {
            key: "base_steps".into(),
            value: "0".into(),
        };
        if algo == "gan-gcl" {
            vec![set]
        } else {
            Vec::new()
        }
    }

    /// 40 iterations of a good run, of which `name` goes linearly from one value to the other.
    fn course(name: &str, from: f64, to: f64) -> Vec<Map<String, Value>> {
        (0..40)
            .map(|k| {
                let t = f64::from(k) / 39.0;
                let line = json!({
                    "discriminator_accuracy": 0.95 - 0.4 * t, "discriminator_loss": 0.2 + 0.8 * t,
                    "ess": 0.8, "policy_std": 0.6 - 0.45 * t, "value_error": 0.5 - 0.4 * t,
                });
                let Value::Object(mut line) = line else {
                    unreachable!("an object");
                };
                line.insert(name.into(), (from + (to - from) * t).into());
                line
            })
            .collect()
    }

    fn names(algo: &str, name: &str, from: f64, to: f64) -> Vec<&'static str> {
        let found = diagnose(&config(algo), &course(name, from, to));
        found.iter().map(|f| f.name).collect()
    }

    #[test]
    fn a_good_run_has_no_findings() {
        for algo in ["gan-gcl", "gcl", "airl", "gail"] {
            assert!(names(algo, "kl", 0.04, 0.01).is_empty(), "{algo}");
        }
    }

    #[test]
    fn each_quantity_has_its_finding() {
        for (quantity, from, to, finding) in [
            ("discriminator_accuracy", 0.5, 0.9, "starved discriminator"),
            ("discriminator_loss", 0.02, 0.001, "discriminator has won"),
            ("ess", 0.5, 0.05, "few samples carry the gradient"),
            ("policy_std", 0.6, 0.7, "entropy runaway"),
            ("value_error", 0.9, 1.0, "blind critic"),
        ] {
            assert_eq!(names("gan-gcl", quantity, from, to), [finding]);
        }
        assert_eq!(
            names("gan-gcl", "discriminator_loss", 0.2, 0.3),
            ["not matched"]
        );
        assert!(names("gail", "ess", 0.5, 0.05).is_empty());
        // What cloning logs under these names is not what is meant.
        assert!(names("bc", "ess", 0.5, 0.05).is_empty());
    }

    #[test]
    fn a_cloned_start_is_judged_by_its_own_noise() {
        let mut cloned = config("gan-gcl");
        cloned.algo = settings::resolve("gan-gcl", "pendulum", None, &[]).unwrap();
        let found = |config: &RunConfig, name: &str, from: f64, to: f64| -> Vec<&'static str> {
            let all = diagnose(config, &course(name, from, to));
            all.iter().map(|f| f.name).collect()
        };
        // A good clone cannot be told apart at once, and its σ has no reason to shrink.
        assert!(found(&cloned, "discriminator_accuracy", 0.5, 0.55).is_empty());
        assert!(found(&cloned, "policy_std", 0.1, 0.11).is_empty());
        assert_eq!(found(&cloned, "policy_std", 0.1, 0.2), ["entropy runaway"]);
        let Algo::GanGcl(s) = &mut cloned.algo else {
            panic!("another algorithm");
        };
        s.cost_learning_rate = 1e-6;
        assert_eq!(found(&cloned, "kl", 0.1, 0.1), ["starved discriminator"]);
    }

    #[test]
    fn demonstrations_are_looked_at_first() {
        let mut bad = config("gan-gcl");
        let imitated = bad.demonstrations.as_mut().unwrap();
        imitated.noise_known = Some(false);
        imitated.success_rate = Some(0.4);
        let found = diagnose(&bad, &course("policy_std", 0.6, 0.7));
        let names: Vec<_> = found.iter().map(|f| f.name).collect();
        assert_eq!(
            names,
            [
                "deterministic expert",
                "unsolved demonstrations",
                "entropy runaway"
            ]
        );
        bad.algo = settings::resolve("bc", "pendulum", None, &[]).unwrap();
        assert_eq!(diagnose(&bad, &[]).len(), 1);
    }
}
