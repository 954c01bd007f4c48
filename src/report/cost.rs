//! The section on the learned cost: learned against true cost, and figures with their interpretation.

use super::figure::{Figure, legend, multiples};
use super::frame::{SMALL_SQUARE, SQUARE, Size};
use super::run::Run;
use super::text::{escape, small};
use super::{correlations, discriminator, landscape, parts, scatter, table};
use crate::evaluate::validation::FreshPolicy;
use crate::evaluate::{CostReport, DiscriminatorFigures, Evaluation};
use crate::number::typeset;

/// A number with its interval, if known.
type Figured = (f64, Option<[f64; 2]>);

/// A figure of an evaluation.
struct Reading {
    name: &'static str,
    /// How to read it.
    reading: &'static str,
    of: fn(&Evaluation) -> Option<Figured>,
}

const READINGS: [Reading; 10] = [
    Reading {
        name: "Spearman’s ρ",
        reading: "Rank agreement with the true cost: 1 is the same order, 0 no relation.",
        of: |e| Some((cost(e)?.spearman?, cost(e)?.spearman_ci95)),
    },
    Reading {
        name: "Ranking accuracy",
        reading: "Share of trajectory pairs that the learned cost orders as the true cost does: 1 is all, 0.5 is chance.",
        of: |e| Some((cost(e)?.ranking_accuracy?, cost(e)?.ranking_accuracy_ci95)),
    },
    Reading {
        name: "EPIC distance",
        reading: "Distance from the true cost, invariant to shaping and scale: 0 equal, 0.71 unrelated, 1 \
         opposite.",
        of: |e| Some((cost(e)?.epic?, cost(e)?.epic_ci95)),
    },
    Reading {
        name: "DARD distance",
        reading: "The same, over transitions that the simulator can make in one step only.",
        of: |e| Some((cost(e)?.dard?, cost(e)?.dard_ci95)),
    },
    Reading {
        name: "Fresh policy’s score",
        reading: "Score of a policy trained from scratch on the frozen cost alone: 1 is the expert, 0 random actions.",
        of: |e| Some((kept(e)?.normalized_score, None)),
    },
    Reading {
        name: "Fresh policy’s δ",
        reading: "Its learned soft value against the expert’s: about 0 is sound, below −0.02 (or 1 nat per step) the cost could not be \
         optimised, above 0.15 it was exploited.",
        of: |e| Some((kept(e)?.delta, None)),
    },
    Reading {
        name: "The clone’s share",
        reading: "Share of the cost’s variation over the ladder of degraded policies that is its clone’s, −log π_0: cov(−log \
         π_0, c) / var(c); the rest is c_θ’s.",
        of: |e| Some((cost(e)?.base_share?, cost(e)?.base_share_ci95)),
    },
    Reading {
        name: "Discriminator accuracy",
        reading: "Accuracy on demonstrations and fresh samples: 0.5 is a perfect imitation.",
        of: |e| Some((judged(e)?.discriminator_accuracy, None)),
    },
    Reading {
        name: "Effective sample size",
        reading: "Share of the batch that carries the cost’s gradient.",
        of: |e| Some((judged(e)?.ess, None)),
    },
    Reading {
        name: "log Z",
        reading: "Log partition function, nats; its level is meaningless by itself.",
        of: |e| Some((judged(e)?.log_z, None)),
    },
];

fn cost(e: &Evaluation) -> Option<&CostReport> {
    e.cost.as_ref()
}

fn judged(e: &Evaluation) -> Option<&DiscriminatorFigures> {
    cost(e)?.discriminator.as_ref()
}

/// The fresh policy that was kept.
fn kept(e: &Evaluation) -> Option<&FreshPolicy> {
    let frozen = e.frozen.as_ref()?;
    frozen.policies.get(frozen.kept)
}

impl Reading {
    fn of(&self, run: &Run) -> Option<Figured> {
        (self.of)(run.evaluation()?)
    }
}

/// Scatter plots and figures of all runs with a learned cost.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let body = match runs {
        [run] => single(run),
        runs => several(runs),
    };
    let probabilities = multiples("multiples", &discriminator::figures(runs), "")
        .map(|figures| format!("<h3>The discriminator’s probabilities</h3>{figures}"));
    let parts = [
        body,
        parts::html(runs),
        correlations::html(runs),
        landscape::html(runs),
        probabilities,
    ];
    let parts: String = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        format!(
            "<p>What matters in a learned cost is its ranking: what truly costs more should also cost more when \
             learned. Level and scale are free, so marks need to rise from left to right, not lie on the \
             diagonal.</p>{parts}"
        )
    })
}

/// Every plot of this section as a figure of its own.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let against = |run: &Run| {
        let groups = scatter::groups(run.cost_points());
        scattered(run, &groups, &run.suffix(), SQUARE)
    };
    let mut figures: Vec<Figure> = runs.iter().filter_map(against).collect();
    figures.extend(landscape::figures(runs));
    figures.extend(discriminator::figures(runs));
    figures
}

/// Learned against true cost of a run.
fn scattered(run: &Run, groups: &[&str], of: &str, size: Size) -> Option<Figure> {
    let heading = format!("Learned against true cost{of}");
    Some(Figure {
        key: scatter::key(groups),
        ..Figure::new(
            &format!("learned-against-true-cost{of}"),
            &heading,
            size,
            scatter::svg(run.cost_points(), groups, &heading, size)?,
        )
    })
}

fn single(run: &Run) -> Option<String> {
    let groups = scatter::groups(run.cost_points());
    let plot = scattered(run, &groups, "", SQUARE)
        .map(|f| format!("<figure>{}{}</figure>", legend(&f.key), f.plot));
    let entry = |r: &Reading| {
        let (mean, ci95) = r.of(run)?;
        let interval = ci95.map_or(String::new(), |ci| {
            let [low, high] = ci.map(typeset);
            format!("({low} to {high}) ")
        });
        let reading = small(&format!("{interval}{}", r.reading));
        let value = typeset(mean);
        Some(format!(
            "<div><dt>{}</dt><dd><b>{value}</b> {reading}</dd></div>",
            r.name
        ))
    };
    let entries: String = READINGS.iter().filter_map(entry).collect();
    if plot.is_none() && entries.is_empty() {
        return None;
    }
    let figures = match entries.as_str() {
        "" => String::new(),
        entries => format!("<dl class=\"readings\">{entries}</dl>"),
    };
    let plot = plot.unwrap_or_default();
    Some(format!("<div class=\"beside\">{plot}{figures}</div>"))
}

fn several(runs: &[Run]) -> Option<String> {
    let groups = scatter::groups(runs.iter().flat_map(|r| r.cost_points()));
    let plot = |run: &Run| {
        let name = format!("Learned against true cost, {}", run.label);
        let plot = scatter::svg(run.cost_points(), &groups, &name, SMALL_SQUARE)?;
        Some(Figure::new("", &run.label, SMALL_SQUARE, plot))
    };
    let plots: Vec<Figure> = runs.iter().filter_map(plot).collect();
    let plots = multiples("multiples", &plots, "");
    let plots = plots.map(|plots| legend(&scatter::key(&groups)) + &plots);
    let known = READINGS
        .iter()
        .filter(|r| runs.iter().any(|run| r.of(run).is_some()));
    let table = by_run(runs, &known.collect::<Vec<_>>());
    let parts: String = [plots, table].into_iter().flatten().collect();
    (!parts.is_empty()).then_some(parts)
}

/// The known figures, run by run; `None` without any.
fn by_run(runs: &[Run], known: &[&Reading]) -> Option<String> {
    let head = |r: &&Reading| format!("<th scope=\"col\" class=\"n\">{}</th>", r.name);
    let head: String = known.iter().map(head).collect();
    let row = |run: &Run| {
        let cell = |r: &&Reading| {
            let cell = r
                .of(run)
                .map(|(mean, ci95)| table::value(mean, ci95, typeset));
            format!("<td class=\"n\">{}</td>", cell.unwrap_or("–".into()))
        };
        known.iter().find_map(|r| r.of(run))?;
        let cells: String = known.iter().map(cell).collect();
        Some(format!(
            "<tr><th scope=\"row\">{}</th>{cells}</tr>",
            escape(&run.label)
        ))
    };
    let rows: String = runs.iter().filter_map(row).collect();
    let reading = |r: &&Reading| format!("<div><dt>{}</dt><dd>{}</dd></div>", r.name, r.reading);
    let readings: String = known.iter().map(reading).collect();
    (!known.is_empty()).then(|| {
        format!(
            "<div class=\"scroll\"><table class=\"figures-by-run\"><thead><tr><th scope=\"col\">Run</th>\
             {head}</tr></thead><tbody>{rows}</tbody></table></div><dl class=\"readings note\">{readings}</dl>"
        )
    })
}
