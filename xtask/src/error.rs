//! Everything that can go wrong, each as one line that says what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// How the user can do without the libtorch that this program installs.
const WAY_OUT: &str = "or set LIBTORCH to a libtorch 2.13.0 of your own, or \
                       LIBTORCH_USE_PYTORCH=1 to use an installed PyTorch 2.13.0";

#[derive(Debug)]
pub enum Error {
    NoCommand,
    UnknownCommand {
        name: String,
        nearest: &'static str,
    },
    ExtraArgument {
        command: String,
        extra: String,
    },
    BadArgument {
        command: &'static str,
        what: String,
    },
    /// cargo itself could not be started.
    Cargo {
        program: String,
        source: io::Error,
    },
    NoCompiler,
    /// No wheel fits this machine.
    Unsupported {
        platform: String,
    },
    NoPython,
    NoPip {
        python: String,
        detail: String,
    },
    Download {
        what: String,
        detail: String,
    },
    /// pip succeeded, but the pinned file is not among its downloads.
    MissingWheel {
        file: String,
    },
    WrongHash {
        file: String,
        expected: String,
        found: String,
    },
    Unpack {
        file: String,
        detail: String,
    },
    /// The disk of the cache `folder` is full.
    NoSpace {
        folder: PathBuf,
        needed_mb: u64,
    },
    NoCacheFolder,
    /// A file operation in the cache failed; `doing` is a verb phrase with the path.
    Io {
        doing: String,
        source: io::Error,
    },
    /// The clone's link to the cache could not be created.
    Link {
        path: PathBuf,
        source: io::Error,
    },
    /// Something else exists where the clone's link belongs.
    LinkTaken {
        path: PathBuf,
    },
    /// A tool of `book` or `supply` could not be installed.
    Tool {
        name: String,
        source: Box<Error>,
    },
    /// A tool ran and failed, or found something, and has printed what.
    Failed {
        what: String,
    },
    /// What is wrong with the book's pages, one line each.
    Pages {
        faults: Vec<String>,
    },
    /// The user's LIBTORCH or LIBTORCH_USE_PYTORCH does not work.
    Own {
        what: String,
    },
}

impl Error {
    /// 2 for a wrong command line, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NoCommand
            | Error::UnknownCommand { .. }
            | Error::ExtraArgument { .. }
            | Error::BadArgument { .. } => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    // One arm per message: long but flat.
    #[expect(clippy::too_many_lines, reason = "one arm a message")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoCommand => write!(f, "no command given; `cargo xtask help` lists them"),
            Error::UnknownCommand { name, nearest } => write!(
                f,
                "unknown command `{name}`; did you mean `{nearest}`? `cargo xtask help` lists all"
            ),
            Error::ExtraArgument { command, extra } => {
                write!(
                    f,
                    "`cargo xtask {command}` takes no arguments, got `{extra}`"
                )
            }
            Error::BadArgument { command, what } => write!(f, "cargo xtask {command}: {what}"),
            Error::Cargo { program, source } => write!(f, "could not start `{program}`: {source}"),
            Error::NoCompiler => write!(
                f,
                "the build needs a C++ compiler, and `c++` does not start; install one (the g++ \
                 package on most systems), or set CXX to yours"
            ),
            Error::Unsupported { platform } => write!(
                f,
                "there is no libtorch to fetch for {platform}, only for x86-64 Linux with glibc; \
                 bring one yourself, {}",
                WAY_OUT.trim_start_matches("or ")
            ),
            Error::NoPython => write!(
                f,
                "the download needs Python 3 with pip, and neither `python3` nor `python` \
                 works; install Python, {WAY_OUT}"
            ),
            Error::NoPip { python, detail } => write!(
                f,
                "the download needs pip, and `{python} -m pip` fails ({detail}); install it \
                 with `{python} -m ensurepip` or your system's python3-pip package, {WAY_OUT}"
            ),
            Error::Download { what, detail } => write!(
                f,
                "pip could not fetch {what}: {detail}; check the network and pip's settings \
                 (`pip config list`) and run this again, {WAY_OUT}"
            ),
            Error::MissingWheel { file } => write!(
                f,
                "pip brought another file than the pinned {file}; check which package index pip \
                 uses (`pip config list`), {WAY_OUT}"
            ),
            Error::WrongHash {
                file,
                expected,
                found,
            } => write!(
                f,
                "{file} is not the pinned file and was deleted (its sha256 is {found}, expected \
                 {expected}); run this again, and if it stays so check which package index pip \
                 uses (`pip config list`), {WAY_OUT}"
            ),
            Error::Unpack { file, detail } => {
                write!(
                    f,
                    "could not unpack {file}: {detail}; run this again, {WAY_OUT}"
                )
            }
            Error::NoSpace { folder, needed_mb } => write!(
                f,
                "no space left for {}: the set-up needs about {needed_mb} MB there; free some, or \
                 set COSTATE_CACHE to a folder on another disk",
                folder.display()
            ),
            Error::NoCacheFolder => write!(
                f,
                "no folder to keep libtorch in, as HOME is not set; set COSTATE_CACHE to a \
                 writable folder"
            ),
            Error::Io { doing, source } => write!(
                f,
                "could not {doing}: {source}; to keep libtorch elsewhere, set COSTATE_CACHE to a \
                 writable folder"
            ),
            Error::Link { path, source } => write!(
                f,
                "could not make the link {}: {source}; make this clone's folder writable",
                path.display()
            ),
            Error::LinkTaken { path } => write!(
                f,
                "{} is in the way of the link to libtorch; move it away and run this again",
                path.display()
            ),
            Error::Tool { name, source } => {
                let reason = source.to_string().replace(&format!(", {WAY_OUT}"), "");
                write!(f, "could not bring {name}: {reason}")
            }
            Error::Failed { what } => write!(f, "{what}"),
            Error::Pages { faults } => {
                write!(
                    f,
                    "the book has {} faults:\n  {}",
                    faults.len(),
                    faults.join("\n  ")
                )
            }
            Error::Own { what } => {
                write!(
                    f,
                    "{what}; correct it, or unset it to let the set-up fetch libtorch"
                )
            }
        }
    }
}

/// Names the file operation in the cache that failed.
pub trait Context<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            doing: what(),
            source,
        })
    }
}
