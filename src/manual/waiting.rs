//! How to wait for records, and what it costs.
//!
//! `get_records` never waits: the batch is empty if there is nothing to read. The same pull waits in
//! four ways, each of an iterator (one shard) and of a subscription (all shards):
//!
//! | way | method | for |
//! | --- | --- | --- |
//! | blocking | [`get_records_timeout`], [`get_records_deadline`] | a thread that does nothing else |
//! | future | [`get_records_async`] | any runtime, or none |
//! | stream of batches | [`batches`] | the combinators of the futures crates |
//! | channel | [`ready`] | `select!` of `crossbeam_channel`, with whatever else is waited for |
//!
//! Whichever it is, it is over when there is a record, when the shard has ended (a subscription: when
//! all have, and none can follow), or when the stream was deleted, which is an error. A reader that
//! was overtaken before it began to wait is told so at once. What was waited for and given up has
//! read nothing: the next pull goes on at the same record.
//!
//! # Blocking
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, StartingPosition, Stream};
//!
//! let stream = Stream::new("orders", 4)?;
//! let mut reader = stream.subscribe(StartingPosition::Latest)?;
//! let count = std::thread::scope(|scope| {
//!     let count = scope.spawn(move || -> Result<usize, Error> {
//!         let mut count = 0;
//!         while !reader.is_finished() {
//!             count += reader.get_records_timeout(100, Duration::from_secs(60))?.len();
//!         }
//!         Ok(count)
//!     });
//!     for n in 0..1_000 {
//!         stream.producer().put_record(format!("customer-{}", n % 10), "an order")?;
//!     }
//!     // Wakes the reader for the last time.
//!     stream.close();
//!     count.join().expect("it returns errors")
//! })?;
//! assert_eq!(count, 1_000);
//! # Ok::<(), Error>(())
//! ```
//!
//! A timeout of zero does not wait. Timeouts are measured by
//! [`Clock::monotonic`](crate::Clock::monotonic), so a step of the time of day makes none shorter or
//! longer; a deadline is turned into a timeout once, when the call begins.
//!
//! # As a future, and as a stream of batches
//!
//! ```
//! use brooklet::{Error, StartingPosition, Stream};
//! use futures_executor::{block_on, block_on_stream};
//!
//! let stream = Stream::new("orders", 1)?;
//! let mut iterator = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
//! stream.producer().put_record("customer-17", "first")?;
//! let batch = block_on(async { iterator.get_records_async(100).await })?;
//! assert_eq!(batch.len(), 1);
//!
//! stream.producer().put_record("customer-17", "second")?;
//! stream.close();
//! let mut count = 0;
//! for batch in block_on_stream(iterator.batches(100)) {
//!     count += batch?.len();
//! }
//! assert_eq!(count, 1);
//! # Ok::<(), Error>(())
//! ```
//!
//! `futures_executor` is only this example's: the futures ask for no runtime. One that is dropped
//! takes its waker back.
//!
//! # In `select!`
//!
//! ```
//! use brooklet::{Error, StartingPosition, Stream};
//! use crossbeam_channel::{bounded, select};
//!
//! let (orders, returns) = (Stream::new("orders", 2)?, Stream::new("returns", 2)?);
//! let mut of_orders = orders.subscribe(StartingPosition::Latest)?;
//! let mut of_returns = returns.subscribe(StartingPosition::Latest)?;
//! let (orders_ready, returns_ready) = (of_orders.ready(), of_returns.ready());
//! let (stop, stopped) = bounded::<()>(1);
//!
//! returns.producer().put_record("customer-17", "a cup")?;
//! let mut seen = 0;
//! while seen == 0 {
//!     select! {
//!         recv(orders_ready) -> _ => drop(of_orders.get_records(100)?),
//!         recv(returns_ready) -> _ => seen += of_returns.get_records(100)?.len(),
//!         recv(stopped) -> _ => break,
//!     }
//! }
//! assert_eq!(seen, 1);
//! # drop(stop);
//! # Ok::<(), Error>(())
//! ```
//!
//! The channel is level-triggered: it stays full until everything was read, so nothing is lost if
//! `select!` takes another branch first. Do not count what it holds; pull when it rings. A
//! subscription's may ring for an empty batch.
//!
//! # What it costs
//!
//! While nobody waits, a put looks at one flag, which lies beside what it writes anyway. When somebody
//! does, the first put that follows wakes all who wait for that shard, once for all the records of the
//! call, after it has released the lock. A thread looks again for a moment before it goes to sleep,
//! because waking it costs the writer more than that. `cargo bench --bench wake` measures the way
//! there and back for each way of waiting; threads that sleep are the slow part, not the stream.
//!
//! A subscription that waits has one waker at each shard. A shard without records costs it nothing
//! until its waker puts the shard back in line.
//!
//! With [`Limits`](crate::Limits) a wait spends none of the reads allowed in a second: who waits looks
//! whether there is news, and pulls once when there is, or when the time is over. A pull too many ends
//! the wait with [`Error::ReadThrottled`](crate::Error::ReadThrottled), and reads nothing.
//!
//! # No wake-up is lost
//!
//! Whoever waits registers its waker first. It then raises the flag under the shard's lock and, still
//! under it, looks once more whether there is news. A writer publishes and takes the flag under that
//! same lock. So one of the two comes first: if it is the writer, the waiter's last look finds the
//! record; if it is the waiter, the writer finds the flag, and with it the waker, which was registered
//! before. A thread that is woken between its last look and its sleep does not fall asleep: a
//! [`Parker`](crate::Parker) remembers a wake-up that came early.
//!
//! [`batches`]: crate::ShardIterator::batches
//! [`get_records_async`]: crate::ShardIterator::get_records_async
//! [`get_records_deadline`]: crate::ShardIterator::get_records_deadline
//! [`get_records_timeout`]: crate::ShardIterator::get_records_timeout
//! [`ready`]: crate::ShardIterator::ready
