//! A shard: one lock, one log, its waiters, its limits.
//!
//! ```text
//!   Shard ── Mutex<State> ─── Writer (appends, trims) ── limits ── closed? ── somebody waits?
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
//! the lower one first; then a log's directory, a list of waiters or a read limiter, of which no two
//! are held at once.

use std::task::Waker;

use crate::clock::Timestamp;
use crate::data::Payload;
use crate::error::Error;
use crate::hash_key::HashKeyRange;
use crate::limits::{GET_RECORDS_BYTES_MAX, GET_RECORDS_LIMIT_MAX, ReadLimiter, WriteLimiter};
use crate::log::{Cursor, FIRST_PLACE, Log, ReadLimit, Writer};
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, OnceLock, Ordering, OwnLine, spin_loop};

mod aftermath;
mod batch;
mod child;
mod metrics;
mod settings;
#[cfg(test)]
mod tests;
mod waiters;

pub use batch::{RecordBatch, RecordViews, Records};
pub use child::ChildShard;
pub use metrics::ShardMetrics;
pub use settings::OnFull;

pub(crate) use aftermath::Aftermath;
pub(crate) use settings::Settings;
pub(crate) use waiters::WaiterId;

use aftermath::Leftover;
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
    closing: OnceLock<Arc<Closing>>,
    log: Log,
    state: OwnLine<Mutex<State>>,
    /// Readers that wait for records.
    readers: OwnLine<Waiters>,
    /// Puts that wait for room.
    putters: OwnLine<Waiters>,
    reads: OwnLine<Reads>,
}

/// What readers write, on a line that no writer of records looks at.
#[derive(Debug)]
struct Reads {
    records: AtomicU64,
    bytes: AtomicU64,
    throttled: AtomicU64,
    limiter: Option<Mutex<ReadLimiter>>,
}

/// What the lock guards.
#[derive(Debug)]
struct State {
    writer: Writer,
    closed: bool,
    /// Whether a put has to be checked against limits, or the capacity.
    may_refuse: bool,
    limiter: Option<Box<WriteLimiter>>,
    /// Whether a reader waits to hear of the next record.
    waiting: bool,
    puts_throttled: u64,
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

/// Why a shard did not take a record; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was split, merged or closed: ask the routing table again.
    Closed,
    Throttled,
    Full,
}

/// Where a record went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) place: u64,
    pub(crate) arrival_ms: u64,
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
        let writer = Writer::new(settings.capacity, new.created_ms);
        let limiter = WriteLimiter::new(&settings.limits, settings.record_bytes_max);
        let state = State {
            writer,
            closed: false,
            may_refuse: limiter.is_some() || settings.on_full != OnFull::TrimOldest,
            limiter: limiter.map(Box::new),
            waiting: false,
            puts_throttled: 0,
        };
        let core = Core {
            origin: Origin::new(new.created_secs, new.shard_id),
            range: new.range,
            parents: new.parents,
            created_ms: new.created_ms,
            log: Log::new(),
            state: OwnLine(Mutex::new(state)),
            closing: OnceLock::new(),
            readers: OwnLine::default(),
            putters: OwnLine::default(),
            reads: OwnLine(Reads {
                records: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                throttled: AtomicU64::new(0),
                limiter: ReadLimiter::new(&settings.limits).map(Mutex::new),
            }),
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
        self.core
            .closing
            .get()
            .map_or_else(Vec::new, |closing| closing.children.clone())
    }

    /// Whether it takes records; a shard that was split or merged does not.
    pub fn is_open(&self) -> bool {
        self.core.closing.get().is_none()
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
        self.core.closing.get().map(|closing| closing.ending)
    }

    /// Appends one record, or leaves its data as it was. `now` is the stream's time.
    #[inline]
    pub(crate) fn append(
        &self,
        now: Timestamp,
        key: &str,
        payload: Payload<'_, '_>,
    ) -> Result<Appended, Refusal> {
        self.change(|core, state| state.append(core, now, key, payload))
    }

    /// Appends one record after another under one lock, publishes them together and wakes
    /// readers once. No user code may run in `run`.
    #[inline]
    pub(crate) fn append_all(&self, now: Timestamp, run: impl FnOnce(&mut Appender<'_>)) {
        self.change(|core, state| run(&mut Appender { core, state, now }));
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
            state.closed = true;
            state.waiting = false;
        }
        drop(states);
        for shard in shards {
            aftermath.wake(shard);
        }
        Some(result)
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

    /// Runs appends under the lock and publishes them; after it, wakes readers and drops what was
    /// trimmed.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&Core, &mut State) -> R) -> R {
        let core = &*self.core;
        let mut state = match core.state.try_lock() {
            Some(state) => state,
            None => core.lock_patiently(),
        };
        let before = state.writer.next();
        let result = change(core, &mut state);
        state.writer.publish(&core.log);
        let wake = state.waiting && state.writer.next() != before;
        if wake || state.writer.has_retired() {
            let leftover = state.take_leftover(wake);
            drop(state);
            leftover.settle(self);
        }
        result
    }

    /// Runs what appends nothing under the lock, and leaves for later what it leaves to be done.
    fn look<R>(&self, aftermath: &mut Aftermath, look: impl FnOnce(&Core, &mut State) -> R) -> R {
        let core = &*self.core;
        let mut state = core.state.lock();
        let result = look(core, &mut state);
        if state.writer.has_retired() {
            aftermath.add(self, state.take_leftover(false));
        }
        result
    }
}

/// Appends records to one shard, under its lock.
pub(crate) struct Appender<'a> {
    core: &'a Core,
    state: &'a mut State,
    now: Timestamp,
}

impl Appender<'_> {
    #[inline]
    pub(crate) fn append(
        &mut self,
        key: &str,
        payload: Payload<'_, '_>,
    ) -> Result<Appended, Refusal> {
        self.state.append(self.core, self.now, key, payload)
    }
}

/// Reading.
impl Shard {
    /// Where a position is. [`Cursor`] at place 0: at the trim horizon, whichever that is when the
    /// first batch is read.
    pub(crate) fn cursor(&self, position: StartingPosition) -> Result<Cursor, Error> {
        self.core.settings.check_not_deleted()?;
        if self.core.reads.limiter.is_some() {
            let now = self.core.settings.clock.now();
            self.limit_read(now, ReadLimiter::try_get_shard_iterator)?;
        }
        Ok(match position {
            StartingPosition::TrimHorizon => Cursor::at(0),
            StartingPosition::Latest => self.tip_cursor(),
            StartingPosition::AtSequenceNumber(number) => Cursor::at(self.place_of(number, false)?),
            StartingPosition::AfterSequenceNumber(number) => {
                Cursor::at(self.place_of(number, true)?)
            }
            StartingPosition::AtTimestamp(timestamp) => {
                let now = self.core.settings.clock.now();
                if timestamp > now {
                    return Err(Error::TimestampInFuture { timestamp, now });
                }
                self.time_cursor(now, timestamp)
            }
        })
    }

    /// At the oldest record of now.
    pub(crate) fn horizon_cursor(&self, now: Timestamp) -> Cursor {
        self.trim_expired(self.core.settings.cutoff(now), &mut Aftermath::default());
        Cursor::at(self.core.log.trim_horizon())
    }

    /// At the first record that arrived at `timestamp` or later.
    pub(crate) fn time_cursor(&self, now: Timestamp, timestamp: Timestamp) -> Cursor {
        self.trim_expired(self.core.settings.cutoff(now), &mut Aftermath::default());
        Cursor::at(self.core.log.place_at_time(timestamp.as_millis()))
    }

    /// After the newest record of now.
    pub(crate) fn tip_cursor(&self) -> Cursor {
        Cursor::at(self.core.log.next())
    }

    /// Pulls what is there, up to `limit` records and 10 MiB, and moves the cursor. Never waits.
    #[inline]
    pub(crate) fn read(&self, cursor: &mut Cursor, limit: usize) -> Result<RecordBatch, Error> {
        if !(1..=GET_RECORDS_LIMIT_MAX).contains(&limit) {
            return Err(Error::InvalidLimit { limit });
        }
        let core = &*self.core;
        core.settings.check_not_deleted()?;
        // Before `next` is looked at: nothing is accepted after the closing.
        let closing = core.closing.get();
        // A reader that polls is here most of the time: it is spared the clock.
        if cursor.place >= core.log.next() && closing.is_none() && core.reads.limiter.is_none() {
            return Ok(RecordBatch::empty(core.origin));
        }
        self.read_at(core.settings.clock.now(), cursor, limit, closing)
    }

    fn read_at(
        &self,
        now: Timestamp,
        cursor: &mut Cursor,
        limit: usize,
        closing: Option<&Arc<Closing>>,
    ) -> Result<RecordBatch, Error> {
        let core = &*self.core;
        self.limit_read(now, ReadLimiter::try_get_records)?;
        let limit = ReadLimit {
            records: limit as u64,
            bytes: GET_RECORDS_BYTES_MAX as u64,
        };
        let cutoff = core.settings.cutoff(now);
        let mut batch = RecordBatch::empty(core.origin);
        // Only a batch that is returned moves the cursor, whatever panics on the way.
        let mut at = *cursor;
        // A reader that asks for the trim horizon misses nothing, wherever that is by now.
        let asks_for_horizon = at.place == 0;
        loop {
            let horizon = core.log.trim_horizon();
            if at.place < horizon {
                if !asks_for_horizon {
                    batch.missed_count += horizon - at.place;
                }
                at = Cursor::at(horizon);
            }
            if at.place >= core.log.next() {
                break;
            }
            let before = at;
            let spans = core.log.read(&mut at, limit);
            match spans.first_arrival() {
                // Trimmed since the horizon was looked at.
                None => {}
                Some(arrival) if arrival < cutoff => {
                    // Expired, and not trimmed yet.
                    at = before;
                    drop(spans);
                    self.trim_expired(cutoff, &mut Aftermath::default());
                }
                Some(_) => {
                    batch.spans = spans;
                    break;
                }
            }
        }
        let left_behind = at.place < core.log.next();
        if left_behind {
            batch.behind_since_ms = Some(now.as_millis());
        } else {
            batch.closing = closing.map(Arc::clone);
        }
        if !batch.is_empty() {
            core.reads.count(now, &batch);
        }
        *cursor = at;
        Ok(batch)
    }

    /// Whether a reader at the cursor would learn anything new.
    #[inline]
    pub(crate) fn has_news(&self, cursor: &Cursor) -> bool {
        self.core.log.next() > cursor.place.max(FIRST_PLACE)
            || self.core.closing.get().is_some()
            || self.core.settings.is_deleted()
    }

    /// Registers a waker for the next news; `None` if there are some already.
    pub(crate) fn wait_for_news(&self, cursor: &Cursor, waker: Waker) -> Option<WaiterId> {
        let id = self.core.readers.register(waker);
        let news = {
            let mut state = self.core.state.lock();
            state.waiting = true;
            self.has_news(cursor)
        };
        if news {
            self.core.readers.remove(id);
            return None;
        }
        Some(id)
    }

    pub(crate) fn stop_waiting(&self, id: WaiterId) {
        self.core.readers.remove(id);
    }

    /// Registers a waker for when a record of this size may find room; `None` if there is some now.
    /// Otherwise also when, as far as retention goes, it has to look again.
    pub(crate) fn wait_for_room(&self, waker: Waker) -> (WaiterId, Option<Timestamp>) {
        let id = self.core.putters.register(waker);
        let oldest = self.core.state.lock().writer.oldest_arrival(&self.core.log);
        let retention = self.core.settings.retention();
        (
            id,
            oldest.map(|oldest| Timestamp::from_millis(oldest) + retention),
        )
    }

    pub(crate) fn stop_waiting_for_room(&self, id: WaiterId) {
        self.core.putters.remove(id);
    }

    /// Whether the number may be of a record that was put before.
    pub(crate) fn has_given(&self, number: SequenceNumber) -> bool {
        number.is_of_shard(self.id())
            && number.created_secs() == self.core.origin.created_secs
            && number.place() < self.core.log.next()
    }

    /// Where a reader at the cursor goes on, in a form that can be kept.
    pub(crate) fn position(&self, cursor: &Cursor) -> StartingPosition {
        if cursor.place == 0 {
            return StartingPosition::TrimHorizon;
        }
        if cursor.place == FIRST_PLACE {
            return StartingPosition::AfterSequenceNumber(self.starting_sequence_number());
        }
        let passed = Cursor::at(cursor.place - 1);
        let arrival = self.core.log.look_at(passed, |frame| frame.arrival());
        // Of a trimmed record the time does not matter: its place is passed in any case.
        let number = self
            .core
            .origin
            .sequence_number(passed.place, arrival.unwrap_or(0));
        StartingPosition::AfterSequenceNumber(number)
    }

    /// The place of the first record at a number, or after it.
    fn place_of(&self, number: SequenceNumber, after: bool) -> Result<u64, Error> {
        let Origin {
            created_secs,
            shard_id,
        } = self.core.origin;
        let stream = || self.core.settings.stream.to_string();
        if !number.is_of_shard(shard_id) {
            let encoded = ShardId::from_index(number.shard_index());
            return Err(Error::SequenceNumberOfOtherShard {
                sequence_number: number,
                encoded,
                shard_id,
            });
        }
        if number.version() != 2 || number.created_secs() != created_secs {
            let stream = stream();
            return Err(Error::SequenceNumberOfOtherStream {
                sequence_number: number,
                stream,
            });
        }
        let closed = self.core.closing.get().is_some();
        let (place, next) = (number.place(), self.core.log.next());
        if place >= next && closed {
            return Ok(next);
        }
        if place >= next {
            return Err(Error::SequenceNumberInFuture {
                sequence_number: number,
                shard_id,
            });
        }
        if place < FIRST_PLACE {
            return Ok(FIRST_PLACE);
        }
        // A number need not be of a record: one with another time lies before or behind it.
        let record = self.core.log.look_at(Cursor::at(place), |frame| {
            self.core
                .origin
                .sequence_number(frame.place(), frame.arrival())
        });
        let record = record.unwrap_or(number);
        let passed = if after {
            record <= number
        } else {
            record < number
        };
        Ok(if passed { place + 1 } else { place })
    }

    fn limit_read(
        &self,
        now: Timestamp,
        take: impl FnOnce(&mut ReadLimiter, u64) -> bool,
    ) -> Result<(), Error> {
        let reads = &self.core.reads;
        let Some(limiter) = &reads.limiter else {
            return Ok(());
        };
        if take(&mut limiter.lock(), now.as_millis()) {
            return Ok(());
        }
        reads.throttled.fetch_add(1, Ordering::Relaxed);
        let stream = self.core.settings.stream.to_string();
        Err(Error::ReadThrottled {
            stream,
            shard_id: self.id(),
        })
    }
}

impl Core {
    /// Takes the lock that another writer holds.
    ///
    /// It stays away for a while before it asks again: the other one goes on meanwhile with the
    /// shard's lines in its own cache, which is several times as fast as handing them to and fro for
    /// each record.
    #[cold]
    fn lock_patiently(&self) -> MutexGuard<'_, State> {
        const ROUNDS: u32 = 6;
        const SPINS: u32 = 32;
        for round in 0..ROUNDS {
            for _ in 0..SPINS << round {
                spin_loop();
            }
            if let Some(state) = self.state.try_lock() {
                return state;
            }
        }
        self.state.lock()
    }
}

impl Reads {
    /// Counts a batch that is handed to a reader.
    #[inline]
    fn count(&self, now: Timestamp, batch: &RecordBatch) {
        let bytes = batch.spans.user_bytes();
        self.records
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(limiter) = &self.limiter {
            limiter.lock().charge_bytes(now.as_millis(), bytes);
        }
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("id", &self.id())
            .field("hash_key_range", &self.core.range)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Always inlined: its result, returned through memory as two words and read as one, would stall
    /// each append of a batch (a third of its time).
    #[inline(always)]
    fn append(
        &mut self,
        core: &Core,
        now: Timestamp,
        key: &str,
        payload: Payload<'_, '_>,
    ) -> Result<Appended, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let cutoff = core.settings.cutoff(now);
        if self.may_refuse {
            self.check_refusal(core, now, cutoff, (key.len(), payload.len()))?;
        }
        let (place, arrival_ms) =
            self.writer
                .append(&core.log, (now.as_millis(), cutoff), key, payload);
        Ok(Appended { place, arrival_ms })
    }

    /// Whether the shard is full, or its limits are reached. A refused record takes nothing of them.
    fn check_refusal(
        &mut self,
        core: &Core,
        now: Timestamp,
        cutoff: u64,
        (key_bytes, data_bytes): (usize, usize),
    ) -> Result<(), Refusal> {
        if core.settings.on_full != OnFull::TrimOldest {
            if self.writer.is_full_for(key_bytes, data_bytes) {
                self.writer.trim_expired(&core.log, cutoff);
            }
            if self.writer.is_full_for(key_bytes, data_bytes) {
                return Err(Refusal::Full);
            }
        }
        if let Some(limiter) = &mut self.limiter {
            if !limiter.try_take(now.as_millis(), (key_bytes + data_bytes) as u64) {
                self.puts_throttled += 1;
                return Err(Refusal::Throttled);
            }
        }
        Ok(())
    }

    /// What is to be done once the lock is released.
    #[cold]
    fn take_leftover(&mut self, wake_readers: bool) -> Leftover {
        self.waiting &= !wake_readers;
        Leftover {
            wake_readers,
            wake_putters: false,
            retired: self.writer.take_retired(),
        }
    }
}
