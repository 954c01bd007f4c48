//! `costate envs`.

use std::collections::BTreeMap;

use costate_envs::{EnvConfig, Range, Space, Variant, registry};
use serde::Serialize;
use serde_json::Value;

use super::common::{EnvArgs, Output};
use super::ui::{number, table};
use crate::error::Error;

/// Arguments of `costate envs`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  costate envs\n  costate envs pendulum --set env.rod.mass_kg=2\n  costate envs gym:Hopper-v5"
)]
pub struct Args {
    /// Show this environment alone, with its parameters. gym:ID and gym:MODULE:ID are environments of Gymnasium.
    env: Option<String>,
    #[command(flatten)]
    env_args: EnvArgs,
}

#[derive(Serialize)]
struct EnvInfo {
    name: String,
    summary: String,
    horizon: usize,
    control_period_s: f64,
    observation: SpaceInfo,
    action: SpaceInfo,
    experts: Vec<String>,
    /// Mean true return of the best expert; `None` for a changed model.
    expert_return: Option<f64>,
    /// Mean true return of random actions; `None` for a changed model.
    random_return: Option<f64>,
    /// Share of the best expert's episodes that solve the task; `None` if the task does not define success.
    expert_success: Option<f64>,
    /// A still of the best expert in the project's folder; `None` for custom worlds.
    picture: Option<String>,
    /// Whether `costate view` draws it.
    #[serde(skip)]
    drawn: bool,
    /// What `symmetric_copies` can use, where the parameters allow.
    symmetries: Vec<&'static str>,
    variants: Vec<VariantInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Vec<(String, Value)>>,
    /// Minimum and maximum of the parameters that are sampled for every episode.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vary: BTreeMap<String, Range>,
}

#[derive(Serialize)]
struct VariantInfo {
    name: String,
    summary: String,
}

#[derive(Serialize)]
struct SpaceInfo {
    names: Vec<String>,
    units: Vec<String>,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl SpaceInfo {
    fn of(space: &Space) -> Self {
        Self {
            names: space.0.iter().map(|c| c.name.clone()).collect(),
            units: space.0.iter().map(|c| c.unit.clone()).collect(),
            low: space.0.iter().map(|c| c.low).collect(),
            high: space.0.iter().map(|c| c.high).collect(),
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        (0..self.names.len())
            .map(|i| {
                let bound = |v: f32| match v.abs() < f32::MAX {
                    true => number(f64::from(v)),
                    false => "none".into(),
                };
                vec![
                    self.names[i].clone(),
                    self.units[i].clone(),
                    bound(self.low[i]),
                    bound(self.high[i]),
                ]
            })
            .collect()
    }
}

/// What was measured with the shipped models.
fn figures() -> Value {
    serde_json::from_str(include_str!("../../assets/returns.json")).unwrap_or_default()
}

fn info(name: &str, args: &EnvArgs, with_parameters: bool) -> Result<EnvInfo, Error> {
    let config: EnvConfig = args.config(name)?;
    let known = &figures()[name];
    let as_shipped = !known.is_null() && config == EnvConfig::named(name)?;
    let measured = |figure: &str| known[figure].as_f64().filter(|_| as_shipped);
    let factory = config.factory()?;
    let spec = factory.spec();
    Ok(EnvInfo {
        name: spec.name.clone(),
        summary: spec.summary.clone(),
        horizon: spec.horizon,
        control_period_s: spec.control_period_s,
        observation: SpaceInfo::of(&spec.observation),
        action: SpaceInfo::of(&spec.action),
        experts: costate_demos::experts::experts_for(name)
            .iter()
            .map(|e| (*e).to_owned())
            .collect(),
        expert_return: measured("expert_return"),
        random_return: measured("random_return"),
        expert_success: measured("expert_success"),
        picture: known["picture"].as_str().map(str::to_owned),
        drawn: factory.config().has_picture(),
        symmetries: match factory.has_simulator() {
            true => factory
                .build()
                .symmetries()
                .iter()
                .map(|s| s.name)
                .collect(),
            false => Vec::new(),
        },
        variants: EnvConfig::variants(name)?
            .into_iter()
            .map(|Variant { name, summary, .. }| VariantInfo { name, summary })
            .collect(),
        parameters: with_parameters.then(|| factory.config().parameters()),
        vary: factory.config().vary.clone(),
    })
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    match &args.env {
        Some(name) => {
            let info = info(name, &args.env_args, true)?;
            output.result(&info, || one(&info))
        }
        None if args.env_args != EnvArgs::default() => Err(Error::Misuse(
            "--model, --variant and --set need an environment: `costate envs ENV --set \
             env.KEY=VALUE`"
                .into(),
        )),
        None => {
            let all = registry::names()
                .iter()
                .map(|name| info(name, &args.env_args, false))
                .collect::<Result<Vec<_>, _>>()?;
            output.result(&all, || many(&all))
        }
    }
}

fn many(all: &[EnvInfo]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|e| {
            vec![
                e.name.clone(),
                e.observation.names.len().to_string(),
                e.action.names.len().to_string(),
                e.horizon.to_string(),
                number(e.control_period_s),
                e.experts.join(", "),
                e.expert_return.map_or("–".into(), number),
                e.random_return.map_or("–".into(), number),
                percent(e.expert_success),
                e.summary.clone(),
            ]
        })
        .collect();
    let header = [
        "environment",
        "obs",
        "act",
        "horizon",
        "period/s",
        "experts",
        "expert's return",
        "random",
        "solved",
        "task",
    ];
    table(&header, &rows)
        + "\n`costate envs NAME` shows one with units, bounds and parameters; assets/pictures/NAME.png is a still of \
           each expert,\n`costate view NAME --gif FILE` animates it.\n"
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |s| format!("{} %", number(100.0 * s)))
}

fn one(e: &EnvInfo) -> String {
    let parameters: Vec<Vec<String>> = e
        .parameters
        .iter()
        .flatten()
        .map(|(path, value)| {
            let value = match e.vary.get(path) {
                Some(Range(low, high)) => format!("{low} .. {high}, sampled for every episode"),
                None => value.to_string(),
            };
            vec![format!("env.{path}"), value]
        })
        .collect();
    let variants: Vec<Vec<String>> = e
        .variants
        .iter()
        .map(|v| vec![v.name.clone(), v.summary.clone()])
        .collect();
    let picture = match (&e.picture, e.drawn) {
        (_, false) => "none".into(),
        (Some(file), true) => format!("{file}; costate view {} --gif FILE", e.name),
        (None, true) => format!("costate view {} --gif FILE", e.name),
    };
    let unmeasured = match e.drawn {
        true => "– (changed model)",
        false => "– (not measured)",
    };
    let variants = if variants.is_empty() {
        String::new()
    } else {
        format!(
            "variants, for --variant\n{}\n",
            table(&["", "what differs"], &variants)
        )
    };
    let header = ["", "unit", "low", "high"];
    format!(
        "{}: {}\nhorizon {} steps of {} s; experts, best first: {}\nmean return: expert {}, random actions \
         {}; expert solves {}\nsymmetries: {}\npicture: {picture}\n\nobservation\n{}\naction (bounds: \
         where a command saturates)\n{}\n{variants}parameters, for --set\n{}",
        e.name,
        e.summary,
        e.horizon,
        number(e.control_period_s),
        e.experts.join(", "),
        e.expert_return.map_or(unmeasured.into(), number),
        e.random_return.map_or(unmeasured.into(), number),
        percent(e.expert_success),
        match &e.symmetries[..] {
            [] => "none known".into(),
            names => names.join(", "),
        },
        table(&header, &e.observation.rows()),
        table(&header, &e.action.rows()),
        table(&["", "value"], &parameters)
    )
}
