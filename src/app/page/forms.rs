//! What can be trained on demonstrations of a world, with every setting.

use costate_base::{parameters, schema};
use costate_demos::experts::experts_for;
use costate_envs::EnvConfig;
use costate_page::learning::{Form, Refusal, Setting};
use serde_json::Value;

use crate::error::Error;
use crate::learners::algorithm::{self, Entry};
use crate::run::settings;

/// What most people change, of the algorithms that have it.
const COMMON: [&str; 11] = [
    "iterations",
    "trajectories",
    "episodes",
    EXPERT,
    "samples",
    "base_steps",
    "clone_steps",
    "learning_rate",
    "cost_learning_rate",
    "ppo.learning_rate",
    "validation.policies",
];

/// The algorithms that learn from demonstrations of `env`.
pub(super) fn of(env: &EnvConfig) -> Result<Vec<Form>, Error> {
    let mut forms = Vec::new();
    for entry in algorithm::all() {
        let algo = settings::resolve(entry.name(), &env.name, None, &[])?;
        if entry.imitates() && (env.has_simulator() || !algo.needs_simulator()) {
            forms.push(Form {
                algo: entry.name().into(),
                about: entry.about().into(),
                settings: settings_of(entry, &algo.values()?, env),
            });
        }
    }
    Ok(forms)
}

/// Key of the setting that names an expert to ask.
const EXPERT: &str = "expert";

/// Refuses an expert that is not one of the world's own. The setting takes files as well, but whoever opens a page must not
/// read files by it.
pub(super) fn check_experts(env: &str, settings: &[(String, Value)]) -> Result<(), Refusal> {
    let known = experts_for(env);
    let mut asked = settings.iter().filter(|(key, _)| key == EXPERT);
    let fits = |value: &Value| value.is_null() || known.iter().any(|name| value == name);
    if asked.all(|(_, value)| fits(value)) {
        return Ok(());
    }
    Err(Refusal::misuse(format!(
        "{env} has no expert of that name to ask; expected one of {}",
        known.join(", ")
    )))
}

fn settings_of(entry: Entry, values: &Value, env: &EnvConfig) -> Vec<Setting> {
    let described = schema::describe(&entry.schema());
    // Where there is a base policy, it is the start.
    let common = |key: &str| {
        COMMON.contains(&key) && (key != "clone_steps" || values.get("base_steps").is_none())
    };
    let setting = |(key, default): (String, Value)| {
        let about = described.iter().find(|d| d.path == key);
        let mut choices = about.map_or(Vec::new(), |d| d.choices.clone());
        if key == EXPERT {
            choices.push(Value::Null);
            choices.extend(experts_for(&env.name).iter().map(|name| Value::from(*name)));
        }
        Setting {
            about: about.map_or(String::new(), |d| d.meaning.clone()),
            default,
            choices,
            low: about.and_then(|d| d.low),
            high: about.and_then(|d| d.high),
            common: common(&key),
            key,
        }
    };
    let mut all: Vec<Setting> = parameters::list(values).into_iter().map(setting).collect();
    // In that order before the others.
    let place = |key: &str| COMMON.iter().position(|common| *common == key);
    all.sort_by_key(|s| (!s.common, place(&s.key)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::settings::Override;
    use serde_json::json;

    fn form(env: &str, algo: &str) -> Form {
        let forms = of(&EnvConfig::named(env).unwrap()).unwrap();
        forms.into_iter().find(|f| f.algo == algo).unwrap()
    }

    fn setting(form: &Form, key: &str) -> Setting {
        form.settings.iter().find(|s| s.key == key).unwrap().clone()
    }

    #[test]
    fn every_imitation_learner_has_a_form_with_what_it_is() {
        let forms = of(&EnvConfig::named("cart_pole").unwrap()).unwrap();
        let names: Vec<&str> = forms.iter().map(|f| f.algo.as_str()).collect();
        assert_eq!(names, algorithm::names());
        for form in &forms {
            assert!(!form.about.is_empty(), "{}", form.algo);
            let common = form.settings.iter().take_while(|s| s.common).count();
            assert!((2..=6).contains(&common), "{}: {common}", form.algo);
            assert!(form.settings[common..].iter().all(|s| !s.common));
            for setting in &form.settings {
                assert!(!setting.about.is_empty(), "{}: {}", form.algo, setting.key);
            }
        }
    }

    #[test]
    fn settings_have_the_defaults_of_their_world_and_what_they_may_be() {
        let form_here = form("cart_pole", "gan-gcl");
        assert_eq!(setting(&form_here, "iterations").default, json!(15));
        assert_eq!(setting(&form_here, "iterations").low, Some(1.0));
        assert_eq!(
            setting(&form_here, "improvement").choices,
            [json!("ppo"), json!("sac")]
        );
        let discount = setting(&form_here, "ppo.discount");
        assert_eq!((discount.low, discount.high), (Some(0.0), Some(1.0)));
        let elsewhere = form("pendulum", "gan-gcl");
        assert_eq!(setting(&elsewhere, "iterations").default, json!(30));
        let expert = setting(&form("cart_pole", "dagger"), "expert");
        assert_eq!(expert.choices[..2], [json!(null), json!("lqr")]);
    }

    #[test]
    fn every_choice_is_accepted() {
        for form in of(&EnvConfig::named("cart_pole").unwrap()).unwrap() {
            for setting in &form.settings {
                for choice in &setting.choices {
                    let one = Override {
                        key: setting.key.clone(),
                        value: choice.to_string(),
                    };
                    let entry = algorithm::find(&form.algo).unwrap();
                    settings::check(entry.name(), None, &[one])
                        .unwrap_or_else(|e| panic!("{} {}: {e}", form.algo, setting.key));
                }
            }
        }
    }
}
