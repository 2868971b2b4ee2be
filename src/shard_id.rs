//! Shard ids.

use std::fmt;
use std::str::FromStr;

/// The name of a shard in its stream: shards are counted from 0 in the order in which they are
/// created, and no number is used twice.
///
/// Shown as Kinesis does; read as leniently as Kinesis does (the contract, 1.5):
///
/// ```
/// use brooklet::ShardId;
///
/// let shard_id: ShardId = "shardId-000000000017".parse()?;
/// assert_eq!(shard_id.index(), 17);
/// assert_eq!("17".parse(), Ok(shard_id));
/// assert_eq!(shard_id.to_string(), "shardId-000000000017");
/// # Ok::<(), brooklet::ParseShardIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u32);

impl ShardId {
    /// The id of the shard with an index of 0 to 2,147,483,647.
    pub const fn new(index: u32) -> Option<Self> {
        if index <= i32::MAX as u32 {
            Some(Self(index))
        } else {
            None
        }
    }

    /// The id of an index that is in bounds, or comes from a sequence number.
    pub(crate) const fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// How many shards the stream had before this one.
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no shard id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not find shard {text}")]
pub struct ParseShardIdError {
    /// The text, or its first 128 characters.
    text: String,
}

impl FromStr for ShardId {
    type Err = ParseShardIdError;

    /// Reads the digits after the first `-`, or the whole text if there is none.
    fn from_str(text: &str) -> Result<Self, ParseShardIdError> {
        let digits = text.split_once('-').map_or(text, |(_, digits)| digits);
        Some(digits)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .and_then(Self::new)
            .ok_or_else(|| ParseShardIdError {
                text: text.chars().take(128).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_id_has_twelve_digits() {
        assert_eq!(ShardId(0).to_string(), "shardId-000000000000");
        assert_eq!(ShardId(2_147_483_647).to_string(), "shardId-002147483647");
    }

    #[test]
    fn a_shard_id_is_read_as_leniently_as_by_the_service() {
        for text in [
            "0",
            "shard-0",
            "x-00",
            "shardId-000000000000",
            "-0",
            "-0000000000000000000",
        ] {
            assert_eq!(text.parse(), Ok(ShardId(0)), "{text}");
        }
        assert_eq!("shardId-002147483647".parse(), Ok(ShardId(2_147_483_647)));
        for text in [
            "",
            "-",
            "shardId",
            "shardId-2147483648",
            "a--0",
            "0x0",
            "+0",
            "-+1",
            "-1-2",
        ] {
            assert!(text.parse::<ShardId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_a_long_text() {
        let error = "ü"
            .repeat(10_000)
            .parse::<ShardId>()
            .expect_err("not a shard id");
        assert!(error.to_string().chars().count() < 160);
    }
}
