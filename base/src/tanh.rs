//! tanh in f32, the one of all networks in plain numbers.

/// Beyond ± this it is ± 1.
pub const BOUND: f32 = 7.905_311;

/// Coefficients of x, x³, … of its numerator, the highest first.
///
/// The minimax coefficients are those published with the Eigen library's float tanh (MPL-2.0,
/// `GenericPacketMathFunctions.h`).
#[allow(clippy::excessive_precision)] // as published
pub const ODD: [f32; 7] = [
    -2.760_768_5e-16,
    2.000_187_9e-13,
    -8.604_672e-11,
    5.122_297_1e-8,
    1.485_722_4e-5,
    6.372_619_3e-4,
    4.893_524_6e-3,
];

/// Coefficients of 1, x², … of its denominator, the highest first, from the same source.
#[allow(clippy::excessive_precision)]
pub const EVEN: [f32; 4] = [1.198_258_4e-6, 1.185_347e-4, 2.268_434_6e-3, 4.893_525_2e-3];

/// tanh as an odd rational function that compilers vectorise; within 6e-7 of the exact value.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let x = x.clamp(-BOUND, BOUND);
    let x2 = x * x;
    let odd = ODD[1..].iter().fold(ODD[0], |acc, c| acc * x2 + c);
    let even = EVEN[1..].iter().fold(EVEN[0], |acc, c| acc * x2 + c);
    x * odd / even
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_accurate_everywhere() {
        for i in -200_000..=200_000_i32 {
            let x = i as f32 * 1e-4;
            let error = f64::from(tanh(x)) - f64::from(x).tanh();
            assert!(error.abs() < 6e-7, "tanh({x}) is off by {error:e}");
        }
    }
}
