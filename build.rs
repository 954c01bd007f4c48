//! Lets the programs of this package find libtorch when they start, and know by which code and commit they make their
//! numbers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// What determines the numbers of a training, besides settings and libraries.
const NUMERICS: [&str; 15] = [
    "Cargo.lock",
    "base/src/parameters.rs",
    "base/src/tanh.rs",
    "envs/src",
    "networks/src",
    "src/batch.rs",
    "src/collect.rs",
    "src/cost",
    "src/density.rs",
    "src/evaluate/transfer.rs",
    "src/evaluate/validation.rs",
    "src/improve",
    "src/learners",
    "src/nn",
    "src/policy",
];

/// What the library is compiled of: where it changes, cargo compiles anyway, and the commit is looked up again.
const SOURCES: [&str; 13] = [
    "Cargo.lock",
    "assets/models",
    "assets/page",
    "assets/settings",
    "assets/variants",
    "base/src",
    "build.rs",
    "demos/src",
    "envs/src",
    "networks/src",
    "page/src",
    "picture/src",
    "src",
];

fn main() {
    for place in SOURCES {
        println!("cargo:rerun-if-changed={place}");
    }
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=COSTATE_COMMIT={commit}");
        let status = [&["status", "--porcelain", "--"], &SOURCES[..]].concat();
        if git(&status).is_some() {
            println!("cargo:rustc-env=COSTATE_DIRTY=1");
        }
    }
    println!("cargo:rustc-env=COSTATE_NUMERICS={}", numerics());
    // Set by torch-sys, which is a direct dependency for this line alone.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return;
    };
    let version = lib.parent().map(|root| root.join("build-version"));
    if let Some(version) = version.and_then(|file| fs::read_to_string(file).ok()) {
        println!("cargo:rustc-env=COSTATE_LIBTORCH={}", version.trim());
    }
    let target_os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target_os == "linux" || target_os == "macos" {
        // First what lies beside the program, as in the archives of `cargo xtask dist`.
        let own = match target_os.as_str() {
            "macos" => "@loader_path/lib",
            _ => "$ORIGIN/lib",
        };
        println!("cargo:rustc-link-arg=-Wl,-rpath,{own}");
        // The resolved path: a moved clone's programs still start.
        let lib = lib.canonicalize().unwrap_or(lib);
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}

/// What git says about the repository of this package, on one line; `None` without git, without a repository or where it
/// says nothing.
fn git(arguments: &[&str]) -> Option<String> {
    // Sources that were unpacked inside another project are not of its commit.
    if !Path::new(".git").exists() {
        return None;
    }
    let said = Command::new("git")
        .arg("--no-optional-locks")
        .args(arguments)
        .output()
        .ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    said.lines().next().map(str::to_owned)
}

/// A digest of the code behind the numbers: kept results of other code are not taken for this one's.
fn numerics() -> String {
    let mut hash = Sha256::new();
    for place in NUMERICS {
        // Cargo compiles anew every time for a file that is not there.
        assert!(
            Path::new(place).exists(),
            "build.rs names {place}, which was moved"
        );
        println!("cargo:rerun-if-changed={place}");
        add(Path::new(place), &mut hash);
    }
    let digest = hash.finalize();
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

fn add(place: &Path, hash: &mut Sha256) {
    let mut inside: Vec<PathBuf> = match fs::read_dir(place) {
        Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
        Err(_) => Vec::new(),
    };
    inside.sort();
    if inside.is_empty()
        && let Ok(bytes) = fs::read(place)
    {
        hash.update(place.to_string_lossy().as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    inside.iter().for_each(|place| add(place, hash));
}
