//! How far into a chunk, as one word.

use crate::log::chunk::header::Header;

/// How far into a chunk: frames, units of memory, and bytes of keys and data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) frames: u32,
    pub(super) units: u32,
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

    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        self.bytes << (Self::FRAME_BITS + Self::UNIT_BITS)
            | (self.units as u64) << Self::FRAME_BITS
            | self.frames as u64
    }

    #[inline]
    pub(crate) const fn unpack(word: u64) -> Self {
        Self {
            frames: (word & ((1 << Self::FRAME_BITS) - 1)) as u32,
            units: (word >> Self::FRAME_BITS & ((1 << Self::UNIT_BITS) - 1)) as u32,
            bytes: word >> (Self::FRAME_BITS + Self::UNIT_BITS),
        }
    }

    #[inline]
    pub(super) fn past(self, header: Header) -> Self {
        self.plus(1, header.units() as usize, header.user_bytes())
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "frames and units of a chunk of 64 KiB"
    )]
    pub(super) const fn plus(self, frames: usize, units: usize, bytes: u64) -> Self {
        Self {
            frames: self.frames + frames as u32,
            units: self.units + units as u32,
            bytes: self.bytes + bytes,
        }
    }
}
