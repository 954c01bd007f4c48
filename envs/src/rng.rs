//! Named, seeded random streams: the only source of randomness in Costate.

use rand::SeedableRng;
use rand_pcg::Pcg64;

/// The generator behind every stream.
pub type Stream = Pcg64;

/// The stream `name`, number `index`, of the experiment seeded with `seed`.
///
/// Streams with different names or indices are independent, so adding one never shifts
/// the numbers another draws, and a job's numbers do not depend on which worker ran it.
pub fn stream(seed: u64, name: &str, index: u64) -> Stream {
    // FNV-1a over the name, then SplitMix64 finalisers over (seed, name, index).
    let name_hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    });
    let a = mix(seed ^ mix(name_hash));
    let mut key = [0_u8; 32];
    for (i, chunk) in key.chunks_exact_mut(8).enumerate() {
        let word = mix(a.wrapping_add(mix(index.wrapping_add((i as u64) << 56 | 0x9e37))));
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    Pcg64::from_seed(key)
}

/// A seed for a sub-experiment: one number drawn from the stream's identity.
pub fn derive_seed(seed: u64, name: &str, index: u64) -> u64 {
    use rand::Rng;
    stream(seed, name, index).next_u64()
}

/// The SplitMix64 finaliser (Steele, Lea and Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_repeat_and_differ_by_seed_name_and_index() {
        let draw = |s, n, i| stream(s, n, i).next_u64();
        assert_eq!(draw(7, "start", 3), draw(7, "start", 3));
        let all = [
            draw(7, "start", 3),
            draw(8, "start", 3),
            draw(7, "noise", 3),
            draw(7, "start", 4),
        ];
        for i in 0..all.len() {
            for j in 0..i {
                assert_ne!(all[i], all[j]);
            }
        }
    }
}
