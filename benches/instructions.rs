//! How many instructions a record costs, counted by callgrind and compared with what is recorded.
//!
//! ```text
//! cargo bench --bench instructions                 compares with benches/instructions.toml
//! cargo bench --bench instructions -- --record     counts anew and writes that file
//! cargo bench --bench instructions -- --profile append_one     where they are spent, by function
//! ```
//!
//! Time differs from run to run; the number of instructions does not. A workload that takes over 5 %
//! more than recorded fails: make it cheaper, or record anew and say in the commit what the rise
//! buys. One that takes over 5 % less fails as well until it is recorded, so that what was won
//! cannot be lost again unnoticed.
//!
//! Needs `valgrind` (on Debian: `apt-get install -y valgrind`). The program starts itself again under
//! callgrind, once per workload, and counts only within the function of the workload. Everything
//! that could differ is kept out: the clock is turned by hand, the environment is empty, there is
//! one thread, and each workload has reached its steady state (full shards, chunks used again)
//! before it is counted. What is left is the compiler: another version of it makes other code. The
//! file says which one it was recorded with.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, process};

use brooklet::{
    HashKey, ManualClock, PartitionKey, Producer, ShardIterator, StartingPosition, Stream,
};
use bytes::Bytes;

/// Records that are counted for each workload.
const RECORDS: usize = 10_000;
/// Records that bring a stream to its steady state: more than four shards retain.
const WARM_UP: usize = 400_000;
/// Trimmed by whole chunks.
const CAPACITY_BYTES: u64 = 8 * 1024 * 1024;
/// Trimmed record by record.
const CAPACITY_RECORDS: u64 = 10_000;
const BATCH: usize = 500;
const PULL_LIMIT: usize = 1_000;
/// By so much a count may differ from the recorded one, in per cent.
const TOLERANCE: f64 = 5.0;

/// The workloads: a name, and what prepares and runs it. Each runs `RECORDS` records (or polls)
/// within a function of [`counted`].
const WORKLOADS: &[(&str, fn())] = &[
    ("harness_append", harness_append),
    ("append_one", append_one),
    ("append_one_hashed", append_one_hashed),
    ("append_one_reused_key", append_one_reused_key),
    ("append_one_hash_key", append_one_hash_key),
    ("append_one_handle", append_one_handle),
    ("append_one_full_by_records", append_one_full_by_records),
    ("append_batch", append_batch),
    ("append_batch_lent", append_batch_lent),
    ("append_batch_hashed", append_batch_hashed),
    ("append_batch_reused_key", append_batch_reused_key),
    ("pull_views", pull_views),
    ("pull_owned", pull_owned),
    ("pull_views_handle", pull_views_handle),
    ("pull_one", pull_one),
    ("poll_empty", poll_empty),
];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let result = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--workload"), Some(name)) => run_here(&name),
        (Some("--profile"), Some(name)) => profile(&name),
        (Some("--record"), None) => record(),
        (Some("--test"), None) => WORKLOADS.iter().try_for_each(|(name, _)| run_here(name)),
        (None, None) => compare(),
        _ => Err("usage: [--record | --profile WORKLOAD]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted: the calls, and the loop around them. The names are what callgrind looks for.
mod counted {
    use super::*;

    #[inline(never)]
    pub fn harness(key: &str, data: &Bytes) {
        for _ in 0..RECORDS {
            black_box((black_box(key), data.clone()));
        }
    }

    #[inline(never)]
    pub fn put_text(producer: &Producer, keys: &[String], data: &Bytes) {
        for key in keys {
            black_box(producer.put_record(key.as_str(), data.clone())).expect("the stream is open");
        }
    }

    #[inline(never)]
    pub fn put_reused(producer: &Producer, keys: &[PartitionKey], data: &Bytes) {
        for key in keys {
            black_box(producer.put_record(key, data.clone())).expect("the stream is open");
        }
    }

    #[inline(never)]
    pub fn put_hash_key(producer: &Producer, keys: &[(String, HashKey)], data: &Bytes) {
        for (key, hash_key) in keys {
            let put = producer.put_record_with_hash_key(key.as_str(), *hash_key, data.clone());
            black_box(put).expect("the stream is open");
        }
    }

    #[inline(never)]
    pub fn put_batches_text(producer: &Producer, keys: &[String], data: &Bytes) {
        for batch in keys.chunks(BATCH) {
            let entries = batch.iter().map(|key| (key.as_str(), data.clone()));
            let puts = producer.put_records(entries).expect("the stream is open");
            assert_eq!(black_box(puts).failed_record_count(), 0);
        }
    }

    #[inline(never)]
    pub fn put_batches_lent(producer: &Producer, keys: &[String], data: &Bytes) {
        for batch in keys.chunks(BATCH) {
            let entries = batch.iter().map(|key| (key.as_str(), data));
            let puts = producer.put_records(entries).expect("the stream is open");
            assert_eq!(black_box(puts).failed_record_count(), 0);
        }
    }

    #[inline(never)]
    pub fn put_batches_reused(producer: &Producer, keys: &[PartitionKey], data: &Bytes) {
        for batch in keys.chunks(BATCH) {
            let entries = batch.iter().map(|key| (key, data.clone()));
            let puts = producer.put_records(entries).expect("the stream is open");
            assert_eq!(black_box(puts).failed_record_count(), 0);
        }
    }

    #[inline(never)]
    pub fn views(iterator: &mut ShardIterator) -> usize {
        let mut records = 0;
        while records < RECORDS {
            let batch = iterator.get_records(PULL_LIMIT).expect("no limits");
            for record in &batch {
                black_box((record.partition_key(), record.data()));
            }
            records += batch.len();
        }
        records
    }

    #[inline(never)]
    pub fn ones(iterator: &mut ShardIterator) {
        for _ in 0..RECORDS {
            let batch = iterator.get_records(1).expect("no limits");
            for record in &batch {
                black_box((record.partition_key(), record.data()));
            }
        }
    }

    #[inline(never)]
    pub fn owned(iterator: &mut ShardIterator) -> usize {
        let mut records = 0;
        while records < RECORDS {
            let batch = iterator.get_records(PULL_LIMIT).expect("no limits");
            for record in batch.records() {
                black_box(record);
            }
            records += batch.len();
        }
        records
    }

    #[inline(never)]
    pub fn polls(iterator: &mut ShardIterator) {
        for _ in 0..RECORDS {
            black_box(iterator.get_records(PULL_LIMIT)).expect("no limits");
        }
    }
}

fn harness_append() {
    counted::harness("customer-017", &data(100));
}

fn append_one() {
    let producer = stream(1).producer();
    counted::put_text(&producer, &warm(&producer, &data(100)), &data(100));
}

fn append_one_hashed() {
    let producer = stream(4).producer();
    counted::put_text(&producer, &warm(&producer, &data(100)), &data(100));
}

fn append_one_reused_key() {
    let producer = stream(4).producer();
    let keys = reused(&warm(&producer, &data(100)));
    counted::put_reused(&producer, &keys, &data(100));
}

fn append_one_hash_key() {
    let producer = stream(4).producer();
    let keys: Vec<_> = warm(&producer, &data(100))
        .into_iter()
        .map(|key| (HashKey::of(&key), key))
        .map(|(hash_key, key)| (key, hash_key))
        .collect();
    counted::put_hash_key(&producer, &keys, &data(100));
}

fn append_one_handle() {
    let producer = stream(1).producer();
    counted::put_text(&producer, &warm(&producer, &data(1024)), &data(1024));
}

fn append_one_full_by_records() {
    let stream = Stream::builder("counted")
        .capacity_records(CAPACITY_RECORDS)
        .clock(ManualClock::default())
        .build()
        .expect("the settings are in bounds");
    let producer = stream.producer();
    counted::put_text(&producer, &warm(&producer, &data(100)), &data(100));
}

fn append_batch() {
    let producer = stream(1).producer();
    counted::put_batches_text(&producer, &warm(&producer, &data(100)), &data(100));
}

fn append_batch_lent() {
    let producer = stream(1).producer();
    counted::put_batches_lent(&producer, &warm(&producer, &data(100)), &data(100));
}

fn append_batch_hashed() {
    let producer = stream(4).producer();
    counted::put_batches_text(&producer, &warm(&producer, &data(100)), &data(100));
}

fn append_batch_reused_key() {
    let producer = stream(4).producer();
    let keys = reused(&warm(&producer, &data(100)));
    // The allocator sorts what was freed so far once it is asked for more than a little: not later, or
    // that would be counted.
    let first = keys[..BATCH].iter().map(|key| (key, data(100)));
    producer.put_records(first).expect("the stream is open");
    counted::put_batches_reused(&producer, &keys, &data(100));
}

fn pull_views() {
    let mut iterator = filled(100);
    assert_eq!(counted::views(&mut iterator), RECORDS);
}

fn pull_owned() {
    let mut iterator = filled(100);
    assert_eq!(counted::owned(&mut iterator), RECORDS);
}

fn pull_views_handle() {
    let mut iterator = filled(1024);
    assert_eq!(counted::views(&mut iterator), RECORDS);
}

fn pull_one() {
    counted::ones(&mut filled(100));
}

fn poll_empty() {
    let stream = stream(1);
    warm(&stream.producer(), &data(100));
    let mut iterator = stream.shards()[0]
        .iterator(StartingPosition::Latest)
        .expect("no limits");
    counted::polls(&mut iterator);
}

fn stream(shard_count: u32) -> Stream {
    Stream::builder("counted")
        .shard_count(shard_count)
        .capacity_bytes(CAPACITY_BYTES)
        .clock(ManualClock::default())
        .build()
        .expect("the settings are in bounds")
}

/// Data that is shared: cloning it counts references.
fn data(bytes: usize) -> Bytes {
    let data = Bytes::from(vec![7; bytes]);
    // The first clone makes it shared.
    drop(data.clone());
    data
}

/// Fills a stream of up to four shards until all of them trim; returns the keys to go on with.
fn warm(producer: &Producer, data: &Bytes) -> Vec<String> {
    let keys: Vec<_> = (0..RECORDS)
        .map(|index| format!("customer-{:03}", index % 1000))
        .collect();
    for key in keys.iter().cycle().take(WARM_UP) {
        producer
            .put_record(key.as_str(), data.clone())
            .expect("the stream is open");
    }
    keys
}

fn reused(keys: &[String]) -> Vec<PartitionKey> {
    keys.iter()
        .map(|key| PartitionKey::new(key.as_str()).expect("the keys are short"))
        .collect()
}

/// An iterator at the first of `RECORDS` records.
fn filled(data_bytes: usize) -> ShardIterator {
    let stream = Stream::builder("counted")
        .clock(ManualClock::default())
        .build()
        .expect("the settings are in bounds");
    let producer = stream.producer();
    for index in 0..RECORDS {
        let key = format!("customer-{:03}", index % 1000);
        producer
            .put_record(&key, data(data_bytes))
            .expect("the stream is open");
    }
    stream.shards()[0]
        .iterator(StartingPosition::TrimHorizon)
        .expect("no limits")
}

fn run_here(name: &str) -> Result<(), Box<dyn Error>> {
    let (_, run) = WORKLOADS
        .iter()
        .find(|(workload, _)| *workload == name)
        .ok_or_else(|| format!("there is no workload {name}"))?;
    run();
    Ok(())
}

fn compare() -> Result<(), Box<dyn Error>> {
    let recorded = Recorded::load()?;
    if recorded.machine != machine() {
        // Another architecture has other instructions: nothing to compare.
        println!(
            "recorded on {}, this is {}: not compared",
            recorded.machine,
            machine()
        );
        return Ok(());
    }
    let mut complaints = String::new();
    println!(
        "{:<26}{:>10}{:>10}{:>9}",
        "instructions a record", "recorded", "now", "change"
    );
    for (name, now) in count_all()? {
        let Some(&before) = recorded.counts.get(name) else {
            writeln!(complaints, "{name} is not recorded: run with --record")?;
            continue;
        };
        let change = (now / before - 1.0) * 100.0;
        println!("{name:<26}{before:>10.1}{now:>10.1}{change:>+8.1}%");
        if change > TOLERANCE {
            writeln!(
                complaints,
                "{name} takes {change:.1} % more instructions than recorded"
            )?;
        } else if change < -TOLERANCE {
            let fall = -change;
            writeln!(
                complaints,
                "{name} takes {fall:.1} % less than recorded: run with --record"
            )?;
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    let rustc = rustc()?;
    if rustc != recorded.rustc {
        writeln!(
            complaints,
            "recorded with {}, this is {rustc}: if the code did not change, run with --record",
            recorded.rustc
        )?;
    }
    Err(complaints.into())
}

fn record() -> Result<(), Box<dyn Error>> {
    let mut text = String::from(
        "# Instructions a record (or an empty poll), counted by callgrind; see instructions.rs.\n\
         # Written by `cargo bench --bench instructions -- --record`. Say in the commit why it changes.\n",
    );
    writeln!(text, "rustc = \"{}\"", rustc()?)?;
    writeln!(text, "machine = \"{}\"", machine())?;
    writeln!(text, "\n[instructions_per_record]")?;
    for (name, count) in count_all()? {
        writeln!(text, "{name} = {count:.1}")?;
    }
    print!("{text}");
    fs::write(Recorded::path(), text)?;
    Ok(())
}

/// Prints what callgrind says of a workload, by function.
fn profile(name: &str) -> Result<(), Box<dyn Error>> {
    let out = callgrind(name)?;
    let status = Command::new("callgrind_annotate")
        .arg("--show-percs=yes")
        .arg(&out)
        .status()?;
    fs::remove_file(out)?;
    if status.success() {
        Ok(())
    } else {
        Err("callgrind_annotate failed".into())
    }
}

fn count_all() -> Result<Vec<(&'static str, f64)>, Box<dyn Error>> {
    WORKLOADS
        .iter()
        .map(|&(name, _)| {
            let out = callgrind(name)?;
            let total = total(&out)?;
            fs::remove_file(out)?;
            Ok((name, total as f64 / RECORDS as f64))
        })
        .collect()
}

/// Runs a workload under callgrind; returns the file that callgrind wrote.
fn callgrind(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let out = env::temp_dir().join(format!("brooklet-{name}-{}.callgrind", process::id()));
    let run = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--toggle-collect=instructions::counted::*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["--workload", name])
        // The length of the environment moves the stack.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind does not run ({error}): is it installed?"))?;
    if run.status.success() {
        return Ok(out);
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(format!("valgrind failed on {name}:\n{said}").into())
}

/// The total of a file of callgrind's.
fn total(out: &Path) -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string(out)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .ok_or("callgrind's file has no totals")?
        .trim()
        .parse()?;
    if total == 0 {
        // The name of a counted function was not found: the count would mean nothing.
        return Err("callgrind counted nothing".into());
    }
    Ok(total)
}

/// What the file says.
struct Recorded {
    rustc: String,
    machine: String,
    counts: BTreeMap<String, f64>,
}

impl Recorded {
    fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml")
    }

    fn load() -> Result<Self, Box<dyn Error>> {
        let mut recorded = Self {
            rustc: String::new(),
            machine: String::new(),
            counts: BTreeMap::new(),
        };
        for line in fs::read_to_string(Self::path())?.lines() {
            match line.split_once(" = ") {
                Some(("rustc", version)) => recorded.rustc = version.trim_matches('"').to_owned(),
                Some(("machine", name)) => recorded.machine = name.trim_matches('"').to_owned(),
                Some((name, count)) if !name.starts_with('#') => {
                    recorded.counts.insert(name.to_owned(), count.parse()?);
                }
                _ => {}
            }
        }
        Ok(recorded)
    }
}

/// The version of the compiler, without its date.
fn rustc() -> Result<String, Box<dyn Error>> {
    let said = Command::new("rustc").arg("--version").output()?;
    let said = String::from_utf8(said.stdout)?;
    Ok(said
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" "))
}

fn machine() -> String {
    format!("{} {}", env::consts::ARCH, env::consts::OS)
}
