//! The protocol, over whatever carries it.
//!
//! Bodies are written and read by other crates than those that the library uses, so that a mistake of
//! one does not hide another.

use std::time::Duration;

use brooklet::protocol::{Body, Encoding, Service};
use brooklet::{Clock, ManualClock, Registry};
use ciborium::Value as Cbor;
use data_encoding::BASE64;
use serde_json::{Map, Value as Json, json};

use crate::door::{Batch, Code, Door, Filter, From, Put, Read, ShardInfo, Stored};

/// Carries a request to a service and its answer back: a status and a body.
pub trait Carrier {
    fn encoding(&self) -> Encoding;
    fn call(&self, operation: &str, body: Vec<u8>) -> (u16, Vec<u8>);
}

/// No carrier at all: the function itself.
pub struct InProcess {
    service: Service,
    encoding: Encoding,
}

impl InProcess {
    pub fn json(registry: &Registry) -> Self {
        Self {
            service: Service::new(registry),
            encoding: Encoding::Json,
        }
    }

    pub fn cbor(registry: &Registry) -> Self {
        Self {
            service: Service::new(registry),
            encoding: Encoding::Cbor,
        }
    }
}

impl Carrier for InProcess {
    fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn call(&self, operation: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let target = format!("Kinesis_20131202.{operation}");
        let answer = self.service.call(&target, self.encoding, body);
        let status = answer.status().as_u16();
        match answer.into_body() {
            Body::Whole(bytes) => (status, bytes.to_vec()),
            other => panic!("{operation} answers in one piece, not {other:?}"),
        }
    }
}

/// A door of some carrier.
pub struct Wire<C> {
    clock: ManualClock,
    carrier: C,
}

impl<C: Carrier> Wire<C> {
    pub fn open(carrier: impl FnOnce(&Registry) -> C) -> Self {
        let clock = ManualClock::default();
        let registry = Registry::builder().clock(clock.clone()).build();
        Self {
            clock,
            carrier: carrier(&registry),
        }
    }

    /// Calls an operation. In the request, `{"$blob": base64}` and `{"$ms": number}` stand for what
    /// JSON has no form of; in the answer, blobs are base64 and times are milliseconds.
    fn call(&self, operation: &str, request: &Json) -> Result<Json, Code> {
        let encoding = self.carrier.encoding();
        let body = match encoding {
            Encoding::Cbor => {
                let mut body = Vec::new();
                ciborium::into_writer(&to_cbor(request), &mut body).expect("a vector takes it");
                body
            }
            _ => serde_json::to_vec(&to_json(request)).expect("it is JSON"),
        };
        let (status, body) = self.carrier.call(operation, body);
        let answer = match encoding {
            _ if body.is_empty() => json!({}),
            Encoding::Cbor => from_cbor(&ciborium::from_reader(&*body).expect("it is CBOR")),
            _ => serde_json::from_slice(&body).expect("it is JSON"),
        };
        if status == 200 {
            return Ok(answer);
        }
        Err(text(&answer["__type"]))
    }

    fn millis(&self, value: &Json) -> u64 {
        match self.carrier.encoding() {
            Encoding::Cbor => value.as_u64().expect("milliseconds"),
            _ => {
                let secs = value.as_f64().expect("seconds");
                Duration::from_secs_f64(secs + 0.000_1)
                    .as_millis()
                    .try_into()
                    .unwrap()
            }
        }
    }
}

impl<C: Carrier> Door for Wire<C> {
    fn create_stream(&self, stream: &str, shard_count: u32) -> Result<(), Code> {
        let request = json!({"StreamName": stream, "ShardCount": shard_count});
        self.call("CreateStream", &request).map(drop)
    }

    fn delete_stream(&self, stream: &str) -> Result<(), Code> {
        self.call("DeleteStream", &json!({"StreamName": stream}))
            .map(drop)
    }

    fn put(&self, stream: &str, put: Put) -> Result<Stored, Code> {
        let mut request = entry(&put);
        request["StreamName"] = stream.into();
        self.call("PutRecord", &request)
            .map(|answer| stored(&answer))
    }

    fn put_all(&self, stream: &str, puts: Vec<Put>) -> Result<Vec<Result<Stored, Code>>, Code> {
        let entries: Vec<_> = puts.iter().map(entry).collect();
        let request = json!({"StreamName": stream, "Records": entries});
        let answer = self.call("PutRecords", &request)?;
        let answers: Vec<_> = list(&answer["Records"])
            .iter()
            .map(|answer| match answer.get("ErrorCode") {
                Some(code) => Err(text(code)),
                None => Ok(stored(answer)),
            })
            .collect();
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(answer["FailedRecordCount"], failed);
        Ok(answers)
    }

    fn iterator(&self, stream: &str, shard: &str, from: From) -> Result<String, Code> {
        let mut request = json!({"StreamName": stream, "ShardId": shard});
        let kind = match from {
            From::TrimHorizon => "TRIM_HORIZON",
            From::Latest => "LATEST",
            From::At(number) => {
                request["StartingSequenceNumber"] = number.into();
                "AT_SEQUENCE_NUMBER"
            }
            From::After(number) => {
                request["StartingSequenceNumber"] = number.into();
                "AFTER_SEQUENCE_NUMBER"
            }
            From::AtMillis(ms) => {
                request["Timestamp"] = json!({"$ms": ms});
                "AT_TIMESTAMP"
            }
        };
        request["ShardIteratorType"] = kind.into();
        let answer = self.call("GetShardIterator", &request)?;
        Ok(text(&answer["ShardIterator"]))
    }

    fn read(&self, iterator: &str, limit: usize) -> Result<Batch, Code> {
        let request = json!({"ShardIterator": iterator, "Limit": limit});
        let answer = self.call("GetRecords", &request)?;
        let records = list(&answer["Records"]).iter().map(|record| Read {
            number: text(&record["SequenceNumber"]),
            key: text(&record["PartitionKey"]),
            data: BASE64
                .decode(text(&record["Data"]).as_bytes())
                .expect("base64"),
            arrival_ms: self.millis(&record["ApproximateArrivalTimestamp"]),
        });
        let children = answer.get("ChildShards").map(list).unwrap_or_default();
        let children = children.iter().map(|child| {
            let parents = list(&child["ParentShards"]).iter().map(text);
            (text(&child["ShardId"]), parents.collect())
        });
        Ok(Batch {
            records: records.collect(),
            next: answer.get("NextShardIterator").map(text),
            millis_behind: answer["MillisBehindLatest"].as_u64().expect("a number"),
            children: children.collect(),
        })
    }

    fn list_shards(&self, stream: &str, filter: Filter) -> Result<Vec<ShardInfo>, Code> {
        let filter = match filter {
            Filter::All => json!({"Type": "FROM_TRIM_HORIZON"}),
            Filter::AtLatest => json!({"Type": "AT_LATEST"}),
            Filter::AtTrimHorizon => json!({"Type": "AT_TRIM_HORIZON"}),
            Filter::After(shard) => json!({"Type": "AFTER_SHARD_ID", "ShardId": shard}),
        };
        // Pages of two, so that every list is continued.
        let mut request = json!({"StreamName": stream, "ShardFilter": filter, "MaxResults": 2});
        let mut shards = Vec::new();
        loop {
            let answer = self.call("ListShards", &request)?;
            shards.extend(list(&answer["Shards"]).iter().map(shard_info));
            match answer.get("NextToken") {
                Some(token) => request = json!({"NextToken": token, "MaxResults": 2}),
                None => return Ok(shards),
            }
        }
    }

    fn split(&self, stream: &str, shard: &str, key: u128) -> Result<(), Code> {
        let key = key.to_string();
        let request =
            json!({"StreamName": stream, "ShardToSplit": shard, "NewStartingHashKey": key});
        self.call("SplitShard", &request).map(drop)
    }

    fn merge(&self, stream: &str, lower: &str, upper: &str) -> Result<(), Code> {
        let request =
            json!({"StreamName": stream, "ShardToMerge": lower, "AdjacentShardToMerge": upper});
        self.call("MergeShards", &request).map(drop)
    }

    fn set_shard_count(&self, stream: &str, count: u32) -> Result<(), Code> {
        let request = json!({
            "StreamName": stream, "TargetShardCount": count, "ScalingType": "UNIFORM_SCALING",
        });
        self.call("UpdateShardCount", &request).map(drop)
    }

    fn set_retention_hours(&self, stream: &str, hours: u64) -> Result<(), Code> {
        let request = json!({"StreamName": stream, "RetentionPeriodHours": hours});
        let described = self.call("DescribeStreamSummary", &json!({"StreamName": stream}))?;
        let now = described["StreamDescriptionSummary"]["RetentionPeriodHours"].as_u64();
        let operation = match now.expect("a number") <= hours {
            true => "IncreaseStreamRetentionPeriod",
            false => "DecreaseStreamRetentionPeriod",
        };
        self.call(operation, &request).map(drop)
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().as_millis()
    }

    fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

fn entry(put: &Put) -> Json {
    let mut entry = json!({"PartitionKey": put.key, "Data": {"$blob": BASE64.encode(&put.data)}});
    if let Some(hash_key) = put.hash_key {
        entry["ExplicitHashKey"] = hash_key.to_string().into();
    }
    entry
}

fn stored(answer: &Json) -> Stored {
    Stored {
        shard: text(&answer["ShardId"]),
        number: text(&answer["SequenceNumber"]),
    }
}

fn shard_info(shard: &Json) -> ShardInfo {
    let key = |name: &str| {
        text(&shard["HashKeyRange"][name])
            .parse()
            .expect("a number")
    };
    let numbers = &shard["SequenceNumberRange"];
    ShardInfo {
        id: text(&shard["ShardId"]),
        start: key("StartingHashKey"),
        end: key("EndingHashKey"),
        parent: shard.get("ParentShardId").map(text),
        adjacent_parent: shard.get("AdjacentParentShardId").map(text),
        starting_number: text(&numbers["StartingSequenceNumber"]),
        ending_number: numbers.get("EndingSequenceNumber").map(text),
    }
}

fn text(value: &Json) -> String {
    value.as_str().expect("a text").to_owned()
}

fn list(value: &Json) -> &[Json] {
    value.as_array().expect("a list")
}

/// A request as JSON has it.
fn to_json(value: &Json) -> Json {
    match value {
        Json::Object(members) => match (members.get("$blob"), members.get("$ms")) {
            (Some(blob), _) => blob.clone(),
            (_, Some(ms)) => json!(ms.as_f64().expect("a number") / 1000.0),
            _ => members
                .iter()
                .map(|(name, value)| (name.clone(), to_json(value)))
                .collect(),
        },
        Json::Array(items) => items.iter().map(to_json).collect(),
        other => other.clone(),
    }
}

/// A request as CBOR has it.
fn to_cbor(value: &Json) -> Cbor {
    match value {
        Json::Object(members) => match (members.get("$blob"), members.get("$ms")) {
            (Some(blob), _) => Cbor::Bytes(BASE64.decode(text(blob).as_bytes()).expect("base64")),
            (_, Some(ms)) => {
                let ms = ms.as_u64().expect("a number");
                Cbor::Tag(1, Box::new(Cbor::Integer(ms.into())))
            }
            _ => {
                let pair =
                    |(name, value): (&String, &Json)| (Cbor::Text(name.clone()), to_cbor(value));
                Cbor::Map(members.iter().map(pair).collect())
            }
        },
        Json::Array(items) => Cbor::Array(items.iter().map(to_cbor).collect()),
        Json::String(text) => Cbor::Text(text.clone()),
        Json::Number(number) => Cbor::Integer(number.as_i64().expect("a whole number").into()),
        Json::Bool(value) => Cbor::Bool(*value),
        Json::Null => Cbor::Null,
    }
}

/// An answer in CBOR, with blobs as base64 and times as milliseconds.
fn from_cbor(value: &Cbor) -> Json {
    match value {
        Cbor::Map(members) => {
            let pair = |(name, value): &(Cbor, Cbor)| {
                (name.as_text().expect("a name").to_owned(), from_cbor(value))
            };
            Json::Object(members.iter().map(pair).collect::<Map<_, _>>())
        }
        Cbor::Array(items) => items.iter().map(from_cbor).collect(),
        Cbor::Text(text) => text.as_str().into(),
        Cbor::Bytes(bytes) => BASE64.encode(bytes).into(),
        Cbor::Tag(1, inner) => from_cbor(inner),
        Cbor::Integer(number) => i64::try_from(*number).expect("it fits").into(),
        Cbor::Bool(value) => (*value).into(),
        other => panic!("no answer has {other:?}"),
    }
}
