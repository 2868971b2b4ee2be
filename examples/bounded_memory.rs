//! A reader that falls behind is overtaken, and is told how many records it missed. Memory stays
//! within the bound that was set. (With [`brooklet::OnFull`] a full stream refuses puts instead, or lets
//! them wait.)
//!
//! ```text
//! cargo run --example bounded_memory
//! ```

use brooklet::{Error, StartingPosition, Stream};

const CAPACITY_BYTES: u64 = 64 * 1024;

fn main() -> Result<(), Error> {
    let stream = Stream::builder("temperatures")
        .capacity_bytes(CAPACITY_BYTES)
        .build()?;
    let producer = stream.producer();
    let mut reader = stream.subscribe(StartingPosition::TrimHorizon)?;

    let mut put = 0_u64;
    let mut put_some = |count: u64| -> Result<u64, Error> {
        for _ in 0..count {
            producer.put_record("kitchen", put.to_be_bytes().to_vec())?;
            put += 1;
        }
        Ok(put)
    };

    put_some(10)?;
    let batch = reader.get_records(10)?;
    println!(
        "the reader keeps up: {} records, {} missed",
        batch.len(),
        batch.missed_count()
    );
    assert_eq!((batch.len(), batch.missed_count()), (10, 0));

    // Then it sleeps, and a million records come. None of the puts waits for it.
    let put = put_some(1_000_000)?;
    let batch = reader.get_records(10)?;
    let metrics = stream.metrics();
    println!(
        "it wakes after {put} records: {} missed",
        batch.missed_count()
    );
    println!(
        "{} records are retained, {} bytes",
        metrics.records_retained(),
        metrics.bytes_retained()
    );
    assert!(metrics.bytes_retained() < CAPACITY_BYTES);
    assert_eq!(metrics.records_in(), put);

    // The count is exact: it goes on at the very record after those that it missed.
    let first = batch.iter().next().expect("there are records").data();
    let first = u64::from_be_bytes(first.try_into().expect("data is eight bytes"));
    println!("it goes on at record {first}");
    assert_eq!(first, 10 + batch.missed_count());
    assert_eq!(metrics.records_retained(), put - first);
    assert_eq!(metrics.records_trimmed(), first);
    Ok(())
}
