//! Episode lengths, and what ended them.

use costate_envs::{End, Env, EnvFactory, EnvSpec, Episode};
use serde::Serialize;

/// Maximum episodes re-simulated to check whether the environment ended them.
const MOST_ASKED: usize = 16;

/// Largest difference between a recorded and a simulated observation, relative to 1 + |value|, up to
/// which both count as the same episode.
const SAME: f32 = 1e-3;

/// Lengths of episodes, how they ended, and whether the environment itself ended those that stop before the horizon.
///
/// Rollouts end where the environment ends them. Where a recorder stopped at the goal instead, a discriminator over
/// whole trajectories tells demonstrations by their length alone: [`Lengths::remark`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// Number of episodes.
    pub episodes: usize,
    /// Steps after which the environment cuts an episode off.
    pub horizon: usize,
    /// Steps of the shortest episode; 0 without episodes.
    pub shortest: usize,
    /// Steps of the longest episode.
    pub longest: usize,
    /// Steps of the longest episode that ends before the horizon; 0 if there is none.
    pub longest_early: usize,
    /// Episodes that end before the horizon and are flagged as terminated.
    pub terminated_early: usize,
    /// Episodes that end before the horizon and are flagged as truncated: the environment truncates at the horizon only.
    pub truncated_early: usize,
    /// Of `terminated_early`, those that were simulated again, which the simulator must reproduce.
    pub simulated: usize,
    /// Of `simulated`, those that the environment would have continued.
    pub ran_on: usize,
}

impl Lengths {
    /// No episodes yet, of the environment of `spec`.
    pub fn new(spec: &EnvSpec) -> Self {
        Self {
            episodes: 0,
            horizon: spec.horizon,
            shortest: 0,
            longest: 0,
            longest_early: 0,
            terminated_early: 0,
            truncated_early: 0,
            simulated: 0,
            ran_on: 0,
        }
    }

    /// Lengths of `episodes`. Some flagged as terminated early are re-simulated.
    pub fn of<'a>(episodes: impl IntoIterator<Item = &'a Episode>, factory: &EnvFactory) -> Self {
        let mut lengths = Self::new(factory.spec());
        let mut env = factory.build();
        for episode in episodes {
            lengths.add(episode, Some(env.as_mut()));
        }
        lengths
    }

    /// Counts one more episode; `env` re-simulates it if that is informative.
    pub fn add(&mut self, episode: &Episode, env: Option<&mut dyn Env>) {
        let steps = episode.trajectory.len();
        self.shortest = match self.episodes {
            0 => steps,
            _ => self.shortest.min(steps),
        };
        self.longest = self.longest.max(steps);
        self.episodes += 1;
        if steps >= self.horizon {
            return;
        }
        self.longest_early = self.longest_early.max(steps);
        if episode.trajectory.end() != End::Terminated {
            self.truncated_early += 1;
            return;
        }
        self.terminated_early += 1;
        if self.simulated < MOST_ASKED
            && let Some(env) = env
            && let Some(end) = simulated_end(env, episode)
        {
            self.simulated += 1;
            self.ran_on += usize::from(end == End::Running);
        }
    }

    /// Episodes that end before the horizon.
    pub fn early(&self) -> usize {
        self.terminated_early + self.truncated_early
    }

    /// As text, e.g. `episodes of 18 to 45 of 50 steps; 25 of 25 end before the horizon (25 terminated, 0 truncated)`.
    pub fn in_words(&self) -> String {
        let steps = match self.shortest == self.longest {
            true => format!("{}", self.longest),
            false => format!("{} to {}", self.shortest, self.longest),
        };
        let early = match self.early() {
            0 => "none ends before the horizon".into(),
            early => format!(
                "{early} of {} end before the horizon ({} terminated, {} truncated)",
                self.episodes, self.terminated_early, self.truncated_early
            ),
        };
        format!("episodes of {steps} of {} steps; {early}", self.horizon)
    }

    /// A remark on episodes that end early although the environment did not end them, and what to do;
    /// `None` without any.
    pub fn remark(&self) -> Option<String> {
        let cut = self.truncated_early + self.ran_on;
        // Terminations that no simulation confirms may be the recorder's as well.
        let unconfirmed = self.terminated_early > 0 && self.simulated == 0;
        if cut == 0 && !unconfirmed {
            return None;
        }
        let early = self.early_in_words();
        if cut == 0 {
            return Some(format!(
                "{early}, and the simulator cannot confirm here that the environment ended them, as they say. Where the recorder \
                 did, of what comes after their ends nothing is learned: record to the horizon then"
            ));
        }
        let who = match self.simulated < self.terminated_early {
            false if cut == self.early() => "the environment did not end them".into(),
            false => format!("the environment did not end {cut} of them"),
            true => format!(
                "the environment did not end {cut} of the {} checked",
                self.truncated_early + self.simulated
            ),
        };
        Some(format!(
            "{early}, and {who}: the recording was cut short. gan-gcl and gcl compare them with rollouts that are cut alike, so that \
             their length gives nothing away; of what comes after their ends nothing is learned. Where that matters, record \
             to the horizon"
        ))
    }

    fn early_in_words(&self) -> String {
        format!(
            "{} of {} demonstrations end early, after {} to {} steps of a horizon of {}",
            self.early(),
            self.episodes,
            self.shortest,
            self.longest_early,
            self.horizon
        )
    }
}

/// The environment's own status after the recorded actions; `None` if it does not reproduce the episode.
fn simulated_end(env: &mut dyn Env, episode: &Episode) -> Option<End> {
    let trajectory = &episode.trajectory;
    if env.spec().observation.dim() != trajectory.observation_dim() {
        return None;
    }
    env.reset(episode.seed);
    let mut seen = vec![0.0; trajectory.observation_dim()];
    let mut end = End::Running;
    for t in 0..trajectory.len() {
        if end != End::Running {
            return None;
        }
        end = env.step(trajectory.action(t)).ok()?.end;
    }
    env.observe(&mut seen);
    let recorded = trajectory.observation(trajectory.len());
    let same = |(a, b): (&f32, &f32)| (a - b).abs() <= SAME * (1.0 + b.abs());
    seen.iter().zip(recorded).all(same).then_some(end)
}
