//! Tables for people, and checks.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::time::Duration;

use brooklet::{Shard, Stream};
use comfy_table::{CellAlignment, Table, TableComponent, presets};

use crate::figures::{Air, Delay, KeyOrder};
use crate::files::{Input, Result, for_each_row};
use crate::pipeline::{Late, Live, Pace, Reshard};
use crate::plain::Expected;

/// What is known of the data: counted once with other software, which is not part of the example.
pub struct Facts {
    flights: u64,
    cancelled: u64,
    aircraft: u64,
    weather: [u64; 2],
    carriers: [(&'static str, u64); 4],
    boeing: Delay,
    jfk_lax: u64,
}

/// The first week of 2013.
pub const WEEK: Facts = Facts {
    flights: 6_099,
    cancelled: 35,
    aircraft: 5_112,
    weather: [6_047, 52],
    carriers: [("B6", 1_107), ("UA", 1_067), ("EV", 888), ("DL", 858)],
    boeing: Delay {
        flights: 1_516,
        cancelled: 0,
        minutes: 9_269,
    },
    jfk_lax: 219,
};

/// All of 2013.
pub const YEAR: Facts = Facts {
    flights: 336_776,
    cancelled: 8_255,
    aircraft: 284_170,
    weather: [335_203, 779],
    carriers: [
        ("UA", 58_665),
        ("B6", 54_635),
        ("EV", 54_173),
        ("DL", 48_110),
    ],
    boeing: Delay {
        flights: 82_912,
        cancelled: 388,
        minutes: 964_993,
    },
    jfk_lax: 11_262,
};

pub fn print_streams(streams: &[&Stream]) {
    let mut table = table([
        "stream",
        "shard",
        "came of",
        "records in",
        "records out",
        "bytes in",
    ]);
    for stream in streams {
        for shard in stream.shards() {
            let metrics = shard.metrics();
            table.add_row([
                stream.name().to_owned(),
                shard.id().to_string(),
                origin_of(&shard),
                grouped(metrics.records_in),
                grouped(metrics.records_out),
                grouped(metrics.bytes_in),
            ]);
        }
        let metrics = stream.metrics();
        table.add_row([
            stream.name().to_owned(),
            "all".to_owned(),
            String::new(),
            grouped(metrics.records_in()),
            grouped(metrics.records_out()),
            grouped(metrics.bytes_in()),
        ]);
    }
    print(
        "Streams, with the shards that were split and merged while records flowed",
        table,
        3,
    );
}

fn origin_of(shard: &Shard) -> String {
    match (shard.parent_shard_id(), shard.adjacent_parent_shard_id()) {
        (Some(lower), Some(upper)) => format!("merge of {} and {}", lower.index(), upper.index()),
        (Some(parent), None) => format!("split of {}", parent.index()),
        (None, _) => String::new(),
    }
}

pub fn print_paces(live: &Live, late: &Late) {
    let mut table = table(["thread", "records", "seconds", "records/s"]);
    for (thread, pace) in [
        ("put flights", &live.put),
        ("enrich", &live.enrich.pace),
        ("delays by maker", &live.delays.pace),
        ("traffic by route", &live.traffic.pace),
        ("late reader of flights", &late.flights.pace),
        ("late reader of enriched", &late.enriched.pace),
    ] {
        table.add_row([
            thread.to_owned(),
            grouped(pace.records),
            seconds(pace.took),
            rate(pace),
        ]);
    }
    print("Pace; the first four ran at the same time", table, 1);
}

pub fn print_figures(live: &Live, input: &Input) -> Result<()> {
    let (matches, delays) = (&live.enrich.found, &live.delays.found);
    let unknown = matches.flights - matches.weather_of_the_hour - matches.weather_of_earlier;
    let mut figures = table(["flights", "count", "share"]);
    for (what, count) in [
        ("all", matches.flights),
        ("cancelled", delays.all.cancelled),
        ("aircraft known", matches.aircraft),
        ("weather of the very hour", matches.weather_of_the_hour),
        (
            "weather of up to 3 hours before",
            matches.weather_of_earlier,
        ),
        ("weather unknown", unknown),
    ] {
        let share = 100.0 * count as f64 / matches.flights as f64;
        figures.add_row([what.to_owned(), grouped(count), format!("{share:.1} %")]);
    }
    print("Departures", figures, 1);

    let mut makers = table(["maker", "flights", "cancelled", "mean delay"]);
    for (maker, delay) in top(&delays.by_maker, |delay| delay.flights) {
        makers.add_row(delay_row(maker.clone(), delay));
    }
    print("Departure delay by maker", makers, 1);

    let mut airs = table(["air at the airport", "flights", "cancelled", "mean delay"]);
    for (air, delay) in &delays.by_air {
        let name = match air {
            Air::Freezing => "freezing",
            Air::Warmer => "warmer",
            Air::Unknown => "unknown",
        };
        airs.add_row(delay_row(name.to_owned(), delay));
    }
    print("Departure delay by weather", airs, 1);

    let traffic = &live.traffic.found;
    let airports = names(input, "airports", ["faa", "name"])?;
    let mut routes = table(["route", "to", "flights", "seats known"]);
    for ((from, to), route) in top(&traffic.by_route, |route| route.flights) {
        let name = airports.get(to).cloned().unwrap_or_default();
        let (flights, seats) = (grouped(route.flights), grouped(route.seats));
        routes.add_row([format!("{from}-{to}"), name, flights, seats]);
    }
    print("Busiest routes", routes, 2);

    let airlines = names(input, "airlines", ["carrier", "name"])?;
    let mut carriers = table(["carrier", "name", "flights"]);
    for (carrier, flights) in top(&traffic.by_carrier, |flights| *flights) {
        let name = airlines.get(carrier).cloned().unwrap_or_default();
        carriers.add_row([carrier.clone(), name, grouped(*flights)]);
    }
    print("Carriers", carriers, 2);
    Ok(())
}

/// What was compared, and whether it was equal.
#[derive(Default)]
pub struct Checks {
    results: Vec<(String, bool)>,
}

impl Checks {
    /// Compares the live threads, the late reader and plain loops over the files.
    pub fn compare(&mut self, live: &Live, late: &Late, expected: &Expected) {
        let (matches, delays, traffic) = &late.enriched.found;
        self.equal(
            "matches: live = plain loops",
            &live.enrich.found,
            &expected.matches,
        );
        self.equal(
            "delays: live = plain loops",
            &live.delays.found,
            &expected.delays,
        );
        self.equal(
            "traffic: live = plain loops",
            &live.traffic.found,
            &expected.traffic,
        );
        self.equal(
            "matches: late reader = plain loops",
            matches,
            &expected.matches,
        );
        self.equal(
            "delays: late reader = plain loops",
            delays,
            &expected.delays,
        );
        self.equal(
            "traffic: late reader = plain loops",
            traffic,
            &expected.traffic,
        );

        for (reader, order) in [
            ("enrich", &live.enrich.order),
            ("delays", &live.delays.order),
            ("traffic", &live.traffic.order),
            ("late reader of flights", &late.flights.order),
            ("late reader of enriched", &late.enriched.order),
        ] {
            self.in_order(reader, order, &expected.order);
        }
        let missed = [
            live.enrich.missed,
            live.delays.missed,
            live.traffic.missed,
            late.flights.missed,
            late.enriched.missed,
        ];
        self.equal("no reader missed a record", &missed, &[0; 5]);
    }

    /// Compares what the streams say that went through them.
    pub fn compare_streams(&mut self, flights: &Stream, enriched: &Stream, flight_count: u64) {
        for (stream, reader_count) in [(flights, 2), (enriched, 3)] {
            let (name, metrics) = (stream.name(), stream.metrics());
            let found = (metrics.records_in(), metrics.records_out());
            let expected = (flight_count, reader_count * flight_count);
            let what = format!("{name}: every record in once, and out to {reader_count} readers");
            self.equal(&what, &found, &expected);
        }
    }

    /// Compares with what is known of the data.
    pub fn compare_facts(&mut self, live: &Live, facts: &Facts) {
        let (matches, delays) = (&live.enrich.found, &live.delays.found);
        let traffic = &live.traffic.found;
        self.equal("known: flights", &matches.flights, &facts.flights);
        self.equal(
            "known: cancelled flights",
            &delays.all.cancelled,
            &facts.cancelled,
        );
        self.equal(
            "known: flights of known aircraft",
            &matches.aircraft,
            &facts.aircraft,
        );
        let weather = [matches.weather_of_the_hour, matches.weather_of_earlier];
        self.equal("known: flights with weather", &weather, &facts.weather);
        let flights_of = |carrier: &str| traffic.by_carrier.get(carrier).copied().unwrap_or(0);
        let carriers = facts
            .carriers
            .map(|(carrier, _)| (carrier, flights_of(carrier)));
        self.equal(
            "known: flights of four carriers",
            &carriers,
            &facts.carriers,
        );
        let boeing = delays.by_maker.get("BOEING");
        self.equal(
            "known: delay of Boeing aircraft",
            &boeing,
            &Some(&facts.boeing),
        );
        let route = ("JFK".to_owned(), "LAX".to_owned());
        let jfk_lax = traffic
            .by_route
            .get(&route)
            .map_or(0, |route| route.flights);
        self.equal("known: flights from JFK to LAX", &jfk_lax, &facts.jfk_lax);
    }

    /// Whether the split and the merge came while records flowed: all shards took some.
    pub fn compare_reshard(&mut self, flights: &Stream, reshard: &Reshard) {
        let (split, [lower, upper]) = (reshard.split, reshard.merged);
        let lineage = |shard: &Shard| (shard.parent_shard_id(), shard.adjacent_parent_shard_id());
        let took_some: Vec<_> = flights
            .shards()
            .iter()
            .filter(|shard| shard.metrics().records_in > 0)
            .map(lineage)
            .collect();
        let none = (None, None);
        let children = [
            (Some(split), None),
            (Some(split), None),
            (Some(lower), Some(upper)),
        ];
        let expected = [[none; 4].as_slice(), &children].concat();
        self.equal(
            "records flowed before and after the reshard",
            &took_some,
            &expected,
        );
    }

    pub fn all_ok(&self) -> bool {
        self.results.iter().all(|(_, ok)| *ok)
    }

    pub fn print(&self, took: Duration) {
        let mut checks = table(["check", "result"]);
        for (what, ok) in &self.results {
            checks.add_row([what.as_str(), if *ok { "ok" } else { "FAILED" }]);
        }
        print("Checks", checks, 2);
        let failed = self.results.iter().filter(|(_, ok)| !ok).count();
        let (count, took) = (self.results.len(), seconds(took));
        println!("{count} checks, {failed} failed; {took} s with reading all files twice");
    }

    fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: &T, expected: &T) {
        let ok = found == expected;
        if !ok {
            eprintln!("{what}\n   found: {found:?}\nexpected: {expected:?}");
        }
        self.results.push((what.to_owned(), ok));
    }

    /// Whether a reader got the rows of each partition key, all of them and in the order put.
    fn in_order(&mut self, reader: &str, found: &KeyOrder, expected: &KeyOrder) {
        let what = format!(
            "{reader}: order of each of {} tail numbers",
            expected.key_count()
        );
        // What differs is not shown: it may be all the rows of the file.
        self.results.push((what, found == expected));
    }
}

fn delay_row(name: String, delay: &Delay) -> [String; 4] {
    let mean = format!("{:.1} min", delay.mean());
    [name, grouped(delay.flights), grouped(delay.cancelled), mean]
}

/// The names of codes.
fn names(input: &Input, file: &str, columns: [&str; 2]) -> Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    for_each_row(&input.file(file)?, columns, |[code, name]| {
        names.insert(code.to_owned(), name.to_owned());
        Ok(())
    })?;
    Ok(names)
}

/// The five greatest.
fn top<K: Ord, V>(all: &BTreeMap<K, V>, figure: impl Fn(&V) -> u64) -> Vec<(&K, &V)> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|(_, value)| std::cmp::Reverse(figure(value)));
    all.truncate(5);
    all
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_header(header);
    table
}

/// Prints a table of which the first columns are text, and the others are figures.
fn print(title: &str, mut table: Table, text_columns: usize) {
    for column in table.column_iter_mut().skip(text_columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{title}\n{table}\n");
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

fn rate(pace: &Pace) -> String {
    let per_second = pace.records as f64 / pace.took.as_secs_f64().max(1e-9);
    grouped(per_second.round() as u64)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
