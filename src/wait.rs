//! Blocking until there is something, on the stream's clock: spin for a moment, then sleep.

use std::iter::FusedIterator;
use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, Parker};
use crate::sync::{MODELLED, spin_loop, thread_local, yield_now};

/// Looks so often before it sleeps, and waits twice as long between each two looks: about a
/// microsecond in all.
///
/// In a model once is as good as often.
const SPIN_STEPS: u32 = if MODELLED { 1 } else { 7 };
/// Then lets other threads run so often: in all, about as long as it takes to put a thread to sleep
/// and wake it, so that whether to sleep was decided at twice the least cost, at most.
const YIELDS: u32 = if MODELLED { 0 } else { 16 };
/// How long a reader at the tip leaves a busy writer alone: one to three microseconds.
const LINGER_SPINS: u32 = 64;
/// A reader that gets so many records at once is not at the tip.
const LINGER_RECORDS: usize = 256;

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
    let (spin_steps, yields) = match clock.stands_still() {
        true => (0, 0),
        false => (SPIN_STEPS, YIELDS),
    };
    #[cfg(not(feature = "testing"))]
    let (spin_steps, yields) = (SPIN_STEPS, YIELDS);
    for step in 0..spin_steps {
        if is_over() {
            return true;
        }
        for _ in 0..1 << step {
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
/// tip leaves the writer alone for a moment before it looks again; one that finds a single record,
/// as in a dialogue, does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    lingers: bool,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { lingers: false }
    }

    /// To be called before a look.
    #[inline]
    pub(crate) fn linger(self) {
        if self.lingers {
            for _ in 0..LINGER_SPINS {
                spin_loop();
            }
        }
    }

    /// To be told how many records the look has found.
    #[inline]
    pub(crate) fn note(&mut self, records: usize) {
        self.lingers = (2..LINGER_RECORDS).contains(&records);
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
