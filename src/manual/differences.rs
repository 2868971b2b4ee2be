//! Which rules of Kinesis hold, which do not, and why.
//!
//! # Kept
//!
//! | rule | as in the service |
//! | --- | --- |
//! | stream names | 1 to 128 of `a-z A-Z 0-9 _ . -` |
//! | partition keys | 1 to 256 Unicode characters, whatever their bytes |
//! | routing | MD5 of the key, big-endian, into ranges that cover 0 to 2^128 - 1 without a gap |
//! | first ranges | the service's, to the last digit, for every number of shards |
//! | shard ids | `shardId-` and twelve digits, counted over the stream's life, read as leniently |
//! | sequence numbers | 186 bits, decimal, the same fields; a child's lie above all of its parents' |
//! | data | 0 bytes to 1 MiB, or to what the stream allows, 10 MiB at most |
//! | `get_records` | up to 10,000 records and 10 MiB, but one record in any case |
//! | starting positions | all five; a time in the future is refused |
//! | splitting | at a key at least two above the start of the range and below its end |
//! | merging | of adjacent open shards, the lower one first |
//! | `update_shard_count` | exactly so many shards of equal ranges; those of a moment on the way are listed, closed and empty |
//! | listing | the six filters; closed shards are listed until their records have expired |
//! | retention | 24 hours unless set, 365 days at most; what has expired does not come back |
//! | a bad entry of `put_records` | refuses the whole call; after that each entry is on its own |
//! | error codes | the name of the service's exception: [`Error::code`](crate::Error::code) |
//!
//! # Different
//!
//! | matter | Kinesis | brooklet | why |
//! | --- | --- | --- | --- |
//! | rates | limited per shard | not limited; [`Limits::kinesis`](crate::Limits::kinesis) sets the quotas | a program has no reason to slow itself down |
//! | size of a shard | trimmed by age alone | by age, and by [capacity](crate::StreamBuilder::capacity_bytes): 256 MiB unless set | memory is bounded |
//! | a full shard | there is none | trims its oldest, refuses, or lets puts wait: [`OnFull`](crate::OnFull) | the program knows which it can bear |
//! | retention | hours, 24 at least | any duration from 1 ms | tests, and streams of a moment |
//! | being overtaken | not told | [`missed_count`](crate::RecordBatch::missed_count) says how many records | nothing is lost in silence |
//! | iterators | tokens, valid for five minutes | values that never expire; [`position`](crate::ShardIterator::position) gives a form to keep | nothing has to be guarded in one process |
//! | an empty answer | may come though there are records further on | there is nothing to read | no service behind it that looks at a part at a time |
//! | a reshard | takes a while, the stream is `UPDATING` | done when the call returns; in a [registry with a delay](crate::RegistryBuilder::state_delay), when that is over | what nobody waits for takes no time; code that has to live with the states is tested with them |
//! | the end of a parent | records may still arrive for a moment | one switch: none after it, in any thread | order without a doubt |
//! | a reader on a shard that expired | not found | told what it missed, and led on to the children; the shard cannot be asked for by its id | a late reader is not stranded |
//! | kept positions of a shard that expired | not found | [led on](crate::Stream::subscribe_from) to the children; what was missed is not known any more | what is gone takes its count with it |
//! | the order of parents and children | the reader's duty | kept by a [`Subscription`](crate::Subscription) | so nobody has to write it again |
//! | ending | a stream ends by being deleted | [`close`](crate::Stream::close): no more records, readers read on to the end | a program ends in good order |
//! | deleting | in the background | at once: calls fail, waiting readers wake, records go | there is nobody to wait for |
//! | arrival times | approximate | never earlier than the record before in the shard, even if the clock steps back | a search by time needs it |
//! | `put_records` | 500 entries, no promise of order | any number; entries of one shard keep their order | one lock orders them anyway |
//! | `SequenceNumberForOrdering` | in `PutRecord` alone | also in [`put_records`](crate::Producer::put_records) | an entry is an entry |
//! | largest record | data and partition key, by the documentation | the data alone; with its key it has to fit the capacity | a bound that does not move with the key |
//! | `Limit` of `GetRecords` | 10,000 unless given | always given | a batch holds memory: its reader says how much |
//! | data | travels, so it is copied | up to 512 bytes are copied once, and up to some 2,000 unless they are `Bytes`; of more a handle is kept, if it was given one ([`Data`](crate::Data)) | to copy a little costs less than to share it |
//!
//! # Some of them at work
//!
//! A reader that was overtaken is told, and a stream can be closed:
//!
//! ```
//! use brooklet::{Error, StartingPosition, Stream};
//!
//! let stream = Stream::builder("orders").capacity_records(10).build()?;
//! let producer = stream.producer();
//! let mut reader = stream.subscribe(StartingPosition::TrimHorizon)?;
//! for n in 0..25 {
//!     producer.put_record("customer-17", format!("order {n}"))?;
//! }
//! stream.close();
//! assert!(matches!(producer.put_record("customer-17", "late"), Err(Error::StreamClosed { .. })));
//!
//! let batch = reader.get_records(100)?;
//! assert_eq!((batch.missed_count(), batch.len()), (15, 10));
//! assert!(reader.is_finished());
//! # Ok::<(), Error>(())
//! ```
//!
//! A reader of a shard that was split, and expired since, is led on:
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, HashKey, ManualClock, StartingPosition, Stream};
//!
//! let clock = ManualClock::default();
//! let stream = Stream::builder("orders").clock(clock.clone()).build()?;
//! let parent = stream.shards()[0].id();
//! let mut reader = stream.shard_iterator(parent, StartingPosition::TrimHorizon)?;
//! stream.producer().put_record("customer-17", "read")?;
//! stream.producer().put_record("customer-17", "missed")?;
//! assert_eq!(reader.get_records(1)?.len(), 1);
//!
//! stream.split_shard(parent, HashKey::new(1 << 127))?;
//! clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
//! assert!(matches!(stream.shard(parent), Err(Error::ShardNotFound { .. })));
//!
//! let batch = reader.get_records(100)?;
//! assert_eq!((batch.missed_count(), batch.shard_ended()), (1, true));
//! assert_eq!(batch.child_shards().len(), 2);
//! # Ok::<(), Error>(())
//! ```
//!
//! The states of a stream, for code that has to live with them:
//!
//! ```
//! use std::time::Duration;
//! use brooklet::{Error, ManualClock, Registry, Stream, StreamStatus};
//!
//! let clock = ManualClock::default();
//! let delay = Duration::from_millis(500);
//! let registry = Registry::builder().clock(clock.clone()).state_delay(delay).build();
//! let stream = registry.create(Stream::builder("orders").shard_count(2))?;
//! assert_eq!(stream.status(), StreamStatus::Creating);
//! assert!(stream.producer().put_record("customer-17", "too early").is_err());
//!
//! clock.advance(delay);
//! stream.update_shard_count(4)?;
//! assert_eq!(stream.status(), StreamStatus::Updating);
//! assert_eq!(stream.shards().len(), 2, "they are as they were, and take records");
//! stream.producer().put_record("customer-17", "puts go on")?;
//! let refused = stream.update_shard_count(3).unwrap_err();
//! assert_eq!(refused.code(), "ResourceInUseException");
//!
//! clock.advance(delay);
//! assert_eq!(stream.describe().open_shard_count, 4);
//! # Ok::<(), Error>(())
//! ```
