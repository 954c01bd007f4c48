//! Variants: named sets of parameter values, for transfer and robustness.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A named set of parameter values of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name, e.g. `long_pole`.
    pub name: String,
    /// One line: what differs.
    pub summary: String,
    /// What it sets, as [`EnvConfig::set`](crate::EnvConfig::set) takes it.
    pub set: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    summary: String,
    set: BTreeMap<String, Value>,
}

/// Reads `{ "NAME": { "summary": "…", "set": { "KEY": VALUE, … } }, … }`.
pub(crate) fn read(text: &str) -> Result<Vec<Variant>, String> {
    let entries: BTreeMap<String, Entry> =
        serde_json::from_str(text).map_err(|e| format!("variants: {e}"))?;
    let variant = |(name, Entry { summary, set })| Variant { name, summary, set };
    Ok(entries.into_iter().map(variant).collect())
}
