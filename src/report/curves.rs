//! Curves by iteration: the true return, then what the learner itself sees.

use super::chart::{Chart, Level, Line};
use super::diagnostics::{self, Quantity, Readers};
use super::facts::Facts;
use super::figure::{Figure, Key, Sign, slug};
use super::frame::{NARROW, SMALL, WIDE};
use super::group::{Group, legend};
use super::learning;
use super::text::escape;

/// Learning curves: one plot an environment.
pub(super) fn learning(groups: &[Group]) -> Option<String> {
    let mut out = String::new();
    let mut bands = false;
    for group in groups {
        let Some(chart) = learning::return_chart(group) else {
            continue;
        };
        out += &group.heading();
        if chart.lines.len() > 1 || group.members.len() > 1 {
            out += &legend(chart.lines.iter().map(|l| (l.label.as_str(), l.style)));
        }
        bands |= chart.lines.iter().any(|l| !l.band.is_empty());
        out += &format!("<figure class=\"chart\">{}</figure>", both(&chart));
    }
    let seeds = match bands {
        true => {
            " Runs that differ in their seed alone are one line, the mean over seeds; its band reaches from the least \
             to the greatest of them, which is no confidence interval."
        }
        false => "",
    };
    (!out.is_empty()).then(|| {
        format!(
            "{out}<p class=\"note\">The true return is known in simulation and drawn for the reader; the \
             learner does not see it. It is that of the noisy policy that explores, so it may stay \
             below the score of the evaluated policy.{seeds}</p>"
        )
    })
}

/// The learning curves as figures of their own, where several runs share one.
pub(super) fn learning_figures(groups: &[Group]) -> Vec<Figure> {
    let several = groups.iter().filter(|g| g.members.len() > 1);
    several
        .filter_map(|group| {
            let chart = learning::return_chart(group)?;
            Some(Figure {
                name: slug(&format!("learning-curves-{}", group.name())),
                heading: format!("True return while learning on {}", group.name()),
                key: lines_key(&chart.lines),
                plot: chart.svg(WIDE)?,
                size: WIDE,
                caption: String::new(),
            })
        })
        .collect()
}

fn lines_key(lines: &[Line]) -> Vec<Key> {
    lines
        .iter()
        .map(|l| Key {
            label: l.label.clone(),
            sign: Sign::Line(l.style),
        })
        .collect()
}

/// A chart for wide and for narrow screens; style sheets show one of them.
fn both(chart: &Chart) -> String {
    [WIDE, NARROW]
        .into_iter()
        .filter_map(|size| chart.svg(size))
        .collect()
}

/// The recorded quantities of all runs, in the order in which they are shown.
fn recorded(runs: &[Facts]) -> Vec<Quantity> {
    let mut quantities: Vec<Quantity> = Vec::new();
    let readers = Readers::of(runs);
    for name in runs.iter().flat_map(Facts::quantities) {
        if !quantities.iter().any(|q| q.name == name) {
            quantities.extend(diagnostics::describe(name, &readers));
        }
    }
    quantities.sort_by_key(|q| diagnostics::rank(&q.name));
    quantities
}

/// The diagnostics as figures of their own.
pub(super) fn diagnostic_figures(runs: &[Facts], labels: &[String]) -> Vec<Figure> {
    recorded(runs)
        .iter()
        .filter_map(|q| {
            let mut chart = small_chart(q, runs, labels);
            chart.x_label = "Iteration".into();
            Some(Figure {
                name: slug(&format!("diagnostics-{}", q.name)),
                heading: q.title.clone(),
                key: lines_key(&chart.lines),
                plot: chart.svg(WIDE)?,
                size: WIDE,
                caption: String::new(),
            })
        })
        .collect()
}

/// Small multiples of all other recorded quantities.
pub(super) fn diagnostics(runs: &[Facts], labels: &[String]) -> Option<String> {
    let figures: String = recorded(runs)
        .iter()
        .filter_map(|q| small_multiple(q, runs, labels))
        .collect();
    if figures.is_empty() {
        return None;
    }
    let keys = labels
        .iter()
        .enumerate()
        .map(|(style, label)| (label.as_str(), style));
    let legend = if runs.len() > 1 {
        legend(keys)
    } else {
        String::new()
    };
    Some(format!(
        "<p>What the learner itself sees, iteration by iteration (horizontal).</p>{legend}<div class=\"multiples\">{figures}</div>"
    ))
}

fn small_chart(q: &Quantity, runs: &[Facts], labels: &[String]) -> Chart {
    let lines = runs
        .iter()
        .zip(labels)
        .enumerate()
        .map(|(style, (run, label))| Line {
            label: label.clone(),
            style,
            points: run.curve(&q.name),
            band: Vec::new(),
        });
    let lines: Vec<Line> = lines.filter(|l| !l.points.is_empty()).collect();
    let outside = |[low, high]: [f64; 2]| {
        lines
            .iter()
            .flat_map(|l| &l.points)
            .any(|p| p[1] < low || p[1] > high)
    };
    Chart {
        name: format!("{} by iteration", q.title),
        // The section's introduction names it once for all.
        x_label: String::new(),
        y_label: q.unit.into(),
        range: q.range.filter(|r| !outside(*r)),
        levels: q
            .level
            .iter()
            .map(|(value, name)| Level {
                name: (*name).into(),
                value: *value,
            })
            .collect(),
        lines,
        marks: false,
    }
}

fn small_multiple(q: &Quantity, runs: &[Facts], labels: &[String]) -> Option<String> {
    let plot = small_chart(q, runs, labels).svg(SMALL)?;
    Some(format!(
        "<figure class=\"chart\"><h3>{}</h3>{plot}<figcaption>{}</figcaption></figure>",
        escape(&q.title),
        q.reading
    ))
}
