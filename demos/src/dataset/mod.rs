//! The demonstration dataset: a self-describing folder.
//!
//! ```text
//! NAME/
//!   meta.json                 what was recorded, by whom, counts, a checksum per data file
//!   data/0/part-0.parquet     one episode: T+1 rows, one row group
//!   data/0/metadata.json      its seed, length, return and checksum
//!   data/1/…
//!   data/metadata.json        the same folder described to Minari (0.5.x reads it); absent where an episode has more
//!                             than 131,071 steps, which Minari would cut in two
//! ```
//!
//! | column | type | row t < T | row T |
//! | --- | --- | --- | --- |
//! | `episode`, `step` | int64 | episode number, t | episode number, T |
//! | `observations` | fixed_size_list&lt;float, n&gt; | s_t | s_T |
//! | `actions` | fixed_size_list&lt;float, m&gt; | a_t as commanded | zeros |
//! | `rewards` | double | −c(s_t, a_t) | 0 |
//! | `terminations`, `truncations` | bool | how step t ended | false |
//! | `true_cost` | double | c(s_t, a_t), null throughout where unknown | null |
//! | `log_density` | double | log π(a_t \| s_t) of the expert, null where unknown | null |
//!
//! Everything is plain Parquet: `polars.read_parquet("NAME/data/*/*.parquet")` reads all episodes.
//!
//! An episode reaches its final name only complete and synced, before [`DatasetWriter::append`]
//! returns. A recording that was killed has `"status": "recording"` in `meta.json`, with the number of
//! `planned_episodes`; it opens like any other with the episodes that were acknowledged, and
//! [`DatasetWriter::go_on`] goes on with it. A finished one is taken up again in the same way; recordings under another
//! seed, expert or build than the first are listed as `appended`, each with the number of its first episode.

pub(crate) mod columns;
mod error;
pub mod footer;
mod meta;
pub(crate) mod minari;
mod reader;
mod writer;

pub use columns::{decode as decode_episode, encode as encode_episode};
pub use error::DatasetError;
pub use meta::{
    Derivation, EpisodeEntry, ExpertInfo, FORMAT, FORMAT_VERSION, Header, Import, Meta,
    ReturnStatistics, Session, SourceDataset, SourceFile, Status,
};
pub use minari::MOST_ROWS as MINARI_MOST_ROWS;
pub(crate) use reader::read_meta;
pub use reader::{Dataset, DatasetReader, load_episode};
pub use writer::DatasetWriter;
pub(crate) use writer::{COSTS, is_cost};

/// Whether two control periods, of which one may be measured, are the same.
pub(crate) fn same_period(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() <= 1e-3
}

/// Name of the description file in a dataset folder.
pub const META_FILE: &str = "meta.json";

/// Folder of the data files within a dataset folder.
pub(crate) const DATA_FOLDER: &str = "data";

/// Path of episode `id`'s data file relative to the dataset folder.
pub(crate) fn episode_file(id: usize) -> String {
    format!("{DATA_FOLDER}/{id}/part-0.parquet")
}
