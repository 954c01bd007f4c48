//! How long demonstrations are, and whether that was the world's doing or the recording's.

use costate_demos::record::uniform;
use costate_envs::rng::{derive_seed, stream};
use costate_envs::{End, EnvFactory};
use serde::{Deserialize, Serialize};

/// Lengths of demonstrations, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lengths {
    /// Of the shortest.
    pub shortest: usize,
    /// Of the longest.
    pub longest: usize,
    /// How many have fewer steps than the horizon.
    pub early: usize,
}

impl Lengths {
    /// Of episodes in a world with a horizon; `None` without episodes.
    pub fn of(steps: impl IntoIterator<Item = usize>, horizon: usize) -> Option<Self> {
        steps.into_iter().fold(None, |all: Option<Self>, steps| {
            let early = usize::from(steps < horizon);
            Some(match all {
                None => Self {
                    shortest: steps,
                    longest: steps,
                    early,
                },
                Some(all) => Self {
                    shortest: all.shortest.min(steps),
                    longest: all.longest.max(steps),
                    early: all.early + early,
                },
            })
        })
    }

    /// Whether some were cut short: they end before the horizon, in a world that does not end episodes by itself. Without
    /// a simulator, the longest episode is the horizon, and says nothing.
    pub fn cut_short(&self, factory: &EnvFactory) -> bool {
        self.early > 0 && factory.has_simulator() && !ends_episodes(factory)
    }
}

/// How many episodes of random actions a world is watched for.
const WATCHED: u64 = 8;

/// Whether a world ends episodes before their horizon: whether it does so under random actions, under which robots fall
/// and landers crash.
fn ends_episodes(factory: &EnvFactory) -> bool {
    let spec = factory.spec();
    let mut env = factory.build();
    let mut action = vec![0.0; spec.action.dim()];
    (0..WATCHED).any(|episode| {
        let mut rng = stream(0, "watched_actions", episode);
        env.reset(derive_seed(0, "watched_starts", episode));
        for _ in 0..spec.horizon {
            uniform(&spec.action, &mut rng, &mut action);
            match env.step(&action).map(|step| step.end) {
                Ok(End::Running) => {}
                Ok(End::Terminated) => return true,
                Ok(End::Truncated) | Err(_) => return false,
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::EnvConfig;

    #[test]
    fn lengths_are_counted_against_the_horizon() {
        let lengths = Lengths::of([18, 50, 45], 50).unwrap();
        assert_eq!(
            (lengths.shortest, lengths.longest, lengths.early),
            (18, 50, 2)
        );
        assert_eq!(Lengths::of([], 50), None);
    }

    #[test]
    fn a_world_that_ends_episodes_by_itself_cuts_nothing_short() {
        let short = Lengths::of([18], 50).unwrap();
        let whole = Lengths::of([50], 50).unwrap();
        let factory = |env: &str, variant: &[&str]| {
            let mut config = EnvConfig::named(env).unwrap();
            for name in variant {
                config.apply_variant(name).unwrap();
            }
            config.factory().unwrap()
        };
        let point_mass = factory("point_mass", &[]);
        assert!(short.cut_short(&point_mass));
        assert!(!whole.cut_short(&point_mass));
        assert!(short.cut_short(&factory("hopper", &[])));
        assert!(!short.cut_short(&factory("hopper", &["ends_on_fall"])));
        assert!(!short.cut_short(&factory("lunar_lander", &["ends_on_crash"])));
    }
}
