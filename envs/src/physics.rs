//! Physics placeholder.
use serde::{Deserialize, Serialize};

/// Saved physics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot;
