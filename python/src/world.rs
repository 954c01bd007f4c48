//! A world with its parameters: what environments, vectors and rollouts are built of.

use std::path::PathBuf;

use costate_envs::{EnvConfig, EnvFactory, registry};
use pyo3::prelude::{PyResult, pyclass, pyfunction, pymethods};

use crate::errors::{failure, misuse};

/// Names of all worlds.
#[pyfunction]
pub fn names() -> Vec<&'static str> {
    registry::names()
}

/// A world, checked: building environments of it cannot fail.
#[pyclass(frozen, module = "costate._costate")]
pub struct World {
    pub factory: EnvFactory,
}

#[pymethods]
impl World {
    /// The world `name` with its shipped model or that of a file, then the variants, then the parameters, each as
    /// (key, value as on the command line), applied in order.
    #[new]
    fn new(
        name: &str,
        model: Option<PathBuf>,
        variants: Vec<String>,
        parameters: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let variants = variants.iter().map(String::as_str);
        let parameters = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let config = EnvConfig::named(name)
            .and_then(|config| config.changed(model.as_deref(), variants, parameters))
            .map_err(misuse)?;
        let factory = config.factory().map_err(misuse)?;
        Ok(Self { factory })
    }

    /// The world of a description as [`World::config`] gives it.
    #[staticmethod]
    fn of_config(config: &str) -> PyResult<Self> {
        let config: EnvConfig = serde_json::from_str(config).map_err(misuse)?;
        let factory = config.factory().map_err(misuse)?;
        Ok(Self { factory })
    }

    /// The complete description, as JSON.
    #[getter]
    fn config(&self) -> PyResult<String> {
        serde_json::to_string(self.factory.config()).map_err(failure)
    }

    /// Names, units, bounds, horizon and control period, as JSON.
    #[getter]
    fn spec(&self) -> PyResult<String> {
        serde_json::to_string(self.factory.spec()).map_err(failure)
    }

    /// Every parameter with its value as JSON.
    #[getter]
    fn parameters(&self) -> Vec<(String, String)> {
        let all = self.factory.config().parameters().into_iter();
        all.map(|(key, value)| (key, value.to_string())).collect()
    }

    /// The world's variants with what they change.
    #[getter]
    fn variants(&self) -> PyResult<Vec<(String, String)>> {
        let all = EnvConfig::variants(&self.factory.config().name).map_err(misuse)?;
        Ok(all.into_iter().map(|v| (v.name, v.summary)).collect())
    }
}
