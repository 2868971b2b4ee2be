//! Mode, throughput, record size, distribution and retention of streams.

use brooklet::Limits;
use brooklet::protocol::Service;
use serde_json::{Value, json};

use crate::common::wire::{Wire, arn};
use crate::common::{read_all, secs, texts};

const DAY_SECS: u64 = 24 * 60 * 60;
const HOUR_SECS: u64 = 60 * 60;

fn mode(mode: &str) -> Value {
    json!({"StreamARN": arn("orders"), "StreamModeDetails": {"StreamMode": mode}})
}

fn warm(mibps: i64) -> Value {
    json!({"StreamName": "orders", "WarmThroughputMiBps": mibps})
}

fn strategy(strategy: &str) -> Value {
    json!({"StreamARN": arn("orders"), "RecordDistributionStrategy": strategy})
}

fn size(kib: i64) -> Value {
    json!({"StreamARN": arn("orders"), "MaxRecordSizeInKiB": kib})
}

fn hours(hours: i64) -> Value {
    json!({"StreamName": "orders", "RetentionPeriodHours": hours})
}

fn commit(wire: &Wire) {
    let enabled = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    wire.ok("UpdateAccountSettings", &enabled);
}

fn mode_of(wire: &Wire) -> Value {
    wire.summary("orders")["StreamModeDetails"]["StreamMode"].take()
}

/// Puts a record of so many KiB.
fn put_kib(wire: &Wire, kib: usize) -> u16 {
    let data = "A".repeat(kib * 1024 / 3 * 4);
    let record = json!({"StreamName": "orders", "Data": data, "PartitionKey": "k"});
    wire.call("PutRecord", &record).status
}

#[test]
fn the_mode_changes_and_the_shards_stay() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
    assert_eq!(wire.status("orders"), "UPDATING");
    wire.clock.advance(secs(10));
    assert_eq!(wire.status("orders"), "ACTIVE");
    assert_eq!(mode_of(&wire), "ON_DEMAND");
    assert_eq!(wire.summary("orders")["OpenShardCount"], 1);
    let half = "170141183460469231731687303715884105728";
    let split = json!({"StreamName": "orders", "ShardToSplit": "0", "NewStartingHashKey": half});
    let text = "Request is invalid. Stream orders under account 000000000000 is in On-Demand mode.";
    wire.refuses("SplitShard", &split, "ValidationException", text);
    wire.done("UpdateStreamMode", &mode("PROVISIONED"));
    wire.clock.advance(secs(10));
    assert_eq!(mode_of(&wire), "PROVISIONED");
    wire.done("SplitShard", &split);
}

#[test]
fn the_mode_changes_twice_within_24_hours() {
    let wire = Wire::new();
    wire.create("orders");
    wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
    wire.clock.advance(secs(HOUR_SECS));
    // What is no change does not count.
    for _ in 0..5 {
        wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
    }
    wire.done("UpdateStreamMode", &mode("PROVISIONED"));
    wire.refuses_as(
        "UpdateStreamMode",
        &mode("ON_DEMAND"),
        "LimitExceededException",
    );
    wire.done("UpdateStreamMode", &mode("PROVISIONED"));
    wire.clock.advance(secs(DAY_SECS - HOUR_SECS - 1));
    wire.refuses_as(
        "UpdateStreamMode",
        &mode("ON_DEMAND"),
        "LimitExceededException",
    );
    assert_eq!(mode_of(&wire), "PROVISIONED");
    wire.clock.advance(secs(1));
    wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
    wire.refuses_as(
        "UpdateStreamMode",
        &mode("PROVISIONED"),
        "LimitExceededException",
    );
    assert_eq!(mode_of(&wire), "ON_DEMAND");
    // Another stream changes as often.
    wire.create("others");
    let other = json!({
        "StreamARN": arn("others"), "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
    });
    wire.done("UpdateStreamMode", &other);
}

#[test]
fn a_change_of_the_mode_that_is_refused_does_not_begin() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    for next in ["ON_DEMAND", "PROVISIONED"] {
        wire.clock.advance(secs(10));
        wire.done("UpdateStreamMode", &mode(next));
    }
    wire.clock.advance(secs(10));
    wire.refuses_as(
        "UpdateStreamMode",
        &mode("ON_DEMAND"),
        "LimitExceededException",
    );
    assert_eq!(wire.status("orders"), "ACTIVE");
}

#[test]
fn an_account_has_50_streams_on_demand_and_no_more() {
    let wire = Wire::new();
    wire.create("orders");
    for index in 0..50 {
        wire.create_on_demand(&format!("stream-{index}"));
    }
    wire.refuses_as(
        "UpdateStreamMode",
        &mode("ON_DEMAND"),
        "LimitExceededException",
    );
    wire.done("DeleteStream", &json!({"StreamName": "stream-7"}));
    wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
}

#[test]
fn a_mode_is_one_of_two_words() {
    let wire = Wire::new();
    wire.violates("UpdateStreamMode", &mode("SERVERLESS"), &[
        "Value 'SERVERLESS' at 'streamModeDetails.streamMode' : Member must satisfy enum value set: \
         [PROVISIONED, ON_DEMAND]",
    ]);
    let mut none = mode("");
    none["StreamModeDetails"] = json!({});
    wire.violates(
        "UpdateStreamMode",
        &none,
        &["Value null at 'streamModeDetails.streamMode' : Member must not be null"],
    );
}

#[test]
fn warm_throughput_needs_a_commitment_and_a_stream_on_demand() {
    let wire = Wire::with_delay(secs(10));
    wire.create_on_demand("orders");
    wire.create("provisioned");
    wire.clock.advance(secs(10));
    wire.refuses_as(
        "UpdateStreamWarmThroughput",
        &warm(1),
        "ValidationException",
    );
    commit(&wire);
    let provisioned = json!({"StreamName": "provisioned", "WarmThroughputMiBps": 1});
    wire.refuses_as(
        "UpdateStreamWarmThroughput",
        &provisioned,
        "ValidationException",
    );
    for mibps in [10_240, 100, 0] {
        let answer = wire.ok("UpdateStreamWarmThroughput", &warm(mibps));
        let throughput = json!({"TargetMiBps": mibps, "CurrentMiBps": mibps});
        let expected = json!({
            "StreamARN": arn("orders"), "StreamName": "orders", "WarmThroughput": throughput,
        });
        assert_eq!(answer, expected);
        assert_eq!(wire.status("orders"), "UPDATING");
        wire.clock.advance(secs(10));
        assert_eq!(wire.summary("orders")["WarmThroughput"], throughput);
    }
    wire.refuses_as(
        "UpdateStreamWarmThroughput",
        &warm(10_241),
        "ValidationException",
    );
    wire.violates("UpdateStreamWarmThroughput", &warm(-1), &[
        "Value '-1' at 'warmThroughputMiBps' : Member must have value greater than or equal to 0",
    ]);
    assert_eq!(wire.status("orders"), "ACTIVE");
}

#[test]
fn warm_throughput_comes_and_goes_with_the_mode() {
    let wire = Wire::new();
    wire.create("orders");
    let with = |name: &str, mibps: i64| {
        let mut asked = mode(name);
        asked["WarmThroughputMiBps"] = json!(mibps);
        asked
    };
    wire.refuses_as(
        "UpdateStreamMode",
        &with("ON_DEMAND", 50),
        "ValidationException",
    );
    commit(&wire);
    wire.refuses_as(
        "UpdateStreamMode",
        &with("PROVISIONED", 50),
        "ValidationException",
    );
    wire.done("UpdateStreamMode", &with("ON_DEMAND", 50));
    let throughput = json!({"TargetMiBps": 50, "CurrentMiBps": 50});
    assert_eq!(wire.summary("orders")["WarmThroughput"], throughput);
    // It is on demand already.
    wire.refuses_as(
        "UpdateStreamMode",
        &with("ON_DEMAND", 60),
        "ValidationException",
    );
    wire.done("UpdateStreamMode", &mode("PROVISIONED"));
    assert_eq!(wire.summary("orders").get("WarmThroughput"), None);
    wire.clock.advance(secs(DAY_SECS));
    wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
    let none = json!({"TargetMiBps": 0, "CurrentMiBps": 0});
    assert_eq!(wire.summary("orders")["WarmThroughput"], none);
}

#[test]
fn the_largest_record_is_as_large_as_was_set_last() {
    let wire = Wire::new();
    wire.create("orders");
    assert_eq!(wire.summary("orders")["MaxRecordSizeInKiB"], 1024);
    assert_eq!(put_kib(&wire, 1026), 400);
    wire.done("UpdateMaxRecordSize", &size(10_240));
    assert_eq!(wire.summary("orders")["MaxRecordSizeInKiB"], 10_240);
    assert_eq!(put_kib(&wire, 1026), 200);
    wire.done("UpdateMaxRecordSize", &size(1025));
    assert_eq!(put_kib(&wire, 1026), 400);
    assert_eq!(put_kib(&wire, 1023), 200);
    // What is stored stays.
    assert_eq!(read_all(&wire.registry.get("orders").unwrap()).len(), 2);
    wire.violates("UpdateMaxRecordSize", &size(1023), &[
        "Value '1023' at 'maxRecordSizeInKiB' : Member must have value greater than or equal to 1024",
    ]);
    wire.violates("UpdateMaxRecordSize", &size(10_241), &[
        "Value '10241' at 'maxRecordSizeInKiB' : Member must have value less than or equal to 10240",
    ]);
}

// The limits let a stream of large records save up for one; that a record may be larger now is of no use if
// it never gets through.
#[test]
fn a_record_of_the_size_that_was_set_last_gets_through_the_limits() {
    let wire = Wire::new();
    let service = Service::builder(&wire.registry);
    let service = service.limits(Limits::kinesis()).build();
    let wire = Wire { service, ..wire };
    wire.create("orders");
    wire.done("UpdateMaxRecordSize", &size(10_240));
    wire.clock.advance(secs(10));
    assert_eq!(put_kib(&wire, 3 * 1024), 200);
}

#[test]
fn records_are_distributed_by_the_strategy_that_was_set_last() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    let shards = || {
        let put = |_| {
            let record = json!({"StreamName": "orders", "Data": "", "PartitionKey": "k"});
            wire.ok("PutRecord", &record)["ShardId"].to_string()
        };
        (0..8).map(put).collect::<std::collections::BTreeSet<_>>()
    };
    let told = || wire.summary("orders")["RecordDistributionStrategy"].clone();
    assert_eq!((told(), shards().len()), (json!("USER_PARTITION_KEY"), 1));
    wire.done("UpdateStreamRecordDistributionStrategy", &strategy("AUTO"));
    assert_eq!((told(), shards().len()), (json!("AUTO"), 4));
    let keyless = json!({"StreamName": "orders", "Data": ""});
    let ordered = json!({
        "StreamName": "orders", "Data": "", "PartitionKey": "k",
        "SequenceNumberForOrdering": wire.ok("PutRecord", &keyless)["SequenceNumber"],
    });
    wire.refuses_as("PutRecord", &ordered, "InvalidArgumentException");
    wire.done(
        "UpdateStreamRecordDistributionStrategy",
        &strategy("USER_PARTITION_KEY"),
    );
    assert_eq!((told(), shards().len()), (json!("USER_PARTITION_KEY"), 1));
    wire.refuses_as("PutRecord", &keyless, "ValidationException");
    wire.ok("PutRecord", &ordered);
    wire.violates("UpdateStreamRecordDistributionStrategy", &strategy("OTHER"), &[
        "Value 'OTHER' at 'recordDistributionStrategy' : Member must satisfy enum value set: [AUTO, \
         USER_PARTITION_KEY]",
    ]);
}

#[test]
fn only_streams_on_demand_distribute_their_records() {
    let wire = Wire::new();
    wire.create("orders");
    let operation = "UpdateStreamRecordDistributionStrategy";
    wire.refuses_as(operation, &strategy("AUTO"), "InvalidArgumentException");
    wire.done(operation, &strategy("USER_PARTITION_KEY"));
    assert_eq!(
        wire.summary("orders").get("RecordDistributionStrategy"),
        None
    );
    wire.done("UpdateStreamMode", &mode("ON_DEMAND"));
    wire.done(operation, &strategy("AUTO"));
    wire.done("UpdateStreamMode", &mode("PROVISIONED"));
    let keyless = json!({"StreamName": "orders", "Data": ""});
    wire.refuses_as("PutRecord", &keyless, "ValidationException");
}

#[test]
fn retention_is_made_longer_and_shorter_within_its_bounds() {
    let wire = Wire::new();
    wire.create("orders");
    let told = || wire.summary("orders")["RetentionPeriodHours"].clone();
    assert_eq!(told(), 24);
    for (operation, hours_asked) in [
        ("IncreaseStreamRetentionPeriod", 24),
        ("IncreaseStreamRetentionPeriod", 25),
        ("IncreaseStreamRetentionPeriod", 8760),
        ("IncreaseStreamRetentionPeriod", 8760),
        ("DecreaseStreamRetentionPeriod", 8760),
        ("DecreaseStreamRetentionPeriod", 8759),
        ("DecreaseStreamRetentionPeriod", 24),
        ("DecreaseStreamRetentionPeriod", 24),
    ] {
        wire.done(operation, &hours(hours_asked));
        assert_eq!(told(), hours_asked);
    }
    for operation in [
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
    ] {
        for short in [i64::from(i32::MIN), -1, 0, 23] {
            let text = format!(
                "Minimum allowed retention period is 24 hours. Requested retention period ({short} \
                 hours) is too short."
            );
            wire.refuses(operation, &hours(short), "InvalidArgumentException", &text);
        }
        for long in [8761, i64::from(i32::MAX)] {
            let text = format!(
                "Maximum allowed retention period is 8760 hours. Requested retention period ({long} \
                 hours) is too long."
            );
            wire.refuses(operation, &hours(long), "InvalidArgumentException", &text);
        }
    }
}

#[test]
fn retention_goes_the_way_that_the_call_says() {
    let wire = Wire::new();
    wire.create("orders");
    wire.done("IncreaseStreamRetentionPeriod", &hours(48));
    wire.refuses(
        "IncreaseStreamRetentionPeriod",
        &hours(47),
        "InvalidArgumentException",
        "Requested retention period (47 hours) for stream orders can not be shorter than existing \
         retention period (48 hours). Use DecreaseRetentionPeriod API.",
    );
    wire.refuses(
        "DecreaseStreamRetentionPeriod",
        &hours(49),
        "InvalidArgumentException",
        "Requested retention period (49 hours) for stream orders can not be longer than existing \
         retention period (48 hours). Use IncreaseRetentionPeriod API.",
    );
}

#[test]
fn a_shorter_retention_counts_at_once_and_a_longer_one_brings_nothing_back() {
    let wire = Wire::new();
    wire.create("orders");
    wire.done("IncreaseStreamRetentionPeriod", &hours(48));
    let put = |data: &str| {
        let record = json!({"StreamName": "orders", "Data": data, "PartitionKey": "k"});
        wire.ok("PutRecord", &record);
    };
    let read = || texts(&read_all(&wire.registry.get("orders").unwrap()));
    put("YQ==");
    wire.clock.advance(secs(25 * HOUR_SECS));
    put("Yg==");
    assert_eq!(read(), ["a", "b"]);
    wire.done("DecreaseStreamRetentionPeriod", &hours(24));
    assert_eq!(read(), ["b"]);
    wire.done("IncreaseStreamRetentionPeriod", &hours(48));
    assert_eq!(read(), ["b"]);
}
