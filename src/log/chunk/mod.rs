//! A chunk: one piece of memory that is filled with frames from front to back, once.
//!
//! ```text
//!  unit (8 bytes)  0                        published                            capacity
//!                  v                            v                                    v
//!                 | header | key data | header | slot | key | free | handle 1 | handle 0 |
//!                 |<- a small record ->|<- a large record ->|      |<- slots, from behind |
//!
//!  header   63..36 arrival, ms after the chunk's base | 35 out of line | 34..24 key bytes | 23..0 data bytes
//! ```
//!
//! A small record's data follows its key; of a large one the frame holds the number of the slot in
//! which the caller's [`Bytes`] lie. Slots grow from the end of the chunk towards the frames, so that
//! the frames alone are plain bytes, which owned records may share. An extent (frames, units and the
//! bytes that users put) is one word, so that a reader sees all three of one moment with one load.
//! The [log](super::Log) shows how much of the open chunk is published; a chunk that is full is sealed
//! with its own.
//!
//! # Invariants
//!
//! 1. Only the one [`OpenChunk`] of a chunk writes to it, only behind the published frames and before
//!    the slots that they name.
//! 2. What lies before the published extent, and the slots that it names, never change while anyone
//!    holds the chunk: it is used again only through `Arc::get_mut`, that is, when nobody else holds it.
//! 3. Every [`Extent`] is the start of a frame or the end of the last one: it begins at zero and
//!    moves on frame by frame, or was shown by the writer. An extent is used only with the
//!    chunk that it came from: [`Cursor`](super::Cursor) keeps the chunk's serial number, which no
//!    other chunk of the log ever has.
//! 4. Each handle is dropped exactly once: `dropped` counts a slot before its handle is dropped, so
//!    that a panic in user code drops nothing twice.
//!
//! What would break them, and the test that notices, is listed in `tests/README.md`.
#![expect(
    unsafe_code,
    reason = "copying into shared memory without a lock is what makes it fast"
)]

use std::cell::UnsafeCell;
use std::ops::Range;
use std::{ptr, slice};

use bytes::Bytes;

use crate::call_out::CallOuts;
use crate::data::{COPIED_BODY_BYTES_MAX, Handle, INLINE_BYTES_MAX, Payload};
use crate::sync::{Arc, AtomicU64, AtomicUsize, Cells, MODELLED, Ordering, OwnLine, Unit};

mod extent;
mod frames;
mod header;
mod owned_key;

use header::Header;

pub(crate) use extent::Extent;
pub(crate) use frames::{Frame, Frames, Memory};
pub(crate) use header::{OVERHEAD_BYTES_MAX, charge, charge_of, data_bytes_max};
pub(crate) use owned_key::OwnedKey;

const UNIT_BYTES: usize = 8;
const SLOT_UNITS: usize = 4;
const _: () =
    assert!(size_of::<Bytes>() == SLOT_UNITS * UNIT_BYTES && align_of::<Bytes>() <= UNIT_BYTES);

/// The longest key: so many characters as it may have, of four bytes each.
const KEY_BYTES_MAX: usize = 1024;

/// How far ahead of the frames that are written memory is fetched. The processor's own prefetch begins anew
/// with each page: this takes a sixth off a batch of puts, of 1 KiB each a quarter if no cache has the memory.
const AHEAD_UNITS: u32 = 256;
/// Units of a cache line.
const LINE_UNITS: usize = 64 / UNIT_BYTES;

/// The largest chunk, so that every field of a packed extent has room. In a model a chunk is full
/// after a record or two, or the model would never come to the second; its keys have few bytes.
pub(crate) const CHUNK_BYTES_MAX: usize = if MODELLED { 64 } else { 64 * 1024 };
/// A chunk has room for the largest frame: 8 bytes of header, and a key with the data that is copied in.
pub(crate) const CHUNK_BYTES_MIN: usize = if MODELLED { 64 } else { 2 * 1024 };
const _: () = assert!(
    MODELLED
        || (UNIT_BYTES + COPIED_BODY_BYTES_MAX <= CHUNK_BYTES_MIN
            && KEY_BYTES_MAX + INLINE_BYTES_MAX <= COPIED_BODY_BYTES_MAX)
);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Counts the chunks of a log; no two have the same.
    pub(crate) serial: u64,
    /// Place of the first record.
    pub(crate) first: u64,
    /// Arrival time that the frames count from, milliseconds since the epoch.
    base_arrival: u64,
    units: Cells,
    /// Slots whose handles are dropped; only with `&mut`.
    dropped: usize,
    /// What a chunk that is no longer open holds; the packed extent is 0 until then.
    sealed_extent: AtomicU64,
    sealed_last_arrival: AtomicU64,
    sealed_charge: AtomicU64,
    /// Slots that hold handles: written with each of them, and so on a line of its own.
    slots: OwnLine<AtomicUsize>,
}

// SAFETY: units before the published extent and the slots that it names are only read, all others
// are touched only by the one `OpenChunk` (invariants 1 and 2); the handles in the slots are
// `Bytes`, which is Send + Sync.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// A chunk with room for `bytes` of frames and slots.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let zeroed = vec![0_u64; bytes / UNIT_BYTES].into_boxed_slice();
        // SAFETY: `UnsafeCell<u64>` is laid out as `u64`, so this is the same allocation, of the same
        // size and alignment; the box is the only owner. Asking for zeros lets the allocator hand
        // out fresh pages as they are.
        let units = unsafe { Box::from_raw(Box::into_raw(zeroed) as *mut [Unit]) };
        Self {
            serial: 0,
            first: 0,
            base_arrival: 0,
            units: Cells::new(units),
            dropped: 0,
            sealed_extent: AtomicU64::new(0),
            sealed_last_arrival: AtomicU64::new(0),
            sealed_charge: AtomicU64::new(0),
            slots: OwnLine::default(),
        }
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.units.len() * UNIT_BYTES
    }

    /// Arrival of the first record.
    #[inline]
    pub(crate) const fn first_arrival(&self) -> u64 {
        self.base_arrival
    }

    /// What the chunk holds, if it is no longer open.
    #[inline]
    pub(crate) fn sealed(&self) -> Option<Sealed> {
        // Acquire: pairs with the release in `OpenChunk::seal`.
        let extent = self.sealed_extent.load(Ordering::Acquire);
        (extent != 0).then(|| Sealed {
            extent: Extent::unpack(extent),
            last_arrival: self.sealed_last_arrival.load(Ordering::Relaxed),
            charge: self.sealed_charge.load(Ordering::Relaxed),
        })
    }

    /// Whether it is no longer open, as far as is known: a hint. A model is spared the look.
    #[inline]
    fn seems_sealed(&self) -> bool {
        !MODELLED && self.sealed_extent.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn has_handles(&self) -> bool {
        self.slots.load(Ordering::Relaxed) != 0
    }

    /// The frames from one extent to another.
    #[inline]
    pub(crate) fn frames(&self, from: Extent, to: Extent) -> Frames<'_> {
        Frames::new(self, self.units_before(to), from)
    }

    /// The units before an extent.
    #[inline]
    fn units_before(&self, end: Extent) -> &[u64] {
        let units = end.units as usize;
        assert!(units <= self.units.len());
        // SAFETY: what lies before an extent is only read as long as the chunk is held (invariants 2
        // and 3), or as long as its one writer looks at it; `UnsafeCell<u64>` is laid out as `u64`.
        // Handles, which change inside when they are cloned, lie elsewhere.
        unsafe { slice::from_raw_parts(self.units.as_ptr().cast(), units) }
    }

    /// Drops the handles of all frames, each even if another's drop panics. User code may run: call
    /// it with no lock held.
    pub(crate) fn drop_handles(&mut self) {
        let slots = self.slots.load(Ordering::Relaxed);
        let mut calls = CallOuts::default();
        while self.dropped < slots {
            let slot = handle_in(self.units.write(self.slot(self.dropped)));
            self.dropped += 1;
            // SAFETY: the slot was counted after its handle was written; `&mut self` and the step
            // of `dropped` make this the only time that it is dropped, and nobody reads it
            // afterwards: nobody else holds the chunk.
            calls.run(|| unsafe { ptr::drop_in_place(slot) });
        }
        calls.finish();
    }

    /// Where in memory a place of it lies, for [`prefetch_record`].
    #[inline]
    pub(super) fn address(&self, at: Extent) -> usize {
        let at = self.units.as_ptr().wrapping_add(at.units as usize);
        at.addr()
    }

    /// Has a unit fetched that will be written soon, if there is such a unit.
    #[inline]
    fn prefetch(&self, unit: u32) {
        prefetch(self.units.as_ptr().wrapping_add(unit as usize).cast());
    }

    /// The units in which the handle with a number lies.
    #[inline]
    const fn slot(&self, number: usize) -> Range<usize> {
        let from = self.units.len() - (number + 1) * SLOT_UNITS;
        from..from + SLOT_UNITS
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
    /// What its records are charged beside their frames: slots, and data out of line.
    beside_frames: u64,
    /// Unit from which on slots hold handles.
    slots_from: usize,
    /// Data that it may still take out of line, in bytes; the last record may go beyond.
    out_of_line_left: u64,
}

impl OpenChunk {
    /// Opens a chunk that nobody else holds for the records from place `first` on; gives it back
    /// if somebody does.
    pub(crate) fn open(
        mut chunk: Arc<Chunk>,
        serial: u64,
        first: u64,
        base_arrival: u64,
        out_of_line_budget: u64,
    ) -> Result<Self, Arc<Chunk>> {
        let Some(fresh) = Arc::get_mut(&mut chunk) else {
            return Err(chunk);
        };
        // In any build: a handle that is written over would leak, or worse.
        assert!(fresh.dropped == fresh.slots.load(Ordering::Relaxed));
        (fresh.serial, fresh.first, fresh.base_arrival) = (serial, first, base_arrival);
        fresh.dropped = 0;
        fresh.slots = OwnLine::default();
        planted!(fresh.sealed_extent = AtomicU64::new(0), "sealed_for_ever": ());
        Ok(Self {
            slots_from: chunk.units.len(),
            chunk,
            end: Extent::START,
            beside_frames: 0,
            out_of_line_left: out_of_line_budget,
        })
    }

    pub(crate) const fn chunk(&self) -> &Arc<Chunk> {
        &self.chunk
    }

    pub(crate) const fn end(&self) -> Extent {
        self.end
    }

    /// Slots that hold handles.
    fn slots(&self) -> usize {
        (self.chunk.units.len() - self.slots_from) / SLOT_UNITS
    }

    /// Charge of all its records.
    #[inline]
    pub(crate) const fn charge(&self) -> u64 {
        self.end.units as u64 * UNIT_BYTES as u64 + self.beside_frames
    }

    /// Whether it keeps as much data out of line as it may.
    pub(crate) const fn is_spent(&self) -> bool {
        self.out_of_line_left == 0
    }

    /// Memory that neither a frame nor a slot takes, in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        (self.slots_from - self.end.units as usize) * UNIT_BYTES
    }

    /// Whether a record would have to go to another chunk.
    pub(crate) fn is_full_for(&self, key_bytes: usize, payload: &Payload<'_, '_>) -> bool {
        let header = Header::new(0, key_bytes, payload);
        let inside = header.charge() - header.outside_bytes();
        inside > self.free_bytes() as u64 || (header.is_out_of_line() && self.out_of_line_left == 0)
    }

    /// Writes one frame behind the last, not published yet; takes a handle out of large data. Says
    /// whether it did: if it does not fit, the chunk is full.
    ///
    /// The caller has checked the bounds: a key of 1 to 1,024 bytes, data below 16 MiB, `arrival`
    /// not before that of the last record.
    #[inline]
    pub(crate) fn append(
        &mut self,
        arrival: u64,
        key: &str,
        payload: &mut Payload<'_, '_>,
    ) -> bool {
        match payload {
            Payload::Copy(data) => self.append_copy(arrival, key, data),
            Payload::Handle(data_bytes, data) => {
                self.append_handle(arrival, key, *data_bytes, data)
            }
        }
    }

    /// Writes the frame of a record whose data is copied, as [`append`](Self::append) does.
    #[inline]
    pub(crate) fn append_copy(&mut self, arrival: u64, key: &str, data: &[u8]) -> bool {
        let Some((delta, free)) = self.free(arrival) else {
            return false;
        };
        let Some(left) = write_copy(free, delta, key, data) else {
            return false;
        };
        let (units, bytes) = (free.len() - left.len(), key.len() + data.len());
        self.end = self.end.plus(1, units, bytes as u64);
        true
    }

    /// Writes the frames of records whose data is copied, as [`append`](Self::append) does, up to one
    /// that does not fit, or that is none. Says how many.
    ///
    /// Never inlined: so the loop has all registers to itself. How far it has come is not kept in `self`
    /// meanwhile: as far as the compiler knows, a frame might lie there, and each record would have to
    /// load it anew.
    #[inline(never)]
    pub(crate) fn append_copies<'r>(
        &mut self,
        arrival: u64,
        records: impl Iterator<Item = Option<(&'r str, &'r [u8])>>,
    ) -> usize {
        let Some((delta, free)) = self.free(arrival) else {
            return 0;
        };
        let (mut left, mut done, mut bytes) = (free, 0, 0);
        for record in records {
            let Some((key, data)) = record else {
                break;
            };
            let Some(rest) = write_copy(left, delta, key, data) else {
                break;
            };
            left = rest;
            done += 1;
            bytes += (key.len() + data.len()) as u64;
        }
        self.end = self.end.plus(done, free.len() - left.len(), bytes);
        done
    }

    /// What to write as the arrival of a frame, and the units behind the last one. `None`: the chunk is
    /// too old.
    #[inline]
    fn free(&self, arrival: u64) -> Option<(u64, &[Unit])> {
        let delta = arrival - self.chunk.base_arrival;
        let units = self.end.units as usize..self.slots_from;
        (delta <= Header::ARRIVAL_DELTA_MAX).then(|| (delta, self.chunk.units.write(units)))
    }

    /// Writes the frame of a record whose data stays where it is, as [`append`](Self::append) does.
    #[inline]
    fn append_handle(
        &mut self,
        arrival: u64,
        key: &str,
        data_bytes: usize,
        data: &mut Handle<'_, '_>,
    ) -> bool {
        assert!(key.len() <= KEY_BYTES_MAX && data_bytes as u64 <= Header::DATA_MASK);
        let delta = arrival - self.chunk.base_arrival;
        let header = Header::of(delta, key.len(), data_bytes, true);
        let end = self.end.past(header);
        if delta > Header::ARRIVAL_DELTA_MAX
            || self.is_spent()
            || end.units as usize + SLOT_UNITS > self.slots_from
        {
            return false;
        }
        let number = self.slots();
        let slot = self.slots_from - SLOT_UNITS..self.slots_from;
        self.chunk.prefetch(end.units + AHEAD_UNITS);
        self.slots_from = slot.start;
        let slot = handle_in(self.chunk.units.write(slot));
        // SAFETY: the units of the slot lie behind all frames and before the other slots, as
        // was checked above, so nobody else touches them (invariant 1; `&mut self`). They
        // hold no live value: what lay there was dropped before the chunk was opened again.
        unsafe { slot.write(data.take()) };
        let frame = self.end.units as usize..end.units as usize;
        let frame = self.chunk.units.write(frame);
        let frame = UnsafeCell::raw_get(frame.as_ptr());
        // SAFETY: as for copied data; `Header::units` counted the slot's number and the key.
        unsafe {
            frame.write(header.0);
            frame.add(1).write(number as u64);
            copy(key.as_bytes(), frame.add(2).cast::<u8>());
        }
        self.chunk.slots.store(number + 1, Ordering::Relaxed);
        self.out_of_line_left = self.out_of_line_left.saturating_sub(data_bytes as u64);
        self.beside_frames += header.charge() - u64::from(header.units()) * UNIT_BYTES as u64;
        self.end = end;
        true
    }

    /// Writes down what the chunk holds: it will not get more. What is left free counts, too, and is
    /// returned.
    pub(crate) fn seal(&self, last_arrival: u64) -> u64 {
        assert!(self.end.frames > 0, "a chunk is opened for a record");
        let free = self.free_bytes() as u64;
        self.chunk
            .sealed_last_arrival
            .store(last_arrival, Ordering::Relaxed);
        self.chunk
            .sealed_charge
            .store(self.charge() + free, Ordering::Relaxed);
        // Release: the frames and what is said of them are written before. Pairs with
        // `Chunk::sealed`.
        self.chunk
            .sealed_extent
            .store(self.end.pack(), Ordering::Release);
        free
    }
}

/// What a chunk that is no longer open holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) extent: Extent,
    /// Arrival of its last record.
    pub(crate) last_arrival: u64,
    /// Charge of all its records, and what it leaves free.
    pub(crate) charge: u64,
}

/// Has the two cache lines fetched that a small record at an address lies on.
#[inline]
pub(super) fn prefetch_record(address: usize) {
    let record = ptr::without_provenance::<u64>(address);
    prefetch(record);
    prefetch(record.wrapping_add(LINE_UNITS));
}

/// Writes the frame of a record whose data is copied to the first of these units, which nobody has been
/// shown yet; returns the others. `None`: there are too few.
#[inline]
fn write_copy<'c>(free: &'c [Unit], delta: u64, key: &str, data: &[u8]) -> Option<&'c [Unit]> {
    // Its length fits the header; so does that of data which fits a chunk.
    assert!(key.len() <= KEY_BYTES_MAX);
    // The header's, and those that the body begins.
    let units = (key.len() + data.len() + 2 * UNIT_BYTES - 1) / UNIT_BYTES;
    let (frame, left) = free.split_at_checked(units)?;
    let ahead = left.as_ptr().wrapping_add(AHEAD_UNITS as usize);
    prefetch(ahead.cast());
    // As many lines as the frame has; the second comes with the first.
    let mut line = 2 * LINE_UNITS;
    while line < units {
        prefetch(ahead.wrapping_add(line).cast());
        line += LINE_UNITS;
    }
    let header = Header::of(delta, key.len(), data.len(), false);
    let frame = UnsafeCell::raw_get(frame.as_ptr());
    // SAFETY: the slice proves that the whole frame lies within the free units of the chunk, and it is
    // as long as header, key and data together. It lies behind what is published and before the slots,
    // so no reader looks at it, and no other writer exists (invariant 1; `&mut OpenChunk` of the callers).
    unsafe {
        frame.write(header.0);
        let body = frame.add(1).cast::<u8>();
        copy(key.as_bytes(), body);
        copy(data, body.add(key.len()));
    }
    Some(left)
}

/// Has a unit fetched that will be read or written soon, if there is such a unit.
#[inline]
fn prefetch(unit: *const u64) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: a prefetch reads nothing, may be of any address, and needs SSE, which each
        // processor of the architecture has.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(unit.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _no_such_instruction = unit;
}

/// Copies bytes; a few, as most keys have, with two moves instead of a call.
///
/// # Safety
///
/// `to` must be valid for writes of as many bytes, which nobody else touches.
#[inline]
unsafe fn copy(bytes: &[u8], to: *mut u8) {
    const FEW: usize = 2 * UNIT_BYTES;
    match (
        bytes.first_chunk::<UNIT_BYTES>(),
        bytes.last_chunk::<UNIT_BYTES>(),
    ) {
        // SAFETY: both pieces lie within the bytes' length, and arrays of bytes need no alignment.
        (Some(first), Some(last)) if bytes.len() <= FEW => unsafe {
            to.cast::<[u8; UNIT_BYTES]>().write(*first);
            let behind_first = bytes.len() - UNIT_BYTES;
            to.add(behind_first).cast::<[u8; UNIT_BYTES]>().write(*last);
        },
        // SAFETY: the caller's promise; what is lent cannot overlap with what nobody else touches.
        _ => unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) },
    }
}

/// Where the handle in a slot lies.
#[inline]
const fn handle_in(slot: &[Unit]) -> *mut Bytes {
    UnsafeCell::raw_get(slot.as_ptr()).cast()
}
