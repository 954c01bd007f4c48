//! Fuzz targets, built as `cargo fuzz` builds them but by the pinned compiler, and run for a while.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Context, Error};
use crate::libtorch;
use crate::python::must;
use crate::workspace::{Workspace, program};

/// What `cargo fuzz` passes to the compiler. Coverage: edges as counters, and what is compared.
const FLAGS: [&str; 10] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg",
    "fuzzing",
    "-Ccodegen-units=1",
    "-Zsanitizer=address",
];

/// Most memory of a target, and most seconds for an input.
const LIMITS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];

/// Results, a target a line.
const RESULTS: &str = "benches/reliability/fuzz.json";

/// What is asked for.
struct Request {
    /// All by default.
    targets: Vec<String>,
    /// Most inputs of a target.
    runs: u64,
    /// Most seconds of a target.
    seconds: u64,
}

/// A target of `fuzz/Cargo.toml`.
struct Target {
    name: String,
    /// Whether it needs libtorch.
    learning: bool,
}

/// What became of a target.
struct Outcome {
    executions: u64,
    seconds: f64,
    edges: u64,
    findings: u64,
}

pub fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Error> {
    let request = parse(arguments)?;
    let all = targets(workspace)?;
    let known: Vec<&str> = all.iter().map(|t| t.name.as_str()).collect();
    if let Some(name) = (request.targets.iter()).find(|name| !known.contains(&name.as_str())) {
        return misuse(format!(
            "there is no target `{name}`, expected some of {}",
            known.join(", ")
        ));
    }
    let chosen: Vec<&Target> = all
        .iter()
        .filter(|t| request.targets.is_empty() || request.targets.contains(&t.name))
        .collect();
    let programs = build(workspace, &chosen)?;
    let scratch = Scratch::make()?;
    let mut outcomes = Vec::new();
    for target in &chosen {
        let outcome = execute(workspace, &programs, &target.name, &scratch.0, &request)?;
        outcomes.push((target.name.as_str(), outcome));
    }
    record(workspace, &outcomes)?;
    print!("{}", table(&outcomes));
    match outcomes.iter().map(|(_, o)| o.findings).sum::<u64>() {
        0 => Ok(()),
        found => Err(Error::Failed {
            what: format!(
                "{found} findings; their inputs are in fuzz/artifacts/TARGET, and the target's program takes one as its \
                 argument"
            ),
        }),
    }
}

fn misuse<T>(what: String) -> Result<T, Error> {
    Err(Error::BadArgument {
        command: "fuzz",
        what,
    })
}

fn parse(arguments: &[OsString]) -> Result<Request, Error> {
    let mut request = Request {
        targets: Vec::new(),
        runs: 100_000,
        seconds: 300,
    };
    let mut rest = arguments.iter().map(|a| a.to_string_lossy().into_owned());
    while let Some(argument) = rest.next() {
        let slot = match argument.as_str() {
            "--runs" => &mut request.runs,
            "--seconds" => &mut request.seconds,
            flag if flag.starts_with('-') => {
                return misuse(format!(
                    "`{flag}` is unknown, expected --runs N or --seconds S"
                ));
            }
            _ => {
                request.targets.push(argument);
                continue;
            }
        };
        let value = rest.next().unwrap_or_default();
        match value.parse() {
            Ok(number) if number > 0 => *slot = number,
            _ => {
                return misuse(format!(
                    "{argument} is `{value}`, expected a whole number of at least 1"
                ));
            }
        }
    }
    Ok(request)
}

/// The targets of the manifest, which is written plainly: `[[bin]]`, then a name, and what it needs.
fn targets(workspace: &Workspace) -> Result<Vec<Target>, Error> {
    let file = workspace.root().join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
    Ok(listed(&text))
}

fn listed(manifest: &str) -> Vec<Target> {
    let target = |section: &str| {
        let name = section.split_once("name = \"")?.1.split_once('"')?.0;
        Some(Target {
            name: name.into(),
            learning: section.contains("required-features"),
        })
    };
    let sections = manifest.split("\n[").filter(|s| s.starts_with("[bin]]"));
    sections.filter_map(target).collect()
}

/// Builds the targets and returns the folder of their programs. Where none needs libtorch, nothing of it is fetched or compiled;
/// else all are built as one, as most of what they share would be compiled twice otherwise.
fn build(workspace: &Workspace, chosen: &[&Target]) -> Result<PathBuf, Error> {
    let host = host()?;
    let folder = workspace.root().join("fuzz/target");
    let learning = chosen.iter().any(|t| t.learning);
    let mut command = match learning {
        true => workspace.command(&libtorch::ensure(workspace)?),
        false => Command::new(program()),
    };
    command
        .args(["build", "--release", "--locked", "--no-default-features"])
        .args(learning.then_some("--features=learning"))
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .args(chosen.iter().flat_map(|t| ["--bin", &t.name]))
        .current_dir(workspace.root().join("fuzz"))
        .env("RUSTFLAGS", FLAGS.join(" "))
        // What sanitizes is still unstable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_INCREMENTAL", "0");
    must(&mut command, "the fuzz targets did not build")?;
    Ok(folder.join(host).join("release"))
}

/// The compiler's own platform: with it named, build scripts and macros are not instrumented.
fn host() -> Result<String, Error> {
    let said = Command::new("rustc")
        .arg("-vV")
        .output()
        .doing(|| "start rustc".into())?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::Failed {
        what: "`rustc -vV` names no host".into(),
    })
}

/// A temporary folder, in memory where there is such a disk: targets write thousands of files a second.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, Error> {
        let memory = Path::new("/dev/shm");
        let parent = match memory.is_dir() {
            true => memory.to_path_buf(),
            false => std::env::temp_dir(),
        };
        let folder = parent.join(format!("costate-xtask-fuzz-{}", id()));
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a target on a copy of its corpus.
fn execute(
    workspace: &Workspace,
    programs: &Path,
    name: &str,
    scratch: &Path,
    request: &Request,
) -> Result<Outcome, Error> {
    let corpus = scratch.join(format!("corpus-{name}"));
    copy(&workspace.root().join("fuzz/corpus").join(name), &corpus)?;
    let own = scratch.join(format!("own-{name}"));
    fs::create_dir_all(&own).doing(|| format!("make {}", own.display()))?;
    let artifacts = workspace.root().join("fuzz/artifacts").join(name);
    fs::create_dir_all(&artifacts).doing(|| format!("make {}", artifacts.display()))?;
    let before = entries(&artifacts);
    let log = artifacts.with_extension("log");
    let written = File::create(&log).doing(|| format!("create {}", log.display()))?;
    let program = programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    eprintln!(
        "{name}: at most {} inputs and {} s",
        request.runs, request.seconds
    );
    let mut prefix = OsString::from("-artifact_prefix=");
    prefix.push(&artifacts);
    prefix.push(std::path::MAIN_SEPARATOR_STR);
    let start = Instant::now();
    Command::new(&program)
        .arg(&corpus)
        .arg(format!("-runs={}", request.runs))
        .arg(format!("-max_total_time={}", request.seconds))
        .args(LIMITS)
        .args(["-print_final_stats=1", "-close_fd_mask=1"])
        .arg(prefix)
        // Leaks of other people's code that end with the program are none of memory safety.
        .env(
            "ASAN_OPTIONS",
            "detect_leaks=0:detect_odr_violation=0:allocator_may_return_null=0",
        )
        .env("TMPDIR", &own)
        .stdout(Stdio::null())
        .stderr(written)
        .status()
        .doing(|| format!("start {}", program.display()))?;
    let seconds = start.elapsed().as_secs_f64();
    for folder in [&corpus, &own] {
        fs::remove_dir_all(folder).doing(|| format!("remove {}", folder.display()))?;
    }
    let said = fs::read(&log).doing(|| format!("read {}", log.display()))?;
    let said = String::from_utf8_lossy(&said);
    let slow = |entry: &&OsString| entry.to_string_lossy().starts_with("slow-unit");
    let new = entries(&artifacts);
    let found = new.iter().filter(|e| !before.contains(e) && !slow(e));
    let outcome = Outcome {
        executions: after(&said, "stat::number_of_executed_units:"),
        seconds,
        edges: after(&said, " cov:"),
        findings: found.count() as u64,
    };
    if outcome.findings > 0 || outcome.executions == 0 {
        eprintln!("{name}: see {}", log.display());
    }
    Ok(outcome)
}

/// The number after the last `label`; 0 without one.
fn after(log: &str, label: &str) -> u64 {
    let rest = log.rsplit_once(label).map(|(_, rest)| rest.trim_start());
    let digits = rest.map(|r| r.split(|c: char| !c.is_ascii_digit()).next());
    digits.flatten().and_then(|d| d.parse().ok()).unwrap_or(0)
}

fn entries(folder: &Path) -> Vec<OsString> {
    let inside = fs::read_dir(folder).into_iter().flatten().flatten();
    inside.map(|e| e.file_name()).collect()
}

/// Copies a folder of files; an absent one becomes an empty one.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).doing(|| format!("make {}", to.display()))?;
    for name in entries(from) {
        let file = from.join(&name);
        fs::copy(&file, to.join(&name)).doing(|| format!("copy {}", file.display()))?;
    }
    Ok(())
}

/// Puts the outcomes into the file of results. A target's row of the same commit grows, one of another commit is replaced.
fn record(workspace: &Workspace, outcomes: &[(&str, Outcome)]) -> Result<(), Error> {
    let file = workspace.root().join(RESULTS);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let merged = merge(&text, outcomes, &commit(workspace), &today());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).doing(|| format!("make {}", folder.display()))?;
    }
    fs::write(&file, merged).doing(|| format!("write {}", file.display()))
}

fn merge(text: &str, outcomes: &[(&str, Outcome)], commit: &str, date: &str) -> String {
    let row = |line: &str| {
        let line = line.trim().trim_end_matches(',');
        let name = line.strip_prefix("{\"target\": \"")?.split_once('"')?.0;
        Some((name.to_owned(), line.to_owned()))
    };
    let mut rows: BTreeMap<String, String> = text.lines().filter_map(row).collect();
    for (name, outcome) in outcomes {
        let there = rows.get(*name).filter(|row| row.contains(commit));
        let of = |label: &str| {
            let rest = there.and_then(|row| row.split_once(&format!("\"{label}\": ")));
            let number = rest.and_then(|(_, rest)| rest.split([',', '}']).next());
            number.and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0)
        };
        let row = format!(
            "{{\"target\": \"{name}\", \"executions\": {}, \"seconds\": {:.0}, \"edges\": {}, \"findings\": {}, \
             \"sanitised\": true, \"commit\": \"{commit}\", \"date\": \"{date}\"}}",
            outcome.executions + of("executions") as u64,
            outcome.seconds + of("seconds"),
            outcome.edges.max(of("edges") as u64),
            outcome.findings + of("findings") as u64,
        );
        rows.insert((*name).to_owned(), row);
    }
    let rows: Vec<String> = rows.into_values().map(|row| format!("  {row}")).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn commit(workspace: &Workspace) -> String {
    let said = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(workspace.root())
        .output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    said.unwrap_or_default()
}

/// The day in UTC, from days since 1970 (Hinnant's algorithm).
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    date((now.map_or(0, |t| t.as_secs()) / 86400) as i64)
}

fn date(days: i64) -> String {
    // Years begin in March, so that leap days are last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, more) = match month {
        0..10 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + more)
}

fn table(outcomes: &[(&str, Outcome)]) -> String {
    let mut text = format!(
        "{:<12} {:>12} {:>8} {:>8} {:>8}\n",
        "target", "executions", "seconds", "edges", "findings"
    );
    for (name, o) in outcomes {
        text += &format!(
            "{name:<12} {:>12} {:>8.0} {:>8} {:>8}\n",
            o.executions, o.seconds, o.edges, o.findings
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Request, Error> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        parse(&arguments)
    }

    #[test]
    fn arguments_are_targets_and_two_limits() {
        let request = asked(&["csv", "--runs", "5", "wire", "--seconds", "7"]).unwrap();
        assert_eq!(request.targets, ["csv", "wire"]);
        assert_eq!((request.runs, request.seconds), (5, 7));
        for bad in [&["--runs"][..], &["--runs", "0"], &["--fast"]] {
            let error = asked(bad).err().expect("refused");
            assert_eq!(error.exit_code(), 2, "{error}");
        }
    }

    #[test]
    fn targets_are_read_from_the_manifest() {
        let manifest = "[package]\nname = \"costate-fuzz\"\n\n[[example]]\nname = \"seeds\"\n\n[[bin]]\nname = \"csv\"\n\n\
                        [[bin]]\nname = \"cost\"\nrequired-features = [\"learning\"]\n";
        let found = listed(manifest);
        let found: Vec<(&str, bool)> = found.iter().map(|t| (&*t.name, t.learning)).collect();
        assert_eq!(found, [("csv", false), ("cost", true)]);
    }

    #[test]
    fn a_log_says_how_much_was_run() {
        let log = "#8\tINITED cov: 12 ft: 13\n#9\tNEW    cov: 345 ft: 99\nstat::number_of_executed_units: 678\n";
        assert_eq!(after(log, "stat::number_of_executed_units:"), 678);
        assert_eq!(after(log, " cov:"), 345);
        assert_eq!(after(log, "nothing"), 0);
    }

    #[test]
    fn rows_grow_within_a_commit_and_are_replaced_by_another() {
        let outcome = |executions, findings| Outcome {
            executions,
            seconds: 2.0,
            edges: 30,
            findings,
        };
        let first = merge(
            "",
            &[("wire", outcome(10, 0)), ("csv", outcome(5, 1))],
            "aa",
            "d",
        );
        let grown = merge(&first, &[("wire", outcome(20, 0))], "aa", "e");
        assert!(grown.contains("\"wire\", \"executions\": 30, \"seconds\": 4, \"edges\": 30"));
        assert!(grown.contains(
            "\"csv\", \"executions\": 5, \"seconds\": 2, \"edges\": 30, \"findings\": 1"
        ));
        let other = merge(&grown, &[("csv", outcome(7, 0))], "bb", "f");
        assert!(other.contains("\"csv\", \"executions\": 7"), "{other}");
        assert!(other.contains("\"wire\", \"executions\": 30"), "{other}");
        assert_eq!(other.lines().count(), 4);
    }

    #[test]
    fn days_have_their_dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (19_782, "2024-02-29"),
            (20_000, "2024-10-04"),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}
