//! What the shards of one stream have in common.

use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp, whole_millis};
use crate::error::Error;
#[cfg(feature = "protocol")]
use crate::extension::Extension;
use crate::limits::Limits;
use crate::log::{Capacity, OVERHEAD_BYTES_MAX};
#[cfg(feature = "testing")]
use crate::shard::Hooked;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, PlainArc};

/// What a put does when its shard is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// The oldest records are trimmed, as few as needed: a put never waits for readers.
    #[default]
    TrimOldest,
    /// The put is refused with [`Error::ShardFull`], until retention has made room.
    Refuse,
    /// The put waits for retention to make room, at most so long; then
    /// [`Error::PutTimedOut`].
    Wait(Duration),
}

/// The stream was deleted.
const DELETED: usize = 1;
/// A reshard was asked for, and has yet to take effect.
const PENDING: usize = 2;

/// The settings of a stream and what all its shards look at.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) stream: Box<str>,
    pub(crate) clock: PlainArc<dyn Clock>,
    /// Whether that is the system's.
    has_system_clock: bool,
    pub(crate) capacity: Capacity,
    pub(crate) on_full: OnFull,
    pub(crate) limits: Limits,
    record_bytes_max: AtomicUsize,
    /// A record of so many bytes of key and data is within all bounds.
    fits_bytes: AtomicUsize,
    retention_ms: AtomicU64,
    /// What whoever reads has to know first: [`DELETED`], [`PENDING`], hardly ever anything. Written under
    /// the stream's control lock.
    notices: AtomicUsize,
    /// When a reshard that was asked for takes effect, and what is woken to bring it about.
    pending: Mutex<Option<(Timestamp, Waker)>>,
    /// What the wire protocol knows of the stream.
    #[cfg(feature = "protocol")]
    pub(crate) extension: Extension,
    /// What a test does to the calls.
    #[cfg(feature = "testing")]
    pub(crate) hooked: Option<Hooked>,
}

impl Settings {
    pub(crate) fn new(
        stream: Box<str>,
        clock: PlainArc<dyn Clock>,
        (capacity, on_full): (Capacity, OnFull),
        (limits, record_bytes_max): (Limits, usize),
        retention: Duration,
    ) -> Self {
        Self {
            stream,
            has_system_clock: clock.is_system(),
            clock,
            capacity,
            on_full,
            limits,
            record_bytes_max: AtomicUsize::new(record_bytes_max),
            fits_bytes: AtomicUsize::new(fits_bytes(capacity, record_bytes_max)),
            retention_ms: AtomicU64::new(whole_millis(retention)),
            notices: AtomicUsize::new(0),
            pending: Mutex::default(),
            #[cfg(feature = "protocol")]
            extension: Extension::default(),
            #[cfg(feature = "testing")]
            hooked: None,
        }
    }

    /// The stream's time.
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        // Nearly each stream has this clock: it is read without a call (a twentieth of a put).
        if self.has_system_clock {
            SystemClock.now()
        } else {
            self.clock.now()
        }
    }

    /// The largest data of a record.
    pub(crate) fn record_bytes_max(&self) -> usize {
        self.record_bytes_max.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn fits_bytes(&self) -> usize {
        self.fits_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_record_bytes_max(&self, bytes: usize) {
        self.record_bytes_max.store(bytes, Ordering::Relaxed);
        self.fits_bytes
            .store(fits_bytes(self.capacity, bytes), Ordering::Relaxed);
    }

    pub(crate) fn set_retention(&self, retention: Duration) {
        self.retention_ms
            .store(whole_millis(retention), Ordering::Relaxed);
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_millis(self.retention_ms.load(Ordering::Relaxed))
    }

    /// Milliseconds since the epoch: what arrived before has expired.
    #[inline]
    pub(crate) fn cutoff(&self, now: Timestamp) -> u64 {
        now.as_millis()
            .saturating_sub(self.retention_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn delete(&self) {
        self.notices.store(DELETED, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_deleted(&self) -> bool {
        self.notices.load(Ordering::Acquire) & DELETED != 0
    }

    /// Tells when a reshard that was asked for takes effect, and what is to be woken then.
    pub(crate) fn set_pending(&self, at: Timestamp, waker: Waker) {
        *self.pending.lock() = Some((at, waker));
        self.notices.store(PENDING, Ordering::Release);
    }

    /// No reshard is pending any more: it took effect before this, or was dropped.
    pub(crate) fn clear_pending(&self) {
        let notices = self.notices.load(Ordering::Relaxed) & !PENDING;
        // Release: whoever finds nothing to know sees the shards closed.
        self.notices.store(notices, Ordering::Release);
        *self.pending.lock() = None;
    }

    /// Has a pending reshard take effect if its time has come, and fails if the stream was deleted.
    /// Whoever reads does it first. No lock may be held.
    #[inline]
    pub(crate) fn settle(&self) -> Result<(), Error> {
        if self.notices.load(Ordering::Acquire) == 0 {
            Ok(())
        } else {
            self.settle_slowly()
        }
    }

    #[cold]
    fn settle_slowly(&self) -> Result<(), Error> {
        self.check_not_deleted()?;
        let now = self.now();
        let due = |(at, _): &&(Timestamp, Waker)| *at <= now;
        let waker = self
            .pending
            .lock()
            .as_ref()
            .filter(due)
            .map(|(_, waker)| waker.clone());
        let waker = planted!(waker, "reader_is_not_told": None::<Waker>);
        if let Some(waker) = waker {
            waker.wake();
        }
        self.check_not_deleted()
    }

    #[inline]
    pub(crate) fn check_not_deleted(&self) -> Result<(), Error> {
        if self.is_deleted() {
            Err(self.not_found())
        } else {
            Ok(())
        }
    }

    #[cold]
    pub(crate) fn not_found(&self) -> Error {
        Error::StreamNotFound {
            stream: self.stream.to_string(),
        }
    }
}

fn fits_bytes(capacity: Capacity, record_bytes_max: usize) -> usize {
    usize::try_from(capacity.bytes.saturating_sub(OVERHEAD_BYTES_MAX))
        .map_or(record_bytes_max, |room| room.min(record_bytes_max))
}
