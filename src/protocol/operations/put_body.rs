//! The bodies of puts, read straight into records.
//!
//! Nearly all puts are as they should be, and their data is most of what travels. They are read here
//! without a value for each member. Whatever is not as expected gives `None`: the way of all other
//! operations then finds out whether it is right, and says what is wrong with it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use minicbor::Decoder;
use minicbor::data::Type;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use crate::data::Data;
use crate::protocol::codec::Encoding;
use crate::protocol::operations::records::ENTRIES_MAX;

/// The body of `PutRecords`, or of `PutRecord` as that of one record.
#[derive(Debug)]
pub(super) struct PutBody<'a, Records> {
    pub(super) stream_name: Option<Text<'a>>,
    pub(super) stream_arn: Option<Text<'a>>,
    pub(super) records: Records,
}

/// Text of a body, borrowed from it unless something in it is escaped.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A record of a body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecord<'a> {
    #[serde(borrow)]
    pub(super) partition_key: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) explicit_hash_key: Option<Text<'a>>,
    #[serde(deserialize_with = "blob")]
    pub(super) data: Data<'a>,
}

#[derive(Deserialize)]
struct PutRecordsJson<'a> {
    #[serde(borrow, rename = "StreamName")]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow, rename = "Records", deserialize_with = "few")]
    records: Vec<PutRecord<'a>>,
    #[serde(rename = "DryRun")]
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct PutRecordJson<'a> {
    #[serde(borrow, rename = "StreamName")]
    stream_name: Option<Text<'a>>,
    #[serde(borrow, rename = "StreamARN")]
    stream_arn: Option<Text<'a>>,
    #[serde(borrow, rename = "PartitionKey")]
    partition_key: Option<Text<'a>>,
    #[serde(borrow, rename = "ExplicitHashKey")]
    explicit_hash_key: Option<Text<'a>>,
    #[serde(rename = "Data", deserialize_with = "blob")]
    data: Data<'a>,
    #[serde(rename = "SequenceNumberForOrdering")]
    ordering: Option<Text<'a>>,
    #[serde(rename = "DryRun")]
    dry_run: Option<bool>,
}

impl<'a> PutBody<'a, Vec<PutRecord<'a>>> {
    /// The body of a `PutRecords` that asks for nothing rare.
    pub(super) fn of_many(encoding: Encoding, body: &'a [u8]) -> Option<Self> {
        if encoding == Encoding::Cbor {
            return Self::of_many_cbor(body);
        }
        let read: PutRecordsJson<'_> = serde_json::from_slice(body).ok()?;
        (read.dry_run != Some(true)).then_some(Self {
            stream_name: read.stream_name,
            stream_arn: read.stream_arn,
            records: read.records,
        })
    }

    fn of_many_cbor(body: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(body);
        let (mut stream_name, mut stream_arn, mut records) = (None, None, None);
        each_member(&mut decoder, |name, decoder| match name {
            "StreamName" => set(&mut stream_name, text(decoder)?),
            "StreamARN" => set(&mut stream_arn, text(decoder)?),
            "Records" => set(&mut records, cbor_records(decoder)?),
            _ => None,
        })?;
        let read = Self {
            stream_name,
            stream_arn,
            records: records?,
        };
        (decoder.position() == body.len()).then_some(read)
    }
}

impl<'a> PutBody<'a, PutRecord<'a>> {
    /// The body of a `PutRecord` that asks for nothing rare.
    pub(super) fn of_one(encoding: Encoding, body: &'a [u8]) -> Option<Self> {
        if encoding == Encoding::Cbor {
            return Self::of_one_cbor(body);
        }
        let read: PutRecordJson<'_> = serde_json::from_slice(body).ok()?;
        let is_rare = read.dry_run == Some(true) || read.ordering.is_some();
        (!is_rare).then_some(Self {
            stream_name: read.stream_name,
            stream_arn: read.stream_arn,
            records: PutRecord {
                partition_key: read.partition_key,
                explicit_hash_key: read.explicit_hash_key,
                data: read.data,
            },
        })
    }

    fn of_one_cbor(body: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(body);
        let (mut stream_name, mut stream_arn) = (None, None);
        let mut record = CborRecord::default();
        each_member(&mut decoder, |name, decoder| match name {
            "StreamName" => set(&mut stream_name, text(decoder)?),
            "StreamARN" => set(&mut stream_arn, text(decoder)?),
            _ => record.member(name, decoder),
        })?;
        let read = Self {
            stream_name,
            stream_arn,
            records: record.finish()?,
        };
        (decoder.position() == body.len()).then_some(read)
    }
}

/// Reads as many records as a call may have: who sends more is told so on the other way.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PutRecord<'de>>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<PutRecord<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a few records")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut records = Vec::new();
            while let Some(record) = items.next_element()? {
                if records.len() == ENTRIES_MAX {
                    return Err(A::Error::custom("more records than a call may have"));
                }
                records.push(record);
            }
            Ok(records)
        }
    }

    deserializer.deserialize_seq(Few)
}

/// Decodes base64 into memory of its own, so that no record holds on to the memory of another.
fn blob<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Data<'de>, D::Error> {
    struct Base64;

    impl<'de> Visitor<'de> for Base64 {
        type Value = Data<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("base64")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Data<'de>, E> {
            self.visit_bytes(text.as_bytes())
        }

        fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Data<'de>, E> {
            let decoded = base64_simd::STANDARD.decode_to_vec(text);
            decoded.map(Data::from).map_err(E::custom)
        }
    }

    // As bytes: base64 is checked anyway, so it need not be checked for being text.
    deserializer.deserialize_bytes(Base64)
}

#[derive(Default)]
struct CborRecord<'a> {
    partition_key: Option<Text<'a>>,
    explicit_hash_key: Option<Text<'a>>,
    data: Option<Data<'a>>,
}

impl<'a> CborRecord<'a> {
    fn member(&mut self, name: &str, decoder: &mut Decoder<'a>) -> Option<()> {
        match name {
            "PartitionKey" => set(&mut self.partition_key, text(decoder)?),
            "ExplicitHashKey" => set(&mut self.explicit_hash_key, text(decoder)?),
            "Data" => set(&mut self.data, Data::from(decoder.bytes().ok()?)),
            _ => None,
        }
    }

    fn finish(self) -> Option<PutRecord<'a>> {
        Some(PutRecord {
            partition_key: self.partition_key,
            explicit_hash_key: self.explicit_hash_key,
            data: self.data?,
        })
    }
}

fn cbor_records<'a>(decoder: &mut Decoder<'a>) -> Option<Vec<PutRecord<'a>>> {
    let mut left = decoder.array().ok()?;
    let mut records = Vec::new();
    while more(decoder, &mut left)? {
        if records.len() == ENTRIES_MAX {
            return None;
        }
        let mut record = CborRecord::default();
        each_member(decoder, |name, decoder| record.member(name, decoder))?;
        records.push(record.finish()?);
    }
    Some(records)
}

/// Goes through the members of a map.
fn each_member<'a>(
    decoder: &mut Decoder<'a>,
    mut member: impl FnMut(&str, &mut Decoder<'a>) -> Option<()>,
) -> Option<()> {
    let mut left = decoder.map().ok()?;
    while more(decoder, &mut left)? {
        let name = decoder.str().ok()?;
        member(name, decoder)?;
    }
    Some(())
}

/// Whether another item follows, of a length that is said or up to a break.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Option<bool> {
    match left {
        Some(0) => Some(false),
        Some(left) => {
            *left -= 1;
            Some(true)
        }
        None if decoder.datatype().ok()? == Type::Break => {
            decoder.skip().ok()?;
            Some(false)
        }
        None => Some(true),
    }
}

fn text<'a>(decoder: &mut Decoder<'a>) -> Option<Text<'a>> {
    decoder.str().ok().map(|text| Text(Cow::Borrowed(text)))
}

/// Sets what is set once.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}
