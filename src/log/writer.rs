//! The writing side of a log: it appends, trims, and uses chunks again.

use std::mem;

use crate::data::Payload;
use crate::log::chunk::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, OpenChunk, Sealed, charge_of};
use crate::log::{Chunk, Extent, FIRST_PLACE, Frames, Log};
use crate::sync::{Arc, Ordering};

/// How much a log retains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) records: u64,
    /// As [`charge_of`] counts.
    pub(crate) bytes: u64,
}

/// Of so many parts of the capacity one may be trimmed at once, though less would do.
const TRIMMED_PART: u64 = 64;

/// The one writer of a [`Log`]; kept under the lock of its shard.
///
/// What is appended shows only once it is [published](Self::publish), a whole batch at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    capacity: Capacity,
    out_of_line_budget: u64,
    open: Option<OpenChunk>,
    /// Place that the next record will be given.
    next: u64,
    /// What readers were last shown as `next`: only records before it are trimmed, so that a batch
    /// shows as a whole.
    published: u64,
    last_arrival: u64,
    /// Bytes of keys and data in the chunks before the open one.
    sealed_bytes: u64,
    oldest: Oldest,
    next_serial: u64,
    chunk_bytes: usize,
    spare: Option<Arc<Chunk>>,
    /// Trimmed chunks that hold handles: dropping those runs user code, so the shard does it
    /// after it has released its lock.
    retired: Vec<Arc<Chunk>>,
}

/// The oldest retained record.
#[derive(Debug)]
struct Oldest {
    place: u64,
    /// The chunk it lies in, once one was looked for.
    chunk: Option<Arc<Chunk>>,
    at: Extent,
    /// Charge of the records of that chunk that were trimmed one by one.
    chunk_trimmed: u64,
    /// Charge of all that is retained, and what the chunks that it lies in left free.
    charge: u64,
    /// Bytes of keys and data that were trimmed.
    trimmed_bytes: u64,
}

/// How much to trim.
enum Trim {
    Nothing,
    Record,
    RestOfChunk,
}

impl Writer {
    /// The writer of an empty log; no record is said to have arrived before `earliest`.
    pub(crate) fn new(capacity: Capacity, earliest: u64) -> Self {
        let oldest = Oldest {
            place: FIRST_PLACE,
            chunk: None,
            at: Extent::START,
            chunk_trimmed: 0,
            charge: 0,
            trimmed_bytes: 0,
        };
        Self {
            capacity,
            out_of_line_budget: out_of_line_budget(capacity),
            open: None,
            next: FIRST_PLACE,
            published: FIRST_PLACE,
            last_arrival: earliest,
            sealed_bytes: 0,
            oldest,
            next_serial: 0,
            chunk_bytes: CHUNK_BYTES_MIN,
            spare: None,
            retired: Vec::new(),
        }
    }

    /// Appends one record and says its place and arrival; takes a handle out of large data.
    ///
    /// The arrival is `now`, or that of the record before it if the clock stepped back. The
    /// record alone is within the capacity; older ones are trimmed when this is published. What
    /// arrived before `cutoff` has expired, and is trimmed whenever a chunk is full.
    #[inline]
    pub(crate) fn append(
        &mut self,
        log: &Log,
        (now, cutoff): (u64, u64),
        key: &str,
        payload: &mut Payload<'_, '_>,
    ) -> (u64, u64) {
        let arrival = now.max(self.last_arrival);
        let place = self.next;
        while self.fill(arrival, |open| {
            usize::from(open.append(arrival, key, payload))
        }) == 0
        {
            self.roll(log, arrival, cutoff);
        }
        (place, arrival)
    }

    /// Appends one record whose data is copied, and publishes it, if the open chunk has room for it.
    #[inline]
    pub(crate) fn append_copy(
        &mut self,
        log: &Log,
        now: u64,
        key: &str,
        data: &[u8],
    ) -> Option<(u64, u64)> {
        let arrival = now.max(self.last_arrival);
        let place = self.next;
        if self.fill(arrival, |open| {
            usize::from(open.append_copy(arrival, key, data))
        }) == 0
        {
            return None;
        }
        self.publish(log);
        Some((place, arrival))
    }

    /// Appends records whose data is copied, as far as `records` gives them and the open chunk has room
    /// for them: says how many, and place and arrival of the first.
    #[inline]
    pub(crate) fn append_copies<'r>(
        &mut self,
        now: u64,
        records: impl Iterator<Item = Option<(&'r str, &'r [u8])>>,
    ) -> (usize, (u64, u64)) {
        let arrival = now.max(self.last_arrival);
        let place = self.next;
        let done = self.fill(arrival, |open| open.append_copies(arrival, records));
        (done, (place, arrival))
    }

    /// Counts what is appended to the open chunk; says how many records.
    #[inline]
    fn fill(&mut self, arrival: u64, fill: impl FnOnce(&mut OpenChunk) -> usize) -> usize {
        let Some(open) = &mut self.open else {
            return 0;
        };
        let charge = open.charge();
        let done = fill(open);
        if done > 0 {
            self.oldest.charge += open.charge() - charge;
            self.next += done as u64;
            self.last_arrival = arrival;
        }
        done
    }

    /// Shows readers all that was appended, then trims what is over the capacity.
    #[inline]
    pub(crate) fn publish(&mut self, log: &Log) {
        let open_extent = self.open.as_ref().map_or(Extent::START, OpenChunk::end);
        log.show(open_extent, self.next);
        self.published = self.next;
        if self.is_over_capacity() {
            self.trim_to_capacity(log);
        }
    }

    /// Trims the records that arrived before `cutoff`.
    pub(crate) fn trim_expired(&mut self, log: &Log, cutoff: u64) {
        let cutoff = planted!(cutoff, "expired_at_once": cutoff + 1);
        self.trim_while(log, |chunk, mut frames, _| match chunk.sealed() {
            Some(sealed) if sealed.last_arrival < cutoff => Trim::RestOfChunk,
            _ => match frames.next() {
                Some(oldest) if oldest.arrival() < cutoff => Trim::Record,
                _ => Trim::Nothing,
            },
        });
    }

    /// Trims what lies before a place.
    #[cfg(feature = "testing")]
    pub(crate) fn trim_before(&mut self, log: &Log, place: u64) {
        self.trim_while(log, |_, _, writer| {
            if writer.oldest.place < place {
                Trim::Record
            } else {
                Trim::Nothing
            }
        });
    }

    /// Trims everything and lets go of all memory: nobody may read the log any more, nor append.
    pub(crate) fn trim_all(&mut self, log: &Log) {
        self.trim_while(log, |chunk, _, _| match chunk.sealed() {
            Some(_) => Trim::RestOfChunk,
            None => Trim::Record,
        });
        if let Some(open) = self.open.take() {
            open.seal(self.last_arrival);
            self.sealed_bytes += open.end().bytes;
        }
        self.oldest.chunk = None;
        self.release_chunks(log);
        self.spare = None;
    }

    /// Whether one more record would take the log over its capacity.
    pub(crate) fn is_full_for(&self, key_bytes: usize, payload: &Payload<'_, '_>) -> bool {
        let Capacity { records, bytes } = self.capacity;
        let rolls = |open: &&OpenChunk| open.is_full_for(key_bytes, payload);
        let left_free = match self.open.as_ref().filter(rolls) {
            // What the open chunk leaves free counts as long as any record of it is retained.
            Some(open) if self.oldest.place < self.next => open.free_bytes() as u64,
            _ => 0,
        };
        self.next - self.oldest.place >= planted!(records, "one_too_many": records + 1)
            || self.oldest.charge + left_free + charge_of(key_bytes, payload) > bytes
    }

    /// Arrival of the oldest retained record.
    pub(crate) fn oldest_arrival(&mut self, log: &Log) -> Option<u64> {
        if self.oldest.place == self.next {
            return None;
        }
        let chunk = self.take_oldest_chunk(log);
        let frame = chunk.frames(self.oldest.at, self.written(&chunk)).next();
        let arrival = frame.map(|frame| frame.arrival());
        self.oldest.chunk = Some(chunk);
        Some(arrival.expect("the oldest retained record is published"))
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) const fn trim_horizon(&self) -> u64 {
        self.oldest.place
    }

    /// Arrival of the latest record, or the earliest that one may have.
    pub(crate) const fn last_arrival(&self) -> u64 {
        self.last_arrival
    }

    /// Bytes of keys and data that were ever appended.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.sealed_bytes + self.open.as_ref().map_or(0, |open| open.end().bytes)
    }

    pub(crate) const fn bytes_trimmed(&self) -> u64 {
        self.oldest.trimmed_bytes
    }

    /// Whether there are chunks to be given to [`clean`].
    #[inline]
    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Takes the chunks to be given to [`clean`], with no lock held.
    pub(crate) fn take_retired(&mut self) -> Vec<Arc<Chunk>> {
        mem::take(&mut self.retired)
    }

    /// Keeps a chunk that nobody needs to fill it again, if there is no other.
    pub(crate) fn offer_spare(&mut self, chunk: Arc<Chunk>) {
        if self.spare.is_none() && chunk.capacity_bytes() == self.chunk_bytes {
            self.spare = Some(chunk);
        }
    }

    const fn is_over_capacity(&self) -> bool {
        self.next - self.oldest.place > self.capacity.records
            || self.oldest.charge > self.capacity.bytes
    }

    /// Closes the open chunk, if any, and opens the next for a record that arrives at `arrival`.
    #[cold]
    fn roll(&mut self, log: &Log, arrival: u64, cutoff: u64) {
        self.trim_expired(log, cutoff);
        if let Some(open) = self.open.take() {
            let free = open.seal(self.last_arrival);
            self.sealed_bytes += open.end().bytes;
            if self.oldest.place < self.next {
                self.oldest.charge += free;
            }
            self.chunk_bytes = self.next_chunk_bytes(&open, free);
            if self.is_over_capacity() {
                // Before a chunk is needed, so that the oldest may be filled again.
                self.trim_to_capacity(log);
            }
            if planted!(self.is_over_capacity(), "batch_shown_in_part": true) {
                // The batch alone is over it: it cannot show as a whole.
                self.publish(log);
            }
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let open =
            |chunk| OpenChunk::open(chunk, serial, self.next, arrival, self.out_of_line_budget);
        let spare = self
            .spare
            .take()
            .filter(|spare| spare.capacity_bytes() == self.chunk_bytes);
        // A spare that a batch still holds is left to the batch.
        let open = spare.and_then(|spare| open(spare).ok()).unwrap_or_else(|| {
            let fresh = Arc::new(Chunk::with_capacity(self.chunk_bytes));
            open(fresh).expect("nobody else holds a fresh chunk")
        });
        log.directory
            .lock()
            .chunks
            .push_back(Arc::clone(open.chunk()));
        self.open = Some(open);
        if self.oldest.place == self.next {
            // The chunk that was open was trimmed to its end.
            self.oldest.chunk = None;
            self.release_chunks(log);
        }
    }

    /// The size of the next chunk: twice the last one, up to the largest. One that was closed for the
    /// data that it keeps elsewhere may have been too large.
    fn next_chunk_bytes(&self, last: &OpenChunk, free: u64) -> usize {
        let last_bytes = last.chunk().capacity_bytes();
        let free = usize::try_from(free).unwrap_or(0);
        let wanted = if !last.is_spent() {
            last_bytes * 2
        } else if free > last_bytes / 5 {
            (last_bytes - free).next_multiple_of(CHUNK_BYTES_MIN)
        } else {
            last_bytes
        };
        wanted.clamp(CHUNK_BYTES_MIN, chunk_bytes_max(self.capacity))
    }

    /// Trims as little as needed: records where the number of records counts, chunks that are
    /// small against the capacity where bytes do, so that most puts have nothing to trim.
    #[cold]
    fn trim_to_capacity(&mut self, log: &Log) {
        let bytes = self.capacity.bytes;
        let is_small = |sealed: Sealed| sealed.charge <= bytes / TRIMMED_PART;
        self.trim_while(log, |chunk, _, writer| {
            if writer.oldest.charge > bytes && chunk.sealed().is_some_and(is_small) {
                Trim::RestOfChunk
            } else if writer.is_over_capacity() {
                Trim::Record
            } else {
                Trim::Nothing
            }
        });
    }

    /// Trims from the oldest record on, as `how_much` says of its chunk and of the frames from it on,
    /// until that is nothing.
    fn trim_while(&mut self, log: &Log, how_much: impl Fn(&Chunk, Frames<'_>, &Self) -> Trim) {
        let before = self.oldest.place;
        let mut chunks_done = false;
        while self.oldest.place < self.published {
            let chunk = self.take_oldest_chunk(log);
            let trimmed = self.trim_chunk(&chunk, &how_much);
            if trimmed && chunk.sealed().is_some() {
                chunks_done = true;
            } else {
                self.oldest.chunk = Some(chunk);
            }
            if !trimmed {
                break;
            }
        }
        if self.oldest.place != before {
            // Release: `next` is stored before, so nobody sees a horizon beyond it. Before the
            // chunks go, so that a reader that misses one finds the new horizon.
            log.tip
                .trim_horizon
                .store(self.oldest.place, Ordering::Release);
        }
        if chunks_done {
            self.release_chunks(log);
        }
    }

    /// Trims from the oldest record on, which lies in this chunk; says whether to its end.
    fn trim_chunk(
        &mut self,
        chunk: &Chunk,
        how_much: impl Fn(&Chunk, Frames<'_>, &Self) -> Trim,
    ) -> bool {
        let written = self.written(chunk);
        let shows_whole = chunk.first + u64::from(written.frames) <= self.published;
        while self.oldest.at != written {
            if self.oldest.place == self.published {
                return false;
            }
            let mut frames = chunk.frames(self.oldest.at, written);
            let end = match how_much(chunk, frames.clone(), self) {
                Trim::Nothing => return false,
                Trim::RestOfChunk if shows_whole => written,
                Trim::Record | Trim::RestOfChunk => {
                    let frame = frames.next();
                    let frame = frame.expect("the oldest retained record is written");
                    self.oldest.charge -= frame.charge();
                    self.oldest.chunk_trimmed += frame.charge();
                    frame.end()
                }
            };
            self.oldest.place += u64::from(end.frames - self.oldest.at.frames);
            self.oldest.trimmed_bytes += end.bytes - self.oldest.at.bytes;
            self.oldest.at = end;
        }
        if let Some(sealed) = chunk.sealed() {
            // The rest of it, and what it left free.
            self.oldest.charge -= sealed.charge - self.oldest.chunk_trimmed;
        }
        true
    }

    /// The chunk in which the oldest retained record lies; there is one. The caller puts it back.
    fn take_oldest_chunk(&mut self, log: &Log) -> Arc<Chunk> {
        // The open chunk may have been trimmed to its end before another was opened.
        let found = self
            .oldest
            .chunk
            .take()
            .filter(|chunk| self.end_of(chunk) > self.oldest.place);
        found.unwrap_or_else(|| {
            let directory = log.directory.lock();
            let place = self.oldest.place;
            let after = directory
                .chunks
                .partition_point(|chunk| chunk.first <= place);
            let chunk = &directory.chunks[after - 1];
            if chunk.first == place {
                self.oldest.at = Extent::START;
                self.oldest.chunk_trimmed = 0;
            }
            Arc::clone(chunk)
        })
    }

    /// How much of a chunk is written; more than is published, in the middle of a batch.
    fn written(&self, chunk: &Chunk) -> Extent {
        match chunk.sealed() {
            Some(sealed) => sealed.extent,
            // There is one that is not sealed: the open one.
            None => self.open.as_ref().map_or(Extent::START, OpenChunk::end),
        }
    }

    /// Place after the last record that is written to a chunk.
    fn end_of(&self, chunk: &Chunk) -> u64 {
        chunk.first + u64::from(self.written(chunk).frames)
    }

    /// Takes the chunks without a retained record out of the directory, but never the open one.
    fn release_chunks(&mut self, log: &Log) {
        let open_first = self
            .open
            .as_ref()
            .map_or(self.next, |open| open.chunk().first);
        loop {
            let released = {
                let mut directory = log.directory.lock();
                match directory.chunks.front() {
                    Some(front)
                        if front.first < open_first && self.end_of(front) <= self.oldest.place =>
                    {
                        directory.first_serial += 1;
                        directory.chunks.pop_front()
                    }
                    _ => None,
                }
            };
            let Some(chunk) = released else { return };
            if chunk.has_handles() {
                self.retired.push(chunk);
            } else if planted!(true, "no_chunk_again": false) {
                self.offer_spare(chunk);
            }
        }
    }
}

/// Drops the handles of a trimmed chunk; user code may run, so no lock may be held. Gives the chunk
/// back if nobody else holds it; otherwise its last holder drops the handles with the chunk.
pub(crate) fn clean(mut chunk: Arc<Chunk>) -> Option<Arc<Chunk>> {
    Arc::get_mut(&mut chunk)?.drop_handles();
    Some(chunk)
}

/// Chunks of a small log are small, so that what a chunk holds beyond the capacity is, too; and so small
/// that each may be trimmed at once (a fifth off a put), unless that makes them so small that opening one
/// costs more, or that what large records leave free at their ends does.
fn chunk_bytes_max(capacity: Capacity) -> usize {
    let part = |parts| usize::try_from(capacity.bytes / parts).unwrap_or(usize::MAX);
    let bytes = match part(TRIMMED_PART) {
        trimmed_at_once if trimmed_at_once >= 4 * CHUNK_BYTES_MIN => trimmed_at_once,
        _ => part(8),
    };
    (bytes / CHUNK_BYTES_MIN * CHUNK_BYTES_MIN).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
}

/// Data that one chunk keeps out of line, at most (and one record): what is trimmed is dropped a
/// chunk at a time. A 128th of the capacity, so that with the frames, of which few are needed for it, it stays
/// below the 64th that may be trimmed at once.
fn out_of_line_budget(capacity: Capacity) -> u64 {
    (capacity.bytes / 128).clamp(32 * 1024, 4 * 1024 * 1024)
}

#[cfg(test)]
impl Writer {
    /// Recomputes all that is kept beside the records, from the records.
    pub(super) fn validate(&self, log: &Log) {
        assert_eq!(log.next(), self.next, "all is published");
        assert_eq!(log.trim_horizon(), self.oldest.place);
        assert!(FIRST_PLACE <= self.oldest.place && self.oldest.place <= self.next);

        let directory = log.directory.lock();
        let (mut place, mut charge, mut last_arrival) = (None, 0, 0);
        let (mut retained_bytes, mut bytes_seen) = (0, 0);
        for (index, chunk) in directory.chunks.iter().enumerate() {
            assert_eq!(chunk.serial, directory.first_serial + index as u64);
            assert_eq!(
                chunk.first,
                place.unwrap_or(chunk.first),
                "places are dense"
            );
            let is_open = self
                .open
                .as_ref()
                .is_some_and(|open| Arc::ptr_eq(open.chunk(), chunk));
            assert_eq!(
                chunk.sealed().is_none(),
                is_open,
                "only the open chunk is not sealed"
            );
            let retained_before = charge;
            let mut whole = 0;
            for frame in chunk.frames(Extent::START, self.written(chunk)) {
                assert!(last_arrival <= frame.arrival(), "arrivals never go back");
                last_arrival = frame.arrival();
                whole += frame.charge();
                let bytes = frame.end().bytes - frame.start().bytes;
                bytes_seen += bytes;
                if frame.place() >= self.oldest.place {
                    charge += frame.charge();
                    retained_bytes += bytes;
                }
            }
            if let Some(sealed) = chunk.sealed() {
                assert_eq!(sealed.last_arrival, last_arrival);
                assert!(whole <= sealed.charge);
                if charge > retained_before {
                    // What it left free.
                    charge += sealed.charge - whole;
                }
                assert!(
                    charge > retained_before,
                    "a chunk without a retained record goes"
                );
            }
            place = Some(self.end_of(chunk));
        }
        assert_eq!(
            place.unwrap_or(self.next),
            self.next,
            "the last chunk ends with the last record"
        );
        assert_eq!(charge, self.oldest.charge);
        assert_eq!(self.bytes_in() - self.bytes_trimmed(), retained_bytes);
        assert!(bytes_seen >= retained_bytes && last_arrival <= self.last_arrival);
        assert!(!self.is_over_capacity());
    }
}
