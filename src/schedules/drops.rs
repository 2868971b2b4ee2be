//! Letting go: data is dropped once, and not while anybody holds it.

use std::sync::atomic::AtomicUsize;

use bytes::Bytes;

use super::*;
use crate::sync::Ordering;

/// Data that is not copied, and counts that it is dropped.
struct Counted {
    data: [u8; 17],
    dropped: StdArc<[AtomicUsize]>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let n = usize::from(self.data[0]);
        self.dropped[n].fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts for so many records.
fn counts(records: u8) -> StdArc<[AtomicUsize]> {
    (0..records).map(|_| AtomicUsize::new(0)).collect()
}

fn counted(n: u8, dropped: &StdArc<[AtomicUsize]>) -> Bytes {
    let dropped = StdArc::clone(dropped);
    Bytes::from_owner(Counted {
        data: [n; 17],
        dropped,
    })
}

/// Checks that what a batch holds is there and whole.
fn check_held(batch: &RecordBatch, dropped: &[AtomicUsize]) {
    for view in batch {
        let n = usize::from(view.data()[0]);
        assert_eq!(dropped[n].load(Ordering::Relaxed), 0, "it is held");
        assert!(view.data().iter().all(|byte| usize::from(*byte) == n));
    }
}

fn check_dropped(dropped: &[AtomicUsize]) {
    let counts = dropped.iter().map(|count| count.load(Ordering::Relaxed));
    assert!(counts.eq(dropped.iter().map(|_| 1)), "each is dropped once");
}

#[test]
fn data_that_is_trimmed_while_readers_hold_it_is_dropped_once_and_after_them() {
    scenario(&["held", "not there"], |outcomes| {
        let dropped = counts(6);
        let stream = built(builder().capacity_records(2));
        let producers = [0, 3].map(|first| {
            let (producer, dropped) = (stream.producer(), StdArc::clone(&dropped));
            spawn(move || {
                for n in first..first + 3 {
                    producer.put_record("k", counted(n, &dropped)).unwrap();
                }
            })
        });
        let readers = [(), ()].map(|()| {
            let dropped = StdArc::clone(&dropped);
            let mut iterator = from_the_first(&stream.shards()[0]);
            spawn(move || {
                let batches = [1, 2].map(|limit| iterator.get_records(limit).unwrap());
                let owned = batches[0].iter().next().map(|view| view.to_record());
                for batch in &batches {
                    check_held(batch, &dropped);
                }
                let some = !batches[0].is_empty();
                drop(batches);
                if let Some(record) = owned {
                    let n = usize::from(record.data()[0]);
                    assert_eq!(dropped[n].load(Ordering::Relaxed), 0, "it is held");
                }
                some
            })
        });
        join(producers);
        for some in join(readers) {
            outcomes.came_to(if some { "held" } else { "not there" });
        }
        let retained = dropped
            .iter()
            .filter(|count| count.load(Ordering::Relaxed) == 0)
            .count();
        // Those of the oldest chunk, which are trimmed but not all, stay with it.
        assert!((2..=4).contains(&retained), "{retained}");
        drop(stream);
        check_dropped(&dropped);
    });
}

#[test]
fn everything_can_be_dropped_in_any_order() {
    scenario(&["done"], |outcomes| {
        let dropped = counts(4);
        let stream = built(builder().shard_count(2));
        let producer = stream.producer();
        for n in 0..2 {
            let key = key_of(n * 2);
            producer
                .put_record_with_hash_key("k", key, counted(n, &dropped))
                .unwrap();
        }
        let mut iterator = from_the_first(&stream.shards()[0]);
        let mut subscription = from_the_horizon(&stream);
        let dropping = [
            spawn({
                let dropped = StdArc::clone(&dropped);
                move || {
                    for n in 2..4 {
                        producer.put_record("k", counted(n, &dropped)).unwrap();
                    }
                    drop(producer);
                }
            }),
            spawn({
                let dropped = StdArc::clone(&dropped);
                move || {
                    let batch = iterator.get_records(100).unwrap();
                    drop(iterator);
                    check_held(&batch, &dropped);
                }
            }),
            spawn({
                let dropped = StdArc::clone(&dropped);
                move || {
                    let _ready = subscription.ready();
                    let batch = subscription.get_records(100).unwrap();
                    drop(subscription);
                    check_held(&batch, &dropped);
                }
            }),
            spawn(move || {
                let split = stream.shards().pop().unwrap();
                let middle = split.hash_key_range().start().get() / 2 * 3;
                stream
                    .split_shard(split.id(), HashKey::new(middle))
                    .unwrap();
                drop(stream);
            }),
        ];
        join(dropping);
        check_dropped(&dropped);
        outcomes.came_to("done");
    });
}

#[test]
fn a_stream_that_is_closed_by_a_drop_lets_its_readers_end() {
    scenario(&["all", "some"], |outcomes| {
        let stream = built(builder());
        let readers = [1, 100].map(|limit| {
            let subscription = from_the_horizon(&stream);
            spawn(move || read_to_the_end(subscription, limit))
        });
        let producer = spawn({
            let producer = stream.producer();
            move || {
                let puts = (1..=3).map_while(|count| {
                    let put = producer.put_record("k", small((0, count))).ok()?;
                    Some(Accepted::new((0, count), &put))
                });
                puts.collect()
            }
        });
        drop(stream.close_on_drop());
        let ledger = Ledger::new(join([producer]));
        for given in join(readers) {
            given.check_all(&ledger);
        }
        outcomes.came_to(if ledger.len() == 3 { "all" } else { "some" });
    });
}
