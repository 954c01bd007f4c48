//! What a page says over its socket, one word a line, in a session without clock and network.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = costate_fuzz::scratch().join("demos");
    let _ = fs::remove_dir_all(&folder);
    costate_page::fuzz::converse(data, &folder);
});
