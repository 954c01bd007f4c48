//! Successor-feature matching: imitation without an adversary, from observations alone.
//!
//! Jain et al. 2025 (Non-adversarial inverse reinforcement learning via successor feature matching, arXiv 2411.07007). With
//! ψ the expected sum of features φ(s) over an episode, the gap of returns between demonstrator and policy is at most
//! ‖ψ_E − ψ_π‖ for every cost that is linear in φ with weights of norm 1, and the worst of them is known in closed form:
//!
//! ```text
//! c(s) = (ψ_π − ψ_E)ᵀ φ(s)
//! ```
//!
//! The policy descends it, and it is computed anew. φ is the last hidden layer of c_θ, trained on the policy's own episodes
//! to tell where an action leads, φ(s), a → s' (the forward dynamics model of section 4.2), so that a demonstrated action is
//! never needed. A constant feature makes ψ count steps: episodes that end early are told apart as well.

use costate_envs::rng::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour};
use super::frozen_cost::ValidationSettings;
use super::generator::{Generator, Sampled};
use super::rows::Rows;
use super::transitions::with_replacement;
use super::{Learner, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, CostForm, EnergyModel};
use crate::error::Error;
use crate::metric::{Diagnostics, Metric, Spreads};
use crate::nn::{Mlp, StateDict, StateError};
use costate_base::schema::{proper_fraction, resumable};

/// Settings of successor-feature matching. The steps on the cost are those on its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SfmSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Steps of the rollouts in a step on the features.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Units of each hidden layer between features and prediction.
    #[schemars(inner(range(min = 1)))]
    pub prediction_hidden: Vec<usize>,
    /// Share of ψ_π that is kept from the iterations before.
    #[schemars(transform = proper_fraction, transform = resumable)]
    pub averaging: f64,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

impl Algorithm for SfmSettings {
    const NAME: &'static str = "sfm";
    const ABOUT: &'static str =
        "successor-feature matching: from observations alone, without an adversary";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/sfm.json");
}

impl Behaviour for SfmSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let sides = Sides::new(&self.adversarial, 0, setup)?;
        let demonstrations = sides.demonstrations.shallow_clone();
        let matching = Matching {
            settings: self.clone(),
            horizon: setup.factory.spec().horizon,
            rows: Rows::new(None).cut_like(&demonstrations, setup.factory),
            forward: self.forward_model(&sides.model, setup),
            of_policy: None,
            demonstrations,
        };
        let more = matching.forward.parameters();
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings, sides, matching, more, setup,
        )?))
    }

    fn check(&self) -> Result<(), String> {
        let own = &self.adversarial;
        own.check()?;
        let (cost, r) = (&own.cost, &own.regularizers);
        let plain = cost.form == CostForm::Neural && cost.bound == 0.0 && !cost.start_value;
        if !plain || cost.sees_actions() {
            return Err(
                "its cost is linear in features of the state; leave cost.form=neural, cost.state_only=true, \
                 cost.start_value=false, cost.bound=0 and cost.action_penalty=0"
                    .into(),
            );
        }
        match [r.gradient_penalty, r.local_constant_rate, r.monotonic] == [0.0; 3] {
            true => Ok(()),
            false => Err(
                "its cost has a closed form, without a loss to penalise; set all of regularizers to 0".into(),
            ),
        }
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn reads_actions(&self) -> Option<String> {
        self.adversarial.reads_actions()
    }

    fn validation(&self) -> Option<&ValidationSettings> {
        Some(&self.validation)
    }

    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        Some(&mut self.validation)
    }
}

impl SfmSettings {
    /// An untrained φ(s), a → s'.
    fn forward_model(&self, model: &EnergyModel, setup: &Setup) -> Mlp {
        let spec = setup.factory.spec();
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        let zeros = |n: usize| Tensor::zeros([1, n as i64], (Kind::Float, tch::Device::Cpu));
        let units = features(model, &model.inputs(&zeros(o), &zeros(a))).size()[1] as usize;
        let sizes = [&[units + a], self.prediction_hidden.as_slice(), &[o]].concat();
        let mut rng = stream(setup.seed, "forward_model", 0);
        Mlp::new(&sizes, 1.0, Kind::Float, &mut rng)
    }
}

/// Matches features, in the adversary's place.
pub struct Matching {
    settings: SfmSettings,
    horizon: usize,
    rows: Rows,
    /// φ(s), a → s', in standard deviations.
    forward: Mlp,
    /// ψ_π with the constant feature last, `[units + 1]` in f64; `None` before the first iteration.
    of_policy: Option<Tensor>,
    demonstrations: TrajectoryBatch,
}

/// What an iteration learns from.
pub struct Episodes {
    /// Those that the features learn from.
    all: TrajectoryBatch,
    /// s' of every step, in standard deviations, `[S, observation_dim]`.
    next: Tensor,
    /// Those that are compared with the demonstrations.
    compared: TrajectoryBatch,
}

impl Matching {
    /// ψ = E[Σ_t (φ(s_t), 1)] / horizon, `[units + 1]` in f64.
    fn successor_features(&self, model: &EnergyModel, batch: &TrajectoryBatch) -> Tensor {
        let inputs = model.inputs(&batch.observations, &batch.actions);
        let features = features(model, &inputs).to_kind(Kind::Double);
        let sums = features.sum_dim_intlist([0_i64].as_slice(), false, Kind::Double);
        let count = Tensor::from_slice(&[batch.steps() as f64]);
        Tensor::cat(&[sums, count], 0) / (batch.len() * self.horizon) as f64
    }

    /// Where the actions of these steps lead, as far as features tell, `[N, observation_dim]`.
    fn predicted(&self, model: &EnergyModel, observations: &Tensor, actions: &Tensor) -> Tensor {
        let features = features(model, &model.inputs(observations, actions));
        let actions = model.action_scale().apply(actions);
        self.forward.forward(&Tensor::cat(&[features, actions], 1))
    }
}

/// w of the cost wᵀφ under which the policy costs most more than the demonstrations, among those of its norm.
fn worst_cost(of_policy: &Tensor, of_demonstrations: &Tensor) -> Tensor {
    of_policy - of_demonstrations
}

/// φ of a neural cost.
fn features(model: &EnergyModel, inputs: &Tensor) -> Tensor {
    model.features(inputs).expect("`check` wants a neural cost")
}

impl Adversary for Matching {
    const STREAM: &'static str = "forward_model";
    type Evidence = Episodes;

    fn evidence(&self, model: &EnergyModel, samples: &Sampled, k: usize) -> Episodes {
        let all = samples.batch.shallow_clone();
        Episodes {
            next: model.normalizer().apply(&all.next_observations()),
            compared: self.rows.of_rollouts(&all, k),
            all,
        }
    }

    /// E ‖s' − predicted‖² / 2 over rollouts.
    fn loss(&mut self, model: &mut EnergyModel, found: &Episodes, rng: &mut Stream) -> Tensor {
        let steps = found.all.steps() as i64;
        let drawn = with_replacement(steps, self.settings.minibatch, rng);
        let pick = |t: &Tensor| t.index_select(0, &drawn);
        let (s, a) = (pick(&found.all.observations), pick(&found.all.actions));
        let miss = self.predicted(model, &s, &a) - pick(&found.next);
        // The output of c_θ has no loss, as it is set in closed form, but its weights are Adam's, too.
        let idle: Tensor = model
            .parameters()
            .iter()
            .map(|w| w.sum(Kind::Float))
            .sum::<Tensor>()
            * 0.0;
        miss.square().mean(Kind::Float) * 0.5 + idle
    }

    /// c(s) = (ψ_π − ψ_E)ᵀ φ(s) with the features as they are now.
    fn found(&mut self, model: &mut EnergyModel, found: &Episodes) -> (Diagnostics, Spreads) {
        let newest = self.successor_features(model, &found.compared);
        let kept = self.settings.averaging;
        let of_policy = match &self.of_policy {
            Some(before) => before * kept + newest * (1.0 - kept),
            None => newest,
        };
        let gap = worst_cost(
            &of_policy,
            &self.successor_features(model, &self.demonstrations),
        );
        let units = gap.size()[0] - 1;
        let weight = gap.narrow(0, 0, units).to_kind(Kind::Float);
        model.set_output(&weight, gap.double_value(&[units]));
        self.of_policy = Some(of_policy);
        let predicted = self.predicted(model, &found.all.observations, &found.all.actions);
        let variance = |t: &Tensor| t.square().mean(Kind::Double).double_value(&[]);
        let centred = &found.next - found.next.mean_dim([0_i64].as_slice(), true, Kind::Float);
        let unexplained = variance(&(&found.next - predicted)) / variance(&centred).max(1e-12);
        let diagnostics = vec![
            (Metric::FeatureGap, gap.norm().double_value(&[])),
            (Metric::PredictionError, unexplained),
        ];
        (diagnostics, Spreads::new())
    }

    /// c(s).
    fn step_cost(&self, model: &EnergyModel, batch: &TrajectoryBatch) -> Vec<f64> {
        model.step_cost(batch)
    }

    fn save(&self, state: &mut StateDict) {
        state.extend(self.forward.named("forward."));
        let kept = self.of_policy.as_ref();
        state.insert_numbers(
            "successor_features.known",
            &[f64::from(u8::from(kept.is_some()))],
        );
        if let Some(of_policy) = kept {
            state.insert("successor_features", of_policy);
        }
    }

    fn load(&mut self, state: &StateDict, _: &Generator) -> Result<(), StateError> {
        state.copy_all(self.forward.named("forward."))?;
        self.of_policy = match state.scalar("successor_features.known")? {
            0.0 => None,
            _ => Some(state.get("successor_features")?.copy()),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use costate_demos::Dataset;
    use costate_envs::{EnvConfig, Trajectory};
    use rand::RngExt;

    use super::*;
    use crate::nn::to_f64;
    use crate::run::settings;
    use crate::tabular::Process;
    use crate::tabular::soft::visits;

    const STATES: usize = 6;
    const ACTIONS: usize = 3;
    const HORIZON: usize = 8;
    const FEATURES: usize = 4;

    /// A random process with random features of its states.
    struct World {
        process: Process,
        features: Vec<f64>,
    }

    impl World {
        fn random(rng: &mut Stream) -> Self {
            let process = Process::random(STATES, ACTIONS, HORIZON, 2, rng).unwrap();
            let features = (0..STATES * FEATURES).map(|_| rng.random::<f64>() - 0.5);
            Self {
                features: features.collect(),
                process,
            }
        }

        /// ψ of the policy softmax(θ), `[FEATURES]`.
        fn psi(&self, theta: &[f64]) -> Tensor {
            let row: Vec<f64> = (theta.chunks(ACTIONS))
                .flat_map(|own| {
                    let sum: f64 = own.iter().map(|x| x.exp()).sum();
                    own.iter().map(move |x| x - sum.ln())
                })
                .collect();
            let there = visits(&self.process, &vec![row; HORIZON]);
            let mut psi = vec![0.0; FEATURES];
            for (state, own) in there.chunks(ACTIONS).enumerate() {
                let share = own.iter().sum::<f64>() / HORIZON as f64;
                for (i, psi) in psi.iter_mut().enumerate() {
                    *psi += share * self.features[state * FEATURES + i];
                }
            }
            Tensor::from_slice(&psi)
        }
    }

    fn dot(a: &Tensor, b: &Tensor) -> f64 {
        (a * b).sum(Kind::Double).double_value(&[])
    }

    /// Central differences of `f` at θ.
    fn gradient(theta: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let at = |i: usize, by: f64| {
            let mut moved = theta.to_vec();
            moved[i] += by;
            f(&moved)
        };
        (0..theta.len())
            .map(|i| (at(i, STEP) - at(i, -STEP)) / (2.0 * STEP))
            .collect()
    }

    /// In finite processes, where ψ is exact: the policy gradient of the closed-form cost is that of ½‖ψ_π − ψ_E‖², and no
    /// cost of the same norm tells policy and demonstrator further apart.
    /// Seen to fail with the sides of `worst_cost` exchanged.
    #[test]
    fn descending_the_worst_cost_descends_the_gap() {
        let mut rng = stream(0, "test", 0);
        for _ in 0..5 {
            let world = World::random(&mut rng);
            let mut draw = |n: usize| -> Vec<f64> {
                (0..n).map(|_| 2.0 * rng.random::<f64>() - 1.0).collect()
            };
            let (theta, expert) = (draw(STATES * ACTIONS), draw(STATES * ACTIONS));
            let shown = world.psi(&expert);
            let cost = worst_cost(&world.psi(&theta), &shown);
            let of_cost = gradient(&theta, |theta| dot(&cost, &world.psi(theta)));
            let of_gap = gradient(&theta, |theta| {
                let gap = world.psi(theta) - &shown;
                0.5 * dot(&gap, &gap)
            });
            assert!(of_gap.iter().any(|g| g.abs() > 1e-4));
            for (a, b) in of_cost.iter().zip(&of_gap) {
                assert!((a - b).abs() < 1e-8, "{a} {b}");
            }
            let apart = |w: &Tensor| dot(w, &world.psi(&theta)) - dot(w, &shown);
            let largest = apart(&cost);
            assert!(largest > 0.0);
            for _ in 0..50 {
                let other = Tensor::from_slice(&draw(FEATURES));
                let scaled = &other * (dot(&cost, &cost) / dot(&other, &other)).sqrt();
                assert!(apart(&scaled) <= largest + 1e-12);
            }
        }
    }

    fn shown(count: usize) -> Vec<Trajectory> {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
        let dataset = Dataset::open(&data).unwrap();
        let episodes = dataset.episodes().iter().take(count);
        episodes.map(|e| e.trajectory.clone()).collect()
    }

    /// The learner's own cost: rollouts cost more than demonstrations by ‖ψ_π − ψ_E‖² times the horizon, whatever was
    /// demonstrated; and features learn where actions lead.
    /// Seen to fail with the sides of `worst_cost` exchanged, without the constant feature, and without the step's loss.
    #[test]
    fn the_cost_is_the_gap_of_the_features() {
        tch::set_num_threads(1);
        let demonstrations = shown(4);
        // The same, cut short: episodes of other lengths.
        let short = |t: &Trajectory| {
            let (n, o) = (t.len() / 2, t.observation_dim());
            let seen = t.observations()[..(n + 1) * o].to_vec();
            let acted = t.actions()[..n * t.action_dim()].to_vec();
            let end = costate_envs::End::Terminated;
            Trajectory::new(o, t.action_dim(), seen, acted, None, end).unwrap()
        };
        let cut: Vec<Trajectory> = demonstrations.iter().map(short).collect();
        let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
        let horizon = factory.spec().horizon as f64;
        for trajectories in [&demonstrations, &cut] {
            let setup = Setup::new(&factory, trajectories);
            let small = settings::Override {
                key: "trajectories".into(),
                value: "4".into(),
            };
            let own: SfmSettings = settings::resolve_typed("point_mass", &[small]).unwrap();
            let mut sides = Sides::new(&own.adversarial, 0, &setup).unwrap();
            let mut matching = Matching {
                horizon: factory.spec().horizon,
                rows: Rows::new(None),
                forward: own.forward_model(&sides.model, &setup),
                of_policy: None,
                demonstrations: sides.demonstrations.shallow_clone(),
                settings: own,
            };
            let samples = sides.generator.rollouts(0).unwrap();
            let found = matching.evidence(&sides.model, &samples, 0);
            let mut weights = sides.model.parameters();
            weights.extend(matching.forward.parameters());
            let mut optimizer = crate::nn::Adam::new(
                crate::nn::AdamSettings {
                    learning_rate: 3e-3,
                    max_gradient_norm: None,
                },
                weights,
            );
            let mut rng = stream(0, "test", 0);
            let before = crate::nn::no_grad(|| matching.found(&mut sides.model, &found).0[1].1);
            for _ in 0..200 {
                let loss = matching.loss(&mut sides.model, &found, &mut rng);
                optimizer.step(&loss);
            }
            matching.of_policy = None;
            let (diagnostics, _) = crate::nn::no_grad(|| matching.found(&mut sides.model, &found));
            let (gap, unexplained) = (diagnostics[0].1, diagnostics[1].1);
            assert!(unexplained < 0.3 * before, "{unexplained}, was {before}");
            let cost = |batch: &TrajectoryBatch| {
                let steps = Tensor::from_slice(&sides.model.step_cost(batch));
                let sums = to_f64(&batch.sum_over_time(&steps));
                sums.iter().sum::<f64>() / sums.len() as f64 / horizon
            };
            let apart = cost(&samples.batch) - cost(&matching.demonstrations);
            assert!(
                (apart - gap * gap).abs() < 1e-4 * gap * gap,
                "{apart} {gap}"
            );
            // What a step costs whatever its state: by how many more there are.
            let steps = |batch: &TrajectoryBatch| batch.steps() as f64 / batch.len() as f64;
            let more = steps(&samples.batch) - steps(&matching.demonstrations);
            let constant = to_f64(sides.model.parameters().last().unwrap())[0];
            assert!(
                (constant - more / horizon).abs() < 1e-6,
                "{constant} {more}"
            );
        }
    }
}
