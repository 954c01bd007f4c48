//! Numpy archives, `.npz`: one array a name, uncompressed or deflated.

use std::io::{Cursor, Read as _};
use std::path::PathBuf;

use costate_envs::EnvSpec;

use super::Read;
use super::arrays::{self, Array, Arrays, Contents, Number};
use super::error::ImportError;
use super::mapping::Mapping;

/// Reads archives, each of one or more episodes.
pub(super) fn read(
    files: &[PathBuf],
    mapping: &Mapping,
    spec: Option<&EnvSpec>,
) -> Result<Read, ImportError> {
    arrays::read("npz", files, mapping, spec, |bytes| {
        archive(bytes).map(Contents::flat)
    })
}

/// The arrays of an archive.
fn archive(bytes: Vec<u8>) -> Result<Arrays, String> {
    let unreadable =
        |e: zip::result::ZipError| format!("it cannot be read as a numpy archive: {e}");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(unreadable)?;
    let mut arrays = Arrays::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(unreadable)?;
        let name = file.name().map_err(unreadable)?;
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            continue;
        };
        let mut bytes = Vec::new();
        // No more than is stated: a deflated file can be of any length.
        let stated = file.size();
        file.by_ref()
            .take(stated)
            .read_to_end(&mut bytes)
            .map_err(|e| format!("array `{name}` cannot be read: {e}"))?;
        arrays.insert(name, array(&bytes));
    }
    match arrays.is_empty() {
        true => Err("there are no arrays in it".into()),
        false => Ok(arrays),
    }
}

/// A `.npy` file. Errors: a kind that is not read; what is damaged.
fn array(file: &[u8]) -> Result<Array, String> {
    let damaged = || "its header is damaged".to_owned();
    let rest = file
        .strip_prefix(b"\x93NUMPY")
        .ok_or("it is no numpy array")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(damaged()),
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let header = std::str::from_utf8(header).map_err(|_| damaged())?;
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let quoted = after("descr").and_then(|text| text.strip_prefix('\''));
    let kind = quoted
        .and_then(|text| text.split_once('\''))
        .map(|(kind, _)| kind);
    let kind = kind.ok_or("records, expected plain numbers")?;
    let column_major = after("fortran_order")
        .ok_or_else(damaged)?
        .starts_with("True");
    let shape = after("shape").and_then(|text| text.strip_prefix('('));
    let shape = shape
        .and_then(|text| text.split_once(')'))
        .ok_or_else(damaged)?
        .0;
    let sizes = shape.split(',').map(str::trim).filter(|d| !d.is_empty());
    let mut shape: Vec<usize> = sizes
        .map(|d| d.parse().map_err(|_| damaged()))
        .collect::<Result<_, _>>()?;
    let (order, letter) = kind.split_at_checked(1).ok_or_else(damaged)?;
    let (letter, size) = letter.split_at_checked(1).ok_or_else(damaged)?;
    let number = match letter {
        "f" => Number::Float,
        "i" => Number::Signed,
        "u" | "b" => Number::Unsigned,
        "O" => return Err("pickled objects, which are not read: save an array of numbers".into()),
        _ => return Err(format!("values of kind `{kind}`, expected numbers")),
    };
    let size = size.parse().map_err(|_| damaged())?;
    if column_major {
        shape.reverse();
    }
    let array = Array::decode(shape, data, number, size, order == ">")?;
    Ok(match column_major {
        true => array.transposed(),
        false => array,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn numbers_of_every_kind_and_order() {
        let read = |kind: &str, data: &[u8]| {
            let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (1,), }}");
            array(&npy(&header, data)).unwrap().values[0]
        };
        assert_eq!(read("<f8", &1.5_f64.to_le_bytes()), 1.5);
        assert_eq!(read(">f4", &(-2.5_f32).to_be_bytes()), -2.5);
        assert_eq!(read("<f2", &0xc100_u16.to_le_bytes()), -2.5);
        assert_eq!(read("<i2", &(-3_i16).to_le_bytes()), -3.0);
        assert_eq!(read(">i8", &(-7_i64).to_be_bytes()), -7.0);
        assert_eq!(read("|u1", &[200]), 200.0);
        assert_eq!(read("|b1", &[1]), 1.0);
    }

    #[test]
    fn column_major_arrays_are_turned() {
        let data: Vec<u8> = (0..6_u8).collect();
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }";
        let found = array(&npy(header, &data)).unwrap();
        // numpy.arange(6).reshape((2, 3), order="F")
        assert_eq!(found.shape, [2, 3]);
        assert_eq!(found.values, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    }

    #[test]
    fn damaged_arrays_are_refused() {
        let header = |kind: &str, shape: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")
        };
        for (file, what) in [
            (
                npy(&header("<f8", "(3,)"), &[0; 16]),
                "16 bytes of data, expected 24",
            ),
            (
                npy(&header("<f8", "(99999999999, 99999999999)"), &[]),
                "more than there can be",
            ),
            (
                npy(&header("<f8", "(0, 99999999999, 99999999999)"), &[]),
                "more than there can be",
            ),
            (npy(&header("|O", "(1,)"), &[0; 8]), "pickled"),
            (npy(&header("<U4", "(1,)"), &[0; 16]), "expected numbers"),
            (npy(&header("<c16", "(1,)"), &[0; 16]), "expected numbers"),
            (
                npy(&header("<f16", "(1,)"), &[0; 16]),
                "16 bytes, which are not read",
            ),
            (npy(&header("<f8", "(-1,)"), &[]), "damaged"),
            (npy("{}", &[]), "expected plain numbers"),
            (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "damaged"),
            (b"\x93NUMPY".to_vec(), "damaged"),
            (b"PK".to_vec(), "no numpy array"),
        ] {
            let reason = array(&file).unwrap_err();
            assert!(reason.contains(what), "{reason} should contain {what}");
        }
    }
}
