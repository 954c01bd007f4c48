//! Many rows through a network, on several threads, and back.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use costate_base::workers::{default_workers, in_order};
use tch::Tensor;

use super::super::to_f32;
use super::kernel::Rows;
use super::network::{Gradient, Network, Pass};

/// Rows at a time: what they become fits into a core's cache.
const BLOCK: usize = 256;

/// Blocks that one thread takes; gradients are added up group by group, whatever the number of threads.
const GROUP: usize = 8;

/// What a network computed of many rows, kept for its gradient.
#[derive(Debug)]
pub struct Recorded {
    blocks: Vec<Pass>,
}

/// The blocks of `rows` rows, by groups.
fn groups(rows: usize) -> Vec<Vec<Range<usize>>> {
    let starts: Vec<usize> = (0..rows).step_by(BLOCK).collect();
    let block = |&from: &usize| from..(from + BLOCK).min(rows);
    starts
        .chunks(GROUP)
        .map(|group| group.iter().map(block).collect())
        .collect()
}

/// The results of jobs `0..count`, on as many threads as there are jobs and cores.
fn on_threads<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if count <= 1 {
        return (0..count).map(job).collect();
    }
    let mut results = Vec::with_capacity(count);
    let run = |(): &mut (), i| Ok::<T, Infallible>(job(i));
    let keep = |_, result| {
        results.push(result);
        Ok(())
    };
    let never = AtomicBool::new(false);
    let Ok(_) = in_order(count, default_workers(), &never, || (), run, keep);
    results
}

impl Network {
    /// Outputs of rows, `[N, inputs] → [N · outputs]`.
    pub fn outputs(&self, input: &Rows) -> Vec<f32> {
        let groups = groups(input.len());
        let outputs = on_threads(groups.len(), |g| {
            let blocks = groups[g].iter().cloned();
            let outputs = blocks.flat_map(|block| self.forward(input.range(block)).output().unpadded());
            outputs.collect::<Vec<f32>>()
        });
        outputs.concat()
    }

    /// The same, kept for [`Network::gradient`].
    pub fn record(&self, input: &Rows) -> (Vec<f32>, Recorded) {
        let groups = groups(input.len());
        let blocks = on_threads(groups.len(), |g| {
            let blocks = groups[g].iter().cloned();
            let passes = blocks.map(|block| self.forward(input.range(block)));
            passes.collect::<Vec<Pass>>()
        });
        let blocks: Vec<Pass> = blocks.into_iter().flatten().collect();
        let outputs = blocks.iter().flat_map(|pass| pass.output().unpadded());
        (outputs.collect(), Recorded { blocks })
    }

    /// Σ ∂output/∂weights · `slope`; `slope` is the loss's gradient by the outputs, `[N · outputs]`.
    pub fn gradient(&self, recorded: &Recorded, slope: &[f32]) -> Gradient {
        let blocks = &recorded.blocks;
        let groups = blocks.len().div_ceil(GROUP);
        let parts = on_threads(groups, |g| {
            let mut gradient = Gradient::zeros(self);
            let mut row = g * GROUP * BLOCK;
            for pass in blocks.iter().skip(g * GROUP).take(GROUP) {
                let (columns, count) = (pass.output().columns(), pass.output().len());
                let slope = &slope[row * columns..(row + count) * columns];
                self.backward(pass, Rows::of(slope, columns), &mut gradient);
                row += count;
            }
            gradient
        });
        let zeros = Gradient::zeros(self);
        parts.into_iter().fold(zeros, Gradient::plus)
    }
}

/// A network and what it was asked while a loss was computed: leaves of libtorch's graph, whose gradients go on through
/// the network in plain numbers.
#[derive(Debug)]
pub struct Recording {
    network: Network,
    rows: Vec<(Tensor, Recorded)>,
    /// Mean squared slopes with their gradients.
    slopes: Vec<(Tensor, Gradient)>,
}

impl Recording {
    /// Nothing asked yet.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            rows: Vec::new(),
            slopes: Vec::new(),
        }
    }

    /// Outputs of rows, `[N, inputs] → [N, outputs]`, a leaf.
    pub fn outputs(&mut self, input: &Rows) -> Tensor {
        let (values, recorded) = self.network.record(input);
        let rows = input.len() as i64;
        let leaf = Tensor::from_slice(&values).view([rows, -1]).set_requires_grad(true);
        self.rows.push((leaf.shallow_clone(), recorded));
        leaf
    }

    /// E‖∂f/∂x‖² over rows, a leaf, in f64.
    pub fn squared_slope(&mut self, input: Rows) -> Tensor {
        let mut gradient = Gradient::zeros(&self.network);
        let value = self.network.squared_slope(input, &mut gradient);
        let leaf = Tensor::from(value).set_requires_grad(true);
        self.slopes.push((leaf.shallow_clone(), gradient));
        leaf
    }

    /// The leaves, in the order that [`Recording::gradient`] expects their gradients in.
    pub fn leaves(&self) -> impl Iterator<Item = &Tensor> {
        let rows = self.rows.iter().map(|(leaf, _)| leaf);
        rows.chain(self.slopes.iter().map(|(leaf, _)| leaf))
    }

    /// The loss's gradient by the weights, in their order, from its gradients by the leaves; those that it does not depend
    /// on are undefined.
    pub fn gradient(self, leaves: &[Tensor]) -> Vec<f32> {
        let mut sum = Gradient::zeros(&self.network);
        let (rows, slopes) = leaves.split_at(self.rows.len());
        for ((_, recorded), slope) in self.rows.iter().zip(rows).filter(|(_, g)| g.defined()) {
            sum = sum.plus(self.network.gradient(recorded, &to_f32(slope)));
        }
        for ((_, gradient), by_leaf) in self.slopes.into_iter().zip(slopes).filter(|(_, g)| g.defined()) {
            sum = sum.plus(gradient.times(by_leaf.double_value(&[]) as f32));
        }
        sum.values()
    }
}
