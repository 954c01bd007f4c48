//! Reads `evaluation.json`.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Controls, Evaluation, Row};
use crate::error::Error;

impl Evaluation {
    /// Version that this build writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// Reads an `evaluation.json`; `None` if there is none.
    ///
    /// Errors: a damaged file, one of another kind, or one of a newer format; they name file and field.
    pub fn read(file: &Path) -> Result<Option<Self>, Error> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(file)(e)),
        };
        Self::from_json(&text)
            .map(Some)
            .map_err(|reason| Error::Failure(format!("{}: {reason}", file.display())))
    }

    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            cost_scatter: Option<IgnoredAny>,
            ess: Option<IgnoredAny>,
        }
        let damaged = |reason: String| format!("{reason}; `costate evaluate` regenerates it");
        let head: Head = field_by_field(text).map_err(damaged)?;
        if head.format > Self::FORMAT {
            return Err(format!(
                "evaluation format {} is newer than {}, the newest that this build reads; update Costate",
                head.format,
                Self::FORMAT
            ));
        }
        // Errors in flattened parts do not name the field.
        field_by_field::<Controls>(text).map_err(damaged)?;
        let mut read: Self = field_by_field(text).map_err(damaged)?;
        // serde treats flattened parts that do not fit as absent.
        if head.cost_scatter.is_some() && read.cost.is_none() {
            read.cost = Some(field_by_field(text).map_err(damaged)?);
        }
        if let Some(cost) = &mut read.cost
            && head.ess.is_some()
            && cost.discriminator.is_none()
        {
            cost.discriminator = Some(field_by_field(text).map_err(damaged)?);
        }
        if let Some(own) = read.own()
            && !own.returns.is_empty()
            && own.returns.len() != read.episodes
        {
            return Err(damaged(format!(
                "`returns` has {} values, expected {}, one per episode",
                own.returns.len(),
                read.episodes
            )));
        }
        Ok(read)
    }

    /// The learned policy's row.
    pub fn own(&self) -> Option<&Row> {
        self.rows.iter().rfind(|r| r.policy == self.algo)
    }
}

/// Deserialises with errors that name the field.
fn field_by_field<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|e| match e.path().to_string().as_str() {
        "." => e.inner().to_string(),
        path => format!("{path}: {}", e.inner()),
    })
}
