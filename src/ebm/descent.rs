//! Samples from noise by one energy: downhill, then warmer, then Langevin dynamics.

use costate_envs::rng::{Stream, stream};
use tch::{Kind, Tensor};

use super::energy::Energy;
use super::hmc::{Leap, slope, transition};
use super::langevin::LangevinSettings;
use super::{normals, row_sums};

/// Most steps downhill.
const MOST_STEPS: usize = 1000;

/// Smallest step relative to the first: chains that would need less stand still.
const LEAST_STEP: f64 = 1e-6;

/// `count` samples, `[count, d]`: from N(0, σ² I) down the energy ([`descend`]), through a temperature that rises linearly from
/// 0 to 1 over `langevin.most_steps`, then at temperature 1 until the mean energy stands still ([`settle`]). `step` is the ε of
/// Langevin dynamics.
pub fn samples(
    energy: &Energy,
    noise: f64,
    count: usize,
    step: f64,
    settings: &LangevinSettings,
    seed: u64,
) -> Tensor {
    let mut rng = stream(seed, "ebm descent", 0);
    let mut points = normals(count, energy.dim(), &mut rng) * noise;
    if count == 0 {
        return points;
    }
    let c = |x: &Tensor| energy.of(x);
    descend(&mut points, &c, 0.5 * step * step);
    for k in 0..settings.most_steps {
        let temperature = (k + 1) as f64 / settings.most_steps as f64;
        let log_density = |x: &Tensor| c(x) * (-1.0 / temperature);
        // With ε√T the drift ½ε²∇c is the same at every temperature.
        let leap = Leap {
            step: step * temperature.sqrt(),
            count: 1,
        };
        transition(&mut points, &log_density, leap, &mut rng);
    }
    settle(&mut points, &c, step, settings, &mut rng);
    points
}

/// Gradient descent x ← x − η ∇c. c is a Lyapunov function of ẋ = −∇c: dc/dt = −|∇c|². A finite step keeps it one if c falls by
/// at least ½η|∇c|² (Armijo's condition; it holds for all η ≤ 1/L), else the chain's own η is halved. A chain stops where
/// |∇c|² ≤ d: at temperature 1 the mean of |∇c|² is that of Δc, which in units of unit covariance is at least d
/// (Cramér and Rao), so further descent would leave the typical set.
fn descend(points: &mut Tensor, energy: &dyn Fn(&Tensor) -> Tensor, step: f64) {
    let size = points.size();
    let log_density = |x: &Tensor| -energy(x);
    let mut steps = Tensor::full([size[0]], step, (Kind::Double, points.device()));
    for _ in 0..MOST_STEPS {
        let here = slope(&log_density, points);
        let steepness = row_sums(&here.gradient.square());
        let going = steepness
            .gt(size[1] as f64)
            .logical_and(&steps.gt(LEAST_STEP * step));
        if going.any().int64_value(&[]) == 0 {
            return;
        }
        let next = &*points + &here.gradient * steps.unsqueeze(1);
        let fall = crate::nn::no_grad(|| log_density(&next)) - here.value;
        let enough = fall.ge_tensor(&(&steps * &steepness * 0.5));
        let moves = going.logical_and(&enough);
        *points = next.where_self(&moves.unsqueeze(1), points);
        let halved = &steps * 0.5;
        steps = halved.where_self(&going.logical_and(&enough.logical_not()), &steps);
    }
}

/// Metropolis-adjusted Langevin dynamics at temperature 1 until the mean energy changes by less than its standard error over
/// `least_steps`, which descents and warming reach from both sides; `most_steps` at most.
fn settle(
    points: &mut Tensor,
    energy: &dyn Fn(&Tensor) -> Tensor,
    step: f64,
    settings: &LangevinSettings,
    rng: &mut Stream,
) {
    let log_density = |x: &Tensor| -energy(x);
    let mean = |x: &Tensor| {
        let c = crate::nn::no_grad(|| energy(x));
        let error = (c.var(true) / c.size()[0] as f64).sqrt();
        [c.mean(Kind::Double), error].map(|t| t.double_value(&[]))
    };
    let [mut before, _] = mean(points);
    for k in 0..settings.most_steps {
        transition(points, &log_density, Leap { step, count: 1 }, rng);
        if (k + 1) % settings.least_steps == 0 {
            let [now, error] = mean(points);
            if (before - now).abs() < error {
                return;
            }
            before = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebm::energy::{Base, Form};
    use crate::ebm::{Method, Settings};

    /// ½|x/s|² with s = (0.5, 1.5).
    fn bowl(x: &Tensor) -> Tensor {
        row_sums(&(x / Tensor::from_slice(&[0.5, 1.5])).square()) * 0.5
    }

    #[test]
    fn a_descent_never_climbs_and_stops_at_the_typical_set() {
        // A step of 3 is far beyond 2/L = 0.5: it is halved until it descends.
        for first in [0.05, 3.0] {
            let start = normals(200, 2, &mut stream(0, "start", 0)) * 4.0;
            let mut points = start.shallow_clone();
            descend(&mut points, &bowl, first);
            let rise = (bowl(&points) - bowl(&start)).max().double_value(&[]);
            let steepness = row_sums(&slope(&bowl, &points).gradient.square());
            assert!(rise <= 0.0, "{first}: {rise}");
            assert!(
                steepness.max().double_value(&[]) <= 2.0,
                "{first}: {steepness}"
            );
        }
    }

    #[test]
    fn samples_of_an_untrained_energy_are_its_gaussian() {
        let energy = Energy::new(
            Base::Gaussian,
            3,
            Form::Residual,
            &[4],
            &mut stream(0, "energy", 0),
        );
        let settings = Settings::of(Method::EnergyMatching).unwrap().langevin;
        let drawn = samples(&energy, 2.0, 4000, 0.9, &settings, 5);
        let variance = drawn.var(true).double_value(&[]);
        let mean = drawn.mean(Kind::Double).double_value(&[]);
        assert!(
            mean.abs() < 0.05 && (variance - 1.0).abs() < 0.06,
            "{mean} {variance}"
        );
        let again = samples(&energy, 2.0, 4000, 0.9, &settings, 5);
        assert_eq!(drawn, again);
        assert_eq!(samples(&energy, 2.0, 0, 0.9, &settings, 5).size(), [0, 3]);
    }
}
