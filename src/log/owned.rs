//! Owned records: they keep the memory of the log that their data lies in.

use std::fmt;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::log::{Frame, OwnedKey};
use crate::record::{Origin, RecordView, debug_record};
use crate::sequence::SequenceNumber;
use crate::shard_id::ShardId;

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

impl Record {
    /// The record that a frame holds.
    #[inline]
    pub(crate) fn new(origin: Origin, frame: &Frame<'_>, data: Bytes) -> Self {
        Self {
            origin,
            place: frame.place(),
            arrival_ms: frame.arrival(),
            partition_key: OwnedKey::new(frame.partition_key()),
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
    #[inline]
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

impl RecordView<'_> {
    /// The record as a value of its own. Small data is copied;
    /// [`RecordBatch::records`](crate::RecordBatch::records) copies none.
    pub fn to_record(&self) -> Record {
        let data = self
            .handle
            .map_or_else(|| Bytes::copy_from_slice(self.data), Bytes::clone);
        Record {
            origin: self.origin,
            place: self.place,
            arrival_ms: self.arrival_ms,
            partition_key: OwnedKey::new(self.partition_key),
            data,
        }
    }
}
