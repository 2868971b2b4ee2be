//! Keeping a subscription's positions, and going on there.
//!
//! ```text
//!    there when the positions were taken     made later
//!   ┌───────────────────────────────────┐   ┌──────────
//!     0   1   2   3   4   5   6   7   8       9   10
//!     ·   ·   ^   ·   ^   ^   ^   ^   ^       ^
//!     └───┴───┼───┘   └───┴───┴───┴───┘       └─ NEXT_SHARD
//!     read    └────── named, with positions
//! ```
//!
//! # Why nothing is left out or comes twice
//!
//! - Positions name every shard that was there and is still to be read, also a child of a child that
//!   the subscription has yet to come upon. So of the shards that were there, those not named are
//!   read, and those named are all.
//! - Whatever the stream makes later comes of the shards that were open, all of which are named. So
//!   it is to be read from its first record. It is known by its id, so it does not matter whether
//!   the shards in between have expired.
//! - A shard begins when all its parents that are to be read were read. All that are there are known
//!   from the beginning, so a parent that is not known was read before, or is gone with its records.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::log::{Cursor, FIRST_PLACE};
use crate::positions::SubscriptionPositions;
use crate::shard_id::ShardId;
use crate::stream::{Lineage, ShardFilter, Stream};
use crate::subscription::{Subscription, Unfinished};
use crate::sync::Arc;

impl Stream {
    /// Reads all shards on from where a subscription was: exactly the records that it had not read,
    /// each once, those of one partition key in order, however the stream was resharded before,
    /// meanwhile or afterwards.
    ///
    /// ```
    /// use brooklet::{HashKey, StartingPosition, Stream};
    ///
    /// let stream = Stream::new("orders", 1)?;
    /// let producer = stream.producer();
    /// producer.put_record("customer-17", "first")?;
    /// producer.put_record("customer-17", "second")?;
    /// let mut subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    /// assert_eq!(subscription.get_records(1)?.len(), 1);
    /// let kept = subscription.positions().to_string();
    /// drop(subscription);
    ///
    /// stream.split_shard(stream.shards()[0].id(), HashKey::new(1 << 127))?;
    /// producer.put_record("customer-17", "third")?;
    /// stream.close();
    ///
    /// let mut resumed = stream.subscribe_from(&kept.parse()?)?;
    /// let mut orders = Vec::new();
    /// while !resumed.is_finished() {
    ///     orders.extend(resumed.get_records(100)?);
    /// }
    /// let orders: Vec<_> = orders.iter().map(|order| order.data()).collect();
    /// assert_eq!(orders, ["second", "third"]);
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    ///
    /// # What was trimmed meanwhile
    ///
    /// As for any reader, [`RecordBatch::missed_count`](crate::RecordBatch::missed_count) says how many
    /// records of a shard were trimmed before they were read. A shard that was closed longer ago than
    /// the retention is gone, and takes the count with it: its children are read, and nobody can
    /// say whether records of it were missed, or how many. That it happened shows: a shard of
    /// `positions` that is not among the [positions](Subscription::positions) of the new subscription
    /// is gone. Who has to know the count keeps the subscription itself, which holds on to its shards.
    ///
    /// # Errors
    ///
    /// [`Error::ShardNotFound`] if the stream never had as many shards;
    /// [`Error::SequenceNumberOfOtherShard`], [`Error::SequenceNumberOfOtherStream`],
    /// [`Error::SequenceNumberInFuture`], [`Error::TimestampInFuture`]; [`Error::ReadThrottled`] with
    /// limits: it takes an iterator of each shard; [`Error::StreamNotActive`],
    /// [`Error::StreamNotFound`].
    pub fn subscribe_from(&self, positions: &SubscriptionPositions) -> Result<Subscription, Error> {
        let listed = self.list_lineages(ShardFilter::FromTrimHorizon)?;
        let next_shard = positions.next_shard();
        if next_shard.index() > listed.next_index {
            return Err(Error::ShardNotFound {
                stream: self.name().to_owned(),
                shard_id: ShardId::from_index(next_shard.index() - 1),
            });
        }
        let mut unfinished = Unfinished::new();
        for lineage in listed.lineages {
            let shard = &lineage.shard;
            let cursor = match positions.position_of(shard.id()) {
                Some(position) => shard.cursor(position)?,
                None if shard.id() >= next_shard => Cursor::at(FIRST_PLACE),
                None => continue,
            };
            unfinished.insert(shard.id(), (lineage, cursor));
        }
        // All are there already, unless somebody wrote the positions by hand and left out a child: what
        // comes of it must wait for it.
        let known = unfinished.values().map(|(lineage, _)| lineage);
        let known: Vec<_> = descendants(known).into_values().map(Arc::clone).collect();
        for lineage in known {
            unfinished
                .entry(lineage.shard.id())
                .or_insert((lineage, Cursor::at(FIRST_PLACE)));
        }
        Ok(Subscription::new(self, unfinished, listed.next_index))
    }
}

impl Subscription {
    /// Where it goes on in each shard, in a form that can be kept: give it to
    /// [`Stream::subscribe_from`].
    ///
    /// What [`get_records`](Self::get_records) has returned counts as read. Who keeps positions after the
    /// work is done with a batch is given the batch again after a crash in between; who keeps them
    /// before is not.
    ///
    /// They are of this stream alone, and last as long as it: sequence numbers tell of which stream
    /// they are, and [`Stream::subscribe_from`] of another one refuses them.
    pub fn positions(&self) -> SubscriptionPositions {
        // Before the children are looked at: one that is made in between has an id from here on.
        let next_index = self.stream.next_shard_index();
        let slots = self.slots.values();
        let slots = slots.map(|slot| (&slot.lineage, slot.cursor));
        let waiting = self.unfinished.values();
        let waiting = waiting.map(|(lineage, cursor)| (lineage, *cursor));
        let known: Vec<_> = slots.chain(waiting).collect();
        let children = descendants(known.iter().map(|(lineage, _)| *lineage)).into_values();
        let children = children
            .filter(|child| child.shard.id().index() < planted!(next_index, "child_forgotten": 0))
            .map(|child| (child, Cursor::at(FIRST_PLACE)));
        // Those that are known come later: their cursors count.
        let positions: BTreeMap<_, _> = children
            .chain(known)
            .map(|(lineage, cursor)| (lineage.shard.id(), lineage.shard.position(&cursor)))
            .collect();
        SubscriptionPositions::new(
            positions.into_iter().collect(),
            ShardId::from_index(next_index),
        )
    }
}

/// All that came of some shards.
fn descendants<'a>(
    shards: impl Iterator<Item = &'a Arc<Lineage>>,
) -> BTreeMap<ShardId, &'a Arc<Lineage>> {
    let mut found = BTreeMap::new();
    let mut left: Vec<_> = shards.collect();
    while let Some(lineage) = left.pop() {
        for child in lineage.children() {
            if found.insert(child.shard.id(), child).is_none() {
                left.push(child);
            }
        }
    }
    found
}
