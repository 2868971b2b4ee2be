//! The same figures without any stream: loops over the files, and hash maps.
//!
//! It shares only the reading of files with the pipeline, and looks weather up in another way, so
//! that a mistake in one of them shows.

use std::collections::HashMap;

use crate::figures::{Delay, Delays, KeyOrder, Matches, Route, Traffic, Visibility};
use crate::files::{Input, MISSING, Result, for_each_row, hour_of};
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
    let mut makers = HashMap::new();
    let columns = ["tailnum", "manufacturer", "seats"];
    for_each_row(
        &input.file("planes")?,
        columns,
        |[tail_number, maker, seats]| {
            let seats: u64 = if seats == MISSING { 0 } else { seats.parse()? };
            makers.insert(tail_number.to_owned(), (maker.to_owned(), seats));
            Ok(())
        },
    )?;

    let mut observed = HashMap::new();
    let columns = ["origin", "time_hour", "visib"];
    for_each_row(
        &input.file("weather")?,
        columns,
        |[airport, time_hour, miles]| {
            observed.insert((airport.to_owned(), hour_of(time_hour)?), miles.to_owned());
            Ok(())
        },
    )?;

    let mut expected = Expected::default();
    let Expected {
        matches,
        delays,
        traffic,
        order,
    } = &mut expected;
    let columns = [
        "tailnum",
        "carrier",
        "origin",
        "dest",
        "time_hour",
        "dep_time",
        "dep_delay",
    ];
    for_each_row(
        &input.flights,
        columns,
        |[tail, carrier, origin, to, time, left, delay]| {
            order.note(tail, matches.flights);
            matches.flights += 1;
            *traffic.by_carrier.entry(carrier.to_owned()).or_insert(0) += 1;
            let route = (origin.to_owned(), to.to_owned());
            let route = traffic.by_route.entry(route).or_insert(Route {
                flights: 0,
                seats: 0,
            });
            route.flights += 1;

            let mut groups = vec![&mut delays.all];
            if let Some((maker, seats)) = makers.get(tail) {
                matches.aircraft += 1;
                route.seats += seats;
                groups.push(delays.by_maker.entry(maker.clone()).or_default());
            }
            let hour = hour_of(time)?;
            let age = (0..=WEATHER_HOURS_MAX)
                .find(|age| observed.contains_key(&(origin.to_owned(), hour - age)));
            let miles = age.map(|age| observed[&(origin.to_owned(), hour - age)].as_str());
            match age {
                Some(0) => matches.weather_of_the_hour += 1,
                Some(_) => matches.weather_of_earlier += 1,
                None => {}
            }
            groups.push(
                delays
                    .by_visibility
                    .entry(Visibility::of(miles)?)
                    .or_default(),
            );

            for Delay {
                flights,
                cancelled,
                minutes,
            } in groups
            {
                *flights += 1;
                if left == MISSING {
                    *cancelled += 1;
                } else {
                    *minutes += delay.parse::<i64>()?;
                }
            }
            Ok(())
        },
    )?;
    if expected.matches.flights == 0 {
        return Err(format!("{}: there are no flights", input.flights.display()).into());
    }
    Ok(expected)
}
