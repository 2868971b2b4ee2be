//! Reading a shard, without its lock.

use std::task::Waker;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::limits::{GET_RECORDS_BYTES_MAX, GET_RECORDS_LIMIT_MAX, Limits, ReadLimiter};
use crate::log::{Cursor, FIRST_PLACE, ReadLimit, Spans};
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard::{Aftermath, Closing, RecordBatch, Shard, WaiterId};
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, OwnLine, PlainArc};

/// What readers write, on a line that no writer of records looks at.
#[derive(Debug)]
pub(super) struct Reads {
    tallies: Mutex<Tallies>,
    pub(super) throttled: AtomicU64,
    limiter: Option<Mutex<ReadLimiter>>,
}

/// What one reader of a shard was given.
///
/// Only the reader writes it: a count that all readers share costs each a locked instruction, and goes
/// from core to core with each batch. Nothing is allocated before the first record.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    given: Given,
    shown: Option<PlainArc<OwnLine<Shown>>>,
}

/// Records and bytes that were handed out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// What a [`Tally`] says, where others may look at it.
#[derive(Debug, Default)]
struct Shown {
    records: AtomicU64,
    bytes: AtomicU64,
}

/// The tallies of all readers.
#[derive(Debug, Default)]
struct Tallies {
    /// What readers were given that are gone.
    gone: Given,
    shown: Vec<PlainArc<OwnLine<Shown>>>,
    /// How many there may be before those that are gone are looked for.
    shown_max: usize,
}

impl Shard {
    /// Where a position is. [`Cursor`] at place 0: at the trim horizon, whichever that is when the
    /// first batch is read.
    pub(crate) fn cursor(&self, position: StartingPosition) -> Result<Cursor, Error> {
        self.core.settings.settle()?;
        #[cfg(feature = "testing")]
        if let Some(hooked) = &self.core.settings.hooked {
            return hooked.get_shard_iterator(self, || self.cursor_now(position));
        }
        self.cursor_now(position)
    }

    fn cursor_now(&self, position: StartingPosition) -> Result<Cursor, Error> {
        if self.core.reads.limiter.is_some() {
            let now = self.core.settings.now();
            self.limit_read(now, ReadLimiter::try_get_shard_iterator)?;
        }
        self.cursor_apart(position)
    }

    /// As [`cursor`](Self::cursor), whatever the limits are.
    pub(crate) fn cursor_apart(&self, position: StartingPosition) -> Result<Cursor, Error> {
        self.core.settings.settle()?;
        Ok(match position {
            StartingPosition::TrimHorizon => Cursor::at(0),
            StartingPosition::Latest => self.tip_cursor(),
            StartingPosition::AtSequenceNumber(number) => Cursor::at(self.place_of(number, false)?),
            StartingPosition::AfterSequenceNumber(number) => {
                Cursor::at(self.place_of(number, true)?)
            }
            StartingPosition::AtTimestamp(timestamp) => {
                let now = self.core.settings.now();
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
        let next = self.core.log.next();
        Cursor::at(planted!(next, "latest_too_early": next - 1))
    }

    /// Pulls what is there, up to `limit` records and 10 MiB, and moves the cursor. Never waits.
    #[inline]
    pub(crate) fn read(
        &self,
        cursor: &mut Cursor,
        limit: usize,
        tally: &mut Tally,
    ) -> Result<RecordBatch, Error> {
        if !(1..=GET_RECORDS_LIMIT_MAX).contains(&limit) {
            return Err(Error::InvalidLimit { limit });
        }
        let core = &*self.core;
        core.settings.settle()?;
        #[cfg(feature = "testing")]
        if let Some(hooked) = &core.settings.hooked {
            return self.read_hooked(hooked, cursor, limit, tally);
        }
        // Before `next` is looked at: nothing is accepted after the closing.
        let closing = core.closing.get();
        // A reader that polls is here most of the time: it is spared the clock.
        if cursor.place >= core.log.next() && closing.is_none() && core.reads.limiter.is_none() {
            return Ok(RecordBatch::empty(core.origin));
        }
        cursor.prefetch();
        self.read_at(core.settings.now(), (cursor, limit), closing, tally)
    }

    pub(super) fn read_at(
        &self,
        now: Timestamp,
        (cursor, limit): (&mut Cursor, usize),
        closing: Option<&Arc<Closing>>,
        tally: &mut Tally,
    ) -> Result<RecordBatch, Error> {
        let limit = ReadLimit {
            records: limit as u64,
            bytes: GET_RECORDS_BYTES_MAX as u64,
        };
        if self.core.reads.limiter.is_some() {
            self.limit_read(now, ReadLimiter::try_get_records)?;
            let batch = self.read_within(now, (cursor, limit), closing, tally);
            self.charge_read(now, &batch);
            return Ok(batch);
        }
        Ok(self.read_within(now, (cursor, limit), closing, tally))
    }

    #[cold]
    fn charge_read(&self, now: Timestamp, batch: &RecordBatch) {
        if let Some(limiter) = self
            .core
            .reads
            .limiter
            .as_ref()
            .filter(|_| !batch.is_empty())
        {
            let bytes = batch.spans.user_bytes();
            limiter.lock().charge_bytes(now.as_millis(), bytes);
        }
    }

    /// Pulls as [`read`](Self::read) does, for a reader that has a share of its own: neither do the
    /// limits on reads hold it up, nor does what it takes count against them.
    #[cfg(feature = "protocol")]
    pub(crate) fn read_apart(
        &self,
        cursor: &mut Cursor,
        limit: ReadLimit,
        tally: &mut Tally,
    ) -> Result<RecordBatch, Error> {
        let core = &*self.core;
        core.settings.settle()?;
        // Before `next` is looked at, as above.
        let closing = core.closing.get();
        let now = core.settings.now();
        Ok(self.read_within(now, (cursor, limit), closing, tally))
    }

    fn read_within(
        &self,
        now: Timestamp,
        (cursor, limit): (&mut Cursor, ReadLimit),
        closing: Option<&Arc<Closing>>,
        tally: &mut Tally,
    ) -> RecordBatch {
        let core = &*self.core;
        let cutoff = core.settings.cutoff(now);
        let mut missed_count = 0;
        // Only a batch that is returned moves the cursor, whatever panics on the way.
        let mut at = *cursor;
        // A reader that asks for the trim horizon misses nothing, wherever that is by now.
        let asks_for_horizon = at.place == 0;
        let (spans, shown) = loop {
            let horizon = core.log.trim_horizon();
            // Once: each look at the tip may take its line away from a writer that is at it.
            let shown = core.log.shown();
            if at.place < horizon {
                if !asks_for_horizon {
                    let before = planted!(missed_count, "missed_twice_told_once": 0);
                    missed_count = before + (horizon - at.place);
                }
                at = Cursor::at(horizon);
            }
            if at.place >= shown.next {
                break (Spans::EMPTY, shown);
            }
            let before = at;
            let spans = core.log.read(shown, &mut at, limit);
            if spans.begins_before(cutoff) {
                // Expired, and not trimmed yet.
                at = before;
                drop(spans);
                self.trim_expired(cutoff, &mut Aftermath::default());
            } else if !spans.is_empty() {
                break (spans, shown);
            }
            // Else it was trimmed since the horizon was looked at.
        };
        let left_behind = at.place < shown.next;
        if !spans.is_empty() {
            core.reads.count(&spans, tally);
        }
        *cursor = at;
        let closing = planted!(closing, "end_looked_at_late": core.closing.get());
        RecordBatch {
            origin: core.origin,
            spans,
            missed_count,
            behind_since_ms: if left_behind { now.as_millis() } else { 0 },
            closing: closing.filter(|_| !left_behind).map(Arc::clone),
        }
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
            planted!(self.has_news(cursor), "no_second_look": false)
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

    #[cold]
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

impl Reads {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            tallies: Mutex::default(),
            throttled: AtomicU64::new(0),
            limiter: ReadLimiter::new(limits).map(Mutex::new),
        }
    }

    /// What all readers were given.
    pub(super) fn given(&self) -> Given {
        let tallies = self.tallies.lock();
        let shown = tallies.shown.iter().map(|shown| shown.given());
        shown.fold(tallies.gone, Given::plus)
    }

    /// Counts records that are handed to a reader.
    #[inline]
    fn count(&self, spans: &Spans, tally: &mut Tally) {
        let records = spans.len() as u64;
        let bytes = spans.user_bytes();
        tally.given = tally.given.plus(Given { records, bytes });
        tally
            .shown
            .get_or_insert_with(|| self.show_tally())
            .show(tally.given);
    }

    /// Makes a new reader's tally one of all.
    #[cold]
    fn show_tally(&self) -> PlainArc<OwnLine<Shown>> {
        let shown = PlainArc::<OwnLine<Shown>>::default();
        self.tallies.lock().add(PlainArc::clone(&shown));
        shown
    }
}

impl Tallies {
    fn add(&mut self, shown: PlainArc<OwnLine<Shown>>) {
        if self.shown.len() >= self.shown_max {
            let gone = &mut self.gone;
            self.shown.retain_mut(|shown| {
                // Nobody else has it any more.
                let is_gone = PlainArc::get_mut(shown).is_some();
                if is_gone {
                    *gone = gone.plus(shown.given());
                }
                !is_gone
            });
            self.shown_max = (self.shown.len() * 2).max(8);
        }
        self.shown.push(shown);
    }
}

impl Shown {
    #[inline]
    fn show(&self, given: Given) {
        // Relaxed: figures, of which nothing else depends.
        self.records.store(given.records, Ordering::Relaxed);
        self.bytes.store(given.bytes, Ordering::Relaxed);
    }

    fn given(&self) -> Given {
        Given {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Given {
    #[inline]
    const fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }
}
