//! Values as CBOR: blobs are byte strings, timestamps tagged milliseconds (the contract, 7.4).

use bytes::Bytes;
use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};

use crate::protocol::codec::{DEPTH_MAX, Malformed, VALUES_MAX};
use crate::protocol::value::Value;

/// What stands before a time.
const EPOCH: Tag = Tag::new(1);

/// Reads one item, of which nothing is known, and nothing behind it.
pub(crate) fn decode(body: &[u8]) -> Result<Value, Malformed> {
    let mut decoder = Decoder::new(body);
    let value = item(&mut decoder, DEPTH_MAX, &mut { VALUES_MAX })?;
    if decoder.position() == body.len() {
        Ok(value)
    } else {
        Err(Malformed)
    }
}

/// Appends a value as one item.
pub(crate) fn encode(value: &Value, out: &mut Vec<u8>) {
    let mut encoder = Encoder::new(out);
    encode_item(value, &mut encoder).expect("a vector takes all that is written to it");
}

type Encoded = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode_item(value: &Value, encoder: &mut Encoder<&mut Vec<u8>>) -> Encoded {
    match value {
        Value::Null => encoder.null()?,
        Value::Boolean(value) => encoder.bool(*value)?,
        Value::Integer(value) => encoder.i64(*value)?,
        Value::Float(value) => encoder.f64(*value)?,
        Value::Text(text) => encoder.str(text)?,
        Value::Blob(bytes) => encoder.bytes(bytes)?,
        Value::Timestamp(millis) => encoder.tag(EPOCH)?.i64(*millis)?,
        Value::List(items) => {
            encoder.array(items.len() as u64)?;
            for item in items {
                encode_item(item, encoder)?;
            }
            encoder
        }
        Value::Map(members) => {
            encoder.map(members.len() as u64)?;
            for (name, value) in members {
                encode_item(value, encoder.str(name)?)?;
            }
            encoder
        }
    };
    Ok(())
}

impl From<minicbor::decode::Error> for Malformed {
    fn from(_: minicbor::decode::Error) -> Self {
        Self
    }
}

/// Reads one item that may hold others so many levels deep, of which so many are left in all.
/// Lengths that are said and not kept allocate nothing.
fn item(decoder: &mut Decoder<'_>, depth: usize, left: &mut usize) -> Result<Value, Malformed> {
    Ok(match decoder.datatype()? {
        Type::Null | Type::Undefined => {
            decoder.skip()?;
            Value::Null
        }
        Type::Bool => Value::Boolean(decoder.bool()?),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            Value::Integer(i64::try_from(decoder.u64()?).unwrap_or(i64::MAX))
        }
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            let number = i128::from(decoder.int()?);
            let clamped = number.clamp(i64::MIN.into(), i64::MAX.into());
            Value::Integer(i64::try_from(clamped).expect("it is clamped"))
        }
        Type::F16 => Value::Float(decoder.f16()?.into()),
        Type::F32 => Value::Float(decoder.f32()?.into()),
        Type::F64 => Value::Float(decoder.f64()?),
        Type::String => Value::Text(decoder.str()?.to_owned()),
        Type::StringIndef => {
            let mut text = String::new();
            for part in decoder.str_iter()? {
                text.push_str(part?);
            }
            Value::Text(text)
        }
        Type::Bytes => Value::Blob(Bytes::copy_from_slice(decoder.bytes()?)),
        Type::BytesIndef => {
            let mut bytes = Vec::new();
            for part in decoder.bytes_iter()? {
                bytes.extend_from_slice(part?);
            }
            Value::Blob(bytes.into())
        }
        Type::Tag if decoder.tag()? == EPOCH => timestamp(decoder)?,
        Type::Tag => item(decoder, deeper(depth)?, left)?,
        Type::Array | Type::ArrayIndef => Value::List(array(decoder, deeper(depth)?, left)?),
        Type::Map | Type::MapIndef => Value::Map(map(decoder, deeper(depth)?, left)?),
        _ => return Err(Malformed),
    })
}

fn deeper(depth: usize) -> Result<usize, Malformed> {
    depth.checked_sub(1).ok_or(Malformed)
}

/// Whole numbers are milliseconds, as the Java SDK writes them; broken ones are seconds.
fn timestamp(decoder: &mut Decoder<'_>) -> Result<Value, Malformed> {
    Ok(match item(decoder, 0, &mut 0)? {
        Value::Integer(millis) => Value::Timestamp(millis),
        Value::Float(secs) => Value::Timestamp(millis_of_secs(secs)),
        _ => return Err(Malformed),
    })
}

/// Seconds as milliseconds; what is out of bounds is at them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "such a cast saturates, and makes no number 0"
)]
pub(crate) fn millis_of_secs(secs: f64) -> i64 {
    (secs * 1000.0).round() as i64
}

fn array(
    decoder: &mut Decoder<'_>,
    depth: usize,
    left: &mut usize,
) -> Result<Vec<Value>, Malformed> {
    let mut length = decoder.array()?;
    let mut items = Vec::new();
    while more(decoder, &mut length)? {
        *left = left.checked_sub(1).ok_or(Malformed)?;
        items.push(item(decoder, depth, left)?);
    }
    Ok(items)
}

fn map(
    decoder: &mut Decoder<'_>,
    depth: usize,
    left: &mut usize,
) -> Result<Vec<(String, Value)>, Malformed> {
    let mut length = decoder.map()?;
    let mut members = Vec::new();
    while more(decoder, &mut length)? {
        *left = left.checked_sub(1).ok_or(Malformed)?;
        let Value::Text(name) = item(decoder, 0, left)? else {
            return Err(Malformed);
        };
        members.push((name, item(decoder, depth, left)?));
    }
    Ok(members)
}

/// Whether another item follows, of a length that is said or up to a break.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Malformed> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_read_as_it_is_written() {
        let value = Value::structure()
            .with("null", Value::Null)
            .with("numbers", Value::list([0, -1, i64::MAX, i64::MIN]))
            .with("half", Value::Float(0.5))
            .with("blob", Bytes::from_static(b"\xff\0"))
            .with("time", Value::Timestamp(1_459_799_926_480))
            .with("nested", Value::structure().with("ü", true));
        let mut out = Vec::new();
        encode(&value, &mut out);
        assert_eq!(decode(&out), Ok(value));
    }

    #[test]
    fn lengths_may_be_left_open() {
        // {_ "a": (_ "x", "y"), "b": [_ 1, (_ h'00', h'01')]}
        let open = b"\xbf\x61a\x7f\x61x\x61y\xff\x61b\x9f\x01\x5f\x41\x00\x41\x01\xff\xff\xff";
        let expected = Value::structure().with("a", "xy").with(
            "b",
            Value::List(vec![
                Value::Integer(1),
                Value::Blob(Bytes::from_static(b"\0\x01")),
            ]),
        );
        assert_eq!(decode(open), Ok(expected));
    }

    #[test]
    fn a_time_is_tagged_milliseconds_or_broken_seconds() {
        assert_eq!(decode(b"\xc1\x19\x03\xe8"), Ok(Value::Timestamp(1000)));
        // 1.5 as a half-precision number.
        assert_eq!(decode(b"\xc1\xf9\x3e\x00"), Ok(Value::Timestamp(1500)));
        assert_eq!(decode(b"\xc1\x61x"), Err(Malformed));
    }

    #[test]
    fn a_length_that_is_not_kept_is_malformed_and_allocates_nothing() {
        for head in [0x9b, 0xbb, 0x5b, 0x7b] {
            let mut body = vec![head];
            body.extend_from_slice(&(1_u64 << 60).to_be_bytes());
            assert_eq!(decode(&body), Err(Malformed));
        }
    }

    #[test]
    fn an_item_of_very_many_small_ones_is_malformed() {
        let list = |count: usize| {
            let mut body = vec![0x9f];
            body.resize(count + 1, 0xa0);
            body.push(0xff);
            body
        };
        assert!(decode(&list(VALUES_MAX)).is_ok());
        assert_eq!(decode(&list(VALUES_MAX + 1)), Err(Malformed));
    }

    #[test]
    fn what_is_no_item_is_malformed() {
        let deep = vec![0x81; 100_000];
        let tagged = vec![0xc6; 100_000];
        for body in [
            &b""[..],
            b"\xff",
            b"\x01\x01",
            b"\xa1\x01\x01",
            b"\x61\xff",
            &deep,
            &tagged,
        ] {
            assert_eq!(decode(body), Err(Malformed));
        }
    }
}
