//! `costate bench`.

use std::path::PathBuf;

use super::common::Output;
use super::terminal::Terminal;
use crate::app;
use crate::app::bench::Request;
use crate::error::Error;

/// Arguments of `costate bench`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate bench results
  costate bench results --envs pendulum,point_maze --methods bc,gan-gcl --seeds 0
  costate bench ablation --jobs 2
  costate bench exact --envs pendulum --jobs 2
  costate bench results --show
  costate bench speed --turns 5 --envs hopper,cart_pole")]
pub struct Args {
    /// results: every learner on twelve worlds; ablation: what each ingredient of GAN-GCL buys; controllers: guided cost
    /// learning as first published beside its heirs; exact: sampled learners where the answer is known; ebm: energies over
    /// vectors beside known densities; speed: steps and rollouts beside the bare physics, and time to expert level.
    suite: String,
    /// Environments (exact: processes; ebm: densities), with commas between them [default: the suite's].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    envs: Vec<String>,
    /// Methods, with commas between them [default: the suite's].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    methods: Vec<String>,
    /// Seeds, with commas between them [default: the suite's].
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Folder of results, a JSON file a cell, with the table beside them [default: benches/SUITE].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Folder of demonstrations and runs, kept to go on from.
    #[arg(long, value_name = "DIR", default_value = "runs/bench")]
    work: PathBuf,
    /// Cells at a time, each on an equal share of the cores; seconds then say less.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Show what is there and run nothing.
    #[arg(long)]
    show: bool,
    /// Turns behind every median of `speed` [default: 15].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    turns: Option<u16>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let request = Request {
        suite: args.suite,
        envs: args.envs,
        methods: args.methods,
        seeds: args.seeds,
        output: args.output,
        work: args.work,
        jobs: args.jobs.into(),
        show: args.show,
        turns: args.turns.map(usize::from),
    };
    let tables = app::bench(&request, &Terminal::new(output)?)?;
    output.result(&tables.measured, || tables.markdown)
}
