//! From the put to a reader that was asleep: the median of the latencies.
//!
//! Each of the two has a core of its own. Where both share one, as may happen for a whole round, a wake-up
//! is a switch to another thread and takes a tenth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::contenders::bare;
use crate::contenders::broadcasts::{self, TokioAsync};
use crate::contenders::brooklets::{self, Async, Hashed, Select, Views};
use crate::contenders::channels::{self, CrossbeamSelect, FlumeAsync};
use crate::contenders::logs::{self, Ring};
use crate::contenders::{Carries, Sink, Wait};
use crate::harness::{Bar, Contender, Contest, Goal, Options, Spread, Workload, race};
use crate::records::{Records, Tally};
use crate::workloads::repeating;

const WAKES: usize = 50;
const CAPACITY: usize = 1 << 10;
/// So long after it has begun to wait is the reader surely asleep: longer than anybody spins.
const PAUSE: Duration = Duration::from_millis(1);

struct Wake<S, R> {
    options: Options,
    records: Arc<Records>,
    sink: S,
    source: R,
    wakes: usize,
}

impl<S: Sink, R: Wait> Contest for Wake<S, R> {
    fn round(&mut self) -> f64 {
        let (records, wakes) = (&*self.records, self.wakes);
        let (sink, source) = (&mut self.sink, &mut self.source);
        let waiting = AtomicUsize::new(0);
        let waiting = &waiting;
        let mut tally = Tally::default();
        let (mut put, mut woken) = (Vec::with_capacity(wakes), Vec::with_capacity(wakes));
        let (put_ref, woken_ref, tally_ref) = (&mut put, &mut woken, &mut tally);
        race(
            &self.options,
            vec![
                Box::new(move || {
                    for index in 0..wakes {
                        while waiting.load(Ordering::Acquire) <= index {
                            thread::yield_now();
                        }
                        let asleep = Instant::now() + PAUSE;
                        while Instant::now() < asleep {
                            thread::yield_now();
                        }
                        put_ref.push(Instant::now());
                        sink.put(records, index);
                    }
                }),
                Box::new(move || {
                    source.begin();
                    for _ in 0..wakes {
                        waiting.fetch_add(1, Ordering::Release);
                        source.wait(tally_ref);
                        woken_ref.push(Instant::now());
                    }
                }),
            ],
        );
        assert_eq!(tally.count, wakes as u64, "no wake-up is lost");
        let pairs = put.iter().zip(&woken);
        let times = pairs.map(|(put, woken)| (*woken - *put).as_nanos() as f64);
        Spread::of(times.collect()).median
    }
}

struct Field {
    options: Options,
    records: Arc<Records>,
    contenders: Vec<Contender>,
}

impl Field {
    fn new(options: &Options) -> Self {
        Self {
            options: options.pinned(),
            records: repeating(options, 100),
            contenders: Vec::new(),
        }
    }

    fn add<S: Sink + 'static, R: Wait + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        (sink, source): (S, R),
    ) {
        let wake = Wake {
            options: self.options,
            records: Arc::clone(&self.records),
            sink,
            source,
            wakes: self.options.count(WAKES),
        };
        self.contenders.push(Contender::new(label, carries, wake));
    }

    fn add_brooklet<R: Wait + 'static>(&mut self, read: impl Fn(brooklet::ShardIterator) -> R) {
        let stream = brooklets::stream(1, CAPACITY, self.records.data_bytes());
        let source = read(brooklets::iterator(&stream, 0));
        let sink = Hashed::new(&stream, &self.records);
        self.add("brooklet", brooklets::CARRIES, (sink, source));
    }

    fn add_bare(&mut self) {
        self.add(PARK, bare::CARRIES, bare::bare(true));
    }

    fn workload(self, title: &str) -> Workload {
        Workload {
            title: title.to_owned(),
            unit: "ns from put to reader, median",
            nth_round: 1,
            contenders: self.contenders,
            bars: vec![Bar {
                text: "at most 1.1x a bare park and unpark",
                subject: "brooklet",
                goal: Goal::Times(PARK, 1.1),
            }],
        }
    }
}

const PARK: &str = "the machine, bare park and unpark";

pub fn threads(options: &Options) -> Workload {
    let mut field = Field::new(options);
    field.add_brooklet(Views);
    let carries = channels::CARRIES;
    let crossbeam = channels::crossbeam(CAPACITY);
    field.add("crossbeam-channel", carries, crossbeam);
    field.add("flume", carries, channels::flume(CAPACITY));
    field.add("kanal", carries, channels::kanal(CAPACITY));
    field.add("std mpsc", carries, channels::std_mpsc(CAPACITY));
    let tokio = broadcasts::first(broadcasts::tokio(CAPACITY, 1));
    field.add("tokio broadcast", broadcasts::CARRIES, tokio);
    let bus = broadcasts::first(broadcasts::bus(CAPACITY, 1));
    field.add("bus", broadcasts::CARRIES, bus);
    let log = logs::log::<Mutex<Ring>>(CAPACITY);
    field.add("Mutex log by hand, Condvar", logs::CARRIES, log);
    field.add_bare();
    field.workload("from the put to a thread that slept")
}

pub fn tasks(options: &Options) -> Workload {
    let mut field = Field::new(options);
    field.add_brooklet(Async);
    let (sink, source) = channels::flume(CAPACITY);
    field.add("flume", channels::CARRIES, (sink, FlumeAsync(source)));
    let (sink, source) = broadcasts::first(broadcasts::tokio(CAPACITY, 1));
    let tokio = (sink, TokioAsync(source));
    field.add("tokio broadcast", broadcasts::CARRIES, tokio);
    let asynch = broadcasts::first(broadcasts::async_broadcast(CAPACITY, 1, false));
    field.add("async-broadcast", broadcasts::CARRIES, asynch);
    field.add_bare();
    field.workload("from the put to a task that slept, on the same small executor")
}

pub fn selects(options: &Options) -> Workload {
    let mut field = Field::new(options);
    field.add_brooklet(Select::new);
    let (sink, source) = channels::crossbeam(CAPACITY);
    let crossbeam = (sink, CrossbeamSelect::new(source));
    field.add("crossbeam-channel", channels::CARRIES, crossbeam);
    field.add_bare();
    field.workload("from the put to a select! of two that slept")
}
