//! From one producer to readers in other threads, as fast as they can.
//!
//! Every reader polls with the same back-off, and so does a producer that has no room: nobody
//! sleeps. Whoever has a bound has room for a whole round, so that nobody is overtaken.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::contenders::brooklets::{self, Hashed, Owned, Views, Waiting};
use crate::contenders::channels::{FlumeDrain, KanalDrain};
use crate::contenders::logs::{self, LogSource, LogViews, Ring};
use crate::contenders::rtrbs::{self, RtrbChunks};
use crate::contenders::{Carries, Sink, Source, broadcasts, channels, disruptors, take_all};
use crate::harness::{Bar, Contender, Contest, Goal, Options, Part, Workload, per_record, race};
use crate::records::{Records, Tally};
use crate::workloads::{BATCH, CAPACITY, repeating};

const COUNT: usize = 60_000;
const READERS: usize = 3;

/// Which time is taken.
#[derive(Clone, Copy)]
enum Measure {
    Wall,
    /// Of all cores: what threads cost that share two of them.
    Cpu,
}

struct Pipe<S, R> {
    options: Options,
    records: Arc<Records>,
    sink: S,
    sources: Vec<R>,
    batch: usize,
    count: usize,
    measure: Measure,
    next: usize,
}

impl<S: Sink, R: Source> Contest for Pipe<S, R> {
    fn warm_up(&mut self) {
        self.round();
    }

    fn round(&mut self) -> f64 {
        let indices = self.next..self.next + self.count;
        self.next = indices.end;
        let (records, batch, count) = (&*self.records, self.batch, self.count as u64);
        let mut tallies = vec![Tally::default(); self.sources.len()];
        let sink = &mut self.sink;
        let puts = indices.clone();
        let mut parts: Vec<Part<'_>> = vec![Box::new(move || {
            if batch == 1 {
                for index in puts {
                    sink.put(records, index);
                }
            } else {
                for index in puts.step_by(batch) {
                    sink.put_batch(records, index..index + batch);
                }
            }
        })];
        for (source, tally) in self.sources.iter_mut().zip(&mut tallies) {
            parts.push(Box::new(move || take_all(source, tally, count)));
        }
        let race = race(&self.options, parts);
        let expected = records.expected(indices, false);
        for tally in tallies {
            assert_eq!(tally, expected, "every reader sees every record");
        }
        match self.measure {
            Measure::Wall => per_record(race.wall, self.count),
            Measure::Cpu => per_record(race.cpu, self.count),
        }
    }
}

struct Field {
    options: Options,
    records: Arc<Records>,
    batch: usize,
    measure: Measure,
    contenders: Vec<Contender>,
}

impl Field {
    fn new(options: &Options, records: Arc<Records>, batch: usize, measure: Measure) -> Self {
        Self {
            options: *options,
            records,
            batch,
            measure,
            contenders: Vec::new(),
        }
    }

    fn add<S: Sink + 'static, R: Source + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        (sink, sources): (S, Vec<R>),
    ) {
        let pipe = Pipe {
            options: self.options,
            records: Arc::clone(&self.records),
            sink,
            sources,
            batch: self.batch,
            count: self.options.count(COUNT),
            measure: self.measure,
            next: 0,
        };
        self.contenders.push(Contender::new(label, carries, pipe));
    }

    fn add_brooklet<R: Source + 'static>(
        &mut self,
        label: &'static str,
        readers: usize,
        read: impl Fn(brooklet::ShardIterator) -> R,
    ) {
        let stream = brooklets::stream(1, CAPACITY, self.records.data_bytes());
        let sink = Hashed::new(&stream, &self.records);
        let source = |_| read(brooklets::iterator(&stream, 0));
        let sources = (0..readers).map(source).collect();
        self.add(label, brooklets::CARRIES, (sink, sources));
    }

    fn workload(self, title: String, bars: Vec<Bar>) -> Workload {
        let unit = match self.measure {
            Measure::Wall => "ns per record",
            Measure::Cpu => "ns of CPU time per record, all threads together",
        };
        Workload {
            title,
            unit,
            nth_round: 1,
            contenders: self.contenders,
            bars,
        }
    }
}

fn one<S, R>((sink, source): (S, R)) -> (S, Vec<R>) {
    (sink, vec![source])
}

pub fn singles(options: &Options, data_bytes: usize) -> Workload {
    let records = repeating(options, data_bytes);
    let mut field = Field::new(options, records, 1, Measure::Wall);
    field.add_brooklet("brooklet", 1, |read| Waiting(Views(read)));
    field.add_brooklet("brooklet, owned", 1, |read| Waiting(Owned(read)));
    let (carries, capacity) = (channels::CARRIES, CAPACITY);
    field.add(
        "disruptor, single producer",
        disruptors::CARRIES,
        one(disruptors::single(capacity)),
    );
    field.add(
        "disruptor, multi producer",
        disruptors::CARRIES,
        one(disruptors::multi(capacity)),
    );
    field.add("rtrb", rtrbs::CARRIES, one(rtrbs::rtrb(capacity)));
    field.add(
        "crossbeam-channel",
        carries,
        one(channels::crossbeam(capacity)),
    );
    field.add("flume", carries, one(channels::flume(capacity)));
    field.add("kanal", carries, one(channels::kanal(capacity)));
    field.add("std mpsc", carries, one(channels::std_mpsc(capacity)));
    let carries = broadcasts::CARRIES;
    field.add("tokio broadcast", carries, broadcasts::tokio(capacity, 1));
    field.add(
        "async-broadcast",
        carries,
        broadcasts::async_broadcast(capacity, 1, false),
    );
    field.add("bus", carries, broadcasts::bus(capacity, 1));
    field.add(
        "Mutex log by hand",
        logs::CARRIES,
        one(logs::log::<Mutex<Ring>>(capacity)),
    );
    let bars = vec![
        Bar {
            text: "at least 1.5x faster than crossbeam-channel",
            subject: "brooklet",
            goal: Goal::Times("crossbeam-channel", 1.0 / 1.5),
        },
        Bar {
            text: "at least 1.5x faster than the disruptor",
            subject: "brooklet",
            goal: Goal::Times("disruptor, single producer", 1.0 / 1.5),
        },
        Bar {
            text: "at least 3x faster than tokio broadcast",
            subject: "brooklet",
            goal: Goal::Times("tokio broadcast", 1.0 / 3.0),
        },
    ];
    let title = format!("one producer to one reader, one at a time, {data_bytes} bytes");
    field.workload(title, bars)
}

pub fn batches(options: &Options, data_bytes: usize) -> Workload {
    let records = repeating(options, data_bytes);
    let mut field = Field::new(options, records, BATCH, Measure::Wall);
    field.add_brooklet("brooklet, views", 1, |read| Waiting(Views(read)));
    field.add_brooklet("brooklet, owned", 1, |read| Waiting(Owned(read)));
    let capacity = CAPACITY;
    field.add(
        "disruptor, single producer",
        disruptors::CARRIES,
        one(disruptors::single(capacity)),
    );
    field.add(
        "disruptor, multi producer",
        disruptors::CARRIES,
        one(disruptors::multi(capacity)),
    );
    let (sink, source) = rtrbs::rtrb(capacity);
    field.add("rtrb", rtrbs::CARRIES, (sink, vec![RtrbChunks(source)]));
    let (sink, source) = channels::flume(capacity);
    let drain = FlumeDrain(source);
    field.add("flume, drained", channels::CARRIES, (sink, vec![drain]));
    let (sink, source) = channels::kanal(capacity);
    let drain = KanalDrain::new(source);
    field.add("kanal, drained", channels::CARRIES, (sink, vec![drain]));
    field.add(
        "crossbeam-channel",
        channels::CARRIES,
        one(channels::crossbeam(capacity)),
    );
    field.add(
        "tokio broadcast",
        broadcasts::CARRIES,
        broadcasts::tokio(capacity, 1),
    );
    field.add(
        "Mutex log by hand",
        logs::CARRIES,
        one(logs::log::<Mutex<Ring>>(capacity)),
    );
    let bars = vec![
        Bar {
            text: "views at least 2.5x faster than the disruptor",
            subject: "brooklet, views",
            goal: Goal::Times("disruptor, single producer", 1.0 / 2.5),
        },
        Bar {
            text: "views at least 4.5x faster than crossbeam-channel",
            subject: "brooklet, views",
            goal: Goal::Times("crossbeam-channel", 1.0 / 4.5),
        },
        Bar {
            text: "owned records faster than the disruptor",
            subject: "brooklet, owned",
            goal: Goal::Times("disruptor, single producer", 1.0),
        },
    ];
    let title = format!("one producer to one reader, batches of 500, {data_bytes} bytes");
    field.workload(title, bars)
}

fn add_fans(field: &mut Field) {
    field.add_brooklet("brooklet", READERS, |read| Waiting(Views(read)));
    field.add_brooklet("brooklet, owned", READERS, |read| Waiting(Owned(read)));
    let capacity = CAPACITY;
    field.add(
        "disruptor, single producer",
        disruptors::CARRIES,
        disruptors::single_with_three_readers(capacity),
    );
    let carries = broadcasts::CARRIES;
    field.add(
        "tokio broadcast",
        carries,
        broadcasts::tokio(capacity, READERS),
    );
    field.add(
        "async-broadcast",
        carries,
        broadcasts::async_broadcast(capacity, READERS, false),
    );
    field.add("bus", carries, broadcasts::bus(capacity, READERS));
    let (sink, source) = logs::log::<RwLock<Ring>>(capacity);
    let sources: Vec<LogSource<_>> = (0..READERS).map(|_| source.another()).collect();
    field.add("RwLock log by hand", logs::CARRIES, (sink, sources));
    let (sink, source) = logs::log::<RwLock<Ring>>(capacity);
    let sources = (0..READERS).map(|_| LogViews(source.another())).collect();
    field.add("RwLock log by hand, views", logs::CARRIES, (sink, sources));
}

pub fn fan_out(options: &Options) -> Workload {
    let records = repeating(options, 100);
    let mut field = Field::new(options, records, 1, Measure::Cpu);
    add_fans(&mut field);
    let bars = vec![Bar {
        text: "at least 4x cheaper than tokio broadcast",
        subject: "brooklet",
        goal: Goal::Times("tokio broadcast", 0.25),
    }];
    field.workload(
        "one producer, three readers that see all, one at a time".to_owned(),
        bars,
    )
}

pub fn fan_out_batches(options: &Options) -> Workload {
    let records = repeating(options, 100);
    let mut field = Field::new(options, records, BATCH, Measure::Cpu);
    add_fans(&mut field);
    let bars = vec![Bar {
        text: "level with the disruptor (within 5 %)",
        subject: "brooklet",
        goal: Goal::Times("disruptor, single producer", 1.05),
    }];
    field.workload(
        "one producer, three readers that see all, batches of 500".to_owned(),
        bars,
    )
}
