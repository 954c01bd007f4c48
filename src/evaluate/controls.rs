//! Controls of a cost relative to a base policy: does it do more than the clone that it contains?
//!
//! Of c = c_θ − log π_0, the term −log π_0 alone makes a fresh policy a copy of the clone π_0. Fresh policies are
//! therefore also trained, in the same way, on −log π_0 alone and on c_θ alone.

use serde::{Deserialize, Serialize};

use super::validation::{FreshPolicy, Frozen, Verdict};
use crate::cost::CostPart;

/// The kept fresh policy's true return against that of the kept one on −log π_0 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Above it by more than chance.
    MoreThanTheClone,
    /// As high as it, up to chance.
    NoMoreThanTheClone,
    /// Below it by more than chance.
    LessThanTheClone,
    /// The cost is not relative to a base policy.
    NoClone,
}

/// Standard errors of a difference that are chance: two-sided 95 %.
const CHANCE: f64 = 1.96;

impl Standing {
    /// The difference d of the mean returns against its standard error, s² = s_whole² + s_base²: chance is |d| ≤ 1.96 s.
    /// `None` where a standard error is unknown.
    pub fn of(whole: &FreshPolicy, base_alone: &FreshPolicy) -> Option<Self> {
        let error = whole
            .return_standard_error?
            .hypot(base_alone.return_standard_error?);
        let difference = whole.mean_return - base_alone.mean_return;
        Some(match difference {
            d if d > CHANCE * error => Self::MoreThanTheClone,
            d if d < -CHANCE * error => Self::LessThanTheClone,
            _ => Self::NoMoreThanTheClone,
        })
    }

    /// The verdict on a whole cost as text; `sound` stands alone only if the cost does more than its clone, or has none.
    pub fn words(standing: Option<Self>, verdict: Verdict) -> String {
        let words = verdict.words();
        if verdict != Verdict::Sound {
            return words.into();
        }
        match standing {
            Some(Self::MoreThanTheClone | Self::NoClone) => words.into(),
            Some(Self::NoMoreThanTheClone) => {
                "sound, but no more than the clone: a fresh policy on −log π_0 alone does as well"
                    .into()
            }
            Some(Self::LessThanTheClone) => {
                "sound, but less than the clone: a fresh policy on −log π_0 alone does better"
                    .into()
            }
            None => format!("{words}; not compared with the clone"),
        }
    }
}

/// Fresh policies on the parts of a cost relative to a base policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// On −log π_0 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_alone: Option<Frozen>,
    /// On c_θ alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_base: Option<Frozen>,
    /// The whole cost against −log π_0 alone; absent if not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

impl Controls {
    /// Of a cost that is not relative to a base policy.
    pub fn no_clone() -> Self {
        Self {
            standing: Some(Standing::NoClone),
            ..Self::default()
        }
    }

    /// Compares the whole cost with its parts.
    pub fn of(whole: &Frozen, base_alone: Frozen, without_base: Frozen) -> Self {
        Self {
            standing: Standing::of(whole.best(), base_alone.best()),
            base_alone: Some(base_alone),
            without_base: Some(without_base),
        }
    }

    /// The whole cost and its parts, as far as fresh policies were trained on them.
    pub fn all<'a>(&'a self, whole: &'a Frozen) -> Vec<(CostPart, &'a Frozen)> {
        let parts = [
            (CostPart::Whole, Some(whole)),
            (CostPart::BaseAlone, self.base_alone.as_ref()),
            (CostPart::WithoutBase, self.without_base.as_ref()),
        ];
        parts
            .into_iter()
            .filter_map(|(part, frozen)| Some((part, frozen?)))
            .collect()
    }

    /// The verdict on the whole cost as text: see [`Standing::words`].
    pub fn words(&self, verdict: Verdict) -> String {
        Standing::words(self.standing, verdict)
    }
}

/// Fresh policies on a cost and on its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// On the whole cost.
    pub frozen: Frozen,
    /// On its parts.
    #[serde(flatten)]
    pub controls: Controls,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(mean_return: f64, error: Option<f64>) -> FreshPolicy {
        FreshPolicy {
            seed: 0,
            discount: 0.97,
            soft_value: 0.0,
            delta: 0.0,
            mean_return,
            return_standard_error: error,
            normalized_score: 1.0,
            relative_return: 0.0,
        }
    }

    /// Standard errors 3 and 4 make 5; chance ends at 9.8.
    #[test]
    fn more_or_less_than_the_clone_by_hand() {
        for (whole, expected) in [
            (-90.1, Standing::MoreThanTheClone),
            (-90.2, Standing::NoMoreThanTheClone),
            (-90.3, Standing::NoMoreThanTheClone),
            (-100.0, Standing::NoMoreThanTheClone),
            (-109.7, Standing::NoMoreThanTheClone),
            (-109.9, Standing::LessThanTheClone),
        ] {
            let found = Standing::of(&kept(whole, Some(3.0)), &kept(-100.0, Some(4.0)));
            assert_eq!(found, Some(expected), "{whole}");
        }
        // Exactly at the boundary, in numbers that are exact in binary: 0 ± 1.96 · 0.
        let same = Standing::of(&kept(2.0, Some(0.0)), &kept(2.0, Some(0.0)));
        assert_eq!(same, Some(Standing::NoMoreThanTheClone));
        let boundary = Standing::of(&kept(1.96, Some(1.0)), &kept(0.0, Some(0.0)));
        assert_eq!(boundary, Some(Standing::NoMoreThanTheClone));
        let unknown = Standing::of(&kept(9.0, None), &kept(0.0, Some(1.0)));
        assert_eq!(unknown, None);
    }

    #[test]
    fn sound_stands_alone_only_above_the_clone() {
        let words = |standing, verdict| {
            let controls = Controls {
                standing,
                ..Controls::default()
            };
            controls.words(verdict)
        };
        let alone = Verdict::Sound.words();
        assert_eq!(
            words(Some(Standing::MoreThanTheClone), Verdict::Sound),
            alone
        );
        assert_eq!(words(Some(Standing::NoClone), Verdict::Sound), alone);
        for (standing, part) in [
            (Some(Standing::NoMoreThanTheClone), "no more than the clone"),
            (Some(Standing::LessThanTheClone), "less than the clone"),
            (None, "not compared with the clone"),
        ] {
            let said = words(standing, Verdict::Sound);
            assert!(said.starts_with("sound") && said.contains(part), "{said}");
        }
        assert!(words(None, Verdict::Exploited).starts_with("exploited"));
    }
}
