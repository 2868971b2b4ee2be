//! The frames of one subscription.
//!
//! # Promises, and how they could break
//!
//! 1. **Nothing is lost, repeated or late.** Whoever waits has a waker with the shard, with the
//!    timer and with [`Ending`](super::Ending), each set before the last look at what it waits for.
//! 2. **It holds nothing once it has ended or was dropped**: the waiter is the iterator's, the alarm
//!    is taken back when it is dropped, and so is the claim on the shard.
//! 3. **A subscription can be continued from any of its events**: the number that an event gives is
//!    above those of all records up to it and below those of all after it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::iterator::ShardIterator;
use crate::limits::GET_RECORDS_LIMIT_MAX;
use crate::log::ReadLimit;
use crate::protocol::account::Account;
use crate::protocol::codec::Encoding;
use crate::protocol::exception::Exception;
use crate::protocol::operations::Call;
use crate::protocol::operations::iterators::{
    Encrypted, children_value, json_bytes, record_to_json,
};
use crate::protocol::{Service, events, json};
use crate::sequence::{SequenceNumber, Text};
use crate::shard::{RecordBatch, Shard};
use crate::timer::Alarm;

use super::Claim;

/// A subscription lasts so long.
const LIFE: Duration = Duration::from_secs(300);
/// There is an event at least so often.
const IDLE: Duration = Duration::from_secs(5);
/// The records of one event, at most.
const EVENT: ReadLimit = ReadLimit {
    records: GET_RECORDS_LIMIT_MAX as u64,
    bytes: 2 * 1024 * 1024,
};

/// A subscription as a stream of frames.
pub(super) struct Push {
    stage: Stage,
    service: Service,
    claim: Claim,
    shard: Shard,
    iterator: ShardIterator,
    alarm: Option<Alarm>,
    /// When it ends, the next idle event is due, and records may be sent again: on the clock's
    /// monotonic time.
    ends_at: Duration,
    idle_at: Duration,
    paced_until: Duration,
    /// Seconds of the last event's number.
    number_secs: u64,
    /// How far behind the last event was.
    millis_behind: u64,
    /// That of the last record.
    text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first frame is due.
    Begun,
    Open,
    Over,
}

impl Push {
    pub(super) fn new(
        service: &Service,
        claim: Claim,
        shard: Shard,
        iterator: ShardIterator,
    ) -> Self {
        let now = service.registry.clock().monotonic();
        Self {
            stage: Stage::Begun,
            service: service.clone(),
            claim,
            number_secs: shard.origin().created_secs,
            shard,
            iterator,
            alarm: None,
            ends_at: now.saturating_add(LIFE),
            // The first event comes at once.
            idle_at: now,
            paced_until: now,
            millis_behind: 0,
            text: Text::new(),
        }
    }

    fn poll_open(&mut self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(exception) = self.claim.ending.poll(context.waker()) {
            return Poll::Ready(Some(self.fail(&exception)));
        }
        let now = self.service.registry.clock().monotonic();
        if now >= self.ends_at {
            self.finish();
            return Poll::Ready(None);
        }
        let is_paced = now < self.paced_until;
        if !is_paced && let Poll::Ready(frame) = self.poll_records(context, now) {
            return Poll::Ready(Some(frame));
        }
        if now >= self.idle_at {
            if !is_paced {
                self.millis_behind = 0;
            }
            return Poll::Ready(Some(self.event_or_failure(None, now)));
        }
        match self.set_alarm(now, context.waker()) {
            Ok(()) => Poll::Pending,
            Err(_) => {
                let failure = Exception::named(
                    "InternalFailureException",
                    "The thread of the timer was not started.",
                );
                Poll::Ready(Some(self.fail(&failure)))
            }
        }
    }

    /// The next records as a frame.
    fn poll_records(&mut self, context: &Context<'_>, now: Duration) -> Poll<Bytes> {
        loop {
            let batch = match std::task::ready!(self.iterator.poll_apart(context, EVENT)) {
                Ok(batch) => batch,
                Err(error) => {
                    let name = self.claim.stream.name();
                    let exception = self.call(|call| call.exception(name, &error));
                    return Poll::Ready(self.fail(&exception));
                }
            };
            // It may tell of missed records alone, of which the service says nothing.
            if !batch.is_empty() || batch.shard_ended() {
                return Poll::Ready(self.event_or_failure(Some(&batch), now));
            }
        }
    }

    /// An event, unless the consumer is gone.
    fn event_or_failure(&mut self, batch: Option<&RecordBatch>, now: Duration) -> Bytes {
        let registered = self.call(|call| {
            self.claim.check_registered(call)?;
            Ok(Encrypted::of(&call.state(&self.claim.stream).attributes()))
        });
        match registered {
            Ok(encrypted) => self.event(batch, &encrypted, now),
            Err(exception) => self.fail(&exception),
        }
    }

    fn event(
        &mut self,
        batch: Option<&RecordBatch>,
        encrypted: &Encrypted,
        now: Duration,
    ) -> Bytes {
        self.idle_at = now.saturating_add(IDLE);
        if let Some(batch) = batch {
            self.millis_behind = batch.millis_behind_latest();
            self.pace(batch.spans.user_bytes(), now);
        }
        let mut out = Vec::with_capacity(batch.map_or(256, json_bytes));
        out.extend_from_slice(b"{\"Records\":[");
        for (index, record) in batch.into_iter().flatten().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            record_to_json(&record, encrypted.is(&record), &mut self.text, &mut out);
        }
        out.push(b']');
        let ended = batch.filter(|batch| batch.shard_ended());
        if ended.is_none() {
            let number = self.continuation(batch);
            out.extend_from_slice(b",\"ContinuationSequenceNumber\":\"");
            out.extend_from_slice(number.to_string().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"MillisBehindLatest\":");
        out.extend_from_slice(self.millis_behind.to_string().as_bytes());
        if let Some(last) = ended {
            out.extend_from_slice(b",\"ChildShards\":");
            json::encode(&children_value(last.child_shards()), &mut out);
            self.finish();
        }
        out.push(b'}');
        events::event("SubscribeToShardEvent", out)
    }

    /// Where to go on after this event. The second is one after the last record's, at least, so that
    /// it is above that record whether it is asked for as AT or as AFTER.
    fn continuation(&mut self, batch: Option<&RecordBatch>) -> SequenceNumber {
        let origin = self.shard.origin();
        let last_ms = batch.and_then(|batch| batch.spans.last_arrival());
        let above = last_ms.map_or(0, |last_ms| last_ms / 1000 + 1);
        let now_secs = self.service.registry.clock().now().as_secs();
        self.number_secs = self.number_secs.max(above).max(now_secs);
        SequenceNumber::new(
            origin.created_secs,
            origin.shard_id.index(),
            self.iterator.place().saturating_sub(1),
            self.number_secs,
        )
    }

    /// Keeps what follows waiting for as long as so many bytes take, if the stream limits its
    /// readers.
    fn pace(&mut self, bytes: u64, now: Duration) {
        let limits = &self.shard.settings().limits;
        if let Some(rate) = limits.read_bytes_per_second {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
            let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.paced_until = self.paced_until.max(now).saturating_add(takes);
        }
    }

    /// Has the task woken when something is due.
    fn set_alarm(&mut self, now: Duration, waker: &Waker) -> io::Result<()> {
        let mut next = self.ends_at.min(self.idle_at);
        if self.paced_until > now {
            next = next.min(self.paced_until);
        }
        let timer = &Account::of(&self.service.registry).timer;
        timer.set(&mut self.alarm, now, next, waker)
    }

    fn fail(&mut self, exception: &Exception) -> Bytes {
        self.finish();
        events::exception(exception)
    }

    /// Lets go of all that it holds.
    fn finish(&mut self) {
        self.stage = Stage::Over;
        self.alarm = None;
        self.claim.release();
    }

    /// Asks as a call does that comes now.
    fn call<R>(&self, ask: impl FnOnce(&Call<'_>) -> R) -> R {
        let call = Call::new(&self.service, Encoding::Json);
        // Looks at the clock before anything is locked.
        call.now();
        ask(&call)
    }
}

impl futures_core::Stream for Push {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        match this.stage {
            Stage::Begun => {
                this.stage = Stage::Open;
                Poll::Ready(Some(events::initial_response()))
            }
            Stage::Open => this.poll_open(context),
            Stage::Over => Poll::Ready(None),
        }
    }
}
