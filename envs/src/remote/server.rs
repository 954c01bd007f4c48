//! The worker's side: plays the jobs that arrive on threads and sends every episode as soon as it is there.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use super::Identity;
use super::wire::{Greeting, Policy, Reply, Request, WireError};
use crate::actor::{Actor, Behaviour};
use crate::linear::LinearController;
use crate::registry::{EnvConfig, EnvFactory};
use crate::rollout::{ActionChoice, Job, Runner};
use crate::trajectory::Episode;

/// Why a worker stopped before its learner did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It was asked for what it cannot do.
    #[error("{0}")]
    Refused(String),
    /// A stream failed.
    #[error("the learner cannot be reached: {0}")]
    Io(#[from] io::Error),
}

/// Serves one learner until `input` ends or `output` can no longer be written: plays its jobs on `workers` threads.
///
/// It returns at once then; threads that still play or read are left to the end of the process.
///
/// Errors: requests that are none, another build than the learner's, worlds and policies that do not exist or do not fit.
/// The learner is told, too.
pub fn serve(
    mut input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    workers: usize,
    identity: &Identity,
) -> Result<(), ServeError> {
    let desk = Arc::new(Desk {
        waiting: Mutex::new(Waiting::default()),
        changed: Condvar::new(),
        output: Mutex::new(Box::new(output)),
    });
    let (ended, outcome) = mpsc::channel();
    for _ in 0..workers.max(1) {
        let (desk, ended) = (desk.clone(), ended.clone());
        thread::Builder::new().spawn(move || {
            if let Err(e) = desk.work() {
                // Of several, the first one is heard.
                let _ = ended.send(Err(e.into()));
            }
        })?;
    }
    let (orders, identity) = (desk.clone(), identity.clone());
    thread::Builder::new().spawn(move || {
        let _ = ended.send(take_orders(&mut input, &orders, &identity));
    })?;
    let outcome = outcome.recv().unwrap_or(Ok(()));
    desk.close();
    if let Err(ServeError::Refused(why)) = &outcome {
        // The learner may be gone.
        let _ = desk.send(&Reply::Refused(why.clone()));
    }
    outcome
}

fn refuse<T>(why: impl Into<String>) -> Result<T, ServeError> {
    Err(ServeError::Refused(why.into()))
}

fn take_orders(input: &mut impl Read, desk: &Desk, identity: &Identity) -> Result<(), ServeError> {
    let mut next = || match Request::read(&mut *input) {
        Ok(request) => Ok(request),
        Err(WireError::Malformed(what)) => {
            refuse(format!("expected a request of a learner, got {what}"))
        }
        Err(WireError::Io(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
            refuse("the stream ended within a request")
        }
        Err(WireError::Io(e)) => Err(e.into()),
    };
    match next()? {
        None => return Ok(()),
        Some(Request::Greeting(greeting)) => {
            let learner = greeting.identity().or_else(refuse)?;
            if let Some(why) = identity.differs_from(&learner) {
                return refuse(why);
            }
            let own = Greeting::of(identity).map_err(io::Error::from)?;
            desk.send(&Reply::Greeting(own))?;
        }
        Some(_) => return refuse("the first request is not a greeting"),
    }
    let (mut world, mut stage) = (None, None);
    while let Some(request) = next()? {
        match request {
            Request::Greeting(_) => return refuse("a second greeting"),
            Request::World(config) => {
                world = Some(opened(&config)?);
                // Its policy follows.
                stage = None;
            }
            Request::Policy(policy) => {
                let Some(factory) = world.clone() else {
                    return refuse("a policy without a world");
                };
                stage = Some(Arc::new(Stage::new(factory, policy)?));
            }
            Request::Jobs(choice, jobs) => {
                let Some(stage) = &stage else {
                    return refuse("jobs without a world and a policy");
                };
                desk.add(jobs.into_iter().map(|(index, job)| Task {
                    stage: stage.clone(),
                    choice,
                    index,
                    job,
                }));
            }
        }
    }
    Ok(())
}

fn opened(config: &EnvConfig) -> Result<EnvFactory, ServeError> {
    match config.factory() {
        Ok(factory) if factory.has_simulator() => Ok(factory),
        Ok(_) => refuse(format!("{}: nothing can be played in it", config.name)),
        Err(e) => refuse(e.to_string()),
    }
}

/// A world and the policy that acts in it.
enum Stage {
    Gaussian(EnvFactory, Arc<Actor>),
    Linear(EnvFactory, Arc<LinearController>),
}

impl Stage {
    fn new(factory: EnvFactory, policy: Policy) -> Result<Self, ServeError> {
        let spec = factory.spec();
        let expected = (spec.observation.dim(), spec.action.dim());
        let found = match &policy {
            Policy::Gaussian(policy) => (policy.observation_dim(), policy.action_dim()),
            Policy::Linear(policy) => (policy.observation_dim(), policy.action_dim()),
        };
        if found != expected {
            return refuse(format!(
                "{}: a policy from {} observations to {} actions, expected {} and {}",
                spec.name, found.0, found.1, expected.0, expected.1
            ));
        }
        Ok(match policy {
            Policy::Gaussian(policy) => Self::Gaussian(factory, Arc::new(policy)),
            Policy::Linear(policy) => Self::Linear(factory, Arc::new(policy)),
        })
    }
}

struct Task {
    stage: Arc<Stage>,
    choice: ActionChoice,
    index: u64,
    job: Job,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    closed: bool,
}

/// Where tasks wait and episodes are handed out.
struct Desk {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    output: Mutex<Box<dyn Write + Send>>,
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, tasks: impl Iterator<Item = Task>) {
        self.waiting().tasks.extend(tasks);
        self.changed.notify_all();
    }

    fn close(&self) {
        *self.waiting() = Waiting {
            tasks: VecDeque::new(),
            closed: true,
        };
        self.changed.notify_all();
    }

    /// The next task; `None` once closed.
    fn next(&self) -> Option<Task> {
        let mut waiting = self.waiting();
        loop {
            if let Some(task) = waiting.tasks.pop_front() {
                return Some(task);
            }
            if waiting.closed {
                return None;
            }
            waiting = (self.changed)
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn send(&self, reply: &Reply) -> io::Result<()> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        reply.write(&mut *output)
    }

    /// One thread: plays task after task, in a world of its own for as long as the policy is the same, until the desk is
    /// closed. Errors: those of the output.
    fn work(&self) -> io::Result<()> {
        let mut playing: Option<(Arc<Stage>, Playing)> = None;
        while let Some(task) = self.next() {
            let reply = catch_unwind(AssertUnwindSafe(|| {
                let (_, playing) = match playing.take() {
                    Some(own) if Arc::ptr_eq(&own.0, &task.stage) => playing.insert(own),
                    _ => playing.insert((task.stage.clone(), Playing::new(&task.stage))),
                };
                match playing.play(task.choice, task.job) {
                    Ok(episode) => Reply::Episode(task.index, episode),
                    Err(why) => Reply::Failed(task.index, why),
                }
            }));
            let reply = reply.unwrap_or_else(|_| {
                // What it played in may be in any state.
                playing = None;
                let why = "a worker panicked; its standard error says where".into();
                Reply::Failed(task.index, why)
            });
            self.send(&reply)?;
        }
        Ok(())
    }
}

/// A thread's world and buffers.
enum Playing {
    Gaussian(Runner<Actor>),
    Linear(Runner<LinearController>),
}

impl Playing {
    fn new(stage: &Stage) -> Self {
        match stage {
            Stage::Gaussian(factory, policy) => Self::Gaussian(Runner::new(factory, policy)),
            Stage::Linear(factory, policy) => Self::Linear(Runner::new(factory, policy)),
        }
    }

    fn play(&mut self, choice: ActionChoice, job: Job) -> Result<Episode, String> {
        let episode = match self {
            Self::Gaussian(runner) => runner.run(choice, job),
            Self::Linear(runner) => runner.run(choice, job),
        };
        episode.map_err(|e| e.to_string())
    }
}
