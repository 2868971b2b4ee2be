//! What the machine can do, measured in the run itself: figures mean something beside these only.

use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::{Instant, SystemTime};

use crate::contenders::Sink;
use crate::contenders::bare::{self, OnlyMd5};
use crate::harness::{Contest, Options, Spread, per_record};
use crate::records::{Records, sum_of};
use crate::workloads;

/// The machine.
#[derive(Debug)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    /// A cache line from one core to another and back.
    pub round_trip_ns: f64,
    pub read_gigabytes_per_second: f64,
    pub md5_ns: f64,
    pub clock_ns: f64,
}

impl Machine {
    pub fn measure(options: &Options) -> Self {
        let mut round_trip = workloads::bare_round_trip(options, || bare::bare(false));
        Self {
            processor: processor(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            round_trip_ns: median(|| round_trip.round()),
            read_gigabytes_per_second: read_rate(),
            md5_ns: md5(),
            clock_ns: clock(),
        }
    }
}

fn median(measure: impl FnMut() -> f64) -> f64 {
    let mut measure = measure;
    Spread::of((0..9).map(|_| measure()).collect()).median
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    name.unwrap_or_else(|| format!("an {} processor", std::env::consts::ARCH))
}

/// Reads far more than the caches of most machines hold.
fn read_rate() -> f64 {
    let block = vec![1_u8; 256 << 20];
    let ns_per_byte = median(|| {
        let start = Instant::now();
        black_box(sum_of(black_box(&block)));
        per_record(start.elapsed(), block.len())
    });
    1.0 / ns_per_byte
}

fn md5() -> f64 {
    let records = Records::repeating(8, Default::default());
    let count = 20_000;
    median(|| {
        let start = Instant::now();
        for index in 0..count {
            OnlyMd5.put(&records, index);
        }
        per_record(start.elapsed(), count)
    })
}

fn clock() -> f64 {
    let count = 20_000;
    median(|| {
        let start = Instant::now();
        for _ in 0..count {
            black_box(SystemTime::now());
        }
        per_record(start.elapsed(), count)
    })
}
