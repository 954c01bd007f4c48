//! `costate demos import`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use costate_demos::import::{ChannelMap, LastRow, Mapping};
use costate_envs::worlds::table;

use super::common::{EnvArgs, Output};
use super::terminal::Terminal;
use super::ui::number;
use crate::app;
use crate::app::import::{Request, Summary};
use crate::error::Error;
use crate::shell;

/// Arguments of `costate demos import`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate demos import log.csv --observations x:m,v:m/s --actions force:N:-10..10 --episode run --time t -o mine
  costate demos import episodes/ --observations q1=elbow:rad,q2=wrist:rad --actions u1,u2 --dt 0.02 -o mine
  costate demos import lerobot/pusht -o pusht
  costate demos import hopper-medium-v2.hdf5 --dt 0.008 -o hopper
  costate demos import low_dim.hdf5 --split train -o lift
  costate demos import ~/.minari/datasets/robot-v0 --dt 0.05 -o robot
  costate demos import swings.csv --env pendulum --episode run -o swings")]
pub struct Args {
    /// CSV, Parquet, numpy (.npz) or HDF5 files, folders of them, or one folder of LeRobot v3, Minari or `imitation`.
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// Dataset folder to create.
    #[arg(short = 'o', long, value_name = "DIR")]
    output: PathBuf,
    /// Columns that were observed, as COLUMN[=NAME][:UNIT[:LOW..HIGH]], separated by commas. A column of lists is as many
    /// channels as its lists are long; COLUMN[0] is its first. Bounds are those of the data by default.
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    observations: Vec<ChannelMap>,
    /// Columns that were commanded, in the same form.
    #[arg(
        long,
        value_name = "COLUMN,…",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    actions: Vec<ChannelMap>,
    /// There are no actions in these tables: what they show can still be imitated, in the world that --env names.
    #[arg(long, conflicts_with = "actions")]
    observations_only: bool,
    /// Column that tells episodes apart; without it, every file is one episode.
    #[arg(long, value_name = "COLUMN")]
    episode: Option<String>,
    /// Column with the time in seconds.
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Start a new episode where the time jumps by more than this many seconds.
    #[arg(long, value_name = "SECONDS")]
    gap: Option<f64>,
    /// Control period [default: the median difference of the times].
    #[arg(long, value_name = "SECONDS")]
    dt: Option<f64>,
    /// Column that is true where the task ended the episode: its last state has no future.
    #[arg(long, value_name = "COLUMN")]
    terminated: Option<String>,
    /// Column that is true where the episode was cut off; so is every one that was not terminated.
    #[arg(long, value_name = "COLUMN")]
    truncated: Option<String>,
    /// Column with the reward of each step [default with --env: minus the world's own cost, where it follows from the
    /// observations].
    #[arg(long, value_name = "COLUMN")]
    reward: Option<String>,
    /// Columns with the observations after each row's action, in the order of --observations: every row is a step then.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    next_observations: Vec<String>,
    /// What an episode's last row is: the state that the last action led to, so that N rows are N − 1 steps and its own
    /// action is not used; or a step whose outcome is unknown, so that N rows are N steps [default: state].
    #[arg(long, value_name = "WHAT")]
    last_row: Option<Last>,
    /// Read one mask of a robomimic file: `train` or `valid` [default: all demonstrations].
    #[arg(long, value_name = "MASK")]
    split: Option<String>,
    /// What was demonstrated, in one line.
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// JSON file with the same, as an import writes it into meta.json; flags go first.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The world that the episodes are of: it has to have the same channels and control period, and becomes their
    /// simulator. Its observations and actions are the default columns.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    #[command(flatten)]
    env_args: EnvArgs,
}

/// [`LastRow`] as a flag.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Last {
    State,
    Step,
}

impl Args {
    fn request(self) -> Request {
        Request {
            sources: self.sources,
            file: self.mapping,
            mapping: Mapping {
                observations: self.observations,
                actions: self.actions,
                observations_only: self.observations_only,
                episode: self.episode,
                time: self.time,
                gap_s: self.gap,
                dt_s: self.dt,
                terminated: self.terminated,
                truncated: self.truncated,
                reward: self.reward,
                next_observations: self.next_observations,
                split: self.split,
                last_row: self.last_row.map(|last| match last {
                    Last::State => LastRow::State,
                    Last::Step => LastRow::Step,
                }),
                summary: self.summary,
            },
            env: self.env,
            world: self.env_args.changes(),
            folder: self.output,
        }
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    // No handler of signals: nothing is there before the dataset is complete.
    let terminal = Terminal::stopped_by(Arc::default(), output);
    let summary = app::import::import(&args.request(), &terminal)?;
    for remark in &summary.remarks {
        output.remark(remark);
    }
    output.result(&summary, || describe(&summary))
}

fn describe(summary: &Summary) -> String {
    let folder = shell::path(&summary.dataset);
    let (simulator, learn) = match summary.env.as_str() {
        table::NAME => ("without a simulator".to_owned(), "bc"),
        env if summary.observations_only => (format!("of {env}"), "gail"),
        env => (format!("of {env}"), "gan-gcl"),
    };
    let acted = match summary.observations_only {
        true => "no actions".into(),
        false => format!("actions: {}", summary.actions.join(", ")),
    };
    format!(
        "{}: {} episodes, {} steps of {} s, {simulator}\nobservations: {}\n{acted}\n\
         next: costate demos check {folder}; costate train {folder} --algo {learn}",
        summary.dataset.display(),
        summary.episodes,
        summary.steps,
        number(summary.control_period_s),
        summary.observations.join(", "),
    )
}
