//! A run that fails is captured in a file, and the file is replayed: the same records, at the same
//! times, on a clock that costs no time.
//!
//! ```text
//! cargo run --features testing --example capture_and_replay
//! ```

use std::error::Error;
use std::time::Duration;

use brooklet::testing::{Replay, capture_failure};
use brooklet::{Clock, ManualClock, Record, StartingPosition, Stream};

fn main() -> Result<(), Box<dyn Error>> {
    let name = format!("brooklet-capture-{}.jsonl", std::process::id());
    let file = std::env::temp_dir().join(name);

    // A test of two hours that fails near its end: an order comes that is no number.
    let clock = ManualClock::default();
    let stream = Stream::builder("orders")
        .shard_count(2)
        .clock(clock.clone())
        .build()?;
    let outcome = capture_failure(&stream, &file, || {
        let mut sum = 0;
        let mut reader = stream.subscribe(StartingPosition::TrimHorizon)?;
        for (minute, amount) in [
            (0, "12"),
            (30, "7"),
            (59, "3"),
            (61, "4 teapots"),
            (62, "1"),
        ] {
            clock.advance(Duration::from_secs(60 * minute));
            if minute == 59 {
                stream.update_shard_count(1)?;
            }
            stream.producer().put_record("customer-17", amount)?;
            for order in reader.get_records(100)?.records() {
                sum += amount_of(&order)?;
            }
        }
        Ok::<_, Box<dyn Error>>(sum)
    });
    let failure = outcome.expect_err("4 teapots are no amount").to_string();
    println!("the run failed: {failure}\n\nwhat was kept of it:");
    let kept = std::fs::read_to_string(&file)?;
    print!("{kept}");
    assert_eq!(
        kept.lines().count(),
        1 + 4 + 1 + 1,
        "header, records, a merge, end"
    );

    // The file is a regression test, here of a consumer that skips what it cannot read.
    let mut replay = Replay::open(&file)?;
    let mut reader = replay.stream().subscribe(StartingPosition::TrimHorizon)?;
    let (mut sum, mut skipped) = (0, 0);
    while replay.step()?.is_some() {
        for order in reader.get_records(100)?.records() {
            match amount_of(&order) {
                Ok(amount) => sum += amount,
                Err(_) => skipped += 1,
            }
        }
    }
    let passed = replay.clock().now().duration_since(replay.header().created);
    println!("\nreplayed: the sum is {sum}, {skipped} skipped, after {passed:?} of its clock");
    assert_eq!((sum, skipped), (22, 1));
    assert_eq!(passed, clock.now().duration_since(stream.created()));

    // The same bytes into the same shards, with the very same sequence numbers.
    let report = replay.report();
    assert_eq!((report.records, report.sequence_numbers_kept), (4, 4));

    // Sixty times as fast, an hour is a minute.
    let mut replay = Replay::open(&file)?.speed(60.0)?;
    while replay.step()?.is_some() {}
    let fast = replay.clock().now().duration_since(replay.header().created);
    println!("sixty times as fast: {fast:?}");
    assert_eq!(fast, passed / 60);

    std::fs::remove_file(&file)?;
    Ok(())
}

fn amount_of(order: &Record) -> Result<u64, Box<dyn Error>> {
    let text = std::str::from_utf8(order.data())?;
    text.parse()
        .map_err(|error| format!("{text:?}: {error}").into())
}
