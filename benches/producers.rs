//! Several threads that put records of 100 bytes, one at a time, at the same time.
//!
//! Varies the threads (1, 2, 4, 8), the shards (all on one; each its own) and the handle (each
//! thread its own `Producer`; one shared by all). An iteration is `RECORD_COUNT` records in all,
//! whichever thread puts them. `harness` runs the same threads without the engine. With more threads
//! than cores the threads take turns: then the sum must not fall.

use std::hint::black_box;
use std::time::Duration;

use brooklet::{HashKey, Producer};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

mod common;

const RECORD_COUNT: usize = 40_000;
const DATA_BYTES: usize = 100;
const THREAD_COUNTS: [usize; 4] = [1, 2, 4, 8];

criterion_group! {
    name = benches;
    config = common::criterion().sample_size(10);
    targets = producers
}
criterion_main!(benches);

fn producers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("producers");
    group.throughput(common::throughput(RECORD_COUNT, DATA_BYTES));
    for thread_count in THREAD_COUNTS {
        group.bench_function(BenchmarkId::new("harness", thread_count), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(thread_count, iterations, |_, data, count| {
                    for _ in 0..count {
                        black_box(("customer-017", data.clone()));
                    }
                })
            });
        });

        let one = common::stream(1).build().expect("in bounds");
        group.bench_function(BenchmarkId::new("one shard", thread_count), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(thread_count, iterations, |_, data, count| {
                    put(&one.producer(), HashKey::MIN, data, count);
                })
            });
        });
        let shared = one.producer();
        group.bench_function(
            BenchmarkId::new("one shard, one Producer", thread_count),
            |bencher| {
                bencher.iter_custom(|iterations| {
                    timed(thread_count, iterations, |_, data, count| {
                        put(&shared, HashKey::MIN, data, count);
                    })
                });
            },
        );

        let many = common::stream(thread_count as u32)
            .build()
            .expect("in bounds");
        let starts: Vec<_> = many
            .shards()
            .iter()
            .map(|shard| shard.hash_key_range().start())
            .collect();
        group.bench_function(BenchmarkId::new("a shard each", thread_count), |bencher| {
            bencher.iter_custom(|iterations| {
                timed(thread_count, iterations, |thread, data, count| {
                    put(&many.producer(), starts[thread], data, count);
                })
            });
        });
        let shared = many.producer();
        group.bench_function(
            BenchmarkId::new("a shard each, one Producer", thread_count),
            |bencher| {
                bencher.iter_custom(|iterations| {
                    timed(thread_count, iterations, |thread, data, count| {
                        put(&shared, starts[thread], data, count);
                    })
                });
            },
        );
    }
    group.finish();
}

fn put(producer: &Producer, hash_key: HashKey, data: &Bytes, count: usize) {
    for _ in 0..count {
        let put = producer.put_record_with_hash_key("customer-017", hash_key, data.clone());
        black_box(put).expect("the stream is open");
    }
}

/// The time in which so many threads put their parts of the records.
fn timed(
    thread_count: usize,
    iterations: u64,
    work: impl Fn(usize, &Bytes, usize) + Sync,
) -> Duration {
    let count = RECORD_COUNT / thread_count * iterations as usize;
    common::at_the_same_time(thread_count, |thread| {
        work(thread, &common::shared(DATA_BYTES), count);
    })
}
