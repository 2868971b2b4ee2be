//! What comes after what, and what your code may do where it is called.
//!
//! # What is promised
//!
//! 1. **One shard, one order.** Records of a shard are read in the order in which they were accepted.
//!    Their sequence numbers increase, their arrival times never decrease. Every reader sees the same.
//! 2. **A put that has returned can be read**, by any reader in any thread.
//! 3. **A thread's puts into one shard keep their order.** Between threads the shard decides; what it
//!    decided, the sequence numbers tell.
//! 4. **A batch keeps its order.** Entries of one `put_records` that go to the same shard stay in the
//!    order of the call, with no other record between them. Where some have to wait for room
//!    ([`OnFull::Wait`](crate::OnFull::Wait)), others may come between, but the order stays.
//! 5. **A partition key keeps its order across splits and merges**, for a
//!    [`Subscription`](crate::Subscription): it begins a shard only when every parent was read to its
//!    end, also when it was [kept and resumed](crate::Stream::subscribe_from) in between.
//! 6. **A reshard is one moment.** Before it the parents accept records, after it the children do, and
//!    no put fails because of it. Whatever a child accepts comes after all that its parents did.
//!
//! And what is not: records of different shards have no order, whatever their sequence numbers say. A
//! record that was refused and is put again comes after those that were put meanwhile. Records of one
//! partition key that were put with different explicit hash keys may lie in different shards.
//!
//! # Across a split, with and without a subscription
//!
//! ```
//! use brooklet::{Error, HashKey, StartingPosition, Stream};
//!
//! let stream = Stream::new("orders", 1)?;
//! let producer = stream.producer();
//! let parent = stream.shards()[0].id();
//! producer.put_record("customer-17", "first")?;
//! stream.split_shard(parent, HashKey::new(1 << 127))?;
//! producer.put_record("customer-17", "second")?;
//!
//! // A subscription keeps the order.
//! let mut subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
//! let mut orders = Vec::new();
//! while orders.len() < 2 {
//!     orders.extend(subscription.get_records(100)?);
//! }
//! assert_eq!(orders[0].data(), "first");
//! assert_eq!(orders[1].data(), "second");
//! assert!(orders[1].sequence_number() > orders[0].sequence_number());
//!
//! // With iterators the order is yours to keep: the children after the end of the parent.
//! let batch = stream.shard_iterator(parent, StartingPosition::TrimHorizon)?.get_records(100)?;
//! assert_eq!((batch.len(), batch.shard_ended()), (1, true));
//! let mut second = 0;
//! for child in batch.child_shards() {
//!     let mut iterator = stream.shard_iterator(child.shard_id(), StartingPosition::TrimHorizon)?;
//!     second += iterator.get_records(100)?.len();
//! }
//! assert_eq!(second, 1);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Who waits for whom
//!
//! Puts into one shard take turns at its lock, for as long as it takes to copy what they put. Puts into
//! different shards share no lock. A reader does not take the shard's lock to read: it finds a chunk of
//! memory in the log's directory, under a lock that the writer takes only when it begins a chunk or
//! lets one go, and reads what was published there. It takes the shard's lock only to begin to wait and
//! to trim what has expired. So a reader that stops in the middle of a batch holds up nobody.
//!
//! A split, a merge, a change of the retention, `close` and the listing of shards take turns at the
//! stream's control lock. A put takes that only if it finds its shard closed, or none that takes it.
//!
//! # Order of locks
//!
//! Whoever holds one of these takes only those below it:
//!
//! ```text
//!   a registry's list of streams
//!   a stream's control lock                    shards, states, resharding
//!   the stream's routing table                 held while it is looked up or replaced
//!   the shards' locks, parents lower first     appending, trimming, closing
//!   a log's directory | a list of waiters | a read limiter |    one of them at a time
//!     what tells of a pending reshard | a timer's alarms
//! ```
//!
//! # Your code is called without a lock
//!
//! Code of yours runs inside calls of the crate in four places: a [`Clock`](crate::Clock), a waker,
//! the drop of what owns the data ([`bytes::Bytes::from_owner`]), and the conversions and iterators
//! that are handed to puts. None of them runs while a lock is held, so it may call the stream again:
//! put, read, split, close. `tests/callouts.rs` has each of them do so at every place.
//!
//! # What a panic of your code does
//!
//! It reaches whoever made the call in which the code ran, and harms nobody else: no lock is
//! poisoned, the other waiting readers are woken, the other data is dropped. A clock or a conversion
//! is asked before anything is changed, so a put that panics there has put nothing. Wakers and drops
//! run last: a put that panics there *has* put its record. Only what a reshard wakes that was [put
//! off](crate::RegistryBuilder::state_delay) runs first, in the call that finds its time come; or on a
//! thread that waits for that time, which has no caller to hand a panic to.
//!
//! ```
//! use std::panic::{AssertUnwindSafe, catch_unwind};
//! use brooklet::Stream;
//!
//! let stream = Stream::new("orders", 1)?;
//! let producer = stream.producer();
//! let entries = (0..10_u8).map(|n| {
//!     assert!(n < 5, "no more than five");
//!     ("customer-17", vec![n])
//! });
//! let outcome = catch_unwind(AssertUnwindSafe(|| producer.put_records(entries)));
//! assert!(outcome.is_err());
//! assert_eq!(stream.metrics().records_in(), 0);
//!
//! producer.put_record("customer-17", "the stream is as it was")?;
//! assert_eq!(stream.metrics().records_in(), 1);
//! # Ok::<(), brooklet::Error>(())
//! ```
