//! What a folder of LeRobot says of itself, `meta/info.json`; its table stays the same.
#![no_main]

use std::fs;

use costate_demos::import::Mapping;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = costate_fuzz::scratch().join("lerobot");
    let table = folder.join("data/chunk-000/file-000.parquet");
    if !table.exists() {
        fs::create_dir_all(folder.join("meta")).expect("the temporary folder can be written");
        fs::create_dir_all(folder.join("data/chunk-000")).expect("and this one");
        fs::write(&table, include_bytes!("../assets/lerobot.parquet")).expect("and this file");
    }
    fs::write(folder.join("meta/info.json"), data).expect("and this one");
    costate_fuzz::import_all(&[folder], Mapping::default());
});
