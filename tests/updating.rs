//! A reshard of a stream in a registry with a delay: asked for at once, in effect when the delay is over
//! (contract, 4.1 to 4.4), for everybody and whoever comes first.
//!
//! Clocks are turned by hand, and are of three kinds: one that rings for whoever sleeps, as the crate's
//! own does; a user's, on which a thread has to sleep for that; and a deaf one that rings for nobody, so
//! that whoever is tried has to see by itself that the time has come.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use brooklet::{
    Clock, Error, HashKey, Limits, ManualClock, OnFull, Parker, PutEntry, RecordBatch, Registry,
    Shard, ShardFilter, StartingPosition, Stream, StreamBuilder, StreamStatus, Timestamp,
};
use bytes::Bytes;
use common::{
    Fields, START_MS, assert_ranges_partition, clock, id, indices, iterator, millis, open_by_range,
    pull, put_into, read_shard, refused, secs, text, texts, until,
};
use wakers::{OnWake, Wakes, in_time, poll, poll_next};

use StartingPosition::{Latest, TrimHorizon};

mod common;
mod wakers;

const DELAY: Duration = secs(10);
const HOUR: Duration = secs(3600);
const HALF: HashKey = HashKey::new(1 << 127);

/// What rings on a clock when its time has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The clock itself.
    Ringing,
    /// A thread that sleeps on it.
    Users,
    /// Nothing.
    Deaf,
}

/// A clock of a user, over one that is turned by hand.
#[derive(Debug)]
struct Users {
    clock: ManualClock,
    is_deaf: bool,
}

impl Clock for Users {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn park(&self, parker: &Parker, deadline: Duration) {
        self.clock.park(parker, deadline);
    }

    fn wake_at(&self, _deadline: Duration, _waker: &Waker) -> bool {
        self.is_deaf
    }
}

/// An active stream of a registry with a delay.
struct World {
    registry: Registry,
    stream: Stream,
    clock: ManualClock,
}

impl World {
    fn new(kind: Kind) -> Self {
        Self::with(kind, DELAY, Stream::builder("orders").shard_count(2))
    }

    fn with(kind: Kind, delay: Duration, builder: StreamBuilder) -> Self {
        let clock = clock();
        let registry = Registry::builder().state_delay(delay);
        let users = |is_deaf| {
            let clock = clock.clone();
            Users { clock, is_deaf }
        };
        let registry = match kind {
            Kind::Ringing => registry.clock(clock.clone()),
            Kind::Users => registry.clock(users(false)),
            Kind::Deaf => registry.clock(users(true)),
        };
        let registry = registry.build();
        let stream = registry.create(builder).expect("the settings make sense");
        clock.advance(delay);
        assert_eq!(stream.status(), StreamStatus::Active);
        Self {
            registry,
            stream,
            clock,
        }
    }

    /// A millisecond before the time comes, and then that.
    fn just_before(&self) {
        self.clock.advance(DELAY - millis(1));
    }

    fn at_last(&self) {
        self.clock.advance(millis(1));
    }

    fn parent(&self) -> Shard {
        self.stream.shard(id(0)).expect("it is there")
    }
}

/// Something that is done to two shards, of which the first is a parent, with the children.
struct Change {
    ask: fn(&Stream) -> Result<(), Error>,
    parents: &'static [u32],
    children: &'static [u32],
}

const SPLIT: Change = Change {
    ask: |stream| stream.split_shard(id(0), HashKey::new(1 << 126)),
    parents: &[0],
    children: &[2, 3],
};

const CHANGES: [Change; 3] = [
    SPLIT,
    Change {
        ask: |stream| stream.merge_shards(id(0), id(1)),
        parents: &[0, 1],
        children: &[2],
    },
    Change {
        ask: |stream| stream.update_shard_count(4),
        parents: &[0, 1],
        children: &[2, 3, 4, 5],
    },
];

/// Puts a record that the first shard, or the first child, takes; which one that was.
fn put(stream: &Stream, data: &str) -> u32 {
    let producer = stream.producer();
    let put = producer.put_record_with_hash_key("key", HashKey::MIN, data.to_owned());
    put.expect("a reshard is no error").shard_id().index()
}

fn children_of(batch: &RecordBatch) -> Vec<u32> {
    let children = batch.child_shards().iter();
    children.map(|child| child.shard_id().index()).collect()
}

#[track_caller]
fn assert_pending(stream: &Stream) {
    assert_eq!(stream.status(), StreamStatus::Updating);
    let description = stream.describe();
    assert_eq!(description.open_shard_count, 2);
    assert_eq!(indices(&description.shards), [0, 1]);
    for shard in &description.shards {
        assert!(shard.is_open() && shard.metrics().open);
        assert_eq!(shard.ending_sequence_number(), None);
        assert_eq!(shard.child_shards(), []);
    }
    let latest = stream.list_shards(ShardFilter::AtLatest).unwrap();
    assert_eq!(indices(&latest), [0, 1]);
    let unknown = refused(stream.shard(id(2)));
    assert!(matches!(unknown, Error::ShardNotFound { .. }));
}

#[track_caller]
fn assert_in_effect(stream: &Stream, change: &Change) {
    assert_eq!(stream.status(), StreamStatus::Active);
    let shards = stream.shards();
    assert_eq!(shards.len(), 2 + change.children.len());
    for shard in &shards {
        let index = shard.id().index();
        let is_parent = change.parents.contains(&index);
        assert_eq!(shard.is_open(), !is_parent, "shard {index}");
        assert_eq!(shard.ending_sequence_number().is_some(), is_parent);
        let children = shard.child_shards();
        assert_eq!(children.is_empty(), !is_parent);
        for child in children {
            let child = stream.shard(child.shard_id()).expect("it is there");
            assert!(child.starting_sequence_number() > shard.ending_sequence_number().unwrap());
        }
    }
    assert_ranges_partition(stream);
    let description = stream.describe();
    let open = shards.len() - change.parents.len();
    assert_eq!(description.open_shard_count, open);
    // Low, then high.
    let by_range: Vec<_> = open_by_range(stream);
    assert_eq!(by_range[..change.children.len()], *change.children);
}

#[test]
fn until_its_time_the_shards_are_as_they_were_and_take_records() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for change in &CHANGES {
            let world = World::new(kind);
            (change.ask)(&world.stream).unwrap();
            assert_pending(&world.stream);
            assert_eq!(put(&world.stream, "at once"), 0);
            world.just_before();
            assert_pending(&world.stream);
            assert_eq!(put(&world.stream, "just before"), 0);
            put_into(&world.stream, 1, "x");
            assert_eq!(
                texts(&read_shard(&world.stream, 0)),
                ["at once", "just before"]
            );
            world.at_last();
            assert_in_effect(&world.stream, change);
            assert_eq!(
                texts(&read_shard(&world.stream, 0)),
                ["at once", "just before"]
            );
        }
    }
}

/// Whoever looks, at a stream and at what was the parent, sees that it is in effect.
type Look = fn(&Stream, &Shard) -> bool;

const LOOKS: [(&str, Look); 15] = [
    ("is_open", |_, parent| !parent.is_open()),
    ("ending_sequence_number", |_, parent| {
        parent.ending_sequence_number().is_some()
    }),
    ("child_shards", |_, parent| {
        !parent.child_shards().is_empty()
    }),
    ("metrics of a shard", |_, parent| !parent.metrics().open),
    ("metrics", |stream, _| stream.metrics().shards.len() > 2),
    ("shards", |stream, _| stream.shards().len() > 2),
    ("shard", |stream, _| stream.shard(id(2)).is_ok()),
    ("describe", |stream, _| {
        stream.describe().open_shard_count != 2
    }),
    ("status", |stream, _| {
        stream.status() == StreamStatus::Active
    }),
    ("list_shards", |stream, _| {
        stream
            .list_shards(ShardFilter::FromTrimHorizon)
            .unwrap()
            .len()
            > 2
    }),
    ("shard_for", |stream, _| {
        stream.shard_for("key").unwrap().id() > id(0)
    }),
    ("subscribe", |stream, _| {
        let mut latest = stream.subscribe(Latest).unwrap();
        put(stream, "x");
        latest.get_records(1).unwrap().shard_id() == id(2)
    }),
    ("iterator", |_, parent| {
        // It ends where the parent ended, though nobody has read.
        let mut iterator = parent.iterator(Latest).unwrap();
        iterator.get_records(1).unwrap().shard_ended()
    }),
    ("position behind the end", |_, parent| {
        let start = parent.starting_sequence_number();
        let iterator = parent.iterator(StartingPosition::AfterSequenceNumber(start));
        iterator.unwrap().get_records(1).unwrap().shard_ended()
    }),
    ("set_retention", |stream, _| {
        stream.set_retention(HOUR).is_ok()
    }),
];

#[test]
fn at_its_time_whoever_looks_first_sees_it() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for (name, look) in LOOKS {
            let world = World::new(kind);
            let parent = world.parent();
            (CHANGES[1].ask)(&world.stream).unwrap();
            world.just_before();
            world.at_last();
            assert!(look(&world.stream, &parent), "{name}, {kind:?}");
            assert_in_effect(&world.stream, &CHANGES[1]);
        }
    }
}

#[test]
fn at_its_time_a_put_goes_to_a_child() {
    let one: fn(&Stream) -> u32 = |stream| put(stream, "x");
    let many: fn(&Stream) -> u32 = |stream| {
        let entries =
            ["x", "y"].map(|data| PutEntry::new("key", data).explicit_hash_key(HashKey::MIN));
        let output = stream.producer().put_records(entries).unwrap();
        let put = output.into_result().unwrap();
        assert_eq!(put[0].shard_id(), put[1].shard_id());
        put[0].shard_id().index()
    };
    let builders: [fn(StreamBuilder) -> StreamBuilder; 4] = [
        |builder| builder,
        |builder| builder.on_full(OnFull::Refuse),
        |builder| builder.limits(Limits::kinesis()),
        // Both were put before.
        |builder| builder.limits(Limits::unlimited().write_records_per_second(Some(2))),
    ];
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for (builder, put) in builders.iter().flat_map(|it| [(it, one), (it, many)]) {
            for change in &CHANGES {
                let two = Stream::builder("orders").shard_count(2);
                let world = World::with(kind, DELAY, builder(two));
                (change.ask)(&world.stream).unwrap();
                world.just_before();
                assert_eq!(put(&world.stream), 0);
                world.at_last();
                assert_eq!(put(&world.stream), change.children[0]);
                assert_in_effect(&world.stream, change);
            }
        }
    }
}

#[test]
fn a_producer_that_was_there_before_finds_the_children_of_one_shard() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let world = World::with(kind, DELAY, Stream::builder("orders"));
        let producer = world.stream.producer();
        let shards = || {
            let one = producer.put_record("a", "one").unwrap();
            let many = producer
                .put_records([("a", "two"), ("a", "three")])
                .unwrap();
            let many = many.into_result().unwrap();
            [&one, &many[0], &many[1]].map(|put| put.shard_id().index())
        };
        world.stream.split_shard(id(0), HALF).unwrap();
        assert_eq!(shards(), [0, 0, 0]);
        world.clock.advance(DELAY);
        let child = world.stream.shard_for("a").unwrap().id().index();
        assert!(child > 0);
        assert_eq!(shards(), [child; 3]);
    }
}

#[test]
fn a_reader_that_polls_is_told_of_the_end_and_the_children() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for change in &CHANGES {
            let world = World::new(kind);
            let mut reader = iterator(&world.stream, TrimHorizon);
            let mut bell = iterator(&world.stream, TrimHorizon);
            let ready = bell.ready();
            put(&world.stream, "before");
            (change.ask)(&world.stream).unwrap();
            world.just_before();
            let batch = reader.get_records(10).unwrap();
            assert_eq!((batch.len(), batch.shard_ended()), (1, false));
            assert!(!reader.get_records(10).unwrap().shard_ended());
            world.at_last();
            let batch = reader.get_records(10).unwrap();
            assert!(batch.is_empty() && batch.shard_ended());
            let children: Vec<_> = world.parent().child_shards();
            assert_eq!(batch.child_shards(), children);
            assert!(!children_of(&batch).is_empty());
            assert_eq!(ready.try_recv(), Ok(()));
            assert!(bell.get_records(10).unwrap().shard_ended());
        }
    }
}

#[test]
fn a_subscription_that_polls_goes_on_with_the_children() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for change in &CHANGES {
            let world = World::new(kind);
            let mut subscription = world.stream.subscribe(TrimHorizon).unwrap();
            put(&world.stream, "before");
            (change.ask)(&world.stream).unwrap();
            let first = subscription.get_records(10).unwrap();
            assert_eq!(texts(&first.records().collect::<Vec<_>>()), ["before"]);
            world.just_before();
            assert!(subscription.get_records(10).unwrap().is_empty());
            world.at_last();
            // Nobody but the subscription has asked; the child is read from its first record on.
            assert!(subscription.get_records(10).unwrap().is_empty());
            put(&world.stream, "after");
            let batch = subscription.get_records(10).unwrap();
            assert_eq!(batch.shard_id().index(), change.children[0]);
            assert_eq!(texts(&batch.records().collect::<Vec<_>>()), ["after"]);
        }
    }
}

/// Has all ways to wait led on by a change, that is asked for before or after they begin.
fn wakes_every_kind_of_reader(kind: Kind, change: &'static Change, is_asked_first: bool) {
    in_time(move || {
        let world = World::new(kind);
        let World { stream, clock, .. } = &world;
        if is_asked_first {
            (change.ask)(stream).unwrap();
        }
        let mut belled = iterator(stream, TrimHorizon);
        let bell = belled.ready();
        let mut polled = iterator(stream, TrimHorizon);
        let wakes = Wakes::new();
        let mut future = Box::pin(polled.get_records_async(10));
        assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
        let mut batches = iterator(stream, TrimHorizon).batches(10);
        assert!(poll_next(&mut batches, &wakes.waker()).is_pending());
        let subscription = || stream.subscribe(TrimHorizon).unwrap();
        let mut subscribed = subscription();
        let mut subscribed = Box::pin(subscribed.get_records_async(10));
        assert!(poll(subscribed.as_mut(), &wakes.waker()).is_pending());
        let mut rung = subscription();
        let ring = rung.ready();
        assert!(rung.get_records(10).unwrap().is_empty());
        assert!(ring.try_recv().is_err());
        thread::scope(|scope| {
            let mut one = iterator(stream, TrimHorizon);
            let one = scope.spawn(move || one.get_records_timeout(10, HOUR));
            let mut two = iterator(stream, TrimHorizon);
            let two =
                scope.spawn(move || two.get_records_deadline(10, Timestamp::from_millis(u64::MAX)));
            let mut three = iterator(stream, TrimHorizon).batches_blocking(10);
            let three = scope.spawn(move || three.next().expect("the end"));
            let (mut four, mut five) = (subscription(), subscription().batches_blocking(10));
            let four = scope.spawn(move || four.get_records_timeout(10, HOUR));
            let five = scope.spawn(move || five.next().expect("a record"));
            // On the first shard: the bell, the future, batches, and all subscriptions besides.
            until(|| stream.shard(id(0)).unwrap().metrics().waiting_readers == 10);
            until(|| clock.sleeper_count() >= 5);
            if !is_asked_first {
                (change.ask)(stream).unwrap();
            }
            clock.advance(DELAY);
            // Nobody else looks: each of these has to be woken.
            for end in [one.join(), two.join(), three.join()] {
                let end = end.unwrap().unwrap();
                assert!(end.is_empty() && end.shard_ended() && !children_of(&end).is_empty());
            }
            until(|| wakes.count() >= 3);
            let Poll::Ready(end) = poll(future.as_mut(), &wakes.waker()) else {
                panic!("the shard has ended");
            };
            assert!(end.unwrap().shard_ended());
            let Poll::Ready(Some(end)) = poll_next(&mut batches, &wakes.waker()) else {
                panic!("the shard has ended");
            };
            assert!(end.unwrap().shard_ended());
            assert_eq!(bell.recv(), Ok(()));
            assert!(belled.get_records(10).unwrap().shard_ended());
            assert_eq!(ring.recv(), Ok(()));
            // A subscription is told of no end: it goes on to wait for the children.
            assert!(poll(subscribed.as_mut(), &wakes.waker()).is_pending());
            assert!(rung.get_records(10).unwrap().is_empty());
            put(stream, "led on");
            for led_on in [four.join(), five.join()] {
                let batch = led_on.unwrap().unwrap();
                assert_eq!(batch.shard_id().index(), change.children[0]);
            }
            let Poll::Ready(batch) = poll(subscribed.as_mut(), &wakes.waker()) else {
                panic!("there is a record");
            };
            assert_eq!(batch.unwrap().len(), 1);
            assert_eq!(ring.recv(), Ok(()));
            assert_eq!(rung.get_records(10).unwrap().len(), 1);
        });
        assert_eq!(stream.shard(id(0)).unwrap().metrics().waiting_readers, 0);
    });
}

#[test]
fn who_slept_before_it_was_asked_for_is_woken_at_its_time() {
    for kind in [Kind::Ringing, Kind::Users] {
        for change in &CHANGES {
            wakes_every_kind_of_reader(kind, change, false);
        }
    }
}

#[test]
fn who_fell_asleep_after_it_was_asked_for_is_woken_at_its_time() {
    for kind in [Kind::Ringing, Kind::Users] {
        for change in &CHANGES {
            wakes_every_kind_of_reader(kind, change, true);
        }
    }
}

#[test]
fn in_real_time_it_comes_by_itself() {
    in_time(|| {
        let registry = Registry::builder().state_delay(millis(20)).build();
        let stream = registry.create(Stream::builder("orders")).unwrap();
        until(|| stream.status() == StreamStatus::Active);
        let mut future = iterator(&stream, TrimHorizon);
        let mut blocked = iterator(&stream, TrimHorizon);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        thread::scope(|scope| {
            let blocked = scope.spawn(move || blocked.get_records_timeout(10, Duration::MAX));
            let subscribed =
                scope.spawn(move || subscription.get_records_timeout(10, Duration::MAX));
            stream.split_shard(id(0), HALF).unwrap();
            let end = futures_executor::block_on(future.get_records_async(10)).unwrap();
            assert_eq!(children_of(&end), [1, 2]);
            assert!(blocked.join().unwrap().unwrap().shard_ended());
            assert_eq!(put(&stream, "x"), 1);
            assert_eq!(subscribed.join().unwrap().unwrap().len(), 1);
        });
        assert_eq!(stream.status(), StreamStatus::Active);
    });
}

#[test]
fn a_put_that_waits_for_room_goes_to_a_child() {
    for kind in [Kind::Ringing, Kind::Users] {
        in_time(move || {
            let builder = Stream::builder("orders")
                .capacity_records(1)
                .on_full(OnFull::Wait(HOUR));
            let world = World::with(kind, DELAY, builder);
            assert_eq!(put(&world.stream, "full"), 0);
            world.stream.split_shard(id(0), HALF).unwrap();
            thread::scope(|scope| {
                let waiting = scope.spawn(|| put(&world.stream, "waited"));
                until(|| world.clock.sleeper_count() > usize::from(kind == Kind::Users));
                world.clock.advance(DELAY);
                assert_eq!(waiting.join().unwrap(), 1);
            });
            assert_eq!(texts(&read_shard(&world.stream, 0)), ["full"]);
            assert_eq!(texts(&read_shard(&world.stream, 1)), ["waited"]);
        });
    }
}

#[test]
fn it_happened_at_its_time_though_nobody_came_until_long_after() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let world = World::new(kind);
        let due = world.clock.now() + DELAY;
        (SPLIT.ask)(&world.stream).unwrap();
        world.clock.advance(HOUR);
        let at = |time: Timestamp| {
            let shards = world.stream.list_shards(ShardFilter::AtTimestamp(time));
            indices(&shards.unwrap())
        };
        assert_eq!(at(due - millis(1)), [0, 1]);
        // Both ends count.
        assert_eq!(at(due), [0, 1, 2, 3]);
        assert_eq!(at(due + millis(1)), [1, 2, 3]);
        let from = world
            .stream
            .list_shards(ShardFilter::FromTimestamp(due + millis(1)));
        assert_eq!(indices(&from.unwrap()), [1, 2, 3]);
        let ending = world.parent().ending_sequence_number().unwrap();
        assert_eq!(Fields::of(ending).time_secs, due.as_secs());
        let child = world
            .stream
            .shard(id(2))
            .unwrap()
            .starting_sequence_number();
        assert_eq!(Fields::of(child).created_secs, due.as_secs() + 1);
        assert!(child > ending);
    }
}

#[test]
fn a_parent_has_expired_when_it_was_closed_long_enough_ago() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let builder = Stream::builder("orders").shard_count(2).retention(HOUR);
        let world = World::with(kind, DELAY, builder);
        let mut late = iterator(&world.stream, TrimHorizon);
        put(&world.stream, "old");
        (SPLIT.ask)(&world.stream).unwrap();
        world.clock.advance(DELAY + HOUR);
        assert_eq!(indices(&world.stream.shards()), [0, 1, 2, 3]);
        world.clock.advance(millis(1));
        assert_eq!(indices(&world.stream.shards()), [1, 2, 3]);
        assert_eq!(children_of(&late.get_records(10).unwrap()), [2, 3]);
        // The same, if nobody has looked before.
        world.stream.merge_shards(id(2), id(3)).unwrap();
        world.clock.advance(DELAY + HOUR + millis(1));
        assert_eq!(indices(&world.stream.shards()), [1, 4]);
    }
}

#[test]
fn it_happened_no_earlier_than_the_last_record_arrived() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let world = World::new(kind);
        let arrival = world.clock.now();
        put(&world.stream, "before");
        world.clock.set(arrival - secs(60));
        (SPLIT.ask)(&world.stream).unwrap();
        world.clock.advance(secs(120));
        let from = |time: Timestamp| {
            let shards = world.stream.list_shards(ShardFilter::FromTimestamp(time));
            indices(&shards.unwrap())
        };
        assert_eq!(from(arrival), [0, 1, 2, 3]);
        assert_eq!(from(arrival + millis(1)), [1, 2, 3]);
    }
}

#[test]
fn sleepers_are_woken_in_time_though_the_clock_steps_back() {
    for kind in [Kind::Ringing, Kind::Users] {
        in_time(move || {
            let world = World::new(kind);
            let mut reader = iterator(&world.stream, TrimHorizon);
            (SPLIT.ask)(&world.stream).unwrap();
            thread::scope(|scope| {
                let reader = scope.spawn(move || reader.get_records_timeout(10, HOUR));
                until(|| world.parent().metrics().waiting_readers == 1);
                world
                    .clock
                    .set(Timestamp::from_millis(START_MS - 1_000_000));
                world.clock.advance(DELAY);
                assert!(reader.join().unwrap().unwrap().shard_ended());
            });
            assert_in_effect(&world.stream, &SPLIT);
        });
    }
}

#[test]
fn another_change_is_refused_until_it_is_in_effect() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for change in &CHANGES {
            let world = World::new(kind);
            (change.ask)(&world.stream).unwrap();
            world.just_before();
            for other in &CHANGES {
                let error = refused((other.ask)(&world.stream));
                assert_eq!(error.code(), "ResourceInUseException");
            }
            assert_pending(&world.stream);
            world.at_last();
            world.stream.update_shard_count(3).unwrap();
            world.clock.advance(DELAY);
            assert_eq!(open_by_range(&world.stream).len(), 3);
        }
    }
}

#[test]
fn what_is_wrong_is_refused_when_it_is_asked_for() {
    let world = World::new(Kind::Ringing);
    let stream = &world.stream;
    let wrong = [
        stream.split_shard(id(0), HashKey::new(1)),
        stream.split_shard(id(7), HALF),
        stream.merge_shards(id(1), id(0)),
        stream.update_shard_count(0),
        stream.update_shard_count(10_001),
    ];
    for wrong in wrong {
        refused(wrong);
    }
    assert_eq!(stream.status(), StreamStatus::Active);
    world.clock.advance(DELAY);
    assert_eq!(indices(&stream.shards()), [0, 1]);
}

#[test]
fn shards_that_a_new_count_leaves_as_they_are_take_records_all_the_time() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let world = World::new(kind);
        world
            .stream
            .split_shard(id(1), HashKey::new(3 << 126))
            .unwrap();
        world.clock.advance(DELAY);
        world.stream.update_shard_count(2).unwrap();
        world.clock.advance(DELAY);
        assert_eq!(put(&world.stream, "as ever"), 0);
        assert_eq!(put(&world.stream, "and again"), 0);
        assert_eq!(open_by_range(&world.stream), [0, 4]);
        put_into(&world.stream, 4, "merged");
    }
}

#[test]
fn a_stream_that_is_closed_before_has_no_children() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for change in &CHANGES {
            let world = World::new(kind);
            let mut reader = iterator(&world.stream, TrimHorizon);
            (change.ask)(&world.stream).unwrap();
            world.stream.close();
            let end = reader.get_records(10).unwrap();
            assert!(end.shard_ended() && end.child_shards().is_empty());
            for _ in 0..2 {
                assert_eq!(indices(&world.stream.shards()), [0, 1]);
                assert_eq!(world.parent().child_shards(), []);
                let error = refused(world.stream.producer().put_record("key", "late"));
                assert!(matches!(error, Error::StreamClosed { .. }));
                world.clock.advance(HOUR);
            }
            assert_eq!(world.stream.status(), StreamStatus::Active);
        }
    }
}

#[test]
fn a_stream_that_is_deleted_before_goes_as_any_other() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        for change in &CHANGES {
            let world = World::new(kind);
            let mut reader = iterator(&world.stream, TrimHorizon);
            (change.ask)(&world.stream).unwrap();
            world.just_before();
            world.registry.delete("orders").unwrap();
            assert_eq!(world.stream.status(), StreamStatus::Deleting);
            world.at_last();
            assert_eq!(world.stream.status(), StreamStatus::Deleting);
            let error = refused(reader.get_records(10));
            assert!(matches!(error, Error::StreamNotFound { .. }));
            world.clock.advance(DELAY);
            assert!(world.registry.list().is_empty());
            world.registry.create(Stream::builder("orders")).unwrap();
        }
    }
}

#[test]
fn it_keeps_no_stream_alive_and_leaves_no_reader_asleep() {
    struct Kept(Arc<AtomicBool>);
    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &[7; 100_000]
        }
    }
    impl Drop for Kept {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let World {
            registry,
            stream,
            clock,
        } = World::new(kind);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let data = Bytes::from_owner(Kept(Arc::clone(&is_dropped)));
        stream.producer().put_record("key", data).unwrap();
        let mut reader = iterator(&stream, Latest);
        let wakes = Wakes::new();
        let mut future = Box::pin(reader.get_records_async(10));
        assert!(poll(future.as_mut(), &wakes.waker()).is_pending());
        (SPLIT.ask)(&stream).unwrap();
        drop((registry, stream));
        assert_eq!(wakes.count(), 1);
        let Poll::Ready(end) = poll(future.as_mut(), &wakes.waker()) else {
            panic!("nobody is left to put anything");
        };
        assert!(end.unwrap().shard_ended());
        drop(future);
        drop(reader);
        assert!(is_dropped.load(Ordering::SeqCst), "{kind:?}");
        clock.advance(HOUR);
    }
}

#[test]
fn a_delay_of_less_than_the_clock_shows_is_over_soon() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let two = Stream::builder("orders").shard_count(2);
        let world = World::with(kind, Duration::from_micros(900), two);
        world.clock.advance(millis(1));
        (SPLIT.ask)(&world.stream).unwrap();
        world.clock.advance(millis(1));
        assert_eq!(put(&world.stream, "x"), 2);
        assert_in_effect(&world.stream, &SPLIT);
    }
}

#[test]
fn at_the_end_of_all_time_nothing_comes_and_nothing_breaks() {
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        let world = World::new(kind);
        // The delay goes beyond the last moment that a clock can show.
        world.clock.set(Timestamp::from_millis(u64::MAX - 2));
        (SPLIT.ask)(&world.stream).unwrap();
        assert_eq!(put(&world.stream, "x"), 0);
        world.clock.advance(millis(1));
        assert_eq!(put(&world.stream, "x"), 0);
        world.stream.close();
    }
}

/// A clock that panics at the nth look.
#[derive(Debug)]
struct Faulty {
    clock: ManualClock,
    left: AtomicUsize,
}

impl Faulty {
    fn look(&self) {
        let left = self.left.load(Ordering::SeqCst);
        if left > 0 && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            panic_any("a clock that panics");
        }
    }
}

impl Clock for Faulty {
    fn now(&self) -> Timestamp {
        self.look();
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.look();
        self.clock.monotonic()
    }

    fn park(&self, parker: &Parker, deadline: Duration) {
        self.clock.park(parker, deadline);
    }
}

#[test]
fn a_clock_that_panics_fails_the_call_and_harms_nothing() {
    in_time(|| {
        let mut done = 0;
        for nth in 1..=8 {
            let hand = clock();
            let faulty = Arc::new(Faulty {
                clock: hand.clone(),
                left: AtomicUsize::new(0),
            });
            let registry = Registry::builder()
                .clock(Arc::clone(&faulty))
                .state_delay(DELAY);
            let registry = registry.build();
            let stream = registry
                .create(Stream::builder("orders").shard_count(2))
                .unwrap();
            hand.advance(DELAY);
            assert_eq!(stream.status(), StreamStatus::Active);
            let mut reader = iterator(&stream, TrimHorizon);
            faulty.left.store(nth, Ordering::SeqCst);
            let asked = catch_unwind(AssertUnwindSafe(|| (SPLIT.ask)(&stream)));
            // Nobody but the thread that sleeps for the stream looks any more.
            let is_asked = matches!(asked, Ok(Ok(())));
            done += usize::from(is_asked);
            if is_asked {
                thread::scope(|scope| {
                    let blocked = scope.spawn(|| {
                        // The panic may be the reader's.
                        catch_unwind(AssertUnwindSafe(|| reader.get_records_timeout(10, HOUR)))
                    });
                    until(|| hand.sleeper_count() >= 1 || blocked.is_finished());
                    faulty.left.store(0, Ordering::SeqCst);
                    hand.advance(DELAY);
                    if let Ok(end) = blocked.join().unwrap() {
                        assert!(end.unwrap().shard_ended());
                    }
                });
                assert_in_effect(&stream, &SPLIT);
            } else {
                faulty.left.store(0, Ordering::SeqCst);
                assert_eq!(stream.status(), StreamStatus::Active);
                (SPLIT.ask)(&stream).unwrap();
                hand.advance(DELAY);
                assert_in_effect(&stream, &SPLIT);
            }
        }
        assert!(done > 0, "more looks than the split has");
    });
}

#[test]
fn a_waker_that_panics_leaves_the_stream_resharded_and_wakes_the_others() {
    for change in &CHANGES {
        let world = World::new(Kind::Ringing);
        let mut readers = [(); 3].map(|()| iterator(&world.stream, TrimHorizon));
        let wakes = Wakes::new();
        let trapped = OnWake::waker(|| panic_any("woken"));
        let wakers = [wakes.waker(), trapped, wakes.waker()];
        let mut futures: Vec<_> = readers
            .iter_mut()
            .map(|reader| Box::pin(reader.get_records_async(10)))
            .collect();
        for (future, waker) in futures.iter_mut().zip(&wakers) {
            assert!(poll(future.as_mut(), waker).is_pending());
        }
        (change.ask)(&world.stream).unwrap();
        let turned = catch_unwind(AssertUnwindSafe(|| world.clock.advance(DELAY)));
        let panic = turned.expect_err("it goes on to whoever turns the clock");
        assert_eq!(panic.downcast_ref(), Some(&"woken"));
        assert_eq!(wakes.count(), 2);
        assert_in_effect(&world.stream, change);
    }
}

#[test]
fn each_key_stays_in_order_while_time_brings_one_reshard_after_another() {
    const KEYS: usize = 4;
    for kind in [Kind::Ringing, Kind::Users, Kind::Deaf] {
        in_time(move || {
            let world = World::new(kind);
            let World { stream, clock, .. } = &world;
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                let producers: Vec<_> = (0..KEYS)
                    .map(|key| {
                        let is_over = &is_over;
                        scope.spawn(move || {
                            let producer = stream.producer();
                            let key = format!("key {key}");
                            let mut count = 0;
                            while !is_over.load(Ordering::SeqCst) && count < 20_000 {
                                if count % 3 == 0 {
                                    let data = [count, count + 1].map(|count| count.to_string());
                                    let [a, b] = data;
                                    let entries = [(key.as_str(), a), (key.as_str(), b)];
                                    let put = producer.put_records(entries).unwrap();
                                    put.into_result().expect("a reshard is no error");
                                    count += 2;
                                } else {
                                    let put = producer.put_record(key.as_str(), count.to_string());
                                    put.expect("a reshard is no error");
                                    count += 1;
                                }
                            }
                            count
                        })
                    })
                    .collect();
                let mut subscription = stream.subscribe(TrimHorizon).unwrap();
                let reader = scope.spawn(move || {
                    let mut next = [0; KEYS];
                    while !subscription.is_finished() {
                        let batch = subscription.get_records_timeout(100, HOUR).unwrap();
                        for record in batch.records() {
                            let key: usize = record.partition_key()[4..].parse().unwrap();
                            let count: usize = text(&record).parse().unwrap();
                            assert_eq!(count, next[key], "of key {key}");
                            next[key] += 1;
                        }
                    }
                    next
                });
                for round in 0..30 {
                    let target = [3, 5, 2, 4, 1][round % 5];
                    stream.update_shard_count(target).unwrap();
                    let before = stream.metrics().records_in();
                    until(|| {
                        let is_done = producers.iter().all(|it| it.is_finished());
                        is_done || stream.metrics().records_in() != before
                    });
                    clock.advance(DELAY);
                    assert_eq!(stream.status(), StreamStatus::Active);
                }
                is_over.store(true, Ordering::SeqCst);
                let put: Vec<_> = producers.into_iter().map(|it| it.join().unwrap()).collect();
                stream.close();
                assert_eq!(reader.join().unwrap().to_vec(), put);
            });
        });
    }
}

#[test]
fn without_a_delay_it_is_done_when_the_call_returns() {
    for change in &CHANGES {
        let (stream, _clock) = common::stream(2);
        (change.ask)(&stream).unwrap();
        assert_in_effect(&stream, change);
        assert_eq!(pull(&mut iterator(&stream, TrimHorizon)).len(), 0);
    }
}
