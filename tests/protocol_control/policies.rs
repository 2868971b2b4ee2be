//! Policies of streams and consumers.

use serde_json::{Value, json};

use crate::common::wire::{Wire, arn};

fn put(arn: &str, policy: &str) -> Value {
    json!({"ResourceARN": arn, "Policy": policy})
}

fn of(arn: &str) -> Value {
    json!({"ResourceARN": arn})
}

/// A policy about a resource.
fn policy(resource: &Value) -> String {
    let statement = json!({
        "Sid": "all",
        "Effect": "Allow",
        "Principal": {"AWS": "111111111111"},
        "Action": ["kinesis:GetRecords"],
        "Resource": resource,
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

#[test]
fn a_policy_is_given_back_to_the_letter_until_it_is_replaced_or_deleted() {
    let wire = Wire::new();
    wire.create("orders");
    let consumer = json!({"StreamARN": arn("orders"), "ConsumerName": "audit"});
    let consumer = wire.ok("RegisterStreamConsumer", &consumer);
    let consumer = consumer["Consumer"]["ConsumerARN"]
        .as_str()
        .unwrap()
        .to_owned();
    for arn in [arn("orders"), consumer] {
        let get = || wire.ok("GetResourcePolicy", &of(&arn));
        assert_eq!(get(), json!({"Policy": "{}"}), "none is an empty one");
        let text = format!("No resource policy found for resource ARN {arn}");
        wire.refuses(
            "DeleteResourcePolicy",
            &of(&arn),
            "ResourceNotFoundException",
            &text,
        );
        let first = format!(" {}\n", policy(&json!(arn)));
        wire.done("PutResourcePolicy", &put(&arn, &first));
        assert_eq!(get(), json!({"Policy": first}));
        let second = policy(&json!([arn]));
        wire.done("PutResourcePolicy", &put(&arn, &second));
        assert_eq!(get(), json!({"Policy": second}));
        let cbor = wire.call_cbor("GetResourcePolicy", &of(&arn));
        assert_eq!((cbor.status, cbor.body), (200, json!({"Policy": second})));
        wire.done("DeleteResourcePolicy", &of(&arn));
        assert_eq!(get(), json!({"Policy": "{}"}));
        wire.refuses_as(
            "DeleteResourcePolicy",
            &of(&arn),
            "ResourceNotFoundException",
        );
    }
}

#[test]
fn a_policy_is_a_document_about_its_resource() {
    let wire = Wire::new();
    wire.create("orders");
    let orders = arn("orders");
    for good in [
        "{}".to_owned(),
        policy(&json!("*")),
        policy(&json!(format!("{orders}*"))),
        json!({"Statement": {"Resource": orders}}).to_string(),
        json!({"Statement": [{"Effect": "Allow"}]}).to_string(),
    ] {
        wire.done("PutResourcePolicy", &put(&orders, &good));
    }
    let kept = json!({"Statement": [{"Effect": "Allow"}]}).to_string();
    for bad in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        policy(&json!(arn("others"))),
        policy(&json!([orders, arn("others")])),
        policy(&json!(1)),
        json!({"Statement": ["Allow"]}).to_string(),
    ] {
        wire.refuses_as(
            "PutResourcePolicy",
            &put(&orders, &bad),
            "InvalidArgumentException",
        );
    }
    assert_eq!(
        wire.ok("GetResourcePolicy", &of(&orders)),
        json!({"Policy": kept})
    );
}

#[test]
fn a_policy_has_20_kib_and_no_more() {
    let wire = Wire::new();
    wire.create("orders");
    let of_size = |bytes: usize| {
        let rest = bytes - r#"{"Id":""}"#.len();
        format!(r#"{{"Id":"{}"}}"#, "x".repeat(rest))
    };
    let orders = arn("orders");
    wire.done("PutResourcePolicy", &put(&orders, &of_size(20 * 1024)));
    let larger = put(&orders, &of_size(20 * 1024 + 1));
    wire.refuses_as("PutResourcePolicy", &larger, "LimitExceededException");
}

#[test]
fn only_streams_and_consumers_that_are_there_have_policies() {
    let wire = Wire::new();
    let account = "arn:aws:kinesis:us-east-1:000000000000";
    for resource in [
        arn("orders"),
        format!("{}/consumer/audit:1", arn("orders")),
        format!("{account}:channel/x"),
        format!("{account}:queue/x"),
    ] {
        let body = put(&resource, "{}");
        for operation in [
            "PutResourcePolicy",
            "GetResourcePolicy",
            "DeleteResourcePolicy",
        ] {
            wire.refuses_as(operation, &body, "ResourceNotFoundException");
        }
    }
}
