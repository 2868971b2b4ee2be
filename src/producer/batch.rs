//! One `put_records` under way.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::producer::Producer;
use crate::producer::answers::Answers;
use crate::put_entry::PutEntry;
use crate::shard::{Refusal, Shard};
use crate::stream::Routing;

/// The entries of one call, which were checked, and what became of them.
pub(super) struct Batch<'p, 'a> {
    producer: &'p Producer,
    entries: Vec<PutEntry<'a>>,
    /// Of the first entries; [`Self::put_rest`] sees to the others.
    answers: Answers,
}

/// An entry and the shard that takes it, as one number, so that sorting is quick: by shards, and of
/// one shard in the order of the entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed(u64);

impl<'p, 'a> Batch<'p, 'a> {
    pub(super) fn new(producer: &'p Producer, entries: Vec<PutEntry<'a>>) -> Self {
        Self {
            producer,
            entries,
            answers: Answers::default(),
        }
    }

    /// Puts all entries. An error: none was put.
    pub(super) fn put(mut self) -> Result<Answers, Error> {
        let now = self.producer.now();
        let producer = self.producer;
        let routing = producer.routes.seen(&producer.stream);
        if let Some(shard) = routing.and_then(Routing::only_shard) {
            self.append_all(shard, now);
        }
        if self.answers.in_order() == self.entries.len() {
            Ok(self.into_answers())
        } else {
            self.put_rest()
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

    /// Appends all entries to the one shard that there is, up to the first that finds it closed, or
    /// has to wait for room.
    fn append_all(&mut self, shard: &Shard, now: Timestamp) {
        let waits = self.producer.waits_for_room();
        let count = self.entries.len();
        let mut answers = self.answers.accepting(shard.origin());
        shard.append_all(now, |appender| {
            for entry in &mut self.entries {
                match appender.append(
                    entry.key.as_str(),
                    &mut entry.data.payload(entry.key.as_str().len()),
                ) {
                    Ok(appended) => answers.push(appended),
                    Err(Refusal::Closed) => break,
                    Err(Refusal::Full) if waits => break,
                    Err(refusal) => answers.push_refusal(shard.refused(refusal), count),
                }
            }
        });
    }

    /// Puts the entries that have no answer yet, each into its shard.
    fn put_rest(mut self) -> Result<Answers, Error> {
        let mut pending: Vec<usize> = (self.answers.in_order()..self.entries.len()).collect();
        self.answers.spread(self.entries.len());
        let mut known = self.producer.routes.look_up(&self.producer.stream);
        while !pending.is_empty() {
            let Some(placed) = self.place(&known.routing, &pending) else {
                let settled = self.producer.settled();
                if settled.version != known.version {
                    known = settled;
                    continue;
                }
                let error = self.producer.stream.takes_none(known.routing.taking);
                if pending.len() == self.entries.len() {
                    return Err(error);
                }
                for index in pending {
                    self.answers.set(index, Err(error.clone()));
                }
                break;
            };
            pending.clear();
            let now = self.producer.now();
            for group in placed.chunk_by(|a, b| a.shard() == b.shard()) {
                let shard = known.routing.shard(group[0].shard());
                self.append_group(shard, now, group, &mut pending);
            }
            if !pending.is_empty() {
                pending.sort_unstable();
                known = self.producer.settled();
            }
        }
        Ok(self.into_answers())
    }

    /// Appends the entries of one shard, in order. Those that find it closed are pending.
    fn append_group(
        &mut self,
        shard: &Shard,
        now: Timestamp,
        group: &[Placed],
        pending: &mut Vec<usize>,
    ) {
        let waits = self.producer.waits_for_room();
        let mut answers = self.answers.accepting(shard.origin());
        let mut done = 0;
        let mut is_full = false;
        shard.append_all(now, |appender| {
            for placed in group {
                let index = placed.index();
                let entry = &mut self.entries[index];
                match appender.append(
                    entry.key.as_str(),
                    &mut entry.data.payload(entry.key.as_str().len()),
                ) {
                    Ok(appended) => answers.set(index, appended),
                    Err(Refusal::Closed) => break,
                    Err(Refusal::Full) if waits => {
                        is_full = true;
                        break;
                    }
                    Err(refusal) => answers.set_refusal(index, shard.refused(refusal)),
                }
                done += 1;
            }
        });
        for placed in &group[done..] {
            let index = placed.index();
            if !is_full {
                pending.push(index);
                continue;
            }
            // Once one has to wait for room, those after it wait behind it.
            let entry = &mut self.entries[index];
            let key = entry.key.as_str();
            match self
                .producer
                .append(shard, key, &mut entry.data)
                .transpose()
            {
                Some(answer) => self.answers.set(index, answer),
                None => pending.push(index),
            }
        }
    }

    /// The shards of entries, in their order. `None`: the stream takes no records.
    fn place(&self, routing: &Routing, pending: &[usize]) -> Option<Vec<Placed>> {
        let mut placed = Vec::with_capacity(pending.len());
        let mut unknown = Vec::new();
        for (position, index) in pending.iter().enumerate() {
            let hash_key = self.entries[*index].known_hash_key();
            if hash_key.is_none() && routing.only_shard().is_none() {
                if unknown.is_empty() {
                    unknown.reserve_exact(pending.len() - position);
                }
                unknown.push(*index);
            } else {
                let shard = routing.index_of(|| hash_key.unwrap_or(HashKey::MIN))?;
                placed.push(Placed::new(shard, *index));
            }
        }
        let is_mixed = !placed.is_empty() && !unknown.is_empty();
        // The keys that have to be hashed, many at once.
        let keys = unknown
            .iter()
            .map(|index| self.entries[*index].key.as_str());
        for (index, hash_key) in unknown.iter().zip(HashKey::of_all(keys)) {
            placed.push(Placed::new(routing.index_of(|| hash_key)?, *index));
        }
        if is_mixed {
            placed.sort_unstable();
        }
        Some(Placed::sorted(placed))
    }
}

impl Placed {
    /// Sorts what is in the order of the entries. Of few shards it counts each one's entries, which
    /// costs a tenth of comparing them.
    fn sorted(mut placed: Vec<Self>) -> Vec<Self> {
        const SHARDS_MAX: usize = 256;
        if placed.is_sorted() {
            return placed;
        }
        if placed.iter().any(|placed| placed.shard() >= SHARDS_MAX) {
            placed.sort_unstable();
            return placed;
        }
        let mut nexts = [0; SHARDS_MAX + 1];
        for placed in &placed {
            nexts[placed.shard() + 1] += 1;
        }
        for shard in 0..SHARDS_MAX {
            nexts[shard + 1] += nexts[shard];
        }
        let mut sorted = placed.clone();
        for placed in placed {
            let next = &mut nexts[placed.shard()];
            sorted[*next] = placed;
            *next += 1;
        }
        sorted
    }

    const fn new(shard: usize, index: usize) -> Self {
        Self((shard as u64) << 32 | index as u64)
    }

    const fn shard(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    const fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_by_shards_and_keep_their_order_within_each() {
        for (first, shards) in [0, 1, 255, 256, 1_000]
            .into_iter()
            .flat_map(|first| [1, 2, 4, 255, 256, 257, 10_000].map(|shards| (first, shards)))
        {
            let placed: Vec<_> = (0..1000)
                .map(|index| Placed::new(first + index * 7919 % shards, index))
                .collect();
            let mut expected = placed.clone();
            expected.sort();
            assert!(
                Placed::sorted(placed) == expected,
                "of {shards} shards from {first} on"
            );
        }
    }
}
