//! Minari folders in their Parquet form: a dataset's own files, without what Costate adds.

use std::path::Path;

use super::{Done, beside_columns, inside, pretty, refused};
use crate::dataset::columns;
use crate::dataset::{
    DATA_FOLDER, DatasetError, DatasetReader, episode_file, load_episode, minari,
};
use costate_envs::EnvConfig;
use serde_json::{Map, Value, json};

/// The name under which Minari lists the dataset in `to`. Errors: the folder's name has no version.
pub(super) fn id(to: &Path) -> Result<String, DatasetError> {
    let id = minari::dataset_id(to);
    match to
        .file_name()
        .is_some_and(|name| id.ends_with(&*name.to_string_lossy()))
    {
        true => Ok(id),
        false => Err(DatasetError::NotExported {
            path: to.to_owned(),
            reason: "Minari names datasets by their folders, with a version: NAME-v0, NAME-v1, …"
                .into(),
        }),
    }
}

/// Writes the dataset, called `id`, into `folder`.
pub(super) fn write(
    dataset: &DatasetReader,
    id: &str,
    folder: &Path,
) -> Result<Done, DatasetError> {
    let meta = dataset.meta();
    if let Some(long) = minari::too_long(&meta.episodes) {
        return Err(refused(
            dataset,
            format!(
                "episode {} has {} steps, but Minari cuts episodes of more than {} in two",
                long.id,
                long.total_steps,
                minari::MOST_ROWS - 1
            ),
        ));
    }
    for entry in &meta.episodes {
        let episode = load_episode(dataset.path(), entry, meta)?;
        let bytes = columns::encode(entry.id, &episode, meta.returns_known())
            .map_err(|e| refused(dataset, e))?;
        inside(folder, &episode_file(entry.id), &bytes)?;
        let own = serde_json::json!({
            "id": entry.id,
            "total_steps": entry.total_steps,
            "seed": entry.seed,
        });
        let file = format!("{DATA_FOLDER}/{}/metadata.json", entry.id);
        inside(folder, &file, pretty(&own).as_bytes())?;
    }
    let described = minari::metadata_as(meta, &meta.episodes, id, environment(&meta.env));
    inside(folder, &format!("{DATA_FOLDER}/metadata.json"), &described)?;
    let mut remarks =
        vec!["names, units and the control period stay behind: Minari has bounds alone".to_owned()];
    if !meta.returns_known() {
        remarks.push("rewards are unknown; they are 0 there".into());
    }
    Ok((beside_columns(meta), remarks))
}

/// The world as a specification that Gymnasium makes an environment of, by the Python package `costate`: what Minari's
/// `recover_environment` returns. `None` without a simulator, and for worlds that are not shipped.
fn environment(env: &EnvConfig) -> Option<String> {
    if !env.has_simulator() || env.is_gym() {
        return None;
    }
    let shipped = EnvConfig::named(&env.name).ok()?.parameters();
    let own = env.parameters();
    let same_keys = own.len() == shipped.len() && own.iter().zip(&shipped).all(|(a, b)| a.0 == b.0);
    if !same_keys {
        return None;
    }
    let changed = own
        .into_iter()
        .zip(shipped)
        .filter(|(own, shipped)| own != shipped);
    let mut parameters: Map<String, Value> = changed.map(|(own, _)| own).collect();
    for (key, range) in &env.vary {
        parameters.insert(key.clone(), format!("{}..{}", range.0, range.1).into());
    }
    let mut kwargs = Map::from_iter([("env".to_owned(), Value::from(env.name.as_str()))]);
    if !parameters.is_empty() {
        kwargs.insert("parameters".into(), parameters.into());
    }
    let spec = json!({
        "id": format!("costate/{}-v0", env.name),
        "entry_point": "costate.environment:Environment",
        "reward_threshold": null,
        "nondeterministic": false,
        "max_episode_steps": null,
        "order_enforce": true,
        "disable_env_checker": false,
        "kwargs": kwargs,
        "additional_wrappers": [],
        "vector_entry_point": "costate.vector:VectorEnvironment",
    });
    Some(spec.to_string())
}
