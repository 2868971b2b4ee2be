//! What grows and what does not: tables of costs against sizes.
//!
//! ```text
//! cargo bench --bench scale                            all tables, within two minutes
//! cargo bench --bench scale -- --full                  more sizes, more repetitions, 10^7 records
//! cargo bench --bench scale -- --records 100000000     up to 10^8 retained records (4 GB)
//! cargo bench --bench scale -- --only streams          one table
//! cargo bench --bench scale -- --csv scale.csv         the figures as a file, too
//! ```
//!
//! Each row is one figure, each column a size. The first column is in units, the others are ratios to
//! it, measured in the same run: a cost that does not grow stays near 1. `harness` is the loop
//! without the engine. Figures are medians of a few repetitions.

use std::alloc::System;
use std::error::Error;
use std::fmt::Write as _;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use brooklet::{
    Clock, ManualClock, PartitionKey, Producer, Registry, SequenceNumber, ShardIterator,
    StartingPosition, Stream,
};
use bytes::Bytes;

use common::Random;
use counting::Counting;

mod common;

#[global_allocator]
static ALLOCATOR: Counting = Counting(System);

const DATA_BYTES: usize = 100;
/// Data of the records that many are retained of: 8 + 12 + 16 bytes and padding take 40 each.
const SMALL_DATA_BYTES: usize = 16;

type Table = fn(&Options) -> Figures;

const TABLES: &[(&str, Table)] = &[
    ("producers", producers),
    ("readers", readers),
    ("retained", retained),
    ("idle", idle),
    ("waiting", waiting),
    ("shards", shards),
    ("streams", streams),
    ("memory", memory),
];

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut csv = String::from("table,figure,unit,varies,size,value,ratio\n");
    for (name, table) in TABLES {
        if options.only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let figures = table(&options);
        figures.print(name);
        figures.add_to_csv(name, &mut csv)?;
    }
    if let Some(path) = options.csv {
        fs::write(path, csv)?;
    }
    Ok(())
}

struct Options {
    full: bool,
    /// Only shows that everything runs.
    test: bool,
    only: Option<String>,
    csv: Option<String>,
    records_max: u64,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            full: false,
            test: false,
            only: None,
            csv: None,
            records_max: 1_000_000,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--bench" => {}
                "--full" => (options.full, options.records_max) = (true, 10_000_000),
                "--test" | "--quick" => options.test = true,
                "--only" => options.only = Some(value()?),
                "--csv" => options.csv = Some(value()?),
                "--records" => options.records_max = value()?.parse()?,
                _ => return Err(format!("{argument} is unknown; see benches/scale.rs").into()),
            }
        }
        let known = |only: &String| TABLES.iter().any(|(name, _)| name == only);
        match options.only {
            Some(only) if !known(&only) => Err(format!("there is no table {only}").into()),
            _ => Ok(options),
        }
    }

    /// The sizes to show: `few` of them unless `--full` asks for all, the first two in a test.
    fn sizes(&self, few: &[usize], all: &[usize]) -> Vec<usize> {
        match (self.test, self.full) {
            (true, _) => few[..2].to_vec(),
            (false, false) => few.to_vec(),
            (false, true) => all.to_vec(),
        }
    }

    /// How many records one measurement puts.
    fn records(&self) -> usize {
        if self.test { 1_000 } else { 100_000 }
    }

    /// The median of some repetitions.
    fn median(&self, mut measure: impl FnMut() -> f64) -> f64 {
        let count = match (self.test, self.full) {
            (true, _) => 1,
            (false, false) => 3,
            (false, true) => 9,
        };
        let mut values: Vec<_> = (0..count).map(|_| measure()).collect();
        values.sort_by(f64::total_cmp);
        values[count / 2]
    }
}

/// One table: a column for each size, a row for each figure.
struct Figures {
    title: &'static str,
    varies: &'static str,
    sizes: Vec<usize>,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

impl Figures {
    fn new(title: &'static str, varies: &'static str, sizes: Vec<usize>) -> Self {
        Self {
            title,
            varies,
            sizes,
            rows: Vec::new(),
        }
    }

    /// Adds what was measured at the next size.
    fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        let name = name.into();
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.rows.push(Row {
                name,
                unit,
                values: vec![value],
            }),
        }
    }

    fn print(&self, name: &str) {
        println!("\n{name}: {}", self.title);
        print!("{:<38}{:<12}", self.varies, "");
        for size in &self.sizes {
            print!("{size:>11}");
        }
        println!();
        for row in &self.rows {
            print!("{:<38}{:<12}", row.name, row.unit);
            // A figure that makes no sense at the first size begins at the second.
            for _ in row.values.len()..self.sizes.len() {
                print!("{:>11}", "-");
            }
            for (index, value) in row.values.iter().enumerate() {
                match index {
                    0 => print!("{value:>11.1}"),
                    _ => print!("{:>10.2}x", value / row.values[0]),
                }
            }
            println!();
        }
    }

    fn add_to_csv(&self, table: &str, csv: &mut String) -> std::fmt::Result {
        for row in &self.rows {
            let without = self.sizes.len() - row.values.len();
            for (size, value) in self.sizes[without..].iter().zip(&row.values) {
                let (name, unit, varies) = (row.name.replace(',', ";"), row.unit, self.varies);
                let ratio = value / row.values[0];
                writeln!(
                    csv,
                    "{table},{name},{unit},{varies},{size},{value:.3},{ratio:.4}"
                )?;
            }
        }
        Ok(())
    }
}

/// The time of each record, in nanoseconds.
fn ns_each(count: usize, run: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_nanos() as f64 / count as f64
}

/// Millions in a second.
fn millions_per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64() / 1e6
}

/// P threads put records into S shards, each thread into all of them.
fn producers(options: &Options) -> Figures {
    const COUNTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
    let counts = options.sizes(&[1, 2, 4, 16, 64], &COUNTS);
    let mut figures = Figures::new(
        "records put by all threads together; below 1, more threads put less",
        "producers (threads)",
        counts.clone(),
    );
    let keys: Vec<_> = common::keys()
        .into_iter()
        .map(|key| PartitionKey::new(key).expect("the keys are short"))
        .collect();
    let total = 10 * options.records();
    for &thread_count in &counts {
        let share = total / thread_count;
        let rate = |put: &(dyn Fn(&Bytes) + Sync)| {
            options.median(|| {
                let time = common::at_the_same_time(thread_count, |_| {
                    put(&common::shared(DATA_BYTES));
                });
                millions_per_second(total, time)
            })
        };
        let harness = rate(&|data| {
            for key in keys.iter().cycle().take(share) {
                black_box((key, data.clone()));
            }
        });
        figures.add("harness", "M records/s", harness);
        for &shard_count in &counts {
            let stream = common::stream(shard_count as u32)
                .build()
                .expect("in bounds");
            let own = rate(&|data| put(&stream.producer(), &keys, data, share));
            let name = format!("{shard_count} shards");
            figures.add(name, "M records/s", own);
        }
    }
    figures
}

fn put(producer: &Producer, keys: &[PartitionKey], data: &Bytes, count: usize) {
    for key in keys.iter().cycle().take(count) {
        black_box(producer.put_record(key, data.clone())).expect("the stream is open");
    }
}

/// One thread puts, R threads read all of it as it comes.
fn readers(options: &Options) -> Figures {
    let counts = options.sizes(&[0, 1, 2, 4, 16, 64], &[0, 1, 2, 4, 8, 16, 32, 64]);
    let mut figures = Figures::new(
        "one writer and many readers of one shard, on threads of their own",
        "readers (threads)",
        counts.clone(),
    );
    // All of it is retained: no reader is overtaken.
    let total = options.records();
    let keys = [PartitionKey::new("customer-017").expect("the key is short")];
    for &reader_count in &counts {
        let mut read_rate = 0.0;
        let write_rate = options.median(|| {
            let stream = common::stream(1).build().expect("in bounds");
            let producer = stream.producer();
            let data = common::shared(DATA_BYTES);
            thread::scope(|scope| {
                let handles: Vec<_> = (0..reader_count)
                    .map(|_| {
                        let reader = horizon(&stream);
                        scope.spawn(move || read_all(reader, total))
                    })
                    .collect();
                let begin = Instant::now();
                put(&producer, &keys, &data, total);
                let written = begin.elapsed();
                for handle in handles {
                    handle.join().expect("a reader reads to the end");
                }
                read_rate = millions_per_second(total * reader_count, begin.elapsed());
                millions_per_second(total, written)
            })
        });
        figures.add("written", "M records/s", write_rate);
        if reader_count > 0 {
            figures.add(
                "delivered to each reader",
                "M records/s",
                read_rate / reader_count as f64,
            );
            figures.add("delivered in all", "M records/s", read_rate);
        }
    }
    figures
}

fn horizon(stream: &Stream) -> ShardIterator {
    stream.shards()[0]
        .iterator(StartingPosition::TrimHorizon)
        .expect("there are no limits")
}

fn read_all(mut reader: ShardIterator, total: usize) {
    let mut count = 0;
    while count < total {
        let batch = reader
            .get_records_timeout(10_000, Duration::from_secs(60))
            .expect("there are no limits");
        assert_eq!(batch.missed_count(), 0);
        for record in &batch {
            black_box((record.partition_key(), record.data()));
        }
        count += batch.len();
    }
}

/// A full shard that retains so many records.
fn retained(options: &Options) -> Figures {
    let records_max = if options.test {
        10_000
    } else {
        options.records_max
    };
    let sizes: Vec<_> = (3..)
        .map(|exponent| 10_usize.pow(exponent))
        .take_while(|&size| size as u64 <= records_max)
        .collect();
    let mut figures = Figures::new(
        "costs in a shard that is full and holds so many records",
        "records retained",
        sizes.clone(),
    );
    let count = options.records();
    for size in sizes {
        let log = FullLog::new(size);
        let put = options.median(|| ns_each(count, || log.put(count)));
        figures.add("put one", "ns", put);

        let pull = options.median(|| {
            let mut reader = log.stream.shards()[0]
                .iterator(StartingPosition::TrimHorizon)
                .expect("there are no limits");
            let mut pulled = 0;
            let begin = Instant::now();
            while pulled < size.min(count) {
                let batch = reader.get_records(1_000).expect("there are no limits");
                for record in &batch {
                    black_box((record.partition_key(), record.data()));
                }
                pulled += batch.len();
            }
            begin.elapsed().as_nanos() as f64 / pulled as f64
        });
        figures.add("pull one, of 1,000", "ns", pull);

        let finds = count / 100;
        let numbers = log.some_numbers(finds);
        let by_number = options.median(|| {
            ns_each(finds, || {
                for &number in &numbers {
                    log.find(StartingPosition::AtSequenceNumber(number));
                }
            })
        });
        figures.add("find a sequence number, pull one", "ns", by_number);

        let mut random = Random::new();
        let (newest, kept_ms) = (log.clock.now(), size as u64 / FullLog::RECORDS_PER_MS);
        let by_time = options.median(|| {
            ns_each(finds, || {
                for _ in 0..finds {
                    let age = Duration::from_millis(random.below(kept_ms));
                    log.find(StartingPosition::AtTimestamp(newest - age));
                }
            })
        });
        figures.add("find a time, pull one", "ns", by_time);
    }
    figures
}

struct FullLog {
    stream: Stream,
    producer: Producer,
    clock: ManualClock,
    data: Bytes,
}

impl FullLog {
    const RECORDS_PER_MS: u64 = 100;

    fn new(records: usize) -> Self {
        let clock = ManualClock::default();
        let stream = Stream::builder("scale")
            .capacity_records(records as u64)
            .capacity_bytes(u64::MAX / 2)
            .clock(clock.clone())
            .build()
            .expect("in bounds");
        let producer = stream.producer();
        let data = common::shared(SMALL_DATA_BYTES);
        let log = Self {
            stream,
            producer,
            clock,
            data,
        };
        log.put(records + 1_000);
        log
    }

    fn put(&self, count: usize) {
        for index in 0..count as u64 {
            if index % Self::RECORDS_PER_MS == 0 {
                self.clock.advance(Duration::from_millis(1));
            }
            let put = self.producer.put_record("customer-017", self.data.clone());
            black_box(put).expect("the stream is open");
        }
    }

    /// Numbers of retained records, some apart.
    fn some_numbers(&self, count: usize) -> Vec<SequenceNumber> {
        let mut random = Random::new();
        let mut reader = horizon(&self.stream);
        let mut all = Vec::new();
        loop {
            let batch = reader.get_records(10_000).expect("there are no limits");
            if batch.is_empty() {
                break;
            }
            let any = random.below(batch.len() as u64) as usize;
            all.extend(batch.iter().nth(any).map(|record| record.sequence_number()));
        }
        (0..count)
            .map(|_| all[random.below(all.len() as u64) as usize])
            .collect()
    }

    fn find(&self, position: StartingPosition) {
        let mut reader = self.stream.shards()[0]
            .iterator(position)
            .expect("there are no limits");
        let batch = reader.get_records(1).expect("there are no limits");
        assert_eq!(black_box(batch).len(), 1);
    }
}

/// Readers that exist, and do nothing.
fn idle(options: &Options) -> Figures {
    const COUNTS: [usize; 5] = [0, 10, 100, 1_000, 10_000];
    let counts = options.sizes(&COUNTS, &COUNTS);
    let mut figures = Figures::new(
        "a put, while so many readers exist",
        "readers that do nothing",
        counts.clone(),
    );
    let count = options.records();
    let keys = [PartitionKey::new("customer-017").expect("the key is short")];
    for &reader_count in &counts {
        let stream = common::stream(2).build().expect("in bounds");
        let producer = stream.producer();
        let data = common::shared(DATA_BYTES);
        let here = stream.shard_for(&keys[0]).expect("the stream is open");
        let elsewhere = stream
            .shards()
            .into_iter()
            .find(|shard| shard.id() != here.id());
        let elsewhere = elsewhere.expect("there are two shards");
        let latest = StartingPosition::Latest;

        let before = counting::live_bytes();
        let idle: Vec<_> = (0..reader_count)
            .map(|_| here.iterator(latest).expect("there are no limits"))
            .collect();
        let heap = counting::live_bytes() - before;
        let cost = options.median(|| ns_each(count, || put(&producer, &keys, &data, count)));
        figures.add("iterators of the same shard", "ns", cost);
        drop(idle);

        let mut readers: Vec<_> = (0..reader_count)
            .map(|_| elsewhere.iterator(latest).expect("there are no limits"))
            .collect();
        let waiting = wait_all(&mut readers);
        let cost = options.median(|| ns_each(count, || put(&producer, &keys, &data, count)));
        figures.add("readers that wait at another shard", "ns", cost);
        drop(waiting);

        if reader_count > 0 {
            let each = heap as f64 / reader_count as f64;
            figures.add("heap of an iterator", "bytes", each);
        }
    }
    figures
}

/// Readers that a put has to wake.
fn waiting(options: &Options) -> Figures {
    const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
    let counts = options.sizes(&COUNTS, &COUNTS);
    let mut figures = Figures::new(
        "a put that wakes so many readers (their wakers do nothing), for each reader",
        "readers that wait",
        counts.clone(),
    );
    let keys = [PartitionKey::new("customer-017").expect("the key is short")];
    for &reader_count in &counts {
        let stream = common::stream(1).build().expect("in bounds");
        let producer = stream.producer();
        let data = common::shared(DATA_BYTES);
        let shard = &stream.shards()[0];
        let (mut wait_ns, mut leave_ns) = (0.0, 0.0);
        let put_ns = options.median(|| {
            let mut readers: Vec<_> = (0..reader_count)
                .map(|_| shard.iterator(StartingPosition::Latest).expect("no limits"))
                .collect();
            let mut waiting = Vec::new();
            wait_ns = ns_each(reader_count, || waiting = wait_all(&mut readers));
            let cost = ns_each(reader_count, || put(&producer, &keys, &data, 1));
            drop(waiting);
            let waiting = wait_all_again(&mut readers);
            leave_ns = ns_each(reader_count, || drop(waiting));
            cost
        });
        figures.add("put", "ns a reader", put_ns);
        figures.add("begin to wait", "ns a reader", wait_ns);
        figures.add("give up, one after another", "ns a reader", leave_ns);
    }
    figures
}

type Waiting<'a> =
    Pin<Box<dyn Future<Output = Result<brooklet::RecordBatch, brooklet::Error>> + 'a>>;

/// Lets all readers wait for a record.
fn wait_all(readers: &mut [ShardIterator]) -> Vec<Waiting<'_>> {
    let mut context = Context::from_waker(Waker::noop());
    readers
        .iter_mut()
        .map(|reader| {
            let mut waiting: Waiting<'_> = Box::pin(reader.get_records_async(1));
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            waiting
        })
        .collect()
}

/// Reads what woke the readers, then lets them wait again.
fn wait_all_again(readers: &mut [ShardIterator]) -> Vec<Waiting<'_>> {
    for reader in &mut *readers {
        assert_eq!(reader.get_records(1).expect("there are no limits").len(), 1);
    }
    wait_all(readers)
}

/// Streams of so many shards.
fn shards(options: &Options) -> Figures {
    const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
    let counts = options.sizes(&COUNTS, &COUNTS);
    let mut figures = Figures::new("a stream of so many shards", "shards", counts.clone());
    let count = options.records();
    let keys: Vec<_> = common::keys()
        .into_iter()
        .map(|key| PartitionKey::new(key).expect("the keys are short"))
        .collect();
    let data = common::shared(DATA_BYTES);
    for &shard_count in &counts {
        let before = counting::live_bytes();
        let begin = Instant::now();
        let stream = common::stream(shard_count as u32)
            .build()
            .expect("in bounds");
        let made = begin.elapsed().as_nanos() as f64 / shard_count as f64;
        let heap = (counting::live_bytes() - before) as f64 / shard_count as f64;
        let producer = stream.producer();
        let one = options.median(|| ns_each(count, || put(&producer, &keys[..1], &data, count)));
        figures.add("put, all into one shard", "ns", one);
        let any = options.median(|| ns_each(count, || put(&producer, &keys, &data, count)));
        figures.add("put, 1,000 keys (cold caches)", "ns", any);
        figures.add("make a shard", "ns", made);
        figures.add("heap of an empty shard", "bytes", heap);
        let mut subscription = stream
            .subscribe(StartingPosition::Latest)
            .expect("it is open");
        // The first look at each shard; then they wait to be told.
        assert!(
            subscription
                .get_records(1)
                .expect("there are no limits")
                .is_empty()
        );
        let pairs = count / 100;
        let told = options.median(|| {
            ns_each(pairs, || {
                for key in keys.iter().cycle().take(pairs) {
                    producer
                        .put_record(key, data.clone())
                        .expect("the stream is open");
                    let batch = subscription.get_records(1).expect("there are no limits");
                    assert_eq!(batch.len(), 1);
                    assert!(subscription.get_records(1).expect("no limits").is_empty());
                }
            })
        });
        figures.add("put, pull with a subscription", "ns", told);
    }
    figures
}

/// So many streams of one shard.
fn streams(options: &Options) -> Figures {
    const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
    let counts = options.sizes(&COUNTS, &COUNTS);
    let mut figures = Figures::new("a registry of so many streams", "streams", counts.clone());
    let count = options.records();
    let data = common::shared(DATA_BYTES);
    let keys = [PartitionKey::new("customer-017").expect("the key is short")];
    for &stream_count in &counts {
        let registry = Registry::new();
        let before = counting::live_bytes();
        let begin = Instant::now();
        for index in 0..stream_count {
            let builder = Stream::builder(format!("stream-{index}")).capacity_records(100);
            registry.create(builder).expect("its name is new");
        }
        let made = begin.elapsed().as_nanos() as f64 / stream_count as f64;
        let heap = (counting::live_bytes() - before) as f64 / stream_count as f64;
        let names = registry.list();
        let producers: Vec<_> = names
            .iter()
            .map(|name| registry.get(name).expect("it is there").producer())
            .collect();
        let one = options.median(|| ns_each(count, || put(&producers[0], &keys, &data, count)));
        figures.add("put, all into one stream", "ns", one);
        let all = options.median(|| {
            ns_each(count, || {
                for producer in producers.iter().cycle().take(count) {
                    put(producer, &keys, &data, 1);
                }
            })
        });
        figures.add("put, streams in turn (cold caches)", "ns", all);
        let look_up = options.median(|| {
            ns_each(count, || {
                for name in names.iter().cycle().take(count) {
                    black_box(registry.get(name)).expect("it is there");
                }
            })
        });
        figures.add("look up a stream", "ns", look_up);
        figures.add("make a stream", "ns", made);
        figures.add("heap of an empty stream", "bytes", heap);
    }
    figures
}

/// Heap of a record beyond its data: the key, what describes it, what is not used.
fn memory(options: &Options) -> Figures {
    const SIZES: [usize; 8] = [0, 16, 100, 256, 512, 513, 1_024, 65_536];
    let sizes = options.sizes(&SIZES, &SIZES);
    let mut figures = Figures::new(
        "heap bytes a record, without its data (a key of 12 bytes is in it)",
        "bytes of data",
        sizes.clone(),
    );
    for &size in &sizes {
        let count = (256 * 1024 * 1024 / (size + 1_024)).min(2 * options.records());
        let heap_of = |make: &dyn Fn() -> Bytes| {
            let before = counting::live_bytes();
            let stream = Stream::builder("scale")
                .capacity_bytes(u64::MAX / 2)
                .build()
                .expect("in bounds");
            let producer = stream.producer();
            for _ in 0..count {
                producer
                    .put_record("customer-017", make())
                    .expect("it is open");
            }
            (counting::live_bytes() - before) as f64 / count as f64
        };
        let fresh = heap_of(&|| common::fresh(size)) - size as f64;
        figures.add("over data that was just made", "bytes", fresh);
        let data = common::shared(size);
        // Nobody else holds what was copied; what was not, all records share.
        let shared = heap_of(&|| data.clone());
        let copied = size <= 512;
        figures.add(
            "over data that is shared",
            "bytes",
            if copied { shared - size as f64 } else { shared },
        );
    }
    figures
}

/// Counts the bytes that are allocated.
#[expect(
    unsafe_code,
    reason = "an allocator is unsafe to implement; this one hands on all it is asked"
)]
mod counting {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicI64, Ordering};

    static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

    pub struct Counting(pub System);

    /// Bytes that are allocated now.
    pub fn live_bytes() -> i64 {
        LIVE_BYTES.load(Ordering::Relaxed)
    }

    fn add(bytes: usize) {
        LIVE_BYTES.fetch_add(bytes as i64, Ordering::Relaxed);
    }

    fn subtract(bytes: usize) {
        LIVE_BYTES.fetch_sub(bytes as i64, Ordering::Relaxed);
    }

    // SAFETY: each call is handed on to the system's allocator with the arguments that it came with;
    // counting touches no memory but the counter.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            add(layout.size());
            // SAFETY: the caller keeps the contract of `alloc`.
            unsafe { self.0.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            subtract(layout.size());
            // SAFETY: the caller keeps the contract of `dealloc`.
            unsafe { self.0.dealloc(pointer, layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            add(layout.size());
            // SAFETY: the caller keeps the contract of `alloc_zeroed`.
            unsafe { self.0.alloc_zeroed(layout) }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            subtract(layout.size());
            add(new_size);
            // SAFETY: the caller keeps the contract of `realloc`.
            unsafe { self.0.realloc(pointer, layout, new_size) }
        }
    }
}
