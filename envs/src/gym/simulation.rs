//! An environment of Gymnasium as an [`Env`].

use std::sync::{Arc, Mutex, PoisonError};

use super::model::GymModel;
use super::process::{Asked, Dims, Fault, Process, Record};
use crate::env::{End, Env, EnvError, SavedState, Step, check_action};
use crate::hash::words;
use crate::rng::derive_seed;
use crate::scene::Scene;
use crate::spec::EnvSpec;

/// How often the process of one episode is replaced before the episode is given up.
const MOST_RESTARTS: usize = 3;

/// Numbers of a saved state before its actions: seed and digest, each in two halves.
const HEAD: usize = 4;

/// Processes that are not in use.
pub(super) struct Pool {
    asked: Asked,
    idle: Mutex<Vec<Process>>,
}

impl Pool {
    pub fn new(model: &GymModel) -> Self {
        Self {
            asked: Asked {
                id: model.id.clone(),
                module: model.module.clone(),
                kwargs: model.kwargs.clone(),
            },
            idle: Mutex::new(Vec::new()),
        }
    }

    fn idle(&self) -> Option<Process> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    /// A process that has played nothing yet.
    fn fresh(&self, dims: Dims) -> Result<Process, Fault> {
        let (process, found) = Process::start(&self.asked)?;
        let now = [found.observation.low.len(), found.action.low.len()];
        let then = [dims.observation, dims.action];
        match now == then {
            true => Ok(process),
            false => Err(Fault::Refused(format!(
                "it has changed: it now has {} observed values and {} actions, expected {} and {}",
                now[0], now[1], then[0], then[1]
            ))),
        }
    }

    fn give_back(&self, process: Process) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(process);
    }
}

/// The environment. Its state is what led to it: the seed and the actions since, which any other process turns into the
/// same state, if the environment is deterministic.
pub(super) struct Simulation {
    spec: Arc<EnvSpec>,
    dims: Dims,
    pool: Arc<Pool>,
    process: Option<Process>,
    /// Seed that Gymnasium got.
    seed: u64,
    /// Row-major `[step, action_dim]`, within bounds.
    actions: Vec<f32>,
    /// Steps as the horizon counts them: as many as there are actions, unless a loaded state has another time.
    clock: usize,
    /// Digests of what was seen, in s_0 … s_t; from `known_from` on.
    digests: Vec<u64>,
    known_from: usize,
    observation: Vec<f32>,
    end: End,
    restarts: usize,
    /// Why there is no state.
    failure: Option<String>,
}

impl Simulation {
    pub fn new(spec: Arc<EnvSpec>, pool: Arc<Pool>) -> Self {
        let dims = Dims {
            observation: spec.observation.dim(),
            action: spec.action.dim(),
        };
        Self {
            dims,
            pool,
            process: None,
            seed: 0,
            actions: Vec::new(),
            clock: 0,
            digests: Vec::new(),
            known_from: 0,
            observation: vec![0.0; dims.observation],
            end: End::Truncated,
            restarts: 0,
            failure: Some("reset it before the first step".into()),
            spec,
        }
    }

    fn steps(&self) -> usize {
        self.actions.len() / self.dims.action
    }

    fn error(&self, reason: impl Into<String>) -> EnvError {
        EnvError::Outside {
            env: self.spec.name.clone(),
            reason: reason.into(),
        }
    }

    /// Makes a request, again with another process where one is lost.
    fn ask(
        &mut self,
        mut request: impl FnMut(&mut Process) -> Result<Record, Fault>,
    ) -> Result<Record, String> {
        loop {
            let answer = self.borrow().and_then(|mut process| {
                let record = request(&mut process)?;
                self.process = Some(process);
                Ok(record)
            });
            match answer {
                Ok(record) => return Ok(record),
                Err(Fault::Lost(reason)) if self.restarts < MOST_RESTARTS => {
                    self.restarts += 1;
                    let step = self.steps();
                    tracing::warn!(
                        "{}, step {step}: {reason}; a new one plays the episode again",
                        self.spec.name
                    );
                }
                Err(Fault::Lost(reason)) => {
                    return Err(format!(
                        "step {}: {reason}\ngiven up after {MOST_RESTARTS} restarts",
                        self.steps()
                    ));
                }
                Err(fault) => return Err(format!("step {}: {fault}", self.steps())),
            }
        }
    }

    /// The process with the episode so far in it.
    fn borrow(&mut self) -> Result<Process, Fault> {
        if let Some(process) = self.process.take() {
            return Ok(process);
        }
        // What made one process fail may be true of the idle ones too.
        let idle = self.pool.idle().filter(|_| self.restarts == 0);
        let mut process = match idle {
            Some(process) => process,
            None => self.pool.fresh(self.dims)?,
        };
        if !self.digests.is_empty() {
            self.play_again(&mut process)?;
        }
        Ok(process)
    }

    /// Brings a process to where the episode was, by its seed and actions.
    fn play_again(&self, process: &mut Process) -> Result<(), Fault> {
        let same = |step: usize, record: &Record| {
            let known = step.checked_sub(self.known_from);
            match known.and_then(|i| self.digests.get(i)) {
                Some(digest) if digest_of(record) != *digest => Err(Fault::Refused(format!(
                    "its process was lost, and the same seed and actions gave another observation, reward or end in step \
                     {step}: the environment is not deterministic, so the episode cannot be continued"
                ))),
                _ => Ok(()),
            }
        };
        replay(process, self.seed, &self.actions, self.dims, same).map(drop)
    }

    fn see(&mut self, record: &Record) {
        self.observation.copy_from_slice(&record.observation);
        self.digests.push(digest_of(record));
        self.end = match (record.terminated, record.truncated) {
            (true, _) => End::Terminated,
            (false, true) => End::Truncated,
            (false, false) if self.clock >= self.spec.horizon => End::Truncated,
            (false, false) => End::Running,
        };
    }

    /// No episode: whatever process there is can be used for another one.
    fn forget(&mut self, seed: u64, actions: &[f32]) {
        self.seed = seed;
        self.actions.clear();
        self.actions.extend_from_slice(actions);
        self.clock = 0;
        self.digests.clear();
        self.known_from = self.steps();
        self.restarts = 0;
        self.failure = None;
    }

    fn fail(&mut self, reason: String) -> EnvError {
        self.failure = Some(reason.clone());
        self.end = End::Truncated;
        self.error(reason)
    }

    fn bad_state(&self, reason: &str) -> EnvError {
        EnvError::BadState {
            env: self.spec.name.clone(),
            reason: reason.into(),
        }
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            self.pool.give_back(process);
        }
    }
}

impl Env for Simulation {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64) {
        // Gymnasium's environments expect seeds below 2^31.
        let seed = derive_seed(seed, "gymnasium", 0) >> 33;
        self.forget(seed, &[]);
        let dims = self.dims;
        match self.ask(|process| process.reset(seed, dims)) {
            Ok(record) => self.see(&record),
            Err(reason) => {
                self.observation.fill(0.0);
                self.fail(reason);
            }
        }
    }

    fn observe(&self, out: &mut [f32]) {
        out.copy_from_slice(&self.observation);
    }

    fn step(&mut self, action: &[f32]) -> Result<Step, EnvError> {
        if let Some(reason) = &self.failure {
            return Err(self.error(reason));
        }
        check_action(&self.spec, action)?;
        if self.end != End::Running {
            return Err(EnvError::Ended {
                env: self.spec.name.clone(),
            });
        }
        let bounds = &self.spec.action.0;
        let saturated: Vec<f32> = action
            .iter()
            .zip(bounds)
            .map(|(a, c)| a.clamp(c.low, c.high))
            .collect();
        let dims = self.dims;
        match self.ask(|process| process.step(&saturated, dims)) {
            Ok(record) => {
                self.actions.extend_from_slice(&saturated);
                self.clock += 1;
                self.see(&record);
                Ok(Step {
                    cost: -record.reward,
                    end: self.end,
                })
            }
            Err(reason) => Err(self.fail(reason)),
        }
    }

    /// NaN: rewards are known by stepping only.
    fn cost(&self, _action: &[f32]) -> f64 {
        f64::NAN
    }

    fn coordinates(&self) -> Vec<f32> {
        Vec::new()
    }

    fn reset_to(&mut self, _coordinates: &[f32]) -> Result<(), EnvError> {
        Err(self.error(
            "an environment of Gymnasium starts where its seed says, not at given coordinates",
        ))
    }

    fn save(&self) -> SavedState {
        let digest = self.digests.last().copied().unwrap_or_default();
        let halves = [self.seed, digest].into_iter().flat_map(halves);
        SavedState {
            env: self.spec.name.clone(),
            step: self.clock,
            end: self.end,
            task: halves
                .chain(self.actions.iter().map(|a| f64::from(*a)))
                .collect(),
            physics: None,
            drawn: Vec::new(),
        }
    }

    fn load(&mut self, state: &SavedState) -> Result<(), EnvError> {
        if state.env != self.spec.name {
            return Err(self.bad_state(&format!("it is one of {}", state.env)));
        }
        let (head, actions) = state.task.split_at_checked(HEAD).unwrap_or_default();
        let [seed, digest] = match head {
            [a, b, c, d] => [whole(*a, *b), whole(*c, *d)],
            _ => [None, None],
        };
        let (Some(seed), Some(digest)) = (seed, digest) else {
            return Err(self.bad_state("it does not begin with a seed and a digest"));
        };
        if actions.len() % self.dims.action != 0 {
            return Err(self.bad_state("its last action is incomplete"));
        }
        let actions: Vec<f32> = actions.iter().map(|a| *a as f32).collect();
        self.forget(seed, &actions);
        let dims = self.dims;
        let found = self.ask(|process| {
            let record = process.load(seed, &actions, dims)?;
            if digest_of(&record) == digest {
                return Ok(record);
            }
            // What was kept of a state may not be all of it; its seed and actions are.
            replay(process, seed, &actions, dims, |_, _| Ok(()))
        });
        let record = found.map_err(|reason| self.fail(reason))?;
        if digest_of(&record) != digest {
            let reason = "the same seed and actions lead to another state: the environment is not deterministic";
            self.fail(reason.into());
            return Err(self.bad_state(reason));
        }
        self.clock = state.step;
        self.see(&record);
        self.end = state.end;
        Ok(())
    }

    fn state_hash(&self) -> u64 {
        let actions = self.actions.iter().map(|a| u64::from(a.to_bits()));
        words([self.seed, self.clock as u64].into_iter().chain(actions))
    }

    fn scene(&self) -> Scene {
        Scene {
            view_low: [0.0; 2],
            view_high: [1.0; 2],
            items: Vec::new(),
        }
    }
}

/// Plays an episode by its seed and actions, row-major `[step, action_dim]`; `check` sees what each step leads to.
fn replay(
    process: &mut Process,
    seed: u64,
    actions: &[f32],
    dims: Dims,
    check: impl Fn(usize, &Record) -> Result<(), Fault>,
) -> Result<Record, Fault> {
    let mut record = process.reset(seed, dims)?;
    check(0, &record)?;
    for (step, action) in actions.chunks_exact(dims.action).enumerate() {
        record = process.step(action, dims)?;
        check(step + 1, &record)?;
    }
    Ok(record)
}

fn digest_of(record: &Record) -> u64 {
    let observation = record.observation.iter().map(|v| u64::from(v.to_bits()));
    let ends = u64::from(record.terminated) | u64::from(record.truncated) << 1;
    words(observation.chain([record.reward.to_bits(), ends]))
}

/// The halves of a word, as numbers that JSON keeps.
fn halves(word: u64) -> [f64; 2] {
    [f64::from((word >> 32) as u32), f64::from(word as u32)]
}

fn whole(high: f64, low: f64) -> Option<u64> {
    let half =
        |v: f64| (v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&v)).then_some(v as u64);
    Some(half(high)? << 32 | half(low)?)
}
