//! Independent readers: each gets every record, at its own pace, from where it likes.
//!
//! ```text
//! cargo run --example fan_out
//! ```

use std::collections::BTreeMap;
use std::thread::{self, ScopedJoinHandle};

use brooklet::{Error, StartingPosition, Stream};

const ORDER_COUNT: u64 = 10_000;

fn main() -> Result<(), Error> {
    let stream = Stream::new("orders", 4)?;

    let (count, total, by_customer) = thread::scope(|scope| {
        let count = scope.spawn(|| fold(&stream, 0, |count, _, _| *count += 1));
        let total = scope.spawn(|| fold(&stream, 0, |total, _, cents| *total += cents));
        let by_customer = scope.spawn(|| {
            fold(&stream, BTreeMap::new(), |spent, customer, cents| {
                *spent.entry(customer.to_owned()).or_insert(0) += cents;
            })
        });
        put_orders(&stream)?;
        Ok::<_, Error>((join(count)?, join(total)?, join(by_customer)?))
    })?;

    println!("one reader counted {count} orders");
    println!("one added them up to {total} cents");
    println!("one added up what each customer spent: {by_customer:?}");
    // A reader that comes late finds everything, too.
    let late = fold(&stream, 0, |count, _, _| *count += 1)?;
    println!("one came late and counted {late} orders");

    assert_eq!((count, late), (ORDER_COUNT, ORDER_COUNT));
    assert_eq!(total, ORDER_COUNT * (ORDER_COUNT + 1) / 2);
    assert_eq!(by_customer.values().sum::<u64>(), total);
    assert_eq!(stream.metrics().records_out(), 4 * ORDER_COUNT);
    Ok(())
}

fn put_orders(stream: &Stream) -> Result<(), Error> {
    // In any case: the readers come to an end once they have read everything.
    let _closed = stream.close_on_drop();
    let producer = stream.producer();
    for cents in 1..=ORDER_COUNT {
        let customer = format!("customer-{}", cents % 3);
        producer.put_record(customer, cents.to_be_bytes().to_vec())?;
    }
    Ok(())
}

/// Reads the whole stream, and calls `step` with the customer and the cents of each order.
fn fold<T>(stream: &Stream, mut state: T, step: impl Fn(&mut T, &str, u64)) -> Result<T, Error> {
    let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    for batch in subscription.batches_blocking(1_000) {
        for record in &batch? {
            let cents = record.data().try_into().expect("an order is eight bytes");
            step(
                &mut state,
                record.partition_key(),
                u64::from_be_bytes(cents),
            );
        }
    }
    Ok(state)
}

fn join<T>(reader: ScopedJoinHandle<'_, T>) -> T {
    reader.join().expect("readers return errors")
}
