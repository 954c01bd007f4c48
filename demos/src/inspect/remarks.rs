//! Valid but implausible numbers: wrong units, channels that were not recorded, episodes from another simulator.
//! Found by comparing a dataset with its own spec and with the environment.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use costate_envs::rng::{derive_seed, stream};
use costate_envs::{Channel, EnvFactory, EnvSpec, Episode, Space};

use crate::dataset::Meta;
use crate::record::{play, uniform};

/// Episodes replayed under their recorded actions.
const REPLAYED: usize = 8;
/// Episodes of random actions that show which channels vary.
const OWN_RUNS: usize = 3;
/// An action that is this many times its bound, or stays below this fraction of it, is in other units.
const OTHER_UNITS: f64 = 200.0;
/// Share of saturated actions above which mostly the bounds are imitated.
const MOST_SATURATED: f64 = 0.5;
/// Difference, relative to 1 + |value|, above which a recorded and a simulated number differ.
const SAME: f64 = 1e-3;

/// Statistics of a channel's values over all episodes.
#[derive(Clone)]
struct Track {
    low: f32,
    high: f32,
    /// Episode and step of the value that is farthest from zero.
    farthest: (usize, usize),
    /// Values beyond the bounds, and the first of them.
    outside: usize,
    first_outside: Option<(usize, usize, f32)>,
    /// Values at a bound or beyond it.
    saturated: usize,
    count: usize,
}

impl Track {
    const EMPTY: Self = Self {
        low: f32::INFINITY,
        high: f32::NEG_INFINITY,
        farthest: (0, 0),
        outside: 0,
        first_outside: None,
        saturated: 0,
        count: 0,
    };

    fn add(&mut self, channel: &Channel, value: f32, at: (usize, usize)) {
        if value.abs() > self.size() || self.count == 0 {
            self.farthest = at;
        }
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
        self.count += 1;
        self.saturated += usize::from(value <= channel.low || value >= channel.high);
        let slack = SAME as f32 * (1.0 + channel.low.abs().max(channel.high.abs()));
        if value < channel.low - slack || value > channel.high + slack {
            self.outside += 1;
            self.first_outside.get_or_insert((at.0, at.1, value));
        }
    }

    fn size(&self) -> f32 {
        self.low.abs().max(self.high.abs())
    }

    fn is_constant(&self) -> bool {
        self.count > 1 && self.low == self.high
    }
}

/// Examines a dataset's episodes one by one.
pub(super) struct Plausibility<'a> {
    spec: &'a EnvSpec,
    /// Whether actions were recorded, by which episodes can be replayed.
    acted: bool,
    factory: Option<EnvFactory>,
    observations: Vec<Track>,
    actions: Vec<Track>,
    replays: Replays,
    /// First episode by content, and by seed.
    contents: BTreeMap<u64, usize>,
    seeds: BTreeMap<u64, usize>,
    repeated: Vec<String>,
}

impl<'a> Plausibility<'a> {
    /// Nothing seen yet; without `factory` nothing is compared with the environment.
    pub(super) fn new(meta: &'a Meta, factory: Option<EnvFactory>) -> Self {
        let spec = &meta.spec;
        Self {
            spec,
            acted: meta.actions_known(),
            factory,
            observations: vec![Track::EMPTY; spec.observation.dim()],
            actions: vec![Track::EMPTY; spec.action.dim()],
            replays: Replays::default(),
            contents: BTreeMap::new(),
            seeds: BTreeMap::new(),
            repeated: Vec::new(),
        }
    }

    /// Examines the next episode.
    pub(super) fn add(&mut self, id: usize, episode: &Episode) {
        let trajectory = &episode.trajectory;
        let follow = |tracks: &mut [Track], space: &Space, rows: &[f32]| {
            for (t, row) in rows.chunks_exact(space.dim()).enumerate() {
                for ((track, channel), value) in tracks.iter_mut().zip(&space.0).zip(row) {
                    track.add(channel, *value, (id, t));
                }
            }
        };
        let spec = self.spec;
        follow(
            &mut self.observations,
            &spec.observation,
            trajectory.observations(),
        );
        follow(&mut self.actions, &spec.action, trajectory.actions());
        let mut hasher = DefaultHasher::new();
        for values in [trajectory.observations(), trajectory.actions()] {
            values.iter().for_each(|v| v.to_bits().hash(&mut hasher));
        }
        let same = self.contents.insert(hasher.finish(), id);
        let seed = self.seeds.insert(episode.seed, id);
        if let Some(before) = same {
            self.repeated.push(format!(
                "episode {id} is identical to episode {before}: it counts twice"
            ));
        } else if let Some(before) = seed {
            self.repeated.push(format!(
                "episode {id} has the seed of episode {before}, {}: they start identically",
                episode.seed
            ));
        }
        if let Some(factory) = self
            .factory
            .as_ref()
            .filter(|_| self.acted && self.replays.asked < REPLAYED)
        {
            self.replays.add(factory, id, episode);
        }
    }

    /// One line per implausible finding.
    pub(super) fn remarks(self) -> Vec<String> {
        let mut remarks = self.repeated;
        let own = self.factory.as_ref().map(own_runs);
        let spec = self.spec;
        for (i, (track, channel)) in self
            .observations
            .iter()
            .zip(&spec.observation.0)
            .enumerate()
        {
            let name = format!("observation `{}` ({})", channel.name, channel.unit);
            if let Some((episode, step, value)) = track.first_outside {
                remarks.push(format!(
                    "{name} is {value} in episode {episode}, step {step}, outside its bounds {} … {}, as are {} of {} values: \
                     is it in {}?",
                    channel.low, channel.high, track.outside, track.count, channel.unit
                ));
            }
            if let Some([low, high]) = own.as_ref().and_then(|own| own[i])
                && track.is_constant()
                // A sensor may rest at the end of its range.
                && ![channel.low, channel.high].contains(&track.low)
            {
                remarks.push(format!(
                    "{name} is {} in all {} rows, but varies in the environment's own runs ({low} … {high} within one \
                     episode): was it recorded?",
                    track.low, track.count
                ));
            }
        }
        let acted = self.actions.iter().zip(&spec.action.0);
        for (track, channel) in acted.filter(|_| self.acted) {
            let name = format!("action `{}` ({})", channel.name, channel.unit);
            if track.is_constant() {
                remarks.push(format!(
                    "{name} is {} in all {} steps: was it recorded? Nothing can be learned from it",
                    track.low, track.count
                ));
                continue;
            }
            let (size, bound) = (
                f64::from(track.size()),
                f64::from(channel.low.abs().max(channel.high.abs())),
            );
            let (episode, step) = track.farthest;
            let ratio = size / bound;
            if ratio >= OTHER_UNITS {
                remarks.push(format!(
                    "{name} reaches {size} in episode {episode}, step {step}, {ratio:.0} times its bound of {bound}, where \
                     the environment cuts it off: is it in {}?",
                    channel.unit
                ));
            } else if ratio * OTHER_UNITS <= 1.0 {
                remarks.push(format!(
                    "{name} stays within {size} (episode {episode}, step {step}), {:.0} times less than its bound of {bound}: \
                     is it in {}?",
                    1.0 / ratio,
                    channel.unit
                ));
            } else if track.saturated as f64 > MOST_SATURATED * track.count as f64 {
                remarks.push(format!(
                    "{name} is at its bounds {} … {} or beyond in {} of {} steps, where the environment cuts it off: \
                     Gaussian policies imitate such commands poorly; demonstrate more gently, or with a stronger actuator",
                    channel.low, channel.high, track.saturated, track.count
                ));
            }
        }
        remarks.extend(self.replays.remarks());
        remarks
    }
}

/// Range of each observation channel within the episode of random actions in which it varied most; `None` where it
/// varies in none.
fn own_runs(factory: &EnvFactory) -> Vec<Option<[f32; 2]>> {
    let space = &factory.spec().observation;
    let mut ranges: Vec<Option<[f32; 2]>> = vec![None; space.dim()];
    let mut env = factory.build();
    for run in 0..OWN_RUNS {
        let mut rng = stream(0, "check-actions", run as u64);
        let seed = derive_seed(0, "check", run as u64);
        let played = play(env.as_mut(), run, seed, |env, action| {
            uniform(&env.spec().action, &mut rng, action);
            Ok(None)
        });
        // A failing world says nothing about the dataset.
        let Ok(episode) = played else { continue };
        for (i, range) in ranges.iter_mut().enumerate() {
            let values = episode.trajectory.observations().iter();
            let values = values.skip(i).step_by(space.dim());
            let [low, high] = values.fold([f32::INFINITY, f32::NEG_INFINITY], |[l, h], v| {
                [l.min(*v), h.max(*v)]
            });
            if low < high && range.is_none_or(|[l, h]| h - l < high - low) {
                *range = Some([low, high]);
            }
        }
    }
    ranges
}

/// Episodes replayed from their seeds.
#[derive(Default)]
struct Replays {
    asked: usize,
    /// Those that the simulator does not reproduce, and how the first of them diverges.
    apart: usize,
    first_apart: Option<String>,
    first_cost: Option<String>,
}

impl Replays {
    fn add(&mut self, factory: &EnvFactory, id: usize, episode: &Episode) {
        let trajectory = &episode.trajectory;
        let space = &factory.spec().observation;
        let mut env = factory.build();
        env.reset(episode.seed);
        self.asked += 1;
        let mut seen = vec![0.0; space.dim()];
        let (mut recorded, mut simulated) = (0.0, 0.0);
        for t in 0..=trajectory.len() {
            env.observe(&mut seen);
            let rows = space.0.iter().zip(trajectory.observation(t)).zip(&seen);
            let apart = rows.into_iter().find(|((_, a), b)| {
                f64::from((**a - **b).abs()) > SAME * (1.0 + f64::from(b.abs()))
            });
            if let Some(((channel, was), is)) = apart {
                self.apart += 1;
                let way = match t {
                    0 => format!("from seed {}", episode.seed),
                    _ => "under the recorded actions".into(),
                };
                self.first_apart.get_or_insert(format!(
                    "in episode {id}, step {t}, `{}` ({}) was {was}, but is {is} {way}",
                    channel.name, channel.unit
                ));
                break;
            }
            if t == trajectory.len() {
                break;
            }
            let Ok(step) = env.step(trajectory.action(t)) else {
                break;
            };
            recorded += episode.costs[t];
            simulated += step.cost;
        }
        let scale = 1e-9 + simulated.abs();
        if (recorded - simulated).abs() > SAME * scale {
            self.first_cost.get_or_insert(format!(
                "true_cost of episode {id} adds up to {recorded:.6}, but the environment charges {simulated:.6} for the same \
                 states and actions ({:.4} times less): returns and scores are off by as much",
                recorded / simulated
            ));
        }
    }

    fn remarks(self) -> impl Iterator<Item = String> {
        let Self { asked, apart, .. } = self;
        let apart = self.first_apart.map(|first| {
            format!(
                "the simulator does not reproduce {apart} of {asked} episodes: {first}; if they come from another simulator \
                 or a real machine, policies are evaluated in another world, from other start states"
            )
        });
        apart.into_iter().chain(self.first_cost)
    }
}
