//! Records by hand and views datasets, without libtorch.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use costate_page::{Options, ServeError, serve};

/// Record demonstrations by hand and look at them, in the browser. The whole of Costate, `costate view`, also trains.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Folder of datasets.
    #[arg(long, default_value = "datasets")]
    demos: PathBuf,
    /// Address to listen on; other than loopback, the printed address holds a token that is asked for.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port; a free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                ServeError::Listen { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(args: Args) -> Result<(), ServeError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let runs = args.demos.with_file_name("runs");
    let options = Options {
        host: args.host,
        port: args.port,
        ..Options::new(args.demos, runs)
    };
    let ready = |url: &str| println!("Costate's page: {url}\nCtrl-C stops it.");
    serve(options, None, ready, &stop)
}
