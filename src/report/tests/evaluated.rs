//! Pages of complete, partial and damaged evaluations.

use serde_json::Map;

use super::parse;
use super::rich::{landscape, rich};
use super::samples::run;
use crate::evaluate::Evaluation;
use crate::report::run::{Run, by_environment};
use crate::report::{RunReport, Walker, data, html, pictures, png};
use crate::run::settings::{Override, resolve};

#[test]
fn a_rich_evaluation_is_shown_in_full() {
    let page = html(&[rich(0)]);
    let text = parse(&page);
    for words in [
        "Solved",
        "93\u{a0}%",
        "Distance",
        "Two halves of the demonstrations are 0.060 apart",
        "Noise on actions",
        "Noise on observations",
        "standard deviation of each action <",
        "wall_right",
        "δ = −0.007: the cost is sound here",
        "δ = 0.210: the cost is exploited here",
        "Score 1 is the expert, designed for this variant",
        "no more than the clone",
        "not compared with the clone",
        "−log π_0 alone",
        "c_θ alone",
        "0.18",
        "−0.08",
        "± 12.5",
        "The clone’s share",
        "(0.810 to 0.910)",
        "Ranking accuracy",
        "(0.880 to 0.960)",
        "Single steps",
        "Cost landscape",
        "angular_velocity, rad/s",
        "cost, nats",
        "Calibration error 0.043.",
        "ESS 0.39",
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(page.contains("data:image/png;base64,"));
    assert_eq!(page.matches("data-second=").count(), 3);
    assert_eq!(
        page.matches("data-second=\"angular_velocity\" hidden")
            .count(),
        1
    );
}

#[test]
fn parts_without_data_are_left_out() {
    let page = html(&[run("gan-gcl", 0, 0.98)]);
    for trace in [
        "id=\"robustness\"",
        "id=\"transfer\"",
        "class=\"landscape\"",
        ">Solved<",
        ">Distance<",
        "Importance weights",
    ] {
        assert!(!page.contains(trace), "{trace}");
    }
}

#[test]
fn an_evaluation_is_read_back_whole_and_a_damaged_one_says_where() {
    let whole = rich(0).evaluation.expect("samples are evaluated");
    let json = serde_json::to_value(&whole).expect("JSON");
    assert_eq!(Evaluation::from_json(&json.to_string()), Ok(whole));
    for (pointer, named) in [
        ("/rows/1/return", "rows[1].return"),
        (
            "/base_alone/policies/1/delta",
            "base_alone.policies[1].delta",
        ),
        ("/transfer/0/frozen/policies/0/delta", "transfer[0]"),
        ("/robustness/0/points/0/policies/0/ci95/1", "robustness[0]"),
        // Parts that serde treats as absent if they do not match.
        ("/cost_scatter/3/true", "cost_scatter[3].true"),
        ("/ess", "ess"),
        ("/calibration/2/count", "calibration[2].count"),
    ] {
        let mut damaged = json.clone();
        *damaged.pointer_mut(pointer).expect(pointer) = "x".into();
        let reason = Evaluation::from_json(&damaged.to_string()).expect_err(pointer);
        assert!(reason.contains(named), "{pointer}: {reason}");
    }
    // Fields added by later versions may be absent.
    let mut early = json;
    for field in [
        "robustness",
        "transfer",
        "frozen",
        "base_alone",
        "without_base",
        "standing",
        "base_share",
        "correlations",
        "calibration",
        "epic_ci95",
    ] {
        early.as_object_mut().expect("an object").remove(field);
    }
    let early = Evaluation::from_json(&early.to_string()).expect("an early evaluation");
    assert!(early.cost.is_some_and(|c| c.discriminator.is_some()));
}

fn everything(runs: &[RunReport]) {
    let page = html(runs);
    parse(&page);
    assert!(!page.contains("<script>alert"));
    for picture in pictures(runs) {
        parse(&picture.svg);
    }
}

#[test]
fn hostile_names_stay_text_and_make_harmless_file_names() {
    let evil = "../</svg><script>alert('1')</script>\u{0}";
    let mut hostile = rich(0);
    hostile.title = evil.into();
    let evaluation = hostile.evaluation.as_mut().expect("samples are evaluated");
    evaluation.robustness[0].unit = evil.into();
    evaluation.robustness[0].points[0].policies[0].policy = evil.into();
    evaluation.robustness[2].points[0].name = Some(evil.into());
    evaluation.transfer[0].summary = evil.into();
    evaluation.transfer[0].rows[0].policy = evil.into();
    let cost = evaluation.cost.as_mut().expect("samples have a cost");
    cost.correlations[0].distribution = evil.into();
    let landscape = hostile.landscape.as_mut().expect("samples have one");
    landscape.channels[0].name = evil.into();
    landscape.channels[1].unit = evil.into();
    everything(&[hostile.clone()]);
    everything(&[hostile.clone(), hostile.clone()]);
    for picture in pictures(&[hostile]) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        assert!(picture.name.chars().all(plain), "{}", picture.name);
    }
}

#[test]
fn odd_landscapes_are_drawn_or_left_out() {
    let mut odd = Vec::new();
    let mut changed = |change: fn(&mut crate::report::Landscape)| {
        let mut l = landscape(0);
        change(&mut l);
        odd.push(l);
    };
    changed(|l| l.surfaces.clear());
    changed(|l| l.paths.clear());
    changed(|l| l.surfaces[0].cost.truncate(3));
    changed(|l| l.surfaces[0].size = 0);
    changed(|l| l.surfaces[0].x = 99);
    changed(|l| l.surfaces[0].x_range = [f64::NAN, 1.0]);
    changed(|l| l.surfaces[0].y_range = [1.0, 1.0]);
    changed(|l| l.surfaces[0].cost.fill(f32::NAN));
    changed(|l| l.surfaces[0].cost.fill(2.0));
    changed(|l| l.surfaces[0].cost[5] = f32::INFINITY);
    changed(|l| l.paths[0].points[1] = vec![]);
    changed(|l| l.paths[0].points[1].fill(f32::NAN));
    changed(|l| l.paths[0].points[1].fill(1e30));
    changed(|l| {
        // Endless loops, which would cover the map as lines.
        let round = |i: u16| vec![3.0 * f32::from(i).cos(), 7.0 * f32::from(i).sin(), 0.0];
        l.paths[0].points = (0..10_000).map(round).collect();
    });
    changed(|l| l.paths[0].points = vec![vec![0.5; 3]; 10_000]);
    let mut spotted = 0;
    for landscape in odd {
        let mut report = rich(0);
        report.landscape = Some(landscape);
        spotted += usize::from(html(std::slice::from_ref(&report)).contains("class=\"spot "));
        everything(&[report]);
    }
    assert_eq!(spotted, 1);
}

#[test]
fn eight_rich_runs_stay_under_five_megabytes() {
    let runs: Vec<RunReport> = (0..8)
        .map(|seed| {
            let mut report = rich(seed);
            let mut landscape = landscape(seed);
            let surface = landscape.surfaces[0].clone();
            landscape.surfaces = vec![surface; 15];
            let path = landscape.paths[0].clone();
            landscape.paths = vec![path; 12];
            report.landscape = Some(landscape);
            report
        })
        .collect();
    let page = html(&runs);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
}

#[test]
fn runs_that_differ_in_their_seed_share_a_line() {
    let runs = [0, 1, 2].map(|seed| run("gan-gcl", seed, 0.9));
    let page = html(&runs);
    let text = parse(&page);
    assert!(text.contains("GAN-GCL, 3 seeds") && text.contains("no confidence interval"));
    // For wide and for narrow screens.
    assert_eq!(page.matches("class=\"band").count(), 2);
    // A different setting gives a separate line; a copy of a run is not another seed.
    let mut other = run("gan-gcl", 3, 0.9);
    let beta = Override {
        key: "beta".into(),
        value: "2".into(),
    };
    other.config.algo = resolve("gan-gcl", "pendulum", None, &[beta]).expect("settings");
    let text = parse(&html(&[runs[0].clone(), runs[1].clone(), other.clone()]));
    assert!(text.contains("GAN-GCL, 2 seeds") && text.contains("GAN-GCL, seed 3"));
    let text = parse(&html(&[runs[0].clone(), runs[0].clone()]));
    assert!(!text.contains("seeds"));
}

#[test]
fn bands_hold_their_line_and_mean_is_the_mean() {
    let flat = |seed: u64, value: f64| {
        let mut report = run("gan-gcl", seed, 0.9);
        report.metrics = (0..5)
            .map(|k| {
                let mut line = Map::new();
                line.insert("iteration".into(), k.into());
                line.insert("true_return".into(), value.into());
                line
            })
            .collect();
        report
    };
    let runs = [flat(0, -10.0), flat(1, -20.0)];
    let groups = by_environment(&Run::all(&runs));
    let lines = crate::report::seeds::lines(&groups[0].members);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].points[3], [3.0, -15.0]);
    assert_eq!(lines[0].band[3], [3.0, -20.0, -10.0]);
}

#[test]
fn every_picture_becomes_a_png_of_twice_its_size() {
    let runs = [rich(0)];
    let pictures = pictures(&runs);
    for name in [
        "evaluation",
        "variants",
        "transfer",
        "robustness-action_noise",
        "robustness-observation_noise",
        "learned-against-true-cost",
        "landscape-angle-angular_velocity",
        "calibration",
        "importance-weights",
        "diagnostics-ess",
        "pendulum-gan-gcl-0-curve",
        "pendulum-gan-gcl-0-expert",
    ] {
        assert!(pictures.iter().any(|p| p.name == name), "{name}");
    }
    for picture in &pictures {
        let bytes = png(&picture.svg).unwrap_or_else(|e| panic!("{}: {e}", picture.name));
        let image = tiny_skia::Pixmap::decode_png(&bytes).expect("a PNG");
        let head = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
        let wide = format!("{head} width=\"{}\"", image.width() / 2);
        assert!(picture.svg.starts_with(&wide), "{}", picture.name);
        let dark = image.pixels().iter().filter(|p| p.red() < 128).count();
        assert!(dark > 50, "{}: empty", picture.name);
    }
    let vast = r#"<svg xmlns="http://www.w3.org/2000/svg" width="90000" height="9"/>"#;
    assert!(png("<svg").is_err() && png(vast).is_err());
}

#[test]
fn all_numbers_are_in_the_data() {
    let all = data(&[rich(0)]);
    let run = &all["runs"][0];
    assert_eq!(run["evaluation"]["spearman"], 0.93);
    assert_eq!(run["landscape"]["channels"][1]["unit"], "rad/s");
    assert_eq!(run["landscape"]["paths"][0]["walker"], "expert");
    assert_eq!(run["metrics"].as_array().map(Vec::len), Some(120));
    assert_eq!(run["config"]["seed"], 0);
    assert!(
        rich(0)
            .landscape
            .is_some_and(|l| l.paths.iter().any(|p| p.walker == Walker::Policy))
    );
}
