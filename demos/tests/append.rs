//! Recordings that go on: another day, after a kill, by another expert; and what Minari is told of them.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{edit_meta, episode, header};
use costate_demos::dataset::{MINARI_MOST_ROWS, Meta, Status};
use costate_demos::experts::ExpertDesign;
use costate_demos::inspect::{self, fix};
use costate_demos::{
    Dataset, DatasetWriter, Plan, RecordError, append_dataset, check, record_dataset,
    resume_dataset,
};
use costate_envs::{End, EnvConfig, EnvFactory};
use parquet::file::reader::{FileReader, SerializedFileReader};
use tempfile::tempdir;

fn world() -> EnvFactory {
    let mut config = EnvConfig::named("pendulum").unwrap();
    config.set("task.horizon", "12").unwrap();
    config.factory().unwrap()
}

fn expert(name: Option<&str>, noise: Option<f64>) -> ExpertDesign {
    ExpertDesign::new(&world(), name, noise).unwrap()
}

fn plan(episodes: usize, seed: u64) -> Plan {
    Plan {
        episodes,
        seed,
        workers: 2,
    }
}

fn record(folder: &Path, episodes: usize, seed: u64) -> Meta {
    let never = AtomicBool::new(false);
    let (factory, design) = (world(), expert(None, None));
    record_dataset(
        folder,
        &factory,
        &design,
        plan(episodes, seed),
        &never,
        |_| {},
    )
    .unwrap()
}

fn append(folder: &Path, design: &ExpertDesign, more: Plan) -> Result<Meta, RecordError> {
    append_dataset(
        folder,
        &world(),
        design,
        more,
        &AtomicBool::new(false),
        |_| {},
    )
}

fn resume(folder: &Path, all: Plan) -> Result<Meta, RecordError> {
    let (factory, design) = (world(), expert(None, None));
    resume_dataset(
        folder,
        &factory,
        &design,
        all,
        &AtomicBool::new(false),
        |_| {},
    )
}

/// Every file of a dataset but Minari's, which holds the folder's name.
fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(
        "meta.json".to_owned(),
        fs::read(folder.join("meta.json")).unwrap(),
    )];
    for entry in fs::read_dir(folder.join("data")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            for file in ["metadata.json", "part-0.parquet"] {
                files.push((
                    format!("{name}/{file}"),
                    fs::read(entry.path().join(file)).unwrap(),
                ));
            }
        }
    }
    files.sort();
    files
}

/// What a check remarks about Minari.
fn remarked(folder: &Path) -> Vec<String> {
    let remarks = check(folder).unwrap().remarks;
    remarks
        .into_iter()
        .filter(|r| r.contains("Minari"))
        .collect()
}

fn minari(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("data/metadata.json")).unwrap()).unwrap()
}

#[test]
fn recording_more_later_gives_the_bits_of_recording_at_once() {
    let parent = tempdir().unwrap();
    let (at_once, later) = (parent.path().join("once"), parent.path().join("later"));
    let whole = record(&at_once, 5, 3);
    record(&later, 3, 3);
    let meta = append(&later, &expert(None, None), plan(2, 3)).unwrap();
    assert_eq!(meta, whole);
    assert_eq!(bytes(&later), bytes(&at_once));
    assert_eq!(minari(&later)["total_episodes"], 5);
    // An expert made again from the description of its dataset is the same, also with noise of one's own.
    for noise in [None, Some(0.07), Some(0.0)] {
        let design = expert(None, noise);
        let again = ExpertDesign::again(&design.info(), &world()).unwrap();
        assert_eq!(again.info(), design.info());
    }
}

#[test]
fn other_seeds_and_experts_are_noted_and_starts_never_repeat() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("d");
    let first = record(&folder, 2, 0);
    assert_eq!(first.format_version, 1);
    append(&folder, &expert(None, None), plan(2, 9)).unwrap();
    append(&folder, &expert(Some("ilqr"), None), plan(1, 0)).unwrap();
    // Under seed 9 again, by the first expert: its streams go on where they stopped.
    let meta = append(&folder, &expert(None, None), plan(2, 9)).unwrap();
    let noted: Vec<(usize, u64, &str)> = meta
        .appended
        .iter()
        .map(|s| (s.first_episode, s.seed, s.expert.name.as_str()))
        .collect();
    assert_eq!(noted, [(2, 9, "energy"), (4, 0, "ilqr"), (5, 9, "energy")]);
    assert_eq!((meta.format_version, meta.episodes.len()), (2, 7));
    let seeds: BTreeSet<u64> = meta.episodes.iter().map(|e| e.seed).collect();
    assert_eq!(seeds.len(), 7);
    let other = record(&parent.path().join("nine"), 4, 9);
    let under_nine = [2, 3, 5, 6].map(|i| meta.episodes[i].seed);
    assert_eq!(
        under_nine.to_vec(),
        other.episodes.iter().map(|e| e.seed).collect::<Vec<_>>()
    );
    let dataset = Dataset::open(&folder).unwrap();
    assert_eq!(dataset.meta(), &meta);
    let report = check(&folder).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(minari(&folder)["algorithm_name"], "energy, ilqr, energy");
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("d");
    record(&folder, 2, 0);
    let before = bytes(&folder);
    let refused = |result: Result<Meta, RecordError>, what: &str| {
        let message = result.unwrap_err().to_string();
        assert!(
            message.contains(what) && !message.contains('\n'),
            "{message}"
        );
        assert_eq!(bytes(&folder), before);
    };
    // Another world.
    let mut config = EnvConfig::named("pendulum").unwrap();
    config.set("task.horizon", "12").unwrap();
    config.set("rod.mass_kg", "2").unwrap();
    let heavy = config.factory().unwrap();
    let design = ExpertDesign::new(&heavy, None, None).unwrap();
    let never = AtomicBool::new(false);
    refused(
        append_dataset(&folder, &heavy, &design, plan(1, 0), &never, |_| {}),
        "another `pendulum`",
    );
    // Densities for some episodes only.
    refused(
        append(&folder, &expert(None, Some(0.0)), plan(1, 0)),
        "have log-densities",
    );
    refused(
        append(&folder, &expert(None, None), plan(0, 0)),
        "0 episodes",
    );
    refused(resume(&folder, plan(3, 0)), "`--append -n 1`");
    refused(resume(&folder, plan(1, 0)), "already holds 2 episodes");
    assert_eq!(resume(&folder, plan(2, 0)).unwrap().episodes.len(), 2);
    // Another process records.
    let busy = DatasetWriter::reopen(&folder).unwrap();
    refused(
        append(&folder, &expert(None, None), plan(1, 0)),
        "another process",
    );
    drop(busy);
    // A seed that is there already, in a dataset that was put together by hand.
    let next = record(&parent.path().join("e"), 3, 0).episodes[2].seed;
    edit_meta(&folder, |m| m["episodes"][1]["seed"] = next.into());
    let message = append(&folder, &expert(None, None), plan(1, 0))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("repeat the start of episode 1") && message.contains("--seed"),
        "{message}"
    );
}

#[test]
fn killed_recordings_say_so_and_are_finished_to_the_bytes_of_the_uninterrupted() {
    let parent = tempdir().unwrap();
    let (whole, cut) = (parent.path().join("whole"), parent.path().join("cut"));
    record(&whole, 5, 1);
    // A kill is a writer that never finishes, with half an episode beside the others.
    let kill = |from: usize, upto: usize| {
        let sound = Dataset::open(&whole).unwrap();
        let mut writer = match from {
            0 => {
                let meta = sound.meta().clone();
                let header = costate_demos::dataset::Header {
                    env: meta.env,
                    spec: meta.spec,
                    expert: meta.expert,
                    seed: meta.seed,
                };
                DatasetWriter::create_planned(&cut, header, Some(5)).unwrap()
            }
            _ => {
                let mut writer = DatasetWriter::reopen(&cut).unwrap();
                writer.go_on(1, expert(None, None).info(), 5).unwrap();
                writer
            }
        };
        for episode in &sound.episodes()[from..upto] {
            writer.append(episode).unwrap();
        }
        drop(writer);
        let half = cut.join(format!("data/.{upto}.tmp"));
        fs::create_dir(&half).unwrap();
        fs::write(half.join("part-0.parquet"), b"PAR1 half a fi").unwrap();
        fs::write(cut.join("meta.json.tmp"), b"{ \"form").unwrap();
    };
    kill(0, 2);
    let report = check(&cut).unwrap();
    assert_eq!(
        (report.status, report.sound, report.problems),
        (Status::Recording, 2, vec![])
    );
    let words = inspect::unfinished(
        &cut,
        report.status,
        report.episodes,
        report.planned_episodes,
    );
    let words = words.unwrap();
    assert!(
        words.contains("unfinished: 2 of 5") && words.contains("--resume"),
        "{words}"
    );
    assert_eq!(
        minari(&cut)["total_episodes"],
        1,
        "described since its first episode"
    );
    let message = append(&cut, &expert(None, None), plan(1, 1))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("2 of 5 episodes") && message.contains("--resume"),
        "{message}"
    );
    let killed = fs::read(cut.join("meta.json")).unwrap();
    resume(&cut, plan(5, 1)).unwrap();
    assert_eq!(bytes(&cut), bytes(&whole));
    assert!(!cut.join("data/.2.tmp").exists());

    // Killed before anything was recorded, and while it recorded more.
    fs::remove_dir_all(&cut).unwrap();
    kill(0, 0);
    resume(&cut, plan(5, 1)).unwrap();
    assert_eq!(bytes(&cut), bytes(&whole));
    fs::remove_dir_all(&cut).unwrap();
    record(&cut, 3, 1);
    kill(3, 4);
    assert_eq!(Dataset::open(&cut).unwrap().episodes().len(), 4);
    resume(&cut, plan(5, 1)).unwrap();
    assert_eq!(bytes(&cut), bytes(&whole));
    let _ = fs::remove_file(cut.join("meta.json.tmp"));
    assert!(killed != fs::read(cut.join("meta.json")).unwrap());
}

#[test]
fn a_cancelled_recording_goes_on_where_it_stopped() {
    let parent = tempdir().unwrap();
    let (whole, cut) = (parent.path().join("whole"), parent.path().join("cut"));
    record(&whole, 9, 1);
    let cancel = AtomicBool::new(false);
    let (factory, design) = (world(), expert(None, None));
    let meta = record_dataset(&cut, &factory, &design, plan(9, 1), &cancel, |_| {
        cancel.store(true, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(
        (meta.status, meta.planned_episodes),
        (Status::Complete, None)
    );
    if meta.episodes.len() < 9 {
        append(&cut, &design, plan(9 - meta.episodes.len(), 1)).unwrap();
    }
    assert_eq!(bytes(&cut), bytes(&whole));
}

#[test]
fn episodes_that_minari_would_cut_in_two_are_not_described_to_it() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("d");
    let mut head = header(1, 1, true);
    head.spec.horizon = 2 * MINARI_MOST_ROWS;
    let mut writer = DatasetWriter::create(&folder, head).unwrap();
    // The longest that Minari reads as one has 2^17 rows.
    writer
        .append(&episode(1, 1, MINARI_MOST_ROWS - 1, true, End::Truncated))
        .unwrap();
    let minari = folder.join("data/metadata.json");
    assert!(minari.exists());
    writer
        .append(&episode(1, 1, MINARI_MOST_ROWS, true, End::Truncated))
        .unwrap();
    writer.finish().unwrap();
    assert!(!minari.exists());
    for id in [0, 1] {
        let file = fs::File::open(folder.join(format!("data/{id}/part-0.parquet"))).unwrap();
        let groups = SerializedFileReader::new(file)
            .unwrap()
            .metadata()
            .num_row_groups();
        assert_eq!(groups, 1, "episode {id}");
    }
    let remarks = check(&folder).unwrap().remarks;
    let about = |r: &String| r.contains("episode 1 has 131072 steps") && r.contains("Minari");
    assert!(remarks.iter().any(about), "{remarks:?}");
    assert!(!fix(&folder).unwrap());
    assert!(!minari.exists());
}

#[test]
fn renamed_datasets_are_described_to_minari_anew_on_request() {
    let parent = tempdir().unwrap();
    let (old, new) = (
        parent.path().join("swing-v0"),
        parent.path().join("mine-v3"),
    );
    record(&old, 2, 0);
    assert_eq!(minari(&old)["dataset_id"], "swing-v0");
    assert!(remarked(&old).is_empty());
    fs::rename(&old, &new).unwrap();
    let remarks = remarked(&new);
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    for part in ["`swing-v0`", "`mine-v3`", "costate demos check --fix"] {
        assert!(remarks[0].contains(part), "{remarks:?}");
    }
    let before = bytes(&new);
    assert!(fix(&new).unwrap());
    assert_eq!(minari(&new)["dataset_id"], "mine-v3");
    assert_eq!(bytes(&new), before);
    assert!(remarked(&new).is_empty());
    assert!(!fix(&new).unwrap());
    fs::remove_file(new.join("data/metadata.json")).unwrap();
    assert!(remarked(&new)[0].contains("missing"));
    assert!(fix(&new).unwrap());
    assert_eq!(minari(&new)["total_episodes"], 2);
}

#[test]
fn a_recording_stopped_before_its_first_episode_is_unfinished_and_can_go_on() {
    let parent = tempdir().unwrap();
    let (whole, cut) = (parent.path().join("whole"), parent.path().join("cut"));
    record(&whole, 3, 1);
    let (factory, design) = (world(), expert(None, None));
    let stopped = AtomicBool::new(true);
    let meta = record_dataset(&cut, &factory, &design, plan(3, 1), &stopped, |_| {}).unwrap();
    assert_eq!((meta.status, meta.episodes.len()), (Status::Recording, 0));
    assert_eq!(meta.planned_episodes, Some(3));
    let never = AtomicBool::new(false);
    resume_dataset(&cut, &factory, &design, plan(3, 1), &never, |_| {}).unwrap();
    assert_eq!(
        fs::read(cut.join("meta.json")).unwrap(),
        fs::read(whole.join("meta.json")).unwrap()
    );
}
