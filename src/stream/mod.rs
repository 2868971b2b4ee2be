//! A stream: its shards, which of them takes a record, and how they are split and merged.
//!
//! ```text
//!   Stream ── Control, under its lock: every shard that has not expired, the state
//!     │
//!     └────── Routing: the open shards by their hash-key ranges; replaced as a whole
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **Every hash key has exactly one open shard**: the ranges of the open shards are split and
//!    merged, never set. Checked whenever a routing table is made.
//! 2. **A put in flight loses nothing to a reshard**: its shard refuses it once closed; the
//!    producer waits for the control lock, under which the reshard ends by replacing the table,
//!    and goes by the new one. It sees no error.
//! 3. **No user code runs under the control lock**: what a change leaves to be woken or dropped is
//!    gathered in an [`Aftermath`], and done when the lock is released.
//! 4. **A key's records stay in order**: a child is made while its parents are closed under
//!    their locks, so whatever a child accepts comes after all that its parents did.
//! 5. **A reshard that waits takes effect at its time**, whoever comes first: see [`pending`].

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::{HashKey, HashKeyRange};
use crate::partition_key::{AsPartitionKey, check_partition_key};
use crate::shard::{Aftermath, NewShard, Parents, Settings, Shard};
use crate::shard_id::ShardId;
#[cfg(feature = "protocol")]
use crate::sync::OnceLock;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, OwnLine};

mod builder;
mod close_on_drop;
mod description;
mod filter;
#[cfg(feature = "testing")]
mod hooked;
mod lineage;
mod pending;
mod reshard;
mod routes;
mod routing;
mod status;
#[cfg(feature = "protocol")]
mod wire;

pub use builder::StreamBuilder;
pub use close_on_drop::CloseOnDrop;
pub use description::{StreamDescription, StreamMetrics};
pub use filter::ShardFilter;
pub use status::StreamStatus;

pub(crate) use lineage::Lineage;
pub(crate) use routes::{Known, Routes};
pub(crate) use routing::{Routing, Taking};
#[cfg(feature = "protocol")]
pub(crate) use status::Phase;

use builder::{check_record_bytes_max, check_retention};
use pending::{Delay, Pending};
#[cfg(not(feature = "protocol"))]
use status::Phase;

/// A named stream of ordered, replayable records, partitioned over shards.
///
/// A handle; clones are the same stream. It lives as long as any handle, producer or reader of it.
///
/// ```
/// use brooklet::{StartingPosition, Stream};
///
/// let stream = Stream::new("orders", 4)?;
/// let put = stream.producer().put_record("customer-17", "two teapots")?;
///
/// let mut iterator = stream.shard_iterator(put.shard_id(), StartingPosition::TrimHorizon)?;
/// let batch = iterator.get_records(100)?;
/// assert_eq!(batch.iter().next().unwrap().sequence_number(), put.sequence_number());
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone)]
pub struct Stream {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Arc<Settings>,
    created_ms: u64,
    delay: Delay,
    control: Mutex<Control>,
    routing: Mutex<Arc<Routing>>,
    /// Counts the routing tables, so that a producer sees that it has an old one.
    routing_version: OwnLine<AtomicU64>,
    /// What the wire protocol has seen of the tables, which has no producer that lasts. Not with what
    /// else it knows of the stream: the shards in a table hold that, and would hold themselves.
    #[cfg(feature = "protocol")]
    wire_routes: OnceLock<Routes>,
}

/// What the control lock guards.
struct Control {
    phase: Phase,
    closed: bool,
    /// What an UPDATING stream will be.
    pending: Option<Pending>,
    /// The shards that have not expired.
    shards: BTreeMap<ShardId, Arc<Lineage>>,
    /// What was closed earlier has expired and is forgotten, in milliseconds since the epoch. It
    /// never goes back, whatever clock and retention do: what is forgotten does not come back.
    horizon_ms: u64,
    /// Index of the next shard.
    next_index: u32,
    /// When `update_shard_count` changed the count within the last day, in milliseconds.
    count_changes: VecDeque<u64>,
    /// The latest second in which, as sequence numbers say, a shard was created.
    last_created_secs: u64,
}

impl Stream {
    /// Begins to describe a stream; see [`StreamBuilder`] for the settings and their defaults.
    pub fn builder(name: impl Into<String>) -> StreamBuilder {
        StreamBuilder::new(name.into())
    }

    /// A stream with so many shards and default settings.
    ///
    /// # Errors
    ///
    /// As [`StreamBuilder::build`].
    pub fn new(name: impl Into<String>, shard_count: u32) -> Result<Self, Error> {
        Self::builder(name).shard_count(shard_count).build()
    }

    /// Makes a stream. Its sequence numbers say that it was created after `created_after_secs`.
    pub(crate) fn create(
        settings: Settings,
        shard_count: u32,
        delay: Delay,
        created_after_secs: Option<u64>,
    ) -> Self {
        let settings = Arc::new(settings);
        let now = settings.now();
        let count = NonZeroU32::new(shard_count).expect("the builder has checked it");
        let created_secs = created_after_secs.map_or(0, |after| after.saturating_add(1));
        let created_secs = created_secs.max(now.as_secs());
        let shards = (0..)
            .zip(HashKeyRange::uniform(count))
            .map(|(index, range)| {
                let new = NewShard {
                    shard_id: ShardId::from_index(index),
                    range,
                    parents: Parents::default(),
                    created_ms: now.as_millis(),
                    created_secs,
                };
                let shard = Shard::new(Arc::clone(&settings), &new);
                (new.shard_id, Lineage::new(shard))
            });
        let control = Control {
            phase: Phase::begin(StreamStatus::Creating, now, delay.duration),
            closed: false,
            pending: None,
            shards: shards.collect(),
            horizon_ms: 0,
            next_index: shard_count,
            count_changes: VecDeque::new(),
            last_created_secs: created_secs,
        };
        let inner = Inner {
            settings,
            created_ms: now.as_millis(),
            delay,
            control: Mutex::new(control),
            routing: Mutex::new(Arc::new(Routing::of_none(Taking::NotYet))),
            routing_version: OwnLine::default(),
            #[cfg(feature = "protocol")]
            wire_routes: OnceLock::new(),
        };
        let stream = Self {
            inner: Arc::new(inner),
        };
        #[cfg(feature = "testing")]
        stream.tell_hooks();
        drop(stream.control(now));
        stream
    }

    /// Changes for how long records can be read, 1 ms to 365 days. What has expired by the present
    /// setting does not come back.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`]; [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub fn set_retention(&self, retention: Duration) -> Result<(), Error> {
        check_retention(retention)?;
        let now = self.settings().now();
        let mut held = self.active(now)?;
        let Held { control, aftermath } = &mut held;
        for shard in control.shards() {
            let cutoff = self.settings().cutoff(now);
            shard.trim_expired(planted!(cutoff, "expired_revives": 0), aftermath);
        }
        self.settings().set_retention(retention);
        for shard in control.shards() {
            shard.trim_expired(self.settings().cutoff(now), aftermath);
            // A put that waits for room may have to wait for another time now.
            aftermath.wake(shard);
        }
        control.forget_expired(self.settings().cutoff(now), aftermath);
        Ok(())
    }

    /// Changes how large the data of one record may be, in bytes: 1 to 10 MiB. Records that are
    /// there stay.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`]; [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub fn set_record_bytes_max(&self, bytes: usize) -> Result<(), Error> {
        check_record_bytes_max(bytes)?;
        let held = self.active(self.settings().now())?;
        self.settings().set_record_bytes_max(bytes);
        for shard in held.control.shards() {
            shard.apply_record_bytes_max();
        }
        Ok(())
    }

    /// How large the data of one record may be, in bytes.
    pub fn record_bytes_max(&self) -> usize {
        self.settings().record_bytes_max()
    }

    /// Lets the stream take no more records. Readers read to the end of each shard and are told
    /// that it [ended](crate::RecordBatch::shard_ended), with no children. Kinesis has no such
    /// call; a program that ends in good order needs one. [`close_on_drop`](Self::close_on_drop)
    /// does it in any case.
    pub fn close(&self) {
        let now = self.settings().now();
        let mut held = self.control(now);
        let Held { control, aftermath } = &mut held;
        control.closed = true;
        self.inner.drop_pending(control);
        self.inner.install(control);
        for shard in control.shards() {
            // A shard that was split or merged has been closed.
            let _closed = Shard::close(&[shard], control.closing_time(now), aftermath, |_| {
                (Vec::new(), ())
            });
        }
    }

    /// Takes the stream away: calls fail from now on, waiting readers wake, memory is released; the
    /// latter two when what is returned is dropped.
    pub(crate) fn delete(&self) -> Aftermath {
        let now = self.settings().now();
        let mut held = self.control(now);
        let Held { control, aftermath } = &mut held;
        if !self.settings().is_deleted() {
            let delay = self.inner.delay.duration;
            control.phase = Phase::begin(StreamStatus::Deleting, now, delay);
            self.inner.drop_pending(control);
            self.settings().delete();
            self.inner.install(control);
            for shard in control.shards() {
                // A put that waits for room must not find it. A closed one stays as it is.
                let _closed = Shard::close(&[shard], control.closing_time(now), aftermath, |_| {
                    (Vec::new(), ())
                });
                shard.trim_all(aftermath);
                aftermath.wake(shard);
            }
        }
        held.release()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings().stream
    }

    /// When it was created.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_millis(self.inner.created_ms)
    }

    /// For how long records can be read.
    pub fn retention(&self) -> Duration {
        self.settings().retention()
    }

    /// Its state; always [`Active`](StreamStatus::Active) unless a [`Registry`](crate::Registry)
    /// with a delay made it, or deleted it.
    pub fn status(&self) -> StreamStatus {
        self.status_at(self.settings().now())
            .unwrap_or(StreamStatus::Deleting)
    }

    /// Whether two handles are of one stream.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The latest second in which, as sequence numbers say, a shard of it was created.
    pub(crate) fn last_created_secs(&self) -> u64 {
        self.inner.control.lock().last_created_secs
    }

    /// The index that the next new shard will have.
    pub(crate) fn next_shard_index(&self) -> u32 {
        self.inner.control.lock().next_index
    }

    /// Whether it was deleted, long enough ago.
    pub(crate) fn is_gone(&self) -> bool {
        self.status_at(self.settings().now()).is_none()
    }

    /// Its state at a time; `None` once it is gone.
    pub(crate) fn status_at(&self, now: Timestamp) -> Option<StreamStatus> {
        self.control(now).control.phase.status()
    }

    /// Its shards by their ids, with the closed ones whose records have not expired.
    ///
    /// Each may be split, merged or closed before it is looked at; for the open shards of one moment
    /// use [`list_shards`](Self::list_shards) with [`ShardFilter::AtLatest`].
    pub fn shards(&self) -> Vec<Shard> {
        self.visible_shards(self.settings().now()).0
    }

    /// The shard with an id.
    ///
    /// # Errors
    ///
    /// [`Error::ShardNotFound`] if there is none or it has expired; [`Error::StreamNotFound`].
    pub fn shard(&self, shard_id: impl Borrow<ShardId>) -> Result<Shard, Error> {
        self.settings().check_not_deleted()?;
        let shard_id = *shard_id.borrow();
        let now = self.settings().now();
        let control = &self.control(now).control;
        let created = control.phase.status() != Some(StreamStatus::Creating);
        let lineage = control.shards.get(&shard_id).filter(|_| created);
        lineage
            .map(|lineage| lineage.shard.clone())
            .ok_or_else(|| self.shard_not_found(shard_id))
    }

    /// The open shard that takes the records of a partition key now.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPartitionKey`]; [`Error::StreamClosed`] or [`Error::StreamNotFound`].
    pub fn shard_for(&self, partition_key: impl AsPartitionKey) -> Result<Shard, Error> {
        let key = partition_key.partition_key();
        check_partition_key(key)?;
        let hash_key = || {
            partition_key
                .known_hash_key()
                .unwrap_or_else(|| HashKey::of(key))
        };
        drop(self.control(self.settings().now()));
        let routing = self.routing().routing;
        match routing.shard_of(hash_key) {
            Some(shard) => Ok(shard.clone()),
            None => Err(self.takes_none(routing.taking)),
        }
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.inner.settings
    }

    /// Counts the routing tables.
    #[inline]
    pub(crate) fn routing_version(&self) -> u64 {
        // Acquire: pairs with `install`.
        self.inner.routing_version.load(Ordering::Acquire)
    }

    /// The present routing table.
    pub(crate) fn routing(&self) -> Known {
        let routing = self.inner.routing.lock();
        Known {
            version: self.routing_version(),
            routing: Arc::clone(&routing),
        }
    }

    /// The routing table once no reshard is under way, after a shard refused a record.
    #[cold]
    pub(crate) fn settled_routing(&self, now: Timestamp) -> Known {
        drop(self.control(now));
        self.routing()
    }

    /// Why the stream takes no records.
    #[cold]
    pub(crate) fn takes_none(&self, taking: Taking) -> Error {
        match taking {
            Taking::NoMore => Error::StreamClosed {
                stream: self.name().to_owned(),
            },
            // The contract, 1.2: a stream that is being created is not found by puts.
            Taking::Records | Taking::NotYet | Taking::Deleted => self.settings().not_found(),
        }
    }

    /// The shards that have not expired, and how many of them are open.
    pub(crate) fn visible_shards(&self, now: Timestamp) -> (Vec<Shard>, usize) {
        let held = self.control(now);
        let control = &held.control;
        let visible = match control.phase.status() {
            None | Some(StreamStatus::Creating | StreamStatus::Deleting) => (Vec::new(), 0),
            Some(_) => {
                let open = control.shards().filter(|shard| !shard.is_closed()).count();
                (control.shards().cloned().collect(), open)
            }
        };
        // Data may panic as it is dropped: what is about to be returned would be lost, and leak.
        drop(held);
        visible
    }

    /// Lists the shards that have not expired and that `is_listed`, which is told the horizon: what
    /// was closed before that has expired, in milliseconds since the epoch. No shard is split, merged
    /// or closed meanwhile.
    pub(crate) fn look_at_shards(
        &self,
        now: Timestamp,
        is_listed: impl Fn(&Shard, u64) -> bool,
    ) -> ShardsNow {
        let held = self.control(now);
        let control = &held.control;
        let is_listed = |lineage: &&Arc<Lineage>| is_listed(&lineage.shard, control.horizon_ms);
        let listed = ShardsNow {
            lineages: control.shards.values().filter(is_listed).cloned().collect(),
            next_index: control.next_index,
        };
        // As above.
        drop(held);
        listed
    }

    /// Takes the control lock; has what is due take effect, forgets expired shards, and begins to take
    /// records in time.
    fn control(&self, now: Timestamp) -> Held<'_> {
        let mut held = self.inner.lock();
        self.inner.settle(&mut held, now);
        let Held { control, aftermath } = &mut held;
        control.forget_expired(self.settings().cutoff(now), aftermath);
        let taking = self.inner.routing.lock().taking;
        if taking == Taking::NotYet && control.phase.status() == Some(StreamStatus::Active) {
            self.inner.install(control);
        }
        held
    }

    /// Takes the control lock of a stream that may be changed.
    fn active(&self, now: Timestamp) -> Result<Held<'_>, Error> {
        let held = self.control(now);
        match held.control.phase.status() {
            Some(StreamStatus::Active) => Ok(held),
            Some(status) => Err(Error::StreamNotActive {
                stream: self.name().to_owned(),
                status: status.as_str(),
            }),
            None => Err(self.settings().not_found()),
        }
    }

    fn shard_not_found(&self, shard_id: ShardId) -> Error {
        Error::ShardNotFound {
            stream: self.name().to_owned(),
            shard_id,
        }
    }
}

impl Inner {
    /// Takes the control lock as it is.
    fn lock(&self) -> Held<'_> {
        Held {
            control: self.control.lock(),
            aftermath: Aftermath::default(),
        }
    }

    /// Replaces the routing table by that of the present shards.
    fn install(&self, control: &Control) {
        let routing = if self.settings.is_deleted() {
            Routing::of_none(Taking::Deleted)
        } else if control.closed {
            Routing::of_none(Taking::NoMore)
        } else if control.phase.status() == Some(StreamStatus::Creating) {
            Routing::of_none(Taking::NotYet)
        } else {
            Routing::new(
                control
                    .shards()
                    .filter(|shard| !shard.is_closed())
                    .cloned()
                    .collect(),
            )
        };
        let mut current = self.routing.lock();
        *current = Arc::new(routing);
        // Release, and under the lock: whoever sees the number finds this table or a later one.
        self.routing_version.fetch_add(1, Ordering::Release);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl Control {
    /// The shards that have not expired, by their ids.
    fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values().map(|lineage| &lineage.shard)
    }

    /// When a shard that is closed now is said to be closed: not before the horizon, though the clock
    /// stepped back, so that it has not expired at once.
    fn closing_time(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_millis(self.horizon_ms))
    }

    /// Forgets the shards that were closed before `cutoff`, milliseconds since the epoch. All their
    /// records have expired by then, and do not come back if retention is made longer.
    fn forget_expired(&mut self, cutoff: u64, aftermath: &mut Aftermath) {
        self.horizon_ms = self.horizon_ms.max(cutoff);
        let horizon_ms = self.horizon_ms;
        let has_expired =
            |shard: &Shard| shard.closed_ms().is_some_and(|closed| closed < horizon_ms);
        for shard in self.shards().filter(|shard| has_expired(shard)) {
            shard.trim_all(aftermath);
        }
        self.shards
            .retain(|_, lineage| !has_expired(&lineage.shard));
    }
}

impl Held<'_> {
    /// Releases the lock, and leaves the rest to the caller.
    fn release(self) -> Aftermath {
        let Self { control, aftermath } = self;
        drop(control);
        aftermath
    }
}

/// The shards of one moment.
pub(crate) struct ShardsNow {
    /// By their ids.
    pub(crate) lineages: Vec<Arc<Lineage>>,
    /// The index that the next new shard will have.
    pub(crate) next_index: u32,
}

/// The control lock, and what is to be done once it is released.
struct Held<'a> {
    // Released before the aftermath: fields are dropped in this order.
    control: MutexGuard<'a, Control>,
    aftermath: Aftermath,
}
