//! Putting records of 100 bytes into a shard that is full, so that each put trims in the end.
//!
//! Varies what fills it: records, bytes (a small shard trims record by record, a large one by
//! chunks), or time. `harness` is the loop without the engine; `nothing to trim` a shard that is
//! thrown away before it is full.

use std::hint::black_box;
use std::time::{Duration, Instant};

use brooklet::{ManualClock, Producer, Stream, StreamBuilder};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};

mod common;

const DATA_BYTES: usize = 100;
/// An iteration puts so many records.
const RECORD_COUNT: usize = 10_000;
const RETENTION: Duration = Duration::from_secs(10);
/// One record each: the shard retains 10,000.
const STEP: Duration = Duration::from_millis(1);

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = trim
}
criterion_main!(benches);

fn trim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trim");
    group.throughput(common::throughput(RECORD_COUNT, DATA_BYTES));
    let data = common::shared(DATA_BYTES);
    group.bench_function("harness", |bencher| {
        bencher.iter(|| {
            for _ in 0..RECORD_COUNT {
                black_box(("customer-017", data.clone()));
            }
        });
    });
    group.bench_function("nothing to trim", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let producer = Stream::new("bench", 1).expect("in bounds").producer();
                    let begin = Instant::now();
                    put(&producer, &data);
                    begin.elapsed()
                })
                .sum()
        });
    });
    let full: [(&str, StreamBuilder); 4] = [
        ("by records, 1,000", builder().capacity_records(1_000)),
        ("by records, 100,000", builder().capacity_records(100_000)),
        ("by bytes, 128 KiB", builder().capacity_bytes(128 * 1024)),
        (
            "by bytes, 32 MiB",
            builder().capacity_bytes(32 * 1024 * 1024),
        ),
    ];
    for (name, builder) in full {
        let stream = builder.build().expect("in bounds");
        let producer = stream.producer();
        fill(&stream, &producer, &data);
        group.bench_function(name, |bencher| bencher.iter(|| put(&producer, &data)));
    }

    let clock = ManualClock::default();
    let stream = builder()
        .retention(RETENTION)
        .clock(clock.clone())
        .build()
        .expect("in bounds");
    let producer = stream.producer();
    let put_and_turn = |trim: bool| {
        for _ in 0..RECORD_COUNT {
            black_box(producer.put_record("customer-017", data.clone())).expect("it is open");
            clock.advance(STEP);
        }
        if trim {
            // What has expired is trimmed when a chunk is full, or somebody looks.
            assert!(stream.metrics().records_retained() <= 10_001);
        }
    };
    group.bench_function("by retention, with the turns of the clock", |bencher| {
        bencher.iter(|| put_and_turn(false));
    });
    put_and_turn(true);
    group.bench_function("the turns of the clock alone", |bencher| {
        bencher.iter(|| {
            for _ in 0..RECORD_COUNT {
                clock.advance(STEP);
            }
        });
    });
    group.finish();
}

fn builder() -> StreamBuilder {
    Stream::builder("bench")
}

/// Puts until something was trimmed.
fn fill(stream: &Stream, producer: &Producer, data: &Bytes) {
    while stream.metrics().sum(|shard| shard.records_trimmed) == 0 {
        put(producer, data);
    }
}

fn put(producer: &Producer, data: &Bytes) {
    for _ in 0..RECORD_COUNT {
        black_box(producer.put_record("customer-017", data.clone())).expect("it is open");
    }
}
