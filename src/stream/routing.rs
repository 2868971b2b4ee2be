//! Which open shard takes a hash key.

use crate::hash_key::HashKey;
use crate::shard::Shard;

/// The open shards of a moment, by their ranges. Never changed: a reshard makes a new one.
#[derive(Debug)]
pub(crate) struct Routing {
    /// Where each shard's range starts, in order.
    starts: Box<[HashKey]>,
    /// For each of so many equal parts of all hash keys, the first and the last shard that takes any
    /// of it: usually that is the same. `None` if there are not several shards.
    parts: Option<Box<[(u32, u32); PARTS]>>,
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
        let starts: Box<[_]> = shards
            .iter()
            .map(|shard| shard.hash_key_range().start())
            .collect();
        Self {
            parts: (starts.len() > 1).then(|| Box::new(parts(&starts))),
            starts,
            shards: shards.into(),
            taking: Taking::Records,
        }
    }

    /// The table of a stream that takes none.
    pub(crate) fn of_none(taking: Taking) -> Self {
        Self {
            starts: Box::default(),
            parts: None,
            shards: Box::default(),
            taking,
        }
    }

    /// The index of the shard that takes a key, which is hashed only if that matters. `None`: the
    /// stream takes no records.
    #[inline]
    pub(crate) fn index_of(&self, hash_key: impl FnOnce() -> HashKey) -> Option<usize> {
        let Some(parts) = &self.parts else {
            return self.starts.len().checked_sub(1);
        };
        let hash_key = planted!(hash_key(), "last_key_goes_above": hash_key().next());
        let (first, last) = parts[part_of(hash_key)];
        if first == last {
            return Some(first as usize);
        }
        // The first one's range starts at the part or before.
        let (first, last) = (first as usize, last as usize);
        let others = &self.starts[first + 1..=last];
        Some(first + others.partition_point(|start| *start <= hash_key))
    }

    /// The shard that takes a key; as [`index_of`](Self::index_of).
    ///
    /// Always inlined: nearly each put asks once (a fiftieth of it).
    #[inline(always)]
    pub(crate) fn shard_of(&self, hash_key: impl FnOnce() -> HashKey) -> Option<&Shard> {
        match self.only_shard() {
            None => Some(self.shard(self.index_of(hash_key)?)),
            only => only,
        }
    }

    /// How many shards take records.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
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

/// Few, so that the table stays at hand; of a stream of some shards most parts have only one.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 6;

/// Which of the equal parts a hash key is in.
#[inline]
fn part_of(hash_key: HashKey) -> usize {
    (hash_key.get() >> (u128::BITS - PART_BITS)) as usize
}

/// The first and the last shard of each part, by where the shards' ranges start.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the ids of shards have 32 bits"
)]
fn parts(starts: &[HashKey]) -> [(u32, u32); PARTS] {
    let shard_of = |hash_key| starts.partition_point(|start| start.get() <= hash_key) as u32 - 1;
    std::array::from_fn(|part| {
        let from = (part as u128) << (u128::BITS - PART_BITS);
        (shard_of(from), shard_of(from | u128::MAX >> PART_BITS))
    })
}
