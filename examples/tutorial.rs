//! The first steps: put ten records, find their shard, and pull them five at a time.
//!
//! ```text
//! cargo run --example tutorial
//! ```

use brooklet::{Error, StartingPosition, Stream};

const RECORDS: [(&str, &str); 10] = [
    (
        "a01",
        r#"{"data_tag":"DataOne","score":"10","char":"Database Warrior"}"#,
    ),
    (
        "a02",
        r#"{"data_tag":"DataTwo","score":"20","char":"Stream Tamer"}"#,
    ),
    (
        "a03",
        r#"{"data_tag":"DataThree","score":"30","char":"Shard Splitter"}"#,
    ),
    (
        "a04",
        r#"{"data_tag":"DataFour","score":"40","char":"Queue Jumper"}"#,
    ),
    (
        "a05",
        r#"{"data_tag":"DataFive","score":"50","char":"Log Keeper"}"#,
    ),
    (
        "a06",
        r#"{"data_tag":"DataSix","score":"60","char":"Batch Baker"}"#,
    ),
    (
        "a07",
        r#"{"data_tag":"DataSeven","score":"70","char":"Replay Ranger"}"#,
    ),
    (
        "a08",
        r#"{"data_tag":"DataEight","score":"80","char":"Hash Hunter"}"#,
    ),
    (
        "a09",
        r#"{"data_tag":"DataNine","score":"90","char":"Lock Breaker"}"#,
    ),
    (
        "a10",
        r#"{"data_tag":"DataTen","score":"100","char":"Tail Reader"}"#,
    ),
];

fn main() -> Result<(), Error> {
    let stream = Stream::new("tutorial", 1)?;
    let producer = stream.producer();
    for (partition_key, data) in RECORDS {
        let put = producer.put_record(partition_key, data)?;
        println!(
            "put {partition_key} into {} as {}",
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
        for record in &batch {
            println!(
                "{} {}",
                record.partition_key(),
                String::from_utf8_lossy(record.data())
            );
        }
        pulled.extend(batch);
    }

    let pulled: Vec<_> = pulled
        .iter()
        .map(|r| (r.partition_key(), &r.data()[..]))
        .collect();
    assert_eq!(
        pulled,
        RECORDS.map(|(partition_key, data)| (partition_key, data.as_bytes()))
    );
    Ok(())
}
