//! One writer, and 1, 3 or 10 readers that each read every record.
//!
//! Varies the readers, and whether they take turns with the writer on one thread (what the work
//! costs, without the noise of the scheduler) or run on threads of their own. An iteration is
//! `RECORD_COUNT` records of 100 bytes, written in batches and read by all. `harness` does the same
//! with a counter in place of the stream.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brooklet::{Producer, ShardIterator, StartingPosition, Stream};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

use common::BATCH;

mod common;

const RECORD_COUNT: usize = 50_000;
const DATA_BYTES: usize = 100;
const READER_COUNTS: [usize; 3] = [1, 3, 10];

criterion_group! {
    name = benches;
    config = common::criterion().sample_size(10);
    targets = turns, threads
}
criterion_main!(benches);

fn turns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out/taking turns");
    group.throughput(common::throughput(RECORD_COUNT, DATA_BYTES));
    let data = common::shared(DATA_BYTES);
    for reader_count in READER_COUNTS {
        group.bench_function(BenchmarkId::new("harness", reader_count), |bencher| {
            bencher.iter(|| {
                for _ in 0..RECORD_COUNT / BATCH {
                    for _ in 0..BATCH {
                        black_box(("customer-017", data.clone()));
                    }
                    for _ in 0..reader_count * BATCH {
                        black_box(("customer-017", &data[..]));
                    }
                }
            });
        });
        let stream = common::stream(1).build().expect("in bounds");
        let producer = stream.producer();
        let mut readers = readers(&stream, reader_count);
        group.bench_function(BenchmarkId::new("views", reader_count), |bencher| {
            bencher.iter(|| {
                for _ in 0..RECORD_COUNT / BATCH {
                    put_batch(&producer, &data);
                    for reader in &mut readers {
                        assert_eq!(read_batch(reader), BATCH);
                    }
                }
            });
        });
    }
    group.finish();
}

fn threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fan_out/threads");
    group.throughput(common::throughput(RECORD_COUNT, DATA_BYTES));
    let data = common::shared(DATA_BYTES);
    for reader_count in READER_COUNTS {
        group.bench_function(BenchmarkId::new("harness", reader_count), |bencher| {
            bencher.iter_custom(|iterations| {
                let record_count = RECORD_COUNT as u64 * iterations;
                let written = AtomicU64::new(0);
                let write = || {
                    for _ in 0..record_count {
                        black_box(("customer-017", data.clone()));
                        written.fetch_add(1, Ordering::Release);
                    }
                };
                let read = |()| {
                    while written.load(Ordering::Acquire) < record_count {
                        thread::yield_now();
                    }
                };
                timed(write, vec![(); reader_count], read)
            });
        });
        // The longest that criterion asks for stays within the capacity: no reader is overtaken.
        let stream = common::stream(1).build().expect("in bounds");
        let producer = stream.producer();
        group.bench_function(BenchmarkId::new("views", reader_count), |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations)
                    .map(|_| {
                        let write = || {
                            for _ in 0..RECORD_COUNT / BATCH {
                                put_batch(&producer, &data);
                            }
                        };
                        let read = |mut reader| {
                            let mut count = 0;
                            while count < RECORD_COUNT {
                                count += wait_for_batch(&mut reader);
                            }
                            assert_eq!(count, RECORD_COUNT);
                        };
                        timed(write, readers(&stream, reader_count), read)
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

/// Runs one writer and a thread for each reader; the time until the last is done.
fn timed<R: Send>(write: impl FnOnce(), readers: Vec<R>, read: impl Fn(R) + Sync) -> Duration {
    thread::scope(|scope| {
        let handles: Vec<_> = readers
            .into_iter()
            .map(|reader| scope.spawn(|| read(reader)))
            .collect();
        let begin = Instant::now();
        write();
        for handle in handles {
            handle.join().expect("a reader reads to the end");
        }
        begin.elapsed()
    })
}

fn readers(stream: &Stream, count: usize) -> Vec<ShardIterator> {
    let shard = &stream.shards()[0];
    let latest = || {
        shard
            .iterator(StartingPosition::Latest)
            .expect("there are no limits")
    };
    (0..count).map(|_| latest()).collect()
}

fn put_batch(producer: &Producer, data: &Bytes) {
    let entries = (0..BATCH).map(|_| ("customer-017", data.clone()));
    black_box(producer.put_records(entries)).expect("the stream is open");
}

fn read_batch(reader: &mut ShardIterator) -> usize {
    let batch = reader.get_records(BATCH).expect("there are no limits");
    for record in &batch {
        black_box((record.partition_key(), record.data()));
    }
    batch.len()
}

fn wait_for_batch(reader: &mut ShardIterator) -> usize {
    let batch = reader
        .get_records_timeout(10_000, Duration::from_secs(60))
        .expect("there are no limits");
    assert_eq!(batch.missed_count(), 0);
    for record in &batch {
        black_box((record.partition_key(), record.data()));
    }
    batch.len()
}
