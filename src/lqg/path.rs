//! Trajectories in scaled units, in f64.

use costate_envs::Trajectory;
use costate_envs::linear::{LinearController, LinearStep};
use nalgebra::{DMatrix, DVector};

use super::controller::Controller;
use super::gaussian::factor;

/// x = (s − mean) / std and u = (a − centre) / half range.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// Mean of the states, `[n]`.
    pub state_mean: DVector<f64>,
    /// Standard deviation of the states, `[n]`, positive.
    pub state_std: DVector<f64>,
    /// Centre of the actions, `[m]`.
    pub action_centre: DVector<f64>,
    /// Half range of the actions, `[m]`, positive.
    pub action_half_range: DVector<f64>,
}

impl Scales {
    /// From a network's mean, standard deviation, centre and half range.
    pub fn new(mean: &[f32], std: &[f32], centre: &[f32], half_range: &[f32]) -> Self {
        let vector = |v: &[f32]| DVector::from_iterator(v.len(), v.iter().map(|x| f64::from(*x)));
        Self {
            state_mean: vector(mean),
            state_std: vector(std),
            action_centre: vector(centre),
            action_half_range: vector(half_range),
        }
    }

    /// Entries of a state and of an action.
    pub fn dims(&self) -> (usize, usize) {
        (self.state_mean.len(), self.action_centre.len())
    }

    /// A controller that acts in the world's units: K_a = h K / std, k_a = centre + h (k − K mean/std), L_a = h L.
    pub fn actor(
        &self,
        controller: &Controller,
    ) -> Result<LinearController, costate_envs::actor::ActorError> {
        let half = DMatrix::from_diagonal(&self.action_half_range);
        let per_std = DMatrix::from_diagonal(&self.state_std.map(f64::recip));
        let steps = controller.steps().iter().map(|step| {
            let gain = &half * &step.gain * &per_std;
            LinearStep {
                offset: &self.action_centre + &half * &step.offset - &gain * &self.state_mean,
                factor: &half * factor(step.covariance.clone()).l(),
                gain,
            }
        });
        LinearController::new(steps.collect())
    }
}

/// States x_0 … x_T and actions u_0 … u_{T−1} of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// `[n, T + 1]`.
    pub states: DMatrix<f64>,
    /// `[m, T]`.
    pub actions: DMatrix<f64>,
}

impl Path {
    /// A trajectory in scaled units.
    pub fn new(trajectory: &Trajectory, scales: &Scales) -> Self {
        let columns = |values: &[f32], shift: &DVector<f64>, scale: &DVector<f64>| {
            let n = shift.len();
            DMatrix::from_fn(n, values.len() / n, |i, t| {
                (f64::from(values[t * n + i]) - shift[i]) / scale[i]
            })
        };
        Self {
            states: columns(
                trajectory.observations(),
                &scales.state_mean,
                &scales.state_std,
            ),
            actions: columns(
                trajectory.actions(),
                &scales.action_centre,
                &scales.action_half_range,
            ),
        }
    }

    /// Steps T.
    #[allow(clippy::len_without_is_empty)] // a trajectory has at least one step
    pub fn len(&self) -> usize {
        self.actions.ncols()
    }

    /// (x_t, u_t), `[n + m]`.
    pub fn step(&self, t: usize) -> DVector<f64> {
        stack([self.states.column(t), self.actions.column(t)])
    }

    /// (x_t, u_t, x_{t+1}), `[n + m + n]`.
    pub fn transition(&self, t: usize) -> DVector<f64> {
        stack([
            self.states.column(t),
            self.actions.column(t),
            self.states.column(t + 1),
        ])
    }
}

fn stack<const N: usize>(parts: [nalgebra::DVectorView<f64>; N]) -> DVector<f64> {
    let rows = parts.iter().flat_map(|p| p.iter().copied());
    DVector::from_vec(rows.collect())
}
