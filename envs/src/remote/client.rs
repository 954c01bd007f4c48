//! The learner's side: a process that plays batches, started again when it is lost.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Identity;
use super::wire::{Greeting, Portable, Reply, Request, WireError, write_frame};
use crate::env::EnvError;
use crate::registry::EnvFactory;
use crate::rollout::{ActionChoice, Job};
use crate::trajectory::Episode;

/// How often a process is replaced within a batch.
const RESTARTS: u64 = 3;
/// How long a process may take to end by itself once it is no longer needed.
const GRACE: Duration = Duration::from_secs(10);
/// Of standard error, as much as is repeated where a process fails.
const TAIL: usize = 2000;

/// Why workers elsewhere cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The command has to be changed: there is no such program, or it is no worker of this build.
    #[error("{0}")]
    Refused(String),
    /// The process ended, or cannot be understood any more.
    #[error("{0}")]
    Lost(String),
}

/// Workers elsewhere, behind a command that speaks with them over its standard input and output. Dropping it ends the
/// process.
///
/// It plays one batch at a time; threads that ask for more wait for each other.
pub struct Remote {
    command: Vec<String>,
    identity: Identity,
    link: Mutex<Option<Link>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Starts `command`, a program and its arguments, and waits for its greeting.
    pub fn start(command: Vec<String>, identity: Identity) -> Result<Self, RemoteError> {
        let remote = Self {
            link: Mutex::new(None),
            command,
            identity,
        };
        let link = remote.connect()?;
        *remote.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        Ok(remote)
    }

    /// Plays one episode per job; `result[i]` belongs to `jobs[i]`.
    ///
    /// Errors: those of the environment; of several, the one with the lowest index; a process that is lost again and again.
    pub fn collect(
        &self,
        factory: &EnvFactory,
        policy: &impl Portable,
        choice: ActionChoice,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, EnvError> {
        let world =
            serde_json::to_vec(factory.config()).map_err(|e| EnvError::Elsewhere(e.to_string()))?;
        let spec = factory.spec();
        let mut batch = Batch {
            world,
            policy: policy.parcel(),
            dims: (spec.observation.dim(), spec.action.dim()),
            choice,
            jobs,
            slots: jobs.iter().map(|_| None).collect(),
        };
        // A thread that panicked left a link in the middle of a batch.
        let mut link = self.link.lock().unwrap_or_else(|poisoned| {
            let mut link = poisoned.into_inner();
            *link = None;
            self.link.clear_poison();
            link
        });
        let mut restarts = 0;
        while let Err(error) = self.attempt(&mut link, &mut batch) {
            *link = None;
            let why = match error {
                RemoteError::Refused(why) => return Err(EnvError::Elsewhere(why)),
                RemoteError::Lost(why) => why,
            };
            restarts += 1;
            if restarts > RESTARTS {
                return Err(EnvError::Elsewhere(format!(
                    "{why}\ngiven up after {RESTARTS} restarts"
                )));
            }
            tracing::warn!(
                "{why}; it is started again and plays the {} episodes that are missing",
                batch.missing().count()
            );
            // The network may need a moment.
            thread::sleep(Duration::from_secs(restarts - 1));
        }
        let slots = batch.slots.into_iter().flatten();
        slots
            .map(|slot| slot.map_err(EnvError::Elsewhere))
            .collect()
    }

    fn attempt(&self, link: &mut Option<Link>, batch: &mut Batch) -> Result<(), RemoteError> {
        let link = match link {
            Some(link) => link,
            None => link.insert(self.connect()?),
        };
        link.play(batch).map_err(|error| link.explain(error))
    }

    fn connect(&self) -> Result<Link, RemoteError> {
        let mut link = Link::start(&self.command)?;
        match link.greet(&self.identity) {
            Ok(()) => {
                link.known.store(true, Ordering::Relaxed);
                Ok(link)
            }
            Err(error) => Err(link.explain(error)),
        }
    }
}

/// A batch and what is there of it.
struct Batch<'a> {
    /// Its world, as a frame has it.
    world: Vec<u8>,
    /// Its policy, likewise.
    policy: Vec<u8>,
    /// Entries of an observation and of an action.
    dims: (usize, usize),
    choice: ActionChoice,
    jobs: &'a [Job],
    slots: Vec<Option<Result<Episode, String>>>,
}

impl Batch<'_> {
    /// The jobs without an answer.
    fn missing(&self) -> impl Iterator<Item = (u64, Job)> {
        let all = self.slots.iter().zip(self.jobs).enumerate();
        all.filter(|(_, (slot, _))| slot.is_none())
            .map(|(index, (_, job))| (index as u64, *job))
    }

    /// Puts an answer into its slot.
    fn fill(&mut self, index: u64, answer: Result<Episode, String>) -> Result<(), WireError> {
        let no = |why: String| Err(WireError::Malformed(why));
        let slot = usize::try_from(index).ok();
        let slot = slot.and_then(|i| Some((self.slots.get_mut(i)?, self.jobs[i])));
        let Some((slot @ None, job)) = slot else {
            return no(format!("an answer to job {index}, which nobody asked for"));
        };
        if let Ok(Episode { trajectory, .. }) = &answer
            && (trajectory.observation_dim(), trajectory.action_dim()) != self.dims
        {
            return no(format!("an episode of another world for job {index}"));
        }
        *slot = Some(answer.map(|episode| Episode {
            seed: job.start,
            ..episode
        }));
        Ok(())
    }
}

/// Why a link is of no further use.
enum Fault {
    Wire(WireError),
    /// The other side said so.
    Refused(String),
}

impl<E: Into<WireError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Wire(error.into())
    }
}

/// A process, and what it was last told.
struct Link {
    /// In words.
    name: String,
    child: Child,
    /// `None` once it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    listener: Option<JoinHandle<()>>,
    /// The end of its standard error.
    said: Arc<Mutex<String>>,
    /// Whether it has greeted.
    known: Arc<AtomicBool>,
    world: Vec<u8>,
    policy: Vec<u8>,
}

impl Link {
    fn start(words: &[String]) -> Result<Self, RemoteError> {
        let name = words.join(" ");
        let Some((program, arguments)) = words.split_first() else {
            return Err(RemoteError::Refused("there is no command".into()));
        };
        let cannot = |e: io::Error| {
            RemoteError::Refused(match e.kind() {
                ErrorKind::NotFound => format!("`{name}`: there is no program `{program}`"),
                _ => format!("`{name}` cannot be started: {e}"),
            })
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C is for the learner, which ends its iteration first.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(cannot)?;
        let none = || cannot(io::Error::other("it has no standard streams"));
        let said = Arc::new(Mutex::new(String::new()));
        let known = Arc::new(AtomicBool::new(false));
        let listener = child.stderr.take().map(|stderr| {
            let (said, known, name) = (said.clone(), known.clone(), name.clone());
            thread::spawn(move || listen(stderr, &said, &known, &name))
        });
        Ok(Self {
            input: Some(child.stdin.take().ok_or_else(none)?),
            output: BufReader::with_capacity(1 << 16, child.stdout.take().ok_or_else(none)?),
            child,
            listener,
            said,
            known,
            name,
            world: Vec::new(),
            policy: Vec::new(),
        })
    }

    fn greet(&mut self, identity: &Identity) -> Result<(), Fault> {
        let own = Greeting::of(identity).map_err(io::Error::from)?;
        self.send(b'H', &serde_json::to_vec(&own).map_err(io::Error::from)?)?;
        match self.receive()? {
            Reply::Greeting(theirs) => {
                let theirs = theirs.identity().map_err(Fault::Refused)?;
                theirs
                    .differs_from(identity)
                    .map_or(Ok(()), |why| Err(Fault::Refused(why)))
            }
            Reply::Refused(why) => Err(Fault::Refused(why)),
            _ => Err(WireError::Malformed("an answer without a question".into()).into()),
        }
    }

    fn play(&mut self, batch: &mut Batch) -> Result<(), Fault> {
        if self.world != batch.world {
            self.send(b'W', &batch.world)?;
            self.world.clone_from(&batch.world);
            // A world begins without one.
            self.policy.clear();
        }
        if self.policy != batch.policy {
            self.send(b'P', &batch.policy)?;
            self.policy.clone_from(&batch.policy);
        }
        self.send(b'J', &Request::jobs(batch.choice, batch.missing()))?;
        for _ in 0..batch.missing().count() {
            match self.receive()? {
                Reply::Episode(index, episode) => batch.fill(index, Ok(episode))?,
                Reply::Failed(index, why) => batch.fill(index, Err(why))?,
                Reply::Refused(why) => return Err(Fault::Refused(why)),
                Reply::Greeting(_) => {
                    return Err(WireError::Malformed("a second greeting".into()).into());
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let Some(input) = &mut self.input else {
            return Ok(());
        };
        match write_frame(input, kind, content) {
            // Whoever no longer listens may have said why.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    fn receive(&mut self) -> Result<Reply, WireError> {
        Reply::read(&mut self.output)?
            .ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof).into())
    }

    /// Ends the process and says what became of it.
    fn explain(&mut self, fault: Fault) -> RemoteError {
        let known = self.known.load(Ordering::Relaxed);
        let name = &self.name;
        let broken = match fault {
            Fault::Refused(why) => return RemoteError::Refused(format!("`{name}`: {why}")),
            Fault::Wire(WireError::Malformed(what)) => {
                // A login shell's greeting, an error message: the reader has more of it.
                let rest = String::from_utf8_lossy(self.output.buffer());
                let rest: String = rest.chars().take(200).collect();
                format!(
                    "`{name}` is not understood: expected a reply of `costate worker`, got {what}, followed by {rest:?}"
                )
            }
            Fault::Wire(WireError::Io(e)) if e.kind() == ErrorKind::InvalidInput => {
                return RemoteError::Refused(format!("`{name}`: {e}"));
            }
            Fault::Wire(WireError::Io(_)) => String::new(),
        };
        let status = self.end();
        let name = &self.name;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut why = match (broken.is_empty(), status) {
            (false, _) => broken,
            (true, Some(status)) => format!("`{name}` ended: {status}"),
            (true, None) => format!("`{name}` does not answer"),
        };
        if !said.trim().is_empty() {
            why += &format!("\nit had written:\n{}", said.trim_end());
        }
        match known {
            true => RemoteError::Lost(why),
            false => RemoteError::Refused(why),
        }
    }

    /// Tells the process to end, and makes it end; how it did.
    fn end(&mut self) -> Option<ExitStatus> {
        self.input = None;
        let until = Instant::now() + GRACE;
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(Some(status)) => break Some(status),
                Ok(None) | Err(_) => {
                    // It may have ended by now.
                    let _ = self.child.kill();
                    break self.child.wait().ok();
                }
            }
        };
        // Whoever inherited its standard error may hold it open.
        let until = Instant::now() + Duration::from_millis(200);
        if let Some(listener) = self.listener.take() {
            while !listener.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(5));
            }
        }
        status
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

/// Hands on what a process writes to standard error, once it is known to be a worker, and keeps the end of it.
fn listen(stderr: impl Read, said: &Mutex<String>, known: &AtomicBool, name: &str) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while let Ok(1..) = lines.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        if known.load(Ordering::Relaxed) && !text.trim().is_empty() {
            tracing::warn!("{name}: {}", text.trim_end());
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(&text);
        let mut surplus = said.len().saturating_sub(TAIL);
        while !said.is_char_boundary(surplus) {
            surplus += 1;
        }
        said.drain(..surplus);
        line.clear();
    }
}
