//! The published commands work: every fenced `sh` block of the README and the book is executed.
//!
//! The blocks of a page run in order in one temporary folder, with `costate` being the binary under test. Where a page
//! asks for hours of work, [`smaller`] asks for seconds; what cannot run here stands in [`ELSEWHERE`] with its reason. A
//! command that fails, or that this runner does not know, fails the page's test.
#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{costate, crane, succeed};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        /// Pages with commands, each with a test of its own, so that they run side by side.
        const PAGES: &[&str] = &[$($path),*];
        $(#[test] fn $name() { run_page($path); })*
    };
}

pages! {
    readme: "README.md",
    contributing: "docs/contributing.md",
    custom_environment: "docs/custom-environment.md",
    datasets: "docs/datasets.md",
    ebm: "docs/ebm.md",
    environments: "docs/environments.md",
    evaluation: "docs/evaluation.md",
    exit_codes_and_files: "docs/files.md",
    export: "docs/export.md",
    getting_started: "docs/getting-started.md",
    learners: "docs/learners.md",
    own_data: "docs/own-data.md",
    reliability: "docs/reliability.md",
    reports: "docs/reports.md",
    results: "docs/results.md",
    training: "docs/training.md",
    weights: "docs/weights.md",
}

/// Commands, by how they begin, that are not run here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "cargo xtask demo",
        "tests/cli.rs runs `costate demo`, small; xtask/tests the rest",
    ),
    (
        "cargo xtask setup",
        "it has run before this test could be built",
    ),
    ("cargo xtask test", "it runs this test"),
    ("cargo xtask book", "a step of .ci/run"),
    ("cargo xtask supply", "a step of .ci/run"),
    ("cargo xtask python", "a step of .ci/run"),
    ("cargo xtask page", "a step of .ci/run"),
    (
        "cargo xtask dist",
        "it builds for release and packs 450 MB, which takes minutes",
    ),
    ("bash .ci/run", "it runs this test"),
    (
        "tensorboard",
        "another project's program, which the tests do not install",
    ),
];

/// Iterations of any training; a page's own number is replaced.
const ITERATIONS: &str = "iterations=2";

/// Further settings that make a training small, by algorithm; where a page sets one itself, its value stays.
const TRAININGS: &[(&str, &[&str])] = &[
    (
        "gan-gcl",
        &[
            "trajectories=4",
            "base_steps=20",
            "validation.policies=1",
            "validation.iterations=2",
            "validation.trajectories=4",
        ],
    ),
    ("airl", &["trajectories=4"]),
    ("gail", &["trajectories=4"]),
    (
        "gail-alone",
        &[
            "trajectories=4",
            "rounds=2",
            "validation.policies=1",
            "validation.iterations=2",
            "validation.trajectories=4",
        ],
    ),
    ("density-ratio", &["trajectories=4"]),
    ("preferences", &["trajectories=4"]),
    ("sfm", &["trajectories=4"]),
    ("iq-learn", &["clone_steps=20", "sac.gradient_steps=5"]),
    (
        "ls-iq",
        &["trajectories=2", "clone_steps=20", "sac.gradient_steps=5"],
    ),
    ("rl", &["trajectories=4"]),
    ("bc", &[]),
    ("ibc", &[]),
    ("flow-bc", &[]),
];

/// The same for `costate expert`, and for the policies that `costate evaluate --transfer` trains.
const EXPERTS: &[&str] = &["iterations=1", "trajectories=4"];

/// The same for recordings by `mppi`, which plans for seconds an episode.
const PLANNED: &[&str] = &["env.task.horizon=40"];

/// The same for `costate ebm`.
const ENERGIES: &[&str] = &[
    "rounds=5",
    "flow.steps=20",
    "ais.chains=100",
    "ais.temperatures=5",
];

/// And for its energy matching.
const MATCHED: &[&str] = &[
    "transport_steps=20",
    "energy_matching.chains=100",
    "energy_matching.temperatures=5",
];

/// Asks for seconds of work where the page asks for more.
fn smaller(words: &mut Vec<String>) {
    let has = |words: &[String], flag: &str| words.iter().any(|w| w == flag);
    match words[0].as_str() {
        "record" if after(words, "--expert") == Some("mppi") => {
            at_most(words, "-n", 4);
            set(words, PLANNED);
        }
        "record" if !has(words, "--resume") => at_most(words, "-n", 6),
        "train" if !has(words, "--print-config") && !has(words, "--print-schema") => {
            let resumed = has(words, "--resume");
            let iterations = if resumed { "iterations=3" } else { ITERATIONS };
            for word in words.iter_mut().filter(|w| w.starts_with("iterations=")) {
                *word = iterations.into();
            }
            // As many rounds as two iterations have room for.
            for word in words.iter_mut().filter(|w| w.starts_with("rounds=")) {
                *word = "rounds=2".into();
            }
            if !resumed {
                let algorithm = after(words, "--algo").expect("a training names its algorithm");
                let (_, settings) = TRAININGS
                    .iter()
                    .find(|(name, _)| *name == algorithm)
                    .unwrap_or_else(|| panic!("TRAININGS has nothing small for {algorithm}"));
                if algorithm != "rl" {
                    at_most(words, "-n", 4);
                }
                set(words, &[ITERATIONS]);
                set(words, settings);
            }
        }
        "expert" => set(words, EXPERTS),
        "evaluate" => {
            at_most(words, "-n", 4);
            if has(words, "--transfer") {
                set(words, EXPERTS);
            }
        }
        "view" => {
            at_most(words, "--steps", 10);
            if has(words, "--episodes") {
                at_most(words, "--episodes", 3);
            }
        }
        "ebm" if !has(words, "--model") => {
            set(words, ENERGIES);
            if after(words, "--method") == Some("energy-matching") {
                set(words, MATCHED);
            }
            if has(words, "--known") {
                at_most(words, "--rows", 300);
            }
        }
        // Hours; tests/validation.rs runs cells.
        "bench" if !has(words, "--show") && !has(words, "--check") => words.push("--show".into()),
        _ => {}
    }
}

/// The word after `flag`.
fn after<'a>(words: &'a [String], flag: &str) -> Option<&'a str> {
    let at = words.iter().position(|w| w == flag)?;
    words.get(at + 1).map(String::as_str)
}

/// Sets `flag` to `most` unless the page asks for less.
fn at_most(words: &mut Vec<String>, flag: &str, most: usize) {
    let Some(at) = words.iter().position(|w| w == flag) else {
        words.extend([flag.into(), most.to_string()]);
        return;
    };
    let asked: usize = words[at + 1].parse().expect("a number");
    words[at + 1] = asked.min(most).to_string();
}

/// Adds the settings that the page does not set.
fn set(words: &mut Vec<String>, settings: &[&str]) {
    for setting in settings {
        let key = &setting[..=setting.find('=').expect("KEY=VALUE")];
        if !words.iter().any(|w| w.starts_with(key)) {
            words.extend(["--set".into(), (*setting).into()]);
        }
    }
}

/// What a page finds in its folder: the shipped demonstrations, and files of the user's own.
fn furnish(folder: &Path, page: &str) {
    std::os::unix::fs::symlink(Path::new(ROOT).join("demos"), folder.join("demos")).unwrap();
    let mut table = String::from("length,width\n");
    for i in 0..200 {
        let x = f64::from(i);
        writeln!(
            table,
            "{},{}",
            2.0 + x.sin(),
            (1.7 * x).cos() - 0.3 * x.sin()
        )
        .unwrap();
    }
    for name in ["measurements.csv", "others.csv"] {
        fs::write(folder.join(name), &table).unwrap();
    }
    fs::write(folder.join("robot.csv"), include_str!("book/robot.csv")).unwrap();
    // y = x W for the three channels of `pendulum`.
    fs::write(folder.join("swing.onnx"), include_bytes!("book/swing.onnx")).unwrap();
    for (name, program) in programs(page) {
        fs::write(folder.join(name), program).unwrap();
    }
}

/// The page's Python programs that come "as `NAME.py`".
fn programs(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (before, rest) in page.match_indices("```python\n").map(|(at, mark)| {
        let (before, rest) = page.split_at(at);
        (before, &rest[mark.len()..])
    }) {
        let sentence = before.trim_end().lines().last().unwrap_or_default();
        let Some(name) = sentence.split('`').find(|span| span.ends_with(".py")) else {
            continue;
        };
        let program = rest.split("```").next().unwrap_or_default();
        found.push((name.to_owned(), program.to_owned()));
    }
    found
}

/// The commands of the page's `sh` blocks, without comments and with continued lines joined.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut fence = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language),
            (Some(_), Some(_)) => fence = None,
            (None, Some("sh")) => commands.push(line),
            (None, _) => {}
        }
    }
    let text = commands.join("\n").replace("\\\n", " ");
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

fn run_page(name: &str) {
    let page = read(name);
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path(), &page);
    let commands = commands(&page);
    assert!(
        !commands.is_empty(),
        "{name} has no commands any more: take it out of PAGES"
    );
    for command in commands {
        let start = Instant::now();
        let how = run_command(folder.path(), &command)
            .unwrap_or_else(|error| panic!("{name}: `{command}`\n{error}"));
        println!("{name}: {:5.1} s  {how}", start.elapsed().as_secs_f64());
    }
}

/// Runs one command of a page; returns what was run.
fn run_command(folder: &Path, command: &str) -> Result<String, String> {
    if let Some((_, reason)) = ELSEWHERE
        .iter()
        .find(|(begin, _)| command.starts_with(begin))
    {
        return Ok(format!("not here ({reason}): {command}"));
    }
    let mut words = shlex::split(command).ok_or("quotes that do not close")?;
    let shell = |w: &String| ["|", "||", "&&", ";", "&", ">", ">>", "<"].contains(&w.as_str());
    if words.iter().any(shell) || command.contains('$') {
        return Err("this runner is no shell: one plain command a line".into());
    }
    let program = words.remove(0);
    let mut child = match program.as_str() {
        "cd" => {
            let found = Path::new(ROOT).join(&words[0]).is_dir();
            return found
                .then(|| command.to_owned())
                .ok_or("no such folder".into());
        }
        "costate" => {
            smaller(&mut words);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            costate(folder, &words)
        }
        // The example's own package builds all of Costate again; cargo builds the same file as an example of ours.
        "cargo" if words.starts_with(&["run".into(), "--".into()]) => {
            words.drain(..2);
            smaller(&mut words);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            crane(folder, &words)
        }
        "cc" => {
            if Command::new("cc").arg("--version").output().is_err() {
                return Ok(format!("not here (no C compiler): {command}"));
            }
            let mut child = Command::new("cc");
            child.args(&words).current_dir(folder);
            child
        }
        "python" => {
            let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
            let numpy = Command::new(&python).args(["-c", "import numpy"]).output();
            if !numpy.is_ok_and(|o| o.status.success()) {
                return Ok(format!("not here ({python} has no numpy): {command}"));
            }
            let mut child = Command::new(python);
            child.args(&words).current_dir(folder);
            child
        }
        _ => return Err("this runner does not know the program; see ELSEWHERE".into()),
    };
    let output = child.output().map_err(|error| error.to_string())?;
    let ran = format!("{program} {}", words.join(" "));
    if output.status.success() {
        return Ok(ran);
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}, run as `{ran}`:\n{error}", output.status))
}

/// Markdown pages of this repository, by their paths in it.
fn markdown() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && name != "target" {
                    walk(&path, found);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["docs", "demos", "benches", "envs", "xtask"] {
        walk(&Path::new(ROOT).join(folder), &mut found);
    }
    let name = |path: &PathBuf| path.strip_prefix(ROOT).unwrap().display().to_string();
    let mut names: Vec<String> = found.iter().map(name).collect();
    names.extend(["README.md".into(), "ARCHITECTURE.md".into()]);
    names.sort();
    names
}

#[test]
fn every_page_with_commands_is_run() {
    for name in markdown() {
        let page = read(&name);
        assert_eq!(
            PAGES.contains(&name.as_str()),
            !commands(&page).is_empty(),
            "{name}: pages with `sh` blocks are those of PAGES"
        );
        for (number, line) in page.lines().enumerate() {
            // Tables that commands write.
            if name.starts_with("benches") {
                break;
            }
            let escapes = [
                "```bash",
                "```console",
                "```shell",
                "    costate ",
                "    cargo ",
            ];
            let escaped = escapes.iter().any(|begin| line.starts_with(begin));
            assert!(
                !escaped,
                "{name}:{}: commands go into ```sh blocks",
                number + 1
            );
        }
    }
}

#[test]
fn commands_within_sentences_exist() {
    let folder = tempfile::tempdir().unwrap();
    let mut helps = BTreeMap::new();
    let mut help = |path: &[&str]| -> String {
        let text = || succeed(folder.path(), &[path, &["--help"]].concat());
        helps.entry(path.join(" ")).or_insert_with(text).clone()
    };
    let top = help(&[]);
    let chores = read("xtask/src/cli.rs");
    let mut unknown = BTreeSet::new();
    let mut count = 0;
    for name in markdown()
        .iter()
        .filter(|name| !name.starts_with("benches"))
    {
        let page = read(name);
        for span in page.split('`').skip(1).step_by(2) {
            let words: Vec<&str> = span.split_whitespace().collect();
            let known = match words.as_slice() {
                ["cargo", "xtask", chore, ..] => {
                    chores.contains(&format!("(\"{chore}\", Command::"))
                }
                ["costate", command, rest @ ..] if !command.starts_with('-') => {
                    let listed = |help: &str, word: &str| help.contains(&format!("\n  {word} "));
                    listed(&top, command) && {
                        let mut path = vec![*command];
                        let mut text = help(&path);
                        if let Some(inner) = rest.first().filter(|word| listed(&text, word)) {
                            path.push(inner);
                            text = help(&path);
                        }
                        let flag = |w: &&&str| w.starts_with("--") && w.len() > 2;
                        rest.iter().filter(flag).all(|w| {
                            text.contains(&format!("{w} ")) || text.contains(&format!("{w}\n"))
                        })
                    }
                }
                _ => continue,
            };
            count += 1;
            if !known {
                unknown.insert(format!("{name}: `{span}`"));
            }
        }
    }
    assert!(count > 50, "{count} commands found");
    assert!(
        unknown.is_empty(),
        "no such command or option:\n{unknown:#?}"
    );
}
