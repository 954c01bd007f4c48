//! Pictures of a subject: an animation or a still.

use std::path::{Path, PathBuf};

use costate_envs::{gym, registry};
use serde_json::json;

use super::super::common::{EnvArgs, Output, shown};
use super::super::ui::{Counter, number};
use super::film;
use crate::error::Error;
use crate::picture::{Film, PictureError, SIZES, animate, still_among};
use crate::run::files;

/// What is drawn of a subject.
#[derive(clap::Args, Debug, Clone, Default, PartialEq)]
#[group(skip)]
pub struct Args {
    /// Write an animation in real time, with a second's pause at the end.
    #[arg(long, value_name = "FILE", conflicts_with = "png")]
    pub(super) gif: Option<PathBuf>,
    /// Write a still: one state, the path to it and faint earlier poses.
    #[arg(long, value_name = "FILE")]
    pub(super) png: Option<PathBuf>,
    /// Pixels of the longer side, 64 to 4096 [default: 320 for --gif, 800 for --png].
    #[arg(long, value_name = "PIXELS")]
    pub(super) size: Option<u32>,
    /// Show at most this many steps.
    #[arg(long, value_name = "N")]
    pub(super) steps: Option<usize>,
    /// The still's step [default: the last].
    #[arg(long, value_name = "STEP", conflicts_with = "gif")]
    pub(super) at: Option<usize>,
    /// The animation's speed, 0.01 to 100 [default: 1, real time].
    #[arg(
        long,
        value_name = "FACTOR",
        conflicts_with = "png",
        allow_negative_numbers = true
    )]
    pub(super) speed: Option<f64>,
    /// For an environment or a run: seed of the start state and of noise [default: 0].
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// For an environment: this expert instead of the best.
    #[arg(long, value_name = "NAME", conflicts_with = "random")]
    pub(super) expert: Option<String>,
    /// For an environment: actions uniform within their bounds.
    #[arg(long)]
    pub(super) random: bool,
    /// For a dataset: the episode's number [default: 0].
    #[arg(long, value_name = "N")]
    pub(super) episode: Option<usize>,
    /// For a still of a dataset or a run: the paths of this many episodes, starting with the one shown.
    #[arg(long, value_name = "N", conflicts_with = "gif")]
    pub(super) episodes: Option<usize>,
    /// For a run: sample actions instead of taking the policy's mean.
    #[arg(long)]
    pub(super) stochastic: bool,
    #[command(flatten)]
    pub(super) env_args: EnvArgs,
}

/// What to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    Env(&'a str),
    Dataset(&'a Path),
    Run(&'a Path),
    Failed(&'a Path),
}

impl<'a> Subject<'a> {
    /// A registered name is the environment; any other is a folder.
    fn of(name: &'a str) -> Result<Self, Error> {
        if registry::names().contains(&name) || gym::is_gym(name) {
            return Ok(Self::Env(name));
        }
        let path = Path::new(name);
        if !path.exists() {
            // An unknown environment, unless it can only be a folder: the message names the nearest.
            return match costate_envs::EnvConfig::named(name) {
                Err(e) if !name.contains(['/', '\\', '.']) => Err(Error::Misuse(format!(
                    "{e}; nor is `{name}` a dataset or run folder"
                ))),
                _ => Err(Error::Misuse(format!(
                    "{name}: no such folder; expected an environment, a dataset or a run"
                ))),
            };
        }
        if path.is_file() {
            return Ok(Self::Failed(path));
        }
        if path.join("config.json").exists() {
            Ok(Self::Run(path))
        } else if path.join("meta.json").exists() {
            Ok(Self::Dataset(path))
        } else {
            Err(Error::Misuse(format!(
                "{name}: holds neither meta.json (a dataset) nor config.json (a run); expected an \
                 environment, a dataset or a run"
            )))
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Env(_) => "an environment",
            Self::Dataset(_) => "a dataset",
            Self::Run(_) => "a run",
            Self::Failed(_) => "an episode that failed",
        }
    }
}

/// Refuses flags that do not apply to this subject.
fn check_flags(name: &str, args: &Args, subject: Subject) -> Result<(), Error> {
    let env = matches!(subject, Subject::Env(_));
    let dataset = matches!(subject, Subject::Dataset(_));
    let run = matches!(subject, Subject::Run(_));
    let flags = [
        ("--seed", args.seed.is_some(), env || run),
        ("--expert", args.expert.is_some(), env),
        ("--random", args.random, env),
        ("--set", !args.env_args.set.is_empty(), env),
        ("--variant", !args.env_args.variant.is_empty(), env),
        ("--model", args.env_args.model.is_some(), env),
        ("--episode", args.episode.is_some(), dataset),
        ("--episodes", args.episodes.is_some(), dataset || run),
        ("--stochastic", args.stochastic, run),
    ];
    match flags.iter().find(|(_, given, apt)| *given && !apt) {
        None => Ok(()),
        Some((flag, ..)) => Err(Error::Misuse(format!(
            "{flag}: {name} is {}, which does not take this; see `costate view --help`",
            subject.what()
        ))),
    }
}

/// Refuses an unwritable picture path before any work.
fn check_place(file: &Path) -> Result<(), Error> {
    if file.is_dir() {
        return Err(Error::Misuse(format!(
            "{}: is a folder, expected a file to write",
            file.display()
        )));
    }
    match file.parent() {
        Some(folder) if folder != Path::new("") && !folder.is_dir() => Err(Error::Misuse(format!(
            "{}: there is no folder {}; create it first",
            file.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Draws what `name` means.
pub fn run(name: &str, args: &Args, output: Output) -> Result<(), Error> {
    let Some(file) = args.gif.as_ref().or(args.png.as_ref()) else {
        return Err(Error::Misuse(
            "nothing to write; pass --gif FILE for an animation or --png FILE for a still".into(),
        ));
    };
    check_place(file)?;
    if args.steps == Some(0) {
        return Err(Error::Misuse("--steps is 0, expected at least 1".into()));
    }
    if args.episodes == Some(0) {
        return Err(Error::Misuse("--episodes is 0, expected at least 1".into()));
    }
    let speed = args.speed.unwrap_or(1.0);
    if !(0.01..=100.0).contains(&speed) {
        return Err(Error::Misuse(format!(
            "--speed is {speed}, expected 0.01 to 100 (1 is real time)"
        )));
    }
    if let Some(size) = args.size.filter(|size| !SIZES.contains(size)) {
        return Err(PictureError::Size(size).into());
    }
    let subject = Subject::of(name)?;
    check_flags(name, args, subject)?;
    let film::Shot {
        env,
        acts,
        film,
        others,
    } = film::take(subject, args, output)?;
    let mut summary = json!({
        "file": shown(file),
        "env": env,
        "acts": acts,
        "steps": film.steps(),
        "return": -film.total_cost(film.steps()),
    });
    let picture = if args.gif.is_some() {
        let mut counter = None;
        let animation = animate(&film, args.size.unwrap_or(320), speed, |done, total| {
            counter
                .get_or_insert_with(|| Counter::new(output, "draw", total))
                .at(done, "");
        })?;
        if let Some(counter) = counter {
            counter.finish();
        }
        files::write_atomic(file, &animation.bytes)?;
        json!({
            "frames": animation.frames,
            "width": animation.width,
            "height": animation.height,
            "seconds": animation.seconds,
            "grid_m": animation.grid_m,
            "bytes": animation.bytes.len(),
        })
    } else {
        let step = args.at.unwrap_or(film.steps());
        let picture = still_among(&film, &others, step, args.size.unwrap_or(800))?;
        files::write_atomic(file, &picture.bytes)?;
        json!({
            "frames": 1,
            "width": picture.width,
            "height": picture.height,
            "seconds": 0.0,
            "at": step,
            "grid_m": picture.grid_m,
            "bytes": picture.bytes.len(),
        })
    };
    let (Some(all), Some(more)) = (summary.as_object_mut(), picture.as_object()) else {
        return Err(Error::Failure("the summary is not a JSON object".into()));
    };
    all.extend(more.clone());
    output.result(&summary, || describe(&summary, &film))
}

fn describe(summary: &serde_json::Value, film: &Film) -> String {
    let text = |field: &str| summary[field].as_str().unwrap_or_default().to_owned();
    let figure = |field: &str| number(summary[field].as_f64().unwrap_or_default());
    let count = |field: &str| summary[field].as_u64().unwrap_or_default();
    let form = match count("frames") {
        1 => "a still".to_owned(),
        frames => format!("{frames} frames, {} s", figure("seconds")),
    };
    format!(
        "{}, {}: {} steps ({} s), return {}\n{form}, {} × {} pixels, {} kB, grid lines {} apart\npicture: {}",
        text("env"),
        text("acts"),
        film.steps(),
        number(film.seconds()),
        figure("return"),
        count("width"),
        count("height"),
        count("bytes").div_ceil(1000),
        format_args!("{} m", figure("grid_m")),
        text("file"),
    )
}
