//! What one writes by hand when there is no brooklet: a ring of records behind a lock, with a
//! sequence number and an arrival time for each, a bound, any number of readers, and replay.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::contenders::{Carries, Sink, Source, Wait};
use crate::records::{Message, Records, Tally};

pub const CARRIES: Carries = Carries("RMBST.W");

/// The most that a reader takes under one lock.
const LIMIT: usize = 1000;

/// What the lock guards.
#[derive(Debug)]
pub struct Ring {
    /// Sequence number of the oldest record.
    oldest: u64,
    entries: VecDeque<Entry>,
    capacity: usize,
}

#[derive(Clone, Debug)]
#[expect(dead_code, reason = "carried for whoever asks, as brooklet does")]
struct Entry {
    sequence: u64,
    arrival_ms: u64,
    message: Message,
}

/// The two locks that one would choose from.
pub trait Lock: Send + Sync + 'static {
    fn new(ring: Ring) -> Self;
    fn read<R>(&self, look: impl FnOnce(&Ring) -> R) -> R;
    fn write<R>(&self, change: impl FnOnce(&mut Ring) -> R) -> R;
}

impl Lock for Mutex<Ring> {
    fn new(ring: Ring) -> Self {
        Self::new(ring)
    }

    #[inline]
    fn read<R>(&self, look: impl FnOnce(&Ring) -> R) -> R {
        look(&self.lock())
    }

    #[inline]
    fn write<R>(&self, change: impl FnOnce(&mut Ring) -> R) -> R {
        change(&mut self.lock())
    }
}

impl Lock for RwLock<Ring> {
    fn new(ring: Ring) -> Self {
        Self::new(ring)
    }

    #[inline]
    fn read<R>(&self, look: impl FnOnce(&Ring) -> R) -> R {
        look(&Self::read(self))
    }

    #[inline]
    fn write<R>(&self, change: impl FnOnce(&mut Ring) -> R) -> R {
        change(&mut Self::write(self))
    }
}

#[derive(Debug)]
struct Log<L> {
    ring: L,
    /// The next sequence number, so that a reader that polls needs no lock to see no news.
    next: AtomicU64,
    news: Condvar,
}

#[derive(Debug)]
pub struct LogSink<L>(Arc<Log<L>>);

/// Clones the records out of the lock.
#[derive(Debug)]
pub struct LogSource<L> {
    log: Arc<Log<L>>,
    next: u64,
    batch: Vec<Entry>,
}

/// Looks at the records under the lock.
#[derive(Debug)]
pub struct LogViews<L>(pub LogSource<L>);

pub fn log<L: Lock>(capacity: usize) -> (LogSink<L>, LogSource<L>) {
    let ring = Ring {
        oldest: 0,
        entries: VecDeque::with_capacity(capacity),
        capacity,
    };
    let log = Arc::new(Log {
        ring: L::new(ring),
        next: AtomicU64::new(0),
        news: Condvar::new(),
    });
    (LogSink(Arc::clone(&log)), LogSource::new(log))
}

impl Ring {
    /// Appends a record and takes out the oldest if it is full, to be dropped without the lock.
    #[inline]
    fn push(&mut self, arrival_ms: u64, message: Message) -> Option<Entry> {
        let evicted = if self.entries.len() == self.capacity {
            self.oldest += 1;
            self.entries.pop_front()
        } else {
            None
        };
        let sequence = self.oldest + self.entries.len() as u64;
        self.entries.push_back(Entry {
            sequence,
            arrival_ms,
            message,
        });
        evicted
    }

    /// The records from `next` on, and how many of them are gone.
    fn from(&self, next: u64) -> (u64, impl Iterator<Item = &Entry>) {
        let missed = self.oldest.saturating_sub(next);
        let skip = usize::try_from(next.max(self.oldest) - self.oldest).expect("it fits memory");
        (missed, self.entries.range(skip.min(self.entries.len())..))
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("before the year 500,000,000")
}

impl<L: Lock> Sink for LogSink<L> {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let log = &*self.0;
        let (now, message) = (now_ms(), records.message(index));
        let (next, evicted) = log.ring.write(|ring| {
            let evicted = ring.push(now, message);
            (ring.oldest + ring.entries.len() as u64, evicted)
        });
        log.next.fetch_max(next, Ordering::Release);
        log.news.notify_all();
        drop(black_box(evicted));
    }

    fn put_batch(&mut self, records: &Records, indices: Range<usize>) {
        let log = &*self.0;
        let now = now_ms();
        let next = log.ring.write(|ring| {
            for index in indices {
                drop(black_box(ring.push(now, records.message(index))));
            }
            ring.oldest + ring.entries.len() as u64
        });
        log.next.fetch_max(next, Ordering::Release);
        log.news.notify_all();
    }
}

impl<L: Lock> LogSink<L> {
    pub fn another(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: Lock> LogSource<L> {
    fn new(log: Arc<Log<L>>) -> Self {
        Self {
            log,
            next: 0,
            batch: Vec::with_capacity(LIMIT),
        }
    }

    /// Another reader, from the oldest record on.
    pub fn another(&self) -> Self {
        Self::new(Arc::clone(&self.log))
    }

    pub fn rewind(&mut self) {
        self.next = 0;
    }

    #[inline]
    fn has_news(&self) -> bool {
        self.log.next.load(Ordering::Acquire) > self.next
    }

    fn see_batch(&mut self, tally: &mut Tally, missed: u64) -> bool {
        self.next += missed + self.batch.len() as u64;
        tally.missed += missed;
        let any = !self.batch.is_empty();
        for entry in self.batch.drain(..) {
            let entry = black_box(entry);
            tally.see_message(&entry.message);
        }
        any
    }
}

impl<L: Lock> Source for LogSource<L> {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        if !self.has_news() {
            return false;
        }
        let missed = self.log.ring.read(|ring| {
            let (missed, entries) = ring.from(self.next);
            self.batch.extend(entries.take(LIMIT).cloned());
            missed
        });
        self.see_batch(tally, missed)
    }
}

impl Wait for LogSource<Mutex<Ring>> {
    fn wait(&mut self, tally: &mut Tally) {
        let missed = {
            let mut ring = self.log.ring.lock();
            while ring.oldest + ring.entries.len() as u64 <= self.next {
                self.log.news.wait(&mut ring);
            }
            let (missed, entries) = ring.from(self.next);
            self.batch.extend(entries.take(LIMIT).cloned());
            missed
        };
        self.see_batch(tally, missed);
    }
}

impl<L: Lock> Source for LogViews<L> {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let source = &mut self.0;
        if !source.has_news() {
            return false;
        }
        let before = tally.count;
        source.log.ring.read(|ring| {
            let (missed, entries) = ring.from(source.next);
            for entry in entries.take(LIMIT) {
                tally.see_message(&entry.message);
            }
            tally.missed += missed;
            source.next += missed + (tally.count - before);
        });
        tally.count > before
    }
}
