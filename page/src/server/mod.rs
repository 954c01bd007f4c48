//! The server of the page.

mod api;
mod assets;
mod guard;
mod socket;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::learning::{Learning, Refusal};
use crate::session::{Sessions, no_learning, secret};
use crate::shelf::Shelf;
use guard::Guard;
#[cfg(fuzzing)]
pub use guard::admits;

/// Bytes of the longest body of a request.
const LONGEST_BODY: usize = 64 * 1024;
/// How often the server looks whether it is to stop, and for sessions without a driver.
const LOOKED_EVERY: Duration = Duration::from_millis(50);
const SWEPT_EVERY: Duration = Duration::from_secs(30);
/// How long open connections may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What to serve, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The folder of datasets.
    pub demos: PathBuf,
    /// The folder of runs.
    pub runs: PathBuf,
    /// The address to listen on; other than loopback, a token is asked for.
    pub host: IpAddr,
    /// The port; 0 for a free one.
    pub port: u16,
}

impl Options {
    /// Datasets and runs in these folders, on a free port of loopback.
    pub fn new(demos: PathBuf, runs: PathBuf) -> Self {
        Self {
            demos,
            runs,
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
        }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("{address}: cannot listen there ({source}); choose another --port or --host")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system refuses what a server needs.
    #[error("the server cannot run: {0}")]
    System(#[from] io::Error),
    /// No randomness for a token.
    #[error("no token can be drawn: {0}")]
    Token(String),
}

/// What all requests share.
struct Shared {
    shelf: Arc<Shelf>,
    runs: PathBuf,
    learning: Option<Arc<dyn Learning>>,
    sessions: Sessions,
}

impl Shared {
    /// The side that learns.
    fn learning(&self) -> Result<&dyn Learning, Refusal> {
        self.learning.as_deref().ok_or_else(no_learning)
    }
}

/// Serves the page until `stop` is set. `ready` is told its address once it can be opened.
///
/// Errors: an address that cannot be listened on.
pub fn serve(
    options: Options,
    learning: Option<Arc<dyn Learning>>,
    ready: impl FnOnce(&str),
    stop: &AtomicBool,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let address = SocketAddr::new(options.host, options.port);
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServeError::Listen { address, source })?;
        let bound = listener.local_addr()?;
        let token = match bound.ip().is_loopback() {
            true => None,
            false => Some(secret().map_err(|e| ServeError::Token(e.to_string()))?),
        };
        let shelf = Arc::new(Shelf::new(options.demos));
        let shared = Arc::new(Shared {
            sessions: Sessions::new(shelf.clone(), options.runs.clone(), learning.clone()),
            shelf,
            runs: options.runs,
            learning,
        });
        let guard = Guard::new(bound, token.clone());
        let router = router(shared.clone(), guard);
        ready(&url(bound, token.as_deref()));
        run(listener, router, &shared, stop).await
    })
}

async fn run(
    listener: TcpListener,
    router: Router,
    shared: &Arc<Shared>,
    stop: &AtomicBool,
) -> Result<(), ServeError> {
    let (farewell, told) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // An error means that the sender is gone: the server is to end, too.
        let _ = told.await;
    });
    let mut server = tokio::spawn(server.into_future());
    let mut look = tokio::time::interval(LOOKED_EVERY);
    let mut sweep = tokio::time::interval(SWEPT_EVERY);
    loop {
        tokio::select! {
            _ = look.tick() => if stop.load(Ordering::Relaxed) { break },
            _ = sweep.tick() => shared.sessions.sweep(),
            ended = &mut server => return Ok(ended.map_err(io::Error::other)??),
        }
    }
    let closing = shared.clone();
    let closed = tokio::task::spawn_blocking(move || {
        closing.sessions.close();
        if let Some(learning) = &closing.learning {
            learning.close();
        }
        closing.shelf.settle(None);
    });
    closed.await.map_err(io::Error::other)?;
    let _ = farewell.send(());
    // Whoever holds a connection open does not hold the server.
    let _ = tokio::time::timeout(FAREWELL, server).await;
    Ok(())
}

/// The address to open.
fn url(bound: SocketAddr, token: Option<&str>) -> String {
    let host = match bound.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let base = format!("http://{host}:{}/", bound.port());
    match token {
        None => base,
        Some(token) => format!("{base}?token={token}"),
    }
}

fn router(shared: Arc<Shared>, guard: Guard) -> Router {
    let run = "/api/runs/{name}";
    let dataset = "/api/datasets/{name}";
    let episode = "/api/datasets/{name}/episodes/{id}";
    Router::new()
        .route("/", get(assets::index))
        .route("/page/{file}", get(assets::asset))
        .route("/favicon.ico", get(StatusCode::NO_CONTENT))
        .route("/api/hello", get(api::hello))
        .route("/api/environments", get(api::environments))
        .route("/api/environments/{env}/film", get(api::expert_film))
        .route("/api/datasets", get(api::datasets))
        .route(dataset, get(api::dataset))
        .route(&format!("{episode}/film"), get(api::episode_film))
        .route(&format!("{episode}/thumbnail.png"), get(api::thumbnail))
        .route(&format!("{dataset}/delete"), post(api::delete))
        .route(&format!("{dataset}/tag"), post(api::tag))
        .route(&format!("{dataset}/undo"), post(api::undo))
        .route("/api/runs", get(api::runs))
        .route(run, get(api::run))
        .route(&format!("{run}/film"), get(api::run_film))
        .route(&format!("{run}/costs"), get(api::costs))
        .route(&format!("{run}/landscapes"), get(api::landscapes))
        .route(&format!("{run}/order"), post(api::order))
        .route("/api/forms", get(api::forms))
        .route("/api/train", post(api::train))
        .route("/api/drive", get(socket::drive))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(axum::middleware::from_fn_with_state(guard, guard::watch))
        .with_state(shared)
}
