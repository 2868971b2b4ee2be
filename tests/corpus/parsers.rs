//! Each parser against its rule, said once more in another way.

use std::cmp::Ordering;

use brooklet::{
    HashKey, ParseHashKeyError, SequenceNumber, ShardId, StartingPosition, SubscriptionPositions,
    Timestamp,
};

/// Two numbers, each on a line: read as the contract (1.6) says, shown as they were, and in order.
pub fn sequence_number(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, "0"));
    let numbers = [first, second].map(|text| {
        let number: Option<SequenceNumber> = text.parse().ok();
        assert_eq!(number.is_some(), is_sequence_number(text), "{text:?}");
        if let Some(number) = number {
            assert_eq!(number.to_string(), text);
        }
        number
    });
    if let [Some(one), Some(other)] = numbers {
        assert_eq!(one.cmp(&other), by_value(first, second));
    }
}

/// Whether a decimal number is one of a record: below 2^128, or of the fields of version 1
/// or 2, and created when a shard can have been.
fn is_sequence_number(text: &str) -> bool {
    if !is_plain_decimal(text) {
        return false;
    }
    // 224 bits, the most significant first. More digits make a number that is too large.
    let mut words = [0_u64; 7];
    for digit in text.bytes().take(60) {
        let mut carry = u64::from(digit - b'0');
        for word in words.iter_mut().rev() {
            let value = *word * 10 + carry;
            (*word, carry) = (value & 0xffff_ffff, value >> 32);
        }
    }
    if text.len() > 60 || words[0] != 0 {
        return false;
    }
    let [_, a, b, c, d, e, f] = words;
    if (a, b) == (0, 0) {
        // A digit, nine of the create time, and 22 more, all of them hexadecimal.
        return (c & 0x0fff_ffff) << 8 | d >> 24 <= 16_025_174_999;
    }
    let created = (a & 0x00ff_ffff) << 12 | b >> 20;
    let place = (b & 0xffff) << 48 | c << 16 | d >> 16;
    let _time = (d, e);
    a >> 24 == 2 && matches!(f & 15, 1 | 2) && created <= 16_025_174_999 && place < 1 << 63
}

fn is_plain_decimal(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// The order of two plain decimal numbers.
fn by_value(one: &str, other: &str) -> Ordering {
    (one.len(), one).cmp(&(other.len(), other))
}

/// One number of 128 bits.
pub fn hash_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let max = HashKey::MAX.to_string();
    let expected = if !is_plain_decimal(text) || text.len() > max.len() {
        Err(ParseHashKeyError::NotANumber)
    } else if by_value(text, &max) == Ordering::Greater {
        Err(ParseHashKeyError::OutOfRange)
    } else {
        Ok(text.to_owned())
    };
    let read = text.parse::<HashKey>();
    assert_eq!(read.map(|key| key.to_string()), expected, "{text:?}");
    if let Ok(key) = read {
        let sum = text
            .bytes()
            .fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'));
        assert_eq!(key.get(), sum);
    }
}

/// What is behind the first `-`, if there is one, is a number of 31 bits; zeros may lead.
pub fn shard_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let digits = text.find('-').map_or(text, |dash| &text[dash + 1..]);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let index = digits
        .bytes()
        .filter(|_| is_number)
        .try_fold(0, |value, digit| {
            let value = value * 10 + u64::from(digit - b'0');
            (value < 1 << 31).then_some(value)
        });
    let index = index.filter(|_| is_number);
    match text.parse::<ShardId>() {
        Ok(id) => {
            assert_eq!(Some(u64::from(id.index())), index, "{text:?}");
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        Err(error) => {
            assert_eq!(index, None, "{text:?}");
            assert!(error.to_string().chars().count() < 160);
        }
    }
}

/// A time as RFC 3339 has it, by counting days.
pub fn timestamp(bytes: &[u8]) {
    if let Some(millis) = bytes.first_chunk() {
        let time = Timestamp::from_millis(u64::from_le_bytes(*millis));
        assert_eq!(time.to_string().parse(), Ok(time));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read: Option<Timestamp> = text.parse().ok();
    assert_eq!(read.map(Timestamp::as_millis), millis_of(text), "{text:?}");
    if let Some(time) = read {
        let shown = time.to_string();
        assert_eq!(shown.parse(), Ok(time));
        let is_as_shown = shown.len() == text.len() && text.ends_with('Z');
        assert!(
            !is_as_shown || shown == text,
            "{text:?} is shown as {shown:?}"
        );
    }
}

fn millis_of(text: &str) -> Option<u64> {
    let mut left = text;
    let year = digits(&mut left, 4..=9)?;
    if year.len() > 4 && year.starts_with('0') {
        return None;
    }
    let year = value(year);
    let month = value(after(&mut left, '-', 2)?);
    let day = value(after(&mut left, '-', 2)?);
    let hour = value(after(&mut left, 'T', 2)?);
    let minute = value(after(&mut left, ':', 2)?);
    let second = value(after(&mut left, ':', 2)?);
    let mut millis = 0;
    if let Some(rest) = left.strip_prefix('.') {
        left = rest;
        let fraction = digits(&mut left, 1..=9)?;
        millis = value(&format!("{fraction:0<3}")[..3]);
    }
    let mut ahead = 0;
    if left != "Z" {
        let sign = if left.starts_with('-') { -1 } else { 1 };
        let hours = value(after(&mut left, if sign < 0 { '-' } else { '+' }, 2)?);
        let minutes = value(after(&mut left, ':', 2)?);
        if !left.is_empty() || hours > 23 || minutes > 59 {
            return None;
        }
        ahead = sign * (hours * 60 + minutes);
    }
    let is_leap = |year: i128| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (before, this) = months.split_at(usize::try_from(month - 1).ok()?);
    if !(1..=this[0]).contains(&day) {
        return None;
    }
    // Four hundred years have 146,097 days; the epoch is 719,528 days after the year 0 began.
    let years: i128 = (0..year % 400)
        .map(|year| if is_leap(year) { 366 } else { 365 })
        .sum();
    let days = year / 400 * 146_097 + years + before.iter().sum::<i128>() + day - 1 - 719_528;
    let minutes = days * 24 * 60 + hour * 60 + minute - ahead;
    u64::try_from((minutes * 60 + second) * 1000 + millis).ok()
}

/// Cuts off the digits that come first, if there are as many as asked for.
fn digits<'a>(left: &mut &'a str, count: std::ops::RangeInclusive<usize>) -> Option<&'a str> {
    let end = left
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(left.len());
    let (digits, rest) = left.split_at(end);
    *left = rest;
    count.contains(&digits.len()).then_some(digits)
}

/// Cuts off a sign and exactly so many digits.
fn after<'a>(left: &mut &'a str, sign: char, count: usize) -> Option<&'a str> {
    *left = left.strip_prefix(sign)?;
    digits(left, count..=count)
}

fn value(digits: &str) -> i128 {
    digits
        .bytes()
        .fold(0, |value, digit| value * 10 + i128::from(digit - b'0'))
}

/// The word of Kinesis, and behind a colon what its own parser reads.
pub fn starting_position(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let of = |word| {
        text.strip_prefix(word)
            .and_then(|at: &str| at.strip_prefix(':'))
    };
    let number = |word| of(word).and_then(|number| number.parse().ok());
    let time = of("AT_TIMESTAMP").and_then(|time| time.parse().ok());
    let expected = match text {
        "TRIM_HORIZON" => Some(StartingPosition::TrimHorizon),
        "LATEST" => Some(StartingPosition::Latest),
        _ => number("AT_SEQUENCE_NUMBER")
            .map(StartingPosition::AtSequenceNumber)
            .or(number("AFTER_SEQUENCE_NUMBER").map(StartingPosition::AfterSequenceNumber))
            .or(time.map(StartingPosition::AtTimestamp)),
    };
    let read: Option<StartingPosition> = text.parse().ok();
    assert_eq!(read, expected, "{text:?}");
    if let Some(position) = read {
        assert_eq!(position.to_string().parse(), Ok(position));
        assert!(of("AT_TIMESTAMP").is_some() || position.to_string() == text);
    }
}

/// Lines of ids that go up, the last one of the next shard: none, unless it is there to the end.
pub fn subscription_positions(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(positions) = text.parse::<SubscriptionPositions>() else {
        return;
    };
    let shown = positions.to_string();
    assert_eq!(shown.parse(), Ok(positions.clone()));
    assert_eq!(shown.lines().count(), text.lines().count());
    assert_eq!(positions.len() + 1, text.lines().count());
    assert!(
        positions
            .iter()
            .map(|(id, _)| id)
            .is_sorted_by(|a, b| a < b)
    );
    for ((id, position), line) in positions.iter().zip(text.lines()) {
        assert_eq!(positions.position_of(id), Some(position));
        assert!(line.starts_with(&format!("{id} ")));
    }
    // A file that was cut off anywhere is refused; all that is shown is ASCII.
    let cut = usize::from(*cut) * shown.len() / 256;
    assert!(
        shown[..cut].parse::<SubscriptionPositions>().is_err(),
        "{shown:?} up to {cut}"
    );
}
