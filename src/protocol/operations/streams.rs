//! Creating, describing, listing and deleting streams.

use crate::clock::Timestamp;
use crate::extension::Extension;
use crate::limits::RECORD_BYTES_DEFAULT;
use crate::protocol::exception::Exception;
use crate::protocol::operations::shards::{shard_limit_exceeded, shard_value};
use crate::protocol::operations::tags::{check_tags, owned_tags};
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::paging::{Page, TokenKind};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{
    DISTRIBUTION_STRATEGY, LIMIT, NAME, NATURAL, NEXT_TOKEN, POSITIVE, SHARD_ID,
    STREAM_ARN_OPTIONAL, STREAM_MODE_DETAILS, STREAM_NAME, TAGS,
};
use crate::protocol::stream_state::{Attributes, METRICS, StreamState};
use crate::protocol::value::Value;
use crate::shard_id::ShardId;
use crate::stream::{Stream, StreamStatus};

pub(crate) const RECORD_KIB: Shape = Shape::Integer {
    min: 1024,
    max: 10_240,
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateStream",
        members: &[
            Member::unless("StreamModeDetails", "ShardCount", POSITIVE),
            Member::required("StreamName", NAME),
            Member::optional("StreamModeDetails", STREAM_MODE_DETAILS),
            Member::optional("Tags", TAGS),
            Member::optional("WarmThroughputMiBps", NATURAL),
            Member::optional("MaxRecordSizeInKiB", RECORD_KIB),
            Member::optional("RecordDistributionStrategy", DISTRIBUTION_STRATEGY),
        ],
        run: create_stream,
    },
    Operation {
        name: "DeleteStream",
        members: &[
            STREAM_NAME,
            STREAM_ARN_OPTIONAL,
            Member::optional("EnforceConsumerDeletion", Shape::Boolean),
        ],
        run: delete_stream,
    },
    Operation {
        name: "DescribeStream",
        members: &[
            Member::optional("Limit", LIMIT),
            Member::optional("ExclusiveStartShardId", SHARD_ID),
            STREAM_NAME,
            STREAM_ARN_OPTIONAL,
        ],
        run: describe_stream,
    },
    Operation {
        name: "DescribeStreamSummary",
        members: &[STREAM_NAME, STREAM_ARN_OPTIONAL],
        run: describe_stream_summary,
    },
    Operation {
        name: "ListStreams",
        members: &[
            Member::optional("Limit", LIMIT),
            Member::optional("ExclusiveStartStreamName", NAME),
            Member::optional("NextToken", NEXT_TOKEN),
        ],
        run: list_streams,
    },
];

/// Shards that a stream on demand begins with.
const ON_DEMAND_SHARDS: u32 = 4;
/// Streams on demand that an account has, at most.
pub(super) const ON_DEMAND_STREAMS_MAX: usize = 50;
/// Streams that are being created at once, at most.
const CREATING_MAX: usize = 5;

fn create_stream(call: &Call<'_>, input: &Input) -> Outcome {
    let name = input.text("StreamName").expect("it is required");
    let asked = Asked::of(call, input)?;
    let account = call.service.account_id();
    let streams = call.streams();
    if streams.iter().any(|stream| stream.name() == name) {
        return Err(Exception::in_use(format!(
            "Stream {name} under account {account} already exists."
        )));
    }
    let status = |stream: &Stream| stream.status_at(call.now());
    let is_creating = |stream: &&Stream| status(stream) == Some(StreamStatus::Creating);
    if streams.iter().filter(is_creating).count() >= CREATING_MAX {
        return Err(Exception::limit_exceeded(format!(
            "Account {account} has {CREATING_MAX} streams in state CREATING, as many as it may have."
        )));
    }
    if asked.attributes.is_on_demand && call.on_demand_count(&streams) >= ON_DEMAND_STREAMS_MAX {
        return Err(Exception::limit_exceeded(format!(
            "Account {account} has {ON_DEMAND_STREAMS_MAX} streams in On-Demand mode, as many as it \
             may have."
        )));
    }
    let open = call.open_shard_count(&streams);
    if open + asked.shard_count as usize > call.service.settings.shard_limit as usize {
        return Err(shard_limit_exceeded(call, open, asked.shard_count as usize));
    }
    let state = StreamState::new(&call.service.registry, asked.attributes);
    let builder = Stream::builder(name)
        .shard_count(asked.shard_count)
        .record_bytes_max(asked.record_bytes_max)
        // How far one step goes is a rule of the operation, not a rate.
        .limits(call.service.settings.limits.shard_count_doubling(true))
        .extension(Extension::with(state));
    let created = call.service.registry.create(builder);
    created.map_err(|error| call.exception(name, &error))?;
    Ok(Output::Nothing)
}

/// A stream that is asked for.
struct Asked {
    shard_count: u32,
    record_bytes_max: usize,
    attributes: Attributes,
}

impl Asked {
    fn of(call: &Call<'_>, input: &Input) -> Result<Self, Exception> {
        let shard_count = input.integer("ShardCount");
        let details = input.structure("StreamModeDetails");
        let mode = details
            .as_ref()
            .and_then(|details| details.text("StreamMode"));
        let is_on_demand = match (mode, shard_count) {
            (Some("ON_DEMAND"), Some(_)) => {
                return Err(Exception::validation(
                    "ShardCount is not expected when StreamMode=ON_DEMAND",
                ));
            }
            (Some("PROVISIONED"), None) => {
                return Err(Exception::validation(
                    "1 validation error detected: Value null at 'shardCount' failed to satisfy \
                     constraint: Member must not be null",
                ));
            }
            (_, shard_count) => shard_count.is_none(),
        };
        let warm = warm_throughput(call, input, is_on_demand)?;
        let is_auto_distributed = input.text("RecordDistributionStrategy") == Some("AUTO");
        if is_auto_distributed && !is_on_demand {
            return Err(Exception::invalid_argument(
                "RecordDistributionStrategy AUTO is for streams in On-Demand mode.",
            ));
        }
        let tags: Vec<_> = input.map("Tags").collect();
        let name = input.text("StreamName").expect("it is required");
        check_tags(call, &format!("stream {name}"), &tags)?;
        let shard_count = shard_count.map_or(ON_DEMAND_SHARDS, |count| {
            u32::try_from(count).unwrap_or(u32::MAX)
        });
        Ok(Self {
            shard_count,
            record_bytes_max: input
                .count("MaxRecordSizeInKiB")
                .map_or(RECORD_BYTES_DEFAULT, |kib| kib * 1024),
            attributes: Attributes {
                is_on_demand,
                is_auto_distributed,
                tags: owned_tags(&tags),
                warm_throughput_mibps: warm,
                ..Attributes::default()
            },
        })
    }
}

/// The warm throughput that a request asks for, if the stream may have one.
pub(super) fn warm_throughput(
    call: &Call<'_>,
    input: &Input,
    is_on_demand: bool,
) -> Result<Option<u32>, Exception> {
    /// 10 GiB a second.
    const MIBPS_MAX: u32 = 10_240;
    let Some(asked) = input.integer("WarmThroughputMiBps") else {
        return Ok(None);
    };
    if !is_on_demand {
        return Err(Exception::validation(
            "WarmThroughputMiBps is for streams in On-Demand mode.",
        ));
    }
    if !call.account.commitment.lock().is_enabled(call.now()) {
        return Err(Exception::validation(
            "WarmThroughputMiBps needs an account with a minimum throughput billing commitment.",
        ));
    }
    match u32::try_from(asked) {
        Ok(mibps) if mibps <= MIBPS_MAX => Ok(Some(mibps)),
        _ => Err(Exception::validation(format!(
            "WarmThroughputMiBps of {asked} is more than {MIBPS_MAX}."
        ))),
    }
}

fn delete_stream(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = call.stream(input)?;
    let name = stream.name();
    let arn = call.service.stream_arn(name);
    {
        let mut attributes = call.state(&stream).attributes();
        attributes.settle(call.now());
        if !attributes.consumers.is_empty() && !input.flag("EnforceConsumerDeletion") {
            return Err(Exception::in_use(format!(
                "DeleteStream can't delete {arn} because there are consumers associated with this \
                 data stream. To delete {name} anyway, set the EnforceConsumerDeletion parameter to \
                 true to force the deletion of all the consumers that are associated with it."
            )));
        }
    }
    if call.has_channels(&stream) {
        return Err(Exception::in_use(format!(
            "Stream {name} under account {} has active channels.",
            call.service.account_id()
        )));
    }
    let deleted = call.service.registry.delete(name);
    deleted.map_err(|error| call.exception(name, &error))?;
    Ok(Output::Nothing)
}

fn describe_stream(call: &Call<'_>, input: &Input) -> Outcome {
    /// Shards of one page, at most.
    const PAGE_MAX: usize = 100;
    let stream = call.stream(input)?;
    let after = match input.text("ExclusiveStartShardId") {
        Some(text) => Some(call.shard_id(stream.name(), text)?),
        None => None,
    };
    let limit = input
        .count("Limit")
        .map_or(PAGE_MAX, |limit| limit.min(PAGE_MAX));
    // Before the shards are looked at: an update that ends in between shows as one that has not.
    let described = call.described(&stream)?;
    let description = stream.describe();
    let mut left = description.shards.iter();
    let mut left = left
        .by_ref()
        .filter(|shard| after.is_none_or(|after: ShardId| shard.id() > after))
        .peekable();
    let shards: Vec<_> = left.by_ref().take(limit).map(shard_value).collect();
    let has_more = left.peek().is_some();
    let description = described
        .with("Shards", Value::List(shards))
        .with("HasMoreShards", has_more);
    Ok(Output::Members(
        Value::structure().with("StreamDescription", description),
    ))
}

fn describe_stream_summary(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = call.stream(input)?;
    let described = call.described(&stream)?;
    let record_kib = stream.record_bytes_max().div_ceil(1024);
    let open = stream.describe().open_shard_count;
    let channels = call.channel_count(&stream);
    let mut attributes = call.state(&stream).attributes();
    attributes.settle(call.now());
    let warm = attributes.is_on_demand.then(|| {
        let mibps = attributes.warm_throughput_mibps.unwrap_or(0);
        warm_throughput_value(mibps)
    });
    let strategy = attributes.is_on_demand.then_some(attributes.strategy());
    let summary = described
        .with("OpenShardCount", open)
        .with("ConsumerCount", attributes.consumers.len())
        .with_some("WarmThroughput", warm)
        .with("MaxRecordSizeInKiB", record_kib)
        .with("ChannelCount", channels)
        .with("QueueCount", 0_u32)
        .with_some("RecordDistributionStrategy", strategy);
    Ok(Output::Members(
        Value::structure().with("StreamDescriptionSummary", summary),
    ))
}

/// The warm throughput of a stream: what is asked for is there at once.
pub(super) fn warm_throughput_value(mibps: u32) -> Value {
    Value::structure()
        .with("TargetMiBps", mibps)
        .with("CurrentMiBps", mibps)
}

fn list_streams(call: &Call<'_>, input: &Input) -> Outcome {
    /// Streams of one page, at most.
    const PAGE_MAX: usize = 100;
    let page = Page::of(call, input, TokenKind::Streams, "")?;
    let after = page
        .after
        .as_deref()
        .or(input.text("ExclusiveStartStreamName"));
    let limit = input
        .count("Limit")
        .map_or(PAGE_MAX, |limit| limit.min(PAGE_MAX));
    let streams = call.streams();
    let mut left = streams
        .iter()
        .filter(|stream| after.is_none_or(|after| stream.name() > after))
        .peekable();
    let listed: Vec<_> = left.by_ref().take(limit).collect();
    let has_more = left.peek().is_some();
    let last = listed
        .last()
        .filter(|_| has_more)
        .map(|stream| stream.name());
    let summaries = listed.iter().filter_map(|stream| call.summary(stream));
    Ok(Output::Members(
        Value::structure()
            .with(
                "StreamNames",
                Value::list(listed.iter().map(|stream| stream.name())),
            )
            .with("HasMoreStreams", has_more)
            .with_some("NextToken", last.map(|last| page.next_token(call, last)))
            .with("StreamSummaries", Value::list(summaries)),
    ))
}

impl Call<'_> {
    /// All streams of the account by their names, in whichever state.
    pub(super) fn streams(&self) -> Vec<Stream> {
        let registry = &self.service.registry;
        let names = registry.list();
        // One may be gone by now.
        names
            .iter()
            .filter_map(|name| registry.get(name).ok())
            .collect()
    }

    /// How many open shards streams have.
    pub(super) fn open_shard_count(&self, streams: &[Stream]) -> usize {
        let open = streams
            .iter()
            .map(|stream| stream.visible_shards(self.now()).1);
        open.sum()
    }

    /// How many streams are on demand.
    pub(super) fn on_demand_count(&self, streams: &[Stream]) -> usize {
        let is_on_demand = |stream: &&Stream| self.state(stream).attributes().is_on_demand;
        streams.iter().filter(is_on_demand).count()
    }

    /// The shard id that a text means, whether there is such a shard or not.
    pub(super) fn shard_id(&self, stream: &str, text: &str) -> Result<ShardId, Exception> {
        text.parse().map_err(|_| self.shard_not_found(stream, text))
    }

    /// What all descriptions of a stream have.
    fn described(&self, stream: &Stream) -> Result<Value, Exception> {
        let Some(summary) = self.summary(stream) else {
            return Err(self.stream_not_found(stream.name()));
        };
        let attributes = self.state(stream).attributes();
        let metrics = attributes.metrics.iter().map(|metric| METRICS[*metric]);
        let monitoring = Value::structure().with("ShardLevelMetrics", Value::list(metrics));
        let key_id = attributes.key_id();
        let encryption = if key_id.is_some() { "KMS" } else { "NONE" };
        Ok(summary
            .with("RetentionPeriodHours", retention_hours(stream))
            .with("EnhancedMonitoring", Value::List(vec![monitoring]))
            .with("EncryptionType", encryption)
            .with_some("KeyId", key_id))
    }

    /// A stream in a few words; `None` if it is gone.
    fn summary(&self, stream: &Stream) -> Option<Value> {
        let name = stream.name();
        let status = stream.status_at(self.now())?;
        let is_on_demand = self.state(stream).attributes().is_on_demand;
        Some(
            Value::structure()
                .with("StreamName", name)
                .with("StreamARN", self.service.stream_arn(name))
                .with("StreamStatus", status.as_str())
                .with("StreamModeDetails", mode_details(is_on_demand))
                .with("StreamCreationTimestamp", whole_secs(stream.created())),
        )
    }
}

pub(super) fn mode_details(is_on_demand: bool) -> Value {
    let mode = if is_on_demand {
        "ON_DEMAND"
    } else {
        "PROVISIONED"
    };
    Value::structure().with("StreamMode", mode)
}

/// A time as descriptions have it.
pub(super) fn whole_secs(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_secs() * 1000)
}

/// The retention of a stream in hours, which a stream of the engine's own face may have fractions of.
pub(super) fn retention_hours(stream: &Stream) -> u64 {
    stream.retention().as_secs().div_ceil(3600)
}
