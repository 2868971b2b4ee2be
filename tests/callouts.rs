//! Call-outs: user code that the crate calls may panic, or call back into the stream, at any place.
//!
//! ```text
//!   call-outs   the clock | the drop of data | a waker's wake, clone, drop | entries and conversions
//!         x
//!   calls       put, get, wait, split, merge, list, describe, close, delete, and the others
//!         x
//!   states      fresh | aged: everything expires with this call | full: every put trims
//! ```
//!
//! For each, the first, second, third and so on call-out of the call panics, in a world of its own. Afterwards
//! every shard takes and gives records, nobody sleeps on a record, and no accepted record is gone:
//! whoever read from the beginning has each, or was told that it missed it. A call that does not
//! come back fails its test after a while.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use brooklet::{
    Batches, Clock, Data, Error, HashKey, ManualClock, OnFull, Parker, PartitionKey, Producer,
    PutEntry, Registry, Shard, ShardFilter, ShardIterator, StartingPosition, Stream, StreamStatus,
    Subscription, Timestamp,
};
use bytes::Bytes;
use common::{clock, id, millis, secs};
use wakers::{Wakes, in_time, poll, poll_next};

use StartingPosition::{AfterSequenceNumber, AtTimestamp, Latest, TrimHorizon};

mod common;
mod wakers;

const RETENTION: Duration = secs(60);

/// Which kind of user code is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callout {
    Clock,
    Data,
    Wake,
}

type Run = Box<dyn FnOnce() + Send>;

/// What happens at the n-th call-out of one kind.
#[derive(Default)]
struct Trap {
    left: AtomicIsize,
    sprung: AtomicBool,
    /// What to do; a panic unless set.
    run: Mutex<Option<Run>>,
}

impl Trap {
    fn set(&self, nth: isize, run: Option<Run>) {
        *self.run.lock().unwrap() = run;
        self.left.store(nth, Ordering::SeqCst);
    }

    /// Whether it was sprung.
    fn clear(&self) -> bool {
        self.left.store(0, Ordering::SeqCst);
        let unused = self.run.lock().unwrap().take();
        drop(unused);
        self.sprung.load(Ordering::SeqCst)
    }

    fn spring(&self) {
        if self.left.load(Ordering::SeqCst) <= 0 || self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        self.sprung.store(true, Ordering::SeqCst);
        let run = self.run.lock().unwrap().take();
        match run {
            Some(run) => run(),
            None => panic!("user code"),
        }
    }
}

/// One trap for each kind of call-out.
#[derive(Clone, Default)]
struct Traps {
    clock: Arc<Trap>,
    data: Arc<Trap>,
    wake: Arc<Trap>,
}

impl Traps {
    fn of(&self, callout: Callout) -> &Trap {
        match callout {
            Callout::Clock => &self.clock,
            Callout::Data => &self.data,
            Callout::Wake => &self.wake,
        }
    }
}

/// A clock that never lets anybody wait: it turns itself on to their deadline.
struct TrapClock {
    clock: ManualClock,
    trap: Arc<Trap>,
}

impl Clock for TrapClock {
    fn now(&self) -> Timestamp {
        self.trap.spring();
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.trap.spring();
        self.clock.monotonic()
    }

    fn park(&self, _: &Parker, deadline: Duration) {
        self.trap.spring();
        self.clock
            .advance(deadline.saturating_sub(self.clock.monotonic()));
    }
}

impl fmt::Debug for TrapClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrapClock").finish_non_exhaustive()
    }
}

/// Data whose drop is user code.
struct TrapData {
    bytes: Vec<u8>,
    trap: Arc<Trap>,
}

impl AsRef<[u8]> for TrapData {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for TrapData {
    fn drop(&mut self) {
        self.trap.spring();
    }
}

/// A waker whose wake is user code.
struct TrapWaker(Arc<Trap>);

impl Wake for TrapWaker {
    fn wake(self: Arc<Self>) {
        self.0.spring();
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Fresh,
    Aged,
    Full,
}

/// What can be done from anywhere.
#[derive(Clone)]
struct Handles {
    registry: Registry,
    stream: Stream,
    producer: Producer,
    traps: Traps,
    /// Records whose puts returned.
    accepted: Arc<AtomicUsize>,
    /// Records whose puts did not return: they may have been accepted.
    unsure: Arc<AtomicUsize>,
    /// Whether somebody closed or deleted the stream.
    ended: Arc<AtomicBool>,
}

/// A stream with records, those who read it, and those who wait.
struct World {
    handles: Handles,
    clock: ManualClock,
    /// On shard 0 from its first record on; has read nothing.
    iterator: ShardIterator,
    iterator_count: u64,
    /// From the beginning; has read most of it.
    subscription: Subscription,
    subscription_count: u64,
    /// Three wait on each open shard; the second one's waker is trapped.
    waiting: Vec<(Batches, Option<Arc<Wakes>>)>,
}

impl Handles {
    fn data(&self, size: usize) -> Bytes {
        let (bytes, trap) = (vec![b'x'; size], Arc::clone(&self.traps.data));
        Bytes::from_owner(TrapData { bytes, trap })
    }

    fn put(&self, hash_key: HashKey, size: usize) -> Result<(), Error> {
        self.puts(1, || {
            let data = self.data(size);
            let put = self
                .producer
                .put_record_with_hash_key("key", hash_key, data);
            put.map(|_| 1)
        })
    }

    fn put_many(&self) -> Result<(), Error> {
        self.puts(6, || {
            let entries = [10, 600, 20, 5_000, 30, 700].into_iter().zip(0_u128..);
            let entries = entries.map(|(size, index)| {
                let hash_key = HashKey::new(index % 3 * (u128::MAX / 2));
                PutEntry::new("key", self.data(size)).explicit_hash_key(hash_key)
            });
            let output = self.producer.put_records(entries)?;
            Ok(output.records().len() - output.failed_record_count())
        })
    }

    fn puts(&self, count: usize, put: impl FnOnce() -> Result<usize, Error>) -> Result<(), Error> {
        self.unsure.fetch_add(count, Ordering::SeqCst);
        let result = put();
        self.unsure.fetch_sub(count, Ordering::SeqCst);
        result.map(|accepted| {
            self.accepted.fetch_add(accepted, Ordering::SeqCst);
        })
    }

    fn open(&self) -> Vec<Shard> {
        let mut open: Vec<_> = self.stream.shards();
        open.retain(Shard::is_open);
        open.sort_by_key(|shard| shard.hash_key_range().start());
        open
    }

    fn split(&self) -> Result<(), Error> {
        let open = self.open();
        let Some(shard) = open.first() else {
            return Ok(());
        };
        let range = shard.hash_key_range();
        let middle = range.start().get() + (range.end().get() - range.start().get()) / 2;
        self.stream.split_shard(shard.id(), HashKey::new(middle))
    }

    fn merge(&self) -> Result<(), Error> {
        match &self.open()[..] {
            [lower, upper, ..] => self.stream.merge_shards(lower.id(), upper.id()),
            _ => Ok(()),
        }
    }

    fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.stream.close();
    }

    fn delete(&self) -> Result<(), Error> {
        self.ended.store(true, Ordering::SeqCst);
        self.registry.delete("orders")
    }
}

impl World {
    fn new(state: State) -> Self {
        let clock = clock();
        let traps = Traps::default();
        let trap = Arc::clone(&traps.clock);
        let trap_clock = TrapClock {
            clock: clock.clone(),
            trap,
        };
        let registry = Registry::builder().clock(trap_clock).build();
        let mut builder = Stream::builder("orders")
            .shard_count(2)
            .retention(RETENTION);
        if let State::Full = state {
            builder = builder.capacity_records(4);
        }
        let stream = registry.create(builder).unwrap();
        let handles = Handles {
            producer: stream.producer(),
            registry,
            traps,
            accepted: Arc::default(),
            unsure: Arc::default(),
            ended: Arc::default(),
            stream,
        };
        // Not at the trim horizon: whoever asks for that misses nothing.
        let begin = handles
            .stream
            .shard(id(0))
            .unwrap()
            .starting_sequence_number();
        let mut world = Self {
            iterator: handles
                .stream
                .shard_iterator(id(0), AfterSequenceNumber(begin))
                .unwrap(),
            iterator_count: 0,
            subscription: handles.stream.subscribe(TrimHorizon).unwrap(),
            subscription_count: 0,
            waiting: Vec::new(),
            clock,
            handles,
        };
        let put_some = |world: &Self| {
            for size in [5, 600, 0, 70_000, 6, 513, 8] {
                world.handles.put(HashKey::MIN, size).unwrap();
                world.handles.put(HashKey::MAX, size).unwrap();
            }
        };
        put_some(&world);
        // Shard 1 is closed, and nobody but the stream holds it once it was read.
        world
            .handles
            .stream
            .split_shard(id(1), HashKey::new(3 << 126))
            .unwrap();
        while world.pull_subscription() > 0 {}
        put_some(&world);
        for shard in world.handles.open() {
            for trapped in [false, true, false] {
                let mut batches = shard.iterator(Latest).unwrap().batches(10);
                let wakes = (!trapped).then(Wakes::new);
                let trap = Arc::clone(&world.handles.traps.wake);
                let waker = wakes
                    .as_ref()
                    .map_or_else(|| Waker::from(Arc::new(TrapWaker(trap))), Wakes::waker);
                assert!(poll_next(&mut batches, &waker).is_pending());
                world.waiting.push((batches, wakes));
            }
        }
        if let State::Aged = state {
            world.clock.advance(RETENTION + millis(1));
        }
        world
    }

    /// How many records the subscription read or missed.
    fn pull_subscription(&mut self) -> u64 {
        let batch = self.subscription.get_records(3).unwrap();
        let count = batch.len() as u64 + batch.missed_count();
        self.subscription_count += count;
        count
    }

    fn pull_iterator(&mut self) -> bool {
        let batch = self.iterator.get_records(3).unwrap();
        self.iterator_count += batch.len() as u64 + batch.missed_count();
        batch.shard_ended()
    }

    /// Checks that every shard takes and gives records, that nobody sleeps on one, and that none is
    /// gone.
    fn assert_usable(mut self, what: &str) {
        let handles = self.handles.clone();
        let ended = handles.ended.load(Ordering::SeqCst);
        for shard in handles.open() {
            let put = handles.put(shard.hash_key_range().start(), 10);
            assert!(
                put.is_ok() || ended,
                "{what}: a shard takes no record: {put:?}"
            );
        }
        let put = handles.put_many();
        assert!(put.is_ok() || ended, "{what}: a batch is refused: {put:?}");
        let gone = handles.registry.get("orders").is_err();
        if gone || handles.stream.status() == StreamStatus::Deleting {
            assert!(ended, "{what}: the stream is gone");
            for result in [
                handles.put(HashKey::MIN, 1),
                self.iterator.get_records(1).map(drop),
            ] {
                assert!(
                    matches!(result, Err(Error::StreamNotFound { .. })),
                    "{what}: {result:?}"
                );
            }
        } else {
            assert!(
                handles.split().is_ok() || ended,
                "{what}: no split is possible"
            );
            let put = handles.put(HashKey::MIN, 10);
            assert!(
                put.is_ok() || ended,
                "{what}: the split is not finished: {put:?}"
            );
            handles.stream.close();
            let shard = handles.stream.shard(id(0));
            let iterated = (0..1_000).any(|_| self.pull_iterator());
            assert!(iterated, "{what}: shard 0 has no end");
            let records_in = shard.map(|shard| shard.metrics().records_in);
            let records_in = records_in.unwrap_or(self.iterator_count);
            assert_eq!(
                self.iterator_count, records_in,
                "{what}: the iterator lost records"
            );
            for _ in 0..1_000 {
                self.pull_subscription();
            }
            assert!(
                self.subscription.is_finished(),
                "{what}: a shard is left out"
            );
            let accepted = handles.accepted.load(Ordering::SeqCst) as u64;
            let at_most = accepted + handles.unsure.load(Ordering::SeqCst) as u64;
            let count = self.subscription_count;
            assert!(
                (accepted..=at_most).contains(&count),
                "{what}: {accepted} to {at_most} records were accepted, {count} read or missed"
            );
        }
        for (batches, wakes) in &mut self.waiting {
            let asleep = wakes.as_ref().is_some_and(|wakes| wakes.count() == 0);
            assert!(!asleep, "{what}: somebody sleeps on the end of a shard");
            assert!(
                poll_next(batches, Waker::noop()).is_ready(),
                "{what}: it was woken for nothing"
            );
        }
        let other = handles.registry.create(Stream::builder("invoices"));
        assert!(other.is_ok(), "{what}: the registry is stuck");
    }
}

type Call = fn(&mut World) -> Result<(), Error>;

/// Lets each call-out of a call panic, one after the other.
fn panics(callout: Callout, call: Call) {
    for state in [State::Fresh, State::Aged, State::Full] {
        in_time(move || {
            for nth in 1..1_000 {
                let mut world = World::new(state);
                let traps = world.handles.traps.clone();
                let trap = traps.of(callout);
                trap.set(nth, None);
                let result = catch_unwind(AssertUnwindSafe(|| call(&mut world)));
                let sprung = trap.clear();
                let what = format!("{callout:?} {nth} of a {state:?} stream");
                assert_eq!(
                    result.is_err(),
                    sprung,
                    "{what}: the panic reaches whoever called"
                );
                world.assert_usable(&what);
                if !sprung {
                    return;
                }
            }
            panic!("the call calls out without an end");
        });
    }
}

type Reentry = fn(&Handles);

/// What user code may call from within a call-out.
const REENTRIES: [(&str, Reentry); 16] = [
    ("put", |h| drop(h.put(HashKey::MIN, 9))),
    ("put large", |h| drop(h.put(HashKey::MIN, 900))),
    ("put to the last shard", |h| drop(h.put(HashKey::MAX, 9))),
    ("put many", |h| drop(h.put_many())),
    ("read", |h| {
        for shard in h.stream.shards() {
            let read = shard
                .iterator(TrimHorizon)
                .and_then(|mut it| it.get_records(100));
            drop(read);
        }
    }),
    ("subscribe", |h| {
        if let Ok(mut subscription) = h.stream.subscribe(TrimHorizon) {
            drop(subscription.get_records(100));
        }
    }),
    ("wait", |h| {
        if let Ok(mut iterator) = h.stream.shard_iterator(id(0), Latest) {
            drop(iterator.get_records_timeout(10, millis(1)));
            let _pending = poll(
                Box::pin(iterator.get_records_async(10)).as_mut(),
                Waker::noop(),
            );
        }
    }),
    ("split", |h| drop(h.split())),
    ("merge", |h| drop(h.merge())),
    ("update the shard count", |h| {
        drop(h.stream.update_shard_count(4))
    }),
    ("set the retention", |h| {
        drop(h.stream.set_retention(RETENTION / 2))
    }),
    ("look at the figures", |h| {
        drop((h.stream.metrics(), h.stream.describe()))
    }),
    ("list", |h| {
        drop((h.registry.list(), h.registry.get("orders")));
        drop((
            h.stream.list_shards(ShardFilter::AtTrimHorizon),
            h.stream.shard_for("key"),
        ));
    }),
    ("create another", |h| {
        drop(h.registry.create(Stream::builder("another")))
    }),
    ("close", Handles::close),
    ("delete", |h| drop(h.delete())),
];

/// Lets call-outs of a call call back into the stream.
fn reenters(callout: Callout, call: Call) {
    for state in [State::Fresh, State::Aged, State::Full] {
        for (name, reentry) in REENTRIES {
            in_time(move || {
                for nth in [1, 2, 3, 5, 8, 13] {
                    let mut world = World::new(state);
                    let traps = world.handles.traps.clone();
                    let handles = world.handles.clone();
                    let trap = traps.of(callout);
                    trap.set(nth, Some(Box::new(move || reentry(&handles))));
                    let result = catch_unwind(AssertUnwindSafe(|| call(&mut world)));
                    let sprung = trap.clear();
                    let what = format!("{name} in {callout:?} {nth} of a {state:?} stream");
                    assert!(result.is_ok(), "{what}: it panicked");
                    world.assert_usable(&what);
                    if !sprung {
                        return;
                    }
                }
            });
        }
    }
}

/// Runs every call below with panicking and with re-entering user code of a kind.
macro_rules! calls {
    ($($name:ident: $call:expr,)*) => {
        mod a_clock_that_panics_in {
            $(#[test] fn $name() { super::panics(super::Callout::Clock, super::calls::$name); })*
        }
        mod data_that_panics_when_dropped_by {
            $(#[test] fn $name() { super::panics(super::Callout::Data, super::calls::$name); })*
        }
        mod a_waker_that_panics_in {
            $(#[test] fn $name() { super::panics(super::Callout::Wake, super::calls::$name); })*
        }
        mod a_clock_that_reenters_from {
            $(#[test] fn $name() { super::reenters(super::Callout::Clock, super::calls::$name); })*
        }
        mod data_that_reenters_when_dropped_by {
            $(#[test] fn $name() { super::reenters(super::Callout::Data, super::calls::$name); })*
        }
        mod a_waker_that_reenters_from {
            $(#[test] fn $name() { super::reenters(super::Callout::Wake, super::calls::$name); })*
        }
        mod calls {
            use super::*;
            $(pub(super) fn $name(world: &mut World) -> Result<(), Error> {
                let call: Call = $call;
                call(world)
            })*
        }
    };
}

/// Whatever a call that was re-entered answers is right as long as it comes back.
fn answered<T>(result: Result<T, Error>) -> Result<(), Error> {
    drop(result);
    Ok(())
}

calls! {
    put_record: |w| answered(w.handles.put(HashKey::MIN, 10)),
    put_record_of_large_data: |w| answered(w.handles.put(HashKey::MIN, 10_000)),
    put_record_too_large: |w| answered(w.handles.put(HashKey::MIN, 2_000_000)),
    put_entry: |w| {
        let handles = w.handles.clone();
        answered(handles.puts(1, || {
            let entry = PutEntry::new("key", handles.data(700));
            handles.producer.put_entry(entry).map(|_| 1)
        }))
    },
    put_records: |w| answered(w.handles.put_many()),
    get_records: |w| {
        let batch = w.iterator.get_records(3)?;
        w.iterator_count += batch.len() as u64 + batch.missed_count();
        Ok(())
    },
    get_records_of_a_subscription: |w| {
        let batch = w.subscription.get_records(3)?;
        w.subscription_count += batch.len() as u64 + batch.missed_count();
        Ok(())
    },
    get_records_timeout: |w| {
        let batch = w.iterator.get_records_timeout(3, secs(1))?;
        w.iterator_count += batch.len() as u64 + batch.missed_count();
        Ok(())
    },
    get_records_timeout_without_records: |w| {
        let mut latest = w.handles.stream.shard_iterator(id(0), Latest)?;
        answered(latest.get_records_timeout(3, secs(1)))
    },
    get_records_deadline_of_a_subscription: |w| {
        let batch = w.subscription.get_records_deadline(3, Timestamp::from_millis(u64::MAX))?;
        w.subscription_count += batch.len() as u64 + batch.missed_count();
        Ok(())
    },
    get_records_async: |w| {
        let answer = poll(Box::pin(w.iterator.get_records_async(3)).as_mut(), Waker::noop());
        if let Poll::Ready(answer) = answer {
            let batch = answer?;
            w.iterator_count += batch.len() as u64 + batch.missed_count();
        }
        Ok(())
    },
    drop_of_a_batch: |w| {
        // Of a clone: what it reads counts for nobody.
        let batch = w.iterator.clone().get_records(100)?;
        let owned: Vec<_> = batch.records().collect();
        drop(batch);
        drop(owned);
        Ok(())
    },
    shard_iterator: |w| answered(w.handles.stream.shard_iterator(id(0), TrimHorizon)),
    shard_iterator_at_a_time: |w| {
        let start = Timestamp::from_millis(common::START_MS);
        answered(w.handles.stream.shard_iterator(id(0), AtTimestamp(start)))
    },
    subscribe: |w| {
        let start = Timestamp::from_millis(common::START_MS);
        answered(w.handles.stream.subscribe(TrimHorizon))?;
        answered(w.handles.stream.subscribe(AtTimestamp(start)))
    },
    split_shard: |w| answered(w.handles.split()),
    merge_shards: |w| answered(w.handles.merge()),
    update_shard_count: |w| answered(w.handles.stream.update_shard_count(5)),
    set_retention: |w| answered(w.handles.stream.set_retention(millis(1))),
    metrics: |w| {
        drop(w.handles.stream.metrics());
        Ok(())
    },
    describe: |w| {
        drop(w.handles.stream.describe());
        Ok(())
    },
    list_shards: |w| answered(w.handles.stream.list_shards(ShardFilter::FromTrimHorizon)),
    shard_for: |w| answered(w.handles.stream.shard_for("key")),
    close: |w| {
        w.handles.close();
        Ok(())
    },
    delete: |w| answered(w.handles.delete()),
    get_and_list_of_a_registry: |w| {
        answered(w.handles.registry.get("orders"))?;
        drop(w.handles.registry.list());
        Ok(())
    },
    create: |w| {
        answered(w.handles.registry.create(Stream::builder("orders")))?;
        answered(w.handles.registry.create(Stream::builder("another")))
    },
    drop_of_readers: |w| {
        w.waiting.clear();
        Ok(())
    },
}

// What is given to a put.

#[test]
fn entries_that_panic_half_way_put_nothing() {
    in_time(|| {
        for nth in 0..6 {
            let world = World::new(State::Fresh);
            let before = world.handles.stream.metrics().records_in();
            let entries = (0..6).map(|index| {
                assert_ne!(index, nth, "user code");
                ("key", world.handles.data(600))
            });
            let put = || world.handles.producer.put_records(entries);
            assert!(catch_unwind(AssertUnwindSafe(put)).is_err());
            assert_eq!(world.handles.stream.metrics().records_in(), before);
            world.assert_usable("entries");
        }
    });
}

#[test]
fn entries_may_use_the_stream_while_they_are_asked_for() {
    in_time(|| {
        for (name, reentry) in REENTRIES {
            let world = World::new(State::Full);
            let handles = world.handles.clone();
            let entries = (0..6).map(|index| {
                if index == 3 {
                    reentry(&handles);
                }
                ("key", Bytes::from_static(b"x"))
            });
            let put = handles.puts(6, || {
                let output = handles.producer.put_records(entries)?;
                Ok(output.records().len() - output.failed_record_count())
            });
            assert!(
                put.is_ok() || handles.ended.load(Ordering::SeqCst),
                "{name}: {put:?}"
            );
            world.assert_usable(name);
        }
    });
}

#[test]
fn conversions_that_panic_put_nothing() {
    struct Panics;

    impl From<Panics> for Data<'_> {
        fn from(_: Panics) -> Self {
            panic!("user code")
        }
    }

    impl<'a> From<Panics> for PutEntry<'a> {
        fn from(_: Panics) -> Self {
            panic!("user code")
        }
    }

    impl From<Panics> for Arc<str> {
        fn from(_: Panics) -> Self {
            panic!("user code")
        }
    }

    in_time(|| {
        let world = World::new(State::Fresh);
        let before = world.handles.stream.metrics().records_in();
        let producer = &world.handles.producer;
        let puts: [&dyn Fn(); 6] = [
            &|| drop(producer.put_record("key", Panics)),
            &|| drop(producer.put_record_with_hash_key("key", HashKey::MIN, Panics)),
            &|| drop(producer.put_entry(Panics)),
            &|| drop(producer.put_entry(("key", Panics))),
            &|| drop(producer.put_records([Panics])),
            &|| drop(PartitionKey::new(Panics)),
        ];
        for put in puts {
            assert!(catch_unwind(AssertUnwindSafe(put)).is_err());
        }
        assert_eq!(world.handles.stream.metrics().records_in(), before);
        world.assert_usable("conversions");
    });
}

// Wakers.

/// A waker whose clone and drop are user code, too: only a hand-made one has a clone of its own.
#[expect(
    unsafe_code,
    reason = "a waker's clone can only be written with a table of functions"
)]
mod raw {
    use super::*;

    pub(super) struct Parts {
        pub(super) clone: Trap,
        pub(super) drop: Trap,
        pub(super) alive: AtomicIsize,
    }

    const TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

    pub(super) fn waker(parts: &'static Parts) -> Waker {
        parts.alive.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the functions of the table use the pointer as what it is, a shared reference to
        // parts that live for ever and may be used by any thread.
        unsafe { Waker::from_raw(RawWaker::new((&raw const *parts).cast(), &TABLE)) }
    }

    fn parts(pointer: *const ()) -> &'static Parts {
        // SAFETY: only `waker` and `clone` make pointers for the table, of a `&'static Parts`.
        unsafe { &*pointer.cast::<Parts>() }
    }

    fn clone(pointer: *const ()) -> RawWaker {
        parts(pointer).clone.spring();
        parts(pointer).alive.fetch_add(1, Ordering::SeqCst);
        RawWaker::new(pointer, &TABLE)
    }

    fn wake(pointer: *const ()) {
        drop(pointer);
    }

    fn wake_by_ref(_: *const ()) {}

    fn drop(pointer: *const ()) {
        parts(pointer).alive.fetch_sub(1, Ordering::SeqCst);
        parts(pointer).drop.spring();
    }
}

fn raw_parts() -> &'static raw::Parts {
    Box::leak(Box::new(raw::Parts {
        clone: Trap::default(),
        drop: Trap::default(),
        alive: AtomicIsize::new(0),
    }))
}

type Task = fn(&Stream, &Waker);

/// What a task does with its waker: each of an iterator, then of a subscription.
const TASKS: [(&str, Task); 6] = [
    ("poll once", |stream, waker| {
        let mut iterator = stream.shard_iterator(id(0), Latest).unwrap();
        assert!(poll(Box::pin(iterator.get_records_async(1)).as_mut(), waker).is_pending());
    }),
    ("poll again", |stream, waker| {
        let mut iterator = stream.shard_iterator(id(0), Latest).unwrap();
        let mut future = Box::pin(iterator.get_records_async(1));
        assert!(poll(future.as_mut(), waker).is_pending());
        assert!(poll(future.as_mut(), waker).is_pending());
    }),
    ("be woken", |stream, waker| {
        let mut batches = stream.shard_iterator(id(0), Latest).unwrap().batches(1);
        assert!(poll_next(&mut batches, waker).is_pending());
        stream.producer().put_record("key", "x").unwrap();
        assert!(poll_next(&mut batches, waker).is_ready());
    }),
    ("poll a subscription once", |stream, waker| {
        let mut subscription = stream.subscribe(Latest).unwrap();
        assert!(poll(Box::pin(subscription.get_records_async(1)).as_mut(), waker).is_pending());
    }),
    ("poll a subscription again", |stream, waker| {
        let mut subscription = stream.subscribe(Latest).unwrap();
        let mut future = Box::pin(subscription.get_records_async(1));
        assert!(poll(future.as_mut(), waker).is_pending());
        assert!(poll(future.as_mut(), waker).is_pending());
    }),
    ("be woken by a subscription", |stream, waker| {
        let mut batches = stream.subscribe(Latest).unwrap().batches(1);
        assert!(poll_next(&mut batches, waker).is_pending());
        stream.producer().put_record("key", "x").unwrap();
        assert!(poll_next(&mut batches, waker).is_ready());
    }),
];

/// Runs every task with the n-th clone, then the n-th drop of its waker running `run`.
fn with_raw_wakers(run: fn(&Stream) -> Option<Run>, panics: bool) {
    in_time(move || {
        for (name, task) in TASKS {
            for of_clone in [true, false] {
                for nth in 1..20 {
                    let (stream, _clock) = common::stream(1);
                    let parts = raw_parts();
                    let waker = raw::waker(parts);
                    let trap = if of_clone { &parts.clone } else { &parts.drop };
                    trap.set(nth, run(&stream));
                    let result = catch_unwind(AssertUnwindSafe(|| task(&stream, &waker)));
                    let sprung = trap.clear();
                    assert_eq!(result.is_err(), panics && sprung, "{name}, {nth}");
                    drop(waker);
                    assert_eq!(
                        parts.alive.load(Ordering::SeqCst),
                        0,
                        "{name}: a waker is kept"
                    );
                    assert_eq!(stream.metrics().shards[0].waiting_readers, 0, "{name}");
                    // It wakes others as before.
                    let mut other = stream.shard_iterator(id(0), Latest).unwrap();
                    let wakes = Wakes::new();
                    let mut future = Box::pin(other.get_records_async(1));
                    assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
                    stream.producer().put_record("key", "y").unwrap();
                    assert_eq!(wakes.count(), 1, "{name}: nobody is woken any more");
                    if !sprung {
                        break;
                    }
                }
            }
        }
    });
}

#[test]
fn a_waker_that_panics_when_it_is_cloned_or_dropped_harms_nobody() {
    with_raw_wakers(|_| None, true);
}

#[test]
fn a_waker_may_use_the_stream_when_it_is_cloned_or_dropped() {
    with_raw_wakers(
        |stream| {
            let stream = stream.clone();
            Some(Box::new(move || {
                stream.metrics();
                stream.set_retention(RETENTION).unwrap();
                let mut iterator = stream.shard_iterator(id(0), Latest).unwrap();
                let _bell = iterator.ready();
            }))
        },
        false,
    );
}

#[test]
fn all_who_wait_are_woken_though_every_other_waker_panics() {
    in_time(|| {
        let (stream, _clock) = common::stream(1);
        let mut waiting = Vec::new();
        for index in 0..40 {
            let mut batches = stream.shard_iterator(id(0), Latest).unwrap().batches(1);
            let wakes = Wakes::new();
            let waker = if index % 2 == 0 {
                let trap = Arc::new(Trap::default());
                trap.set(1, None);
                Waker::from(Arc::new(TrapWaker(trap)))
            } else {
                wakes.waker()
            };
            assert!(poll_next(&mut batches, &waker).is_pending());
            waiting.push((index, batches, wakes));
        }
        let put = || stream.producer().put_record("key", "x");
        assert!(catch_unwind(AssertUnwindSafe(put)).is_err());
        for (index, batches, wakes) in &mut waiting {
            assert_eq!(wakes.count(), *index % 2);
            assert!(matches!(
                poll_next(batches, Waker::noop()),
                Poll::Ready(Some(Ok(_)))
            ));
        }
    });
}

// Waiting for room.

#[test]
fn a_clock_that_panics_while_a_put_waits_for_room_leaves_the_shard_usable() {
    in_time(|| {
        for nth in 1..100 {
            let (clock, trap) = (clock(), Arc::new(Trap::default()));
            let trap_clock = TrapClock {
                clock: clock.clone(),
                trap: Arc::clone(&trap),
            };
            let builder = Stream::builder("orders")
                .clock(trap_clock)
                .retention(secs(10));
            let builder = builder.capacity_records(2).on_full(OnFull::Wait(secs(60)));
            let stream = builder.build().unwrap();
            let producer = stream.producer();
            let mut iterator = stream.shard_iterator(id(0), TrimHorizon).unwrap();
            producer.put_records([("key", "a"), ("key", "b")]).unwrap();
            trap.set(nth, None);
            // The clock turns itself on until the others have expired.
            let put = || producer.put_record("key", "c");
            let panicked = catch_unwind(AssertUnwindSafe(put)).is_err();
            let sprung = trap.clear();
            assert_eq!(panicked, sprung);
            clock.advance(secs(20));
            producer.put_record("key", "d").unwrap();
            let batch = iterator.get_records(10).unwrap();
            assert_eq!(common::view_texts(&batch), ["d"]);
            if !sprung {
                return;
            }
        }
        panic!("a put calls out without an end");
    });
}
