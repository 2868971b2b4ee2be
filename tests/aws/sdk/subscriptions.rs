//! `SubscribeToShard` through the SDK: history, the live tail, its ends.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{
    ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
};
use futures_executor::{ThreadPool, block_on};

use crate::world::{SECOND, World, position};

const SHARD: &str = "shardId-000000000000";

type Events = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

async fn subscribe_from(world: &World, consumer: &str, from: StartingPosition) -> Events {
    let subscribe = world.client.subscribe_to_shard().consumer_arn(consumer);
    let subscribe = subscribe.shard_id(SHARD).starting_position(from);
    let SubscribeToShardOutput { event_stream, .. } = subscribe.send().await.expect("subscribed");
    event_stream
}

async fn subscribe(world: &World, consumer: &str, kind: ShardIteratorType) -> Events {
    subscribe_from(world, consumer, position(kind)).await
}

/// The next event; `None` at the end of the stream.
async fn next(
    events: &mut Events,
) -> Result<Option<SubscribeToShardEvent>, SubscribeToShardEventStreamError> {
    match events.recv().await {
        Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => Ok(Some(event)),
        Ok(Some(other)) => panic!("an event of another type: {other:?}"),
        Ok(None) => Ok(None),
        Err(error) => Err(error.into_service_error()),
    }
}

async fn event(events: &mut Events) -> SubscribeToShardEvent {
    next(events).await.expect("no error").expect("an event")
}

fn data(event: &SubscribeToShardEvent) -> Vec<String> {
    let records = event.records().iter();
    let text = |data: &[u8]| String::from_utf8(data.to_vec()).expect("it is text");
    records.map(|record| text(record.data().as_ref())).collect()
}

/// What a future is ready with, if it is so at once.
fn now<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn history_is_there_at_once_and_live_records_follow() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let number = world.put("orders", "one").await;
        world.put("orders", "two").await;
        let audit = world.register("orders", "audit").await;
        let mut events = subscribe(&world, &audit, ShardIteratorType::TrimHorizon).await;
        let first = event(&mut events).await;
        assert_eq!(data(&first), ["one", "two"]);
        assert_eq!(first.records()[0].sequence_number(), number);
        assert_eq!(first.millis_behind_latest(), 0);
        assert!(!first.continuation_sequence_number().is_empty());
        assert!(first.child_shards().is_empty());
        for text in ["three", "four"] {
            {
                let mut waiting = pin!(next(&mut events));
                assert!(now(waiting.as_mut()).is_none());
                world.put("orders", text).await;
                let event = waiting.await.expect("no error").expect("an event");
                assert_eq!(data(&event), [text]);
            }
        }
    });
}

#[test]
fn sending_is_over_with_the_first_frame_though_there_is_no_record() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let audit = world.register("orders", "audit").await;
        let subscribe = world.client.subscribe_to_shard().consumer_arn(audit);
        let subscribe = subscribe.shard_id(SHARD);
        let subscribe = subscribe.starting_position(position(ShardIteratorType::Latest));
        // Polled once: nothing is waited for.
        let mut sent = pin!(subscribe.send());
        let mut events = now(sent.as_mut())
            .expect("at once")
            .expect("subscribed")
            .event_stream;
        let first = now(pin!(next(&mut events)))
            .expect("at once")
            .expect("no error");
        assert_eq!(data(&first.expect("an event")), [""; 0]);
    });
}

#[test]
fn a_subscription_ends_after_five_minutes_and_the_next_goes_on_where_it_was() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let audit = world.register("orders", "audit").await;
        let mut events = subscribe(&world, &audit, ShardIteratorType::TrimHorizon).await;
        let mut goes_on = event(&mut events).await.continuation_sequence_number;
        let mut read = Vec::new();
        for step in 1..60 {
            if step % 10 == 0 {
                world.put("orders", &step.to_string()).await;
                let event = event(&mut events).await;
                read.extend(data(&event));
            }
            world.clock.advance(5 * SECOND);
            let idle = event(&mut events).await;
            assert_eq!(data(&idle), [""; 0]);
            goes_on = idle.continuation_sequence_number;
        }
        world.put("orders", "late").await;
        world.clock.advance(5 * SECOND);
        for _ in 0..2 {
            assert!(next(&mut events).await.expect("no error").is_none());
        }
        let from = StartingPosition::builder()
            .r#type(ShardIteratorType::AfterSequenceNumber)
            .sequence_number(goes_on)
            .build()
            .expect("it is whole");
        let mut events = subscribe_from(&world, &audit, from).await;
        read.extend(data(&event(&mut events).await));
        assert_eq!(read, ["10", "20", "30", "40", "50", "late"]);
    });
}

#[test]
fn the_clock_wakes_whoever_waits_for_an_event() {
    let world = World::new();
    block_on(world.create("orders", 1));
    let audit = block_on(world.register("orders", "audit"));
    let mut events = block_on(subscribe(&world, &audit, ShardIteratorType::Latest));
    block_on(event(&mut events));
    let (sender, idle) = std::sync::mpsc::channel();
    let orders = world.registry.get("orders").expect("it is there");
    let mut count = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender;
            while let Some(event) = block_on(next(&mut events)).expect("no error") {
                sender.send(data(&event)).expect("somebody listens");
            }
        });
        loop {
            while orders.metrics().shards[0].waiting_readers == 0 {
                std::thread::yield_now();
            }
            world.clock.advance(5 * SECOND);
            let Ok(event) = idle.recv() else {
                break;
            };
            assert_eq!(event, [""; 0]);
            count += 1;
        }
    });
    assert_eq!(count, 59);
}

#[test]
fn the_last_event_of_a_shard_has_its_children() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let audit = world.register("orders", "audit").await;
        let mut events = subscribe(&world, &audit, ShardIteratorType::TrimHorizon).await;
        event(&mut events).await;
        world.put("orders", "one").await;
        let split = world
            .client
            .split_shard()
            .stream_name("orders")
            .shard_to_split(SHARD);
        split
            .new_starting_hash_key("1000")
            .send()
            .await
            .expect("split");
        let last = event(&mut events).await;
        assert_eq!(data(&last), ["one"]);
        assert_eq!(last.continuation_sequence_number(), "");
        let children: Vec<_> = last
            .child_shards()
            .iter()
            .map(|child| child.shard_id())
            .collect();
        assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
        for child in last.child_shards() {
            assert_eq!(child.parent_shards(), [SHARD]);
            assert!(child.hash_key_range().is_some());
        }
        assert!(next(&mut events).await.expect("no error").is_none());
    });
}

#[test]
fn exceptions_in_the_stream_have_their_types() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let audit = world.register("orders", "audit").await;
        // Another takes over.
        let mut first = subscribe(&world, &audit, ShardIteratorType::Latest).await;
        event(&mut first).await;
        world.clock.advance(5 * SECOND);
        let mut second = subscribe(&world, &audit, ShardIteratorType::Latest).await;
        let error = next(&mut first).await.expect_err("it was taken over");
        assert!(error.is_resource_in_use_exception());
        assert_eq!(error.code(), Some("ResourceInUseException"));
        assert_eq!(
            error.message(),
            Some(
                "Another active subscription exists for this consumer: \
                 000000000000:orders:shardId-000000000000:audit"
            )
        );
        // The consumer goes.
        event(&mut second).await;
        let deregister = world
            .client
            .deregister_stream_consumer()
            .consumer_arn(&audit);
        deregister.send().await.expect("deregistered");
        let error = next(&mut second).await.expect_err("it is gone");
        assert!(error.is_resource_not_found_exception());
        // The stream goes.
        let audit = world.register("orders", "audit").await;
        let mut third = subscribe(&world, &audit, ShardIteratorType::Latest).await;
        event(&mut third).await;
        let delete = world.client.delete_stream().stream_name("orders");
        let delete = delete.enforce_consumer_deletion(true);
        delete.send().await.expect("deleted");
        let error = next(&mut third).await.expect_err("it is gone");
        assert!(error.is_resource_not_found_exception());
        assert_eq!(
            error.message(),
            Some("Stream orders under account 000000000000 not found.")
        );
    });
}

#[test]
fn twenty_consumers_each_read_every_record_at_the_same_time() {
    const RECORDS: usize = 1_000;
    let world = World::new();
    block_on(world.create("orders", 1));
    let pool = ThreadPool::builder()
        .pool_size(4)
        .create()
        .expect("it starts");
    let (sender, read) = std::sync::mpsc::channel();
    for index in 0..20 {
        let consumer = block_on(world.register("orders", &format!("consumer-{index}")));
        let mut events = block_on(subscribe(&world, &consumer, ShardIteratorType::TrimHorizon));
        let sender = sender.clone();
        pool.spawn_ok(async move {
            let mut all = Vec::new();
            while all.len() < RECORDS {
                all.extend(data(&event(&mut events).await));
            }
            sender.send(all).expect("somebody listens");
        });
    }
    let expected: Vec<_> = (0..RECORDS).map(|index| index.to_string()).collect();
    block_on(async {
        for text in &expected {
            world.put("orders", text).await;
        }
    });
    for _ in 0..20 {
        assert_eq!(read.recv().expect("it reads all"), expected);
    }
}

#[test]
fn a_subscription_that_is_dropped_can_be_opened_again_at_once() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let audit = world.register("orders", "audit").await;
        for _ in 0..3 {
            let mut events = subscribe(&world, &audit, ShardIteratorType::Latest).await;
            event(&mut events).await;
        }
    });
}
