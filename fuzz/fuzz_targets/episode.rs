//! An episode of a dataset, as Parquet. The first byte says whether its costs are known.
#![no_main]

use std::path::Path;

use costate_demos::dataset::{decode_episode, encode_episode};
use costate_envs::{Channel, EnvSpec, Space};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: costate_fuzz::outside_may_panic(), |data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let costs_known = first % 2 == 0;
    let spec = EnvSpec {
        name: "lq".into(),
        summary: "two numbers".into(),
        horizon: 4,
        control_period_s: 1.0,
        observation: Space(vec![
            Channel::new("a", "1", -1.0, 1.0),
            Channel::new("b", "1", -1.0, 1.0),
        ]),
        action: Space(vec![Channel::new("u", "1", -1.0, 1.0)]),
    };
    let path = Path::new("part-0.parquet");
    let episode = match decode_episode(path, bytes.to_vec(), 0, 7, &spec, costs_known) {
        Ok(episode) => episode,
        Err(error) => {
            assert!(error.to_string().contains("part-0.parquet"), "{error}");
            return;
        }
    };
    let trajectory = &episode.trajectory;
    assert!(trajectory.observations().iter().all(|v| v.is_finite()));
    assert!(trajectory.actions().iter().all(|v| v.is_finite()));
    assert!(episode.costs.iter().all(|v| v.is_finite()));
    let written = encode_episode(0, &episode, costs_known).expect("what was read is written");
    let read = decode_episode(path, written, 0, 7, &spec, costs_known).expect("and read again");
    assert_eq!(read.trajectory, episode.trajectory);
    assert_eq!(read.costs, episode.costs);
});
