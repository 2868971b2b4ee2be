//! Scenarios: whole programs of several threads that are run in thousands of random orders.
//!
//! A model (`src/models`) tries all orders of a few steps; a scenario has as many threads and
//! steps as it takes to split, trim, wait and close at once, and tries some orders of them. Half of the
//! schedules choose each turn at random. The other half give each thread a rank, let the first that can
//! run do so, and change ranks in a few places: they come to what a thread does that is stopped for
//! long in a bad place.
//!
//! # How to write one
//!
//! - A scenario that waits for ever or panics has failed, with no assertion of its own.
//! - It names the [outcomes](Outcomes) that it must come to in some schedule or other: one that never
//!   gets where it is dangerous proves nothing.
//! - No thread looks again and again for what another one does: the second kind of schedule would let
//!   it look for ever. It waits, or looks a few times.
//! - Its clock [stands still](Still) or is turned by a thread of it.
//! - What it notes for itself is kept with the standard library's primitives: only one thread runs at
//!   a time, and to note something is no step.
//!
//! What is not seen: orderings weaker than the strongest, which models see; counts of references; time
//! that passes by itself.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc as StdArc, Mutex as StdMutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, Runner, thread};

use crate::clock::{Clock, ManualClock, Parker, Timestamp};
use crate::hash_key::HashKey;
use crate::iterator::ShardIterator;
use crate::producer::{Producer, PutRecordOutput};
use crate::sequence::SequenceNumber;
use crate::shard::{RecordBatch, Shard};
use crate::starting_position::StartingPosition;
use crate::stream::{Stream, StreamBuilder};
use crate::subscription::Subscription;

mod bounds;
mod drops;
mod records;
mod reshards;
mod waits;

/// Schedules of a scenario, of both kinds together, unless `SCHEDULES` says otherwise.
const SCHEDULES: usize = 20_000;
/// Fewer need not come to every outcome.
const SCHEDULES_TO_JUDGE: usize = 5_000;
/// Changes of ranks in a schedule of the second kind.
const CHANGES: usize = 3;

/// How often a scenario came to what.
#[derive(Clone, Default)]
struct Outcomes(StdArc<StdMutex<BTreeMap<&'static str, u64>>>);

impl Outcomes {
    fn came_to(&self, outcome: &'static str) {
        let mut outcomes = self.0.lock().expect("nobody panics under it");
        *outcomes.entry(outcome).or_default() += 1;
    }
}

/// Runs a scenario in [`SCHEDULES`] random orders, or in the one that `REPLAY` has. It must have come
/// to all the outcomes that are named, in some order each, and to no other.
fn scenario(outcomes: &[&'static str], run: impl Fn(&Outcomes) + Send + Sync + 'static) {
    let count = std::env::var("SCHEDULES").ok();
    let count = count.map_or(SCHEDULES, |count| count.parse().expect("a number"));
    let (came_to, run) = (Outcomes::default(), StdArc::new(run));
    let check = |scheduler: Box<dyn Scheduler + Send>| {
        let (came_to, run) = (came_to.clone(), StdArc::clone(&run));
        let mut config = Config::new();
        config.silence_warnings = true;
        Runner::new(scheduler, config).run(move || run(&came_to));
    };
    if let Ok(schedule) = std::env::var("REPLAY") {
        check(Box::new(ReplayScheduler::new_from_encoded(&schedule)));
        return;
    }
    let began = Instant::now();
    check(Box::new(RandomScheduler::new(count.div_ceil(2))));
    check(Box::new(PctScheduler::new(CHANGES, count / 2)));
    let (name, seconds) = (std::thread::current(), began.elapsed().as_secs_f64());
    let name = name.name().unwrap_or_default();
    let name = name.trim_start_matches("schedules::");
    let came_to = came_to.0.lock().expect("nobody panics under it");
    eprintln!("{name}: {count} schedules, {seconds:.1} s, {came_to:?}");
    let unknown: Vec<_> = came_to.keys().filter(|it| !outcomes.contains(it)).collect();
    assert!(
        unknown.is_empty(),
        "outcomes that are not named: {unknown:?}"
    );
    let unseen: Vec<_> = outcomes
        .iter()
        .filter(|it| !came_to.contains_key(*it))
        .collect();
    assert!(
        count < SCHEDULES_TO_JUDGE || unseen.is_empty(),
        "outcomes that it never came to: {unseen:?}"
    );
}

/// A clock that stands still; looking at it is no step of a scenario.
#[derive(Clone, Copy, Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_600_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn park(&self, parker: &Parker, _deadline: Duration) {
        parker.park();
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn builder() -> StreamBuilder {
    Stream::builder("scheduled").clock(Still)
}

fn built(builder: StreamBuilder) -> Stream {
    builder.build().expect("the settings are in bounds")
}

/// Who put a record, and which of theirs it is: what the data says.
type Id = (u8, u8);

/// Data that is copied; two records with it fill a chunk, so that chunks roll and are used again.
fn small((producer, count): Id) -> [u8; 16] {
    let mut data = [producer; 16];
    data[8..].fill(count);
    data
}

/// What [`small`] was given; every byte is looked at.
fn id_of(data: &[u8]) -> Id {
    let id = (data[0], data[8]);
    assert_eq!(data, small(id), "a record is whole");
    id
}

/// The hash key of a producer's records, which is its key: that in the middle of one of four parts.
fn key_of(producer: u8) -> HashKey {
    HashKey::new((u128::from(producer % 4) << 126) + (1 << 125))
}

fn put(producer: &Producer, id: Id) -> Accepted {
    let put = producer.put_record_with_hash_key("k", key_of(id.0), small(id));
    Accepted::new(id, &put.expect("an open stream takes records"))
}

/// Puts records one after another.
fn put_all(stream: &Stream, producer: u8, count: u8) -> Vec<Accepted> {
    let with = stream.producer();
    (1..=count)
        .map(|count| put(&with, (producer, count)))
        .collect()
}

fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(run)
}

fn join<T>(threads: impl IntoIterator<Item = thread::JoinHandle<T>>) -> Vec<T> {
    let join = |thread: thread::JoinHandle<T>| thread.join().expect("it has not panicked");
    threads.into_iter().map(join).collect()
}

/// Runs a future on this thread, which sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let (parker, mut future) = (Parker::new(), pin!(future));
    let waker = parker.waker();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.park(),
        }
    }
}

/// A record that was accepted.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    id: Id,
    shard: u32,
    number: SequenceNumber,
}

impl Accepted {
    fn new(id: Id, put: &PutRecordOutput) -> Self {
        Self {
            id,
            shard: put.shard_id().index(),
            number: put.sequence_number(),
        }
    }
}

/// All that was accepted: the records of each shard, by their places.
struct Ledger(BTreeMap<u32, Vec<(SequenceNumber, Id)>>);

impl Ledger {
    /// Checks on the way that places have no gap and numbers increase with them.
    fn new(accepted: impl IntoIterator<Item = Vec<Accepted>>) -> Self {
        let mut shards = BTreeMap::<u32, BTreeMap<u64, _>>::new();
        for Accepted { id, shard, number } in accepted.into_iter().flatten() {
            let shard = shards.entry(shard).or_default();
            let same = shard.insert(number.place(), (number, id));
            assert_eq!(same, None, "a place is given once");
        }
        let shards = shards.into_iter().map(|(shard, records)| {
            assert!(
                records.keys().copied().eq(1..=records.len() as u64),
                "no gap"
            );
            let records: Vec<_> = records.into_values().collect();
            assert!(records.is_sorted_by(|a, b| a.0 < b.0));
            (shard, records)
        });
        Self(shards.collect())
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// What a reader was given and told to have missed, from the first record of each shard on.
#[derive(Clone, Default)]
struct Given {
    passed: BTreeMap<u32, u64>,
    records: Vec<(u32, SequenceNumber, Id)>,
    missed: u64,
}

impl Given {
    /// Checks that the batch goes on where the one before ended.
    fn add(&mut self, batch: &RecordBatch) -> usize {
        let shard = batch.shard_id().index();
        let passed = self.passed.entry(shard).or_default();
        self.missed += batch.missed_count();
        *passed += batch.missed_count();
        for view in batch {
            let number = view.sequence_number();
            *passed += 1;
            assert_eq!(number.place(), *passed, "none is skipped or repeated");
            self.records.push((shard, number, id_of(view.data())));
        }
        batch.len()
    }

    /// Checks that it was given what was accepted, the records of each producer in order.
    fn check(&self, ledger: &Ledger) {
        let mut last = BTreeMap::new();
        for (shard, number, id) in &self.records {
            let place = usize::try_from(number.place()).expect("few records");
            assert_eq!(ledger.0[shard][place - 1], (*number, *id), "what was put");
            assert!(
                last.insert(id.0, id.1) < Some(id.1),
                "a key's records in order"
            );
        }
    }

    /// As [`check`](Self::check), of a reader that has read to the end of all shards.
    fn check_all(&self, ledger: &Ledger) {
        self.check(ledger);
        for (shard, records) in &ledger.0 {
            let passed = self.passed.get(shard).copied().unwrap_or(0);
            assert_eq!(passed, records.len() as u64, "all of shard {shard}");
        }
    }
}

/// An iterator that begins before the first record of the shard, though that is trimmed.
fn from_the_first(shard: &Shard) -> ShardIterator {
    let start = StartingPosition::AfterSequenceNumber(shard.starting_sequence_number());
    shard.iterator(start).expect("it is the shard's")
}

fn from_the_horizon(stream: &Stream) -> Subscription {
    let subscription = stream.subscribe(StartingPosition::TrimHorizon);
    subscription.expect("the stream is active")
}

/// Reads on until there is nothing to read now.
fn drain(iterator: &mut ShardIterator, given: &mut Given) {
    while given.add(&iterator.get_records(100).expect("it can be read")) > 0 {}
}

/// Reads until the stream was closed and all is read, waiting for each batch.
fn read_to_the_end(mut subscription: Subscription, limit: usize) -> Given {
    let mut given = Given::default();
    while !subscription.is_finished() {
        let batch = subscription.get_records_timeout(limit, Duration::MAX);
        given.add(&batch.expect("it can be read"));
    }
    given
}
