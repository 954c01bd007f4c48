//! Comparisons with known answers.

use super::*;

fn run(score: f64, episodes: &[f64]) -> RunScores {
    RunScores {
        score,
        ci95: [score - 0.1, score + 0.1],
        own_ci95: [score - 0.05, score + 0.05],
        episodes: episodes.to_vec(),
    }
}

fn method(name: &str, scores: &[f64]) -> MethodScores {
    MethodScores {
        name: name.into(),
        runs: scores.iter().map(|s| run(*s, &[])).collect(),
    }
}

#[test]
fn holms_correction_is_the_textbooks() {
    let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (p, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((p - expected).abs() < 1e-12, "{corrected:?}");
    }
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

#[test]
fn same_runs_are_not_told_apart_and_distant_ones_are() {
    let scores = [0.80, 0.85, 0.90];
    let all = [
        method("bc", &[0.1, 0.2, 0.15]),
        method("a", &scores),
        method("b", &scores),
    ];
    let found = compare(&all, 0);
    assert_eq!(found.len(), 2);
    let (bc, same) = (&found[0], &found[1]);
    assert_eq!((bc.best.as_str(), bc.other.as_str()), ("a", "bc"));
    assert!(bc.told_apart && bc.difference_ci95[0] > 0.0, "{bc:?}");
    assert!(bc.statement.contains("above bc") && bc.statement.contains(": significant"));
    assert_eq!((same.difference, same.told_apart), (0.0, false));
    assert_eq!(same.probability_of_improvement.unwrap().mean, 0.5);
    assert!(
        same.statement.contains("3 runs each are too few to decide"),
        "{}",
        same.statement
    );
    for c in &found {
        assert!(c.p_value_holm >= c.p_value);
        let [low, high] = c.difference_ci95;
        assert_eq!(c.p_value < 0.05, low > 0.0 || high < 0.0);
    }
}

#[test]
fn many_methods_need_a_clearer_difference() {
    let (near, far) = ([0.5, 0.6, 0.7, 0.6], [0.72, 0.8, 0.88, 0.8]);
    let two = compare(&[method("a", &near), method("b", &far)], 0);
    assert!(two[0].told_apart, "{two:?}");
    let others = ["c", "d", "e"].map(|n| method(n, &[0.55, 0.65, 0.75, 0.65]));
    let all: Vec<_> = [method("a", &near), method("b", &far)]
        .into_iter()
        .chain(others)
        .collect();
    let many = compare(&all, 0);
    assert_eq!(many[0].p_value, two[0].p_value);
    assert!(many[0].p_value_holm > two[0].p_value_holm);
}

#[test]
fn single_runs_are_compared_start_by_start() {
    // Starts differ a lot, policies little: only pairing detects the difference.
    let first: Vec<f64> = (0..60).map(|i| f64::from(i % 10) / 10.0).collect();
    let second: Vec<f64> = first
        .iter()
        .enumerate()
        .map(|(i, v)| v - 0.01 - 0.01 * (i % 3) as f64)
        .collect();
    let single = |name: &str, score: f64, episodes: &[f64]| MethodScores {
        name: name.into(),
        runs: vec![run(score, episodes)],
    };
    let paired = compare(&[single("a", 0.45, &first), single("b", 0.43, &second)], 0);
    assert_eq!(paired[0].basis, Basis::PairedEpisodes);
    assert!(paired[0].told_apart, "{paired:?}");
    assert_eq!(paired[0].probability_of_improvement.unwrap().mean, 1.0);
    assert!(
        paired[0]
            .statement
            .contains("says nothing about other seeds")
    );
    let unpaired = compare(&[single("a", 0.45, &[]), single("b", 0.43, &second)], 0);
    assert_eq!(unpaired[0].basis, Basis::UnpairedEpisodes);
    assert!(!unpaired[0].told_apart && unpaired[0].probability_of_improvement.is_none());
    let mixed = compare(
        &[single("a", 0.45, &[]), method("b", &[0.9, 0.91, 0.92])],
        0,
    );
    assert_eq!(
        (mixed[0].basis, mixed[0].best.as_str()),
        (Basis::RunsAndEpisodes, "b")
    );
    assert!(mixed[0].told_apart, "{mixed:?}");
}

#[test]
fn one_method_has_nothing_beside_it() {
    assert!(compare(&[], 0).is_empty());
    assert!(compare(&[method("a", &[0.5, 0.6])], 0).is_empty());
}
