//! What a stream says of itself: every figure of `metrics` and `describe`, and `Debug`, which never
//! shows what was put.

use std::fmt::Debug;
use std::task::{Poll, Waker};

use brooklet::{
    AsPartitionKey, Data, EntryKey, Error, HashKey, Limits, OnFull, PartitionKey, PutEntry,
    Registry, ShardFilter, ShardId, ShardMetrics, StartingPosition, Stream, StreamStatus,
    Timestamp,
};
use common::{
    START_MS, build, clock, id, indices, iterator, millis, now_ms, pull, put_into, put_many,
    read_shard, refused, secs, stream,
};
use wakers::{Wakes, poll};

use StartingPosition::TrimHorizon;

mod common;
mod wakers;

fn figures(stream: &Stream, index: u32) -> ShardMetrics {
    stream.shard(id(index)).unwrap().metrics()
}

#[test]
fn a_new_shard_has_figures_of_nothing() {
    let (stream, _clock) = stream(2);
    let metrics = stream.metrics();
    assert_eq!(metrics.shards.len(), 2);
    for (index, shard) in (0..).zip(&metrics.shards) {
        assert_eq!((shard.shard_id, shard.open), (id(index), true));
        let counts = [
            shard.records_in,
            shard.bytes_in,
            shard.records_out,
            shard.bytes_out,
            shard.records_retained,
            shard.bytes_retained,
            shard.records_trimmed,
            shard.bytes_trimmed,
            shard.puts_throttled,
            shard.reads_throttled,
        ];
        assert_eq!(counts, [0; 10]);
        assert_eq!((shard.waiting_readers, shard.oldest_age_ms), (0, None));
    }
    assert_eq!((metrics.records_in(), metrics.records_retained()), (0, 0));
    assert_eq!(metrics.oldest_age_ms(), None);
}

#[test]
fn what_is_put_counts_with_its_key_and_data_in_its_own_shard() {
    let (stream, clock) = stream(2);
    put_into(&stream, 0, "12345");
    clock.advance(secs(3));
    put_into(&stream, 0, "");
    let (first, second) = (figures(&stream, 0), figures(&stream, 1));
    // The key is `key`.
    assert_eq!((first.records_in, first.bytes_in), (2, 11));
    assert_eq!((first.records_retained, first.bytes_retained), (2, 11));
    assert_eq!(first.oldest_age_ms, Some(3_000));
    assert_eq!(
        (second.records_in, second.bytes_in, second.oldest_age_ms),
        (0, 0, None)
    );
    assert_eq!(stream.metrics().records_in(), 2);
    assert_eq!(stream.metrics().oldest_age_ms(), Some(3_000));
    assert_eq!(stream.metrics().sum(|shard| shard.bytes_in), 11);
}

#[test]
fn data_of_every_size_counts_exactly() {
    let (stream, _clock) = stream(1);
    let mut bytes = 0;
    for size in [0, 1, 7, 8, 511, 512, 513, 4_096, 100_000] {
        stream.producer().put_record("ü", vec![0; size]).unwrap();
        bytes += 2 + size as u64;
        assert_eq!(figures(&stream, 0).bytes_in, bytes);
    }
    assert_eq!(pull(&mut iterator(&stream, TrimHorizon)).len(), 9);
    assert_eq!(figures(&stream, 0).bytes_out, bytes);
}

#[test]
fn a_batch_counts_each_accepted_record_and_no_refused_one() {
    let builder = Stream::builder("orders")
        .capacity_records(3)
        .on_full(OnFull::Refuse);
    let (stream, _clock) = build(builder);
    let output = stream.producer().put_records([("key", "1234"); 5]).unwrap();
    assert_eq!(output.failed_record_count(), 2);
    let shard = figures(&stream, 0);
    assert_eq!(
        (shard.records_in, shard.bytes_in, shard.records_retained),
        (3, 21, 3)
    );
    assert_eq!(shard.puts_throttled, 0, "full is not throttled");
}

#[test]
fn what_is_read_counts_once_for_each_reader_and_each_time() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 3);
    for reads in 1..=3 {
        assert_eq!(read_shard(&stream, 0).len(), 3);
        let shard = figures(&stream, 0);
        assert_eq!(
            (shard.records_out, shard.bytes_out),
            (3 * reads, 15 * reads)
        );
    }
    let mut subscription = stream.subscribe(TrimHorizon).unwrap();
    assert_eq!(subscription.get_records(2).unwrap().len(), 2);
    assert_eq!(figures(&stream, 0).records_out, 11);
}

#[test]
fn a_refused_read_counts_nothing_as_read() {
    let limits = Limits::unlimited().get_records_per_second(Some(1));
    let (stream, _clock) = build(Stream::builder("orders").limits(limits));
    put_many(&stream, 2);
    let mut iterator = iterator(&stream, TrimHorizon);
    refused(iterator.get_records(0));
    assert_eq!(iterator.get_records(1).unwrap().len(), 1);
    for throttled in 1..=3 {
        refused(iterator.get_records(1));
        let shard = figures(&stream, 0);
        assert_eq!((shard.records_out, shard.reads_throttled), (1, throttled));
    }
}

#[test]
fn a_refused_iterator_counts_as_a_throttled_read() {
    let limits = Limits::unlimited().get_shard_iterator_per_second(Some(1));
    let (stream, _clock) = build(Stream::builder("orders").limits(limits));
    stream.shard_iterator(id(0), TrimHorizon).unwrap();
    refused(stream.shard_iterator(id(0), TrimHorizon));
    assert_eq!(figures(&stream, 0).reads_throttled, 1);
}

#[test]
fn each_put_that_the_limits_refuse_counts_once() {
    let limits = Limits::unlimited().write_records_per_second(Some(2));
    let (stream, _clock) = build(Stream::builder("orders").limits(limits));
    let producer = stream.producer();
    let output = producer.put_records([("key", "x"); 5]).unwrap();
    assert_eq!(output.failed_record_count(), 3);
    assert_eq!(figures(&stream, 0).puts_throttled, 3);
    refused(producer.put_record("key", "x"));
    assert_eq!(figures(&stream, 0).puts_throttled, 4);
    refused(producer.put_entry(("key", "x")));
    assert_eq!(figures(&stream, 0).puts_throttled, 5);
    refused(producer.put_record_with_hash_key("key", HashKey::MIN, "x"));
    let shard = figures(&stream, 0);
    assert_eq!((shard.puts_throttled, shard.records_in), (6, 2));
}

#[test]
fn what_expires_is_trimmed_in_the_figures_though_nobody_reads() {
    let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
    put_many(&stream, 2);
    clock.advance(secs(4));
    put_into(&stream, 0, "young");
    clock.advance(secs(6));
    let shard = figures(&stream, 0);
    assert_eq!((shard.records_retained, shard.records_trimmed), (3, 0));
    assert_eq!(shard.oldest_age_ms, Some(10_000));
    clock.advance(millis(1));
    let shard = figures(&stream, 0);
    assert_eq!((shard.records_retained, shard.records_trimmed), (1, 2));
    assert_eq!(
        (shard.bytes_retained, shard.bytes_trimmed, shard.bytes_in),
        (8, 10, 18)
    );
    assert_eq!(shard.oldest_age_ms, Some(6_001));
    clock.advance(secs(10));
    let shard = figures(&stream, 0);
    assert_eq!((shard.records_retained, shard.bytes_retained), (0, 0));
    assert_eq!(
        (shard.records_in, shard.records_trimmed, shard.bytes_trimmed),
        (3, 3, 18)
    );
    assert_eq!(shard.oldest_age_ms, None);
}

#[test]
fn what_the_capacity_trims_is_trimmed_in_the_figures() {
    let (stream, _clock) = build(Stream::builder("orders").capacity_records(4));
    put_many(&stream, 10);
    let shard = figures(&stream, 0);
    assert_eq!(
        (
            shard.records_in,
            shard.records_retained,
            shard.records_trimmed
        ),
        (10, 4, 6)
    );
    assert_eq!(
        (shard.bytes_in, shard.bytes_retained, shard.bytes_trimmed),
        (50, 20, 30)
    );
}

#[test]
fn in_is_always_retained_and_trimmed_together() {
    let builder = Stream::builder("orders")
        .capacity_bytes(16 * 1024)
        .retention(secs(20));
    let (stream, clock) = build(builder);
    for round in 0..500_usize {
        let data = vec![0; round * 37 % 2_000];
        stream.producer().put_record("customer-17", data).unwrap();
        clock.advance(millis(100));
        let shard = figures(&stream, 0);
        assert_eq!(shard.records_in, round as u64 + 1);
        assert_eq!(
            shard.records_in,
            shard.records_retained + shard.records_trimmed
        );
        assert_eq!(shard.bytes_in, shard.bytes_retained + shard.bytes_trimmed);
        let records = read_shard(&stream, 0);
        assert_eq!(shard.records_retained, records.len() as u64);
        let bytes: usize = records.iter().map(|record| 11 + record.data().len()).sum();
        assert_eq!(shard.bytes_retained, bytes as u64);
    }
}

#[test]
fn a_reshard_closes_the_parents_and_begins_the_children_at_nothing() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 3);
    stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
    put_into(&stream, 2, "upper");
    let metrics = stream.metrics();
    let figures: Vec<_> = metrics
        .shards
        .iter()
        .map(|shard| (shard.shard_id.index(), shard.open, shard.records_in))
        .collect();
    assert_eq!(figures, [(0, false, 3), (1, true, 0), (2, true, 1)]);
    assert_eq!(metrics.records_retained(), 4);
}

#[test]
fn figures_of_a_shard_that_expired_leave_those_of_the_stream() {
    let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
    put_many(&stream, 3);
    let parent = stream.shard(id(0)).unwrap();
    stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
    put_into(&stream, 1, "x");
    clock.advance(secs(10));
    assert_eq!(stream.metrics().records_in(), 4);
    clock.advance(millis(1));
    assert_eq!(stream.metrics().records_in(), 1);
    assert_eq!(
        parent.metrics().records_trimmed,
        3,
        "its handle still answers"
    );
}

#[test]
fn readers_that_wait_are_counted_while_they_wait() {
    let (stream, _clock) = stream(2);
    let waiting = || {
        (
            figures(&stream, 0).waiting_readers,
            figures(&stream, 1).waiting_readers,
        )
    };
    let mut belled = iterator(&stream, TrimHorizon);
    let _bell = belled.ready();
    assert_eq!(waiting().0, 1);
    drop(belled);
    assert_eq!(waiting(), (0, 0));
    let mut polled = iterator(&stream, TrimHorizon);
    let mut future = Box::pin(polled.get_records_async(10));
    assert!(poll(future.as_mut(), Waker::noop()).is_pending());
    assert_eq!(waiting().0, 1);
    drop(future);
    assert_eq!(waiting(), (0, 0));
    let mut subscription = stream.subscribe(TrimHorizon).unwrap();
    assert!(subscription.get_records(10).unwrap().is_empty());
    assert_eq!(waiting(), (1, 1));
    drop(subscription);
    assert_eq!(waiting(), (0, 0));
}

// The story: the figures were taken in the same way as a put, which wakes those who wait. A program
// that looked at them every second woke every reader every second.
#[test]
fn looking_at_the_figures_wakes_nobody() {
    let (stream, _clock) = stream(1);
    let mut polled = iterator(&stream, TrimHorizon);
    let wakes = Wakes::new();
    let mut future = Box::pin(polled.get_records_async(10));
    assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
    for _ in 0..3 {
        assert_eq!(figures(&stream, 0).waiting_readers, 1, "it waits on");
    }
    assert_eq!(wakes.count(), 0);
    put_into(&stream, 0, "x");
    assert_eq!(wakes.count(), 1);
    assert!(matches!(
        poll(future.as_mut(), Waker::noop()),
        Poll::Ready(Ok(_))
    ));
}

#[test]
fn a_put_that_is_refused_wakes_nobody() {
    let limits = Limits::unlimited().write_records_per_second(Some(0));
    let (stream, _clock) = build(Stream::builder("orders").limits(limits));
    let mut polled = iterator(&stream, TrimHorizon);
    let wakes = Wakes::new();
    let mut future = Box::pin(polled.get_records_async(10));
    assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
    refused(stream.producer().put_record("key", "x"));
    assert_eq!(wakes.count(), 0);
}

#[test]
fn a_clock_that_steps_back_makes_no_age_negative() {
    let (stream, clock) = stream(1);
    put_many(&stream, 1);
    clock.set(Timestamp::from_millis(0));
    assert_eq!(figures(&stream, 0).oldest_age_ms, Some(0));
    clock.set(Timestamp::from_millis(u64::MAX));
    assert_eq!(figures(&stream, 0).oldest_age_ms, None, "it has expired");
}

#[test]
fn the_figures_of_a_stream_are_those_of_its_shards_added_up() {
    let (stream, _clock) = build(Stream::builder("orders").shard_count(2).capacity_records(4));
    for index in [0, 0, 0, 0, 0, 0, 1, 1] {
        put_into(&stream, index, "12345");
    }
    read_shard(&stream, 0);
    read_shard(&stream, 1);
    read_shard(&stream, 1);
    let metrics = stream.metrics();
    // The key is `key`: 8 bytes a record. Two were trimmed.
    assert_eq!((metrics.records_in(), metrics.bytes_in()), (8, 64));
    assert_eq!((metrics.records_out(), metrics.bytes_out()), (8, 64));
    assert_eq!(
        (metrics.records_retained(), metrics.bytes_retained()),
        (6, 48)
    );
    assert_eq!(metrics.records_trimmed(), 2);
}

#[test]
fn figures_of_one_moment_compare_equal() {
    let (stream, _clock) = stream(3);
    put_many(&stream, 2);
    assert_eq!(stream.metrics(), stream.metrics());
    let before = stream.metrics();
    put_many(&stream, 1);
    assert_ne!(stream.metrics(), before);
}

#[test]
fn a_stream_describes_itself() {
    let (stream, clock) = build(Stream::builder("orders").shard_count(3).retention(secs(60)));
    clock.advance(secs(5));
    let description = stream.describe();
    assert_eq!(description.name, "orders");
    assert_eq!(description.status, StreamStatus::Active);
    assert_eq!(description.created.as_millis(), START_MS);
    assert_eq!(description.retention, secs(60));
    assert_eq!(description.open_shard_count, 3);
    assert_eq!(indices(&description.shards), [0, 1, 2]);
}

#[test]
fn a_description_follows_what_is_changed_and_an_old_one_does_not() {
    let (stream, clock) = build(Stream::builder("orders").shard_count(2).retention(secs(60)));
    let before = stream.describe();
    stream.merge_shards(id(0), id(1)).unwrap();
    stream.set_retention(secs(30)).unwrap();
    let description = stream.describe();
    assert_eq!(
        (description.open_shard_count, description.retention),
        (1, secs(30))
    );
    assert_eq!(
        indices(&description.shards),
        [0, 1, 2],
        "with the closed ones"
    );
    clock.advance(secs(30) + millis(1));
    assert_eq!(indices(&stream.describe().shards), [2], "which expire");
    assert_eq!(before.open_shard_count, 2);
    stream.close();
    let description = stream.describe();
    assert_eq!(
        (description.status, description.open_shard_count),
        (StreamStatus::Active, 0)
    );
}

#[test]
fn a_deleted_stream_has_no_shards_and_no_figures() {
    let registry = Registry::builder().clock(clock()).build();
    let stream = registry
        .create(Stream::builder("orders").shard_count(2))
        .unwrap();
    let shard = stream.shard(id(0)).unwrap();
    put_into(&stream, 0, "x");
    registry.delete("orders").unwrap();
    let description = stream.describe();
    assert_eq!(description.status, StreamStatus::Deleting);
    assert!(description.shards.is_empty() && description.open_shard_count == 0);
    assert!(stream.metrics().shards.is_empty());
    assert_eq!(
        shard.metrics().records_retained,
        0,
        "its records are dropped"
    );
}

/// What must not show: a partition key and data.
const KEY: &str = "canary-key-4711";
const DATA: &str = "canary-data-0815";

/// Checks that neither form of `Debug` shows a canary.
#[track_caller]
fn shows_no_canary(value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.is_empty());
        // As text, as the bytes of `b"…"`, and as a list of numbers.
        let numbers = |text: &str| {
            let bytes: Vec<_> = text.bytes().take(5).map(|byte| byte.to_string()).collect();
            bytes.join(", ")
        };
        for canary in ["canary", "4711", "0815", &numbers(KEY), &numbers(DATA)] {
            assert!(!shown.contains(canary), "{canary} is shown by {shown}");
        }
    }
}

#[test]
fn debug_of_no_public_type_shows_a_key_or_data() {
    let long_data = DATA.repeat(100);
    let registry = Registry::builder().clock(clock()).build();
    shows_no_canary(&Registry::builder());
    let builder = Stream::builder("orders").shard_count(2);
    shows_no_canary(&builder);
    let stream = registry.create(builder).unwrap();
    let producer = stream.producer();
    let key = PartitionKey::new(KEY).unwrap();
    shows_no_canary(&key);
    shows_no_canary(&HashKey::of(key.partition_key()));
    for entry in [
        PutEntry::new(KEY, DATA),
        PutEntry::new(&key, DATA).explicit_hash_key(key.hash_key()),
        PutEntry::new(KEY.to_owned(), long_data.clone()),
    ] {
        shows_no_canary(&entry);
        shows_no_canary(&producer.put_entry(entry).unwrap());
    }
    shows_no_canary(&Data::from(DATA));
    shows_no_canary(&Data::from(long_data));
    for entry_key in [
        EntryKey::from(KEY),
        EntryKey::from(KEY.to_owned()),
        EntryKey::from(&key),
    ] {
        shows_no_canary(&entry_key);
    }
    let output = producer.put_records([(KEY, DATA), (KEY, DATA)]).unwrap();
    shows_no_canary(&output);
    shows_no_canary(&output.into_iter());
    shows_no_canary(&producer);
    shows_no_canary(&registry);
    shows_no_canary(&stream);
    shows_no_canary(&stream.describe());
    shows_no_canary(&stream.metrics());
    shows_no_canary(&stream.status());
    shows_no_canary(&stream.list_shards(ShardFilter::AtLatest));

    let shard = stream.shard_for(&key).unwrap();
    shows_no_canary(&shard);
    shows_no_canary(&shard.metrics());
    let mut iterator = shard.iterator(TrimHorizon).unwrap();
    let mut subscription = stream.subscribe(TrimHorizon).unwrap();
    shows_no_canary(&iterator);
    shows_no_canary(&subscription.positions());
    let batch = iterator.get_records(100).unwrap();
    assert_eq!(batch.len(), 5);
    shows_no_canary(&batch);
    shows_no_canary(&batch.iter());
    shows_no_canary(&batch.records());
    for view in &batch {
        shows_no_canary(&view);
        shows_no_canary(&view.sequence_number());
        shows_no_canary(&view.to_record());
        shows_no_canary(&Some(view.approximate_arrival_timestamp()));
    }
    shows_no_canary(&batch.records().collect::<Vec<_>>());
    shows_no_canary(&iterator.position());
    shows_no_canary(&iterator.ready());
    shows_no_canary(&iterator);
    shows_no_canary(&iterator.batches(10));
    assert_eq!(subscription.get_records(100).unwrap().len(), 5);
    shows_no_canary(&subscription);
    shows_no_canary(&subscription.batches(10));
    let subscription = stream.subscribe(TrimHorizon).unwrap();
    shows_no_canary(&subscription.batches_blocking(10));
    let iterator = shard.iterator(TrimHorizon).unwrap();
    shows_no_canary(&iterator.batches_blocking(10));

    stream.update_shard_count(1).unwrap();
    shows_no_canary(&shard.child_shards());
    shows_no_canary(
        &shard
            .iterator(TrimHorizon)
            .unwrap()
            .get_records(100)
            .unwrap(),
    );
    shows_no_canary(&stream);
    shows_no_canary(&shard.ending_sequence_number());
}

#[test]
fn no_error_shows_a_key_or_data() {
    #[track_caller]
    fn shows_none(error: &Error) {
        shows_no_canary(error);
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let long_key = KEY.repeat(100);
    let limits = Limits::unlimited().write_records_per_second(Some(0));
    let (throttling, clock) = build(Stream::builder("orders").limits(limits));
    let producer = throttling.producer();
    shows_none(&refused(producer.put_record(KEY, DATA)));
    shows_none(&refused(producer.put_record(&long_key, DATA)));
    shows_none(&refused(producer.put_record(KEY, DATA.repeat(100_000))));
    shows_none(&refused(producer.put_records([(&long_key[..], DATA)])));
    shows_none(&refused(PartitionKey::new(long_key.as_str())));
    let output = producer.put_records([(KEY, DATA)]).unwrap();
    shows_none(&output.into_iter().next().unwrap().unwrap_err());
    let full = Stream::builder("orders")
        .on_full(OnFull::Refuse)
        .capacity_records(1);
    let (full, _clock) = build(full);
    full.producer().put_record(KEY, DATA).unwrap();
    shows_none(&refused(full.producer().put_record(KEY, DATA)));
    full.close();
    shows_none(&refused(full.producer().put_record(KEY, DATA)));
    // A sequence number is shown, and tells nothing of the record.
    let (stream, _clock) = common::build(Stream::builder("orders"));
    let put = stream.producer().put_record(KEY, DATA).unwrap();
    let after = StartingPosition::AtSequenceNumber(put.sequence_number());
    shows_none(&refused(throttling.shard_iterator(id(0), after)));
    assert_eq!(now_ms(&clock), START_MS);
    shows_none(&refused(stream.shard(ShardId::new(7).unwrap())));
}
