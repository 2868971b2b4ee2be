//! Registries: streams by name, and the states of a stream (contract, 1.2) on a clock that is turned
//! by hand.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use brooklet::{
    Clock, Error, HashKey, ManualClock, OnFull, Parker, Registry, ShardFilter, StartingPosition,
    Stream, StreamStatus, Timestamp,
};
use bytes::Bytes;
use common::{
    START_MS, clock, id, indices, iterator, millis, pull, put_into, put_many, read_shard, refused,
    secs, texts, until,
};
use wakers::{OnWake, Wakes, in_time, poll};

use StartingPosition::{AfterSequenceNumber, AtSequenceNumber, Latest, TrimHorizon};

mod common;
mod wakers;

const DELAY: Duration = millis(500);

/// A registry whose streams change state at once.
fn registry() -> (Registry, ManualClock) {
    let clock = clock();
    (Registry::builder().clock(clock.clone()).build(), clock)
}

/// A registry whose streams take half a second to change state.
fn slow_registry() -> (Registry, ManualClock) {
    let clock = clock();
    let builder = Registry::builder().clock(clock.clone());
    (builder.state_delay(DELAY).build(), clock)
}

/// A stream of two shards in the state ACTIVE, in a registry whose streams take their time.
fn active() -> (Registry, Stream, ManualClock) {
    let (registry, clock) = slow_registry();
    let stream = registry
        .create(Stream::builder("orders").shard_count(2))
        .unwrap();
    clock.advance(DELAY);
    assert_eq!(stream.status(), StreamStatus::Active);
    (registry, stream, clock)
}

#[track_caller]
fn assert_not_found<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = refused(result);
    assert_eq!(
        error,
        Error::StreamNotFound {
            stream: "orders".to_owned()
        }
    );
    assert_eq!(error.code(), "ResourceNotFoundException");
}

#[track_caller]
fn assert_in_state<T: std::fmt::Debug>(result: Result<T, Error>, status: &'static str) {
    let error = refused(result);
    assert_eq!(
        error,
        Error::StreamNotActive {
            stream: "orders".to_owned(),
            status
        }
    );
    assert_eq!(
        (error.code(), error.is_retryable()),
        ("ResourceInUseException", true)
    );
    let text = format!("stream orders is not ACTIVE, instead in state {status}");
    assert_eq!(error.to_string(), text);
}

/// Every call that changes a stream.
fn changes(stream: &Stream) -> Vec<Result<(), Error>> {
    vec![
        stream.split_shard(id(0), HashKey::new(1 << 100)),
        stream.merge_shards(id(0), id(1)),
        stream.update_shard_count(3),
        stream.set_retention(secs(60)),
    ]
}

/// Every call that puts a record.
fn puts(stream: &Stream) -> Vec<Result<(), Error>> {
    let producer = stream.producer();
    vec![
        producer.put_record("key", "x").map(drop),
        producer
            .put_record_with_hash_key("key", HashKey::MAX, "x")
            .map(drop),
        producer.put_entry(("key", "x")).map(drop),
        producer.put_records([("key", "x"), ("key", "y")]).map(drop),
        stream.shard_for("key").map(drop),
    ]
}

mod names {
    use super::*;

    #[test]
    fn find_the_stream_that_was_created_with_them() {
        let (registry, _clock) = registry();
        let created = registry
            .create(Stream::builder("orders").shard_count(3))
            .unwrap();
        put_into(&created, 2, "x");
        let found = registry.get("orders").unwrap();
        assert_eq!(texts(&read_shard(&found, 2)), ["x"]);
        assert_eq!(found.name(), "orders");
    }

    #[test]
    fn that_are_unknown_are_not_found() {
        let (registry, _clock) = registry();
        assert_not_found(registry.get("orders"));
        assert_not_found(registry.delete("orders"));
        registry.create(Stream::builder("Orders")).unwrap();
        assert_not_found(registry.get("orders"));
    }

    #[test]
    fn that_are_taken_are_refused_and_the_stream_is_left_alone() {
        let (registry, _clock) = registry();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        put_into(&stream, 0, "kept");
        let error = refused(registry.create(Stream::builder("orders").shard_count(9)));
        assert_eq!(
            error,
            Error::StreamExists {
                stream: "orders".to_owned()
            }
        );
        assert_eq!(
            (error.code(), error.is_retryable()),
            ("ResourceInUseException", false)
        );
        assert_eq!(error.to_string(), "stream orders already exists");
        assert_eq!(registry.get("orders").unwrap().shards().len(), 1);
        assert_eq!(texts(&read_shard(&stream, 0)), ["kept"]);
    }

    #[test]
    fn are_listed_in_the_order_of_their_bytes() {
        let (registry, _clock) = registry();
        for name in ["b", "a", "_", "B", "10", "9", "a.b", "a-b", "Z"] {
            registry.create(Stream::builder(name)).unwrap();
        }
        assert_eq!(
            registry.list(),
            ["10", "9", "B", "Z", "_", "a", "a-b", "a.b", "b"]
        );
        registry.delete("B").unwrap();
        assert_eq!(
            registry.list(),
            ["10", "9", "Z", "_", "a", "a-b", "a.b", "b"]
        );
    }

    #[test]
    fn of_a_stream_that_was_refused_stay_free() {
        let (registry, _clock) = registry();
        refused(registry.create(Stream::builder("orders").shard_count(0)));
        assert!(registry.list().is_empty());
        registry.create(Stream::builder("orders")).unwrap();
    }

    #[test]
    fn belong_to_one_registry_and_its_clones() {
        let (registry, _clock) = registry();
        let other = Registry::default();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        let others = other.create(Stream::builder("orders")).unwrap();
        put_into(&stream, 0, "x");
        assert!(read_shard(&others, 0).is_empty());
        let clone = registry.clone();
        assert_eq!(clone.list(), ["orders"]);
        clone.delete("orders").unwrap();
        assert!(registry.list().is_empty());
        assert_eq!(other.list(), ["orders"]);
    }

    #[test]
    fn go_to_one_of_those_who_ask_at_once() {
        let (registry, _clock) = registry();
        for _ in 0..50 {
            let won: usize = thread::scope(|scope| {
                let creating: Vec<_> = (1..=4)
                    .map(|count| {
                        let builder = Stream::builder("orders").shard_count(count);
                        scope.spawn(|| usize::from(registry.create(builder).is_ok()))
                    })
                    .collect();
                creating
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .sum()
            });
            assert_eq!(won, 1);
            registry.delete("orders").unwrap();
        }
    }
}

#[test]
fn without_a_delay_a_stream_is_active_at_once_and_gone_at_once() {
    let (registry, clock) = registry();
    for round in 0..3 {
        let stream = registry
            .create(Stream::builder("orders").shard_count(2))
            .unwrap();
        assert_eq!(stream.status(), StreamStatus::Active);
        for put in puts(&stream) {
            put.unwrap();
        }
        stream.update_shard_count(3).unwrap();
        stream.set_retention(secs(60)).unwrap();
        assert_eq!(stream.status(), StreamStatus::Active);
        registry.delete("orders").unwrap();
        assert!(registry.list().is_empty(), "round {round}");
        assert_not_found(registry.get("orders"));
        assert_not_found(registry.delete("orders"));
        clock.advance(secs(1));
    }
}

#[test]
fn a_stream_has_the_registrys_clock_unless_it_has_its_own() {
    let (registry, clock) = registry();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    clock.advance(secs(5));
    assert_eq!(stream.created().as_millis(), START_MS);
    put_into(&stream, 0, "x");
    let arrival = read_shard(&stream, 0)[0].approximate_arrival_timestamp();
    assert_eq!(arrival.as_millis(), START_MS + 5_000);
    let own = ManualClock::new(Timestamp::from_millis(77_000));
    let stream = registry
        .create(Stream::builder("invoices").clock(own))
        .unwrap();
    assert_eq!(stream.created().as_millis(), 77_000);
}

mod creating {
    use super::*;

    fn creating() -> (Registry, Stream, ManualClock) {
        let (registry, clock) = slow_registry();
        let stream = registry
            .create(Stream::builder("orders").shard_count(2))
            .unwrap();
        assert_eq!(stream.status(), StreamStatus::Creating);
        (registry, stream, clock)
    }

    #[test]
    fn is_described_and_listed_without_shards() {
        let (registry, stream, _clock) = creating();
        let description = stream.describe();
        assert_eq!(description.status, StreamStatus::Creating);
        assert_eq!(description.status.to_string(), "CREATING");
        assert!(description.shards.is_empty() && description.open_shard_count == 0);
        assert!(stream.shards().is_empty() && stream.metrics().shards.is_empty());
        assert_eq!(registry.list(), ["orders"]);
        assert_eq!(
            registry.get("orders").unwrap().status(),
            StreamStatus::Creating
        );
    }

    #[test]
    fn is_not_found_by_puts() {
        let (_registry, stream, _clock) = creating();
        for put in puts(&stream) {
            assert_not_found(put);
        }
    }

    #[test]
    fn has_no_shard_to_read() {
        let (_registry, stream, _clock) = creating();
        for index in 0..2 {
            let (stream_name, shard_id) = ("orders".to_owned(), id(index));
            let expected = Error::ShardNotFound {
                stream: stream_name,
                shard_id,
            };
            assert_eq!(expected.code(), "ResourceNotFoundException");
            assert_eq!(refused(stream.shard(id(index))), expected);
            assert_eq!(refused(stream.shard_iterator(id(index), Latest)), expected);
        }
    }

    #[test]
    fn refuses_every_change_and_every_listing() {
        let (_registry, stream, _clock) = creating();
        for change in changes(&stream) {
            assert_in_state(change, "CREATING");
        }
        assert_in_state(stream.list_shards(ShardFilter::AtLatest), "CREATING");
        assert_in_state(stream.subscribe(TrimHorizon), "CREATING");
        assert_eq!(stream.retention(), secs(24 * 3600), "nothing was changed");
    }

    #[test]
    fn ends_after_the_delay_and_not_before() {
        let (_registry, stream, clock) = creating();
        // Made too early, and good later.
        let producer = stream.producer();
        clock.advance(DELAY - millis(1));
        assert_eq!(stream.status(), StreamStatus::Creating);
        assert_not_found(producer.put_record("key", "x"));
        clock.advance(millis(1));
        producer.put_record("key", "x").unwrap();
        assert_eq!(stream.status(), StreamStatus::Active);
        assert_eq!(indices(&stream.shards()), [0, 1]);
        assert_eq!(
            stream
                .list_shards(ShardFilter::AtTrimHorizon)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn can_be_deleted() {
        let (registry, stream, clock) = creating();
        registry.delete("orders").unwrap();
        assert_eq!(stream.status(), StreamStatus::Deleting);
        clock.advance(DELAY);
        assert_not_found(registry.get("orders"));
        assert_not_found(stream.producer().put_record("key", "x"));
    }

    #[test]
    fn keeps_its_name_taken() {
        let (registry, _stream, _clock) = creating();
        let error = refused(registry.create(Stream::builder("orders")));
        assert!(matches!(error, Error::StreamExists { .. }));
    }
}

mod updating {
    use super::*;

    type Change = fn(&Stream) -> Result<(), Error>;

    /// The changes that take their time, each with the count of shards after it.
    const CHANGES: [(Change, usize); 3] = [
        (
            |stream| stream.split_shard(id(0), HashKey::new(1 << 100)),
            4,
        ),
        (|stream| stream.merge_shards(id(0), id(1)), 3),
        (|stream| stream.update_shard_count(4), 6),
    ];

    #[test]
    fn follows_a_split_a_merge_and_a_new_shard_count() {
        for (change, shard_count) in CHANGES {
            let (registry, stream, clock) = active();
            change(&stream).unwrap();
            assert_eq!(stream.status(), StreamStatus::Updating);
            assert_eq!(stream.describe().status.to_string(), "UPDATING");
            assert_eq!(
                registry.get("orders").unwrap().status(),
                StreamStatus::Updating
            );
            clock.advance(DELAY - millis(1));
            assert_eq!(stream.status(), StreamStatus::Updating);
            clock.advance(millis(1));
            assert_eq!(stream.status(), StreamStatus::Active);
            assert_eq!(stream.shards().len(), shard_count);
        }
    }

    #[test]
    fn refuses_every_other_change() {
        for (change, shard_count) in CHANGES {
            let (_registry, stream, clock) = active();
            change(&stream).unwrap();
            for change in changes(&stream) {
                assert_in_state(change, "UPDATING");
            }
            assert_eq!(stream.shards().len(), 2, "nothing was changed");
            assert_eq!(stream.retention(), secs(24 * 3600));
            clock.advance(DELAY);
            assert_eq!(stream.shards().len(), shard_count, "nothing but the shards");
            stream.set_retention(secs(60)).unwrap();
        }
    }

    #[test]
    fn puts_and_reads_as_if_nothing_were() {
        for (change, shard_count) in CHANGES {
            let (_registry, stream, clock) = active();
            put_into(&stream, 0, "before");
            change(&stream).unwrap();
            for put in puts(&stream) {
                put.unwrap();
            }
            let listed = || stream.list_shards(ShardFilter::FromTrimHorizon).unwrap();
            let read = [0, 1].map(|index| read_shard(&stream, index)).concat();
            assert_eq!((read.len(), texts(&read)[0].as_str()), (6, "before"));
            assert_eq!(stream.metrics().records_in(), 6);
            assert_eq!(indices(&listed()), [0, 1]);
            clock.advance(DELAY);
            assert_eq!(listed().len(), shard_count);
            assert_eq!(stream.metrics().records_in(), 6);
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            let mut read = 0;
            while read < 6 {
                let batch = subscription.get_records(100).unwrap();
                assert!(!batch.is_empty(), "the records are there");
                read += batch.len();
            }
        }
    }

    #[test]
    fn can_be_deleted() {
        for (change, _) in CHANGES {
            let (registry, stream, clock) = active();
            change(&stream).unwrap();
            registry.delete("orders").unwrap();
            assert_eq!(stream.status(), StreamStatus::Deleting);
            clock.advance(DELAY);
            assert_not_found(registry.get("orders"));
        }
    }

    #[test]
    fn does_not_follow_what_changes_nothing() {
        let (_registry, stream, _clock) = active();
        stream.update_shard_count(2).unwrap();
        refused(stream.update_shard_count(0));
        refused(stream.split_shard(id(7), HashKey::new(9)));
        refused(stream.merge_shards(id(1), id(0)));
        assert_eq!(stream.status(), StreamStatus::Active);
        stream.set_retention(secs(60)).unwrap();
        assert_eq!(
            stream.status(),
            StreamStatus::Active,
            "retention is changed at once"
        );
    }
}

mod deleting {
    use super::*;

    fn deleting() -> (Registry, Stream, ManualClock) {
        let (registry, stream, clock) = active();
        put_into(&stream, 0, "gone");
        registry.delete("orders").unwrap();
        (registry, stream, clock)
    }

    #[test]
    fn is_described_and_listed_until_it_is_gone() {
        let (registry, stream, clock) = deleting();
        let description = stream.describe();
        assert_eq!(description.status.to_string(), "DELETING");
        assert!(description.shards.is_empty());
        clock.advance(DELAY - millis(1));
        assert_eq!(registry.list(), ["orders"]);
        assert_eq!(
            registry.get("orders").unwrap().status(),
            StreamStatus::Deleting
        );
        clock.advance(millis(1));
        assert!(registry.list().is_empty());
        assert_not_found(registry.get("orders"));
        assert_eq!(
            stream.status(),
            StreamStatus::Deleting,
            "an old handle is not revived"
        );
    }

    #[test]
    fn is_not_found_by_puts_and_reads() {
        let (registry, stream, clock) = active();
        put_into(&stream, 0, "gone");
        let mut reader = iterator(&stream, TrimHorizon);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        let shard = stream.shard(id(0)).unwrap();
        registry.delete("orders").unwrap();
        for _ in 0..2 {
            for put in puts(&stream) {
                assert_not_found(put);
            }
            assert_not_found(stream.shard(id(0)));
            assert_not_found(stream.shard_iterator(id(0), TrimHorizon));
            assert_not_found(shard.iterator(TrimHorizon));
            assert_not_found(reader.get_records(10));
            assert_not_found(reader.get_records_timeout(10, secs(9)));
            assert_not_found(subscription.get_records(10));
            assert_not_found(subscription.get_records_timeout(10, secs(9)));
            // The same once it is gone.
            clock.advance(DELAY);
        }
    }

    #[test]
    fn refuses_every_change_and_every_listing() {
        let (_registry, stream, clock) = deleting();
        for change in changes(&stream) {
            assert_in_state(change, "DELETING");
        }
        assert_in_state(stream.list_shards(ShardFilter::AtLatest), "DELETING");
        assert_in_state(stream.subscribe(TrimHorizon), "DELETING");
        clock.advance(DELAY);
        for change in changes(&stream) {
            assert_not_found(change);
        }
        assert_not_found(stream.list_shards(ShardFilter::AtLatest));
        assert_not_found(stream.subscribe(TrimHorizon));
    }

    #[test]
    fn again_is_no_error_and_does_not_begin_anew() {
        let (registry, _stream, clock) = deleting();
        clock.advance(DELAY - millis(1));
        registry.delete("orders").unwrap();
        clock.advance(millis(1));
        assert_not_found(registry.delete("orders"));
    }

    #[test]
    fn keeps_its_name_taken_until_it_is_gone() {
        let (registry, _stream, clock) = deleting();
        clock.advance(DELAY - millis(1));
        let error = refused(registry.create(Stream::builder("orders")));
        assert!(matches!(error, Error::StreamExists { .. }));
        clock.advance(millis(1));
        let stream = registry.create(Stream::builder("orders")).unwrap();
        assert_eq!(stream.status(), StreamStatus::Creating);
    }

    #[test]
    fn cannot_be_undone_by_a_clock_that_steps_back() {
        let (registry, _stream, clock) = deleting();
        clock.advance(DELAY);
        assert!(registry.list().is_empty());
        clock.set(Timestamp::from_millis(START_MS));
        assert!(registry.list().is_empty());
    }
}

// The story: whenever somebody listed the streams, the registry told each what time it is, by its own
// clock. A stream with another clock left CREATING at once, and forgot closed shards.
#[test]
fn a_stream_changes_state_and_expires_by_its_own_clock() {
    let clock = ManualClock::new(Timestamp::from_millis(u64::MAX));
    let registry = Registry::builder().clock(clock).state_delay(DELAY).build();
    let own = common::clock();
    let builder = Stream::builder("orders").clock(own.clone());
    let stream = registry.create(builder).unwrap();
    for _ in 0..2 {
        assert_eq!(registry.list(), ["orders"]);
        registry.get("orders").unwrap();
        refused(registry.create(Stream::builder("orders")));
    }
    assert_eq!(stream.status(), StreamStatus::Creating);
    own.advance(DELAY);
    assert_eq!(stream.status(), StreamStatus::Active);
    stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
    registry.list();
    assert_eq!(stream.status(), StreamStatus::Updating);
    assert_eq!(stream.shards().len(), 1, "it is not split yet");
    own.advance(DELAY);
    registry.list();
    assert_eq!(stream.shards().len(), 3, "the closed shard has not expired");
    registry.delete("orders").unwrap();
    assert_eq!(
        registry.list(),
        ["orders"],
        "it is deleted by its own clock"
    );
    own.advance(DELAY);
    assert!(registry.list().is_empty());
}

mod a_stream_of_the_same_name {
    use super::*;

    #[test]
    fn begins_empty_with_its_own_settings() {
        let (registry, clock) = registry();
        let old = registry
            .create(Stream::builder("orders").shard_count(2))
            .unwrap();
        put_into(&old, 0, "old");
        old.set_retention(secs(60)).unwrap();
        registry.delete("orders").unwrap();
        clock.advance(secs(1));
        let new = registry.create(Stream::builder("orders")).unwrap();
        assert!(read_shard(&new, 0).is_empty());
        assert_eq!((new.shards().len(), new.retention()), (1, secs(24 * 3600)));
    }

    #[test]
    fn refuses_the_old_sequence_numbers() {
        let (registry, clock) = registry();
        let old = registry.create(Stream::builder("orders")).unwrap();
        let numbers = put_many(&old, 3);
        registry.delete("orders").unwrap();
        clock.advance(secs(1));
        let new = registry.create(Stream::builder("orders")).unwrap();
        put_many(&new, 5);
        for sequence_number in numbers {
            for position in [
                AtSequenceNumber(sequence_number),
                AfterSequenceNumber(sequence_number),
            ] {
                let stream = "orders".to_owned();
                assert_eq!(
                    refused(new.shard_iterator(id(0), position)),
                    Error::SequenceNumberOfOtherStream {
                        sequence_number,
                        stream
                    }
                );
            }
        }
    }

    #[test]
    fn refuses_the_old_sequence_numbers_even_within_the_same_second() {
        let (registry, _clock) = registry();
        let old = registry.create(Stream::builder("orders")).unwrap();
        let number = put_many(&old, 1)[0];
        registry.delete("orders").unwrap();
        let new = registry.create(Stream::builder("orders")).unwrap();
        put_many(&new, 2);
        let error = refused(new.shard_iterator(id(0), AtSequenceNumber(number)));
        assert!(matches!(error, Error::SequenceNumberOfOtherStream { .. }));
    }

    #[test]
    fn has_nothing_to_do_with_the_old_handles() {
        let (registry, clock) = registry();
        let old = registry.create(Stream::builder("orders")).unwrap();
        let (producer, mut reader) = (old.producer(), iterator(&old, TrimHorizon));
        let mut subscription = old.subscribe(Latest).unwrap();
        registry.delete("orders").unwrap();
        clock.advance(secs(1));
        let new = registry.create(Stream::builder("orders")).unwrap();
        put_into(&new, 0, "new");
        assert_not_found(producer.put_record("key", "x"));
        assert_not_found(reader.get_records(10));
        assert_not_found(subscription.get_records(10));
        assert_eq!(old.status(), StreamStatus::Deleting);
        old.close();
        assert_eq!(texts(&read_shard(&new, 0)), ["new"]);
        assert_eq!(new.status(), StreamStatus::Active);
    }
}

mod a_deletion {
    use super::*;

    #[test]
    fn leaves_the_batches_and_records_that_are_held() {
        let (registry, _clock) = registry();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        let large = "x".repeat(10_000);
        put_into(&stream, 0, "small");
        put_into(&stream, 0, &large);
        let batch = iterator(&stream, TrimHorizon).get_records(10).unwrap();
        let owned: Vec<_> = batch.records().collect();
        registry.delete("orders").unwrap();
        drop(stream);
        assert_eq!(common::view_texts(&batch), ["small", &large]);
        drop(batch);
        assert_eq!(texts(&owned), ["small", &large]);
    }

    /// Data that counts how much of it is left.
    struct Counted(Arc<AtomicUsize>, Vec<u8>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.1
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn drops_the_records_even_while_handles_are_held() {
        let (registry, _clock) = registry();
        let stream = registry
            .create(Stream::builder("orders").shard_count(2))
            .unwrap();
        let left = Arc::new(AtomicUsize::new(0));
        for index in 0..400_u32 {
            let start = stream
                .shard(id(index % 2))
                .unwrap()
                .hash_key_range()
                .start();
            left.fetch_add(1, Ordering::SeqCst);
            let data = Bytes::from_owner(Counted(Arc::clone(&left), vec![0; 100_000]));
            stream
                .producer()
                .put_record_with_hash_key("key", start, data)
                .unwrap();
        }
        assert_eq!(left.load(Ordering::SeqCst), 400);
        let held = (
            stream.producer(),
            iterator(&stream, TrimHorizon),
            stream.shards(),
        );
        registry.delete("orders").unwrap();
        assert_eq!(left.load(Ordering::SeqCst), 0, "data is kept for nobody");
        drop(held);
    }

    #[test]
    fn wakes_every_kind_of_reader_with_an_error() {
        for delay in [Duration::ZERO, DELAY] {
            in_time(move || {
                let clock = clock();
                let builder = Registry::builder().clock(clock.clone());
                let registry = builder.state_delay(delay).build();
                let stream = registry
                    .create(Stream::builder("orders").shard_count(2))
                    .unwrap();
                clock.advance(delay);
                let mut belled = iterator(&stream, TrimHorizon);
                let bell = belled.ready();
                let mut polled = iterator(&stream, TrimHorizon);
                let wakes = Wakes::new();
                let mut future = Box::pin(polled.get_records_async(10));
                assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
                let mut blocked = iterator(&stream, TrimHorizon);
                let mut subscription = stream.subscribe(TrimHorizon).unwrap();
                thread::scope(|scope| {
                    let blocked = scope.spawn(move || blocked.get_records_timeout(10, secs(9)));
                    let subscribed =
                        scope.spawn(move || subscription.get_records_timeout(10, secs(9)));
                    until(|| clock.sleeper_count() == 2);
                    registry.delete("orders").unwrap();
                    assert_not_found(blocked.join().unwrap());
                    assert_not_found(subscribed.join().unwrap());
                });
                assert_eq!(bell.try_recv(), Ok(()));
                assert_not_found(belled.get_records(10));
                assert_eq!(wakes.count(), 1);
                let Poll::Ready(answer) = poll(future.as_mut(), &wakes.waker()) else {
                    panic!("the stream is deleted");
                };
                assert_not_found(answer);
            });
        }
    }

    /// A clock on which the first thread that begins to wait deletes the stream instead.
    #[derive(Debug)]
    struct Deleting {
        clock: ManualClock,
        registry: OnceLock<Registry>,
    }

    impl Clock for Deleting {
        fn now(&self) -> Timestamp {
            self.clock.now()
        }

        fn monotonic(&self) -> Duration {
            self.clock.monotonic()
        }

        fn park(&self, _: &Parker, deadline: Duration) {
            let registry = self.registry.get().expect("set before anybody waits");
            match registry.delete("orders") {
                Ok(()) => {}
                // It waits on: let its time pass, so that the test fails instead of hanging.
                Err(_) => self.clock.advance(deadline),
            }
        }
    }

    // The story: the deletion made room, and the put that had waited for it succeeded, into a stream
    // that was no more.
    #[test]
    fn refuses_a_put_that_waits_for_room() {
        in_time(|| {
            let clock = Arc::new(Deleting {
                clock: clock(),
                registry: OnceLock::new(),
            });
            let (registry, _clock) = registry();
            let builder = Stream::builder("orders").clock(Arc::clone(&clock));
            let builder = builder.capacity_records(1).on_full(OnFull::Wait(secs(60)));
            let stream = registry.create(builder).unwrap();
            clock.registry.set(registry).expect("not set before");
            put_many(&stream, 1);
            assert_not_found(stream.producer().put_record("key", "late"));
        });
    }

    #[test]
    fn frees_the_name_though_a_waker_panics() {
        let (registry, _clock) = registry();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        let mut iterator = iterator(&stream, Latest);
        let mut future = Box::pin(iterator.get_records_async(10));
        let waker = OnWake::waker(|| panic_any("woken"));
        assert!(poll(future.as_mut(), &waker).is_pending());
        let deleted = catch_unwind(AssertUnwindSafe(|| registry.delete("orders")));
        assert!(deleted.is_err());
        assert!(registry.list().is_empty());
        registry.create(Stream::builder("orders")).unwrap();
    }

    #[test]
    fn of_a_stream_that_lives_outside_touches_no_other() {
        let (registry, _clock) = registry();
        registry.create(Stream::builder("orders")).unwrap();
        let kept = registry.create(Stream::builder("invoices")).unwrap();
        put_into(&kept, 0, "kept");
        registry.delete("orders").unwrap();
        assert_eq!(texts(&pull(&mut iterator(&kept, TrimHorizon))), ["kept"]);
    }
}

#[test]
fn a_registry_that_is_dropped_leaves_its_streams_to_their_handles() {
    let (registry, _clock) = registry();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    drop(registry);
    put_into(&stream, 0, "x");
    assert_eq!(texts(&read_shard(&stream, 0)), ["x"]);
}
