//! Everything at once, for as long as one likes: producers at full speed, readers that come, go, stall,
//! lag and panic, reshards, retention that changes, a clock that jumps. Each record is accounted for.
//!
//! ```text
//! SOAK_SECONDS=3600 cargo test --release --test soak
//! ```
//!
//! Not a test of `cargo test`: it takes its time, 20 seconds unless told otherwise, and sleeps.
//!
//! # What is checked
//!
//! - A reader is given the records of a shard place by place; where places are left out, exactly as many
//!   are said to be missed.
//! - Records carry their producer, their key and a count: of each key they come in order and once.
//!   Whoever has read from the first record on was in the end given, or told to have missed, exactly as
//!   many as were put.
//! - The resident memory does not grow once it is warm, and no thread and no file is left in the end.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use brooklet::{
    Clock, Error, ManualClock, PutEntry, RecordBatch, RecordView, Shard, ShardId, StartingPosition,
    Stream, Subscription, SubscriptionPositions, Timestamp,
};
use bytes::Bytes;
use common::{Fields, millis, secs};
use futures_executor::block_on;

mod common;

use StartingPosition::{AfterSequenceNumber, AtTimestamp, Latest, TrimHorizon};

const PRODUCERS: usize = 8;
/// Keys of each producer.
const KEYS: usize = 8;
const OPEN_SHARDS_MAX: usize = 8;
const CAPACITY_BYTES: u64 = 4 * 1024 * 1024;
/// The part of the run after which memory is warm: caches are full, and the stream has had as many shards
/// as it will ever have.
const WARM: f64 = 0.4;
const DRIFT_MAX: f64 = 0.01;
/// What may be held at one time and not at another, whatever the peaks.
const DRIFT_BYTES: u64 = 4 * 1024 * 1024;
/// A run that is shorter has peaks by chance: what readers hold, and what a clock that jumped lets stay. If
/// a hundredth of what is put within 20 seconds were lost, it would be about this.
const LONG: Duration = Duration::from_secs(300);
const DRIFT_BYTES_SHORT: u64 = 48 * 1024 * 1024;

fn main() -> ExitCode {
    if env::args().any(|argument| argument == "--list") {
        println!("soak: test");
        return ExitCode::SUCCESS;
    }
    let number = |name, default| {
        let text = env::var(name).ok();
        text.map_or(default, |text| text.parse().expect("a whole number"))
    };
    let seconds = number("SOAK_SECONDS", 20);
    let of_now = Timestamp::from(std::time::SystemTime::now()).as_millis();
    let seed = number("SOAK_SEED", of_now);
    println!("soak: {seconds} seconds, SOAK_SEED={seed}");
    silence_intended_panics();

    let (threads, files) = (count("/proc/self/task"), count("/proc/self/fd"));
    let mut failures = Soak::new(seed).run(Duration::from_secs(seconds));
    for (what, before, path) in [
        ("threads", threads, "/proc/self/task"),
        ("files", files, "/proc/self/fd"),
    ] {
        let after = count(path);
        println!("{what}: {before} before, {after} after");
        if after != before {
            failures.push(format!("{what} are left behind"));
        }
    }
    if failures.is_empty() {
        println!("soak: every record is accounted for");
        return ExitCode::SUCCESS;
    }
    for failure in &failures {
        println!("soak FAILED: {failure}");
    }
    ExitCode::FAILURE
}

/// How many entries a folder has; what is not there has none.
fn count(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0_u64) * 1024
}

/// What a reader panics with on purpose.
struct Intended;

fn silence_intended_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Intended>() {
            hook(info);
        }
    }));
}

/// Random numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, of: usize) -> Self {
        let mut dice = Self((seed ^ (of as u64) << 32).max(1));
        dice.roll(2);
        dice
    }

    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*, from a state that is never zero.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % sides
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let sides = choices.len() as u64;
        choices[usize::try_from(self.roll(sides)).expect("an index")]
    }
}

/// What all threads share.
struct Soak {
    seed: u64,
    stream: Stream,
    clock: ManualClock,
    is_over: AtomicBool,
    readers_left: AtomicU64,
    put_bytes: AtomicU64,
    given: AtomicU64,
    missed: AtomicU64,
    panics: AtomicU64,
    subscriptions: AtomicU64,
}

/// How many records of each key were put.
type Counts = [u64; PRODUCERS * KEYS];

/// How a reader goes on; 16 of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Steady,
    /// As a future.
    Async,
    /// Reads a few records, then nothing for a while.
    Stalling,
    /// Holds on to the batches it has read last.
    Holding,
    /// Keeps its positions as text, and goes on with them.
    Resuming,
    /// Begins anew after a while, somewhere.
    ComingAndGoing,
    /// Panics in the midst of a batch, then begins anew.
    Panicking,
}

const READERS: [Manner; 16] = {
    use Manner::{Async, ComingAndGoing, Holding, Panicking, Resuming, Stalling, Steady};
    [
        Steady,
        Steady,
        Steady,
        Async,
        Stalling,
        Stalling,
        Holding,
        Holding,
        Resuming,
        Resuming,
        ComingAndGoing,
        ComingAndGoing,
        ComingAndGoing,
        ComingAndGoing,
        Panicking,
        Panicking,
    ]
};

impl Soak {
    fn new(seed: u64) -> Self {
        let clock = common::clock();
        let builder = Stream::builder("soak")
            .shard_count(4)
            .capacity_bytes(CAPACITY_BYTES);
        let builder = builder.retention(secs(10)).clock(clock.clone());
        Self {
            seed,
            stream: builder.build().expect("the settings make sense"),
            clock,
            is_over: AtomicBool::new(false),
            readers_left: AtomicU64::new(READERS.len() as u64),
            put_bytes: AtomicU64::new(0),
            given: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            subscriptions: AtomicU64::new(0),
        }
    }

    /// Runs for so long, and says what has failed.
    fn run(&self, duration: Duration) -> Vec<String> {
        let mut failures = Vec::new();
        let mut fail = |who: String, outcome: thread::Result<()>| {
            if let Err(panic) = outcome {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                failures.push(format!("{who}: {}", text.unwrap_or_default()));
            }
        };
        let mut memory = Memory::default();
        thread::scope(|scope| {
            // They begin before the first record.
            let begun: Vec<_> = READERS
                .iter()
                .map(|_| self.subscribe(TrimHorizon))
                .collect();
            let readers: Vec<_> = (0..)
                .zip(READERS.into_iter().zip(begun))
                .map(|(index, (manner, begun))| {
                    scope.spawn(move || self.read(Dice::new(self.seed, 100 + index), manner, begun))
                })
                .collect();
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|index| scope.spawn(move || self.produce(index)))
                .collect();
            let control = scope.spawn(|| self.control());
            let ticking = scope.spawn(|| self.tick());

            memory = Memory::watch(duration);
            self.is_over.store(true, Ordering::Relaxed);

            let mut put: Counts = [0; PRODUCERS * KEYS];
            for (index, producer) in producers.into_iter().enumerate() {
                let counts = producer.join();
                if let Ok(counts) = &counts {
                    put[index * KEYS..][..KEYS].copy_from_slice(counts);
                }
                fail(format!("producer {index}"), counts.map(drop));
            }
            fail(
                "control".to_owned(),
                control.join().map(|reshards| {
                    println!("{reshards} reshards");
                }),
            );
            self.stream.close();
            for (index, reader) in readers.into_iter().enumerate() {
                let manner = READERS[index];
                let outcome = reader.join();
                let outcome = outcome.and_then(|account| {
                    let check = || {
                        account
                            .into_iter()
                            .for_each(|account| account.balance(&put))
                    };
                    catch_unwind(AssertUnwindSafe(check))
                });
                fail(format!("{manner:?} reader {index}"), outcome);
            }
            fail("clock".to_owned(), ticking.join());
            self.report(put.iter().sum());
        });
        if let Err(drift) = memory.verdict(duration) {
            failures.push(drift);
        }
        failures
    }

    fn report(&self, put: u64) {
        let figure = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        println!(
            "{put} records of {} MiB put; {} given, {} missed and told so, by {} subscriptions with {} panics",
            figure(&self.put_bytes) >> 20,
            figure(&self.given),
            figure(&self.missed),
            figure(&self.subscriptions),
            figure(&self.panics),
        );
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Puts records as fast as it goes; says how many of each key.
    fn produce(&self, index: usize) -> [u64; KEYS] {
        let mut dice = Dice::new(self.seed, index);
        let producer = self.stream.producer();
        let names: Vec<_> = (0..KEYS)
            .map(|key| format!("producer-{index}-key-{key}"))
            .collect();
        let mut counts = [0; KEYS];
        let mut bytes = 0;
        while !self.is_over() {
            let batch = if dice.roll(4) == 0 {
                1 + dice.roll(40)
            } else {
                1
            };
            let mut next = |counts: &mut [u64; KEYS]| {
                let key = usize::try_from(dice.roll(KEYS as u64)).expect("a small number");
                let data = data(index * KEYS + key, counts[key], dice.of(&SIZES));
                counts[key] += 1;
                bytes += data.len() as u64;
                (&*names[key], data)
            };
            if batch == 1 {
                let (key, data) = next(&mut counts);
                producer.put_record(key, data).expect("it trims");
            } else {
                let entries = (0..batch).map(|_| next(&mut counts)).map(PutEntry::from);
                let output = producer.put_records(entries).expect("it trims");
                assert_eq!(output.failed_record_count(), 0);
            }
        }
        self.put_bytes.fetch_add(bytes, Ordering::Relaxed);
        counts
    }

    /// Reshards each second, and changes the retention now and then; says how often it resharded.
    fn control(&self) -> u64 {
        let mut dice = Dice::new(self.seed, 1_000);
        let mut reshards = 0;
        while !self.is_over() {
            self.reshard(&mut dice);
            reshards += 1;
            if dice.roll(3) == 0 {
                let retention = dice.of(&[millis(20), millis(300), secs(3), secs(10), secs(60)]);
                self.stream.set_retention(retention).expect("it is legal");
            }
            thread::sleep(secs(1));
        }
        reshards
    }

    fn reshard(&self, dice: &mut Dice) {
        let mut open: Vec<_> = self
            .stream
            .shards()
            .into_iter()
            .filter(Shard::is_open)
            .collect();
        open.sort_by_key(|shard| shard.hash_key_range().start());
        let picked = usize::try_from(dice.roll(open.len() as u64)).expect("an index");
        let shard = &open[picked];
        match dice.roll(5) {
            0 => {
                let count = 1 + u32::try_from(dice.roll(OPEN_SHARDS_MAX as u64)).expect("few");
                self.stream
                    .update_shard_count(count)
                    .expect("any count will do");
            }
            1 | 2 if picked + 1 < open.len() => {
                let upper = open[picked + 1].id();
                self.stream
                    .merge_shards(shard.id(), upper)
                    .expect("they are adjacent");
            }
            _ if open.len() < OPEN_SHARDS_MAX => {
                let middle = shard.hash_key_range().midpoint();
                // The range of a shard that was split often enough has too few keys.
                let _too_narrow = self.stream.split_shard(shard.id(), middle);
            }
            _ => self
                .stream
                .update_shard_count(2)
                .expect("any count will do"),
        }
    }

    /// Lets the clock go on until nobody reads, with jumps.
    fn tick(&self) {
        let mut dice = Dice::new(self.seed, 2_000);
        let (mut last, mut jumped, mut back) = (Instant::now(), Instant::now(), false);
        while self.readers_left.load(Ordering::Relaxed) > 0 {
            thread::sleep(millis(1));
            self.clock.advance(last.elapsed());
            last = Instant::now();
            if jumped.elapsed() > secs(2) {
                jumped = last;
                back = !back;
                if back {
                    let now = self.clock.now();
                    self.clock.set(now.saturating_sub(secs(dice.roll(60))));
                } else {
                    // All that there is expires, whatever the retention.
                    self.clock.advance(secs(3_600));
                }
            }
        }
    }

    fn subscribe(&self, position: StartingPosition) -> (Subscription, Account) {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let subscription = match self.stream.subscribe(position) {
            // The clock was set back in between.
            Err(Error::TimestampInFuture { .. }) => self.stream.subscribe(TrimHorizon),
            subscription => subscription,
        };
        let subscription = subscription.expect("the stream is there");
        let account = Account::at(&subscription.positions());
        (subscription, account)
    }

    /// Reads to the end of the stream; says what it was given, if it has read from the beginning.
    fn read(
        &self,
        mut dice: Dice,
        manner: Manner,
        (mut subscription, mut account): (Subscription, Account),
    ) -> Option<Account> {
        let _left = Leaving(&self.readers_left);
        account.is_of_all = true;
        let mut held = VecDeque::new();
        while !subscription.is_finished() {
            let limit = usize::try_from(dice.of(&[1, 10, 100, 1_000, 10_000])).expect("small");
            let batch = match manner {
                Manner::Async => block_on(subscription.get_records_async(limit)),
                _ => subscription.get_records_timeout(limit, millis(50)),
            };
            let batch = batch.expect("the stream is there");
            let is_to_panic = manner == Manner::Panicking && dice.roll(500) == 0;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                for (index, record) in batch.iter().enumerate() {
                    if is_to_panic && index == batch.len() / 2 {
                        resume_unwind(Box::new(Intended));
                    }
                    account.check(record);
                }
            }));
            match outcome {
                Ok(()) => account.pass(&batch),
                Err(panic) if panic.is::<Intended>() => {
                    // What holds the batch and the subscription is dropped, as by a thread that ends.
                    self.panics.fetch_add(1, Ordering::Relaxed);
                    self.add_up(&account);
                    (subscription, account) = self.subscribe(self.somewhere(&mut dice));
                    continue;
                }
                Err(panic) => resume_unwind(panic),
            }
            if self.is_over() {
                // To the end, without delay.
                held.clear();
                continue;
            }
            match manner {
                Manner::Stalling => thread::sleep(millis(dice.roll(1_000))),
                Manner::Holding => {
                    held.push_back(batch);
                    if held.len() > 16 {
                        held.pop_front();
                    }
                }
                Manner::Resuming if dice.roll(200) == 0 => {
                    let kept = subscription.positions();
                    subscription = self.resume(&kept);
                    // A shard that is gone takes with it how many of its records were missed.
                    let positions = subscription.positions();
                    let is_gone = |(id, _)| positions.position_of(id).is_none();
                    if kept.iter().any(is_gone) {
                        self.add_up(&account);
                        account = Account::at(&positions);
                    }
                }
                Manner::ComingAndGoing if dice.roll(300) == 0 => {
                    self.add_up(&account);
                    (subscription, account) = self.subscribe(self.somewhere(&mut dice));
                }
                _ => {}
            }
        }
        self.add_up(&account);
        account.is_of_all.then_some(account)
    }

    fn somewhere(&self, dice: &mut Dice) -> StartingPosition {
        let time = self.clock.now().saturating_sub(millis(dice.roll(500)));
        dice.of(&[TrimHorizon, Latest, AtTimestamp(time)])
    }

    fn resume(&self, kept: &SubscriptionPositions) -> Subscription {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let read: SubscriptionPositions = kept.to_string().parse().expect("it is as shown");
        assert_eq!(read, *kept);
        self.stream
            .subscribe_from(&read)
            .expect("they are of this stream")
    }

    fn add_up(&self, account: &Account) {
        self.given.fetch_add(account.given, Ordering::Relaxed);
        self.missed.fetch_add(account.missed, Ordering::Relaxed);
    }
}

/// Counts a reader that has come to its end, also by a failure: the clock need not go on for it.
struct Leaving<'a>(&'a AtomicU64);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Mostly copied, some kept as they are.
const SIZES: [usize; 8] = [16, 16, 24, 32, 60, 100, 400, 1_500];

/// Which key, which of its records, and a filling that follows from these.
fn data(key: usize, count: u64, size: usize) -> Bytes {
    let mut data = vec![filling(key, count); size];
    data[0] = u8::try_from(key).expect("few keys");
    data[1..9].copy_from_slice(&count.to_le_bytes());
    data.into()
}

fn filling(key: usize, count: u64) -> u8 {
    count
        .wrapping_mul(31)
        .wrapping_add(key as u64)
        .to_le_bytes()[0]
}

/// What one reader was given.
struct Account {
    /// The place that comes next in each shard that was there when it began; 1 in others.
    places: BTreeMap<ShardId, u64>,
    /// The count that comes next of each key, once it was seen.
    counts: [Option<u64>; PRODUCERS * KEYS],
    given: u64,
    missed: u64,
    /// Records of keys that were left out between others.
    left_out: u64,
    /// Whether it has read from the first record on.
    is_of_all: bool,
}

impl Account {
    fn at(positions: &SubscriptionPositions) -> Self {
        let place = |(id, position)| match position {
            AfterSequenceNumber(number) => (id, Fields::of(number).place + 1),
            other => panic!("a subscription is at a number, not {other}"),
        };
        Self {
            places: positions.iter().map(place).collect(),
            counts: [None; PRODUCERS * KEYS],
            given: 0,
            missed: 0,
            left_out: 0,
            is_of_all: false,
        }
    }

    /// A record that comes behind all those that were checked before.
    fn check(&mut self, record: RecordView<'_>) {
        let data = record.data();
        let key = usize::from(data[0]);
        let (producer, of_producer) = (key / KEYS, key % KEYS);
        let count = u64::from_le_bytes(data[1..9].try_into().expect("eight bytes"));
        assert_eq!(
            record.partition_key(),
            format!("producer-{producer}-key-{of_producer}")
        );
        let filling = filling(key, count);
        assert!(
            data[9..].iter().all(|byte| *byte == filling),
            "the data is damaged"
        );
        let first = if self.is_of_all { 0 } else { count };
        let next = self.counts[key].unwrap_or(first);
        assert!(
            next <= count,
            "record {count} of key {key} comes after {next}"
        );
        self.left_out += count - next;
        self.counts[key] = Some(count + 1);
    }

    /// A batch, all of whose records were checked.
    fn pass(&mut self, batch: &RecordBatch) {
        self.given += batch.len() as u64;
        self.missed += batch.missed_count();
        let place = self.places.entry(batch.shard_id()).or_insert(1);
        *place += batch.missed_count();
        let mut records = batch.iter();
        if let Some(first) = records.next() {
            let last = records.last().unwrap_or(first);
            let [first, last] =
                [first, last].map(|record| Fields::of(record.sequence_number()).place);
            assert_eq!(
                first,
                *place,
                "{} were missed, it was said",
                batch.missed_count()
            );
            assert_eq!(last - first + 1, batch.len() as u64, "places are dense");
            *place = last + 1;
        }
        // Who has begun later begins in each shard where that is, so that records may be left out
        // between two shards which nobody says are missed.
        assert!(
            !self.is_of_all || self.left_out <= self.missed,
            "{} were left out, {} said to be missed",
            self.left_out,
            self.missed
        );
    }

    /// In the end of one that has read from the first record on.
    fn balance(&self, put: &Counts) {
        let read = self.counts.map(|next| next.unwrap_or(0));
        let not_reached: u64 = put.iter().zip(read).map(|(put, read)| put - read).sum();
        assert_eq!(
            self.left_out + not_reached,
            self.missed,
            "left out, and said to be missed"
        );
        assert_eq!(
            self.given + self.missed,
            put.iter().sum(),
            "given or missed, and put"
        );
    }
}

/// Resident memory: as the run goes on, and at most in two parts of it, once it was warm.
#[derive(Default)]
struct Memory {
    course: Vec<u64>,
    first: u64,
    second: u64,
}

impl Memory {
    fn watch(duration: Duration) -> Self {
        let mut memory = Self::default();
        let begin = Instant::now();
        while begin.elapsed() < duration {
            thread::sleep(millis(100));
            let resident = resident();
            let part = begin.elapsed().as_secs_f64() / duration.as_secs_f64();
            if part > (1.0 + WARM) / 2.0 {
                memory.second = memory.second.max(resident);
            } else if part > WARM {
                memory.first = memory.first.max(resident);
            }
            if part * 20.0 > memory.course.len() as f64 {
                memory.course.push(resident >> 20);
            }
        }
        memory
    }

    fn verdict(&self, duration: Duration) -> Result<(), String> {
        let Self { first, second, .. } = *self;
        println!("resident memory in MiB: {:?}", self.course);
        println!(
            "at most {} KiB when warm, {} KiB later on",
            first >> 10,
            second >> 10
        );
        let grown = second.saturating_sub(first);
        let allowed = if duration < LONG {
            DRIFT_BYTES_SHORT
        } else {
            DRIFT_BYTES
        };
        if grown as f64 > first as f64 * DRIFT_MAX && grown > allowed {
            return Err(format!("memory has grown by {} KiB", grown / 1024));
        }
        Ok(())
    }
}
