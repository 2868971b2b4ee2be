//! What can go wrong, with the code that Kinesis gives it.

use std::time::Duration;

use crate::clock::{ParseTimestampError, TickingClockError, Timestamp};
use crate::hash_key::{HashKey, ParseHashKeyError};
use crate::limits::{
    GET_RECORDS_LIMIT_MAX, PARTITION_KEY_CHARS_MAX, SHARD_COUNT_MAX, STREAM_NAME_CHARS_MAX,
};
use crate::positions::ParseSubscriptionPositionsError;
use crate::sequence::{ParseSequenceNumberError, SequenceNumber};
use crate::shard_id::{ParseShardIdError, ShardId};
use crate::starting_position::ParseStartingPositionError;

/// Why an operation was refused. Nothing was changed by a call that returns one, but for
/// [`InternalFailure`](Self::InternalFailure), of which nobody knows.
///
/// [`code`](Self::code) is the name of the exception with which Kinesis answers in the same case;
/// match on the variant or the code, never on the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A stream name is empty, too long, or has a character outside `a-z A-Z 0-9 _ . -`.
    #[error(
        "stream name of {chars} characters is not 1 to {STREAM_NAME_CHARS_MAX} of a-z, A-Z, 0-9, _, . and -"
    )]
    InvalidStreamName {
        /// Length of the name.
        chars: usize,
    },

    /// A setting makes no sense.
    #[error("{setting} of {value} is out of bounds: it must be {bound}")]
    InvalidSetting {
        /// Which setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What it must be.
        bound: String,
    },

    /// A partition key is empty or too long.
    #[error("partition key has {chars} characters, not 1 to {PARTITION_KEY_CHARS_MAX}")]
    InvalidPartitionKey {
        /// Length of the key in Unicode characters.
        chars: usize,
    },

    /// The data of one record is larger than the stream allows.
    #[error("record data is {data_bytes} bytes, more than the {limit_bytes} allowed")]
    RecordTooLarge {
        /// Size of the data that was put.
        data_bytes: usize,
        /// The stream's largest record, or what its capacity leaves for data.
        limit_bytes: usize,
    },

    /// One call puts more records than the limits allow.
    #[error("{entries} records in one call, more than the {limit} allowed")]
    TooManyEntries {
        /// Records in the call.
        entries: usize,
        /// The limit.
        limit: usize,
    },

    /// The records of one call are larger together than the limits allow.
    #[error("records of {bytes} bytes in one call, more than the {limit_bytes} allowed")]
    EntriesTooLarge {
        /// Keys and data together.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },

    /// A sequence number for ordering does not come from a put of before.
    #[error("sequence number {sequence_number} for ordering is of the future")]
    OrderingInFuture {
        /// The number.
        sequence_number: SequenceNumber,
    },

    /// `get_records` was asked for no record, or for too many.
    #[error("limit of {limit} records is not 1 to {GET_RECORDS_LIMIT_MAX}")]
    InvalidLimit {
        /// The limit given.
        limit: usize,
    },

    /// The registry has no stream of this name, or the stream was deleted.
    #[error("stream {stream} not found")]
    StreamNotFound {
        /// Name of the stream.
        stream: String,
    },

    /// The registry has a stream of this name already.
    #[error("stream {stream} already exists")]
    StreamExists {
        /// Name of the stream.
        stream: String,
    },

    /// The stream is being created, updated or deleted.
    #[error("stream {stream} is not ACTIVE, instead in state {status}")]
    StreamNotActive {
        /// Name of the stream.
        stream: String,
        /// Its state.
        status: &'static str,
    },

    /// The stream takes no more records: [`close`](crate::Stream::close) was called.
    #[error("stream {stream} is closed")]
    StreamClosed {
        /// Name of the stream.
        stream: String,
    },

    /// The stream has no such shard, or it was closed longer ago than the retention.
    #[error("shard {shard_id} in stream {stream} does not exist")]
    ShardNotFound {
        /// Name of the stream.
        stream: String,
        /// The shard asked for.
        shard_id: ShardId,
    },

    /// A closed shard cannot be split or merged again.
    #[error("shard {shard_id} has already been merged or split")]
    ShardClosed {
        /// The closed shard.
        shard_id: ShardId,
    },

    /// The key at which to split leaves one side too small.
    #[error(
        "new starting hash key {key} for shard {shard_id} is not both greater than one plus {start} and less than {end}"
    )]
    InvalidSplit {
        /// The shard to split.
        shard_id: ShardId,
        /// The key given.
        key: HashKey,
        /// Start of the shard's range.
        start: HashKey,
        /// End of the shard's range, inclusive.
        end: HashKey,
    },

    /// Two shards are not the lower and the upper of an adjacent pair.
    #[error("shards {lower} and {upper} are not an adjacent pair, the lower first")]
    ShardsNotAdjacent {
        /// The shard given as the lower one.
        lower: ShardId,
        /// The shard given as the upper one.
        upper: ShardId,
    },

    /// The number of shards asked for is out of bounds.
    #[error("shard count of {target} is not 1 to {SHARD_COUNT_MAX}")]
    InvalidShardCount {
        /// The count given.
        target: u32,
    },

    /// The limits of the service allow no such step from the present number of shards.
    #[error(
        "shard count can go from {current} to between half and double of that, not to {target}"
    )]
    ShardCountStep {
        /// Open shards now.
        current: u32,
        /// The count given.
        target: u32,
    },

    /// The number of shards was changed too often within a day.
    #[error("shard count was changed {limit} times within 24 hours")]
    ShardCountChanges {
        /// How often it may be.
        limit: u32,
    },

    /// The stream has had as many shards as ids exist.
    #[error("no shard id is left in stream {stream}")]
    ShardIdsExhausted {
        /// Name of the stream.
        stream: String,
    },

    /// A sequence number belongs to another shard.
    #[error("sequence number {sequence_number} is of {encoded}, used with {shard_id}")]
    SequenceNumberOfOtherShard {
        /// The number.
        sequence_number: SequenceNumber,
        /// The shard that the number encodes.
        encoded: ShardId,
        /// The shard that it was used with.
        shard_id: ShardId,
    },

    /// A sequence number belongs to another stream, or to one of the same name that was deleted.
    #[error("sequence number {sequence_number} did not come from stream {stream}")]
    SequenceNumberOfOtherStream {
        /// The number.
        sequence_number: SequenceNumber,
        /// The stream that it was used with.
        stream: String,
    },

    /// A sequence number that the shard has not given to any record yet.
    #[error("sequence number {sequence_number} of {shard_id} is of the future")]
    SequenceNumberInFuture {
        /// The number.
        sequence_number: SequenceNumber,
        /// The shard that it was used with.
        shard_id: ShardId,
    },

    /// A starting position at a time that has not come yet.
    #[error("timestamp {timestamp} is later than the current time {now}")]
    TimestampInFuture {
        /// The time given.
        timestamp: Timestamp,
        /// The stream's time.
        now: Timestamp,
    },

    /// A starting position that makes no sense for all shards of a stream at once.
    #[error(
        "a subscription starts at TRIM_HORIZON, LATEST or a timestamp, not at a sequence number"
    )]
    SequenceNumberForSubscription,

    /// The shard's limits do not allow the write now; nothing was stored.
    #[error("write rate exceeded for shard {shard_id} in stream {stream}")]
    WriteThrottled {
        /// Name of the stream.
        stream: String,
        /// The shard.
        shard_id: ShardId,
    },

    /// The shard's limits do not allow the read now.
    #[error("read rate exceeded for shard {shard_id} in stream {stream}")]
    ReadThrottled {
        /// Name of the stream.
        stream: String,
        /// The shard.
        shard_id: ShardId,
    },

    /// The shard is full and the stream refuses rather than trims; nothing was stored.
    #[error("shard {shard_id} in stream {stream} is full")]
    ShardFull {
        /// Name of the stream.
        stream: String,
        /// The shard.
        shard_id: ShardId,
    },

    /// The shard was full for as long as the stream lets a put wait; nothing was stored.
    #[error("shard {shard_id} in stream {stream} stayed full for {waited:?}")]
    PutTimedOut {
        /// Name of the stream.
        stream: String,
        /// The shard.
        shard_id: ShardId,
        /// The wait that the stream allows.
        waited: Duration,
    },

    /// The iterator is too old to go on. Take another one at its
    /// [position](crate::ShardIterator::position).
    ///
    /// Iterators of this crate do not expire by themselves; a test may have them expire.
    #[error("iterator on shard {shard_id} in stream {stream} has expired")]
    IteratorExpired {
        /// Name of the stream.
        stream: String,
        /// The shard that it reads.
        shard_id: ShardId,
    },

    /// The service failed. Whether the call did anything is not known: a record may have been
    /// accepted, and putting it again may put it twice.
    ///
    /// This crate does not fail so by itself; a test may have it fail.
    #[error("internal failure in stream {stream}")]
    InternalFailure {
        /// Name of the stream.
        stream: String,
    },

    /// A ticking clock could not be made.
    #[error(transparent)]
    TickingClock(#[from] TickingClockError),

    /// Text that is no hash key.
    #[error(transparent)]
    ParseHashKey(#[from] ParseHashKeyError),

    /// Text that is no shard id.
    #[error(transparent)]
    ParseShardId(#[from] ParseShardIdError),

    /// Text that is no sequence number.
    #[error(transparent)]
    ParseSequenceNumber(#[from] ParseSequenceNumberError),

    /// Text that is no timestamp.
    #[error(transparent)]
    ParseTimestamp(#[from] ParseTimestampError),

    /// Text that is no starting position.
    #[error(transparent)]
    ParseStartingPosition(#[from] ParseStartingPositionError),

    /// Text that is no positions of a subscription.
    #[error(transparent)]
    ParseSubscriptionPositions(#[from] ParseSubscriptionPositionsError),
}

impl Error {
    /// The name of the exception that Kinesis has for this.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidStreamName { .. }
            | Self::InvalidSetting { .. }
            | Self::InvalidPartitionKey { .. }
            | Self::RecordTooLarge { .. }
            | Self::TooManyEntries { .. }
            | Self::InvalidLimit { .. }
            | Self::InvalidShardCount { .. }
            | Self::TickingClock(TickingClockError::InvalidPeriod { .. }) => "ValidationException",

            Self::EntriesTooLarge { .. }
            | Self::OrderingInFuture { .. }
            | Self::ShardClosed { .. }
            | Self::InvalidSplit { .. }
            | Self::ShardsNotAdjacent { .. }
            | Self::SequenceNumberOfOtherShard { .. }
            | Self::SequenceNumberOfOtherStream { .. }
            | Self::SequenceNumberInFuture { .. }
            | Self::TimestampInFuture { .. }
            | Self::SequenceNumberForSubscription
            | Self::ParseHashKey(_)
            | Self::ParseSequenceNumber(_)
            | Self::ParseTimestamp(_)
            | Self::ParseStartingPosition(_)
            | Self::ParseSubscriptionPositions(_) => "InvalidArgumentException",

            Self::StreamNotFound { .. }
            | Self::ShardNotFound { .. }
            | Self::StreamClosed { .. }
            | Self::ParseShardId(_) => "ResourceNotFoundException",

            Self::StreamExists { .. } | Self::StreamNotActive { .. } => "ResourceInUseException",

            Self::ShardCountStep { .. }
            | Self::ShardCountChanges { .. }
            | Self::ShardIdsExhausted { .. } => "LimitExceededException",

            Self::WriteThrottled { .. }
            | Self::ReadThrottled { .. }
            | Self::ShardFull { .. }
            | Self::PutTimedOut { .. } => "ProvisionedThroughputExceededException",

            Self::IteratorExpired { .. } => "ExpiredIteratorException",

            Self::InternalFailure { .. }
            | Self::TickingClock(TickingClockError::ThreadNotStarted { .. }) => "InternalFailure",
        }
    }

    /// Whether the same call may succeed later without anything else being done.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::WriteThrottled { .. }
                | Self::ReadThrottled { .. }
                | Self::ShardFull { .. }
                | Self::PutTimedOut { .. }
                | Self::StreamNotActive { .. }
                | Self::ShardCountChanges { .. }
                | Self::InternalFailure { .. }
                | Self::TickingClock(TickingClockError::ThreadNotStarted { .. })
        )
    }
}
