//! The adversarial learners: their identities at every granularity, their densities, their state.
//!
//! Seen to fail: `log_q_of_demonstrations_is_the_current_policys` with the densities of the first iteration
//! kept and with those of the newest policy where rollouts overlap, `the_background_mixes_by_share_after_summing_over_time` with equal weights,
//! `windows_telescope_to_the_trajectory` with the sign of V(s_{i+H}) flipped,
//! `every_learner_goes_on_where_it_was` without the past policies or the drawing one in the checkpoint,
//! `a_cost_relative_to_a_base_policy_adds_its_density_once` with the sign of log π_0 flipped,
//! `the_reward_of_airl_is_frozen_as_it_was_learned` with the shaping of GAN-GCL (γ = 1, nothing masked),
//! `every_adversarial_learner_takes_the_same_cloned_start` when only GAN-GCL had one,
//! `the_base_policy_is_the_clone_of_bc` where fewer rollouts set the scales of GAN-GCL's policy,
//! `a_policy_worse_than_its_start_is_not_handed_over` where the choice was not saved.

use costate::audit::Sealer;
use costate::batch::TrajectoryBatch;
use costate::collect::Collector;
use costate::cost::{CostForm, CostSettings, EnergyModel};
use costate::density::{self, Scores, log_sum_exp};
use costate::learners::background::{Background, log_policy, log_policy_steps};
use costate::learners::gan_gcl::GanGclSettings;
use costate::learners::{Learner, Setup};
use costate::metric::Metric;
use costate::nn::to_f64;
use costate::policy::{ActionScale, GaussianPolicy, Normalizer, PolicySettings, StdForm};
use costate::run::settings::Override;
use costate::run::{Algo, settings};
use costate_demos::dataset::Dataset;
use costate_envs::remote::Player;
use costate_envs::rng::{Stream, stream};
use costate_envs::rollout::RolloutPool;
use costate_envs::{End, EnvConfig, EnvFactory, Trajectory};
use proptest::prelude::*;
use rand::RngExt;
use tch::Tensor;

fn random_trajectory(rng: &mut Stream, len: usize) -> Trajectory {
    let mut values = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
    let (observations, actions) = (values(2 * (len + 1)), values(len));
    Trajectory::new(2, 1, observations, actions, None, End::Truncated).unwrap()
}

fn scale() -> ActionScale {
    ActionScale {
        centre: vec![0.0],
        half_range: vec![1.0],
    }
}

fn energy_model(rng: &mut Stream) -> EnergyModel {
    let settings = CostSettings {
        form: CostForm::Neural,
        hidden: vec![8],
        start_value: true,
        state_only: false,
        channels: vec![],
        action_penalty: 0.0,
        bound: 0.0,
    };
    EnergyModel::new("x", &settings, &[], Normalizer::identity(2), scale(), rng)
}

fn policy(rng: &mut Stream, std_initial: f64) -> GaussianPolicy {
    let settings = PolicySettings {
        hidden: vec![8],
        std_form: StdForm::Constant,
        std_floor: 0.02,
        std_initial,
    };
    GaussianPolicy::new("x", &settings, Normalizer::identity(2), scale(), rng)
}

/// −E(τ) − V(s_0) − log q(τ) of every row.
fn scores(model: &EnergyModel, rows: &TrajectoryBatch, log_q: &Tensor) -> Vec<f64> {
    to_f64(&(-model.energy(rows) - model.start_value(rows) - rows.sum_over_time(log_q)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Σ over windows of −Σ c + V(s_{i+H}) − V(s_i) − Σ log π is the trajectory's score for any H.
    #[test]
    fn windows_telescope_to_the_trajectory(seed in 0u64..1000, len in 1usize..40, window in 1usize..50) {
        let mut rng = stream(seed, "windows", 0);
        let (model, policy) = (energy_model(&mut rng), policy(&mut rng, 0.5));
        let batch = TrajectoryBatch::new(&[random_trajectory(&mut rng, len)]).unwrap();
        let log_q = log_policy_steps(&policy, &batch);
        let whole = scores(&model, &batch, &log_q);
        let parts = scores(&model, &batch.windows(Some(window)), &log_q);
        prop_assert_eq!(parts.len(), len.div_ceil(window));
        let sum: f64 = parts.iter().sum();
        // Values of shared states are f32.
        prop_assert!((sum - whole[0]).abs() < 1e-4 * (1.0 + whole[0].abs()), "{} {}", sum, whole[0]);
    }

    #[test]
    fn the_background_mixes_by_share_after_summing_over_time(seed in 0u64..1000, past in 1usize..4) {
        let mut rng = stream(seed, "background", 0);
        let mut batch = |n: usize| {
            let all: Vec<_> = (0..n).map(|_| random_trajectory(&mut rng, 3)).collect();
            TrajectoryBatch::new(&all).unwrap()
        };
        let (current, samples) = (batch(5), [batch(2), batch(7), batch(1)]);
        let policies: Vec<_> = (0..4)
            .map(|i| policy(&mut stream(seed, "policy", i), 0.2 + 0.3 * i as f64))
            .collect();
        let mut background = Background::new(past, None);
        // One more than it keeps: the oldest is forgotten.
        background.push(0, &policies[3], &batch(9));
        for (i, samples) in samples.iter().take(past).enumerate() {
            background.push(1 + i, &policies[i], samples);
        }
        let log_q = log_policy(&policies[3], &current);
        let got = to_f64(&background.log_density(&current, &log_q, current.len()));

        let counts: Vec<usize> = samples.iter().take(past).map(TrajectoryBatch::len).collect();
        let total = (counts.iter().sum::<usize>() + current.len()) as f64;
        let own = to_f64(&log_q);
        for (i, got) in got.iter().enumerate() {
            let mut terms = vec![own[i] + (current.len() as f64 / total).ln()];
            for (count, policy) in counts.iter().zip(&policies) {
                terms.push(to_f64(&log_policy(policy, &current))[i] + (*count as f64 / total).ln());
            }
            prop_assert!((got - log_sum_exp(&terms)).abs() < 1e-9);
        }
    }
}

/// A cost relative to π_0 is c_θ − log π_0, also when it is read back; with c_θ = V = 0 and the policy π_0 the
/// discriminator has nothing to go by.
#[test]
fn a_cost_relative_to_a_base_policy_adds_its_density_once() {
    let mut rng = stream(3, "base", 0);
    let (plain, base) = (energy_model(&mut rng), policy(&mut rng, 0.3));
    let trajectories: Vec<_> = (0..3).map(|_| random_trajectory(&mut rng, 6)).collect();
    let batch = TrajectoryBatch::new(&trajectories).unwrap();
    let log_base = log_policy_steps(&base, &batch);
    let costs = |m: &EnergyModel| to_f64(&m.cost(&batch.observations, &batch.actions));
    let learned = costs(&plain);

    let relative = plain.with_base(base.copy());
    let expected: Vec<f64> = learned
        .iter()
        .zip(to_f64(&log_base))
        .map(|(c, l)| c - l)
        .collect();
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(&costs(&relative), &expected));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cost.safetensors");
    std::fs::write(&file, relative.to_bytes().unwrap()).unwrap();
    assert_eq!(costs(&EnergyModel::read(&file).unwrap()), costs(&relative));

    for weight in relative.parameters() {
        let _ = tch::no_grad(|| weight.shallow_clone().zero_());
    }
    assert!(
        scores(&relative, &batch, &log_base)
            .iter()
            .all(|s| s.abs() < 1e-4)
    );
    // Soft cost: c_θ + log π − log π_0.
    assert!(
        relative
            .soft_cost(&batch, &log_base, 1.0)
            .iter()
            .all(|c| c.abs() < 1e-5)
    );
}

/// With a base policy and no rollouts yet, the learner starts as the clone that was the most likely on held-out
/// demonstrations, and its σ is not the overfitted one.
#[test]
fn the_base_policy_is_the_start_and_its_noise_is_honest() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(5);
    let setup = setup(&factory, &trajectories, 1);
    let start = |passes: &str, warm: &str| {
        let algo = small("gan-gcl", &[("base_steps", passes), ("warm_start", warm)]);
        algo.build(&setup, None).unwrap()
    };
    let learner = start("1000", "0");
    let batch = TrajectoryBatch::new(&trajectories).unwrap();
    let model = learner.energy_model().unwrap();
    let own = log_policy_steps(learner.policy().gaussian().unwrap(), &batch);
    let soft_cost = model.soft_cost(&batch, &own, 1.0);
    let unlearned = to_f64(&model.cost_of(&model.inputs(&batch.observations, &batch.actions)));
    let value =
        to_f64(&(model.value(&batch.observations) - model.value(&batch.next_observations())));
    for ((got, c), v) in soft_cost.iter().zip(unlearned).zip(value) {
        assert!((got - c - v).abs() < 1e-4, "{got} {c} {v}");
    }
    // On demonstrations that neither has seen.
    let (_, all) = demonstrations(25);
    let unseen = TrajectoryBatch::new(&all[5..]).unwrap();
    let likelihood = |learner: &dyn Learner| {
        let steps = to_f64(&log_policy_steps(
            learner.policy().gaussian().unwrap(),
            &unseen,
        ));
        steps.iter().sum::<f64>() / steps.len() as f64
    };
    let (honest, overfitted) = (
        likelihood(learner.as_ref()),
        likelihood(start("0", "400").as_ref()),
    );
    assert!(honest > overfitted + 0.2, "{honest} {overfitted}");
}

fn setup<'a>(factory: &'a EnvFactory, demonstrations: &'a [Trajectory], seed: u64) -> Setup<'a> {
    Setup {
        sealer: Sealer::unwatched(),
        factory,
        demonstrations,
        images: 0,
        starts: &[],
        expert: "mppi",
        seed,
        workers: 1,
        elsewhere: None,
    }
}

fn demonstrations(count: usize) -> (EnvFactory, Vec<Trajectory>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
    let dataset = Dataset::open(&root).unwrap();
    let episodes = dataset.episodes().iter().take(count);
    let trajectories = episodes.map(|e| e.trajectory.clone());
    let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
    (factory, trajectories.collect())
}

fn small(algo: &str, more: &[(&str, &str)]) -> Algo {
    let overrides: Vec<Override> = [("iterations", "4"), ("trajectories", "4")]
        .iter()
        .filter(|(key, _)| !["bc", "dagger"].contains(&algo) || *key == "iterations")
        .chain((algo == "gan-gcl").then_some(&("base_steps", "50")))
        .chain(more)
        .map(|(key, value)| Override {
            key: (*key).into(),
            value: (*value).into(),
        })
        .collect();
    settings::resolve(algo, "point_mass", None, &overrides).unwrap()
}

/// AIRL learns V under γ V(s') and V = 0 at a terminal s'. A policy that is trained on the frozen cost, here and after
/// it was written to a file, must be paid by the same f = −c + γ V(s') − V(s).
#[test]
fn the_reward_of_airl_is_frozen_as_it_was_learned() {
    tch::set_num_threads(1);
    let (factory, mut trajectories) = demonstrations(3);
    let fell = &trajectories[0];
    trajectories[0] = Trajectory::new(
        fell.observation_dim(),
        fell.action_dim(),
        fell.observations().to_vec(),
        fell.actions().to_vec(),
        None,
        End::Terminated,
    )
    .unwrap();
    let setup = setup(&factory, &trajectories, 3);
    let batch = TrajectoryBatch::new(&trajectories).unwrap();
    let sac = [("improvement", "sac"), ("sac.gradient_steps", "5")];
    for (more, discount) in [([].as_slice(), 0.9), (sac.as_slice(), 0.8)] {
        let discounts = [("ppo.discount", "0.9"), ("sac.discount", "0.8")];
        let algo = small("airl", &[&discounts, more].concat());
        let mut learner = algo.build(&setup, None).unwrap();
        learner.iterate(0).unwrap();
        let model = learner.energy_model().unwrap();
        let value = |s: &Tensor| to_f64(&model.value(s));
        let (now, next) = (
            value(&batch.observations),
            value(&batch.next_observations()),
        );
        let cost = to_f64(&model.cost(&batch.observations, &batch.actions));
        let last = batch.lengths[0] - 1;
        let expected: Vec<f64> = (0..batch.steps())
            .map(|t| {
                let alive = if t == last { 0.0 } else { 1.0 };
                cost[t] - discount * next[t] * alive + now[t]
            })
            .collect();
        assert!(next[last].abs() > 1e-3, "V says nothing at the end");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cost.safetensors");
        std::fs::write(&file, model.to_bytes().unwrap()).unwrap();
        for frozen in [model, &EnergyModel::read(&file).unwrap()] {
            for (got, expected) in frozen.shaped_cost(&batch).iter().zip(&expected) {
                assert!((got - expected).abs() < 1e-5, "{got} {expected}");
            }
            // What evaluation tells apart is the same f, transition by transition.
            let steps = batch.windows(Some(1));
            let logits = scores(
                frozen,
                &steps,
                &Tensor::zeros_like(&Tensor::from_slice(&cost)),
            );
            for (got, expected) in logits.iter().zip(&expected) {
                assert!((got + expected).abs() < 1e-5, "{got} {expected}");
            }
        }
    }
}

/// `clone_steps` N of any learner gives the very policy that GAN-GCL starts from with `base_steps` N.
#[test]
fn every_adversarial_learner_takes_the_same_cloned_start() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(5);
    let setup = setup(&factory, &trajectories, 1);
    let start = |algo: &str, more: &[(&str, &str)]| {
        let learner = small(algo, more).build(&setup, None).unwrap();
        learner.policy().to_bytes().unwrap()
    };
    let base = start("gan-gcl", &[("base_steps", "120")]);
    for algo in [
        "gan-gcl",
        "gcl",
        "airl",
        "gail",
        "density-ratio",
        "preferences",
        "sfm",
    ] {
        let none = [("base_steps", "0")];
        let none = if algo == "gan-gcl" {
            none.as_slice()
        } else {
            &[]
        };
        let cloned = start(algo, &[none, &[("clone_steps", "120")]].concat());
        assert!(cloned == base, "{algo}");
        assert!(start(algo, none) != base, "{algo}");
    }
    // The cost is relative to the clone only where that is asked for.
    let model = |more: &[(&str, &str)]| {
        let learner = small("gan-gcl", more).build(&setup, None).unwrap();
        learner.energy_model().unwrap().to_bytes().unwrap().len()
    };
    let alone = model(&[("base_steps", "0"), ("clone_steps", "120")]);
    assert!(alone < model(&[("base_steps", "120")]));
}

/// At the start of a round the policy knows nothing, and the cost is as it was.
#[test]
fn a_round_starts_with_a_fresh_policy_and_the_learned_cost() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(5);
    let setup = setup(&factory, &trajectories, 1);
    let weights = |rounds: &str, steps: usize| {
        let more = [("rounds", rounds), ("ppo.learning_rate", "1e-60")];
        let mut learner = small("gail", &more).build(&setup, None).unwrap();
        (0..steps).for_each(|k| drop(learner.iterate(k).unwrap()));
        let cost = learner.energy_model().unwrap().to_bytes().unwrap();
        (learner.policy().to_bytes().unwrap(), cost)
    };
    // Four iterations: two rounds of two. Step sizes of the policy are next to nothing.
    assert!(weights("1", 2) == weights("2", 2));
    let (whole, rounds) = (weights("1", 3), weights("2", 3));
    assert!(whole.0 != rounds.0);
    assert!(weights("1", 2).1 != rounds.1);
    let algo = |rounds: &str| {
        let set = [Override {
            key: "rounds".into(),
            value: rounds.into(),
        }];
        settings::resolve("gail", "pendulum", None, &set)
    };
    assert!(algo("60").is_ok());
    let message = algo("61").unwrap_err().to_string();
    assert!(
        message.contains("`rounds` is 61, expected at most"),
        "{message}"
    );
}

/// `bc` is the clone that GAN-GCL starts from, to the bit, with few demonstrations (cross-validated) and with many.
#[test]
fn the_base_policy_is_the_clone_of_bc() {
    tch::set_num_threads(1);
    for count in [1, 4, 12] {
        let (factory, trajectories) = demonstrations(count);
        let setup = setup(&factory, &trajectories, 1);
        let mut bc = small("bc", &[("iterations", "3")])
            .build(&setup, None)
            .unwrap();
        (0..3).for_each(|k| drop(bc.iterate(k).unwrap()));
        let start = small("gan-gcl", &[("base_steps", "150")])
            .build(&setup, None)
            .unwrap();
        let bytes = |learner: &dyn Learner| learner.policy().to_bytes().unwrap();
        assert!(bytes(bc.as_ref()) == bytes(start.as_ref()), "{count}");
    }
}

/// Steps that ruin the clone leave it worse by both measures: it is handed over, also after a restart. Steps that improve
/// a poor clone are kept. While more iterations follow, the learned policy is the run's.
#[test]
fn a_policy_worse_than_its_start_is_not_handed_over() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(5);
    let setup = setup(&factory, &trajectories, 1);
    let bytes = |learner: &dyn Learner| learner.policy().to_bytes().unwrap();
    let run = |more: &[(&str, &str)]| {
        let algo = small("gan-gcl", more);
        let mut learner = algo.build(&setup, None).unwrap();
        let start = bytes(learner.as_ref());
        let mut last = Vec::new();
        for k in 0..learner.iterations() {
            assert!(k == 0 || bytes(learner.as_ref()) != start);
            assert!(last.iter().all(|&(metric, _)| metric != Metric::KeptStart));
            last = learner.iterate(k).unwrap().diagnostics;
        }
        let found = |metric| last.iter().find(|(m, _)| *m == metric).unwrap().1;
        let gains = [Metric::LikelihoodGain, Metric::SoftValueGain].map(found);
        let mut restored = algo.build(&setup, None).unwrap();
        restored.load(&learner.save()).unwrap();
        assert!(bytes(restored.as_ref()) == bytes(learner.as_ref()));
        let kept = bytes(learner.as_ref()) == start;
        assert_eq!(kept, found(Metric::KeptStart) == 1.0);
        (kept, gains)
    };
    let (kept, gains) = run(&[("base_steps", "600"), ("ppo.learning_rate", "0.5")]);
    assert!(kept && gains.iter().all(|g| *g < 0.0), "{gains:?}");
    let (kept, gains) = run(&[("base_steps", "1")]);
    assert!(!kept && gains.iter().any(|g| *g > 0.0), "{gains:?}");
}

/// The shipped settings of `bc` are those of the base policy in every world where GAN-GCL has one.
#[test]
fn bc_ships_with_the_settings_of_the_base_policy() {
    for env in costate_envs::registry::names() {
        let of = |name: &str| {
            settings::resolve(name, env, None, &[])
                .unwrap()
                .values()
                .unwrap()
        };
        let (bc, gan_gcl) = (of("bc"), of("gan-gcl"));
        let steps = gan_gcl["base_steps"].as_u64().unwrap();
        if steps > 0 {
            assert_eq!(bc["iterations"].as_u64().unwrap() * 50, steps, "{env}");
            assert_eq!(bc["policy"], gan_gcl["policy"], "{env}");
        }
    }
}

/// After iteration k, b must be the optimum for the policy that drew the samples of iteration k: the one before the
/// iteration, or, where rollouts and learning overlap, the one before the last.
#[test]
fn log_q_of_demonstrations_is_the_current_policys() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(5);
    for (window, overlap) in [("null", false), ("10", false), ("1", false), ("null", true)] {
        let more = [("window", window), ("overlap", &overlap.to_string())];
        let algo = small("gan-gcl", &more);
        let setup = setup(&factory, &trajectories, 1);
        let own: &GanGclSettings = algo.settings().unwrap();
        let beta = own.beta_for(factory.spec().horizon);
        let mut learner = algo.build(&setup, None).unwrap();
        let mut before = learner.policy().gaussian().unwrap().copy();
        for k in 0..3 {
            let now = learner.policy().gaussian().unwrap().copy();
            let policy = if overlap { &before } else { &now };
            learner.iterate(k).unwrap();
            let model = learner.energy_model().unwrap();
            let window = window.parse().ok();
            let score = |trajectories: &[Trajectory]| {
                let batch = TrajectoryBatch::new(trajectories).unwrap();
                let log_q = log_policy_steps(policy, &batch);
                scores(model, &batch.windows(window), &log_q)
            };
            let player = Player::Here(RolloutPool::new(1));
            let collector = Collector::new(&factory, player, 1, Sealer::unwatched());
            let (samples, _) = collector.collect(policy, "rollout", k, 4).unwrap();
            let b = density::solve_log_z(
                Scores {
                    expert: &score(&trajectories),
                    policy: &score(&samples),
                },
                beta,
            );
            let got = model.log_z();
            assert!(
                (got - b).abs() < 1e-3 * b.abs().max(1.0),
                "{window:?} {overlap} {k}: {got} {b}"
            );
            before = now;
        }
    }
}

/// Two iterations, a checkpoint, two more in a new process: the same weights as four at once.
#[test]
#[allow(clippy::too_many_lines)] // a table of learners and settings
fn every_learner_goes_on_where_it_was() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(5);
    let setup = setup(&factory, &trajectories, 2);
    let penalised = [
        ("regularizers.gradient_penalty", "0.1"),
        ("regularizers.local_constant_rate", "0.1"),
        ("regularizers.monotonic", "0.1"),
    ];
    let mixed = [penalised.as_slice(), &[("past_policies", "2")]].concat();
    let learned = [("log_z", "learned"), ("cost.form", "features")];
    let soft_q = [
        ("clone_steps", "50"),
        ("cost_steps", "5"),
        ("sac.gradient_steps", "5"),
        ("sac.replay_iterations", "2"),
        ("sac.target_entropy", "-0.5"),
    ];
    let single = [
        soft_q.as_slice(),
        &[
            ("sac.critics", "1"),
            ("value", "start"),
            ("bootstrap", "current"),
        ],
    ]
    .concat();
    let offline = [soft_q.as_slice(), &[("trajectories", "0")]].concat();
    let ahead = [("overlap", "true"), ("past_policies", "2")];
    let sac = [
        ("improvement", "sac"),
        ("sac.gradient_steps", "5"),
        ("sac.replay_iterations", "2"),
        ("sac.target_entropy", "-0.5"),
    ];
    for (algo, more) in [
        ("gan-gcl", mixed.as_slice()),
        ("gan-gcl", &learned),
        ("gail", &[("ppo.target_entropy", "-0.5")]),
        ("gan-gcl", &ahead),
        ("gan-gcl", &sac),
        ("gcl", &mixed),
        ("airl", &sac),
        ("airl", &[("cost.state_only", "true")]),
        ("gail", &penalised),
        (
            "gail",
            &[
                ("memory", "0.8"),
                ("rounds", "2"),
                ("expert_weight", "20"),
                ("cost.bound", "2"),
            ],
        ),
        ("gan-gcl", &[("rounds", "3")]),
        ("density-ratio", &[("memory", "0.5"), ("kernels", "50")]),
        (
            "preferences",
            &[("demonstrated", "3"), ("rationality", "2")],
        ),
        ("sfm", &[("averaging", "0.5")]),
        ("iq-learn", &soft_q),
        ("iq-learn", &single),
        ("ls-iq", &soft_q),
        ("ls-iq", &offline),
        ("sqil", &soft_q),
        ("dagger", &[("episodes", "2"), ("passes", "2")]),
        ("bc", &[]),
    ] {
        let algo = small(algo, more);
        let weights = |learner: &dyn Learner| {
            let cost = learner.energy_model().map(|m| m.to_bytes().unwrap());
            (learner.policy().to_bytes().unwrap(), cost)
        };
        let mut whole = algo.build(&setup, None).unwrap();
        let mut first = algo.build(&setup, None).unwrap();
        for k in 0..4 {
            whole.iterate(k).unwrap();
            if k < 2 {
                first.iterate(k).unwrap();
            }
        }
        let mut second = algo.build(&setup, None).unwrap();
        second.load(&first.save()).unwrap();
        for k in 2..4 {
            second.iterate(k).unwrap();
        }
        assert!(
            weights(whole.as_ref()) == weights(second.as_ref()),
            "{}",
            algo.name()
        );
        assert!(weights(whole.as_ref()) != weights(first.as_ref()));
    }
}
