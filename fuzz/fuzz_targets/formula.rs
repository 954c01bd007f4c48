//! Formulas: costs and scripted policies. Its length decides in which world a text is read.
#![no_main]

use std::sync::OnceLock;

use costate::expression::Formula;
use costate_envs::EnvFactory;
use libfuzzer_sys::fuzz_target;

static PENDULUM: OnceLock<EnvFactory> = OnceLock::new();
static MAZE: OnceLock<EnvFactory> = OnceLock::new();

fuzz_target!(|text: &str| {
    let factory = match text.len().is_multiple_of(2) {
        true => costate_fuzz::world(&PENDULUM, "pendulum"),
        false => costate_fuzz::world(&MAZE, "point_maze"),
    };
    let spec = factory.spec();
    let (o, a) = (spec.observation.dim(), spec.action.dim());
    match Formula::parse(text, spec, true) {
        Ok(formula) => {
            let again = Formula::parse(formula.text(), spec, true).expect("the same");
            for value in [0.0, 1.0, -2.5, f32::MAX] {
                let (s, u) = (vec![value; o], vec![value; a]);
                let found = formula.value(&s, &u);
                assert_eq!(found.to_bits(), again.value(&s, &u).to_bits());
            }
            assert!(!(formula.is_constant() && formula.sees_actions()));
            let without = Formula::parse(text, spec, false);
            assert_eq!(without.is_err(), formula.sees_actions());
        }
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with("formula"), "{error}");
        }
    }
});
