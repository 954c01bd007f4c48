//! What the learner itself sees, by iteration: a small chart for each recorded quantity.

use super::chart::{Chart, Level, Line};
use super::diagnostics::{self, Quantity, Readers};
use super::figure::{Figure, Key, Sign, legend};
use super::frame::{SMALL, WIDE};
use super::run::Run;
use super::text::escape;
use crate::metric::Metric;

/// The recorded quantities of all runs, in display order.
fn recorded(runs: &[Run]) -> Vec<Quantity> {
    let mut quantities: Vec<Quantity> = Vec::new();
    let readers = Readers::of(&runs.iter().map(Run::settings).collect::<Vec<_>>());
    let names = runs.iter().flat_map(Run::quantities);
    // It has a plot of its own.
    for name in names.filter(|name| Metric::with_key(name) != Some(Metric::TrueReturn)) {
        if !quantities.iter().any(|q| q.name == name) {
            quantities.extend(diagnostics::describe(name, &readers));
        }
    }
    quantities.sort_by_key(|q| diagnostics::rank(&q.name));
    quantities
}

/// Figures of their own.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let figure = |q: &Quantity| {
        let chart = Chart {
            x_label: "Iteration".into(),
            ..chart(q, runs)
        };
        chart.figure(&format!("diagnostics-{}", q.name), &q.title, WIDE)
    };
    recorded(runs).iter().filter_map(figure).collect()
}

/// The section: small multiples.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let figure = |q: &Quantity| {
        let plot = chart(q, runs).svg(SMALL)?;
        Some(format!(
            "<figure class=\"chart\"><h3>{}</h3>{plot}<figcaption>{}</figcaption></figure>",
            escape(&q.title),
            q.reading
        ))
    };
    let figures: String = recorded(runs).iter().filter_map(figure).collect();
    if figures.is_empty() {
        return None;
    }
    let key = |run: &Run| Key {
        label: run.label.clone(),
        sign: Sign::Line(run.style),
    };
    let legend = match runs {
        [_] => String::new(),
        runs => legend(&runs.iter().map(key).collect::<Vec<_>>()),
    };
    Some(format!(
        "<p>What the learner itself sees, iteration by iteration (horizontal).</p>{legend}<div class=\"multiples\">{figures}</div>"
    ))
}

/// A quantity of all runs that recorded it.
fn chart(q: &Quantity, runs: &[Run]) -> Chart {
    let lines = runs.iter().map(|run| run.line(&q.name));
    let lines: Vec<Line> = lines.filter(|l| !l.points.is_empty()).collect();
    let values = || lines.iter().flat_map(|l| &l.points).map(|p| p[1]);
    let outside = |[low, high]: [f64; 2]| values().any(|v| v < low || v > high);
    Chart {
        name: format!("{} by iteration", q.title),
        // The section's introduction names the horizontal axis for all charts.
        y_label: q.unit.into(),
        range: q.range.filter(|r| !outside(*r)),
        levels: q
            .level
            .iter()
            .map(|(value, name)| Level::new(name, *value))
            .collect(),
        lines,
        ..Chart::default()
    }
}
