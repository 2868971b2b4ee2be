//! Sequence numbers: 186-bit integers, laid out as those of Kinesis.
//!
//! ```text
//!   bits  187..184  183..148      147..144     143..80  79..72  71..36         35..4        3..0
//!         2         shard's       shard index  place    0       time of the    shard index  2
//!                   create time   mod 16                        record         (32 bits)    (version)
//! ```
//!
//! Times are whole seconds since the epoch. The layout is that of the contract, 1.6: numeric order
//! within a shard is the order of places, and a child's numbers lie above all of its parents'.

use std::fmt;
use std::str::FromStr;

use crate::shard_id::ShardId;

mod digits;
#[cfg(feature = "protocol")]
mod text;

use digits::{DIGITS, write_padded};

#[cfg(feature = "protocol")]
pub(crate) use digits::write_digits;
#[cfg(feature = "protocol")]
pub(crate) use text::Text;

/// The number of a record, unique in its shard and increasing; shown and read in decimal.
///
/// Numbers of different shards say nothing about each other's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    /// The most significant bits first, so that derived order is numeric order.
    limbs: [u64; 3],
}

const SECS_MASK: u64 = (1 << 36) - 1;
/// Later create times are no times of sequence numbers, as far as anyone has seen.
pub(crate) const CREATED_SECS_MAX: u64 = 16_025_174_999;
const PLACE_END: u64 = 1 << 63;
const ENDING_PLACE: u64 = PLACE_END - 1;
/// Version 2 is the number's top nibble and its last.
const VERSION: u64 = 2;

impl SequenceNumber {
    /// The number of the record at a place of a shard; times beyond the representable are the
    /// last representable ones.
    #[inline]
    pub(crate) fn new(created_secs: u64, shard_index: u32, place: u64, time_secs: u64) -> Self {
        let created = created_secs.min(CREATED_SECS_MAX);
        let time = time_secs.min(SECS_MASK);
        let index = u64::from(shard_index);
        // n = 2<<184 | created<<148 | (index & 15)<<144 | place<<80 | time<<36 | index<<4 | 2
        let nibble = planted!(index & 15, "nibble_of_zero": 0);
        let high = VERSION << 56 | created << 20 | nibble << 16 | place >> 48;
        let middle = place << 16 | time >> 28;
        let low = time << 36 | index << 4 | VERSION;
        Self {
            limbs: [high, middle, low],
        }
    }

    /// The number that a shard has after its last, closed at a time.
    pub(crate) fn ending(created_secs: u64, shard_index: u32, closed_secs: u64) -> Self {
        Self::new(created_secs, shard_index, ENDING_PLACE, closed_secs)
    }

    /// Whether it says that it is of a shard with this id, in whichever stream.
    pub fn is_of_shard(self, shard_id: ShardId) -> bool {
        self.shard_index() == shard_id.index()
    }

    /// 2 for the numbers of this crate; 1 and 0 for those that Kinesis made long ago.
    pub(crate) const fn version(self) -> u8 {
        match self.limbs {
            [high, _, low] if high >> 56 == VERSION && low & 15 == VERSION => 2,
            [high, ..] if high >> 56 == VERSION => 1,
            _ => 0,
        }
    }

    /// When its shard was created, in seconds.
    pub(crate) const fn created_secs(self) -> u64 {
        match self.version() {
            // The contract, 1.6: a one, the time and 22 more digits, all of them hexadecimal.
            0 => self.limbs[1] >> 24 & SECS_MASK,
            _ => self.limbs[0] >> 20 & SECS_MASK,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the field has 32 bits, or 16"
    )]
    pub(crate) const fn shard_index(self) -> u32 {
        match self.version() {
            0 => (self.limbs[2] & 0xffff) as u32,
            _ => (self.limbs[2] >> 4) as u32,
        }
    }

    /// The place of its record in the shard.
    pub(crate) const fn place(self) -> u64 {
        self.limbs[0] << 48 | self.limbs[1] >> 16
    }

    /// When its record arrived, in seconds; 0 if it does not say so.
    pub(crate) const fn time_secs(self) -> u64 {
        match self.version() {
            0 => 0,
            1 => (self.limbs[0] << 28 | self.limbs[1] >> 36) & SECS_MASK,
            _ => (self.limbs[1] << 28 | self.limbs[2] >> 36) & SECS_MASK,
        }
    }
}

impl SequenceNumber {
    /// Room for the digits: 186 bits have 56 at most, which are written 19 at a time.
    pub(crate) const TEXT_BYTES: usize = 3 * DIGITS;

    /// Writes the decimal digits of it.
    pub(crate) fn write(self, text: &mut [u8; Self::TEXT_BYTES]) -> &str {
        std::str::from_utf8(self.write_digits(text)).expect("digits")
    }

    /// Writes the decimal digits of it for who has no need of a `str`.
    pub(crate) fn write_digits(self, text: &mut [u8; Self::TEXT_BYTES]) -> &[u8] {
        let mut limbs = self.limbs;
        let low = divide_by_ten_to_19(&mut limbs);
        let middle = divide_by_ten_to_19(&mut limbs);
        let [.., high] = limbs;
        for (part, digits) in [high, middle, low]
            .into_iter()
            .zip(text.chunks_exact_mut(DIGITS))
        {
            write_padded(part, digits);
        }
        let zeros = text.iter().take_while(|digit| **digit == b'0').count();
        let from = zeros.min(text.len() - 1);
        &text[from..]
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(true, "", self.write(&mut [0; Self::TEXT_BYTES]))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sequence number is invalid")]
#[non_exhaustive]
pub struct ParseSequenceNumberError;

impl FromStr for SequenceNumber {
    type Err = ParseSequenceNumberError;

    /// Reads a decimal number, strictly: no sign, no leading zeros, and fields that a number
    /// can have.
    fn from_str(text: &str) -> Result<Self, ParseSequenceNumberError> {
        if text.is_empty() || text.len() > 129 || (text.len() > 1 && text.starts_with('0')) {
            return Err(ParseSequenceNumberError);
        }
        let mut number = Self { limbs: [0; 3] };
        for byte in text.bytes() {
            if !byte.is_ascii_digit() {
                return Err(ParseSequenceNumberError);
            }
            number.limbs = times_ten_plus(number.limbs, u64::from(byte - b'0'))
                .ok_or(ParseSequenceNumberError)?;
        }
        if number.is_valid() {
            Ok(number)
        } else {
            Err(ParseSequenceNumberError)
        }
    }
}

impl SequenceNumber {
    fn is_valid(self) -> bool {
        let [high, _, low] = self.limbs;
        if high == 0 {
            // Below 2^128: version 0, whichever digit is in front.
            return self.created_secs() <= CREATED_SECS_MAX;
        }
        match high >> 56 {
            // Between 2^185 and 1.5 * 2^185 with the fields of version 2, or 1.
            2 => {
                matches!(low & 15, 1 | 2)
                    && self.created_secs() <= CREATED_SECS_MAX
                    && self.place() < PLACE_END
            }
            _ => false,
        }
    }
}

const TEN_TO_19: u64 = 10_000_000_000_000_000_000;

/// Divides in place; returns the remainder.
///
/// Two products a limb instead of a division of 128 bits, which would be a call and tens of cycles. The
/// way is that of Möller and Granlund for a divisor whose highest bit is set: the quotient from a
/// reciprocal is right, or one off either way.
#[expect(clippy::cast_possible_truncation, reason = "halves are meant")]
const fn divide_by_ten_to_19(limbs: &mut [u64; 3]) -> u64 {
    // Above 2^64, which is left out.
    const RECIPROCAL: u64 = (u128::MAX / TEN_TO_19 as u128) as u64;
    let mut rest = 0;
    let mut at = 0;
    while at < limbs.len() {
        let dividend = (rest as u128) << 64 | limbs[at] as u128;
        let product = RECIPROCAL as u128 * rest as u128 + dividend;
        let mut quotient = ((product >> 64) as u64).wrapping_add(1);
        rest = limbs[at].wrapping_sub(quotient.wrapping_mul(TEN_TO_19));
        if rest > product as u64 {
            quotient = quotient.wrapping_sub(1);
            rest = rest.wrapping_add(TEN_TO_19);
        }
        if rest >= TEN_TO_19 {
            quotient += 1;
            rest -= TEN_TO_19;
        }
        limbs[at] = quotient;
        at += 1;
    }
    rest
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half; the high half is the carry"
)]
fn times_ten_plus(limbs: [u64; 3], digit: u64) -> Option<[u64; 3]> {
    let mut result = [0; 3];
    let mut carry = u128::from(digit);
    for (to, from) in result.iter_mut().zip(limbs).rev() {
        let product = u128::from(from) * 10 + carry;
        *to = product as u64;
        carry = product >> 64;
    }
    (carry == 0).then_some(result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CREATED: u64 = 1_700_000_000;

    #[test]
    fn numbers_read_as_those_of_the_service() {
        for (number, text) in [
            (
                SequenceNumber::new(CREATED, 0, 0, CREATED),
                "49646437577108476416916876405825929425585429676275269634",
            ),
            (
                SequenceNumber::new(CREATED, 1, 0, CREATED),
                "49646437577130777162115407028967465143858078037781250066",
            ),
            (
                SequenceNumber::new(CREATED, 17, 0, CREATED),
                "49646437577130777162115407028967465143858078037781250322",
            ),
            (
                SequenceNumber::new(CREATED, 0, 1, CREATED),
                "49646437577108476416916876405827138351405044305449975810",
            ),
            (
                SequenceNumber::new(CREATED, 0, 2, CREATED + 5),
                "49646437577108476416916876405828347277224659278222065666",
            ),
            (
                SequenceNumber::ending(CREATED, 0, CREATED + 60),
                "49646437577119626789516141717395488358902143351022157826",
            ),
            (
                SequenceNumber::new(CREATED + 61, 2, 0, CREATED + 61),
                "49646437598918605221079825838247861896235531421012197410",
            ),
            (
                SequenceNumber::new(1_542_776_258, 6, 1_734_642_199, 1_545_084_650),
                "49590338271490256608559692538361571095921575989136588898",
            ),
        ] {
            assert_eq!(number.to_string(), text);
            assert_eq!(text.parse(), Ok(number));
        }
    }

    #[test]
    fn small_and_old_numbers_are_read_and_told_apart() {
        let zero: SequenceNumber = "0".parse().expect("version 0");
        assert_eq!(
            (zero.version(), zero.shard_index(), zero.to_string()),
            (0, 0, "0".to_owned())
        );
        let of_version_1 = "49590338271490256608559692538361571095921575989136588897";
        let old: SequenceNumber = of_version_1.parse().expect("version 1");
        assert_eq!((old.version(), old.shard_index()), (1, 6));
        let ten: SequenceNumber = "10000000000000000000".parse().expect("version 0");
        assert_eq!(ten.to_string(), "10000000000000000000");
        // The contract, 1.6: the shard's index is the last four of 32 hexadecimal digits.
        for (number, index) in [(1, 1), (5, 5), (16, 16), (0xffff_ffff_u128, 0xffff)] {
            for first in [0, 1_u128 << 124, 15 << 124] {
                let number: SequenceNumber = (first + number).to_string().parse().expect("old");
                assert_eq!(
                    (number.version(), number.shard_index()),
                    (0, index),
                    "{number}"
                );
                assert_eq!(
                    (number.created_secs(), number.time_secs()),
                    (0, 0),
                    "{number}"
                );
            }
        }
        let created = |secs: u64| (1_u128 << 124) + (u128::from(secs) << 88);
        let latest: SequenceNumber = created(CREATED_SECS_MAX).to_string().parse().expect("old");
        assert_eq!(latest.created_secs(), CREATED_SECS_MAX);
        for too_large in [created(CREATED_SECS_MAX + 1), u128::MAX] {
            assert!(
                too_large.to_string().parse::<SequenceNumber>().is_err(),
                "{too_large}"
            );
        }
    }

    #[test]
    fn the_time_of_a_number_of_version_1_is_where_that_version_has_it() {
        // 2, nine digits of the create time, the index, two, nine of the time, fourteen, two, the
        // index and 1: the contract, 1.6.
        let (created, time) = (1_400_000_000_u64, 1_400_000_123_u64);
        let limbs = [
            2 << 56 | created << 20 | 3 << 16 | time >> 28,
            time << 36 | 0x000f_ffff_ffff,
            0xfff0_0000_0000 | 3 << 4 | 1,
        ];
        let number = SequenceNumber { limbs };
        assert_eq!(number.to_string().parse(), Ok(number));
        assert_eq!((number.version(), number.shard_index()), (1, 3));
        assert_eq!((number.created_secs(), number.time_secs()), (created, time));
    }

    #[test]
    fn text_that_is_no_number_of_any_shard_is_refused() {
        let long = "9".repeat(129);
        let longer = "1".repeat(130);
        for text in ["", "-1", "+1", "01", "1.0", " 1", "abc", &long, &longer] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
        // The first above all of version 0, the version nibble, the top nibble.
        for text in [
            "340282366920938463463374607431768211456",
            "49646437577108476416916876405825929425585429676275269635",
            "79646437577108476416916876405825929425585429676275269634",
        ] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_keeps_its_fields_and_its_decimal_form(
            created in 0..(CREATED_SECS_MAX + 1), index: u32, place in 0..PLACE_END, time in 0..=SECS_MASK,
        ) {
            let number = SequenceNumber::new(created, index, place, time);
            prop_assert_eq!(number.version(), 2);
            prop_assert_eq!(
                (number.created_secs(), number.shard_index(), number.place(), number.time_secs()),
                (created, index, place, time)
            );
            prop_assert_eq!(number.to_string().parse(), Ok(number));
        }

        #[test]
        fn order_in_a_shard_is_that_of_places_then_of_times(
            index: u32, a in (0..PLACE_END, 0..=SECS_MASK), b in (0..PLACE_END, 0..=SECS_MASK),
        ) {
            let number = |(place, time)| SequenceNumber::new(CREATED, index, place, time);
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        }

        #[test]
        fn no_text_panics(text in "\\PC*|[0-9]{0,140}") {
            if let Ok(number) = text.parse::<SequenceNumber>() {
                prop_assert_eq!(number.to_string(), text);
            }
        }
    }
}
