//! How much memory it is, and for how long.
//!
//! # Where records lie
//!
//! ```text
//!   a shard's log:   [ chunk ][ chunk ][ chunk ][ chunk, open ]     [ spare ]
//!                      ^ trim horizon             ^ next
//!   in a chunk:      | header key data | header key data | header slot key |   free   | handle |
//!                      a small record                      a large one                  its data
//! ```
//!
//! A shard without records has no chunk. The first one is small (2 KiB), those after it double, up to
//! 64 KiB, or to a 64th of a capacity below 4 MiB, an eighth of one below 512 KiB. A record's key and its data of up to
//! 512 bytes are copied into the open chunk, and so is data that did not come as [`bytes::Bytes`] as long as it
//! has, with its key, 2,040 bytes. Larger data stays where it is and the chunk keeps a
//! handle, if the data came as `Bytes` or in a form that turns into them (`Vec<u8>`,
//! `String`); borrowed data of that size is copied once, to a place of its own. See
//! [`Data`](crate::Data).
//!
//! A chunk whose records are all trimmed is filled again, or freed. A shard keeps one spare, so a
//! full one to which small records are put one by one hardly ever allocates.
//!
//! # How much a shard retains
//!
//! [`StreamBuilder::capacity_bytes`](crate::StreamBuilder::capacity_bytes) bounds the memory of the
//! records that can be read. A record counts with
//!
//! | data | bytes |
//! | --- | --- |
//! | copied: up to 512 bytes, or 2,040 with the key if they are no `Bytes` | 8, and key and data together, rounded up to 8 |
//! | more | 48, the key rounded up to 8, and the data |
//!
//! and so does what a full chunk leaves free at its end, as long as a record of it is retained.
//! [`capacity_records`](crate::StreamBuilder::capacity_records) bounds their number besides.
//!
//! ```
//! use brooklet::{Error, Stream};
//!
//! const CAPACITY: u64 = 1024 * 1024;
//! const RECORD: u64 = 8 + 112;
//!
//! let stream = Stream::builder("orders").capacity_bytes(CAPACITY).build()?;
//! let producer = stream.producer();
//! for _ in 0..100_000 {
//!     // 11 + 100 bytes, rounded up to 112.
//!     producer.put_record("customer-17", &[7; 100][..])?;
//! }
//! let metrics = stream.shards()[0].metrics();
//! assert_eq!(metrics.records_in, 100_000);
//! assert!(metrics.records_retained * RECORD <= CAPACITY);
//! assert!(metrics.records_retained * RECORD > CAPACITY * 9 / 10);
//! # Ok::<(), Error>(())
//! ```
//!
//! Beyond the capacity a shard has at most
//!
//! - 192 KiB: the trimmed part of the oldest chunk, the free part of the newest, and the spare. Of a
//!   capacity below 4 MiB it is three 64ths, of one below 512 KiB three eighths, but 6 KiB at least;
//! - data that was not copied, is trimmed and not dropped yet: a 128th of the capacity, but 32 KiB
//!   at least and 4 MiB at most, and one record. Such data is dropped a chunk at a time;
//! - its own books: some 400 bytes for each chunk, and what `bytes` allocates to share a handle.
//!
//! Capacity is a shard's, not the stream's, and a shard that was split keeps its records until they
//! expire. So count with all shards that [`Stream::shards`](crate::Stream::shards) lists.
//!
//! # What trims
//!
//! **Capacity**, with the put that goes over it. As few of the oldest records as needed go; where a
//! chunk is small against the capacity (a 64th at most), the whole chunk goes, so that most puts
//! have nothing to trim. Chunks are made so small from a capacity of 512 KiB on, unless data that is not
//! copied belongs to them. What a full chunk leaves free counts as retained: of a capacity of 512 KiB a
//! fifth at most, with records of about 1.6 KiB that are copied; of 4 MiB a fortieth.
//!
//! **Retention**: a record can be read as long as it is no older than
//! [`Stream::retention`](crate::Stream::retention). What has expired is hidden from readers at
//! once, to the millisecond. Its memory is given back when the open chunk is full, or earlier when
//! somebody looks: a reader that comes to it, `metrics`, `set_retention`. So a shard that nobody
//! writes to and nobody reads keeps what has expired, within its capacity. A shard that was split or
//! merged is forgotten, with all its memory, once it was closed longer ago than the retention.
//!
//! Neither waits for a reader. One that was overtaken goes on at the oldest record there is, and
//! [`missed_count`](crate::RecordBatch::missed_count) says exactly how many it missed.
//!
//! # A full shard that does not trim
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, ManualClock, OnFull, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders")
//!     .capacity_records(2)
//!     .retention(Duration::from_secs(60))
//!     .on_full(OnFull::Refuse)
//!     .clock(clock.clone())
//!     .build()?;
//! let producer = stream.producer();
//! producer.put_record("customer-17", "first")?;
//! producer.put_record("customer-17", "second")?;
//! let refused = producer.put_record("customer-17", "third").unwrap_err();
//! assert!(matches!(refused, Error::ShardFull { .. }) && refused.is_retryable());
//!
//! // Only retention makes room: reading a record does not take it away.
//! clock.advance(Duration::from_secs(61));
//! producer.put_record("customer-17", "third")?;
//! # Ok::<(), Error>(())
//! ```
//!
//! With [`OnFull::Wait`](crate::OnFull::Wait) a put waits for that, at most as long as it says; each
//! entry of a `put_records` that has to wait does so on its own, one after the other.
//!
//! # What readers hold
//!
//! | held | keeps in memory |
//! | --- | --- |
//! | [`ShardIterator`](crate::ShardIterator), [`Subscription`](crate::Subscription) | no record |
//! | [`RecordBatch`](crate::RecordBatch) | the chunks in which its records lie, with all they hold |
//! | [`Record`](crate::Record) with data that was copied | its chunk, with all it holds |
//! | `Record` with other data | that data |
//! | what [`to_record`](crate::RecordView::to_record) or a copy of the data makes | itself |
//!
//! A batch holds what its records take, what the chunks between leave free, and what else lies in its
//! first and its last chunk: at most 64 KiB each, and the data that they keep elsewhere,
//! each a 128th of the capacity (32 KiB at least, 4 MiB at most) and one record. That is on top of the
//! capacity, for as long as it is held; the shard goes on trimming. Copy what is kept for long:
//!
//! ```
//! use brooklet::{Error, Record, StartingPosition, Stream};
//!
//! let stream = Stream::new("orders", 1)?;
//! for n in 0..1_000 {
//!     stream.producer().put_record("customer-17", format!("order {n}"))?;
//! }
//! let mut iterator = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
//! let batch = iterator.get_records(1_000)?;
//! // One record of a thousand, without the chunk that it lay in.
//! let kept: Option<Record> = batch.iter().last().map(|record| record.to_record());
//! drop(batch);
//! assert_eq!(kept.expect("there are records").data(), "order 999");
//! # Ok::<(), Error>(())
//! ```
//!
//! Handles keep what they are handles of: a producer, an iterator or a [`Shard`](crate::Shard) keeps
//! its stream, or its shard, alive. What `tests/memory.rs` measures is all of this, by the bytes that
//! the whole process allocates.
//!
//! With the feature `protocol`, a thread on which puts of the wire were answered keeps the room into which their data
//! was decoded, a megabyte at most, for the next one.
