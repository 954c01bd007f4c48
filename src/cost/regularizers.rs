//! Penalties added to a learned cost's loss to keep it smooth.

use costate_envs::rng::Stream;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::EnergyModel;
use crate::batch::TrajectoryBatch;
use costate_base::schema::resumable;

/// Points per step of the gradient penalty.
const POINTS: usize = 1024;

/// Weights of the penalties; 0 disables one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Regularizers {
    /// Of E‖∂c/∂x‖² at points between demonstrations and samples: makes a cost trainable for a fresh
    /// policy.
    #[serde(default)]
    #[schemars(range(min = 0.0), transform = resumable)]
    pub gradient_penalty: f64,
    /// Of E[((c_{t+1} − c_t) − (c_t − c_{t−1}))²] over demonstrations and samples: costs change at a constant rate.
    #[serde(default)]
    #[schemars(range(min = 0.0), transform = resumable)]
    pub local_constant_rate: f64,
    /// Of E[max(0, c_t − c_{t−1} − 1)²] over demonstrations: for tasks that only ever progress.
    #[serde(default)]
    #[schemars(range(min = 0.0), transform = resumable)]
    pub monotonic: f64,
}

impl Regularizers {
    /// The weighted sum of the penalties, a scalar; `None` without any.
    pub fn penalty(
        &self,
        model: &EnergyModel,
        demonstrations: &TrajectoryBatch,
        samples: &TrajectoryBatch,
        rng: &mut Stream,
    ) -> Option<Tensor> {
        let mut terms = Vec::new();
        if self.gradient_penalty > 0.0 {
            let penalty = gradient_penalty(model, demonstrations, samples, rng);
            terms.push(penalty * self.gradient_penalty);
        }
        if self.local_constant_rate > 0.0 || self.monotonic > 0.0 {
            // c_θ alone: action noise does not count through the penalty on actions or π_0.
            let costs = |batch: &TrajectoryBatch| {
                model.cost_of(&model.inputs(&batch.observations, &batch.actions))
            };
            let shown = costs(demonstrations);
            if self.local_constant_rate > 0.0 {
                let both = local_constant_rate(&shown, &demonstrations.lengths)
                    + local_constant_rate(&costs(samples), &samples.lengths);
                terms.push(both * (0.5 * self.local_constant_rate));
            }
            if self.monotonic > 0.0 {
                terms.push(monotonic(&shown, &demonstrations.lengths) * self.monotonic);
            }
        }
        terms.into_iter().reduce(|a, b| a + b)
    }
}

/// E‖∂c/∂x‖² at x = u x_P + (1 − u) x_Q, u uniform, x a demonstration's and a sample's normalised
/// (s, a): the zero-centred penalty of Mescheder, Geiger and Nowozin 2018 at the points of Gulrajani
/// et al. 2017.
pub fn gradient_penalty(
    model: &EnergyModel,
    demonstrations: &TrajectoryBatch,
    samples: &TrajectoryBatch,
    rng: &mut Stream,
) -> Tensor {
    let mut draw = |batch: &TrajectoryBatch| {
        let steps = batch.steps() as i64;
        let rows: Vec<i64> = (0..POINTS).map(|_| rng.random_range(0..steps)).collect();
        let pick = |t: &Tensor| t.index_select(0, &Tensor::from_slice(&rows));
        model.inputs(&pick(&batch.observations), &pick(&batch.actions))
    };
    let (p, q) = (draw(demonstrations), draw(samples));
    let u: Vec<f32> = (0..POINTS).map(|_| rng.random()).collect();
    let u = Tensor::from_slice(&u).unsqueeze(1);
    let between: Tensor = &u * &p + (1.0 - &u) * &q;
    if let Some(penalty) = model.squared_slope(&between) {
        return penalty;
    }
    let x = between.detach().set_requires_grad(true);
    let total = model.cost_of(&x).sum(Kind::Float);
    // With a graph: the penalty itself is differentiated.
    let gradient = &Tensor::run_backward(&[total], &[&x], true, true)[0];
    (gradient * gradient)
        .sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)
        .mean(Kind::Double)
}

/// E[((c_{t+1} − c_t) − (c_t − c_{t−1}))²] within trajectories of the given lengths (Finn, Levine and
/// Abbeel 2016, arXiv 1603.00448, section 5).
pub fn local_constant_rate(costs: &Tensor, lengths: &[usize]) -> Tensor {
    let at = |offset: i64| pick(costs, lengths, 2, offset);
    let second_difference: Tensor = at(2) - at(1) * 2.0 + at(0);
    second_difference.square().mean(Kind::Double)
}

/// E[max(0, c_t − c_{t−1} − 1)²] within trajectories of the given lengths (the same, section 5).
pub fn monotonic(costs: &Tensor, lengths: &[usize]) -> Tensor {
    let rise = pick(costs, lengths, 1, 1) - pick(costs, lengths, 1, 0);
    (rise - 1.0).clamp_min(0.0).square().mean(Kind::Double)
}

/// c_{t + offset} for every t that has `reach` successors in its trajectory.
fn pick(costs: &Tensor, lengths: &[usize], reach: usize, offset: i64) -> Tensor {
    let mut rows = Vec::new();
    let mut from = 0;
    for &len in lengths {
        rows.extend((from..from + len.saturating_sub(reach)).map(|t| t as i64 + offset));
        from += len;
    }
    costs.index_select(0, &Tensor::from_slice(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{CostForm, CostSettings};
    use crate::nn;
    use crate::policy::{ActionScale, Normalizer};
    use costate_envs::rng::stream;
    use costate_envs::{End, Trajectory};

    #[test]
    fn differences_stay_within_trajectories() {
        // c = t² in the first, 3t in the second; the jump between them must not count.
        let costs = Tensor::from_slice(&[0.0, 1.0, 4.0, 9.0, 100.0, 103.0, 106.0]);
        let rate = local_constant_rate(&costs, &[4, 3]);
        // Second differences: 2, 2 and 0.
        assert!((rate.double_value(&[]) - 8.0 / 3.0).abs() < 1e-12);
        // Rises: 1, 3, 5, 3, 3.
        let rises = monotonic(&costs, &[4, 3]);
        assert!((rises.double_value(&[]) - (0.0 + 4.0 + 16.0 + 4.0 + 4.0) / 5.0).abs() < 1e-12);
    }

    #[test]
    fn the_penalty_of_a_linear_cost_is_its_squared_slope_and_can_be_descended() {
        let settings = CostSettings {
            form: CostForm::Quadratic,
            hidden: vec![],
            start_value: false,
            state_only: false,
            channels: vec![],
            action_penalty: 0.0,
            bound: 0.0,
        };
        let scale = ActionScale {
            centre: vec![0.0],
            half_range: vec![1.0],
        };
        let mut rng = stream(0, "test", 0);
        let model = EnergyModel::new(
            "x",
            &settings,
            &[],
            Normalizer::identity(1),
            scale,
            &mut rng,
        );
        let weights = model.parameters();
        let linear = weights.iter().find(|w| w.size() == [2]).unwrap();
        nn::no_grad(|| {
            linear
                .shallow_clone()
                .copy_(&Tensor::from_slice(&[3.0_f32, -4.0]))
        });
        let trajectory = Trajectory::new(1, 1, vec![0.1, 0.2], vec![0.3], None, End::Truncated);
        let batch = TrajectoryBatch::new(&[trajectory.unwrap()]).unwrap();
        let penalty = gradient_penalty(&model, &batch, &batch, &mut rng);
        assert!((penalty.double_value(&[]) - 25.0).abs() < 1e-4);
        // d‖w‖²/dw = 2w.
        let gradient = Tensor::run_backward(&[penalty], &[linear], false, false);
        assert!(
            nn::to_f64(&gradient[0])
                .iter()
                .zip([6.0, -8.0])
                .all(|(a, b)| (a - b).abs() < 1e-3)
        );
    }
}
