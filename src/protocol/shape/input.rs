//! The members of a request that have passed the checks.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::protocol::value::Value;

/// The checked members of a request, or of a structure within it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Input {
    pub(super) members: Vec<(String, Value)>,
}

impl Input {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A number of things: the constraint of its shape says that it is not negative.
    pub(crate) fn count(&self, name: &str) -> Option<usize> {
        self.integer(name)
            .and_then(|number| usize::try_from(number).ok())
    }

    /// `false` if it is not there.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Boolean(true)))
    }

    /// A time; one before the epoch is the epoch.
    pub(crate) fn timestamp(&self, name: &str) -> Option<Timestamp> {
        match self.get(name)? {
            Value::Timestamp(millis) => {
                Some(Timestamp::from_millis(u64::try_from(*millis).unwrap_or(0)))
            }
            _ => None,
        }
    }

    pub(crate) fn blob(&self, name: &str) -> Option<&Bytes> {
        match self.get(name)? {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Empty if it is not there.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The texts of a list; none if it is not there.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The structures of a list; none if it is not there.
    pub(crate) fn structures(&self, name: &str) -> impl Iterator<Item = Self> {
        self.list(name).iter().filter_map(|item| match item {
            Value::Map(members) => Some(Self {
                members: members.clone(),
            }),
            _ => None,
        })
    }

    /// A map from texts to texts, the keys in the order given; none if it is not there.
    pub(crate) fn map(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let members = match self.get(name) {
            Some(Value::Map(members)) => members.as_slice(),
            _ => &[],
        };
        members.iter().filter_map(|(key, value)| match value {
            Value::Text(text) => Some((key.as_str(), text.as_str())),
            _ => None,
        })
    }

    pub(crate) fn structure(&self, name: &str) -> Option<Self> {
        match self.get(name)? {
            Value::Map(members) => Some(Self {
                members: members.clone(),
            }),
            _ => None,
        }
    }
}
