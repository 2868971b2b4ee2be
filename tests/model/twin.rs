//! The twin: what a stream does, said as plainly as possible. It keeps everything in lists, throws
//! nothing away, and shares no code with the crate but the types of its answers.
//!
//! What the crate leaves open is left open here, too: *when* expired records are trimmed (at the
//! latest when somebody asks), and how much more than needed a capacity in bytes trims (a 64th of
//! it at most). A shard therefore has two horizons, the least and the greatest that it may have;
//! [`Twin::is_unsure`] says when they matter, and whoever drives the twin tells it then what is so.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU32;

use brooklet::{Error, SequenceNumber, ShardId, Timestamp};
use md5::{Digest, Md5};

use crate::limits::{Reads, Writes};

pub const STREAM: &str = "orders";
pub const DAY_MS: u64 = 86_400_000;
const READ_BYTES_MAX: u64 = 10 * 1024 * 1024;

pub struct Twin {
    pub now: u64,
    pub created_ms: u64,
    pub retention_ms: u64,
    pub rules: Rules,
    /// Every shard that there ever was, by its index.
    pub shards: Vec<Shard>,
    pub closed: bool,
    /// The greatest cutoff at which somebody looked at the list of shards: it never goes back.
    pub list_horizon_ms: u64,
    count_changes: Vec<u64>,
}

/// The settings that do not change.
pub struct Rules {
    pub capacity_records: u64,
    pub capacity_bytes: u64,
    pub refuse_when_full: bool,
    pub record_bytes_max: usize,
    pub writes: Option<Writes>,
    pub reads: Option<Reads>,
    pub entries_max: Option<usize>,
    pub entries_bytes_max: Option<u64>,
    pub doubling: bool,
    pub count_changes_max: Option<u32>,
}

pub struct Shard {
    pub range: (u128, u128),
    pub parents: Vec<u32>,
    pub children: Vec<u32>,
    pub created_ms: u64,
    pub created_secs: u64,
    pub closed: Option<Moment>,
    /// Nobody finds it any more. `maybe_forgotten`: it was time to, and perhaps nobody looked.
    pub forgotten: bool,
    pub maybe_forgotten: bool,
    /// Every record ever accepted: the one at place `p` is `records[p - 1]`.
    pub records: Vec<Record>,
    /// Place of the oldest retained record: at least, and at most.
    pub horizon: u64,
    pub horizon_max: u64,
    pub records_out: u64,
    pub bytes_out: u64,
    pub puts_throttled: u64,
    pub reads_throttled: u64,
    writes: Option<Writes>,
    reads: Option<Reads>,
}

/// A time in milliseconds, and the second that sequence numbers say for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub ms: u64,
    pub secs: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub number: SequenceNumber,
    pub arrival_ms: u64,
    pub key: String,
    pub data: Vec<u8>,
    /// Which data it is, for whoever counts what is dropped.
    pub data_id: usize,
}

/// What is put.
#[derive(Clone)]
pub struct Entry {
    pub key: String,
    pub hash_key: Option<u128>,
    pub after: Option<SequenceNumber>,
    pub data: Vec<u8>,
    pub data_id: usize,
}

/// A reader of one shard; at place 0 it asks for the trim horizon, whichever that will be.
#[derive(Clone, Debug)]
pub struct Reader {
    pub shard: u32,
    pub place: u64,
}

/// What a read gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<Record>,
    pub missed: u64,
    pub behind_ms: u64,
    pub ended: bool,
    pub children: Vec<u32>,
}

impl Twin {
    pub fn new(now: u64, retention_ms: u64, shard_count: NonZeroU32, rules: Rules) -> Self {
        let mut twin = Self {
            now,
            created_ms: now,
            retention_ms,
            rules,
            shards: Vec::new(),
            closed: false,
            list_horizon_ms: 0,
            count_changes: Vec::new(),
        };
        for range in uniform_ranges(shard_count.get()) {
            twin.create(
                range,
                vec![],
                Moment {
                    ms: now,
                    secs: now / 1_000,
                },
            );
        }
        twin
    }

    pub fn next_index(&self) -> u32 {
        u32::try_from(self.shards.len()).expect("few shards")
    }

    pub fn shard(&self, index: u32) -> &Shard {
        &self.shards[index as usize]
    }

    pub fn shard_mut(&mut self, index: u32) -> &mut Shard {
        &mut self.shards[index as usize]
    }

    /// What arrived before has expired.
    pub fn cutoff(&self) -> u64 {
        self.now.saturating_sub(self.retention_ms)
    }

    /// Place of the first record that has not expired now.
    pub fn unexpired(&self, index: u32) -> u64 {
        let cutoff = self.cutoff();
        let records = &self.shard(index).records;
        place(
            records
                .iter()
                .take_while(|record| record.arrival_ms < cutoff)
                .count(),
        )
    }

    /// What has expired now may be gone from now on, whether or not anybody looks.
    pub fn let_expire(&mut self) {
        for index in 0..self.next_index() {
            let (unexpired, cutoff) = (self.unexpired(index), self.cutoff());
            let shard = self.shard_mut(index);
            shard.horizon_max = shard.horizon_max.max(unexpired);
            shard.maybe_forgotten |= shard.closed.is_some_and(|closed| closed.ms < cutoff);
        }
    }

    /// Whether it is open where the shard's oldest record is, even to one who looks now.
    pub fn is_unsure(&self, index: u32) -> bool {
        let shard = self.shard(index);
        shard.horizon.max(self.unexpired(index)) < shard.horizon_max
    }

    /// Somebody looks: what has expired is trimmed.
    pub fn trim_expired(&mut self, index: u32) {
        let unexpired = self.unexpired(index);
        self.shard_mut(index).trim_to(unexpired);
    }

    /// Somebody looks at the list of shards: those closed before the cutoff are forgotten, with all
    /// their records.
    pub fn look(&mut self) {
        self.list_horizon_ms = self.list_horizon_ms.max(self.cutoff());
        for shard in &mut self.shards {
            if shard
                .closed
                .is_some_and(|closed| closed.ms < self.list_horizon_ms)
            {
                shard.forget();
            }
        }
    }

    /// The shards that have not expired, by their index.
    pub fn visible(&mut self) -> Vec<u32> {
        self.look();
        (0..self.next_index())
            .filter(|index| !self.shard(*index).forgotten)
            .collect()
    }

    pub fn open_by_range(&self) -> Vec<u32> {
        let all = 0..self.next_index();
        let mut open: Vec<_> = all
            .filter(|index| self.shard(*index).closed.is_none())
            .collect();
        open.sort_by_key(|index| self.shard(*index).range);
        open
    }

    pub fn start_number(&self, index: u32) -> SequenceNumber {
        let created = self.shard(index).created_secs;
        number(created, index, 0, created)
    }

    pub fn end_number(&self, index: u32) -> Option<SequenceNumber> {
        let shard = self.shard(index);
        let closed = shard.closed?;
        Some(number(
            shard.created_secs,
            index,
            0x7fff_ffff_ffff_ffff,
            closed.secs,
        ))
    }

    fn create(&mut self, range: (u128, u128), parents: Vec<u32>, at: Moment) -> u32 {
        let index = self.next_index();
        self.shards.push(Shard {
            range,
            parents,
            children: Vec::new(),
            created_ms: at.ms,
            created_secs: at.secs,
            closed: None,
            forgotten: false,
            maybe_forgotten: false,
            records: Vec::new(),
            horizon: 1,
            horizon_max: 1,
            records_out: 0,
            bytes_out: 0,
            puts_throttled: 0,
            reads_throttled: 0,
            writes: self.rules.writes.clone(),
            reads: self.rules.reads.clone(),
        });
        index
    }
}

/// Putting.
impl Twin {
    pub fn put(&mut self, entry: Entry) -> Result<(u32, SequenceNumber), Error> {
        self.check_ordering(&entry)?;
        self.check_entry(&entry)?;
        let index = self.route(&entry)?;
        self.append(index, entry)
    }

    #[expect(clippy::type_complexity, reason = "an answer, or one for each entry")]
    pub fn put_all(
        &mut self,
        entries: Vec<Entry>,
    ) -> Result<Vec<Result<(u32, SequenceNumber), Error>>, Error> {
        for entry in &entries {
            self.check_entry(entry)?;
            self.check_ordering(entry)?;
        }
        if let Some(limit) = self
            .rules
            .entries_max
            .filter(|limit| entries.len() > *limit)
        {
            return Err(Error::TooManyEntries {
                entries: entries.len(),
                limit,
            });
        }
        let bytes = entries.iter().map(Entry::bytes).sum();
        if let Some(limit_bytes) = self.rules.entries_bytes_max.filter(|limit| bytes > *limit) {
            return Err(Error::EntriesTooLarge { bytes, limit_bytes });
        }
        let routes = entries.iter().map(|entry| self.route(entry));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        let routed = routes.into_iter().zip(entries);
        Ok(routed
            .map(|(index, entry)| self.append(index, entry))
            .collect())
    }

    /// The open shard that takes an entry.
    pub fn route(&self, entry: &Entry) -> Result<u32, Error> {
        let hash = entry.hash_key.unwrap_or_else(|| hash_of(&entry.key));
        let holds = |index: &u32| {
            let (start, end) = self.shard(*index).range;
            start <= hash && hash <= end
        };
        let closed = || Error::StreamClosed {
            stream: STREAM.to_owned(),
        };
        self.open_by_range()
            .into_iter()
            .find(holds)
            .ok_or_else(closed)
    }

    fn check_entry(&self, entry: &Entry) -> Result<(), Error> {
        let chars = entry.key.chars().count();
        if !(1..=256).contains(&chars) {
            return Err(Error::InvalidPartitionKey { chars });
        }
        let data_bytes = entry.data.len();
        let fits = |data_bytes: usize| {
            data_bytes <= self.rules.record_bytes_max
                && charge(entry.key.len(), data_bytes) <= self.rules.capacity_bytes
        };
        if !fits(data_bytes) {
            let limit_bytes = (0..data_bytes)
                .rev()
                .find(|bytes| fits(*bytes))
                .unwrap_or(0);
            return Err(Error::RecordTooLarge {
                data_bytes,
                limit_bytes,
            });
        }
        Ok(())
    }

    /// A number to come after is of the past, or of a record that is there.
    fn check_ordering(&mut self, entry: &Entry) -> Result<(), Error> {
        let Some(after) = entry.after else {
            return Ok(());
        };
        let parts = Parts::of(after);
        if parts.time_secs <= self.now / 1_000 {
            return Ok(());
        }
        let given = self.visible().contains(&parts.index) && {
            let shard = self.shard(parts.index);
            shard.created_secs == parts.created_secs && parts.place < shard.next()
        };
        if given {
            Ok(())
        } else {
            Err(Error::OrderingInFuture {
                sequence_number: after,
            })
        }
    }

    fn append(&mut self, index: u32, entry: Entry) -> Result<(u32, SequenceNumber), Error> {
        let (stream, shard_id) = (STREAM.to_owned(), id(index));
        let charge = charge(entry.key.len(), entry.data.len());
        if self.rules.refuse_when_full && self.is_full_for(index, charge) {
            // It has looked whether anything has expired.
            self.trim_expired(index);
            return Err(Error::ShardFull { stream, shard_id });
        }
        let now = self.now;
        let shard = self.shard_mut(index);
        if let Some(writes) = &mut shard.writes
            && !writes.admits(now, entry.bytes())
        {
            shard.puts_throttled += 1;
            return Err(Error::WriteThrottled { stream, shard_id });
        }
        let arrival_ms = shard.last_arrival().max(now);
        let time_secs = shard.created_secs.max(arrival_ms / 1_000);
        let number = number(shard.created_secs, index, shard.next(), time_secs);
        let Entry {
            key, data, data_id, ..
        } = entry;
        shard.records.push(Record {
            number,
            arrival_ms,
            key,
            data,
            data_id,
        });
        self.trim_to_capacity(index);
        Ok((index, number))
    }

    /// Whether one more record would be too much even without those that have expired.
    fn is_full_for(&self, index: u32, charge: u64) -> bool {
        let shard = self.shard(index);
        let retained = shard.from(shard.horizon_max);
        retained.len() as u64 + 1 > self.rules.capacity_records
            || charges(retained) + charge > self.rules.capacity_bytes
    }

    /// Trims what is over the capacity: as little as needed where records are counted, and perhaps
    /// more where bytes are.
    fn trim_to_capacity(&mut self, index: u32) {
        let (records, bytes) = (self.rules.capacity_records, self.rules.capacity_bytes);
        let shard = self.shard_mut(index);
        while charges(shard.retained()) > bytes || shard.retained().len() as u64 > records {
            shard.trim_to(shard.horizon + 1);
        }
        shard.horizon_max = shard.horizon_max.max(greatest_horizon(shard, bytes));
    }
}

/// The furthest that capacity in bytes may trim. Besides the records it counts the memory that they
/// leave free, because the next one did not fit in: less than that one takes there. A 64th of the
/// capacity is trimmed at once.
fn greatest_horizon(shard: &Shard, bytes: u64) -> u64 {
    let newest = shard.next() - 1;
    let retained = shard.retained();
    let counted = |records: &[Record]| {
        let inside = records
            .iter()
            .skip(1)
            .map(|record| record.charge().min(2_048));
        charges(records) + inside.sum::<u64>()
    };
    if counted(retained) <= bytes - bytes / 64 {
        return shard.horizon;
    }
    // Memory is left for other reasons, too, and with more of it free.
    let arrivals = retained.first().zip(retained.last());
    let pause_ms = arrivals.map_or(0, |(first, last)| last.arrival_ms - first.arrival_ms);
    let large = retained.iter().filter(|record| record.data.len() > 512);
    let large_bytes: u64 = large.map(Record::bytes).sum();
    if pause_ms >= 1 << 28 || large_bytes >= 32 * 1024 {
        return newest;
    }
    let mut greatest = shard.horizon;
    while greatest < newest && counted(shard.from(greatest)) > bytes - bytes / 64 {
        greatest += 1;
    }
    greatest
}

/// Reading.
impl Twin {
    /// Where a position is in a shard that can be found.
    pub fn open(&mut self, index: u32, from: Position) -> Result<Reader, Error> {
        let now = self.now;
        self.look();
        if self
            .shards
            .get(index as usize)
            .is_none_or(|shard| shard.forgotten)
        {
            let stream = STREAM.to_owned();
            return Err(Error::ShardNotFound {
                stream,
                shard_id: id(index),
            });
        }
        let shard = self.shard_mut(index);
        if let Some(reads) = &mut shard.reads
            && !reads.iterators.try_one(now)
        {
            return Err(shard.throttle_read(index));
        }
        let place = match from {
            Position::TrimHorizon => 0,
            Position::Latest => shard.next(),
            Position::At(number) => self.place_of(index, number, false)?,
            Position::After(number) => self.place_of(index, number, true)?,
            Position::Time(time) if time > now => return Err(in_future(time, now)),
            Position::Time(time) => self.place_at_time(index, time),
        };
        Ok(Reader {
            shard: index,
            place,
        })
    }

    fn place_of(&self, index: u32, number: SequenceNumber, after: bool) -> Result<u64, Error> {
        let (shard, parts) = (self.shard(index), Parts::of(number));
        let (sequence_number, shard_id) = (number, id(index));
        if parts.index != index {
            let encoded = id(parts.index);
            return Err(Error::SequenceNumberOfOtherShard {
                sequence_number,
                encoded,
                shard_id,
            });
        }
        if parts.created_secs != shard.created_secs {
            let stream = STREAM.to_owned();
            return Err(Error::SequenceNumberOfOtherStream {
                sequence_number,
                stream,
            });
        }
        if parts.place >= shard.next() {
            let closed = shard.closed.map(|_| shard.next());
            return closed.ok_or(Error::SequenceNumberInFuture {
                sequence_number,
                shard_id,
            });
        }
        if parts.place == 0 {
            return Ok(1);
        }
        let record = shard.at(parts.place).number;
        let passed = if after {
            record <= number
        } else {
            record < number
        };
        Ok(parts.place + u64::from(passed))
    }

    /// The first retained record that arrived at a time or later.
    pub fn place_at_time(&mut self, index: u32, time: u64) -> u64 {
        self.trim_expired(index);
        let shard = self.shard(index);
        let earlier = shard
            .records
            .iter()
            .take_while(|record| record.arrival_ms < time)
            .count();
        place(earlier).max(shard.horizon)
    }

    /// Whether a reader that waits has something to wake for: until then it pulls nothing, which
    /// the limits would count.
    pub fn has_news(&self, reader: &Reader) -> bool {
        let shard = self.shard(reader.shard);
        shard.next() > reader.place.max(1) || shard.closed.is_some()
    }

    pub fn read(&mut self, reader: &mut Reader, limit: usize) -> Result<Batch, Error> {
        if !(1..=10_000).contains(&limit) {
            return Err(Error::InvalidLimit { limit });
        }
        let (index, now, unexpired) = (reader.shard, self.now, self.unexpired(reader.shard));
        let shard = self.shard_mut(index);
        if let Some(reads) = &mut shard.reads
            && !reads.admits(now)
        {
            return Err(shard.throttle_read(index));
        }
        let mut batch = Batch::default();
        if reader.place < unexpired {
            shard.trim_to(unexpired);
        }
        if reader.place < shard.horizon {
            batch.missed = if reader.place == 0 {
                0
            } else {
                shard.horizon - reader.place
            };
            reader.place = shard.horizon;
        }
        let mut bytes = 0;
        while batch.records.len() < limit && reader.place < shard.next() {
            let record = shard.at(reader.place);
            if bytes + record.bytes() > READ_BYTES_MAX && !batch.records.is_empty() {
                break;
            }
            bytes += record.bytes();
            batch.records.push(record.clone());
            reader.place += 1;
        }
        let caught_up = reader.place == shard.next();
        if let Some(last) = batch.records.last().filter(|_| !caught_up) {
            batch.behind_ms = now.saturating_sub(last.arrival_ms);
        }
        batch.ended = caught_up && shard.closed.is_some();
        if batch.ended {
            batch.children = shard.children.clone();
        }
        shard.records_out += batch.records.len() as u64;
        shard.bytes_out += bytes;
        if let Some(reads) = &mut shard.reads {
            reads.answered(now, bytes);
        }
        Ok(batch)
    }

    /// How a reader says where it is.
    pub fn position(&self, reader: &Reader) -> Position {
        match reader.place {
            0 => Position::TrimHorizon,
            1 => Position::After(self.start_number(reader.shard)),
            place => Position::After(self.shard(reader.shard).at(place - 1).number),
        }
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub enum Position {
    TrimHorizon,
    Latest,
    At(SequenceNumber),
    After(SequenceNumber),
    Time(u64),
}

/// Splitting, merging and all that concerns the whole stream.
impl Twin {
    pub fn split(&mut self, index: u32, key: u128) -> Result<(), Error> {
        self.check_open(index)?;
        let (start, end) = self.shard(index).range;
        if key < start.saturating_add(2) || key >= end {
            let (key, start, end) = (key.into(), start.into(), end.into());
            return Err(Error::InvalidSplit {
                shard_id: id(index),
                key,
                start,
                end,
            });
        }
        self.split_at(index, key);
        Ok(())
    }

    pub fn merge(&mut self, lower: u32, upper: u32) -> Result<(), Error> {
        for index in [lower, upper] {
            self.check_found(index)?;
        }
        for index in [lower, upper] {
            self.check_open(index)?;
        }
        if self.shard(lower).range.1.checked_add(1) != Some(self.shard(upper).range.0) {
            return Err(Error::ShardsNotAdjacent {
                lower: id(lower),
                upper: id(upper),
            });
        }
        self.merge_two(lower, upper);
        Ok(())
    }

    pub fn update_shard_count(&mut self, target: u32) -> Result<(), Error> {
        self.look();
        if !(1..=10_000).contains(&target) {
            return Err(Error::InvalidShardCount { target });
        }
        if self.closed {
            return Err(Error::StreamClosed {
                stream: STREAM.to_owned(),
            });
        }
        let open = self.open_by_range();
        let current = u32::try_from(open.len()).expect("few shards");
        if self.rules.doubling && (target > 2 * current || target < current.div_ceil(2)) {
            return Err(Error::ShardCountStep { current, target });
        }
        if let Some(limit) = self.rules.count_changes_max {
            let day_ago = self.now.saturating_sub(DAY_MS);
            self.count_changes.retain(|at| *at > day_ago);
            if self.count_changes.len() >= limit as usize {
                return Err(Error::ShardCountChanges { limit });
            }
            self.count_changes.push(self.now);
        }
        if target != current {
            self.sweep(open.into(), target);
        }
        Ok(())
    }

    /// The contract, 4.3, with its snap rule.
    fn sweep(&mut self, mut left: VecDeque<u32>, target: u32) {
        let near = |a: u128, b: u128| a.abs_diff(b) <= 2 * u128::from(target);
        for (_, end) in uniform_ranges(target) {
            let mut shard = left.pop_front().expect("the shards cover the space");
            while !near(self.shard(shard).range.1, end) {
                if self.shard(shard).range.1 > end {
                    let (low, high) = self.split_at(shard, end + 1);
                    left.push_front(high);
                    shard = low;
                    break;
                }
                let mut next = left.pop_front().expect("the shards cover the space");
                let reached = self.shard(next).range.1;
                if reached > end && !near(reached, end) {
                    let (low, high) = self.split_at(next, end + 1);
                    left.push_front(high);
                    next = low;
                }
                shard = self.merge_two(shard, next);
            }
        }
    }

    fn split_at(&mut self, index: u32, key: u128) -> (u32, u32) {
        let (start, end) = self.shard(index).range;
        let at = self.end_of(index);
        let next = at.next();
        let low = self.create((start, key - 1), vec![index], next);
        let high = self.create((key, end), vec![index], next);
        self.close_shard(index, at, vec![low, high]);
        (low, high)
    }

    /// Both parents end at the same time: that of the later one.
    fn merge_two(&mut self, lower: u32, upper: u32) -> u32 {
        let range = (self.shard(lower).range.0, self.shard(upper).range.1);
        let (a, b) = (self.end_of(lower), self.end_of(upper));
        let at = Moment {
            ms: a.ms.max(b.ms),
            secs: a.secs.max(b.secs),
        };
        let child = self.create(range, vec![lower, upper], at.next());
        self.close_shard(lower, at, vec![child]);
        self.close_shard(upper, at, vec![child]);
        child
    }

    /// When a shard would end now: not before its last record, nor so long ago that it would be
    /// forgotten at once.
    fn end_of(&self, index: u32) -> Moment {
        let shard = self.shard(index);
        let ms = shard.last_arrival().max(self.now).max(self.list_horizon_ms);
        Moment {
            ms,
            secs: shard.created_secs.max(ms / 1_000),
        }
    }

    fn close_shard(&mut self, index: u32, at: Moment, children: Vec<u32>) {
        let shard = self.shard_mut(index);
        shard.closed = Some(at);
        shard.children = children;
    }

    pub fn close(&mut self) {
        self.look();
        self.closed = true;
        for index in self.open_by_range() {
            self.close_shard(index, self.end_of(index), vec![]);
        }
    }

    /// What has expired by the old setting stays so.
    pub fn set_retention(&mut self, retention_ms: u64) {
        for retention_ms in [self.retention_ms, retention_ms] {
            self.retention_ms = retention_ms;
            self.look();
            self.let_expire();
            for index in 0..self.next_index() {
                self.trim_expired(index);
            }
        }
    }

    fn check_found(&mut self, index: u32) -> Result<(), Error> {
        self.look();
        if self
            .shards
            .get(index as usize)
            .is_some_and(|shard| !shard.forgotten)
        {
            return Ok(());
        }
        Err(Error::ShardNotFound {
            stream: STREAM.to_owned(),
            shard_id: id(index),
        })
    }

    fn check_open(&mut self, index: u32) -> Result<(), Error> {
        self.check_found(index)?;
        match self.shard(index).closed {
            None => Ok(()),
            Some(_) => Err(Error::ShardClosed {
                shard_id: id(index),
            }),
        }
    }

    /// The shards that were open at a time, the contract, 2.7.
    pub fn open_at(&mut self, time: u64) -> Vec<u32> {
        let mut visible = self.visible();
        let time = time.max(self.list_horizon_ms);
        visible.retain(|index| {
            let shard = self.shard(*index);
            if time < self.created_ms {
                return shard.parents.is_empty();
            }
            shard.created_ms <= time && shard.closed.is_none_or(|closed| time <= closed.ms)
        });
        visible
    }

    /// The open shards and those that were closed at a time or later.
    pub fn open_since(&mut self, time: u64) -> Vec<u32> {
        let mut visible = self.visible();
        let time = time.max(self.list_horizon_ms);
        visible.retain(|index| {
            self.shard(*index)
                .closed
                .is_none_or(|closed| closed.ms >= time)
        });
        visible
    }
}

impl Shard {
    pub fn next(&self) -> u64 {
        place(self.records.len())
    }

    pub fn at(&self, place: u64) -> &Record {
        &self.records[usize::try_from(place - 1).expect("a small place")]
    }

    pub fn retained(&self) -> &[Record] {
        self.from(self.horizon)
    }

    fn from(&self, place: u64) -> &[Record] {
        &self.records[usize::try_from(place - 1).expect("a small place")..]
    }

    /// A record counted back from the newest, around if there are fewer.
    pub fn back(&self, back: usize) -> Option<&Record> {
        let back = back.checked_rem(self.records.len())?;
        self.records.iter().rev().nth(back)
    }

    pub fn trimmed(&self) -> &[Record] {
        &self.records[..usize::try_from(self.horizon - 1).expect("a small place")]
    }

    /// Arrival of the last record; no record arrives before the shard was created.
    fn last_arrival(&self) -> u64 {
        self.records
            .last()
            .map_or(self.created_ms, |record| record.arrival_ms)
    }

    pub fn trim_to(&mut self, place: u64) {
        self.horizon = self.horizon.max(place);
        self.horizon_max = self.horizon_max.max(self.horizon);
    }

    pub fn forget(&mut self) {
        self.forgotten = true;
        self.trim_to(self.next());
    }

    fn throttle_read(&mut self, index: u32) -> Error {
        self.reads_throttled += 1;
        Error::ReadThrottled {
            stream: STREAM.to_owned(),
            shard_id: id(index),
        }
    }
}

impl Moment {
    /// When the children of what ended then begin, as their numbers say: a second later.
    fn next(self) -> Self {
        Self {
            ms: self.ms,
            secs: self.secs + 1,
        }
    }
}

impl Record {
    pub fn bytes(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }

    pub fn charge(&self) -> u64 {
        charge(self.key.len(), self.data.len())
    }
}

impl Entry {
    fn bytes(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }
}

/// A reader of all shards: which are being read, which wait for their parents, which were read to
/// the end.
pub struct Subscription {
    listed: BTreeSet<u32>,
    first_new_index: u32,
    waiting: BTreeMap<u32, Reader>,
    pub begun: BTreeMap<u32, Reader>,
    finished: BTreeSet<u32>,
}

impl Subscription {
    pub fn new(twin: &Twin, readers: Vec<Reader>) -> Self {
        let mut subscription = Self {
            listed: readers.iter().map(|reader| reader.shard).collect(),
            first_new_index: twin.next_index(),
            waiting: readers
                .into_iter()
                .map(|reader| (reader.shard, reader))
                .collect(),
            begun: BTreeMap::new(),
            finished: BTreeSet::new(),
        };
        subscription.begin(twin);
        subscription
    }

    /// Begins the shards whose parents, as far as they are its business, were read to the end.
    fn begin(&mut self, twin: &Twin) {
        let waiting: Vec<u32> = self.waiting.keys().copied().collect();
        for index in waiting {
            let ready = twin.shard(index).parents.iter().all(|parent| {
                let is_mine = self.listed.contains(parent) || *parent >= self.first_new_index;
                !is_mine || self.finished.contains(parent)
            });
            if ready {
                let reader = self.waiting.remove(&index).expect("it waits");
                self.begun.insert(index, reader);
            }
        }
    }

    /// A shard was read to the end: its children wait, from their first record on.
    pub fn finish(&mut self, twin: &Twin, index: u32) {
        self.begun.remove(&index);
        self.finished.insert(index);
        for child in &twin.shard(index).children {
            self.waiting.entry(*child).or_insert(Reader {
                shard: *child,
                place: 1,
            });
        }
        self.begin(twin);
    }

    /// Passes over the shards that have ended and have nothing left.
    pub fn pass_ended(&mut self, twin: &Twin) {
        let has_nothing = |reader: &&Reader| {
            let shard = twin.shard(reader.shard);
            shard.closed.is_some() && reader.place >= shard.next()
        };
        while let Some(reader) = self.begun.values().find(has_nothing) {
            self.finish(twin, reader.shard);
        }
    }

    pub fn is_finished(&self) -> bool {
        self.begun.is_empty() && self.waiting.is_empty()
    }
}

/// The fields of a sequence number, read from its decimal form (the contract, 1.6).
pub struct Parts {
    created_secs: u64,
    pub place: u64,
    pub time_secs: u64,
    index: u32,
}

impl Parts {
    pub fn of(number: SequenceNumber) -> Self {
        let (mut high, mut low) = (0u128, 0u128);
        // In base 2^96: the high half has the bits from 96 on.
        for digit in number.to_string().bytes() {
            low = low * 10 + u128::from(digit - b'0');
            high = high * 10 + (low >> 96);
            low &= (1 << 96) - 1;
        }
        let field = |value: u128, at: u32, width: u32| (value >> at & ((1 << width) - 1)) as u64;
        Self {
            created_secs: field(high, 148 - 96, 36),
            place: field(high, 0, 48) << 16 | field(low, 80, 16),
            time_secs: field(low, 36, 36),
            index: u32::try_from(field(low, 4, 32)).expect("32 bits"),
        }
    }
}

/// The number with these fields. It is asked for again and again, and to make it anew each time took two thirds
/// of a run.
pub fn number(created_secs: u64, index: u32, place: u64, time_secs: u64) -> SequenceNumber {
    const KNOWN_MAX: usize = 10_000;
    thread_local! {
        static KNOWN: RefCell<HashMap<(u64, u32, u64, u64), SequenceNumber>> = RefCell::default();
    }
    let fields = (created_secs, index, place, time_secs);
    KNOWN.with_borrow_mut(|known| {
        if known.len() == KNOWN_MAX {
            known.clear();
        }
        *known.entry(fields).or_insert_with(|| made_number(fields))
    })
}

/// The contract, 1.6: n = 2<<184 | create<<148 | (ix & 15)<<144 | seqIx<<80 | time<<36 | ix<<4 | 2.
fn made_number((created_secs, index, place, time_secs): (u64, u32, u64, u64)) -> SequenceNumber {
    let [created, place, time] = [created_secs, place, time_secs].map(u128::from);
    let index = u128::from(index);
    // The bits from 80 on, and those below.
    let high = 2 << 104 | created << 68 | (index & 15) << 64 | place;
    let low = time << 36 | index << 4 | 2;
    let mut limbs = [
        high >> 80,
        high >> 48,
        high >> 16,
        high << 16 | low >> 64,
        low >> 32,
        low,
    ]
    .map(|limb| limb & 0xffff_ffff);
    let mut groups = Vec::new();
    while limbs.iter().any(|limb| *limb > 0) {
        let mut rest = 0;
        for limb in &mut limbs {
            let value = rest << 32 | *limb;
            (*limb, rest) = (value / 1_000_000_000, value % 1_000_000_000);
        }
        groups.push(rest);
    }
    let mut text = groups.pop().expect("not zero").to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text.parse().expect("the fields make a number")
}

/// Cuts the space into equal ranges; the last one takes what is left over.
pub fn uniform_ranges(count: u32) -> Vec<(u128, u128)> {
    let count = u128::from(count);
    // floor(2^128 / count), without 2^128.
    let (quotient, rest) = (u128::MAX / count, u128::MAX % count);
    let size = if rest + 1 == count {
        quotient.wrapping_add(1)
    } else {
        quotient
    };
    let starts = (0..count).map(|index| index.wrapping_mul(size));
    let end = |start: u128| start.wrapping_add(size).wrapping_sub(1);
    let mut ranges: Vec<_> = starts.map(|start| (start, end(start))).collect();
    ranges.last_mut().expect("at least one").1 = u128::MAX;
    ranges
}

/// The MD5 of a partition key, read big-endian.
fn hash_of(key: &str) -> u128 {
    let digest: [u8; 16] = Md5::digest(key.as_bytes()).into();
    digest
        .iter()
        .fold(0, |value, byte| value << 8 | u128::from(*byte))
}

/// What capacity in bytes counts for a record: 8 bytes, the key and the data, rounded up to 8 bytes;
/// data of over 512 bytes counts as it is, with a handle of 32 bytes and its number of 8.
fn charge(key_bytes: usize, data_bytes: usize) -> u64 {
    let round_up = |bytes: usize| bytes.div_ceil(8) as u64 * 8;
    if data_bytes > 512 {
        8 + 8 + round_up(key_bytes) + data_bytes as u64 + 32
    } else {
        8 + round_up(key_bytes + data_bytes)
    }
}

fn charges<'a>(records: impl IntoIterator<Item = &'a Record>) -> u64 {
    records.into_iter().map(Record::charge).sum()
}

/// The place behind so many records.
fn place(count: usize) -> u64 {
    count as u64 + 1
}

pub fn id(index: u32) -> ShardId {
    ShardId::new(index).expect("a small index")
}

pub fn in_future(timestamp: u64, now: u64) -> Error {
    let [timestamp, now] = [timestamp, now].map(Timestamp::from_millis);
    Error::TimestampInFuture { timestamp, now }
}
