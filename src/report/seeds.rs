//! Runs that differ in their seed alone: one line with a band.

use serde_json::Value;

use super::chart::Line;
use super::group::Member;

/// The true return of every set of runs; those without one are left out.
pub(super) fn lines(members: &[Member]) -> Vec<Line> {
    let recorded: Vec<&Member> = members
        .iter()
        .filter(|m| !m.run.curve("true_return").is_empty())
        .collect();
    let sets = sets(&recorded);
    let titles: Vec<String> = sets.iter().map(|set| title(set)).collect();
    let mut lines = Vec::new();
    for (set, title) in sets.iter().zip(&titles) {
        let merged = match set[..] {
            [_] => None,
            _ => merged(set).map(|(points, band)| {
                // Sets of the same algorithm differ in settings, which a folder's name tells best.
                let ambiguous = titles.iter().filter(|t| *t == title).count() > 1;
                let from = match ambiguous {
                    true => format!(" ({} …)", set[0].run.run.title),
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
            None => lines.extend(set.iter().map(|m| Line {
                label: m.label.clone(),
                style: m.style,
                points: m.run.curve("true_return"),
                band: Vec::new(),
            })),
        }
    }
    lines
}

/// Runs of the same world, demonstrations, algorithm and settings with seeds of their own, in order.
fn sets<'a>(members: &[&'a Member<'a>]) -> Vec<Vec<&'a Member<'a>>> {
    let mut sets: Vec<(Option<Value>, Vec<&Member>)> = Vec::new();
    for &member in members {
        let key = without_seed(member);
        let fits = |(k, set): &&mut (Option<Value>, Vec<&Member>)| {
            key.is_some() && *k == key && set.iter().all(|m| m.run.seed != member.run.seed)
        };
        match sets.iter_mut().find(fits) {
            Some((_, set)) => set.push(member),
            None => sets.push((key, vec![member])),
        }
    }
    sets.into_iter().map(|(_, set)| set).collect()
}

/// What decides about a run but for its seed; `None` if that is not known.
fn without_seed(member: &Member) -> Option<Value> {
    member.run.algo.as_ref()?;
    member.run.seed?;
    let mut config = member.run.run.config.as_object()?.clone();
    let of_no_matter = ["costate_version", "provenance"];
    for name in ["seed", "workers", "checkpoint_every"]
        .into_iter()
        .chain(of_no_matter)
    {
        config.remove(name);
    }
    if let Some(Value::Object(demonstrations)) = config.get_mut("demonstrations") {
        demonstrations.remove("path");
    }
    Some(Value::Object(config))
}

fn title(set: &[&Member]) -> String {
    set[0].run.algo_title()
}

/// x and y.
type Points = Vec<[f64; 2]>;
/// x, least and greatest y.
type Band = Vec<[f64; 3]>;

/// The mean over runs where all of them recorded a value, and the least and greatest there.
fn merged(set: &[&Member]) -> Option<(Points, Band)> {
    let curves: Vec<Vec<[f64; 2]>> = set.iter().map(|m| m.run.curve("true_return")).collect();
    let (first, others) = curves.split_first()?;
    // Iterations ascend, so one pass over each is enough.
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
