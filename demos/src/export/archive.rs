//! Numpy archives in D4RL's layout: a row a step, with the state after it.

use std::io::{Cursor, Write};

use costate_envs::End;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::table::maps;
use super::{Done, before_and_after, beside_columns, refused};
use crate::dataset::{DatasetError, DatasetReader};
use crate::import::Mapping;

/// The dataset as `.npz`.
pub(super) fn npz(dataset: &DatasetReader) -> Result<(Vec<u8>, Done), DatasetError> {
    let meta = dataset.meta();
    let spec = &meta.spec;
    let (mut observations, mut next, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rewards, mut terminals, mut timeouts) = (Vec::new(), Vec::new(), Vec::new());
    for episode in dataset.episodes() {
        let episode = episode?;
        let trajectory = &episode.trajectory;
        let [before, after] = before_and_after(trajectory);
        observations.extend_from_slice(before);
        next.extend_from_slice(after);
        actions.extend_from_slice(trajectory.actions());
        rewards.extend(episode.rewards());
        let steps = trajectory.len();
        let ends = |end| (0..steps).map(move |t| t + 1 == steps && trajectory.end() == end);
        terminals.extend(ends(End::Terminated));
        timeouts.extend(ends(End::Truncated));
    }
    let rows = meta.total_steps;
    let [n, m] = [spec.observation.dim(), spec.action.dim()];
    let singles = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let flags = |values: &[bool]| values.iter().map(|v| u8::from(*v)).collect::<Vec<u8>>();
    let mut arrays = vec![
        (
            "observations",
            array("<f4", &[rows, n], &singles(&observations)),
        ),
        ("actions", array("<f4", &[rows, m], &singles(&actions))),
        (
            "next_observations",
            array("<f4", &[rows, n], &singles(&next)),
        ),
        ("terminals", array("|b1", &[rows], &flags(&terminals))),
        ("timeouts", array("|b1", &[rows], &flags(&timeouts))),
    ];
    if meta.returns_known() {
        let doubles: Vec<u8> = rewards.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        arrays.insert(2, ("rewards", array("<f8", &[rows], &doubles)));
    }
    let write = || -> zip::result::ZipResult<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        // Uncompressed, as numpy.savez writes, and without times: the same dataset, the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true);
        for (name, bytes) in &arrays {
            archive.start_file(format!("{name}.npy"), options)?;
            archive.write_all(bytes)?;
        }
        Ok(archive.finish()?.into_inner())
    };
    let bytes = write().map_err(|e| refused(dataset, e))?;
    let column = |name: &str, width: usize| -> Vec<String> {
        (0..width).map(|i| format!("{name}[{i}]")).collect()
    };
    let mapping = Mapping {
        observations: maps(&column("observations", n), &spec.observation),
        actions: maps(&column("actions", m), &spec.action),
        next_observations: column("next_observations", n),
        ..beside_columns(meta)
    };
    let remarks = vec![
        "names, units, bounds, the control period, seeds and experts stay behind: an archive has arrays alone".into(),
    ];
    Ok((bytes, (mapping, remarks)))
}

/// A `.npy` file, version 1.0.
fn array(kind: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let shape = match shape.as_slice() {
        [one] => format!("{one},"),
        all => all.join(", "),
    };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The data begins at a multiple of 64 bytes.
    let used = 10 + header.len() + 1;
    header.push_str(&" ".repeat(used.next_multiple_of(64) - used));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}
