//! Addressing single parameters of a JSON model: `bodies.pole.shape.length_m`, or any unambiguous
//! subsequence of it that ends in the last name, as `pole.length_m`.

use serde_json::{Number, Value};

use crate::names::nearest;

/// Where a parameter is: object keys, names of array entries, or indices.
type Path = Vec<String>;

/// Every parameter with its dotted path. Arrays of named objects are entered; other arrays are one
/// parameter.
pub fn list(model: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(model, &mut Vec::new(), &mut |path, value| {
        found.push((path.join("."), value.clone()));
    });
    found
}

fn walk(value: &Value, path: &mut Path, visit: &mut impl FnMut(&Path, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                walk(value, path, visit);
                path.pop();
            }
        }
        Value::Array(entries) if is_named(entries) => {
            for entry in entries {
                path.push(name_of(entry).unwrap_or_default().to_owned());
                walk(entry, path, visit);
                path.pop();
            }
        }
        leaf => visit(path, leaf),
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

fn is_named(entries: &[Value]) -> bool {
    !entries.is_empty() && entries.iter().all(|e| name_of(e).is_some())
}

/// Paths of all parameters, and of the elements of those that are arrays.
fn addresses(model: &Value) -> Vec<String> {
    fn enter(path: String, value: &Value, found: &mut Vec<String>) {
        if let Value::Array(elements) = value {
            for (i, element) in elements.iter().enumerate() {
                enter(format!("{path}.{i}"), element, found);
            }
        }
        found.push(path);
    }
    let mut found = Vec::new();
    for (path, value) in list(model) {
        enter(path, &value, &mut found);
    }
    found
}

/// Why a parameter could not be set.
#[derive(Debug, Clone, PartialEq)]
pub enum SetError {
    /// No parameter fits the key; the nearest that does.
    Unknown(Option<String>),
    /// Several parameters fit.
    Ambiguous(Vec<String>),
    /// The value is of another type than the parameter: path, what it is, what was expected.
    Type {
        /// Full path of the parameter.
        path: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// Sets the parameter that `key` addresses to `text`, read as JSON, or else as a string. Returns its
/// full path.
pub fn set(model: &mut Value, key: &str, text: &str) -> Result<String, SetError> {
    let path = find(model, key)?;
    let slot = entry_by_path(model, &path).ok_or(SetError::Unknown(None))?;
    assign(slot, &path, text)?;
    Ok(path)
}

/// Full path of the parameter that `key` addresses.
pub fn find(model: &mut Value, key: &str) -> Result<String, SetError> {
    if entry_by_path(model, key).is_some() {
        return Ok(key.into());
    }
    let paths = addresses(model);
    let wanted: Vec<&str> = key.split('.').collect();
    let fitting: Vec<&String> = paths.iter().filter(|p| fits(p, &wanted)).collect();
    match fitting[..] {
        [path] => Ok(path.clone()),
        [] => Err(SetError::Unknown(nearest_path(&paths, &wanted))),
        _ => Err(SetError::Ambiguous(fitting.into_iter().cloned().collect())),
    }
}

/// The parameter at an exact path, entries by name or index.
pub fn entry_by_path<'a>(model: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut here = model;
    for segment in path.split('.') {
        here = match here {
            Value::Object(map) => map.get_mut(segment)?,
            Value::Array(entries) => {
                let index = entries
                    .iter()
                    .position(|e| name_of(e) == Some(segment))
                    .or_else(|| segment.parse().ok())?;
                entries.get_mut(index)?
            }
            _ => return None,
        };
    }
    let whole = matches!(here, Value::Object(_))
        || matches!(here, Value::Array(entries) if is_named(entries));
    // Whole objects are replaced by model files, not by overrides.
    (!whole).then_some(here)
}

/// Whether `wanted` is a subsequence of the path that ends where the path ends.
fn fits(path: &str, wanted: &[&str]) -> bool {
    let segments: Vec<&str> = path.split('.').collect();
    if segments.last() != wanted.last() {
        return false;
    }
    let mut rest = segments.iter();
    wanted.iter().all(|w| rest.any(|s| s == w))
}

/// The path whose tail, of as many names as `wanted`, is most like it.
fn nearest_path(paths: &[String], wanted: &[&str]) -> Option<String> {
    let key = wanted.join(".");
    let tail = |path: &str, n: usize| {
        let segments: Vec<&str> = path.split('.').collect();
        segments[segments.len().saturating_sub(n)..].join(".")
    };
    let candidates: Vec<(String, &String)> = paths
        .iter()
        .flat_map(|p| {
            // Tails without the `shape` level match better what people type.
            let short = p.replace(".shape.", ".");
            [(tail(p, wanted.len()), p), (tail(&short, wanted.len()), p)]
        })
        .collect();
    let best = nearest(&key, candidates.iter().map(|(tail, _)| tail.as_str()))?;
    candidates
        .iter()
        .find(|(tail, _)| tail == best)
        .map(|(_, path)| (*path).clone())
}

/// A number as other languages write it: `.5`, `1.`, `+2`, which JSON does not know.
fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let value = text.parse::<f64>().ok()?;
    Number::from_f64(value).map(Value::Number)
}

fn assign(slot: &mut Value, path: &str, text: &str) -> Result<(), SetError> {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let parsed = match slot {
        Value::Number(_) | Value::Null => parsed.or_else(|| number(text)),
        _ => parsed,
    };
    let mismatch = |expected| SetError::Type {
        path: path.into(),
        expected,
    };
    let new = match (&*slot, parsed) {
        (_, Some(Value::Null)) => Value::Null,
        (Value::Number(_), Some(v @ Value::Number(_))) => v,
        (Value::Number(_), _) => return Err(mismatch("a number")),
        (Value::Bool(_), Some(v @ Value::Bool(_))) => v,
        (Value::Bool(_), _) => return Err(mismatch("true or false")),
        (Value::Array(_), Some(v @ Value::Array(_))) => v,
        // A point may be given by name or by coordinates.
        (Value::Array(old), _) if old.len() != 2 => return Err(mismatch("a JSON array")),
        (_, Some(v @ (Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::String(_)))) => {
            v
        }
        (_, Some(_)) => return Err(mismatch("a single value")),
        (_, None) => Value::String(text.into()),
    };
    *slot = new;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_may_be_written_as_in_other_languages() {
        let mut model = json!({ "share": 0.5, "count": 3, "most": null, "name": "a", "on": true });
        for (key, text, expected) in [
            ("share", ".8", json!(0.8)),
            ("share", "1.", json!(1.0)),
            ("share", "-.25", json!(-0.25)),
            ("count", "+7", json!(7)),
            ("most", ".5", json!(0.5)),
            ("name", ".5x", json!(".5x")),
        ] {
            set(&mut model, key, text).unwrap();
            assert_eq!(model[key], expected, "{key}={text}");
        }
        for (key, text) in [
            ("share", "nan"),
            ("share", "inf"),
            ("share", "."),
            ("on", ".5"),
        ] {
            assert!(set(&mut model, key, text).is_err(), "{key}={text}");
        }
    }
}
