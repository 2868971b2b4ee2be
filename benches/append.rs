//! Putting records: one at a time and in batches.
//!
//! Varies the data (size; shared or just allocated), what is known of the key, the shards and the
//! limits. One thread, full shards that trim their oldest. `harness` is the same loop without the
//! engine: it makes the keys and the data, and drops them.

use std::hint::black_box;

use brooklet::{Clock, HashKey, Limits, PartitionKey, Producer, PutEntry, SystemClock};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

use common::{BATCH, NewKey};

mod common;

/// 0, the usual, over what is copied, and large.
const DATA_BYTES: [usize; 4] = [0, 100, 1024, 65_536];

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = data, keys, limits
}
criterion_main!(benches);

/// One shard: what the size of the data costs, and who made it.
fn data(criterion: &mut Criterion) {
    type MakeData = fn(&Bytes) -> Bytes;
    let kinds: [(&str, MakeData); 2] = [
        ("shared", |data| data.clone()),
        ("fresh", |data| common::fresh(data.len())),
    ];
    for (kind, make) in kinds {
        let mut group = criterion.benchmark_group(format!("append/{kind} data"));
        for bytes in DATA_BYTES {
            let data = common::shared(bytes);
            let producer = common::stream(1).build().expect("in bounds").producer();

            group.throughput(common::throughput(1, bytes));
            group.bench_function(BenchmarkId::new("harness", bytes), |bencher| {
                bencher.iter(|| (black_box("customer-017"), make(&data)));
            });
            group.bench_function(BenchmarkId::new("single", bytes), |bencher| {
                bencher.iter(|| producer.put_record(black_box("customer-017"), make(&data)));
            });

            group.throughput(common::throughput(BATCH, bytes));
            group.bench_function(BenchmarkId::new("batch/harness", bytes), |bencher| {
                bencher.iter(|| {
                    batch_without_engine((0..BATCH).map(|_| ("customer-017", make(&data))))
                });
            });
            group.bench_function(BenchmarkId::new("batch", bytes), |bencher| {
                bencher.iter(|| {
                    put_batch(&producer, (0..BATCH).map(|_| ("customer-017", make(&data))))
                });
            });
        }
        group.finish();
    }
}

/// 100 bytes: what it costs to find the shard.
fn keys(criterion: &mut Criterion) {
    let data = common::shared(100);
    let texts = common::keys();
    let reused: Vec<_> = texts
        .iter()
        .map(|key| PartitionKey::new(key.as_str()).expect("the keys are short"))
        .collect();
    let hashed: Vec<_> = texts
        .iter()
        .map(|key| (key.as_str(), HashKey::of(key)))
        .collect();

    for shard_count in [1, 4] {
        let producer = common::stream(shard_count)
            .build()
            .expect("in bounds")
            .producer();
        let mut group = criterion.benchmark_group(format!("append/keys, {shard_count} shards"));

        group.throughput(common::throughput(1, 100));
        let mut next = texts.iter().cycle();
        group.bench_function("harness", |bencher| {
            bencher.iter(|| (black_box(next.next()), data.clone()));
        });
        group.bench_function("harness, the clock", |bencher| {
            bencher.iter(|| SystemClock.now())
        });
        let mut number = 0;
        group.bench_function("harness, every key new", |bencher| {
            bencher.iter(|| {
                number += 1;
                (NewKey::of(number).as_str().len(), data.clone())
            });
        });
        let mut next = texts.iter().cycle();
        group.bench_function("text", |bencher| {
            bencher.iter(|| producer.put_record(next.next().expect("cycles"), data.clone()));
        });
        group.bench_function("text, every key new", |bencher| {
            bencher.iter(|| {
                number += 1;
                producer.put_record(NewKey::of(number).as_str(), data.clone())
            });
        });
        let mut next = reused.iter().cycle();
        group.bench_function("PartitionKey", |bencher| {
            bencher.iter(|| producer.put_record(next.next().expect("cycles"), data.clone()));
        });
        let mut next = hashed.iter().cycle();
        group.bench_function("explicit hash key", |bencher| {
            bencher.iter(|| {
                let &(key, hash_key) = next.next().expect("cycles");
                producer.put_record_with_hash_key(key, hash_key, data.clone())
            });
        });

        group.throughput(common::throughput(BATCH, 100));
        let mut next = texts.iter().cycle();
        group.bench_function("batch/harness", |bencher| {
            bencher.iter(|| {
                let entries = next.by_ref().take(BATCH);
                batch_without_engine(entries.map(|key| (key.as_str(), data.clone())))
            });
        });
        group.bench_function("batch/harness, every key new", |bencher| {
            bencher.iter(|| {
                let new = new_keys(&mut number);
                batch_without_engine(new.iter().map(|key| (key.as_str(), data.clone())))
            });
        });
        let mut next = texts.iter().cycle();
        group.bench_function("batch/text", |bencher| {
            bencher.iter(|| {
                let entries = next.by_ref().take(BATCH);
                put_batch(&producer, entries.map(|key| (key.as_str(), data.clone())))
            });
        });
        group.bench_function("batch/text, every key new", |bencher| {
            bencher.iter(|| {
                let new = new_keys(&mut number);
                put_batch(
                    &producer,
                    new.iter().map(|key| (key.as_str(), data.clone())),
                )
            });
        });
        let mut next = reused.iter().cycle();
        group.bench_function("batch/PartitionKey", |bencher| {
            bencher.iter(|| {
                let entries = next.by_ref().take(BATCH);
                put_batch(&producer, entries.map(|key| (key, data.clone())))
            });
        });
        let mut next = hashed.iter().cycle();
        group.bench_function("batch/explicit hash key", |bencher| {
            bencher.iter(|| {
                let entries = next.by_ref().take(BATCH).map(|&(key, hash_key)| {
                    PutEntry::new(key, data.clone()).explicit_hash_key(hash_key)
                });
                put_batch(&producer, entries)
            });
        });
        group.finish();
    }
}

/// 100 bytes, one shard: what it costs to count against limits that refuse nothing.
fn limits(criterion: &mut Criterion) {
    const PLENTY: u64 = 1 << 40;
    let data = common::shared(100);
    let limited = Limits::unlimited()
        .write_records_per_second(Some(PLENTY))
        .write_bytes_per_second(Some(PLENTY));
    let mut group = criterion.benchmark_group("append/limits");
    for (name, limits) in [("off", Limits::unlimited()), ("on", limited)] {
        let stream = common::stream(1).limits(limits).build().expect("in bounds");
        let producer = stream.producer();
        group.throughput(common::throughput(1, 100));
        group.bench_function(BenchmarkId::new("single", name), |bencher| {
            bencher.iter(|| producer.put_record("customer-017", data.clone()));
        });
        group.throughput(common::throughput(BATCH, 100));
        group.bench_function(BenchmarkId::new("batch", name), |bencher| {
            bencher.iter(|| {
                put_batch(
                    &producer,
                    (0..BATCH).map(|_| ("customer-017", data.clone())),
                )
            });
        });
        assert_eq!(stream.metrics().sum(|shard| shard.puts_throttled), 0);
    }
    group.finish();
}

fn put_batch<'a>(
    producer: &Producer,
    entries: impl Iterator<Item = impl Into<PutEntry<'a>>>,
) -> usize {
    let puts = producer.put_records(entries).expect("the stream is open");
    black_box(&puts).failed_record_count()
}

/// Collects the entries and drops them.
fn batch_without_engine<'a>(entries: impl Iterator<Item = impl Into<PutEntry<'a>>>) -> usize {
    let entries: Vec<PutEntry<'a>> = entries.map(Into::into).collect();
    black_box(&entries).len()
}

fn new_keys(number: &mut u64) -> Vec<NewKey> {
    let first = *number;
    *number += BATCH as u64;
    (first..*number).map(NewKey::of).collect()
}
