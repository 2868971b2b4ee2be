//! Limits: the quotas of the contract (1.8, 2.9) through the public face, each exactly at, below and
//! above its bound, on a clock that is turned by hand.

use brooklet::{
    Clock, Error, HashKey, Limits, ManualClock, PutEntry, RecordBatch, ShardIterator,
    StartingPosition, Stream,
};
use bytes::Bytes;
use common::{
    build, id, iterator, millis, put_into, put_many, read_shard, refused, secs, stream, texts,
    view_texts,
};

use StartingPosition::{Latest, TrimHorizon};

mod common;

const MIB: usize = 1024 * 1024;
const KEY: &str = "key1";

fn limited(limits: Limits) -> (Stream, ManualClock) {
    build(Stream::builder("orders").limits(limits))
}

fn kinesis() -> (Stream, ManualClock) {
    limited(Limits::kinesis())
}

/// Data that makes a record of so many bytes with [`KEY`].
fn filling(bytes: usize) -> Bytes {
    Bytes::from(vec![0; bytes - KEY.len()])
}

/// Puts a record of so many bytes into shard 0, and says whether it was accepted.
#[track_caller]
fn put(stream: &Stream, bytes: usize) -> bool {
    let put = stream
        .producer()
        .put_record_with_hash_key(KEY, HashKey::MIN, filling(bytes));
    accepted(put)
}

#[track_caller]
fn accepted<T: std::fmt::Debug>(put: Result<T, Error>) -> bool {
    match put {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), "ProvisionedThroughputExceededException");
            assert!(error.is_retryable() && matches!(error, Error::WriteThrottled { .. }));
            false
        }
    }
}

/// Reads once, unless that is throttled.
#[track_caller]
fn read(iterator: &mut ShardIterator, limit: usize) -> Option<RecordBatch> {
    match iterator.get_records(limit) {
        Ok(batch) => Some(batch),
        Err(error) => {
            assert_eq!(error.code(), "ProvisionedThroughputExceededException");
            assert!(error.is_retryable() && matches!(error, Error::ReadThrottled { .. }));
            None
        }
    }
}

mod nothing_is_limited_unless_asked_for {
    use super::*;

    #[test]
    fn by_default() {
        let (stream, _clock) = stream(1);
        for _ in 0..20 {
            assert!(put(&stream, MIB));
        }
        put_many(&stream, 5_000);
        for _ in 0..20 {
            read_shard(&stream, 0);
        }
        let entries = vec![(KEY, "x"); 2_000];
        assert_eq!(
            stream
                .producer()
                .put_records(entries)
                .unwrap()
                .failed_record_count(),
            0
        );
        for target in [40, 1, 100, 3, 50, 2, 60, 1, 30, 4, 20, 5] {
            stream.update_shard_count(target).unwrap();
        }
    }

    #[test]
    fn and_the_names_say_so() {
        assert_eq!(Limits::default(), Limits::unlimited());
        assert_ne!(Limits::default(), Limits::kinesis());
    }

    #[test]
    fn and_what_is_asked_for_limits_nothing_else() {
        let (stream, _clock) = limited(Limits::unlimited().write_records_per_second(Some(1)));
        assert!(put(&stream, MIB));
        assert!(!put(&stream, 10));
        for _ in 0..20 {
            assert_eq!(read_shard(&stream, 0).len(), 1);
        }
        stream.update_shard_count(5).unwrap();
        let (stream, _clock) = limited(Limits::unlimited().get_records_per_second(Some(1)));
        put_many(&stream, 5_000);
        let mut first = iterator(&stream, TrimHorizon);
        for _ in 0..20 {
            let _unlimited = iterator(&stream, Latest);
        }
        assert_eq!(read(&mut first, 10_000).unwrap().len(), 5_000);
        assert!(read(&mut first, 1).is_none());
        let (stream, _clock) = limited(Limits::unlimited().write_bytes_per_second(Some(10)));
        let producer = stream.producer();
        for _ in 0..10 {
            producer.put_record("k", "").unwrap();
        }
        assert!(!accepted(producer.put_record("k", "")));
    }

    #[test]
    fn and_each_of_the_services_limits_can_be_taken_back() {
        let limits = Limits::kinesis()
            .write_bytes_per_second(None)
            .write_records_per_second(None)
            .read_bytes_per_second(None)
            .get_records_per_second(None)
            .get_shard_iterator_per_second(None)
            .put_records_entries_max(None)
            .put_records_bytes_max(None)
            .shard_count_doubling(false)
            .update_shard_count_per_day(None);
        assert_eq!(limits, Limits::unlimited());
    }

    #[test]
    fn and_the_services_limits_are_those_of_the_contract() {
        let limits = Limits::kinesis();
        assert_eq!(limits.write_bytes_per_second, Some(1_048_576));
        assert_eq!(limits.write_records_per_second, Some(1_000));
        assert_eq!(limits.read_bytes_per_second, Some(2_097_152));
        assert_eq!(limits.get_records_per_second, Some(5));
        assert_eq!(limits.get_shard_iterator_per_second, Some(5));
        assert_eq!(limits.put_records_entries_max, Some(500));
        assert_eq!(limits.put_records_bytes_max, Some(10_485_760));
        assert!(limits.shard_count_doubling);
        assert_eq!(limits.update_shard_count_per_day, Some(10));
    }
}

mod writing {
    use super::*;

    #[test]
    fn takes_a_mebibyte_a_second_with_the_partition_keys() {
        let (stream, clock) = kinesis();
        assert!(put(&stream, MIB - 100));
        assert!(!put(&stream, 101), "one byte above");
        assert!(put(&stream, 100), "exactly at the bound");
        assert!(!put(&stream, KEY.len()));
        clock.advance(secs(1));
        assert!(put(&stream, MIB), "a second later all of it is free again");
        assert!(!put(&stream, KEY.len()));
    }

    #[test]
    fn goes_on_as_time_passes_byte_by_byte() {
        let (stream, clock) = limited(Limits::unlimited().write_bytes_per_second(Some(1_000)));
        assert!(put(&stream, 1_000));
        for _ in 0..20 {
            clock.advance(millis(9));
            assert!(!put(&stream, 10), "nine milliseconds make nine bytes");
            clock.advance(millis(1));
            assert!(put(&stream, 10));
            assert!(!put(&stream, 4));
        }
        // What is not used for long does not add up beyond a second's worth.
        clock.advance(secs(3600));
        assert!(!put(&stream, 1_001));
        assert!(put(&stream, 1_000));
        assert!(!put(&stream, 4));
    }

    #[test]
    fn takes_a_thousand_records_a_second() {
        let (stream, clock) = kinesis();
        for _ in 0..1_000 {
            assert!(put(&stream, 10));
        }
        assert!(!put(&stream, 10));
        clock.advance(millis(1));
        assert!(put(&stream, 10), "a millisecond makes one record");
        assert!(!put(&stream, 10));
        clock.advance(secs(10));
        for _ in 0..1_000 {
            assert!(put(&stream, 10));
        }
        assert!(!put(&stream, 10), "ten seconds make no more than one");
    }

    #[test]
    fn takes_ten_mebibytes_at_once_where_records_may_be_large() {
        let builder = Stream::builder("orders").record_bytes_max(10 * MIB);
        let (stream, clock) = build(builder.limits(Limits::kinesis()));
        assert!(put(&stream, 10 * MIB));
        clock.advance(millis(999));
        assert!(!put(&stream, MIB));
        clock.advance(millis(1));
        assert!(put(&stream, MIB));
        clock.advance(secs(9));
        assert!(!put(&stream, 10 * MIB));
        clock.advance(secs(1));
        assert!(put(&stream, 10 * MIB));
    }

    #[test]
    fn never_takes_a_record_that_is_larger_than_a_seconds_worth() {
        let (stream, clock) = kinesis();
        for _ in 0..3 {
            clock.advance(secs(100));
            assert!(!put(&stream, MIB + 1));
        }
        assert!(put(&stream, MIB), "which took nothing from the others");
    }

    #[test]
    fn is_limited_for_each_shard_on_its_own() {
        let builder = Stream::builder("orders")
            .shard_count(3)
            .limits(Limits::kinesis());
        let (stream, _clock) = build(builder);
        for index in 0..3 {
            for _ in 0..1_000 {
                put_into(&stream, index, "x");
            }
        }
        for shard in stream.shards() {
            let start = shard.hash_key_range().start();
            assert!(!accepted(
                stream.producer().put_record_with_hash_key(KEY, start, "x")
            ));
        }
    }

    #[test]
    fn is_limited_over_all_producers_together() {
        let (stream, _clock) = limited(Limits::unlimited().write_records_per_second(Some(4)));
        let producers = [
            stream.producer(),
            stream.producer(),
            stream.clone().producer(),
        ];
        let puts = producers.iter().cycle().take(9);
        let accepted = puts
            .filter(|producer| accepted(producer.put_record(KEY, "x")))
            .count();
        assert_eq!(accepted, 4);
    }

    #[test]
    fn stores_nothing_when_it_is_throttled() {
        let (stream, clock) = limited(Limits::unlimited().write_records_per_second(Some(1)));
        let first = put_into(&stream, 0, "r0");
        for _ in 0..100 {
            assert!(!put(&stream, 10));
        }
        clock.advance(secs(1));
        let second = put_into(&stream, 0, "r1");
        assert_eq!(texts(&read_shard(&stream, 0)), ["r0", "r1"]);
        // Not even a place between them was given away.
        let places = [first, second].map(|number| common::Fields::of(number).place);
        assert_eq!(places[1], places[0] + 1);
    }

    #[test]
    fn takes_nothing_from_one_limit_when_the_other_refuses() {
        let limits = Limits::unlimited()
            .write_bytes_per_second(Some(100))
            .write_records_per_second(Some(2));
        let (stream, _clock) = limited(limits);
        for _ in 0..50 {
            assert!(!put(&stream, 101), "too large");
        }
        assert!(put(&stream, 50), "no record was counted");
        assert!(put(&stream, 10));
        for _ in 0..50 {
            assert!(!put(&stream, 40), "too many");
        }
    }

    #[test]
    fn starts_anew_in_the_children_of_a_split() {
        let (stream, _clock) = limited(Limits::unlimited().write_records_per_second(Some(1)));
        assert!(put(&stream, 10));
        assert!(!put(&stream, 10));
        stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
        assert!(put(&stream, 10));
        assert!(!put(&stream, 10));
    }

    #[test]
    fn is_not_set_free_by_a_clock_that_steps_back() {
        let (stream, clock) = limited(Limits::unlimited().write_records_per_second(Some(1)));
        assert!(put(&stream, 10));
        clock.set(brooklet::Timestamp::from_millis(0));
        assert!(!put(&stream, 10));
        clock.advance(secs(1));
        assert!(put(&stream, 10));
    }

    /// A put asks the clock before it has the shard's lock. One that came to the lock late turned the
    /// limit's time back, and for the time up to the next put another was let through once more.
    #[test]
    fn is_not_let_through_once_more_for_time_that_has_been_counted() {
        let (stream, clock) = limited(Limits::unlimited().write_records_per_second(Some(2)));
        assert!(put(&stream, 10));
        assert!(put(&stream, 10));
        let now = clock.now();
        clock.set(now - millis(500));
        assert!(!put(&stream, 10));
        clock.set(now);
        assert!(!put(&stream, 10));
    }

    #[test]
    fn with_a_limit_of_nothing_is_refused_for_ever() {
        for limits in [
            Limits::unlimited().write_records_per_second(Some(0)),
            Limits::unlimited().write_bytes_per_second(Some(0)),
        ] {
            let (stream, clock) = limited(limits);
            assert!(!put(&stream, 4));
            clock.advance(secs(1_000_000));
            assert!(!put(&stream, 4));
        }
    }

    #[test]
    fn with_the_largest_limits_and_at_the_end_of_time_is_not_limited() {
        let most = Some(u64::MAX);
        let limits = Limits::unlimited()
            .write_bytes_per_second(most)
            .write_records_per_second(most)
            .read_bytes_per_second(most)
            .get_records_per_second(most)
            .get_shard_iterator_per_second(most);
        let (stream, clock) = limited(limits);
        for time in [u64::MAX / 2, u64::MAX, 0, u64::MAX] {
            clock.set(brooklet::Timestamp::from_millis(time));
            assert!(put(&stream, 1_000));
            let mut latest = iterator(&stream, Latest);
            assert!(put(&stream, 1_000));
            assert_eq!(read(&mut latest, 10).unwrap().len(), 1);
        }
    }
}

mod a_batch {
    use super::*;

    #[test]
    fn has_five_hundred_entries_at_most() {
        let (stream, _clock) = kinesis();
        let producer = stream.producer();
        let error = refused(producer.put_records(vec![(KEY, "x"); 501]));
        assert_eq!(
            error,
            Error::TooManyEntries {
                entries: 501,
                limit: 500
            }
        );
        assert_eq!(error.code(), "ValidationException");
        assert!(read_shard(&stream, 0).is_empty(), "nothing was put");
        let output = producer.put_records(vec![(KEY, "x"); 500]).unwrap();
        assert_eq!(output.failed_record_count(), 0);
    }

    #[test]
    fn has_ten_mebibytes_at_most_with_the_partition_keys() {
        let limits = Limits::unlimited().put_records_bytes_max(Some(10 * MIB as u64));
        let (stream, _clock) = limited(limits);
        let producer = stream.producer();
        let entries = |last: usize| {
            let mut entries = vec![(KEY, filling(MIB)); 9];
            entries.push((KEY, filling(last)));
            entries
        };
        let limit_bytes = 10 * MIB as u64;
        let bytes = limit_bytes + 1;
        let error = refused(producer.put_records(entries(MIB + 1)));
        assert_eq!(error, Error::EntriesTooLarge { bytes, limit_bytes });
        assert_eq!(error.code(), "InvalidArgumentException");
        assert!(read_shard(&stream, 0).is_empty(), "nothing was put");
        assert_eq!(
            producer
                .put_records(entries(MIB))
                .unwrap()
                .failed_record_count(),
            0
        );
        assert_eq!(read_shard(&stream, 0).len(), 10);
    }

    #[test]
    fn is_refused_entry_by_entry_when_it_is_throttled() {
        let limits = Limits::unlimited().write_records_per_second(Some(3));
        let builder = Stream::builder("orders").shard_count(2).limits(limits);
        let (stream, clock) = build(builder);
        let middle = stream.shard(id(1)).unwrap().hash_key_range().start();
        let to = |index: u32, data: String| {
            let start = if index == 0 { HashKey::MIN } else { middle };
            PutEntry::new(KEY, data).explicit_hash_key(start)
        };
        // To the shards in turn, five each.
        let entries = || (0..10).map(|i| to(i % 2, format!("r{i}")));
        let output = stream.producer().put_records(entries()).unwrap();
        assert_eq!(output.failed_record_count(), 4);
        for (index, result) in (0..).zip(output.records()) {
            match result {
                Ok(put) => assert!(index < 6 && put.shard_id() == id(index % 2)),
                Err(error) => {
                    let (stream, shard_id) = ("orders".to_owned(), id(index % 2));
                    assert_eq!(*error, Error::WriteThrottled { stream, shard_id });
                    assert!(index >= 6);
                }
            }
        }
        assert_eq!(texts(&read_shard(&stream, 0)), ["r0", "r2", "r4"]);
        assert_eq!(texts(&read_shard(&stream, 1)), ["r1", "r3", "r5"]);
        let output = stream.producer().put_records(entries()).unwrap();
        assert_eq!(
            output.failed_record_count(),
            10,
            "all of them, and still no error"
        );
        clock.advance(secs(1));
        assert_eq!(
            stream
                .producer()
                .put_records(entries())
                .unwrap()
                .failed_record_count(),
            4
        );
    }

    #[test]
    fn lets_a_small_entry_through_behind_one_too_large() {
        let (stream, _clock) = limited(Limits::unlimited().write_bytes_per_second(Some(100)));
        let entries = [filling(60), filling(60), filling(40), filling(4)];
        let output = stream
            .producer()
            .put_records(entries.map(|data| (KEY, data)))
            .unwrap();
        let accepted: Vec<_> = output.records().iter().map(Result::is_ok).collect();
        assert_eq!(accepted, [true, false, true, false]);
    }
}

mod reading {
    use super::*;

    #[test]
    fn is_answered_five_times_a_second_over_all_readers() {
        let (stream, clock) = kinesis();
        put_many(&stream, 10);
        let mut iterators = [
            iterator(&stream, TrimHorizon),
            iterator(&stream, TrimHorizon),
        ];
        for turn in 0..5 {
            assert!(read(&mut iterators[turn % 2], 1).is_some());
        }
        assert!(
            iterators
                .iter_mut()
                .all(|iterator| read(iterator, 1).is_none())
        );
        clock.advance(millis(199));
        assert!(read(&mut iterators[0], 1).is_none());
        clock.advance(millis(1));
        assert!(
            read(&mut iterators[0], 1).is_some(),
            "a fifth of a second makes one"
        );
        assert!(read(&mut iterators[0], 1).is_none());
        clock.advance(secs(60));
        for _ in 0..5 {
            assert!(read(&mut iterators[0], 1).is_some());
        }
        assert!(
            read(&mut iterators[0], 1).is_none(),
            "a minute makes no more than a second"
        );
    }

    #[test]
    fn counts_empty_answers_too() {
        let (stream, _clock) = kinesis();
        let mut iterator = iterator(&stream, TrimHorizon);
        for _ in 0..5 {
            assert!(read(&mut iterator, 1).unwrap().is_empty());
        }
        assert!(read(&mut iterator, 1).is_none());
    }

    #[test]
    fn hands_out_five_iterators_a_second_besides() {
        let (stream, clock) = kinesis();
        let mut iterators: Vec<_> = (0..5).map(|_| iterator(&stream, TrimHorizon)).collect();
        let error = refused(stream.shard_iterator(id(0), TrimHorizon));
        assert!(matches!(error, Error::ReadThrottled { .. }));
        assert!(
            read(&mut iterators[0], 1).is_some(),
            "reading counts on its own"
        );
        clock.advance(millis(199));
        refused(stream.shard_iterator(id(0), TrimHorizon));
        clock.advance(millis(1));
        assert!(stream.shard_iterator(id(0), TrimHorizon).is_ok());
        refused(stream.shard_iterator(id(0), TrimHorizon));
    }

    #[test]
    fn loses_nothing_when_it_is_throttled() {
        let (stream, clock) = kinesis();
        put_many(&stream, 30);
        let mut iterator = iterator(&stream, TrimHorizon);
        let mut read_so_far = Vec::new();
        while read_so_far.len() < 30 {
            match read(&mut iterator, 1) {
                Some(batch) => read_so_far.extend(view_texts(&batch)),
                None => clock.advance(millis(50)),
            }
        }
        let expected: Vec<_> = (0..30).map(|i| format!("r{i}")).collect();
        assert_eq!(read_so_far, expected);
    }

    #[test]
    fn of_ten_mebibytes_blocks_the_shard_for_five_seconds() {
        let limits = Limits::unlimited().read_bytes_per_second(Some(2 * MIB as u64));
        let (stream, clock) = limited(limits);
        for _ in 0..10 {
            assert!(put(&stream, MIB));
        }
        put_into(&stream, 0, "last");
        let mut iterator = iterator(&stream, TrimHorizon);
        assert_eq!(read(&mut iterator, 100).unwrap().len(), 10);
        assert!(read(&mut iterator, 100).is_none());
        clock.advance(millis(4_999));
        assert!(read(&mut iterator, 100).is_none());
        clock.advance(millis(1));
        assert_eq!(view_texts(&read(&mut iterator, 100).unwrap()), ["last"]);
    }

    #[test]
    fn of_two_mebibytes_a_second_goes_on_for_ever() {
        let limits = Limits::unlimited().read_bytes_per_second(Some(2 * MIB as u64));
        let (stream, clock) = limited(limits);
        let mut iterator = iterator(&stream, TrimHorizon);
        for _ in 0..10 {
            assert!(put(&stream, MIB) && put(&stream, MIB));
            assert_eq!(read(&mut iterator, 1).unwrap().len(), 1);
            assert_eq!(
                read(&mut iterator, 1).unwrap().len(),
                1,
                "exactly at the bound"
            );
            clock.advance(secs(1));
        }
        assert!(put(&stream, MIB) && put(&stream, MIB));
        put_into(&stream, 0, "one more");
        assert_eq!(
            read(&mut iterator, 3).unwrap().len(),
            3,
            "a read may go beyond"
        );
        assert!(
            read(&mut iterator, 1).is_none(),
            "and the next ones wait for it"
        );
    }

    #[test]
    fn is_limited_for_each_shard_on_its_own() {
        let builder = Stream::builder("orders")
            .shard_count(2)
            .limits(Limits::kinesis());
        let (stream, _clock) = build(builder);
        let mut first = stream.shard_iterator(id(0), TrimHorizon).unwrap();
        let mut second = stream.shard_iterator(id(1), TrimHorizon).unwrap();
        while read(&mut first, 1).is_some() {}
        for _ in 0..5 {
            assert!(read(&mut second, 1).is_some());
        }
        assert!(read(&mut second, 1).is_none());
    }

    #[test]
    fn with_a_limit_of_nothing_is_refused_for_ever() {
        let (stream, clock) = limited(Limits::unlimited().get_records_per_second(Some(0)));
        put_many(&stream, 1);
        let mut iterator = iterator(&stream, TrimHorizon);
        assert!(read(&mut iterator, 1).is_none());
        clock.advance(secs(1_000_000));
        assert!(read(&mut iterator, 1).is_none());
    }
}

mod the_shard_count {
    use super::*;

    fn stream_of(shard_count: u32, limits: Limits) -> (Stream, ManualClock) {
        build(
            Stream::builder("orders")
                .shard_count(shard_count)
                .limits(limits),
        )
    }

    #[test]
    fn goes_to_half_and_to_double_at_most() {
        let limits = Limits::unlimited().shard_count_doubling(true);
        for (current, least, most) in [(1, 1, 2), (4, 2, 8), (5, 3, 10), (7, 4, 14)] {
            for target in 1..=most + 2 {
                let (stream, _clock) = stream_of(current, limits);
                let result = stream.update_shard_count(target);
                if (least..=most).contains(&target) {
                    result.unwrap();
                    assert_eq!(stream.describe().open_shard_count, target as usize);
                } else {
                    let error = refused(result);
                    assert_eq!(error, Error::ShardCountStep { current, target });
                    assert_eq!(error.code(), "LimitExceededException");
                    assert_eq!(stream.describe().shards.len(), current as usize);
                }
            }
        }
    }

    #[test]
    fn changes_ten_times_in_any_day() {
        let (stream, clock) = stream_of(1, Limits::kinesis());
        for target in [2, 1].into_iter().cycle().take(10) {
            stream.update_shard_count(target).unwrap();
            clock.advance(secs(3600));
        }
        let error = refused(stream.update_shard_count(2));
        assert_eq!(error, Error::ShardCountChanges { limit: 10 });
        assert_eq!(
            (error.code(), error.is_retryable()),
            ("LimitExceededException", true)
        );
        // The first change was ten hours ago.
        clock.advance(secs(14 * 3600) - millis(1));
        refused(stream.update_shard_count(2));
        clock.advance(millis(1));
        stream.update_shard_count(2).unwrap();
        refused(stream.update_shard_count(1));
        clock.advance(secs(3600));
        stream.update_shard_count(1).unwrap();
    }

    #[test]
    fn is_not_used_up_by_calls_that_are_refused() {
        let (stream, _clock) = stream_of(4, Limits::kinesis());
        for target in [0, 1, 9, 10_001] {
            for _ in 0..10 {
                refused(stream.update_shard_count(target));
            }
        }
        for target in [8, 4].into_iter().cycle().take(10) {
            stream.update_shard_count(target).unwrap();
        }
        refused(stream.update_shard_count(8));
    }

    #[test]
    fn leaves_splits_and_merges_alone() {
        let (stream, _clock) = stream_of(1, Limits::kinesis());
        for round in 0..30 {
            let first = round * 3;
            stream
                .split_shard(id(first), HashKey::new(1 << 127))
                .unwrap();
            stream.merge_shards(id(first + 1), id(first + 2)).unwrap();
        }
    }
}
