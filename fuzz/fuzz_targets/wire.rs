//! What learners and workers elsewhere say to each other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| costate_envs::remote::read_all(data));
