//! `SubscribeToShard`: records pushed as they come (the contract, 6).
//!
//! ```text
//!   subscribe ── claims the shard for its consumer ── ActiveSubscription, in the stream's state
//!       │                                                  │ ends it when another takes over
//!       v                                                  v
//!     Push  ── waits for the first of: a record, the idle time, the end of its time, Ending
//!       │
//!       └── a frame at a time
//! ```

use std::time::Duration;

use crate::protocol::body::EventStream;
use crate::protocol::exception::Exception;
use crate::protocol::operations::consumers::ConsumerKey;
use crate::protocol::operations::iterators::Position;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{CONSUMER_ARN, ITERATOR_TYPE, SEQUENCE_NUMBER, SHARD_ID};
use crate::protocol::stream_state::{ActiveSubscription, Consumer, StreamState};
use crate::registry::Registry;
use crate::shard_id::ShardId;
use crate::stream::Stream;
use crate::sync::PlainArc;

mod ending;
mod push;
#[cfg(test)]
mod tests;

pub(crate) use ending::Ending;

use push::Push;

const STARTING_POSITION: Shape = Shape::Structure {
    name: "StartingPosition",
    members: &[
        Member::required("Type", ITERATOR_TYPE),
        Member::optional("SequenceNumber", SEQUENCE_NUMBER),
        Member::optional("Timestamp", Shape::Timestamp),
    ],
};

pub(super) const OPERATIONS: &[Operation] = &[Operation {
    name: "SubscribeToShard",
    members: &[
        Member::required("ConsumerARN", CONSUMER_ARN),
        Member::required("ShardId", SHARD_ID),
        Member::required("StartingPosition", STARTING_POSITION),
        Member::optional("DryRun", Shape::Boolean),
    ],
    run: subscribe_to_shard,
}];

/// For so long a subscription cannot be taken over.
const EXCLUSIVE: Duration = Duration::from_secs(5);
/// Calls are so far apart, on a stream that has limits.
const CALL_INTERVAL: Duration = Duration::from_secs(1);

fn subscribe_to_shard(call: &Call<'_>, input: &Input) -> Outcome {
    let arn = input.text("ConsumerARN").expect("it is required");
    let key = call.consumer_of_arn(arn)?;
    let text = input.text("ShardId").expect("it is required");
    let shard_id = call.shard_id(key.stream, text)?;
    let stream = call.stream_of_consumer(&key)?;
    call.with_consumer(&stream, &key, |_| Ok(()))?;
    let shard = stream.shard(shard_id);
    let shard = shard.map_err(|_| call.no_such_shard(key.stream, shard_id))?;
    call.with_consumer(&stream, &key, |consumer| {
        call.check_consumer_active(&key, consumer)
    })?;
    let position = input.structure("StartingPosition").expect("it is required");
    let asked = Position {
        kind: position.text("Type").expect("it is required"),
        number: position.text("SequenceNumber"),
        time: position.timestamp("Timestamp"),
        caller: "SubscribeToShard",
    };
    let iterator = asked.iterator(call, &stream, &shard)?;
    let subscriber = Subscriber {
        stream: key.stream.to_owned(),
        consumer: key.name.to_owned(),
        created_secs: key.created_secs,
        shard_id,
        is_limited: shard.settings().limits.read_bytes_per_second.is_some(),
    };
    let claim = subscriber.claim(call, stream, input.flag("DryRun"))?;
    let push = Push::new(call.service, claim, shard, iterator);
    Ok(Output::Events(EventStream::new(push)))
}

/// A consumer and a shard: of each two there is one subscription at a time.
struct Subscriber {
    stream: String,
    consumer: String,
    created_secs: Option<u64>,
    shard_id: ShardId,
    /// Whether the stream limits its readers.
    is_limited: bool,
}

impl Subscriber {
    fn key(&self) -> ConsumerKey<'_> {
        ConsumerKey {
            stream: &self.stream,
            name: &self.consumer,
            created_secs: self.created_secs,
        }
    }

    /// Makes this the consumer's only subscription to the shard; ends the one before.
    fn claim(self, call: &Call<'_>, stream: Stream, is_dry_run: bool) -> Result<Claim, Exception> {
        let began = call.service.registry.clock().monotonic();
        let ending = PlainArc::<Ending>::default();
        let key = self.key();
        let before = call.with_consumer(&stream, &key, |consumer| {
            call.check_consumer_active(&key, consumer)?;
            self.check_free(call, consumer, began)?;
            if is_dry_run {
                return Err(super::dry_run());
            }
            let active = ActiveSubscription {
                began,
                ending: PlainArc::clone(&ending),
            };
            Ok(consumer.subscriptions.insert(self.shard_id, active))
        })?;
        // Without the lock: whoever waits for its records is woken.
        if let Some(before) = before {
            before.ending.end(self.another(call));
        }
        Ok(Claim {
            registry: call.service.registry.clone(),
            stream,
            subscriber: self,
            ending,
        })
    }

    /// Whether the consumer may subscribe to the shard now.
    fn check_free(
        &self,
        call: &Call<'_>,
        consumer: &Consumer,
        now: Duration,
    ) -> Result<(), Exception> {
        let Some(last) = consumer.subscriptions.get(&self.shard_id) else {
            return Ok(());
        };
        let since = now.saturating_sub(last.began);
        if last.ending.is_open() && since < EXCLUSIVE {
            return Err(self.another(call));
        }
        if self.is_limited && since < CALL_INTERVAL {
            return Err(Exception::limit_exceeded(format!(
                "Rate exceeded for consumer {} and shard {} in stream {} under account {}.",
                self.consumer,
                self.shard_id,
                self.stream,
                call.service.account_id()
            )));
        }
        Ok(())
    }

    fn another(&self, call: &Call<'_>) -> Exception {
        Exception::in_use(format!(
            "Another active subscription exists for this consumer: {}:{}:{}:{}",
            call.service.account_id(),
            self.stream,
            self.shard_id,
            self.consumer
        ))
    }
}

/// A subscription's right to its shard; given back when it is dropped.
struct Claim {
    registry: Registry,
    stream: Stream,
    subscriber: Subscriber,
    ending: PlainArc<Ending>,
}

impl Claim {
    /// Checks that the consumer has not been deregistered.
    fn check_registered(&self, call: &Call<'_>) -> Result<(), Exception> {
        let key = self.subscriber.key();
        call.with_consumer(&self.stream, &key, |consumer| {
            call.check_consumer_active(&key, consumer)
                .map_err(|_| call.consumer_not_found(key.name))
        })
    }

    /// Gives it back before it is dropped. With limits it stays known when the last call was.
    fn release(&self) {
        self.ending.close();
        let mut attributes = StreamState::of(&self.registry, &self.stream).attributes();
        let Some(consumer) = attributes.consumers.get_mut(&self.subscriber.consumer) else {
            return;
        };
        let is_own = |active: &ActiveSubscription| PlainArc::ptr_eq(&active.ending, &self.ending);
        let shard_id = self.subscriber.shard_id;
        if !self.subscriber.is_limited && consumer.subscriptions.get(&shard_id).is_some_and(is_own)
        {
            consumer.subscriptions.remove(&shard_id);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release();
    }
}
