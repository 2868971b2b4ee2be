//! A channel as a request asks for it.

use crate::protocol::exception::Exception;
use crate::protocol::operations::Call;
use crate::protocol::operations::channels::{
    Channel, Destination, DestinationKind, StreamIdentity,
};
use crate::protocol::operations::tags::{check_tags, owned_tags};
use crate::protocol::shape::Input;
use crate::protocol::value::Value;
use crate::stream::StreamStatus;

use super::Tags;

/// A channel that is asked for, checked as far as that goes without its stream.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) stream_arn: String,
    role_arn: String,
    record_configuration: Value,
    destination: Destination,
    encryption: Option<Value>,
    logging: Option<Input>,
    tags: Tags,
}

impl Asked {
    pub(super) fn of(call: &Call<'_>, input: &Input) -> Result<Self, Exception> {
        let text = |member| input.text(member).expect("it is required").to_owned();
        let mut streams = input.structures("StreamConfigurationList");
        let (Some(stream), None) = (streams.next(), streams.next()) else {
            return Err(Exception::validation(
                "StreamConfigurationList must have exactly one stream.",
            ));
        };
        let destination = destination(input)?;
        let record_configuration = stream.structure("RecordConfiguration");
        let record_configuration = record_configuration.expect("it is required");
        check_format(&record_configuration, destination.kind)?;
        let encryption = input.structure("EncryptionConfiguration");
        let key = encryption.as_ref().and_then(|given| given.text("KeyId"));
        if key.is_some_and(is_service_key) {
            return Err(Exception::invalid_argument(
                "KeyId must be that of a customer managed key: alias/aws/kinesis is none.",
            ));
        }
        let name = text("ChannelName");
        let tags: Vec<_> = input.map("Tags").collect();
        check_tags(call, &format!("channel {name}"), &tags)?;
        let value = |input: &Input, member| input.get(member).cloned();
        Ok(Self {
            name,
            stream_arn: stream.text("StreamARN").expect("it is required").to_owned(),
            role_arn: text("ServiceExecutionRoleARN"),
            record_configuration: value(&stream, "RecordConfiguration").expect("it is required"),
            destination,
            encryption: value(input, "EncryptionConfiguration"),
            logging: input.structure("LoggingConfiguration"),
            tags: owned_tags(&tags),
        })
    }

    /// The channel, of a stream that was found.
    pub(super) fn channel(self, call: &Call<'_>, id: String, stream: StreamIdentity) -> Channel {
        let mut logging = Logging::default_of(&self.name, &id);
        if let Some(given) = &self.logging {
            logging.update(given);
        }
        Channel {
            id,
            name: self.name,
            created: call.now(),
            phase: call.begin(StreamStatus::Creating),
            stream,
            role_arn: self.role_arn,
            record_configuration: self.record_configuration,
            destination: self.destination,
            encryption: self.encryption,
            logging,
            tags: self.tags,
        }
    }
}

/// Whether a key is the one of the service, which has no owner among its customers.
fn is_service_key(key: &str) -> bool {
    key == "alias/aws/kinesis" || key.ends_with(":alias/aws/kinesis")
}

/// The one destination of a request.
fn destination(input: &Input) -> Result<Destination, Exception> {
    let given = |kind: DestinationKind| input.structure(kind.member());
    match (given(DestinationKind::S3), given(DestinationKind::S3Tables)) {
        (Some(bucket), None) => to_bucket(&bucket),
        (None, Some(tables)) => to_tables(&tables),
        _ => Err(Exception::validation(
            "Exactly one of S3DestinationConfiguration and S3TablesDestinationConfiguration must be \
             provided.",
        )),
    }
}

fn to_bucket(given: &Input) -> Result<Destination, Exception> {
    check_freshness(given)?;
    let storage = given.structure("StorageConfiguration");
    let storage = storage.expect("it is required");
    let mut store = given.get("StorageConfiguration").cloned();
    if !storage.has("StorageClass") {
        store = store.map(|store| store.with("StorageClass", "STANDARD"));
    }
    let dead_letters = given.get("DeadLetterQueueS3Configuration").cloned();
    Ok(Destination {
        kind: DestinationKind::S3,
        freshness_secs: freshness(given),
        // What cannot be delivered goes to the same bucket unless another is said.
        dead_letters: dead_letters.unwrap_or_else(|| {
            Value::structure()
                .with_some("BucketARN", storage.text("BucketARN"))
                .with_some("ExpectedBucketOwner", storage.text("ExpectedBucketOwner"))
                .with("ErrorOutputPrefix", "errors/")
        }),
        store: store.expect("it is required"),
    })
}

fn to_tables(given: &Input) -> Result<Destination, Exception> {
    check_freshness(given)?;
    if given.list("S3TablesConfigurationList").len() != 1 {
        return Err(Exception::validation(
            "S3TablesConfigurationList must have exactly one table.",
        ));
    }
    let value = |member| given.get(member).cloned().expect("it is required");
    Ok(Destination {
        kind: DestinationKind::S3Tables,
        freshness_secs: freshness(given),
        dead_letters: value("DeadLetterQueueS3Configuration"),
        store: value("S3TablesConfigurationList"),
    })
}

/// How old data may become before it is delivered, in seconds.
pub(super) fn freshness(destination: &Input) -> i64 {
    const DEFAULT: i64 = 300;
    destination
        .integer("DataFreshnessInSeconds")
        .unwrap_or(DEFAULT)
}

pub(super) fn check_freshness(destination: &Input) -> Result<(), Exception> {
    const MIN: i64 = 300;
    const MAX: i64 = 900;
    let secs = freshness(destination);
    if (MIN..=MAX).contains(&secs) {
        return Ok(());
    }
    Err(Exception::validation(format!(
        "DataFreshnessInSeconds of {secs} is not {MIN} to {MAX}."
    )))
}

/// Checks that records of a format can be delivered to a kind of destination.
fn check_format(record: &Input, kind: DestinationKind) -> Result<(), Exception> {
    let format = record.text("RecordFormatType").expect("it is required");
    let is_fit = match kind {
        DestinationKind::S3 => format != "GSR_JSON",
        DestinationKind::S3Tables => matches!(format, "GSR_JSON" | "JSON"),
    };
    if !is_fit {
        return Err(Exception::validation(format!(
            "RecordFormatType {format} is not for destinations of type {}.",
            kind.as_str()
        )));
    }
    if kind == DestinationKind::S3Tables && !record.has("GSRSchemaARN") {
        return Err(Exception::validation(
            "GSRSchemaARN must be provided for destinations of type S3_TABLES.",
        ));
    }
    Ok(())
}

/// Where a channel would log to.
#[derive(Clone, Debug)]
pub(super) struct Logging {
    is_enabled: bool,
    group: String,
    stream: String,
}

impl Logging {
    fn default_of(channel: &str, id: &str) -> Self {
        Self {
            is_enabled: false,
            group: format!("/aws/kinesis/{channel}/{id}"),
            stream: "DestinationDelivery".to_owned(),
        }
    }

    /// Changes it as a configuration says; names that it does not say stay.
    pub(super) fn update(&mut self, configuration: &Input) {
        let logs = configuration.structure("CloudWatchLogs");
        let logs = logs.expect("it is required");
        self.is_enabled = logs.flag("Enabled");
        for (name, kept) in [
            ("LogGroupName", &mut self.group),
            ("LogStreamName", &mut self.stream),
        ] {
            if let Some(given) = logs.text(name) {
                given.clone_into(kept);
            }
        }
    }

    pub(super) fn value(&self) -> Value {
        let logs = Value::structure()
            .with("Enabled", self.is_enabled)
            .with("LogGroupName", self.group.as_str())
            .with("LogStreamName", self.stream.as_str());
        Value::structure().with("CloudWatchLogs", logs)
    }
}
