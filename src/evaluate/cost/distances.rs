//! EPIC and DARD distances of a cost from the true one, on simulated transitions.

use std::collections::BTreeMap;

use costate_envs::rng::stream;
use costate_envs::{Env, EnvFactory, Episode, SavedState};
use rand::RngExt;

use crate::cost::{Dims, StepCost};
use crate::error::Error;
use crate::evaluate::dard::{self, Coverage};
use crate::evaluate::episodes::replay;
use crate::evaluate::statistics::{Estimate, bootstrap_clusters, pearson_distance, sides};
use crate::evaluate::{Options, epic, mean};

/// Transitions per estimate.
const TRANSITIONS: usize = 400;

/// Transitions per episode: replaying is the expensive part.
const PER_EPISODE: usize = 4;

/// Actions per inner mean.
const ACTIONS: usize = 64;

/// Of these, actions simulated from a transition's start for DARD.
const TRIED: usize = 8;

/// A transition drawn from an episode: states for the true cost, observations for the other.
struct Transition {
    states: [SavedState; 2],
    observations: [Vec<f32>; 2],
    action: Vec<f32>,
}

/// Distances to the true cost, with intervals over episodes; `None` if a cost is constant after shaping.
pub struct Distances {
    /// EPIC.
    pub epic: Option<Estimate>,
    /// DARD.
    pub dard: Option<Estimate>,
}

/// Both distances on transitions drawn from `episodes`, which must replay in this simulator.
pub fn distances(
    factory: &EnvFactory,
    cost: &dyn StepCost,
    episodes: &[&Episode],
    options: Options,
) -> Result<Distances, Error> {
    let Options { seed, workers, .. } = options;
    let transitions = draw_transitions(factory, episodes, seed)?;
    let mut rng = stream(seed, "epic_actions", 0);
    let actions: Vec<&[f32]> = (0..ACTIONS)
        .map(|_| {
            transitions[rng.random_range(0..transitions.len())]
                .action
                .as_slice()
        })
        .collect();
    let mut env = factory.build();
    let (mut truth, mut judged) = (Coverage::default(), Coverage::default());
    for t in &transitions {
        workers.check()?;
        cover(&mut truth, &mut judged, env.as_mut(), cost, t, &actions)?;
    }
    let interval = |canonical: fn(&Coverage) -> Vec<f64>| {
        let pairs: Vec<[f64; 2]> = canonical(&judged)
            .into_iter()
            .zip(canonical(&truth))
            .map(|(a, b)| [a, b])
            .collect();
        let clusters = pairs.chunks(PER_EPISODE).map(<[_]>::to_vec).collect();
        bootstrap_clusters(&[clusters], seed, |pairs| {
            let [judged, truth] = sides(pairs);
            pearson_distance(&judged, &truth)
        })
    };
    Ok(Distances {
        epic: interval(|c| epic::canonical(&c.epic)),
        dard: interval(dard::canonical),
    })
}

/// Adds one transition to both costs' coverage.
fn cover(
    truth: &mut Coverage,
    judged: &mut Coverage,
    env: &mut dyn Env,
    cost: &dyn StepCost,
    t: &Transition,
    actions: &[&[f32]],
) -> Result<(), Error> {
    let true_mean = |env: &dyn Env| mean(&actions.iter().map(|a| env.cost(a)).collect::<Vec<_>>());
    let mut means = [0.0; 2];
    for (of_state, state) in means.iter_mut().zip(&t.states) {
        env.load(state)?;
        *of_state = true_mean(env);
    }
    let (mut reached, mut seen) = (Vec::with_capacity(TRIED), Vec::with_capacity(TRIED));
    for action in &actions[..TRIED] {
        env.load(&t.states[0])?;
        env.step(action)?;
        reached.push(true_mean(env));
        let mut observation = vec![0.0; t.observations[0].len()];
        env.observe(&mut observation);
        seen.push(observation);
    }
    env.load(&t.states[0])?;
    truth.epic.at.push(env.cost(&t.action));
    truth.epic.state_mean.push(means[0]);
    truth.epic.next_mean.push(means[1]);
    truth.reached_mean.push(mean(&reached));

    let dims = Dims {
        observation: t.observations[0].len(),
        action: t.action.len(),
    };
    let costs = |observation: &[f32], actions: &[&[f32]]| {
        let rows = observation.repeat(actions.len());
        mean(&cost.costs(&rows, &actions.concat(), dims))
    };
    let [now, next] = &t.observations;
    judged.epic.at.push(costs(now, &[&t.action]));
    judged.epic.state_mean.push(costs(now, actions));
    judged.epic.next_mean.push(costs(next, actions));
    let reached: Vec<f64> = seen.iter().map(|s| costs(s, actions)).collect();
    judged.reached_mean.push(mean(&reached));
    Ok(())
}

fn draw_transitions(
    factory: &EnvFactory,
    episodes: &[&Episode],
    seed: u64,
) -> Result<Vec<Transition>, Error> {
    let mut rng = stream(seed, "epic_transitions", 0);
    let count = (TRANSITIONS / PER_EPISODE).min(episodes.len());
    let mut transitions = Vec::with_capacity(count * PER_EPISODE);
    for _ in 0..count {
        let episode = episodes[rng.random_range(0..episodes.len())];
        let tau = &episode.trajectory;
        let times: Vec<usize> = (0..PER_EPISODE)
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
