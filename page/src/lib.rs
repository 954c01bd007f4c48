//! The local web page: record by hand, watch learning, compare.
//!
//! A server on loopback ([`serve`]) with the page inside. Nothing here needs libtorch: what learns is behind the trait
//! [`learning::Learning`].
//!
//! | file | contents |
//! | --- | --- |
//! | `server/` | addresses, who may speak (`guard`), answers as JSON (`api`), the socket of a session, the page's files |
//! | `session/` | worlds that people drive: `stand` without clock and network, `keeper` writes, `take` is an episode |
//! | `shelf` | the datasets of a folder: listed, replayed, tagged, deleted, undone |
//! | `steer` | actions for a pointer |
//! | `world` | worlds and experts by their names |
//! | `film` | motion as the page draws it |
//! | `protocol`, `views` | what page and server say |
//! | `learning` | what the page asks of the side that learns |

pub mod film;
pub mod learning;
mod name;
pub mod protocol;
mod server;
mod session;
mod shelf;
mod steer;
pub mod views;
mod world;

pub use server::{Options, ServeError, serve};

/// Doors for the fuzz targets, to what is private otherwise.
#[cfg(fuzzing)]
pub mod fuzz {
    pub use crate::server::admits;
    pub use crate::session::converse;
}
