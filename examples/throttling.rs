//! A stream with the quotas of Kinesis: some records of a `put_records` are refused, and are put
//! again, as every producer of Kinesis has to.
//!
//! ```text
//! cargo run --example throttling
//! ```

use std::time::Duration;

use brooklet::{Clock, Error, Limits, ManualClock, Stream};

/// At most so many may be put in one call.
const BATCH_RECORDS: usize = 500;

fn main() -> Result<(), Error> {
    // On this clock a minute of waiting takes no time.
    let clock = ManualClock::default();
    let stream = Stream::builder("orders")
        .shard_count(2)
        .limits(Limits::kinesis())
        .clock(clock.clone())
        .build()?;
    let begun = clock.now();

    let orders: Vec<_> = (0..6_000)
        .map(|n| (format!("customer-{}", n % 100), format!("order {n}")))
        .collect();
    let mut refused_count = 0;
    for batch in orders.chunks(BATCH_RECORDS) {
        refused_count += put_all(&stream, &clock, batch)?;
    }

    let took = clock.now().duration_since(begun);
    println!(
        "{} orders put in {took:?} of the stream's time",
        orders.len()
    );
    println!("{refused_count} puts were refused and repeated");
    let metrics = stream.metrics();
    assert_eq!(metrics.records_in(), 6_000);
    assert_eq!(metrics.sum(|shard| shard.puts_throttled), refused_count);
    assert!(refused_count > 0);
    // 1,000 records a second for each of two shards, the first 1,000 of each at once.
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(6),
        "{took:?}"
    );
    Ok(())
}

/// Puts entries until all of them were taken; says how many puts were refused.
///
/// Those refused are put after others that were not: who needs a customer's orders in order puts
/// them one by one.
fn put_all(
    stream: &Stream,
    clock: &ManualClock,
    entries: &[(String, String)],
) -> Result<u64, Error> {
    let producer = stream.producer();
    let mut pending: Vec<_> = entries.iter().collect();
    let mut wait = Duration::from_millis(100);
    let mut refused_count = 0;
    loop {
        let entries = pending
            .iter()
            .map(|(key, data)| (key.as_str(), data.clone()));
        let output = producer.put_records(entries)?;
        let mut refused = Vec::new();
        for (index, error) in output.failed() {
            if !error.is_retryable() {
                return Err(error.clone());
            }
            refused.push(pending[index]);
        }
        if refused.is_empty() {
            return Ok(refused_count);
        }
        refused_count += refused.len() as u64;
        // A real producer sleeps here.
        clock.advance(wait);
        wait = (wait * 2).min(Duration::from_secs(5));
        pending = refused;
    }
}
