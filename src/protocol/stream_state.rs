//! What the service knows of a stream that the engine does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::protocol::account::Account;
use crate::registry::Registry;
use crate::shard_id::ShardId;
use crate::stream::{Phase, Stream};
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PlainArc};

/// The shard-level metrics, in the order in which they are listed.
pub(crate) const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
];

/// The state of a stream: kept in the stream, so that it ends with it.
pub(crate) struct StreamState {
    /// No other stream of the account has it, not even one of the same name.
    pub(crate) incarnation: u64,
    /// Which shard the next record goes to where the service distributes them.
    pub(crate) turn: AtomicU64,
    attributes: Mutex<Attributes>,
    /// What the attributes say of it. Written under their lock only, before it is released, so that
    /// it is never behind what somebody was told who set them.
    has_usual_puts: AtomicBool,
}

/// The attributes, locked.
pub(crate) struct LockedAttributes<'a> {
    attributes: MutexGuard<'a, Attributes>,
    has_usual_puts: &'a AtomicBool,
}

/// What can be set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) is_on_demand: bool,
    /// Whether the service distributes the records, whatever their keys.
    pub(crate) is_auto_distributed: bool,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) policy: Option<String>,
    /// Since when records are encrypted with which key, or not; the newest last.
    pub(crate) encryption: Vec<(Timestamp, Option<String>)>,
    /// Positions in the list of the shard-level metrics.
    pub(crate) metrics: BTreeSet<usize>,
    pub(crate) warm_throughput_mibps: Option<u32>,
    pub(crate) consumers: BTreeMap<String, Consumer>,
    /// When the capacity mode was changed within the last day.
    pub(crate) mode_changes: VecDeque<Timestamp>,
    /// When encryption was started within the last day.
    pub(crate) encryption_starts: VecDeque<Timestamp>,
    /// When encryption was stopped within the last day.
    pub(crate) encryption_stops: VecDeque<Timestamp>,
}

/// A registered reader.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) created: Timestamp,
    pub(crate) phase: Phase,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) policy: Option<String>,
    /// The subscriptions that are open, or were a moment ago, by their shards.
    pub(crate) subscriptions: BTreeMap<ShardId, ActiveSubscription>,
}

/// A subscription of a consumer to a shard.
#[derive(Clone, Debug)]
pub(crate) struct ActiveSubscription {
    /// On the clock's monotonic time.
    pub(crate) began: Duration,
    /// Tells the subscription that another has taken over, or that its consumer is gone.
    pub(crate) ending: PlainArc<super::operations::Ending>,
}

impl StreamState {
    /// The state of a stream of a registry. One that was not created through the service is a
    /// provisioned one.
    pub(crate) fn of<'a>(registry: &Registry, stream: &'a Stream) -> &'a Self {
        stream
            .extension()
            .get_or_init(|| Self::new(registry, Attributes::default()))
    }

    /// The state of a stream that is to be created.
    pub(crate) fn new(registry: &Registry, attributes: Attributes) -> Self {
        Self {
            incarnation: Account::of(registry).next_serial(),
            turn: AtomicU64::new(0),
            has_usual_puts: AtomicBool::new(attributes.has_usual_puts()),
            attributes: Mutex::new(attributes),
        }
    }

    /// The attributes, locked. No user code runs under this lock, and no other lock is taken.
    pub(crate) fn attributes(&self) -> LockedAttributes<'_> {
        LockedAttributes {
            attributes: self.attributes.lock(),
            has_usual_puts: &self.has_usual_puts,
        }
    }

    /// Whether the attributes say nothing of a put that begins now: its key says where it goes, and no
    /// record is or was ever encrypted. Without a lock.
    ///
    /// A put that begins after a change was answered goes by that change or a later one: whatever told
    /// it of the answer orders it after the store. One that begins meanwhile may go by either. Nothing
    /// else is read on the strength of this, so `Relaxed` will do; if it says no, the lock tells more.
    #[inline]
    pub(crate) fn has_usual_puts(&self) -> bool {
        self.has_usual_puts.load(Ordering::Relaxed)
    }
}

impl Deref for LockedAttributes<'_> {
    type Target = Attributes;

    fn deref(&self) -> &Attributes {
        &self.attributes
    }
}

impl DerefMut for LockedAttributes<'_> {
    fn deref_mut(&mut self) -> &mut Attributes {
        &mut self.attributes
    }
}

impl Drop for LockedAttributes<'_> {
    /// Whoever locks them may have changed them, and need not know what follows from it.
    fn drop(&mut self) {
        let is_usual = self.attributes.has_usual_puts();
        // It is left alone unless it differs, so that those who put keep it in their caches.
        if self.has_usual_puts.load(Ordering::Relaxed) != is_usual {
            self.has_usual_puts.store(is_usual, Ordering::Relaxed);
        }
    }
}

impl Attributes {
    /// Whether records that arrive now are encrypted, and with which key.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.encryption.last().and_then(|(_, key)| key.as_deref())
    }

    /// Whether the puts of this stream are as those of a stream that nothing was said of.
    fn has_usual_puts(&self) -> bool {
        !self.is_auto_distributed && self.encryption.is_empty()
    }

    /// How records are distributed over shards.
    pub(crate) const fn strategy(&self) -> &'static str {
        if self.is_auto_distributed {
            "AUTO"
        } else {
            "USER_PARTITION_KEY"
        }
    }

    /// Whether a record that arrived at a time is encrypted.
    pub(crate) fn was_encrypted(&self, arrival: Timestamp) -> bool {
        let since = self.encryption.iter().rev();
        let mut since = since.skip_while(|(from, _)| *from > arrival);
        since.next().is_some_and(|(_, key)| key.is_some())
    }

    /// Forgets the consumers that are gone.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        for consumer in self.consumers.values_mut() {
            consumer.phase.settle(now);
        }
        self.consumers
            .retain(|_, consumer| consumer.phase.status().is_some());
    }
}
