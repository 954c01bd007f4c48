//! Numbers that can be read but can hardly be meant.

use std::path::Path;

use costate_demos::dataset::Header;
use costate_demos::experts::ExpertDesign;
use costate_demos::record::{Plan, doubts, play_episodes};
use costate_demos::{Dataset, DatasetWriter, check};
use costate_envs::rng::derive_seed;
use costate_envs::{EnvConfig, Episode, Trajectory, registry};
use tempfile::tempdir;

/// What `demos check` remarks on pendulum demonstrations whose rows were changed: observations, actions, costs.
fn remarks(change: impl Fn(usize, &mut [f32], &mut [f32], &mut [f64], &mut u64)) -> Vec<String> {
    let mut config = EnvConfig::named("pendulum").unwrap();
    config.set("task.horizon", "100").unwrap();
    let factory = config.factory().unwrap();
    let expert = ExpertDesign::new(&factory, None, None).unwrap();
    let plan = Plan {
        episodes: 3,
        seed: 0,
        workers: 1,
    };
    let start = |i| derive_seed(0, "demonstration", i as u64);
    let episodes = play_episodes(&factory, &expert, plan, start).unwrap();
    let parent = tempdir().unwrap();
    let folder = parent.path().join("d");
    let header = Header {
        env: factory.config().clone(),
        spec: factory.spec().clone(),
        expert: expert.info(),
        seed: 0,
    };
    let mut writer = DatasetWriter::create(&folder, header).unwrap();
    for (i, mut episode) in episodes.into_iter().enumerate() {
        let t = &episode.trajectory;
        let (mut o, mut a) = (t.observations().to_vec(), t.actions().to_vec());
        change(i, &mut o, &mut a, &mut episode.costs, &mut episode.seed);
        let trajectory =
            Trajectory::new(3, 1, o, a, t.log_densities().map(<[f64]>::to_vec), t.end());
        let episode = Episode {
            trajectory: trajectory.unwrap(),
            ..episode
        };
        writer.append(&episode).unwrap();
    }
    writer.finish().unwrap();
    let report = check(&folder).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    report.remarks
}

fn names(remarks: &[String], parts: &[&str]) {
    let all = |r: &String| parts.iter().all(|p| r.contains(p)) && !r.contains('\n');
    assert!(
        remarks.iter().any(all),
        "{parts:?} are not in: {remarks:#?}"
    );
}

#[test]
fn sound_demonstrations_have_none() {
    assert_eq!(remarks(|_, _, _, _, _| ()), Vec::<String>::new());
}

#[test]
fn shipped_demonstrations_have_none() {
    for env in registry::names() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(env);
        let report = check(&folder).unwrap();
        assert_eq!(report.remarks, Vec::<String>::new(), "{env}");
        let dataset = Dataset::open(&folder).unwrap();
        assert_eq!(doubts(dataset.meta()), Vec::<String>::new(), "{env}");
    }
}

#[test]
fn other_units_are_named_with_channel_and_figures() {
    let found = remarks(|_, _, a, _, _| a.iter_mut().for_each(|v| *v *= 1000.0));
    names(
        &found,
        &[
            "action `torque` (N m) reaches",
            "times its bound of 2",
            "is it in N m?",
        ],
    );
    let found = remarks(|_, _, a, _, _| a.iter_mut().for_each(|v| *v *= 1e-3));
    names(
        &found,
        &[
            "action `torque` (N m) stays within",
            "times less than its bound",
        ],
    );
    let found = remarks(|_, o, _, _, _| o.iter_mut().skip(2).step_by(3).for_each(|v| *v *= 57.3));
    names(
        &found,
        &[
            "observation `angular_velocity` (rad/s) is",
            "in episode 0",
            "outside its bounds -8 … 8",
        ],
    );
}

#[test]
fn channels_that_were_not_recorded_are_named() {
    let found = remarks(|_, _, a, _, _| a.fill(0.0));
    names(&found, &["action `torque` (N m) is 0 in all 300 steps"]);
    let found = remarks(|_, o, _, _, _| o.iter_mut().skip(1).step_by(3).for_each(|v| *v = 0.5));
    names(
        &found,
        &[
            "observation `sin` (1) is 0.5 in all 303 rows",
            "varies in the environment's own runs",
        ],
    );
}

#[test]
fn saturated_actions_are_named() {
    let found = remarks(|_, _, a, _, _| a.iter_mut().for_each(|v| *v = 2.5 * v.signum()));
    names(
        &found,
        &["action `torque` (N m) is at its bounds", "300 of 300 steps"],
    );
}

#[test]
fn episodes_of_another_world_and_costs_of_another_scale_are_named() {
    let found = remarks(|i, _, _, _, seed| *seed ^= u64::from(i == 1));
    names(
        &found,
        &[
            "does not reproduce 1 of 3 episodes",
            "in episode 1, step 0",
            "from seed",
        ],
    );
    let found = remarks(|_, o, _, _, _| o.iter_mut().skip(3).for_each(|v| *v *= 0.9));
    names(
        &found,
        &[
            "does not reproduce 3 of 3 episodes",
            "in episode 0, step 1",
            "under the recorded actions",
        ],
    );
    let found = remarks(|_, _, _, c, _| c.iter_mut().for_each(|v| *v *= 100.0));
    names(
        &found,
        &["true_cost of episode 0 adds up to", "100.0000 times"],
    );
}

#[test]
fn episodes_that_are_there_twice_are_named() {
    let found = remarks(|_, o, a, _, _| {
        o.fill(0.25);
        a.fill(0.5);
    });
    names(&found, &["episode 1 is identical to episode 0"]);
    let found = remarks(|_, _, _, _, seed| *seed = 7);
    names(&found, &["episode 2 has the seed of episode 1, 7"]);
}
