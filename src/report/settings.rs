//! The configuration in full, and the commands that repeat a run.

use costate_base::provenance::Provenance;
use serde::Deserialize;
use serde_json::Value;

use super::facts::{self, Facts};
use super::text::{self, escape};
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

/// What differs between runs: one row a value, one column a run.
pub(super) fn differences(runs: &[Facts], labels: &[String]) -> Option<String> {
    let flat: Vec<Vec<(String, String)>> = runs.iter().map(|r| flatten(&r.run.config)).collect();
    let mut paths: Vec<&String> = Vec::new();
    for (path, _) in flat.iter().flatten() {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let value = |run: &[(String, String)], path: &str| {
        run.iter().find(|(p, _)| p == path).map(|(_, v)| v.clone())
    };
    let mut rows = String::new();
    for path in paths {
        let values: Vec<Option<String>> = flat.iter().map(|run| value(run, path)).collect();
        if values.windows(2).all(|w| w[0] == w[1]) {
            continue;
        }
        rows += &format!("<tr><th scope=\"row\">{}</th>", breakable(path));
        rows.extend(
            values
                .iter()
                .map(|v| format!("<td>{}</td>", v.as_deref().map_or("–".into(), escape))),
        );
        rows += "</tr>";
    }
    if rows.is_empty() {
        return None;
    }
    let head: String = labels
        .iter()
        .map(|l| format!("<th scope=\"col\">{}</th>", escape(l)))
        .collect();
    Some(format!(
        "<div class=\"scroll\"><table class=\"config differences\"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    ))
}

/// Dotted paths and values, in the file's order. Lists of plain values are one value.
fn flatten(value: &Value) -> Vec<(String, String)> {
    fn walk(path: String, value: &Value, out: &mut Vec<(String, String)>) {
        let below = |key: &str| {
            if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            }
        };
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(k, v)| walk(below(k), v, out));
            }
            Value::Array(items) if items.iter().any(|v| v.is_object()) => {
                for (i, item) in items.iter().enumerate() {
                    // Named things (bodies, joints) go by their names.
                    let name = item.get("name").and_then(Value::as_str);
                    walk(
                        below(&name.map_or_else(|| i.to_string(), str::to_owned)),
                        item,
                        out,
                    );
                }
            }
            Value::String(s) => out.push((path, s.clone())),
            Value::Null if path.is_empty() => {}
            other => out.push((path, other.to_string())),
        }
    }
    let mut out = Vec::new();
    walk(String::new(), value, &mut out);
    out
}

/// A dotted path that may break after its dots and underscores.
fn breakable(path: &str) -> String {
    escape(path).replace('.', ".<wbr/>").replace('_', "_<wbr/>")
}

/// The commands that repeat a run, with what they need.
pub(super) fn reproduce(run: &Facts) -> Option<String> {
    let (env, algo) = (run.env.as_deref()?, run.algo.as_deref()?);
    let demonstrations = run.demonstrations();
    let path = facts::string(demonstrations, "/path").unwrap_or_else(|| "DEMOS".into());
    let path = word(&path);
    let mut record = format!("costate record {}", word(env));
    if let Some(expert) = facts::string(demonstrations, "/expert") {
        record += &format!(" --expert {}", word(&expert));
    }
    if let Some(n) = run.demonstrated_episodes() {
        record += &format!(" -n {n}");
    }
    record += &format!(" -o {path}");

    let settings = run
        .run
        .config
        .pointer("/algo/settings")
        .filter(|s| s.is_object());
    let mut commands = format!("# Demonstrations, unless {path} is at hand\n{record}\n\n");
    let mut train = format!("costate train {path} --algo {}", word(algo));
    if let Some(seed) = run.seed {
        train += &format!(" --seed {seed}");
    }
    if settings.is_some() {
        train += " --config settings.json";
    }
    commands += &format!(
        "# The same run again\n{train} -o again\ncostate evaluate again\ncostate report again\n"
    );
    let changes = run.run.config.get("changes").and_then(Value::as_array);
    for change in changes.into_iter().flatten() {
        commands += &format!(
            "# resumed with other settings: {}={}, before iteration {} it was {}\n",
            change["key"].as_str().unwrap_or_default(),
            change["to"],
            change["from_iteration"],
            change["from"]
        );
    }
    let fingerprint = ["/sha256", "/fingerprint"]
        .iter()
        .find_map(|p| facts::string(demonstrations, p))
        .map(|f| {
            format!(
                "<p>The demonstrations’ fingerprint was <code class=\"long\">{}</code>. Their \
                 <code>meta.json</code> tells the expert’s noise and seed, and every physical \
                 parameter.</p>",
                escape(&f)
            )
        });
    let settings = settings.map(|s| {
        let json = serde_json::to_string_pretty(s).unwrap_or_default();
        format!(
            "<details><summary><code>settings.json</code></summary><pre>{}</pre></details>",
            escape(&json)
        )
    });
    let build = run.run.config.get("provenance");
    let build = build
        .and_then(|b| Provenance::deserialize(b).ok())
        .map(|b| format!("<p>Trained by {}.</p>", escape(&b.to_string())));
    Some(format!(
        "<pre>{}</pre>{}{}{}",
        escape(&commands),
        build.unwrap_or_default(),
        settings.unwrap_or_default(),
        fingerprint.unwrap_or_default()
    ))
}

/// Version of Costate that made the runs, if they agree.
pub(super) fn version(runs: &[Facts]) -> Option<String> {
    let versions: Vec<_> = runs
        .iter()
        .filter_map(|r| {
            let version = facts::string(&r.run.config, "/costate_version")?;
            let build = r.run.config.get("provenance");
            let build = build.and_then(|b| Provenance::deserialize(b).ok());
            Some(match build.and_then(|b| b.short_commit()) {
                Some(commit) => format!("{version} ({commit})"),
                None => version,
            })
        })
        .collect();
    versions
        .windows(2)
        .all(|w| w[0] == w[1])
        .then(|| versions.first().cloned())
        .flatten()
}

/// A run in one line: environment, algorithm, demonstrations, seed.
pub(super) fn line(run: &Facts) -> String {
    let parts = [
        run.env.as_ref().map(|e| format!("environment {e}")),
        run.algo.as_ref().map(|_| run.algo_title()),
        run.demonstrated_episodes()
            .map(|n| text::counted(n, "demonstration", "demonstrations")),
        run.seed.map(|s| format!("seed {s}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().map(|p| escape(&p)).collect();
    parts.join(" · ")
}
