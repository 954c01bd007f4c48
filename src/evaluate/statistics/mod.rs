//! Intervals and rank correlation.
//!
//! All intervals are nominally 95 %; their coverage is measured in `coverage.rs` and stated by each
//! function.

mod association;
mod correlation;
#[cfg(test)]
mod coverage;
mod difference;
mod improvement;
mod interval;
mod resample;
mod strata;

use serde::{Deserialize, Serialize};

pub use association::{bootstrap_clusters, bootstrap_pairs};
pub use correlation::{pearson, pearson_distance, ranks, sides, spearman};
pub use difference::{
    Difference, difference_of_estimates, difference_of_interquartile_means, difference_of_pairs,
    share_of_pairs,
};
pub use improvement::probability_of_improvement;
pub use resample::{bootstrap, mean_interval};
pub use strata::{
    ProfilePoint, interquartile_mean, performance_profile, stratified_interquartile_mean,
};

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Ends of the 95 % interval.
    pub ci95: [f64; 2],
}
