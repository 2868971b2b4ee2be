//! The contenders, each behind the same small faces: something that takes records, and something
//! that gives them.

use std::hint;
use std::ops::Range;
use std::thread;

use crate::records::{Records, Tally};

pub mod bare;
pub mod boxcar_vec;
pub mod broadcasts;
pub mod brooklets;
pub mod channels;
pub mod disruptors;
pub mod endpoints;
pub mod ferro;
pub mod logs;
pub mod rtrbs;

/// Takes records.
pub trait Sink: Send {
    /// Puts record `index`; waits for room if the contender has a bound that readers make room
    /// under.
    fn put(&mut self, records: &Records, index: usize);

    /// Puts several, at once if the contender can.
    fn put_batch(&mut self, records: &Records, indices: Range<usize>) {
        for index in indices {
            self.put(records, index);
        }
    }
}

/// Gives records.
pub trait Source: Send {
    /// Looks at what is there, as much at once as the contender can; says whether there was any.
    /// Never waits.
    fn take(&mut self, tally: &mut Tally) -> bool;
}

/// Gives records to a thread that sleeps until there are some.
pub trait Wait: Source {
    /// Called by the thread that is going to wait.
    fn begin(&mut self) {}

    /// Waits until there is something, and looks at it.
    fn wait(&mut self, tally: &mut Tally);
}

/// What a contender carries and promises, a letter each; a dot where it does not.
#[derive(Clone, Copy, Debug)]
pub struct Carries(pub &'static str);

/// What the letters of [`Carries`] mean.
pub const LEGEND: &[(char, &str)] = &[
    (
        'R',
        "replay: a reader may begin at any record that is retained",
    ),
    ('M', "many readers, each of which sees every record"),
    ('B', "bounded memory, whatever readers do"),
    ('S', "a sequence number for each record"),
    ('T', "an arrival time for each record"),
    ('K', "keys: routed to shards by hash, in order for each key"),
    ('W', "waits: wakes readers that sleep, threads or tasks"),
];

/// Waits between two looks, the same way for everybody: spins for longer and longer, then lets
/// other threads run.
#[derive(Debug, Default)]
pub struct Backoff {
    step: u32,
}

impl Backoff {
    const SPIN_STEPS: u32 = 6;

    #[inline]
    pub fn reset(&mut self) {
        self.step = 0;
    }

    #[inline]
    pub fn snooze(&mut self) {
        if self.step <= Self::SPIN_STEPS {
            for _ in 0..1 << self.step {
                hint::spin_loop();
            }
            self.step += 1;
        } else {
            thread::yield_now();
        }
    }
}

/// Looks until `count` records were seen.
#[inline]
pub fn take_all(source: &mut impl Source, tally: &mut Tally, count: u64) {
    let mut backoff = Backoff::default();
    while tally.count + tally.missed < count {
        if source.take(tally) {
            backoff.reset();
        } else {
            backoff.snooze();
        }
    }
}

/// Tries until it works; `attempt` gives back what it could not take.
#[inline]
fn insist<T>(mut value: T, mut attempt: impl FnMut(T) -> Result<(), T>) {
    let mut backoff = Backoff::default();
    while let Err(refused) = attempt(value) {
        value = refused;
        backoff.snooze();
    }
}

/// Several shards of a contender that knows none: one of it each, chosen by key.
pub struct Routed<S> {
    pub shards: Vec<S>,
    pub route: Route,
}

/// How a record finds its shard.
#[derive(Clone, Debug)]
pub enum Route {
    /// The shard of each key that repeats was found out beforehand.
    Known(Vec<u8>),
    /// The hash of the standard library's maps.
    SipHash,
    /// The hash of Kinesis.
    Md5,
}

impl Route {
    #[inline]
    fn shard(&self, records: &Records, index: usize, shards: usize) -> usize {
        match self {
            Self::Known(shards) => usize::from(shards[index & (shards.len() - 1)]),
            Self::SipHash => {
                use std::hash::{DefaultHasher, Hash, Hasher};
                let mut hasher = DefaultHasher::new();
                records.key_text(index).hash(&mut hasher);
                // Both hashes have 64 good bits at the top: scale instead of dividing.
                scale(hasher.finish(), shards)
            }
            Self::Md5 => scale(bare::md5_head(records.key_text(index)), shards),
        }
    }
}

#[inline]
fn scale(hash: u64, shards: usize) -> usize {
    ((u128::from(hash) * shards as u128) >> 64) as usize
}

impl<S: Sink> Sink for Routed<S> {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let shard = self.route.shard(records, index, self.shards.len());
        self.shards[shard].put(records, index);
    }
}

/// Several sources, looked at in turn.
impl<R: Source> Source for Vec<R> {
    fn take(&mut self, tally: &mut Tally) -> bool {
        let mut any = false;
        for source in self {
            any |= source.take(tally);
        }
        any
    }
}
