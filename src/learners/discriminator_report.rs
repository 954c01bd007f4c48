//! What an adversarial learner reports of its discriminator.

use tch::Tensor;

use crate::density;
use crate::discriminator;
use crate::metric::{Diagnostics, Metric, Spread, Spreads};
use crate::nn;

/// The logits of demonstrations and samples, for a look at their distributions.
pub fn logits(expert: &Tensor, policy: &Tensor) -> Spreads {
    vec![
        (Spread::DemonstrationLogit, nn::to_f64(expert)),
        (Spread::RolloutLogit, nn::to_f64(policy)),
    ]
}

/// The state of the discriminator after its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscriminatorReport {
    /// Share of rows classified correctly, averaged over the two groups.
    pub accuracy: f64,
    /// L_disc.
    pub loss: f64,
    /// Effective sample size of the gradient's weights, as a share of the batch.
    pub ess: f64,
    /// Share of rows with D within 0.7 % of 0 or 1.
    pub saturation: f64,
    /// Expected calibration error of D.
    pub calibration_error: f64,
}

impl DiscriminatorReport {
    /// From the logits of demonstrations `[N_P]` and samples `[N_Q]`.
    pub fn of(expert: &Tensor, policy: &Tensor) -> Self {
        let (p, q) = (nn::to_f64(expert), nn::to_f64(policy));
        // σ(5) = 0.993.
        let saturated = p.iter().chain(&q).filter(|x| x.abs() > 5.0).count();
        Self {
            accuracy: discriminator::accuracy(expert, policy),
            loss: discriminator::loss(expert, policy).double_value(&[]),
            ess: density::gradient_ess(&p, &q),
            saturation: saturated as f64 / (p.len() + q.len()) as f64,
            calibration_error: density::calibration_error(&p, &q),
        }
    }

    /// Most important first.
    pub fn diagnostics(&self) -> Diagnostics {
        vec![
            (Metric::DiscriminatorAccuracy, self.accuracy),
            (Metric::DiscriminatorLoss, self.loss),
            (Metric::Ess, self.ess),
            (Metric::Saturation, self.saturation),
            (Metric::CalibrationError, self.calibration_error),
        ]
    }
}
