//! The data operations on the wire: texts, shapes and bounds that the other doors do not have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use brooklet::protocol::{Body, Encoding, Service};
use brooklet::{Clock, Limits, ManualClock, Registry, Stream, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

mod common;

/// A service on a clock that is turned by hand, with a stream of so many shards.
struct Account {
    clock: ManualClock,
    service: Service,
}

impl Account {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(
        build: impl FnOnce(brooklet::protocol::ServiceBuilder) -> brooklet::protocol::ServiceBuilder,
    ) -> Self {
        let clock = ManualClock::default();
        let registry = Registry::builder().clock(clock.clone()).build();
        let service = build(Service::builder(&registry)).build();
        Self { clock, service }
    }

    fn with_stream(shard_count: u32) -> Self {
        let account = Self::new();
        account.create("orders", shard_count);
        account
    }

    fn create(&self, stream: &str, shard_count: u32) {
        self.ok(
            "CreateStream",
            &json!({"StreamName": stream, "ShardCount": shard_count}),
        );
    }

    fn raw(&self, operation: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let target = format!("Kinesis_20131202.{operation}");
        let answer = self.service.call(&target, Encoding::Json, body.into());
        let status = answer.status().as_u16();
        let Body::Whole(body) = answer.into_body() else {
            panic!("{operation} answers in one piece");
        };
        let value = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).unwrap(),
        };
        (status, value)
    }

    fn ok(&self, operation: &str, request: &Value) -> Value {
        let (status, answer) = self.raw(operation, request.to_string());
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// The name and the text of the exception that a request ends with.
    fn refused(&self, operation: &str, request: &Value) -> (String, String) {
        let (status, answer) = self.raw(operation, request.to_string());
        assert_eq!(status, 400, "{operation}: {answer}");
        let message = answer.get("message").or(answer.get("Message"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&answer["__type"]),
            message.map(text).unwrap_or_default(),
        )
    }

    fn iterator(&self, shard: u32, kind: &str) -> String {
        let request = json!({
            "StreamName": "orders", "ShardId": shard.to_string(), "ShardIteratorType": kind,
        });
        let answer = self.ok("GetShardIterator", &request);
        answer["ShardIterator"].as_str().unwrap().to_owned()
    }
}

/// Digits that are no sequence number: it is too large.
const NO_NUMBER: &str = "999999999999999999999999999999999999999999999999999999999999";

#[track_caller]
fn assert_refused(refused: (String, String), name: &str, message: &str) {
    assert_eq!(refused, (name.to_owned(), message.to_owned()));
}

/// The violations of a text of many, as a set: the contract leaves their order open.
fn violations(text: &str) -> Vec<String> {
    let (_, list) = text.split_once(" detected: ").unwrap();
    let mut violations: Vec<_> = list.split("; ").map(str::to_owned).collect();
    violations.sort();
    violations
}

#[test]
fn all_violations_of_a_put_are_told_at_once() {
    let account = Account::new();
    let request = json!({
        "StreamName": "", "PartitionKey": "", "ExplicitHashKey": "", "Data": "",
        "SequenceNumberForOrdering": "",
    });
    let (name, text) = account.refused("PutRecord", &request);
    assert_eq!(name, "ValidationException");
    assert!(text.starts_with("5 validation errors detected: "), "{text}");
    let at = |member: &str, what: &str| {
        format!("Value '' at '{member}' failed to satisfy constraint: Member must {what}")
    };
    let mut expected = [
        at(
            "sequenceNumberForOrdering",
            "satisfy regular expression pattern: 0|([1-9]\\d{0,128})",
        ),
        at("partitionKey", "have length greater than or equal to 1"),
        at(
            "explicitHashKey",
            "satisfy regular expression pattern: 0|([1-9]\\d{0,38})",
        ),
        at(
            "streamName",
            "satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        at("streamName", "have length greater than or equal to 1"),
    ];
    expected.sort();
    assert_eq!(violations(&text), expected);
}

#[test]
fn what_is_missing_is_told() {
    let account = Account::new();
    let (_, text) = account.refused("PutRecord", &json!({}));
    let null = |member: &str| {
        format!("Value null at '{member}' failed to satisfy constraint: Member must not be null")
    };
    assert_eq!(
        violations(&text),
        ["data", "partitionKey", "streamName"].map(null)
    );
    let (_, text) = account.refused("GetRecords", &json!({"ShardIterator": null, "Limit": 0}));
    assert_eq!(
        violations(&text),
        [
            "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than \
             or equal to 1"
                .to_owned(),
            null("shardIterator"),
        ]
    );
    assert_refused(
        account.refused("DescribeStream", &json!({})),
        "InvalidArgumentException",
        "Either StreamName or StreamARN must be provided.",
    );
}

#[test]
fn no_more_than_ten_violations_are_told() {
    let account = Account::with_stream(1);
    let records: Vec<_> = (0..20)
        .map(|_| json!({"PartitionKey": "", "Data": ""}))
        .collect();
    let request = json!({"StreamName": "orders", "Records": records});
    let (_, text) = account.refused("PutRecords", &request);
    assert!(
        text.starts_with("10 validation errors detected: "),
        "{text}"
    );
    assert!(
        text.contains("at 'records.10.member.partitionKey'"),
        "{text}"
    );
    assert!(!text.contains("records.11.member"), "{text}");
}

#[test]
fn a_batch_has_1_to_500_records_and_10_mib() {
    let account = Account::with_stream(1);
    let records = |count: usize, record: &Value| json!({"StreamName": "orders", "Records": vec![record.clone(); count]});
    let small = json!({"PartitionKey": "a", "Data": ""});
    account.ok("PutRecords", &records(500, &small));
    let (name, text) = account.refused("PutRecords", &records(501, &small));
    assert_eq!(name, "ValidationException");
    assert!(
        text.starts_with("1 validation error detected: Value '[com.amazonaws.kinesis."),
        "{text:.90}"
    );
    assert!(
        text.ends_with("at 'records' failed to satisfy constraint: Member must have length less than or equal to 500"),
        "{}",
        &text[text.len() - 150..]
    );
    let (_, text) = account.refused("PutRecords", &records(0, &small));
    assert_eq!(
        text,
        "1 validation error detected: Value '[]' at 'records' failed to satisfy constraint: Member \
         must have length greater than or equal to 1"
    );
    // A mebibyte less a key, ten times.
    let data = data_encoding::BASE64.encode(&vec![7; 1024 * 1024 - 1]);
    let large = json!({"PartitionKey": "a", "Data": data});
    account.ok("PutRecords", &records(10, &large));
    let mut over = records(10, &large);
    over["Records"][0]["PartitionKey"] = "ab".into();
    assert_refused(
        account.refused("PutRecords", &over),
        "InvalidArgumentException",
        "Records size exceeds 10 MB limit",
    );
}

#[test]
fn data_that_is_too_large_is_told_as_a_buffer() {
    let account = Account::with_stream(1);
    let data = data_encoding::BASE64.encode(&vec![7; 1024 * 1024 + 1]);
    let expected = |path: &str| {
        format!(
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 \
             cap=1048577]' at '{path}' failed to satisfy constraint: Member must have length less \
             than or equal to 1048576"
        )
    };
    let put = json!({"StreamName": "orders", "PartitionKey": "a", "Data": data});
    let refused = account.refused("PutRecord", &put);
    assert_refused(refused, "ValidationException", &expected("data"));
    let puts = json!({
        "StreamName": "orders", "Records": [{"PartitionKey": "a", "Data": data}],
    });
    let refused = account.refused("PutRecords", &puts);
    assert_refused(
        refused,
        "ValidationException",
        &expected("records.1.member.data"),
    );
}

#[test]
fn a_member_of_another_type_is_told_in_the_words_of_java() {
    let account = Account::with_stream(1);
    let number =
        "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to";
    for (member, value, text) in [
        ("PartitionKey", json!(1), format!("{number} an String")),
        ("PartitionKey", json!(true), "class java.lang.Boolean can not be converted to an String".into()),
        ("PartitionKey", json!(["a"]), "Start of list found where not expected".into()),
        ("PartitionKey", json!({}), "Start of structure or map found where not expected.".into()),
        ("Data", json!(1), format!("{number} a Blob")),
        ("Data", json!("abc"), "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3".into()),
        ("Data", json!("=aaa"), "'=aaa' can not be converted to a Blob: Invalid Base64 character: '='".into()),
        ("Data", json!("+/+="), "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected".into()),
        ("Data", json!("a b="), "'a b=' can not be converted to a Blob: Invalid Base64 character: ' '".into()),
        ("DryRun", json!("hello"), "'HELLO' can not be converted to an Boolean".into()),
        ("DryRun", json!(3), format!("{number} an Boolean")),
    ] {
        let mut request = json!({"StreamName": "orders", "PartitionKey": "a", "Data": "YQ=="});
        request[member] = value;
        assert_refused(account.refused("PutRecord", &request), "SerializationException", &text);
    }
    for (records, text) in [
        (json!("x"), "Expected list or null"),
        (
            json!({}),
            "Start of structure or map found where not expected.",
        ),
        (json!(["x"]), "Expected null"),
        (json!([[]]), "Start of list found where not expected"),
    ] {
        let request = json!({"StreamName": "orders", "Records": records});
        assert_refused(
            account.refused("PutRecords", &request),
            "SerializationException",
            text,
        );
    }
}

#[test]
fn a_hash_key_beyond_the_last_is_refused() {
    let account = Account::with_stream(1);
    let over = "340282366920938463463374607431768211456";
    let put = json!({
        "StreamName": "orders", "PartitionKey": "a", "Data": "", "ExplicitHashKey": over,
    });
    let text = format!(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value \
         was {over}"
    );
    assert_refused(
        account.refused("PutRecord", &put),
        "InvalidArgumentException",
        &text,
    );
    let entry = json!({"PartitionKey": "a", "Data": "", "ExplicitHashKey": over});
    let puts =
        json!({"StreamName": "orders", "Records": [{"PartitionKey": "a", "Data": ""}, entry]});
    assert_refused(
        account.refused("PutRecords", &puts),
        "InvalidArgumentException",
        &text,
    );
    let batch = account.ok(
        "GetRecords",
        &json!({"ShardIterator": account.iterator(0, "TRIM_HORIZON")}),
    );
    assert_eq!(batch["Records"], json!([]), "one bad entry refuses all");
}

#[test]
fn an_ordering_number_is_of_the_past() {
    let account = Account::with_stream(1);
    let put = |number: &str| {
        json!({
            "StreamName": "orders", "PartitionKey": "a", "Data": "",
            "SequenceNumberForOrdering": number,
        })
    };
    let first = account.ok(
        "PutRecord",
        &json!({"StreamName": "orders", "PartitionKey": "a", "Data": ""}),
    );
    account.ok("PutRecord", &put(first["SequenceNumber"].as_str().unwrap()));
    // As a stream would give it that was created ten seconds later.
    let other = Account::new();
    other.clock.advance(Duration::from_secs(10));
    other.create("orders", 1);
    let later = other.ok(
        "PutRecord",
        &json!({"StreamName": "orders", "PartitionKey": "a", "Data": ""}),
    );
    let future = later["SequenceNumber"].as_str().unwrap().to_owned();
    for number in [NO_NUMBER, &future] {
        assert_refused(
            account.refused("PutRecord", &put(number)),
            "InvalidArgumentException",
            &format!(
                "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream orders under \
                 account 000000000000 is invalid."
            ),
        );
    }
}

#[test]
fn a_dry_run_does_nothing_and_says_so() {
    let account = Account::with_stream(1);
    let text = "Request would have succeeded, but DryRun flag is set.";
    let put = json!({"StreamName": "orders", "PartitionKey": "a", "Data": "", "DryRun": true});
    assert_refused(
        account.refused("PutRecord", &put),
        "DryRunOperationException",
        text,
    );
    let puts = json!({
        "StreamName": "orders", "Records": [{"PartitionKey": "a", "Data": ""}], "DryRun": true,
    });
    assert_refused(
        account.refused("PutRecords", &puts),
        "DryRunOperationException",
        text,
    );
    let iterator = json!({
        "StreamName": "orders", "ShardId": "0", "ShardIteratorType": "LATEST", "DryRun": true,
    });
    assert_refused(
        account.refused("GetShardIterator", &iterator),
        "DryRunOperationException",
        text,
    );
    let iterator = account.iterator(0, "TRIM_HORIZON");
    let get = json!({"ShardIterator": iterator, "DryRun": true});
    assert_refused(
        account.refused("GetRecords", &get),
        "DryRunOperationException",
        text,
    );
    let batch = account.ok("GetRecords", &json!({"ShardIterator": iterator}));
    assert_eq!(batch["Records"], json!([]));
    let mut wrong = put;
    wrong["StreamName"] = "nowhere".into();
    let (name, _) = account.refused("PutRecord", &wrong);
    assert_eq!(
        name, "ResourceNotFoundException",
        "what is wrong is told all the same"
    );
}

#[test]
fn throttled_records_are_told_one_by_one() {
    let account = Account::with(|builder| {
        builder.limits(Limits::kinesis().write_records_per_second(Some(2)))
    });
    account.create("orders", 1);
    let records = vec![json!({"PartitionKey": "a", "Data": ""}); 3];
    let answer = account.ok(
        "PutRecords",
        &json!({"StreamName": "orders", "Records": records}),
    );
    assert_eq!(answer["FailedRecordCount"], 1);
    assert_eq!(
        answer["Records"][2],
        json!({
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream orders under \
                             account 000000000000.",
        })
    );
    let (name, text) = account.refused(
        "PutRecord",
        &json!({"StreamName": "orders", "PartitionKey": "a", "Data": ""}),
    );
    assert_eq!(name, "ProvisionedThroughputExceededException");
    assert_eq!(text, answer["Records"][2]["ErrorMessage"]);
    account.clock.advance(Duration::from_secs(1));
    account.ok(
        "PutRecord",
        &json!({"StreamName": "orders", "PartitionKey": "a", "Data": ""}),
    );
}

#[test]
fn an_iterator_needs_the_number_that_its_type_needs() {
    let account = Account::with_stream(1);
    let ask = |kind: &str, number: Option<&str>| {
        json!({
            "StreamName": "orders", "ShardId": "0", "ShardIteratorType": kind,
            "StartingSequenceNumber": number,
        })
    };
    let text = |kind: &str, end: &str| {
        format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and \
             StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. \
             Request specified {kind} and {end}"
        )
    };
    for kind in ["TRIM_HORIZON", "LATEST"] {
        assert_refused(
            account.refused("GetShardIterator", &ask(kind, Some("5"))),
            "InvalidArgumentException",
            &text(kind, "also a StartingSequenceNumber."),
        );
    }
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        assert_refused(
            account.refused("GetShardIterator", &ask(kind, None)),
            "InvalidArgumentException",
            &text(kind, "no StartingSequenceNumber."),
        );
        assert_refused(
            account.refused("GetShardIterator", &ask(kind, Some(NO_NUMBER))),
            "InvalidArgumentException",
            &format!(
                "StartingSequenceNumber {NO_NUMBER} used in GetShardIterator on shard shardId-000000000000 in \
             stream orders under account 000000000000 is invalid."
            ),
        );
    }
    assert_refused(
        account.refused("GetShardIterator", &ask("AT_TIMESTAMP", None)),
        "InvalidArgumentException",
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request \
         has no timestamp parameter.",
    );
    let mut future = ask("AT_TIMESTAMP", None);
    future["Timestamp"] = json!(1_577_836_801.5);
    assert_refused(
        account.refused("GetShardIterator", &future),
        "InvalidArgumentException",
        "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
         timestampInMillis: 1577836801500, currentTimestampInMillis: 1577836800000",
    );
    let (_, text) = account.refused("GetShardIterator", &ask("NEWEST", None));
    assert_eq!(
        text,
        "1 validation error detected: Value 'NEWEST' at 'shardIteratorType' failed to satisfy \
         constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, \
         AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
    );
}

#[test]
fn numbers_of_elsewhere_are_told_apart() {
    let account = Account::with_stream(2);
    let ask = |number: &str| {
        json!({
            "StreamName": "orders", "ShardId": "0", "ShardIteratorType": "AT_SEQUENCE_NUMBER",
            "StartingSequenceNumber": number,
        })
    };
    // Created in another second than this stream; the contract, 1.6.
    let of_other_stream = "49646437577108476416916876405827138351405044305449975810";
    assert_refused(
        account.refused("GetShardIterator", &ask(of_other_stream)),
        "InvalidArgumentException",
        &format!(
            "StartingSequenceNumber {of_other_stream} used in GetShardIterator on shard \
             shardId-000000000000 in stream orders under account 000000000000 is invalid because it \
             did not come from this stream."
        ),
    );
    let of_shard_1 = "49646437577130777162115407028967465143858078037781250066";
    assert_refused(
        account.refused("GetShardIterator", &ask(of_shard_1)),
        "InvalidArgumentException",
        "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a \
         call to a shard with shardId-000000000000",
    );
    // Those of old, of the shard that was asked for and of others, and an index that the service
    // takes for a signed number.
    for number in ["0", "323974270430642978495705530411780079616"] {
        let (status, answer) = account.raw("GetShardIterator", ask(number).to_string());
        assert_eq!(
            (status, answer),
            (500, json!({"__type": "InternalFailure"}))
        );
    }
    for (number, shard) in [
        ("1", "000000000001"),
        ("16", "000000000016"),
        ("4294967295", "000000065535"),
        (
            "49039857307708443467467104868809893875799651944235008002",
            "-02147483648",
        ),
    ] {
        assert_refused(
            account.refused("GetShardIterator", &ask(number)),
            "InvalidArgumentException",
            &format!(
                "Invalid StartingSequenceNumber. It encodes shardId-{shard}, while it was used in a \
                 call to a shard with shardId-000000000000"
            ),
        );
    }
}

#[test]
fn an_old_number_without_a_time_may_be_what_a_record_is_put_after() {
    let account = Account::with_stream(1);
    let put = |number: &str| {
        json!({
            "StreamName": "orders", "PartitionKey": "a", "Data": "",
            "SequenceNumberForOrdering": number,
        })
    };
    account.ok("PutRecord", &put("4951760157141521099596496895"));
    // Its time of creation is one that none has.
    let too_late = "26227199374822427428162556223570313216";
    assert_refused(
        account.refused("PutRecord", &put(too_late)),
        "InvalidArgumentException",
        &format!(
            "ExclusiveMinimumSequenceNumber {too_late} used in PutRecord on stream orders under \
             account 000000000000 is invalid."
        ),
    );
}

#[test]
fn shards_are_missing_in_three_ways() {
    let account = Account::with_stream(1);
    let ask = |stream: &str, shard: &str| {
        let ask = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": "LATEST"});
        account.refused("GetShardIterator", &ask).1
    };
    let of = "under account 000000000000";
    assert_eq!(
        ask("orders", "x-y"),
        format!("Could not find shard x-y in stream orders {of}.")
    );
    assert_eq!(
        ask("orders", "7"),
        format!("Shard shardId-000000000007 in stream orders {of} does not exist")
    );
    assert_eq!(
        ask("nowhere", "7"),
        format!("Shard shardId-000000000007 in stream nowhere {of} does not exist")
    );
}

#[test]
fn an_iterator_is_good_for_five_minutes() {
    let account = Account::with_stream(1);
    let iterator = account.iterator(0, "TRIM_HORIZON");
    let get = json!({"ShardIterator": iterator});
    account.clock.advance(Duration::from_secs(300));
    let next = account.ok("GetRecords", &get)["NextShardIterator"].clone();
    account.clock.advance(Duration::from_millis(1));
    assert_refused(
        account.refused("GetRecords", &get),
        "ExpiredIteratorException",
        "Iterator expired. The iterator was created at time Wed Jan 01 00:00:00 UTC 2020 while right \
         now it is Wed Jan 01 00:05:00 UTC 2020 which is further in the future than the tolerated \
         delay of 300000 milliseconds.",
    );
    account.clock.advance(Duration::from_secs(299));
    account.ok("GetRecords", &json!({"ShardIterator": next}));
}

#[test]
fn an_iterator_may_be_quoted_and_nothing_else() {
    let account = Account::with_stream(1);
    let iterator = account.iterator(0, "TRIM_HORIZON");
    let bytes = data_encoding::BASE64.decode(iterator.as_bytes()).unwrap();
    assert_eq!(
        (bytes.len(), &bytes[..8]),
        (152, &[0, 0, 0, 0, 0, 0, 0, 1][..])
    );
    let get = |iterator: &str| json!({"ShardIterator": iterator});
    account.ok("GetRecords", &get(&format!("\"{iterator}\"")));
    for wrong in [
        format!("\"\"{iterator}\"\""),
        format!(" {iterator}"),
        iterator.replace('A', "B"),
        iterator[..iterator.len() - 4].to_owned(),
        "AAAA".to_owned(),
    ] {
        assert_refused(
            account.refused("GetRecords", &get(&wrong)),
            "InvalidArgumentException",
            "Invalid ShardIterator.",
        );
    }
    // Of another account; and one of the future, after the clock was set back.
    let other = Account::with_stream(1).iterator(0, "TRIM_HORIZON");
    assert_eq!(
        account.refused("GetRecords", &get(&other)).1,
        "Invalid ShardIterator."
    );
    account
        .clock
        .set(brooklet::Timestamp::from_millis(1_577_836_799_000));
    assert_eq!(
        account.refused("GetRecords", &get(&iterator)).1,
        "Invalid ShardIterator."
    );
}

#[test]
fn no_two_iterators_are_the_same() {
    let account = Account::with_stream(1);
    let mut seen = std::collections::BTreeSet::new();
    let mut iterator = account.iterator(0, "LATEST");
    assert!(seen.insert(account.iterator(0, "LATEST")));
    for _ in 0..5 {
        assert!(seen.insert(iterator.clone()));
        let next = account.ok("GetRecords", &json!({"ShardIterator": iterator}));
        iterator = next["NextShardIterator"].as_str().unwrap().to_owned();
    }
}

#[test]
fn what_is_not_known_is_not_looked_at() {
    let account = Account::with_stream(1);
    let put = json!({
        "StreamName": "orders", "PartitionKey": "a", "Data": "YQ==", "StreamId": "x", "Ünknown": [{}],
        "ExplicitHashKey": null,
    });
    let answer = account.ok("PutRecord", &put);
    assert!(answer.get("EncryptionType").is_none());
    let batch = account.ok(
        "GetRecords",
        &json!({"ShardIterator": account.iterator(0, "TRIM_HORIZON")}),
    );
    let mut members: Vec<_> = batch["Records"][0].as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        [
            "ApproximateArrivalTimestamp",
            "Data",
            "PartitionKey",
            "SequenceNumber"
        ]
    );
}

#[test]
fn a_list_of_shards_is_continued_by_its_token_alone() {
    let account = Account::with_stream(5);
    let first = account.ok(
        "ListShards",
        &json!({"StreamName": "orders", "MaxResults": 2}),
    );
    let token = first["NextToken"].clone();
    for (member, value) in [
        ("StreamName", json!("orders")),
        ("ExclusiveStartShardId", json!("shardId-000000000000")),
        ("ShardFilter", json!({"Type": "AT_LATEST"})),
        ("StreamCreationTimestamp", json!(1)),
    ] {
        let mut request = json!({"NextToken": token});
        request[member] = value;
        assert_refused(
            account.refused("ListShards", &request),
            "InvalidArgumentException",
            &format!("NextToken and {member} cannot be provided together."),
        );
    }
    assert_refused(
        account.refused("ListShards", &json!({})),
        "InvalidArgumentException",
        "Either NextToken or StreamName should be provided.",
    );
    account.clock.advance(Duration::from_secs(300));
    account.ok("ListShards", &json!({"NextToken": token}));
    account.clock.advance(Duration::from_millis(1));
    let (name, _) = account.refused("ListShards", &json!({"NextToken": token}));
    assert_eq!(name, "ExpiredNextTokenException");
    let (name, _) = account.refused("ListShards", &json!({"NextToken": "AAAA"}));
    assert_eq!(name, "InvalidArgumentException");
    let iterator = account.iterator(0, "LATEST");
    let (name, _) = account.refused("ListShards", &json!({"NextToken": iterator}));
    assert_eq!(
        name, "InvalidArgumentException",
        "a token of another kind is none"
    );
}

#[test]
fn a_body_that_is_no_request_is_told_without_a_text() {
    let account = Account::with_stream(1);
    for (body, name) in [
        ("", "SerializationException"),
        ("{", "SerializationException"),
        ("1", "SerializationException"),
        ("\"x\"", "SerializationException"),
        ("null", "SerializationException"),
    ] {
        let (status, answer) = account.raw("PutRecord", body);
        assert_eq!((status, answer), (400, json!({"__type": name})), "{body}");
    }
    let (status, answer) = account.raw("PutRecordz", "{}");
    assert_eq!(
        (status, answer),
        (400, json!({"__type": "UnknownOperationException"}))
    );
    let (_, text) = account.refused("PutRecord", &json!([]));
    assert!(
        text.starts_with("3 validation errors"),
        "a list is a structure without members"
    );
}

/// Faults are made in the engine, so that code behind this door meets them, too.
#[cfg(feature = "testing")]
#[test]
fn faults_of_a_registry_are_seen_on_the_wire() {
    let faults = brooklet::testing::FaultPlan::new();
    let registry = Registry::builder().faults(&faults).build();
    let account = Account {
        clock: ManualClock::default(),
        service: Service::new(&registry),
    };
    account.create("orders", 1);
    faults.on_put().nth(1).throttle();
    faults.on_put().nth(2).drop_answer();
    let put = json!({"StreamName": "orders", "PartitionKey": "a", "Data": "YQ=="});
    let name =
        |(status, answer): (u16, Value)| (status, answer["__type"].as_str().map(str::to_owned));
    let first = name(account.raw("PutRecord", put.to_string()));
    assert_eq!(
        first,
        (
            400,
            Some("ProvisionedThroughputExceededException".to_owned())
        )
    );
    let second = name(account.raw("PutRecord", put.to_string()));
    assert_eq!(second, (500, Some("InternalFailure".to_owned())));
    account.ok("PutRecord", &put);
    let get = json!({"ShardIterator": account.iterator(0, "TRIM_HORIZON")});
    let records = account.ok("GetRecords", &get)["Records"].clone();
    assert_eq!(
        records.as_array().map(Vec::len),
        Some(2),
        "what was lost was the answer"
    );
    faults.assert_all_injected();
}

/// What is sent must not come back many times as large, nor take long.
#[test]
fn very_many_small_things_are_refused_in_little() {
    let account = Account::with_stream(1);
    let few = vec![json!({}); 20_000];
    let (_, text) = account.refused(
        "PutRecords",
        &json!({"StreamName": "orders", "Records": few}),
    );
    assert!(text.len() < 200_000, "{}", text.len());
    let very_many = format!(
        r#"{{"StreamName":"orders","Records":[{}]}}"#,
        vec!["{}"; 1_000_000].join(",")
    );
    let (status, answer) = account.raw("PutRecords", very_many);
    assert_eq!(
        (status, answer),
        (400, json!({"__type": "SerializationException"}))
    );
    let tags: Vec<_> = (0..40_000).map(|key| format!(r#""{key}":"x""#)).collect();
    let tags = format!(r#"{{"StreamName":"orders","Tags":{{{}}}}}"#, tags.join(","));
    let (status, answer) = account.raw("AddTagsToStream", tags);
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("ValidationException"))
    );
    let digits = "9".repeat(20_000);
    let put =
        json!({"StreamName": "orders", "PartitionKey": "a", "Data": "", "ExplicitHashKey": digits});
    assert_eq!(account.refused("PutRecord", &put).0, "ValidationException");
}

/// A stream of the Rust face may let puts wait for room. The service never waits: a server would keep
/// everybody waiting for one client.
#[test]
fn a_put_that_would_wait_for_room_is_throttled_at_once() {
    let registry = Registry::builder().clock(ManualClock::default()).build();
    let builder = brooklet::Stream::builder("orders").capacity_records(1);
    let waits = brooklet::OnFull::Wait(Duration::from_secs(3600));
    registry.create(builder.on_full(waits)).unwrap();
    let account = Account {
        clock: ManualClock::default(),
        service: Service::new(&registry),
    };
    let put = json!({"StreamName": "orders", "PartitionKey": "a", "Data": "YQ=="});
    account.ok("PutRecord", &put);
    let (name, _) = account.refused("PutRecord", &put);
    assert_eq!(name, "ProvisionedThroughputExceededException");
    let records = vec![json!({"PartitionKey": "a", "Data": "YQ=="}); 2];
    let answer = account.ok(
        "PutRecords",
        &json!({"StreamName": "orders", "Records": records}),
    );
    assert_eq!(answer["FailedRecordCount"], 2);
}

/// The shard that a put goes to.
fn shard_of_put(account: &Account, hash_key: u128) -> String {
    let put = json!({
        "StreamName": "orders", "PartitionKey": "a", "ExplicitHashKey": hash_key.to_string(),
        "Data": "YQ==",
    });
    let answer = account.ok("PutRecord", &put);
    answer["ShardId"].as_str().unwrap().to_owned()
}

/// The shards that the records of a batch go to.
fn shards_of_batch(account: &Account, hash_keys: &[u128]) -> Vec<String> {
    let records = hash_keys.iter().map(|hash_key| {
        json!({"PartitionKey": "a", "ExplicitHashKey": hash_key.to_string(), "Data": "YQ=="})
    });
    let records: Vec<_> = records.collect();
    let request = json!({"StreamName": "orders", "Records": records});
    let answer = account.ok("PutRecords", &request);
    assert_eq!(answer["FailedRecordCount"], 0, "{answer}");
    let records = answer["Records"].as_array().unwrap();
    let shard = |record: &Value| record["ShardId"].as_str().unwrap().to_owned();
    records.iter().map(shard).collect()
}

#[test]
fn a_put_goes_to_the_right_shard_after_ever_so_many_reshards() {
    let account = Account::with_stream(1);
    let id = |index: u128| format!("shardId-{index:012}");
    // The last shard is split again and again: more often than tables are kept that were seen.
    let mut from = 0;
    assert_eq!(shard_of_put(&account, 0), id(0));
    for split in 0..20 {
        let last = id(2 * split);
        from += (u128::MAX - from) / 2;
        let request = json!({
            "StreamName": "orders", "ShardToSplit": last, "NewStartingHashKey": from.to_string(),
        });
        account.ok("SplitShard", &request);
        let children = [id(2 * split + 1), id(2 * split + 2)];
        let hash_keys = [from - 1, from];
        assert_eq!(shards_of_batch(&account, &hash_keys), children);
        assert_eq!(hash_keys.map(|key| shard_of_put(&account, key)), children);
        // A shard of its beginning is there still.
        assert_eq!(shard_of_put(&account, 0), id(1));
    }
}

#[test]
fn a_stream_of_the_same_name_has_puts_of_its_own() {
    let account = Account::with_stream(2);
    let last = u128::MAX;
    let orders = json!({"StreamName": "orders"});
    let key = json!({"StreamName": "orders", "EncryptionType": "KMS", "KeyId": "k"});
    let put = json!({"StreamName": "orders", "PartitionKey": "a", "Data": "YQ=="});
    assert_eq!(shard_of_put(&account, last), "shardId-000000000001");
    account.ok("StartStreamEncryption", &key);
    assert_eq!(account.ok("PutRecord", &put)["EncryptionType"], "KMS");
    account.ok("DeleteStream", &orders);
    account.refused("PutRecord", &put);
    account.create("orders", 3);
    assert_eq!(shard_of_put(&account, last), "shardId-000000000002");
    assert_eq!(
        account.ok("PutRecord", &put).get("EncryptionType"),
        None,
        "nobody has said that of this one"
    );
}

#[test]
fn a_put_after_encryption_was_started_or_stopped_says_so() {
    let account = Account::with_stream(1);
    let record = json!({"PartitionKey": "a", "Data": "YQ=="});
    let mut put = record.clone();
    put["StreamName"] = json!("orders");
    let put_many = json!({"StreamName": "orders", "Records": [record]});
    let key = json!({"StreamName": "orders", "EncryptionType": "KMS", "KeyId": "k"});
    let encryption = || {
        [("PutRecord", &put), ("PutRecords", &put_many)].map(|(operation, request)| {
            let answer = account.ok(operation, request);
            answer.get("EncryptionType").cloned()
        })
    };
    assert_eq!(encryption(), [None, None]);
    for _ in 0..2 {
        account.ok("StartStreamEncryption", &key);
        assert_eq!(encryption(), [Some(json!("KMS")), Some(json!("KMS"))]);
        account.clock.advance(Duration::from_millis(1));
        account.ok("StopStreamEncryption", &key);
        assert_eq!(encryption(), [None, None]);
    }
}

#[test]
fn a_put_after_the_distribution_was_changed_goes_by_it() {
    let account = Account::new();
    let request = json!({
        "StreamName": "orders", "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
    });
    account.ok("CreateStream", &request);
    let shards = || {
        let put = |_| shard_of_put(&account, 0);
        let mut one_by_one: Vec<_> = (0..4).map(put).collect();
        one_by_one.sort();
        one_by_one.dedup();
        let mut of_batch = shards_of_batch(&account, &[0; 4]);
        of_batch.sort();
        of_batch.dedup();
        [one_by_one.len(), of_batch.len()]
    };
    assert_eq!(shards(), [1, 1], "by their keys");
    let described = account.ok("DescribeStreamSummary", &json!({"StreamName": "orders"}));
    let arn = &described["StreamDescriptionSummary"]["StreamARN"];
    for _ in 0..2 {
        for (strategy, expected) in [("AUTO", 4), ("USER_PARTITION_KEY", 1)] {
            let request = json!({"StreamARN": arn, "RecordDistributionStrategy": strategy});
            account.ok("UpdateStreamRecordDistributionStrategy", &request);
            assert_eq!(shards(), [expected; 2], "{strategy}");
        }
    }
}

/// A clock that stands still and counts who looks at it.
#[derive(Clone, Debug, Default)]
struct Watched(Arc<AtomicUsize>);

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_millis(1_700_000_000_000)
    }
}

impl Watched {
    /// How often it is looked at meanwhile.
    fn looks<R>(&self, during: impl FnOnce() -> R) -> usize {
        let before = self.0.load(Ordering::Relaxed);
        during();
        self.0.load(Ordering::Relaxed) - before
    }
}

#[test]
fn a_usual_put_looks_at_the_clock_once_also_over_the_wire() {
    let clock = Watched::default();
    let registry = Registry::builder().clock(clock.clone()).build();
    let stream = registry.create(Stream::builder("orders")).unwrap();
    let producer = stream.producer();
    let service = Service::new(&registry);
    let record = r#"{"PartitionKey":"a","Data":"YQ=="}"#;
    let one = format!(r#"{{"StreamName":"orders",{}"#, &record[1..]);
    let many = format!(r#"{{"StreamName":"orders","Records":[{record},{record}]}}"#);
    let over_the_wire = |operation: &str, body: &str| {
        let target = format!("Kinesis_20131202.{operation}");
        let body = body.to_owned().into_bytes();
        let looks = || assert_eq!(service.call(&target, Encoding::Json, body).status(), 200);
        clock.looks(looks)
    };
    // The first is not only copied: a chunk has to be opened for it.
    for _ in 0..2 {
        let put = clock.looks(|| producer.put_record("a", "a").unwrap());
        assert_eq!((put, over_the_wire("PutRecord", &one)), (1, 1));
    }
    let put = clock.looks(|| producer.put_records([("a", "a"); 2]).unwrap());
    assert_eq!((put, over_the_wire("PutRecords", &many)), (1, 1));
    // What is not copied, and what has to be checked against limits.
    let large = bytes::Bytes::from(vec![7; 1024]);
    let put = clock.looks(|| producer.put_record("a", large).unwrap());
    let limited = Stream::builder("limited").limits(brooklet::Limits::kinesis());
    let limited = registry.create(limited).unwrap().producer();
    let checked = clock.looks(|| limited.put_record("a", "a").unwrap());
    assert_eq!((put, checked), (1, 1));
}

/// What the service keeps with a stream to put through does not keep the stream.
#[test]
fn a_stream_that_was_put_into_over_the_wire_ends_with_its_registry() {
    let clock = Watched::default();
    let watched: Weak<_> = Arc::downgrade(&clock.0);
    let registry = Registry::builder().clock(clock).build();
    let account = Account {
        clock: ManualClock::default(),
        service: Service::new(&registry),
    };
    account.create("orders", 1);
    assert_eq!(shard_of_put(&account, 0), "shardId-000000000000");
    let request = json!({
        "StreamName": "orders", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "5",
    });
    account.ok("SplitShard", &request);
    assert_eq!(shard_of_put(&account, 0), "shardId-000000000001");
    drop((account, registry));
    assert_eq!(watched.strong_count(), 0, "its clock is gone");
}

#[test]
fn of_a_tag_that_is_given_twice_the_last_counts() {
    let account = Account::with_stream(1);
    let body = r#"{"StreamName":"orders","Tags":{"a":"first","b":"only","a":"last"}}"#;
    assert_eq!(account.raw("AddTagsToStream", body).0, 200);
    let tags = account.ok("ListTagsForStream", &json!({"StreamName": "orders"}));
    let expected = json!([{"Key": "a", "Value": "last"}, {"Key": "b", "Value": "only"}]);
    assert_eq!(tags["Tags"], expected);
}

proptest! {
    #![proptest_config(common::cases(256))]

    /// Bodies as they should be are read in one way, all others in another: both say the same.
    #[test]
    fn the_short_way_and_the_long_way_agree(
        records in prop::collection::vec(
            (
                prop_oneof![Just(None), "[a-z]{0,3}".prop_map(Some), "ü{256,257}".prop_map(Some)],
                prop_oneof![Just(None), "[0-9]{1,2}".prop_map(Some), Just(Some("340282366920938463463374607431768211456".to_owned()))],
                prop_oneof![Just("YQ==".to_owned()), "[A-Za-z0-9+/]{4}", "[a-z=]{0,5}"],
            ),
            0..4,
        ),
        dry_run in prop_oneof![Just(None), Just(Some(false)), Just(Some(true))],
    ) {
        let entries: Vec<_> = records
            .iter()
            .map(|(key, hash_key, data)| {
                json!({"PartitionKey": key, "ExplicitHashKey": hash_key, "Data": data})
            })
            .collect();
        let mut request = json!({"StreamName": "orders", "Records": entries});
        if let Some(dry_run) = dry_run {
            request["DryRun"] = dry_run.into();
        }
        let short = request.to_string();
        // A name that is said twice takes the long way; the last one counts.
        let long = short.replacen('{', "{\"StreamName\":\"other\",", 1);
        let answer = |body: String| {
            let account = Account::with_stream(3);
            let answer = account.raw("PutRecords", body);
            let read = |shard| {
                let get = json!({"ShardIterator": account.iterator(shard, "TRIM_HORIZON")});
                account.ok("GetRecords", &get)["Records"].clone()
            };
            (answer, [read(0), read(1), read(2)])
        };
        prop_assert_eq!(answer(short), answer(long));
    }

    /// Nothing that can be sent is answered by a panic, or by anything but an answer.
    #[test]
    fn no_body_does_harm(
        operation in prop::sample::select(vec![
            "PutRecord", "PutRecords", "GetRecords", "GetShardIterator", "ListShards", "CreateStream",
            "DescribeStream", "SplitShard", "UpdateShardCount",
        ]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\",:0-9a-zA-Z.eE+-]{0,60}".prop_map(String::into_bytes),
            "\\{\"(StreamName|Records|Data|ShardIterator|Limit|Timestamp)\":[\\[{]{0,3}(null|-?[0-9]{1,25}(\\.[0-9]{1,3})?(e[0-9]{1,3})?|\"[a-z]{0,4}\")[\\]}]{0,4}".prop_map(String::into_bytes),
        ],
        is_cbor in any::<bool>(),
    ) {
        let account = Account::with_stream(1);
        let encoding = if is_cbor { Encoding::Cbor } else { Encoding::Json };
        let target = format!("Kinesis_20131202.{operation}");
        let answer = account.service.call(&target, encoding, body);
        prop_assert!(matches!(answer.status().as_u16(), 200 | 400));
    }
}
