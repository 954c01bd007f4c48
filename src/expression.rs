//! Formulas over named channels, for hand-written costs and scripted policies.

mod parse;

use costate_base::names::{nearest, suggestion};
use costate_envs::EnvSpec;

use crate::error::Error;
use parse::{Fault, Op, What};

/// A formula of an environment's observation and action channels, by name.
#[derive(Debug, Clone)]
pub struct Formula {
    /// In reverse Polish notation; channels by their index in (s, a).
    program: Vec<Op>,
    observation_dim: usize,
    text: String,
}

impl Formula {
    /// Parses a formula whose variables are observation channels and, where `actions`, action channels.
    ///
    /// Operators with Python's precedence: `+ − * / % ^`, where `**` is `^` as well; functions `abs`, `sqrt`, `exp`, `ln`, `sin`,
    /// `cos`, `tanh` and the like of one value, `min`, `max`, `atan2` of several; constants `PI`, `E`, `TAU`. A name before
    /// `(` is a function, any other name a channel; `{…}` is a channel of any name.
    ///
    /// Errors: misuse, with the column of the fault.
    pub fn parse(text: &str, spec: &EnvSpec, actions: bool) -> Result<Self, Error> {
        let mut known: Vec<&str> = spec.observation.names().collect();
        if actions {
            known.extend(spec.action.names());
        }
        let channel = |name: &str| known.iter().position(|k| *k == name);
        let program = parse::parse(text, &channel).map_err(|fault| {
            let place = excerpt(text, &fault);
            Error::Misuse(match fault.what {
                What::Said(what) => format!("formula `{place}`, column {}: {what}", fault.column),
                What::Unknown(name) => {
                    let hint = suggestion(nearest(&name, known.iter().copied()));
                    format!(
                        "formula `{place}`: {} has no `{name}`{hint}; available: {}",
                        spec.name,
                        known.join(", ")
                    )
                }
            })
        })?;
        Ok(Self {
            program,
            observation_dim: spec.observation.dim(),
            text: text.into(),
        })
    }

    /// Its value for one row (s, a).
    pub fn value(&self, observation: &[f32], action: &[f32]) -> f64 {
        let o = observation.len();
        let mut stack = Vec::with_capacity(8);
        for op in &self.program {
            let value = match *op {
                Op::Number(v) => v,
                Op::Channel(i) if i < o => f64::from(observation[i]),
                Op::Channel(i) => f64::from(action[i - o]),
                Op::One(f) => f(pop(&mut stack)),
                Op::Two(f) => {
                    let right = pop(&mut stack);
                    f(pop(&mut stack), right)
                }
            };
            stack.push(value);
        }
        pop(&mut stack)
    }

    fn channels(&self) -> impl Iterator<Item = usize> {
        self.program.iter().filter_map(|op| match op {
            Op::Channel(i) => Some(*i),
            _ => None,
        })
    }

    /// Whether an action channel is among its variables.
    pub fn sees_actions(&self) -> bool {
        self.channels().any(|c| c >= self.observation_dim)
    }

    /// Whether it has no variables.
    pub fn is_constant(&self) -> bool {
        self.channels().next().is_none()
    }

    /// The source text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The top of the stack, which a parsed program never finds empty.
fn pop(stack: &mut Vec<f64>) -> f64 {
    stack.pop().unwrap_or(f64::NAN)
}

/// The formula, or the part around the fault in a long one.
fn excerpt(text: &str, fault: &Fault) -> String {
    const LONGEST: usize = 100;
    let length = text.chars().count();
    if length <= LONGEST {
        return text.into();
    }
    let from = fault
        .column
        .saturating_sub(LONGEST / 2)
        .min(length - LONGEST);
    let part: String = text.chars().skip(from).take(LONGEST).collect();
    let dots = |is: bool| if is { "…" } else { "" };
    let (before, after) = (dots(from > 0), dots(from + LONGEST < length));
    format!("{before}{part}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::EnvConfig;
    use proptest::prelude::*;

    fn parse_in(env: &str, text: &str) -> Result<Formula, Error> {
        let factory = EnvConfig::named(env).unwrap().factory().unwrap();
        Formula::parse(text, factory.spec(), true)
    }

    fn parse(text: &str) -> Result<Formula, Error> {
        parse_in("point_maze", text)
    }

    /// The value of a formula without channels.
    fn constant(text: &str) -> f64 {
        let formula = parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert!(formula.is_constant(), "{text}");
        formula.value(&[0.0; 4], &[0.0; 2])
    }

    fn message(text: &str) -> String {
        let error = parse(text).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn variables_are_channels_by_name() {
        let f = parse("sqrt(position_x^2 + (position_y - 1)^2) + 0.5*push_y").unwrap();
        assert_eq!(f.value(&[3.0, 5.0, 9.0, 9.0], &[7.0, 2.0]), 6.0);
        assert!(f.sees_actions() && !parse("position_y^2").unwrap().sees_actions());
        assert!(parse("2.5").unwrap().is_constant());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert!(message("positon_x^2").contains("did you mean `position_x`?"));
        assert!(message("position_x +* 2").contains("position_x +* 2"));
        assert!(message("").contains("formula"));
        for (text, part) in [
            ("1 + $", "column 5: unknown character `$`"),
            ("π + µ # 2", "column 7: unknown character `#`"),
            ("1 +* 2", "column 4: expected a value, found `*`"),
            ("1 +", "column 4: expected a value, found the end"),
            ("(1 + 2", "column 1: `(` is never closed"),
            ("1 + 2)", "column 6: `)` has no matching `(`"),
            (
                "2 position_x",
                "column 3: expected an operator before `position_x`",
            ),
            (
                "2position_x",
                "`2position_x` is not a number; a product is written `2*…`",
            ),
            ("1.2.3", "`1.2.3` is not a number"),
            ("1__0", "`1__0` is not a number"),
            ("1e999", "`1e999` is too large"),
            ("{position_x", "`{` is never closed"),
            ("{nothing}", "no `nothing`"),
            ("cosh()", "`cosh` takes one value, got 0"),
            ("cos(1, 2)", "`cos` takes one value, got 2"),
            ("min(1)", "`min` takes at least two values, got 1"),
            ("atan2(1, 2, 3)", "`atan2` takes two values, y and x, got 3"),
            ("sqr(2)", "no function `sqr`, did you mean `sqrt`?"),
            (
                "position_x(2)",
                "`position_x` is not a function; a product is written `position_x*(…)`",
            ),
            ("cos - 0.9", "`cos` is a function, write `cos(…)`"),
            ("1, 2", "column 2: expected an operator before `,`"),
            ("1 < 2", "column 3: unknown character `<`"),
        ] {
            let found = message(text);
            assert!(found.contains(part), "{text}: {found}");
        }
    }

    #[test]
    fn a_channel_named_like_a_function_is_the_channel() {
        // The pendulum observes (cos, sin, velocity).
        let at = |text: &str| {
            let formula = parse_in("pendulum", text).unwrap_or_else(|e| panic!("{e}"));
            formula.value(&[0.5, -0.25, 2.0], &[3.0])
        };
        for (text, expected) in [
            ("cos - 0.9", 0.5 - 0.9),
            ("1-cos", 0.5),
            ("sin^2", 0.0625),
            ("-sin^2", -0.0625),
            ("abs(sin)", 0.25),
            ("abs sin", 0.25),
            ("cos(sin)", (-0.25_f64).cos()),
            ("cos (sin)", (-0.25_f64).cos()),
            ("cos * (sin)", -0.125),
            ("cos(cos)*cos", 0.5 * 0.5_f64.cos()),
            ("{cos} + {sin}", 0.25),
            ("min(cos, sin)", -0.25),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
    }

    #[test]
    fn precedence_and_literals_are_pythons() {
        for (text, expected) in [
            ("-2^2", -4.0),
            ("-2**2", -4.0),
            ("(-2)^2", 4.0),
            ("2^-1", 0.5),
            ("2^3^2", 512.0),
            ("-2^-2^2", -0.0625),
            ("8/2/2", 2.0),
            ("8-2-2", 4.0),
            ("2*3^2", 18.0),
            ("6/2*3", 9.0),
            ("-3*-2", 6.0),
            ("1--1", 2.0),
            ("-7 % 3", 2.0),
            ("7 % -3", -2.0),
            ("2 + 3*4 - 6/3", 12.0),
            ("1e-3", 0.001),
            ("1E+3", 1000.0),
            (".5e1", 5.0),
            ("2.", 2.0),
            ("1_000", 1000.0),
            ("3 − 1", 2.0),
            ("max(1, 5, 3)", 5.0),
            ("2 min 3 + 4", 2.0),
            ("atan2(1, 1)*4/PI", 1.0),
            ("1 atan2 1", std::f64::consts::FRAC_PI_4),
            ("sqrt 16 + 1", 5.0),
            ("ln E + log10 1000 + τ/TAU", 5.0),
        ] {
            let found = constant(text);
            assert!((found - expected).abs() < 1e-12, "{text}: {found}");
        }
    }

    #[test]
    fn hostile_depth_is_refused_and_length_is_not() {
        for open in ["(", "-", "2^", "abs(", "sin ", "+", "min(1,"] {
            let text = open.repeat(100_000) + "1";
            let found = message(&text);
            assert!(
                found.contains("nested deeper than 200 levels"),
                "{open}: {found}"
            );
            assert!(found.len() < 400, "{}", found.len());
        }
        assert!(message(&")".repeat(100_000)).contains("column 1"));
        assert_eq!(constant(&("1+".repeat(100_000) + "1")), 100_001.0);
        assert_eq!(
            constant(&format!("{}1{}", "(".repeat(150), ")".repeat(150))),
            1.0
        );
    }

    /// What a formula may be, evaluated as it is built.
    #[derive(Debug, Clone)]
    enum Tree {
        Number(f64),
        Negative(Box<Tree>),
        Function(&'static str, Box<Tree>),
        Two(char, Box<Tree>, Box<Tree>),
    }

    impl Tree {
        fn value(&self) -> f64 {
            match self {
                Self::Number(v) => *v,
                Self::Negative(x) => -x.value(),
                Self::Function("abs", x) => x.value().abs(),
                Self::Function("sin", x) => x.value().sin(),
                Self::Function(_, x) => x.value().tanh(),
                Self::Two(op, a, b) => {
                    let (a, b) = (a.value(), b.value());
                    match op {
                        '+' => a + b,
                        '-' => a - b,
                        '*' => a * b,
                        '/' => a / b,
                        _ => a.powf(b),
                    }
                }
            }
        }

        /// Python's grammar: sum 0, product 1, sign 2, power 3, atom 4.
        fn level(&self) -> u8 {
            match self {
                Self::Number(_) | Self::Function(..) => 4,
                Self::Negative(_) => 2,
                Self::Two('+' | '-', ..) => 0,
                Self::Two('*' | '/', ..) => 1,
                Self::Two(..) => 3,
            }
        }

        /// With the parentheses that Python needs.
        fn text(&self) -> String {
            let at_least = |tree: &Tree, level: u8| match tree.level() >= level {
                true => tree.text(),
                false => format!("({})", tree.text()),
            };
            match self {
                Self::Number(v) => v.to_string(),
                Self::Negative(x) => format!("-{}", at_least(x, 2)),
                Self::Function(name, x) => format!("{name}({})", x.text()),
                Self::Two('^', a, b) => format!("{} ^{}", at_least(a, 4), at_least(b, 2)),
                Self::Two(op, a, b) => {
                    let level = self.level();
                    format!("{}{op} {}", at_least(a, level), at_least(b, level + 1))
                }
            }
        }
    }

    fn trees() -> impl Strategy<Value = Tree> {
        let number = (0_u32..2000).prop_map(|n| Tree::Number(f64::from(n) / 64.0));
        number.prop_recursive(7, 48, 2, |inner| {
            let two = prop::sample::select(vec!['+', '-', '*', '/', '^']);
            let one = prop::sample::select(vec!["abs", "sin", "tanh"]);
            prop_oneof![
                inner.clone().prop_map(|x| Tree::Negative(Box::new(x))),
                (one, inner.clone()).prop_map(|(f, x)| Tree::Function(f, Box::new(x))),
                (two, inner.clone(), inner).prop_map(|(op, a, b)| Tree::Two(
                    op,
                    Box::new(a),
                    Box::new(b)
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn formulas_mean_what_their_trees_do(tree in trees()) {
            let (found, expected) = (constant(&tree.text()), tree.value());
            prop_assert!(found == expected || found.is_nan() && expected.is_nan(), "{}: {found}, {expected}", tree.text());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+*/^%(){},.a-eps0-9_ πé−]{0,40}") {
            match parse(&text) {
                Ok(formula) => { formula.value(&[1.0; 4], &[1.0; 2]); }
                Err(e) => prop_assert!(e.to_string().contains("formula")),
            }
        }
    }
}
