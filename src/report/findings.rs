//! What keeps a run from succeeding, and what to change.

use super::run::Run;
use super::text::{escape, with_code};

/// The findings of every run that has any; `None` without any.
pub(super) fn html(runs: &[Run]) -> Option<String> {
    let mut out = String::new();
    for run in runs {
        let findings = &run.report.findings;
        if !findings.is_empty() {
            out += &run.heading(3);
        }
        for f in findings {
            out += &format!(
                "<p><strong>{}</strong>: {}. {} <em>To change:</em> {}.</p>",
                escape(&capital(f.name)),
                escape(&f.seen),
                escape(f.means),
                with_code(&f.change)
            );
        }
    }
    (!out.is_empty()).then_some(out)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
