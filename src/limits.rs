//! Bounds that always hold, and limits that hold if a stream has them.
//!
//! The rules are those of Kinesis: the contract, 1.8 and 2.9. The arithmetic here takes no lock and
//! reads no clock; its time is milliseconds, which may step back: nothing is refilled then.

use std::time::Duration;

/// Characters of a stream name, at most.
pub const STREAM_NAME_CHARS_MAX: usize = 128;
/// Unicode characters of a partition key, at most.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;
/// Shards that a stream can be given, at most.
pub const SHARD_COUNT_MAX: u32 = 10_000;
/// Records that one `get_records` pulls, at most.
pub const GET_RECORDS_LIMIT_MAX: usize = 10_000;
/// Bytes of keys and data that one `get_records` pulls, at most; but one record in any case.
pub const GET_RECORDS_BYTES_MAX: usize = 10 * MIB;
/// Data of one record in bytes, at most, unless the stream sets another bound.
pub const RECORD_BYTES_DEFAULT: usize = MIB;
/// Data of one record in bytes, at most, that a stream can set.
pub const RECORD_BYTES_MAX: usize = 10 * MIB;
/// For how long records can be read unless the stream sets it.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long records can be read, at most.
pub const RETENTION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const MIB: usize = 1024 * 1024;

/// What a stream lets through; per shard where a rate is meant. `None`: no limit.
///
/// A program's own stream has no reason to slow it down, so [`unlimited`](Self::unlimited) is the
/// default. Code that is to run on Kinesis is tested with [`kinesis`](Self::kinesis).
///
/// ```
/// use brooklet::{Error, Limits, ManualClock, Stream};
///
/// let stream = Stream::builder("orders")
///     .limits(Limits::kinesis().write_records_per_second(Some(1)))
///     .clock(ManualClock::default())
///     .build()?;
/// let producer = stream.producer();
/// producer.put_record("customer-17", "first")?;
/// let refused = producer.put_record("customer-17", "second").unwrap_err();
/// assert_eq!(refused.code(), "ProvisionedThroughputExceededException");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of keys and data that a shard takes each second. Kinesis: 1 MiB.
    ///
    /// A second's worth can be written at once, and 10 MiB if the stream's largest record is over
    /// 1 MiB. A record that is larger than that is always refused.
    pub write_bytes_per_second: Option<u64>,
    /// Records that a shard takes each second. Kinesis: 1,000.
    pub write_records_per_second: Option<u64>,
    /// Bytes of keys and data that a shard gives all readers together each second. Kinesis:
    /// 2 MiB. A read may go beyond; the shard then gives nothing until the time that it took in
    /// advance has passed: 5 seconds after 10 MiB.
    pub read_bytes_per_second: Option<u64>,
    /// Calls of `get_records` that a shard answers each second. Kinesis: 5.
    pub get_records_per_second: Option<u64>,
    /// Iterators that a shard hands out each second. Kinesis: 5.
    pub get_shard_iterator_per_second: Option<u64>,
    /// Records of one `put_records`. Kinesis: 500.
    pub put_records_entries_max: Option<usize>,
    /// Bytes of keys and data of one `put_records`. Kinesis: 10 MiB.
    pub put_records_bytes_max: Option<u64>,
    /// Whether `update_shard_count` may go to half and to double the count at most. Kinesis: yes.
    pub shard_count_doubling: bool,
    /// Calls of `update_shard_count` within 24 hours. Kinesis: 10.
    pub update_shard_count_per_day: Option<u32>,
}

macro_rules! setters {
    ($($field:ident: $type:ty,)*) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub const fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}

impl Limits {
    /// No limits.
    pub const fn unlimited() -> Self {
        Self {
            write_bytes_per_second: None,
            write_records_per_second: None,
            read_bytes_per_second: None,
            get_records_per_second: None,
            get_shard_iterator_per_second: None,
            put_records_entries_max: None,
            put_records_bytes_max: None,
            shard_count_doubling: false,
            update_shard_count_per_day: None,
        }
    }

    /// The quotas of Kinesis.
    pub const fn kinesis() -> Self {
        Self {
            write_bytes_per_second: Some(MIB as u64),
            write_records_per_second: Some(1_000),
            read_bytes_per_second: Some(2 * MIB as u64),
            get_records_per_second: Some(5),
            get_shard_iterator_per_second: Some(5),
            put_records_entries_max: Some(500),
            put_records_bytes_max: Some(10 * MIB as u64),
            shard_count_doubling: true,
            update_shard_count_per_day: Some(10),
        }
    }

    setters! {
        write_bytes_per_second: Option<u64>,
        write_records_per_second: Option<u64>,
        read_bytes_per_second: Option<u64>,
        get_records_per_second: Option<u64>,
        get_shard_iterator_per_second: Option<u64>,
        put_records_entries_max: Option<usize>,
        put_records_bytes_max: Option<u64>,
        shard_count_doubling: bool,
        update_shard_count_per_day: Option<u32>,
    }
}

/// How much later a call can come to a limit than it asked the clock.
const LATE_MS_MAX: u64 = 1000;

/// Fills up at a rate, and is emptied by what is taken; counts in thousandths, exactly.
#[derive(Clone, Debug)]
struct TokenBucket {
    per_second: u64,
    capacity_thousandths: u128,
    thousandths: u128,
    filled_ms: u64,
}

impl TokenBucket {
    fn new(per_second: u64, capacity: u64) -> Self {
        let capacity_thousandths = u128::from(capacity) * 1000;
        let thousandths = capacity_thousandths;
        Self {
            per_second,
            capacity_thousandths,
            thousandths,
            filled_ms: 0,
        }
    }

    /// What was there beyond another capacity is lost.
    fn set_capacity(&mut self, capacity: u64) {
        self.capacity_thousandths = u128::from(capacity) * 1000;
        self.thousandths = self.thousandths.min(self.capacity_thousandths);
    }

    fn fill(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.filled_ms);
        let passed = planted!(passed, "whole_seconds": passed / 1000 * 1000);
        let gained = u128::from(passed) * u128::from(self.per_second);
        let thousandths = self.thousandths.saturating_add(gained);
        self.thousandths = thousandths.min(self.capacity_thousandths);
        // Who came to the lock late has an earlier time: nothing is counted twice for that. A clock that
        // was set back by more is gone by, or nothing would be let through until it is there again.
        let is_late = (1..=LATE_MS_MAX).contains(&self.filled_ms.saturating_sub(now_ms));
        if !is_late {
            self.filled_ms = now_ms;
        }
    }

    fn has(&self, amount: u64) -> bool {
        self.thousandths >= u128::from(amount) * 1000
    }

    fn take(&mut self, amount: u64) {
        self.thousandths -= u128::from(amount) * 1000;
    }
}

/// The write limits of one shard.
#[derive(Clone, Debug)]
pub(crate) struct WriteLimiter {
    bytes: Option<TokenBucket>,
    records: Option<TokenBucket>,
}

impl WriteLimiter {
    /// `None`: writing is not limited.
    pub(crate) fn new(limits: &Limits, record_bytes_max: usize) -> Option<Self> {
        let burst = write_burst(record_bytes_max);
        let bytes = limits
            .write_bytes_per_second
            .map(|rate| TokenBucket::new(rate, rate.max(burst)));
        let records = limits
            .write_records_per_second
            .map(|rate| TokenBucket::new(rate, rate));
        (bytes.is_some() || records.is_some()).then_some(Self { bytes, records })
    }

    /// Goes by another largest record from now on.
    pub(crate) fn set_record_bytes_max(&mut self, record_bytes_max: usize) {
        if let Some(bytes) = &mut self.bytes {
            bytes.set_capacity(bytes.per_second.max(write_burst(record_bytes_max)));
        }
    }

    /// Lets one record of so many bytes through, or takes nothing.
    pub(crate) fn try_take(&mut self, now_ms: u64, bytes: u64) -> bool {
        let mut buckets = [(self.bytes.as_mut(), bytes), (self.records.as_mut(), 1)];
        for (bucket, _) in &mut buckets {
            if let Some(bucket) = bucket {
                bucket.fill(now_ms);
            }
        }
        let enough = |(bucket, amount): &(Option<&mut TokenBucket>, u64)| {
            bucket.as_ref().is_none_or(|bucket| bucket.has(*amount))
        };
        if !buckets.iter().all(enough) {
            return false;
        }
        for (bucket, amount) in buckets {
            if let Some(bucket) = bucket {
                bucket.take(amount);
            }
        }
        true
    }
}

/// The read limits of one shard, over all its readers.
#[derive(Clone, Debug)]
pub(crate) struct ReadLimiter {
    get_records: Option<TokenBucket>,
    get_shard_iterator: Option<TokenBucket>,
    bytes_per_second: Option<u64>,
    /// Bytes given since `window_ms`, within the same second.
    window_bytes: u64,
    window_ms: u64,
    /// Nothing is given before; in microseconds, so that small answers count exactly.
    blocked_until_us: u128,
}

impl ReadLimiter {
    /// `None`: reading is not limited.
    pub(crate) fn new(limits: &Limits) -> Option<Self> {
        let limiter = Self {
            get_records: limits
                .get_records_per_second
                .map(|rate| TokenBucket::new(rate, rate)),
            get_shard_iterator: limits
                .get_shard_iterator_per_second
                .map(|rate| TokenBucket::new(rate, rate)),
            bytes_per_second: limits.read_bytes_per_second,
            window_bytes: 0,
            window_ms: 0,
            blocked_until_us: 0,
        };
        let limited = limiter.get_records.is_some()
            || limiter.get_shard_iterator.is_some()
            || limiter.bytes_per_second.is_some();
        limited.then_some(limiter)
    }

    /// Lets one call of `get_records` through, or takes nothing.
    pub(crate) fn try_get_records(&mut self, now_ms: u64) -> bool {
        let blocked = self.blocked_until_us > u128::from(now_ms) * 1000;
        !blocked && try_take_one(&mut self.get_records, now_ms)
    }

    /// Lets one iterator be made, or takes nothing.
    pub(crate) fn try_get_shard_iterator(&mut self, now_ms: u64) -> bool {
        try_take_one(&mut self.get_shard_iterator, now_ms)
    }

    /// Counts what was given: what goes beyond a second's worth blocks the time that it takes.
    pub(crate) fn charge_bytes(&mut self, now_ms: u64, bytes: u64) {
        let Some(rate) = self.bytes_per_second.filter(|_| bytes > 0) else {
            return;
        };
        if now_ms < self.window_ms || now_ms - self.window_ms >= 1000 {
            (self.window_ms, self.window_bytes) = (now_ms, 0);
        }
        self.window_bytes = self.window_bytes.saturating_add(bytes);
        if self.window_bytes > rate {
            let from_us = self.blocked_until_us.max(u128::from(now_ms) * 1000);
            self.blocked_until_us =
                from_us + u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
        }
    }
}

/// How many bytes can be written at once at least: streams of large records have a larger burst.
fn write_burst(record_bytes_max: usize) -> u64 {
    if record_bytes_max > MIB {
        10 * MIB as u64
    } else {
        0
    }
}

fn try_take_one(bucket: &mut Option<TokenBucket>, now_ms: u64) -> bool {
    let Some(bucket) = bucket else { return true };
    bucket.fill(now_ms);
    let enough = bucket.has(1);
    if enough {
        bucket.take(1);
    }
    enough
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(record_bytes_max: usize) -> WriteLimiter {
        WriteLimiter::new(&Limits::kinesis(), record_bytes_max).expect("limited")
    }

    #[test]
    fn nothing_is_limited_unless_asked_for() {
        assert!(WriteLimiter::new(&Limits::unlimited(), MIB).is_none());
        assert!(ReadLimiter::new(&Limits::unlimited()).is_none());
        assert_eq!(Limits::unlimited(), Limits::default());
    }

    #[test]
    fn a_shard_takes_a_thousand_records_a_second() {
        let mut limiter = writes(MIB);
        assert!((0..1000).all(|_| limiter.try_take(5_000, 1)));
        assert!(!limiter.try_take(5_000, 1));
        assert!(limiter.try_take(5_001, 1));
        assert!(!limiter.try_take(5_001, 1));
    }

    #[test]
    fn a_shard_takes_a_mebibyte_a_second_and_ten_at_once_for_large_records() {
        let mut limiter = writes(MIB);
        assert!(limiter.try_take(0, MIB as u64));
        assert!(!limiter.try_take(999, MIB as u64));
        assert!(limiter.try_take(1_000, MIB as u64));
        assert!(!limiter.try_take(1_000_000, MIB as u64 + 1));
        assert!(writes(2 * MIB).try_take(0, 10 * MIB as u64));
    }

    #[test]
    fn a_refused_record_takes_nothing() {
        let mut limiter = writes(MIB);
        assert!(limiter.try_take(0, MIB as u64 - 1));
        assert!((0..2_000).all(|_| !limiter.try_take(0, 2)));
        assert!(limiter.try_take(0, 1));
    }

    #[test]
    fn a_large_answer_blocks_the_shard_for_as_long_as_it_takes() {
        let mut limiter = ReadLimiter::new(&Limits::kinesis()).expect("limited");
        assert!(limiter.try_get_records(10_000));
        limiter.charge_bytes(10_000, 10 * MIB as u64);
        assert!(!limiter.try_get_records(14_999));
        assert!(limiter.try_get_records(15_000));
    }

    #[test]
    fn two_mebibytes_a_second_go_through() {
        let mut limiter = ReadLimiter::new(&Limits::kinesis()).expect("limited");
        for second in 10..20 {
            assert!(limiter.try_get_records(second * 1000));
            limiter.charge_bytes(second * 1000, 2 * MIB as u64);
        }
    }

    #[test]
    fn a_shard_answers_five_reads_a_second_and_five_iterators_besides() {
        let mut limiter = ReadLimiter::new(&Limits::kinesis()).expect("limited");
        assert!((0..5).all(|_| limiter.try_get_records(0) && limiter.try_get_shard_iterator(0)));
        assert!(!limiter.try_get_records(199) && !limiter.try_get_shard_iterator(199));
        assert!(limiter.try_get_records(200) && limiter.try_get_shard_iterator(200));
    }

    #[test]
    fn a_clock_that_jumps_neither_panics_nor_refills() {
        let mut limiter = writes(MIB);
        assert!(limiter.try_take(u64::MAX, MIB as u64));
        assert!(!limiter.try_take(0, 1));
        assert!(!limiter.try_take(0, 1));
        let limits = Limits::kinesis().read_bytes_per_second(Some(0));
        let mut reads = ReadLimiter::new(&limits).expect("limited");
        for now in [u64::MAX, 0, 1, u64::MAX] {
            let _ = reads.try_get_records(now);
            reads.charge_bytes(now, u64::MAX);
        }
    }
}
