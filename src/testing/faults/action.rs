//! What a fault does to a stream before a call is carried out.

use std::num::NonZeroU32;

use crate::error::Error;
use crate::shard::{Aftermath, Shard};
use crate::stream::{ShardFilter, Stream};
use crate::sync::PlainArc;

/// What a fault does to a stream, by the shard of the call.
#[derive(Clone)]
pub(super) enum Action {
    SplitShard,
    MergeShard,
    UpdateShardCount(NonZeroU32),
    OverrunReader { kept: u64 },
    CloseStream,
    Run(PlainArc<dyn Fn(&Stream) + Send + Sync>),
}

impl Action {
    /// Does it; no lock may be held.
    pub(super) fn run(&self, shard: &Shard) -> Result<(), Error> {
        if let Self::OverrunReader { kept } = self {
            shard.trim_to_newest(*kept, &mut Aftermath::default());
            return Ok(());
        }
        let stream = Stream::of_hooked(shard).ok_or_else(|| shard.settings().not_found())?;
        match self {
            Self::SplitShard => stream.split_shard(shard.id(), shard.hash_key_range().midpoint()),
            Self::MergeShard => merge(&stream, shard),
            Self::UpdateShardCount(count) => stream.update_shard_count(count.get()),
            Self::OverrunReader { .. } => Ok(()),
            Self::CloseStream => {
                stream.close();
                Ok(())
            }
            Self::Run(run) => {
                run(&stream);
                Ok(())
            }
        }
    }
}

/// Merges a shard with the open one above it, or below it if there is none above.
fn merge(stream: &Stream, shard: &Shard) -> Result<(), Error> {
    let range = shard.hash_key_range();
    let open = stream.list_shards(ShardFilter::AtLatest)?;
    let above = open
        .iter()
        .find(|other| range.is_adjacent_below(other.hash_key_range()));
    if let Some(above) = above {
        return stream.merge_shards(shard.id(), above.id());
    }
    let below = open
        .iter()
        .find(|other| other.hash_key_range().is_adjacent_below(range));
    // The only shard has no neighbour: it is not adjacent to itself.
    stream.merge_shards(below.unwrap_or(shard).id(), shard.id())
}
