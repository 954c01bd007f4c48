//! A simulated world on a grid: a finite process with a known exact solution.

use costate_envs::{Env, EnvFactory};
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::error::Error;

/// A generalised coordinate of the world, discretised into cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Its index in [`Env::coordinates`].
    pub coordinate: usize,
    /// Start of the first cell and end of the last, in the coordinate's unit.
    pub range: [f64; 2],
    /// Number of cells.
    pub cells: usize,
    /// Whether both ends coincide, as for angles; otherwise values outside the range count as the nearest cell.
    #[serde(default)]
    pub periodic: bool,
}

/// How a world is discretised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridSettings {
    /// Discretised coordinates; the others are zero at the start of every step and discarded at its end.
    pub axes: Vec<Axis>,
    /// Actions to choose from, each `[action dim]`.
    pub actions: Vec<Vec<f32>>,
    /// Control steps that an action is held for.
    pub hold: usize,
    /// Steps of an episode, each of `hold` control steps.
    pub horizon: usize,
    /// Where episodes start, along the axes.
    pub start: Vec<f64>,
}

/// A world discretised on a grid. A step starts at the centre of a cell and ends in the cell that it reaches: the process
/// is deterministic, as log Z = V_0 requires.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// States are cells, the last axis varying fastest.
    pub process: Process,
    /// The world's true cost of holding an action from a cell, summed over its control steps, `[S · A]`.
    pub cost: Vec<f64>,
}

impl Axis {
    /// The cell of a value.
    fn cell(&self, value: f64) -> usize {
        let [low, high] = self.range;
        let mut share = (value - low) / (high - low);
        if self.periodic {
            share = share.rem_euclid(1.0);
        }
        ((share * self.cells as f64).max(0.0) as usize).min(self.cells - 1)
    }

    /// Its centre.
    fn middle(&self, cell: usize) -> f64 {
        let [low, high] = self.range;
        low + (high - low) * (cell as f64 + 0.5) / self.cells as f64
    }
}

impl GridSettings {
    /// Whether they fit a world with `coordinates` coordinates and actions of `action_dim` entries.
    fn check(&self, coordinates: usize, action_dim: usize) -> Result<(), String> {
        if self.hold == 0 || self.horizon == 0 || self.actions.is_empty() || self.axes.is_empty() {
            return Err("hold and horizon must be positive, axes and actions not empty".into());
        }
        for axis in &self.axes {
            let [low, high] = axis.range;
            if axis.coordinate >= coordinates {
                return Err(format!(
                    "axis of coordinate {}, there are {coordinates}",
                    axis.coordinate
                ));
            }
            if axis.cells == 0 || !(low < high && (high - low).is_finite()) {
                return Err(format!(
                    "axis of coordinate {}: {} cells in [{low}, {high}], expected some in an interval",
                    axis.coordinate, axis.cells
                ));
            }
        }
        if let Some(action) = self.actions.iter().find(|a| a.len() != action_dim) {
            return Err(format!(
                "an action has {} entries, expected {action_dim}",
                action.len()
            ));
        }
        match self.start.len() == self.axes.len() {
            true => Ok(()),
            false => Err(format!(
                "start has {} entries, expected one an axis, {}",
                self.start.len(),
                self.axes.len()
            )),
        }
    }

    fn states(&self) -> usize {
        self.axes.iter().map(|a| a.cells).product()
    }

    /// The state for values along the axes.
    fn state(&self, values: impl Iterator<Item = f64>) -> usize {
        let cells = self.axes.iter().zip(values);
        cells.fold(0, |state, (axis, value)| {
            state * axis.cells + axis.cell(value)
        })
    }

    /// The coordinates, `[coordinates]`, of a state's centre.
    fn middle(&self, mut state: usize, coordinates: usize) -> Vec<f32> {
        let mut out = vec![0.0; coordinates];
        for axis in self.axes.iter().rev() {
            out[axis.coordinate] = axis.middle(state % axis.cells) as f32;
            state /= axis.cells;
        }
        out
    }

    /// Holds an action from a state: the next state, and the cost.
    fn step(&self, env: &mut dyn Env, state: usize, action: &[f32]) -> Result<(usize, f64), Error> {
        let coordinates = env.coordinates().len();
        env.reset_to(&self.middle(state, coordinates))?;
        let mut cost = 0.0;
        for _ in 0..self.hold {
            cost += env.cost(action);
            if env.step(action)?.end != costate_envs::End::Running {
                break;
            }
        }
        let reached = env.coordinates();
        let along = self.axes.iter().map(|a| f64::from(reached[a.coordinate]));
        Ok((self.state(along), cost))
    }
}

impl Grid {
    /// Discretises the world of `factory`. An episode that ends while an action is held stays where it ended.
    ///
    /// Errors: settings that do not fit the world; a state that the world rejects.
    pub fn of(factory: &EnvFactory, settings: &GridSettings) -> Result<Self, Error> {
        let mut env = factory.build();
        env.reset(0);
        let misuse =
            |reason: String| Error::Misuse(format!("grid of {}: {reason}", factory.spec().name));
        settings
            .check(env.coordinates().len(), factory.spec().action.dim())
            .map_err(misuse)?;
        let (mut next, mut cost) = (Vec::new(), Vec::new());
        for state in 0..settings.states() {
            for action in &settings.actions {
                let (reached, spent) = settings.step(env.as_mut(), state, action)?;
                next.push(vec![(reached, 1.0)]);
                cost.push(spent);
            }
        }
        let mut start = vec![0.0; settings.states()];
        start[settings.state(settings.start.iter().copied())] = 1.0;
        let process = Process::new(settings.actions.len(), settings.horizon, start, next)
            .map_err(|e| misuse(e.to_string()))?;
        Ok(Self { process, cost })
    }
}

#[cfg(test)]
mod tests {
    use super::super::soft::Soft;
    use super::*;
    use costate_envs::EnvConfig;

    /// The pendulum in 24 angles and 16 speeds.
    fn pendulum() -> (EnvFactory, GridSettings) {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let axis = |coordinate, range, cells, periodic| Axis {
            coordinate,
            range,
            cells,
            periodic,
        };
        let pi = std::f64::consts::PI;
        let settings = GridSettings {
            axes: vec![
                axis(0, [-pi, pi], 25, true),
                axis(1, [-8.0, 8.0], 17, false),
            ],
            actions: vec![vec![-2.0], vec![0.0], vec![2.0]],
            hold: 3,
            horizon: 20,
            start: vec![pi, 0.0],
        };
        (factory, settings)
    }

    #[test]
    fn cells_wrap_where_axes_are_periodic_and_end_where_they_are_not() {
        let (_, settings) = pendulum();
        let [angle, speed] = [&settings.axes[0], &settings.axes[1]];
        assert_eq!(angle.cell(3.2), angle.cell(3.2 - std::f64::consts::TAU));
        assert_eq!((speed.cell(-99.0), speed.cell(99.0)), (0, 16));
        for state in 0..settings.states() {
            let at = settings.middle(state, 2);
            assert_eq!(settings.state(at.iter().map(|v| f64::from(*v))), state);
        }
    }

    #[test]
    fn the_pendulum_on_a_grid_hangs_where_it_hangs_and_is_swung_up_by_its_soft_policy() {
        let (factory, settings) = pendulum();
        let grid = Grid::of(&factory, &settings).unwrap();
        let upright = settings.state([0.0, 0.0].into_iter());
        // Upright at rest without torque costs nothing, and is exactly the centre of its cell.
        assert!(grid.cost[grid.process.at(upright, 1)].abs() < 1e-6);
        assert_eq!(grid.process.successors(upright, 1), &[(upright, 1.0)]);
        // A low-temperature policy of the true cost swings up from hanging to near upright.
        let cold: Vec<f64> = grid.cost.iter().map(|c| 3.0 * c).collect();
        let soft = Soft::of(&grid.process, &cold).unwrap();
        let walk = grid.process.walk(
            &soft.log_policy,
            &mut costate_envs::rng::stream(0, "walk", 0),
        );
        let (last, _) = walk.steps[walk.steps.len() - 1];
        let end = settings.middle(last, 2);
        assert!(end[0].abs() < 0.6, "{end:?}");
    }

    #[test]
    fn settings_that_do_not_fit_the_world_are_rejected() {
        let (factory, settings) = pendulum();
        let message = |change: fn(&mut GridSettings)| {
            let mut bad = settings.clone();
            change(&mut bad);
            Grid::of(&factory, &bad).unwrap_err().to_string()
        };
        assert!(message(|s| s.axes[1].coordinate = 2).contains("coordinate 2, there are 2"));
        assert!(message(|s| s.axes[0].range = [1.0, 1.0]).contains("[1, 1]"));
        assert!(message(|s| s.actions[1] = vec![]).contains("has 0 entries, expected 1"));
        assert!(message(|s| s.start = vec![0.0]).contains("start has 1"));
        assert!(message(|s| s.hold = 0).contains("positive"));
    }
}
