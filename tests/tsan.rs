//! Threads that do everything at once, for ThreadSanitizer, which reports data races: accesses of
//! which nothing says that one comes before the other.
//!
//! It has a `main` of its own and shares by reference with scoped threads only: the standard library
//! is compiled without the sanitizer, so that it sees but a part of what channels, a last `Arc` and
//! the test harness do, and would report races that are none. `.ci/sanitizers thread` runs it with the
//! sanitizer, `cargo test` without.
//!
//! `ROUNDS` says how often each scenario is run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use brooklet::{
    Error, HashKey, ManualClock, OnFull, PutEntry, RecordBatch, Registry, Shard, ShardIterator,
    StartingPosition, Stream, Subscription,
};
use bytes::Bytes;
use futures_executor::block_on;

const SCENARIOS: [(&str, fn()); 8] = [
    (
        "small chunks are used again while they are read",
        small_chunks,
    ),
    ("large data is dropped while it is held", large_data),
    ("readers of every kind wait", waits),
    ("shards are split and merged", reshards),
    ("records expire while the clock is turned", expiry),
    ("puts wait for room", room),
    ("readers come and go at any position", positions),
    ("streams are made, found and deleted by name", names),
];

fn main() {
    let rounds = std::env::var("ROUNDS").ok();
    let rounds: u32 = rounds.map_or(3, |rounds| rounds.parse().expect("a number"));
    for (name, scenario) in SCENARIOS {
        let began = Instant::now();
        for _ in 0..rounds {
            scenario();
        }
        println!(
            "{name}: {rounds} rounds, {:.1} s",
            began.elapsed().as_secs_f64()
        );
    }
}

fn join<'a, T: 'a>(threads: impl IntoIterator<Item = ScopedJoinHandle<'a, T>>) -> Vec<T> {
    let join = |thread: ScopedJoinHandle<'a, T>| thread.join().expect("it has not panicked");
    threads.into_iter().map(join).collect()
}

fn key_of(producer: u8) -> HashKey {
    HashKey::new((u128::from(producer % 4) << 126) + (1 << 125))
}

/// Data of so many bytes, which says who put it, and which of theirs it is.
fn data(producer: u8, count: u32, bytes: usize) -> Vec<u8> {
    let mut data = vec![producer; bytes.max(5)];
    data[1..5].copy_from_slice(&count.to_le_bytes());
    data
}

fn put_all(stream: &Stream, producer: u8, count: u32, bytes: usize) {
    let with = stream.producer();
    for count in 1..=count {
        let data = data(producer, count, bytes);
        let put = with.put_record_with_hash_key("key", key_of(producer), data);
        put.expect("an open stream takes records");
    }
}

/// Looks at every byte; says how many records it has, with those that were missed.
fn look(batch: &RecordBatch) -> u64 {
    for record in batch {
        let (data, key) = (record.data(), record.partition_key());
        assert!(key == "key" && data[5..].iter().all(|byte| *byte == data[0]));
    }
    batch.len() as u64 + batch.missed_count()
}

fn from_the_first(shard: &Shard) -> ShardIterator {
    let start = StartingPosition::AfterSequenceNumber(shard.starting_sequence_number());
    shard.iterator(start).expect("it is the shard's")
}

fn subscribe(stream: &Stream) -> Subscription {
    let subscription = stream.subscribe(StartingPosition::TrimHorizon);
    subscription.expect("the stream is there")
}

fn read_to_the_end(mut subscription: Subscription) -> u64 {
    let mut passed = 0;
    while !subscription.is_finished() {
        let batch = subscription.get_records_timeout(50, Duration::MAX);
        passed += look(&batch.expect("it can be read"));
    }
    passed
}

fn small_chunks() {
    const COUNT: u32 = 400;
    let stream = Stream::builder("tsan").capacity_bytes(2_048).build();
    let stream = &stream.expect("the settings are in bounds");
    let shard = &stream.shards()[0];
    thread::scope(|scope| {
        let producers = [0, 1].map(|name| scope.spawn(move || put_all(stream, name, COUNT, 40)));
        let batches = scope.spawn(|| {
            let producer = stream.producer();
            for count in 0..COUNT / 4 {
                let entries = (0..4).map(|nth| PutEntry::new("key", data(2, 4 * count + nth, 90)));
                let puts = producer.put_records(entries).expect("an open stream");
                assert_eq!(puts.failed_record_count(), 0);
            }
        });
        let readers = [1, 7].map(|limit| {
            let mut iterator = from_the_first(shard);
            scope.spawn(move || {
                let (mut passed, mut held) = (0, Vec::new());
                while passed < u64::from(3 * COUNT) {
                    let batch = iterator.get_records_timeout(limit, Duration::MAX);
                    let batch = batch.expect("it can be read");
                    passed += look(&batch);
                    held.push(batch);
                    if held.len() > 3 {
                        look(&held.swap_remove(0));
                    }
                }
                passed
            })
        });
        join(producers);
        join([batches]);
        assert_eq!(join(readers), [u64::from(3 * COUNT); 2]);
    });
}

/// Data that counts how often it is dropped.
struct Counted(Vec<u8>);

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn large_data() {
    const COUNT: u32 = 150;
    let before = DROPPED.load(Ordering::Relaxed);
    let stream = Stream::builder("tsan").capacity_records(3).build();
    let stream = stream.expect("the settings are in bounds");
    thread::scope(|scope| {
        let stream = &stream;
        let producers = [0, 1].map(|name| {
            scope.spawn(move || {
                let producer = stream.producer();
                for count in 0..COUNT {
                    let data = Bytes::from_owner(Counted(data(name, count, 700)));
                    producer.put_record("key", data).expect("an open stream");
                }
            })
        });
        let readers = [1, 2].map(|limit| {
            let mut iterator = from_the_first(&stream.shards()[0]);
            scope.spawn(move || {
                let (mut passed, mut owned) = (0, Vec::new());
                while passed < u64::from(2 * COUNT) {
                    let batch = iterator.get_records_timeout(limit, Duration::MAX);
                    let batch = batch.expect("it can be read");
                    passed += look(&batch);
                    owned.extend(batch.records().filter(|_| passed % 16 == 0));
                }
                for record in owned {
                    assert!(
                        record.data()[5..]
                            .iter()
                            .all(|byte| *byte == record.data()[0])
                    );
                }
            })
        });
        join(producers);
        join(readers);
    });
    drop(stream);
    assert_eq!(DROPPED.load(Ordering::Relaxed) - before, 2 * COUNT as usize);
}

fn waits() {
    const COUNT: u32 = 150;
    let stream = &Stream::new("tsan", 2).expect("two shards");
    thread::scope(|scope| {
        let readers = [
            scope.spawn(|| read_to_the_end(subscribe(stream))),
            scope.spawn(|| {
                let (mut subscription, mut passed) = (subscribe(stream), 0);
                while !subscription.is_finished() {
                    let batch = block_on(subscription.get_records_async(3));
                    passed += look(&batch.expect("it can be read"));
                }
                passed
            }),
            scope.spawn(|| {
                let (mut subscription, mut passed) = (subscribe(stream), 0);
                let ready = subscription.ready();
                while !subscription.is_finished() {
                    ready.recv().expect("the subscription is there");
                    passed += look(&subscription.get_records(20).expect("it can be read"));
                }
                passed
            }),
        ];
        let shards = stream.shards();
        let of_shards = shards.into_iter().map(|shard| {
            scope.spawn(move || {
                let mut passed = 0;
                for batch in from_the_first(&shard).batches_blocking(2) {
                    passed += look(&batch.expect("it can be read"));
                }
                passed
            })
        });
        let of_shards: Vec<_> = of_shards.collect();
        let producers = [0, 2].map(|name| scope.spawn(move || put_all(stream, name, COUNT, 20)));
        join(producers);
        stream.close();
        assert_eq!(join(readers), [u64::from(2 * COUNT); 3]);
        assert_eq!(join(of_shards).iter().sum::<u64>(), u64::from(2 * COUNT));
    });
}

fn reshards() {
    const COUNT: u32 = 200;
    let stream = &Stream::new("tsan", 1).expect("one shard");
    thread::scope(|scope| {
        let readers = [(); 2].map(|()| scope.spawn(|| read_to_the_end(subscribe(stream))));
        let producers = [0, 1, 3].map(|name| scope.spawn(move || put_all(stream, name, COUNT, 30)));
        let resharding = [2, 5].map(|shards| {
            scope.spawn(move || {
                for count in [shards, 1, shards + 1, 3] {
                    match stream.update_shard_count(count) {
                        Ok(()) | Err(Error::ShardClosed { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                    thread::yield_now();
                    assert!(stream.shards().len() as u64 >= stream.metrics().records_in().min(1));
                }
            })
        });
        join(resharding);
        join(producers);
        stream.close();
        assert_eq!(join(readers), [u64::from(3 * COUNT); 2]);
    });
}

fn expiry() {
    const COUNT: u32 = 60;
    let clock = &ManualClock::default();
    let stream = Stream::builder("tsan")
        .clock(clock.clone())
        .retention(Duration::from_millis(5));
    let stream = &stream.build().expect("the settings are in bounds");
    thread::scope(|scope| {
        let producers = [0, 1].map(|name| scope.spawn(move || put_all(stream, name, COUNT, 60)));
        let turning = scope.spawn(|| {
            for _ in 0..COUNT {
                clock.advance(Duration::from_millis(1));
                thread::yield_now();
            }
        });
        let watching = scope.spawn(|| {
            let mut trimmed = 0;
            for round in 0..COUNT {
                let figures = stream.metrics();
                assert!(figures.records_trimmed() >= trimmed);
                trimmed = figures.records_trimmed();
                let retention = Duration::from_millis(5 + u64::from(round % 3));
                stream.set_retention(retention).expect("it is in bounds");
            }
        });
        let readers = [1, 40].map(|limit| {
            let mut iterator = from_the_first(&stream.shards()[0]);
            scope.spawn(move || {
                let mut passed = 0;
                while passed < u64::from(2 * COUNT) {
                    passed += look(&iterator.get_records(limit).expect("it can be read"));
                    thread::yield_now();
                }
            })
        });
        join(producers);
        join([turning, watching]);
        join(readers);
    });
}

fn room() {
    const COUNT: u32 = 20;
    let clock = &ManualClock::default();
    let stream = Stream::builder("tsan")
        .clock(clock.clone())
        .retention(Duration::from_millis(5))
        .capacity_records(4)
        .on_full(OnFull::Wait(Duration::MAX));
    let stream = &stream.build().expect("the settings are in bounds");
    thread::scope(|scope| {
        let producers = [0, 1].map(|name| scope.spawn(move || put_all(stream, name, COUNT, 60)));
        while stream.metrics().records_in() < u64::from(2 * COUNT) {
            clock.advance(Duration::from_millis(1));
            thread::yield_now();
        }
        join(producers);
    });
}

fn positions() {
    const COUNT: u32 = 300;
    let stream = Stream::builder("tsan")
        .capacity_records(50)
        .shard_count(2)
        .build();
    let stream = &stream.expect("the settings are in bounds");
    thread::scope(|scope| {
        let producers = [1, 2].map(|name| scope.spawn(move || put_all(stream, name, COUNT, 30)));
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                for shard in stream.shards().iter().cycle().take(200) {
                    let mut latest = shard
                        .iterator(StartingPosition::Latest)
                        .expect("it is there");
                    let passed = latest.position();
                    look(&latest.get_records(100).expect("it can be read"));
                    let mut again = shard.iterator(passed).expect("it is the shard's");
                    look(&again.get_records(3).expect("it can be read"));
                    let time = stream.created();
                    let mut since = shard.iterator(StartingPosition::AtTimestamp(time));
                    let since = since.as_mut().expect("it has come");
                    look(&since.get_records(3).expect("it can be read"));
                }
            })
        });
        let resuming = scope.spawn(|| {
            let mut subscription = subscribe(stream);
            for _ in 0..100 {
                look(&subscription.get_records(5).expect("it can be read"));
                let kept = subscription.positions();
                subscription = stream.subscribe_from(&kept).expect("the stream's own");
            }
        });
        join(producers);
        join(readers);
        join([resuming]);
    });
}

fn names() {
    let registry = &Registry::new();
    thread::scope(|scope| {
        let making = [0, 1].map(|name| {
            scope.spawn(move || {
                for _ in 0..20 {
                    let created = registry.create(Stream::builder("tsan").shard_count(2));
                    let Ok(stream) = created.or_else(|_| registry.get("tsan")) else {
                        continue;
                    };
                    let producer = stream.producer();
                    for count in 0..10 {
                        let put = producer.put_record("key", data(name, count, 30));
                        assert!(put.is_ok() || stream.status().to_string() != "ACTIVE");
                    }
                    thread::yield_now();
                }
            })
        });
        let reading = scope.spawn(|| {
            for _ in 0..20 {
                if let Ok(stream) = registry.get("tsan")
                    && let Ok(mut subscription) = stream.subscribe(StartingPosition::TrimHorizon)
                {
                    while let Ok(batch) = subscription.get_records(10) {
                        if look(&batch) == 0 {
                            break;
                        }
                    }
                }
                thread::yield_now();
            }
        });
        let deleting = scope.spawn(|| {
            for _ in 0..20 {
                // Another thread may not have made it yet.
                let _deleted = registry.delete("tsan");
                assert!(registry.list().len() <= 1);
                thread::yield_now();
            }
        });
        join(making);
        join([reading, deleting]);
    });
}
