//! Testing your code on a clock that you turn by hand.
//!
//! A stream asks its [`Clock`](crate::Clock) for the time, and never the system. With a
//! [`ManualClock`](crate::ManualClock) a day of retention passes in no time, a timeout ends when the
//! test says so, and a rate limit recovers without a sleep. The clock stands still until it is turned,
//! so what a test sees does not depend on how busy the machine is.
//!
//! # Have the stream handed in
//!
//! Code that is given its stream (or its [`Registry`](crate::Registry)) runs on either clock:
//!
//! ```
//! use brooklet::{Error, ManualClock, Stream};
//!
//! fn ship(orders: &Stream, order: &str) -> Result<(), Error> {
//!     orders.producer().put_record("customer-17", order)?;
//!     Ok(())
//! }
//!
//! let clock = ManualClock::default();
//! let orders = Stream::builder("orders").clock(clock.clone()).build()?;
//! ship(&orders, "two teapots")?;
//! assert_eq!(orders.metrics().records_in(), 1);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Retention
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, ManualClock, StartingPosition, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders").clock(clock.clone()).build()?;
//! let shard = stream.shards().remove(0);
//! let mut reader = shard.iterator(StartingPosition::TrimHorizon)?;
//! stream.producer().put_record("customer-17", "seen")?;
//! assert_eq!(reader.get_records(100)?.len(), 1);
//!
//! stream.producer().put_record("customer-17", "slept through")?;
//! clock.advance(Duration::from_secs(24 * 60 * 60));
//! assert_eq!(shard.metrics().records_retained, 2, "as old as the retention is not too old");
//! clock.advance(Duration::from_millis(1));
//! let batch = reader.get_records(100)?;
//! assert_eq!((batch.len(), batch.missed_count()), (0, 1));
//! # Ok::<(), Error>(())
//! ```
//!
//! # A timeout, without sleeping
//!
//! The thread that waits sleeps on the clock. The test turns the clock once it sees it sleep:
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, ManualClock, StartingPosition, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders").clock(clock.clone()).build()?;
//! let mut reader = stream.subscribe(StartingPosition::Latest)?;
//! std::thread::scope(|scope| {
//!     let hour = Duration::from_secs(60 * 60);
//!     let waiting = scope.spawn(move || reader.get_records_timeout(100, hour));
//!     while clock.sleeper_count() == 0 {
//!         std::thread::yield_now();
//!     }
//!     clock.advance(hour);
//!     let batch = waiting.join().expect("it returns errors")?;
//!     assert!(batch.is_empty());
//!     Ok::<(), Error>(())
//! })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! A put by another thread wakes it all the same: only the time is turned by hand.
//!
//! # Being throttled
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, Limits, ManualClock, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders")
//!     .limits(Limits::kinesis().write_records_per_second(Some(10)))
//!     .clock(clock.clone())
//!     .build()?;
//! let producer = stream.producer();
//! let entries = || (0..15).map(|n| ("customer-17", format!("order {n}")));
//! let output = producer.put_records(entries())?;
//! assert_eq!(output.failed_record_count(), 5);
//! let refused = output.records()[14].as_ref().unwrap_err();
//! assert_eq!(refused.code(), "ProvisionedThroughputExceededException");
//!
//! clock.advance(Duration::from_millis(500));
//! assert_eq!(producer.put_records(entries().skip(10))?.failed_record_count(), 0);
//! # Ok::<(), Error>(())
//! ```
//!
//! # A clock that steps back
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Clock, Error, ManualClock, StartingPosition, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders").clock(clock.clone()).build()?;
//! stream.producer().put_record("customer-17", "before")?;
//! clock.set(clock.now() - Duration::from_secs(30));
//! stream.producer().put_record("customer-17", "after")?;
//!
//! let mut iterator = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
//! let batch = iterator.get_records(100)?;
//! let arrivals: Vec<_> = batch.iter().map(|r| r.approximate_arrival_timestamp()).collect();
//! assert_eq!(arrivals[0], arrivals[1], "arrival times do not go back");
//! # Ok::<(), Error>(())
//! ```
//!
//! # What else helps
//!
//! - [`Registry::builder`](crate::Registry::builder) with a state delay shows CREATING, UPDATING and
//!   DELETING, and lets them end when the clock is turned; see
//!   [Differences](super::differences#some-of-them-at-work).
//! - [`Stream::metrics`](crate::Stream::metrics) counts what was put, read, trimmed and refused; its
//!   counts are exact.
//! - [`StreamBuilder::capacity_records`](crate::StreamBuilder::capacity_records) of a few records lets a
//!   reader be overtaken in a test of a few lines.
//! - [`Stream::close`](crate::Stream::close) ends every reader's loop.
//!
//! Not there yet: failures on demand (a put that fails when the test says so), and records from a
//! file.
