//! Reading one shard.
//!
//! # Promises, and how they could break
//!
//! - **Nothing is skipped or repeated.** A batch begins where the one before ended; the cursor moves
//!   only with a batch that is returned.
//! - **Readers are independent.** An iterator is a number and a hint; it holds no memory of the
//!   stream, and nobody knows of it but while it waits.
//! - **A wait that is given up leaves nothing behind**: whatever registered a waker takes it back
//!   when it is dropped, on a panic too.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::bell::Bell;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::limits::GET_RECORDS_LIMIT_MAX;
use crate::log::Cursor;
#[cfg(feature = "protocol")]
use crate::log::ReadLimit;
use crate::shard::{RecordBatch, Shard, Tally, WaiterId};
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::stream::Stream;
use crate::sync::PlainArc;
use crate::wait::{BlockingBatches, Pace, Undo, block_until};

/// Reads the records of one shard, in order, each once.
///
/// It never expires, and costs the stream nothing while it does not read. Clones go on
/// independently from the same position.
///
/// # Falling behind
///
/// A shard trims without waiting for readers. One that was overtaken goes on at the trim horizon;
/// [`RecordBatch::missed_count`] says how many records it missed.
///
/// # Waiting
///
/// [`get_records`](Self::get_records) never waits. The same pull waits with
/// [a timeout](Self::get_records_timeout), [a deadline](Self::get_records_deadline), [as a
/// future](Self::get_records_async), as an [iterator](Self::batches_blocking) or [a
/// stream](Self::batches) of batches, or in `select!` with [`ready`](Self::ready). Whichever it is,
/// it waits until there is a record, or the shard has ended, or records were missed.
pub struct ShardIterator {
    shard: Shard,
    cursor: Cursor,
    tally: Tally,
    /// Whether the batch with the shard's end was returned.
    ended: bool,
    /// The waker that is registered for a future, or for the bell.
    waiter: Option<WaiterId>,
    bell: Option<Bell>,
    pace: Pace,
    /// Whether a test has had it expire.
    #[cfg(feature = "testing")]
    expired: bool,
}

impl Stream {
    /// An iterator over one shard; as [`Shard::iterator`].
    ///
    /// # Errors
    ///
    /// As [`Stream::shard`] and [`Shard::iterator`].
    pub fn shard_iterator(
        &self,
        shard_id: impl std::borrow::Borrow<ShardId>,
        position: StartingPosition,
    ) -> Result<ShardIterator, Error> {
        self.shard(shard_id)?.iterator(position)
    }
}

impl Shard {
    /// An iterator that begins at a position.
    ///
    /// A sequence number need not be of a record that is still there: reading begins at the next
    /// one, and tells of those missed.
    ///
    /// # Errors
    ///
    /// [`Error::SequenceNumberOfOtherShard`], [`Error::SequenceNumberOfOtherStream`],
    /// [`Error::SequenceNumberInFuture`], [`Error::TimestampInFuture`];
    /// [`Error::ReadThrottled`] with limits; [`Error::StreamNotFound`].
    pub fn iterator(&self, position: StartingPosition) -> Result<ShardIterator, Error> {
        let cursor = self.cursor(position)?;
        Ok(ShardIterator::new(self.clone(), cursor))
    }
}

impl ShardIterator {
    pub(crate) fn new(shard: Shard, cursor: Cursor) -> Self {
        Self {
            shard,
            cursor,
            tally: Tally::default(),
            ended: false,
            waiter: None,
            bell: None,
            pace: Pace::new(),
            #[cfg(feature = "testing")]
            expired: false,
        }
    }

    /// Pulls the next records, up to `limit` (1 to 10,000) and 10 MiB, but one in any case.
    /// Never waits: the batch is empty if there are none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidLimit`]; [`Error::ReadThrottled`] with limits;
    /// [`Error::StreamNotFound`] once the stream was deleted. The position stays.
    #[inline]
    pub fn get_records(&mut self, limit: usize) -> Result<RecordBatch, Error> {
        // The bell is set again whatever comes of the pull, also a panic.
        let this = BellSet(self);
        this.0.pull(limit)
    }

    /// As [`get_records`](Self::get_records), but waits for records, at most `timeout` of the
    /// stream's clock.
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
        if self.may_pull(limit) {
            let batch = self.get_records_in_time(limit, true)?;
            if batch.is_news() {
                return Ok(batch);
            }
        }
        #[cfg(feature = "testing")]
        self.shard.before_wait()?;
        let deadline = until(&*self.shard.settings().clock);
        loop {
            let (shard, cursor) = (&self.shard, &self.cursor);
            let register = |waker| {
                let id = shard.wait_for_news(cursor, waker)?;
                Some(Undo(move || shard.stop_waiting(id)))
            };
            let clock = &*shard.settings().clock;
            let news = block_until(clock, deadline, || shard.has_news(cursor), register);
            let batch = self.get_records_in_time(limit, false)?;
            if batch.is_news() || !news {
                return Ok(batch);
            }
        }
    }

    /// Pulls records, after a moment if a writer is at it.
    fn get_records_in_time(&mut self, limit: usize, at_once: bool) -> Result<RecordBatch, Error> {
        self.pace.linger(at_once);
        let batch = self.get_records(limit)?;
        self.pace.note(batch.len());
        Ok(batch)
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
        let clock = PlainArc::clone(&self.shard.settings().clock);
        loop {
            let batch = self.get_records_until(limit, |clock| {
                // In this order: time that passes between the two ends the wait early, never late.
                let monotonic = clock.monotonic();
                monotonic.saturating_add(deadline.duration_since(clock.now()))
            })?;
            if batch.is_news() || clock.now() >= deadline {
                return Ok(batch);
            }
        }
    }

    /// As [`get_records`](Self::get_records), but waits for records without blocking the thread.
    /// No runtime is needed. A future that is dropped has read nothing.
    pub fn get_records_async(
        &mut self,
        limit: usize,
    ) -> impl Future<Output = Result<RecordBatch, Error>> + Send + '_ {
        GetRecords {
            iterator: self,
            limit,
        }
    }

    /// The batches from here on, of up to `limit` records each, as a [`futures_core::Stream`]. It
    /// ends after the batch with the end of the shard, or an error that no retry mends.
    pub const fn batches(self, limit: usize) -> Batches {
        Batches {
            iterator: self,
            limit,
            finished: false,
        }
    }

    /// The batches from here on, of up to `limit` records each, as an [`Iterator`] that blocks until
    /// there is one, for as long as it takes. It ends as [`batches`](Self::batches) does: after the
    /// batch with the end of the shard, or an error that no retry mends.
    ///
    /// ```
    /// use brooklet::{StartingPosition, Stream};
    ///
    /// let stream = Stream::new("orders", 1)?;
    /// let iterator = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
    /// let reader = std::thread::spawn(move || {
    ///     iterator.batches_blocking(100).map(|batch| Ok(batch?.len())).sum()
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

    /// A channel that holds a `()` whenever [`get_records`](Self::get_records) would give
    /// something new, for `select!` of `crossbeam_channel`.
    ///
    /// It is level-triggered: it stays full until the iterator has read everything, and falls
    /// silent after the end of the shard. It disconnects when the iterator is dropped. Each call
    /// returns a clone of the same receiver.
    ///
    /// ```
    /// use brooklet::{StartingPosition, Stream};
    /// use crossbeam_channel::{never, select};
    ///
    /// let stream = Stream::new("orders", 1)?;
    /// let mut iterator = stream.shards()[0].iterator(StartingPosition::Latest)?;
    /// let (ready, shutdown) = (iterator.ready(), never::<()>());
    /// stream.producer().put_record("customer-17", "two teapots")?;
    /// select! {
    ///     recv(ready) -> _ => assert_eq!(iterator.get_records(100)?.len(), 1),
    ///     recv(shutdown) -> _ => unreachable!(),
    /// }
    /// assert!(ready.is_empty());
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub fn ready(&mut self) -> Receiver<()> {
        let receiver = self.bell.get_or_insert_with(Bell::new).receiver();
        self.set_bell();
        receiver
    }

    /// One that goes on at a place, as of a token that was handed out.
    #[cfg(feature = "protocol")]
    pub(crate) fn at_place(shard: Shard, place: u64) -> Self {
        Self::new(shard, Cursor::at(place))
    }

    /// One that reads apart from all others, with [`poll_apart`](Self::poll_apart): no limit holds
    /// it up.
    #[cfg(feature = "protocol")]
    pub(crate) fn apart(shard: Shard, position: StartingPosition) -> Result<Self, Error> {
        let cursor = shard.cursor_apart(position)?;
        Ok(Self::new(shard, cursor))
    }

    /// Pulls records past the limits on reads, or has the task woken when there are some.
    #[cfg(feature = "protocol")]
    pub(crate) fn poll_apart(
        &mut self,
        context: &Context<'_>,
        limit: ReadLimit,
    ) -> Poll<Result<RecordBatch, Error>> {
        self.stop_waiting();
        loop {
            if self.shard.has_news(&self.cursor) {
                let batch = self
                    .shard
                    .read_apart(&mut self.cursor, limit, &mut self.tally)?;
                if batch.is_news() {
                    return Poll::Ready(Ok(batch));
                }
            }
            self.waiter = self.register(context.waker().clone());
            if self.waiter.is_some() {
                return Poll::Pending;
            }
        }
    }

    /// The place where it goes on.
    #[cfg(feature = "protocol")]
    pub(crate) const fn place(&self) -> u64 {
        self.cursor.place
    }

    /// Where it goes on, in a form that can be kept: give it to [`Shard::iterator`].
    pub fn position(&self) -> StartingPosition {
        self.shard.position(&self.cursor)
    }

    /// The shard that it reads.
    pub fn shard_id(&self) -> ShardId {
        self.shard.id()
    }

    /// Pulls records, or has the task woken when there are some.
    fn poll_get_records(
        &mut self,
        context: &Context<'_>,
        limit: usize,
    ) -> Poll<Result<RecordBatch, Error>> {
        self.stop_waiting();
        #[cfg(feature = "testing")]
        if !self.may_pull(limit) {
            self.shard.before_wait()?;
        }
        loop {
            if self.may_pull(limit) {
                let batch = self.get_records(limit)?;
                if batch.is_news() {
                    return Poll::Ready(Ok(batch));
                }
                // The bell's, if there is one: it is set again when the future is dropped.
                self.stop_waiting();
            }
            self.waiter = self.register(context.waker().clone());
            if self.waiter.is_some() {
                return Poll::Pending;
            }
        }
    }

    /// Whether a pull gives something, be it an error. Who waits asks first: an empty pull counts as
    /// one of those that limits allow.
    fn may_pull(&self, limit: usize) -> bool {
        #[cfg(feature = "testing")]
        if self.expired {
            return true;
        }
        self.shard.has_news(&self.cursor) || !(1..=GET_RECORDS_LIMIT_MAX).contains(&limit)
    }

    #[inline]
    fn pull(&mut self, limit: usize) -> Result<RecordBatch, Error> {
        #[cfg(feature = "testing")]
        self.check_not_expired(limit)?;
        // Looked at where it lies: moved word by word, it would be read again in larger pieces.
        let batch = self.shard.read(&mut self.cursor, limit, &mut self.tally);
        match &batch {
            Ok(batch) => self.ended = batch.shard_ended(),
            #[cfg(feature = "testing")]
            Err(Error::IteratorExpired { .. }) => self.expired = true,
            Err(_) => {}
        }
        batch
    }

    /// Fails once a test has had the iterator expire: it stays so.
    #[cfg(feature = "testing")]
    fn check_not_expired(&self, limit: usize) -> Result<(), Error> {
        if self.expired && (1..=GET_RECORDS_LIMIT_MAX).contains(&limit) {
            self.shard.settings().check_not_deleted()?;
            return Err(Error::IteratorExpired {
                stream: self.shard.settings().stream.to_string(),
                shard_id: self.shard_id(),
            });
        }
        Ok(())
    }

    /// Rings the bell if there is news, or has it rung when there is.
    fn set_bell(&mut self) {
        self.stop_waiting();
        let Some(bell) = self.bell.clone() else {
            return;
        };
        bell.silence();
        if self.ended {
            return;
        }
        #[cfg(feature = "testing")]
        if self.expired {
            bell.ring();
            return;
        }
        self.waiter = self.register(bell.waker());
        if self.waiter.is_none() {
            bell.ring();
        }
    }

    fn register(&self, waker: Waker) -> Option<WaiterId> {
        self.shard.wait_for_news(&self.cursor, waker)
    }

    fn stop_waiting(&mut self) {
        if let Some(id) = self.waiter.take() {
            self.shard.stop_waiting(id);
        }
    }
}

/// Sets an iterator's bell, if it has one, when it is dropped.
struct BellSet<'a>(&'a mut ShardIterator);

impl Drop for BellSet<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.bell.is_some() {
            self.0.set_bell();
        }
    }
}

impl Clone for ShardIterator {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.shard.clone(), self.cursor);
        clone.ended = self.ended;
        #[cfg(feature = "testing")]
        {
            clone.expired = self.expired;
        }
        clone
    }
}

impl Drop for ShardIterator {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl fmt::Debug for ShardIterator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardIterator")
            .field("shard_id", &self.shard_id())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

/// The future of one `get_records`.
struct GetRecords<'a> {
    iterator: &'a mut ShardIterator,
    limit: usize,
}

impl Future for GetRecords<'_> {
    type Output = Result<RecordBatch, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.iterator.poll_get_records(context, this.limit)
    }
}

impl Drop for GetRecords<'_> {
    fn drop(&mut self) {
        self.iterator.set_bell();
    }
}

/// The batches of a shard as a [`futures_core::Stream`]; see [`ShardIterator::batches`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Batches {
    iterator: ShardIterator,
    limit: usize,
    finished: bool,
}

impl Batches {
    /// The iterator, at the position after the last batch.
    pub fn into_iterator(mut self) -> ShardIterator {
        self.iterator.set_bell();
        self.iterator
    }
}

impl futures_core::Stream for Batches {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.finished {
            return Poll::Ready(None);
        }
        let result = std::task::ready!(this.iterator.poll_get_records(context, this.limit));
        this.finished = match &result {
            Ok(batch) => batch.shard_ended(),
            Err(error) => !error.is_retryable(),
        };
        Poll::Ready(Some(result))
    }
}

impl futures_core::FusedStream for Batches {
    fn is_terminated(&self) -> bool {
        self.finished
    }
}

impl Iterator for BlockingBatches<ShardIterator> {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.reader.get_records_timeout(self.limit, Duration::MAX) {
            Ok(batch) if batch.is_news() => {
                self.finished = batch.shard_ended();
                Some(Ok(batch))
            }
            // The clock is at the end of its time: nobody can wait any longer.
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
