//! Several runs: what to call each, and which belong on the same axes.

use super::facts::Facts;
use super::text::escape;

/// Runs of one environment, whose returns and motions can be compared.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) env: Option<&'a str>,
    /// Whether the page has other environments too.
    pub(super) one_of_many: bool,
    pub(super) members: Vec<Member<'a>>,
}

/// A run in its group.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) run: &'a Facts<'a>,
    /// Tells it apart within the group.
    pub(super) label: String,
    /// Index into the series' colours, the same all over the page.
    pub(super) style: usize,
}

impl Group<'_> {
    /// A heading, where the page has several environments.
    pub(super) fn heading(&self) -> String {
        if self.one_of_many {
            format!("<h3>{}</h3>", escape(self.name()))
        } else {
            String::new()
        }
    }

    /// The environment's name.
    pub(super) fn name(&self) -> &str {
        self.env.unwrap_or("unknown environment")
    }
}

/// Groups the runs by environment, in order of appearance.
pub(super) fn by_environment<'a>(runs: &'a [Facts<'a>]) -> Vec<Group<'a>> {
    let mut envs: Vec<Option<&str>> = Vec::new();
    for run in runs {
        if !envs.contains(&run.env.as_deref()) {
            envs.push(run.env.as_deref());
        }
    }
    let one_of_many = envs.len() > 1;
    let group = |env: Option<&'a str>| {
        let own: Vec<(usize, &Facts)> = runs
            .iter()
            .enumerate()
            .filter(|(_, r)| r.env.as_deref() == env)
            .collect();
        let names = labels(&own.iter().map(|(_, r)| *r).collect::<Vec<_>>());
        let members = own.into_iter().zip(names);
        Group {
            env,
            one_of_many,
            members: members
                .map(|((style, run), label)| Member { run, label, style })
                .collect(),
        }
    };
    envs.into_iter().map(group).collect()
}

/// Short names that tell the runs apart: algorithm, then environment and seed where they differ.
pub(super) fn labels(runs: &[&Facts]) -> Vec<String> {
    let differ =
        |part: fn(&Facts) -> Option<String>| runs.windows(2).any(|w| part(w[0]) != part(w[1]));
    let env = differ(|f| f.env.clone());
    let seed = differ(|f| f.seed.map(|s| s.to_string()));
    let mut labels: Vec<String> = runs
        .iter()
        .map(|f| {
            let mut label = f.algo_title();
            if let (true, Some(env)) = (env, &f.env) {
                label += &format!(" on {env}");
            }
            if let (true, Some(seed)) = (seed, f.seed) {
                label += &format!(", seed {seed}");
            }
            label
        })
        .collect();
    for part in [
        |f: &Facts, _: usize| f.run.title.clone(),
        |_: &Facts, i: usize| format!("run {}", i + 1),
    ] {
        let before = labels.clone();
        for (i, label) in labels.iter_mut().enumerate() {
            if before.iter().filter(|other| *other == label).count() > 1 {
                *label += &format!(" ({})", part(runs[i], i));
            }
        }
    }
    labels
}

/// The key of several curves: colour, then dashes beyond eight.
pub(super) fn legend<'a>(entries: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let items = entries.into_iter().map(|(label, style)| {
        let dashes = ["", " dashed", " dotted"][(style / 8).min(2)];
        format!(
            r#"<li><span class="key{dashes} s{}" aria-hidden="true"></span><span class="label">{}</span></li>"#,
            style % 8,
            escape(label)
        )
    });
    format!(r#"<ul class="legend">{}</ul>"#, items.collect::<String>())
}
