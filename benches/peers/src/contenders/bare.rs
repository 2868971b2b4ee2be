//! What the machine itself can do: nothing at all, one cache line, one sleeping thread, one MD5.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::SystemTime;

use md5::{Digest, Md5};
use parking_lot::Mutex;

use crate::contenders::{Carries, Sink, Source, Wait};
use crate::records::{Records, Tally};

pub const CARRIES: Carries = Carries(".......");

/// Makes records and drops them: what the harness itself costs.
#[derive(Debug)]
pub struct Nothing;

impl Sink for Nothing {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        black_box(records.message(index));
    }
}

impl Source for Nothing {
    fn take(&mut self, _: &mut Tally) -> bool {
        false
    }
}

/// A number on a cache line of its own, which one thread writes and another reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

#[derive(Debug, Default)]
struct Shared {
    line: Line,
    sleeper: Mutex<Option<Thread>>,
}

/// Writes the number, and unparks whoever sleeps on it.
#[derive(Debug)]
pub struct BareSink {
    shared: Arc<Shared>,
    unparks: bool,
}

#[derive(Debug)]
pub struct BareSource {
    shared: Arc<Shared>,
    seen: u64,
}

/// A cache line; with `unparks`, a parked thread.
pub fn bare(unparks: bool) -> (BareSink, BareSource) {
    let shared = Arc::new(Shared::default());
    let sink = BareSink {
        shared: Arc::clone(&shared),
        unparks,
    };
    (sink, BareSource { shared, seen: 0 })
}

impl Sink for BareSink {
    #[inline]
    fn put(&mut self, _: &Records, _: usize) {
        self.shared.line.0.fetch_add(1, Ordering::Release);
        if self.unparks
            && let Some(sleeper) = &*self.shared.sleeper.lock()
        {
            sleeper.unpark();
        }
    }
}

impl Source for BareSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let now = self.shared.line.0.load(Ordering::Acquire);
        let any = now != self.seen;
        tally.count += now - self.seen;
        self.seen = now;
        any
    }
}

impl Wait for BareSource {
    fn begin(&mut self) {
        *self.shared.sleeper.lock() = Some(thread::current());
    }

    fn wait(&mut self, tally: &mut Tally) {
        while !self.take(tally) {
            thread::park();
        }
    }
}

/// The first half of a key's MD5.
#[inline]
pub fn md5_head(key: &str) -> u64 {
    let digest = Md5::digest(key.as_bytes());
    u64::from_be_bytes(*digest.first_chunk().expect("a digest has 16 bytes"))
}

/// Hashes the key and does nothing else.
#[derive(Debug)]
pub struct OnlyMd5;

impl Sink for OnlyMd5 {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        black_box(Md5::digest(records.key_text(index).as_bytes()));
    }
}

impl Source for OnlyMd5 {
    fn take(&mut self, _: &mut Tally) -> bool {
        false
    }
}

/// Takes a lock that nobody else wants, with one locked instruction, and gives it back with a store.
#[derive(Debug, Default)]
pub struct OnlyLock(AtomicBool);

impl Sink for OnlyLock {
    #[inline]
    fn put(&mut self, _: &Records, _: usize) {
        let lock = black_box(&self.0);
        let taken = lock.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        assert_eq!(taken, Ok(false), "nobody else has it");
        lock.store(false, Ordering::Release);
    }
}

/// Reads the time.
#[derive(Debug)]
pub struct OnlyTime;

impl Sink for OnlyTime {
    #[inline]
    fn put(&mut self, _: &Records, _: usize) {
        black_box(SystemTime::now());
    }
}

/// Copies keys and data into memory, one behind the other, and from the beginning again when it is full.
#[derive(Debug)]
pub struct OnlyCopy {
    memory: Vec<u8>,
    next: usize,
}

impl OnlyCopy {
    /// With room for so many records.
    pub fn new(records: &Records, capacity: usize) -> Self {
        let record_bytes = Records::KEY_BYTES + records.data_bytes();
        Self {
            memory: vec![0; record_bytes * capacity],
            next: 0,
        }
    }
}

impl Sink for OnlyCopy {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let (key, data) = (records.key_text(index).as_bytes(), records.data_ref(index));
        let record_bytes = key.len() + data.len();
        if self.next + record_bytes > self.memory.len() {
            self.next = 0;
        }
        let (to_key, to_data) =
            self.memory[self.next..self.next + record_bytes].split_at_mut(key.len());
        to_key.copy_from_slice(key);
        to_data.copy_from_slice(data);
        self.next += record_bytes;
        black_box(&mut self.memory);
    }
}
