//! The first steps: put ten records, find their shard, and pull them five at a time.
//!
//! ```text
//! cargo run --example tutorial
//! ```

use brooklet::{Error, StartingPosition, Stream};

/// Partition key, tag, score and character.
const RECORDS: [(&str, &str, u32, &str); 10] = [
    ("a01", "DataOne", 10, "Database Warrior"),
    ("a02", "DataTwo", 20, "Stream Tamer"),
    ("a03", "DataThree", 30, "Shard Splitter"),
    ("a04", "DataFour", 40, "Queue Jumper"),
    ("a05", "DataFive", 50, "Log Keeper"),
    ("a06", "DataSix", 60, "Batch Baker"),
    ("a07", "DataSeven", 70, "Replay Ranger"),
    ("a08", "DataEight", 80, "Hash Hunter"),
    ("a09", "DataNine", 90, "Lock Breaker"),
    ("a10", "DataTen", 100, "Tail Reader"),
];

fn main() -> Result<(), Error> {
    let stream = Stream::new("tutorial", 1)?;
    let producer = stream.producer();
    for (partition_key, tag, score, character) in RECORDS {
        let data = format!(r#"{{"data_tag":"{tag}","score":"{score}","char":"{character}"}}"#);
        let put = producer.put_record(partition_key, data)?;
        println!(
            "put {partition_key} into {}: {}",
            put.shard_id(),
            put.sequence_number()
        );
    }

    let shard = stream.shard_for("a01")?;
    let mut iterator = shard.iterator(StartingPosition::TrimHorizon)?;
    let mut pulled = Vec::new();
    loop {
        let batch = iterator.get_records(5)?;
        if batch.is_empty() {
            break;
        }
        println!("\npulled {} records:", batch.len());
        for record in batch {
            let data = String::from_utf8_lossy(record.data());
            println!("{} {data}", record.partition_key());
            pulled.push((record.partition_key().to_owned(), data.into_owned()));
        }
    }

    let first = r#"{"data_tag":"DataOne","score":"10","char":"Database Warrior"}"#;
    assert_eq!(pulled[0], ("a01".to_owned(), first.to_owned()));
    assert!(
        pulled
            .iter()
            .map(|(key, _)| key)
            .eq(RECORDS.iter().map(|(key, ..)| key))
    );
    Ok(())
}
