//! From JSON to typed parameters, with the path and the nearest name in the message.

use costate_base::names::{nearest, suggestion};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// Reads `value` as a `P`. The error says where (named entries by name: `bodies.pole.mass_kg`),
/// what is wrong and what was expected; `prefix` is the path of `value` itself.
pub fn parse<P: DeserializeOwned>(value: &Value, prefix: &str) -> Result<P, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let place = named_path(value, error.path(), prefix);
        let message = shorten(&error.into_inner().to_string());
        if place.is_empty() {
            message
        } else {
            format!("{place}: {message}")
        }
    })
}

/// The path with array entries called by their `name` where they have one.
fn named_path(root: &Value, path: &Path, prefix: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !prefix.is_empty() {
        parts.push(prefix.into());
    }
    let mut here = Some(root);
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                here = here.and_then(|v| v.get(index));
                let name = here.and_then(|v| v.get("name")).and_then(Value::as_str);
                parts.push(name.map_or_else(|| index.to_string(), str::to_owned));
            }
            Segment::Map { key } => {
                here = here.and_then(|v| v.get(key));
                parts.push(key.clone());
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    parts.join(".")
}

/// Replaces serde's list of expected names by the nearest one, where one is near.
fn shorten(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (Some((wrong, expected)), true) = (names.split_first(), message.starts_with("unknown "))
    else {
        return message.into();
    };
    match nearest(wrong, expected.iter().copied()) {
        Some(near) => {
            let head = message.split(", expected").next().unwrap_or(message);
            format!("{head}{}", suggestion(Some(near)))
        }
        None => message.into(),
    }
}
