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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enriched<'a> {
    pub flight: Flight<'a>,
    pub aircraft: Option<Aircraft<'a>>,
    pub weather: Option<Weather>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aircraft<'a> {
    pub maker: &'a str,
    pub seats: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Temperature at the airport.
    pub fahrenheit: f64,
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
        let mut line = self.flight.encode();
        match self.aircraft {
            Some(Aircraft { maker, seats }) => line += &format!("\t{maker}\t{seats}"),
            None => line += &format!("\t{MISSING}\t{MISSING}"),
        }
        match self.weather {
            Some(Weather {
                fahrenheit,
                age_hours,
            }) => line += &format!("\t{fahrenheit}\t{age_hours}"),
            None => line += &format!("\t{MISSING}\t{MISSING}"),
        }
        line
    }

    pub fn decode(data: &'a [u8]) -> Result<Self> {
        let [a, b, c, d, e, f, g, maker, seats, fahrenheit, age_hours] = fields(data)?;
        let flight = Flight::from_fields([a, b, c, d, e, f, g])?;
        let aircraft = number(seats)?.map(|seats| Aircraft { maker, seats });
        let weather = number(fahrenheit)?.zip(number(age_hours)?);
        let weather = weather.map(|(fahrenheit, age_hours)| Weather {
            fahrenheit,
            age_hours,
        });
        Ok(Self {
            flight,
            aircraft,
            weather,
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
