//! `costate report`.

use std::path::PathBuf;
use std::sync::Arc;

use costate_envs::EnvFactory;
use costate_envs::rollout::{ActionChoice, RolloutPool};
use serde_json::{Value, json};

use super::common::Output;
use super::evaluate::open_demonstrations;
use crate::diagnose::diagnose;
use crate::error::Error;
use crate::evaluate::episodes::replay;
use crate::policy::GaussianPolicy;
use crate::report::{Motion, RunReport, curves_svg, html, strip_svg};
use crate::run::{RunFolder, files};

/// Arguments of `costate report`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate report runs/pendulum-gan-gcl-0
  costate report runs/pendulum-gan-gcl-0 runs/pendulum-gan-gcl-1 -o pendulum.html")]
pub struct Args {
    /// Run folders; several share one page.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in the first run's folder].
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write learning curves and film strips as SVG files into this folder.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let runs = args
        .runs
        .iter()
        .map(|path| RunFolder::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let file = args.output.unwrap_or_else(|| runs[0].file("report.html"));
    let pages = collect(&runs, output)?;
    files::write_atomic(&file, html(&pages).as_bytes())?;
    let mut pictures = Vec::new();
    if let Some(folder) = &args.pictures {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        for page in &pages {
            let mut write = |name: String, svg: String| {
                let file = folder.join(name);
                files::write_atomic(&file, svg.as_bytes())?;
                pictures.push(file);
                Ok::<_, Error>(())
            };
            write(format!("{}-curve.svg", page.title), curves_svg(page))?;
            for motion in &page.motions {
                write(
                    format!("{}-{}.svg", page.title, motion.label),
                    strip_svg(motion),
                )?;
            }
        }
    }
    let summary = json!({ "report": file, "pictures": pictures, "runs": args.runs });
    output.result(&summary, || format!("report: {}", file.display()))
}

/// Everything that the page shows of some runs; `demo` uses it too.
pub fn collect(runs: &[RunFolder], output: Output) -> Result<Vec<RunReport>, Error> {
    runs.iter()
        .map(|run| {
            let evaluation = run.read_json("evaluation.json")?;
            if evaluation.is_none() {
                output.remark(&format!(
                    "{}: not evaluated yet; `costate evaluate` adds scores to the report",
                    run.path().display()
                ));
            }
            let title = run
                .path()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let config: Value = serde_json::to_value(run.config())
                .map_err(|e| Error::Failure(format!("{}: {e}", run.path().display())))?;
            let metrics = run.metrics()?;
            Ok(RunReport {
                title,
                findings: diagnose(run.config(), &metrics),
                config,
                metrics,
                evaluation,
                motions: motions(run, output)?,
            })
        })
        .collect()
}

/// One episode of the expert and one of the learned policy from the same start.
fn motions(run: &RunFolder, output: Output) -> Result<Vec<Motion>, Error> {
    let factory = run.config().env.factory()?;
    let label = run.config().algo.name();
    let mut motions = Vec::new();
    let mut seed = 0;
    let imitated = run.config().imitated();
    match imitated.and_then(|d| open_demonstrations(run, &d.path)) {
        Ok(demonstrations) => {
            if let Some(episode) = demonstrations.dataset.episodes().first() {
                seed = episode.seed;
                motions.push(film(&factory, "expert", episode)?);
            }
        }
        Err(e) => output.remark(&format!("the expert's motion is left out: {e}")),
    }
    let policy = run.file("policy.safetensors");
    if policy.exists() {
        let actor = Arc::new(GaussianPolicy::read(&policy)?.freeze());
        let job = costate_envs::rollout::Job::new(seed);
        let pool = RolloutPool::new(1);
        let episode = pool.collect(&factory, &actor, ActionChoice::Mean, &[job])?;
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
