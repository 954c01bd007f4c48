//! Symmetries of a world: changes of coordinates that leave its dynamics and its cost as they are.
//!
//! If a in s leads to s' at cost c, then g·a in g·s leads to g·s' at the same cost c, so that every demonstration is worth
//! several (Zinkevich and Balch, "Symmetry in Markov decision processes and its implications for single agent and
//! multiagent learning", 2001): see [`crate::images`].

use std::f64::consts::TAU;

use rand::RngExt;

use crate::rng::Stream;

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

    pub(crate) fn apply<T: Copy + Into<f64>>(
        self,
        values: &mut [T],
        angle: f64,
        from: impl Fn(f64) -> T,
    ) {
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
    pub(crate) fn angle(&self, rng: &mut Stream) -> f64 {
        match self.turns() {
            true => TAU * rng.random::<f64>(),
            false => 0.0,
        }
    }
}

/// `values`, a row of observations, actions or coordinates, after `changes`.
pub(crate) fn change(changes: &[Change], values: &mut [f32], angle: f64) {
    for c in changes {
        c.apply(values, angle, |v| v as f32);
    }
}
