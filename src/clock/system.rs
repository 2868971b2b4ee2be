//! The operating system's clocks.

use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp, counted};
use crate::sync::LazyLock;

/// The clock of the operating system; the default of every stream. It is read for each put, which is a
/// fifth of a put or more; a [`TickingClock`](crate::TickingClock) spares that. How it is read, and what
/// else was tried, is told in the [manual](crate::manual::speed#the-clock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Timestamp {
        counted::now()
    }

    fn is_system(&self) -> bool {
        true
    }

    fn monotonic(&self) -> Duration {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        ORIGIN.elapsed()
    }
}
