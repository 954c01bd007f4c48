//! Runs of `costate bench shifts`: learned in one world, tried in another.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::super::protocol::Protocol;
use super::super::results::Results;
use super::super::runs::work;
use super::super::world::WorldChanges;
use super::super::{Demonstrations, record, transfer};
use super::cells::{recorded, run_of};
use super::turns::alone;
use crate::bench::{
    Cell, MeasuredRow, RowKey, RowSuite, Shift, ShiftFigures, ShiftSuite, env_digest,
};
use crate::error::Error;
use crate::evaluate::transfer::{Transfer, rows};
use crate::run::settings;

/// The suite, and the folder of demonstrations and runs.
pub struct Shifts {
    /// What is compared.
    pub suite: ShiftSuite,
    /// Where demonstrations and runs are kept.
    pub work: PathBuf,
    /// Worker threads of a row.
    pub workers: usize,
}

impl Shifts {
    /// Folder of the demonstrations of a changed world; those of shipped worlds are shared with the other suites.
    fn demonstrations(&self, shift: &Shift) -> Result<PathBuf, Error> {
        let changes = WorldChanges {
            set: shift.world_overrides(),
            ..WorldChanges::default()
        };
        let name = match shift.world.is_empty() {
            true => shift.env.clone(),
            false => shift.name(),
        };
        let request = record::Request {
            world: changes,
            ..record::Request::new(
                &shift.env,
                &self.work.join("demonstrations").join(name),
                self.suite.demonstrations,
                0,
                self.workers,
            )
        };
        recorded(&request, &AtomicBool::new(false))
    }

    /// The changed world of a row, and what is learned before.
    fn row(&self, key: &RowKey) -> Result<(&Shift, Cell<'_>), Error> {
        let (shift, method) = self.suite.of(key)?;
        let cell = Cell {
            env: &shift.env,
            method,
            demonstrations: key.size,
            seed: key.seed,
        };
        Ok((shift, cell))
    }

    /// Folder of a row's run; runs in shipped worlds are shared with the other suites.
    fn folder(&self, key: &RowKey) -> Result<PathBuf, Error> {
        let (shift, cell) = self.row(key)?;
        let name = match shift.world.is_empty() {
            true => cell.name(),
            false => format!("{}-{}", cell.name(), shift.variant),
        };
        Ok(self.work.join("runs").join(name))
    }

    fn measure_alone(
        &self,
        key: &RowKey,
        interrupt: &AtomicBool,
    ) -> Result<Option<ShiftFigures>, Error> {
        let (shift, cell) = self.row(key)?;
        let demos = self.demonstrations(shift)?;
        let demonstrations = Demonstrations::open(&demos)?;
        let run = run_of(&cell, &demos, &demonstrations, &self.folder(key)?)?;
        if !work(&run, Some(&demonstrations), self.workers, None, interrupt)?.finished {
            return Ok(None);
        }
        // Policies on the true cost there do not depend on the method.
        for method in &shift.methods {
            let other = RowKey {
                method: method.clone(),
                ..key.clone()
            };
            transfer::take_over_true_cost(&run, &self.folder(&other)?, &shift.variant)?;
        }
        let variants = [shift.variant.clone()];
        let request = transfer::Request {
            results: Results::of(&run),
            demonstrations: &demonstrations,
            variant: &shift.variant,
            recipe: &transfer::recipe(&run, &variants, &shift.recipe_overrides())?,
            protocol: Protocol::published(self.workers),
        };
        let found = transfer::transfer(&request, interrupt)?;
        let algo = run.config().algo.name();
        Ok(found.and_then(|found| figures(&found, algo)))
    }
}

impl RowSuite for Shifts {
    type Figures = ShiftFigures;
    const NAME: &'static str = ShiftSuite::NAME;

    fn keys(&self) -> Vec<RowKey> {
        self.suite.keys()
    }

    fn basis(&self, key: &RowKey) -> Result<Value, Error> {
        let (shift, cell) = self.row(key)?;
        let recipe = settings::resolve("ppo", &shift.env, None, &shift.recipe_overrides())?;
        let world = json!([shift.variant, shift.world, env_digest(&shift.env)?]);
        let algo = cell.algo()?;
        Ok(json!([world, algo.without_validation(), recipe]))
    }

    fn measure(&self, key: &RowKey, interrupt: &AtomicBool) -> Result<Option<ShiftFigures>, Error> {
        // Variants of a world share its run.
        alone(&self.folder(key)?, || self.measure_alone(key, interrupt))
    }

    fn markdown(&self, rows: &[MeasuredRow<ShiftFigures>]) -> String {
        self.suite.table(rows)
    }

    fn picture(&self, _: &[MeasuredRow<ShiftFigures>]) -> Option<(&'static str, String)> {
        None
    }
}

fn figures(found: &Transfer, algo: &str) -> Option<ShiftFigures> {
    let mean = |policy: &str| {
        let row = found.rows.iter().find(|r| r.policy == policy)?;
        Some(row.mean_return)
    };
    let truth = mean(rows::TRUE_COST)?;
    let relative = |mean: f64| (mean - truth) / truth.abs().max(1e-9);
    Some(ShiftFigures {
        reference: found.reference,
        reference_return: found.reference_return,
        random_return: found.random_return,
        own: found.score(&rows::transferred(algo))?,
        true_cost: found.score(rows::TRUE_COST)?,
        frozen: found.score(rows::FROZEN),
        relative_return: mean(rows::FROZEN).map(relative),
        delta: found.frozen.as_ref().map(|f| f.best().delta),
        verdict: found.frozen.as_ref().map(|f| f.verdict),
    })
}
