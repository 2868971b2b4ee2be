//! Reading again from a point in time on, on a clock that is turned by hand.
//!
//! ```text
//! cargo run --example replay_from_timestamp
//! ```

use std::time::Duration;

use brooklet::{Clock, Error, ManualClock, StartingPosition, Stream, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Error> {
    let clock = ManualClock::new("2020-06-01T12:00:00Z".parse::<Timestamp>()?);
    let stream = Stream::builder("temperatures")
        .retention(60 * MINUTE)
        .clock(clock.clone())
        .build()?;

    let producer = stream.producer();
    for degrees in 15..25 {
        producer.put_record("kitchen", format!("{degrees} degrees"))?;
        clock.advance(MINUTE);
    }

    let position = StartingPosition::AtTimestamp("2020-06-01T12:07:00Z".parse()?);
    let mut subscription = stream.subscribe(position)?;
    let mut replayed = Vec::new();
    for record in subscription.get_records(100)? {
        let text = String::from_utf8_lossy(record.data()).into_owned();
        println!("{}: {text}", record.approximate_arrival_timestamp());
        replayed.push(text);
    }
    assert_eq!(replayed, ["22 degrees", "23 degrees", "24 degrees"]);

    // A time before the oldest record is no error: reading begins at the oldest.
    let yesterday = clock.now() - Duration::from_secs(24 * 60 * 60);
    let mut subscription = stream.subscribe(StartingPosition::AtTimestamp(yesterday))?;
    assert_eq!(subscription.get_records(100)?.len(), 10);

    // Records older than the retention are gone: 55 minutes on, only those of the last hour are left.
    clock.advance(55 * MINUTE);
    let mut subscription = stream.subscribe(StartingPosition::AtTimestamp(yesterday))?;
    let left = subscription.get_records(100)?.len();
    println!("55 minutes later, {left} of 10 records are left");
    assert_eq!(left, 5);

    let tomorrow = clock.now() + Duration::from_secs(24 * 60 * 60);
    let refused = stream.subscribe(StartingPosition::AtTimestamp(tomorrow));
    assert!(matches!(refused, Err(Error::TimestampInFuture { .. })));
    Ok(())
}
