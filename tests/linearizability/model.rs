//! What one thread is answered: the executable specification, said naively.

use std::collections::BTreeMap;

use porcupine_rs::{Model, Operation};

/// One call of a thread, or a part of it that takes effect on its own: what it was answered, and of
/// which shard.
#[derive(Clone, Debug)]
pub struct Call {
    pub thread: u32,
    pub shard: u32,
    pub called: i64,
    pub returned: i64,
    pub what: What,
}

/// Places are numbers of records within their shard, 1 for the first; what is put is a number, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The shard came of a split; shards of the beginning are there without.
    Create,
    /// Records that were put together and given the places from `first` on.
    Put { first: u64, records: Vec<u64> },
    /// A put over the capacity trimmed what lies before the place.
    ///
    /// It takes effect within the put, but on its own, and one for each record of a batch: a reader
    /// may see one record more for a moment, or one fewer when a chunk is full amid a batch.
    Trim { to: u64 },
    /// An iterator that begins at the tip.
    Latest { place: u64 },
    /// A read of up to `limit` records from a place on; place 0 is the trim horizon.
    Read {
        from: u64,
        limit: usize,
        answer: Read,
    },
    /// The beginning of a read while records are trimmed: where it finds the trim horizon. What it
    /// finds behind that is a [`ReadOn`](Self::ReadOn): more may be trimmed between the two.
    Begin { from: u64, missed: u64, start: u64 },
    /// See [`Begin`](Self::Begin).
    ReadOn {
        start: u64,
        limit: usize,
        answer: Read,
    },
    /// The shard was split.
    Close,
    /// Whether the shard takes records.
    IsOpen { open: bool },
    /// How many records it accepted and trimmed.
    Figures { accepted: u64, trimmed: u64 },
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub missed: u64,
    pub records: Vec<u64>,
    pub ended: bool,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    created: bool,
    closed: bool,
    /// Place of the oldest retained record.
    horizon: u64,
    /// All that were ever put.
    records: Vec<u64>,
}

impl Shard {
    fn next(&self) -> u64 {
        self.records.len() as u64 + 1
    }

    fn from(&self, place: u64) -> &[u64] {
        let before = usize::try_from(place - 1).expect("few records");
        self.records.get(before..).unwrap_or_default()
    }

    /// What a read is answered that begins at a place that is not trimmed.
    fn read(&self, start: u64, missed: u64, limit: usize) -> Read {
        let there = self.from(start);
        let records = there[..limit.min(there.len())].to_vec();
        let ended = self.closed && records.len() == there.len();
        Read {
            missed,
            records,
            ended,
        }
    }

    /// Where a read begins, and how many records it missed.
    fn begin(&self, from: u64) -> (u64, u64) {
        match from {
            0 => (self.horizon, 0),
            _ => (from.max(self.horizon), self.horizon.saturating_sub(from)),
        }
    }

    /// Does it, if the answer is right.
    fn step(&mut self, what: &What) -> bool {
        match what {
            What::Create => return !std::mem::replace(&mut self.created, true),
            _ if !self.created => return false,
            What::Put { first, records } => {
                let right = !self.closed && *first == self.next();
                self.records.extend(records);
                return right;
            }
            What::Trim { to } => {
                let right = *to <= self.next();
                self.horizon = self.horizon.max(*to);
                return right;
            }
            What::Close => return !std::mem::replace(&mut self.closed, true),
            What::Latest { place } => *place == self.next(),
            What::Read {
                from,
                limit,
                answer,
            } => {
                let (start, missed) = self.begin(*from);
                *answer == self.read(start, missed, *limit)
            }
            What::Begin {
                from,
                missed,
                start,
            } => (*start, *missed) == self.begin(*from),
            What::ReadOn {
                start,
                limit,
                answer,
            } => {
                let whole = self.read(*start, answer.missed, *limit);
                // What is trimmed on the way is not there: it gives what comes before.
                let given = answer.records.len();
                let cut_off = 0 < given
                    && given < whole.records.len()
                    && whole.records[..given] == *answer.records
                    && !answer.ended
                    && start + given as u64 <= self.horizon;
                *answer == whole || cut_off
            }
            What::IsOpen { open } => *open != self.closed,
            What::Figures { accepted, trimmed } => {
                (*accepted, *trimmed) == (self.next() - 1, self.horizon - 1)
            }
        }
    }
}

/// Shards are independent of each other: what joins them is the split, which is a call of each.
#[derive(Clone)]
struct Log;

impl Model for Log {
    type State = Shard;
    type Op = What;
    type Metadata = ();

    fn init() -> Shard {
        Shard {
            created: false,
            closed: false,
            horizon: 1,
            records: Vec::new(),
        }
    }

    fn step(shard: &Shard, what: &What) -> (bool, Shard) {
        let mut after = shard.clone();
        (after.step(what), after)
    }
}

/// Whether there is an order of the calls in which each answer is right.
pub fn is_linearizable(calls: &[Call]) -> bool {
    let mut shards = BTreeMap::<u32, Vec<Operation<Log>>>::new();
    for call in calls {
        shards.entry(call.shard).or_default().push(Operation {
            client_id: Some(call.thread),
            call_time: call.called,
            return_time: call.returned,
            op: call.what.clone(),
            metadata: None,
        });
    }
    shards
        .values()
        .all(|calls| porcupine_rs::check_operations(calls))
}
