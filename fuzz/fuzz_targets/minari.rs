//! What a folder of Minari says of itself, `data/metadata.json`; its episode stays the same.
#![no_main]

use std::fs;

use costate_demos::import::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = costate_fuzz::scratch().join("minari");
    let episode = folder.join("data/0/part-0.parquet");
    if !episode.exists() {
        fs::create_dir_all(folder.join("data/0")).expect("the temporary folder can be written");
        fs::write(&episode, include_bytes!("../assets/minari.parquet")).expect("and this file");
    }
    fs::write(folder.join("data/metadata.json"), data).expect("and this one");
    let mapping = Mapping {
        dt_s: Some(0.1),
        ..Mapping::default()
    };
    costate_fuzz::import_all(&[folder], mapping);
});
