//! A lock that is held for a moment at a time, and is given back without a locked instruction.
//!
//! A mutex that parks its waiters pays twice: it takes the lock with a locked instruction, and gives it
//! back with another one, which finds out whether somebody is to be woken. Both cost 8 to 10 ns where
//! nobody else is near, a third of a put. Here nobody is ever woken: the lock is given back with a plain
//! store, and who waits for it looks again.
//!
//! # What waiting costs, and how it could go wrong
//!
//! - A waiter looks again after some microseconds, and again. Then it waits for its turn: one waiter at a
//!   time goes on looking, and those behind it sleep in the queue of a mutex and cost nothing.
//! - The one that looks lets other threads run between two looks, then naps between them and has the next
//!   one look meanwhile: so a holder that lost its core, or has a lower priority, gets to run. The lock
//!   is noticed to be free a [`NAP`] too late at worst, and nobody hangs.
//! - It may be passed over by threads that come by and find the lock free. They would have to do so each
//!   time it looks: it is held for a part of the time only, since each put does most of its work outside.
//!
//! So it is for what is held for a moment: no call out, no I/O, no wait, no other lock of long.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use spin::mutex::{SpinMutex, SpinMutexGuard};

use super::{spin_loop, yield_now};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct BriefMutex<T> {
    value: SpinMutex<T>,
    /// Held by the one waiter that looks at the lock.
    queue: Mutex<()>,
    /// Never notified: where that waiter naps without holding up the queue.
    nap: Condvar,
}

pub(crate) type BriefMutexGuard<'a, T> = SpinMutexGuard<'a, T>;

/// Few: on a machine with many threads that want to run, each may take milliseconds.
const YIELDS: u32 = 4;
const NAP: Duration = Duration::from_micros(50);

impl<T> BriefMutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: SpinMutex::new(value),
            queue: Mutex::new(()),
            nap: Condvar::new(),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> BriefMutexGuard<'_, T> {
        match self.value.try_lock() {
            Some(value) => value,
            None => self.lock_patiently(),
        }
    }

    /// Takes the lock that another thread holds.
    ///
    /// It stays away for some microseconds before it asks again: the other one goes on meanwhile with
    /// what the lock guards in its own cache, which is several times as fast as handing it to and fro
    /// for each record: two threads on one shard get about twice as much through. Longer still, it
    /// would be felt where writers meet but now and then.
    #[cold]
    fn lock_patiently(&self) -> BriefMutexGuard<'_, T> {
        const ROUNDS: u32 = 3;
        const SPINS: u32 = 256;
        for round in 0..ROUNDS {
            for _ in 0..SPINS << round {
                spin_loop();
            }
            if let Some(value) = self.value.try_lock() {
                return value;
            }
        }
        let mut turn = self.queue.lock();
        for _ in 0..YIELDS {
            if let Some(value) = self.value.try_lock() {
                return value;
            }
            yield_now();
        }
        loop {
            if let Some(value) = self.value.try_lock() {
                return value;
            }
            self.nap.wait_for(&mut turn, NAP);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn threads_exclude_each_other_and_none_is_left_waiting() {
        let counts = BriefMutex::new((0_u64, 0_u64));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let mut counts = counts.lock();
                        counts.0 += 1;
                        counts.1 += 1;
                        assert_eq!(counts.0, counts.1);
                    }
                });
            }
        });
        assert_eq!(*counts.lock(), (32_000, 32_000));
    }

    #[test]
    fn who_waits_gets_the_lock_of_a_holder_that_was_away() {
        let lock = BriefMutex::new(());
        let (held, waits) = (lock.lock(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    waits.store(true, Ordering::Release);
                    drop(lock.lock());
                });
            }
            while !waits.load(Ordering::Acquire) || lock.queue.try_lock().is_some() {
                yield_now();
            }
            drop(held);
        });
        assert!(lock.value.try_lock().is_some());
    }

    #[test]
    fn a_panic_gives_the_lock_back() {
        let lock = BriefMutex::new(());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("under the lock");
        }));
        assert!(panicked.is_err());
        drop(lock.lock());
    }
}
