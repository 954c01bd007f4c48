//! `state.safetensors`: what a learner resumes from.
#![no_main]

use std::cell::RefCell;

use costate::learners::Learner;
use costate::nn::StateDict;
use costate::run::Progress;
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// Each input overwrites all of what it restores, or is refused.
    static LEARNER: RefCell<Option<Box<dyn Learner>>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let Some(file) = costate_fuzz::safetensors(data) else {
        return;
    };
    let Ok((state, _)) = StateDict::parse::<Progress>(&file, "state.safetensors") else {
        return;
    };
    LEARNER.with_borrow_mut(|learner| {
        let learner = learner.get_or_insert_with(costate_fuzz::learner);
        if learner.load(&state).is_ok() {
            let saved = learner.save();
            learner.load(&saved).expect("its own state");
        }
    });
});
