//! What the fuzz targets share.

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use costate_demos::Dataset;
use costate_demos::import::{Mapping, Request, import};
use costate_envs::{EnvConfig, EnvFactory};
use serde_json::Value;

/// A folder of this process. `cargo xtask fuzz` has it on a disk in memory and removes it.
pub fn scratch() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = format!("costate-fuzz-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        folder
    })
}

/// Where an input makes another package panic, Costate has to catch it; only what it does not catch is a finding. A panic of
/// Costate's own is one at once, also where it would be caught. Each place of the others is said once.
pub fn outside_may_panic() {
    let aborting = panic::take_hook();
    let said = Mutex::new(BTreeSet::new());
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string);
        let place = place.unwrap_or_default().replace('\\', "/");
        if !place.contains("/registry/src/") && !place.contains("/rustc/") {
            aborting(info);
        } else if said.lock().is_ok_and(|mut said| said.insert(place.clone())) {
            eprintln!("caught: a panic in {place}");
        }
    }));
}

/// The world of that name, once.
pub fn world(cell: &'static OnceLock<EnvFactory>, name: &str) -> &'static EnvFactory {
    cell.get_or_init(|| {
        let config = EnvConfig::named(name).expect("a shipped world");
        config.factory().expect("a shipped world")
    })
}

/// Imports a file; what becomes a dataset is one that opens.
pub fn import_bytes(name: &str, bytes: &[u8], mapping: Mapping) {
    let file = scratch().join(name);
    fs::write(&file, bytes).expect("the temporary folder can be written");
    import_all(&[file], mapping);
}

/// The same of files and folders.
pub fn import_all(sources: &[PathBuf], mapping: Mapping) {
    let to = scratch().join("dataset");
    let _ = fs::remove_dir_all(&to);
    let request = Request {
        sources: sources.to_vec(),
        mapping,
        attach: None,
    };
    match import(&request, &to) {
        Ok(imported) => {
            let dataset = Dataset::open(&to).expect("what was imported opens");
            assert_eq!(dataset.meta(), &imported.meta);
            assert_eq!(dataset.episodes().len(), imported.meta.episodes.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A learner with small networks, untrained.
#[cfg(feature = "learning")]
pub fn learner() -> Box<dyn costate::learners::Learner> {
    use costate::learners::Setup;
    use costate::run::settings::{Override, resolve};
    use costate_envs::{End, Trajectory};

    static LQ: OnceLock<EnvFactory> = OnceLock::new();
    let factory = world(&LQ, "lq");
    let spec = factory.spec();
    let (o, a, steps) = (spec.observation.dim(), spec.action.dim(), spec.horizon);
    let numbers = |n: usize| (0..n).map(|i| (i as f32).sin()).collect::<Vec<f32>>();
    let demonstration = Trajectory::new(
        o,
        a,
        numbers((steps + 1) * o),
        numbers(steps * a),
        None,
        End::Truncated,
    );
    let small = [
        ("policy.hidden", "[2]"),
        ("cost.hidden", "[2]"),
        ("cost.form", "neural"),
        ("ppo.critic_hidden", "[2]"),
        ("sac.critic_hidden", "[2]"),
        ("base_steps", "0"),
        ("warm_start", "0"),
    ]
    .map(|(key, value)| Override {
        key: key.into(),
        value: value.into(),
    });
    let algo = resolve("gan-gcl", "lq", None, &small).expect("valid settings");
    let demonstrations = [demonstration.expect("a valid trajectory")];
    let setup = Setup::new(factory, &demonstrations);
    algo.build(&setup, None).expect("a learner")
}

/// Most numbers of an assembled file.
const MOST_NUMBERS: usize = 1 << 13;

/// A safetensors file with given metadata and tensors of small numbers, or the input itself: recipes reach the readers' depths
/// where mutated bytes would not, and bytes reach the format. A recipe is `{"costate": {…}, "tensors": {"NAME": [KIND, SHAPE]}}`.
pub fn safetensors(data: &[u8]) -> Option<Vec<u8>> {
    if !data.starts_with(b"{") {
        return Some(data.to_vec());
    }
    let recipe: Value = serde_json::from_slice(data).ok()?;
    let mut header = serde_json::Map::new();
    let metadata = serde_json::json!({ "costate": recipe["costate"].to_string() });
    header.insert("__metadata__".into(), metadata);
    let (mut data, mut count) = (Vec::new(), 0_usize);
    for (name, tensor) in recipe["tensors"].as_object()? {
        let double = tensor[0] == "F64";
        let shape: Option<Vec<usize>> = tensor[1]
            .as_array()?
            .iter()
            .map(|n| usize::try_from(n.as_u64()?).ok())
            .collect();
        let shape = shape?;
        let numbers = shape
            .iter()
            .try_fold(1_usize, |n, d| n.checked_mul(*d))
            .filter(|n| *n <= MOST_NUMBERS)?;
        let from = data.len();
        for _ in 0..numbers {
            count += 1;
            let value = ((count * 7) % 13 + 1) as f64 / 16.0;
            match double {
                true => data.extend(value.to_le_bytes()),
                false => data.extend((value as f32).to_le_bytes()),
            }
        }
        if count > MOST_NUMBERS {
            return None;
        }
        let kind = if double { "F64" } else { "F32" };
        let entry = serde_json::json!({
            "dtype": kind,
            "shape": shape,
            "data_offsets": [from, data.len()],
        });
        header.insert(name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    Some(file)
}

/// The recipe of a file: see [`safetensors`]. `None` for anything else.
pub fn recipe(file: &[u8]) -> Option<Value> {
    let length = u64::from_le_bytes(file.get(..8)?.try_into().ok()?) as usize;
    let header: Value = serde_json::from_slice(file.get(8..8 + length)?).ok()?;
    let mut metadata: Value =
        serde_json::from_str(header["__metadata__"]["costate"].as_str()?).ok()?;
    // Its checksum is another one.
    metadata.as_object_mut()?.remove("sha256");
    let tensors: serde_json::Map<String, Value> = header
        .as_object()?
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, t)| (name.clone(), serde_json::json!([t["dtype"], t["shape"]])))
        .collect();
    Some(serde_json::json!({ "costate": metadata, "tensors": tensors }))
}
