//! Records: as a batch shows them, and owned.

use std::fmt;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::sequence::{CREATED_SECS_MAX, SequenceNumber};
use crate::shard_id::ShardId;

/// What makes a place in a shard a sequence number: which shard it is, and when it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) created_secs: u64,
    pub(crate) shard_id: ShardId,
}

impl Origin {
    /// The origin of a shard's records. A time that sequence numbers cannot have is the last that
    /// they can.
    pub(crate) fn new(created_secs: u64, shard_id: ShardId) -> Self {
        Self {
            created_secs: created_secs.min(CREATED_SECS_MAX),
            shard_id,
        }
    }

    /// The sequence number of the record at a place.
    #[inline]
    pub(crate) fn sequence_number(self, place: u64, arrival_ms: u64) -> SequenceNumber {
        // The contract, 1.6: a child begins a second after its parents ended.
        let time_secs = (arrival_ms / 1000).max(self.created_secs);
        SequenceNumber::new(self.created_secs, self.shard_id.index(), place, time_secs)
    }
}

/// A record that is read where it lies, without a copy; it lives as long as its batch.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    pub(crate) origin: Origin,
    pub(crate) place: u64,
    pub(crate) arrival_ms: u64,
    pub(crate) partition_key: &'a str,
    pub(crate) data: &'a [u8],
    /// The handle of data that was not copied.
    pub(crate) handle: Option<&'a Bytes>,
}

impl<'a> RecordView<'a> {
    /// The number that the record was given, unique and increasing in its shard.
    pub fn sequence_number(&self) -> SequenceNumber {
        self.origin.sequence_number(self.place, self.arrival_ms)
    }

    /// When the stream accepted the record; never earlier than the record before it.
    pub const fn approximate_arrival_timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.arrival_ms)
    }

    /// The key that it was put with.
    pub const fn partition_key(&self) -> &'a str {
        self.partition_key
    }

    /// The data.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The shard that it lies in.
    pub const fn shard_id(&self) -> ShardId {
        self.origin.shard_id
    }

    /// The record as a value of its own. Small data is copied;
    /// [`RecordBatch::records`](crate::RecordBatch::records) copies none.
    pub fn to_record(&self) -> Record {
        let data = self
            .handle
            .map_or_else(|| Bytes::copy_from_slice(self.data), Bytes::clone);
        Record::new(self, data)
    }
}

impl fmt::Debug for RecordView<'_> {
    /// Shows no data and no key: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_record(
            f,
            "RecordView",
            self.origin,
            self.sequence_number(),
            self.data.len(),
        )
    }
}

/// A record as a value of its own: it may outlive its batch, and be sent anywhere.
///
/// Its data shares the memory of the stream. Data that was copied (see [`Data`](crate::Data): up to 512
/// bytes, or about 2,000 if they were no [`Bytes`]) lies in a chunk, of 64 KiB at most, that stays in
/// memory, with the larger data that it keeps, as long as any such record of it is held: copy what is
/// kept for long. Larger data keeps only itself.
///
/// Equal records have the same shard id, sequence number, time of arrival, key and data: the same
/// record is equal however often it is read.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    origin: Origin,
    place: u64,
    arrival_ms: u64,
    partition_key: OwnedKey,
    data: Bytes,
}

/// Short keys lie in the record itself: that is cheaper than counting references.
///
/// A key has one form, so that equal keys are equal: short if it fits, with zeros behind it.
#[derive(Clone, PartialEq, Eq)]
enum OwnedKey {
    Short {
        len: u8,
        bytes: [u8; SHORT_KEY_BYTES],
    },
    Long(Box<str>),
}

const SHORT_KEY_BYTES: usize = 30;

impl Record {
    #[inline]
    pub(crate) fn new(view: &RecordView<'_>, data: Bytes) -> Self {
        Self {
            origin: view.origin,
            place: view.place,
            arrival_ms: view.arrival_ms,
            partition_key: OwnedKey::new(view.partition_key),
            data,
        }
    }

    /// The number that the record was given, unique and increasing in its shard.
    pub fn sequence_number(&self) -> SequenceNumber {
        self.origin.sequence_number(self.place, self.arrival_ms)
    }

    /// When the stream accepted the record; never earlier than the record before it.
    pub const fn approximate_arrival_timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.arrival_ms)
    }

    /// The key that it was put with.
    pub fn partition_key(&self) -> &str {
        self.partition_key.as_str()
    }

    /// The data.
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// The data, without the rest.
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// The shard that it lies in.
    pub const fn shard_id(&self) -> ShardId {
        self.origin.shard_id
    }
}

impl fmt::Debug for Record {
    /// Shows no data and no key: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_record(
            f,
            "Record",
            self.origin,
            self.sequence_number(),
            self.data.len(),
        )
    }
}

impl OwnedKey {
    #[inline]
    fn new(key: &str) -> Self {
        match u8::try_from(key.len()) {
            Ok(len) if key.len() <= SHORT_KEY_BYTES => {
                let mut bytes = [0; SHORT_KEY_BYTES];
                bytes[..key.len()].copy_from_slice(key.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(key.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Short { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)])
                .expect("the bytes were copied from a str"),
            Self::Long(key) => key,
        }
    }
}

fn debug_record(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    origin: Origin,
    sequence_number: SequenceNumber,
    data_bytes: usize,
) -> fmt::Result {
    f.debug_struct(name)
        .field("shard_id", &origin.shard_id)
        .field("sequence_number", &sequence_number)
        .field("data_bytes", &data_bytes)
        .finish_non_exhaustive()
}
