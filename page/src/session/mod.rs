//! Sessions: worlds that people drive, each on a thread with a steady clock.

mod keeper;
mod stand;
mod take;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use costate_envs::EnvConfig;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::broadcast;

use crate::learning::{Learning, Refusal};
use crate::name::Name;
use crate::protocol::{Answer, Open, Opened, Phase, Said};
use crate::shelf::{Shelf, lock};
use crate::world;
use keeper::Keeper;
pub use stand::Stand;

/// From the start of an episode to its first step.
const COUNTDOWN: Duration = Duration::from_secs(3);
/// How often the countdown is shown.
const COUNTED_EVERY: Duration = Duration::from_millis(100);
/// A clock that is later than this starts anew: the machine slept, or the world is slower than its time.
const LATE: Duration = Duration::from_millis(250);
/// How long a session waits for a driver to come back.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most sessions at a time: each has a world and a thread.
const MOST_SESSIONS: usize = 32;
/// Answers that a slow page may lag behind.
const BACKLOG: usize = 64;

/// For whom an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The page that drives.
    Driver,
    /// Everyone.
    All,
}

/// An answer on its way to pages.
#[derive(Debug, Clone)]
pub struct Sent {
    /// For whom it is.
    pub audience: Audience,
    /// As JSON.
    pub text: Arc<str>,
    /// Whether the session is over with it.
    pub last: bool,
}

enum Command {
    Said(Said),
    /// For a newcomer: what stands still sends nothing by itself.
    Show,
    Lost(&'static str),
    End(&'static str),
}

/// A session as sockets know it.
pub struct Session {
    id: u64,
    key: String,
    dataset: Name,
    opened: Opened,
    inbox: Sender<Command>,
    out: broadcast::Sender<Sent>,
    driven: AtomicBool,
    left: Mutex<Instant>,
}

/// A page's part in a session; dropping the driver's stops the clock.
pub struct Seat {
    session: Arc<Session>,
    driver: bool,
    /// Answers from now on.
    pub answers: broadcast::Receiver<Sent>,
}

impl Seat {
    /// The first answer.
    pub fn opened(&self) -> Opened {
        Opened {
            session: self.session.id,
            key: self.driver.then(|| self.session.key.clone()),
            ..self.session.opened.clone()
        }
    }

    /// Whether this page drives.
    pub fn drives(&self) -> bool {
        self.driver
    }

    /// Hands a word to the world.
    ///
    /// Errors: this page only watches; the session is over.
    pub fn say(&self, said: Said) -> Result<(), Refusal> {
        if !self.driver {
            return Err(Refusal::conflict("this page watches; another one drives"));
        }
        let command = match said {
            Said::Leave => Command::End("its driver left"),
            said => Command::Said(said),
        };
        let sent = self.session.inbox.send(command);
        sent.map_err(|_| Refusal::failure("this session is over"))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.driver {
            *lock(&self.session.left) = Instant::now();
            self.session.driven.store(false, Ordering::Release);
            let note = "the connection to the page that drives was lost";
            // A session that is over needs no notice.
            let _ = self.session.inbox.send(Command::Lost(note));
        }
    }
}

/// For the fuzz target of the page's words: a session in `folder` that hears them, one a line, without clock and network, and
/// takes a few steps after each.
#[cfg(fuzzing)]
pub fn converse(words: &[u8], folder: &std::path::Path) {
    let shelf = Arc::new(Shelf::new(folder.into()));
    let opened = |open: &Open| -> Result<Stand, Refusal> {
        let name = Name::parse(&open.dataset)?;
        let config = world::named(&open.env, open.variants.iter().map(String::as_str))?;
        if !config.has_picture() {
            return Err(Refusal::misuse("no picture"));
        }
        let factory = config.factory().map_err(Refusal::misuse)?;
        let keeper = Keeper::unmeasured(shelf.clone(), name, factory, open.seed);
        Stand::open(open, config, keeper, None)
    };
    let mut stand = None;
    for line in words.split(|b| *b == b'\n').take(40) {
        match (serde_json::from_slice::<Said>(line), &mut stand) {
            (Ok(Said::Open(open)), None) => stand = opened(&open).ok(),
            (Ok(said), Some(stand)) => {
                let answer = stand.follow(said);
                stand.run();
                for _ in 0..3 {
                    if stand.phase() == Phase::Running {
                        let _ = stand.step();
                    }
                }
                let frame = Answer::Frame(stand.frame(0.0));
                for answer in answer.into_iter().flatten().chain([frame]) {
                    serde_json::to_string(&answer).expect("answers are JSON");
                }
                assert!(stand.period_s().is_finite() && stand.period_s() > 0.0);
            }
            _ => {}
        }
    }
}

/// All sessions of a server.
pub struct Sessions {
    shelf: Arc<Shelf>,
    runs: PathBuf,
    learning: Option<Arc<dyn Learning>>,
    all: Arc<Mutex<BTreeMap<u64, Arc<Session>>>>,
    next: AtomicU64,
}

impl Sessions {
    /// None yet.
    pub fn new(shelf: Arc<Shelf>, runs: PathBuf, learning: Option<Arc<dyn Learning>>) -> Self {
        Self {
            shelf,
            runs,
            learning,
            all: Arc::default(),
            next: AtomicU64::new(1),
        }
    }

    /// Opens a session; the caller drives it. Takes its time.
    pub fn open(&self, open: &Open) -> Result<Seat, Refusal> {
        if lock(&self.all).len() >= MOST_SESSIONS {
            return Err(Refusal::failure(format!(
                "{MOST_SESSIONS} sessions are open, which is all that this server takes: leave one first"
            )));
        }
        let name = Name::parse(&open.dataset)?;
        let variants = open.variants.iter().map(String::as_str);
        let config = world::named(&open.env, variants)?;
        if !config.has_picture() {
            return Err(Refusal::misuse(format!(
                "{}: there is no picture of it to drive by",
                config.name
            )));
        }
        let policy = open.run.as_deref().map(|run| self.policy(run, &config));
        let policy = policy.transpose()?;
        let factory = config.factory().map_err(Refusal::misuse)?;
        if open.take {
            self.end_those_into(&name);
        }
        let keeper = Keeper::new(self.shelf.clone(), name.clone(), factory, open.seed)?;
        let stand = Stand::open(open, config, keeper, policy)?;
        let session = self.start(name, stand)?;
        session.driven.store(true, Ordering::Release);
        Ok(seat(&session, true))
    }

    fn policy(
        &self,
        run: &str,
        config: &EnvConfig,
    ) -> Result<(String, crate::learning::Act), Refusal> {
        let learning = self.learning.as_ref().ok_or_else(no_learning)?;
        let driver = learning.policy(&Name::parse(run)?.within(&self.runs))?;
        match driver.env.name == config.name {
            true => Ok((run.to_owned(), driver.act)),
            false => Err(Refusal::misuse(format!(
                "run `{run}` has a policy for {}, not for {}",
                driver.env.name, config.name
            ))),
        }
    }

    /// Comes back to a session with its key, or watches it without.
    pub fn join(&self, id: u64, key: Option<&str>) -> Result<Seat, Refusal> {
        let found = lock(&self.all).get(&id).cloned();
        let session = found.ok_or_else(|| Refusal::missing("this session is over"))?;
        let Some(key) = key else {
            return Ok(seat(&session, false));
        };
        if key != session.key {
            return Err(Refusal::conflict("this session is another page's"));
        }
        match session.driven.swap(true, Ordering::AcqRel) {
            false => Ok(seat(&session, true)),
            true => Err(Refusal::conflict(
                "this session is driven in another window: watch, or close that one first",
            )),
        }
    }

    /// The session that records into a dataset.
    pub fn recording_into(&self, dataset: &str) -> Option<u64> {
        let all = lock(&self.all);
        all.values()
            .find(|s| s.dataset.as_str() == dataset)
            .map(|s| s.id)
    }

    /// Ends sessions whose drivers did not come back.
    pub fn sweep(&self) {
        for session in lock(&self.all).values() {
            let away = lock(&session.left).elapsed();
            if !session.driven.load(Ordering::Acquire) && away > PATIENCE {
                let _ = session
                    .inbox
                    .send(Command::End("its driver did not come back"));
            }
        }
    }

    /// Ends all.
    pub fn close(&self) {
        for session in lock(&self.all).values() {
            let _ = session.inbox.send(Command::End("the server was stopped"));
        }
        self.until(|all| all.is_empty());
    }

    fn end_those_into(&self, name: &Name) {
        for session in lock(&self.all).values().filter(|s| s.dataset == *name) {
            let _ = session
                .inbox
                .send(Command::End("it was taken over by another page"));
        }
        self.until(|all| all.values().all(|s| s.dataset != *name));
    }

    /// Waits until worlds have noticed that they are over.
    fn until(&self, done: impl Fn(&BTreeMap<u64, Arc<Session>>) -> bool) {
        let give_up = Instant::now() + Duration::from_secs(5);
        while !done(&lock(&self.all)) && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn start(&self, dataset: Name, stand: Stand) -> Result<Arc<Session>, Refusal> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (inbox, commands) = channel();
        let session = Arc::new(Session {
            id,
            key: secret().map_err(Refusal::failure)?,
            opened: stand.opened(dataset.as_str()),
            dataset,
            inbox,
            out: broadcast::Sender::new(BACKLOG),
            driven: AtomicBool::new(false),
            left: Mutex::new(Instant::now()),
        });
        lock(&self.all).insert(id, session.clone());
        let (all, out) = (self.all.clone(), session.out.clone());
        let run = move || {
            let clock = Clock {
                stand,
                out,
                due: None,
                starts: None,
            };
            let why = clock.run(&commands);
            // The dataset is free before anybody hears of it.
            let session = lock(&all).remove(&id);
            if let Some(session) = session {
                let message = why.to_owned();
                send(&session.out, Audience::All, &Answer::Ended { message });
            }
        };
        let thread = thread::Builder::new().name(format!("session-{id}"));
        if let Err(error) = thread.spawn(run) {
            lock(&self.all).remove(&id);
            return Err(Refusal::failure(format!(
                "no thread for a session: {error}"
            )));
        }
        Ok(session)
    }
}

fn seat(session: &Arc<Session>, driver: bool) -> Seat {
    let seat = Seat {
        session: session.clone(),
        driver,
        answers: session.out.subscribe(),
    };
    // A session that is over shows nothing.
    let _ = session.inbox.send(Command::Show);
    seat
}

/// Says that there is no learning side.
pub fn no_learning() -> Refusal {
    Refusal::misuse("this page records and views; `costate view` trains and watches, too")
}

/// 128 random bits, hexadecimal: they keep pages apart and must not be foreseen, so they come from the system.
pub fn secret() -> Result<String, <SysRng as TryRng>::Error> {
    let words = [SysRng.try_next_u64()?, SysRng.try_next_u64()?];
    Ok(words.map(|w| format!("{w:016x}")).concat())
}

fn send(out: &broadcast::Sender<Sent>, audience: Audience, answer: &Answer) {
    match serde_json::to_string(answer) {
        // Without listeners there is nobody to tell.
        Ok(text) => drop(out.send(Sent {
            audience,
            text: text.into(),
            last: matches!(answer, Answer::Ended { .. }),
        })),
        Err(error) => tracing::error!("an answer cannot be written as JSON: {error}"),
    }
}

/// Runs a world in real time.
struct Clock {
    stand: Stand,
    out: broadcast::Sender<Sent>,
    /// When the next step is due.
    due: Option<Instant>,
    /// When the countdown ends.
    starts: Option<Instant>,
}

impl Clock {
    /// Until the session is over; returns why.
    fn run(mut self, commands: &Receiver<Command>) -> &'static str {
        loop {
            let command = match self.wait() {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => commands.recv_timeout(wait),
            };
            match command {
                Ok(command) => {
                    if let ControlFlow::Break(why) = self.hear(command) {
                        return why;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.tick(),
                Err(RecvTimeoutError::Disconnected) => return "the server was stopped",
            }
        }
    }

    fn wait(&self) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        match self.stand.phase() {
            Phase::Running => Some(self.due.map_or(Duration::ZERO, until)),
            Phase::Countdown => Some(self.starts.map_or(Duration::ZERO, until).min(COUNTED_EVERY)),
            _ => None,
        }
    }

    fn hear(&mut self, command: Command) -> ControlFlow<&'static str> {
        let input = matches!(command, Command::Said(Said::Input { .. }));
        match command {
            Command::End(why) => return ControlFlow::Break(why),
            Command::Lost(note) => self.stand.lost(note),
            Command::Show => {}
            Command::Said(said) => {
                let before = self.stand.phase();
                let answer = self.stand.follow(said).unwrap_or_else(|refusal| {
                    Some(Answer::Refused {
                        message: refusal.message,
                        held_by: None,
                    })
                });
                if let Some(answer) = answer {
                    send(&self.out, Audience::Driver, &answer);
                }
                if self.stand.phase() != before {
                    self.due = None;
                    self.starts = Some(Instant::now() + COUNTDOWN);
                }
            }
        }
        // Inputs are shown by the next step.
        if !input {
            self.show();
        }
        ControlFlow::Continue(())
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if self.stand.phase() == Phase::Countdown {
            if self.starts.is_some_and(|at| at <= now) {
                self.stand.run();
                self.due = Some(now);
            }
        } else if let Err(error) = self.stand.step() {
            let message = error.to_string();
            let held_by = None;
            send(
                &self.out,
                Audience::All,
                &Answer::Refused { message, held_by },
            );
        }
        let period = Duration::from_secs_f64(self.stand.period_s());
        let due = self.due.unwrap_or(now);
        // Steps keep their rhythm, whatever each takes.
        self.due = match now.saturating_duration_since(due) < LATE {
            true => Some(due + period),
            false => Some(now + period),
        };
        self.show();
    }

    fn show(&self) {
        let left = self
            .starts
            .map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.filter(|_| self.stand.phase() == Phase::Countdown);
        let frame = self.stand.frame(left.map_or(0.0, |d| d.as_secs_f64()));
        send(&self.out, Audience::All, &Answer::Frame(frame));
    }
}
