//! Appending: what it costs to hand a record over, while nobody reads.
//!
//! Whoever retains records is full, so that each append evicts one. Whoever does not is emptied
//! between blocks of appends; that is not timed, in its favour.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brooklet::{Limits, ManualClock, Stream, StreamBuilder, TickingClock};
use parking_lot::Mutex;

use crate::contenders::bare::{self, Nothing, OnlyCopy, OnlyLock, OnlyMd5, OnlyTime};
use crate::contenders::brooklets::{self, Hashed, Text, Views};
use crate::contenders::ferro::{self, Ferrokinesis};
use crate::contenders::logs::{self, Ring};
use crate::contenders::{
    Carries, Route, Routed, Sink, Source, broadcasts, channels, disruptors, rtrbs,
};
use crate::harness::{Bar, Contender, Contest, Goal, Options, Workload, per_record};
use crate::records::{Records, Tally};
use crate::workloads::{BATCH, CAPACITY_MIN, repeating};

/// Records of a block: as many as are appended before the clock stops for the emptying.
const BLOCK: usize = 4 * BATCH;
const _: () = assert!(BLOCK <= CAPACITY_MIN);
const COUNT: usize = 50_000;
/// ferrokinesis is slow enough to be measured with fewer.
const FERRO_COUNT: usize = 2_000;

/// What a contender does with records that nobody has read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// Keeps the newest.
    Retained,
    /// Keeps the newest of each of several shards.
    RetainedByShard,
    /// Keeps all, and has no more room.
    Stuck,
    /// Counts nothing: it is a baseline.
    Lost,
}

struct Append<S, R> {
    records: Arc<Records>,
    sink: S,
    source: R,
    unread: Unread,
    batch: usize,
    capacity: usize,
    count: usize,
    next: usize,
}

impl<S: Sink, R: Source> Append<S, R> {
    /// Puts a block, and takes it out again where there would be no room for the next.
    fn put_and_settle_block(&mut self) -> Duration {
        match self.unread {
            Unread::Retained | Unread::RetainedByShard | Unread::Lost => self.put_block(),
            Unread::Stuck => self.put_and_check_block(),
        }
    }

    fn put_block(&mut self) -> Duration {
        let (from, to) = (self.next, self.next + BLOCK);
        let start = Instant::now();
        if self.batch == 1 {
            for index in from..to {
                self.sink.put(&self.records, index);
            }
        } else {
            for index in (from..to).step_by(self.batch) {
                self.sink
                    .put_batch(&self.records, index..index + self.batch);
            }
        }
        let elapsed = start.elapsed();
        self.next = to;
        elapsed
    }

    /// Reads all that is there.
    fn read(&mut self) -> Tally {
        let mut tally = Tally::default();
        while self.source.take(&mut tally) {}
        tally
    }

    fn put_and_check_block(&mut self) -> Duration {
        let elapsed = self.put_block();
        let expected = self.records.expected(self.next - BLOCK..self.next, false);
        assert_eq!(self.read(), expected, "a block arrives, and nothing else");
        elapsed
    }
}

impl<S: Sink, R: Source> Contest for Append<S, R> {
    fn warm_up(&mut self) {
        for _ in 0..self.capacity.div_ceil(BLOCK) {
            self.put_and_settle_block();
        }
    }

    fn round(&mut self) -> f64 {
        let blocks = self.count / BLOCK;
        let elapsed = (0..blocks).map(|_| self.put_and_settle_block()).sum();
        per_record(elapsed, blocks * BLOCK)
    }

    fn check(&mut self) {
        if matches!(self.unread, Unread::Stuck | Unread::Lost) {
            return;
        }
        let retained = self.read();
        let least = self.capacity.min(self.next) * 9 / 10;
        assert!(retained.count >= least as u64, "a log is nearly full");
        if self.unread == Unread::Retained {
            let count = usize::try_from(retained.count).expect("it fits memory");
            let newest = self.records.expected(self.next - count..self.next, false);
            assert_eq!(retained.sum, newest.sum, "the newest are retained");
        }
        // Fewer than the capacity: all of them can be read.
        for _ in 0..4 {
            self.put_and_check_block();
        }
    }
}

/// Makes the contenders of one workload.
struct Field {
    records: Arc<Records>,
    batch: usize,
    capacity: usize,
    count: usize,
    contenders: Vec<Contender>,
}

impl Field {
    fn new(options: &Options, records: Arc<Records>, batch: usize) -> Self {
        Self {
            records,
            batch,
            capacity: options.capacity,
            count: options.count(COUNT),
            contenders: Vec::new(),
        }
    }

    fn add<S: Sink + 'static, R: Source + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        (sink, source): (S, R),
        unread: Unread,
    ) {
        let append = Append {
            records: Arc::clone(&self.records),
            sink,
            source,
            unread,
            batch: self.batch,
            capacity: self.capacity,
            count: self.count,
            next: 0,
        };
        self.contenders.push(Contender::new(label, carries, append));
    }

    /// brooklet with keys that were hashed beforehand.
    fn add_hashed(&mut self, label: &'static str, shards: u32) {
        let stream = self.builder(shards).build();
        self.add_stream(label, &stream.expect("the settings are valid"));
    }

    fn add_stream(&mut self, label: &'static str, stream: &Stream) {
        let sink = Hashed::new(stream, &self.records);
        let unread = retained(stream);
        self.add(label, brooklets::CARRIES, (sink, views(stream)), unread);
    }

    /// brooklet with keys as text.
    fn add_text(&mut self, label: &'static str, shards: u32) {
        let stream = self.builder(shards).build();
        self.add_text_stream(label, &stream.expect("the settings are valid"));
    }

    fn add_text_stream(&mut self, label: &'static str, stream: &Stream) {
        let sink = Text(stream.producer());
        let unread = retained(stream);
        self.add(label, brooklets::CARRIES, (sink, views(stream)), unread);
    }

    fn builder(&self, shards: u32) -> StreamBuilder {
        brooklets::builder(shards, self.capacity, self.records.data_bytes())
    }

    /// A part of a put, by itself.
    fn add_part<S: Sink + 'static>(&mut self, label: &'static str, sink: S) {
        self.add(label, bare::CARRIES, (sink, Nothing), Unread::Lost);
    }

    fn add_tokio(&mut self, label: &'static str) {
        let tokio = broadcasts::tokio(self.capacity, 1);
        self.add(label, broadcasts::CARRIES, tokio, Unread::Retained);
    }

    fn add_log(&mut self, label: &'static str) {
        let log = logs::log::<Mutex<Ring>>(self.capacity);
        self.add(label, logs::CARRIES, log, Unread::Retained);
    }

    fn add_disruptors(&mut self) {
        let stuck = Unread::Stuck;
        let single = disruptors::single(self.capacity);
        self.add(
            "disruptor, single producer",
            disruptors::CARRIES,
            single,
            stuck,
        );
        let multi = disruptors::multi(self.capacity);
        self.add(
            "disruptor, multi producer",
            disruptors::CARRIES,
            multi,
            stuck,
        );
    }

    fn add_rtrb(&mut self) {
        let rtrb = rtrbs::rtrb(self.capacity);
        self.add("rtrb", rtrbs::CARRIES, rtrb, Unread::Stuck);
    }

    /// A contender of which four are made, one a shard.
    fn add_four<S: Sink + 'static, R: Source + 'static>(
        &mut self,
        label: &'static str,
        (carries, unread): (Carries, Unread),
        route: Route,
        make: impl Fn() -> (S, R),
    ) {
        let (shards, sources): (Vec<_>, Vec<_>) = (0..4).map(|_| make()).unzip();
        let sink = Routed { shards, route };
        self.add(label, carries, (sink, sources), unread);
    }

    fn add_ferrokinesis(&mut self, shards: u32) {
        let (records, batch) = (Arc::clone(&self.records), self.batch);
        let count = FERRO_COUNT.min(self.count);
        let round = move || {
            let ferrokinesis = Ferrokinesis::new(shards, &records);
            let start = Instant::now();
            if batch == 1 {
                for index in 0..count {
                    ferrokinesis.put(&records, index);
                }
            } else {
                for index in (0..count).step_by(batch) {
                    ferrokinesis.put_batch(&records, index..index + batch);
                }
            }
            let elapsed = start.elapsed();
            let expected = records.expected(0..count, false);
            assert_eq!(ferrokinesis.tally(shards as usize), expected);
            per_record(elapsed, count)
        };
        self.contenders
            .push(Contender::new("ferrokinesis", ferro::CARRIES, round));
    }

    fn add_baseline(&mut self) {
        let nothing = (Nothing, Nothing);
        self.add("the harness alone", bare::CARRIES, nothing, Unread::Lost);
    }

    fn workload(self, title: String, bars: Vec<Bar>) -> Workload {
        Workload {
            title,
            unit: "ns per record",
            nth_round: 1,
            contenders: self.contenders,
            bars,
        }
    }
}

/// How a stream of brooklet retains.
fn retained(stream: &Stream) -> Unread {
    if stream.shards().len() == 1 {
        Unread::Retained
    } else {
        Unread::RetainedByShard
    }
}

/// Views of all shards.
fn views(stream: &brooklet::Stream) -> Vec<Views> {
    let shards = 0..stream.shards().len();
    shards
        .map(|shard| Views(brooklets::iterator(stream, shard)))
        .collect()
}

pub fn one_shard(options: &Options, data_bytes: usize) -> Workload {
    let mut field = Field::new(options, repeating(options, data_bytes), 1);
    field.add_hashed("brooklet", 1);
    field.add_text("brooklet, &str keys", 1);
    field.add_disruptors();
    field.add_rtrb();
    let stuck = Unread::Stuck;
    let crossbeam = channels::crossbeam(options.capacity);
    field.add("crossbeam-channel", channels::CARRIES, crossbeam, stuck);
    let flume = channels::flume(options.capacity);
    field.add("flume", channels::CARRIES, flume, stuck);
    let kanal = channels::kanal(options.capacity);
    field.add("kanal", channels::CARRIES, kanal, stuck);
    let std_mpsc = channels::std_mpsc(options.capacity);
    field.add("std mpsc", channels::CARRIES, std_mpsc, stuck);
    field.add_tokio("tokio broadcast");
    let asynch = broadcasts::async_broadcast(options.capacity, 1, true);
    field.add(
        "async-broadcast",
        broadcasts::CARRIES,
        asynch,
        Unread::Retained,
    );
    let bus = broadcasts::bus(options.capacity, 1);
    field.add("bus", broadcasts::CARRIES, bus, stuck);
    field.add_log("Mutex log by hand");
    field.add_ferrokinesis(1);
    field.add_baseline();
    let bars = vec![
        Bar {
            text: "at most 1.25x the disruptor's time",
            subject: "brooklet",
            goal: Goal::Times("disruptor, single producer", 1.25),
        },
        Bar {
            text: "at least 1.6x faster than tokio broadcast",
            subject: "brooklet",
            goal: Goal::Times("tokio broadcast", 1.0 / 1.6),
        },
    ];
    let title = format!("append one at a time, one shard, {data_bytes} bytes");
    field.workload(title, bars)
}

pub fn four_shards(options: &Options) -> Workload {
    let records = repeating(options, 100);
    let mut field = Field::new(options, Arc::clone(&records), 1);
    field.add_hashed("brooklet", 4);
    field.add_text("brooklet, &str keys", 4);
    field.add_tokio("tokio broadcast, one, not routed");
    field.add_four(
        "tokio broadcast, four, SipHash",
        (broadcasts::CARRIES, Unread::RetainedByShard),
        Route::SipHash,
        || broadcasts::first(broadcasts::tokio(options.capacity, 1)),
    );
    field.add_four(
        "disruptor, four, SipHash",
        (disruptors::CARRIES, Unread::Stuck),
        Route::SipHash,
        || disruptors::single(options.capacity),
    );
    field.add_four(
        "crossbeam-channel, four, SipHash",
        (channels::CARRIES, Unread::Stuck),
        Route::SipHash,
        || channels::crossbeam(options.capacity),
    );
    field.add_four(
        "Mutex log by hand, four, SipHash",
        (logs::CARRIES, Unread::RetainedByShard),
        Route::SipHash,
        || logs::log::<Mutex<Ring>>(options.capacity),
    );
    field.add_ferrokinesis(4);
    field.add_baseline();
    let bars = vec![
        Bar {
            text: "faster than one tokio broadcast, which does not route",
            subject: "brooklet",
            goal: Goal::Times("tokio broadcast, one, not routed", 1.0),
        },
        Bar {
            text: "with &str keys as well",
            subject: "brooklet, &str keys",
            goal: Goal::Times("tokio broadcast, one, not routed", 1.0),
        },
    ];
    field.workload(
        "append one at a time, four shards, 1,024 keys that repeat".to_owned(),
        bars,
    )
}

/// Keys that do not repeat within several rounds.
fn all_new(options: &Options) -> Arc<Records> {
    Arc::new(Records::with_keys(1 << 19, 100, options.kind))
}

pub fn new_keys(options: &Options) -> Workload {
    let mut field = Field::new(options, all_new(options), 1);
    field.add_text("brooklet", 4);
    field.add(
        "one bare MD5",
        bare::CARRIES,
        (OnlyMd5, Nothing),
        Unread::Lost,
    );
    field.add_four(
        "Mutex log by hand, four, MD5",
        (logs::CARRIES, Unread::RetainedByShard),
        Route::Md5,
        || logs::log::<Mutex<Ring>>(options.capacity),
    );
    field.add_four(
        "disruptor, four, MD5",
        (disruptors::CARRIES, Unread::Stuck),
        Route::Md5,
        || disruptors::single(options.capacity),
    );
    field.add_four(
        "tokio broadcast, four, SipHash",
        (broadcasts::CARRIES, Unread::RetainedByShard),
        Route::SipHash,
        || broadcasts::first(broadcasts::tokio(options.capacity, 1)),
    );
    field.add_ferrokinesis(4);
    field.add_baseline();
    let bars = vec![
        Bar {
            text: "within 35 ns of one MD5",
            subject: "brooklet",
            goal: Goal::Above("one bare MD5", 35.0),
        },
        Bar {
            text: "at least 18x faster than ferrokinesis",
            subject: "brooklet",
            goal: Goal::Times("ferrokinesis", 1.0 / 18.0),
        },
    ];
    field.workload(
        "append one at a time, four shards, every key new".to_owned(),
        bars,
    )
}

pub fn batches(options: &Options, data_bytes: usize) -> Workload {
    let mut field = Field::new(options, repeating(options, data_bytes), BATCH);
    field.add_hashed("brooklet", 1);
    field.add_hashed("brooklet, four shards", 4);
    field.add_text("brooklet, four shards, &str keys", 4);
    field.add_disruptors();
    field.add_rtrb();
    field.add_tokio("tokio broadcast");
    let crossbeam = channels::crossbeam(options.capacity);
    field.add(
        "crossbeam-channel",
        channels::CARRIES,
        crossbeam,
        Unread::Stuck,
    );
    field.add_log("Mutex log by hand");
    field.add_ferrokinesis(1);
    field.add_baseline();
    let bars = vec![Bar {
        text: "at least 1.5x faster than the disruptor",
        subject: "brooklet",
        goal: Goal::Times("disruptor, single producer", 1.0 / 1.5),
    }];
    let title = format!("append in batches of 500, {data_bytes} bytes");
    field.workload(title, bars)
}

pub fn batches_of_new_keys(options: &Options) -> Workload {
    let mut field = Field::new(options, all_new(options), BATCH);
    field.add_text("brooklet", 4);
    field.add(
        "one bare MD5 each",
        bare::CARRIES,
        (OnlyMd5, Nothing),
        Unread::Lost,
    );
    field.add_four(
        "disruptor, four, MD5, one at a time",
        (disruptors::CARRIES, Unread::Stuck),
        Route::Md5,
        || disruptors::single(options.capacity),
    );
    field.add_ferrokinesis(4);
    field.add_baseline();
    let bars = vec![Bar {
        text: "at most 35 ns, by hashing many keys at once",
        subject: "brooklet",
        goal: Goal::AtMost(35.0),
    }];
    field.workload(
        "append in batches of 500, four shards, every key new".to_owned(),
        bars,
    )
}

/// What each guarantee of a put costs: brooklet without it where it can be had without, and what the
/// machine takes for it by itself.
pub fn guarantees(options: &Options) -> Workload {
    let still = |builder: StreamBuilder| builder.clock(ManualClock::default());
    let build = |builder: StreamBuilder| builder.build().expect("the settings are valid");
    let mut field = Field::new(options, repeating(options, 100), 1);
    field.add_hashed("brooklet", 1);
    let ticking = TickingClock::new().expect("a thread can be started");
    let stream = build(field.builder(1).clock(ticking));
    field.add_stream("with a clock that ticks", &stream);
    let stream = build(still(field.builder(1)));
    field.add_stream("with a clock that stands still: A", &stream);
    let stream = build(still(field.builder(1)).capacity_records(options.capacity as u64));
    field.add_stream("A, bounded by records", &stream);
    let limits = Limits::unlimited().write_records_per_second(Some(u64::from(u32::MAX)));
    let stream = build(still(field.builder(1)).limits(limits));
    field.add_stream("A, with limits", &stream);
    let stream = build(still(field.builder(4)));
    field.add_stream("A, four shards", &stream);
    let stream = build(still(field.builder(4)));
    field.add_text_stream("A, four shards, &str keys that repeat", &stream);

    let mut new_keys = Field::new(options, all_new(options), 1);
    let stream = build(still(new_keys.builder(4)));
    new_keys.add_text_stream("A, four shards, every key new", &stream);
    let mut no_data = Field::new(options, repeating(options, 0), 1);
    // As much memory, about: a log that is much smaller is trimmed record by record.
    no_data.capacity *= 4;
    let stream = build(still(no_data.builder(1)));
    no_data.add_stream("A, no data", &stream);
    let mut large = Field::new(options, repeating(options, 1024), 1);
    let stream = build(still(large.builder(1)));
    large.add_stream("A, 1 KiB, of which the handle is kept", &stream);
    let mut batches = Field::new(options, repeating(options, 100), BATCH);
    let stream = build(still(batches.builder(1)));
    batches.add_stream("A, in batches of 500", &stream);
    for other in [new_keys, no_data, large, batches] {
        field.contenders.extend(other.contenders);
    }

    let copy = OnlyCopy::new(&field.records, options.capacity);
    field.add_part("the machine, a lock nobody wants", OnlyLock::default());
    field.add_part("the machine, the time", OnlyTime);
    field.add_part("the machine, copying key and data", copy);
    field.add_part("the machine, MD5 of a key", OnlyMd5);
    field.add_baseline();
    let title = "what each guarantee of a put costs, one shard, 100 bytes".to_owned();
    field.workload(title, Vec::new())
}
