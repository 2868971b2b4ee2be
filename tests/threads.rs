//! Real threads: producers, readers of every kind, reshards, trims and a clock that is turned, all
//! at once. In the end every accepted record is accounted for, by every reader.
//!
//! Nothing here sleeps, and nothing depends on how fast it goes: a thread waits for what another
//! does, and a wake-up that is lost shows as a test that hangs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use brooklet::{
    Clock, Error, HashKey, ManualClock, OnFull, Producer, RecordBatch, Registry, SequenceNumber,
    Shard, ShardFilter, ShardId, StartingPosition, Stream, Subscription,
};
use bytes::Bytes;
use common::{build, clock, id, key_of, millis, now_ms, put_into, secs, stream, text, until};
use futures_executor::{block_on, block_on_stream};

mod common;

use StartingPosition::{AfterSequenceNumber, AtTimestamp, Latest, TrimHorizon};

const HOUR: Duration = secs(3_600);

/// Random numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*, from a state that is never zero.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }
}

/// A record that was accepted.
struct Accepted {
    key: String,
    count: u64,
    number: SequenceNumber,
    shard: u32,
}

/// What one reader was given, batch by batch.
#[derive(Default)]
struct Given {
    batches: Vec<Batch>,
}

struct Batch {
    shard: u32,
    missed: u64,
    records: Vec<(SequenceNumber, String, u64)>,
}

impl Given {
    fn add(&mut self, batch: &RecordBatch) {
        let records = batch.records().map(|record| {
            let data = text(&record);
            let count = data.split(' ').nth(1).expect("a key and a count");
            assert!(
                data.starts_with(record.partition_key()),
                "the data belongs to the key"
            );
            let count = count.parse().expect("a count");
            (
                record.sequence_number(),
                record.partition_key().to_owned(),
                count,
            )
        });
        let records = records.collect();
        let (shard, missed) = (batch.shard_id().index(), batch.missed_count());
        self.batches.push(Batch {
            shard,
            missed,
            records,
        });
    }

    fn missed(&self) -> u64 {
        self.batches.iter().map(|batch| batch.missed).sum()
    }

    fn records(&self) -> u64 {
        self.batches
            .iter()
            .map(|batch| batch.records.len() as u64)
            .sum()
    }
}

/// All that was accepted, by shard and place.
struct Ledger {
    shards: BTreeMap<u32, Vec<(SequenceNumber, String, u64)>>,
}

impl Ledger {
    /// Checks on the way that the places of each shard have no gap, and that no two are the same.
    fn new(accepted: Vec<Accepted>) -> Self {
        let mut by_shard: BTreeMap<u32, BTreeMap<u64, _>> = BTreeMap::new();
        for Accepted {
            key,
            count,
            number,
            shard,
        } in accepted
        {
            let place = place_of(number);
            let same = by_shard
                .entry(shard)
                .or_default()
                .insert(place, (number, key, count));
            assert!(
                same.is_none(),
                "place {place} of shard {shard} was given twice"
            );
        }
        let shards = by_shard.into_iter().map(|(shard, records)| {
            let places: Vec<_> = records.keys().copied().collect();
            assert_eq!(
                places,
                (1..=places.len() as u64).collect::<Vec<_>>(),
                "shard {shard}"
            );
            let records: Vec<_> = records.into_values().collect();
            assert!(records.is_sorted_by(|a, b| a.0 < b.0));
            (shard, records)
        });
        Self {
            shards: shards.collect(),
        }
    }

    fn count(&self) -> u64 {
        self.shards
            .values()
            .map(|records| records.len() as u64)
            .sum()
    }

    /// Checks that a reader was given each record of these shards once and in order, or was told
    /// that it missed it; and the records of each key in the order in which they were put.
    fn check(&self, reader: &str, given: &Given, shards: impl Fn(u32) -> bool) {
        let mut next: BTreeMap<u32, usize> = BTreeMap::new();
        let mut last_of_key: HashMap<&str, u64> = HashMap::new();
        for batch in &given.batches {
            let next = next.entry(batch.shard).or_default();
            *next += usize::try_from(batch.missed).expect("few records");
            for record in &batch.records {
                assert_eq!(
                    record, &self.shards[&batch.shard][*next],
                    "{reader}: what was put"
                );
                *next += 1;
                let last = last_of_key.insert(&record.1, record.2);
                assert!(
                    last < Some(record.2),
                    "{reader}: {} after {last:?}",
                    record.2
                );
            }
        }
        for (shard, records) in self.shards.iter().filter(|(shard, _)| shards(**shard)) {
            let accounted = next.get(shard).copied().unwrap_or(0);
            assert_eq!(
                accounted,
                records.len(),
                "{reader}: records of shard {shard}"
            );
        }
    }
}

/// The place in a number (contract 1.6), from its decimal form.
fn place_of(number: SequenceNumber) -> u64 {
    let (mut high, mut low) = (0u128, 0u128);
    for digit in number.to_string().bytes() {
        low = low * 10 + u128::from(digit - b'0');
        (high, low) = (high * 10 + (low >> 80), low & ((1 << 80) - 1));
    }
    high as u64
}

/// Puts records with keys of its own, one by one and in batches, each with a count that goes up.
fn produce(producer: &Producer, name: u64, count: u64) -> Vec<Accepted> {
    let mut dice = Dice(name + 1);
    let mut accepted = Vec::new();
    let mut next = 0;
    while next < count {
        let mut make = || {
            let key = format!("key-{name}-{}", dice.roll(5));
            // Some data is copied, some is not.
            let padding = "x".repeat(dice.roll(2) as usize * dice.roll(900) as usize);
            next += 1;
            (key.clone(), format!("{key} {next} {padding}"), next)
        };
        if name.is_multiple_of(2) {
            let (key, data, count) = make();
            let put = producer
                .put_record(&key, data)
                .expect("an open stream takes records");
            let (shard, number) = (put.shard_id().index(), put.sequence_number());
            accepted.push(Accepted {
                key,
                count,
                number,
                shard,
            });
        } else {
            let entries: Vec<_> = (0..7).map(|_| make()).collect();
            let puts = entries
                .iter()
                .map(|(key, data, _)| (key.as_str(), data.clone()));
            let puts = producer
                .put_records(puts)
                .expect("an open stream takes records");
            assert_eq!(puts.failed_record_count(), 0);
            for ((key, _, count), put) in entries.into_iter().zip(puts) {
                let put = put.expect("none has failed");
                let (shard, number) = (put.shard_id().index(), put.sequence_number());
                accepted.push(Accepted {
                    key,
                    count,
                    number,
                    shard,
                });
            }
        }
        thread::yield_now();
    }
    accepted
}

/// Splits and merges as the dice fall until told to stop, but only so often.
fn reshard(stream: &Stream, seed: u64, stop: &AtomicBool) {
    let mut dice = Dice(seed);
    for _ in 0..60 {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut open: Vec<_> = stream.shards().into_iter().filter(Shard::is_open).collect();
        open.sort_by_key(|shard| shard.hash_key_range().start());
        if open.is_empty() {
            // Each was closed by another thread after it was listed.
            continue;
        }
        let at = dice.roll(open.len() as u64) as usize;
        let shard = &open[at];
        let result = match (open.get(at + 1), dice.roll(4)) {
            (_, 0) => stream.update_shard_count(1 + dice.roll(5) as u32),
            (Some(upper), 1) => stream.merge_shards(shard.id(), upper.id()),
            _ if open.len() < 6 => {
                let (start, end) = (shard.hash_key_range().start(), shard.hash_key_range().end());
                let middle = start.get() + (end.get() - start.get()) / 2;
                stream.split_shard(shard.id(), HashKey::new(middle))
            }
            _ => Ok(()),
        };
        match result {
            // Another thread was faster; its shard may have expired since.
            Ok(()) | Err(Error::ShardClosed { .. } | Error::ShardNotFound { .. }) => {}
            Err(error) => panic!("no reshard gives {error:?}"),
        }
        thread::yield_now();
    }
}

/// Turns the clock, back too, and changes the retention until told to stop.
fn turn(stream: &Stream, clock: &ManualClock, stop: &AtomicBool) {
    let mut dice = Dice(99);
    while !stop.load(Ordering::Relaxed) {
        match dice.roll(12) {
            0 => clock.set(clock.now() - millis(dice.roll(40))),
            1 => {
                let retention = [millis(20), millis(300), HOUR][dice.roll(3) as usize];
                stream.set_retention(retention).expect("a good retention");
            }
            _ => clock.advance(millis(dice.roll(9))),
        }
        thread::yield_now();
    }
}

fn read_blocking(mut subscription: Subscription, timeout: Duration) -> Given {
    let mut given = Given::default();
    while !subscription.is_finished() {
        given.add(
            &subscription
                .get_records_timeout(50, timeout)
                .expect("it can be read"),
        );
    }
    given
}

fn read_as_future(mut subscription: Subscription) -> Given {
    let mut given = Given::default();
    while !subscription.is_finished() {
        given.add(&block_on(subscription.get_records_async(10)).expect("it can be read"));
    }
    given
}

fn read_as_stream(subscription: Subscription) -> Given {
    let mut given = Given::default();
    for batch in block_on_stream(subscription.batches(200)) {
        given.add(&batch.expect("it can be read"));
    }
    given
}

fn read_when_ready(mut subscription: Subscription) -> Given {
    let mut given = Given::default();
    let ready = subscription.ready();
    while !subscription.is_finished() {
        ready.recv().expect("the subscription is there");
        given.add(&subscription.get_records(30).expect("it can be read"));
    }
    given
}

/// Reads one shard to its end, from its first record on.
fn read_shard(shard: &Shard) -> Given {
    let start = AfterSequenceNumber(shard.starting_sequence_number());
    let mut iterator = shard.iterator(start).expect("the shard is there");
    let mut given = Given::default();
    loop {
        let batch = iterator
            .get_records_timeout(20, HOUR)
            .expect("it can be read");
        given.add(&batch);
        if batch.shard_ended() {
            return given;
        }
    }
}

/// Follows the shards of a stream by hand, with an iterator for each.
fn read_by_children(stream: &Stream, first: &[Shard]) -> Given {
    let mut given = Given::default();
    let mut begun: BTreeSet<ShardId> = first.iter().map(Shard::id).collect();
    let mut ended = BTreeSet::new();
    let open = |shard_id: &ShardId| stream.shard_iterator(*shard_id, TrimHorizon);
    let mut iterators: Vec<_> = begun
        .iter()
        .map(|shard_id| open(shard_id).unwrap())
        .collect();
    while let Some(mut iterator) = iterators.pop() {
        let batch = iterator
            .get_records_timeout(100, HOUR)
            .expect("it can be read");
        given.add(&batch);
        if !batch.shard_ended() {
            iterators.insert(0, iterator);
            continue;
        }
        ended.insert(iterator.shard_id());
        for child in batch.child_shards() {
            let parents_ended = child
                .parent_shards()
                .iter()
                .all(|parent| ended.contains(parent));
            if parents_ended && begun.insert(child.shard_id()) {
                iterators.insert(0, open(&child.shard_id()).expect("the child is there"));
            }
        }
    }
    given
}

/// Closes a stream even if a check fails, so that its readers end and the test tells why.
struct CloseOnDrop<'a>(&'a Stream);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Everything at once on one stream. Returns what was missed, over all subscriptions.
fn account_for_everything(stream: &Stream, clock: Option<&ManualClock>, seed: u64) -> u64 {
    const PRODUCERS: u64 = 4;
    const PUTS: u64 = 1_400;
    let stop = AtomicBool::new(false);
    let subscribe = || stream.subscribe(TrimHorizon).expect("an active stream");
    let timeout = if clock.is_some() { millis(30) } else { HOUR };
    let (ledger, all, single) = thread::scope(|scope| {
        let _end = CloseOnDrop(stream);
        let readers = [
            scope.spawn({
                let subscription = subscribe();
                move || read_blocking(subscription, timeout)
            }),
            scope.spawn({
                let subscription = subscribe();
                move || read_as_future(subscription)
            }),
            scope.spawn({
                let subscription = subscribe();
                move || read_as_stream(subscription)
            }),
            scope.spawn({
                let subscription = subscribe();
                move || read_when_ready(subscription)
            }),
        ];
        let shards = stream.shards();
        let single: Vec<_> = shards
            .into_iter()
            .map(|shard| (shard.id().index(), scope.spawn(move || read_shard(&shard))))
            .collect();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|name| {
                let producer = stream.producer();
                scope.spawn(move || produce(&producer, name, PUTS))
            })
            .collect();
        let helpers = [
            scope.spawn(|| reshard(stream, seed, &stop)),
            scope.spawn(|| reshard(stream, seed + 1, &stop)),
        ];
        let turner = clock.map(|clock| scope.spawn(|| turn(stream, clock, &stop)));
        let join = |thread: thread::ScopedJoinHandle<'_, Given>| thread.join().expect("no panic");
        let accepted = producers
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"));
        let ledger = Ledger::new(accepted.collect());
        stop.store(true, Ordering::Relaxed);
        for helper in helpers.into_iter().chain(turner) {
            helper.join().expect("no panic");
        }
        stream.close();
        let single: Vec<_> = single
            .into_iter()
            .map(|(shard, read)| (shard, join(read)))
            .collect();
        (ledger, readers.map(join), single)
    });
    assert_eq!(ledger.count(), PRODUCERS * PUTS);
    for (given, name) in all.iter().zip(["blocking", "future", "stream", "channel"]) {
        ledger.check(name, given, |_| true);
        assert_eq!(given.records() + given.missed(), ledger.count(), "{name}");
    }
    for (shard, given) in &single {
        ledger.check("one shard", given, |other| other == *shard);
    }
    all.iter().map(Given::missed).sum()
}

#[test]
fn every_reader_is_given_every_record_once_while_shards_are_split_and_merged() {
    for seed in [1, 22] {
        let (stream, _clock) = stream(2);
        let missed = account_for_everything(&stream, None, seed);
        assert_eq!(missed, 0);
    }
}

#[test]
fn every_record_is_given_or_counted_as_missed_while_it_is_trimmed_and_time_goes_on_and_back() {
    for (seed, capacity) in [(5, 10), (66, u64::MAX)] {
        let builder = Stream::builder("orders")
            .shard_count(2)
            .capacity_records(capacity);
        let (stream, clock) = build(builder);
        let missed = account_for_everything(&stream, Some(&clock), seed);
        let trimmed = stream.metrics().sum(|shard| shard.records_trimmed);
        assert!(
            capacity > 10 || trimmed > 0,
            "{trimmed} were trimmed, {missed} missed"
        );
    }
}

#[test]
fn small_chunks_that_are_used_again_and_again_show_nobody_a_wrong_record() {
    let (stream, _clock) = build(
        Stream::builder("orders")
            .shard_count(2)
            .capacity_bytes(6_000),
    );
    let missed = account_for_everything(&stream, None, 7);
    let trimmed = stream.metrics().sum(|shard| shard.records_trimmed);
    assert!(trimmed > 0, "{trimmed} were trimmed, {missed} missed");
}

#[test]
fn iterators_that_follow_the_children_are_given_every_record_in_the_order_of_its_key() {
    let (stream, _clock) = stream(3);
    let (first, stop) = (stream.shards(), AtomicBool::new(false));
    thread::scope(|scope| {
        let _end = CloseOnDrop(&stream);
        let readers = [(); 2].map(|()| scope.spawn(|| read_by_children(&stream, &first)));
        // An iterator at the trim horizon misses nothing: the readers need not begin first.
        let producers = [0, 1].map(|name| {
            let producer = stream.producer();
            scope.spawn(move || produce(&producer, name, 210))
        });
        let resharder = scope.spawn(|| reshard(&stream, 3, &stop));
        let accepted = producers
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"));
        let ledger = Ledger::new(accepted.collect());
        stop.store(true, Ordering::Relaxed);
        resharder.join().expect("no panic");
        stream.close();
        for reader in readers {
            let given = reader.join().expect("no panic");
            ledger.check("children", &given, |_| true);
            assert_eq!((given.records(), given.missed()), (420, 0));
        }
    });
}

/// Splits the only shard and merges its children, over and over.
fn split_and_merge(stream: &Stream, rounds: u32) {
    for round in 0..rounds {
        let only = 3 * round;
        stream
            .split_shard(id(only), HashKey::new(1 << 127))
            .expect("it is open");
        stream
            .merge_shards(id(only + 1), id(only + 2))
            .expect("they are adjacent");
    }
}

/// A shard that was split after it was listed, and before it was looked at, was left out, and its
/// children were in no list yet.
#[test]
fn the_open_shards_of_a_list_cover_all_hash_keys_whatever_is_split_meanwhile() {
    let (stream, _clock) = stream(1);
    thread::scope(|scope| {
        let resharder = scope.spawn(|| split_and_merge(&stream, 300));
        while !resharder.is_finished() {
            let open = stream
                .list_shards(ShardFilter::AtLatest)
                .expect("an active stream");
            let mut ranges: Vec<_> = open.iter().map(Shard::hash_key_range).collect();
            ranges.sort_by_key(|range| range.start());
            let mut next = Some(0);
            for range in ranges {
                assert_eq!(Some(range.start().get()), next, "{open:?}");
                next = range.end().get().checked_add(1);
            }
            assert_eq!(next, None, "{open:?}");
        }
    });
}

#[test]
fn a_subscription_that_begins_during_a_reshard_leaves_no_shard_out() {
    for _ in 0..2 {
        let (stream, clock) = stream(1);
        let mut subscriptions: Vec<Subscription> = Vec::new();
        thread::scope(|scope| {
            let resharder = scope.spawn(|| split_and_merge(&stream, 60));
            while !resharder.is_finished() {
                for position in [Latest, Latest, AtTimestamp(clock.now())] {
                    subscriptions.push(stream.subscribe(position).expect("an active stream"));
                }
            }
        });
        put_into(&stream, 180, "to all");
        stream.close();
        for subscription in subscriptions {
            let mut records = Vec::new();
            for batch in block_on_stream(subscription.batches(10)) {
                records.extend(batch.expect("it can be read").records());
            }
            assert_eq!(common::texts(&records), ["to all"]);
        }
    }
}

#[test]
fn threads_that_share_one_producer_lose_nothing() {
    let (stream, _clock) = stream(2);
    let (producer, stop) = (stream.producer(), AtomicBool::new(false));
    let subscription = stream.subscribe(TrimHorizon).unwrap();
    thread::scope(|scope| {
        let _end = CloseOnDrop(&stream);
        let reader = scope.spawn(move || read_blocking(subscription, HOUR));
        let threads = [0, 2, 4, 1].map(|name| {
            scope.spawn({
                let producer = &producer;
                move || produce(producer, name, 140)
            })
        });
        let resharder = scope.spawn(|| reshard(&stream, 8, &stop));
        let accepted = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"));
        let ledger = Ledger::new(accepted.collect());
        stop.store(true, Ordering::Relaxed);
        resharder.join().expect("no panic");
        stream.close();
        ledger.check("reader", &reader.join().expect("no panic"), |_| true);
        assert_eq!(ledger.count(), 560);
    });
}

#[test]
fn a_batch_becomes_visible_as_a_whole() {
    const BATCH: usize = 300;
    let (stream, _clock) = stream(1);
    let mut iterator = common::iterator(&stream, TrimHorizon);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = stream.producer();
            for _ in 0..60 {
                // Together they fill several chunks.
                let entries = (0..BATCH).map(|_| ("key", Bytes::from_static(&[7; 400])));
                producer
                    .put_records(entries)
                    .expect("an open stream takes records");
            }
            done.store(true, Ordering::Release);
        });
        let mut torn = 0;
        loop {
            let last = done.load(Ordering::Acquire);
            let batch = iterator.get_records(33 * BATCH).expect("it can be read");
            torn += usize::from(!batch.len().is_multiple_of(BATCH));
            if last && batch.is_empty() {
                break;
            }
        }
        assert_eq!(torn, 0, "reads that saw a part of a batch");
    });
}

#[test]
fn a_stalled_reader_never_blocks_a_producer_and_learns_what_it_missed() {
    const PUTS: u64 = 20_000;
    const CAPACITY: u64 = 100;
    let (stream, _clock) = build(Stream::builder("orders").capacity_records(CAPACITY));
    put_into(&stream, 0, "held");
    // All of them stop in the middle: one holds a batch, one its channel, one is a subscription.
    let mut holder = common::iterator(&stream, TrimHorizon);
    let held = holder.get_records(1).unwrap();
    let mut ringing = common::iterator(&stream, Latest);
    let ready = ringing.ready();
    let mut subscription = stream.subscribe(Latest).unwrap();
    assert!(subscription.get_records(1).unwrap().is_empty());
    thread::scope(|scope| {
        for half in 0..2 {
            let producer = stream.producer();
            scope.spawn(move || {
                for i in 0..PUTS / 2 {
                    producer
                        .put_record("key", format!("{half} {i}"))
                        .expect("it never waits");
                }
            });
        }
    });
    assert_eq!(common::view_texts(&held), ["held"]);
    for iterator in [&mut holder, &mut ringing] {
        let batch = iterator.get_records(10_000).unwrap();
        assert_eq!(
            (batch.missed_count(), batch.len() as u64),
            (PUTS - CAPACITY, CAPACITY)
        );
    }
    assert!(ready.is_empty());
    let batch = subscription.get_records(10_000).unwrap();
    assert_eq!(
        (batch.missed_count(), batch.len() as u64),
        (PUTS - CAPACITY, CAPACITY)
    );
}

/// Data that counts its drops, all together and twice of the same.
struct Counted {
    data: Vec<u8>,
    drops: Arc<AtomicU32>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn everything_can_be_dropped_at_any_time_and_each_data_is_dropped_once() {
    const PUTS: usize = 150;
    for seed in 1..=12 {
        let mut dice = Dice(seed);
        let (stream, _clock) = build(Stream::builder("orders").capacity_bytes(40_000));
        let drops: Vec<_> = (0..2 * PUTS).map(|_| Arc::new(AtomicU32::new(0))).collect();
        let (mine, other) = drops.split_at(PUTS);
        let mut leave_after = || dice.roll(PUTS as u64) as usize;
        let (read, listen, reshards) = (leave_after(), leave_after(), leave_after() % 8);
        thread::scope(|scope| {
            for counters in [mine, other] {
                let producer = stream.producer();
                scope.spawn(move || {
                    for drops in counters {
                        let owner = Counted {
                            data: vec![1; 700],
                            drops: Arc::clone(drops),
                        };
                        producer
                            .put_record("key", Bytes::from_owner(owner))
                            .expect("taken");
                    }
                });
            }
            let mut iterator = stream.shards()[0].iterator(TrimHorizon).unwrap();
            scope.spawn(move || {
                let (mut records, mut batches) = (Vec::new(), Vec::new());
                for _ in 0..read {
                    let batch = iterator.get_records(7).unwrap();
                    records.extend(batch.records().take(2));
                    batches.push(batch);
                }
                drop(iterator);
                assert!(records.iter().all(|record| record.data()[..] == [1; 700]));
            });
            let mut subscription = stream.subscribe(Latest).unwrap();
            scope.spawn(move || {
                let _ready = subscription.ready();
                // A future that is given up now and then.
                for _ in 0..listen {
                    let future = subscription.get_records_async(5);
                    let waker = std::task::Waker::noop();
                    let mut context = std::task::Context::from_waker(waker);
                    let _ = std::pin::pin!(future).poll(&mut context);
                }
            });
            let stream = stream.clone();
            scope.spawn(move || {
                for count in 0..reshards {
                    stream
                        .update_shard_count(1 + count as u32 % 3)
                        .expect("an open stream");
                }
            });
        });
        let held = stream.metrics();
        assert_eq!(held.records_in(), 2 * PUTS as u64);
        drop(stream);
        for (index, drops) in drops.iter().enumerate() {
            assert_eq!(
                drops.load(Ordering::Relaxed),
                1,
                "seed {seed}, data {index}"
            );
        }
    }
}

/// Starts readers of every kind that wait for shard 0, lets `end` end their wait once all do, and
/// says what each was given.
fn wake_all_kinds(
    stream: &Stream,
    clock: &ManualClock,
    end: impl FnOnce(),
) -> Vec<Result<bool, Error>> {
    const BLOCKING: usize = 5;
    let shard = stream.shards()[0].clone();
    let iterator = || shard.iterator(Latest).expect("the shard is there");
    let subscribe = || stream.subscribe(Latest).expect("an active stream");
    let ends = |batch: RecordBatch| batch.shard_ended();
    thread::scope(|scope| {
        let mut readers = Vec::new();
        for _ in 0..BLOCKING {
            let mut iterator = iterator();
            readers.push(scope.spawn(move || iterator.get_records_timeout(1, HOUR).map(ends)));
        }
        let mut waiting = iterator();
        readers.push(scope.spawn(move || block_on(waiting.get_records_async(1)).map(ends)));
        let waiting = iterator();
        readers.push(scope.spawn(move || {
            let mut batches = block_on_stream(waiting.batches(1));
            batches.next().expect("there is one more batch").map(ends)
        }));
        let mut waiting = iterator();
        let ready = waiting.ready();
        readers.push(scope.spawn(move || {
            ready.recv().expect("the iterator is there");
            waiting.get_records(1).map(ends)
        }));
        let mut waiting = subscribe();
        readers.push(scope.spawn(move || {
            waiting
                .get_records_timeout(1, HOUR)
                .map(|_| waiting.is_finished())
        }));
        let mut waiting = subscribe();
        readers.push(
            scope.spawn(move || {
                block_on(waiting.get_records_async(1)).map(|_| waiting.is_finished())
            }),
        );
        let mut waiting = subscribe();
        let ready = waiting.ready();
        assert!(waiting.get_records(1).unwrap().is_empty());
        readers.push(scope.spawn(move || {
            ready.recv().expect("the subscription is there");
            waiting.get_records(1).map(|_| waiting.is_finished())
        }));
        // These sleep already; the others may as well come too late.
        until(|| clock.sleeper_count() == BLOCKING + 1);
        end();
        readers
            .into_iter()
            .map(|reader| reader.join().expect("no panic"))
            .collect()
    })
}

#[test]
fn all_who_wait_are_told_when_the_stream_is_closed() {
    for _ in 0..20 {
        let (stream, clock) = stream(1);
        let told = wake_all_kinds(&stream, &clock, || stream.close());
        assert!(told.iter().all(|told| *told == Ok(true)), "{told:?}");
        assert_eq!(stream.shards()[0].metrics().waiting_readers, 0);
    }
}

#[test]
fn all_who_wait_fail_when_the_stream_is_deleted() {
    for _ in 0..20 {
        let clock = clock();
        let registry = Registry::builder().clock(clock.clone()).build();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        let shard = stream.shards()[0].clone();
        let told = wake_all_kinds(&stream, &clock, || registry.delete("orders").unwrap());
        let not_found =
            |told: &Result<bool, Error>| matches!(told, Err(Error::StreamNotFound { .. }));
        assert!(told.iter().all(not_found), "{told:?}");
        assert_eq!(shard.metrics().waiting_readers, 0);
    }
}

#[test]
fn each_of_many_who_wait_for_one_shard_is_given_each_record() {
    const READERS: usize = 16;
    const ROUNDS: usize = 30;
    let (stream, clock) = stream(1);
    let shard = stream.shards()[0].clone();
    thread::scope(|scope| {
        let readers = [(); READERS].map(|()| {
            let mut iterator = shard.iterator(Latest).unwrap();
            scope.spawn(move || {
                let mut texts = Vec::new();
                while texts.len() < ROUNDS {
                    let batch = iterator.get_records_timeout(100, HOUR).unwrap();
                    assert!(!batch.is_empty(), "it waits until there is a record");
                    texts.extend(common::view_texts(&batch));
                }
                texts
            })
        });
        for round in 0..ROUNDS {
            // In every other round all of them sleep already.
            if round % 2 == 0 {
                until(|| clock.sleeper_count() == READERS);
            }
            put_into(&stream, 0, &round.to_string());
        }
        let expected: Vec<_> = (0..ROUNDS).map(|round| round.to_string()).collect();
        for reader in readers {
            assert_eq!(reader.join().expect("no panic"), expected);
        }
    });
}

/// Whoever looked at a shard's figures woke all its readers.
#[test]
fn a_look_at_the_figures_wakes_nobody() {
    let (stream, clock) = stream(1);
    let mut iterator = common::iterator(&stream, Latest);
    let ready = iterator.ready();
    let mut subscription = stream.subscribe(Latest).unwrap();
    assert!(subscription.get_records(1).unwrap().is_empty());
    assert_eq!(stream.shards()[0].metrics().waiting_readers, 2);
    clock.advance(HOUR);
    assert_eq!(
        stream.shards()[0].metrics().waiting_readers,
        2,
        "nothing has woken them"
    );
    assert!(ready.is_empty(), "there is nothing new");
    put_into(&stream, 0, "new");
    assert_eq!(stream.shards()[0].metrics().waiting_readers, 0);
    assert!(ready.is_full());
}

#[test]
fn a_reader_that_times_out_goes_on_where_it_was() {
    let (stream, clock) = stream(1);
    let mut iterator = common::iterator(&stream, Latest);
    for round in 0..20 {
        thread::scope(|scope| {
            let reader = scope.spawn(|| iterator.get_records_timeout(10, millis(5)));
            until(|| clock.sleeper_count() == 1);
            clock.advance(millis(5));
            assert!(reader.join().expect("no panic").unwrap().is_empty());
        });
        put_into(&stream, 0, &round.to_string());
        let batch = iterator.get_records_timeout(10, HOUR).unwrap();
        assert_eq!(common::view_texts(&batch), [round.to_string()]);
    }
}

/// A stream of one shard with room for one record, which is taken, where a put waits for a minute.
fn full() -> (Stream, ManualClock) {
    let builder = Stream::builder("orders")
        .capacity_records(1)
        .retention(secs(10));
    let (stream, clock) = build(builder.on_full(OnFull::Wait(secs(60))));
    put_into(&stream, 0, "first");
    (stream, clock)
}

#[test]
fn a_put_that_waits_for_room_goes_on_as_soon_as_retention_has_made_some() {
    let (stream, clock) = full();
    let begun = now_ms(&clock);
    thread::scope(|scope| {
        let put = scope.spawn(|| put_into(&stream, 0, "second"));
        until(|| clock.sleeper_count() == 1);
        clock.advance(secs(10));
        // As old as the retention is not older.
        assert_eq!(clock.sleeper_count(), 1);
        clock.advance(millis(1));
        put.join().expect("it was put");
    });
    let records = common::read_shard(&stream, 0);
    assert_eq!(common::texts(&records), ["second"]);
    let arrival = records[0].approximate_arrival_timestamp().as_millis();
    assert_eq!(arrival, begun + 10_001);
}

#[test]
fn a_put_that_waits_for_room_goes_on_when_the_retention_is_made_shorter() {
    let (stream, clock) = full();
    clock.advance(secs(5));
    thread::scope(|scope| {
        let put = scope.spawn(|| put_into(&stream, 0, "second"));
        until(|| clock.sleeper_count() == 1);
        stream.set_retention(secs(4)).unwrap();
        put.join().expect("it was put");
    });
    assert_eq!(common::texts(&common::read_shard(&stream, 0)), ["second"]);
}

#[test]
fn a_put_that_waits_for_room_follows_a_split_to_the_child() {
    let (stream, clock) = full();
    thread::scope(|scope| {
        let put = scope.spawn(|| stream.producer().put_record("key", "second").unwrap());
        until(|| clock.sleeper_count() == 1);
        stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
        let put = put.join().expect("it was put");
        assert!([id(1), id(2)].contains(&put.shard_id()));
    });
    assert_eq!(
        common::texts(&common::read_all(&stream)),
        ["first", "second"]
    );
}

/// What ends a wait.
type End<'a> = &'a dyn Fn(&Stream, &ManualClock);

#[test]
fn a_put_that_waits_for_room_fails_when_its_time_is_over_or_the_stream_ends() {
    let registry = Registry::builder().clock(clock()).build();
    let ends: [(&str, End<'_>); 3] = [
        ("PutTimedOut", &|_, clock| clock.advance(secs(60))),
        ("StreamClosed", &|stream, _| stream.close()),
        ("StreamNotFound", &|_, _| registry.delete("orders").unwrap()),
    ];
    for (name, end) in ends {
        let clock = clock();
        let builder = Stream::builder("orders")
            .capacity_records(1)
            .clock(clock.clone());
        let builder = builder.on_full(OnFull::Wait(secs(60)));
        let stream = match name {
            "StreamNotFound" => registry.create(builder).unwrap(),
            _ => builder.build().unwrap(),
        };
        put_into(&stream, 0, "first");
        thread::scope(|scope| {
            let single = scope.spawn(|| stream.producer().put_record("key", "second"));
            let batch = scope.spawn(|| stream.producer().put_records([("key", "third")]));
            until(|| clock.sleeper_count() == 2);
            end(&stream, &clock);
            let batch = batch.join().expect("no panic");
            let of_batch = batch.and_then(|output| output.records()[0].clone());
            for result in [single.join().expect("no panic"), of_batch] {
                let error = result.expect_err("there is no room");
                assert!(format!("{error:?}").starts_with(name), "{error:?}");
            }
        });
    }
}

#[test]
fn many_puts_that_wait_for_room_are_all_accepted_in_the_end() {
    const PUTTERS: usize = 6;
    let builder = Stream::builder("orders")
        .capacity_records(2)
        .retention(millis(10));
    let (stream, clock) = build(builder.on_full(OnFull::Wait(HOUR)));
    let mut reader = common::iterator(&stream, TrimHorizon);
    let left = AtomicUsize::new(PUTTERS);
    let accepted: Vec<_> = thread::scope(|scope| {
        let putters: Vec<_> = (0..PUTTERS as u64)
            .map(|name| {
                let (producer, left) = (stream.producer(), &left);
                scope.spawn(move || {
                    let accepted = produce(&producer, name, 21);
                    left.fetch_sub(1, Ordering::Release);
                    accepted
                })
            })
            .collect();
        while left.load(Ordering::Acquire) > 0 {
            clock.advance(millis(3));
            thread::yield_now();
        }
        putters
            .into_iter()
            .flat_map(|putter| putter.join().expect("no panic"))
            .collect()
    });
    let ledger = Ledger::new(accepted);
    assert_eq!(ledger.count(), 21 * PUTTERS as u64);
    stream.close();
    let batch = reader.get_records(10).unwrap();
    assert!(batch.len() <= 2 && batch.shard_ended());
    let metrics = stream.metrics();
    assert_eq!(metrics.records_in(), ledger.count());
    assert!(metrics.records_retained() <= 2);
}

#[test]
fn puts_into_other_shards_go_on_while_one_shard_is_full() {
    let builder = Stream::builder("orders").shard_count(2).capacity_records(3);
    let (stream, clock) = build(builder.on_full(OnFull::Wait(secs(5))));
    for data in ["a", "b", "c"] {
        put_into(&stream, 0, data);
    }
    thread::scope(|scope| {
        let stuck = scope.spawn(|| {
            let key = key_of(&stream.shards()[0]);
            stream
                .producer()
                .put_record_with_hash_key("key", key, "stuck")
        });
        until(|| clock.sleeper_count() == 1);
        for data in ["x", "y", "z"] {
            put_into(&stream, 1, data);
        }
        assert_eq!(clock.sleeper_count(), 1);
        clock.advance(secs(5));
        assert!(matches!(
            stuck.join().expect("no panic"),
            Err(Error::PutTimedOut { .. })
        ));
    });
}
