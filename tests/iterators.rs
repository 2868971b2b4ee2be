//! Iterators: every edge of the contract's section 3.

use brooklet::{ChildShard, Error, HashKey, RecordBatch, SequenceNumber, StartingPosition, Stream};
use bytes::Bytes;
use common::{
    Fields, START_MS, build, cases, id, iterator, key_of, millis, now_ms, pull, pull_counting,
    put_into, put_many, read_shard, refused, secs, stream, text, texts, view_texts,
};
use proptest::prelude::*;

use StartingPosition::{AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon};

mod common;

/// The time `after_ms` after the clocks' start.
const fn at(after_ms: u64) -> StartingPosition {
    AtTimestamp(brooklet::Timestamp::from_millis(START_MS + after_ms))
}

/// What an iterator on shard 0 reads from a position to where it is caught up.
fn read_from(stream: &Stream, position: StartingPosition) -> Vec<String> {
    texts(&pull(&mut iterator(stream, position)))
}

fn split(stream: &Stream, index: u32) {
    let range = stream.shard(id(index)).unwrap().hash_key_range();
    let middle = range.start().get() + (range.end().get() - range.start().get()) / 2;
    stream.split_shard(id(index), HashKey::new(middle)).unwrap();
}

fn assert_ended(batch: &RecordBatch, children: &[u32]) {
    assert!(batch.shard_ended());
    let ids: Vec<_> = batch
        .child_shards()
        .iter()
        .map(ChildShard::shard_id)
        .collect();
    assert_eq!(
        ids,
        children.iter().map(|index| id(*index)).collect::<Vec<_>>()
    );
    assert!(
        batch
            .child_shards()
            .iter()
            .all(|child| !child.parent_shards().is_empty())
    );
}

mod trim_horizon {
    use super::*;

    #[test]
    fn reads_all_that_is_retained() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 3);
        assert_eq!(read_from(&stream, TrimHorizon), ["r0", "r1", "r2"]);
    }

    #[test]
    fn on_an_empty_shard_later_sees_the_first_record() {
        let (stream, _clock) = stream(1);
        let mut iterator = iterator(&stream, TrimHorizon);
        for _ in 0..3 {
            let batch = iterator.get_records(10).unwrap();
            assert!(batch.is_empty() && !batch.shard_ended());
            assert_eq!(batch.millis_behind_latest(), 0);
        }
        put_many(&stream, 2);
        assert_eq!(texts(&pull(&mut iterator)), ["r0", "r1"]);
    }

    #[test]
    fn is_looked_up_when_it_is_read_so_nothing_counts_as_missed() {
        let (stream, clock) = stream(1);
        let mut fresh = iterator(&stream, TrimHorizon);
        put_many(&stream, 3);
        clock.advance(stream.retention());
        put_into(&stream, 0, "young");
        clock.advance(millis(1));
        let (records, missed) = pull_counting(&mut fresh);
        assert_eq!((texts(&records), missed), (vec!["young".to_owned()], 0));
    }

    #[test]
    fn counts_nothing_as_missed_when_all_that_there_was_has_expired() {
        let (stream, clock) = stream(1);
        let mut fresh = iterator(&stream, TrimHorizon);
        put_many(&stream, 3);
        clock.advance(stream.retention() + millis(1));
        let batch = fresh.get_records(10).unwrap();
        assert!(batch.is_empty());
        assert_eq!(batch.missed_count(), 0);
        put_into(&stream, 0, "young");
        assert_eq!(texts(&pull(&mut fresh)), ["young"]);
    }

    #[test]
    fn is_looked_up_when_it_is_read_after_trimming_by_capacity_too() {
        let (stream, _clock) = build(Stream::builder("orders").capacity_records(2));
        let mut fresh = iterator(&stream, TrimHorizon);
        put_many(&stream, 5);
        let (records, missed) = pull_counting(&mut fresh);
        assert_eq!(
            (texts(&records), missed),
            (vec!["r3".to_owned(), "r4".to_owned()], 0)
        );
    }

    #[test]
    fn an_iterator_that_has_read_is_told_what_expired_before_it_read_on() {
        let (stream, clock) = stream(1);
        put_many(&stream, 5);
        let mut iterator = iterator(&stream, TrimHorizon);
        assert_eq!(iterator.get_records(2).unwrap().len(), 2);
        clock.advance(stream.retention() + millis(1));
        put_into(&stream, 0, "young");
        let (records, missed) = pull_counting(&mut iterator);
        assert_eq!((texts(&records), missed), (vec!["young".to_owned()], 3));
    }
}

mod latest {
    use super::*;

    #[test]
    fn reads_what_is_put_after_the_iterator_was_made_even_before_the_first_read() {
        let (stream, _clock) = stream(1);
        put_into(&stream, 0, "before");
        let mut iterator = iterator(&stream, Latest);
        put_into(&stream, 0, "after");
        assert_eq!(texts(&pull(&mut iterator)), ["after"]);
    }

    #[test]
    fn on_an_empty_shard_reads_the_first_record() {
        let (stream, _clock) = stream(1);
        let mut iterator = iterator(&stream, Latest);
        put_into(&stream, 0, "first");
        assert_eq!(texts(&pull(&mut iterator)), ["first"]);
    }

    #[test]
    fn on_a_closed_shard_ends_at_once_and_leads_to_the_children() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 3);
        split(&stream, 0);
        let batch = iterator(&stream, Latest).get_records(10).unwrap();
        assert!(batch.is_empty());
        assert_ended(&batch, &[1, 2]);
        assert_eq!(batch.missed_count(), 0);
    }

    #[test]
    fn is_told_what_was_trimmed_between_its_making_and_its_first_read() {
        let (stream, _clock) = build(Stream::builder("orders").capacity_records(2));
        put_into(&stream, 0, "before");
        let mut iterator = iterator(&stream, Latest);
        put_many(&stream, 5);
        let (records, missed) = pull_counting(&mut iterator);
        assert_eq!(
            (texts(&records), missed),
            (vec!["r3".to_owned(), "r4".to_owned()], 3)
        );
    }
}

mod sequence_numbers {
    use super::*;

    #[test]
    fn at_reads_the_record_and_after_reads_the_next() {
        let (stream, clock) = stream(1);
        let numbers: Vec<_> = (0..4)
            .map(|i| {
                clock.advance(secs(i));
                put_into(&stream, 0, &format!("r{i}"))
            })
            .collect();
        let all = ["r0", "r1", "r2", "r3"];
        for (i, number) in numbers.iter().enumerate() {
            assert_eq!(read_from(&stream, AtSequenceNumber(*number)), all[i..]);
            assert_eq!(
                read_from(&stream, AfterSequenceNumber(*number)),
                all[i + 1..]
            );
        }
    }

    #[test]
    fn after_the_last_record_reads_what_comes() {
        let (stream, _clock) = stream(1);
        let last = put_many(&stream, 3)[2];
        let mut iterator = iterator(&stream, AfterSequenceNumber(last));
        assert!(iterator.get_records(10).unwrap().is_empty());
        put_into(&stream, 0, "new");
        assert_eq!(texts(&pull(&mut iterator)), ["new"]);
    }

    #[test]
    fn of_no_record_lead_to_the_next_higher_one() {
        let (stream, clock) = stream(1);
        let numbers = put_many(&stream, 2);
        clock.advance(secs(9));
        put_into(&stream, 0, "r2");
        let second = Fields::of(numbers[1]);
        let below = Fields {
            time_secs: second.time_secs - 1,
            ..second
        }
        .number();
        let above = Fields {
            time_secs: second.time_secs + 1,
            ..second
        }
        .number();
        assert!(numbers[0] < below && below < numbers[1] && numbers[1] < above);
        for position in [AtSequenceNumber(below), AfterSequenceNumber(below)] {
            assert_eq!(read_from(&stream, position), ["r1", "r2"]);
        }
        for position in [AtSequenceNumber(above), AfterSequenceNumber(above)] {
            assert_eq!(read_from(&stream, position), ["r2"]);
        }
    }

    #[test]
    fn the_starting_number_of_a_shard_is_its_beginning() {
        let (stream, _clock) = stream(1);
        let start = stream.shard(id(0)).unwrap().starting_sequence_number();
        let mut early = iterator(&stream, AfterSequenceNumber(start));
        put_many(&stream, 2);
        assert_eq!(read_from(&stream, AtSequenceNumber(start)), ["r0", "r1"]);
        assert_eq!(read_from(&stream, AfterSequenceNumber(start)), ["r0", "r1"]);
        assert_eq!(texts(&pull(&mut early)), ["r0", "r1"]);
    }

    #[test]
    fn the_ending_number_of_a_shard_is_its_end() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 2);
        split(&stream, 0);
        let end = stream
            .shard(id(0))
            .unwrap()
            .ending_sequence_number()
            .unwrap();
        for position in [AtSequenceNumber(end), AfterSequenceNumber(end)] {
            let batch = iterator(&stream, position).get_records(10).unwrap();
            assert!(batch.is_empty());
            assert_ended(&batch, &[1, 2]);
        }
    }

    #[test]
    fn of_a_trimmed_record_begin_at_the_horizon_and_say_what_was_missed() {
        for by_capacity in [true, false] {
            let builder = Stream::builder("orders");
            let (stream, clock) = build(if by_capacity {
                builder.capacity_records(2)
            } else {
                builder
            });
            let numbers = put_many(&stream, 3);
            if by_capacity {
                put_many(&stream, 2);
            } else {
                clock.advance(stream.retention() + millis(1));
                put_many(&stream, 2);
            }
            for (i, number) in numbers.iter().enumerate() {
                let (records, missed) =
                    pull_counting(&mut iterator(&stream, AtSequenceNumber(*number)));
                assert_eq!((texts(&records).len(), missed), (2, 3 - i as u64));
                let (records, missed) =
                    pull_counting(&mut iterator(&stream, AfterSequenceNumber(*number)));
                assert_eq!((texts(&records).len(), missed), (2, 2 - i as u64));
            }
        }
    }

    #[test]
    fn of_another_shard_are_refused() {
        let (stream, _clock) = stream(2);
        let other = put_into(&stream, 1, "x");
        for position in [AtSequenceNumber(other), AfterSequenceNumber(other)] {
            let error = refused(stream.shard_iterator(id(0), position));
            assert!(
                matches!(error, Error::SequenceNumberOfOtherShard { encoded, shard_id, .. }
                    if encoded == id(1) && shard_id == id(0)),
                "{error:?}"
            );
            assert_eq!(error.code(), "InvalidArgumentException");
            assert!(
                error.to_string().contains("shardId-000000000001"),
                "{error}"
            );
        }
    }

    #[test]
    fn of_another_stream_are_refused() {
        let (ours, clock) = stream(1);
        clock.advance(secs(1));
        let later = Stream::builder("orders").clock(clock).build().unwrap();
        let foreign = put_into(&later, 0, "x");
        let error = refused(ours.shard_iterator(id(0), AtSequenceNumber(foreign)));
        assert!(
            matches!(error, Error::SequenceNumberOfOtherStream { .. }),
            "{error:?}"
        );
        assert_eq!(error.code(), "InvalidArgumentException");
        let ours = put_into(&ours, 0, "x");
        let error = refused(later.shard_iterator(id(0), AfterSequenceNumber(ours)));
        assert!(
            matches!(error, Error::SequenceNumberOfOtherStream { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn of_the_future_are_refused() {
        let (stream, _clock) = stream(1);
        let last = Fields::of(put_many(&stream, 2)[1]);
        let next = Fields {
            place: last.place + 1,
            ..last
        }
        .number();
        for position in [AtSequenceNumber(next), AfterSequenceNumber(next)] {
            let error = refused(stream.shard_iterator(id(0), position));
            assert!(
                matches!(error, Error::SequenceNumberInFuture { .. }),
                "{error:?}"
            );
            assert_eq!(error.code(), "InvalidArgumentException");
        }
    }
}

mod timestamps {
    use super::*;

    /// Records r0..r4 that arrived 0, 10, 10, 20 and 30 ms after the start.
    fn timed() -> (Stream, brooklet::ManualClock) {
        let (stream, clock) = stream(1);
        for (i, step) in [0, 10, 0, 10, 10].into_iter().enumerate() {
            clock.advance(millis(step));
            put_into(&stream, 0, &format!("r{i}"));
        }
        (stream, clock)
    }

    #[test]
    fn begin_at_the_first_record_of_that_time_or_later() {
        let (stream, _clock) = timed();
        let all = ["r0", "r1", "r2", "r3", "r4"];
        for (after_ms, first) in [
            (0, 0),
            (1, 1),
            (9, 1),
            (10, 1),
            (11, 3),
            (20, 3),
            (21, 4),
            (29, 4),
            (30, 4),
        ] {
            assert_eq!(
                read_from(&stream, at(after_ms)),
                all[first..],
                "at +{after_ms} ms"
            );
        }
    }

    #[test]
    fn before_the_stream_was_created_begin_at_its_first_record() {
        let (stream, _clock) = timed();
        let long_ago = AtTimestamp(brooklet::Timestamp::from_millis(0));
        assert_eq!(read_from(&stream, long_ago).len(), 5);
    }

    #[test]
    fn before_the_horizon_begin_at_the_horizon_and_nothing_counts_as_missed() {
        let (stream, clock) = timed();
        // r0 to r2 expire.
        clock.set(brooklet::Timestamp::from_millis(START_MS + 15) + stream.retention());
        assert_eq!(read_from(&stream, at(0)), ["r3", "r4"]);
    }

    #[test]
    fn later_than_every_record_wait_for_the_next() {
        let (stream, clock) = timed();
        clock.advance(millis(100));
        let mut iterator = iterator(&stream, at(130));
        assert!(iterator.get_records(10).unwrap().is_empty());
        put_into(&stream, 0, "new");
        assert_eq!(texts(&pull(&mut iterator)), ["new"]);
    }

    #[test]
    fn of_now_on_an_empty_shard_wait_for_the_first() {
        let (stream, _clock) = stream(1);
        let mut iterator = iterator(&stream, at(0));
        assert!(iterator.get_records(10).unwrap().is_empty());
        put_into(&stream, 0, "new");
        assert_eq!(texts(&pull(&mut iterator)), ["new"]);
    }

    #[test]
    fn of_the_future_are_refused_to_the_millisecond() {
        let (stream, clock) = timed();
        let now = now_ms(&clock) - START_MS;
        assert!(stream.shard_iterator(id(0), at(now)).is_ok());
        let error = refused(stream.shard_iterator(id(0), at(now + 1)));
        assert!(
            matches!(error, Error::TimestampInFuture { .. }),
            "{error:?}"
        );
        assert_eq!(error.code(), "InvalidArgumentException");
    }

    #[test]
    fn later_than_every_record_of_a_closed_shard_end_at_once() {
        let (stream, clock) = timed();
        split(&stream, 0);
        clock.advance(millis(100));
        let batch = iterator(&stream, at(31)).get_records(10).unwrap();
        assert!(batch.is_empty());
        assert_ended(&batch, &[1, 2]);
    }

    #[test]
    fn find_their_record_among_many_chunks() {
        let (stream, clock) = stream(1);
        for i in 0..20_000 {
            if i % 7 == 0 {
                clock.advance(millis(1));
            }
            put_into(&stream, 0, &i.to_string());
        }
        for after_ms in [1, 2, 500, 1_500, 2_000, 2_857] {
            let first = iterator(&stream, at(after_ms)).get_records(1).unwrap();
            assert_eq!(view_texts(&first), [((after_ms - 1) * 7).to_string()]);
        }
    }
}

mod batches {
    use super::*;

    #[test]
    fn hold_at_most_the_limit() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 25);
        let mut iterator = iterator(&stream, TrimHorizon);
        let sizes: Vec<_> = (0..4)
            .map(|_| iterator.get_records(10).unwrap().len())
            .collect();
        assert_eq!(sizes, [10, 10, 5, 0]);
    }

    #[test]
    fn of_none_or_more_than_ten_thousand_are_refused_and_nothing_is_skipped() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 3);
        let mut iterator = iterator(&stream, TrimHorizon);
        for limit in [0, 10_001, usize::MAX] {
            let error = refused(iterator.get_records(limit));
            assert_eq!(error, Error::InvalidLimit { limit });
            assert_eq!(error.code(), "ValidationException");
            assert_eq!(refused(iterator.get_records_timeout(limit, secs(1))), error);
        }
        assert_eq!(iterator.get_records(10_000).unwrap().len(), 3);
    }

    #[test]
    fn hold_at_most_ten_mebibytes_and_reading_goes_on_behind() {
        let (stream, _clock) = stream(1);
        for i in 0..23u8 {
            stream.producer().put_record("k", vec![i; 1 << 20]).unwrap();
        }
        let mut iterator = iterator(&stream, TrimHorizon);
        let mut read = Vec::new();
        while read.len() < 23 {
            let batch = iterator.get_records(10_000).unwrap();
            assert!(
                !batch.is_empty(),
                "unread data is never answered by an empty batch"
            );
            assert!(batch.iter().map(|view| view.data().len()).sum::<usize>() <= 10 << 20);
            read.extend(batch.iter().map(|view| view.data()[0]));
        }
        assert_eq!(read, (0..23).collect::<Vec<_>>());
    }

    #[test]
    fn hold_one_record_even_if_it_alone_is_at_the_bound() {
        let (stream, _clock) = build(Stream::builder("orders").record_bytes_max(10 << 20));
        let key = "k".repeat(256);
        stream.producer().put_record("k", "small").unwrap();
        stream
            .producer()
            .put_record(&key, vec![1; 10 << 20])
            .unwrap();
        stream.producer().put_record("k", "small").unwrap();
        let mut iterator = iterator(&stream, TrimHorizon);
        let mut sizes = Vec::new();
        while sizes.len() < 3 {
            let batch = iterator.get_records(10_000).unwrap();
            assert!(!batch.is_empty());
            sizes.extend(batch.iter().map(|view| view.data().len()));
        }
        assert_eq!(sizes, [5, 10 << 20, 5]);
    }

    #[test]
    fn show_the_same_records_borrowed_and_owned() {
        let (stream, clock) = stream(1);
        for i in 0..300usize {
            clock.advance(millis(3));
            let data = vec![i as u8; i * 5];
            stream
                .producer()
                .put_record(format!("key-{i}"), data)
                .unwrap();
        }
        let batch = iterator(&stream, TrimHorizon).get_records(1_000).unwrap();
        assert_eq!(batch.len(), 300);
        assert_eq!(batch.iter().len(), 300);
        assert_eq!(batch.records().len(), 300);
        let mut views = 0;
        for ((view, owned), moved) in (&batch).into_iter().zip(batch.records()).zip(batch.clone()) {
            for record in [&owned, &moved, &view.to_record()] {
                assert_eq!(record.sequence_number(), view.sequence_number());
                assert_eq!(
                    record.approximate_arrival_timestamp(),
                    view.approximate_arrival_timestamp()
                );
                assert_eq!(record.partition_key(), view.partition_key());
                assert_eq!(record.data(), view.data());
                assert_eq!(record.shard_id(), view.shard_id());
            }
            views += 1;
        }
        assert_eq!(views, 300);
    }

    #[test]
    fn say_at_each_record_how_many_are_left() {
        let (stream, _clock) = stream(1);
        for _ in 0..300 {
            // Enough for several chunks.
            stream.producer().put_record("key", [7; 100]).unwrap();
        }
        let batch = iterator(&stream, TrimHorizon).get_records(1_000).unwrap();
        let (mut views, mut records) = (batch.iter(), batch.records());
        for left in (0..300).rev() {
            assert!(views.next().is_some() && records.next().is_some());
            assert_eq!((views.len(), records.len()), (left, left));
        }
        assert!(views.next().is_none() && records.next().is_none());
        assert_eq!((views.len(), records.len()), (0, 0));
    }

    #[test]
    fn that_are_held_do_not_change_when_the_shard_trims() {
        let (stream, clock) = build(Stream::builder("orders").capacity_records(100));
        put_many(&stream, 100);
        let batch = iterator(&stream, TrimHorizon).get_records(100).unwrap();
        let owned: Vec<_> = batch.records().collect();
        for i in 0..20_000 {
            put_into(&stream, 0, &format!("later-{i}"));
        }
        clock.advance(stream.retention() * 2);
        assert!(read_shard(&stream, 0).is_empty());
        let expected: Vec<_> = (0..100).map(|i| format!("r{i}")).collect();
        assert_eq!(view_texts(&batch), expected);
        assert_eq!(texts(&owned), expected);
        drop(batch);
        drop(stream);
        assert_eq!(texts(&owned), expected);
    }

    #[test]
    fn say_how_far_behind_the_reader_is() {
        let (stream, clock) = stream(1);
        for i in 0..4 {
            put_into(&stream, 0, &format!("r{i}"));
            clock.advance(millis(100));
        }
        let mut iterator = iterator(&stream, TrimHorizon);
        // r0 and r1 arrived 400 and 300 ms ago.
        assert_eq!(iterator.get_records(1).unwrap().millis_behind_latest(), 400);
        assert_eq!(iterator.get_records(1).unwrap().millis_behind_latest(), 300);
        assert_eq!(iterator.get_records(2).unwrap().millis_behind_latest(), 0);
        assert_eq!(iterator.get_records(1).unwrap().millis_behind_latest(), 0);
    }

    #[test]
    fn are_never_behind_by_less_than_nothing_when_the_clock_steps_back() {
        let (stream, clock) = stream(1);
        put_many(&stream, 2);
        clock.set(brooklet::Timestamp::from_millis(START_MS - 5_000));
        let batch = iterator(&stream, TrimHorizon).get_records(1).unwrap();
        assert_eq!(batch.millis_behind_latest(), 0);
    }
}

mod the_end_of_a_shard {
    use super::*;

    #[test]
    fn comes_with_the_batch_that_has_its_last_record() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 5);
        split(&stream, 0);
        let mut iterator = iterator(&stream, TrimHorizon);
        let first = iterator.get_records(4).unwrap();
        assert!(!first.shard_ended() && first.child_shards().is_empty());
        let last = iterator.get_records(4).unwrap();
        assert_eq!(last.len(), 1);
        assert_ended(&last, &[1, 2]);
        assert_eq!(last.millis_behind_latest(), 0);
    }

    #[test]
    fn is_told_again_to_who_asks_again() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 1);
        split(&stream, 0);
        let mut iterator = iterator(&stream, TrimHorizon);
        iterator.get_records(4).unwrap();
        for _ in 0..3 {
            let batch = iterator.get_records(4).unwrap();
            assert!(batch.is_empty());
            assert_ended(&batch, &[1, 2]);
        }
    }

    #[test]
    fn names_children_with_their_parents_and_ranges() {
        let (stream, _clock) = stream(2);
        let ranges: Vec<_> = stream.shards().iter().map(|s| s.hash_key_range()).collect();
        stream.merge_shards(id(0), id(1)).unwrap();
        for index in [0, 1] {
            let mut iterator = stream.shard_iterator(id(index), TrimHorizon).unwrap();
            let batch = iterator.get_records(1).unwrap();
            assert_ended(&batch, &[2]);
            let child = &batch.child_shards()[0];
            assert_eq!(child.parent_shards(), [id(0), id(1)]);
            assert_eq!(child.hash_key_range().start(), ranges[0].start());
            assert_eq!(child.hash_key_range().end(), ranges[1].end());
        }
        split(&stream, 2);
        let mut iterator = stream.shard_iterator(id(2), TrimHorizon).unwrap();
        let batch = iterator.get_records(1).unwrap();
        assert_ended(&batch, &[3, 4]);
        for child in batch.child_shards() {
            assert_eq!(child.parent_shards(), [id(2)]);
            let shard = stream.shard(child.shard_id()).unwrap();
            assert_eq!(child.hash_key_range(), shard.hash_key_range());
        }
    }

    #[test]
    fn leaves_an_iterator_from_before_it_in_place() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 6);
        let mut held = iterator(&stream, TrimHorizon);
        held.get_records(2).unwrap();
        split(&stream, 0);
        put_into(&stream, 1, "child");
        let batch = held.get_records(10).unwrap();
        assert_eq!(view_texts(&batch), ["r2", "r3", "r4", "r5"]);
        assert_ended(&batch, &[1, 2]);
    }

    #[test]
    fn comes_with_the_count_of_what_expired_unread() {
        let (stream, clock) = stream(1);
        put_many(&stream, 6);
        let mut held = iterator(&stream, TrimHorizon);
        held.get_records(2).unwrap();
        split(&stream, 0);
        clock.advance(stream.retention() + millis(1));
        let (mut missed, mut ended) = (0, false);
        while !ended {
            let batch = held.get_records(10).unwrap();
            assert!(batch.is_empty());
            missed += batch.missed_count();
            ended = batch.shard_ended();
        }
        assert_eq!(missed, 4);
    }

    #[test]
    fn of_a_closed_stream_has_no_children() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 2);
        let mut waiting_at_the_tip = iterator(&stream, Latest);
        stream.close();
        let batch = iterator(&stream, TrimHorizon).get_records(10).unwrap();
        assert_eq!(batch.len(), 2);
        assert_ended(&batch, &[]);
        assert_ended(&waiting_at_the_tip.get_records(10).unwrap(), &[]);
    }
}

mod positions {
    use super::*;

    /// Every kind of position on a shard with records r0 to r9.
    fn all_positions(numbers: &[SequenceNumber]) -> Vec<StartingPosition> {
        vec![
            TrimHorizon,
            Latest,
            AtSequenceNumber(numbers[0]),
            AtSequenceNumber(numbers[4]),
            AfterSequenceNumber(numbers[4]),
            AfterSequenceNumber(numbers[9]),
            at(0),
        ]
    }

    #[test]
    fn may_be_used_any_number_of_times() {
        let (stream, _clock) = stream(1);
        let numbers = put_many(&stream, 10);
        for position in all_positions(&numbers) {
            let first = read_from(&stream, position);
            assert_eq!(read_from(&stream, position), first, "{position:?}");
        }
    }

    #[test]
    fn restore_an_iterator_before_and_after_every_batch() {
        let (stream, _clock) = stream(1);
        let numbers = put_many(&stream, 10);
        for start in all_positions(&numbers) {
            let mut original = iterator(&stream, start);
            loop {
                let mut restored = iterator(&stream, original.position());
                let mut cloned = original.clone();
                let mut expected = original.clone();
                let expected = texts(&pull(&mut expected));
                assert_eq!(texts(&pull(&mut restored)), expected, "{start:?}");
                assert_eq!(texts(&pull(&mut cloned)), expected, "{start:?}");
                assert_eq!(original.shard_id(), id(0));
                if original.get_records(3).unwrap().is_empty() {
                    break;
                }
            }
        }
    }

    #[test]
    fn of_an_empty_shard_restore_at_its_beginning() {
        let (stream, _clock) = stream(1);
        let positions = [TrimHorizon, Latest, at(0)].map(|start| {
            let mut iterator = iterator(&stream, start);
            let untouched = iterator.position();
            iterator.get_records(1).unwrap();
            [untouched, iterator.position()]
        });
        put_many(&stream, 3);
        for position in positions.into_iter().flatten() {
            assert_eq!(
                read_from(&stream, position),
                ["r0", "r1", "r2"],
                "{position:?}"
            );
        }
    }

    #[test]
    fn of_an_ended_shard_restore_at_its_end() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 3);
        split(&stream, 0);
        let mut read = iterator(&stream, TrimHorizon);
        pull(&mut read);
        let batch = iterator(&stream, read.position()).get_records(5).unwrap();
        assert!(batch.is_empty());
        assert_ended(&batch, &[1, 2]);
    }

    #[test]
    fn that_are_overtaken_say_after_they_are_restored_what_was_missed() {
        let (stream, _clock) = build(Stream::builder("orders").capacity_records(4));
        put_many(&stream, 4);
        let mut iterator = iterator(&stream, TrimHorizon);
        iterator.get_records(2).unwrap();
        let saved = iterator.position();
        for i in 4..9 {
            put_into(&stream, 0, &format!("r{i}"));
        }
        // Read were r0, r1; retained are r5 to r8.
        for mut reader in [iterator, common::iterator(&stream, saved)] {
            let overtaken_again = reader.position();
            let (records, missed) = pull_counting(&mut reader);
            assert_eq!(
                (texts(&records).join(" "), missed),
                ("r5 r6 r7 r8".to_owned(), 3)
            );
            let mut again = common::iterator(&stream, overtaken_again);
            assert_eq!(pull_counting(&mut again).1, 3);
        }
    }
}

#[test]
fn iterators_are_independent_of_each_other() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 10);
    let mut slow = iterator(&stream, TrimHorizon);
    let mut fast = slow.clone();
    assert_eq!(pull(&mut fast).len(), 10);
    assert_eq!(view_texts(&slow.get_records(2).unwrap()), ["r0", "r1"]);
    let mut from_slow = slow.clone();
    assert_eq!(view_texts(&slow.get_records(2).unwrap()), ["r2", "r3"]);
    assert_eq!(view_texts(&from_slow.get_records(2).unwrap()), ["r2", "r3"]);
    assert!(fast.get_records(5).unwrap().is_empty());
}

#[test]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "both forms are to work"
)]
fn a_shard_and_its_stream_give_the_same_iterators() {
    let (stream, _clock) = stream(3);
    let shard = stream.shard(id(1)).unwrap();
    put_into(&stream, 1, "x");
    let mut by_shard = shard.iterator(TrimHorizon).unwrap();
    let mut by_stream = stream.shard_iterator(shard.id(), TrimHorizon).unwrap();
    let by_reference = stream.shard_iterator(&shard.id(), TrimHorizon).unwrap();
    assert_eq!(texts(&pull(&mut by_shard)), texts(&pull(&mut by_stream)));
    assert_eq!(by_reference.shard_id(), id(1));
}

#[test]
fn an_overtaken_reader_learns_the_exact_count_however_often_it_is_overtaken() {
    let (stream, _clock) = build(Stream::builder("orders").capacity_records(10));
    let mut iterator = iterator(&stream, Latest);
    let (mut read, mut missed, mut put) = (0, 0, 0);
    for round in 0..50u64 {
        for _ in 0..round {
            put_into(&stream, 0, "x");
            put += 1;
        }
        let batch = iterator.get_records(3).unwrap();
        missed += batch.missed_count();
        read += batch.len() as u64;
    }
    let (rest, missed_then) = pull_counting(&mut iterator);
    assert_eq!(read + rest.len() as u64 + missed + missed_then, put);
}

#[test]
fn records_of_different_shards_do_not_mix() {
    let (stream, _clock) = stream(8);
    for shard in stream.shards() {
        for i in 0..5 {
            let data = format!("{}:{i}", shard.id().index());
            let put = stream
                .producer()
                .put_record_with_hash_key("k", key_of(&shard), data);
            assert_eq!(put.unwrap().shard_id(), shard.id());
        }
    }
    for shard in stream.shards() {
        let expected: Vec<_> = (0..5)
            .map(|i| format!("{}:{i}", shard.id().index()))
            .collect();
        assert_eq!(texts(&read_shard(&stream, shard.id().index())), expected);
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn no_sequence_of_limits_skips_or_repeats_a_record(
        sizes in prop::collection::vec(0usize..3_000, 1..200),
        limits in prop::collection::vec(1usize..50, 1..50),
    ) {
        let (stream, _clock) = stream(1);
        for (i, size) in sizes.iter().enumerate() {
            let data: Bytes = format!("{i}|{}", "x".repeat(*size)).into();
            stream.producer().put_record("k", data).unwrap();
        }
        let mut reader = iterator(&stream, TrimHorizon);
        let mut read = Vec::new();
        let mut limits = limits.iter().cycle();
        loop {
            let limit = *limits.next().expect("a cycle does not end");
            let batch = reader.get_records(limit).unwrap();
            prop_assert!(batch.len() <= limit);
            if batch.is_empty() {
                break;
            }
            read.extend(batch.records());
        }
        prop_assert_eq!(read.len(), sizes.len());
        for (i, (record, size)) in read.iter().zip(&sizes).enumerate() {
            prop_assert_eq!(text(record), format!("{i}|{}", "x".repeat(*size)));
        }
    }
}
