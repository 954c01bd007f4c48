//! `costate bench shifts`: policies and costs in worlds that differ from the one they were learned in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rows::{self, MeasuredRow, RowKey};
use super::suite::Method;
use super::table::{head, row};
use crate::error::Error;
use crate::evaluate::transfer::Reference;
use crate::evaluate::validation::Verdict;
use crate::run::settings::Override;

/// The suite.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftSuite {
    /// The table's heading.
    pub title: String,
    /// What it shows.
    pub about: String,
    /// Demonstrations learned from.
    pub demonstrations: usize,
    /// Seeds of every run.
    pub seeds: Vec<u64>,
    /// What learns.
    pub methods: Vec<Method>,
    /// Changed worlds.
    pub shifts: Vec<Shift>,
}

/// A changed world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// The world of the demonstrations.
    pub env: String,
    /// What changes.
    pub variant: String,
    /// Whether no setting was chosen by results in it.
    #[serde(default)]
    pub held_out: bool,
    /// Names of the methods to compare.
    pub methods: Vec<String>,
    /// Parameters of the demonstrations' world that differ from the shipped ones.
    #[serde(default)]
    pub world: BTreeMap<String, String>,
    /// Settings of `costate expert` that differ from the shipped ones, for all policies in the changed world.
    #[serde(default)]
    pub recipe: BTreeMap<String, String>,
}

/// What became of a run in a changed world. Scores: 0 random actions there, 1 the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftFigures {
    /// What scores 1.
    pub reference: Reference,
    /// Its mean return.
    pub reference_return: f64,
    /// Mean return of random actions.
    pub random_return: f64,
    /// Score of the learned policy as it is.
    pub own: f64,
    /// Score of the best policy trained on the true cost.
    pub true_cost: f64,
    /// Score of the kept policy trained on the frozen cost; none without a learned cost.
    pub frozen: Option<f64>,
    /// (Its return − the true cost's policy's) / |the latter|.
    pub relative_return: Option<f64>,
    /// δ of the frozen cost there.
    pub delta: Option<f64>,
    /// The verdict on it.
    pub verdict: Option<Verdict>,
}

impl Shift {
    /// Its name in tables and files.
    pub fn name(&self) -> String {
        format!("{}-{}", self.env, self.variant)
    }

    /// Parameters of the demonstrations' world, as `env.KEY`.
    pub fn world_overrides(&self) -> Vec<Override> {
        overrides("env.", &self.world)
    }

    /// Settings of the policies in the changed world.
    pub fn recipe_overrides(&self) -> Vec<Override> {
        overrides("", &self.recipe)
    }
}

fn overrides(prefix: &str, values: &BTreeMap<String, String>) -> Vec<Override> {
    let one = |(key, value): (&String, &String)| Override {
        key: format!("{prefix}{key}"),
        value: value.clone(),
    };
    values.iter().map(one).collect()
}

impl ShiftSuite {
    /// `costate bench NAME`.
    pub const NAME: &'static str = "shifts";

    /// The shipped suite.
    pub fn shipped() -> Result<Self, Error> {
        rows::shipped(
            Self::NAME,
            include_str!("../../assets/benchmarks/shifts.json"),
        )
    }

    /// All rows, seed by seed.
    pub fn keys(&self) -> Vec<RowKey> {
        let of = |seed: u64| {
            let rows = self
                .shifts
                .iter()
                .flat_map(|s| s.methods.iter().map(move |m| (s, m)));
            rows.map(move |(shift, method)| RowKey {
                subject: shift.name(),
                method: method.clone(),
                size: self.demonstrations,
                seed,
            })
        };
        self.seeds.iter().flat_map(|&seed| of(seed)).collect()
    }

    /// The changed world and the method of a row.
    pub fn of(&self, key: &RowKey) -> Result<(&Shift, &Method), Error> {
        let shift = self.shifts.iter().find(|s| s.name() == key.subject);
        let method = self.methods.iter().find(|m| m.name == key.method);
        shift.zip(method).ok_or_else(|| {
            Error::Failure(format!(
                "the shipped benchmark shifts is broken: no {} by {}",
                key.subject, key.method
            ))
        })
    }

    /// The table: a row per changed world and method, with one value per seed.
    pub fn table(&self, rows: &[MeasuredRow<ShiftFigures>]) -> String {
        let columns = [
            "method",
            "own policy",
            "fresh, frozen cost",
            "relative to the true cost's",
            "δ",
            "fresh, true cost",
        ];
        let mut text = format!("# {}\n\n{}\n\n", self.title, self.about);
        text += "One value per seed.\n\n";
        text += &head("world", &columns.map(String::from));
        for shift in &self.shifts {
            let mark = if shift.held_out { " †" } else { "" };
            for method in &shift.methods {
                let own: Vec<_> = (rows.iter())
                    .filter(|r| r.key.subject == shift.name() && r.key.method == *method)
                    .collect();
                let each = |of: &dyn Fn(&ShiftFigures) -> Option<f64>, digits: usize| match own
                    .is_empty()
                {
                    true => "not run".to_owned(),
                    false => (own.iter())
                        .map(|r| of(&r.figures).map_or("–".into(), |v| format!("{v:.digits$}")))
                        .collect::<Vec<_>>()
                        .join(" "),
                };
                text += &row([
                    format!("{} {}{mark}", shift.env, shift.variant),
                    method.clone(),
                    each(&|f| Some(f.own), 3),
                    each(&|f| f.frozen, 3),
                    each(&|f| f.relative_return, 2),
                    each(&|f| f.delta, 2),
                    each(&|f| Some(f.true_cost), 3),
                ]);
            }
        }
        text + &rows::notes(Self::NAME, self.keys().len(), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row names a world's variant and a method with valid settings.
    #[test]
    fn the_shipped_suite_is_sound() {
        let suite = ShiftSuite::shipped().unwrap();
        assert!(suite.shifts.iter().filter(|s| s.held_out).count() >= 2);
        for key in suite.keys() {
            let (shift, method) = suite.of(&key).unwrap();
            let mut config = costate_envs::EnvConfig::named(&shift.env).unwrap();
            config.apply_variant(&shift.variant).unwrap();
            crate::run::settings::resolve_with(&method.algo, &shift.env, &method.settings).unwrap();
            crate::run::settings::resolve("ppo", &shift.env, None, &shift.recipe_overrides())
                .unwrap();
        }
        let one = MeasuredRow {
            key: suite.keys().remove(1),
            basis_sha256: String::new(),
            provenance: None,
            figures: ShiftFigures {
                reference: Reference::TrueCost,
                reference_return: -2.0,
                random_return: -10.0,
                own: 0.25,
                true_cost: 1.0,
                frozen: Some(0.75),
                relative_return: Some(-1.0),
                delta: Some(0.125),
                verdict: Some(Verdict::Sound),
            },
        };
        let text = suite.table(&[one]);
        let line = "| cart_pole long_pole | gan-gcl | 0.250 | 0.750 | -1.00 | 0.12 | 1.000 |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("| cart_pole weak_motor † | bc | not run |"));
        assert!(text.contains("rows have not been measured yet; `costate bench shifts`"));
    }
}
