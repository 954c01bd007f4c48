//! A suite: which methods learn from how many demonstrations of which environments.
//!
//! Suites are data: `assets/benchmarks/NAME.json`.

use std::path::Path;

use costate_base::names::{nearest, suggestion};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ROW_SUITES;
use super::rows::{shipped, unknown};
use crate::error::Error;
use crate::learners::frozen_cost::ValidationSettings;
use crate::run::Algo;
use crate::run::settings::{resolve_with, validation};

/// A row of a table: an algorithm with changes to its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Its name in the table and in file names.
    pub name: String,
    /// Its algorithm.
    pub algo: String,
    /// Changes to the environment's default settings.
    #[serde(default)]
    pub settings: Value,
    /// Initialisation of the policy.
    #[serde(default)]
    pub start: Start,
}

/// Initialisation of a method's policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// According to its settings.
    #[default]
    Own,
    /// The clone that GAN-GCL's cost is relative to in the same environment: `clone_steps` of its `base_steps`. There is
    /// no such cell where GAN-GCL has none.
    BasePolicy,
    /// From scratch, where GAN-GCL itself starts from a clone; there is no such cell where it does not. As more has to be
    /// learned from scratch, the iterations and trajectories are GAIL's.
    Nothing,
}

/// Cloning steps of GAN-GCL's base policy in an environment.
fn base_steps(env: &str) -> Result<usize, Error> {
    let algo = resolve_with("gan-gcl", env, &Value::Null)?;
    Ok(algo.base_steps())
}

/// Environments with the same numbers of demonstrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    demonstrations: usize,
    envs: Vec<String>,
}

/// A suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// The table's heading.
    pub title: String,
    /// What the table shows.
    pub about: String,
    /// Columns of the table.
    pub methods: Vec<Method>,
    groups: Vec<Group>,
    seeds: Vec<u64>,
    #[serde(default)]
    validated: Validated,
    /// Whether the tables include the share of solved episodes.
    #[serde(default)]
    pub(super) solved: bool,
    /// Whether the tables include each method's difference to the first one.
    #[serde(default)]
    pub(super) differences: bool,
    /// Whether the tables leave out how long training took, of cells that ran side by side.
    #[serde(default)]
    pub(super) untimed: bool,
}

/// Cells whose cost fresh policies are trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Validated {
    demonstrations: Vec<usize>,
    envs: Vec<String>,
    methods: Vec<String>,
}

/// One training with its evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell<'a> {
    /// Environment.
    pub env: &'a str,
    /// Method.
    pub method: &'a Method,
    /// Demonstrations to learn from.
    pub demonstrations: usize,
    /// Seed of the training.
    pub seed: u64,
}

impl Suite {
    /// Names of the shipped suites of cells.
    pub const NAMES: [&'static str; 6] = [
        "results",
        "controls",
        "starts",
        "ablation",
        "controllers",
        "speed",
    ];

    /// A shipped suite.
    pub fn named(name: &str) -> Result<Self, Error> {
        let text = match name {
            "results" => include_str!("../../assets/benchmarks/results.json"),
            "controls" => include_str!("../../assets/benchmarks/controls.json"),
            "starts" => include_str!("../../assets/benchmarks/starts.json"),
            "ablation" => include_str!("../../assets/benchmarks/ablation.json"),
            "controllers" => include_str!("../../assets/benchmarks/controllers.json"),
            "speed" => include_str!("../../assets/benchmarks/speed.json"),
            other => {
                let known = Self::NAMES.into_iter().chain(ROW_SUITES).chain(["all"]);
                let hint = suggestion(nearest(other, known.clone()));
                return Err(Error::Misuse(format!(
                    "unknown benchmark `{other}`{hint}; there are {}",
                    known.collect::<Vec<_>>().join(", ")
                )));
            }
        };
        let suite: Self = shipped(name, text)?;
        Ok(Self {
            name: name.into(),
            ..suite
        })
    }

    /// Numbers of demonstrations, each with its environments, in the table's order.
    pub fn groups(&self) -> impl Iterator<Item = (usize, &[String])> {
        self.groups
            .iter()
            .map(|g| (g.demonstrations, g.envs.as_slice()))
    }

    /// Seeds of every cell.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// How a cell's cost is validated, if at all: as its settings say, otherwise like GAN-GCL's in that environment.
    pub fn validation(&self, cell: &Cell) -> Result<Option<ValidationSettings>, Error> {
        let v = &self.validated;
        let asked = v.demonstrations.contains(&cell.demonstrations)
            && v.envs.iter().any(|e| e == cell.env)
            && v.methods.contains(&cell.method.name);
        asked
            .then(|| validation(&cell.algo()?, cell.env))
            .transpose()
    }

    /// All cells, seed by seed, so that an interrupted benchmark has every cell with few seeds rather than
    /// few cells with all seeds.
    pub fn cells(&self) -> Result<Vec<Cell<'_>>, Error> {
        let mut cells = Vec::new();
        for &seed in &self.seeds {
            for group in &self.groups {
                for env in &group.envs {
                    let cloned = base_steps(env)? > 0;
                    let there = |m: &&Method| m.start == Start::Own || cloned;
                    cells.extend(self.methods.iter().filter(there).map(|method| Cell {
                        env,
                        method,
                        demonstrations: group.demonstrations,
                        seed,
                    }));
                }
            }
        }
        Ok(cells)
    }

    /// The same suite with some environments, methods or seeds only; an empty list selects all.
    pub fn restricted(
        mut self,
        envs: &[String],
        methods: &[String],
        seeds: &[u64],
    ) -> Result<Self, Error> {
        let unknown =
            |what: &str, name: &str, known: Vec<&str>| unknown(&self.name, what, name, &known);
        let known: Vec<&str> = self.methods.iter().map(|m| m.name.as_str()).collect();
        if let Some(name) = methods.iter().find(|m| !known.contains(&m.as_str())) {
            return Err(unknown("method", name, known));
        }
        let mut known: Vec<&str> = Vec::new();
        for env in self.groups.iter().flat_map(|g| &g.envs) {
            if !known.contains(&env.as_str()) {
                known.push(env);
            }
        }
        if let Some(name) = envs.iter().find(|e| !known.contains(&e.as_str())) {
            return Err(unknown("environment", name, known));
        }
        if !methods.is_empty() {
            self.methods.retain(|m| methods.contains(&m.name));
        }
        if !envs.is_empty() {
            for group in &mut self.groups {
                group.envs.retain(|e| envs.contains(e));
            }
            self.groups.retain(|g| !g.envs.is_empty());
        }
        if !seeds.is_empty() {
            self.seeds = seeds.to_vec();
        }
        Ok(self)
    }

    /// The same suite with some numbers of demonstrations only; an empty list selects all.
    ///
    /// Errors: a number that the suite does not have.
    pub fn with_demonstrations(mut self, counts: &[usize]) -> Result<Self, Error> {
        let known: Vec<usize> = self.groups.iter().map(|g| g.demonstrations).collect();
        if let Some(count) = counts.iter().find(|c| !known.contains(c)) {
            let known: Vec<String> = known.iter().map(usize::to_string).collect();
            return Err(Error::Misuse(format!(
                "benchmark {} has no cells with {count} demonstrations; there are {}",
                self.name,
                known.join(", ")
            )));
        }
        if !counts.is_empty() {
            self.groups.retain(|g| counts.contains(&g.demonstrations));
        }
        Ok(self)
    }
}

impl Cell<'_> {
    /// `ENV-METHOD-DEMONSTRATIONS-SEED`: its folder and file.
    pub fn name(&self) -> String {
        let Self {
            env,
            method,
            demonstrations,
            seed,
        } = self;
        format!("{env}-{}-{demonstrations}-{seed}", method.name)
    }

    /// The algorithm with all its settings.
    pub fn algo(&self) -> Result<Algo, Error> {
        let mut settings = match &self.method.settings {
            Value::Null => Value::Object(Map::new()),
            own => own.clone(),
        };
        match self.method.start {
            Start::Own => {}
            Start::BasePolicy => settings["clone_steps"] = base_steps(self.env)?.into(),
            Start::Nothing => {
                let budget = resolve_with("gail", self.env, &Value::Null)?;
                settings["base_steps"] = 0.into();
                if let Some(s) = budget.adversarial() {
                    settings["iterations"] = s.generator.iterations.into();
                    settings["trajectories"] = s.generator.trajectories.into();
                }
            }
        }
        resolve_with(&self.method.algo, self.env, &settings)
    }

    /// Path of its result in `folder`.
    pub fn file(&self, folder: &Path) -> std::path::PathBuf {
        folder.join(format!("{}.json", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_suites_resolve_in_every_cell() {
        for name in Suite::NAMES {
            let suite = Suite::named(name).unwrap();
            let cells = suite.cells().unwrap();
            assert!(!cells.is_empty());
            let mut names: Vec<String> = cells.iter().map(Cell::name).collect();
            for cell in &cells {
                cell.algo().unwrap();
                assert!(
                    costate_envs::registry::names().contains(&cell.env),
                    "{}",
                    cell.env
                );
            }
            names.sort();
            names.dedup();
            assert_eq!(names.len(), cells.len(), "{name}: two cells share a file");
        }
    }

    /// Settings added to GAIL have the defaults that earlier results were measured with.
    #[test]
    fn earlier_results_of_gail_stay() {
        let suite = Suite::named("results").unwrap();
        let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        let cells = suite.cells().unwrap();
        let cell = cells
            .iter()
            .find(|c| c.name() == "pendulum-gail-25-0")
            .unwrap();
        let there = crate::bench::CellResult::current(&suite, cell, &at).unwrap();
        assert!(there.is_some());
    }

    #[test]
    fn the_cloned_start_is_that_of_gan_gcl_and_only_where_it_has_one() {
        let suite = Suite::named("results").unwrap();
        let cells = suite.cells().unwrap();
        let shared = |env: &str, method: &str| {
            let cell = cells
                .iter()
                .find(|c| c.env == env && c.method.name == method)?;
            let algo = cell.algo().unwrap();
            let s = algo.adversarial().unwrap();
            Some((s.clone_steps, algo.base_steps()))
        };
        for env in ["hopper", "pendulum"] {
            let (_, base) = shared(env, "gan-gcl").unwrap();
            assert!(base > 0);
            for method in ["gail-cloned", "airl-cloned", "gcl-cloned"] {
                assert_eq!(shared(env, method), Some((base, 0)), "{env}, {method}");
            }
            for method in ["gail", "airl", "gcl", "gan-gcl-from-nothing"] {
                assert_eq!(shared(env, method), Some((0, 0)), "{env}, {method}");
            }
        }
        assert_eq!(shared("lq", "gan-gcl"), Some((0, 0)));
        assert_eq!(shared("lq", "gail-cloned"), None);
        assert_eq!(shared("lq", "gan-gcl-from-nothing"), None);
    }

    #[test]
    fn restrictions_name_what_is_unknown() {
        let refuse = |envs: &[&str], methods: &[&str]| {
            let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            let suite = Suite::named("results").unwrap();
            let error = suite
                .restricted(&own(envs), &own(methods), &[])
                .unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(refuse(&["pendulun"], &[]).contains("did you mean `pendulum`?"));
        assert!(refuse(&[], &["gan_gcl"]).contains("did you mean `gan-gcl`?"));
        let few = |counts: &[usize]| {
            let suite = Suite::named("results").unwrap();
            suite.with_demonstrations(counts)
        };
        let message = few(&[7]).unwrap_err().to_string();
        assert!(message.ends_with("there are 25, 5"), "{message}");
        let few = few(&[5]).unwrap();
        assert!(few.cells().unwrap().iter().all(|c| c.demonstrations == 5));
        let one = Suite::named("results")
            .unwrap()
            .restricted(&["pendulum".into()], &["bc".into()], &[7])
            .unwrap();
        assert!(
            one.cells()
                .unwrap()
                .iter()
                .all(|c| c.env == "pendulum" && c.method.name == "bc" && c.seed == 7)
        );
    }
}
