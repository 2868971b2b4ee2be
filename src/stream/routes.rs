//! The routing tables that a producer, or the wire protocol, has seen.

use crate::stream::{Routing, Stream};
use crate::sync::{Arc, AtomicUsize, MODELLED, Mutex, OnceLock, Ordering};

/// A routing table, and which one it is.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) version: u64,
    pub(crate) routing: Arc<Routing>,
}

/// Finds the present routing table without a locked instruction, as long as the stream has not
/// been resharded [`SEEN_MAX`] times since; from then on at the cost of an uncontended lock and a reference count.
///
/// Two locked instructions are a quarter of a put. A table that was seen is kept as long as the
/// producer, with the shards in it; these give their records up when they expire. Those of the wire
/// protocol are kept as long as the stream, which a shard does not hold.
pub(crate) struct Routes {
    seen: [OnceLock<Known>; SEEN_MAX],
    /// Index of the last one seen; that slot is filled.
    last: AtomicUsize,
    /// The table as last seen when all slots are filled; whoever finds it locked asks the stream.
    later: Mutex<Option<Known>>,
}

/// Few in a model, so that it comes to the table that is seen `later`.
const SEEN_MAX: usize = if MODELLED { 2 } else { 8 };

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

    /// The present table, if it was seen before.
    #[inline]
    pub(crate) fn seen(&self, stream: &Stream) -> Option<&Routing> {
        // Acquire: pairs with the store in `look_up`; the slot was filled before.
        let last = self.seen[self.last.load(Ordering::Acquire)].get();
        last.filter(|known| known.version == stream.routing_version())
            .map(|known| &*known.routing)
    }

    /// The present table; it is kept to be [seen](Self::seen) again.
    #[cold]
    pub(crate) fn look_up(&self, stream: &Stream) -> Known {
        let last = self.last.load(Ordering::Acquire);
        let seen = self.seen[last].get();
        if let Some(known) = seen.filter(|known| known.version == stream.routing_version()) {
            return known.clone();
        }
        let Some(slot) = self.seen.get(last + 1) else {
            return self.look_up_later(stream);
        };
        let new = stream.routing();
        // Another thread may have filled the slot, with this table or another.
        if slot.set(new.clone()).is_ok() {
            self.last.store(last + 1, Ordering::Release);
        }
        new
    }

    fn look_up_later(&self, stream: &Stream) -> Known {
        let Some(mut later) = self.later.try_lock() else {
            return stream.routing();
        };
        let known = later.take();
        let known = known.filter(|known| known.version == stream.routing_version());
        later
            .insert(known.unwrap_or_else(|| stream.routing()))
            .clone()
    }
}
