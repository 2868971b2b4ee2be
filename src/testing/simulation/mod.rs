//! Looks for the order of events that breaks a consumer.
//!
//! ```text
//!   seed ──> schedules ──> each is played ──> one fails ──> shrunk ──> story, and text to replay
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **A schedule has one outcome.** One thread, a clock turned by hand, no chance but the seed's; a
//!    failure is played once more, and says so if it does not fail again.
//! 2. **What survives a crash is the store and the kept place, and nothing else.** The consumer is
//!    dropped, and what it has read with it.
//! 3. **A failing schedule is small**: of what is reported no step and no two steps can be left out.

use std::fmt;

use bytes::Bytes;

use crate::log::Record;
use crate::sequence::SequenceNumber;
use crate::shard_id::ShardId;
use crate::stream::StreamBuilder;

mod failure;
mod generate;
mod guard;
mod run;
mod shrink;
mod step;
mod worker;

pub use failure::{Failure, SimulationError};
pub use step::ParseScheduleError;
pub use worker::Worker;

use failure::{Broken, Origin};
use generate::{Bounds, Random, generate};
use run::{Outcome, Run};
use shrink::shrink;
use step::{Cut, Schedule, Step, WORKERS_MAX};

/// The environment's name for the seed.
const SEED: &str = "BROOKLET_SEED";
/// Making a schedule small takes so many runs at most.
const SHRINK_RUNS_MAX: u64 = 20_000;
const RECORDS_MAX: u32 = 10_000;

/// What is put under simulation: your code that works on records.
///
/// The value itself is a worker's memory, gone in a crash; a new one is made at each start. What is to
/// survive is written by the [`Worker`]. A closure of the same form as [`process`](Self::process) is a
/// consumer, too.
pub trait Consumer<S> {
    /// Works on records of one shard, in their order. Records may come again, after a crash or without
    /// one.
    fn process(&mut self, records: &[Record], worker: &mut Worker<'_, S>);

    /// It is time: now and then, and at the end. A consumer that gathers results writes them here.
    fn tick(&mut self, worker: &mut Worker<'_, S>) {
        let _ = worker;
    }

    /// So many records were trimmed before they were read; only with [`Hazard::Trim`], or a stream of
    /// little capacity.
    fn missed(&mut self, count: u64, worker: &mut Worker<'_, S>) {
        let _ = (count, worker);
    }
}

impl<S, F: FnMut(&[Record], &mut Worker<'_, S>)> Consumer<S> for F {
    fn process(&mut self, records: &[Record], worker: &mut Worker<'_, S>) {
        self(records, worker);
    }
}

/// What a consumer may have to withstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hazard {
    /// A worker crashes, at any moment, between any two effects, and another starts from the
    /// checkpoint.
    Crash,
    /// A worker starts while another goes on, which keeps no place from then on, but can still write.
    TakeOver,
    /// A worker stands still between two effects while the world goes on, and goes on then: an answer
    /// that comes late.
    Pause,
    /// Records come again, from the last checkpoint on, while the worker keeps its memory.
    Redelivery,
    /// Shards are split and merged.
    Reshard,
    /// Records come again from a checkpoint before the last one. Not unless asked for.
    Rewind,
    /// The producer puts a record again, as if it had no answer: the same key and data, another
    /// sequence number. Not unless asked for.
    Retry,
    /// Records expire, read or not. Not unless asked for.
    Trim,
}

impl Hazard {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Crash,
        Self::TakeOver,
        Self::Pause,
        Self::Redelivery,
        Self::Reshard,
        Self::Rewind,
        Self::Retry,
        Self::Trim,
    ];

    /// Those that there are unless [`Simulation::with`] or [`Simulation::without`] says otherwise:
    /// what can happen to any reader.
    pub const USUAL: [Self; 5] = [
        Self::Crash,
        Self::TakeOver,
        Self::Pause,
        Self::Redelivery,
        Self::Reshard,
    ];
}

/// Plays many schedules of puts, reads, crashes, restarts, duplicate deliveries and reshards against a
/// consumer, and reports the smallest that breaks what was promised.
///
/// ```
/// use std::collections::BTreeSet;
/// use brooklet::Record;
/// use brooklet::testing::{Simulation, Worker};
///
/// type Shipped = BTreeSet<Vec<u8>>;
///
/// let ship = |records: &[Record], worker: &mut Worker<'_, Shipped>| {
///     worker.write(|shipped| shipped.extend(records.iter().map(|order| order.data().to_vec())));
///     worker.checkpoint();
/// };
/// let report = Simulation::new(move || ship)
///     .finally("each order is shipped", |view| {
///         view.sent().iter().all(|order| view.store().contains(order.data()))
///     })
///     .schedules(200)
///     .run()?;
/// assert_eq!(report.schedules, 200);
/// # Ok::<(), brooklet::testing::SimulationError>(())
/// ```
///
/// With the two lines of `ship` the other way round, a crash between them loses an order, and the
/// error tells how:
///
/// ```
/// # use std::collections::BTreeSet;
/// # use brooklet::Record;
/// # use brooklet::testing::{Simulation, Worker};
/// # type Shipped = BTreeSet<Vec<u8>>;
/// let ship = |records: &[Record], worker: &mut Worker<'_, Shipped>| {
///     worker.checkpoint();
///     worker.write(|shipped| shipped.extend(records.iter().map(|order| order.data().to_vec())));
/// };
/// let simulation = Simulation::new(move || ship)
///     .finally("each order is shipped", |view| {
///         view.sent().iter().all(|order| view.store().contains(order.data()))
///     });
/// let error = simulation.run().unwrap_err();
/// let failure = error.failure().unwrap();
/// assert_eq!(failure.schedule(), "sim1 put:0 read:1*1 process:1!1");
/// assert!(simulation.replay(failure.schedule()).is_err());
/// ```
///
/// # What is simulated
///
/// One stream on a clock turned by hand, one producer, and up to 8 workers that read the whole stream
/// with a [`Subscription`](crate::Subscription), all in one thread. Workers interleave between reading
/// and processing, and inside `process` at each [`write`](Worker::write),
/// [`checkpoint`](Worker::checkpoint) and [`commit`](Worker::commit). What else a consumer does (files,
/// threads, other services) is outside; a consumer that depends on it is reported as
/// [not repeatable](Failure::is_repeatable).
///
/// # Seeds
///
/// The seed is 0 unless [`seed`](Self::seed) or, before that, the environment's `BROOKLET_SEED` says
/// otherwise. One seed means the same schedules on every machine.
pub struct Simulation<S, C> {
    make_consumer: Box<dyn Fn() -> C>,
    make_store: Box<dyn Fn() -> S>,
    settings: Box<dyn Fn(StreamBuilder) -> StreamBuilder>,
    record: Box<dyn Fn(usize) -> (String, Bytes)>,
    record_count: u32,
    workers: u32,
    hazards: Vec<Hazard>,
    schedules: u64,
    steps: u32,
    seed: u64,
    always: Vec<Promise<S>>,
    finally: Vec<Promise<S>>,
}

/// What has to hold.
struct Promise<S> {
    name: String,
    check: Box<Check<S>>,
}

type Check<S> = dyn Fn(&View<'_, S>) -> Result<(), String>;

/// What a promise is told of: the world at one moment, seen from outside.
pub struct View<'a, S> {
    store: &'a S,
    sent: &'a [Sent],
    missed: u64,
}

/// A record that was put.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    number: usize,
    partition_key: String,
    data: Bytes,
    shard_id: ShardId,
    sequence_number: SequenceNumber,
    is_retry: bool,
}

/// What a simulation has played, to see that it was not in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulationReport {
    /// Schedules.
    pub schedules: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// Records that were put, retries included.
    pub puts: u64,
    /// Records that a producer put once more.
    pub retries: u64,
    /// Records that consumers were given, as often as they were.
    pub records: u64,
    /// Places that were kept.
    pub checkpoints: u64,
    /// Starts of workers.
    pub starts: u64,
    /// Starts while another worker was running.
    pub take_overs: u64,
    /// Crashes, inside of calls and between them.
    pub crashes: u64,
    /// Calls that stood still while the world went on.
    pub pauses: u64,
    /// Times that a worker was sent back.
    pub redeliveries: u64,
    /// Splits.
    pub splits: u64,
    /// Merges.
    pub merges: u64,
    /// Times that everything expired.
    pub trims: u64,
}

/// What the check of a promise may return: whether it holds, nothing (it asserts), or what is wrong.
pub trait Verdict {
    /// What is wrong.
    ///
    /// # Errors
    ///
    /// What is wrong, in words; none if that says nothing more than the promise.
    fn into_result(self) -> Result<(), String>;
}

impl Verdict for bool {
    fn into_result(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl Verdict for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> Verdict for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

impl<S, C> Simulation<S, C>
where
    S: fmt::Debug + 'static,
    C: Consumer<S>,
{
    /// A simulation of the consumers that `make_consumer` makes, one at each start of a worker. Each
    /// schedule begins with an empty store.
    pub fn new(make_consumer: impl Fn() -> C + 'static) -> Self
    where
        S: Default,
    {
        Self::with_store(S::default, make_consumer)
    }

    /// As [`new`](Self::new), where each schedule begins with a store that `make_store` makes.
    pub fn with_store(
        make_store: impl Fn() -> S + 'static,
        make_consumer: impl Fn() -> C + 'static,
    ) -> Self {
        let record = |number| {
            (
                format!("key-{}", number % 3),
                format!("record {number}").into(),
            )
        };
        Self {
            make_consumer: Box::new(make_consumer),
            make_store: Box::new(make_store),
            settings: Box::new(|builder| builder),
            record: Box::new(record),
            record_count: 8,
            workers: 2,
            hazards: Hazard::USUAL.to_vec(),
            schedules: 1_000,
            steps: 40,
            seed: 0,
            always: Vec::new(),
            finally: Vec::new(),
        }
    }

    /// What the producer puts: up to `count` records, 10,000 at most, in this order; `record` makes
    /// partition key and data of the one with a number. 8 records of 2 keys unless set.
    #[must_use]
    pub fn records<K: Into<String>, D: Into<Bytes>>(
        mut self,
        count: usize,
        record: impl Fn(usize) -> (K, D) + 'static,
    ) -> Self {
        let count = u32::try_from(count).unwrap_or(RECORDS_MAX);
        self.record_count = count.min(RECORDS_MAX);
        self.record = Box::new(move |number| {
            let (partition_key, data) = record(number);
            (partition_key.into(), data.into())
        });
        self
    }

    /// How many workers there are, 1 to 8; 2 unless set. One runs at first; others start when it has
    /// crashed or, with [`Hazard::TakeOver`], while it goes on.
    #[must_use]
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers.clamp(1, WORKERS_MAX);
        self
    }

    /// Adds a hazard.
    #[must_use]
    pub fn with(mut self, hazard: Hazard) -> Self {
        if !self.hazards.contains(&hazard) {
            self.hazards.push(hazard);
        }
        self
    }

    /// Takes a hazard away.
    #[must_use]
    pub fn without(mut self, hazard: Hazard) -> Self {
        self.hazards.retain(|other| *other != hazard);
        self
    }

    /// Sets up the stream: shards, capacity, limits. It has one shard and no limits unless set.
    #[must_use]
    pub fn stream(mut self, settings: impl Fn(StreamBuilder) -> StreamBuilder + 'static) -> Self {
        self.settings = Box::new(settings);
        self
    }

    /// How many schedules are played; 1,000 unless set.
    #[must_use]
    pub const fn schedules(mut self, schedules: u64) -> Self {
        self.schedules = schedules;
        self
    }

    /// How many steps a schedule has at most; 40 unless set.
    #[must_use]
    pub fn steps(mut self, steps: u32) -> Self {
        self.steps = steps.clamp(1, 100_000);
        self
    }

    /// What the schedules are made of; 0 unless set. `BROOKLET_SEED` in the environment comes before
    /// it.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Promises something that has to hold after each step, also while a worker stands still. A check
    /// that panics says that it does not hold.
    #[must_use]
    pub fn always<V: Verdict>(
        mut self,
        name: impl Into<String>,
        check: impl Fn(&View<'_, S>) -> V + 'static,
    ) -> Self {
        self.always.push(Promise::new(name, check));
        self
    }

    /// Promises something that has to hold once everything was read and done.
    #[must_use]
    pub fn finally<V: Verdict>(
        mut self,
        name: impl Into<String>,
        check: impl Fn(&View<'_, S>) -> V + 'static,
    ) -> Self {
        self.finally.push(Promise::new(name, check));
        self
    }

    /// Plays the schedules, and stops at the first that fails.
    ///
    /// # Errors
    ///
    /// [`SimulationError::Failed`] with the schedule, made small; [`SimulationError::InvalidSeed`];
    /// [`SimulationError::Stream`] if the stream's settings make no sense.
    pub fn run(&self) -> Result<SimulationReport, SimulationError> {
        let seed = self.chosen_seed()?;
        let bounds = Bounds {
            steps: self.steps,
            records: self.record_count,
            workers: self.workers,
            hazards: self.hazards.clone(),
        };
        let mut report = SimulationReport::default();
        for schedule in 0..self.schedules {
            let steps = generate(&mut Random::new(seed, schedule), &bounds);
            let outcome = self.play(&steps, false)?;
            report.add(&outcome.counts);
            if let Some(broken) = outcome.broken {
                let origin = Origin {
                    seed,
                    schedule,
                    step_count: steps.len(),
                    runs: 0,
                };
                return Err(self.explain(steps, &broken, origin)?.into());
            }
        }
        Ok(report)
    }

    /// Plays one schedule, as a [failure](Failure::schedule) names it: a regression test.
    ///
    /// # Errors
    ///
    /// [`SimulationError::Failed`] if it fails; [`SimulationError::Schedule`] if the text is none, or has
    /// records, workers or hazards that this simulation has not; [`SimulationError::Stream`].
    pub fn replay(&self, schedule: &str) -> Result<SimulationReport, SimulationError> {
        let Schedule(steps) = schedule.parse()?;
        for (word, step) in (2..).zip(&steps) {
            self.check_step(*step)
                .map_err(|problem| ParseScheduleError::new(word, problem))?;
        }
        let outcome = self.play(&steps, true)?;
        let Some(broken) = outcome.broken else {
            return Ok(outcome.counts);
        };
        let again = self.play(&steps, false)?;
        Err(Failure {
            is_repeatable: again.broken.as_ref() == Some(&broken),
            broken,
            schedule: Schedule(steps.clone()).to_string(),
            step_count: steps.len(),
            story: outcome.story,
            store: outcome.store,
            origin: None,
        }
        .into())
    }

    fn play(&self, steps: &[Step], tells: bool) -> Result<Outcome, SimulationError> {
        Ok(Run::new(self, steps, tells)?.play())
    }

    /// Makes a failing schedule small, and tells its story.
    fn explain(
        &self,
        steps: Vec<Step>,
        broken: &Broken,
        mut origin: Origin,
    ) -> Result<Failure, SimulationError> {
        let fails = |steps: &[Step]| {
            if origin.runs == SHRINK_RUNS_MAX {
                return false;
            }
            origin.runs += 1;
            let outcome = self.play(steps, false);
            outcome.is_ok_and(|outcome| outcome.broken.is_some_and(|found| found.is_same(broken)))
        };
        let small = shrink(steps, fails);
        let outcome = self.play(&small, true)?;
        let is_repeatable = outcome
            .broken
            .as_ref()
            .is_some_and(|found| found.is_same(broken));
        Ok(Failure {
            broken: outcome.broken.unwrap_or_else(|| broken.clone()),
            schedule: Schedule(small.clone()).to_string(),
            step_count: small.len(),
            story: outcome.story,
            store: outcome.store,
            origin: Some(origin),
            is_repeatable,
        })
    }

    /// What of a step this simulation has not.
    fn check_step(&self, step: Step) -> Result<(), String> {
        let hazards = [step.hazard(), step.cut().map(Cut::hazard)];
        for hazard in hazards.into_iter().flatten() {
            if !self.hazards.contains(&hazard) {
                return Err(format!("the simulation is without {hazard:?}"));
            }
        }
        if step.worker().is_some_and(|worker| worker > self.workers) {
            return Err(format!("the simulation has {} workers", self.workers));
        }
        match step {
            Step::Put { record } if record >= self.record_count => Err(format!(
                "the simulation has {} records, counted from 0",
                self.record_count
            )),
            _ => Ok(()),
        }
    }

    fn chosen_seed(&self) -> Result<u64, SimulationError> {
        let Some(text) = std::env::var_os(SEED) else {
            return Ok(self.seed);
        };
        let text = text.to_string_lossy();
        text.parse().map_err(|_| SimulationError::InvalidSeed {
            text: text.into_owned(),
        })
    }
}

impl<S, C> fmt::Debug for Simulation<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("record_count", &self.record_count)
            .field("workers", &self.workers)
            .field("hazards", &self.hazards)
            .field("schedules", &self.schedules)
            .field("steps", &self.steps)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<S> Promise<S> {
    fn new<V: Verdict>(
        name: impl Into<String>,
        check: impl Fn(&View<'_, S>) -> V + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            check: Box::new(move |view| check(view).into_result()),
        }
    }
}

impl<'a, S> View<'a, S> {
    /// What the store holds.
    pub const fn store(&self) -> &'a S {
        self.store
    }

    /// What was put up to now, in this order.
    pub const fn sent(&self) -> &'a [Sent] {
        self.sent
    }

    /// How many records workers were told that they missed, over all of them.
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

impl<S> fmt::Debug for View<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("sent", &self.sent.len())
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

impl Sent {
    /// Which record it is, as [`Simulation::records`] counts.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Its partition key.
    pub fn partition_key(&self) -> &str {
        &self.partition_key
    }

    /// Its data.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The shard that took it.
    pub const fn shard_id(&self) -> ShardId {
        self.shard_id
    }

    /// The number that it was given.
    pub const fn sequence_number(&self) -> SequenceNumber {
        self.sequence_number
    }

    /// Whether it had been put before.
    pub const fn is_retry(&self) -> bool {
        self.is_retry
    }
}

impl fmt::Debug for Sent {
    /// Shows no data and no key: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("number", &self.number)
            .field("shard_id", &self.shard_id)
            .field("sequence_number", &self.sequence_number)
            .finish_non_exhaustive()
    }
}

impl SimulationReport {
    fn add(&mut self, other: &Self) {
        let Self {
            schedules,
            steps,
            puts,
            retries,
            records,
            checkpoints,
            starts,
            take_overs,
            crashes,
            pauses,
            redeliveries,
            splits,
            merges,
            trims,
        } = other;
        self.schedules += schedules;
        self.steps += steps;
        self.puts += puts;
        self.retries += retries;
        self.records += records;
        self.checkpoints += checkpoints;
        self.starts += starts;
        self.take_overs += take_overs;
        self.crashes += crashes;
        self.pauses += pauses;
        self.redeliveries += redeliveries;
        self.splits += splits;
        self.merges += merges;
        self.trims += trims;
    }
}

impl From<Failure> for SimulationError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl Step {
    /// The hazard that it is.
    const fn hazard(self) -> Option<Hazard> {
        match self {
            Self::Crash { .. } => Some(Hazard::Crash),
            Self::Again { back: 0, .. } => Some(Hazard::Redelivery),
            Self::Again { .. } => Some(Hazard::Rewind),
            Self::Split { .. } | Self::Merge { .. } => Some(Hazard::Reshard),
            Self::Trim => Some(Hazard::Trim),
            Self::Put { .. }
            | Self::Read { .. }
            | Self::Process { .. }
            | Self::Tick { .. }
            | Self::Start { .. }
            | Self::Wait { .. } => None,
        }
    }
}

impl Cut {
    /// The hazard that it is.
    const fn hazard(self) -> Hazard {
        match self {
            Self::Crash { .. } => Hazard::Crash,
            Self::Pause { .. } => Hazard::Pause,
        }
    }
}
