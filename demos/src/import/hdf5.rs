//! HDF5 files: D4RL's arrays, robomimic's demonstrations, Minari's episodes.
//!
//! Read in Rust: h5py's compressed and chunked files of either format are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use costate_envs::EnvSpec;
use hdf5_reader::group::Group;
use hdf5_reader::{ByteOrder, Dataset, Datatype, Hdf5File};
use serde_json::Value;

use super::Read;
use super::arrays::{self, Array, Arrays, Contents, Number};
use super::error::ImportError;
use super::mapping::{ChannelMap, Mapping};

/// Most dimensions of an array that is read: pictures are not.
const DIMENSIONS: usize = 3;

/// Reads files, each of one or more episodes.
pub(super) fn read(
    files: &[PathBuf],
    mapping: &Mapping,
    spec: Option<&EnvSpec>,
) -> Result<Read, ImportError> {
    let split = mapping.split.as_deref();
    arrays::read("hdf5", files, mapping, spec, |bytes| {
        // The decoder trusts what it has checked.
        catch_unwind(AssertUnwindSafe(|| contents(bytes, split)))
            .unwrap_or_else(|_| Err("its contents are damaged: the HDF5 decoder failed".into()))
    })
}

fn contents(bytes: Vec<u8>, split: Option<&str>) -> Result<Contents, String> {
    let unreadable = |e: hdf5_reader::error::Error| format!("it cannot be read as HDF5: {e}");
    let mut room = Room::of(bytes.len());
    let file = Hdf5File::from_vec(bytes).map_err(unreadable)?;
    let root = file.root_group().map_err(unreadable)?;
    let groups = root.groups().map_err(unreadable)?;
    let group = |name: &str| groups.iter().find(|g| g.name() == name);
    if let Some(data) = group("data") {
        return robomimic(data, group("mask"), split, &mut room).map_err(|e| e.0);
    }
    if split.is_some() {
        return Err(
            "it has no masks, which `--split` chooses between: robomimic files have".into(),
        );
    }
    let episodes: Vec<&Group> = sorted(&groups, "episode_");
    if !episodes.is_empty() {
        let mut parts = Vec::new();
        for episode in episodes {
            let mut arrays = Arrays::new();
            collect(episode, "", 0, &mut room, &mut arrays).map_err(|e| e.0)?;
            parts.push((episode.name().to_owned(), arrays));
        }
        return Ok(Contents {
            parts,
            episodes: true,
            own: Mapping::default(),
            remarks: Vec::new(),
        });
    }
    let mut arrays = Arrays::new();
    collect(&root, "", 0, &mut room, &mut arrays).map_err(|e| e.0)?;
    Ok(Contents::flat(arrays))
}

/// A reason in words.
struct Reason(String);

impl From<hdf5_reader::error::Error> for Reason {
    fn from(error: hdf5_reader::error::Error) -> Self {
        Self(format!("it cannot be read as HDF5: {error}"))
    }
}

/// The groups `PREFIXn`, by n.
fn sorted<'a>(groups: &'a [Group], prefix: &str) -> Vec<&'a Group> {
    let number = |g: &Group| g.name().strip_prefix(prefix)?.parse::<u64>().ok();
    let mut found: Vec<(u64, &Group)> = groups
        .iter()
        .filter_map(|g| Some((number(g)?, g)))
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, group)| group).collect()
}

/// robomimic's demonstrations: those of a mask, or all.
fn robomimic(
    data: &Group,
    masks: Option<&Group>,
    split: Option<&str>,
    room: &mut Room,
) -> Result<Contents, Reason> {
    let groups = data.groups()?;
    let mut demos = sorted(&groups, "demo_");
    if let Some(split) = split {
        let all = masks.map(Group::datasets).transpose()?.unwrap_or_default();
        let mask = all.iter().find(|d| d.name() == split).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(Dataset::name).collect();
            Reason(format!(
                "it has no mask `{split}`; its masks: {}",
                names.join(", ")
            ))
        })?;
        let chosen: Vec<String> = mask.read_strings()?;
        demos.retain(|demo| chosen.iter().any(|name| name == demo.name()));
    }
    let (mut parts, mut empty) = (Vec::new(), 0);
    for demo in demos {
        let mut arrays = Arrays::new();
        collect(demo, "", 0, room, &mut arrays)?;
        let steps = arrays
            .get("actions")
            .and_then(|a| a.as_ref().ok()?.shape.first().copied());
        match steps {
            Some(0) => empty += 1,
            _ => parts.push((format!("data/{}", demo.name()), arrays)),
        }
    }
    let mut remarks = Vec::new();
    if empty > 0 {
        remarks.push(format!("{empty} demonstrations without steps are left out"));
    }
    let first = parts.first().map(|(_, arrays)| arrays);
    let mut own = first.map(channels).unwrap_or_default();
    if first.is_some_and(|arrays| arrays.contains_key("dones")) {
        remarks.push(
            "`dones` are not read, as they may mark successes, ends of recordings or both: all demonstrations count as \
             cut off; `--terminated dones` takes them as ends that the task brought about"
                .into(),
        );
    }
    let described = data
        .attribute("env_args")
        .ok()
        .and_then(|a| a.read_string().ok());
    let described: Value = described
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let rate = described["env_kwargs"]["control_freq"].as_f64();
    own.dt_s = rate.filter(|rate| *rate > 0.0).map(|rate| 1.0 / rate);
    own.summary = described["env_name"]
        .as_str()
        .map(|name| format!("demonstrations of {name}"));
    Ok(Contents {
        parts,
        episodes: true,
        own,
        remarks,
    })
}

/// What robomimic's names say: vectors below `obs` are observed, and those below `next_obs` come next.
fn channels(arrays: &Arrays) -> Mapping {
    let vectors = |prefix: &str| -> Vec<String> {
        let of = |(name, array): (&String, &Result<Array, String>)| {
            let plain = array.as_ref().is_ok_and(|a| a.shape.len() <= 2);
            (plain && name.starts_with(prefix)).then(|| name.clone())
        };
        arrays.iter().filter_map(of).collect()
    };
    let (observed, next) = (vectors("obs/"), vectors("next_obs/"));
    let keys = |names: &[String]| -> Vec<String> {
        let key = |n: &String| {
            n.split_once('/')
                .map_or(String::new(), |(_, key)| key.into())
        };
        names.iter().map(key).collect()
    };
    let named = |name: &String| {
        let key = name.strip_prefix("obs/").unwrap_or(name);
        ChannelMap {
            name: ChannelMap::of(key).name,
            ..ChannelMap::of(name)
        }
    };
    Mapping {
        observations: observed.iter().map(named).collect(),
        actions: vec![ChannelMap::of("actions")],
        reward: arrays.contains_key("rewards").then(|| "rewards".into()),
        next_observations: match keys(&observed) == keys(&next) {
            true => next,
            false => Vec::new(),
        },
        ..Mapping::default()
    }
}

/// The arrays of a group and of the groups in it, by path.
fn collect(
    group: &Group,
    prefix: &str,
    depth: usize,
    room: &mut Room,
    to: &mut Arrays,
) -> Result<(), Reason> {
    for dataset in group.datasets()? {
        let name = format!("{prefix}{}", dataset.name());
        if dataset.ndim() <= DIMENSIONS {
            let array = array(&dataset, room);
            to.insert(name, array);
        }
    }
    if depth < 3 {
        for inner in group.groups()? {
            let prefix = format!("{prefix}{}/", inner.name());
            collect(&inner, &prefix, depth + 1, room, to)?;
        }
    }
    Ok(())
}

/// Bytes that the arrays of a file may still declare.
struct Room(usize);

impl Room {
    /// For all arrays of a file of `length` bytes: deflate writes no fewer than 1 for 1,032, and small files may declare
    /// what was never written.
    fn of(length: usize) -> Self {
        Self((1100 * length).max(1 << 26))
    }

    /// Takes the bytes of one array; `None` where the file can hold no such array any more.
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }
}

fn array(dataset: &Dataset, room: &mut Room) -> Result<Array, String> {
    let (number, size, order) = kind(dataset.dtype()).ok_or("values that are no numbers")?;
    let shape: Option<Vec<usize>> = dataset
        .shape()
        .iter()
        .map(|n| usize::try_from(*n).ok())
        .collect();
    let shape = shape.ok_or("a shape beyond this machine's memory")?;
    Array::bytes(&shape, usize::from(size))
        .and_then(|bytes| room.take(bytes))
        .ok_or_else(|| {
            format!("with its shape of {shape:?} the file declares far more than it can hold")
        })?;
    let bytes = dataset
        .read_raw_bytes()
        .map_err(|e| format!("it cannot be read: {e}"))?;
    let big_endian = matches!(order, ByteOrder::BigEndian);
    Array::decode(shape, &bytes, number, usize::from(size), big_endian)
}

/// How numbers are stored; flags of h5py are enumerations of integers.
fn kind(of: &Datatype) -> Option<(Number, u8, ByteOrder)> {
    match of {
        Datatype::FloatingPoint { size, byte_order } => Some((Number::Float, *size, *byte_order)),
        Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => {
            let number = if *signed {
                Number::Signed
            } else {
                Number::Unsigned
            };
            Some((number, *size, *byte_order))
        }
        Datatype::Enum { base, .. } => kind(base),
        _ => None,
    }
}
