//! Reading a chunk: its frames, one by one, and the memory that they lie in.

use std::ops::Range;
use std::{ptr, slice};

use bytes::Bytes;

use crate::log::chunk::header::Header;
use crate::log::chunk::{Chunk, Extent, UNIT_BYTES, handle_in, prefetch};
use crate::record::{Origin, RecordView};
use crate::sync::Arc;

/// How far ahead of the frames that are read memory is fetched. Where one frame ends is known only once its
/// header is there: this takes two fifths off a long replay; half as far takes a tenth less off.
const READ_AHEAD_UNITS: usize = 512;

/// One record as it lies in its chunk.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    chunk: &'a Chunk,
    /// As those of [`Frames`].
    units: &'a [u64],
    start: Extent,
    header: Header,
}

impl<'a> Frame<'a> {
    /// Where the frame begins.
    #[inline]
    pub(crate) const fn start(&self) -> Extent {
        self.start
    }

    /// Where the next frame begins.
    #[inline]
    pub(crate) fn end(&self) -> Extent {
        self.start.past(self.header)
    }

    #[inline]
    pub(crate) const fn place(&self) -> u64 {
        self.chunk.first + self.start.frames as u64
    }

    /// Milliseconds since the epoch.
    #[inline]
    pub(crate) const fn arrival(&self) -> u64 {
        self.chunk.base_arrival + self.header.arrival_delta()
    }

    #[inline]
    pub(crate) const fn charge(&self) -> u64 {
        self.header.charge()
    }

    /// The handle of data that is kept out of line.
    #[inline]
    pub(crate) fn handle(&self) -> Option<&'a Bytes> {
        if !self.header.is_out_of_line() {
            return None;
        }
        let number = self.units[self.start.units as usize + 1];
        let slot = self.chunk.slot(usize::try_from(number).ok()?);
        let slot = handle_in(self.chunk.units.read(slot));
        // SAFETY: the frame is published and out of line, so it has the number of a slot in which
        // a handle was written before; that lives as long as the chunk is held, and is only read.
        Some(unsafe { &*slot })
    }

    /// Range of the data within the [`Memory`] of the chunk, for data that was copied in.
    #[inline]
    pub(crate) fn data_range(&self) -> Range<usize> {
        let from = (self.start.units as usize + 1) * UNIT_BYTES + self.header.key_bytes();
        from..from + self.header.data_bytes()
    }

    /// The record that the frame holds.
    #[inline]
    pub(crate) fn view(&self, origin: Origin) -> RecordView<'a> {
        let handle = self.handle();
        let (key, copied) = match handle {
            None => self.body(1).split_at(self.header.key_bytes()),
            Some(_) => (self.body(2), &[][..]),
        };
        RecordView {
            origin,
            place: self.place(),
            arrival_ms: self.arrival(),
            // SAFETY: as in `partition_key`.
            partition_key: unsafe { std::str::from_utf8_unchecked(key) },
            data: handle.map_or(copied, |handle| handle),
            handle,
        }
    }

    /// The partition key, of whatever record.
    #[inline]
    pub(crate) fn partition_key(&self) -> &'a str {
        let from = if self.header.is_out_of_line() { 2 } else { 1 };
        let key = &self.body(from)[..self.header.key_bytes()];
        // SAFETY: `OpenChunk::append` copied these bytes from a `str`.
        unsafe { std::str::from_utf8_unchecked(key) }
    }

    /// The frame's bytes from a unit on: the key, and data that was copied in.
    #[inline]
    fn body(&self, from: usize) -> &'a [u8] {
        let at = self.start.units as usize;
        let end = at + self.header.units() as usize;
        self.chunk.units.note_read(at + from..end);
        debug_assert!(end <= self.units.len());
        let len = self.header.body_bytes() - (from - 1) * UNIT_BYTES;
        // SAFETY: `units` end where a frame does, and this one begins before that (invariant 3): all of
        // it lies within them. A body is as long as its header says; all bytes of `u64` are initialized.
        unsafe { slice::from_raw_parts(self.units.as_ptr().add(at + from).cast(), len) }
    }
}

/// Walks the frames of one chunk.
#[derive(Clone)]
pub(crate) struct Frames<'a> {
    chunk: &'a Chunk,
    /// Those of the chunk up to the end of the last frame.
    units: &'a [u64],
    at: Extent,
    /// How far ahead of the frames that are read memory is fetched, in units.
    ahead: usize,
}

impl<'a> Frames<'a> {
    /// Those of a chunk from an extent on; `units` are its units up to the end of the last.
    #[inline]
    pub(super) fn new(chunk: &'a Chunk, units: &'a [u64], at: Extent) -> Self {
        // Of an open chunk that would be lines that are about to be written: taken away from the writer, who has to
        // fetch them back (a tenth of a put with a reader at the tip).
        let ahead = if chunk.seems_sealed() {
            READ_AHEAD_UNITS
        } else {
            0
        };
        Self {
            chunk,
            units,
            at,
            ahead,
        }
    }

    /// The record that the next frame holds.
    ///
    /// In two arms that look the same, in each of which it is known where the data lies: so that is looked
    /// at once for a record, not twice.
    #[inline]
    #[expect(clippy::if_same_then_else, reason = "each arm becomes shorter")]
    pub(crate) fn next_view(&mut self, origin: Origin) -> Option<RecordView<'a>> {
        let frame = self.peek()?;
        if frame.header.is_out_of_line() {
            self.at = frame.end();
            Some(frame.view(origin))
        } else {
            self.at = frame.end();
            Some(frame.view(origin))
        }
    }

    #[inline]
    fn peek(&self) -> Option<Frame<'a>> {
        let at = self.at.units as usize;
        let header = self.units.get(at)?;
        self.chunk.units.note_read(at..at + 1);
        prefetch(ptr::from_ref(header).wrapping_add(self.ahead));
        Some(Frame {
            chunk: self.chunk,
            units: self.units,
            start: self.at,
            header: Header(*header),
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = self.peek()?;
        self.at = frame.end();
        Some(frame)
    }
}

/// The memory of a chunk's frames up to an extent, as an owner for [`Bytes`].
pub(crate) struct Memory {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) end: Extent,
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self.chunk.units.note_read(0..self.end.units as usize);
        let units = self.chunk.units_before(self.end);
        // SAFETY: the same memory; all bytes of `u64` are initialized.
        unsafe { slice::from_raw_parts(units.as_ptr().cast(), size_of_val(units)) }
    }
}
