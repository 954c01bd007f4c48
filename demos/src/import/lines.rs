//! Lines of text files, for messages.

/// The lines on which the records sought from the bytes `from`, in ascending order, begin. A CSV reader counts up to such
/// a byte, after which blank lines, and the line feed of a \r\n, are still to be skipped.
pub fn lines_at(text: &[u8], from: &[u64]) -> Vec<u64> {
    let mut found = Vec::with_capacity(from.len());
    let (mut line, mut before) = (1, 0);
    for (at, &byte) in (0_u64..).zip(text) {
        match byte {
            // This line's end was counted at its \r.
            b'\n' if before == b'\r' => {}
            b'\r' | b'\n' => line += 1,
            _ => {
                while from.get(found.len()).is_some_and(|from| at >= *from) {
                    found.push(line);
                }
            }
        }
        before = byte;
    }
    found.resize(from.len(), line);
    found
}
