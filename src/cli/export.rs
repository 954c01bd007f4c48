//! `costate export`.

use std::path::PathBuf;

use super::common::{Output, workers};
use super::stoppable::stoppable;
use crate::app;
use crate::app::export::{self, Format, What, Written};
use crate::error::Error;

/// Arguments of `costate export`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate export run --to onnx
  costate export run --to onnx,c --examples 1000 -o controller
  costate export run --to c --what fresh-policy
  costate export run/policy.safetensors --to c
  costate evaluate swing --policy run/export/policy.onnx")]
pub struct Args {
    /// Run folder, or one weights file (.safetensors).
    #[arg(value_name = "RUN")]
    place: PathBuf,
    /// Forms, separated by commas.
    #[arg(long, value_name = "FORM,…", value_delimiter = ',', required = true)]
    to: Vec<Format>,
    /// What of a run, separated by commas [default: its policy, and its cost if it learned one].
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    what: Vec<What>,
    /// Folder to write into [default: `export` in the run's folder, or beside the file].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Also write N observations and actions from episodes of the policy, with what Costate computes from them, as
    /// examples.csv: to test the program that uses the export.
    #[arg(long, value_name = "N", default_value_t = 0)]
    examples: usize,
    /// Worker threads that play these episodes; results do not depend on their number [default: one per core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let request = export::Request {
        place: args.place,
        formats: args.to,
        what: args.what,
        output: args.output,
        examples: args.examples,
        workers: workers(args.workers)?,
    };
    stoppable(output, move |terminal| {
        let written = app::export(&request, terminal)?;
        output.result(&written, || describe(&written))
    })
}

fn describe(written: &Written) -> String {
    let line = |file: &export::WrittenFile| {
        let place = written.folder.join(&file.file);
        format!("{}: {}", place.display(), file.what)
    };
    written
        .files
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}
