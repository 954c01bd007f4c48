//! Words of the commands that are printed for people to paste.

use std::path::Path;

/// A text as one word of a POSIX shell.
pub fn word(text: &str) -> String {
    // Only a NUL byte cannot be quoted, and no argument of a program holds one.
    shlex::try_quote(text).map_or_else(|_| text.replace('\0', ""), Into::into)
}

/// A path as one word of a POSIX shell, never taken for an option.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.starts_with('-') {
        true => word(&format!("./{text}")),
        false => word(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        assert_eq!(path(Path::new("runs/lq-bc-0")), "runs/lq-bc-0");
        assert_eq!(word(""), "''");
        for text in ["my data", "it's", "$HOME", "a;b", "*", "über", "a\nb"] {
            let read = shlex::split(&path(Path::new(text))).unwrap();
            assert_eq!(read, [text]);
        }
        assert_eq!(path(Path::new("-n")), "./-n");
    }
}
