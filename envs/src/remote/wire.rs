//! What a learner and its workers say to each other.
//!
//! Frames, one after the other: the length of what follows, u32; a byte that says what it is; its content. Numbers are
//! little-endian and floats are copied bit by bit. `python/src/costate/ray.py` hands frames on and reads the heads of some.
//!
//! | | learner to worker | |
//! | --- | --- | --- |
//! | `H` | greeting, first of all | JSON: `protocol`, `identity` |
//! | `W` | the world of the following jobs | JSON: [`EnvConfig`] |
//! | `P` | their policy | kind u8, content ([`Portable`]) |
//! | `J` | jobs | choice u8 (0 sample, 1 mean); then for each: index, seed, start, u64 each |
//!
//! | | worker to learner | |
//! | --- | --- | --- |
//! | `h` | greeting | JSON: `protocol`, `identity` |
//! | `e` | an episode | index u64; steps T, observation and action dimension, u32 each; end, success, whether densities follow, u8 each; observations, actions, f32; densities, costs, f64 |
//! | `x` | a job that failed | index u64; why, UTF-8 |
//! | `q` | refusal, and the end | why, UTF-8 |

use std::io::{self, Read, Write};

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::actor::{Actor, ActorParts, Behaviour, Dense, LogStd, Scales};
use crate::env::End;
use crate::linear::{LinearController, LinearStep};
use crate::registry::EnvConfig;
use crate::rollout::{ActionChoice, Job};
use crate::trajectory::{Episode, Trajectory};

/// Version of what is said.
const PROTOCOL: u32 = 1;
/// Most bytes of a frame.
const MOST: usize = 1 << 28;

/// Why there is no further frame.
#[derive(Debug)]
pub(super) enum WireError {
    /// The stream failed, or ended within a frame.
    Io(io::Error),
    /// What came is none of these frames.
    Malformed(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Malformed(why.into()))
}

/// The first frame of either side.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Greeting {
    protocol: u32,
    /// Its shape may change with the protocol.
    identity: serde_json::Value,
}

impl Greeting {
    pub fn of(identity: &Identity) -> Result<Self, serde_json::Error> {
        Ok(Self {
            protocol: PROTOCOL,
            identity: serde_json::to_value(identity)?,
        })
    }

    /// Who the other side is, if it speaks this version.
    pub fn identity(self) -> Result<Identity, String> {
        match (self.protocol, serde_json::from_value(self.identity)) {
            (PROTOCOL, Ok(identity)) => Ok(identity),
            (PROTOCOL, Err(e)) => Err(format!("a greeting without an identity: {e}")),
            (other, _) => Err(format!(
                "version {other} of the protocol of `costate worker`, expected {PROTOCOL}: install the same build on \
                 both sides"
            )),
        }
    }
}

/// What a learner says.
#[derive(Debug)]
pub(super) enum Request {
    Greeting(Greeting),
    World(EnvConfig),
    Policy(Policy),
    Jobs(ActionChoice, Vec<(u64, Job)>),
}

/// What a worker says.
#[derive(Debug)]
pub(super) enum Reply {
    Greeting(Greeting),
    Episode(u64, Episode),
    Failed(u64, String),
    Refused(String),
}

/// A policy as it arrives.
#[derive(Debug, PartialEq)]
pub(super) enum Policy {
    Gaussian(Actor),
    Linear(LinearController),
}

/// A policy that can be sent to workers elsewhere.
pub trait Portable: Behaviour {
    /// Its numbers, bit by bit.
    fn parcel(&self) -> Vec<u8>;
}

impl Portable for Actor {
    fn parcel(&self) -> Vec<u8> {
        let ActorParts {
            scales,
            layers,
            log_std,
        } = self.parts();
        let mut out = vec![b'G'];
        put_count(&mut out, scales.observation_dim());
        put_count(&mut out, scales.action_dim());
        put_f32(&mut out, &scales.observation_mean);
        put_f32(&mut out, &scales.observation_std);
        put_f32(&mut out, &[scales.observation_clip]);
        put_f32(&mut out, &scales.action_centre);
        put_f32(&mut out, &scales.action_scale);
        match log_std {
            LogStd::Constant(log_std) => {
                out.push(0);
                put_f32(&mut out, log_std);
            }
            LogStd::Head { floor } => {
                out.push(1);
                put_f32(&mut out, &[*floor]);
            }
        }
        put_count(&mut out, layers.len());
        for Dense { weight, bias } in layers {
            put_count(&mut out, weight.nrows());
            put_count(&mut out, weight.ncols());
            put_f32(&mut out, weight.as_slice());
            put_f32(&mut out, bias.as_slice());
        }
        out
    }
}

impl Portable for LinearController {
    fn parcel(&self) -> Vec<u8> {
        let mut out = vec![b'L'];
        put_count(&mut out, self.steps().len());
        put_count(&mut out, self.action_dim());
        put_count(&mut out, self.observation_dim());
        for step in self.steps() {
            put_f64(&mut out, step.gain.as_slice());
            put_f64(&mut out, step.offset.as_slice());
            put_f64(&mut out, step.factor.as_slice());
        }
        out
    }
}

impl Policy {
    fn read(content: &mut Content) -> Result<Self, WireError> {
        let policy = match content.u8()? {
            b'G' => Actor::new(actor_parts(content)?).map(Self::Gaussian),
            b'L' => {
                let (steps, m, n) = (content.count()?, content.count()?, content.count()?);
                if m == 0 || n == 0 {
                    return malformed("a controller without actions or observations");
                }
                let step = |_| {
                    let mut values = |rows: usize, columns: usize| {
                        let values = content.f64(area(rows, columns)?)?;
                        Ok::<_, WireError>(DMatrix::from_vec(rows, columns, values))
                    };
                    Ok(LinearStep {
                        gain: values(m, n)?,
                        offset: values(m, 1)?.column(0).into_owned(),
                        factor: values(m, m)?,
                    })
                };
                let steps: Result<Vec<LinearStep>, WireError> = (0..steps).map(step).collect();
                LinearController::new(steps?).map(Self::Linear)
            }
            kind => return malformed(format!("a policy of kind {kind}")),
        };
        policy.or_else(|e| malformed(e.to_string()))
    }
}

fn actor_parts(content: &mut Content) -> Result<ActorParts, WireError> {
    let (o, a) = (content.count()?, content.count()?);
    let scales = Scales {
        observation_mean: content.f32(o)?,
        observation_std: content.f32(o)?,
        observation_clip: content.one_f32()?,
        action_centre: content.f32(a)?,
        action_scale: content.f32(a)?,
    };
    // Clipping to a range that is none ends the program.
    if scales.observation_clip.is_nan() || scales.observation_clip < 0.0 {
        return malformed("observations clipped to less than nothing");
    }
    let log_std = match content.u8()? {
        0 => LogStd::Constant(content.f32(a)?),
        1 => LogStd::Head {
            floor: content.one_f32()?,
        },
        kind => return malformed(format!("a standard deviation of kind {kind}")),
    };
    let mut layers = Vec::new();
    for _ in 0..content.count()? {
        let (rows, columns) = (content.count()?, content.count()?);
        let weight = content.f32(area(rows, columns)?)?;
        layers.push(Dense {
            weight: DMatrix::from_vec(rows, columns, weight),
            bias: DVector::from_vec(content.f32(rows)?),
        });
    }
    Ok(ActorParts {
        scales,
        layers,
        log_std,
    })
}

impl Request {
    /// The content of the frame that sends these jobs.
    pub fn jobs(choice: ActionChoice, jobs: impl Iterator<Item = (u64, Job)>) -> Vec<u8> {
        let mut out = vec![match choice {
            ActionChoice::Sample => 0,
            ActionChoice::Mean => 1,
        }];
        for (index, Job { seed, start }) in jobs {
            for number in [index, seed, start] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out
    }

    /// The next one; `None` where the stream ends between two frames.
    pub fn read(from: &mut impl Read) -> Result<Option<Self>, WireError> {
        read_as(from, |kind, content| {
            Ok(match kind {
                b'H' => Self::Greeting(content.json("a greeting")?),
                b'W' => Self::World(content.json("a world")?),
                b'P' => Self::Policy(Policy::read(content)?),
                b'J' => {
                    let choice = match content.u8()? {
                        0 => ActionChoice::Sample,
                        1 => ActionChoice::Mean,
                        other => return malformed(format!("a choice of actions numbered {other}")),
                    };
                    let mut jobs = Vec::with_capacity(content.0.len() / 24);
                    while !content.0.is_empty() {
                        let (index, seed, start) = (content.u64()?, content.u64()?, content.u64()?);
                        jobs.push((index, Job { seed, start }));
                    }
                    Self::Jobs(choice, jobs)
                }
                other => return malformed(format!("a frame of kind {other}")),
            })
        })
    }
}

impl Reply {
    /// Writes it. Errors: those of the stream, and an episode that no frame can hold.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Greeting(greeting) => write_frame(to, b'h', &serde_json::to_vec(greeting)?),
            Self::Episode(index, episode) => {
                let content = encode_episode(*index, episode);
                match content.len() < MOST {
                    true => write_frame(to, b'e', &content),
                    false => Self::Failed(
                        *index,
                        format!(
                            "an episode of {} bytes is too long to be sent",
                            content.len()
                        ),
                    )
                    .write(to),
                }
            }
            Self::Failed(index, why) => {
                let content = [&index.to_le_bytes()[..], why.as_bytes()].concat();
                write_frame(to, b'x', &content)
            }
            Self::Refused(why) => write_frame(to, b'q', why.as_bytes()),
        }
    }

    /// The next one. An episode has the start seed 0 until whoever knows its job sets it.
    pub fn read(from: &mut impl Read) -> Result<Option<Self>, WireError> {
        read_as(from, |kind, content| {
            Ok(match kind {
                b'h' => Self::Greeting(content.json("a greeting")?),
                b'e' => Self::Episode(content.u64()?, decode_episode(content)?),
                b'x' => Self::Failed(content.u64()?, content.text()),
                b'q' => Self::Refused(content.text()),
                other => return malformed(format!("a frame of kind {other}")),
            })
        })
    }
}

/// For the fuzz target of this format: reads frames as both sides do, until they end, and whatever was understood and can be
/// written again, writes and reads again.
#[cfg(fuzzing)]
pub fn read_all(stream: &[u8]) {
    let again = |kind: u8, content: &[u8]| {
        let mut frame = Vec::new();
        write_frame(&mut frame, kind, content).expect("what was read is short enough");
        frame
    };
    let mut requests = stream;
    while let Ok(Some(request)) = Request::read(&mut requests) {
        match request {
            Request::Greeting(greeting) => drop(greeting.identity()),
            Request::World(config) => drop(config.factory()),
            Request::Policy(policy) => {
                let parcel = match &policy {
                    Policy::Gaussian(policy) => policy.parcel(),
                    Policy::Linear(policy) => policy.parcel(),
                };
                // By its bits: the numbers may be NaN.
                match Request::read(&mut again(b'P', &parcel).as_slice()) {
                    Ok(Some(Request::Policy(Policy::Gaussian(read)))) => {
                        assert_eq!(read.parcel(), parcel);
                    }
                    Ok(Some(Request::Policy(Policy::Linear(read)))) => {
                        assert_eq!(read.parcel(), parcel);
                    }
                    other => panic!("a policy became {other:?}"),
                }
            }
            Request::Jobs(choice, jobs) => {
                let content = Request::jobs(choice, jobs.iter().map(|(i, job)| (*i, *job)));
                match Request::read(&mut again(b'J', &content).as_slice()) {
                    Ok(Some(Request::Jobs(_, read))) => assert_eq!(read.len(), jobs.len()),
                    other => panic!("jobs became {other:?}"),
                }
            }
        }
    }
    let mut replies = stream;
    while let Ok(Some(reply)) = Reply::read(&mut replies) {
        let mut frame = Vec::new();
        reply.write(&mut frame).expect("memory takes it");
        let read = Reply::read(&mut frame.as_slice());
        if let (Reply::Episode(index, episode), Ok(Some(Reply::Episode(same, read)))) =
            (&reply, &read)
        {
            assert_eq!(encode_episode(*index, episode), encode_episode(*same, read));
        } else {
            assert!(matches!(read, Ok(Some(_))), "{reply:?} became {read:?}");
        }
    }
}

fn encode_episode(index: u64, episode: &Episode) -> Vec<u8> {
    let t = &episode.trajectory;
    let mut out = index.to_le_bytes().to_vec();
    for count in [t.len(), t.observation_dim(), t.action_dim()] {
        put_count(&mut out, count);
    }
    out.push(match t.end() {
        End::Running => 0,
        End::Terminated => 1,
        End::Truncated => 2,
    });
    out.push(match episode.success {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
    out.push(u8::from(t.log_densities().is_some()));
    put_f32(&mut out, t.observations());
    put_f32(&mut out, t.actions());
    put_f64(&mut out, t.log_densities().unwrap_or_default());
    put_f64(&mut out, &episode.costs);
    out
}

fn decode_episode(content: &mut Content) -> Result<Episode, WireError> {
    let (steps, o, a) = (content.count()?, content.count()?, content.count()?);
    let end = match content.u8()? {
        1 => End::Terminated,
        2 => End::Truncated,
        other => return malformed(format!("an episode that ended in way {other}")),
    };
    let success = match content.u8()? {
        0 => None,
        1 => Some(false),
        2 => Some(true),
        other => return malformed(format!("an episode whose success is {other}")),
    };
    let dense = content.u8()? != 0;
    let observations = content.f32(area(steps.saturating_add(1), o)?)?;
    let actions = content.f32(area(steps, a)?)?;
    let log_densities = dense.then(|| content.f64(steps)).transpose()?;
    let costs = content.f64(steps)?;
    let trajectory = Trajectory::new(o, a, observations, actions, log_densities, end);
    match trajectory {
        Ok(trajectory) => Ok(Episode {
            seed: 0,
            trajectory,
            costs,
            success,
        }),
        Err(e) => malformed(format!("an episode that is none: {e}")),
    }
}

/// Writes a frame and flushes.
pub(super) fn write_frame(to: &mut impl Write, kind: u8, content: &[u8]) -> io::Result<()> {
    if content.len() >= MOST {
        let why = format!("{} bytes are too many to be sent", content.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // Below 2^28.
    let length = (content.len() + 1) as u32;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&[kind])?;
    to.write_all(content)?;
    to.flush()
}

/// The next frame; `None` where the stream ends between two.
fn read_frame(from: &mut impl Read) -> Result<Option<(u8, Vec<u8>)>, WireError> {
    let mut head = Vec::with_capacity(4);
    from.by_ref().take(4).read_to_end(&mut head)?;
    let length = match head[..] {
        [] => return Ok(None),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) as usize,
        _ => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    };
    if length == 0 || length > MOST {
        let text = String::from_utf8_lossy(&head);
        return malformed(format!(
            "a frame of {length} bytes, expected 1 to {MOST}; as text it begins with {text:?}"
        ));
    }
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    // What is claimed takes no memory before it is there.
    let mut content = Vec::new();
    from.by_ref()
        .take(length as u64 - 1)
        .read_to_end(&mut content)?;
    match content.len() == length - 1 {
        true => Ok(Some((kind[0], content))),
        false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// The next frame as `parse` understands its kind and all of its content; `None` where the stream ends between two.
fn read_as<T>(
    from: &mut impl Read,
    parse: impl FnOnce(u8, &mut Content) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    let Some((kind, bytes)) = read_frame(from)? else {
        return Ok(None);
    };
    let mut content = Content(&bytes);
    let parsed = parse(kind, &mut content)?;
    content.end()?;
    Ok(Some(parsed))
}

/// What is left of a frame.
struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return malformed(format!(
                "a frame that ends {} bytes early",
                count - self.0.len()
            ));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<usize, WireError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn one_f32(&mut self) -> Result<f32, WireError> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    fn f32(&mut self, count: usize) -> Result<Vec<f32>, WireError> {
        let bytes = self.take(area(count, 4)?)?;
        let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Ok(bytes.chunks_exact(4).map(value).collect())
    }

    fn f64(&mut self, count: usize) -> Result<Vec<f64>, WireError> {
        let bytes = self.take(area(count, 8)?)?;
        let value = |b: &[u8]| {
            let mut array = [0; 8];
            array.copy_from_slice(b);
            f64::from_le_bytes(array)
        };
        Ok(bytes.chunks_exact(8).map(value).collect())
    }

    fn json<T: for<'de> Deserialize<'de>>(&mut self, what: &str) -> Result<T, WireError> {
        let all = std::mem::take(&mut self.0);
        serde_json::from_slice(all).or_else(|e| malformed(format!("{what} that is none: {e}")))
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(std::mem::take(&mut self.0)).into_owned()
    }

    fn end(&self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            more => malformed(format!("a frame with {more} bytes too many")),
        }
    }
}

/// rows × columns, of numbers that a frame can hold.
fn area(rows: usize, columns: usize) -> Result<usize, WireError> {
    match rows.checked_mul(columns) {
        Some(area) if area <= MOST => Ok(area),
        _ => malformed(format!("{rows} times {columns} numbers in a frame")),
    }
}

/// A count that frames are far too short to exceed.
fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_f32(out: &mut Vec<u8>, values: &[f32]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

fn put_f64(out: &mut Vec<u8>, values: &[f64]) {
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use proptest::prelude::*;
    use rand::RngExt;

    fn actor(log_std: LogStd) -> Actor {
        let mut rng = stream(3, "test", 0);
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random::<f32>()).collect() };
        let outputs = match log_std {
            LogStd::Constant(_) => 1,
            LogStd::Head { .. } => 2,
        };
        let scales = Scales {
            observation_mean: draw(3),
            observation_std: vec![1.0; 3],
            observation_clip: 10.0,
            action_centre: draw(1),
            action_scale: vec![2.0],
        };
        let mut dense = |rows, columns| Dense {
            weight: DMatrix::from_vec(rows, columns, draw(rows * columns)),
            bias: DVector::from_vec(draw(rows)),
        };
        Actor::new(ActorParts {
            scales,
            layers: vec![dense(5, 3), dense(outputs, 5)],
            log_std,
        })
        .unwrap()
    }

    fn controller() -> LinearController {
        let step = |offset| LinearStep {
            gain: DMatrix::from_row_slice(2, 1, &[0.5, -0.1]),
            offset: DVector::from_vec(vec![offset, 1.0 / 3.0]),
            factor: DMatrix::from_row_slice(2, 2, &[0.8, 0.0, 0.6, 0.3]),
        };
        LinearController::new(vec![step(0.1), step(0.2)]).unwrap()
    }

    fn episode() -> Episode {
        let observations = vec![0.1, -0.0, f32::MIN_POSITIVE, 1e-40, 5.0, 6.0];
        let actions = vec![1.0, -1.0];
        let densities = Some(vec![-0.1, 1e-310]);
        Episode {
            seed: 0,
            trajectory: Trajectory::new(2, 1, observations, actions, densities, End::Truncated)
                .unwrap(),
            costs: vec![0.1 + 0.2, f64::NAN],
            success: Some(false),
        }
    }

    /// The request of a frame.
    fn sent(kind: u8, content: &[u8]) -> Result<Option<Request>, WireError> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, kind, content)?;
        Request::read(&mut &bytes[..])
    }

    fn received(reply: &Reply) -> Reply {
        let mut bytes = Vec::new();
        reply.write(&mut bytes).unwrap();
        Reply::read(&mut &bytes[..]).unwrap().expect("a reply")
    }

    #[test]
    fn policies_arrive_bit_by_bit() {
        for log_std in [
            LogStd::Constant(vec![-0.3]),
            LogStd::Head { floor: 1.0 / 3.0 },
        ] {
            let own = actor(log_std);
            let Ok(Some(Request::Policy(there))) = sent(b'P', &own.parcel()) else {
                panic!("no policy");
            };
            assert_eq!(there, Policy::Gaussian(own));
        }
        let own = controller();
        let Ok(Some(Request::Policy(there))) = sent(b'P', &own.parcel()) else {
            panic!("no policy");
        };
        assert_eq!(there, Policy::Linear(own));
    }

    #[test]
    fn episodes_arrive_bit_by_bit() {
        let own = episode();
        let Reply::Episode(7, there) = received(&Reply::Episode(7, own.clone())) else {
            panic!("no episode");
        };
        assert_eq!(encode_episode(7, &own), encode_episode(7, &there));
        let mut mean = own;
        let t = &mean.trajectory;
        let (observations, actions) = (t.observations().to_vec(), t.actions().to_vec());
        mean.trajectory =
            Trajectory::new(2, 1, observations, actions, None, End::Terminated).unwrap();
        mean.success = None;
        let Reply::Episode(0, there) = received(&Reply::Episode(0, mean.clone())) else {
            panic!("no episode");
        };
        assert_eq!(encode_episode(0, &mean), encode_episode(0, &there));
    }

    #[test]
    fn jobs_keep_their_order_and_numbers() {
        let jobs = [(3, Job::new(u64::MAX)), (0, Job::new(1).starting_at(9))];
        let content = Request::jobs(ActionChoice::Mean, jobs.into_iter());
        let Ok(Some(Request::Jobs(ActionChoice::Mean, there))) = sent(b'J', &content) else {
            panic!("no jobs");
        };
        assert_eq!(there, jobs);
    }

    #[test]
    fn streams_end_between_frames_only() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, b'J', &[0]).unwrap();
        assert!(Request::read(&mut &[][..]).unwrap().is_none());
        for end in 1..bytes.len() {
            let cut = Request::read(&mut &bytes[..end]);
            assert!(matches!(cut, Err(WireError::Io(_))), "{end}: {cut:?}");
        }
        // A length that is claimed is not reserved.
        let claims = [&(MOST as u32).to_le_bytes()[..], b"P"].concat();
        assert!(matches!(
            Request::read(&mut &claims[..]),
            Err(WireError::Io(_))
        ));
    }

    fn frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let valid = prop_oneof![
            Just((b'P', actor(LogStd::Constant(vec![0.0])).parcel())),
            Just((b'P', controller().parcel())),
            Just((b'e', encode_episode(1, &episode()))),
            Just((
                b'J',
                Request::jobs(ActionChoice::Sample, [(1, Job::new(2))].into_iter())
            )),
        ];
        let kinds = prop_oneof![Just(b'H'), Just(b'W'), Just(b'h'), Just(b'x'), any::<u8>()];
        prop_oneof![valid, (kinds, prop::collection::vec(any::<u8>(), 0..200))]
    }

    proptest! {
        /// Frames from whomever are read or refused.
        #[test]
        fn frames_are_read_or_refused(
            (kind, mut content) in frame(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            keep in any::<prop::sample::Index>(),
        ) {
            for (place, byte) in changes {
                if !content.is_empty() {
                    let place = place.index(content.len());
                    content[place] = byte;
                }
            }
            let mut bytes = Vec::new();
            write_frame(&mut bytes, kind, &content).unwrap();
            let _ = (Request::read(&mut &bytes[..]), Reply::read(&mut &bytes[..]));
            bytes.truncate(keep.index(bytes.len()));
            let _ = (Request::read(&mut &bytes[..]), Reply::read(&mut &bytes[..]));
        }
    }
}
