//! The states in which a stream can be.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// The state of a stream, with the names that Kinesis has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamStatus {
    /// It was created a moment ago and takes no records yet.
    Creating,
    /// It takes records, and can be changed.
    Active,
    /// It was changed a moment ago: it takes records, and cannot be changed.
    Updating,
    /// It was deleted, and is gone in a moment.
    Deleting,
}

impl StreamStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

impl fmt::Display for StreamStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state that lasts until a time; `Active` follows it, or nothing after `Deleting`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    status: StreamStatus,
    until: Timestamp,
}

impl Phase {
    /// A state that begins at `now`.
    pub(crate) fn begin(status: StreamStatus, now: Timestamp, delay: Duration) -> Self {
        Self {
            status,
            until: now.saturating_add(delay),
        }
    }

    /// The state at a time; `None` once the stream is gone.
    pub(crate) fn at(self, now: Timestamp) -> Option<StreamStatus> {
        match self.status {
            status if now < self.until => Some(status),
            StreamStatus::Deleting => None,
            _ => Some(StreamStatus::Active),
        }
    }
}
