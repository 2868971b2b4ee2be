//! Getting records.

use minicbor::Encoder;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::iterator::ShardIterator;
use crate::limits::GET_RECORDS_LIMIT_MAX;
use crate::protocol::codec::Encoding;
use crate::protocol::exception::Exception;
use crate::protocol::java_date::JavaDate;
use crate::protocol::json;
use crate::protocol::operations::shards::range_value;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape};
use crate::protocol::shapes::{
    ITERATOR_TYPE, LIMIT, SEQUENCE_NUMBER, SHARD_ID, SHARD_ITERATOR, STREAM_ARN_OPTIONAL,
    STREAM_NAME,
};
use crate::protocol::stream_state::Attributes;
use crate::protocol::token::{Reader, Writer};
use crate::protocol::value::Value;
use crate::record::RecordView;
use crate::sequence::{SequenceNumber, Text};
use crate::shard::{ChildShard, RecordBatch, Shard};
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::stream::Stream;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "GetShardIterator",
        members: &[
            Member::required("ShardId", SHARD_ID),
            Member::required("ShardIteratorType", ITERATOR_TYPE),
            Member::optional("StartingSequenceNumber", SEQUENCE_NUMBER),
            STREAM_NAME,
            Member::optional("Timestamp", Shape::Timestamp),
            STREAM_ARN_OPTIONAL,
            Member::optional("DryRun", Shape::Boolean),
        ],
        run: get_shard_iterator,
    },
    Operation {
        name: "GetRecords",
        members: &[
            Member::optional("Limit", LIMIT),
            Member::required("ShardIterator", SHARD_ITERATOR),
            STREAM_ARN_OPTIONAL,
            Member::optional("DryRun", Shape::Boolean),
        ],
        run: get_records,
    },
];

fn get_shard_iterator(call: &Call<'_>, input: &Input) -> Outcome {
    let name = call.addressed(input)?;
    let text = input.text("ShardId").expect("it is required");
    let shard_id = call.shard_id(name, text)?;
    let stream = call.service.registry.get(name);
    let stream = stream.map_err(|_| call.no_such_shard(name, shard_id))?;
    let shard = stream.shard(shard_id);
    let shard = shard.map_err(|_| call.no_such_shard(name, shard_id))?;
    let kind = input.text("ShardIteratorType").expect("it is required");
    let asked = Position {
        kind,
        number: input.text("StartingSequenceNumber"),
        time: input.timestamp("Timestamp"),
        caller: "GetShardIterator",
    };
    let iterator = asked.iterator(call, &stream, &shard)?;
    call.unless_dry_run(input)?;
    let token = IteratorToken::of(call, &stream, &iterator).seal(call);
    Ok(Output::Members(
        Value::structure().with("ShardIterator", token),
    ))
}

/// Where to begin, as a request says it.
pub(super) struct Position<'a> {
    pub(super) kind: &'a str,
    pub(super) number: Option<&'a str>,
    pub(super) time: Option<Timestamp>,
    /// The operation, as texts name it.
    pub(super) caller: &'static str,
}

impl Position<'_> {
    /// An iterator that begins there. The tests are in the order of the service (the contract, 3.1).
    pub(super) fn iterator(
        &self,
        call: &Call<'_>,
        stream: &Stream,
        shard: &Shard,
    ) -> Result<ShardIterator, Exception> {
        let by_number = matches!(self.kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
        let needs_none = matches!(self.kind, "TRIM_HORIZON" | "LATEST");
        if self.number.is_some() && needs_none {
            return Err(self.mismatched("and also a StartingSequenceNumber."));
        }
        let position = match (self.kind, self.number, self.time) {
            (_, Some(text), _) if by_number => self.at_number(call, shard, text)?,
            (_, None, _) if by_number => {
                return Err(self.mismatched("and no StartingSequenceNumber."));
            }
            ("LATEST", _, _) => StartingPosition::Latest,
            ("AT_TIMESTAMP", _, Some(time)) => StartingPosition::AtTimestamp(time),
            ("AT_TIMESTAMP", _, None) => {
                return Err(Exception::invalid_argument(
                    "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. \
                     Current request has no timestamp parameter.",
                ));
            }
            _ => StartingPosition::TrimHorizon,
        };
        let begin = |position| match self.caller {
            // The contract, 1.8: those who subscribe have a share of their own.
            "SubscribeToShard" => ShardIterator::apart(shard.clone(), position),
            _ => shard.iterator(position),
        };
        let iterator = match begin(position) {
            // The contract, 3.1: a number need not exist; nothing is behind one of the future.
            Err(Error::SequenceNumberInFuture { .. }) => begin(StartingPosition::Latest),
            other => other,
        };
        iterator.map_err(|error| self.refused(call, stream, shard, &error))
    }

    fn at_number(
        &self,
        call: &Call<'_>,
        shard: &Shard,
        text: &str,
    ) -> Result<StartingPosition, Exception> {
        let number: SequenceNumber = text.parse().map_err(|_| {
            Exception::invalid_argument(format!(
                "StartingSequenceNumber {text} used in {} on shard {} in stream {} under account {} \
                 is invalid.",
                self.caller,
                shard.id(),
                shard.stream_name(),
                call.service.account_id()
            ))
        })?;
        // The contract, 1.6: such a number breaks the service.
        if number.version() == 0 && number.is_of_shard(shard.id()) {
            return Err(Exception::internal_failure());
        }
        Ok(match self.kind {
            "AT_SEQUENCE_NUMBER" => StartingPosition::AtSequenceNumber(number),
            _ => StartingPosition::AfterSequenceNumber(number),
        })
    }

    fn mismatched(&self, what: &str) -> Exception {
        let kind = self.kind;
        Exception::invalid_argument(format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
             StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
             Request specified {kind} {what}"
        ))
    }

    fn refused(&self, call: &Call<'_>, stream: &Stream, shard: &Shard, error: &Error) -> Exception {
        let (name, account) = (stream.name(), call.service.account_id());
        match error {
            Error::SequenceNumberOfOtherShard {
                encoded, shard_id, ..
            } => Exception::invalid_argument(format!(
                // The service reads the index as a signed number.
                "Invalid StartingSequenceNumber. It encodes shardId-{:012}, while it was used in a \
                 call to a shard with {shard_id}",
                i32::from_ne_bytes(encoded.index().to_ne_bytes())
            )),
            Error::SequenceNumberOfOtherStream {
                sequence_number, ..
            } => Exception::invalid_argument(format!(
                "StartingSequenceNumber {sequence_number} used in {} on shard {} in stream {name} \
                 under account {account} is invalid because it did not come from this stream.",
                self.caller,
                shard.id()
            )),
            Error::StreamNotFound { .. } => call.no_such_shard(name, shard.id()),
            other => call.exception(name, other),
        }
    }
}

/// What a shard iterator says.
struct IteratorToken {
    issued_ms: u64,
    incarnation: u64,
    shard_id: ShardId,
    place: u64,
    stream: String,
}

impl IteratorToken {
    /// The first byte of such a token.
    const KIND: u8 = 1;
    /// For how long it is good, in milliseconds.
    const LIFE_MS: u64 = 300_000;

    fn of(call: &Call<'_>, stream: &Stream, iterator: &ShardIterator) -> Self {
        Self {
            issued_ms: call.now().as_millis(),
            incarnation: call.state(stream).incarnation,
            shard_id: iterator.shard_id(),
            place: iterator.place(),
            stream: stream.name().to_owned(),
        }
    }

    fn seal(&self, call: &Call<'_>) -> String {
        // The serial number makes each token another, as the contract, 3.2, asks for.
        let content = Writer::new(Self::KIND)
            .number(self.issued_ms)
            .number(call.account.next_serial())
            .number(self.incarnation)
            .number(self.shard_id.index().into())
            .number(self.place)
            .text(&self.stream)
            .padded(Self::bytes(&self.stream));
        call.account.token_key.seal(content.content())
    }

    /// How many bytes the tokens of the service have for a stream of this name (the contract, 3.2).
    const fn bytes(stream: &str) -> usize {
        152 + (stream.len() + 2) / 16 * 16
    }

    /// Reads a token that is good now.
    fn open(call: &Call<'_>, text: &str) -> Result<Self, Exception> {
        let unquoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(text);
        let content = call.account.token_key.open(unquoted);
        let read = content.as_deref().and_then(|content| {
            let mut reader = Reader::new(Self::KIND, content)?;
            let (issued_ms, _serial) = (reader.number()?, reader.number()?);
            let token = Self {
                issued_ms,
                incarnation: reader.number()?,
                shard_id: ShardId::new(u32::try_from(reader.number()?).ok()?)?,
                place: reader.number()?,
                stream: reader.text()?.to_owned(),
            };
            reader.end()?;
            Some(token)
        });
        let now_ms = call.now().as_millis();
        let token = read.filter(|token| token.issued_ms <= now_ms);
        let token = token.ok_or_else(|| Exception::invalid_argument("Invalid ShardIterator."))?;
        if now_ms - token.issued_ms > Self::LIFE_MS {
            return Err(Exception::expired_iterator(format!(
                "Iterator expired. The iterator was created at time {} while right now it is {} which \
                 is further in the future than the tolerated delay of {} milliseconds.",
                JavaDate(Timestamp::from_millis(token.issued_ms)),
                JavaDate(call.now()),
                Self::LIFE_MS
            )));
        }
        Ok(token)
    }
}

fn get_records(call: &Call<'_>, input: &Input) -> Outcome {
    let text = input.text("ShardIterator").expect("it is required");
    let token = IteratorToken::open(call, text)?;
    if let Some(arn) = input.text("StreamARN")
        && call.stream_of_arn(arn)? != token.stream
    {
        return Err(Exception::invalid_argument(format!(
            "ShardIterator is not of the stream with StreamARN {arn}."
        )));
    }
    let limit = input.count("Limit").unwrap_or(GET_RECORDS_LIMIT_MAX);
    read(call, &token, limit, input.flag("DryRun"))
}

/// Reads on from where a token says.
fn read(call: &Call<'_>, token: &IteratorToken, limit: usize, is_dry_run: bool) -> Outcome {
    let name = token.stream.as_str();
    let stream = call.service.registry.get(name);
    let stream = stream.map_err(|_| call.no_such_shard(name, token.shard_id))?;
    let state = call.state(&stream);
    if state.incarnation != token.incarnation {
        return Err(call.no_such_shard(name, token.shard_id));
    }
    let shard = stream.shard(token.shard_id);
    let shard = shard.map_err(|error| match error {
        Error::StreamNotFound { .. } => call.stream_not_found(name),
        _ => call.no_such_shard(name, token.shard_id),
    })?;
    if is_dry_run {
        return Err(super::dry_run());
    }
    let mut iterator = ShardIterator::at_place(shard, token.place);
    let batch = iterator.get_records(limit);
    let batch = batch.map_err(|error| call.exception(name, &error))?;
    let next =
        (!batch.shard_ended()).then(|| IteratorToken::of(call, &stream, &iterator).seal(call));
    let encrypted = Encrypted::of(&state.attributes());
    let answer = Answer {
        batch: &batch,
        next: next.as_deref(),
        encrypted: &encrypted,
    };
    Ok(Output::Encoded(match call.encoding {
        Encoding::Json => answer.to_json(),
        Encoding::Cbor => answer.to_cbor(),
    }))
}

/// Which records are encrypted; none on most streams.
pub(super) struct Encrypted(Option<Attributes>);

impl Encrypted {
    pub(super) fn of(attributes: &Attributes) -> Self {
        Self((!attributes.encryption.is_empty()).then(|| Attributes {
            encryption: attributes.encryption.clone(),
            ..Attributes::default()
        }))
    }

    pub(super) fn is(&self, record: &RecordView<'_>) -> bool {
        self.0.as_ref().is_some_and(|attributes| {
            attributes.was_encrypted(record.approximate_arrival_timestamp())
        })
    }
}

/// The answer to `GetRecords`, written straight from the log: no value is made for a record.
struct Answer<'a> {
    batch: &'a RecordBatch,
    next: Option<&'a str>,
    encrypted: &'a Encrypted,
}

impl Answer<'_> {
    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(json_bytes(self.batch));
        let mut text = Text::new();
        out.extend_from_slice(b"{\"Records\":[");
        for (index, record) in self.batch.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            record_to_json(&record, self.encrypted.is(&record), &mut text, &mut out);
        }
        out.push(b']');
        if let Some(next) = self.next {
            out.extend_from_slice(b",\"NextShardIterator\":\"");
            out.extend_from_slice(next.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"MillisBehindLatest\":");
        json::encode_unsigned(self.batch.millis_behind_latest(), &mut out);
        if !self.batch.child_shards().is_empty() {
            out.extend_from_slice(b",\"ChildShards\":");
            json::encode(&children_value(self.batch.child_shards()), &mut out);
        }
        out.push(b'}');
        out
    }

    fn to_cbor(&self) -> Vec<u8> {
        let bytes: usize = self
            .batch
            .iter()
            .map(|record| record.data().len() + 200)
            .sum();
        let mut out = Vec::with_capacity(bytes + 512);
        self.write_cbor(&mut Encoder::new(&mut out))
            .expect("a vector takes all that is written to it");
        let mut tail = Value::structure().with_some("NextShardIterator", self.next);
        tail = tail.with("MillisBehindLatest", self.batch.millis_behind_latest());
        if !self.batch.child_shards().is_empty() {
            tail = tail.with("ChildShards", children_value(self.batch.child_shards()));
        }
        let Value::Map(members) = tail else {
            unreachable!("a structure is a map");
        };
        for (name, value) in members {
            crate::protocol::cbor::encode(&Value::Text(name), &mut out);
            crate::protocol::cbor::encode(&value, &mut out);
        }
        out.push(0xff);
        out
    }

    /// A map of open length, of which the first member is written.
    fn write_cbor(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        encoder.begin_map()?.str("Records")?;
        encoder.array(self.batch.len() as u64)?;
        for record in self.batch {
            let encrypted = self.encrypted.is(&record);
            let key = record.partition_key();
            let members = 3 + u64::from(!key.is_empty()) + u64::from(encrypted);
            encoder.map(members)?;
            encoder.str("SequenceNumber")?.str(
                record
                    .sequence_number()
                    .write(&mut [0; SequenceNumber::TEXT_BYTES]),
            )?;
            let arrival = record.approximate_arrival_timestamp();
            encoder
                .str("ApproximateArrivalTimestamp")?
                .tag(minicbor::data::Tag::new(1))?
                .u64(arrival.as_millis())?;
            encoder.str("Data")?.bytes(record.data())?;
            if !key.is_empty() {
                encoder.str("PartitionKey")?.str(key)?;
            }
            if encrypted {
                encoder.str("EncryptionType")?.str("KMS")?;
            }
        }
        Ok(())
    }
}

/// How many bytes the records take as JSON, about.
pub(super) fn json_bytes(batch: &RecordBatch) -> usize {
    /// Names, numbers and the key.
    const REST: usize = 256;
    let bytes = |record: RecordView<'_>| record.data().len().div_ceil(3) * 4 + REST;
    batch.iter().map(bytes).sum::<usize>() + 2 * REST
}

/// Appends one record to a document; the text is that of the record before it.
pub(super) fn record_to_json(
    record: &RecordView<'_>,
    encrypted: bool,
    text: &mut Text,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"SequenceNumber\":\"");
    text.append(record.sequence_number(), out);
    out.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
    let arrival = record.approximate_arrival_timestamp().as_millis();
    json::encode_timestamp(i64::try_from(arrival).unwrap_or(i64::MAX), out);
    out.extend_from_slice(b",\"Data\":");
    json::encode_blob(record.data(), out);
    // A record without a key is one that the service distributed.
    if !record.partition_key().is_empty() {
        out.extend_from_slice(b",\"PartitionKey\":");
        json::encode_text(record.partition_key(), out);
    }
    if encrypted {
        out.extend_from_slice(b",\"EncryptionType\":\"KMS\"");
    }
    out.push(b'}');
}

/// The shards to go on with.
pub(super) fn children_value(children: &[ChildShard]) -> Value {
    Value::list(children.iter().map(|child| {
        let parents = child.parent_shards().iter().map(|id| id.to_string());
        Value::structure()
            .with("ShardId", child.shard_id().to_string())
            .with("ParentShards", Value::list(parents))
            .with("HashKeyRange", range_value(child.hash_key_range()))
    }))
}

impl Call<'_> {
    /// A shard that does not exist, as iterators tell it.
    pub(super) fn no_such_shard(&self, stream: &str, shard_id: ShardId) -> Exception {
        let account = self.service.account_id();
        Exception::not_found(format!(
            "Shard {shard_id} in stream {stream} under account {account} does not exist"
        ))
    }
}
