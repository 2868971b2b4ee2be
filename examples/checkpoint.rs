//! Keeping a reader's place: what was read before a restart is not read again, and nothing is left
//! out.
//!
//! ```text
//! cargo run --example checkpoint
//! ```

use std::collections::BTreeMap;

use brooklet::{Error, ShardId, StartingPosition, Stream};

/// What a worker keeps in a file or a table: for each shard the position after the last record that
/// it is done with, as text.
type Checkpoints = BTreeMap<ShardId, String>;

fn main() -> Result<(), Error> {
    let stream = Stream::new("orders", 2)?;
    let producer = stream.producer();
    for n in 0..100 {
        producer.put_record(format!("customer-{n}"), n.to_string())?;
    }

    let mut checkpoints = Checkpoints::new();
    let mut seen = work(&stream, &mut checkpoints, 20)?;
    println!(
        "the first worker read {} records, and stopped at",
        seen.len()
    );
    for (shard_id, position) in &checkpoints {
        println!("  {shard_id} {position}");
    }
    assert_eq!(seen.len(), 40);

    // More records come while nobody reads.
    for n in 100..150 {
        producer.put_record(format!("customer-{n}"), n.to_string())?;
    }

    let rest = work(&stream, &mut checkpoints, 1_000)?;
    println!("a worker that came after it read the other {}", rest.len());
    seen.extend(rest);
    seen.sort_unstable();
    assert_eq!(seen, (0..150).collect::<Vec<_>>());

    // Who is done with whole batches has it shorter: an iterator knows its place.
    let mut iterator = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
    iterator.get_records(10)?;
    let mut resumed = stream.shards()[0].iterator(iterator.position())?;
    let (batch, same) = (iterator.get_records(10)?, resumed.get_records(10)?);
    assert_eq!(batch.len(), 10);
    assert!(batch.records().eq(same.records()));
    Ok(())
}

/// Reads up to `limit` records of each shard, from the checkpoints on, and keeps where it got to.
fn work(stream: &Stream, checkpoints: &mut Checkpoints, limit: usize) -> Result<Vec<u32>, Error> {
    let mut seen = Vec::new();
    for shard in stream.shards() {
        let position = match checkpoints.get(&shard.id()) {
            Some(position) => position.parse()?,
            None => StartingPosition::TrimHorizon,
        };
        for record in &shard.iterator(position)?.get_records(limit)? {
            let text = String::from_utf8_lossy(record.data());
            seen.push(text.parse().expect("data is a number"));
            // After the work, so that a crash before it makes the record come again.
            let done = StartingPosition::AfterSequenceNumber(record.sequence_number());
            checkpoints.insert(shard.id(), done.to_string());
        }
    }
    Ok(seen)
}
