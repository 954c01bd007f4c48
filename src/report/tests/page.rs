//! Whole pages: well-formed, safe, small, and faithful to their data.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::parse;
use super::samples::{cart_pole, cart_pole_run, metrics, pendulum, read, run};
use crate::diagnose::Finding;
use crate::report::run::{Run, by_environment};
use crate::report::{RunReport, curves_svg, html, strip_svg};

fn full() -> Vec<RunReport> {
    vec![
        run("gan-gcl", 0, 0.98),
        run("gan-gcl", 1, 0.9),
        run("bc", 0, 0.6),
        cart_pole_run(0),
    ]
}

#[test]
fn a_run_resumed_with_other_settings_says_so() {
    let mut runs = full();
    runs[0].config.changes = read(json!([
        { "from_iteration": 2, "key": "iterations", "from": 2, "to": 4 }
    ]));
    let text = parse(&html(&runs[..1]));
    let said = "resumed with other settings: iterations=4, before iteration 2 it was 2";
    assert!(text.contains(said), "{text}");
}

#[test]
fn pages_are_well_formed_and_hold_every_section() {
    let runs = full();
    let text = parse(&html(&runs[..1]));
    for words in [
        "as good as the expert",
        "Training time",
        "True return",
        "Learned cost of a trajectory",
        "Effective sample size",
        "costate train 'demos/pendulum energy' --algo gan-gcl --seed 0 --config settings.json",
        "costate record pendulum --expert energy -n 25",
    ] {
        assert!(text.contains(words), "{words}");
    }
    let text = parse(&html(&runs));
    for words in [
        "4 runs on",
        "GAN-GCL, seed 1",
        "behaviour cloning",
        "Differences between",
    ] {
        assert!(text.contains(words), "{words}");
    }
    parse(&strip_svg(&pendulum("expert", 1.0)));
    parse(&curves_svg(&runs[0]));
}

#[test]
fn the_first_screen_holds_verdict_scores_curve_and_what_went_wrong() {
    let mut runs = vec![run("gan-gcl", 0, 0.98), run("bc", 0, 0.6)];
    runs[1].findings = vec![Finding {
        name: "vague clone",
        seen: "σ is 0.7".into(),
        means: "Little was learned.",
        change: "raise iterations".into(),
        advice: Vec::new(),
    }];
    let page = html(&runs);
    let opening = page.split("</section>").next().unwrap();
    for words in [
        "The best policy",
        "0.980",
        "0.600",
        "True return",
        "vague clone",
    ] {
        assert!(opening.contains(words), "{words}");
    }
    assert!(opening.contains("class=\"figures scores\"") && opening.contains("class=\"opening\""));
    let place = |id: &str| page.find(&format!("<section id=\"{id}\"")).unwrap();
    assert!(place("evaluation") < place("findings") && place("findings") < place("motion"));
    // Several worlds have several curves, which take a section.
    runs.push(cart_pole_run(0));
    let page = html(&runs);
    assert!(page.contains("<section id=\"learning\"") && !page.contains("class=\"opening\""));
    parse(&page);
}

#[test]
fn a_baseline_that_is_a_run_of_its_own_is_not_repeated() {
    use crate::evaluate::robustness::{Change, Curve};
    let scored = |policy: &str, score: f64| {
        json!({ "policy": policy, "return": score, "ci95": [score, score], "normalized_score": score,
                "normalized_score_ci95": [score, score] })
    };
    let mut runs = vec![run("gan-gcl", 0, 0.98), run("bc", 0, 0.6)];
    let own = [
        vec![scored("gan-gcl", 0.9), scored("bc", 0.5)],
        vec![scored("bc", 0.5)],
    ];
    for (run, policies) in runs.iter_mut().zip(own) {
        let evaluation = run.evaluation.as_mut().unwrap();
        let of = |kind: &str, point: Value| -> Curve {
            let mut point = point;
            point["policies"] = policies.clone().into();
            read(json!({ "kind": kind, "unit": "", "points": [point] }))
        };
        evaluation.robustness = vec![
            of("action_noise", json!({ "level": 0.1 })),
            of(
                "variant",
                json!({ "name": "heavy_pole", "summary": "heavier" }),
            ),
        ];
        assert_eq!(evaluation.robustness[1].kind, Change::Variant);
    }
    let baseline = runs[1].evaluation.as_ref().unwrap().own().unwrap().clone();
    let rows = &mut runs[0].evaluation.as_mut().unwrap().rows;
    rows.retain(|row| row.policy != "bc");
    rows.push(baseline);
    let page = html(&runs);
    let section = |id: &str| {
        let from = page.find(&format!("<section id=\"{id}\"")).unwrap();
        page[from..].split("</section>").next().unwrap().to_owned()
    };
    let named = |section: &str, name: &str| {
        let label = format!("<span class=\"label\">{name}</span>");
        let cell = format!("<th scope=\"row\">{label}");
        section.matches(&cell).count()
            + section
                .matches(&format!("aria-hidden=\"true\"></span>{label}"))
                .count()
    };
    let robustness = section("robustness");
    assert_eq!(named(&robustness, "behaviour cloning"), 1, "{robustness}");
    assert_eq!(robustness.matches("heavy_pole").count(), 1);
    assert_eq!(robustness.matches("<figure").count(), 1);
    assert_eq!(named(&section("evaluation"), "behaviour cloning"), 1);
    // With other results it is another policy.
    let evaluation = runs[0].evaluation.as_mut().unwrap();
    evaluation.robustness[1].points[0].policies[1].mean_return = 0.4;
    let page = html(&runs);
    let from = page.find("<section id=\"robustness\"").unwrap();
    let robustness = page[from..].split("</section>").next().unwrap();
    assert_eq!(named(robustness, "behaviour cloning"), 2);
    parse(&page);
}

#[test]
fn findings_have_a_section_of_their_own() {
    let mut runs = full();
    assert!(!html(&runs).contains("id=\"findings\""));
    runs[1].findings = vec![Finding {
        name: "entropy runaway",
        seen: "σ is 3 > 2".into(),
        means: "It stays random.",
        change: "raise iterations".into(),
        advice: Vec::new(),
    }];
    let text = parse(&html(&runs));
    for words in ["Entropy runaway", "σ is 3 > 2", "raise iterations"] {
        assert!(text.contains(words), "{words}");
    }
}

#[test]
fn a_page_makes_no_network_requests() {
    let page = html(&full());
    // The one address is the name of the SVG namespace, which is never fetched.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for trace in [
        "http:", "https:", "//cdn", "@import", "url(", "fetch(", "XMLHttp", " src=",
    ] {
        assert!(!page.contains(trace), "{trace}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn hostile_text_stays_text() {
    let evil =
        "</script></title><script>alert('1')</script><img src=x onerror=\"f()\">\u{0}\u{1b}&amp;";
    let mut hostile = run("gan-gcl", 0, 0.98);
    hostile.title = evil.into();
    hostile.config.env.name = evil.into();
    hostile.config.costate_version = evil.into();
    let demonstrations = hostile
        .config
        .demonstrations
        .as_mut()
        .expect("samples imitate");
    demonstrations.path = evil.into();
    demonstrations.expert = evil.into();
    demonstrations.fingerprint = evil.into();
    hostile.motions[0].label = evil.into();
    for line in &mut hostile.metrics {
        line.insert(evil.into(), 1.0.into());
    }
    let evaluation = hostile.evaluation.as_mut().expect("samples are evaluated");
    evaluation.rows[0].policy = evil.into();
    let cost = evaluation.cost.as_mut().expect("samples have a cost");
    cost.cost_scatter[0].group = evil.into();
    for runs in [
        vec![hostile.clone()],
        vec![hostile.clone(), hostile.clone()],
    ] {
        let page = html(&runs);
        parse(&page);
        assert!(!page.contains("<script>alert") && !page.contains("<img"));
        // Ours: three scripts, and one block of data for the player.
        assert_eq!(page.matches("<script").count(), 4);
    }
    parse(&strip_svg(&hostile.motions[0]));
    parse(&curves_svg(&hostile));
}

#[test]
fn absent_and_broken_values_leave_gaps_not_errors() {
    let hole = |k: usize, value: Value| {
        let mut line = Map::new();
        line.insert("iteration".into(), k.into());
        line.insert("true_return".into(), value);
        line
    };
    let values = [
        json!(null),
        json!("x"),
        json!(-5.0),
        json!(1.7e308),
        json!(-1.7e308),
        json!([1]),
        json!(-4.0),
    ];
    let holes: Vec<_> = values
        .into_iter()
        .enumerate()
        .map(|(k, v)| hole(k, v))
        .collect();
    for evaluation in [None, run("gan-gcl", 0, 0.98).evaluation] {
        for metrics in [vec![], holes.clone()] {
            let report = RunReport {
                title: String::new(),
                metrics,
                evaluation: evaluation.clone(),
                motions: vec![],
                ..run("gan-gcl", 0, 0.98)
            };
            parse(&html(std::slice::from_ref(&report)));
            parse(&html(&[report.clone(), report.clone()]));
            parse(&curves_svg(&report));
        }
    }
    parse(&html(&[]));
    let report = RunReport {
        metrics: holes,
        ..run("gan-gcl", 0, 0.98)
    };
    // Two drawable values with a gap between: two dots, no line.
    assert_eq!(
        curves_svg(&report).matches("<circle class=\"dot").count(),
        2
    );
}

#[test]
fn one_point_and_constant_curves_are_drawn() {
    let mut single = run("gan-gcl", 0, 0.98);
    single.metrics.truncate(1);
    assert!(html(std::slice::from_ref(&single)).contains("class=\"dot"));
    parse(&html(&[single]));
    let mut constant = run("gan-gcl", 0, 0.98);
    for line in &mut constant.metrics {
        line.iter_mut()
            .filter(|(k, _)| *k != "iteration")
            .for_each(|(_, v)| *v = json!(0.0));
    }
    parse(&html(&[constant]));
}

#[test]
fn a_long_comparison_stays_under_two_megabytes() {
    let runs: Vec<RunReport> = (0..8)
        .map(|seed| {
            let mut report = run("gan-gcl", seed, 0.9);
            report.metrics = metrics(5000, seed);
            let moves = |i: u16| 1.0 + 0.01 * (f32::from(i) + 10.0 * seed as f32);
            report.motions = (0..4)
                .map(|i| cart_pole(&format!("policy {i}"), moves(i)))
                .collect();
            report
        })
        .collect();
    let page = html(&runs);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn an_unevaluated_run_says_what_to_do() {
    let report = RunReport {
        evaluation: None,
        ..run("gan-gcl", 0, 0.98)
    };
    let text = parse(&html(&[report]));
    assert!(text.contains("costate evaluate") && !text.contains("Normalised score"));
}

#[test]
fn the_kept_fresh_policy_is_shown() {
    let text = parse(&html(&[run("gan-gcl", 0, 0.98)]));
    assert!(
        text.contains("Fresh policy’s score") && text.contains("0.937") && text.contains("−0.012")
    );
    assert!(!text.contains("0.512"), "the other one was not kept");
    assert!(!parse(&html(&[run("bc", 0, 0.98)])).contains("Fresh policy"));
}

#[test]
fn words_follow_the_score() {
    for (score, words) in [
        (1.2, "outperforms the expert"),
        (0.98, "is as good as the expert"),
        (0.96, "nearly as good as the expert"),
        (0.85, "close to the expert"),
        (0.6, "more than halfway"),
        (0.2, "far from the expert"),
        (0.01, "no better than random"),
        (-0.5, "worse than random"),
    ] {
        assert!(
            parse(&html(&[run("gan-gcl", 0, score)])).contains(words),
            "{score}"
        );
    }
}

#[test]
fn shared_baselines_and_motions_appear_once() {
    let page = html(&[run("gan-gcl", 0, 0.98), run("gan-gcl", 1, 0.9)]);
    assert_eq!(
        page.matches("<span class=\"label\">expert</span>").count(),
        1
    );
    assert_eq!(page.matches("<h4>expert</h4>").count(), 1);
    assert_eq!(page.matches("<details><summary>Stills").count(), 1);
    // Three motions; two runs whose cost stands beside its parts.
    assert_eq!(page.matches("<h4>").count(), 5);
}

proptest! {
    #[test]
    fn labels_tell_runs_apart(
        picks in prop::collection::vec((0..2usize, 0..2usize, 0..2u64), 1..6),
    ) {
        let runs: Vec<RunReport> = picks
            .iter()
            .map(|&(env, algo, seed)| {
                let mut report = run(["bc", "gail"][algo], seed, 0.9);
                report.config.env.name = env.to_string();
                report.title = "same".into();
                report
            })
            .collect();
        let shown = Run::all(&runs);
        let mut names: Vec<&str> = shown.iter().map(|r| r.label.as_str()).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), runs.len());
        for group in by_environment(&shown) {
            let mut names: Vec<_> = group.members.iter().map(|m| m.label.clone()).collect();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), group.members.len());
        }
    }
}
