//! Splitting and merging shards while records go through them.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::num::NonZeroU32;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::{HashKey, HashKeyRange};
use crate::limits::SHARD_COUNT_MAX;
use crate::shard::{ClosedAt, NewShard, Parents, Settings, Shard};
use crate::shard_id::ShardId;
use crate::stream::status::Phase;
use crate::stream::{Control, Stream, StreamStatus};
use crate::sync::{Arc, MutexGuard};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Stream {
    /// Splits an open shard in two: the lower child takes the hash keys below
    /// `new_starting_hash_key`, the upper one the rest. The shard is closed; its records stay
    /// until they expire. Producers see nothing of it.
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
        let now = self.settings().clock.now();
        let mut control = self.active(now)?;
        let shard = self.open_shard(&control, shard_id)?;
        let range = shard.hash_key_range();
        if range.split_at(new_starting_hash_key).is_none() {
            return Err(Error::InvalidSplit {
                shard_id,
                key: new_starting_hash_key,
                start: range.start(),
                end: range.end(),
            });
        }
        self.check_ids_left(&control, 2)?;
        control.split(self.settings(), &shard, new_starting_hash_key, now);
        self.finish_reshard(control, now);
        Ok(())
    }

    /// Merges two open shards with adjacent ranges, the lower one first, into one.
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
        let now = self.settings().clock.now();
        let mut control = self.active(now)?;
        for shard_id in [lower, upper] {
            if !control.shards.contains_key(&shard_id) {
                return Err(self.shard_not_found(shard_id));
            }
        }
        let lower_shard = self.open_shard(&control, lower)?;
        let upper_shard = self.open_shard(&control, upper)?;
        if !lower_shard
            .hash_key_range()
            .is_adjacent_below(upper_shard.hash_key_range())
        {
            return Err(Error::ShardsNotAdjacent { lower, upper });
        }
        self.check_ids_left(&control, 1)?;
        control.merge(self.settings(), &lower_shard, &upper_shard, now);
        self.finish_reshard(control, now);
        Ok(())
    }

    /// Splits and merges until exactly `target` shards of equal hash-key ranges are open. Shards
    /// of a moment on the way there are closed and empty; readers walk through them.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidShardCount`] unless 1 to 10,000; with
    /// [`Limits::kinesis`](crate::Limits::kinesis) also [`Error::ShardCountStep`] beyond half or
    /// double and [`Error::ShardCountChanges`]; [`Error::StreamClosed`];
    /// [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub fn update_shard_count(&self, target: u32) -> Result<(), Error> {
        let now = self.settings().clock.now();
        let mut control = self.active(now)?;
        let Some(count) = NonZeroU32::new(target).filter(|count| count.get() <= SHARD_COUNT_MAX)
        else {
            return Err(Error::InvalidShardCount { target });
        };
        if control.closed {
            return Err(Error::StreamClosed {
                stream: self.name().to_owned(),
            });
        }
        let open = control.open_by_range();
        let current = u32::try_from(open.len()).unwrap_or(u32::MAX);
        let limits = self.settings().limits;
        if limits.shard_count_doubling
            && (target > current.saturating_mul(2) || target < current.div_ceil(2))
        {
            return Err(Error::ShardCountStep { current, target });
        }
        if let Some(limit) = limits.update_shard_count_per_day {
            control.forget_count_changes(now);
            if control.count_changes.len() >= limit as usize {
                return Err(Error::ShardCountChanges { limit });
            }
            control.count_changes.push_back(now.as_millis());
        }
        if target == current {
            return Ok(());
        }
        // At most two splits and a merge for each shard, before or after.
        self.check_ids_left(&control, current.saturating_add(target).saturating_mul(5))?;
        control.sweep(self.settings(), open, count, now);
        self.finish_reshard(control, now);
        Ok(())
    }

    fn open_shard(&self, control: &Control, shard_id: ShardId) -> Result<Shard, Error> {
        let shard = control
            .shards
            .get(&shard_id)
            .ok_or_else(|| self.shard_not_found(shard_id))?;
        if shard.is_open() {
            Ok(shard.clone())
        } else {
            Err(Error::ShardClosed { shard_id })
        }
    }

    fn check_ids_left(&self, control: &Control, count: u32) -> Result<(), Error> {
        match control.next_index.checked_add(count).and_then(ShardId::new) {
            Some(_) => Ok(()),
            None => Err(Error::ShardIdsExhausted {
                stream: self.name().to_owned(),
            }),
        }
    }

    fn finish_reshard(&self, mut control: MutexGuard<'_, Control>, now: Timestamp) {
        control.phase = Phase::begin(StreamStatus::Updating, now, self.inner.state_delay);
        self.install(&control, now);
    }
}

impl Control {
    /// Splits an open shard at a key that was checked; returns the lower and the upper child.
    fn split(
        &mut self,
        settings: &Arc<Settings>,
        shard: &Shard,
        key: HashKey,
        now: Timestamp,
    ) -> (Shard, Shard) {
        let (low, high) = shard
            .hash_key_range()
            .split_at(key)
            .expect("the caller has checked it");
        let parents = Parents {
            parent: Some(shard.id()),
            adjacent: None,
        };
        shard
            .close(now, |at| {
                let low = self.child(settings, low, parents, at);
                let high = self.child(settings, high, parents, at);
                (vec![low.clone(), high.clone()], (low, high))
            })
            .expect("only the holder of the control lock closes shards of an open stream")
    }

    /// Merges two open adjacent shards; returns the child.
    fn merge(
        &mut self,
        settings: &Arc<Settings>,
        lower: &Shard,
        upper: &Shard,
        now: Timestamp,
    ) -> Shard {
        let range = lower.hash_key_range().joined(upper.hash_key_range());
        let range = range.expect("the caller has checked that they are adjacent");
        let parents = Parents {
            parent: Some(lower.id()),
            adjacent: Some(upper.id()),
        };
        let merged = lower.close(now, |lower_at| {
            let child = upper.close(now, |upper_at| {
                let child = self.child(settings, range, parents, lower_at.later(upper_at));
                (vec![child.clone()], child)
            });
            let child = child.expect("both are open");
            (vec![child.clone()], child)
        });
        merged.expect("only the holder of the control lock closes shards of an open stream")
    }

    /// Makes `count` open shards of equal ranges of the open ones, from left to right (the
    /// contract, 4.3): each target range takes shards from the left until it has enough, and
    /// splits the last one where it has too much.
    fn sweep(
        &mut self,
        settings: &Arc<Settings>,
        open: VecDeque<Shard>,
        count: NonZeroU32,
        now: Timestamp,
    ) {
        let mut left = open;
        for target in HashKeyRange::uniform(count) {
            let end = target.end();
            let mut shard = left
                .pop_front()
                .expect("the open shards cover all hash keys");
            loop {
                let reached = shard.hash_key_range().end();
                if reached == end || is_near(reached, end, count) {
                    break;
                }
                if reached > end {
                    let (low, high) = self.split(settings, &shard, end.next(), now);
                    left.push_front(high);
                    shard = low;
                    break;
                }
                let mut next = left
                    .pop_front()
                    .expect("the open shards cover all hash keys");
                let reached = next.hash_key_range().end();
                if reached > end && !is_near(reached, end, count) {
                    let (low, high) = self.split(settings, &next, end.next(), now);
                    left.push_front(high);
                    next = low;
                }
                shard = self.merge(settings, &shard, &next, now);
            }
        }
    }

    /// Makes a shard that goes on where its parents were closed.
    fn child(
        &mut self,
        settings: &Arc<Settings>,
        range: HashKeyRange,
        parents: Parents,
        at: ClosedAt,
    ) -> Shard {
        let shard_id = ShardId::from_index(self.next_index);
        self.next_index += 1;
        // The contract, 1.6: a child's numbers begin a second after its parents' end.
        let (created_ms, created_secs) = (at.ms, at.secs + 1);
        let new = NewShard {
            shard_id,
            range,
            parents,
            created_ms,
            created_secs,
        };
        let shard = Shard::new(Arc::clone(settings), &new);
        self.shards.insert(shard_id, shard.clone());
        shard
    }

    fn open_by_range(&self) -> VecDeque<Shard> {
        let mut open: Vec<_> = self
            .shards
            .values()
            .filter(|s| s.is_open())
            .cloned()
            .collect();
        open.sort_by_key(|shard| shard.hash_key_range().start());
        open.into()
    }

    fn forget_count_changes(&mut self, now: Timestamp) {
        let since = now.as_millis().saturating_sub(DAY_MS);
        self.count_changes.retain(|at| *at > since);
    }
}

/// Whether a boundary counts as the one aimed at: the floors of different counts differ by a
/// little, which must not make shards of a few keys (the contract, 4.3).
fn is_near(boundary: HashKey, aim: HashKey, count: NonZeroU32) -> bool {
    boundary.get().abs_diff(aim.get()) <= 2 * u128::from(count.get())
}
