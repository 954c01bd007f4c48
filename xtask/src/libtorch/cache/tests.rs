//! The whole way from pip to a linked folder, with small wheels and a pip that copies them.

use std::ffi::OsStr;

use tempfile::TempDir;

use super::super::pin::{Library, Wheel};
use super::super::python;
use super::*;

/// Writes `wheel.whl` with the entries `PATH=CONTENT`.
const MAKE_WHEEL: &str = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as archive:
    for entry in sys.argv[2:]:
        archive.writestr(*entry.split('='))";

/// A cache, a stand-in for Python, and a pin that fits the wheels it provides.
struct Bench {
    folder: TempDir,
    python: Python,
    pin: &'static Pin,
}

impl Bench {
    /// `None`, with a message, on a machine without Python: nothing can be fetched there either.
    fn new(entries: &[&str]) -> Option<Self> {
        let real = python::run(
            OsStr::new("python3"),
            &["-c", "import sys; print(sys.executable)"],
        );
        let Ok(real) = real else {
            eprintln!("skipped: no python3 here");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("bin/wheels")).unwrap();
        fs::write(at("bin/mode"), "wheels").unwrap();
        fs::write(at("bin/real"), real.trim()).unwrap();
        let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fakes/python3");
        symlink(Path::new(fake), &at("bin/python3")).unwrap();
        let wheel = at("bin/wheels/wheel.whl");
        let mut arguments = vec!["-c", MAKE_WHEEL, wheel.to_str().unwrap()];
        arguments.extend(entries);
        python::run(OsStr::new(real.trim()), &arguments).unwrap();
        let pin = Box::leak(Box::new(Pin {
            version: "1.2.3",
            wheels: Box::leak(Box::new([Wheel {
                requirement: "wheel==1.2.3",
                file: "wheel.whl",
                bytes: fs::metadata(&wheel).unwrap().len(),
                sha256: fetch::sha256(&wheel).unwrap().leak(),
                libraries: &[Library {
                    source: "wheel/lib/libx.so",
                    bytes: 5,
                }],
                headers: Some("wheel/include/"),
                licences: None,
            }])),
        }));
        let python = Python {
            program: at("bin/python3").into(),
            version: "3".into(),
        };
        Some(Bench {
            folder,
            python,
            pin,
        })
    }

    fn whole() -> Option<Self> {
        Self::new(&[
            "wheel/lib/libx.so=12345",
            "wheel/include/a/b.h=int b;",
            "wheel/junk=junk",
        ])
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn obtain(&self) -> Result<PathBuf, Error> {
        Cache::open(self.cache())?.obtain(self.pin, || {
            Ok(Python {
                program: self.python.program.clone(),
                version: "3".into(),
            })
        })
    }

    fn downloads(&self) -> usize {
        let log = fs::read_to_string(self.folder.path().join("bin/downloads"));
        log.map_or(0, |log| log.lines().count())
    }

    fn left_over(&self) -> Vec<String> {
        let names = fs::read_dir(self.cache()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(STAGING)).collect()
    }
}

#[test]
fn brings_what_is_needed_and_only_once() {
    let Some(bench) = Bench::whole() else { return };
    let folder = bench.obtain().unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("lib/libx.so"), "12345");
    assert_eq!(read("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n");
    assert_eq!(read("include/a/b.h"), "int b;");
    assert_eq!(read("build-version"), "1.2.3");
    assert!(cargo_env_names(&folder, &folder) && !cargo_env_names(&folder, Path::new("/other")));
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["build-version", "cargo-env.toml", "include", "lib"]);
    assert_eq!(bench.obtain().unwrap(), folder);
    assert_eq!(bench.downloads(), 1);
    assert!(bench.left_over().is_empty());
}

#[test]
fn set_ups_at_the_same_time_share_one_download() {
    let Some(bench) = Bench::whole() else { return };
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.obtain())).collect();
        for run in runs {
            assert!(is_complete(bench.pin, &run.join().unwrap().unwrap()));
        }
    });
    assert_eq!(bench.downloads(), 1);
    assert!(bench.left_over().is_empty());
}

#[test]
fn a_damaged_folder_is_replaced_and_old_scratch_swept() {
    let Some(bench) = Bench::whole() else { return };
    let folder = bench.obtain().unwrap();
    for damage in ["lib/libx.so", "lib/libtorch.so", "build-version"] {
        fs::write(folder.join(damage), "cut").unwrap();
        fs::create_dir_all(bench.cache().join("staging-1-1/wheels")).unwrap();
        assert!(!is_complete(bench.pin, &folder), "{damage}");
        assert_eq!(bench.obtain().unwrap(), folder);
        assert!(is_complete(bench.pin, &folder), "{damage}");
        assert!(bench.left_over().is_empty());
    }
    assert_eq!(bench.downloads(), 4);
}

#[test]
fn a_moved_cache_names_its_new_place() {
    let Some(bench) = Bench::whole() else { return };
    let old = bench.obtain().unwrap();
    let moved = bench.folder.path().join("moved");
    fs::rename(bench.cache(), &moved).unwrap();
    let folder = Cache::open(moved)
        .unwrap()
        .obtain(bench.pin, || Err(Error::NoPython))
        .unwrap();
    assert!(cargo_env_names(&folder, &folder) && !cargo_env_names(&folder, &old));
}

#[test]
fn a_wheel_of_another_hash_is_refused() {
    let Some(bench) = Bench::whole() else { return };
    // Still a valid zip file: only the hash can tell.
    let wheel = bench.folder.path().join("bin/wheels/wheel.whl");
    let mut bytes = fs::read(&wheel).unwrap();
    bytes.extend(b"\0");
    fs::write(&wheel, bytes).unwrap();
    let error = bench.obtain().unwrap_err();
    assert!(
        matches!(&error, Error::WrongHash { file, .. } if file == "wheel.whl"),
        "{error}"
    );
    assert!(bench.left_over().is_empty() && !bench.cache().join("libtorch-1.2.3-cpu").exists());
}

#[test]
fn a_wheel_without_the_needed_files_is_refused() {
    for (entries, message) in [
        (
            ["wheel/lib/other.so=12345", "wheel/include/b.h="],
            "no entry wheel/lib/libx.so",
        ),
        (
            ["wheel/lib/libx.so=12345", "wheel/b.h="],
            "no entry wheel/include/",
        ),
        (
            ["wheel/lib/libx.so=12345", "wheel/include/../../../b.h="],
            "unsafe entry",
        ),
        (
            ["wheel/lib/libx.so=1234", "wheel/include/b.h="],
            "files are missing",
        ),
    ] {
        let Some(bench) = Bench::new(&entries) else {
            return;
        };
        let error = bench.obtain().unwrap_err().to_string();
        assert!(
            error.contains(message) && error.lines().count() == 1,
            "{error}"
        );
        assert!(bench.left_over().is_empty());
    }
}

#[test]
fn a_link_is_made_and_moved_but_nothing_else_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    link(&at("a"), &at(".libtorch")).unwrap();
    link(&at("b"), &at(".libtorch")).unwrap();
    assert_eq!(fs::read_link(at(".libtorch")).unwrap(), at("b"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::create_dir(at("taken")).unwrap();
    assert!(matches!(
        link(&at("a"), &at("taken")),
        Err(Error::LinkTaken { .. })
    ));
    assert!(matches!(
        link(&at("a"), &at("none/link")),
        Err(Error::Link { .. })
    ));
}

#[test]
fn a_full_disk_is_named_as_such() {
    let full = |detail: &str| Error::Unpack {
        file: "x".into(),
        detail: detail.into(),
    };
    let io = |kind: io::ErrorKind| Error::Io {
        doing: "write x".into(),
        source: kind.into(),
    };
    let named = |error| fetch::name_full_disk(error, Path::new("/c"), &super::super::pin::LIBTORCH);
    for error in [
        full("[Errno 28] No space left on device"),
        io(io::ErrorKind::StorageFull),
    ] {
        let message = named(error).to_string();
        assert!(message.contains("about 1079 MB") && message.contains("no space left for /c:"));
    }
    for error in [full("bad zip file"), io(io::ErrorKind::PermissionDenied)] {
        assert!(!matches!(named(error), Error::NoSpace { .. }));
    }
}

#[test]
fn hashes_are_sha256() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "abc").unwrap();
    // FIPS 180-2, appendix B.1.
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(fetch::sha256(file.path()).unwrap(), expected);
}
