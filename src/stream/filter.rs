//! Listing shards, as `ListShards` of Kinesis does.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::shard::Shard;
use crate::shard_id::ShardId;
use crate::stream::{ShardsNow, Stream, StreamStatus};

/// Which shards to list. Closed shards whose records have all expired are never listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShardFilter {
    /// Those with a greater id; there need not be a shard with this one.
    AfterShardId(ShardId),
    /// Those that were open at the trim horizon: now less the retention. Of a stream younger than
    /// that, the shards that it began with.
    AtTrimHorizon,
    /// All.
    FromTrimHorizon,
    /// The open ones.
    AtLatest,
    /// Those that were open at a time. Of a time before the stream was created, the shards that it
    /// began with.
    AtTimestamp(Timestamp),
    /// The open ones, and those closed at a time or later.
    FromTimestamp(Timestamp),
}

impl Stream {
    /// Lists shards by their ids.
    ///
    /// # Errors
    ///
    /// [`Error::TimestampInFuture`]; [`Error::StreamNotActive`] while the stream is created or
    /// deleted; [`Error::StreamNotFound`].
    pub fn list_shards(&self, filter: ShardFilter) -> Result<Vec<Shard>, Error> {
        let listed = self.list_lineages(filter)?;
        let shards = listed.lineages.iter().map(|lineage| lineage.shard.clone());
        Ok(shards.collect())
    }

    /// Lists shards with what came of them.
    pub(crate) fn list_lineages(&self, filter: ShardFilter) -> Result<ShardsNow, Error> {
        let now = self.settings().now();
        match self.status_at(now) {
            Some(StreamStatus::Active | StreamStatus::Updating) => {}
            Some(status) => {
                let (stream, status) = (self.name().to_owned(), status.as_str());
                return Err(Error::StreamNotActive { stream, status });
            }
            None => return Err(self.settings().not_found()),
        }
        if let ShardFilter::AtTimestamp(timestamp) | ShardFilter::FromTimestamp(timestamp) = filter
            && timestamp > now
        {
            return Err(Error::TimestampInFuture { timestamp, now });
        }
        let created_ms = self.created().as_millis();
        let is_listed = |shard: &Shard, horizon_ms: u64| match filter {
            ShardFilter::AfterShardId(shard_id) => shard.id() > shard_id,
            ShardFilter::AtTrimHorizon => was_open(shard, horizon_ms, created_ms),
            ShardFilter::FromTrimHorizon => true,
            ShardFilter::AtLatest => !shard.is_closed(),
            ShardFilter::AtTimestamp(time) => {
                was_open(shard, time.as_millis().max(horizon_ms), created_ms)
            }
            ShardFilter::FromTimestamp(time) => shard
                .closed_ms()
                .is_none_or(|closed| closed >= time.as_millis().max(horizon_ms)),
        };
        Ok(self.look_at_shards(now, is_listed))
    }
}

/// Whether a shard was open at a time, ends included; before the stream was created, whether it
/// is one of its first.
fn was_open(shard: &Shard, time_ms: u64, stream_created_ms: u64) -> bool {
    if time_ms < stream_created_ms {
        return shard.parent_shard_id().is_none();
    }
    shard.created_ms() <= time_ms && shard.closed_ms().is_none_or(|closed| closed >= time_ms)
}
