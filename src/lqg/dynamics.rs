//! Local linear-Gaussian dynamics, fitted to a few rollouts.

use nalgebra::DMatrix;

use super::controller::Controller;
use super::gaussian::{Conditional, Joint, symmetric};
use super::mixture::GaussianMixture;
use super::path::Path;

/// Variance of a state or an action below which its effect is not identified.
const RIDGE: f64 = 1e-6;

/// x_{t+1} ~ N(F_t (x_t, u_t) + f_t, W_t) for each step.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamics {
    steps: Vec<Conditional>,
}

impl Dynamics {
    /// Of its steps, whose gains are `[n, n + m]`.
    pub fn new(steps: Vec<Conditional>) -> Self {
        Self { steps }
    }

    /// Fits each step to `paths` of one start and equal lengths. The prior of a step, of weight `strength`, comes from
    /// the mixture over (x, u, x') at its transitions, so that fewer rollouts than dimensions suffice (Levine and
    /// Abbeel 2014, section 3.2).
    pub fn fitted(paths: &[Path], prior: &GaussianMixture, strength: f64) -> Self {
        let inputs = paths[0].states.nrows() + paths[0].actions.nrows();
        let step = |t| {
            let rows: Vec<_> = paths.iter().map(|p| p.transition(t)).collect();
            let samples = DMatrix::from_columns(&rows);
            prior
                .near(&samples)
                .updated(&samples, strength)
                .conditional(inputs, RIDGE)
        };
        Self::new((0..paths[0].len()).map(step).collect())
    }

    /// The steps.
    pub fn steps(&self) -> &[Conditional] {
        &self.steps
    }

    /// Root mean square of x_{t+1} − F_t (x_t, u_t) − f_t over all entries of `paths`.
    pub fn error(&self, paths: &[Path]) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for path in paths {
            for (t, step) in self.steps.iter().enumerate() {
                let missed = path.states.column(t + 1) - &step.gain * path.step(t) - &step.offset;
                sum += missed.norm_squared();
                count += missed.len();
            }
        }
        (sum / count.max(1) as f64).sqrt()
    }

    /// The distributions of (x_t, u_t) for t < T, and that of x_T, where `controller` acts from `start`.
    pub fn marginals(&self, controller: &Controller, start: &Joint) -> Marginals {
        let mut state = start.clone();
        let mut steps = Vec::with_capacity(self.steps.len());
        for (dynamics, act) in self.steps.iter().zip(controller.steps()) {
            let (n, m) = (state.mean.len(), act.offset.len());
            let mean = &act.gain * &state.mean + &act.offset;
            let cross = &act.gain * &state.covariance;
            let own = &cross * act.gain.transpose() + &act.covariance;
            let mut joint = Joint {
                mean: state.mean.clone().resize_vertically(n + m, 0.0),
                covariance: state.covariance.clone().resize(n + m, n + m, 0.0),
            };
            joint.mean.rows_mut(n, m).copy_from(&mean);
            let s = &mut joint.covariance;
            s.view_mut((n, 0), (m, n)).copy_from(&cross);
            s.view_mut((0, n), (n, m)).copy_from(&cross.transpose());
            s.view_mut((n, n), (m, m)).copy_from(&own);
            let next = Joint {
                mean: &dynamics.gain * &joint.mean + &dynamics.offset,
                covariance: symmetric(
                    &dynamics.gain * &joint.covariance * dynamics.gain.transpose()
                        + &dynamics.covariance,
                ),
            };
            steps.push(joint);
            state = next;
        }
        Marginals { steps, last: state }
    }
}

/// State and action distributions under a controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginals {
    /// Of (x_t, u_t), `[T]`.
    pub steps: Vec<Joint>,
    /// Of x_T.
    pub last: Joint,
}

impl Marginals {
    /// Of x_t, `[T]`, with n entries.
    pub fn states(&self) -> Vec<Joint> {
        let n = self.last.mean.len();
        let cut = |z: &Joint| Joint {
            mean: z.mean.rows(0, n).into_owned(),
            covariance: z.covariance.view((0, 0), (n, n)).into_owned(),
        };
        self.steps.iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::rng::stream;
    use nalgebra::DVector;
    use rand_distr::{Distribution, StandardNormal};

    const STEPS: usize = 6;

    /// Paths of x' = A x + B u + 0.1 from starts and actions that are drawn.
    fn paths(count: usize, seed: u64) -> (DMatrix<f64>, Vec<Path>) {
        let truth = DMatrix::from_row_slice(2, 3, &[1.0, 0.3, 0.0, -0.2, 0.9, 0.5]);
        let mut rng = stream(seed, "test", 0);
        let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
        let path = |_| {
            let mut states = vec![DVector::from_fn(2, |_, _| draw())];
            let actions = DMatrix::from_fn(1, STEPS, |_, _| draw());
            for t in 0..STEPS {
                let mut z = states[t].clone().resize_vertically(3, 0.0);
                z[2] = actions[t];
                states.push((&truth * z).add_scalar(0.1));
            }
            Path {
                states: DMatrix::from_columns(&states),
                actions,
            }
        };
        let paths = (0..count).map(path).collect();
        (truth, paths)
    }

    fn prior(paths: &[Path]) -> GaussianMixture {
        let rows: Vec<_> = paths
            .iter()
            .flat_map(|p| (0..p.len()).map(|t| p.transition(t)))
            .collect();
        let rows = DMatrix::from_columns(&rows);
        let mut mixture = GaussianMixture::seeded(&rows, 3, &mut stream(0, "mixture", 0));
        mixture.improve(&rows, 50);
        mixture
    }

    #[test]
    fn a_linear_system_is_recovered_from_few_rollouts_thanks_to_the_prior() {
        let (truth, many) = paths(60, 0);
        let mixture = prior(&many);
        // Two rollouts for three inputs: underdetermined on their own.
        let few = &paths(2, 1).1;
        let found = Dynamics::fitted(few, &mixture, 1.0);
        for step in found.steps() {
            assert!((&step.gain - &truth).amax() < 0.02, "{}", step.gain);
        }
        assert!(found.error(few) < 0.02);
        let alone = Dynamics::fitted(few, &mixture, 1e-9);
        let off = |s: &Conditional| (&s.gain - &truth).amax();
        assert!(alone.steps().iter().map(off).fold(0.0, f64::max) > 0.1);
    }

    #[test]
    fn a_prior_of_another_system_gives_way_to_many_rollouts() {
        let (truth, many) = paths(800, 0);
        let mut other = many.clone();
        // Everything goes the other way there.
        other.iter_mut().for_each(|p| p.actions.neg_mut());
        let wrong = Dynamics::fitted(&many, &prior(&other), 1.0);
        for step in wrong.steps() {
            assert!(
                (step.gain[(1, 2)] - truth[(1, 2)]).abs() < 0.05,
                "{}",
                step.gain
            );
        }
        let few = Dynamics::fitted(&many[..1], &prior(&other), 1.0);
        let mean = few.steps().iter().map(|s| s.gain[(1, 2)]).sum::<f64>() / STEPS as f64;
        assert!(mean < 0.0, "one rollout against it: {mean}");
    }
}
