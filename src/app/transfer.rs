//! A run's cost and policy in variants of its world.

use std::fs;
use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_demos::experts::ExpertDesign;
use costate_demos::record::{Plan, play_episodes};
use costate_envs::rollout::{ActionChoice, RolloutPool};
use costate_envs::{EnvConfig, EnvFactory, Episode};

use super::fresh::{OnFrozenCost, Origin, Place, Title, Watch, train_missing};
use super::protocol::Protocol;
use super::results::Results;
use super::validate::{OF, cost_file, learned};
use super::{Demonstrations, Progress};
use crate::audit::Sealer;
use crate::cost::{CostPart, EnergyModel};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::transfer::{Played, Standard, Transfer, on_true_cost, rows};
use crate::evaluate::validation::Against;
use crate::evaluate::{Frozen, Standing, Workers, episodes};
use crate::learners::Setup;
use crate::learners::frozen_cost::FrozenCostSettings;
use crate::learners::rl::EXPERT;
use crate::learners::rl::RlSettings;
use crate::policy::Policy;
use crate::run::settings::Override;
use crate::run::{RunFolder, settings};
use crate::shell;

/// Where a run stores its results in variants.
const FOLDER: &str = "transfer";
/// How the files of policies trained on the true cost begin.
const TRUE_COST: &str = "true-cost";

/// Fresh policies per cost; the best counts, by the cost it was trained on.
const POLICIES: u64 = 3;
/// The setting to lower if they diverge.
const STEP_SIZE: &str = "ppo.learning_rate with --set";

/// Earlier results in variants, by name.
pub fn read(results: Results) -> Result<Vec<Transfer>, Error> {
    let run = results.run();
    let variants = EnvConfig::variants(&run.config().env.name)?;
    let present = learned(run)?;
    let mut found = Vec::new();
    for variant in variants {
        let name = format!("{FOLDER}/{}.json", variant.name);
        if let Some(mut value) = results.read_json(&name)? {
            let of = value.as_object_mut().and_then(|v| v.remove(OF));
            if of.is_some_and(|of| of != present) {
                tracing::warn!(
                    "{}: of other weights than the run's current ones; `costate evaluate {} --transfer {}` regenerates it",
                    results.found(&name).display(),
                    shell::path(run.path()),
                    variant.name
                );
                continue;
            }
            let transfer = serde_json::from_value(value).map_err(|e| {
                Error::Failure(format!(
                    "{}: {e}; remove it to have the variant evaluated again",
                    results.found(&name).display()
                ))
            })?;
            found.push(transfer);
        }
    }
    Ok(found)
}

/// A variant of the run's world.
fn variant_of(run: &RunFolder, name: &str) -> Result<(EnvFactory, String), Error> {
    let mut config = run.config().env.clone();
    config.apply_variant(name)?;
    let factory = config.factory()?;
    if !factory
        .spec()
        .has_channels_of(run.config().env.factory()?.spec())
    {
        return Err(Error::Misuse(format!(
            "{}: it learned from other channels than those of variant `{name}`; record and train there: `costate record {} \
             --variant {name} …`",
            run.path().display(),
            config.name
        )));
    }
    let variants = EnvConfig::variants(&config.name)?;
    let summary = variants.into_iter().find(|v| v.name == name);
    Ok((factory, summary.map(|v| v.summary).unwrap_or_default()))
}

/// A variant, and how policies are trained and evaluated there.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The run, and where its results go.
    pub results: Results<'a>,
    /// Its demonstrations.
    pub demonstrations: &'a Demonstrations,
    /// Name of the variant.
    pub variant: &'a str,
    /// How policies are trained there; see [`recipe`].
    pub recipe: &'a RlSettings,
    /// How policies are evaluated there.
    pub protocol: Protocol,
}

/// How policies in variants are trained: like experts. Checks that all variants exist before hours are spent
/// on the first.
pub fn recipe(run: &RunFolder, names: &[String], set: &[Override]) -> Result<RlSettings, Error> {
    names
        .iter()
        .try_for_each(|name| variant_of(run, name).map(|_| ()))?;
    let algo = settings::resolve(EXPERT, &run.config().env.name, None, set)?;
    let own = algo.settings().cloned();
    own.ok_or_else(|| Error::Failure(format!("not settings of {EXPERT}")))
}

/// Copies into `run` the policies that the run in `other` has trained on the true cost of a variant, where its own are
/// missing. Those that do not fit are trained again all the same.
pub fn take_over_true_cost(run: &RunFolder, other: &Path, variant: &str) -> Result<(), Error> {
    let Ok(there) = fs::read_dir(other.join(FOLDER).join(variant)) else {
        return Ok(());
    };
    let own = run.path().join(FOLDER).join(variant);
    disk::create_folders(&own)?;
    for file in there.filter_map(Result::ok) {
        let to = own.join(file.file_name());
        let named = file.file_name().to_string_lossy().starts_with(TRUE_COST);
        if named && !to.exists() {
            disk::replace(&to, &disk::read(&file.path())?)?;
        }
    }
    Ok(())
}

/// Trains missing policies in one variant, evaluates all there and saves the table; `None` if interrupted.
///
/// Errors: no such variant, no policy, a divergence, a degenerate score scale.
pub fn transfer(request: &Request, progress: &dyn Progress) -> Result<Option<Transfer>, Error> {
    let Request {
        results,
        demonstrations,
        variant,
        protocol,
        ..
    } = *request;
    let run = results.run();
    let (factory, summary) = variant_of(run, variant)?;
    results.lock()?;
    let imitated = run.config().imitated()?;
    let (trajectories, _) = demonstrations.seen(imitated);
    tch::set_num_threads(1);
    let there = There {
        request,
        progress,
        folder: results.file(FOLDER).join(variant),
        setup: Setup {
            sealer: Sealer::unwatched(),
            factory: &factory,
            demonstrations: &trajectories,
            images: 0,
            // Seeds of starts in another world.
            starts: &[],
            expert: "",
            seed: run.config().seed,
            workers: 1,
            elsewhere: None,
        },
    };
    let Some(on_truth) = there.best_on_true_cost()? else {
        return Ok(None);
    };
    there.workers().check()?;
    let mut played = Vec::new();
    match there.expert() {
        Ok(episodes) => played.push(named(rows::EXPERT, episodes)),
        Err(e) => progress.remark(&format!("{variant}: no expert to compare with: {e}")),
    }
    played.push(named(rows::RANDOM, there.play(&Controller::Random)?));
    let random = played.len() - 1;
    let fresh = there.act(&on_truth, ActionChoice::Sample)?;
    played.push(named(rows::TRUE_COST, fresh));
    let own = there.act(&run.policy()?, protocol.choice)?;
    played.push(named(&rows::transferred(run.config().algo.name()), own));
    let standard = Standard::of(variant, &played)?;
    let mut frozen = None;
    if let Some(shared) = run.config().algo.fresh() {
        let random = &played[random].episodes;
        let Some((found, kept)) = there.on_frozen_cost(&shared, &standard, &played, random)? else {
            return Ok(None);
        };
        played.push(named(rows::FROZEN, there.act(&kept, protocol.choice)?));
        frozen = Some(found);
    }
    let found = Transfer {
        format: 1,
        variant: variant.into(),
        summary,
        reference: standard.reference,
        reference_return: standard.reference_return,
        random_return: standard.random_return,
        rows: standard.rows(&played, protocol.seed),
        frozen,
        standing: (run.config().algo.base_steps() == 0).then_some(Standing::NoClone),
    };
    let file = format!("{FOLDER}/{variant}.json");
    let mut kept = serde_json::to_value(&found)
        .map_err(|e| Error::Failure(format!("{}: {e}", results.file(&file).display())))?;
    kept[OF] = learned(run)?;
    results.write_json(&file, &kept)?;
    Ok(Some(found))
}

fn named(policy: &str, episodes: Vec<Episode>) -> Played {
    Played {
        policy: policy.into(),
        episodes,
    }
}

/// A variant to train and evaluate policies in.
struct There<'a> {
    request: &'a Request<'a>,
    progress: &'a dyn Progress,
    /// Where policies are saved.
    folder: PathBuf,
    setup: Setup<'a>,
}

impl There<'_> {
    fn pool(&self) -> RolloutPool {
        RolloutPool::new(self.request.protocol.workers)
    }

    fn workers(&self) -> Workers<'_> {
        self.request.protocol.workers(self.progress)
    }

    fn play(&self, controller: &Controller) -> Result<Vec<Episode>, Error> {
        let Protocol { episodes, seed, .. } = self.request.protocol;
        controller.play(self.setup.factory, self.workers(), 0..episodes, seed)
    }

    fn act(&self, policy: &Path, choice: ActionChoice) -> Result<Vec<Episode>, Error> {
        let policy = Policy::read(policy)?;
        self.play(&Controller::of(policy.learned(), choice))
    }

    /// Episodes of the demonstrations' expert, redesigned for this world, with the same action noise.
    fn expert(&self) -> Result<Vec<Episode>, Error> {
        let Protocol {
            episodes,
            seed,
            workers,
            ..
        } = self.request.protocol;
        let info = &self.request.demonstrations.dataset.meta().expert;
        let design = ExpertDesign::like(info, self.setup.factory)?;
        let plan = Plan {
            episodes,
            seed,
            workers,
        };
        let start = |i| episodes::start(seed, i);
        Ok(play_episodes(self.setup.factory, &design, plan, start)?)
    }

    fn title<'a>(&'a self, message: &'a str) -> Title<'a> {
        Title {
            name: self.request.variant,
            message,
            step_size: STEP_SIZE,
        }
    }

    /// File of the best policy trained on the true cost; `None` if interrupted.
    fn best_on_true_cost(&self) -> Result<Option<PathBuf>, Error> {
        let recipe = self.request.recipe;
        let places = places(
            &self.folder,
            TRUE_COST,
            recipe.generator.iterations,
            recipe.clone(),
        );
        let title = self.title("fresh policies on the true cost there");
        let train = |place: &Place<RlSettings>, watch: &Watch| {
            let (interrupted, advance) = (|| watch.interrupted(), || watch.advance(1));
            on_true_cost(
                &place.settings,
                &self.setup,
                place.seed,
                &interrupted,
                &advance,
            )
        };
        let origin = Origin::of(&self.setup)?;
        let trained = train_missing(&places, &origin, self.pool(), title, self.progress, train)?;
        Ok(trained.and_then(|all| {
            let best = places.iter().zip(&all).max_by(|(_, a), (_, b)| {
                let (a, b) = (a.report.mean_return, b.report.mean_return);
                a.total_cmp(&b)
            });
            best.map(|(place, _)| place.policy())
        }))
    }

    /// Fresh policies on the frozen cost, compared with the reference, and the file of the kept one; `None` if
    /// interrupted.
    fn on_frozen_cost(
        &self,
        shared: &FrozenCostSettings,
        standard: &Standard,
        played: &[Played],
        random: &[Episode],
    ) -> Result<Option<(Frozen, PathBuf)>, Error> {
        let run = self.request.results.run();
        let reference: Vec<_> = played
            .iter()
            .filter(|p| p.policy == standard.reference.row())
            .flat_map(|p| p.episodes.iter().map(|e| e.trajectory.clone()))
            .collect();
        let places = frozen_places(&self.folder, shared, self.request.recipe);
        let cost = cost_file(run)?;
        let fresh = OnFrozenCost {
            file: &cost,
            // V was learned in the old world.
            cost: &|| Ok(EnergyModel::read(&cost)?.without_value()),
            policy: &run.policy()?,
            against: Against {
                setup: self.setup,
                reference: &reference,
                expert_return: standard.reference_return,
                random,
                entropy_weight: shared.entropy_weight,
            },
        };
        let title = self.title("fresh policies on the frozen cost there");
        let found = fresh.train(&places, self.pool(), title, self.progress)?;
        let found = found.and_then(|mut found| found.remove(&CostPart::Whole));
        Ok(found.map(|found| {
            let kept = places[found.kept].policy();
            (found, kept)
        }))
    }
}

/// Where fresh policies on the frozen cost go; trained as those on the true cost, so that only the cost differs.
fn frozen_places(
    folder: &Path,
    shared: &FrozenCostSettings,
    recipe: &RlSettings,
) -> Vec<Place<FrozenCostSettings>> {
    let own = FrozenCostSettings {
        generator: recipe.generator.clone(),
        entropy_weight: shared.entropy_weight,
        excess_weight: shared.excess_weight,
    };
    places(folder, "frozen-cost", recipe.generator.iterations, own)
}

/// Where fresh policies that differ only in their seeds go.
fn places<S: Clone>(folder: &Path, name: &str, iterations: usize, settings: S) -> Vec<Place<S>> {
    let place = |seed| Place {
        stem: folder.join(format!("{name}-{seed}")),
        seed,
        iterations,
        settings: settings.clone(),
        part: CostPart::Whole,
    };
    (0..POLICIES).map(place).collect()
}
