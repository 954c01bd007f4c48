//! What a step allocates: nothing of ours. rapier allocates within its step; an environment or a rollout adds nothing to
//! what the bare step of the same episode does.
//!
//! Seen to fail: a `Vec` made in `PhysicsEnv::step` or in `Runner::run`'s loop.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use costate_envs::model::{Model, parse};
use costate_envs::physics::{Blueprint, Physics};
use costate_envs::registry::names;
use costate_envs::rollout::{ActionChoice, Job, Runner};
use costate_envs::{EnvConfig, timing};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all calls go to the system's allocator; the counter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|c| c.set(c.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = COUNT.with(Cell::get);
    let result = work();
    (COUNT.with(Cell::get) - before, result)
}

/// Arrays of an episode that `Runner::run` hands over: observations, actions, log-densities and costs, and what is
/// made of them.
const OF_AN_EPISODE: u64 = 8;

#[test]
fn without_physics_a_step_allocates_nothing() {
    let factory = EnvConfig::named("lq").unwrap().factory().unwrap();
    let actor = Arc::new(timing::actor(&factory));
    let mut env = factory.build();
    let mut observation = vec![0.0; factory.spec().observation.dim()];
    let mut scratch = actor.scratch();
    let mut episode = || {
        env.reset(3);
        for _ in 0..factory.spec().horizon {
            env.observe(&mut observation);
            actor.forward(&observation, &mut scratch);
            env.step(&scratch.mean).unwrap();
        }
    };
    episode();
    assert_eq!(allocations(episode).0, 0);
}

#[test]
fn nothing_is_allocated_beside_the_physics() {
    for name in names() {
        let config = EnvConfig::named(name).unwrap();
        let factory = config.factory().unwrap();
        let actor = Arc::new(timing::actor(&factory));
        let mut runner = Runner::new(&factory, &actor);
        let mut run = || runner.run(ActionChoice::Sample, Job::new(5)).unwrap();
        run();
        let (of_rollout, episode) = allocations(run);
        let t = &episode.trajectory;
        let mut env = factory.build();
        env.reset(5);
        let bare = parse::<Model>(&config.model, "").ok().map(|model| {
            let mut physics = Physics::new(Arc::new(Blueprint::new(&model).unwrap()));
            physics.reset(&env.coordinates());
            (physics, model.steps_per_control)
        });
        let (mut physics, steps) = bare.unzip();
        let mut observation = vec![0.0; factory.spec().observation.dim()];
        let mut of_env = 0;
        let mut beyond_bare = Vec::new();
        // Worlds warm up, too: the first episode lets their arrays grow.
        for warm in [false, true] {
            of_env = allocations(|| env.reset(5)).0;
            for k in 0..t.len() {
                let action = t.action(k);
                let beside = allocations(|| {
                    env.observe(&mut observation);
                    env.solved();
                    env.cost(action);
                });
                assert_eq!(beside.0, 0, "{name}: to observe, step {k}");
                let of_step = allocations(|| env.step(action).unwrap()).0;
                let of_bare = match (&mut physics, steps) {
                    (Some(physics), Some(steps)) => allocations(|| {
                        physics.push(action);
                        (0..steps).for_each(|_| physics.bare_step());
                    }),
                    _ => (0, ()),
                };
                of_env += of_step;
                if !warm {
                    beyond_bare.push(of_step as i64 - of_bare.0 as i64);
                }
            }
        }
        // Now and then a stop that is switched off, or a contact, makes a difference in rapier.
        beyond_bare.sort_unstable();
        let usual = beyond_bare[beyond_bare.len() / 2];
        assert!(
            usual <= 0,
            "{name}: {usual} more allocations a step than rapier alone"
        );
        assert!(
            of_rollout <= of_env + OF_AN_EPISODE,
            "{name}: {of_rollout} allocations in a rollout of {} steps, {of_env} in its environment",
            t.len()
        );
    }
}
