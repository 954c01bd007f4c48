//! Variants: named sets of parameter values, for transfer and robustness.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::vary::Range;

/// A named set of parameter values of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name, e.g. `long_pole`.
    pub name: String,
    /// One line: the changes.
    pub summary: String,
    /// Values for [`EnvConfig::set`](crate::EnvConfig::set).
    pub set: BTreeMap<String, Value>,
    /// What it draws afresh for every episode, as [`EnvConfig::vary`](crate::EnvConfig::vary) takes
    /// it.
    pub vary: BTreeMap<String, Range>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    summary: String,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    vary: BTreeMap<String, Range>,
}

/// Reads `{ "NAME": { "summary": "…", "set": { "KEY": VALUE, … }, "vary": { "KEY": [LOW, HIGH], … } },
/// … }`; `set` or `vary` may be missing.
pub(crate) fn read(text: &str) -> Result<Vec<Variant>, String> {
    let entries: BTreeMap<String, Entry> =
        serde_json::from_str(text).map_err(|e| format!("variants: {e}"))?;
    let variant = |(name, entry): (String, Entry)| {
        if entry.set.is_empty() && entry.vary.is_empty() {
            return Err(format!("variants.{name}: expected `set` or `vary`"));
        }
        Ok(Variant {
            name,
            summary: entry.summary,
            set: entry.set,
            vary: entry.vary,
        })
    };
    entries.into_iter().map(variant).collect()
}
