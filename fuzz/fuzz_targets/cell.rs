//! Results of benchmark cells.
#![no_main]

use costate::bench::CellResult;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match CellResult::parse(text, "cell.json") {
        Ok(cell) => {
            let written = serde_json::to_string(&cell).expect("a result is JSON");
            let read = CellResult::parse(&written, "cell.json").expect("and is read again");
            assert_eq!(read, cell);
        }
        Err(error) => assert!(error.to_string().starts_with("cell.json: "), "{error}"),
    }
});
