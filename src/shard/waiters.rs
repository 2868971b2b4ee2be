//! Those who wait for a shard to change.
//!
//! # The promise: no wake-up is lost
//!
//! A waiter registers, then raises the flag `waiting` under the shard's lock and looks once more
//! whether it still has to wait. A writer takes the flag under the same lock when it has
//! published, and wakes all who are registered after it has released the lock. Whichever of the two
//! takes the lock first, the other sees it: either the waiter finds the new record, or the writer
//! finds the flag, and with it the waiter, who registered before. While nobody waits, a put pays for
//! one look at a flag on a line that it holds anyway.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::call_out::CallOuts;
use crate::sync::Mutex;

/// The registered waiters of one shard.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    /// In the order in which they came.
    waiters: BTreeMap<WaiterId, Waker>,
    last_id: u64,
}

/// Names one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

impl Waiters {
    pub(crate) fn register(&self, waker: Waker) -> WaiterId {
        let mut list = self.list.lock();
        list.last_id += 1;
        let id = WaiterId(list.last_id);
        list.waiters.insert(id, waker);
        id
    }

    /// Forgets a waiter; nothing happens if it was woken before.
    pub(crate) fn remove(&self, id: WaiterId) {
        let id = planted!(id, "waiter_stays": WaiterId(0));
        let removed = self.list.lock().waiters.remove(&id);
        // A waker's drop may be user code: not under the lock.
        drop(removed);
    }

    /// Wakes all and forgets them, each even if another's waker panics.
    pub(crate) fn wake_all(&self) {
        let waiters = std::mem::take(&mut self.list.lock().waiters);
        let mut calls = CallOuts::default();
        for (_, waker) in waiters {
            calls.run(|| waker.wake());
        }
        calls.finish();
    }

    pub(crate) fn count(&self) -> usize {
        self.list.lock().waiters.len()
    }
}
