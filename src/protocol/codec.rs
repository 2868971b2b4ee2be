//! The two encodings of a request and its answer.

use crate::protocol::value::Value;
use crate::protocol::{cbor, json};

/// How deeply values may be nested: more than any request needs.
pub(crate) const DEPTH_MAX: usize = 64;

/// How many values a body may have: more than any request has, and few enough that small ones do not take
/// many times the memory that they came in.
pub(crate) const VALUES_MAX: usize = 50_000;

/// An encoding of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`.
    Cbor,
}

/// A body that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Encoding {
    /// The content type that names it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// The encoding that a content type names; what follows a `;` does not matter.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let names = |encoding: &Self| essence.eq_ignore_ascii_case(encoding.content_type());
        [Self::Json, Self::Cbor].into_iter().find(names)
    }

    pub(crate) fn decode(self, body: &[u8]) -> Result<Value, Malformed> {
        match self {
            Self::Json => json::decode(body),
            Self::Cbor => cbor::decode(body),
        }
    }

    pub(crate) fn encode(self, value: &Value) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        match self {
            Self::Json => json::encode(value, &mut out),
            Self::Cbor => cbor::encode(value, &mut out),
        }
        out
    }
}
