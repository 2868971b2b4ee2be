//! A clock that a thread keeps reading, so that nobody else has to.
//!
//! ```text
//!   thread ── every period: the system's time ──> now_ms ──> now(): one load
//!      ^
//!      └── woken, and ends, when the last handle is dropped
//! ```
//!
//! The thread holds the shared part, not the handle: it does not keep itself alive, and ends though
//! its period is long.

use std::io;
use std::time::Duration;

use crate::clock::{Clock, Parker, SystemClock, Timestamp};
use crate::sync::{AtomicBool, AtomicU64, Ordering, OwnLine, PlainArc as Arc, spawn};

/// The operating system's time, read by a thread every millisecond or so: for programs that count the
/// nanoseconds of a put. Clones are the same clock; the thread ends when the last one is dropped, with
/// the last stream that has one.
///
/// ```
/// use brooklet::{Stream, TickingClock};
///
/// let stream = Stream::builder("orders").clock(TickingClock::new()?).build()?;
/// stream.producer().put_record("customer-17", "two teapots")?;
/// # Ok::<(), brooklet::Error>(())
/// ```
///
/// # What it gains, and what it costs
///
/// A put is spared what [`SystemClock`] costs, 6 ns where the processor's counter helps it and some
/// tens of nanoseconds elsewhere: asking this one is a load from memory. It costs a thread that wakes up a
/// thousand times a second, and exactness: it is behind the system's time by up to the period and the
/// time until the thread gets its turn, which on a busy machine may be many milliseconds. So much earlier
/// than they did, records are said to have arrived, and so much later they expire.
///
/// Never use it where records are found by time to the millisecond:
/// [`AtTimestamp`](crate::StartingPosition::AtTimestamp) with a time from the system's clock may begin
/// too late by as much, behind records that were put after that time; or the time is refused, because for
/// this clock it [has not come](crate::Error::TimestampInFuture). A time taken from this clock's
/// [`now`](Clock::now) is safe: it begins at or before what is put afterwards.
///
/// Timeouts are not concerned. They are as exact as the system's: [`Clock::monotonic`] asks the system.
#[derive(Clone, Debug)]
pub struct TickingClock {
    ticker: Arc<Ticker>,
}

/// Ends the thread when it is dropped.
#[derive(Debug)]
struct Ticker {
    shared: Arc<Ticking>,
}

#[derive(Debug)]
struct Ticking {
    /// Milliseconds since the epoch.
    ///
    /// All accesses are relaxed: nothing else is published with it, and whoever was told by another
    /// thread what time it is does not find an earlier one, since it is a single value.
    now_ms: OwnLine<AtomicU64>,
    period: Duration,
    stopped: AtomicBool,
    parker: Parker,
}

/// Why a [`TickingClock`] could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TickingClockError {
    /// The period is out of bounds.
    #[error("period of {period:?} is out of bounds: it must be {PERIOD_MIN:?} to {PERIOD_MAX:?}")]
    InvalidPeriod {
        /// The period given.
        period: Duration,
    },
    /// The operating system started no thread.
    #[error("the thread of a ticking clock was not started: {reason}")]
    ThreadNotStarted {
        /// What the system said.
        reason: io::ErrorKind,
    },
}

const PERIOD_DEFAULT: Duration = Duration::from_millis(1);
/// A thread that wakes more often would do little else.
const PERIOD_MIN: Duration = Duration::from_micros(100);
const PERIOD_MAX: Duration = Duration::from_secs(1);

impl TickingClock {
    /// A clock that reads the system's time every millisecond.
    ///
    /// # Errors
    ///
    /// [`TickingClockError::ThreadNotStarted`].
    pub fn new() -> Result<Self, TickingClockError> {
        Self::with_period(PERIOD_DEFAULT)
    }

    /// A clock that reads the system's time once in a period of 100 microseconds to a second.
    ///
    /// # Errors
    ///
    /// [`TickingClockError::InvalidPeriod`]; [`TickingClockError::ThreadNotStarted`].
    pub fn with_period(period: Duration) -> Result<Self, TickingClockError> {
        if !(PERIOD_MIN..=PERIOD_MAX).contains(&period) {
            return Err(TickingClockError::InvalidPeriod { period });
        }
        Self::start(period, |shared| {
            spawn("brooklet-clock", move || shared.tick())
        })
    }

    /// How often it reads the system's time.
    pub fn period(&self) -> Duration {
        self.ticker.shared.period
    }

    fn start(
        period: Duration,
        spawn: impl FnOnce(Arc<Ticking>) -> io::Result<()>,
    ) -> Result<Self, TickingClockError> {
        let shared = Arc::new(Ticking {
            now_ms: OwnLine(AtomicU64::new(SystemClock.now().as_millis())),
            period,
            stopped: AtomicBool::new(false),
            parker: Parker::new(),
        });
        spawn(Arc::clone(&shared)).map_err(|error| TickingClockError::ThreadNotStarted {
            reason: error.kind(),
        })?;
        Ok(Self {
            ticker: Arc::new(Ticker { shared }),
        })
    }
}

impl Clock for TickingClock {
    #[inline]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.ticker.shared.now_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

impl Ticking {
    /// What the thread does.
    fn tick(&self) {
        loop {
            self.parker.park_timeout(self.period);
            // Relaxed: it is stored before the parker's lock is taken to unpark it. Whoever leaves the
            // parker afterwards sees it; whoever left it before comes back to it at once.
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let now_ms = SystemClock.now().as_millis();
            self.now_ms.store(now_ms, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.parker.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn start(period: Duration) -> TickingClock {
        let spawn = |shared: Arc<Ticking>| spawn("ticking", move || shared.tick());
        TickingClock::start(period, spawn).expect("the thread is started")
    }

    // The thread holds what the weak handle points to: once that is gone, so is the thread. Hangs if
    // it waits for the end of its period.
    #[test]
    fn the_thread_ends_with_the_last_clone_and_does_not_wait_for_its_period() {
        let clock = start(HOUR);
        let shared = Arc::downgrade(&clock.ticker.shared);
        let clone = clock.clone();
        drop(clock);
        assert!(!clone.ticker.shared.stopped.load(Ordering::Relaxed));
        drop(clone);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_is_not_started_is_an_error_and_leaves_nothing_behind() {
        let mut left = None;
        let refused = TickingClock::start(HOUR, |shared| {
            left = Some(Arc::downgrade(&shared));
            Err(io::ErrorKind::WouldBlock.into())
        });
        let reason = io::ErrorKind::WouldBlock;
        assert_eq!(
            refused.expect_err("no thread"),
            TickingClockError::ThreadNotStarted { reason }
        );
        assert_eq!(left.expect("it was tried").strong_count(), 0);
    }

    #[test]
    fn asking_for_the_time_does_not_ask_the_system() {
        let clock = start(HOUR);
        clock.ticker.shared.now_ms.store(17, Ordering::Relaxed);
        assert_eq!(clock.now(), Timestamp::from_millis(17));
        assert_eq!(clock.clone().now(), clock.now());
    }
}
