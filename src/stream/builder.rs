//! The settings of a stream, checked before it is made.

use std::fmt::Display;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
#[cfg(feature = "protocol")]
use crate::extension::Extension;
use crate::limits::{
    Limits, RECORD_BYTES_DEFAULT, RECORD_BYTES_MAX, RETENTION_DEFAULT, RETENTION_MAX,
    SHARD_COUNT_MAX, STREAM_NAME_CHARS_MAX,
};
use crate::log::Capacity;
#[cfg(feature = "testing")]
use crate::shard::Hooks;
use crate::shard::{OnFull, Settings};
use crate::stream::Stream;
use crate::stream::pending::Delay;
use crate::sync::PlainArc;
use crate::timer::Timer;

/// The least capacity of a shard in bytes: room for one record of the usual kind.
const CAPACITY_BYTES_MIN: u64 = 1024;
const CAPACITY_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
const RETENTION_MIN: Duration = Duration::from_millis(1);

/// Makes a [`Stream`]; every setting has a default that serves most programs.
///
/// ```
/// use std::time::Duration;
/// use brooklet::{OnFull, Stream};
///
/// let stream = Stream::builder("orders")
///     .shard_count(4)
///     .retention(Duration::from_secs(3600))
///     .capacity_bytes(16 * 1024 * 1024)
///     .on_full(OnFull::Refuse)
///     .build()?;
/// assert_eq!(stream.shards().len(), 4);
///
/// let refused = Stream::builder("orders").shard_count(0).build().unwrap_err();
/// assert_eq!(refused.to_string(), "shard count of 0 is out of bounds: it must be 1 to 10000");
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct StreamBuilder {
    name: String,
    shard_count: u32,
    retention: Duration,
    capacity: Capacity,
    on_full: OnFull,
    limits: Limits,
    record_bytes_max: usize,
    clock: Option<PlainArc<dyn Clock>>,
    state_delay: Duration,
    /// Of the clock, if somebody has one.
    timer: Option<PlainArc<Timer>>,
    created_after_secs: Option<u64>,
    #[cfg(feature = "protocol")]
    extension: Extension,
    #[cfg(feature = "testing")]
    hooks: Option<PlainArc<dyn Hooks>>,
}

impl StreamBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            shard_count: 1,
            retention: RETENTION_DEFAULT,
            capacity: Capacity {
                records: u64::MAX,
                bytes: CAPACITY_BYTES_DEFAULT,
            },
            on_full: OnFull::default(),
            limits: Limits::unlimited(),
            record_bytes_max: RECORD_BYTES_DEFAULT,
            clock: None,
            state_delay: Duration::ZERO,
            timer: None,
            created_after_secs: None,
            #[cfg(feature = "protocol")]
            extension: Extension::default(),
            #[cfg(feature = "testing")]
            hooks: None,
        }
    }

    /// How many shards it begins with, of equal hash-key ranges: 1 to 10,000; 1 unless set.
    pub const fn shard_count(mut self, shard_count: u32) -> Self {
        self.shard_count = shard_count;
        self
    }

    /// How long records can be read: 1 ms to 365 days; 24 hours unless set.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How many records each shard retains: at least 1; no bound unless set.
    pub const fn capacity_records(mut self, records: u64) -> Self {
        self.capacity.records = records;
        self
    }

    /// How much memory the records that a shard retains may take, in bytes: at least 1,024;
    /// 256 MiB unless set.
    ///
    /// What is over is trimmed, the oldest first: record by record or, where a chunk is not over a
    /// 64th of the capacity, a chunk at a time.
    ///
    /// A record takes 8 bytes, its partition key and its data, rounded up to 8 bytes. One with so much
    /// [data](crate::Data) that it is not copied takes 48 bytes, its key rounded up to 8 bytes, and its
    /// data. What a full chunk leaves free counts, too, as long as a record of it is retained.
    ///
    /// A shard has at most 192 KiB of other memory and, of large records, a 128th of the capacity
    /// (32 KiB at least, 4 MiB at most, and one record) that is trimmed and not dropped yet. What
    /// batches hold comes on top, see [`RecordBatch`](crate::RecordBatch).
    pub const fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity.bytes = bytes;
        self
    }

    /// What a put does when its shard is full; [`OnFull::TrimOldest`] unless set.
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// The rates at which each shard can be written and read; [`Limits::unlimited`] unless set.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The largest data of one record, in bytes: 1 to 10 MiB; 1 MiB unless set.
    pub const fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// What tells the stream the time; the system's clock unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(PlainArc::new(clock));
        self
    }

    /// Makes the stream.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidStreamName`]; [`Error::InvalidSetting`] with the value and the bound.
    pub fn build(self) -> Result<Stream, Error> {
        check_name(&self.name)?;
        bounded("shard count", self.shard_count, 1, SHARD_COUNT_MAX)?;
        bounded("capacity in records", self.capacity.records, 1, u64::MAX)?;
        bounded(
            "capacity in bytes",
            self.capacity.bytes,
            CAPACITY_BYTES_MIN,
            u64::MAX,
        )?;
        check_record_bytes_max(self.record_bytes_max)?;
        check_retention(self.retention)?;
        if self.on_full == OnFull::Wait(Duration::ZERO) {
            return Err(invalid(
                "wait when full",
                "0 ns",
                "over 0; OnFull::Refuse never waits",
            ));
        }
        let clock = self.clock.unwrap_or_else(|| PlainArc::new(SystemClock));
        let delay = Delay::new(self.state_delay, &clock, self.timer);
        #[cfg_attr(not(feature = "protocol"), expect(unused_mut, reason = "set below"))]
        let mut settings = Settings::new(
            self.name.into(),
            clock,
            (self.capacity, self.on_full),
            (self.limits, self.record_bytes_max),
            self.retention,
        );
        #[cfg(feature = "protocol")]
        {
            settings.extension = self.extension;
        }
        #[cfg(feature = "testing")]
        let settings = settings.with_hooks(self.hooks);
        Ok(Stream::create(
            settings,
            self.shard_count,
            delay,
            self.created_after_secs,
        ))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What the wire protocol knows of the stream.
    #[cfg(feature = "protocol")]
    pub(crate) fn extension(mut self, extension: Extension) -> Self {
        self.extension = extension;
        self
    }

    /// The clock and its timer, unless a clock was set.
    pub(crate) fn default_clock(
        mut self,
        clock: &PlainArc<dyn Clock>,
        timer: &PlainArc<Timer>,
    ) -> Self {
        if self.clock.is_none() {
            self.clock = Some(PlainArc::clone(clock));
            self.timer = Some(PlainArc::clone(timer));
        }
        self
    }

    /// Has these hooks asked at every call to the stream.
    #[cfg(feature = "testing")]
    pub(crate) fn hooks(mut self, hooks: PlainArc<dyn Hooks>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) const fn has_hooks(&self) -> bool {
        self.hooks.is_some()
    }

    /// The hooks, unless some were set.
    #[cfg(feature = "testing")]
    pub(crate) fn default_hooks(mut self, hooks: Option<&PlainArc<dyn Hooks>>) -> Self {
        self.hooks = self.hooks.or_else(|| hooks.map(PlainArc::clone));
        self
    }

    /// When the last shard of an earlier stream of this name was created: sequence numbers of that
    /// one are not to be taken for this one's.
    pub(crate) const fn created_after_secs(mut self, secs: Option<u64>) -> Self {
        self.created_after_secs = secs;
        self
    }

    /// How long the stream stays in the states CREATING, UPDATING and DELETING.
    pub(crate) const fn state_delay(mut self, delay: Duration) -> Self {
        self.state_delay = delay;
        self
    }
}

/// Checks that the largest record is 1 byte to 10 MiB.
pub(crate) fn check_record_bytes_max(bytes: usize) -> Result<(), Error> {
    bounded("largest record in bytes", bytes, 1, RECORD_BYTES_MAX)
}

/// Checks that retention is 1 ms to 365 days.
pub(crate) fn check_retention(retention: Duration) -> Result<(), Error> {
    if (RETENTION_MIN..=RETENTION_MAX).contains(&retention) {
        return Ok(());
    }
    Err(invalid(
        "retention",
        format!("{retention:?}"),
        "1 ms to 365 days",
    ))
}

fn check_name(name: &str) -> Result<(), Error> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let chars = name.chars().count();
    if (1..=STREAM_NAME_CHARS_MAX).contains(&chars) && name.chars().all(valid) {
        return Ok(());
    }
    Err(Error::InvalidStreamName { chars })
}

fn bounded<T: PartialOrd + Display>(
    setting: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<(), Error> {
    if value < min || value > max {
        return Err(invalid(setting, value, format!("{min} to {max}")));
    }
    Ok(())
}

fn invalid(setting: &'static str, value: impl ToString, bound: impl ToString) -> Error {
    Error::InvalidSetting {
        setting,
        value: value.to_string(),
        bound: bound.to_string(),
    }
}
