//! Who computes: a build, and the arithmetic of the machine that it runs on.

use std::hint::black_box;

use serde::{Deserialize, Serialize};

/// What the bits of an episode depend on besides its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The build in words, for messages.
    build: String,
    /// A digest of the code behind the numbers.
    code: String,
    /// Processor architecture and operating system.
    target: String,
    /// A digest of what the functions of the C library return here: they differ between its releases and, by the
    /// instructions that they find, between processors.
    arithmetic: String,
}

impl Identity {
    /// This machine's, of the build called `build` whose code has the digest `code`.
    pub fn new(build: impl Into<String>, code: impl Into<String>) -> Self {
        Self {
            build: build.into(),
            code: code.into(),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            arithmetic: format!("{:016x}", arithmetic()),
        }
    }

    /// Why episodes that `learner` asks for would not have its bits here, if so.
    pub(super) fn differs_from(&self, learner: &Self) -> Option<String> {
        if self.code != learner.code {
            return Some(format!(
                "the worker is another build than the learner: {} [{}] there, {} [{}] here; its episodes might have other \
                 bits: install the same build on both sides",
                self.build, self.code, learner.build, learner.code
            ));
        }
        if (&self.target, &self.arithmetic) == (&learner.target, &learner.arithmetic) {
            return None;
        }
        Some(format!(
            "the worker's machine computes other bits than the learner's: {} with functions {} there, {} with {} here; \
             use machines with the same C library and the same kind of processor",
            self.target, self.arithmetic, learner.target, learner.arithmetic
        ))
    }
}

/// Functions of f32 that the standard library takes from the C library.
const SINGLE: [fn(f32) -> f32; 6] = [f32::exp, f32::ln, f32::sin, f32::cos, f32::tanh, f32::sqrt];
/// The same of f64.
const DOUBLE: [fn(f64) -> f64; 7] = [
    f64::exp,
    f64::ln,
    f64::sin,
    f64::cos,
    f64::tanh,
    f64::atan,
    f64::sqrt,
];

/// A digest (FNV-1a) of the functions' values at a thousand places.
fn arithmetic() -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bits: u64| digest = (digest ^ bits).wrapping_mul(0x0100_0000_01b3);
    for i in 1..=1000 {
        let x = black_box(f64::from(i) * 0.01237);
        for f in SINGLE {
            add(u64::from(f(x as f32).to_bits()));
        }
        for f in DOUBLE {
            add(f(x).to_bits());
        }
        add(x.powf(black_box(1.7)).to_bits());
        add(x.atan2(black_box(0.3)).to_bits());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let own = Identity::new("costate 1", "abc");
        assert_eq!(own.differs_from(&own.clone()), None);
        // Another commit with the same code has the same bits.
        assert_eq!(own.differs_from(&Identity::new("costate 2", "abc")), None);
        let other = own.differs_from(&Identity::new("costate 1", "def"));
        assert!(other.is_some_and(|why| why.contains("another build")));
        let mut machine = own.clone();
        machine.arithmetic = "0".into();
        let other = own.differs_from(&machine);
        assert!(other.is_some_and(|why| why.contains("computes other bits")));
    }
}
