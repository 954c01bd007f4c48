//! Episodes that end early: who ended them, and what is said of it.

use costate_demos::experts::ExpertDesign;
use costate_demos::inspect::Lengths;
use costate_demos::record::{Plan, play, play_episodes};
use costate_envs::rng::derive_seed;
use costate_envs::{End, Env, EnvConfig, EnvFactory, Episode, Trajectory};

fn episodes(env: &str, count: usize) -> (EnvFactory, Vec<Episode>) {
    let factory = EnvConfig::named(env).unwrap().factory().unwrap();
    let expert = ExpertDesign::new(&factory, None, None).unwrap();
    let plan = Plan {
        episodes: count,
        seed: 3,
        workers: 1,
    };
    let start = |i| derive_seed(3, "demonstration", i as u64);
    let episodes = play_episodes(&factory, &expert, plan, start).unwrap();
    (factory, episodes)
}

/// What is left of an episode when its recorder stops after `steps`, as a person does at the goal.
fn cut(episode: &Episode, steps: usize, end: End) -> Episode {
    let t = &episode.trajectory;
    let (o, a) = (t.observation_dim(), t.action_dim());
    let trajectory = Trajectory::new(
        o,
        a,
        t.observations()[..(steps + 1) * o].to_vec(),
        t.actions()[..steps * a].to_vec(),
        t.log_densities().map(|d| d[..steps].to_vec()),
        end,
    );
    Episode {
        trajectory: trajectory.unwrap(),
        costs: episode.costs[..steps].to_vec(),
        ..episode.clone()
    }
}

#[test]
fn recordings_that_were_cut_short_are_told_from_episodes_that_the_environment_ended() {
    let (factory, whole) = episodes("point_maze", 3);
    let lengths = Lengths::of(&whole, &factory);
    assert_eq!((lengths.shortest, lengths.longest), (60, 60));
    assert_eq!(lengths.remark(), None);
    assert_eq!(
        lengths.in_words(),
        "episodes of 60 of 60 steps; none ends before the horizon"
    );

    for (end, flags) in [
        (End::Terminated, "(2 terminated, 0 truncated)"),
        (End::Truncated, "(0 terminated, 2 truncated)"),
    ] {
        let short = [
            cut(&whole[0], 21, end),
            cut(&whole[1], 34, end),
            whole[2].clone(),
        ];
        let lengths = Lengths::of(&short, &factory);
        assert_eq!((lengths.shortest, lengths.longest), (21, 60));
        assert!(lengths.in_words().contains(flags), "{}", lengths.in_words());
        let remark = lengths.remark().unwrap();
        for part in [
            "2 of 3 demonstrations end early",
            "after 21 to 34 steps of a horizon of 60",
            "the environment did not end them",
            "rollouts that are cut alike",
        ] {
            assert!(remark.contains(part), "`{part}` is not in: {remark}");
        }
        assert!(!remark.contains('\n'));
    }
}

#[test]
fn episodes_that_the_environment_ended_need_no_remark() {
    let mut config = EnvConfig::named("lunar_lander").unwrap();
    config.set("task.ends_on_crash", "true").unwrap();
    let factory = config.factory().unwrap();
    let mut env = factory.build();
    let mut fall = |seed| {
        let engines_off = |_: &dyn Env, action: &mut [f32]| {
            action.fill(0.0);
            Ok(None)
        };
        play(env.as_mut(), 0, seed, engines_off).unwrap()
    };
    let crashed = vec![fall(0), fall(1)];
    let lengths = Lengths::of(&crashed, &factory);
    assert!(lengths.terminated_early > 0, "{lengths:?}");
    assert_eq!(lengths.ran_on, 0);
    assert_eq!(lengths.simulated, lengths.terminated_early);
    assert_eq!(lengths.remark(), None);
    // The same flags on episodes that the simulator does not know are named as unconfirmed.
    let mut foreign = crashed;
    foreign.iter_mut().for_each(|e| e.seed ^= 1);
    let remark = Lengths::of(&foreign, &factory).remark().unwrap();
    assert!(
        remark.contains("cannot confirm") && !remark.contains("was cut short"),
        "{remark}"
    );
}
