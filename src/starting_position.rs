//! Where a reader begins.

use std::fmt;
use std::str::FromStr;

use crate::clock::{ParseTimestampError, Timestamp};
use crate::sequence::{ParseSequenceNumberError, SequenceNumber};

/// Where in a shard a reader begins, as in `GetShardIterator` of Kinesis.
///
/// Shown and read in the words of Kinesis, so that a [position](crate::ShardIterator::position) can
/// be kept in a file:
///
/// ```
/// use brooklet::{StartingPosition, Timestamp};
///
/// let position = StartingPosition::at_timestamp(Timestamp::from_millis(1_357_034_400_000));
/// assert_eq!(position.to_string(), "AT_TIMESTAMP:2013-01-01T10:00:00.000Z");
/// assert_eq!("AT_TIMESTAMP:2013-01-01T10:00:00.000Z".parse(), Ok(position));
/// assert_eq!("TRIM_HORIZON".parse(), Ok(StartingPosition::TrimHorizon));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartingPosition {
    /// At the oldest retained record, whichever that is when the first batch is read.
    TrimHorizon,
    /// After the newest record of now: what is put from now on is read.
    Latest,
    /// At the record with this number or, if there is none, the next one.
    AtSequenceNumber(SequenceNumber),
    /// After the record with this number.
    AfterSequenceNumber(SequenceNumber),
    /// At the first record that arrived at this time or later. A time in the future is refused.
    AtTimestamp(Timestamp),
}

impl StartingPosition {
    /// At the first record that arrived at `time` or later, from any kind of time.
    pub fn at_timestamp(time: impl Into<Timestamp>) -> Self {
        Self::AtTimestamp(time.into())
    }
}

impl fmt::Display for StartingPosition {
    /// The shard iterator type of Kinesis, and behind a colon the number or the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str(TRIM_HORIZON),
            Self::Latest => f.write_str(LATEST),
            Self::AtSequenceNumber(number) => write!(f, "{AT_SEQUENCE_NUMBER}:{number}"),
            Self::AfterSequenceNumber(number) => write!(f, "{AFTER_SEQUENCE_NUMBER}:{number}"),
            Self::AtTimestamp(timestamp) => write!(f, "{AT_TIMESTAMP}:{timestamp}"),
        }
    }
}

/// Text that is no [`StartingPosition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseStartingPositionError {
    /// It is not of a form that a position has.
    #[error(
        "starting position is not TRIM_HORIZON, LATEST, AT_SEQUENCE_NUMBER:number, AFTER_SEQUENCE_NUMBER:number or AT_TIMESTAMP:time"
    )]
    NotAPosition,
    /// What follows the colon is no sequence number.
    #[error(transparent)]
    SequenceNumber(#[from] ParseSequenceNumberError),
    /// What follows the colon is no timestamp.
    #[error(transparent)]
    Timestamp(#[from] ParseTimestampError),
}

impl FromStr for StartingPosition {
    type Err = ParseStartingPositionError;

    /// Reads what is shown, strictly; a time as [`Timestamp`] reads it.
    fn from_str(text: &str) -> Result<Self, ParseStartingPositionError> {
        let (kind, at) = match text.split_once(':') {
            Some((kind, at)) => (kind, Some(at)),
            None => (text, None),
        };
        match (kind, at) {
            (TRIM_HORIZON, None) => Ok(Self::TrimHorizon),
            (LATEST, None) => Ok(Self::Latest),
            (AT_SEQUENCE_NUMBER, Some(number)) => Ok(Self::AtSequenceNumber(number.parse()?)),
            (AFTER_SEQUENCE_NUMBER, Some(number)) => Ok(Self::AfterSequenceNumber(number.parse()?)),
            (AT_TIMESTAMP, Some(time)) => Ok(Self::AtTimestamp(time.parse()?)),
            _ => Err(ParseStartingPositionError::NotAPosition),
        }
    }
}

const TRIM_HORIZON: &str = "TRIM_HORIZON";
const LATEST: &str = "LATEST";
const AT_SEQUENCE_NUMBER: &str = "AT_SEQUENCE_NUMBER";
const AFTER_SEQUENCE_NUMBER: &str = "AFTER_SEQUENCE_NUMBER";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use ParseStartingPositionError::NotAPosition;
    use StartingPosition::{
        AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon,
    };

    use super::*;

    #[test]
    fn a_position_reads_as_kinesis_names_it() {
        let number = SequenceNumber::new(1_700_000_000, 0, 0, 1_700_000_000);
        for (position, text) in [
            (TrimHorizon, "TRIM_HORIZON"),
            (Latest, "LATEST"),
            (
                AtSequenceNumber(number),
                "AT_SEQUENCE_NUMBER:49646437577108476416916876405825929425585429676275269634",
            ),
            (
                AfterSequenceNumber(number),
                "AFTER_SEQUENCE_NUMBER:49646437577108476416916876405825929425585429676275269634",
            ),
            (
                AtTimestamp(Timestamp::from_millis(1_357_034_400_000)),
                "AT_TIMESTAMP:2013-01-01T10:00:00.000Z",
            ),
        ] {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
    }

    #[test]
    fn text_of_another_form_is_no_position() {
        for text in [
            "",
            ":",
            "LATEST ",
            "latest",
            "Latest",
            "LATEST:",
            "LATEST:0",
            "TRIM_HORIZON:0",
            "AT_SEQUENCE_NUMBER",
            "AT_TIMESTAMP",
            "AT_TIME:2013-01-01T10:00:00Z",
            "2013-01-01T10:00:00Z",
            "0",
        ] {
            assert_eq!(
                text.parse::<StartingPosition>(),
                Err(NotAPosition),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_bad_number_or_time_is_an_error_of_its_own() {
        for text in ["AT_SEQUENCE_NUMBER:", "AFTER_SEQUENCE_NUMBER: 0"] {
            assert_eq!(
                text.parse::<StartingPosition>(),
                Err(ParseSequenceNumberError.into())
            );
        }
        for (text, error) in [
            ("AT_TIMESTAMP:", ParseTimestampError::NotATimestamp),
            (
                "AT_TIMESTAMP:2013-02-29T10:00:00Z",
                ParseTimestampError::NoSuchTime,
            ),
            (
                "AT_TIMESTAMP:1969-01-01T10:00:00Z",
                ParseTimestampError::OutOfRange,
            ),
        ] {
            assert_eq!(
                text.parse::<StartingPosition>(),
                Err(error.into()),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_position_is_read_as_it_is_shown(
            created: u32, index: u32, place in 0..1_u64 << 63, time: u32, millis: u64,
        ) {
            let number = SequenceNumber::new(created.into(), index, place, time.into());
            for position in [
                AtSequenceNumber(number),
                AfterSequenceNumber(number),
                AtTimestamp(Timestamp::from_millis(millis)),
            ] {
                prop_assert_eq!(position.to_string().parse(), Ok(position));
            }
        }
    }
}
