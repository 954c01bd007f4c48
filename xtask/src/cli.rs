//! The command line of `cargo xtask`.

use std::ffi::OsString;

use crate::error::Error;

/// What `cargo xtask help` prints.
pub const HELP: &str = "\
Set-up and chores of the costate workspace.

Usage: cargo xtask <COMMAND> [ARGS…]

Commands:
  setup          Bring libtorch, once per machine, so that plain `cargo build|test|run` work here
  demo [ARGS…]   Set up, then `cargo run --release -- demo ARGS`
  test [ARGS…]   Set up, then `cargo test --workspace ARGS`, with COSTATE_PYTHON set to a Python that
                 has Gymnasium
  python         Build the Python package into target/python and run its tests
  page [ARGS…]   Test the page of `costate view` in a headless Chromium; ARGS are pytest's
  book           Build the book of docs/ and check its links and those of the README
  dist           Build the archives to hand out into target/dist: all of Costate with libtorch, and
                 the page alone
  supply         Check dependencies: licences, sources, bans, advisories; unused ones
  fuzz [TARGET…] [--runs N] [--seconds S]
                 Build the fuzz targets of fuzz/, all by default, and run each on a copy of its corpus:
                 at most N inputs (default: 100000) and S seconds (default: 300)
  help           Print this text

Environment:
  LIBTORCH              Folder of a libtorch of your own, with include/ and lib/; nothing is fetched
  LIBTORCH_USE_PYTORCH  If set, use the PyTorch installed for python3; nothing is fetched
  COSTATE_CHROMIUM      The browser of `page` (default: chromium on the PATH, or installed by apt-get)
  COSTATE_CACHE         Where the fetched libtorch and the tools of `book` and `supply` are kept,
                        shared by clones (default: $XDG_CACHE_HOME/costate, else ~/.cache/costate)
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Setup,
    Demo,
    Test,
    Python,
    Page,
    Book,
    Dist,
    Supply,
    Fuzz,
    Help,
}

const COMMANDS: [(&str, Command); 10] = [
    ("setup", Command::Setup),
    ("demo", Command::Demo),
    ("test", Command::Test),
    ("python", Command::Python),
    ("page", Command::Page),
    ("book", Command::Book),
    ("dist", Command::Dist),
    ("supply", Command::Supply),
    ("fuzz", Command::Fuzz),
    ("help", Command::Help),
];

/// Splits the arguments into the command and what is passed on.
pub fn parse(arguments: &[OsString]) -> Result<(Command, &[OsString]), Error> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Error::NoCommand);
    };
    let name = name.to_string_lossy();
    if name == "-h" || name == "--help" {
        return Ok((Command::Help, rest));
    }
    let Some(&(_, command)) = COMMANDS.iter().find(|(known, _)| *known == name) else {
        return Err(Error::UnknownCommand {
            nearest: nearest(&name),
            name: name.into_owned(),
        });
    };
    match (command, rest.first()) {
        (
            Command::Setup
            | Command::Python
            | Command::Book
            | Command::Dist
            | Command::Supply
            | Command::Help,
            Some(extra),
        ) => Err(Error::ExtraArgument {
            command: name.into_owned(),
            extra: extra.to_string_lossy().into_owned(),
        }),
        _ => Ok((command, rest)),
    }
}

fn nearest(name: &str) -> &'static str {
    let distance = |known: &str| strsim::damerau_levenshtein(known, name);
    COMMANDS
        .iter()
        .map(|(known, _)| *known)
        .min_by_key(|known| distance(known))
        .unwrap_or("help")
}

/// The arguments of cargo that build what the demo runs.
pub const DEMO_BUILD: [&str; 4] = ["build", "--release", "--package", "costate"];

/// The arguments of cargo that build the tests.
pub const TEST_BUILD: [&str; 3] = ["build", "--workspace", "--tests"];

/// The arguments of cargo for `cargo xtask demo`.
pub fn demo_arguments(rest: &[OsString]) -> Vec<OsString> {
    with(
        &["run", "--release", "--package", "costate", "--", "demo"],
        rest,
    )
}

/// The arguments of cargo for `cargo xtask test`.
pub fn test_arguments(rest: &[OsString]) -> Vec<OsString> {
    with(&["test", "--workspace"], rest)
}

fn with(first: &[&str], rest: &[OsString]) -> Vec<OsString> {
    first
        .iter()
        .map(OsString::from)
        .chain(rest.iter().cloned())
        .collect()
}
