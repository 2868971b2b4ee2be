//! A capture as a stream again.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::error::Error;
use crate::hash_key::HashKeyRange;
use crate::limits::RECORD_BYTES_MAX;
use crate::producer::Producer;
use crate::put_entry::PutEntry;
use crate::sequence::SequenceNumber;
use crate::shard::Shard;
use crate::shard_id::ShardId;
use crate::stream::{ShardFilter, Stream, StreamBuilder};
use crate::testing::capture::error::CaptureError;
use crate::testing::capture::format::{
    CaptureEvent, CaptureHeader, CapturedRecord, CapturedReshard,
};
use crate::testing::capture::reader::CaptureReader;

/// Puts what a [`Capture`](crate::testing::Capture) has into a new stream, at the same times on a
/// [`ManualClock`]: the same bytes into the same shards, with the same reshards in between.
///
/// [`step`](Self::step) replays one event, so that a test can do its own work between two;
/// [`run`](Self::run) all of them.
///
/// ```
/// use brooklet::{Clock, StartingPosition};
/// use brooklet::testing::{CaptureError, Replay};
///
/// let file = br#"{"type":"header","format":"brooklet-capture","version":1,"stream":"orders","created_ms":1700000000000,"retention_ms":86400000,"shards":[{"shard_id":"shardId-000000000000","starting_hash_key":"0","ending_hash_key":"340282366920938463463374607431768211455"}]}
/// {"type":"record","arrival_ms":1700000000250,"shard_id":"shardId-000000000000","sequence_number":"49646437577108476416916876405825929425585429676275269634","partition_key":"customer-17","data":"two teapots"}
/// {"type":"record","arrival_ms":1700000060000,"shard_id":"shardId-000000000000","sequence_number":"49646437577108476416916876405828347277224659363482468354","partition_key":"customer-17","data":"a tray"}
/// {"type":"end","records":2}
/// "#;
/// let mut replay = Replay::new(&file[..])?;
/// let mut reader = replay.stream().subscribe(StartingPosition::TrimHorizon)?;
/// let mut lag_ms = Vec::new();
/// while replay.step()?.is_some() {
///     for record in &reader.get_records(100)? {
///         let now = replay.clock().now();
///         lag_ms.push(now.duration_since(replay.stream().created()).as_millis());
///         assert_eq!(record.approximate_arrival_timestamp(), now);
///     }
/// }
/// assert_eq!(lag_ms, [250, 60_000]);
/// # Ok::<(), CaptureError>(())
/// ```
///
/// # What is the same
///
/// Data, partition keys, the order in each shard and so of each key, the shards' ranges, and the
/// reshards, always: each record is checked to go to its shard with a number above the last one's.
/// Arrival times, at the original [speed](Self::speed). Shard ids and sequence numbers, besides, if
/// the capture begins with its stream; [`ReplayReport::sequence_numbers_kept`] counts those.
///
/// A record that had to be missed is not there. One that expired before a reader came, does again.
pub struct Replay<R> {
    reader: CaptureReader<R>,
    stream: Stream,
    producer: Producer,
    clock: ManualClock,
    speed: f64,
    /// Each open shard of the capture, as it is in the replay.
    shards: BTreeMap<ShardId, Replayed>,
    report: ReplayReport,
}

struct Replayed {
    shard_id: ShardId,
    last: Option<SequenceNumber>,
}

/// What a [`Replay`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Records that were put.
    pub records: u64,
    /// Bytes of their data.
    pub data_bytes: u64,
    /// Splits and merges.
    pub reshards: u64,
    /// Records that the capture says were missed, and that are not in the replay either.
    pub missed: u64,
    /// Records that were given the very number that they had.
    pub sequence_numbers_kept: u64,
    /// Whether the end was reached.
    pub finished: bool,
}

impl Replay<BufReader<File>> {
    /// Replays a file.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Self::new(BufReader::new(File::open(path)?))
    }
}

impl<R: BufRead> Replay<R> {
    /// Reads the header and makes the stream, on a clock that shows when the captured one was made.
    ///
    /// # Errors
    ///
    /// As [`CaptureReader::new`]; [`CaptureError::Refused`] if no stream can be made of the header.
    pub fn new(input: R) -> Result<Self, CaptureError> {
        Self::with_settings(input, |builder| builder)
    }

    /// As [`new`](Self::new), into a stream with other settings: capacity, limits, retention, what a
    /// full shard does. Its shards and its clock are the replay's.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_settings(
        input: R,
        settings: impl FnOnce(StreamBuilder) -> StreamBuilder,
    ) -> Result<Self, CaptureError> {
        let reader = CaptureReader::new(input)?;
        let header = reader.header();
        let clock = ManualClock::new(header.created);
        let builder = Stream::builder(header.stream.clone())
            .record_bytes_max(RECORD_BYTES_MAX)
            .retention(header.retention);
        let (stream, shards) = make_stream(settings(builder).clock(clock.clone()), header)
            .map_err(|source| CaptureError::Refused { line: 1, source })?;
        Ok(Self {
            producer: stream.producer(),
            reader,
            stream,
            clock,
            speed: 1.0,
            shards,
            report: ReplayReport::default(),
        })
    }

    /// Has time go so many times as fast as it did: 1 unless set, 60 makes an hour a minute,
    /// [`f64::INFINITY`] makes everything arrive at once.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Stream`] with [`Error::InvalidSetting`] unless it is over 0.
    pub fn speed(mut self, speed: f64) -> Result<Self, CaptureError> {
        if speed > 0.0 {
            self.speed = speed;
            return Ok(self);
        }
        Err(CaptureError::Stream(Error::InvalidSetting {
            setting: "speed of the replay",
            value: speed.to_string(),
            bound: "over 0".to_owned(),
        }))
    }

    /// What the capture says of its stream.
    pub const fn header(&self) -> &CaptureHeader {
        self.reader.header()
    }

    /// The stream that is replayed into.
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The clock that the replay turns.
    pub const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// What was done so far.
    pub const fn report(&self) -> &ReplayReport {
        &self.report
    }

    /// Turns the clock to the next event and replays it; `None` once there is none left. If the
    /// captured stream was closed, the last step closes this one.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`], [`CaptureError::Line`]; [`CaptureError::Unfinished`] when all was replayed
    /// of a file that was cut off; [`CaptureError::Refused`] if the stream does not take a record,
    /// which those of a replay's own settings do.
    pub fn step(&mut self) -> Result<Option<CaptureEvent>, CaptureError> {
        let Some(event) = self.reader.next().transpose()? else {
            self.finish();
            return Ok(None);
        };
        match &event {
            CaptureEvent::Record(record) => self.put(record)?,
            CaptureEvent::Reshard(reshard) => self.reshard(reshard)?,
            CaptureEvent::Missed { count, .. } => {
                self.report.missed = self.report.missed.saturating_add(*count);
            }
        }
        Ok(Some(event))
    }

    /// Replays everything that is left.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn run(mut self) -> Result<ReplayReport, CaptureError> {
        while self.step()?.is_some() {}
        Ok(self.report)
    }

    fn finish(&mut self) {
        let Some(end) = self.reader.end().filter(|_| !self.report.finished) else {
            return;
        };
        self.report.finished = true;
        if let Some(closed) = end.closed {
            self.turn_to(closed);
            self.stream.close();
        }
    }

    fn put(&mut self, record: &CapturedRecord) -> Result<(), CaptureError> {
        self.turn_to(record.arrival);
        let line = self.reader.line();
        let mut entry = PutEntry::new(record.partition_key.as_str(), &record.data);
        if let Some(hash_key) = record.explicit_hash_key {
            entry = entry.explicit_hash_key(hash_key);
        }
        let put = self.producer.put_entry(entry);
        let put = put.map_err(|source| CaptureError::Refused { line, source })?;
        let shard = self.shards.get_mut(&record.shard_id);
        let shard = shard.expect("the reader has checked that the shard is open");
        let number = put.sequence_number();
        // The same shard, and after the last record there: so the order of each key is the same.
        if put.shard_id() != shard.shard_id {
            return Err(CaptureError::OtherShard {
                line,
                expected: shard.shard_id,
                actual: put.shard_id(),
            });
        }
        assert!(
            shard.last < Some(number),
            "sequence numbers of a shard increase"
        );
        shard.last = Some(number);
        self.report.records += 1;
        self.report.data_bytes += record.data.len() as u64;
        self.report.sequence_numbers_kept += u64::from(number == record.sequence_number);
        Ok(())
    }

    fn reshard(&mut self, reshard: &CapturedReshard) -> Result<(), CaptureError> {
        self.turn_to(reshard.at);
        let line = self.reader.line();
        self.change(reshard)
            .map_err(|source| CaptureError::Refused { line, source })?;
        self.report.reshards += 1;
        Ok(())
    }

    fn change(&mut self, reshard: &CapturedReshard) -> Result<(), Error> {
        let known = "the reader has checked that the shard is open";
        let parents = reshard.parents.iter();
        let parents: Vec<_> = parents
            .map(|parent| self.shards.get(parent).expect(known).shard_id)
            .collect();
        let first = self.stream.shard(parents[0])?;
        match parents[..] {
            [lower, upper] => self.stream.merge_shards(lower, upper)?,
            _ => {
                let upper = reshard.children.last().expect("a reshard has children");
                self.stream
                    .split_shard(parents[0], upper.hash_key_range.start())?;
            }
        }
        for parent in &reshard.parents {
            self.shards.remove(parent);
        }
        let children = first.child_shards();
        for child in &reshard.children {
            let range = child.hash_key_range;
            let replayed = children.iter().find(|it| it.hash_key_range() == range);
            let replayed = replayed.expect("the same shards make the same children");
            self.shards
                .insert(child.shard_id, Replayed::new(replayed.shard_id()));
        }
        Ok(())
    }

    /// Turns the clock to a time of the capture. It never goes back: what was put while the capture
    /// was read may stand a little later than it arrived.
    fn turn_to(&self, time: Timestamp) {
        let created = self.header().created;
        let since = time.duration_since(created);
        let since = if self.speed == 1.0 {
            since
        } else {
            // To the nearest millisecond: what is shown is whole ones.
            let scaled = Duration::try_from_secs_f64(since.as_secs_f64() / self.speed);
            let scaled = scaled.unwrap_or(Duration::MAX);
            scaled.saturating_add(Duration::from_micros(500))
        };
        let time = created.saturating_add(since);
        if time > self.clock.now() {
            self.clock.set(time);
        }
    }
}

impl<R> fmt::Debug for Replay<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("stream", &self.stream.name())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Replayed {
    const fn new(shard_id: ShardId) -> Self {
        Self {
            shard_id,
            last: None,
        }
    }
}

/// Makes a stream with the shards of a header, and says which are which.
fn make_stream(
    builder: StreamBuilder,
    header: &CaptureHeader,
) -> Result<(Stream, BTreeMap<ShardId, Replayed>), Error> {
    let mut ranges: Vec<_> = header.shards.iter().map(|s| s.hash_key_range).collect();
    ranges.sort_by_key(|range| range.start());
    let count = u32::try_from(ranges.len()).ok().and_then(NonZeroU32::new);
    let count = count.expect("the reader has checked that there are 1 to 10,000");
    let is_uniform = HashKeyRange::uniform(count).eq(ranges.iter().copied());
    let stream = builder
        .shard_count(if is_uniform { count.get() } else { 1 })
        .build()?;
    if !is_uniform {
        let mut last = stream.shards().remove(0);
        for range in &ranges[1..] {
            stream.split_shard(last.id(), range.start())?;
            let children = last.child_shards();
            let upper = children.iter().max_by_key(|it| it.hash_key_range().start());
            last = stream.shard(upper.expect("a split has children").shard_id())?;
        }
    }
    let open = stream.list_shards(ShardFilter::AtLatest)?;
    let by_start: BTreeMap<_, _> = open
        .iter()
        .map(|shard| (shard.hash_key_range().start(), Shard::id(shard)))
        .collect();
    let shards = header.shards.iter().map(|shard| {
        let replayed = by_start[&shard.hash_key_range.start()];
        (shard.shard_id, Replayed::new(replayed))
    });
    let shards = shards.collect();
    Ok((stream, shards))
}
