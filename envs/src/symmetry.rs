//! Symmetries of a world: changes of coordinates that leave its dynamics and its cost as they are.
//!
//! If a in s leads to s' at cost c, then g·a in g·s leads to g·s' at the same cost c, so that every demonstration is worth
//! several (Zinkevich and Balch, "Symmetry in Markov decision processes and its implications for single agent and
//! multiagent learning", 2001). A world says which it has; [`verify`] plays whether they hold for its parameters.

use std::f64::consts::TAU;

use rand::RngExt;

use crate::env::{End, Env, EnvError};
use crate::registry::EnvFactory;
use crate::rng::{Stream, stream};
use crate::spec::Space;
use crate::trajectory::Trajectory;

/// What a symmetry does to a vector's entries, which are named by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// x becomes −x.
    Negate(usize),
    /// Two entries change places.
    Swap(usize, usize),
    /// (x, y) is turned counter-clockwise by the symmetry's angle.
    Turn(usize, usize),
    /// The symmetry's angle is added, rad.
    Add(usize),
}

impl Change {
    /// Each of `entries` becomes its negative.
    pub fn negate(entries: impl IntoIterator<Item = usize>) -> Vec<Self> {
        entries.into_iter().map(Self::Negate).collect()
    }

    fn apply<T: Copy + Into<f64>>(self, values: &mut [T], angle: f64, from: impl Fn(f64) -> T) {
        match self {
            Self::Negate(i) => values[i] = from(-values[i].into()),
            Self::Swap(i, j) => values.swap(i, j),
            Self::Turn(i, j) => {
                let (sin, cos) = angle.sin_cos();
                let (x, y): (f64, f64) = (values[i].into(), values[j].into());
                (values[i], values[j]) = (from(cos * x - sin * y), from(sin * x + cos * y));
            }
            Self::Add(i) => values[i] = from(values[i].into() + angle),
        }
    }
}

/// A symmetry, or one for every angle if an entry is turned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symmetry {
    /// `mirror`, `rotation`.
    pub name: &'static str,
    /// Of generalised coordinates: positions, then velocities.
    pub coordinates: Vec<Change>,
    /// Of what the task remembers of an episode beyond them.
    pub memory: Vec<Change>,
    /// Of observations.
    pub observation: Vec<Change>,
    /// Of actions.
    pub action: Vec<Change>,
}

impl Symmetry {
    /// The mirror image: the entries that change sign in it.
    pub fn mirror(
        coordinates: impl IntoIterator<Item = usize>,
        observation: impl IntoIterator<Item = usize>,
        action: impl IntoIterator<Item = usize>,
    ) -> Self {
        Self {
            name: "mirror",
            coordinates: Change::negate(coordinates),
            memory: Vec::new(),
            observation: Change::negate(observation),
            action: Change::negate(action),
        }
    }

    /// Whether it is one for every angle.
    pub fn turns(&self) -> bool {
        self.observation
            .iter()
            .any(|change| matches!(change, Change::Turn(..)))
    }

    /// One of its angles, rad; 0 where it has none.
    fn angle(&self, rng: &mut Stream) -> f64 {
        match self.turns() {
            true => TAU * rng.random::<f64>(),
            false => 0.0,
        }
    }
}

fn change(changes: &[Change], values: &mut [f32], angle: f64) {
    for c in changes {
        c.apply(values, angle, |v| v as f32);
    }
}

/// How many different copies of a demonstration `symmetries` can make; `None`: any number.
pub fn most_copies(symmetries: &[Symmetry]) -> Option<usize> {
    match symmetries.iter().any(Symmetry::turns) {
        true => None,
        false => Some(usize::from(!symmetries.is_empty())),
    }
}

/// `count` images of a trajectory of the same world: mirror images in turns with others, each at an angle of its own.
/// Log-densities stay as they are, since no symmetry stretches actions.
pub fn copies(
    symmetries: &[Symmetry],
    trajectory: &Trajectory,
    count: usize,
    rng: &mut Stream,
) -> Vec<Trajectory> {
    let mut copy = |number: usize| {
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
    (0..count).map(&mut copy).collect()
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
