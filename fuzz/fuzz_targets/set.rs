//! `--variant NAME` and `--set env.KEY=VALUE`: the first line is a world, then one change a line.
#![no_main]

use costate_envs::{EnvConfig, registry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let name = lines.next().unwrap_or_default();
    if !registry::names().contains(&name) {
        return;
    }
    let mut config = EnvConfig::named(name).expect("a shipped world");
    for line in lines.take(8) {
        let outcome = match line.split_once('=') {
            Some((key, value)) => config.set(key, value),
            None => config.apply_variant(line),
        };
        if let Err(error) = outcome {
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(factory) = config.factory() {
        let mut env = factory.build();
        env.reset(0);
        let _ = env.step(&vec![0.0; factory.spec().action.dim()]);
    }
});
