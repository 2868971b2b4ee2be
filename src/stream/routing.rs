//! Which open shard takes a hash key.

use crate::hash_key::HashKey;
use crate::shard::Shard;

/// The open shards of a moment, by their ranges. Never changed: a reshard makes a new one.
#[derive(Debug)]
pub(crate) struct Routing {
    /// Where each shard's range starts, in order.
    starts: Box<[HashKey]>,
    shards: Box<[Shard]>,
    pub(crate) taking: Taking,
}

/// Whether the stream takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    Records,
    NotYet,
    NoMore,
    Deleted,
}

impl Routing {
    /// The table of a stream that takes records, from its open shards.
    pub(crate) fn new(mut shards: Vec<Shard>) -> Self {
        shards.sort_by_key(|shard| shard.hash_key_range().start());
        let starts = shards
            .iter()
            .map(|shard| shard.hash_key_range().start())
            .collect();
        Self {
            starts,
            shards: shards.into(),
            taking: Taking::Records,
        }
    }

    /// The table of a stream that takes none.
    pub(crate) fn of_none(taking: Taking) -> Self {
        Self {
            starts: Box::default(),
            shards: Box::default(),
            taking,
        }
    }

    /// The index of the shard that takes a key, which is hashed only if that matters. `None`: the
    /// stream takes no records.
    #[inline]
    pub(crate) fn index_of(&self, hash_key: impl FnOnce() -> HashKey) -> Option<usize> {
        if self.starts.len() <= 1 {
            return self.starts.len().checked_sub(1);
        }
        let hash_key = planted!(hash_key(), "last_key_goes_above": hash_key().next());
        // The first range starts at 0, so at least one start is not above the key. Of few starts
        // all are looked at, without a branch that depends on the key.
        let is_at_or_below = |start: &HashKey| *start <= hash_key;
        let count = if self.starts.len() <= 8 {
            self.starts
                .iter()
                .filter(|start| is_at_or_below(start))
                .count()
        } else {
            self.starts.partition_point(is_at_or_below)
        };
        Some(count - 1)
    }

    /// The shard that takes all records, if there is only one.
    #[inline]
    pub(crate) fn only_shard(&self) -> Option<&Shard> {
        match &*self.shards {
            [shard] => Some(shard),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn shard(&self, index: usize) -> &Shard {
        &self.shards[index]
    }
}
