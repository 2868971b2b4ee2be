//! Splitting and merging shards while records go through them.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::num::NonZeroU32;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::{HashKey, HashKeyRange};
use crate::limits::SHARD_COUNT_MAX;
use crate::shard::{Aftermath, ClosedAt, NewShard, Parents, Settings, Shard};
use crate::shard_id::ShardId;
use crate::stream::{Control, Held, Lineage, Stream};
use crate::sync::Arc;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Stream {
    /// Splits an open shard in two: the lower child takes the hash keys below
    /// `new_starting_hash_key`, the upper one the rest. The shard is closed; its records stay
    /// until they expire. Producers see nothing of it.
    ///
    /// It is done when the call returns, unless a [registry with a
    /// delay](crate::RegistryBuilder::state_delay) made the stream: then when that is over.
    ///
    /// # Errors
    ///
    /// [`Error::ShardNotFound`]; [`Error::ShardClosed`]; [`Error::InvalidSplit`] unless the key
    /// is at least two above the start of the shard's range and below its end;
    /// [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub fn split_shard(
        &self,
        shard_id: impl Borrow<ShardId>,
        new_starting_hash_key: HashKey,
    ) -> Result<(), Error> {
        let shard_id = *shard_id.borrow();
        let asked = self.asked();
        let held = self.active(asked.now)?;
        let lineage = self.open_shard(&held.control, shard_id)?;
        let range = lineage.shard.hash_key_range();
        if range.split_at(new_starting_hash_key).is_none() {
            return Err(Error::InvalidSplit {
                shard_id,
                key: new_starting_hash_key,
                start: range.start(),
                end: range.end(),
            });
        }
        self.check_ids_left(&held.control, 2)?;
        let key = new_starting_hash_key;
        self.reshard(held, asked, Change::Split(lineage, key));
        Ok(())
    }

    /// Merges two open shards with adjacent ranges, the lower one first, into one: when
    /// [a split](Self::split_shard) would be done.
    ///
    /// # Errors
    ///
    /// [`Error::ShardNotFound`]; [`Error::ShardClosed`]; [`Error::ShardsNotAdjacent`], also if
    /// the upper one comes first; [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub fn merge_shards(
        &self,
        shard_to_merge: impl Borrow<ShardId>,
        adjacent_shard_to_merge: impl Borrow<ShardId>,
    ) -> Result<(), Error> {
        let (lower, upper) = (*shard_to_merge.borrow(), *adjacent_shard_to_merge.borrow());
        let asked = self.asked();
        let held = self.active(asked.now)?;
        for shard_id in [lower, upper] {
            if !held.control.shards.contains_key(&shard_id) {
                return Err(self.shard_not_found(shard_id));
            }
        }
        let lower_lineage = self.open_shard(&held.control, lower)?;
        let upper_lineage = self.open_shard(&held.control, upper)?;
        let upper_range = upper_lineage.shard.hash_key_range();
        let lower_range = lower_lineage.shard.hash_key_range();
        if !lower_range.is_adjacent_below(upper_range) {
            return Err(Error::ShardsNotAdjacent { lower, upper });
        }
        self.check_ids_left(&held.control, 1)?;
        self.reshard(held, asked, Change::Merge(lower_lineage, upper_lineage));
        Ok(())
    }

    /// Splits and merges until exactly `target` shards of equal hash-key ranges are open: when
    /// [a split](Self::split_shard) would be done, all at once. Shards of a moment on the way there
    /// are closed and empty; readers walk through them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidShardCount`] unless 1 to 10,000; with
    /// [`Limits::kinesis`](crate::Limits::kinesis) also [`Error::ShardCountStep`] beyond half or
    /// double and [`Error::ShardCountChanges`]; [`Error::StreamClosed`];
    /// [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub fn update_shard_count(&self, target: u32) -> Result<(), Error> {
        let asked = self.asked();
        let mut held = self.active(asked.now)?;
        let Some(count) = NonZeroU32::new(target).filter(|count| count.get() <= SHARD_COUNT_MAX)
        else {
            return Err(Error::InvalidShardCount { target });
        };
        if held.control.closed {
            return Err(Error::StreamClosed {
                stream: self.name().to_owned(),
            });
        }
        let open = held.control.open_by_range();
        let current = u32::try_from(open.len()).unwrap_or(u32::MAX);
        self.check_count_change(&mut held.control, asked.now, current, target)?;
        if self.settings().limits.update_shard_count_per_day.is_some() {
            let now_ms = asked.now.as_millis();
            held.control.count_changes.push_back(now_ms);
        }
        if target != current {
            self.reshard(held, asked, Change::Sweep(open, count));
        }
        Ok(())
    }

    /// Checks the limits on how far, how often and by how many shards the count may change.
    fn check_count_change(
        &self,
        control: &mut Control,
        now: Timestamp,
        current: u32,
        target: u32,
    ) -> Result<(), Error> {
        self.check_shard_count_step(current, target)?;
        control.forget_count_changes(now);
        if let Some(limit) = self.settings().limits.update_shard_count_per_day
            && control.count_changes.len() >= limit as usize
        {
            return Err(Error::ShardCountChanges { limit });
        }
        // At most two splits and a merge for each shard, before or after.
        self.check_ids_left(control, current.saturating_add(target).saturating_mul(5))
    }

    /// Checks the limit on how far one change of the count goes.
    pub(crate) fn check_shard_count_step(&self, current: u32, target: u32) -> Result<(), Error> {
        let is_limited = self.settings().limits.shard_count_doubling;
        if is_limited && (target > current.saturating_mul(2) || target < current.div_ceil(2)) {
            return Err(Error::ShardCountStep { current, target });
        }
        Ok(())
    }

    fn open_shard(&self, control: &Control, shard_id: ShardId) -> Result<Arc<Lineage>, Error> {
        let lineage = control
            .shards
            .get(&shard_id)
            .ok_or_else(|| self.shard_not_found(shard_id))?;
        if lineage.shard.is_closed() {
            return Err(Error::ShardClosed { shard_id });
        }
        Ok(Arc::clone(lineage))
    }

    fn check_ids_left(&self, control: &Control, count: u32) -> Result<(), Error> {
        match control.next_index.checked_add(count).and_then(ShardId::new) {
            Some(_) => Ok(()),
            None => Err(Error::ShardIdsExhausted {
                stream: self.name().to_owned(),
            }),
        }
    }
}

/// What was asked for, and checked. Until it is carried out, no shard is split, merged or closed.
pub(super) enum Change {
    Split(Arc<Lineage>, HashKey),
    /// The lower one first.
    Merge(Arc<Lineage>, Arc<Lineage>),
    /// The open shards by their ranges, and how many there are to be.
    Sweep(VecDeque<Arc<Lineage>>, NonZeroU32),
}

impl Change {
    /// The shards that it may close.
    pub(super) fn parents(&self) -> impl Iterator<Item = &Shard> {
        let (one, other, all) = match self {
            Self::Split(parent, _) => (Some(parent), None, None),
            Self::Merge(lower, upper) => (Some(lower), Some(upper), None),
            Self::Sweep(open, _) => (None, None, Some(open)),
        };
        let all = all.into_iter().flatten();
        let parents = one.into_iter().chain(other).chain(all);
        parents.map(|lineage| &lineage.shard)
    }

    /// Closes shards at a time, and makes others.
    pub(super) fn carry_out(self, settings: &Arc<Settings>, held: &mut Held<'_>, at: Timestamp) {
        let Held { control, aftermath } = held;
        let mut reshard = Reshard {
            settings,
            now: control.closing_time(at),
            control,
            aftermath,
        };
        match self {
            Self::Split(parent, key) => drop(reshard.split(&parent, key)),
            Self::Merge(lower, upper) => drop(reshard.merge(&lower, &upper)),
            Self::Sweep(open, count) => reshard.sweep(open, count),
        }
    }
}

/// One change of the shards of a stream, under its control lock.
struct Reshard<'a> {
    settings: &'a Arc<Settings>,
    control: &'a mut Control,
    aftermath: &'a mut Aftermath,
    now: Timestamp,
}

impl Reshard<'_> {
    /// Splits an open shard at a key that was checked; returns the lower and the upper child.
    fn split(&mut self, parent: &Arc<Lineage>, key: HashKey) -> (Arc<Lineage>, Arc<Lineage>) {
        let (low, high) = parent
            .shard
            .hash_key_range()
            .split_at(key)
            .expect("the caller has checked it");
        let ids = Parents {
            parent: Some(parent.shard.id()),
            adjacent: None,
        };
        let children = self.replace(&[parent], ids, &[low, high]);
        let [low, high] = children
            .try_into()
            .expect("a child for each of the two ranges");
        (low, high)
    }

    /// Merges two open adjacent shards; returns the child.
    fn merge(&mut self, lower: &Arc<Lineage>, upper: &Arc<Lineage>) -> Arc<Lineage> {
        let (lower_range, upper_range) =
            (lower.shard.hash_key_range(), upper.shard.hash_key_range());
        let range = lower_range
            .joined(upper_range)
            .expect("the caller has checked that they are adjacent");
        let ids = Parents {
            parent: Some(lower.shard.id()),
            adjacent: Some(upper.shard.id()),
        };
        let children = self.replace(&[lower, upper], ids, &[range]);
        let [child] = children.try_into().expect("a child for the one range");
        child
    }

    /// Closes open shards, and makes others of these ranges that go on where they end.
    fn replace(
        &mut self,
        parents: &[&Arc<Lineage>],
        ids: Parents,
        ranges: &[HashKeyRange],
    ) -> Vec<Arc<Lineage>> {
        let Self {
            settings,
            control,
            aftermath,
            now,
        } = self;
        let shards: Vec<_> = parents.iter().map(|parent| &parent.shard).collect();
        let children = Shard::close(&shards, *now, aftermath, |at| {
            let child = |range: &HashKeyRange| control.child(settings, *range, ids, at);
            let children: Vec<_> = ranges.iter().map(child).collect();
            for parent in parents {
                parent.set_children(children.clone());
            }
            let named = children.iter().map(|child| child.shard.as_child());
            (named.collect(), children)
        });
        children.expect("only the holder of the control lock closes shards")
    }

    /// Makes `count` open shards of equal ranges of the open ones, from left to right (the
    /// contract, 4.3): each target range takes shards from the left until it has enough, and
    /// splits the last one where it has too much.
    fn sweep(&mut self, open: VecDeque<Arc<Lineage>>, count: NonZeroU32) {
        let ends = target_ends(&open, count);
        let mut left = open;
        let take = |left: &mut VecDeque<Arc<Lineage>>| {
            left.pop_front()
                .expect("the open shards cover all hash keys")
        };
        for end in ends {
            let mut lineage = take(&mut left);
            while lineage.shard.hash_key_range().end() < end {
                let mut next = take(&mut left);
                if next.shard.hash_key_range().end() > end {
                    let (low, high) = self.split(&next, end.next());
                    left.push_front(high);
                    next = low;
                }
                lineage = self.merge(&lineage, &next);
            }
            if lineage.shard.hash_key_range().end() > end {
                let (_, high) = self.split(&lineage, end.next());
                left.push_front(high);
            }
        }
    }
}

impl Control {
    /// Makes a shard that goes on where its parents were closed.
    fn child(
        &mut self,
        settings: &Arc<Settings>,
        range: HashKeyRange,
        parents: Parents,
        at: ClosedAt,
    ) -> Arc<Lineage> {
        let shard_id = ShardId::from_index(self.next_index);
        self.next_index += 1;
        // The contract, 1.6: a child's numbers begin a second after its parents' end.
        let created_secs = planted!(at.secs + 1, "child_within_parent": at.secs);
        let created_ms = at.ms;
        self.last_created_secs = self.last_created_secs.max(created_secs);
        let new = NewShard {
            shard_id,
            range,
            parents,
            created_ms,
            created_secs,
        };
        let child = Lineage::new(Shard::new(Arc::clone(settings), &new));
        self.shards.insert(shard_id, Arc::clone(&child));
        child
    }

    fn open_by_range(&self) -> VecDeque<Arc<Lineage>> {
        let mut open: Vec<_> = self
            .shards
            .values()
            .filter(|lineage| !lineage.shard.is_closed())
            .cloned()
            .collect();
        open.sort_by_key(|lineage| lineage.shard.hash_key_range().start());
        open.into()
    }

    fn forget_count_changes(&mut self, now: Timestamp) {
        let since = now.as_millis().saturating_sub(DAY_MS);
        self.count_changes.retain(|at| *at > since);
    }
}

/// Where `count` equal ranges end.
///
/// An end of today's ranges that is nearly there counts as the one aimed at: the floors of
/// different counts differ by a little, which must not make shards of a few keys (the contract,
/// 4.3). Ends that are aimed at lie so far apart that none is near to two of them.
fn target_ends(open: &VecDeque<Arc<Lineage>>, count: NonZeroU32) -> Vec<HashKey> {
    let ends: Vec<_> = open
        .iter()
        .map(|lineage| lineage.shard.hash_key_range().end())
        .collect();
    let near = 2 * u128::from(count.get());
    HashKeyRange::uniform(count)
        .map(|target| {
            let aim = target.end();
            let distance = |end: &HashKey| end.get().abs_diff(aim.get());
            let above = ends.partition_point(|end| *end < aim);
            let neighbours = ends[..above].last().into_iter().chain(ends.get(above));
            neighbours
                .filter(|end| aim != HashKey::MAX && distance(end) <= near)
                .min_by_key(|end| distance(end))
                .map_or(aim, |end| *end)
        })
        .collect()
}
