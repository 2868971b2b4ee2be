//! What the records of the two streams say: fields between tabs, read where they lie.

use crate::files::{MISSING, Result, number};

/// A departure, as it is put into `flights`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight<'a> {
    /// Which row of the file it is, from 0: says in which order the flights were put.
    pub row: u64,
    pub time_hour: &'a str,
    pub carrier: &'a str,
    pub tail_number: &'a str,
    pub origin: &'a str,
    pub destination: &'a str,
    /// Minutes by which it left late, less than 0 if early; `None` if it was cancelled.
    pub delay: Option<i64>,
}

/// A departure with what was known at its hour, as it is put into `enriched`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enriched<'a> {
    pub flight: Flight<'a>,
    pub aircraft: Option<Aircraft<'a>>,
    pub weather: Option<Weather<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aircraft<'a> {
    pub maker: &'a str,
    pub seats: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather<'a> {
    /// In miles.
    pub visibility: &'a str,
    /// Hours since it was observed; 0 if in the hour of the flight.
    pub age_hours: u64,
}

impl<'a> Flight<'a> {
    pub fn encode(&self) -> String {
        let delay = self
            .delay
            .map_or(MISSING.to_owned(), |delay| delay.to_string());
        let Flight {
            row,
            time_hour,
            carrier,
            tail_number,
            origin,
            destination,
            ..
        } = self;
        format!("{row}\t{time_hour}\t{carrier}\t{tail_number}\t{origin}\t{destination}\t{delay}")
    }

    pub fn decode(data: &'a [u8]) -> Result<Self> {
        Self::from_fields(fields(data)?)
    }

    fn from_fields(fields: [&'a str; 7]) -> Result<Self> {
        let [
            row,
            time_hour,
            carrier,
            tail_number,
            origin,
            destination,
            delay,
        ] = fields;
        let (row, delay) = (row.parse()?, number(delay)?);
        Ok(Self {
            row,
            time_hour,
            carrier,
            tail_number,
            origin,
            destination,
            delay,
        })
    }
}

impl<'a> Enriched<'a> {
    pub fn encode(&self) -> String {
        let (maker, seats) = self
            .aircraft
            .map_or((MISSING, 0), |aircraft| (aircraft.maker, aircraft.seats));
        let (visibility, age) = self.weather.map_or((MISSING, 0), |weather| {
            (weather.visibility, weather.age_hours)
        });
        let flight = self.flight.encode();
        format!("{flight}\t{maker}\t{seats}\t{visibility}\t{age}")
    }

    pub fn decode(data: &'a [u8]) -> Result<Self> {
        let [a, b, c, d, e, f, g, maker, seats, visibility, age_hours] = fields(data)?;
        let (seats, age_hours) = (seats.parse()?, age_hours.parse()?);
        Ok(Self {
            flight: Flight::from_fields([a, b, c, d, e, f, g])?,
            aircraft: (maker != MISSING).then_some(Aircraft { maker, seats }),
            weather: (visibility != MISSING).then_some(Weather {
                visibility,
                age_hours,
            }),
        })
    }
}

/// Takes data apart; a field with a tab inside makes too many fields, and an error.
fn fields<const N: usize>(data: &[u8]) -> Result<[&str; N]> {
    let text = std::str::from_utf8(data)?;
    let mut parts = text.split('\t');
    let fields = [(); N].map(|()| parts.next());
    if parts.next().is_some() || fields.contains(&None) {
        return Err(format!("{text:?} has not {N} fields").into());
    }
    Ok(fields.map(Option::unwrap_or_default))
}
