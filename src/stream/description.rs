//! What a stream says of itself.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::shard::{Shard, ShardMetrics};
use crate::stream::{Stream, StreamStatus};

/// A stream as it is at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamDescription {
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: StreamStatus,
    /// When it was created.
    pub created: Timestamp,
    /// For how long records can be read.
    pub retention: Duration,
    /// How many shards take records.
    pub open_shard_count: usize,
    /// Its shards by their ids, with the closed ones whose records have not expired.
    pub shards: Vec<Shard>,
}

/// The figures of all shards of a stream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamMetrics {
    /// Each shard's figures, by their ids.
    pub shards: Vec<ShardMetrics>,
}

impl StreamMetrics {
    /// Adds a figure up over all shards.
    ///
    /// ```
    /// let stream = brooklet::Stream::new("orders", 4)?;
    /// stream.producer().put_record("customer-17", "two teapots")?;
    /// assert_eq!(stream.metrics().sum(|shard| shard.records_in), 1);
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub fn sum(&self, figure: impl Fn(&ShardMetrics) -> u64) -> u64 {
        self.shards.iter().map(figure).sum()
    }

    /// Records accepted by the shards that have not expired.
    pub fn records_in(&self) -> u64 {
        self.sum(|shard| shard.records_in)
    }

    /// Bytes accepted by the shards that have not expired.
    pub fn bytes_in(&self) -> u64 {
        self.sum(|shard| shard.bytes_in)
    }

    /// Records handed to readers, over all of them, by the shards that have not expired.
    pub fn records_out(&self) -> u64 {
        self.sum(|shard| shard.records_out)
    }

    /// Bytes handed to readers, over all of them, by the shards that have not expired.
    pub fn bytes_out(&self) -> u64 {
        self.sum(|shard| shard.bytes_out)
    }

    /// Records that can be read.
    pub fn records_retained(&self) -> u64 {
        self.sum(|shard| shard.records_retained)
    }

    /// Bytes that can be read.
    pub fn bytes_retained(&self) -> u64 {
        self.sum(|shard| shard.bytes_retained)
    }

    /// Records that were trimmed from the shards that have not expired.
    pub fn records_trimmed(&self) -> u64 {
        self.sum(|shard| shard.records_trimmed)
    }

    /// Age of the oldest record that can be read, in milliseconds.
    pub fn oldest_age_ms(&self) -> Option<u64> {
        self.shards
            .iter()
            .filter_map(|shard| shard.oldest_age_ms)
            .max()
    }
}

impl Stream {
    /// The stream as it is now.
    pub fn describe(&self) -> StreamDescription {
        // In this order: an update that ends in between shows as one that has not, with what it brought.
        let status = self.status();
        let (shards, open_shard_count) = self.visible_shards(self.settings().now());
        StreamDescription {
            name: self.name().to_owned(),
            status,
            created: self.created(),
            retention: self.retention(),
            open_shard_count,
            shards,
        }
    }

    /// The figures of every shard of now. Cheap: it takes each shard's lock for a moment.
    pub fn metrics(&self) -> StreamMetrics {
        StreamMetrics {
            shards: self.shards().iter().map(Shard::metrics).collect(),
        }
    }
}
