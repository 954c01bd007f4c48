//! The application, for any front end: the command line, tests, a web page, another language.
//!
//! Every function takes a request, a plain struct, and a [`Progress`], which is notified of progress and can stop the
//! work. Results are typed and serialisable. Nothing here prints, exits the program or handles signals.

pub mod baseline;
pub mod bench;
mod demonstrations;
mod doubts;
pub mod ebm;
pub mod evaluate;
pub mod expert;
pub mod export;
pub mod failed;
mod fresh;
pub mod held_out;
pub mod import;
mod imported;
pub mod landscape;
pub mod page;
mod progress;
mod protocol;
pub mod record;
pub mod results;
mod rl;
pub mod runs;
pub mod train;
pub mod transfer;
pub mod validate;
mod world;

pub use bench::bench;
pub use demonstrations::{Demonstrations, open_demonstrations};
pub use evaluate::evaluate;
pub use expert::expert;
pub use export::export;
pub use progress::Progress;
pub use record::record;
pub use runs::{Changes, Existing, Request, Target};
pub use train::train;
pub use transfer::transfer;
pub use validate::validate;
pub use world::WorldChanges;

use std::path::{Path, PathBuf};

use costate_envs::registry::file_name;
use serde::Serializer;

use crate::run::RunFolder;

/// Serialises a path as text, which is all that JSON holds.
fn shown<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// Serialises a run as its folder.
fn place<S: Serializer>(run: &RunFolder, to: S) -> Result<S::Ok, S::Error> {
    shown(run.path(), to)
}

/// Folder of all runs, unless they are put elsewhere.
pub const RUNS: &str = "runs";

/// A run's name: its folder's.
fn run_name(run: &Path) -> String {
    run.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The requested folder, or one below `runs/`.
fn run_folder(asked: Option<&Path>, name: impl FnOnce() -> String) -> PathBuf {
    asked.map_or_else(
        || Path::new(RUNS).join(file_name(&name())),
        Path::to_path_buf,
    )
}
