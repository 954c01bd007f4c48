//! Tables, numbers and progress for people.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

use super::common::Output;
pub use crate::number::{plain as number, plain_interval as interval};

/// A table: numeric columns right-aligned, text left-aligned.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().count();
    let widths: Vec<usize> = (0..header.len())
        .map(|i| {
            rows.iter()
                .map(|r| width(&r[i]))
                .chain([width(header[i])])
                .max()
                .unwrap_or(0)
        })
        .collect();
    // Numbers right-aligned, text left-aligned.
    let figure = |cell: &str| {
        let first = cell.chars().next();
        first.is_none_or(|c| c.is_ascii_digit() || "-+−–.∞".contains(c))
    };
    let right: Vec<bool> = (0..header.len())
        .map(|i| i > 0 && rows.iter().all(|r| figure(&r[i])))
        .collect();
    let line = |cells: &[String]| {
        let mut out = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[i] - width(cell));
            out += if i > 0 { "  " } else { "" };
            out += &if right[i] {
                format!("{pad}{cell}")
            } else {
                format!("{cell}{pad}")
            };
        }
        out.trim_end().to_owned() + "\n"
    };
    let header: Vec<String> = header.iter().map(|h| (*h).to_owned()).collect();
    let rule: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
    line(&header) + &line(&rule) + &rows.iter().map(|r| line(r)).collect::<String>()
}

/// `low … high` of scores, correlations and shares.
pub fn score_interval([low, high]: [f64; 2]) -> String {
    format!("{low:.3} … {high:.3}")
}

/// Progress of a counted task: a bar on a terminal, occasional lines elsewhere.
pub struct Counter {
    bar: ProgressBar,
    lines: bool,
    what: String,
    last: Instant,
}

impl Counter {
    /// A counter to `total` of `what`.
    pub fn new(output: Output, what: &str, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        let lines = !output.quiet && !console_on_stderr();
        if output.quiet || lines {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template(
            "{prefix:>10} {bar:24} {pos}/{len} {elapsed} (left {eta})  {wide_msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            lines,
            what: what.into(),
            last: Instant::now(),
        }
    }

    /// `done` of them are done.
    pub fn at(&mut self, done: usize, message: &str) {
        self.bar.set_position(done as u64);
        self.bar.set_message(message.to_owned());
        let total = self.bar.length().unwrap_or(0) as usize;
        if self.lines && (self.last.elapsed() > Duration::from_secs(10) || done == total) {
            eprintln!("{} {done}/{total}  {message}", self.what);
            self.last = Instant::now();
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn console_on_stderr() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

/// One line of metrics as text. Values only known in simulation are marked.
pub fn describe_metrics(line: &Map<String, Value>) -> String {
    let get = |name: &str| line.get(name).and_then(Value::as_f64);
    let mut parts = Vec::new();
    let mut show = |label: &str, name: &str| {
        if let Some(v) = get(name) {
            parts.push(format!("{label} {}", number(v)));
        }
    };
    show("loss", "loss");
    show("held-out", "held_out_loss");
    show("D accuracy", "discriminator_accuracy");
    show("ESS", "ess");
    show("log Z", "log_z");
    show("entropy", "entropy");
    if let (Some(steps), Some(seconds)) = (get("env_steps"), get("seconds"))
        && steps > 0.0
        && seconds > 0.0
    {
        parts.push(format!("{} steps/s", number(steps / seconds)));
    }
    if let Some(v) = get("true_return") {
        parts.push(format!("[truth: return {}]", number(v)));
    }
    parts.join("  ")
}
