//! Dates as the service's texts have them.

use std::fmt;

use crate::clock::Timestamp;

/// A time in the form `Thu Jan 22 01:22:02 UTC 2015`.
pub(crate) struct JavaDate(pub(crate) Timestamp);

impl fmt::Display for JavaDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        // 1970-01-01 was a Thursday. The other form has the fields: 2015-01-22T01:22:02.000Z.
        let days = self.0.as_secs() / 86_400;
        let weekday = DAYS[usize::try_from(days % 7).expect("it is below 7")];
        let text = self.0.to_string();
        let (date, time) = text.split_once('T').expect("a T is between date and time");
        let mut fields = date.splitn(3, '-');
        let mut field = || fields.next().expect("a date has three fields");
        let (year, month, day) = (field(), field(), field());
        let month = month.parse::<usize>().map_or(0, |month| month - 1);
        let time = time.split('.').next().unwrap_or(time);
        write!(f, "{weekday} {} {day} {time} UTC {year}", MONTHS[month])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_weekday_month_day_time_zone_and_year() {
        for (secs, text) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (1_421_889_722, "Thu Jan 22 01:22:02 UTC 2015"),
            (1_709_251_199, "Thu Feb 29 23:59:59 UTC 2024"),
        ] {
            let time = Timestamp::from_millis(secs * 1000);
            assert_eq!(JavaDate(time).to_string(), text);
        }
    }
}
