//! Registered readers.

use serde_json::{Value, json};

use crate::common::START_MS;
use crate::common::secs;
use crate::common::wire::{Wire, arn, in_state};

const NOT_FOUND: &str = "Consumer audit, account 000000000000 not found.";

fn registration(name: &str) -> Value {
    json!({"StreamARN": arn("orders"), "ConsumerName": name})
}

fn register(wire: &Wire, name: &str) -> Value {
    wire.ok("RegisterStreamConsumer", &registration(name))["Consumer"].take()
}

fn status(wire: &Wire, name: &str) -> Value {
    let mut described = wire.ok("DescribeStreamConsumer", &registration(name));
    described["ConsumerDescription"]["ConsumerStatus"].take()
}

/// The names of all consumers, by pages of so many.
fn names(wire: &Wire, page: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut asked = json!({"StreamARN": arn("orders"), "MaxResults": page});
    loop {
        let listed = wire.ok("ListStreamConsumers", &asked);
        let consumers = listed["Consumers"].as_array().expect("it is a list");
        let name = |consumer: &Value| consumer["ConsumerName"].as_str().unwrap().to_owned();
        pages.push(consumers.iter().map(name).collect());
        match listed.get("NextToken") {
            Some(token) => asked["NextToken"] = token.clone(),
            None => return pages,
        }
    }
}

#[test]
fn a_consumer_is_registered_described_and_listed_with_all_members() {
    let wire = Wire::new();
    wire.create("orders");
    let consumer = register(&wire, "audit");
    let secs = START_MS / 1000;
    let consumer_arn = format!("{}/consumer/audit:{secs}", arn("orders"));
    let mut expected = json!({
        "ConsumerName": "audit",
        "ConsumerARN": consumer_arn,
        "ConsumerStatus": "CREATING",
        "ConsumerCreationTimestamp": secs,
    });
    assert_eq!(consumer, expected, "it begins so, however soon it is over");

    expected["ConsumerStatus"] = json!("ACTIVE");
    let listed = wire.ok("ListStreamConsumers", &json!({"StreamARN": arn("orders")}));
    assert_eq!(listed, json!({"Consumers": [expected]}));
    expected["StreamARN"] = json!(arn("orders"));
    for asked in [
        registration("audit"),
        json!({"ConsumerARN": consumer_arn}),
        json!({"ConsumerARN": consumer_arn, "ConsumerName": "audit"}),
        json!({"ConsumerARN": consumer_arn, "ConsumerName": "audit", "StreamARN": arn("orders")}),
    ] {
        let described = wire.ok("DescribeStreamConsumer", &asked);
        assert_eq!(described, json!({"ConsumerDescription": expected}));
    }
    assert_eq!(wire.summary("orders")["ConsumerCount"], 1);
}

#[test]
fn times_of_consumers_are_tagged_milliseconds_in_cbor() {
    let wire = Wire::new();
    wire.create("orders");
    let registered = wire.call_cbor("RegisterStreamConsumer", &registration("audit"));
    assert_eq!(registered.status, 200);
    let created = &registered.body["Consumer"]["ConsumerCreationTimestamp"];
    assert_eq!(*created, json!({"millis": START_MS}));
    let of_stream = |created: u64| {
        let asked = json!({
            "StreamARN": arn("orders"), "StreamCreationTimestamp": {"millis": created},
        });
        wire.call_cbor("ListStreamConsumers", &asked)
    };
    assert_eq!(
        of_stream(START_MS).body["Consumers"][0]["ConsumerName"],
        "audit"
    );
    assert_eq!(
        of_stream(START_MS + 1000).body["__type"],
        "ResourceNotFoundException"
    );
    let gone = wire.call_cbor("DeregisterStreamConsumer", &registration("audit"));
    assert_eq!((gone.status, gone.body), (200, Value::Null));
}

#[test]
fn a_consumer_is_created_and_deleted_in_the_time_that_changes_take() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    register(&wire, "audit");
    wire.clock.advance(secs(9));
    assert_eq!(status(&wire, "audit"), "CREATING");
    wire.clock.advance(secs(1));
    assert_eq!(status(&wire, "audit"), "ACTIVE");

    wire.done("DeregisterStreamConsumer", &registration("audit"));
    wire.clock.advance(secs(9));
    assert_eq!(status(&wire, "audit"), "DELETING");
    assert_eq!(wire.summary("orders")["ConsumerCount"], 1);
    // Again, while it goes: that takes no longer for it.
    wire.done("DeregisterStreamConsumer", &registration("audit"));
    wire.clock.advance(secs(1));
    let asked = registration("audit");
    wire.refuses(
        "DescribeStreamConsumer",
        &asked,
        "ResourceNotFoundException",
        NOT_FOUND,
    );
    wire.refuses(
        "DeregisterStreamConsumer",
        &asked,
        "ResourceNotFoundException",
        NOT_FOUND,
    );
    assert_eq!(wire.summary("orders")["ConsumerCount"], 0);
}

#[test]
fn a_name_is_free_once_its_consumer_is_gone_and_then_has_another_arn() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    let taken = "Consumer audit under stream orders already exists for account 000000000000.";
    let asked = registration("audit");
    let first = register(&wire, "audit");
    wire.refuses(
        "RegisterStreamConsumer",
        &asked,
        "ResourceInUseException",
        taken,
    );
    wire.clock.advance(secs(10));
    wire.refuses(
        "RegisterStreamConsumer",
        &asked,
        "ResourceInUseException",
        taken,
    );
    wire.done("DeregisterStreamConsumer", &asked);
    wire.refuses(
        "RegisterStreamConsumer",
        &asked,
        "ResourceInUseException",
        taken,
    );
    wire.clock.advance(secs(10));
    let second = register(&wire, "audit");
    assert_ne!(first["ConsumerARN"], second["ConsumerARN"]);
    let by_first = json!({"ConsumerARN": first["ConsumerARN"]});
    wire.refuses(
        "DescribeStreamConsumer",
        &by_first,
        "ResourceNotFoundException",
        NOT_FOUND,
    );
    wire.refuses(
        "DeregisterStreamConsumer",
        &by_first,
        "ResourceNotFoundException",
        NOT_FOUND,
    );
    wire.ok(
        "DescribeStreamConsumer",
        &json!({"ConsumerARN": second["ConsumerARN"]}),
    );
}

#[test]
fn no_two_consumers_have_one_arn_though_the_clock_stands_still() {
    let wire = Wire::new();
    wire.create("orders");
    let mut arns = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let consumer = register(&wire, "audit");
        arns.insert(consumer["ConsumerARN"].as_str().unwrap().to_owned());
        wire.done("DeregisterStreamConsumer", &registration("audit"));
    }
    assert_eq!(arns.len(), 5);
}

#[test]
fn a_consumer_is_said_by_its_arn_or_by_its_stream_and_its_name() {
    let wire = Wire::new();
    wire.create("orders");
    wire.create("others");
    let consumer_arn = register(&wire, "audit")["ConsumerARN"].clone();
    for operation in ["DescribeStreamConsumer", "DeregisterStreamConsumer"] {
        for incomplete in [
            json!({}),
            json!({"StreamARN": arn("orders")}),
            json!({"ConsumerName": "audit"}),
            json!({"ConsumerARN": consumer_arn, "ConsumerName": "other"}),
            json!({"ConsumerARN": consumer_arn, "StreamARN": arn("others")}),
        ] {
            wire.refuses_as(operation, &incomplete, "InvalidArgumentException");
        }
        let elsewhere = consumer_arn
            .as_str()
            .unwrap()
            .replace("us-east-1", "eu-west-1");
        let elsewhere = json!({"ConsumerARN": elsewhere});
        wire.refuses(
            operation,
            &elsewhere,
            "ResourceNotFoundException",
            NOT_FOUND,
        );
        let of_other = json!({"StreamARN": arn("others"), "ConsumerName": "audit"});
        wire.refuses(operation, &of_other, "ResourceNotFoundException", NOT_FOUND);
        let malformed = json!({"ConsumerARN": "audit"});
        wire.violates(operation, &malformed, &[
            r"Value 'audit' at 'consumerARN' : Member must satisfy regular expression pattern: (arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+",
        ]);
    }
    // None of it has deregistered it.
    assert_eq!(status(&wire, "audit"), "ACTIVE");
    wire.done(
        "DeregisterStreamConsumer",
        &json!({"ConsumerARN": consumer_arn}),
    );
}

#[test]
fn a_stream_has_20_consumers_and_no_more() {
    let wire = Wire::new();
    wire.create("orders");
    for index in 0..20 {
        register(&wire, &format!("consumer-{index}"));
    }
    wire.refuses_as(
        "RegisterStreamConsumer",
        &registration("one-more"),
        "LimitExceededException",
    );
    wire.done("DeregisterStreamConsumer", &registration("consumer-7"));
    register(&wire, "one-more");
    // Another stream has its own.
    wire.create("others");
    wire.ok(
        "RegisterStreamConsumer",
        &json!({"StreamARN": arn("others"), "ConsumerName": "consumer-0"}),
    );
}

#[test]
fn a_stream_on_demand_has_50_consumers_with_a_commitment() {
    let wire = Wire::new();
    wire.create_on_demand("orders");
    for index in 0..20 {
        register(&wire, &format!("consumer-{index}"));
    }
    wire.refuses_as(
        "RegisterStreamConsumer",
        &registration("next"),
        "LimitExceededException",
    );
    let enabled = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    wire.ok("UpdateAccountSettings", &enabled);
    for index in 20..50 {
        register(&wire, &format!("consumer-{index}"));
    }
    wire.refuses_as(
        "RegisterStreamConsumer",
        &registration("next"),
        "LimitExceededException",
    );
    assert_eq!(wire.summary("orders")["ConsumerCount"], 50);
    // A provisioned stream has no more for it.
    wire.create("provisioned");
    let of = |name: String| json!({"StreamARN": arn("provisioned"), "ConsumerName": name});
    for index in 0..20 {
        wire.ok("RegisterStreamConsumer", &of(format!("consumer-{index}")));
    }
    wire.refuses_as(
        "RegisterStreamConsumer",
        &of("next".into()),
        "LimitExceededException",
    );
}

#[test]
fn five_consumers_are_created_at_once_and_no_more() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    wire.clock.advance(secs(10));
    for index in 0..5 {
        register(&wire, &format!("consumer-{index}"));
    }
    wire.refuses_as(
        "RegisterStreamConsumer",
        &registration("sixth"),
        "LimitExceededException",
    );
    wire.clock.advance(secs(10));
    register(&wire, "sixth");
}

#[test]
fn consumers_are_listed_by_name_and_by_pages() {
    let wire = Wire::new();
    wire.create("orders");
    assert_eq!(names(&wire, 10), [Vec::<String>::new()]);
    for name in ["b", "d", "a", "c", "B"] {
        register(&wire, name);
    }
    assert_eq!(names(&wire, 2), [vec!["B", "a"], vec!["b", "c"], vec!["d"]]);
    assert_eq!(names(&wire, 5), [vec!["B", "a", "b", "c", "d"]]);
    assert_eq!(names(&wire, 4).len(), 2);
    // More than a page has is no fault.
    assert_eq!(names(&wire, 10_000).len(), 1);
    let page = |max: u32| json!({"StreamARN": arn("orders"), "MaxResults": max});
    wire.violates(
        "ListStreamConsumers",
        &page(0),
        &["Value '0' at 'maxResults' : Member must have value greater than or equal to 1"],
    );
    wire.violates(
        "ListStreamConsumers",
        &page(10_001),
        &["Value '10001' at 'maxResults' : Member must have value less than or equal to 10000"],
    );
}

#[test]
fn a_token_is_of_its_stream_its_list_and_its_300_seconds() {
    let wire = Wire::new();
    wire.create("orders");
    wire.create("others");
    for name in ["a", "b"] {
        register(&wire, name);
    }
    let first = wire.ok(
        "ListStreamConsumers",
        &json!({"StreamARN": arn("orders"), "MaxResults": 1}),
    );
    let token = first["NextToken"].as_str().unwrap();
    let with = |stream: &str, token: &str| json!({"StreamARN": arn(stream), "NextToken": token});
    let good = with("orders", token);
    let second = wire.ok("ListStreamConsumers", &good);
    assert_eq!(second["Consumers"][0]["ConsumerName"], "b");
    assert_eq!(
        wire.ok("ListStreamConsumers", &good),
        second,
        "it can be used again"
    );

    let of_streams = wire.ok("ListStreams", &json!({"Limit": 1}))["NextToken"].clone();
    for (stream, token) in [
        ("others", token),
        ("orders", &token[4..]),
        ("orders", "bm8="),
        ("orders", "no"),
        ("orders", of_streams.as_str().unwrap()),
    ] {
        wire.refuses_as(
            "ListStreamConsumers",
            &with(stream, token),
            "InvalidArgumentException",
        );
    }
    wire.refuses_as(
        "ListStreams",
        &json!({"NextToken": token}),
        "InvalidArgumentException",
    );
    let mut both = good.clone();
    both["StreamCreationTimestamp"] = json!(START_MS / 1000);
    wire.refuses_as("ListStreamConsumers", &both, "InvalidArgumentException");

    wire.clock.advance(secs(300));
    wire.ok("ListStreamConsumers", &good);
    wire.clock.advance(secs(1));
    wire.refuses_as("ListStreamConsumers", &good, "ExpiredNextTokenException");
}

#[test]
fn a_token_does_not_lead_to_a_stream_that_was_created_again() {
    let wire = Wire::new();
    wire.create("orders");
    for name in ["a", "b"] {
        register(&wire, name);
    }
    let page = json!({"StreamARN": arn("orders"), "MaxResults": 1});
    let token = wire.ok("ListStreamConsumers", &page)["NextToken"].clone();
    let delete = json!({"StreamName": "orders", "EnforceConsumerDeletion": true});
    wire.done("DeleteStream", &delete);
    wire.create("orders");
    for name in ["a", "b"] {
        register(&wire, name);
    }
    let old = json!({"StreamARN": arn("orders"), "NextToken": token});
    wire.refuses_as("ListStreamConsumers", &old, "InvalidArgumentException");
}

#[test]
fn consumers_of_a_stream_of_another_second_are_not_found() {
    let wire = Wire::new();
    wire.create("orders");
    register(&wire, "audit");
    let created = |secs: f64| json!({"StreamARN": arn("orders"), "StreamCreationTimestamp": secs});
    #[expect(
        clippy::cast_precision_loss,
        reason = "the seconds of this century are exact"
    )]
    let now = (START_MS / 1000) as f64;
    for same in [now, now + 0.999] {
        let listed = wire.ok("ListStreamConsumers", &created(same));
        assert_eq!(listed["Consumers"][0]["ConsumerName"], "audit");
    }
    for other in [now - 1.0, now + 1.0] {
        wire.refuses_as(
            "ListStreamConsumers",
            &created(other),
            "ResourceNotFoundException",
        );
    }
}

#[test]
fn a_consumer_keeps_a_stream_from_being_deleted_unless_that_is_enforced() {
    let wire = Wire::new();
    wire.create("orders");
    register(&wire, "audit");
    let text = format!(
        "DeleteStream can't delete {} because there are consumers associated with this data stream. \
         To delete orders anyway, set the EnforceConsumerDeletion parameter to true to force the \
         deletion of all the consumers that are associated with it.",
        arn("orders")
    );
    for enforced in [json!(null), json!(false)] {
        let asked = json!({"StreamName": "orders", "EnforceConsumerDeletion": enforced});
        wire.refuses("DeleteStream", &asked, "ResourceInUseException", &text);
    }
    wire.done("DeregisterStreamConsumer", &registration("audit"));
    wire.done("DeleteStream", &json!({"StreamName": "orders"}));
    let asked = registration("audit");
    let text = "Stream orders under account 000000000000 not found.";
    wire.refuses(
        "DescribeStreamConsumer",
        &asked,
        "ResourceNotFoundException",
        text,
    );
}

#[test]
fn a_consumer_can_have_tags_from_the_beginning() {
    let wire = Wire::with_delay(secs(10));
    wire.create("orders");
    let mut asked = registration("audit");
    let text = in_state("orders", "CREATING");
    wire.refuses(
        "RegisterStreamConsumer",
        &asked,
        "ResourceInUseException",
        &text,
    );
    wire.clock.advance(secs(10));
    asked["Tags"] = json!({"team": "sales"});
    let consumer = wire.ok("RegisterStreamConsumer", &asked);
    let consumer_arn = &consumer["Consumer"]["ConsumerARN"];
    let of = json!({"ResourceARN": consumer_arn});
    let tags = json!({"Tags": [{"Key": "team", "Value": "sales"}]});
    assert_eq!(wire.ok("ListTagsForResource", &of), tags);
    // They change once it is there.
    let change = json!({"ResourceARN": consumer_arn, "Tags": {"team": "audit"}});
    let creating = format!(
        "Consumer audit with creation timestamp {} under stream: orders , account 000000000000 is \
         not in ACTIVE status.",
        START_MS / 1000 + 10
    );
    wire.refuses("TagResource", &change, "ResourceInUseException", &creating);
    wire.clock.advance(secs(10));
    wire.done("TagResource", &change);

    asked["ConsumerName"] = json!("other");
    asked["Tags"] = json!({"a;b": ""});
    wire.refuses_as("RegisterStreamConsumer", &asked, "InvalidArgumentException");
}
