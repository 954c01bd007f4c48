//! Images of episodes under the symmetries of their world, and whether the world has these.

use rand::RngExt;

use crate::env::{End, Env, EnvError};
use crate::registry::EnvFactory;
use crate::rng::{Stream, stream};
use crate::spec::Space;
use crate::symmetry::{Symmetry, change};
use crate::trajectory::Trajectory;

/// How many different images of an episode `symmetries` can make; `None`: any number.
pub fn most(symmetries: &[Symmetry]) -> Option<usize> {
    match symmetries.iter().any(Symmetry::turns) {
        true => None,
        false => Some(usize::from(!symmetries.is_empty())),
    }
}

/// `count` images of a trajectory of the same world: mirror images in turns with others, each at an angle of its own.
/// Log-densities stay as they are, since no symmetry stretches actions.
pub fn of(
    symmetries: &[Symmetry],
    trajectory: &Trajectory,
    count: usize,
    rng: &mut Stream,
) -> Vec<Trajectory> {
    let mut image = |number: usize| {
        let mut observations = trajectory.observations().to_vec();
        let mut actions = trajectory.actions().to_vec();
        for symmetry in symmetries {
            if !symmetry.turns() && !number.is_multiple_of(2) {
                continue;
            }
            let angle = symmetry.angle(rng);
            for s in observations.chunks_exact_mut(trajectory.observation_dim()) {
                change(&symmetry.observation, s, angle);
            }
            for a in actions.chunks_exact_mut(trajectory.action_dim()) {
                change(&symmetry.action, a, angle);
            }
        }
        Trajectory::new(
            trajectory.observation_dim(),
            trajectory.action_dim(),
            observations,
            actions,
            trajectory.log_densities().map(<[f64]>::to_vec),
            trajectory.end(),
        )
        .expect("as long and as finite as the original")
    };
    (0..count).map(&mut image).collect()
}

/// Starts that [`verify`] plays from.
const STARTS: u64 = 8;
/// Steps that it plays from each.
const STEPS: usize = 20;
/// Greatest difference that counts as rounding, relative to 1 or the value, whichever is greater.
const TOLERANCE: f64 = 2e-3;

/// Plays random actions and their images from starts and their images, and compares.
///
/// Errors: a symmetry that the world does not have as its parameters are, with the first difference; a world that cannot
/// be played.
pub fn verify(factory: &EnvFactory, symmetries: &[Symmetry]) -> Result<(), EnvError> {
    let outside = |reason: String| EnvError::Outside {
        env: factory.spec().name.clone(),
        reason,
    };
    let (mut original, mut image) = (factory.build(), factory.build());
    for symmetry in symmetries {
        for seed in 0..STARTS {
            let mut rng = stream(seed, "symmetry", 0);
            let angle = symmetry.angle(&mut rng);
            original.reset(seed);
            start_image(symmetry, angle, original.as_ref(), image.as_mut())?;
            if let Some(difference) = first_difference(
                symmetry,
                angle,
                [original.as_mut(), image.as_mut()],
                &mut rng,
            )? {
                return Err(outside(format!(
                    "its {} does not hold with these parameters: from the start of seed {seed}, {difference}",
                    symmetry.name
                )));
            }
        }
    }
    Ok(())
}

/// Starts `image` at the image of the start that `original` is at.
fn start_image(
    symmetry: &Symmetry,
    angle: f64,
    original: &dyn Env,
    image: &mut dyn Env,
) -> Result<(), EnvError> {
    image.load(&original.save())?;
    let mut coordinates = original.coordinates();
    change(&symmetry.coordinates, &mut coordinates, angle);
    image.reset_to(&coordinates)?;
    if !symmetry.memory.is_empty() {
        let mut state = image.save();
        for c in &symmetry.memory {
            c.apply(&mut state.task, angle, |v| v);
        }
        image.load(&state)?;
    }
    Ok(())
}

/// The first difference between an episode's image and the episode of the images, in words.
fn first_difference(
    symmetry: &Symmetry,
    angle: f64,
    [original, image]: [&mut dyn Env; 2],
    rng: &mut Stream,
) -> Result<Option<String>, EnvError> {
    let spec = original.spec().clone();
    let mut observations = [(); 2].map(|()| vec![0.0; spec.observation.dim()]);
    for t in 0..=STEPS {
        original.observe(&mut observations[0]);
        image.observe(&mut observations[1]);
        change(&symmetry.observation, &mut observations[0], angle);
        if let Some((channel, values)) = differ(&spec.observation, &observations) {
            return Ok(Some(format!(
                "{channel} is {} after {t} steps instead of {}",
                values[1], values[0]
            )));
        }
        let action = random_action(&spec.action, rng);
        let mut imaged = action.clone();
        change(&symmetry.action, &mut imaged, angle);
        let steps = [original.step(&action)?, image.step(&imaged)?];
        if apart(steps[0].cost, steps[1].cost) {
            return Ok(Some(format!(
                "step {t} costs {} instead of {}",
                steps[1].cost, steps[0].cost
            )));
        }
        if steps.iter().any(|step| step.end != End::Running) {
            break;
        }
    }
    Ok(None)
}

fn differ<'a>(space: &'a Space, [a, b]: &[Vec<f32>; 2]) -> Option<(&'a str, [f32; 2])> {
    std::iter::zip(space.names(), a.iter().zip(b))
        .find(|(_, (a, b))| apart(f64::from(**a), f64::from(**b)))
        .map(|(name, (&a, &b))| (name, [a, b]))
}

fn apart(a: f64, b: f64) -> bool {
    (a - b).abs() > TOLERANCE * a.abs().max(1.0)
}

/// Uniform within its bounds, or within ±3 where those are wider.
fn random_action(space: &Space, rng: &mut Stream) -> Vec<f32> {
    let bounds = space.0.iter().map(|c| (c.low.max(-3.0), c.high.min(3.0)));
    bounds
        .map(|(low, high)| low + rng.random::<f32>() * (high - low))
        .collect()
}
