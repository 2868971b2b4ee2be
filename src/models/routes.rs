//! Splitting and merging while records go through: puts find the new shards, readers the children.

use loom::thread;

use super::*;
use crate::hash_key::HashKey;
use crate::producer::Producer;
use crate::starting_position::StartingPosition;
use crate::subscription::Subscription;
use crate::sync::Arc;

const HALF: HashKey = HashKey::new(1 << 127);

fn put_into_the_upper_half(producer: &Producer, n: u8) {
    let put = producer.put_record_with_hash_key("k", HALF, small(n));
    put.expect("a reshard is no error");
}

/// The numbers in each shard, by the shards' ids.
fn numbers(stream: &Stream) -> Vec<Vec<u8>> {
    let shards = stream.shards();
    let read = shards.iter().map(|shard| {
        let mut iterator = shard.iterator(StartingPosition::TrimHorizon).unwrap();
        let batch = iterator.get_records(100).unwrap();
        batch.iter().map(|view| number_of(&view)).collect()
    });
    read.collect()
}

#[test]
fn a_put_finds_its_shard_while_that_is_split() {
    let outcomes = ["both before", "one before", "both after"];
    model(&outcomes, move |reached| {
        let stream = builder().build().unwrap();
        let producer = stream.producer();
        let writing = thread::spawn(move || {
            put_into_the_upper_half(&producer, 1);
            put_into_the_upper_half(&producer, 2);
        });
        stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
        writing.join().unwrap();
        let shards = numbers(&stream);
        assert_eq!(
            shards.concat(),
            [1, 2],
            "none is lost, and they are in order"
        );
        assert!(shards[1].is_empty(), "it is the lower child");
        reached.came_to(outcomes[2 - shards[0].len()]);
    });
}

/// A clock that is turned on and rings for nobody; looking at it is a step of the model.
#[derive(Clone, Debug)]
struct Turned(Arc<crate::sync::AtomicU64>);

impl Clock for Turned {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Acquire))
    }

    fn wake_at(&self, _deadline: Duration, _waker: &std::task::Waker) -> bool {
        true
    }
}

#[test]
fn a_put_finds_its_shard_when_the_time_of_a_split_comes() {
    let outcomes = ["both before", "one before", "both after"];
    model_within(2, &outcomes, move |reached| {
        let clock = Turned(Arc::new(crate::sync::AtomicU64::new(1_000)));
        let stream = Stream::builder("modelled").clock(clock.clone());
        let stream = stream.state_delay(Duration::from_millis(10));
        let stream = stream.build().unwrap();
        clock.0.store(1_010, Ordering::Release);
        stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
        let producer = stream.producer();
        let writing = thread::spawn(move || {
            put_into_the_upper_half(&producer, 1);
            put_into_the_upper_half(&producer, 2);
        });
        clock.0.store(1_020, Ordering::Release);
        assert_eq!(stream.shards().len(), 3, "whoever comes first");
        writing.join().unwrap();
        let shards = numbers(&stream);
        assert_eq!(
            shards.concat(),
            [1, 2],
            "none is lost, and they are in order"
        );
        assert!(shards[1].is_empty(), "it is the lower child");
        reached.came_to(outcomes[2 - shards[0].len()]);
    });
}

#[test]
fn puts_of_two_threads_through_one_producer_find_the_shards_of_two_splits() {
    model_within(2, &["done"], |outcomes| {
        let stream = builder().build().unwrap();
        let producer = Arc::new(stream.producer());
        let other = thread::spawn({
            let producer = Arc::clone(&producer);
            move || put_into_the_upper_half(&producer, 1)
        });
        let splitting = thread::spawn({
            let stream = stream.clone();
            move || {
                stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
                let upper = stream.shards()[2].id();
                stream.split_shard(upper, HashKey::new(3 << 126)).unwrap();
            }
        });
        put_into_the_upper_half(&producer, 2);
        other.join().unwrap();
        splitting.join().unwrap();
        put_into_the_upper_half(&producer, 3);
        let mut all = numbers(&stream).concat();
        assert_eq!(all.pop(), Some(3));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
        outcomes.came_to("done");
    });
}

#[test]
fn puts_find_their_shard_while_two_are_merged() {
    model(&["before", "one before", "after"], |reached| {
        let stream = builder().shard_count(2).build().unwrap();
        let producer = stream.producer();
        let writing = thread::spawn(move || {
            let put = |key, n| {
                producer
                    .put_record_with_hash_key("k", key, small(n))
                    .unwrap()
            };
            put(HashKey::new(0), 1);
            put(HALF, 2);
        });
        let ids: Vec<_> = stream.shards().iter().map(Shard::id).collect();
        stream.merge_shards(ids[0], ids[1]).unwrap();
        writing.join().unwrap();
        reached.came_to(match *numbers(&stream) {
            [ref low, ref high, ref child] => match (&**low, &**high, &**child) {
                ([1], [2], []) => "before",
                ([1], [], [2]) => "one before",
                ([], [], [1, 2]) => "after",
                other => unreachable!("{other:?}"),
            },
            ref other => unreachable!("{other:?}"),
        });
    });
}

#[test]
fn a_put_is_accepted_or_told_that_the_stream_was_closed() {
    model(&["accepted", "closed"], |outcomes| {
        let stream = builder().build().unwrap();
        let producer = stream.producer();
        let closing = thread::spawn({
            let stream = stream.clone();
            move || stream.close()
        });
        let put = producer.put_record("k", small(1));
        closing.join().unwrap();
        let read = numbers(&stream).concat();
        match put {
            Ok(_) => {
                assert_eq!(read, [1]);
                outcomes.came_to("accepted");
            }
            Err(error) => {
                assert!(matches!(error, crate::Error::StreamClosed { .. }));
                assert!(read.is_empty());
                outcomes.came_to("closed");
            }
        }
    });
}

#[test]
fn a_new_producer_routes_by_the_table_of_the_moment() {
    model(&["the parent", "the child"], |outcomes| {
        let stream = builder().build().unwrap();
        let splitting = thread::spawn({
            let stream = stream.clone();
            move || stream.split_shard(stream.shards()[0].id(), HALF).unwrap()
        });
        put_into_the_upper_half(&stream.producer(), 1);
        splitting.join().unwrap();
        let shards = numbers(&stream);
        assert_eq!(shards.concat(), [1]);
        outcomes.came_to(if shards[0].is_empty() {
            "the child"
        } else {
            "the parent"
        });
    });
}

#[test]
fn a_routing_table_goes_by_its_own_number() {
    model(&["the old one", "the new one"], |outcomes| {
        let stream = builder().build().unwrap();
        let splitting = thread::spawn({
            let stream = stream.clone();
            move || stream.split_shard(stream.shards()[0].id(), HALF).unwrap()
        });
        let known = stream.routing();
        splitting.join().unwrap();
        let index = known.routing.index_of(|| HALF).unwrap();
        let is_open = known.routing.shard(index).is_open();
        assert_eq!(known.version == stream.routing_version(), is_open);
        outcomes.came_to(if is_open {
            "the new one"
        } else {
            "the old one"
        });
    });
}

/// Reads on until all shards were read to the end.
fn read_to_the_end(subscription: &mut Subscription) -> Vec<u8> {
    let mut read = Vec::new();
    while !subscription.is_finished() {
        let batch = subscription
            .get_records_timeout(100, Duration::MAX)
            .unwrap();
        read.extend(batch.iter().map(|view| number_of(&view)));
    }
    read
}

#[test]
fn a_subscription_reads_the_parent_before_the_child_while_it_is_split() {
    model(&["done"], |outcomes| {
        let stream = builder().build().unwrap();
        let mut subscription = stream.subscribe(StartingPosition::TrimHorizon).unwrap();
        let producer = stream.producer();
        let writing = thread::spawn(move || {
            put_into_the_upper_half(&producer, 1);
            stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
            put_into_the_upper_half(&producer, 2);
            stream.close();
        });
        assert_eq!(read_to_the_end(&mut subscription), [1, 2]);
        writing.join().unwrap();
        outcomes.came_to("done");
    });
}

#[test]
fn a_subscription_reads_both_parents_before_the_child_while_they_are_merged() {
    model_within(2, &["low first", "high first"], |outcomes| {
        let stream = builder().shard_count(2).build().unwrap();
        let mut subscription = stream.subscribe(StartingPosition::TrimHorizon).unwrap();
        let producer = stream.producer();
        let writing = thread::spawn(move || {
            let ids: Vec<_> = stream.shards().iter().map(Shard::id).collect();
            let low = producer.put_record_with_hash_key("k", HashKey::new(0), small(1));
            low.unwrap();
            put_into_the_upper_half(&producer, 2);
            stream.merge_shards(ids[0], ids[1]).unwrap();
            put_into_the_upper_half(&producer, 3);
            stream.close();
        });
        outcomes.came_to(match *read_to_the_end(&mut subscription) {
            [1, 2, 3] => "low first",
            [2, 1, 3] => "high first",
            ref other => unreachable!("{other:?}"),
        });
        writing.join().unwrap();
    });
}
