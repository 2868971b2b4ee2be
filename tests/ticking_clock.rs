//! The clock that a thread keeps reading. That the thread ends is proved beside the clock, where the
//! thread can be seen.

use std::io::ErrorKind;
use std::time::Duration;

use brooklet::{
    Clock, Error, Parker, StartingPosition, Stream, SystemClock, TickingClock, TickingClockError,
    Timestamp,
};
use common::{millis, put_into, secs};
use wakers::in_time;

mod common;
mod wakers;

/// Waits, on the clock itself, until it shows a later time.
fn wait_for_later(clock: &TickingClock, than: Timestamp) {
    let parker = Parker::new();
    while clock.now() <= than {
        clock.park(&parker, clock.monotonic() + clock.period());
    }
}

#[test]
fn goes_on_by_itself_and_never_before_the_system() {
    in_time(|| {
        for period in [Duration::from_micros(100), millis(1), millis(20)] {
            let clock = TickingClock::with_period(period).unwrap();
            assert_eq!(clock.period(), period);
            for _ in 0..3 {
                let now = clock.now();
                assert!(now <= SystemClock.now());
                wait_for_later(&clock, now);
            }
        }
    });
}

#[test]
fn shows_the_systems_time_from_the_beginning() {
    let before = SystemClock.now();
    let clock = TickingClock::new().unwrap();
    assert!(clock.now() >= before);
    assert_eq!(clock.period(), millis(1));
}

#[test]
fn goes_on_in_a_clone_when_the_first_is_dropped() {
    in_time(|| {
        let clock = TickingClock::new().unwrap();
        let clone = clock.clone();
        drop(clock);
        wait_for_later(&clone, clone.now());
    });
}

#[test]
fn measures_timeouts_by_the_systems_time() {
    let clock = TickingClock::with_period(secs(1)).unwrap();
    let (before, passed, after) = (
        SystemClock.monotonic(),
        clock.monotonic(),
        SystemClock.monotonic(),
    );
    assert!(before <= passed && passed <= after);
}

#[test]
fn a_period_out_of_bounds_is_refused() {
    for period in [
        Duration::ZERO,
        Duration::from_nanos(99_999),
        secs(1) + Duration::from_nanos(1),
        Duration::MAX,
    ] {
        let error = TickingClock::with_period(period).unwrap_err();
        assert_eq!(error, TickingClockError::InvalidPeriod { period });
        let error = Error::from(error);
        assert_eq!(
            (error.code(), error.is_retryable()),
            ("ValidationException", false)
        );
    }
    for period in [Duration::from_micros(100), secs(1)] {
        assert!(TickingClock::with_period(period).is_ok());
    }
}

#[test]
fn a_thread_that_was_not_started_may_be_started_later() {
    let reason = ErrorKind::WouldBlock;
    let error = Error::from(TickingClockError::ThreadNotStarted { reason });
    assert_eq!(
        (error.code(), error.is_retryable()),
        ("InternalFailure", true)
    );
}

#[test]
fn records_arrive_by_it_and_are_found_by_its_time() {
    in_time(|| {
        let clock = TickingClock::new().unwrap();
        let stream = Stream::builder("orders")
            .clock(clock.clone())
            .build()
            .unwrap();
        put_into(&stream, 0, "before");
        wait_for_later(&clock, clock.now());
        let from = clock.now();
        put_into(&stream, 0, "after");
        let to = clock.now();
        let shard = &stream.shards()[0];
        let mut iterator = shard
            .iterator(StartingPosition::at_timestamp(from))
            .unwrap();
        let batch = iterator.get_records(10).unwrap();
        let record = batch.iter().next().unwrap();
        assert_eq!((record.data(), batch.len()), (&b"after"[..], 1));
        let arrival = record.approximate_arrival_timestamp();
        assert!(from <= arrival && arrival <= to);
    });
}

#[test]
fn a_reader_waits_on_it_for_a_record_and_for_the_time() {
    in_time(|| {
        let clock = TickingClock::new().unwrap();
        let stream = Stream::builder("orders").clock(clock).build().unwrap();
        let mut subscription = stream.subscribe(StartingPosition::Latest).unwrap();
        let batch = subscription.get_records_timeout(10, millis(1)).unwrap();
        assert!(batch.is_empty());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| subscription.get_records_timeout(10, secs(3600)).unwrap());
            put_into(&stream, 0, "late");
            assert_eq!(reader.join().unwrap().len(), 1);
        });
    });
}
