//! A run whose evaluation holds everything.

use serde_json::{Value, json};

use super::samples::run;
use crate::report::{Landscape, LandscapeChannel, RunReport, Surface, Walker, Way};

fn policies(loss: f64) -> Value {
    let one = |policy: &str, score: f64| {
        json!({
            "policy": policy, "return": -1229.0 + 1079.0 * score, "ci95": [-300.0, -200.0],
            "normalized_score": score, "normalized_score_ci95": [score - 0.05, score + 0.05],
        })
    };
    json!([
        one("expert", 1.0 - loss),
        one("gan-gcl", 0.98 - 1.5 * loss),
        one("bc", 0.7 - 4.0 * loss)
    ])
}

fn curve(kind: &str, unit: &str) -> Value {
    let point = |level: f64| json!({ "level": level, "policies": policies(level) });
    let points = [0.0, 0.1, 0.2, 0.4].map(point);
    json!({ "kind": kind, "unit": unit, "points": points })
}

fn variant(name: &str, reference: &str, verdict: &str, delta: f64) -> Value {
    json!({
        "variant": name, "summary": "The wall stands on the right.", "reference": reference,
        "reference_return": -150.0, "random_return": -1229.0,
        "rows": [
            { "policy": "expert there", "return": -150.0, "normalized_score": 1.0 },
            { "policy": "fresh, on the frozen cost", "normalized_score": 0.9, "normalized_score_ci95": [0.8, 1.0] },
            { "policy": "gan-gcl, transferred", "normalized_score": -7.0, "normalized_score_ci95": [-8.0, -6.0] },
        ],
        "frozen": { "kept": 0, "verdict": verdict, "policies": [{ "delta": delta }] },
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
    let Some(evaluation) = &mut report.evaluation else {
        return report;
    };
    for row in evaluation["rows"].as_array_mut().into_iter().flatten() {
        row["success_rate"] = json!(0.93);
        row["success_rate_ci95"] = json!([0.86, 0.97]);
        if row["policy"] != "expert" {
            row["occupancy"] = json!({
                "sliced_wasserstein": 0.12, "within_reference": 0.06, "mmd_squared": 0.01, "p_value": 0.21,
            });
        }
    }
    let points = json!([{ "name": "wall_right", "summary": "", "policies": policies(0.9) }]);
    let bin = |i: usize| json!({ "predicted": 0.1 * i as f64, "observed": 0.09 * i as f64, "count": 3 * i });
    let correlations = ["expert", "gan-gcl", "all"].map(correlation);
    let more = json!({
        "robustness": [
            curve("action_noise", "standard deviation of each action <"),
            curve("observation_noise", ""),
            { "kind": "variant", "unit": "", "points": points },
        ],
        "transfer": [
            variant("wall_right", "true_cost", "sound", -0.007),
            variant("heavy", "expert", "exploited", 0.21),
        ],
        "spearman_ci95": [0.88, 0.96], "epic_ci95": [0.15, 0.3], "dard_ci95": [0.3, 0.4],
        "ranking_accuracy": 0.91, "ranking_accuracy_ci95": [0.9, 0.92],
        "correlations": correlations,
        "calibration": (0..10).map(bin).collect::<Vec<_>>(), "calibration_error": 0.043,
        "log_weights": (0..200).map(|i| (f64::from(i) - 100.0) / 40.0).collect::<Vec<_>>(),
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        evaluation[name.as_str()] = value.clone();
    }
    report
}
