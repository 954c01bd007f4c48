//! Demonstrations that were cut short: named, remarked on, and compared with rollouts cut alike.
//!
//! Seen to fail: `a_discriminator_cannot_go_by_lengths` and `lengths_are_named_before_and_after_training` with whole
//! rollouts against cut demonstrations.

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{json, run, succeed};
use costate::app::train::Source;
use costate::app::{Changes, Existing, Progress, Request, Target, train};
use costate::run::settings::Override;
use costate_demos::dataset::Header;
use costate_demos::{Dataset, DatasetWriter};
use costate_envs::rng::stream;
use costate_envs::{End, Episode, Trajectory};
use rand::RngExt;

/// The shipped demonstrations of `point_mass`.
fn whole() -> Dataset {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
    Dataset::open(&root).unwrap()
}

/// An episode of which somebody stopped the recording after `steps`.
fn cut(episode: &Episode, steps: usize) -> Episode {
    let t = &episode.trajectory;
    let (o, a) = (t.observation_dim(), t.action_dim());
    Episode {
        trajectory: Trajectory::new(
            o,
            a,
            t.observations()[..(steps + 1) * o].to_vec(),
            t.actions()[..steps * a].to_vec(),
            t.log_densities().map(|l| l[..steps].to_vec()),
            End::Terminated,
        )
        .unwrap(),
        costs: episode.costs[..steps].to_vec(),
        ..episode.clone()
    }
}

/// All of them cut to 18 to 45 of their 50 steps.
fn short() -> Vec<Episode> {
    let mut rng = stream(1, "cuts", 0);
    let mut one = |e: &Episode| cut(e, rng.random_range(18..46));
    whole().episodes().iter().map(&mut one).collect()
}

fn write(folder: &Path, episodes: &[Episode]) {
    let dataset = whole();
    let meta = dataset.meta();
    let header = Header {
        env: meta.env.clone(),
        spec: meta.spec.clone(),
        expert: meta.expert.clone(),
        seed: meta.seed,
    };
    let mut writer = DatasetWriter::create(folder, header).unwrap();
    for episode in episodes {
        writer.append(episode).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn lengths_are_named_before_and_after_training() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("short"), &short());
    write(&at.join("whole"), &whole().episodes()[..4]);
    let train = |demos: &str, algo: &str, more: &[&str]| {
        let mut args = vec!["train", demos, "--algo", algo, "--set", "iterations=2"];
        args.extend(more);
        let output = run(at, &args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        error
    };
    let small = ["--set", "base_steps=10", "--set", "validation.policies=0"];
    let said = train("short", "gan-gcl", &[&small[..], &["-o", "run"]].concat());
    let remark = said.lines().find(|l| l.contains("end early")).unwrap();
    assert!(
        remark.starts_with("25 of 25 demonstrations end early: "),
        "{remark}"
    );
    assert!(remark.contains("against a horizon of 50"), "{remark}");
    assert!(
        remark.contains("Rollouts are cut to the same lengths"),
        "{remark}"
    );
    let found = json(&succeed(at, &["diagnose", "run", "--json"]));
    assert_eq!(found[0]["name"], "short demonstrations");
    assert!(succeed(at, &["diagnose", "run"]).contains("25 of 25 demonstrations end early"));

    let said = train("whole", "gan-gcl", &[&small[..], &["-o", "sound"]].concat());
    assert!(!said.contains("end early"), "{said}");
    // Cloning compares no lengths.
    let said = train("short", "bc", &["-o", "clone"]);
    assert!(!said.contains("end early"), "{said}");
}

/// GAN-GCL or GCL in a few rollouts, without fresh policies on its cost.
fn request(algo: &str, demos: &Path, run: &Path, set: &[(&str, &str)]) -> Request<Source> {
    let mut request = Request::imitation(algo, demos, run);
    let change = |(key, value): &(&str, &str)| Override {
        key: (*key).into(),
        value: (*value).into(),
    };
    request.changes.set = set.iter().map(change).collect();
    request.workers = 2;
    request
}

#[test]
fn a_discriminator_cannot_go_by_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let (demos, run) = (folder.path().join("short"), folder.path().join("run"));
    write(&demos, &short());
    let set = [
        ("iterations", "10"),
        ("base_steps", "1000"),
        ("trajectories", "32"),
        ("validation.policies", "0"),
    ];
    let trained = train(
        &request("gan-gcl", &demos, &run, &set),
        &AtomicBool::new(false),
    )
    .unwrap();
    let metrics = trained.worked.run.metrics().unwrap();
    let accuracy = metrics[9]["discriminator_accuracy"].as_f64().unwrap();
    // 0.84; 0.94 where whole rollouts are compared: sums over 50 steps against sums over 18 to 45.
    assert!(accuracy < 0.9, "{accuracy}");
}

/// Stops a training after its second iteration.
struct AfterTwo(AtomicBool);

impl Progress for AfterTwo {
    fn metrics(&self, line: &serde_json::Map<String, serde_json::Value>) {
        self.0.store(line["iteration"] == 1, Ordering::SeqCst);
    }

    fn interrupt(&self) -> &AtomicBool {
        &self.0
    }
}

/// Two iterations, a checkpoint, two more: rollouts of past policies are cut again as they were.
#[test]
fn a_resumed_run_cuts_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("short"), &short()[..5]);
    let never = AtomicBool::new(false);
    for algo in ["gan-gcl", "gcl"] {
        let mut set = vec![
            ("iterations", "4"),
            ("trajectories", "4"),
            ("past_policies", "2"),
        ];
        if algo == "gan-gcl" {
            set.extend([("base_steps", "20"), ("validation.policies", "0")]);
        }
        let request = |name: &str| {
            let run = at.join(format!("{algo}-{name}"));
            request(algo, &at.join("short"), &run, &set)
        };
        let whole = train(&request("whole"), &never).unwrap().worked;
        let mut request = request("stopped");
        let stopped = train(&request, &AfterTwo(AtomicBool::new(false)));
        let stopped = stopped.unwrap().worked;
        assert!(!stopped.finished && stopped.done.iterations == 2);
        request.changes = Changes::default();
        request.target = Target::Existing(Existing {
            folder: stopped.run.path().into(),
            ..Existing::default()
        });
        drop(stopped);
        let resumed = train(&request, &never).unwrap().worked;
        assert!(resumed.finished);
        for file in ["policy.safetensors", "cost.safetensors"] {
            let [whole, resumed] = [&whole, &resumed].map(|w| fs::read(w.run.file(file)).unwrap());
            assert!(whole == resumed, "{algo}: {file}");
        }
    }
}
