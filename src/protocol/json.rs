//! Values as JSON: blobs are base64, timestamps seconds since the epoch (the contract, 7.4).

use std::cell::Cell;
use std::fmt;
use std::io::Write;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::base64::append_base64;
use crate::protocol::codec::{DEPTH_MAX, Malformed, VALUES_MAX};
use crate::protocol::value::Value;
use crate::sequence::write_digits;
use crate::shard_id::ShardId;

/// Reads a document, of which nothing is known.
pub(crate) fn decode(body: &[u8]) -> Result<Value, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // One more, for the outermost.
    let left = Cell::new(VALUES_MAX + 1);
    let outermost = Nested {
        depth: DEPTH_MAX,
        left: &left,
    };
    let value = outermost
        .deserialize(&mut deserializer)
        .map_err(|_| Malformed)?;
    deserializer.end().map_err(|_| Malformed)?;
    Ok(value)
}

/// Appends a value to a document.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => encode_integer(*number, out),
        Value::Float(number) => {
            write!(out, "{number}").expect("a vector takes all that is written to it");
        }
        Value::Text(text) => encode_text(text, out),
        Value::Blob(bytes) => encode_blob(bytes, out),
        Value::Timestamp(millis) => encode_timestamp(*millis, out),
        Value::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                encode(item, out);
            }
            out.push(b']');
        }
        Value::Map(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                encode_text(name, out);
                out.push(b':');
                encode(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Appends a string, escaped where it must be.
pub(crate) fn encode_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a vector takes all that is written to it");
}

/// Appends a blob as base64.
pub(crate) fn encode_blob(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    append_base64(bytes, out);
    out.push(b'"');
}

/// Appends a time as seconds, with three digits of milliseconds unless they are none.
pub(crate) fn encode_timestamp(millis: i64, out: &mut Vec<u8>) {
    if millis < 0 {
        out.push(b'-');
    }
    let millis = millis.unsigned_abs();
    encode_unsigned(millis / 1000, out);
    let rest = millis % 1000;
    if rest != 0 {
        let mut room = *b".000";
        write_digits(rest, &mut room);
        out.extend_from_slice(&room);
    }
}

/// Appends a number.
pub(crate) fn encode_integer(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    encode_unsigned(number.unsigned_abs(), out);
}

/// Appends a number.
pub(crate) fn encode_unsigned(number: u64, out: &mut Vec<u8>) {
    let mut room = [0; 20];
    let count = write_digits(number, &mut room);
    out.extend_from_slice(&room[room.len() - count..]);
}

/// Appends the id of a shard.
pub(crate) fn encode_shard_id(shard_id: ShardId, out: &mut Vec<u8>) {
    let mut text = *b"\"shardId-000000000000\"";
    let last = text.len() - 1;
    write_digits(u64::from(shard_id.index()), &mut text[..last]);
    out.extend_from_slice(&text);
}

/// Reads a value that may hold others so many levels deep, of which so many are left in all.
struct Nested<'c> {
    depth: usize,
    left: &'c Cell<usize>,
}

impl Nested<'_> {
    fn deeper<E: Error>(&self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { depth, ..*self })
    }
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        let left = left.ok_or_else(|| D::Error::custom("too many values"))?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(name) = members.next_key()? {
            map.push((name, members.next_value_seed(self.deeper()?)?));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &Value) -> String {
        let mut out = Vec::new();
        encode(value, &mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn a_document_is_read_as_it_is_written() {
        let text = r#"{"a":[1,-2,true,false,null,"x\"ü/"],"b":{"c":1.5},"d":""}"#;
        let value = decode(text.as_bytes()).expect("it is valid");
        assert_eq!(encoded(&value), text);
    }

    #[test]
    fn a_timestamp_is_seconds_with_milliseconds() {
        for (millis, text) in [
            (0, "0"),
            (1, "0.001"),
            (1_459_799_926_480, "1459799926.480"),
            (1_459_799_926_000, "1459799926"),
            (-1, "-0.001"),
            (-1_500, "-1.500"),
            (-2_000, "-2"),
        ] {
            assert_eq!(encoded(&Value::Timestamp(millis)), text);
        }
    }

    #[test]
    fn a_blob_is_base64_with_padding() {
        assert_eq!(encoded(&Value::Blob("a".into())), "\"YQ==\"");
        assert_eq!(encoded(&Value::Blob("".into())), "\"\"");
    }

    #[test]
    fn what_is_no_document_is_malformed() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "{}x",
            "{\"a\":}",
            "nul",
            "\u{feff}{}",
            "[1,]",
            "{'a':1}",
            &deep,
        ] {
            assert_eq!(decode(text.as_bytes()), Err(Malformed), "{text:.20}");
        }
        assert_eq!(decode(b"\"\xff\""), Err(Malformed));
        let within = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(decode(within.as_bytes()).is_ok());
    }

    #[test]
    fn a_body_of_very_many_small_values_is_malformed() {
        let list = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert!(decode(list(VALUES_MAX).as_bytes()).is_ok());
        assert_eq!(decode(list(VALUES_MAX + 1).as_bytes()), Err(Malformed));
    }
}
