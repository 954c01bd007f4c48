//! A run as it is watched: curves, findings, settings.

use costate_base::parameters;
use costate_page::learning::{Curve, Finding, RunView};
use serde_json::{Map, Value};

use super::standing::{self, Standing};
use super::started::Now;
use super::words;
use crate::diagnose::{self, diagnose_so_far};
use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::metric::Metric;
use crate::report::{Quantity, readings};
use crate::run::{RunConfig, RunFolder};

type Line = Map<String, Value>;

/// Looks at a run, with the points of its curves after iteration `after`.
pub(super) fn of(run: &RunFolder, now: Now, after: Option<usize>) -> Result<RunView, Error> {
    let config = run.config();
    let Standing { line, said, .. } = standing::of(run, now)?;
    let metrics = run.metrics()?;
    let found = diagnose_so_far(config, &metrics, line.planned);
    let random = match line.score {
        Some(_) => Evaluation::read(&run.file("evaluation.json"))?.map(|e| e.random_return),
        None => None,
    };
    let mut keys: Vec<&str> = Vec::new();
    for key in metrics.iter().flat_map(Map::keys) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let quantities = readings(&config.algo, keys);
    Ok(RunView {
        curves: quantities
            .into_iter()
            .map(|quantity| curve(quantity, &metrics, after, &levels(config, random)))
            .collect(),
        findings: found.into_iter().map(finding).collect(),
        settings: parameters::list(&config.algo.values()?),
        command: words::that_made(run)?.unwrap_or_default(),
        line,
        said,
    })
}

/// What true returns are measured by.
fn levels(config: &RunConfig, random: Option<f64>) -> Vec<(String, f64)> {
    let expert = config.demonstrations.as_ref().map(|d| d.expert_return);
    let levels = [("demonstrations", expert), ("random actions", random)];
    let levels = levels.into_iter();
    levels
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn curve(
    quantity: Quantity,
    metrics: &[Line],
    after: Option<usize>,
    returns: &[(String, f64)],
) -> Curve {
    let known = Metric::with_key(&quantity.name);
    let point = |line: &Line| {
        let iteration = line.get("iteration")?.as_u64()?;
        let new = after.is_none_or(|after| iteration > after as u64);
        let value = line.get(&quantity.name)?.as_f64()?;
        new.then_some([iteration as f64, value])
    };
    Curve {
        points: metrics.iter().filter_map(point).collect(),
        levels: match (known, quantity.level) {
            (Some(Metric::TrueReturn), _) => returns.to_vec(),
            (_, level) => level
                .map(|(v, name)| (name.into(), v))
                .into_iter()
                .collect(),
        },
        range: quantity.range,
        key: quantity.name,
        title: quantity.title,
        unit: quantity.unit.into(),
        about: quantity.reading,
    }
}

fn finding(found: diagnose::Finding) -> Finding {
    Finding {
        name: found.name.into(),
        means: format!("{}. {}", upper(&found.seen), found.means),
        advice: upper(&found.change),
    }
}

/// The text with a capital at its start.
fn upper(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.collect::<String>() + rest.as_str()
}
