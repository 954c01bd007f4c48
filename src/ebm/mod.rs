//! Energy-based models over plain vectors: p_θ(x) = exp(−c_θ(x)) / Z.
//!
//! The paper's last section (Finn, Christiano, Abbeel and Levine 2016, arXiv 1611.03852): a data point x in place of a
//! trajectory, and a generator whose density can be evaluated. The loss is the trajectories' own
//! ([`crate::discriminator`]), log Z is solved for in the same way ([`crate::density::solve_log_z`]). Langevin
//! dynamics on the energy itself is the other source of negatives; energy matching makes a potential that transports noise
//! to the data into such an energy. All in f64.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `table`, `read` | named columns of numbers, from CSV, Parquet or a dataset; the held-out share |
//! | `whitening` | from the data's units to mean 0 and covariance I, and back |
//! | `known` | densities whose entropy is known |
//! | `mixture`, `flow`, `generator` | Gaussian mixtures and affine-coupling flows: exact density, exact samples |
//! | `clone` | generators by maximum likelihood |
//! | `energy` | c_θ(x) relative to a base density |
//! | `gan`, `langevin` | two ways to train it |
//! | `transport`, `coupling`, `contrast` | the third, energy matching: a potential that transports, with optimal pairs, then maximum likelihood by weighted chains |
//! | `descent` | its samples: down the energy from noise |
//! | `learn` | shared by all: rows, checks, model selection |
//! | `hmc`, `ais` | Hamiltonian transitions; log Z by annealed importance sampling |
//! | `fit`, `model` | from a table to a model in the data's units; its file |
//! | `held_out` | log-likelihoods and KL divergences on held-out rows |
//! | `landscape` | free energy over two columns |
//! | `report` | results of fits and scores |
//!
//! This module is the only entry point.

mod ais;
mod clone;
mod contrast;
mod coupling;
mod descent;
mod energy;
mod fit;
mod flow;
mod gan;
mod generator;
mod held_out;
mod hmc;
mod known;
mod landscape;
mod langevin;
mod learn;
mod mixture;
mod model;
mod read;
mod report;
mod settings;
mod table;
mod transport;
mod whitening;

pub use ais::{AisEstimate, AisSettings};
pub use fit::{Fit, Request, fit};
pub use generator::GeneratorKind;
pub use held_out::{AgainstTruth, LogLikelihood};
pub use known::Known;
pub use landscape::{FreeEnergy, free_energy};
pub use langevin::LangevinSettings;
pub use learn::{Stage, Watch};
pub use model::{Model, Scores};
pub use read::read;
pub use report::{FORMAT, FitReport, GeneratorReport, LandscapeReport, ScoreReport};
pub use settings::{
    BaseKind, FlowSettings, GanSettings, MatchingSettings, Method, MixtureSettings, Settings,
};
pub use table::{Split, Table};

use costate_envs::rng::Stream;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

/// Standard normal numbers, `[rows, columns]`.
fn normals(rows: usize, columns: usize, rng: &mut Stream) -> Tensor {
    let values: Vec<f64> = (0..rows * columns)
        .map(|_| StandardNormal.sample(&mut *rng))
        .collect();
    Tensor::from_slice(&values).view([rows as i64, columns as i64])
}

/// Half width of a 95 % interval in standard errors.
const NORMAL_95: f64 = 1.96;

/// ½ d log 2π: −log N(0; 0, I) in `dim` dimensions.
fn gaussian_constant(dim: usize) -> f64 {
    0.5 * dim as f64 * (2.0 * std::f64::consts::PI).ln()
}

/// log N(x; 0, I) of every row, `[N, d] → [N]`.
fn log_standard_normal(x: &Tensor) -> Tensor {
    row_sums(&x.square()) * -0.5 - gaussian_constant(x.size()[1] as usize)
}

/// Rows evaluated at once: a mixture stores a number per column and component of each.
const CHUNK: usize = 8192;

/// A function `[N, d] → [N]` of all rows, in batches and without gradients.
fn in_chunks(rows: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
    crate::nn::no_grad(|| {
        let parts: Vec<Tensor> = rows.split(CHUNK as i64, 0).iter().map(f).collect();
        Tensor::cat(&parts, 0)
    })
}

/// Its mean over the rows.
fn mean_in_chunks(rows: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> f64 {
    in_chunks(rows, f).mean(Kind::Double).double_value(&[])
}

/// Sums over the columns, `[N, d] → [N]`.
fn row_sums(x: &Tensor) -> Tensor {
    x.sum_dim_intlist([1_i64].as_slice(), false, x.kind())
}
