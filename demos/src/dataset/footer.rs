//! The footer of a Parquet file, looked through before the decoder trusts it: Thrift's compact protocol, of which
//! nothing is kept.

use std::io::{self, Read, Seek, SeekFrom};

/// Most levels of what contains what, as the decoder's own.
const DEPTH: usize = 64;

/// Errors: the footer is too short for a list or text that it declares, which kept parquet 60.1.0 busy for seconds. Whatever
/// else is wrong with a file is left to the decoder to tell.
pub fn check(file: &mut (impl Read + Seek)) -> Result<(), String> {
    let found = footer(file).map(|bytes| Footer(&bytes).structure(DEPTH));
    match found {
        Ok(Err(Damage::Endless)) => Err("its footer declares more than it holds".into()),
        _ => Ok(()),
    }
}

/// Between the columns and its own length, which the magic number follows.
fn footer(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let end = file.seek(SeekFrom::End(-8))?;
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length).into();
    let start = end.checked_sub(length).ok_or(io::ErrorKind::InvalidData)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why looking through ends early.
enum Damage {
    /// More entries than bytes.
    Endless,
    /// Anything else.
    Other,
}

/// The bytes that are not read yet.
struct Footer<'a>(&'a [u8]);

impl Footer<'_> {
    fn skip(&mut self, bytes: usize) -> Result<(), Damage> {
        self.0 = self.0.get(bytes..).ok_or(Damage::Other)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Damage> {
        let (byte, rest) = self.0.split_first().ok_or(Damage::Other)?;
        self.0 = rest;
        Ok(*byte)
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Result<u64, Damage> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damage::Other)
    }

    /// A number of bytes or entries, each of which takes a byte.
    fn count(&mut self) -> Result<usize, Damage> {
        let count = usize::try_from(self.number()?).map_err(|_| Damage::Endless)?;
        self.fits(count)
    }

    fn fits(&self, count: usize) -> Result<usize, Damage> {
        (count <= self.0.len())
            .then_some(count)
            .ok_or(Damage::Endless)
    }

    fn structure(&mut self, depth: usize) -> Result<(), Damage> {
        loop {
            // The kind, below how much larger the field's number is than the one before.
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Ok(());
            }
            if head >> 4 == 0 {
                self.number()?;
            }
            // A flag's value is its kind.
            if kind > 2 {
                self.value(kind, depth)?;
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<(), Damage> {
        let depth = depth.checked_sub(1).ok_or(Damage::Other)?;
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.count()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.count()?,
                    count => self.fits(count.into())?,
                };
                (0..count).try_for_each(|_| self.value(head & 0x0f, depth))
            }
            11 => {
                let count = self.count()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.value(kinds >> 4, depth)?;
                    self.value(kinds & 0x0f, depth)
                })
            }
            12 => self.structure(depth),
            13 => self.skip(16),
            _ => Err(Damage::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &[u8]) -> Result<(), String> {
        super::check(&mut io::Cursor::new(file))
    }

    fn file(footer: &[u8]) -> Vec<u8> {
        let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
        [b"PAR1", footer, &length, b"PAR1"].concat()
    }

    /// Found by fuzzing.
    #[test]
    fn lists_that_a_footer_is_too_short_for_are_refused() {
        // Field 1, a list of bytes; field 2, a number; the end.
        let list = |count: u8, entries: usize| {
            let head = [0x19, 0xf3, count];
            file(&[&head[..], &vec![7; entries], &[0x15, 0x02, 0x00]].concat())
        };
        assert_eq!(check(&list(20, 20)), Ok(()));
        assert!(check(&list(30, 20)).is_err());
        // The same in a structure in a list in a map.
        let inner = |count: u8| {
            file(&[
                0x1b, 0x01, 0x39, 0x05, 0x1c, 0x19, 0xf3, count, 1, 2, 3, 0x00, 0x00,
            ])
        };
        assert_eq!(check(&inner(3)), Ok(()));
        assert!(check(&inner(100)).is_err());
    }

    #[test]
    fn what_is_damaged_otherwise_is_left_to_the_decoder() {
        let nested = vec![0x1c; 1000];
        for bytes in [
            Vec::new(),
            b"PAR1".to_vec(),
            b"PAR1\xff\xff\xff\xffPAR1".to_vec(),
            file(&[]),
            file(&[0x15]),
            file(&[0x1e, 0x00]),
            file(&[
                0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00,
            ]),
            file(&nested),
        ] {
            assert_eq!(check(&bytes), Ok(()));
        }
    }
}
