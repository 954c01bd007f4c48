//! ARCHITECTURE.md against the code: its rooms exist and cover everything, its import directions hold, no new cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Packages whose imports the page draws, by the folder of their sources.
const PACKAGES: [&str; 7] = [
    "base/src",
    "networks/src",
    "envs/src",
    "demos/src",
    "picture/src",
    "page/src",
    "src",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// Rust files below a folder, relative to it, with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let base = root().join(folder);
    let mut todo = vec![base.clone()];
    let mut files = Vec::new();
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&base).unwrap().to_str().unwrap();
                files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

/// What is between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the page's table of rooms: paths from the root, and the description.
fn rooms(page: &str) -> Vec<(Vec<String>, String)> {
    let table = page.split("\n## Rooms\n").nth(1).unwrap();
    let rows = table
        .lines()
        .skip_while(|l| !l.starts_with("| `"))
        .take_while(|l| l.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').splitn(2, " | ");
        let (places, what) = (cells.next().unwrap(), cells.next().unwrap());
        let mut folder = String::new();
        let places = quoted(places).map(|place| {
            // The first place of a row is a path from the root, the others lie beside it.
            let path = format!("{folder}{place}");
            if folder.is_empty() {
                let parent = place.trim_end_matches('/').rsplit_once('/');
                folder = parent.map(|(p, _)| format!("{p}/")).unwrap_or_default();
            }
            path
        });
        (places.collect(), what.to_owned())
    })
    .collect()
}

/// Allowed imports as the page lists them: package → module → modules; `*` for all.
fn allowed(page: &str) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let block = page
        .split("```imports\n")
        .nth(1)
        .expect("the page lists imports");
    let block = block.split("```").next().unwrap();
    let mut all: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut package = String::new();
    for line in block.lines() {
        match line.strip_prefix("  ").and_then(|l| l.split_once(':')) {
            None => package = line.trim().to_owned(),
            Some((module, to)) => {
                let to = to
                    .split_whitespace()
                    .map(|w| w.trim_matches(',').to_owned())
                    .collect();
                let before = all
                    .entry(package.clone())
                    .or_default()
                    .insert(module.to_owned(), to);
                assert!(before.is_none(), "{package} lists `{module}` twice");
            }
        }
    }
    all
}

/// Imports among a package's top-level modules outside of tests: from, to, and the file.
fn imports(files: &[(String, String)]) -> Vec<(String, String, String)> {
    let top = |file: &str| {
        file.split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    };
    let modules: BTreeSet<String> = files.iter().map(|(file, _)| top(file)).collect();
    let mut found = Vec::new();
    for (file, text) in files {
        if file.contains("tests/") || file.ends_with("tests.rs") || file == "lib.rs" {
            continue;
        }
        let code = product_code(text);
        let mut depth = file.trim_end_matches(".rs").split('/').count();
        depth -= usize::from(file.ends_with("/mod.rs"));
        let up = "super::".repeat(depth);
        for way in ["crate::", &up] {
            for (at, _) in code.match_indices(way) {
                // `super::super::` also ends in `super::`: only a whole way to the root counts.
                if way != "crate::" && code[..at].ends_with("super::") {
                    continue;
                }
                for to in names(&code[at + way.len()..]) {
                    let from = top(file);
                    if modules.contains(&to) && to != from {
                        found.push((from, to, file.clone()));
                    }
                }
            }
        }
    }
    found
}

/// A file's code without comments and without the module of its tests, which is the last in it.
fn product_code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{')
    });
    lines[..tests.unwrap_or(lines.len())]
        .iter()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect()
}

/// The first names of a path or of a group of paths: `a::B`, `{a::B, c::{D, E}}`.
fn names(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let (mut depth, mut start, mut all) = (0_usize, 0, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                all.push(word(&group[start..i]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(word(&group[start..i]));
                start = i + 1;
            }
            _ => {}
        }
    }
    all
}

/// Imports that the page does not allow, one line each.
fn forbidden(
    allowed: &BTreeMap<String, BTreeSet<String>>,
    imports: &[(String, String, String)],
) -> Vec<String> {
    let fits = |from: &str, to: &str| {
        allowed
            .get(from)
            .is_some_and(|all| all.contains("*") || all.contains(to))
    };
    let wrong = imports.iter().filter(|(from, to, _)| !fits(from, to));
    wrong
        .map(|(from, to, file)| {
            format!("{file}: `{from}` imports `{to}`, which ARCHITECTURE.md does not allow")
        })
        .collect()
}

/// Modules that reach themselves, each with those it meets on the way back.
fn cycles(imports: &[(String, String, String)]) -> BTreeSet<BTreeSet<String>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to, _) in imports {
        edges.entry(from).or_default().insert(to);
    }
    let reach = |from: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(at) = todo.pop() {
            for &to in edges.get(at).into_iter().flatten() {
                if seen.insert(to) {
                    todo.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|m| (*m, reach(m))).collect();
    let on_cycle = |m: &&str| reached[m].contains(*m);
    let component = |m: &str| {
        let both = |n: &&&str| reached.get(**n).is_some_and(|r| r.contains(m));
        reached[m]
            .iter()
            .filter(both)
            .map(|n| (*n).to_owned())
            .collect()
    };
    edges
        .keys()
        .filter(|m| on_cycle(m))
        .map(|m| component(m))
        .collect()
}

#[test]
fn rooms_exist_and_cover_everything() {
    let rooms = rooms(&page());
    assert!(rooms.len() > 40, "{}", rooms.len());
    let places: Vec<&String> = rooms.iter().flat_map(|(places, _)| places).collect();
    for place in &places {
        assert!(
            root().join(place).exists(),
            "ARCHITECTURE.md has a room `{place}`, which does not exist"
        );
    }
    // Files that a description names lie in the room, or somewhere by that path.
    let all: Vec<String> = [
        "src", "base", "networks", "envs", "demos", "picture", "page", "python", "xtask",
        "benches", "tests", "docs",
    ]
    .iter()
    .flat_map(|f| {
        sources(f)
            .into_iter()
            .map(move |(file, _)| format!("{f}/{file}"))
    })
    .collect();
    for (places, what) in &rooms {
        for name in quoted(what).filter(|n| n.ends_with(".rs") && !n.contains('*')) {
            assert!(
                all.iter()
                    .any(|f| *f == name || f.ends_with(&format!("/{name}"))),
                "ARCHITECTURE.md, {places:?}: there is no `{name}`"
            );
        }
    }
    for package in PACKAGES {
        for entry in fs::read_dir(root().join(package)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if ["lib.rs", "main.rs"].contains(&name.as_str()) {
                continue;
            }
            let path = format!("{package}/{name}");
            assert!(
                places.iter().any(|p| p.trim_end_matches('/') == path),
                "ARCHITECTURE.md has no room for `{path}`"
            );
        }
    }
}

#[test]
fn imports_go_where_the_page_allows() {
    let allowed = allowed(&page());
    for package in PACKAGES {
        let found = imports(&sources(package));
        assert!(!found.is_empty(), "{package}: {found:?}");
        assert_eq!(
            forbidden(&allowed[package], &found),
            Vec::<String>::new(),
            "{package}"
        );
        for module in allowed[package].keys() {
            let there = [
                package.to_owned() + "/" + module,
                format!("{package}/{module}.rs"),
            ];
            assert!(
                there.iter().any(|p| root().join(p).exists()),
                "the page lists `{module}` in {package}"
            );
        }
    }
}

#[test]
fn a_forbidden_import_is_found() {
    let allowed = &allowed(&page())["src"];
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let sneaky = [
        "use crate::cli::common::Output;\n",
        "use crate::{\n    error::Error,\n    cli::common::{Output, workers},\n};\n",
        "fn f() {\n    crate::cli::main();\n}\n",
        "use super::super::cli::main;\n",
    ];
    for text in sneaky {
        let files = [
            file("nn/deep.rs", text),
            file("cli/mod.rs", ""),
            file("error.rs", ""),
        ];
        let wrong = forbidden(allowed, &imports(&files));
        assert!(
            wrong
                .iter()
                .any(|w| w.contains("nn/deep.rs: `nn` imports `cli`")),
            "{text}: {wrong:?}"
        );
    }
    for harmless in [
        "// use crate::cli::main;\n",
        "#[cfg(test)]\nmod tests {\n    use crate::cli::main;\n}\n",
    ] {
        let files = [file("nn/deep.rs", harmless), file("cli/mod.rs", "")];
        assert_eq!(forbidden(allowed, &imports(&files)), Vec::<String>::new());
    }
    let ring = [
        file("a.rs", "use crate::b::X;"),
        file("b.rs", "use crate::c::X;"),
        file("c.rs", "use crate::a::X;\nuse crate::d::X;"),
        file("d.rs", ""),
    ];
    let ring = cycles(&imports(&ring));
    assert_eq!(ring.len(), 1);
    assert_eq!(
        ring.first()
            .unwrap()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
}

#[test]
fn the_only_cycles_are_those_that_the_page_explains() {
    let page = page();
    let known: BTreeSet<BTreeSet<String>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- Cycle "))
        .map(|line| {
            quoted(line.split(':').next().unwrap())
                .map(str::to_owned)
                .collect()
        })
        .collect();
    let found: BTreeSet<_> = PACKAGES
        .iter()
        .flat_map(|p| cycles(&imports(&sources(p))))
        .collect();
    assert_eq!(found, known);
}

#[test]
fn algorithms_are_imported_by_few() {
    let page = page();
    let line = page
        .lines()
        .find(|l| l.starts_with("Algorithms ("))
        .expect("the page says who imports algorithms");
    let (algorithms, importers) = line.split_once("are imported by").unwrap();
    let (algorithms, importers): (Vec<_>, Vec<_>) =
        (quoted(algorithms).collect(), quoted(importers).collect());
    assert!(algorithms.len() > 5 && importers.len() > 2);
    for name in &algorithms {
        assert!(
            root().join(format!("src/learners/{name}.rs")).exists(),
            "{name}"
        );
    }
    for (file, text) in sources("src") {
        let may = importers
            .iter()
            .any(|i| file == *i || i.ends_with('/') && file.starts_with(i));
        for name in algorithms
            .iter()
            .filter(|_| !may && !file.starts_with("learners/"))
        {
            assert!(
                !text.contains(&format!("learners::{name}::")),
                "{file} imports the algorithm {name}"
            );
        }
    }
}

#[test]
fn density_and_discriminator_know_neither_trajectories_nor_networks() {
    for file in ["density.rs", "discriminator.rs"] {
        let text = fs::read_to_string(root().join("src").join(file)).unwrap();
        let code = product_code(&text);
        for unknown in [
            "Trajectory",
            "costate_envs",
            "costate_demos",
            "crate::nn",
            "crate::batch",
        ] {
            assert!(!code.contains(unknown), "{file} knows {unknown}");
        }
    }
    for (file, text) in sources("src/lqg") {
        assert!(
            !text.contains("tch::") && !text.contains("crate::nn"),
            "lqg/{file}"
        );
    }
}

#[test]
fn simulator_and_demonstrations_never_know_libtorch() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find(|l| l.starts_with(name))?;
            Some(line.split('"').nth(1)?.to_owned())
        };
        let list = package.split("dependencies = [").nth(1).unwrap_or_default();
        let list = list.split(']').next().unwrap_or_default();
        let list = list.split('"').skip(1).step_by(2);
        // Several versions of a package are told apart by a second word.
        let list = list.map(|d| d.split(' ').next().unwrap_or_default().to_owned());
        needs
            .entry(field("name = ").unwrap())
            .or_default()
            .extend(list);
    }
    let reaches = |from: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = todo.pop() {
            for to in needs.get(&at).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    todo.push(to.clone());
                }
            }
        }
        seen
    };
    assert!(
        reaches("costate").contains("torch-sys"),
        "the lock file is read"
    );
    for package in [
        "costate-base",
        "costate-networks",
        "costate-envs",
        "costate-demos",
        "costate-picture",
    ] {
        let all = reaches(package);
        assert!(all.len() > 10, "{package}: {all:?}");
        assert!(
            !all.iter().any(|p| p == "tch" || p.starts_with("torch")),
            "{package}"
        );
        let folder = package.trim_start_matches("costate-");
        assert!(Path::new(&root().join(folder).join("Cargo.toml")).exists());
    }
}

/// Files are written in one place, which knows how they are never half there, and where faults are put in.
#[test]
fn only_the_disk_module_writes() {
    const WAYS: [&str; 8] = [
        "fs::write(",
        "fs::rename(",
        "fs::copy(",
        "fs::create_dir",
        "fs::remove_",
        "File::create",
        "File::options",
        "OpenOptions",
    ];
    let found: Vec<String> = PACKAGES
        .iter()
        .flat_map(|package| {
            let files = sources(package).into_iter();
            let files = files.filter(|(name, _)| !name.ends_with("tests.rs"));
            files.map(move |(name, text)| (format!("{package}/{name}"), product_code(&text)))
        })
        .filter(|(name, _)| !["base/src/disk.rs", "base/src/faults.rs"].contains(&name.as_str()))
        .flat_map(|(name, text)| {
            let ways = WAYS.into_iter().filter(move |way| text.contains(way));
            ways.map(move |way| format!("{name}: {way}"))
        })
        .collect();
    assert_eq!(found, Vec::<String>::new());
}
