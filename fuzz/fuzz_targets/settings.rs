//! Settings of algorithms: the first line is an algorithm, then `KEY=VALUE` a line, as `--set` takes them, then JSON, as
//! `--config FILE` holds it. Nothing is built of them: they may ask for more than a machine has.
#![no_main]

use costate::run::Algo;
use costate::run::settings::{Override, resolve_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (head, file) = match text.find("\n{") {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let mut lines = head.lines();
    let name = lines.next().unwrap_or_default();
    let overrides: Vec<Override> = lines
        .take(8)
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| Override {
            key: key.into(),
            value: value.into(),
        })
        .collect();
    let file = file.map(|text| ("settings.json", text));
    match resolve_text(name, "pendulum", file, &overrides) {
        Ok(algo) => {
            let written = serde_json::to_string(&algo).expect("settings are JSON");
            let read: Algo = serde_json::from_str(&written).expect("settings are read again");
            assert_eq!(read, algo);
            read.check().expect("and are as sound");
        }
        Err(error) => assert_eq!(error.exit_code(), 2, "{error}"),
    }
});
