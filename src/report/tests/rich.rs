//! A run whose evaluation holds everything.

use serde_json::{Value, json};

use super::samples::{read, run};
use crate::report::{Landscape, LandscapeChannel, RunReport, Surface, Walker, Way};

fn scored(policy: &str, score: f64) -> Value {
    json!({
        "policy": policy, "episodes": 20, "return": -1229.0 + 1079.0 * score, "ci95": [-300.0, -200.0],
        "normalized_score": score, "normalized_score_ci95": [score - 0.05, score + 0.05],
    })
}

fn policies(loss: f64) -> Value {
    json!([
        scored("expert", 1.0 - loss),
        scored("gan-gcl", 0.98 - 1.5 * loss),
        scored("bc", 0.7 - 4.0 * loss)
    ])
}

fn curve(kind: &str, unit: &str) -> Value {
    let point = |level: f64| json!({ "level": level, "policies": policies(level) });
    let points = [0.0, 0.1, 0.2, 0.4].map(point);
    json!({ "kind": kind, "unit": unit, "points": points })
}

fn variant(name: &str, reference: &str, verdict: &str, delta: f64) -> Value {
    json!({
        "format": 1, "variant": name, "summary": "The wall stands on the right.", "reference": reference,
        "reference_return": -150.0, "random_return": -1229.0,
        "rows": [
            scored("expert there", 1.0),
            scored("fresh, on the frozen cost", 0.9),
            scored("gan-gcl, transferred", -7.0),
        ],
        "frozen": {
            "kept": 0, "verdict": verdict, "seconds": 1.0, "steps": 1,
            "policies": [{
                "seed": 0, "discount": 0.97, "soft_value": 0.0, "delta": delta, "return": -150.0,
                "normalized_score": 1.0, "relative_return": 0.0,
            }],
        },
    })
}

fn correlation(distribution: &str) -> Value {
    let estimate = json!({ "mean": 0.5, "ci95": [0.4, 0.6] });
    json!({ "distribution": distribution, "trajectories": 25, "pearson": estimate, "step_spearman": estimate })
}

/// The cost of a pendulum: a bowl around its upright.
pub(crate) fn landscape(seed: u64) -> Landscape {
    let channel = |name: &str, unit: &str| LandscapeChannel {
        name: name.into(),
        unit: unit.into(),
    };
    let surface = |x: usize, y: usize| Surface {
        x,
        y,
        x_range: [-3.3, 3.3],
        y_range: [-8.0, 8.0],
        size: 32,
        cost: (0..32_u16 * 32)
            .map(|k| {
                let [u, v] = [k % 32, k / 32].map(|i| f32::from(i) / 15.5 - 1.0);
                u * u + 0.3 * v * v + 0.2 * (7.0 * u * v + seed as f32).sin()
            })
            .collect(),
    };
    let way = |walker: Walker, slack: f32| Way {
        walker,
        points: (0..120_u16)
            .map(|i| {
                let t = 0.05 * f32::from(i);
                let fall = (-0.5 * t / slack).exp();
                vec![
                    3.0 * fall * (2.0 * t).cos(),
                    -6.0 * fall * (2.0 * t).sin(),
                    t,
                ]
            })
            .collect(),
    };
    Landscape {
        channels: vec![
            channel("angle", "rad"),
            channel("angular_velocity", "rad/s"),
            channel("time", "1"),
        ],
        surfaces: vec![surface(0, 1), surface(0, 2), surface(2, 1)],
        paths: vec![way(Walker::Expert, 1.0), way(Walker::Policy, 1.4)],
        averaged_over: 16,
    }
}

/// A run with everything.
pub(crate) fn rich(seed: u64) -> RunReport {
    let mut report = run("gan-gcl", seed, 0.98);
    report.landscape = Some(landscape(seed));
    let evaluation = report.evaluation.as_mut().expect("samples are evaluated");
    for row in &mut evaluation.rows {
        row.success_rate = Some(0.93);
        row.success_rate_ci95 = Some([0.86, 0.97]);
        if row.policy != "expert" {
            row.occupancy = read(json!({
                "sliced_wasserstein": 0.12, "within_reference": 0.06, "mmd_squared": 0.01, "p_value": 0.21,
            }));
        }
    }
    let points = json!([{ "name": "wall_right", "summary": "", "policies": policies(0.9) }]);
    evaluation.robustness = read(json!([
        curve("action_noise", "standard deviation of each action <"),
        curve("observation_noise", ""),
        { "kind": "variant", "unit": "", "points": points },
    ]));
    evaluation.transfer = read(json!([
        variant("wall_right", "true_cost", "sound", -0.007),
        variant("heavy", "expert", "exploited", 0.21),
    ]));
    let cost = evaluation.cost.as_mut().expect("samples have a cost");
    cost.spearman_ci95 = Some([0.88, 0.96]);
    (cost.epic_ci95, cost.dard_ci95) = (Some([0.15, 0.3]), Some([0.3, 0.4]));
    (cost.ranking_accuracy, cost.ranking_accuracy_ci95) = (Some(0.91), Some([0.9, 0.92]));
    cost.correlations = read(
        ["expert", "gan-gcl", "all"]
            .map(correlation)
            .to_vec()
            .into(),
    );
    let bin = |i: usize| json!({ "predicted": 0.1 * i as f64, "observed": 0.09 * i as f64, "weight": 0.1, "count": 3 * i });
    let judged = cost
        .discriminator
        .as_mut()
        .expect("samples have a discriminator");
    judged.calibration = read((0..10).map(bin).collect());
    judged.calibration_error = 0.043;
    judged.log_weights = (0..200).map(|i| (f64::from(i) - 100.0) / 40.0).collect();
    report
}
