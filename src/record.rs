//! Records as a batch shows them, and what numbers them.

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

/// Shows no data and no key: they may be secret.
pub(crate) fn debug_record(
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
