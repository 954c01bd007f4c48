//! True costs of recorded steps without rewards: the attached world's own, where its state follows from what was observed.
//!
//! A state of the world is fitted to every observation, twice, from different starts. Where both fits have the observation
//! but not the same cost, the cost depends on something that was not observed, and nothing is returned.

use std::sync::atomic::AtomicBool;

use costate_base::workers::{default_workers, in_order};
use costate_envs::{Env, EnvError, EnvFactory, EnvSpec, SavedState, Success, Trajectory};
use nalgebra::{DMatrix, DVector};

/// Largest difference between a fitted and a recorded number, relative to 1 + |value|, at which both are the same.
const SAME: f64 = 1e-3;
/// The same for a fit that need not be improved: some roundings of f32.
const EXACT: f64 = 3e-6;
/// Start states from which a fit of an episode's first observation is tried.
const STARTS: u64 = 32;
/// Gauss–Newton steps of a fit.
const STEPS: usize = 40;
/// Step of the numerical derivatives, relative to 1 + |value|.
const DIFFERENCE: f64 = 1e-3;
/// Singular values below this part of the largest count as zero: what they belong to was not observed.
const SINGULAR: f64 = 1e-4;

/// Costs of the steps of one episode, and whether it solved the task.
pub(super) type Priced = (Vec<f64>, Option<bool>);

/// Costs and success of all `episodes`; `watch` hears how many are done. Errors: why they cannot be had, as the end of a
/// sentence on the world.
pub(super) fn price(
    episodes: &[Trajectory],
    factory: &EnvFactory,
    watch: &mut dyn FnMut(usize),
) -> Result<Vec<Priced>, String> {
    let fits = || [0, 1].map(|parity| Fit::new(factory, parity));
    let of = |fits: &mut [Fit; 2], id: usize| {
        episode(&episodes[id], fits)
            .map_err(|(step, reason)| format!("{reason} (episode {id}, step {step})"))
    };
    let mut all = Vec::with_capacity(episodes.len());
    let never = AtomicBool::new(false);
    in_order(
        episodes.len(),
        default_workers(),
        &never,
        fits,
        of,
        |id, priced| {
            all.push(priced);
            watch(id + 1);
            Ok(())
        },
    )?;
    Ok(all)
}

/// Costs and success of one episode. Errors: the step, and what is wrong there.
fn episode(trajectory: &Trajectory, fits: &mut [Fit; 2]) -> Result<Priced, (usize, String)> {
    let mut costs = Vec::with_capacity(trajectory.len());
    let mut success = Success::default();
    for t in 0..=trajectory.len() {
        for fit in fits.iter_mut() {
            fit.observe(t, trajectory.observation(t))
                .map_err(|reason| (t, reason))?;
        }
        let [one, other] = [&fits[0], &fits[1]].map(|fit| fit.env.solved());
        success.see(one.filter(|_| one == other));
        if t < trajectory.len() {
            let [a, b] = [0, 1].map(|i| fits[i].step(trajectory.action(t)));
            if !same(a, b) {
                let reason = format!(
                    "its cost does not follow from observations and actions: states with the same observation cost {a:.4} \
                     and {b:.4}"
                );
                return Err((t, reason));
            }
            costs.push(a);
        }
    }
    Ok((costs, success.verdict()))
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * (1.0 + a.abs().max(b.abs()))
}

/// A state that follows the observations of an episode: coordinates, and what its task remembers of the start.
struct Fit {
    env: Box<dyn Env>,
    spec: EnvSpec,
    /// Start states have seeds of this parity.
    parity: u64,
    /// Steps of the episode so far.
    t: usize,
    seen: Vec<f32>,
}

impl Fit {
    fn new(factory: &EnvFactory, parity: u64) -> Self {
        let spec = factory.spec().clone();
        Self {
            env: factory.build(),
            parity,
            t: 0,
            seen: vec![0.0; spec.observation.dim()],
            spec,
        }
    }

    /// Goes to a state with observation `t` of an episode: near the one that the world itself went to, or else near a
    /// start state.
    fn observe(&mut self, t: usize, observed: &[f32]) -> Result<(), String> {
        self.t = t;
        let mut nearest = (f64::INFINITY, String::new());
        for start in 0..=STARTS {
            match (start, t) {
                (0, 0) => continue,
                (0, _) => {}
                _ => self.env.reset(2 * start + self.parity),
            }
            let (off, entry) = self.fit(observed).map_err(|e| match e {
                EnvError::Outside { reason, .. } => reason,
                other => other.to_string(),
            })?;
            if off <= SAME {
                return Ok(());
            }
            if off < nearest.0 {
                let name = &self.spec.observation.0[entry].name;
                let numbers = format!("`{name}` is {}, not {}", self.seen[entry], observed[entry]);
                nearest = (off, numbers);
            }
        }
        Err(format!(
            "no state with this observation was found; in the nearest, {}",
            nearest.1
        ))
    }

    /// The cost of a step, which goes to the world's own next state where it has one.
    fn step(&mut self, action: &[f32]) -> f64 {
        match self.env.step(action) {
            Ok(step) => step.cost,
            Err(_) => self.env.cost(action),
        }
    }

    /// Moves the state towards `observed`: least squares by Gauss–Newton with halved steps, where what was not observed
    /// stays as it is. Returns the largest relative difference that is left, and its channel.
    fn fit(&mut self, observed: &[f32]) -> Result<(f64, usize), EnvError> {
        let reached = self.differences(observed);
        if reached.amax() <= EXACT {
            let entry = reached.iamax();
            return Ok((reached[entry].abs(), entry));
        }
        let before = self.env.save();
        let mut here = self.state();
        // Contacts are known only after a step: what is observed of them does not survive setting the state.
        self.set(&here)?;
        let mut off = self.differences(observed);
        for _ in 0..STEPS {
            if off.amax() <= EXACT {
                break;
            }
            let svd = self.jacobian(&here, observed, &off).svd(true, true);
            let singular = SINGULAR * svd.singular_values.max();
            let Ok(step) = svd.solve(&off, singular.max(f64::MIN_POSITIVE)) else {
                break;
            };
            let better = (0..8).find_map(|halvings| {
                let there = &here - &step * 0.5_f64.powi(halvings);
                self.set(&there).ok()?;
                let now = self.differences(observed);
                (now.norm() < off.norm()).then_some((there, now))
            });
            match better {
                Some(better) => (here, off) = better,
                None => {
                    self.set(&here)?;
                    break;
                }
            }
        }
        if reached.amax() < off.amax() {
            self.env.load(&before)?;
        }
        let off = self.differences(observed);
        let entry = off.iamax();
        Ok((off[entry].abs(), entry))
    }

    /// Derivatives of the differences with respect to the state, 0 where it cannot be changed; leaves the state anywhere.
    fn jacobian(
        &mut self,
        here: &DVector<f64>,
        observed: &[f32],
        off: &DVector<f64>,
    ) -> DMatrix<f64> {
        let mut jacobian = DMatrix::zeros(observed.len(), here.len());
        for (i, value) in here.iter().enumerate() {
            for way in [1.0, -1.0] {
                let mut there = here.clone();
                there[i] = f64::from((value + way * DIFFERENCE * (1.0 + value.abs())) as f32);
                if self.set(&there).is_ok() {
                    let change = (self.differences(observed) - off) / (there[i] - value);
                    jacobian.set_column(i, &change);
                    break;
                }
            }
        }
        jacobian
    }

    fn state(&self) -> DVector<f64> {
        let coordinates = self.env.coordinates().into_iter().map(f64::from);
        let all: Vec<f64> = coordinates.chain(self.env.save().task).collect();
        DVector::from_vec(all)
    }

    fn set(&mut self, state: &DVector<f64>) -> Result<(), EnvError> {
        let (coordinates, task) = state.as_slice().split_at(self.env.coordinates().len());
        let coordinates: Vec<f32> = coordinates.iter().map(|c| *c as f32).collect();
        self.env.reset_to(&coordinates)?;
        let saved = SavedState {
            step: self.t,
            task: task.to_vec(),
            ..self.env.save()
        };
        self.env.load(&saved)
    }

    /// What the world observes less what was observed, relative to 1 + |value|.
    fn differences(&mut self, observed: &[f32]) -> DVector<f64> {
        self.env.observe(&mut self.seen);
        let pairs = self.seen.iter().zip(observed);
        let relative = pairs.map(|(a, b)| {
            let off = f64::from(*a) - f64::from(*b);
            off / (1.0 + f64::from(b.abs()))
        });
        DVector::from_iterator(observed.len(), relative)
    }
}
