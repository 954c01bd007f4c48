//! Controllers in an evaluation: learned, imported, scripted, constant, random, the expert.

use std::ops::Range;
use std::sync::Arc;

use costate_demos::experts::{Expert, ExpertDesign, Margins};
use costate_demos::record::{play, uniform};
use costate_envs::actor::{Actor, Scratch};
use costate_envs::flow::{FlowActor, FlowScratch};
use costate_envs::implicit::{ImplicitActor, ImplicitScratch};
use costate_envs::rng::{Stream, stream};
use costate_envs::rollout::{ActionChoice, Job, Runner};
use costate_envs::{Env, EnvError, EnvFactory, EnvSpec, Episode};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::episodes;
use super::workers::Workers;
use crate::error::Error;
use crate::policy::Learned;
use crate::policy::imported::{OnnxPolicy, ScriptedPolicy};

/// A controller.
#[derive(Clone)]
pub enum Controller {
    /// A frozen Gaussian policy.
    Actor(Arc<Actor>, ActionChoice),
    /// A frozen implicit policy: a sample, or, for [`ActionChoice::Mean`], the action of lowest energy.
    Implicit(Arc<ImplicitActor>, ActionChoice),
    /// A frozen flow policy: its plans start from noise, or, for [`ActionChoice::Mean`], from 0.
    Flow(Arc<FlowActor>, ActionChoice),
    /// A network from an ONNX file.
    Onnx(Arc<OnnxPolicy>),
    /// Formulas.
    Scripted(Arc<ScriptedPolicy>),
    /// The same action in every state, `[action_dim]`.
    Constant(Vec<f32>),
    /// Uniform actions within the bounds.
    Random,
    /// An expert with its noise, which sees the state itself.
    Expert(ExpertDesign),
}

/// Writes the action for an observation.
pub type Answer = Box<dyn FnMut(&[f32], &mut [f32]) + Send>;

/// Disturbance of a controller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Disturbance {
    /// Share of the actions that are replaced by uniform ones.
    pub random_share: f64,
    /// Standard deviation of Gaussian noise on every action, in half ranges.
    pub action_noise: f64,
    /// Standard deviation of Gaussian noise on observations, by channel; empty for none.
    pub observation_noise: Vec<f32>,
}

impl Controller {
    /// A learned policy that acts as `choice` says.
    pub fn of(policy: Learned, choice: ActionChoice) -> Self {
        match policy {
            Learned::Gaussian(policy) => Self::Actor(Arc::new(policy.freeze()), choice),
            Learned::Implicit(policy) => Self::Implicit(Arc::new(policy.freeze()), choice),
            Learned::Flow(policy) => Self::Flow(Arc::new(policy.freeze()), choice),
        }
    }

    /// The same with its most likely actions, if it is stochastic.
    pub fn without_noise(&self) -> Self {
        match self {
            Self::Actor(actor, _) => Self::Actor(actor.clone(), ActionChoice::Mean),
            Self::Implicit(actor, _) => Self::Implicit(actor.clone(), ActionChoice::Mean),
            Self::Flow(actor, _) => Self::Flow(actor.clone(), ActionChoice::Mean),
            other => other.clone(),
        }
    }

    /// How it acts, as in `evaluation.json`: `sample` or `mean`.
    pub fn actions(&self) -> &'static str {
        match self {
            Self::Actor(_, ActionChoice::Sample)
            | Self::Implicit(_, ActionChoice::Sample)
            | Self::Flow(_, ActionChoice::Sample)
            | Self::Random
            | Self::Expert(_) => "sample",
            Self::Actor(_, ActionChoice::Mean)
            | Self::Implicit(_, ActionChoice::Mean)
            | Self::Flow(_, ActionChoice::Mean)
            | Self::Onnx(_)
            | Self::Scripted(_)
            | Self::Constant(_) => "mean",
        }
    }

    /// Whether observation noise affects it.
    pub fn observes(&self) -> bool {
        match self {
            Self::Actor(..)
            | Self::Implicit(..)
            | Self::Flow(..)
            | Self::Onnx(_)
            | Self::Scripted(_) => true,
            Self::Constant(_) | Self::Random | Self::Expert(_) => false,
        }
    }

    /// Its actions for noise-free observations; `None` for controllers that ignore observations.
    pub fn answers(&self, spec: &EnvSpec, observations: &[&[f32]]) -> Option<Vec<Vec<f32>>> {
        let mut answer = self.answer()?;
        let one = |observation: &&[f32]| {
            let mut action = vec![0.0; spec.action.dim()];
            answer(observation, &mut action);
            action
        };
        Some(observations.iter().map(one).collect())
    }

    /// How it answers one observation after the other: with its mean, its least energy, or the first action of a new plan
    /// without noise; `None` for controllers that ignore observations.
    pub fn answer(&self) -> Option<Answer> {
        Some(match self {
            Self::Actor(actor, _) => {
                let (actor, mut scratch) = (actor.clone(), actor.scratch());
                Box::new(move |observation, action| {
                    actor.forward(observation, &mut scratch);
                    action.copy_from_slice(&scratch.mean);
                })
            }
            Self::Implicit(actor, _) => {
                let (actor, mut scratch) = (actor.clone(), actor.scratch());
                let mut noise = stream(0, "answers", 0);
                Box::new(move |observation, action| {
                    actor.refine(observation, &mut noise, &mut scratch);
                    actor.least(&scratch, action);
                })
            }
            Self::Flow(actor, _) => {
                let (actor, mut scratch) = (actor.clone(), actor.scratch());
                Box::new(move |observation, action| {
                    actor.answer(observation, &mut scratch, action);
                })
            }
            Self::Onnx(policy) => {
                let policy = policy.clone();
                Box::new(move |observation, action| policy.act(observation, action))
            }
            Self::Scripted(policy) => {
                let policy = policy.clone();
                Box::new(move |observation, action| policy.act(observation, action))
            }
            Self::Constant(_) | Self::Random | Self::Expert(_) => return None,
        })
    }

    /// Episodes from the starts `which` of the stream `evaluation`, undisturbed.
    pub fn play<'w>(
        &self,
        factory: &EnvFactory,
        workers: impl Into<Workers<'w>>,
        which: Range<usize>,
        seed: u64,
    ) -> Result<Vec<Episode>, Error> {
        let first = which.start;
        let jobs: Vec<Job> = which.map(|i| Job::new(episodes::start(seed, i))).collect();
        self.play_from(factory, workers.into(), first, &jobs)
    }

    /// One undisturbed episode per job.
    pub fn play_jobs<'w>(
        &self,
        factory: &EnvFactory,
        workers: impl Into<Workers<'w>>,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, Error> {
        self.play_from(factory, workers.into(), 0, jobs)
    }

    /// Failures name the episode by its number, counted from `first`.
    fn play_from(
        &self,
        factory: &EnvFactory,
        workers: Workers,
        first: usize,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, Error> {
        match self {
            Self::Actor(actor, choice) => workers.map(
                jobs.len(),
                || Runner::new(factory, actor),
                |runner, i| Ok(runner.run(*choice, jobs[i])?),
            ),
            _ => self.play_each(factory, workers, &Disturbance::default(), first, jobs),
        }
    }

    /// The same episodes under a disturbance.
    pub fn play_disturbed<'w>(
        &self,
        factory: &EnvFactory,
        workers: impl Into<Workers<'w>>,
        disturbance: &Disturbance,
        which: Range<usize>,
        seed: u64,
    ) -> Result<Vec<Episode>, Error> {
        let first = which.start;
        let jobs: Vec<Job> = which.map(|i| Job::new(episodes::start(seed, i))).collect();
        self.play_each(factory, workers.into(), disturbance, first, &jobs)
    }

    fn play_each(
        &self,
        factory: &EnvFactory,
        workers: Workers,
        disturbance: &Disturbance,
        first: usize,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, Error> {
        let one = |env: &mut Box<dyn Env>, i: usize| {
            let Job { seed, start } = jobs[i];
            let mut acting = Acting::new(self, factory, disturbance, seed);
            let act = |env: &dyn Env, action: &mut [f32]| acting.act(env, action);
            Ok(play(env.as_mut(), first + i, start, act)?)
        };
        workers.map(jobs.len(), || factory.build(), one)
    }
}

/// A controller within an episode.
struct Acting<'a> {
    controller: &'a Controller,
    disturbance: &'a Disturbance,
    half_range: Vec<f32>,
    observed: Vec<f32>,
    scratch: Option<Scratch>,
    implicit: Option<ImplicitScratch>,
    /// Of the episode: it holds a plan.
    flow: Option<FlowScratch>,
    expert: Option<(Box<dyn Expert>, Margins, Vec<f64>)>,
    own: Stream,
    noise: Stream,
}

impl<'a> Acting<'a> {
    fn new(
        controller: &'a Controller,
        factory: &EnvFactory,
        disturbance: &'a Disturbance,
        seed: u64,
    ) -> Self {
        let spec = factory.spec();
        let expert = match controller {
            Controller::Expert(design) => {
                let mut expert = design.build();
                expert.begin(seed);
                let margins = Margins::new(factory, design.noise());
                Some((expert, margins, vec![0.0; spec.action.dim()]))
            }
            _ => None,
        };
        let scratch = match controller {
            Controller::Actor(actor, _) => Some(actor.scratch()),
            _ => None,
        };
        let implicit = match controller {
            Controller::Implicit(actor, _) => Some(actor.scratch()),
            _ => None,
        };
        let flow = match controller {
            Controller::Flow(actor, _) => Some(actor.scratch()),
            _ => None,
        };
        let share = disturbance.random_share.to_bits();
        Self {
            controller,
            disturbance,
            half_range: half_range(spec),
            observed: vec![0.0; spec.observation.dim()],
            scratch,
            implicit,
            flow,
            expert,
            own: match controller {
                Controller::Random => stream(seed, "degraded", 1.0_f64.to_bits()),
                _ => stream(seed, "action", 0),
            },
            noise: stream(seed, "degraded", share),
        }
    }

    fn act(&mut self, env: &dyn Env, action: &mut [f32]) -> Result<Option<f64>, EnvError> {
        let d = self.disturbance;
        if d.random_share > 0.0 && self.noise.random_bool(d.random_share.min(1.0)) {
            if self.flow.is_some() {
                // Time goes on in a plan, too.
                self.command(env, action)?;
            }
            uniform(&env.spec().action, &mut self.noise, action);
            return Ok(None);
        }
        let mut log_density = self.command(env, action)?;
        if d.action_noise > 0.0 {
            log_density = None;
            for (a, half) in action.iter_mut().zip(&self.half_range) {
                let z: f32 = StandardNormal.sample(&mut self.noise);
                *a += d.action_noise as f32 * half * z;
            }
        }
        Ok(log_density)
    }

    /// The controller's own command, with its log-density if the whole episode has one.
    fn command(&mut self, env: &dyn Env, action: &mut [f32]) -> Result<Option<f64>, EnvError> {
        env.observe(&mut self.observed);
        for (o, std) in self
            .observed
            .iter_mut()
            .zip(&self.disturbance.observation_noise)
        {
            let z: f32 = StandardNormal.sample(&mut self.noise);
            *o += std * z;
        }
        match self.controller {
            Controller::Actor(actor, choice) => {
                let scratch = self.scratch.get_or_insert_with(|| actor.scratch());
                actor.forward(&self.observed, scratch);
                match choice {
                    ActionChoice::Sample => scratch.sample(&mut self.own, action),
                    ActionChoice::Mean => action.copy_from_slice(&scratch.mean),
                }
            }
            Controller::Implicit(actor, choice) => {
                let scratch = self.implicit.get_or_insert_with(|| actor.scratch());
                actor.refine(&self.observed, &mut self.own, scratch);
                match choice {
                    ActionChoice::Sample => actor.draw(scratch, &mut self.own, action),
                    ActionChoice::Mean => actor.least(scratch, action),
                }
            }
            Controller::Flow(actor, choice) => {
                let scratch = self.flow.get_or_insert_with(|| actor.scratch());
                let noise = (*choice == ActionChoice::Sample).then_some(&mut self.own);
                actor.act(&self.observed, noise, scratch, action);
            }
            Controller::Onnx(policy) => policy.act(&self.observed, action),
            Controller::Scripted(policy) => policy.act(&self.observed, action),
            Controller::Constant(constant) => action.copy_from_slice(constant),
            Controller::Random => uniform(&env.spec().action, &mut self.own, action),
            Controller::Expert(design) => {
                if let Some((expert, margins, mean)) = &mut self.expert {
                    expert.mean(env, mean)?;
                    margins.clamp(mean);
                    let density = design.noise().command(mean, &mut self.own, action);
                    return Ok(density.filter(|_| self.disturbance.random_share == 0.0));
                }
            }
        }
        Ok(None)
    }
}

fn half_range(spec: &EnvSpec) -> Vec<f32> {
    let channels = spec.action.0.iter();
    channels.map(|c| 0.5 * (c.high - c.low)).collect()
}
