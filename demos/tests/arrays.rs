//! Numpy archives and HDF5 files become datasets, or one sentence says why not and what to do.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use costate_demos::import::{ImportError, Imported, LastRow, Mapping, Request, import};
use costate_demos::{Dataset, check};
use costate_envs::End;
use serde_json::json;
use tempfile::{TempDir, tempdir};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// An array of float64.
fn floats(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    npy("<f8", &format!("({shape})"), &data)
}

fn flags(values: &[u8]) -> Vec<u8> {
    npy("|b1", &format!("({},)", values.len()), values)
}

fn archive(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    archive(arrays, CompressionMethod::Stored)
}

/// Ten steps a second.
fn timed() -> Mapping {
    Mapping {
        dt_s: Some(0.1),
        ..Mapping::default()
    }
}

fn try_bytes(
    name: &str,
    bytes: &[u8],
    mapping: Mapping,
) -> Result<(TempDir, Imported), ImportError> {
    let folder = tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, bytes).unwrap();
    let request = Request {
        sources: vec![file],
        mapping,
        attach: None,
    };
    let to = folder.path().join("dataset");
    let imported = import(&request, &to)?;
    assert!(check(&to).unwrap().is_sound());
    Ok((folder, imported))
}

fn read(name: &str, bytes: &[u8], mapping: Mapping) -> (Dataset, Imported) {
    let (folder, imported) = try_bytes(name, bytes, mapping).unwrap();
    (
        Dataset::open(&folder.path().join("dataset")).unwrap(),
        imported,
    )
}

fn refused(arrays: &[(&str, Vec<u8>)], mapping: Mapping) -> String {
    let error = try_bytes("d.npz", &npz(arrays), mapping).unwrap_err();
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

fn lengths(dataset: &Dataset) -> Vec<(usize, End)> {
    let episodes = dataset.episodes().iter();
    episodes
        .map(|e| (e.trajectory.len(), e.trajectory.end()))
        .collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Four steps in two episodes, the first terminated.
fn flat() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "observations",
            floats(&[4, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        ),
        ("actions", floats(&[4], &[0.5, 1.5, 2.5, 3.5])),
        ("rewards", floats(&[4, 1], &[-1.0, -2.0, -3.0, -4.0])),
        ("terminals", flags(&[0, 1, 0, 0])),
        ("timeouts", flags(&[0, 0, 0, 1])),
    ]
}

#[test]
fn steps_behind_each_other_are_cut_where_episodes_end() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let (dataset, imported) = read("d.npz", &archive(&flat(), method), timed());
        assert_eq!(
            lengths(&dataset),
            [(2, End::Terminated), (2, End::Truncated)]
        );
        let [a, b] = dataset.episodes() else { panic!() };
        assert_eq!(a.trajectory.observations(), [0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
        assert_eq!(
            (a.trajectory.actions(), b.trajectory.actions()),
            (&[0.5, 1.5][..], &[2.5, 3.5][..])
        );
        assert_eq!((&a.costs, &b.costs), (&vec![1.0, 2.0], &vec![3.0, 4.0]));
        assert_eq!(imported.remarks.len(), 1, "{:?}", imported.remarks);
        assert!(imported.remarks[0].contains("was not recorded"));
    }
    // The mapping in meta.json reads the same again.
    let (one, imported) = read("d.npz", &npz(&flat()), timed());
    let again = imported.meta.import.unwrap().mapping;
    let again = Mapping::from_json(&again.to_string()).unwrap();
    let (two, _) = read("d.npz", &npz(&flat()), again);
    assert_eq!(one.episodes(), two.episodes());
    // Without an invented state, the last action goes.
    let state = Mapping {
        last_row: Some(LastRow::State),
        ..timed()
    };
    assert_eq!(
        lengths(&read("d.npz", &npz(&flat()), state).0)[1],
        (1, End::Truncated)
    );
}

#[test]
fn final_states_are_kept_where_they_are_recorded() {
    let mut arrays = flat();
    arrays.push((
        "next_observations",
        floats(&[4, 2], &[2.0, 3.0, 20.0, 30.0, 6.0, 7.0, 60.0, 70.0]),
    ));
    let (dataset, imported) = read("d.npz", &npz(&arrays), timed());
    assert!(imported.remarks.is_empty(), "{:?}", imported.remarks);
    let [a, b] = dataset.episodes() else { panic!() };
    assert_eq!(
        a.trajectory.observations(),
        [0.0, 1.0, 2.0, 3.0, 20.0, 30.0]
    );
    assert_eq!(b.trajectory.observation(2), [60.0, 70.0]);
    // Where an end is not marked, the states do not go on.
    arrays.retain(|(name, _)| *name != "terminals");
    let message = refused(&arrays, timed());
    assert!(
        message.contains("row 2, column `observations[0]`: found 4, but the row before led to 20"),
        "{message}"
    );
}

#[test]
fn episodes_stacked_split_and_alone() {
    let stacked = [
        ("obs", floats(&[2, 3, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
        ("acts", floats(&[2, 2, 1], &[0.1, 0.2, 0.3, 0.4])),
        ("rews", floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0])),
    ];
    let (dataset, imported) = read("d.npz", &npz(&stacked), timed());
    assert_eq!(lengths(&dataset), [(2, End::Truncated); 2]);
    assert_eq!(
        dataset.episodes()[1].trajectory.observations(),
        [3.0, 4.0, 5.0]
    );
    assert_eq!(dataset.episodes()[1].costs, [-3.0, -4.0]);
    assert!(imported.remarks.is_empty(), "{:?}", imported.remarks);

    let split = [
        ("obs", floats(&[5, 1], &[0.0, 1.0, 2.0, 3.0, 4.0])),
        ("acts", floats(&[3, 1], &[0.1, 0.2, 0.3])),
        ("rews", floats(&[3], &[1.0, 2.0, 3.0])),
        ("terminal", flags(&[0, 1])),
        ("indices", npy("<i8", "(1,)", &2_i64.to_le_bytes())),
    ];
    let (dataset, _) = read("d.npz", &npz(&split), timed());
    assert_eq!(
        lengths(&dataset),
        [(2, End::Truncated), (1, End::Terminated)]
    );
    assert_eq!(dataset.episodes()[1].trajectory.observations(), [3.0, 4.0]);

    let alone = [
        ("q", floats(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
        ("u", npy("<f4", "(2,)", &[0; 8])),
    ];
    let named = Mapping {
        observations: vec![
            "q[0]=angle:rad".parse().unwrap(),
            "q[1]=speed:rad/s".parse().unwrap(),
        ],
        actions: vec!["u".parse().unwrap()],
        ..timed()
    };
    let (dataset, imported) = read("d.npz", &npz(&alone), named);
    assert_eq!(lengths(&dataset), [(2, End::Truncated)]);
    assert_eq!(imported.meta.spec.observation.listed(), "angle, speed");

    let starts = [
        ("obs", floats(&[4, 1], &[0.0, 1.0, 2.0, 3.0])),
        ("actions", floats(&[4, 1], &[0.0, 1.0, 2.0, 3.0])),
        ("episode_starts", flags(&[1, 0, 0, 1])),
    ];
    let (dataset, _) = read("d.npz", &npz(&starts), timed());
    assert_eq!(
        lengths(&dataset),
        [(3, End::Truncated), (1, End::Truncated)]
    );
}

#[test]
fn every_refusal_of_arrays_names_the_array_and_the_way() {
    let with = |name: &'static str, bytes: Vec<u8>| {
        let mut arrays = flat();
        arrays.retain(|(n, _)| *n != name);
        arrays.push((name, bytes));
        arrays
    };
    let bad_state = {
        let mut values = [1.0; 8];
        values[5] = f64::NAN;
        floats(&[4, 2], &values)
    };
    for (arrays, what) in [
        (
            with("observations", bad_state),
            "row 2, column `observations[1]`: found nothing or NaN",
        ),
        (
            with("actions", floats(&[4], &[0.0, 1e300, 0.0, 0.0])),
            "row 1, column `actions`: found 1e300",
        ),
        (
            with("actions", floats(&[2], &[0.0; 2])),
            "the shapes do not fit: observations [4, 2], actions [2]",
        ),
        (
            with("actions", floats(&[4, 1, 1, 1], &[0.0; 4])),
            "the shapes do not fit",
        ),
        (with("actions", floats(&[4, 0], &[])), "nothing in it"),
        (
            with("rewards", floats(&[3], &[0.0; 3])),
            "array `rewards` has shape [3], expected 4 rows",
        ),
        (
            with("terminals", floats(&[4], &[0.0, 0.5, 0.0, 0.0])),
            "column `terminals`: found 0.5, expected true or false",
        ),
        (
            with("actions", npy("|O", "(4,)", &[0; 32])),
            "array `actions`: pickled objects",
        ),
        (
            with("actions", npy("<f8", "(4,)", &[0; 31])),
            "31 bytes of data, expected 32",
        ),
        (
            with("actions", npy("<f8", "(1152921504606846976, 16)", &[])),
            "more than there can be",
        ),
        (
            vec![("x", floats(&[4], &[0.0; 4]))],
            "which array are the observations? `--observations ARRAY`; there are x",
        ),
        (vec![], "there are no arrays in it"),
    ] {
        let message = refused(&arrays, timed());
        assert!(message.contains(what), "{message}\nshould contain {what}");
    }
    let wrong = Mapping {
        reward: Some("reward".into()),
        ..timed()
    };
    let message = refused(&flat(), wrong);
    assert!(
        message.contains("there is no array `reward`; there are actions"),
        "{message}"
    );
    let message = refused(&flat(), Mapping::default());
    assert!(
        message.contains("the control period is unknown"),
        "{message}"
    );
    let both = Mapping {
        next_observations: vec!["observations".into()],
        last_row: Some(LastRow::State),
        ..timed()
    };
    assert!(refused(&flat(), both).contains("every row is a step"));
}

#[test]
fn d4rl_files_keep_terminals_and_timeouts_apart() {
    let bytes = fs::read(fixture("d4rl.hdf5")).unwrap();
    let (dataset, imported) = read("hopper.hdf5", &bytes, timed());
    assert_eq!(
        lengths(&dataset),
        [
            (4, End::Terminated),
            (2, End::Truncated),
            (3, End::Truncated)
        ]
    );
    let first = &dataset.episodes()[0];
    assert_eq!(first.trajectory.observation(1), [0.25, 0.375]);
    assert_eq!(
        first.trajectory.actions(),
        [100.0, 100.125, 100.25, 100.375]
    );
    assert_eq!(first.costs, [0.0, 1.0, 2.0, 3.0]);
    assert!(
        imported.remarks[0].contains("was not recorded"),
        "{:?}",
        imported.remarks
    );
    assert_eq!(imported.meta.import.unwrap().format, "hdf5");
}

#[test]
fn robomimic_files_are_read_by_mask() {
    let bytes = fs::read(fixture("robomimic.hdf5")).unwrap();
    let of = |split: Option<&str>| Mapping {
        split: split.map(str::to_owned),
        ..Mapping::default()
    };
    let (dataset, imported) = read("low_dim.hdf5", &bytes, of(None));
    assert_eq!(
        lengths(&dataset),
        [(3, End::Truncated), (4, End::Truncated)]
    );
    let spec = &imported.meta.spec;
    assert_eq!(spec.observation.listed(), "eef_0, eef_1, object");
    assert_eq!(
        (spec.control_period_s, spec.summary.as_str()),
        (0.05, "demonstrations of Lift")
    );
    let first = &dataset.episodes()[0].trajectory;
    assert_eq!(
        first.observation(3),
        [0.75, 0.875, 0.375],
        "the final state of next_obs"
    );
    assert!(
        imported
            .remarks
            .iter()
            .any(|r| r.contains("1 demonstrations without steps"))
    );
    assert!(
        imported
            .remarks
            .iter()
            .any(|r| r.contains("--terminated dones"))
    );
    assert_eq!(
        lengths(&read("l.hdf5", &bytes, of(Some("train"))).0),
        [(3, End::Truncated)]
    );
    assert_eq!(
        lengths(&read("l.hdf5", &bytes, of(Some("valid"))).0),
        [(4, End::Truncated)]
    );
    let done = Mapping {
        terminated: Some("dones".into()),
        ..of(Some("train"))
    };
    assert_eq!(
        lengths(&read("l.hdf5", &bytes, done).0),
        [(3, End::Terminated)]
    );
    let message = try_bytes("l.hdf5", &bytes, of(Some("test")))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("no mask `test`; its masks: train, valid"),
        "{message}"
    );
    let bytes = fs::read(fixture("d4rl.hdf5")).unwrap();
    let message = try_bytes("l.hdf5", &bytes, of(Some("train")))
        .unwrap_err()
        .to_string();
    assert!(message.contains("has no masks"), "{message}");
}

/// Found by fuzzing: the decoder asks for as much memory as a file declares.
#[test]
fn an_array_that_declares_more_than_the_file_can_hold_is_refused_where_it_is_used() {
    for name in ["declared.hdf5", "declared_in_sum.hdf5"] {
        let bytes = fs::read(fixture(name)).unwrap();
        let message = try_bytes(name, &bytes, timed()).unwrap_err().to_string();
        assert!(
            message.contains("rewards") && message.contains("far more than it can hold"),
            "{message}"
        );
    }
}

/// Found by fuzzing: a small file may declare a row of millions of numbers, all zero.
#[test]
fn rows_as_wide_as_a_picture_are_refused_where_they_are_used() {
    let wide = |width: usize| floats(&[3, width], &vec![0.5; 3 * width]);
    let narrow = || floats(&[3, 1], &[0.1, 0.2, 0.3]);
    for (observed, acted, name) in [
        (wide(10_001), narrow(), "observations"),
        (narrow(), wide(10_001), "actions"),
    ] {
        let message = refused(&[("observations", observed), ("actions", acted)], timed());
        assert!(
            message.contains(&format!(
                "array `{name}` has 10001 numbers a row, expected at most 10000"
            )),
            "{message}"
        );
    }
    let beside = [
        ("observations", wide(10_000)),
        ("actions", narrow()),
        ("pixels", wide(10_001)),
    ];
    let (_, imported) = read("wide.npz", &npz(&beside), timed());
    assert_eq!(imported.meta.spec.observation.dim(), 10_000);
}

#[test]
fn minari_in_hdf5_is_read() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("robot-v0/data");
    fs::create_dir_all(&data).unwrap();
    fs::copy(fixture("minari.hdf5"), data.join("main_data.hdf5")).unwrap();
    let metadata = json!({
        "minari_version": "0.5.4", "data_format": "hdf5", "total_episodes": 2, "algorithm_name": "PD",
        "description": "a robot",
    });
    fs::write(data.join("metadata.json"), metadata.to_string()).unwrap();
    let request = Request {
        sources: vec![folder.path().join("robot-v0")],
        mapping: timed(),
        attach: None,
    };
    let to = folder.path().join("dataset");
    let imported = import(&request, &to).unwrap();
    assert!(imported.remarks.is_empty(), "{:?}", imported.remarks);
    let dataset = Dataset::open(&to).unwrap();
    assert_eq!(
        lengths(&dataset),
        [(2, End::Truncated), (3, End::Terminated)]
    );
    assert_eq!(imported.meta.expert.name, "PD");
    assert_eq!(imported.meta.spec.summary, "a robot");
}

/// Deterministic damage: prefixes, and single bytes changed throughout.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cuts = (0..12).map(|i| bytes.len() * i / 12);
    let cut = cuts.map(|n| bytes[..n].to_vec()).collect::<Vec<_>>();
    let step = (bytes.len() / 40).max(1);
    let flips = (0..bytes.len()).step_by(step).flat_map(|at| {
        [0xff, 0x01].map(|mask| {
            let mut other = bytes.to_vec();
            other[at] ^= mask;
            other
        })
    });
    cut.into_iter().chain(flips.collect::<Vec<_>>())
}

#[test]
fn damaged_files_are_imported_soundly_or_refused_in_a_line() {
    let files = ["d4rl", "robomimic", "minari"].map(|name| {
        (
            "d.hdf5",
            fs::read(fixture(&format!("{name}.hdf5"))).unwrap(),
        )
    });
    let archives = [CompressionMethod::Stored, CompressionMethod::Deflated]
        .map(|method| ("d.npz", archive(&flat(), method)));
    for (name, bytes) in files.into_iter().chain(archives) {
        for bytes in damaged(&bytes) {
            if let Err(error) = try_bytes(name, &bytes, timed()) {
                let message = error.to_string();
                assert!(!message.contains('\n') && message.len() < 2000, "{message}");
            }
        }
    }
}
