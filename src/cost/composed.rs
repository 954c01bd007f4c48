//! Weighted sums of frozen learned and hand-written costs: c(s, a) = Σ_i w_i c_i(s, a).
//!
//! A sum of energies is a product of experts (Hinton 2002): p ∝ Π_i p_i^{w_i}. A learned cost
//! that sees channels of one world works in every other with channels of the same names and units.

use costate_envs::spec::{EnvSpec, Space};
use tch::Tensor;

use super::{Dims, EnergyModel, StepCost};
use crate::batch::TrajectoryBatch;
use crate::error::Error;
use crate::expression::Formula;
use crate::nn;

/// A learned cost, mapped to a world.
#[derive(Debug)]
pub struct Placed {
    model: EnergyModel,
    /// Index of each of the cost's channels in this world; `None` for a channel that it ignores.
    observations: Vec<Option<i64>>,
    actions: Vec<Option<i64>>,
    home: bool,
}

impl Placed {
    /// Maps `model`, whose world had the channels of `own`, to the world of `spec`, by name and unit.
    ///
    /// In another world the soft value V, learned under other dynamics, is dropped. Errors: a channel
    /// that the cost uses and the world lacks.
    pub fn new(model: EnergyModel, own: &EnvSpec, spec: &EnvSpec) -> Result<Self, Error> {
        let home = own.observation == spec.observation
            && own.action == spec.action
            && own.name == spec.name;
        let sees = model.sees(&own.observation);
        let observations = located(&own.observation, &spec.observation, &sees, own, spec)?;
        let acts = vec![model.sees_actions(); own.action.dim()];
        let actions = located(&own.action, &spec.action, &acts, own, spec)?;
        let model = match home {
            true => model,
            false => model.without_value(),
        };
        Ok(Self {
            model,
            observations,
            actions,
            home,
        })
    }

    /// c shaped by V at home, c alone elsewhere, of every step, `[S]`.
    fn shaped_cost(&self, batch: &TrajectoryBatch) -> Vec<f64> {
        match self.home {
            true => self.model.shaped_cost(batch),
            false => self.cost(&batch.observations, &batch.actions),
        }
    }

    /// c of rows of this world, `[N]`.
    fn cost(&self, observations: &Tensor, actions: &Tensor) -> Vec<f64> {
        let s = select(observations, &self.observations);
        let a = select(actions, &self.actions);
        nn::no_grad(|| nn::to_f64(&self.model.cost(&s, &a)))
    }
}

/// Index in `there` of each channel of `own`; `None` for ignored channels.
fn located(
    own: &Space,
    there: &Space,
    looked_at: &[bool],
    from: &EnvSpec,
    to: &EnvSpec,
) -> Result<Vec<Option<i64>>, Error> {
    let place = |(channel, looked_at): (&costate_envs::spec::Channel, &bool)| {
        if !looked_at {
            return Ok(None);
        }
        let Some(i) = there.position(&channel.name) else {
            return Err(Error::Misuse(format!(
                "the cost of {} uses `{}`, which {} does not have (it has {}); learn it with cost.channels set to \
                 what both worlds have, and cost.state_only=true with cost.action_penalty=0 if their actions differ",
                from.name,
                channel.name,
                to.name,
                there.listed()
            )));
        };
        let unit = &there.0[i].unit;
        if *unit != channel.unit {
            return Err(Error::Misuse(format!(
                "the cost of {} uses `{}` in {}, but in {} its unit is {unit}",
                from.name, channel.name, channel.unit, to.name
            )));
        }
        Ok(Some(i as i64))
    };
    own.0.iter().zip(looked_at).map(place).collect()
}

/// The columns in the cost's own order; zeros for those that it ignores.
fn select(rows: &Tensor, columns: &[Option<i64>]) -> Tensor {
    let nothing = rows.select(1, 0).zeros_like();
    let column = |c: &Option<i64>| c.map_or_else(|| nothing.shallow_clone(), |c| rows.select(1, c));
    Tensor::stack(&columns.iter().map(column).collect::<Vec<_>>(), 1)
}

/// A summand.
#[derive(Debug)]
pub enum Part {
    /// A learned cost, nats.
    Learned(Box<Placed>),
    /// A formula of the channels.
    Written(Box<Formula>),
    /// The world's own cost, visible only to experts and tests of costs.
    True,
}

/// w_i c_i.
#[derive(Debug)]
pub struct WeightedCost {
    /// w_i.
    pub weight: f64,
    /// c_i.
    pub part: Part,
}

/// Σ_i w_i c_i(s, a).
#[derive(Debug)]
pub struct ComposedCost {
    terms: Vec<WeightedCost>,
}

impl ComposedCost {
    /// A sum. Errors: no term with a nonzero weight, a weight that is not finite.
    pub fn new(terms: Vec<WeightedCost>) -> Result<Self, Error> {
        if let Some(term) = terms.iter().find(|t| !t.weight.is_finite()) {
            return Err(Error::Misuse(format!(
                "--cost: a weight is {}, expected a finite number",
                term.weight
            )));
        }
        if terms.iter().all(|t| t.weight == 0.0) {
            return Err(Error::Misuse(
                "--cost: no term has a weight other than 0, so there is nothing to minimise".into(),
            ));
        }
        Ok(Self { terms })
    }

    /// The world's own cost.
    pub fn truth() -> Self {
        Self {
            terms: vec![WeightedCost {
                weight: 1.0,
                part: Part::True,
            }],
        }
    }

    /// Whether it includes the world's own cost.
    pub fn knows_truth(&self) -> bool {
        self.counting().any(|t| matches!(t.part, Part::True))
    }

    /// Whether no term depends on actions, which then may exceed their limits at no cost.
    pub fn overlooks_actions(&self) -> bool {
        !self.counting().any(|t| match &t.part {
            Part::Learned(placed) => placed.model.sees_actions(),
            Part::Written(formula) => formula.sees_actions(),
            Part::True => true,
        })
    }

    /// Terms with nonzero weights.
    fn counting(&self) -> impl Iterator<Item = &WeightedCost> {
        self.terms.iter().filter(|t| t.weight != 0.0)
    }

    /// Σ_i w_i c_i of every step, learned costs at home shaped by their soft values, `[S]`; `truth` are the world's
    /// own costs, `[S]`.
    pub fn shaped_cost(&self, batch: &TrajectoryBatch, truth: &[f64]) -> Vec<f64> {
        self.sum(truth.len(), |part| match part {
            Part::Learned(placed) => placed.shaped_cost(batch),
            Part::True => truth.to_vec(),
            Part::Written(formula) => {
                let dims = Dims {
                    observation: batch.observations.size()[1] as usize,
                    action: batch.actions.size()[1] as usize,
                };
                let (s, a) = (nn::to_f32(&batch.observations), nn::to_f32(&batch.actions));
                formula.costs(&s, &a, dims)
            }
        })
    }

    fn sum(&self, count: usize, of: impl Fn(&Part) -> Vec<f64>) -> Vec<f64> {
        let mut total = vec![0.0; count];
        for term in self.counting() {
            let costs = of(&term.part);
            for (sum, c) in total.iter_mut().zip(costs) {
                *sum += term.weight * c;
            }
        }
        total
    }
}

/// Without the world's own cost, which is not available as a function of (s, a).
impl StepCost for ComposedCost {
    fn costs(&self, observations: &[f32], actions: &[f32], dims: Dims) -> Vec<f64> {
        let count = observations.len() / dims.observation;
        self.sum(count, |part| match part {
            Part::Learned(placed) => placed.cost(
                &nn::matrix(observations, dims.observation),
                &nn::matrix(actions, dims.action),
            ),
            Part::Written(formula) => formula.costs(observations, actions, dims),
            Part::True => vec![0.0; count],
        })
    }

    fn describe(&self) -> String {
        match self.terms.len() {
            1 => "cost of one term".into(),
            n => format!("sum of {n} costs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{CostForm, CostSettings};
    use crate::policy::{ActionScale, Normalizer};
    use costate_envs::EnvConfig;
    use costate_envs::rng::stream;

    fn spec(env: &str) -> EnvSpec {
        let factory = EnvConfig::named(env).unwrap().factory().unwrap();
        factory.spec().clone()
    }

    /// A cost of `env` that sees only the channels `names` of the state.
    fn learned(env: &str, names: &[&str]) -> EnergyModel {
        penalised(env, names, 0.0)
    }

    /// The same plus w ‖u‖².
    fn penalised(env: &str, names: &[&str], action_penalty: f64) -> EnergyModel {
        let spec = spec(env);
        let settings = CostSettings {
            form: CostForm::Neural,
            hidden: vec![8],
            start_value: true,
            action_penalty,
            bound: 0.0,
            state_only: !names.is_empty(),
            channels: names.iter().map(|n| (*n).into()).collect(),
        };
        let seen: Vec<i64> = names
            .iter()
            .map(|n| spec.observation.position(n).unwrap() as i64)
            .collect();
        let normalizer = Normalizer::identity(spec.observation.dim());
        let scale = ActionScale::of(&spec);
        let mut rng = stream(0, "weights", 0);
        EnergyModel::new(env, &settings, &seen, normalizer, scale, &mut rng)
    }

    fn place(env: &str, names: &[&str], to: &str) -> Result<Placed, Error> {
        Placed::new(learned(env, names), &spec(env), &spec(to))
    }

    #[test]
    fn a_cost_finds_its_channels_in_another_world() {
        // position_x and velocity_x have other indices in lunar_lander.
        let names = ["position_x", "velocity_x"];
        let placed = place("point_mass", &names, "lunar_lander").unwrap();
        let own = learned("point_mass", &names);
        let landing = [0.4_f32, 9.0, -0.3, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0];
        let dims = Dims {
            observation: 9,
            action: 2,
        };
        let sum = ComposedCost::new(vec![
            WeightedCost {
                weight: 2.0,
                part: Part::Learned(Box::new(placed)),
            },
            WeightedCost {
                weight: -0.5,
                part: Part::Written(Box::new(
                    Formula::parse("height + main", &spec("lunar_lander"), true).unwrap(),
                )),
            },
        ])
        .unwrap();
        let got = sum.costs(&landing, &[4.0, 0.0], dims)[0];
        let there = Dims {
            observation: 4,
            action: 2,
        };
        let home = own.costs(&[0.4, 7.0, -0.3, 7.0], &[5.0, 5.0], there)[0];
        assert!(
            (got - (2.0 * home - 0.5 * 13.0)).abs() < 1e-6,
            "{got} {home}"
        );
    }

    #[test]
    fn a_penalty_on_actions_goes_along() {
        let names = ["position_x", "velocity_x"];
        let own = spec("point_mass");
        let dims = Dims {
            observation: 4,
            action: 2,
        };
        for to in ["point_mass", "point_maze"] {
            let model = penalised("point_mass", &names, 2.0);
            let placed = Placed::new(model, &own, &spec(to)).unwrap();
            let sum = ComposedCost::new(vec![WeightedCost {
                weight: 1.0,
                part: Part::Learned(Box::new(placed)),
            }])
            .unwrap();
            let at = |push: &[f32]| sum.costs(&[0.4, 0.0, -0.3, 0.0], push, dims)[0];
            // 2 · (0.5² + 1²)
            let effort = at(&[0.5, -1.0]) - at(&[0.0, 0.0]);
            assert!((effort - 2.5).abs() < 1e-5, "{to}: {effort}");
        }
        let model = penalised("point_mass", &names, 2.0);
        let error = Placed::new(model, &own, &spec("lunar_lander")).unwrap_err();
        assert!(error.to_string().contains("`push_x`"), "{error}");
    }

    #[test]
    fn what_another_world_lacks_is_named() {
        let error = place("point_mass", &[], "cart_pole").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(
            text.contains("`position_x`, which cart_pole does not have"),
            "{text}"
        );
        // States alone are shared, actions are not.
        let error = place("point_mass", &["position_x"], "reacher").unwrap_err();
        assert!(error.to_string().contains("position_x"));
        let error = Placed::new(
            learned("cart_pole", &[]),
            &spec("cart_pole"),
            &renamed_action("cart_pole"),
        )
        .unwrap_err();
        assert!(error.to_string().contains("`push`"), "{error}");
    }

    fn renamed_action(env: &str) -> EnvSpec {
        let mut spec = spec(env);
        spec.name = "other".into();
        spec.action.0[0].name = "shove".into();
        spec
    }

    #[test]
    fn units_must_agree() {
        let mut other = spec("point_mass");
        other.name = "other".into();
        other.observation.0[0].unit = "mm".into();
        let error = Placed::new(
            learned("point_mass", &["position_x"]),
            &spec("point_mass"),
            &other,
        )
        .unwrap_err();
        assert!(error.to_string().contains("unit is mm"), "{error}");
    }

    #[test]
    fn a_sum_needs_a_term_that_counts() {
        let truth = |weight| {
            ComposedCost::new(vec![WeightedCost {
                weight,
                part: Part::True,
            }])
        };
        assert!(
            truth(0.0)
                .unwrap_err()
                .to_string()
                .contains("nothing to minimise")
        );
        assert!(truth(f64::NAN).is_err());
        assert!(truth(1.0).unwrap().knows_truth());
    }
}
