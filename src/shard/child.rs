//! The shards that go on where a closed one ended.

use crate::hash_key::HashKeyRange;
use crate::shard_id::ShardId;

/// A shard that takes over the range of a closed one, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildShard {
    pub(crate) shard_id: ShardId,
    pub(crate) parent_shards: Vec<ShardId>,
    pub(crate) hash_key_range: HashKeyRange,
}

impl ChildShard {
    /// Which shard it is.
    pub const fn shard_id(&self) -> ShardId {
        self.shard_id
    }

    /// The shards that it comes from: one after a split, two after a merge.
    pub fn parent_shards(&self) -> &[ShardId] {
        &self.parent_shards
    }

    /// The hash keys that it takes.
    pub const fn hash_key_range(&self) -> HashKeyRange {
        self.hash_key_range
    }
}
