//! Threads that put, read, trim and split, and what they were answered.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use brooklet::{
    HashKey, ManualClock, PutEntry, SequenceNumber, ShardIterator, StartingPosition, Stream,
};

use crate::model::{Call, Read, What};

const THREADS: u32 = 5;
/// Calls of each thread; some are of two parts.
const STEPS: u32 = 200;

/// The kind of stream.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    shards: u32,
    capacity: Option<u64>,
    splits: u64,
}

impl Settings {
    pub fn of(seed: u64) -> Self {
        Self {
            shards: 1 + u32::from(seed % 5 == 0),
            capacity: [None, Some(4), Some(24), None][usize::try_from(seed % 4).unwrap()],
            splits: seed % 3,
        }
    }
}

pub struct History {
    pub settings: Settings,
    pub calls: Vec<Call>,
}

impl History {
    /// How many calls began while another one of their shard was under way.
    pub fn overlapping(&self) -> usize {
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|call| call.called);
        let mut latest = BTreeMap::new();
        let overlapping = calls.iter().filter(|call| {
            let latest = latest.entry(call.shard).or_insert(i64::MIN);
            let overlaps = call.called < *latest;
            *latest = call.returned.max(*latest);
            overlaps
        });
        overlapping.count()
    }

    pub fn text(&self) -> String {
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|call| (call.shard, call.called));
        let mut text = String::new();
        for call in calls {
            let Call {
                thread,
                shard,
                called,
                returned,
                what,
            } = call;
            writeln!(
                text,
                "shard {shard}, thread {thread}, {called}..{returned}: {what:?}"
            )
            .expect("a string takes it");
        }
        text
    }
}

/// Random numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, thread: u32) -> Self {
        let mut dice = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(thread + 1));
        // Seeds that are alike shall not begin alike.
        for _ in 0..8 {
            dice.roll(2);
        }
        dice
    }

    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*, from a state that is never zero.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % sides
    }
}

/// What the threads share.
struct Shared {
    stream: Stream,
    settings: Settings,
    time: AtomicI64,
    next_record: AtomicU64,
    splits_left: AtomicU64,
    calls: Mutex<Vec<Call>>,
    begin: Barrier,
}

/// One thread.
struct Caller<'a> {
    shared: &'a Shared,
    thread: u32,
    dice: Dice,
    calls: Vec<Call>,
    readers: Vec<Reader>,
}

struct Reader {
    iterator: ShardIterator,
    /// Of the next record that it has not passed; 0: the trim horizon.
    place: u64,
}

pub fn record(settings: Settings, seed: u64) -> History {
    let stream = Stream::builder("recorded")
        .clock(ManualClock::default())
        .shard_count(settings.shards);
    let stream = match settings.capacity {
        // The bytes are more than so many records take; they make chunks small.
        Some(records) => stream.capacity_records(records).capacity_bytes(32 * 1024),
        None => stream,
    };
    let stream = stream.build().expect("the settings are in bounds");
    let created = stream.shards().into_iter().map(|shard| Call {
        thread: THREADS,
        shard: shard.id().index(),
        called: -2,
        returned: -1,
        what: What::Create,
    });
    let shared = Shared {
        settings,
        time: AtomicI64::new(0),
        next_record: AtomicU64::new(0),
        splits_left: AtomicU64::new(settings.splits),
        calls: Mutex::new(created.collect()),
        begin: Barrier::new(THREADS as usize),
        stream,
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || {
                let mut caller = Caller {
                    shared,
                    thread,
                    dice: Dice::new(seed, thread),
                    calls: Vec::new(),
                    readers: Vec::new(),
                };
                shared.begin.wait();
                for _ in 0..STEPS {
                    caller.step();
                }
                let mut calls = shared.calls.lock().expect("nobody panics under it");
                calls.append(&mut caller.calls);
            });
        }
    });
    let calls = shared.calls.into_inner().expect("nobody panics under it");
    History { settings, calls }
}

impl Caller<'_> {
    fn step(&mut self) {
        match self.dice.roll(100) {
            0..40 => self.put(),
            40..50 => self.put_batch(),
            50..57 => self.begin_at_the_tip(),
            57..60 => self.begin_at_the_horizon(),
            60..62 => self.split(),
            62..65 => self.ask_whether_open(),
            65..69 => self.ask_for_figures(),
            _ => self.read(),
        }
    }

    /// When it is called, and what it is answered. Between the two, and the counter, another thread
    /// now and then gets its turn.
    fn call<R>(&mut self, run: impl FnOnce(&Stream) -> R) -> (i64, R, i64) {
        let stops = [(); 2].map(|()| self.dice.roll(6) == 0);
        let stop = |stops: bool| {
            if stops {
                thread::yield_now();
            }
        };
        let tick = || self.shared.time.fetch_add(1, Ordering::SeqCst);
        let called = tick();
        stop(stops[0]);
        let answer = run(&self.shared.stream);
        stop(stops[1]);
        (called, answer, tick())
    }

    fn note(&mut self, shard: u32, (called, returned): (i64, i64), what: What) {
        self.calls.push(Call {
            thread: self.thread,
            shard,
            called,
            returned,
            what,
        });
    }

    fn new_records(&mut self, count: u64) -> Vec<u64> {
        let first = self.shared.next_record.fetch_add(count, Ordering::Relaxed);
        (first..first + count).collect()
    }

    fn hash_key(&mut self) -> HashKey {
        HashKey::new(u128::from(self.dice.roll(16)) << 124)
    }

    fn put(&mut self) {
        let (records, key) = (self.new_records(1), self.hash_key());
        let data = data_of(&mut self.dice, records[0]);
        let (called, put, returned) = self.call(|stream| {
            let put = stream.producer().put_record_with_hash_key("k", key, data);
            put.expect("an open stream takes records")
        });
        let shard = put.shard_id().index();
        self.note_put(
            shard,
            (called, returned),
            place_of(put.sequence_number()),
            records,
        );
    }

    /// All of one key, and so of one shard; unless that is split on the way.
    fn put_batch(&mut self) {
        let count = 2 + self.dice.roll(3);
        let (records, key) = (self.new_records(count), self.hash_key());
        let entries: Vec<_> = records
            .iter()
            .map(|record| {
                PutEntry::new("k", data_of(&mut self.dice, *record)).explicit_hash_key(key)
            })
            .collect();
        let (called, puts, returned) = self.call(|stream| {
            let puts = stream.producer().put_records(entries);
            puts.expect("an open stream takes records")
        });
        let puts = puts.into_result().expect("none is refused");
        let mut by_shard = BTreeMap::<u32, (u64, Vec<u64>)>::new();
        for (put, record) in puts.iter().zip(records) {
            let place = place_of(put.sequence_number());
            let of_shard = by_shard.entry(put.shard_id().index());
            let (first, records) = of_shard.or_insert((place, Vec::new()));
            assert_eq!(place, *first + records.len() as u64, "one after another");
            records.push(record);
        }
        for (shard, (first, records)) in by_shard {
            self.note_put(shard, (called, returned), first, records);
        }
    }

    fn note_put(&mut self, shard: u32, when: (i64, i64), first: u64, records: Vec<u64>) {
        let nexts = first + 1..=first + records.len() as u64;
        self.note(shard, when, What::Put { first, records });
        let Some(capacity) = self.shared.settings.capacity else {
            return;
        };
        for to in nexts.filter_map(|next| next.checked_sub(capacity)) {
            if to > 1 {
                self.note(shard, when, What::Trim { to });
            }
        }
    }

    fn any_shard(&mut self) -> brooklet::Shard {
        let mut shards = self.shared.stream.shards();
        let index = self.dice.roll(shards.len() as u64);
        shards.swap_remove(usize::try_from(index).expect("few shards"))
    }

    fn begin_at_the_tip(&mut self) {
        let shard = self.any_shard();
        let (called, iterator, returned) = self.call(|_| {
            let iterator = shard.iterator(StartingPosition::Latest);
            iterator.expect("the stream is there")
        });
        let StartingPosition::AfterSequenceNumber(passed) = iterator.position() else {
            panic!("{:?} is not behind a record", iterator.position());
        };
        let place = place_of(passed) + 1;
        self.note(
            shard.id().index(),
            (called, returned),
            What::Latest { place },
        );
        self.keep(Reader { iterator, place });
    }

    /// From where it begins is decided when it reads: making it is no call that could be wrong.
    fn begin_at_the_horizon(&mut self) {
        let iterator = self.any_shard().iterator(StartingPosition::TrimHorizon);
        let iterator = iterator.expect("the stream is there");
        self.keep(Reader { iterator, place: 0 });
    }

    fn keep(&mut self, reader: Reader) {
        if self.readers.len() == 4 {
            let index = self.dice.roll(4);
            self.readers
                .swap_remove(usize::try_from(index).expect("one of four"));
        }
        self.readers.push(reader);
    }

    fn read(&mut self) {
        if self.readers.is_empty() {
            return self.begin_at_the_horizon();
        }
        let index = self.dice.roll(self.readers.len() as u64);
        let mut reader = self
            .readers
            .swap_remove(usize::try_from(index).expect("few readers"));
        let limit = [1, 2, 5, 1_000][usize::try_from(self.dice.roll(4)).expect("one of four")];
        let (called, batch, returned) = self.call(|_| {
            let batch = reader.iterator.get_records(limit);
            batch.expect("the stream is there")
        });
        let records = batch
            .iter()
            .map(|view| record_of(view.data()))
            .collect::<Vec<_>>();
        let places: Vec<_> = batch
            .iter()
            .map(|view| place_of(view.sequence_number()))
            .collect();
        assert!(
            places.windows(2).all(|two| two[0] + 1 == two[1]),
            "{places:?}"
        );
        let (from, missed, shard) = (reader.place, batch.missed_count(), batch.shard_id().index());
        let next = match (reader.iterator.position(), places.last()) {
            (_, Some(last)) => last + 1,
            (StartingPosition::AfterSequenceNumber(passed), None) => place_of(passed) + 1,
            (other, None) => panic!("{other:?} is not behind a record"),
        };
        let start = next - records.len() as u64;
        assert!(places.first().is_none_or(|first| *first == start));
        assert!(
            from == 0 || start == from + missed,
            "{from} + {missed} is not {start}"
        );
        let answer = Read {
            missed,
            records,
            ended: batch.shard_ended(),
        };
        let when = (called, returned);
        if self.shared.settings.capacity.is_none() {
            self.note(
                shard,
                when,
                What::Read {
                    from,
                    limit,
                    answer,
                },
            );
        } else {
            self.note(
                shard,
                when,
                What::Begin {
                    from,
                    missed,
                    start,
                },
            );
            self.note(
                shard,
                when,
                What::ReadOn {
                    start,
                    limit,
                    answer,
                },
            );
        }
        reader.place = next;
        self.readers.push(reader);
    }

    /// Splits a shard in the middle, unless there were enough splits or another thread is faster.
    fn split(&mut self) {
        let left = |left: u64| left.checked_sub(1);
        let splits_left = &self.shared.splits_left;
        if splits_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_err()
        {
            return;
        }
        let shard = self.any_shard();
        let (start, end) = (shard.hash_key_range().start(), shard.hash_key_range().end());
        let middle = HashKey::new(start.get() + (end.get() - start.get()) / 2 + 1);
        let (called, split, returned) = self.call(|stream| stream.split_shard(shard.id(), middle));
        if split.is_err() {
            self.shared.splits_left.fetch_add(1, Ordering::Relaxed);
            self.note(
                shard.id().index(),
                (called, returned),
                What::IsOpen { open: false },
            );
            return;
        }
        self.note(shard.id().index(), (called, returned), What::Close);
        for child in shard.child_shards() {
            self.note(child.shard_id().index(), (called, returned), What::Create);
        }
    }

    fn ask_whether_open(&mut self) {
        let shard = self.any_shard();
        let (called, open, returned) = self.call(|_| shard.is_open());
        self.note(
            shard.id().index(),
            (called, returned),
            What::IsOpen { open },
        );
    }

    fn ask_for_figures(&mut self) {
        let shard = self.any_shard();
        let (called, figures, returned) = self.call(|_| shard.metrics());
        let (accepted, trimmed) = (figures.records_in, figures.records_trimmed);
        let what = What::Figures { accepted, trimmed };
        self.note(shard.id().index(), (called, returned), what);
    }
}

/// Some data is copied, some is not.
fn data_of(dice: &mut Dice, record: u64) -> Vec<u8> {
    let mut data = record.to_le_bytes().to_vec();
    let padding = [0, 3, 100, 600][usize::try_from(dice.roll(4)).expect("one of four")];
    data.resize(8 + padding, record.to_le_bytes()[0]);
    data
}

fn record_of(data: &[u8]) -> u64 {
    let (number, padding) = data.split_first_chunk().expect("a number");
    assert!(
        padding.iter().all(|byte| *byte == number[0]),
        "a record is whole"
    );
    u64::from_le_bytes(*number)
}

/// The place in a number, from its decimal form: 64 bits from the 81st on.
fn place_of(number: SequenceNumber) -> u64 {
    let (mut high, mut low) = (0u128, 0u128);
    for digit in number.to_string().bytes() {
        low = low * 10 + u128::from(digit - b'0');
        (high, low) = (high * 10 + (low >> 80), low & ((1 << 80) - 1));
    }
    high as u64
}
