//! Saving and restoring a running world.

use std::borrow::Cow;

use rapier2d::prelude::*;
use serde::{Deserialize, Serialize};

/// The simulator whose state a snapshot holds; other versions lay it out differently.
pub const RAPIER_VERSION: &str = match std::str::from_utf8(&NAMED) {
    Ok(name) => name,
    Err(_) => panic!("ASCII"),
};

const NAMED: [u8; NAME.len() + rapier2d::VERSION.len()] = {
    let (name, version) = (NAME.as_bytes(), rapier2d::VERSION.as_bytes());
    let (mut named, mut i) = ([0; _], 0);
    while i < NAME.len() + version.len() {
        named[i] = match i < NAME.len() {
            true => name[i],
            false => version[i - NAME.len()],
        };
        i += 1;
    }
    named
};

const NAME: &str = "rapier2d ";

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by another version of the simulator.
    #[error("it was saved by {0}, this is {RAPIER_VERSION}; record it again")]
    Version(String),
    /// Written under other model parameters.
    #[error("it was saved with other model parameters")]
    Model,
    /// The contents do not fit the model.
    #[error("its contents do not fit the model: the file is damaged")]
    Damaged,
}

/// All of rapier's state; the rest of a world is workspace or follows from the model.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Parts {
    pub islands: IslandManager,
    pub broad_phase: BroadPhaseBvh,
    pub narrow_phase: NarrowPhase,
    pub bodies: RigidBodySet,
    pub colliders: ColliderSet,
    pub impulse_joints: ImpulseJointSet,
    pub multibody_joints: MultibodyJointSet,
    pub soft_bodies: SoftBodySet,
}

impl Parts {
    pub fn new() -> Self {
        Self {
            islands: IslandManager::new(),
            broad_phase: BroadPhaseBvh::default(),
            narrow_phase: NarrowPhase::new(),
            bodies: RigidBodySet::new(),
            colliders: ColliderSet::new(),
            impulse_joints: ImpulseJointSet::new(),
            multibody_joints: MultibodyJointSet::new(),
            soft_bodies: SoftBodySet::new(),
        }
    }
}

/// A world before its first step is kept as coordinates: rapier does not serialise the links
/// between bodies that the first step establishes.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum State {
    Start(Vec<f32>),
    Running(Box<Parts>),
}

/// The complete state of a world; restoring it reproduces what follows bit for bit.
#[derive(Clone, Serialize, Deserialize)]
pub struct Snapshot {
    rapier: Cow<'static, str>,
    model: u64,
    state: State,
}

impl Snapshot {
    pub(super) fn new(model: u64, state: State) -> Self {
        Self {
            rapier: Cow::Borrowed(RAPIER_VERSION),
            model,
            state,
        }
    }

    /// The state, if it belongs to this simulator and the model with this digest.
    pub(super) fn open(&self, model: u64) -> Result<&State, SnapshotError> {
        if self.rapier != RAPIER_VERSION {
            return Err(SnapshotError::Version(self.rapier.clone().into_owned()));
        }
        if self.model != model {
            return Err(SnapshotError::Model);
        }
        Ok(&self.state)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("rapier", &self.rapier)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
