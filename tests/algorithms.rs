//! Algorithms from outside: one type with its settings, one line that registers it, and all of Costate knows it.

use std::sync::atomic::AtomicBool;

use costate::audit;
use costate::cost::{ComposedCost, EnergyModel};
use costate::error::Error;
use costate::learners::algorithm::{self, Behaviour};
use costate::learners::{Algo, Algorithm, Learner, Report, Setup};
use costate::metric::Metric;
use costate::nn::{StateDict, StateError};
use costate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, PolicySettings};
use costate::run::settings::{self, Override};
use costate::run::train::{Outcome, train};
use costate::run::{Progress, RunConfig, RunFolder, change, config};
use costate_envs::rng::stream;
use costate_envs::{EnvConfig, Trajectory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An algorithm that learns nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct IdleSettings {
    /// Iterations without any effect.
    #[schemars(range(min = 1), transform = costate_base::schema::resumable)]
    iterations: usize,
    /// The policy.
    policy: PolicySettings,
}

impl Algorithm for IdleSettings {
    const NAME: &'static str = "idle";
    const ABOUT: &'static str = "a policy that does nothing";
    const DEFAULTS: &'static str = r#"{
        "default": {
            "iterations": 3,
            "policy": { "hidden": [4], "std_form": "constant", "std_floor": 0.02, "std_initial": 0.6 }
        },
        "lq": { "iterations": 2 }
    }"#;
}

impl Behaviour for IdleSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let spec = setup.factory.spec();
        let normalizer = Normalizer::identity(spec.observation.dim());
        let mut rng = stream(setup.seed, "policy_weights", 0);
        let scale = ActionScale::of(spec);
        Ok(Box::new(Idle {
            policy: GaussianPolicy::new(&spec.name, &self.policy, normalizer, scale, &mut rng),
            iterations: self.iterations,
        }))
    }
}

struct Idle {
    policy: GaussianPolicy,
    iterations: usize,
}

impl Learner for Idle {
    fn iterations(&self) -> usize {
        self.iterations
    }

    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        Ok(Report {
            diagnostics: vec![(Metric::Loss, k as f64)],
            ..Report::default()
        })
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.policy.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)
    }
}

#[test]
fn one_type_and_one_line_make_an_algorithm() {
    algorithm::register::<IdleSettings>().unwrap();
    assert!(algorithm::register::<IdleSettings>().is_err());
    assert!(algorithm::names().contains(&"idle"));

    let set = |key: &str, value: &str| {
        [Override {
            key: key.into(),
            value: value.into(),
        }]
    };
    let algo = settings::resolve("idle", "lq", None, &[]).unwrap();
    assert_eq!(algo.settings::<IdleSettings>().unwrap().iterations, 2);
    let refused = settings::resolve("idle", "lq", None, &set("iterations", "0")).unwrap_err();
    assert!(refused.to_string().contains("at least 1"), "{refused}");
    let explained = settings::explained(&algo).unwrap();
    let iterations = explained.iter().find(|s| s.key == "iterations").unwrap();
    assert_eq!(iterations.meaning, "Iterations without any effect");

    // A run of it trains, is read again and goes on with other settings.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let env = EnvConfig::named("lq").unwrap();
    let run = RunFolder::create(
        &path,
        RunConfig {
            format: config::FORMAT,
            costate_version: "test".into(),
            env: env.clone(),
            provenance: None,
            demonstrations: None,
            cost: None,
            algo: algo.clone(),
            seed: 0,
            checkpoint_every: 1,
            changes: Vec::new(),
            resumed: Vec::new(),
        },
    )
    .unwrap();
    let factory = env.factory().unwrap();
    let demonstrations: [Trajectory; 0] = [];
    let (sealer, auditor) = audit::pair();
    let setup = Setup {
        sealer: &sealer,
        ..Setup::new(&factory, &demonstrations)
    };
    let mut learner = algo.build(&setup, None).unwrap();
    let never = AtomicBool::new(false);
    let from = Progress::default();
    let outcome = train(&run, &mut *learner, &auditor, from, &never, &mut |_| {}).unwrap();
    assert!(matches!(outcome, Outcome::Finished(done) if done.iterations == 2));
    drop(run);
    let config = RunConfig::read(&path).unwrap();
    assert_eq!(config.algo, algo);
    let (longer, changes) = change::changed(&config, 2, None, &set("iterations", "5")).unwrap();
    assert_eq!(longer.settings::<IdleSettings>().unwrap().iterations, 5);
    assert_eq!(changes.len(), 1);
    let kept = change::changed(&config, 2, None, &set("policy.std_floor", "0.1")).unwrap_err();
    assert!(kept.to_string().contains("keeps it"), "{kept}");
}

/// Settings of earlier versions are read under their new names.
#[test]
fn runs_of_earlier_versions_are_read() {
    let now = settings::resolve("gail", "pendulum", None, &[]).unwrap();
    let mut written = serde_json::to_value(&now).unwrap();
    let old = written["settings"].as_object_mut().unwrap();
    for (new, was) in [
        ("cost_steps", "discriminator_steps"),
        ("learning_rate_end_factor", "learning_rate_left"),
    ] {
        let value = old.remove(new).unwrap();
        old.insert(was.into(), value);
    }
    let ppo = old["ppo"].as_object_mut().unwrap();
    let value = ppo.remove("target_kl").unwrap();
    ppo.insert("kl_stop".into(), value);
    // There was no such setting for GAIL.
    old.remove("overlap");
    let read: Algo = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(read, now);
    written["settings"]["unknown"] = 1.into();
    let refused = serde_json::from_value::<Algo>(written)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("unknown setting `unknown`"), "{refused}");
}

/// SAC asks for the cost of what it replays anew, so the true cost has to travel with it, also through a checkpoint.
/// Seen to fail without the costs in the batch's state.
#[test]
fn experts_are_trained_by_sac_and_resumed() {
    tch::set_num_threads(1);
    let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
    let small = [
        ("iterations", "4"),
        ("trajectories", "4"),
        ("improvement", "sac"),
        ("sac.gradient_steps", "5"),
        ("sac.replay_iterations", "2"),
    ];
    let small = small.map(|(key, value)| Override {
        key: key.into(),
        value: value.into(),
    });
    let algo = settings::resolve("ppo", "point_mass", None, &small).unwrap();
    let setup = Setup::new(&factory, &[]);
    let start = || algo.build(&setup, None).unwrap();
    let weights = |learner: &dyn Learner| {
        let mut state = StateDict::default();
        learner.policy().gaussian().unwrap().save(&mut state);
        state.to_bytes(&()).unwrap()
    };
    let mut whole = start();
    for k in 0..4 {
        whole.iterate(k).unwrap();
    }
    let mut first = start();
    first.iterate(0).unwrap();
    first.iterate(1).unwrap();
    let mut second = start();
    second.load(&first.save()).unwrap();
    for k in 2..4 {
        second.iterate(k).unwrap();
    }
    assert_eq!(weights(&*second), weights(&*whole));
    assert_ne!(weights(&*first), weights(&*whole));
}
