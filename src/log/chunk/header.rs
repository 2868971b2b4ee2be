//! The first word of a frame, and what the memory of a record comes to.

use crate::data::{INLINE_BYTES_MAX, Payload};
use crate::log::chunk::{SLOT_UNITS, UNIT_BYTES};

/// What a record takes beyond its key and data, at most: header, number of the slot, slot, padding.
pub(crate) const OVERHEAD_BYTES_MAX: u64 = ((1 + 1 + SLOT_UNITS + 1) * UNIT_BYTES) as u64;

/// The first word of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header(pub(super) u64);

impl Header {
    const ARRIVAL_SHIFT: u32 = 36;
    const OUT_OF_LINE: u64 = 1 << 35;
    const KEY_SHIFT: u32 = 24;
    const KEY_MASK: u64 = (1 << 11) - 1;
    pub(super) const DATA_MASK: u64 = (1 << 24) - 1;
    pub(super) const ARRIVAL_DELTA_MAX: u64 = (1 << 28) - 1;

    #[inline]
    pub(super) fn new(arrival_delta: u64, key_bytes: usize, payload: &Payload<'_, '_>) -> Self {
        Self::of(arrival_delta, key_bytes, payload.len(), payload.is_handle())
    }

    #[inline]
    pub(super) fn of(
        arrival_delta: u64,
        key_bytes: usize,
        data_bytes: usize,
        is_handle: bool,
    ) -> Self {
        let out_of_line = if is_handle { Self::OUT_OF_LINE } else { 0 };
        Self(
            arrival_delta << Self::ARRIVAL_SHIFT
                | out_of_line
                | (key_bytes as u64) << Self::KEY_SHIFT
                | data_bytes as u64,
        )
    }

    #[inline]
    pub(super) const fn is_out_of_line(self) -> bool {
        self.0 & Self::OUT_OF_LINE != 0
    }

    #[inline]
    pub(super) const fn key_bytes(self) -> usize {
        (self.0 >> Self::KEY_SHIFT & Self::KEY_MASK) as usize
    }

    #[inline]
    pub(super) const fn data_bytes(self) -> usize {
        (self.0 & Self::DATA_MASK) as usize
    }

    #[inline]
    pub(super) const fn arrival_delta(self) -> u64 {
        self.0 >> Self::ARRIVAL_SHIFT
    }

    /// Bytes that the user put: key and data.
    #[inline]
    pub(super) const fn user_bytes(self) -> u64 {
        (self.key_bytes() + self.data_bytes()) as u64
    }

    /// Bytes of the frame behind the header: the key, and the data or the number of its slot.
    #[inline]
    pub(super) const fn body_bytes(self) -> usize {
        if self.is_out_of_line() {
            UNIT_BYTES + self.key_bytes()
        } else {
            self.key_bytes() + self.data_bytes()
        }
    }

    /// Length of the whole frame.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame fits a chunk of 64 KiB"
    )]
    pub(super) const fn units(self) -> u32 {
        1 + self.body_bytes().div_ceil(UNIT_BYTES) as u32
    }

    /// Memory that the record takes: its frame, and its data and its slot where it is out of line.
    #[inline]
    pub(super) const fn charge(self) -> u64 {
        let slot = if self.is_out_of_line() {
            planted!(SLOT_UNITS * UNIT_BYTES, "slot_not_charged": 0)
        } else {
            0
        };
        (self.units() as usize * UNIT_BYTES + slot) as u64 + self.outside_bytes()
    }

    /// Data that lies outside the chunk.
    #[inline]
    pub(super) const fn outside_bytes(self) -> u64 {
        if self.is_out_of_line() {
            self.data_bytes() as u64
        } else {
            0
        }
    }
}

/// Memory that a record takes, at most: what capacity in bytes counts.
#[inline]
pub(crate) fn charge(key_bytes: usize, data_bytes: usize) -> u64 {
    Header::of(0, key_bytes, data_bytes, data_bytes > INLINE_BYTES_MAX).charge()
}

/// Memory that a record takes which is stored like this.
#[inline]
pub(crate) fn charge_of(key_bytes: usize, payload: &Payload<'_, '_>) -> u64 {
    Header::new(0, key_bytes, payload).charge()
}

/// The most data that a record with a key of so many bytes can have to take no more than `charge`.
pub(crate) fn data_bytes_max(key_bytes: usize, charge_max: u64) -> u64 {
    let least_outside = INLINE_BYTES_MAX + 1;
    let beside = charge(key_bytes, least_outside) - least_outside as u64;
    let outside = charge_max.saturating_sub(beside);
    if outside >= least_outside as u64 {
        return outside;
    }
    let unit = UNIT_BYTES as u64;
    let body = charge_max.saturating_sub(unit) / unit * unit;
    body.saturating_sub(key_bytes as u64)
        .min(INLINE_BYTES_MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_data_takes_no_more_than_the_charge_and_one_byte_more_does() {
        for key_bytes in [1, 7, 8, 9, 12, 256, 1024] {
            for charge_max in (1100..1800).chain([4096, 1 << 20]) {
                let data_bytes = data_bytes_max(key_bytes, charge_max);
                let data_bytes = usize::try_from(data_bytes).unwrap();
                assert!(data_bytes == 0 || charge(key_bytes, data_bytes) <= charge_max);
                assert!(charge(key_bytes, data_bytes + 1) > charge_max);
            }
        }
    }

    #[test]
    fn a_record_takes_at_most_the_overhead_beyond_its_key_and_data() {
        for key_bytes in 1..=1024 {
            for data_bytes in [0, 1, 7, 8, 511, 512, 513, 520, 1 << 20] {
                let beyond = charge(key_bytes, data_bytes) - (key_bytes + data_bytes) as u64;
                assert!(
                    beyond <= OVERHEAD_BYTES_MAX,
                    "{key_bytes} and {data_bytes}: {beyond}"
                );
            }
        }
    }
}
