//! The learned cost against the true one.

use std::collections::BTreeMap;

use costate_envs::rng::stream;
use costate_envs::{Env, EnvFactory, Episode, SavedState};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::dard::{self, Coverage};
use super::epic;
use super::episodes::replay;
use super::statistics::spearman;
use super::{Comparison, Options, Subject, mean};
use crate::batch::TrajectoryBatch;
use crate::cost::EnergyModel;
use crate::density::{self, Scores};
use crate::discriminator;
use crate::error::Error;
use crate::nn;

/// A trajectory's learned and true cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostPoint {
    /// Who acted.
    pub group: String,
    /// Σ_t c_θ(s_t, a_t), nats.
    pub learned: f64,
    /// Σ_t true cost.
    #[serde(rename = "true")]
    pub truth: f64,
}

/// Figures about a learned cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// Spearman's rank correlation of learned and true cost over the trajectories of
    /// `cost_scatter`.
    pub spearman: Option<f64>,
    /// EPIC distance to the true cost, on their transitions: 0 equal up to shaping and scale, 1
    /// opposite.
    pub epic: Option<f64>,
    /// DARD distance to the true cost, the same where one step of the simulator leads.
    #[serde(default)]
    pub dard: Option<f64>,
    /// Of a cost that is an energy against the policy's density.
    #[serde(flatten)]
    pub discriminator: Option<DiscriminatorFigures>,
    /// The trajectories.
    pub cost_scatter: Vec<CostPoint>,
}

/// Figures about demonstrations told apart from fresh samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiscriminatorFigures {
    /// Effective sample size of the discriminator's gradient weights, as a share of the batch.
    pub ess: f64,
    /// log Z (its constant part), solved on demonstrations and fresh samples.
    pub log_z: f64,
    /// Share of demonstrations and fresh samples that the discriminator tells apart; 0.5 is a
    /// perfect imitation.
    pub discriminator_accuracy: f64,
}

/// Transitions of the EPIC estimate.
const TRANSITIONS: usize = 400;

/// Actions that its inner means run over.
const ACTIONS: usize = 64;

/// Of them, those that the simulator tries from a transition's start for DARD.
const TRIED: usize = 8;

pub(super) fn report(
    subject: &Subject,
    model: &EnergyModel,
    groups: &[(&str, Vec<Episode>)],
    options: Options,
) -> Result<CostReport, Error> {
    let mut cost_scatter = Vec::new();
    for (group, episodes) in groups {
        let Some(batch) = TrajectoryBatch::new(episodes.iter().map(|e| &e.trajectory)) else {
            continue;
        };
        let learned = tch::no_grad(|| {
            nn::to_f64(&batch.sum_over_time(&model.cost(&batch.observations, &batch.actions)))
        });
        cost_scatter.extend(episodes.iter().zip(learned).map(|(e, learned)| CostPoint {
            group: (*group).to_owned(),
            learned,
            truth: -e.true_return(),
        }));
    }
    if let Some(point) = cost_scatter.iter().find(|p| !p.learned.is_finite()) {
        return Err(Error::Failure(format!(
            "the learned cost of a trajectory of `{}` is {}: the cost file is damaged or its \
             training diverged",
            point.group, point.learned
        )));
    }
    let learned: Vec<f64> = cost_scatter.iter().map(|p| p.learned).collect();
    let truth: Vec<f64> = cost_scatter.iter().map(|p| p.truth).collect();

    let discriminator = match subject.comparison {
        Some(comparison) => Some(discriminate(subject, model, groups, comparison)?),
        None => None,
    };
    let distances = distances(subject.factory, model, groups, options.seed)?;
    Ok(CostReport {
        spearman: spearman(&learned, &truth),
        epic: distances.epic,
        dard: distances.dard,
        discriminator,
        cost_scatter,
    })
}

/// Tells demonstrations (the first group) from the policy's episodes (the second).
fn discriminate(
    subject: &Subject,
    model: &EnergyModel,
    groups: &[(&str, Vec<Episode>)],
    Comparison { window, beta }: Comparison,
) -> Result<DiscriminatorFigures, Error> {
    let scores = |episodes: &[Episode]| -> Result<Vec<f64>, Error> {
        let batch = TrajectoryBatch::new(episodes.iter().map(|e| &e.trajectory))
            .ok_or_else(|| Error::Misuse("evaluation needs at least one episode".into()))?;
        Ok(tch::no_grad(|| {
            let log_density = subject
                .policy
                .log_density(&batch.observations, &batch.actions);
            let rows = batch.windows(window);
            let log_q = rows.sum_over_time(&log_density);
            nn::to_f64(&(-model.energy(&rows) - model.start_value(&rows) - log_q))
        }))
    };
    let (p, q) = (scores(&groups[0].1)?, scores(&groups[1].1)?);
    let both = Scores {
        expert: &p,
        policy: &q,
    };
    let log_z = density::solve_log_z(both, beta);
    let scaled = |s: &[f64]| -> Vec<f64> { s.iter().map(|s| (s - log_z) / beta).collect() };
    let (p, q) = (scaled(&p), scaled(&q));
    Ok(DiscriminatorFigures {
        ess: density::gradient_ess(&p, &q),
        log_z,
        discriminator_accuracy: discriminator::accuracy(
            &Tensor::from_slice(&p),
            &Tensor::from_slice(&q),
        ),
    })
}

/// A transition drawn from the groups: states for the true cost, observations for the learned.
struct Transition {
    states: [SavedState; 2],
    observations: [Vec<f32>; 2],
    action: Vec<f32>,
}

/// Distances to the true cost.
struct Distances {
    epic: Option<f64>,
    dard: Option<f64>,
}

fn distances(
    factory: &EnvFactory,
    model: &EnergyModel,
    groups: &[(&str, Vec<Episode>)],
    seed: u64,
) -> Result<Distances, Error> {
    let transitions = draw_transitions(factory, groups, seed)?;
    let mut rng = stream(seed, "epic_actions", 0);
    let actions: Vec<&[f32]> = (0..ACTIONS)
        .map(|_| {
            transitions[rng.random_range(0..transitions.len())]
                .action
                .as_slice()
        })
        .collect();
    let mut env = factory.build();
    let (mut truth, mut learned) = (Coverage::default(), Coverage::default());
    for t in &transitions {
        let true_mean =
            |env: &dyn Env| mean(&actions.iter().map(|a| env.cost(a)).collect::<Vec<_>>());
        let mut means = [0.0; 2];
        for (of_state, state) in means.iter_mut().zip(&t.states) {
            env.load(state)?;
            *of_state = true_mean(env.as_ref());
        }
        let mut reached = Vec::with_capacity(TRIED);
        let mut seen = Vec::with_capacity(TRIED);
        for action in &actions[..TRIED] {
            env.load(&t.states[0])?;
            env.step(action)?;
            reached.push(true_mean(env.as_ref()));
            let mut observation = vec![0.0; t.observations[0].len()];
            env.observe(&mut observation);
            seen.push(observation);
        }
        env.load(&t.states[0])?;
        truth.epic.at.push(env.cost(&t.action));
        truth.epic.state_mean.push(means[0]);
        truth.epic.next_mean.push(means[1]);
        truth.reached_mean.push(mean(&reached));

        let costs = |observation: &[f32], actions: &[&[f32]]| {
            let rows = observation.repeat(actions.len());
            let s = nn::matrix(&rows, observation.len());
            let a = nn::matrix(&actions.concat(), actions[0].len());
            mean(&tch::no_grad(|| nn::to_f64(&model.cost(&s, &a))))
        };
        learned
            .epic
            .at
            .push(costs(&t.observations[0], &[&t.action]));
        learned
            .epic
            .state_mean
            .push(costs(&t.observations[0], &actions));
        learned
            .epic
            .next_mean
            .push(costs(&t.observations[1], &actions));
        let reached: Vec<f64> = seen.iter().map(|s| costs(s, &actions)).collect();
        learned.reached_mean.push(mean(&reached));
    }
    Ok(Distances {
        epic: epic::distance(&learned.epic, &truth.epic),
        dard: dard::distance(&learned, &truth),
    })
}

fn draw_transitions(
    factory: &EnvFactory,
    groups: &[(&str, Vec<Episode>)],
    seed: u64,
) -> Result<Vec<Transition>, Error> {
    let mut rng = stream(seed, "epic_transitions", 0);
    let episodes: Vec<&Episode> = groups.iter().flat_map(|(_, e)| e).collect();
    // A few transitions of each episode: replaying is the expensive part.
    let per_episode = 4;
    let count = (TRANSITIONS / per_episode).min(episodes.len());
    let mut transitions = Vec::with_capacity(count * per_episode);
    for _ in 0..count {
        let episode = episodes[rng.random_range(0..episodes.len())];
        let tau = &episode.trajectory;
        let times: Vec<usize> = (0..per_episode)
            .map(|_| rng.random_range(0..tau.len()))
            .collect();
        let mut states = BTreeMap::new();
        replay(factory, episode, |t, env| {
            if times.iter().any(|&time| t == time || t == time + 1) {
                states.insert(t, env.save());
            }
        })?;
        transitions.extend(times.into_iter().map(|t| Transition {
            states: [states[&t].clone(), states[&(t + 1)].clone()],
            observations: [tau.observation(t).to_vec(), tau.observation(t + 1).to_vec()],
            action: tau.action(t).to_vec(),
        }));
    }
    Ok(transitions)
}
