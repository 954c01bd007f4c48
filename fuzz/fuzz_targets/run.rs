//! `config.json` of a run.
#![no_main]

use costate::run::RunConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match RunConfig::parse(text, "config.json") {
        Ok(config) => {
            let written = serde_json::to_string(&config).expect("a configuration is JSON");
            let read = RunConfig::parse(&written, "config.json").expect("and is read again");
            assert_eq!(read, config);
            let _ = config.imitated();
            if !config.env.is_gym() {
                let _ = config.env.factory();
            }
        }
        Err(error) => assert!(error.to_string().starts_with("config.json: "), "{error}"),
    }
});
