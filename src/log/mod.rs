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

use crate::sync::{Arc, AtomicU64, BriefMutex, Ordering, OwnLine, PlainArc};

mod chunk;
mod owned;
#[cfg(test)]
mod tests;
mod writer;

use chunk::Sealed;
pub(crate) use chunk::{
    Chunk, Extent, Frame, Frames, Memory, OVERHEAD_BYTES_MAX, OwnedKey, charge, data_bytes_max,
};
pub use owned::Record;
pub(crate) use writer::{Capacity, Writer, clean};

/// Place of the first record of a log.
pub(crate) const FIRST_PLACE: u64 = 1;

/// What readers see of a log, see the [module](self).
#[derive(Debug)]
pub(crate) struct Log {
    tip: OwnLine<Tip>,
    directory: OwnLine<BriefMutex<Directory>>,
}

/// What the writer shows with each publish, on one line: a reader on another core waits for it once.
#[derive(Debug)]
struct Tip {
    /// Place that the next record will be given; all before it may be read.
    next: AtomicU64,
    /// Packed [`Extent`] of the chunk that was open when `next` was shown.
    open_extent: AtomicU64,
    /// Place of the oldest retained record.
    trim_horizon: AtomicU64,
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
    hint: Hint,
}

/// The end of what was read last.
#[derive(Clone, Copy, Debug)]
struct Hint {
    /// Of the chunk.
    serial: u64,
    /// Packed [`Extent`].
    at: u64,
    /// Where in memory that was: to have it fetched, never to read it.
    address: usize,
}

/// The most that one read takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    pub(crate) records: u64,
    /// Bytes of keys and data; one record is read even if it alone is larger.
    pub(crate) bytes: u64,
}

/// Consecutive records of one chunk.
///
/// Extents are packed: a batch is moved a few times, an extent is looked at once or twice.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) chunk: Arc<Chunk>,
    from: u64,
    to: u64,
}

/// Consecutive records of a log: what one read returns. A read within one chunk allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    first: Option<Span>,
    /// One word where there are none, and dropped by a function of its own.
    more: Option<PlainArc<Vec<Span>>>,
}

/// What a reader is shown, at one moment: records up to a place, and where the last of them lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// Place that the next record will be given; all before it may be read.
    pub(crate) next: u64,
    /// Packed [`Extent`] of the chunk that was open then, or of a later one.
    open_extent: u64,
}

impl Cursor {
    pub(crate) const fn at(place: u64) -> Self {
        let hint = Hint {
            // No chunk's.
            serial: u64::MAX,
            at: 0,
            address: 0,
        };
        Self { place, hint }
    }

    /// Has the record fetched that lies behind what was read last: another core may have just written it.
    /// So it is on its way while the time and the chunk are looked up; a tenth to a fifth of a round trip
    /// between two threads.
    #[inline]
    pub(crate) fn prefetch(&self) {
        chunk::prefetch_record(self.hint.address);
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            tip: OwnLine(Tip {
                next: AtomicU64::new(FIRST_PLACE),
                open_extent: AtomicU64::new(0),
                trim_horizon: AtomicU64::new(FIRST_PLACE),
            }),
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

    /// What may be read now.
    #[inline]
    pub(crate) fn shown(&self) -> Shown {
        // In this order: so the record before `next` lies in the chunk of that extent, or in one before.
        let next = self.next();
        let open_extent = self.tip.open_extent.load(Ordering::Acquire);
        Shown { next, open_extent }
    }

    /// Place of the oldest retained record; `next` while there is none.
    #[inline]
    pub(crate) fn trim_horizon(&self) -> u64 {
        // Acquire: whoever sees a horizon sees a `next` that is not before it.
        self.tip.trim_horizon.load(Ordering::Acquire)
    }

    /// Reads on from the cursor and moves it. Nothing is read at the end of the log, or when the
    /// record at the cursor was trimmed: look at the trim horizon again then.
    #[inline]
    pub(crate) fn read(&self, shown: Shown, cursor: &mut Cursor, limit: ReadLimit) -> Spans {
        let mut left = limit;
        let mut spans = Spans::EMPTY;
        spans.first = self.read_span(shown, cursor, &mut left, 1);
        if spans.first.is_some() && cursor.place < shown.next && left.records > 0 {
            spans.more = self.read_more(shown, cursor, left);
        }
        spans
    }

    /// Goes on reading in the chunks that follow.
    fn read_more(
        &self,
        shown: Shown,
        cursor: &mut Cursor,
        mut left: ReadLimit,
    ) -> Option<PlainArc<Vec<Span>>> {
        let mut more = Vec::new();
        while cursor.place < shown.next && left.records > 0 {
            let Some(span) = self.read_span(shown, cursor, &mut left, 0) else {
                break;
            };
            more.push(span);
        }
        (!more.is_empty()).then(|| PlainArc::new(more))
    }

    /// Reads on within one chunk, and takes what it has read from what is left of the limit;
    /// `at_least` so many records whatever their bytes. `None`: not even one.
    #[inline]
    fn read_span(
        &self,
        shown: Shown,
        cursor: &mut Cursor,
        left: &mut ReadLimit,
        at_least: u64,
    ) -> Option<Span> {
        if cursor.place >= shown.next {
            return None;
        }
        let (chunk, from) = self.locate(shown, *cursor)?;
        let published = shown.published(&chunk);
        let rest = u64::from(published.frames - from.frames);
        let records = rest.min(shown.next - cursor.place).min(left.records);
        let bytes = published.bytes - from.bytes;
        let to = if records == rest && bytes <= left.bytes {
            published
        } else {
            let budget = ReadLimit {
                records,
                bytes: left.bytes,
            };
            extent_within(chunk.frames(from, published), from, at_least, budget)
        };
        if to == from {
            return None;
        }
        let records = u64::from(to.frames - from.frames);
        left.records -= records;
        left.bytes = left.bytes.saturating_sub(to.bytes - from.bytes);
        cursor.place += records;
        cursor.hint = Hint {
            serial: chunk.serial,
            at: to.pack(),
            address: chunk.address(to),
        };
        Some(Span {
            chunk,
            from: from.pack(),
            to: to.pack(),
        })
    }

    /// What `look` says of the record at a place; `None` if it is trimmed or not there yet.
    pub(crate) fn look_at<R>(
        &self,
        cursor: Cursor,
        look: impl FnOnce(Frame<'_>) -> R,
    ) -> Option<R> {
        let shown = self.shown();
        if cursor.place >= shown.next {
            return None;
        }
        let (chunk, from) = self.locate(shown, cursor)?;
        chunk.frames(from, shown.published(&chunk)).next().map(look)
    }

    /// Place of the first retained record that arrived at `arrival` or later; `next` if none has.
    pub(crate) fn place_at_time(&self, arrival: u64) -> u64 {
        let shown = self.shown();
        let next = shown.next;
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
                    .frames(Extent::START, shown.published(&chunk))
                    .find(|frame| frame.arrival() >= planted!(arrival, "late_time": arrival + 1))
                    .map(|frame| frame.place())
            })
            .unwrap_or(following);
        place.min(next).max(self.trim_horizon())
    }

    /// The chunk that holds the record at the cursor, and where it begins there.
    fn locate(&self, shown: Shown, cursor: Cursor) -> Option<(Arc<Chunk>, Extent)> {
        let chunk = {
            let directory = self.directory.lock();
            if let Some(index) = directory.index_of(cursor.hint.serial) {
                let chunk = &directory.chunks[index];
                let is_filled =
                    |sealed: Sealed| chunk.first + u64::from(sealed.extent.frames) <= cursor.place;
                if !chunk.sealed().is_some_and(is_filled) {
                    return Some((Arc::clone(chunk), Extent::unpack(cursor.hint.at)));
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
            .frames(Extent::START, shown.published(&chunk))
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

impl Shown {
    /// How much may be read of a chunk that has a record before `next`.
    #[inline]
    fn published(self, chunk: &Chunk) -> Extent {
        // If it is not the chunk that the extent is of, it is an earlier one, and was sealed before that
        // extent showed.
        chunk
            .sealed()
            .map_or_else(|| Extent::unpack(self.open_extent), |sealed| sealed.extent)
    }
}

impl Span {
    #[inline]
    pub(crate) const fn from(&self) -> Extent {
        Extent::unpack(self.from)
    }

    #[inline]
    pub(crate) const fn to(&self) -> Extent {
        Extent::unpack(self.to)
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        (self.to().frames - self.from().frames) as usize
    }

    /// Never inlined: what walks frames is short as it is.
    #[inline(never)]
    pub(crate) fn frames(&self) -> Frames<'_> {
        self.chunk.frames(self.from(), self.to())
    }

    /// Bytes of keys and data.
    #[inline]
    const fn user_bytes(&self) -> u64 {
        self.to().bytes - self.from().bytes
    }
}

impl Spans {
    pub(crate) const EMPTY: Self = Self {
        first: None,
        more: None,
    };

    #[inline]
    pub(crate) const fn first(&self) -> Option<&Span> {
        self.first.as_ref()
    }

    #[inline]
    pub(crate) fn more(&self) -> &[Span] {
        self.more.as_ref().map_or(&[], |more| more)
    }

    /// Whether the first record, if there is one, arrived before `cutoff`.
    #[inline]
    pub(crate) fn begins_before(&self, cutoff: u64) -> bool {
        // No record arrived before the first of its chunk.
        let first = self
            .first
            .as_ref()
            .filter(|span| span.chunk.first_arrival() < cutoff);
        let frame = first.and_then(|span| span.frames().next());
        frame.is_some_and(|frame| frame.arrival() < cutoff)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many records.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.iter().map(Span::len).sum()
    }

    /// Bytes of keys and data.
    #[inline]
    pub(crate) fn user_bytes(&self) -> u64 {
        self.iter().map(Span::user_bytes).sum()
    }

    #[inline]
    pub(crate) fn iter(
        &self,
    ) -> std::iter::Chain<std::option::Iter<'_, Span>, slice::Iter<'_, Span>> {
        self.first.iter().chain(self.more())
    }

    /// Arrival of the last record.
    pub(crate) fn last_arrival(&self) -> Option<u64> {
        let last = self.more().last().or(self.first.as_ref())?;
        last.frames().last().map(|frame| frame.arrival())
    }
}

/// How far the frames go within the limit; `at_least` so many frames whatever their bytes.
fn extent_within(frames: Frames<'_>, from: Extent, at_least: u64, limit: ReadLimit) -> Extent {
    let bytes_end = from.bytes.saturating_add(limit.bytes);
    let mut to = from;
    for (taken, frame) in (0..limit.records).zip(frames) {
        let end = frame.end();
        if end.bytes > bytes_end && taken >= at_least {
            break;
        }
        to = end;
    }
    to
}
