//! Retention: the contract's section 5, on a clock that is turned by hand.

use std::time::Duration;

use brooklet::{Error, HashKey, ShardFilter, StartingPosition, Stream};
use common::{
    START_MS, build, id, indices, iterator, millis, now_ms, pull, pull_counting, put_into,
    put_many, read_shard, refused, secs, stream, texts,
};

use StartingPosition::{Latest, TrimHorizon};

mod common;

const DAY: Duration = secs(24 * 60 * 60);

fn short(retention: Duration) -> (Stream, brooklet::ManualClock) {
    build(Stream::builder("orders").retention(retention))
}

fn readable(stream: &Stream) -> Vec<String> {
    texts(&read_shard(stream, 0))
}

#[test]
fn a_stream_keeps_its_records_for_a_day_unless_told_otherwise() {
    let (stream, clock) = stream(1);
    assert_eq!(stream.retention(), DAY);
    put_into(&stream, 0, "x");
    clock.advance(DAY);
    assert_eq!(readable(&stream), ["x"]);
    clock.advance(millis(1));
    assert!(readable(&stream).is_empty());
}

#[test]
fn a_record_is_readable_as_long_as_it_is_no_older_than_the_retention() {
    let (stream, clock) = short(secs(10));
    for i in 0..5 {
        put_into(&stream, 0, &format!("r{i}"));
        clock.advance(secs(1));
    }
    // r0 arrived at 0 s, and it is 5 s now.
    clock.advance(secs(5));
    let retained = || stream.shards()[0].metrics().records_retained;
    for first in 0..5 {
        // Asking for figures trims; reading does so only where something has expired.
        assert_eq!(retained(), 5 - first as u64, "at its last moment");
        assert_eq!(readable(&stream).len(), 5 - first, "at its last moment");
        clock.advance(millis(1));
        assert_eq!(readable(&stream).len(), 4 - first, "a millisecond later");
        clock.advance(millis(999));
    }
}

#[test]
fn what_has_expired_is_hidden_before_it_is_trimmed() {
    let (stream, clock) = short(secs(10));
    put_many(&stream, 3);
    let mut iterator = iterator(&stream, TrimHorizon);
    clock.advance(secs(10) + millis(1));
    // Nothing but this reader looks at the shard.
    let batch = iterator.get_records(10).unwrap();
    assert!(batch.is_empty());
}

#[test]
fn expiry_goes_record_by_record_within_a_chunk() {
    let (stream, clock) = short(secs(100));
    for i in 0..100 {
        put_into(&stream, 0, &i.to_string());
        clock.advance(secs(1));
    }
    for expired in 1..=100u64 {
        clock.advance(millis(1_000));
        assert_eq!(readable(&stream).len() as u64, 100 - expired);
    }
}

#[test]
fn a_shorter_retention_takes_effect_at_once() {
    let (stream, clock) = stream(1);
    put_into(&stream, 0, "old");
    clock.advance(secs(60));
    put_into(&stream, 0, "young");
    let mut held = iterator(&stream, Latest);
    stream.set_retention(secs(59)).unwrap();
    assert_eq!(stream.retention(), secs(59));
    assert_eq!(readable(&stream), ["young"]);
    assert_eq!(stream.shards()[0].metrics().records_trimmed, 1);
    assert!(pull(&mut held).is_empty());
}

#[test]
fn a_longer_retention_keeps_what_has_not_expired() {
    let (stream, clock) = short(secs(10));
    put_into(&stream, 0, "x");
    clock.advance(secs(10));
    stream.set_retention(secs(20)).unwrap();
    clock.advance(secs(10));
    assert_eq!(readable(&stream), ["x"]);
    clock.advance(millis(1));
    assert!(readable(&stream).is_empty());
}

#[test]
fn a_longer_retention_does_not_bring_back_what_has_expired() {
    let (stream, clock) = short(secs(10));
    put_into(&stream, 0, "expired");
    clock.advance(secs(5));
    put_into(&stream, 0, "young");
    let mut fresh = iterator(&stream, TrimHorizon);
    clock.advance(secs(6));
    // Nobody has looked since the first record expired.
    stream.set_retention(DAY).unwrap();
    assert_eq!(readable(&stream), ["young"]);
    assert_eq!(texts(&pull(&mut fresh)), ["young"]);
}

#[test]
fn a_longer_retention_brings_back_neither_an_expired_shard_nor_its_records() {
    let (stream, clock) = short(secs(10));
    put_many(&stream, 3);
    let mut held = iterator(&stream, TrimHorizon);
    held.get_records(1).unwrap();
    stream.split_shard(id(0), HashKey::new(9)).unwrap();
    clock.advance(secs(11));
    assert_eq!(indices(&stream.shards()), [1, 2]);
    stream.set_retention(DAY).unwrap();
    assert_eq!(indices(&stream.shards()), [1, 2]);
    assert!(stream.shard(id(0)).is_err());
    let (records, missed) = pull_counting(&mut held);
    assert_eq!((texts(&records), missed), (vec![], 2));
}

#[test]
fn a_retention_that_makes_no_sense_is_refused_with_its_bound() {
    let year = DAY * 365;
    let (stream, _clock) = stream(1);
    for bad in [
        Duration::ZERO,
        Duration::from_nanos(999_999),
        year + millis(1),
        Duration::MAX,
    ] {
        let built = Stream::builder("orders").retention(bad).build();
        for error in [refused(stream.set_retention(bad)), refused(built)] {
            assert!(matches!(error, Error::InvalidSetting { .. }), "{error:?}");
            assert!(error.to_string().contains("365 days"), "{error}");
        }
    }
    assert_eq!(stream.retention(), DAY);
    for good in [millis(1), year] {
        stream.set_retention(good).unwrap();
        assert_eq!(stream.retention(), good);
        assert!(Stream::builder("orders").retention(good).build().is_ok());
    }
}

#[test]
fn a_closed_shard_is_gone_once_it_was_closed_longer_ago_than_the_retention() {
    let (stream, clock) = short(secs(10));
    put_into(&stream, 0, "x");
    clock.advance(secs(3));
    stream.split_shard(id(0), HashKey::new(9)).unwrap();
    clock.advance(secs(10));
    assert_eq!(indices(&stream.shards()), [0, 1, 2], "at its last moment");
    assert!(readable(&stream).is_empty());
    clock.advance(millis(1));
    assert_eq!(indices(&stream.shards()), [1, 2], "a millisecond later");
    assert_eq!(
        indices(&stream.list_shards(ShardFilter::FromTrimHorizon).unwrap()),
        [1, 2]
    );
    for error in [
        refused(stream.shard(id(0))),
        refused(stream.shard_iterator(id(0), TrimHorizon)),
        refused(stream.split_shard(id(0), HashKey::new(5))),
        refused(stream.merge_shards(id(0), id(1))),
    ] {
        assert!(matches!(error, Error::ShardNotFound { .. }), "{error:?}");
        assert_eq!(error.code(), "ResourceNotFoundException");
    }
    assert_eq!(stream.shard(id(1)).unwrap().parent_shard_id(), Some(id(0)));
}

#[test]
fn a_reader_of_an_expired_shard_is_led_on_to_its_children() {
    let (stream, clock) = short(secs(10));
    put_many(&stream, 4);
    let mut held = iterator(&stream, TrimHorizon);
    held.get_records(1).unwrap();
    stream.split_shard(id(0), HashKey::new(9)).unwrap();
    clock.advance(secs(100));
    assert_eq!(indices(&stream.shards()), [1, 2]);
    let batch = held.get_records(10).unwrap();
    assert_eq!(
        (batch.len(), batch.missed_count(), batch.shard_ended()),
        (0, 3, true)
    );
    assert_eq!(batch.child_shards().len(), 2);
}

#[test]
fn an_overtaken_reader_goes_on_at_the_horizon_and_is_told_the_count() {
    let (stream, clock) = short(secs(10));
    put_many(&stream, 4);
    let mut iterator = iterator(&stream, TrimHorizon);
    assert_eq!(iterator.get_records(1).unwrap().len(), 1);
    clock.advance(secs(6));
    put_into(&stream, 0, "young");
    clock.advance(secs(6));
    let batch = iterator.get_records(10).unwrap();
    assert_eq!(common::view_texts(&batch), ["young"]);
    assert_eq!(batch.missed_count(), 3);
    assert_eq!(
        iterator.get_records(10).unwrap().missed_count(),
        0,
        "told once"
    );
}

#[test]
fn a_clock_that_steps_back_neither_expires_nor_revives_records_that_were_trimmed() {
    let (stream, clock) = short(secs(10));
    put_into(&stream, 0, "a");
    clock.advance(secs(11));
    assert!(readable(&stream).is_empty());
    clock.set(brooklet::Timestamp::from_millis(START_MS));
    assert!(readable(&stream).is_empty());
    put_into(&stream, 0, "b");
    clock.set(brooklet::Timestamp::from_millis(0));
    assert_eq!(readable(&stream), ["b"]);
}

#[test]
fn a_clock_at_either_end_of_time_harms_nothing() {
    let (stream, clock) = short(secs(10));
    for ms in [0, u64::MAX, 1, u64::MAX - 1, START_MS] {
        clock.set(brooklet::Timestamp::from_millis(ms));
        let put = stream.producer().put_record("k", "x").unwrap();
        let records = read_shard(&stream, 0);
        assert_eq!(
            records.last().unwrap().sequence_number(),
            put.sequence_number()
        );
        assert!(stream.shards()[0].metrics().records_retained >= 1);
        assert!(
            !stream
                .list_shards(ShardFilter::AtTrimHorizon)
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn records_far_apart_in_time_keep_their_arrival_times() {
    // Over three days, more than a chunk's times span.
    let (stream, clock) = short(DAY * 365);
    let mut expected = Vec::new();
    for day in [0, 1, 3, 4, 40, 41, 300] {
        clock.set(brooklet::Timestamp::from_millis(START_MS) + DAY * day);
        put_into(&stream, 0, "x");
        expected.push(now_ms(&clock));
    }
    let read: Vec<_> = read_shard(&stream, 0)
        .iter()
        .map(|record| record.approximate_arrival_timestamp().as_millis())
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn trimming_waits_for_no_reader() {
    let (stream, clock) = short(secs(10));
    put_many(&stream, 100);
    let held: Vec<_> = (0..50)
        .map(|i| {
            let mut iterator = iterator(&stream, TrimHorizon);
            let batch = iterator.get_records(i + 1).unwrap();
            (iterator, batch)
        })
        .collect();
    clock.advance(secs(11));
    assert_eq!(stream.shards()[0].metrics().records_retained, 0);
    for (i, (mut iterator, batch)) in held.into_iter().enumerate() {
        assert_eq!(batch.len(), i + 1);
        assert_eq!(pull_counting(&mut iterator).1, 99 - i as u64);
    }
}
