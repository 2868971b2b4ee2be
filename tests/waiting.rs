//! Waiting: every way to wait for records, of an iterator and of a subscription, on a clock that is
//! turned by hand.
//!
//! What both promise is written once and run for both. Nothing here sleeps: a waiting thread is
//! seen by the clock, and a wake-up that is lost fails the test instead of hanging it.

use std::iter::FusedIterator;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use brooklet::{
    Batches, BlockingBatches, Error, HashKey, Limits, ManualClock, OnFull, PutEntry, RecordBatch,
    Registry, ShardIterator, StartingPosition, Stream, Subscription, SubscriptionBatches,
    Timestamp,
};
use common::{
    build, clock, id, millis, now_ms, put_into, put_many, read_shard, refused, secs, stream, texts,
    until, view_texts,
};
use crossbeam_channel::{Receiver, Select, TryRecvError, bounded, select};
use futures_core::FusedStream;
use futures_executor::block_on;
use wakers::{FOREVER, OnWake, Wakes, in_time, poll, poll_next};

use StartingPosition::{Latest, TrimHorizon};

mod common;
mod wakers;

const HOUR: Duration = secs(3600);

type BoxedFuture<'a> = Pin<Box<dyn Future<Output = Result<RecordBatch, Error>> + Send + 'a>>;

/// What an iterator and a subscription have in common.
trait Reader: Send + Sized + 'static {
    type Batches: FusedStream<Item = Result<RecordBatch, Error>> + Send + Unpin;
    type Blocking: FusedIterator<Item = Result<RecordBatch, Error>> + Send;

    fn on(stream: &Stream, position: StartingPosition) -> Self;
    fn get(&mut self, limit: usize) -> Result<RecordBatch, Error>;
    fn timeout(&mut self, timeout: Duration) -> Result<RecordBatch, Error>;
    fn deadline(&mut self, deadline: Timestamp) -> Result<RecordBatch, Error>;
    fn future(&mut self, limit: usize) -> BoxedFuture<'_>;
    fn bell(&mut self) -> Receiver<()>;
    fn into_batches(self, limit: usize) -> Self::Batches;
    fn from_batches(batches: Self::Batches) -> Self;
    fn into_blocking(self, limit: usize) -> Self::Blocking;
    fn from_blocking(batches: Self::Blocking) -> Self;
}

macro_rules! reader {
    ($reader:ty, $batches:ty, $back:ident, |$stream:ident, $position:ident| $on:expr) => {
        impl Reader for $reader {
            type Batches = $batches;
            type Blocking = BlockingBatches<$reader>;

            fn on($stream: &Stream, $position: StartingPosition) -> Self {
                $on.expect("the position is good")
            }

            fn get(&mut self, limit: usize) -> Result<RecordBatch, Error> {
                self.get_records(limit)
            }

            fn timeout(&mut self, timeout: Duration) -> Result<RecordBatch, Error> {
                self.get_records_timeout(100, timeout)
            }

            fn deadline(&mut self, deadline: Timestamp) -> Result<RecordBatch, Error> {
                self.get_records_deadline(100, deadline)
            }

            fn future(&mut self, limit: usize) -> BoxedFuture<'_> {
                Box::pin(self.get_records_async(limit))
            }

            fn bell(&mut self) -> Receiver<()> {
                self.ready()
            }

            fn into_batches(self, limit: usize) -> Self::Batches {
                self.batches(limit)
            }

            fn from_batches(batches: Self::Batches) -> Self {
                batches.$back()
            }

            fn into_blocking(self, limit: usize) -> Self::Blocking {
                self.batches_blocking(limit)
            }

            fn from_blocking(batches: Self::Blocking) -> Self {
                batches.into_reader()
            }
        }
    };
}

reader!(ShardIterator, Batches, into_iterator, |stream, position| {
    stream.shard_iterator(id(0), position)
});
reader!(
    Subscription,
    SubscriptionBatches,
    into_subscription,
    |stream, position| stream.subscribe(position)
);

macro_rules! both_promise {
    ($($name:ident)*) => {
        mod an_iterator {
            $(#[test] fn $name() { super::$name::<super::ShardIterator>(); })*
        }
        mod a_subscription {
            $(#[test] fn $name() { super::$name::<super::Subscription>(); })*
        }
    };
}

both_promise! {
    waits_until_a_record_is_put
    does_not_wait_for_what_is_there
    gives_up_when_the_time_is_over_and_not_before
    waits_until_a_time_of_the_clock
    does_not_wait_without_time
    waits_for_as_long_as_a_duration_can_say
    goes_by_the_time_passed_when_the_clock_is_set_back
    waits_on_when_it_is_woken_for_nothing
    does_not_wait_when_records_were_missed
    wakes_when_its_stream_is_closed
    wakes_with_an_error_when_its_stream_is_deleted
    leaves_no_waiter_when_it_has_waited
    leaves_no_waiter_when_it_is_dropped
    wakes_together_with_all_others
    refuses_a_bad_limit_without_waiting
    spends_no_read_of_the_limits_on_finding_nothing

    as_a_future_is_pending_until_a_record_is_put
    as_a_future_wakes_the_last_task_that_polled_it
    as_a_future_that_is_dropped_keeps_no_waker_and_has_read_nothing
    as_a_future_may_be_polled_for_nothing
    as_a_future_wakes_when_its_stream_is_deleted
    as_a_future_needs_no_runtime
    as_a_future_whose_waker_panics_leaves_the_shard_usable

    as_batches_gives_every_record_once
    as_batches_ends_with_its_stream_and_stays_ended
    as_batches_ends_after_an_error_that_no_retry_mends
    as_batches_goes_on_after_a_throttled_read
    as_batches_can_be_turned_back
    as_batches_that_is_dropped_keeps_no_waker

    as_blocking_batches_gives_every_record_once
    as_blocking_batches_waits_for_as_long_as_it_takes
    as_blocking_batches_ends_with_its_stream_and_stays_ended
    as_blocking_batches_ends_after_an_error_that_no_retry_mends
    as_blocking_batches_wakes_when_its_stream_is_deleted
    as_blocking_batches_goes_on_after_a_throttled_read
    as_blocking_batches_tells_of_records_that_were_missed
    as_blocking_batches_ends_when_the_clock_is_at_its_end
    as_blocking_batches_can_be_turned_back
    as_blocking_batches_wakes_when_a_guard_closes_its_stream

    rings_while_there_is_something_to_read
    rings_once_for_many_records
    rings_for_a_record_though_others_were_trimmed_while_it_waited
    rings_the_same_bell_however_often_it_is_asked
    rings_for_what_is_there_when_the_bell_is_made
    rings_when_its_stream_is_deleted
    rings_after_a_future_was_given_up
    rings_after_it_was_batches
    rings_on_after_a_throttled_read
    rings_on_after_a_refused_limit
    takes_its_bell_away_when_it_is_dropped
}

/// Runs `wait` on a thread and, once that waits for the clock, `meanwhile`.
#[track_caller]
fn while_it_waits<R: Send>(
    clock: &ManualClock,
    wait: impl FnOnce() -> R + Send,
    meanwhile: impl FnOnce(),
) -> R {
    thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        until(|| clock.sleeper_count() == 1 || waiting.is_finished());
        assert!(!waiting.is_finished(), "it did not wait");
        meanwhile();
        let since = Instant::now();
        until(|| waiting.is_finished() || since.elapsed() > FOREVER);
        if !waiting.is_finished() {
            clock.advance(Duration::MAX);
            panic!("it was not woken");
        }
        waiting.join().expect("a wait does not panic")
    })
}

fn waiting_readers(stream: &Stream) -> usize {
    let shards = stream.metrics().shards;
    shards.iter().map(|shard| shard.waiting_readers).sum()
}

fn split(stream: &Stream) {
    stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
}

// Timeouts and deadlines.

fn waits_until_a_record_is_put<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, Latest);
    let put = || {
        put_into(&stream, 0, "late");
    };
    let batch = while_it_waits(&clock, || reader.timeout(HOUR), put).unwrap();
    assert_eq!(view_texts(&batch), ["late"]);
}

fn does_not_wait_for_what_is_there<R: Reader>() {
    in_time(|| {
        let (stream, _clock) = stream(1);
        put_many(&stream, 2);
        let mut reader = R::on(&stream, TrimHorizon);
        assert_eq!(view_texts(&reader.timeout(HOUR).unwrap()), ["r0", "r1"]);
    });
}

fn gives_up_when_the_time_is_over_and_not_before<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let turn = || {
        clock.advance(secs(10) - Duration::from_nanos(1));
        assert_eq!(clock.sleeper_count(), 1, "a nanosecond before");
        clock.advance(Duration::from_nanos(1));
    };
    let batch = while_it_waits(&clock, || reader.timeout(secs(10)), turn).unwrap();
    assert!(batch.is_empty() && !batch.shard_ended());
    put_into(&stream, 0, "later");
    assert_eq!(view_texts(&reader.get(10).unwrap()), ["later"]);
}

fn waits_until_a_time_of_the_clock<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let deadline = Timestamp::from_millis(now_ms(&clock) + 10_000);
    let turn = || {
        clock.advance(millis(9_999));
        assert_eq!(clock.sleeper_count(), 1, "a millisecond before");
        clock.advance(millis(1));
    };
    let batch = while_it_waits(&clock, || reader.deadline(deadline), turn).unwrap();
    assert!(batch.is_empty());
    let put = || {
        put_into(&stream, 0, "late");
    };
    let deadline = deadline + secs(10);
    let batch = while_it_waits(&clock, || reader.deadline(deadline), put).unwrap();
    assert_eq!(view_texts(&batch), ["late"]);
}

fn does_not_wait_without_time<R: Reader>() {
    in_time(|| {
        let (stream, clock) = stream(1);
        let mut reader = R::on(&stream, TrimHorizon);
        assert!(reader.timeout(Duration::ZERO).unwrap().is_empty());
        for ago_ms in [0, 1, now_ms(&clock)] {
            let deadline = Timestamp::from_millis(now_ms(&clock) - ago_ms);
            assert!(reader.deadline(deadline).unwrap().is_empty());
        }
        put_into(&stream, 0, "there");
        let batch = reader.timeout(Duration::ZERO).unwrap();
        assert_eq!(view_texts(&batch), ["there"]);
    });
}

fn waits_for_as_long_as_a_duration_can_say<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let year_and_put = || {
        clock.advance(secs(365 * 24 * 3600));
        assert_eq!(clock.sleeper_count(), 1);
        put_into(&stream, 0, "late");
    };
    let forever = while_it_waits(&clock, || reader.timeout(Duration::MAX), year_and_put);
    assert_eq!(view_texts(&forever.unwrap()), ["late"]);
    let end = Timestamp::from_millis(u64::MAX);
    let forever = while_it_waits(&clock, || reader.deadline(end), year_and_put);
    assert_eq!(view_texts(&forever.unwrap()), ["late"]);
}

fn goes_by_the_time_passed_when_the_clock_is_set_back<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let turn = || {
        clock.advance(secs(4));
        clock.set(Timestamp::from_millis(0));
        clock.advance(millis(5_999));
        assert_eq!(clock.sleeper_count(), 1, "a millisecond before");
        clock.advance(millis(1));
    };
    let batch = while_it_waits(&clock, || reader.timeout(secs(10)), turn).unwrap();
    assert!(batch.is_empty());
}

fn waits_on_when_it_is_woken_for_nothing<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let disturb = || {
        for _ in 0..20 {
            // Wakes whoever waits: what has expired may have changed.
            stream.set_retention(HOUR).unwrap();
            until(|| clock.sleeper_count() == 1);
        }
        clock.advance(millis(9_999));
        until(|| clock.sleeper_count() == 1);
        clock.advance(millis(1));
    };
    let batch = while_it_waits(&clock, || reader.timeout(secs(10)), disturb).unwrap();
    assert!(batch.is_empty());
}

fn does_not_wait_when_records_were_missed<R: Reader>() {
    in_time(|| {
        let (stream, clock) = stream(1);
        put_many(&stream, 3);
        let mut reader = R::on(&stream, TrimHorizon);
        assert_eq!(view_texts(&reader.get(1).unwrap()), ["r0"]);
        clock.advance(stream.retention() + millis(1));
        let batch = reader.timeout(HOUR).unwrap();
        assert_eq!((batch.len(), batch.missed_count()), (0, 2));
    });
}

fn wakes_when_its_stream_is_closed<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let batch = while_it_waits(&clock, || reader.timeout(HOUR), || stream.close()).unwrap();
    assert!(batch.is_empty() && batch.child_shards().is_empty());
    in_time(move || assert!(reader.timeout(HOUR).unwrap().is_empty(), "nor waits again"));
}

fn wakes_with_an_error_when_its_stream_is_deleted<R: Reader>() {
    let clock = clock();
    let registry = Registry::builder().clock(clock.clone()).build();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    let mut reader = R::on(&stream, TrimHorizon);
    let delete = || registry.delete("orders").unwrap();
    let error = refused(while_it_waits(&clock, || reader.timeout(HOUR), delete));
    assert!(matches!(error, Error::StreamNotFound { stream } if stream == "orders"));
    in_time(move || {
        let error = refused(reader.timeout(HOUR));
        assert!(
            matches!(error, Error::StreamNotFound { .. }),
            "nor waits again"
        );
    });
}

fn leaves_no_waiter_when_it_has_waited<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let waits = || assert_eq!(waiting_readers(&stream), 1);
    for round in 0..3 {
        let put = || {
            waits();
            put_into(&stream, 0, "late");
        };
        let batch = while_it_waits(&clock, || reader.timeout(HOUR), put).unwrap();
        assert_eq!(batch.len(), 1);
        assert_eq!(waiting_readers(&stream), 0, "after a record, round {round}");
        let turn = || {
            waits();
            clock.advance(HOUR);
        };
        let batch = while_it_waits(&clock, || reader.timeout(HOUR), turn).unwrap();
        assert!(batch.is_empty());
        assert!(
            waiting_readers(&stream) <= 1,
            "after the timeout, round {round}"
        );
    }
    drop(reader);
    assert_eq!(waiting_readers(&stream), 0);
}

fn leaves_no_waiter_when_it_is_dropped<R: Reader>() {
    let (stream, _clock) = stream(1);
    for _ in 0..3 {
        let mut reader = R::on(&stream, TrimHorizon);
        assert!(reader.get(10).unwrap().is_empty());
        let _bell = reader.bell();
        assert_eq!(waiting_readers(&stream), 1);
        drop(reader);
        assert_eq!(waiting_readers(&stream), 0);
    }
}

fn wakes_together_with_all_others<R: Reader>() {
    const THREADS: usize = 8;
    in_time(|| {
        let (stream, clock) = stream(1);
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..THREADS)
                .map(|_| {
                    let mut reader = R::on(&stream, TrimHorizon);
                    scope.spawn(move || view_texts(&reader.timeout(HOUR).unwrap()))
                })
                .collect();
            until(|| clock.sleeper_count() == THREADS);
            put_into(&stream, 0, "one for all");
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), ["one for all"]);
            }
        });
    });
}

// The story: a wait pulled once before, for nothing, and once after. With the one read a second that is
// allowed here, the record that ended the wait was refused.
fn spends_no_read_of_the_limits_on_finding_nothing<R: Reader>() {
    let limits = Limits::unlimited().get_records_per_second(Some(1));
    let (stream, clock) = build(Stream::builder("orders").limits(limits));
    let put = || {
        put_into(&stream, 0, "late");
    };
    let mut reader = R::on(&stream, TrimHorizon);
    let batch = while_it_waits(&clock, || reader.timeout(HOUR), put).unwrap();
    assert_eq!(view_texts(&batch), ["late"]);

    clock.advance(secs(1));
    let mut future = reader.future(10);
    for _ in 0..10 {
        assert!(poll(future.as_mut(), Waker::noop()).is_pending());
    }
    put();
    assert_eq!(view_texts(&block_on(future).unwrap()), ["late"]);

    clock.advance(secs(1));
    let mut batches = reader.into_batches(10);
    for _ in 0..10 {
        assert!(poll_next(&mut batches, Waker::noop()).is_pending());
    }
    put();
    let Poll::Ready(Some(batch)) = poll_next(&mut batches, Waker::noop()) else {
        panic!("there is a record");
    };
    assert_eq!(view_texts(&batch.unwrap()), ["late"]);

    // A wait that is over pulls once, and that is the read of this second.
    clock.advance(secs(1));
    let mut reader = R::from_batches(batches);
    let turn = || clock.advance(secs(10));
    let batch = while_it_waits(&clock, || reader.timeout(secs(10)), turn);
    assert!(batch.unwrap().is_empty());
}

fn refuses_a_bad_limit_without_waiting<R: Reader>() {
    in_time(|| {
        let (stream, _clock) = stream(1);
        let mut reader = R::on(&stream, TrimHorizon);
        for limit in [0, 10_001, usize::MAX] {
            assert_eq!(refused(reader.get(limit)), Error::InvalidLimit { limit });
            let error = refused(block_on(reader.future(limit)));
            assert_eq!(error, Error::InvalidLimit { limit });
        }
    });
}

// Futures.

fn as_a_future_is_pending_until_a_record_is_put<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let wakes = Wakes::new();
    let mut future = reader.future(10);
    assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
    assert_eq!(wakes.count(), 0);
    put_many(&stream, 2);
    assert_eq!(wakes.count(), 1, "woken once, however much is put");
    let Poll::Ready(batch) = poll(future.as_mut(), &wakes.waker()) else {
        panic!("there are records");
    };
    assert_eq!(view_texts(&batch.unwrap()), ["r0", "r1"]);
}

fn as_a_future_wakes_the_last_task_that_polled_it<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let tasks = [Wakes::new(), Wakes::new(), Wakes::new()];
    {
        let mut future = reader.future(10);
        for task in &tasks {
            assert!(poll(future.as_mut(), &task.waker()).is_pending());
        }
        put_into(&stream, 0, "r0");
    }
    assert_eq!(tasks.each_ref().map(|task| task.count()), [0, 0, 1]);
    // Nobody keeps a waker of any of them.
    assert!(tasks.iter().all(|task| Arc::strong_count(task) == 1));
}

fn as_a_future_that_is_dropped_keeps_no_waker_and_has_read_nothing<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let wakes = Wakes::new();
    for _ in 0..3 {
        assert!(poll(reader.future(10).as_mut(), &wakes.waker()).is_pending());
        assert_eq!(Arc::strong_count(&wakes), 1);
    }
    // Dropped after it was woken, and before it was polled again.
    let mut future = reader.future(10);
    assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
    put_into(&stream, 0, "r0");
    drop(future);
    // Dropped before it was ever polled.
    drop(reader.future(10));
    assert_eq!(view_texts(&reader.get(10).unwrap()), ["r0"]);
    drop(reader);
    assert_eq!(waiting_readers(&stream), 0);
}

fn as_a_future_may_be_polled_for_nothing<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let wakes = Wakes::new();
    {
        let mut future = reader.future(10);
        for _ in 0..100 {
            assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
            assert_eq!(waiting_readers(&stream), 1);
        }
        stream.set_retention(HOUR).unwrap();
        assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
        let before = wakes.count();
        put_into(&stream, 0, "r0");
        assert_eq!(wakes.count(), before + 1);
        assert!(poll(future.as_mut(), &wakes.waker()).is_ready());
    }
    drop(reader);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

fn as_a_future_wakes_when_its_stream_is_deleted<R: Reader>() {
    let registry = Registry::builder().clock(clock()).build();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    let mut reader = R::on(&stream, TrimHorizon);
    let wakes = Wakes::new();
    let mut future = reader.future(10);
    assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
    registry.delete("orders").unwrap();
    assert_eq!(wakes.count(), 1);
    let answer = poll(future.as_mut(), &wakes.waker());
    assert!(matches!(
        answer,
        Poll::Ready(Err(Error::StreamNotFound { .. }))
    ));
}

fn as_a_future_needs_no_runtime<R: Reader>() {
    in_time(|| {
        let (stream, _clock) = stream(1);
        let mut reader = R::on(&stream, TrimHorizon);
        thread::scope(|scope| {
            scope.spawn(|| {
                until(|| waiting_readers(&stream) == 1);
                put_into(&stream, 0, "r0");
            });
            assert_eq!(view_texts(&block_on(reader.future(10)).unwrap()), ["r0"]);
        });
    });
}

fn as_a_future_whose_waker_panics_leaves_the_shard_usable<R: Reader>() {
    let (stream, _clock) = stream(1);
    let (mut reader, mut other) = (R::on(&stream, TrimHorizon), R::on(&stream, TrimHorizon));
    let wakes = Wakes::new();
    let panicking = OnWake::waker(|| panic!("a waker"));
    let mut future = reader.future(10);
    let mut other_future = other.future(10);
    assert!(poll(future.as_mut(), &panicking).is_pending());
    assert!(poll(other_future.as_mut(), &wakes.waker()).is_pending());
    let put = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        stream.producer().put_record("key", "r0")
    }));
    assert!(put.is_err(), "the panic reaches whoever put");
    assert_eq!(wakes.count(), 1, "the others are woken all the same");
    put_into(&stream, 0, "r1");
    for future in [future, other_future] {
        let batch = block_on(future).unwrap();
        assert_eq!(view_texts(&batch), ["r0", "r1"], "accepted all the same");
    }
}

// Batches.

fn as_batches_gives_every_record_once<R: Reader>() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 5);
    let mut batches = R::on(&stream, TrimHorizon).into_batches(2);
    let wakes = Wakes::new();
    let mut read = Vec::new();
    while let Poll::Ready(next) = poll_next(&mut batches, &wakes.waker()) {
        let batch = next.expect("the stream is open").unwrap();
        assert!((1..=2).contains(&batch.len()));
        read.extend(view_texts(&batch));
    }
    assert_eq!(read, ["r0", "r1", "r2", "r3", "r4"]);
    assert!(!batches.is_terminated());
    put_into(&stream, 0, "r5");
    assert_eq!(wakes.count(), 1);
    let Poll::Ready(Some(Ok(batch))) = poll_next(&mut batches, &wakes.waker()) else {
        panic!("there is a record");
    };
    assert_eq!(view_texts(&batch), ["r5"]);
}

fn as_batches_ends_with_its_stream_and_stays_ended<R: Reader>() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 3);
    let mut batches = R::on(&stream, TrimHorizon).into_batches(100);
    let wakes = Wakes::new();
    assert!(matches!(
        poll_next(&mut batches, &wakes.waker()),
        Poll::Ready(Some(Ok(_)))
    ));
    assert!(poll_next(&mut batches, &wakes.waker()).is_pending());
    put_into(&stream, 0, "last");
    stream.close();
    assert!(wakes.count() >= 1);
    let mut last = 0;
    while let Poll::Ready(Some(batch)) = poll_next(&mut batches, &wakes.waker()) {
        last += batch.unwrap().len();
    }
    assert_eq!(last, 1);
    for _ in 0..3 {
        assert!(batches.is_terminated());
        assert!(matches!(
            poll_next(&mut batches, &wakes.waker()),
            Poll::Ready(None)
        ));
    }
}

fn as_batches_ends_after_an_error_that_no_retry_mends<R: Reader>() {
    let registry = Registry::builder().clock(clock()).build();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    let bad_limit = R::on(&stream, TrimHorizon).into_batches(0);
    let deleted = R::on(&stream, TrimHorizon).into_batches(10);
    registry.delete("orders").unwrap();
    for mut batches in [bad_limit, deleted] {
        let waker = Waker::noop();
        assert!(!batches.is_terminated());
        assert!(matches!(
            poll_next(&mut batches, waker),
            Poll::Ready(Some(Err(_)))
        ));
        assert!(batches.is_terminated());
        assert!(matches!(poll_next(&mut batches, waker), Poll::Ready(None)));
    }
}

fn as_batches_goes_on_after_a_throttled_read<R: Reader>() {
    let limits = Limits::unlimited().get_records_per_second(Some(1));
    let (stream, clock) = build(Stream::builder("orders").limits(limits));
    // One more than are read: while there is one to be read, a wait is a pull.
    put_many(&stream, 4);
    let mut batches = R::on(&stream, TrimHorizon).into_batches(1);
    let waker = Waker::noop();
    let mut read = Vec::new();
    for _ in 0..3 {
        let Poll::Ready(Some(Ok(batch))) = poll_next(&mut batches, waker) else {
            panic!("one read a second is allowed");
        };
        read.extend(view_texts(&batch));
        let throttled = poll_next(&mut batches, waker);
        assert!(matches!(
            throttled,
            Poll::Ready(Some(Err(Error::ReadThrottled { .. })))
        ));
        assert!(!batches.is_terminated());
        clock.advance(secs(1));
    }
    assert_eq!(read, ["r0", "r1", "r2"]);
}

fn as_batches_can_be_turned_back<R: Reader>() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 3);
    let mut batches = R::on(&stream, TrimHorizon).into_batches(2);
    let wakes = Wakes::new();
    assert!(poll_next(&mut batches, &wakes.waker()).is_ready());
    let mut reader = R::from_batches(batches);
    assert_eq!(view_texts(&reader.get(10).unwrap()), ["r2"]);
    let mut batches = reader.into_batches(2);
    assert!(poll_next(&mut batches, &wakes.waker()).is_pending());
    let _reader = R::from_batches(batches);
    assert_eq!(Arc::strong_count(&wakes), 1, "a waker was kept");
}

fn as_batches_that_is_dropped_keeps_no_waker<R: Reader>() {
    let (stream, _clock) = stream(1);
    let wakes = Wakes::new();
    let mut batches = R::on(&stream, TrimHorizon).into_batches(2);
    assert!(poll_next(&mut batches, &wakes.waker()).is_pending());
    drop(batches);
    assert_eq!(
        (Arc::strong_count(&wakes), waiting_readers(&stream)),
        (1, 0)
    );
}

// Blocking batches.

fn as_blocking_batches_gives_every_record_once<R: Reader>() {
    in_time(|| {
        let (stream, _clock) = stream(1);
        put_many(&stream, 5);
        stream.close();
        let mut read = Vec::new();
        for batch in R::on(&stream, TrimHorizon).into_blocking(2) {
            let batch = batch.unwrap();
            assert!((1..=2).contains(&batch.len()));
            read.extend(view_texts(&batch));
        }
        assert_eq!(read, ["r0", "r1", "r2", "r3", "r4"]);
    });
}

fn as_blocking_batches_waits_for_as_long_as_it_takes<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut batches = R::on(&stream, TrimHorizon).into_blocking(10);
    for data in ["first", "second"] {
        let year_and_put = || {
            clock.advance(secs(365 * 24 * 3600));
            assert_eq!(clock.sleeper_count(), 1, "it waits on");
            put_into(&stream, 0, data);
        };
        let batch = while_it_waits(&clock, || batches.next(), year_and_put);
        assert_eq!(view_texts(&batch.unwrap().unwrap()), [data]);
    }
    assert_eq!(waiting_readers_left_by(batches, &stream), 0);
}

fn waiting_readers_left_by<T>(reader: T, stream: &Stream) -> usize {
    drop(reader);
    waiting_readers(stream)
}

fn as_blocking_batches_ends_with_its_stream_and_stays_ended<R: Reader>() {
    let (stream, clock) = stream(1);
    put_many(&stream, 3);
    let mut batches = R::on(&stream, TrimHorizon).into_blocking(100);
    assert_eq!(batches.next().unwrap().unwrap().len(), 3);
    let close = || stream.close();
    // An iterator is told of the end of its shard by a batch; a subscription is at its end.
    let ended = while_it_waits(&clock, || batches.next(), close);
    assert!(ended.is_none_or(|batch| batch.unwrap().is_empty()));
    in_time(move || {
        for _ in 0..3 {
            assert!(batches.next().is_none());
        }
    });
}

fn as_blocking_batches_ends_after_an_error_that_no_retry_mends<R: Reader>() {
    in_time(|| {
        let registry = Registry::builder().clock(clock()).build();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        let bad_limit = R::on(&stream, TrimHorizon).into_blocking(0);
        let deleted = R::on(&stream, TrimHorizon).into_blocking(10);
        registry.delete("orders").unwrap();
        for mut batches in [bad_limit, deleted] {
            assert!(!refused(batches.next().unwrap()).is_retryable());
            assert!(batches.next().is_none());
            assert!(batches.next().is_none());
        }
    });
}

fn as_blocking_batches_wakes_when_its_stream_is_deleted<R: Reader>() {
    let clock = clock();
    let registry = Registry::builder().clock(clock.clone()).build();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    let mut batches = R::on(&stream, TrimHorizon).into_blocking(10);
    let delete = || registry.delete("orders").unwrap();
    let error = refused(while_it_waits(&clock, || batches.next(), delete).unwrap());
    assert!(matches!(error, Error::StreamNotFound { .. }));
    assert!(in_time(move || batches.next()).is_none());
}

fn as_blocking_batches_goes_on_after_a_throttled_read<R: Reader>() {
    in_time(|| {
        let limits = Limits::unlimited().get_records_per_second(Some(1));
        let (stream, clock) = build(Stream::builder("orders").limits(limits));
        put_many(&stream, 4);
        let mut batches = R::on(&stream, TrimHorizon).into_blocking(1);
        let mut read = Vec::new();
        for _ in 0..3 {
            read.extend(view_texts(&batches.next().unwrap().unwrap()));
            let throttled = refused(batches.next().unwrap());
            assert!(matches!(throttled, Error::ReadThrottled { .. }));
            clock.advance(secs(1));
        }
        assert_eq!(read, ["r0", "r1", "r2"]);
    });
}

fn as_blocking_batches_tells_of_records_that_were_missed<R: Reader>() {
    in_time(|| {
        let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
        let mut batches = R::on(&stream, TrimHorizon).into_blocking(10);
        put_many(&stream, 1);
        assert_eq!(batches.next().unwrap().unwrap().missed_count(), 0);
        put_many(&stream, 3);
        clock.advance(secs(11));
        let batch = batches.next().unwrap().unwrap();
        assert_eq!((batch.len(), batch.missed_count()), (0, 3));
    });
}

fn as_blocking_batches_ends_when_the_clock_is_at_its_end<R: Reader>() {
    let (stream, clock) = stream(1);
    let mut batches = R::on(&stream, TrimHorizon).into_blocking(10);
    let end_of_time = || clock.advance(Duration::MAX);
    let next = while_it_waits(&clock, || batches.next(), end_of_time);
    assert!(next.is_none());
    assert!(in_time(move || batches.next()).is_none());
}

fn as_blocking_batches_can_be_turned_back<R: Reader>() {
    in_time(|| {
        let (stream, _clock) = stream(1);
        put_many(&stream, 3);
        let mut batches = R::on(&stream, TrimHorizon).into_blocking(2);
        assert_eq!(view_texts(&batches.next().unwrap().unwrap()), ["r0", "r1"]);
        let mut reader = R::from_blocking(batches);
        assert_eq!(view_texts(&reader.get(10).unwrap()), ["r2"]);
    });
}

fn as_blocking_batches_wakes_when_a_guard_closes_its_stream<R: Reader>() {
    let (stream, clock) = stream(1);
    let batches = R::on(&stream, TrimHorizon).into_blocking(10);
    let producer_that_panics = || {
        let producing = || {
            let _closed = stream.close_on_drop();
            put_many(&stream, 3);
            std::panic::panic_any("the producer is gone");
        };
        let panicked = thread::scope(|scope| scope.spawn(producing).join());
        assert!(panicked.is_err());
    };
    let read = || batches.map(|batch| batch.unwrap().len()).sum::<usize>();
    assert_eq!(while_it_waits(&clock, read, producer_that_panics), 3);
}

// The bell.

fn rings_while_there_is_something_to_read<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bell = reader.bell();
    for _ in 0..3 {
        assert!(bell.is_empty(), "there is nothing to read");
        put_many(&stream, 2);
        assert!(bell.is_full());
        assert_eq!(reader.get(1).unwrap().len(), 1);
        assert!(bell.is_full(), "one record is left");
        assert_eq!(bell.try_recv(), Ok(()));
        assert_eq!(reader.get(1).unwrap().len(), 1);
        // A subscription looks once more before it knows that a shard has nothing.
        while bell.try_recv().is_ok() {
            assert!(reader.get(1).unwrap().is_empty());
        }
    }
}

fn rings_once_for_many_records<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bell = reader.bell();
    put_many(&stream, 10);
    assert_eq!(bell.try_recv(), Ok(()));
    assert_eq!(bell.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(reader.get(100).unwrap().len(), 10);
}

// What is left to be done once a shard's lock is released is to drop large data, or to wake readers: one
// must not be taken for the other.
fn rings_for_a_record_though_others_were_trimmed_while_it_waited<R: Reader>() {
    let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
    let mut reader = R::on(&stream, TrimHorizon);
    for _ in 0..100 {
        let large = vec![0; 100_000];
        stream.producer().put_record("key", large).unwrap();
    }
    while !reader.get(100).unwrap().is_empty() {}
    let bell = reader.bell();
    clock.advance(secs(11));
    assert!(R::on(&stream, TrimHorizon).get(10).unwrap().is_empty());
    while bell.try_recv().is_ok() {
        assert!(reader.get(10).unwrap().is_empty());
    }
    put_into(&stream, 0, "r0");
    assert_eq!(bell.try_recv(), Ok(()));
    assert_eq!(view_texts(&reader.get(10).unwrap()), ["r0"]);
}

fn rings_the_same_bell_however_often_it_is_asked<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bells = [reader.bell(), reader.bell(), reader.bell()];
    assert_eq!(waiting_readers(&stream), 1);
    put_into(&stream, 0, "r0");
    assert!(bells.iter().all(Receiver::is_full));
    assert!(bells[0].same_channel(&bells[1]) && bells[0].same_channel(&bells[2]));
}

fn rings_for_what_is_there_when_the_bell_is_made<R: Reader>() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 1);
    assert!(R::on(&stream, TrimHorizon).bell().try_recv().is_ok());
}

fn rings_when_its_stream_is_deleted<R: Reader>() {
    let registry = Registry::builder().clock(clock()).build();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bell = reader.bell();
    registry.delete("orders").unwrap();
    assert_eq!(bell.try_recv(), Ok(()));
    assert!(matches!(
        refused(reader.get(10)),
        Error::StreamNotFound { .. }
    ));
}

fn rings_after_a_future_was_given_up<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bell = reader.bell();
    assert!(poll(reader.future(10).as_mut(), Waker::noop()).is_pending());
    put_into(&stream, 0, "r0");
    assert_eq!(bell.try_recv(), Ok(()));
    assert_eq!(view_texts(&reader.get(10).unwrap()), ["r0"]);
}

fn rings_after_it_was_batches<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bell = reader.bell();
    let mut batches = reader.into_batches(10);
    assert!(poll_next(&mut batches, Waker::noop()).is_pending());
    let mut reader = R::from_batches(batches);
    put_into(&stream, 0, "r0");
    assert_eq!(bell.try_recv(), Ok(()), "there is a record to read");
    assert_eq!(view_texts(&reader.get(10).unwrap()), ["r0"]);
}

// The story: whoever takes the `()` out and is then refused the read has to hear of the records once
// more, or a loop around `select!` sleeps on them for ever.
fn rings_on_after_a_throttled_read<R: Reader>() {
    let limits = Limits::unlimited().get_records_per_second(Some(1));
    let (stream, clock) = build(Stream::builder("orders").limits(limits));
    let mut reader = R::on(&stream, TrimHorizon);
    let bell = reader.bell();
    put_many(&stream, 2);
    assert_eq!(bell.try_recv(), Ok(()));
    assert_eq!(view_texts(&reader.get(1).unwrap()), ["r0"]);
    assert_eq!(bell.try_recv(), Ok(()), "a record is left");
    assert!(matches!(
        refused(reader.get(1)),
        Error::ReadThrottled { .. }
    ));
    assert_eq!(bell.try_recv(), Ok(()), "it is still left");
    clock.advance(secs(1));
    assert_eq!(view_texts(&reader.get(1).unwrap()), ["r1"]);
}

fn rings_on_after_a_refused_limit<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    let bell = reader.bell();
    put_many(&stream, 1);
    assert_eq!(bell.try_recv(), Ok(()));
    assert!(matches!(refused(reader.get(0)), Error::InvalidLimit { .. }));
    assert_eq!(bell.try_recv(), Ok(()), "a record is left");
}

fn takes_its_bell_away_when_it_is_dropped<R: Reader>() {
    let (stream, _clock) = stream(1);
    let mut reader = R::on(&stream, TrimHorizon);
    assert!(reader.get(10).unwrap().is_empty());
    let bell = reader.bell();
    drop(reader);
    assert_eq!(bell.try_recv(), Err(TryRecvError::Disconnected));
    // Nothing of it is left that could be woken.
    put_into(&stream, 0, "r0");
}

// Puts that wait for room.

#[test]
fn a_batch_waits_for_room_and_is_answered_entry_by_entry() {
    for shard_count in [1, 2] {
        let builder = Stream::builder("orders")
            .shard_count(shard_count)
            .capacity_records(2)
            .retention(secs(10))
            .on_full(OnFull::Wait(HOUR));
        let (stream, clock) = build(builder);
        let entries = (0..8_u32).map(|i| {
            let shard = u128::from(i % shard_count);
            PutEntry::new("key", format!("r{i}")).explicit_hash_key(HashKey::new(shard << 127))
        });
        let entries: Vec<_> = entries.take(4 * shard_count as usize).collect();
        let put = || stream.producer().put_records(entries).unwrap();
        let output = while_it_waits(&clock, put, || clock.advance(secs(11)));
        assert_eq!(output.failed_record_count(), 0);
        let numbers: Vec<_> = output.into_result().unwrap();
        let of_first = numbers.iter().step_by(shard_count as usize);
        let of_first: Vec<_> = of_first.map(|put| put.sequence_number()).collect();
        assert_eq!(of_first.len(), 4);
        assert!(of_first.is_sorted_by(|a, b| a < b), "{of_first:?}");
        // The others have expired: that is how there came to be room.
        let last = (2 * shard_count..4 * shard_count).map(|i| format!("r{i}"));
        let mut kept: Vec<_> = (0..shard_count)
            .flat_map(|index| texts(&read_shard(&stream, index)))
            .collect();
        kept.sort();
        assert_eq!(kept, last.collect::<Vec<_>>());
    }
}

// What only one of them promises.

#[test]
fn an_iterator_wakes_when_its_shard_ends() {
    let (stream, clock) = stream(1);
    let mut iterator = ShardIterator::on(&stream, Latest);
    let batch = while_it_waits(&clock, || iterator.timeout(HOUR), || split(&stream)).unwrap();
    assert!(batch.shard_ended() && batch.is_empty());
    assert_eq!(batch.child_shards().len(), 2);
    in_time(move || {
        assert!(
            iterator.timeout(HOUR).unwrap().shard_ended(),
            "told again at once"
        )
    });
}

#[test]
fn an_iterators_bell_rings_for_the_end_of_its_shard_and_is_silent_then() {
    let (stream, _clock) = stream(1);
    let mut iterator = ShardIterator::on(&stream, Latest);
    let bell = iterator.ready();
    assert!(bell.is_empty());
    split(&stream);
    assert_eq!(bell.try_recv(), Ok(()));
    assert!(iterator.get_records(10).unwrap().shard_ended());
    assert_eq!(bell.try_recv(), Err(TryRecvError::Empty));
    assert!(iterator.get_records(10).unwrap().shard_ended());
    assert!(iterator.ready().is_empty(), "it was told before");
}

#[test]
fn the_batches_of_an_iterator_end_with_the_shard_and_its_last_records() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 2);
    split(&stream);
    let mut batches = ShardIterator::on(&stream, TrimHorizon).batches(1);
    let waker = Waker::noop();
    let mut ended = Vec::new();
    while let Poll::Ready(Some(batch)) = poll_next(&mut batches, waker) {
        let batch = batch.unwrap();
        ended.push((view_texts(&batch), batch.shard_ended()));
    }
    assert_eq!(
        ended,
        [
            (vec!["r0".to_owned()], false),
            (vec!["r1".to_owned()], true)
        ]
    );
    assert!(batches.is_terminated());
}

#[test]
fn the_blocking_batches_of_an_iterator_end_with_the_shard_and_its_last_records() {
    let ended: Vec<_> = in_time(|| {
        let (stream, _clock) = stream(1);
        put_many(&stream, 2);
        split(&stream);
        ShardIterator::on(&stream, TrimHorizon)
            .batches_blocking(1)
            .map(Result::unwrap)
            .map(|batch| (batch.len(), batch.shard_ended()))
            .collect()
    });
    assert_eq!(ended, [(1, false), (1, true)]);
}

#[test]
fn the_blocking_batches_of_a_subscription_follow_splits() {
    let read: Vec<_> = in_time(|| {
        let (stream, _clock) = stream(1);
        put_into(&stream, 0, "parent");
        split(&stream);
        put_into(&stream, 1, "child");
        stream.close();
        Subscription::on(&stream, TrimHorizon)
            .batches_blocking(10)
            .flat_map(|batch| view_texts(&batch.unwrap()))
            .collect()
    });
    assert_eq!(read, ["parent", "child"]);
}

#[test]
fn a_clone_of_an_iterator_has_neither_its_bell_nor_its_waiter() {
    let (stream, _clock) = stream(1);
    let mut iterator = ShardIterator::on(&stream, TrimHorizon);
    let bell = iterator.ready();
    let mut clone = iterator.clone();
    assert_eq!(waiting_readers(&stream), 1);
    let clones_bell = clone.ready();
    assert!(!bell.same_channel(&clones_bell));
    put_into(&stream, 0, "r0");
    assert_eq!(view_texts(&clone.get_records(10).unwrap()), ["r0"]);
    assert!(bell.is_full() && clones_bell.is_empty());
    drop(clone);
    assert_eq!(view_texts(&iterator.get_records(10).unwrap()), ["r0"]);
}

#[test]
fn a_subscription_waits_on_across_a_split_for_the_records_of_the_children() {
    let (stream, clock) = stream(1);
    let mut subscription = Subscription::on(&stream, Latest);
    let split_and_put = || {
        split(&stream);
        put_into(&stream, 2, "upper");
    };
    let batch = while_it_waits(&clock, || subscription.timeout(HOUR), split_and_put).unwrap();
    assert_eq!(
        (batch.shard_id(), view_texts(&batch)),
        (id(2), vec!["upper".to_owned()])
    );
}

#[test]
fn a_subscription_is_woken_by_any_of_its_shards() {
    let (stream, _clock) = stream(8);
    let mut subscription = Subscription::on(&stream, TrimHorizon);
    let wakes = Wakes::new();
    for index in [7, 0, 3, 3, 5] {
        let before = wakes.count();
        let mut future = pin!(subscription.get_records_async(10));
        assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
        put_into(&stream, index, "x");
        assert_eq!(wakes.count(), before + 1);
        let Poll::Ready(Ok(batch)) = poll(future.as_mut(), &wakes.waker()) else {
            panic!("there is a record");
        };
        assert_eq!((batch.shard_id(), batch.len()), (id(index), 1));
    }
}

#[test]
fn a_subscription_to_a_closed_stream_does_not_wait_once_it_has_read_everything() {
    in_time(|| {
        let (stream, _clock) = stream(3);
        put_into(&stream, 1, "x");
        stream.close();
        let mut subscription = Subscription::on(&stream, TrimHorizon);
        assert_eq!(view_texts(&subscription.timeout(HOUR).unwrap()), ["x"]);
        assert!(subscription.timeout(HOUR).unwrap().is_empty());
        assert!(subscription.is_finished());
        assert!(
            block_on(subscription.get_records_async(10))
                .unwrap()
                .is_empty()
        );
    });
}

// `select!`.

#[test]
fn one_thread_reads_several_shards_with_select() {
    in_time(|| {
        let (stream, _clock) = stream(3);
        let (stop, stopped) = bounded::<()>(1);
        let mut iterators: Vec<_> = (0..3)
            .map(|index| stream.shard_iterator(id(index), TrimHorizon).unwrap())
            .collect();
        let bells: Vec<_> = iterators.iter_mut().map(ShardIterator::ready).collect();
        thread::scope(|scope| {
            let stream = &stream;
            let reader = scope.spawn(move || {
                let mut counts = [0; 3];
                loop {
                    let index = select! {
                        recv(bells[0]) -> _ => 0,
                        recv(bells[1]) -> _ => 1,
                        recv(bells[2]) -> _ => 2,
                        recv(stopped) -> _ => return counts,
                    };
                    // One at a time: the bell has to ring on for the rest.
                    counts[index] += iterators[index].get_records(1).unwrap().len();
                    if counts == [300, 200, 100] {
                        return counts;
                    }
                }
            });
            for round in 0..300 {
                put_into(stream, 0, "x");
                if round < 200 {
                    put_into(stream, 1, "x");
                }
                if round < 100 {
                    put_into(stream, 2, "x");
                }
            }
            assert_eq!(reader.join().unwrap(), [300, 200, 100]);
        });
        drop(stop);
    });
}

#[test]
fn any_number_of_bells_can_be_selected_from_and_none_starves() {
    in_time(|| {
        let (stream, _clock) = stream(16);
        let mut iterators: Vec<_> = (0..16)
            .map(|index| stream.shard_iterator(id(index), TrimHorizon).unwrap())
            .collect();
        let bells: Vec<_> = iterators.iter_mut().map(ShardIterator::ready).collect();
        for round in 0..20 {
            for index in 0..16 {
                put_into(&stream, index, &format!("{round}"));
            }
        }
        let mut left = 16 * 20;
        while left > 0 {
            let mut select = Select::new();
            for bell in &bells {
                select.recv(bell);
            }
            let operation = select.select();
            let index = operation.index();
            operation.recv(&bells[index]).unwrap();
            left -= iterators[index].get_records(3).unwrap().len();
        }
        assert!(bells.iter().all(Receiver::is_empty));
    });
}

#[test]
fn bells_futures_and_timeouts_of_many_readers_live_side_by_side() {
    in_time(|| {
        let (stream, clock) = stream(1);
        let mut belled = ShardIterator::on(&stream, TrimHorizon);
        let bell = belled.ready();
        let mut polled = ShardIterator::on(&stream, TrimHorizon);
        let wakes = Wakes::new();
        let mut future = polled.future(10);
        assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
        let mut blocked = ShardIterator::on(&stream, TrimHorizon);
        let batch = while_it_waits(
            &clock,
            || blocked.timeout(HOUR),
            || {
                assert_eq!(waiting_readers(&stream), 3);
                put_into(&stream, 0, "for all");
            },
        );
        assert_eq!(view_texts(&batch.unwrap()), ["for all"]);
        assert_eq!((wakes.count(), bell.try_recv()), (1, Ok(())));
        assert_eq!(view_texts(&block_on(future).unwrap()), ["for all"]);
        assert_eq!(view_texts(&belled.get_records(10).unwrap()), ["for all"]);
    });
}

#[test]
fn no_wake_up_is_lost_between_a_producer_and_a_reader_in_a_hurry() {
    in_time(|| {
        const RECORDS: usize = 20_000;
        let (stream, _clock) = stream(1);
        let mut iterator = ShardIterator::on(&stream, TrimHorizon);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut count = 0;
                while count < RECORDS {
                    // The clock stands still: only a wake-up ends the wait.
                    count += iterator.get_records_timeout(3, HOUR).unwrap().len();
                }
                count
            });
            let producer = stream.producer();
            for _ in 0..RECORDS {
                producer.put_record("key", "x").unwrap();
            }
            assert_eq!(reader.join().unwrap(), RECORDS);
        });
        assert_eq!(waiting_readers(&stream), 0);
    });
}
