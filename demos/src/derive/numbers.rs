//! Ranges of numbers as people write them: `3`, `7..9`, `10..`, `..500`; both ends belong to them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A range of numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The least.
    pub low: usize,
    /// The greatest.
    pub high: usize,
}

impl Span {
    /// One number.
    pub fn one(number: usize) -> Self {
        Self {
            low: number,
            high: number,
        }
    }

    /// Whether `number` is in it.
    pub fn contains(self, number: usize) -> bool {
        (self.low..=self.high).contains(&number)
    }
}

/// `3`, `7..9`, `10..` or `..500`.
impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}`: expected a number or a range as 7..9, 10.. or ..500");
        let end = |part: &str, open: usize| match part.trim() {
            "" => Ok(open),
            part => part.parse().map_err(|_| bad()),
        };
        let (low, high) = match text.split_once("..") {
            Some((low, high)) if !(low.trim().is_empty() && high.trim().is_empty()) => {
                (end(low, 0)?, end(high, usize::MAX)?)
            }
            Some(_) => return Err(bad()),
            None => {
                let one = text.trim().parse().map_err(|_| bad())?;
                (one, one)
            }
        };
        match low <= high {
            true => Ok(Self { low, high }),
            false => Err(format!(
                "`{text}`: the range is empty, expected the lower number first"
            )),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low, self.high) {
            (low, high) if low == high => write!(f, "{low}"),
            (0, high) => write!(f, "..{high}"),
            (low, usize::MAX) => write!(f, "{low}.."),
            (low, high) => write!(f, "{low}..{high}"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Numbers as short as they can be written: `0..3,7`.
pub(super) fn listed(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[usize]| match run {
        [one] => one.to_string(),
        _ => format!("{}..{}", run[0], run[run.len() - 1]),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends() {
        let span = |text: &str| text.parse::<Span>();
        assert!(span("7..9").unwrap().contains(9) && !span("7..9").unwrap().contains(10));
        assert!(span("10..").unwrap().contains(usize::MAX) && span("..5").unwrap().contains(0));
        assert_eq!(span("4").unwrap(), Span { low: 4, high: 4 });
        for text in ["4", "7..9", "10..", "..5"] {
            assert_eq!(span(text).unwrap().to_string(), text);
        }
        for bad in ["", "..", "9..7", "-1", "1..x", "1-3"] {
            assert!(span(bad).is_err(), "{bad}");
        }
        assert_eq!(listed(&[0, 1, 2, 3, 7, 9, 10]), "0..3,7,9..10");
    }
}
