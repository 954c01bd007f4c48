//! The command line: one file, one command.

mod bench;
mod common;
mod compare;
mod demo;
mod demos;
mod derive;
mod diagnose;
mod ebm;
mod envs;
mod evaluate;
mod evaluation_text;
mod expert;
mod export;
mod import;
mod methods;
mod record;
mod report;
mod stoppable;
mod terminal;
mod train;
mod transfer;
mod ui;
mod validate;
mod view;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use costate_envs::gym::TRACEBACK;

use crate::error::Error;
use common::Output;

/// Record demonstrations, train imitation policies, evaluate learned costs.
#[derive(Parser)]
#[command(name = "costate", version, about, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    /// Print one JSON object on standard output and nothing else there.
    #[arg(long, global = true)]
    json: bool,
    /// No progress and no remarks on standard error; errors are still shown.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Log internals on standard error: files, checkpoints, worker threads.
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start with `costate demo`. Exit codes: 0 success, 1 failure, 2 misuse.

Example:
  costate record pendulum -n 25 -o swing
  costate train swing --algo gan-gcl -o swing-run
  costate evaluate swing-run
  costate report swing-run
  costate view swing-run --gif swing.gif";

#[derive(Subcommand)]
enum Command {
    /// Record, train, evaluate and report one environment from end to end.
    Demo(demo::Args),
    /// List environments, or show one with its spaces, units, parameters and experts.
    Envs(envs::Args),
    /// Train an expert on the true cost, to record demonstrations with.
    Expert(expert::Args),
    /// Record demonstrations of an expert.
    Record(record::Args),
    /// Import and inspect demonstration datasets.
    #[command(subcommand)]
    Demos(demos::Args),
    /// Train a policy (and a cost) from demonstrations.
    Train(train::Args),
    /// Evaluate a run's policy and cost; compare several runs.
    Evaluate(evaluate::Args),
    /// Compare evaluated runs: which method is better, and is the difference significant?
    Compare(compare::Args),
    /// Diagnose what keeps a run from succeeding, and what to change.
    Diagnose(diagnose::Args),
    /// Write one self-contained HTML page about runs.
    Report(report::Args),
    /// Write a run's policy and cost as ONNX, C or safetensors for other programs.
    Export(export::Args),
    /// Fit an energy-based model to the rows of a table: density, samples, landscape.
    Ebm(ebm::Args),
    /// Reproduce the published tables.
    Bench(bench::Args),
    /// Play a learner's episodes, for `--rollouts` of `costate train` and `costate expert`.
    Worker(worker::Args),
    /// Render an episode of an environment's expert, a dataset or a run's policy.
    View(view::Args),
}

/// Parses arguments, runs the command, prints the error if there is one.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    costate_base::provenance::declare(crate::provenance::this_build());
    match cli.command {
        Command::View(_) => crate::memory::share_memory(),
        _ => crate::memory::keep_freed_memory(),
    }
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => tracing::Level::ERROR,
        (_, true) => tracing::Level::DEBUG,
        _ => tracing::Level::WARN,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    let output = Output {
        json: cli.json,
        quiet: cli.quiet,
    };
    let result = match cli.command {
        Command::Demo(args) => demo::run(args, output),
        Command::Envs(args) => envs::run(args, output),
        Command::Record(args) => record::run(args, output),
        Command::Demos(args) => demos::run(args, output),
        Command::Expert(args) => expert::run(args, output),
        Command::Train(args) => train::run(args, output),
        Command::Evaluate(args) => evaluate::run(args, output),
        Command::Compare(args) => compare::run(args, output),
        Command::Diagnose(args) => diagnose::run(args, output),
        Command::Report(args) => report::run(args, output),
        Command::Export(args) => export::run(args, output),
        Command::Ebm(args) => ebm::run(args, output),
        Command::Bench(args) => bench::run(args, output),
        Command::View(args) => view::run(args, output),
        Command::Worker(args) => worker::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("costate: {}", one_line(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whether a command line, starting with `costate`, parses.
#[cfg(test)]
pub(crate) fn understands(words: &[String]) -> Result<(), String> {
    Cli::try_parse_from(words)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

/// An error's message on one line, unless Python raised it: its traceback is read line by line.
fn one_line(error: &Error) -> String {
    let message = error.to_string();
    match message.contains(TRACEBACK) {
        true => message,
        false => message.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
