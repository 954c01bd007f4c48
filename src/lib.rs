//! Costate: record demonstrations, train imitation policies, evaluate learned costs.
//!
//! The library behind the `costate` command. Environments live in [`costate_envs`], experts and
//! datasets in [`costate_demos`]; everything here may use libtorch.

#![warn(missing_docs)]

pub mod app;
pub mod audit;
pub mod batch;
pub mod bench;
pub mod cli;
pub mod collect;
pub mod cost;
pub mod density;
pub mod density_ratio;
pub mod diagnose;
pub mod discriminator;
pub mod ebm;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod expression;
pub mod improve;
pub mod learners;
pub mod lengths;
pub mod lfs;
pub mod lqg;
mod memo;
pub mod memory;
pub mod metric;
pub mod nn;
pub mod policy;
pub mod provenance;
pub mod report;
pub mod run;
pub mod shell;
pub mod tabular;

pub use costate_base::number;
pub use costate_picture as picture;
pub use error::Error;
