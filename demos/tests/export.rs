//! Datasets exported and imported again: what is equal, and what a format does not hold.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{episode, header};
use costate_demos::export::{Exported, Format, export};
use costate_demos::import::{Imported, Request, import};
use costate_demos::{Dataset, DatasetReader, DatasetWriter, check};
use costate_envs::{End, Episode};
use tempfile::tempdir;

const ALL: [(Format, &str); 6] = [
    (Format::Csv, "d.csv"),
    (Format::Parquet, "d.parquet"),
    (Format::Npz, "d.npz"),
    (Format::LeRobot, "lerobot"),
    (Format::Minari, "mine-v0"),
    (Format::Imitation, "imitation"),
];

/// Three episodes, one of them terminated.
fn record(folder: &Path, n: usize, m: usize) {
    let mut writer = DatasetWriter::create(folder, header(n, m, false)).unwrap();
    for (steps, end) in [
        (7, End::Truncated),
        (4, End::Terminated),
        (1, End::Truncated),
    ] {
        writer.append(&episode(n, m, steps, false, end)).unwrap();
    }
    writer.finish().unwrap();
}

fn send(from: &Path, format: Format, to: &Path) -> Exported {
    export(&DatasetReader::open(from).unwrap(), format, to).unwrap()
}

fn back(path: &Path, exported: &Exported, to: &Path) -> Imported {
    let request = Request {
        sources: vec![path.to_owned()],
        mapping: exported.mapping.clone(),
        attach: None,
    };
    import(&request, to).unwrap()
}

/// Rewards that went through single precision.
fn single(episode: &Episode) -> Vec<f64> {
    episode.costs.iter().map(|c| f64::from(*c as f32)).collect()
}

#[test]
fn what_is_exported_comes_back() {
    for (n, m) in [(3, 2), (1, 1)] {
        let dir = tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        record(&at("from"), n, m);
        let from = Dataset::open(&at("from")).unwrap();
        for (format, name) in ALL {
            let exported = send(&at("from"), format, &at(name));
            assert_eq!((exported.episodes, exported.steps), (3, 12));
            let to = at(&format!("back-{name}"));
            let imported = back(&at(name), &exported, &to);
            assert!(check(&to).unwrap().is_sound());
            let to = Dataset::open(&to).unwrap();
            assert_eq!(to.episodes().len(), 3, "{format:?}");
            for (a, b) in from.episodes().iter().zip(to.episodes()) {
                assert_eq!(a.trajectory, b.trajectory, "{format:?}");
                match format {
                    Format::LeRobot | Format::Imitation => assert_eq!(single(a), b.costs),
                    _ => assert_eq!(a.costs, b.costs, "{format:?}"),
                }
            }
            let (was, is) = (&from.meta().spec, &to.meta().spec);
            assert_eq!(was.control_period_s, is.control_period_s);
            if matches!(format, Format::Csv | Format::Parquet | Format::Npz) {
                assert_eq!(
                    (&was.observation, &was.action),
                    (&is.observation, &is.action)
                );
            }
            assert!(
                imported.remarks.is_empty(),
                "{format:?}: {:?}",
                imported.remarks
            );
        }
    }
}

#[test]
fn the_same_dataset_gives_the_same_bytes_once() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("from"), 2, 1);
    for (format, name) in ALL {
        send(&at("from"), format, &at(name));
        fs::create_dir_all(at("again")).unwrap();
        send(&at("from"), format, &at("again").join(name));
        let files = |place: PathBuf| -> Vec<Vec<u8>> {
            let mut open = vec![place];
            let mut found = Vec::new();
            while let Some(path) = open.pop() {
                if path.is_dir() {
                    let mut inside: Vec<PathBuf> = fs::read_dir(&path)
                        .unwrap()
                        .map(|e| e.unwrap().path())
                        .collect();
                    inside.sort();
                    open.extend(inside);
                } else {
                    found.push(fs::read(&path).unwrap());
                }
            }
            found
        };
        assert_eq!(files(at(name)), files(at("again").join(name)), "{format:?}");
        let reader = DatasetReader::open(&at("from")).unwrap();
        let message = export(&reader, format, &at(name)).unwrap_err().to_string();
        assert!(message.contains("exists"), "{message}");
    }
    let reader = DatasetReader::open(&at("from")).unwrap();
    let message = export(&reader, Format::Minari, &at("unversioned"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("NAME-v0"), "{message}");
    assert!(!at("unversioned").exists());
}

#[test]
fn unknown_rewards_stay_unknown() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("log.csv"), "x,u,t\n0,1,0\n1,2,0.1\n2,0,0.2\n").unwrap();
    let request = Request {
        sources: vec![at("log.csv")],
        mapping: serde_json::from_value(serde_json::json!({
            "observations": [{"column": "x", "name": "x"}],
            "actions": [{"column": "u", "name": "u"}],
            "time": "t",
        }))
        .unwrap(),
        attach: None,
    };
    import(&request, &at("from")).unwrap();
    for (format, name) in ALL {
        let exported = send(&at("from"), format, &at(name));
        let imported = back(&at(name), &exported, &at(&format!("back-{name}")));
        // Minari has no datasets without rewards.
        assert_eq!(
            imported.meta.returns_known(),
            format == Format::Minari,
            "{format:?}"
        );
    }
}

#[test]
fn columns_of_tables_never_share_a_name() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut header = header(2, 1, false);
    for (channel, name) in header.spec.observation.0.iter_mut().zip(["time", "force"]) {
        channel.name = name.into();
    }
    header.spec.action.0[0].name = "force".into();
    let mut writer = DatasetWriter::create(&at("from"), header).unwrap();
    writer
        .append(&episode(2, 1, 4, false, End::Truncated))
        .unwrap();
    writer.finish().unwrap();
    let exported = send(&at("from"), Format::Csv, &at("d.csv"));
    let text = fs::read_to_string(at("d.csv")).unwrap();
    let head = text.lines().next().unwrap();
    assert_eq!(
        head,
        "episode,time,observed_time,force,commanded_force,reward,terminated,truncated"
    );
    let imported = back(&at("d.csv"), &exported, &at("back"));
    assert_eq!(imported.meta.spec.observation.listed(), "time, force");
}
