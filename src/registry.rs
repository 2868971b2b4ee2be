//! Streams by name, for programs with many.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::Error;
use crate::stream::{Stream, StreamBuilder};
use crate::sync::{Arc, Mutex, MutexGuard};

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
    clock: Arc<dyn Clock>,
    state_delay: Duration,
    streams: Mutex<BTreeMap<String, Stream>>,
}

/// Makes a [`Registry`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    clock: Arc<dyn Clock>,
    state_delay: Duration,
}

impl Registry {
    /// An empty registry on the system's clock, whose streams change state at once.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins to describe a registry.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder {
            clock: Arc::new(SystemClock),
            state_delay: Duration::ZERO,
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
        let builder = builder.default_clock(&self.shared.clock);
        let stream = builder.state_delay(self.shared.state_delay).build()?;
        match self.streams_at(self.shared.clock.now()).entry(name) {
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
        let streams = self.streams_at(self.shared.clock.now());
        streams
            .get(name)
            .cloned()
            .ok_or_else(|| Self::not_found(name))
    }

    /// The names of all streams in ascending order (of bytes), also of those that are being
    /// created or deleted.
    pub fn list(&self) -> Vec<String> {
        self.streams_at(self.shared.clock.now())
            .keys()
            .cloned()
            .collect()
    }

    /// Deletes a stream: calls to it fail from now on, its waiting readers wake with an error, its
    /// records are dropped; batches that are held stay. Deleting it again is no error as long as it
    /// is listed.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`].
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let stream = {
            let mut streams = self.streams_at(now);
            let Some(stream) = streams.get(name).cloned() else {
                return Err(Self::not_found(name));
            };
            if self.shared.state_delay.is_zero() {
                streams.remove(name);
            }
            stream
        };
        stream.delete();
        Ok(())
    }

    /// The streams that are not gone yet.
    fn streams_at(&self, now: Timestamp) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        if !self.shared.state_delay.is_zero() {
            self.forget_gone(now);
        }
        self.shared.streams.lock()
    }

    /// Forgets the streams that were deleted long enough ago.
    fn forget_gone(&self, now: Timestamp) {
        let mut gone: Vec<_> = self.shared.streams.lock().values().cloned().collect();
        // Without the lock: a stream that is asked for its state may drop data that has expired.
        gone.retain(|stream| stream.status_at(now).is_none());
        let mut streams = self.shared.streams.lock();
        streams.retain(|_, stream| !gone.iter().any(|gone| gone.is_same(stream)));
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
        self.clock = Arc::new(clock);
        self
    }

    /// How long streams stay CREATING, UPDATING and DELETING, on their clocks; no time unless set.
    /// A stream that is being created takes no records; one that is being updated takes them, but
    /// refuses another change.
    pub const fn state_delay(mut self, delay: Duration) -> Self {
        self.state_delay = delay;
        self
    }

    /// Makes the registry.
    pub fn build(self) -> Registry {
        let streams = Mutex::default();
        let (clock, state_delay) = (self.clock, self.state_delay);
        Registry {
            shared: Arc::new(Shared {
                clock,
                state_delay,
                streams,
            }),
        }
    }
}
