//! Calls of the protocol, with bodies as JSON values whichever way they are encoded.

use std::time::Duration;

use brooklet::protocol::{Body, Encoding, Service};
use brooklet::{ManualClock, Registry};
use minicbor::data::{Tag, Type};
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Number, Value, json};

/// An account on a hand-turned clock.
#[derive(Debug)]
pub struct Wire {
    pub service: Service,
    pub registry: Registry,
    pub clock: ManualClock,
}

/// What a call is answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    /// Null if there is none.
    pub body: Value,
}

impl Wire {
    /// An account whose streams change state at once.
    pub fn new() -> Self {
        Self::with_delay(Duration::ZERO)
    }

    /// An account in which each change of state takes a while.
    pub fn with_delay(delay: Duration) -> Self {
        let clock = super::clock();
        let registry = Registry::builder()
            .clock(clock.clone())
            .state_delay(delay)
            .build();
        Self {
            service: Service::new(&registry),
            registry,
            clock,
        }
    }

    /// Calls an operation in JSON.
    pub fn call(&self, operation: &str, body: &Value) -> Answer {
        let target = format!("Kinesis_20131202.{operation}");
        let body = body.to_string().into_bytes();
        self.answer(&target, Encoding::Json, body, |body| {
            serde_json::from_slice(body).expect("the answer is JSON")
        })
    }

    /// Calls an operation in CBOR. Times go and come as `{"millis": 1}`, blobs come as base64 does
    /// not: as lists of numbers.
    pub fn call_cbor(&self, operation: &str, body: &Value) -> Answer {
        let target = format!("Kinesis_20131202.{operation}");
        let mut encoded = Vec::new();
        encode(body, &mut Encoder::new(&mut encoded));
        self.answer(&target, Encoding::Cbor, encoded, |body| {
            let mut decoder = Decoder::new(body);
            let value = decode(&mut decoder);
            assert_eq!(decoder.position(), body.len(), "nothing is behind the item");
            value
        })
    }

    fn answer(
        &self,
        target: &str,
        encoding: Encoding,
        body: Vec<u8>,
        decode: impl FnOnce(&[u8]) -> Value,
    ) -> Answer {
        let response = self.service.call(target, encoding, body);
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().expect("headers are text").to_owned())
        };
        assert_eq!(
            header("content-type").as_deref(),
            Some(encoding.content_type()),
            "an answer is encoded as its request"
        );
        let error = header("x-amzn-errortype");
        let body = match response.into_body() {
            Body::Whole(bytes) if bytes.is_empty() => Value::Null,
            Body::Whole(bytes) => decode(&bytes),
            _ => panic!("no operation of these tests answers with a stream"),
        };
        assert_eq!(error.as_deref(), body["__type"].as_str());
        Answer { status, body }
    }

    /// Calls an operation that must succeed; what it answers.
    #[track_caller]
    pub fn ok(&self, operation: &str, body: &Value) -> Value {
        let answer = self.call(operation, body);
        assert_eq!(answer.status, 200, "{operation} {body}: {}", answer.body);
        answer.body
    }

    /// Calls an operation that must succeed and has nothing to say.
    #[track_caller]
    pub fn done(&self, operation: &str, body: &Value) {
        assert_eq!(self.ok(operation, body), Value::Null, "{operation}");
    }

    /// Calls an operation that must be refused, with the name of the exception and its text.
    #[track_caller]
    pub fn refused(&self, operation: &str, body: &Value) -> (String, String) {
        let answer = self.call(operation, body);
        assert_eq!(answer.status, 400, "{operation} {body}: {}", answer.body);
        let text = |member: &str| answer.body[member].as_str().unwrap_or_default().to_owned();
        (text("__type"), text("message"))
    }

    /// Checks the name of the exception and its text.
    #[track_caller]
    pub fn refuses(&self, operation: &str, body: &Value, name: &str, message: &str) {
        let refused = self.refused(operation, body);
        assert_eq!(
            refused,
            (name.to_owned(), message.to_owned()),
            "{operation}"
        );
    }

    /// Checks the name of the exception; the contract does not know its text.
    #[track_caller]
    pub fn refuses_as(&self, operation: &str, body: &Value, name: &str) {
        let (refused, message) = self.refused(operation, body);
        assert_eq!(refused, name, "{operation} {body}: {message}");
        assert_ne!(message, "", "{operation}");
    }

    /// Checks that a request violates these constraints and no others, in any order.
    #[track_caller]
    pub fn violates(&self, operation: &str, body: &Value, violations: &[&str]) {
        let (name, message) = self.refused(operation, body);
        assert_eq!(name, "ValidationException", "{operation}: {message}");
        let (count, told) = message.split_once(" detected: ").expect("it has this form");
        let plural = if violations.len() == 1 { "" } else { "s" };
        let expected_count = format!("{} validation error{plural}", violations.len());
        assert_eq!(count, expected_count, "{operation}: {message}");
        let mut told: Vec<_> = told.split("; ").collect();
        let mut violations: Vec<_> = violations
            .iter()
            .map(|violation| violation.replace(" : ", " failed to satisfy constraint: "))
            .collect();
        told.sort_unstable();
        violations.sort_unstable();
        assert_eq!(told, violations, "{operation}");
    }

    /// Creates a provisioned stream of one shard.
    #[track_caller]
    pub fn create(&self, name: &str) {
        self.done(
            "CreateStream",
            &json!({"StreamName": name, "ShardCount": 1}),
        );
    }

    /// Creates a stream on demand.
    #[track_caller]
    pub fn create_on_demand(&self, name: &str) {
        let mode = json!({"StreamMode": "ON_DEMAND"});
        let stream = json!({"StreamName": name, "StreamModeDetails": mode});
        self.done("CreateStream", &stream);
    }

    /// What the summary of a stream says.
    #[track_caller]
    pub fn summary(&self, name: &str) -> Value {
        let asked = json!({"StreamName": name});
        let mut answer = self.ok("DescribeStreamSummary", &asked);
        answer["StreamDescriptionSummary"].take()
    }

    /// The state of a stream.
    #[track_caller]
    pub fn status(&self, name: &str) -> Value {
        self.summary(name)["StreamStatus"].take()
    }
}

/// The ARN of a stream of the account.
pub fn arn(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}")
}

/// The text of an unknown stream.
pub fn not_found(name: &str) -> String {
    format!("Stream {name} under account 000000000000 not found.")
}

/// The text of a stream in a state that does not allow something.
pub fn in_state(name: &str, state: &str) -> String {
    format!("Stream {name} under account 000000000000 not ACTIVE, instead in state {state}")
}

/// Written with lengths that are left open, as the Java SDK does it.
fn encode(value: &Value, encoder: &mut Encoder<&mut Vec<u8>>) {
    let written = "a vector takes all that is written to it";
    match value {
        Value::Null => encoder.null().expect(written),
        Value::Bool(value) => encoder.bool(*value).expect(written),
        Value::Number(number) => match number.as_i64() {
            Some(number) => encoder.i64(number).expect(written),
            None => encoder
                .f64(number.as_f64().expect("it is a number"))
                .expect(written),
        },
        Value::String(text) => encoder.str(text).expect(written),
        Value::Array(items) => {
            encoder.begin_array().expect(written);
            for item in items {
                encode(item, encoder);
            }
            encoder.end().expect(written)
        }
        Value::Object(members) => {
            if let Some(millis) = members.get("millis").and_then(Value::as_i64) {
                encoder.tag(Tag::new(1)).expect(written);
                encoder.i64(millis).expect(written);
                return;
            }
            encoder.begin_map().expect(written);
            for (name, value) in members {
                encoder.str(name).expect(written);
                encode(value, encoder);
            }
            encoder.end().expect(written)
        }
    };
}

fn decode(decoder: &mut Decoder<'_>) -> Value {
    let valid = "the answer is CBOR";
    match decoder.datatype().expect(valid) {
        Type::Bool => Value::Bool(decoder.bool().expect(valid)),
        Type::String => Value::String(decoder.str().expect(valid).to_owned()),
        Type::Bytes => json!(decoder.bytes().expect(valid)),
        Type::Tag => {
            assert_eq!(decoder.tag().expect(valid), Tag::new(1));
            json!({"millis": decoder.i64().expect("times are whole milliseconds")})
        }
        Type::Array => {
            let length = decoder.array().expect(valid).expect("its length is said");
            Value::Array((0..length).map(|_| decode(decoder)).collect())
        }
        Type::Map => {
            let length = decoder.map().expect(valid).expect("its length is said");
            let member = |_| {
                let name = decoder.str().expect(valid).to_owned();
                (name, decode(decoder))
            };
            Value::Object((0..length).map(member).collect::<Map<_, _>>())
        }
        _ => Value::Number(Number::from(decoder.i64().expect(valid))),
    }
}
