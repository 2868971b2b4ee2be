//! The log of a shard: a ring of chunks that one writer fills and any number of readers read.
//!
//! ```text
//!    directory:     [ chunk 7 ][ chunk 8 ][ chunk 9 ][ chunk 10, open ]      spare: [ chunk 6 ]
//!                        ^                                  ^
//!                   trim_horizon                          next
//!      place:   | 1 .. trimmed |<--------- retained -------->|
//! ```
//!
//! A record's place is a dense number, 1 for the first record of the shard; the public
//! [`SequenceNumber`](crate::SequenceNumber) is made of it when somebody asks. The [`Writer`] is
//! kept under the lock of the [shard](crate::shard); the [`Log`] is what readers see of it. The log
//! takes no lock but the directory's own, reads no clock and wakes nobody.
//!
//! # Promises, and how they could break
//!
//! 1. **A reader sees a record whole or not at all.** The writer stores the open chunk's extent, then
//!    `next`, each with release; a reader loads `next` with acquire and never reads beyond it. Were
//!    `next` stored first, a reader could run past the published frames. The two lie on one line:
//!    a reader on another core waits for it once. A full chunk is sealed with its own extent before
//!    an extent of the next one shows: were a reader to look at the chunk's first, it could take
//!    the next one's for it.
//! 2. **What a reader holds stays.** A batch holds its chunks; a chunk is filled again only when
//!    nobody else holds it, and freed by the last holder.
//! 3. **`trim_horizon <= next`, and neither ever goes down.** `next` is stored before the horizon.
//! 4. **Memory is bounded.** Retained records are charged exactly ([`charge_of`](chunk::charge_of)), and with them what the
//!    chunks that they fill leave free. Beyond that a log has at most: the trimmed part of its
//!    oldest chunk, the free part of its newest, one spare (64 KiB each), and the out-of-line data
//!    of the oldest chunk's trimmed records (the budget, a 128th of the capacity: at least 32 KiB
//!    and at most 4 MiB, and one record). Chunks that batches hold come on top.
//! 5. **Finding a place** costs a search among the chunks and a walk within one (64 KiB).

use std::collections::VecDeque;
use std::slice;

use crate::sync::{Arc, AtomicU64, BriefMutex, Ordering, OwnLine};

mod chunk;
#[cfg(test)]
mod tests;
mod writer;

use chunk::Sealed;
pub(crate) use chunk::{
    Chunk, Extent, Frame, Frames, Memory, OVERHEAD_BYTES_MAX, charge, data_bytes_max,
};
pub(crate) use writer::{Capacity, Writer, clean};

/// Place of the first record of a log.
pub(crate) const FIRST_PLACE: u64 = 1;

/// What readers see of a log, see the [module](self).
#[derive(Debug)]
pub(crate) struct Log {
    tip: OwnLine<Tip>,
    /// Place of the oldest retained record.
    trim_horizon: OwnLine<AtomicU64>,
    directory: OwnLine<BriefMutex<Directory>>,
}

/// What the writer shows with each publish.
#[derive(Debug)]
struct Tip {
    /// Place that the next record will be given; all before it may be read.
    next: AtomicU64,
    /// Packed [`Extent`] of the chunk that was open when `next` was shown.
    open_extent: AtomicU64,
}

/// The chunks that hold retained records, the oldest first, with consecutive serial numbers.
#[derive(Debug, Default)]
struct Directory {
    first_serial: u64,
    chunks: VecDeque<Arc<Chunk>>,
}

/// A place to read from, and where in memory it was last found.
///
/// The hint holds no chunk, so that an iterator that nobody uses costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    pub(crate) place: u64,
    hint: Option<(u64, Extent)>,
}

/// The most that one read takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    pub(crate) records: u64,
    /// Bytes of keys and data; one record is read even if it alone is larger.
    pub(crate) bytes: u64,
}

/// Consecutive records of one chunk.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) from: Extent,
    pub(crate) to: Extent,
}

/// Consecutive records of a log: what one read returns. A read within one chunk allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    first: Option<Span>,
    more: Vec<Span>,
}

impl Cursor {
    pub(crate) const fn at(place: u64) -> Self {
        Self { place, hint: None }
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            tip: OwnLine(Tip {
                next: AtomicU64::new(FIRST_PLACE),
                open_extent: AtomicU64::new(0),
            }),
            trim_horizon: OwnLine(AtomicU64::new(FIRST_PLACE)),
            directory: OwnLine::default(),
        }
    }

    /// Place that the next record will be given.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        // Acquire: pairs with `show`.
        self.tip.next.load(Ordering::Acquire)
    }

    /// Shows readers the records before `next`, of which the last lies at the end of the extent.
    #[inline]
    fn show(&self, open_extent: Extent, next: u64) {
        // Release, both: the frames are written before. Pairs with `published` and `next`.
        self.tip
            .open_extent
            .store(open_extent.pack(), Ordering::Release);
        self.tip.next.store(
            next,
            planted!(Ordering::Release, "relaxed_publish": Ordering::Relaxed),
        );
    }

    /// How much of a chunk that has a published record may be read.
    #[inline]
    fn published(&self, chunk: &Chunk) -> Extent {
        // In this order: once an extent of a later chunk shows, this one is sealed.
        let open_extent = self.tip.open_extent.load(Ordering::Acquire);
        chunk
            .sealed()
            .map_or_else(|| Extent::unpack(open_extent), |sealed| sealed.extent)
    }

    /// Place of the oldest retained record; `next` while there is none.
    #[inline]
    pub(crate) fn trim_horizon(&self) -> u64 {
        // Acquire: whoever sees a horizon sees a `next` that is not before it.
        self.trim_horizon.load(Ordering::Acquire)
    }

    /// Reads on from the cursor and moves it. Nothing is read at the end of the log, or when the
    /// record at the cursor was trimmed: look at the trim horizon again then.
    pub(crate) fn read(&self, cursor: &mut Cursor, limit: ReadLimit) -> Spans {
        let next = self.next();
        let mut left = limit;
        let mut spans = Spans::default();
        while cursor.place < next && left.records > 0 {
            let Some((chunk, from)) = self.locate(*cursor) else {
                break;
            };
            let published = self.published(&chunk);
            let rest = u64::from(published.frames - from.frames);
            let records = rest.min(next - cursor.place).min(left.records);
            let bytes = published.bytes - from.bytes;
            let to = if records == rest && bytes <= left.bytes {
                published
            } else {
                let at_least = u64::from(spans.is_empty());
                let budget = ReadLimit {
                    records,
                    bytes: left.bytes,
                };
                extent_within(chunk.frames(from, published), from, at_least, budget)
            };
            if to == from {
                break;
            }
            left.records -= u64::from(to.frames - from.frames);
            left.bytes = left.bytes.saturating_sub(to.bytes - from.bytes);
            cursor.place += u64::from(to.frames - from.frames);
            cursor.hint = Some((chunk.serial, to));
            let filled = to == published;
            spans.push(Span { chunk, from, to });
            if !filled {
                break;
            }
        }
        spans
    }

    /// What `look` says of the record at a place; `None` if it is trimmed or not there yet.
    pub(crate) fn look_at<R>(
        &self,
        cursor: Cursor,
        look: impl FnOnce(Frame<'_>) -> R,
    ) -> Option<R> {
        if cursor.place >= self.next() {
            return None;
        }
        let (chunk, from) = self.locate(cursor)?;
        chunk.frames(from, self.published(&chunk)).next().map(look)
    }

    /// Place of the first retained record that arrived at `arrival` or later; `next` if none has.
    pub(crate) fn place_at_time(&self, arrival: u64) -> u64 {
        let next = self.next();
        let (chunk, following) = {
            let directory = self.directory.lock();
            let chunks = &directory.chunks;
            // A chunk that has no published record yet has nothing to be found.
            let is_before =
                |chunk: &Arc<Chunk>| chunk.first < next && chunk.first_arrival() < arrival;
            let index = chunks.partition_point(is_before);
            let following = chunks.get(index).map_or(next, |chunk| chunk.first);
            (
                index
                    .checked_sub(1)
                    .map(|before| Arc::clone(&chunks[before])),
                following,
            )
        };
        let place = chunk
            .and_then(|chunk| {
                chunk
                    .frames(Extent::START, self.published(&chunk))
                    .find(|frame| frame.arrival() >= planted!(arrival, "late_time": arrival + 1))
                    .map(|frame| frame.place())
            })
            .unwrap_or(following);
        place.min(next).max(self.trim_horizon())
    }

    /// The chunk that holds the record at the cursor, and where it begins there.
    fn locate(&self, cursor: Cursor) -> Option<(Arc<Chunk>, Extent)> {
        let chunk = {
            let directory = self.directory.lock();
            let hinted = cursor
                .hint
                .and_then(|(serial, at)| Some((directory.index_of(serial)?, at)));
            if let Some((index, at)) = hinted {
                let chunk = &directory.chunks[index];
                let is_filled =
                    |sealed: Sealed| chunk.first + u64::from(sealed.extent.frames) <= cursor.place;
                if !chunk.sealed().is_some_and(is_filled) {
                    return Some((Arc::clone(chunk), at));
                }
                // The hint is the end of a full chunk: the record is the first of the one after.
                return Some((Arc::clone(directory.chunks.get(index + 1)?), Extent::START));
            }
            let after = directory
                .chunks
                .partition_point(|chunk| chunk.first <= cursor.place);
            Arc::clone(&directory.chunks[after.checked_sub(1)?])
        };
        let frame = chunk
            .frames(Extent::START, self.published(&chunk))
            .nth(usize::try_from(cursor.place - chunk.first).ok()?)?;
        let at = frame.start();
        Some((chunk, at))
    }
}

impl Directory {
    fn index_of(&self, serial: u64) -> Option<usize> {
        let index = usize::try_from(serial.checked_sub(self.first_serial)?).ok()?;
        (index < self.chunks.len()).then_some(index)
    }
}

impl Span {
    pub(crate) fn len(&self) -> usize {
        (self.to.frames - self.from.frames) as usize
    }

    pub(crate) fn frames(&self) -> Frames<'_> {
        self.chunk.frames(self.from, self.to)
    }
}

impl Spans {
    pub(crate) const EMPTY: Self = Self {
        first: None,
        more: Vec::new(),
    };

    pub(crate) const fn first(&self) -> Option<&Span> {
        self.first.as_ref()
    }

    pub(crate) fn more(&self) -> &[Span] {
        &self.more
    }

    /// Arrival of the first record.
    pub(crate) fn first_arrival(&self) -> Option<u64> {
        self.first
            .as_ref()?
            .frames()
            .next()
            .map(|frame| frame.arrival())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many records.
    pub(crate) fn len(&self) -> usize {
        self.iter().map(Span::len).sum()
    }

    /// Bytes of keys and data.
    pub(crate) fn user_bytes(&self) -> u64 {
        self.iter()
            .map(|span| span.to.bytes - span.from.bytes)
            .sum()
    }

    pub(crate) fn iter(
        &self,
    ) -> std::iter::Chain<std::option::Iter<'_, Span>, slice::Iter<'_, Span>> {
        self.first.iter().chain(&self.more)
    }

    /// Arrival of the last record.
    pub(crate) fn last_arrival(&self) -> Option<u64> {
        let last = self.more.last().or(self.first.as_ref())?;
        last.frames().last().map(|frame| frame.arrival())
    }

    fn push(&mut self, span: Span) {
        match self.first {
            None => self.first = Some(span),
            Some(_) => self.more.push(span),
        }
    }
}

/// How far the frames go within the limit; `at_least` so many frames whatever their bytes.
fn extent_within(frames: Frames<'_>, from: Extent, at_least: u64, limit: ReadLimit) -> Extent {
    let mut to = from;
    for (taken, frame) in (0..limit.records).zip(frames) {
        let end = frame.end();
        if end.bytes - from.bytes > limit.bytes && taken >= at_least {
            break;
        }
        to = end;
    }
    to
}
