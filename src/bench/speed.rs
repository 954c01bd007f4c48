//! What `costate bench speed` measures, and its tables.

use costate_base::provenance::Provenance;
use costate_envs::timing::{Spread, WorldSpeed};
use serde::Serialize;

use super::CellResult;
use super::parts::PartsRow;
use crate::report::{Speedup, speedup_svg};

/// A world's row. Times are medians over the turns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorldRow {
    /// Environment.
    pub name: String,
    /// rapier's step alone; null without rigid bodies.
    pub bare_step_us: Option<f64>,
    /// A step of the environment.
    pub env_step_us: f64,
    /// A step of a rollout with a 64-64 tanh actor.
    pub rollout_step_us: f64,
    /// 1 / that.
    pub rollout_steps_per_second_1: f64,
    /// Rate in batches on all workers.
    pub rollout_steps_per_second_all: f64,
    /// Share of the bare rate that the environment keeps, median over the turns.
    pub env_of_bare: Option<f64>,
    /// Share of the bare rate that rollouts keep, median over the turns.
    pub rollout_of_bare: Option<f64>,
    /// Rate of batches on all workers over the rate on one, median over the turns.
    pub speedup: f64,
    /// A reset.
    pub reset_us: f64,
    /// Quartiles behind the figures.
    pub quartiles: Quartiles,
}

/// Quartiles of a world's times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quartiles {
    bare_step_us: Option<Spread>,
    env_step_us: Spread,
    rollout_step_us: Spread,
    batch_step_us_all: Spread,
    rollout_of_bare: Option<[f64; 2]>,
    speedup: [f64; 2],
}

impl From<WorldSpeed> for WorldRow {
    fn from(w: WorldSpeed) -> Self {
        let micros = |s: Spread| s.times(1e6);
        let bare_step_us = w.bare.map(micros);
        let (env, rollout) = (micros(w.env.step), micros(w.rollout.step));
        let all = micros(w.all);
        let ends = |s: Spread| [s.low, s.high];
        Self {
            bare_step_us: bare_step_us.map(|b| b.median),
            env_step_us: env.median,
            rollout_step_us: rollout.median,
            rollout_steps_per_second_1: 1e6 / rollout.median,
            rollout_steps_per_second_all: 1e6 / all.median,
            env_of_bare: w.env.of_bare.map(|s| s.median),
            rollout_of_bare: w.rollout.of_bare.map(|s| s.median),
            speedup: w.speedup.median,
            reset_us: 1e6 * w.reset.median,
            quartiles: Quartiles {
                bare_step_us,
                env_step_us: env,
                rollout_step_us: rollout,
                batch_step_us_all: all,
                rollout_of_bare: w.rollout.of_bare.map(ends),
                speedup: ends(w.speedup),
            },
            name: w.name,
        }
    }
}

/// Throughput of a batch of many episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchRow {
    /// Environment.
    pub env: String,
    /// Episodes, each in a world of its own.
    pub worlds: usize,
    /// Steps in total.
    pub steps: usize,
    /// Rate on all workers.
    pub steps_per_second: f64,
    /// Peak memory of the process so far, MiB.
    pub peak_memory_mib: Option<f64>,
}

/// How a batch of episodes scales with workers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleRow {
    /// Environment.
    pub env: String,
    /// Episodes of the batch.
    pub episodes: usize,
    /// (workers, speed-up) as measured.
    pub measured: Vec<[f64; 2]>,
    /// (workers, speed-up) of a simulated schedule from the episodes' measured times.
    pub simulated: Vec<[f64; 2]>,
    /// Seconds between the starts of two workers.
    pub start_s: f64,
}

/// A training run until it reaches the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreRow {
    /// Environment.
    pub env: String,
    /// Algorithm.
    pub algo: String,
    /// Seed.
    pub seed: u64,
    /// Seconds to a normalised score of 0.95 in the rollouts; null if it was not reached.
    pub seconds: Option<f64>,
    /// Environment steps by then.
    pub steps: Option<u64>,
    /// Normalised score of the learned policy.
    pub score: f64,
    /// Seconds of the whole training.
    pub seconds_of_training: f64,
}

impl From<&CellResult> for ScoreRow {
    fn from(r: &CellResult) -> Self {
        Self {
            env: r.env.clone(),
            algo: r.algo.clone(),
            seed: r.seed,
            seconds: r.to_95.map(|m| m.seconds),
            steps: r.to_95.map(|m| m.steps),
            score: r.normalized_score,
            seconds_of_training: r.seconds,
        }
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speed {
    /// Version of the file.
    pub format: u32,
    /// Day of the measurement, UTC.
    pub date: String,
    /// Version of Costate.
    pub costate_version: String,
    /// Build that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Processor and cores.
    pub machine: String,
    /// Workers behind the figures of all cores.
    pub workers: usize,
    /// Turns behind every median.
    pub turns: usize,
    /// One row per world.
    pub worlds: Vec<WorldRow>,
    /// Batches of many episodes.
    pub batches: Vec<BatchRow>,
    /// Batches over workers.
    pub schedules: Vec<ScheduleRow>,
    /// Time breakdown of learning.
    pub parts: Vec<PartsRow>,
    /// Trainings to expert level.
    pub time_to_score: Vec<ScoreRow>,
}

impl Speed {
    /// Version of the file that this build writes.
    pub const FORMAT: u32 = 2;

    /// Name of the picture that the tables refer to.
    pub const PICTURE: &str = "speedup.svg";

    /// Speed-up against workers as SVG; `None` if none was measured.
    pub fn picture(&self) -> Option<String> {
        let curve = |s: &ScheduleRow| Speedup {
            label: format!("{}, {} episodes", s.env, s.episodes),
            simulated: s.simulated.clone(),
            measured: s.measured.clone(),
        };
        let curves: Vec<Speedup> = self.schedules.iter().map(curve).collect();
        let title = "Rollouts on more workers: measured (dots) and scheduled (lines)";
        (!curves.is_empty()).then(|| speedup_svg(title, &curves))
    }

    /// The tables as Markdown.
    pub fn markdown(&self) -> String {
        let build = match &self.provenance {
            Some(build) => build.to_string(),
            None => format!("costate {}", self.costate_version),
        };
        let mut out = format!(
            "# Speed\n\n{}, {}, {build}. Medians of {} turns; *bare* is rapier's step alone in the same episodes, *rollout* adds the environment, \
             a 64-64 tanh actor, noise, log-densities, recording and resets. Quartiles and earlier measurements are in this folder. Generated by `costate bench speed`.\n\n",
            self.date, self.machine, self.turns
        );
        out += "| world | bare, µs | environment, µs (of the bare rate) | rollout, µs (of the bare rate) | rollout steps per second, 1 worker | ";
        out += &format!("{} workers (times one) | reset, µs |\n", self.workers);
        out += "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        let share = |s: Option<f64>| s.map_or(String::new(), |s| format!(" ({s:.2})"));
        for w in &self.worlds {
            out += &format!(
                "| {} | {} | {:.2}{} | {:.2}{} | {:.0} | {:.0} ({:.2}) | {:.1} |\n",
                w.name,
                w.bare_step_us.map_or("–".into(), |b| format!("{b:.2}")),
                w.env_step_us,
                share(w.env_of_bare),
                w.rollout_step_us,
                share(w.rollout_of_bare),
                w.rollout_steps_per_second_1,
                w.rollout_steps_per_second_all,
                w.speedup,
                w.reset_us
            );
        }
        out + &self.batch_table()
            + &self.schedule_table()
            + &self.parts_table()
            + &self.score_table()
    }

    /// Batches of many episodes.
    fn batch_table(&self) -> String {
        let mut out = String::new();
        if self.batches.is_empty() {
            return out;
        }
        out += "\n## Many worlds\n\nEpisodes requested at once; a worker steps one world at a time, so memory grows with the recording only.\n\n";
        out += "| world | episodes | steps per second | peak memory, MiB |\n| --- | ---: | ---: | ---: |\n";
        for b in &self.batches {
            let memory = b.peak_memory_mib.map_or("–".into(), |m| format!("{m:.0}"));
            out += &format!(
                "| {} | {} | {:.0} | {memory} |\n",
                b.env, b.worlds, b.steps_per_second
            );
        }
        out
    }

    /// Batches over workers.
    fn schedule_table(&self) -> String {
        let mut out = String::new();
        if self.schedules.is_empty() {
            return out;
        }
        out += "\n## More workers\n\nSpeed-up of a batch. Measured up to the number of cores, median of the turns; beyond that, a simulated schedule of the measured episode times, \
                with workers that start one after the other. It ignores shared caches and clock rates: read it as an upper bound set by the division of work.\n\n";
        out += &format!("![speed-up against workers]({})\n\n", Self::PICTURE);
        out += "| world | episodes | measured | simulated: 2 | 4 | 8 | 16 | 32 | 64 |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        for s in &self.schedules {
            let measured: Vec<String> = s
                .measured
                .iter()
                .map(|[w, times]| format!("{w}: {times:.2}"))
                .collect();
            out += &format!("| {} | {} | {} |", s.env, s.episodes, measured.join(", "));
            for [workers, times] in &s.simulated {
                if *workers > 1.0 && workers.log2().fract() == 0.0 {
                    out += &format!(" {times:.2} |");
                }
            }
            out += "\n";
        }
        out
    }

    /// Time breakdown of learning.
    fn parts_table(&self) -> String {
        let mut out = String::new();
        if self.parts.is_empty() {
            return out;
        }
        out += "\n## Time breakdown of learning\n\nGAN-GCL with shipped settings, milliseconds [quartiles]. *Rollouts* include building tensors and the report; discriminator and policy are \
                differences between iterations with and without them; *start* is cloning the base policy.\n\n";
        out += "| world | workers | dataset write | dataset read (transitions per second) | start, s | iteration (steps) | rollouts | discriminator step | policy and critic |\n";
        out += "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        let show = |s: Spread| format!("{:.1} [{:.1}, {:.1}]", s.median, s.low, s.high);
        for p in &self.parts {
            out += &format!(
                "| {} | {} | {} | {} ({:.0}) | {:.2} | {} ({}) | {} | {} | {} |\n",
                p.env,
                p.workers,
                show(p.dataset_write_ms),
                show(p.dataset_read_ms),
                1e3 * p.dataset_steps as f64 / p.dataset_read_ms.median,
                p.start_s,
                show(p.iteration_ms),
                p.iteration_steps,
                show(p.rollouts_ms),
                show(p.discriminator_step_ms),
                show(p.policy_ms)
            );
        }
        out
    }

    /// Trainings to expert level.
    fn score_table(&self) -> String {
        let mut out = String::new();
        if self.time_to_score.is_empty() {
            return out;
        }
        out += "\n## Time to expert level\n\n25 demonstrations, shipped settings, one training run at a time, until the rollouts of an iteration reach a normalised score of 0.95.\n\n";
        out += "| world | algorithm | seed | seconds | steps | final score | seconds, whole training |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n";
        for s in &self.time_to_score {
            let reached = s
                .seconds
                .map_or("not reached".into(), |t| format!("{t:.1}"));
            let steps = s.steps.map_or("–".into(), |n| n.to_string());
            out += &format!(
                "| {} | {} | {} | {reached} | {steps} | {:.3} | {:.1} |\n",
                s.env, s.algo, s.seed, s.score, s.seconds_of_training
            );
        }
        out
    }
}
