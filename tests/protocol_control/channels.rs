//! Channels, as far as their state goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::wire::{Wire, arn, in_state};
use crate::common::{START_MS, secs};

const ROLE: &str = "arn:aws:iam::000000000000:role/delivery";
const BUCKET: &str = "arn:aws:s3:::bucket";
const SCHEMA: &str = "arn:aws:glue:us-east-1:000000000000:schema/registry/orders";

/// A channel to a bucket.
fn to_bucket(name: &str) -> Value {
    json!({
        "ChannelName": name,
        "ServiceExecutionRoleARN": ROLE,
        "StreamConfigurationList": [{
            "StreamARN": arn("orders"), "RecordConfiguration": {"RecordFormatType": "JSON"},
        }],
        "S3DestinationConfiguration": {"StorageConfiguration": {
            "BucketARN": BUCKET, "ExpectedBucketOwner": "000000000000", "CompressionType": "GZIP",
        }},
    })
}

/// A channel to a table.
fn to_table(name: &str) -> Value {
    let mut channel = to_bucket(name);
    channel["S3DestinationConfiguration"] = Value::Null;
    channel["StreamConfigurationList"][0]["RecordConfiguration"] =
        json!({"RecordFormatType": "GSR_JSON", "GSRSchemaARN": SCHEMA});
    channel["S3TablesDestinationConfiguration"] = json!({
        "DeadLetterQueueS3Configuration": {
            "BucketARN": BUCKET, "ExpectedBucketOwner": "000000000000",
        },
        "S3TablesConfigurationList": [{
            "TableBucketARN": "arn:aws:s3tables:us-east-1:000000000000:bucket/tables",
            "Namespace": "sales",
            "TableName": "orders",
            "CompressionType": "ZSTD",
            "PartitionSpec": {"PartitionFields": [
                {"Transform": "TIME_HOUR", "SourceName": "created_at"},
            ]},
        }],
    });
    channel
}

fn create(wire: &Wire, asked: &Value) -> Value {
    wire.ok("CreateChannel", asked)["ChannelDescription"].take()
}

fn of(channel: &Value) -> Value {
    json!({"ChannelARN": channel["ChannelARN"]})
}

fn describe(wire: &Wire, channel: &Value) -> Value {
    wire.ok("DescribeChannel", &of(channel))["ChannelDescription"].take()
}

/// The names of the listed channels, and the next token.
fn list(wire: &Wire, asked: &Value) -> (Vec<String>, Option<Value>) {
    let listed = wire.ok("ListChannels", asked);
    let summaries = listed["ChannelSummaries"].as_array().unwrap().iter();
    let names = summaries.map(|summary| summary["ChannelName"].as_str().unwrap().to_owned());
    (names.collect(), listed.get("NextToken").cloned())
}

#[test]
fn a_channel_to_a_bucket_is_described_with_all_members_and_defaults() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let created = create(&wire, &to_bucket("archive"));
    let id = created["ChannelId"].as_str().unwrap();
    let channel_arn = format!("arn:aws:kinesis:us-east-1:000000000000:channel/{id}");
    let mut expected = json!({
        "ChannelName": "archive",
        "ChannelARN": channel_arn,
        "ChannelId": id,
        "ChannelStatus": "CREATING",
        "ChannelCreationTimestamp": START_MS / 1000,
        "ServiceExecutionRoleARN": ROLE,
        "StreamConfigurationList": [{
            "StreamARN": arn("orders"),
            "StreamCreationTimestamp": START_MS / 1000,
            "RecordConfiguration": {"RecordFormatType": "JSON"},
        }],
        "S3DestinationConfiguration": {
            "DataFreshnessInSeconds": 300,
            "DeadLetterQueueS3Configuration": {
                "BucketARN": BUCKET,
                "ExpectedBucketOwner": "000000000000",
                "ErrorOutputPrefix": "errors/",
            },
            "StorageConfiguration": {
                "BucketARN": BUCKET,
                "ExpectedBucketOwner": "000000000000",
                "CompressionType": "GZIP",
                "StorageClass": "STANDARD",
            },
        },
        "LoggingConfiguration": {"CloudWatchLogs": {
            "Enabled": false,
            "LogGroupName": format!("/aws/kinesis/archive/{id}"),
            "LogStreamName": "DestinationDelivery",
        }},
    });
    assert_eq!(created, expected, "it begins so, however soon it is over");
    expected["ChannelStatus"] = json!("ACTIVE");
    assert_eq!(describe(&wire, &created), expected);
    let summary = json!({
        "ChannelName": "archive",
        "ChannelARN": channel_arn,
        "ChannelId": id,
        "ChannelStatus": "ACTIVE",
        "ChannelCreationTimestamp": START_MS / 1000,
        "ChannelDestinationType": "S3",
        "Streams": [{"StreamARN": arn("orders"), "StreamCreationTimestamp": START_MS / 1000}],
    });
    assert_eq!(
        wire.ok("ListChannels", &json!({})),
        json!({"ChannelSummaries": [summary]})
    );
    let cbor = wire.call_cbor("DescribeChannel", &of(&created)).body;
    let time = &cbor["ChannelDescription"]["ChannelCreationTimestamp"];
    assert_eq!(*time, json!({"millis": START_MS}));
}

#[test]
fn what_is_said_of_a_channel_is_given_back() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let mut asked = to_bucket("archive");
    let letters = json!({
        "BucketARN": "arn:aws:s3:::letters",
        "ExpectedBucketOwner": "111111111111",
        "ErrorOutputPrefix": "bad/",
    });
    let storage = json!({
        "BucketARN": BUCKET,
        "ExpectedBucketOwner": "000000000000",
        "CompressionType": "ZSTD",
        "OutputKeyTemplate": "orders/{yyyy}=x:y",
        "StorageClass": "GLACIER_IR",
    });
    let bucket = json!({
        "DataFreshnessInSeconds": 900,
        "DeadLetterQueueS3Configuration": letters,
        "StorageConfiguration": storage,
    });
    let encryption = json!({"EncryptionType": "KMS", "KeyId": "alias/mine"});
    let logging = json!({"CloudWatchLogs": {
        "Enabled": true, "LogGroupName": "/my/group", "LogStreamName": "mine",
    }});
    asked["S3DestinationConfiguration"] = bucket.clone();
    asked["EncryptionConfiguration"] = encryption.clone();
    asked["LoggingConfiguration"] = logging.clone();
    asked["Tags"] = json!({"team": "sales"});
    let described = describe(&wire, &create(&wire, &asked));
    assert_eq!(described["S3DestinationConfiguration"], bucket);
    assert_eq!(described["EncryptionConfiguration"], encryption);
    assert_eq!(described["LoggingConfiguration"], logging);

    let table = to_table("table");
    let described = describe(&wire, &create(&wire, &table));
    let mut destination = table["S3TablesDestinationConfiguration"].clone();
    destination["DataFreshnessInSeconds"] = json!(300);
    assert_eq!(described["S3TablesDestinationConfiguration"], destination);
    assert_eq!(described.get("S3DestinationConfiguration"), None);
    let record = &described["StreamConfigurationList"][0]["RecordConfiguration"];
    assert_eq!(
        *record,
        table["StreamConfigurationList"][0]["RecordConfiguration"]
    );
    let listed = wire.ok("ListChannels", &json!({}));
    assert_eq!(
        listed["ChannelSummaries"][1]["ChannelDestinationType"],
        "S3_TABLES"
    );
}

#[test]
fn a_channel_has_the_tags_that_it_was_created_with() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let mut asked = to_bucket("archive");
    asked["Tags"] = json!({"team": "sales"});
    let channel = create(&wire, &asked);
    let resource = json!({"ResourceARN": channel["ChannelARN"]});
    let tags = json!({"Tags": [{"Key": "team", "Value": "sales"}]});
    assert_eq!(wire.ok("ListTagsForResource", &resource), tags);
    for (operation, member, value) in [
        ("TagResource", "Tags", json!({"a": ""})),
        ("UntagResource", "TagKeys", json!(["team"])),
        ("PutResourcePolicy", "Policy", json!("{}")),
        ("DeleteResourcePolicy", "Policy", json!("{}")),
    ] {
        let mut body = resource.clone();
        body[member] = value;
        wire.refuses_as(operation, &body, "InvalidArgumentException");
    }
    assert_eq!(wire.ok("ListTagsForResource", &resource), tags);
    asked["ChannelName"] = json!("other");
    asked["Tags"] = json!({"a;": ""});
    wire.refuses_as("CreateChannel", &asked, "InvalidArgumentException");
}

#[test]
fn a_channel_goes_through_its_states_in_the_time_that_changes_take() {
    let wire = Wire::with_delay(secs(10));
    wire.create_on_demand("orders");
    let text = in_state("orders", "CREATING");
    wire.refuses(
        "CreateChannel",
        &to_bucket("archive"),
        "ResourceInUseException",
        &text,
    );
    wire.clock.advance(secs(10));
    let channel = create(&wire, &to_bucket("archive"));
    let status = || describe(&wire, &channel)["ChannelStatus"].clone();
    let mut update = of(&channel);
    update["S3DestinationConfiguration"] = json!({"DataFreshnessInSeconds": 600});
    let in_use = |state: &str| {
        let text = format!(
            "Channel archive under account 000000000000 not ACTIVE, instead in state {state}"
        );
        wire.refuses("UpdateChannel", &update, "ResourceInUseException", &text);
    };
    wire.clock.advance(secs(9));
    assert_eq!(status(), "CREATING");
    in_use("CREATING");
    wire.clock.advance(secs(1));
    assert_eq!(status(), "ACTIVE");
    let updated = wire.ok("UpdateChannel", &update)["ChannelDescription"].take();
    assert_eq!(updated["ChannelStatus"], "UPDATING");
    assert_eq!(status(), "UPDATING");
    in_use("UPDATING");
    wire.clock.advance(secs(10));
    assert_eq!(status(), "ACTIVE");
    wire.done("DeleteChannel", &of(&channel));
    assert_eq!(status(), "DELETING");
    in_use("DELETING");
    let listed = wire.ok("ListChannels", &json!({}));
    assert_eq!(listed["ChannelSummaries"][0]["ChannelStatus"], "DELETING");
    // Its name is not free yet, and deleting it again takes no longer.
    wire.refuses_as(
        "CreateChannel",
        &to_bucket("archive"),
        "ResourceInUseException",
    );
    wire.clock.advance(secs(9));
    wire.done("DeleteChannel", &of(&channel));
    wire.clock.advance(secs(1));
    for operation in ["DescribeChannel", "UpdateChannel", "DeleteChannel"] {
        let id = channel["ChannelId"].as_str().unwrap();
        let text = format!("Channel {id} under account 000000000000 not found.");
        wire.refuses(operation, &update, "ResourceNotFoundException", &text);
    }
    assert_eq!(list(&wire, &json!({})), (vec![], None));
    let again = create(&wire, &to_bucket("archive"));
    assert_ne!(again["ChannelARN"], channel["ChannelARN"]);
}

#[test]
fn freshness_and_logging_of_a_channel_change_and_nothing_else() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let channel = create(&wire, &to_bucket("archive"));
    let mut expected = describe(&wire, &channel);
    let update = |member: &str, value: Value| {
        let mut update = of(&channel);
        update[member] = value;
        update
    };
    let logs = |logs: Value| update("LoggingConfiguration", json!({"CloudWatchLogs": logs}));
    let bucket = |secs: i64| {
        update(
            "S3DestinationConfiguration",
            json!({"DataFreshnessInSeconds": secs}),
        )
    };

    let answer = wire.ok("UpdateChannel", &bucket(900))["ChannelDescription"].take();
    expected["S3DestinationConfiguration"]["DataFreshnessInSeconds"] = json!(900);
    assert_eq!(describe(&wire, &channel), expected);
    let mut updating = expected.clone();
    updating["ChannelStatus"] = json!("UPDATING");
    assert_eq!(answer, updating, "it begins so, however soon it is over");

    wire.ok(
        "UpdateChannel",
        &logs(json!({"Enabled": true, "LogStreamName": "mine"})),
    );
    let kept = &mut expected["LoggingConfiguration"]["CloudWatchLogs"];
    kept["Enabled"] = json!(true);
    kept["LogStreamName"] = json!("mine");
    assert_eq!(
        describe(&wire, &channel),
        expected,
        "the group is as it was"
    );
    wire.ok("UpdateChannel", &logs(json!({"Enabled": false})));
    expected["LoggingConfiguration"]["CloudWatchLogs"]["Enabled"] = json!(false);
    assert_eq!(describe(&wire, &channel), expected);

    let tables = json!({"DataFreshnessInSeconds": 300});
    for bad in [
        of(&channel),
        bucket(299),
        bucket(901),
        update("S3TablesDestinationConfiguration", tables),
    ] {
        wire.refuses_as("UpdateChannel", &bad, "ValidationException");
    }
    wire.violates("UpdateChannel", &update("S3DestinationConfiguration", json!({})), &[
        "Value null at 's3DestinationConfiguration.dataFreshnessInSeconds' : Member must not be null",
    ]);
    wire.violates(
        "UpdateChannel",
        &logs(json!({})),
        &["Value null at 'loggingConfiguration.cloudWatchLogs.enabled' : Member must not be null"],
    );
    assert_eq!(describe(&wire, &channel), expected);
}

#[test]
fn a_channel_has_one_stream_and_one_destination_that_fits_its_records() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let record = |mut channel: Value, record: Value| {
        channel["StreamConfigurationList"][0]["RecordConfiguration"] = record;
        channel
    };
    let format = |channel: Value, format: &str| {
        record(
            channel,
            json!({"RecordFormatType": format, "GSRSchemaARN": SCHEMA}),
        )
    };
    let mut both = to_table("c");
    both["S3DestinationConfiguration"] = to_bucket("c")["S3DestinationConfiguration"].clone();
    let mut none = to_bucket("c");
    none["S3DestinationConfiguration"] = Value::Null;
    let mut streams = to_bucket("c");
    let stream = streams["StreamConfigurationList"][0].clone();
    streams["StreamConfigurationList"] = json!([stream, stream]);
    let mut tables = to_table("c");
    let of_table = &mut tables["S3TablesDestinationConfiguration"]["S3TablesConfigurationList"];
    *of_table = json!([of_table[0], of_table[0]]);
    let mut early = to_bucket("c");
    early["S3DestinationConfiguration"]["DataFreshnessInSeconds"] = json!(299);
    let mut late = to_table("c");
    late["S3TablesDestinationConfiguration"]["DataFreshnessInSeconds"] = json!(901);
    for bad in [
        both,
        none,
        streams,
        tables,
        early,
        late,
        format(to_bucket("c"), "GSR_JSON"),
        format(to_table("c"), "STRING"),
        format(to_table("c"), "BYTE_ARRAY"),
        record(to_table("c"), json!({"RecordFormatType": "JSON"})),
    ] {
        wire.refuses_as("CreateChannel", &bad, "ValidationException");
    }
    for key in [
        "alias/aws/kinesis",
        "arn:aws:kms:us-east-1:000000000000:alias/aws/kinesis",
    ] {
        let mut service_key = to_bucket("c");
        service_key["EncryptionConfiguration"] = json!({"EncryptionType": "KMS", "KeyId": key});
        wire.refuses_as("CreateChannel", &service_key, "InvalidArgumentException");
    }
    assert_eq!(list(&wire, &json!({})), (vec![], None), "none was created");
    for (name, good) in [
        ("a", format(to_bucket("a"), "JSON")),
        ("b", format(to_bucket("b"), "STRING")),
        (
            "d",
            record(to_bucket("d"), json!({"RecordFormatType": "BYTE_ARRAY"})),
        ),
        ("e", format(to_table("e"), "JSON")),
    ] {
        assert_eq!(create(&wire, &good)["ChannelName"], name);
    }
}

#[test]
fn members_of_channels_keep_their_patterns_and_bounds() {
    let wire = Wire::new();
    let s3 = "/S3DestinationConfiguration/StorageConfiguration";
    let letters = "/S3TablesDestinationConfiguration/DeadLetterQueueS3Configuration";
    let table = "/S3TablesDestinationConfiguration/S3TablesConfigurationList/0";
    let pattern =
        |pattern: &str| format!("Member must satisfy regular expression pattern: {pattern}");
    let one_of = |words: &str| format!("Member must satisfy enum value set: [{words}]");
    let most = |max: u32| format!("Member must have length less than or equal to {max}");
    let bucket_arn = pattern(r"arn:aws[-a-z0-9]*:s3:::[a-z0-9._-]{3,63}");
    for (channel, pointer, member, wrong, constraint) in [
        (
            to_bucket("c"),
            "",
            "ChannelName",
            "a b",
            pattern("[a-zA-Z0-9_.-]+"),
        ),
        (
            to_bucket("c"),
            "",
            "ServiceExecutionRoleARN",
            "role",
            pattern(r"arn:aws[-a-z0-9]*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+"),
        ),
        (
            to_bucket("c"),
            "/StreamConfigurationList/0",
            "StreamARN",
            "orders",
            pattern(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+"),
        ),
        (
            to_bucket("c"),
            "/StreamConfigurationList/0/RecordConfiguration",
            "RecordFormatType",
            "XML",
            one_of("GSR_JSON, JSON, STRING, BYTE_ARRAY"),
        ),
        (
            to_bucket("c"),
            "/StreamConfigurationList/0/RecordConfiguration",
            "GSRSchemaARN",
            "schema",
            pattern(
                r"arn:aws[-a-z0-9]*:glue:[-a-z0-9]+:\d{12}:schema/[-a-zA-Z0-9_$#.]+/[-a-zA-Z0-9_$#.]+",
            ),
        ),
        (
            to_bucket("c"),
            s3,
            "BucketARN",
            "arn:aws:s3:::ab",
            bucket_arn.clone(),
        ),
        (
            to_bucket("c"),
            s3,
            "ExpectedBucketOwner",
            "abcdefghijkl",
            pattern(r"\d{12}"),
        ),
        (
            to_bucket("c"),
            s3,
            "CompressionType",
            "SNAPPY",
            one_of("NONE, GZIP, ZSTD"),
        ),
        (
            to_bucket("c"),
            s3,
            "StorageClass",
            "COLD",
            one_of("STANDARD, INTELLIGENT_TIERING, GLACIER_IR"),
        ),
        (
            to_bucket("c"),
            s3,
            "OutputKeyTemplate",
            "a b",
            pattern(r"[0-9A-Za-z!\-_'.*()\/=:{}]+"),
        ),
        (to_table("c"), letters, "BucketARN", "bucket", bucket_arn),
        (
            to_table("c"),
            letters,
            "ErrorOutputPrefix",
            "a=b",
            pattern(r"[0-9A-Za-z!\-_'.*()\/]+"),
        ),
        (
            to_table("c"),
            table,
            "TableBucketARN",
            "tables",
            pattern(r"arn:aws[-a-z0-9]*:s3tables:[-a-z0-9]+:\d{12}:bucket/[a-z0-9_-]{3,63}"),
        ),
        (
            to_table("c"),
            table,
            "Namespace",
            "Sales",
            pattern("[0-9a-z_]+"),
        ),
        (
            to_table("c"),
            table,
            "TableName",
            "or-ders",
            pattern("[0-9a-z_]+"),
        ),
        (
            to_table("c"),
            table,
            "CompressionType",
            "GZIP",
            one_of("NONE, ZSTD, SNAPPY"),
        ),
        (
            to_table("c"),
            &format!("{table}/PartitionSpec/PartitionFields/0"),
            "Transform",
            "DAY",
            one_of("TIME_HOUR"),
        ),
        (
            to_table("c"),
            &format!("{table}/PartitionSpec/PartitionFields/0"),
            "SourceName",
            "a-b",
            pattern(r"[a-zA-Z0-9\.\_]+"),
        ),
        (
            to_table("c"),
            table,
            "TableName",
            &"t".repeat(256),
            most(255),
        ),
        (
            to_bucket("c"),
            s3,
            "OutputKeyTemplate",
            &"t".repeat(1025),
            most(1024),
        ),
        (
            to_table("c"),
            letters,
            "ErrorOutputPrefix",
            &"t".repeat(513),
            most(512),
        ),
    ] {
        let mut channel = channel;
        channel.pointer_mut(pointer).unwrap()[member] = json!(wrong);
        let (name, text) = wire.refused("CreateChannel", &channel);
        assert_eq!(name, "ValidationException", "{member}: {text}");
        let told = format!("Value '{wrong}' at '");
        let violation = text.strip_prefix("1 validation error detected: ");
        let violation = violation.unwrap_or_else(|| panic!("{member} is the only one: {text}"));
        assert!(violation.starts_with(&told), "{text}");
        assert!(
            violation.ends_with(&format!("failed to satisfy constraint: {constraint}")),
            "{text}"
        );
        let (first, rest) = member.split_at(1);
        assert!(
            violation.contains(&format!("{}{rest}'", first.to_lowercase())),
            "{text}"
        );
    }
    let mut logs = to_bucket("c");
    for (member, wrong) in [("LogGroupName", "a b"), ("LogStreamName", "a:b")] {
        logs["LoggingConfiguration"] = json!({"CloudWatchLogs": {"Enabled": true, member: wrong}});
        let (name, text) = wire.refused("CreateChannel", &logs);
        assert_eq!(name, "ValidationException", "{text}");
    }
    let mut nothing = to_table("c");
    nothing["S3TablesDestinationConfiguration"] = json!({});
    let of = "s3TablesDestinationConfiguration";
    wire.violates(
        "CreateChannel",
        &nothing,
        &[
            &format!(
                "Value null at '{of}.deadLetterQueueS3Configuration' : Member must not be null"
            ),
            &format!("Value null at '{of}.s3TablesConfigurationList' : Member must not be null"),
        ],
    );
}

#[test]
fn a_channel_is_of_a_stream_on_demand_that_is_there() {
    let wire = Wire::new();
    let text = "Stream orders under account 000000000000 not found.";
    let archive = to_bucket("archive");
    wire.refuses("CreateChannel", &archive, "ResourceNotFoundException", text);
    wire.create("orders");
    wire.refuses_as("CreateChannel", &archive, "ValidationException");
    let mode =
        json!({"StreamARN": arn("orders"), "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    wire.done("UpdateStreamMode", &mode);
    let channel = create(&wire, &archive);
    let taken = "Channel archive under account 000000000000 already exists.";
    wire.refuses("CreateChannel", &archive, "ResourceInUseException", taken);
    assert_eq!(wire.summary("orders")["ChannelCount"], 1);
    assert_eq!(wire.ok("DescribeLimits", &json!({}))["ChannelCount"], 1);
    // As long as it is there, the stream stays, and stays on demand.
    let delete = json!({"StreamName": "orders", "EnforceConsumerDeletion": true});
    let provisioned = json!({
        "StreamARN": arn("orders"), "StreamModeDetails": {"StreamMode": "PROVISIONED"},
    });
    wire.refuses_as("DeleteStream", &delete, "ResourceInUseException");
    wire.refuses_as("UpdateStreamMode", &provisioned, "ResourceInUseException");
    wire.done("DeleteChannel", &of(&channel));
    assert_eq!(wire.summary("orders")["ChannelCount"], 0);
    wire.done("UpdateStreamMode", &provisioned);
    wire.done("DeleteStream", &delete);
}

#[test]
fn a_channel_fails_when_its_stream_is_taken_away_and_is_not_that_of_the_next() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let channel = create(&wire, &to_bucket("archive"));
    // The engine's own face does not ask.
    wire.registry.delete("orders").unwrap();
    for _ in 0..2 {
        let described = describe(&wire, &channel);
        assert_eq!(described["ChannelStatus"], "FAILED");
        assert_eq!(
            described["ChannelStatusReason"],
            "Stream orders was deleted."
        );
        wire.call("CreateStream", &json!({"StreamName": "orders"}));
    }
    assert_eq!(wire.summary("orders")["ChannelCount"], 0);
    let mut update = of(&channel);
    update["S3DestinationConfiguration"] = json!({"DataFreshnessInSeconds": 600});
    wire.refuses_as("UpdateChannel", &update, "ResourceInUseException");
    wire.done("DeleteStream", &json!({"StreamName": "orders"}));
    wire.done("DeleteChannel", &of(&channel));
    wire.refuses_as(
        "DescribeChannel",
        &of(&channel),
        "ResourceNotFoundException",
    );
}

#[test]
fn channels_are_listed_by_name_and_by_pages() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    assert_eq!(list(&wire, &json!({})), (vec![], None));
    let names: Vec<_> = (0..101)
        .map(|index| format!("channel-{index:03}"))
        .collect();
    for name in names.iter().rev() {
        create(&wire, &to_bucket(name));
    }
    for max in [json!(null), json!(100), json!(10_000)] {
        let (page, token) = list(&wire, &json!({"MaxResults": max}));
        assert_eq!(page, names[..100]);
        let next = json!({"NextToken": token.unwrap()});
        assert_eq!(list(&wire, &next), (names[100..].to_vec(), None));
    }
    let mut read = Vec::new();
    let mut asked = json!({"MaxResults": 40});
    let mut tokens = BTreeSet::new();
    while let (page, Some(token)) = list(&wire, &asked) {
        read.extend(page);
        assert!(
            tokens.insert(token.to_string()),
            "no two tokens are the same"
        );
        asked["NextToken"] = token;
    }
    read.extend(list(&wire, &asked).0);
    assert_eq!(read, names);
    wire.violates(
        "ListChannels",
        &json!({"MaxResults": 0}),
        &["Value '0' at 'maxResults' : Member must have value greater than or equal to 1"],
    );
    wire.violates(
        "ListChannels",
        &json!({"MaxResults": 10_001}),
        &["Value '10001' at 'maxResults' : Member must have value less than or equal to 10000"],
    );
}

#[test]
fn channels_are_listed_of_the_streams_that_a_filter_names() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    wire.create_on_demand("others");
    for name in ["a", "b"] {
        create(&wire, &to_bucket(name));
    }
    let mut other = to_bucket("c");
    other["StreamConfigurationList"][0]["StreamARN"] = json!(arn("others"));
    create(&wire, &other);
    let created = START_MS / 1000;
    let of = |name: &str| json!({"StreamARN": arn(name)});
    let at = |secs: u64| json!({"StreamARN": arn("orders"), "StreamCreationTimestamp": secs});
    for (filter, names) in [
        (json!([of("orders")]), &["a", "b"][..]),
        (json!([of("others")]), &["c"]),
        (json!([of("others"), of("orders")]), &["a", "b", "c"]),
        (json!([of("unknown")]), &[]),
        (json!([at(created)]), &["a", "b"]),
        (json!([at(created + 1)]), &[]),
        (json!([at(created + 1), of("others")]), &["c"]),
        (Value::Null, &["a", "b", "c"]),
    ] {
        let (listed, _) = list(&wire, &json!({"StreamFilter": filter}));
        assert_eq!(listed, names, "{filter}");
    }
    wire.violates(
        "ListChannels",
        &json!({"StreamFilter": []}),
        &["Value '[]' at 'streamFilter' : Member must have length greater than or equal to 1"],
    );
    let (name, text) = wire.refused("ListChannels", &json!({"StreamFilter": [{}]}));
    assert_eq!(name, "ValidationException");
    assert!(text.contains("'streamFilter.1.member.streamARN'"), "{text}");
}

#[test]
fn a_token_is_of_its_filter_and_its_300_seconds() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    for name in ["a", "b"] {
        create(&wire, &to_bucket(name));
    }
    let filter = json!([{"StreamARN": arn("orders")}, {"StreamARN": arn("others")}]);
    let same = json!([{"StreamARN": arn("others")}, {"StreamARN": arn("orders")}]);
    let (_, token) = list(&wire, &json!({"StreamFilter": filter, "MaxResults": 1}));
    let token = token.unwrap();
    let next = |filter: &Value, token: &Value| json!({"StreamFilter": filter, "NextToken": token});
    for good in [&filter, &same] {
        assert_eq!(list(&wire, &next(good, &token)).0, ["b"]);
    }
    let (_, unfiltered) = list(&wire, &json!({"MaxResults": 1}));
    for (filter, token) in [
        (json!([{"StreamARN": arn("orders")}]), &token),
        (Value::Null, &token),
        (filter.clone(), &unfiltered.unwrap()),
        (filter.clone(), &json!("bm8=")),
    ] {
        wire.refuses_as(
            "ListChannels",
            &next(&filter, token),
            "InvalidArgumentException",
        );
    }
    wire.clock.advance(secs(300));
    list(&wire, &next(&filter, &token));
    wire.clock.advance(secs(1));
    wire.refuses_as(
        "ListChannels",
        &next(&filter, &token),
        "ExpiredNextTokenException",
    );
}

#[test]
fn an_account_has_1000_channels_and_no_more() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let first = create(&wire, &to_bucket("channel-0"));
    for index in 1..1000 {
        create(&wire, &to_bucket(&format!("channel-{index}")));
    }
    wire.refuses_as(
        "CreateChannel",
        &to_bucket("one-more"),
        "LimitExceededException",
    );
    assert_eq!(wire.ok("DescribeLimits", &json!({}))["ChannelCount"], 1000);
    wire.done("DeleteChannel", &of(&first));
    create(&wire, &to_bucket("one-more"));
}

#[test]
fn a_channel_of_another_account_or_region_is_not_found() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let channel = create(&wire, &to_bucket("archive"));
    let channel_arn = channel["ChannelARN"].as_str().unwrap();
    for other in [
        channel_arn.replace("us-east-1", "eu-west-1"),
        channel_arn.replace("000000000000:channel", "111111111111:channel"),
        format!("{channel_arn}0"),
    ] {
        let body = json!({
            "ChannelARN": other, "LoggingConfiguration": {"CloudWatchLogs": {"Enabled": true}},
        });
        for operation in ["DescribeChannel", "UpdateChannel", "DeleteChannel"] {
            wire.refuses_as(operation, &body, "ResourceNotFoundException");
        }
    }
    wire.violates("DescribeChannel", &json!({"ChannelARN": "archive"}), &[
        r"Value 'archive' at 'channelARN' : Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:channel/\S+",
    ]);
}
