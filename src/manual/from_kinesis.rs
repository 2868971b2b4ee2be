//! Which method is the call that you know.
//!
//! # Streams and shards
//!
//! | Kinesis | brooklet |
//! | --- | --- |
//! | an account in a region | [`Registry`]; a program with few streams needs none |
//! | `CreateStream` | [`Stream::builder`] and [`StreamBuilder::build`], or [`Registry::create`] |
//! | `DeleteStream` | [`Registry::delete`]; a stream outside of a registry goes with its last handle |
//! | `DescribeStream`, `DescribeStreamSummary` | [`Stream::describe`] |
//! | `ListStreams` | [`Registry::list`] |
//! | `ListShards` | [`Stream::list_shards`] with a [`ShardFilter`]; [`Stream::shards`] for all |
//! | `SplitShard`, `MergeShards` | [`Stream::split_shard`], [`Stream::merge_shards`] |
//! | `UpdateShardCount` | [`Stream::update_shard_count`] |
//! | `IncreaseStreamRetentionPeriod`, `DecreaseStreamRetentionPeriod` | [`Stream::set_retention`], in both directions |
//! | `UpdateMaxRecordSize` | [`Stream::set_record_bytes_max`] |
//! | `EnableEnhancedMonitoring`, `DisableEnhancedMonitoring` | always on: [`Stream::metrics`], [`Shard::metrics`] |
//!
//! # Records
//!
//! | Kinesis | brooklet |
//! | --- | --- |
//! | `PutRecord` | [`Producer::put_record`] |
//! | ... with `ExplicitHashKey` | [`Producer::put_record_with_hash_key`] |
//! | ... with `SequenceNumberForOrdering` | [`Producer::put_entry`] with [`PutEntry::sequence_number_for_ordering`] |
//! | `PutRecords` | [`Producer::put_records`] |
//! | `FailedRecordCount` | [`PutRecordsOutput::failed_record_count`] |
//! | `GetShardIterator` | [`Shard::iterator`] or [`Stream::shard_iterator`], with a [`StartingPosition`] |
//! | `GetRecords` | [`ShardIterator::get_records`] |
//! | `NextShardIterator` | the iterator itself, which has moved on; for one that is kept, [`ShardIterator::position`] |
//! | no `NextShardIterator` | [`RecordBatch::shard_ended`] |
//! | `ChildShards` | [`RecordBatch::child_shards`] |
//! | `MillisBehindLatest` | [`RecordBatch::millis_behind_latest`] |
//! | `SubscribeToShard` | [`ShardIterator::batches`], or any other way to [wait](super::waiting) |
//! | `RegisterStreamConsumer` and what belongs to it | not needed: readers do not share a rate, unless limits say so |
//! | the Kinesis Client Library, in one process | [`Stream::subscribe`]: all shards, parents before their children |
//! | a checkpoint of that library | [`Subscription::positions`], and [`Stream::subscribe_from`] to go on there |
//! | the name of an exception | [`Error::code`] |
//!
//! # What is not there
//!
//! [On the wire](super::on_the_wire) only: names and accounts (ARNs, tags, policies, `DescribeLimits`, the
//! account's settings), modes (on-demand streams, warm throughput, record distribution `AUTO`),
//! encryption, `DryRun`, channels. Nowhere yet: queues; and over processes, leases and the table of
//! checkpoints of the client library, aggregation of the producer library.
//!
//! # The loop that everybody has
//!
//! ```
//! use brooklet::{Error, StartingPosition, Stream};
//!
//! let stream = Stream::new("orders", 2)?;
//!
//! // PutRecords, and again what was refused.
//! let producer = stream.producer();
//! let mut pending = vec![("customer-17", "two teapots"), ("customer-4", "a cup")];
//! while !pending.is_empty() {
//!     let output = producer.put_records(pending.clone())?;
//!     let answers = pending.into_iter().zip(output);
//!     pending = answers.filter(|(_, answer)| answer.is_err()).map(|(entry, _)| entry).collect();
//! }
//!
//! // ListShards, GetShardIterator, GetRecords until there are no more.
//! let mut count = 0;
//! for shard in stream.shards() {
//!     let mut iterator = shard.iterator(StartingPosition::TrimHorizon)?;
//!     loop {
//!         let batch = iterator.get_records(1_000)?;
//!         count += batch.len();
//!         if batch.is_empty() || batch.shard_ended() {
//!             break;
//!         }
//!     }
//! }
//! assert_eq!(count, 2);
//!
//! // The error has the name that the service gives it.
//! let refused = producer.put_record("", "no key").unwrap_err();
//! assert_eq!(refused.code(), "ValidationException");
//! assert!(!refused.is_retryable());
//! # Ok::<(), Error>(())
//! ```
//!
//! Without limits and with shards that trim, nothing is ever refused for its rate; the loop is what the
//! service needs, and what [`Limits::kinesis`] lets you test. `cargo run --example throttling` waits
//! between the tries, too.
//!
//! [`Error::code`]: crate::Error::code
//! [`Limits::kinesis`]: crate::Limits::kinesis
//! [`Producer::put_entry`]: crate::Producer::put_entry
//! [`Producer::put_record`]: crate::Producer::put_record
//! [`Producer::put_record_with_hash_key`]: crate::Producer::put_record_with_hash_key
//! [`Producer::put_records`]: crate::Producer::put_records
//! [`PutEntry::sequence_number_for_ordering`]: crate::PutEntry::sequence_number_for_ordering
//! [`PutRecordsOutput::failed_record_count`]: crate::PutRecordsOutput::failed_record_count
//! [`RecordBatch::child_shards`]: crate::RecordBatch::child_shards
//! [`RecordBatch::millis_behind_latest`]: crate::RecordBatch::millis_behind_latest
//! [`RecordBatch::shard_ended`]: crate::RecordBatch::shard_ended
//! [`Registry`]: crate::Registry
//! [`Registry::create`]: crate::Registry::create
//! [`Registry::delete`]: crate::Registry::delete
//! [`Registry::list`]: crate::Registry::list
//! [`Shard::iterator`]: crate::Shard::iterator
//! [`Shard::metrics`]: crate::Shard::metrics
//! [`ShardFilter`]: crate::ShardFilter
//! [`ShardIterator::batches`]: crate::ShardIterator::batches
//! [`ShardIterator::get_records`]: crate::ShardIterator::get_records
//! [`ShardIterator::position`]: crate::ShardIterator::position
//! [`StartingPosition`]: crate::StartingPosition
//! [`Stream::builder`]: crate::Stream::builder
//! [`Stream::describe`]: crate::Stream::describe
//! [`Stream::list_shards`]: crate::Stream::list_shards
//! [`Stream::merge_shards`]: crate::Stream::merge_shards
//! [`Stream::metrics`]: crate::Stream::metrics
//! [`Stream::set_retention`]: crate::Stream::set_retention
//! [`Stream::shard_iterator`]: crate::Stream::shard_iterator
//! [`Stream::shards`]: crate::Stream::shards
//! [`Stream::split_shard`]: crate::Stream::split_shard
//! [`Stream::subscribe`]: crate::Stream::subscribe
//! [`Stream::subscribe_from`]: crate::Stream::subscribe_from
//! [`Stream::update_shard_count`]: crate::Stream::update_shard_count
//! [`StreamBuilder::build`]: crate::StreamBuilder::build
//! [`Stream::set_record_bytes_max`]: crate::Stream::set_record_bytes_max
//! [`Subscription::positions`]: crate::Subscription::positions
