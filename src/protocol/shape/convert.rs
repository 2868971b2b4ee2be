//! The first check: each member is given the type of its shape.

use std::collections::HashSet;

use crate::base64::decode_base64;
use crate::protocol::cbor::millis_of_secs;
use crate::protocol::exception::Exception;
use crate::protocol::shape::{Input, Member, Shape, Text};
use crate::protocol::value::Value;

/// Gives each member of a request its type. Members that are unknown are left out, those that are null,
/// too. What is null within a list or a map stays, for [`validate`](super::validate()) to refuse.
pub(crate) fn convert(members: &[Member], request: Value) -> Result<Input, Exception> {
    let given = match request {
        Value::Map(given) => given,
        // The contract, 7.2: a list passes as a structure without members.
        _ => Vec::new(),
    };
    let members = convert_members(members, given)?;
    Ok(Input { members })
}

fn convert_members(
    members: &[Member],
    mut given: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, Exception> {
    let mut converted = Vec::with_capacity(given.len().min(members.len()));
    for member in members {
        let Some(index) = given.iter().rposition(|(name, _)| name == member.name) else {
            continue;
        };
        let (name, value) = given.swap_remove(index);
        // An earlier one of the same name must not be found in its place.
        given.retain(|(other, _)| *other != name);
        if value != Value::Null {
            converted.push((name, convert_value(&member.shape, value)?));
        }
    }
    Ok(converted)
}

fn convert_value(shape: &Shape, value: Value) -> Result<Value, Exception> {
    match (shape, value) {
        // The contract, 7.6: null is of every type.
        (_, Value::Null) => Ok(Value::Null),
        (Shape::List { of, .. }, Value::List(items)) => {
            let items = items.into_iter();
            let converted: Result<_, _> = items.map(|item| convert_value(of, item)).collect();
            converted.map(Value::List)
        }
        (Shape::Map { values, .. }, Value::Map(members)) => {
            convert_map(values, members).map(Value::Map)
        }
        (Shape::Structure { members, .. }, Value::Map(given)) => {
            convert_members(members, given).map(Value::Map)
        }
        (Shape::Structure { .. } | Shape::Map { .. }, Value::List(_)) => {
            Err(mistyped("Start of list found where not expected"))
        }
        (Shape::Structure { .. }, _) => Err(mistyped("Expected null")),
        (Shape::Map { .. }, _) => Err(mistyped("Expected map or null")),
        (Shape::List { .. }, Value::Map(_)) | (_, Value::Map(_)) => Err(mistyped(
            "Start of structure or map found where not expected.",
        )),
        (Shape::List { .. }, _) => Err(mistyped("Expected list or null")),
        (_, Value::List(_)) => Err(mistyped("Start of list found where not expected")),
        (scalar, value) => convert_scalar(scalar, value),
    }
}

/// Of keys that are given more than once the last counts, where it stands. One pass: the client says how
/// many keys there are.
fn convert_map(
    values: &Text,
    members: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, Exception> {
    let mut converted = Vec::with_capacity(members.len());
    for (name, value) in members {
        converted.push((name, convert_value(&Shape::Text(*values), value)?));
    }
    let mut seen = HashSet::with_capacity(converted.len());
    let is_last: Vec<_> = converted
        .iter()
        .rev()
        .map(|(name, _)| seen.insert(name.as_str()))
        .collect();
    let mut is_last = is_last.into_iter().rev();
    converted.retain(|_| is_last.next().unwrap_or(true));
    Ok(converted)
}

fn convert_scalar(shape: &Shape, value: Value) -> Result<Value, Exception> {
    let mistaken =
        |class: &str, aim: &str| Err(mistyped(format!("{class} can not be converted to {aim}")));
    match (shape, value) {
        (Shape::Boolean, Value::Boolean(value)) => Ok(Value::Boolean(value)),
        (Shape::Boolean, Value::Text(text)) => boolean_of(&text),
        (Shape::Boolean, value) => mistaken(class_of(&value), "an Boolean"),

        (Shape::Integer { .. }, Value::Integer(number)) => Ok(integer_of(number)),
        (Shape::Integer { .. }, Value::Float(number)) => Ok(integer_of(floor(number))),
        (Shape::Integer { .. }, value) => mistaken(class_of(&value), "an Integer"),

        (Shape::Timestamp, Value::Timestamp(millis)) => Ok(Value::Timestamp(millis)),
        (Shape::Timestamp, Value::Integer(secs)) => Ok(Value::Timestamp(secs.saturating_mul(1000))),
        (Shape::Timestamp, Value::Float(secs)) => Ok(Value::Timestamp(millis_of_secs(secs))),
        (Shape::Timestamp, value) => mistaken(class_of(&value), "milliseconds since epoch"),

        (Shape::Blob { .. }, Value::Blob(bytes)) => Ok(Value::Blob(bytes)),
        (Shape::Blob { .. }, Value::Text(text)) => blob_of(&text),
        (Shape::Blob { .. }, value) => mistaken(class_of(&value), "a Blob"),

        (_, Value::Text(text)) => Ok(Value::Text(text)),
        (_, value) => mistaken(class_of(&value), "an String"),
    }
}

fn mistyped(message: impl Into<String>) -> Exception {
    Exception::serialization(message)
}

/// What the service takes a scalar for.
const fn class_of(value: &Value) -> &'static str {
    match value {
        Value::Boolean(_) => "class java.lang.Boolean",
        Value::Integer(_) | Value::Float(_) => {
            "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
        }
        Value::Blob(_) => "class java.nio.HeapByteBuffer",
        Value::Timestamp(_) => "class java.util.Date",
        Value::Null | Value::Text(_) | Value::List(_) | Value::Map(_) => "class java.lang.String",
    }
}

fn boolean_of(text: &str) -> Result<Value, Exception> {
    match text.to_uppercase().as_str() {
        "TRUE" | "1" | "YES" => Ok(Value::Boolean(true)),
        "FALSE" | "0" | "NO" => Ok(Value::Boolean(false)),
        other => Err(mistyped(format!(
            "'{other}' can not be converted to an Boolean"
        ))),
    }
}

fn integer_of(number: i64) -> Value {
    Value::Integer(number.clamp(i32::MIN.into(), i32::MAX.into()))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "such a cast saturates, and makes no number 0"
)]
fn floor(number: f64) -> i64 {
    number.floor() as i64
}

fn blob_of(text: &str) -> Result<Value, Exception> {
    if let Some(bytes) = decode_base64(text) {
        return Ok(Value::Blob(bytes.into()));
    }
    Err(mistyped(format!(
        "'{text}' can not be converted to a Blob: {}",
        why_no_base64(text)
    )))
}

fn why_no_base64(text: &str) -> String {
    let length = text.encode_utf16().count();
    if !length.is_multiple_of(4) {
        return format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {length}"
        );
    }
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut behind = text.chars().skip(1);
    let invalid = text.chars().find(|c| {
        let next = behind.next();
        !is_valid(*c) || (*c == '=' && next.is_some_and(|next| next != '='))
    });
    match invalid {
        Some(invalid) => format!("Invalid Base64 character: '{invalid}'"),
        // The service's own spelling.
        None => "Invalid last non-pad Base64 character dectected".to_owned(),
    }
}
