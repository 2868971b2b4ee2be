use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use aws_smithy_eventstream::frame::read_message_from;
use bytes::Bytes;
use futures_core::Stream as _;
use serde_json::{Value, json};

use crate::base64::decode_base64;
use crate::clock::{ManualClock, Parker, Timestamp};
use crate::hash_key::HashKey;
use crate::limits::Limits;
use crate::protocol::stream_state::{Consumer, StreamState};
use crate::protocol::{Body, Encoding, EventStream, Service};
use crate::registry::Registry;
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::stream::{Phase, Stream, StreamStatus};
use crate::sync::PlainArc;

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

/// A stream with an active consumer on a clock that is turned by hand.
struct World {
    clock: ManualClock,
    service: Service,
    stream: Stream,
    arn: String,
}

impl World {
    fn new() -> Self {
        Self::with(Limits::unlimited(), 1)
    }

    fn with(limits: Limits, shard_count: u32) -> Self {
        Self::with_delay(limits, shard_count, Duration::ZERO)
    }

    fn with_delay(limits: Limits, shard_count: u32, delay: Duration) -> Self {
        let clock = ManualClock::default();
        let registry = Registry::builder().clock(clock.clone());
        let registry = registry.state_delay(delay).build();
        let builder = Stream::builder("orders")
            .shard_count(shard_count)
            .record_bytes_max(10 * MIB)
            .limits(limits);
        let stream = registry.create(builder).unwrap();
        clock.advance(delay);
        let service = Service::new(&registry);
        let mut world = Self {
            clock,
            service,
            stream,
            arn: String::new(),
        };
        world.arn = world.register("audit", Duration::ZERO);
        world
    }

    fn state(&self) -> &StreamState {
        StreamState::of(&self.service.registry, &self.stream)
    }

    fn now(&self) -> Timestamp {
        self.service.registry.clock().now()
    }

    /// Registers a consumer that stays CREATING for a while; returns its ARN.
    fn register(&self, name: &str, delay: Duration) -> String {
        let created = self.now();
        let consumer = Consumer {
            created,
            phase: Phase::begin(StreamStatus::Creating, created, delay),
            tags: Default::default(),
            policy: None,
            subscriptions: Default::default(),
        };
        let mut attributes = self.state().attributes();
        attributes.consumers.insert(name.to_owned(), consumer);
        self.service.consumer_arn("orders", name, created.as_secs())
    }

    fn put(&self, key: &str, data: impl Into<Vec<u8>>) {
        let data = data.into();
        self.stream.producer().put_record(key, data).unwrap();
    }

    fn call(&self, operation: &str, body: &Value) -> http::Response<Body> {
        let target = format!("Kinesis_20131202.{operation}");
        self.service
            .call(&target, Encoding::Json, body.to_string().into_bytes())
    }

    fn subscribe_as(&self, arn: &str, shard: &str, position: Value) -> Result<Events, String> {
        let request = json!({ "ConsumerARN": arn, "ShardId": shard, "StartingPosition": position });
        let answer = self.call("SubscribeToShard", &request);
        match answer.into_body() {
            Body::Events(events) => Ok(Events { events }),
            Body::Whole(body) => {
                let error: Value = serde_json::from_slice(&body).unwrap();
                let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
                Err(format!("{}: {}", text("__type"), text("message")))
            }
        }
    }

    fn subscribe(&self, kind: &str) -> Result<Events, String> {
        self.subscribe_as(&self.arn, "shardId-000000000000", json!({ "Type": kind }))
    }

    /// A subscription whose first frame was read.
    fn open(&self, kind: &str) -> Events {
        let mut events = self.subscribe(kind).unwrap();
        assert_eq!(events.next(), Some(Frame::InitialResponse));
        events
    }

    /// Waits until somebody waits for the first shard.
    fn wait_for_reader(&self) {
        while self.stream.metrics().shards[0].waiting_readers == 0 {
            std::thread::yield_now();
        }
    }

    fn subscription_count(&self) -> usize {
        let attributes = self.state().attributes();
        let of = |consumer: &Consumer| consumer.subscriptions.len();
        attributes.consumers.values().map(of).sum()
    }
}

/// What a frame says.
#[derive(Debug, PartialEq)]
enum Frame {
    InitialResponse,
    Event(Value),
    Exception(String, String),
}

struct Events {
    events: EventStream,
}

impl Events {
    fn poll(&mut self, waker: &Waker) -> Poll<Option<Frame>> {
        let mut context = Context::from_waker(waker);
        let polled = Pin::new(&mut self.events).poll_next(&mut context);
        polled.map(|frame| frame.map(|frame| read(&frame)))
    }

    /// What there is at once: `None` if there is nothing.
    fn next(&mut self) -> Option<Frame> {
        match self.poll(Waker::noop()) {
            Poll::Ready(frame) => Some(frame.expect("it has not ended")),
            Poll::Pending => None,
        }
    }

    fn event(&mut self) -> Value {
        match self.next() {
            Some(Frame::Event(event)) => event,
            other => panic!("no event: {other:?}"),
        }
    }

    fn has_ended(&mut self) -> bool {
        // For good: it may be asked again.
        (0..2).all(|_| self.poll(Waker::noop()) == Poll::Ready(None))
    }

    /// Waits for the next frame, of which there is none yet: unparked when there may be one.
    fn pending(&mut self) -> Parker {
        let parker = Parker::new();
        assert_eq!(self.poll(&parker.waker()), Poll::Pending);
        parker
    }

    /// The frame that somebody is woken for.
    fn wait(&mut self) -> Option<Frame> {
        let parker = Parker::new();
        loop {
            match self.poll(&parker.waker()) {
                Poll::Ready(frame) => return frame,
                Poll::Pending => parker.park(),
            }
        }
    }
}

fn read(frame: &Bytes) -> Frame {
    let message = read_message_from(&frame[..]).expect("a whole frame");
    let header = |name: &str| {
        let mut headers = message.headers().iter();
        let header = headers.find(|header| header.name().as_str() == name);
        header.map(|header| header.value().as_string().unwrap().as_str().to_owned())
    };
    assert_eq!(header(":content-type").unwrap(), "application/json");
    let payload: Value = serde_json::from_slice(message.payload()).unwrap();
    if header(":message-type").unwrap() == "exception" {
        let kind = header(":exception-type").unwrap();
        assert_eq!(payload["__type"], kind.as_str());
        return Frame::Exception(kind, payload["message"].as_str().unwrap().to_owned());
    }
    match header(":event-type").unwrap().as_str() {
        "initial-response" => Frame::InitialResponse,
        "SubscribeToShardEvent" => Frame::Event(payload),
        other => panic!("an event of another type: {other}"),
    }
}

/// The data of an event's records, as text.
fn data(event: &Value) -> Vec<String> {
    let records = event["Records"].as_array().unwrap();
    let text = |record: &Value| {
        let data = record["Data"].as_str().unwrap();
        let data = decode_base64(data).unwrap();
        String::from_utf8(data).unwrap()
    };
    records.iter().map(text).collect()
}

fn continuation(event: &Value) -> &str {
    event["ContinuationSequenceNumber"].as_str().unwrap()
}

#[test]
fn the_first_frame_and_the_first_event_come_at_once_though_there_is_no_record() {
    let world = World::new();
    let mut events = world.open("LATEST");
    let event = events.event();
    assert_eq!(data(&event), [""; 0]);
    assert_eq!(event["MillisBehindLatest"], 0);
    assert!(!continuation(&event).is_empty());
    assert!(event.get("ChildShards").is_none());
    assert_eq!(events.next(), None);
}

#[test]
fn history_comes_first_and_then_each_record_as_it_is_put() {
    let world = World::new();
    world.put("a", "one");
    world.put("b", "two");
    world.clock.advance(SECOND);
    let mut events = world.open("TRIM_HORIZON");
    let event = events.event();
    assert_eq!(data(&event), ["one", "two"]);
    let record = &event["Records"][0];
    assert_eq!(record["PartitionKey"], "a");
    assert_eq!(record["ApproximateArrivalTimestamp"], 1_577_836_800);
    assert!(record.get("EncryptionType").is_none());
    let woken = events.pending();
    world.put("c", "three");
    woken.park();
    assert_eq!(data(&events.event()), ["three"]);
}

#[test]
fn an_idle_subscription_has_an_event_every_five_seconds_and_ends_after_five_minutes() {
    let world = World::new();
    let mut events = world.open("LATEST");
    let mut last: crate::sequence::SequenceNumber = continuation(&events.event()).parse().unwrap();
    let (sender, frames) = std::sync::mpsc::channel();
    let mut event_count = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender;
            while let Some(frame) = events.wait() {
                sender.send(frame).unwrap();
            }
        });
        // The clock alone wakes it.
        loop {
            world.wait_for_reader();
            world.clock.advance(5 * SECOND);
            let Ok(frame) = frames.recv() else {
                break;
            };
            let Frame::Event(event) = frame else {
                panic!("no event: {frame:?}");
            };
            assert_eq!(data(&event), [""; 0]);
            let number = continuation(&event).parse().unwrap();
            assert!(number > last, "the position advances");
            (last, event_count) = (number, event_count + 1);
        }
    });
    assert_eq!(event_count, 59);
    assert!(events.has_ended());
    assert_eq!(world.subscription_count(), 0);
}

#[test]
fn idle_events_are_five_seconds_apart_to_the_millisecond() {
    let world = World::new();
    let mut events = world.open("LATEST");
    events.event();
    for _ in 0..58 {
        world.clock.advance(5 * SECOND - Duration::from_millis(1));
        assert_eq!(events.next(), None);
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(data(&events.event()), [""; 0]);
    }
    world.put("a", "one");
    assert_eq!(data(&events.event()), ["one"]);
    world.clock.advance(5 * SECOND);
    events.event();
    world.clock.advance(5 * SECOND);
    assert!(events.has_ended());
}

#[test]
fn an_event_has_two_mebibytes_at_most_but_one_record_in_any_case() {
    let world = World::new();
    for size in [MIB - 1, MIB - 1, 1, 5 * MIB, 2, 3] {
        world.put("k", vec![b'x'; size]);
    }
    let mut events = world.open("TRIM_HORIZON");
    let mut sizes = Vec::new();
    while let Some(Frame::Event(event)) = events.next() {
        sizes.push(data(&event).iter().map(String::len).collect::<Vec<_>>());
    }
    let (large, two) = (MIB - 1, 2 * (MIB - 1));
    assert_eq!(two + 2, 2 * MIB, "with their keys, two fill an event");
    assert_eq!(
        sizes,
        [vec![large, large], vec![1], vec![5 * MIB], vec![2, 3]]
    );
}

#[test]
fn an_event_has_ten_thousand_records_at_most_and_says_how_far_behind_it_is() {
    let world = World::new();
    for _ in 0..10_001 {
        world.put("k", "");
    }
    world.clock.advance(3 * SECOND);
    let mut events = world.open("TRIM_HORIZON");
    let first = events.event();
    assert_eq!(data(&first).len(), 10_000);
    assert_eq!(first["MillisBehindLatest"], 3_000);
    let second = events.event();
    assert_eq!(data(&second).len(), 1);
    assert_eq!(second["MillisBehindLatest"], 0);
}

#[test]
fn a_subscription_goes_on_from_any_event_with_neither_a_gap_nor_a_repetition() {
    let world = World::new();
    let mut events = world.open("TRIM_HORIZON");
    let (mut numbers, mut put) = (vec![(continuation(&events.event()).to_owned(), 0)], 0);
    for step in 0..12 {
        if step % 3 != 0 {
            put += 1;
            world.put("k", put.to_string());
        }
        // Some within the same second, as those of real clocks are.
        let millis = if step % 2 == 0 { 5_000 } else { 300 };
        while let Some(Frame::Event(event)) = events.next() {
            numbers.push((continuation(&event).to_owned(), put));
        }
        world.clock.advance(Duration::from_millis(millis));
    }
    drop(events);
    assert!(numbers.len() > 8, "{}", numbers.len());
    let parse = |text: &str| text.parse::<crate::sequence::SequenceNumber>().unwrap();
    assert!(numbers.is_sorted_by(|a, b| parse(&a.0) <= parse(&b.0)));
    for (number, delivered) in &numbers {
        let rest: Vec<_> = (delivered + 1..=put).map(|data| data.to_string()).collect();
        for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
            let position = json!({ "Type": kind, "SequenceNumber": number });
            let events = world.subscribe_as(&world.arn, "shardId-000000000000", position);
            let mut events = events.unwrap();
            assert_eq!(events.next(), Some(Frame::InitialResponse));
            assert_eq!(data(&events.event()), rest, "{kind} {number}");
            drop(events);

            let iterator = world.call(
                "GetShardIterator",
                &json!({
                    "StreamName": "orders",
                    "ShardId": "shardId-000000000000",
                    "ShardIteratorType": kind,
                    "StartingSequenceNumber": number,
                }),
            );
            let answer = world.call("GetRecords", &json_of(iterator));
            assert_eq!(data(&json_of(answer)), rest, "{kind} {number}");
        }
    }
}

fn json_of(answer: http::Response<Body>) -> Value {
    assert_eq!(answer.status(), 200);
    match answer.into_body() {
        Body::Whole(body) => serde_json::from_slice(&body).unwrap(),
        Body::Events(_) => panic!("frames"),
    }
}

#[test]
fn the_last_event_of_a_shard_has_its_children_and_no_number_and_the_stream_ends() {
    let world = World::with(Limits::unlimited(), 2);
    let mut live = world.open("LATEST");
    live.event();
    world.put("k", "one");
    let [a, b] = [ShardId::from_index(0), ShardId::from_index(1)];
    world.stream.merge_shards(a, b).unwrap();
    // Of a subscription that is at the tip, and of one that begins after the end.
    let history = world.register("history", Duration::ZERO);
    let position = json!({ "Type": "TRIM_HORIZON" });
    let mut history = world
        .subscribe_as(&history, "shardId-000000000001", position)
        .unwrap();
    assert_eq!(history.next(), Some(Frame::InitialResponse));
    let mut all = Vec::new();
    for events in [&mut live, &mut history] {
        let event = events.event();
        assert!(event.get("ContinuationSequenceNumber").is_none());
        assert_eq!(
            event["ChildShards"],
            json!([{
                "ShardId": "shardId-000000000002",
                "ParentShards": ["shardId-000000000000", "shardId-000000000001"],
                "HashKeyRange": {
                    "StartingHashKey": "0",
                    "EndingHashKey": "340282366920938463463374607431768211455",
                },
            }])
        );
        assert_eq!(event["MillisBehindLatest"], 0);
        all.extend(data(&event));
        assert!(events.has_ended());
    }
    assert_eq!(all, ["one"]);
    assert_eq!(world.subscription_count(), 0);
}

#[test]
fn a_subscription_that_waits_is_woken_when_a_reshard_takes_effect_and_ends_with_the_children() {
    let world = World::with_delay(Limits::unlimited(), 2, 2 * SECOND);
    let mut events = world.open("LATEST");
    events.event();
    let [a, b] = [ShardId::from_index(0), ShardId::from_index(1)];
    world.stream.merge_shards(a, b).unwrap();
    let producer = world.stream.producer();
    let put = producer.put_record_with_hash_key("k", HashKey::MIN, "before");
    put.unwrap();
    let event = events.event();
    assert_eq!(data(&event), ["before"]);
    assert!(event.get("ChildShards").is_none());
    let woken = events.pending();
    world.clock.advance(2 * SECOND);
    // Long before the next idle event, and by nobody else.
    woken.park();
    let event = events.event();
    assert_eq!(event["ChildShards"][0]["ShardId"], "shardId-000000000002");
    assert!(event.get("ContinuationSequenceNumber").is_none());
    assert!(events.has_ended());
    assert_eq!(world.subscription_count(), 0);
}

const ANOTHER: &str = "Another active subscription exists for this consumer: \
                       000000000000:orders:shardId-000000000000:audit";

#[test]
fn within_five_seconds_a_second_subscription_is_refused_and_later_it_takes_over() {
    let world = World::new();
    let mut first = world.open("LATEST");
    first.event();
    world.clock.advance(5 * SECOND - Duration::from_millis(1));
    let refused = world.subscribe("LATEST").err();
    assert_eq!(
        refused.unwrap(),
        format!("ResourceInUseException: {ANOTHER}")
    );
    assert_eq!(first.next(), None, "the first goes on");
    world.clock.advance(Duration::from_millis(1));
    first.event();
    let woken = first.pending();
    let mut second = world.open("LATEST");
    woken.park();
    let exception = Frame::Exception("ResourceInUseException".into(), ANOTHER.into());
    assert_eq!(first.next(), Some(exception));
    assert!(first.has_ended());
    drop(first);
    assert_eq!(
        world.subscription_count(),
        1,
        "the first takes nothing along"
    );
    second.event();
    world.put("k", "one");
    assert_eq!(data(&second.event()), ["one"]);
}

#[test]
fn other_consumers_and_other_shards_are_subscribed_to_independently() {
    let world = World::with(Limits::unlimited(), 2);
    let other = world.register("billing", Duration::ZERO);
    let position = json!({ "Type": "LATEST" });
    let mut all = vec![world.open("LATEST")];
    for (arn, shard) in [
        (&world.arn, "shardId-1"),
        (&other, "shardId-0"),
        (&other, "shardId-1"),
    ] {
        all.push(world.subscribe_as(arn, shard, position.clone()).unwrap());
    }
    assert_eq!(world.subscription_count(), 4);
}

#[test]
fn a_subscription_that_is_dropped_leaves_nothing_behind_whenever_that_is() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: PlainArc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let world = World::new();
    for polls in 0..6 {
        let count = PlainArc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(PlainArc::clone(&count));
        let mut events = world.subscribe("LATEST").unwrap();
        for _ in 0..polls {
            let _ = events.poll(&waker);
        }
        drop(events);
        drop(waker);
        assert_eq!(PlainArc::strong_count(&count), 1, "{polls} polls");
        assert_eq!(world.subscription_count(), 0);
        assert_eq!(world.stream.metrics().shards[0].waiting_readers, 0);
    }
}

#[test]
fn dropping_the_registry_and_its_subscriptions_ends_the_thread() {
    let world = World::new();
    let mut events = world.open("LATEST");
    events.event();
    assert_eq!(events.next(), None);
    let clock = world.clock.clone();
    while clock.sleeper_count() == 0 {
        std::thread::yield_now();
    }
    drop(events);
    drop(world);
    while clock.sleeper_count() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn with_limits_a_consumer_subscribes_once_a_second() {
    let world = World::with(Limits::kinesis(), 1);
    drop(world.open("LATEST"));
    world.clock.advance(SECOND - Duration::from_millis(1));
    let refused = world.subscribe("LATEST").err().unwrap();
    assert!(
        refused.starts_with("LimitExceededException: Rate exceeded"),
        "{refused}"
    );
    world.clock.advance(Duration::from_millis(1));
    drop(world.open("LATEST"));
    assert_eq!(
        world.subscription_count(),
        1,
        "no more than when the last call was"
    );
}

#[test]
fn with_limits_two_mebibytes_a_second_are_pushed_and_without_them_all_at_once() {
    let world = World::with(Limits::kinesis().write_bytes_per_second(None), 1);
    for _ in 0..5 {
        world.put("k", vec![b'x'; MIB - 1]);
    }
    let mut events = world.open("TRIM_HORIZON");
    for count in [2, 2] {
        assert_eq!(data(&events.event()).len(), count);
        assert_eq!(events.next(), None);
        world.clock.advance(SECOND - Duration::from_millis(1));
        assert_eq!(events.next(), None);
        world.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(data(&events.event()).len(), 1);
    assert_eq!(events.next(), None);
}

#[test]
fn one_that_is_held_up_by_limits_has_idle_events_that_say_how_far_behind_it_is() {
    let limits = Limits::kinesis()
        .write_bytes_per_second(None)
        .read_bytes_per_second(Some(MIB as u64));
    let world = World::with(limits, 1);
    world.put("k", vec![b'x'; 10 * MIB]);
    world.put("k", vec![b'x'; 10 * MIB]);
    world.clock.advance(SECOND);
    let mut events = world.open("TRIM_HORIZON");
    let event = events.event();
    assert_eq!(event["MillisBehindLatest"], 1_000);
    world.clock.advance(5 * SECOND);
    let event = events.event();
    assert_eq!(
        (data(&event).len(), &event["MillisBehindLatest"]),
        (0, &json!(1_000))
    );
    // The key is the byte that takes a moment longer.
    world.clock.advance(5 * SECOND);
    assert_eq!(data(&events.event()).len(), 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(data(&events.event()).len(), 1);
}

#[test]
fn a_subscription_takes_nothing_of_what_other_readers_may_read() {
    let world = World::with(Limits::kinesis().write_bytes_per_second(None), 1);
    for _ in 0..10 {
        world.put("k", vec![b'x'; MIB]);
    }
    let mut events = world.open("TRIM_HORIZON");
    for _ in 0..5 {
        events.event();
        world.clock.advance(SECOND);
    }
    // Twenty consumers, and still there are five iterators and five reads in this second.
    let subscribe = |consumer: usize| {
        let arn = world.register(&format!("c{consumer}"), Duration::ZERO);
        world
            .subscribe_as(&arn, "shardId-0", json!({ "Type": "LATEST" }))
            .unwrap()
    };
    let all: Vec<_> = (0..19).map(subscribe).collect();
    let shard = &world.stream.shards()[0];
    for _ in 0..5 {
        let mut iterator = shard.iterator(StartingPosition::Latest).unwrap();
        iterator.get_records(1).unwrap();
    }
    assert_eq!(all.len(), 19);
}

#[test]
fn a_consumer_that_is_deregistered_has_its_subscriptions_ended() {
    let world = World::new();
    let mut events = world.open("LATEST");
    events.event();
    let woken = events.pending();
    let gone = "Consumer audit, account 000000000000 not found.";
    let exception = || Frame::Exception("ResourceNotFoundException".into(), gone.into());
    let consumer = world
        .state()
        .attributes()
        .consumers
        .remove("audit")
        .unwrap();
    for subscription in consumer.subscriptions.into_values() {
        let with = crate::protocol::exception::Exception::not_found(gone);
        subscription.ending.end(with);
    }
    woken.park();
    assert_eq!(events.next(), Some(exception()));
    assert!(events.has_ended());
    // Whoever forgets to tell it is found out at the next event.
    world.register("audit", Duration::ZERO);
    let mut events = world.open("LATEST");
    world.state().attributes().consumers.clear();
    assert_eq!(events.next(), Some(exception()));
    assert!(events.has_ended());
}

#[test]
fn a_stream_that_is_deleted_ends_its_subscriptions() {
    let world = World::new();
    let mut events = world.open("LATEST");
    events.event();
    let woken = events.pending();
    world.service.registry.delete("orders").unwrap();
    woken.park();
    let text = "Stream orders under account 000000000000 not found.";
    let exception = Frame::Exception("ResourceNotFoundException".into(), text.into());
    assert_eq!(events.next(), Some(exception));
    assert!(events.has_ended());
}

#[test]
fn a_dry_run_checks_everything_and_does_nothing() {
    let world = World::new();
    let request = |shard: &str| {
        json!({
            "ConsumerARN": world.arn,
            "ShardId": shard,
            "StartingPosition": { "Type": "LATEST" },
            "DryRun": true,
        })
    };
    let kind = |request: &Value| {
        let answer = world.call("SubscribeToShard", request);
        assert_eq!(answer.status(), 400);
        answer.headers()["x-amzn-errortype"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(kind(&request("shardId-0")), "DryRunOperationException");
    assert_eq!(kind(&request("shardId-7")), "ResourceNotFoundException");
    assert_eq!(world.subscription_count(), 0);
    let mut events = world.open("LATEST");
    assert_eq!(kind(&request("shardId-0")), "ResourceInUseException");
    events.event();
}

#[test]
fn what_is_wrong_is_told_before_the_stream_begins() {
    let world = World::new();
    let creating = world.register("young", SECOND);
    let latest = json!({ "Type": "LATEST" });
    let number = "49646437577130777162115407028967465143858078037781250066";
    let created = world.now().as_secs();
    let arn = |account: &str, stream: &str, consumer: &str, secs: u64| {
        format!("arn:aws:kinesis:us-east-1:{account}:stream/{stream}/consumer/{consumer}:{secs}")
    };
    let ours = "000000000000";
    for (arn, shard, position, error) in [
        (
            arn(ours, "orders", "nobody", created),
            "shardId-0",
            latest.clone(),
            "ResourceNotFoundException: Consumer nobody, account 000000000000 not found.".to_owned(),
        ),
        (
            arn(ours, "orders", "audit", created + 1),
            "shardId-0",
            latest.clone(),
            "ResourceNotFoundException: Consumer audit, account 000000000000 not found.".to_owned(),
        ),
        (
            arn("111111111111", "orders", "audit", created),
            "shardId-0",
            latest.clone(),
            "ResourceNotFoundException: Consumer audit, account 000000000000 not found.".to_owned(),
        ),
        (
            arn(ours, "invoices", "audit", created),
            "shardId-0",
            latest.clone(),
            "ResourceNotFoundException: Consumer audit, account 000000000000 not found.".to_owned(),
        ),
        (
            world.arn.clone(),
            "shardId-1",
            latest.clone(),
            "ResourceNotFoundException: Shard shardId-000000000001 in stream orders under account \
             000000000000 does not exist"
                .to_owned(),
        ),
        (
            world.arn.clone(),
            "nonsense",
            latest.clone(),
            "ResourceNotFoundException: Could not find shard nonsense in stream orders under account \
             000000000000."
                .to_owned(),
        ),
        (
            creating.clone(),
            "shardId-0",
            latest.clone(),
            format!(
                "ResourceInUseException: Consumer young with creation timestamp {created} under \
                 stream: orders , account 000000000000 is not in ACTIVE status."
            ),
        ),
        (
            world.arn.clone(),
            "shardId-0",
            json!({ "Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number }),
            "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes \
             shardId-000000000001, while it was used in a call to a shard with shardId-000000000000"
                .to_owned(),
        ),
        (
            world.arn.clone(),
            "shardId-0",
            json!({ "Type": "LATEST", "SequenceNumber": "0", "Timestamp": "now" }),
            "SerializationException: ".to_owned(),
        ),
        (
            world.arn.clone(),
            "shardId-0",
            json!({ "SequenceNumber": "x" }),
            "ValidationException: 2 validation errors detected: Value null at \
             'startingPosition.type' failed to satisfy constraint: Member must not be null; Value 'x' \
             at 'startingPosition.sequenceNumber' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: 0|([1-9]\\d{0,128})"
                .to_owned(),
        ),
    ] {
        let refused = world.subscribe_as(&arn, shard, position).err();
        assert_eq!(refused.expect("it is refused"), error);
    }
    for (position, about) in [
        (
            json!({ "Type": "AT_SEQUENCE_NUMBER" }),
            "no StartingSequenceNumber",
        ),
        (
            json!({ "Type": "AFTER_SEQUENCE_NUMBER" }),
            "no StartingSequenceNumber",
        ),
        (
            json!({ "Type": "TRIM_HORIZON", "SequenceNumber": "1" }),
            "also a StartingSequenceNumber",
        ),
        (
            json!({ "Type": "AT_TIMESTAMP" }),
            "Must specify timestampInMillis",
        ),
        (
            json!({ "Type": "AT_TIMESTAMP", "Timestamp": created + 1 }),
            "cannot be greater than the currentTimestampInMillis",
        ),
    ] {
        let refused = world.subscribe_as(&world.arn, "shardId-0", position).err();
        let refused = refused.expect("it is refused");
        assert!(
            refused.starts_with("InvalidArgumentException: "),
            "{refused}"
        );
        assert!(refused.contains(about), "{refused}");
    }
    assert_eq!(world.subscription_count(), 0);
    // The one that was too young is not for long.
    world.clock.advance(SECOND);
    assert!(world.subscribe_as(&creating, "shardId-0", latest).is_ok());
}

#[test]
fn a_subscription_begins_where_it_is_asked_to() {
    let world = World::new();
    let start = world.now();
    let mut numbers = Vec::new();
    for data in ["one", "two", "three"] {
        let put = world.stream.producer().put_record("k", data).unwrap();
        numbers.push(put.sequence_number().to_string());
        world.clock.advance(SECOND);
    }
    for (position, expected) in [
        (
            json!({ "Type": "TRIM_HORIZON" }),
            vec!["one", "two", "three"],
        ),
        (json!({ "Type": "LATEST" }), vec![]),
        (
            json!({ "Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": numbers[1] }),
            vec!["two", "three"],
        ),
        (
            json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[1] }),
            vec!["three"],
        ),
        (
            json!({ "Type": "AT_TIMESTAMP", "Timestamp": start.as_secs() + 1 }),
            vec!["two", "three"],
        ),
    ] {
        let mut events = world
            .subscribe_as(&world.arn, "shardId-0", position)
            .unwrap();
        assert_eq!(events.next(), Some(Frame::InitialResponse));
        assert_eq!(data(&events.event()), expected);
    }
}

#[test]
fn records_of_an_encrypted_stream_say_so() {
    let world = World::new();
    world.put("k", "open");
    world.clock.advance(SECOND);
    let since = (world.now(), Some("alias/key".to_owned()));
    world.state().attributes().encryption.push(since);
    world.put("k", "secret");
    let event = world.open("TRIM_HORIZON").event();
    assert!(event["Records"][0].get("EncryptionType").is_none());
    assert_eq!(event["Records"][1]["EncryptionType"], "KMS");
}

#[test]
fn a_request_in_cbor_is_answered_with_frames_of_json() {
    let world = World::new();
    let mut body = Vec::new();
    let position = crate::protocol::value::Value::structure().with("Type", "LATEST");
    let request = crate::protocol::value::Value::structure()
        .with("ConsumerARN", world.arn.as_str())
        .with("ShardId", "shardId-0")
        .with("StartingPosition", position);
    crate::protocol::cbor::encode(&request, &mut body);
    let answer = world
        .service
        .call("Kinesis_20131202.SubscribeToShard", Encoding::Cbor, body);
    assert_eq!(
        answer.headers()["content-type"],
        "application/vnd.amazon.eventstream"
    );
    let Body::Events(events) = answer.into_body() else {
        panic!("no frames");
    };
    let mut events = Events { events };
    assert_eq!(events.next(), Some(Frame::InitialResponse));
    events.event();
}

#[test]
fn a_thread_is_started_by_a_subscription_that_waits_and_by_nothing_else() {
    let world = World::new();
    world.put("k", "one");
    let mut events = world.open("TRIM_HORIZON");
    events.event();
    assert_eq!(world.clock.sleeper_count(), 0);
    assert_eq!(events.next(), None);
    while world.clock.sleeper_count() == 0 {
        std::thread::yield_now();
    }
    // However many there are, it is one.
    let other = world.register("other", Duration::ZERO);
    let mut others = world
        .subscribe_as(&other, "shardId-0", json!({ "Type": "LATEST" }))
        .unwrap();
    others.next();
    others.event();
    assert_eq!(others.next(), None);
    assert!(world.clock.sleeper_count() <= 1);
}
