//! Synthetic runs for tests: shapes and sizes of real runs, numbers from closed forms.

use costate_envs::EnvConfig;
use costate_envs::scene::{Item, Role, Scene, Shape};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::evaluate::{Controls, Evaluation};
use crate::report::{Motion, RunReport};
use crate::run::RunConfig;
use crate::run::settings::resolve;

/// Deserialises JSON.
pub(crate) fn read<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("samples fit their types")
}

pub(crate) fn disc(role: Role, centre: [f32; 2], radius: f32) -> Item {
    let shape = Shape::Circle { centre, radius };
    Item { role, shape }
}

fn rod(role: Role, from: [f32; 2], to: [f32; 2], radius: f32) -> Item {
    let shape = Shape::Capsule { from, to, radius };
    Item { role, shape }
}

pub(crate) fn polygon(role: Role, points: Vec<[f32; 2]>) -> Item {
    let shape = Shape::Polygon { points };
    Item { role, shape }
}

/// Ten seconds of scenes in a view that reaches `view` from its middle, by time.
fn motion(label: &str, period: f32, view: [f32; 2], items: impl Fn(f32) -> Vec<Item>) -> Motion {
    let scene = |i: u16| Scene {
        view_low: view.map(|v| -v),
        view_high: view,
        items: items(f32::from(i) * period),
    };
    Motion {
        label: label.into(),
        control_period_s: (1000.0 * f64::from(period)).round() / 1000.0,
        scenes: (0..=(10.0 / period).round() as u16).map(scene).collect(),
    }
}

/// A pendulum that swings up, with more overshoot the larger `slack` is.
pub(crate) fn pendulum(label: &str, slack: f32) -> Motion {
    motion(label, 0.05, [1.3, 1.3], |t| {
        let angle = std::f32::consts::PI * (-0.5 * t / slack).exp() * (2.2 * t).cos();
        vec![
            disc(Role::Target, [0.0, 1.0], 0.06),
            rod(Role::Limb, [0.0, 0.0], [angle.sin(), angle.cos()], 0.05),
            disc(Role::Joint, [0.0, 0.0], 0.03),
        ]
    })
}

/// A cart-pole that comes to rest upright.
pub(crate) fn cart_pole(label: &str, slack: f32) -> Motion {
    motion(label, 0.02, [2.7, 1.15], |t| {
        let x = 0.5 * slack * (-0.4 * t / slack).exp() * (1.3 * t).cos();
        let angle = 0.3 * slack * (-0.6 * t / slack).exp() * (2.0 * t).sin();
        let tip = [x + angle.sin(), angle.cos()];
        let corners = [[-0.2, -0.11], [0.2, -0.11], [0.2, 0.11], [-0.2, 0.11]];
        vec![
            rod(Role::Ground, [-2.6, 0.0], [2.6, 0.0], 0.015),
            polygon(Role::Body, corners.map(|[dx, y]| [x + dx, y]).to_vec()),
            rod(Role::Limb, [x, 0.0], tip, 0.035),
            disc(Role::Joint, [x, 0.0], 0.02),
        ]
    })
}

/// Wobble in [−1, 1] that looks like noise.
fn wobble(i: usize, seed: u64) -> f64 {
    let x = (i as f64 * 12.9898 + seed as f64 * 78.233).sin() * 43_758.545;
    2.0 * (x - x.floor()) - 1.0
}

/// Metrics of a run whose return climbs from −1229 towards −150.
pub(crate) fn metrics(iterations: usize, seed: u64) -> Vec<Map<String, Value>> {
    let line = |k: usize| {
        let t = k as f64 / iterations as f64;
        let w = |s: u64| wobble(k, seed * 31 + s);
        let value = json!({
            "iteration": k,
            "seconds": 0.42 * (k + 1) as f64,
            "env_steps": 12_800 * (k + 1),
            "true_return": -150.0 - 1079.0 * (-7.0 * t).exp() + 25.0 * w(1) * (1.2 - t),
            "discriminator_accuracy": 0.62 + 0.36 * (-4.0 * t).exp() + 0.015 * w(2),
            "discriminator_loss": 1.3 - 1.1 * (-5.0 * t).exp() + 0.02 * w(3),
            "ess": 0.85 - 0.6 * (-6.0 * t).exp() + 0.03 * w(4),
            "saturation": 0.5 * (-9.0 * t).exp(),
            "log_z": 40.0 * t.sqrt() + 2.0 * w(5),
            "cost_gradient_norm": 3.0 * (-6.0 * t).exp() + 0.004 + 0.002 * w(6),
            "entropy": 0.3 - 0.8 * (1.0 - (-5.0 * t).exp()) + 0.01 * w(7),
            "policy_std": 0.15 + 0.35 * (-5.0 * t).exp(),
            "kl": 0.012 + 0.006 * w(8),
            "passes": 6,
            "policy_gradient_norm": 0.4 + 0.1 * w(9),
            "value_error": 0.1 + 0.6 * (-8.0 * t).exp(),
        });
        value.as_object().cloned().unwrap_or_default()
    };
    (0..iterations).map(line).collect()
}

fn config(env: &str, algo: &str, seed: u64) -> RunConfig {
    read(json!({
        "format": 1,
        "costate_version": "0.1.0",
        "env": EnvConfig::named(env).expect("a world"),
        "algo": resolve(algo, env, None, &[]).expect("settings"),
        "seed": seed,
        "checkpoint_every": 10,
        "demonstrations": {
            "path": "demos/pendulum energy", "episodes": 25, "expert": "energy", "expert_return": -150.0,
            "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
    }))
}

fn evaluation(env: &str, algo: &str, seed: u64, score: f64) -> Evaluation {
    let value = |score: f64| -1229.0 + 1079.0 * score;
    let row = |policy: &str, score: f64, half: f64| {
        json!({
            "policy": policy, "episodes": 100,
            "return": value(score), "ci95": [value(score - half), value(score + half)],
            "normalized_score": score, "normalized_score_ci95": [score - half, score + half],
        })
    };
    let groups = [
        ("demonstrations", 150.0, 25),
        ("policy", 160.0, 40),
        ("noisy", 480.0, 40),
        ("random", 1229.0, 40),
    ];
    let scatter: Vec<Value> = groups
        .iter()
        .enumerate()
        .flat_map(|(g, (group, truth, n))| {
            (0..*n).map(move |i| {
                let truth = truth * (1.0 + 0.25 * wobble(i, g as u64 + seed));
                json!({
                    "group": group, "true": truth,
                    "learned": 0.3 * truth.sqrt() * (1.0 + 0.12 * wobble(i, 91 + g as u64)) - 6.0,
                })
            })
        })
        .collect();
    let fresh = |discount: f64, soft_value: f64, delta: f64, score: f64| {
        json!({
            "seed": 0, "discount": discount, "soft_value": soft_value, "delta": delta, "return": value(score),
            "normalized_score": score, "relative_return": 0.0, "return_standard_error": 12.5,
        })
    };
    let trained = |verdict: &str, policies: [Value; 2]| {
        json!({
            "kept": 1, "verdict": verdict, "seconds": 60.0, "steps": 100, "policies": policies,
        })
    };
    read(json!({
        "format": 1, "env": env, "algo": algo, "seed": seed, "evaluation_seed": 1000, "episodes": 100, "actions": "mean",
        "return": { "mean": value(score), "ci95": [value(score - 0.02), value(score + 0.02)] },
        "expert_return": -150.0, "random_return": -1229.0,
        "normalized_score": score, "normalized_score_ci95": [score - 0.02, score + 0.02],
        "rows": [row("expert", 1.0, 0.012), row("random", 0.0, 0.03), row("bc", 0.71, 0.06), row(algo, score, 0.02)],
        "spearman": 0.93, "epic": 0.21, "dard": 0.34, "ess": 0.62, "log_z": 41.3, "discriminator_accuracy": 0.63,
        "base_share": 0.87, "base_share_ci95": [0.81, 0.91],
        "cost_scatter": scatter,
        "frozen": trained("sound", [fresh(0.97, -1.0, -0.31, 0.512), fresh(0.99, -0.2, -0.012, 0.937)]),
        "base_alone": trained("sound", [fresh(0.97, -1.0, -0.01, 0.641), fresh(0.99, -0.2, 0.013, 0.925)]),
        "without_base": trained("exploited", [fresh(0.97, -1.0, 0.4, -0.083), fresh(0.99, -0.2, 0.7, 0.176)]),
        "standing": "no_more_than_the_clone",
    }))
}

fn report(title: String, env: &str, algo: &str, seed: u64, score: f64) -> RunReport {
    RunReport {
        title,
        config: config(env, algo, seed),
        metrics: metrics(120, seed),
        evaluation: Some(evaluation(env, algo, seed, score)),
        findings: Vec::new(),
        motions: Vec::new(),
        held_out: None,
        landscape: None,
    }
}

/// A complete run on a pendulum. Behaviour cloning takes no steps and learns no cost.
pub(crate) fn run(algo: &str, seed: u64, score: f64) -> RunReport {
    let mut report = report(
        format!("pendulum-{algo}-{seed}"),
        "pendulum",
        algo,
        seed,
        score,
    );
    report.motions = vec![
        pendulum("expert", 1.0),
        pendulum(algo, 1.2 + 0.2 * seed as f32),
    ];
    if let (Some(evaluation), "bc") = (&mut report.evaluation, algo) {
        for (k, line) in report.metrics.iter_mut().enumerate() {
            let loss = 1.4 * (-0.05 * k as f64).exp() - 0.4;
            line.retain(|name, _| ["iteration", "seconds", "policy_std"].contains(&name.as_str()));
            line.insert("loss".into(), loss.into());
            line.insert("held_out_loss".into(), (loss + 0.05).into());
        }
        evaluation.rows.remove(2);
        (evaluation.cost, evaluation.frozen) = (None, None);
        evaluation.controls = Controls::default();
    }
    report
}

/// A complete run on a cart-pole.
pub(crate) fn cart_pole_run(seed: u64) -> RunReport {
    let title = format!("cart_pole-{seed}");
    let motions = [("expert", 1.0), ("bc", 2.2), ("gan-gcl", 1.1)];
    RunReport {
        motions: motions
            .map(|(label, slack)| cart_pole(label, slack))
            .to_vec(),
        ..report(title, "cart_pole", "gan-gcl", seed, 0.99)
    }
}
