//! The page's figures as separate files and its numbers as JSON.

use serde_json::{Value, json};

use super::figure::{Figure, slug};
use super::run::{Run, by_environment};
use super::{
    Picture, RunReport, certificate, changed_worlds, cost, curves, curves_svg, dots, learning,
    robustness, strip_svg, table,
};

/// Version of `report.json`.
const FORMAT: u32 = 1;

/// Every figure of the page about `reports`, each with a background of its own, in the page's order. Names are unique.
pub fn pictures(reports: &[RunReport]) -> Vec<Picture> {
    let runs = Run::all(reports);
    let groups = by_environment(&runs);
    let mut out: Vec<Picture> = Vec::new();
    let mut add = |name: String, svg: String| {
        let taken = |n: &String| out.iter().any(|p| p.name.eq_ignore_ascii_case(n));
        let numbered = (2..).map(|n| format!("{name}-{n}"));
        let free = std::iter::once(name.clone()).chain(numbered);
        let name = free.into_iter().find(|n| !taken(n)).unwrap_or_default();
        out.push(Picture { name, svg });
    };
    for report in reports {
        let title = slug(&report.title);
        add(format!("{title}-curve"), curves_svg(report));
        for motion in &report.motions {
            let name = format!("{title}-{}", slug(&motion.label));
            add(name, strip_svg(motion));
        }
    }
    if let Some(svg) = table::standalone(&groups) {
        add("evaluation".into(), svg);
    }
    for group in &groups {
        let of = group.suffix();
        let heading = format!("Score in variants of the world{of}");
        if let Some(svg) = dots::standalone(&heading, &robustness::variants(group)) {
            add(slug(&format!("variants{of}")), svg);
        }
    }
    for run in &runs {
        let of = run.suffix();
        let heading = format!("Transfer: score where the world has changed{of}");
        if let Some(svg) = dots::standalone(&heading, &changed_worlds::blocks(run)) {
            add(slug(&format!("transfer{of}")), svg);
        }
    }
    let figures: [Vec<Figure>; 5] = [
        robustness::figures(&groups),
        learning::figures(&groups),
        cost::figures(&runs),
        certificate::figures(&runs),
        curves::figures(&runs),
    ];
    for figure in figures.iter().flatten() {
        add(figure.name.clone(), figure.standalone());
    }
    out
}

/// Everything that the page about `reports` shows as numbers, run by run: configuration, metrics, evaluation, findings,
/// landscape.
pub fn data(reports: &[RunReport]) -> Value {
    json!({ "format": FORMAT, "runs": reports })
}
