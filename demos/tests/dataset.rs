//! The dataset folder: round trip, crashes, and everything it must refuse.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array};
use arrow_schema::{DataType, Field};
use common::*;
use costate_demos::dataset::{ReturnStatistics, Status};
use costate_demos::{Dataset, DatasetError, DatasetReader, DatasetWriter, info};
use costate_envs::{End, Episode, Trajectory};
use proptest::prelude::*;
use serde_json::json;
use tempfile::tempdir;

const FILE: &str = "data/1/part-0.parquet";

fn any_episode(n: usize, m: usize, known: bool) -> impl Strategy<Value = Episode> {
    let finite32 = || any::<f32>().prop_filter("finite", |v| v.is_finite());
    let finite64 = || any::<f64>().prop_filter("finite", |v| v.is_finite());
    (1_usize..=50, any::<bool>(), any::<u64>()).prop_flat_map(move |(steps, terminated, seed)| {
        let vectors = (
            prop::collection::vec(finite32(), (steps + 1) * n),
            prop::collection::vec(finite32(), steps * m),
            prop::collection::vec(finite64(), steps),
            // Returns are finite sums.
            prop::collection::vec(-1e6_f64..1e6, steps),
        );
        vectors.prop_map(move |(observations, actions, log_densities, costs)| {
            let end = if terminated {
                End::Terminated
            } else {
                End::Truncated
            };
            let log_densities = known.then_some(log_densities);
            let trajectory = Trajectory::new(n, m, observations, actions, log_densities, end);
            Episode {
                seed,
                trajectory: trajectory.unwrap(),
                costs,
                success: terminated.then_some(known),
            }
        })
    })
}

fn any_episodes() -> impl Strategy<Value = (usize, usize, bool, Vec<Episode>)> {
    (1_usize..5, 1_usize..4, any::<bool>()).prop_flat_map(|(n, m, known)| {
        prop::collection::vec(any_episode(n, m, known), 1..4)
            .prop_map(move |episodes| (n, m, known, episodes))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_written_is_read_bit_for_bit((n, m, known, episodes) in any_episodes()) {
        let parent = tempdir().unwrap();
        let folder = parent.path().join("demos");
        let mut writer = DatasetWriter::create(&folder, header(n, m, known)).unwrap();
        for episode in &episodes {
            writer.append(episode).unwrap();
        }
        let meta = writer.finish().unwrap();
        let dataset = Dataset::open(&folder).unwrap();
        prop_assert_eq!(dataset.meta(), &meta);
        prop_assert_eq!(dataset.episodes(), &episodes[..]);
        let returns: Vec<f64> = episodes.iter().map(Episode::true_return).collect();
        prop_assert_eq!(meta.demonstration_return, ReturnStatistics::of(&returns));
    }
}

#[test]
fn damaged_bytes_are_refused_without_a_panic() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    small(&folder);
    let file = folder.join(FILE);
    let sound = fs::read(&file).unwrap();
    let refused = |bytes: &[u8], what: &dyn Fn() -> String| {
        fs::write(&file, bytes).unwrap();
        let message = refusal(&folder);
        assert!(message.contains(FILE), "{}: {message}", what());
    };
    for at in 0..sound.len() {
        // A small change, and the bit that makes or breaks a varint.
        for flip in [0x01, 0x80] {
            let mut bytes = sound.clone();
            bytes[at] ^= flip;
            refused(&bytes, &|| format!("byte {at} ^ {flip:#x}"));
        }
        refused(&sound[..at], &|| format!("cut at {at}"));
    }
    refused(b"", &|| "nothing".into());
}

#[test]
fn statistics_match_by_hand() {
    let statistics = ReturnStatistics::of(&[1.0, 2.0, 6.0]);
    assert_eq!(statistics.mean, 3.0);
    assert!((statistics.std - 7.0_f64.sqrt()).abs() < 1e-15);
    assert_eq!(ReturnStatistics::of(&[5.0]).std, 0.0);
}

#[test]
fn interrupted_recording_keeps_every_acknowledged_episode() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    let mut writer = DatasetWriter::create(&folder, header(2, 1, true)).unwrap();
    let episodes: Vec<Episode> = (3..6)
        .map(|steps| episode(2, 1, steps, true, End::Terminated))
        .collect();
    for episode in &episodes {
        writer.append(episode).unwrap();
    }
    drop(writer);
    // What a kill in the middle of the fourth episode leaves behind.
    let half = folder.join("data/.3.tmp");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("part-0.parquet"), b"PAR1 half a fi").unwrap();
    fs::write(folder.join("meta.json.tmp"), b"{ \"form").unwrap();

    let dataset = Dataset::open(&folder).unwrap();
    assert_eq!(dataset.episodes(), &episodes[..]);
    assert_eq!(dataset.meta().status, Status::Recording);
    assert_eq!(dataset.meta().total_steps, 3 + 4 + 5);
    assert_eq!(dataset.meta().demonstration_return.episodes, 3);
}

#[test]
fn failed_append_changes_nothing_and_can_be_repeated() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    let mut writer = DatasetWriter::create(&folder, header(2, 1, true)).unwrap();
    let good = episode(2, 1, 4, true, End::Truncated);
    writer.append(&good).unwrap();
    let bad = |episode: &Episode, writer: &mut DatasetWriter, what: &str| {
        let message = one_line(&writer.append(episode).unwrap_err());
        assert!(
            message.contains("episode 1") && message.contains(what),
            "{message}"
        );
    };
    bad(
        &episode(3, 1, 4, true, End::Truncated),
        &mut writer,
        "observation: got 3, expected 2",
    );
    bad(
        &episode(2, 2, 4, true, End::Truncated),
        &mut writer,
        "action: got 2, expected 1",
    );
    bad(
        &episode(2, 1, 51, true, End::Truncated),
        &mut writer,
        "more than the horizon 50",
    );
    bad(
        &episode(2, 1, 4, false, End::Truncated),
        &mut writer,
        "no log-densities",
    );
    let mut nan = good.clone();
    nan.costs[2] = f64::NAN;
    bad(&nan, &mut writer, "cost of step 2 is NaN");
    nan.costs.pop();
    bad(&nan, &mut writer, "costs: got 3, expected 4");
    // The disk refuses: a file stands where the episode's folder must go.
    let obstacle = folder.join("data/.1.tmp");
    fs::write(&obstacle, b"").unwrap();
    let message = one_line(&writer.append(&good).unwrap_err());
    assert!(
        message.contains(".1.tmp") && message.contains("os error"),
        "{message}"
    );
    fs::remove_file(&obstacle).unwrap();
    writer.append(&good).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        Dataset::open(&folder).unwrap().episodes(),
        &[good.clone(), good]
    );
}

#[test]
fn output_folder_must_be_absent_or_empty() {
    let parent = tempdir().unwrap();
    let create = |path: &Path| DatasetWriter::create(path, header(2, 1, true));
    create(parent.path()).unwrap();
    let message = one_line(&create(parent.path()).unwrap_err());
    assert!(message.contains("exists and is not empty"), "{message}");
    let file = parent.path().join("meta.json");
    assert!(matches!(create(&file), Err(DatasetError::OutputExists(_))));
    assert!(
        fs::read_to_string(&file).unwrap().contains("\"recording\""),
        "left as it was"
    );
}

#[test]
fn system_errors_name_path_and_reason() {
    // A file where a folder is needed refuses even the superuser.
    let parent = tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, b"").unwrap();
    let message =
        one_line(&DatasetWriter::create(&file.join("demos"), header(2, 1, true)).unwrap_err());
    assert!(
        message.contains("cannot create folder") && message.contains("demos"),
        "{message}"
    );
    assert!(message.contains("os error"), "{message}");
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let parent = tempdir().unwrap();
    let refused = |edit: &dyn Fn(&mut costate_demos::dataset::Header), what: &str| {
        let mut header = header(2, 1, true);
        edit(&mut header);
        let message =
            one_line(&DatasetWriter::create(&parent.path().join("d"), header).unwrap_err());
        assert!(message.contains(what), "{message}");
        assert!(
            !parent.path().join("d").exists(),
            "refused before anything is written"
        );
    };
    refused(
        &|h| h.env.name = "pendulum".into(),
        "`env.name` is `pendulum`",
    );
    refused(
        &|h| h.expert.action_noise_std = vec![],
        "0 entries, expected 1",
    );
    refused(&|h| h.expert.action_noise_std = vec![-1.0], "negative");
    refused(&|h| h.spec.control_period_s = f64::INFINITY, "non-finite");
}

#[test]
fn folders_that_are_no_dataset_are_refused() {
    let parent = tempdir().unwrap();
    let path = |name: &str| parent.path().join(name);
    assert!(refusal(&path("nowhere")).contains("does not exist"));
    fs::create_dir(path("empty")).unwrap();
    assert!(refusal(&path("empty")).contains("empty folder"));
    fs::write(path("file"), b"x").unwrap();
    assert!(refusal(&path("file")).contains("it is a file, expected a folder"));
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other/a.parquet"), b"x").unwrap();
    assert!(refusal(&path("other")).contains("no meta.json"));
    fs::write(path("other/meta.json"), b"{\"format\": \"lerobot\"}").unwrap();
    assert!(refusal(&path("other")).contains("format `lerobot`, expected `costate-"));
    fs::write(path("other/meta.json"), b"{\"version\": 1}").unwrap();
    assert!(refusal(&path("other")).contains("no field `format`"));
    fs::write(path("other/meta.json"), b"{\"format\": ").unwrap();
    let message = refusal(&path("other"));
    assert!(
        message.contains("not JSON") && message.contains("line 1"),
        "{message}"
    );
}

#[test]
fn dataset_without_episodes_is_refused() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    let writer = DatasetWriter::create(&folder, header(2, 1, true)).unwrap();
    assert!(
        refusal(&folder).contains("holds no episodes"),
        "interrupted"
    );
    writer.finish().unwrap();
    assert!(refusal(&folder).contains("holds no episodes"), "finished");
}

#[test]
fn descriptions_that_cannot_be_trusted_are_refused() {
    let refused = |edit: &dyn Fn(&mut serde_json::Value), what: &[&str]| {
        let parent = tempdir().unwrap();
        let folder = parent.path().join("demos");
        small(&folder);
        edit_meta(&folder, edit);
        let message = refusal(&folder);
        assert!(message.contains("meta.json"), "{message}");
        for what in what {
            assert!(message.contains(what), "{message}");
        }
    };
    refused(
        &|m| {
            m["format_version"] = json!(7);
            m["holograms"] = json!([]);
        },
        &["newer Costate: format 7, this build reads up to 6; update Costate"],
    );
    refused(
        &|m| m["format_version"] = json!("one"),
        &["`format_version`"],
    );
    refused(&|m| m["colour"] = json!("red"), &["unknown field `colour`"]);
    refused(
        &|m| m["expert"]["mood"] = json!("good"),
        &["unknown field `mood`"],
    );
    refused(
        &|m| {
            m.as_object_mut().unwrap().remove("seed");
        },
        &["missing field `seed`"],
    );
    refused(&|m| m["seed"] = json!(-1), &["invalid value", "u64"]);
    refused(
        &|m| m["spec"]["name"] = json!("pendulum"),
        &["`spec.name` is `pendulum`"],
    );
    refused(
        &|m| m["total_steps"] = json!(3),
        &["`total_steps` is 3", "have 15"],
    );
    refused(
        &|m| m["demonstration_return"]["mean"] = json!(0.0),
        &["`demonstration_return`"],
    );
    refused(
        &|m| m["episodes"][1]["file"] = json!("../../etc/passwd"),
        &["`episodes[1]`", "expected `data/1/part-0.parquet`"],
    );
    refused(
        &|m| m["episodes"][1]["id"] = json!(5),
        &["`id` is 5, expected 1"],
    );
    refused(
        &|m| m["expert"]["action_noise_std"] = json!([0.1, 0.2]),
        &["2 entries, expected 1"],
    );
}

#[test]
fn bounds_in_disorder_and_steps_beyond_counting_are_refused() {
    let refused = |edit: &dyn Fn(&mut serde_json::Value), what: &str| {
        let parent = tempdir().unwrap();
        let folder = parent.path().join("demos");
        small(&folder);
        edit_meta(&folder, edit);
        let message = refusal(&folder);
        assert!(message.contains(what), "{message}");
    };
    refused(
        &|m| m["spec"]["observation"][0]["high"] = json!(-2e9),
        "bounds of `s0` are -1000000000 … -2000000000, expected the lower first",
    );
    refused(
        &|m| m["spec"]["action"][0]["low"] = json!(2e9),
        "bounds of `a0`",
    );
    refused(
        &|m| m["spec"]["control_period_s"] = json!(0.0),
        "`spec.control_period_s` is 0",
    );
    refused(
        &|m| {
            m["spec"]["horizon"] = json!(usize::MAX);
            for i in 0..2 {
                m["episodes"][i]["total_steps"] = json!(usize::MAX);
            }
        },
        "the episodes have more than can be counted",
    );
}

/// Breaks episode 1 of a small dataset and returns the refusal.
fn broken(edit: impl FnOnce(&Path)) -> String {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    small(&folder);
    edit(&folder.join(FILE));
    let message = refusal(&folder);
    assert!(message.contains(FILE), "{message}");
    message
}

fn list(values: Vec<f32>, width: i32) -> ArrayRef {
    let item = Arc::new(Field::new("element", DataType::Float32, false));
    let values = Arc::new(Float32Array::from(values));
    Arc::new(FixedSizeListArray::new(item, width, values, None))
}

fn floats(array: &ArrayRef) -> Vec<f32> {
    let items = array.as_fixed_size_list().values();
    items.as_primitive::<Float32Type>().values().to_vec()
}

fn column(columns: &[(String, ArrayRef)], name: &str) -> ArrayRef {
    columns.iter().find(|(n, _)| n == name).unwrap().1.clone()
}

#[test]
fn nan_in_a_demonstration_is_located() {
    let poison = |name: &'static str, width: i32, entry: usize, value: f32| {
        broken(|file| {
            edit_columns(file, |mut columns| {
                let mut values = floats(&column(&columns, name));
                values[entry] = value;
                replace_column(&mut columns, name, list(values, width));
                columns
            });
        })
    };
    let message = poison("observations", 2, 5, f32::NAN);
    assert!(
        message.contains("row 2, field `observations[1] (s1)`: found NaN"),
        "{message}"
    );
    let message = poison("actions", 1, 3, f32::INFINITY);
    assert!(
        message.contains("row 3, field `actions[0] (a0)`: found inf"),
        "{message}"
    );
    // A finite edit is valid in itself: the checksum gives it away.
    let message = poison("actions", 1, 3, 0.25);
    assert!(message.contains("changed after recording"), "{message}");
}

#[test]
fn files_of_another_shape_are_refused() {
    let with = |name: &'static str, array: ArrayRef| {
        broken(|file| {
            edit_columns(file, |mut columns| {
                replace_column(&mut columns, name, array);
                columns
            });
        })
    };
    let message = with("observations", list(vec![0.0; 18], 3));
    assert!(
        message.contains("`observations`") && message.contains("list of 2 f32"),
        "{message}"
    );
    let message = with("true_cost", Arc::new(Float32Array::from(vec![0.0; 6])));
    assert!(
        message.contains("`true_cost`") && message.contains("expected double"),
        "{message}"
    );
    let message = with("true_cost", Arc::new(Float64Array::from(vec![None; 6])));
    assert!(
        message.contains("`true_cost`") && message.contains("empty"),
        "{message}"
    );
    let message = with("log_density", Arc::new(Float64Array::from(vec![None; 6])));
    assert!(
        message.contains("`log_density`") && message.contains("log_density_known"),
        "{message}"
    );
    let message = with(
        "log_density",
        Arc::new(Float64Array::from(vec![
            Some(0.0),
            None,
            None,
            None,
            None,
            None,
        ])),
    );
    assert!(
        message.contains("row 1, field `log_density`: found nothing"),
        "{message}"
    );
    let message = with("truncations", Arc::new(BooleanArray::from(vec![false; 6])));
    assert!(message.contains("both false"), "{message}");
    let message = with("terminations", Arc::new(BooleanArray::from(vec![true; 6])));
    assert!(message.contains("row 0, field `terminations`"), "{message}");
}

#[test]
fn foreign_parquet_is_refused() {
    let message = broken(|file| {
        let other: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
        edit_columns(file, |_| vec![("price".into(), other)]);
    });
    assert!(
        message.contains("not an episode") && message.contains("price"),
        "{message}"
    );
    let message = broken(|file| {
        edit_columns(file, |columns| {
            columns.into_iter().filter(|c| c.0 != "actions").collect()
        });
    });
    assert!(message.contains("column `actions`: missing"), "{message}");
    let message = broken(|file| {
        fs::copy(
            file.parent()
                .unwrap()
                .parent()
                .unwrap()
                .join("2/part-0.parquet"),
            file,
        )
        .unwrap();
    });
    assert!(
        message.contains("field `episode`: found 2, expected 1"),
        "{message}"
    );
}

#[test]
fn missing_and_truncated_files_are_refused() {
    let message = broken(|file| fs::remove_file(file).unwrap());
    assert!(
        message.contains("cannot read") && message.contains("os error"),
        "{message}"
    );
    let message = broken(|file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert!(message.contains("truncated"), "{message}");
    let message = broken(|file| fs::write(file, b"not parquet at all, but long enough").unwrap());
    assert!(message.contains("cannot be read as Parquet"), "{message}");
}

#[test]
fn reading_one_by_one_finds_a_fault_at_its_episode() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    small(&folder);
    let sound = Dataset::open(&folder).unwrap();
    let summary = info(&DatasetReader::open(&folder).unwrap()).unwrap();
    assert_eq!((summary.episodes, summary.total_steps), (3, 15));
    assert_eq!(
        (summary.length.min, summary.length.mean, summary.length.max),
        (4.0, 5.0, 6.0)
    );
    fs::write(folder.join(FILE), b"not parquet at all, but long enough").unwrap();
    let reader = DatasetReader::open(&folder).unwrap();
    let found: Vec<_> = reader.episodes().collect();
    assert_eq!(found[0].as_ref().unwrap(), &sound.episodes()[0]);
    let message = one_line(found[1].as_ref().unwrap_err());
    assert!(message.contains(FILE), "{message}");
    assert_eq!(found[2].as_ref().unwrap(), &sound.episodes()[2]);
    assert_eq!(one_line(&info(&reader).unwrap_err()), message);
}

#[test]
fn demonstrations_of_another_environment_are_refused() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    small(&folder);
    let dataset = Dataset::open(&folder).unwrap();
    let spec = header(2, 1, true).spec;
    dataset.check_env(&spec).unwrap();
    let refused = |edit: &dyn Fn(&mut costate_envs::EnvSpec), what: &[&str]| {
        let mut other = spec.clone();
        edit(&mut other);
        let message = one_line(&dataset.check_env(&other).unwrap_err());
        for what in what {
            assert!(message.contains(what), "{message}");
        }
    };
    refused(
        &|s| s.name = "pendulum".into(),
        &["demonstrations of `lq`, expected `pendulum`"],
    );
    refused(&|s| s.horizon = 99, &["horizon 50", "horizon 99"]);
    refused(&|s| s.control_period_s = 0.5, &["0.02", "0.5"]);
    refused(
        &|s| s.action = header(2, 2, true).spec.action,
        &["actions", "a1"],
    );
    refused(
        &|s| s.observation = header(3, 1, true).spec.observation,
        &["observations", "s2"],
    );
}

#[test]
fn columns_are_the_documented_ones() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    small(&folder);
    edit_columns(&folder.join(FILE), |columns| {
        let rows: Vec<(&str, usize, usize)> = columns
            .iter()
            .map(|(n, a)| (n.as_str(), a.len(), a.null_count()))
            .collect();
        assert_eq!(
            rows,
            [
                ("episode", 6, 0),
                ("step", 6, 0),
                ("observations", 6, 0),
                ("actions", 6, 0),
                ("rewards", 6, 0),
                ("terminations", 6, 0),
                ("truncations", 6, 0),
                ("true_cost", 6, 1),
                ("log_density", 6, 1),
            ]
        );
        columns
    });
}
