//! The summary: the result in plain words and a few figures.

use super::run::{Group, Run};
use super::text::{self, escape, small};
use crate::evaluate::statistics::Estimate;
use crate::number::{count, counted, duration, fixed, typeset};

/// Scores of this many runs are shown side by side.
const MOST_TILES: usize = 6;

/// What the figures mean and what else there is to say, in words; empty for nothing.
pub(super) fn words(runs: &[Run]) -> String {
    let sentences: Vec<String> = match runs {
        [run] => [meaning(run), progress(run), cost(run)].into_iter().flatten().collect(),
        runs if runs.iter().any(|run| run.score().is_some()) => vec![
            "A normalised score of 0 is the return of random actions, 1 the mean return of the demonstrations.".into(),
        ],
        _ => Vec::new(),
    };
    match sentences.is_empty() {
        true => String::new(),
        false => format!("<p>{}</p>", sentences.join(" ")),
    }
}

/// The verdict on one run or several, their figures, and what there is to look at.
pub(super) fn html(runs: &[Run], groups: &[Group]) -> String {
    match runs {
        [] => "<p class=\"lead\">This report contains no run.</p>".into(),
        [run] => single(run),
        runs => several(runs, groups),
    }
}

fn single(run: &Run) -> String {
    let mut out = format!(r#"<p class="lead">{}</p>"#, outcome(run));
    out += &figures(run);
    out += &found(std::slice::from_ref(run));
    out
}

fn outcome(run: &Run) -> String {
    let algo = text::unbroken(&run.algo_title());
    let on = format!(" on <code>{}</code>", escape(run.env()));
    let from = run.demonstrated_episodes().map_or(String::new(), |n| {
        format!(" from {}", counted(n, "demonstration", "demonstrations"))
    });
    match run.score() {
        Some(score) => format!(
            "The policy that {algo} learned{from} {}{on}.",
            verdict(score)
        ),
        None if run.report.held_out.is_some() => format!(
            "{algo} learned a policy{on}{from}. Without a simulator it has no score; how well it predicts demonstrated \
             actions is below."
        ),
        None => format!(
            "{algo} learned a policy{on}{from}. It has not been evaluated: <code>costate evaluate</code> \
             adds its score to this page."
        ),
    }
}

/// A score in words, for a singular subject.
fn verdict(score: Estimate) -> &'static str {
    let [low, high] = score.ci95;
    match score.mean {
        _ if low > 1.0 => "outperforms the expert",
        // An interval entirely below 1 means that something is missing.
        s if s >= 0.95 && high >= 1.0 => "is as good as the expert",
        s if s >= 0.95 => "is nearly as good as the expert",
        s if s >= 0.8 => "comes close to the expert",
        s if s >= 0.5 => "is more than halfway from random actions to the expert",
        s if s >= 0.1 => "is better than random actions but far from the expert",
        _ if high < 0.0 => "is worse than random actions",
        _ => "is no better than random actions",
    }
}

/// The key figures, as a description list.
fn figures(run: &Run) -> String {
    let mut out = String::new();
    let mut figure = |name: &str, value: String, note: Option<String>| {
        let note = note.map_or(String::new(), |n| small(&n));
        out += &format!("<div><dt>{name}</dt><dd>{value}{note}</dd></div>");
    };
    if let (Some(Estimate { mean, ci95 }), Some(e)) = (run.score(), run.evaluation()) {
        let [mean, low, high] = [mean, ci95[0], ci95[1]].map(|v| fixed(v, 2));
        let interval = format!("95 % interval {low} to {high}");
        figure("Normalised score", mean, Some(interval));
        let [own, expert, random] =
            [e.policy_return.mean, e.expert_return, e.random_return].map(typeset);
        let against = format!("expert {expert}, random {random}");
        figure("True return", own, Some(against));
    }
    let seconds = run.last("seconds");
    if let Some(seconds) = seconds {
        let iterations = run.report.metrics.len() as f64;
        let iterations = counted(iterations, "iteration", "iterations");
        figure("Training time", duration(seconds), Some(iterations));
    }
    if let Some(steps) = run.last("env_steps").filter(|s| *s > 0.0) {
        let rate = seconds.filter(|s| *s > 0.0).map(|s| {
            let rate = count((steps / s).round());
            format!("{rate} per second, including learning")
        });
        figure("Simulated steps", count(steps), rate);
    }
    match out.as_str() {
        "" => out,
        figures => format!(r#"<dl class="figures">{figures}</dl>"#),
    }
}

fn meaning(run: &Run) -> Option<String> {
    let episodes = run.evaluation()?.episodes as f64;
    Some(format!(
        "A normalised score of 0 is the return of random actions, 1 the mean return of the \
         demonstrations; this one is the mean of {}.",
        counted(episodes, "episode", "episodes")
    ))
}

/// How the true return changed during training.
fn progress(run: &Run) -> Option<String> {
    let curve = run.curve("true_return");
    let (first, last) = (curve.first()?, curve.last()?);
    (curve.len() > 1).then(|| {
        format!(
            "During training, the mean true return of its rollouts went from {} to {}; the learner \
             never sees it.",
            typeset(first[1]),
            typeset(last[1])
        )
    })
}

fn cost(run: &Run) -> Option<String> {
    let rho = run.cost()?.spearman?;
    let words = match rho {
        r if r >= 0.9 => "almost exactly as",
        r if r >= 0.6 => "much as",
        r if r >= 0.3 => "only loosely the way",
        _ => "not the way",
    };
    Some(format!(
        "The learned cost ranks trajectories {words} the true cost does (Spearman’s ρ = {}).",
        fixed(rho, 2)
    ))
}

/// The score of every run, as a description list; nothing of more runs than a glance takes in, or of none evaluated.
fn scores(runs: &[Run]) -> String {
    let scored: Vec<(&Run, Estimate)> = runs
        .iter()
        .filter_map(|run| Some((run, run.score()?)))
        .collect();
    if scored.is_empty() || scored.len() > MOST_TILES {
        return String::new();
    }
    let tile = |(run, score): &(&Run, Estimate)| {
        let [low, high] = score.ci95.map(|v| fixed(v, 3));
        format!(
            r#"<div class="s{}"><dt>{}</dt><dd>{}{}</dd></div>"#,
            run.style % 8,
            text::unbroken(&run.label),
            fixed(score.mean, 3),
            small(&format!(
                "normalised score, 95 % interval {low} to\u{a0}{high}"
            ))
        )
    };
    let tiles: String = scored.iter().map(tile).collect();
    format!(r#"<dl class="figures scores">{tiles}</dl>"#)
}

/// What there is to know of what went wrong: names that lead to the findings.
fn found(runs: &[Run]) -> String {
    let of = |run: &Run| {
        let names: Vec<String> = run.report.findings.iter().map(|f| escape(f.name)).collect();
        let whose = match run.one_of_many {
            true => format!(" ({})", text::unbroken(&run.label)),
            false => String::new(),
        };
        (!names.is_empty()).then(|| format!("{}{whose}", names.join(", ")))
    };
    let all: Vec<String> = runs.iter().filter_map(of).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!(
            r##"<p class="found"><a href="#findings">Findings</a>: {}.</p>"##,
            all.join("; ")
        ),
    }
}

fn several(runs: &[Run], groups: &[Group]) -> String {
    let count = runs.len();
    let code = |g: &Group| format!("<code>{}</code>", escape(g.env));
    let envs: Vec<String> = groups.iter().map(code).collect();
    let mut out = format!(r#"<p class="lead">{count} runs on {}."#, text::list(&envs));
    let mut unscored: Vec<String> = Vec::new();
    for group in groups {
        let scores = group.members.iter().filter_map(|m| Some((m, m.score()?)));
        if let Some((best, score)) = scores.max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)) {
            let on = if group.one_of_many {
                format!("On {} the", code(group))
            } else {
                "The".into()
            };
            let label = text::unbroken(&best.label);
            out += &format!(" {on} best policy, {label}, {}.", verdict(score));
        }
        let missing = group.members.iter();
        let missing = missing.filter(|m| m.score().is_none() && m.report.held_out.is_none());
        unscored.extend(missing.map(|m| match group.one_of_many {
            true => format!("{} on {}", text::unbroken(&m.label), code(group)),
            false => text::unbroken(&m.label),
        }));
    }
    out += "</p>";
    out += &scores(runs);
    out += &found(runs);
    if !unscored.is_empty() {
        out += &format!(
            "<p>Not evaluated yet: {}. <code>costate evaluate</code> adds the score.</p>",
            text::list(&unscored)
        );
    }
    out
}
