//! Memory: what a stream allocates and holds on to, counted by the allocator of the whole process.
//!
//! Has a `main` of its own, because tests that run side by side would count each other's memory.
//! Every check runs; those that fail are listed at the end.

#![expect(
    unsafe_code,
    reason = "an allocator that counts is unsafe to implement"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use brooklet::{
    Error, ManualClock, OnFull, PartitionKey, Record, RecordBatch, Registry, ShardIterator,
    StartingPosition, Stream, Subscription,
};
use bytes::Bytes;
use common::{build, id, millis, secs};
use wakers::{poll, poll_next};

use StartingPosition::{Latest, TrimHorizon};

mod common;
mod wakers;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// What one chunk of a log takes at most.
const CHUNK: usize = 64 * KIB;
/// What the test itself keeps: lists of what is held.
const BOOKS: usize = 16 * KIB;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it hands everything on to the system's allocator and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(freed: usize, taken: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    LIVE.fetch_sub(freed, Ordering::Relaxed);
    let live = LIVE.fetch_add(taken, Ordering::Relaxed) + taken;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// How often memory was allocated while something ran.
fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    run();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// What was checked, and what did not hold.
#[derive(Default)]
struct Checks {
    failed: Vec<String>,
}

impl Checks {
    fn at_most(&mut self, what: impl Display, value: usize, bound: usize) {
        let verdict = if value <= bound { "ok" } else { "FAILED" };
        let line = format!("{what}: {value}, at most {bound} ... {verdict}");
        println!("test {line}");
        if value > bound {
            self.failed.push(line);
        }
    }
}

fn main() -> ExitCode {
    // Some runners ask for the list of tests first.
    if std::env::args().any(|argument| argument == "--list") {
        println!("memory: test");
        return ExitCode::SUCCESS;
    }
    let mut checks = Checks::default();
    steady_puts_of_small_data_allocate_nothing(&mut checks);
    steady_puts_of_large_data_allocate_once_a_chunk(&mut checks);
    steady_reads_allocate_nothing_per_record(&mut checks);
    a_batch_of_puts_allocates_as_often_whatever_its_size(&mut checks);
    an_idle_stream_is_small(&mut checks);
    memory_is_bounded_whatever_readers_do(&mut checks);
    everything_is_given_back(&mut checks);
    if checks.failed.is_empty() {
        println!("memory: all checks hold");
        return ExitCode::SUCCESS;
    }
    println!("memory: {} checks failed", checks.failed.len());
    for failed in &checks.failed {
        println!("    {failed}");
    }
    ExitCode::FAILURE
}

static DATA: [u8; 512] = [7; 512];
const RECORDS: usize = 200_000;
/// New chunks among some hundred: where records of changing sizes are trimmed one by one, two chunks
/// may come free between two that are filled, and one is kept.
const ROLLS: usize = 16;

fn steady_puts_of_small_data_allocate_nothing(checks: &mut Checks) {
    type Size = fn(usize) -> usize;
    let sizes: [(&str, Size); 4] = [
        ("100 bytes", |_| 100),
        ("1 byte", |_| 1),
        ("512 bytes", |_| 512),
        ("0 to 512 bytes", |i| i * 7919 % 513),
    ];
    for (name, size) in sizes {
        for capacity in [256 * KIB, MIB, 4 * MIB] {
            let builder = Stream::builder("orders").capacity_bytes(capacity as u64);
            let (stream, _clock) = build(builder);
            let producer = stream.producer();
            let put = |i: usize| {
                let data = Bytes::from_static(&DATA[..size(i)]);
                producer.put_record("customer-17", data).expect("it trims");
            };
            // The warm-up fills the shard, so that every put trims.
            (0..RECORDS.max(capacity / 16)).for_each(put);
            let count = allocations(|| (0..RECORDS).for_each(put));
            let what = format!("allocations of {RECORDS} puts of {name} into {capacity} bytes");
            checks.at_most(what, count, 0);
        }
    }

    let (stream, _clock) = build(
        Stream::builder("orders")
            .shard_count(4)
            .capacity_bytes(MIB as u64),
    );
    let producer = stream.producer();
    let keys: Vec<_> = (0..64)
        .map(|i| PartitionKey::new(format!("key-{i}")).expect("it is short"))
        .collect();
    let put = |i: usize| {
        let data = Bytes::from_static(&DATA[..i % 300]);
        producer.put_record(&keys[i % 64], data).expect("it trims");
    };
    (0..RECORDS).for_each(put);
    let count = allocations(|| (0..RECORDS).for_each(put));
    checks.at_most(
        "allocations of puts with hashed keys into 4 shards",
        count,
        0,
    );

    let (stream, _clock) = build(Stream::builder("orders").capacity_records(10_000));
    let producer = stream.producer();
    let put = |i: usize| {
        let data = Bytes::from_static(&DATA[..i % 300]);
        producer.put_record("customer-17", data).expect("it trims");
    };
    (0..RECORDS).for_each(put);
    let count = allocations(|| (0..RECORDS).for_each(put));
    checks.at_most(
        "allocations of puts into a capacity of records",
        count,
        ROLLS,
    );

    let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
    let producer = stream.producer();
    let put = |i: usize| {
        clock.advance(millis(1));
        let data = Bytes::from_static(&DATA[..i % 300]);
        producer
            .put_record("customer-17", data)
            .expect("nothing limits it");
    };
    (0..RECORDS).for_each(put);
    let count = allocations(|| (0..RECORDS).for_each(put));
    checks.at_most("allocations of puts whose records expire", count, ROLLS);
}

fn steady_puts_of_large_data_allocate_once_a_chunk(checks: &mut Checks) {
    let (stream, _clock) = build(Stream::builder("orders").capacity_bytes(MIB as u64));
    let producer = stream.producer();
    let data = Bytes::from(vec![7; KIB]);
    let put = |_| {
        let data = data.clone();
        producer.put_record("customer-17", data).expect("it trims");
    };
    (0..RECORDS).for_each(put);
    let count = allocations(|| (0..RECORDS).for_each(put));
    // What is trimmed is listed to be dropped once the lock is released: a list for each chunk, which
    // keeps 32 KiB of such data. The chunk itself is filled again.
    checks.at_most(
        "allocations of puts of large data",
        count,
        RECORDS / 32 + ROLLS,
    );
}

fn steady_reads_allocate_nothing_per_record(checks: &mut Checks) {
    let (stream, _clock) = build(Stream::builder("orders").capacity_bytes(4 * MIB as u64));
    let producer = stream.producer();
    let put = || {
        producer
            .put_record("customer-17", &DATA[..100])
            .expect("it trims");
    };
    // Data of a borrowed slice would be copied; this one is static.
    (0..RECORDS).for_each(|_| put());
    let begin = || {
        let mut iterator = stream
            .shard_iterator(id(0), TrimHorizon)
            .expect("the shard exists");
        // With its first record a reader makes the place where it counts what it was given.
        let first = iterator.get_records(1).expect("it can be read");
        assert_eq!(first.len(), 1);
        iterator
    };
    let walk = |batch: &RecordBatch| {
        let bytes: usize = batch
            .iter()
            .map(|r| r.partition_key().len() + r.data().len())
            .sum();
        assert_eq!(bytes, batch.len() * 111);
        batch.len()
    };

    let mut iterator = begin();
    let mut seen = 0;
    let count = allocations(|| {
        while seen < RECORDS / 10 {
            seen += walk(&iterator.get_records(1).expect("it can be read"));
        }
    });
    checks.at_most(
        format!("allocations of {seen} reads of one record"),
        count,
        0,
    );

    for limit in [10, 100, 1_000] {
        let mut iterator = begin();
        let (mut seen, mut batches) = (0, 0);
        let count = allocations(|| {
            while seen < RECORDS / 10 {
                seen += walk(&iterator.get_records(limit).expect("it can be read"));
                batches += 1;
            }
        });
        // A batch that goes from one chunk on into others keeps a list of them: the list, and who shares it.
        let crossings = (seen * 128).div_ceil(CHUNK) + 1;
        let what = format!("allocations of {batches} reads of {limit} records");
        checks.at_most(what, count, 2 * crossings.min(batches));
    }

    let mut latest = stream
        .shard_iterator(id(0), Latest)
        .expect("the shard exists");
    let turn = |iterator: &mut ShardIterator| {
        put();
        assert_eq!(walk(&iterator.get_records(10).expect("it can be read")), 1);
    };
    (0..1_000).for_each(|_| turn(&mut latest));
    let count = allocations(|| (0..RECORDS).for_each(|_| turn(&mut latest)));
    checks.at_most("allocations of puts that are read at once", count, 0);

    let mut subscription = stream.subscribe(Latest).expect("the stream is there");
    let turn = |subscription: &mut Subscription| {
        put();
        assert_eq!(
            walk(&subscription.get_records(10).expect("it can be read")),
            1
        );
    };
    (0..1_000).for_each(|_| turn(&mut subscription));
    let count = allocations(|| (0..RECORDS).for_each(|_| turn(&mut subscription)));
    checks.at_most(
        "allocations of puts that a subscription reads at once",
        count,
        0,
    );

    let mut iterator = begin();
    let (mut seen, mut batches) = (0, 0);
    let count = allocations(|| {
        while seen < RECORDS / 10 {
            let batch = iterator.get_records(100).expect("it can be read");
            seen += batch
                .records()
                .map(|record| record.data().len() / 100)
                .sum::<usize>();
            batches += 1;
        }
    });
    let what = format!("allocations of {batches} reads of 100 owned records");
    checks.at_most(what, count, batches * 4);
}

fn a_batch_of_puts_allocates_as_often_whatever_its_size(checks: &mut Checks) {
    for shard_count in [1, 4] {
        let builder = Stream::builder("orders").shard_count(shard_count);
        let (stream, _clock) = build(builder.capacity_bytes(MIB as u64));
        let producer = stream.producer();
        let keys: Vec<_> = (0..8).map(|i| format!("key-{i}")).collect();
        let put = |entries: usize| {
            let entries = keys
                .iter()
                .cycle()
                .take(entries)
                .map(|key| (key, &DATA[..100]));
            let output = producer.put_records(entries).expect("it trims");
            assert_eq!(output.failed_record_count(), 0);
        };
        (0..200).for_each(|_| put(500));
        for entries in [1, 10, 100, 500, 5_000] {
            let calls = 40;
            let count = allocations(|| (0..calls).for_each(|_| put(entries)));
            let what = format!("allocations of {calls} calls of {entries} puts to {shard_count}");
            // The entries, their answers, those to do, their shards, the answers as they are given.
            checks.at_most(what, count, calls * 8);
        }
    }
}

fn an_idle_stream_is_small(checks: &mut Checks) {
    let before = live();
    let stream = Stream::new("orders", 4).expect("the settings make sense");
    checks.at_most(
        "bytes of an idle stream of 4 shards",
        live() - before,
        64 * KIB,
    );
    let handles = (
        stream.producer(),
        stream.subscribe(TrimHorizon),
        stream.shards(),
    );
    checks.at_most("bytes of it with handles", live() - before, 64 * KIB);
    drop(handles);
    stream
        .producer()
        .put_record("key", "x")
        .expect("it has room");
    checks.at_most("bytes of it with one record", live() - before, 64 * KIB);
    drop(stream);
    let before = live();
    let stream = Stream::new("orders", 10_000).expect("the settings make sense");
    checks.at_most(
        "bytes of 10,000 idle shards",
        live() - before,
        10_000 * 4 * KIB,
    );
    drop(stream);
}

/// A way to use memory that is not one's own.
struct Pattern {
    name: &'static str,
    /// Sizes of the data that is put, one after the other.
    size: fn(usize) -> usize,
    key: &'static str,
    /// Reads after each put.
    read: fn(&mut Readers, usize),
}

/// What readers hold on to.
struct Readers {
    stream: Stream,
    /// One that reads along.
    iterator: ShardIterator,
    iterators: Vec<ShardIterator>,
    subscriptions: Vec<Subscription>,
    batches: VecDeque<RecordBatch>,
    /// Which cost nothing besides those that they are clones of.
    clones: Vec<RecordBatch>,
    records: VecDeque<Record>,
}

impl Readers {
    fn new(stream: &Stream) -> Self {
        Self {
            stream: stream.clone(),
            iterator: stream
                .shard_iterator(id(0), TrimHorizon)
                .expect("the shard exists"),
            iterators: Vec::new(),
            subscriptions: Vec::new(),
            batches: VecDeque::new(),
            clones: Vec::new(),
            records: VecDeque::new(),
        }
    }

    fn begin(&self, position: StartingPosition) -> ShardIterator {
        self.stream
            .shard_iterator(id(0), position)
            .expect("the shard exists")
    }

    fn read(&mut self, limit: usize) -> RecordBatch {
        self.iterator.get_records(limit).expect("it can be read")
    }

    /// What the documentation allows for that which is held, besides the shard.
    fn allowed(&self, slack: usize) -> usize {
        let batches: usize = self
            .batches
            .iter()
            .map(|batch| {
                let bytes: usize = batch
                    .iter()
                    .map(|r| 40 + r.partition_key().len() + r.data().len())
                    .sum();
                bytes + 2 * CHUNK + 2 * slack
            })
            .sum();
        let records: usize = self
            .records
            .iter()
            .map(|record| CHUNK + slack + record.data().len())
            .sum();
        batches + records
    }
}

const SMALL: fn(usize) -> usize = |_| 100;
const LARGE: fn(usize) -> usize = |_| 10_000;
const MIXED: fn(usize) -> usize = |i| [0, 1, 100, 512, 513, 3_000, 70_000][i % 7];

const PATTERNS: [Pattern; 27] = [
    Pattern {
        name: "nobody reads small records",
        size: SMALL,
        key: "key",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads records of one byte",
        size: |_| 1,
        key: "k",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads empty records",
        size: |_| 0,
        key: "k",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads records that leave much of a chunk free",
        size: |_| 512,
        // 8 + 1,008 + 512 bytes: the 43rd does not fit into 64 KiB by 8 bytes.
        key: LONG_KEY,
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads records just too large to copy",
        size: |_| 513,
        key: "key",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads large records",
        size: LARGE,
        key: "key",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads records of a sixteenth of the capacity",
        size: |_| 70_000,
        key: "key",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads the largest records",
        size: |_| MIB,
        key: "k",
        read: |_, _| {},
    },
    Pattern {
        name: "nobody reads mixed records",
        size: MIXED,
        key: "key",
        read: |_, _| {},
    },
    Pattern {
        name: "one reads along small records",
        size: SMALL,
        key: "key",
        read: |r, _| drop(r.read(100)),
    },
    Pattern {
        name: "one reads along large records",
        size: LARGE,
        key: "key",
        read: |r, _| drop(r.read(100)),
    },
    Pattern {
        name: "one holds its last batch of small records",
        size: SMALL,
        key: "key",
        read: |r, _| {
            let batch = r.read(100);
            r.batches = VecDeque::from([batch]);
        },
    },
    Pattern {
        name: "one holds its last batch of mixed records",
        size: MIXED,
        key: "key",
        read: |r, i| {
            if i % 50 == 0 {
                let batch = r.read(100);
                r.batches = VecDeque::from([batch]);
            }
        },
    },
    Pattern {
        name: "one holds its first batch for ever",
        size: SMALL,
        key: "key",
        read: |r, i| {
            if i == 100 {
                let batch = r.read(50);
                r.batches.push_back(batch);
            }
        },
    },
    Pattern {
        name: "one holds its first batch of large records for ever",
        size: LARGE,
        key: "key",
        read: |r, i| {
            if i == 20 {
                let batch = r.read(10);
                r.batches.push_back(batch);
            }
        },
    },
    Pattern {
        name: "one holds many batches of one record",
        size: SMALL,
        key: "key",
        read: |r, i| {
            if i % 500 == 0 {
                r.iterator = r.begin(TrimHorizon);
                let batch = r.read(1);
                r.batches.push_back(batch);
                r.batches.truncate(20);
            }
        },
    },
    Pattern {
        name: "one holds many clones of one batch",
        size: SMALL,
        key: "key",
        read: |r, i| {
            if i == 200 {
                let batch = r.read(100);
                r.clones = vec![batch.clone(); 50];
                r.batches.push_back(batch);
            }
        },
    },
    Pattern {
        name: "one holds an owned record of each chunk",
        size: SMALL,
        key: "key",
        read: |r, i| {
            if i % 600 == 0 {
                let batch = r.begin(TrimHorizon).get_records(1).expect("it can be read");
                r.records.extend(batch.records());
                r.records.truncate(16);
            }
        },
    },
    Pattern {
        name: "one holds owned large records",
        size: LARGE,
        key: "key",
        read: |r, _| {
            let batch = r.read(10);
            r.records.extend(batch.records());
            while r.records.len() > 16 {
                r.records.pop_front();
            }
        },
    },
    Pattern {
        name: "one holds copies of views",
        size: SMALL,
        key: "key",
        read: |r, _| {
            let batch = r.read(10);
            r.records.extend(batch.iter().map(|view| view.to_record()));
            while r.records.len() > 16 {
                r.records.pop_front();
            }
        },
    },
    Pattern {
        name: "thousands of iterators are abandoned",
        size: SMALL,
        key: "key",
        read: |r, i| {
            let mut abandoned = r.begin(if i % 2 == 0 { TrimHorizon } else { Latest });
            drop(abandoned.get_records(1).expect("it can be read"));
            let _clone = abandoned.clone();
        },
    },
    Pattern {
        name: "iterators that never read are kept",
        size: SMALL,
        key: "key",
        read: |r, i| {
            if i % 1_000 == 0 && r.iterators.len() < 16 {
                r.iterators.push(r.begin(TrimHorizon));
            }
        },
    },
    Pattern {
        name: "waiting futures are dropped",
        size: SMALL,
        key: "key",
        read: |r, _| {
            let mut latest = r.begin(Latest);
            assert!(
                poll(
                    Box::pin(latest.get_records_async(1)).as_mut(),
                    Waker::noop()
                )
                .is_pending()
            );
        },
    },
    Pattern {
        name: "waiting batches are dropped",
        size: LARGE,
        key: "key",
        read: |r, _| {
            let mut batches = r.begin(Latest).batches(10);
            assert!(poll_next(&mut batches, Waker::noop()).is_pending());
        },
    },
    Pattern {
        name: "bells are made and dropped",
        size: SMALL,
        key: "key",
        read: |r, _| {
            let mut latest = r.begin(Latest);
            drop(latest.ready());
        },
    },
    Pattern {
        name: "subscriptions that never read are kept",
        size: MIXED,
        key: "key",
        read: |r, i| {
            if i % 1_000 == 0 && r.subscriptions.len() < 8 {
                r.subscriptions
                    .push(r.stream.subscribe(Latest).expect("the stream is there"));
            }
        },
    },
    Pattern {
        name: "one reads everything again and again",
        size: MIXED,
        key: "key",
        read: |r, i| {
            if i % 200 == 0 {
                let mut all = r.begin(TrimHorizon);
                while !all.get_records(1_000).expect("it can be read").is_empty() {}
            }
        },
    },
];

/// 1,008 bytes in 252 characters.
const LONG_KEY: &str = "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀\
🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀\
🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀\
🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀\
🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀\
🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀";

impl Pattern {
    /// Puts a few times what the shard holds, and lets readers do their worst.
    fn run(&self, capacity: usize, mut after_each: impl FnMut(&Readers, usize)) {
        let builder = Stream::builder("orders").capacity_bytes(capacity as u64);
        let (stream, _clock): (Stream, ManualClock) = build(builder);
        let producer = stream.producer();
        let mut readers = Readers::new(&stream);
        let (mut put_bytes, mut index) = (0, 0);
        while put_bytes < 2 * capacity {
            let size = (self.size)(index);
            // Data of its own for each record, of exactly its size.
            let data = Bytes::from(vec![7; size].into_boxed_slice());
            producer.put_record(self.key, data).expect("it trims");
            (self.read)(&mut readers, index);
            put_bytes += (8 + self.key.len() + size).next_multiple_of(8);
            index += 1;
            after_each(&readers, size);
        }
    }
}

fn memory_is_bounded_whatever_readers_do(checks: &mut Checks) {
    assert_eq!(LONG_KEY.len(), 1_008);
    for capacity in [2 * MIB, 8 * MIB] {
        let chunk = (capacity / 64).min(CHUNK);
        for pattern in PATTERNS {
            let before = live();
            let (mut worst, mut has_large, mut large_count) = (i64::MIN, false, 0);
            let mut at_worst = (0, 0);
            pattern.run(capacity, |readers, size| {
                has_large |= size > 512;
                large_count += usize::from(size > 512);
                // As `StreamBuilder::capacity_bytes` and `RecordBatch` document it.
                let slack = if has_large {
                    (capacity / 16).min(4 * MIB)
                } else {
                    0
                };
                // What `bytes` allocates to share large data once somebody has cloned it.
                let counts = large_count.min(capacity / 513) * 40;
                let used = live() - before;
                let mut allowed = capacity + 3 * chunk + slack + counts + BOOKS;
                if used > allowed {
                    allowed += readers.allowed(slack);
                }
                let over = signed(used) - signed(allowed);
                if over > worst {
                    (worst, at_worst) = (over, (used, allowed));
                }
            });
            let what = format!("bytes of {capacity} while {}", pattern.name);
            checks.at_most(what, at_worst.0, at_worst.1);
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("no machine has so much")
}

fn everything_is_given_back(checks: &mut Checks) {
    for pattern in PATTERNS {
        // Once before: what threads keep for themselves is not the stream's.
        pattern.run(256 * KIB + MIB, |_, _| {});
        let before = live();
        pattern.run(256 * KIB + MIB, |_, _| {});
        let left = live() - before;
        let what = format!("bytes left behind when {}", pattern.name);
        checks.at_most(what, left, 0);
    }
    let reshards = || {
        let (stream, clock) = build(Stream::builder("orders").retention(secs(1)));
        let mut subscription = stream.subscribe(TrimHorizon).expect("the stream is there");
        for round in 0..50 {
            stream
                .producer()
                .put_record("key", vec![0; 3_000])
                .expect("it has room");
            stream
                .update_shard_count(1 + round % 5)
                .expect("it is allowed");
            drop(subscription.get_records(10).expect("it can be read"));
            clock.advance(millis(700));
        }
    };
    reshards();
    let before = live();
    reshards();
    checks.at_most("bytes left behind by reshards", live() - before, 0);
    let registries = || {
        let registry = Registry::new();
        for round in 0..50 {
            let stream = registry
                .create(Stream::builder("orders"))
                .expect("the name is free");
            stream
                .producer()
                .put_record("key", vec![round; 5_000])
                .expect("it has room");
            let batch = stream
                .subscribe(TrimHorizon)
                .map(|mut all| all.get_records(10));
            registry.delete("orders").expect("it is there");
            drop(batch);
        }
    };
    registries();
    let before = live();
    registries();
    checks.at_most("bytes left behind by deleted streams", live() - before, 0);

    // What comes and goes while the stream is there.
    let full = Stream::builder("orders")
        .capacity_records(1)
        .on_full(OnFull::Wait(Duration::from_nanos(1)))
        .build()
        .expect("it is well-formed");
    let producer = full.producer();
    producer.put_record("key", "it").expect("it has room");
    let puts = || {
        for _ in 0..100 {
            let put = producer.put_record("key", "more");
            assert!(matches!(put, Err(Error::PutTimedOut { .. })), "{put:?}");
        }
    };
    puts();
    let before = live();
    puts();
    checks.at_most(
        "bytes left behind by puts that found no room",
        live() - before,
        0,
    );
    let readers = || {
        for _ in 0..1_000 {
            let mut iterator = full
                .shard_iterator(id(0), TrimHorizon)
                .expect("the shard is there");
            assert_eq!(iterator.get_records(10).expect("it can be read").len(), 1);
        }
    };
    readers();
    let before = live();
    readers();
    let left = live().saturating_sub(before);
    // What the figures know of the last few is put together with the others' now and then.
    checks.at_most("bytes left behind by readers that are gone", left, 4 * KIB);
    let (stream, clock) = build(Stream::builder("orders").retention(secs(1)));
    let mut subscription = stream.subscribe(TrimHorizon).expect("the stream is there");
    let mut follow = |rounds: u32| {
        for round in 0..rounds {
            stream
                .update_shard_count(1 + round % 2)
                .expect("it is allowed");
            clock.advance(secs(2));
            while !subscription
                .get_records(10)
                .expect("it can be read")
                .is_empty()
            {}
            drop(stream.metrics());
        }
    };
    follow(100);
    let before = live();
    follow(1_000);
    let left = live().saturating_sub(before);
    checks.at_most("bytes kept of 1,000 reshards by who follows", left, 4 * KIB);
}
