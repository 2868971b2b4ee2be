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

/// What a token is changed by: any change makes it none, in whichever place it is given.
pub fn token(bytes: &[u8]) {
    let service = service();
    let (iterator, page) = tokens(&service);
    for (operation, member, token) in [
        ("GetRecords", "ShardIterator", &iterator),
        ("ListShards", "NextToken", &page),
        ("ListStreams", "NextToken", &page),
    ] {
        let mut changed = BASE64.decode(token.as_bytes()).expect("a token is base64");
        for (index, change) in bytes.iter().enumerate() {
            match changed.get_mut(index) {
                Some(byte) => *byte ^= change,
                None => changed.push(*change),
            }
        }
        let is_same = BASE64.encode(&changed) == *token;
        let made_up = [
            BASE64.encode(&changed),
            String::from_utf8_lossy(bytes).into_owned(),
        ];
        for (index, text) in made_up.iter().enumerate() {
            let (status, body) = call(&service, operation, Encoding::Json, json!({member: text}));
            let is_its_own = index == 0 && is_same && operation != "ListStreams";
            assert_eq!(status == 200, is_its_own, "{operation} {text:?}: {body:?}");
        }
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
    let answer = service().call(&target, encoding, body.to_vec());
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

/// An iterator and a page of a list, both good now.
fn tokens(service: &Service) -> (String, String) {
    let get = |operation, request: Value, member: &str| {
        let (_, answer) = call(service, operation, Encoding::Json, request);
        answer[member].as_str().expect("it is there").to_owned()
    };
    let ask = json!({"StreamName": "a", "ShardId": "0", "ShardIteratorType": "LATEST"});
    let iterator = get("GetShardIterator", ask, "ShardIterator");
    let page = get(
        "ListShards",
        json!({"StreamName": "a", "MaxResults": 1}),
        "NextToken",
    );
    (iterator, page)
}

thread_local! {
    static SERVICE: RefCell<Option<(u32, Service)>> = const { RefCell::new(None) };
}

/// A service with a stream `a` of two shards and a record; a new one now and then, so that what inputs
/// create does not pile up.
fn service() -> Service {
    const INPUTS_OF_ONE: u32 = 500;
    SERVICE.with_borrow_mut(|kept| {
        let fresh = kept.take().filter(|(used, _)| *used < INPUTS_OF_ONE);
        let (used, service) = fresh.unwrap_or_else(|| (0, new_service()));
        *kept = Some((used + 1, service.clone()));
        // Whatever an input deleted.
        call(
            &service,
            "CreateStream",
            Encoding::Json,
            json!({"StreamName": "a", "ShardCount": 2}),
        );
        service
    })
}

fn new_service() -> Service {
    let registry = Registry::builder().clock(ManualClock::default()).build();
    let service = Service::builder(&registry).shard_limit(200).build();
    call(
        &service,
        "CreateStream",
        Encoding::Json,
        json!({"StreamName": "a", "ShardCount": 2}),
    );
    let put = json!({"StreamName": "a", "PartitionKey": "k", "Data": "YQ=="});
    call(&service, "PutRecord", Encoding::Json, put);
    service
}
