//! Scores of policies under unseen noise and in variants of the world.

use super::chart::{Chart, Level, Line};
use super::dots::{self, Block, Entry, Named, policy_title};
use super::figure::{Figure, multiples};
use super::frame::MEDIUM;
use super::run::{Group, Kind, Run};
use super::text::escape;
use crate::evaluate::Curve;
use crate::evaluate::robustness::{Change, Point, Scored};

/// Range of the score axis; scores beyond it are drawn at the edge.
const SHOWN: [f64; 2] = [-0.5, 1.5];

/// A policy measured under a kind of change, as it is shown among the runs of an environment.
struct Measured<'a> {
    named: Named,
    /// Its name in the evaluation.
    policy: &'a str,
    /// By point of the curve.
    scored: Vec<(&'a Point, &'a Scored)>,
}

impl<'a> Measured<'a> {
    /// What was found, and where.
    fn results(&self) -> Vec<(Option<f64>, Option<&'a str>, &'a Scored)> {
        let scored = self.scored.iter();
        scored
            .map(|(point, scored)| (point.level, point.name.as_deref(), *scored))
            .collect()
    }
}

/// Every policy of a group under a kind of change: the learned ones first, then the baselines, of which those with the same
/// results appear once, and not beside the run that they are the policy of.
fn measured<'a>(group: &Group<'a>, kind: Change) -> Vec<Measured<'a>> {
    let mut all: Vec<Measured> = Vec::new();
    for run in &group.members {
        let curves = run.evaluation().map_or(&[][..], |e| &e.robustness);
        for curve in curves.iter().filter(|c| c.kind == kind) {
            for policy in policies(curve) {
                let own = |point: &'a Point| {
                    let own = point.policies.iter().find(|s| s.policy == policy)?;
                    Some((point, own))
                };
                all.push(Measured {
                    named: named(run, policy, group.members.len()),
                    policy,
                    scored: curve.points.iter().filter_map(own).collect(),
                });
            }
        }
    }
    all.sort_by_key(|m| m.named.kind != Kind::Learned);
    let mut kept: Vec<Measured> = Vec::new();
    for one in all {
        let same =
            |other: &Measured| other.policy == one.policy && other.results() == one.results();
        if one.named.kind == Kind::Learned || !kept.iter().any(same) {
            kept.push(one);
        }
    }
    // Baselines have the colours that runs leave.
    let used = group.members.iter().map(|m| m.style + 1).max();
    let others = kept.iter_mut().filter(|m| m.named.kind != Kind::Learned);
    for (other, style) in others.zip(used.unwrap_or(0)..) {
        other.named.style = style;
    }
    kept
}

/// Names of a curve's policies in order of appearance.
fn policies(curve: &Curve) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for scored in curve.points.iter().flat_map(|p| &p.policies) {
        if !names.contains(&scored.policy.as_str()) {
            names.push(&scored.policy);
        }
    }
    names
}

fn named(run: &Run, policy: &str, members: usize) -> Named {
    let kind = run.kind(policy);
    Named {
        label: match kind {
            Kind::Learned if members > 1 => run.label.clone(),
            _ => policy_title(policy),
        },
        kind,
        style: run.style,
    }
}

/// A chart per environment and kind of noise.
pub(super) fn figures(groups: &[Group]) -> Vec<Figure> {
    let of_group = |group: &Group| {
        [Change::ActionNoise, Change::ObservationNoise]
            .into_iter()
            .filter_map(|kind| noise(group, kind))
            .collect::<Vec<_>>()
    };
    groups.iter().flat_map(of_group).collect()
}

/// Scores by noise level; `None` for changes other than noise.
fn noise(group: &Group, kind: Change) -> Option<Figure> {
    let (key, title) = match kind {
        Change::ActionNoise => ("action_noise", "Noise on actions"),
        Change::ObservationNoise => ("observation_noise", "Noise on observations"),
        Change::Variant => return None,
    };
    let of = group.suffix();
    let mut beyond = false;
    let mut held = |v: f64| {
        beyond |= !(SHOWN[0]..=SHOWN[1]).contains(&v);
        v.clamp(SHOWN[0], SHOWN[1])
    };
    let mut lines: Vec<Line> = Vec::new();
    for policy in measured(group, kind) {
        let scored = policy.scored.iter();
        let mut levels: Vec<_> = scored
            .filter_map(|(point, scored)| Some((point.level?, scored.score())))
            .collect();
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        if levels.is_empty() {
            continue;
        }
        let mut line = Line {
            label: policy.named.label,
            style: policy.named.style,
            ..Line::default()
        };
        for (x, e) in levels {
            line.points.push([x, held(e.mean)]);
            line.band.push([x, held(e.ci95[0]), held(e.ci95[1])]);
        }
        lines.push(line);
    }
    let curves = group.members.iter().filter_map(Run::evaluation);
    let mut curves = curves.flat_map(|e| &e.robustness);
    let unit = curves.find(|c| c.kind == kind).map(|c| c.unit.as_str());
    let chart = Chart {
        name: format!("Normalised score by {}", title.to_lowercase()),
        x_label: "Noise level".into(),
        y_label: "Normalised score".into(),
        levels: vec![Level::new("expert", 1.0), Level::new("random", 0.0)],
        marks: true,
        lines,
        ..Chart::default()
    };
    let unit = match unit.unwrap_or_default() {
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
pub(super) fn variants(group: &Group) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for policy in measured(group, Change::Variant) {
        for (point, scored) in policy.scored {
            let Some(title) = &point.name else { continue };
            let place = blocks.iter().position(|b| b.title == *title);
            let place = place.unwrap_or_else(|| {
                blocks.push(Block {
                    title: title.clone(),
                    summary: point.summary.clone().unwrap_or_default(),
                    ..Block::default()
                });
                blocks.len() - 1
            });
            let entry = Entry::of_scored(&policy.named, scored);
            blocks[place].entries.push(entry);
        }
    }
    blocks
}

/// The section; `None` if not requested.
pub(super) fn html(groups: &[Group]) -> Option<String> {
    let attributes = r#" class="chart" data-reads="level""#;
    let figures = multiples("multiples wide-ones", &figures(groups), attributes).map(|figures| {
        format!(
            "<p>Score under added noise that no policy saw in training. Bands are 95 % bootstrap \
             intervals.</p>{figures}"
        )
    });
    let table = |group: &Group| Some(group.heading() + &dots::table(&variants(group))?);
    let tables: String = groups.iter().filter_map(table).collect();
    let tables = (!tables.is_empty()).then(|| {
        format!(
            "<h3>In variants of the world</h3><p>The same policies in changed worlds, without further \
             training.</p>{tables}"
        )
    });
    let parts: String = [figures, tables].into_iter().flatten().collect();
    (!parts.is_empty()).then_some(parts)
}
