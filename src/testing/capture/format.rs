//! The lines of a capture: what they say, and how they are written and read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base64::{decode_base64, encode_base64};
use crate::clock::Timestamp;
use crate::hash_key::{HashKey, HashKeyRange};
use crate::sequence::SequenceNumber;
use crate::shard_id::ShardId;

/// What the header names the format.
const FORMAT: &str = "brooklet-capture";
const VERSION: u32 = 1;

/// What a capture says of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureHeader {
    /// Name of the stream.
    pub stream: String,
    /// When the stream was created.
    pub created: Timestamp,
    /// For how long records could be read.
    pub retention: Duration,
    /// The shards that it begins with; their ranges are all hash keys.
    pub shards: Vec<CapturedShard>,
}

/// A shard, as a capture names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedShard {
    /// Its id in the captured stream.
    pub shard_id: ShardId,
    /// The hash keys that it takes.
    pub hash_key_range: HashKeyRange,
}

/// What a line between the header and the end says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureEvent {
    /// A record.
    Record(CapturedRecord),
    /// A split or a merge.
    Reshard(CapturedReshard),
    /// Records were trimmed before they could be captured.
    Missed {
        /// The shard that they were in.
        shard_id: ShardId,
        /// How many.
        count: u64,
    },
}

/// A record, as a capture has it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedRecord {
    /// When the stream accepted it.
    pub arrival: Timestamp,
    /// The shard that it was in.
    pub shard_id: ShardId,
    /// The number that it was given.
    pub sequence_number: SequenceNumber,
    /// Its partition key.
    pub partition_key: String,
    /// A hash key of its shard, if the partition key's hash leads elsewhere.
    pub explicit_hash_key: Option<HashKey>,
    /// Its data.
    pub data: Bytes,
}

impl fmt::Debug for CapturedRecord {
    /// Shows no data and no key: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedRecord")
            .field("arrival", &self.arrival)
            .field("shard_id", &self.shard_id)
            .field("sequence_number", &self.sequence_number)
            .field("data_bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// A split or a merge, as a capture has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapturedReshard {
    /// When it was.
    pub at: Timestamp,
    /// The one shard that was split, or the two that were merged, the lower one first.
    pub parents: Vec<ShardId>,
    /// The shards that came of it, the lower one first.
    pub children: Vec<CapturedShard>,
}

/// The last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) records: u64,
    /// When the stream was closed, if it was.
    pub(super) closed: Option<Timestamp>,
}

/// What is wrong with a line, and in which column.
#[derive(Debug)]
pub(super) struct BadLine {
    pub(super) column: usize,
    pub(super) problem: String,
}

/// Any line but the header.
#[derive(Debug)]
pub(super) enum Line {
    Event(CaptureEvent),
    End(End),
}

/// A value that stands in the file as text: numbers that `jq` would round, and ids.
struct Text<T>(T);

/// A line is read twice: first for its type alone.
#[derive(Deserialize)]
struct TypeOf {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    format: Cow<'a, str>,
    version: u32,
    stream: Cow<'a, str>,
    created_ms: u64,
    retention_ms: u64,
    shards: Vec<ShardField>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardField {
    shard_id: Text<ShardId>,
    starting_hash_key: Text<HashKey>,
    ending_hash_key: Text<HashKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    arrival_ms: u64,
    shard_id: Text<ShardId>,
    sequence_number: Text<SequenceNumber>,
    partition_key: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<Text<HashKey>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<Base64<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReshardLine<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    at_ms: u64,
    parents: Vec<Text<ShardId>>,
    children: Vec<ShardField>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MissedLine<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    shard_id: Text<ShardId>,
    count: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    records: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_ms: Option<u64>,
}

/// Bytes that stand in the file as base64.
struct Base64<'a>(Cow<'a, [u8]>);

/// A record that is to be written.
pub(super) struct RecordToWrite<'a> {
    pub(super) arrival: Timestamp,
    pub(super) shard_id: ShardId,
    pub(super) sequence_number: SequenceNumber,
    pub(super) partition_key: &'a str,
    pub(super) explicit_hash_key: Option<HashKey>,
    pub(super) data: &'a [u8],
}

pub(super) fn write_header(line: &mut Vec<u8>, header: &CaptureHeader) {
    let retention_ms = header.retention.as_millis();
    write(
        line,
        &HeaderLine {
            kind: "header".into(),
            format: FORMAT.into(),
            version: VERSION,
            stream: Cow::Borrowed(&header.stream),
            created_ms: header.created.as_millis(),
            retention_ms: u64::try_from(retention_ms).unwrap_or(u64::MAX),
            shards: header.shards.iter().map(ShardField::new).collect(),
        },
    );
}

pub(super) fn write_record(line: &mut Vec<u8>, record: &RecordToWrite<'_>) {
    let text = std::str::from_utf8(record.data).ok();
    write(
        line,
        &RecordLine {
            kind: "record".into(),
            arrival_ms: record.arrival.as_millis(),
            shard_id: Text(record.shard_id),
            sequence_number: Text(record.sequence_number),
            partition_key: record.partition_key.into(),
            explicit_hash_key: record.explicit_hash_key.map(Text),
            data: text.map(Cow::Borrowed),
            data_base64: text.is_none().then(|| Base64(record.data.into())),
        },
    );
}

pub(super) fn write_reshard(line: &mut Vec<u8>, reshard: &CapturedReshard) {
    write(
        line,
        &ReshardLine {
            kind: "reshard".into(),
            at_ms: reshard.at.as_millis(),
            parents: reshard.parents.iter().copied().map(Text).collect(),
            children: reshard.children.iter().map(ShardField::new).collect(),
        },
    );
}

pub(super) fn write_missed(line: &mut Vec<u8>, shard_id: ShardId, count: u64) {
    write(
        line,
        &MissedLine {
            kind: "missed".into(),
            shard_id: Text(shard_id),
            count,
        },
    );
}

pub(super) fn write_end(line: &mut Vec<u8>, end: &End) {
    write(
        line,
        &EndLine {
            kind: "end".into(),
            records: end.records,
            closed_ms: end.closed.map(Timestamp::as_millis),
        },
    );
}

/// Writes one line over what was there before.
fn write(line: &mut Vec<u8>, value: &impl Serialize) {
    line.clear();
    serde_json::to_writer(&mut *line, value).expect("memory takes all, and all keys are text");
    line.push(b'\n');
}

pub(super) fn read_header(line: &[u8]) -> Result<CaptureHeader, BadLine> {
    let kind: TypeOf = parse(line)?;
    if kind.kind != "header" {
        return Err(BadLine::whole("a capture begins with its header"));
    }
    let line: HeaderLine<'_> = parse(line)?;
    if line.format != FORMAT {
        return Err(BadLine::whole(format!("the format is not {FORMAT}")));
    }
    if line.version != VERSION {
        return Err(BadLine::whole(format!(
            "version {} of the format is not {VERSION}, the one that can be read",
            line.version
        )));
    }
    Ok(CaptureHeader {
        stream: line.stream.into_owned(),
        created: Timestamp::from_millis(line.created_ms),
        retention: Duration::from_millis(line.retention_ms),
        shards: shards(line.shards)?,
    })
}

pub(super) fn read_line(line: &[u8]) -> Result<Line, BadLine> {
    let kind: TypeOf = parse(line)?;
    match kind.kind.as_str() {
        "record" => read_record(line).map(CaptureEvent::Record).map(Line::Event),
        "reshard" => read_reshard(line)
            .map(CaptureEvent::Reshard)
            .map(Line::Event),
        "missed" => {
            let line: MissedLine<'_> = parse(line)?;
            Ok(Line::Event(CaptureEvent::Missed {
                shard_id: line.shard_id.0,
                count: line.count,
            }))
        }
        "end" => {
            let line: EndLine<'_> = parse(line)?;
            Ok(Line::End(End {
                records: line.records,
                closed: line.closed_ms.map(Timestamp::from_millis),
            }))
        }
        "header" => Err(BadLine::whole("only the first line is a header")),
        _ => Err(BadLine::whole(
            "the type is none of record, reshard, missed and end",
        )),
    }
}

fn read_record(line: &[u8]) -> Result<CapturedRecord, BadLine> {
    let line: RecordLine<'_> = parse(line)?;
    let data = match (line.data, line.data_base64) {
        (Some(text), None) => text.into_owned().into(),
        (None, Some(base64)) => base64.0.into_owned().into(),
        (Some(_), Some(_)) => return Err(BadLine::whole("both data and data_base64 are given")),
        (None, None) => return Err(BadLine::whole("neither data nor data_base64 is given")),
    };
    Ok(CapturedRecord {
        arrival: Timestamp::from_millis(line.arrival_ms),
        shard_id: line.shard_id.0,
        sequence_number: line.sequence_number.0,
        partition_key: line.partition_key.into_owned(),
        explicit_hash_key: line.explicit_hash_key.map(|text| text.0),
        data,
    })
}

fn read_reshard(line: &[u8]) -> Result<CapturedReshard, BadLine> {
    let line: ReshardLine<'_> = parse(line)?;
    Ok(CapturedReshard {
        at: Timestamp::from_millis(line.at_ms),
        parents: line.parents.into_iter().map(|text| text.0).collect(),
        children: shards(line.children)?,
    })
}

fn shards(fields: Vec<ShardField>) -> Result<Vec<CapturedShard>, BadLine> {
    let shard = |field: ShardField| {
        let (start, end) = (field.starting_hash_key.0, field.ending_hash_key.0);
        let hash_key_range = HashKeyRange::new(start, end)
            .ok_or_else(|| BadLine::whole("a shard's range of hash keys ends before it starts"))?;
        Ok(CapturedShard {
            shard_id: field.shard_id.0,
            hash_key_range,
        })
    };
    fields.into_iter().map(shard).collect()
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, BadLine> {
    serde_json::from_slice(line).map_err(|error| BadLine::new(&error, line.len()))
}

impl BadLine {
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self {
            column: 1,
            problem: problem.into(),
        }
    }

    fn new(error: &serde_json::Error, line_bytes: usize) -> Self {
        let text = error.to_string();
        // Said anew in terms of the file.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let problem = text.strip_suffix(&place).unwrap_or(&text);
        // The line break counts as the end of the line, not as the start of another.
        let column = if error.line() == 1 {
            error.column().max(1)
        } else {
            line_bytes.max(1)
        };
        Self {
            column,
            problem: problem.chars().take(PROBLEM_CHARS_MAX).collect(),
        }
    }
}

/// What is wrong may quote the line, which may be very long.
const PROBLEM_CHARS_MAX: usize = 200;

impl ShardField {
    fn new(shard: &CapturedShard) -> Self {
        Self {
            shard_id: Text(shard.shard_id),
            starting_hash_key: Text(shard.hash_key_range.start()),
            ending_hash_key: Text(shard.hash_key_range.end()),
        }
    }
}

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr + fmt::Display,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Strict(PhantomData))
    }
}

/// Reads a value from the text that it is shown as, and from no other.
struct Strict<T>(PhantomData<T>);

impl<T> Visitor<'_> for Strict<T>
where
    T: FromStr + fmt::Display,
    T::Err: fmt::Display,
{
    type Value = Text<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
        let value: T = text.parse().map_err(E::custom)?;
        let shown = value.to_string();
        if shown == text {
            Ok(Text(value))
        } else {
            Err(E::custom(format_args!("this is written {shown}")))
        }
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_base64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decoded;

        impl Visitor<'_> for Decoded {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
                decode_base64(text).ok_or_else(|| E::custom("this is no base64"))
            }
        }

        let bytes = deserializer.deserialize_str(Decoded)?;
        Ok(Self(Cow::Owned(bytes)))
    }
}
