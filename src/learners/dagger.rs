//! DAgger: dataset aggregation, imitation with a queryable expert.
//!
//! Ross, Gordon and Bagnell 2011 (arXiv 1011.0686), algorithm 3.1: act with π_k = β_k π* + (1 − β_k) π̂_k,
//! β_k = p^k, have the expert label every visited state, add that to all earlier data, clone the
//! whole. Unlike the other learners it needs the expert itself, not only its demonstrations.

use costate_demos::experts::{ExpertDesign, Margins};
use costate_demos::record::play;
use costate_envs::actor::Actor;
use costate_envs::rng::{derive_seed, stream};
use costate_envs::rollout::RolloutPool;
use costate_envs::{End, EnvFactory, Trajectory};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::algorithm::{Algorithm, Behaviour, Cloning};
use super::bc::fit_pass;
use super::{Learner, Report, Setup, diverged};
use crate::audit::{Audit, Sealer};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::error::Error;
use crate::metric::Metric;
use crate::nn::{self, Adam, AdamSettings, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, PolicySettings, imported};
use costate_base::schema::{positive, resumable};

/// Settings of [`Dagger`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DaggerSettings {
    /// Rounds of acting, labelling and cloning.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Episodes acted and labelled a round.
    #[schemars(range(min = 1))]
    pub episodes: usize,
    /// The expert to ask: a name or a path as `costate record --expert` takes it; null for the
    /// demonstrations' own.
    pub expert: Option<String>,
    /// p: the expert acts in a share p^k of round k's steps.
    #[schemars(range(min = 0.0, max = 1.0), transform = resumable)]
    pub expert_share: f64,
    /// Passes over all data a round.
    #[schemars(range(min = 1))]
    pub passes: usize,
    /// Steps in a minibatch.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Adam's step size.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Images of every demonstration under the world's symmetries that are learned from, too: `costate envs ENV` names them.
    /// A mirror makes one, a rotation any number.
    #[serde(default)]
    pub symmetric_copies: usize,
    /// The policy.
    pub policy: PolicySettings,
}

impl Algorithm for DaggerSettings {
    const NAME: &'static str = "dagger";
    const ABOUT: &'static str = "cloning on states that the learner visits, labelled by an expert";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/dagger.json");
}

impl Behaviour for DaggerSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(Dagger::new(self, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.policy.check_initial()
    }

    fn symmetric_copies(&self) -> usize {
        self.symmetric_copies
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![("learning_rate", self.learning_rate)]
    }

    fn asks<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        Some(self.expert.as_deref().unwrap_or(own))
    }

    /// Its expert labels and acts within the episode.
    fn plays_here(&self) -> bool {
        true
    }

    fn cloning(&self) -> Option<Cloning> {
        Some(Cloning::Likelihood)
    }
}

/// The learner.
pub struct Dagger {
    settings: DaggerSettings,
    seed: u64,
    factory: EnvFactory,
    pool: RolloutPool,
    sealer: Sealer,
    expert: ExpertDesign,
    /// The demonstrations, then every labelled episode.
    data: Vec<Trajectory>,
    demonstrations: usize,
    policy: GaussianPolicy,
    optimizer: Adam,
}

impl Learner for Dagger {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        // Round 0 clones the demonstrations: the untrained policy visits no states worth labelling.
        let (labelled, audit) = match k {
            0 => (Vec::new(), None),
            _ => {
                let (labelled, audit) = self.act_and_label(k)?;
                (labelled, Some(audit))
            }
        };
        let env_steps = labelled.iter().map(Trajectory::len).sum::<usize>() as u64;
        self.data.extend(labelled);

        let all = batch(&self.data)?;
        let s = &self.settings;
        let mut loss = 0.0;
        for pass in k * s.passes..(k + 1) * s.passes {
            let (policy, optimizer) = (&mut self.policy, &mut self.optimizer);
            loss = fit_pass(policy, optimizer, &all, s.minibatch, self.seed, pass);
        }
        if !self.policy.is_finite() {
            return Err(diverged(k));
        }
        Ok(Report {
            diagnostics: vec![
                (Metric::Loss, loss),
                (Metric::LabelledSteps, all.steps() as f64),
                (Metric::PolicyStd, self.policy.mean_std(&all.starts)),
            ],
            env_steps,
            audit,
            ..Report::default()
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.policy.save(&mut state);
        self.optimizer.save("adam.", &mut state);
        let own = &self.data[self.demonstrations..];
        state.insert_numbers("labelled.count", &[own.len() as f64]);
        if let Some(first) = own.first() {
            let rows = |f: fn(&Trajectory) -> &[f32], dim| {
                let values: Vec<f32> = own.iter().flat_map(f).copied().collect();
                nn::matrix(&values, dim)
            };
            let (o, a) = (first.observation_dim(), first.action_dim());
            state.insert("labelled.observations", &rows(Trajectory::observations, o));
            state.insert("labelled.actions", &rows(Trajectory::actions, a));
            let numbers = |f: fn(&Trajectory) -> f64| own.iter().map(f).collect::<Vec<_>>();
            state.insert_numbers("labelled.lengths", &numbers(|t| t.len() as f64));
            let terminated = |t: &Trajectory| f64::from(u8::from(t.end() == End::Terminated));
            state.insert_numbers("labelled.terminated", &numbers(terminated));
        }
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.optimizer.load("adam.", state)?;
        self.data.truncate(self.demonstrations);
        let count = state.count("labelled.count")?;
        if count == 0 {
            return Ok(());
        }
        let observations = nn::to_f32(state.get("labelled.observations")?);
        let actions = nn::to_f32(state.get("labelled.actions")?);
        let lengths = state.counts("labelled.lengths", count)?;
        let terminated = state.numbers("labelled.terminated", count)?;
        let spec = self.factory.spec();
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        let (mut seen, mut done) = (0, 0);
        for (len, terminated) in lengths.into_iter().zip(terminated) {
            let end = match terminated {
                1.0 => End::Terminated,
                _ => End::Truncated,
            };
            let part = |values: &[f32], from: usize, count: usize, dim: usize| {
                let range = from * dim..(from + count) * dim;
                values.get(range).map(<[f32]>::to_vec).unwrap_or_default()
            };
            let trajectory = Trajectory::new(
                o,
                a,
                part(&observations, seen, len + 1, o),
                part(&actions, done, len, a),
                None,
                end,
            )
            .map_err(|e| StateError::Replay(e.to_string()))?;
            self.data.push(trajectory);
            seen += len + 1;
            done += len;
        }
        match (observations.len(), actions.len()) == (seen * o, done * a) {
            true => Ok(()),
            false => Err(StateError::Mismatch {
                name: "labelled.lengths".into(),
                got: format!("{done} steps"),
                expected: format!("{} as there are actions", actions.len() / a.max(1)),
            }),
        }
    }
}

/// The expert to ask, by its name or path. Errors, all misuse: none that can be asked in this world.
pub fn asked(expert: &str, factory: &EnvFactory) -> Result<ExpertDesign, Error> {
    imported::expert(factory, Some(expert), None).map_err(|e| {
        Error::Misuse(format!(
            "DAgger needs an expert to ask: {e}; name one with --set expert=NAME"
        ))
    })
}

impl Dagger {
    /// A learner in its initial state.
    pub fn new(settings: &DaggerSettings, setup: &Setup) -> Result<Self, Error> {
        let spec = setup.factory.spec();
        let expert = settings.asks(setup.expert).unwrap_or_default();
        let expert = asked(expert, setup.factory)?;
        let policy = GaussianPolicy::new(
            &spec.name,
            &settings.policy,
            Normalizer::fit(spec.observation.dim(), &[setup.demonstrations]),
            ActionScale::of(spec),
            &mut stream(setup.seed, "policy_weights", 0),
        );
        let adam = AdamSettings {
            learning_rate: settings.learning_rate,
            max_gradient_norm: None,
        };
        Ok(Self {
            settings: settings.clone(),
            seed: setup.seed,
            factory: setup.factory.clone(),
            pool: RolloutPool::new(setup.workers),
            sealer: setup.sealer.clone(),
            expert,
            data: setup.demonstrations.to_vec(),
            demonstrations: setup.demonstrations.len(),
            optimizer: Adam::new(adam, policy.parameters()),
            policy,
        })
    }

    /// Episodes of π_k with the expert's command in every state in place of the action taken.
    fn act_and_label(&self, k: usize) -> Result<(Vec<Trajectory>, Audit), Error> {
        let actor = self.policy.freeze();
        let expert_acts = self.settings.expert_share.powi(k as i32);
        let margins = Margins::new(&self.factory, self.expert.noise());
        let count = self.settings.episodes;
        let (factory, design, seed) = (&self.factory, &self.expert, self.seed);
        let episodes = self.pool.map(
            count,
            || (factory.build(), design.build()),
            |(env, expert), i| {
                let index = (k * count + i) as u64;
                let start = derive_seed(seed, "dagger", index);
                expert.begin(start);
                let mut noise = stream(seed, "dagger-label", index);
                let mut rng = stream(seed, "dagger-act", index);
                let mut learner = Acting::new(&actor);
                let mut mean = vec![0.0; actor.action_dim()];
                let mut labels = Vec::new();
                let episode = play(env.as_mut(), i, start, |env, action| {
                    expert.mean(env, &mut mean)?;
                    margins.clamp(&mut mean);
                    design.noise().command(&mean, &mut noise, action);
                    labels.extend_from_slice(action);
                    if !rng.random_bool(expert_acts) {
                        env.observe(&mut learner.observation);
                        learner.sample(&mut rng, action);
                    }
                    Ok(None)
                });
                episode.map(|episode| (episode, labels))
            },
        );
        let (mut labelled, mut acted) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for outcome in episodes {
            let (episode, labels) = outcome?;
            let t = &episode.trajectory;
            labelled.push(
                Trajectory::new(
                    t.observation_dim(),
                    t.action_dim(),
                    t.observations().to_vec(),
                    labels,
                    None,
                    t.end(),
                )
                .map_err(|e| Error::Failure(format!("the expert's labels: {e}")))?,
            );
            acted.push(episode);
        }
        Ok((labelled, self.sealer.seal(&acted)))
    }
}

/// An actor that sees one world.
struct Acting<'a> {
    actor: &'a Actor,
    scratch: costate_envs::actor::Scratch,
    observation: Vec<f32>,
}

impl<'a> Acting<'a> {
    fn new(actor: &'a Actor) -> Self {
        Self {
            scratch: actor.scratch(),
            observation: vec![0.0; actor.observation_dim()],
            actor,
        }
    }

    /// a ~ π̂(· | observation).
    fn sample(&mut self, rng: &mut costate_envs::rng::Stream, action: &mut [f32]) {
        self.actor.forward(&self.observation, &mut self.scratch);
        self.scratch.sample(rng, action);
    }
}

fn batch(trajectories: &[Trajectory]) -> Result<TrajectoryBatch, Error> {
    TrajectoryBatch::new(trajectories)
        .ok_or_else(|| Error::Misuse("no demonstrations to start from".into()))
}
