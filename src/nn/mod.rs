//! Networks and their optimiser on libtorch, initialised from named streams only.

mod adam;
mod computation;
mod mlp;
mod state;

pub use adam::{Adam, AdamSettings};
pub use computation::Computation;
pub use mlp::Mlp;
pub use state::{StateDict, StateError};

use tch::{Kind, Tensor};

/// A `[rows, columns]` f32 tensor from row-major values.
pub fn matrix(values: &[f32], columns: usize) -> Tensor {
    Tensor::from_slice(values).view([-1, columns as i64])
}

/// The values of a tensor of any float kind, in order, as f64.
pub fn to_f64(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_kind(Kind::Double).contiguous().view(-1);
    let mut out = vec![0.0; flat.numel()];
    flat.copy_data(&mut out, flat.numel());
    out
}

/// The values of a tensor, in order, as f32.
pub fn to_f32(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_kind(Kind::Float).contiguous().view(-1);
    let mut out = vec![0.0; flat.numel()];
    flat.copy_data(&mut out, flat.numel());
    out
}

/// Whether all numbers of some tensors are finite, and their squares, too: beyond 1.8e19 a weight in single precision
/// is as good as infinite: its products overflow.
pub fn all_finite(tensors: &[Tensor]) -> bool {
    let limit = f64::from(f32::MAX).sqrt();
    let sound = |t: &Tensor| t.detach().abs().le(limit).all().int64_value(&[]) == 1;
    // False for NaN.
    tensors.iter().all(sound)
}
