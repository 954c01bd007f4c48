//! Products of small matrices of f32 in the processor's widest registers.
//!
//! Every entry is one chain of fused multiply-adds in a fixed order, however many lanes a register has and however the
//! rows are tiled: the same bits on every processor that has such an instruction.

use std::ops::Range;
use std::sync::LazyLock;

use costate_base::tanh::{BOUND, EVEN, ODD};
use pulp::{Arch, Simd, WithSimd};

/// Rows are padded with zeros to a multiple of this: the lanes of the widest registers.
const LANES: usize = 16;

/// Rows and registers of a tile, whose sums stay in registers. Of 4 × 2, 6 × 2, 8 × 2, 4 × 4 and 8 × 1 the fastest on
/// processors with 16 lanes as with 8.
const TILE_ROWS: usize = 4;
const TILE_REGISTERS: usize = 2;

/// Rows of a tile where one register is left: as many sums under way, for the processor to wait for none.
pub(crate) const TALL_ROWS: usize = TILE_ROWS * TILE_REGISTERS;

pub(crate) static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

/// Entries of a padded row of `columns`.
pub fn padded(columns: usize) -> usize {
    columns.next_multiple_of(LANES)
}

/// Rows of f32, padded with zeros.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    columns: usize,
    /// `[rows, padded(columns)]`, row by row.
    values: Vec<f32>,
}

impl Rows {
    /// Zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self {
            columns,
            values: vec![0.0; rows * padded(columns)],
        }
    }

    /// Of unpadded values, row by row.
    pub fn of(values: &[f32], columns: usize) -> Self {
        let mut rows = Self::default();
        rows.become_unpadded(values, columns);
        rows
    }

    /// Becomes [`Rows::of`] these.
    pub(crate) fn become_unpadded(&mut self, values: &[f32], columns: usize) {
        self.become_zeros(values.len() / columns, columns);
        for (to, from) in
            (self.values.chunks_exact_mut(padded(columns))).zip(values.chunks_exact(columns))
        {
            to[..columns].copy_from_slice(from);
        }
    }

    /// Becomes this many rows; what they hold is whatever was there, padding included.
    pub(crate) fn reshape(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        self.values.resize(rows * padded(columns), 0.0);
    }

    /// Becomes the chosen rows of `from`, in the order of `indices`.
    pub(crate) fn become_picked(&mut self, from: &Self, indices: &[usize]) {
        let stride = from.stride();
        self.columns = from.columns;
        self.values.clear();
        for i in indices {
            self.values
                .extend_from_slice(&from.values[i * stride..(i + 1) * stride]);
        }
    }

    /// Becomes consecutive rows of `from`.
    pub(crate) fn become_range(&mut self, from: &Self, rows: Range<usize>) {
        let stride = from.stride();
        self.columns = from.columns;
        self.values.clear();
        self.values
            .extend_from_slice(&from.values[rows.start * stride..rows.end * stride]);
    }

    /// Becomes this many rows of zeros.
    pub(crate) fn become_zeros(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        self.values.clear();
        self.values.resize(rows * padded(columns), 0.0);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Entries of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Entries of a padded row.
    pub fn stride(&self) -> usize {
        padded(self.columns)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.stride()
    }

    /// A row without its padding.
    pub fn row(&self, index: usize) -> &[f32] {
        let from = index * self.stride();
        &self.values[from..from + self.columns]
    }

    /// The same, to be written.
    pub fn row_mut(&mut self, index: usize) -> &mut [f32] {
        let from = index * self.stride();
        &mut self.values[from..from + self.columns]
    }

    /// Consecutive rows.
    pub fn range(&self, rows: Range<usize>) -> Self {
        let mut range = Self::default();
        range.become_range(self, rows);
        range
    }

    /// All values without padding, row by row.
    pub fn unpadded(&self) -> Vec<f32> {
        (0..self.len()).flat_map(|i| self.row(i)).copied().collect()
    }

    /// Padded values, row by row.
    pub fn padded_values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to be written; padding must stay zero.
    pub fn padded_values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

/// What becomes of the sums of a product.
#[derive(Clone, Copy)]
pub enum After<'a> {
    /// They are its result.
    Nothing,
    /// tanh.
    Tanh,
    /// They are multiplied by tanh's slope 1 − h² at the outputs h of a hidden layer, `[rows, columns]`.
    Slope(&'a Rows),
}

/// out = after(a · b + first), `[N, k] · [k, n] → [N, n]`, `first` being a row, padded. Every entry of `out` is written, its
/// padding too.
pub fn product(a: &Rows, b: &Rows, first: &[f32], after: After, out: &mut Rows) {
    assert!(a.columns == b.len() && b.columns == out.columns && a.len() == out.len());
    assert!(first.len() == out.stride());
    let job = Product { a, b, first, after };
    ARCH.dispatch(Sweep { job, out });
}

/// Terms that are added up one by one. Sums of many rows are sums of such sums: rounding errors grow with both numbers, not
/// with their product.
pub const TERMS: usize = 64;

/// out += aᵀ · b, `[N, m]ᵀ · [N, n] → [m, n]`.
pub fn add_transposed_product(a: &Rows, b: &Rows, out: &mut Rows) {
    assert!(a.len() == b.len() && out.len() == a.columns && out.columns == b.columns);
    ARCH.dispatch(Sweep {
        job: TransposedProduct { a, b },
        out,
    });
}

/// What makes a result tile by tile.
trait Tiles {
    /// `M` rows of `out` from `row` on, `V` registers from `column` on.
    fn tile<S: Simd, const M: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        out: &mut Rows,
    );
}

/// All tiles of `out`: whole ones first, then what is left of rows and columns.
struct Sweep<'a, J> {
    job: J,
    out: &'a mut Rows,
}

impl<J: Tiles> WithSimd for Sweep<'_, J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.out.stride();
        let left = width % (TILE_REGISTERS * S::F32_LANES);
        self.sweep::<S, TILE_ROWS, TILE_REGISTERS>(simd, 0..width - left);
        self.sweep::<S, TALL_ROWS, 1>(simd, width - left..width);
    }
}

impl<J: Tiles> Sweep<'_, J> {
    /// All rows of some columns, as tiles of `M` rows and `V` registers.
    #[inline(always)]
    fn sweep<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, columns: Range<usize>) {
        let Self { job, out } = self;
        let whole = out.len() - out.len() % M;
        for row in (0..whole).step_by(M) {
            for column in columns.clone().step_by(V * S::F32_LANES) {
                job.tile::<S, M, V>(simd, row, column, out);
            }
        }
        for row in whole..out.len() {
            for column in columns.clone().step_by(V * S::F32_LANES) {
                job.tile::<S, 1, V>(simd, row, column, out);
            }
        }
    }
}

struct Product<'a> {
    a: &'a Rows,
    b: &'a Rows,
    first: &'a [f32],
    after: After<'a>,
}

impl Tiles for Product<'_> {
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        out: &mut Rows,
    ) {
        let a: [&[f32]; M] = std::array::from_fn(|m| self.a.row(row + m));
        let stride = out.stride();
        let mut sums = [registers::<S, V>(&self.first[column..]); M];
        let b = &self.b.values[column..];
        for k in 0..self.a.columns {
            let factors = std::array::from_fn(|m| a[m][k]);
            add_scaled(simd, factors, &b[k * stride..], &mut sums);
        }
        for (m, sums) in sums.iter_mut().enumerate() {
            let from = (row + m) * stride + column;
            match self.after {
                After::Nothing => {}
                After::Tanh => {
                    for sum in sums.iter_mut() {
                        *sum = tanh(simd, *sum);
                    }
                }
                After::Slope(h) => {
                    let h = registers::<S, V>(&h.values[from..]);
                    let one = simd.splat_f32s(1.0);
                    for v in 0..V {
                        let slope = simd.negate_mul_add_f32s(h[v], h[v], one);
                        sums[v] = simd.mul_f32s(sums[v], slope);
                    }
                }
            }
            store::<S, V>(sums, &mut out.values[from..]);
        }
    }
}

struct TransposedProduct<'a> {
    a: &'a Rows,
    b: &'a Rows,
}

impl Tiles for TransposedProduct<'_> {
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        column: usize,
        out: &mut Rows,
    ) {
        let stride = out.stride();
        let (a, b) = (&self.a.values[row..], &self.b.values[column..]);
        for first in (0..self.a.len()).step_by(TERMS) {
            let mut sums = [[simd.splat_f32s(0.0); V]; M];
            for n in first..(first + TERMS).min(self.a.len()) {
                let a = &a[n * self.a.stride()..];
                let factors = std::array::from_fn(|m| a[m]);
                add_scaled(simd, factors, &b[n * stride..], &mut sums);
            }
            for (m, sums) in sums.iter().enumerate() {
                let to = &mut out.values[(row + m) * stride + column..];
                let mut total = registers::<S, V>(to);
                for v in 0..V {
                    total[v] = simd.add_f32s(total[v], sums[v]);
                }
                store::<S, V>(&total, to);
            }
        }
    }
}

/// sums[m] += factors[m] · b, b being the first `V` registers of `values`.
#[inline(always)]
fn add_scaled<S: Simd, const M: usize, const V: usize>(
    simd: S,
    factors: [f32; M],
    values: &[f32],
    sums: &mut [[S::f32s; V]; M],
) {
    let (b, _) = S::as_simd_f32s(values);
    let b = &b[..V];
    for m in 0..M {
        let factor = simd.splat_f32s(factors[m]);
        for v in 0..V {
            sums[m][v] = simd.mul_add_f32s(factor, b[v], sums[m][v]);
        }
    }
}

/// The first `V` registers of `values`.
#[inline(always)]
fn registers<S: Simd, const V: usize>(values: &[f32]) -> [S::f32s; V] {
    let (whole, _) = S::as_simd_f32s(&values[..V * S::F32_LANES]);
    std::array::from_fn(|v| whole[v])
}

#[inline(always)]
fn store<S: Simd, const V: usize>(registers: &[S::f32s; V], values: &mut [f32]) {
    let (whole, _) = S::as_mut_simd_f32s(&mut values[..V * S::F32_LANES]);
    whole.copy_from_slice(registers);
}

/// tanh as an odd rational function, within 6e-7: the one of [`costate_base::tanh::tanh`].
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let bound = simd.splat_f32s(BOUND);
    // In this order a NaN stays one.
    let x = simd.min_f32s(bound, simd.max_f32s(simd.neg_f32s(bound), x));
    let square = simd.mul_f32s(x, x);
    let odd = polynomial(simd, &ODD, square);
    let even = polynomial(simd, &EVEN, square);
    simd.div_f32s(simd.mul_f32s(x, odd), even)
}

/// Horner's scheme, from the highest coefficient.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, coefficients: &[f32; N], x: S::f32s) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for c in &coefficients[1..] {
        sum = simd.mul_add_f32s(sum, x, simd.splat_f32s(*c));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::drawn;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn products_of_any_size_are_sums_of_products(
            n in 1..150_usize, k in 1..40_usize, m in 1..70_usize, seed: u64
        ) {
            let (a, b, first) = (drawn(n, k, seed), drawn(k, m, seed + 1), drawn(1, m, seed + 2));
            let mut out = Rows::zeros(n, m);
            product(&a, &b, first.padded_values(), After::Nothing, &mut out);
            let mut transposed = Rows::zeros(k, m);
            add_transposed_product(&a, &out, &mut transposed);
            let double = |x: f32| f64::from(x);
            for i in 0..n {
                for j in 0..m {
                    let terms = (0..k).map(|l| double(a.row(i)[l]) * double(b.row(l)[j]));
                    let exact = double(first.row(0)[j]) + terms.sum::<f64>();
                    prop_assert!((double(out.row(i)[j]) - exact).abs() < 1e-4);
                }
            }
            for l in 0..k {
                for j in 0..m {
                    let terms = (0..n).map(|i| double(a.row(i)[l]) * double(out.row(i)[j]));
                    prop_assert!((double(transposed.row(l)[j]) - terms.sum::<f64>()).abs() < 1e-3);
                }
            }
            prop_assert!(out.padded_values().chunks_exact(out.stride()).all(|r| r[m..].iter().all(|&v| v == 0.0)));
        }

        /// A processor with other registers, or none that are wide, gives the same bits.
        #[test]
        fn lanes_do_not_change_a_bit(n in 1..12_usize, k in 1..40_usize, m in 1..70_usize, seed: u64) {
            let (a, b, first) = (drawn(n, k, seed), drawn(k, m, seed + 1), drawn(1, m, seed + 2));
            let h = drawn(n, m, seed + 3);
            for after in [After::Nothing, After::Tanh, After::Slope(&h)] {
                let (mut wide, mut narrow) = (Rows::zeros(n, m), Rows::zeros(n, m));
                product(&a, &b, first.padded_values(), after, &mut wide);
                let (a, b, first) = (&a, &b, first.padded_values());
                Sweep { job: Product { a, b, first, after }, out: &mut narrow }.with_simd(pulp::Scalar::new());
                prop_assert_eq!(&wide, &narrow);
            }
            let (mut wide, mut narrow) = (Rows::zeros(k, m), Rows::zeros(k, m));
            add_transposed_product(&a, &h, &mut wide);
            Sweep { job: TransposedProduct { a: &a, b: &h }, out: &mut narrow }.with_simd(pulp::Scalar::new());
            prop_assert_eq!(&wide, &narrow);
        }
    }

    #[test]
    fn tanh_is_accurate_everywhere() {
        let values: Vec<f32> = (-100_000..=100_000).map(|i| i as f32 * 1e-4).collect();
        let (x, one) = (Rows::of(&values, 1), Rows::of(&[1.0], 1));
        let mut out = Rows::zeros(values.len(), 1);
        product(&x, &one, &vec![0.0; one.stride()], After::Tanh, &mut out);
        for (x, y) in values.iter().zip(out.unpadded()) {
            let error = f64::from(y) - f64::from(*x).tanh();
            assert!(error.abs() < 6e-7, "tanh({x}) is off by {error:e}");
        }
    }
}
