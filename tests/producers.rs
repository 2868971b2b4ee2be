//! Producers: what a put promises, alone and in a batch (contract, 1.7 and 2.5).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use brooklet::{Error, HashKey, Limits, OnFull, PartitionKey, PutEntry, StartingPosition, Stream};
use bytes::Bytes;
use common::{
    START_MS, build, id, iterator, key_of, millis, pull, put_into, put_many, read_all, read_shard,
    refused, secs, stream, texts,
};

mod common;

/// A partition key for which the shard of a 4-shard stream is the one with this index.
fn key_for(stream: &Stream, index: u32) -> String {
    let mut keys = (0..).map(|i| format!("key-{i}"));
    keys.find(|key| stream.shard_for(key).unwrap().id() == id(index))
        .expect("some key goes there")
}

#[test]
fn a_put_says_the_shard_and_the_number_under_which_the_record_is_read() {
    let (stream, clock) = stream(4);
    clock.advance(secs(7));
    let put = stream
        .producer()
        .put_record("customer-17", "two teapots")
        .unwrap();
    let position = StartingPosition::AtSequenceNumber(put.sequence_number());
    let mut iterator = stream.shard_iterator(put.shard_id(), position).unwrap();
    let records = pull(&mut iterator);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].sequence_number(), put.sequence_number());
    assert_eq!(records[0].shard_id(), put.shard_id());
    assert_eq!(records[0].partition_key(), "customer-17");
    assert_eq!(records[0].data(), "two teapots");
    assert_eq!(
        records[0].approximate_arrival_timestamp().as_millis(),
        START_MS + 7_000
    );
}

#[test]
fn every_kind_of_partition_key_routes_alike() {
    let (stream, _clock) = stream(4);
    let producer = stream.producer();
    let owned = String::from("customer-17");
    let hashed = PartitionKey::new("customer-17").unwrap();
    let shards = [
        producer.put_record("customer-17", "x").unwrap().shard_id(),
        producer.put_record(&owned, "x").unwrap().shard_id(),
        producer.put_record(owned.clone(), "x").unwrap().shard_id(),
        producer.put_record(&hashed, "x").unwrap().shard_id(),
        producer.put_record(hashed.clone(), "x").unwrap().shard_id(),
        producer
            .put_entry(PutEntry::new("customer-17", "x"))
            .unwrap()
            .shard_id(),
        producer
            .put_entry(PutEntry::new(&hashed, "x"))
            .unwrap()
            .shard_id(),
        producer
            .put_records([("customer-17", "x")])
            .unwrap()
            .records()[0]
            .clone()
            .unwrap()
            .shard_id(),
    ];
    assert!(shards.iter().all(|shard| *shard == shards[0]), "{shards:?}");
    assert!(
        read_all(&stream)
            .iter()
            .all(|record| record.partition_key() == "customer-17")
    );
}

#[test]
fn every_kind_of_data_is_stored_byte_for_byte() {
    let (stream, _clock) = stream(1);
    let producer = stream.producer();
    producer.put_record("k", "text").unwrap();
    producer.put_record("k", String::from("owned")).unwrap();
    producer.put_record("k", vec![0u8, 255, 10]).unwrap();
    producer.put_record("k", &b"static"[..]).unwrap();
    producer
        .put_record("k", Bytes::from_static(b"bytes"))
        .unwrap();
    let data: Vec<_> = read_shard(&stream, 0)
        .into_iter()
        .map(|record| record.into_data())
        .collect();
    assert_eq!(
        data,
        [&b"text"[..], b"owned", &[0, 255, 10], b"static", b"bytes"]
    );
}

#[test]
fn data_of_every_size_up_to_the_largest_comes_back_unchanged() {
    let (stream, _clock) = stream(1);
    let sizes = [
        0, 1, 7, 8, 9, 100, 503, 504, 505, 511, 512, 513, 520, 1_000, 2_048, 65_535,
    ]
    .into_iter()
    .chain([65_536, 65_537, 300_000, 1_048_575, 1_048_576]);
    let all: Vec<Bytes> = sizes
        .map(|size| {
            (0..size)
                .map(|i| (i * 31 + size) as u8)
                .collect::<Vec<_>>()
                .into()
        })
        .collect();
    for data in &all {
        stream.producer().put_record("k", data.clone()).unwrap();
    }
    let read: Vec<_> = read_shard(&stream, 0)
        .into_iter()
        .map(|record| record.into_data())
        .collect();
    assert!(read == all, "all sizes come back, unchanged and in order");
}

#[test]
fn empty_data_is_a_record_like_any_other() {
    let (stream, _clock) = stream(1);
    let put = stream.producer().put_record("k", "").unwrap();
    let records = read_shard(&stream, 0);
    assert_eq!(records.len(), 1);
    assert!(records[0].data().is_empty());
    assert_eq!(records[0].sequence_number(), put.sequence_number());
}

#[test]
fn large_data_is_handed_on_without_a_copy() {
    let (stream, _clock) = stream(1);
    let data = Bytes::from(vec![7u8; 100_000]);
    stream.producer().put_record("k", data.clone()).unwrap();
    let mut iterator = iterator(&stream, StartingPosition::TrimHorizon);
    let batch = iterator.get_records(10).unwrap();
    let view = batch.iter().next().unwrap();
    assert_eq!(
        view.data().as_ptr(),
        data.as_ptr(),
        "the view is the caller's data"
    );
    assert_eq!(view.to_record().data().as_ptr(), data.as_ptr());
    assert_eq!(
        batch.records().next().unwrap().data().as_ptr(),
        data.as_ptr()
    );
}

#[test]
fn owned_records_share_the_memory_of_the_batch() {
    let (stream, _clock) = stream(1);
    put_many(&stream, 50);
    let batch = iterator(&stream, StartingPosition::TrimHorizon)
        .get_records(50)
        .unwrap();
    let views: Vec<_> = batch.iter().map(|view| view.data().as_ptr()).collect();
    let owned: Vec<_> = batch
        .records()
        .map(|record| record.data().as_ptr())
        .collect();
    assert_eq!(views, owned, "no data was copied");
}

#[test]
fn a_record_equals_itself_however_it_is_read_and_no_other() {
    let (stream, clock) = stream(2);
    // A key that lies in the record, one that is as long as that can be, and longer ones.
    for key_chars in [1, 29, 30, 31, 256] {
        for data_bytes in [0, 1, 512, 513] {
            let (key, data) = ("k".repeat(key_chars), vec![7; data_bytes]);
            stream.producer().put_record(key, data).unwrap();
        }
    }
    let records = read_all(&stream);
    assert_eq!(records.len(), 20);
    assert_eq!(records, read_all(&stream));
    for (index, record) in records.iter().enumerate() {
        let at = StartingPosition::AtSequenceNumber(record.sequence_number());
        let mut iterator = stream.shard_iterator(record.shard_id(), at).unwrap();
        let batch = iterator.get_records(1).unwrap();
        assert_eq!(batch.iter().next().unwrap().to_record(), *record);
        let equal = records.iter().filter(|other| *other == record).count();
        assert_eq!(equal, 1, "record {index}");
    }

    // Two streams with as many shards, made at the same time: what was put tells records apart.
    let twin = || Stream::builder("twin").clock(clock.clone()).build();
    let first_of = |key: &str, data: &'static str, wait_ms| {
        let stream = twin().unwrap();
        clock.advance(millis(wait_ms));
        stream.producer().put_record(key, data).unwrap();
        clock.set(brooklet::Timestamp::from_millis(START_MS));
        read_all(&stream).remove(0)
    };
    let record = first_of("key", "x", 0);
    assert_eq!(record, first_of("key", "x", 0));
    assert_ne!(record, first_of("key", "y", 0));
    assert_ne!(record, first_of("kez", "x", 0));
    assert_ne!(record, first_of("key\0", "x", 0));
    assert_ne!(record, first_of("key", "x", 1));
}

#[test]
fn arrival_times_never_go_back_though_the_clock_does() {
    let (stream, clock) = stream(1);
    clock.advance(secs(10));
    put_into(&stream, 0, "a");
    clock.set(brooklet::Timestamp::from_millis(START_MS - 5_000));
    put_into(&stream, 0, "b");
    clock.advance(secs(60));
    put_into(&stream, 0, "c");
    let times: Vec<_> = read_shard(&stream, 0)
        .iter()
        .map(|record| record.approximate_arrival_timestamp().as_millis() - START_MS)
        .collect();
    assert_eq!(times, [10_000, 10_000, 55_000]);
}

#[test]
fn an_explicit_hash_key_decides_on_the_shard_and_the_partition_key_is_kept() {
    let (stream, _clock) = stream(4);
    let producer = stream.producer();
    for shard in stream.shards() {
        let put = producer
            .put_record_with_hash_key("same", key_of(&shard), "x")
            .unwrap();
        assert_eq!(put.shard_id(), shard.id());
        let entry = PutEntry::new("same", "y").explicit_hash_key(key_of(&shard));
        assert_eq!(
            producer.put_entry(entry.clone()).unwrap().shard_id(),
            shard.id()
        );
        let batch = producer.put_records([entry]).unwrap();
        assert_eq!(batch.records()[0].as_ref().unwrap().shard_id(), shard.id());
    }
    assert_eq!(read_all(&stream).len(), 12);
    assert!(
        read_all(&stream)
            .iter()
            .all(|record| record.partition_key() == "same")
    );
}

#[test]
fn a_hash_key_of_a_stream_with_one_shard_is_as_good_as_any() {
    let (stream, _clock) = stream(1);
    for key in [HashKey::MIN, HashKey::MAX] {
        assert_eq!(
            stream
                .producer()
                .put_record_with_hash_key("k", key, "x")
                .unwrap()
                .shard_id(),
            id(0)
        );
    }
}

#[test]
fn a_batch_answers_each_entry_in_its_order() {
    let (stream, _clock) = stream(4);
    let keys: Vec<_> = (0..40).map(|i| format!("key-{i}")).collect();
    let output = stream
        .producer()
        .put_records(keys.iter().map(|key| (key, key.clone())))
        .unwrap();
    assert_eq!(output.failed_record_count(), 0);
    assert_eq!(output.records().len(), keys.len());
    for (key, answer) in keys.iter().zip(output) {
        let answer = answer.unwrap();
        assert_eq!(answer.shard_id(), stream.shard_for(key).unwrap().id());
        let position = StartingPosition::AtSequenceNumber(answer.sequence_number());
        let mut iterator = stream.shard_iterator(answer.shard_id(), position).unwrap();
        let batch = iterator.get_records(1).unwrap();
        assert_eq!(batch.iter().next().unwrap().partition_key(), key);
    }
}

#[test]
fn a_batch_keeps_its_order_within_each_shard() {
    let (stream, _clock) = stream(3);
    let entries: Vec<_> = (0..500)
        .map(|i| (format!("key-{}", i % 17), format!("{i:03}")))
        .collect();
    stream
        .producer()
        .put_records(entries.iter().map(|(k, d)| (k, d.clone())))
        .unwrap();
    let mut count = 0;
    for shard in stream.shards() {
        let records = read_shard(&stream, shard.id().index());
        assert!(texts(&records).is_sorted());
        assert!(records.is_sorted_by(|a, b| a.sequence_number() < b.sequence_number()));
        count += records.len();
    }
    assert_eq!(count, entries.len());
}

#[test]
fn one_bad_entry_refuses_the_batch_and_nothing_is_stored() {
    let (stream, _clock) = build(
        Stream::builder("orders")
            .shard_count(2)
            .record_bytes_max(10),
    );
    let producer = stream.producer();
    let long_key = "x".repeat(257);
    let bad_entries = [
        PutEntry::new("", "x"),
        PutEntry::new(&long_key, "x"),
        PutEntry::new("k", "12345678901"),
    ];
    for bad in bad_entries {
        let entries = [PutEntry::new("a", "1"), bad, PutEntry::new("b", "2")];
        assert_eq!(
            refused(producer.put_records(entries)).code(),
            "ValidationException"
        );
    }
    assert_eq!(stream.metrics().records_in(), 0);
}

#[test]
fn a_batch_without_entries_puts_nothing() {
    let (stream, _clock) = stream(1);
    let output = stream
        .producer()
        .put_records(Vec::<(&str, &str)>::new())
        .unwrap();
    assert_eq!(
        (output.records().len(), output.failed_record_count()),
        (0, 0)
    );
    assert_eq!(output.into_result().unwrap(), []);
}

#[test]
fn a_batch_that_finds_room_for_a_part_is_a_partial_success() {
    let (stream, _clock) = build(
        Stream::builder("orders")
            .capacity_records(3)
            .on_full(OnFull::Refuse),
    );
    let output = stream
        .producer()
        .put_records((0..5).map(|i| ("k", i.to_string())))
        .unwrap();
    assert_eq!(output.failed_record_count(), 2);
    let stored: Vec<_> = output.records().iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, true, true, false, false]);
    for answer in &output.records()[3..] {
        let error = answer.as_ref().unwrap_err();
        assert!(matches!(error, Error::ShardFull { .. }), "{error:?}");
        assert_eq!(error.code(), "ProvisionedThroughputExceededException");
        assert!(error.is_retryable());
    }
    assert_eq!(texts(&read_shard(&stream, 0)), ["0", "1", "2"]);
}

#[test]
fn a_batch_throttled_on_one_shard_succeeds_on_the_others() {
    let (stream, _clock) = build(
        Stream::builder("orders")
            .shard_count(4)
            .limits(Limits::kinesis()),
    );
    let (hot, cold) = (key_for(&stream, 1), key_for(&stream, 2));
    for _ in 0..2 {
        let entries = vec![(hot.as_str(), "x"); 500];
        assert_eq!(
            stream
                .producer()
                .put_records(entries)
                .unwrap()
                .failed_record_count(),
            0
        );
    }
    let entries = [(&hot, "x"), (&cold, "y"), (&hot, "x"), (&cold, "y")];
    let output = stream.producer().put_records(entries).unwrap();
    let stored: Vec<_> = output.records().iter().map(Result::is_ok).collect();
    assert_eq!(stored, [false, true, false, true]);
    assert_eq!(output.failed_record_count(), 2);
    let error = output.records()[0].as_ref().unwrap_err();
    assert!(matches!(error, Error::WriteThrottled { shard_id, .. } if *shard_id == id(1)));
}

#[test]
fn a_batch_says_which_entries_failed_and_why_so_that_they_can_be_put_again() {
    let limits = Limits::unlimited().write_records_per_second(Some(2));
    let (stream, clock) = build(Stream::builder("orders").shard_count(4).limits(limits));
    let (hot, cold) = (key_for(&stream, 1), key_for(&stream, 2));
    let hot_and_cold = |n| [(&hot, format!("hot {n}")), (&cold, format!("cold {n}"))];
    let mut pending = [0, 1, 2].map(hot_and_cold).concat();
    let output = stream.producer().put_records(pending.clone()).unwrap();
    let failed: Vec<_> = output.failed().map(|(index, _)| index).collect();
    assert_eq!(failed, [4, 5], "the third of each shard");
    for ((_, error), index) in output.failed().zip([1, 2]) {
        assert!(matches!(error, Error::WriteThrottled { shard_id, .. } if *shard_id == id(index)));
        assert!(error.is_retryable());
    }
    assert!((&output).into_iter().eq(output.records()));
    assert_eq!(
        output.clone().into_result().unwrap_err(),
        *output.failed().next().unwrap().1
    );

    clock.advance(secs(1));
    pending = failed.iter().map(|index| pending[*index].clone()).collect();
    let output = stream.producer().put_records(pending).unwrap();
    assert_eq!(output.failed().count(), 0);
    let puts = output.into_result().unwrap();
    let shards: Vec<_> = puts.iter().map(|put| put.shard_id()).collect();
    assert_eq!(shards, [id(1), id(2)]);
    for (index, kind) in [(1, "hot"), (2, "cold")] {
        let expected = [0, 1, 2].map(|n| format!("{kind} {n}"));
        assert_eq!(texts(&read_shard(&stream, index)), expected);
    }
}

#[test]
fn a_number_for_ordering_makes_the_next_number_greater() {
    let (stream, clock) = stream(2);
    let producer = stream.producer();
    let mut last = producer.put_record("k", "0").unwrap();
    for i in 1..20 {
        if i % 5 == 0 {
            clock.advance(secs(1));
        }
        let entry =
            PutEntry::new("k", i.to_string()).sequence_number_for_ordering(last.sequence_number());
        let put = producer.put_entry(entry).unwrap();
        assert_eq!(put.shard_id(), last.shard_id());
        assert!(put.sequence_number() > last.sequence_number());
        last = put;
    }
}

#[test]
fn a_number_for_ordering_of_another_shard_is_accepted() {
    let (stream, _clock) = stream(2);
    let other = put_into(&stream, 1, "x");
    let target = stream.shard(id(0)).unwrap();
    let entry = PutEntry::new("k", "y")
        .explicit_hash_key(key_of(&target))
        .sequence_number_for_ordering(other);
    assert_eq!(
        stream.producer().put_entry(entry).unwrap().shard_id(),
        id(0)
    );
}

#[test]
fn a_number_for_ordering_holds_across_a_split_and_a_clock_set_back() {
    let (stream, clock) = stream(1);
    let producer = stream.producer();
    let mut last = producer.put_record("k", "0").unwrap().sequence_number();
    for step in 0..6 {
        match step {
            1 => stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap(),
            3 => clock.set(brooklet::Timestamp::from_millis(START_MS - 86_400_000)),
            4 => stream.merge_shards(id(1), id(2)).unwrap(),
            _ => {}
        }
        let entry = PutEntry::new("k", "x").sequence_number_for_ordering(last);
        let put = producer.put_entry(entry).unwrap().sequence_number();
        assert!(put > last, "step {step}");
        last = put;
    }
}

#[test]
fn a_number_for_ordering_of_the_future_is_refused() {
    let (stream, clock) = stream(1);
    clock.advance(secs(50));
    let future = put_into(&stream, 0, "x");
    let (elsewhere, _clock) = common::stream(1);
    let entry = PutEntry::new("k", "y").sequence_number_for_ordering(future);
    let error = refused(elsewhere.producer().put_entry(entry));
    assert!(matches!(error, Error::OrderingInFuture { .. }), "{error:?}");
    assert_eq!(error.code(), "InvalidArgumentException");
    assert_eq!(elsewhere.metrics().records_in(), 0);
}

#[test]
fn a_key_of_256_characters_is_accepted_whatever_its_bytes() {
    let (stream, _clock) = stream(4);
    for key in [
        "x".repeat(256),
        "ü".repeat(256),
        "日".repeat(256),
        "🦀".repeat(256),
    ] {
        let put = stream.producer().put_record(&key, "data").unwrap();
        let records = read_shard(&stream, put.shard_id().index());
        assert_eq!(records.last().unwrap().partition_key(), key);
        assert_eq!(
            refused(stream.producer().put_record(key + "!", "data")).code(),
            "ValidationException"
        );
    }
}

#[test]
fn a_producer_keeps_its_stream_alive() {
    let (stream, _clock) = stream(1);
    let producer = stream.producer();
    let mut iterator = iterator(&stream, StartingPosition::TrimHorizon);
    drop(stream);
    producer.put_record("k", "still here").unwrap();
    let other = producer.clone();
    drop(producer);
    other.put_record("k", "and here").unwrap();
    drop(other);
    assert_eq!(texts(&pull(&mut iterator)), ["still here", "and here"]);
}

#[test]
fn a_put_into_a_closed_stream_is_refused() {
    let (stream, _clock) = stream(2);
    let producer = stream.producer();
    producer.put_record("k", "before").unwrap();
    stream.close();
    stream.close();
    let errors = [
        refused(producer.put_record("k", "x")),
        refused(producer.put_record_with_hash_key("k", HashKey::MAX, "x")),
        refused(producer.put_entry(PutEntry::new("k", "x"))),
        refused(producer.put_records([("k", "x"), ("l", "y")])),
        refused(stream.producer().put_record("k", "x")),
        refused(stream.shard_for("k")),
    ];
    for error in errors {
        assert!(matches!(error, Error::StreamClosed { .. }), "{error:?}");
        assert!(!error.is_retryable());
    }
    assert_eq!(texts(&read_all(&stream)), ["before"]);
}

#[test]
fn a_producer_from_before_a_reshard_finds_the_children() {
    let (stream, _clock) = stream(2);
    let producers = [stream.producer(), stream.producer()];
    for producer in &producers {
        producer
            .put_record_with_hash_key("k", HashKey::MIN, "before")
            .unwrap();
    }
    stream.update_shard_count(4).unwrap();
    for producer in &producers {
        let put = producer
            .put_record_with_hash_key("k", HashKey::MIN, "after")
            .unwrap();
        assert_eq!(put.shard_id(), id(2));
        let output =
            producer.put_records([PutEntry::new("k", "x").explicit_hash_key(HashKey::MAX)]);
        assert_eq!(
            output.unwrap().records()[0].as_ref().unwrap().shard_id(),
            id(5)
        );
    }
}

#[test]
fn what_the_entries_of_a_batch_own_is_dropped_with_them() {
    struct Counted {
        _counts: Arc<()>,
    }
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            b"counted"
        }
    }
    let (stream, _clock) = stream(2);
    let producer = stream.producer();
    let counts = Arc::new(());
    let owned = |key: &'static str| {
        PutEntry::new(
            key,
            Bytes::from_owner(Counted {
                _counts: Arc::clone(&counts),
            }),
        )
    };
    let lent = || PutEntry::new("lent", "data");
    let long = "x".repeat(300);
    for (entries, taken) in [
        (vec![owned("a"), owned("b")], true),
        (vec![lent(), owned("a"), lent()], true),
        (vec![owned("a"), PutEntry::new(&long, "data")], false),
    ] {
        assert!(Arc::strong_count(&counts) > 1);
        assert_eq!(producer.put_records(entries).is_ok(), taken);
    }
    assert_eq!(Arc::strong_count(&counts), 1);
    // Nor is anything left behind if making one of them panics.
    let entries = (0..5).map(|nth| match nth {
        3 => panic!("no such entry"),
        _ => owned("a"),
    });
    catch_unwind(AssertUnwindSafe(|| producer.put_records(entries))).unwrap_err();
    assert_eq!(Arc::strong_count(&counts), 1);
}
