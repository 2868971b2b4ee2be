//! Waiting: no wake-up is lost. One that is shows as a model that waits for ever.

use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use super::*;
use crate::clock::ManualClock;
use crate::error::Error;
use crate::iterator::ShardIterator;
use crate::registry::Registry;
use crate::shard::OnFull;
use crate::starting_position::StartingPosition;
use crate::sync::PlainArc;

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: PlainArc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn from_the_horizon(shard: &Shard) -> ShardIterator {
    shard.iterator(StartingPosition::TrimHorizon).unwrap()
}

/// Waits until there is news, however long that takes.
fn wait(iterator: &mut ShardIterator) -> usize {
    iterator
        .get_records_timeout(100, Duration::MAX)
        .unwrap()
        .len()
}

#[test]
fn a_parker_that_is_unparked_does_not_sleep() {
    model(&["done"], |outcomes| {
        let parker = Parker::new();
        let unparking = thread::spawn({
            let parker = parker.clone();
            move || parker.unpark()
        });
        parker.park();
        unparking.join().unwrap();
        // And once more: a wake-up that was used is used up, a new one is not.
        let waker = parker.waker();
        let unparking = thread::spawn(move || waker.wake());
        parker.park();
        unparking.join().unwrap();
        outcomes.came_to("done");
    });
}

#[test]
fn a_sleeper_is_woken_when_the_clock_is_turned_to_its_time() {
    model(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let turning = thread::spawn({
            let clock = clock.clone();
            move || {
                clock.advance(Duration::from_secs(1));
                clock.advance(Duration::from_secs(1));
            }
        });
        let deadline = Duration::from_secs(2);
        while clock.monotonic() < deadline {
            clock.park(&Parker::new(), deadline);
        }
        turning.join().unwrap();
        assert_eq!(clock.sleeper_count(), 0);
        outcomes.came_to("done");
    });
}

#[test]
fn a_reader_that_waits_is_given_the_record() {
    model(&["one", "both"], |outcomes| {
        let shard = shard(10);
        let mut iterator = from_the_horizon(&shard);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, 1..=2)
        });
        let first = wait(&mut iterator);
        outcomes.came_to(["", "one", "both"][first]);
        if first == 1 {
            assert_eq!(wait(&mut iterator), 1);
        }
        writing.join().unwrap();
        assert_eq!(shard.metrics().waiting_readers, 0);
    });
}

#[test]
fn each_of_two_readers_that_wait_is_given_the_record() {
    model(&["done"], |outcomes| {
        let shard = shard(10);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut iterator = from_the_horizon(&shard);
                thread::spawn(move || assert_eq!(wait(&mut iterator), 1))
            })
            .collect();
        put(&shard, small(1)).unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
        outcomes.came_to("done");
    });
}

#[test]
fn a_reader_that_waits_is_woken_by_either_of_two_producers() {
    model_within(2, &["one", "both"], |outcomes| {
        let shard = shard(10);
        let mut iterator = from_the_horizon(&shard);
        let producers: Vec<_> = (1..=2)
            .map(|n| {
                let shard = shard.clone();
                thread::spawn(move || put_all(&shard, [n]))
            })
            .collect();
        let first = wait(&mut iterator);
        outcomes.came_to(["", "one", "both"][first]);
        if first == 1 {
            assert_eq!(wait(&mut iterator), 1);
        }
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

#[test]
fn a_reader_that_waits_is_told_of_the_end() {
    model(&["done"], |outcomes| {
        let stream = builder().build().unwrap();
        let mut iterator = from_the_horizon(&stream.shards()[0]);
        let closing = thread::spawn(move || stream.close());
        let batch = iterator.get_records_timeout(100, Duration::MAX).unwrap();
        assert!(batch.shard_ended());
        closing.join().unwrap();
        outcomes.came_to("done");
    });
}

#[test]
fn a_reader_that_waits_is_told_that_the_stream_was_deleted() {
    model(&["it failed"], |outcomes| {
        let registry = Registry::builder().clock(Still).build();
        let stream = registry.create(Stream::builder("modelled")).unwrap();
        let mut iterator = from_the_horizon(&stream.shards()[0]);
        let deleting = thread::spawn(move || registry.delete("modelled").unwrap());
        let refused = iterator.get_records_timeout(100, Duration::MAX);
        assert!(matches!(refused, Err(Error::StreamNotFound { .. })));
        outcomes.came_to("it failed");
        deleting.join().unwrap();
    });
}

#[test]
fn a_task_that_waits_is_woken() {
    model(&["at once", "woken"], |outcomes| {
        let shard = shard(10);
        let mut iterator = from_the_horizon(&shard);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, [1])
        });
        let woken = PlainArc::new(Woken::default());
        let waker = Waker::from(PlainArc::clone(&woken));
        let mut future = pin!(iterator.get_records_async(100));
        let first = future.as_mut().poll(&mut Context::from_waker(&waker));
        writing.join().unwrap();
        let Poll::Ready(batch) = first else {
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            outcomes.came_to("woken");
            let again = future.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(matches!(again, Poll::Ready(Ok(batch)) if batch.len() == 1));
            return;
        };
        assert_eq!(batch.unwrap().len(), 1);
        outcomes.came_to("at once");
    });
}

#[test]
fn a_future_that_is_dropped_leaves_nothing_behind() {
    model(&["woken", "not woken"], |outcomes| {
        let shard = shard(10);
        let mut iterator = from_the_horizon(&shard);
        let woken = PlainArc::new(Woken::default());
        let waker = Waker::from(PlainArc::clone(&woken));
        let mut future = Box::pin(iterator.get_records_async(100));
        let first = future.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(first.is_pending());
        drop(waker);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, [1])
        });
        drop(future);
        writing.join().unwrap();
        assert_eq!(shard.metrics().waiting_readers, 0);
        assert_eq!(PlainArc::strong_count(&woken), 1, "nobody holds the waker");
        outcomes.came_to(match woken.0.load(Ordering::Relaxed) {
            0 => "not woken",
            _ => "woken",
        });
        assert_eq!(iterator.get_records(100).unwrap().len(), 1);
    });
}

#[test]
fn a_bell_has_rung_when_there_is_a_record() {
    model(&["done"], |outcomes| {
        let shard = shard(10);
        let mut iterator = from_the_horizon(&shard);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, 1..=2)
        });
        let ready = iterator.ready();
        let read = iterator.get_records(100).unwrap().len();
        writing.join().unwrap();
        assert_eq!(ready.is_empty(), read == 2);
        assert_eq!(iterator.get_records(100).unwrap().len(), 2 - read);
        assert!(ready.is_empty());
        outcomes.came_to("done");
    });
}

#[test]
fn a_reader_that_waits_until_a_time_is_woken_when_the_clock_is_turned_to_it() {
    model(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let deadline = clock.now() + Duration::from_secs(1);
        let stream = Stream::builder("modelled").clock(clock.clone());
        let stream = stream.build().unwrap();
        let mut iterator = from_the_horizon(&stream.shards()[0]);
        let turning = thread::spawn(move || clock.advance(Duration::from_secs(1)));
        let batch = iterator.get_records_deadline(100, deadline).unwrap();
        assert!(batch.is_empty());
        turning.join().unwrap();
        outcomes.came_to("done");
    });
}

#[test]
fn a_subscription_that_waits_until_a_time_is_woken_when_the_clock_is_turned_to_it() {
    model(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let deadline = clock.now() + Duration::from_secs(1);
        let stream = Stream::builder("modelled").clock(clock.clone());
        let stream = stream.build().unwrap();
        let mut subscription = stream.subscribe(StartingPosition::TrimHorizon).unwrap();
        let turning = thread::spawn(move || clock.advance(Duration::from_secs(1)));
        let batch = subscription.get_records_deadline(100, deadline).unwrap();
        assert!(batch.is_empty());
        turning.join().unwrap();
        outcomes.came_to("done");
    });
}

/// A stream that keeps one record, for ten milliseconds; a second one waits.
fn of_one_record(clock: &ManualClock, wait: Duration) -> Stream {
    Stream::builder("modelled")
        .clock(clock.clone())
        .capacity_records(1)
        .retention(Duration::from_millis(10))
        .on_full(OnFull::Wait(wait))
        .build()
        .unwrap()
}

#[test]
fn a_put_that_waits_for_room_goes_on_when_a_record_has_expired() {
    model(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let stream = of_one_record(&clock, Duration::from_secs(3600));
        let producer = stream.producer();
        producer.put_record("k", small(1)).unwrap();
        let turning = thread::spawn(move || clock.advance(Duration::from_millis(11)));
        producer.put_record("k", small(2)).unwrap();
        turning.join().unwrap();
        outcomes.came_to("done");
    });
}

// Between the put's look at how long to wait, which says that there is room, and its look for room.
#[test]
fn a_put_that_waits_goes_on_though_another_takes_the_room_it_saw() {
    model(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let stream = of_one_record(&clock, Duration::MAX);
        let expire = {
            let clock = clock.clone();
            move || clock.advance(Duration::from_millis(11))
        };
        stream.producer().put_record("k", small(1)).unwrap();
        let other = thread::spawn({
            let (stream, expire) = (stream.clone(), expire.clone());
            move || {
                expire();
                // Asking trims what has expired.
                assert!(stream.metrics().records_trimmed() >= 1);
                stream.producer().put_record("k", small(2)).unwrap();
                expire();
            }
        });
        stream.producer().put_record("k", small(3)).unwrap();
        // The other one's may have come first.
        expire();
        other.join().unwrap();
        assert_eq!(stream.metrics().records_in(), 3);
        outcomes.came_to("done");
    });
}

#[test]
fn a_put_that_waits_for_room_is_told_that_the_stream_was_closed() {
    model(&["done"], |outcomes| {
        let stream = builder()
            .capacity_records(1)
            .on_full(OnFull::Wait(Duration::MAX))
            .build()
            .unwrap();
        let producer = stream.producer();
        producer.put_record("k", small(1)).unwrap();
        let closing = thread::spawn(move || stream.close());
        let refused = producer.put_record("k", small(2));
        assert!(matches!(refused, Err(Error::StreamClosed { .. })));
        closing.join().unwrap();
        outcomes.came_to("done");
    });
}

#[test]
fn a_subscription_that_waits_is_given_the_record() {
    model(&["done"], |outcomes| {
        let stream = builder().shard_count(2).build().unwrap();
        let mut subscription = stream.subscribe(StartingPosition::TrimHorizon).unwrap();
        let writing = thread::spawn(move || {
            for shard in stream.shards() {
                put(&shard, small(1)).unwrap();
            }
        });
        for _ in 0..2 {
            let batch = subscription
                .get_records_timeout(100, Duration::MAX)
                .unwrap();
            assert_eq!(batch.len(), 1);
        }
        writing.join().unwrap();
        outcomes.came_to("done");
    });
}
