//! Downloads the wheels with pip, checks them, and unpacks what is needed.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::pin::{Library, PIP_TARGET, Pin, Wheel};
use super::python::{Python, last_line, pip_failure};
use crate::error::{Context, Error};

/// Decimal, as pip counts.
const MB: u64 = 1_000_000;

/// Fills `out`, a folder it creates, with `include/` and `lib/`; `work` is scratch beside it.
pub fn fetch(pin: &Pin, python: &Python, work: &Path, out: &Path) -> Result<(), Error> {
    let wheels = work.join("wheels");
    let what = format!("libtorch {} for CPU", pin.version);
    download(&what, pin.wheels, python, work, &wheels)?;
    eprintln!("Checking and unpacking");
    for wheel in pin.wheels {
        let file = wheels.join(wheel.file);
        check(wheel, &file)?;
        unpack(wheel, python, &file, out, &rules(wheel))?;
        // Frees its space for the next one.
        std::fs::remove_file(&file).doing(|| format!("delete {}", file.display()))?;
    }
    Ok(())
}

/// Turns a failure caused by a full disk at `cache` into an error that says so.
pub fn name_full_disk(error: Error, cache: &Path, pin: &Pin) -> Error {
    let full = match &error {
        Error::Io { source, .. } => {
            matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        }
        Error::Download { detail, .. } | Error::Unpack { detail, .. } => {
            detail.contains("No space left") || detail.contains("Disk quota exceeded")
        }
        _ => false,
    };
    if !full {
        return error;
    }
    // pip briefly keeps each file twice; later, wheel and content coexist.
    let needed = pin.download_bytes() + pin.download_bytes().max(pin.unpacked_bytes());
    let needed_mb = needed / MB;
    Error::NoSpace {
        folder: cache.to_path_buf(),
        needed_mb,
    }
}

/// Downloads the wheels of `what` into `folder`, which it creates; `work` is scratch.
pub fn download(
    what: &str,
    wheels: &[Wheel],
    python: &Python,
    work: &Path,
    folder: &Path,
) -> Result<(), Error> {
    // pip's half-finished files go here too, not to a /tmp that may be small.
    let scratch = work.join("pip");
    for folder in [folder, &scratch] {
        std::fs::create_dir(folder).doing(|| format!("create {}", folder.display()))?;
    }
    let total = wheels.iter().map(|wheel| wheel.bytes).sum();
    eprintln!(
        "Fetching {what} from the Python package index: {} MB (pip, Python {})",
        total / MB,
        python.version
    );
    let mut command = python.command();
    command
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
        ])
        // The hashed, unpacked result is kept instead.
        .arg("--no-cache-dir")
        .args(PIP_TARGET)
        .arg("--dest")
        .arg(folder)
        .args(wheels.iter().map(|wheel| wheel.requirement))
        .env("TMPDIR", &scratch)
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_INPUT", "1")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .doing(|| format!("start {}", python.program.to_string_lossy()))?;
    let (status, log) = wait(child, &[folder.to_path_buf(), scratch], total)?;
    if status.success() {
        return Ok(());
    }
    let detail = pip_failure(&log).unwrap_or_else(|| status.to_string());
    Err(Error::Download {
        what: what.into(),
        detail,
    })
}

/// Waits for pip and shows how much has arrived. Returns its exit status and standard error.
fn wait(mut child: Child, folders: &[PathBuf], total: u64) -> Result<(ExitStatus, Vec<u8>), Error> {
    // Through a pipe: on a full disk there is no room for a log file.
    let (sender, receiver) = mpsc::channel();
    let mut complaints = child.stderr.take();
    std::thread::spawn(move || {
        let mut log = Vec::new();
        if let Some(complaints) = &mut complaints {
            // Keeps what was read before a failure.
            let _ = complaints.read_to_end(&mut log);
        }
        // Fails only if nobody is waiting any more.
        let _ = sender.send(log);
    });
    let start = Instant::now();
    let terminal = io::stderr().is_terminal();
    // A log gets an occasional line, a terminal one that updates in place.
    let every = Duration::from_millis(if terminal { 200 } else { 10_000 });
    loop {
        if let Ok(log) = receiver.recv_timeout(every) {
            let status = child.wait().doing(|| "wait for pip".into())?;
            if terminal {
                eprint!("\r\x1b[K");
            }
            return Ok((status, log));
        }
        let arrived: u64 = folders.iter().map(|folder| size(folder)).sum();
        // pip copies a finished file before it deletes its own.
        let (arrived, total) = (arrived.min(total) / MB, total / MB);
        let text = format!(
            "  {arrived} of {total} MB, {:.0} s",
            start.elapsed().as_secs_f64()
        );
        if terminal {
            eprint!("\r\x1b[K{text}");
        } else {
            eprintln!("{text}");
        }
    }
}

/// Bytes of the files under `folder`; files that vanish meanwhile count as 0.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

pub fn check(wheel: &Wheel, file: &Path) -> Result<(), Error> {
    if !file.is_file() {
        return Err(Error::MissingWheel {
            file: wheel.file.into(),
        });
    }
    let found = sha256(file).doing(|| format!("read {}", file.display()))?;
    if found == wheel.sha256 {
        return Ok(());
    }
    Err(Error::WrongHash {
        file: wheel.file.into(),
        expected: wheel.sha256.into(),
        found,
    })
}

pub fn sha256(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(hasher
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect());
        }
        hasher.update(&block[..count]);
    }
}

/// What is extracted from a wheel of libtorch, as `SOURCE=TARGET`.
fn rules(wheel: &Wheel) -> Vec<String> {
    let headers = wheel.headers.map(|folder| format!("{folder}=include/"));
    let licences = wheel.licences.map(|folder| format!("{folder}=licences/"));
    let library = |library: &Library| format!("{}=lib/{}", library.source, library.name());
    let libraries = wheel.libraries.iter().map(library);
    libraries.chain(headers).chain(licences).collect()
}

/// Unpacks what `rules` name, as `SOURCE=TARGET`, from the wheel's `file` into the folder `out`.
pub fn unpack(
    wheel: &Wheel,
    python: &Python,
    file: &Path,
    out: &Path,
    rules: &[String],
) -> Result<(), Error> {
    let output = python
        .command()
        .args(["-I", "-c", include_str!("unpack.py")])
        .args([file, out])
        .args(rules)
        .output()
        .doing(|| format!("start {}", python.program.to_string_lossy()))?;
    if output.status.success() {
        return Ok(());
    }
    let detail = last_line(&output.stderr).unwrap_or_else(|| output.status.to_string());
    Err(Error::Unpack {
        file: wheel.file.into(),
        detail,
    })
}
