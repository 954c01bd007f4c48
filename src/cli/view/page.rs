//! The page in the browser.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use costate_page::{Options, ServeError};
use serde_json::json;

use super::super::common::{Output, interrupt_flag};
use crate::app::RUNS;
use crate::app::page::Trainer;
use crate::app::record::DATASETS;
use crate::error::Error;

/// Where the page is, and what it shows.
#[derive(clap::Args)]
// Its group would have the name of the one of pictures.
#[group(skip)]
pub struct Args {
    /// For the page: folder of datasets [default: datasets].
    #[arg(long, value_name = "DIR", conflicts_with = "subject")]
    demos: Option<PathBuf>,
    /// For the page: folder of runs [default: runs].
    #[arg(long, value_name = "DIR", conflicts_with = "subject")]
    runs: Option<PathBuf>,
    /// For the page: port [default: a free one].
    #[arg(long, conflicts_with = "subject")]
    port: Option<u16>,
    /// For the page: address to listen on; other than loopback, the printed address holds a token that is asked for
    /// [default: 127.0.0.1].
    #[arg(long, value_name = "ADDRESS", conflicts_with = "subject")]
    host: Option<IpAddr>,
    /// For the page: do not open the browser.
    #[arg(long, conflicts_with = "subject")]
    no_open: bool,
}

/// Serves the page until a signal to stop; trainings that it started are stopped then, and can be resumed.
pub fn serve(args: Args, output: Output) -> Result<(), Error> {
    let stop = interrupt_flag()?;
    let options = Options {
        demos: args.demos.unwrap_or_else(|| DATASETS.into()),
        runs: args.runs.unwrap_or_else(|| RUNS.into()),
        host: args.host.unwrap_or(Ipv4Addr::LOCALHOST.into()),
        port: args.port.unwrap_or(0),
    };
    let ready = |url: &str| {
        let told = output.result(&json!({ "url": url }), || {
            format!("page: {url}\nCtrl-C stops it and what it trains; trainings can be resumed")
        });
        if let Err(e) = told {
            output.remark(&e.to_string());
        }
        if !args.no_open
            && let Err(e) = open::that_detached(url)
        {
            output.remark(&format!(
                "no browser could be opened ({e}): open the address yourself"
            ));
        }
    };
    let learning = Arc::new(Trainer::new()?);
    costate_page::serve(options, Some(learning), ready, &stop).map_err(|e| match e {
        ServeError::Listen { .. } => Error::Misuse(e.to_string()),
        e => Error::Failure(e.to_string()),
    })
}
