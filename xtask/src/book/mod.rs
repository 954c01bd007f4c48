//! The book of `docs/`: its pages checked, built by mdBook, and the built pages checked.

mod html;
mod pages;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::{Context, Error};
use crate::tools::MDBOOK;
use crate::workspace::Workspace;

use pages::Pages;

/// Builds the book into `target/book` and checks every link in it.
pub fn make(workspace: &Workspace) -> Result<(), Error> {
    let root = workspace.root();
    let pages = Pages::read(root)?;
    refuse(pages.faults())?;

    // A copy of the pages and of the files they link to, laid out as in the clone, with summary and settings at the top,
    // and the book beside it in the same layout: links work in both, and nothing else (e.g. an example's build) gets in.
    let folder = root.join("target/book");
    let (source, built) = (folder.join("source"), folder.join("html"));
    for old in [&source, &built] {
        if old.exists() {
            fs::remove_dir_all(old).doing(|| format!("delete {}", old.display()))?;
        }
    }
    for file in pages.files().chain(pages.names()) {
        copy(root, &source, file)?;
    }
    for file in ["book.toml", "book.css"] {
        copy(&root.join("docs"), &source, file)?;
    }
    let summary = source.join("SUMMARY.md");
    fs::write(&summary, pages.summary()).doing(|| format!("write {}", summary.display()))?;
    let mdbook = MDBOOK.obtain()?;
    let status = Command::new(&mdbook)
        .env("MDBOOK_LOG", "warn")
        .arg("build")
        .arg(&source)
        .arg("--dest-dir")
        .arg(&built)
        .status()
        .doing(|| format!("start {}", mdbook.display()))?;
    if !status.success() {
        return Err(Error::Failed {
            what: "mdbook could not build the book; it says why above".into(),
        });
    }
    let checked = html::check(&built)?;
    refuse(checked.faults)?;
    println!(
        "{} pages and {} links are sound, as Markdown and as {} links in {}",
        pages.names().count(),
        pages.links(),
        checked.links,
        built.join("index.html").display()
    );
    Ok(())
}

fn refuse(faults: Vec<String>) -> Result<(), Error> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::Pages { faults })
}

fn copy(from: &Path, to: &Path, file: &str) -> Result<(), Error> {
    let (source, target) = (from.join(file), to.join(file));
    let copy = || {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&source, &target).map(drop)
    };
    copy().doing(|| format!("copy {}", source.display()))
}
