//! Blocking until there is something, on the stream's clock: spin for a moment, then sleep.

use std::iter::FusedIterator;
use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, Parker};
use crate::sync::{MODELLED, spin_loop, thread_local, yield_now};

/// Looks so often before it sleeps: for one to seven microseconds in all, as the processor has it.
///
/// In a model once is as good as often.
const LOOKS: u32 = if MODELLED { 1 } else { 32 };
/// Between two looks: less than a line takes from one core to another. While nothing happens, a look costs
/// nobody anything; to wait twice as long for each cost a dialogue two fifths of its time.
///
/// In a model each lets all others go on: of more than one, it would not try to sleep before they do.
const LOOK_SPINS: u32 = if MODELLED { 1 } else { 4 };
/// Then lets other threads run so often: in all, about as long as it takes to put a thread to sleep
/// and wake it, so that whether to sleep was decided at twice the least cost, at most.
const YIELDS: u32 = if MODELLED { 0 } else { 16 };
/// How long a reader at the tip leaves a writer alone: one to three microseconds.
const LINGER_SPINS: u32 = 64;
/// How long, at most, one that is busy, and has been while the reader looked at what it got.
const LINGER_SPINS_MAX: u32 = 8 * LINGER_SPINS;
/// A writer is busy that has put so many records since the last look.
const BUSY_RECORDS: usize = 32;
/// A reader that gets so many records at once need not wait longer for more; nor, if it did not wait, is
/// it at the tip.
const LINGER_RECORDS: usize = 512;

/// Blocks until `is_over` or the clock's monotonic time has reached `deadline`; says whether it is
/// over. `register` has a waker called when it may be; it says `None` if it is already. What it
/// returns is dropped to undo that.
pub(crate) fn block_until<G>(
    clock: &dyn Clock,
    deadline: Duration,
    is_over: impl Fn() -> bool,
    mut register: impl FnMut(Waker) -> Option<G>,
) -> bool {
    thread_local! {
        static PARKER: Parker = Parker::new();
    }
    #[cfg(feature = "testing")]
    let (looks, yields) = match clock.stands_still() {
        true => (0, 0),
        false => (LOOKS, YIELDS),
    };
    #[cfg(not(feature = "testing"))]
    let (looks, yields) = (LOOKS, YIELDS);
    for _ in 0..looks {
        if is_over() {
            return true;
        }
        for _ in 0..LOOK_SPINS {
            spin_loop();
        }
    }
    for _ in 0..yields {
        if is_over() {
            return true;
        }
        yield_now();
    }
    let parker = PARKER.with(Parker::clone);
    while clock.monotonic() < deadline {
        let Some(_registered) = register(parker.waker()) else {
            return true;
        };
        clock.park(&parker, deadline);
        if is_over() {
            return true;
        }
    }
    is_over()
}

/// Keeps a reader that waits for records from asking for each of them.
///
/// Every look at the tip takes its line away from the writer, who has to fetch it back: for both
/// together that costs several times what a put does. So a reader that finds a few records at the
/// tip leaves the writer alone for a moment before it looks again, and longer if it goes on finding
/// many; one that finds a single record, as in a dialogue, does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    spins: u32,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { spins: 0 }
    }

    /// To be called before a look; `at_once` if the reader did not have to wait for news.
    #[inline]
    pub(crate) fn linger(self, at_once: bool) {
        let spins = if at_once {
            LINGER_SPINS_MAX
        } else {
            LINGER_SPINS
        };
        for _ in 0..self.spins.min(spins) {
            spin_loop();
        }
    }

    /// To be told how many records the look has found.
    #[inline]
    pub(crate) fn note(&mut self, records: usize) {
        self.spins = match records {
            0 | 1 => 0,
            2..BUSY_RECORDS => LINGER_SPINS,
            BUSY_RECORDS..LINGER_RECORDS => (self.spins * 2).clamp(LINGER_SPINS, LINGER_SPINS_MAX),
            LINGER_RECORDS.. => self.spins,
        };
    }
}

/// Runs a function when it is dropped: undoes a registration, even if user code panics.
pub(crate) struct Undo<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The batches of a reader as an [`Iterator`] that blocks until there is one; see
/// [`ShardIterator::batches_blocking`](crate::ShardIterator::batches_blocking) and
/// [`Subscription::batches_blocking`](crate::Subscription::batches_blocking).
#[derive(Debug)]
#[must_use = "iterators do nothing unless consumed"]
pub struct BlockingBatches<R> {
    pub(crate) reader: R,
    pub(crate) limit: usize,
    pub(crate) finished: bool,
}

impl<R> BlockingBatches<R> {
    pub(crate) const fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            limit,
            finished: false,
        }
    }

    /// The reader, at the position after the last batch.
    pub fn into_reader(self) -> R {
        self.reader
    }
}

impl<R> FusedIterator for BlockingBatches<R> where Self: Iterator {}
