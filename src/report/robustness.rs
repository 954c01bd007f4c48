//! Scores of policies under unseen noise and in variants of the world.

use super::chart::{Chart, Level, Line};
use super::dots::{self, Block, Entry, policy_title};
use super::figure::{Figure, multiples};
use super::frame::MEDIUM;
use super::run::Run;
use super::text::escape;
use crate::evaluate::Curve;
use crate::evaluate::robustness::{Change, Point};

/// Range of the score axis; scores beyond it are drawn at the edge.
const SHOWN: [f64; 2] = [-0.5, 1.5];

/// The curves of a run.
fn curves<'a>(run: &Run<'a>) -> &'a [Curve] {
    run.evaluation().map_or(&[], |e| &e.robustness)
}

/// Names of all policies in order of appearance, so that a policy has the same colour everywhere.
fn policies<'a>(runs: &[Run<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let points = runs.iter().flat_map(curves).flat_map(|c| &c.points);
    for scored in points.flat_map(|p| &p.policies) {
        if !names.contains(&scored.policy.as_str()) {
            names.push(&scored.policy);
        }
    }
    // The learned policy comes first, in the colour that it has elsewhere.
    names.sort_by_key(|name| runs.iter().map(|r| r.kind(name)).min());
    names
}

/// One chart per run and kind of noise.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let names = policies(runs);
    let of_run = |run: &Run| {
        let drawn = curves(run)
            .iter()
            .filter_map(|c| noise(c, &names, &run.suffix()));
        drawn.collect::<Vec<_>>()
    };
    runs.iter().flat_map(of_run).collect()
}

/// Scores by noise level; `None` for changes other than noise.
fn noise(curve: &Curve, names: &[&str], of: &str) -> Option<Figure> {
    let (key, title) = match curve.kind {
        Change::ActionNoise => ("action_noise", "Noise on actions"),
        Change::ObservationNoise => ("observation_noise", "Noise on observations"),
        Change::Variant => return None,
    };
    let mut beyond = false;
    let mut held = |v: f64| {
        beyond |= !(SHOWN[0]..=SHOWN[1]).contains(&v);
        v.clamp(SHOWN[0], SHOWN[1])
    };
    let mut lines: Vec<Line> = Vec::new();
    for (style, name) in names.iter().enumerate() {
        let own = |point: &Point| {
            let own = point.policies.iter().find(|s| s.policy == *name)?;
            Some((point.level?, own.score()))
        };
        let mut measured: Vec<_> = curve.points.iter().filter_map(own).collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        if measured.is_empty() {
            continue;
        }
        let mut line = Line {
            label: policy_title(name),
            style,
            ..Line::default()
        };
        for (x, e) in measured {
            line.points.push([x, held(e.mean)]);
            line.band.push([x, held(e.ci95[0]), held(e.ci95[1])]);
        }
        lines.push(line);
    }
    let chart = Chart {
        name: format!("Normalised score by {}", title.to_lowercase()),
        x_label: "Noise level".into(),
        y_label: "Normalised score".into(),
        levels: vec![Level::new("expert", 1.0), Level::new("random", 0.0)],
        marks: true,
        lines,
        ..Chart::default()
    };
    let unit = match curve.unit.as_str() {
        "" => String::new(),
        unit => format!("Level: {}. ", escape(unit)),
    };
    let edge = match beyond {
        true => "Scores below −0.5 or above 1.5 are drawn at the edge.",
        false => "",
    };
    let name = format!("robustness-{key}{of}");
    Some(Figure {
        caption: format!("{unit}{edge}"),
        ..chart.figure(&name, &format!("{title}{of}"), MEDIUM)?
    })
}

/// The variants of the world, one block each.
pub(super) fn variants(run: &Run) -> Vec<Block> {
    let curves = curves(run).iter().filter(|c| c.kind == Change::Variant);
    let block = |point: &Point| {
        let entries = point.policies.iter();
        Some(Block {
            title: point.name.clone()?,
            summary: point.summary.clone().unwrap_or_default(),
            verdict: String::new(),
            entries: entries
                .map(|s| Entry::of_scored(run.kind(&s.policy), s))
                .collect(),
        })
    };
    curves.flat_map(|c| &c.points).filter_map(block).collect()
}

/// The section; `None` if not requested.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let attributes = r#" class="chart" data-reads="level""#;
    let figures = multiples("multiples wide-ones", &figures(runs), attributes).map(|figures| {
        format!(
            "<p>Score under added noise that no policy saw in training. Bands are 95 % bootstrap \
             intervals.</p>{figures}"
        )
    });
    let tables = dots::tables(runs, 4, variants).map(|tables| {
        format!(
            "<h3>In variants of the world</h3><p>The same policies in changed worlds, without further \
             training.</p>{tables}"
        )
    });
    let parts: String = [figures, tables].into_iter().flatten().collect();
    (!parts.is_empty()).then_some(parts)
}
