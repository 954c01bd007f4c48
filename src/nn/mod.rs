//! Networks and their optimiser on libtorch, initialised from named streams only.

mod adam;
mod computation;
mod descent;
mod mlp;
mod recording;
mod state;

pub use adam::{Adam, AdamSettings};
pub use computation::Computation;
pub use costate_networks::{Network, Rows};
pub use descent::Descent;
pub use mlp::Mlp;
pub use recording::Recording;
pub use state::{StateDict, StateError};

use std::cell::{Cell, OnceCell};

use tch::{Kind, Tensor};

thread_local! {
    static NO_GRAD: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` without libtorch's graph, and with networks in plain numbers.
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    /// Back to what was, also after a panic.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            NO_GRAD.set(self.0);
        }
    }
    let _before = Before(NO_GRAD.replace(true));
    tch::no_grad(f)
}

/// Whether this thread is outside of [`no_grad`].
pub fn gradients_wanted() -> bool {
    !NO_GRAD.get()
}

/// Rows that a network is given again and again.
#[derive(Debug)]
pub struct Inputs {
    matrix: Tensor,
    plain: OnceCell<Rows>,
}

impl From<Tensor> for Inputs {
    /// A matrix, `[N, columns]`.
    fn from(matrix: Tensor) -> Self {
        Self {
            matrix,
            plain: OnceCell::new(),
        }
    }
}

impl Inputs {
    /// The matrix.
    pub fn matrix(&self) -> &Tensor {
        &self.matrix
    }

    /// The same as plain numbers.
    pub fn plain(&self) -> &Rows {
        self.plain.get_or_init(|| rows(&self.matrix))
    }
}

/// A matrix of any float kind, `[N, columns]`, as plain rows.
pub fn rows(matrix: &Tensor) -> Rows {
    Rows::of(&to_f32(matrix), matrix.size()[1] as usize)
}

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

/// Adds values to tensors, or puts them in their place, as `put(tensor, values)` does: they follow one another, and get
/// each tensor's shape.
pub fn deal(tensors: &mut [Tensor], values: &[f32], put: impl Fn(&mut Tensor, Tensor)) {
    let mut rest = values;
    for tensor in tensors {
        let (own, others) = rest.split_at(tensor.numel());
        let own = Tensor::from_slice(own).view_as(tensor);
        put(tensor, own);
        rest = others;
    }
}

/// Replaces the values of tensors, one after another.
pub fn set_values(tensors: &mut [Tensor], values: &[f32]) {
    tch::no_grad(|| deal(tensors, values, |tensor, own| tensor.copy_(&own)));
}

/// Whether all numbers of some tensors are finite, and their squares, too: beyond 1.8e19 a weight in single precision
/// is as good as infinite: its products overflow.
pub fn all_finite(tensors: &[Tensor]) -> bool {
    let limit = f64::from(f32::MAX).sqrt();
    let sound = |t: &Tensor| t.detach().abs().le(limit).all().int64_value(&[]) == 1;
    // False for NaN.
    tensors.iter().all(sound)
}
