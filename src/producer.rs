//! Putting records into a stream.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, Parker, Timestamp};
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::log::charge;
use crate::partition_key::{AsPartitionKey, check_partition_key};
use crate::put_entry::PutEntry;
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard::{Appended, OnFull, Refusal, Shard};
use crate::shard_id::ShardId;
use crate::stream::{Routing, Stream};
use crate::sync::{Arc, Mutex};
use crate::wait::Undo;

/// Puts records into a stream.
///
/// A handle: clone it freely, one for each thread. Several threads can share one, too; each then
/// looks up the routing table for itself whenever another is about to put.
pub struct Producer {
    stream: Stream,
    /// The routing table as last seen; whoever finds it locked asks the stream.
    routing: Mutex<Known>,
}

#[derive(Clone)]
struct Known {
    version: u64,
    routing: Arc<Routing>,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PutRecordOutput {
    shard_id: ShardId,
    sequence_number: SequenceNumber,
}

/// What became of each record of a [`put_records`](Producer::put_records), in their order.
#[derive(Clone, Debug)]
pub struct PutRecordsOutput {
    records: Vec<Result<PutRecordOutput, Error>>,
    failed_record_count: usize,
}

impl Stream {
    /// A producer for this stream.
    pub fn producer(&self) -> Producer {
        let (version, routing) = self.routing();
        Producer {
            stream: self.clone(),
            routing: Mutex::new(Known { version, routing }),
        }
    }
}

impl Producer {
    /// Puts one record into the open shard whose range holds the MD5 of its partition key.
    ///
    /// Waits only if the stream was built with [`OnFull::Wait`], for room.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPartitionKey`], [`Error::RecordTooLarge`]; [`Error::WriteThrottled`] with
    /// limits; [`Error::ShardFull`] or [`Error::PutTimedOut`] unless a full shard trims;
    /// [`Error::StreamClosed`], [`Error::StreamNotFound`].
    #[inline]
    pub fn put_record(
        &self,
        partition_key: impl AsPartitionKey,
        data: impl Into<Bytes>,
    ) -> Result<PutRecordOutput, Error> {
        let key = partition_key.partition_key();
        let hash_key = partition_key.known_hash_key();
        self.put(Put {
            key,
            hash_key,
            data: data.into(),
        })
    }

    /// Puts one record into the open shard whose range holds `hash_key`. The partition key is
    /// kept with the record all the same.
    ///
    /// # Errors
    ///
    /// As [`put_record`](Self::put_record).
    #[inline]
    pub fn put_record_with_hash_key(
        &self,
        partition_key: impl AsPartitionKey,
        hash_key: HashKey,
        data: impl Into<Bytes>,
    ) -> Result<PutRecordOutput, Error> {
        let key = partition_key.partition_key();
        self.put(Put {
            key,
            hash_key: Some(hash_key),
            data: data.into(),
        })
    }

    /// Puts one record of which more is said than key and data.
    ///
    /// # Errors
    ///
    /// As [`put_record`](Self::put_record); [`Error::OrderingInFuture`].
    pub fn put_entry<'a>(&self, entry: impl Into<PutEntry<'a>>) -> Result<PutRecordOutput, Error> {
        let entry = entry.into();
        self.check_ordering(&entry)?;
        let hash_key = entry
            .explicit_hash_key
            .or_else(|| entry.key.known_hash_key());
        self.put(Put {
            key: entry.key.as_str(),
            hash_key,
            data: entry.data,
        })
    }

    /// Puts many records. Those of one shard keep their order, and become visible together.
    ///
    /// One record that is not valid refuses them all. After that each is on its own: limits or a
    /// full shard may refuse some, which is no error of the call.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPartitionKey`], [`Error::RecordTooLarge`], [`Error::OrderingInFuture`];
    /// [`Error::TooManyEntries`] and [`Error::EntriesTooLarge`] with limits;
    /// [`Error::StreamClosed`], [`Error::StreamNotFound`]. Nothing was put then.
    pub fn put_records<'a>(
        &self,
        entries: impl IntoIterator<Item = impl Into<PutEntry<'a>>>,
    ) -> Result<PutRecordsOutput, Error> {
        let mut entries: Vec<PutEntry<'a>> = entries.into_iter().map(Into::into).collect();
        self.check_all(&entries)?;
        let mut results: Vec<Option<Result<PutRecordOutput, Error>>> = vec![None; entries.len()];
        let mut pending: Vec<usize> = (0..entries.len()).collect();
        let mut known = self.current();
        while !pending.is_empty() {
            let Some(by_shard) = Self::by_shard(&known.routing, &entries, &pending) else {
                let error = self.stream.takes_none(known.routing.taking);
                if pending.len() == entries.len() {
                    return Err(error);
                }
                for index in pending {
                    results[index] = Some(Err(error.clone()));
                }
                break;
            };
            pending.clear();
            let now = self.now();
            for group in by_shard.chunk_by(|a, b| a.0 == b.0) {
                let shard = known.routing.shard(group[0].0);
                let indices = group.iter().map(|(_, index)| *index);
                self.append_group(
                    shard,
                    now,
                    indices,
                    &mut entries,
                    &mut results,
                    &mut pending,
                );
            }
            if !pending.is_empty() {
                pending.sort_unstable();
                known = self.settled();
            }
        }
        Ok(PutRecordsOutput::new(results))
    }

    /// Puts one record of which the key may be hashed already.
    #[inline]
    fn put(&self, mut put: Put<'_>) -> Result<PutRecordOutput, Error> {
        check_partition_key(put.key)?;
        self.check_size(put.key, put.data.len())?;
        let now = self.now();
        if let Some(mut known) = self.routing.try_lock() {
            if known.version != self.stream.routing_version() {
                *known = self.current();
            }
            if let Some(index) = known.routing.index_of(|| put.hash_key()) {
                let shard = known.routing.shard(index);
                if let Ok(appended) = shard.append(now, put.key, &mut put.data) {
                    return Ok(PutRecordOutput::new(shard.origin(), appended));
                }
            }
        }
        self.put_slowly(put)
    }

    /// Puts one record when the first try failed, or another thread is using the routing table.
    #[cold]
    fn put_slowly(&self, mut put: Put<'_>) -> Result<PutRecordOutput, Error> {
        let mut known = self.current();
        loop {
            let Some(index) = known.routing.index_of(|| put.hash_key()) else {
                let settled = self.settled();
                if settled.version == known.version {
                    return Err(self.stream.takes_none(known.routing.taking));
                }
                known = settled;
                continue;
            };
            let shard = known.routing.shard(index);
            match self.append(shard, put.key, &mut put.data)? {
                Some(output) => return Ok(output),
                None => known = self.settled(),
            }
        }
    }

    /// Appends one record, waiting for room if the stream says so. `None`: the shard is closed.
    fn append(
        &self,
        shard: &Shard,
        key: &str,
        data: &mut Bytes,
    ) -> Result<Option<PutRecordOutput>, Error> {
        match shard.append(self.now(), key, data) {
            Ok(appended) => Ok(Some(PutRecordOutput::new(shard.origin(), appended))),
            Err(Refusal::Closed) => Ok(None),
            Err(Refusal::Full) => match self.stream.settings().on_full {
                OnFull::Wait(wait) => self.append_waiting(shard, key, data, wait),
                OnFull::Refuse | OnFull::TrimOldest => Err(shard.refused(Refusal::Full)),
            },
            Err(refusal) => Err(shard.refused(refusal)),
        }
    }

    /// Appends one record as soon as there is room.
    #[cold]
    fn append_waiting(
        &self,
        shard: &Shard,
        key: &str,
        data: &mut Bytes,
        wait: Duration,
    ) -> Result<Option<PutRecordOutput>, Error> {
        let clock = &*self.stream.settings().clock;
        let deadline = clock.monotonic().saturating_add(wait);
        let parker = Parker::new();
        loop {
            let (id, expiry) = shard.wait_for_room(parker.waker());
            let _registered = Undo(|| shard.stop_waiting_for_room(id));
            let now = self.now();
            match shard.append(now, key, data) {
                Ok(appended) => return Ok(Some(PutRecordOutput::new(shard.origin(), appended))),
                Err(Refusal::Closed) => return Ok(None),
                Err(Refusal::Throttled) => return Err(shard.refused(Refusal::Throttled)),
                Err(Refusal::Full) => self.stream.settings().check_not_deleted()?,
            }
            let monotonic = clock.monotonic();
            if monotonic >= deadline {
                let (stream, shard_id) = (self.stream.name().to_owned(), shard.id());
                return Err(Error::PutTimedOut {
                    stream,
                    shard_id,
                    waited: wait,
                });
            }
            // A record has expired once it is older than the retention, not when it is as old.
            let room = expiry.map(|at| at.duration_since(now) + Duration::from_millis(1));
            let wake = room.map_or(deadline, |room| {
                monotonic.saturating_add(room).min(deadline)
            });
            clock.park(&parker, wake);
        }
    }

    /// Appends the entries of one shard, in order; those that it refuses because it was closed
    /// are pending again.
    fn append_group(
        &self,
        shard: &Shard,
        now: Timestamp,
        indices: impl Iterator<Item = usize>,
        entries: &mut [PutEntry<'_>],
        results: &mut [Option<Result<PutRecordOutput, Error>>],
        pending: &mut Vec<usize>,
    ) {
        let mut full = Vec::new();
        shard.append_all(now, |append| {
            for index in indices {
                let entry = &mut entries[index];
                // Once one has to wait for room, those after it wait behind it.
                let attempt = if full.is_empty() {
                    append(entry.key.as_str(), &mut entry.data)
                } else {
                    Err(Refusal::Full)
                };
                match attempt {
                    Ok(appended) => {
                        results[index] = Some(Ok(PutRecordOutput::new(shard.origin(), appended)));
                    }
                    Err(Refusal::Closed) => pending.push(index),
                    Err(Refusal::Full) if self.waits_for_room() => full.push(index),
                    Err(refusal) => results[index] = Some(Err(shard.refused(refusal))),
                }
            }
        });
        for index in full {
            let entry = &mut entries[index];
            match self
                .append(shard, entry.key.as_str(), &mut entry.data)
                .transpose()
            {
                Some(result) => results[index] = Some(result),
                None => pending.push(index),
            }
        }
    }

    /// Pairs of shard and entry, sorted. `None`: the stream takes no records.
    fn by_shard(
        routing: &Routing,
        entries: &[PutEntry<'_>],
        pending: &[usize],
    ) -> Option<Vec<(usize, usize)>> {
        let pairs = pending.iter().map(|&index| {
            let entry = &entries[index];
            let known = entry
                .explicit_hash_key
                .or_else(|| entry.key.known_hash_key());
            let hash_key = || known.unwrap_or_else(|| HashKey::of(entry.key.as_str()));
            Some((routing.index_of(hash_key)?, index))
        });
        let mut pairs = pairs.collect::<Option<Vec<_>>>()?;
        if !pairs.is_sorted() {
            pairs.sort_unstable();
        }
        Some(pairs)
    }

    fn check_all(&self, entries: &[PutEntry<'_>]) -> Result<(), Error> {
        let limits = &self.stream.settings().limits;
        if let Some(limit) = limits.put_records_entries_max {
            if entries.len() > limit {
                return Err(Error::TooManyEntries {
                    entries: entries.len(),
                    limit,
                });
            }
        }
        let mut bytes = 0;
        for entry in entries {
            check_partition_key(entry.key.as_str())?;
            self.check_size(entry.key.as_str(), entry.data.len())?;
            self.check_ordering(entry)?;
            bytes += (entry.key.as_str().len() + entry.data.len()) as u64;
        }
        match limits.put_records_bytes_max {
            Some(limit_bytes) if bytes > limit_bytes => {
                Err(Error::EntriesTooLarge { bytes, limit_bytes })
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn check_size(&self, key: &str, data_bytes: usize) -> Result<(), Error> {
        let settings = self.stream.settings();
        let fits = charge(key.len(), data_bytes) <= settings.capacity.bytes;
        if data_bytes <= settings.record_bytes_max && fits {
            return Ok(());
        }
        let room = settings.capacity.bytes.saturating_sub(charge(key.len(), 0));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let limit_bytes = settings.record_bytes_max.min(room);
        Err(Error::RecordTooLarge {
            data_bytes,
            limit_bytes,
        })
    }

    fn check_ordering(&self, entry: &PutEntry<'_>) -> Result<(), Error> {
        match entry.ordering {
            Some(number) if number.time_secs() > self.now().as_secs() => {
                // A child's numbers run a second ahead of the clock at first.
                let shards = self.stream.shards();
                let given = shards.iter().any(|shard| shard.has_given(number));
                if given {
                    Ok(())
                } else {
                    Err(Error::OrderingInFuture {
                        sequence_number: number,
                    })
                }
            }
            _ => Ok(()),
        }
    }

    fn waits_for_room(&self) -> bool {
        matches!(self.stream.settings().on_full, OnFull::Wait(_))
    }

    #[inline]
    fn now(&self) -> Timestamp {
        self.stream.settings().clock.now()
    }

    fn current(&self) -> Known {
        let (version, routing) = self.stream.routing();
        Known { version, routing }
    }

    fn settled(&self) -> Known {
        let (version, routing) = self.stream.settled_routing(self.now());
        Known { version, routing }
    }
}

impl Clone for Producer {
    fn clone(&self) -> Self {
        self.stream.producer()
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("stream", &self.stream.name())
            .finish_non_exhaustive()
    }
}

impl PutRecordOutput {
    #[inline]
    fn new(origin: Origin, appended: Appended) -> Self {
        let sequence_number = origin.sequence_number(appended.place, appended.arrival_ms);
        Self {
            shard_id: origin.shard_id,
            sequence_number,
        }
    }

    /// The shard that took the record.
    pub const fn shard_id(&self) -> ShardId {
        self.shard_id
    }

    /// The number that the record was given.
    pub const fn sequence_number(&self) -> SequenceNumber {
        self.sequence_number
    }
}

impl PutRecordsOutput {
    fn new(results: Vec<Option<Result<PutRecordOutput, Error>>>) -> Self {
        let records: Vec<_> = results
            .into_iter()
            .map(|result| result.expect("each entry was answered"))
            .collect();
        let failed_record_count = records.iter().filter(|result| result.is_err()).count();
        Self {
            records,
            failed_record_count,
        }
    }

    /// An answer for each entry, in their order.
    pub fn records(&self) -> &[Result<PutRecordOutput, Error>] {
        &self.records
    }

    /// How many entries were refused.
    pub const fn failed_record_count(&self) -> usize {
        self.failed_record_count
    }
}

impl IntoIterator for PutRecordsOutput {
    type Item = Result<PutRecordOutput, Error>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// A put of one record.
struct Put<'a> {
    key: &'a str,
    hash_key: Option<HashKey>,
    data: Bytes,
}

impl Put<'_> {
    #[inline]
    fn hash_key(&self) -> HashKey {
        self.hash_key.unwrap_or_else(|| HashKey::of(self.key))
    }
}
