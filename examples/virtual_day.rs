//! A whole day of a stream, with a sensor, a thermostat that looks every hour, and a night of eight
//! hours, in some milliseconds: all on a clock that goes from one deadline to the next.
//!
//! ```text
//! cargo run --features testing --example virtual_day
//! ```

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use brooklet::testing::{eventually, records_of};
use brooklet::{Clock, Error, ManualClock, StartingPosition, Stream, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn main() -> Result<(), Error> {
    let clock = ManualClock::new("2020-06-01T00:00:00Z".parse::<Timestamp>()?);
    let stream = Stream::builder("temperatures")
        .retention(6 * HOUR)
        .clock(clock.clone())
        .build()?;
    let log = Mutex::new(Vec::new());

    thread::scope(|scope| {
        // Both take part in the clock's time: it stands still while either of them is at work.
        let sensor = scope.spawn(clock.taking_part(|| measure(&clock, &stream)));
        let thermostat = scope.spawn(clock.taking_part(|| heat(&clock, &stream, &log)));

        clock.run_for(8 * HOUR);
        println!(
            "{}: {} degrees put",
            clock.now(),
            stream.metrics().records_in()
        );
        assert_eq!(stream.metrics().records_in(), 8 * 6);

        // Nobody has worked out when it is warm enough, but it has to be before noon.
        eventually(&clock, 4 * HOUR, || {
            records_of(&stream).check_contains(["23 degrees"])
        });
        println!("{}: 23 degrees", clock.now());

        clock.run_for(24 * HOUR);
        sensor.join().expect("it returns errors")?;
        thermostat.join().expect("it returns errors")
    })?;

    let log = log.into_inner().expect("nobody panicked");
    for line in &log {
        println!("{line}");
    }
    assert_eq!(log.len(), 24);
    assert_eq!(log[0], "2020-06-01T01:00:00.000Z: 6 measured, off");
    assert_eq!(log[23], "2020-06-02T00:00:00.000Z: 6 measured, on");
    // It is the morning after, and all of it has expired.
    records_of(&stream).assert_none();
    Ok(())
}

/// Measures every ten minutes for a day: warmer until noon, then colder.
fn measure(clock: &ManualClock, stream: &Stream) -> Result<(), Error> {
    let producer = stream.producer();
    for n in 0..24 * 6_u32 {
        clock.pass(10 * MINUTE);
        let degrees = 15 + (n / 6).min(23 - n / 6);
        producer.put_record("kitchen", format!("{degrees} degrees"))?;
    }
    stream.close();
    Ok(())
}

/// Once an hour, looks at what was measured and heats if the last was colder than the first.
fn heat(clock: &ManualClock, stream: &Stream, log: &Mutex<Vec<String>>) -> Result<(), Error> {
    let mut reader = stream.subscribe(StartingPosition::TrimHorizon)?;
    let mut last = 0;
    while !reader.is_finished() {
        clock.pass(HOUR);
        // The sensor may have its turn after this one: it waits for the last of the hour.
        let mut degrees = Vec::new();
        while degrees.len() < 6 && !reader.is_finished() {
            for record in reader.get_records_timeout(100, MINUTE)? {
                let text = String::from_utf8_lossy(record.data()).into_owned();
                degrees.extend(text.split(' ').next().and_then(|n| n.parse::<u32>().ok()));
            }
        }
        if let Some(now) = degrees.last().copied() {
            let heating = if now < last { "on" } else { "off" };
            last = now;
            let line = format!("{}: {} measured, {heating}", clock.now(), degrees.len());
            log.lock().expect("nobody panicked").push(line);
        }
    }
    Ok(())
}
