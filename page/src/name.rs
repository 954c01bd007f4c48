//! Names of datasets and runs in a page: one folder each, never a path.

use std::path::{Path, PathBuf};

use crate::learning::Refusal;

/// Characters of the longest name.
const LONGEST: usize = 80;

/// The name of a folder inside another: letters, digits, `.`, `_` and `-`, neither hidden nor like a flag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Errors: anything that could lead elsewhere, or that people would have to quote.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = !text.is_empty()
            && text.len() <= LONGEST
            && text.chars().all(plain)
            && !text.starts_with(['.', '-']);
        match good {
            true => Ok(Self(text.to_owned())),
            false => Err(Refusal::misuse(format!(
                "`{}` cannot be a name: expected 1 to {LONGEST} letters, digits, `.`, `_` or `-`, with a letter or digit \
                 first",
                text.chars()
                    .take(LONGEST)
                    .collect::<String>()
                    .escape_debug()
            ))),
        }
    }

    /// The folder of this name in `parent`.
    pub fn within(&self, parent: &Path) -> PathBuf {
        parent.join(&self.0)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_one_visible_folder(text in ".{0,90}") {
            if let Ok(name) = Name::parse(&text) {
                let path = name.within(Path::new("demos"));
                prop_assert_eq!(path.parent(), Some(Path::new("demos")));
                prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(text.as_str()));
                prop_assert!(!text.starts_with('.'));
            }
        }
    }

    #[test]
    fn paths_flags_and_hidden_folders_are_refused() {
        for bad in [
            "", "..", ".", "a/b", "/etc", "..\\x", "a\0", "-o", ".hidden", "é", "a b",
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Name::parse(&"x".repeat(81)).is_err());
        assert_eq!(
            Name::parse("cart_pole-human.2").unwrap().as_str(),
            "cart_pole-human.2"
        );
    }
}
