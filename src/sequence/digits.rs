//! Numbers in decimal. Most of what the wire says of a record is digits, and formatting them with
//! `std::fmt` took a tenth of a put over it.

/// Digits that are written at a time.
pub(super) const DIGITS: usize = 19;

/// Writes all nineteen digits of a number below 10^19.
#[expect(clippy::cast_possible_truncation, reason = "below 10^8")]
pub(super) fn write_padded(number: u64, digits: &mut [u8]) {
    const TEN_TO_8: u64 = 100_000_000;
    let (high, low) = (number / TEN_TO_8, number % TEN_TO_8);
    let (high, middle) = (high / TEN_TO_8, high % TEN_TO_8);
    digits[..3].fill(b'0');
    write_digits(high, &mut digits[..3]);
    digits[3..11].copy_from_slice(&eight_digits(middle as u32));
    digits[11..].copy_from_slice(&eight_digits(low as u32));
}

/// The digits of a number below 10^8, by halving it three times, all halves at once: a third of what it
/// takes to write them pair by pair, and a record that is read over the wire has 56. The idea is Paul
/// Khuong's.
pub(super) const fn eight_digits(number: u32) -> [u8; 8] {
    // Two numbers of four digits, then four of two, then eight of one, the first one lowest.
    let fours = (number / 10_000) as u64 | ((number % 10_000) as u64) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0xf_000f_000f_000f;
    let ones = tens | (twos - tens * 10) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

/// The numbers of two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// Writes a number in decimal so that its last digit is the last of the room, and says how many digits it has.
/// What is before them stays as it is.
///
/// # Panics
///
/// If there is too little room.
#[expect(clippy::cast_possible_truncation, reason = "below 100")]
pub(crate) fn write_digits(mut number: u64, room: &mut [u8]) -> usize {
    let mut from = room.len();
    while number >= 100 {
        from -= 2;
        room[from..from + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        from -= 2;
        room[from..from + 2].copy_from_slice(&PAIRS[number as usize]);
    } else {
        from -= 1;
        room[from] = b'0' + number as u8;
    }
    room.len() - from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_of_the_standard_library(number: u64, bits in 0..64_u32) {
            for number in [number >> bits, 0, u64::MAX] {
                let mut room = [b'x'; 25];
                let count = write_digits(number, &mut room);
                let text = std::str::from_utf8(&room).expect("letters and digits");
                prop_assert_eq!(text.trim_start_matches('x'), number.to_string());
                prop_assert_eq!(count, number.to_string().len());
                let number = number.min(10_000_000_000_000_000_000 - 1);
                let mut padded = [0; DIGITS];
                write_padded(number, &mut padded);
                prop_assert_eq!(std::str::from_utf8(&padded).expect("digits"), format!("{number:019}"));
            }
        }
    }
}
