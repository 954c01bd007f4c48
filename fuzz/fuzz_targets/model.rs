//! World models with their parameters, as `--model FILE` and every dataset and run hold them.
#![no_main]

use costate_envs::{End, EnvConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(config) = serde_json::from_slice::<EnvConfig>(data) else {
        return;
    };
    // Another program simulates them.
    if config.is_gym() {
        return;
    }
    let Ok(factory) = config.factory() else {
        return;
    };
    let complete = serde_json::to_vec(factory.config()).expect("a model is JSON");
    let again: EnvConfig = serde_json::from_slice(&complete).expect("its JSON is read");
    assert_eq!(&again, factory.config());
    let again = again.factory().expect("its JSON is accepted");
    assert_eq!(again.spec(), factory.spec());
    if !factory.has_simulator() {
        return;
    }
    let spec = factory.spec();
    let mut env = factory.build();
    let mut observation = vec![0.0; spec.observation.dim()];
    for seed in 0..2 {
        env.reset(seed);
        for step in 0..4_u8 {
            let of = |c: &costate_envs::Channel| match step {
                0 => 0.0,
                1 => c.high.min(1e6),
                2 => c.low.max(-1e6),
                _ => c.high.min(1e6) / 3.0,
            };
            let action: Vec<f32> = spec.action.0.iter().map(of).collect();
            let Ok(stepped) = env.step(&action) else {
                break;
            };
            env.observe(&mut observation);
            assert!(observation.iter().all(|v| v.is_finite()), "{observation:?}");
            let state = env.save();
            env.load(&state).expect("its own state");
            assert!(!env.scene().items.is_empty());
            let _ = env.solved();
            if stepped.end != End::Running {
                break;
            }
        }
    }
});
