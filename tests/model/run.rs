//! Runs a case: does each operation to a stream and to its twin, and compares what they say.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brooklet::{
    Error, HashKey, Limits, ManualClock, OnFull, PartitionKey, Producer, PutEntry, PutRecordOutput,
    RecordBatch, SequenceNumber, ShardFilter, ShardIterator, ShardMetrics, StartingPosition,
    Stream, StreamStatus, Timestamp,
};
use bytes::Bytes;

use crate::common::START_MS;
use crate::limits::{Bucket, Reads, Writes};
use crate::op::{
    At, Filter, How, LimitsPlan, Number, Op, Plan, Put, Start, SubscribeFrom, Time, To,
};
use crate::twin::{self, Batch, Entry, Parts, Position, Reader, Record, Rules, STREAM, Twin, id};

/// Iterators, subscriptions and held batches of one case, at most: the oldest makes room.
const HELD_MAX: usize = 8;
/// Data of more bytes is not copied.
const INLINE_BYTES_MAX: usize = 512;

const WRITE_BYTES: u64 = 4_000;
const WRITE_RECORDS: u64 = 5;
const READ_BYTES: u64 = 3_000;
const READ_CALLS: u64 = 3;
const ITERATORS: u64 = 4;
const ENTRIES_MAX: usize = 10;
const ENTRIES_BYTES_MAX: u64 = 6_000;
const COUNT_CHANGES: u32 = 1;

/// A stream and its twin.
pub struct Run {
    stream: Stream,
    producer: Producer,
    clock: ManualClock,
    /// Handles of all shards that there ever were, by their index.
    shards: Vec<brooklet::Shard>,
    twin: Twin,
    iterators: Vec<(ShardIterator, Reader)>,
    subscriptions: Vec<(brooklet::Subscription, twin::Subscription)>,
    held: Vec<(RecordBatch, Vec<Record>)>,
    /// How often each data was dropped, and its size.
    data: Vec<(Arc<AtomicU32>, usize)>,
    /// What has happened, so that a whole run can be asked whether it was worth its name.
    seen: BTreeSet<&'static str>,
}

/// Data that counts its drops.
struct Counted {
    data: Vec<u8>,
    drops: Arc<AtomicU32>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

impl Run {
    pub fn new(plan: &Plan) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(START_MS));
        let mut builder = Stream::builder(STREAM)
            .shard_count(plan.shards.get())
            .retention(Duration::from_millis(plan.retention_ms))
            .limits(limits(plan.limits))
            .clock(clock.clone());
        if let Some(records) = plan.capacity_records {
            builder = builder.capacity_records(records);
        }
        if let Some(bytes) = plan.capacity_bytes {
            builder = builder.capacity_bytes(bytes);
        }
        if plan.refuse_when_full {
            builder = builder.on_full(OnFull::Refuse);
        }
        if let Some(bytes) = plan.record_bytes_max {
            builder = builder.record_bytes_max(bytes);
        }
        let stream = builder.build().expect("the plan makes sense");
        let mut run = Self {
            producer: stream.producer(),
            shards: stream.shards(),
            stream,
            clock,
            twin: Twin::new(START_MS, plan.retention_ms, plan.shards, rules(plan)),
            iterators: Vec::new(),
            subscriptions: Vec::new(),
            held: Vec::new(),
            data: Vec::new(),
            seen: BTreeSet::new(),
        };
        run.describe();
        run
    }

    /// Does all operations, reads what is left, lets everything go, and says what has happened.
    pub fn run(mut self, ops: &[Op]) -> BTreeSet<&'static str> {
        for op in ops {
            self.settle_shards();
            self.step(op);
        }
        self.finish()
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Put(ref put) => self.put(put),
            Op::PutAll(ref puts) => self.put_all(puts),
            Op::Open { shard, from } => self.open(shard, from),
            Op::Get {
                iterator,
                limit,
                how,
                hold,
            } => {
                let _news = self.get(iterator, limit, how, hold);
            }
            Op::CloneIterator(iterator) => {
                if let Some((iterator, reader)) = pick(&mut self.iterators, iterator) {
                    let clone = (iterator.clone(), reader.clone());
                    keep(&mut self.iterators, clone);
                }
            }
            Op::Restore(iterator) => self.restore(iterator),
            Op::DropIterator(iterator) => discard(&mut self.iterators, iterator),
            Op::Split { shard, at } => self.split(shard, at),
            Op::Merge { shard, other } => self.merge(shard, other),
            Op::UpdateShardCount(target) => self.update_shard_count(target),
            Op::SetRetention(ms) => self.set_retention(ms),
            Op::Advance(ms) => {
                self.clock.advance(Duration::from_millis(ms));
                self.twin.now += ms;
            }
            Op::StepBack(ms) => {
                self.twin.now = self.twin.now.saturating_sub(ms);
                self.clock.set(Timestamp::from_millis(self.twin.now));
                self.see("the clock stepped back");
            }
            Op::List(filter) => self.list(filter),
            Op::Metrics => self.metrics(),
            Op::Describe => self.describe(),
            Op::Subscribe(from) => self.subscribe(from),
            Op::Pull {
                subscription,
                limit,
                how,
                hold,
            } => {
                let _news = self.pull(subscription, limit, how, hold);
            }
            Op::DropSubscription(subscription) => {
                discard(&mut self.subscriptions, subscription);
            }
            Op::LetBatchesGo => self.let_batches_go(),
            Op::Close => {
                self.stream.close();
                self.twin.close();
                self.see("the stream was closed");
            }
        }
    }

    fn see(&mut self, what: &'static str) {
        self.seen.insert(what);
    }

    /// Compares errors, which must be the same; says the results if both succeeded.
    fn agree<R, T>(&mut self, real: Result<R, Error>, twin: Result<T, Error>) -> Option<(R, T)> {
        match (real, twin) {
            (Ok(real), Ok(twin)) => return Some((real, twin)),
            (Err(real), Err(twin)) => {
                assert_eq!(real, twin);
                self.see(name_of(&twin));
            }
            (Ok(_), Err(twin)) => panic!("it should fail: {twin:?}"),
            (Err(real), Ok(_)) => panic!("it should not fail: {real:?}"),
        }
        None
    }

    /// Tells the twin what it cannot know: whether a shard was forgotten while nobody looked.
    fn settle_shards(&mut self) {
        self.twin.let_expire();
        let cutoff = self.twin.cutoff().max(self.twin.list_horizon_ms);
        let unsure = |shard: &twin::Shard| {
            let expired = shard.closed.is_some_and(|closed| closed.ms < cutoff);
            shard.maybe_forgotten && !shard.forgotten && !expired
        };
        if !self.twin.shards.iter().any(unsure) {
            return;
        }
        let listed: BTreeSet<_> = self
            .stream
            .shards()
            .iter()
            .map(|s| s.id().index())
            .collect();
        self.twin.look();
        for index in 0..self.twin.next_index() {
            let shard = self.twin.shard_mut(index);
            if unsure(shard) {
                shard.maybe_forgotten = false;
                if !listed.contains(&index) {
                    shard.forget();
                }
            }
        }
    }

    /// Tells the twin what it cannot know: where the oldest record is.
    fn settle(&mut self, index: u32) {
        if self.twin.is_unsure(index) {
            let metrics = self.shards[index as usize].metrics();
            self.observe(index, metrics.records_trimmed);
        }
    }

    fn settle_all(&mut self) {
        for index in 0..self.twin.next_index() {
            self.settle(index);
        }
    }

    fn observe(&mut self, index: u32, trimmed: u64) {
        self.twin.trim_expired(index);
        let shard = self.twin.shard_mut(index);
        let (least, horizon) = (shard.horizon, trimmed + 1);
        assert!(
            (least..=shard.horizon_max).contains(&horizon),
            "shard {index} begins at {horizon}, not {least} to {}",
            shard.horizon_max
        );
        (shard.horizon, shard.horizon_max) = (horizon, horizon);
    }

    /// Any shard that there was, or one that there never was.
    fn shard_index(&self, picked: usize) -> u32 {
        u32::try_from(picked).expect("a small number") % (self.twin.next_index() + 1)
    }

    /// The number that is meant, seen from a shard.
    fn number(&self, picked: u32, number: Number) -> SequenceNumber {
        let index = picked.min(self.twin.next_index() - 1);
        let shard = self.twin.shard(index);
        let (created, now) = (shard.created_secs, self.twin.now / 1_000);
        let start = self.twin.start_number(index);
        match number {
            Number::Back(back) => shard.back(back).map_or(start, |record| record.number),
            Number::OtherTime(back, secs) => match shard.back(back) {
                // Of a record that is gone nobody knows when it arrived.
                Some(record) if Parts::of(record.number).place >= shard.horizon_max => {
                    let parts = Parts::of(record.number);
                    let time = parts.time_secs.saturating_add_signed(i64::from(secs));
                    twin::number(created, index, parts.place, time)
                }
                _ => start,
            },
            Number::StartOfShard => start,
            Number::EndOfShard => twin::number(created, index, (1 << 63) - 1, now),
            Number::Future => twin::number(created, index, shard.next(), now),
            Number::OtherShard => twin::number(created, index + 1, 1, now),
            Number::OtherStream => twin::number(created + 1, index, 1, now),
        }
    }

    /// The time that is meant, seen from a shard.
    fn time(&self, picked: u32, time: Time) -> u64 {
        let now = self.twin.now;
        match time {
            Time::Ago(ms) => now.saturating_sub(ms),
            Time::Ahead(ms) => now + ms,
            Time::OfRecord(back, plus) => {
                let index = picked.min(self.twin.next_index() - 1);
                let record = self.twin.shard(index).back(back);
                let arrival = record.map_or(now, |record| record.arrival_ms);
                arrival.saturating_add_signed(i64::from(plus))
            }
        }
    }

    /// The index of a shard, for what is said without one.
    fn some_shard(&self, seed: usize) -> u32 {
        u32::try_from(seed % self.twin.shards.len()).expect("few shards")
    }

    fn finish(mut self) -> BTreeSet<&'static str> {
        self.settle_shards();
        let reads_are_limited = self.twin.rules.reads.is_some();
        for reader in 0..if reads_are_limited {
            0
        } else {
            self.iterators.len()
        } {
            while self.get(reader, 100, How::Now, false) > 0 {}
        }
        for subscription in 0..self.subscriptions.len() {
            while self.pull(subscription, 100, How::Now, false) > 0 {}
        }
        self.metrics();
        self.describe();
        let Self {
            stream,
            producer,
            clock,
            shards,
            iterators,
            subscriptions,
            held,
            data,
            seen,
            ..
        } = self;
        drop((stream, producer, clock, shards, iterators, subscriptions));
        for (batch, records) in &held {
            // It outlives the stream.
            same_records(batch, records);
        }
        drop(held);
        for (index, (drops, bytes)) in data.iter().enumerate() {
            let drops = drops.load(Ordering::Relaxed);
            assert_eq!(
                drops, 1,
                "data {index} of {bytes} bytes is dropped exactly once"
            );
        }
        seen
    }
}

/// Putting.
impl Run {
    /// New data, each with bytes of its own.
    fn make(&mut self, put: &Put) -> (Entry, Bytes) {
        let data_id = self.data.len();
        let data: Vec<u8> = (0..put.bytes)
            .map(|i| (i * 7 + data_id * 31) as u8)
            .collect();
        let drops = Arc::new(AtomicU32::new(0));
        self.data.push((Arc::clone(&drops), data.len()));
        let bytes = Bytes::from_owner(Counted {
            data: data.clone(),
            drops,
        });
        let sixteenth = |count: u8| u128::from(count) << 124;
        let hash_key = match put.to {
            To::ByKey => None,
            To::Sixteenths(count) => Some(sixteenth(count)),
            To::Below(count) => Some(sixteenth(count).wrapping_sub(1)),
        };
        let after = put
            .after
            .map(|number| self.number(self.some_shard(put.bytes), number));
        (
            Entry {
                key: put.key.text(),
                hash_key,
                after,
                data,
                data_id,
            },
            bytes,
        )
    }

    fn put(&mut self, put: &Put) {
        self.settle_for_put();
        let (entry, data) = self.make(put);
        let (key, data_id, data_bytes) = (entry.key.as_str(), entry.data_id, entry.data.len());
        let real = match (entry.after, entry.hash_key) {
            (Some(_), _) => self.producer.put_entry(real_entry(&entry, data)),
            (None, Some(hash)) => {
                self.producer
                    .put_record_with_hash_key(key, HashKey::new(hash), data)
            }
            // A key that is hashed already goes where the text goes.
            (None, None) if data_id % 2 == 0 && (1..=256).contains(&key.chars().count()) => {
                let key = PartitionKey::new(key).expect("the length is good");
                self.producer.put_record(&key, data)
            }
            (None, None) => self.producer.put_record(key, data),
        };
        let twin = self.twin.put(entry);
        let accepted = self.same_put(real, twin);
        // What was refused, or copied, is let go at once.
        if !accepted || data_bytes <= INLINE_BYTES_MAX {
            assert_eq!(
                self.data[data_id].0.load(Ordering::Relaxed),
                1,
                "nobody holds the data"
            );
        }
    }

    fn put_all(&mut self, puts: &[Put]) {
        self.settle_for_put();
        let (entries, data): (Vec<_>, Vec<_>) = puts.iter().map(|put| self.make(put)).unzip();
        let real_entries: Vec<_> = entries
            .iter()
            .zip(data)
            .map(|(entry, data)| real_entry(entry, data))
            .collect();
        let real = self.producer.put_records(real_entries);
        let twin = self.twin.put_all(entries);
        let Some((real, twin)) = self.agree(real, twin) else {
            return;
        };
        assert_eq!(real.records().len(), twin.len());
        let failed = twin.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(real.failed_record_count(), failed);
        if failed > 0 && failed < twin.len() {
            self.see("a part of a batch was refused");
        }
        for (real, twin) in real.into_iter().zip(twin) {
            self.same_put(real, twin);
        }
    }

    fn same_put(
        &mut self,
        real: Result<PutRecordOutput, Error>,
        twin: Result<(u32, SequenceNumber), Error>,
    ) -> bool {
        let Some((real, (index, number))) = self.agree(real, twin) else {
            return false;
        };
        assert_eq!(
            (real.shard_id(), real.sequence_number()),
            (id(index), number)
        );
        true
    }

    fn settle_for_put(&mut self) {
        if self.twin.closed {
            // Whether a refused put looks at the list of shards is left open.
            let _shards = self.stream.shards();
            self.twin.look();
        }
        if self.twin.rules.refuse_when_full {
            self.settle_all();
        }
    }
}

/// Reading one shard.
impl Run {
    fn open(&mut self, picked: usize, from: Start) {
        let index = self.shard_index(picked);
        if index < self.twin.next_index() {
            self.settle(index);
        }
        let position = match from {
            Start::TrimHorizon => Position::TrimHorizon,
            Start::Latest => Position::Latest,
            Start::At(number) => Position::At(self.number(index, number)),
            Start::After(number) => Position::After(self.number(index, number)),
            Start::Time(time) => Position::Time(self.time(index, time)),
        };
        let real = self
            .stream
            .shard_iterator(id(index), real_position(position));
        let twin = self.twin.open(index, position);
        if let Some(opened) = self.agree(real, twin) {
            assert_eq!(opened.0.shard_id(), id(index));
            keep(&mut self.iterators, opened);
        }
    }

    /// Reads, compares, and says whether there was any news.
    fn get(&mut self, picked: usize, limit: usize, how: How, hold: bool) -> usize {
        let Some((_, reader)) = pick(&mut self.iterators, picked) else {
            return 0;
        };
        let index = reader.shard;
        if reader.place < self.twin.shard(index).horizon_max {
            self.settle(index);
        }
        let (iterator, reader) = pick(&mut self.iterators, picked).expect("there is one");
        let real = match how {
            How::Now => iterator.get_records(limit).map(Some),
            How::Timeout => iterator
                .get_records_timeout(limit, Duration::ZERO)
                .map(Some),
            How::Async => poll_once(iterator.get_records_async(limit)),
        };
        if matches!(real, Ok(None)) && !self.twin.has_news(reader) {
            return 0;
        }
        let twin = self.twin.read(reader, limit);
        let Some((real, twin)) = self.agree(real, twin) else {
            return 0;
        };
        self.same_batch(index, real, twin, hold)
    }

    /// Compares a batch; `None` is a future that is not ready. Says how many records were read or
    /// missed.
    fn same_batch(
        &mut self,
        index: u32,
        real: Option<RecordBatch>,
        twin: Batch,
        hold: bool,
    ) -> usize {
        let Some(real) = real else {
            assert_eq!(twin, Batch::default(), "a future with news is ready");
            return 0;
        };
        assert_eq!(real.shard_id(), id(index));
        assert_eq!(
            real.missed_count(),
            twin.missed,
            "missed records of shard {index}"
        );
        same_records(&real, &twin.records);
        assert_eq!(real.millis_behind_latest(), twin.behind_ms);
        assert_eq!(real.shard_ended(), twin.ended);
        let children: Vec<_> = real
            .child_shards()
            .iter()
            .map(|c| c.shard_id().index())
            .collect();
        assert_eq!(children, twin.children);
        for child in real.child_shards() {
            let shard = self.twin.shard(child.shard_id().index());
            same_child(child, shard);
        }
        if twin.missed > 0 {
            self.see("a reader missed records");
        }
        if twin.ended && !twin.records.is_empty() {
            self.see("a shard ended with its last record");
        }
        if twin.behind_ms > 0 {
            self.see("a reader was behind");
        }
        let news = twin.records.len() + usize::try_from(twin.missed).expect("few records");
        if hold {
            keep(&mut self.held, (real, twin.records));
        }
        news
    }

    fn restore(&mut self, picked: usize) {
        let Some((iterator, reader)) = pick(&mut self.iterators, picked) else {
            return;
        };
        let (real, reader) = (iterator.position(), reader.clone());
        let twin = self.twin.position(&reader);
        match (real, twin) {
            (StartingPosition::AfterSequenceNumber(real), Position::After(twin)) => {
                let passed = Parts::of(twin).place;
                assert_eq!(Parts::of(real).place, passed);
                let shard = self.twin.shard(reader.shard);
                if passed == 0 || passed >= shard.horizon_max {
                    assert_eq!(real, twin);
                }
            }
            _ => assert_eq!(real, real_position(twin)),
        }
        let real = self.stream.shard_iterator(id(reader.shard), real);
        let twin = self.twin.open(reader.shard, twin);
        if let Some((restored, restored_reader)) = self.agree(real, twin) {
            assert_eq!(
                restored_reader.place, reader.place,
                "it goes on where it was"
            );
            let (iterator, _) = pick(&mut self.iterators, picked).expect("there is one");
            *iterator = restored;
        }
    }

    fn let_batches_go(&mut self) {
        for (batch, records) in std::mem::take(&mut self.held) {
            same_records(&batch, &records);
            let owned: Vec<_> = batch.into_iter().collect();
            assert_eq!(owned.len(), records.len());
            for (real, twin) in owned.iter().zip(&records) {
                assert_eq!(
                    (real.partition_key(), &real.data()[..]),
                    (&*twin.key, &twin.data[..])
                );
                assert_eq!(real.sequence_number(), twin.number);
                assert_eq!(
                    real.approximate_arrival_timestamp().as_millis(),
                    twin.arrival_ms
                );
            }
        }
    }
}

/// Splits, merges, retention.
impl Run {
    fn split(&mut self, picked: usize, at: At) {
        let index = self.shard_index(picked);
        let (start, end) = self
            .twin
            .shards
            .get(index as usize)
            .map_or((0, 99), |s| s.range);
        let key = match at {
            At::Part(part, of) => start + (end - start) / u128::from(of) * u128::from(part),
            At::FromStart(keys) => start.saturating_add(u128::from(keys)),
            At::FromEnd(keys) => end.saturating_sub(u128::from(keys)),
        };
        let real = self.stream.split_shard(id(index), HashKey::new(key));
        let twin = self.twin.split(index, key);
        if self.agree(real, twin).is_some() {
            self.see("a shard was split");
            self.meet_new_shards();
        }
    }

    fn merge(&mut self, picked: usize, other: Option<usize>) {
        let lower = self.shard_index(picked);
        let behind = || {
            let open = self.twin.open_by_range();
            let at = open.iter().position(|index| *index == lower)?;
            open.get(at + 1).copied()
        };
        let upper = match other {
            Some(other) => self.shard_index(other),
            None => behind().unwrap_or(lower),
        };
        let real = self.stream.merge_shards(id(lower), id(upper));
        let twin = self.twin.merge(lower, upper);
        if self.agree(real, twin).is_some() {
            self.see("shards were merged");
            self.meet_new_shards();
        }
    }

    fn update_shard_count(&mut self, target: u32) {
        let narrow = |index: &u32| {
            let (start, end) = self.twin.shard(*index).range;
            end - start < 1 << 20
        };
        // What becomes of shards of a few keys is the matter of the tests of resharding.
        if self.twin.open_by_range().iter().any(narrow) {
            return;
        }
        let before = self.twin.next_index();
        let real = self.stream.update_shard_count(target);
        let twin = self.twin.update_shard_count(target);
        if self.agree(real, twin).is_some() && self.twin.next_index() > before {
            self.see("the shard count was updated");
            self.meet_new_shards();
        }
    }

    /// Compares the shards after a reshard, and keeps handles of the new ones.
    fn meet_new_shards(&mut self) {
        let known = self.shards.len();
        let all = self.stream.shards();
        self.shards.extend(
            all.into_iter()
                .filter(|shard| shard.id().index() as usize >= known),
        );
        let indices: Vec<_> = self.shards.iter().map(|shard| shard.id().index()).collect();
        assert_eq!(indices, (0..self.twin.next_index()).collect::<Vec<_>>());
        self.twin.look();
        self.same_shards();
    }

    /// Compares all that shards say of themselves.
    fn same_shards(&self) {
        for (real, index) in self.shards.iter().zip(0..) {
            let twin = self.twin.shard(index);
            assert_eq!(real.id(), id(index));
            assert_eq!(range(real.hash_key_range()), twin.range);
            assert_eq!(real.is_open(), twin.closed.is_none(), "shard {index}");
            let parents = [real.parent_shard_id(), real.adjacent_parent_shard_id()];
            let parents: Vec<_> = parents.into_iter().flatten().map(|p| p.index()).collect();
            assert_eq!(parents, twin.parents);
            assert_eq!(
                real.starting_sequence_number(),
                self.twin.start_number(index)
            );
            assert_eq!(
                real.ending_sequence_number(),
                self.twin.end_number(index),
                "{index}"
            );
            let children = real.child_shards();
            let indices: Vec<_> = children
                .iter()
                .map(|child| child.shard_id().index())
                .collect();
            assert_eq!(indices, twin.children);
            for child in &children {
                same_child(child, self.twin.shard(child.shard_id().index()));
            }
        }
    }

    fn set_retention(&mut self, ms: u64) {
        let real = self.stream.set_retention(Duration::from_millis(ms));
        if !(1..=365 * twin::DAY_MS).contains(&ms) {
            let refused = matches!(
                real,
                Err(Error::InvalidSetting {
                    setting: "retention",
                    ..
                })
            );
            assert!(refused, "{real:?}");
            self.see("InvalidSetting");
            return;
        }
        real.expect("a good retention is taken");
        self.twin.set_retention(ms);
        assert_eq!(self.stream.retention(), Duration::from_millis(ms));
    }
}

/// What the stream says of itself.
impl Run {
    fn list(&mut self, filter: Filter) {
        let now = self.twin.now;
        let timestamp = Timestamp::from_millis;
        let time = |time| match time {
            Time::OfRecord(back, _) => self.time(self.some_shard(back), time),
            _ => self.time(0, time),
        };
        let (real, twin) = match filter {
            Filter::AfterShardId(picked) => {
                let after = self.shard_index(picked);
                let mut listed = self.twin.visible();
                listed.retain(|index| *index > after);
                (ShardFilter::AfterShardId(id(after)), Ok(listed))
            }
            // Any time before the trim horizon is the trim horizon.
            Filter::AtTrimHorizon => (ShardFilter::AtTrimHorizon, Ok(self.twin.open_at(0))),
            Filter::FromTrimHorizon => (ShardFilter::FromTrimHorizon, Ok(self.twin.visible())),
            Filter::AtLatest => {
                let mut listed = self.twin.visible();
                listed.retain(|index| self.twin.shard(*index).closed.is_none());
                (ShardFilter::AtLatest, Ok(listed))
            }
            Filter::AtTimestamp(at) | Filter::FromTimestamp(at) => {
                let at_time = matches!(filter, Filter::AtTimestamp(_));
                let time = time(at);
                let twin = match time > now {
                    true => Err(twin::in_future(time, now)),
                    false if at_time => Ok(self.twin.open_at(time)),
                    false => Ok(self.twin.open_since(time)),
                };
                match at_time {
                    true => (ShardFilter::AtTimestamp(timestamp(time)), twin),
                    false => (ShardFilter::FromTimestamp(timestamp(time)), twin),
                }
            }
        };
        let listed = self.stream.list_shards(real);
        self.twin.look();
        if let Some((listed, twin)) = self.agree(listed, twin) {
            let listed: Vec<_> = listed.iter().map(|shard| shard.id().index()).collect();
            assert_eq!(listed, twin, "{real:?}");
        }
    }

    fn describe(&mut self) {
        let real = self.stream.describe();
        let visible = self.twin.visible();
        assert_eq!(real.name, STREAM);
        assert_eq!(real.status, StreamStatus::Active);
        assert_eq!(real.created, Timestamp::from_millis(START_MS));
        assert_eq!(
            real.retention,
            Duration::from_millis(self.twin.retention_ms)
        );
        assert_eq!(real.open_shard_count, self.twin.open_by_range().len());
        let listed: Vec<_> = real.shards.iter().map(|shard| shard.id().index()).collect();
        assert_eq!(listed, visible);
        if visible.len() < self.twin.shards.len() {
            self.see("a shard was forgotten");
        }
        self.same_shards();
    }

    fn metrics(&mut self) {
        let real = self.stream.metrics();
        let visible = self.twin.visible();
        let listed: Vec<_> = real
            .shards
            .iter()
            .map(|shard| shard.shard_id.index())
            .collect();
        assert_eq!(listed, visible);
        for metrics in &real.shards {
            self.same_metrics(metrics);
        }
        assert_eq!(real.records_in(), real.sum(|shard| shard.records_in));
        let retained = visible
            .iter()
            .map(|index| self.twin.shard(*index).retained().len() as u64);
        assert_eq!(real.records_retained(), retained.sum::<u64>());
        let ages = real.shards.iter().filter_map(|shard| shard.oldest_age_ms);
        assert_eq!(real.oldest_age_ms(), ages.max());
        self.check_data();
    }

    fn same_metrics(&mut self, real: &ShardMetrics) {
        let index = real.shard_id.index();
        self.observe(index, real.records_trimmed);
        let bytes = |records: &[Record]| records.iter().map(Record::bytes).sum::<u64>();
        let twin = self.twin.shard(index);
        assert_eq!(real.open, twin.closed.is_none());
        assert_eq!(real.records_in, twin.records.len() as u64);
        assert_eq!(real.bytes_in, bytes(&twin.records));
        assert_eq!(real.records_out, twin.records_out);
        assert_eq!(real.bytes_out, twin.bytes_out);
        assert_eq!(real.records_retained, twin.retained().len() as u64);
        assert_eq!(real.bytes_retained, bytes(twin.retained()));
        assert_eq!(real.bytes_trimmed, bytes(twin.trimmed()));
        assert_eq!(real.puts_throttled, twin.puts_throttled);
        assert_eq!(real.reads_throttled, twin.reads_throttled);
        let oldest = twin.retained().first();
        let age = oldest.map(|oldest| self.twin.now.saturating_sub(oldest.arrival_ms));
        assert_eq!(real.oldest_age_ms, age);
        if self.subscriptions.is_empty() {
            assert_eq!(real.waiting_readers, 0, "no reader waits");
        }
        if oldest.is_some() && twin.horizon > 1 {
            self.see("a part of a shard was trimmed");
        }
    }

    /// Data that can be read is held; of what was trimmed, not more than the promise of
    /// `StreamBuilder::capacity_bytes` allows.
    fn check_data(&self) {
        let drops = |id: usize| self.data[id].0.load(Ordering::Relaxed);
        let held_back = self
            .twin
            .rules
            .capacity_bytes
            .div_ceil(16)
            .clamp(64 * 1024, 4 << 20);
        for (index, shard) in self.twin.shards.iter().enumerate() {
            let is_large = |record: &&Record| record.data.len() > INLINE_BYTES_MAX;
            // What nobody has looked at may be gone.
            let surely = shard.records.iter().skip((shard.horizon_max - 1) as usize);
            for record in surely.filter(is_large) {
                assert_eq!(
                    drops(record.data_id),
                    0,
                    "retained data of shard {index} is held"
                );
            }
            let trimmed = shard.trimmed().iter().filter(is_large);
            let held = trimmed.filter(|record| drops(record.data_id) == 0);
            let bytes: u64 = held.map(Record::bytes).sum();
            if self.held.is_empty() {
                assert!(
                    bytes <= held_back + 2_000,
                    "{bytes} trimmed bytes of {index} are held"
                );
            }
        }
    }
}

/// Reading all shards.
impl Run {
    fn subscribe(&mut self, from: SubscribeFrom) {
        // A subscription looks at shards of which it tells nothing, and each look counts.
        if self.twin.rules.reads.is_some() {
            return;
        }
        self.settle_all();
        let now = self.twin.now;
        if !matches!(from, SubscribeFrom::Number) {
            self.twin.look();
        }
        let (position, listed) = match from {
            SubscribeFrom::TrimHorizon => (Position::TrimHorizon, Ok(self.twin.visible())),
            SubscribeFrom::Latest => (Position::Latest, Ok(self.twin.open_by_range())),
            SubscribeFrom::Time(time) => {
                let time = match time {
                    Time::OfRecord(back, _) => self.time(self.some_shard(back), time),
                    _ => self.time(0, time),
                };
                let listed = match time > now {
                    true => Err(twin::in_future(time, now)),
                    false => Ok(self.twin.open_since(time)),
                };
                (Position::Time(time), listed)
            }
            SubscribeFrom::Number => {
                let number = self.twin.start_number(0);
                (
                    Position::At(number),
                    Err(Error::SequenceNumberForSubscription),
                )
            }
        };
        let real = self.stream.subscribe(real_position(position));
        let Some((real, listed)) = self.agree(real, listed) else {
            return;
        };
        let readers = listed.into_iter().map(|shard| {
            let place = match position {
                Position::Latest => self.twin.shard(shard).next(),
                Position::Time(time) => self.twin.place_at_time(shard, time),
                _ => {
                    self.twin.trim_expired(shard);
                    self.twin.shard(shard).horizon
                }
            };
            Reader { shard, place }
        });
        let readers = readers.collect();
        let twin = twin::Subscription::new(&self.twin, readers);
        keep(&mut self.subscriptions, (real, twin));
    }

    fn pull(&mut self, picked: usize, limit: usize, how: How, hold: bool) -> usize {
        if self.subscriptions.is_empty() {
            return 0;
        }
        self.settle_all();
        let (real, readers) = pick(&mut self.subscriptions, picked).expect("there is one");
        let batch = match how {
            How::Now => real.get_records(limit).map(Some),
            How::Timeout => real.get_records_timeout(limit, Duration::ZERO).map(Some),
            How::Async => poll_once(real.get_records_async(limit)),
        };
        if !(1..=10_000).contains(&limit) {
            assert_eq!(
                batch.expect_err("no such limit"),
                Error::InvalidLimit { limit }
            );
            return 0;
        }
        let batch = batch.expect("the shards can be read");
        readers.pass_ended(&self.twin);
        let batch = batch.filter(|batch| !batch.is_empty() || batch.missed_count() > 0);
        let Some(batch) = batch else {
            for reader in readers.begun.values() {
                let next = self.twin.shard(reader.shard).next();
                assert_eq!(reader.place, next, "shard {} has records", reader.shard);
            }
            assert_eq!(real.is_finished(), readers.is_finished());
            return 0;
        };
        let index = batch.shard_id().index();
        let begun = readers.begun.get_mut(&index);
        let reader = begun.unwrap_or_else(|| panic!("shard {index} must not be read now"));
        let twin = self
            .twin
            .read(reader, limit)
            .expect("reads are not limited");
        if twin.ended {
            readers.finish(&self.twin, index);
        }
        if real.is_finished() {
            readers.pass_ended(&self.twin);
            assert!(readers.is_finished(), "there are shards to read");
        }
        if !self.twin.shard(index).parents.is_empty() {
            self.see("a subscription read a child");
        }
        self.same_batch(index, Some(batch), twin, hold)
    }
}

fn same_records(real: &RecordBatch, twin: &[Record]) {
    assert_eq!(real.len(), twin.len(), "records of {}", real.shard_id());
    let mut owned = real.records();
    for (view, twin) in real.iter().zip(twin) {
        assert_eq!(view.sequence_number(), twin.number);
        assert_eq!(
            view.approximate_arrival_timestamp().as_millis(),
            twin.arrival_ms
        );
        assert_eq!(view.partition_key(), twin.key);
        assert!(
            view.data() == twin.data,
            "the data of {} is what was put",
            twin.number
        );
        assert_eq!(view.shard_id(), real.shard_id());
        let owned = owned.next().expect("as many records as views");
        assert_eq!(owned.sequence_number(), twin.number);
        assert!(owned.data()[..] == twin.data && owned.partition_key() == twin.key);
    }
    assert!(owned.next().is_none());
}

fn same_child(real: &brooklet::ChildShard, twin: &twin::Shard) {
    let parents: Vec<_> = real
        .parent_shards()
        .iter()
        .map(|parent| parent.index())
        .collect();
    assert_eq!(
        (parents, range(real.hash_key_range())),
        (twin.parents.clone(), twin.range)
    );
}

fn range(range: brooklet::HashKeyRange) -> (u128, u128) {
    (range.start().get(), range.end().get())
}

fn real_position(position: Position) -> StartingPosition {
    match position {
        Position::TrimHorizon => StartingPosition::TrimHorizon,
        Position::Latest => StartingPosition::Latest,
        Position::At(number) => StartingPosition::AtSequenceNumber(number),
        Position::After(number) => StartingPosition::AfterSequenceNumber(number),
        Position::Time(time) => StartingPosition::AtTimestamp(Timestamp::from_millis(time)),
    }
}

fn real_entry(entry: &Entry, data: Bytes) -> PutEntry<'static> {
    let mut real = PutEntry::new(entry.key.clone(), data);
    if let Some(hash) = entry.hash_key {
        real = real.explicit_hash_key(HashKey::new(hash));
    }
    if let Some(after) = entry.after {
        real = real.sequence_number_for_ordering(after);
    }
    real
}

/// What a future gives at once; `None` if it is not ready.
fn poll_once<T>(future: impl Future<Output = Result<T, Error>>) -> Result<Option<T>, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map(Some),
        Poll::Pending => Ok(None),
    }
}

fn pick<T>(all: &mut [T], picked: usize) -> Option<&mut T> {
    let count = all.len();
    all.get_mut(picked.checked_rem(count)?)
}

fn keep<T>(all: &mut Vec<T>, new: T) {
    if all.len() == HELD_MAX {
        all.remove(0);
    }
    all.push(new);
}

fn discard<T>(all: &mut Vec<T>, picked: usize) {
    if let Some(index) = picked.checked_rem(all.len()) {
        all.remove(index);
    }
}

fn limits(plan: LimitsPlan) -> Limits {
    let writes = Limits::unlimited()
        .write_bytes_per_second(Some(WRITE_BYTES))
        .write_records_per_second(Some(WRITE_RECORDS));
    match plan {
        LimitsPlan::Unlimited => Limits::unlimited(),
        LimitsPlan::Writes => writes,
        LimitsPlan::Everything => writes
            .read_bytes_per_second(Some(READ_BYTES))
            .get_records_per_second(Some(READ_CALLS))
            .get_shard_iterator_per_second(Some(ITERATORS))
            .put_records_entries_max(Some(ENTRIES_MAX))
            .put_records_bytes_max(Some(ENTRIES_BYTES_MAX))
            .shard_count_doubling(true)
            .update_shard_count_per_day(Some(COUNT_CHANGES)),
    }
}

fn rules(plan: &Plan) -> Rules {
    let everything = plan.limits == LimitsPlan::Everything;
    let record_bytes_max = plan.record_bytes_max.unwrap_or(1024 * 1024);
    Rules {
        capacity_records: plan.capacity_records.unwrap_or(u64::MAX),
        capacity_bytes: plan.capacity_bytes.unwrap_or(256 * 1024 * 1024),
        refuse_when_full: plan.refuse_when_full,
        record_bytes_max,
        writes: (plan.limits != LimitsPlan::Unlimited).then(|| Writes {
            bytes: Bucket::new(WRITE_BYTES, WRITE_BYTES),
            records: Bucket::new(WRITE_RECORDS, WRITE_RECORDS),
        }),
        reads: everything.then(|| Reads {
            calls: Bucket::new(READ_CALLS, READ_CALLS),
            iterators: Bucket::new(ITERATORS, ITERATORS),
            bytes_per_second: READ_BYTES,
            second_ms: 0,
            second_bytes: 0,
            blocked_until_us: 0,
        }),
        entries_max: everything.then_some(ENTRIES_MAX),
        entries_bytes_max: everything.then_some(ENTRIES_BYTES_MAX),
        doubling: everything,
        count_changes_max: everything.then_some(COUNT_CHANGES),
    }
}

/// The name of an error that a case is to see.
fn name_of(error: &Error) -> &'static str {
    match error {
        Error::InvalidPartitionKey { .. } => "InvalidPartitionKey",
        Error::RecordTooLarge { .. } => "RecordTooLarge",
        Error::TooManyEntries { .. } => "TooManyEntries",
        Error::EntriesTooLarge { .. } => "EntriesTooLarge",
        Error::OrderingInFuture { .. } => "OrderingInFuture",
        Error::InvalidLimit { .. } => "InvalidLimit",
        Error::StreamClosed { .. } => "StreamClosed",
        Error::ShardNotFound { .. } => "ShardNotFound",
        Error::ShardClosed { .. } => "ShardClosed",
        Error::InvalidSplit { .. } => "InvalidSplit",
        Error::ShardsNotAdjacent { .. } => "ShardsNotAdjacent",
        Error::InvalidShardCount { .. } => "InvalidShardCount",
        Error::ShardCountStep { .. } => "ShardCountStep",
        Error::ShardCountChanges { .. } => "ShardCountChanges",
        Error::SequenceNumberOfOtherShard { .. } => "SequenceNumberOfOtherShard",
        Error::SequenceNumberOfOtherStream { .. } => "SequenceNumberOfOtherStream",
        Error::SequenceNumberInFuture { .. } => "SequenceNumberInFuture",
        Error::TimestampInFuture { .. } => "TimestampInFuture",
        Error::SequenceNumberForSubscription => "SequenceNumberForSubscription",
        Error::WriteThrottled { .. } => "WriteThrottled",
        Error::ReadThrottled { .. } => "ReadThrottled",
        Error::ShardFull { .. } => "ShardFull",
        other => panic!("no operation of a case gives {other:?}"),
    }
}

/// All that a long run is to have seen.
pub const TO_BE_SEEN: [&str; 34] = [
    "InvalidPartitionKey",
    "RecordTooLarge",
    "TooManyEntries",
    "EntriesTooLarge",
    "OrderingInFuture",
    "InvalidLimit",
    "InvalidSetting",
    "StreamClosed",
    "ShardNotFound",
    "ShardClosed",
    "InvalidSplit",
    "ShardsNotAdjacent",
    "InvalidShardCount",
    "ShardCountStep",
    "ShardCountChanges",
    "SequenceNumberOfOtherShard",
    "SequenceNumberOfOtherStream",
    "SequenceNumberInFuture",
    "TimestampInFuture",
    "SequenceNumberForSubscription",
    "WriteThrottled",
    "ReadThrottled",
    "ShardFull",
    "a part of a batch was refused",
    "a part of a shard was trimmed",
    "a reader missed records",
    "a reader was behind",
    "a shard ended with its last record",
    "a shard was forgotten",
    "a shard was split",
    "a subscription read a child",
    "shards were merged",
    "the clock stepped back",
    "the shard count was updated",
];
