//! Implausible numbers in imported data: each is reported, with figures, before it is used. Remarks, not errors.

use costate_envs::{EnvSpec, Episode};

use crate::cost::{Dims, StepCost};
use crate::ebm::Table;
use crate::evaluate::controller::Controller;
use crate::number::plain as number;

/// Number of the demonstrations' observations that a policy is evaluated at.
const ASKED: usize = 300;
/// Beyond this multiple of what is demonstrated and allowed, or below its inverse, units are likely wrong: degrees are
/// 57 times radians, and unscaled network outputs rarely reach 20 bounds.
const FAR: f64 = 20.0;
/// A range that is not a bound: the convention of [`crate::policy::ActionScale`].
const UNBOUNDED: f32 = 200.0;
/// Columns whose standard deviations differ by more than this ratio are reported.
const SCALES_APART: f64 = 1e6;
/// A column with fewer distinct values than one per this many rows is hardly continuous.
const ROWS_A_VALUE: usize = 20;

/// Minimum and maximum.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| {
        [low.min(v), high.max(v)]
    })
}

fn size([low, high]: [f64; 2]) -> f64 {
    low.abs().max(high.abs())
}

fn between([low, high]: [f64; 2]) -> String {
    format!("between {} and {}", number(low), number(high))
}

/// At most [`ASKED`] observations, evenly spread over the demonstrations.
fn observations(episodes: &[Episode]) -> Vec<&[f32]> {
    let all: usize = episodes.iter().map(|e| e.trajectory.len()).sum();
    let every = all.div_ceil(ASKED).max(1);
    let steps = episodes.iter().flat_map(|e| {
        let trajectory = &e.trajectory;
        (0..trajectory.len()).map(|t| trajectory.observation(t))
    });
    steps.step_by(every).collect()
}

/// What is implausible about an imported policy's actions on the demonstrations' observations.
pub fn of_policy(controller: &Controller, spec: &EnvSpec, episodes: &[Episode]) -> Vec<String> {
    let observations = observations(episodes);
    let Some(actions) = controller.answers(spec, &observations) else {
        return Vec::new();
    };
    let width = spec.action.dim();
    let mut doubts = Vec::new();
    for (i, channel) in spec.action.0.iter().enumerate() {
        let (name, unit) = (&channel.name, &channel.unit);
        let own: Vec<f64> = actions.iter().map(|a| f64::from(a[i])).collect();
        let lost = own.iter().filter(|v| !v.is_finite()).count();
        if lost > 0 {
            doubts.push(format!(
                "{name} is NaN or infinite on {lost} of {} of the demonstrations' observations",
                own.len()
            ));
            continue;
        }
        let acts = range(own.into_iter());
        let demonstrated = range(episodes.iter().flat_map(|e| {
            let actions = e.trajectory.actions().chunks_exact(width);
            actions.map(|a| f64::from(a[i]))
        }));
        if acts[0] == acts[1] && actions.len() > 1 {
            doubts.push(format!(
                "{name} is {} {unit} on all {} of the demonstrations' observations: the policy ignores what it observes",
                number(acts[0]),
                actions.len()
            ));
            continue;
        }
        let allowed = match channel.high - channel.low <= UNBOUNDED {
            true => f64::from(channel.high.abs().max(channel.low.abs())),
            false => 0.0,
        };
        let most = size(demonstrated);
        if size(acts) > FAR * most.max(allowed) || size(acts) * FAR < most {
            doubts.push(format!(
                "{name}: the policy acts {} {unit} on the demonstrations' observations, the demonstrations {}: is it in \
                 other units?",
                between(acts),
                between(demonstrated)
            ));
        }
    }
    doubts
}

/// What is implausible about an imported cost on the demonstrations' steps. NaN is an error of the evaluation itself.
pub fn of_cost(cost: &dyn StepCost, episodes: &[Episode]) -> Vec<String> {
    let values = episodes.iter().flat_map(|e| {
        let tau = &e.trajectory;
        let dims = Dims {
            observation: tau.observation_dim(),
            action: tau.action_dim(),
        };
        let states = &tau.observations()[..tau.len() * dims.observation];
        cost.costs(states, tau.actions(), dims)
    });
    let mut steps = 0;
    let [low, high] = range(values.inspect(|_| steps += 1));
    match steps > 1 && high - low <= 1e-9 * low.abs().max(1e-9) {
        true => vec![format!(
            "the {} is {} in all {steps} steps of the demonstrations",
            cost.describe(),
            number(low)
        )],
        false => Vec::new(),
    }
}

/// What is implausible about the columns of a table that a density is to be fitted to.
pub fn of_table(table: &Table) -> Vec<String> {
    let names = table.columns();
    let columns: Vec<Vec<f64>> = (0..names.len())
        .map(|i| table.rows().map(|row| row[i]).collect())
        .collect();
    let mut doubts = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        if let Some(what) = of_numbers(column) {
            doubts.push(format!("column `{}` {what}", names[i]));
        }
        if let Some(j) = columns[..i].iter().position(|other| alike(other, column)) {
            doubts.push(format!(
                "column `{}` equals `{}` up to offset and scale: together they lie on a plane, which has no \
                 density; leave one out with --columns",
                names[i], names[j]
            ));
        }
    }
    let varying: Vec<(usize, f64)> = (columns.iter().map(|c| deviation(c)).enumerate())
        .filter(|(_, d)| *d > 0.0)
        .collect();
    let by = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    if let (Some(least), Some(most)) = (varying.iter().min_by(by), varying.iter().max_by(by))
        && most.1 > SCALES_APART * least.1
    {
        doubts.push(format!(
            "column `{}` has standard deviation {} and `{}` {}: are both units intended?",
            names[most.0],
            number(most.1),
            names[least.0],
            number(least.1)
        ));
    }
    doubts
}

/// What a column may hold instead of measurements.
fn of_numbers(column: &[f64]) -> Option<String> {
    let whole = column.iter().all(|v| v.fract() == 0.0);
    if column.len() > 2 && column.windows(2).all(|w| w[1] - w[0] == 1.0) {
        return Some(format!(
            "counts the rows, from {} to {}: not a measurement; leave it out with --columns",
            column[0],
            column[column.len() - 1]
        ));
    }
    let mut distinct = column.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let count = distinct.len();
    if count == 1 && column.len() > 1 {
        return Some(format!("is {} in every row", column[0]));
    }
    (count * ROWS_A_VALUE < column.len()).then(|| {
        let kind = match whole {
            true => "integer values, like class labels",
            false => "values",
        };
        format!(
            "has only {count} distinct {kind} ({} to {}): a density over it is not well defined, and its likelihood grows \
             without bound as it narrows",
            distinct[0],
            distinct[count - 1]
        )
    })
}

fn deviation(column: &[f64]) -> f64 {
    let n = column.len() as f64;
    let mean = column.iter().sum::<f64>() / n;
    (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// Whether b = k a + c everywhere; most columns differ in their first rows.
fn alike(a: &[f64], b: &[f64]) -> bool {
    let few = a.len().min(200);
    let still = deviation(&a[..few]) == 0.0 && deviation(&b[..few]) == 0.0;
    (still || same(&a[..few], &b[..few])) && same(a, b)
}

/// Whether b = k a + c to twelve digits.
fn same(a: &[f64], b: &[f64]) -> bool {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    a.len() > 2 && aa > 0.0 && bb > 0.0 && 1.0 - ab * ab / (aa * bb) < 1e-12
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use costate_envs::rollout::RolloutPool;
    use costate_envs::{EnvConfig, EnvFactory};

    use super::*;
    use crate::expression::Formula;
    use crate::policy::imported::ScriptedPolicy;

    fn pendulum() -> (EnvFactory, Vec<Episode>) {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let episodes = Controller::Random.play(&factory, RolloutPool::new(1), 0..3, 1);
        (factory, episodes.unwrap())
    }

    fn doubts(formula: &str) -> Vec<String> {
        let (factory, episodes) = pendulum();
        let spec = factory.spec();
        let name = &spec.action.0[0].name;
        let policy = ScriptedPolicy::parse(&format!("{name} = {formula}"), spec).unwrap();
        of_policy(&Controller::Scripted(Arc::new(policy)), spec, &episodes)
    }

    #[test]
    fn actions_in_other_units_are_named_with_figures() {
        let bound = {
            let (factory, _) = pendulum();
            factory.spec().action.0[0].high
        };
        assert_eq!(doubts(&format!("{bound}*sin")), Vec::<String>::new());
        // Beyond the bounds, as networks that do not know them are.
        assert_eq!(
            doubts(&format!("{}*sin", 3.0 * bound)),
            Vec::<String>::new()
        );
        let milli = doubts(&format!("{}*sin", 1000.0 * bound));
        assert!(milli[0].contains("is it in other units?"), "{milli:?}");
        assert!(milli[0].contains("N m"), "{milli:?}");
        assert!(doubts("0.001*sin")[0].contains("other units"));
        assert!(doubts("2 + 0*sin")[0].contains("is 2.00"));
        assert!(doubts("ln(sin)")[0].contains("NaN or infinite on"));
    }

    #[test]
    fn a_cost_that_says_nothing_of_the_demonstrations_is_named() {
        let (factory, episodes) = pendulum();
        let of = |text: &str| {
            let cost = Formula::parse(text, factory.spec(), true).unwrap();
            of_cost(&cost, &episodes)
        };
        assert_eq!(of("1 - cos"), Vec::<String>::new());
        assert!(of("max(cos - 5, 2)")[0].contains("is 2.00 in all"));
    }

    fn table(columns: &[(&str, &dyn Fn(usize) -> f64)]) -> Vec<String> {
        let names = columns.iter().map(|(n, _)| (*n).to_owned()).collect();
        let values = (0..200).flat_map(|i| columns.iter().map(move |(_, f)| f(i)));
        of_table(&Table::new(names, values.collect()))
    }

    #[test]
    fn columns_that_are_no_measurements_are_named() {
        let wave = |i: usize| (i as f64).sin();
        let other = |i: usize| (1.7 * i as f64).cos();
        assert_eq!(table(&[("x", &wave), ("y", &other)]), Vec::<String>::new());
        let found = table(&[
            ("id", &|i| i as f64 + 7.0),
            ("x", &wave),
            ("class", &|i| (i % 3) as f64),
            ("cm", &|i| 100.0 * (i as f64).sin() + 3.0),
            ("huge", &|i| 1e9 * (1.7 * i as f64).cos()),
        ]);
        let expected = [
            "column `id` counts the rows, from 7 to 206",
            "column `class` has only 3 distinct integer values, like class labels (0 to 2)",
            "column `cm` equals `x`",
            "column `huge` has standard deviation 7",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
        // Integers over a wide range are measurements.
        let counts = |i: usize| ((i * 7919) % 1000) as f64;
        assert_eq!(
            table(&[("count", &counts), ("x", &wave)]),
            Vec::<String>::new()
        );
    }
}
