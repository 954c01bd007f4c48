//! The cost as an energy in a discriminator between demonstrations and fresh samples.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::batch::TrajectoryBatch;
use crate::cost::EnergyModel;
use crate::density::{self, CalibrationBin, Scores};
use crate::discriminator;
use crate::error::Error;
use crate::evaluate::Group;
use crate::learners::rows::Discrimination;
use crate::nn;
use crate::policy::GaussianPolicy;

/// An energy with the density of a policy.
#[derive(Clone, Copy)]
pub struct Discriminator<'a> {
    /// The energy.
    pub model: &'a EnergyModel,
    /// The policy that drew the samples.
    pub policy: &'a GaussianPolicy,
    /// How they are compared.
    pub comparison: Discrimination,
}

/// Discriminator statistics on demonstrations and fresh samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiscriminatorFigures {
    /// Effective sample size of the discriminator's gradient weights, as a share of the batch.
    pub ess: f64,
    /// log Z (its constant part), solved for on demonstrations and fresh samples.
    pub log_z: f64,
    /// Discriminator accuracy on demonstrations and fresh samples; 0.5 is a
    /// perfect imitation.
    pub discriminator_accuracy: f64,
    /// Predicted and observed frequency, in bins of D.
    #[serde(default)]
    pub calibration: Vec<CalibrationBin>,
    /// Mean absolute difference between the two.
    #[serde(default)]
    pub calibration_error: f64,
    /// ln of every fresh sample's importance weight exp(−E)/q over their mean.
    #[serde(default)]
    pub log_weights: Vec<f64>,
}

impl Discriminator<'_> {
    /// Discriminates demonstrations from the policy's episodes.
    pub fn figures(&self, expert: &Group, samples: &Group) -> Result<DiscriminatorFigures, Error> {
        let (p, q) = (self.scores(expert)?, self.scores(samples)?);
        let beta = self.comparison.beta;
        let both = Scores {
            expert: &p,
            policy: &q,
        };
        let log_z = density::solve_log_z(both, beta);
        let mean_weight = density::log_mean_exp(&q);
        let scaled = |s: &[f64]| -> Vec<f64> { s.iter().map(|s| (s - log_z) / beta).collect() };
        let log_weights = q.iter().map(|s| s - mean_weight).collect();
        let (p, q) = (scaled(&p), scaled(&q));
        Ok(DiscriminatorFigures {
            ess: density::gradient_ess(&p, &q),
            log_z,
            discriminator_accuracy: discriminator::accuracy(
                &Tensor::from_slice(&p),
                &Tensor::from_slice(&q),
            ),
            calibration: density::calibration(&p, &q),
            calibration_error: density::calibration_error(&p, &q),
            log_weights,
        })
    }

    /// −E − log q of every row.
    fn scores(&self, group: &Group) -> Result<Vec<f64>, Error> {
        let Self { model, policy, .. } = self;
        let batch = TrajectoryBatch::new(group.episodes.iter().map(|e| &e.trajectory))
            .ok_or_else(|| Error::Misuse("evaluation needs at least one episode".into()))?;
        Ok(nn::no_grad(|| {
            let log_density = policy.log_density(&batch.observations, &batch.actions);
            let rows = batch.windows(self.comparison.window);
            let log_q = rows.sum_over_time(&log_density);
            nn::to_f64(&(-model.energy(&rows) - model.start_value(&rows) - log_q))
        }))
    }
}
