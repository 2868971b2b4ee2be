//! A batch: the records that one `get_records` pulled.

use std::fmt;
use std::iter::FusedIterator;

use bytes::Bytes;

use crate::log::{Frames, Memory, Record, Span, Spans};
use crate::record::{Origin, RecordView};
use crate::shard::{ChildShard, Closing};
use crate::shard_id::ShardId;
use crate::sync::Arc;

/// Consecutive records of one shard, as they lie in the stream's memory.
///
/// # What a held batch costs
///
/// The records are not copied, so the chunks that they lie in, of 64 KiB at most, stay in memory
/// as long as the batch is held: what its records count towards the capacity, what the chunks between
/// leave free, and 128 KiB at most (plus data that its first and last chunk hold outside of them
/// besides: a 128th of the stream's capacity per chunk, 32 KiB at least and 4 MiB at most, and one
/// record). An owned [`Record`] made of it holds its chunk if its data was copied into it (up to 512 bytes,
/// or about 2,000 if they were no `Bytes`), only its own data otherwise. A stream goes on trimming meanwhile and never waits for it.
///
/// ```
/// use brooklet::{StartingPosition, Stream};
///
/// let stream = Stream::new("orders", 1)?;
/// stream.producer().put_record("customer-17", "two teapots")?;
/// let mut iterator = stream.shards()[0].iterator(StartingPosition::TrimHorizon)?;
/// let batch = iterator.get_records(100)?;
/// for record in &batch {
///     assert_eq!((record.partition_key(), record.data()), ("customer-17", &b"two teapots"[..]));
/// }
/// let owned: Vec<_> = batch.records().collect();
/// assert_eq!(owned[0].data(), "two teapots");
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone)]
pub struct RecordBatch {
    pub(crate) origin: Origin,
    pub(crate) spans: Spans,
    pub(crate) missed_count: u64,
    /// The time of the read, if records were left behind it, or 0.
    pub(crate) behind_since_ms: u64,
    /// What became of the shard, if this batch is its last.
    pub(crate) closing: Option<Arc<Closing>>,
}

impl RecordBatch {
    pub(crate) const fn empty(origin: Origin) -> Self {
        Self {
            origin,
            spans: Spans::EMPTY,
            missed_count: 0,
            behind_since_ms: 0,
            closing: None,
        }
    }

    /// How many records it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The records, read where they lie.
    pub fn iter(&self) -> RecordViews<'_> {
        RecordViews {
            origin: self.origin,
            left: self.len(),
            frames: self.spans.first().map(Span::frames),
            more: self.spans.more().iter(),
        }
    }

    /// The records as values of their own, which share the stream's memory: no data is copied.
    pub fn records(&self) -> Records<'_> {
        Records {
            origin: self.origin,
            left: self.len(),
            spans: self.spans.iter(),
            current: None,
        }
    }

    /// The shard that all its records are of.
    pub const fn shard_id(&self) -> ShardId {
        self.origin.shard_id
    }

    /// How far the reader was behind when it read: milliseconds since the last record of the batch
    /// arrived, 0 if there is no newer one.
    pub fn millis_behind_latest(&self) -> u64 {
        let now = self.behind_since_ms;
        if now == 0 {
            return 0;
        }
        let last = self.spans.last_arrival();
        last.map_or(0, |last| now.saturating_sub(last))
    }

    /// How many records were trimmed before this reader came to read them, right before the
    /// first record of this batch. 0 unless the reader was overtaken.
    pub const fn missed_count(&self) -> u64 {
        self.missed_count
    }

    /// Whether the shard is closed and this batch has, or comes after, its last record.
    pub const fn shard_ended(&self) -> bool {
        self.closing.is_some()
    }

    /// The shards to go on with, once the [shard has ended](Self::shard_ended); none before, and none
    /// if the stream was closed.
    pub fn child_shards(&self) -> &[ChildShard] {
        self.closing
            .as_ref()
            .map_or(&[], |closing| &closing.children)
    }

    /// Whether it tells the reader anything.
    pub(crate) const fn is_news(&self) -> bool {
        !self.is_empty() || self.missed_count > 0 || self.shard_ended()
    }
}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatch")
            .field("shard_id", &self.origin.shard_id)
            .field("len", &self.len())
            .field("missed_count", &self.missed_count)
            .field("shard_ended", &self.shard_ended())
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a RecordBatch {
    type Item = RecordView<'a>;
    type IntoIter = RecordViews<'a>;

    #[inline]
    fn into_iter(self) -> RecordViews<'a> {
        self.iter()
    }
}

impl IntoIterator for RecordBatch {
    type Item = Record;
    type IntoIter = std::vec::IntoIter<Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.records().collect::<Vec<_>>().into_iter()
    }
}

/// Iterates over the records of a batch where they lie.
#[derive(Clone)]
pub struct RecordViews<'a> {
    origin: Origin,
    left: usize,
    frames: Option<Frames<'a>>,
    more: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = RecordView<'a>;

    /// Always inlined: a call for each record would cost more than the record.
    #[inline(always)]
    fn next(&mut self) -> Option<RecordView<'a>> {
        loop {
            if let Some(view) = self.frames.as_mut()?.next_view(self.origin) {
                self.left -= 1;
                return Some(view);
            }
            self.frames = Some(self.more.next()?.frames());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for RecordViews<'_> {}
impl FusedIterator for RecordViews<'_> {}

impl fmt::Debug for RecordViews<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordViews")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// Iterates over the records of a batch as values of their own.
#[derive(Clone)]
pub struct Records<'a> {
    origin: Origin,
    left: usize,
    spans: std::iter::Chain<std::option::Iter<'a, Span>, std::slice::Iter<'a, Span>>,
    /// The frames of a span, and its chunk's memory up to the span's end.
    current: Option<(Frames<'a>, Bytes)>,
}

impl Iterator for Records<'_> {
    type Item = Record;

    #[inline]
    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some((frames, memory)) = &mut self.current
                && let Some(frame) = frames.next()
            {
                self.left -= 1;
                let data = match frame.handle() {
                    Some(handle) => handle.clone(),
                    None => memory.slice(frame.data_range()),
                };
                return Some(Record::new(self.origin, &frame, data));
            }
            let span = self.spans.next()?;
            self.current = Some((span.frames(), memory_of(span)));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Records<'_> {}
impl FusedIterator for Records<'_> {}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// The memory of a span's chunk as one shared piece, of which each record's data is a slice.
fn memory_of(span: &Span) -> Bytes {
    Bytes::from_owner(Memory {
        chunk: Arc::clone(&span.chunk),
        end: span.to(),
    })
}
