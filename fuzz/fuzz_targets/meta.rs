//! `meta.json` of a dataset.
#![no_main]

use std::path::Path;

use costate_demos::dataset::Meta;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = Path::new("dataset");
    let meta = match Meta::parse(data, folder) {
        Ok(meta) => meta,
        Err(error) => {
            assert!(error.to_string().contains("dataset"), "{error}");
            return;
        }
    };
    let written = serde_json::to_vec(&meta).expect("a description is JSON");
    let read = Meta::parse(&written, folder).expect("what was accepted is accepted again");
    assert_eq!(read, meta);
    assert!(!meta.sessions().is_empty());
    for episode in [0, 1, meta.episodes.len(), usize::MAX] {
        let _ = meta.session_of(episode);
        let _ = meta.recorded_under(meta.seed, episode);
    }
    assert!(
        meta.success_rate()
            .is_none_or(|rate| (0.0..=1.0).contains(&rate))
    );
    assert!(meta.expert.action_noise_std.iter().all(|s| s.is_finite()));
    assert!(meta.episodes.iter().all(|e| e.true_return.is_finite()));
});
