//! Several producers, several shards, a reader for each shard: as a program would use a stream.
//!
//! The shard of each key is known beforehand to everybody, the same shards for all: brooklet has
//! keys that were hashed before, the others a table.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::contenders::brooklets::{self, Hashed, Views, Waiting};
use crate::contenders::logs::{self, Ring};
use crate::contenders::{
    Carries, Route, Routed, Sink, Source, broadcasts, channels, disruptors, take_all,
};
use crate::harness::{Bar, Contender, Contest, Goal, Options, Part, Workload, per_record, race};
use crate::records::{Records, Tally};
use crate::workloads::{CAPACITY, repeating};

const COUNT: usize = 60_000;
const PRODUCERS: usize = 4;
const SHARDS: usize = 4;

struct RoutedPipe<S, R> {
    options: Options,
    records: Arc<Records>,
    route: Vec<u8>,
    sinks: Vec<S>,
    sources: Vec<R>,
    count: usize,
    next: usize,
}

impl<S: Sink, R: Source> Contest for RoutedPipe<S, R> {
    fn warm_up(&mut self) {
        self.round();
    }

    fn round(&mut self) -> f64 {
        let indices = self.next..self.next + self.count;
        self.next = indices.end;
        let records = &*self.records;
        let mut expected = [Tally::default(); SHARDS];
        for index in indices.clone() {
            let shard = usize::from(self.route[index % self.route.len()]);
            expected[shard].see_message(&records.message(index));
        }
        let mut tallies = [Tally::default(); SHARDS];
        let mut parts: Vec<Part<'_>> = Vec::new();
        let share = self.count / PRODUCERS;
        for (producer, sink) in self.sinks.iter_mut().enumerate() {
            let from = indices.start + producer * share;
            parts.push(Box::new(move || {
                for index in from..from + share {
                    sink.put(records, index);
                }
            }));
        }
        let readers = self.sources.iter_mut().zip(&mut tallies).zip(&expected);
        for ((source, tally), expected) in readers {
            parts.push(Box::new(move || take_all(source, tally, expected.count)));
        }
        let race = race(&self.options, parts);
        assert_eq!(tallies, expected, "every record is in its shard");
        per_record(race.cpu, self.count)
    }
}

struct Field {
    options: Options,
    records: Arc<Records>,
    route: Vec<u8>,
    contenders: Vec<Contender>,
}

impl Field {
    fn add<S: Sink + 'static, R: Source + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        sinks: Vec<S>,
        sources: Vec<R>,
    ) {
        let pipe = RoutedPipe {
            options: self.options,
            records: Arc::clone(&self.records),
            route: self.route.clone(),
            sinks,
            sources,
            count: self.options.count(COUNT),
            next: 0,
        };
        self.contenders.push(Contender::new(label, carries, pipe));
    }

    /// Four of a contender, and for each producer a handle of each.
    fn add_four<S: Sink + 'static, R: Source + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        make: impl Fn() -> (S, R),
        another: impl Fn(&S) -> S,
    ) {
        let (shards, sources): (Vec<S>, Vec<R>) = (0..SHARDS).map(|_| make()).unzip();
        let sink = |_| Routed {
            shards: shards.iter().map(&another).collect(),
            route: Route::Known(self.route.clone()),
        };
        let sinks = (0..PRODUCERS).map(sink).collect();
        self.add(label, carries, sinks, sources);
    }
}

pub fn four_by_four(options: &Options) -> Workload {
    let records = repeating(options, 100);
    let stream = brooklets::stream(4, CAPACITY, 100);
    let sinks = (0..PRODUCERS).map(|_| Hashed::new(&stream, &records));
    let sinks = sinks.collect();
    let sources = (0..SHARDS).map(|shard| Waiting(Views(brooklets::iterator(&stream, shard))));
    let mut field = Field {
        options: *options,
        route: brooklets::route(&stream, &records),
        records,
        contenders: Vec::new(),
    };
    field.add("brooklet", brooklets::CARRIES, sinks, sources.collect());
    field.add_four(
        "disruptor, multi producer",
        disruptors::CARRIES,
        || disruptors::multi(CAPACITY),
        Clone::clone,
    );
    let carries = channels::CARRIES;
    let make = || channels::crossbeam(CAPACITY);
    field.add_four("crossbeam-channel", carries, make, Clone::clone);
    let make = || channels::flume(CAPACITY);
    field.add_four("flume", carries, make, Clone::clone);
    let make = || channels::kanal(CAPACITY);
    field.add_four("kanal", carries, make, Clone::clone);
    let make = || channels::std_mpsc(CAPACITY);
    field.add_four("std mpsc", carries, make, Clone::clone);
    let make = || broadcasts::first(broadcasts::tokio(CAPACITY, 1));
    field.add_four("tokio broadcast", broadcasts::CARRIES, make, Clone::clone);
    let make = || logs::log::<Mutex<Ring>>(CAPACITY);
    let another = logs::LogSink::another;
    field.add_four("Mutex log by hand", logs::CARRIES, make, another);
    let bars = vec![
        Bar {
            text: "at least 2.5x cheaper than crossbeam-channel",
            subject: "brooklet",
            goal: Goal::Times("crossbeam-channel", 1.0 / 2.5),
        },
        Bar {
            text: "level with the disruptor (within 5 %)",
            subject: "brooklet",
            goal: Goal::Times("disruptor, multi producer", 1.05),
        },
    ];
    Workload {
        title: "four producers, four shards, four readers, one at a time".to_owned(),
        unit: "ns of CPU time per record, all threads together",
        nth_round: 1,
        contenders: field.contenders,
        bars,
    }
}
