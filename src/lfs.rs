//! Git LFS pointers: small text files that stand where a repository's large files would, until these are fetched.

/// How every pointer begins (the specification of Git LFS, version 1).
const BEGINNING: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What to do about a file that is a pointer; `None` for any other.
pub fn advice(bytes: &[u8]) -> Option<String> {
    bytes.starts_with(BEGINNING).then(|| {
        "a Git LFS pointer that stands for the file; `git lfs pull` in its repository fetches the file itself".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_files() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(advice(pointer).unwrap().contains("git lfs pull"));
        for other in [&b""[..], b"PAR1", b"version 2", b"a,b\n1,2\n"] {
            assert_eq!(advice(other), None);
        }
    }
}
