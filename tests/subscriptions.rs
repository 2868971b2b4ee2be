//! Subscriptions: every shard of a stream, in the order of its partition keys, across any splits and
//! merges.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::time::Duration;

use brooklet::{
    Error, HashKey, Limits, ManualClock, OnFull, ParseSubscriptionPositionsError, Registry,
    ShardId, StartingPosition, Stream, Subscription, SubscriptionPositions, Timestamp,
};
use common::{
    START_MS, build, cases, clock, id, millis, now_ms, put_into, put_many, refused, secs, stream,
    text,
};
use proptest::prelude::*;
use wakers::in_time;

use StartingPosition::{AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon};

mod common;
mod wakers;

/// What a subscription read: the records with their shards, and the counts of what was missed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    records: Vec<(u32, String)>,
    missed: BTreeMap<u32, u64>,
}

impl Read {
    fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// The shards in the order in which their first records came.
    fn shards(&self) -> Vec<u32> {
        let mut seen = BTreeSet::new();
        let mut shards: Vec<_> = self.records.iter().map(|(shard, _)| *shard).collect();
        shards.retain(|shard| seen.insert(*shard));
        shards
    }
}

/// Reads on until there is nothing new.
fn pull_by(subscription: &mut Subscription, limit: usize) -> Read {
    let mut read = Read::default();
    loop {
        let batch = subscription
            .get_records(limit)
            .expect("the stream can be read");
        if batch.is_empty() && batch.missed_count() == 0 {
            return read;
        }
        let shard = batch.shard_id().index();
        if batch.missed_count() > 0 {
            *read.missed.entry(shard).or_default() += batch.missed_count();
        }
        read.records
            .extend(batch.records().map(|record| (shard, text(&record))));
    }
}

fn pull(subscription: &mut Subscription) -> Read {
    pull_by(subscription, 1_000)
}

fn all(stream: &Stream) -> Read {
    pull(&mut stream.subscribe(TrimHorizon).unwrap())
}

fn split(stream: &Stream, index: u32) {
    let range = stream.shard(id(index)).unwrap().hash_key_range();
    let middle = range.start().get() + (range.end().get() - range.start().get()) / 2;
    stream.split_shard(id(index), HashKey::new(middle)).unwrap();
}

fn merge(stream: &Stream, lower: u32, upper: u32) {
    stream.merge_shards(id(lower), id(upper)).unwrap();
}

mod order {
    use super::*;

    #[test]
    fn children_come_after_their_parent() {
        let (stream, _clock) = stream(1);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_into(&stream, 0, "parent");
        split(&stream, 0);
        put_into(&stream, 2, "upper");
        put_into(&stream, 1, "lower");
        let read = pull_by(&mut subscription, 1);
        assert_eq!(read.records[0], (0, "parent".to_owned()));
        assert_eq!(read.records.len(), 3);
    }

    #[test]
    fn a_child_comes_after_both_parents() {
        for first in [0, 1] {
            let (stream, _clock) = stream(2);
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            for _ in 0..5 {
                put_into(&stream, first, "long");
            }
            put_into(&stream, 1 - first, "short");
            merge(&stream, 0, 1);
            put_into(&stream, 2, "child");
            let read = pull_by(&mut subscription, 1);
            assert_eq!(read.texts().last(), Some(&"child"));
            assert_eq!(read.records.len(), 7);
        }
    }

    #[test]
    fn a_grandchild_comes_last_though_every_shard_between_is_empty() {
        let (stream, _clock) = stream(1);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_into(&stream, 0, "first");
        split(&stream, 0);
        merge(&stream, 1, 2);
        split(&stream, 3);
        merge(&stream, 4, 5);
        put_into(&stream, 6, "last");
        assert_eq!(pull(&mut subscription).texts(), ["first", "last"]);
    }

    // The story: after the split of shard 1, its child 3 is merged with shard 0, which is a generation
    // older. Whoever begins the merged shard as soon as one parent is finished and the other one is not
    // being read yet puts its records before those of 3.
    #[test]
    fn a_merge_waits_for_a_parent_that_has_not_been_begun() {
        for limit in [1, 2, 1_000] {
            let (stream, _clock) = stream(2);
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            put_into(&stream, 0, "0");
            for _ in 0..10 {
                put_into(&stream, 1, "1");
            }
            split(&stream, 1);
            put_into(&stream, 2, "2");
            put_into(&stream, 3, "3");
            merge(&stream, 0, 2);
            put_into(&stream, 4, "4");
            merge(&stream, 4, 3);
            put_into(&stream, 5, "5");
            let read = pull_by(&mut subscription, limit);
            let position = |text| read.texts().iter().rposition(|read| *read == text).unwrap();
            assert_eq!(read.records.len(), 15);
            assert!(position("1") < position("2") && position("1") < position("3"));
            assert!(position("0") < position("4") && position("2") < position("4"));
            assert!(position("4") < position("5") && position("3") < position("5"));
        }
    }

    #[test]
    fn a_merge_of_parents_many_generations_apart_waits_for_both() {
        let (stream, _clock) = stream(2);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_into(&stream, 0, "old parent");
        // Shard 1 becomes 2+3, then 4, and so on; each with a record.
        let mut young = 1;
        for generation in 0..20 {
            put_into(&stream, young, &format!("g{generation}"));
            split(&stream, young);
            let (lower, upper) = if generation == 0 {
                (2, 3)
            } else {
                (young + 1, young + 2)
            };
            merge(&stream, lower, upper);
            young = upper + 1;
        }
        put_into(&stream, young, "young parent");
        merge(&stream, 0, young);
        put_into(&stream, young + 1, "child");
        let read = pull_by(&mut subscription, 1);
        assert_eq!(read.texts().last(), Some(&"child"));
        assert_eq!(read.records.len(), 23);
        let line: Vec<_> = read
            .texts()
            .into_iter()
            .filter(|text| text.starts_with('g'))
            .collect();
        let expected: Vec<_> = (0..20).map(|generation| format!("g{generation}")).collect();
        assert_eq!(line, expected);
    }

    #[test]
    fn holds_through_a_change_of_the_shard_count() {
        for (from, to) in [(1, 4), (4, 3), (3, 5), (5, 2), (7, 1), (1, 30)] {
            let (stream, _clock) = stream(from);
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            let producer = stream.producer();
            let keys: Vec<_> = (0..40).map(|key| format!("key-{key}")).collect();
            for round in 0..4 {
                for key in &keys {
                    producer.put_record(key, format!("{key}:{round}")).unwrap();
                }
                stream
                    .update_shard_count(if round % 2 == 0 { to } else { from })
                    .unwrap();
            }
            assert_keys_in_order(&pull_by(&mut subscription, 3), &keys, 4);
            // And for one who comes afterwards.
            assert_keys_in_order(&all(&stream), &keys, 4);
        }
    }
}

/// Checks that each key's records, `key:0`, `key:1` and so on, all came, and in this order.
fn assert_keys_in_order(read: &Read, keys: &[String], rounds: usize) {
    assert!(read.missed.is_empty());
    assert_eq!(read.records.len(), keys.len() * rounds);
    for key in keys {
        let prefix = format!("{key}:");
        let texts = read.texts();
        let own: Vec<_> = texts
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix))
            .collect();
        let expected: Vec<_> = (0..rounds).map(|round| round.to_string()).collect();
        assert_eq!(own, expected, "records of {key}");
    }
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Split(u8),
    Merge(u8),
    Count(u8),
    Read(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u8>().prop_map(Step::Put),
        2 => any::<u8>().prop_map(Step::Split),
        2 => any::<u8>().prop_map(Step::Merge),
        1 => (1..6_u8).prop_map(Step::Count),
        3 => (1..5_u8).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn any_history_is_read_in_the_order_of_each_key_and_without_loss(
        steps in proptest::collection::vec(step(), 1..60), begun_after in 0..60_usize,
    ) {
        let (stream, _clock) = stream(2);
        let producer = stream.producer();
        let mut early = stream.subscribe(TrimHorizon).unwrap();
        let mut late = None;
        let (mut early_read, mut late_read) = (Vec::new(), Vec::new());
        let mut counts = BTreeMap::<u8, usize>::new();
        for (index, step) in steps.iter().enumerate() {
            if index == begun_after {
                late = Some(stream.subscribe(TrimHorizon).unwrap());
            }
            let mut open: Vec<_> = stream.shards().into_iter().filter(|s| s.is_open()).collect();
            open.sort_by_key(|shard| shard.hash_key_range().start());
            match *step {
                Step::Put(key) => {
                    let key = key % 16;
                    let count = counts.entry(key).or_default();
                    producer.put_record(format!("key-{key}"), format!("key-{key}:{count}")).unwrap();
                    *count += 1;
                }
                Step::Split(pick) => split(&stream, open[usize::from(pick) % open.len()].id().index()),
                Step::Merge(pick) if open.len() > 1 => {
                    let lower = usize::from(pick) % (open.len() - 1);
                    stream.merge_shards(open[lower].id(), open[lower + 1].id()).unwrap();
                }
                Step::Merge(_) => {}
                Step::Count(count) => stream.update_shard_count(count.into()).unwrap(),
                Step::Read(limit) => {
                    for (subscription, read) in
                        [(Some(&mut early), &mut early_read), (late.as_mut(), &mut late_read)]
                    {
                        if let Some(subscription) = subscription {
                            read.extend(subscription.get_records(limit.into()).unwrap().records());
                        }
                    }
                }
            }
        }
        stream.close();
        let mut late = late.unwrap_or_else(|| stream.subscribe(TrimHorizon).unwrap());
        for (subscription, mut read) in [(&mut early, early_read), (&mut late, late_read)] {
            // A closed stream is read to its end within a bounded number of calls.
            for _ in 0..1_000 {
                if subscription.is_finished() {
                    break;
                }
                read.extend(subscription.get_records(3).unwrap().records());
            }
            prop_assert!(subscription.is_finished());
            for (key, count) in &counts {
                let key = format!("key-{key}");
                let own = read.iter().filter(|record| record.partition_key() == key);
                let own: Vec<_> = own.map(text).collect();
                let expected: Vec<_> = (0..*count).map(|i| format!("{key}:{i}")).collect();
                prop_assert_eq!(own, expected);
            }
            prop_assert_eq!(read.len(), counts.values().sum::<usize>());
        }
    }
}

/// One step of a random history with readers that are kept and resumed.
#[derive(Clone, Debug)]
enum KeptStep {
    Change(Step),
    /// Reads up to so many records with one of the readers.
    Read(u8, u8),
    /// Keeps the positions of one of the readers.
    Keep(u8),
    /// Goes on at positions that were kept, beside whoever reads already.
    Resume(u8),
    /// Drops one of the readers and goes on at its positions.
    Restart(u8),
    Clone(u8),
    /// Begins a reader of what is put from now on.
    Begin,
    Advance(u8),
    Close,
}

fn kept_step() -> impl Strategy<Value = KeptStep> {
    let change = prop_oneof![
        6 => any::<u8>().prop_map(Step::Put),
        2 => any::<u8>().prop_map(Step::Split),
        2 => any::<u8>().prop_map(Step::Merge),
        1 => (1..5_u8).prop_map(Step::Count),
    ];
    prop_oneof![
        110 => change.prop_map(KeptStep::Change),
        40 => (any::<u8>(), 1..5_u8).prop_map(|(reader, limit)| KeptStep::Read(reader, limit)),
        10 => any::<u8>().prop_map(KeptStep::Keep),
        10 => any::<u8>().prop_map(KeptStep::Resume),
        10 => any::<u8>().prop_map(KeptStep::Restart),
        3 => any::<u8>().prop_map(KeptStep::Clone),
        3 => Just(KeptStep::Begin),
        8 => (0..6_u8).prop_map(KeptStep::Advance),
        1 => Just(KeptStep::Close),
    ]
}

/// A reader as its user sees it, whichever subscriptions it went through.
#[derive(Clone)]
struct Logical {
    /// For each key, how many records were put before it began.
    begun_at: BTreeMap<u8, usize>,
    /// The keys of the records that it read, with their numbers for that key.
    read: Vec<(u8, usize)>,
    missed: u64,
    /// Whether a shard that it had to read was gone when it was resumed.
    lost_count: bool,
}

impl Logical {
    fn read(&mut self, subscription: &mut Subscription, limit: usize) {
        let batch = subscription.get_records(limit).unwrap();
        self.missed += batch.missed_count();
        self.read.extend(batch.records().map(|record| {
            let text = text(&record);
            let (key, number) = text.split_once(':').unwrap();
            (key.parse::<u8>().unwrap(), number.parse().unwrap())
        }));
    }

    /// Goes on at positions, by way of their text.
    fn resume(&mut self, stream: &Stream, positions: &str) -> Subscription {
        let positions: SubscriptionPositions = positions.parse().unwrap();
        let resumed = stream.subscribe_from(&positions).unwrap();
        let now = resumed.positions();
        self.lost_count |= positions
            .iter()
            .any(|(shard_id, _)| now.position_of(shard_id).is_none());
        resumed
    }

    /// Checks what was read when nothing is left to be read. `put` has, for each key, when each of its
    /// records arrived.
    fn check(&self, put: &BTreeMap<u8, Vec<u64>>, horizon_ms: u64) -> Result<(), TestCaseError> {
        let mut expected = 0;
        for (key, arrivals) in put {
            let begun_at = self.begun_at.get(key).copied().unwrap_or(0);
            expected += arrivals.len() - begun_at;
            let own = self.read.iter().filter(|(of, _)| of == key);
            let own: Vec<_> = own.map(|(_, number)| *number).collect();
            prop_assert!(
                own.is_sorted_by(|a, b| a < b),
                "{key}: in order, each once: {own:?}"
            );
            prop_assert!(
                own.iter().all(|number| *number >= begun_at),
                "{key}: {own:?}"
            );
            for (number, _) in arrivals
                .iter()
                .enumerate()
                .skip(begun_at)
                .filter(|a| *a.1 >= horizon_ms)
            {
                prop_assert!(
                    own.binary_search(&number).is_ok(),
                    "{key}:{number} is not in {own:?}"
                );
            }
        }
        let told = self.read.len() as u64 + self.missed;
        prop_assert!(told <= expected as u64);
        prop_assert!(
            told == expected as u64 || self.lost_count,
            "{told} of {expected}"
        );
        Ok(())
    }
}

/// Splits, merges or puts as a step says. A put says its key.
fn change(stream: &Stream, step: &Step, number_of: impl Fn(u8) -> usize) -> Option<u8> {
    let mut open: Vec<_> = stream
        .shards()
        .into_iter()
        .filter(|s| s.is_open())
        .collect();
    open.sort_by_key(|shard| shard.hash_key_range().start());
    match *step {
        Step::Put(key) => {
            let key = key % 16;
            let data = format!("{key}:{}", number_of(key));
            stream
                .producer()
                .put_record(format!("key-{key}"), data)
                .unwrap();
            return Some(key);
        }
        Step::Split(pick) => split(stream, open[usize::from(pick) % open.len()].id().index()),
        Step::Merge(pick) if open.len() > 1 => {
            let lower = usize::from(pick) % (open.len() - 1);
            merge(
                stream,
                open[lower].id().index(),
                open[lower + 1].id().index(),
            );
        }
        Step::Count(count) => stream.update_shard_count(count.into()).unwrap(),
        Step::Merge(_) | Step::Read(_) => {}
    }
    None
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn any_history_is_read_once_by_each_reader_however_often_it_is_kept_and_resumed(
        steps in proptest::collection::vec(kept_step(), 1..120),
    ) {
        const RETENTION: u64 = 10;
        let (stream, clock) = build(
            Stream::builder("orders").shard_count(2).retention(secs(RETENTION)),
        );
        let mut put = BTreeMap::<u8, Vec<u64>>::new();
        let mut closed = false;
        let begin = |position, put: &BTreeMap<u8, Vec<u64>>| {
            let reader = Logical {
                begun_at: put.iter().map(|(key, arrivals)| (*key, arrivals.len())).collect(),
                read: Vec::new(),
                missed: 0,
                lost_count: false,
            };
            (stream.subscribe(position).unwrap(), reader)
        };
        let mut readers = vec![begin(TrimHorizon, &put)];
        let mut kept = Vec::<(String, Logical)>::new();
        for step in &steps {
            let count = readers.len();
            let pick = |pick: u8| usize::from(pick) % count;
            match step {
                KeptStep::Change(_) if closed => {}
                KeptStep::Change(step) => {
                    let number_of = |key| put.get(&key).map_or(0, Vec::len);
                    if let Some(key) = change(&stream, step, number_of) {
                        put.entry(key).or_default().push(now_ms(&clock));
                    }
                }
                KeptStep::Read(reader, limit) => {
                    let (subscription, reader) = &mut readers[pick(*reader)];
                    reader.read(subscription, (*limit).into());
                }
                KeptStep::Keep(reader) => {
                    let (subscription, reader) = &readers[pick(*reader)];
                    kept.push((subscription.positions().to_string(), reader.clone()));
                }
                KeptStep::Resume(pick) if !kept.is_empty() => {
                    let (positions, mut reader) = kept[usize::from(*pick) % kept.len()].clone();
                    readers.push((reader.resume(&stream, &positions), reader));
                }
                KeptStep::Resume(_) => {}
                KeptStep::Restart(reader) => {
                    let (subscription, reader) = &mut readers[pick(*reader)];
                    let positions = subscription.positions().to_string();
                    *subscription = reader.resume(&stream, &positions);
                }
                KeptStep::Clone(reader) => readers.push(readers[pick(*reader)].clone()),
                KeptStep::Begin => readers.push(begin(Latest, &put)),
                KeptStep::Advance(secs) => clock.advance(Duration::from_secs((*secs).into())),
                KeptStep::Close => {
                    stream.close();
                    closed = true;
                }
            }
        }
        stream.close();
        for (positions, mut reader) in kept {
            readers.push((reader.resume(&stream, &positions), reader));
        }
        let horizon_ms = now_ms(&clock) - RETENTION * 1_000;
        for (mut subscription, mut reader) in readers {
            // A closed stream is read to its end within a bounded number of calls.
            for _ in 0..1_000 {
                if subscription.is_finished() {
                    break;
                }
                reader.read(&mut subscription, 3);
            }
            prop_assert!(subscription.is_finished());
            prop_assert!(subscription.positions().is_empty());
            reader.check(&put, horizon_ms)?;
        }
    }
}

mod no_shard_is_left_out {
    use super::*;

    #[test]
    fn of_those_that_are_there() {
        let (stream, _clock) = stream(50);
        for index in 0..50 {
            put_into(&stream, index, &index.to_string());
        }
        let read = all(&stream);
        assert_eq!(read.records.len(), 50);
        assert_eq!(read.shards().len(), 50);
    }

    #[test]
    fn of_those_that_are_made_while_it_reads() {
        let (stream, _clock) = stream(1);
        let mut subscription = stream.subscribe(Latest).unwrap();
        for generation in 0..20 {
            let parent = generation * 3;
            assert!(pull(&mut subscription).records.is_empty());
            split(&stream, parent);
            put_into(&stream, parent + 1, "lower");
            put_into(&stream, parent + 2, "upper");
            merge(&stream, parent + 1, parent + 2);
            put_into(&stream, parent + 3, "merged");
            let read = pull(&mut subscription);
            assert_eq!(read.records.len(), 3);
            assert_eq!(read.texts()[2], "merged");
        }
    }

    #[test]
    fn though_it_was_made_and_closed_between_two_reads() {
        let (stream, _clock) = stream(1);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_into(&stream, 0, "0");
        split(&stream, 0);
        put_into(&stream, 1, "1");
        split(&stream, 1);
        put_into(&stream, 3, "3");
        split(&stream, 3);
        put_into(&stream, 5, "5");
        let read = pull(&mut subscription);
        assert_eq!(read.texts(), ["0", "1", "3", "5"]);
    }

    #[test]
    fn though_it_has_expired_and_its_records_count_as_missed() {
        let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_many(&stream, 2);
        split(&stream, 0);
        put_into(&stream, 1, "lower");
        put_into(&stream, 2, "upper");
        put_into(&stream, 2, "upper");
        merge(&stream, 1, 2);
        put_into(&stream, 3, "merged");
        split(&stream, 3);
        clock.advance(secs(10) + millis(1));
        put_into(&stream, 4, "young");
        assert_eq!(stream.shards().len(), 2, "the others have expired");
        let read = pull(&mut subscription);
        assert_eq!(read.texts(), ["young"]);
        assert_eq!(
            read.missed,
            BTreeMap::from([(0, 2), (1, 1), (2, 2), (3, 1)])
        );
    }

    #[test]
    fn though_a_parent_had_expired_before_it_subscribed() {
        let (stream, clock) = build(Stream::builder("orders").shard_count(2).retention(secs(10)));
        split(&stream, 0);
        clock.advance(secs(5));
        // Shard 3 of an expired parent and shard 1, which has none, become shard 4.
        merge(&stream, 3, 1);
        put_into(&stream, 4, "merged");
        put_into(&stream, 2, "child");
        clock.advance(secs(5) + millis(1));
        assert!(stream.shard(id(0)).is_err());
        let read = all(&stream);
        assert_eq!(read.records.len(), 2);
        assert!(read.missed.is_empty());
    }
}

mod missed_records {
    use super::*;

    #[test]
    fn are_counted_exactly_for_each_shard() {
        let builder = Stream::builder("orders").shard_count(2).capacity_records(3);
        let (stream, _clock) = build(builder);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        for i in 0..10 {
            put_into(&stream, 0, &format!("a{i}"));
        }
        for i in 0..4 {
            put_into(&stream, 1, &format!("b{i}"));
        }
        let read = pull(&mut subscription);
        assert_eq!(read.missed, BTreeMap::from([(0, 7), (1, 1)]));
        assert_eq!(read.texts(), ["a7", "a8", "a9", "b1", "b2", "b3"]);
        assert!(pull(&mut subscription).missed.is_empty(), "told once");
    }

    #[test]
    fn are_none_for_one_who_comes_after_they_were_trimmed() {
        let (stream, clock) = build(Stream::builder("orders").capacity_records(3));
        put_many(&stream, 10);
        let read = all(&stream);
        assert_eq!(
            (read.texts(), read.missed.len()),
            (vec!["r7", "r8", "r9"], 0)
        );
        clock.advance(stream.retention() + millis(1));
        assert_eq!(all(&stream), Read::default());
    }

    #[test]
    fn are_told_though_nothing_else_is_there() {
        let (stream, clock) = stream(1);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_many(&stream, 4);
        clock.advance(stream.retention() + millis(1));
        let batch = subscription.get_records(10).unwrap();
        assert_eq!(
            (batch.shard_id(), batch.len(), batch.missed_count()),
            (id(0), 0, 4)
        );
    }
}

mod positions {
    use super::*;

    #[test]
    fn trim_horizon_reads_all_that_is_retained_and_what_comes() {
        let (stream, _clock) = stream(2);
        put_into(&stream, 0, "a");
        put_into(&stream, 1, "b");
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_into(&stream, 1, "c");
        assert_eq!(pull(&mut subscription).records.len(), 3);
        put_into(&stream, 0, "d");
        assert_eq!(pull(&mut subscription).texts(), ["d"]);
    }

    #[test]
    fn latest_reads_what_is_put_from_now_on() {
        let (stream, _clock) = stream(2);
        put_into(&stream, 0, "before");
        split(&stream, 0);
        put_into(&stream, 2, "before");
        let mut subscription = stream.subscribe(Latest).unwrap();
        put_into(&stream, 2, "after");
        split(&stream, 2);
        put_into(&stream, 4, "after");
        put_into(&stream, 1, "after");
        assert_eq!(pull(&mut subscription).texts(), ["after"; 3]);
    }

    #[test]
    fn latest_reads_the_parents_that_end_later_to_their_end() {
        let (stream, _clock) = stream(2);
        let mut subscription = stream.subscribe(Latest).unwrap();
        put_into(&stream, 0, "a");
        merge(&stream, 0, 1);
        put_into(&stream, 2, "b");
        assert_eq!(pull(&mut subscription).texts(), ["a", "b"]);
    }

    /// A record a second: in shard 0, in its children 2 and 3, in the child 4 of those.
    fn timed() -> (Stream, ManualClock) {
        let (stream, clock) = stream(2);
        let tick = |text: &str, index| {
            clock.set(Timestamp::from_millis(now_ms(&clock)) + secs(1));
            put_into(&stream, index, text);
        };
        tick("1", 0);
        tick("2", 1);
        split(&stream, 0);
        tick("3", 2);
        tick("4", 3);
        merge(&stream, 2, 3);
        tick("5", 4);
        tick("6", 1);
        (stream, clock)
    }

    #[test]
    fn a_time_reads_what_arrived_then_or_later_in_every_shard() {
        let (stream, _clock) = timed();
        for from_secs in 0..=6_u64 {
            for (early_ms, first) in [
                (0, from_secs.max(1)),
                (1, from_secs.max(1)),
                (999, from_secs),
            ] {
                // A little before a second counts as that second, but for its own record.
                let time = (START_MS + from_secs * 1_000).saturating_sub(early_ms);
                let position = AtTimestamp(Timestamp::from_millis(time));
                let mut subscription = stream.subscribe(position).unwrap();
                let read = pull(&mut subscription);
                let mut texts = read.texts();
                texts.sort_unstable();
                let expected: Vec<_> = (first.max(1)..=6).map(|i| i.to_string()).collect();
                assert_eq!(texts, expected, "from {time}");
            }
        }
    }

    #[test]
    fn a_time_keeps_the_order_of_the_tree() {
        let (stream, _clock) = timed();
        let position = AtTimestamp(Timestamp::from_millis(START_MS + 3_000));
        let mut subscription = stream.subscribe(position).unwrap();
        let read = pull_by(&mut subscription, 1);
        let texts = read.texts();
        let at = |wanted| texts.iter().position(|text| *text == wanted).unwrap();
        assert!(at("3") < at("5") && at("4") < at("5"), "{texts:?}");
    }

    #[test]
    fn a_time_of_the_future_and_sequence_numbers_are_refused() {
        let (stream, clock) = stream(1);
        let number = put_into(&stream, 0, "x");
        let (now, timestamp) = (
            Timestamp::from_millis(now_ms(&clock)),
            Timestamp::from_millis(now_ms(&clock) + 1),
        );
        assert_eq!(
            refused(stream.subscribe(AtTimestamp(timestamp))),
            Error::TimestampInFuture { timestamp, now }
        );
        for position in [AtSequenceNumber(number), AfterSequenceNumber(number)] {
            let error = refused(stream.subscribe(position));
            assert_eq!(error, Error::SequenceNumberForSubscription);
        }
        assert_eq!(
            pull(&mut stream.subscribe(AtTimestamp(now)).unwrap()).texts(),
            ["x"]
        );
    }
}

/// Keeping positions as text and going on there.
mod kept_positions {
    use super::*;

    /// Goes on at the positions of a subscription, as one who reads them from a file.
    fn resume(stream: &Stream, positions: &SubscriptionPositions) -> Subscription {
        let kept: SubscriptionPositions = positions.to_string().parse().expect("text of positions");
        assert_eq!(kept, *positions);
        stream
            .subscribe_from(&kept)
            .expect("the positions are good")
    }

    fn indices(positions: &SubscriptionPositions) -> Vec<u32> {
        positions
            .iter()
            .map(|(shard_id, _)| shard_id.index())
            .collect()
    }

    #[test]
    fn lead_back_to_the_next_record_after_every_batch() {
        for limit in 1..4 {
            let (stream, _clock) = stream(3);
            for round in 0..4 {
                for index in 0..3 {
                    put_into(&stream, index, &format!("{index}:{round}"));
                }
            }
            stream.close();
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            let mut read = Read::default();
            while !subscription.is_finished() {
                let positions = subscription.positions();
                let mut resumed = resume(&stream, &positions);
                assert_eq!(
                    resumed.positions(),
                    positions,
                    "nothing happened in between"
                );
                let mut all = pull(&mut resumed).records;
                all.extend(read.records.clone());
                all.sort_unstable();
                assert_eq!(all.len(), 12);
                all.dedup();
                assert_eq!(all.len(), 12, "none was read twice");
                let batch = subscription.get_records(limit).unwrap();
                let shard = batch.shard_id().index();
                read.records
                    .extend(batch.records().map(|r| (shard, text(&r))));
            }
            assert_eq!(read.records.len(), 12);
        }
    }

    #[test]
    fn of_latest_and_of_a_time_are_where_these_were() {
        let (stream, clock) = stream(2);
        put_into(&stream, 0, "old");
        clock.advance(secs(1));
        let now = Timestamp::from_millis(now_ms(&clock));
        put_into(&stream, 1, "new");
        for (position, expected) in [
            (AtTimestamp(now), vec!["new", "later"]),
            (Latest, vec!["later"]),
        ] {
            let positions = stream.subscribe(position).unwrap().positions();
            put_into(&stream, 1, "later");
            let read = pull(&mut resume(&stream, &positions));
            assert_eq!(read.texts(), expected);
        }
    }

    #[test]
    fn go_on_in_the_children_of_shards_that_were_split_or_merged_since() {
        let (stream, _clock) = stream(2);
        put_into(&stream, 0, "a");
        put_into(&stream, 0, "b");
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert_eq!(view_of(&mut subscription), "a");
        let positions = subscription.positions();
        split(&stream, 0);
        put_into(&stream, 3, "c");
        merge(&stream, 3, 1);
        put_into(&stream, 4, "d");
        let mut resumed = resume(&stream, &positions);
        assert_eq!(pull_by(&mut resumed, 1).texts(), ["b", "c", "d"]);
        merge(&stream, 2, 4);
        put_into(&stream, 5, "e");
        assert_eq!(pull(&mut resumed).texts(), ["e"]);
    }

    /// The data of the one record that is read next.
    fn view_of(subscription: &mut Subscription) -> String {
        let batch = subscription.get_records(1).unwrap();
        text(&batch.records().next().expect("there is a record"))
    }

    #[test]
    fn wait_for_the_parent_that_was_not_read_and_not_for_the_one_that_was() {
        for read_first in [0, 1] {
            let (stream, _clock) = stream(2);
            let texts = ["a", "b", "c", "d"];
            for text in texts {
                put_into(&stream, 1 - read_first, text);
            }
            merge(&stream, 0, 1);
            put_into(&stream, 2, "child");
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            let mut count = 0;
            while subscription
                .positions()
                .position_of(id(read_first))
                .is_some()
            {
                assert_eq!(view_of(&mut subscription), texts[count]);
                count += 1;
            }
            let positions = subscription.positions();
            assert_eq!(indices(&positions), [1 - read_first, 2]);
            let read = pull_by(&mut resume(&stream, &positions), 1);
            assert_eq!(read.texts(), [&texts[count..], &["child"]].concat());
        }
    }

    #[test]
    fn name_every_shard_that_is_there_though_it_was_not_come_upon() {
        let (stream, _clock) = stream(1);
        let subscription = stream.subscribe(TrimHorizon).unwrap();
        split(&stream, 0);
        merge(&stream, 1, 2);
        let positions = subscription.positions();
        assert_eq!(indices(&positions), [0, 1, 2, 3]);
        for (shard_id, position) in &positions {
            assert_eq!(positions.position_of(shard_id), Some(position));
            let shard = stream.shard(shard_id).unwrap();
            assert_eq!(
                position,
                AfterSequenceNumber(shard.starting_sequence_number())
            );
        }
        let text = positions.to_string();
        assert!(
            text.ends_with("\nNEXT_SHARD:shardId-000000000004"),
            "{text}"
        );
    }

    // The story: shard 0 is named and gone; its child 1 is gone, too, and was never named. Only by its id
    // can 3, the child of 1, be known as one that is still to be read.
    #[test]
    fn lead_to_what_came_of_shards_that_are_gone() {
        let (stream, clock) = build(Stream::builder("orders").retention(secs(10)));
        put_into(&stream, 0, "missed");
        let subscription = stream.subscribe(TrimHorizon).unwrap();
        let positions = subscription.positions();
        split(&stream, 0);
        put_into(&stream, 1, "missed");
        split(&stream, 1);
        clock.advance(secs(10) + millis(1));
        for index in [2, 3, 4] {
            put_into(&stream, index, &index.to_string());
        }
        assert_eq!(stream.shards().len(), 3, "shards 0 and 1 are gone");
        let mut resumed = resume(&stream, &positions);
        assert_eq!(indices(&positions), [0]);
        assert_eq!(
            indices(&resumed.positions()),
            [2, 3, 4],
            "it shows that 0 is gone"
        );
        let read = pull(&mut resumed);
        assert_eq!(read.texts(), ["2", "3", "4"]);
        assert!(read.missed.is_empty(), "the count went with the shards");
        // Whoever kept the subscription itself is told.
        let mut subscription = subscription;
        let read = pull(&mut subscription);
        assert_eq!(
            (read.texts(), &read.missed),
            (vec!["2", "3", "4"], &[(0, 1), (1, 1)].into())
        );
    }

    // The story: shard 0 was read to its end and is still there; 1 and 2 are its children. Whoever reads on
    // from all shards that are not named, because a named one is gone, reads it again.
    #[test]
    fn lead_to_nothing_that_was_read_though_a_named_shard_is_gone() {
        let (stream, clock) = build(Stream::builder("orders").shard_count(2).retention(secs(10)));
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_into(&stream, 0, "read");
        split(&stream, 0);
        put_into(&stream, 1, "not read");
        split(&stream, 1);
        let batch = subscription.get_records(10).unwrap();
        assert_eq!((batch.shard_id(), batch.len()), (id(0), 1));
        let positions = subscription.positions();
        assert_eq!(indices(&positions), [1, 2, 3, 4, 5]);
        clock.advance(secs(5));
        put_into(&stream, 2, "2");
        split(&stream, 2);
        clock.advance(secs(5) + millis(1));
        assert!(stream.shard(id(0)).is_err() && stream.shard(id(2)).is_ok());
        let read = pull(&mut resume(&stream, &positions));
        assert_eq!(read.texts(), ["2"]);
    }

    #[test]
    fn tell_how_many_records_were_trimmed_since() {
        let (stream, _clock) = build(Stream::builder("orders").capacity_records(3));
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        put_many(&stream, 2);
        assert_eq!(view_of(&mut subscription), "r0");
        let positions = subscription.positions();
        put_many(&stream, 10);
        let read = pull(&mut resume(&stream, &positions));
        assert_eq!((read.records.len(), read.missed), (3, [(0, 8)].into()));
        // Also when the record before the position was trimmed before the positions were taken.
        let positions = subscription.positions();
        let read = pull(&mut resume(&stream, &positions));
        assert_eq!((read.records.len(), read.missed), (3, [(0, 8)].into()));
    }

    #[test]
    fn of_a_finished_subscription_are_none_and_it_is_finished_again() {
        let (stream, clock) = stream(2);
        put_into(&stream, 0, "x");
        split(&stream, 0);
        stream.close();
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert_eq!(subscription.positions().len(), 4);
        assert_eq!(pull(&mut subscription).records.len(), 1);
        assert!(subscription.is_finished());
        let positions = subscription.positions();
        assert!(positions.is_empty() && positions.iter().next().is_none());
        assert_eq!(positions.to_string(), "NEXT_SHARD:shardId-000000000004");
        for _ in 0..2 {
            let mut resumed = resume(&stream, &positions);
            assert!(resumed.is_finished());
            assert_eq!(pull(&mut resumed), Read::default());
            clock.advance(stream.retention() + millis(1));
        }
    }

    #[test]
    fn of_a_closed_stream_lead_to_what_was_not_read_alone() {
        let (stream, _clock) = stream(2);
        for index in 0..2 {
            put_into(&stream, index, &index.to_string());
        }
        put_into(&stream, 0, "more");
        stream.close();
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        while subscription.positions().position_of(id(1)).is_some() {
            assert_eq!(subscription.get_records(1).unwrap().len(), 1);
        }
        let positions = subscription.positions();
        assert_eq!(indices(&positions), [0]);
        let mut resumed = resume(&stream, &positions);
        assert_eq!(pull(&mut resumed).texts(), ["more"]);
        assert!(resumed.is_finished());
    }

    #[test]
    fn taken_before_the_stream_was_closed_lead_to_its_end() {
        let (stream, _clock) = stream(1);
        let positions = stream.subscribe(TrimHorizon).unwrap().positions();
        split(&stream, 0);
        put_into(&stream, 2, "last");
        stream.close();
        let mut resumed = resume(&stream, &positions);
        assert_eq!(pull(&mut resumed).texts(), ["last"]);
        assert!(resumed.is_finished());
    }

    #[test]
    fn written_by_hand_may_be_any_starting_positions_and_their_children_follow() {
        let (stream, clock) = stream(2);
        put_into(&stream, 0, "a");
        let number = put_into(&stream, 1, "b");
        split(&stream, 1);
        put_into(&stream, 2, "c");
        let time = Timestamp::from_millis(now_ms(&clock));
        for (position, expected) in [
            (TrimHorizon.to_string(), vec!["b", "c"]),
            (Latest.to_string(), vec!["c"]),
            (AtSequenceNumber(number).to_string(), vec!["b", "c"]),
            (AtTimestamp(time).to_string(), vec!["b", "c"]),
        ] {
            let text = format!("{} {position}\nNEXT_SHARD:{}\n", id(1), id(4));
            let mut subscription = stream.subscribe_from(&text.parse().unwrap()).unwrap();
            assert_eq!(
                pull_by(&mut subscription, 1).texts(),
                expected,
                "{position}"
            );
        }
    }

    // The story: shard 1 is read to its end first, and its child 4 is begun, though 3, the other parent,
    // is not read yet and nobody knows of it.
    #[test]
    fn written_by_hand_without_a_child_wait_for_it_all_the_same() {
        let (stream, _clock) = stream(2);
        for text in ["a", "b", "c"] {
            put_into(&stream, 0, text);
        }
        split(&stream, 0);
        put_into(&stream, 3, "d");
        merge(&stream, 3, 1);
        put_into(&stream, 4, "e");
        let [first, second] = [id(0), id(1)].map(|shard_id| format!("{shard_id} {TrimHorizon}"));
        let text = format!("{first}\n{second}\nNEXT_SHARD:{}", id(5));
        let mut subscription = stream.subscribe_from(&text.parse().unwrap()).unwrap();
        assert_eq!(
            pull_by(&mut subscription, 1).texts(),
            ["a", "b", "c", "d", "e"]
        );
    }

    #[test]
    fn of_shards_that_the_stream_never_had_are_refused() {
        let (large, _clock) = stream(3);
        let positions = large.subscribe(TrimHorizon).unwrap().positions();
        let (small, _clock) = stream(2);
        let (stream, shard_id) = ("orders".to_owned(), id(2));
        assert_eq!(
            refused(small.subscribe_from(&positions)),
            Error::ShardNotFound { stream, shard_id }
        );
        // One that is empty tells as well that it is not of this stream.
        let positions = "NEXT_SHARD:shardId-000000000003".parse().unwrap();
        assert!(matches!(
            refused(small.subscribe_from(&positions)),
            Error::ShardNotFound { .. }
        ));
    }

    #[test]
    fn of_another_stream_or_another_shard_or_of_the_future_are_refused() {
        let registry = Registry::builder().clock(clock()).build();
        let first = registry.create(Stream::builder("orders")).unwrap();
        let positions = first.subscribe(TrimHorizon).unwrap().positions();
        put_many(&first, 3);
        let mut subscription = first.subscribe(TrimHorizon).unwrap();
        assert_eq!(pull(&mut subscription).records.len(), 3);
        let later = subscription.positions();
        registry.delete("orders").unwrap();
        assert!(matches!(
            refused(first.subscribe_from(&positions)),
            Error::StreamNotFound { .. }
        ));
        // Of the same name, made within the same second.
        let second = registry.create(Stream::builder("orders")).unwrap();
        for positions in [&positions, &later] {
            let error = refused(second.subscribe_from(positions));
            assert!(
                matches!(error, Error::SequenceNumberOfOtherStream { .. }),
                "{error}"
            );
        }
        // Another stream of the same second cannot be told from it but by its numbers of the future.
        let (twin, twins_clock) = stream(1);
        let error = refused(twin.subscribe_from(&later));
        assert!(
            matches!(error, Error::SequenceNumberInFuture { .. }),
            "{error}"
        );
        let number = put_into(&twin, 0, "x");
        let other = format!(
            "{} {}\nNEXT_SHARD:{}",
            id(0),
            AfterSequenceNumber(number),
            id(1)
        );
        let other = other.replace(&id(0).to_string(), &id(1).to_string());
        let other = other.replace(
            &format!("NEXT_SHARD:{}", id(1)),
            &format!("NEXT_SHARD:{}", id(2)),
        );
        let (two, _clock) = stream(2);
        let error = refused(two.subscribe_from(&other.parse().unwrap()));
        assert!(
            matches!(error, Error::SequenceNumberOfOtherShard { .. }),
            "{error}"
        );
        let time = Timestamp::from_millis(now_ms(&twins_clock) + 1);
        let future = format!("{} {}\nNEXT_SHARD:{}", id(0), AtTimestamp(time), id(1));
        let error = refused(twin.subscribe_from(&future.parse().unwrap()));
        assert!(matches!(error, Error::TimestampInFuture { .. }), "{error}");
    }

    #[test]
    fn text_that_was_cut_off_is_an_error_of_the_crate() {
        let (stream, _clock) = stream(2);
        let text = stream
            .subscribe(TrimHorizon)
            .unwrap()
            .positions()
            .to_string();
        for length in 0..text.len() {
            let parsed: Result<SubscriptionPositions, _> = text[..length].parse();
            let error = Error::from(parsed.expect_err("the end is missing"));
            assert_eq!(
                (error.code(), error.is_retryable()),
                ("InvalidArgumentException", false)
            );
        }
        assert_eq!(
            "".parse::<SubscriptionPositions>(),
            Err(ParseSubscriptionPositionsError::Incomplete)
        );
    }

    #[test]
    fn take_an_iterator_of_each_shard_from_the_limits() {
        let limits = Limits::unlimited().get_shard_iterator_per_second(Some(2));
        let (stream, clock) = build(Stream::builder("orders").shard_count(2).limits(limits));
        let positions = stream.subscribe(TrimHorizon).unwrap().positions();
        for _ in 0..2 {
            stream.subscribe_from(&positions).unwrap();
        }
        let error = refused(stream.subscribe_from(&positions));
        assert!(matches!(error, Error::ReadThrottled { .. }) && error.is_retryable());
        clock.advance(secs(1));
        stream.subscribe_from(&positions).unwrap();
    }
}

mod clones {
    use super::*;

    #[test]
    fn go_on_independently_from_the_same_position() {
        let (stream, _clock) = stream(2);
        for index in [0, 0, 1, 1] {
            put_into(&stream, index, &index.to_string());
        }
        merge(&stream, 0, 1);
        put_into(&stream, 2, "child");
        let mut first = stream.subscribe(TrimHorizon).unwrap();
        for left in (0..5).rev() {
            assert_eq!(first.get_records(1).unwrap().len(), 1);
            let mut clone = first.clone();
            assert_eq!(clone.positions(), first.positions());
            let read = pull_by(&mut clone, 1);
            assert_eq!(read.records.len(), left);
            assert_eq!(read.texts().last(), (left > 0).then_some(&"child"));
        }
    }

    #[test]
    fn have_wakers_of_their_own() {
        let (stream, _clock) = stream(2);
        let waiting = || {
            let shards = stream.metrics().shards;
            shards
                .iter()
                .map(|shard| shard.waiting_readers)
                .sum::<usize>()
        };
        let mut first = stream.subscribe(TrimHorizon).unwrap();
        let bell = first.ready();
        assert!(pull(&mut first).records.is_empty());
        let mut clone = first.clone();
        assert_eq!(waiting(), 2);
        assert!(pull(&mut clone).records.is_empty());
        assert_eq!(waiting(), 4);
        drop(first);
        assert_eq!(waiting(), 2);
        put_into(&stream, 1, "x");
        assert_eq!(pull(&mut clone).texts(), ["x"]);
        assert!(bell.try_recv().is_err(), "the bell was the first one's");
    }
}

mod fairness {
    use super::*;

    #[test]
    fn shards_with_records_take_turns() {
        let (stream, _clock) = stream(4);
        for index in 0..4 {
            for _ in 0..10 {
                put_into(&stream, index, "x");
            }
        }
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        for _ in 0..10 {
            let mut turns = BTreeSet::new();
            for _ in 0..4 {
                turns.insert(subscription.get_records(1).unwrap().shard_id());
            }
            assert_eq!(turns.len(), 4, "each had its turn");
        }
    }

    #[test]
    fn a_busy_shard_keeps_no_other_waiting() {
        let (stream, _clock) = stream(2);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert!(pull(&mut subscription).records.is_empty());
        let mut since_quiet = 0;
        for round in 0..200 {
            for _ in 0..10 {
                put_into(&stream, 0, "busy");
            }
            if round % 10 == 0 {
                put_into(&stream, 1, "quiet");
                since_quiet = 1;
            }
            let batch = subscription.get_records(1).unwrap();
            if batch.shard_id() == id(1) {
                since_quiet = 0;
            }
            assert!(
                since_quiet <= 2,
                "it waited for {since_quiet} turns of the other"
            );
            since_quiet += usize::from(since_quiet > 0);
        }
    }
}

mod the_end {
    use super::*;

    #[test]
    fn of_a_closed_stream_is_reached_after_everything_was_read() {
        let (stream, _clock) = stream(3);
        put_into(&stream, 0, "a");
        split(&stream, 0);
        put_into(&stream, 4, "b");
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert!(!subscription.is_finished());
        stream.close();
        assert!(!subscription.is_finished(), "not read yet");
        assert_eq!(pull(&mut subscription).texts(), ["a", "b"]);
        assert!(subscription.is_finished());
        for _ in 0..3 {
            assert!(subscription.get_records(10).unwrap().is_empty());
            assert!(subscription.is_finished());
        }
    }

    #[test]
    fn comes_when_a_guard_is_dropped_in_whichever_way_and_not_before() {
        for panics in [false, true] {
            let (stream, _clock) = stream(2);
            let mut subscription = stream.subscribe(TrimHorizon).unwrap();
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let _closed = stream.close_on_drop();
                put_into(&stream, 1, "last");
                assert_eq!(pull(&mut subscription).texts(), ["last"]);
                assert!(!subscription.is_finished());
                if panics {
                    resume_unwind(Box::new("the producer is gone"));
                }
            }));
            assert_eq!(ended.is_err(), panics);
            assert!(pull(&mut subscription).texts().is_empty());
            assert!(subscription.is_finished());
        }
    }

    #[test]
    fn comes_with_the_first_guard_and_a_second_closes_nothing_more() {
        let (stream, _clock) = stream(1);
        let (first, second) = (stream.close_on_drop(), stream.close_on_drop());
        drop(first);
        assert!(
            stream
                .subscribe(TrimHorizon)
                .unwrap()
                .get_records(1)
                .is_ok()
        );
        assert_eq!(
            refused(stream.producer().put_record("key", "x")),
            Error::StreamClosed {
                stream: "orders".to_owned()
            }
        );
        drop(second);
        stream.close();
        assert!(stream.subscribe(Latest).unwrap().is_finished());
    }

    #[test]
    fn of_a_stream_without_records_is_reached_too() {
        let (stream, _clock) = stream(3);
        let mut before = stream.subscribe(Latest).unwrap();
        assert!(pull(&mut before).records.is_empty());
        stream.close();
        assert!(pull(&mut before).records.is_empty() && before.is_finished());
        let mut after = stream.subscribe(TrimHorizon).unwrap();
        assert!(pull(&mut after).records.is_empty() && after.is_finished());
        assert!(
            stream.subscribe(Latest).unwrap().is_finished(),
            "no shard is open"
        );
    }

    #[test]
    fn never_comes_while_the_stream_is_open() {
        let (stream, _clock) = stream(1);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        for generation in 0..5 {
            assert!(pull(&mut subscription).records.is_empty());
            assert!(!subscription.is_finished());
            split(&stream, generation * 3);
            assert!(!subscription.is_finished());
            merge(&stream, generation * 3 + 1, generation * 3 + 2);
        }
    }

    #[test]
    fn of_a_deleted_stream_is_an_error() {
        let registry = Registry::builder().clock(clock()).build();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        put_many(&stream, 3);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert_eq!(subscription.get_records(1).unwrap().len(), 1);
        registry.delete("orders").unwrap();
        for _ in 0..3 {
            let error = refused(subscription.get_records(1));
            assert_eq!(
                error,
                Error::StreamNotFound {
                    stream: "orders".to_owned()
                }
            );
        }
        let error = refused(stream.subscribe(TrimHorizon));
        assert!(matches!(error, Error::StreamNotFound { .. }));
    }
}

mod throttled_reads {
    use super::*;

    #[test]
    fn lose_nothing_and_keep_the_order() {
        let builder = Stream::builder("orders").shard_count(2);
        let limits = Limits::unlimited().get_records_per_second(Some(2));
        let (stream, clock) = build(builder.limits(limits));
        let producer = stream.producer();
        let keys: Vec<_> = (0..8).map(|key| format!("key-{key}")).collect();
        for round in 0..4 {
            for key in &keys {
                producer.put_record(key, format!("{key}:{round}")).unwrap();
            }
            if round == 1 {
                stream.update_shard_count(3).unwrap();
            }
        }
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        let (mut read, mut throttled) = (Read::default(), 0);
        while read.records.len() < 32 {
            match subscription.get_records(1) {
                Ok(batch) => {
                    let shard = batch.shard_id().index();
                    read.records
                        .extend(batch.records().map(|r| (shard, text(&r))));
                }
                Err(error) => {
                    assert!(matches!(error, Error::ReadThrottled { .. }));
                    throttled += 1;
                    assert!(throttled < 10_000, "it comes to an end");
                    clock.advance(millis(100));
                }
            }
        }
        assert!(throttled > 0);
        assert_keys_in_order(&read, &keys, 4);
    }

    #[test]
    fn of_one_shard_leave_the_others_their_turn() {
        let builder = Stream::builder("orders").shard_count(2);
        let limits = Limits::unlimited().get_records_per_second(Some(1));
        let (stream, clock) = build(builder.limits(limits));
        put_into(&stream, 0, "a");
        put_into(&stream, 0, "b");
        put_into(&stream, 1, "c");
        // Somebody else has used up what shard 0 gives in this second.
        let mut other = stream.shard_iterator(id(0), TrimHorizon).unwrap();
        assert_eq!(other.get_records(1).unwrap().len(), 1);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        let answers: Vec<_> = (0..2).map(|_| subscription.get_records(10)).collect();
        let read: usize = answers.iter().flatten().map(|batch| batch.len()).sum();
        assert_eq!(read, 1, "shard 1 was read: {answers:?}");
        clock.advance(secs(1));
        assert_eq!(pull_two(&mut subscription), 2);
    }

    /// What two calls give, whether or not one is throttled.
    fn pull_two(subscription: &mut Subscription) -> usize {
        (0..2)
            .filter_map(|_| subscription.get_records(10).ok())
            .map(|batch| batch.len())
            .sum()
    }
}

mod idle_shards {
    use super::*;

    // With a limit, each look at a shard shows.
    #[test]
    fn are_not_looked_at() {
        let builder = Stream::builder("orders").shard_count(100);
        let limits = Limits::unlimited().get_records_per_second(Some(3));
        let (stream, _clock) = build(builder.limits(limits));
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert!(
            pull(&mut subscription).records.is_empty(),
            "each is looked at once"
        );
        for _ in 0..1_000 {
            assert!(subscription.get_records(10).unwrap().is_empty());
        }
        put_into(&stream, 50, "x");
        assert_eq!(subscription.get_records(10).unwrap().shard_id(), id(50));
    }

    #[test]
    fn wait_for_their_records_and_leave_nothing_behind() {
        let (stream, _clock) = stream(10);
        let waiting = || {
            let shards = stream.metrics().shards;
            shards
                .iter()
                .map(|shard| shard.waiting_readers)
                .sum::<usize>()
        };
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        assert_eq!(waiting(), 0, "nothing before the first read");
        assert!(pull(&mut subscription).records.is_empty());
        assert_eq!(waiting(), 10);
        drop(subscription);
        assert_eq!(waiting(), 0);
    }
}

#[test]
fn subscriptions_are_independent_of_each_other_and_of_iterators() {
    let (stream, _clock) = stream(3);
    for index in 0..3 {
        put_into(&stream, index, "x");
    }
    let mut first = stream.subscribe(TrimHorizon).unwrap();
    let mut second = stream.subscribe(TrimHorizon).unwrap();
    assert_eq!(pull(&mut first).records.len(), 3);
    split(&stream, 1);
    put_into(&stream, 4, "y");
    assert_eq!(pull(&mut first).texts(), ["y"]);
    assert_eq!(pull(&mut second).records.len(), 4);
    drop(first);
    put_into(&stream, 0, "z");
    assert_eq!(pull(&mut second).texts(), ["z"]);
}

#[test]
fn a_batch_is_of_one_shard_and_holds_at_most_the_limit() {
    let (stream, _clock) = stream(3);
    for index in 0..3 {
        for _ in 0..5 {
            put_into(&stream, index, "x");
        }
    }
    let mut subscription = stream.subscribe(TrimHorizon).unwrap();
    let mut count = 0;
    while count < 15 {
        let batch = subscription.get_records(2).unwrap();
        assert!((1..=2).contains(&batch.len()));
        let shards: BTreeSet<ShardId> = batch.iter().map(|view| view.shard_id()).collect();
        assert_eq!(shards, BTreeSet::from([batch.shard_id()]));
        count += batch.len();
    }
}

#[test]
fn a_subscription_keeps_its_stream_alive_and_can_be_sent_to_another_thread() {
    in_time(|| {
        let (stream, _clock) = stream(2);
        put_into(&stream, 1, "x");
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        drop(stream);
        let read = std::thread::spawn(move || pull(&mut subscription))
            .join()
            .unwrap();
        assert_eq!(read.texts(), ["x"]);
    });
}

#[test]
fn writers_and_a_reshard_in_full_swing_keep_every_key_in_order() {
    in_time(|| {
        const ROUNDS: usize = 300;
        let (stream, _clock) = build(Stream::builder("orders").on_full(OnFull::Refuse));
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        let keys: Vec<_> = (0..4).map(|key| format!("key-{key}")).collect();
        let read = std::thread::scope(|scope| {
            for key in &keys {
                let producer = stream.producer();
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        producer.put_record(key, format!("{key}:{round}")).unwrap();
                    }
                });
            }
            let reader = scope.spawn(|| {
                let mut read = Read::default();
                while read.records.len() < keys.len() * ROUNDS {
                    // The clock stands still: only a wake-up ends the wait.
                    let batch = subscription.get_records_timeout(7, secs(1)).unwrap();
                    let shard = batch.shard_id().index();
                    assert_eq!(batch.missed_count(), 0);
                    read.records
                        .extend(batch.records().map(|r| (shard, text(&r))));
                }
                read
            });
            for count in [3, 1, 4, 2, 5, 1, 2, 3] {
                stream.update_shard_count(count).unwrap();
            }
            reader.join().unwrap()
        });
        assert_keys_in_order(&read, &keys, ROUNDS);
    });
}

/// Runs one of the tests below in a process of its own, because it would take this one with it.
fn in_a_process_of_its_own(name: &str, test: impl FnOnce()) {
    const CHILD: &str = "BROOKLET_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let itself = std::env::current_exe().expect("a test knows its own program");
    let output = Command::new(itself)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
}

// The story: each closed shard holds its children, so that a reader of it finds them though they have
// expired. Dropping a reader that had slept through all generations dropped one shard within the other,
// until the stack overflowed.
#[test]
fn a_reader_that_slept_through_any_number_of_reshards_can_be_dropped() {
    in_a_process_of_its_own(
        "a_reader_that_slept_through_any_number_of_reshards_can_be_dropped",
        || {
            let (stream, clock) = build(Stream::builder("orders").retention(secs(1)));
            let subscription = stream.subscribe(TrimHorizon).unwrap();
            let iterator = stream.shard_iterator(id(0), TrimHorizon).unwrap();
            for generation in 0..20_000 {
                split(&stream, generation * 3);
                merge(&stream, generation * 3 + 1, generation * 3 + 2);
                clock.advance(secs(2));
            }
            assert_eq!(stream.shards().len(), 1);
            drop((subscription, iterator));
        },
    );
}
