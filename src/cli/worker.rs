//! `costate worker`.

use std::io::{stdin, stdout};

use costate_envs::remote::{ServeError, serve};

use super::common::workers;
use crate::error::Error;
use crate::provenance::identity;

/// Arguments of `costate worker`.
#[derive(clap::Args)]
#[command(after_help = "\
It speaks with its learner over standard input and output, and ends when that does. It must be of the learner's build.

Examples:
  costate train swing --algo gan-gcl --rollouts 'ssh host costate worker'
  costate train swing --algo gan-gcl --rollouts 'ssh host costate worker --workers 16'")]
pub struct Args {
    /// Worker threads; results do not depend on their number [default: one per core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Error> {
    let threads = workers(args.workers)?;
    match serve(stdin(), stdout(), threads, &identity()) {
        Ok(()) => Ok(()),
        Err(ServeError::Refused(why)) => Err(Error::Misuse(format!("standard input: {why}"))),
        Err(e @ ServeError::Io(_)) => Err(Error::Failure(e.to_string())),
    }
}
