//! Tables cut into episodes.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use costate_envs::{End, EnvSpec, Space, Trajectory};

use super::Read;
use super::error::ImportError;
use super::mapping::{ChannelMap, LastRow, Mapping};
use super::table::{Kind, Table};
use crate::dataset::{COSTS, SourceFile, is_cost};

/// Relative deviation of a time difference from the control period that is worth a remark.
const JITTER: f64 = 0.1;

/// Largest difference, relative to 1 + |value|, between a state and what the row before says it would be.
const SAME_STATE: f64 = 1e-5;

/// Reads tables with the columns that `mapping` names; those of `spec` by default.
pub(super) fn read(
    files: &[(PathBuf, Kind)],
    mapping: &Mapping,
    spec: Option<&EnvSpec>,
) -> Result<Read, ImportError> {
    let format = files.first().map_or("csv", |(_, kind)| kind.name());
    let mut cutter = Cutter::new(format, mapping, spec)?;
    for (path, kind) in files {
        let (table, source) = Table::read(path, *kind)?;
        cutter.add(&table, source)?;
    }
    Ok(cutter.finish())
}

/// Cuts tables, one by one, into episodes.
pub(super) struct Cutter<'a> {
    read: Read,
    /// Differences of times.
    periods: Vec<f64>,
    spec: Option<&'a EnvSpec>,
}

impl<'a> Cutter<'a> {
    /// No tables yet, of files of this format.
    pub(super) fn new(
        format: &'static str,
        mapping: &Mapping,
        spec: Option<&'a EnvSpec>,
    ) -> Result<Self, ImportError> {
        mapping.check()?;
        let read = Read {
            format,
            sources: Vec::new(),
            observation: Vec::new(),
            action: Vec::new(),
            episodes: Vec::new(),
            rewards: mapping.reward.as_ref().map(|_| Vec::new()),
            known: Vec::new(),
            period_s: mapping.dt_s,
            expert: None,
            summary: mapping.summary.clone(),
            mapping: mapping.clone(),
            remarks: Vec::new(),
        };
        Ok(Self {
            read,
            periods: Vec::new(),
            spec,
        })
    }

    /// The episodes of one more table. The first one says how many channels a column of lists is.
    pub(super) fn add(&mut self, table: &Table, source: SourceFile) -> Result<(), ImportError> {
        self.read.sources.push(source);
        self.add_part(table)
    }

    /// The episodes of one more table of a file that was added.
    pub(super) fn add_part(&mut self, table: &Table) -> Result<(), ImportError> {
        let (read, spec) = (&mut self.read, self.spec);
        if read.observation.is_empty() {
            let (observed, acted) = (&read.mapping.observations, &read.mapping.actions);
            let observed = channels(
                table,
                observed,
                "observations",
                spec.map(|s| &s.observation),
            )?;
            let acted = match (read.mapping.observations_only, spec) {
                // The world's own channels, of which the table says nothing.
                (true, Some(spec)) => spec.action.names().map(ChannelMap::of).collect(),
                _ => {
                    let acted = channels(table, acted, "actions", spec.map(|s| &s.action))?;
                    read.mapping.actions = acted.clone();
                    acted
                }
            };
            read.mapping.observations = observed.clone();
            let next = std::mem::take(&mut read.mapping.next_observations);
            read.mapping.next_observations =
                next.iter().flat_map(|name| expanded(table, name)).collect();
            let (next, own) = (read.mapping.next_observations.len(), observed.len());
            if next > 0 && next != own {
                return Err(ImportError::Mapping(format!(
                    "--next-observations are {next} columns, expected {own}, one for each observation"
                )));
            }
            read.mapping.check()?;
            (read.observation, read.action) = (observed, acted);
        }
        cut(table, read, &mut self.periods)
    }

    /// What was read; its control period is that of the mapping, or the median difference of the times.
    pub(super) fn finish(mut self) -> Read {
        let (read, periods) = (&mut self.read, &mut self.periods);
        if read.period_s.is_none() && !periods.is_empty() {
            read.period_s = Some(median(periods));
        }
        if let Some(period) = read.period_s {
            let odd = periods
                .iter()
                .filter(|d| (**d / period - 1.0).abs() > JITTER);
            let odd = odd.count();
            if odd > 0 {
                read.remarks.push(format!(
                    "{odd} of {} rows do not follow the one before after {period} s, within {:.0} %: learners take all \
                     steps to be equally long",
                    periods.len(),
                    100.0 * JITTER
                ));
            }
        }
        read.mapping.dt_s = read.period_s;
        self.read
    }
}

/// The median to nine digits, which hides the rounding of sums of decimal fractions.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let median = values[values.len() / 2];
    format!("{median:.8e}").parse().unwrap_or(median)
}

/// The channels: as asked, a column of lists being as many as its lists are long; or those that are named as in a world.
fn channels(
    table: &Table,
    asked: &[ChannelMap],
    what: &str,
    space: Option<&Space>,
) -> Result<Vec<ChannelMap>, ImportError> {
    if let (true, Some(space)) = (asked.is_empty(), space) {
        let of = |c: &costate_envs::Channel| ChannelMap {
            unit: c.unit.clone(),
            ..ChannelMap::of(&c.name)
        };
        return Ok(space.0.iter().map(of).collect());
    }
    if asked.is_empty() {
        let columns: Vec<&str> = table.names().collect();
        return Err(ImportError::Mapping(format!(
            "which columns are {what}? `--{what} COLUMN,…`; `{}` has {}",
            table.path().display(),
            columns.join(", ")
        )));
    }
    let mut channels = Vec::new();
    for map in asked {
        let items = match table.has(&map.column) {
            true => Vec::new(),
            false => table.expanded(&map.column),
        };
        if items.is_empty() {
            channels.push(map.clone());
            continue;
        }
        let default = ChannelMap::of(&map.column).name == map.name;
        for (i, item) in items.iter().enumerate() {
            channels.push(ChannelMap {
                column: item.clone(),
                name: match default {
                    true => ChannelMap::of(item).name,
                    false => format!("{}_{i}", map.name),
                },
                ..map.clone()
            });
        }
    }
    Ok(channels)
}

/// The columns that `name` stands for: itself, or those of a column of lists.
fn expanded(table: &Table, name: &str) -> Vec<String> {
    let items = match table.has(name) {
        true => Vec::new(),
        false => table.expanded(name),
    };
    match items.is_empty() {
        true => vec![name.to_owned()],
        false => items,
    }
}

/// The columns of one table that matter.
struct Columns {
    observations: Vec<Vec<f64>>,
    /// The observations after each row's action, where they are recorded.
    next: Option<Vec<Vec<f64>>>,
    actions: Vec<Vec<f64>>,
    rewards: Option<(String, Vec<f64>)>,
    terminated: Option<(String, Vec<bool>)>,
    truncated: Option<(String, Vec<bool>)>,
    time: Option<(String, Vec<f64>)>,
}

impl Columns {
    fn of(table: &Table, read: &Read) -> Result<Self, ImportError> {
        let all = |maps: &[ChannelMap]| -> Result<Vec<_>, ImportError> {
            maps.iter().map(|m| table.numbers(&m.column)).collect()
        };
        let numbers = |name: &Option<String>| named(name.as_deref(), |n| table.numbers(n));
        let flags = |name: &Option<String>| named(name.as_deref(), |n| table.flags(n));
        let mapping = &read.mapping;
        Ok(Self {
            observations: all(&read.observation)?,
            next: match mapping.next_observations.as_slice() {
                [] => None,
                names => Some(
                    names
                        .iter()
                        .map(|n| table.numbers(n))
                        .collect::<Result<_, _>>()?,
                ),
            },
            actions: match mapping.observations_only {
                true => vec![vec![0.0; table.rows()]; read.action.len()],
                false => all(&read.action)?,
            },
            rewards: numbers(&mapping.reward)?,
            terminated: flags(&mapping.terminated)?,
            truncated: flags(&mapping.truncated)?,
            time: numbers(&mapping.time)?,
        })
    }
}

/// A column with its name, if it is asked for.
fn named<T>(
    name: Option<&str>,
    values: impl Fn(&str) -> Result<Vec<T>, ImportError>,
) -> Result<Option<(String, Vec<T>)>, ImportError> {
    name.map(|name| Ok((name.to_owned(), values(name)?)))
        .transpose()
}

/// Adds the episodes of `table`, and the differences of their times.
fn cut(table: &Table, read: &mut Read, periods: &mut Vec<f64>) -> Result<(), ImportError> {
    let columns = Columns::of(table, read)?;
    for rows in boundaries(table, &read.mapping, &columns)? {
        if let Some((name, time)) = &columns.time {
            for row in rows.start + 1..rows.end {
                let (before, now) = (time[row - 1], time[row]);
                if now <= before {
                    return Err(table.value_error(
                        row,
                        name,
                        format!(
                            "the time is {now}, expected more than {before}, the row before; if an episode begins here, \
                             name its column (`--episode COLUMN`), or give every episode a file of its own"
                        ),
                    ));
                }
                periods.push(now - before);
            }
        }
        let episode = episode(table, read, &columns, rows)?;
        read.episodes.push(episode.0);
        if let (Some(all), Some(own)) = (&mut read.rewards, episode.1) {
            all.push(own);
        }
    }
    Ok(())
}

/// The rows of each episode.
fn boundaries(
    table: &Table,
    mapping: &Mapping,
    columns: &Columns,
) -> Result<Vec<Range<usize>>, ImportError> {
    let rows = table.rows();
    let mut begins = BTreeSet::from([0]);
    if let Some(name) = &mapping.episode {
        let keys = table.keys(name)?;
        let mut seen: BTreeSet<&str> = keys.first().map(String::as_str).into_iter().collect();
        for row in 1..rows {
            if keys[row] == keys[row - 1] {
                continue;
            }
            if !seen.insert(&keys[row]) {
                let reason = format!(
                    "episode `{}` begins again after another one; sort the table by episode",
                    keys[row]
                );
                return Err(table.value_error(row, name, reason));
            }
            begins.insert(row);
        }
    }
    if let Some((name, time)) = &columns.time {
        if let Some(row) = time.iter().position(|t| !t.is_finite()) {
            let reason = format!("found {}, expected seconds", shown(time[row]));
            return Err(table.value_error(row, name, reason));
        }
        if let Some(gap) = mapping.gap_s {
            begins.extend((1..rows).filter(|&row| time[row] - time[row - 1] > gap));
        }
    }
    let ends = begins.iter().skip(1).copied().chain([rows]);
    let ranges = begins.iter().copied().zip(ends).map(|(from, to)| from..to);
    Ok(ranges.filter(|range| !range.is_empty()).collect())
}

/// A number that is none, as people would say it.
fn shown(value: f64) -> String {
    match value.is_nan() {
        true => "nothing or NaN".into(),
        false => format!("{value:?}"),
    }
}

/// The episode of these rows, with its rewards.
fn episode(
    table: &Table,
    read: &Read,
    columns: &Columns,
    rows: Range<usize>,
) -> Result<(Trajectory, Option<Vec<f64>>), ImportError> {
    let last_row = read.mapping.last_row.unwrap_or_default();
    let steps = match (last_row, &columns.next) {
        (LastRow::State, None) => rows.len() - 1,
        _ => rows.len(),
    };
    if steps == 0 {
        return Err(table.row_error(
            rows.start,
            "the episode has one row, expected at least two: the state in which an action was taken, and the one after \
             it; remove it, or take every row as a step (`--last-row step`)"
                .into(),
        ));
    }
    let finite = |row: usize, map: &ChannelMap, value: f64| match value as f32 {
        single if single.is_finite() => Ok(single),
        _ => {
            let found = shown(value);
            let reason = format!("found {found}, expected a finite number");
            Err(table.value_error(row, &map.column, reason))
        }
    };
    let (mut observations, mut actions) = (Vec::new(), Vec::new());
    for t in 0..=steps {
        let row = (rows.start + t).min(rows.end - 1);
        let columns_then = match &columns.next {
            Some(next) if t == steps => next,
            _ => &columns.observations,
        };
        for (map, column) in read.observation.iter().zip(columns_then) {
            observations.push(finite(row, map, column[row])?);
        }
        if t < steps {
            for (map, column) in read.action.iter().zip(&columns.actions) {
                actions.push(finite(row, map, column[row])?);
            }
        }
    }
    if let Some(next) = &columns.next {
        continuous(table, read, columns, next, &rows)?;
    }
    let end = end(table, columns, rows.start, steps, rows.end)?;
    let rewards = columns.rewards.as_ref().map(|(name, all)| {
        let own = (rows.start..rows.start + steps).map(|row| match all[row] {
            reward if is_cost(reward) => Ok(reward),
            reward => {
                let reason = format!("found {}, expected {COSTS}", shown(reward));
                Err(table.value_error(row, name, reason))
            }
        });
        own.collect::<Result<Vec<f64>, ImportError>>()
    });
    let dims = [read.observation.len(), read.action.len()];
    let trajectory = Trajectory::new(dims[0], dims[1], observations, actions, None, end)
        .map_err(|e| table.row_error(rows.start, e.to_string()))?;
    Ok((trajectory, rewards.transpose()?))
}

/// Refuses rows of an episode that do not go on from where the row before led to.
fn continuous(
    table: &Table,
    read: &Read,
    columns: &Columns,
    next: &[Vec<f64>],
    rows: &Range<usize>,
) -> Result<(), ImportError> {
    for row in rows.start + 1..rows.end {
        for (i, (own, next)) in columns.observations.iter().zip(next).enumerate() {
            let (led, is) = (next[row - 1], own[row]);
            let goes_on = (led - is).abs() <= SAME_STATE * (1.0 + is.abs());
            if !goes_on {
                return Err(table.value_error(
                    row,
                    &read.observation[i].column,
                    format!(
                        "found {is}, but the row before led to {led} (`{}`); if an episode begins here, name the column \
                         that says so (`--episode`, `--terminated` or `--truncated`)",
                        read.mapping.next_observations[i]
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// How the episode that begins in row `start` ended: terminated if that is flagged in its last step or in the state
/// after it, truncated otherwise.
fn end(
    table: &Table,
    columns: &Columns,
    start: usize,
    steps: usize,
    end: usize,
) -> Result<End, ImportError> {
    let mut ended = false;
    for (column, terminates) in [(&columns.terminated, true), (&columns.truncated, false)] {
        let Some((name, flags)) = column else {
            continue;
        };
        let last = start + steps - 1;
        if let Some(row) = (start..last).find(|&row| flags[row]) {
            let reason = format!(
                "true, but the episode goes on for {} more rows; if the next one begins a new episode, name the column \
                 that tells them apart (`--episode COLUMN`)",
                end - 1 - row
            );
            return Err(table.value_error(row, name, reason));
        }
        ended |= terminates && flags[last..end].contains(&true);
    }
    Ok(match ended {
        true => End::Terminated,
        false => End::Truncated,
    })
}
