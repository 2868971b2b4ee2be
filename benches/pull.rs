//! Pulling records of 100 bytes from one shard that holds a million, with one thread.
//!
//! Varies how they are looked at (where they lie, or owned), how many a batch has, and where the
//! reader begins. `harness` is the same loop over one key and one piece of data.

use std::hint::black_box;
use std::time::Duration;

use brooklet::{
    Clock, ManualClock, RecordBatch, SequenceNumber, Shard, ShardIterator, StartingPosition,
    Stream, Timestamp,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use common::Random;

mod common;

const RECORD_COUNT: u64 = 1_000_000;
const DATA_BYTES: usize = 100;
const LIMITS: [usize; 3] = [1, 100, 10_000];
/// Records that arrive in one millisecond.
const RECORDS_PER_MS: u64 = 100;

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = pull
}
criterion_main!(benches);

fn pull(criterion: &mut Criterion) {
    let log = Log::new();
    replay(criterion, &log);
    batches(criterion, &log);
    positions(criterion, &log);
    tip(criterion, &log);
}

/// A shard that holds a million records.
struct Log {
    shard: Shard,
    first_arrival: Timestamp,
    numbers: Vec<SequenceNumber>,
}

impl Log {
    fn new() -> Self {
        let clock = ManualClock::default();
        let stream = Stream::builder("bench")
            .clock(clock.clone())
            .capacity_bytes(1 << 30)
            .build()
            .expect("in bounds");
        let producer = stream.producer();
        let (keys, data) = (common::keys(), common::shared(DATA_BYTES));
        let numbers: Vec<_> = (0..RECORD_COUNT)
            .zip(keys.iter().cycle())
            .map(|(index, key)| {
                if index % RECORDS_PER_MS == RECORDS_PER_MS - 1 {
                    clock.advance(Duration::from_millis(1));
                }
                let put = producer.put_record(key, data.clone());
                put.expect("the stream is open").sequence_number()
            })
            .collect();
        Self {
            shard: stream.shards().remove(0),
            first_arrival: clock.now() - Duration::from_millis(RECORD_COUNT / RECORDS_PER_MS),
            numbers,
        }
    }

    fn iterator(&self, position: StartingPosition) -> ShardIterator {
        self.shard.iterator(position).expect("there are no limits")
    }

    /// The number of any record.
    fn any(&self, random: &mut Random) -> SequenceNumber {
        self.numbers[random.below(RECORD_COUNT) as usize]
    }
}

fn replay(criterion: &mut Criterion, log: &Log) {
    let mut group = criterion.benchmark_group("pull/replay of a million");
    group.sample_size(10);
    group.throughput(common::throughput(RECORD_COUNT as usize, DATA_BYTES));
    let data = common::shared(DATA_BYTES);
    group.bench_function("harness", |bencher| {
        bencher.iter(|| {
            for _ in 0..RECORD_COUNT {
                black_box(("customer-017", &data[..]));
            }
        });
    });
    for (name, look) in LOOKS {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut iterator = log.iterator(StartingPosition::TrimHorizon);
                let mut count = 0;
                while count < RECORD_COUNT {
                    let batch = iterator.get_records(10_000).expect("there are no limits");
                    look(&batch);
                    count += batch.len() as u64;
                }
            });
        });
    }
    group.finish();
}

/// From the horizon on and round again.
fn batches(criterion: &mut Criterion, log: &Log) {
    let mut group = criterion.benchmark_group("pull/batch");
    for limit in LIMITS {
        group.throughput(common::throughput(limit, DATA_BYTES));
        for (name, look) in LOOKS {
            let mut iterator = log.iterator(StartingPosition::TrimHorizon);
            let mut left = RECORD_COUNT;
            group.bench_function(BenchmarkId::new(name, limit), |bencher| {
                bencher.iter(|| {
                    if left == 0 {
                        iterator = log.iterator(StartingPosition::TrimHorizon);
                        left = RECORD_COUNT;
                    }
                    let batch = iterator.get_records(limit).expect("there are no limits");
                    look(&batch);
                    left -= batch.len() as u64;
                });
            });
        }
    }
    group.finish();
}

/// Finding a place in the million, and the first record there.
fn positions(criterion: &mut Criterion, log: &Log) {
    let mut group = criterion.benchmark_group("pull/one record from");
    group.throughput(Throughput::Elements(1));
    let mut random = Random::new();
    group.bench_function("harness", |bencher| {
        bencher.iter(|| StartingPosition::AtSequenceNumber(log.any(&mut random)));
    });
    let one = |position| {
        let batch = log
            .iterator(position)
            .get_records(1)
            .expect("there are no limits");
        assert_eq!(batch.len(), 1);
        batch
    };
    group.bench_function("the horizon", |bencher| {
        bencher.iter(|| one(StartingPosition::TrimHorizon));
    });
    group.bench_function("the first sequence number", |bencher| {
        bencher.iter(|| one(StartingPosition::AtSequenceNumber(log.numbers[0])));
    });
    group.bench_function("any sequence number", |bencher| {
        bencher.iter(|| one(StartingPosition::AtSequenceNumber(log.any(&mut random))));
    });
    group.bench_function("any time", |bencher| {
        bencher.iter(|| {
            let after = Duration::from_millis(random.below(RECORD_COUNT / RECORDS_PER_MS));
            one(StartingPosition::AtTimestamp(log.first_arrival + after))
        });
    });
    group.finish();
}

/// A poll that finds nothing.
fn tip(criterion: &mut Criterion, log: &Log) {
    let mut group = criterion.benchmark_group("pull/at the tip");
    group.throughput(Throughput::Elements(1));
    group.bench_function("harness", |bencher| bencher.iter(|| black_box(log)));
    let mut iterator = log.iterator(StartingPosition::Latest);
    group.bench_function("empty poll", |bencher| {
        bencher.iter(|| iterator.get_records(10_000).expect("there are no limits"));
    });
    group.finish();
    assert!(
        iterator
            .get_records(1)
            .expect("there are no limits")
            .is_empty()
    );
}

type Look = fn(&RecordBatch);

const LOOKS: [(&str, Look); 2] = [
    ("views", |batch| {
        for record in batch {
            black_box((record.partition_key(), record.data()));
        }
    }),
    ("owned", |batch| {
        for record in batch.records() {
            black_box(&record);
        }
    }),
];
