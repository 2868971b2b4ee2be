//! A schedule: what happens, one step after another, and how it is written.

use std::fmt;
use std::str::FromStr;

/// Says which version of the steps a text is in.
const VERSION: &str = "sim1";
/// A text with more steps is no schedule.
const STEPS_MAX: usize = 100_000;
/// No simulation has more workers.
pub(super) const WORKERS_MAX: u32 = 8;
const NUMBER_MAX: u32 = 1_000_000;
/// So many records are read at once, at most.
pub(super) const READ_LIMIT_MAX: u32 = 10_000;

/// One step. One that makes no sense where it comes does nothing, so that any step can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The producer puts the record of this number.
    Put { record: u32 },
    /// A worker reads up to so many records.
    Read { worker: u32, limit: u32 },
    /// A worker works on what it has read first.
    Process { worker: u32, cut: Option<Cut> },
    /// A worker is told that it is time.
    Tick { worker: u32, cut: Option<Cut> },
    /// A worker loses its memory and what it has read.
    Crash { worker: u32 },
    /// A worker that is not running starts from the checkpoint, and takes over.
    Start { worker: u32 },
    /// A worker reads again from a checkpoint: the last one, or so many before.
    Again { worker: u32, back: u32 },
    /// The open shard of this index, counted round, is split.
    Split { shard: u32 },
    /// The open shard of this index, counted round, is merged with its upper neighbour.
    Merge { shard: u32 },
    /// Time passes.
    Wait { ms: u32 },
    /// Everything that was put so far expires.
    Trim,
}

/// What happens inside a call of the consumer, once it has had so many effects: writes, checkpoints
/// and commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The worker crashes; at the end of the call if it has no more effects.
    Crash { after: u32 },
    /// It stands still while the next steps of the schedule happen.
    Pause { after: u32, steps: u32 },
}

/// Steps, shown and read as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule(pub(super) Vec<Step>);

/// Text that is no schedule of a simulation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("word {word} of the schedule: {problem}")]
#[non_exhaustive]
pub struct ParseScheduleError {
    /// Which word, counted from 1.
    pub word: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl ParseScheduleError {
    pub(super) fn new(word: usize, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { word, problem }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        for step in &self.0 {
            write!(f, " {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { record } => write!(f, "put:{record}"),
            Self::Read { worker, limit } => write!(f, "read:{worker}*{limit}"),
            Self::Process { worker, cut } => write!(f, "process:{worker}{}", Shown(*cut)),
            Self::Tick { worker, cut } => write!(f, "tick:{worker}{}", Shown(*cut)),
            Self::Crash { worker } => write!(f, "crash:{worker}"),
            Self::Start { worker } => write!(f, "start:{worker}"),
            Self::Again { worker, back } => write!(f, "again:{worker}-{back}"),
            Self::Split { shard } => write!(f, "split:{shard}"),
            Self::Merge { shard } => write!(f, "merge:{shard}"),
            Self::Wait { ms } => write!(f, "wait:{ms}"),
            Self::Trim => f.write_str("trim"),
        }
    }
}

struct Shown(Option<Cut>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(Cut::Crash { after }) => write!(f, "!{after}"),
            Some(Cut::Pause { after, steps }) => write!(f, "~{after}+{steps}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        let mut words = (1..).zip(text.split_whitespace());
        match words.next() {
            Some((_, VERSION)) => {}
            _ => return Err(ParseScheduleError::new(1, format!("it is not {VERSION}"))),
        }
        let mut steps = Vec::new();
        for (word, text) in words {
            if steps.len() == STEPS_MAX {
                return Err(ParseScheduleError::new(word, "there are too many steps"));
            }
            let step = parse_step(text)
                .ok_or_else(|| ParseScheduleError::new(word, "it is not the text of a step"))?;
            steps.push(step);
        }
        Ok(Self(steps))
    }
}

fn parse_step(text: &str) -> Option<Step> {
    let Some((name, rest)) = text.split_once(':') else {
        return (text == "trim").then_some(Step::Trim);
    };
    Some(match name {
        "put" => Step::Put {
            record: number(rest)?,
        },
        "read" => {
            let (worker, limit) = rest.split_once('*')?;
            Step::Read {
                worker: parse_worker(worker)?,
                limit: number(limit).filter(|limit| (1..=READ_LIMIT_MAX).contains(limit))?,
            }
        }
        "process" => {
            let (worker, cut) = worker_and_cut(rest)?;
            Step::Process { worker, cut }
        }
        "tick" => {
            let (worker, cut) = worker_and_cut(rest)?;
            Step::Tick { worker, cut }
        }
        "crash" => Step::Crash {
            worker: parse_worker(rest)?,
        },
        "start" => Step::Start {
            worker: parse_worker(rest)?,
        },
        "again" => {
            let (worker, back) = rest.split_once('-')?;
            Step::Again {
                worker: parse_worker(worker)?,
                back: number(back)?,
            }
        }
        "split" => Step::Split {
            shard: number(rest)?,
        },
        "merge" => Step::Merge {
            shard: number(rest)?,
        },
        "wait" => Step::Wait { ms: number(rest)? },
        _ => return None,
    })
}

fn worker_and_cut(text: &str) -> Option<(u32, Option<Cut>)> {
    if let Some((worker, after)) = text.split_once('!') {
        let after = number(after)?;
        return Some((parse_worker(worker)?, Some(Cut::Crash { after })));
    }
    if let Some((worker, pause)) = text.split_once('~') {
        let (after, steps) = pause.split_once('+')?;
        let (after, steps) = (number(after)?, number(steps)?);
        return Some((parse_worker(worker)?, Some(Cut::Pause { after, steps })));
    }
    Some((parse_worker(text)?, None))
}

fn parse_worker(text: &str) -> Option<u32> {
    number(text).filter(|worker| (1..=WORKERS_MAX).contains(worker))
}

/// A number as it is shown: digits alone, no leading zeros.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number <= NUMBER_MAX && number.to_string() == text).then_some(number)
}

impl Step {
    /// The worker that it is about.
    pub(super) const fn worker(self) -> Option<u32> {
        match self {
            Self::Read { worker, .. }
            | Self::Process { worker, .. }
            | Self::Tick { worker, .. }
            | Self::Crash { worker }
            | Self::Start { worker }
            | Self::Again { worker, .. } => Some(worker),
            _ => None,
        }
    }

    /// What happens inside of it.
    pub(super) const fn cut(self) -> Option<Cut> {
        match self {
            Self::Process { cut, .. } | Self::Tick { cut, .. } => cut,
            _ => None,
        }
    }

    pub(super) const fn with_cut(self, cut: Option<Cut>) -> Self {
        match self {
            Self::Process { worker, .. } => Self::Process { worker, cut },
            Self::Tick { worker, .. } => Self::Tick { worker, cut },
            other => other,
        }
    }

    pub(super) const fn with_worker(self, worker: u32) -> Self {
        match self {
            Self::Read { limit, .. } => Self::Read { worker, limit },
            Self::Process { cut, .. } => Self::Process { worker, cut },
            Self::Tick { cut, .. } => Self::Tick { worker, cut },
            Self::Crash { .. } => Self::Crash { worker },
            Self::Start { .. } => Self::Start { worker },
            Self::Again { back, .. } => Self::Again { worker, back },
            other => other,
        }
    }
}
