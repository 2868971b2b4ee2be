//! Faults on demand: what a producer and a reader do when the service throttles, loses an answer,
//! reshards between two reads, and lets an iterator expire.
//!
//! ```text
//! cargo run --features testing --example faults
//! ```

use std::time::Duration;

use brooklet::testing::{FaultPlan, records_of};
use brooklet::{Clock, Error, ManualClock, StartingPosition, Stream};

fn main() -> Result<(), Error> {
    let clock = ManualClock::default();
    let faults = FaultPlan::new();
    let stream = Stream::builder("orders")
        .faults(&faults)
        .clock(clock.clone())
        .build()?;

    // The script: the first two records are throttled, the answer to the next one is lost.
    let throttled = faults.on_put().next(2).throttle();
    let lost = faults.on_put().nth(4).drop_answer();
    let tries = put_patiently(&stream, &clock, "two teapots")?;
    assert_eq!(tries, 3);
    let tries = put_patiently(&stream, &clock, "a cup")?;
    assert_eq!(tries, 2);
    throttled.assert_injected(2);
    lost.assert_injected(1);
    // Whoever puts again what was lost puts it twice: the service accepted it.
    records_of(&stream).assert_data(["two teapots", "a cup", "a cup"]);

    // In a batch, the entries that are named fail, and no others.
    faults.on_put_records().nth(1).entries([3, 7]).fail();
    let trays = (0..10).map(|n| ("customer-18", format!("tray {n}")));
    let output = stream.producer().put_records(trays)?;
    let failed: Vec<_> = output.failed().map(|(index, _)| index).collect();
    assert_eq!(failed, [3, 7]);

    // The shard is split between the first read and the second; at the third, the iterator is too old.
    faults.on_get_records().nth(2).split_shard();
    faults.on_get_records().nth(3).expire_iterator();
    let read = read_all(&stream)?;
    assert_eq!(read, 11);
    assert_eq!(stream.shards().len(), 3);

    println!("what was injected:");
    for injected in faults.injected() {
        println!("  {injected}");
    }
    faults.assert_all_injected();

    // At random, from a seed that is printed: BROOKLET_SEED=... gives the same again.
    let faults = FaultPlan::new();
    let stream = Stream::builder("orders")
        .faults(&faults)
        .clock(clock.clone())
        .build()?;
    faults.on_put().at_random(0.2).throttle();
    faults
        .on_put()
        .at_random(0.05)
        .answer_late(Duration::from_secs(2));
    let begun = clock.now();
    for n in 0..200 {
        put_patiently(&stream, &clock, &format!("order {n}"))?;
    }
    records_of(&stream).assert_data((0..200).map(|n| format!("order {n}")));
    println!(
        "seed {}: {} faults in 200 puts, which took {:?} of the stream's time",
        faults.seed(),
        faults.injected_count(),
        clock.now().duration_since(begun),
    );
    Ok(())
}

/// Puts a record until it is taken, and says how many tries it took.
fn put_patiently(stream: &Stream, clock: &ManualClock, data: &str) -> Result<u32, Error> {
    let mut wait = Duration::from_millis(100);
    for tries in 1.. {
        match stream.producer().put_record("customer-17", data) {
            Ok(_) => return Ok(tries),
            Err(error) if error.is_retryable() => clock.pass(wait),
            Err(error) => return Err(error),
        }
        wait *= 2;
    }
    unreachable!("it tries for ever")
}

/// Reads the first shard to its end, five records at a time; takes a new iterator when one is too old.
fn read_all(stream: &Stream) -> Result<usize, Error> {
    let shard = stream.shards().remove(0);
    let mut iterator = shard.iterator(StartingPosition::TrimHorizon)?;
    let mut count = 0;
    loop {
        match iterator.get_records(5) {
            Ok(batch) => {
                count += batch.len();
                if batch.shard_ended() {
                    println!("goes on with {} shards", batch.child_shards().len());
                    return Ok(count);
                }
            }
            Err(Error::IteratorExpired { .. }) => iterator = shard.iterator(iterator.position())?,
            Err(error) => return Err(error),
        }
    }
}
