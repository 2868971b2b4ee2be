//! The figures that the consumers add up. All are whole numbers, so that sums made in any order
//! are equal to the last digit.

use std::collections::{BTreeMap, HashMap};

use crate::event::Enriched;

/// For how many flights something was known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    pub flights: u64,
    pub aircraft: u64,
    pub weather_of_the_hour: u64,
    pub weather_of_earlier: u64,
}

/// How late the flights of a group left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    pub flights: u64,
    pub cancelled: u64,
    /// The delays of all that left, added up.
    pub minutes: i64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delays {
    pub all: Delay,
    pub by_maker: BTreeMap<String, Delay>,
    pub by_air: BTreeMap<Air, Delay>,
}

/// What the air was like at the airport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Air {
    Freezing,
    Warmer,
    Unknown,
}

/// Flights, and the seats in them as far as the aircraft is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub flights: u64,
    pub seats: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By origin and destination.
    pub by_route: BTreeMap<(String, String), Route>,
    pub by_carrier: BTreeMap<String, u64>,
}

/// The rows that a reader was given, for each partition key in the order in which they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeyOrder {
    rows: HashMap<String, Vec<u64>>,
}

impl Matches {
    pub fn add(&mut self, flight: &Enriched<'_>) {
        self.flights += 1;
        self.aircraft += u64::from(flight.aircraft.is_some());
        match flight.weather {
            Some(weather) if weather.age_hours == 0 => self.weather_of_the_hour += 1,
            Some(_) => self.weather_of_earlier += 1,
            None => {}
        }
    }
}

impl Delay {
    fn add(&mut self, delay: Option<i64>) {
        self.flights += 1;
        self.cancelled += u64::from(delay.is_none());
        self.minutes += delay.unwrap_or(0);
    }

    /// Minutes by which a flight that left was late.
    pub fn mean(&self) -> f64 {
        self.minutes as f64 / (self.flights - self.cancelled) as f64
    }
}

impl Delays {
    pub fn add(&mut self, enriched: &Enriched<'_>) {
        let delay = enriched.flight.delay;
        self.all.add(delay);
        if let Some(aircraft) = enriched.aircraft {
            self.by_maker
                .entry(aircraft.maker.to_owned())
                .or_default()
                .add(delay);
        }
        let air = Air::at(enriched.weather.map(|weather| weather.fahrenheit));
        self.by_air.entry(air).or_default().add(delay);
    }
}

impl Air {
    pub fn at(fahrenheit: Option<f64>) -> Self {
        match fahrenheit {
            Some(fahrenheit) if fahrenheit <= 32.0 => Self::Freezing,
            Some(_) => Self::Warmer,
            None => Self::Unknown,
        }
    }
}

impl Traffic {
    pub fn add(&mut self, enriched: &Enriched<'_>) {
        let Enriched {
            flight, aircraft, ..
        } = enriched;
        let ends = (flight.origin.to_owned(), flight.destination.to_owned());
        let route = self.by_route.entry(ends).or_default();
        route.flights += 1;
        route.seats += aircraft.map_or(0, |aircraft| aircraft.seats);
        *self
            .by_carrier
            .entry(flight.carrier.to_owned())
            .or_default() += 1;
    }
}

impl KeyOrder {
    pub fn note(&mut self, partition_key: &str, row: u64) {
        self.rows
            .entry(partition_key.to_owned())
            .or_default()
            .push(row);
    }

    pub fn key_count(&self) -> usize {
        self.rows.len()
    }
}
