//! The learned cost over pairs of state dimensions: partial dependence.

use costate_base::names::{nearest, suggestion};
use costate_envs::rng::{derive_seed, stream};
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{EnvSpec, Trajectory};
use rand::RngExt;

use super::Demonstrations;
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::nn;
use crate::policy::Policy;
use crate::report::{Landscape, LandscapeChannel, Surface, Walker, Way};
use crate::run::{RunFolder, weights};

/// Grid points per side of a surface.
const GRID: usize = 32;
/// Transitions that a surface averages over.
const TRANSITIONS: usize = 16;
/// Channels whose pairs are shown by default.
const CHANNELS: usize = 6;
/// Number of expert and policy paths shown.
const EPISODES: usize = 6;
/// Maximum number of points of a path.
const POINTS: usize = 120;
/// Margin around the visited range, as a share of its extent.
const AIR: f64 = 0.12;

/// Names of two observation channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair(String, String);

/// Parses `X,Y`. Errors: what was expected.
pub fn parse_pair(text: &str) -> Result<Pair, String> {
    let two = text.split_once(',').map(|(x, y)| (x.trim(), y.trim()));
    match two {
        Some((x, y)) if !x.is_empty() && !y.is_empty() && !y.contains(',') => {
            Ok(Pair(x.into(), y.into()))
        }
        _ => Err("expected the names of two state dimensions, as X,Y".into()),
    }
}

/// The landscape of a run's cost over these pairs, then the most telling others; `None` for a run without a cost, or
/// without the states of its demonstrations. Without a simulator it is over the demonstrations alone.
///
/// Errors: dimensions that the world does not have; damaged weights.
pub fn of(
    run: &RunFolder,
    demonstrations: Option<&Demonstrations>,
    pairs: &[Pair],
) -> Result<Option<Landscape>, Error> {
    let factory = run.config().env.factory()?;
    let spec = factory.spec();
    let asked = pairs
        .iter()
        .map(|pair| indices(pair, spec))
        .collect::<Result<Vec<_>, _>>()?;
    let (cost, policy) = (run.weights(weights::COST)?, run.weights(weights::POLICY)?);
    let (Some(demonstrations), Some(cost), Some(policy)) = (demonstrations, cost, policy) else {
        return Ok(None);
    };
    tch::set_num_threads(1);
    let model = EnergyModel::read(&cost)?;
    let policy = Policy::read(&policy)?;
    let controller = Controller::of(policy.learned(), ActionChoice::Sample);
    let seed = run.config().seed;
    let (expert, starts) = demonstrations.first(run.config().imitated()?.episodes);
    let jobs: Vec<Job> = starts
        .iter()
        .take(EPISODES)
        .enumerate()
        .map(|(i, start)| {
            Job::new(derive_seed(seed, "landscape policy", i as u64)).starting_at(*start)
        })
        .collect();
    let rollouts: Vec<Trajectory> = if factory.has_simulator() {
        let played = controller.play_jobs(&factory, RolloutPool::new(1), &jobs)?;
        played.into_iter().map(|e| e.trajectory).collect()
    } else {
        Vec::new()
    };
    let visited = Visited::of(&expert, &rollouts, spec, seed);
    Ok(visited.map(|visited| {
        let ways = [(Walker::Expert, &expert), (Walker::Policy, &rollouts)];
        landscape(&model, &visited, spec, &asked, &ways)
    }))
}

/// The channels of a pair.
fn indices(Pair(x, y): &Pair, spec: &EnvSpec) -> Result<[usize; 2], Error> {
    let space = &spec.observation;
    let find = |name: &String| {
        space.position(name).ok_or_else(|| {
            let hint = match nearest(name, space.names()) {
                None => format!("; it has {}", space.listed()),
                near => suggestion(near),
            };
            Error::Misuse(format!(
                "--landscape {x},{y}: {} has no state dimension `{name}`{hint}",
                spec.name
            ))
        })
    };
    let found = [find(x)?, find(y)?];
    if found[0] == found[1] {
        return Err(Error::Misuse(format!(
            "--landscape {x},{y}: expected two different state dimensions"
        )));
    }
    Ok(found)
}

/// Paths of expert and policy, and some of their transitions.
struct Visited {
    /// By channel.
    ranges: Vec<[f64; 2]>,
    /// `[TRANSITIONS × observation_dim]`
    observations: Vec<f32>,
    /// `[TRANSITIONS × action_dim]`
    actions: Vec<f32>,
}

impl Visited {
    /// `None` without an episode of the expert.
    fn of(expert: &[Trajectory], policy: &[Trajectory], spec: &EnvSpec, seed: u64) -> Option<Self> {
        if expert.is_empty() {
            return None;
        }
        let groups = match policy {
            [] => vec![expert],
            _ => vec![expert, policy],
        };
        let dim = spec.observation.dim();
        let ends = |group: &[Trajectory], i: usize| {
            let all = group
                .iter()
                .flat_map(|t| t.observations().chunks_exact(dim));
            let mut values: Vec<f32> = all.map(|o| o[i]).collect();
            values.sort_by(f32::total_cmp);
            let at = |share: f64| f64::from(values[(share * (values.len() - 1) as f64) as usize]);
            [at(0.01), at(0.99)]
        };
        let range = |i: usize| {
            let ends: Vec<[f64; 2]> = groups.iter().map(|group| ends(group, i)).collect();
            let low = ends.iter().fold(f64::INFINITY, |low, [a, _]| low.min(*a));
            let high = (ends.iter()).fold(f64::NEG_INFINITY, |high, [_, b]| high.max(*b));
            let air = match high - low {
                0.0 => (0.1 * low.abs()).max(0.5),
                extent => AIR * extent,
            };
            [low - air, high + air]
        };
        let mut rng = stream(seed, "landscape transitions", 0);
        let (mut observations, mut actions) = (Vec::new(), Vec::new());
        for k in 0..TRANSITIONS {
            let group = groups[k % groups.len()];
            let trajectory = &group[rng.random_range(0..group.len())];
            let t = rng.random_range(0..trajectory.len());
            observations.extend_from_slice(trajectory.observation(t));
            actions.extend_from_slice(trajectory.action(t));
        }
        Some(Self {
            ranges: (0..dim).map(range).collect(),
            observations,
            actions,
        })
    }

    /// Value of a channel at a grid point.
    fn value(&self, channel: usize, k: usize) -> f32 {
        let [low, high] = self.ranges[channel];
        (low + (high - low) * k as f64 / (GRID - 1) as f64) as f32
    }

    /// Mean cost over the transitions for each row of replacement channel values.
    fn mean_cost(&self, model: &EnergyModel, replaced: &[Vec<(usize, f32)>]) -> Vec<f64> {
        let dims = [&self.observations, &self.actions].map(|v| v.len() / TRANSITIONS);
        let mut observations = Vec::with_capacity(replaced.len() * self.observations.len());
        for row in replaced {
            for transition in self.observations.chunks_exact(dims[0]) {
                let first = observations.len();
                observations.extend_from_slice(transition);
                row.iter().for_each(|(i, v)| observations[first + i] = *v);
            }
        }
        let actions = self.actions.repeat(replaced.len());
        let cost = nn::no_grad(|| {
            model.cost(
                &nn::matrix(&observations, dims[0]),
                &nn::matrix(&actions, dims[1]),
            )
        });
        let cost = nn::to_f64(&cost);
        let mean = |c: &[f64]| c.iter().sum::<f64>() / c.len() as f64;
        cost.chunks_exact(TRANSITIONS).map(mean).collect()
    }

    /// How much the cost varies along one channel: its standard deviation.
    fn variation(&self, model: &EnergyModel, channel: usize) -> f64 {
        let rows: Vec<_> = (0..GRID)
            .map(|k| vec![(channel, self.value(channel, k))])
            .collect();
        let cost = self.mean_cost(model, &rows);
        let mean = cost.iter().sum::<f64>() / cost.len() as f64;
        (cost.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / cost.len() as f64).sqrt()
    }

    fn surface(&self, model: &EnergyModel, [x, y]: [usize; 2]) -> Vec<f32> {
        let rows: Vec<_> = (0..GRID * GRID)
            .map(|k| vec![(x, self.value(x, k % GRID)), (y, self.value(y, k / GRID))])
            .collect();
        let cost = self.mean_cost(model, &rows);
        cost.into_iter().map(|c| c as f32).collect()
    }
}

/// The requested pairs, then those of the channels along which the cost varies most.
fn landscape(
    model: &EnergyModel,
    visited: &Visited,
    spec: &EnvSpec,
    asked: &[[usize; 2]],
    ways: &[(Walker, &Vec<Trajectory>); 2],
) -> Landscape {
    let mut channels: Vec<(usize, f64)> = (0..spec.observation.dim())
        .map(|i| (i, visited.variation(model, i)))
        .filter(|(_, variation)| variation.is_finite())
        .collect();
    channels.sort_by(|a, b| b.1.total_cmp(&a.1));
    channels.truncate(CHANNELS);
    let ranked: Vec<usize> = channels.iter().map(|(i, _)| *i).collect();
    let mut pairs: Vec<[usize; 2]> = Vec::new();
    let unasked = (1..ranked.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    let unasked = unasked.map(|(a, b)| [ranked[a].min(ranked[b]), ranked[a].max(ranked[b])]);
    for pair in asked.iter().copied().chain(unasked) {
        if !pairs.iter().any(|p| *p == pair || [p[1], p[0]] == pair) {
            pairs.push(pair);
        }
    }
    let mut used: Vec<usize> = pairs.iter().flatten().copied().collect();
    used.sort_unstable();
    used.dedup();
    let place = |channel: usize| used.iter().position(|u| *u == channel).unwrap_or_default();
    let way = |walker: Walker, t: &Trajectory| {
        let every = (t.len() + 1).div_ceil(POINTS).max(1);
        let point = |i: usize| {
            let o = t.observation(i);
            used.iter().map(|u| rounded(o[*u])).collect()
        };
        Way {
            walker,
            points: (0..=t.len()).step_by(every).map(point).collect(),
        }
    };
    Landscape {
        channels: used
            .iter()
            .map(|u| &spec.observation.0[*u])
            .map(|c| LandscapeChannel {
                name: c.name.clone(),
                unit: c.unit.clone(),
            })
            .collect(),
        surfaces: pairs
            .iter()
            .map(|&pair| Surface {
                x: place(pair[0]),
                y: place(pair[1]),
                x_range: visited.ranges[pair[0]],
                y_range: visited.ranges[pair[1]],
                size: GRID,
                cost: visited.surface(model, pair),
            })
            .collect(),
        paths: ways
            .iter()
            .flat_map(|(walker, group)| group.iter().take(EPISODES).map(|t| way(*walker, t)))
            .collect(),
        averaged_over: TRANSITIONS,
    }
}

/// Rounds to four significant digits, more than a map shows.
fn rounded(v: f32) -> f32 {
    if v == 0.0 || !v.is_finite() {
        return v;
    }
    let unit = 10f64.powi(3 - f64::from(v).abs().log10().floor() as i32);
    ((f64::from(v) * unit).round() / unit) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::EnvConfig;

    #[test]
    fn pairs_are_two_names_with_a_comma() {
        assert_eq!(parse_pair("x, y"), Ok(Pair("x".into(), "y".into())));
        for text in ["x", "x,", ",y", "x,y,z", ""] {
            assert!(parse_pair(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_dimensions_are_misuse_with_the_nearest_name() {
        let factory = EnvConfig::named("cart_pole").unwrap().factory().unwrap();
        let spec = factory.spec();
        let name = |i: usize| spec.observation.0[i].name.clone();
        assert_eq!(indices(&Pair(name(1), name(0)), spec).unwrap(), [1, 0]);
        let misspelt = Pair(name(0), format!("{}s", name(1)));
        match indices(&misspelt, spec) {
            Err(Error::Misuse(text)) => {
                assert!(
                    text.contains(&format!("did you mean `{}`", name(1))),
                    "{text}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            indices(&Pair(name(0), name(0)), spec),
            Err(Error::Misuse(_))
        ));
    }

    #[test]
    fn ways_are_rounded_to_what_a_map_shows() {
        assert_eq!(rounded(0.123_456), 0.1235);
        assert_eq!(rounded(-1234.56), -1235.0);
        assert_eq!(rounded(0.0), 0.0);
    }
}
