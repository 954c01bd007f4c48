//! `costate diagnose`.

use std::path::PathBuf;

use super::common::Output;
use crate::app::train::findings;
use crate::diagnose::Finding;
use crate::error::Error;
use crate::run::RunFolder;

/// Arguments of `costate diagnose`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate diagnose runs/pendulum-gan-gcl-0
  costate diagnose runs/pendulum-gan-gcl-0 --json")]
pub struct Args {
    /// Run folder.
    run: PathBuf,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let findings = findings(&RunFolder::open(&args.run)?)?;
    output.result(&findings, || describe(&findings))
}

/// Findings in words.
pub fn describe(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no known cause of failure found\n".into();
    }
    let one = |f: &Finding| {
        format!(
            "{}: {}\n  {}\n  to change: {}\n",
            f.name, f.seen, f.means, f.change
        )
    };
    findings.iter().map(one).collect()
}
