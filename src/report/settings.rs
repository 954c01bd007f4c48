//! The full configuration, and the commands that reproduce a run.

use costate_base::parameters;
use costate_base::provenance::Provenance;
use serde_json::Value;

use super::run::Run;
use super::text::escape;
use crate::number::counted;
use crate::shell::word;

/// A collapsible table of every value of a run's configuration.
pub(super) fn table(label: &str, config: &Value) -> String {
    let mut rows = String::new();
    for (path, value) in flatten(config) {
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
            breakable(&path),
            escape(&value)
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<details><summary>{}</summary><table class=\"config\"><tbody>{rows}</tbody></table></details>",
        escape(label)
    )
}

/// Differences between runs: one row per value, one column per run.
pub(super) fn differences(runs: &[Run]) -> Option<String> {
    let flat = runs.iter().map(|r| flatten(&r.config_json()));
    let flat: Vec<Vec<(String, String)>> = flat.collect();
    let mut paths: Vec<&String> = Vec::new();
    for (path, _) in flat.iter().flatten() {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let row = |path: &String| {
        let value = |run: &Vec<(String, String)>| {
            let found = run.iter().find(|(p, _)| p == path);
            found.map_or("–".into(), |(_, v)| escape(v))
        };
        let values: Vec<String> = flat.iter().map(value).collect();
        values.windows(2).find(|w| w[0] != w[1])?;
        let cells: String = values.iter().map(|v| format!("<td>{v}</td>")).collect();
        Some(format!(
            "<tr><th scope=\"row\">{}</th>{cells}</tr>",
            breakable(path)
        ))
    };
    let rows: String = paths.into_iter().filter_map(row).collect();
    let head = |run: &Run| format!("<th scope=\"col\">{}</th>", escape(&run.label));
    let head: String = runs.iter().map(head).collect();
    (!rows.is_empty()).then(|| {
        format!(
            "<div class=\"scroll\"><table class=\"config differences\"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    })
}

/// Dotted paths and values, in the file's order. Lists of plain values are one value.
fn flatten(config: &Value) -> Vec<(String, String)> {
    let text = |value| match value {
        Value::String(s) => s,
        other => other.to_string(),
    };
    let all = parameters::list(config).into_iter();
    all.map(|(path, value)| (path, text(value))).collect()
}

/// A dotted path that may break after its dots and underscores.
fn breakable(path: &str) -> String {
    escape(path).replace('.', ".<wbr/>").replace('_', "_<wbr/>")
}

/// The commands that reproduce a run, with their inputs; `None` for one without demonstrations.
pub(super) fn reproduce(run: &Run) -> Option<String> {
    let config = &run.report.config;
    let demonstrations = config.demonstrations.as_ref()?;
    let path = word(&demonstrations.path.to_string_lossy());
    let mut commands = format!(
        "# Demonstrations, unless {path} is available\n\
         costate record {} --expert {} -n {} -o {path}\n\n\
         # The same run\n\
         costate train {path} --algo {} --seed {} --config settings.json -o again\n\
         costate evaluate again\n\
         costate report again\n",
        word(run.env()),
        word(&demonstrations.expert),
        demonstrations.episodes,
        word(run.algo()),
        config.seed,
    );
    for change in &config.changes {
        commands += &format!(
            "# resumed with other settings: {}={}, before iteration {} it was {}\n",
            change.key, change.to, change.from_iteration, change.from
        );
    }
    for part in &config.resumed {
        commands += &format!(
            "# from iteration {} on by {}\n",
            part.from_iteration, part.provenance
        );
    }
    let settings = &run.config_json()["algo"]["settings"];
    let settings = serde_json::to_string_pretty(settings).unwrap_or_default();
    let build = config.provenance.as_ref();
    let build = build.map(|b| format!("<p>Trained by {}.</p>", escape(&b.to_string())));
    Some(format!(
        "{}<pre>{}</pre><details><summary><code>settings.json</code></summary><pre>{}</pre></details><p>The \
         demonstrations’ fingerprint was <code class=\"long\">{}</code>. Their <code>meta.json</code> holds the expert’s \
         noise and seed, and every physical parameter.</p>",
        build.unwrap_or_default(),
        escape(&commands),
        escape(&settings),
        escape(&demonstrations.fingerprint)
    ))
}

/// Version of Costate that made the runs, with its commit if known; `None` if the runs differ in it.
pub(super) fn version(runs: &[Run]) -> Option<String> {
    let version = |run: &Run| {
        let config = &run.report.config;
        let build = config.provenance.as_ref();
        match build.and_then(Provenance::short_commit) {
            Some(commit) => format!("{} ({commit})", config.costate_version),
            None => config.costate_version.clone(),
        }
    };
    let first = version(runs.first()?);
    runs.iter().all(|r| version(r) == first).then_some(first)
}

/// A run in one line: environment, algorithm, demonstrations, seed.
pub(super) fn line(run: &Run) -> String {
    let demonstrations = run.demonstrated_episodes();
    let parts = [
        Some(format!("environment {}", run.env())),
        Some(run.algo_title()),
        demonstrations.map(|n| counted(n, "demonstration", "demonstrations")),
        Some(format!("seed {}", run.seed())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    escape(&parts.join(" · "))
}
