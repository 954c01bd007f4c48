//! The learning side of the page: trainings as processes that are started, watched, steered and read.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{SMALL, costate, run, succeed};
use costate::app::Demonstrations;
use costate::app::page::Trainer;
use costate::cost::{Dims, EnergyModel, StepCost};
use costate_page::learning::{Fault, Learning, Order, Refusal, RunLine, RunView, State, Training};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// A page with a folder of demonstrations, which ends what it started.
struct Page {
    folder: TempDir,
    trainer: Trainer,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.trainer.close();
    }
}

impl Page {
    /// With `demos`: 4 episodes of 40 steps.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let horizon = "env.task.horizon=40";
        let words = [
            "record",
            "cart_pole",
            "-n",
            "4",
            "--set",
            horizon,
            "-o",
            "demos",
            "--quiet",
        ];
        succeed(folder.path(), &words);
        Self {
            folder,
            trainer: Trainer::with(env!("CARGO_BIN_EXE_costate").into()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a run of this name is.
    fn place(&self, name: &str) -> PathBuf {
        self.path("runs").join(name)
    }

    fn train(&self, name: &str, algo: &str, settings: &[(&str, Value)]) -> Result<(), Refusal> {
        let settings = settings.iter().map(|(k, v)| ((*k).into(), v.clone()));
        let training = Training {
            dataset: "demos".into(),
            name: name.into(),
            algo: algo.into(),
            seed: 3,
            settings: settings.collect(),
        };
        let dataset = self.path("demos");
        self.trainer.train(&dataset, &self.place(name), &training)
    }

    fn view(&self, name: &str) -> RunView {
        self.trainer.run(&self.place(name), None).unwrap()
    }

    fn line(&self, name: &str) -> RunLine {
        self.view(name).line
    }

    /// Waits for what must come.
    fn wait(&self, name: &str, what: impl Fn(&RunLine) -> bool) -> RunView {
        let began = Instant::now();
        loop {
            let view = self.view(name);
            if what(&view.line) {
                return view;
            }
            assert!(began.elapsed() < LONG, "{view:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn order(&self, name: &str, order: Order) -> Result<(), Refusal> {
        self.trainer.order(&self.place(name), order)
    }

    fn checkpoints(&self, name: &str) -> usize {
        fs::read_dir(self.place(name).join("checkpoints"))
            .unwrap()
            .count()
    }
}

/// Of which gan-gcl takes seconds.
fn small() -> Vec<(&'static str, Value)> {
    let pairs = SMALL.iter().filter_map(|word| word.split_once('='));
    let pairs = pairs.map(|(key, value)| (key, serde_json::from_str(value).unwrap()));
    pairs.chain([("iterations", json!(3))]).collect()
}

#[test]
fn a_training_is_paused_stopped_resumed_and_comes_to_its_end() {
    let page = Page::new();
    assert!(page.trainer.runs(&page.path("runs")).is_empty());
    page.train("first", "bc", &[("iterations", json!(150))])
        .unwrap();
    let begun = page.wait("first", |line| line.iterations >= 3).line;
    assert_eq!((begun.state, begun.ours), (State::Running, true));
    assert_eq!((begun.planned, begun.seed), (150, 3));

    page.order("first", Order::Pause).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let paused = page.line("first");
    assert_eq!((paused.state, paused.ours), (State::Paused, true));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(
        page.line("first").iterations,
        paused.iterations,
        "it stands still"
    );
    assert!(page.view("first").said.starts_with("paused after"));

    page.order("first", Order::Resume).unwrap();
    page.wait("first", |line| line.iterations > paused.iterations);

    // Also while it stands still.
    page.order("first", Order::Pause).unwrap();
    page.order("first", Order::Stop).unwrap();
    let stopped = page.wait("first", |line| !line.ours);
    assert_eq!(stopped.line.state, State::Stopped, "{}", stopped.said);
    assert!(stopped.line.iterations < 150 && stopped.line.policy && !stopped.line.cost);
    assert!(
        stopped.said.starts_with("stopped after"),
        "{}",
        stopped.said
    );
    let again = page.order("first", Order::Stop).unwrap_err();
    assert!(
        again.fault == Fault::Misuse && again.message.contains("has ended"),
        "{again}"
    );

    page.order("first", Order::Resume).unwrap();
    let done = page.wait("first", |line| !line.ours && line.state == State::Done);
    assert_eq!(done.line.iterations, 150);
    assert!(
        done.said.starts_with("all 150 iterations in"),
        "{}",
        done.said
    );
    let more = page.order("first", Order::Resume).unwrap_err();
    assert!(
        more.fault == Fault::Misuse && more.message.contains("iterations=300"),
        "{more}"
    );
    // The newest.
    assert_eq!(page.checkpoints("first"), 3);

    let mut driver = page.trainer.policy(&page.place("first")).unwrap();
    let mut action = [f32::NAN];
    (driver.act)(
        &[0.0; 5][..driver.env.factory().unwrap().spec().observation.dim()],
        &mut action,
    );
    assert!(action[0].is_finite());
    assert_eq!(driver.env.name, "cart_pole");
}

#[test]
fn a_run_shows_curves_findings_settings_and_the_command_that_makes_it() {
    let page = Page::new();
    page.train("gan", "gan-gcl", &small()).unwrap();
    let view = page.wait("gan", |line| line.state == State::Done);
    let curve = |key: &str| view.curves.iter().find(|c| c.key == key).unwrap();
    for key in [
        "true_return",
        "discriminator_loss",
        "discriminator_accuracy",
        "ess",
        "log_z",
        "entropy",
    ] {
        let curve = curve(key);
        let iterations: Vec<f64> = curve.points.iter().map(|p| p[0]).collect();
        assert_eq!(iterations, [0.0, 1.0, 2.0], "{key}");
        assert!(
            !curve.title.is_empty() && !curve.about.contains('{'),
            "{key}"
        );
    }
    assert_eq!(view.curves[0].key, "true_return");
    assert_eq!(curve("true_return").levels[0].0, "demonstrations");
    assert_eq!(
        curve("discriminator_accuracy").levels[0],
        ("chance".into(), 0.5)
    );
    assert!(view.settings.contains(&("trajectories".into(), json!(8))));

    let later = page.trainer.run(&page.place("gan"), Some(1)).unwrap();
    assert!(
        later
            .curves
            .iter()
            .all(|c| c.points.iter().all(|p| p[0] > 1.0))
    );
    assert_eq!(later.curves[0].points.len(), 1);
    assert_eq!(later.curves.len(), view.curves.len());

    let told = run(page.folder.path(), &["diagnose", "runs/gan", "--json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let names: Vec<&str> = view.findings.iter().map(|f| f.name.as_str()).collect();
    let expected: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert!(
        !expected.is_empty() && names == expected,
        "{names:?}, {expected:?}"
    );
    assert!(
        view.findings
            .iter()
            .all(|f| !f.means.is_empty() && !f.advice.is_empty())
    );

    // Pasted, with another place to write to.
    let mut words = shlex::split(&view.command).unwrap();
    *words.last_mut().unwrap() = "again".into();
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    succeed(page.folder.path(), &words);
    for weights in ["policy.safetensors", "cost.safetensors"] {
        let [a, b] =
            [page.place("gan"), page.path("again")].map(|at| fs::read(at.join(weights)).unwrap());
        assert!(a == b, "{weights}: the command makes another run");
    }
}

#[test]
fn a_cost_is_asked_of_episodes_and_drawn_over_pairs_of_channels() {
    let page = Page::new();
    page.train("gan", "gan-gcl", &small()).unwrap();
    page.wait("gan", |line| line.state == State::Done);
    let place = page.place("gan");
    let demonstrations = Demonstrations::open(&page.path("demos")).unwrap();
    let episode = &demonstrations.dataset.episodes()[1];
    let costs = page.trainer.costs(&place, episode).unwrap();
    assert_eq!(costs.len(), episode.trajectory.len());
    assert!(costs.iter().all(|c| c.is_finite()));
    let cost = EnergyModel::read(&place.join("cost.safetensors")).unwrap();
    let dims = Dims {
        observation: episode.trajectory.observation_dim(),
        action: episode.trajectory.action_dim(),
    };
    for t in [0, 7, costs.len() - 1] {
        let trajectory = &episode.trajectory;
        let one = cost.costs(trajectory.observation(t), trajectory.action(t), dims)[0];
        let near = (one - costs[t]).abs() <= 1e-4 * one.abs().max(1.0);
        assert!(near, "step {t}: {one}, {}", costs[t]);
    }

    let landscapes = page.trainer.landscapes(&place).unwrap();
    let spec = demonstrations.factory.spec();
    let channels = spec.observation.dim();
    assert_eq!(landscapes.len(), channels * (channels - 1) / 2);
    for map in &landscapes {
        let [left, right, bottom, top] = map.area;
        assert!(left < right && bottom < top && map.x != map.y);
        assert!(map.cost.iter().all(|row| row.len() == map.cost.len()));
        let name = &spec.observation.0[map.x].name;
        assert!(map.names[0].starts_with(name.as_str()), "{:?}", map.names);
    }

    // More of the same demonstrations, recorded since, change nothing.
    let first = &landscapes[0];
    succeed(
        page.folder.path(),
        &["record", "--append", "-n", "1", "-o", "demos", "--quiet"],
    );
    assert_eq!(&page.trainer.landscapes(&place).unwrap()[0], first);

    let other = page.path("other");
    succeed(
        page.folder.path(),
        &["record", "pendulum", "-n", "1", "-o", "other", "--quiet"],
    );
    let other = Demonstrations::open(&other).unwrap();
    let refused = page
        .trainer
        .costs(&place, &other.dataset.episodes()[0])
        .unwrap_err();
    assert!(
        refused.fault == Fault::Misuse && refused.message.contains("channels"),
        "{refused}"
    );

    page.train("clone", "bc", &[("iterations", json!(1))])
        .unwrap();
    page.wait("clone", |line| line.state == State::Done);
    let refused = page
        .trainer
        .costs(&page.place("clone"), episode)
        .unwrap_err();
    assert!(
        refused.fault == Fault::Misuse && refused.message.contains("learns no cost"),
        "{refused}"
    );
    // The newest first.
    let runs = page.trainer.runs(&page.path("runs"));
    let names: Vec<&str> = runs.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"gan") && names.contains(&"clone"));
    assert!(runs.iter().all(|r| r.cost == (r.algo == "gan-gcl")));
}

#[test]
fn what_cannot_be_trained_is_refused_before_anything_starts() {
    let page = Page::new();
    let refused = |name: &str, algo: &str, settings: &[(&str, Value)], part: &str| {
        let refusal = page.train(name, algo, settings).unwrap_err();
        assert!(
            refusal.fault == Fault::Misuse && refusal.message.contains(part),
            "{refusal}"
        );
    };
    refused("a", "gan-gc", &[], "did you mean `gan-gcl`?");
    refused(
        "a",
        "bc",
        &[("iterration", json!(3))],
        "did you mean `iterations`?",
    );
    refused(
        "a",
        "bc",
        &[("iterations", json!(0))],
        "expected a whole number of at least 1",
    );
    refused("a", "rl", &[], "minimises a given cost");
    let asked = json!("mppi.onnx");
    let none = "has no expert of that name to ask";
    refused("a", "dagger", &[("expert", asked)], none);
    // By hand: there is nobody to ask.
    let meta = page.path("demos/meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    let mut by_hand: Value = serde_json::from_str(&text).unwrap();
    by_hand["expert"]["name"] = "human".into();
    fs::write(&meta, by_hand.to_string()).unwrap();
    refused("a", "dagger", &[], "needs an expert to ask");
    fs::write(&meta, text).unwrap();
    assert!(!page.path("runs").exists(), "nothing was started");

    page.train("a", "bc", &[("iterations", json!(1))]).unwrap();
    let taken = page.train("a", "bc", &[]).unwrap_err();
    assert_eq!(taken.fault, Fault::Conflict);
    assert!(
        taken.message.contains("there is a run `a` already"),
        "{taken}"
    );
    let training = Training {
        dataset: "none".into(),
        name: "b".into(),
        algo: "bc".into(),
        seed: 0,
        settings: Vec::new(),
    };
    let missing = page
        .trainer
        .train(&page.path("none"), &page.place("b"), &training);
    assert_eq!(missing.unwrap_err().fault, Fault::Misuse);
    let nothing = page.trainer.run(&page.place("nothing"), None).unwrap_err();
    assert!(
        nothing.fault == Fault::Misuse && nothing.message.contains("expected a run folder"),
        "{nothing}"
    );
}

#[test]
fn failures_say_why() {
    let page = Page::new();
    page.train("steep", "bc", &[("learning_rate", json!(1e30))])
        .unwrap();
    let failed = page.wait("steep", |line| line.state == State::Failed);
    assert!(failed.said.contains("diverged"), "{}", failed.said);
    assert!(!failed.line.ours);

    // A dataset whose description is sound and whose episodes are not.
    let first = fs::read_dir(page.path("demos/data"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::write(first.path().join("part-0.parquet"), b"nothing").unwrap();
    let refusal = page.train("damaged", "bc", &[]).unwrap_err();
    assert!(
        refusal.fault == Fault::Failure && refusal.message.contains("parquet"),
        "{refusal}"
    );
    assert!(!page.place("damaged").exists());
}

/// A training in a terminal, ended with the test.
struct Elsewhere(Child);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn runs_of_other_processes_are_watched_and_left_alone() {
    let page = Page::new();
    let words = [
        "train",
        "demos",
        "--algo",
        "bc",
        "--set",
        "iterations=100000",
        "-o",
        "runs/theirs",
        "--quiet",
    ];
    let mut child = costate(page.folder.path(), &words);
    let theirs = Elsewhere(child.stderr(Stdio::null()).spawn().unwrap());
    let began = Instant::now();
    while !page.place("theirs").join("metrics.jsonl").exists() {
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(20));
    }
    let line = page.line("theirs");
    assert_eq!((line.state, line.ours), (State::Running, false));
    for order in [Order::Pause, Order::Stop, Order::Resume] {
        let refused = page.order("theirs", order).unwrap_err();
        let wanted = match order {
            Order::Resume => Fault::Conflict,
            Order::Pause | Order::Stop => Fault::Misuse,
        };
        assert_eq!(refused.fault, wanted, "{refused}");
    }
    drop(theirs);
    // Killed: resumed here, it is this page's.
    assert_eq!(page.line("theirs").state, State::Stopped);
    page.order("theirs", Order::Resume).unwrap();
    let line = page.wait("theirs", |line| line.ours).line;
    assert_eq!(line.state, State::Running);
    let twice = page.order("theirs", Order::Resume).unwrap_err();
    assert!(
        twice.fault == Fault::Misuse && twice.message.contains("is running"),
        "{twice}"
    );
}

#[test]
fn closing_stops_what_runs_and_what_stands_still_and_keeps_their_work() {
    let page = Page::new();
    let endless = [("iterations", json!(100_000))];
    for name in ["one", "two"] {
        page.train(name, "bc", &endless).unwrap();
        page.wait(name, |line| line.iterations >= 2);
    }
    page.order("two", Order::Pause).unwrap();
    let began = Instant::now();
    page.trainer.close();
    assert!(began.elapsed() < Duration::from_secs(10));
    for name in ["one", "two"] {
        let line = page.line(name);
        assert_eq!((line.state, line.ours), (State::Stopped, false), "{name}");
        let newest = fs::read_dir(page.place(name).join("checkpoints")).unwrap();
        let newest = newest
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .max();
        assert_eq!(newest, Some(format!("{:06}", line.iterations)), "{name}");
    }
    let refused = page.train("three", "bc", &endless).unwrap_err();
    assert!(refused.message.contains("closing"), "{refused}");
}

#[test]
fn folders_that_are_no_runs_are_passed_over() {
    let page = Page::new();
    let runs = page.path("runs");
    fs::create_dir_all(runs.join("empty")).unwrap();
    fs::create_dir_all(runs.join("broken")).unwrap();
    fs::write(runs.join("broken/config.json"), "{").unwrap();
    assert!(page.trainer.runs(&runs).is_empty());
    assert!(page.trainer.runs(Path::new("/nonexistent")).is_empty());
}
