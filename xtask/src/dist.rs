//! Archives to hand out, which need no Rust, compiler or account: all of Costate with its libtorch beside it, and the page
//! alone, which records and views.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error};
use crate::libtorch::fetch::sha256;
use crate::libtorch::{self, Libtorch, pin};
use crate::python::must;
use crate::workspace::{self, Workspace};

/// Where the CUDA libraries' terms are; `libtorch_cpu.so` is linked to two of them and uses neither.
const CUDA_TERMS: &str = "libcudart.so.13 and libcupti.so.13: NVIDIA Corporation, redistributed under \
                          the NVIDIA CUDA Toolkit End User License Agreement, \
                          https://docs.nvidia.com/cuda/eula/\n";
/// Of cargo: slower to build than what people build for themselves, and smaller.
const PROFILE: &str = "shipped";
/// Beginnings of the names of files that hold terms.
const TERMS: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// An archive.
struct Kind {
    package: &'static str,
    /// Of the package, separated by commas.
    features: &'static str,
    /// As it is called in the archive.
    program: &'static str,
    libtorch: bool,
    readme: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        package: "costate-page",
        features: "",
        program: "costate-page",
        libtorch: false,
        readme: include_str!("dist/page.txt"),
    },
    Kind {
        package: "costate",
        features: "onnx",
        program: "costate",
        libtorch: true,
        readme: include_str!("dist/costate.txt"),
    },
];

/// Builds both archives into `target/dist` and says how large they are.
pub fn make(workspace: &Workspace) -> Result<(), Error> {
    let libtorch = libtorch::pinned(workspace)?;
    let out = workspace.root().join("target/dist");
    fs::create_dir_all(&out).doing(|| format!("create {}", out.display()))?;
    for kind in &KINDS {
        build(workspace, kind)?;
        let archive = pack(workspace, kind, &libtorch, &out)?;
        let size = fs::metadata(&archive).doing(|| format!("read {}", archive.display()))?;
        println!(
            "{}  {:.1} MB  sha256 {}",
            archive.display(),
            size.len() as f64 / 1e6,
            sha256(&archive).doing(|| format!("read {}", archive.display()))?
        );
    }
    Ok(())
}

fn build(workspace: &Workspace, kind: &Kind) -> Result<(), Error> {
    let mut cargo = workspace.command(&Libtorch::Pinned);
    cargo
        .args(["build", "--profile", PROFILE, "--locked"])
        .args(["--package", kind.package, "--features", kind.features])
        .current_dir(workspace.root());
    must(&mut cargo, &format!("{} did not build", kind.package))
}

/// Lays the archive's folder out and packs it.
fn pack(workspace: &Workspace, kind: &Kind, libtorch: &Path, out: &Path) -> Result<PathBuf, Error> {
    let root = workspace.root();
    let name = format!(
        "{}-{}-x86_64-linux",
        kind.program,
        env!("CARGO_PKG_VERSION")
    );
    let folder = out.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).doing(|| format!("remove {}", folder.display()))?;
    }
    let program = root.join("target").join(PROFILE).join(kind.program);
    copy(&program, &folder.join(kind.program))?;
    copy_folder(&root.join("demos/data"), &folder.join("datasets"))?;
    for terms in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&root.join(terms), &folder.join(terms))?;
    }
    let readme = kind.readme.replace("GLIBC", &glibc(&program)?);
    write(&folder.join("README.txt"), &readme)?;
    let mut terms = crates(workspace, kind)?;
    if kind.libtorch {
        for library in pin::LIBTORCH.libraries() {
            let file = Path::new("lib").join(library.name());
            copy(&libtorch.join(&file), &folder.join(&file))?;
        }
        terms += &of_libtorch(libtorch)?;
    }
    write(&folder.join("THIRD-PARTY.txt"), &terms)?;
    write(&folder.join("SHA256SUMS"), &sums(&folder)?)?;
    let archive = out.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    // The same files give the same archive.
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
    ])
    .args([
        "--mode=u=rwX,go=rX",
        "--use-compress-program",
        "gzip -n -6",
        "-cf",
    ])
    .arg(&archive)
    .arg("-C")
    .arg(out)
    .arg(&name);
    must(&mut tar, "tar could not pack the archive")?;
    Ok(archive)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).doing(|| format!("create {}", parent.display()))?;
    }
    let copied = fs::copy(from, to);
    copied.doing(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).doing(|| format!("write {}", path.display()))
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).doing(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry.doing(|| format!("read {}", folder.display()))?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

/// `path` as it is within `folder`.
fn within<'a>(path: &'a Path, folder: &Path) -> &'a Path {
    path.strip_prefix(folder).unwrap_or(path)
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    files(from)?
        .iter()
        .try_for_each(|file| copy(file, &to.join(within(file, from))))
}

/// A line for every file, as `sha256sum --check SHA256SUMS` reads it.
fn sums(folder: &Path) -> Result<String, Error> {
    let line = |file: &PathBuf| {
        let sum = sha256(file).doing(|| format!("read {}", file.display()))?;
        Ok(format!("{sum}  {}\n", within(file, folder).display()))
    };
    files(folder)?.iter().map(line).collect()
}

/// The oldest glibc that a program starts with: the newest whose functions it names, which the machine that builds it
/// decides.
fn glibc(program: &Path) -> Result<String, Error> {
    let bytes = fs::read(program).doing(|| format!("read {}", program.display()))?;
    Ok(newest_glibc(&bytes).map_or_else(|| "2.28".into(), |v| format!("2.{v}")))
}

fn newest_glibc(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let after = program.windows(NAME.len()).enumerate();
    let versions = after.filter(|(_, w)| *w == NAME).filter_map(|(at, _)| {
        let digits = program[at + NAME.len()..].iter();
        let digits: String = digits
            .take_while(|b| b.is_ascii_digit())
            .map(|b| char::from(*b))
            .collect();
        digits.parse().ok()
    });
    versions.max()
}

/// The terms of every crate that a package is built of.
fn crates(workspace: &Workspace, kind: &Kind) -> Result<String, Error> {
    let mut tree = Command::new(workspace::program());
    tree.args([
        "tree",
        "--locked",
        "--package",
        kind.package,
        "--features",
        kind.features,
        "--edges",
        "normal",
    ])
    .args(["--prefix", "none", "--format", "{p}|{l}|{r}"])
    .current_dir(workspace.root());
    let output = tree.output().doing(|| "start cargo tree".into())?;
    if !output.status.success() {
        return Err(Error::Failed {
            what: format!(
                "cargo tree failed: {}",
                String::from_utf8_lossy(&output.stderr)
            ),
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // Paths are those of this workspace, whose terms are beside the program.
    let lines: BTreeSet<&str> = text
        .lines()
        .map(|l| l.trim_end_matches(" (*)"))
        .filter(|l| !l.contains(" (/"))
        .collect();
    let mut terms = "Crates that this program is built of, and their terms.\n\n".to_owned();
    for line in lines {
        let mut parts = line.split('|');
        let crate_ = parts.next().unwrap_or_default().replace(" v", "-");
        let crate_ = crate_.split(' ').next().unwrap_or_default();
        let [licence, home] = [(); 2].map(|()| parts.next().unwrap_or_default());
        terms += &format!("==== {crate_} ({licence}) {home}\n\n");
        for file in terms_of(crate_)? {
            let text = fs::read(&file).doing(|| format!("read {}", file.display()))?;
            terms += &String::from_utf8_lossy(&text);
            terms += "\n";
        }
    }
    Ok(terms)
}

/// Files of terms in the sources of a crate, as cargo unpacked them.
fn terms_of(crate_: &str) -> Result<Vec<PathBuf>, Error> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else {
        return Ok(Vec::new());
    };
    let Ok(registries) = fs::read_dir(&sources) else {
        return Ok(Vec::new());
    };
    let is_terms = |name: &OsStr| {
        let name = name.to_string_lossy().to_lowercase();
        TERMS.iter().any(|t| name.starts_with(t))
    };
    let mut found = Vec::new();
    for registry in registries.flatten() {
        let Ok(entries) = fs::read_dir(registry.path().join(crate_)) else {
            continue;
        };
        let paths = entries.flatten().map(|e| e.path());
        found.extend(paths.filter(|p| p.is_file() && p.file_name().is_some_and(is_terms)));
    }
    found.sort();
    Ok(found)
}

/// The terms of libtorch and of what it is built of.
fn of_libtorch(libtorch: &Path) -> Result<String, Error> {
    let folder = libtorch.join("licences");
    if !folder.is_dir() {
        return Err(Error::Failed {
            what: format!(
                "{} was fetched without its licences, with which it has to be handed out; remove this folder, `cargo xtask \
                 setup` fetches it again",
                libtorch.display()
            ),
        });
    }
    let mut terms = format!("==== libtorch {}\n\n", pin::LIBTORCH.version);
    for file in files(&folder)? {
        let text = fs::read(&file).doing(|| format!("read {}", file.display()))?;
        terms += &format!("---- {}\n\n", within(&file, &folder).display());
        terms += &String::from_utf8_lossy(&text);
        terms += "\n";
    }
    Ok(terms + CUDA_TERMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_that_is_named_counts() {
        let program = b"x\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBCXX_3.4";
        assert_eq!(newest_glibc(program), Some(34));
        assert_eq!(newest_glibc(b"GLIBC_2."), None);
    }

    #[test]
    fn sums_are_those_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/c"), "abc").unwrap();
        fs::write(folder.path().join("a d"), "").unwrap();
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a d\n\
                        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b/c\n";
        assert_eq!(sums(folder.path()).unwrap(), expected);
    }
}
