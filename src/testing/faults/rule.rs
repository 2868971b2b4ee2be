//! One rule of a plan: which calls, which of them, what is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::shard::Shard;
use crate::shard_id::ShardId;
use crate::testing::faults::action::Action;
use crate::testing::faults::seed::{Seed, number_of};
use crate::testing::faults::{Decided, FaultPlan};

/// A kind of call to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// One record is put, alone or among others.
    Put,
    /// Many records are put together.
    PutRecords,
    /// An iterator is made.
    GetShardIterator,
    /// A shard is read.
    GetRecords,
    /// A reader is about to wait for records.
    Wait,
}

/// What is done to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is refused as if the shard's limits were reached.
    Throttle,
    /// It fails with [`Error::InternalFailure`], and does nothing.
    Fail,
    /// It is told that its iterator has expired.
    ExpireIterator,
    /// It is answered late.
    AnswerLate(Duration),
    /// It does its work, and fails with [`Error::InternalFailure`].
    DropAnswer,
    /// Its shard is split in the middle first.
    SplitShard,
    /// Its shard is merged with a neighbour first.
    MergeShard,
    /// Its stream is given so many shards first.
    UpdateShardCount(u32),
    /// All records of its shard are trimmed first, but for the newest.
    OverrunReader {
        /// How many are left.
        kept: u64,
    },
    /// Its stream is closed first.
    CloseStream,
    /// The test's own code of this name runs first.
    Run(String),
}

/// Something that was done to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injected {
    /// Name of the stream.
    pub stream: String,
    /// The shard of the call; of a `put_records`, that of its first record. None of a reader of all
    /// shards that is about to wait.
    pub shard_id: Option<ShardId>,
    /// What was called.
    pub call: Call,
    /// Which of the calls that the rule is about, the first being 1.
    pub count: u64,
    /// Which entry of a `put_records`, the first being 0.
    pub entry: Option<usize>,
    /// What was done.
    pub fault: Fault,
    /// When, on the stream's clock.
    pub at: Timestamp,
    /// Why it could not be done, as when a closed shard was to be split. It does not count then.
    pub refused: Option<Error>,
}

/// A rule of a plan, to see whether it came, and to end it.
#[derive(Clone, Debug)]
pub struct FaultRule {
    plan: FaultPlan,
    id: RuleId,
}

/// Which rule of its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RuleId(pub(super) usize);

/// What a rule is asked about.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) call: Call,
    pub(super) shard: &'a Shard,
    /// Whether it is of all shards of the stream.
    pub(super) all_shards: bool,
    pub(super) key: Option<&'a str>,
    pub(super) entry: Option<usize>,
}

/// Which of the calls that a rule sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Occurrence {
    Always,
    Nth(u64),
    Next(u64),
    Every(u64),
    Random(f64),
}

/// The calls that a rule sees.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) call: Call,
    pub(super) stream: Option<String>,
    pub(super) shard_id: Option<ShardId>,
    pub(super) key: Option<String>,
}

/// One rule, and how it fared.
pub(super) struct Rule {
    id: RuleId,
    filter: Filter,
    occurrence: Occurrence,
    pub(super) entries: Option<BTreeSet<usize>>,
    pub(super) fault: Fault,
    action: Option<Action>,
    seen_count: u64,
    /// How many calls of each shard it has seen, if it is random.
    seen_of_shards: BTreeMap<(String, ShardId), u64>,
    fired_count: u64,
    pub(super) injected_count: u64,
    /// Why the last one could not be done that could not.
    pub(super) refused: Option<Error>,
    stopped: bool,
}

impl Rule {
    pub(super) fn new(
        id: RuleId,
        (filter, occurrence): (Filter, Occurrence),
        entries: Option<BTreeSet<usize>>,
        (fault, action): (Fault, Option<Action>),
    ) -> Self {
        Self {
            id,
            filter,
            occurrence,
            entries,
            fault,
            action,
            seen_count: 0,
            seen_of_shards: BTreeMap::new(),
            fired_count: 0,
            injected_count: 0,
            refused: None,
            stopped: false,
        }
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether it is about a call; counts it if so.
    pub(super) fn sees(&mut self, asked: &Asked<'_>) -> bool {
        let sees = !self.stopped && self.filter.sees(asked);
        self.seen_count += u64::from(sees);
        sees
    }

    /// Whether its turn has come with the call that it has just seen.
    pub(super) fn fires(&mut self, asked: &Asked<'_>, seed: &Seed) -> bool {
        match self.occurrence {
            Occurrence::Always => true,
            Occurrence::Nth(nth) => self.seen_count == nth,
            Occurrence::Next(count) => self.fired_count < count,
            Occurrence::Every(nth) => self.seen_count.is_multiple_of(nth),
            Occurrence::Random(probability) => {
                let stream = &*asked.shard.settings().stream;
                let shard_id = asked.shard.id();
                let seen = self
                    .seen_of_shards
                    .entry((stream.to_owned(), shard_id))
                    .or_default();
                *seen += 1;
                let (rule, shard) = (self.id.0 as u64, u64::from(shard_id.index()));
                seed.draw([rule, number_of(stream), shard, *seen]) < probability
            }
        }
    }

    /// Takes its turn.
    pub(super) fn decide(&mut self, entry: Option<usize>) -> Decided {
        self.fired_count += 1;
        Decided {
            rule: self.id,
            count: self.seen_count,
            fault: self.fault.clone(),
            action: self.action.clone(),
            entry,
        }
    }

    /// Whether it did all that it was to do.
    pub(super) fn is_done(&self) -> bool {
        let entries = self.entries.as_ref().filter(|_| self.fault.is_answer());
        let entries = entries.map_or(1, |entries| entries.len() as u64);
        match self.occurrence {
            Occurrence::Always | Occurrence::Every(_) => self.injected_count > 0,
            Occurrence::Nth(_) => self.injected_count == entries,
            Occurrence::Next(count) => self.injected_count == count * entries,
            Occurrence::Random(_) => true,
        }
    }

    pub(super) fn is_random(&self) -> bool {
        matches!(self.occurrence, Occurrence::Random(_))
    }
}

impl Filter {
    fn sees(&self, asked: &Asked<'_>) -> bool {
        let stream = &*asked.shard.settings().stream;
        self.call == asked.call
            && self.stream.as_deref().is_none_or(|name| name == stream)
            && self.shard_id.is_none_or(|id| id == asked.shard.id())
            && self.key.as_deref().is_none_or(|key| Some(key) == asked.key)
    }
}

impl<'a> Asked<'a> {
    pub(super) fn new(call: Call, shard: &'a Shard) -> Self {
        Self {
            call,
            shard,
            all_shards: false,
            key: None,
            entry: None,
        }
    }

    /// What the call is told instead of an answer.
    pub(super) fn error(&self, fault: &Fault) -> Error {
        let (stream, shard_id) = (self.shard.settings().stream.to_string(), self.shard.id());
        match (fault, self.call) {
            (Fault::Throttle, Call::Put | Call::PutRecords) => {
                Error::WriteThrottled { stream, shard_id }
            }
            (Fault::Throttle, _) => Error::ReadThrottled { stream, shard_id },
            (Fault::ExpireIterator, _) => Error::IteratorExpired { stream, shard_id },
            _ => Error::InternalFailure { stream },
        }
    }
}

impl FaultRule {
    pub(super) fn new(plan: &FaultPlan, id: RuleId) -> Self {
        Self {
            plan: plan.clone(),
            id,
        }
    }

    /// To how many calls it did something.
    pub fn injected_count(&self) -> u64 {
        self.plan.plan.script.lock().rules[self.id.0].injected_count
    }

    /// How many calls it was about, since it was made.
    pub fn seen_count(&self) -> u64 {
        self.plan.plan.script.lock().rules[self.id.0].seen_count
    }

    /// Checks to how many calls it did something.
    ///
    /// # Panics
    ///
    /// If to another number, with all rules of the plan and how often each came.
    #[track_caller]
    pub fn assert_injected(&self, count: u64) {
        let injected = self.injected_count();
        assert!(
            injected == count,
            "the fault was to be injected {count} times, and was {injected} times: {self}\nof the plan:\n{}",
            self.plan.report()
        );
    }

    /// Ends it: it does nothing to any further call, and counts none.
    pub fn stop(&self) {
        self.plan.plan.script.lock().rules[self.id.0].stop();
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.plan.script.lock().rules[self.id.0].fmt(f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on ", self.fault)?;
        match self.occurrence {
            Occurrence::Always => f.write_str("every "),
            Occurrence::Nth(nth) => write!(f, "{} ", Ordinal(nth)),
            Occurrence::Next(count) => write!(f, "the next {count} of "),
            Occurrence::Every(1) => f.write_str("every "),
            Occurrence::Every(nth) => write!(f, "each {} ", Ordinal(nth)),
            Occurrence::Random(probability) => write!(f, "a random {probability} of "),
        }?;
        write!(f, "{}", self.filter)?;
        if let Some(entries) = &self.entries {
            write!(f, ", entries {entries:?}")?;
        }
        let (seen, injected) = (self.seen_count, self.injected_count);
        write!(f, ": {seen} calls seen, {injected} faults injected")?;
        if let Some(refused) = &self.refused {
            write!(f, "; refused: {refused}")?;
        }
        if self.stopped {
            f.write_str("; stopped")?;
        }
        Ok(())
    }
}

/// A number in a row: `3rd`.
struct Ordinal(u64);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{ending}", self.0)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.call)?;
        if let Some(shard_id) = self.shard_id {
            write!(f, " of {shard_id}")?;
        }
        if let Some(key) = &self.key {
            write!(f, " with key {key:?}")?;
        }
        if let Some(stream) = &self.stream {
            write!(f, " in stream {stream}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "put",
            Self::PutRecords => "put_records",
            Self::GetShardIterator => "get_shard_iterator",
            Self::GetRecords => "get_records",
            Self::Wait => "wait",
        })
    }
}

impl Fault {
    /// Whether it decides on the answer of a call; there can be only one.
    pub(super) fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Throttle | Self::Fail | Self::ExpireIterator | Self::DropAnswer
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttle => f.write_str("throttle"),
            Self::Fail => f.write_str("fail"),
            Self::ExpireIterator => f.write_str("expire iterator"),
            Self::AnswerLate(delay) => write!(f, "answer {delay:?} late"),
            Self::DropAnswer => f.write_str("drop answer"),
            Self::SplitShard => f.write_str("split shard"),
            Self::MergeShard => f.write_str("merge shard"),
            Self::UpdateShardCount(count) => write!(f, "update shard count to {count}"),
            Self::OverrunReader { kept } => write!(f, "overrun reader but for {kept} records"),
            Self::CloseStream => f.write_str("close stream"),
            Self::Run(name) => write!(f, "run {name:?}"),
        }
    }
}

impl fmt::Display for Injected {
    /// One line: when, which call, what was done to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} in {}",
            self.at,
            Ordinal(self.count),
            self.call,
            self.stream
        )?;
        if let Some(shard_id) = self.shard_id {
            write!(f, "/{shard_id}")?;
        }
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        write!(f, ": {}", self.fault)?;
        match &self.refused {
            Some(error) => write!(f, ", refused: {error}"),
            None => Ok(()),
        }
    }
}
