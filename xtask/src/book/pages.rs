//! The book's pages as Markdown, as a repository's web page shows them: every link and anchor leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Context, Error};

const SUMMARY: &str = "docs/SUMMARY.md";
/// Characters of a line of the README and of `docs/`; tables elsewhere are written by commands.
const WIDEST: usize = 100;

/// Pages by their paths in the clone, with "/".
pub struct Pages {
    all: BTreeMap<String, Page>,
    /// The summary, as of a book whose root is the clone's.
    summary: String,
    /// What pages link to and are not pages.
    files: BTreeSet<String>,
    faults: Vec<String>,
}

struct Page {
    links: Vec<Link>,
    anchors: BTreeSet<String>,
}

struct Link {
    line: usize,
    target: String,
}

impl Pages {
    /// The summary, all that it lists, and the faults of their links.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            fs::read_to_string(root.join(name)).doing(|| format!("read the page {name}"))
        };
        let mut faults = Vec::new();
        let summary = read(SUMMARY)?;
        let mut pages = BTreeMap::new();
        let names = links(&summary)
            .into_iter()
            .filter_map(|link| resolve(SUMMARY, &link.target));
        for name in names {
            let text = read(&name)?;
            if name.starts_with("docs/") || !name.contains('/') {
                faults.extend(wide(&name, &text));
            }
            let page = Page {
                links: links(&text),
                anchors: anchors(&text),
            };
            pages.insert(name, page);
        }
        let entries = fs::read_dir(root.join("docs")).doing(|| "read docs/".into())?;
        for entry in entries.flatten() {
            let name = format!("docs/{}", entry.file_name().to_string_lossy());
            if is_markdown(&name) && name != SUMMARY && !pages.contains_key(&name) {
                faults.push(format!("{SUMMARY}: {name} is missing"));
            }
        }
        let mut book = Pages {
            all: pages,
            summary: from_root(&summary),
            files: BTreeSet::new(),
            faults,
        };
        book.follow(root);
        Ok(book)
    }

    fn follow(&mut self, root: &Path) {
        for (name, page) in &self.all {
            for Link { line, target } in &page.links {
                let mut fault = |what: &str| {
                    self.faults.push(format!("{name}:{line}: {target}: {what}"));
                };
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let Some(to) = resolve(name, path) else {
                    fault("leads out of the clone");
                    continue;
                };
                if let Some(page) = self.all.get(&to) {
                    if !anchor.is_empty() && !page.anchors.contains(anchor) {
                        fault("no such heading");
                    }
                } else if is_markdown(&to) {
                    fault("no page of the book; docs/SUMMARY.md lists them");
                } else if root.join(&to).is_file() {
                    self.files.insert(to);
                } else {
                    fault("no such file");
                }
            }
        }
    }

    pub fn summary(&self) -> &str {
        &self.summary
    }

    pub fn faults(&self) -> Vec<String> {
        self.faults.clone()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    pub fn links(&self) -> usize {
        self.all.values().map(|page| page.links.len()).sum()
    }
}

fn is_markdown(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == "md")
}

/// The path in the clone to which `target` leads from the page `from`; nothing if it leads out.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut path = PathBuf::from(from).parent()?.to_path_buf();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path.to_str()?.replace('\\', "/"))
}

/// The summary with links from the clone's root.
fn from_root(summary: &str) -> String {
    let mut parts = summary.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (target, rest) = part.split_once(')').unwrap_or((part, ""));
        let target = resolve(SUMMARY, target).unwrap_or_default();
        text += &format!("]({target}){rest}");
    }
    text
}

/// Numbered lines outside of fenced blocks, without their code spans.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then(|| {
            let spans = line.split('`');
            let outside = spans.enumerate().filter(|(i, _)| i % 2 == 0);
            (number + 1, outside.map(|(_, part)| part).collect())
        })
    })
}

/// Links within the clone: `](TARGET)`, and `src` and `href` of HTML.
fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, text) in prose(text) {
        for (before, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for part in text.split(before).skip(1) {
                let target = part.split(end).next().unwrap_or_default();
                if !target.contains("://") && !target.starts_with("mailto:") {
                    let target = target.to_owned();
                    found.push(Link { line, target });
                }
            }
        }
    }
    found
}

/// The anchors of headings: lower case, letters and digits, "-" for a space; a repeated one is numbered.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = title
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .flat_map(char::to_lowercase)
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut name = anchor.clone();
        let mut copies = 0;
        while !found.insert(name) {
            copies += 1;
            name = format!("{anchor}-{copies}");
        }
    }
    found
}

fn wide(name: &str, text: &str) -> Vec<String> {
    // ARCHITECTURE.md holds a list that a test reads, and tables as wide as their sentences.
    if name == "ARCHITECTURE.md" {
        return Vec::new();
    }
    let over = |(number, line): (usize, &str)| {
        let width = line.chars().count();
        (width > WIDEST).then(|| {
            format!(
                "{name}:{}: {width} characters, at most {WIDEST}",
                number + 1
            )
        })
    };
    text.lines().enumerate().filter_map(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](b.md#c) `[x](y)` [w](https://w) <img src=\"p.png\">\n```sh\n[n](o)\n```\n[q](r.md)";
        let found: Vec<_> = links(text)
            .into_iter()
            .map(|l| (l.line, l.target))
            .collect();
        let expected = [(1, "b.md#c"), (1, "p.png"), (5, "r.md")];
        assert_eq!(
            found,
            expected.map(|(line, target)| (line, target.to_owned()))
        );
    }

    #[test]
    fn targets_are_paths_in_the_clone() {
        for (from, target, expected) in [
            ("docs/a.md", "b.md", Some("docs/b.md")),
            ("docs/a.md", "../README.md", Some("README.md")),
            ("benches/x/README.md", "../y/t.svg", Some("benches/y/t.svg")),
            ("docs/a.md", "", Some("docs/a.md")),
            ("README.md", "../out.md", None),
            ("README.md", "/etc", None),
        ] {
            assert_eq!(
                resolve(from, target).as_deref(),
                expected,
                "{from} {target}"
            );
        }
    }

    #[test]
    fn headings_have_anchors() {
        let found =
            anchors("# What `x` is?\n## Two\n## Two\n#no heading\n```\n# code\n```\n### σ, a_b-c");
        let expected = ["what-x-is", "two", "two-1", "σ-a_b-c"];
        assert_eq!(found, expected.map(str::to_owned).into());
    }

    #[test]
    fn faults_are_named_with_page_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("docs/SUMMARY.md", "- [A](a.md)\n- [R](../README.md)\n");
        write(
            "docs/a.md",
            "# A\n[b](b.md) [r](../README.md#r) [x](../README.md#x)\n![p](p.png) [out](../../o)\n",
        );
        write("docs/b.md", "# B\n");
        write("README.md", &format!("# R\n{}\n", "x".repeat(101)));
        let pages = Pages::read(folder.path()).unwrap();
        let expected = [
            "README.md:2: 101 characters, at most 100",
            "docs/SUMMARY.md: docs/b.md is missing",
            "docs/a.md:2: b.md: no page of the book; docs/SUMMARY.md lists them",
            "docs/a.md:2: ../README.md#x: no such heading",
            "docs/a.md:3: p.png: no such file",
            "docs/a.md:3: ../../o: leads out of the clone",
        ];
        assert_eq!(pages.faults(), expected);
        assert_eq!(pages.summary(), "- [A](docs/a.md)\n- [R](README.md)\n");
    }
}
