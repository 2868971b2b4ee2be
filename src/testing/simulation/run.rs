//! One schedule, played from its first step to its end.
//!
//! ```text
//!   schedule ──step──> producer ──> stream ──> reader ──> what was read ──> consumer ──> store
//!                                                ^             (a worker's memory)   └─> kept places
//!                                                └── a start reads on from a kept place ──┘
//! ```
//!
//! Everything happens in one thread, so a schedule has one outcome. A worker that stands still inside a
//! call is a call that plays the next steps itself.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::log::Record;
use crate::positions::SubscriptionPositions;
use crate::producer::Producer;
use crate::shard::Shard;
use crate::starting_position::StartingPosition;
use crate::stream::{ShardFilter, Stream};
use crate::subscription::Subscription;
use crate::testing::simulation::failure::Broken;
use crate::testing::simulation::guard::{Caught, guard};
use crate::testing::simulation::step::{Cut, READ_LIMIT_MAX, Step};
use crate::testing::simulation::worker::{Call, Worker, World};
use crate::testing::simulation::{
    Consumer, Hazard, Promise, Sent, Simulation, SimulationReport, View,
};

/// At the end, what is left is read in so many rounds at most, and one for each record.
const SETTLE_ROUNDS: usize = 1_000;

/// A place in the stream that a worker can go on from.
#[derive(Clone)]
pub(super) struct Place {
    positions: SubscriptionPositions,
    /// How many records were read, or missed, up to here.
    count: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => f.write_str("no record is done"),
            1 => f.write_str("1 record is done"),
            count => write!(f, "{count} records are done"),
        }
    }
}

/// What came of a schedule.
pub(super) struct Outcome {
    pub(super) broken: Option<Broken>,
    pub(super) counts: SimulationReport,
    pub(super) story: Vec<String>,
    pub(super) store: String,
}

pub(super) struct Run<'s, S, C> {
    simulation: &'s Simulation<S, C>,
    steps: &'s [Step],
    /// Index of the next step.
    next: usize,
    clock: ManualClock,
    stream: Stream,
    producer: Producer,
    store: S,
    sent: Vec<Sent>,
    /// Every place that was kept, the last one last.
    kept: Vec<Place>,
    slots: Vec<Slot<C>>,
    /// That of the worker that started last.
    generation: u64,
    missed: u64,
    broken: Option<Broken>,
    counts: SimulationReport,
    /// If it is to be told.
    story: Option<Vec<String>>,
    /// How many calls stand still.
    depth: usize,
}

/// Where a worker is, or is not.
enum Slot<C> {
    Stopped,
    Running(Box<Running<C>>),
    /// It is in a call.
    Busy,
}

/// A worker: all this is lost in a crash.
struct Running<C> {
    consumer: C,
    generation: u64,
    reader: Subscription,
    /// How many records were read, or missed, up to the reader's place.
    count: u64,
    inbox: VecDeque<Delivery>,
    /// What the consumer was given up to now.
    done: Place,
}

/// What one read has brought.
struct Delivery {
    records: Vec<Record>,
    missed: u64,
    place: Place,
}

/// What came of a read.
#[derive(PartialEq, Eq)]
enum Read {
    Something,
    Nothing,
    Refused,
}

impl<'s, S, C> Run<'s, S, C>
where
    S: fmt::Debug + 'static,
    C: Consumer<S>,
{
    pub(super) fn new(
        simulation: &'s Simulation<S, C>,
        steps: &'s [Step],
        tells: bool,
    ) -> Result<Self, Error> {
        let clock = ManualClock::default();
        let builder = (simulation.settings)(Stream::builder("simulation"));
        let stream = builder.clock(clock.clone()).build()?;
        let positions = stream.subscribe(StartingPosition::TrimHorizon)?.positions();
        let count = 0;
        Ok(Self {
            producer: stream.producer(),
            store: (simulation.make_store)(),
            kept: vec![Place { positions, count }],
            slots: (0..simulation.workers).map(|_| Slot::Stopped).collect(),
            simulation,
            steps,
            next: 0,
            clock,
            stream,
            sent: Vec::new(),
            generation: 0,
            missed: 0,
            broken: None,
            counts: SimulationReport::default(),
            story: tells.then(Vec::new),
            depth: 0,
        })
    }

    /// Plays all steps, and has what is left read and done.
    pub(super) fn play(mut self) -> Outcome {
        self.start(1);
        self.check_always();
        while self.step() {}
        if self.broken.is_none() {
            self.settle();
        }
        self.counts.schedules = 1;
        let store = if self.story.is_some() {
            guard(|| shown(&self.store)).unwrap_or_default()
        } else {
            String::new()
        };
        // A consumer's drop is user code, too.
        for number in 1..=self.simulation.workers {
            self.stop(number);
        }
        Outcome {
            broken: self.broken,
            counts: self.counts,
            story: self.story.unwrap_or_default(),
            store,
        }
    }

    /// Plays the next step; `false` if there is none or the run is over.
    fn step(&mut self) -> bool {
        let next = self.steps.get(self.next).copied();
        let Some(step) = next.filter(|_| self.broken.is_none()) else {
            return false;
        };
        self.next += 1;
        self.counts.steps += 1;
        let may = step.hazard().is_none_or(|hazard| self.has(hazard));
        if may {
            self.take(step);
        }
        self.check_always();
        self.broken.is_none()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put { record } => self.put(record),
            Step::Read { worker, limit } => drop(self.read(worker, limit)),
            Step::Process { worker, cut } => drop(self.process(worker, cut)),
            Step::Tick { worker, cut } => self.tick(worker, cut),
            Step::Crash { worker } => self.crash(worker),
            Step::Start { worker } => self.start(worker),
            Step::Again { worker, back } => self.read_again(worker, back),
            Step::Split { shard } => self.split(shard),
            Step::Merge { shard } => self.merge(shard),
            Step::Wait { ms } => {
                self.begin(|_| format!("{ms} ms pass"));
                self.clock.advance(Duration::from_millis(ms.into()));
            }
            Step::Trim => {
                self.begin(|_| "all records up to now expire".to_owned());
                let passed = self.stream.retention() + Duration::from_millis(1);
                self.clock.advance(passed);
                self.counts.trims += 1;
            }
        }
    }

    fn put(&mut self, record: u32) {
        let number = record as usize;
        let is_retry = self.sent.iter().any(|sent| sent.number == number);
        // The producer keeps to the order of its records, whatever was left out of the schedule.
        let is_late = self.sent.iter().any(|sent| sent.number > number);
        let is_wanted = if is_retry {
            self.has(Hazard::Retry)
        } else {
            !is_late
        };
        if record >= self.simulation.record_count || !is_wanted {
            return;
        }
        let (partition_key, data) = (self.simulation.record)(number);
        match self.producer.put_record(partition_key.as_str(), &data) {
            Ok(put) => {
                let again = if is_retry { " once more" } else { "" };
                let shard_id = put.shard_id();
                self.begin(|_| {
                    format!("record {number} ({partition_key}) is put{again} into {shard_id}")
                });
                self.sent.push(Sent {
                    number,
                    partition_key,
                    data,
                    shard_id,
                    sequence_number: put.sequence_number(),
                    is_retry,
                });
                self.counts.puts += 1;
                self.counts.retries += u64::from(is_retry);
            }
            Err(error) => self.begin(|_| format!("record {number} is refused: {error}")),
        }
    }

    fn read(&mut self, number: u32, limit: u32) -> Read {
        let Some(running) = self.running(number) else {
            return Read::Nothing;
        };
        let batch = match running.reader.get_records(limit as usize) {
            Ok(batch) => batch,
            Err(error) => {
                self.begin(|_| format!("worker {number} is refused a read: {error}"));
                return Read::Refused;
            }
        };
        let (records, missed) = (batch.records().collect::<Vec<_>>(), batch.missed_count());
        if records.is_empty() && missed == 0 {
            return Read::Nothing;
        }
        running.count += records.len() as u64 + missed;
        let place = Place {
            positions: running.reader.positions(),
            count: running.count,
        };
        let numbers = self.numbers(&records);
        self.begin(|_| match missed {
            0 => format!("worker {number} reads {numbers}"),
            _ => format!("worker {number} misses {missed}, and reads {numbers}"),
        });
        self.missed += missed;
        let delivery = Delivery {
            records,
            missed,
            place,
        };
        if let Some(running) = self.running(number) {
            running.inbox.push_back(delivery);
        }
        Read::Something
    }

    /// Has a worker work on what it has read first; whether there was anything.
    fn process(&mut self, number: u32, cut: Option<Cut>) -> bool {
        let running = self.running(number);
        let Some(delivery) = running.and_then(|running| running.inbox.pop_front()) else {
            return false;
        };
        let Delivery {
            records,
            missed,
            place,
        } = delivery;
        let numbers = self.numbers(&records);
        self.begin(|_| format!("worker {number} works on {numbers}"));
        self.counts.records += records.len() as u64;
        self.call(number, cut, place, |consumer, worker| {
            if missed > 0 {
                consumer.missed(missed, worker);
            }
            if !records.is_empty() {
                consumer.process(&records, worker);
            }
        });
        true
    }

    fn tick(&mut self, number: u32, cut: Option<Cut>) {
        let Some(running) = self.running(number) else {
            return;
        };
        let place = running.done.clone();
        self.begin(|_| format!("worker {number} is told that it is time"));
        self.call(number, cut, place, |consumer, worker| consumer.tick(worker));
    }

    /// Calls a consumer that is running. What it was given counts as done from now on.
    fn call(
        &mut self,
        number: u32,
        cut: Option<Cut>,
        place: Place,
        call: impl FnOnce(&mut C, &mut Worker<'_, S>),
    ) {
        let slot = &mut self.slots[number as usize - 1];
        let Slot::Running(mut running) = std::mem::replace(slot, Slot::Busy) else {
            return;
        };
        let allowed = cut.filter(|cut| self.has(cut.hazard()));
        let mut worker = Worker {
            call: Call {
                number,
                generation: running.generation,
                cut: allowed,
                effects: 0,
                crashed: false,
            },
            world: &mut *self,
            place: &place,
        };
        let result = guard(|| call(&mut running.consumer, &mut worker));
        let Call { cut, crashed, .. } = worker.call;
        let crashes = matches!(cut, Some(Cut::Crash { .. }));
        match result {
            Ok(()) if !crashes => {
                running.done = place;
                self.slots[number as usize - 1] = Slot::Running(running);
                return;
            }
            Ok(()) if !crashed => self.say(&|| "it crashes right after that".to_owned()),
            Ok(()) | Err(Caught::Crash | Caught::Over) => {}
            Err(Caught::Panic(message)) => {
                self.say(&|| format!("it panics: {message}"));
                self.broken.get_or_insert(Broken::Panic { message });
            }
        }
        self.counts.crashes += u64::from(crashes);
        self.slots[number as usize - 1] = Slot::Stopped;
        self.discard(*running);
    }

    fn crash(&mut self, number: u32) {
        if self.running(number).is_some() {
            self.begin(|_| format!("worker {number} crashes"));
            self.counts.crashes += 1;
            self.stop(number);
        }
    }

    fn stop(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize - 1];
        if let Slot::Running(running) = std::mem::replace(slot, Slot::Stopped) {
            self.discard(*running);
        }
    }

    fn discard(&mut self, running: Running<C>) {
        if let Err(Caught::Panic(message)) = guard(|| drop(running)) {
            self.broken.get_or_insert(Broken::Panic { message });
        }
    }

    fn start(&mut self, number: u32) {
        let slots = self.slots.iter();
        let others = slots.filter(|slot| !matches!(slot, Slot::Stopped)).count() > 0;
        let is_stopped = matches!(self.slots.get(number as usize - 1), Some(Slot::Stopped));
        if !is_stopped || (others && !self.has(Hazard::TakeOver)) {
            return;
        }
        let place = self.last_kept().clone();
        let reader = match self.stream.subscribe_from(&place.positions) {
            Ok(reader) => reader,
            Err(error) => {
                self.begin(|_| format!("worker {number} cannot start: {error}"));
                return;
            }
        };
        self.begin(|place| {
            let and = if others { ", and takes over" } else { "" };
            format!("worker {number} starts where {place}{and}")
        });
        let consumer = match guard(|| (self.simulation.make_consumer)()) {
            Ok(consumer) => consumer,
            Err(Caught::Panic(message)) => {
                self.broken.get_or_insert(Broken::Panic { message });
                return;
            }
            Err(Caught::Crash | Caught::Over) => return,
        };
        self.generation += 1;
        self.counts.starts += 1;
        self.counts.take_overs += u64::from(others);
        let running = Running {
            consumer,
            generation: self.generation,
            reader,
            count: place.count,
            inbox: VecDeque::new(),
            done: place,
        };
        self.slots[number as usize - 1] = Slot::Running(Box::new(running));
    }

    /// Has a worker read again what it may have read already.
    fn read_again(&mut self, number: u32, back: u32) {
        let last = self.kept.len() - 1;
        let place = self.kept[last.saturating_sub(back as usize)].clone();
        if self.running(number).is_none() {
            return;
        }
        let Ok(reader) = self.stream.subscribe_from(&place.positions) else {
            return;
        };
        self.begin(|_| format!("worker {number} reads again from where {place}"));
        self.counts.redeliveries += 1;
        if let Some(running) = self.running(number) {
            running.reader = reader;
            running.inbox.clear();
            running.count = place.count;
            running.done = place;
        }
    }

    fn split(&mut self, shard: u32) {
        let open = self.open_shards();
        let shard = &open[shard as usize % open.len()];
        let shard_id = shard.id();
        let done = self
            .stream
            .split_shard(shard_id, shard.hash_key_range().midpoint());
        self.begin(|_| match &done {
            Ok(()) => format!("{shard_id} is split"),
            Err(error) => format!("{shard_id} is not split: {error}"),
        });
        self.counts.splits += u64::from(done.is_ok());
    }

    fn merge(&mut self, shard: u32) {
        let open = self.open_shards();
        let pairs = open.len() - 1;
        if pairs == 0 {
            return;
        }
        let lower = shard as usize % pairs;
        let (lower, upper) = (open[lower].id(), open[lower + 1].id());
        let done = self.stream.merge_shards(lower, upper);
        self.begin(|_| match &done {
            Ok(()) => format!("{lower} and {upper} are merged"),
            Err(error) => format!("{lower} and {upper} are not merged: {error}"),
        });
        self.counts.merges += u64::from(done.is_ok());
    }

    /// In the order of their ranges.
    fn open_shards(&self) -> Vec<Shard> {
        let open = self.stream.list_shards(ShardFilter::AtLatest);
        let mut open = open.expect("the stream is there, and nobody has another");
        open.sort_by_key(|shard| -> HashKey { shard.hash_key_range().start() });
        open
    }

    /// Has what is left read and done by one worker.
    fn settle(&mut self) {
        self.begin(|_| "at the end, what is left is read and done".to_owned());
        let latest = self.generation;
        let mut last = None;
        for number in 1..=self.simulation.workers {
            match self.running(number) {
                Some(running) if running.generation == latest => last = Some(number),
                _ => self.stop(number),
            }
        }
        let number = last.unwrap_or(1);
        // With limits, one that has just read may be refused.
        for _ in 0..SETTLE_ROUNDS {
            self.start(number);
            if self.broken.is_some() {
                return;
            }
            if self.running(number).is_some() {
                break;
            }
            self.clock.advance(Duration::from_secs(1));
        }
        for _ in 0..SETTLE_ROUNDS + self.sent.len() {
            let read = self.read(number, READ_LIMIT_MAX);
            if read == Read::Refused {
                self.clock.advance(Duration::from_secs(1));
            }
            let done = self.process(number, None);
            self.check_always();
            if self.broken.is_some() {
                return;
            }
            if read == Read::Nothing && !done {
                break;
            }
        }
        self.tick(number, None);
        self.check_always();
        if self.broken.is_none() {
            self.check(&self.simulation.finally);
        }
    }

    fn check_always(&mut self) {
        if self.broken.is_none() {
            self.check(&self.simulation.always);
        }
    }

    fn check(&mut self, promises: &'s [Promise<S>]) {
        let view = View {
            store: &self.store,
            sent: &self.sent,
            missed: self.missed,
        };
        for promise in promises {
            let result = guard(|| (promise.check)(&view));
            let message = match result {
                Ok(Ok(())) => continue,
                Ok(Err(message)) | Err(Caught::Panic(message)) => message,
                Err(Caught::Crash | Caught::Over) => continue,
            };
            self.broken = Some(Broken::Promise {
                name: promise.name.clone(),
                message,
            });
            return;
        }
    }

    fn running(&mut self, number: u32) -> Option<&mut Running<C>> {
        match self.slots.get_mut(number as usize - 1) {
            Some(Slot::Running(running)) => Some(running),
            _ => None,
        }
    }

    fn last_kept(&self) -> &Place {
        self.kept.last().expect("a place was kept at the beginning")
    }

    fn has(&self, hazard: Hazard) -> bool {
        self.simulation.hazards.contains(&hazard)
    }

    /// The numbers of records, in words.
    fn numbers(&self, records: &[Record]) -> String {
        if self.story.is_none() {
            return String::new();
        }
        let number = |record: &Record| {
            let same = |sent: &&Sent| {
                sent.shard_id == record.shard_id()
                    && sent.sequence_number == record.sequence_number()
            };
            let sent = self.sent.iter().find(same);
            sent.map_or_else(|| "?".to_owned(), |sent| sent.number.to_string())
        };
        let numbers: Vec<_> = records.iter().map(number).collect();
        match &numbers[..] {
            [] => "nothing".to_owned(),
            [one] => format!("record {one}"),
            [first @ .., last] => format!("records {} and {last}", first.join(", ")),
        }
    }

    /// Begins a sentence of the story, which may say where the last place was kept.
    fn begin(&mut self, what: impl FnOnce(&Place) -> String) {
        if self.story.is_some() {
            let text = what(self.last_kept());
            let indent = "      ".repeat(self.depth);
            if let Some(story) = &mut self.story {
                story.push(format!("{indent}{text}"));
            }
        }
    }
}

/// On one line if it is short.
fn shown(store: &impl fmt::Debug) -> String {
    let line = format!("{store:?}");
    if line.len() <= 100 {
        line
    } else {
        format!("{store:#?}")
    }
}

impl<S, C> World<S> for Run<'_, S, C>
where
    S: fmt::Debug + 'static,
    C: Consumer<S>,
{
    fn store(&self) -> &S {
        &self.store
    }

    fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn is_replaced(&self, generation: u64) -> bool {
        self.generation != generation
    }

    fn keep(&mut self, place: &Place) {
        self.kept.push(place.clone());
        self.counts.checkpoints += 1;
    }

    fn pause(&mut self, steps: u32) -> bool {
        self.counts.pauses += 1;
        self.depth += 1;
        self.check_always();
        let end = self.next.saturating_add(steps as usize);
        while self.next < end && self.step() {}
        self.depth -= 1;
        self.broken.is_none()
    }

    fn say(&mut self, what: &dyn Fn() -> String) {
        if let Some(story) = &mut self.story {
            let indent = "      ".repeat(self.depth);
            story.push(format!("{indent}   - {}", what()));
        }
    }
}
