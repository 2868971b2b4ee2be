//! Putting records into a stream.

use std::fmt;
use std::time::Duration;

use crate::clock::{Clock, Parker, Timestamp};
use crate::data::Data;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::log::{charge, data_bytes_max};
use crate::partition_key::{AsPartitionKey, check_partition_key, is_short};
use crate::put_entry::PutEntry;
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard::{Appended, OnFull, Refusal, Shard};
use crate::shard_id::ShardId;
use crate::stream::{Known, Routes, Stream};
use crate::sync::PlainOnceLock;
use crate::wait::Undo;

mod answers;
mod batch;
mod groups;
#[cfg(feature = "testing")]
mod hooked;

use answers::{Answer, Answers};
use batch::Batch;

/// Puts records into a stream.
///
/// A handle: share one between threads, or clone it for each.
pub struct Producer {
    stream: Stream,
    routes: Routes,
    /// Whether it belongs to the wire, which answers at once.
    #[cfg(feature = "protocol")]
    never_waits: bool,
}

/// Where a record went.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PutRecordOutput {
    origin: Origin,
    appended: Appended,
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
#[derive(Clone)]
pub struct PutRecordsOutput {
    answers: Answers,
    /// The same, once somebody wants to see them side by side.
    records: PlainOnceLock<Vec<Answer>>,
}

impl Stream {
    /// A producer for this stream.
    pub fn producer(&self) -> Producer {
        Producer {
            stream: self.clone(),
            routes: Routes::new(self),
            #[cfg(feature = "protocol")]
            never_waits: false,
        }
    }
}

impl Producer {
    /// Never waits for room, whatever the stream says: a full shard refuses.
    #[cfg(feature = "protocol")]
    pub(crate) const fn without_waiting(mut self) -> Self {
        self.never_waits = true;
        self
    }

    /// Puts one record into the open shard whose range holds the MD5 of its partition key.
    ///
    /// Waits only if the stream was built with [`OnFull::Wait`], for room.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPartitionKey`], [`Error::RecordTooLarge`]; [`Error::WriteThrottled`] with
    /// limits; [`Error::ShardFull`] or [`Error::PutTimedOut`] unless a full shard trims;
    /// [`Error::StreamClosed`], [`Error::StreamNotFound`].
    #[inline(always)]
    pub fn put_record<'a>(
        &self,
        partition_key: impl AsPartitionKey,
        data: impl Into<Data<'a>>,
    ) -> Result<PutRecordOutput, Error> {
        let hash_key = partition_key.known_hash_key();
        self.put(partition_key.partition_key(), hash_key, &mut data.into())
    }

    /// Puts one record into the open shard whose range holds `hash_key`. The partition key is
    /// kept with the record all the same.
    ///
    /// # Errors
    ///
    /// As [`put_record`](Self::put_record).
    #[inline(always)]
    pub fn put_record_with_hash_key<'a>(
        &self,
        partition_key: impl AsPartitionKey,
        hash_key: HashKey,
        data: impl Into<Data<'a>>,
    ) -> Result<PutRecordOutput, Error> {
        let key = partition_key.partition_key();
        self.put(key, Some(hash_key), &mut data.into())
    }

    /// Puts one record of which more is said than key and data.
    ///
    /// # Errors
    ///
    /// As [`put_record`](Self::put_record); [`Error::OrderingInFuture`].
    pub fn put_entry<'a>(&self, entry: impl Into<PutEntry<'a>>) -> Result<PutRecordOutput, Error> {
        let mut entry = entry.into();
        self.check_ordering(&entry)?;
        let hash_key = entry.known_hash_key().copied();
        self.put(&entry.key, hash_key, &mut entry.data)
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
        let answers = Batch::new(self, entries).put()?;
        Ok(PutRecordsOutput::new(answers))
    }

    /// Puts one record of which the key may be hashed already.
    ///
    /// Always inlined, and the slow way gives its error in a box: so the output stays in registers.
    /// Written to memory word by word and read by the caller in larger pieces, it would have to wait
    /// for all that the put has written before (a third of a put).
    #[inline(always)]
    fn put(
        &self,
        key: &str,
        known: Option<HashKey>,
        data: &mut Data<'_>,
    ) -> Result<PutRecordOutput, Error> {
        #[cfg(feature = "testing")]
        if let Some(hooked) = &self.stream.settings().hooked {
            return self.put_hooked(hooked, key, known, data);
        }
        let mut refused = None;
        // At first, as long as it is known which form the data has.
        let copied = data.copied(key.len());
        if is_short(key) && self.surely_fits(key, data.as_slice().len()) {
            let now = self.now();
            if let Some(shard) = self.seen_shard(key, known) {
                let copied = copied.and_then(|copied| shard.append_copy(now, key, copied));
                let appended = match copied {
                    Some(appended) => Ok(appended),
                    None => shard.append(now, key, &mut data.payload(key.len())),
                };
                match appended {
                    Ok(appended) => return Ok(PutRecordOutput::new(shard.origin(), appended)),
                    Err(refusal) => refused = Some((shard, refusal)),
                }
            }
        }
        self.put_slowly(key, known, data, refused)
            .map_err(|error| *error)
    }

    /// The shard that takes a key, as far as this producer has seen.
    #[inline(always)]
    fn seen_shard(&self, key: &str, known: Option<HashKey>) -> Option<&Shard> {
        let routing = self.routes.seen(&self.stream)?;
        routing.shard_of(|| hash_key(key, known))
    }

    /// Puts one record when the first try failed, or said that it has to be looked at closely.
    #[cold]
    fn put_slowly(
        &self,
        key: &str,
        known: Option<HashKey>,
        data: &mut Data<'_>,
        refused: Option<(&Shard, Refusal)>,
    ) -> Result<PutRecordOutput, Box<Error>> {
        match refused {
            None | Some((_, Refusal::Closed)) => {}
            Some((_, Refusal::Full)) if self.waits_for_room() => {}
            Some((shard, refusal)) => return Err(Box::new(shard.refused(refusal))),
        }
        check_partition_key(key)?;
        self.check_size(key, data.as_slice().len())?;
        let mut seen = self.routes.look_up(&self.stream);
        loop {
            let Some(shard) = seen.routing.shard_of(|| hash_key(key, known)) else {
                let settled = self.settled();
                if settled.version == seen.version {
                    return Err(Box::new(self.stream.takes_none(seen.routing.taking)));
                }
                seen = settled;
                continue;
            };
            match self.append(shard, key, data)? {
                Some(output) => return Ok(output),
                None => seen = self.settled(),
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
        match shard.append(self.now(), key, &mut data.payload(key.len())) {
            Ok(appended) => Ok(Some(PutRecordOutput::new(shard.origin(), appended))),
            Err(Refusal::Closed) => Ok(None),
            Err(Refusal::Full) => match self.stream.settings().on_full {
                OnFull::Wait(wait) if self.waits_for_room() => {
                    self.append_waiting(shard, key, data, wait)
                }
                _ => Err(shard.refused(Refusal::Full)),
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
            match shard.append(now, key, &mut data.payload(key.len())) {
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
            let wake = match expiry {
                // A record has expired once it is older than the retention, not when it is as old.
                Some(expiry) => {
                    let room = expiry.duration_since(now) + Duration::from_millis(1);
                    monotonic.saturating_add(room).min(deadline)
                }
                // There was room before others took it, and there may be again.
                None => planted!(continue, "room_is_taken_meanwhile": deadline),
            };
            clock.park(&parker, wake);
        }
    }

    /// Gathers entries, each of which is valid, within the limits of one call.
    fn checked<'a>(
        &self,
        entries: impl Iterator<Item = PutEntry<'a>>,
    ) -> Result<Vec<PutEntry<'a>>, Error> {
        let limits = &self.stream.settings().limits;
        // Made where they stay, and looked at afterwards: moved there as a whole, each would have to
        // wait until it was written (a sixth of a batch).
        let entries: Vec<_> = entries.collect();
        let fits_bytes = self.stream.settings().fits_bytes();
        let (mut bytes, mut are_usual) = (0, true);
        for entry in &entries {
            let entry_bytes = entry.key.len() + entry.data.as_slice().len();
            bytes += entry_bytes as u64;
            // Without a branch for each.
            are_usual &= is_short(&entry.key) & entry.is_plain() & (entry_bytes <= fits_bytes);
        }
        if !are_usual {
            entries.iter().try_for_each(|entry| self.check(entry))?;
        }
        match (limits.put_records_entries_max, limits.put_records_bytes_max) {
            (Some(limit), _) if entries.len() > limit => Err(Error::TooManyEntries {
                entries: entries.len(),
                limit,
            }),
            (_, Some(limit_bytes)) if bytes > limit_bytes => {
                Err(Error::EntriesTooLarge { bytes, limit_bytes })
            }
            _ => Ok(entries),
        }
    }

    /// Checks one entry of many.
    fn check(&self, entry: &PutEntry<'_>) -> Result<(), Error> {
        let key = &*entry.key;
        if !entry.is_keyless() {
            check_partition_key(key)?;
        }
        self.check_size(key, entry.data.as_slice().len())?;
        self.check_ordering(entry)
    }

    #[inline]
    fn check_size(&self, key: &str, data_bytes: usize) -> Result<(), Error> {
        if self.surely_fits(key, data_bytes) {
            return Ok(());
        }
        self.check_size_exactly(key, data_bytes)
    }

    #[inline]
    fn surely_fits(&self, key: &str, data_bytes: usize) -> bool {
        key.len() + data_bytes <= self.stream.settings().fits_bytes()
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
        #[cfg(feature = "protocol")]
        if self.never_waits {
            return false;
        }
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
        Self { origin, appended }
    }

    /// The shard that took the record.
    pub const fn shard_id(&self) -> ShardId {
        self.origin.shard_id
    }

    /// The number that the record was given.
    pub fn sequence_number(&self) -> SequenceNumber {
        let Appended { place, arrival_ms } = self.appended;
        self.origin.sequence_number(place.get(), arrival_ms)
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
    const fn new(answers: Answers) -> Self {
        let records = PlainOnceLock::new();
        Self { answers, records }
    }

    /// An answer for each entry, in their order.
    ///
    /// They are made on the first call, of 80 bytes each; the other methods do without.
    pub fn records(&self) -> &[Result<PutRecordOutput, Error>] {
        self.records.get_or_init(|| self.to_records())
    }

    /// How many entries were refused.
    pub fn failed_record_count(&self) -> usize {
        self.failed().count()
    }

    /// The entries that were refused: the index of each among the entries, and why. This is what a
    /// producer puts again, if the error [is retryable](Error::is_retryable).
    pub fn failed(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.answers.refused()
    }

    /// Where each record went, if none was refused.
    ///
    /// # Errors
    ///
    /// The first refusal. The other records were put all the same, unless refused, too.
    pub fn into_result(self) -> Result<Vec<PutRecordOutput>, Error> {
        self.answers
            .iter()
            .map(|answer| answer.map_err(Error::clone))
            .collect()
    }

    fn to_records(&self) -> Vec<Answer> {
        self.answers
            .iter()
            .map(|answer| answer.map_err(Error::clone))
            .collect()
    }
}

impl fmt::Debug for PutRecordsOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutRecordsOutput")
            .field("records", &self.records())
            .finish()
    }
}

impl IntoIterator for PutRecordsOutput {
    type Item = Result<PutRecordOutput, Error>;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.to_records().into_iter()
    }
}

impl<'a> IntoIterator for &'a PutRecordsOutput {
    type Item = &'a Result<PutRecordOutput, Error>;
    type IntoIter = std::slice::Iter<'a, Result<PutRecordOutput, Error>>;

    fn into_iter(self) -> Self::IntoIter {
        self.records().iter()
    }
}

/// The hash key that was given, or that of the partition key.
#[inline]
fn hash_key(partition_key: &str, known: Option<HashKey>) -> HashKey {
    known.unwrap_or_else(|| HashKey::recalled(partition_key))
}
