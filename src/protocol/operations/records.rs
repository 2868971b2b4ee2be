//! Putting records.

use bytes::Bytes;

use crate::error::Error;
use crate::hash_key::HashKey;
use crate::protocol::exception::Exception;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{
    HASH_KEY, PARTITION_KEY, SEQUENCE_NUMBER, STREAM_ARN_OPTIONAL, STREAM_NAME,
};
use crate::protocol::stream_state::StreamState;
use crate::protocol::value::Value;
use crate::put_entry::PutEntry;
use crate::sequence::SequenceNumber;
use crate::stream::{ShardFilter, Stream, StreamStatus};
use crate::sync::Ordering;

/// The stream's own bound is the one that counts.
const DATA: Shape = Shape::Blob {
    bytes_max: crate::limits::RECORD_BYTES_MAX,
};
/// Records of one call, at most.
const ENTRIES_MAX: usize = 500;
/// Keys and data of one call, at most.
const ENTRIES_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Only streams that distribute their records take some without: no other member replaces it.
const OPTIONAL_KEY: Member = Member::unless("", "PartitionKey", PARTITION_KEY);

const ENTRY: Shape = Shape::Structure {
    name: "PutRecordsRequestEntry",
    members: &[
        OPTIONAL_KEY,
        Member::optional("ExplicitHashKey", HASH_KEY),
        Member::required("Data", DATA),
    ],
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "PutRecord",
        members: &[
            Member::optional("SequenceNumberForOrdering", SEQUENCE_NUMBER),
            OPTIONAL_KEY,
            Member::optional("ExplicitHashKey", HASH_KEY),
            Member::required("Data", DATA),
            STREAM_NAME,
            STREAM_ARN_OPTIONAL,
            Member::optional("DryRun", Shape::Boolean),
        ],
        run: put_record,
    },
    Operation {
        name: "PutRecords",
        members: &[
            Member::required(
                "Records",
                Shape::List {
                    of: &ENTRY,
                    min: 1,
                    max: ENTRIES_MAX,
                },
            ),
            STREAM_NAME,
            STREAM_ARN_OPTIONAL,
            Member::optional("DryRun", Shape::Boolean),
        ],
        run: put_records,
    },
];

/// A record to be put, as a request has it.
pub(super) struct Asked<'a> {
    pub(super) partition_key: Option<&'a str>,
    pub(super) explicit_hash_key: Option<&'a str>,
    pub(super) data: Bytes,
}

impl<'a> Asked<'a> {
    fn of(input: &'a Input) -> Self {
        Self {
            partition_key: input.text("PartitionKey"),
            explicit_hash_key: input.text("ExplicitHashKey"),
            data: input.blob("Data").expect("it is required").clone(),
        }
    }
}

fn put_record(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = call.serving(call.addressed(input)?)?;
    let mut distributor = Distributor::of(call, &stream);
    let mut entry = distributor.entry(Asked::of(input), "partitionKey")?;
    if let Some(text) = input.text("SequenceNumberForOrdering") {
        let number = ordering(call, &stream, text)?;
        if distributor.is_auto {
            return Err(Exception::invalid_argument(
                "SequenceNumberForOrdering is not for streams with RecordDistributionStrategy AUTO.",
            ));
        }
        entry = entry.sequence_number_for_ordering(number);
    }
    call.unless_dry_run(input)?;
    let put = stream.producer().put_records([entry]);
    let put = put.and_then(|output| output.into_result());
    let put = put.map_err(|error| match error {
        Error::OrderingInFuture { sequence_number } => {
            invalid_ordering(call, &stream, &sequence_number.to_string())
        }
        other => call.exception(stream.name(), &other),
    })?;
    let put = put.first().expect("one record was put");
    Ok(Output::Members(
        Value::structure()
            .with("ShardId", put.shard_id().to_string())
            .with("SequenceNumber", put.sequence_number().to_string())
            .with_some("EncryptionType", distributor.is_encrypted.then_some("KMS")),
    ))
}

fn put_records(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = call.serving(call.addressed(input)?)?;
    let structures: Vec<_> = input.structures("Records").collect();
    let entries = structures.iter().map(Asked::of);
    put_entries(call, &stream, entries, input.flag("DryRun"))
}

/// Puts the records of one call: one that is not valid refuses them all.
pub(super) fn put_entries<'a>(
    call: &Call<'_>,
    stream: &Stream,
    entries: impl ExactSizeIterator<Item = Asked<'a>>,
    is_dry_run: bool,
) -> Outcome {
    let mut distributor = Distributor::of(call, stream);
    let mut bytes = 0;
    let mut checked = Vec::with_capacity(entries.len());
    for (index, asked) in entries.enumerate() {
        bytes += asked.partition_key.map_or(0, str::len) + asked.data.len();
        checked.push(distributor.entry_at(asked, index)?);
    }
    if bytes > ENTRIES_BYTES_MAX {
        return Err(Exception::invalid_argument(
            "Records size exceeds 10 MB limit",
        ));
    }
    if is_dry_run {
        return Err(super::dry_run());
    }
    let put = stream.producer().put_records(checked);
    let put = put.map_err(|error| call.exception(stream.name(), &error))?;
    let records = put.records().iter().map(|answer| match answer {
        Ok(put) => Value::structure()
            .with("SequenceNumber", put.sequence_number().to_string())
            .with("ShardId", put.shard_id().to_string()),
        Err(error) => {
            let exception = call.exception(stream.name(), error);
            let (code, message) = match error.is_retryable() {
                true => (exception.name(), exception.message().unwrap_or_default()),
                false => ("InternalFailure", "Internal Service Failure"),
            };
            Value::structure()
                .with("ErrorCode", code)
                .with("ErrorMessage", message)
        }
    });
    Ok(Output::Members(
        Value::structure()
            .with("FailedRecordCount", put.failed_record_count())
            .with("Records", Value::list(records))
            .with_some("EncryptionType", distributor.is_encrypted.then_some("KMS")),
    ))
}

/// Knows which shard a record goes to.
struct Distributor<'a> {
    call: &'a Call<'a>,
    state: &'a StreamState,
    is_auto: bool,
    is_encrypted: bool,
    /// Where the ranges of the open shards begin; only if they take turns.
    starts: Vec<HashKey>,
}

impl<'a> Distributor<'a> {
    fn of(call: &'a Call<'_>, stream: &'a Stream) -> Self {
        let state = call.state(stream);
        let (is_auto, is_encrypted) = {
            let attributes = state.attributes();
            let is_encrypted = attributes.key_id().is_some();
            (attributes.is_auto_distributed, is_encrypted)
        };
        let mut starts = Vec::new();
        if is_auto {
            let open = stream
                .list_shards(ShardFilter::AtLatest)
                .unwrap_or_default();
            starts.extend(open.iter().map(|shard| shard.hash_key_range().start()));
            starts.sort_unstable();
        }
        Self {
            call,
            state,
            is_auto,
            is_encrypted,
            starts,
        }
    }

    /// The entry of a batch that is at a place.
    fn entry_at<'e>(&mut self, asked: Asked<'e>, index: usize) -> Result<PutEntry<'e>, Exception> {
        if asked.partition_key.is_none() && !self.is_auto {
            return Err(missing_key(&format!(
                "records.{}.member.partitionKey",
                index + 1
            )));
        }
        self.entry(asked, "partitionKey")
    }

    fn entry<'e>(&mut self, asked: Asked<'e>, path: &str) -> Result<PutEntry<'e>, Exception> {
        let Asked {
            partition_key,
            explicit_hash_key,
            data,
        } = asked;
        let explicit = explicit_hash_key.map(hash_key).transpose()?;
        let turn = (self.is_auto && !self.starts.is_empty()).then(|| self.next_turn());
        let hash_key = turn.or(explicit);
        match (partition_key, hash_key) {
            (Some(key), Some(hash_key)) => Ok(PutEntry::new(key, data).explicit_hash_key(hash_key)),
            (Some(key), None) => Ok(PutEntry::new(key, data)),
            (None, Some(hash_key)) if self.is_auto => Ok(PutEntry::without_key(hash_key, data)),
            (None, _) if self.is_auto => Err(self.call.stream_not_found("")),
            (None, _) => Err(missing_key(path)),
        }
    }

    /// The open shards take turns, in the order of their ranges.
    fn next_turn(&self) -> HashKey {
        let turn = self.state.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.starts.len() as u64;
        let index = usize::try_from(turn % count).expect("it is below a length");
        self.starts[index]
    }
}

fn missing_key(path: &str) -> Exception {
    Exception::validation(format!(
        "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member \
         must not be null"
    ))
}

fn hash_key(text: &str) -> Result<HashKey, Exception> {
    text.parse().map_err(|_| {
        Exception::invalid_argument(format!(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified \
             value was {text}"
        ))
    })
}

fn ordering(call: &Call<'_>, stream: &Stream, text: &str) -> Result<SequenceNumber, Exception> {
    text.parse()
        .map_err(|_| invalid_ordering(call, stream, text))
}

fn invalid_ordering(call: &Call<'_>, stream: &Stream, text: &str) -> Exception {
    Exception::invalid_argument(format!(
        "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {} under account {} is \
         invalid.",
        stream.name(),
        call.service.account_id()
    ))
}

impl Call<'_> {
    /// A stream whose records can be written and read now.
    pub(super) fn serving(&self, name: &str) -> Result<Stream, Exception> {
        let stream = self.stream_named(name)?;
        match stream.status_at(self.now) {
            Some(StreamStatus::Active | StreamStatus::Updating) => Ok(stream),
            _ => Err(self.stream_not_found(name)),
        }
    }
}
