//! One shard: its lock, its end, what its readers are told.

use loom::thread;

use super::*;
use crate::error::Error;
use crate::log::Cursor;
use crate::shard::{Aftermath, RecordBatch, Tally};
use crate::starting_position::StartingPosition;
use crate::sync::Arc;

fn numbers(batch: &RecordBatch) -> Vec<u8> {
    batch.iter().map(|view| number_of(&view)).collect()
}

fn close(shard: &Shard) {
    let mut aftermath = Aftermath::default();
    let closed = Shard::close(&[shard], NOW, &mut aftermath, |_| (Vec::new(), ()));
    closed.expect("nobody else closes it");
}

#[test]
fn records_of_two_producers_are_numbered_without_a_gap_and_keep_their_order() {
    model(&["the main thread first", "the other first"], |outcomes| {
        let shard = shard(10);
        let put_two =
            |shard: &Shard, n| [n, n + 1].map(|n| put(shard, small(n)).unwrap().place.get());
        let other = thread::spawn({
            let shard = shard.clone();
            move || put_two(&shard, 10)
        });
        let main = put_two(&shard, 20);
        let other = other.join().unwrap();
        assert!(main[0] < main[1] && other[0] < other[1]);
        let mut places = [main, other].concat();
        places.sort_unstable();
        assert_eq!(places, [1, 2, 3, 4]);
        let batch = shard
            .read(&mut Cursor::at(0), 100, &mut Tally::default())
            .unwrap();
        let read = numbers(&batch);
        for (place, n) in main.iter().zip([20, 21]).chain(other.iter().zip([10, 11])) {
            assert_eq!(read[usize::try_from(*place).unwrap() - 1], n);
        }
        outcomes.came_to(match main[0] {
            1 => "the main thread first",
            _ => "the other first",
        });
    });
}

#[test]
fn what_a_reader_is_given_and_what_it_is_told_to_have_missed_are_all_there_was() {
    model(&["missed none", "missed some"], |outcomes| {
        let shard = shard(2);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, 1..=4)
        });
        let mut cursor = Cursor::at(1);
        let (mut passed, mut missed) = (0, 0);
        let mut read = || {
            let batch = shard.read(&mut cursor, 1, &mut Tally::default()).unwrap();
            passed += batch.missed_count();
            missed += batch.missed_count();
            for n in numbers(&batch) {
                passed += 1;
                assert_eq!(u64::from(n), passed);
            }
            passed
        };
        read();
        read();
        writing.join().unwrap();
        while read() < 4 {}
        // The reader came first to the two that are retained, or was overtaken before.
        outcomes.came_to(if missed == 0 {
            "missed none"
        } else {
            "missed some"
        });
    });
}

#[test]
fn a_reader_that_asks_for_the_horizon_misses_nothing_wherever_it_is() {
    model(&["from the first", "from a later one"], |outcomes| {
        let shard = shard(2);
        put(&shard, small(1)).unwrap();
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, 2..=4)
        });
        let mut cursor = Cursor::at(0);
        let batch = shard.read(&mut cursor, 100, &mut Tally::default()).unwrap();
        assert_eq!(batch.missed_count(), 0);
        let read = numbers(&batch);
        assert!(!read.is_empty() && read.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        outcomes.came_to(match read[0] {
            1 => "from the first",
            _ => "from a later one",
        });
        writing.join().unwrap();
    });
}

#[test]
fn a_reader_that_sees_the_end_has_seen_every_record_that_was_accepted() {
    let outcomes = ["none accepted", "one accepted", "both accepted"];
    model(&outcomes, move |reached| {
        let shard = shard(10);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || {
                (1..=2)
                    .take_while(|n| put(&shard, small(*n)).is_ok())
                    .count()
            }
        });
        let closing = thread::spawn({
            let shard = shard.clone();
            move || close(&shard)
        });
        let mut cursor = Cursor::at(1);
        let batch = shard.read(&mut cursor, 100, &mut Tally::default()).unwrap();
        let mut read = numbers(&batch);
        let ended = batch.shard_ended();
        closing.join().unwrap();
        let accepted = writing.join().unwrap();
        if !ended {
            let batch = shard.read(&mut cursor, 100, &mut Tally::default()).unwrap();
            assert!(batch.shard_ended());
            read.extend(numbers(&batch));
        }
        assert_eq!(read, [1, 2][..accepted]);
        reached.came_to(outcomes[accepted]);
    });
}

#[test]
fn a_batch_of_puts_is_read_whole_or_not_at_all() {
    model(&["none", "all"], |outcomes| {
        let stream = builder().build().unwrap();
        let producer = stream.producer();
        let mut cursor = Cursor::at(1);
        let shard = stream.shards().remove(0);
        let writing = thread::spawn(move || {
            let entries = [1, 2, 3].map(|n| ("k", small(n)));
            assert_eq!(
                producer.put_records(entries).unwrap().failed_record_count(),
                0
            );
        });
        match *numbers(&shard.read(&mut cursor, 100, &mut Tally::default()).unwrap()) {
            [] => outcomes.came_to("none"),
            [1, 2, 3] => outcomes.came_to("all"),
            _ => unreachable!("it shows as a whole"),
        }
        writing.join().unwrap();
    });
}

#[test]
fn latest_is_after_all_that_was_put_before_and_before_all_that_is_put_later() {
    model(&["after the other's", "before the other's"], |outcomes| {
        let shard = shard(10);
        put(&shard, small(1)).unwrap();
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, [2])
        });
        let mut latest = shard.iterator(StartingPosition::Latest).unwrap();
        put(&shard, small(3)).unwrap();
        writing.join().unwrap();
        let read = numbers(&latest.get_records(100).unwrap());
        assert!(read.contains(&3) && !read.contains(&1));
        outcomes.came_to(match read.len() {
            1 => "after the other's",
            _ => "before the other's",
        });
    });
}

#[test]
fn a_position_leads_back_to_the_same_record_though_that_is_trimmed_meanwhile() {
    model_within(2, &["it is still there", "it is trimmed"], |outcomes| {
        let shard = shard(1);
        put(&shard, small(1)).unwrap();
        let mut iterator = shard.iterator(StartingPosition::TrimHorizon).unwrap();
        assert_eq!(iterator.get_records(1).unwrap().len(), 1);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, 2..=3)
        });
        let mut restored = shard.iterator(iterator.position()).unwrap();
        let batch = restored.get_records(1).unwrap();
        writing.join().unwrap();
        let batch = if batch.is_empty() {
            assert_eq!(batch.missed_count(), 0);
            restored.get_records(1).unwrap()
        } else {
            batch
        };
        assert_eq!(u64::from(numbers(&batch)[0]), 2 + batch.missed_count());
        outcomes.came_to(match batch.missed_count() {
            0 => "it is still there",
            _ => "it is trimmed",
        });
    });
}

#[test]
fn figures_add_up_at_any_moment() {
    model(&["none trimmed", "some trimmed"], |outcomes| {
        let shard = shard(1);
        let writing = thread::spawn({
            let shard = shard.clone();
            move || put_all(&shard, 1..=3)
        });
        let metrics = shard.metrics();
        assert_eq!(
            metrics.records_in,
            metrics.records_retained + metrics.records_trimmed
        );
        assert_eq!(metrics.bytes_in, metrics.records_in * 17);
        assert_eq!(metrics.bytes_trimmed, metrics.records_trimmed * 17);
        outcomes.came_to(match metrics.records_trimmed {
            0 => "none trimmed",
            _ => "some trimmed",
        });
        writing.join().unwrap();
    });
}

/// A clock that is turned on; looking at it is a step of the model.
#[derive(Clone, Debug)]
struct Turned(Arc<crate::sync::AtomicU64>);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Acquire))
    }
}

#[test]
fn records_that_expire_while_they_are_read_are_given_or_counted_as_missed() {
    model(&["given", "missed"], |outcomes| {
        let clock = Turned(Arc::new(crate::sync::AtomicU64::new(1_000)));
        let stream = Stream::builder("modelled").clock(clock.clone());
        let stream = stream.retention(Duration::from_millis(10)).build().unwrap();
        let shard = stream.shards().remove(0);
        let early = Timestamp::from_millis(1_000);
        for n in 1..=3 {
            let data = &mut Data::from(small(n));
            shard.append(early, "k", &mut data.payload(1)).unwrap();
        }
        let turning = thread::spawn({
            let shard = shard.clone();
            move || {
                clock.0.store(1_011, Ordering::Release);
                shard.trim_expired(1_001, &mut Aftermath::default());
            }
        });
        let mut iterator = shard.iterator(StartingPosition::AfterSequenceNumber(
            shard.starting_sequence_number(),
        ));
        let iterator = iterator.as_mut().unwrap();
        let batch = iterator.get_records(100).unwrap();
        assert_eq!(batch.len() as u64 + batch.missed_count(), 3);
        outcomes.came_to(if batch.is_empty() { "missed" } else { "given" });
        turning.join().unwrap();
    });
}

#[test]
fn of_two_who_close_a_shard_one_does() {
    model(&["main", "other"], |outcomes| {
        let shard = shard(10);
        let close = |shard: &Shard| {
            let mut aftermath = Aftermath::default();
            Shard::close(&[shard], NOW, &mut aftermath, |_| (Vec::new(), ())).is_some()
        };
        let other = thread::spawn({
            let shard = shard.clone();
            move || close(&shard)
        });
        let (main, other) = (close(&shard), other.join().unwrap());
        assert!(main != other);
        outcomes.came_to(if main { "main" } else { "other" });
        assert!(matches!(put(&shard, small(1)), Err(Refusal::Closed)));
        assert!(matches!(
            shard.iterator(StartingPosition::AtTimestamp(NOW + Duration::from_secs(1))),
            Err(Error::TimestampInFuture { .. })
        ));
    });
}
