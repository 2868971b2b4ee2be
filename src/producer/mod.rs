//! Putting records into a stream.

use std::fmt;

use crate::data::Data;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::partition_key::AsPartitionKey;
use crate::put_entry::PutEntry;
use crate::record::Origin;
use crate::sequence::SequenceNumber;
use crate::shard::Appended;
use crate::shard_id::ShardId;
use crate::stream::{Routes, Stream};
use crate::sync::PlainOnceLock;

mod answers;
mod batch;
mod entries;
mod groups;
#[cfg(feature = "testing")]
mod hooked;
mod inlet;

use answers::{Answer, Answers};
use inlet::Inlet;

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
    ///
    /// [`OnFull::Wait`]: crate::OnFull::Wait
    #[inline(always)]
    pub fn put_record<'a>(
        &self,
        partition_key: impl AsPartitionKey,
        data: impl Into<Data<'a>>,
    ) -> Result<PutRecordOutput, Error> {
        let hash_key = partition_key.known_hash_key();
        self.inlet()
            .put(partition_key.partition_key(), hash_key, &mut data.into())
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
        self.inlet().put(key, Some(hash_key), &mut data.into())
    }

    /// Puts one record of which more is said than key and data.
    ///
    /// # Errors
    ///
    /// As [`put_record`](Self::put_record); [`Error::OrderingInFuture`].
    pub fn put_entry<'a>(&self, entry: impl Into<PutEntry<'a>>) -> Result<PutRecordOutput, Error> {
        self.inlet().put_entry(entry.into())
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
    ///
    /// [`OnFull::Wait`]: crate::OnFull::Wait
    pub fn put_records<'a>(
        &self,
        entries: impl IntoIterator<Item = impl Into<PutEntry<'a>>>,
    ) -> Result<PutRecordsOutput, Error> {
        self.inlet()
            .put_records(entries.into_iter().map(Into::into))
    }

    #[inline(always)]
    const fn inlet(&self) -> Inlet<'_> {
        Inlet {
            stream: &self.stream,
            routes: &self.routes,
            #[cfg(feature = "protocol")]
            never_waits: false,
        }
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

    /// The same one after the other, in no memory; and how many there are.
    #[cfg(feature = "protocol")]
    pub(crate) fn answers(&self) -> (usize, impl Iterator<Item = Result<PutRecordOutput, &Error>>) {
        (self.answers.len(), self.answers.iter())
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
