//! What can go wrong with a capture.

use std::io;

use crate::error::Error;
use crate::shard_id::ShardId;

/// Why a capture could not be written, read or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file, or whatever it is, could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A line is not as the format says, or contradicts the lines before it.
    #[error("line {line}, column {column}: {problem}")]
    Line {
        /// Which line, counted from 1.
        line: u64,
        /// Where in the line, counted from 1 in bytes; 1 if it is about the line as a whole.
        column: usize,
        /// What is wrong. A long one is cut off.
        problem: String,
    },

    /// There is no end line: the file was cut off. Everything in the lines before is good.
    #[error("line {line}: the capture stops here without an end line: it was cut off")]
    Unfinished {
        /// The line that should have been there.
        line: u64,
    },

    /// The stream that is replayed into refused what a line says.
    #[error("line {line}: {source}")]
    Refused {
        /// Which line, counted from 1.
        line: u64,
        /// Why.
        source: Error,
    },

    /// A record of the replay did not go where it was in the capture.
    #[error("line {line}: the record went to {actual}, not to {expected}")]
    OtherShard {
        /// Which line, counted from 1.
        line: u64,
        /// The shard that it has to go to, as the replay names it.
        expected: ShardId,
        /// The shard that it went to.
        actual: ShardId,
    },

    /// A shard expired before the capture came to it, so nobody knows what was in it.
    #[error("shard {shard_id} expired before it was captured")]
    ShardExpired {
        /// Which shard.
        shard_id: ShardId,
    },

    /// The stream that is captured refused to be read, or a setting makes no sense.
    #[error(transparent)]
    Stream(#[from] Error),
}
