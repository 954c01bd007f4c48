//! A world that a person drives: what happens on every word and in every step, without clock or network.

use costate_demos::experts::{Expert, Margins};
use costate_envs::scene::Item;
use costate_envs::{Env, EnvConfig, EnvError, EnvFactory};
use serde_json::{Value, json};

use super::keeper::Keeper;
use super::take::Take;
use crate::film::{parts, view};
use crate::learning::{Act, Refusal};
use crate::protocol::{Answer, Frame, Open, Opened, Phase, Said, Who};
use crate::steer::Steer;
use crate::views::channels;
use crate::world;

/// Bounds of [`Said::Speed`].
pub const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=1.0;
/// Tags of an episode, and characters of one.
const MOST_TAGS: [usize; 2] = [20, 60];

/// What the person does.
#[derive(Debug, Clone, PartialEq, Default)]
enum Doing {
    /// Nothing.
    #[default]
    Idle,
    /// These commands, in the channels' units.
    Action(Vec<f32>),
    /// Brings the held body here, metres.
    Pointing([f64; 2]),
}

/// An expert that helps.
struct Helper {
    name: String,
    expert: Box<dyn Expert>,
    margins: Margins,
    /// What it would have done in the last step.
    mean: Vec<f64>,
}

/// How an episode was driven, for the dataset's description.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Manner {
    slowest: f64,
    most_help: f64,
    pointed: bool,
}

/// A world that a person drives.
pub struct Stand {
    factory: EnvFactory,
    env: Box<dyn Env>,
    keeper: Keeper,
    helper: Option<Helper>,
    policy: Option<(String, Act)>,
    steer: Option<Steer>,
    /// Leading items of the scene that never change.
    still: Vec<Item>,
    phase: Phase,
    note: Option<String>,
    attempt: u64,
    take: Take,
    who: Who,
    /// Step at which the person took over.
    taken: Option<usize>,
    doing: Doing,
    /// Number of the latest input, and of the one that the last step used.
    heard: u64,
    used: u64,
    speed: f64,
    assist: f64,
    manner: Manner,
}

impl Stand {
    /// Opens the world that `open` asks for. `policy` is that of the run it names.
    ///
    /// Errors: an environment, variant or expert that does not exist, or that cannot be drawn.
    pub fn open(
        open: &Open,
        config: EnvConfig,
        mut keeper: Keeper,
        policy: Option<(String, Act)>,
    ) -> Result<Self, Refusal> {
        let factory = config.factory().map_err(Refusal::misuse)?;
        let helper = open.expert.as_deref().map(|name| helper(&factory, name));
        let mut env = factory.build();
        let take = Take::begin(env.as_mut(), keeper.next_start());
        let steer = Steer::new(&factory, env.as_ref());
        Ok(Self {
            still: backdrop(&factory, take.seed()).map_err(Refusal::failure)?,
            helper: helper.transpose()?,
            who: match policy {
                Some(_) => Who::Policy,
                None => Who::Person,
            },
            policy,
            steer,
            env,
            keeper,
            phase: Phase::Ready,
            note: None,
            attempt: 0,
            take,
            taken: None,
            doing: Doing::Idle,
            heard: 0,
            used: 0,
            speed: 1.0,
            assist: 0.0,
            manner: Manner::new(1.0, 0.0),
            factory,
        })
    }

    /// The first answer, without number and key.
    pub fn opened(&self, dataset: &str) -> Opened {
        let spec = self.factory.spec();
        Opened {
            session: 0,
            key: None,
            env: spec.name.clone(),
            dataset: dataset.into(),
            episodes: self.keeper.episodes(),
            period_s: spec.control_period_s,
            horizon: spec.horizon,
            action: channels(&spec.action),
            observation: channels(&spec.observation),
            expert: self.helper.as_ref().map(|h| h.name.clone()),
            run: self.policy.as_ref().map(|(name, _)| name.clone()),
            pointer: self.steer.is_some(),
            backdrop: parts(&self.still),
        }
    }

    /// Where the episode stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Wall-clock seconds from one step to the next.
    pub fn period_s(&self) -> f64 {
        self.factory.spec().control_period_s / self.speed
    }

    /// Follows a word of the driver's; clocks are the caller's. An answer, if it takes more than the next frame.
    ///
    /// Errors: a word that makes no sense now; nothing has changed then.
    pub fn follow(&mut self, said: Said) -> Result<Option<Answer>, Refusal> {
        match said {
            Said::Begin { again } => self.begin(again)?,
            Said::Pause => {
                self.only(Phase::Running, "no episode is running")?.phase = Phase::Paused
            }
            Said::Go => {
                let stand = self.only(Phase::Paused, "no episode is paused")?;
                stand.phase = Phase::Running;
                stand.note = None;
            }
            Said::Discard => {
                self.under_way()?;
                self.reset();
            }
            Said::Keep { tags } => return self.keep(tags).map(Some),
            Said::Undo => {
                let episodes = self.keeper.undo()?;
                return Ok(Some(Answer::Undone { episodes }));
            }
            Said::Speed { factor } if SPEEDS.contains(&factor) => {
                self.speed = factor;
                self.manner.slowest = self.manner.slowest.min(factor);
            }
            Said::Speed { factor } => {
                return Err(Refusal::misuse(format!(
                    "a speed of {factor}: expected {} to {}",
                    SPEEDS.start(),
                    SPEEDS.end()
                )));
            }
            Said::Assist { share } => self.assist(share)?,
            Said::Take { over } => self.hand_over(over)?,
            Said::Input { n, action, pointer } => self.hear(n, action, pointer)?,
            Said::Open(_) | Said::Join { .. } | Said::Leave => {
                return Err(Refusal::misuse("this session is open already"));
            }
        }
        Ok(None)
    }

    fn only(&mut self, phase: Phase, otherwise: &str) -> Result<&mut Self, Refusal> {
        match self.phase == phase {
            true => Ok(self),
            false => Err(Refusal::misuse(otherwise)),
        }
    }

    fn under_way(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Ready => Err(Refusal::misuse("no episode has begun")),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, again: bool) -> Result<(), Refusal> {
        if matches!(self.phase, Phase::Running | Phase::Countdown) {
            return Err(Refusal::misuse("an episode is running: pause it first"));
        }
        if matches!(self.phase, Phase::Paused | Phase::Over) && !again {
            return Err(Refusal::misuse("keep or discard this episode first"));
        }
        // The start on show is the one that the person has been looking at.
        let shown = self.phase == Phase::Ready && self.take.steps() == 0;
        let seed = match again || shown {
            true => self.take.seed(),
            false => self.keeper.next_start(),
        };
        self.start_at(seed);
        self.phase = Phase::Countdown;
        self.attempt += 1;
        Ok(())
    }

    /// Shows the next start.
    fn reset(&mut self) {
        let seed = self.keeper.next_start();
        self.start_at(seed);
        self.phase = Phase::Ready;
    }

    fn start_at(&mut self, seed: u64) {
        self.take = Take::begin(self.env.as_mut(), seed);
        if let Some(helper) = &mut self.helper {
            helper.expert.begin(seed);
        }
        self.taken = None;
        self.note = None;
        self.doing = Doing::Idle;
        self.manner = Manner::new(self.speed, self.assist);
        if self.policy.is_some() {
            self.who = Who::Policy;
        }
    }

    /// The countdown is over.
    pub fn run(&mut self) {
        if self.phase == Phase::Countdown {
            self.phase = Phase::Running;
        }
    }

    /// Stops the clock for a reason that the person did not give.
    pub fn lost(&mut self, note: &str) {
        self.doing = Doing::Idle;
        match self.phase {
            Phase::Running | Phase::Countdown if self.take.steps() > 0 => {
                self.phase = Phase::Paused;
                self.note = Some(note.into());
            }
            Phase::Running | Phase::Countdown => self.phase = Phase::Ready,
            _ => {}
        }
    }

    fn assist(&mut self, share: f64) -> Result<(), Refusal> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Refusal::misuse(format!(
                "an expert's share of {share}: expected 0 to 1"
            )));
        }
        if self.helper.is_none() && share > 0.0 {
            return Err(Refusal::misuse(
                "no expert helps in this session: choose one before it is opened",
            ));
        }
        self.assist = share;
        self.manner.most_help = self.manner.most_help.max(share);
        Ok(())
    }

    fn hand_over(&mut self, over: bool) -> Result<(), Refusal> {
        if self.policy.is_none() {
            return Err(Refusal::misuse("no policy drives in this session"));
        }
        self.who = match over {
            true => Who::Person,
            false => Who::Policy,
        };
        // What is kept is the stretch that the person drove last.
        self.taken = over.then(|| self.take.steps());
        Ok(())
    }

    fn hear(
        &mut self,
        n: u64,
        action: Option<Vec<f32>>,
        pointer: Option<[f64; 2]>,
    ) -> Result<(), Refusal> {
        let channels = &self.factory.spec().action;
        let doing = match (action, pointer) {
            (Some(_), Some(_)) => {
                return Err(Refusal::misuse(
                    "an input is an action or a pointer, not both",
                ));
            }
            (Some(action), None) => {
                if action.len() != channels.dim() || !action.iter().all(|v| v.is_finite()) {
                    return Err(Refusal::misuse(format!(
                        "an action has {} finite numbers: {}",
                        channels.dim(),
                        channels.listed()
                    )));
                }
                let cut = action.iter().zip(&channels.0);
                Doing::Action(cut.map(|(v, c)| v.clamp(c.low, c.high)).collect())
            }
            (None, Some(place)) => {
                let near = place.iter().all(|v| v.abs() < 1e4);
                if !near || self.steer.is_none() {
                    return Err(Refusal::misuse(
                        "this world cannot be steered there by pointing",
                    ));
                }
                Doing::Pointing(place)
            }
            (None, None) => Doing::Idle,
        };
        self.doing = doing;
        self.heard = n;
        Ok(())
    }

    /// Takes a step of the running episode.
    ///
    /// Errors: the simulation failed; the episode is over then.
    pub fn step(&mut self) -> Result<(), EnvError> {
        let stepped = self.act();
        if stepped.is_err() || self.take.ended() {
            self.phase = Phase::Over;
        }
        stepped
    }

    fn act(&mut self) -> Result<(), EnvError> {
        let spec = self.factory.spec();
        let width = spec.action.dim();
        let mut action = vec![0.0_f32; width];
        self.used = self.heard;
        if let Some(helper) = &mut self.helper {
            helper.expert.mean(self.env.as_ref(), &mut helper.mean)?;
            helper.margins.clamp(&mut helper.mean);
        }
        match (&mut self.policy, self.who) {
            (Some((_, act)), Who::Policy) => {
                act(self.take.observation(spec.observation.dim()), &mut action);
            }
            _ => {
                let mut own = vec![0.0_f64; width];
                match (&self.doing, &mut self.steer) {
                    (Doing::Action(values), _) => {
                        own.iter_mut()
                            .zip(values)
                            .for_each(|(o, v)| *o = f64::from(*v));
                    }
                    (Doing::Pointing(place), Some(steer)) => {
                        self.manner.pointed = true;
                        steer.action(self.env.as_ref(), *place, &mut own)?;
                    }
                    _ => idle(&self.factory, &mut own),
                }
                if let Some(helper) = &self.helper {
                    let blend = own.iter_mut().zip(&helper.mean);
                    blend.for_each(|(o, e)| *o += self.assist * (e - *o));
                }
                action
                    .iter_mut()
                    .zip(&own)
                    .for_each(|(a, o)| *a = *o as f32);
            }
        }
        self.take.step(self.env.as_mut(), &action)
    }

    fn keep(&mut self, tags: Vec<String>) -> Result<Answer, Refusal> {
        if matches!(self.phase, Phase::Ready | Phase::Countdown) || self.take.steps() == 0 {
            return Err(Refusal::misuse("there is no episode to keep"));
        }
        let tags = checked(tags)?;
        let from = match (&self.policy, self.taken) {
            (Some(_), None) => {
                return Err(Refusal::misuse(
                    "the policy drove all the way: take over to record a correction",
                ));
            }
            (Some(_), Some(step)) => step,
            (None, _) => 0,
        };
        let episode = self.take.episode(self.env.as_ref(), from);
        let episode = episode.map_err(Refusal::misuse)?;
        let parameters = self.manner.describe(&self.policy, self.helper.as_ref());
        let kept = self.keeper.keep(&episode, tags, parameters)?;
        self.reset();
        Ok(Answer::Kept {
            id: kept.entry.id,
            episodes: kept.episodes,
            true_return: kept.entry.true_return,
            steps: kept.entry.total_steps,
        })
    }

    /// What there is to see.
    pub fn frame(&self, countdown_s: f64) -> Frame {
        let spec = self.factory.spec();
        let scene = self.env.scene();
        let expert = self.helper.as_ref().filter(|_| self.take.steps() > 0);
        Frame {
            phase: self.phase,
            countdown_s,
            note: self.note.clone(),
            attempt: self.attempt,
            step: self.take.steps(),
            who: self.who,
            speed: self.speed,
            assist: self.assist,
            observation: self.take.observation(spec.observation.dim()).to_vec(),
            action: match self.take.action(spec.action.dim()) {
                Some(action) => action.to_vec(),
                None => vec![0.0; spec.action.dim()],
            },
            expert: expert.map(|h| h.mean.iter().map(|v| *v as f32).collect()),
            total_cost: self.take.total_cost(),
            solved: self.env.solved(),
            n: self.used,
            view: view(&scene),
            parts: parts(&scene.items[self.still.len().min(scene.items.len())..]),
        }
    }
}

impl Manner {
    fn new(speed: f64, assist: f64) -> Self {
        Self {
            slowest: speed,
            most_help: assist,
            pointed: false,
        }
    }

    fn describe(self, policy: &Option<(String, Act)>, helper: Option<&Helper>) -> Value {
        let help = helper.filter(|_| self.most_help > 0.0);
        json!({
            "speed": self.slowest,
            "pointed": self.pointed,
            "assisting_expert": help.map(|h| &h.name),
            "share_of_expert": self.most_help,
            "corrected_run": policy.as_ref().map(|(name, _)| name),
        })
    }
}

/// Commands of somebody who does nothing: 0, or the nearest that a channel allows.
fn idle(factory: &EnvFactory, out: &mut [f64]) {
    for (o, c) in out.iter_mut().zip(&factory.spec().action.0) {
        *o = 0.0_f64.clamp(f64::from(c.low), f64::from(c.high));
    }
}

fn helper(factory: &EnvFactory, name: &str) -> Result<Helper, Refusal> {
    let design = world::expert(factory, name)?;
    Ok(Helper {
        name: design.name().to_owned(),
        margins: Margins::new(factory, design.noise()),
        expert: design.build(),
        mean: vec![0.0; factory.spec().action.dim()],
    })
}

fn checked(tags: Vec<String>) -> Result<Vec<String>, Refusal> {
    let [most, longest] = MOST_TAGS;
    let bad = |t: &String| t.trim().is_empty() || t.contains(',') || t.chars().count() > longest;
    if tags.len() > most || tags.iter().any(bad) {
        return Err(Refusal::misuse(format!(
            "tags: expected at most {most}, each of 1 to {longest} characters without commas"
        )));
    }
    let mut tags = tags;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// Leading items of the scene that no start and no action changes.
fn backdrop(factory: &EnvFactory, seed: u64) -> Result<Vec<Item>, EnvError> {
    let mut env = factory.build();
    env.reset(seed);
    let mut scenes = vec![env.scene()];
    let action: Vec<f32> = factory
        .spec()
        .action
        .0
        .iter()
        .map(|c| c.high.min(1e3))
        .collect();
    for _ in 0..factory.spec().horizon.min(20) {
        if env.step(&action)?.end != costate_envs::End::Running {
            break;
        }
        scenes.push(env.scene());
    }
    for other in 1..4 {
        env.reset(seed.wrapping_add(other));
        scenes.push(env.scene());
    }
    let still = costate_picture::camera::backdrop(&scenes);
    let mut first = scenes.swap_remove(0).items;
    first.truncate(still);
    Ok(first)
}
