//! `policy.safetensors`: Gaussian, implicit and flow policies.
#![no_main]

use costate::policy::Policy;
use costate_envs::rng::stream;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(file) = costate_fuzz::safetensors(data) else {
        return;
    };
    let policy = match Policy::parse(&file, "policy.safetensors") {
        Ok(policy) => policy,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = policy.learned().to_bytes().expect("a policy is written");
    let read = Policy::parse(&written, "policy.safetensors").expect("and read again");
    assert_eq!(read.learned().to_bytes().expect("as before"), written);
    let mut noise = stream(0, "action", 0);
    match &policy {
        Policy::Gaussian(policy) => {
            let actor = policy.freeze();
            let mut scratch = actor.scratch();
            actor.forward(&vec![0.5; actor.observation_dim()], &mut scratch);
        }
        Policy::Implicit(policy) => {
            let actor = policy.freeze();
            let mut scratch = actor.scratch();
            let mut action = vec![0.0; actor.action_dim()];
            actor.refine(
                &vec![0.5; actor.observation_dim()],
                &mut noise,
                &mut scratch,
            );
            actor.draw(&scratch, &mut noise, &mut action);
        }
        Policy::Flow(policy) => {
            let actor = policy.freeze();
            let mut scratch = actor.scratch();
            let mut action = vec![0.0; actor.action_dim()];
            let observation = vec![0.5; actor.observation_dim()];
            for _ in 0..3 {
                actor.act(&observation, Some(&mut noise), &mut scratch, &mut action);
            }
        }
    }
});
