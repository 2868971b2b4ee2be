//! What a record costs, and what for.
//!
//! # What each guarantee costs
//!
//! ```console
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- guarantees
//! ```
//!
//! puts the same records into streams that promise less, and does the parts of a put by themselves, in
//! turns within one run. One thread, a key of 12 bytes, 100 bytes of data, the newest 8,192 records retained, on
//! one of the two cores of a virtual machine (`taskset -c 1`; Intel Xeon, 26 November 2026) on which nothing else
//! was running, though its host was busy; medians of 25 rounds, and of what a round took in the first one's of the same
//! round:
//!
//! | a put | ns | times the first |
//! | --- | --- | --- |
//! | as it comes | 30 | 1 |
//! | with a [`TickingClock`] | 23 | 0.77 |
//! | with a clock that stands still: *A* | 24 | 0.78 |
//! | *A*, bounded by the number of records instead of their bytes | 23 | 0.79 |
//! | *A*, with limits | 35 | 1.15 |
//! | *A*, four shards, keys hashed beforehand ([`PartitionKey`]) | 29 | 0.96 |
//! | *A*, four shards, text keys that repeat | 41 | 1.35 |
//! | *A*, four shards, each key new | 139 | 4.47 |
//! | *A*, no data | 19 | 0.64 |
//! | *A*, 1 KiB of [`Bytes`](bytes::Bytes), of which the handle is kept | 48 | 1.54 |
//! | *A*, in batches of 500, for each record | 13 | 0.42 |
//! | the machine: a lock that nobody wants, taken and given back | 10 | 0.32 |
//! | the machine: the time | 21 | 0.69 |
//! | the machine: copying key and data | 6 | 0.21 |
//! | the machine: MD5 of a key | 121 | 4.08 |
//!
//! So this is what a put pays for:
//!
//! - **When it arrived**: 6 ns, for the processor's counter ([below](#the-clock)). Retention, starting at a
//!   time and the order of sequence numbers by time hang on it. A batch asks once.
//! - **Any number of producers**: 10 ns, one locked instruction; another one, to give the lock back, is
//!   spared. A batch takes it once.
//! - **Replay, and readers that nobody waits for**: 5 to 6 ns, for copying key and data. A ring that keeps a
//!   handle, and no longer than a reader needs it, is spared that.
//! - **Order and bounds** (numbers, capacity, publishing): the rest, some 8 ns.
//! - **Routing**: 6 ns for a key that is hashed already, 12 more for text that the thread has put
//!   lately; for a new one an MD5, in three quarters of the time that the last row says of the `md-5` crate.
//!
//! The records that one shard retains here fit the second cache. Of 65,536, which do not (`--capacity 65536`), a put
//! takes as long, and one in a batch half as long again. Of 2,048, in less than 512 KiB, which are trimmed record by
//! record, a put takes a quarter more to twice as long.
//!
//! # Where a peer is ahead, and what for
//!
//! All workloads of one run, on both cores of the same machine, the same day; cost of one record in nanoseconds. A
//! target is what this project would like to take, as a share of that peer's time; the command prints all 41. Each of
//! three runs met 26, and 24 were met in all three. These were not; the figures are of the third run, the last column is
//! what brooklet cannot be without, each measured by itself. Where that alone is about the target or more, the target
//! asks for another promise, or another machine.
//!
//! | workload | brooklet | the peer | target | what a record costs here in any case |
//! | --- | --- | --- | --- | --- |
//! | put one | 29 | disruptor 22 | 27 | the counter 6, a lock 10, the copy 6: 22 |
//! | put one, 1 KiB | 49 | disruptor 23 | 28 | the counter, a lock, and a handle that is kept 22: 38 |
//! |  | 49 | tokio 48 | 30 | the same |
//! | put one, each key new | 151 | an MD5 122 | 157 (met in two runs of three) | the counter, a lock, the copy, an MD5 of 92: 114 |
//! |  | 151 | ferrokinesis 2,517 | 140 (met in one run of three) | the counter, a lock, the copy, an MD5 of 92: 114 |
//! | a batch of 500, 1 KiB | 46 | disruptor 22 | 14 | a handle that is kept: 22 |
//! | a pipe, one at a time | 33 | crossbeam 51 | 34 (a ratio of 0.67, met in one run of three) | the counter, a lock, the copy: 22 |
//! | a pipe, batches | 18 | disruptor 23 | 9 | the copy 6, two cache lines from core to core |
//! |  | 18 | crossbeam 48 | 11 | the same |
//! | a pipe, batches, owned records | 37 | disruptor 23 | 23 | a handle for each record: 22 |
//! | a pipe, batches, 1 KiB, views | 47 | disruptor 23 | 9 | a handle that is kept: 22 |
//! |  | 47 | crossbeam 44 | 10 | the same |
//! | a pipe, batches, 1 KiB, owned records | 72 | disruptor 23 | 23 | a handle for each record in each of the two threads: 22 |
//! | four producers, four readers, all cores | 112 | crossbeam 144 | 58 | a lock, the copy, two cache lines from core to core |
//! | replay, views | 10.6 | the log by hand 31.4 | 10.5 (met in one run of three) | reading 120 bytes of memory: 9.2 |
//! | a round trip | 839 | crossbeam 733 | 431 | a cache line there and back: 541 |
//! | waking a `select!` (a target met in one run of three) | 30,200 | a bare unpark 27,400 | 30,100 | a bare `select!`: 28,000 |
//!
//! A handle is a `Bytes` that is cloned and dropped: two locked instructions, which is nearly all that a disruptor or a
//! channel does here. One put at a time against the disruptor is 6 % off with all that it carries, and would be level
//! with it with a [`TickingClock`] (0.77 times 1.33).
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
//! - **When to read the clock.** Before the shard is looked up, a put takes a tenth more than with the clock read right
//!   before the lock is taken; under the lock, half as much again: to read the counter, and to take a lock, each wait
//!   for what is under way.
//! - **Fewer stores under the lock**, for the writer's place in one word: a tenth more, since the next put waits for
//!   that word. All words of the writer on two lines instead of four: nothing, neither alone nor with two writers.
//! - **Copying 100 bytes without a call**: half as much again for one in a batch.
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
//! (1.0 to 1.2 times crossbeam's) buys batches that show as a whole and readers that cost the writer
//! nothing: two looks at the time, and the lock and the counting that finding a chunk takes.
//!
//! A reader that waits for records and gets many leaves the writer alone for some microseconds before it looks
//! again, and longer while it goes on getting many: each look takes the line away from a writer that is at
//! it. That is a quarter of what one writer and three readers cost all cores.
//!
//! [`SystemClock`]: crate::SystemClock
//! [`TickingClock`]: crate::TickingClock
//! [`PartitionKey`]: crate::PartitionKey
