//! Where a reader begins.

use crate::clock::Timestamp;
use crate::sequence::SequenceNumber;

/// Where in a shard a reader begins, as in `GetShardIterator` of Kinesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartingPosition {
    /// At the oldest retained record, whichever that is when the first batch is read.
    TrimHorizon,
    /// After the newest record of now: what is put from now on is read.
    Latest,
    /// At the record with this number or, if there is none, the next one.
    AtSequenceNumber(SequenceNumber),
    /// After the record with this number.
    AfterSequenceNumber(SequenceNumber),
    /// At the first record that arrived at this time or later. A time in the future is refused.
    AtTimestamp(Timestamp),
}

impl StartingPosition {
    /// At the first record that arrived at `time` or later, from any kind of time.
    pub fn at_timestamp(time: impl Into<Timestamp>) -> Self {
        Self::AtTimestamp(time.into())
    }
}
