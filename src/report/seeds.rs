//! Runs that differ only in their seed: one line with a band.

use serde_json::Value;

use super::chart::Line;
use super::run::Run;

/// The true return of every set of runs; sets without one are left out.
pub(super) fn lines(members: &[Run]) -> Vec<Line> {
    let recorded = members
        .iter()
        .filter(|r| !r.curve("true_return").is_empty());
    let sets = sets(recorded);
    let mut lines = Vec::new();
    for set in &sets {
        let merged = match set[..] {
            [_] => None,
            _ => merged(set).map(|(points, band)| {
                let title = set[0].algo_title();
                // Sets of the same algorithm differ in settings, best identified by a folder's name.
                let namesakes = sets.iter().filter(|s| s[0].algo_title() == title);
                let from = match namesakes.count() > 1 {
                    true => format!(" ({} …)", set[0].report.title),
                    false => String::new(),
                };
                Line {
                    label: format!("{title}, {} seeds{from}", set.len()),
                    style: set[0].style,
                    points,
                    band,
                }
            }),
        };
        match merged {
            Some(line) => lines.push(line),
            None => lines.extend(set.iter().map(|r| r.line("true_return"))),
        }
    }
    lines
}

/// Runs with the same world, demonstrations, algorithm and settings but different seeds, in order.
fn sets<'r, 'a>(members: impl Iterator<Item = &'r Run<'a>>) -> Vec<Vec<&'r Run<'a>>> {
    let mut sets: Vec<(Value, Vec<&Run>)> = Vec::new();
    for member in members {
        let key = without_seed(member);
        let fits = |(k, set): &&mut (Value, Vec<&Run>)| {
            *k == key && set.iter().all(|other| other.seed() != member.seed())
        };
        match sets.iter_mut().find(fits) {
            Some((_, set)) => set.push(member),
            None => sets.push((key, vec![member])),
        }
    }
    sets.into_iter().map(|(_, set)| set).collect()
}

/// Everything that determines a run except its seed.
fn without_seed(run: &Run) -> Value {
    let mut config = run.config_json();
    if let Some(fields) = config.as_object_mut() {
        for name in [
            "seed",
            "checkpoint_every",
            "costate_version",
            "provenance",
            "resumed",
        ] {
            fields.remove(name);
        }
        if let Some(Value::Object(demonstrations)) = fields.get_mut("demonstrations") {
            demonstrations.remove("path");
        }
    }
    config
}

/// x and y.
type Points = Vec<[f64; 2]>;
/// x, minimum and maximum y.
type Band = Vec<[f64; 3]>;

/// The mean over runs where all of them recorded a value, and the minimum and maximum there.
fn merged(set: &[&Run]) -> Option<(Points, Band)> {
    let curves: Vec<Vec<[f64; 2]>> = set.iter().map(|r| r.curve("true_return")).collect();
    let (first, others) = curves.split_first()?;
    // Iterations ascend, so one pass over each suffices.
    let mut at = vec![0; others.len()];
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for &[x, y] in first {
        let mut values = vec![y];
        for (curve, i) in others.iter().zip(&mut at) {
            while curve.get(*i).is_some_and(|p| p[0] < x) {
                *i += 1;
            }
            values.extend(curve.get(*i).filter(|p| p[0] == x).map(|p| p[1]));
        }
        if values.len() == curves.len() && values.iter().all(|v| v.is_finite()) {
            let mean = values.iter().map(|v| v / values.len() as f64).sum();
            points.push([x, mean]);
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            band.push([x, low, high]);
        }
    }
    (!points.is_empty()).then_some((points, band))
}
