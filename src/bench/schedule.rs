//! Which cells run first: within a seed the longest, so that none is left to run alone at the end.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use costate_envs::EnvConfig;
use serde_json::Value;

use super::result::CellResult;
use super::suite::{Cell, Suite};
use super::table::median;
use crate::error::Error;

/// Orders cells seed by seed, so that an interrupted benchmark has every cell with few seeds rather than few cells with all
/// seeds, and within a seed from the longest to the shortest, as far as `folder` and their settings tell.
pub fn longest_first(suite: &Suite, cells: &mut [Cell], folder: &Path) -> Result<(), Error> {
    let mut taken = Vec::new();
    for cell in suite.cells()? {
        // Of other settings, too: better than a guess.
        if let Ok(Some(result)) = CellResult::read(&cell.file(folder)) {
            let seconds = result.seconds + result.fresh.map_or(0.0, |f| f.seconds);
            taken.push((
                cell.env.to_owned(),
                cell.method.name.clone(),
                seconds,
                planned_steps(suite, &cell)?,
            ));
        }
    }
    let pace = middle(taken.iter().map(|(_, _, seconds, steps)| seconds / steps)).unwrap_or(1e-4);
    let mut lengths = BTreeMap::new();
    for cell in &*cells {
        let alike = taken
            .iter()
            .filter(|(env, method, ..)| *env == cell.env && *method == cell.method.name);
        let seconds = match middle(alike.map(|(_, _, seconds, _)| *seconds)) {
            Some(seconds) => seconds,
            None => pace * planned_steps(suite, cell)?,
        };
        lengths.insert(cell.name(), (seconds * 1e3) as u64);
    }
    let seeds = suite.seeds();
    let turn = |seed: u64| seeds.iter().position(|s| *s == seed);
    cells.sort_by_cached_key(|cell| (turn(cell.seed), Reverse(lengths.get(&cell.name()).copied())));
    Ok(())
}

/// Environment steps of a cell with its validation, at least 1; a cloning counts as few.
fn planned_steps(suite: &Suite, cell: &Cell) -> Result<f64, Error> {
    let algo = cell.algo()?;
    let values = algo.values()?;
    let number = |name: &str| values.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let mut episodes = number("iterations") * number("trajectories").max(1.0);
    if let Some(fresh) = suite.validation(cell)? {
        let costs = if fresh.controls && algo.base_steps() > 0 {
            3
        } else {
            1
        };
        let policies = fresh.policies * fresh.discounts.len() * costs;
        episodes += (policies * fresh.iterations * fresh.trajectories) as f64;
    }
    let horizon = EnvConfig::named(cell.env)?.factory()?.spec().horizon;
    Ok((episodes * horizon as f64).max(1.0))
}

/// The median of those that are finite, if any are.
fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    (!values.is_empty()).then(|| median(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_come_first_and_seeds_stay_together() {
        let suite = Suite::named("results").unwrap();
        let methods = ["bc", "gan-gcl"].map(String::from);
        let envs = ["pendulum", "hopper"].map(String::from);
        let suite = suite
            .restricted(&envs, &methods, &[0, 1])
            .unwrap()
            .with_demonstrations(&[25])
            .unwrap();
        let ordered = |folder: &Path| {
            let mut cells = suite.cells().unwrap();
            longest_first(&suite, &mut cells, folder).unwrap();
            cells.iter().map(Cell::name).collect::<Vec<_>>()
        };
        // By what their settings plan.
        let empty = tempfile::tempdir().unwrap();
        let names = ordered(empty.path());
        assert!(names[..4].iter().all(|n| n.ends_with("-0")), "{names:?}");
        assert!(names[4..].iter().all(|n| n.ends_with("-1")), "{names:?}");
        let place = |name: &str| names.iter().position(|n| n == name);
        assert!(
            place("hopper-gan-gcl-25-0") < place("hopper-bc-25-0"),
            "{names:?}"
        );
        assert!(
            place("pendulum-gan-gcl-25-0") < place("pendulum-bc-25-0"),
            "{names:?}"
        );
        // By what they took: a clone that once took days is the first.
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        for cell in suite.cells().unwrap() {
            let mut result = CellResult::read(&cell.file(&shipped)).unwrap().unwrap();
            if cell.name() == "pendulum-bc-25-1" {
                result.seconds = 864_000.0;
            }
            result.write(&cell.file(empty.path())).unwrap();
        }
        assert_eq!(ordered(empty.path())[0], "pendulum-bc-25-0");
    }
}
