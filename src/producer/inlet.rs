//! The way into a stream.

use std::time::Duration;

use crate::clock::{Parker, Timestamp};
use crate::data::Data;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::log::{charge, data_bytes_max};
use crate::partition_key::{check_partition_key, is_short};
use crate::producer::batch::Batch;
use crate::producer::entries::Entries;
use crate::producer::{PutRecordOutput, PutRecordsOutput};
use crate::put_entry::PutEntry;
use crate::sequence::SequenceNumber;
use crate::shard::{OnFull, Refusal, Shard};
use crate::stream::{Known, Routes, Stream};
use crate::wait::Undo;

/// What records go into a stream through: that of a [producer](crate::Producer), or that of the wire
/// protocol, which has none.
///
/// Passed by value, so that it costs nothing where it is inlined.
#[derive(Clone, Copy)]
pub(crate) struct Inlet<'a> {
    pub(super) stream: &'a Stream,
    pub(super) routes: &'a Routes,
    /// Whether it belongs to the wire, which answers at once: a full shard refuses, whatever the
    /// stream says.
    #[cfg(feature = "protocol")]
    pub(super) never_waits: bool,
}

#[cfg(feature = "protocol")]
impl Stream {
    /// What the wire protocol puts through. It never waits for room.
    pub(crate) fn wire_inlet(&self) -> Inlet<'_> {
        Inlet {
            stream: self,
            routes: self.wire_routes(),
            never_waits: true,
        }
    }
}

impl<'a> Inlet<'a> {
    /// Puts one record; see [`Producer::put_entry`](crate::Producer::put_entry).
    pub(crate) fn put_entry(self, mut entry: PutEntry<'_>) -> Result<PutRecordOutput, Error> {
        self.check_ordering(&entry)?;
        let hash_key = entry.known_hash_key().copied();
        self.put(&entry.key, hash_key, &mut entry.data)
    }

    /// Puts many records; see [`Producer::put_records`](crate::Producer::put_records).
    pub(crate) fn put_records<'e>(
        self,
        entries: impl Iterator<Item = PutEntry<'e>>,
    ) -> Result<PutRecordsOutput, Error> {
        let entries = self.checked(entries)?;
        #[cfg(feature = "testing")]
        if let Some(hooked) = &self.stream.settings().hooked {
            return self.put_records_hooked(hooked, entries.into_vec());
        }
        let answers = Batch::new(self, entries).put()?;
        Ok(PutRecordsOutput::new(answers))
    }

    /// Puts one record of which the key may be hashed already.
    ///
    /// Always inlined, and the slow way gives its error in a box: so the output stays in registers.
    /// Written to memory word by word and read by the caller in larger pieces, it would have to wait
    /// for all that the put has written before (a third of a put).
    #[inline(always)]
    pub(super) fn put(
        self,
        key: &str,
        known: Option<HashKey>,
        data: &mut Data<'_>,
    ) -> Result<PutRecordOutput, Error> {
        #[cfg(feature = "testing")]
        if let Some(hooked) = &self.stream.settings().hooked {
            return self.put_hooked(hooked, key, known, data);
        }
        let mut refused = None;
        // At first, as long as it is known which form the data has.
        let copied = data.copied(key.len());
        if is_short(key)
            && self.surely_fits(key, data.as_slice().len())
            && let Some(shard) = self.seen_shard(key, known)
        {
            let settings = self.stream.settings();
            let copied = copied.map(|copied| shard.append_copy(settings, key, copied));
            let appended = match copied {
                Some(Ok(appended)) => Ok(appended),
                Some(Err(now)) => shard.append(now, key, &mut data.payload(key.len())),
                None => shard.append(self.now(), key, &mut data.payload(key.len())),
            };
            match appended {
                Ok(appended) => return Ok(PutRecordOutput::new(shard.origin(), appended)),
                Err(refusal) => refused = Some((shard, refusal)),
            }
        }
        self.put_slowly(key, known, data, refused)
            .map_err(|error| *error)
    }

    /// The shard that takes a key, as far as its table was seen.
    #[inline(always)]
    fn seen_shard(self, key: &str, known: Option<HashKey>) -> Option<&'a Shard> {
        let routing = self.routes.seen(self.stream)?;
        routing.shard_of(|| hash_key(key, known))
    }

    /// Puts one record when the first try failed, or said that it has to be looked at closely.
    #[cold]
    pub(super) fn put_slowly(
        self,
        key: &str,
        known: Option<HashKey>,
        data: &mut Data<'_>,
        refused: Option<(&Shard, Refusal)>,
    ) -> Result<PutRecordOutput, Box<Error>> {
        match refused {
            None | Some((_, Refusal::Closed)) => {}
            Some((_, Refusal::Full)) if self.waits_for_room() => {}
            Some((shard, refusal)) => return Err(Box::new(shard.refused(refusal))),
        }
        check_partition_key(key)?;
        self.check_size(key, data.as_slice().len())?;
        let mut seen = self.routes.look_up(self.stream);
        loop {
            let Some(shard) = seen.routing.shard_of(|| hash_key(key, known)) else {
                let settled = self.settled();
                if settled.version == seen.version {
                    return Err(Box::new(self.stream.takes_none(seen.routing.taking)));
                }
                seen = settled;
                continue;
            };
            match self.append(shard, key, data)? {
                Some(output) => return Ok(output),
                None => seen = self.settled(),
            }
        }
    }

    /// Appends one record, waiting for room if the stream says so. `None`: the shard is closed.
    pub(super) fn append(
        self,
        shard: &Shard,
        key: &str,
        data: &mut Data<'_>,
    ) -> Result<Option<PutRecordOutput>, Error> {
        match shard.append(self.now(), key, &mut data.payload(key.len())) {
            Ok(appended) => Ok(Some(PutRecordOutput::new(shard.origin(), appended))),
            Err(Refusal::Closed) => Ok(None),
            Err(Refusal::Full) => match self.stream.settings().on_full {
                OnFull::Wait(wait) if self.waits_for_room() => {
                    self.append_waiting(shard, key, data, wait)
                }
                _ => Err(shard.refused(Refusal::Full)),
            },
            Err(refusal) => Err(shard.refused(refusal)),
        }
    }

    /// Appends one record as soon as there is room.
    #[cold]
    fn append_waiting(
        self,
        shard: &Shard,
        key: &str,
        data: &mut Data<'_>,
        wait: Duration,
    ) -> Result<Option<PutRecordOutput>, Error> {
        let clock = &*self.stream.settings().clock;
        let deadline = clock.monotonic().saturating_add(wait);
        let parker = Parker::new();
        loop {
            let (id, expiry) = shard.wait_for_room(parker.waker());
            let _registered = Undo(|| shard.stop_waiting_for_room(id));
            // In this order: time that passes between the two ends the wait early, never late.
            let monotonic = clock.monotonic();
            let now = self.now();
            match shard.append(now, key, &mut data.payload(key.len())) {
                Ok(appended) => return Ok(Some(PutRecordOutput::new(shard.origin(), appended))),
                Err(Refusal::Closed) => return Ok(None),
                Err(Refusal::Throttled) => return Err(shard.refused(Refusal::Throttled)),
                Err(Refusal::Full) => self.stream.settings().check_not_deleted()?,
            }
            if monotonic >= deadline {
                let (stream, shard_id) = (self.stream.name().to_owned(), shard.id());
                return Err(Error::PutTimedOut {
                    stream,
                    shard_id,
                    waited: wait,
                });
            }
            let wake = match expiry {
                // A record has expired once it is older than the retention, not when it is as old.
                Some(expiry) => {
                    let room = expiry.duration_since(now) + Duration::from_millis(1);
                    monotonic.saturating_add(room).min(deadline)
                }
                // There was room before others took it, and there may be again.
                None => planted!(continue, "room_is_taken_meanwhile": deadline),
            };
            clock.park(&parker, wake);
        }
    }

    /// Gathers entries, each of which is valid, within the limits of one call.
    fn checked<'e>(
        self,
        entries: impl Iterator<Item = PutEntry<'e>>,
    ) -> Result<Entries<'e>, Error> {
        let limits = &self.stream.settings().limits;
        // Looked at when all are there: they are made where they stay.
        let mut entries = Entries::gather(entries);
        let fits_bytes = self.stream.settings().fits_bytes();
        let (mut bytes, mut are_usual, mut own_nothing) = (0, true, true);
        for entry in &*entries {
            let entry_bytes = entry.key.len() + entry.data.as_slice().len();
            bytes += entry_bytes as u64;
            // Without a branch for each.
            are_usual &= is_short(&entry.key) & entry.is_plain() & (entry_bytes <= fits_bytes);
            own_nothing &= entry.owns_nothing();
        }
        if own_nothing {
            entries.own_nothing();
        }
        if !are_usual {
            entries.iter().try_for_each(|entry| self.check(entry))?;
        }
        match (limits.put_records_entries_max, limits.put_records_bytes_max) {
            (Some(limit), _) if entries.len() > limit => Err(Error::TooManyEntries {
                entries: entries.len(),
                limit,
            }),
            (_, Some(limit_bytes)) if bytes > limit_bytes => {
                Err(Error::EntriesTooLarge { bytes, limit_bytes })
            }
            _ => Ok(entries),
        }
    }

    /// Checks one entry of many.
    fn check(self, entry: &PutEntry<'_>) -> Result<(), Error> {
        let key = &*entry.key;
        if !entry.is_keyless() {
            check_partition_key(key)?;
        }
        self.check_size(key, entry.data.as_slice().len())?;
        self.check_ordering(entry)
    }

    #[inline]
    pub(super) fn check_size(self, key: &str, data_bytes: usize) -> Result<(), Error> {
        if self.surely_fits(key, data_bytes) {
            return Ok(());
        }
        self.check_size_exactly(key, data_bytes)
    }

    #[inline]
    fn surely_fits(self, key: &str, data_bytes: usize) -> bool {
        key.len() + data_bytes <= self.stream.settings().fits_bytes()
    }

    #[cold]
    fn check_size_exactly(self, key: &str, data_bytes: usize) -> Result<(), Error> {
        let settings = self.stream.settings();
        let fits = charge(key.len(), data_bytes) <= settings.capacity.bytes;
        if data_bytes <= settings.record_bytes_max() && fits {
            return Ok(());
        }
        let room = data_bytes_max(key.len(), settings.capacity.bytes);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let limit_bytes = settings.record_bytes_max().min(room);
        Err(Error::RecordTooLarge {
            data_bytes,
            limit_bytes,
        })
    }

    #[inline]
    fn check_ordering(self, entry: &PutEntry<'_>) -> Result<(), Error> {
        match entry.ordering() {
            Some(number) => self.check_number(number),
            None => Ok(()),
        }
    }

    /// Checks that a number may be of a record that was put before.
    #[cold]
    fn check_number(self, number: SequenceNumber) -> Result<(), Error> {
        if number.time_secs() <= self.now().as_secs() {
            return Ok(());
        }
        // A child's numbers run a second ahead of the clock at first.
        let shards = self.stream.shards();
        if shards.iter().any(|shard| shard.has_given(number)) {
            return Ok(());
        }
        Err(Error::OrderingInFuture {
            sequence_number: number,
        })
    }

    pub(super) fn waits_for_room(self) -> bool {
        #[cfg(feature = "protocol")]
        if self.never_waits {
            return false;
        }
        matches!(self.stream.settings().on_full, OnFull::Wait(_))
    }

    #[inline]
    pub(super) fn now(self) -> Timestamp {
        self.stream.settings().now()
    }

    pub(super) fn settled(self) -> Known {
        self.stream.settled_routing(self.now())
    }
}

/// The hash key that was given, or that of the partition key.
#[inline]
pub(super) fn hash_key(partition_key: &str, known: Option<HashKey>) -> HashKey {
    known.unwrap_or_else(|| HashKey::recalled(partition_key))
}
