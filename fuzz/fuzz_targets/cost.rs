//! `cost.safetensors`: learned costs and values.
#![no_main]

use costate::cost::EnergyModel;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(file) = costate_fuzz::safetensors(data) else {
        return;
    };
    let model = match EnergyModel::parse(&file, "cost.safetensors") {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = model.to_bytes().expect("a cost is written");
    let read = EnergyModel::parse(&written, "cost.safetensors").expect("and read again");
    assert_eq!(read.to_bytes().expect("as before"), written);
    let _ = (model.log_z(), model.sees_actions(), model.freeze());
});
