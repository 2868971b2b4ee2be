//! Waiting for whatever comes first: records of two shards, or the signal to stop.
//!
//! ```text
//! cargo run --example select
//! ```

use std::error::Error;
use std::thread;

use brooklet::{Error as StreamError, ShardIterator, StartingPosition, Stream};
use crossbeam_channel::{Receiver, Sender, bounded, select};

fn main() -> Result<(), Box<dyn Error>> {
    let orders = Stream::new("orders", 1)?;
    let invoices = Stream::new("invoices", 1)?;
    let iterators = [
        orders.shards()[0].iterator(StartingPosition::TrimHorizon)?,
        invoices.shards()[0].iterator(StartingPosition::TrimHorizon)?,
    ];
    let (shut_down, shutdown) = bounded(1);
    let (done, answers) = bounded(10);
    let reader = thread::spawn(move || read_until(&shutdown, iterators, &done));

    for (stream, data) in [
        (&orders, "two teapots"),
        (&invoices, "25.00"),
        (&orders, "a cup"),
    ] {
        stream.producer().put_record("customer-17", data)?;
        // The reader wakes, and says what it has read.
        assert_eq!(answers.recv()?, data);
    }
    shut_down.send(())?;
    let counts = reader.join().expect("the reader returns errors")?;
    println!(
        "shut down after {} orders and {} invoices",
        counts[0], counts[1]
    );
    assert_eq!(counts, [2, 1]);
    Ok(())
}

fn read_until(
    shutdown: &Receiver<()>,
    [mut orders, mut invoices]: [ShardIterator; 2],
    done: &Sender<String>,
) -> Result<[usize; 2], StreamError> {
    let (order_ready, invoice_ready) = (orders.ready(), invoices.ready());
    let mut counts = [0, 0];
    loop {
        select! {
            recv(order_ready) -> _ => counts[0] += read("order", &mut orders, done)?,
            recv(invoice_ready) -> _ => counts[1] += read("invoice", &mut invoices, done)?,
            recv(shutdown) -> _ => return Ok(counts),
        }
    }
}

fn read(
    what: &str,
    iterator: &mut ShardIterator,
    done: &Sender<String>,
) -> Result<usize, StreamError> {
    let batch = iterator.get_records(100)?;
    for record in &batch {
        let text = String::from_utf8_lossy(record.data());
        println!("{what}: {text}");
        done.send(text.into_owned())
            .expect("main waits for the answer");
    }
    Ok(batch.len())
}
