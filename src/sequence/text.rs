//! The digits of numbers that follow one another, as those of a shard do on the wire.

use crate::sequence::SequenceNumber;
use crate::sequence::digits::eight_digits;

/// Digits of every number of version 2, and of version 1: they are from 2^185 to 1.5 * 2^185.
const TEXT_BYTES: usize = 56;
const WORD_BYTES: usize = 8;

/// The digits of the last number that was written of a shard, from which those of the next are made: where
/// the place is one more and all else is the same, 2^80 is added to the digits, which is a fifth of the
/// work of making them from the bits.
#[derive(Debug)]
pub(crate) struct Text {
    /// The number that is written by adding.
    next: SequenceNumber,
    /// Those of the number before it.
    digits: [u8; TEXT_BYTES],
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self {
            // No shard has it.
            next: SequenceNumber {
                limbs: [u64::MAX; 3],
            },
            digits: [b'0'; TEXT_BYTES],
        }
    }

    /// Appends the decimal digits of a number. Any will do, of whichever shard.
    #[inline]
    pub(crate) fn append(&mut self, number: SequenceNumber, out: &mut Vec<u8>) {
        if number == self.next {
            add_place(&mut self.digits);
            self.next = after(number);
            out.extend_from_slice(&self.digits);
        } else {
            self.append_apart(number, out);
        }
    }

    /// Appends digits made from the bits, from which to go on if they are as many as those of today's numbers.
    #[cold]
    fn append_apart(&mut self, number: SequenceNumber, out: &mut Vec<u8>) {
        let mut room = [0; SequenceNumber::TEXT_BYTES];
        let digits = number.write_digits(&mut room);
        out.extend_from_slice(digits);
        if let Ok(digits) = digits.try_into() {
            self.digits = digits;
            self.next = after(number);
        }
    }
}

/// The number with the next place and all else the same.
const fn after(number: SequenceNumber) -> SequenceNumber {
    let [high, middle, low] = number.limbs;
    let (middle, carry) = middle.overflowing_add(1 << 16);
    SequenceNumber {
        limbs: [high + carry as u64, middle, low],
    }
}

/// What the letter of a digit and a digit make together is to leave a byte just when the digits' sum is
/// above nine: so much more is added.
const MORE: u8 = 0xff - b'9';

/// The digits of 2^80, the last eight first, with [`MORE`] on each.
const PLACE: [u64; 4] = {
    const ADDED: u64 = repeated(MORE - b'0');
    let mut words = [0; 4];
    let mut rest = 1_u128 << 80;
    let mut at = 0;
    while at < words.len() {
        words[at] = u64::from_be_bytes(eight_digits((rest % 100_000_000) as u32)) + ADDED;
        rest /= 100_000_000;
        at += 1;
    }
    assert!(rest == 0, "all digits are there");
    words
};

/// Adds 2^80 to digits whose sum is not longer.
fn add_place(digits: &mut [u8; TEXT_BYTES]) {
    let (words, _) = digits.as_chunks_mut();
    let (unchanged, changed) = words.split_at_mut(words.len() - PLACE.len());
    let mut carry = false;
    for (word, added) in changed.iter_mut().rev().zip(PLACE) {
        carry = add_eight(word, added, carry);
    }
    for word in unchanged.iter_mut().rev() {
        if !carry {
            return;
        }
        carry = add_eight(word, repeated(MORE), carry);
    }
}

/// Adds to eight digits at once, all in the bytes of one number; says whether there is one to carry.
fn add_eight(word: &mut [u8; WORD_BYTES], added: u64, carry: bool) -> bool {
    let (sum, over) = u64::from_be_bytes(*word).overflowing_add(added);
    let (sum, over_too) = sum.overflowing_add(u64::from(carry));
    // A byte that was left holds 0 to 9; one that was not, 0xf6 to 0xff: six too many in its lower half.
    let digits = (sum & repeated(0xf)) - ((sum >> 4) & repeated(6));
    *word = (digits | repeated(b'0')).to_be_bytes();
    over | over_too
}

/// A byte eight times.
const fn repeated(byte: u8) -> u64 {
    u64::from_be_bytes([byte; WORD_BYTES])
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use crate::sequence::{CREATED_SECS_MAX, ENDING_PLACE, SECS_MASK};

    use super::*;

    fn append(text: &mut Text, number: SequenceNumber) -> String {
        let mut out = b"before".to_vec();
        text.append(number, &mut out);
        let out = String::from_utf8(out).expect("letters and digits");
        out.strip_prefix("before").expect("it is kept").to_owned()
    }

    /// The numbers of a run: a create time, the index of the shard, the first place, the time, and how many.
    fn run() -> impl Strategy<Value = Vec<SequenceNumber>> {
        let created = prop_oneof![Just(1_700_000_000), 0..=CREATED_SECS_MAX];
        let place = prop_oneof![0..3_u64, 0..=ENDING_PLACE, Just(ENDING_PLACE - 2)];
        // Where a place's lower 48 bits are all ones, the next has a carry.
        let place = (place, any::<bool>());
        let place = place.prop_map(|(place, ones)| match ones {
            true => place | 0xffff_ffff_fffe,
            false => place,
        });
        let time = prop_oneof![Just(1_700_000_000), 0..=SECS_MASK];
        let fields = (created, prop_oneof![0..3_u32, any::<u32>()], place, time);
        (fields, 1..40_u64).prop_map(|((created, index, place, time), count)| {
            let places = place..=place.saturating_add(count).min(ENDING_PLACE);
            places
                .map(|place| SequenceNumber::new(created, index, place, time))
                .collect()
        })
    }

    /// Numbers of the older versions, and one after another of those.
    fn old() -> impl Strategy<Value = Vec<SequenceNumber>> {
        let texts = prop_oneof![
            "0|[1-9][0-9]{0,37}",
            "4959033827149025660855[0-9]{33}[1-9]",
            "9{1,38}"
        ];
        texts.prop_map(|text| {
            let number = text.parse().ok();
            number
                .into_iter()
                .flat_map(|number| [number, after(number), number])
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_number_after_another_is_that_of_the_next_place(
            created in 0..=CREATED_SECS_MAX, index: u32, place in 0..ENDING_PLACE, time in 0..=SECS_MASK,
            ones in 0..63_u32,
        ) {
            let place = (place | ((1 << ones) - 1)).min(ENDING_PLACE - 1);
            let number = |place| SequenceNumber::new(created, index, place, time);
            prop_assert_eq!(after(number(place)), number(place + 1));
        }

        #[test]
        fn digits_are_those_of_the_number_whatever_was_written_before(
            runs in vec(prop_oneof![4 => run(), 1 => old()], 1..8),
            turns in vec(0..8_usize, 0..100),
        ) {
            // One run behind the other, then some of each in turn, in one text and in one for each run.
            let mut text = Text::new();
            for number in runs.iter().flatten() {
                prop_assert_eq!(append(&mut text, *number), number.to_string());
            }
            let mut rests: Vec<_> = runs.iter().map(|run| (run.iter(), Text::new())).collect();
            for turn in turns {
                let count = rests.len();
                let (rest, own) = &mut rests[turn % count];
                if let Some(number) = rest.next() {
                    prop_assert_eq!(append(&mut text, *number), number.to_string());
                    prop_assert_eq!(append(own, *number), number.to_string());
                }
            }
        }

        #[test]
        fn adding_to_digits_carries_as_far_as_it_must(
            first in b'1'..=b'8',
            rest in vec(prop_oneof![Just(b'9'), Just(b'9'), b'0'..=b'9'], TEXT_BYTES - 1),
            nines in 0..TEXT_BYTES,
        ) {
            let mut digits = [first; TEXT_BYTES];
            digits[1..].copy_from_slice(&rest);
            // All nines from the first digit that 2^80 has on, and some before it.
            let end = TEXT_BYTES - 24;
            digits[end - nines.min(end - 1)..end].fill(b'9');
            let mut expected = digits;
            let place = (1_u128 << 80).to_string();
            let mut carry = 0;
            let added = place.bytes().rev().chain(std::iter::repeat(b'0'));
            for (digit, added) in expected.iter_mut().rev().zip(added) {
                let sum = *digit - b'0' + added - b'0' + carry;
                (*digit, carry) = (b'0' + sum % 10, sum / 10);
            }
            add_place(&mut digits);
            prop_assert_eq!(
                std::str::from_utf8(&digits).expect("digits"),
                std::str::from_utf8(&expected).expect("digits")
            );
        }
    }
}
