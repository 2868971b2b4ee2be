//! A stream as a file, and the file as a stream again.
//!
//! ```text
//!   stream ── Capture ──> JSON Lines ── CaptureReader ──> Replay ──> another stream,
//!             reads it                  checks each line             on a ManualClock
//! ```
//!
//! # The format
//!
//! A capture is text: one JSON object a line, for people and for `jq`. Each has a `type`.
//!
//! | `type` | fields | where |
//! | --- | --- | --- |
//! | `header` | `format` (`brooklet-capture`), `version` (1), `stream`, `created_ms`, `retention_ms`, `shards` | the first line |
//! | `record` | `arrival_ms`, `shard_id`, `sequence_number`, `partition_key`, perhaps `explicit_hash_key`, and `data` or `data_base64` | in the order of arrival |
//! | `reshard` | `at_ms`, `parents`, `children` | after the last record of the parents, before the first of the children |
//! | `missed` | `shard_id`, `count` | where records were trimmed before they were captured |
//! | `end` | `records`, and `closed_ms` if the stream was closed | the last line; without it the file was cut off |
//!
//! Times are numbers, in milliseconds since the epoch. Sequence numbers and hash keys are decimal
//! text, because many readers of JSON would round them. A shard is its `shard_id`,
//! `starting_hash_key` and `ending_hash_key`. Data is text where it is UTF-8, base64 where it is
//! not. Unknown fields are errors: a later version has another number.
//!
//! # Promises, and how they could break
//!
//! 1. **Records of a shard, and of a partition key, stand in their order.** Each shard is read by an
//!    iterator of its own; children are begun once the parents' reshard was written.
//! 2. **Reshards stand in the order in which they happened**, that of the numbers of their children, also if they
//!    happen while a capture is written: once one is seen, closed shards are looked at again before it is written.
//! 3. **Nothing is left out in silence.** What was trimmed is a line, what was cut off is an error.
//! 4. **A replay of the same speed is the same stream**, to the byte: shards, arrival times and, if
//!    the capture begins with the stream, sequence numbers. `tests/capture.rs` captures the replay
//!    again and compares the files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::hash_key::{HashKey, HashKeyRange};
use crate::iterator::ShardIterator;
use crate::log::Record;
use crate::shard::{ChildShard, Shard};
use crate::shard_id::ShardId;
use crate::starting_position::StartingPosition;
use crate::stream::Stream;

mod error;
mod format;
mod reader;
mod replay;

pub use error::CaptureError;
pub use format::{CaptureEvent, CaptureHeader, CapturedRecord, CapturedReshard, CapturedShard};
pub use reader::CaptureReader;
pub use replay::{Replay, ReplayReport};

use format::{
    End, RecordToWrite, write_end, write_header, write_missed, write_record, write_reshard,
};

/// So many records are pulled from a shard at once.
const PULL_LIMIT: usize = 500;

/// Writes what goes into a stream to a file, as JSON Lines.
///
/// It reads the stream as any reader does, so nothing has to be changed where records are put, and
/// nobody is slowed. [`capture`] does it all at once; with a `Capture` of your own, call
/// [`catch_up`](Self::catch_up) now and then, so that no record is trimmed before it is written.
///
/// The format has one JSON object a line: a header, records, reshards, an end. See the chapter
/// [Capture and simulation](crate::manual::simulation#the-format).
///
/// ```
/// use brooklet::Stream;
/// use brooklet::testing::Capture;
///
/// let stream = Stream::new("orders", 2)?;
/// let mut capture = Capture::new(&stream, Vec::new())?;
/// stream.producer().put_record("customer-17", "two teapots")?;
/// capture.catch_up()?;
/// stream.update_shard_count(1)?;
/// stream.producer().put_record("customer-17", "a tray")?;
/// let (summary, file) = capture.finish()?;
/// assert_eq!((summary.records, summary.reshards), (2, 1));
/// assert!(String::from_utf8_lossy(&file).contains(r#""data":"a tray"}"#));
/// # Ok::<(), brooklet::testing::CaptureError>(())
/// ```
pub struct Capture<W: Write> {
    stream: Stream,
    output: BufWriter<W>,
    /// The shards whose reshard was not written yet.
    sources: BTreeMap<ShardId, Source>,
    /// What each source has next, the earliest first.
    next: BinaryHeap<Reverse<Head>>,
    /// Looks at all shards that have begun.
    looks: u64,
    line: Vec<u8>,
    summary: CaptureSummary,
    closed: Option<Timestamp>,
}

/// What a [`Capture`] has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureSummary {
    /// Records.
    pub records: u64,
    /// Bytes of their data.
    pub data_bytes: u64,
    /// Splits and merges.
    pub reshards: u64,
    /// Records that were trimmed before they could be captured.
    pub missed: u64,
}

/// A shard that is being captured.
struct Source {
    shard: Shard,
    iterator: ShardIterator,
    pulled: VecDeque<Record>,
    /// Said before the first of `pulled`.
    missed: u64,
    ended: bool,
    children: Vec<ChildShard>,
    /// The look at all shards in which it was pulled from last, before it was known to have ended.
    pulled_in_look: u64,
    /// All its records were written, and it was closed.
    is_done: bool,
}

/// What a source has next: of two at the same time the record comes before the reshard, and the shard
/// that was made earlier before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    at: Timestamp,
    is_reshard: bool,
    /// The shard, or the first child.
    order: ShardId,
    shard_id: ShardId,
}

/// Writes all that can be read of a stream now.
///
/// # Errors
///
/// As [`Capture::new`] and [`Capture::finish`].
pub fn capture(stream: &Stream, output: impl Write) -> Result<CaptureSummary, CaptureError> {
    let (summary, _) = Capture::new(stream, output)?.finish()?;
    Ok(summary)
}

/// Runs a test and, if it fails, captures the stream in a file, so that it can be replayed: keep the
/// file, and make it a regression test with [`Replay::open`].
///
/// A test fails by a panic or by an error. Either goes on to the caller; what became of the file is
/// said on standard error. A test that passes writes nothing.
///
/// ```
/// use brooklet::{Error, Stream};
/// use brooklet::testing::{Replay, capture_failure};
///
/// # let path = std::env::temp_dir().join(format!("brooklet-{}.jsonl", std::process::id()));
/// # let path = &path;
/// let stream = Stream::new("orders", 1)?;
/// let outcome = capture_failure(&stream, path, || {
///     stream.producer().put_record("customer-17", "two teapots")?;
///     stream.producer().put_record("", "no key").map(drop)
/// });
/// assert!(matches!(outcome, Err(Error::InvalidPartitionKey { .. })));
///
/// let replayed = Replay::open(path)?.run()?;
/// assert_eq!(replayed.records, 1);
/// # std::fs::remove_file(path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of `test`.
pub fn capture_failure<T, E>(
    stream: &Stream,
    path: impl AsRef<Path>,
    test: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let outcome = catch_unwind(AssertUnwindSafe(test));
    if !matches!(outcome, Ok(Ok(_))) {
        let (name, path) = (stream.name(), path.as_ref());
        let kept = File::create(path)
            .map_err(CaptureError::from)
            .and_then(|file| capture(stream, file));
        match kept {
            Ok(summary) => {
                let (records, path) = (summary.records, path.display());
                eprintln!("the {records} records of stream {name} are kept in {path}");
            }
            Err(error) => eprintln!("the records of stream {name} could not be kept: {error}"),
        }
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

impl<W: Write> Capture<W> {
    /// Begins a capture at the trim horizon, and writes the header.
    ///
    /// Lines are gathered before they are written. Every record since the trim horizon will be there:
    /// begin when the stream was made, and the capture is whole.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`]; [`CaptureError::Stream`] if the stream cannot be read.
    pub fn new(stream: &Stream, output: W) -> Result<Self, CaptureError> {
        let shards = stream.list_shards(crate::stream::ShardFilter::FromTrimHorizon)?;
        let is_listed = |id: &ShardId| shards.iter().any(|shard| shard.id() == *id);
        // The other ones come of these.
        let roots = shards
            .iter()
            .filter(|shard| !shard.parents().iter().any(|parent| is_listed(&parent)));
        let mut sources = BTreeMap::new();
        let mut named = Vec::new();
        for shard in roots {
            named.push(CapturedShard {
                shard_id: shard.id(),
                hash_key_range: shard.hash_key_range(),
            });
            let source = Source::new(shard.clone(), StartingPosition::TrimHorizon)?;
            sources.insert(shard.id(), source);
        }
        let mut capture = Self {
            stream: stream.clone(),
            output: BufWriter::new(output),
            sources,
            next: BinaryHeap::new(),
            looks: 0,
            line: Vec::new(),
            summary: CaptureSummary::default(),
            closed: None,
        };
        let header = CaptureHeader {
            stream: stream.name().to_owned(),
            created: stream.created(),
            retention: stream.retention(),
            shards: named,
        };
        write_header(&mut capture.line, &header);
        capture.write_line()?;
        Ok(capture)
    }

    /// Writes what has come up to now, in the order of arrival, and returns what was written so far.
    ///
    /// Records of one moment, of different shards, have no order among each other. What is put while
    /// this runs may come with the next call.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`]; [`CaptureError::Stream`], with limits also
    /// [`Error::ReadThrottled`]: what was not written will be by the next call;
    /// [`CaptureError::ShardExpired`] if this was called too seldom.
    pub fn catch_up(&mut self) -> Result<CaptureSummary, CaptureError> {
        self.write_until(self.stream.settings().now())?;
        self.output.flush()?;
        Ok(self.summary)
    }

    /// Writes what is left and the end line; returns what was written, and the output.
    ///
    /// # Errors
    ///
    /// As [`catch_up`](Self::catch_up).
    pub fn finish(mut self) -> Result<(CaptureSummary, W), CaptureError> {
        // Also what arrived before the clock was set back.
        self.write_until(Timestamp::from_millis(u64::MAX))?;
        let is_closed = self.sources.values().all(|source| source.is_done);
        let end = End {
            records: self.summary.records,
            closed: self.closed.filter(|_| is_closed),
        };
        write_end(&mut self.line, &end);
        self.write_line()?;
        let output = self.output.into_inner();
        Ok((self.summary, output.map_err(|error| error.into_error())?))
    }

    /// Writes what came up to a time.
    fn write_until(&mut self, until: Timestamp) -> Result<(), CaptureError> {
        self.next.clear();
        self.look_at_rest(|_| true)?;
        while let Some(Reverse(head)) = self.next.pop() {
            if head.at > until {
                break;
            }
            if !head.is_reshard {
                self.write_record(head.shard_id)?;
                self.look_at(head.shard_id)?;
            } else if self.is_seen_in_this_look(head.shard_id) {
                // Shards that were looked at before it was seen may have been resharded before it was. The others
                // are left alone: with limits, each look counts.
                self.next.push(Reverse(head));
                self.look_at_rest(Shard::is_closed)?;
            } else {
                self.end_shard(head)?;
            }
        }
        Ok(())
    }

    /// Whether a shard was found to have ended since the last look at all began.
    fn is_seen_in_this_look(&self, shard_id: ShardId) -> bool {
        let source = self.sources.get(&shard_id);
        source.is_some_and(|source| source.pulled_in_look == self.looks)
    }

    /// Looks at those shards of which nothing is among what is next, of all for which that is said.
    fn look_at_rest(&mut self, is_asked: impl Fn(&Shard) -> bool) -> Result<(), CaptureError> {
        self.looks += 1;
        let known: HashSet<_> = self.next.iter().map(|head| head.0.shard_id).collect();
        let sources = self.sources.iter();
        let rest = sources.filter(|(id, source)| !known.contains(id) && is_asked(&source.shard));
        let rest: Vec<_> = rest.map(|(id, _)| *id).collect();
        for shard_id in rest {
            self.look_at(shard_id)?;
        }
        Ok(())
    }

    /// Puts what a shard has next among what is next.
    fn look_at(&mut self, shard_id: ShardId) -> Result<(), CaptureError> {
        let Some(source) = self.sources.get_mut(&shard_id) else {
            return Ok(());
        };
        if !source.ended {
            source.pulled_in_look = self.looks;
        }
        source.pull()?;
        if source.missed > 0 {
            write_missed(&mut self.line, shard_id, source.missed);
            self.output.write_all(&self.line)?;
            self.summary.missed += source.missed;
            source.missed = 0;
        }
        if let Some(head) = source.head() {
            self.next.push(Reverse(head));
        }
        Ok(())
    }

    fn write_record(&mut self, shard_id: ShardId) -> Result<(), CaptureError> {
        let source = self.sources.get_mut(&shard_id);
        let Some((record, range)) = source.and_then(|source| {
            let record = source.pulled.pop_front()?;
            Some((record, source.shard.hash_key_range()))
        }) else {
            return Ok(());
        };
        let leads_here =
            range == HashKeyRange::FULL || range.contains(HashKey::of(record.partition_key()));
        let line = RecordToWrite {
            arrival: record.approximate_arrival_timestamp(),
            shard_id,
            sequence_number: record.sequence_number(),
            partition_key: record.partition_key(),
            explicit_hash_key: (!leads_here).then(|| range.start()),
            data: record.data(),
        };
        write_record(&mut self.line, &line);
        self.write_line()?;
        self.summary.records += 1;
        self.summary.data_bytes += record.data().len() as u64;
        Ok(())
    }

    /// A shard was read to its end: goes on with its children once all their parents were.
    fn end_shard(&mut self, head: Head) -> Result<(), CaptureError> {
        let Some(source) = self.sources.get_mut(&head.shard_id) else {
            return Ok(());
        };
        source.is_done = true;
        let children = source.children.clone();
        let Some(first) = children.first() else {
            self.closed = self.closed.max(Some(head.at));
            return Ok(());
        };
        let is_done = |id: &ShardId| self.sources.get(id).is_some_and(|parent| parent.is_done);
        // Two that are merged are closed at one moment, after all their records. Still, what is left of
        // one must not be lost by the other.
        if !first.parent_shards().iter().all(is_done) {
            return Ok(());
        }
        let mut begun = Vec::new();
        for child in &children {
            let shard = self.stream.shard(child.shard_id());
            let shard = shard.map_err(|error| match error {
                Error::ShardNotFound { shard_id, .. } => CaptureError::ShardExpired { shard_id },
                error => error.into(),
            })?;
            let from_first =
                StartingPosition::AfterSequenceNumber(shard.starting_sequence_number());
            begun.push(Source::new(shard, from_first)?);
        }
        let reshard = CapturedReshard {
            at: head.at,
            parents: first.parent_shards().to_vec(),
            children: children.iter().map(CapturedShard::of).collect(),
        };
        write_reshard(&mut self.line, &reshard);
        self.write_line()?;
        self.summary.reshards += 1;
        for parent in &reshard.parents {
            self.sources.remove(parent);
        }
        for source in begun {
            let shard_id = source.shard.id();
            self.sources.insert(shard_id, source);
            self.look_at(shard_id)?;
        }
        Ok(())
    }

    fn write_line(&mut self) -> Result<(), CaptureError> {
        self.output.write_all(&self.line)?;
        Ok(())
    }
}

impl<W: Write> fmt::Debug for Capture<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("stream", &self.stream.name())
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl Source {
    fn new(shard: Shard, position: StartingPosition) -> Result<Self, Error> {
        Ok(Self {
            iterator: shard.iterator(position)?,
            shard,
            pulled: VecDeque::new(),
            missed: 0,
            ended: false,
            children: Vec::new(),
            pulled_in_look: 0,
            is_done: false,
        })
    }

    /// Pulls the next records, unless there are some left.
    fn pull(&mut self) -> Result<(), Error> {
        if !self.pulled.is_empty() || self.ended {
            return Ok(());
        }
        let batch = self.iterator.get_records(PULL_LIMIT)?;
        self.missed += batch.missed_count();
        self.pulled.extend(batch.records());
        self.ended = batch.shard_ended();
        self.children = batch.child_shards().to_vec();
        self.children
            .sort_by_key(|child| child.hash_key_range().start());
        Ok(())
    }

    fn head(&self) -> Option<Head> {
        let shard_id = self.shard.id();
        if let Some(record) = self.pulled.front() {
            return Some(Head {
                at: record.approximate_arrival_timestamp(),
                is_reshard: false,
                order: shard_id,
                shard_id,
            });
        }
        if !self.ended || self.is_done {
            return None;
        }
        let children = self.children.iter().map(ChildShard::shard_id);
        Some(Head {
            at: Timestamp::from_millis(self.shard.closed_ms()?),
            is_reshard: true,
            order: children.min().unwrap_or(shard_id),
            shard_id,
        })
    }
}

impl CapturedShard {
    fn of(child: &ChildShard) -> Self {
        Self {
            shard_id: child.shard_id(),
            hash_key_range: child.hash_key_range(),
        }
    }
}
