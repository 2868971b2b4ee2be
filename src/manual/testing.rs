//! Testing event-driven code: on a clock that you turn by hand, with assertions that explain
//! themselves, and with faults on demand.
//!
//! What only tests need is behind the cargo feature `testing`, so that a program without it has none of
//! it: `cargo add brooklet --dev --features testing`. The sections say where it begins.
//!
//! # A clock that you turn by hand
//!
//! A stream asks its [`Clock`](crate::Clock) for the time, and never the system. With a
//! [`ManualClock`](crate::ManualClock) a day of retention passes in no time, a timeout ends when the
//! test says so, and a rate limit recovers without a sleep. The clock stands still until it is turned,
//! so what a test sees does not depend on how busy the machine is.
//!
//! ## Have the stream handed in
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
//! ## Retention
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
//! ## A timeout, without sleeping
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
//! ## Being throttled
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
//! ## A clock that steps back
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
//! # Virtual time
//!
//! From here on, the feature `testing` is needed.
//!
//! `ManualClock::advance` turns the clock in one go, and whoever has waited for any time before the new
//! one wakes at the new one. For a program of several threads in which each is to have its turn at its
//! own time, there is `run_for`. It goes from deadline to deadline, wakes one thread at a time, and waits
//! until all threads that take part sleep again:
//!
//! ```
//! # #[cfg(not(feature = "testing"))] fn main() {}
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), brooklet::Error> {
//! use std::thread;
//! use std::time::Duration;
//! use brooklet::{Clock, ManualClock, StartingPosition, Stream};
//!
//! const MINUTE: Duration = Duration::from_secs(60);
//! let clock = ManualClock::default();
//! let stream = Stream::builder("beats").clock(clock.clone()).build()?;
//! let mut reader = stream.subscribe(StartingPosition::Latest)?;
//! thread::scope(|scope| {
//!     scope.spawn(clock.taking_part(|| {
//!         for beat in 0..24 * 60 {
//!             clock.pass(MINUTE);
//!             stream.producer().put_record("heart", format!("{beat}"))?;
//!         }
//!         stream.close();
//!         Ok::<(), brooklet::Error>(())
//!     }));
//!     let counting = scope.spawn(clock.taking_part(move || {
//!         let mut quiet = 0;
//!         while !reader.is_finished() {
//!             let batch = reader.get_records_timeout(100, MINUTE / 2).expect("it can be read");
//!             quiet += u32::from(batch.is_empty() && !reader.is_finished());
//!         }
//!         quiet
//!     }));
//!     clock.run_for(60 * MINUTE);
//!     assert_eq!(stream.metrics().records_in(), 60);
//!     clock.run_for(24 * 60 * MINUTE);
//!     assert_eq!(counting.join().expect("no panic"), 24 * 60);
//! });
//! # Ok(())
//! # }
//! ```
//!
//! - A thread takes part by `ManualClock::taking_part`, which wraps the function that it runs. While it
//!   does anything but sleep on the clock, time stands still. So a busy machine changes nothing, and of
//!   several whose time has come the one that slept first is first, in every run. Threads that are woken
//!   by the same record run at the same time, as ever.
//! - `Clock::pass` is how code sleeps on a clock. Called by the test itself, which takes no part, it is
//!   `run_for`.
//! - Where nobody should have to turn the clock, `ManualClock::turning_itself` makes one that goes to the
//!   next deadline as soon as all who take part sleep. In a test of one thread every wait is over at once,
//!   and the time has passed.
//! - `run_until_idle` stops when nobody waits for a time any more; `next_deadline` says when the next one
//!   does.
//!
//! A thread that takes part and waits for something else (a lock, a channel, a future, another thread's
//! end) stops the time: let the test do that, which takes no part.
//!
//! # Assertions
//!
//! `records_of` looks at what a stream retains, without a trace: it charges no limit and counts nothing.
//! The records of a key are in the order in which they were put, across all reshards. A mismatch says what
//! was expected, what came, and where it lies:
//!
//! ```
//! # #[cfg(not(feature = "testing"))] fn main() {}
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), brooklet::Error> {
//! use brooklet::Stream;
//! use brooklet::testing::records_of;
//!
//! let stream = Stream::new("orders", 4)?;
//! for order in ["two teapots", "a cup", "a tray"] {
//!     stream.producer().put_record("customer-17", order)?;
//! }
//! records_of(&stream).of_key("customer-17").assert_data(["two teapots", "a cup", "a tray"]);
//! records_of(&stream).assert_count(3);
//!
//! let of_key = records_of(&stream).of_key("customer-17");
//! let mismatch = of_key.check_data(["two teapots", "a tray"]).unwrap_err().to_string();
//! // records of stream orders, key "customer-17" are not as expected in this order: 2 expected, 3 came,
//! // 0 missing (-), 1 not expected (+)
//! //     0     "two teapots"
//! //   + 1     "a cup"  key "customer-17" in shardId-000000000001 at 4959..., 2026-11-25T10:00:00.000Z
//! //     2     "a tray"
//! assert!(mismatch.contains("  + 1     \"a cup\"  key \"customer-17\" in shardId-"));
//! # Ok(())
//! # }
//! ```
//!
//! | assertion | holds if |
//! | --- | --- |
//! | `assert_data` | the data is this, in this order, and no more |
//! | `assert_data_in_any_order` | the same, in any order: for records of several shards |
//! | `assert_contains` | this data is there, in this order, whatever lies between |
//! | `assert_by_key` | each key has this data in this order, and there is no other key |
//! | `assert_count`, `assert_none` | there are so many |
//! | `json::<T>()`, then `assert_eq`, `assert_eq_in_any_order` | the data is JSON of these values |
//!
//! Each has a twin with `check` for `assert` that returns the mismatch. `records_from` takes records from
//! anywhere, as from a batch. Unlike everything else in this crate, a mismatch shows keys and data.
//!
//! What becomes true later is waited for in virtual time. `eventually` looks, lets time pass up to the
//! next deadline or a hundredth of what it was given, and looks again:
//!
//! ```
//! # #[cfg(not(feature = "testing"))] fn main() {}
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), brooklet::Error> {
//! use std::thread;
//! use std::time::Duration;
//! use brooklet::testing::{eventually, records_of};
//! use brooklet::{Clock, ManualClock, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders").clock(clock.clone()).build()?;
//! thread::scope(|scope| {
//!     scope.spawn(clock.taking_part(|| {
//!         clock.pass(Duration::from_secs(7));
//!         stream.producer().put_record("customer-17", "two teapots")
//!     }));
//!     let minute = Duration::from_secs(60);
//!     eventually(&clock, minute, || records_of(&stream).check_data(["two teapots"]));
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # Faults
//!
//! A `FaultPlan` says which calls to a stream fail, and how. It is given to the builder of a stream, or
//! of a [`Registry`](crate::Registry) for all its streams. The faults are made in the engine: whoever
//! calls the stream sees them, by whichever door.
//!
//! ```
//! # #[cfg(not(feature = "testing"))] fn main() {}
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), brooklet::Error> {
//! use std::time::Duration;
//! use brooklet::testing::{FaultPlan, records_of};
//! use brooklet::{ShardId, StartingPosition, Stream};
//!
//! let faults = FaultPlan::new();
//! let stream = Stream::builder("orders").faults(&faults).build()?;
//! // Exactly: the third put; two entries of the first batch; the second read of shard 0.
//! let third = faults.on_put().nth(3).drop_answer();
//! faults.on_put_records().nth(1).entries([0, 2]).throttle();
//! faults.on_get_records().shard(ShardId::new(0).unwrap()).nth(2).split_shard();
//!
//! let producer = stream.producer();
//! producer.put_record("customer-17", "first")?;
//! producer.put_record("customer-17", "second")?;
//! let lost = producer.put_record("customer-17", "third").unwrap_err();
//! assert_eq!((lost.code(), lost.is_retryable()), ("InternalFailure", true));
//! producer.put_record("customer-17", "third")?;
//! records_of(&stream).assert_data(["first", "second", "third", "third"]);
//!
//! let output = producer.put_records([("a", "x"), ("b", "y"), ("c", "z")])?;
//! assert_eq!(output.failed_record_count(), 2);
//!
//! let mut reader = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
//! assert!(!reader.get_records(3)?.shard_ended());
//! assert!(reader.get_records(3)?.shard_ended());
//! third.assert_injected(1);
//! faults.assert_all_injected();
//! # Ok(())
//! # }
//! ```
//!
//! A rule is made of three words. **Which calls**: `on_put` (each record, however it is put),
//! `on_put_records` (each call, or some of its entries), `on_get_shard_iterator`, `on_get_records`,
//! `on_wait` (a reader has found nothing and is about to wait); of one stream, shard or key. **Which of
//! them**: `nth`, `next`, `every`, `at_random`; without a word, every one. **The fault**:
//!
//! | fault | what the caller sees |
//! | --- | --- |
//! | `throttle` | [`WriteThrottled`](crate::Error::WriteThrottled) or [`ReadThrottled`](crate::Error::ReadThrottled), as by the limits of a shard; nothing was done |
//! | `fail` | [`InternalFailure`](crate::Error::InternalFailure); nothing was done |
//! | `drop_answer` | the same, but it was done: a record that is put again is there twice |
//! | `answer_late` | its answer, when so much time has passed on the stream's clock |
//! | `expire_iterator` | [`IteratorExpired`](crate::Error::IteratorExpired), from then on; a subscription goes on after it |
//! | `split_shard`, `merge_shard`, `update_shard_count` | the stream resharded before its call |
//! | `overrun_reader` | how many records it missed |
//! | `close_stream` | the end |
//! | `run` | whatever your own code did to the stream, with no lock held |
//!
//! An answer that is late turns a [`ManualClock`](crate::ManualClock) on by itself, as `run_for` does, so
//! that a test of one thread goes on. With `FaultPlan::late_answers_wait`, or on a thread that takes part
//! in the clock's time, it waits for somebody else to turn it. It blocks its thread, also in a future.
//!
//! `on_wait` lets a test of one thread meet code that blocks: what it waits for is done just before it
//! would wait.
//!
//! ```
//! # #[cfg(not(feature = "testing"))] fn main() {}
//! # #[cfg(feature = "testing")]
//! # fn main() -> Result<(), brooklet::Error> {
//! use brooklet::testing::FaultPlan;
//! use brooklet::{StartingPosition, Stream};
//!
//! let faults = FaultPlan::new();
//! let stream = Stream::builder("orders").faults(&faults).build()?;
//! faults.on_wait().nth(1).run("put an order", |stream| {
//!     stream.producer().put_record("customer-17", "two teapots").expect("it is open");
//! });
//! faults.on_wait().nth(2).close_stream();
//! let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
//! assert_eq!(subscription.batches_blocking(100).count(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! ## At random, and again
//!
//! What a rule with `at_random` does depends on the seed of its plan, and on how many such calls the shard
//! had before; not on what other threads do to other shards. `FaultPlan::new` takes the seed from the
//! environment variable `BROOKLET_SEED`, or a new one, and prints it; the harness of Rust's tests shows it
//! for a test that fails. `FaultPlan::with_seed` always takes the same.
//!
//! ## What was injected
//!
//! `injected` lists it, call by call; each line can be printed. Each rule says how often it came
//! (`assert_injected`), and `assert_all_injected` fails if a part of the script was not played: a test of
//! a retry that was never needed proves nothing.
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
//! - With the feature, the chapter *Capture and simulation* (`manual::simulation`) has the rest: a
//!   failing run that is kept in a file and replayed, and a consumer under simulation.
//! - Code that uses the AWS SDK meets the same faults, on the same clock: see
//!   [On the wire](super::on_the_wire).
