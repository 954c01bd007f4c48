//! Suggestions for misspelt names.

/// The candidate most similar to `name`, if any is similar enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE: f64 = 0.6;
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(name, c), c))
        .filter(|(score, _)| *score >= LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// `, did you mean …?`, or nothing.
pub fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map(|n| format!(", did you mean `{n}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_like_the_name_is_offered() {
        let known = ["pendulum", "cart_pole", "reacher"];
        assert_eq!(nearest("pendlum", known), Some("pendulum"));
        assert_eq!(nearest("cartpole", known), Some("cart_pole"));
        assert_eq!(nearest("walker", known), None);
        assert_eq!(suggestion(Some("reacher")), ", did you mean `reacher`?");
        assert_eq!(suggestion(None), "");
    }
}
