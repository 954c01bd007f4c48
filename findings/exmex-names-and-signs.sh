#!/usr/bin/env bash
# exmex 0.21.0 (Rust, formulas): three readings that a user of mathematics, Python or C would not expect, none of them an error.
#   `cos - 0.9` with a variable called cos      → cos(−0.9): a function's name followed by a sign takes the sign's operand
#   `-2^2`                                      → 4: the sign binds before the power
#   `2^3^2`                                     → 64: the power is left-associative
# In a world whose observations are called cos and sin the first one turns a threshold into a number.
# What Costate does about it: formulas are read by a grammar of its own, in which a channel's name is the channel.
# Exits 0 while this is so, 1 once it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'T'
[package]
name = "probe"
version = "0.0.0"
edition = "2024"
[dependencies]
exmex = "=0.21.0"
[workspace]
T
cat >"$work/src/main.rs" <<'R'
use exmex::prelude::*;

fn main() {
    let mut as_described = true;
    for (text, expected) in [("cos - 0.9", (-0.9_f64).cos()), ("-2^2", 4.0), ("2^3^2", 64.0)] {
        let read = exmex::parse::<f64>(text).and_then(|f| {
            let variables = f.var_names().join(" ");
            f.eval(&vec![0.25; f.var_names().len()]).map(|v| (v, variables))
        });
        match read {
            Ok((value, variables)) => {
                println!("{text}: {value}, variables: [{variables}]");
                as_described &= value == expected && variables.is_empty();
            }
            Err(e) => {
                println!("{text}: {e}");
                as_described = false;
            }
        }
    }
    std::process::exit(i32::from(!as_described));
}
R
cd "$work"
CARGO_TARGET_DIR="$work/target" cargo run --quiet
