//! Sampling from a density defined by an energy: p(a) ∝ exp(−E(a)) on the box [−1, 1]^d.
//!
//! Florence et al. 2021 (arXiv 2109.00137), algorithm 1: candidates, uniform at first, are resampled by their
//! energies and moved by noise that shrinks from round to round. There every round multiplies by p once more (p, p²,
//! p³, …), which favours the highest mode; here the candidates follow p^λ with λ from 0 to 1, and moves are accepted
//! after Metropolis, so that what comes out are draws of p itself, with the right share for each of its modes (a
//! sequential Monte Carlo sampler: Del Moral, Doucet and Jasra 2006).

use nalgebra::DMatrix;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rng::Stream;

/// How candidates are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// By Gaussian noise alone.
    DerivativeFree,
    /// Down the energy's slope as well: Langevin dynamics, with Metropolis' correction (Roberts and Tweedie 1996).
    Langevin,
}

/// More than anybody waits for at every step; a file can state any number.
const MOST_CANDIDATES: usize = 1 << 20;
const MOST_ROUNDS: usize = 10_000;

/// Settings of the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// How candidates are moved.
    pub sampler: Sampler,
    /// Candidates of a draw.
    #[schemars(range(min = 1))]
    pub candidates: usize,
    /// Rounds of resampling and moving.
    #[schemars(range(min = 1))]
    pub rounds: usize,
    /// Standard deviation of the first moves, as a share of half the box.
    #[schemars(transform = costate_base::schema::positive)]
    pub step: f32,
    /// Factor by which it shrinks from round to round.
    #[schemars(transform = costate_base::schema::fraction)]
    pub shrink: f32,
}

impl Sampling {
    /// The first invalid field, with the fault.
    pub fn check(&self) -> Result<(), String> {
        let positive = |v: f32| v.is_finite() && v > 0.0;
        if self.candidates == 0 || self.rounds == 0 {
            return Err("candidates and rounds must be at least 1".into());
        }
        if self.candidates > MOST_CANDIDATES || self.rounds > MOST_ROUNDS {
            return Err(format!(
                "candidates are {} and rounds {}, expected at most {MOST_CANDIDATES} and {MOST_ROUNDS}",
                self.candidates, self.rounds
            ));
        }
        if !positive(self.step) || !positive(self.shrink) || self.shrink > 1.0 {
            return Err("step must be positive and shrink in (0, 1]".into());
        }
        Ok(())
    }

    /// λ after round `r`, from 1 on: (r/R)², slow where the uniform candidates are far from p.
    fn power(&self, r: usize) -> f64 {
        (r as f64 / self.rounds as f64).powi(2)
    }
}

/// A batched energy.
pub trait Energy {
    /// E of every column of `places`, `[d, N]`, into `out`, `[N]`.
    fn energies(&mut self, places: &DMatrix<f32>, out: &mut [f32]);

    /// Writes ∂E/∂a of every column of the last [`Energy::energies`], `[d, N]`.
    fn slopes(&mut self, out: &mut DMatrix<f32>);
}

/// Candidates with their energies and gradients.
#[derive(Debug, Clone)]
struct Swarm {
    /// `[d, N]`.
    places: DMatrix<f32>,
    /// E, `[N]`.
    energies: Vec<f32>,
    /// ∂E/∂a, `[d, N]`; unchanged if not requested.
    slopes: DMatrix<f32>,
}

impl Swarm {
    fn new(dim: usize, count: usize) -> Self {
        Self {
            places: DMatrix::zeros(dim, count),
            energies: vec![0.0; count],
            slopes: DMatrix::zeros(dim, count),
        }
    }

    fn evaluate(&mut self, energy: &mut impl Energy, sampler: Sampler) {
        energy.energies(&self.places, &mut self.energies);
        if sampler == Sampler::Langevin {
            energy.slopes(&mut self.slopes);
        }
    }

    /// Takes candidate `from` of `other` as its own candidate `to`.
    fn take(&mut self, to: usize, other: &Self, from: usize) {
        self.places.set_column(to, &other.places.column(from));
        self.energies[to] = other.energies[from];
        self.slopes.set_column(to, &other.slopes.column(from));
    }
}

/// Work space of [`Candidates::refine`], and its result: draws of p, all alike.
#[derive(Debug, Clone)]
pub struct Candidates {
    now: Swarm,
    next: Swarm,
    weights: Vec<f64>,
}

impl Candidates {
    /// Work space for `count` candidates in `dim` dimensions.
    pub fn new(dim: usize, count: usize) -> Self {
        Self {
            now: Swarm::new(dim, count),
            next: Swarm::new(dim, count),
            weights: vec![0.0; count],
        }
    }

    /// From uniform candidates to draws of p ∝ exp(−E).
    pub fn refine(&mut self, energy: &mut impl Energy, sampling: &Sampling, noise: &mut Stream) {
        let uniform = |place: &mut f32| *place = noise.random_range(-1.0..=1.0_f32);
        self.now.places.iter_mut().for_each(uniform);
        self.now.evaluate(energy, sampling.sampler);
        let mut std = sampling.step;
        for r in 1..=sampling.rounds {
            self.resample(sampling.power(r) - sampling.power(r - 1), noise);
            self.make_moves(energy, sampling, sampling.power(r) as f32, std, noise);
            std *= sampling.shrink;
        }
    }

    /// A draw, `[d]`: any of the candidates.
    pub fn draw(&self, noise: &mut Stream) -> &[f32] {
        self.place(noise.random_range(0..self.now.energies.len()))
    }

    /// The candidate of lowest energy, `[d]`.
    pub fn least(&self) -> &[f32] {
        let energies = self.now.energies.iter().enumerate();
        let least = energies.min_by(|(_, a), (_, b)| a.total_cmp(b));
        self.place(least.map_or(0, |(i, _)| i))
    }

    fn place(&self, i: usize) -> &[f32] {
        let dim = self.now.places.nrows();
        &self.now.places.as_slice()[i * dim..(i + 1) * dim]
    }

    /// From draws of p^λ to draws of p^(λ + `power`), by weights exp(−`power` E): systematic resampling (Kitagawa
    /// 1996), which keeps every candidate ⌊N w⌋ or ⌈N w⌉ times.
    fn resample(&mut self, power: f64, noise: &mut Stream) {
        let count = self.weights.len();
        let least = self.now.energies.iter().copied().fold(f32::MAX, f32::min);
        let mut total = 0.0;
        for (weight, energy) in self.weights.iter_mut().zip(&self.now.energies) {
            total += (-power * f64::from(energy - least)).exp();
            *weight = total;
        }
        let offset: f64 = noise.random();
        let mut from = 0;
        for to in 0..count {
            let mark = (to as f64 + offset) / count as f64 * total;
            while from + 1 < count && self.weights[from] <= mark {
                from += 1;
            }
            self.next.take(to, &self.now, from);
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }

    /// One Metropolis step of every candidate within the box, under p^`power`.
    fn make_moves(
        &mut self,
        energy: &mut impl Energy,
        sampling: &Sampling,
        power: f32,
        std: f32,
        noise: &mut Stream,
    ) {
        // Half a squared step down the slope of λE; none without slopes.
        let pull = match sampling.sampler {
            Sampler::Langevin => 0.5 * std * std * power,
            Sampler::DerivativeFree => 0.0,
        };
        let (now, next) = (&mut self.now, &mut self.next);
        let there = now.places.iter().zip(now.slopes.iter());
        for (to, (place, slope)) in next.places.iter_mut().zip(there) {
            let z: f32 = StandardNormal.sample(noise);
            *to = place - pull * slope + std * z;
        }
        next.evaluate(energy, sampling.sampler);
        for i in 0..now.energies.len() {
            // −log of the proposal's density, from one place with its slope to another.
            let way = |from: &Swarm, to: &Swarm| -> f32 {
                let steps = to.places.column(i) - from.places.column(i);
                (steps + from.slopes.column(i) * pull).norm_squared() / (2.0 * std * std)
            };
            let odds =
                power * (now.energies[i] - next.energies[i]) + way(now, next) - way(next, now);
            let inside = next.places.column(i).iter().all(|v| v.abs() <= 1.0);
            // The draw comes first: its number must not depend on the energy.
            let u: f32 = noise.random();
            if inside && u.ln() < odds {
                now.take(i, next, i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    /// −log of a mixture of two Gaussians in the plane, the first coordinate's means at ±0.5.
    struct TwoModes {
        share_left: f32,
        std: f32,
        places: DMatrix<f32>,
    }

    impl TwoModes {
        fn parts(&self, a: &[f32]) -> [f32; 2] {
            let of = |mean: f32, share: f32| {
                let d2 = (a[0] - mean).powi(2) + a[1].powi(2);
                share * (-d2 / (2.0 * self.std * self.std)).exp()
            };
            [of(-0.5, self.share_left), of(0.5, 1.0 - self.share_left)]
        }
    }

    impl Energy for TwoModes {
        fn energies(&mut self, places: &DMatrix<f32>, out: &mut [f32]) {
            self.places = places.clone();
            for (e, place) in out.iter_mut().zip(places.column_iter()) {
                *e = -self
                    .parts(&[place[0], place[1]])
                    .iter()
                    .sum::<f32>()
                    .max(1e-30)
                    .ln();
            }
        }

        fn slopes(&mut self, out: &mut DMatrix<f32>) {
            for (mut slope, a) in out.column_iter_mut().zip(self.places.column_iter()) {
                let [left, right] = self.parts(&[a[0], a[1]]);
                let total = (left + right).max(1e-30);
                let pull = (left * (a[0] + 0.5) + right * (a[0] - 0.5)) / total;
                slope[0] = pull / self.std.powi(2);
                slope[1] = a[1] / self.std.powi(2);
            }
        }
    }

    /// Share of the left mode, and mean square of the distances to the modes' centres, over all draws.
    fn moments(sampling: &Sampling, share_left: f32, std: f32, draws: u64) -> [f64; 2] {
        let mut energy = TwoModes {
            share_left,
            std,
            places: DMatrix::zeros(2, 1),
        };
        let mut candidates = Candidates::new(2, sampling.candidates);
        let (mut left, mut square) = (0.0, 0.0);
        for i in 0..draws {
            let mut noise = stream(7, "test", i);
            candidates.refine(&mut energy, sampling, &mut noise);
            let a = candidates.draw(&mut noise);
            let a = [a[0], a[1]].map(f64::from);
            left += f64::from(u8::from(a[0] < 0.0));
            square += (a[0].abs() - 0.5).powi(2) + a[1].powi(2);
        }
        [left / draws as f64, square / draws as f64]
    }

    #[test]
    fn draws_have_the_moments_of_the_density() {
        for sampler in [Sampler::DerivativeFree, Sampler::Langevin] {
            let sampling = Sampling {
                sampler,
                candidates: 128,
                rounds: 6,
                step: 0.3,
                shrink: 0.6,
            };
            let (std, draws) = (0.1_f32, 3000);
            let [left, square] = moments(&sampling, 0.3, std, draws);
            // Standard errors: √(0.3 · 0.7 / n) and 2σ² / √n, times 4.
            let n = draws as f64;
            let variance = 2.0 * f64::from(std).powi(2);
            assert!(
                (left - 0.3).abs() < 4.0 * (0.21 / n).sqrt(),
                "{sampler:?}: {left}"
            );
            let error = (square / variance - 1.0).abs();
            assert!(
                error < 4.0 / n.sqrt(),
                "{sampler:?}: {square}, exactly {variance}"
            );
        }
    }

    #[test]
    fn the_least_candidate_lies_at_the_higher_peak() {
        let mut energy = TwoModes {
            share_left: 0.2,
            std: 0.1,
            places: DMatrix::zeros(2, 1),
        };
        let sampling = Sampling {
            sampler: Sampler::DerivativeFree,
            candidates: 256,
            rounds: 6,
            step: 0.3,
            shrink: 0.5,
        };
        let mut candidates = Candidates::new(2, 256);
        let mut noise = stream(1, "test", 0);
        candidates.refine(&mut energy, &sampling, &mut noise);
        let a = candidates.least();
        assert!((a[0] - 0.5).hypot(a[1]) < 0.05, "{a:?}");
    }

    #[test]
    fn senseless_settings_are_refused() {
        let good = Sampling {
            sampler: Sampler::Langevin,
            candidates: 1,
            rounds: 1,
            step: 0.1,
            shrink: 1.0,
        };
        assert!(good.check().is_ok());
        for bad in [
            Sampling {
                candidates: 0,
                ..good
            },
            Sampling { rounds: 0, ..good },
            // A file's; they would fill the memory and never end.
            Sampling {
                candidates: usize::MAX,
                ..good
            },
            Sampling {
                rounds: usize::MAX,
                ..good
            },
            Sampling {
                step: f32::NAN,
                ..good
            },
            Sampling {
                shrink: 1.5,
                ..good
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
