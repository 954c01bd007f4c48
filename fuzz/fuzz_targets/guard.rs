//! Requests at the page's door: none without the token is admitted.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &str| {
    const TOKEN: &str = "5ca1ab1e";
    if costate_page::fuzz::admits(request, TOKEN) {
        assert!(request.contains(TOKEN), "{request:?}");
    }
});
