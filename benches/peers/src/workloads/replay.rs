//! Reading again what is retained, from the oldest record on, in one thread.
//!
//! Every record has data of its own, one after the other in memory. Whoever cannot replay is
//! filled anew before each round; that is not timed, in its favour.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parking_lot::RwLock;

use crate::contenders::bare;
use crate::contenders::boxcar_vec;
use crate::contenders::brooklets::{self, Hashed, Owned, Views};
use crate::contenders::ferro::{self, Ferrokinesis};
use crate::contenders::logs::{self, LogViews, Ring};
use crate::contenders::{Carries, Sink, Source, broadcasts, channels, disruptors};
use crate::harness::{Bar, Contender, Goal, Options, Workload, per_record};
use crate::records::{Records, Tally, sum_of};
use crate::workloads::LARGE;

const BATCH: usize = 1 << 10;
const FERRO_COUNT: usize = 1 << 12;

struct Field {
    records: Arc<Records>,
    count: usize,
    expected: Tally,
    contenders: Vec<Contender>,
}

impl Field {
    fn new(options: &Options, data_bytes: usize, every_byte: bool) -> Self {
        let count = if data_bytes >= LARGE {
            1 << 18
        } else {
            1 << 20
        };
        let count = if options.quick { count / 4 } else { count };
        let records = Arc::new(Records::with_data(count, data_bytes));
        let expected = records.expected(0..count, every_byte);
        Self {
            records,
            count,
            expected,
            contenders: Vec::new(),
        }
    }

    fn fill(&self, sink: &mut impl Sink) {
        for from in (0..self.count).step_by(BATCH) {
            sink.put_batch(&self.records, from..from + BATCH);
        }
    }

    /// `scan` reads everything, after `prepare`, which is not timed.
    fn add(
        &mut self,
        label: &'static str,
        carries: Carries,
        mut prepare: impl FnMut() + 'static,
        mut scan: impl FnMut(&mut Tally) + 'static,
    ) {
        let (count, expected) = (self.count, self.expected);
        let round = move || {
            prepare();
            let mut tally = Tally::new(expected.every_byte);
            let start = Instant::now();
            scan(&mut tally);
            let elapsed = start.elapsed();
            assert_eq!(tally, expected, "everything that is retained is read");
            per_record(elapsed, count)
        };
        self.contenders.push(Contender::new(label, carries, round));
    }

    fn add_brooklet<R: Source + 'static>(
        &mut self,
        label: &'static str,
        stream: &brooklet::Stream,
        read: impl Fn(brooklet::ShardIterator) -> R + 'static,
    ) {
        let stream = stream.clone();
        let scan = move |tally: &mut Tally| {
            let mut source = read(brooklets::iterator(&stream, 0));
            while source.take(tally) {}
        };
        self.add(label, brooklets::CARRIES, || {}, scan);
    }

    /// One stream for all of brooklet's contenders.
    fn add_brooklets(&mut self) {
        // A sixteenth more: chunks are trimmed whole.
        let capacity = self.count + self.count / 16;
        let stream = brooklets::stream(1, capacity, self.records.data_bytes());
        self.fill(&mut Hashed::new(&stream, &self.records));
        self.add_brooklet("brooklet, views", &stream, Views);
        self.add_brooklet("brooklet, owned", &stream, Owned);
    }

    fn add_logs(&mut self) {
        let (mut sink, source) = logs::log::<RwLock<Ring>>(self.count);
        self.fill(&mut sink);
        let mut views = LogViews(source.another());
        let scan = move |tally: &mut Tally| {
            views.0.rewind();
            while views.take(tally) {}
        };
        self.add("RwLock log by hand, views", logs::CARRIES, || {}, scan);
        let mut source = source;
        let scan = move |tally: &mut Tally| {
            source.rewind();
            while source.take(tally) {}
        };
        self.add("RwLock log by hand", logs::CARRIES, || {}, scan);
    }

    fn add_boxcar(&mut self) {
        let (mut sink, mut source) = boxcar_vec::boxcar(self.count);
        self.fill(&mut sink);
        let scan = move |tally: &mut Tally| {
            source.rewind();
            source.take(tally);
        };
        self.add("boxcar", boxcar_vec::CARRIES, || {}, scan);
    }

    /// A contender that forgets what was read.
    fn add_refilled<S: Sink + 'static, R: Source + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        (mut sink, mut source): (S, R),
    ) {
        let (records, count) = (Arc::clone(&self.records), self.count);
        let prepare = move || {
            for from in (0..count).step_by(BATCH) {
                sink.put_batch(&records, from..from + BATCH);
            }
        };
        let scan = move |tally: &mut Tally| while source.take(tally) {};
        self.add(label, carries, prepare, scan);
    }

    fn add_ferrokinesis(&mut self) {
        let count = FERRO_COUNT;
        // With data that repeats: it keeps a copy of each anyway.
        let records = Records::repeating(self.records.data_bytes(), Default::default());
        let ferrokinesis = Ferrokinesis::new(1, &records);
        for from in (0..count).step_by(BATCH / 4) {
            ferrokinesis.put_batch(&records, from..from + BATCH / 4);
        }
        let every_byte = self.expected.every_byte;
        let expected = records.expected(0..count, every_byte);
        let round = move || {
            let mut tally = Tally::new(every_byte);
            let start = Instant::now();
            ferrokinesis.replay(0, |key, data| {
                let data = BASE64_STANDARD.decode(data).expect("data in base 64");
                tally.see(key.as_bytes(), &data);
            });
            let elapsed = start.elapsed();
            assert_eq!(tally, expected, "everything that is retained is read");
            per_record(elapsed, count)
        };
        self.contenders
            .push(Contender::new("ferrokinesis", ferro::CARRIES, round));
    }

    fn workload(self, title: String, bars: Vec<Bar>) -> Workload {
        Workload {
            title,
            unit: "ns per record",
            nth_round: 2,
            contenders: self.contenders,
            bars,
        }
    }
}

pub fn looks(options: &Options, data_bytes: usize) -> Workload {
    let mut field = Field::new(options, data_bytes, false);
    let count = field.count;
    field.add_brooklets();
    field.add_logs();
    field.add_boxcar();
    field.add_refilled(
        "disruptor, single producer",
        disruptors::CARRIES,
        disruptors::single(count),
    );
    field.add_refilled("flume", channels::CARRIES, channels::flume(count));
    field.add_refilled(
        "crossbeam-channel",
        channels::CARRIES,
        channels::crossbeam(count),
    );
    let tokio = broadcasts::first(broadcasts::tokio(count, 1));
    field.add_refilled("tokio broadcast", broadcasts::CARRIES, tokio);
    field.add_ferrokinesis();
    let bars = vec![
        Bar {
            text: "views at least 3x faster than the log by hand",
            subject: "brooklet, views",
            goal: Goal::Times("RwLock log by hand", 1.0 / 3.0),
        },
        Bar {
            text: "owned records level with flume (within 5 %)",
            subject: "brooklet, owned",
            goal: Goal::Times("flume", 1.05),
        },
    ];
    let title = format!("replay of {count} records of {data_bytes} bytes");
    field.workload(title, bars)
}

pub fn every_byte(options: &Options, data_bytes: usize) -> Workload {
    let mut field = Field::new(options, data_bytes, true);
    let count = field.count;
    field.add_brooklets();
    field.add_logs();
    field.add_boxcar();
    field.add_refilled(
        "disruptor, single producer",
        disruptors::CARRIES,
        disruptors::single(count),
    );
    let block = vec![1_u8; count * data_bytes];
    let round = move || {
        let start = Instant::now();
        black_box(sum_of(black_box(&block)));
        per_record(start.elapsed(), count)
    };
    let machine = "the machine, reading as much memory";
    field
        .contenders
        .push(Contender::new(machine, bare::CARRIES, round));
    // Bytes in a nanosecond are gigabytes in a second.
    let gigabytes_per_second = if data_bytes >= LARGE { 20.0 } else { 12.0 };
    let by_rate = Goal::AtMost(data_bytes as f64 / gigabytes_per_second);
    let by_machine = Goal::Times(machine, 1.0 / 0.75);
    let text = if data_bytes >= LARGE {
        "20 GB/s, or 75 % of what the machine reads"
    } else {
        "12 GB/s, or 75 % of what the machine reads"
    };
    let bars = vec![Bar {
        text,
        subject: "brooklet, views",
        goal: Goal::Either(Box::new(by_rate), Box::new(by_machine)),
    }];
    let title = format!("replay of {count} records of {data_bytes} bytes, reading every byte");
    field.workload(title, bars)
}
