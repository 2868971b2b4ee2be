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

/// A state that may end at a time; then `Active` follows, or nothing after `Deleting`.
///
/// What has ended stays so though the clock steps back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    status: StreamStatus,
    /// `None`: an `Active` that stays, or a `Deleting` that is over.
    until: Option<Timestamp>,
}

impl Phase {
    /// A state that begins at `now`.
    pub(crate) fn begin(status: StreamStatus, now: Timestamp, delay: Duration) -> Self {
        let phase = Self {
            status,
            until: Some(now.saturating_add(delay)),
        };
        if delay.is_zero() { phase.next() } else { phase }
    }

    /// Goes on to what follows, if it is time.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        if self.until.is_some_and(|until| until <= now) {
            *self = self.next();
        }
    }

    /// The state; `None` once the stream is gone.
    pub(crate) fn status(self) -> Option<StreamStatus> {
        match self {
            Self {
                status: StreamStatus::Deleting,
                until: None,
            } => None,
            Self { status, .. } => Some(status),
        }
    }

    const fn next(self) -> Self {
        let status = match self.status {
            StreamStatus::Deleting => StreamStatus::Deleting,
            StreamStatus::Creating | StreamStatus::Active | StreamStatus::Updating => {
                StreamStatus::Active
            }
        };
        Self {
            status,
            until: None,
        }
    }
}
