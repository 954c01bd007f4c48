//! A checksum inside the file that it covers: SHA-256 of the whole file with zeros in place of the checksum.

use sha2::{Digest, Sha256};

use crate::disk;

/// Name of the metadata entry that holds the checksum.
pub const FIELD: &str = "sha256";
/// Placeholder for the checksum.
pub const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Puts the checksum in the place of the first [`BLANK`]; leaves a file without one unchanged.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(at) = find(&bytes, BLANK) {
        let digest = disk::sha256(&bytes);
        bytes[at..at + BLANK.len()].copy_from_slice(digest.as_bytes());
    }
    bytes
}

/// Whether a file with this checksum is unchanged since it was sealed.
pub fn holds(bytes: &[u8], digest: &str) -> bool {
    if digest.len() != BLANK.len() {
        return false;
    }
    let Some(at) = find(bytes, digest) else {
        return false;
    };
    let mut hash = Sha256::new();
    hash.update(&bytes[..at]);
    hash.update(BLANK);
    hash.update(&bytes[at + BLANK.len()..]);
    disk::hexadecimal(&hash.finalize()) == digest
}

fn find(bytes: &[u8], text: &str) -> Option<usize> {
    let mut windows = bytes.windows(text.len());
    windows.position(|w| w == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts() {
        let sealed = seal(format!("{{\"sha256\":\"{BLANK}\"}}numbers").into_bytes());
        let digest = String::from_utf8(sealed[11..11 + BLANK.len()].to_vec()).unwrap();
        assert!(holds(&sealed, &digest));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&damaged, &digest), "bit {bit}");
        }
        assert!(!holds(&sealed, "12"));
        assert_eq!(seal(b"none".to_vec()), b"none");
    }
}
