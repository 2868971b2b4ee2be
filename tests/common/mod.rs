//! What several test files use: a stream on a hand-turned clock, ways to read a shard to its end,
//! and the sequence number taken apart by arithmetic that shares nothing with the crate's.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt::Debug;
use std::time::Duration;

use brooklet::{
    Clock, Error, HashKey, ManualClock, Record, RecordBatch, SequenceNumber, Shard, ShardId,
    ShardIterator, StartingPosition, Stream, StreamBuilder, Timestamp,
};
use proptest::test_runner::Config as ProptestConfig;

#[cfg(feature = "protocol")]
pub mod wire;

/// When the hand-turned clocks of the tests begin: the second of the contract's vectors (1.6).
pub const START_MS: u64 = 1_700_000_000_000;

/// How many histories a property is tried on: `default`, unless `PROPTEST_CASES` says otherwise.
pub fn cases(default: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(default),
    }
}

/// A clock that shows [`START_MS`].
pub fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(START_MS))
}

/// A stream with defaults on a clock of its own.
pub fn stream(shard_count: u32) -> (Stream, ManualClock) {
    build(Stream::builder("orders").shard_count(shard_count))
}

/// Builds a stream on a clock of its own.
pub fn build(builder: StreamBuilder) -> (Stream, ManualClock) {
    let clock = clock();
    let stream = builder
        .clock(clock.clone())
        .build()
        .expect("the settings make sense");
    (stream, clock)
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The time that a clock shows, in milliseconds.
pub fn now_ms(clock: &ManualClock) -> u64 {
    clock.now().as_millis()
}

pub fn id(index: u32) -> ShardId {
    ShardId::new(index).expect("a small index is an id")
}

pub fn number(text: &str) -> SequenceNumber {
    text.parse().expect("the text is a sequence number")
}

/// A hash key that the shard takes: the first of its range.
pub fn key_of(shard: &Shard) -> HashKey {
    shard.hash_key_range().start()
}

/// Puts one record into a given shard, whatever its partition key.
pub fn put_into(stream: &Stream, index: u32, data: &str) -> SequenceNumber {
    let shard = stream.shard(id(index)).expect("the shard exists");
    let put = stream
        .producer()
        .put_record_with_hash_key("key", key_of(&shard), data.to_owned())
        .expect("the shard takes the record");
    assert_eq!(put.shard_id(), id(index));
    put.sequence_number()
}

/// Puts `count` records into shard 0: `r0`, `r1` and so on.
pub fn put_many(stream: &Stream, count: usize) -> Vec<SequenceNumber> {
    (0..count)
        .map(|i| put_into(stream, 0, &format!("r{i}")))
        .collect()
}

/// An iterator on shard 0.
pub fn iterator(stream: &Stream, position: StartingPosition) -> ShardIterator {
    stream
        .shard_iterator(id(0), position)
        .expect("the position is good")
}

/// Reads on until there is nothing new, and counts the records that were missed.
pub fn pull_counting(iterator: &mut ShardIterator) -> (Vec<Record>, u64) {
    let (mut records, mut missed) = (Vec::new(), 0);
    loop {
        let batch = iterator.get_records(1_000).expect("the shard can be read");
        missed += batch.missed_count();
        let done = batch.is_empty() || batch.shard_ended();
        records.extend(batch.records());
        if done {
            return (records, missed);
        }
    }
}

/// Reads on until there is nothing new. No record may have been missed.
pub fn pull(iterator: &mut ShardIterator) -> Vec<Record> {
    let (records, missed) = pull_counting(iterator);
    assert_eq!(missed, 0, "no record was missed");
    records
}

/// All records that a shard retains.
pub fn read_shard(stream: &Stream, index: u32) -> Vec<Record> {
    let mut iterator = stream
        .shard_iterator(id(index), StartingPosition::TrimHorizon)
        .expect("the shard exists");
    pull(&mut iterator)
}

/// All records that a stream retains, one shard after another.
pub fn read_all(stream: &Stream) -> Vec<Record> {
    stream
        .shards()
        .iter()
        .flat_map(|shard| read_shard(stream, shard.id().index()))
        .collect()
}

/// The data of records as text.
pub fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(text).collect()
}

pub fn text(record: &Record) -> String {
    String::from_utf8(record.data().to_vec()).expect("the tests put text")
}

/// The data of a batch as text, by its borrowed views.
pub fn view_texts(batch: &RecordBatch) -> Vec<String> {
    batch
        .iter()
        .map(|view| String::from_utf8_lossy(view.data()).into_owned())
        .collect()
}

/// The index of shards.
pub fn indices(shards: &[Shard]) -> Vec<u32> {
    shards.iter().map(|shard| shard.id().index()).collect()
}

/// The index of the open shards, in the order of their ranges.
pub fn open_by_range(stream: &Stream) -> Vec<u32> {
    let mut open: Vec<_> = stream.shards().into_iter().filter(Shard::is_open).collect();
    open.sort_by_key(|shard| shard.hash_key_range().start());
    indices(&open)
}

/// Checks that the open shards' ranges are the whole space, without a gap or an overlap.
pub fn assert_ranges_partition(stream: &Stream) {
    let mut ranges: Vec<_> = stream
        .shards()
        .iter()
        .filter(|s| s.is_open())
        .map(Shard::hash_key_range)
        .collect();
    ranges.sort_by_key(|range| range.start());
    let mut next = Some(0);
    for range in ranges {
        assert_eq!(
            Some(range.start().get()),
            next,
            "each range begins where the last one ended"
        );
        assert!(range.start() <= range.end());
        next = range.end().get().checked_add(1);
    }
    assert_eq!(next, None, "the last range ends with the space");
}

/// The error of something that must be refused.
#[track_caller]
pub fn refused<T: Debug>(result: Result<T, Error>) -> Error {
    result.expect_err("it must be refused")
}

/// Lets other threads go on until a condition holds. It never fails: what never comes hangs.
pub fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

/// The fields of a sequence number (contract 1.6), taken from its decimal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    pub created_secs: u64,
    pub nibble: u64,
    pub place: u64,
    pub time_secs: u64,
    pub shard_index: u64,
    pub version: u64,
}

impl Fields {
    pub fn of(number: SequenceNumber) -> Self {
        let bits = Bits::parse(&number.to_string());
        assert_eq!(bits.field(184, 8), 2, "the constant nibble");
        assert_eq!(bits.field(72, 8), 0, "the zero byte");
        Self {
            created_secs: bits.field(148, 36),
            nibble: bits.field(144, 4),
            place: bits.field(80, 64),
            time_secs: bits.field(36, 36),
            shard_index: bits.field(4, 32),
            version: bits.field(0, 4),
        }
    }

    pub fn number(self) -> SequenceNumber {
        number(&self.decimal())
    }

    /// The decimal form, whether or not it is a valid number.
    pub fn decimal(self) -> String {
        let mut bits = Bits::default();
        for (value, at) in [
            (2, 184),
            (self.created_secs, 148),
            (self.nibble, 144),
            (self.place, 80),
            (self.time_secs, 36),
            (self.shard_index, 4),
            (self.version, 0),
        ] {
            bits.set(value, at);
        }
        bits.decimal()
    }
}

/// 192 bits, the least significant first. Slow and plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits(Vec<bool>);

impl Default for Bits {
    fn default() -> Self {
        Self(vec![false; 192])
    }
}

impl Bits {
    pub fn parse(decimal: &str) -> Self {
        let mut digits: Vec<u8> = decimal.bytes().map(|digit| digit - b'0').collect();
        let mut bits = Self::default();
        for bit in &mut bits.0 {
            let mut rest = 0;
            for digit in &mut digits {
                let value = rest * 10 + *digit;
                (*digit, rest) = (value / 2, value % 2);
            }
            *bit = rest == 1;
        }
        assert!(
            digits.iter().all(|digit| *digit == 0),
            "192 bits hold every sequence number"
        );
        bits
    }

    pub fn field(&self, at: usize, width: usize) -> u64 {
        self.0[at..at + width]
            .iter()
            .rev()
            .fold(0, |value, bit| value << 1 | u64::from(*bit))
    }

    /// Sets the 64 bits from `at` on, as far as `value` has ones.
    pub fn set(&mut self, value: u64, at: usize) {
        for (bit, target) in self.0.iter_mut().skip(at).take(64).enumerate() {
            *target |= value >> bit & 1 == 1;
        }
    }

    pub fn decimal(&self) -> String {
        let mut digits = vec![0u8];
        for bit in self.0.iter().rev() {
            let mut carry = u8::from(*bit);
            for digit in digits.iter_mut().rev() {
                let value = *digit * 2 + carry;
                (*digit, carry) = (value % 10, value / 10);
            }
            if carry > 0 {
                digits.insert(0, carry);
            }
        }
        digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect()
    }
}

/// Sum of two decimal numbers.
pub fn add_decimal(a: &str, b: &str) -> String {
    let (mut a, mut b) = (a.bytes().rev(), b.bytes().rev());
    let (mut sum, mut carry) = (Vec::new(), 0);
    loop {
        let digits = (a.next(), b.next());
        if digits == (None, None) && carry == 0 {
            break;
        }
        let value = |digit: Option<u8>| digit.map_or(0, |digit| digit - b'0');
        let total = value(digits.0) + value(digits.1) + carry;
        sum.push(char::from(b'0' + total % 10));
        carry = total / 10;
    }
    sum.iter().rev().collect()
}
