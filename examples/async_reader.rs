//! Reading without blocking a thread: as a future, and as a stream of batches. No runtime is asked
//! for; any will do.
//!
//! ```text
//! cargo run --example async_reader
//! ```

use std::error::Error;
use std::pin::Pin;
use std::thread;

use brooklet::{Error as StreamError, ShardIterator, StartingPosition, Stream, Subscription};
use futures_executor::block_on;

fn main() -> Result<(), Box<dyn Error>> {
    let stream = Stream::new("orders", 2)?;
    let shard = stream.shard_for("customer-17")?;
    let iterator = shard.iterator(StartingPosition::TrimHorizon)?;
    let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    let third = stream.subscribe(StartingPosition::TrimHorizon)?;

    // The readers wait before anything is put.
    let of_shard = thread::spawn(|| block_on(count_of_shard(iterator)));
    let of_stream = thread::spawn(|| block_on(count_of_stream(subscription)));

    let producer = stream.producer();
    for n in 0..1_000 {
        producer.put_record(format!("customer-{}", n % 20), format!("order {n}"))?;
    }
    stream.close();

    let of_shard = of_shard.join().expect("it returns errors")?;
    let of_stream = of_stream.join().expect("it returns errors")?;
    println!("one shard, a future for each batch: {of_shard} records");
    println!("all shards, a stream of batches: {of_stream} records");

    // Outside of async code, the batches are an iterator.
    let mut of_iterator = 0;
    for batch in third.batches_blocking(100) {
        of_iterator += batch?.len();
    }
    println!("all shards, once more: {of_iterator} records");

    assert_eq!(u64::try_from(of_shard)?, shard.metrics().records_in);
    assert_eq!((of_stream, of_iterator), (1_000, 1_000));
    Ok(())
}

async fn count_of_shard(mut iterator: ShardIterator) -> Result<usize, StreamError> {
    let mut count = 0;
    loop {
        let batch = iterator.get_records_async(100).await?;
        count += batch.len();
        if batch.shard_ended() {
            return Ok(count);
        }
    }
}

async fn count_of_stream(subscription: Subscription) -> Result<usize, StreamError> {
    let mut batches = subscription.batches(100);
    let mut count = 0;
    // `while let Some(batch) = batches.next().await` with the `StreamExt` of the futures crate.
    while let Some(batch) = next(&mut batches).await {
        count += batch?.len();
    }
    Ok(count)
}

async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}
