//! Import of HDF5 files.
#![no_main]

use costate_demos::import::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: costate_fuzz::outside_may_panic(), |data: &[u8]| {
    let mapping = Mapping {
        dt_s: Some(0.1),
        ..Mapping::default()
    };
    costate_fuzz::import_bytes("file.hdf5", data, mapping);
});
