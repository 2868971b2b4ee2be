//! Blocking until there is something, on the stream's clock: spin for a moment, then sleep.

use std::iter::FusedIterator;
use std::task::Waker;
use std::time::Duration;

use crate::clock::{Clock, Parker};
use crate::sync::spin_loop;

/// Looks so often before it sleeps: a few hundred nanoseconds, a small part of what it costs a
/// writer to wake a sleeping reader.
const SPINS: u32 = 100;

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
    for _ in 0..SPINS {
        if is_over() {
            return true;
        }
        spin_loop();
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
