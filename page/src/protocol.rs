//! What page and server say to each other over the socket of a session: JSON text frames.

use serde::{Deserialize, Serialize};

use crate::film::{Part, View};

/// Bytes of the longest message that a page may send.
pub const LONGEST_MESSAGE: usize = 8 * 1024;

/// What the page says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Said {
    /// The first word of a new session.
    Open(Open),
    /// The first word of a page that comes back to its session with the key it was given, or of one that watches.
    Join {
        /// The session's number.
        session: u64,
        /// What [`Answer::Opened`] gave its driver; none to watch.
        #[serde(default)]
        key: Option<String>,
    },
    /// Starts an episode, after a countdown: from the same start as the last one, or from the next.
    Begin {
        /// From the same start.
        #[serde(default)]
        again: bool,
    },
    /// Stops the clock.
    Pause,
    /// Lets it run on.
    Go,
    /// Throws the episode away.
    Discard,
    /// Writes the episode into the dataset, as far as it went.
    Keep {
        /// Words to find it by.
        #[serde(default)]
        tags: Vec<String>,
    },
    /// Takes the episode that was kept last out of the dataset.
    Undo,
    /// Simulated seconds per second, 0.1 to 1.
    Speed {
        /// That factor.
        factor: f64,
    },
    /// How much of the action is the expert's: 0, nothing, to 1, everything.
    Assist {
        /// That share.
        share: f64,
    },
    /// The person takes over from the policy, or hands back to it.
    Take {
        /// Takes over.
        over: bool,
    },
    /// What the person does from now on.
    Input {
        /// Number of the input, growing; frames say which one they show.
        n: u64,
        /// The action, one number a channel, in its unit; idle without.
        #[serde(default)]
        action: Option<Vec<f32>>,
        /// The place to bring the moved body to, metres: the server finds the action.
        #[serde(default)]
        pointer: Option<[f64; 2]>,
    },
    /// Ends the session.
    Leave,
}

/// A session to open.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The environment's name.
    pub env: String,
    /// Its variants, applied in order.
    #[serde(default)]
    pub variants: Vec<String>,
    /// The dataset that episodes are kept in, by its name in the folder of datasets; new or of the same environment.
    pub dataset: String,
    /// Seed of the start states.
    #[serde(default)]
    pub seed: u64,
    /// Which expert helps, and shows what it would do; the best if the name is empty.
    #[serde(default)]
    pub expert: Option<String>,
    /// The run whose policy drives until the person takes over: what the person does is kept as corrections.
    #[serde(default)]
    pub run: Option<String>,
    /// Ends another session that keeps its episodes in the same dataset, instead of being refused.
    #[serde(default)]
    pub take: bool,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// The first answer.
    Opened(Opened),
    /// The world's state, as often as it changes.
    Frame(Frame),
    /// An episode is on disk.
    Kept {
        /// Its number in the dataset.
        id: usize,
        /// The dataset's episodes now.
        episodes: usize,
        /// −Σ true cost.
        true_return: f64,
        /// Steps.
        steps: usize,
    },
    /// The episode kept last is no longer in the dataset.
    Undone {
        /// The dataset's episodes now.
        episodes: usize,
    },
    /// A message could not be followed; nothing has changed.
    Refused {
        /// What is wrong and what to do.
        message: String,
        /// The session that records into the dataset that was asked for: to be watched, or ended by `take`.
        #[serde(skip_serializing_if = "Option::is_none")]
        held_by: Option<u64>,
    },
    /// The session is over.
    Ended {
        /// Why.
        message: String,
    },
}

/// A session as its page sees it at first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Opened {
    /// Its number.
    pub session: u64,
    /// What its driver comes back with; none for those who watch.
    pub key: Option<String>,
    /// The environment's name.
    pub env: String,
    /// The dataset's name.
    pub dataset: String,
    /// Episodes in it.
    pub episodes: usize,
    /// Simulated seconds per step.
    pub period_s: f64,
    /// Steps of the longest episode.
    pub horizon: usize,
    /// What actions there are.
    pub action: Vec<Channel>,
    /// What is observed.
    pub observation: Vec<Channel>,
    /// Name of the expert that helps.
    pub expert: Option<String>,
    /// Name of the run whose policy drives.
    pub run: Option<String>,
    /// Whether the world can be steered by pointing.
    pub pointer: bool,
    /// What never changes, drawn first.
    pub backdrop: Vec<Part>,
}

/// A channel of actions or observations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its bounds; none where it has none.
    pub low: Option<f32>,
    /// As `low`.
    pub high: Option<f32>,
}

/// Where an episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// None has begun.
    Ready,
    /// It begins in a moment.
    Countdown,
    /// The clock runs.
    Running,
    /// The clock stands.
    Paused,
    /// It is over, to be kept or thrown away.
    Over,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The person, with or without help.
    Person,
    /// The policy.
    Policy,
}

/// The world's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frame {
    /// Where the episode stands.
    pub phase: Phase,
    /// Seconds until it begins, while counting down.
    pub countdown_s: f64,
    /// Why the clock stands, if the person did not stop it.
    pub note: Option<String>,
    /// Number of the episode in this session.
    pub attempt: u64,
    /// Steps so far.
    pub step: usize,
    /// Who acts.
    pub who: Who,
    /// Simulated seconds per second.
    pub speed: f64,
    /// The expert's share of the action.
    pub assist: f64,
    /// The current observation.
    pub observation: Vec<f32>,
    /// The last action, as commanded.
    pub action: Vec<f32>,
    /// What the expert would have done.
    pub expert: Option<Vec<f32>>,
    /// Σ true cost so far.
    pub total_cost: f64,
    /// Whether the state solves the task, if it says so.
    pub solved: Option<bool>,
    /// Number of the input that the last step used.
    pub n: u64,
    /// What to show.
    pub view: View,
    /// What moves; drawn on the backdrop.
    pub parts: Vec<Part>,
}
