//! Points in time, and how they are written.

use std::fmt;
use std::ops::{Add, RangeInclusive, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A point in time: milliseconds since the Unix epoch, UTC, the precision of Kinesis.
///
/// Shown and read as RFC 3339:
///
/// ```
/// use brooklet::Timestamp;
///
/// let t = Timestamp::from_millis(1_357_034_400_000);
/// assert_eq!(t.to_string(), "2013-01-01T10:00:00.000Z");
/// assert_eq!("2013-01-01T10:00:00Z".parse(), Ok(t));
/// assert_eq!("2013-01-01T11:00:00.000+01:00".parse(), Ok(t));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The point in time so many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Later by `duration` (whole milliseconds of it), or the last representable time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Earlier by `duration` (whole milliseconds of it), or the epoch.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// The time from `earlier` to here; zero if `earlier` is the later one.
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Times before the Unix epoch become the epoch.
    #[inline]
    fn from(time: SystemTime) -> Self {
        Self(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, whole_millis),
        )
    }
}

impl From<Timestamp> for SystemTime {
    /// Times that the system cannot hold become the last one it can, to within a factor of two.
    fn from(timestamp: Timestamp) -> Self {
        let mut since_epoch = Duration::from_millis(timestamp.0);
        loop {
            match Self::UNIX_EPOCH.checked_add(since_epoch) {
                Some(time) => return time,
                None => since_epoch /= 2,
            }
        }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub(duration)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, millis) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = civil_date(secs / 86_400);
        let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTimestampError {
    /// It is not written as RFC 3339 has it.
    #[error("timestamp is not of the form 2013-01-01T10:00:00.000Z")]
    NotATimestamp,
    /// No calendar has such a day, or no clock such a time of day.
    #[error("timestamp has a day, a time of day or an offset that does not exist")]
    NoSuchTime,
    /// It is before 1970, or later than milliseconds in a `u64` can say.
    #[error("timestamp is before 1970 or after 584556019-04-03T14:25:51.615Z")]
    OutOfRange,
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads RFC 3339 in UTC or with an offset, strictly: `T` and `Z` are capitals, and there is no
    /// leap second. Of a fraction of up to 9 digits the milliseconds are kept. A year after 9999
    /// has the digits that it needs, as it is shown.
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let written = Written::read(text).ok_or(ParseTimestampError::NotATimestamp)?;
        if !written.exists() {
            return Err(ParseTimestampError::NoSuchTime);
        }
        written.timestamp().ok_or(ParseTimestampError::OutOfRange)
    }
}

/// The numbers of a time as they are written.
struct Written {
    /// Year, month and day.
    date: [i64; 3],
    /// Hour, minute and second.
    time: [i64; 3],
    millis: u64,
    /// 1 east of Greenwich, -1 west of it.
    sign: i64,
    /// Hours and minutes by which the clock is ahead of UTC, or behind.
    offset: [i64; 2],
}

impl Written {
    fn read(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let (time, zone) = rest.split_at(rest.find(['Z', '+', '-'])?);
        let (time, millis) = match time.split_once('.') {
            Some((time, fraction)) => (time, millis_of(fraction)?),
            None => (time, 0),
        };
        let (sign, offset) = match zone.split_at(1) {
            ("Z", "") => (1, [0, 0]),
            ("+", offset) => (1, numbers(offset, ':', [2..=2, 2..=2])?),
            ("-", offset) => (-1, numbers(offset, ':', [2..=2, 2..=2])?),
            _ => return None,
        };
        let is_padded = date.starts_with('0') && date.find('-') > Some(4);
        let written = Self {
            date: numbers(date, '-', [4..=9, 2..=2, 2..=2])?,
            time: numbers(time, ':', [2..=2, 2..=2, 2..=2])?,
            millis,
            sign,
            offset,
        };
        (!is_padded).then_some(written)
    }

    fn exists(&self) -> bool {
        let [year, month, day] = self.date;
        let [hour, minute, second] = self.time;
        let [offset_hours, offset_minutes] = self.offset;
        (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour.max(offset_hours) < 24
            && minute.max(second).max(offset_minutes) < 60
    }

    /// The point in time, unless it is out of range.
    fn timestamp(&self) -> Option<Timestamp> {
        let [year, month, day] = self.date;
        let [hour, minute, second] = self.time;
        let [offset_hours, offset_minutes] = self.offset;
        let minutes = hour * 60 + minute - self.sign * (offset_hours * 60 + offset_minutes);
        let secs = days_since_epoch(year, month, day) * 86_400 + minutes * 60 + second;
        let millis = u64::try_from(secs).ok()?.checked_mul(1000)?;
        millis.checked_add(self.millis).map(Timestamp)
    }
}

/// The numbers between separators, of as many digits each.
fn numbers<const N: usize>(
    text: &str,
    separator: char,
    digits: [RangeInclusive<usize>; N],
) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        *number = parts
            .next()
            .filter(|part| digits.contains(&part.len()))
            .filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?
            .parse()
            .ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Milliseconds of a fraction of a second of 1 to 9 digits.
fn millis_of(fraction: &str) -> Option<u64> {
    let [_] = numbers(fraction, '.', [1..=9])?;
    format!("{fraction:0<3}")[..3].parse().ok()
}

/// Whole milliseconds of a duration, as many as a `u64` holds.
#[inline]
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    let millis = u64::from(duration.subsec_millis());
    duration
        .as_secs()
        .saturating_mul(1000)
        .saturating_add(millis)
}

/// Year, month and day of a day counted from the Unix epoch (proleptic Gregorian calendar).
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    // Years are counted from 1 March here, so that the leap day is the last day of a year.
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The reverse of [`civil_date`].
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month_from_march) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - 719_468
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days_since_epoch(next_year, next_month, 1) - days_since_epoch(year, month, 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use ParseTimestampError::{NoSuchTime, NotATimestamp, OutOfRange};

    use super::*;

    fn parse(text: &str) -> Result<u64, ParseTimestampError> {
        text.parse().map(Timestamp::as_millis)
    }

    #[test]
    fn a_timestamp_reads_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn the_ends_of_time_neither_panic_nor_wrap() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(end - Duration::MAX, Timestamp::default());
        assert!(SystemTime::from(end) > SystemTime::UNIX_EPOCH);
        assert!(!end.to_string().is_empty());
        assert_eq!(
            Timestamp::from(SystemTime::UNIX_EPOCH - Duration::from_secs(9)).as_millis(),
            0
        );
    }
    #[test]
    fn rfc_3339_is_read_in_utc_and_with_an_offset() {
        for (text, millis) in [
            ("2013-01-01T10:00:00Z", 1_357_034_400_000),
            ("2013-01-01T10:00:00.123Z", 1_357_034_400_123),
            ("2013-01-01T11:00:00+01:00", 1_357_034_400_000),
            ("2013-01-01T04:30:00.5-05:30", 1_357_034_400_500),
            ("2013-01-01T10:00:00-00:00", 1_357_034_400_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
            // What is finer than a millisecond is cut off.
            ("2013-01-01T10:00:00.05Z", 1_357_034_400_050),
            ("2013-01-01T10:00:00.1239Z", 1_357_034_400_123),
            ("2013-01-01T10:00:00.000999999Z", 1_357_034_400_000),
            // The epoch, from either side of Greenwich.
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T23:59:00+23:59", 0),
            ("1969-12-31T19:00:00-05:00", 0),
        ] {
            assert_eq!(parse(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_rfc_3339_is_refused() {
        for text in [
            "",
            "T",
            "now",
            "2013-01-01",
            "10:00:00Z",
            "2013-01-01T10:00:00",
            "2013-01-01T10:00Z",
            "2013-01-01 10:00:00Z",
            "2013-01-01t10:00:00Z",
            "2013-01-01T10:00:00z",
            " 2013-01-01T10:00:00Z",
            "2013-01-01T10:00:00Z ",
            "2013-01-01T10:00:00ZZ",
            "2013-01-01T10:00:00+01:00Z",
            "2013-01-01T10:00:00+0100",
            "2013-01-01T10:00:00+01",
            "2013-01-01T10:00:00+1:00",
            "2013-01-01T10:00:00+",
            "2013-01-01T10:00:00.Z",
            "2013-01-01T10:00:00.1234567890Z",
            "2013-01-01T10:00:00.1.2Z",
            "2013-01-01T10:00:00,5Z",
            "2013-01-01T10:00:0Z",
            "2013-01-01T10:00:+0Z",
            "2013-1-01T10:00:00Z",
            "13-01-01T10:00:00Z",
            "-2013-01-01T10:00:00Z",
            "+2013-01-01T10:00:00Z",
            "02013-01-01T10:00:00Z",
            "2013-01-01-01T10:00:00Z",
            "1234567890-01-01T10:00:00Z",
            "２０１３-01-01T10:00:00Z",
            "1357034400000",
        ] {
            assert_eq!(parse(text), Err(NotATimestamp), "{text:?}");
        }
    }

    #[test]
    fn a_time_that_does_not_exist_is_refused() {
        for text in [
            "2013-00-01T10:00:00Z",
            "2013-13-01T10:00:00Z",
            "2013-01-00T10:00:00Z",
            "2013-01-32T10:00:00Z",
            "2013-04-31T10:00:00Z",
            "2013-02-29T10:00:00Z",
            "2100-02-29T10:00:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T10:60:00Z",
            "2016-12-31T23:59:60Z",
            "2013-01-01T10:00:00+24:00",
            "2013-01-01T10:00:00+00:60",
        ] {
            assert_eq!(parse(text), Err(NoSuchTime), "{text}");
        }
    }

    #[test]
    fn a_time_before_the_epoch_or_after_the_last_is_refused() {
        let last = Timestamp(u64::MAX).to_string();
        assert_eq!(last, "584556019-04-03T14:25:51.615Z");
        assert_eq!(parse(&last), Ok(u64::MAX));
        for text in [
            "584556019-04-03T14:25:51.616Z",
            "584556019-04-03T14:25:52Z",
            "999999999-12-31T23:59:59.999-23:59",
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00+00:01",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), Err(OutOfRange), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_timestamp_is_read_as_it_is_shown(millis in any::<u64>(), recent in 0..1_u64 << 43) {
            for timestamp in [Timestamp(millis), Timestamp(recent)] {
                prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
            }
        }

        #[test]
        fn an_offset_says_the_same_time_on_another_clock(
            millis in 86_400_000..1_u64 << 43, hours in 0_u64..24, minutes in 0_u64..60,
        ) {
            let ahead = (hours * 60 + minutes) * 60_000;
            for (shown, sign) in [(millis + ahead, '+'), (millis - ahead, '-')] {
                let shown = Timestamp(shown).to_string();
                let text = shown.replace('Z', &format!("{sign}{hours:02}:{minutes:02}"));
                prop_assert_eq!(parse(&text), Ok(millis));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*|[0-9TZ:.+-]{0,40}") {
            if let Ok(timestamp) = text.parse::<Timestamp>() {
                prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
            }
        }
    }
}
