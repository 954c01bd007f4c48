//! Hamiltonian transitions of many chains at once (Neal 2011, arXiv 1206.1901, section 5.3.2).

use costate_envs::rng::Stream;
use rand::RngExt;
use tch::{Kind, Tensor};

use super::{normals, row_sums};

/// A log-density up to a constant, `[N, d] → [N]`, differentiable.
pub type LogDensity<'a> = &'a dyn Fn(&Tensor) -> Tensor;

/// Settings of a transition.
#[derive(Debug, Clone, Copy)]
pub struct Leap {
    /// Step size ε.
    pub step: f64,
    /// Leapfrog steps; one is the Metropolis-adjusted Langevin algorithm.
    pub count: usize,
}

/// Values and gradients at some points.
pub struct Slope {
    /// `[N]`.
    pub value: Tensor,
    /// `[N, d]`.
    pub gradient: Tensor,
}

/// Log-densities and their gradients at `points`, which need not require gradients.
pub fn slope(density: LogDensity, points: &Tensor) -> Slope {
    let x = points.detach().set_requires_grad(true);
    let value = density(&x);
    let gradient = Tensor::run_backward(&[value.sum(Kind::Double)], &[&x], false, false).remove(0);
    Slope {
        value: value.detach(),
        gradient,
    }
}

/// Moves every chain by one transition that leaves `density` invariant; returns the acceptance rate.
pub fn transition(points: &mut Tensor, density: LogDensity, leap: Leap, rng: &mut Stream) -> f64 {
    let size = points.size();
    let (n, d) = (size[0] as usize, size[1] as usize);
    let start = slope(density, points);
    let momentum = normals(n, d, rng);
    let mut p = &momentum + &start.gradient * (0.5 * leap.step);
    let mut x = points.shallow_clone();
    let mut end = Slope {
        value: start.value.shallow_clone(),
        gradient: start.gradient,
    };
    for i in 0..leap.count {
        x = &x + &p * leap.step;
        end = slope(density, &x);
        let whole = if i + 1 < leap.count { 1.0 } else { 0.5 };
        p = &p + &end.gradient * (whole * leap.step);
    }
    // H = −log π + ½|p|²; a diverged end is rejected, as comparisons with NaN are false.
    let kinetic = |p: &Tensor| row_sums(&p.square()) * 0.5;
    let gain = end.value - start.value + kinetic(&momentum) - kinetic(&p);
    let dice: Vec<f64> = (0..n).map(|_| rng.random::<f64>().ln()).collect();
    let accepted = gain.gt_tensor(&Tensor::from_slice(&dice));
    *points = x.where_self(&accepted.unsqueeze(1), points);
    accepted
        .to_kind(Kind::Double)
        .mean(Kind::Double)
        .double_value(&[])
}
