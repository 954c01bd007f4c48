//! Imitation by a density ratio: what a pair costs is how much likelier it is with the policy than with the demonstrator,
//! log(q / p), estimated by kernels in closed form instead of by a trained discriminator.
//!
//! The optimum of GAIL's discriminator (Ho and Ermon 2016, arXiv 1606.03476) without its training, by relative density-ratio
//! estimation ([`crate::density_ratio`]); kernels in place of a discriminator as in Kim and Park 2018 (Imitation learning via
//! kernel mean embedding). c_θ is fitted to the estimate by least squares, which carries it over to pairs between samples.

use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour};
use super::discriminator_report::{self, DiscriminatorReport};
use super::frozen_cost::ValidationSettings;
use super::generator::{Generator, Sampled};
use super::memory::Memory;
use super::transitions::with_replacement;
use super::{Learner, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::density_ratio::{KernelRatio, Weighted};
use crate::error::Error;
use crate::metric::{Diagnostics, Metric, Spreads};
use crate::nn::{StateDict, StateError};
use costate_base::schema::{positive, proper_fraction, resumable};

/// Settings of the density ratio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DensityRatioSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Kernels at most, at demonstrated pairs.
    #[schemars(range(min = 1), transform = resumable)]
    pub kernels: usize,
    /// What a pair costs at most, and earns at most: log(q / p) is cut there, so that what no demonstration is near to costs
    /// the same everywhere.
    #[schemars(transform = positive)]
    pub largest: f64,
    /// Pairs of each group in a step of the fit of c_θ.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Share of q that is rollouts of all earlier iterations, kept for good.
    #[schemars(transform = proper_fraction)]
    pub memory: f64,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

impl Algorithm for DensityRatioSettings {
    const NAME: &'static str = "density-ratio";
    const ABOUT: &'static str = "a cost from the ratio of two densities, estimated by kernels";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/density-ratio.json");
}

impl Behaviour for DensityRatioSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let sides = Sides::new(&self.adversarial, 0, setup)?;
        let ratio = DensityRatio {
            settings: self.clone(),
            memory: Memory::new(setup.seed),
            demonstrations: sides.demonstrations.shallow_clone(),
        };
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings,
            sides,
            ratio,
            Vec::new(),
            setup,
        )?))
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn reads_actions(&self) -> Option<String> {
        self.adversarial.reads_actions()
    }

    fn without_actions(&self) -> &'static [(&'static str, &'static str)] {
        &[("cost.state_only", "true")]
    }

    fn validation(&self) -> Option<&ValidationSettings> {
        Some(&self.validation)
    }

    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        Some(&mut self.validation)
    }
}

/// The adversary.
pub struct DensityRatio {
    settings: DensityRatioSettings,
    memory: Memory,
    demonstrations: TrajectoryBatch,
}

/// Pairs with their estimated costs.
pub struct Estimated {
    demonstrated: Costed,
    sampled: Costed,
    ratio: KernelRatio,
}

/// Some pairs and their costs, `[N]` in f64.
struct Costed {
    observations: Tensor,
    actions: Tensor,
    cost: Tensor,
}

impl Costed {
    fn draw(&self, count: usize, rng: &mut Stream) -> Self {
        let drawn = with_replacement(self.cost.size()[0], count, rng);
        let pick = |t: &Tensor| t.index_select(0, &drawn);
        Self {
            observations: pick(&self.observations),
            actions: pick(&self.actions),
            cost: pick(&self.cost),
        }
    }

    /// E[(c_θ − log(q / p))²].
    fn miss(&self, model: &EnergyModel) -> Tensor {
        let fitted = model.cost(&self.observations, &self.actions);
        (fitted.to_kind(Kind::Double) - &self.cost)
            .square()
            .mean(Kind::Double)
    }
}

impl Adversary for DensityRatio {
    const STREAM: &'static str = "density_ratio";
    type Evidence = Estimated;

    fn evidence(&self, model: &EnergyModel, samples: &Sampled, _: usize) -> Estimated {
        let seen = |observations: &Tensor, actions: &Tensor| {
            crate::nn::no_grad(|| model.inputs(observations, actions)).to_kind(Kind::Double)
        };
        let of = |batch: &TrajectoryBatch| seen(&batch.observations, &batch.actions);
        let (demonstrated, sampled) = (of(&self.demonstrations), of(&samples.batch));
        let before = self.memory.all().map(|(o, a)| seen(o, a));
        let share = before.as_ref().map_or(0.0, |_| self.settings.memory);
        let mut others = vec![Weighted {
            rows: sampled.shallow_clone(),
            share: 1.0 - share,
        }];
        others.extend(before.map(|rows| Weighted { rows, share }));
        let ratio = KernelRatio::fit(&demonstrated, &others, self.settings.kernels);
        let costed = |batch: &TrajectoryBatch, rows: &Tensor| Costed {
            observations: batch.observations.shallow_clone(),
            actions: batch.actions.shallow_clone(),
            cost: ratio.cost(rows, self.settings.largest),
        };
        Estimated {
            demonstrated: costed(&self.demonstrations, &demonstrated),
            sampled: costed(&samples.batch, &sampled),
            ratio,
        }
    }

    /// ½ E_P[(c_θ − log(q / p))²] + ½ E_Q[the same].
    fn loss(&mut self, model: &mut EnergyModel, found: &Estimated, rng: &mut Stream) -> Tensor {
        let mut miss = |pairs: &Costed| pairs.draw(self.settings.minibatch, rng).miss(model);
        (miss(&found.demonstrated) + miss(&found.sampled)) * 0.5
    }

    fn found(&mut self, _: &mut EnergyModel, found: &Estimated) -> (Diagnostics, Spreads) {
        let (p, q) = (-&found.demonstrated.cost, -&found.sampled.cost);
        let mut diagnostics = DiscriminatorReport::of(&p, &q).diagnostics();
        diagnostics.push((Metric::KernelWidth, found.ratio.width));
        (diagnostics, discriminator_report::logits(&p, &q))
    }

    fn remember(&mut self, k: usize, samples: &Sampled) {
        if self.settings.memory > 0.0 {
            self.memory.keep(&samples.batch, k);
        }
    }

    fn save(&self, state: &mut StateDict) {
        if self.settings.memory > 0.0 {
            self.memory.save(state);
        }
    }

    fn load(&mut self, state: &StateDict, _: &Generator) -> Result<(), StateError> {
        match self.settings.memory > 0.0 {
            true => self.memory.load(state),
            false => Ok(()),
        }
    }

    /// c_θ.
    fn step_cost(&self, model: &EnergyModel, batch: &TrajectoryBatch) -> Vec<f64> {
        model.step_cost(batch)
    }
}

#[cfg(test)]
mod tests {
    use costate_demos::Dataset;
    use costate_envs::rng::stream;
    use costate_envs::{EnvConfig, Trajectory};

    use super::*;
    use crate::nn::{Adam, AdamSettings};
    use crate::run::settings;

    /// The estimate separates demonstrations from an untrained policy's pairs, and c_θ takes it over.
    /// Seen to fail with the sign of the cost turned, and with the cost of one group for the other.
    #[test]
    fn the_cost_takes_the_estimate_over() {
        tch::set_num_threads(1);
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
        let dataset = Dataset::open(&data).unwrap();
        let demonstrations: Vec<Trajectory> = (dataset.episodes().iter().take(4))
            .map(|e| e.trajectory.clone())
            .collect();
        let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
        let setup = Setup::new(&factory, &demonstrations);
        let set = |key: &str, value: &str| settings::Override {
            key: key.into(),
            value: value.into(),
        };
        let small = [set("trajectories", "4"), set("memory", "0.5")];
        let own: DensityRatioSettings = settings::resolve_typed("point_mass", &small).unwrap();
        let mut sides = Sides::new(&own.adversarial, 0, &setup).unwrap();
        let mut ratio = DensityRatio {
            memory: Memory::new(0),
            demonstrations: sides.demonstrations.shallow_clone(),
            settings: own,
        };
        let samples = sides.generator.rollouts(0).unwrap();
        ratio.remember(0, &samples);
        let found = ratio.evidence(&sides.model, &samples, 1);
        let mean = |t: &Tensor| t.mean(Kind::Double).double_value(&[]);
        let (p, q) = (mean(&found.demonstrated.cost), mean(&found.sampled.cost));
        assert!(p < -0.5 && q > 0.5, "demonstrations {p}, rollouts {q}");
        let adam = AdamSettings {
            learning_rate: 3e-3,
            max_gradient_norm: None,
        };
        let mut optimizer = Adam::new(adam, sides.model.parameters());
        let mut rng = stream(0, "test", 0);
        for _ in 0..300 {
            let loss = ratio.loss(&mut sides.model, &found, &mut rng);
            optimizer.step(&loss);
        }
        for (batch, estimate) in [(&ratio.demonstrations, p), (&samples.batch, q)] {
            let costs = ratio.step_cost(&sides.model, batch);
            let fitted = costs.iter().sum::<f64>() / costs.len() as f64;
            assert!(
                (fitted - estimate).abs() < 0.3,
                "{fitted}, estimated {estimate}"
            );
        }
    }
}
