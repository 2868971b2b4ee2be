//! What the benches share: streams in their steady state, seeded keys, data.
#![allow(dead_code, reason = "no bench uses all of it")]

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use brooklet::{Stream, StreamBuilder};
use bytes::Bytes;
use criterion::{Criterion, Throughput};

/// Records of a `put_records`, as many as Kinesis allows.
pub const BATCH: usize = 500;
/// Bytes that a shard retains: more than the caches, little enough to be full after the warm-up.
pub const CAPACITY_BYTES: u64 = 32 * 1024 * 1024;
/// Keys that repeat.
pub const KEY_COUNT: usize = 1_000;
const SEED: u64 = 0x62_72_6f_6f_6b_6c_65_74;

/// Short samples: the benches are many, and what they tell is in their ratios.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// A stream whose shards soon are full, and use their memory again.
pub fn stream(shard_count: u32) -> StreamBuilder {
    Stream::builder("bench")
        .shard_count(shard_count)
        .capacity_bytes(CAPACITY_BYTES)
}

/// `count` records of so much data.
pub fn throughput(count: usize, data_bytes: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: count as u64,
        bytes: (count * data_bytes) as u64,
    }
}

/// Data whose clones count references; `Bytes` does so from the first clone on.
pub fn shared(data_bytes: usize) -> Bytes {
    let data = Bytes::from(vec![7; data_bytes]);
    drop(data.clone());
    data
}

/// Data that was just made.
pub fn fresh(data_bytes: usize) -> Bytes {
    Bytes::from(vec![7; data_bytes])
}

/// Keys of twelve characters in an order that no prefetcher knows, the same in each run.
pub fn keys() -> Vec<String> {
    let mut random = Random::new();
    (0..KEY_COUNT)
        .map(|_| format!("{:012x}", random.next() >> 16))
        .collect()
}

/// A key of twelve characters that differs for each number, made without allocating.
pub struct NewKey([u8; 12]);

impl NewKey {
    pub fn of(number: u64) -> Self {
        let mut text = [0; 12];
        for (index, byte) in text.iter_mut().enumerate() {
            *byte = b'a' + (number >> (4 * index) & 15) as u8;
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is made of letters")
    }
}

/// Pseudo-random numbers, the same in each run (SplitMix64).
pub struct Random(u64);

impl Random {
    pub const fn new() -> Self {
        Self(SEED)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Runs `work` on so many threads, each with its number, all of which begin at the same time; the
/// time from when the first began until the last was done, by their own watches: with more threads
/// than cores, some are done before the thread that waits for them runs again.
pub fn at_the_same_time(thread_count: usize, work: impl Fn(usize) + Sync) -> Duration {
    let ready = Barrier::new(thread_count);
    let times: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> = (0..thread_count)
            .map(|thread| {
                let (ready, work) = (&ready, &work);
                scope.spawn(move || {
                    ready.wait();
                    let begin = Instant::now();
                    work(thread);
                    (begin, Instant::now())
                })
            })
            .collect();
        let join =
            |handle: thread::ScopedJoinHandle<'_, _>| handle.join().expect("no thread panics");
        handles.into_iter().map(join).collect()
    });
    let begin = times.iter().map(|(begin, _)| *begin).min();
    let end = times.iter().map(|(_, end)| *end).max();
    end.zip(begin)
        .map_or(Duration::ZERO, |(end, begin)| end - begin)
}
