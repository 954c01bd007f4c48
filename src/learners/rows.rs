//! How trajectories are cut into the rows that a cost is learned from.

use costate_envs::EnvFactory;

use crate::batch::TrajectoryBatch;
use crate::lengths::Lengths;

/// Whole trajectories or windows, cut to the lengths of the demonstrations.
///
/// Energies are sums over steps. If demonstrations were cut short while rollouts continue to the horizon, a
/// discriminator can distinguish them by the number of summed steps alone. The rollouts are then cut as well, each to
/// the length of one demonstration in turn, so that both have the same lengths: q of the first steps is as exact as q
/// of all, and V(s) at the cut stands for the remaining steps.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    window: Option<usize>,
    /// Lengths of the demonstrations, if some are shorter than the horizon.
    lengths: Option<Vec<usize>>,
}

/// How a learned energy and the policy's density discriminate between rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discrimination {
    /// Steps of a row; `None` for whole trajectories.
    pub window: Option<usize>,
    /// Divisor β of the logit.
    pub beta: f64,
}

impl From<Option<usize>> for Rows {
    fn from(window: Option<usize>) -> Self {
        Self::new(window)
    }
}

impl Rows {
    /// Rows of `window` steps, or of whole trajectories.
    pub fn new(window: Option<usize>) -> Self {
        Self {
            window,
            lengths: None,
        }
    }

    /// The same, with rollouts cut to the lengths of `demonstrations` if these were cut short in the world of `factory`.
    pub fn cut_like(self, demonstrations: &TrajectoryBatch, factory: &EnvFactory) -> Self {
        let steps = &demonstrations.lengths;
        let lengths = Lengths::of(steps.iter().copied(), factory.spec().horizon);
        let short = lengths.is_some_and(|lengths| lengths.cut_short(factory));
        Self {
            lengths: short.then(|| steps.clone()),
            ..self
        }
    }

    /// Rows of the demonstrations.
    pub fn of_demonstrations(&self, demonstrations: &TrajectoryBatch) -> TrajectoryBatch {
        demonstrations.windows(self.window)
    }

    /// Rows of the rollouts of iteration `k`.
    pub fn of_rollouts(&self, rollouts: &TrajectoryBatch, k: usize) -> TrajectoryBatch {
        match &self.lengths {
            None => rollouts.windows(self.window),
            Some(lengths) => {
                // Each iteration continues where the last one stopped.
                let turn = lengths
                    .iter()
                    .cycle()
                    .skip(k * rollouts.len() % lengths.len());
                let steps: Vec<usize> = turn.copied().take(rollouts.len()).collect();
                rollouts.prefixes(&steps).windows(self.window)
            }
        }
    }
}
