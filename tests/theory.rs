//! The three statements of Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852, section 3) as
//! property tests in f64, for transitions, windows and trajectories alike: autograd on one side, the
//! formula on the other. Beside them the gradient of guided cost learning (arXiv 1603.00448).
//!
//! Each was seen to fail with the code broken on purpose: a flipped sign of log q in
//! `discriminator::logit`, the sum instead of the mean of one group in `discriminator::loss`, and a
//! mixture without its ½ in `density::log_half_mixture`. `broken_formulas_are_told_apart` keeps the last
//! kind of check running.

use costate::density::{self, Scores, log_half_mixture, log_mean_exp};
use costate::discriminator;
use costate::nn::{Mlp, to_f64};
use costate_envs::rng::{Stream, stream};
use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

/// A finite batch: demonstrations P and samples Q as rows of `steps` feature vectors each, a network for c_θ,
/// and log q. One step a row is a transition (or a plain vector), several are a window or a trajectory.
struct Batch {
    cost: Mlp,
    steps: usize,
    expert: Tensor,
    policy: Tensor,
    log_q_expert: Tensor,
    log_q_policy: Tensor,
}

fn normals(rng: &mut Stream, count: usize, mean: f64, std: f64) -> Vec<f64> {
    (0..count)
        .map(|_| {
            let z: f64 = StandardNormal.sample(rng);
            mean + std * z
        })
        .collect()
}

impl Batch {
    fn random(seed: u64, n_p: usize, n_q: usize, dim: usize, scale: f64) -> Self {
        // Every granularity comes up.
        let steps = [1, 1, 2, 5, 20][(seed % 5) as usize];
        let mut rng = stream(seed, "theory", 0);
        let cost = Mlp::new(&[dim, 8, 1], scale, Kind::Double, &mut rng);
        let mut features = |n: usize, mean: f64| {
            let values = normals(&mut rng, n * steps * dim, mean, 1.0);
            Tensor::from_slice(&values).view([(n * steps) as i64, dim as i64])
        };
        let (expert, policy) = (features(n_p, 0.3), features(n_q, -0.2));
        let log_q_expert = Tensor::from_slice(&normals(&mut rng, n_p, -1.0, 2.0));
        let log_q_policy = Tensor::from_slice(&normals(&mut rng, n_q, 0.5, 2.0));
        Self {
            cost,
            steps,
            expert,
            policy,
            log_q_expert,
            log_q_policy,
        }
    }

    fn energies(&self) -> (Tensor, Tensor) {
        let energy = |x: &Tensor| {
            let per_step = self.cost.forward(x).view([-1, self.steps as i64]);
            per_step.sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)
        };
        (energy(&self.expert), energy(&self.policy))
    }

    /// Energies and log-densities of both groups, expert first, as numbers.
    fn numbers(&self) -> Numbers {
        let (c_p, c_q) = self.energies();
        Numbers {
            energy: [to_f64(&c_p), to_f64(&c_q)],
            log_q: [to_f64(&self.log_q_expert), to_f64(&self.log_q_policy)],
        }
    }

    fn loss(&self, log_z: &Tensor) -> Tensor {
        let (c_p, c_q) = self.energies();
        let expert = discriminator::logit(&c_p, log_z, &self.log_q_expert, 1.0);
        let policy = discriminator::logit(&c_q, log_z, &self.log_q_policy, 1.0);
        discriminator::loss(&expert, &policy)
    }
}

struct Numbers {
    energy: [Vec<f64>; 2],
    log_q: [Vec<f64>; 2],
}

impl Numbers {
    fn log_z(&self) -> f64 {
        let score = |g: usize| -> Vec<f64> {
            self.energy[g]
                .iter()
                .zip(&self.log_q[g])
                .map(|(c, q)| -c - q)
                .collect()
        };
        density::solve_log_z(
            Scores {
                expert: &score(0),
                policy: &score(1),
            },
            1.0,
        )
    }

    /// log of exp(−c)/μ̃ for each group.
    fn log_ratios(&self, log_z: f64) -> [Vec<f64>; 2] {
        [0, 1].map(|g| {
            self.energy[g]
                .iter()
                .zip(&self.log_q[g])
                .map(|(&c, &q)| -c - log_half_mixture(c, log_z, q))
                .collect()
        })
    }
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.max(1.0)
}

/// ∂L_disc/∂θ by autograd at log Z, flattened.
fn discriminator_gradient(batch: &Batch, log_z: f64) -> Vec<f64> {
    let loss = batch.loss(&Tensor::from_slice(&[log_z]));
    flat_gradient(&loss, &batch.cost)
}

fn flat_gradient(loss: &Tensor, cost: &Mlp) -> Vec<f64> {
    Tensor::run_backward(&[loss], &cost.parameters(), false, false)
        .iter()
        .flat_map(to_f64)
        .collect()
}

/// The same, with the graph kept for another loss.
fn flat_gradient_kept(loss: &Tensor, cost: &Mlp) -> Vec<f64> {
    Tensor::run_backward(&[loss], &cost.parameters(), true, false)
        .iter()
        .flat_map(to_f64)
        .collect()
}

/// E_P[∂c] − E_μ[exp(−c)/(Z μ̃) ∂c] with E_μ = `share` E_P + (1 − `share`) E_Q.
fn max_ent_gradient(batch: &Batch, log_z: f64, share: f64) -> Vec<f64> {
    let weights = batch.numbers().log_ratios(log_z);
    let (c_p, c_q) = batch.energies();
    let weight = |g: usize| {
        Tensor::from_slice(
            &weights[g]
                .iter()
                .map(|l| (l - log_z).exp())
                .collect::<Vec<_>>(),
        )
    };
    let mean = |x: Tensor| x.mean(Kind::Double);
    let surrogate = c_p.mean(Kind::Double)
        - mean(weight(0) * &c_p) * share
        - mean(weight(1) * &c_q) * (1.0 - share);
    flat_gradient(&surrogate, &batch.cost)
}

fn distance(a: &[f64], b: &[f64]) -> (f64, f64) {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let size = norm(&mut a.iter().copied());
    (norm(&mut a.iter().zip(b).map(|(x, y)| x - y)), size)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Statement 1: ∂L_disc/∂b = 0 exactly where Z = E_μ[exp(−c)/μ̃].
    #[test]
    fn log_z_is_an_importance_sampling_estimate(
        seed in any::<u64>(), n_p in 1..30_usize, n_q in 1..30_usize, dim in 1..5_usize, scale in 0.1..4.0_f64,
    ) {
        let batch = Batch::random(seed, n_p, n_q, dim, scale);
        let numbers = batch.numbers();
        let log_z = numbers.log_z();
        let b = Tensor::from_slice(&[log_z]).set_requires_grad(true);
        let slope = Tensor::run_backward(&[batch.loss(&b)], &[&b], false, false)[0].double_value(&[0]);
        prop_assert!(slope.abs() < 1e-9, "∂L/∂b = {slope:e}");
        let [p, q] = numbers.log_ratios(log_z);
        let estimate = density::log_add_exp(log_mean_exp(&p), log_mean_exp(&q)) - 2.0_f64.ln();
        prop_assert!(close(estimate, log_z, log_z.abs()), "{estimate} is not {log_z}");
    }

    /// Statement 2: at that Z the discriminator's gradient is the maximum-entropy IRL gradient.
    #[test]
    fn discriminator_gradient_is_the_max_ent_gradient(
        seed in any::<u64>(), n_p in 1..30_usize, n_q in 1..30_usize, dim in 1..5_usize, scale in 0.1..4.0_f64,
    ) {
        let batch = Batch::random(seed, n_p, n_q, dim, scale);
        let log_z = batch.numbers().log_z();
        let (error, size) =
            distance(&discriminator_gradient(&batch, log_z), &max_ent_gradient(&batch, log_z, 0.5));
        prop_assert!(error <= 1e-9 * size.max(1.0), "{error:e} of {size}");
    }

    /// Statement 3: E_Q[log(1 − D) − log D] = log Z + E_Q[c + log q].
    #[test]
    fn generator_loss_is_cost_minus_entropy(
        seed in any::<u64>(), n_q in 1..30_usize, scale in 0.1..4.0_f64, log_z in -20.0..20.0_f64,
    ) {
        let batch = Batch::random(seed, 1, n_q, 3, scale);
        let (_, c) = batch.energies();
        let logit = discriminator::logit(&c, &Tensor::from_slice(&[log_z]), &batch.log_q_policy, 1.0);
        let log_d = logit.log_sigmoid();
        let log_not_d = (-&logit).log_sigmoid();
        let gan = (log_not_d - log_d).mean(Kind::Double).double_value(&[]);
        let soft = log_z + (&c + &batch.log_q_policy).mean(Kind::Double).double_value(&[]);
        prop_assert!(close(gan, soft, soft.abs()), "{gan} is not {soft}");
    }

    /// Guided cost learning: ∂L_IOC = E_P[∂c] − Σ w ∂c with w ∝ exp(−c)/μ over demonstrations and samples, and at
    /// β = 1 its second term is the importance-sampling estimate of log Z.
    #[test]
    fn ioc_gradient_is_the_importance_sampled_one(
        seed in any::<u64>(), n_p in 1..30_usize, n_q in 1..30_usize, dim in 1..5_usize,
        beta in prop::sample::select(vec![1.0, 1.0, 30.0]),
    ) {
        let batch = Batch::random(seed, n_p, n_q, dim, 1.0);
        let (c_p, c_q) = batch.energies();
        let all = Tensor::cat(&[&c_p, &c_q], 0);
        let log_mu = Tensor::cat(&[&batch.log_q_expert, &batch.log_q_policy], 0);
        let found = discriminator::ioc_loss(&c_p, &all, &log_mu, beta);

        let scores: Vec<f64> = to_f64(&all).iter().zip(to_f64(&log_mu)).map(|(c, m)| (-c - m) / beta).collect();
        let log_z = log_mean_exp(&scores) * beta;
        prop_assert!(close(found.log_z.double_value(&[]), log_z, log_z.abs()));
        let weights: Vec<f64> = scores
            .iter()
            .map(|s| (s - log_z / beta).exp() / scores.len() as f64)
            .collect();
        prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let formula = c_p.mean(Kind::Double) - (Tensor::from_slice(&weights) * &all).sum(Kind::Double);
        let formula = flat_gradient_kept(&formula, &batch.cost);
        let (error, size) = distance(&flat_gradient(&found.value, &batch.cost), &formula);
        prop_assert!(error <= 1e-9 * size.max(1.0), "{error:e} of {size}");
    }

    /// Tempering keeps the fixed point: where p_θ = q the gradient of L_disc vanishes for every β.
    #[test]
    fn tempering_keeps_the_fixed_point(seed in any::<u64>(), n in 1..30_usize, beta in 1.0..500.0_f64) {
        // The same trajectories on both sides, with c = −log q + 3, so that log Z = −3.
        let mut rng = stream(seed, "theory", 1);
        let log_q = Tensor::from_slice(&normals(&mut rng, n, -40.0, 9.0));
        let c = (-&log_q + 3.0).set_requires_grad(true);
        let score = vec![-3.0; n];
        let log_z = density::solve_log_z(Scores { expert: &score, policy: &score }, beta);
        prop_assert!((log_z + 3.0).abs() < 1e-9);
        let logit = discriminator::logit(&c, &Tensor::from_slice(&[log_z]), &log_q, beta);
        let loss = discriminator::loss(&logit, &logit);
        let gradient = &Tensor::run_backward(&[loss], &[&c], false, false)[0];
        prop_assert!(gradient.abs().max().double_value(&[]) < 1e-9 / beta);
    }

    /// The stable loss equals the naive one where that can be computed.
    #[test]
    fn loss_matches_the_naive_formula(seed in any::<u64>(), n in 1..20_usize) {
        let mut rng = stream(seed, "theory", 2);
        let (p, q) = (normals(&mut rng, n, 1.0, 3.0), normals(&mut rng, n, -1.0, 3.0));
        let d = |x: f64| 1.0 / (1.0 + (-x).exp());
        let naive = -p.iter().map(|&x| d(x).ln()).sum::<f64>() / n as f64
            - q.iter().map(|&x| (1.0 - d(x)).ln()).sum::<f64>() / n as f64;
        let stable = discriminator::loss(&Tensor::from_slice(&p), &Tensor::from_slice(&q)).double_value(&[]);
        prop_assert!((naive - stable).abs() < 1e-9 * naive.max(1.0));
    }
}

/// The checks above see a wrong Z, a wrong mixture weight and a wrong mixture.
#[test]
fn broken_formulas_are_told_apart() {
    let batch = Batch::random(5, 12, 17, 3, 2.0);
    let numbers = batch.numbers();
    let log_z = numbers.log_z();
    let right = discriminator_gradient(&batch, log_z);
    let differs = |wrong: Vec<f64>| {
        let (error, size) = distance(&right, &wrong);
        error > 1e-3 * size
    };
    assert!(differs(max_ent_gradient(&batch, log_z + 0.1, 0.5)));
    assert!(differs(max_ent_gradient(&batch, log_z, 0.0)));
    assert!(differs(max_ent_gradient(&batch, log_z, 0.6)));
    assert!(differs(discriminator_gradient(&batch, log_z + 0.1)));
}

/// Extreme logits give finite losses and gradients.
#[test]
fn loss_survives_saturation() {
    let x = Tensor::from_slice(&[-1e4, -40.0, 0.0, 17.0, 1e4_f64]).set_requires_grad(true);
    let loss = discriminator::loss(&x, &x);
    assert!(loss.double_value(&[]).is_finite());
    let gradient = to_f64(&Tensor::run_backward(&[loss], &[&x], false, false)[0]);
    assert!(gradient.iter().all(|g| g.is_finite()));
    assert!(
        (gradient[2] - 0.0).abs() < 1e-12,
        "the two groups cancel at 0: {gradient:?}"
    );
}
