//! `costate bench ebm`: energies over plain vectors, compared with densities of known entropy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rows::{self, MeasuredRow, RowKey, RowSuite};
use super::table::{head, row};
use crate::ebm::{
    AgainstTruth, GeneratorKind, Known, LogLikelihood, Method, Request, Settings, Watch, fit,
};
use crate::error::Error;

/// The suite.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DensitySuite {
    /// The tables' heading.
    title: String,
    /// What they show.
    about: String,
    /// Rows drawn from every density.
    rows: usize,
    /// Share of them that is held out.
    held_out: f64,
    seeds: Vec<u64>,
    fits: Vec<FitSpec>,
}

/// A fitting method, with shipped settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FitSpec {
    /// Its name in the tables.
    name: String,
    method: Method,
    generator: GeneratorKind,
}

/// The result of a fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DensityFigures {
    /// Of the energy-based model on the held-out rows.
    pub own: LogLikelihood,
    /// Compared with the truth.
    pub truth: AgainstTruth,
    /// log Z, nats.
    pub log_z: f64,
    /// Its interval.
    pub log_z_ci95: [f64; 2],
    /// Whether enough chains carry log Z.
    pub log_z_sound: bool,
    /// Seconds of fitting and evaluation.
    pub seconds: f64,
}

impl DensitySuite {
    /// The shipped suite.
    pub fn shipped() -> Result<Self, Error> {
        rows::shipped(Self::NAME, include_str!("../../assets/benchmarks/ebm.json"))
    }

    fn fit_named(&self, name: &str) -> Result<&FitSpec, Error> {
        let found = self.fits.iter().find(|f| f.name == name);
        found.ok_or_else(|| Error::Misuse(format!("benchmark ebm has no method `{name}`")))
    }

    /// A table of one figure: `densities`, with their entropies, by methods.
    fn table(
        &self,
        densities: &[(Known, f64)],
        rows: &[MeasuredRow<DensityFigures>],
        of: impl Fn(&DensityFigures) -> Option<f64>,
    ) -> String {
        let names: Vec<&str> = self.fits.iter().map(|f| f.name.as_str()).collect();
        let columns: Vec<String> = ["dimensions", "−entropy", "truth"]
            .iter()
            .chain(&names)
            .map(|n| (*n).to_owned())
            .collect();
        let mut text = head("density", &columns);
        for (known, entropy) in densities {
            let name = known.name();
            let figure = |value: Option<f64>| value.map_or("–".into(), |v| format!("{v:.3}"));
            let truths = names.iter().find_map(|method| {
                rows::mean(rows, (name, method, self.rows), |f| {
                    Some(f.truth.true_log_likelihood)
                })
            });
            let first = [
                name.to_owned(),
                known.dim().to_string(),
                format!("{:.3}", -entropy),
                figure(truths),
            ];
            let cells = names
                .iter()
                .map(|method| figure(rows::mean(rows, (name, method, self.rows), &of)));
            text += &row(first.into_iter().chain(cells));
        }
        text
    }
}

impl RowSuite for DensitySuite {
    type Figures = DensityFigures;
    const NAME: &'static str = "ebm";

    fn keys(&self) -> Vec<RowKey> {
        let mut keys = Vec::new();
        for &seed in &self.seeds {
            for name in Known::NAMES {
                keys.extend(self.fits.iter().map(|fit| RowKey {
                    subject: name.into(),
                    method: fit.name.clone(),
                    size: self.rows,
                    seed,
                }));
            }
        }
        keys
    }

    fn basis(&self, key: &RowKey) -> Result<Value, Error> {
        let fit = self.fit_named(&key.method)?;
        Ok(json!([fit, self.held_out, Settings::of(fit.method)?]))
    }

    fn measure(
        &self,
        key: &RowKey,
        interrupt: &AtomicBool,
    ) -> Result<Option<DensityFigures>, Error> {
        // One libtorch thread per task, so that results do not depend on the machine's number of cores.
        tch::set_num_threads(1);
        let began = Instant::now();
        let known = Known::named(&key.subject)?;
        let table = known.sample(key.size, key.seed);
        let how = self.fit_named(&key.method)?;
        let request = Request {
            table: &table,
            source: known.name(),
            method: how.method,
            generator: how.generator,
            held_out: self.held_out,
            samples: 0,
            settings: &Settings::of(how.method)?,
            seed: key.seed,
        };
        let mut watch = Watch {
            interrupt,
            report: &mut |_, _, _, _| {},
        };
        let fit = match fit(&request, &mut watch) {
            Ok(fit) => fit,
            Err(_) if interrupt.load(Ordering::Relaxed) => return Ok(None),
            Err(e) => return Err(e),
        };
        Ok(Some(DensityFigures {
            own: LogLikelihood::of_model(&fit.model, &table, &fit.split.held_out),
            truth: AgainstTruth::of(&fit, &known, &table),
            log_z: fit.log_z.log_z,
            log_z_ci95: fit.log_z.ci95,
            log_z_sound: fit.log_z.is_sound(),
            seconds: began.elapsed().as_secs_f64(),
        }))
    }

    fn markdown(&self, rows: &[MeasuredRow<DensityFigures>]) -> String {
        // Computed once for all tables: an entropy can take many draws.
        let densities: Vec<(Known, f64)> = (Known::NAMES.into_iter())
            .filter_map(|name| Known::named(name).ok())
            .map(|known| {
                let entropy = known.entropy().nats;
                (known, entropy)
            })
            .collect();
        let table = |of: &dyn Fn(&DensityFigures) -> Option<f64>| self.table(&densities, rows, of);
        let mut text = format!("# {}\n\n{}\n", self.title, self.about);
        text += &format!(
            "\n## Log-likelihood of the held-out rows\n\nNats per row, with the true density's on the same rows; {} rows \
             in total, {:.0} % held out.\n\n",
            self.rows,
            100.0 * self.held_out
        );
        text += &table(&|f| Some(f.own.log_likelihood));
        text += "\n## KL divergence from the truth\n\n";
        text += &table(&|f| Some(f.truth.kl));
        text +=
            "\n## The generators' own KL divergence\n\nThe baseline that the energy refines.\n\n";
        text += &table(&|f| f.truth.generator_kl);
        let unsound = rows.iter().filter(|r| !r.figures.log_z_sound).count();
        if unsound > 0 {
            text += &format!(
                "\nIn {unsound} of {} fits fewer than a tenth of the chains carry log Z; their figures are rough.\n",
                rows.len()
            );
        }
        text + &rows::footer(self, rows)
    }

    fn picture(&self, _: &[MeasuredRow<DensityFigures>]) -> Option<(&'static str, String)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_every_density_and_say_what_is_missing() {
        let suite = DensitySuite::shipped().unwrap();
        let keys = suite.keys();
        let figures = DensityFigures {
            own: LogLikelihood::of(&[-1.5, -1.0], &[0, 1], 0.0),
            truth: AgainstTruth {
                name: "ring".into(),
                entropy: 1.0,
                entropy_standard_error: 0.0,
                true_log_likelihood: -1.125,
                kl: 0.125,
                kl_ci95: [0.1, 0.15],
                generator_kl: Some(0.5),
            },
            log_z: 0.0,
            log_z_ci95: [-0.1, 0.1],
            log_z_sound: false,
            seconds: 3.0,
        };
        let rows: Vec<MeasuredRow<DensityFigures>> = keys[..1]
            .iter()
            .map(|key| MeasuredRow {
                provenance: None,
                key: key.clone(),
                basis_sha256: String::new(),
                figures: figures.clone(),
            })
            .collect();
        let text = suite.markdown(&rows);
        let missing = format!("{} of {}", keys.len() - 1, keys.len());
        for part in [
            "| -1.125 | -1.250 | – | – |",
            "| 0.125 |",
            "| 0.500 |",
            "In 1 of 1 fits",
            &missing,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let missing = suite.measure(
            &RowKey {
                subject: "rings".into(),
                ..keys[0].clone()
            },
            &AtomicBool::new(false),
        );
        assert!(missing.is_err());
        let stopped = suite.measure(&keys[0], &AtomicBool::new(true)).unwrap();
        assert!(stopped.is_none());
    }
}
