//! One `put_records` under way.

use std::{iter, mem};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::{HASHED_AT_ONCE, HashKey};
use crate::producer::answers::{Answers, small};
use crate::producer::entries::Entries;
use crate::producer::groups::group;
use crate::producer::inlet::Inlet;
use crate::shard::{Refusal, Shard};
use crate::stream::Routing;

/// The entries of one call, which were checked, and what became of them.
pub(super) struct Batch<'p, 'a> {
    inlet: Inlet<'p>,
    entries: Entries<'a>,
    answers: Answers,
}

/// How far entries were put into one shard under one lock.
struct Run {
    /// How many were not, from the first that could not.
    left: usize,
    /// Whether that has to wait for room. Otherwise it found the shard closed.
    is_full: bool,
}

impl<'p, 'a> Batch<'p, 'a> {
    pub(super) fn new(inlet: Inlet<'p>, entries: Entries<'a>) -> Self {
        Self {
            inlet,
            entries,
            answers: Answers::default(),
        }
    }

    /// Puts all entries. An error: none was put.
    pub(super) fn put(mut self) -> Result<Answers, Error> {
        let now = self.inlet.now();
        let Inlet { stream, routes, .. } = self.inlet;
        let routing = routes.seen(stream);
        let all = 0..small(self.entries.len());
        let left = match routing.and_then(Routing::only_shard) {
            Some(shard) => self.append_run(shard, now, all).left,
            None => all.len(),
        };
        if left == 0 {
            Ok(self.into_answers())
        } else {
            self.put_rest(left)
        }
    }

    /// Data may panic as it is dropped: answers that were about to be returned would be lost, and leak.
    fn into_answers(self) -> Answers {
        let Self {
            entries, answers, ..
        } = self;
        drop(entries);
        answers
    }

    /// Puts so many last entries, none of which has an answer yet, each into its shard.
    fn put_rest(mut self, left: usize) -> Result<Answers, Error> {
        let count = self.entries.len();
        let mut pending: Vec<u32> = (small(count - left)..small(count)).collect();
        self.answers.spread(count);
        let mut known = self.inlet.routes.look_up(self.inlet.stream);
        while !pending.is_empty() {
            let Some(shards) = self.shards(&known.routing, &pending) else {
                let settled = self.inlet.settled();
                if settled.version != known.version {
                    known = settled;
                    continue;
                }
                let error = self.inlet.stream.takes_none(known.routing.taking);
                if pending.len() == count {
                    return Err(error);
                }
                for index in pending {
                    self.answers.set(index, Err(error.clone()));
                }
                break;
            };
            let indices = mem::take(&mut pending);
            let now = self.inlet.now();
            group(&indices, &shards, |shard, group| {
                self.append_group(known.routing.shard(shard), now, group, &mut pending);
            });
            if !pending.is_empty() {
                pending.sort_unstable();
                known = self.inlet.settled();
            }
        }
        Ok(self.into_answers())
    }

    /// The indices of the shards that take entries. `None`: the stream takes no records.
    fn shards(&self, routing: &Routing, indices: &[u32]) -> Option<Vec<u32>> {
        let mut shards = vec![0; indices.len()];
        match routing.shard_count() {
            0 => return None,
            1 => return Some(shards),
            _ => {}
        }
        // Those that have to be hashed, in as large groups as are hashed at once.
        let (mut keys, mut places, mut count) = ([""; HASHED_AT_ONCE], [0; HASHED_AT_ONCE], 0);
        for (place, index) in (0..).zip(indices) {
            let entry = &self.entries[*index as usize];
            if let Some(hash_key) = entry.known_hash_key() {
                shards[place as usize] = small(routing.index_of(|| *hash_key)?);
                continue;
            }
            (keys[count], places[count]) = (&entry.key, place);
            count += 1;
            if count == HASHED_AT_ONCE {
                route(routing, &keys, &places, &mut shards);
                count = 0;
            }
        }
        route(routing, &keys[..count], &places[..count], &mut shards);
        Some(shards)
    }

    /// Appends the entries of one shard, in order. Those that find it closed are pending.
    fn append_group(
        &mut self,
        shard: &Shard,
        now: Timestamp,
        group: &[u32],
        pending: &mut Vec<u32>,
    ) {
        let run = self.append_run(shard, now, group.iter().copied());
        for index in &group[group.len() - run.left..] {
            if !run.is_full {
                pending.push(*index);
                continue;
            }
            // Once one has to wait for room, those after it wait behind it.
            let entry = self.entries.get_mut(*index);
            let key = &*entry.key;
            match self.inlet.append(shard, key, &mut entry.data).transpose() {
                Some(answer) => self.answers.set(*index, answer),
                None => pending.push(*index),
            }
        }
    }

    /// Appends the entries with these indices to one shard under one lock, up to the first that finds it
    /// closed, or has to wait for room.
    fn append_run(
        &mut self,
        shard: &Shard,
        now: Timestamp,
        mut order: impl ExactSizeIterator<Item = u32> + Clone,
    ) -> Run {
        let waits = self.inlet.waits_for_room();
        let Self {
            entries, answers, ..
        } = self;
        let count = entries.len();
        let mut accepting = answers.accepting(shard.origin());
        let mut is_full = false;
        shard.append_all(now, |appender| {
            loop {
                // As a slice: a vector's pointer would have to be loaded for each record.
                let shown = &entries[..];
                let in_order = order.clone().map(|index| &shown[index as usize]);
                let copied = appender.append_copies(in_order.map(|entry| entry.copied()));
                if let Some((copied, first)) = copied {
                    accepting.accept(first, order.clone().take(copied));
                    order.nth(copied - 1);
                }
                // One that is no matter of copying.
                let mut rest = order.clone();
                let Some(index) = rest.next() else {
                    break;
                };
                let entry = entries.get_mut(index);
                let key = &*entry.key;
                match appender.append(key, &mut entry.data.payload(key.len())) {
                    Ok(appended) => accepting.accept(appended, iter::once(index)),
                    Err(Refusal::Closed) => break,
                    Err(Refusal::Full) if waits => {
                        is_full = true;
                        break;
                    }
                    Err(refusal) => accepting.refuse(index, shard.refused(refusal), count),
                }
                order = rest;
            }
        });
        Run {
            left: order.len(),
            is_full,
        }
    }
}

/// Writes down which shards take keys that have to be hashed, each at its place.
fn route(routing: &Routing, keys: &[&str], places: &[u32], shards: &mut [u32]) {
    let mut places = places.iter();
    HashKey::of_each(keys, |hash_key| {
        if let (Some(place), Some(shard)) = (places.next(), routing.index_of(|| hash_key)) {
            shards[*place as usize] = small(shard);
        }
    });
}
