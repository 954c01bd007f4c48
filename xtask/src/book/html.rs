//! The built book: every link in its pages leads to an existing file and anchor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error};

pub struct Checked {
    pub links: usize,
    pub faults: Vec<String>,
}

struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

/// Checks all pages below `folder`.
pub fn check(folder: &Path) -> Result<Checked, Error> {
    let mut pages = BTreeMap::new();
    read(folder, &mut pages)?;
    let mut checked = Checked {
        links: 0,
        faults: Vec::new(),
    };
    for (path, page) in &pages {
        for link in &page.links {
            checked.links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                _ => tidy(&path.with_file_name(file)),
            };
            let found = match pages.get(&target) {
                Some(page) => anchor.is_empty() || page.anchors.contains(anchor),
                None => target.is_file(),
            };
            if !found {
                let page = path.strip_prefix(folder).unwrap_or(path).display();
                checked.faults.push(format!("{page}: {link} leads nowhere"));
            }
        }
    }
    Ok(checked)
}

fn read(folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<(), Error> {
    let entries = fs::read_dir(folder).doing(|| format!("read {}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, pages)?;
        } else if path.extension().is_some_and(|e| e == "html") {
            // Its links are from the root of a web server.
            if path.ends_with("404.html") {
                continue;
            }
            let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
            let page = Page {
                links: ["href", "src"]
                    .iter()
                    .flat_map(|name| attributes(&text, name))
                    .filter(|link| !link.contains(':') && !link.is_empty())
                    .collect(),
                anchors: attributes(&text, "id").collect(),
            };
            pages.insert(path, page);
        }
    }
    Ok(())
}

/// The values of an attribute in all tags.
fn attributes<'a>(text: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let before = format!(" {name}=\"");
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(before.as_str())?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some(value.replace("&amp;", "&"))
    })
}

/// Resolves ".." and ".".
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(tidy.pop()),
            std::path::Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "a.html",
            r##"<h1 id="x"><a href="b/c.html#y"><a href="#x"><a href="https://w"><img src="p.png">"##,
        );
        write(
            "b/c.html",
            r#"<p id="z"><a href="../a.html#x"><a href="../d.html">"#,
        );
        let checked = check(folder.path()).unwrap();
        assert_eq!(checked.links, 5);
        let expected = [
            "a.html: b/c.html#y leads nowhere",
            "a.html: p.png leads nowhere",
            "b/c.html: ../d.html leads nowhere",
        ];
        assert_eq!(checked.faults, expected);
    }
}
