//! Figures of a shard.

use crate::shard::{Aftermath, Shard};
use crate::shard_id::ShardId;
use crate::sync::Ordering;

/// What went through a shard since it was created, and what is in it now. Bytes are those of data
/// and partition keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardMetrics {
    /// The shard.
    pub shard_id: ShardId,
    /// Whether it takes records.
    pub open: bool,
    /// Records accepted.
    pub records_in: u64,
    /// Bytes accepted.
    pub bytes_in: u64,
    /// Records handed to readers, over all of them.
    pub records_out: u64,
    /// Bytes handed to readers, over all of them.
    pub bytes_out: u64,
    /// Records that can be read.
    pub records_retained: u64,
    /// Bytes that can be read.
    pub bytes_retained: u64,
    /// Records that were trimmed, by retention or by capacity.
    pub records_trimmed: u64,
    /// Bytes that were trimmed.
    pub bytes_trimmed: u64,
    /// Records refused by the limits.
    pub puts_throttled: u64,
    /// Reads refused by the limits.
    pub reads_throttled: u64,
    /// Readers that wait for a record now.
    pub waiting_readers: usize,
    /// Age of the oldest record that can be read, in milliseconds; `None` if there is none.
    pub oldest_age_ms: Option<u64>,
}

impl Shard {
    /// The shard's figures of now. Trims what has expired; takes the shard's lock for a moment.
    pub fn metrics(&self) -> ShardMetrics {
        self.settle();
        let now = self.core.settings.now();
        let cutoff = self.core.settings.cutoff(now);
        let given = self.core.reads.given();
        self.look(&mut Aftermath::default(), |core, state| {
            let writer = &mut state.writer;
            writer.trim_expired(&core.log, cutoff);
            let oldest = writer.oldest_arrival(&core.log);
            ShardMetrics {
                shard_id: core.origin.shard_id,
                open: !state.closed,
                records_in: writer.next() - 1,
                bytes_in: writer.bytes_in(),
                records_out: given.records,
                bytes_out: given.bytes,
                records_retained: writer.next() - writer.trim_horizon(),
                bytes_retained: writer.bytes_in() - writer.bytes_trimmed(),
                records_trimmed: writer.trim_horizon() - planted!(1, "one_more_trimmed": 0),
                bytes_trimmed: writer.bytes_trimmed(),
                puts_throttled: state.puts_throttled,
                reads_throttled: core.reads.throttled.load(Ordering::Relaxed),
                waiting_readers: core.readers.count(),
                oldest_age_ms: oldest.map(|oldest| now.as_millis().saturating_sub(oldest)),
            }
        })
    }
}
