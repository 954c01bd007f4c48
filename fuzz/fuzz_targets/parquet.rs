//! Import of tables in Parquet.
#![no_main]

use costate_demos::import::{ChannelMap, Mapping};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: costate_fuzz::outside_may_panic(), |data: &[u8]| {
    let mapping = Mapping {
        observations: vec![ChannelMap::of("observations"), ChannelMap::of("a")],
        actions: vec![ChannelMap::of("actions")],
        episode: Some("episode".into()),
        dt_s: Some(0.1),
        ..Mapping::default()
    };
    costate_fuzz::import_bytes("file.parquet", data, mapping);
});
