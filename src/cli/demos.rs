//! `costate demos info|check`.

use std::path::PathBuf;

use super::common::Output;
use crate::error::Error;

/// Subcommands of `costate demos`.
#[derive(clap::Subcommand)]
pub enum Args {
    /// What a dataset holds: environment, expert, returns, ranges.
    #[command(after_help = "Example:\n  costate demos info datasets/pendulum-energy")]
    Info {
        /// Dataset folder.
        dataset: PathBuf,
    },
    /// Check every file, number and checksum, and replay an episode in the simulator.
    #[command(after_help = "Example:\n  costate demos check datasets/pendulum-energy")]
    Check {
        /// Dataset folder.
        dataset: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    match args {
        Args::Info { dataset } => {
            let info = costate_demos::inspect::info(&dataset)?;
            output.result(&info, || info.to_string())
        }
        Args::Check { dataset } => {
            let report = costate_demos::inspect::check(&dataset)?;
            output.result(&report, || report.to_string())
        }
    }
}
