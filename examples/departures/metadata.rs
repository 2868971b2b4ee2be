//! What a flight is enriched with: facts that stay (aircraft), and facts that change (weather).

use std::collections::{BTreeMap, HashMap};

use crate::event::{Aircraft, Enriched, Flight, Weather};
use crate::files::{Input, Result, for_each_row, hour_of, number};

/// An observation holds until the next one, but no longer than this; after that nobody knows, and
/// the flight goes on without weather.
pub const WEATHER_HOURS_MAX: u64 = 3;

pub struct Metadata {
    /// Maker and seats by tail number.
    aircraft: HashMap<String, (String, u64)>,
    /// Temperature by airport, then by hour.
    weather: HashMap<String, BTreeMap<u64, f64>>,
}

impl Metadata {
    pub fn load(input: &Input) -> Result<Self> {
        let mut aircraft = HashMap::new();
        for_each_row(
            &input.file("planes")?,
            ["tailnum", "manufacturer", "seats"],
            |row| {
                let [tail_number, maker, seats] = row;
                let seats = number(seats)?.unwrap_or(0);
                aircraft.insert(tail_number.to_owned(), (maker.to_owned(), seats));
                Ok(())
            },
        )?;

        let mut weather: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        for_each_row(
            &input.file("weather")?,
            ["origin", "time_hour", "temp"],
            |row| {
                let [airport, time_hour, fahrenheit] = row;
                if let Some(fahrenheit) = number(fahrenheit)? {
                    let by_hour = weather.entry(airport.to_owned()).or_default();
                    by_hour.insert(hour_of(time_hour)?, fahrenheit);
                }
                Ok(())
            },
        )?;
        Ok(Self { aircraft, weather })
    }

    pub fn enrich<'a>(&'a self, flight: Flight<'a>) -> Result<Enriched<'a>> {
        Ok(Enriched {
            flight,
            aircraft: self.aircraft(flight.tail_number),
            weather: self.weather(flight.origin, hour_of(flight.time_hour)?),
        })
    }

    fn aircraft(&self, tail_number: &str) -> Option<Aircraft<'_>> {
        let (maker, seats) = self.aircraft.get(tail_number)?;
        Some(Aircraft {
            maker,
            seats: *seats,
        })
    }

    /// The weather as of an hour: the newest observation that is not of a later hour.
    fn weather(&self, airport: &str, hour: u64) -> Option<Weather> {
        let (observed, fahrenheit) = self.weather.get(airport)?.range(..=hour).next_back()?;
        let age_hours = hour - observed;
        (age_hours <= WEATHER_HOURS_MAX).then_some(Weather {
            fahrenheit: *fahrenheit,
            age_hours,
        })
    }
}
