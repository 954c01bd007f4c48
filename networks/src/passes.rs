//! Many rows through a network, on several threads, and back.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use crate::kernel::{Rows, TALL_ROWS};
use crate::network::{Gradient, Network, Pass};

/// Rows at a time, at most: what they become fits into a core's cache.
const BLOCK: usize = 256;

/// Blocks that one thread takes; gradients are added up group by group, whatever the number of threads.
const GROUP: usize = 2;

thread_local! {
    /// Memory of a block under way, used again for the next: it is in the cache.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

#[derive(Default)]
struct Scratch {
    pass: Pass,
    slopes: [Rows; 2],
}

/// `job` with this thread's memory.
fn in_scratch<T>(job: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch = SCRATCH.take();
    let result = job(&mut scratch);
    SCRATCH.set(scratch);
    result
}

/// What a network computed of many rows, kept for its gradient.
#[derive(Debug)]
pub struct Recorded {
    blocks: Vec<Pass>,
}

/// The blocks of `rows` rows, by groups: all of one size, of whole tiles, but for the last.
fn groups(rows: usize) -> Vec<Vec<Range<usize>>> {
    let groups = rows.div_ceil(GROUP * BLOCK).max(1);
    let size = (rows.div_ceil(groups * GROUP).max(1)).next_multiple_of(TALL_ROWS);
    let starts: Vec<usize> = (0..rows).step_by(size).collect();
    let block = |&from: &usize| from..(from + size).min(rows);
    starts
        .chunks(GROUP)
        .map(|group| group.iter().map(block).collect())
        .collect()
}

/// The results of jobs `0..count`, on as many threads as there are jobs and idle cores.
fn on_threads<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if count <= 1 {
        return (0..count).map(job).collect();
    }
    let jobs = (0..count).into_par_iter().with_max_len(1);
    jobs.map(&job).collect()
}

impl Network {
    /// Outputs of rows, `[N, inputs] → [N · outputs]`.
    pub fn outputs(&self, input: &Rows) -> Vec<f32> {
        self.of_rows(input, |_, outputs| outputs.unpadded())
    }

    /// What `each` makes of the outputs of rows, `[N, inputs]`, one after another: it is told which rows come next and what
    /// became of them.
    pub fn of_rows<T: Send + Copy>(
        &self,
        input: &Rows,
        each: impl Fn(Range<usize>, &Rows) -> Vec<T> + Sync,
    ) -> Vec<T> {
        let groups = groups(input.len());
        let made = on_threads(groups.len(), |g| {
            in_scratch(|Scratch { pass, .. }| {
                let mut made = Vec::new();
                for block in &groups[g] {
                    pass.input().become_range(input, block.clone());
                    self.run(pass);
                    made.extend(each(block.clone(), pass.output()));
                }
                made
            })
        });
        made.concat()
    }

    /// Σ ∂output/∂weights · slope over the chosen rows, `[N, inputs]`, for a loss whose gradient by a row's outputs depends
    /// on that row alone. `slope` is told which rows come next and what became of them, writes that gradient,
    /// `[chosen, outputs]`, and may return more, which comes back in order.
    pub fn descent<T: Send>(
        &self,
        rows: &Rows,
        chosen: &[usize],
        slope: impl Fn(&[usize], &Rows, &mut Rows) -> T + Sync,
    ) -> (Vec<T>, Gradient) {
        let groups = groups(chosen.len());
        let parts = on_threads(groups.len(), |g| {
            in_scratch(|Scratch { pass, slopes }| {
                let (mut found, mut gradient) = (Vec::new(), Gradient::zeros(self));
                for block in &groups[g] {
                    let block = &chosen[block.clone()];
                    pass.input().become_picked(rows, block);
                    self.run(pass);
                    slopes[0].become_zeros(block.len(), pass.output().columns());
                    found.push(slope(block, pass.output(), &mut slopes[0]));
                    self.backward(pass, slopes, &mut gradient);
                }
                (found, gradient)
            })
        });
        let (mut found, mut sum) = (Vec::new(), Gradient::zeros(self));
        for (more, gradient) in parts {
            found.extend(more);
            sum = sum.plus(gradient);
        }
        (found, sum)
    }

    /// What [`Network::outputs`] gives, kept for [`Network::gradient`].
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
            let mut row = g * GROUP * blocks[0].rows();
            in_scratch(|Scratch { slopes, .. }| {
                for pass in blocks.iter().skip(g * GROUP).take(GROUP) {
                    let (columns, count) = (pass.output().columns(), pass.output().len());
                    let slope = &slope[row * columns..(row + count) * columns];
                    slopes[0].become_unpadded(slope, columns);
                    self.backward(pass, slopes, &mut gradient);
                    row += count;
                }
            });
            gradient
        });
        let zeros = Gradient::zeros(self);
        parts.into_iter().fold(zeros, Gradient::plus)
    }

    /// P = 1/N Σ ‖∂f/∂x‖² of a network f with one output at rows x, `[N, inputs]`, and ∂P/∂weights.
    pub fn squared_slope(&self, input: &Rows) -> (f64, Gradient) {
        let (groups, share) = (groups(input.len()), 1.0 / input.len() as f64);
        let parts = on_threads(groups.len(), |g| {
            let (mut sum, mut gradient) = (0.0, Gradient::zeros(self));
            for block in groups[g].iter().cloned() {
                sum += self.squared_slopes(input.range(block), share, &mut gradient);
            }
            (sum, gradient)
        });
        let nothing = (0.0, Gradient::zeros(self));
        let (sum, gradient) = (parts.into_iter()).fold(nothing, |(sum, gradient), (s, g)| {
            (sum + s, gradient.plus(g))
        });
        (sum * share, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{drawn, numbers};

    #[test]
    fn gradients_are_the_same_bits_however_many_threads_compute_them() {
        // Two groups of rows and a rest.
        let sizes = [7, 40, 2];
        let network = Network::new(&sizes, &numbers(7 * 40 + 40 + 40 * 2 + 2, 0));
        let count = 2 * GROUP * BLOCK + BLOCK + 4;
        let (rows, slopes) = (drawn(count, 7, 1), numbers(count * 2, 2));
        let (outputs, recorded) = network.record(&rows);
        assert_eq!(outputs, network.outputs(&rows));
        let together = network.gradient(&recorded, &slopes).values();
        let parts = groups(count);
        assert_eq!(parts.len(), 3);
        let ends = |part: &Vec<Range<usize>>| part[0].start..part[part.len() - 1].end;
        let apart = parts.iter().map(ends).map(|part| {
            let (_, recorded) = network.record(&rows.range(part.clone()));
            network.gradient(&recorded, &slopes[2 * part.start..2 * part.end])
        });
        let zeros = Gradient::zeros(&network);
        let sum = apart.fold(zeros, Gradient::plus);
        assert_eq!(together, sum.values());

        // The same again, the slopes known as soon as the outputs are.
        let chosen: Vec<usize> = (0..count).collect();
        let (blocks, fused) = network.descent(&rows, &chosen, |block, found, to| {
            for (k, &i) in block.iter().enumerate() {
                assert_eq!(found.row(k), &outputs[2 * i..2 * i + 2]);
                to.row_mut(k).copy_from_slice(&slopes[2 * i..2 * i + 2]);
            }
            block.to_vec()
        });
        assert_eq!(together, fused.values());
        assert_eq!(blocks.concat(), chosen);
    }
}
