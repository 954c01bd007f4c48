//! `costate demo`: record → train → evaluate → report.

use std::path::{Path, PathBuf};
use std::time::Instant;

use costate_demos::experts::ExpertDesign;
use costate_envs::EnvConfig;
use serde::Serialize;

use super::common::{Output, workers};
use super::evaluation_text::describe;
use super::report;
use super::terminal::Terminal;
use super::ui::number;
use crate::app::baseline::adopt_baseline;
use crate::app::evaluate::{Protocol, evaluate_run};
use crate::app::runs::{Imitation, Worked, work};
use crate::app::train::Shown;
use crate::app::{self, Demonstrations, record};
use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::report::html;
use crate::run::{RunFolder, files, settings};
use crate::shell;

/// Arguments of `costate demo`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  costate demo\n  costate demo --env pendulum --seed 1")]
pub struct Args {
    /// Environment.
    #[arg(long, default_value = "cart_pole")]
    env: String,
    /// Number of demonstrations to record.
    #[arg(short = 'n', long, default_value_t = 25)]
    episodes: usize,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder to create [default: runs/demo, or the next free runs/demo-N].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Worker threads; results do not depend on their number [default: one per core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

#[derive(Serialize)]
struct Summary {
    env: String,
    seed: u64,
    demonstrations: PathBuf,
    report: PathBuf,
    seconds: f64,
    results: Vec<AlgoResult>,
}

#[derive(Serialize)]
struct AlgoResult {
    algo: String,
    run: PathBuf,
    normalized_score: f64,
    normalized_score_ci95: [f64; 2],
    /// Learning only.
    seconds: f64,
    env_steps: u64,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let began = Instant::now();
    let workers = workers(args.workers)?;
    let factory = EnvConfig::named(&args.env)?.factory()?;
    let expert = ExpertDesign::new(&factory, None, None)?;
    let terminal = Terminal::new(output)?;
    let folder = args.output.clone().unwrap_or_else(free_folder);
    files::create_output_folder(&folder)?;
    let step = |n: usize, text: &str| output.remark(&format!("[{n}/4] {text}"));

    let (n, env, name) = (args.episodes, &args.env, expert.name());
    step(1, &format!("record {n} episodes of {env} by `{name}`"));
    let demos = folder.join("demonstrations");
    let request = record::Request::new(env, &demos, n, args.seed, workers);
    if app::record(&request, &terminal)?.missing > 0 {
        return Err(Error::Failure("interrupted while recording".into()));
    }
    let demonstrations = Demonstrations::open(&demos)?;
    let shown = Shown::all(&demos);

    let mut trained: Vec<Worked> = Vec::new();
    for name in ["bc", "gan-gcl"] {
        step(2, &format!("train {name}"));
        let imitation = Imitation {
            demos: &shown,
            algo: settings::resolve(name, env, None, &[])?,
            folder: &folder.join(name),
            seed: args.seed,
            checkpoint_every: None,
        };
        let run = imitation.create(&demonstrations)?;
        let worked = work(&run, Some(&demonstrations), workers, None, &terminal)?;
        if !worked.finished {
            return Err(Error::Failure(format!(
                "interrupted while training; resume with `{}`",
                run.resume_command()
            )));
        }
        if let Some(clone) = trained.first() {
            adopt_baseline(&run, &clone.run)?;
        }
        trained.push(worked);
    }

    step(3, "evaluate both");
    let protocol = Protocol {
        robustness: true,
        ..Protocol::published(workers)
    };
    let mut results = Vec::new();
    let mut last: Option<Evaluation> = None;
    for Worked { run, done, .. } in &trained {
        let e = evaluate_run(run, &demonstrations, protocol, &terminal)?;
        results.push(AlgoResult {
            algo: e.algo.clone(),
            run: run.path().into(),
            normalized_score: e.normalized_score,
            normalized_score_ci95: e.normalized_score_ci95,
            seconds: done.seconds,
            env_steps: done.env_steps,
        });
        last = Some(e);
    }

    step(4, "write the report");
    let file = folder.join("report.html");
    let runs: Vec<RunFolder> = trained.iter().rev().map(|w| w.run.clone()).collect();
    files::write_atomic(&file, html(&report::collect(&runs, output)?).as_bytes())?;

    let summary = Summary {
        env: args.env,
        seed: args.seed,
        demonstrations: demos,
        report: file,
        seconds: began.elapsed().as_secs_f64(),
        results,
    };
    output.result(&summary, || in_words(&summary, last.as_ref(), &folder))
}

fn in_words(s: &Summary, evaluation: Option<&Evaluation>, folder: &Path) -> String {
    let mut text = evaluation
        .map(|e| format!("\n{}\n", describe(e)))
        .unwrap_or_default();
    for r in &s.results {
        text += &format!(
            "{:8} normalised score {:.3} ({:.3} … {:.3}), trained in {} s\n",
            r.algo,
            r.normalized_score,
            r.normalized_score_ci95[0],
            r.normalized_score_ci95[1],
            number(r.seconds)
        );
    }
    let run = folder.join("gan-gcl");
    text += &format!(
        "\ntotal {} s. Outputs:\n  {}   the report (open in a browser)\n  {}   the demonstrations\n  \
         {}   the run: settings, metrics, weights\n\nNext steps:\n  costate envs\n  costate record pendulum\n  \
         costate train datasets/pendulum-energy --algo gan-gcl\n  costate evaluate {} --episodes 500\n\
         (without an installed `costate`: `cargo run --release -- …`)",
        number(s.seconds),
        s.report.display(),
        s.demonstrations.display(),
        run.display(),
        shell::path(&run)
    );
    text
}

/// `runs/demo`, or the first `runs/demo-N` that is free.
fn free_folder() -> PathBuf {
    let taken = |p: &Path| p.exists();
    let first = PathBuf::from("runs/demo");
    if !taken(&first) {
        return first;
    }
    (2..)
        .map(|n| PathBuf::from(format!("runs/demo-{n}")))
        .find(|p| !taken(p))
        .unwrap_or(first)
}
