//! A Python process that holds one environment.
//!
//! It is spoken to over a socket, a message to and an answer back for every step; `side.py` says what they hold.

use std::fmt;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};

use super::model::Description;

/// The Python side.
const SIDE: &str = include_str!("side.py");
/// Names the interpreter; `python3` by default.
const PYTHON: &str = "COSTATE_PYTHON";
/// Seconds after which an answer is no longer waited for.
const TIMEOUT: &str = "COSTATE_GYM_TIMEOUT";
/// Its default; the start, which imports, gets at least this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of standard error, as much as is repeated where a process fails.
const TAIL: usize = 2000;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// A request that cannot be met: a missing package, another kind of environment.
    Refused(String),
    /// An exception in Python, with its traceback.
    Raised(String),
    /// The process ended or does not answer.
    Lost(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) | Self::Lost(reason) => f.write_str(reason),
            Self::Raised(traceback) => {
                write!(f, "it raised an exception\n{}", traceback.trim_end())
            }
        }
    }
}

/// What to make.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Asked {
    pub id: String,
    pub module: Option<String>,
    pub kwargs: Map<String, Value>,
}

/// Entries of an observation and of an action.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dims {
    pub observation: usize,
    pub action: usize,
}

impl Dims {
    /// Bytes of a record.
    fn record(self) -> usize {
        4 * self.observation + 10
    }
}

/// What a reset or a step leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub observation: Vec<f32>,
    pub reward: f64,
    pub terminated: bool,
    pub truncated: bool,
}

impl Record {
    fn read(bytes: &[u8]) -> Self {
        let (observation, rest) = bytes.split_at(bytes.len() - 10);
        let entry = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let mut reward = [0; 8];
        reward.copy_from_slice(&rest[..8]);
        Self {
            observation: observation.chunks_exact(4).map(entry).collect(),
            reward: f64::from_le_bytes(reward),
            terminated: rest[8] != 0,
            truncated: rest[9] != 0,
        }
    }
}

/// The process. Dropping it ends it.
pub(super) struct Process {
    child: Child,
    socket: BufReader<UnixStream>,
    timeout: Duration,
    /// The end of its standard error.
    said: Arc<Mutex<Vec<u8>>>,
    message: Vec<u8>,
    answer: Vec<u8>,
}

impl Process {
    /// Starts Python and makes the environment.
    pub fn start(asked: &Asked) -> Result<(Self, Description), Fault> {
        let timeout = patience()?;
        let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".into());
        let cannot = |error: io::Error| {
            Fault::Refused(match error.kind() {
                ErrorKind::NotFound => format!(
                    "there is no Python `{python}`: install Python and `pip install gymnasium`, or name an interpreter \
                     with {PYTHON}"
                ),
                _ => format!("cannot start `{python}`: {error}"),
            })
        };
        let asked = serde_json::to_string(asked).map_err(|e| Fault::Refused(e.to_string()))?;
        let (socket, theirs) = UnixStream::pair().map_err(cannot)?;
        let mut command = Command::new(&python);
        command
            .args(["-c", SIDE, &asked])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for Costate, which ends its episodes first.
            .process_group(0);
        // The order of sets and sums must not differ between processes; one thread each, as there is a process a worker.
        for (name, value) in [
            ("PYTHONHASHSEED", "0"),
            ("OMP_NUM_THREADS", "1"),
            ("OPENBLAS_NUM_THREADS", "1"),
            ("MKL_NUM_THREADS", "1"),
        ] {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        let mut child = command.spawn().map_err(cannot)?;
        // The command holds their end of the socket: without it, the end of the process ends the conversation.
        drop(command);
        let said = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = child.stderr.take() {
            let said = said.clone();
            thread::spawn(move || listen(stderr, &said));
        }
        let mut process = Self {
            child,
            socket: BufReader::with_capacity(1 << 16, socket),
            timeout,
            said,
            message: Vec::new(),
            answer: Vec::new(),
        };
        process.wait_for(timeout.max(PATIENCE))?;
        process.send(b'D', &[])?;
        process.content()?;
        let description = serde_json::from_slice(&process.answer)
            .map_err(|e| Fault::Refused(format!("its description is not understood: {e}")))?;
        process.wait_for(timeout)?;
        Ok((process, description))
    }

    fn wait_for(&mut self, timeout: Duration) -> Result<(), Fault> {
        self.timeout = timeout;
        let socket = self.socket.get_ref();
        let both = socket.set_read_timeout(Some(timeout));
        both.and_then(|()| socket.set_write_timeout(Some(timeout)))
            .map_err(|e| Fault::Refused(format!("its socket has no timeout: {e}")))
    }

    /// Starts an episode.
    pub fn reset(&mut self, seed: u64, dims: Dims) -> Result<Record, Fault> {
        self.send(b'R', &[&seed.to_le_bytes()])?;
        self.record(dims)
    }

    /// One step.
    pub fn step(&mut self, action: &[f32], dims: Dims) -> Result<Record, Fault> {
        self.send(b'S', &[&bytes(action)])?;
        self.record(dims)
    }

    /// Goes to the state after these actions, on the shortest way, and returns what is seen there.
    pub fn load(&mut self, seed: u64, actions: &[f32], dims: Dims) -> Result<Record, Fault> {
        let count = actions.len() / dims.action;
        let steps = u32::try_from(count)
            .map_err(|_| Fault::Refused(format!("{count} steps are too many to play again")))?;
        let own = self.timeout;
        // It may have to play them all.
        self.wait_for(own + Duration::from_secs(u64::from(steps)))?;
        let parts: [&[u8]; 3] = [&seed.to_le_bytes(), &steps.to_le_bytes(), &bytes(actions)];
        self.send(b'L', &parts)?;
        let record = self.record(dims)?;
        self.wait_for(own)?;
        Ok(record)
    }

    fn record(&mut self, dims: Dims) -> Result<Record, Fault> {
        self.receive(dims.record())?;
        Ok(Record::read(&self.answer))
    }

    fn send(&mut self, order: u8, parts: &[&[u8]]) -> Result<(), Fault> {
        self.message.clear();
        self.message.push(order);
        parts.iter().for_each(|p| self.message.extend_from_slice(p));
        let socket = self.socket.get_mut();
        socket.write_all(&self.message).map_err(|e| self.lost(&e))
    }

    /// Reads an answer of `length` bytes.
    fn receive(&mut self, length: usize) -> Result<(), Fault> {
        self.content()?;
        match self.answer.len() == length {
            true => Ok(()),
            false => Err(Fault::Lost(format!(
                "its answer has {} bytes, expected {length}",
                self.answer.len()
            ))),
        }
    }

    /// Reads an answer of any length.
    fn content(&mut self) -> Result<(), Fault> {
        let mut head = [0; 5];
        self.socket
            .read_exact(&mut head)
            .map_err(|e| self.lost(&e))?;
        let [kind, length @ ..] = head;
        self.answer.resize(u32::from_le_bytes(length) as usize, 0);
        self.socket
            .read_exact(&mut self.answer)
            .map_err(|e| self.lost(&e))?;
        let text = || String::from_utf8_lossy(&self.answer).into_owned();
        match kind {
            0 => Ok(()),
            2 => Err(Fault::Refused(text())),
            _ => Err(Fault::Raised(text())),
        }
    }

    /// What became of the process.
    fn lost(&mut self, error: &io::Error) -> Fault {
        let what = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!(
                "its Python process has not answered for {} s ({TIMEOUT} sets how long to wait)",
                self.timeout.as_secs_f64()
            ),
            _ => match self.ended() {
                Some(status) => format!("its Python process ended: {status}"),
                None => format!("its Python process cannot be reached: {error}"),
            },
        };
        self.end();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said);
        Fault::Lost(match said.trim_end() {
            "" => what,
            said => format!("{what}\nit had written:\n{said}"),
        })
    }

    /// How the process ended, if it does so at once.
    fn ended(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps the end of what a process writes to standard error.
fn listen(mut stderr: impl Read, said: &Mutex<Vec<u8>>) {
    let mut new = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut new) {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(&new[..count]);
        let surplus = said.len().saturating_sub(TAIL);
        said.drain(..surplus);
    }
}

/// How long to wait for an answer.
fn patience() -> Result<Duration, Fault> {
    let Some(text) = std::env::var_os(TIMEOUT) else {
        return Ok(PATIENCE);
    };
    let text = text.to_string_lossy();
    let seconds = text.parse::<f64>().ok().filter(|s| *s > 0.0);
    seconds
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| {
            Fault::Refused(format!(
                "{TIMEOUT} is `{text}`, expected seconds, more than 0"
            ))
        })
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
