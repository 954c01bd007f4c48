//! Clones made earlier in this process: sweeps, and evaluations beside what they evaluate, ask for the same one again and
//! again.

use sha2::{Digest, Sha256};

use super::Setup;
use super::cloning::Recipe;
use crate::memo::Memo;
use crate::nn::StateError;
use crate::policy::GaussianPolicy;

/// How many are kept.
const KEPT: usize = 64;

/// Everything that a clone depends on, digested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

/// Their weights.
pub(super) static CLONES: Memo<Key, Vec<f32>> = Memo::new(KEPT);

impl Key {
    /// That of a clone which starts as `policy`.
    pub(super) fn of(
        policy: &GaussianPolicy,
        setup: &Setup,
        recipe: &Recipe,
    ) -> Result<Self, StateError> {
        let Setup {
            demonstrations,
            images,
            seed,
            // Where episodes start and who plays them is not seen.
            starts: _,
            factory: _,
            expert: _,
            workers: _,
            elsewhere: _,
            sealer: _,
        } = setup;
        let mut digest = Sha256::new();
        digest.update(policy.to_bytes()?);
        digest.update(format!(
            "{recipe:?} {seed} {images} {}",
            demonstrations.len()
        ));
        for trajectory in *demonstrations {
            digest.update(trajectory.len().to_le_bytes());
            for values in [trajectory.observations(), trajectory.actions()] {
                for value in values {
                    digest.update(value.to_bits().to_le_bytes());
                }
            }
        }
        Ok(Self(digest.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use costate_envs::{End, EnvConfig, Trajectory};

    #[test]
    fn a_clone_is_made_once_and_again_where_anything_differs() {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let shown = |action: f32| {
            let (observations, actions) = (vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6], vec![action]);
            [Trajectory::new(3, 1, observations, actions, None, End::Truncated).unwrap()]
        };
        let policy = |seed| GaussianPolicy::small("pendulum", 3, seed);
        let (one, other) = (shown(0.5), shown(0.25));
        let setup = |seed, demonstrations| Setup {
            seed,
            ..Setup::new(&factory, demonstrations)
        };
        let key = |policy: &GaussianPolicy, setup: &Setup, steps| {
            Key::of(policy, setup, &Recipe::shipped(steps)).unwrap()
        };
        let keys = [
            key(&policy(0), &setup(0, &one), 50),
            key(&policy(1), &setup(0, &one), 50),
            key(&policy(0), &setup(1, &one), 50),
            key(&policy(0), &setup(0, &other), 50),
            key(&policy(0), &setup(0, &one), 100),
        ];
        let mut made = 0;
        for _ in 0..2 {
            for (i, key) in keys.iter().enumerate() {
                let found = CLONES.remembered(*key, || {
                    made += 1;
                    Ok::<_, Error>(Some(vec![i as f32]))
                });
                assert_eq!(found.unwrap(), Some(vec![i as f32]));
            }
        }
        assert_eq!(made, keys.len());
        // An interruption is not kept.
        let fresh = key(&policy(2), &setup(0, &one), 50);
        let found = |made: Option<Vec<f32>>| CLONES.remembered(fresh, || Ok::<_, Error>(made));
        assert_eq!(found(None).unwrap(), None);
        assert_eq!(found(Some(vec![7.0])).unwrap(), Some(vec![7.0]));
    }
}
