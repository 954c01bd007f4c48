//! Steps per second of a world under random actions: `cargo run --release -p costate-demos --example steps -- ENV WORKERS
//! SECONDS`. benches/gym/steps.py measures Stable-Baselines3's SubprocVecEnv beside it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use costate_demos::record::{play, uniform};
use costate_envs::EnvConfig;
use costate_envs::rng::{derive_seed, stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [env, workers, seconds] = arguments.as_slice() else {
        return Err("expected ENV WORKERS SECONDS".into());
    };
    let (workers, seconds): (u64, f64) = (workers.parse()?, seconds.parse()?);
    let factory = EnvConfig::named(env)?.factory()?;
    let (steps, ready, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let work = &|worker: u64| {
        let mut env = factory.build();
        for episode in 0.. {
            let seed = derive_seed(worker, "steps", episode);
            let mut actions = stream(seed, "actions", 0);
            let played = play(env.as_mut(), 0, seed, |env, action| {
                uniform(&env.spec().action, &mut actions, action);
                if ready.load(Ordering::Relaxed) >= workers {
                    steps.fetch_add(1, Ordering::Relaxed);
                }
                Ok(None)
            });
            played.map_err(|e| e.to_string())?;
            // The first episode starts Python and warms up.
            if episode == 0 {
                ready.fetch_add(1, Ordering::Relaxed);
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok::<_, String>(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|w| scope.spawn(move || work(w))).collect();
        while ready.load(Ordering::Relaxed) < workers && !threads.iter().any(|t| t.is_finished()) {
            thread::sleep(Duration::from_millis(10));
        }
        let (from, began) = (steps.load(Ordering::Relaxed), Instant::now());
        thread::sleep(Duration::from_secs_f64(seconds));
        let (count, time) = (steps.load(Ordering::Relaxed) - from, began.elapsed());
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| "a worker panicked")??;
        }
        println!("{:.0}", count as f64 / time.as_secs_f64());
        Ok(())
    })
}
