//! Other people's files become datasets, or one sentence says why not and what to do.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{episode, header};
use costate_demos::import::{ChannelMap, ImportError, Imported, LastRow, Mapping, Request, import};
use costate_demos::inspect::{self, Replay};
use costate_demos::{Dataset, DatasetReader, DatasetWriter};
use costate_envs::{End, EnvConfig, Episode, Space, registry};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::json;

fn maps(columns: &[&str]) -> Vec<ChannelMap> {
    columns.iter().map(|c| c.parse().unwrap()).collect()
}

/// Two observations and one action at 50 Hz.
fn mapping() -> Mapping {
    Mapping {
        observations: maps(&["x:m", "v:m/s"]),
        actions: maps(&["force:N:-10..10"]),
        dt_s: Some(0.02),
        ..Mapping::default()
    }
}

fn try_import(sources: &[&Path], mapping: Mapping, to: &Path) -> Result<Imported, ImportError> {
    let request = Request {
        sources: sources.iter().map(|p| p.to_path_buf()).collect(),
        mapping,
        attach: None,
    };
    import(&request, to)
}

/// What is said about a table of this text.
fn refused(text: &str, mapping: Mapping) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.csv");
    fs::write(&file, text).unwrap();
    let to = folder.path().join("dataset");
    let message = try_import(&[&file], mapping, &to).unwrap_err().to_string();
    assert!(!to.exists(), "a refused import leaves nothing behind");
    message
}

fn imported(text: &str, mapping: Mapping) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.csv");
    fs::write(&file, text).unwrap();
    let to = folder.path().join("dataset");
    try_import(&[&file], mapping, &to).unwrap();
    let dataset = Dataset::open(&to).unwrap();
    (folder, dataset)
}

const LOG: &str = "\
run,t,x,v,force,done,reward
a,0,0.5,0,1,0,-1
a,0.02,0.25,-1,2,0,-2
a,0.04,0,-2,,1,
b,0,1,0,-1,0,-3
b,0.02,2,1,-2,0,-4
b,0.04,3,2,-3,0,-5
b,0.06,4,3,99,0,-6
";

fn by_run() -> Mapping {
    Mapping {
        episode: Some("run".into()),
        terminated: Some("done".into()),
        reward: Some("reward".into()),
        time: Some("t".into()),
        dt_s: None,
        ..mapping()
    }
}

#[test]
fn a_table_becomes_a_dataset_without_a_simulator() {
    let (folder, dataset) = imported(LOG, by_run());
    let meta = dataset.meta();
    assert_eq!(
        (meta.env.name.as_str(), meta.env.has_simulator()),
        ("table", false)
    );
    assert_eq!((meta.spec.control_period_s, meta.spec.horizon), (0.02, 3));
    let force = &meta.spec.action.0[0];
    assert_eq!(
        (
            force.name.as_str(),
            force.unit.as_str(),
            force.low,
            force.high
        ),
        ("force", "N", -10.0, 10.0)
    );
    let x = &meta.spec.observation.0[0];
    assert_eq!((x.low, x.high), (0.0, 4.0), "bounds of the data");
    let [a, b] = dataset.episodes() else { panic!() };
    assert_eq!(
        a.trajectory.observations(),
        [0.5, 0.0, 0.25, -1.0, 0.0, -2.0]
    );
    assert_eq!(
        a.trajectory.actions(),
        [1.0, 2.0],
        "the last row's action is not used"
    );
    assert_eq!(
        (a.trajectory.end(), b.trajectory.end()),
        (End::Terminated, End::Truncated)
    );
    assert_eq!(
        (&a.costs, &b.costs),
        (&vec![1.0, 2.0], &vec![3.0, 4.0, 5.0])
    );
    let own = meta.import.as_ref().unwrap();
    let bytes = fs::read(folder.path().join("log.csv")).unwrap();
    assert_eq!(own.sources[0].sha256, costate_base::disk::sha256(&bytes));
    assert_eq!(own.mapping["observations"][1]["unit"], "m/s");
    let report = inspect::check(dataset.path()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.replay, Some(Replay::NoSimulator));
}

#[test]
fn the_mapping_in_meta_json_imports_the_same_again() {
    let (_folder, dataset) = imported(LOG, by_run());
    let own = dataset.meta().import.as_ref().unwrap();
    let again = Mapping::from_json(&own.mapping.to_string()).unwrap();
    let (_other, same) = imported(LOG, again);
    assert_eq!(
        same.episodes()[1].trajectory,
        dataset.episodes()[1].trajectory
    );
    assert_eq!(same.meta().env, dataset.meta().env);
}

#[test]
fn without_rewards_returns_are_unknown_and_stay_so() {
    let (_folder, dataset) = imported(
        LOG,
        Mapping {
            reward: None,
            ..by_run()
        },
    );
    assert!(!dataset.meta().returns_known());
    assert_eq!(dataset.episodes()[1].costs, [0.0; 3]);
    assert!(inspect::check(dataset.path()).unwrap().is_sound());
}

#[test]
fn the_last_row_is_a_step_where_that_is_said() {
    let text = LOG.replace("-2,,1,", "-2,7,1,-3");
    let steps = Mapping {
        last_row: Some(LastRow::Step),
        ..by_run()
    };
    let (_folder, dataset) = imported(&text, steps);
    let a = &dataset.episodes()[0].trajectory;
    assert_eq!(a.actions(), [1.0, 2.0, 7.0]);
    assert_eq!(
        (a.observation(2), a.observation(3)),
        (&[0.0, -2.0][..], &[0.0, -2.0][..])
    );
    assert_eq!(a.end(), End::Terminated);
}

#[test]
fn files_gaps_and_semicolons() {
    let folder = tempfile::tempdir().unwrap();
    for (name, x) in [("ep10.csv", 3.0), ("ep2.csv", 2.0), ("ep1.csv", 1.0)] {
        let text = format!("\u{feff}x;v;force\r\n{x};0;1\r\n{x};0;1\r\n");
        fs::write(folder.path().join(name), text).unwrap();
    }
    let to = folder.path().join("dataset");
    try_import(&[folder.path()], mapping(), &to).unwrap();
    let firsts: Vec<f32> = (Dataset::open(&to).unwrap().episodes().iter())
        .map(|e| e.trajectory.observation(0)[0])
        .collect();
    assert_eq!(firsts, [1.0, 2.0, 3.0], "numbers in names count by value");

    let gaps = Mapping {
        episode: None,
        gap_s: Some(0.5),
        ..by_run()
    };
    let text = LOG.replace("b,", "b,1");
    let (_folder, dataset) = imported(&text, gaps);
    assert_eq!(dataset.episodes().len(), 2);
}

#[expect(clippy::too_many_lines, reason = "a table of refusals")]
#[test]
fn every_refusal_names_the_place_and_the_way() {
    let said = |text: &str, mapping: Mapping, parts: &[&str]| {
        let message = refused(text, mapping);
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    };
    let none = Mapping::default;
    said(
        LOG,
        none(),
        &[
            "which columns are observations?",
            "--observations",
            "run, t, x, v, force",
        ],
    );
    said(
        LOG,
        Mapping {
            actions: maps(&["forse"]),
            ..by_run()
        },
        &["no column `forse`", "did you mean `force`?"],
    );
    said(
        LOG,
        Mapping {
            dt_s: None,
            episode: Some("run".into()),
            ..mapping()
        },
        &["control period", "--dt 0.02", "--time"],
    );
    let edit = |from: &str, to: &str| LOG.replace(from, to);
    said(
        &edit("0.25", "zero"),
        by_run(),
        &["line 3", "column `x`", "found `zero`, expected a number"],
    );
    // Lines as an editor counts them: with \r\n, and after blank ones.
    for ends in ["\r\n", "\n\n"] {
        let line = format!("line {}, column `x`", 1 + 2 * ends.matches('\n').count());
        let text = edit("0.25", "zero").replace('\n', ends);
        said(&text, by_run(), &[&line]);
    }
    said(
        &edit("0.25", "\"0,25\""),
        by_run(),
        &["line 3", "with a point"],
    );
    said(
        &edit("0.25", "NaN"),
        by_run(),
        &["line 3", "column `x`", "NaN, expected a finite number"],
    );
    said(&edit("0.25", "inf"), by_run(), &["line 3", "found inf"]);
    said(&edit("0.25", "1e300"), by_run(), &["line 3", "found 1e300"]);
    said(
        &edit("0.25", ""),
        by_run(),
        &["line 3", "column `x`", "nothing"],
    );
    said(
        &edit("a,0.02,0.25", "a,0.02"),
        by_run(),
        &["line 3", "6 fields, expected 7"],
    );
    said(
        &edit("a,0.04", "a,0.02"),
        by_run(),
        &["line 4", "column `t`", "expected more than 0.02"],
    );
    said(
        &edit("b,0.06", "a,0.06"),
        by_run(),
        &["line 8", "episode `a` begins again"],
    );
    said(
        &edit("b,0.06", "c,0.06"),
        by_run(),
        &["line 8", "one row", "--last-row step"],
    );
    said(
        &edit("1,0,-1\n", "1,1,-1\n"),
        by_run(),
        &["line 2", "column `done`", "goes on for 2 more rows"],
    );
    said(
        &edit("1,0,-1\n", "1,perhaps,-1\n"),
        by_run(),
        &["column `done`", "expected true or false"],
    );
    said(
        &edit("-4", ""),
        by_run(),
        &["line 6", "column `reward`", "finite"],
    );
    // Found by fuzzing: the variance of such returns is no number.
    said(
        &edit("-4", "6e170"),
        by_run(),
        &["line 6", "column `reward`", "6e170", "within ± 1e100"],
    );
    said(
        &edit("run,t", "run,x"),
        by_run(),
        &["two columns are named `x`"],
    );
    said("", by_run(), &["line 1", "empty"]);
    said("1,2\n3,4\n", by_run(), &["columns' names"]);
    said("x,v,force\n", mapping(), &["no episode"]);
    said(
        LOG,
        Mapping {
            observations: maps(&["x", "v=x"]),
            ..by_run()
        },
        &["two channels are named `x`", "NAME"],
    );
    said(
        LOG,
        Mapping {
            dt_s: Some(-1.0),
            ..by_run()
        },
        &["--dt is -1"],
    );
    said(
        LOG,
        Mapping {
            actions: maps(&["force:N:3..1"]),
            ..by_run()
        },
        &["bounds of `force`", "lower first"],
    );
    let latin = b"x,v,force\n1,2,\xe9\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin.csv");
    fs::write(&file, latin).unwrap();
    let message = try_import(&[&file], mapping(), &folder.path().join("d")).unwrap_err();
    assert!(message.to_string().contains("UTF-8"), "{message}");
}

#[test]
fn other_kinds_of_files_are_refused_with_a_way() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, sources: &[&Path]| -> String {
        let to = folder.path().join(format!("{name}-to"));
        try_import(sources, mapping(), &to).unwrap_err().to_string()
    };
    let file = |name: &str| -> PathBuf {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x,v,force\n1,2,3\n1,2,3\n").unwrap();
        file
    };
    assert!(of("a", &[&file("demo.hdf5")]).contains("cannot be read as HDF5"));
    assert!(of("b", &[&file("demo.npz")]).contains("cannot be read as a numpy archive"));
    assert!(of("g", &[&file("demo.npy")]).contains("numpy.savez"));
    assert!(of("c", &[&folder.path().join("nothing")]).contains("no such file"));
    assert!(of("d", &[&file("fake.parquet")]).contains("cannot be read as Parquet"));
    let (csv, parquet) = (file("both/e.csv"), file("both/e.parquet"));
    assert!(of("e", &[csv.parent().unwrap()]).contains("1 CSV and 1 Parquet files"));
    assert!(of("f", &[&csv, &parquet]).contains("one kind at a time"));
}

/// A Parquet file of these columns.
fn parquet(file: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn lists(rows: &[&[f64]]) -> ArrayRef {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for row in rows {
        lists.values().append_slice(row);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

#[test]
fn parquet_columns_of_numbers_lists_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.parquet");
    parquet(
        &file,
        vec![
            ("run", Arc::new(StringArray::from(vec!["a", "a", "b", "b"]))),
            (
                "state",
                lists(&[&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0], &[7.0, 8.0]]),
            ),
            (
                "u",
                Arc::new(Int64Array::from(vec![Some(1), None, Some(2), None])),
            ),
            (
                "won",
                Arc::new(BooleanArray::from(vec![false, true, false, false])),
            ),
        ],
    );
    let mapping = Mapping {
        observations: maps(&["state=pose:m"]),
        actions: maps(&["u"]),
        episode: Some("run".into()),
        terminated: Some("won".into()),
        dt_s: Some(0.1),
        ..Mapping::default()
    };
    let to = folder.path().join("dataset");
    try_import(&[&file], mapping, &to).unwrap();
    let dataset = Dataset::open(&to).unwrap();
    assert_eq!(dataset.meta().spec.observation.listed(), "pose_0, pose_1");
    let [a, b] = dataset.episodes() else { panic!() };
    assert_eq!(
        (a.trajectory.actions(), b.trajectory.observation(1)),
        (&[1.0][..], &[7.0, 8.0][..])
    );
    assert_eq!(
        (a.trajectory.end(), b.trajectory.end()),
        (End::Terminated, End::Truncated)
    );
}

#[test]
fn lerobot_tables_hold_many_episodes_and_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("robot");
    let time = [0.0, 0.1, 0.2, 0.0, 0.1];
    parquet(
        &root.join("data/chunk-000/file-000.parquet"),
        vec![
            ("observation.state", lists(&[&[0.0, 1.0][..]; 5])),
            (
                "action",
                Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0, 5.0])),
            ),
            ("timestamp", Arc::new(Float64Array::from(time.to_vec()))),
            (
                "episode_index",
                Arc::new(Int64Array::from(vec![0, 0, 0, 1, 1])),
            ),
            (
                "next.done",
                Arc::new(BooleanArray::from(vec![false, false, true, false, false])),
            ),
        ],
    );
    let info = json!({
        "codebase_version": "v3.0", "fps": 10, "robot_type": "arm", "total_episodes": 2,
        "features": {
            "observation.state": {"dtype": "float32", "shape": [2], "names": ["elbow", "wrist"]},
            "action": {"dtype": "float32", "shape": [1], "names": null},
            "timestamp": {}, "next.done": {},
        },
    });
    fs::create_dir_all(root.join("meta")).unwrap();
    fs::write(root.join("meta/info.json"), info.to_string()).unwrap();
    let to = folder.path().join("dataset");
    let imported = try_import(&[&root], Mapping::default(), &to).unwrap();
    assert!(imported.remarks.is_empty(), "{:?}", imported.remarks);
    let spec = &imported.meta.spec;
    assert_eq!(
        (spec.observation.listed().as_str(), spec.control_period_s),
        ("elbow, wrist", 0.1)
    );
    let dataset = Dataset::open(&to).unwrap();
    let [a, b] = dataset.episodes() else { panic!() };
    assert_eq!((a.trajectory.len(), b.trajectory.len()), (2, 1));
    assert_eq!(
        (a.trajectory.end(), b.trajectory.end()),
        (End::Terminated, End::Truncated)
    );
    let old = info.to_string().replace("v3.0", "v2.1");
    fs::write(root.join("meta/info.json"), old).unwrap();
    let error = try_import(&[&root], Mapping::default(), &folder.path().join("e")).unwrap_err();
    assert!(error.to_string().contains("v2.1, expected v3.0"), "{error}");
}

#[test]
fn our_own_datasets_come_back_exactly_through_minari() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("ours");
    let mut writer = DatasetWriter::create(&from, header(3, 2, false)).unwrap();
    for (steps, end) in [(7, End::Truncated), (4, End::Terminated)] {
        writer.append(&episode(3, 2, steps, false, end)).unwrap();
    }
    writer.finish().unwrap();
    for (i, source) in [from.clone(), from.join("data")].iter().enumerate() {
        let to = folder.path().join(format!("back{i}"));
        let back = try_import(&[source], Mapping::default(), &to).unwrap();
        assert_eq!(back.meta.import.as_ref().unwrap().format, "minari");
        let (ours, theirs) = (Dataset::open(&from).unwrap(), Dataset::open(&to).unwrap());
        assert_eq!(ours.meta().spec.observation, theirs.meta().spec.observation);
        assert_eq!(
            ours.meta().spec.control_period_s,
            theirs.meta().spec.control_period_s
        );
        for (a, b) in ours.episodes().iter().zip(theirs.episodes()) {
            assert_eq!(a, b, "trajectory, costs, seed and success");
        }
    }
    // Another tool's, which says nothing of time.
    let alone = folder.path().join("alone");
    fs::rename(from.join("data"), &alone).unwrap();
    let error = try_import(&[&alone], Mapping::default(), &folder.path().join("x")).unwrap_err();
    assert!(matches!(error, ImportError::NoPeriod), "{error}");
    let timed = Mapping {
        dt_s: Some(0.02),
        ..Mapping::default()
    };
    let back = try_import(&[&alone], timed, &folder.path().join("y")).unwrap();
    assert_eq!(back.meta.total_steps, 11);
    let text = fs::read_to_string(alone.join("metadata.json")).unwrap();
    fs::write(
        alone.join("metadata.json"),
        text.replace("\"parquet\"", "\"hdf5\""),
    )
    .unwrap();
    let error = try_import(&[&alone], Mapping::default(), &folder.path().join("z")).unwrap_err();
    assert!(
        error.to_string().contains("Minari") && error.to_string().contains("hdf5"),
        "{error}"
    );
}

#[test]
fn a_world_with_the_same_channels_becomes_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let env = EnvConfig::named("pendulum").unwrap();
    let spec = env.factory().unwrap().spec().clone();
    let names = spec.observation.names().chain(spec.action.names());
    let columns: Vec<&str> = names.collect();
    let row = vec!["0.1"; columns.len()].join(",");
    let text = format!("{},r\n{row},-1\n{row},-2\n", columns.join(","));
    let file = folder.path().join("log.csv");
    fs::write(&file, text).unwrap();
    let attached = |mapping: Mapping, to: &str| {
        let request = Request {
            sources: vec![file.clone()],
            mapping,
            attach: Some(env.clone()),
        };
        import(&request, &folder.path().join(to))
    };
    let rewarded = Mapping {
        reward: Some("r".into()),
        ..Mapping::default()
    };
    let done = attached(rewarded.clone(), "a").unwrap();
    assert_eq!(
        (done.meta.env.clone(), done.meta.spec.clone()),
        (env.clone(), spec)
    );
    let of = |mapping: Mapping, part: &str| {
        let error = attached(mapping, "b").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    of(Mapping::default(), "need their rewards");
    of(
        Mapping {
            dt_s: Some(1.0),
            ..rewarded.clone()
        },
        "control period",
    );
    of(
        Mapping {
            actions: maps(&["r=thrust"]),
            ..rewarded
        },
        "those of the files are thrust",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_breaks_the_import(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        hostile(&bytes);
    }

    #[test]
    fn no_table_breaks_the_import(
        cells in prop::collection::vec("[-0-9a.,;\"\n ein]{0,6}", 0..60),
        width in 1usize..8,
    ) {
        let rows: Vec<String> = cells.chunks(width).map(|row| row.join(",")).collect();
        hostile(format!("run,t,x,v,force,done,reward\n{}", rows.join("\n")).as_bytes());
        hostile(rows.join("\n").as_bytes());
    }

    #[test]
    fn numbers_come_through_to_the_bit(values in prop::collection::vec(-1e30f32..1e30, 6..60)) {
        let rows: Vec<String> =
            values.chunks_exact(3).map(|r| format!("{},{},{}", r[0], r[1], r[2])).collect();
        let (_folder, dataset) = imported(
            &format!("x,v,force\n{}\n", rows.join("\n")),
            Mapping { actions: maps(&["force"]), ..mapping() },
        );
        let trajectory = &dataset.episodes()[0].trajectory;
        prop_assert_eq!(trajectory.len(), rows.len() - 1);
        for (t, row) in values.chunks_exact(3).enumerate() {
            prop_assert_eq!(trajectory.observation(t), &row[..2]);
        }
    }
}

/// Imports or refuses; whatever was written is sound.
fn hostile(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["log.csv", "log.parquet"] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let to = folder.path().join(format!("{name}-dataset"));
        if try_import(&[&file], by_run(), &to).is_ok() {
            assert!(inspect::check(&to).unwrap().is_sound());
        }
    }
}

/// The first shipped episode of a world as a table without rewards, and how it is imported into `env`.
fn unrewarded(reader: &DatasetReader, env: EnvConfig, file: &Path) -> (Vec<Episode>, Request) {
    let spec = &reader.meta().spec;
    let columns = |letter: char, space: &Space| -> Vec<String> {
        (0..space.dim()).map(|i| format!("{letter}{i}")).collect()
    };
    let (o, a) = (columns('o', &spec.observation), columns('a', &spec.action));
    let named = |columns: &[String], space: &Space| -> Vec<ChannelMap> {
        let pairs = columns.iter().zip(space.names());
        pairs
            .map(|(c, name)| format!("{c}={name}").parse().unwrap())
            .collect()
    };
    let mut text = format!("{},{},episode\n", o.join(","), a.join(","));
    let episodes: Vec<Episode> = reader.episodes().take(1).map(Result::unwrap).collect();
    for (id, episode) in episodes.iter().enumerate() {
        let t = &episode.trajectory;
        for row in 0..=t.len() {
            let action = t.action(row.min(t.len() - 1));
            let numbers = t.observation(row).iter().chain(action);
            text.extend(numbers.map(|v| format!("{v},")));
            text += &format!("{id}\n");
        }
    }
    fs::write(file, text).unwrap();
    let request = Request {
        sources: vec![file.to_owned()],
        mapping: Mapping {
            observations: named(&o, &spec.observation),
            actions: named(&a, &spec.action),
            episode: Some("episode".into()),
            dt_s: Some(spec.control_period_s),
            ..Mapping::default()
        },
        attach: Some(env),
    };
    (episodes, request)
}

fn shipped(name: &str) -> DatasetReader {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    DatasetReader::open(&data.join(name)).unwrap()
}

#[test]
fn worlds_tell_the_costs_of_episodes_without_rewards() {
    let folder = tempfile::tempdir().unwrap();
    for name in registry::names() {
        let reader = shipped(name);
        let file = folder.path().join(format!("{name}.csv"));
        let (episodes, request) = unrewarded(&reader, reader.meta().env.clone(), &file);
        let to = folder.path().join(name);
        let done = match import(&request, &to) {
            Ok(done) => done,
            Err(error) => {
                // It observes contacts, which depend on more than the coordinates.
                assert_eq!(name, "bipedal_walker", "{error}");
                continue;
            }
        };
        assert!(done.meta.returns_known() && done.meta.import.unwrap().costs_of_world);
        assert!(done.remarks.iter().any(|r| r.contains("no rewards")));
        let back = DatasetReader::open(&to).unwrap();
        for (was, now) in episodes.iter().zip(back.episodes()) {
            let now = now.unwrap();
            assert_eq!(was.success, now.success, "{name}");
            for (t, (a, b)) in was.costs.iter().zip(&now.costs).enumerate() {
                let off = (a - b).abs() / (1.0 + a.abs());
                assert!(off < 1e-4, "{name}, step {t}: {a} was told as {b}");
            }
        }
    }
}

#[test]
fn costs_that_do_not_follow_from_observations_are_not_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.csv");
    let reader = shipped("pendulum");
    let refused = |env: EnvConfig, edit: &dyn Fn(String) -> String, part: &str| {
        let (_, request) = unrewarded(&reader, env, &file);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, edit(text)).unwrap();
        let error = import(&request, &folder.path().join("d")).unwrap_err();
        let said = error.to_string();
        assert!(error.is_misuse(), "{said}");
        for part in [part, "--reward COLUMN", "episode 0, step 0"] {
            assert!(said.contains(part), "{said}");
        }
    };
    let env = reader.meta().env.clone();
    // The cost depends on a number that differs between episodes and is not observed.
    let mut varied = env.clone();
    varied.set("task.angle_weight_1_rad2", "0.1..10").unwrap();
    refused(
        varied,
        &|text| text,
        "states with the same observation cost",
    );
    // A sine and a cosine that are none.
    let scaled = |text: String| {
        let (names, rows) = text.split_once('\n').unwrap();
        format!("{names}\n5,5,0,0,0\n{}", rows.split_once('\n').unwrap().1)
    };
    refused(env, &scaled, "no state with this observation was found");
}
