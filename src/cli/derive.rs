//! `costate demos merge|split|filter|edit|export`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, ValueEnum};
use costate_demos::DatasetReader;
use costate_demos::derive::{self, Derived, Edit, Filter, Order, Span, Split, Validation};
use costate_demos::export::{self, Exported, Format};
use serde::Serialize;

use super::common::{Output, shown};
use super::ui::number;
use crate::error::Error;

/// Arguments of `costate demos merge`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate demos merge monday tuesday -o week
  costate demos merge expert-a expert-b -o both && costate demos info both")]
pub struct MergeArgs {
    /// Dataset folders, in the order of their episodes.
    #[arg(required = true, num_args = 2..)]
    datasets: Vec<PathBuf>,
    /// Dataset folder to create.
    #[arg(short = 'o', long, value_name = "DIR")]
    output: PathBuf,
}

/// Arguments of `costate demos split`.
#[derive(clap::Args)]
#[command(
    group = ArgGroup::new("held").required(true),
    after_help = "\
Examples:
  costate demos split swing --validation 0.2 -o parts      # parts/train, parts/validation
  costate demos split swing --validation 0.2 --by return -o parts
  costate demos split swing --validation-tag tuesday -o parts"
)]
pub struct SplitArgs {
    /// Dataset folder.
    dataset: PathBuf,
    /// Share of the episodes to hold out: at least one, at most all but one.
    #[arg(long, value_name = "SHARE", group = "held")]
    validation: Option<f64>,
    /// Hold out the episodes with this tag instead.
    #[arg(long, value_name = "TAG", group = "held", conflicts_with_all = ["by", "seed"])]
    validation_tag: Option<String>,
    /// How the held-out episodes are chosen: at random, evenly over the range of returns, or the last ones.
    #[arg(long, value_name = "HOW", default_value = "random")]
    by: By,
    /// Seed of the random choice.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folder to create, with the datasets `train` and `validation`.
    #[arg(short = 'o', long, value_name = "DIR")]
    output: PathBuf,
}

/// [`Order`] as a flag.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Random,
    Return,
    Recorded,
}

/// Arguments of `costate demos filter`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate demos filter swing --min-return -5 -o good
  costate demos filter swing --success --length 10..500 --without-tag broken -o good
  costate demos filter swing --best 10 -o best")]
pub struct FilterArgs {
    /// Dataset folder.
    dataset: PathBuf,
    /// Keep episodes with at least this return.
    #[arg(long, value_name = "RETURN", allow_negative_numbers = true)]
    min_return: Option<f64>,
    /// Keep episodes with at most this return.
    #[arg(long, value_name = "RETURN", allow_negative_numbers = true)]
    max_return: Option<f64>,
    /// Keep episodes that solved the task.
    #[arg(long)]
    success: bool,
    /// Keep episodes of these many steps: a number, or a range as 10..500, 10.. or ..500, both ends included.
    #[arg(long, value_name = "STEPS")]
    length: Option<Span>,
    /// Keep episodes with this tag; repeated, with any of them.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Leave out episodes with this tag; may be repeated.
    #[arg(long, value_name = "TAG")]
    without_tag: Vec<String>,
    /// Keep episodes with these numbers, counted from 0, e.g. 0..9,12.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    episodes: Vec<Span>,
    /// Of those that fit, keep this many with the highest returns.
    #[arg(long, value_name = "N")]
    best: Option<usize>,
    /// Dataset folder to create.
    #[arg(short = 'o', long, value_name = "DIR")]
    output: PathBuf,
}

/// Arguments of `costate demos edit`.
#[derive(clap::Args)]
#[command(
    group = ArgGroup::new("place").required(true),
    after_help = "\
Examples:
  costate demos edit swing --drop 3,7..9 -o clean
  costate demos edit swing --cut-first 20 --cut-last 5 -o clean
  costate demos edit swing --episodes 0..4 --tag tuesday --in-place
  costate demos edit robot --rename ux=thrust_x --summary 'driving home' -o named"
)]
pub struct EditArgs {
    /// Dataset folder.
    dataset: PathBuf,
    /// Leave out the episodes with these numbers, counted from 0, e.g. 3,7..9.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    drop: Vec<Span>,
    /// Cut and tag only the episodes with these numbers [default: all].
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    episodes: Vec<Span>,
    /// Cut this many steps off at the start.
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    cut_first: usize,
    /// Cut this many steps off at the end; the episodes count as truncated then.
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    cut_last: usize,
    /// Add a tag; may be repeated.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Remove a tag; may be repeated.
    #[arg(long, value_name = "TAG")]
    untag: Vec<String>,
    /// Rename a channel of a dataset without a simulator; may be repeated.
    #[arg(long, value_name = "OLD=NEW", value_parser = parse_rename)]
    rename: Vec<(String, String)>,
    /// Say what was demonstrated, in one line, in a dataset without a simulator.
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Dataset folder to create.
    #[arg(short = 'o', long, value_name = "DIR", group = "place")]
    output: Option<PathBuf>,
    /// Replace the dataset itself, once the edited one is complete.
    #[arg(long, group = "place")]
    in_place: bool,
}

fn parse_rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.trim().is_empty() && !new.trim().is_empty() => {
            Ok((old.trim().into(), new.trim().into()))
        }
        _ => Err("expected OLD=NEW".into()),
    }
}

/// Arguments of `costate demos export`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate demos export swing --to csv -o swing.csv
  costate demos export swing --to lerobot -o swing-lerobot
  costate demos export swing --to minari -o ~/.minari/datasets/swing-v0")]
pub struct ExportArgs {
    /// Dataset folder.
    dataset: PathBuf,
    /// Format: tables (csv, parquet), a numpy archive in D4RL's layout (npz), folders of LeRobot v3, Minari or
    /// `imitation`.
    #[arg(long, value_name = "FORMAT")]
    to: To,
    /// File or folder to create.
    #[arg(short = 'o', long, value_name = "PATH")]
    output: PathBuf,
}

/// [`Format`] as a flag.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    Csv,
    Parquet,
    Npz,
    Lerobot,
    Minari,
    Imitation,
}

/// An export.
#[derive(Serialize)]
struct Sent {
    path: String,
    format: Format,
    #[serde(flatten)]
    exported: Exported,
}

/// Runs `costate demos export`.
pub fn export(args: &ExportArgs, output: Output) -> Result<(), Error> {
    let format = match args.to {
        To::Csv => Format::Csv,
        To::Parquet => Format::Parquet,
        To::Npz => Format::Npz,
        To::Lerobot => Format::LeRobot,
        To::Minari => Format::Minari,
        To::Imitation => Format::Imitation,
    };
    let exported = export::export(&DatasetReader::open(&args.dataset)?, format, &args.output)?;
    for remark in &exported.remarks {
        output.remark(remark);
    }
    let sent = Sent {
        path: shown(&args.output),
        format,
        exported,
    };
    let described = || {
        format!(
            "{}: {} episodes, {} steps\nback again: costate demos import {} --mapping FILE, with FILE the `mapping` that \
             --json prints\n",
            sent.path,
            sent.exported.episodes,
            sent.exported.steps,
            crate::shell::path(&args.output)
        )
    };
    output.result(&sent, described)
}

/// A new dataset.
#[derive(Serialize)]
struct Made {
    dataset: String,
    env: String,
    episodes: usize,
    steps: usize,
    mean_return: Option<f64>,
}

impl Made {
    fn of(derived: &Derived) -> Self {
        let meta = &derived.meta;
        let mean = meta.demonstration_return.mean;
        Self {
            dataset: shown(&derived.folder),
            env: meta.env.name.clone(),
            episodes: meta.episodes.len(),
            steps: meta.total_steps,
            mean_return: meta.returns_known().then_some(mean),
        }
    }

    fn describe(&self) -> String {
        let returned = self
            .mean_return
            .map(|r| format!(", mean return {}", number(r)));
        format!(
            "{}: {} episodes of {}, {} steps{}\n",
            self.dataset,
            self.episodes,
            self.env,
            self.steps,
            returned.unwrap_or_default()
        )
    }
}

/// Says what was made, and what is remarkable about it.
fn tell(output: Output, derived: &Derived) -> Result<(), Error> {
    for remark in &derived.remarks {
        output.remark(remark);
    }
    let made = Made::of(derived);
    output.result(&made, || made.describe())
}

/// Runs `costate demos merge`.
pub fn merge(args: &MergeArgs, output: Output) -> Result<(), Error> {
    tell(output, &derive::merge(&args.datasets, &args.output)?)
}

/// Runs `costate demos split`.
pub fn split(args: SplitArgs, output: Output) -> Result<(), Error> {
    let share = args.validation.map(Validation::Share);
    let held = share.or(args.validation_tag.map(Validation::Tag));
    let asked = Split {
        validation: held.ok_or_else(|| Error::Misuse("expected --validation SHARE".into()))?,
        by: match args.by {
            By::Random => Order::Random,
            By::Return => Order::Return,
            By::Recorded => Order::Recorded,
        },
        seed: args.seed,
    };
    let made = derive::split(&args.dataset, &asked, &args.output)?;
    let made = made.each_ref().map(Made::of);
    output.result(&made, || made.iter().map(Made::describe).collect())
}

/// Runs `costate demos filter`.
pub fn filter(args: FilterArgs, output: Output) -> Result<(), Error> {
    let asked = Filter {
        min_return: args.min_return,
        max_return: args.max_return,
        success: args.success,
        length: args.length,
        tag: args.tag,
        without_tag: args.without_tag,
        episodes: args.episodes,
        best: args.best,
    };
    tell(
        output,
        &derive::filter(&args.dataset, &asked, &args.output)?,
    )
}

/// Runs `costate demos edit`.
pub fn edit(args: EditArgs, output: Output) -> Result<(), Error> {
    let asked = Edit {
        drop: args.drop,
        episodes: args.episodes,
        cut_first: args.cut_first,
        cut_last: args.cut_last,
        tag: args.tag,
        untag: args.untag,
        rename: args.rename,
        summary: args.summary,
    };
    let dataset: &Path = &args.dataset;
    let derived = match &args.output {
        Some(folder) => derive::edit(dataset, &asked, folder)?,
        None => derive::edit_in_place(dataset, &asked)?,
    };
    tell(output, &derived)
}
