//! The same figures without any stream: loops over the files, and hash maps.
//!
//! It shares the reading of files with the pipeline and the types of the figures, but adds up and
//! looks weather up in its own way, so that a mistake on either side shows.

use std::collections::HashMap;

use crate::figures::{Air, Delays, KeyOrder, Matches, Traffic};
use crate::files::{Input, MISSING, Result, for_each_row, hour_of, number};
use crate::metadata::WEATHER_HOURS_MAX;

/// What the pipeline has to find.
#[derive(Default)]
pub struct Expected {
    pub matches: Matches,
    pub delays: Delays,
    pub traffic: Traffic,
    pub order: KeyOrder,
}

pub fn compute(input: &Input) -> Result<Expected> {
    let aircraft = aircraft(input)?;
    let temperatures = temperatures(input)?;
    let mut expected = Expected::default();
    let columns = [
        "tailnum",
        "carrier",
        "origin",
        "dest",
        "time_hour",
        "dep_time",
        "dep_delay",
    ];
    for_each_row(&input.flights, columns, |row| {
        let [
            tail_number,
            carrier,
            origin,
            destination,
            time_hour,
            departed,
            delay,
        ] = row;
        let Expected {
            matches,
            delays,
            traffic,
            order,
        } = &mut expected;
        order.note(tail_number, matches.flights);
        matches.flights += 1;
        *traffic.by_carrier.entry(carrier.to_owned()).or_insert(0) += 1;
        let ends = (origin.to_owned(), destination.to_owned());
        let route = traffic.by_route.entry(ends).or_default();
        route.flights += 1;

        let mut groups = vec![&mut delays.all];
        if let Some((maker, seats)) = aircraft.get(tail_number) {
            matches.aircraft += 1;
            route.seats += seats;
            groups.push(delays.by_maker.entry(maker.clone()).or_default());
        }
        let hour = hour_of(time_hour)?;
        let observed = |hour| temperatures.get(&(origin.to_owned(), hour)).copied();
        let of_the_hour = observed(hour);
        let earlier = || (1..=WEATHER_HOURS_MAX).find_map(|age| observed(hour - age));
        let temperature = of_the_hour.or_else(earlier);
        match (of_the_hour, temperature) {
            (Some(_), _) => matches.weather_of_the_hour += 1,
            (None, Some(_)) => matches.weather_of_earlier += 1,
            (None, None) => {}
        }
        groups.push(delays.by_air.entry(Air::at(temperature)).or_default());

        for group in groups {
            group.flights += 1;
            if departed == MISSING {
                group.cancelled += 1;
            } else {
                group.minutes += number::<i64>(delay)?.ok_or("it departed, but when?")?;
            }
        }
        Ok(())
    })?;
    if expected.matches.flights == 0 {
        return Err(format!("{}: there are no flights", input.flights.display()).into());
    }
    Ok(expected)
}

/// Maker and seats by tail number.
fn aircraft(input: &Input) -> Result<HashMap<String, (String, u64)>> {
    let mut aircraft = HashMap::new();
    for_each_row(
        &input.file("planes")?,
        ["tailnum", "manufacturer", "seats"],
        |row| {
            let [tail_number, maker, seats] = row;
            let seats = if seats == MISSING { 0 } else { seats.parse()? };
            aircraft.insert(tail_number.to_owned(), (maker.to_owned(), seats));
            Ok(())
        },
    )?;
    Ok(aircraft)
}

/// Temperature by airport and hour.
fn temperatures(input: &Input) -> Result<HashMap<(String, u64), f64>> {
    let mut temperatures = HashMap::new();
    for_each_row(
        &input.file("weather")?,
        ["origin", "time_hour", "temp"],
        |row| {
            let [airport, time_hour, temperature] = row;
            if temperature != MISSING {
                let observed = (airport.to_owned(), hour_of(time_hour)?);
                temperatures.insert(observed, temperature.parse()?);
            }
            Ok(())
        },
    )?;
    Ok(temperatures)
}
