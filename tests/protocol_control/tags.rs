//! Tags of streams and consumers, and of channels as far as they have any.

use serde_json::{Map, Value, json};

use crate::common::wire::{Wire, arn};

/// Tags `prefix0`, `prefix1` and so on.
fn many(prefix: &str, count: usize) -> Value {
    let tag = |index| (format!("{prefix}{index}"), json!(""));
    Value::Object((0..count).map(tag).collect::<Map<_, _>>())
}

fn add(tags: Value) -> Value {
    json!({"StreamName": "orders", "Tags": tags})
}

fn remove(keys: &[&str]) -> Value {
    json!({"StreamName": "orders", "TagKeys": keys})
}

/// The tags of the stream, by the older call.
fn listed(wire: &Wire) -> Value {
    let asked = json!({"StreamName": "orders"});
    wire.ok("ListTagsForStream", &asked)["Tags"].take()
}

#[test]
fn tags_are_set_replaced_and_removed() {
    let wire = Wire::new();
    wire.create("orders");
    wire.done(
        "AddTagsToStream",
        &add(json!({"b": "2", "a": "1", "empty": ""})),
    );
    wire.done("AddTagsToStream", &add(json!({"b": "3"})));
    let expected = json!([
        {"Key": "a", "Value": "1"}, {"Key": "b", "Value": "3"}, {"Key": "empty", "Value": ""},
    ]);
    assert_eq!(listed(&wire), expected);
    wire.done("RemoveTagsFromStream", &remove(&["b", "unknown", "empty"]));
    assert_eq!(listed(&wire), json!([{"Key": "a", "Value": "1"}]));
}

#[test]
fn both_generations_of_calls_see_the_same_tags() {
    let wire = Wire::new();
    let tagged = json!({"StreamName": "orders", "ShardCount": 1, "Tags": {"from": "creation"}});
    wire.done("CreateStream", &tagged);
    let resource = json!({"ResourceARN": arn("orders")});
    let mut change = resource.clone();
    change["Tags"] = json!({"from": "resource", "x": "1"});
    wire.done("TagResource", &change);
    wire.done("AddTagsToStream", &add(json!({"y": "2"})));
    let all = json!([
        {"Key": "from", "Value": "resource"}, {"Key": "x", "Value": "1"}, {"Key": "y", "Value": "2"},
    ]);
    assert_eq!(listed(&wire), all);
    assert_eq!(
        wire.ok("ListTagsForResource", &resource),
        json!({"Tags": all})
    );
    let mut change = resource.clone();
    change["TagKeys"] = json!(["from", "y"]);
    wire.done("UntagResource", &change);
    wire.done("RemoveTagsFromStream", &remove(&["x"]));
    assert_eq!(
        wire.ok("ListTagsForResource", &resource),
        json!({"Tags": []})
    );
    let cbor = wire.call_cbor("ListTagsForResource", &resource);
    assert_eq!((cbor.status, cbor.body), (200, json!({"Tags": []})));
}

#[test]
fn tags_are_listed_by_key_and_by_pages() {
    let wire = Wire::new();
    wire.create("orders");
    wire.done(
        "AddTagsToStream",
        &add(json!({"b": "", "a": "", "d": "", "B": ""})),
    );
    let page = |limit: Value, after: Value| {
        let asked = json!({"StreamName": "orders", "Limit": limit, "ExclusiveStartTagKey": after});
        let listed = wire.ok("ListTagsForStream", &asked);
        let keys = listed["Tags"].as_array().unwrap().iter();
        let keys: Vec<_> = keys
            .map(|tag| tag["Key"].as_str().unwrap().to_owned())
            .collect();
        (keys.concat(), listed["HasMoreTags"].as_bool().unwrap())
    };
    for (limit, after, keys, has_more) in [
        (json!(null), json!(null), "Babd", false),
        (json!(4), json!(null), "Babd", false),
        (json!(3), json!(null), "Bab", true),
        (json!(2), json!("a"), "bd", false),
        (json!(1), json!("a"), "b", true),
        // It need not exist.
        (json!(50), json!("c"), "d", false),
        (json!(null), json!("d"), "", false),
    ] {
        assert_eq!(page(limit, after), (keys.to_owned(), has_more));
    }
    let limit = |limit: i64| json!({"StreamName": "orders", "Limit": limit});
    wire.violates(
        "ListTagsForStream",
        &limit(0),
        &["Value '0' at 'limit' : Member must have value greater than or equal to 1"],
    );
    wire.violates(
        "ListTagsForStream",
        &limit(51),
        &["Value '51' at 'limit' : Member must have value less than or equal to 50"],
    );
}

#[test]
fn a_stream_has_50_tags_and_no_more() {
    const TOO_MANY: &str = "Failed to add tags to stream orders under account 000000000000 because \
                            a given stream cannot have more than 10 tags associated with it.";
    let wire = Wire::new();
    wire.create("orders");
    let refused = |tags: Value| {
        let (name, text) = wire.refused("AddTagsToStream", &add(tags.clone()));
        assert_eq!(
            (name.as_str(), text.as_str()),
            ("InvalidArgumentException", TOO_MANY)
        );
        let resource = json!({"ResourceARN": arn("orders"), "Tags": tags});
        wire.refuses(
            "TagResource",
            &resource,
            "InvalidArgumentException",
            TOO_MANY,
        );
    };
    refused(many("a", 51));
    assert_eq!(listed(&wire), json!([]), "nothing was added");
    wire.done("AddTagsToStream", &add(many("a", 49)));
    refused(many("b", 2));
    wire.done("AddTagsToStream", &add(many("b", 1)));
    refused(json!({"c": ""}));
    refused(json!({"a0": "", "c": ""}));
    // Another value for a key that is there is not one more.
    wire.done("AddTagsToStream", &add(many("a", 49)));
    wire.done("RemoveTagsFromStream", &remove(&["a0"]));
    wire.done("AddTagsToStream", &add(json!({"c": ""})));

    let created = json!({"StreamName": "others", "ShardCount": 1, "Tags": many("a", 51)});
    wire.refuses_as("CreateStream", &created, "InvalidArgumentException");
    let created = json!({"StreamName": "others", "ShardCount": 1, "Tags": many("a", 50)});
    wire.done("CreateStream", &created);
}

#[test]
fn characters_of_tags_are_checked_in_two_steps() {
    const FIRST: &str = "Some tags contain invalid characters. Valid characters: Unicode letters, \
                         digits, white space, _ . / = + - % @.";
    let wire = Wire::new();
    wire.create("orders");
    let illegal = |aim: &str| {
        format!(
            "Failed to {aim} stream orders under account 000000000000 because some tags contained \
             illegal characters. The allowed characters are Unicode letters, white-spaces, \
             '_',',','/','=','+','-','@'."
        )
    };
    let all = json!({"letters äß日本 \u{a0} 0٣": "_.:/=+-@"});
    wire.done("AddTagsToStream", &add(all));
    // The last ones are white space, but not that of tags.
    for c in [
        ';', ',', '!', '#', '"', '\\', '*', '?', '(', '\u{0}', '😀', '\t', '\n', '\r',
    ] {
        for tags in [json!({format!("a{c}"): "v"}), json!({"a": format!("v{c}")})] {
            wire.refuses(
                "AddTagsToStream",
                &add(tags),
                "InvalidArgumentException",
                FIRST,
            );
        }
        let keys = remove(&[&format!("a{c}")]);
        wire.refuses(
            "RemoveTagsFromStream",
            &keys,
            "InvalidArgumentException",
            FIRST,
        );
    }
    let resource = json!({"ResourceARN": arn("orders")});
    let mut tagged = resource.clone();
    tagged["Tags"] = json!({"a%": ""});
    let mut untagged = resource.clone();
    untagged["TagKeys"] = json!(["a%"]);
    let (added, removed) = (illegal("add tags to"), illegal("remove tags from"));
    for (operation, body, text) in [
        ("AddTagsToStream", add(json!({"a%": "v"})), &added),
        ("AddTagsToStream", add(json!({"a": "%"})), &added),
        ("RemoveTagsFromStream", remove(&["b", "%"]), &removed),
        ("TagResource", tagged, &added),
        ("UntagResource", untagged, &removed),
        (
            "CreateStream",
            json!({"StreamName": "orders", "ShardCount": 1, "Tags": {"%": ""}}),
            &added,
        ),
    ] {
        wire.refuses(operation, &body, "InvalidArgumentException", text);
    }
    // The first check comes first.
    wire.refuses(
        "AddTagsToStream",
        &add(json!({"%": ";"})),
        "InvalidArgumentException",
        FIRST,
    );
    // Before the stream is looked for.
    let unknown = json!({"StreamName": "unknown", "Tags": {";": ""}});
    wire.refuses(
        "AddTagsToStream",
        &unknown,
        "InvalidArgumentException",
        FIRST,
    );
}

#[test]
fn lengths_of_tags_are_bounded() {
    let wire = Wire::new();
    wire.create("orders");
    let (longest_key, longest_value) = ("ä".repeat(128), "ä".repeat(256));
    wire.done(
        "AddTagsToStream",
        &add(json!({longest_key.as_str(): longest_value})),
    );
    wire.done("RemoveTagsFromStream", &remove(&[&longest_key]));
    let (key, value) = ("k".repeat(129), "v".repeat(257));
    let lengths = |min: u32, max: u32| {
        format!(
            "[Member must have length less than or equal to {max}, Member must have length greater \
             than or equal to {min}]"
        )
    };
    let keys = format!("Map keys must satisfy constraint: {}", lengths(1, 128));
    let values = format!("Map value must satisfy constraint: {}", lengths(0, 256));
    for (tags, violation) in [
        (
            json!({key.as_str(): ""}),
            format!("Value '{{{key}=}}' at 'tags' : {keys}"),
        ),
        (
            json!({"": "a"}),
            format!("Value '{{=a}}' at 'tags' : {keys}"),
        ),
        (
            json!({"a": value.as_str()}),
            format!("Value '{{a={value}}}' at 'tags' : {values}"),
        ),
    ] {
        wire.violates("AddTagsToStream", &add(tags), &[&violation]);
    }
    wire.violates(
        "AddTagsToStream",
        &add(json!({})),
        &["Value '{}' at 'tags' : Member must have length greater than or equal to 1"],
    );
    let (name, _) = wire.refused("AddTagsToStream", &add(many("a", 201)));
    assert_eq!(name, "ValidationException");
    let violation = format!(
        "Value '[{key}]' at 'tagKeys' : Member must satisfy constraint: {}",
        lengths(1, 128)
    );
    wire.violates("RemoveTagsFromStream", &remove(&[&key]), &[&violation]);
    wire.violates(
        "RemoveTagsFromStream",
        &remove(&[]),
        &["Value '[]' at 'tagKeys' : Member must have length greater than or equal to 1"],
    );
    let keys: Vec<_> = (0..50).map(|index| format!("a{index}")).collect();
    let mut keys: Vec<_> = keys.iter().map(String::as_str).collect();
    wire.done("RemoveTagsFromStream", &remove(&keys));
    keys.push("a50");
    let violation = format!(
        "Value '[{}]' at 'tagKeys' : Member must have length less than or equal to 50",
        keys.join(", ")
    );
    wire.violates("RemoveTagsFromStream", &remove(&keys), &[&violation]);
}

#[test]
fn a_resource_that_is_not_there_has_no_tags() {
    let wire = Wire::new();
    wire.create("orders");
    let account = "arn:aws:kinesis:us-east-1:000000000000";
    for (arn, text) in [
        (
            format!("{account}:stream/others"),
            "Stream others under account 000000000000 not found.",
        ),
        (
            format!("{account}:stream/orders/consumer/audit:1"),
            "Consumer audit, account 000000000000 not found.",
        ),
        (
            format!("{account}:stream/orders/consumer/audit"),
            "Consumer audit, account 000000000000 not found.",
        ),
        (
            format!("{account}:channel/x"),
            "Channel x under account 000000000000 not found.",
        ),
        (
            format!("{account}:queue/x"),
            "Resource arn:aws:kinesis:us-east-1:000000000000:queue/x under account 000000000000 not \
             found.",
        ),
    ] {
        for (operation, member) in [
            ("TagResource", json!({"Tags": {"a": ""}})),
            ("UntagResource", json!({"TagKeys": ["a"]})),
            ("ListTagsForResource", json!({})),
        ] {
            let mut body = member;
            body["ResourceARN"] = json!(arn);
            wire.refuses(operation, &body, "ResourceNotFoundException", text);
        }
    }
    let malformed = json!({"ResourceARN": "orders"});
    wire.violates("ListTagsForResource", &malformed, &[
        r"Value 'orders' at 'resourceARN' : Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+",
    ]);
}
