//! Import of CSV: the first line is a mapping, the form of `--mapping FILE`, or channels as `--observations` takes them; what
//! follows is the table.
#![no_main]

use costate_demos::import::{ChannelMap, Mapping};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |b| *b == b'\n');
    let first = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let mapping = match first.starts_with('{') {
        true => Mapping::from_json(&first),
        false => first
            .split(',')
            .map(str::parse)
            .collect::<Result<Vec<ChannelMap>, _>>()
            .map(|mut observations| Mapping {
                actions: observations.pop().into_iter().collect(),
                observations,
                dt_s: Some(0.1),
                ..Mapping::default()
            }),
    };
    let Ok(mapping) = mapping else {
        return;
    };
    let written = serde_json::to_string(&mapping).expect("a mapping is JSON");
    let read = Mapping::from_json(&written).expect("a mapping is read again");
    assert_eq!(read, mapping);
    costate_fuzz::import_bytes("table.csv", parts.next().unwrap_or_default(), mapping);
});
