//! Keeping a reader's place, across splits and merges: what was read before a restart is not read
//! again, and nothing is left out.
//!
//! ```text
//! cargo run --example checkpoint
//! ```

use std::collections::BTreeMap;

use brooklet::{Error, Producer, RecordBatch, StartingPosition, Stream};

fn main() -> Result<(), Error> {
    let stream = Stream::new("orders", 2)?;
    let producer = stream.producer();
    put(&producer, 0..100)?;

    // The first worker begins at the trim horizon. What it keeps is text, for a file or a table.
    let mut seen = Vec::new();
    let first = stream.subscribe(StartingPosition::TrimHorizon)?;
    let mut checkpoint = first.positions().to_string();
    work(&stream, &mut checkpoint, &mut seen, 40)?;
    println!("the first worker read {} records, and kept", seen.len());
    println!("{checkpoint}");
    assert_eq!(seen.len(), 40);

    // While nobody reads, more records come, and the shards are not the same any more.
    stream.update_shard_count(5)?;
    put(&producer, 100..150)?;
    stream.update_shard_count(3)?;
    put(&producer, 150..200)?;

    // Another goes on in the old shards, comes to their children, and is stopped on the way.
    work(&stream, &mut checkpoint, &mut seen, 90)?;
    println!("the second one went on to {}, and kept", seen.len());
    println!("{checkpoint}");
    assert_eq!(seen.len(), 130);

    stream.update_shard_count(1)?;
    put(&producer, 200..220)?;
    stream.close();
    work(&stream, &mut checkpoint, &mut seen, usize::MAX)?;
    println!("a third one read the rest, and kept");
    println!("{checkpoint}");

    // All were read, each once, those of a customer in the order in which they were put.
    let mut orders = BTreeMap::<_, Vec<u32>>::new();
    for (customer, order) in &seen {
        orders.entry(customer).or_default().push(*order);
    }
    assert!(orders.values().all(|orders| orders.is_sorted()));
    let mut all: Vec<_> = orders.into_values().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..220).collect::<Vec<_>>());
    println!("{} records, each once, each customer's in order", all.len());
    Ok(())
}

/// Orders of ten customers, numbered.
fn put(producer: &Producer, numbers: std::ops::Range<u32>) -> Result<(), Error> {
    for n in numbers {
        producer.put_record(format!("customer-{}", n % 10), n.to_string())?;
    }
    Ok(())
}

/// Reads from the checkpoint on until it has read `count` records or there are no more.
fn work(
    stream: &Stream,
    checkpoint: &mut String,
    seen: &mut Vec<(String, u32)>,
    count: usize,
) -> Result<(), Error> {
    let mut subscription = stream.subscribe_from(&checkpoint.parse()?)?;
    let mut left = count;
    while left > 0 {
        let batch = subscription.get_records(left.min(10))?;
        if batch.is_empty() {
            break;
        }
        left -= batch.len();
        process(&batch, seen);
        // After the work, so that a crash before it makes the batch come again.
        *checkpoint = subscription.positions().to_string();
    }
    // Shards that ended without a record are no longer to be read either.
    *checkpoint = subscription.positions().to_string();
    Ok(())
}

fn process(batch: &RecordBatch, seen: &mut Vec<(String, u32)>) {
    for record in batch {
        let order = String::from_utf8_lossy(record.data());
        let order = order.parse().expect("data is a number");
        seen.push((record.partition_key().to_owned(), order));
    }
}
