//! `costate report`.

use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_envs::EnvFactory;
use costate_envs::rollout::{ActionChoice, RolloutPool};
use serde_json::json;

use super::common::{Output, shown};
use crate::app::landscape::{self, Pair};
use crate::app::results::unwritable;
use crate::app::{Demonstrations, open_demonstrations};
use crate::diagnose::diagnose;
use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::evaluate::controller::Controller;
use crate::evaluate::episodes::replay;
use crate::evaluate::held_out::{self, HeldOut};
use crate::policy::Policy;
use crate::report::{Motion, RunReport, data, html, pictures, png};
use crate::run::{RunFolder, files, weights};
use crate::shell;

/// Arguments of `costate report`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate report runs/pendulum-gan-gcl-0
  costate report runs/pendulum-gan-gcl-0 runs/pendulum-gan-gcl-1 -o pendulum.html
  costate report runs/hopper-gan-gcl-0 --landscape clearance,velocity_x
  costate report runs/pendulum-gan-gcl-0 --pictures pictures")]
pub struct Args {
    /// Run folders; several share one page.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in the first run's folder].
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write every figure of the page as SVG and PNG into this folder, and all its numbers as report.json.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Show the learned cost over these two state dimensions first, which `costate envs ENV` names; may be repeated.
    #[arg(long, value_name = "X,Y", value_parser = landscape::parse_pair)]
    landscape: Vec<Pair>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let runs = args
        .runs
        .iter()
        .map(|path| RunFolder::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let file = args.output.unwrap_or_else(|| runs[0].file("report.html"));
    let pages = collect_with(&runs, &args.landscape, output)?;
    files::write_atomic(&file, html(&pages).as_bytes()).map_err(|e| match unwritable(&e) {
        true => Error::Failure(format!("{e}; say where the page goes with -o FILE")),
        false => e,
    })?;
    let written = match &args.pictures {
        Some(folder) => write_pictures(folder, &pages)?,
        None => Vec::new(),
    };
    let summary = json!({
        "report": shown(&file),
        "pictures": written.iter().map(|p| shown(p)).collect::<Vec<_>>(),
        "runs": args.runs.iter().map(|p| shown(p)).collect::<Vec<_>>(),
    });
    output.result(&summary, || format!("report: {}", file.display()))
}

/// Writes every figure as SVG and PNG, and all numbers; returns the files.
fn write_pictures(folder: &Path, pages: &[RunReport]) -> Result<Vec<PathBuf>, Error> {
    disk::create_folders(folder)?;
    let mut written = Vec::new();
    let mut write = |name: String, bytes: &[u8]| {
        let file = folder.join(name);
        files::write_atomic(&file, bytes)?;
        written.push(file);
        Ok::<_, Error>(())
    };
    for picture in pictures(pages) {
        write(format!("{}.svg", picture.name), picture.svg.as_bytes())?;
        let pixels =
            png(&picture.svg).map_err(|e| Error::Failure(format!("{}: {e}", picture.name)))?;
        write(format!("{}.png", picture.name), &pixels)?;
    }
    let numbers = serde_json::to_vec(&data(pages)).map_err(|e| Error::Failure(e.to_string()))?;
    write("report.json".into(), &numbers)?;
    Ok(written)
}

/// Everything that the page shows of these runs; also used by `demo`.
pub fn collect(runs: &[RunFolder], output: Output) -> Result<Vec<RunReport>, Error> {
    collect_with(runs, &[], output)
}

/// The same, with landscapes over the requested pairs of dimensions.
fn collect_with(
    runs: &[RunFolder],
    pairs: &[Pair],
    output: Output,
) -> Result<Vec<RunReport>, Error> {
    runs.iter()
        .map(|run| {
            let evaluation = Evaluation::read(&run.file("evaluation.json"))?;
            let held_out = HeldOut::read(&run.file(held_out::FILE))?;
            if evaluation.is_none() && held_out.is_none() {
                output.remark(&format!(
                    "{}: not evaluated yet; `costate evaluate {}` adds scores to the report",
                    run.path().display(),
                    shell::path(run.path())
                ));
            }
            let title = run
                .path()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let metrics = run.metrics()?;
            let demonstrations = demonstrations(run, output);
            let landscape = landscape::of(run, demonstrations.as_ref(), pairs)?;
            if landscape.is_none() && !pairs.is_empty() {
                output.remark(&format!(
                    "{}: no landscape: it takes a learned cost, its policy and the demonstrations",
                    run.path().display()
                ));
            }
            Ok(RunReport {
                title,
                findings: diagnose(run.config(), &metrics),
                config: run.config().clone(),
                metrics,
                evaluation,
                held_out,
                motions: motions(run, demonstrations.as_ref())?,
                landscape,
            })
        })
        .collect()
}

/// The run's demonstrations, if they have not moved.
fn demonstrations(run: &RunFolder, output: Output) -> Option<Demonstrations> {
    let imitated = run.config().imitated();
    match imitated.and_then(|d| open_demonstrations(run, &d.path)) {
        Ok(demonstrations) => Some(demonstrations),
        Err(e) => {
            output.remark(&format!("the expert's motion is omitted: {e}"));
            None
        }
    }
}

/// One episode of the expert and one of the learned policy from the same start.
fn motions(run: &RunFolder, demonstrations: Option<&Demonstrations>) -> Result<Vec<Motion>, Error> {
    let factory = run.config().env.factory()?;
    if !factory.config().has_picture() {
        return Ok(Vec::new());
    }
    let label = run.config().algo.name();
    let mut motions = Vec::new();
    let mut seed = 0;
    if let Some(episode) = demonstrations.and_then(|d| d.dataset.episodes().first()) {
        seed = episode.seed;
        motions.push(film(&factory, "expert", episode)?);
    }
    if let Some(policy) = run.weights(weights::POLICY)? {
        let policy = Policy::read(&policy)?;
        let controller = Controller::of(policy.learned(), ActionChoice::Mean);
        let job = costate_envs::rollout::Job::new(seed);
        let episode = controller.play_jobs(&factory, RolloutPool::new(1), &[job])?;
        motions.push(film(&factory, label, &episode[0])?);
    }
    Ok(motions)
}

fn film(
    factory: &EnvFactory,
    label: &str,
    episode: &costate_envs::Episode,
) -> Result<Motion, Error> {
    let mut scenes = Vec::with_capacity(episode.trajectory.len() + 1);
    replay(factory, episode, |_, env| scenes.push(env.scene()))?;
    Ok(Motion {
        label: label.into(),
        control_period_s: factory.spec().control_period_s,
        scenes,
    })
}
