//! Settings described by their JSON schema.
//!
//! A setting is written once, as a field: its doc comment is its meaning, its type and attributes define its allowed
//! values. Checks, `--print-config`, `--print-schema`, `docs/settings.md` and editors' completion all read the schema
//! that is derived from it (crate schemars).

use crate::names::{nearest, suggestion};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// The schema of `T` with every part in its place (no `$ref`).
pub fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .with(|s| s.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
}

/// For `#[schemars(transform = …)]`: a number above 0.
pub fn positive(schema: &mut Schema) {
    schema.insert("exclusiveMinimum".into(), 0.into());
}

/// For `#[schemars(transform = …)]`: a number in (0, 1].
pub fn fraction(schema: &mut Schema) {
    positive(schema);
    schema.insert("maximum".into(), 1.into());
}

/// For `#[schemars(transform = …)]`: a number in [0, 1).
pub fn proper_fraction(schema: &mut Schema) {
    schema.insert("minimum".into(), 0.into());
    schema.insert("exclusiveMaximum".into(), 1.into());
}

/// For `#[schemars(transform = …)]`: a number in (0, 1).
pub fn open_unit(schema: &mut Schema) {
    positive(schema);
    schema.insert("exclusiveMaximum".into(), 1.into());
}

/// For `#[schemars(transform = …)]`: each element a number in (0, 1].
pub fn fractions(schema: &mut Schema) {
    if let Some(Value::Object(items)) = schema.get_mut("items") {
        items.insert("exclusiveMinimum".into(), 0.into());
        items.insert("maximum".into(), 1.into());
    }
}

/// Key of schemas whose setting affects only future iterations, so that a resumed run may change it.
const RESUMABLE: &str = "x-resumable";

/// For `#[schemars(transform = …)]`: a resumed run may change it. All other settings shape what a checkpoint holds,
/// count random streams, or say what the learned weights mean.
pub fn resumable(schema: &mut Schema) {
    schema.insert(RESUMABLE.into(), true.into());
}

/// A value that its schema does not allow.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Unknown setting: its path, and the nearest known one.
    Unknown {
        /// Dotted path.
        path: String,
        /// The most similar name, with the words around it.
        suggestion: String,
    },
    /// A setting is missing.
    Missing {
        /// Dotted path.
        path: String,
    },
    /// A setting has an invalid value.
    Value {
        /// Dotted path.
        path: String,
        /// The value, as JSON.
        value: String,
        /// What was expected.
        expected: String,
    },
}

/// A setting described by its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Dotted path, as `--set` takes it.
    pub path: String,
    /// Meaning: the first sentence of its doc comment.
    pub meaning: String,
    /// Allowed values.
    pub expected: String,
    /// The only values that it may have, if they can be counted.
    pub choices: Vec<Value>,
    /// Lower bound of a number, whether or not it is a value itself.
    pub low: Option<f64>,
    /// Upper bound, likewise.
    pub high: Option<f64>,
    /// Whether a resumed run may change it.
    pub resumable: bool,
}

/// Refuses what the schema does not allow.
pub fn check(schema: &Schema, value: &Value) -> Result<(), Fault> {
    match schema.as_object() {
        Some(schema) => check_at(schema, value, ""),
        None => Ok(()),
    }
}

/// Every setting of a schema.
pub fn describe(schema: &Schema) -> Vec<Described> {
    let mut found = Vec::new();
    if let Some(schema) = schema.as_object() {
        describe_at(schema, "", &mut found);
    }
    found
}

/// The schema of a file that may omit settings, for editors: nothing is required, other names are not allowed, and
/// `$schema` may name the schema itself.
pub fn of_partial(schema: &Schema) -> Value {
    fn relax(value: &mut Value) {
        let Some(object) = value.as_object_mut() else {
            return;
        };
        object.remove("required");
        object.remove(RESUMABLE);
        if let Some(Value::Object(properties)) = object.get_mut("properties") {
            properties.values_mut().for_each(relax);
            object.insert("additionalProperties".into(), false.into());
        }
    }
    let mut schema = schema.as_value().clone();
    relax(&mut schema);
    if let Some(properties) = schema.get_mut("properties") {
        properties["$schema"] = serde_json::json!({ "type": "string" });
    }
    schema
}

type Object = Map<String, Value>;

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.into(),
        path => format!("{path}.{key}"),
    }
}

fn properties(schema: &Object) -> Option<&Object> {
    schema.get("properties")?.as_object()
}

/// Alternatives of an enum, or of a nullable value.
fn alternatives(schema: &Object) -> Option<&Vec<Value>> {
    let listed = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    listed.as_array()
}

fn describe_at(schema: &Object, path: &str, found: &mut Vec<Described>) {
    let Some(properties) = properties(schema) else {
        let text = schema.get("description").and_then(Value::as_str);
        let [low, high] = bounds(schema).map(|bound| bound.map(|(value, _)| value));
        found.push(Described {
            path: path.into(),
            meaning: meaning(text.unwrap_or_default()),
            expected: expected(schema),
            choices: choices(schema),
            low,
            high,
            resumable: schema.contains_key(RESUMABLE),
        });
        return;
    };
    for (key, part) in properties {
        if let Some(part) = part.as_object() {
            describe_at(part, &join(path, key), found);
        }
    }
}

/// A doc comment in one line, without its full stop.
fn meaning(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").trim_end_matches('.').into()
}

fn check_at(schema: &Object, value: &Value, path: &str) -> Result<(), Fault> {
    let wrong = || Fault::Value {
        path: path.into(),
        value: value.to_string(),
        expected: expected(schema),
    };
    if let Some(listed) = alternatives(schema) {
        let fits = |one: &Value| {
            one.as_object()
                .is_some_and(|one| check_at(one, value, path).is_ok())
        };
        return listed.iter().any(fits).then_some(()).ok_or_else(wrong);
    }
    if schema.get("const").is_some_and(|only| only != value)
        || !types(schema).iter().any(|t| is_of(value, t))
        || !within(schema, value)
    {
        return Err(wrong());
    }
    if let (Some(Value::Object(items)), Value::Array(elements)) = (schema.get("items"), value) {
        let mut each = elements.iter().enumerate();
        return each.try_for_each(|(i, element)| check_at(items, element, &format!("{path}[{i}]")));
    }
    match (properties(schema), value) {
        (Some(known), Value::Object(given)) => {
            let required = schema.get("required").and_then(Value::as_array);
            for name in required.into_iter().flatten().filter_map(Value::as_str) {
                if !given.contains_key(name) {
                    return Err(Fault::Missing {
                        path: join(path, name),
                    });
                }
            }
            given.iter().try_for_each(|(key, value)| {
                match known.get(key).and_then(Value::as_object) {
                    Some(schema) => check_at(schema, value, &join(path, key)),
                    None => Err(Fault::Unknown {
                        path: join(path, key),
                        suggestion: suggestion(nearest(key, known.keys().map(String::as_str))),
                    }),
                }
            })
        }
        _ => Ok(()),
    }
}

/// The JSON types that a schema allows; all if it names none.
fn types(schema: &Object) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec!["any"],
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

/// The values of a schema that allows only a few; none of others.
fn choices(schema: &Object) -> Vec<Value> {
    if let Some(listed) = alternatives(schema) {
        let each = listed.iter().filter_map(Value::as_object).map(choices);
        let each: Vec<_> = each.collect();
        return match each.iter().any(Vec::is_empty) {
            true => Vec::new(),
            false => each.concat(),
        };
    }
    match (schema.get("const"), &types(schema)[..]) {
        (Some(only), _) => vec![only.clone()],
        (None, ["null"]) => vec![Value::Null],
        (None, ["boolean"]) => vec![false.into(), true.into()],
        _ => Vec::new(),
    }
}

/// Lower and upper bound, each with whether it is inclusive.
fn bounds(schema: &Object) -> [Option<(f64, bool)>; 2] {
    let of = |inclusive: &str, exclusive: &str| {
        let number = |key: &str| schema.get(key).and_then(Value::as_f64);
        let closed = number(inclusive).map(|v| (v, true));
        number(exclusive).map(|v| (v, false)).or(closed)
    };
    [
        of("minimum", "exclusiveMinimum"),
        of("maximum", "exclusiveMaximum"),
    ]
}

fn within(schema: &Object, value: &Value) -> bool {
    let Some(mut v) = value.as_f64() else {
        return true;
    };
    if schema.get("format").and_then(Value::as_str) == Some("float") {
        // What is kept of it: a number beyond single precision is no number there, a tiny one is 0.
        v = f64::from(v as f32);
        if !v.is_finite() {
            return false;
        }
    }
    let [low, high] = bounds(schema);
    low.is_none_or(|(b, closed)| v > b || closed && v == b)
        && high.is_none_or(|(b, closed)| v < b || closed && v == b)
}

/// Allowed values, as text that follows "expected".
fn expected(schema: &Object) -> String {
    if let Some(listed) = alternatives(schema) {
        let names: Vec<String> = listed
            .iter()
            .filter_map(Value::as_object)
            .map(expected)
            .collect();
        return names.join(" or ");
    }
    if let Some(only) = schema.get("const") {
        return only.as_str().map_or_else(|| only.to_string(), Into::into);
    }
    let named: Vec<String> = types(schema)
        .into_iter()
        .map(|name| match name {
            "boolean" => "true or false".into(),
            "string" => "text".into(),
            "array" => match schema.get("items").and_then(Value::as_object) {
                Some(items) => format!("an array, each element {}", expected(items)),
                None => "an array".into(),
            },
            "object" => "a JSON object of settings".into(),
            "integer" => number("a whole number", schema),
            "number" => number("a number", schema),
            other => other.into(),
        })
        .collect();
    named.join(" or ")
}

fn number(name: &str, schema: &Object) -> String {
    let short = |v: f64| v.to_string();
    match bounds(schema) {
        [Some((0.0, false)), None] if name == "a number" => "a positive number".into(),
        [Some((low, true)), None] => format!("{name} of at least {}", short(low)),
        [Some((low, false)), None] => format!("{name} above {}", short(low)),
        [None, Some((high, true))] => format!("{name} of at most {}", short(high)),
        [None, Some((high, false))] => format!("{name} below {}", short(high)),
        [Some((low, a)), Some((high, b))] => format!(
            "{name} in {}{}, {}{}",
            if a { '[' } else { '(' },
            short(low),
            short(high),
            if b { ']' } else { ')' }
        ),
        [None, None] => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Some settings.
    #[derive(JsonSchema)]
    #[allow(dead_code)] // only its schema is looked at
    struct Sample {
        /// How many
        /// of them.
        #[schemars(range(min = 1), transform = resumable)]
        count: usize,
        #[schemars(transform = fraction)]
        share: f64,
        #[schemars(range(min = 1.0))]
        divisor: Option<f64>,
        #[schemars(inner(range(min = 1)))]
        hidden: Vec<usize>,
        form: Form,
        other_form: Option<Form>,
        #[serde(flatten)]
        more: More,
        inner: Inner,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Form {
        /// The usual one.
        Plain,
        /// The other one.
        OddOne,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct More {
        #[schemars(transform = positive)]
        rate: f64,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Inner {
        on: bool,
    }

    fn valid() -> Value {
        json!({
            "count": 3, "share": 1.0, "divisor": null, "hidden": [], "form": "plain", "other_form": null,
            "rate": 0.5,
            "inner": { "on": true }
        })
    }

    #[test]
    fn what_fits_passes_and_what_does_not_is_told_by_its_path() {
        let schema = of::<Sample>();
        assert_eq!(check(&schema, &valid()), Ok(()));
        let told = |path: &str, value: Value| {
            let mut sample = valid();
            *sample.pointer_mut(path).unwrap() = value;
            match check(&schema, &sample) {
                Err(Fault::Value { path, expected, .. }) => format!("{path}: {expected}"),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            told("/count", json!(0)),
            "count: a whole number of at least 1"
        );
        assert_eq!(
            told("/count", json!(1.5)),
            "count: a whole number of at least 1"
        );
        assert_eq!(told("/share", json!(0.0)), "share: a number in (0, 1]");
        assert_eq!(
            told("/divisor", json!(0.5)),
            "divisor: a number of at least 1 or null"
        );
        assert_eq!(
            told("/hidden", json!([4, 0])),
            "hidden[1]: a whole number of at least 1"
        );
        assert_eq!(told("/form", json!("odd")), "form: plain or odd_one");
        assert_eq!(told("/rate", json!("x")), "rate: a positive number");
        assert_eq!(told("/inner/on", json!(1)), "inner.on: true or false");
    }

    #[test]
    fn numbers_of_single_precision_are_checked_as_they_are_kept() {
        /// A number.
        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Single {
            #[schemars(transform = positive)]
            step: f32,
        }
        let schema = of::<Single>();
        let fits = |step: f64| check(&schema, &json!({ "step": step })).is_ok();
        assert!(fits(0.5));
        assert!(!fits(1e300) && !fits(1e-300) && !fits(-0.5));
    }

    #[test]
    fn unknown_and_missing_settings_are_named() {
        let schema = of::<Sample>();
        let mut sample = valid();
        sample["inner"]["onn"] = json!(true);
        let Err(Fault::Unknown { path, suggestion }) = check(&schema, &sample) else {
            panic!("an unknown setting passes");
        };
        assert_eq!(path, "inner.onn");
        assert!(suggestion.contains("`on`"));
        let mut sample = valid();
        sample.as_object_mut().unwrap().remove("rate");
        let missing = Fault::Missing {
            path: "rate".into(),
        };
        assert_eq!(check(&schema, &sample), Err(missing));
    }

    #[test]
    fn editors_ask_for_nothing_and_know_every_name() {
        let schema = of_partial(&of::<Sample>());
        assert!(schema.get("required").is_none());
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["inner"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["count"]["minimum"], 1);
        assert!(schema["properties"]["count"].get(RESUMABLE).is_none());
    }

    #[test]
    fn settings_are_described_from_their_fields() {
        let all = describe(&of::<Sample>());
        let count = all.iter().find(|d| d.path == "count").unwrap();
        assert_eq!(count.meaning, "How many of them");
        assert!(count.resumable);
        let paths: Vec<&str> = all.iter().map(|d| d.path.as_str()).collect();
        assert!(paths.contains(&"inner.on") && paths.contains(&"rate"));
        assert!(!all.iter().any(|d| d.path == "inner.on" && d.resumable));
        let one = |path: &str| all.iter().find(|d| d.path == path).unwrap();
        assert_eq!(one("form").choices, [json!("plain"), json!("odd_one")]);
        let nullable = [json!("plain"), json!("odd_one"), Value::Null];
        assert_eq!(one("other_form").choices, nullable);
        assert_eq!(one("inner.on").choices, [json!(false), json!(true)]);
        assert!(one("count").choices.is_empty() && one("hidden").choices.is_empty());
        assert_eq!(
            (one("share").low, one("share").high),
            (Some(0.0), Some(1.0))
        );
        assert_eq!((one("divisor").low, one("divisor").high), (Some(1.0), None));
    }
}
