//! The protocol, with whatever can be sent: it answers, and what it answers can be read.

use std::cell::RefCell;

use brooklet::protocol::{Body, Encoding, Service};
use brooklet::{ManualClock, Registry};
use data_encoding::BASE64;
use serde_json::{Value, json};

/// Operations that a body is tried with; the first byte of an input says which.
const OPERATIONS: [&str; 45] = [
    "PutRecord",
    "PutRecords",
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "AddTagsToStream",
    "CreateChannel",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteChannel",
    "DeleteResourcePolicy",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeChannel",
    "DescribeLimits",
    "DescribeStream",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetResourcePolicy",
    "IncreaseStreamRetentionPeriod",
    "ListChannels",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "PutResourcePolicy",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateChannel",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
];

/// An operation and a JSON body.
pub fn json_body(bytes: &[u8]) {
    let Some((operation, body)) = split(bytes) else {
        return;
    };
    let answer = answer(operation, Encoding::Json, body);
    if let Some((status, body)) = answer.filter(|(_, body)| !body.is_empty()) {
        let value: Value = serde_json::from_slice(&body).expect("the answer is JSON");
        assert_eq!(status == 200, value.get("__type").is_none(), "{value}");
    }
}

/// An operation and a CBOR body.
pub fn cbor_body(bytes: &[u8]) {
    let Some((operation, body)) = split(bytes) else {
        return;
    };
    let answer = answer(operation, Encoding::Cbor, body);
    if let Some((status, body)) = answer.filter(|(_, body)| !body.is_empty()) {
        let value: ciborium::Value = ciborium::from_reader(&*body).expect("the answer is CBOR");
        let members = value.as_map().expect("the answer is a map");
        let is_error = members
            .iter()
            .any(|(name, _)| name.as_text() == Some("__type"));
        assert_eq!(status == 200, !is_error, "{value:?}");
    }
}

/// A place where a token is given, and what the token is changed by: any change makes it none.
pub fn token(bytes: &[u8]) {
    let Some((place, change)) = bytes.split_first() else {
        return;
    };
    let Kept {
        service, tokens, ..
    } = kept();
    let (operation, member, token) = match place % 3 {
        0 => ("GetRecords", "ShardIterator", tokens.iterator),
        1 => ("ListShards", "NextToken", tokens.page),
        // It is of another operation.
        _ => ("ListStreams", "NextToken", tokens.page),
    };
    let mut changed = BASE64.decode(token.as_bytes()).expect("a token is base64");
    for (index, change) in change.iter().enumerate() {
        match changed.get_mut(index) {
            Some(byte) => *byte ^= change,
            None => changed.push(*change),
        }
    }
    let changed = BASE64.encode(&changed);
    let is_its_own = changed == token && operation != "ListStreams";
    let made_up = String::from_utf8_lossy(change).into_owned();
    for (text, is_good) in [(changed, is_its_own), (made_up, false)] {
        let (status, body) = call(&service, operation, Encoding::Json, json!({member: text}));
        assert_eq!(status == 200, is_good, "{operation} {text:?}: {body:?}");
    }
}

/// An operation, and the rest of an input.
fn split(bytes: &[u8]) -> Option<(&'static str, &[u8])> {
    let (first, body) = bytes.split_first()?;
    let operation = OPERATIONS[usize::from(*first) % OPERATIONS.len()];
    Some((operation, body))
}

/// Status and body of an answer in one piece.
fn answer(operation: &str, encoding: Encoding, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let target = format!("Kinesis_20131202.{operation}");
    let answer = kept().service.call(&target, encoding, body.to_vec());
    let status = answer.status().as_u16();
    assert!(matches!(status, 200 | 400 | 500), "{status}");
    match answer.into_body() {
        Body::Whole(body) => Some((status, body.to_vec())),
        _ => None,
    }
}

fn call(service: &Service, operation: &str, encoding: Encoding, request: Value) -> (u16, Value) {
    let target = format!("Kinesis_20131202.{operation}");
    let answer = service.call(&target, encoding, request.to_string().into_bytes());
    let status = answer.status().as_u16();
    let Body::Whole(body) = answer.into_body() else {
        panic!("{operation} answers in one piece");
    };
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// What is kept from input to input.
#[derive(Clone)]
struct Kept {
    inputs: u32,
    registry: Registry,
    service: Service,
    tokens: Tokens,
}

/// Tokens that are good as long as their service is.
#[derive(Clone)]
struct Tokens {
    iterator: String,
    page: String,
}

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// A service with a stream `a` of two shards and a record; a new one now and then, so that what inputs
/// create does not pile up.
fn kept() -> Kept {
    const INPUTS_OF_ONE: u32 = 500;
    KEPT.with_borrow_mut(|kept| {
        let fresh = kept.take().filter(|kept| kept.inputs < INPUTS_OF_ONE);
        let mut fresh = fresh.unwrap_or_else(Kept::new);
        fresh.inputs += 1;
        if fresh.registry.get("a").is_err() {
            // An input deleted it.
            fresh.create();
        }
        kept.insert(fresh).clone()
    })
}

impl Kept {
    fn new() -> Self {
        let registry = Registry::builder().clock(ManualClock::default()).build();
        let service = Service::builder(&registry).shard_limit(200).build();
        let mut new = Self {
            inputs: 0,
            registry,
            service,
            tokens: Tokens {
                iterator: String::new(),
                page: String::new(),
            },
        };
        new.create();
        new
    }

    fn create(&mut self) {
        self.ask("CreateStream", json!({"StreamName": "a", "ShardCount": 2}));
        self.ask(
            "PutRecord",
            json!({"StreamName": "a", "PartitionKey": "k", "Data": "YQ=="}),
        );
        let member = |answer: Value, member: &str| {
            let text = answer[member].as_str().expect("it is there");
            text.to_owned()
        };
        let ask = json!({"StreamName": "a", "ShardId": "0", "ShardIteratorType": "LATEST"});
        self.tokens.iterator = member(self.ask("GetShardIterator", ask), "ShardIterator");
        let ask = json!({"StreamName": "a", "MaxResults": 1});
        self.tokens.page = member(self.ask("ListShards", ask), "NextToken");
    }

    fn ask(&self, operation: &str, request: Value) -> Value {
        let (status, answer) = call(&self.service, operation, Encoding::Json, request);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }
}
