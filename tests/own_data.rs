//! Demonstrations without a simulator, through the command line: imported, learned from, evaluated, refused where a
//! simulator is needed.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, json, run, succeed};

/// Imports the robot of docs/own-data.md as `robot`.
fn robot(folder: &Path) {
    fs::write(folder.join("robot.csv"), include_str!("book/robot.csv")).unwrap();
    let args = [
        "demos",
        "import",
        "robot.csv",
        "--observations",
        "x:m,y:m,vx:m/s,vy:m/s",
        "--actions",
        "ux:1:-1..1,uy:1:-1..1",
        "--episode",
        "episode",
        "--time",
        "t",
        "-o",
        "robot",
        "--quiet",
    ];
    succeed(folder, &args);
}

#[test]
fn clones_are_trained_and_judged_without_a_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    robot(folder);
    let info = succeed(folder, &["demos", "info", "robot"]);
    for part in [
        "10 episodes of table",
        "imported by",
        "returns are unknown",
        "m/s",
    ] {
        assert!(info.contains(part), "{part}: {info}");
    }
    let check = succeed(folder, &["demos", "check", "robot"]);
    assert!(check.contains("10 of 10 episodes sound"), "{check}");
    assert!(
        check.contains("without a simulator") && !check.contains("remark"),
        "{check}"
    );

    succeed(folder, &["train", "robot", "--algo", "bc", "-o", "b", "-q"]);
    let bc = json(&succeed(folder, &["evaluate", "b", "--json"]));
    assert_eq!(
        (&bc["part"], &bc["episodes"], &bc["trained_on"]),
        (&"held_out".into(), &2.into(), &8.into())
    );
    assert!(
        bc["log_likelihood"]["gain"]["mean"].as_f64().unwrap() > 0.5,
        "{bc}"
    );
    // The demonstrator's own noise is 0.1.
    assert!(
        bc["actions"][0]["rmse"]["mean"].as_f64().unwrap() < 0.15,
        "{bc}"
    );
    let kept = json(&fs::read_to_string(folder.join("b/held_out.json")).unwrap());
    assert_eq!(kept, bc);
    let text = succeed(folder, &["evaluate", "b"]);
    assert!(
        text.contains("they take a simulator") && text.contains("--env NAME"),
        "{text}"
    );

    // Demonstrations that training did not use are better judges.
    let few = [
        "train",
        "robot",
        "--algo",
        "ibc",
        "-n",
        "6",
        "--set",
        "iterations=2",
        "-o",
        "i",
        "-q",
    ];
    succeed(folder, &few);
    let ibc = json(&succeed(folder, &["evaluate", "i", "--json"]));
    assert_eq!(
        (&ibc["part"], &ibc["episodes"]),
        (&"unseen".into(), &4.into())
    );
    assert!(ibc["log_likelihood"].is_null());
    succeed(folder, &["report", "b", "i", "-o", "page.html"]);
    succeed(folder, &["diagnose", "b"]);
}

/// A policy with a density, and the cost that its critics imply.
#[test]
fn soft_q_learning_takes_no_simulator_if_it_samples_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    robot(folder);
    let offline = "train robot --algo iq-learn --set trajectories=0 --set iterations=2 \
                   --set sac.gradient_steps=20 -o q -q";
    succeed(folder, &offline.split_whitespace().collect::<Vec<_>>());
    let judged = json(&succeed(folder, &["evaluate", "q", "--json"]));
    assert!(judged["log_likelihood"]["gain"]["mean"].is_number());
    assert!(folder.join("q/cost.safetensors").exists());
    succeed(folder, &["report", "q", "-o", "page.html"]);
    let page = fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.contains("transitions of demonstrations, with two dimensions"));
    succeed(folder, &["diagnose", "q"]);
}

#[test]
fn what_takes_a_simulator_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    robot(folder);
    let takers = [
        ["gan-gcl", "gcl", "gcl-lqg", "airl", "gail"],
        ["gail-alone", "density-ratio", "iq-learn", "ls-iq", "sqil"],
    ];
    for algo in takers
        .concat()
        .into_iter()
        .chain(["preferences", "sfm", "dagger"])
    {
        fail(
            folder,
            &["train", "robot", "--algo", algo, "-o", "r"],
            2,
            &["without a simulator", algo, "--env NAME"],
        );
        assert!(!folder.join("r").exists());
    }
    fail(
        folder,
        &["record", "--append", "-o", "robot", "-n", "1"],
        2,
        &["without a simulator"],
    );
    fail(
        folder,
        &["record", "table", "-n", "1", "-o", "t"],
        2,
        &["without a simulator"],
    );
    fail(
        folder,
        &["view", "robot", "--gif", "x.gif"],
        2,
        &["without a simulator"],
    );
    fail(
        folder,
        &["evaluate", "robot", "--policy", "random"],
        2,
        &["without a simulator"],
    );
    succeed(
        folder,
        &[
            "train",
            "robot",
            "--algo",
            "bc",
            "--set",
            "iterations=1",
            "-o",
            "b",
            "-q",
        ],
    );
    fail(
        folder,
        &["evaluate", "b", "--transfer", "x"],
        2,
        &["without a simulator"],
    );
    let other = [
        "train",
        "robot",
        "--algo",
        "bc",
        "--seed",
        "1",
        "--set",
        "iterations=1",
        "-o",
        "c",
        "-q",
    ];
    succeed(folder, &other);
    fail(folder, &["evaluate", "b", "c"], 2, &["one by one"]);
}

#[test]
fn a_refused_import_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("log.csv"), "x,u\n1,2\n3,four\n5,6\n").unwrap();
    let import =
        |more: &[&'static str]| [&["demos", "import", "log.csv", "-o", "d"], more].concat();
    fail(
        folder,
        &import(&[]),
        2,
        &["which columns are observations?", "x, u"],
    );
    let columns = ["--observations", "x", "--actions", "u"];
    fail(
        folder,
        &import(&[&columns[..], &["--dt", "1"]].concat()),
        1,
        &["line 3", "column `u`", "`four`"],
    );
    let left = fs::read_dir(folder).unwrap().count();
    assert_eq!(left, 1, "only the table");
    fs::write(folder.join("log.csv"), "x,u\n1,2\n3,4\n5,6\n").unwrap();
    fail(folder, &import(&columns), 2, &["--dt 0.02"]);
    fs::create_dir(folder.join("d")).unwrap();
    succeed(folder, &import(&[&columns[..], &["--dt", "1"]].concat()));
    fail(
        folder,
        &import(&[&columns[..], &["--dt", "1"]].concat()),
        2,
        &["not empty"],
    );
    // Another tool's data is no dataset; the message names the way.
    fail(
        folder,
        &["train", ".", "--algo", "bc"],
        2,
        &["demos import"],
    );
}

#[test]
fn recordings_in_a_table_of_a_known_world_train_like_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    common::small_dataset(folder);
    let args = [
        "demos",
        "import",
        "demos",
        "--env",
        "pendulum",
        "--set",
        "env.task.horizon=40",
        "-o",
        "again",
        "--json",
    ];
    let summary = json(&succeed(folder, &args));
    assert_eq!(
        (&summary["env"], &summary["episodes"]),
        (&"pendulum".into(), &4.into())
    );
    assert!(run(folder, &["demos", "check", "again"]).status.success());
    let args: Vec<&str> = common::train_args(&["--set", "iterations=1", "-o", "r"])
        .into_iter()
        .map(|word| if word == "demos" { "again" } else { word })
        .collect();
    succeed(folder, &args);
}

#[test]
fn parts_of_a_dataset_are_learned_from_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    robot(folder);
    succeed(
        folder,
        &[
            "demos",
            "split",
            "robot",
            "--validation",
            "0.3",
            "-o",
            "parts",
            "-q",
        ],
    );
    let train = ["train", "parts/train", "--algo", "bc", "-o", "b", "-q"];
    succeed(folder, &train);
    let judged = |dataset: &str| {
        json(&succeed(
            folder,
            &["evaluate", dataset, "--policy", "b", "--json"],
        ))
    };
    let held = judged("parts/validation");
    assert_eq!(
        (&held["part"], &held["episodes"]),
        (&"unseen".into(), &3.into())
    );
    let all = judged("robot");
    assert_eq!(
        (&all["part"], &all["episodes"]),
        (&"seen".into(), &10.into())
    );
    let said = all["statements"].to_string();
    assert!(said.contains("7 of these 10 episodes"), "{said}");
    succeed(
        folder,
        &[
            "demos", "edit", "robot", "--rename", "vx=speed", "-o", "renamed", "-q",
        ],
    );
    let renamed = ["evaluate", "renamed", "--policy", "b"];
    fail(folder, &renamed, 2, &["speed (m/s)"]);

    succeed(folder, &["evaluate", "b", "-q"]);
    succeed(folder, &["report", "b", "-q"]);
    let page = fs::read_to_string(folder.join("b/report.html")).unwrap();
    for part in [
        "Held-out actions",
        "Gaussian that ignores the state",
        "ux (1)",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("has not been evaluated"));
}

#[test]
fn exports_are_imported_by_the_mapping_that_they_print() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    robot(folder);
    let export = [
        "demos",
        "export",
        "robot",
        "--to",
        "npz",
        "-o",
        "robot.npz",
        "--json",
        "-q",
    ];
    let sent = json(&succeed(folder, &export));
    fs::write(folder.join("m.json"), sent["mapping"].to_string()).unwrap();
    let import = [
        "demos",
        "import",
        "robot.npz",
        "--mapping",
        "m.json",
        "-o",
        "back",
        "-q",
    ];
    succeed(folder, &import);
    let stats = |dataset: &str| json(&succeed(folder, &["demos", "stats", dataset, "--json"]));
    let (was, is) = (stats("robot"), stats("back"));
    for key in [
        "observations",
        "actions",
        "lengths",
        "total_steps",
        "returns",
    ] {
        assert_eq!(was[key], is[key], "{key}");
    }
    fail(folder, &export, 2, &["robot.npz"]);
}

#[test]
fn a_world_tells_the_returns_of_a_table_without_rewards() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    common::small_dataset(folder);
    let export = [
        "demos", "export", "demos", "--to", "csv", "-o", "d.csv", "-q",
    ];
    succeed(folder, &export);
    // Its column of rewards is not asked for.
    let mut import = vec!["demos", "import", "d.csv", "--episode", "episode"];
    import.extend(["--time", "time", "--env", "pendulum", "-o", "told"]);
    import.extend(["--set", "env.task.horizon=40", "--json"]);
    let summary = json(&succeed(folder, &import));
    assert_eq!(summary["rewards"], true);
    let info = |dataset: &str| json(&succeed(folder, &["demos", "info", dataset, "--json"]));
    let (was, told) = (info("demos"), info("told"));
    assert_eq!(told["import"]["costs_of_world"], true);
    let mean = |info: &serde_json::Value| info["demonstration_return"]["mean"].as_f64().unwrap();
    let off = (mean(&told) - mean(&was)).abs();
    assert!(off < 1e-3 * mean(&was).abs(), "{off}");
    let said = succeed(folder, &["demos", "info", "told"]);
    assert!(said.contains("return by the world's own costs"), "{said}");
}

/// Imports `table` as episodes of the short pendulum, with the rewards that the table has.
fn import_pendulum(folder: &Path, table: &str, name: &str, more: &[&str]) {
    let mut args = vec!["demos", "import", table, "--episode", "episode"];
    args.extend(["--time", "time", "--reward", "reward", "--env", "pendulum"]);
    args.extend(["--set", "env.task.horizon=40", "-o", name, "-q"]);
    args.extend(more);
    succeed(folder, &args);
}

/// The short pendulum's episodes as recorded (`own`), with other actions (`other`) and with none (`none`).
fn with_and_without_actions(folder: &Path) {
    common::small_dataset(folder);
    let export = [
        "demos", "export", "demos", "--to", "csv", "-o", "d.csv", "-q",
    ];
    succeed(folder, &export);
    let table = fs::read_to_string(folder.join("d.csv")).unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let torque = header.iter().position(|name| *name == "torque").unwrap();
    let with_torque = |f: &dyn Fn(&str) -> Option<String>| -> String {
        let line = |line: &str| {
            let cells = line.split(',').enumerate();
            let cells = cells.filter_map(|(i, cell)| match i == torque {
                true => f(cell),
                false => Some(cell.to_owned()),
            });
            cells.collect::<Vec<_>>().join(",") + "\n"
        };
        table.lines().map(line).collect()
    };
    let other = with_torque(&|cell| {
        let number = cell.parse::<f64>();
        Some(number.map_or(cell.to_owned(), |u| (0.3 - 0.5 * u).to_string()))
    });
    fs::write(folder.join("other.csv"), other).unwrap();
    fs::write(folder.join("none.csv"), with_torque(&|_| None)).unwrap();
    import_pendulum(folder, "d.csv", "own", &[]);
    import_pendulum(folder, "other.csv", "other", &[]);
    import_pendulum(folder, "none.csv", "none", &["--observations-only"]);
}

/// Whatever was done, from the same observations the same is learned, also where nothing says what was done.
/// Seen to fail with actions shown to a cost that looks at them; hidden from it, they make no difference either.
#[test]
fn observations_alone_teach_the_same_whatever_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_and_without_actions(folder);
    for algo in ["gail", "density-ratio", "sfm"] {
        let learned = |dataset: &str, more: &[&str]| {
            let run = format!("{dataset}-{algo}");
            let mut args = vec!["train", dataset, "--algo", algo, "-o", &run, "-q"];
            args.extend(["--set", "iterations=2", "--set", "trajectories=4"]);
            args.extend(more);
            succeed(folder, &args);
            let file = |name: &str| fs::read(folder.join(&run).join(name)).unwrap();
            (file("policy.safetensors"), file("cost.safetensors"))
        };
        let own = learned("own", &["--observations-only"]);
        assert!(own == learned("other", &["--observations-only"]), "{algo}");
        // Implied where there is nothing to hide.
        assert!(own == learned("none", &[]), "{algo}");
    }

    // An evaluation knows no clone and compares states.
    let judged = json(&succeed(
        folder,
        &["evaluate", "none-sfm", "--json", "--no-robustness"],
    ));
    let rows = judged["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["expert", "random", "sfm"]);
    assert_eq!(rows[2]["occupancy"]["states_alone"], true);
}

#[test]
fn actions_that_nobody_recorded_are_neither_counted_nor_exported_nor_cloned() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    with_and_without_actions(folder);
    let info = succeed(folder, &["demos", "info", "none"]);
    assert!(info.contains("no actions were recorded"), "{info}");
    let check = succeed(folder, &["demos", "check", "none"]);
    assert!(
        check.contains("4 of 4 episodes sound") && !check.contains("remark"),
        "{check}"
    );
    for (args, parts) in [
        (
            "train none --algo bc -o x",
            &["no actions were recorded", "gail, gail-alone"][..],
        ),
        (
            "train own --algo gan-gcl --observations-only -o x",
            &["--observations-only", "sfm"],
        ),
        (
            "train own --algo gail --observations-only --set clone_steps=9 -o x",
            &["clone_steps=0"],
        ),
        (
            "train own --algo gail --observations-only --set cost.state_only=false -o x",
            &["cost.state_only=true"],
        ),
        (
            "train --resume -o run --observations-only",
            &["a resumed run keeps"],
        ),
        (
            "demos export none --to npz -o x.npz",
            &["no actions were recorded"],
        ),
        (
            "demos merge none own -o x",
            &["the record of actions is missing"],
        ),
        ("evaluate none --policy random", &["there is no clone"]),
        (
            "demos import none.csv --observations cos,sin --observations-only -o x",
            &["--env"],
        ),
    ] {
        let args: Vec<&str> = args.split_whitespace().collect();
        fail(folder, &args, 2, parts);
        assert!(!folder.join("x").exists());
    }
}
