//! Imported policies in ONNX.
#![no_main]

use std::sync::OnceLock;

use costate::policy::imported::OnnxPolicy;
use costate_envs::EnvFactory;
use libfuzzer_sys::fuzz_target;

static PENDULUM: OnceLock<EnvFactory> = OnceLock::new();

fuzz_target!(init: costate_fuzz::outside_may_panic(), |data: &[u8]| {
    let spec = costate_fuzz::world(&PENDULUM, "pendulum").spec();
    match OnnxPolicy::parse(data, "policy.onnx", None, spec) {
        Ok(policy) => {
            let mut action = vec![0.0; spec.action.dim()];
            policy.act(&vec![0.5; spec.observation.dim()], &mut action);
        }
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with("policy.onnx: "), "{error}");
        }
    }
});
