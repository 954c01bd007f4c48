//! What the quantities in `metrics.jsonl` mean and how to read them, per algorithm.

use crate::learners::Algo;
use crate::learners::adversarial::AdversarialSettings;
use crate::learners::algorithm::{Cloning, SampleShare};
use crate::learners::rows::Discrimination;
use crate::metric::Metric;

/// A recorded quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// Its key in `metrics.jsonl`.
    pub name: String,
    /// Its display name.
    pub title: String,
    /// Its unit; empty if dimensionless.
    pub unit: &'static str,
    /// How to read it, in a sentence or two.
    pub reading: String,
    /// Fixed range, for shares.
    pub range: Option<[f64; 2]>,
    /// A reference value to mark, with its name.
    pub level: Option<(f64, &'static str)>,
}

/// Properties shared by the runs on a page that change how their quantities are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Readers {
    /// What the effective sample size counts, if the same for all.
    samples: Samples,
    /// How demonstrated actions are cloned, if at all.
    cloning: Option<Cloning>,
    /// Whether an expert labels visited states.
    labelled: bool,
    /// What the discriminator classifies.
    rows: &'static str,
    /// Whether log Z is a learned parameter.
    learned_log_z: bool,
    /// Whether all policies start as clones.
    cloned: bool,
}

/// What the effective sample size counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Samples {
    /// Rows of a discriminator whose logit is divided by β.
    Rows,
    /// Demonstrations and samples of a partition function.
    Pool,
    /// Steps, so many that a small share is enough.
    Plenty,
    #[default]
    Other,
}

impl Readers {
    /// Of runs of these algorithms.
    pub(super) fn of(algos: &[&Algo]) -> Self {
        let first = algos.first().copied();
        let same = first.filter(|first| algos.iter().all(|algo| algo.name() == first.name()));
        let setting = |algo: &Algo, key: &str| algo.values().ok()?.get(key).cloned();
        let rows = |algo: &Algo| match algo.discrimination(usize::MAX) {
            Some(Discrimination {
                window: Some(_), ..
            }) => "windows",
            Some(_) => "trajectories",
            None if algo.adversarial().is_some() => "steps",
            None => "rows",
        };
        let shared = first.map(rows);
        let shared = shared.filter(|first| algos.iter().all(|algo| rows(algo) == *first));
        let cloned = |algo: &Algo| {
            let own = |s: &AdversarialSettings| s.clone_steps + s.warm_start;
            algo.base_steps() + algo.adversarial().map_or(0, own) > 0
        };
        Self {
            samples: same.map(Samples::of).unwrap_or_default(),
            cloning: same.and_then(|algo| algo.cloning()),
            labelled: same.is_some_and(|algo| algo.name() == "dagger"),
            rows: shared.unwrap_or("rows"),
            learned_log_z: algos
                .iter()
                .any(|algo| setting(algo, "log_z").is_some_and(|v| v == "learned")),
            cloned: !algos.is_empty() && algos.iter().all(|algo| cloned(algo)),
        }
    }

    /// How to read a metric where that depends on the algorithm.
    fn own(&self, metric: Metric) -> Option<&'static str> {
        Some(match metric {
            Metric::Ess => match self.samples {
                Samples::Rows => {
                    "{Rows} that carry the cost’s gradient. Healthy above 0.3; below 0.1 a handful dominate, and \
                     a larger β helps."
                }
                Samples::Pool => {
                    "Demonstrations and samples that carry the cost’s gradient. Good runs have at least 0.1; below that \
                     a handful dominate, and a larger β helps."
                }
                Samples::Plenty => {
                    "Steps that carry the gradient. There are so many that a small share is enough."
                }
                Samples::Other => return None,
            },
            Metric::LogZ if self.samples == Samples::Pool => {
                "Log partition function of the learned cost, estimated by importance sampling. Its level means nothing; \
                 it should drift and settle, not jump."
            }
            Metric::LogZ if self.learned_log_z => {
                "Log partition function of the learned model, a learned parameter. Its level means nothing; it \
                 should drift and settle, not jump."
            }
            Metric::Loss if matches!(self.cloning, Some(Cloning::Contrast(_))) => {
                "Demonstrated actions against counter-examples: ln(1 + negatives) is chance level. Falls, then levels off \
                 at the floor set by the demonstrator’s own noise."
            }
            Metric::Loss if self.cloning == Some(Cloning::Flow) => {
                "Squared error of the velocity from noise to demonstrated plans, in units of the actions’ standard deviation; \
                 π/2 is chance level. Falls, then levels off where noise and plan can be told apart no further."
            }
            Metric::Loss if self.labelled => {
                "Negative log-likelihood of the expert’s labels. May rise when previously unseen states are \
                 added."
            }
            Metric::PolicyStd if self.cloned => {
                "Starts at the clone’s, near the noise of the demonstrations, and should stay there. If it grows, \
                 training is failing."
            }
            _ => return None,
        })
    }
}

impl Samples {
    fn of(algo: &Algo) -> Self {
        let discriminates = algo.discrimination(usize::MAX).is_some();
        match algo.effective_samples() {
            Some(SampleShare::Batch) if discriminates => Self::Rows,
            Some(SampleShare::Batch) => Self::Other,
            Some(SampleShare::Pool) => Self::Pool,
            None if discriminates => Self::Pool,
            None if algo.adversarial().is_some() => Self::Plenty,
            None => Self::Other,
        }
    }
}

/// What runs of `algo` record under these keys of `metrics.jsonl`, in display order.
pub fn readings<'a>(algo: &Algo, keys: impl IntoIterator<Item = &'a str>) -> Vec<Quantity> {
    let readers = Readers::of(&[algo]);
    let recorded = keys.into_iter().filter_map(|key| describe(key, &readers));
    let mut quantities: Vec<Quantity> = recorded.collect();
    quantities.sort_by_key(|q| rank(&q.name));
    quantities
}

/// Describes a recorded quantity; `None` for those that are axes.
pub(super) fn describe(name: &str, readers: &Readers) -> Option<Quantity> {
    if ["iteration", "seconds", "env_steps"].contains(&name) {
        return None;
    }
    let Some(metric) = Metric::with_key(name) else {
        return Some(Quantity {
            name: name.into(),
            title: name.replace('_', " "),
            unit: "",
            reading: String::new(),
            range: None,
            level: None,
        });
    };
    let contrast = matches!(readers.cloning, Some(Cloning::Contrast(_)));
    let flow = readers.cloning == Some(Cloning::Flow);
    let rows = match readers.rows {
        "" => "rows",
        rows => rows,
    };
    let start: String = rows.chars().take(1).flat_map(char::to_uppercase).collect();
    let capital = start + &rows[1..];
    let reading = readers.own(metric).unwrap_or(metric.reading());
    Some(Quantity {
        name: name.into(),
        title: metric.title().into(),
        unit: match metric {
            Metric::Ess if readers.samples == Samples::Pool => "share of the pool",
            Metric::Loss | Metric::HeldOutLoss if contrast => "nats",
            Metric::Loss | Metric::HeldOutLoss if flow => "squared, per action entry",
            metric => metric.unit(),
        },
        reading: reading.replace("{Rows}", &capital).replace("{rows}", rows),
        range: metric.is_share().then_some([0.0, 1.0]),
        level: match metric {
            Metric::DiscriminatorAccuracy => Some((0.5, "chance")),
            Metric::DiscriminatorLoss => Some((2.0 * std::f64::consts::LN_2, "chance")),
            Metric::Ess if readers.samples != Samples::Plenty => Some((0.1, "alarm")),
            _ => None,
        },
    })
}

/// Display order of quantities: known ones as listed, then the others.
pub(super) fn rank(name: &str) -> usize {
    let place = Metric::ALL.iter().position(|m| m.key() == name);
    place.unwrap_or(Metric::ALL.len())
}

/// The first stray space of a text, with its surroundings; for tests of all texts.
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
        let algo = crate::run::settings::resolve(algo, "", None, &[]).unwrap();
        Readers {
            samples: Samples::of(&algo),
            cloning: algo.cloning(),
            rows: match algo.discrimination(1) {
                None => "steps",
                Some(_) => "trajectories",
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
            for name in Metric::ALL.iter().map(|m| m.key()) {
                let Some(q) = describe(name, &readers) else {
                    continue;
                };
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
        assert!(
            reading("airl", "discriminator_accuracy").starts_with("Steps classified correctly")
        );
        assert!(reading("gan-gcl", "saturation").starts_with("Trajectories on which"));
        assert!(reading("gcl", "log_z").contains("importance sampling"));
        assert!(reading("ibc", "loss").contains("counter-examples"));
        assert!(reading("bc", "loss").contains("demonstrated actions"));
    }
}
