//! What pages read and ask for, as JSON.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use costate_demos::record::{Plan, play_episodes};
use costate_envs::rng::derive_seed;
use costate_envs::{EnvFactory, Episode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use crate::film::Film;
use crate::learning::{
    Fault, Form, Landscape, Learning, Order, Refusal, RunLine, RunView, Training,
};
use crate::name::Name;
use crate::shelf::{Shelf, Tagging};
use crate::views::{DatasetLine, DatasetView, Environment, Hello};
use crate::world;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.fault {
            Fault::Misuse => StatusCode::BAD_REQUEST,
            Fault::Missing => StatusCode::NOT_FOUND,
            Fault::Conflict => StatusCode::CONFLICT,
            Fault::Failure => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({ "message": self.message }))).into_response()
    }
}

/// A request's body; what cannot be read is refused in the page's own way. JSON is asked for by name, which no form of
/// another site can send.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(
        request: axum::extract::Request,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(e)) => Err(e.into_response()),
            Err(e) => Err(Refusal::misuse(e.body_text()).into_response()),
        }
    }
}

type Answered<T> = Result<Json<T>, Refusal>;
type World = State<Arc<Shared>>;

/// Runs work that takes its time away from the sockets' threads.
async fn aside<T: Send + 'static>(
    shared: Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, Refusal> + Send + 'static,
) -> Answered<T> {
    let work = tokio::task::spawn_blocking(move || work(&shared));
    let done = work.await.unwrap_or_else(|e| Err(Refusal::failure(e)));
    done.map(Json)
}

/// The same with the datasets and the name of one.
async fn of_dataset<T: Send + 'static>(
    shared: Arc<Shared>,
    name: String,
    work: impl FnOnce(&Shelf, &Name) -> Result<T, Refusal> + Send + 'static,
) -> Answered<T> {
    aside(shared, move |s| work(&s.shelf, &Name::parse(&name)?)).await
}

/// The same with the learning side and the folder of a run.
async fn of_run<T: Send + 'static>(
    shared: Arc<Shared>,
    name: String,
    work: impl FnOnce(&dyn Learning, &std::path::Path) -> Result<T, Refusal> + Send + 'static,
) -> Answered<T> {
    let work = move |s: &Shared| {
        let (learning, path) = run_of(s, &name)?;
        work(learning, &path)
    };
    aside(shared, work).await
}

pub async fn hello(State(shared): World) -> Json<Hello> {
    Json(Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        learning: shared.learning.is_some(),
        demos: shared.shelf.folder().display().to_string(),
        runs: shared.runs.display().to_string(),
    })
}

pub async fn environments(State(shared): World) -> Answered<Vec<Environment>> {
    aside(shared, |_| Ok(Environment::all())).await
}

pub async fn datasets(State(shared): World) -> Answered<Vec<DatasetLine>> {
    aside(shared, |s| Ok(s.shelf.list())).await
}

pub async fn dataset(State(shared): World, Path(name): Path<String>) -> Answered<DatasetView> {
    of_dataset(shared, name, Shelf::view).await
}

pub async fn episode_film(
    State(shared): World,
    Path((name, id)): Path<(String, usize)>,
) -> Answered<Film> {
    of_dataset(shared, name, move |shelf, name| shelf.film(name, id)).await
}

/// An episode's still; no content for one that went while its picture was on its way: nobody looks at it any more.
pub async fn thumbnail(
    State(shared): World,
    Path((name, id)): Path<(String, usize)>,
) -> Result<Response, Refusal> {
    let work = move |shelf: &Shelf, name: &Name| shelf.thumbnail(name, id);
    match of_dataset(shared, name, work).await {
        Ok(Json(png)) => Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response()),
        Err(gone) if gone.fault == Fault::Missing => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(refusal) => Err(refusal),
    }
}

/// Episodes of a dataset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    episodes: Vec<usize>,
}

pub async fn delete(
    State(shared): World,
    Path(name): Path<String>,
    Body(chosen): Body<Chosen>,
) -> Answered<DatasetView> {
    let work = move |shelf: &Shelf, name: &Name| shelf.delete(name, &chosen.episodes);
    of_dataset(shared, name, work).await
}

pub async fn tag(
    State(shared): World,
    Path(name): Path<String>,
    Body(tagging): Body<Tagging>,
) -> Answered<DatasetView> {
    of_dataset(shared, name, |shelf, name| shelf.tag(name, tagging)).await
}

pub async fn undo(State(shared): World, Path(name): Path<String>) -> Answered<DatasetView> {
    of_dataset(shared, name, Shelf::undo).await
}

/// An expert's episode.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByExpert {
    #[serde(default)]
    variants: String,
    #[serde(default)]
    expert: String,
    #[serde(default)]
    seed: u64,
}

pub async fn expert_film(
    State(shared): World,
    Path(env): Path<String>,
    Query(asked): Query<ByExpert>,
) -> Answered<Film> {
    let work = move |_: &Shared| {
        let (factory, episode, title) = by_expert(&env, &asked)?;
        Film::of(&factory, &episode, title).map_err(Refusal::failure)
    };
    aside(shared, work).await
}

/// Seed of start `seed` of a comparison: the same for experts and policies.
fn start(seed: u64) -> u64 {
    derive_seed(seed, "page-comparison", 0)
}

/// An episode of an expert with its noise.
fn by_expert(env: &str, asked: &ByExpert) -> Result<(EnvFactory, Episode, String), Refusal> {
    let variants = asked.variants.split(',').filter(|v| !v.is_empty());
    let config = world::named(env, variants)?;
    let factory = config.factory().map_err(Refusal::misuse)?;
    let design = world::expert(&factory, &asked.expert)?;
    let plan = Plan {
        episodes: 1,
        seed: asked.seed,
        workers: 1,
    };
    let begin = start(asked.seed);
    let episodes = play_episodes(&factory, &design, plan, |_| begin);
    let mut episodes = episodes.map_err(Refusal::failure)?;
    let title = format!("expert {}", design.name());
    Ok((factory, episodes.remove(0), title))
}

/// The learning side and the folder of a run.
fn run_of<'a>(shared: &'a Shared, name: &str) -> Result<(&'a dyn Learning, PathBuf), Refusal> {
    let learning = shared.learning()?;
    let path = Name::parse(name)?.within(&shared.runs);
    match path.is_dir() {
        true => Ok((learning, path)),
        false => Err(Refusal::missing(format!("there is no run `{name}`"))),
    }
}

pub async fn runs(State(shared): World) -> Answered<Vec<RunLine>> {
    aside(shared, |s| Ok(s.learning()?.runs(&s.runs))).await
}

/// From where on curves are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    after: Option<usize>,
}

pub async fn run(
    State(shared): World,
    Path(name): Path<String>,
    Query(After { after }): Query<After>,
) -> Answered<RunView> {
    of_run(shared, name, move |learning, run| learning.run(run, after)).await
}

/// Which start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    #[serde(default)]
    seed: u64,
}

/// An episode of a run's latest policy.
fn by_policy(
    shared: &Shared,
    name: &str,
    seed: u64,
) -> Result<(EnvFactory, Episode, String), Refusal> {
    let (learning, path) = run_of(shared, name)?;
    let mut driver = learning.policy(&path)?;
    let factory = driver.env.factory().map_err(Refusal::failure)?;
    let mut env = factory.build();
    let episode = costate_envs::rollout::play(env.as_mut(), start(seed), |_, _, state, action| {
        (driver.act)(state, action);
        Ok(None)
    });
    let episode = episode.map_err(|e| Refusal::failure(e.in_world(&driver.env.name)))?;
    Ok((factory, episode, format!("policy of {name}")))
}

pub async fn run_film(
    State(shared): World,
    Path(name): Path<String>,
    Query(Start { seed }): Query<Start>,
) -> Answered<Film> {
    let work = move |s: &Shared| {
        let (factory, episode, title) = by_policy(s, &name, seed)?;
        Film::of(&factory, &episode, title).map_err(Refusal::failure)
    };
    aside(shared, work).await
}

/// Which film's costs: an episode of a dataset, of a run's policy, or of an expert.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfFilm {
    dataset: Option<String>,
    episode: Option<usize>,
    run: Option<String>,
    env: Option<String>,
    #[serde(default)]
    variants: String,
    #[serde(default)]
    expert: String,
    #[serde(default)]
    seed: u64,
}

/// Learned costs along a film, `[T]`.
#[derive(Serialize)]
pub struct Costs {
    costs: Vec<f64>,
}

pub async fn costs(
    State(shared): World,
    Path(name): Path<String>,
    Query(of): Query<OfFilm>,
) -> Answered<Costs> {
    let work = move |s: &Shared| {
        let (learning, path) = run_of(s, &name)?;
        let episode = match (of.dataset, of.run, of.env) {
            (Some(dataset), None, None) => {
                let id = of.episode.unwrap_or(0);
                s.shelf.episode(&Name::parse(&dataset)?, id)?.0
            }
            (None, Some(run), None) => by_policy(s, &run, of.seed)?.1,
            (None, None, Some(env)) => {
                let asked = ByExpert {
                    variants: of.variants,
                    expert: of.expert,
                    seed: of.seed,
                };
                by_expert(&env, &asked)?.1
            }
            _ => return Err(Refusal::misuse("expected one of dataset, run or env")),
        };
        let costs = learning.costs(&path, &episode)?;
        Ok(Costs { costs })
    };
    aside(shared, work).await
}

pub async fn landscapes(
    State(shared): World,
    Path(name): Path<String>,
) -> Answered<Vec<Landscape>> {
    of_run(shared, name, |learning, run| learning.landscapes(run)).await
}

/// Which dataset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfDataset {
    dataset: String,
}

pub async fn forms(
    State(shared): World,
    Query(OfDataset { dataset }): Query<OfDataset>,
) -> Answered<Vec<Form>> {
    let work = move |s: &Shared| {
        let learning = s.learning()?;
        learning.forms(&s.shelf.meta(&Name::parse(&dataset)?)?.env)
    };
    aside(shared, work).await
}

pub async fn train(State(shared): World, Body(training): Body<Training>) -> Answered<RunLine> {
    let work = move |s: &Shared| {
        let learning = s.learning()?;
        let (dataset, name) = (
            Name::parse(&training.dataset)?,
            Name::parse(&training.name)?,
        );
        s.shelf.meta(&dataset)?;
        let path = name.within(&s.runs);
        learning.train(&s.shelf.path(&dataset), &path, &training)?;
        Ok(learning.run(&path, None)?.line)
    };
    aside(shared, work).await
}

/// What to do with a run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    order: Order,
}

pub async fn order(
    State(shared): World,
    Path(name): Path<String>,
    Body(Ordered { order }): Body<Ordered>,
) -> Answered<RunLine> {
    let work = move |learning: &dyn Learning, run: &std::path::Path| {
        learning.order(run, order)?;
        Ok(learning.run(run, None)?.line)
    };
    of_run(shared, name, work).await
}
