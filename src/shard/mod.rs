//! A shard: one lock, one log, its waiters, its limits.
//!
//! ```text
//!   Shard ── lock: State ──── Writer (appends, trims) ── limits ── closed? ── somebody waits?
//!     │
//!     ├───── Log: readers read it without the lock
//!     ├───── Waiters: woken after the lock is released
//!     └───── Closing: how it ended and what comes after; set once
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **Records are read in the order they were accepted.** One lock orders the appends. The
//!    time is read before it; the writer keeps arrivals from going back.
//! 2. **No record is accepted behind the end.** `closed` is set under the same lock, and the closing
//!    is stored before `closed` shows: a reader that sees the closing sees every record.
//! 3. **No wake-up is lost**: see [`waiters`].
//! 4. **No user code runs under the lock**: clocks are read before; wakers and the drops of data
//!    run after. A panic in any of them reaches its caller and leaves the shard as it was.
//!
//! # Order of locks
//!
//! A registry's list; a stream's control lock; then its routing table, or the states of the parents,
//! the lower one first; then a log's directory, a list of waiters, a read limiter or the tallies of
//! readers, what tells of a pending reshard, a timer's alarms, of which no two are held at once.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::HashKeyRange;
use crate::log::Log;
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard_id::ShardId;
use crate::sync::{Arc, BriefMutex, OnceLock, OwnLine};

mod aftermath;
mod batch;
mod child;
#[cfg(feature = "testing")]
mod hooks;
mod metrics;
mod reads;
#[cfg(feature = "testing")]
mod retained;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod waiters;

pub use batch::{RecordBatch, RecordViews, Records};
pub use child::ChildShard;
pub use metrics::ShardMetrics;
pub use settings::OnFull;

pub(crate) use aftermath::Aftermath;
#[cfg(feature = "testing")]
pub(crate) use hooks::{Hooked, Hooks, Verdict};
pub(crate) use reads::Tally;
pub(crate) use settings::Settings;
pub(crate) use state::{Appended, Refusal};
pub(crate) use waiters::WaiterId;

use reads::Reads;
use state::State;
use waiters::Waiters;

/// One ordered part of a stream: it takes the records whose hash keys lie in its range.
///
/// A handle; clones are the same shard.
#[derive(Clone)]
pub struct Shard {
    core: Arc<Core>,
}

struct Core {
    settings: Arc<Settings>,
    origin: Origin,
    range: HashKeyRange,
    parents: Parents,
    created_ms: u64,
    /// Whether each put has to be checked against limits, or the capacity.
    checks_puts: bool,
    closing: OnceLock<Arc<Closing>>,
    log: Log,
    state: OwnLine<BriefMutex<State>>,
    /// Readers that wait for records.
    readers: OwnLine<Waiters>,
    /// Puts that wait for room.
    putters: OwnLine<Waiters>,
    reads: OwnLine<Reads>,
}

/// How a shard ended.
#[derive(Debug)]
pub(crate) struct Closing {
    /// Milliseconds since the epoch.
    pub(crate) at_ms: u64,
    ending: SequenceNumber,
    pub(crate) children: Vec<ChildShard>,
}

/// When a shard was closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedAt {
    /// Milliseconds since the epoch.
    pub(crate) ms: u64,
    /// Seconds since the epoch, for sequence numbers.
    pub(crate) secs: u64,
}

/// The shards that a shard comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parents {
    pub(crate) parent: Option<ShardId>,
    pub(crate) adjacent: Option<ShardId>,
}

impl Parents {
    pub(crate) fn iter(self) -> impl Iterator<Item = ShardId> {
        self.parent.into_iter().chain(self.adjacent)
    }
}

/// What is said about a shard when it is made.
pub(crate) struct NewShard {
    pub(crate) shard_id: ShardId,
    pub(crate) range: HashKeyRange,
    pub(crate) parents: Parents,
    /// No record is said to have arrived before; whole seconds of it are in the sequence numbers.
    pub(crate) created_ms: u64,
    /// What the sequence numbers say it was created.
    pub(crate) created_secs: u64,
}

impl Shard {
    pub(crate) fn new(settings: Arc<Settings>, new: &NewShard) -> Self {
        let state = State::new(&settings, new.created_ms);
        let core = Core {
            checks_puts: state.may_refuse,
            origin: Origin::new(new.created_secs, new.shard_id),
            range: new.range,
            parents: new.parents,
            created_ms: new.created_ms,
            log: Log::new(),
            state: OwnLine(BriefMutex::new(state)),
            closing: OnceLock::new(),
            readers: OwnLine::default(),
            putters: OwnLine::default(),
            reads: OwnLine(Reads::new(&settings.limits)),
            settings,
        };
        Self {
            core: Arc::new(core),
        }
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.core.origin.shard_id
    }

    /// The hash keys that it takes.
    pub fn hash_key_range(&self) -> HashKeyRange {
        self.core.range
    }

    /// The shard that it was split from, or the lower one of those merged into it.
    ///
    /// The parent may have expired since, and not be found any more.
    pub fn parent_shard_id(&self) -> Option<ShardId> {
        self.core.parents.parent
    }

    /// The upper one of the shards merged into it.
    pub fn adjacent_parent_shard_id(&self) -> Option<ShardId> {
        self.core.parents.adjacent
    }

    /// The shards that came of its split or merge; none while it is open.
    pub fn child_shards(&self) -> Vec<ChildShard> {
        self.settle();
        self.core
            .closing
            .get()
            .map_or_else(Vec::new, |closing| closing.children.clone())
    }

    /// Whether it takes records; a shard that was split or merged does not.
    pub fn is_open(&self) -> bool {
        self.settle();
        !self.is_closed()
    }

    /// Below the number of every record of the shard.
    pub fn starting_sequence_number(&self) -> SequenceNumber {
        let Origin {
            created_secs,
            shard_id,
        } = self.core.origin;
        SequenceNumber::new(created_secs, shard_id.index(), 0, created_secs)
    }

    /// Above the number of every record of the shard, once it is closed.
    pub fn ending_sequence_number(&self) -> Option<SequenceNumber> {
        self.settle();
        self.core.closing.get().map(|closing| closing.ending)
    }

    /// Closes shards at one time: `now`, or that of the latest of their records if it is later.
    /// `succeed` is told when, while none of them can accept a record, and makes their children.
    /// Nothing happens, and `None` is returned, if one was closed already.
    pub(crate) fn close<R>(
        shards: &[&Self],
        now: Timestamp,
        aftermath: &mut Aftermath,
        succeed: impl FnOnce(ClosedAt) -> (Vec<ChildShard>, R),
    ) -> Option<R> {
        let mut states: Vec<_> = shards.iter().map(|shard| shard.core.state.lock()).collect();
        if states.iter().any(|state| state.closed) {
            return None;
        }
        let mut at = ClosedAt {
            ms: now.as_millis(),
            secs: 0,
        };
        for (shard, state) in shards.iter().zip(&states) {
            at.ms = at.ms.max(state.writer.last_arrival());
            at.secs = at.secs.max(shard.core.origin.created_secs);
        }
        at.secs = at.secs.max(at.ms / 1000);
        let (children, result) = succeed(at);
        for (shard, state) in shards.iter().zip(&mut states) {
            let Origin {
                created_secs,
                shard_id,
            } = shard.core.origin;
            let closing = Closing {
                at_ms: at.ms,
                ending: SequenceNumber::ending(created_secs, shard_id.index(), at.secs),
                children: children.clone(),
            };
            shard
                .core
                .closing
                .set(Arc::new(closing))
                .expect("a shard is closed once");
            state.close();
        }
        drop(states);
        for shard in planted!(shards, "close_wakes_nobody": &shards[..0]) {
            aftermath.wake(shard);
        }
        Some(result)
    }

    /// Whether it was closed, by whoever looked last.
    pub(crate) fn is_closed(&self) -> bool {
        self.core.closing.get().is_some()
    }

    /// Has a pending reshard take effect, if it is time. No lock may be held.
    fn settle(&self) {
        // Of a deleted stream the shards are closed, and can be looked at.
        let _deleted = self.core.settings.settle();
    }

    /// When it was closed, in milliseconds since the epoch.
    pub(crate) fn closed_ms(&self) -> Option<u64> {
        self.core.closing.get().map(|closing| closing.at_ms)
    }

    /// When it was created, in milliseconds since the epoch.
    pub(crate) fn created_ms(&self) -> u64 {
        self.core.created_ms
    }

    /// Trims what arrived before `cutoff`, milliseconds since the epoch.
    pub(crate) fn trim_expired(&self, cutoff: u64, aftermath: &mut Aftermath) {
        self.look(aftermath, |core, state| {
            state.writer.trim_expired(&core.log, cutoff);
        });
    }

    /// Trims everything: nobody may read it any more.
    pub(crate) fn trim_all(&self, aftermath: &mut Aftermath) {
        self.look(aftermath, |core, state| state.writer.trim_all(&core.log));
    }

    /// The shard as its parents know it.
    pub(crate) fn as_child(&self) -> ChildShard {
        let parent_shards = self.core.parents.iter().collect();
        ChildShard {
            shard_id: self.id(),
            parent_shards,
            hash_key_range: self.core.range,
        }
    }

    /// The shards that it comes from.
    pub(crate) fn parents(&self) -> Parents {
        self.core.parents
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.core.settings
    }

    pub(crate) fn origin(&self) -> Origin {
        self.core.origin
    }

    /// The error for a refusal; `Closed` has none of its own.
    #[cold]
    pub(crate) fn refused(&self, refusal: Refusal) -> Error {
        let (stream, shard_id) = (self.core.settings.stream.to_string(), self.id());
        match refusal {
            Refusal::Closed => Error::StreamClosed { stream },
            Refusal::Throttled => Error::WriteThrottled { stream, shard_id },
            Refusal::Full => Error::ShardFull { stream, shard_id },
        }
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("id", &self.id())
            .field("hash_key_range", &self.core.range)
            .field("open", &!self.is_closed())
            .finish_non_exhaustive()
    }
}
