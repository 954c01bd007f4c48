//! How fast the worlds are (`costate_envs::timing`): a row a world. Arguments: names of worlds, and `--turns N`.

use costate_base::workers::default_workers;
use costate_envs::registry::names;
use costate_envs::timing::{Paced, Spread, measure};

fn main() {
    // Cargo adds `--bench`.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let turns = args.iter().position(|a| a == "--turns");
    let number = turns
        .and_then(|i| args.get(i + 1))
        .map_or(Ok(15), |n| n.parse());
    let Ok(number) = number else {
        eprintln!("--turns takes a number");
        std::process::exit(2);
    };
    let asked: Vec<&String> = match turns {
        Some(i) => args[..i].iter().chain(args.iter().skip(i + 2)).collect(),
        None => args.iter().collect(),
    };
    let workers = default_workers();
    println!(
        "control steps a second, medians of {number} turns with their quartiles; in brackets the share of the bare rate"
    );
    println!(
        "{:<20} {:>27} {:>34} {:>34} {:>28} {:>10}",
        "world",
        "bare",
        "environment",
        "rollout",
        format!("{workers} workers / one"),
        "reset, µs"
    );
    for name in names() {
        if !asked.is_empty() && !asked.iter().any(|a| *a == name) {
            continue;
        }
        let speed = match measure(name, workers, number) {
            Ok(speed) => speed,
            Err(error) => {
                eprintln!("{name}: {error}");
                std::process::exit(1);
            }
        };
        println!(
            "{name:<20} {:>27} {:>34} {:>34} {:>28} {:>10.2}",
            speed.bare.map_or("-".into(), rate),
            paced(speed.env),
            paced(speed.rollout),
            format!(
                "{:.0} ({:.2})",
                1.0 / speed.all.median,
                speed.speedup.median
            ),
            speed.reset.median * 1e6,
        );
    }
}

fn rate(step: Spread) -> String {
    let [median, low, high] = [step.median, step.high, step.low].map(|s| 1.0 / s);
    format!("{median:.0} [{low:.0}, {high:.0}]")
}

fn paced(p: Paced) -> String {
    let rate = rate(p.step);
    match p.of_bare {
        Some(share) => format!("{rate} ({:.2})", share.median),
        None => rate,
    }
}
