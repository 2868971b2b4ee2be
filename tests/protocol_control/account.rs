//! What an account may have, and what it has committed to.

use std::time::Duration;

use brooklet::Registry;
use brooklet::protocol::Service;
use serde_json::{Value, json};

use crate::common::START_MS;
use crate::common::secs;
use crate::common::wire::Wire;

const DAY: Duration = secs(24 * 60 * 60);
const NOW: u64 = START_MS / 1000;
const DAY_SECS: u64 = 24 * 60 * 60;

fn update(wire: &Wire, status: &str) -> Value {
    let asked = json!({"MinimumThroughputBillingCommitment": {"Status": status}});
    wire.ok("UpdateAccountSettings", &asked)["MinimumThroughputBillingCommitment"].take()
}

fn described(wire: &Wire) -> Value {
    let mut settings = wire.ok("DescribeAccountSettings", &json!({}));
    settings["MinimumThroughputBillingCommitment"].take()
}

#[test]
fn limits_count_what_there_is() {
    let registry = Registry::new();
    let wire = Wire {
        service: Service::builder(&registry).shard_limit(10).build(),
        registry,
        clock: Wire::new().clock,
    };
    let mut expected = json!({
        "ShardLimit": 10,
        "OpenShardCount": 0,
        "OnDemandStreamCount": 0,
        "OnDemandStreamCountLimit": 50,
        "ChannelCount": 0,
        "ChannelCountLimit": 1000,
    });
    assert_eq!(wire.ok("DescribeLimits", &json!({})), expected);
    wire.done("CreateStream", &json!({"StreamName": "a", "ShardCount": 3}));
    wire.create_on_demand("b");
    expected["OpenShardCount"] = json!(7);
    expected["OnDemandStreamCount"] = json!(1);
    assert_eq!(wire.ok("DescribeLimits", &json!({})), expected);
    // A shard that was split is not open.
    let half = "56713727820156410577229101238628035243";
    wire.done(
        "SplitShard",
        &json!({"StreamName": "a", "ShardToSplit": "0", "NewStartingHashKey": half}),
    );
    expected["OpenShardCount"] = json!(8);
    assert_eq!(wire.ok("DescribeLimits", &json!({})), expected);
    wire.done("DeleteStream", &json!({"StreamName": "b"}));
    expected["OpenShardCount"] = json!(4);
    expected["OnDemandStreamCount"] = json!(0);
    assert_eq!(wire.ok("DescribeLimits", &json!({})), expected);
    assert_eq!(wire.call_cbor("DescribeLimits", &json!({})).body, expected);
}

#[test]
fn a_commitment_that_was_never_made_is_disabled() {
    let wire = Wire::new();
    assert_eq!(described(&wire), json!({"Status": "DISABLED"}));
    assert_eq!(update(&wire, "DISABLED"), json!({"Status": "DISABLED"}));
}

#[test]
fn a_commitment_holds_for_24_hours_at_least() {
    let wire = Wire::new();
    let enabled = json!({
        "Status": "ENABLED", "StartedAt": NOW, "EarliestAllowedEndAt": NOW + DAY_SECS,
    });
    assert_eq!(update(&wire, "ENABLED"), enabled);
    wire.clock.advance(secs(60));
    assert_eq!(update(&wire, "ENABLED"), enabled, "it goes on as it began");
    wire.clock.advance(DAY - secs(61));
    let ending = json!({
        "Status": "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
        "StartedAt": NOW,
        "EarliestAllowedEndAt": NOW + DAY_SECS,
    });
    assert_eq!(update(&wire, "DISABLED"), ending);
    assert_eq!(update(&wire, "DISABLED"), ending);
    assert_eq!(described(&wire), ending);
    wire.clock.advance(secs(1));
    let ended = json!({"Status": "DISABLED", "StartedAt": NOW, "EndedAt": NOW + DAY_SECS});
    assert_eq!(described(&wire), ended);
    wire.clock.advance(DAY);
    assert_eq!(update(&wire, "DISABLED"), ended, "it ended once");
}

#[test]
fn a_commitment_of_24_hours_ends_at_once() {
    let wire = Wire::new();
    update(&wire, "ENABLED");
    wire.clock.advance(DAY + secs(5));
    assert_eq!(described(&wire)["Status"], "ENABLED");
    let ended = json!({"Status": "DISABLED", "StartedAt": NOW, "EndedAt": NOW + DAY_SECS + 5});
    assert_eq!(update(&wire, "DISABLED"), ended);
    wire.clock.advance(secs(5));
    let again = NOW + DAY_SECS + 10;
    let enabled = json!({
        "Status": "ENABLED", "StartedAt": again, "EarliestAllowedEndAt": again + DAY_SECS,
    });
    assert_eq!(update(&wire, "ENABLED"), enabled);
    assert_eq!(described(&wire), enabled);
}

#[test]
fn a_commitment_that_is_to_end_can_be_kept() {
    let wire = Wire::new();
    let enabled = update(&wire, "ENABLED");
    wire.clock.advance(secs(60));
    update(&wire, "DISABLED");
    assert_eq!(update(&wire, "ENABLED"), enabled);
    wire.clock.advance(DAY);
    assert_eq!(described(&wire), enabled);
}

#[test]
fn times_of_the_commitment_have_milliseconds() {
    let wire = Wire::new();
    wire.clock.advance(Duration::from_millis(480));
    assert_eq!(
        update(&wire, "ENABLED")["StartedAt"].to_string(),
        format!("{NOW}.48")
    );
    let cbor = wire.call_cbor("DescribeAccountSettings", &json!({}));
    let started = &cbor.body["MinimumThroughputBillingCommitment"]["StartedAt"];
    assert_eq!(*started, json!({"millis": START_MS + 480}));
}

#[test]
fn a_commitment_is_enabled_or_disabled() {
    let wire = Wire::new();
    let asked = |commitment: Value| json!({"MinimumThroughputBillingCommitment": commitment});
    let status = "minimumThroughputBillingCommitment.status";
    wire.violates(
        "UpdateAccountSettings",
        &asked(json!({})),
        &[&format!(
            "Value null at '{status}' : Member must not be null"
        )],
    );
    let wrong = json!({"Status": "ENABLED_UNTIL_EARLIEST_ALLOWED_END"});
    wire.violates("UpdateAccountSettings", &asked(wrong), &[&format!(
        "Value 'ENABLED_UNTIL_EARLIEST_ALLOWED_END' at '{status}' : Member must satisfy enum value \
         set: [ENABLED, DISABLED]"
    )]);
}
