//! The routing tables that a producer has seen.

use crate::stream::{Routing, Stream};
use crate::sync::{Arc, AtomicUsize, Mutex, OnceLock, Ordering};

/// A routing table, and which one it is.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) version: u64,
    pub(crate) routing: Arc<Routing>,
}

/// Finds the present routing table without a locked instruction, as long as the stream has not
/// been resharded [`SEEN_MAX`] times since; from then on at the cost of an uncontended lock.
///
/// Two locked instructions are a quarter of a put. A table that was seen is kept as long as the
/// producer, with the shards in it; these give their records up when they expire.
pub(crate) struct Routes {
    seen: [OnceLock<Known>; SEEN_MAX],
    /// Index of the last one seen; that slot is filled.
    last: AtomicUsize,
    /// The table as last seen when all slots are filled; whoever finds it locked asks the stream.
    later: Mutex<Option<Known>>,
}

const SEEN_MAX: usize = 8;

impl Routes {
    pub(crate) fn new(stream: &Stream) -> Self {
        let seen: [OnceLock<Known>; SEEN_MAX] = Default::default();
        seen[0].get_or_init(|| stream.routing());
        Self {
            seen,
            last: AtomicUsize::new(0),
            later: Mutex::new(None),
        }
    }

    /// Looks at the present table.
    #[inline]
    pub(crate) fn with<R>(&self, stream: &Stream, look: impl FnOnce(&Routing) -> R) -> R {
        // Acquire: pairs with the store in `with_new`; the slot was filled before.
        let last = self.seen[self.last.load(Ordering::Acquire)].get();
        match last {
            Some(known) if known.version == stream.routing_version() => look(&known.routing),
            _ => self.with_new(stream, look),
        }
    }

    #[cold]
    fn with_new<R>(&self, stream: &Stream, look: impl FnOnce(&Routing) -> R) -> R {
        let next = self.last.load(Ordering::Acquire) + 1;
        let Some(slot) = self.seen.get(next) else {
            return self.with_later(stream, look);
        };
        let new = stream.routing();
        // Another thread may have filled the slot, with this table or another.
        if slot.set(new.clone()).is_ok() {
            self.last.store(next, Ordering::Release);
        }
        look(&new.routing)
    }

    fn with_later<R>(&self, stream: &Stream, look: impl FnOnce(&Routing) -> R) -> R {
        let Some(mut later) = self.later.try_lock() else {
            return look(&stream.routing().routing);
        };
        let known = later.take();
        let known = known.filter(|known| known.version == stream.routing_version());
        let known = later.insert(known.unwrap_or_else(|| stream.routing()));
        look(&known.routing)
    }
}
