//! Hash keys: 128-bit numbers that decide which shard takes a record, and their ranges.
//!
//! The space is `0` to `2^128 - 1`; the ranges of the open shards of a stream cover it without
//! a gap (the contract, 1.4).

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use ::md5::{Digest, Md5};

mod md5;
mod memo;

/// So many partition keys are hashed at once.
pub(crate) const HASHED_AT_ONCE: usize = md5::LANES;

/// A point in the hash-key space, usually the MD5 of a partition key.
///
/// ```
/// use brooklet::HashKey;
///
/// let hash_key = HashKey::of("a");
/// assert_eq!(hash_key.to_string(), "16955237001963240173058271559858726497");
/// assert_eq!("16955237001963240173058271559858726497".parse(), Ok(hash_key));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(u128);

impl HashKey {
    /// The lowest hash key, 0.
    pub const MIN: Self = Self(0);
    /// The highest hash key, `2^128 - 1`.
    pub const MAX: Self = Self(u128::MAX);

    /// The hash key with a value.
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// The hash key of a partition key: the MD5 of its UTF-8 bytes, read big-endian.
    pub fn of(partition_key: &str) -> Self {
        Self(if partition_key.len() <= md5::KEY_BYTES_MAX {
            md5::of_one(partition_key)
        } else {
            u128::from_be_bytes(Md5::digest(partition_key).into())
        })
    }

    /// Its value.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// As [`of`](Self::of), quicker for a key that this thread has asked for lately.
    #[inline]
    pub(crate) fn recalled(partition_key: &str) -> Self {
        memo::hash_key_of(partition_key)
    }

    /// Hands out the hash keys of many partition keys, in their order; as [`of`](Self::of), [so
    /// many](HASHED_AT_ONCE) at once.
    ///
    /// One by one, not as a list: who looks at a few bits only spares the rest of the work.
    #[inline]
    pub(crate) fn of_each(partition_keys: &[&str], mut take: impl FnMut(Self)) {
        for keys in partition_keys.chunks(HASHED_AT_ONCE) {
            let fits = |key: &&str| key.len() <= md5::KEY_BYTES_MAX;
            if keys.len() > md5::FEW && keys.iter().all(fits) {
                md5::of_many(keys, |hash_key| take(Self(hash_key)));
            } else {
                keys.iter().for_each(|key| take(Self::of(key)));
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half; the high half comes first"
    )]
    const fn to_words(self) -> [u64; 2] {
        [(self.0 >> 64) as u64, self.0 as u64]
    }

    const fn from_words([high, low]: [u64; 2]) -> Self {
        Self((high as u128) << 64 | low as u128)
    }

    /// The hash key above, or the highest one again.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl From<u128> for HashKey {
    fn from(value: u128) -> Self {
        Self(value)
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no hash key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHashKeyError {
    /// It is not a decimal number of 1 to 39 digits without leading zeros.
    #[error("hash key is not a decimal number of 1 to 39 digits without leading zeros")]
    NotANumber,
    /// It is a number above `2^128 - 1`.
    #[error("hash key is not in the range 0 to 2^128 - 1")]
    OutOfRange,
}

impl FromStr for HashKey {
    type Err = ParseHashKeyError;

    /// Reads a decimal number, strictly: no sign, no leading zeros.
    fn from_str(text: &str) -> Result<Self, ParseHashKeyError> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !(1..=39).contains(&text.len()) || (text.len() > 1 && text.starts_with('0')) {
            return Err(ParseHashKeyError::NotANumber);
        }
        text.parse()
            .map(Self)
            .map_err(|_| ParseHashKeyError::OutOfRange)
    }
}

/// A range of hash keys, both ends inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashKeyRange {
    start: HashKey,
    end: HashKey,
}

impl HashKeyRange {
    /// All hash keys.
    pub const FULL: Self = Self {
        start: HashKey::MIN,
        end: HashKey::MAX,
    };

    /// The range from `start` to `end`, both inclusive; `None` if it would be empty.
    pub fn new(start: HashKey, end: HashKey) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// The lowest hash key in it.
    pub const fn start(self) -> HashKey {
        self.start
    }

    /// The highest hash key in it.
    pub const fn end(self) -> HashKey {
        self.end
    }

    /// Whether a hash key lies in it.
    pub fn contains(self, hash_key: HashKey) -> bool {
        self.start <= hash_key && hash_key <= self.end
    }

    /// The hash key at which to split it in halves: where the upper half starts. Of an odd number
    /// of keys the upper half has one more.
    ///
    /// [`Stream::split_shard`](crate::Stream::split_shard) takes it for a shard of at least 4 keys.
    ///
    /// ```
    /// use brooklet::Stream;
    ///
    /// let stream = Stream::new("orders", 1)?;
    /// let shard = stream.shard_for("customer-17")?;
    /// stream.split_shard(shard.id(), shard.hash_key_range().midpoint())?;
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub const fn midpoint(self) -> HashKey {
        let (start, end) = (self.start.0, self.end.0);
        HashKey(start + (end - start).div_ceil(2))
    }

    /// Whether `upper` starts right behind the end of this range, as
    /// [`Stream::merge_shards`](crate::Stream::merge_shards) needs of two shards.
    pub fn is_adjacent_below(self, upper: Self) -> bool {
        self.end.0.checked_add(1) == Some(upper.start.0)
    }

    /// Cuts the space into `count` ranges of `floor(2^128 / count)` keys, in order; the last one
    /// takes the remainder besides.
    pub(crate) fn uniform(count: NonZeroU32) -> impl Iterator<Item = Self> {
        let count = u128::from(count.get());
        // 2^128 does not fit: divide 2^128 - 1, and add one where the remainder completes it.
        let size = u128::MAX / count;
        let size = if u128::MAX % count == count - 1 {
            size.wrapping_add(1)
        } else {
            size
        };
        (0..count).map(move |index| {
            let start = HashKey(index.wrapping_mul(size));
            let last = index + 1 == count;
            let end = if last {
                HashKey::MAX
            } else {
                HashKey((index + 1) * size - 1)
            };
            Self { start, end }
        })
    }

    /// This range and the one right behind it, as one.
    pub(crate) fn joined(self, upper: Self) -> Option<Self> {
        self.is_adjacent_below(upper).then_some(Self {
            start: self.start,
            end: upper.end,
        })
    }

    /// The part below `key` and the rest; `None` unless `key` is at least two above the start and
    /// below the end (the contract, 4.1).
    pub(crate) fn split_at(self, key: HashKey) -> Option<(Self, Self)> {
        let least = self.start.0.checked_add(2)?;
        if key.0 < least || key.0 >= self.end.0 {
            return None;
        }
        let below = HashKey(planted!(key.0 - 1, "ranges_overlap": key.0));
        Some((
            Self {
                start: self.start,
                end: below,
            },
            Self {
                start: key,
                end: self.end,
            },
        ))
    }
}

impl fmt::Display for HashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.end)
    }
}

impl fmt::Debug for HashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(count: u32) -> Vec<HashKeyRange> {
        HashKeyRange::uniform(NonZeroU32::new(count).expect("not zero")).collect()
    }

    #[test]
    fn a_partition_key_hashes_to_its_md5_read_big_endian() {
        for (key, hash_key) in [
            ("a", 16955237001963240173058271559858726497),
            ("1", 261578874264819908609102035485573088411),
            ("partitionKey", 193318062818912349798954611745638949166),
            ("ü", 255482112228542481294366945247899473731),
            ("日本", 103341369634063465466164320543046703539),
        ] {
            assert_eq!(HashKey::of(key), HashKey(hash_key));
        }
    }

    #[test]
    fn keys_of_any_length_hash_to_their_md5_alone_and_many_at_once() {
        for len in (0..70).chain([119, 120, 121, 200]) {
            let key = |i| format!("{i}{}", "ü-x".repeat(len));
            let keys = (0..200).map(|i| key(i).chars().take(len).collect());
            let keys: Vec<String> = keys.collect();
            let md5 = |key: &String| HashKey(u128::from_be_bytes(Md5::digest(key).into()));
            let expected: Vec<_> = keys.iter().map(md5).collect();
            let alone: Vec<_> = keys.iter().map(|key| HashKey::of(key)).collect();
            assert!(alone == expected, "of {len} characters");
            for count in (0..6).chain([31, 32, 33, 63, 64, 65, 66, 128, 200]) {
                let mut at_once = Vec::new();
                let keys: Vec<_> = keys[..count].iter().map(String::as_str).collect();
                HashKey::of_each(&keys, |hash_key| at_once.push(hash_key));
                assert!(at_once == expected[..count], "{count} of {len} characters");
            }
        }
    }

    #[test]
    fn uniform_ranges_end_where_those_of_the_service_do() {
        let ends = |count| {
            uniform(count)
                .iter()
                .map(|r| r.end().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(ends(2)[0], "170141183460469231731687303715884105727");
        assert_eq!(
            ends(3)[..2],
            [
                "113427455640312821154458202477256070484",
                "226854911280625642308916404954512140969"
            ]
        );
        assert_eq!(
            ends(4)[..3],
            [
                "85070591730234615865843651857942052863",
                "170141183460469231731687303715884105727",
                "255211775190703847597530955573826158591"
            ]
        );
        assert_eq!(ends(5)[3], "272225893536750770770699685945414569163");
    }

    #[test]
    fn uniform_ranges_cover_the_space_without_a_gap() {
        for count in [1, 2, 3, 4, 5, 6, 7, 255, 256, 257, 9_999, 10_000] {
            let ranges = uniform(count);
            assert_eq!(ranges.len(), count as usize);
            assert_eq!(ranges[0].start(), HashKey::MIN);
            assert_eq!(ranges[ranges.len() - 1].end(), HashKey::MAX);
            assert!(
                ranges
                    .windows(2)
                    .all(|pair| pair[0].is_adjacent_below(pair[1]))
            );
        }
    }

    #[test]
    fn only_a_strict_decimal_number_is_a_hash_key() {
        use ParseHashKeyError::{NotANumber, OutOfRange};
        for text in ["", "-1", "+1", "01", "00", " 1", "1 ", "0x1", "1e3", "١"] {
            assert_eq!(text.parse::<HashKey>(), Err(NotANumber), "{text:?}");
        }
        let max = u128::MAX.to_string();
        assert_eq!(max.parse(), Ok(HashKey::MAX));
        assert_eq!(
            "340282366920938463463374607431768211456".parse::<HashKey>(),
            Err(OutOfRange)
        );
        assert_eq!("9".repeat(40).parse::<HashKey>(), Err(NotANumber));
        assert_eq!("0".parse(), Ok(HashKey::MIN));
    }

    #[test]
    fn a_split_leaves_two_keys_below_and_two_above() {
        let range = HashKeyRange::new(HashKey(10), HashKey(20)).expect("not empty");
        for (key, valid) in [
            (0, false),
            (10, false),
            (11, false),
            (12, true),
            (19, true),
            (20, false),
        ] {
            assert_eq!(range.split_at(HashKey(key)).is_some(), valid, "{key}");
        }
        assert_eq!(HashKeyRange::FULL.split_at(HashKey::MAX), None);
        assert!(HashKeyRange::FULL.split_at(HashKey(2)).is_some());
    }

    #[test]
    fn halves_have_equally_many_keys_or_the_upper_one_more() {
        for (start, end, midpoint) in [
            (10, 13, 12),
            (10, 14, 12),
            (10, 15, 13),
            (0, u128::MAX, 1 << 127),
            (1, u128::MAX, 1 << 127),
            (u128::MAX - 3, u128::MAX, u128::MAX - 1),
            // Too small to be split.
            (10, 10, 10),
            (10, 11, 11),
            (10, 12, 11),
            (u128::MAX, u128::MAX, u128::MAX),
        ] {
            let range = HashKeyRange::new(HashKey(start), HashKey(end)).expect("not empty");
            assert_eq!(range.midpoint(), HashKey(midpoint), "{range}");
            let is_split = range.split_at(range.midpoint()).is_some();
            assert_eq!(is_split, end - start >= 3, "{range}");
        }
    }

    #[test]
    fn only_the_range_right_behind_is_adjacent() {
        let range = |start, end| HashKeyRange::new(HashKey(start), HashKey(end)).expect("one");
        let lower = range(10, 20);
        assert!(lower.is_adjacent_below(range(21, 30)));
        for other in [range(22, 30), range(20, 30), range(0, 9), lower] {
            assert!(!lower.is_adjacent_below(other), "{other}");
        }
        // The space is no ring.
        let last = range(21, u128::MAX);
        assert!(!last.is_adjacent_below(range(0, 9)));
    }

    #[test]
    fn what_was_split_joins_again() {
        let (low, high) = HashKeyRange::FULL
            .split_at(HashKey(1 << 100))
            .expect("inside");
        assert_eq!(low.joined(high), Some(HashKeyRange::FULL));
        assert_eq!(high.joined(low), None);
    }
}
