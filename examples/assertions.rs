//! Assertions on streams: by key, in order, as values of a type, and what they say when they fail.
//!
//! ```text
//! cargo run --features testing --example assertions
//! ```

use brooklet::testing::{records_from, records_of};
use brooklet::{Error, ManualClock, StartingPosition, Stream};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order {
    item: String,
    count: u32,
}

impl Order {
    fn new(item: &str, count: u32) -> Self {
        let item = item.to_owned();
        Self { item, count }
    }
}

fn main() -> Result<(), Error> {
    let stream = Stream::builder("orders")
        .shard_count(4)
        .clock(ManualClock::default())
        .build()?;
    for (customer, item, count) in [
        ("customer-17", "teapot", 2),
        ("customer-18", "tray", 1),
        ("customer-17", "cup", 12),
    ] {
        let order = serde_json::to_vec(&Order::new(item, count)).expect("it is plain data");
        stream.producer().put_record(customer, order)?;
    }

    // All of it, whichever shard it is in.
    records_of(&stream).assert_count(3);
    // The records of one key are in the order in which they were put. Typed: the order of JSON's
    // fields does not matter.
    records_of(&stream)
        .json::<Order>()
        .of_key("customer-17")
        .assert_eq([Order::new("teapot", 2), Order::new("cup", 12)]);
    records_of(&stream).assert_by_key([
        (
            "customer-17",
            vec![
                r#"{"item":"teapot","count":2}"#,
                r#"{"item":"cup","count":12}"#,
            ],
        ),
        ("customer-18", vec![r#"{"item":"tray","count":1}"#]),
    ]);
    // What a reader was given can be compared in the same way.
    let mut reader = stream.subscribe(StartingPosition::TrimHorizon)?;
    let mut read = Vec::new();
    while read.len() < 3 {
        read.extend(reader.get_records(100)?);
    }
    records_from("the reader", read)
        .json::<Order>()
        .assert_eq_in_any_order([
            Order::new("cup", 12),
            Order::new("teapot", 2),
            Order::new("tray", 1),
        ]);

    // A mismatch shows what was expected, what came, and where it lies.
    let mismatch = records_of(&stream)
        .json::<Order>()
        .of_key("customer-17")
        .check_eq([
            Order::new("teapot", 2),
            Order::new("saucer", 12),
            Order::new("cup", 11),
        ])
        .expect_err("one saucer is missing, and a cup too many");
    println!("{mismatch}");
    let text = mismatch.to_string();
    assert!(text.contains("3 expected, 2 came, 2 missing (-), 1 not expected (+)"));
    assert!(text.contains("- 2     Order { item: \"cup\", count: 11 }"));
    assert!(text.contains("+ 1     Order { item: \"cup\", count: 12 }"));
    Ok(())
}
