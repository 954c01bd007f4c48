//! Experts were tuned at the control rate of the shipped model; step counts in their settings are scaled by time.

use costate_envs::{EnvConfig, EnvFactory};

/// Control steps of a world per step of the shipped model: 5 at five times its control rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace(f64);

impl Pace {
    pub(super) fn of(factory: &EnvFactory) -> Self {
        let spec = factory.spec();
        let shipped = tuned_period(&spec.name).unwrap_or(spec.control_period_s);
        Self(shipped / spec.control_period_s)
    }

    /// Number of steps of the same duration as `tuned` steps of the shipped model.
    pub(super) fn steps(self, tuned: usize) -> usize {
        ((tuned as f64 * self.0).round() as usize).max(1)
    }

    /// The factor by which something decays in a step if it decays by `tuned` in a step of the shipped model.
    pub(super) fn decay(self, tuned: f64) -> f64 {
        tuned.powf(1.0 / self.0)
    }
}

/// Control period of the shipped model of `env`, seconds.
pub(crate) fn tuned_period(env: &str) -> Option<f64> {
    let factory = EnvConfig::named(env).ok()?.factory().ok()?;
    Some(factory.spec().control_period_s)
}

/// The same world at the control rate of its shipped model; `None` if it already runs at that rate, or has no shipped model.
pub(super) fn at_tuned_rate(factory: &EnvFactory) -> Option<EnvFactory> {
    let spec = factory.spec();
    let shipped = tuned_period(&spec.name)?;
    if shipped == spec.control_period_s {
        return None;
    }
    let mut config = factory.config().clone();
    let steps = config.model.get("steps_per_control")?.as_f64()?;
    config.set("dt_s", &(shipped / steps).to_string()).ok()?;
    config.factory().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_in_steps_keep_their_seconds() {
        let mut config = EnvConfig::named("pendulum").unwrap();
        let shipped = config.factory().unwrap();
        assert_eq!(Pace::of(&shipped), Pace(1.0));
        assert_eq!(Pace::of(&shipped).steps(35), 35);
        assert_eq!(Pace::of(&shipped).decay(0.9), 0.9);
        assert!(at_tuned_rate(&shipped).is_none());
        config.set("dt_s", "0.01").unwrap();
        let fast = config.factory().unwrap();
        assert_eq!(Pace::of(&fast).steps(35), 175);
        assert!((Pace::of(&fast).decay(0.9).powi(5) - 0.9).abs() < 1e-12);
        let slowed = at_tuned_rate(&fast).unwrap();
        assert_eq!(slowed.spec(), shipped.spec());
        config.set("dt_s", "10").unwrap();
        assert_eq!(Pace(0.001).steps(35), 1);
    }
}
