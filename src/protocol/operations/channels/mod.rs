//! Channels: delivery of a stream's records to buckets or tables. All of their state is kept and told
//! as the service does it; nothing is delivered anywhere.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::base64::encode_base64;
use crate::clock::Timestamp;
use crate::protocol::arn;
use crate::protocol::exception::Exception;
use crate::protocol::operations::resources::Tags;
use crate::protocol::operations::streams::whole_secs;
use crate::protocol::operations::{Call, Outcome, Output};
use crate::protocol::paging::{Page, TokenKind};
use crate::protocol::shape::Input;
use crate::protocol::value::Value;
use crate::stream::{Phase, Stream, StreamStatus};
use crate::sync::MutexGuard;

mod asked;
mod shapes;

use asked::{Asked, Logging, check_freshness, freshness};

pub(super) use shapes::OPERATIONS;

/// Channels of an account, at most. The service's own bound is not known.
pub(super) const CHANNELS_MAX: usize = 1000;

/// A channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    id: String,
    name: String,
    created: Timestamp,
    phase: Phase,
    stream: StreamIdentity,
    role_arn: String,
    record_configuration: Value,
    destination: Destination,
    encryption: Option<Value>,
    logging: Logging,
    pub(super) tags: Tags,
}

/// The stream that a channel is of: not another of the same name.
#[derive(Clone, Debug)]
struct StreamIdentity {
    name: String,
    arn: String,
    created: Timestamp,
    incarnation: u64,
}

/// Where records would be delivered to.
#[derive(Clone, Debug)]
struct Destination {
    kind: DestinationKind,
    freshness_secs: i64,
    dead_letters: Value,
    /// The storage of a bucket, or the list of tables.
    store: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DestinationKind {
    S3,
    S3Tables,
}

impl DestinationKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::S3Tables => "S3_TABLES",
        }
    }

    /// The member of requests and descriptions.
    const fn member(self) -> &'static str {
        match self {
            Self::S3 => "S3DestinationConfiguration",
            Self::S3Tables => "S3TablesDestinationConfiguration",
        }
    }
}

fn create_channel(call: &Call<'_>, input: &Input) -> Outcome {
    let asked = Asked::of(call, input)?;
    let (name, account) = (asked.name.clone(), call.service.account_id());
    let stream = call.stream_named(call.stream_of_arn(&asked.stream_arn)?)?;
    call.check_established(&stream)?;
    let state = call.state(&stream);
    if !state.attributes().is_on_demand {
        return Err(Exception::validation(format!(
            "Channels are for streams in On-Demand mode, and stream {} under account {account} is not.",
            stream.name()
        )));
    }
    let identity = StreamIdentity {
        name: stream.name().to_owned(),
        arn: call.service.stream_arn(stream.name()),
        created: whole_secs(stream.created()),
        incarnation: state.incarnation,
    };
    let mut channels = call.channels();
    if channels.values().any(|channel| channel.name == name) {
        return Err(Exception::in_use(format!(
            "Channel {name} under account {account} already exists."
        )));
    }
    if channels.len() >= CHANNELS_MAX {
        return Err(Exception::limit_exceeded(format!(
            "Account {account} has {CHANNELS_MAX} channels, as many as it may have."
        )));
    }
    let id = format!("{:020x}", call.account.next_serial());
    let channel = asked.channel(call, id.clone(), identity);
    channels.insert(id, channel.clone());
    drop(channels);
    // It begins so, however soon it is over.
    Ok(described(call, &channel, "CREATING"))
}

fn describe_channel(call: &Call<'_>, input: &Input) -> Outcome {
    let channel = call.channel(call.channel_asked(input)?)?;
    Ok(described(call, &channel, channel.status(call)))
}

fn list_channels(call: &Call<'_>, input: &Input) -> Outcome {
    /// Channels of one page, at most.
    const PAGE_MAX: usize = 100;
    let filter = Filter::of(input);
    let page = Page::of(call, input, TokenKind::Channels, &filter.scope())?;
    let limit = input
        .count("MaxResults")
        .map_or(PAGE_MAX, |max| max.min(PAGE_MAX));
    let by_name: BTreeMap<_, _> = call
        .channels()
        .values()
        .filter(|channel| filter.lists(channel))
        .map(|channel| (channel.name.clone(), channel.clone()))
        .collect();
    let after = page.after.as_ref();
    let mut left = by_name
        .values()
        .filter(|channel| after.is_none_or(|after| channel.name > *after))
        .peekable();
    let listed: Vec<_> = left.by_ref().take(limit).collect();
    let last = listed.last().filter(|_| left.peek().is_some());
    let token = last.map(|last| page.next_token(call, &last.name));
    let listed = listed.iter().map(|channel| {
        let status = channel.status(call);
        channel
            .summary(call, status)
            .with("ChannelDestinationType", channel.destination.kind.as_str())
            .with("Streams", Value::List(vec![channel.stream.value()]))
    });
    Ok(Output::Members(
        Value::structure()
            .with("ChannelSummaries", Value::list(listed))
            .with_some("NextToken", token),
    ))
}

fn update_channel(call: &Call<'_>, input: &Input) -> Outcome {
    let id = call.channel_asked(input)?;
    let kinds = [DestinationKind::S3, DestinationKind::S3Tables];
    let asked = kinds.map(|kind| (kind, input.structure(kind.member())));
    let logging = input.structure("LoggingConfiguration");
    if logging.is_none() && asked.iter().all(|(_, update)| update.is_none()) {
        return Err(Exception::validation(
            "Either DataFreshnessInSeconds of the destination or LoggingConfiguration must be \
             provided.",
        ));
    }
    for (_, update) in &asked {
        update.as_ref().map_or(Ok(()), check_freshness)?;
    }
    let status = call.channel(id)?.status(call);
    let mut channels = call.channels();
    let channel = channels.get_mut(id);
    let channel = channel.ok_or_else(|| call.channel_not_found(id))?;
    if status != "ACTIVE" || channel.phase.status() != Some(StreamStatus::Active) {
        return Err(Exception::in_use(format!(
            "Channel {} under account {} not ACTIVE, instead in state {status}",
            channel.name,
            call.service.account_id()
        )));
    }
    for (kind, update) in &asked {
        if update.is_some() && *kind != channel.destination.kind {
            return Err(Exception::validation(format!(
                "{} is not for channel {}, whose destination is of type {}.",
                kind.member(),
                channel.name,
                channel.destination.kind.as_str()
            )));
        }
    }
    for (_, update) in &asked {
        if let Some(update) = update {
            channel.destination.freshness_secs = freshness(update);
        }
    }
    if let Some(logging) = logging {
        channel.logging.update(&logging);
    }
    channel.phase = call.begin(StreamStatus::Updating);
    let channel = channel.clone();
    drop(channels);
    Ok(described(call, &channel, "UPDATING"))
}

fn delete_channel(call: &Call<'_>, input: &Input) -> Outcome {
    let id = call.channel_asked(input)?;
    let mut channels = call.channels();
    let channel = channels.get_mut(id);
    let channel = channel.ok_or_else(|| call.channel_not_found(id))?;
    // Again, while it goes: nothing is left to be done.
    if channel.phase.status() != Some(StreamStatus::Deleting) {
        channel.phase = call.begin(StreamStatus::Deleting);
    }
    Ok(Output::Nothing)
}

fn described(call: &Call<'_>, channel: &Channel, status: &str) -> Output {
    let stream = channel
        .stream
        .value()
        .with("RecordConfiguration", channel.record_configuration.clone());
    let destination = &channel.destination;
    let description = channel
        .summary(call, status)
        .with("ServiceExecutionRoleARN", channel.role_arn.as_str())
        .with("StreamConfigurationList", Value::List(vec![stream]))
        .with(destination.kind.member(), destination.value())
        .with_some("EncryptionConfiguration", channel.encryption.clone())
        .with("LoggingConfiguration", channel.logging.value());
    Output::Members(Value::structure().with("ChannelDescription", description))
}

impl Channel {
    /// The state of one that is settled. Whatever it was, it fails once its stream is gone, as the
    /// engine's own face takes streams away without asking.
    fn status(&self, call: &Call<'_>) -> &'static str {
        let stream = call.service.registry.get(&self.stream.name);
        let is_there =
            stream.is_ok_and(|stream| call.state(&stream).incarnation == self.stream.incarnation);
        match self.phase.status() {
            Some(StreamStatus::Deleting) | None => StreamStatus::Deleting.as_str(),
            Some(status) if is_there => status.as_str(),
            Some(_) => FAILED,
        }
    }

    /// What descriptions and lists have in common.
    fn summary(&self, call: &Call<'_>, status: &str) -> Value {
        let reason = format!("Stream {} was deleted.", self.stream.name);
        Value::structure()
            .with("ChannelName", self.name.as_str())
            .with("ChannelARN", call.service.channel_arn(&self.id))
            .with("ChannelId", self.id.as_str())
            .with("ChannelStatus", status)
            .with_some("ChannelStatusReason", (status == FAILED).then_some(reason))
            .with("ChannelCreationTimestamp", self.created)
    }
}

const FAILED: &str = "FAILED";

impl StreamIdentity {
    fn value(&self) -> Value {
        Value::structure()
            .with("StreamARN", self.arn.as_str())
            .with("StreamCreationTimestamp", self.created)
    }
}

impl Destination {
    fn value(&self) -> Value {
        let store = match self.kind {
            DestinationKind::S3 => "StorageConfiguration",
            DestinationKind::S3Tables => "S3TablesConfigurationList",
        };
        Value::structure()
            .with("DataFreshnessInSeconds", self.freshness_secs)
            .with("DeadLetterQueueS3Configuration", self.dead_letters.clone())
            .with(store, self.store.clone())
    }
}

/// The streams whose channels are listed: their ARNs, and in which second they were created.
#[derive(Debug)]
struct Filter(Option<Vec<(String, Option<u64>)>>);

impl Filter {
    fn of(input: &Input) -> Self {
        let stream = |filter: Input| {
            let arn = filter.text("StreamARN").expect("it is required").to_owned();
            let created = filter.timestamp("StreamCreationTimestamp");
            (arn, created.map(Timestamp::as_secs))
        };
        let streams = input.has("StreamFilter").then(|| {
            let mut streams: Vec<_> = input.structures("StreamFilter").map(stream).collect();
            streams.sort_unstable();
            streams.dedup();
            streams
        });
        Self(streams)
    }

    fn lists(&self, channel: &Channel) -> bool {
        let of = &channel.stream;
        let is_asked = |(arn, secs): &(String, Option<u64>)| {
            *arn == of.arn && secs.is_none_or(|secs| secs == of.created.as_secs())
        };
        self.0
            .as_ref()
            .is_none_or(|streams| streams.iter().any(is_asked))
    }

    /// What tells it from others: a token has no room for all of it.
    fn scope(&self) -> String {
        let Some(streams) = &self.0 else {
            return String::new();
        };
        let mut hash = Sha256::new();
        for (arn, secs) in streams {
            // No ARN has a line break.
            let secs = secs.map_or_else(String::new, |secs| secs.to_string());
            hash.update(format!("{arn}\n{secs}\n"));
        }
        encode_base64(hash.finalize())
    }
}

impl Call<'_> {
    /// The channels that are not gone yet, locked. No other lock is taken under it.
    pub(super) fn channels(&self) -> MutexGuard<'_, BTreeMap<String, Channel>> {
        let mut channels = self.account.channels.lock();
        for channel in channels.values_mut() {
            channel.phase.settle(self.now());
        }
        channels.retain(|_, channel| channel.phase.status().is_some());
        channels
    }

    /// How many channels a stream has.
    pub(super) fn channel_count(&self, stream: &Stream) -> usize {
        let incarnation = self.state(stream).incarnation;
        let channels = self.channels();
        let of_stream = channels
            .values()
            .filter(|channel| channel.stream.incarnation == incarnation);
        of_stream.count()
    }

    /// Whether a stream has channels that are not about to go.
    pub(super) fn has_channels(&self, stream: &Stream) -> bool {
        let incarnation = self.state(stream).incarnation;
        self.channels().values().any(|channel| {
            channel.stream.incarnation == incarnation
                && channel.phase.status() != Some(StreamStatus::Deleting)
        })
    }

    /// A channel as it is now.
    pub(super) fn channel(&self, id: &str) -> Result<Channel, Exception> {
        let channel = self.channels().get(id).cloned();
        channel.ok_or_else(|| self.channel_not_found(id))
    }

    /// The id of the channel that a request is about.
    fn channel_asked<'i>(&self, input: &'i Input) -> Result<&'i str, Exception> {
        self.channel_of_arn(input.text("ChannelARN").expect("it is required"))
    }

    /// The id in the ARN of a channel of this account and region.
    pub(super) fn channel_of_arn<'i>(&self, arn: &'i str) -> Result<&'i str, Exception> {
        let parts = arn::Parts::of(arn).filter(|parts| parts.is_of(self.service));
        let id = parts.and_then(|parts| parts.resource.strip_prefix("channel/"));
        id.ok_or_else(|| {
            let id = arn.rsplit_once("channel/").map_or(arn, |(_, id)| id);
            self.channel_not_found(id)
        })
    }

    fn channel_not_found(&self, id: &str) -> Exception {
        let account = self.service.account_id();
        Exception::not_found(format!("Channel {id} under account {account} not found."))
    }
}
