//! Shard-level metrics.

use serde_json::{Value, json};

use crate::common::wire::{Wire, arn};

const ALL: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
];

fn asked(metrics: &[&str]) -> Value {
    json!({"StreamName": "orders", "ShardLevelMetrics": metrics})
}

#[test]
fn metrics_are_added_and_taken_away() {
    let wire = Wire::new();
    wire.create("orders");
    let mut before: Vec<&str> = Vec::new();
    for (operation, metrics, after) in [
        (
            "EnableEnhancedMonitoring",
            &["OutgoingBytes", "IncomingBytes"][..],
            &[0, 2][..],
        ),
        ("EnableEnhancedMonitoring", &["IncomingBytes"], &[0, 2]),
        (
            "DisableEnhancedMonitoring",
            &["IncomingBytes", "IncomingRecords"],
            &[2],
        ),
        ("EnableEnhancedMonitoring", &["ALL"], &[0, 1, 2, 3, 4, 5, 6]),
        (
            "DisableEnhancedMonitoring",
            &["OutgoingRecords"],
            &[0, 1, 2, 4, 5, 6],
        ),
        ("DisableEnhancedMonitoring", &["ALL"], &[]),
        ("DisableEnhancedMonitoring", &["ALL"], &[]),
        ("EnableEnhancedMonitoring", &ALL, &[0, 1, 2, 3, 4, 5, 6]),
    ] {
        let after: Vec<_> = after.iter().map(|index| ALL[*index]).collect();
        let answer = wire.ok(operation, &asked(metrics));
        let expected = json!({
            "StreamName": "orders",
            "CurrentShardLevelMetrics": before,
            "DesiredShardLevelMetrics": after,
            "StreamARN": arn("orders"),
        });
        assert_eq!(answer, expected);
        let monitoring = &wire.summary("orders")["EnhancedMonitoring"];
        assert_eq!(*monitoring, json!([{"ShardLevelMetrics": after}]));
        before = after;
    }
}

#[test]
fn name_and_arn_are_told_whichever_was_said() {
    let wire = Wire::new();
    wire.create("orders");
    let by_arn = json!({"StreamARN": arn("orders"), "ShardLevelMetrics": ["ALL"]});
    let answer = wire.call_cbor("EnableEnhancedMonitoring", &by_arn);
    assert_eq!(answer.body["StreamName"], "orders");
    assert_eq!(answer.body["StreamARN"], arn("orders"));
    assert_eq!(answer.body["DesiredShardLevelMetrics"], json!(ALL));
}

#[test]
fn metrics_are_one_to_seven_of_eight_words() {
    let wire = Wire::new();
    wire.create("orders");
    let words = format!("{}, ALL", ALL.join(", "));
    wire.violates("EnableEnhancedMonitoring", &asked(&["ALL", "Other"]), &[&format!(
        "Value '[ALL, Other]' at 'shardLevelMetrics' : Member must satisfy constraint: [Member must \
         satisfy enum value set: [{words}]]"
    )]);
    wire.violates(
        "EnableEnhancedMonitoring",
        &asked(&[]),
        &["Value '[]' at 'shardLevelMetrics' : Member must have length greater than or equal to 1"],
    );
    let eight: Vec<_> = ALL.into_iter().chain(["ALL"]).collect();
    wire.violates("DisableEnhancedMonitoring", &asked(&eight), &[&format!(
        "Value '[{words}]' at 'shardLevelMetrics' : Member must have length less than or equal to 7"
    )]);
}
