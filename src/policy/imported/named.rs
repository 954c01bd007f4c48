//! How users name an ONNX network.

use std::path::PathBuf;

/// A file, and which of its outputs is the action: `FILE.onnx`, `FILE.onnx:OUTPUT`; `None` for anything else.
pub fn onnx_named(text: &str) -> Option<(PathBuf, Option<&str>)> {
    const END: &str = ".onnx";
    if text.ends_with(END) {
        return Some((text.into(), None));
    }
    let at = text.rfind(".onnx:")? + END.len();
    Some((text[..at].into(), Some(&text[at + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_their_outputs_are_told_apart() {
        let found = |text| onnx_named(text).map(|(f, o)| (f.display().to_string(), o));
        assert_eq!(found("a/b.onnx"), Some(("a/b.onnx".into(), None)));
        assert_eq!(found("b.onnx:mean"), Some(("b.onnx".into(), Some("mean"))));
        assert_eq!(
            found("b.onnx:/act/x:0"),
            Some(("b.onnx".into(), Some("/act/x:0")))
        );
        assert_eq!(found("a0 = 2*s0"), None);
        assert_eq!(found("b.safetensors"), None);
    }
}
