//! Where a subscription goes on, in a form that can be kept.

use std::fmt;
use std::iter::Copied;
use std::slice;
use std::str::FromStr;
use std::vec;

use crate::shard_id::ShardId;
use crate::starting_position::{ParseStartingPositionError, StartingPosition};

/// Where a [`Subscription`](crate::Subscription) goes on: a position in each shard that is still to be
/// read. The client library of Kinesis calls it a checkpoint.
///
/// [`Subscription::positions`](crate::Subscription::positions) tells it, and
/// [`Stream::subscribe_from`](crate::Stream::subscribe_from) goes on there. The shards come in the order
/// of their ids. A shard that waits for its parents is among them; one that was read to its end is
/// not. None is left once the subscription is [finished](crate::Subscription::is_finished).
///
/// # As text
///
/// A line for each shard, and a last one that names the shard which the stream will make next: shards
/// from there on are read from their first record. Text is read strictly, so that a file that was cut
/// off is an error rather than a reader that skips something.
///
/// ```
/// use brooklet::{StartingPosition, Stream, SubscriptionPositions};
///
/// let stream = Stream::new("orders", 2)?;
/// let positions = stream.subscribe(StartingPosition::TrimHorizon)?.positions();
/// let text = positions.to_string();
/// let lines: Vec<_> = text.lines().collect();
/// assert!(lines[0].starts_with("shardId-000000000000 AFTER_SEQUENCE_NUMBER:"));
/// assert!(lines[1].starts_with("shardId-000000000001 AFTER_SEQUENCE_NUMBER:"));
/// assert_eq!(lines[2..], ["NEXT_SHARD:shardId-000000000002"]);
/// assert_eq!(text.parse::<SubscriptionPositions>()?, positions);
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionPositions {
    /// By their ids, each below the next shard's.
    positions: Vec<(ShardId, StartingPosition)>,
    next_shard: ShardId,
}

impl SubscriptionPositions {
    /// Positions by ids, each below `next_shard`: the shard that the stream will make next.
    pub(crate) const fn new(
        positions: Vec<(ShardId, StartingPosition)>,
        next_shard: ShardId,
    ) -> Self {
        Self {
            positions,
            next_shard,
        }
    }

    /// The shards with their positions, by their ids.
    pub fn iter(&self) -> Copied<slice::Iter<'_, (ShardId, StartingPosition)>> {
        self.positions.iter().copied()
    }

    /// Where a shard is to be read from; `None` if it was read to its end, was never to be read, or
    /// was not there yet.
    pub fn position_of(&self, shard_id: ShardId) -> Option<StartingPosition> {
        let index = self
            .positions
            .binary_search_by_key(&shard_id, |(id, _)| *id);
        index.ok().map(|index| self.positions[index].1)
    }

    /// How many shards are still to be read, as far as they were there.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether all shards were read to their ends: the stream was closed.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The shard that the stream was to make next.
    pub(crate) const fn next_shard(&self) -> ShardId {
        self.next_shard
    }
}

impl<'a> IntoIterator for &'a SubscriptionPositions {
    type Item = (ShardId, StartingPosition);
    type IntoIter = Copied<slice::Iter<'a, (ShardId, StartingPosition)>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for SubscriptionPositions {
    type Item = (ShardId, StartingPosition);
    type IntoIter = vec::IntoIter<(ShardId, StartingPosition)>;

    fn into_iter(self) -> Self::IntoIter {
        self.positions.into_iter()
    }
}

impl fmt::Display for SubscriptionPositions {
    /// Lines without a line break after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shard_id, position) in self {
            writeln!(f, "{shard_id} {position}")?;
        }
        write!(f, "{NEXT_SHARD}{}", self.next_shard)
    }
}

/// Text that is no [`SubscriptionPositions`]. Lines are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSubscriptionPositionsError {
    /// A line is not of a form that it may have, or comes after the last one.
    #[error(
        "line {line} is neither a shard id, a space and a starting position nor, as the last, NEXT_SHARD:id"
    )]
    NotAPosition {
        /// Which line.
        line: usize,
    },
    /// What follows the shard id is no starting position.
    #[error("line {line}: {source}")]
    StartingPosition {
        /// Which line.
        line: usize,
        /// What is wrong with it.
        source: ParseStartingPositionError,
    },
    /// A shard id is not above those before it: it comes twice, or in the wrong place.
    #[error("line {line} does not come in the order of the shard ids")]
    NotInOrder {
        /// Which line.
        line: usize,
    },
    /// The last line is missing: the text was cut off.
    #[error("the positions of a subscription end without a line of NEXT_SHARD:id")]
    Incomplete,
}

impl FromStr for SubscriptionPositions {
    type Err = ParseSubscriptionPositionsError;

    /// Reads what is shown, strictly, with or without a line break at the end.
    fn from_str(text: &str) -> Result<Self, ParseSubscriptionPositionsError> {
        use ParseSubscriptionPositionsError::{
            Incomplete, NotAPosition, NotInOrder, StartingPosition,
        };
        let mut positions = Vec::<(ShardId, _)>::new();
        let mut lines = (1..).zip(text.lines());
        while let Some((line, text)) = lines.next() {
            let next_shard = text.strip_prefix(NEXT_SHARD);
            let (shard_id, position) = match next_shard {
                Some(shard_id) => (shard_id, None),
                None => text
                    .split_once(' ')
                    .map(|(shard_id, position)| (shard_id, Some(position)))
                    .ok_or(NotAPosition { line })?,
            };
            let shard_id = shown_shard_id(shard_id).ok_or(NotAPosition { line })?;
            if positions.last().is_some_and(|(last, _)| *last >= shard_id) {
                return Err(NotInOrder { line });
            }
            let Some(position) = position else {
                return match lines.next() {
                    None => Ok(Self::new(positions, shard_id)),
                    Some((line, _)) => Err(NotAPosition { line }),
                };
            };
            let position = position
                .parse()
                .map_err(|source| StartingPosition { line, source })?;
            positions.push((shard_id, position));
        }
        Err(Incomplete)
    }
}

/// A shard id as it is shown, all twelve digits: fewer may be what is left of another one.
fn shown_shard_id(text: &str) -> Option<ShardId> {
    let shard_id: ShardId = text.parse().ok()?;
    (shard_id.to_string() == text).then_some(shard_id)
}

const NEXT_SHARD: &str = "NEXT_SHARD:";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use ParseSubscriptionPositionsError::{Incomplete, NotAPosition, NotInOrder};
    use StartingPosition::{AfterSequenceNumber, AtTimestamp, Latest, TrimHorizon};

    use super::*;
    use crate::clock::Timestamp;
    use crate::sequence::SequenceNumber;

    const TEXT: &str = "\
shardId-000000000001 AFTER_SEQUENCE_NUMBER:49646437577108476416916876405825929425585429676275269634
shardId-000000000003 TRIM_HORIZON
shardId-000000000017 LATEST
shardId-000000000018 AT_TIMESTAMP:2013-01-01T10:00:00.000Z
NEXT_SHARD:shardId-000000000019";

    fn positions() -> SubscriptionPositions {
        let number = SequenceNumber::new(1_700_000_000, 0, 0, 1_700_000_000);
        let time = Timestamp::from_millis(1_357_034_400_000);
        let positions = [
            (1, AfterSequenceNumber(number)),
            (3, TrimHorizon),
            (17, Latest),
            (18, AtTimestamp(time)),
        ];
        let positions = positions.map(|(index, position)| (ShardId::from_index(index), position));
        SubscriptionPositions::new(positions.to_vec(), ShardId::from_index(19))
    }

    fn parse(text: &str) -> Result<SubscriptionPositions, ParseSubscriptionPositionsError> {
        text.parse()
    }

    #[test]
    fn each_shard_has_a_line_and_the_next_one_the_last() {
        assert_eq!(positions().to_string(), TEXT);
        assert_eq!(parse(TEXT), Ok(positions()));
        assert_eq!(parse(&format!("{TEXT}\n")), Ok(positions()));
        assert_eq!(parse(&TEXT.replace('\n', "\r\n")), Ok(positions()));
    }

    #[test]
    fn text_that_was_cut_off_anywhere_is_refused() {
        for length in 0..TEXT.len() {
            assert!(parse(&TEXT[..length]).is_err(), "{}", &TEXT[..length]);
        }
        assert_eq!(parse(""), Err(Incomplete));
        assert_eq!(
            parse("shardId-000000000003 TRIM_HORIZON\n"),
            Err(Incomplete)
        );
    }

    #[test]
    fn a_shard_that_comes_twice_or_out_of_order_is_refused() {
        for (text, line) in [
            (
                "shardId-000000000003 LATEST\nshardId-000000000003 LATEST",
                2,
            ),
            (
                "shardId-000000000003 LATEST\nshardId-000000000002 LATEST",
                2,
            ),
            (
                "shardId-000000000003 LATEST\nNEXT_SHARD:shardId-000000000003",
                2,
            ),
        ] {
            assert_eq!(parse(text), Err(NotInOrder { line }), "{text:?}");
        }
    }

    #[test]
    fn a_line_of_another_form_is_refused() {
        for (text, line) in [
            ("\n", 1),
            ("shardId-000000000003", 1),
            ("shardId-000000000003  TRIM_HORIZON ", 1),
            ("3 TRIM_HORIZON", 1),
            ("shardId-3 TRIM_HORIZON", 1),
            ("NEXT_SHARD:3", 1),
            ("NEXT_SHARD:", 1),
            ("NEXT_SHARD:shardId-000000000003\n\n", 2),
            (
                "NEXT_SHARD:shardId-000000000003\nshardId-000000000004 LATEST",
                2,
            ),
        ] {
            let expected = [
                NotAPosition { line },
                ParseSubscriptionPositionsError::StartingPosition {
                    line,
                    source: ParseStartingPositionError::NotAPosition,
                },
            ];
            let error = parse(text).expect_err("no positions");
            assert!(expected.contains(&error), "{text:?}: {error:?}");
        }
        let error = parse("shardId-000000000003 SOMEWHERE").expect_err("no position");
        assert_eq!(
            error.to_string(),
            format!("line 1: {}", ParseStartingPositionError::NotAPosition)
        );
    }

    #[test]
    fn positions_are_found_and_counted() {
        let positions = positions();
        assert_eq!((positions.len(), positions.is_empty()), (4, false));
        for (shard_id, position) in &positions {
            assert_eq!(positions.position_of(shard_id), Some(position));
        }
        assert_eq!(positions.position_of(ShardId::from_index(2)), None);
        assert!(positions.iter().eq(positions.clone()));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(
            indices in proptest::collection::btree_set(0..1_000_000_u32, 0..20), place in 0..1_u64 << 63,
        ) {
            let position = |index| {
                let number = SequenceNumber::new(1_700_000_000, index, place, 1_700_000_001);
                (ShardId::from_index(index), AfterSequenceNumber(number))
            };
            let next = indices.last().map_or(0, |last| last + 1);
            let positions = indices.into_iter().map(position).collect();
            let positions = SubscriptionPositions::new(positions, ShardId::from_index(next));
            prop_assert_eq!(parse(&positions.to_string()), Ok(positions));
        }
    }
}
