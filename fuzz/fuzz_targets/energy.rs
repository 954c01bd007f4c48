//! `energy.safetensors`: energies over vectors.
#![no_main]

use costate::ebm::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(file) = costate_fuzz::safetensors(data) else {
        return;
    };
    if let Ok(model) = Model::parse(&file, "energy.safetensors") {
        let written = model.to_bytes().expect("an energy is written");
        let read = Model::parse(&written, "energy.safetensors").expect("and read again");
        assert_eq!(read.to_bytes().expect("as before"), written);
        let _ = model.components();
    }
});
