//! Datasets made of others: what is kept, what is refused, and that the same request gives the same bytes.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{edit_meta, episode, header, small};
use costate_demos::derive::{
    Edit, Filter, Order, Split, Validation, edit, edit_in_place, filter, merge, split,
};
use costate_demos::import::{Mapping, Request, import};
use costate_demos::{Dataset, DatasetReader, DatasetWriter, check, inspect};
use costate_envs::End;
use serde_json::json;
use tempfile::tempdir;

/// Episodes of these lengths by this expert.
fn record(folder: &Path, expert: &str, seed: u64, lengths: &[usize]) {
    let mut header = header(2, 1, false);
    header.expert.name = expert.into();
    header.seed = seed;
    let mut writer = DatasetWriter::create(folder, header).unwrap();
    for steps in lengths {
        writer
            .append(&episode(2, 1, *steps, false, End::Terminated))
            .unwrap();
    }
    writer.finish().unwrap();
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(&inside).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_owned();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

fn lengths(folder: &Path) -> Vec<usize> {
    let dataset = Dataset::open(folder).unwrap();
    let episodes = dataset.episodes().iter();
    episodes.map(|e| e.trajectory.len()).collect()
}

fn sound(folder: &Path) {
    let report = check(folder).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_merge_keeps_seeds_experts_and_tags_and_lists_its_sources() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4, 6]);
    record(&at("b"), "ilqr", 4, &[5]);
    record(&at("c"), "lqr", 3, &[8]);
    let tagged = Edit {
        tag: vec!["late".into()],
        ..Edit::default()
    };
    edit_in_place(&at("b"), &tagged).unwrap();
    let made = merge(&[at("a"), at("b"), at("c")], &at("all")).unwrap();
    assert!(made.remarks.is_empty(), "{:?}", made.remarks);
    sound(&at("all"));
    let meta = &made.meta;
    assert_eq!(lengths(&at("all")), [4, 6, 5, 8]);
    let sessions = meta.sessions();
    let sessions: Vec<(usize, &str, u64)> = sessions
        .iter()
        .map(|s| (s.first_episode, s.expert.name.as_str(), s.seed))
        .collect();
    assert_eq!(sessions, [(0, "lqr", 3), (2, "ilqr", 4), (3, "lqr", 3)]);
    let seeds: Vec<u64> = meta.episodes.iter().map(|e| e.seed).collect();
    assert_eq!(seeds, [4, 6, 5, 8].map(|n| u64::MAX - n));
    assert_eq!(meta.episodes[1].success, Some(true));
    assert_eq!(meta.episodes[2].tags, ["late"]);
    assert_eq!(meta.format_version, 5);
    let steps: Vec<&str> = meta.derived.iter().map(|d| d.command.as_str()).collect();
    assert_eq!(steps, ["edit", "merge"]);
    for (source, name) in meta.derived[1].sources.iter().zip(["a", "b", "c"]) {
        let bytes = fs::read(at(name).join("meta.json")).unwrap();
        assert_eq!(source.sha256, costate_base::disk::sha256(&bytes));
    }
    let (one, other) = (
        DatasetReader::open(&at("a")).unwrap(),
        DatasetReader::open(&at("all")).unwrap(),
    );
    for (a, b) in one.episodes().zip(other.episodes()) {
        assert_eq!(a.unwrap(), b.unwrap());
    }
    merge(&[at("a"), at("b"), at("c")], &at("again/all")).unwrap();
    assert_eq!(files(&at("all")), files(&at("again/all")));
    let twice = merge(&[at("a"), at("a")], &at("twice")).unwrap();
    assert!(
        twice.remarks[0].contains("2 episodes occur twice, the first of them as episodes 0 and 2"),
        "{:?}",
        twice.remarks
    );
}

#[test]
fn different_worlds_are_not_mixed() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4]);
    let refused = |name: &str, edit: &dyn Fn(&mut serde_json::Value), what: &str| {
        record(&at(name), "lqr", 3, &[4]);
        edit_meta(&at(name), edit);
        let message = merge(&[at("a"), at(name)], &at("out"))
            .unwrap_err()
            .to_string();
        assert!(message.contains(what), "{message}");
        assert!(!at("out").exists());
    };
    refused(
        "heavy",
        &|m| m["env"]["model"]["mass_kg"] = json!(2.5),
        "`env.model.mass_kg` is 1.5 in",
    );
    refused(
        "long",
        &|m| m["spec"]["horizon"] = json!(60),
        "`spec.horizon` is 50 in",
    );
    refused(
        "bounds",
        &|m| m["spec"]["action"][0]["low"] = json!(-2.0),
        "`spec.action[0].low` is -1000000000.0 in",
    );
    refused(
        "other",
        &|m| {
            m["env"]["name"] = json!("pendulum");
            m["spec"]["name"] = json!("pendulum");
        },
        "the world is lq in",
    );
    let message = merge(&[at("a")], &at("out")).unwrap_err().to_string();
    assert!(message.contains("at least two"), "{message}");
    // Densities are known of all episodes or of none.
    small(&at("dense"));
    let made = merge(&[at("a"), at("dense")], &at("mixed")).unwrap();
    assert!(
        made.remarks[0].contains("log-densities"),
        "{:?}",
        made.remarks
    );
    assert!(!made.meta.expert.log_density_known);
    sound(&at("mixed"));
}

/// Imports a table of `x` and `u` every tenth of a second.
fn table(folder: &Path, name: &str, text: &str, unit: &str) -> PathBuf {
    let file = folder.join(format!("{name}.csv"));
    fs::write(&file, text).unwrap();
    let request = Request {
        sources: vec![file],
        mapping: Mapping {
            observations: vec![format!("x:{unit}").parse().unwrap()],
            actions: vec!["u".parse().unwrap()],
            dt_s: Some(0.1),
            ..Mapping::default()
        },
        attach: None,
    };
    let to = folder.join(name);
    import(&request, &to).unwrap();
    to
}

#[test]
fn tables_are_merged_within_the_widest_bounds() {
    let dir = tempdir().unwrap();
    let a = table(dir.path(), "a", "x,u\n0,1\n1,2\n2,0\n", "m");
    let b = table(dir.path(), "b", "x,u\n5,-1\n-1,1\n3,1\n0,0\n", "m");
    let to = dir.path().join("both");
    let made = merge(&[a.clone(), b], &to).unwrap();
    assert!(
        made.remarks[0].contains("the widest hold"),
        "{:?}",
        made.remarks
    );
    sound(&to);
    let spec = &made.meta.spec;
    let bounds = |c: &costate_envs::Channel| (c.low, c.high);
    assert_eq!(bounds(&spec.observation.0[0]), (-1.0, 5.0));
    assert_eq!(spec.horizon, 3);
    let own = made.meta.import.unwrap();
    assert_eq!((own.format.as_str(), own.sources.len()), ("csv", 2));
    let c = table(dir.path(), "c", "x,u\n0,1\n1,2\n", "cm");
    let message = merge(&[a, c], &dir.path().join("d"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("the unit of `x` is m in"), "{message}");
}

#[test]
fn filters_by_what_episodes_are() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4, 5, 6, 7, 8]);
    let kept = |asked: Filter, name: &str| {
        let made = filter(&at("a"), &asked, &at(name)).unwrap();
        sound(&at(name));
        assert_eq!(made.meta.derived[0].command, "filter");
        lengths(&at(name))
    };
    let none = Filter::default();
    let length = Some("..5".parse().unwrap());
    assert_eq!(
        kept(
            Filter {
                length,
                ..none.clone()
            },
            "short"
        ),
        [4, 5]
    );
    let success = true;
    assert_eq!(
        kept(
            Filter {
                success,
                ..none.clone()
            },
            "solved"
        ),
        [4, 6, 8]
    );
    // Costs grow: long episodes return least.
    let best = Some(2);
    assert_eq!(
        kept(
            Filter {
                best,
                ..none.clone()
            },
            "best"
        ),
        [4, 5]
    );
    let returns: Vec<f64> = Dataset::open(&at("a"))
        .unwrap()
        .episodes()
        .iter()
        .map(costate_envs::Episode::true_return)
        .collect();
    let (min_return, max_return) = (Some(returns[3]), Some(returns[1]));
    assert_eq!(
        kept(
            Filter {
                min_return,
                max_return,
                ..none.clone()
            },
            "middle"
        ),
        [5, 6, 7]
    );
    let episodes = vec!["0".parse().unwrap(), "3..".parse().unwrap()];
    assert_eq!(
        kept(
            Filter {
                episodes,
                ..none.clone()
            },
            "some"
        ),
        [4, 7, 8]
    );
    let meta = Dataset::open(&at("some")).unwrap().meta().clone();
    assert_eq!(meta.derived[0].sources[0].episodes, "0,3..4");
    assert_eq!(meta.derived[0].arguments, json!({"episodes": ["0", "3.."]}));
}

#[test]
fn filters_that_nothing_passes_are_refused() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4, 5, 6, 7, 8]);
    let (none, success) = (Filter::default(), true);
    let refused = |asked: Filter, what: &str| {
        let message = filter(&at("a"), &asked, &at("no")).unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
        assert!(!at("no").exists());
    };
    refused(none.clone(), "say which episodes");
    let length = Some("100..".parse().unwrap());
    refused(
        Filter {
            length,
            ..none.clone()
        },
        "none of the 5 episodes fits: they have 4 to 8 steps",
    );
    let tag = vec!["good".to_owned()];
    refused(
        Filter {
            tag,
            ..none.clone()
        },
        "nor any other",
    );
    let episodes = vec!["5".parse().unwrap()];
    refused(
        Filter {
            episodes,
            ..none.clone()
        },
        "the dataset has 5, counted from 0",
    );
    let message = filter(&at("a"), &Filter { success, ..none }, &at("a")).unwrap_err();
    assert!(message.to_string().contains("not empty"), "{message}");
}

#[test]
fn splits_are_complete_disjoint_and_repeatable() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let all: Vec<usize> = (4..24).collect();
    record(&at("a"), "lqr", 3, &all);
    let of = |by: Order, seed: u64, name: &str| {
        let asked = Split {
            validation: Validation::Share(0.2),
            by,
            seed,
        };
        let [train, validation] = split(&at("a"), &asked, &at(name)).unwrap();
        sound(&train.folder);
        sound(&validation.folder);
        assert_eq!(train.meta.spec, validation.meta.spec);
        let parts = [
            lengths(&at(name).join("train")),
            lengths(&at(name).join("validation")),
        ];
        let mut both = parts.concat();
        both.sort_unstable();
        assert_eq!(both, all);
        parts
    };
    let [train, held] = of(Order::Random, 0, "r0");
    assert_eq!((train.len(), held.len()), (16, 4));
    assert_eq!(of(Order::Random, 0, "r0again"), [train, held.clone()]);
    assert_eq!(files(&at("r0")), files(&at("r0again")));
    assert_ne!(of(Order::Random, 1, "r1")[1], held);
    assert_eq!(of(Order::Recorded, 0, "last")[1], [20, 21, 22, 23]);
    // Returns fall with the length.
    assert_eq!(of(Order::Return, 0, "even")[1], [6, 11, 16, 21]);

    let tag = |name: &str| Split {
        validation: Validation::Tag(name.into()),
        by: Order::Random,
        seed: 0,
    };
    let tagged = Edit {
        episodes: vec!["..1".parse().unwrap()],
        tag: vec!["held".into()],
        ..Edit::default()
    };
    edit_in_place(&at("a"), &tagged).unwrap();
    let [_, held] = split(&at("a"), &tag("held"), &at("t")).unwrap();
    assert_eq!(lengths(&held.folder), [4, 5]);
    let message = split(&at("a"), &tag("hold"), &at("u"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("there are held"), "{message}");
    for share in [0.0, 1.0, f64::NAN] {
        let asked = Split {
            validation: Validation::Share(share),
            ..tag("")
        };
        assert!(split(&at("a"), &asked, &at("u")).is_err());
    }
    assert!(!at("u").exists());
}

#[test]
fn edits_drop_cut_and_tag() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4, 5, 6]);
    let before = files(&at("a"));
    let asked = Edit {
        drop: vec!["1".parse().unwrap()],
        episodes: vec!["2".parse().unwrap()],
        cut_first: 1,
        cut_last: 2,
        tag: vec!["b".into(), "a".into(), "b".into()],
        ..Edit::default()
    };
    edit(&at("a"), &asked, &at("b")).unwrap();
    assert_eq!(files(&at("a")), before, "sources are not touched");
    sound(&at("b"));
    let (was, is) = (
        Dataset::open(&at("a")).unwrap(),
        Dataset::open(&at("b")).unwrap(),
    );
    let [first, second] = is.episodes() else {
        panic!()
    };
    assert_eq!(*first, was.episodes()[0]);
    let whole = &was.episodes()[2];
    assert_eq!(
        second.trajectory.observations(),
        &whole.trajectory.observations()[2..10]
    );
    assert_eq!(
        second.trajectory.actions(),
        &whole.trajectory.actions()[1..4]
    );
    assert_eq!(second.costs, &whole.costs[1..4]);
    assert_eq!(
        (second.trajectory.end(), second.success),
        (End::Truncated, None)
    );
    assert_eq!(second.seed, whole.seed);
    assert_eq!(is.meta().episodes[1].tags, ["a", "b"]);
    let untag = Edit {
        untag: vec!["a".into(), "b".into()],
        ..Edit::default()
    };
    let made = edit_in_place(&at("b"), &untag).unwrap();
    assert!(made.meta.episodes.iter().all(|e| e.tags.is_empty()));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing is left beside"
    );
    sound(&at("b"));
}

#[test]
fn edits_that_do_not_fit_change_nothing() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4, 5, 6]);
    let refused = |asked: Edit, what: &str| {
        let before = files(&at("a"));
        let message = edit_in_place(&at("a"), &asked).unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
        assert_eq!(files(&at("a")), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    };
    let none = Edit::default();
    refused(none.clone(), "say what to change");
    refused(
        Edit {
            cut_last: 4,
            ..none.clone()
        },
        "episode 0: it has 4 steps, too few",
    );
    refused(
        Edit {
            drop: vec!["..2".parse().unwrap()],
            ..none.clone()
        },
        "no episode would be left",
    );
    refused(
        Edit {
            rename: vec![("s0".into(), "x".into())],
            ..none.clone()
        },
        "those of their world, lq",
    );
    refused(
        Edit {
            tag: vec!["a,b".into()],
            ..none.clone()
        },
        "without commas",
    );
    refused(
        Edit {
            untag: vec!["z".into()],
            ..none
        },
        "no episode has the tag `z`",
    );
}

#[test]
fn channels_of_tables_are_renamed() {
    let dir = tempdir().unwrap();
    let a = table(dir.path(), "a", "x,u\n0,1\n1,2\n2,0\n", "m");
    let asked = |from: &str, to: &str| Edit {
        rename: vec![(from.into(), to.into())],
        summary: Some("driving".into()),
        ..Edit::default()
    };
    edit_in_place(&a, &asked("x", "position")).unwrap();
    sound(&a);
    let meta = Dataset::open(&a).unwrap().meta().clone();
    assert_eq!(meta.spec.observation.listed(), "position");
    assert_eq!(
        (meta.spec.summary.as_str(), &meta.env.model["summary"]),
        ("driving", &json!("driving"))
    );
    let message = edit_in_place(&a, &asked("y", "z")).unwrap_err().to_string();
    assert!(message.contains("no channel is named `y`"), "{message}");
    let stats = inspect::stats(&DatasetReader::open(&a).unwrap()).unwrap();
    assert_eq!((stats.returns, stats.lengths.max), (None, 2.0));
    assert_eq!(stats.observations[0].values.q50, 1.0);
}

#[cfg(unix)]
#[test]
fn an_edit_in_place_goes_through_links() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&at("a"), "lqr", 3, &[4, 5]);
    std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
    let tagged = Edit {
        tag: vec!["x".into()],
        ..Edit::default()
    };
    edit_in_place(&at("link"), &tagged).unwrap();
    assert!(at("link").symlink_metadata().unwrap().is_symlink());
    let meta = Dataset::open(&at("a")).unwrap().meta().clone();
    assert_eq!(meta.episodes[1].tags, ["x"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}
