//! A chunk: one piece of memory that is filled with frames from front to back, once.
//!
//! ```text
//!  unit (8 bytes)  0        1      2                    published          capacity
//!                  v        v      v                       v                   v
//!                 | header | key  data   | header | handle |                   |
//!                 |<-- a small record -->|<- a large one ->|<-- the writer's ->|
//!
//!  header   63..36 arrival, ms after the chunk's base | 35 out of line | 34..24 key bytes | 23..0 data bytes
//! ```
//!
//! A small record's data follows its key; of a large one the chunk holds the caller's [`Bytes`].
//! The extent that is published (frames, units and the bytes that users put) is one word, so that
//! a reader sees all three of one moment with one load.
//!
//! # Invariants
//!
//! 1. Only the one [`OpenChunk`] of a chunk writes to it, and only behind what is published.
//! 2. What lies before the published extent never changes while anyone holds the chunk: it is used
//!    again only through `Arc::get_mut`, that is, when nobody else holds it.
//! 3. Every [`Extent`] is the start of a frame or the end of the last one: it begins at zero and
//!    moves on frame by frame, or comes from the published word. An extent is used only with the
//!    chunk that it came from: [`Cursor`](super::Cursor) keeps the chunk's serial number, which no
//!    other chunk of the log ever has.
//! 4. Each out-of-line handle is dropped exactly once: `dropped` moves past a frame before the
//!    frame's handle is dropped, so that a panic in user code drops nothing twice.
//!
//! What would break them, and the test that notices, is listed in `tests/README.md`.
#![expect(
    unsafe_code,
    reason = "copying into shared memory without a lock is what makes it fast"
)]

use std::cell::UnsafeCell;
use std::ptr;

use bytes::Bytes;

use crate::call_out::CallOuts;
use crate::record::{Origin, RecordView};
use crate::sync::{Arc, AtomicU64, Ordering, OwnLine};

/// Data of up to so many bytes is copied into the chunk; of larger data the handle is kept.
///
/// Copying 512 bytes costs about as much as counting references twice, and leaves nothing to drop.
pub(crate) const INLINE_BYTES_MAX: usize = 512;

const UNIT_BYTES: usize = 8;
const HANDLE_UNITS: u32 = 4;
const _: () = assert!(size_of::<Bytes>() == 4 * UNIT_BYTES && align_of::<Bytes>() <= UNIT_BYTES);

/// The largest chunk, so that every field of the published word has room.
pub(crate) const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// A chunk has room for the largest frame: 8 bytes of header, a key of 1,024, data copied in.
pub(crate) const CHUNK_BYTES_MIN: usize = 2 * 1024;

/// How far into a chunk: frames, units of memory, and bytes of keys and data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) frames: u32,
    units: u32,
    pub(crate) bytes: u64,
}

impl Extent {
    const FRAME_BITS: u32 = 13;
    const UNIT_BITS: u32 = 14;
    pub(crate) const START: Self = Self {
        frames: 0,
        units: 0,
        bytes: 0,
    };

    const fn pack(self) -> u64 {
        self.bytes << (Self::FRAME_BITS + Self::UNIT_BITS)
            | (self.units as u64) << Self::FRAME_BITS
            | self.frames as u64
    }

    const fn unpack(word: u64) -> Self {
        Self {
            frames: (word & ((1 << Self::FRAME_BITS) - 1)) as u32,
            units: (word >> Self::FRAME_BITS & ((1 << Self::UNIT_BITS) - 1)) as u32,
            bytes: word >> (Self::FRAME_BITS + Self::UNIT_BITS),
        }
    }

    #[inline]
    fn past(self, header: Header) -> Self {
        Self {
            frames: self.frames + 1,
            units: self.units + header.units(),
            bytes: self.bytes + header.user_bytes(),
        }
    }
}

/// The first word of a frame.
#[derive(Clone, Copy, Debug)]
struct Header(u64);

impl Header {
    const ARRIVAL_SHIFT: u32 = 36;
    const OUT_OF_LINE: u64 = 1 << 35;
    const KEY_SHIFT: u32 = 24;
    const KEY_MASK: u64 = (1 << 11) - 1;
    const DATA_MASK: u64 = (1 << 24) - 1;
    const ARRIVAL_DELTA_MAX: u64 = (1 << 28) - 1;

    #[inline]
    fn new(arrival_delta: u64, key_bytes: usize, data_bytes: usize) -> Self {
        let out_of_line = if data_bytes > INLINE_BYTES_MAX {
            Self::OUT_OF_LINE
        } else {
            0
        };
        Self(
            arrival_delta << Self::ARRIVAL_SHIFT
                | out_of_line
                | (key_bytes as u64) << Self::KEY_SHIFT
                | data_bytes as u64,
        )
    }

    #[inline]
    const fn is_out_of_line(self) -> bool {
        self.0 & Self::OUT_OF_LINE != 0
    }

    #[inline]
    const fn key_bytes(self) -> usize {
        (self.0 >> Self::KEY_SHIFT & Self::KEY_MASK) as usize
    }

    #[inline]
    const fn data_bytes(self) -> usize {
        (self.0 & Self::DATA_MASK) as usize
    }

    #[inline]
    const fn arrival_delta(self) -> u64 {
        self.0 >> Self::ARRIVAL_SHIFT
    }

    /// Bytes that the user put: key and data.
    #[inline]
    const fn user_bytes(self) -> u64 {
        (self.key_bytes() + self.data_bytes()) as u64
    }

    /// Length of the whole frame.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame fits a chunk of 64 KiB"
    )]
    const fn units(self) -> u32 {
        let copied = if self.is_out_of_line() {
            0
        } else {
            self.data_bytes()
        };
        let handle = if self.is_out_of_line() {
            HANDLE_UNITS
        } else {
            0
        };
        1 + handle + ((self.key_bytes() + copied).div_ceil(UNIT_BYTES)) as u32
    }

    /// Memory that the record takes: its frame, and its data where that is kept out of line.
    #[inline]
    const fn charge(self) -> u64 {
        let outside = if self.is_out_of_line() {
            self.data_bytes()
        } else {
            0
        };
        self.units() as u64 * UNIT_BYTES as u64 + outside as u64
    }
}

/// Memory that a record takes: what capacity in bytes counts.
#[inline]
pub(crate) fn charge(key_bytes: usize, data_bytes: usize) -> u64 {
    Header::new(0, key_bytes, data_bytes).charge()
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Counts the chunks of a log; no two have the same.
    pub(crate) serial: u64,
    /// Place of the first record.
    pub(crate) first: u64,
    /// Arrival time that the frames count from, milliseconds since the epoch.
    base_arrival: u64,
    units: Box<[UnsafeCell<u64>]>,
    /// What a chunk that is no longer open holds; its charge is 0 until then.
    sealed_last_arrival: AtomicU64,
    sealed_charge: AtomicU64,
    /// Packed [`Extent`] up to which readers may read.
    published: OwnLine<AtomicU64>,
    /// Extent before which the handles are dropped; only with `&mut`.
    dropped: Extent,
    /// Whether any frame holds a handle.
    has_handles: AtomicU64,
}

// SAFETY: units before the published extent are only read, those behind it are touched only by
// the one `OpenChunk` (invariants 1 and 2); the handles in them are `Bytes`, which is Send + Sync.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// A chunk with room for `bytes` of frames.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let units = (0..bytes / UNIT_BYTES)
            .map(|_| UnsafeCell::new(0))
            .collect();
        Self {
            serial: 0,
            first: 0,
            base_arrival: 0,
            units,
            sealed_last_arrival: AtomicU64::new(0),
            sealed_charge: AtomicU64::new(0),
            published: OwnLine(AtomicU64::new(0)),
            dropped: Extent::START,
            has_handles: AtomicU64::new(0),
        }
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.units.len() * UNIT_BYTES
    }

    /// What readers may read, all of it written before.
    #[inline]
    pub(crate) fn published(&self) -> Extent {
        // Acquire: pairs with the release in `OpenChunk::publish`.
        Extent::unpack(self.published.load(Ordering::Acquire))
    }

    /// Place of the record after the last published one.
    pub(crate) fn next(&self) -> u64 {
        self.first + u64::from(self.published().frames)
    }

    /// Arrival of the first record.
    pub(crate) const fn first_arrival(&self) -> u64 {
        self.base_arrival
    }

    /// What the chunk holds, if it is no longer open.
    pub(crate) fn sealed(&self) -> Option<Sealed> {
        let charge = self.sealed_charge.load(Ordering::Relaxed);
        let last_arrival = self.sealed_last_arrival.load(Ordering::Relaxed);
        (charge > 0).then_some(Sealed {
            last_arrival,
            charge,
        })
    }

    pub(crate) fn has_handles(&self) -> bool {
        self.has_handles.load(Ordering::Relaxed) != 0
    }

    /// The frames from one extent to another.
    #[inline]
    pub(crate) fn frames(&self, from: Extent, to: Extent) -> Frames<'_> {
        debug_assert!(to.units <= self.published().units);
        Frames {
            chunk: self,
            at: from,
            end_units: to.units,
        }
    }

    /// Drops the handles of all frames, each even if another's drop panics. User code may run: call
    /// it with no lock held.
    pub(crate) fn drop_handles(&mut self) {
        if *self.has_handles.get_mut() == 0 {
            return;
        }
        let published = self.published();
        let mut calls = CallOuts::default();
        while self.dropped.units < published.units {
            let at = self.dropped;
            let header = self.header(at.units);
            self.dropped = at.past(header);
            if header.is_out_of_line() {
                let handle = self.units[at.units as usize + 1].get().cast::<Bytes>();
                // SAFETY: the frame is published, so the handle was written; `&mut self` and the
                // step of `dropped` above make this the only time that it is dropped, and
                // nobody reads it afterwards: nobody else holds the chunk.
                calls.run(|| unsafe { ptr::drop_in_place(handle) });
            }
        }
        calls.finish();
    }

    #[inline]
    fn header(&self, unit: u32) -> Header {
        // SAFETY: callers pass the start of a published frame, which is only read from now on;
        // the index is checked.
        Header(unsafe { *self.units[unit as usize].get() })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.drop_handles();
    }
}

/// The one writer of a chunk.
#[derive(Debug)]
pub(crate) struct OpenChunk {
    chunk: Arc<Chunk>,
    /// Where the next frame goes; at or behind what is published.
    end: Extent,
    last_arrival: u64,
    charge: u64,
    out_of_line_bytes: u64,
}

impl OpenChunk {
    /// Opens a chunk that nobody else holds for the records from place `first` on; gives it back
    /// if somebody does.
    pub(crate) fn open(
        mut chunk: Arc<Chunk>,
        serial: u64,
        first: u64,
        base_arrival: u64,
    ) -> Result<Self, Arc<Chunk>> {
        let Some(fresh) = Arc::get_mut(&mut chunk) else {
            return Err(chunk);
        };
        assert!(*fresh.has_handles.get_mut() == 0 || fresh.dropped == fresh.published());
        (fresh.serial, fresh.first, fresh.base_arrival) = (serial, first, base_arrival);
        fresh.dropped = Extent::START;
        *fresh.has_handles.get_mut() = 0;
        *fresh.published.0.get_mut() = 0;
        *fresh.sealed_charge.get_mut() = 0;
        let end = Extent::START;
        Ok(Self {
            chunk,
            end,
            last_arrival: base_arrival,
            charge: 0,
            out_of_line_bytes: 0,
        })
    }

    pub(crate) fn chunk(&self) -> &Arc<Chunk> {
        &self.chunk
    }

    /// Data of its records that is kept out of line.
    pub(crate) const fn out_of_line_bytes(&self) -> u64 {
        self.out_of_line_bytes
    }

    pub(crate) const fn end(&self) -> Extent {
        self.end
    }

    /// Writes one frame behind the last, not published yet; takes large data out of `data`.
    /// `None`: it does not fit, the chunk is full.
    ///
    /// The caller has checked the bounds: a key of 1 to 1,024 bytes, data below 16 MiB, `arrival`
    /// not before that of the last record.
    #[inline]
    pub(crate) fn append(&mut self, arrival: u64, key: &str, data: &mut Bytes) -> Option<u64> {
        assert!(key.len() <= 1024 && data.len() as u64 <= Header::DATA_MASK);
        let delta = arrival - self.chunk.base_arrival;
        let header = Header::new(delta, key.len(), data.len());
        let end = self.end.past(header);
        if end.units as usize > self.chunk.units.len() || delta > Header::ARRIVAL_DELTA_MAX {
            return None;
        }
        let unit = self.end.units as usize;
        let frame = self.chunk.units[unit..end.units as usize].as_ptr();
        // SAFETY: `UnsafeCell<u64>` is laid out as `u64`, and may be written through a shared
        // reference. The slice above proves that the whole frame lies within the chunk, and
        // `Header::units` counted the header, the key, and the data or its handle. The frame lies
        // behind what is published, so no reader looks at it, and no other writer exists
        // (invariant 1; `&mut self`). A handle is written to a place aligned to 8 bytes, which
        // holds no live value: what lay there was dropped before the chunk was opened again.
        unsafe {
            let frame = UnsafeCell::raw_get(frame);
            frame.write(header.0);
            let mut body = frame.add(1).cast::<u8>();
            if header.is_out_of_line() {
                body.cast::<Bytes>().write(std::mem::take(data));
                body = body.add(size_of::<Bytes>());
            } else {
                let copy = body.add(key.len());
                ptr::copy_nonoverlapping(data.as_ptr(), copy, data.len());
            }
            ptr::copy_nonoverlapping(key.as_ptr(), body, key.len());
        }
        if header.is_out_of_line() {
            self.chunk.has_handles.store(1, Ordering::Relaxed);
            self.out_of_line_bytes += header.data_bytes() as u64;
        }
        self.end = end;
        self.last_arrival = arrival;
        let charge = header.charge();
        self.charge += charge;
        Some(charge)
    }

    /// Shows readers all frames that were written.
    #[inline]
    pub(crate) fn publish(&self) {
        // Release: the frames are written before. Pairs with the load in `Chunk::published`.
        self.chunk
            .published
            .store(self.end.pack(), Ordering::Release);
    }

    /// Writes down what the chunk holds: it will not get more. Only the writer's side asks for it.
    pub(crate) fn seal(&self) {
        self.chunk
            .sealed_last_arrival
            .store(self.last_arrival, Ordering::Relaxed);
        self.chunk
            .sealed_charge
            .store(self.charge, Ordering::Relaxed);
    }
}

/// What a chunk that is no longer open holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    /// Arrival of its last record.
    pub(crate) last_arrival: u64,
    /// Charge of all its records.
    pub(crate) charge: u64,
}

/// One record as it lies in its chunk.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    chunk: &'a Chunk,
    at: Extent,
    header: Header,
}

impl<'a> Frame<'a> {
    /// Where the frame begins.
    pub(crate) const fn start(&self) -> Extent {
        self.at
    }

    /// Where the next frame begins.
    pub(crate) fn end(&self) -> Extent {
        self.at.past(self.header)
    }

    #[inline]
    pub(crate) const fn place(&self) -> u64 {
        self.chunk.first + self.at.frames as u64
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

    #[inline]
    pub(crate) fn partition_key(&self) -> &'a str {
        let from = self.key_start();
        let key = &self.bytes()[from..from + self.header.key_bytes()];
        // SAFETY: `OpenChunk::append` copied these bytes from a `str`.
        unsafe { std::str::from_utf8_unchecked(key) }
    }

    #[inline]
    pub(crate) fn data(&self) -> &'a [u8] {
        if let Some(handle) = self.handle() {
            return handle;
        }
        let from = self.key_start() + self.header.key_bytes();
        &self.bytes()[from..from + self.header.data_bytes()]
    }

    /// The handle of data that is kept out of line.
    #[inline]
    pub(crate) fn handle(&self) -> Option<&'a Bytes> {
        if !self.header.is_out_of_line() {
            return None;
        }
        let handle = self.chunk.units[self.at.units as usize + 1]
            .get()
            .cast::<Bytes>();
        // SAFETY: the frame is published and out of line, so a handle was written here; it lives
        // as long as the chunk is held, and is only read.
        Some(unsafe { &*handle })
    }

    /// Range of the data within [`memory`] of the chunk, for data that was copied in.
    #[inline]
    pub(crate) fn data_range(&self) -> std::ops::Range<usize> {
        let from = self.at.units as usize * UNIT_BYTES + self.key_start() + self.header.key_bytes();
        from..from + self.header.data_bytes()
    }

    #[inline]
    const fn key_start(&self) -> usize {
        UNIT_BYTES
            + if self.header.is_out_of_line() {
                size_of::<Bytes>()
            } else {
                0
            }
    }

    /// The record that the frame holds.
    #[inline]
    pub(crate) fn view(&self, origin: Origin) -> RecordView<'a> {
        RecordView {
            origin,
            place: self.place(),
            arrival_ms: self.arrival(),
            partition_key: self.partition_key(),
            data: self.data(),
            handle: self.handle(),
        }
    }

    /// The whole frame.
    #[inline]
    fn bytes(&self) -> &'a [u8] {
        let from = self.at.units as usize;
        let units = &self.chunk.units[from..from + self.header.units() as usize];
        // SAFETY: the frame is published, so its units are only read as long as the chunk is
        // held; `UnsafeCell<u64>` is laid out as `u64`, all of whose bytes are initialized.
        unsafe { std::slice::from_raw_parts(units.as_ptr().cast(), size_of_val(units)) }
    }
}

/// Walks the frames of one chunk.
#[derive(Clone)]
pub(crate) struct Frames<'a> {
    chunk: &'a Chunk,
    at: Extent,
    end_units: u32,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        if self.at.units >= self.end_units {
            return None;
        }
        let header = self.chunk.header(self.at.units);
        let frame = Frame {
            chunk: self.chunk,
            at: self.at,
            header,
        };
        self.at = frame.end();
        Some(frame)
    }
}

/// The memory of a chunk up to an extent, as an owner for [`Bytes`].
pub(crate) struct Memory {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) end: Extent,
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        let units = &self.chunk.units[..self.end.units as usize];
        // SAFETY: units before a published extent are only read as long as the chunk is held,
        // and `self` holds it; see `Frame::bytes`.
        unsafe { std::slice::from_raw_parts(units.as_ptr().cast(), size_of_val(units)) }
    }
}
