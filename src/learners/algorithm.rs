//! What defines an algorithm: settings that know their defaults, contradictions and learner; and the registry.
//!
//! A new algorithm is one file with an [`Algorithm`], and one line in `SHIPPED` (or, outside this package,
//! one call to [`register`]).

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, RwLock};

use costate_base::names::{nearest, suggestion};
use schemars::{JsonSchema, Schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::adversarial::AdversarialSettings;
use super::airl::AirlSettings;
use super::bc::BcSettings;
use super::dagger::DaggerSettings;
use super::density_ratio::DensityRatioSettings;
use super::flow_bc::FlowBcSettings;
use super::frozen_cost::{FrozenCostSettings, ValidationSettings};
use super::gail::{self, GailSettings};
use super::gan_gcl::GanGclSettings;
use super::gcl::GclSettings;
use super::gcl_lqg::GclLqgSettings;
use super::ibc::IbcSettings;
use super::iq_learn::IqLearnSettings;
use super::ls_iq::LsIqSettings;
use super::preferences::PreferencesSettings;
use super::rl::{self, RlSettings};
use super::rows::Discrimination;
use super::sfm::SfmSettings;
use super::soft_q::SoftQSettings;
use super::sqil::SqilSettings;
use super::{Learner, Setup};
use crate::cost::ComposedCost;
use crate::error::Error;
use costate_base::schema::{self, Fault};

/// The algorithms of this package.
const SHIPPED: [Entry; 18] = [
    Entry::of::<GanGclSettings>(),
    Entry::of::<GclSettings>(),
    Entry::of::<GclLqgSettings>(),
    Entry::of::<AirlSettings>(),
    Entry::of::<GailSettings>(),
    Entry::named::<GailSettings>(gail::ALONE, gail::ALONE_ABOUT, gail::ALONE_DEFAULTS),
    Entry::of::<DensityRatioSettings>(),
    Entry::of::<PreferencesSettings>(),
    Entry::of::<SfmSettings>(),
    Entry::of::<IqLearnSettings>(),
    Entry::of::<LsIqSettings>(),
    Entry::of::<SqilSettings>(),
    Entry::of::<DaggerSettings>(),
    Entry::of::<BcSettings>(),
    Entry::of::<IbcSettings>(),
    Entry::of::<FlowBcSettings>(),
    Entry::of::<RlSettings>(),
    Entry::named::<RlSettings>(rl::EXPERT, rl::EXPERT_ABOUT, rl::EXPERT_DEFAULTS),
];

/// Algorithms registered from outside this package.
static ADDED: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

/// Their schemas by name.
static SCHEMAS: Mutex<BTreeMap<&'static str, Arc<Schema>>> = Mutex::new(BTreeMap::new());

/// How a supervised algorithm learns from the demonstrated actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloning {
    /// By their likelihood under a Gaussian policy.
    Likelihood,
    /// Against this many counter-examples per action.
    Contrast(usize),
    /// By the velocity that carries noise to the actions.
    Flow,
}

/// What the effective sample size of the cost's gradient is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleShare {
    /// The discriminator's rows of demonstrations and rollouts.
    Batch,
    /// All trajectories that the partition function is estimated from.
    Pool,
}

/// What the rest of the program needs to know about an algorithm. The default methods fit most algorithms.
pub trait Behaviour: fmt::Debug + Send + Sync {
    /// A learner in its initial state. `cost` is what reinforcement learning minimises, the true cost if `None`.
    fn build(&self, setup: &Setup, cost: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error>;

    /// Checks the settings for contradictions. The schema checks the ranges of single settings.
    fn check(&self) -> Result<(), String> {
        match (self.adversarial(), self.soft_q()) {
            (Some(settings), _) => settings.check(),
            (_, Some(settings)) => settings.check(),
            _ => Ok(()),
        }
    }

    /// Adam's step sizes by setting name, and other settings that can cause divergence; most likely culprits first.
    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        match (self.adversarial(), self.soft_q()) {
            (Some(settings), _) => settings.step_sizes(),
            (_, Some(settings)) => settings.step_sizes(),
            _ => Vec::new(),
        }
    }

    /// The settings shared by all adversarial learners, if it is one.
    fn adversarial(&self) -> Option<&AdversarialSettings> {
        None
    }

    /// The settings shared by all soft-Q learners, if it is one.
    fn soft_q(&self) -> Option<&SoftQSettings> {
        None
    }

    /// How a fresh policy is trained on its frozen cost, if it learns one.
    fn fresh(&self) -> Option<FrozenCostSettings> {
        let adversarial = self.adversarial().map(AdversarialSettings::fresh);
        adversarial.or_else(|| self.soft_q().map(SoftQSettings::fresh))
    }

    /// Steps of behaviour cloning behind a base policy π_0 that the cost is relative to.
    fn base_steps(&self) -> usize {
        0
    }

    /// Weight α of the entropy in what the policy minimises.
    fn entropy_weight(&self) -> f64 {
        match (self.adversarial(), self.soft_q()) {
            (Some(settings), _) => settings.entropy_weight,
            (_, Some(settings)) => settings.entropy_weight,
            _ => 1.0,
        }
    }

    /// Whether it plays episodes in a simulator; otherwise demonstrations are all that it takes.
    fn needs_simulator(&self) -> bool {
        self.soft_q().is_none_or(|s| s.trajectories > 0)
    }

    /// What it does with the demonstrated actions, as it is set, after its name in a sentence; `None` if it learns from the
    /// demonstrated observations alone.
    fn reads_actions(&self) -> Option<String> {
        Some("learns from the demonstrated actions".into())
    }

    /// Settings, with their values, that it needs in order to learn from observations alone.
    fn without_actions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Name or path of the expert that it asks while it learns, if it asks one; `own` recorded the demonstrations.
    fn asks<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        let _ = own;
        None
    }

    /// Whether its episodes are played in this process, also where workers elsewhere are to play them.
    fn plays_here(&self) -> bool {
        false
    }

    /// How many of `demonstrations`, from the first on, it holds out to choose the weights that are kept.
    fn held_out(&self, demonstrations: usize) -> usize {
        let _ = demonstrations;
        0
    }

    /// Images of every demonstration under the world's symmetries that it learns from, too.
    fn symmetric_copies(&self) -> usize {
        match (self.adversarial(), self.soft_q()) {
            (Some(settings), _) => settings.symmetric_copies,
            (_, Some(settings)) => settings.symmetric_copies,
            _ => 0,
        }
    }

    /// How its learned energy and density discriminate between trajectories of `horizon` steps, if they do.
    fn discrimination(&self, horizon: usize) -> Option<Discrimination> {
        let _ = horizon;
        None
    }

    /// What its reported effective sample size is a share of, if a small one is a warning sign.
    fn effective_samples(&self) -> Option<SampleShare> {
        None
    }

    /// How it learns from the demonstrated actions, if it clones them.
    fn cloning(&self) -> Option<Cloning> {
        None
    }

    /// Fresh policies to train on the frozen cost after the training.
    fn validation(&self) -> Option<&ValidationSettings> {
        None
    }

    /// The same, mutable.
    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        None
    }
}

/// The settings of an algorithm, which define its behaviour and name.
pub trait Algorithm:
    Behaviour + Clone + PartialEq + Serialize + DeserializeOwned + JsonSchema + 'static
{
    /// Its name on the command line.
    const NAME: &'static str;

    /// What it is, in a line without a full stop.
    const ABOUT: &'static str;

    /// JSON with a complete `default` and, per environment, the settings that differ from it.
    const DEFAULTS: &'static str;

    /// Whether it imitates demonstrations; otherwise it minimises a given cost.
    const IMITATES: bool = true;
}

/// An algorithm in the registry.
#[derive(Clone, Copy)]
pub struct Entry {
    name: &'static str,
    about: &'static str,
    defaults: &'static str,
    imitates: bool,
    schema: fn() -> Schema,
    parse: fn(Value) -> Result<Box<dyn Settings>, serde_json::Error>,
}

impl Entry {
    /// The algorithm with these settings.
    pub const fn of<A: Algorithm>() -> Self {
        Self::named::<A>(A::NAME, A::ABOUT, A::DEFAULTS)
    }

    /// The same under another name, with other defaults.
    const fn named<A: Algorithm>(
        name: &'static str,
        about: &'static str,
        defaults: &'static str,
    ) -> Self {
        Self {
            name,
            about,
            defaults,
            imitates: A::IMITATES,
            schema: schema::of::<A>,
            parse: |value| Ok(Box::new(serde_json::from_value::<A>(value)?)),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is, in a line without a full stop.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// JSON with its shipped settings.
    pub fn defaults(&self) -> &'static str {
        self.defaults
    }

    /// Whether it imitates demonstrations.
    pub fn imitates(&self) -> bool {
        self.imitates
    }

    /// The schema of its settings, built once: a table of results reads hundreds of them.
    pub fn schema(&self) -> Arc<Schema> {
        let mut made = SCHEMAS.lock().unwrap_or_else(|e| e.into_inner());
        let own = made.entry(self.name);
        own.or_insert_with(|| Arc::new((self.schema)())).clone()
    }

    /// Parses settings from JSON. Errors: values that the schema does not allow.
    pub fn parse(self, settings: Value) -> Result<Algo, Fault> {
        schema::check(&self.schema(), &settings)?;
        let shown = settings.to_string();
        match (self.parse)(settings) {
            Ok(settings) => Ok(Algo {
                entry: self,
                settings,
            }),
            Err(e) => Err(Fault::Value {
                path: String::new(),
                value: shown,
                expected: e.to_string(),
            }),
        }
    }
}

/// Every algorithm.
pub fn all() -> Vec<Entry> {
    let added = ADDED.read().unwrap_or_else(|e| e.into_inner());
    SHIPPED
        .iter()
        .copied()
        .chain(added.iter().copied())
        .collect()
}

/// Names of the imitation learners, which `--algo` accepts.
pub fn names() -> Vec<&'static str> {
    let imitating = all().into_iter().filter(Entry::imitates);
    imitating.map(|e| e.name).collect()
}

/// The algorithm called `name`.
pub fn find(name: &str) -> Result<Entry, Error> {
    let found = all().into_iter().find(|e| e.name == name);
    found.ok_or_else(|| {
        let all = all();
        let hint = suggestion(nearest(name, all.iter().map(|e| e.name)));
        Error::Misuse(format!(
            "unknown algorithm `{name}`{hint}; there are {}, and rl on a given cost",
            names().join(", ")
        ))
    })
}

/// Registers an algorithm for the rest of the process. Errors: its name is taken.
pub fn register<A: Algorithm>() -> Result<(), Error> {
    if find(A::NAME).is_ok() {
        return Err(Error::Misuse(format!(
            "there is an algorithm called `{}` already",
            A::NAME
        )));
    }
    let mut added = ADDED.write().unwrap_or_else(|e| e.into_inner());
    added.push(Entry::of::<A>());
    Ok(())
}

/// An algorithm with all its settings.
pub struct Algo {
    entry: Entry,
    settings: Box<dyn Settings>,
}

impl Algo {
    /// An algorithm with these settings.
    pub fn new<A: Algorithm>(settings: A) -> Self {
        Self {
            entry: Entry::of::<A>(),
            settings: Box::new(settings),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Its entry in the registry.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// Its settings, if they are those of `A`.
    pub fn settings<A: Algorithm>(&self) -> Option<&A> {
        self.settings.as_any().downcast_ref()
    }

    /// The same, mutable.
    pub fn settings_mut<A: Algorithm>(&mut self) -> Option<&mut A> {
        self.settings.as_any_mut().downcast_mut()
    }

    /// Whether another has the same settings, ignoring `validation.controls`: controls can be added to a validated run and
    /// change nothing else in it.
    pub fn trains_like(&self, other: &Self) -> bool {
        let [own, other] = [self, other].map(|algo| {
            let mut algo = algo.clone();
            if let Some(validation) = algo.settings.validation_mut() {
                validation.controls = false;
            }
            algo
        });
        own == other
    }

    /// The same without the settings of the validation, which begins once all is learned.
    pub fn without_validation(&self) -> Self {
        let mut algo = self.clone();
        if let Some(validation) = algo.settings.validation_mut() {
            *validation = ValidationSettings::default();
        }
        algo
    }

    /// Rejects contradictory settings.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |why| Error::Misuse(format!("settings of {}: {why}", self.name()));
        self.settings.check().map_err(refused)
    }

    /// All settings as JSON.
    pub fn values(&self) -> Result<Value, Error> {
        let value = self.settings.value();
        value.map_err(|e| Error::Failure(format!("settings cannot be shown: {e}")))
    }
}

/// What [`Algorithm`] adds to [`Behaviour`], type-erased.
trait Settings: Behaviour {
    fn boxed(&self) -> Box<dyn Settings>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn equals(&self, other: &dyn Settings) -> bool;
    fn value(&self) -> Result<Value, serde_json::Error>;
}

impl<A: Algorithm> Settings for A {
    fn boxed(&self) -> Box<dyn Settings> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn equals(&self, other: &dyn Settings) -> bool {
        other.as_any().downcast_ref::<A>() == Some(self)
    }
    fn value(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

/// An algorithm behaves as its settings say.
impl Deref for Algo {
    type Target = dyn Behaviour;

    fn deref(&self) -> &Self::Target {
        &*self.settings
    }
}

impl Clone for Algo {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry,
            settings: self.settings.boxed(),
        }
    }
}

impl PartialEq for Algo {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.settings.equals(&*other.settings)
    }
}

impl fmt::Debug for Algo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name(), self.settings)
    }
}

impl Serialize for Algo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = self.settings.value().map_err(S::Error::custom)?;
        let mut algo = serializer.serialize_struct("Algo", 2)?;
        algo.serialize_field("name", self.name())?;
        algo.serialize_field("settings", &settings)?;
        algo.end()
    }
}

impl<'de> Deserialize<'de> for Algo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            name: String,
            settings: Value,
        }
        let Written { name, mut settings } = Written::deserialize(deserializer)?;
        let entry = find(&name).map_err(D::Error::custom)?;
        upgrade(&name, &mut settings);
        entry
            .parse(settings)
            .map_err(|fault| D::Error::custom(in_words(&name, &fault)))
    }
}

/// Describes a fault in the settings of `algo`.
pub fn in_words(algo: &str, fault: &Fault) -> String {
    match fault {
        Fault::Unknown { path, suggestion } => {
            format!("unknown setting `{path}` of {algo}{suggestion}")
        }
        Fault::Missing { path } => format!("setting `{path}` of {algo} is missing"),
        Fault::Value {
            path,
            value,
            expected,
        } => format!("setting `{path}` of {algo} is {value}, expected {expected}"),
    }
}

/// Renamed settings: old, new.
const RENAMED: [(&str, &str); 7] = [
    ("discriminator_steps", "cost_steps"),
    ("learning_rate_left", "learning_rate_end_factor"),
    ("temperature", "entropy_weight"),
    ("ppo.kl_stop", "ppo.target_kl"),
    ("sac.target_rate", "sac.tau"),
    ("sac.updates", "sac.gradient_steps"),
    ("sac.replay", "sac.replay_iterations"),
];

/// Removed settings, by algorithm: runs that have them stay readable.
const REMOVED: [(&str, &str); 1] = [(BcSettings::NAME, "held_out")];

/// The current name of a setting formerly called `old`; `old` may be the last part of its path.
pub fn renamed(old: &str) -> Option<&'static str> {
    let last = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    let found = RENAMED
        .iter()
        .find(|(was, _)| *was == old || last(was) == old);
    found.map(|(_, new)| *new)
}

/// Upgrades settings written by earlier versions to the current names.
fn upgrade(algorithm: &str, settings: &mut Value) {
    let gone = |(of, _): &&(&str, &str)| *of == algorithm;
    for (_, name) in REMOVED.iter().filter(gone) {
        if let Some(object) = settings.as_object_mut() {
            object.remove(*name);
        }
    }
    for (old, new) in RENAMED {
        let (mut part, mut from, mut to) = (&mut *settings, old, new);
        if let (Some((outer, old)), Some((_, new))) = (old.split_once('.'), new.split_once('.')) {
            (from, to) = (old, new);
            match part.get_mut(outer) {
                Some(inner) => part = inner,
                None => continue,
            }
        }
        if let Some(object) = part.as_object_mut()
            && let Some(value) = object.remove(from)
        {
            object.insert(to.into(), value);
        }
    }
}
