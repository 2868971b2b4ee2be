//! Splitting and merging shards while records flow: producers and readers are not told, and no
//! partition key's records get out of order.
//!
//! ```text
//! cargo run --example resharding
//! ```

use std::collections::HashMap;
use std::thread;

use brooklet::{Error, ShardFilter, StartingPosition, Stream};

const RECORD_COUNT: u32 = 20_000;
const KEY_COUNT: u32 = 50;

fn main() -> Result<(), Error> {
    let stream = Stream::new("orders", 2)?;
    let read_count = thread::scope(|scope| {
        let reader = scope.spawn(|| read_in_order(&stream));
        put_and_reshard(&stream)?;
        reader.join().expect("the reader returns errors")
    })?;
    assert_eq!(read_count, RECORD_COUNT);

    for metrics in stream.metrics().shards {
        let (shard_id, records_in) = (metrics.shard_id, metrics.records_in);
        println!("{shard_id}: {records_in} records");
    }
    assert_eq!(stream.metrics().records_in(), u64::from(RECORD_COUNT));
    Ok(())
}

fn put_and_reshard(stream: &Stream) -> Result<(), Error> {
    // In any case: the reader comes to an end once it has read everything.
    let _closed = stream.close_on_drop();
    let producer = stream.producer();
    for n in 0..RECORD_COUNT {
        match n {
            5_000 => split_first_shard(stream)?,
            10_000 => merge_first_shards(stream)?,
            // On the way to five equal ones there are shards of a moment, without records.
            15_000 => stream.update_shard_count(5)?,
            _ => {}
        }
        let customer = format!("customer-{}", n % KEY_COUNT);
        producer.put_record(customer, n.to_string())?;
    }
    Ok(())
}

fn split_first_shard(stream: &Stream) -> Result<(), Error> {
    let shards = stream.list_shards(ShardFilter::AtLatest)?;
    stream.split_shard(shards[0].id(), shards[0].hash_key_range().midpoint())
}

fn merge_first_shards(stream: &Stream) -> Result<(), Error> {
    let mut shards = stream.list_shards(ShardFilter::AtLatest)?;
    // They are listed by id; neighbours are next to each other by hash keys.
    shards.sort_by_key(|shard| shard.hash_key_range().start());
    stream.merge_shards(shards[0].id(), shards[1].id())
}

/// Reads everything; each customer's orders have to come in the order in which they were put.
fn read_in_order(stream: &Stream) -> Result<u32, Error> {
    let mut newest: HashMap<String, u32> = HashMap::new();
    let mut count = 0;
    let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    for batch in subscription.batches_blocking(500) {
        for record in &batch? {
            let text = String::from_utf8_lossy(record.data());
            let n = text.parse().expect("data is a number");
            let earlier = newest.insert(record.partition_key().to_owned(), n);
            assert!(
                earlier.is_none_or(|earlier| earlier + KEY_COUNT == n),
                "{earlier:?}, then {n}"
            );
            count += 1;
        }
    }
    println!(
        "{count} records of {} customers, each customer's in order\n",
        newest.len()
    );
    Ok(count)
}
