//! `costate demos`: datasets imported, summarised, checked, made of others and exported.

use std::path::{Path, PathBuf};

use costate_demos::DatasetReader;
use costate_demos::dataset::{ExpertInfo, SourceDataset};
use costate_demos::derive::{self, Repaired};
use costate_demos::inspect::{
    self, ChannelInfo, ChannelStats, CheckReport, Distribution, Info, Stats,
};
use costate_envs::worlds::table;

use super::common::{Output, shown};
use super::ui::{self, interval, number};
use super::{derive as derived, import};
use crate::error::Error;
use crate::shell;

/// Subcommands of `costate demos`.
#[derive(clap::Subcommand)]
pub enum Args {
    /// Make a dataset of tables (CSV, Parquet), arrays (numpy, HDF5), or of a folder of LeRobot v3, Minari or `imitation`.
    ///
    /// Which columns were observed and which commanded, and the control period, have to be said where the files do not
    /// say it. Without --env the dataset has no simulator: bc, ibc and flow-bc learn from it, and are evaluated by how well they
    /// predict actions.
    Import(Box<import::Args>),
    /// Summarise a dataset: environment, expert, returns, ranges.
    #[command(after_help = "Example:\n  costate demos info datasets/pendulum-energy")]
    Info {
        /// Dataset folder.
        dataset: PathBuf,
    },
    /// Check every file, number and checksum, and replay an episode in the simulator.
    ///
    /// Faults are errors: the exit code is 1. Remarks point out probable mistakes: units, channels that were not recorded,
    /// truncated recordings, episodes from another simulator.
    #[command(after_help = "\
Examples:
  costate demos check datasets/pendulum-energy
  mv swing ~/.minari/datasets/swing-v0 && costate demos check --fix ~/.minari/datasets/swing-v0")]
    Check {
        /// Dataset folder.
        dataset: PathBuf,
        /// Regenerate data/metadata.json, Minari's description of the dataset, if it is missing or the folder was renamed;
        /// nothing else is changed.
        #[arg(long)]
        fix: bool,
    },
    /// Mend a dataset after a crash or a damaged disk.
    ///
    /// What a killed process left half-written is removed, an unfinished recording counts as complete with the episodes
    /// it has (`costate record --resume` would record the rest), and Minari can open it. Damaged episodes are
    /// named; they are left out only if asked.
    #[command(after_help = "\
Examples:
  costate demos repair swing
  costate demos repair swing --drop-damaged")]
    Repair {
        /// Dataset folder.
        dataset: PathBuf,
        /// Leave damaged episodes out; the dataset with them is kept beside it, as DATASET.damaged.
        #[arg(long)]
        drop_damaged: bool,
    },
    /// Compute minimum, maximum, mean, standard deviation and quantiles of every channel, of lengths and returns.
    #[command(after_help = "Example:\n  costate demos stats datasets/pendulum-energy --json")]
    Stats {
        /// Dataset folder.
        dataset: PathBuf,
    },
    /// Merge datasets of one world into a new one.
    ///
    /// Seeds, experts and tags of the episodes are kept. Datasets of different worlds are not mixed; without a simulator,
    /// channels and control period have to agree, and the widest bounds hold.
    Merge(derived::MergeArgs),
    /// Split a dataset into `train` and `validation`; the same request gives the same split.
    Split(derived::SplitArgs),
    /// Make a dataset of the episodes that fit, by return, success, length, tag or number.
    Filter(derived::FilterArgs),
    /// Drop, cut or tag episodes, or rename channels, in a copy or in place.
    Edit(derived::EditArgs),
    /// Write a dataset as the files of other tools.
    ///
    /// What a format cannot hold is said. With --json, `mapping` is the mapping file with which `costate demos import` reads
    /// it back.
    Export(derived::ExportArgs),
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    match args {
        Args::Import(args) => import::run(*args, output),
        Args::Info { dataset } => {
            let info = inspect::info(&DatasetReader::open(&dataset)?)?;
            output.result(&info, || describe(&info))?;
            if let Some(remark) = info.lengths.remark().filter(|_| info.env != table::NAME) {
                output.remark(&remark);
            }
            Ok(())
        }
        Args::Check { dataset, fix } => {
            if fix && inspect::fix(&dataset)? {
                output.remark(&format!(
                    "{}: regenerated data/metadata.json for Minari",
                    dataset.display()
                ));
            }
            let report = inspect::check(&dataset)?;
            output.result(&report, || describe_check(&report))?;
            match report.problems.first() {
                None => Ok(()),
                Some(first) => Err(Error::Failure(match report.problems.len() {
                    1 => first.clone(),
                    n => format!("{first} (and {} more)", n - 1),
                })),
            }
        }
        Args::Repair {
            dataset,
            drop_damaged,
        } => repair(&dataset, drop_damaged, output),
        Args::Stats { dataset } => {
            let stats = inspect::stats(&DatasetReader::open(&dataset)?)?;
            output.result(&stats, || describe_stats(&stats))
        }
        Args::Merge(args) => derived::merge(&args, output),
        Args::Split(args) => derived::split(args, output),
        Args::Filter(args) => derived::filter(args, output),
        Args::Edit(args) => derived::edit(args, output),
        Args::Export(args) => derived::export(&args, output),
    }
}

fn repair(dataset: &Path, drop_damaged: bool, output: Output) -> Result<(), Error> {
    let done = derive::repair(dataset, drop_damaged)?;
    output.result(&done, || describe_repair(dataset, &done))?;
    match (done.damaged.first(), &done.kept) {
        (Some(first), None) => Err(Error::Failure(format!(
            "{} of {} episodes cannot be read, the first: {}; restore the files, or leave these episodes out with \
             `costate demos repair {} --drop-damaged`",
            done.damaged.len(),
            done.episodes,
            first.reason,
            shell::path(dataset)
        ))),
        _ => Ok(()),
    }
}

/// What was done, a line each.
fn describe_repair(dataset: &Path, done: &Repaired) -> String {
    let mut lines = Vec::new();
    if !done.removed.is_empty() {
        let files: Vec<String> = done.removed.iter().map(|p| shown(p)).collect();
        lines.push(format!(
            "removed what was half-written: {}",
            files.join(", ")
        ));
    }
    if done.completed {
        let of = done
            .planned_episodes
            .map(|n| format!(" of {n}"))
            .unwrap_or_default();
        let recorded = done.episodes + done.kept.as_ref().map_or(0, |_| done.damaged.len());
        lines.push(format!("complete now, with {recorded}{of} episodes"));
    }
    if let Some(kept) = &done.kept {
        let numbers: Vec<String> = done.damaged.iter().map(|d| d.episode.to_string()).collect();
        lines.push(format!(
            "left out damaged episodes: {}; the dataset with them is in {}",
            numbers.join(", "),
            kept.display()
        ));
    }
    if done.described {
        lines.push("described to Minari anew".into());
    }
    if !done.anything() && done.damaged.is_empty() {
        lines.push("nothing to mend".into());
    }
    lines.push(format!("{}: {} episodes", dataset.display(), done.episodes));
    lines.join("\n")
}

/// The returns, whose costs they are, and those of random actions.
fn describe_returns(info: &Info) -> String {
    let returns = info.demonstration_return;
    let recorded = info.import.as_ref().is_none_or(|i| i.rewards);
    let random = info.random_return.map_or("–".into(), |r| number(r.mean));
    let by_whom = match info.import.as_ref().is_some_and(|i| i.costs_of_world) {
        true => " by the world's own costs",
        false => "",
    };
    match recorded {
        true => format!(
            "return{by_whom} {} ± {} ({} … {}); random actions {random}",
            number(returns.mean),
            number(returns.std),
            number(info.return_range.min),
            number(info.return_range.max)
        ),
        false => "no rewards were imported, so returns are unknown".into(),
    }
}

fn describe(info: &Info) -> String {
    let unfinished = inspect::unfinished(
        &info.path,
        info.status,
        info.episodes,
        info.planned_episodes,
    );
    let appended: String = info
        .appended
        .iter()
        .map(|s| {
            let build = s.provenance.as_ref();
            format!(
                "from episode {} on {}{}\n",
                s.first_episode,
                demonstrator(&s.expert, s.seed),
                build.map_or(String::new(), |b| format!(", by {b}"))
            )
        })
        .collect();
    let steps: String = info
        .derived
        .iter()
        .map(|step| {
            let source = |s: &SourceDataset| format!("{} (episodes {})", s.path, s.episodes);
            let sources: Vec<String> = step.sources.iter().map(source).collect();
            format!("made by {} of {}\n", step.command, sources.join(", "))
        })
        .collect();
    let build = match &info.provenance {
        Some(provenance) => provenance.to_string(),
        None => format!("costate {}, {}", info.costate_version, info.rapier_version),
    };
    let returned = describe_returns(info);
    let acted = match info.actions.as_slice() {
        [] => "no actions were recorded".into(),
        actions => format!("actions, as commanded\n{}", channel_table(actions)),
    };
    let (made, simulated, whose) = match &info.import {
        None => (
            "recorded",
            " simulated",
            demonstrator(&info.expert, info.seed),
        ),
        Some(import) => (
            "imported",
            "",
            format!(
                "{} files of format {}, demonstrator `{}`",
                import.sources.len(),
                import.format,
                info.expert.name
            ),
        ),
    };
    format!(
        "{}: {} episodes of {} ({})\n{}{}\n{appended}{made} by {build}\n{steps}{} steps, {} s{simulated}, \
         {}\n{returned}\n\n\
         observations\n{}\n{acted}",
        info.path.display(),
        info.episodes,
        info.env,
        info.summary,
        unfinished.map(|u| u + "\n").unwrap_or_default(),
        whose,
        info.total_steps,
        number(info.simulated_s),
        info.lengths.in_words(),
        channel_table(&info.observations),
    )
}

fn channel_table(channels: &[ChannelInfo]) -> String {
    let rows: Vec<Vec<String>> = channels
        .iter()
        .map(|c| {
            vec![
                c.name.clone(),
                c.unit.clone(),
                number(c.range.min),
                number(c.range.mean),
                number(c.range.max),
                interval(c.bounds.map(f64::from)),
                format!("{:.1} %", 100.0 * c.beyond_bounds),
            ]
        })
        .collect();
    ui::table(
        &["", "unit", "min", "mean", "max", "bounds", "beyond"],
        &rows,
    )
}

/// The expert, its action noise and its seed.
fn demonstrator(expert: &ExpertInfo, seed: u64) -> String {
    let noise: Vec<String> = expert.action_noise_std.iter().map(|s| number(*s)).collect();
    format!(
        "expert `{}`, action noise σ {}, seed {seed}",
        expert.name,
        noise.join(", ")
    )
}

fn describe_check(report: &CheckReport) -> String {
    let replay = match &report.replay {
        Some(replay) => replay.to_string(),
        None if report.sound == 0 => "no sound episode".into(),
        None => "no actions were recorded".into(),
    };
    let mut text = format!(
        "{}: {} of {} episodes sound, {}\nreplay: {replay}\n",
        report.path.display(),
        report.sound,
        report.episodes,
        report.lengths.in_words()
    );
    if let Some(unfinished) = inspect::unfinished(
        &report.path,
        report.status,
        report.episodes,
        report.planned_episodes,
    ) {
        text += &format!("{unfinished}\n");
    }
    for (what, lines) in [("remark", &report.remarks), ("fault", &report.problems)] {
        lines
            .iter()
            .for_each(|line| text += &format!("{what}: {line}\n"));
    }
    text
}

fn describe_stats(stats: &Stats) -> String {
    let row = |name: &str, unit: &str, d: &Distribution| {
        let numbers = [
            d.min, d.q01, d.q10, d.q50, d.q90, d.q99, d.max, d.mean, d.std,
        ];
        let cells = numbers.iter().map(|v| number(*v));
        [name.to_owned(), unit.to_owned()]
            .into_iter()
            .chain(cells)
            .collect::<Vec<String>>()
    };
    let channels = |all: &[ChannelStats]| -> Vec<Vec<String>> {
        all.iter()
            .map(|c| row(&c.name, &c.unit, &c.values))
            .collect()
    };
    let mut episodes = vec![row("length", "steps", &stats.lengths)];
    episodes.extend(stats.returns.iter().map(|d| row("return", "", d)));
    let header = [
        "", "unit", "min", "1 %", "10 %", "50 %", "90 %", "99 %", "max", "mean", "std",
    ];
    let tags: Vec<String> = stats
        .tags
        .iter()
        .map(|(t, n)| format!("{t} ({n})"))
        .collect();
    let tags = match tags.is_empty() {
        true => String::new(),
        false => format!("tags: {}\n", tags.join(", ")),
    };
    let acted = match stats.actions.as_slice() {
        [] => "no actions were recorded".into(),
        actions => format!(
            "actions, as commanded\n{}",
            ui::table(&header, &channels(actions))
        ),
    };
    let solved = stats
        .success_rate
        .map(|s| format!(", {:.0} % solved", 100.0 * s));
    format!(
        "{}: {} episodes of {}, {} steps{}\n{tags}\nepisodes\n{}\nobservations\n{}\n{acted}",
        stats.path.display(),
        stats.episodes,
        stats.env,
        stats.total_steps,
        solved.unwrap_or_default(),
        ui::table(&header, &episodes),
        ui::table(&header, &channels(&stats.observations)),
    )
}
