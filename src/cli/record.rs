//! `costate record`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use costate_base::provenance;
use costate_demos::DatasetError;
use costate_demos::dataset::{EpisodeEntry, Meta, Status};
use costate_demos::experts::ExpertDesign;
use costate_demos::record::{
    Plan, RecordError, append_dataset, check_world, doubts, record_dataset, resume_dataset,
};
use costate_envs::EnvFactory;
use serde_json::json;

use super::common::{EnvArgs, Output, interrupt_flag, shown, workers};
use super::ui::{Counter, number};
use crate::error::Error;
use crate::shell;

/// Episodes of a recording that does not say how many.
const EPISODES: usize = 25;

/// Arguments of `costate record`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate record cart_pole
  costate record pendulum --expert mppi -n 50 --noise 0.1 --seed 3 -o swing
  costate record cart_pole --set env.pole.length_m=1.5 -o long-pole
  costate record --append -o swing -n 10    # ten more, as if 60 had been recorded at once
  costate record --resume -o swing          # finish a recording that was killed")]
pub struct Args {
    /// Environment; `costate envs` lists them. With --append and --resume that of the dataset.
    #[arg(required_unless_present_any = ["append", "resume"])]
    env: Option<String>,
    /// Expert: a name, a run of `costate expert`, or a policy.safetensors; the best one by default, with --append and
    /// --resume that of the dataset.
    #[arg(long, value_name = "NAME|RUN")]
    expert: Option<String>,
    /// Episodes to record, with --append how many more, with --resume how many in all [default: 25, with --resume as
    /// many as the recording was begun with].
    #[arg(short = 'n', long)]
    episodes: Option<usize>,
    /// Standard deviation of the Gaussian action noise, as a share of each action's range.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    noise: Option<f64>,
    /// Seed of start states and noise [default: 0, with --append and --resume that of the dataset].
    #[arg(long)]
    seed: Option<u64>,
    /// Dataset folder to create [default: datasets/ENV-EXPERT].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Record more episodes into the dataset given with -o, in its environment; start states do not repeat. Another
    /// expert, noise or seed is noted in its meta.json.
    #[arg(long, requires = "output", conflicts_with = "resume")]
    append: bool,
    /// Finish the interrupted recording given with -o.
    #[arg(long, requires = "output")]
    resume: bool,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    env_args: EnvArgs,
}

/// A recording that is fully specified.
struct Recording {
    folder: PathBuf,
    factory: EnvFactory,
    expert: ExpertDesign,
    plan: Plan,
    how: How,
}

/// What becomes of the folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// It must be new.
    Create,
    /// It gets more episodes.
    Append,
    /// It is finished.
    Resume,
}

impl Args {
    fn recording(self) -> Result<Recording, Error> {
        let workers = workers(self.workers)?;
        match (self.output.clone(), self.append || self.resume) {
            (Some(folder), true) => self.go_on(folder, workers),
            (output, _) => self.anew(output, workers),
        }
    }

    fn anew(self, output: Option<PathBuf>, workers: usize) -> Result<Recording, Error> {
        let env = self.env.unwrap_or_default();
        let factory = self.env_args.config(&env)?.factory()?;
        let expert = ExpertDesign::new(&factory, self.expert.as_deref(), self.noise)?;
        let folder = output
            .unwrap_or_else(|| Path::new("datasets").join(format!("{env}-{}", expert.name())));
        Ok(Recording {
            folder,
            factory,
            expert,
            plan: Plan {
                episodes: self.episodes.unwrap_or(EPISODES),
                seed: self.seed.unwrap_or(0),
                workers,
            },
            how: How::Create,
        })
    }

    /// Takes what is not given from the dataset in `folder`.
    fn go_on(self, folder: PathBuf, workers: usize) -> Result<Recording, Error> {
        let meta = Meta::open(&folder)?;
        let name = &meta.env.name;
        let misuse = |text: String| Error::Misuse(format!("{}: {text}", folder.display()));
        if let Some(asked) = self.env.as_ref().filter(|asked| *asked != name) {
            return Err(misuse(format!(
                "it holds demonstrations of `{name}`, but `{asked}` is asked for; record those into another folder"
            )));
        }
        let factory = match self.env_args == EnvArgs::default() {
            true => meta.env.factory(),
            false => self.env_args.config(name)?.factory(),
        }?;
        check_world(&folder, &meta, &factory)?;
        let first = &meta.sessions()[0];
        let last = meta.sessions().pop().unwrap_or_else(|| first.clone());
        // An interrupted recording is finished by whom it was begun with, a finished one goes on as it started.
        let session = if self.resume { &last } else { first };
        let own = || {
            ExpertDesign::again(&session.expert, &factory)
                .ok()
                .filter(|again| again.info() == session.expert)
        };
        let expert = match (&self.expert, self.noise) {
            (None, None) => own().ok_or_else(|| {
                misuse(format!(
                    "its expert `{}` cannot be made again here; name it with --expert, and --noise if it was set",
                    session.expert.name
                ))
            })?,
            (expert, noise) => {
                let name = expert.as_deref().unwrap_or(&session.expert.name);
                ExpertDesign::new(&factory, Some(name), noise)?
            }
        };
        let seed = self.seed.unwrap_or(session.seed);
        if self.resume && (seed != session.seed || expert.info() != session.expert) {
            return Err(misuse(format!(
                "its recording was begun by expert `{}` with noise σ {:?} and seed {}, and can only be finished so; leave \
                 out --expert, --noise and --seed (`--append` records more by others afterwards)",
                session.expert.name, session.expert.action_noise_std, session.seed
            )));
        }
        let episodes = match (self.episodes, self.resume) {
            (Some(asked), _) => asked,
            (None, false) => EPISODES,
            (None, true) if meta.status == Status::Complete => meta.episodes.len(),
            (None, true) => meta.planned_episodes.ok_or_else(|| {
                misuse(
                    "it does not say how many episodes it was to have; give their number with -n"
                        .into(),
                )
            })?,
        };
        Ok(Recording {
            factory,
            expert,
            plan: Plan {
                episodes,
                seed,
                workers,
            },
            how: if self.resume {
                How::Resume
            } else {
                How::Append
            },
            folder,
        })
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let recording = args.recording()?;
    let Recording { folder, plan, .. } = &recording;
    let there = match recording.how {
        How::Create => 0,
        How::Append | How::Resume => Meta::open(folder)?.episodes.len(),
    };
    let asked = match recording.how {
        How::Append => there + plan.episodes,
        How::Create | How::Resume => plan.episodes,
    };
    let interrupt = interrupt_flag()?;
    let meta = work(&recording, there, &interrupt, output)?;
    let env = &meta.env.name;
    let returns = meta.demonstration_return;
    let summary = json!({
        "dataset": shown(folder),
        "env": env,
        "expert": recording.expert.name(),
        "noise_std": recording.expert.info().action_noise_std,
        "seed": plan.seed,
        "episodes": meta.episodes.len(),
        "recorded": meta.episodes.len() - there,
        "steps": meta.total_steps,
        "expert_return": returns.mean,
        "random_return": meta.random_return.map(|r| r.mean),
        "success_rate": meta.success_rate(),
    });
    output.result(&summary, || {
        let dataset = folder.display();
        let recorded = match recording.how {
            How::Create => String::new(),
            _ => format!("{} recorded now; in all ", meta.episodes.len() - there),
        };
        format!(
            "{recorded}{} episodes of {env} by `{}`, {} steps: return {} ± {} (random actions: {}){}\n\
             dataset: {dataset}\nnext:    costate train {} --algo gan-gcl",
            meta.episodes.len(),
            names(&meta),
            meta.total_steps,
            number(returns.mean),
            number(returns.std),
            meta.random_return.map_or("–".into(), |r| number(r.mean)),
            meta.success_rate()
                .map(|s| format!(", {} % solved", number(100.0 * s)))
                .unwrap_or_default(),
            shell::path(folder),
        )
    })?;
    for doubt in doubts(&meta) {
        output.remark(&doubt);
    }
    if let (Some(began), Some(now)) = (&meta.provenance, provenance::current())
        && *began != now
        && meta.episodes.len() > there
    {
        output.remark(&format!(
            "{}: begun by {began}, and gone on with by {now}; `costate demos check` replays an episode",
            shell::path(folder)
        ));
    }
    if meta.episodes.len() < asked {
        let missing = asked - meta.episodes.len();
        return Err(Error::Failure(format!(
            "stopped after {} of {asked} episodes; the dataset holds those and is complete; `costate record --append -n \
             {missing} -o {}` records the others",
            meta.episodes.len(),
            shell::path(folder)
        )));
    }
    Ok(())
}

/// Who demonstrated, in order.
fn names(meta: &Meta) -> String {
    let mut names: Vec<String> = meta.sessions().into_iter().map(|s| s.expert.name).collect();
    names.dedup();
    names.join("`, then `")
}

fn work(
    recording: &Recording,
    there: usize,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Meta, Error> {
    let Recording {
        folder,
        factory,
        expert,
        plan,
        how,
    } = recording;
    match how {
        How::Create => match record(folder, factory, expert, *plan, interrupt, output) {
            Err(Error::Record(RecordError::Dataset(DatasetError::OutputExists(_))))
                if Meta::open(folder).is_ok() =>
            {
                Err(Error::Misuse(format!(
                    "output folder `{}` exists and is not empty: it holds a dataset; record more into it with --append, \
                     finish it with --resume if it was interrupted, or choose another with `-o`",
                    folder.display()
                )))
            }
            other => other,
        },
        How::Append | How::Resume => {
            let total = match how {
                How::Append => there + plan.episodes,
                _ => plan.episodes,
            };
            let mut counter = Counter::new(output, "record", total);
            let mut done = there;
            let progress = |entry: &EpisodeEntry| {
                done += 1;
                counter.at(done, &format!("return {}", number(entry.true_return)));
            };
            let meta = match how {
                How::Append => append_dataset(folder, factory, expert, *plan, interrupt, progress),
                _ => resume_dataset(folder, factory, expert, *plan, interrupt, progress),
            }?;
            counter.finish();
            Ok(meta)
        }
    }
}

/// Records with progress; `demo` uses it too.
pub fn record(
    folder: &Path,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Meta, Error> {
    let mut counter = Counter::new(output, "record", plan.episodes);
    let mut done = 0;
    let meta = record_dataset(folder, factory, expert, plan, interrupt, |entry| {
        done += 1;
        counter.at(done, &format!("return {}", number(entry.true_return)));
    })?;
    counter.finish();
    Ok(meta)
}
