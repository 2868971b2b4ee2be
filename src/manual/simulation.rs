//! Testing event-driven code, continued: replaying what went wrong, and finding what will.
//!
//! Needs the feature `testing`. The chapter [Testing](super::testing) is about the clock that both of
//! these turn.
//!
//! # Capture and replay
//!
//! A test that fails now and then is of little use without what went into it. [`capture_failure`] runs
//! the test and, if it fails, keeps the stream in a file. The file is the regression test:
//!
//! ```
//! use brooklet::testing::{Replay, capture_failure};
//! use brooklet::{Record, StartingPosition, Stream};
//! # let path = std::env::temp_dir().join(format!("brooklet-manual-{}.jsonl", std::process::id()));
//! # let path = &path;
//!
//! fn amount_of(order: &Record) -> Result<u32, std::num::ParseIntError> {
//!     String::from_utf8_lossy(order.data()).parse()
//! }
//!
//! let stream = Stream::new("orders", 2)?;
//! let outcome = capture_failure(&stream, path, || {
//!     let mut reader = stream.subscribe(StartingPosition::TrimHorizon).unwrap();
//!     stream.producer().put_record("customer-17", "four").unwrap();
//!     for order in reader.get_records(100).unwrap().records() {
//!         amount_of(&order)?;
//!     }
//!     Ok::<_, std::num::ParseIntError>(())
//! });
//! assert!(outcome.is_err());
//!
//! // Later, in a test of its own, with `amount_of` mended:
//! let mut replay = Replay::open(path)?;
//! let mut reader = replay.stream().subscribe(StartingPosition::TrimHorizon)?;
//! while replay.step()?.is_some() {
//!     for order in reader.get_records(100)?.records() {
//!         assert_eq!(order.data(), "four");
//!     }
//! }
//! # std::fs::remove_file(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`capture`] writes a stream whenever you like; a [`Capture`] of your own goes along with a long run,
//! and writes each record before it is trimmed.
//!
//! ## Time
//!
//! A replay has a [`ManualClock`](crate::ManualClock) of its own, and turns it to the time of each
//! event: two days pass in no time, and what expired in between expires again. With
//! [`speed`](crate::testing::Replay::speed) the gaps are a tenth, or twice as long, or nothing.
//!
//! ## What is the same
//!
//! The bytes, the order in each shard and of each key, the ranges of the shards and every split and
//! merge, always. At the original speed the arrival times, too, and the shard ids and sequence numbers
//! if the capture began with its stream. What has no order in the stream, records of different shards at
//! the same millisecond, comes in the order of the shards.
//!
//! A capture holds what went in, not what was done with it: puts that were refused, reads and their
//! times are not there.
//!
//! ## The format
//!
//! JSON Lines: one object a line, with a `type`. The first is the header, the last the end; a file
//! without an end was cut off, which is [an error](crate::testing::CaptureError::Unfinished) once everything before was
//! read. Times are numbers of milliseconds since the epoch. Sequence numbers and hash keys are decimal
//! text: most readers of JSON would round numbers of that size.
//!
//! | `type` | fields |
//! | --- | --- |
//! | `header` | `format`: `brooklet-capture`; `version`: 1; `stream`: its name; `created_ms`; `retention_ms`; `shards`: those that it begins with |
//! | `record` | `arrival_ms`; `shard_id`; `sequence_number`; `partition_key`; `explicit_hash_key`, if the key's hash leads to another shard; `data`, if it is UTF-8, or `data_base64` |
//! | `reshard` | `at_ms`; `parents`: the ids of one shard that was split, or of two that were merged; `children`: the shards that came of it |
//! | `missed` | `shard_id`; `count`: so many records were trimmed before they were captured |
//! | `end` | `records`: how many there are; `closed_ms`, if the stream was closed |
//!
//! A shard is an object of `shard_id`, `starting_hash_key` and `ending_hash_key`. Of an explicit hash key
//! the stream keeps no trace, so the capture names the first one of the record's shard.
//!
//! ```text
//! {"type":"record","arrival_ms":1700000001250,"shard_id":"shardId-000000000000","sequence_number":"4964…","partition_key":"customer-17","data":"two teapots"}
//! ```
//!
//! So other tools can read a file, or write one:
//!
//! ```text
//! jq -r 'select(.type == "record") | .partition_key' orders.jsonl | sort | uniq -c
//! jq -r 'select(.partition_key == "customer-17") | .data // (.data_base64 | @base64d)' orders.jsonl
//! ```
//!
//! A file is checked while it is read. Whatever is wrong is an [error](crate::testing::CaptureError::Line) with the line
//! and, where it is a matter of one field, the column. Reading and writing hold one line in memory.
//!
//! # Simulating a consumer
//!
//! A consumer is hardly ever wrong about a record. It is wrong about what happens between two records: a
//! crash after the checkpoint and before the work, a second worker that takes over while the first one is
//! only slow, a shard that is split in between. [`Simulation`] plays thousands of such schedules, and
//! shows the smallest that breaks what you promise:
//!
//! ```
//! use std::collections::BTreeMap;
//! use brooklet::Record;
//! use brooklet::testing::{Consumer, Simulation, Worker};
//!
//! /// Orders by customer.
//! type Totals = BTreeMap<String, usize>;
//!
//! struct Counter;
//!
//! impl Consumer<Totals> for Counter {
//!     fn process(&mut self, orders: &[Record], worker: &mut Worker<'_, Totals>) {
//!         worker.commit(|totals| {
//!             for order in orders {
//!                 *totals.entry(order.partition_key().to_owned()).or_default() += 1;
//!             }
//!         });
//!     }
//! }
//!
//! Simulation::new(|| Counter)
//!     .finally("each order counts once", |view| {
//!         view.store().values().sum::<usize>() == view.sent().len()
//!     })
//!     .run()?;
//! # Ok::<(), brooklet::testing::SimulationError>(())
//! ```
//!
//! ## What is yours
//!
//! - **The consumer**: a closure, or a type with [`Consumer::process`]. Its fields are a worker's
//!   memory; a crash takes them.
//! - **The store**: a value of any type that survives, as your database does. [`Worker::write`] changes
//!   it in one go, as a transaction would.
//! - **The place**: [`Worker::checkpoint`] keeps it after what was given, as
//!   [`Subscription::positions`](crate::Subscription::positions) does. It is refused to a worker that was
//!   replaced. [`Worker::commit`] does both in one go, for a place that lies in the same database.
//! - **The promises**: [`always`](crate::testing::Simulation::always) after each step, [`finally`](crate::testing::Simulation::finally)
//!   once everything was read and done. A check says `false`, or what is wrong, or it asserts. A consumer
//!   that panics has failed in any case.
//!
//! ## What happens
//!
//! | [`Hazard`] | what happens | finds |
//! | --- | --- | --- |
//! | `Crash` | a worker loses its memory, between any two effects | a checkpoint before the work; results that were only in memory |
//! | `Redelivery` | records come again from the checkpoint on, to the same worker | counting twice |
//! | `TakeOver` | a worker starts while another goes on | a worker that writes over its successor's results |
//! | `Pause` | a worker stands still between two effects while the world goes on | a value that is read, and written when it is not the same any more |
//! | `Reshard` | shards are split and merged | state that is kept by shard |
//! | `Rewind` | records come again from a checkpoint before the last | trusting that nothing comes twice |
//! | `Retry` | the producer puts a record once more | taking a sequence number for the order's identity |
//! | `Trim` | everything that was put so far expires | not noticing that records were missed |
//!
//! The last three are not there unless asked for: [`with`](crate::testing::Simulation::with) and
//! [`without`](crate::testing::Simulation::without). A consumer that does its work at least once, and does not mind doing
//! it twice, passes the others.
//!
//! ## What it says
//!
//! ```text
//! "each order is shipped" does not hold
//!
//!   1. worker 1 starts where no record is done
//!   2. record 0 (key-0) is put into shardId-000000000000
//!   3. worker 1 reads record 0
//!   4. worker 1 works on record 0
//!        - it keeps its place: 1 record is done
//!        - it crashes before it writes
//!   5. at the end, what is left is read and done
//!   6. worker 1 starts where 1 record is done
//!   7. worker 1 is told that it is time
//!
//! the store then: {}
//! found with BROOKLET_SEED=0 in schedule 3, shrunk from 34 steps to 3 in 50 runs
//! replay("sim1 put:0 read:1*1 process:1!1")
//! ```
//!
//! The last line is a regression test: give the text to [`Simulation::replay`].
//!
//! | step | what happens |
//! | --- | --- |
//! | `put:3` | the producer puts record 3, unless it has put a later one |
//! | `read:1*5` | worker 1 reads up to 5 records |
//! | `process:1`, `tick:1` | worker 1 works on what it has read first; is told that it is time |
//! | `process:1!2` | ... and crashes after two effects, or at the end |
//! | `process:1~0+3` | ... and stands still before its first effect while the next three steps happen |
//! | `crash:1`, `start:2` | worker 1 crashes; worker 2 starts from the checkpoint |
//! | `again:1-0` | worker 1 reads again from the last checkpoint; `-1` from the one before |
//! | `split:0`, `merge:0` | the open shard at this place, counted round, is split; merged with the next |
//! | `wait:1000`, `trim` | so many milliseconds pass; everything expires |
//!
//! A step that makes no sense where it comes does nothing. After the last one the worker that started
//! last reads and does what is left, or another one if it is not running any more.
//!
//! ## What it cannot find
//!
//! It tries schedules by chance, so passing is no proof; more [`schedules`](crate::testing::Simulation::schedules) and
//! another seed (`BROOKLET_SEED`) look further. Workers take turns at their effects and nowhere else: what
//! a consumer does with files, threads or the system's clock is not seen. A failure that depends on it
//! [says so](crate::testing::Failure::is_repeatable), because it does not fail again. Of the schedule that is reported no
//! step and no two steps can be left out; there may be another that is smaller still.
//!
//! [`Capture`]: crate::testing::Capture
//! [`Consumer::process`]: crate::testing::Consumer::process
//! [`Hazard`]: crate::testing::Hazard
//! [`Simulation`]: crate::testing::Simulation
//! [`Simulation::replay`]: crate::testing::Simulation::replay
//! [`Worker::checkpoint`]: crate::testing::Worker::checkpoint
//! [`Worker::commit`]: crate::testing::Worker::commit
//! [`Worker::write`]: crate::testing::Worker::write
//! [`capture`]: fn@crate::testing::capture
//! [`capture_failure`]: crate::testing::capture_failure
