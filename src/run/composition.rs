//! The weighted costs that a run minimises; its folder holds copies of the learned ones.

use std::fs;
use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_envs::{EnvConfig, EnvSpec};
use serde::{Deserialize, Serialize};

use super::{RunConfig, files};
use crate::cost::{ComposedCost, EnergyModel, Part, Placed, WeightedCost};
use crate::error::Error;
use crate::expression::Formula;
use crate::learners::rl::DEFAULT_ENTROPY_WEIGHT;
use crate::nn::StateDict;

/// Σ_i w_i c_i, as written in `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Composition(Vec<Term>);

/// w_i c_i.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Term {
    weight: f64,
    source: Source,
}

/// Where a cost comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The world's own.
    True,
    /// A formula of the world's channels.
    Formula(String),
    /// A learned cost.
    Learned(Learned),
}

/// A learned cost and the world it was learned in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learned {
    /// Its file: absolute if outside the run's folder, relative once copied into it.
    file: PathBuf,
    /// SHA-256 of the copy; unknown outside and in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    env: EnvConfig,
    /// Entropy weight that it was learned with.
    entropy_weight: f64,
}

/// Folder of the copies.
pub(super) const COPIES: &str = "costs";

impl Composition {
    /// Parses and sums texts `WHAT:WEIGHT,…`: WHAT is a run folder, a `cost.safetensors` file, `true`, or a formula in
    /// braces; the default weight is 1. A path in single or double quotes may contain commas and colons; a text that is
    /// a path as a whole needs no quotes. A run that minimised a composition stands for that composition.
    ///
    /// Errors: a missing file, one without a cost, an invalid weight. [`Composition::load`] checks that the costs fit a
    /// world.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, Error> {
        let mut terms = Vec::new();
        for text in texts.iter().map(AsRef::as_ref) {
            let items = match Path::new(text).exists() {
                true => vec![(text, 1.0)],
                false => split(text)?
                    .into_iter()
                    .map(weighted)
                    .collect::<Result<_, _>>()?,
            };
            for (what, weight) in items {
                for mut term in Self::source(what)? {
                    term.weight *= weight;
                    terms.push(term);
                }
            }
        }
        Ok(Self(terms))
    }

    fn source(what: &str) -> Result<Vec<Term>, Error> {
        let one = |source| {
            vec![Term {
                weight: 1.0,
                source,
            }]
        };
        if what == "true" {
            return Ok(one(Source::True));
        }
        if let Some(formula) = what.strip_prefix('{').and_then(|f| f.strip_suffix('}')) {
            return Ok(one(Source::Formula(formula.trim().into())));
        }
        let path = Path::new(what);
        let is_run = path.join("config.json").exists();
        if !path.is_file() && !is_run {
            return Err(Error::Misuse(format!(
                "--cost {what}: neither a file nor a run's folder; expected a run's folder, a cost.safetensors file, `true` \
                 or a formula in braces, as {{cart_position^2}}; a path that contains a comma or a colon goes between \
                 quotes, as '\"a,b\":0.5'"
            )));
        }
        let path = std::path::absolute(path).map_err(Error::io(path))?;
        if path.is_file() {
            let env = EnvConfig::named(EnergyModel::read(&path)?.env())?;
            return Ok(one(Source::Learned(Learned {
                file: path,
                sha256: None,
                env,
                entropy_weight: 1.0,
            })));
        }
        let config = RunConfig::read(&path)?;
        if let Some(composition) = config.cost {
            return Ok(composition.relative_to(&path).0);
        }
        let file = path.join("cost.safetensors");
        if !file.exists() {
            return Err(Error::Misuse(format!(
                "--cost {what}: {} learns no cost, or has not written one yet; gan-gcl, gcl and airl do",
                config.algo.name()
            )));
        }
        Ok(one(Source::Learned(Learned {
            file,
            sha256: None,
            entropy_weight: config.algo.entropy_weight(),
            env: config.env,
        })))
    }

    /// The same with file paths as seen from outside `folder`.
    fn relative_to(mut self, folder: &Path) -> Self {
        for term in &mut self.0 {
            if let Source::Learned(learned) = &mut term.source {
                learned.file = folder.join(&learned.file);
            }
        }
        self
    }

    /// Its entropy weight: the highest that a term was learned with.
    pub fn entropy_weight(&self) -> f64 {
        let of = |term: &Term| match &term.source {
            Source::Learned(learned) if term.weight != 0.0 => Some(learned.entropy_weight),
            _ => None,
        };
        let highest = self.0.iter().filter_map(of).reduce(f64::max);
        highest.unwrap_or(DEFAULT_ENTROPY_WEIGHT)
    }

    /// Reads all costs and maps them to the world of `env`; relative files are taken from `folder`.
    pub fn load(&self, env: &EnvConfig, folder: &Path) -> Result<ComposedCost, Error> {
        let factory = env.factory()?;
        let spec = factory.spec();
        let terms = self.0.iter().map(|term| {
            Ok(WeightedCost {
                weight: term.weight,
                part: term.source.part(env, spec, folder)?,
            })
        });
        ComposedCost::new(terms.collect::<Result<_, Error>>()?)
    }

    /// Copies the learned costs into a run's folder and returns the composition with the new paths.
    pub fn copied_into(mut self, folder: &Path) -> Result<Self, Error> {
        let copies = folder.join(COPIES);
        for (i, term) in self.0.iter_mut().enumerate() {
            let Source::Learned(learned) = &mut term.source else {
                continue;
            };
            disk::create_folders(&copies)?;
            let bytes = fs::read(&learned.file).map_err(Error::io(&learned.file))?;
            let copy = Path::new(COPIES).join(format!("{i}.safetensors"));
            files::write_atomic(&folder.join(&copy), &bytes)?;
            learned.file = copy;
            learned.sha256 = Some(disk::sha256(&bytes));
        }
        Ok(self)
    }
}

impl Source {
    fn part(&self, env: &EnvConfig, spec: &EnvSpec, folder: &Path) -> Result<Part, Error> {
        Ok(match self {
            Self::True => Part::True,
            Self::Formula(text) => Part::Written(Box::new(Formula::parse(text, spec, true)?)),
            Self::Learned(learned) => {
                let file = folder.join(&learned.file);
                let (bytes, name) = StateDict::load(&file)?;
                if (learned.sha256.as_ref()).is_some_and(|digest| *digest != disk::sha256(&bytes)) {
                    return Err(Error::Failure(format!(
                        "{}: not the cost that the run in this folder began with; put that one back, or start a new run",
                        file.display()
                    )));
                }
                let model = EnergyModel::parse(&bytes, &name)?;
                // The soft value was learned under its own world's dynamics.
                let model = match learned.env == *env {
                    true => model,
                    false => model.without_value(),
                };
                let own = learned.env.factory()?;
                Part::Learned(Box::new(Placed::new(model, own.spec(), spec)?))
            }
        })
    }
}

/// The items separated by commas outside braces and quotes.
fn split(text: &str) -> Result<Vec<&str>, Error> {
    let (mut items, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    let mut quoted = None;
    for (i, c) in text.char_indices() {
        match c {
            _ if quoted == Some(c) => quoted = None,
            _ if quoted.is_some() => {}
            // Within a name it is an apostrophe.
            '"' | '\'' if text[start..i].trim().is_empty() => quoted = Some(c),
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    items.push(&text[start..]);
    if let Some(quote) = quoted {
        return Err(Error::Misuse(format!(
            "--cost {text}: unclosed quote {quote}; a path with a comma is written as \"a,b\":0.5"
        )));
    }
    if depth != 0 {
        return Err(Error::Misuse(format!(
            "--cost {text}: unclosed brace; a formula is written in braces, as {{cart_position^2}}"
        )));
    }
    match items.iter().any(|i| i.trim().is_empty()) {
        true => Err(Error::Misuse(format!(
            "--cost {text}: empty item; expected WHAT:WEIGHT,…, as runs/reach:1.0,runs/avoid:0.5"
        ))),
        false => Ok(items),
    }
}

/// `WHAT:WEIGHT`, or WHAT alone, without quotes.
fn weighted(item: &str) -> Result<(&str, f64), Error> {
    let item = item.trim();
    if let Some(what) = unquoted(item) {
        return Ok((what, 1.0));
    }
    match item.rsplit_once(':') {
        Some((what, weight)) if !weight.ends_with('}') && !weight.contains('/') => {
            let parsed = weight.trim().parse().ok().filter(|w: &f64| w.is_finite());
            let weight = parsed.ok_or_else(|| {
                Error::Misuse(format!(
                    "--cost {item}: `{weight}` is not a weight, expected a finite number"
                ))
            })?;
            let what = what.trim();
            Ok((unquoted(what).unwrap_or(what), weight))
        }
        _ => Ok((item, 1.0)),
    }
}

/// The text between quotes, if quoted.
fn unquoted(text: &str) -> Option<&str> {
    let within = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_weights_and_formulas_keep_their_commas() {
        let got = Composition::parse(&["true:0, {max(pole_sin, 0)^2}:2.5", "{push}"]).unwrap();
        let formula = |weight, text: &str| Term {
            weight,
            source: Source::Formula(text.into()),
        };
        let expected = vec![
            Term {
                weight: 0.0,
                source: Source::True,
            },
            formula(2.5, "max(pole_sin, 0)^2"),
            formula(1.0, "push"),
        ];
        assert_eq!(got.0, expected);
        assert_eq!(got.entropy_weight(), DEFAULT_ENTROPY_WEIGHT);
        let env = EnvConfig::named("cart_pole").unwrap();
        assert!(got.load(&env, Path::new("")).is_ok());
        let other = EnvConfig::named("point_maze").unwrap();
        let error = got.load(&other, Path::new("")).unwrap_err().to_string();
        assert!(error.contains("`pole_sin`"), "{error}");
    }

    #[test]
    fn quotes_keep_commas_and_colons() {
        let items = |text| {
            let items = split(text).unwrap();
            items
                .into_iter()
                .map(|i| weighted(i).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(items("'a,b':0.5, \"c:d\""), [("a,b", 0.5), ("c:d", 1.0)]);
        assert_eq!(items("bob's:2,it's"), [("bob's", 2.0), ("it's", 1.0)]);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let message = |text: &str| {
            let error = Composition::parse(&[text]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        assert!(message("nowhere:1").contains("neither a file nor a run"));
        assert!(message("true:heavy").contains("`heavy` is not a weight"));
        assert!(message("true:inf").contains("finite"));
        assert!(message("true,,true").contains("empty"));
        assert!(message("{push").contains("brace"));
        assert!(message("\"a,b:1").contains("unclosed"));
        assert!(message("").contains("empty"));
    }
}
