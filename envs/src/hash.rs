//! A small, stable digest; not for secrets.

/// Mixes words into 64 bits (FNV-1a with a rotation, so that high bits count too).
pub(crate) fn words(words: impl IntoIterator<Item = u64>) -> u64 {
    words
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, word: u64| {
            (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(17)
        })
}
