//! The threads that run at the same time, and the streams between them.

use std::num::TryFromIntError;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use brooklet::{RecordBatch, ShardFilter, ShardId, StartingPosition, Stream};
use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Enriched, Flight};
use crate::figures::{Delays, KeyOrder, Matches, Traffic};
use crate::files::{Input, Result, for_each_row, number};
use crate::metadata::Metadata;

const BATCH_RECORDS: usize = 1_000;

/// What the threads found while the records flowed.
pub struct Live {
    pub put: Pace,
    pub reshard: Reshard,
    pub enrich: Read<Matches>,
    pub delays: Read<Delays>,
    pub traffic: Read<Traffic>,
}

/// What a reader finds that comes when all is over.
pub struct Late {
    pub flights: Read<()>,
    pub enriched: Read<(Matches, Delays, Traffic)>,
}

/// What one reader found, and in which order.
pub struct Read<T> {
    pub found: T,
    pub order: KeyOrder,
    pub pace: Pace,
    /// Records that it was too late for.
    pub missed: u64,
}

pub struct Pace {
    pub records: u64,
    pub took: Duration,
}

/// Which shards were split and merged.
pub struct Reshard {
    pub split: ShardId,
    pub merged: [ShardId; 2],
}

pub fn run(
    input: &Input,
    metadata: &Metadata,
    [flights, enriched]: [&Stream; 2],
    progress: &Progress,
) -> Result<Live> {
    let (half_way, at_half_way) = bounded(1);
    let (resharded, after_reshard) = bounded(1);
    let cue = Cue {
        half_way,
        after_reshard,
        flight_count: progress.flight_count,
    };
    thread::scope(|scope| {
        let delays = scope.spawn(|| read_delays(enriched, progress));
        let traffic = scope.spawn(|| read_traffic(enriched, progress));
        let enrich = scope.spawn(|| enrich(metadata, flights, enriched, progress));
        let operator = scope.spawn(|| operate(flights, at_half_way, resharded));
        let put = scope.spawn(|| put_flights(input, flights, cue, progress));
        // The first to fail is the first to be heard of: those after it fail because of it.
        let put = join(put)?;
        let reshard = join(operator)?;
        let enrich = join(enrich)?;
        Ok(Live {
            put,
            reshard,
            enrich,
            delays: join(delays)?,
            traffic: join(traffic)?,
        })
    })
}

/// Reads both streams from the beginning, when nobody writes to them any more.
pub fn replay(flights: &Stream, enriched: &Stream, progress: &Progress) -> Result<Late> {
    let bar = progress.bar("replayed", 2 * progress.flight_count);
    let flights = read(flights, &bar, |order, batch, ()| {
        for record in batch {
            order.note(record.partition_key(), Flight::decode(record.data())?.row);
        }
        Ok(())
    })?;
    let enriched = read(enriched, &bar, |order, batch, found| {
        let (matches, delays, traffic): &mut (Matches, Delays, Traffic) = found;
        for record in batch {
            let flight = Enriched::decode(record.data())?;
            order.note(record.partition_key(), flight.flight.row);
            matches.add(&flight);
            delays.add(&flight);
            traffic.add(&flight);
        }
        Ok(())
    })?;
    Ok(Late { flights, enriched })
}

/// Tells the operator when to come, and waits for it if need be.
struct Cue {
    half_way: Sender<()>,
    after_reshard: Receiver<()>,
    flight_count: u64,
}

impl Cue {
    fn before(&self, row: u64) {
        if row == self.flight_count / 2 {
            // It has room for one, and is sent one; the operator may be gone, see below.
            let _sent = self.half_way.send(());
        }
        // A short input may be over before the operator has had its turn: then the new shards
        // would stay empty. If it failed it says so itself.
        if row == self.flight_count * 3 / 4 {
            let _done = self.after_reshard.recv();
        }
    }
}

/// Puts the flights in the order of the file, each with its tail number as partition key.
fn put_flights(input: &Input, flights: &Stream, cue: Cue, progress: &Progress) -> Result<Pace> {
    // In whichever way it ends, no reader waits for a producer that is gone.
    let _closed = flights.close_on_drop();
    let bar = progress.bar("put", progress.flight_count);
    let (begun, mut row) = (Instant::now(), 0);
    let producer = flights.producer();
    let columns = [
        "time_hour",
        "carrier",
        "tailnum",
        "origin",
        "dest",
        "dep_delay",
    ];
    for_each_row(&input.flights, columns, |columns| {
        let [time_hour, carrier, tail_number, origin, destination, delay] = columns;
        let delay = number(delay)?;
        let flight = Flight {
            row,
            time_hour,
            carrier,
            tail_number,
            origin,
            destination,
            delay,
        };
        cue.before(row);
        producer.put_record(tail_number, flight.encode())?;
        bar.inc(1);
        row += 1;
        Ok(())
    })?;
    Ok(Pace {
        records: row,
        took: begun.elapsed(),
    })
}

/// Splits the busiest shard and merges two others, while records flow.
fn operate(flights: &Stream, start: Receiver<()>, done: Sender<()>) -> Result<Reshard> {
    start.recv()?;
    let open = flights.list_shards(ShardFilter::AtLatest)?;
    let busiest = open
        .iter()
        .max_by_key(|shard| shard.metrics().records_in)
        .ok_or("a stream has shards until it is closed")?;
    flights.split_shard(busiest.id(), busiest.hash_key_range().midpoint())?;

    // The first shards of a stream lie side by side in the order of their ids.
    let merged = open
        .windows(2)
        .map(|pair| [pair[0].id(), pair[1].id()])
        .find(|pair| !pair.contains(&busiest.id()))
        .ok_or("of four shards, two that are neighbours are left")?;
    flights.merge_shards(merged[0], merged[1])?;
    done.send(())?;
    Ok(Reshard {
        split: busiest.id(),
        merged,
    })
}

/// Puts what is known of each flight into the second stream, under the same partition key.
fn enrich(
    metadata: &Metadata,
    flights: &Stream,
    enriched: &Stream,
    progress: &Progress,
) -> Result<Read<Matches>> {
    let _closed = enriched.close_on_drop();
    let bar = progress.bar("enriched", progress.flight_count);
    let producer = enriched.producer();
    read(flights, &bar, |order, batch, matches: &mut Matches| {
        let mut entries = Vec::with_capacity(batch.len());
        for record in batch {
            let flight = metadata.enrich(Flight::decode(record.data())?)?;
            order.note(record.partition_key(), flight.flight.row);
            matches.add(&flight);
            entries.push((record.partition_key(), flight.encode()));
        }
        producer.put_records(entries)?.into_result()?;
        Ok(())
    })
}

fn read_delays(enriched: &Stream, progress: &Progress) -> Result<Read<Delays>> {
    let bar = progress.bar("delays", progress.flight_count);
    read(enriched, &bar, |order, batch, delays: &mut Delays| {
        for record in batch {
            let flight = Enriched::decode(record.data())?;
            order.note(record.partition_key(), flight.flight.row);
            delays.add(&flight);
        }
        Ok(())
    })
}

fn read_traffic(enriched: &Stream, progress: &Progress) -> Result<Read<Traffic>> {
    let bar = progress.bar("traffic", progress.flight_count);
    read(enriched, &bar, |order, batch, traffic: &mut Traffic| {
        for record in batch {
            let flight = Enriched::decode(record.data())?;
            order.note(record.partition_key(), flight.flight.row);
            traffic.add(&flight);
        }
        Ok(())
    })
}

/// Reads all shards of a stream from the trim horizon until the stream is closed and read to its
/// end, whatever is split and merged meanwhile.
fn read<T: Default>(
    stream: &Stream,
    bar: &ProgressBar,
    mut each: impl FnMut(&mut KeyOrder, &RecordBatch, &mut T) -> Result<()>,
) -> Result<Read<T>> {
    let begun = Instant::now();
    let (mut found, mut order) = (T::default(), KeyOrder::default());
    let (mut records, mut missed) = (0, 0);
    let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    for batch in subscription.batches_blocking(BATCH_RECORDS) {
        let batch = batch?;
        each(&mut order, &batch, &mut found)?;
        records += count(batch.len())?;
        missed += batch.missed_count();
        bar.inc(count(batch.len())?);
    }
    let pace = Pace {
        records,
        took: begun.elapsed(),
    };
    Ok(Read {
        found,
        order,
        pace,
        missed,
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .expect("a thread of the pipeline answers with an error, and never panics")
}

fn count(len: usize) -> Result<u64, TryFromIntError> {
    len.try_into()
}

/// Progress on a terminal; nothing elsewhere.
pub struct Progress {
    bars: MultiProgress,
    pub flight_count: u64,
}

impl Progress {
    pub fn new(flight_count: u64) -> Self {
        Self {
            bars: MultiProgress::new(),
            flight_count,
        }
    }

    fn bar(&self, name: &'static str, len: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:>9} {wide_bar} {human_pos} {per_sec}")
            .expect("the template is well formed");
        let bar = ProgressBar::new(len).with_style(style).with_prefix(name);
        self.bars.add(bar)
    }

    /// Makes room for the report.
    pub fn finish(&self) {
        // Nothing to be done about a terminal that is gone.
        let _cleared = self.bars.clear();
    }
}
