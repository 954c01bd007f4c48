//! How policies fare with noise they never met, and in worlds that differ.

use serde_json::Value;

use super::chart::{Chart, Level, Line};
use super::dots::{self, Block, Entry, policy_title};
use super::facts::{Facts, array, number, string};
use super::figure::{Figure, Key, Sign, slug};
use super::frame::MEDIUM;
use super::row::{Estimate, estimate};
use super::text::escape;

/// Scores beyond these would hide what happens between: they are drawn at the edge.
const SHOWN: [f64; 2] = [-0.5, 1.5];

/// What is changed along a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    ActionNoise,
    ObservationNoise,
}

impl Disturbance {
    const ALL: [Self; 2] = [Self::ActionNoise, Self::ObservationNoise];

    /// As `evaluation.json` names it.
    fn key(self) -> &'static str {
        match self {
            Self::ActionNoise => "action_noise",
            Self::ObservationNoise => "observation_noise",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::ActionNoise => "Noise on actions",
            Self::ObservationNoise => "Noise on observations",
        }
    }
}

/// A policy's score somewhere.
struct Scored {
    policy: String,
    returns: Option<Estimate>,
    score: Option<Estimate>,
}

fn scored(point: &Value) -> impl Iterator<Item = Scored> {
    array(point, "policies").filter_map(|p| {
        Some(Scored {
            policy: string(p, "/policy")?,
            returns: estimate(p.get("return"), p.get("ci95")),
            score: estimate(p.get("normalized_score"), p.get("normalized_score_ci95")),
        })
    })
}

fn curves<'a>(run: &Facts<'a>, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    array(run.evaluation(), "robustness")
        .filter(move |c| c.get("kind").and_then(Value::as_str) == Some(kind))
}

/// Names of all policies in order of appearance: the same policy has the same colour everywhere.
fn policies(runs: &[Facts]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for run in runs {
        for curve in array(run.evaluation(), "robustness") {
            for s in array(curve, "points").flat_map(scored) {
                if !names.contains(&s.policy) {
                    names.push(s.policy);
                }
            }
        }
    }
    // The learned policy comes first, in the colour that it has elsewhere.
    names.sort_by_key(|name| runs.iter().map(|r| r.kind(name)).min());
    names
}

/// One chart a run and kind of noise.
pub(super) fn figures(runs: &[Facts], labels: &[String]) -> Vec<Figure> {
    let names = policies(runs);
    let mut out = Vec::new();
    for (run, label) in runs.iter().zip(labels) {
        for kind in Disturbance::ALL {
            let of = match runs.len() {
                1 => String::new(),
                _ => format!(", {label}"),
            };
            let drawn = curves(run, kind.key()).filter_map(|c| noise(c, kind, &names, &of));
            out.extend(drawn);
        }
    }
    out
}

fn noise(curve: &Value, kind: Disturbance, names: &[String], of: &str) -> Option<Figure> {
    let mut lines: Vec<Line> = Vec::new();
    let mut beyond = false;
    let mut held = |v: f64| {
        beyond |= !(SHOWN[0]..=SHOWN[1]).contains(&v);
        v.clamp(SHOWN[0], SHOWN[1])
    };
    for (style, name) in names.iter().enumerate() {
        let mut measured: Vec<(f64, Estimate)> = array(curve, "points")
            .filter_map(|point| {
                let level = number(point, "/level")?;
                let own = scored(point).find(|s| s.policy == *name)?;
                Some((level, own.score?))
            })
            .collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        if measured.is_empty() {
            continue;
        }
        let band = measured.iter().filter_map(|(x, e)| Some((*x, e.ci95?)));
        lines.push(Line {
            label: policy_title(name),
            style,
            band: band
                .map(|(x, [low, high])| [x, held(low), held(high)])
                .collect(),
            points: measured.iter().map(|(x, e)| [*x, held(e.mean)]).collect(),
        });
    }
    let chart = Chart {
        name: format!("Normalised score by {}", kind.title().to_lowercase()),
        x_label: "Level of noise".into(),
        y_label: "Normalised score".into(),
        levels: vec![
            Level {
                name: "expert".into(),
                value: 1.0,
            },
            Level {
                name: "random".into(),
                value: 0.0,
            },
        ],
        range: None,
        marks: true,
        lines,
    };
    let unit = string(curve, "/unit").filter(|u| !u.is_empty());
    let unit = unit.map_or(String::new(), |u| format!("Level: {}. ", escape(&u)));
    let edge = match beyond {
        true => "Scores below −0.5 or above 1.5 are drawn at the edge.",
        false => "",
    };
    let key = chart.lines.iter().map(|l| Key {
        label: l.label.clone(),
        sign: Sign::Mark(l.style),
    });
    Some(Figure {
        name: slug(&format!("robustness-{}{of}", kind.key())),
        heading: format!("{}{of}", kind.title()),
        key: key.collect(),
        plot: chart.svg(MEDIUM)?,
        size: MEDIUM,
        caption: format!("{unit}{edge}"),
    })
}

/// The variants of the world, one block each.
pub(super) fn variants(run: &Facts) -> Vec<Block> {
    let points = curves(run, "variant").flat_map(|c| array(c, "points"));
    points
        .filter_map(|point| {
            Some(Block {
                title: string(point, "/name")?,
                summary: string(point, "/summary").unwrap_or_default(),
                verdict: String::new(),
                entries: scored(point)
                    .map(|s| Entry {
                        kind: run.kind(&s.policy),
                        policy: s.policy,
                        returns: s.returns,
                        score: s.score,
                    })
                    .collect(),
            })
        })
        .collect()
}

/// The section; `None` where nobody asked for it.
pub(super) fn html(runs: &[Facts], labels: &[String]) -> Option<String> {
    let figures: String = figures(runs, labels)
        .iter()
        .map(|f| f.html(r#" class="chart" data-reads="level""#))
        .collect();
    let mut out = String::new();
    if !figures.is_empty() {
        out += &format!(
            "<p>Score when noise is added that no policy met while learning. Bands are 95 % bootstrap \
             intervals.</p><div class=\"multiples wide-ones\">{figures}</div>"
        );
    }
    let mut tables = String::new();
    for (run, label) in runs.iter().zip(labels) {
        if let Some(table) = dots::html(&variants(run)) {
            if runs.len() > 1 {
                tables += &format!("<h4>{}</h4>", escape(label));
            }
            tables += &table;
        }
    }
    if !tables.is_empty() {
        out += &format!(
            "<h3>In variants of the world</h3><p>The same policies where the world differs; nobody learned \
             there.</p>{tables}"
        );
    }
    (!out.is_empty()).then_some(out)
}
