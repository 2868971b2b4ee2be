//! Resharding on the wire: when it takes effect, and what is checked in which order.

use brooklet::protocol::Service;
use brooklet::{Limits, Registry};
use serde_json::{Value, json};

use crate::common::clock;
use crate::common::wire::{Wire, in_state};
use crate::common::{millis, secs};

const HALF: &str = "170141183460469231731687303715884105728";
const QUARTER: &str = "85070591730234615865843651857942052864";

/// An account in which a reshard takes ten seconds, with an active stream of two shards.
fn slow() -> Wire {
    let wire = Wire::with_delay(secs(10));
    wire.done(
        "CreateStream",
        &json!({"StreamName": "orders", "ShardCount": 2}),
    );
    wire.clock.advance(secs(10));
    wire
}

/// The three ways, with the parents, and the children as `ChildShards` of the first parent has them.
fn changes() -> [(&'static str, Value, &'static [usize], Value); 3] {
    let id = |index: usize| format!("shardId-{index:012}");
    let child = |index: usize, parents: &[usize], start: &str, end: &str| {
        let parents: Vec<_> = parents.iter().map(|parent| id(*parent)).collect();
        json!({
            "ShardId": id(index),
            "ParentShards": parents,
            "HashKeyRange": {"StartingHashKey": start, "EndingHashKey": end},
        })
    };
    let below = |key: &str| (key.parse::<u128>().unwrap() - 1).to_string();
    let halves = json!([
        child(2, &[0], "0", &below(QUARTER)),
        child(3, &[0], QUARTER, &below(HALF)),
    ]);
    let all = json!([child(2, &[0, 1], "0", &u128::MAX.to_string())]);
    [
        (
            "SplitShard",
            json!({"ShardToSplit": "0", "NewStartingHashKey": QUARTER}),
            &[0],
            halves.clone(),
        ),
        (
            "MergeShards",
            json!({"ShardToMerge": "0", "AdjacentShardToMerge": "1"}),
            &[0, 1],
            all,
        ),
        (
            "UpdateShardCount",
            json!({"TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"}),
            &[0, 1],
            halves,
        ),
    ]
}

fn of_orders(mut body: Value) -> Value {
    body["StreamName"] = json!("orders");
    body
}

fn iterator(wire: &Wire, shard: &str) -> Value {
    let asked = of_orders(json!({"ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}));
    wire.ok("GetShardIterator", &asked)["ShardIterator"].take()
}

fn put(wire: &Wire) -> Value {
    let record = json!({"PartitionKey": "k", "ExplicitHashKey": "0", "Data": "eA=="});
    wire.ok("PutRecord", &of_orders(record))["ShardId"].take()
}

/// The shards of a description and of a list, which are the same.
fn shards(wire: &Wire) -> Vec<Value> {
    let mut described = wire.ok("DescribeStream", &of_orders(json!({})));
    let described = described["StreamDescription"]["Shards"].take();
    let listed = wire.ok("ListShards", &of_orders(json!({})))["Shards"].take();
    assert_eq!(described, listed);
    serde_json::from_value(listed).unwrap()
}

fn ending(shard: &Value) -> &Value {
    &shard["SequenceNumberRange"]["EndingSequenceNumber"]
}

#[test]
fn a_reshard_is_answered_at_once_and_takes_effect_when_the_stream_is_active_again() {
    for (operation, body, parents, children) in changes() {
        let wire = slow();
        let mut reader = iterator(&wire, "0");
        let answer = wire.ok(operation, &of_orders(body.clone()));
        if operation == "UpdateShardCount" {
            assert_eq!(answer["CurrentShardCount"], 2);
            assert_eq!(answer["TargetShardCount"], 4);
        } else {
            assert_eq!(answer, Value::Null);
        }
        for wait in [secs(0), secs(10) - millis(1)] {
            wire.clock.advance(wait);
            assert_eq!(wire.status("orders"), "UPDATING");
            assert_eq!(wire.summary("orders")["OpenShardCount"], 2);
            let shards = shards(&wire);
            assert_eq!(shards.len(), 2);
            assert!(shards.iter().all(|shard| *ending(shard) == Value::Null));
            assert_eq!(put(&wire), "shardId-000000000000");
            let mut got = wire.ok("GetRecords", &json!({"ShardIterator": reader}));
            assert_eq!(got["Records"].as_array().map(Vec::len), Some(1));
            assert_eq!(got["ChildShards"], Value::Null);
            reader = got["NextShardIterator"].take();
            wire.refuses(
                operation,
                &of_orders(body.clone()),
                "ResourceInUseException",
                &in_state("orders", "UPDATING"),
            );
        }
        wire.clock.advance(millis(1));
        // Whoever comes first.
        assert_eq!(put(&wire), "shardId-000000000002");
        let got = wire.ok("GetRecords", &json!({"ShardIterator": reader}));
        assert_eq!(got["Records"], json!([]));
        assert_eq!(got["NextShardIterator"], Value::Null);
        assert_eq!(got["ChildShards"], children);
        assert_eq!(wire.status("orders"), "ACTIVE");
        let shards = shards(&wire);
        for (index, shard) in shards.iter().enumerate() {
            let is_parent = parents.contains(&index);
            assert_eq!(*ending(shard) != Value::Null, is_parent, "{shard}");
        }
        let open = shards.len() - parents.len();
        assert_eq!(wire.summary("orders")["OpenShardCount"], json!(open));
        let limits = wire.ok("DescribeLimits", &json!({}));
        assert_eq!(limits["OpenShardCount"], json!(open));
        let merge = json!({"ShardToMerge": "0", "AdjacentShardToMerge": "1"});
        wire.refuses_as("MergeShards", &of_orders(merge), "InvalidArgumentException");
    }
}

#[test]
fn a_stream_with_a_reshard_that_is_pending_can_be_deleted() {
    for (operation, body, ..) in changes() {
        let wire = slow();
        let reader = iterator(&wire, "0");
        wire.ok(operation, &of_orders(body));
        wire.done("DeleteStream", &json!({"StreamName": "orders"}));
        assert_eq!(wire.status("orders"), "DELETING");
        wire.refuses_as(
            "GetRecords",
            &json!({"ShardIterator": reader}),
            "ResourceNotFoundException",
        );
        wire.clock.advance(secs(10));
        assert_eq!(wire.ok("ListStreams", &json!({}))["StreamNames"], json!([]));
        wire.create("orders");
        wire.clock.advance(secs(10));
        assert_eq!(shards(&wire).len(), 1);
    }
}

#[test]
fn a_new_shard_count_is_checked_for_its_step_before_the_limits() {
    let registry = Registry::builder().clock(clock()).build();
    let service = Service::builder(&registry).limits(Limits::kinesis());
    let wire = Wire {
        service: service.shard_limit(6_000).build(),
        registry,
        clock: clock(),
    };
    let update = |target: u32| {
        of_orders(json!({"TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"}))
    };
    let refused = |target: u32| {
        let (name, message) = wire.refused("UpdateShardCount", &update(target));
        assert_eq!(name, "LimitExceededException");
        message
    };
    wire.done(
        "CreateStream",
        &json!({"StreamName": "orders", "ShardCount": 3}),
    );
    for (target, way) in [
        // Over the account's limit as well, and over the stream's.
        (6_001, "up over double"),
        (10_001, "up over double"),
        (7, "up over double"),
        (1, "down below half"),
    ] {
        let step = format!(
            "UpdateShardCount cannot scale {way} your current open shard count. Current open shard \
             count: 3 Target shard count: {target}"
        );
        assert_eq!(refused(target), step);
    }
    // The account's limit before how often.
    wire.done(
        "CreateStream",
        &json!({"StreamName": "others", "ShardCount": 5_996}),
    );
    for count in [2, 3, 2, 3, 2, 3, 2, 3, 2, 3] {
        wire.ok("UpdateShardCount", &update(count));
    }
    assert!(refused(5).starts_with("This request would exceed the shard limit for the account"));
    assert!(refused(2).contains("10"), "as often as it may be");
    wire.done("DeleteStream", &json!({"StreamName": "orders"}));
    // The stream's limit before the account's.
    let mut large = update(10_001);
    large["StreamName"] = json!("others");
    let (_, message) = wire.refused("UpdateShardCount", &large);
    assert_eq!(
        message,
        "TargetShardCount 10001 is more than 10000 shards of one stream."
    );
}
