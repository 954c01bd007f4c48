//! `costate envs`.

use costate_envs::{EnvConfig, Space, registry};
use serde::Serialize;
use serde_json::Value;

use super::common::{EnvArgs, Output};
use super::ui::{number, table};
use crate::error::Error;

/// Arguments of `costate envs`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  costate envs\n  costate envs pendulum --set env.rod.mass_kg=2")]
pub struct Args {
    /// Show this environment alone, with its parameters.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Vec<(String, Value)>>,
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
                let bound = |v: f32| number(f64::from(v));
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

fn info(name: &str, args: &EnvArgs, with_parameters: bool) -> Result<EnvInfo, Error> {
    let config: EnvConfig = args.config(name)?;
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
        parameters: with_parameters.then(|| factory.config().parameters()),
    })
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    match &args.env {
        Some(name) => {
            let info = info(name, &args.env_args, true)?;
            output.result(&info, || one(&info))
        }
        None if args.env_args.model.is_some() || !args.env_args.set.is_empty() => {
            Err(Error::Misuse(
                "--model and --set need an environment: `costate envs ENV --set env.KEY=VALUE`"
                    .into(),
            ))
        }
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
                e.summary.clone(),
            ]
        })
        .collect();
    table(
        &[
            "environment",
            "obs",
            "act",
            "horizon",
            "period/s",
            "experts",
            "task",
        ],
        &rows,
    ) + "\n`costate envs NAME` shows one with units, bounds and parameters.\n"
}

fn one(e: &EnvInfo) -> String {
    let parameters: Vec<Vec<String>> = e
        .parameters
        .iter()
        .flatten()
        .map(|(path, value)| vec![format!("env.{path}"), value.to_string()])
        .collect();
    let header = ["", "unit", "low", "high"];
    format!(
        "{}: {}\nhorizon {} steps of {} s; experts, best first: {}\n\nobservation\n{}\naction (bounds: \
         where a command saturates)\n{}\nparameters, for --set\n{}",
        e.name,
        e.summary,
        e.horizon,
        number(e.control_period_s),
        e.experts.join(", "),
        table(&header, &e.observation.rows()),
        table(&header, &e.action.rows()),
        table(&["", "value"], &parameters)
    )
}
