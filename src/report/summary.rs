//! The summary: what came out, in plain words and a few figures.

use super::facts::Facts;
use super::group::Group;
use super::row::Estimate;
use super::text::{self, escape};

/// The summary of one run or several.
pub(super) fn html(runs: &[Facts], groups: &[Group]) -> String {
    match runs {
        [] => "<p class=\"lead\">There is no run in this report.</p>".into(),
        [run] => single(run),
        runs => several(runs.len(), groups),
    }
}

fn single(run: &Facts) -> String {
    let mut out = format!(r#"<p class="lead">{}</p>"#, outcome(run));
    out += &figures(run);
    let sentences: Vec<String> = [meaning(run), progress(run), cost(run)]
        .into_iter()
        .flatten()
        .collect();
    if !sentences.is_empty() {
        out += &format!("<p>{}</p>", sentences.join(" "));
    }
    out
}

fn outcome(run: &Facts) -> String {
    let algo = text::unbroken(&run.algo_title());
    let on = run
        .env
        .as_ref()
        .map(|e| format!(" on <code>{}</code>", escape(e)))
        .unwrap_or_default();
    let from = run
        .demonstrated_episodes()
        .map(|n| {
            format!(
                " from {}",
                text::counted(n, "demonstration", "demonstrations")
            )
        })
        .unwrap_or_default();
    match run.score {
        Some(score) => format!(
            "The policy that {algo} learned{from} {}{on}.",
            verdict(score)
        ),
        None if run.run.evaluation.is_some() => {
            format!("{algo} learned a policy{on}{from}; its evaluation holds no score.")
        }
        None => format!(
            "{algo} learned a policy{on}{from}. It has not been evaluated: <code>costate evaluate</code> \
             adds its score to this page."
        ),
    }
}

/// How good a score is, in words, for a subject in the singular.
fn verdict(score: Estimate) -> &'static str {
    let certainly = |test: fn([f64; 2]) -> bool| score.ci95.is_some_and(test);
    match score.mean {
        _ if certainly(|[low, _]| low > 1.0) => "does better than the expert’s demonstrations",
        // Honest to the interval: one that lies below 1 says that something is missing.
        s if s >= 0.95 && !certainly(|[_, high]| high < 1.0) => "is as good as the expert",
        s if s >= 0.95 => "is nearly as good as the expert",
        s if s >= 0.8 => "comes close to the expert",
        s if s >= 0.5 => "goes more than half of the way from random actions to the expert",
        s if s >= 0.1 => "is better than random actions but far from the expert",
        _ if certainly(|[_, high]| high < 0.0) => "does worse than random actions",
        _ => "is no better than random actions",
    }
}

/// The figures at the top, as a description list.
fn figures(run: &Facts) -> String {
    let interval = |e: Estimate, format: fn(f64) -> String| {
        e.ci95
            .map(|[low, high]| format!("95 % interval {} to {}", format(low), format(high)))
    };
    let score = |v: f64| text::fixed(v, 2);
    let mut out = String::from(r#"<dl class="figures">"#);
    let mut figure = |name: &str, value: String, note: Option<String>| {
        let note = note
            .map(|n| format!("<small>{n}</small>"))
            .unwrap_or_default();
        out += &format!("<div><dt>{name}</dt><dd>{value}{note}</dd></div>");
    };
    if let Some(e) = run.score {
        figure(
            "Normalised score",
            score(e.mean),
            interval(e, |v| text::fixed(v, 2)),
        );
    }
    if let Some(e) = run.returns {
        let against = [("expert", run.expert_return), ("random", run.random_return)];
        let against: Vec<String> = against
            .iter()
            .filter_map(|(name, v)| v.map(|v| format!("{name} {}", text::number(v))))
            .collect();
        figure(
            "True return",
            text::number(e.mean),
            Some(against.join(", ")).filter(|s| !s.is_empty()),
        );
    }
    if let Some(seconds) = run.last("seconds") {
        let iterations = text::counted(run.run.metrics.len() as f64, "iteration", "iterations");
        figure("Training time", text::duration(seconds), Some(iterations));
    }
    if let Some(steps) = run.last("env_steps").filter(|s| *s > 0.0) {
        let rate = run.last("seconds").filter(|s| *s > 0.0).map(|s| {
            format!(
                "{} a second, learning included",
                text::count((steps / s).round())
            )
        });
        figure("Simulated steps", text::count(steps), rate);
    }
    if !out.contains("<div>") {
        String::new()
    } else {
        out + "</dl>"
    }
}

fn meaning(run: &Facts) -> Option<String> {
    run.score?;
    let episodes = run.evaluated("episodes").map(|n| {
        format!(
            "; this one is the mean of {}",
            text::counted(n, "episode", "episodes")
        )
    });
    Some(format!(
        "A normalised score of 0 is the return of random actions, 1 the mean return of the \
         demonstrations{}.",
        episodes.unwrap_or_default(),
    ))
}

/// From where to where the true return went while learning.
fn progress(run: &Facts) -> Option<String> {
    let curve = run.curve("true_return");
    let (first, last) = (curve.first()?, curve.last()?);
    (curve.len() > 1).then(|| {
        format!(
            "While learning, the mean true return of its rollouts went from {} to {}; the learner \
             never sees it.",
            text::number(first[1]),
            text::number(last[1])
        )
    })
}

fn cost(run: &Facts) -> Option<String> {
    let rho = run.evaluated("spearman")?;
    let words = match rho {
        r if r >= 0.9 => "almost as",
        r if r >= 0.6 => "much as",
        r if r >= 0.3 => "only loosely as",
        _ => "not as",
    };
    Some(format!(
        "The learned cost ranks trajectories {words} the true cost does (Spearman’s ρ = {}).",
        text::fixed(rho, 2)
    ))
}

fn several(count: usize, groups: &[Group]) -> String {
    let code = |g: &Group| format!("<code>{}</code>", escape(g.name()));
    let envs: Vec<String> = groups.iter().map(code).collect();
    let mut out = format!(r#"<p class="lead">{count} runs on {}."#, text::list(&envs));
    let mut unscored: Vec<String> = Vec::new();
    let mut scored = false;
    for group in groups {
        let scores = group.members.iter().filter_map(|m| Some((m, m.run.score?)));
        if let Some((best, score)) = scores.max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)) {
            let on = if group.one_of_many {
                format!("On {} the", code(group))
            } else {
                "The".into()
            };
            let label = text::unbroken(&best.label);
            out += &format!(" {on} best policy, {label}, {}.", verdict(score));
            scored = true;
        }
        let missing = group.members.iter().filter(|m| m.run.score.is_none());
        unscored.extend(missing.map(|m| match group.one_of_many {
            true => format!("{} on {}", text::unbroken(&m.label), code(group)),
            false => text::unbroken(&m.label),
        }));
    }
    out += "</p>";
    if scored {
        out += "<p>A normalised score of 0 is the return of random actions, 1 the mean return of the \
                demonstrations.</p>";
    }
    if !unscored.is_empty() {
        out += &format!(
            "<p>Not evaluated yet: {}. <code>costate evaluate</code> adds the score.</p>",
            text::list(&unscored)
        );
    }
    out
}
