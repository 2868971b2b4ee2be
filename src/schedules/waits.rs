//! Waiting: each way to wait ends when it should. A wake-up that is lost shows as a deadlock.

use std::sync::atomic::AtomicU64;
use std::task::{Wake, Waker};

use super::*;
use crate::error::Error;
use crate::registry::Registry;
use crate::shard::OnFull;
use crate::sync::{Ordering, PlainArc};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: PlainArc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until it has so many records; says how many batches that took.
fn wait_for(shard: &Shard, count: usize) -> (usize, Given) {
    let (mut iterator, mut given) = (from_the_first(shard), Given::default());
    for batches in 1.. {
        let batch = iterator.get_records_timeout(2, Duration::MAX).unwrap();
        assert!(given.add(&batch) > 0, "it waits until there is one");
        if given.records.len() == count {
            return (batches, given);
        }
    }
    unreachable!("few batches")
}

#[test]
fn each_of_four_readers_that_wait_is_given_the_records_of_two_producers() {
    scenario(&["in two batches", "in more"], |outcomes| {
        let stream = built(builder());
        let readers = [(); 4].map(|()| {
            let shard = stream.shards().remove(0);
            spawn(move || wait_for(&shard, 4))
        });
        let producers = [0, 1].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 2))
        });
        let ledger = Ledger::new(join(producers));
        for (batches, given) in join(readers) {
            given.check_all(&ledger);
            outcomes.came_to(match batches {
                2 => "in two batches",
                _ => "in more",
            });
        }
        assert_eq!(stream.shards()[0].metrics().waiting_readers, 0);
    });
}

#[test]
fn each_of_three_tasks_that_wait_is_woken_for_each_record() {
    scenario(&["done"], |outcomes| {
        let stream = built(builder().shard_count(2));
        let tasks = [1, 2, 3].map(|limit| {
            let mut subscription = from_the_horizon(&stream);
            spawn(move || {
                let mut given = Given::default();
                while !subscription.is_finished() {
                    let batch = block_on(subscription.get_records_async(limit));
                    given.add(&batch.unwrap());
                }
                given
            })
        });
        let producers = [1, 2].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 2))
        });
        let ledger = Ledger::new(join(producers));
        stream.close();
        for given in join(tasks) {
            given.check_all(&ledger);
        }
        outcomes.came_to("done");
    });
}

#[test]
fn futures_that_are_dropped_at_any_time_leave_nothing_behind() {
    scenario(&["woken", "not woken"], |outcomes| {
        let stream = built(builder());
        let dropping = [(); 3].map(|()| {
            let shard = stream.shards().remove(0);
            spawn(move || {
                let woken = PlainArc::new(Woken::default());
                let waker = Waker::from(PlainArc::clone(&woken));
                let mut iterator = from_the_first(&shard);
                for _ in 0..2 {
                    let mut future = pin!(iterator.get_records_async(100));
                    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                    drop(polled);
                }
                // Nor does a bell.
                let _ready = iterator.ready();
                drop((iterator, waker));
                woken
            })
        });
        let producer = spawn({
            let stream = stream.clone();
            move || put_all(&stream, 0, 2)
        });
        let woken = join(dropping);
        producer.join().unwrap();
        assert_eq!(stream.shards()[0].metrics().waiting_readers, 0);
        for woken in woken {
            assert_eq!(PlainArc::strong_count(&woken), 1, "nobody holds the waker");
            outcomes.came_to(match woken.0.load(Ordering::Relaxed) {
                0 => "not woken",
                _ => "woken",
            });
        }
    });
}

#[test]
fn a_bell_has_rung_if_and_only_if_there_is_something_to_read() {
    scenario(&["rung", "silent"], |outcomes| {
        let stream = built(builder().shard_count(2));
        let producers = [1, 2].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 2))
        });
        let mut iterator = from_the_first(&stream.shards()[0]);
        let mut subscription = from_the_horizon(&stream);
        let readies = [iterator.ready(), subscription.ready()];
        let mut read = [0, 0];
        for _ in 0..3 {
            // It rings at the latest when the put is done; that it is silent says nothing yet.
            read[0] += iterator.get_records(1).unwrap().len();
            read[1] += subscription.get_records(1).unwrap().len();
        }
        Ledger::new(join(producers));
        for ((ready, read), of) in readies.iter().zip(read).zip([2, 4]) {
            assert_eq!(ready.is_empty(), read == of, "{read} of {of}");
            outcomes.came_to(if ready.is_empty() { "silent" } else { "rung" });
        }
    });
}

#[test]
fn all_who_wait_are_told_when_the_stream_is_closed() {
    scenario(&["told"], |outcomes| {
        let full = OnFull::Wait(Duration::MAX);
        let stream = built(builder().capacity_records(1).on_full(full));
        put(&stream.producer(), (0, 1));
        let readers = [
            spawn({
                let mut iterator = from_the_first(&stream.shards()[0]);
                move || {
                    while !iterator
                        .get_records_timeout(1, Duration::MAX)
                        .unwrap()
                        .shard_ended()
                    {}
                }
            }),
            spawn({
                let subscription = from_the_horizon(&stream);
                move || assert_eq!(read_to_the_end(subscription, 100).records.len(), 1)
            }),
            spawn({
                let mut iterator = from_the_first(&stream.shards()[0]);
                move || {
                    while !block_on(iterator.get_records_async(1))
                        .unwrap()
                        .shard_ended()
                    {}
                }
            }),
        ];
        let putters = [1, 2].map(|name| {
            let producer = stream.producer();
            spawn(move || {
                let refused = producer.put_record("k", small((name, 1)));
                assert!(matches!(refused, Err(Error::StreamClosed { .. })));
            })
        });
        stream.close();
        join(readers);
        join(putters);
        assert_eq!(stream.shards()[0].metrics().waiting_readers, 0);
        outcomes.came_to("told");
    });
}

#[test]
fn all_who_wait_fail_when_the_stream_is_deleted() {
    scenario(&["deleted", "read before"], |outcomes| {
        let registry = Registry::builder().clock(Still).build();
        let full = OnFull::Wait(Duration::MAX);
        let settings = Stream::builder("scheduled")
            .capacity_records(1)
            .on_full(full);
        let stream = registry.create(settings).unwrap();
        put(&stream.producer(), (0, 1));
        let gone = |error: &Error| matches!(error, Error::StreamNotFound { .. });
        let readers = [
            spawn({
                let mut iterator = from_the_first(&stream.shards()[0]);
                move || {
                    let mut read = 0;
                    loop {
                        match iterator.get_records_timeout(1, Duration::MAX) {
                            Ok(batch) => read += batch.len(),
                            Err(error) => return (read, gone(&error)),
                        }
                    }
                }
            }),
            spawn({
                let mut subscription = from_the_horizon(&stream);
                move || {
                    let mut read = 0;
                    loop {
                        match block_on(subscription.get_records_async(1)) {
                            Ok(batch) => read += batch.len(),
                            Err(error) => return (read, gone(&error)),
                        }
                    }
                }
            }),
        ];
        let putter = spawn({
            let producer = stream.producer();
            move || producer.put_record("k", small((1, 1))).unwrap_err()
        });
        registry.delete("scheduled").unwrap();
        assert!(gone(&putter.join().unwrap()));
        for (read, is_gone) in join(readers) {
            assert!(read <= 1 && is_gone);
            outcomes.came_to(if read == 1 { "read before" } else { "deleted" });
        }
    });
}

#[test]
fn readers_that_wait_until_a_time_are_woken_when_the_clock_is_turned_to_it() {
    scenario(&["a record", "its time"], |outcomes| {
        let clock = ManualClock::default();
        let stream = built(builder().clock(clock.clone()));
        let began = clock.now();
        let readers = [1, 2, 3].map(|after| {
            let (mut iterator, clock) = (from_the_first(&stream.shards()[0]), clock.clone());
            spawn(move || {
                let deadline = began + secs(after);
                let batch = iterator.get_records_deadline(100, deadline).unwrap();
                assert!(!batch.is_empty() || clock.now() >= deadline);
                batch.len()
            })
        });
        let turning = [1, 2].map(|seconds| {
            let clock = clock.clone();
            spawn(move || clock.advance(secs(seconds)))
        });
        join(turning);
        put(&stream.producer(), (0, 1));
        for read in join(readers) {
            outcomes.came_to(if read == 0 { "its time" } else { "a record" });
        }
        assert_eq!(clock.sleeper_count(), 0);
        assert_eq!(stream.shards()[0].metrics().waiting_readers, 0);
    });
}
