//! Streams by name, for programs with many.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
#[cfg(feature = "protocol")]
use crate::extension::Extension;
#[cfg(feature = "testing")]
use crate::shard::Hooks;
use crate::stream::{Stream, StreamBuilder};
use crate::sync::{Arc, Mutex, MutexGuard, PlainArc};
#[cfg(feature = "testing")]
use crate::sync::{AtomicBool, Ordering};
use crate::timer::Timer;

/// Named streams: what an account in a region is to Kinesis.
///
/// A handle; clones are the same registry.
///
/// ```
/// use brooklet::{Error, Registry, Stream};
///
/// let registry = Registry::new();
/// registry.create(Stream::builder("orders").shard_count(4))?;
/// registry.create(Stream::builder("invoices"))?;
/// assert_eq!(registry.list(), ["invoices", "orders"]);
///
/// registry.delete("orders")?;
/// assert!(matches!(registry.get("orders"), Err(Error::StreamNotFound { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    clock: PlainArc<dyn Clock>,
    /// Wakes those who wait for a time of the clock.
    timer: PlainArc<Timer>,
    state_delay: Duration,
    #[cfg(feature = "testing")]
    hooks: Option<PlainArc<dyn Hooks>>,
    /// Whether it has hooks, or a stream that has.
    #[cfg(feature = "testing")]
    has_hooks: AtomicBool,
    streams: Mutex<BTreeMap<String, Stream>>,
    /// When the last shard of each stream that is gone was created, in seconds, so that one of the
    /// same name and second has other sequence numbers. Locked after `streams`.
    last_created_secs: Mutex<BTreeMap<String, u64>>,
    /// What the wire protocol knows of the account.
    #[cfg(feature = "protocol")]
    extension: Extension,
}

/// Makes a [`Registry`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    clock: PlainArc<dyn Clock>,
    state_delay: Duration,
    #[cfg(feature = "testing")]
    hooks: Option<PlainArc<dyn Hooks>>,
}

impl Registry {
    /// An empty registry on the system's clock, whose streams change state at once.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins to describe a registry.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder {
            clock: PlainArc::new(SystemClock),
            state_delay: Duration::ZERO,
            #[cfg(feature = "testing")]
            hooks: None,
        }
    }

    /// Makes a stream and keeps it under its name. Unless the builder has a clock of its own, the
    /// stream has the registry's.
    ///
    /// # Errors
    ///
    /// [`Error::StreamExists`]; as [`StreamBuilder::build`].
    pub fn create(&self, builder: StreamBuilder) -> Result<Stream, Error> {
        let name = builder.name().to_owned();
        let created_after = self.shared.last_created_secs.lock().get(&name).copied();
        #[cfg(feature = "testing")]
        let builder = builder.default_hooks(self.shared.hooks.as_ref());
        #[cfg(feature = "testing")]
        if builder.has_hooks() {
            self.shared.has_hooks.store(true, Ordering::Relaxed);
        }
        let stream = builder
            .default_clock(&self.shared.clock, &self.shared.timer)
            .state_delay(self.shared.state_delay)
            .created_after_secs(created_after)
            .build()?;
        match self.streams().entry(name) {
            Entry::Occupied(taken) => Err(Error::StreamExists {
                stream: taken.key().clone(),
            }),
            Entry::Vacant(free) => Ok(free.insert(stream).clone()),
        }
    }

    /// The stream with a name, in whichever state it is.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`].
    pub fn get(&self, name: &str) -> Result<Stream, Error> {
        let streams = self.streams();
        streams
            .get(name)
            .cloned()
            .ok_or_else(|| Self::not_found(name))
    }

    /// The names of all streams in ascending order (of bytes), also of those that are being
    /// created or deleted.
    pub fn list(&self) -> Vec<String> {
        self.streams().keys().cloned().collect()
    }

    /// Deletes a stream: calls to it fail from now on, its waiting readers wake with an error, its
    /// records are dropped; batches that are held stay. Deleting it again is no error as long as it
    /// is listed.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`].
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        let stream = self.get(name)?;
        // What is left to be done may panic, so it comes last.
        let aftermath = stream.delete();
        if self.shared.state_delay.is_zero() {
            self.forget(&[stream]);
        }
        drop(aftermath);
        Ok(())
    }

    #[cfg(feature = "protocol")]
    pub(crate) fn extension(&self) -> &Extension {
        &self.shared.extension
    }

    #[cfg(feature = "protocol")]
    pub(crate) fn clock(&self) -> &PlainArc<dyn Clock> {
        &self.shared.clock
    }

    #[cfg(feature = "protocol")]
    pub(crate) fn timer(&self) -> &PlainArc<Timer> {
        &self.shared.timer
    }

    /// Whether a call may take as long as a test says.
    #[cfg(all(feature = "server", feature = "testing"))]
    pub(crate) fn has_hooks(&self) -> bool {
        self.shared.has_hooks.load(Ordering::Relaxed)
    }

    #[cfg(feature = "protocol")]
    pub(crate) fn state_delay(&self) -> Duration {
        self.shared.state_delay
    }

    /// The streams that are not gone yet.
    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        if !self.shared.state_delay.is_zero() {
            let mut streams: Vec<_> = self.shared.streams.lock().values().cloned().collect();
            // Without the lock: a stream that is asked for its state may drop data that has expired.
            streams.retain(Stream::is_gone);
            self.forget(&streams);
        }
        self.shared.streams.lock()
    }

    /// Forgets streams that are gone, but for when their last shards were created. The caller keeps
    /// them, so that nothing is dropped under the lock.
    fn forget(&self, gone: &[Stream]) {
        if gone.is_empty() {
            return;
        }
        let now_secs = self.shared.clock.now().as_secs();
        let mut streams = self.shared.streams.lock();
        let mut last_created = self.shared.last_created_secs.lock();
        // A stream that is made later than that has other numbers anyway.
        last_created.retain(|_, secs| *secs >= now_secs);
        for stream in gone {
            let name = stream.name();
            if streams.get(name).is_some_and(|known| known.is_same(stream)) {
                streams.remove(name);
                last_created.insert(name.to_owned(), stream.last_created_secs());
            }
        }
    }

    fn not_found(name: &str) -> Error {
        Error::StreamNotFound {
            stream: name.to_owned(),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("streams", &self.list())
            .finish_non_exhaustive()
    }
}

impl RegistryBuilder {
    /// The clock of its streams; the system's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = PlainArc::new(clock);
        self
    }

    /// How long streams stay CREATING, UPDATING and DELETING, on their clocks; no time unless set.
    ///
    /// A stream that is being created takes no records. One that is being updated takes them, but
    /// refuses another change. A split, a merge or a new shard count takes effect when that time is
    /// over, as in the service: until then the shards are as they were, and take records. Then,
    /// whoever puts, reads, waits or looks finds the parents closed and their children open, though
    /// nobody has asked the stream for anything in between. A stream that is closed or deleted before
    /// is not resharded any more.
    pub const fn state_delay(mut self, delay: Duration) -> Self {
        self.state_delay = delay;
        self
    }

    /// Has these hooks asked at every call to its streams.
    #[cfg(feature = "testing")]
    pub(crate) fn hooks(mut self, hooks: PlainArc<dyn Hooks>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Makes the registry.
    pub fn build(self) -> Registry {
        let streams = Mutex::default();
        let (clock, state_delay) = (self.clock, self.state_delay);
        Registry {
            shared: Arc::new(Shared {
                timer: PlainArc::new(Timer::new(PlainArc::clone(&clock))),
                clock,
                state_delay,
                #[cfg(feature = "testing")]
                has_hooks: AtomicBool::new(self.hooks.is_some()),
                #[cfg(feature = "testing")]
                hooks: self.hooks,
                streams,
                last_created_secs: Mutex::default(),
                #[cfg(feature = "protocol")]
                extension: Extension::default(),
            }),
        }
    }
}
