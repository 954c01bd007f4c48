//! Parameters sampled for every episode: domain randomisation (Tobin et al. 2017,
//! <https://arxiv.org/abs/1703.06907>).

use std::collections::BTreeMap;
use std::sync::Arc;

use costate_base::parameters;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::{Env, EnvError, SavedState, Step};
use crate::rng::stream;
use crate::scene::Scene;
use crate::spec::EnvSpec;
use crate::symmetry::Symmetry;

/// More would take long to check: every corner of the ranges is built once.
const MOST_RANGES: usize = 8;

/// Minimum and maximum of a parameter: two numbers, or two arrays of numbers of its length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Range(pub Value, pub Value);

impl Range {
    /// `LOW..HIGH` with two numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let (low, high) = text.split_once("..")?;
        let (low, high): (f64, f64) = (low.parse().ok()?, high.parse().ok()?);
        Some(Self(low.into(), high.into()))
    }

    /// Whether it is one for a parameter whose value is `nominal`.
    pub(crate) fn fits(&self, nominal: &Value) -> Result<(), &'static str> {
        let ordered = |low: &Value, high: &Value| match (low.as_f64(), high.as_f64()) {
            (Some(low), Some(high)) => low <= high,
            _ => false,
        };
        match (nominal, &self.0, &self.1) {
            (Value::Number(_), low, high) => ordered(low, high)
                .then_some(())
                .ok_or("[LOW, HIGH] with two numbers, the lower one first,"),
            (Value::Array(nominal), Value::Array(low), Value::Array(high)) => {
                let fit = nominal.iter().all(Value::is_number)
                    && (low.len(), high.len()) == (nominal.len(), nominal.len())
                    && low.iter().zip(high).all(|(low, high)| ordered(low, high));
                fit.then_some(())
                    .ok_or("two arrays of as many numbers as it has, the lower ones first,")
            }
            (Value::Array(_), ..) => Err("two arrays of as many numbers as it has"),
            _ => Err("a single value, not a range,"),
        }
    }

    /// The value at the share `u()` of the way from least to greatest, by element.
    fn at(&self, u: &mut impl FnMut() -> f64) -> Value {
        let mut between = |low: &Value, high: &Value| {
            let (low, high) = (number(low), number(high));
            Value::from(low + u() * (high - low))
        };
        match (&self.0, &self.1) {
            (Value::Array(low), Value::Array(high)) => low
                .iter()
                .zip(high)
                .map(|(low, high)| between(low, high))
                .collect(),
            (low, high) => between(low, high),
        }
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// Builds the environment of one model.
pub(crate) type Build = Arc<dyn Fn(&Value) -> Result<Box<dyn Env>, String> + Send + Sync>;

/// Checks that every combination of the ranges' ends gives a valid model and the same spec as `nominal`.
pub(crate) fn check(
    model: &Value,
    ranges: &BTreeMap<String, Range>,
    nominal: &EnvSpec,
    build: &Build,
) -> Result<(), String> {
    if ranges.len() > MOST_RANGES {
        return Err(format!(
            "{} parameters vary, expected at most {MOST_RANGES}",
            ranges.len()
        ));
    }
    for (path, range) in ranges {
        let mut model = model.clone();
        let nominal = parameters::entry_by_path(&mut model, path);
        range
            .fits(nominal.as_deref().unwrap_or(&Value::Null))
            .map_err(|expected| format!("vary.{path}: expected {expected}"))?;
    }
    for corner in 0..1 << ranges.len() {
        let mut model = model.clone();
        for (bit, (path, range)) in ranges.iter().enumerate() {
            let end = f64::from(corner >> bit & 1);
            put(&mut model, path, range.at(&mut || end))?;
        }
        let env = build(&model)?;
        let spec = env.spec();
        let same = spec.observation == nominal.observation
            && spec.action == nominal.action
            && spec.horizon == nominal.horizon
            && spec.control_period_s == nominal.control_period_s;
        if !same {
            let paths: Vec<&str> = ranges.keys().map(String::as_str).collect();
            return Err(format!(
                "spaces, horizon and control period must stay the same within the ranges of {}; vary other parameters",
                paths.join(", ")
            ));
        }
    }
    Ok(())
}

fn put(model: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let slot = parameters::entry_by_path(model, path)
        .ok_or_else(|| format!("there is no parameter `{path}` to vary"))?;
    *slot = value;
    Ok(())
}

/// An environment whose parameters [`Env::reset`] samples uniformly from ranges; a new build has the
/// nominal ones, which is what experts plan with. [`Env::reset_to`] keeps the last draw.
pub(crate) struct Varied {
    model: Arc<Value>,
    ranges: Arc<BTreeMap<String, Range>>,
    build: Build,
    /// In the order of the ranges; empty: nominal.
    drawn: Vec<Value>,
    env: Box<dyn Env>,
}

impl Varied {
    /// The nominal environment; everything was checked by [`check`].
    pub fn new(model: Arc<Value>, ranges: Arc<BTreeMap<String, Range>>, build: Build) -> Self {
        Self {
            env: build(&model).expect("checked with the configuration"),
            model,
            ranges,
            build,
            drawn: Vec::new(),
        }
    }

    fn with(&self, drawn: &[Value]) -> Result<Box<dyn Env>, String> {
        let mut model = (*self.model).clone();
        for (path, value) in self.ranges.keys().zip(drawn) {
            put(&mut model, path, value.clone())?;
        }
        (self.build)(&model)
    }
}

impl Env for Varied {
    fn spec(&self) -> &EnvSpec {
        self.env.spec()
    }

    fn reset(&mut self, seed: u64) {
        let mut rng = stream(seed, "vary", 0);
        let mut u = || rng.random::<f64>();
        self.drawn = self.ranges.values().map(|r| r.at(&mut u)).collect();
        self.env = self
            .with(&self.drawn)
            .expect("checked at every corner of the ranges");
        self.env.reset(seed);
    }

    fn observe(&self, out: &mut [f32]) {
        self.env.observe(out);
    }

    fn step(&mut self, action: &[f32]) -> Result<Step, EnvError> {
        self.env.step(action)
    }

    fn cost(&self, action: &[f32]) -> f64 {
        self.env.cost(action)
    }

    fn solved(&self) -> Option<bool> {
        self.env.solved()
    }

    fn modes(&self) -> &[&'static str] {
        self.env.modes()
    }

    fn mode(&self, observations: &[f32]) -> Option<usize> {
        self.env.mode(observations)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        self.env.symmetries()
    }

    fn coordinates(&self) -> Vec<f32> {
        self.env.coordinates()
    }

    fn reset_to(&mut self, coordinates: &[f32]) -> Result<(), EnvError> {
        self.env.reset_to(coordinates)
    }

    fn save(&self) -> SavedState {
        SavedState {
            drawn: self.drawn.clone(),
            ..self.env.save()
        }
    }

    fn load(&mut self, state: &SavedState) -> Result<(), EnvError> {
        let bad = |reason| EnvError::BadState {
            env: self.spec().name.clone(),
            reason,
        };
        if ![0, self.ranges.len()].contains(&state.drawn.len()) {
            return Err(bad("its drawn parameters do not fit".into()));
        }
        if state.drawn != self.drawn {
            let mut env = self.with(&state.drawn).map_err(bad)?;
            env.load(state)?;
            self.env = env;
            self.drawn.clone_from(&state.drawn);
            return Ok(());
        }
        self.env.load(state)
    }

    fn state_hash(&self) -> u64 {
        let drawn = self.drawn.iter().flat_map(|value| match value {
            Value::Array(elements) => elements.iter().map(number).collect(),
            value => vec![number(value)],
        });
        crate::hash::words(std::iter::once(self.env.state_hash()).chain(drawn.map(f64::to_bits)))
    }

    fn scene(&self) -> Scene {
        self.env.scene()
    }
}
