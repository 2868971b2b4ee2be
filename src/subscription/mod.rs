//! Reading all shards of a stream, across splits and merges.
//!
//! ```text
//!   unfinished ──(its parents are read to the end)──> slot ──(read to the end)──> finished
//!                                                     │   ^
//!                                  nothing to read:   v   │  :a waker puts it back
//!                                               its shard's waiters      in line
//! ```
//!
//! # Promises, and how they could break
//!
//! - **Records of one partition key come in order, whatever is split and merged.** A shard is begun
//!   only when every parent that the subscription is concerned with was read to its end. Two
//!   parents of a merge may be generations apart, so it is not enough that no parent is being read:
//!   a parent of a later id than the subscription began with has to be finished.
//! - **No shard is left out.** A subscription holds the [lineage](Lineage) of each shard that it reads, so
//!   that children are found even if they have expired meanwhile; what was trimmed is counted.
//! - **Idle shards cost nothing.** Only shards in line are looked at; a shard with nothing to
//!   read waits among its shard's waiters until a waker puts it back in line.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::bell::Bell;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::limits::GET_RECORDS_LIMIT_MAX;
use crate::log::{Cursor, FIRST_PLACE};
use crate::record::Origin;
use crate::shard::{RecordBatch, Shard, Tally, WaiterId};
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::stream::{Lineage, ShardFilter, Stream};
use crate::sync::{Arc, Mutex, PlainArc};
use crate::wait::{BlockingBatches, Undo, block_until};

mod resume;

/// Reads the records of all shards of a stream, and follows splits and merges.
///
/// Each batch is of one shard. Shards with records take turns. Records of one partition key come in
/// the order in which they were put, across any resharding: the children of a shard begin after
/// their parents were read to the end.
///
/// ```
/// use brooklet::{HashKey, StartingPosition, Stream};
///
/// let stream = Stream::new("orders", 1)?;
/// let producer = stream.producer();
/// let mut subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
/// producer.put_record("customer-17", "first")?;
/// stream.split_shard(stream.shards()[0].id(), HashKey::new(1 << 127))?;
/// producer.put_record("customer-17", "second")?;
/// stream.close();
///
/// let mut orders = Vec::new();
/// while !subscription.is_finished() {
///     orders.extend(subscription.get_records(100)?);
/// }
/// assert_eq!(orders[0].data(), "first");
/// assert_eq!(orders[1].data(), "second");
/// # Ok::<(), brooklet::Error>(())
/// ```
///
/// It never expires. Clones go on independently from the same position; [`positions`](Self::positions)
/// can be kept as text, and [resumed](Stream::subscribe_from).
pub struct Subscription {
    stream: Stream,
    /// The shards that are being read.
    slots: BTreeMap<ShardId, Slot>,
    /// The shards that wait for their parents.
    unfinished: Unfinished,
    /// Shards that were read to the end, with how many of their children were not begun yet.
    finished: BTreeMap<ShardId, usize>,
    /// Shards with an index below existed when the subscription began.
    first_new_index: u32,
    line: Arc<Line>,
    bell: Option<Bell>,
    /// What an empty batch says that it is of.
    last_origin: Origin,
}

/// Shards with where they are to be read from.
type Unfinished = BTreeMap<ShardId, (Arc<Lineage>, Cursor)>;

/// A shard that is being read.
struct Slot {
    lineage: Arc<Lineage>,
    cursor: Cursor,
    tally: Tally,
    waiter: Option<WaiterId>,
}

/// The shards that may have something to read, and who is to be told of the next.
#[derive(Default)]
struct Line {
    state: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    shards: VecDeque<ShardId>,
    waker: Option<Waker>,
    bell: Option<Bell>,
}

/// The turn of the shard that was first in line. Dropped before its [end](Self::end), by an error or a
/// panic, it puts the shard back in line, behind the others.
struct Turn {
    line: Arc<Line>,
    shard_id: ShardId,
    ended: bool,
}

/// Puts a shard back in line.
struct BackInLine {
    line: Arc<Line>,
    shard_id: ShardId,
}

impl Stream {
    /// Reads all shards from a position on: [`TrimHorizon`](StartingPosition::TrimHorizon),
    /// [`Latest`](StartingPosition::Latest) or [`AtTimestamp`](StartingPosition::AtTimestamp).
    ///
    /// # Errors
    ///
    /// [`Error::SequenceNumberForSubscription`]; [`Error::TimestampInFuture`];
    /// [`Error::StreamNotActive`], [`Error::StreamNotFound`].
    pub fn subscribe(&self, position: StartingPosition) -> Result<Subscription, Error> {
        let now = self.settings().now();
        let (filter, cursor): (_, &dyn Fn(&Shard) -> Cursor) = match position {
            StartingPosition::TrimHorizon => (ShardFilter::FromTrimHorizon, &|shard| {
                shard.horizon_cursor(now)
            }),
            StartingPosition::Latest => (ShardFilter::AtLatest, &|shard| shard.tip_cursor()),
            StartingPosition::AtTimestamp(timestamp) => {
                (ShardFilter::FromTimestamp(timestamp), &move |shard| {
                    shard.time_cursor(now, timestamp)
                })
            }
            StartingPosition::AtSequenceNumber(_) | StartingPosition::AfterSequenceNumber(_) => {
                return Err(Error::SequenceNumberForSubscription);
            }
        };
        let listed = self.list_lineages(filter)?;
        let unfinished = listed.lineages.into_iter().map(|lineage| {
            let cursor = cursor(&lineage.shard);
            (lineage.shard.id(), (lineage, cursor))
        });
        Ok(Subscription::new(
            self,
            unfinished.collect(),
            listed.next_index,
        ))
    }
}

impl Subscription {
    /// Reads these shards and what comes of them. All that are to be read and have an index below
    /// `first_new_index` are among them.
    fn new(stream: &Stream, unfinished: Unfinished, first_new_index: u32) -> Self {
        let any_id = unfinished
            .keys()
            .next()
            .copied()
            .unwrap_or(ShardId::from_index(0));
        let mut subscription = Self {
            stream: stream.clone(),
            slots: BTreeMap::new(),
            unfinished,
            finished: BTreeMap::new(),
            first_new_index,
            line: Arc::default(),
            bell: None,
            last_origin: Origin {
                created_secs: 0,
                shard_id: any_id,
            },
        };
        subscription.begin_shards();
        subscription
    }

    /// Pulls the next records of some shard, up to `limit` (1 to 10,000) and 10 MiB. Never waits:
    /// the batch is empty if no shard has any; its shard then means nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidLimit`]; [`Error::ReadThrottled`] with limits;
    /// [`Error::StreamNotFound`] once the stream was deleted. No record is lost by an error.
    pub fn get_records(&mut self, limit: usize) -> Result<RecordBatch, Error> {
        // The bell is set again whatever comes of the pull, also a panic.
        let this = BellSet(self);
        this.0.pull(limit)
    }

    /// As [`get_records`](Self::get_records), but waits for records, at most `timeout` of the
    /// stream's clock. It does not wait once all shards were read to the end.
    ///
    /// # Errors
    ///
    /// As [`get_records`](Self::get_records).
    pub fn get_records_timeout(
        &mut self,
        limit: usize,
        timeout: Duration,
    ) -> Result<RecordBatch, Error> {
        if timeout.is_zero() {
            return self.get_records(limit);
        }
        self.get_records_until(limit, |clock| clock.monotonic().saturating_add(timeout))
    }

    /// Pulls records, and waits for them until the clock's monotonic time is what `until` says.
    fn get_records_until(
        &mut self,
        limit: usize,
        until: impl FnOnce(&dyn Clock) -> Duration,
    ) -> Result<RecordBatch, Error> {
        let batch = self.get_records(limit)?;
        if batch.is_news() || self.is_finished() {
            return Ok(batch);
        }
        #[cfg(feature = "testing")]
        self.before_wait()?;
        let stream = self.stream.clone();
        let clock = &*stream.settings().clock;
        let deadline = until(clock);
        loop {
            let line = Arc::clone(&self.line);
            let register = |waker| line.wait(waker).then(|| Undo(|| line.stop_waiting()));
            let news = block_until(clock, deadline, || line.is_waiting_for_reader(), register);
            let batch = self.get_records(limit)?;
            if batch.is_news() || self.is_finished() || !news {
                return Ok(batch);
            }
        }
    }

    /// As [`get_records_timeout`](Self::get_records_timeout), but waits until a time of the stream's
    /// clock.
    ///
    /// # Errors
    ///
    /// As [`get_records`](Self::get_records).
    pub fn get_records_deadline(
        &mut self,
        limit: usize,
        deadline: impl Into<Timestamp>,
    ) -> Result<RecordBatch, Error> {
        let deadline = deadline.into();
        let clock = PlainArc::clone(&self.stream.settings().clock);
        loop {
            let batch = self.get_records_until(limit, |clock| {
                // In this order: time that passes between the two ends the wait early, never late.
                let monotonic = clock.monotonic();
                monotonic.saturating_add(deadline.duration_since(clock.now()))
            })?;
            if batch.is_news() || self.is_finished() || clock.now() >= deadline {
                return Ok(batch);
            }
        }
    }

    /// As [`get_records`](Self::get_records), but waits for records without blocking the thread. A
    /// future that is dropped has read nothing.
    ///
    /// # Errors
    ///
    /// As [`get_records`](Self::get_records).
    pub fn get_records_async(
        &mut self,
        limit: usize,
    ) -> impl Future<Output = Result<RecordBatch, Error>> + Send + '_ {
        GetRecords {
            subscription: self,
            limit,
        }
    }

    /// The batches from here on, of up to `limit` records each, as a [`futures_core::Stream`]. It
    /// ends when all shards were read to the end, or after an error that no retry mends.
    pub const fn batches(self, limit: usize) -> SubscriptionBatches {
        SubscriptionBatches {
            subscription: self,
            limit,
            failed: false,
        }
    }

    /// The batches from here on, of up to `limit` records each, as an [`Iterator`] that blocks until
    /// there is one, for as long as it takes. It ends as [`batches`](Self::batches) does: when all
    /// shards were read to the end, or after an error that no retry mends.
    ///
    /// ```
    /// use brooklet::{StartingPosition, Stream};
    ///
    /// let stream = Stream::new("orders", 4)?;
    /// let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    /// let reader = std::thread::spawn(move || {
    ///     subscription.batches_blocking(100).map(|batch| Ok(batch?.len())).sum()
    /// });
    /// stream.producer().put_record("customer-17", "two teapots")?;
    /// stream.close();
    /// let count: Result<usize, brooklet::Error> = reader.join().unwrap();
    /// assert_eq!(count?, 1);
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub const fn batches_blocking(self, limit: usize) -> BlockingBatches<Self> {
        BlockingBatches::new(self, limit)
    }

    /// A channel that holds a `()` whenever [`get_records`](Self::get_records) may give something
    /// new, for `select!`; as [`ShardIterator::ready`](crate::ShardIterator::ready). Now and then it
    /// rings for an empty batch.
    pub fn ready(&mut self) -> Receiver<()> {
        let bell = self.bell.get_or_insert_with(Bell::new).clone();
        self.line.state.lock().bell = Some(bell.clone());
        self.set_bell();
        bell.receiver()
    }

    /// Whether all shards were read to the end and none can follow: the stream was closed.
    pub fn is_finished(&self) -> bool {
        self.slots.is_empty() && self.unfinished.is_empty()
    }

    fn pull(&mut self, limit: usize) -> Result<RecordBatch, Error> {
        if !(1..=GET_RECORDS_LIMIT_MAX).contains(&limit) {
            return Err(Error::InvalidLimit { limit });
        }
        self.stream.settings().settle()?;
        let batch = self.next_batch(limit)?;
        Ok(batch.unwrap_or_else(|| RecordBatch::empty(self.last_origin)))
    }

    /// The next batch that tells anything.
    fn next_batch(&mut self, limit: usize) -> Result<Option<RecordBatch>, Error> {
        while let Some(turn) = Line::next(&self.line) {
            let shard_id = turn.shard_id;
            let Some(slot) = self.slots.get_mut(&shard_id) else {
                turn.end();
                continue;
            };
            slot.waiter = None;
            if !slot.lineage.shard.has_news(&slot.cursor) {
                // Not by a pull, which would count as one of those that limits allow.
                turn.end();
                slot.wait(&self.line);
                continue;
            }
            let batch = slot
                .lineage
                .shard
                .read(&mut slot.cursor, limit, &mut slot.tally)?;
            self.last_origin = batch.origin;
            turn.end();
            if batch.shard_ended() {
                self.finish(shard_id);
            } else if batch.is_news() {
                self.line.join(shard_id);
            } else {
                slot.wait(&self.line);
            }
            if !batch.is_empty() || batch.missed_count() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Asks the hooks of the stream, if there are any, before it waits.
    #[cfg(feature = "testing")]
    fn before_wait(&self) -> Result<(), Error> {
        match self.slots.values().next() {
            Some(slot) => slot.lineage.shard.before_wait_for_all(),
            None => Ok(()),
        }
    }

    /// A shard was read to the end: its children may begin.
    fn finish(&mut self, shard_id: ShardId) {
        let Some(slot) = self.slots.remove(&shard_id) else {
            return;
        };
        let children = slot.lineage.children();
        if !children.is_empty() {
            self.finished.insert(shard_id, children.len());
        }
        for child in children {
            // From its first record: what was trimmed before it was begun is missed.
            let begin = || (Arc::clone(child), Cursor::at(FIRST_PLACE));
            self.unfinished
                .entry(child.shard.id())
                .or_insert_with(begin);
        }
        self.begin_shards();
    }

    /// Begins the shards all of whose parents were read to the end.
    fn begin_shards(&mut self) {
        let ready: Vec<_> = self
            .unfinished
            .iter()
            .filter(|(_, (lineage, _))| self.parents_are_done(&lineage.shard))
            .map(|(shard_id, _)| *shard_id)
            .collect();
        for shard_id in ready {
            let Some((lineage, cursor)) = self.unfinished.remove(&shard_id) else {
                continue;
            };
            self.forget_parents(&lineage.shard);
            self.slots.insert(
                shard_id,
                Slot {
                    lineage,
                    cursor,
                    tally: Tally::default(),
                    waiter: None,
                },
            );
            self.line.join(shard_id);
        }
    }

    fn parents_are_done(&self, shard: &Shard) -> bool {
        shard.parents().iter().all(|parent| {
            let known = self.slots.contains_key(&parent) || self.unfinished.contains_key(&parent);
            let is_new = parent.index() >= self.first_new_index;
            let concerns_us = planted!(known || is_new, "child_before_parent": known);
            !concerns_us || self.finished.contains_key(&parent)
        })
    }

    /// A shard was begun: parents all of whose children were begun need not be remembered.
    fn forget_parents(&mut self, shard: &Shard) {
        for parent in shard.parents().iter() {
            if let Some(children) = self.finished.get_mut(&parent) {
                *children -= 1;
                if *children == 0 {
                    self.finished.remove(&parent);
                }
            }
        }
    }

    fn poll_get_records(
        &mut self,
        context: &Context<'_>,
        limit: usize,
    ) -> Poll<Result<RecordBatch, Error>> {
        #[cfg(feature = "testing")]
        let mut asked = false;
        loop {
            let batch = self.get_records(limit)?;
            if batch.is_news() || self.is_finished() {
                return Poll::Ready(Ok(batch));
            }
            #[cfg(feature = "testing")]
            if !std::mem::replace(&mut asked, true) {
                self.before_wait()?;
            }
            if self.line.wait(context.waker().clone()) {
                return Poll::Pending;
            }
        }
    }

    fn set_bell(&self) {
        let Some(bell) = &self.bell else { return };
        bell.silence();
        if self.line.is_waiting_for_reader() {
            bell.ring();
        }
    }
}

impl Clone for Subscription {
    fn clone(&self) -> Self {
        let slots = self.slots.iter().map(|(shard_id, slot)| {
            let lineage = Arc::clone(&slot.lineage);
            let (cursor, waiter) = (slot.cursor, None);
            (
                *shard_id,
                Slot {
                    lineage,
                    cursor,
                    tally: Tally::default(),
                    waiter,
                },
            )
        });
        // All in line, since none waits for its waker.
        let state = LineState {
            shards: self.slots.keys().copied().collect(),
            ..LineState::default()
        };
        Self {
            stream: self.stream.clone(),
            slots: slots.collect(),
            unfinished: self.unfinished.clone(),
            finished: self.finished.clone(),
            first_new_index: self.first_new_index,
            line: Arc::new(Line {
                state: Mutex::new(state),
            }),
            bell: None,
            last_origin: self.last_origin,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        for slot in self.slots.values() {
            if let Some(id) = slot.waiter {
                slot.lineage.shard.stop_waiting(id);
            }
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("stream", &self.stream.name())
            .field("shards", &self.slots.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Slot {
    /// Gets back in line as soon as there is something to read.
    fn wait(&mut self, line: &Arc<Line>) {
        let shard = &self.lineage.shard;
        let shard_id = shard.id();
        let back = BackInLine {
            line: Arc::clone(line),
            shard_id,
        };
        self.waiter = shard.wait_for_news(&self.cursor, Waker::from(PlainArc::new(back)));
        if self.waiter.is_none() {
            line.join(shard_id);
        }
    }
}

impl Line {
    /// Puts a shard in line and tells whoever waits.
    fn join(&self, shard_id: ShardId) {
        let (waker, bell) = {
            let mut state = self.state.lock();
            state.shards.push_back(shard_id);
            (state.waker.take(), state.bell.clone())
        };
        if let Some(bell) = bell {
            bell.ring();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the first shard in line.
    fn next(line: &Arc<Self>) -> Option<Turn> {
        let shard_id = line.state.lock().shards.pop_front()?;
        Some(Turn {
            line: Arc::clone(line),
            shard_id,
            ended: false,
        })
    }

    /// Whether a shard is in line.
    fn is_waiting_for_reader(&self) -> bool {
        !self.state.lock().shards.is_empty()
    }

    /// Has a waker called when a shard gets in line; `false` if one is.
    fn wait(&self, waker: Waker) -> bool {
        let replaced = {
            let mut state = self.state.lock();
            if !state.shards.is_empty() {
                return false;
            }
            state.waker.replace(waker)
        };
        // A waker's drop may be user code: not under the lock.
        drop(replaced);
        true
    }

    fn stop_waiting(&self) {
        let waker = self.state.lock().waker.take();
        drop(waker);
    }
}

impl Turn {
    /// Ends it: the shard is no longer in line.
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.ended {
            self.line.state.lock().shards.push_back(self.shard_id);
        }
    }
}

/// Sets a subscription's bell when it is dropped.
struct BellSet<'a>(&'a mut Subscription);

impl Drop for BellSet<'_> {
    fn drop(&mut self) {
        self.0.set_bell();
    }
}

impl Wake for BackInLine {
    fn wake(self: PlainArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &PlainArc<Self>) {
        self.line.join(self.shard_id);
    }
}

/// The future of one `get_records`.
struct GetRecords<'a> {
    subscription: &'a mut Subscription,
    limit: usize,
}

impl Future for GetRecords<'_> {
    type Output = Result<RecordBatch, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.subscription.poll_get_records(context, this.limit)
    }
}

impl Drop for GetRecords<'_> {
    fn drop(&mut self) {
        self.subscription.line.stop_waiting();
    }
}

/// The batches of a subscription as a [`futures_core::Stream`]; see [`Subscription::batches`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct SubscriptionBatches {
    subscription: Subscription,
    limit: usize,
    failed: bool,
}

impl SubscriptionBatches {
    /// The subscription, at the position after the last batch.
    pub fn into_subscription(self) -> Subscription {
        self.subscription.line.stop_waiting();
        self.subscription
    }
}

impl futures_core::Stream for SubscriptionBatches {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed || this.subscription.is_finished() {
            return Poll::Ready(None);
        }
        let result = std::task::ready!(this.subscription.poll_get_records(context, this.limit));
        match result {
            Ok(batch) if batch.is_news() => Poll::Ready(Some(Ok(batch))),
            Ok(_) => Poll::Ready(None),
            Err(error) => {
                this.failed = !error.is_retryable();
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl futures_core::FusedStream for SubscriptionBatches {
    fn is_terminated(&self) -> bool {
        self.failed || self.subscription.is_finished()
    }
}

impl Iterator for BlockingBatches<Subscription> {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished || self.reader.is_finished() {
            return None;
        }
        match self.reader.get_records_timeout(self.limit, Duration::MAX) {
            Ok(batch) if batch.is_news() => Some(Ok(batch)),
            // All was read to the end; or the clock is at the end of its time, and nobody can wait.
            Ok(_) => {
                self.finished = true;
                None
            }
            Err(error) => {
                self.finished = !error.is_retryable();
                Some(Err(error))
            }
        }
    }
}
