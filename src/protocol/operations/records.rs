//! Putting records.

use std::cell::{Cell, RefCell};
use std::iter;

use crate::data::Data;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::limits::PARTITION_KEY_CHARS_MAX;
use crate::producer::{PutRecordOutput, PutRecordsOutput};
use crate::protocol::codec::Encoding;
use crate::protocol::exception::Exception;
use crate::protocol::json;
use crate::protocol::operations::put_body::{PutBody, room_bytes};
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{
    HASH_KEY, PARTITION_KEY, SEQUENCE_NUMBER, STREAM_ARN_OPTIONAL, STREAM_NAME,
};
use crate::protocol::stream_state::StreamState;
use crate::protocol::value::Value;
use crate::put_entry::PutEntry;
use crate::sequence::{SequenceNumber, Text};
use crate::stream::{ShardFilter, Stream, StreamStatus};
use crate::sync::Ordering;

/// The stream's own bound is the one that counts.
const DATA: Shape = Shape::Blob {
    bytes_max: crate::limits::RECORD_BYTES_MAX,
};
/// Records of one call, at most.
pub(super) const ENTRIES_MAX: usize = 500;
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
    pub(super) data: Data<'a>,
}

impl<'a> Asked<'a> {
    /// Whether a record is within all bounds.
    fn is_expected(&self, stream: &Stream) -> bool {
        // A key of so many bytes has no more characters.
        let is_key = |key: &str| !key.is_empty() && key.len() <= PARTITION_KEY_CHARS_MAX;
        let is_number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits && (1..=39).contains(&text.len()) && (text == "0" || !text.starts_with('0'))
        };
        self.partition_key.is_none_or(is_key)
            && self.explicit_hash_key.is_none_or(is_number)
            && self.data.as_slice().len() <= stream.record_bytes_max()
    }

    fn of(input: &'a Input) -> Self {
        Self {
            partition_key: input.text("PartitionKey"),
            explicit_hash_key: input.text("ExplicitHashKey"),
            data: input.blob("Data").expect("it is required").into(),
        }
    }
}

fn put_record(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = call.serving(call.addressed(input)?)?;
    let distributor = Distributor::of(call, &stream);
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
    put_entry(call, &stream, entry, distributor.is_encrypted)
}

/// Puts the one record of a call.
fn put_entry(call: &Call<'_>, stream: &Stream, entry: PutEntry<'_>, is_encrypted: bool) -> Outcome {
    let inlet = stream.wire_inlet();
    let put = match entry.is_keyless() {
        false => inlet.put_entry(entry),
        true => match inlet.put_records(iter::once(entry)) {
            Ok(put) => put.into_iter().next().expect("an answer for each entry"),
            Err(error) => Err(error),
        },
    };
    let put = put.map_err(|error| match error {
        Error::OrderingInFuture { sequence_number } => {
            invalid_ordering(call, stream, &sequence_number.to_string())
        }
        other => call.exception(stream.name(), &other),
    })?;
    if call.encoding == Encoding::Cbor || is_encrypted {
        return Ok(Output::Members(
            Value::structure()
                .with("ShardId", put.shard_id().to_string())
                .with("SequenceNumber", put.sequence_number().to_string())
                .with_some("EncryptionType", is_encrypted.then_some("KMS")),
        ));
    }
    // The usual answer, without a value for each member.
    // As long as it is with a number of 56 digits, as all of this century have.
    let mut out = Vec::with_capacity(110);
    out.extend_from_slice(b"{\"ShardId\":");
    json::encode_shard_id(put.shard_id(), &mut out);
    out.extend_from_slice(b",\"SequenceNumber\":\"");
    append_number(&put, &mut out);
    out.extend_from_slice(b"\"}");
    Ok(Output::Encoded(out))
}

/// Appends the digits of a record's number, with no quotes. They are mostly made from those of the number before,
/// of the same shard and thread.
fn append_number(put: &PutRecordOutput, out: &mut Vec<u8>) {
    /// Shards whose numbers are known, if no two have the same place here.
    const SHARDS: usize = 16;
    thread_local! {
        static TEXTS: RefCell<[Text; SHARDS]> = const { RefCell::new([const { Text::new() }; SHARDS]) };
    }
    let slot = put.shard_id().index() as usize % SHARDS;
    TEXTS.with_borrow_mut(|texts| texts[slot].append(put.sequence_number(), out));
}

/// Puts the record of a body that is as bodies should be; `None` if this one is not.
pub(super) fn put_record_of_body(call: &Call<'_>, body: &[u8]) -> Option<Outcome> {
    with_room(room_bytes(call.encoding, body, 1), |room| {
        let body = PutBody::of_one(call.encoding, body, room)?;
        let stream = expected_stream(call, &body)?;
        if !body.records.is_expected(&stream) {
            return None;
        }
        let distributor = Distributor::of(call, &stream);
        let entry = match distributor.entry(body.records, "partitionKey") {
            Ok(entry) => entry,
            Err(exception) => return Some(Err(exception)),
        };
        Some(put_entry(call, &stream, entry, distributor.is_encrypted))
    })
}

/// Puts the records of a body that is as bodies should be; `None` if this one is not.
pub(super) fn put_records_of_body(call: &Call<'_>, body: &[u8]) -> Option<Outcome> {
    with_room(room_bytes(call.encoding, body, ENTRIES_MAX), |room| {
        let body = PutBody::of_many(call.encoding, body, room)?;
        let stream = expected_stream(call, &body)?;
        let mut records = body.records.iter();
        if body.records.is_empty() || !records.all(|record| record.is_expected(&stream)) {
            return None;
        }
        Some(put_entries(call, &stream, body.records.into_iter(), false))
    })
}

/// Runs with so many bytes of room for decoded data, a megabyte at most. A thread keeps it for the next call:
/// what the system gives anew for each takes longer to come than to be filled.
fn with_room<R>(bytes: usize, run: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut room = ROOM.take();
    if room.len() < bytes {
        room.resize(bytes, 0);
    }
    let result = run(&mut room[..bytes]);
    ROOM.set(room);
    result
}

/// The stream that a body is about, if it takes records.
fn expected_stream<R>(call: &Call<'_>, body: &PutBody<'_, R>) -> Option<Stream> {
    let name = match (body.stream_name, body.stream_arn) {
        (Some(name), None) => name,
        (None, Some(arn)) => call.stream_of_arn(arn).ok()?,
        _ => return None,
    };
    let stream = call.stream_named(name).ok()?;
    stream.is_taking_records().then_some(stream)
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
    let distributor = Distributor::of(call, stream);
    let mut bytes = 0;
    let mut checked = Vec::with_capacity(entries.len());
    for (index, asked) in entries.enumerate() {
        bytes += asked.partition_key.map_or(0, str::len) + asked.data.as_slice().len();
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
    let put = stream.wire_inlet().put_records(checked.into_iter());
    let put = put.map_err(|error| call.exception(stream.name(), &error))?;
    let answer = Answer {
        call,
        stream,
        put: &put,
        is_encrypted: distributor.is_encrypted,
    };
    Ok(Output::Encoded(match call.encoding {
        Encoding::Json => answer.to_json(),
        Encoding::Cbor => answer.to_cbor(),
    }))
}

/// The code and the text of one record that was not put.
fn failure(call: &Call<'_>, stream: &Stream, error: &Error) -> (String, String) {
    let exception = call.exception(stream.name(), error);
    let (code, message) = match error.is_retryable() {
        true => (exception.name(), exception.message().unwrap_or_default()),
        false => ("InternalFailure", "Internal Service Failure"),
    };
    (code.to_owned(), message.to_owned())
}

/// The answer to `PutRecords`, written without a value for each record.
struct Answer<'a> {
    call: &'a Call<'a>,
    stream: &'a Stream,
    put: &'a PutRecordsOutput,
    is_encrypted: bool,
}

impl Answer<'_> {
    fn to_json(&self) -> Vec<u8> {
        /// Names and numbers of one record.
        const RECORD_BYTES: usize = 128;
        let (count, records) = self.put.answers();
        let mut out = Vec::with_capacity(count * RECORD_BYTES + RECORD_BYTES);
        out.extend_from_slice(b"{\"FailedRecordCount\":");
        json::encode_unsigned(self.put.failed_record_count() as u64, &mut out);
        out.extend_from_slice(b",\"Records\":");
        for (index, record) in records.enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            match record {
                Ok(put) => {
                    out.extend_from_slice(b"{\"SequenceNumber\":\"");
                    append_number(&put, &mut out);
                    out.extend_from_slice(b"\",\"ShardId\":");
                    json::encode_shard_id(put.shard_id(), &mut out);
                    out.push(b'}');
                }
                Err(error) => json::encode(&self.failed(error), &mut out),
            }
        }
        out.push(b']');
        if self.is_encrypted {
            out.extend_from_slice(b",\"EncryptionType\":\"KMS\"");
        }
        out.push(b'}');
        out
    }

    fn to_cbor(&self) -> Vec<u8> {
        let (_, records) = self.put.answers();
        let records = records.map(|record| match record {
            Ok(put) => Value::structure()
                .with("SequenceNumber", put.sequence_number().to_string())
                .with("ShardId", put.shard_id().to_string()),
            Err(error) => self.failed(error),
        });
        let answer = Value::structure()
            .with("FailedRecordCount", self.put.failed_record_count())
            .with("Records", Value::list(records))
            .with_some("EncryptionType", self.is_encrypted.then_some("KMS"));
        Encoding::Cbor.encode(&answer)
    }

    fn failed(&self, error: &Error) -> Value {
        let (code, message) = failure(self.call, self.stream, error);
        Value::structure()
            .with("ErrorCode", code)
            .with("ErrorMessage", message)
    }
}

/// Knows which shard a record goes to.
struct Distributor<'a> {
    call: &'a Call<'a>,
    stream: &'a str,
    state: &'a StreamState,
    is_auto: bool,
    is_encrypted: bool,
    /// Where the ranges of the open shards begin; only if they take turns.
    starts: Vec<HashKey>,
}

impl<'a> Distributor<'a> {
    fn of(call: &'a Call<'_>, stream: &'a Stream) -> Self {
        let state = call.state(stream);
        let (is_auto, is_encrypted) = if state.has_usual_puts() {
            (false, false)
        } else {
            // Before anything is locked.
            let now = call.now();
            let attributes = state.attributes();
            let is_encrypted = attributes.was_encrypted(now);
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
            stream: stream.name(),
            state,
            is_auto,
            is_encrypted,
            starts,
        }
    }

    /// The entry of a batch that is at a place.
    fn entry_at<'e>(&self, asked: Asked<'e>, index: usize) -> Result<PutEntry<'e>, Exception> {
        if asked.partition_key.is_none() && !self.is_auto {
            return Err(missing_key(&format!(
                "records.{}.member.partitionKey",
                index + 1
            )));
        }
        self.entry(asked, "partitionKey")
    }

    fn entry<'e>(&self, asked: Asked<'e>, path: &str) -> Result<PutEntry<'e>, Exception> {
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
            // The stream was taken away a moment ago: it has no open shard.
            (None, _) if self.is_auto => Err(self.call.stream_not_found(self.stream)),
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
        match stream.status_at(self.now()) {
            Some(StreamStatus::Active | StreamStatus::Updating) => Ok(stream),
            _ => Err(self.stream_not_found(name)),
        }
    }
}
