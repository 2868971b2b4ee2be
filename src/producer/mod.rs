//! Putting records into a stream.

use std::fmt;
use std::time::Duration;

use crate::clock::{Clock, Parker, Timestamp};
use crate::data::Data;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::log::{charge, data_bytes_max};
use crate::partition_key::{AsPartitionKey, check_partition_key};
use crate::put_entry::PutEntry;
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard::{Appended, OnFull, Refusal, Shard};
use crate::shard_id::ShardId;
use crate::stream::{Known, Routes, Stream};
use crate::wait::Undo;

mod batch;
#[cfg(feature = "testing")]
mod hooked;

use batch::{Answer, Batch};

/// Puts records into a stream.
///
/// A handle: share one between threads, or clone it for each.
pub struct Producer {
    stream: Stream,
    routes: Routes,
}

/// Where a record went.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PutRecordOutput {
    origin: Origin,
    place: u64,
    arrival_ms: u64,
}

/// What became of each record of a [`put_records`](Producer::put_records), in their order.
///
/// ```
/// use brooklet::{Limits, Stream};
///
/// let limits = Limits::unlimited().write_records_per_second(Some(2));
/// let producer = Stream::builder("orders").limits(limits).build()?.producer();
/// let entries = [("a", "first"), ("a", "second"), ("a", "third")];
/// let output = producer.put_records(entries)?;
/// let again: Vec<_> = output.failed().map(|(index, _)| entries[index]).collect();
/// assert_eq!(again, [("a", "third")]);
/// assert!(output.into_result().is_err());
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PutRecordsOutput {
    records: Vec<Answer>,
}

impl Stream {
    /// A producer for this stream.
    pub fn producer(&self) -> Producer {
        Producer {
            stream: self.clone(),
            routes: Routes::new(self),
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
    pub fn put_record<'a>(
        &self,
        partition_key: impl AsPartitionKey,
        data: impl Into<Data<'a>>,
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
    pub fn put_record_with_hash_key<'a>(
        &self,
        partition_key: impl AsPartitionKey,
        hash_key: HashKey,
        data: impl Into<Data<'a>>,
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
        self.put(Put {
            key: entry.key.as_str(),
            hash_key: entry.known_hash_key(),
            data: entry.data,
        })
    }

    /// Puts many records. Those of one shard keep their order, and become visible together unless
    /// they alone are over the shard's capacity.
    ///
    /// One record that is not valid refuses them all. After that each is on its own: limits or a
    /// full shard may refuse some, which is no error of the call. With [`OnFull::Wait`] each record
    /// that finds its shard full waits, one after the other.
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
        let entries = self.checked(entries.into_iter().map(Into::into))?;
        #[cfg(feature = "testing")]
        if let Some(hooked) = &self.stream.settings().hooked {
            return self.put_records_hooked(hooked, entries);
        }
        let records = Batch::new(self, entries).put()?;
        Ok(PutRecordsOutput { records })
    }

    /// Puts one record of which the key may be hashed already.
    #[inline]
    fn put(&self, mut put: Put<'_>) -> Result<PutRecordOutput, Error> {
        #[cfg(feature = "testing")]
        if let Some(hooked) = &self.stream.settings().hooked {
            return self.put_hooked(hooked, put);
        }
        let payload = put.data.payload();
        check_partition_key(put.key)?;
        self.check_size(put.key, payload.len())?;
        let now = self.now();
        if let Some(routing) = self.routes.seen(&self.stream) {
            if let Some(index) = routing.index_of(|| hash_key(put.key, put.hash_key)) {
                let shard = routing.shard(index);
                match shard.append(now, put.key, payload) {
                    Ok(appended) => return Ok(PutRecordOutput::new(shard.origin(), appended)),
                    Err(Refusal::Closed) => {}
                    Err(Refusal::Full) if self.waits_for_room() => {}
                    Err(refusal) => return Err(shard.refused(refusal)),
                }
            }
        }
        self.put_slowly(put)
    }

    /// Puts one record when the first try failed.
    #[cold]
    fn put_slowly(&self, mut put: Put<'_>) -> Result<PutRecordOutput, Error> {
        let mut known = self.routes.look_up(&self.stream);
        loop {
            let Some(index) = known.routing.index_of(|| hash_key(put.key, put.hash_key)) else {
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
        data: &mut Data<'_>,
    ) -> Result<Option<PutRecordOutput>, Error> {
        match shard.append(self.now(), key, data.payload()) {
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
        data: &mut Data<'_>,
        wait: Duration,
    ) -> Result<Option<PutRecordOutput>, Error> {
        let clock = &*self.stream.settings().clock;
        let deadline = clock.monotonic().saturating_add(wait);
        let parker = Parker::new();
        loop {
            let (id, expiry) = shard.wait_for_room(parker.waker());
            let _registered = Undo(|| shard.stop_waiting_for_room(id));
            // In this order: time that passes between the two ends the wait early, never late.
            let monotonic = clock.monotonic();
            let now = self.now();
            match shard.append(now, key, data.payload()) {
                Ok(appended) => return Ok(Some(PutRecordOutput::new(shard.origin(), appended))),
                Err(Refusal::Closed) => return Ok(None),
                Err(Refusal::Throttled) => return Err(shard.refused(Refusal::Throttled)),
                Err(Refusal::Full) => self.stream.settings().check_not_deleted()?,
            }
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

    /// Gathers entries, each of which is valid, within the limits of one call.
    fn checked<'a>(
        &self,
        entries: impl Iterator<Item = PutEntry<'a>>,
    ) -> Result<Vec<PutEntry<'a>>, Error> {
        let limits = &self.stream.settings().limits;
        let mut bytes = 0;
        let mut checked = Vec::with_capacity(entries.size_hint().0);
        for entry in entries {
            let (key, data) = (entry.key.as_str(), entry.data.as_slice());
            if !entry.is_keyless() {
                check_partition_key(key)?;
            }
            self.check_size(key, data.len())?;
            self.check_ordering(&entry)?;
            bytes += (key.len() + data.len()) as u64;
            checked.push(entry);
        }
        match (limits.put_records_entries_max, limits.put_records_bytes_max) {
            (Some(limit), _) if checked.len() > limit => Err(Error::TooManyEntries {
                entries: checked.len(),
                limit,
            }),
            (_, Some(limit_bytes)) if bytes > limit_bytes => {
                Err(Error::EntriesTooLarge { bytes, limit_bytes })
            }
            _ => Ok(checked),
        }
    }

    #[inline]
    fn check_size(&self, key: &str, data_bytes: usize) -> Result<(), Error> {
        if key.len() + data_bytes <= self.stream.settings().fits_bytes() {
            return Ok(());
        }
        self.check_size_exactly(key, data_bytes)
    }

    #[cold]
    fn check_size_exactly(&self, key: &str, data_bytes: usize) -> Result<(), Error> {
        let settings = self.stream.settings();
        let fits = charge(key.len(), data_bytes) <= settings.capacity.bytes;
        if data_bytes <= settings.record_bytes_max() && fits {
            return Ok(());
        }
        let room = data_bytes_max(key.len(), settings.capacity.bytes);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let limit_bytes = settings.record_bytes_max().min(room);
        Err(Error::RecordTooLarge {
            data_bytes,
            limit_bytes,
        })
    }

    #[inline]
    fn check_ordering(&self, entry: &PutEntry<'_>) -> Result<(), Error> {
        match entry.ordering() {
            Some(number) => self.check_number(number),
            None => Ok(()),
        }
    }

    /// Checks that a number may be of a record that was put before.
    #[cold]
    fn check_number(&self, number: SequenceNumber) -> Result<(), Error> {
        if number.time_secs() <= self.now().as_secs() {
            return Ok(());
        }
        // A child's numbers run a second ahead of the clock at first.
        let shards = self.stream.shards();
        if shards.iter().any(|shard| shard.has_given(number)) {
            return Ok(());
        }
        Err(Error::OrderingInFuture {
            sequence_number: number,
        })
    }

    fn waits_for_room(&self) -> bool {
        matches!(self.stream.settings().on_full, OnFull::Wait(_))
    }

    #[inline]
    fn now(&self) -> Timestamp {
        self.stream.settings().clock.now()
    }

    fn settled(&self) -> Known {
        self.stream.settled_routing(self.now())
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
        Self {
            origin,
            place: appended.place,
            arrival_ms: appended.arrival_ms,
        }
    }

    /// The shard that took the record.
    pub const fn shard_id(&self) -> ShardId {
        self.origin.shard_id
    }

    /// The number that the record was given.
    pub fn sequence_number(&self) -> SequenceNumber {
        self.origin.sequence_number(self.place, self.arrival_ms)
    }
}

impl fmt::Debug for PutRecordOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutRecordOutput")
            .field("shard_id", &self.shard_id())
            .field("sequence_number", &self.sequence_number())
            .finish()
    }
}

impl PutRecordsOutput {
    /// An answer for each entry, in their order.
    pub fn records(&self) -> &[Result<PutRecordOutput, Error>] {
        &self.records
    }

    /// How many entries were refused.
    pub fn failed_record_count(&self) -> usize {
        self.failed().count()
    }

    /// The entries that were refused: the index of each among the entries, and why. This is what a
    /// producer puts again, if the error [is retryable](Error::is_retryable).
    pub fn failed(&self) -> impl Iterator<Item = (usize, &Error)> {
        let answers = self.records.iter().enumerate();
        answers.filter_map(|(index, answer)| Some((index, answer.as_ref().err()?)))
    }

    /// Where each record went, if none was refused.
    ///
    /// # Errors
    ///
    /// The first refusal. The other records were put all the same, unless refused, too.
    pub fn into_result(self) -> Result<Vec<PutRecordOutput>, Error> {
        self.records.into_iter().collect()
    }
}

impl IntoIterator for PutRecordsOutput {
    type Item = Result<PutRecordOutput, Error>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a> IntoIterator for &'a PutRecordsOutput {
    type Item = &'a Result<PutRecordOutput, Error>;
    type IntoIter = std::slice::Iter<'a, Result<PutRecordOutput, Error>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}

/// A put of one record.
struct Put<'a> {
    key: &'a str,
    hash_key: Option<HashKey>,
    data: Data<'a>,
}

/// The hash key that was given, or that of the partition key.
#[inline]
fn hash_key(partition_key: &str, known: Option<HashKey>) -> HashKey {
    known.unwrap_or_else(|| HashKey::recalled(partition_key))
}
