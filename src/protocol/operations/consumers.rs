//! Registered readers of a stream: enhanced fan-out.

use std::fmt;

use crate::clock::Timestamp;
use crate::protocol::exception::Exception;
use crate::protocol::operations::tags::{check_tags, owned_tags};
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::paging::{Page, TokenKind};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{
    CONSUMER_ARN, LIMIT, NAME, NEXT_TOKEN, STREAM_ARN_OPTIONAL, STREAM_ARN_REQUIRED, TAGS,
};
use crate::protocol::stream_state::{Attributes, Consumer};
use crate::protocol::value::Value;
use crate::protocol::{Service, arn};
use crate::stream::{Phase, Stream, StreamStatus};

/// A consumer is said by its ARN, or by its stream and its name.
const ADDRESS: &[Member] = &[
    STREAM_ARN_OPTIONAL,
    Member::optional("ConsumerName", NAME),
    Member::optional("ConsumerARN", CONSUMER_ARN),
];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "RegisterStreamConsumer",
        members: &[
            STREAM_ARN_REQUIRED,
            Member::required("ConsumerName", NAME),
            Member::optional("Tags", TAGS),
        ],
        run: register_stream_consumer,
    },
    Operation {
        name: "DeregisterStreamConsumer",
        members: ADDRESS,
        run: deregister_stream_consumer,
    },
    Operation {
        name: "DescribeStreamConsumer",
        members: ADDRESS,
        run: describe_stream_consumer,
    },
    Operation {
        name: "ListStreamConsumers",
        members: &[
            STREAM_ARN_REQUIRED,
            Member::optional("NextToken", NEXT_TOKEN),
            Member::optional("MaxResults", LIMIT),
            Member::optional("StreamCreationTimestamp", Shape::Timestamp),
        ],
        run: list_stream_consumers,
    },
];

/// Consumers of a stream, at most.
const CONSUMERS_MAX: usize = 20;
/// The same on demand, in an account with a commitment to a minimum throughput.
const CONSUMERS_MAX_COMMITTED: usize = 50;
/// Consumers of a stream that are being registered at once, at most.
const CREATING_MAX: usize = 5;

fn register_stream_consumer(call: &Call<'_>, input: &Input) -> Outcome {
    let name = input.text("ConsumerName").expect("it is required");
    let tags: Vec<_> = input.map("Tags").collect();
    check_tags(call, &format!("consumer {name}"), &tags)?;
    let stream = call.stream(input)?;
    call.check_established(&stream)?;
    let is_committed = call.account.commitment.lock().is_enabled(call.now());
    // Locked before the attributes, under which no other lock is taken.
    let mut registered = call.account.registered.lock();
    let mut attributes = call.state(&stream).attributes();
    attributes.settle(call.now());
    check_room(call, &stream, &attributes, name, is_committed)?;
    let created_secs = registered.next(stream.name(), name, call.now());
    let consumer = Consumer {
        created: Timestamp::from_millis(created_secs * 1000),
        phase: call.begin(StreamStatus::Creating),
        tags: owned_tags(&tags),
        policy: None,
        subscriptions: Default::default(),
    };
    // It begins so, however soon it is over.
    let creating = StreamStatus::Creating;
    let described = consumer_value(call.service, stream.name(), name, &consumer, creating);
    attributes.consumers.insert(name.to_owned(), consumer);
    Ok(Output::Members(
        Value::structure().with("Consumer", described),
    ))
}

/// Checks that a stream can have one more consumer, of this name.
fn check_room(
    call: &Call<'_>,
    stream: &Stream,
    attributes: &Attributes,
    name: &str,
    is_committed: bool,
) -> Result<(), Exception> {
    let (stream, account) = (stream.name(), call.service.account_id());
    if attributes.consumers.contains_key(name) {
        return Err(Exception::in_use(format!(
            "Consumer {name} under stream {stream} already exists for account {account}."
        )));
    }
    let is_creating =
        |consumer: &&Consumer| consumer.phase.status() == Some(StreamStatus::Creating);
    if attributes.consumers.values().filter(is_creating).count() >= CREATING_MAX {
        return Err(Exception::limit_exceeded(format!(
            "Stream {stream} under account {account} has {CREATING_MAX} consumers in state CREATING, \
             as many as it may have."
        )));
    }
    let max = match attributes.is_on_demand && is_committed {
        true => CONSUMERS_MAX_COMMITTED,
        false => CONSUMERS_MAX,
    };
    if attributes.consumers.len() >= max {
        return Err(Exception::limit_exceeded(format!(
            "Stream {stream} under account {account} has {max} consumers, as many as it may have."
        )));
    }
    Ok(())
}

fn deregister_stream_consumer(call: &Call<'_>, input: &Input) -> Outcome {
    let key = call.consumer_key(input)?;
    let stream = call.stream_of_consumer(&key)?;
    let subscriptions = call.with_consumer(&stream, &key, |consumer| {
        // Again, while it goes: nothing is left to be done.
        if consumer.phase.status() != Some(StreamStatus::Deleting) {
            consumer.phase = call.begin(StreamStatus::Deleting);
        }
        Ok(std::mem::take(&mut consumer.subscriptions))
    })?;
    // Without the lock, as whoever waits for their records is woken.
    for subscription in subscriptions.values() {
        subscription.ending.end(call.consumer_not_found(key.name));
    }
    Ok(Output::Nothing)
}

fn describe_stream_consumer(call: &Call<'_>, input: &Input) -> Outcome {
    let key = call.consumer_key(input)?;
    let stream = call.stream_of_consumer(&key)?;
    let described = call.with_consumer(&stream, &key, |consumer| {
        let status = status(consumer);
        Ok(consumer_value(
            call.service,
            key.stream,
            key.name,
            consumer,
            status,
        ))
    })?;
    let described = described.with("StreamARN", call.service.stream_arn(key.stream));
    Ok(Output::Members(
        Value::structure().with("ConsumerDescription", described),
    ))
}

fn list_stream_consumers(call: &Call<'_>, input: &Input) -> Outcome {
    /// Consumers of one page, at most.
    const PAGE_MAX: usize = 100;
    if input.has("NextToken") && input.has("StreamCreationTimestamp") {
        return Err(Exception::invalid_argument(
            "NextToken and StreamCreationTimestamp cannot be provided together.",
        ));
    }
    let stream = call.stream(input)?;
    let created = stream.created().as_secs();
    let asked = input.timestamp("StreamCreationTimestamp");
    if asked.is_some_and(|asked| asked.as_secs() != created) {
        return Err(call.stream_not_found(stream.name()));
    }
    call.check_established(&stream)?;
    let state = call.state(&stream);
    let scope = state.incarnation.to_string();
    let page = Page::of(call, input, TokenKind::Consumers, &scope)?;
    let limit = input
        .count("MaxResults")
        .map_or(PAGE_MAX, |max| max.min(PAGE_MAX));
    let mut attributes = state.attributes();
    attributes.settle(call.now());
    let after = page.after.as_deref();
    let mut left = attributes
        .consumers
        .iter()
        .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
        .peekable();
    let listed: Vec<_> = left.by_ref().take(limit).collect();
    let last = listed.last().filter(|_| left.peek().is_some());
    let token = last.map(|(name, _)| page.next_token(call, name));
    let listed = listed.iter().map(|(name, consumer)| {
        consumer_value(
            call.service,
            stream.name(),
            name,
            consumer,
            status(consumer),
        )
    });
    Ok(Output::Members(
        Value::structure()
            .with("Consumers", Value::list(listed))
            .with_some("NextToken", token),
    ))
}

/// The state of one that is settled.
fn status(consumer: &Consumer) -> StreamStatus {
    let status = consumer.phase.status();
    status.unwrap_or(StreamStatus::Deleting)
}

/// A consumer as lists and descriptions have it.
fn consumer_value(
    service: &Service,
    stream: &str,
    name: &str,
    consumer: &Consumer,
    status: StreamStatus,
) -> Value {
    let created = consumer.created;
    Value::structure()
        .with("ConsumerName", name)
        .with(
            "ConsumerARN",
            service.consumer_arn(stream, name, created.as_secs()),
        )
        .with("ConsumerStatus", status.as_str())
        .with("ConsumerCreationTimestamp", created)
}

/// Which consumer is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConsumerKey<'a> {
    pub(super) stream: &'a str,
    pub(super) name: &'a str,
    /// `None`: whichever has the name now.
    pub(super) created_secs: Option<u64>,
}

impl<'a> ConsumerKey<'a> {
    /// Reads what follows the account in an ARN, as `stream/orders/consumer/audit:1700000000`.
    pub(super) fn of_resource(resource: &'a str) -> Option<Self> {
        let (stream, consumer) = resource.strip_prefix("stream/")?.split_once("/consumer/")?;
        let (name, secs) = consumer.rsplit_once(':')?;
        Some(Self {
            stream,
            name,
            created_secs: Some(secs.parse().ok()?),
        })
    }
}

impl fmt::Display for ConsumerKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Call<'_> {
    /// A state that begins now, and lasts as long as changes of the registry do.
    pub(super) fn begin(&self, status: StreamStatus) -> Phase {
        Phase::begin(status, self.now(), self.service.registry.state_delay())
    }

    /// The consumer that a request says, in whichever way.
    fn consumer_key<'i>(&self, input: &'i Input) -> Result<ConsumerKey<'i>, Exception> {
        let (stream_arn, name) = (input.text("StreamARN"), input.text("ConsumerName"));
        let Some(arn) = input.text("ConsumerARN") else {
            let (Some(stream_arn), Some(name)) = (stream_arn, name) else {
                return Err(Exception::invalid_argument(
                    "Either ConsumerARN or both StreamARN and ConsumerName must be provided.",
                ));
            };
            return Ok(ConsumerKey {
                stream: self.stream_of_arn(stream_arn)?,
                name,
                created_secs: None,
            });
        };
        let key = self.consumer_of_arn(arn)?;
        let is_of = |stream_arn: &str| {
            let of_arn = arn::Parts::of(stream_arn).filter(|parts| parts.is_of(self.service));
            of_arn.and_then(|parts| parts.resource.strip_prefix("stream/")) == Some(key.stream)
        };
        if !stream_arn.is_none_or(is_of) || name.is_some_and(|name| name != key.name) {
            return Err(Exception::invalid_argument(format!(
                "ConsumerARN {arn} is not that of the StreamARN and the ConsumerName that were \
                 provided with it."
            )));
        }
        Ok(key)
    }

    /// The consumer that an ARN names, in this account and region.
    pub(super) fn consumer_of_arn<'i>(&self, arn: &'i str) -> Result<ConsumerKey<'i>, Exception> {
        let parts = arn::Parts::of(arn).filter(|parts| parts.is_of(self.service));
        let key = parts.and_then(|parts| ConsumerKey::of_resource(parts.resource));
        key.ok_or_else(|| {
            let name = arn.rsplit_once("/consumer/").map_or(arn, |(_, name)| name);
            let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
            self.consumer_not_found(name)
        })
    }

    /// The stream of a consumer. Without it there is no consumer of an ARN; who names the two apart
    /// is told which is missing.
    pub(super) fn stream_of_consumer(&self, key: &ConsumerKey<'_>) -> Result<Stream, Exception> {
        self.stream_named(key.stream)
            .map_err(|not_found| match key.created_secs {
                Some(_) => self.consumer_not_found(key.name),
                None => not_found,
            })
    }

    /// Does something with a consumer. It is locked, so nothing else is to be locked.
    pub(super) fn with_consumer<T>(
        &self,
        stream: &Stream,
        key: &ConsumerKey<'_>,
        with: impl FnOnce(&mut Consumer) -> Result<T, Exception>,
    ) -> Result<T, Exception> {
        let mut attributes = self.state(stream).attributes();
        attributes.settle(self.now());
        let consumer = attributes.consumers.get_mut(key.name);
        let is_meant = |consumer: &&mut Consumer| {
            let secs = consumer.created.as_secs();
            key.created_secs.is_none_or(|meant| meant == secs)
        };
        match consumer.filter(is_meant) {
            Some(consumer) => with(consumer),
            None => Err(self.consumer_not_found(key.name)),
        }
    }

    /// Checks that a consumer is neither being registered nor deregistered.
    pub(super) fn check_consumer_active(
        &self,
        key: &ConsumerKey<'_>,
        consumer: &Consumer,
    ) -> Result<(), Exception> {
        if consumer.phase.status() == Some(StreamStatus::Active) {
            return Ok(());
        }
        Err(Exception::in_use(format!(
            "Consumer {} with creation timestamp {} under stream: {} , account {} is not in ACTIVE \
             status.",
            key.name,
            consumer.created.as_secs(),
            key.stream,
            self.service.account_id()
        )))
    }

    pub(super) fn consumer_not_found(&self, name: &str) -> Exception {
        let account = self.service.account_id();
        Exception::not_found(format!("Consumer {name}, account {account} not found."))
    }
}
