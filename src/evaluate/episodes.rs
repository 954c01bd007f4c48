//! Episodes for evaluation: start states and replays.

pub use costate_envs::rollout::replay;

use costate_envs::rng::derive_seed;
use costate_envs::{EnvError, EnvFactory, Episode};

/// Seed of episode `i` of an evaluation, shared by all compared policies.
pub fn start(seed: u64, i: usize) -> u64 {
    derive_seed(seed, "evaluation", i as u64)
}

/// Whether replaying an episode's actions from its seed reproduces its observations.
pub fn replays(factory: &EnvFactory, episode: &Episode) -> Result<bool, EnvError> {
    let tau = &episode.trajectory;
    let mut env = factory.build();
    let mut seen = vec![0.0; tau.observation_dim()];
    env.reset(episode.seed);
    for t in 0..=tau.len() {
        env.observe(&mut seen);
        if seen != tau.observation(t) {
            return Ok(false);
        }
        if t < tau.len() {
            env.step(tau.action(t))?;
        }
    }
    Ok(true)
}
