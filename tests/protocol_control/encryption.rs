//! Encryption of records, as far as its state goes.

use serde_json::{Value, json};

use crate::common::secs;
use crate::common::wire::{Wire, in_state};

fn key(key: &str) -> Value {
    json!({"StreamName": "orders", "EncryptionType": "KMS", "KeyId": key})
}

/// What a description says of the stream's encryption.
fn described(wire: &Wire) -> (Value, Value) {
    let summary = wire.summary("orders");
    (summary["EncryptionType"].clone(), summary["KeyId"].clone())
}

fn put(wire: &Wire) -> Value {
    let record = json!({"StreamName": "orders", "Data": "eA==", "PartitionKey": "k"});
    wire.ok("PutRecord", &record)["EncryptionType"].take()
}

/// How each record is said to be encrypted.
fn records(wire: &Wire) -> Vec<Value> {
    let asked = json!({
        "StreamName": "orders", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON",
    });
    let iterator = wire.ok("GetShardIterator", &asked)["ShardIterator"].take();
    let got = wire.ok("GetRecords", &json!({"ShardIterator": iterator}));
    let records = got["Records"].as_array().unwrap().iter();
    records
        .map(|record| record["EncryptionType"].clone())
        .collect()
}

#[test]
fn records_are_marked_as_long_as_encryption_is_on() {
    let wire = Wire::new();
    wire.create("orders");
    assert_eq!(described(&wire), (json!("NONE"), Value::Null));
    assert_eq!(put(&wire), Value::Null);
    wire.clock.advance(secs(1));
    wire.done("StartStreamEncryption", &key("alias/orders"));
    assert_eq!(described(&wire), (json!("KMS"), json!("alias/orders")));
    assert_eq!(put(&wire), "KMS");
    wire.clock.advance(secs(1));
    wire.done("StartStreamEncryption", &key("alias/aws/kinesis"));
    assert_eq!(described(&wire), (json!("KMS"), json!("alias/aws/kinesis")));
    assert_eq!(put(&wire), "KMS");
    wire.clock.advance(secs(1));
    wire.done("StopStreamEncryption", &key("not the same"));
    assert_eq!(described(&wire), (json!("NONE"), Value::Null));
    assert_eq!(put(&wire), Value::Null);
    let (none, kms) = (Value::Null, json!("KMS"));
    assert_eq!(records(&wire), [none.clone(), kms.clone(), kms, none]);
}

#[test]
fn encryption_begins_and_ends_once_the_stream_is_active_again() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    wire.done("StartStreamEncryption", &key("k"));
    assert_eq!(wire.status("orders"), "UPDATING");
    let text = in_state("orders", "UPDATING");
    wire.refuses(
        "StartStreamEncryption",
        &key("k"),
        "ResourceInUseException",
        &text,
    );
    wire.refuses(
        "StopStreamEncryption",
        &key("k"),
        "ResourceInUseException",
        &text,
    );
    assert_eq!(put(&wire), Value::Null);
    wire.clock.advance(secs(10));
    assert_eq!(wire.status("orders"), "ACTIVE");
    assert_eq!(put(&wire), "KMS");
    wire.done("StopStreamEncryption", &key("k"));
    assert_eq!(wire.status("orders"), "UPDATING");
    assert_eq!(put(&wire), "KMS");
    wire.clock.advance(secs(10));
    assert_eq!(put(&wire), Value::Null);
    let (none, kms) = (Value::Null, json!("KMS"));
    assert_eq!(records(&wire), [none.clone(), kms.clone(), kms, none]);
}

#[test]
fn what_is_not_encrypted_cannot_be_stopped_and_none_is_no_type() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    wire.refuses_as(
        "StopStreamEncryption",
        &key("k"),
        "InvalidArgumentException",
    );
    for operation in ["StartStreamEncryption", "StopStreamEncryption"] {
        let mut none = key("k");
        none["EncryptionType"] = json!("NONE");
        wire.refuses_as(operation, &none, "InvalidArgumentException");
        none["EncryptionType"] = json!("AES");
        wire.violates(
            operation,
            &none,
            &["Value 'AES' at 'encryptionType' : Member must satisfy enum value set: [NONE, KMS]"],
        );
        wire.violates(
            operation,
            &key(""),
            &["Value '' at 'keyId' : Member must have length greater than or equal to 1"],
        );
        let long = "k".repeat(2049);
        wire.violates(
            operation,
            &key(&long),
            &[&format!(
                "Value '{long}' at 'keyId' : Member must have length less than or equal to 2048"
            )],
        );
    }
    assert_eq!(
        wire.status("orders"),
        "ACTIVE",
        "what is refused does not begin"
    );
    assert_eq!(described(&wire), (json!("NONE"), Value::Null));
    wire.done("StartStreamEncryption", &key(&"k".repeat(2048)));
}

#[test]
fn encryption_starts_and_stops_25_times_within_24_hours_each() {
    let wire = Wire::new();
    wire.create("orders");
    for index in 0..25 {
        wire.done("StartStreamEncryption", &key(&format!("k{index}")));
        wire.done("StopStreamEncryption", &key("k"));
        wire.clock.advance(secs(60));
    }
    wire.refuses_as("StartStreamEncryption", &key("k"), "LimitExceededException");
    // 24 hours after the first of them, and not earlier.
    wire.clock.advance(secs(24 * 60 * 60 - 25 * 60 - 1));
    wire.refuses_as("StartStreamEncryption", &key("k"), "LimitExceededException");
    wire.clock.advance(secs(1));
    wire.done("StartStreamEncryption", &key("k"));
    wire.refuses_as("StartStreamEncryption", &key("k"), "LimitExceededException");
    wire.done("StopStreamEncryption", &key("k"));
    wire.clock.advance(secs(60));
    wire.done("StartStreamEncryption", &key("k"));
    assert_eq!(described(&wire), (json!("KMS"), json!("k")));
}
