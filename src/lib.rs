//! Named streams of ordered, replayable, partitioned records inside one process, with the words
//! and the rules of Amazon Kinesis. No server, no network, no set-up.
//!
//! ```
//! use brooklet::{StartingPosition, Stream};
//!
//! let stream = Stream::new("orders", 4)?;
//! let put = stream.producer().put_record("customer-17", "two teapots")?;
//!
//! let mut iterator = stream.shard_iterator(put.shard_id(), StartingPosition::TrimHorizon)?;
//! for record in &iterator.get_records(100)? {
//!     assert_eq!(record.data(), b"two teapots");
//! }
//! # Ok::<(), brooklet::Error>(())
//! ```
//!
//! # What it promises
//!
//! 1. **Order.** Records of one shard are read in the order in which they were accepted; records
//!    of one partition key stay in order across splits and merges with a [`Subscription`].
//! 2. **Nothing is lost in silence.** An accepted record can be read until retention or capacity
//!    trims it. A reader that was overtaken learns how many records it missed.
//! 3. **Readers are independent.** Any number, added at any time, at any position. None slows a
//!    writer or another reader; one that does not read costs nothing.
//! 4. **Bounded.** [Capacity](StreamBuilder::capacity_bytes) and retention bound the memory of a
//!    shard, whatever readers do; what a [batch](RecordBatch) holds on to is bounded, too.
//! 5. **Fast.** A small record is copied once, into memory that is used again; a batch is read
//!    without the writers' lock and without a copy.
//!
//! # Layout
//!
//! Imports run downwards only; `tests/layers.rs` checks it.
//!
//! ```text
//! 11 manual                                                longer reading, no code
//! 10 aws       server                                     doors to the protocol (features)
//!  9 protocol  testing                                    services (features)
//!  8 registry                                              named streams
//!  7 producer  iterator       subscription                 the handles that users hold
//!  6 stream    put_entry                                   shards, routing, resharding
//!  5 shard     partition_key  wait                         a lock, a log, waiters, limits
//!  4 error                                                 what can go wrong
//!  3 log       positions                                   chunks, read without that lock
//!  2 record    starting_position             timer         what the floors above speak in
//!  1 sequence  clock          bell               call_out  extension  data
//!  0 limits    sync           hash_key           shard_id  base64
//! ```

#![warn(
    missing_docs,
    unreachable_pub,
    unnameable_types,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc
)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

/// What is right; or what is wrong, in a build that has the bug with this name: `tests/planted_bugs`
/// makes such builds to see that the tests notice. No other build has any.
macro_rules! planted {
    ($right:expr, $bug:literal: $wrong:expr) => {
        if cfg!(planted = $bug) { $wrong } else { $right }
    };
}

mod sync;

#[cfg(any(feature = "protocol", feature = "testing"))]
mod base64;
mod call_out;
mod clock;
#[cfg(feature = "protocol")]
mod extension;
pub mod limits;

mod bell;
mod data;
mod hash_key;
mod positions;
mod sequence;
mod shard_id;
mod starting_position;
mod timer;
mod wait;

mod error;
mod partition_key;
mod put_entry;
mod record;

mod log;

mod shard;

mod stream;

mod iterator;
mod producer;
mod subscription;

mod registry;

#[cfg(feature = "protocol")]
pub mod protocol;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "aws")]
pub mod aws;

#[cfg(feature = "server")]
pub mod server;

pub mod manual;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, shuttle))]
mod schedules;

pub use clock::{
    Clock, ManualClock, Parker, ParseTimestampError, SystemClock, TickingClock, TickingClockError,
    Timestamp,
};
pub use data::Data;
pub use error::Error;
pub use hash_key::{HashKey, HashKeyRange, ParseHashKeyError};
pub use iterator::{Batches, ShardIterator};
#[doc(inline)]
pub use limits::Limits;
pub use log::Record;
pub use partition_key::{AsPartitionKey, PartitionKey};
pub use positions::{ParseSubscriptionPositionsError, SubscriptionPositions};
pub use producer::{Producer, PutRecordOutput, PutRecordsOutput};
pub use put_entry::{EntryKey, PutEntry};
pub use record::RecordView;
pub use registry::{Registry, RegistryBuilder};
pub use sequence::{ParseSequenceNumberError, SequenceNumber};
pub use shard::{ChildShard, OnFull, RecordBatch, RecordViews, Records, Shard, ShardMetrics};
pub use shard_id::{ParseShardIdError, ShardId};
pub use starting_position::{ParseStartingPositionError, StartingPosition};
pub use stream::{
    CloseOnDrop, ShardFilter, Stream, StreamBuilder, StreamDescription, StreamMetrics, StreamStatus,
};
pub use subscription::{Subscription, SubscriptionBatches};
pub use wait::BlockingBatches;

/// Has the examples of the README run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDocTests;
