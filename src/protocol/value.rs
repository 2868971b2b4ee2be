//! The values that travel, whichever way they are encoded.

use bytes::Bytes;

/// A value of a request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Blob(Bytes),
    /// Milliseconds since the epoch.
    Timestamp(i64),
    List(Vec<Self>),
    /// A map or a structure. Of members of one name, the last counts.
    Map(Vec<(String, Self)>),
}

impl Value {
    /// A structure without members.
    pub(crate) const fn structure() -> Self {
        Self::Map(Vec::new())
    }

    /// With one more member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Self>) -> Self {
        if let Self::Map(members) = &mut self {
            members.push((name.to_owned(), value.into()));
        }
        self
    }

    /// With one more member, if there is a value for it: what is unset is left out.
    pub(crate) fn with_some(self, name: &str, value: Option<impl Into<Self>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A list of what can be made values.
    pub(crate) fn list(items: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Blob(value)
    }
}

impl From<crate::clock::Timestamp> for Value {
    fn from(value: crate::clock::Timestamp) -> Self {
        Self::Timestamp(i64::try_from(value.as_millis()).unwrap_or(i64::MAX))
    }
}
