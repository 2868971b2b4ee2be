//! brooklet, through its public face.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use brooklet::{PartitionKey, Producer, ShardIterator, StartingPosition, Stream, StreamBuilder};
use crossbeam_channel::{Receiver, never, select};

use crate::contenders::{Carries, Sink, Source, Wait};
use crate::records::{Records, Tally};

pub const CARRIES: Carries = Carries("RMBSTKW");

/// The most that one pull takes: the most that Kinesis allows.
const LIMIT: usize = 10_000;
/// Longer than any wait of a round.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream with room for `capacity` of these records in each shard.
pub fn stream(shards: u32, capacity: usize, data_bytes: usize) -> Stream {
    builder(shards, capacity, data_bytes)
        .build()
        .expect("the settings are valid")
}

/// What builds such a stream.
pub fn builder(shards: u32, capacity: usize, data_bytes: usize) -> StreamBuilder {
    // As the builder's documentation counts: 8 bytes, key and data rounded up, and a handle
    // of 32 bytes for data of over 512.
    let handle = if data_bytes > 512 { 32 } else { 0 };
    let record = 8 + (Records::KEY_BYTES + data_bytes).next_multiple_of(8) + handle;
    Stream::builder("peers")
        .shard_count(shards)
        .capacity_bytes((capacity * record) as u64)
}

/// An iterator over a shard, from its oldest record on.
pub fn iterator(stream: &Stream, shard: usize) -> ShardIterator {
    stream.shards()[shard]
        .iterator(StartingPosition::TrimHorizon)
        .expect("the stream exists")
}

/// The shard of each key that repeats.
pub fn route(stream: &Stream, records: &Records) -> Vec<u8> {
    let shard = |index| {
        let shard = stream.shard_for(records.key_text(index));
        let index = shard.expect("the stream is open").id().index();
        u8::try_from(index).expect("there are few shards")
    };
    (0..records.key_count()).map(shard).collect()
}

/// Puts with keys that were hashed beforehand.
#[derive(Debug)]
pub struct Hashed {
    producer: Producer,
    keys: Vec<PartitionKey>,
}

impl Hashed {
    pub fn new(stream: &Stream, records: &Records) -> Self {
        let key = |index| PartitionKey::new(records.key_text(index)).expect("the key is valid");
        Self {
            producer: stream.producer(),
            keys: (0..records.key_count()).map(key).collect(),
        }
    }

    #[inline]
    fn key(&self, index: usize) -> &PartitionKey {
        &self.keys[index & (self.keys.len() - 1)]
    }
}

impl Sink for Hashed {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let output = self
            .producer
            .put_record(self.key(index), records.lent(index));
        black_box(output.expect("the record is valid"));
    }

    fn put_batch(&mut self, records: &Records, indices: Range<usize>) {
        let entries = indices.map(|index| (self.key(index), records.lent(index)));
        let output = self.producer.put_records(entries);
        let output = output.expect("the records are valid");
        assert_eq!(black_box(&output).failed_record_count(), 0);
    }
}

/// Puts with keys as text.
#[derive(Debug)]
pub struct Text(pub Producer);

impl Sink for Text {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let output = self
            .0
            .put_record(records.key_text(index), records.lent(index));
        black_box(output.expect("the record is valid"));
    }

    fn put_batch(&mut self, records: &Records, indices: Range<usize>) {
        let entries = indices.map(|index| (records.key_text(index), records.lent(index)));
        let output = self.0.put_records(entries);
        let output = output.expect("the records are valid");
        assert_eq!(black_box(&output).failed_record_count(), 0);
    }
}

/// Reads records where they lie.
#[derive(Debug)]
pub struct Views(pub ShardIterator);

impl Source for Views {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let batch = self.0.get_records(LIMIT).expect("the stream exists");
        for record in &batch {
            tally.see(record.partition_key().as_bytes(), record.data());
        }
        tally.missed += batch.missed_count();
        !batch.is_empty()
    }
}

impl Wait for Views {
    fn wait(&mut self, tally: &mut Tally) {
        let batch = self.0.get_records_timeout(LIMIT, PATIENCE);
        let batch = batch.expect("the stream exists");
        assert!(!batch.is_empty(), "a wait ended without a record");
        for record in &batch {
            tally.see(record.partition_key().as_bytes(), record.data());
        }
        tally.missed += batch.missed_count();
    }
}

/// Reads records where they lie, and waits as the library does: it spins, and leaves a busy writer
/// alone for a moment.
#[derive(Debug)]
pub struct Waiting<R>(pub R);

impl<R: Wait> Source for Waiting<R> {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        self.0.wait(tally);
        true
    }
}

/// Takes records as values of their own.
#[derive(Debug)]
pub struct Owned(pub ShardIterator);

impl Source for Owned {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let batch = self.0.get_records(LIMIT).expect("the stream exists");
        for record in batch.records() {
            let record = black_box(record);
            tally.see(record.partition_key().as_bytes(), record.data());
        }
        tally.missed += batch.missed_count();
        !batch.is_empty()
    }
}

impl Wait for Owned {
    fn wait(&mut self, tally: &mut Tally) {
        let batch = self.0.get_records_timeout(LIMIT, PATIENCE);
        let batch = batch.expect("the stream exists");
        for record in batch.records() {
            let record = black_box(record);
            tally.see(record.partition_key().as_bytes(), record.data());
        }
        tally.missed += batch.missed_count();
    }
}

/// Waits as a future.
#[derive(Debug)]
pub struct Async(pub ShardIterator);

impl Source for Async {
    fn take(&mut self, tally: &mut Tally) -> bool {
        let batch = self.0.get_records(LIMIT).expect("the stream exists");
        for record in &batch {
            tally.see(record.partition_key().as_bytes(), record.data());
        }
        !batch.is_empty()
    }
}

impl Wait for Async {
    fn wait(&mut self, tally: &mut Tally) {
        let batch = futures_executor::block_on(self.0.get_records_async(LIMIT));
        for record in &batch.expect("the stream exists") {
            tally.see(record.partition_key().as_bytes(), record.data());
        }
    }
}

/// Waits in a `select!` of two.
#[derive(Debug)]
pub struct Select {
    iterator: ShardIterator,
    ready: Receiver<()>,
    never: Receiver<()>,
}

impl Select {
    pub fn new(mut iterator: ShardIterator) -> Self {
        Self {
            ready: iterator.ready(),
            never: never(),
            iterator,
        }
    }
}

impl Source for Select {
    fn take(&mut self, tally: &mut Tally) -> bool {
        let batch = self.iterator.get_records(LIMIT).expect("the stream exists");
        for record in &batch {
            tally.see(record.partition_key().as_bytes(), record.data());
        }
        !batch.is_empty()
    }
}

impl Wait for Select {
    fn wait(&mut self, tally: &mut Tally) {
        loop {
            select! {
                recv(self.ready) -> _ => if self.take(tally) { return },
                recv(self.never) -> _ => unreachable!("nobody sends there"),
            }
        }
    }
}
