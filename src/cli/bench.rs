//! `costate bench`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::common::Output;
use super::terminal::Terminal;
use crate::app;
use crate::app::bench::{Checked, Measured, Request, Sample, each_of, missing_cells};
use crate::error::Error;

/// Arguments of `costate bench`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate bench results
  costate bench results --envs pendulum,point_maze --methods bc,gan-gcl --seeds 0
  costate bench controls --demonstrations 25
  costate bench ablation --jobs 1
  costate bench exact --envs pendulum
  costate bench results --show
  costate bench results --check 20
  costate bench all --show
  costate bench speed --turns 5 --envs hopper,cart_pole")]
pub struct Args {
    /// results: every learner on twelve worlds; controls: what a learned cost adds to the clone; starts: what it adds to the
    /// policy, from 25 down to 1 demonstration; ablation: what each ingredient of GAN-GCL contributes; controllers: guided
    /// cost learning as first published against its successors; shifts: costs and policies in changed worlds; exact: sampled
    /// learners against exact solutions; ebm: energies fitted to known densities; speed: steps and rollouts against the bare
    /// physics, and time to expert level; all: one after the other, into DIR/SUITE with --output.
    suite: String,
    /// Environments (exact: processes; ebm: densities; shifts: ENV-VARIANT), separated by commas [default: the suite's].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    envs: Vec<String>,
    /// Methods, separated by commas [default: the suite's].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    methods: Vec<String>,
    /// Numbers of demonstrations, separated by commas [default: the suite's].
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    demonstrations: Vec<usize>,
    /// Seeds, separated by commas [default: the suite's].
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Results folder: one JSON file per cell, and the table [default: benches/SUITE].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Folder of demonstrations and runs, kept so that an interrupted benchmark can resume.
    #[arg(long, value_name = "DIR", default_value = "runs/bench")]
    work: PathBuf,
    /// Cells run at a time, each on an equal share of the cores; 1 for timings that nothing else disturbs [default: as many
    /// as there are cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Show existing results without running anything.
    #[arg(long)]
    show: bool,
    /// Print the cells that are missing as JSON and exit, for programs that spread them over machines; of results,
    /// controls, starts, ablation and controllers.
    #[arg(long, conflicts_with_all = ["show", "turns"])]
    list: bool,
    /// Measure N of the results that are kept once more, and compare them bit for bit, times aside; of `all`, N of each
    /// benchmark but `speed`. Nothing that is kept changes; exit code 1 if something differs, as it may between builds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), conflicts_with_all = ["show", "list", "turns"])]
    check: Option<u16>,
    /// Draw another sample for --check.
    #[arg(long, value_name = "S", default_value_t = 0, requires = "check")]
    check_seed: u64,
    /// Repetitions per median of `speed` [default: 15].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    turns: Option<u16>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let request = Request {
        suite: args.suite,
        envs: args.envs,
        methods: args.methods,
        demonstrations: args.demonstrations,
        seeds: args.seeds,
        output: args.output,
        work: args.work,
        jobs: args.jobs.map(usize::from),
        show: args.show,
        turns: args.turns.map(usize::from),
    };
    if args.list {
        let missing = missing_cells(&request)?;
        return output.result(&missing, || {
            serde_json::to_string_pretty(&missing).unwrap_or_default()
        });
    }
    if let Some(count) = args.check {
        let sample = Sample {
            count: count.into(),
            seed: args.check_seed,
        };
        return check(&request, sample, output);
    }
    let (all, progress) = (request.suite == "all", Terminal::new(output)?);
    let (mut measured, mut texts) = (BTreeMap::new(), Vec::new());
    for request in each_of(&request)? {
        let tables = app::bench(&request, &progress)?;
        measured.insert(request.suite, tables.measured);
        texts.push(tables.markdown);
    }
    let text = || texts.join("\n");
    if all {
        return output.result(&measured, text);
    }
    let only: Option<&Measured> = measured.values().next();
    output.result(&only, text)
}

fn check(request: &Request, sample: Sample, output: Output) -> Result<(), Error> {
    let progress = Terminal::new(output)?;
    let all = request.suite == "all";
    let mut checked = Vec::new();
    for request in each_of(request)? {
        if !(all && request.suite == "speed") {
            checked.extend(app::bench::check(&request, sample, &progress)?);
        }
    }
    let different = checked.iter().filter(|c| !c.differences.is_empty());
    let (count, different): (_, Vec<&Checked>) = (checked.len(), different.collect());
    output.result(&checked, || {
        let mut lines: Vec<String> = checked.iter().map(ToString::to_string).collect();
        let equal = count - different.len();
        lines.push(format!(
            "{count} measured again: {equal} equal, {} different",
            different.len()
        ));
        lines.join("\n")
    })?;
    match different.iter().filter(|c| c.same_build).count() {
        _ if different.is_empty() => Ok(()),
        0 => Err(Error::Failure(format!(
            "{} of {count} results differ from what other builds or machines measured, which do not promise the same bits",
            different.len()
        ))),
        own => Err(Error::Failure(format!(
            "{own} of {count} results differ from what this build measured on such a machine"
        ))),
    }
}
