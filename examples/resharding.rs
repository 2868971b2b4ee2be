//! Splitting and merging shards while records flow: producers and readers are not told, and no
//! partition key's records get out of order.
//!
//! ```text
//! cargo run --example resharding
//! ```

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use brooklet::{Error, HashKey, ShardFilter, StartingPosition, Stream};

const RECORD_COUNT: u32 = 20_000;
const KEY_COUNT: u32 = 50;

fn main() -> Result<(), Error> {
    let stream = Stream::new("orders", 2)?;
    thread::scope(|scope| -> Result<(), Error> {
        let reader = scope.spawn(|| read_in_order(&stream));
        let producer = stream.producer();
        for n in 0..RECORD_COUNT {
            match n {
                5_000 => split_first_shard(&stream)?,
                10_000 => merge_first_shards(&stream)?,
                15_000 => stream.update_shard_count(5)?,
                _ => {}
            }
            let customer = format!("customer-{}", n % KEY_COUNT);
            producer.put_record(customer, n.to_string())?;
        }
        stream.close();
        assert_eq!(
            reader.join().expect("the reader returns errors")?,
            RECORD_COUNT
        );
        Ok(())
    })?;

    for shard in stream.shards() {
        let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
        let parents: Vec<_> = parents
            .iter()
            .flatten()
            .map(|id| id.index().to_string())
            .collect();
        let from = if parents.is_empty() {
            "-".to_owned()
        } else {
            parents.join(" and ")
        };
        println!(
            "shard {:2}: {:5} records, came of {from}",
            shard.id().index(),
            shard.metrics().records_in
        );
    }
    assert_eq!(stream.metrics().records_in(), u64::from(RECORD_COUNT));
    Ok(())
}

fn split_first_shard(stream: &Stream) -> Result<(), Error> {
    let shards = stream.list_shards(ShardFilter::AtLatest)?;
    let range = shards[0].hash_key_range();
    let middle = range.start().get() / 2 + range.end().get() / 2;
    stream.split_shard(shards[0].id(), HashKey::new(middle))
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
    let mut subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    while !subscription.is_finished() {
        for record in &subscription.get_records_timeout(500, Duration::from_secs(1))? {
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
