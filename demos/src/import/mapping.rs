//! Which column is what.

use std::collections::BTreeSet;
use std::str::FromStr;

use costate_envs::Channel;
use serde::{Deserialize, Serialize};

use super::error::ImportError;

/// A channel of observations or actions, and the column that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelMap {
    /// Column of the table.
    pub column: String,
    /// Name of the channel; the column's by default, with `_` for what formulas do not take.
    #[serde(default)]
    pub name: String,
    /// Unit; `1`, a pure number, by default.
    #[serde(default = "no_unit")]
    pub unit: String,
    /// Lower bound; the smallest value by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f32>,
    /// Upper bound; the largest value by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f32>,
}

fn no_unit() -> String {
    "1".into()
}

impl ChannelMap {
    /// The channel of a column, with everything by default.
    pub fn of(column: &str) -> Self {
        Self {
            column: column.into(),
            name: plain(column),
            unit: no_unit(),
            ..Self::default()
        }
    }

    /// The channel, with the bounds of `values` where none are given.
    pub(super) fn channel(&self, [least, most]: [f32; 2]) -> Result<Channel, ImportError> {
        let (mut low, mut high) = (self.low.unwrap_or(least), self.high.unwrap_or(most));
        if low >= high && (self.low, self.high) == (None, None) {
            // One value only: a range around it.
            let room = least.abs().max(1.0);
            (low, high) = (least - room, least + room);
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(ImportError::Mapping(format!(
                "bounds of `{}` are {low} … {high}, expected two finite numbers, the lower first",
                self.name
            )));
        }
        Ok(Channel::new(&self.name, &self.unit, low, high))
    }

    /// The same with a name. Errors: a bound that is not finite in single precision.
    fn named(mut self) -> Result<Self, String> {
        if self.name.is_empty() {
            self.name = plain(&self.column);
        }
        let mut bounds = self.low.iter().chain(&self.high);
        match bounds.find(|bound| !bound.is_finite()) {
            None => Ok(self),
            Some(bound) => Err(format!(
                "a bound of `{}` is {bound} in single precision, expected a finite number",
                self.name
            )),
        }
    }
}

/// A name that formulas take: letters, digits and `_`.
fn plain(column: &str) -> String {
    let mut name = String::new();
    for c in column.chars() {
        match c.is_ascii_alphanumeric() {
            true => name.push(c),
            false if name.ends_with('_') => {}
            false => name.push('_'),
        }
    }
    let name = name.trim_end_matches('_');
    match name.chars().next() {
        None => "channel".into(),
        Some(c) if c.is_ascii_digit() => format!("_{name}"),
        Some(_) => name.into(),
    }
}

/// `COLUMN[=NAME][:UNIT[:LOW..HIGH]]`.
impl FromStr for ChannelMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().splitn(3, ':');
        let column = parts.next().unwrap_or_default();
        let (column, name) = column.split_once('=').unwrap_or((column, ""));
        let mut map = Self {
            column: column.trim().into(),
            name: name.trim().into(),
            unit: no_unit(),
            ..Self::default()
        };
        if map.column.is_empty() {
            return Err(format!(
                "`{text}`: expected COLUMN[=NAME][:UNIT[:LOW..HIGH]], e.g. `q1=elbow:rad:-3.14..3.14`"
            ));
        }
        if let Some(unit) = parts.next().map(str::trim).filter(|u| !u.is_empty()) {
            map.unit = unit.into();
        }
        if let Some(bounds) = parts.next() {
            let numbers = bounds.split_once("..");
            let numbers =
                numbers.and_then(|(l, h)| Some((l.trim().parse().ok()?, h.trim().parse().ok()?)));
            let (low, high) = numbers
                .ok_or_else(|| format!("`{text}`: bounds are `{bounds}`, expected LOW..HIGH"))?;
            (map.low, map.high) = (Some(low), Some(high));
        }
        map.named()
    }
}

/// What an episode's last row is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastRow {
    /// The state in which the last action ended: N rows are N − 1 steps, and the action in the last row is not used.
    #[default]
    State,
    /// A step like the others, whose outcome was not recorded: N rows are N steps, and the last observation stands
    /// for the final state as well.
    Step,
}

/// Which column is what. Also the form of a mapping file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// Columns that were observed, in order.
    pub observations: Vec<ChannelMap>,
    /// Columns that were commanded, in order.
    pub actions: Vec<ChannelMap>,
    /// Whether nothing says what was commanded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observations_only: bool,
    /// A column whose value changes from one episode to the next; a file is one episode without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<String>,
    /// A column with the time in seconds, which grows within an episode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Seconds of `time` between two rows above which a new episode begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_s: Option<f64>,
    /// Control period; the median of the differences of `time` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dt_s: Option<f64>,
    /// A column that is true where the task ended the episode: its last state has no future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<String>,
    /// A column that is true where the episode was cut off: so is every episode that nothing else ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
    /// A column with the reward of each step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
    /// Columns with the observations after each row's action, in the order of `observations`: every row is a step then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next_observations: Vec<String>,
    /// What an episode's last row is; a state by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_row: Option<LastRow>,
    /// Which mask of a robomimic file to read, `train` or `valid`; all demonstrations by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// What was demonstrated, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

impl Mapping {
    /// Reads a mapping file.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut mapping: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        for maps in [&mut mapping.observations, &mut mapping.actions] {
            *maps = std::mem::take(maps)
                .into_iter()
                .map(ChannelMap::named)
                .collect::<Result<_, _>>()?;
        }
        Ok(mapping)
    }

    /// This mapping, with what `over` says in its place.
    pub fn overlaid(self, over: Self) -> Self {
        let some = |maps: Vec<ChannelMap>, other| if maps.is_empty() { other } else { maps };
        Self {
            observations: some(over.observations, self.observations),
            actions: some(over.actions, self.actions),
            observations_only: over.observations_only || self.observations_only,
            episode: over.episode.or(self.episode),
            time: over.time.or(self.time),
            gap_s: over.gap_s.or(self.gap_s),
            dt_s: over.dt_s.or(self.dt_s),
            terminated: over.terminated.or(self.terminated),
            truncated: over.truncated.or(self.truncated),
            reward: over.reward.or(self.reward),
            next_observations: match over.next_observations.is_empty() {
                true => self.next_observations,
                false => over.next_observations,
            },
            last_row: over.last_row.or(self.last_row),
            split: over.split.or(self.split),
            summary: over.summary.or(self.summary),
        }
    }

    /// Errors: a period or gap that is not positive, a gap without times, a name twice.
    pub(super) fn check(&self) -> Result<(), ImportError> {
        let refused = |text: String| Err(ImportError::Mapping(text));
        for (what, value) in [("--dt", self.dt_s), ("--gap", self.gap_s)] {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return refused(format!("{what} is {value}, expected more than 0 seconds"));
            }
        }
        if self.gap_s.is_some() && self.time.is_none() {
            return refused("--gap needs the times: `--time COLUMN`".into());
        }
        if !self.next_observations.is_empty() && self.last_row == Some(LastRow::State) {
            return refused(
                "with --next-observations every row is a step; leave `--last-row state` out".into(),
            );
        }
        if self.observations_only && !self.actions.is_empty() {
            return refused(
                "--observations-only says that there are no actions; leave --actions out, or read them and hide them from \
                 the learner: `costate train … --observations-only`"
                    .into(),
            );
        }
        for (what, maps) in [
            ("--observations", &self.observations),
            ("--actions", &self.actions),
        ] {
            let mut names = BTreeSet::new();
            for map in maps {
                if !names.insert(&map.name) {
                    return refused(format!(
                        "{what}: two channels are named `{}`; rename one: `{}=NAME`",
                        map.name, map.column
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_written_short() {
        let full: ChannelMap = "q 1=elbow:rad/s:-3..4e1".parse().unwrap();
        assert_eq!(
            full,
            ChannelMap {
                column: "q 1".into(),
                name: "elbow".into(),
                unit: "rad/s".into(),
                low: Some(-3.0),
                high: Some(40.0),
            }
        );
        let short: ChannelMap = "observation.state[3]".parse().unwrap();
        assert_eq!(
            (short.name.as_str(), short.unit.as_str()),
            ("observation_state_3", "1")
        );
        for bad in ["", "=x", "a:m:1", "a:m:x..y", "a:m:0..1e39", "a:m:nan..1"] {
            assert!(bad.parse::<ChannelMap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_override_the_file() {
        let file = Mapping::from_json(
            r#"{"observations": [{"column": "x"}], "actions": [{"column": "u", "unit": "N"}], "dt_s": 0.1, "last_row": "step"}"#,
        )
        .unwrap();
        assert_eq!(file.observations, [ChannelMap::of("x")]);
        let both = file.overlaid(Mapping {
            actions: vec![ChannelMap::of("v")],
            dt_s: Some(0.2),
            ..Mapping::default()
        });
        assert_eq!(both.actions[0].column, "v");
        assert_eq!((both.dt_s, both.last_row), (Some(0.2), Some(LastRow::Step)));
        assert!(
            Mapping::from_json(r#"{"observation": []}"#)
                .unwrap_err()
                .contains("unknown field")
        );
    }
}
