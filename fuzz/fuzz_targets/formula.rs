//! Formulas: costs and scripted policies. A text is tried in two worlds.
#![no_main]

use std::sync::OnceLock;

use costate::expression::Formula;
use costate_envs::EnvFactory;
use libfuzzer_sys::fuzz_target;

static PENDULUM: OnceLock<EnvFactory> = OnceLock::new();
static MAZE: OnceLock<EnvFactory> = OnceLock::new();

fuzz_target!(|text: &str| {
    for factory in [
        costate_fuzz::world(&PENDULUM, "pendulum"),
        costate_fuzz::world(&MAZE, "point_maze"),
    ] {
        let spec = factory.spec();
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        for actions in [false, true] {
            match Formula::parse(text, spec, actions) {
                Ok(formula) => {
                    let again = Formula::parse(formula.text(), spec, actions).expect("the same");
                    for value in [0.0, 1.0, -2.5, f32::MAX] {
                        let (s, u) = (vec![value; o], vec![value; a]);
                        let found = formula.value(&s, &u);
                        assert_eq!(found.to_bits(), again.value(&s, &u).to_bits());
                    }
                    assert!(actions || !formula.sees_actions());
                    assert!(!(formula.is_constant() && formula.sees_actions()));
                }
                Err(error) => {
                    assert_eq!(error.exit_code(), 2);
                    assert!(error.to_string().starts_with("formula"), "{error}");
                }
            }
        }
    }
});
