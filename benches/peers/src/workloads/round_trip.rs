//! There and back again between two threads, one record at a time: the median of the trips. Each has a core
//! of its own.

use std::hint;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

use crate::contenders::bare;
use crate::contenders::boxcar_vec;
use crate::contenders::brooklets::{self, Hashed, Views};
use crate::contenders::logs::{self, Ring};
use crate::contenders::rtrbs;
use crate::contenders::{Carries, Sink, Source, Wait, broadcasts, channels, disruptors};
use crate::harness::{Bar, Contender, Contest, Goal, Options, Spread, Workload, race};
use crate::records::{Records, Tally};
use crate::workloads::repeating;

const TRIPS: usize = 2_000;
/// A trip has one record under way: small rings stay in the cache.
const CAPACITY: usize = 1 << 10;
/// Looks before it lets other threads run, which it should not have to: a second or so is lost
/// only where both threads share a core.
const SPINS: u32 = 20_000;

struct RoundTrip<S, R, F> {
    options: Options,
    records: Arc<Records>,
    ping: (S, R),
    pong: (S, R),
    /// Waits for one record.
    receive: F,
    trips: usize,
}

impl<S: Sink, R: Source, F> Contest for RoundTrip<S, R, F>
where
    F: Fn(&mut R, &mut Tally) + Send + Sync,
{
    fn round(&mut self) -> f64 {
        let (records, trips, receive) = (&*self.records, self.trips, &self.receive);
        let ((ping, pinged), (pong, ponged)) = (&mut self.ping, &mut self.pong);
        let (mut there, mut back) = (Tally::default(), Tally::default());
        let mut times = Vec::with_capacity(trips);
        let (there_ref, back_ref, times_ref) = (&mut there, &mut back, &mut times);
        race(
            &self.options,
            vec![
                Box::new(move || {
                    for index in 0..trips {
                        let start = Instant::now();
                        ping.put(records, index);
                        receive(ponged, back_ref);
                        times_ref.push(start.elapsed().as_nanos() as f64);
                    }
                }),
                Box::new(move || {
                    for index in 0..trips {
                        receive(pinged, there_ref);
                        pong.put(records, index);
                    }
                }),
            ],
        );
        let count = trips as u64;
        assert_eq!((there.count, back.count), (count, count), "no trip is lost");
        assert_eq!(there.sum, back.sum, "the same records travel both ways");
        Spread::of(times).median
    }
}

fn spin<R: Source>(source: &mut R, tally: &mut Tally) {
    loop {
        for _ in 0..SPINS {
            if source.take(tally) {
                return;
            }
            hint::spin_loop();
        }
        thread::yield_now();
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

    fn add<S, R, F>(
        &mut self,
        label: &'static str,
        carries: Carries,
        make: impl Fn() -> (S, R),
        receive: F,
    ) where
        S: Sink + 'static,
        R: Source + 'static,
        F: Fn(&mut R, &mut Tally) + Send + Sync + 'static,
    {
        let trip = RoundTrip {
            options: self.options,
            records: Arc::clone(&self.records),
            ping: make(),
            pong: make(),
            receive,
            trips: self.options.count(TRIPS),
        };
        self.contenders.push(Contender::new(label, carries, trip));
    }

    /// Who can block.
    fn add_blocking<S: Sink + 'static, R: Wait + 'static>(
        &mut self,
        label: &'static str,
        carries: Carries,
        make: impl Fn() -> (S, R),
    ) {
        self.add(label, carries, make, |source: &mut R, tally: &mut Tally| {
            source.wait(tally);
        });
    }

    fn workload(self, title: &str, bars: Vec<Bar>) -> Workload {
        Workload {
            title: title.to_owned(),
            unit: "ns per round trip, median",
            nth_round: 1,
            contenders: self.contenders,
            bars,
        }
    }
}

/// The round trip of the machine itself.
pub fn bare_round_trip<S: Sink + 'static, R: Source + 'static>(
    options: &Options,
    make: impl Fn() -> (S, R),
) -> impl Contest {
    RoundTrip {
        options: *options,
        records: repeating(options, 8),
        ping: make(),
        pong: make(),
        receive: spin::<R>,
        trips: TRIPS,
    }
}

fn brooklet(records: &Records) -> (Hashed, Views) {
    let stream = brooklets::stream(1, CAPACITY, records.data_bytes());
    let views = Views(brooklets::iterator(&stream, 0));
    (Hashed::new(&stream, records), views)
}

pub fn spinning(options: &Options) -> Workload {
    let mut field = Field::new(options);
    let records = Arc::clone(&field.records);
    let make = move || brooklet(&records);
    field.add("brooklet", brooklets::CARRIES, make, spin);
    let make = || disruptors::single(CAPACITY);
    field.add(
        "disruptor, single producer",
        disruptors::CARRIES,
        make,
        spin,
    );
    field.add("rtrb", rtrbs::CARRIES, || rtrbs::rtrb(CAPACITY), spin);
    let make = || boxcar_vec::boxcar(TRIPS * 64);
    field.add("boxcar", boxcar_vec::CARRIES, make, spin);
    let carries = channels::CARRIES;
    let make = || channels::crossbeam(CAPACITY);
    field.add("crossbeam-channel", carries, make, spin);
    field.add("flume", carries, || channels::flume(CAPACITY), spin);
    field.add("kanal", carries, || channels::kanal(CAPACITY), spin);
    field.add("std mpsc", carries, || channels::std_mpsc(CAPACITY), spin);
    let make = || broadcasts::first(broadcasts::tokio(CAPACITY, 1));
    field.add("tokio broadcast", broadcasts::CARRIES, make, spin);
    let make = || logs::log::<Mutex<Ring>>(CAPACITY);
    field.add("Mutex log by hand", logs::CARRIES, make, spin);
    field.add(
        "the machine, a bare cache line",
        bare::CARRIES,
        || bare::bare(false),
        spin,
    );
    field.workload(
        "round trip between two threads that spin",
        vec![Bar {
            text: "at least 1.7x faster than crossbeam-channel",
            subject: "brooklet",
            goal: Goal::Times("crossbeam-channel", 1.0 / 1.7),
        }],
    )
}

pub fn blocking(options: &Options) -> Workload {
    let mut field = Field::new(options);
    let records = Arc::clone(&field.records);
    field.add_blocking("brooklet", brooklets::CARRIES, move || brooklet(&records));
    let carries = channels::CARRIES;
    let make = || channels::crossbeam(CAPACITY);
    field.add_blocking("crossbeam-channel", carries, make);
    field.add_blocking("flume", carries, || channels::flume(CAPACITY));
    field.add_blocking("kanal", carries, || channels::kanal(CAPACITY));
    field.add_blocking("std mpsc", carries, || channels::std_mpsc(CAPACITY));
    let carries = broadcasts::CARRIES;
    let make = || broadcasts::first(broadcasts::tokio(CAPACITY, 1));
    field.add_blocking("tokio broadcast", carries, make);
    let make = || broadcasts::first(broadcasts::async_broadcast(CAPACITY, 1, false));
    field.add_blocking("async-broadcast", carries, make);
    let make = || logs::log::<Mutex<Ring>>(CAPACITY);
    field.add_blocking("Mutex log by hand", logs::CARRIES, make);
    field.workload(
        "round trip between two threads that block",
        vec![Bar {
            text: "level with crossbeam-channel (within 5 %)",
            subject: "brooklet",
            goal: Goal::Times("crossbeam-channel", 1.05),
        }],
    )
}
