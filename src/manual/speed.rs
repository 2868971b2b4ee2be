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
//! (Intel Xeon, 26 November 2026) on which nothing else was running, though its host was busy; medians of 25 rounds, and of what a
//! round took in the first one's of the same round:
//!
//! | a put | ns | times the first |
//! | --- | --- | --- |
//! | as it comes | 35 | 1 |
//! | with a [`TickingClock`] | 28 | 0.76 |
//! | with a clock that stands still: *A* | 27 | 0.76 |
//! | *A*, bounded by the number of records instead of their bytes | 27 | 0.75 |
//! | *A*, with limits | 40 | 1.10 |
//! | *A*, four shards, keys hashed beforehand ([`PartitionKey`]) | 34 | 0.95 |
//! | *A*, four shards, text keys that repeat | 48 | 1.35 |
//! | *A*, four shards, each key new | 130 | 3.71 |
//! | *A*, no data | 27 | 0.76 |
//! | *A*, 1 KiB of [`Bytes`](bytes::Bytes), of which the handle is kept | 48 | 1.40 |
//! | *A*, in batches of 500, for each record | 17 | 0.49 |
//! | the machine: a lock that nobody wants, taken and given back | 9 | 0.27 |
//! | the machine: the time | 20 | 0.57 |
//! | the machine: copying key and data | 14 | 0.39 |
//! | the machine: MD5 of a key | 114 | 3.27 |
//!
//! So this is what a put pays for:
//!
//! - **When it arrived**: 8 ns, for the processor's counter ([below](#the-clock)). Retention, starting at a
//!   time and the order of sequence numbers by time hang on it. A batch asks once.
//! - **Any number of producers**: 9 ns, one locked instruction; another one, to give the lock back, is
//!   spared. A batch takes it once.
//! - **Replay, and readers that nobody waits for**: up to 14 ns, for copying the record into memory that
//!   the core does not have at hand, since the log is larger than its cache. A ring that keeps a handle, and
//!   no longer than a reader needs it, is spared that.
//! - **Order and bounds** (numbers, capacity, publishing): the rest, some 4 ns.
//! - **Routing**: 7 ns for a key that is hashed already, 15 more for text that the thread has put
//!   lately; for a new one an MD5, in three quarters of the time that the last row says of the `md-5` crate.
//!
//! In the same run a disruptor with a single producer took 0.60 of a put as it comes, which is 0.79 of
//! one with a [`TickingClock`], and pays for none of these but the bound; tokio's broadcast channel took
//! 1.39. In batches of 500 they took 1.25 and 2.88 of brooklet's time.
//!
//! # Where a peer is ahead, and what for
//!
//! In the same run, cost of one record in nanoseconds. A target is what this project would like to take, as a
//! share of that peer's time; the last column is what brooklet cannot be without, each measured by itself
//! in that run. Where that alone is about the target or more, the target asks for another promise, or another
//! machine.
//!
//! | workload | brooklet | the peer | target | what a record costs here in any case |
//! | --- | --- | --- | --- | --- |
//! | put one | 41 | disruptor 26 | 33 | the counter 8, a lock 9, the copy 14: 31 |
//! |  | 41 | tokio 57 | 35 | the same |
//! | put one, 1 KiB | 58 | disruptor 24 | 30 | the counter, a lock, and a handle that is kept 22: 39 |
//! |  | 58 | tokio 54 | 33 | the same |
//! | put one, each key new | 174 | one MD5 121 | 156 | the counter, a lock, the copy, an MD5 of 90: 121 |
//! | put one, text that repeats | 77 | tokio, not routed 62 | 62 | the counter, a lock, the copy, to find the hash 15: 46 |
//! | a batch of 500 | 18 | disruptor 23 | 15 | the copy: 14 |
//! | a batch of 500, 1 KiB | 44 | disruptor 22 | 15 | the copy of 1 KiB, or a handle that is kept: 22 |
//! | a batch of new keys | 48 | | 35 | the copy, an MD5 of many at once 8: 22 |
//! | a pipe, batches | 25 | disruptor 24 | 10 | the copy: 14 |
//! |  | 25 | crossbeam 56 | 12 | the same |
//! | a pipe, batches, owned records | 49 | disruptor 24 | 24 | the copy, a handle for each record 22: 36 |
//! | a pipe, one at a time | 50 | crossbeam 59 | 40 | the counter, a lock, the copy: 31 |
//! | four producers, four readers, all cores | 159 | crossbeam 175 | 70 | a lock, the copy, two cache lines between cores |
//! | a round trip | 863 | crossbeam 815 | 479 | a cache line there and back: 514 |
//!
//! A handle is a `Bytes` that is cloned and dropped: two locked instructions. On the quieter of the two cores (`taskset -c 1`) a batch
//! of 500 took 14 to 16 ns, one of new keys 35 to 36, and putting new keys 35 to 38 ns more than an MD5: what is left
//! there is as much the neighbours on the host as the code. In reach, and not reached: text that repeats; 1 KiB in
//! batches; a round trip where the cores are near each other (1.8 times crossbeam's, 1.06 times in this
//! run, where they are far). The command prints every target.
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
//! on meanwhile. A time of this crate has milliseconds, so there is a cheaper way that says the same:
//! having read it, a thread knows until when the millisecond goes on, and reads the processor's counter, in
//! 9 ns, to see whether that is over. [`SystemClock`] does so on Linux on x86-64 processors, provided that the
//! kernel trusts the counter with its own clock (`tsc` in
//! `/sys/devices/system/clocksource/clocksource0/current_clocksource`); elsewhere it asks the system each
//! time. The crate `safe_arch` reads the counter.
//!
//! The coarse clock of Linux takes 6 ns and is not used: it stands still for 4 ms (on others 1 to 10).
//! Whoever takes a time from the system, puts a record and reads from that time on would not find it.
//!
//! # Other things that were tried
//!
//! - **A reader that keeps its chunk** between two reads would spare a lock, 9 ns; each idle reader would
//!   keep 64 KiB from being freed, and the larger data in it.
//! - **Fetching for writing**, what a put is about to write or show, ahead of it: nothing between two
//!   threads, neither for the line that announces records nor for those that they lie on.
//!
//! # What grows, and what does not
//!
//! ```console
//! cargo bench --bench scale -- --full --records 100000000
//! ```
//!
//! on the same machine, the same day; the first column is a cost, the others are what it becomes there:
//!
//! | records retained | 10^3 | 10^4 | 10^5 | 10^6 | 10^7 | 10^8 |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | put one | 75 ns | 0.66 | 0.70 | 0.88 | 0.91 | 1.06 |
//! | pull one, of 1,000 | 5.9 ns | 1.28 | 1.33 | 1.49 | 1.29 | 1.92 |
//! | find a sequence number, pull one | 3.4 µs | 3.1 | 2.8 | 2.9 | 2.8 | 4.4 |
//! | find a time, pull one | 5.7 µs | 1.4 | 1.6 | 1.7 | 1.7 | 2.4 |
//!
//! | | 0 or 1 | 10 | 100 | 1,000 | 10,000 |
//! | --- | --- | --- | --- | --- | --- |
//! | a put, with so many readers of the shard that do nothing | 110 ns | 1.03 | 1.01 | 0.86 | 0.81 |
//! | a put, with so many readers that wait at another shard | 106 ns | 1.02 | 0.80 | 0.88 | 0.81 |
//! | a put into one of so many shards | 85 ns | 1.01 | 1.05 | 1.16 | 1.35 |
//! | a put into one of so many streams | 105 ns | 1.09 | 1.12 | 1.12 | 0.82 |
//!
//! What grows is memory that is not in the caches any more: with a thousand keys spread over 10,000 shards a
//! put takes 6.8 times that into one.
//!
//! Many threads on the two cores, each into all shards: 2 to 64 of them put together 0.7 to 1.0 of what one
//! does, since a shard that the other core wrote last has to come over from there. A reader that follows the
//! writer takes away half of what it puts, on cores this far apart; 64 of them, on the same two cores, take
//! three quarters, and are delivered 27 times as much as one.
//!
//! # Between two threads
//!
//! A record is announced on one cache line and lies on another: a reader that spins waits for two lines,
//! where a channel's slot is both. It has the second one fetched as soon as it sees the first, so that it is
//! on its way while the time, the chunk and the trim horizon are looked up. What a round trip costs more
//! (1.2 to 1.5 times crossbeam's) buys batches that show as a whole and readers that cost the writer
//! nothing: two looks at the time, and the lock and the counting that finding a chunk takes.
//!
//! A reader that waits for records and gets many leaves the writer alone for some microseconds before it looks
//! again, and longer while it goes on getting many: each look takes the line away from a writer that is at
//! it. That is a quarter of what one writer and three readers cost all cores.
//!
//! [`SystemClock`]: crate::SystemClock
//! [`TickingClock`]: crate::TickingClock
//! [`PartitionKey`]: crate::PartitionKey
