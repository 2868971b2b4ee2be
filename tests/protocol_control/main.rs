//! The operations of the protocol that set and describe what is said of streams, consumers, channels
//! and the account: the contract's sections 2.3 to 2.11, one promise a test.

#[path = "../common/mod.rs"]
mod common;

mod account;
mod channels;
mod consumers;
mod encryption;
mod monitoring;
mod policies;
mod resharding;
mod settings;
mod tags;

use serde_json::{Value, json};

use common::secs;
use common::wire::{Wire, arn, in_state, not_found};

/// The operations that take a stream by its name or its ARN, with what else they need.
fn by_name_or_arn() -> Vec<(&'static str, Value)> {
    let key = json!({"EncryptionType": "KMS", "KeyId": "alias/orders"});
    vec![
        (
            "UpdateStreamWarmThroughput",
            json!({"WarmThroughputMiBps": 1}),
        ),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"RetentionPeriodHours": 48}),
        ),
        (
            "DecreaseStreamRetentionPeriod",
            json!({"RetentionPeriodHours": 24}),
        ),
        (
            "EnableEnhancedMonitoring",
            json!({"ShardLevelMetrics": ["ALL"]}),
        ),
        (
            "DisableEnhancedMonitoring",
            json!({"ShardLevelMetrics": ["ALL"]}),
        ),
        ("StartStreamEncryption", key.clone()),
        ("StopStreamEncryption", key),
        ("AddTagsToStream", json!({"Tags": {"a": "1"}})),
        ("RemoveTagsFromStream", json!({"TagKeys": ["a"]})),
        ("ListTagsForStream", json!({})),
    ]
}

/// The operations that take a stream by its ARN only.
fn by_arn() -> Vec<(&'static str, Value)> {
    let mode = json!({"StreamMode": "ON_DEMAND"});
    vec![
        ("UpdateStreamMode", json!({"StreamModeDetails": mode})),
        ("UpdateMaxRecordSize", json!({"MaxRecordSizeInKiB": 2048})),
        (
            "UpdateStreamRecordDistributionStrategy",
            json!({"RecordDistributionStrategy": "USER_PARTITION_KEY"}),
        ),
        ("RegisterStreamConsumer", json!({"ConsumerName": "audit"})),
        ("ListStreamConsumers", json!({})),
    ]
}

/// The operations that take a stream as a resource.
fn by_resource() -> Vec<(&'static str, Value)> {
    vec![
        ("TagResource", json!({"Tags": {"a": "1"}})),
        ("UntagResource", json!({"TagKeys": ["a"]})),
        ("ListTagsForResource", json!({})),
        ("PutResourcePolicy", json!({"Policy": "{}"})),
        ("GetResourcePolicy", json!({})),
        ("DeleteResourcePolicy", json!({})),
    ]
}

/// A body with one more member.
fn with(body: &Value, member: &str, value: impl Into<Value>) -> Value {
    let mut body = body.clone();
    body[member] = value.into();
    body
}

/// All of these operations, each with the stream said by every member that it takes.
fn of_stream(name: &str) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    for (operation, body) in by_name_or_arn() {
        all.push((operation, with(&body, "StreamName", name)));
        all.push((operation, with(&body, "StreamARN", arn(name))));
    }
    for (operation, body) in by_arn() {
        all.push((operation, with(&body, "StreamARN", arn(name))));
    }
    for (operation, body) in by_resource() {
        all.push((operation, with(&body, "ResourceARN", arn(name))));
    }
    all
}

/// Those that only look, and so work in any state.
const LOOKS: [&str; 3] = [
    "ListTagsForStream",
    "ListTagsForResource",
    "GetResourcePolicy",
];

#[test]
fn every_operation_of_the_rust_sdk_is_known_and_those_of_queues_are_not() {
    // But for SubscribeToShard, which has tests of its own.
    const KNOWN: [&str; 45] = [
        "SubscribeToShard",
        "CreateStream",
        "DeleteStream",
        "DescribeStream",
        "DescribeStreamSummary",
        "ListStreams",
        "ListShards",
        "SplitShard",
        "MergeShards",
        "UpdateShardCount",
        "UpdateStreamMode",
        "UpdateStreamWarmThroughput",
        "UpdateMaxRecordSize",
        "UpdateStreamRecordDistributionStrategy",
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
        "EnableEnhancedMonitoring",
        "DisableEnhancedMonitoring",
        "StartStreamEncryption",
        "StopStreamEncryption",
        "PutRecord",
        "PutRecords",
        "GetShardIterator",
        "GetRecords",
        "RegisterStreamConsumer",
        "DeregisterStreamConsumer",
        "DescribeStreamConsumer",
        "ListStreamConsumers",
        "AddTagsToStream",
        "RemoveTagsFromStream",
        "ListTagsForStream",
        "TagResource",
        "UntagResource",
        "ListTagsForResource",
        "PutResourcePolicy",
        "GetResourcePolicy",
        "DeleteResourcePolicy",
        "DescribeLimits",
        "DescribeAccountSettings",
        "UpdateAccountSettings",
        "CreateChannel",
        "DescribeChannel",
        "ListChannels",
        "UpdateChannel",
        "DeleteChannel",
    ];
    const UNKNOWN: [&str; 14] = [
        "CreateQueue",
        "DescribeQueue",
        "ListQueues",
        "UpdateQueue",
        "DeleteQueue",
        "ReceiveQueueRecords",
        "AcknowledgeQueueRecords",
        "UpdateQueueRecordsVisibility",
        "ReceiveDeadLetterQueueRecords",
        "AcknowledgeDeadLetterQueueRecords",
        "UpdateDeadLetterQueueRecordsVisibility",
        "RestoreDeadLetterQueueRecords",
        "describeLimits",
        "",
    ];
    let wire = Wire::new();
    for operation in KNOWN {
        let answer = wire.call(operation, &json!({}));
        assert_ne!(
            answer.body["__type"], "UnknownOperationException",
            "{operation}"
        );
    }
    for operation in UNKNOWN {
        let answer = wire.call(operation, &json!({}));
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.body,
            json!({"__type": "UnknownOperationException"}),
            "{operation}"
        );
    }
}

#[test]
fn no_operation_finds_a_stream_that_is_not_there() {
    let wire = Wire::new();
    wire.create("others");
    for (operation, body) in of_stream("orders") {
        wire.refuses(
            operation,
            &body,
            "ResourceNotFoundException",
            &not_found("orders"),
        );
    }
}

#[test]
fn no_operation_finds_a_stream_of_another_account_or_region() {
    let wire = Wire::new();
    wire.create("orders");
    for other in [
        "arn:aws:kinesis:us-east-1:111111111111:stream/orders",
        "arn:aws:kinesis:eu-west-1:000000000000:stream/orders",
    ] {
        for (operation, body) in by_name_or_arn().into_iter().chain(by_arn()) {
            let body = with(&body, "StreamARN", other);
            wire.refuses(
                operation,
                &body,
                "ResourceNotFoundException",
                &not_found("orders"),
            );
        }
        for (operation, body) in by_resource() {
            let body = with(&body, "ResourceARN", other);
            wire.refuses(
                operation,
                &body,
                "ResourceNotFoundException",
                &not_found("orders"),
            );
        }
    }
}

#[test]
fn a_stream_must_be_said_once_or_twice_the_same() {
    let wire = Wire::new();
    wire.create("orders");
    wire.create("others");
    for (operation, body) in by_name_or_arn() {
        wire.refuses_as(operation, &body, "InvalidArgumentException");
        let both = with(&body, "StreamName", "orders");
        let different = with(&both, "StreamARN", arn("others"));
        wire.refuses_as(operation, &different, "InvalidArgumentException");
    }
    let both = json!({"StreamName": "orders", "StreamARN": arn("orders")});
    assert_eq!(
        wire.ok("ListTagsForStream", &both),
        json!({"Tags": [], "HasMoreTags": false})
    );
    // The model does not require it, and nothing else says which stream.
    let size = json!({"MaxRecordSizeInKiB": 2048});
    wire.refuses_as("UpdateMaxRecordSize", &size, "InvalidArgumentException");
}

#[test]
fn a_stream_that_is_being_created_or_deleted_can_be_looked_at_and_not_changed() {
    let wire = Wire::with_delay(secs(10));
    wire.create_on_demand("orders");
    for state in ["CREATING", "DELETING"] {
        assert_eq!(wire.status("orders"), state);
        for (operation, body) in of_stream("orders") {
            if LOOKS.contains(&operation) {
                wire.ok(operation, &body);
            } else {
                let text = in_state("orders", state);
                wire.refuses(operation, &body, "ResourceInUseException", &text);
            }
        }
        wire.clock.advance(secs(10));
        wire.call("DeleteStream", &json!({"StreamName": "orders"}));
    }
    let gone = json!({"StreamName": "orders"});
    wire.refuses(
        "ListTagsForStream",
        &gone,
        "ResourceNotFoundException",
        &not_found("orders"),
    );
}

#[test]
fn a_put_into_a_stream_that_is_being_created_or_deleted_does_not_find_it_whatever_else_is_wrong() {
    let wire = Wire::with_delay(secs(10));
    wire.create_on_demand("orders");
    let named = |mut record: Value| {
        record["StreamName"] = json!("orders");
        record
    };
    for state in ["CREATING", "DELETING"] {
        assert_eq!(wire.status("orders"), state);
        for record in [
            json!({"Data": "", "PartitionKey": "k"}),
            json!({"Data": ""}),
        ] {
            for (operation, body) in [
                ("PutRecord", named(record.clone())),
                ("PutRecords", named(json!({"Records": [record]}))),
            ] {
                let text = not_found("orders");
                wire.refuses(operation, &body, "ResourceNotFoundException", &text);
            }
        }
        wire.clock.advance(secs(10));
        wire.call("DeleteStream", &json!({"StreamName": "orders"}));
    }
}

#[test]
fn a_stream_that_is_being_updated_refuses_another_update_and_nothing_else() {
    const UPDATES: [&str; 7] = [
        "UpdateStreamMode",
        "UpdateStreamWarmThroughput",
        "UpdateMaxRecordSize",
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
        "StartStreamEncryption",
        "StopStreamEncryption",
    ];
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    let half = "170141183460469231731687303715884105728";
    let split = json!({
        "StreamName": "orders", "ShardToSplit": "0", "NewStartingHashKey": half,
    });
    wire.done("SplitShard", &split);
    assert_eq!(wire.status("orders"), "UPDATING");
    for (operation, body) in of_stream("orders") {
        if UPDATES.contains(&operation) {
            let text = in_state("orders", "UPDATING");
            wire.refuses(operation, &body, "ResourceInUseException", &text);
        } else {
            wire.ok(operation, &body);
        }
        if operation == "RegisterStreamConsumer" {
            let audit = json!({"StreamARN": arn("orders"), "ConsumerName": "audit"});
            wire.done("DeregisterStreamConsumer", &audit);
        }
    }
}

#[test]
fn what_is_null_in_a_list_or_a_map_is_refused_and_nothing_is_done() {
    let wire = Wire::new();
    wire.create("orders");
    let null = |member: &str| format!("Value null at '{member}' : Member must not be null");
    let record = json!({"PartitionKey": "k", "Data": "eA=="});
    let orders = |member: &str, value: Value| {
        let mut body = json!({"StreamName": "orders"});
        body[member] = value;
        body
    };
    let key = "a".repeat(129);
    let keys = format!(
        "Value '[{key}, null]' at 'tagKeys' : Member must satisfy constraint: [Member must have \
         length less than or equal to 128, Member must have length greater than or equal to 1]"
    );
    for (operation, body, violations) in [
        (
            "PutRecords",
            orders("Records", json!([null, record])),
            vec![null("records.1.member")],
        ),
        (
            "PutRecords",
            orders("Records", json!([record, null, {"Data": "eA=="}, null])),
            vec![
                null("records.2.member"),
                null("records.3.member.partitionKey"),
                null("records.4.member"),
            ],
        ),
        (
            "PutRecords",
            orders("Records", Value::from(vec![Value::Null; 20])),
            (1..=10)
                .map(|n| null(&format!("records.{n}.member")))
                .collect(),
        ),
        (
            "EnableEnhancedMonitoring",
            orders("ShardLevelMetrics", json!(["ALL", null])),
            vec![null("shardLevelMetrics.2.member")],
        ),
        (
            "RemoveTagsFromStream",
            orders("TagKeys", json!([key, null])),
            vec![null("tagKeys.2.member"), keys],
        ),
        (
            "AddTagsToStream",
            orders("Tags", json!({"a": "1", "b": null})),
            vec![null("tags.b.member")],
        ),
    ] {
        let violations: Vec<_> = violations.iter().map(String::as_str).collect();
        wire.violates(operation, &body, &violations);
        let answer = wire.call_cbor(operation, &body);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, wire.call(operation, &body).body);
    }
    assert_eq!(
        wire.registry.get("orders").unwrap().metrics().records_in(),
        0
    );
    let tags = wire.ok("ListTagsForStream", &json!({"StreamName": "orders"}));
    assert_eq!(tags["Tags"], json!([]));
    // A member that is null is not there.
    let known = orders(
        "Records",
        json!([{"PartitionKey": "k", "Data": "eA==", "ExplicitHashKey": null}]),
    );
    wire.ok("PutRecords", &known);
}

#[test]
fn what_is_missing_is_told_all_at_once() {
    let wire = Wire::new();
    let null = |member: &str| format!("Value null at '{member}' : Member must not be null");
    for (operation, members) in [
        ("UpdateStreamMode", &["streamARN", "streamModeDetails"][..]),
        (
            "UpdateStreamWarmThroughput",
            &["streamName", "warmThroughputMiBps"],
        ),
        ("UpdateMaxRecordSize", &["streamARN", "maxRecordSizeInKiB"]),
        (
            "UpdateStreamRecordDistributionStrategy",
            &["streamARN", "recordDistributionStrategy"],
        ),
        (
            "IncreaseStreamRetentionPeriod",
            &["retentionPeriodHours", "streamName"],
        ),
        (
            "DecreaseStreamRetentionPeriod",
            &["retentionPeriodHours", "streamName"],
        ),
        (
            "EnableEnhancedMonitoring",
            &["streamName", "shardLevelMetrics"],
        ),
        (
            "DisableEnhancedMonitoring",
            &["streamName", "shardLevelMetrics"],
        ),
        (
            "StartStreamEncryption",
            &["streamName", "encryptionType", "keyId"],
        ),
        (
            "StopStreamEncryption",
            &["streamName", "encryptionType", "keyId"],
        ),
        ("RegisterStreamConsumer", &["streamARN", "consumerName"]),
        ("ListStreamConsumers", &["streamARN"]),
        ("AddTagsToStream", &["tags", "streamName"]),
        ("RemoveTagsFromStream", &["tagKeys", "streamName"]),
        ("TagResource", &["tags", "resourceARN"]),
        ("UntagResource", &["tagKeys", "resourceARN"]),
        ("ListTagsForResource", &["resourceARN"]),
        ("PutResourcePolicy", &["resourceARN", "policy"]),
        ("GetResourcePolicy", &["resourceARN"]),
        ("DeleteResourcePolicy", &["resourceARN"]),
        (
            "UpdateAccountSettings",
            &["minimumThroughputBillingCommitment"],
        ),
        (
            "CreateChannel",
            &[
                "channelName",
                "serviceExecutionRoleARN",
                "streamConfigurationList",
            ],
        ),
        ("DescribeChannel", &["channelARN"]),
        ("UpdateChannel", &["channelARN"]),
        ("DeleteChannel", &["channelARN"]),
    ] {
        let violations: Vec<_> = members.iter().map(|member| null(member)).collect();
        let violations: Vec<_> = violations.iter().map(String::as_str).collect();
        wire.violates(operation, &json!({}), &violations);
        // What is null is missing.
        let mut nulls = json!({});
        for member in members {
            let (first, rest) = member.split_at(1);
            nulls[first.to_uppercase() + rest] = Value::Null;
        }
        wire.violates(operation, &nulls, &violations);
    }
}

#[test]
fn members_that_are_unknown_or_reserved_are_ignored() {
    for (operation, body) in of_stream("orders") {
        let answer = |body: &Value| {
            let wire = Wire::new();
            wire.create("orders");
            wire.call(operation, body)
        };
        let reserved = with(&body, "StreamId", "abcdefghij0123456789-abc");
        let unknown = with(&reserved, "Unheard", json!({"of": ["x", null]}));
        assert_eq!(answer(&unknown), answer(&body), "{operation}");
    }
}

#[test]
fn members_of_the_wrong_type_are_told_in_the_words_of_the_service() {
    let wire = Wire::new();
    for (operation, body, text) in [
        (
            "EnableEnhancedMonitoring",
            json!({"ShardLevelMetrics": "ALL"}),
            "Expected list or null",
        ),
        (
            "AddTagsToStream",
            json!({"Tags": ["a"]}),
            "Start of list found where not expected",
        ),
        (
            "AddTagsToStream",
            json!({"Tags": "a"}),
            "Expected map or null",
        ),
        (
            "AddTagsToStream",
            json!({"Tags": {"a": true}}),
            "class java.lang.Boolean can not be converted to an String",
        ),
        (
            "IncreaseStreamRetentionPeriod",
            json!({"RetentionPeriodHours": "48"}),
            "class java.lang.String can not be converted to an Integer",
        ),
        (
            "ListStreamConsumers",
            json!({"StreamCreationTimestamp": "now"}),
            "class java.lang.String can not be converted to milliseconds since epoch",
        ),
        (
            "UpdateAccountSettings",
            json!({"MinimumThroughputBillingCommitment": "ENABLED"}),
            "Expected null",
        ),
        (
            "CreateChannel",
            json!({"LoggingConfiguration": {"CloudWatchLogs": {"Enabled": 1}}}),
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to \
             an Boolean",
        ),
        (
            "StartStreamEncryption",
            json!({"KeyId": {"a": "b"}}),
            "Start of structure or map found where not expected.",
        ),
    ] {
        let answer = wire.call(operation, &body);
        let expected = json!({"__type": "SerializationException", "Message": text});
        assert_eq!(
            (answer.status, answer.body),
            (400, expected),
            "{operation} {body}"
        );
    }
}

#[test]
fn a_stream_that_is_created_again_inherits_nothing() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let of = json!({"StreamName": "orders"});
    let of_arn = json!({"ResourceARN": arn("orders")});
    let key = json!({"StreamName": "orders", "EncryptionType": "KMS", "KeyId": "k"});
    let audit = json!({"StreamARN": arn("orders"), "ConsumerName": "audit"});
    wire.done("AddTagsToStream", &with(&of, "Tags", json!({"a": "1"})));
    wire.done(
        "PutResourcePolicy",
        &with(&of_arn, "Policy", r#"{"Version":"2012-10-17"}"#),
    );
    wire.ok(
        "EnableEnhancedMonitoring",
        &with(&of, "ShardLevelMetrics", json!(["ALL"])),
    );
    wire.done("StartStreamEncryption", &key);
    wire.done(
        "IncreaseStreamRetentionPeriod",
        &with(&of, "RetentionPeriodHours", 48),
    );
    wire.done(
        "UpdateStreamRecordDistributionStrategy",
        &json!({"StreamARN": arn("orders"), "RecordDistributionStrategy": "AUTO"}),
    );
    wire.done(
        "UpdateMaxRecordSize",
        &json!({"StreamARN": arn("orders"), "MaxRecordSizeInKiB": 10_240}),
    );
    let first = wire.ok("RegisterStreamConsumer", &audit);
    wire.done("DeleteStream", &with(&of, "EnforceConsumerDeletion", true));
    wire.create_on_demand("orders");

    let again = wire.summary("orders");
    wire.create_on_demand("fresh");
    let mut fresh = wire.summary("fresh");
    fresh["StreamName"] = json!("orders");
    fresh["StreamARN"] = json!(arn("orders"));
    assert_eq!(again, fresh);
    assert_eq!(wire.ok("ListTagsForStream", &of)["Tags"], json!([]));
    assert_eq!(wire.ok("GetResourcePolicy", &of_arn)["Policy"], "{}");
    let listed = json!({"StreamARN": arn("orders")});
    assert_eq!(
        wire.ok("ListStreamConsumers", &listed),
        json!({"Consumers": []})
    );
    // A consumer of the same name in the same second is another.
    let second = wire.ok("RegisterStreamConsumer", &audit);
    assert_ne!(
        first["Consumer"]["ConsumerARN"],
        second["Consumer"]["ConsumerARN"]
    );
}
