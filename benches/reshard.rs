//! Putting records of 100 bytes while the shards are split and merged all the time.
//!
//! Varies how many records are put between a split and the merge after it, on one thread; and
//! whether another thread reshards meanwhile. The clock is turned on past the retention each time,
//! so that old shards are forgotten and the stream stays the same. `harness` is the loop without
//! the engine; `no resharding` the
//! same puts into two shards, and into one, that stay.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use brooklet::{HashKey, ManualClock, Producer, Stream};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

mod common;

const DATA_BYTES: usize = 100;
const PUTS_BETWEEN: [usize; 4] = [0, 10, 100, 1_000];
const RETENTION: Duration = Duration::from_secs(1);

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = taking_turns, meanwhile
}
criterion_main!(benches);

fn taking_turns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reshard/split, puts, merge, puts");
    let (keys, data) = (common::keys(), common::shared(DATA_BYTES));
    for count in PUTS_BETWEEN {
        group.throughput(common::throughput((2 * count).max(1), DATA_BYTES));
        if count > 0 {
            group.bench_function(BenchmarkId::new("harness", count), |bencher| {
                bencher.iter(|| {
                    for key in keys.iter().cycle().take(2 * count) {
                        black_box((key, data.clone()));
                    }
                });
            });
            let (one, two) = (stream(1).0.producer(), stream(2).0.producer());
            group.bench_function(BenchmarkId::new("no resharding", count), |bencher| {
                bencher.iter(|| {
                    put(&two, &keys, &data, count);
                    put(&one, &keys, &data, count);
                });
            });
        }
        let (stream, clock) = stream(1);
        // A producer that puts nothing would hold on to the first shard, and to all that came of it.
        let producer = (count > 0).then(|| stream.producer());
        let put = || {
            if let Some(producer) = &producer {
                put(producer, &keys, &data, count);
            }
        };
        group.bench_function(BenchmarkId::new("resharding", count), |bencher| {
            bencher.iter(|| {
                split(&stream);
                put();
                merge(&stream);
                put();
                clock.advance(2 * RETENTION);
            });
        });
        assert!(stream.shards().len() <= 5, "old shards are forgotten");
    }
    group.finish();
}

/// The other thread reshards at most once for each `PUTS_EACH` records, so that the stream does not
/// grow old while nobody puts.
fn meanwhile(criterion: &mut Criterion) {
    const PUTS_EACH: usize = 100;
    let mut group = criterion.benchmark_group("reshard/another thread splits and merges");
    group.throughput(common::throughput(PUTS_EACH, DATA_BYTES));
    let (keys, data) = (common::keys(), common::shared(DATA_BYTES));
    for (name, resharding) in [("puts, no resharding", false), ("puts", true)] {
        let (stream, clock) = stream(1);
        let producer = stream.producer();
        let (rounds, over) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Ordering::Relaxed) {
                    let round = rounds.load(Ordering::Relaxed);
                    if round != seen && resharding {
                        split(&stream);
                        merge(&stream);
                        clock.advance(2 * RETENTION);
                    }
                    seen = round;
                    thread::yield_now();
                }
            });
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    rounds.fetch_add(1, Ordering::Relaxed);
                    put(&producer, &keys, &data, PUTS_EACH);
                });
            });
            over.store(true, Ordering::Relaxed);
        });
    }
    group.finish();
}

fn stream(shard_count: u32) -> (Stream, ManualClock) {
    let clock = ManualClock::default();
    let stream = common::stream(shard_count)
        .retention(RETENTION)
        .clock(clock.clone())
        .build()
        .expect("in bounds");
    (stream, clock)
}

fn split(stream: &Stream) {
    let open = open_shards(stream);
    stream
        .split_shard(open[0], HashKey::new(1 << 127))
        .expect("one shard has all keys");
}

fn merge(stream: &Stream) {
    let open = open_shards(stream);
    stream
        .merge_shards(open[0], open[1])
        .expect("two shards are neighbours");
}

fn open_shards(stream: &Stream) -> Vec<brooklet::ShardId> {
    stream
        .shards()
        .iter()
        .filter(|shard| shard.is_open())
        .map(|shard| shard.id())
        .collect()
}

fn put(producer: &Producer, keys: &[String], data: &Bytes, count: usize) {
    for key in keys.iter().cycle().take(count) {
        black_box(producer.put_record(key, data.clone())).expect("the stream is open");
    }
}
