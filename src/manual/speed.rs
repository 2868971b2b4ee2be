//! What a record costs, and what for.
//!
//! # What each guarantee costs
//!
//! ```console
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- guarantees
//! ```
//!
//! puts the same records into streams that promise less, and does the parts of a put by themselves, in
//! turns within one run. One thread, a key of 12 bytes, 100 bytes of data, on two cores of a virtual machine
//! (Intel Xeon, November 2026) on which much other work was running; so these are lower quartiles of 61
//! rounds, and medians of what a round took in the first one's of the same round:
//!
//! | a put | ns | times the first |
//! | --- | --- | --- |
//! | as it comes | 62 | 1 |
//! | with a [`TickingClock`] | 36 | 0.57 |
//! | with a clock that stands still: *A* | 35 | 0.57 |
//! | *A*, bounded by the number of records instead of their bytes | 35 | 0.56 |
//! | *A*, with limits | 42 | 0.66 |
//! | *A*, four shards, keys hashed beforehand ([`PartitionKey`]) | 40 | 0.66 |
//! | *A*, four shards, text keys that repeat | 70 | 1.05 |
//! | *A*, four shards, each key new | 219 | 3.1 |
//! | *A*, no data | 35 | 0.61 |
//! | *A*, 1 KiB of [`Bytes`](bytes::Bytes), of which the handle is kept | 54 | 0.76 |
//! | *A*, in batches of 500, for each record | 30 | 0.47 |
//! | the machine: a lock that nobody wants, taken and given back | 10 | 0.14 |
//! | the machine: the time | 22 | 0.33 |
//! | the machine: copying key and data | 16 | 0.23 |
//! | the machine: MD5 of a key | 131 | 1.8 |
//!
//! So this is what a put pays for:
//!
//! - **When it arrived**: 27 ns, the largest part. Retention, starting at a time and the order of
//!   sequence numbers by time hang on it. A batch asks once.
//! - **Any number of producers**: 10 ns, one locked instruction; another one, to give the lock back, is
//!   spared. A batch takes it once.
//! - **Replay, and readers that nobody waits for**: up to 16 ns, for copying the record into memory that
//!   the core does not have at hand, since the log is larger than its cache. A ring that keeps a handle, and
//!   no longer than a reader needs it, is spared that.
//! - **Order and bounds** (numbers, capacity, publishing): the rest, some 10 ns.
//! - **Routing**: 5 ns for a key that is hashed already, 35 for text that the thread has put lately, an
//!   MD5 and half as much again for a new one.
//!
//! In another run a disruptor with a single producer took 0.38 of a put as it comes, which is two thirds of
//! one with a [`TickingClock`], and pays for none of these but the bound; tokio's broadcast channel took 0.89.
//! In batches of 500 they took 0.83 and 1.98 of brooklet's time.
//!
//! # Cheaper puts
//!
//! In this order:
//!
//! 1. **Batches**: [`put_records`](crate::Producer::put_records) reads the clock, takes the lock and
//!    wakes readers once for all.
//! 2. **A [`TickingClock`]**, if times need not be exact to the millisecond; its page says what it costs.
//! 3. **A [`PartitionKey`]** that is kept, instead of text, in a stream of several shards.
//! 4. **Borrowed data**: up to 512 bytes are copied in any case, so `&[u8]` or `&Bytes` spare counting
//!    a reference, which costs as much as a lock. A `Vec` or a slice is copied up to some 2,000 bytes,
//!    which takes half the time of keeping it: its memory is given back at once, to be used for the next.
//!
//! ```
//! use brooklet::{PartitionKey, Stream, TickingClock};
//!
//! let stream = Stream::builder("orders").shard_count(4).clock(TickingClock::new()?).build()?;
//! let producer = stream.producer();
//! let customer = PartitionKey::new("customer-17")?;
//! producer.put_records(["two teapots", "three spoons"].map(|order| (&customer, order)))?;
//! # Ok::<(), brooklet::Error>(())
//! ```
//!
//! # The clock
//!
//! Reading the system's time takes 19 to 23 ns, and a little more within a put, since nothing else goes
//! on meanwhile. Cheaper ways were measured, and are not used:
//!
//! - The coarse clock of Linux takes 6 ns and stands still for 4 ms (on others 1 to 10). Whoever takes a
//!   time from the system, puts a record and reads from that time on would not find it.
//! - The processor's time-stamp counter takes 9 ns, and could say exactly until when the last time read
//!   holds. Reading it is unsafe code, or a dependency that has to find out its frequency first, for one
//!   kind of processor, to spare 12 ns.
//!
//! # Other things that were tried
//!
//! - **MD5 with wider vectors**: of many keys at once one takes 26 ns with what each x86-64 processor
//!   has, 19 with AVX2, 13 with AVX-512. Choosing at run time takes unsafe code or a dependency with
//!   another parser of Rust, for a tenth of a batch.
//! - **A reader that keeps its chunk** between two reads would spare a lock, 9 ns; each idle reader would
//!   keep 64 KiB from being freed, and the larger data in it.
//!
//! # Between two threads
//!
//! A record is announced on one cache line and lies on another: a reader that spins waits for two lines,
//! one after the other, where a channel's slot is both. That is what a round trip costs more (about twice
//! crossbeam's), and buys batches that show as a whole and readers that cost the writer nothing.
//!
//! [`TickingClock`]: crate::TickingClock
//! [`PartitionKey`]: crate::PartitionKey
