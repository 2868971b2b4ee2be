//! MD5 of keys that fit one block: of one, or of many at once.
//!
//! The steps of one MD5 wait for each other, which leaves most of a processor idle. Many keys side
//! by side, a lane each, fill it: a key costs a twelfth of hashing it alone with AVX-512, an eighth
//! with AVX2, a quarter with what each x86-64 processor has. The algorithm is that of RFC 1321; what
//! it computes is checked against the `md-5` crate, which hashes the keys that are longer.

use std::array::from_fn;
use std::num::Wrapping;
use std::ops::{Add, BitAnd, BitOr, BitXor, Not};

use fearless_simd::{Level, Simd, SimdBase, dispatch};

/// Keys that are hashed side by side.
pub(super) const LANES: usize = 64;

/// So few are quicker one by one.
pub(super) const FEW: usize = 2;

/// The longest key that fits one block with its padding.
pub(super) const KEY_BYTES_MAX: usize = 55;

/// Vectors that take their steps in turns: one alone would wait for itself.
const VECTORS: usize = 2;

/// How far each of the four steps of each round rotates.
const ROTATIONS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

/// `floor(2^32 * |sin(i + 1)|)`.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The digest of a key of up to [`KEY_BYTES_MAX`] bytes, as a big-endian number.
///
/// It takes three quarters of the crate's time: less of a step waits for the one before.
pub(super) fn of_one(key: &str) -> u128 {
    let mut block = [Wrapping(0); 16];
    fill(key, |i, word| block[i] = Wrapping(word));
    let start = START.map(|word| [Wrapping(word)]);
    let state = hashed(
        start,
        |i| [block[i]],
        Wrapping,
        |word, bits| Wrapping(word.0.rotate_left(bits)),
    );
    digest(|i| (state[i][0] + start[i][0]).0)
}

/// Hands out the digests of up to [`LANES`] keys of up to [`KEY_BYTES_MAX`] bytes, as big-endian
/// numbers, in the order of the keys.
pub(super) fn of_many(keys: &[&str], take: impl FnMut(u128)) {
    // Handed out here: what is made for a processor of one kind does not take in the code of others.
    of_level(Level::new(), keys).for_each(take);
}

#[inline]
fn of_level(level: Level, keys: &[&str]) -> impl Iterator<Item = u128> {
    let states = dispatch!(level, simd => in_lanes(simd, keys));
    (0..keys.len()).map(move |lane| digest(|i| states[i][lane]))
}

/// The states that keys end with, a lane each.
#[inline(always)]
fn in_lanes<S: Simd>(simd: S, keys: &[&str]) -> [[u32; LANES]; 4] {
    let mut blocks = [[0; LANES]; 16];
    for (lane, key) in keys.iter().enumerate() {
        fill(key, |i, word| blocks[i][lane] = word);
    }
    let mut states = [[0; LANES]; 4];
    let width = <S::u32s as SimdBase<S>>::LEN;
    for first in (0..keys.len()).step_by(VECTORS * width) {
        let lanes = |vector: usize| first + vector * width..first + (vector + 1) * width;
        let splat = |word| S::u32s::splat(simd, word);
        let start = START.map(|word| [splat(word); VECTORS]);
        let block = |i: usize| from_fn(|v| S::u32s::from_slice(simd, &blocks[i][lanes(v)]));
        let rotate = |word, bits| word << bits | word >> (32 - bits);
        let state = hashed(start, block, splat, rotate);
        for i in 0..4 {
            for v in 0..VECTORS {
                (state[i][v] + start[i][v]).store_slice(&mut states[i][lanes(v)]);
            }
        }
    }
    states
}

/// Sets the words of a key's block that are not 0.
#[inline(always)]
fn fill(key: &str, mut set: impl FnMut(usize, u32)) {
    let key = key.as_bytes();
    let (words, rest) = key.as_chunks();
    for (i, word) in words.iter().enumerate() {
        set(i, u32::from_le_bytes(*word));
    }
    let rest_bits = rest.len() * 8;
    // Out of the last four bytes: copying one to three costs a call.
    let last = match key.last_chunk() {
        Some(last) => u64::from(u32::from_le_bytes(*last)) >> (32 - rest_bits),
        None => rest
            .iter()
            .rev()
            .fold(0, |last, byte| last << 8 | u64::from(*byte)),
    };
    set(words.len(), low_half(last) | 0x80 << rest_bits);
    set(14, low_half(key.len() as u64 * 8));
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
const fn low_half(value: u64) -> u32 {
    value as u32
}

#[inline(always)]
fn digest(word: impl Fn(usize) -> u32) -> u128 {
    let word = |i| u128::from(word(i).swap_bytes());
    word(0) << 96 | word(1) << 64 | word(2) << 32 | word(3)
}

/// What the four rounds make of states, of which `N` take each step in turns.
#[inline(always)]
fn hashed<W: Word, const N: usize>(
    mut state: [[W; N]; 4],
    block: impl Fn(usize) -> [W; N],
    splat: impl Fn(u32) -> W,
    rotate: impl Fn(W, u32) -> W,
) -> [[W; N]; 4] {
    let words = |step: usize, i: usize| block(i).map(|word| word + splat(SINES[step]));
    // What waits for `b`, which the step before made, is added last.
    round(
        &mut state,
        |i| words(i, i),
        |sum, b, c, d| sum + (((c ^ d) & b) ^ d),
        |w, i| rotate(w, ROTATIONS[0][i]),
    );
    round(
        &mut state,
        |i| words(16 + i, (5 * i + 1) % 16),
        |sum, b, c, d| sum + (c & !d) + (b & d),
        |w, i| rotate(w, ROTATIONS[1][i]),
    );
    round(
        &mut state,
        |i| words(32 + i, (3 * i + 5) % 16),
        |sum, b, c, d| sum + ((c ^ d) ^ b),
        |w, i| rotate(w, ROTATIONS[2][i]),
    );
    round(
        &mut state,
        |i| words(48 + i, (7 * i) % 16),
        |sum, b, c, d| sum + ((b | !d) ^ c),
        |w, i| rotate(w, ROTATIONS[3][i]),
    );
    state
}

/// The sixteen steps of a round.
#[inline(always)]
fn round<W: Word, const N: usize>(
    state: &mut [[W; N]; 4],
    words: impl Fn(usize) -> [W; N],
    mix: impl Fn(W, W, W, W) -> W,
    rotate: impl Fn(W, usize) -> W,
) {
    for quad in 0..4 {
        for i in 0..4 {
            let words = words(quad * 4 + i);
            let [a, b, c, d] = from_fn(|word| (word + 4 - i) % 4);
            for n in 0..N {
                let (b, c, d) = (state[b][n], state[c][n], state[d][n]);
                state[a][n] = rotate(mix(state[a][n] + words[n], b, c, d), i) + b;
            }
        }
    }
}

/// What a step computes with.
trait Word:
    Copy
    + Add<Output = Self>
    + Not<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
{
}

impl<W> Word for W where
    W: Copy
        + Add<Output = W>
        + Not<Output = W>
        + BitAnd<Output = W>
        + BitOr<Output = W>
        + BitXor<Output = W>
{
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_any_width_hash_alike() {
        let keys: Vec<String> = (0..LANES).map(|i| "ab".repeat(i % 28)).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let expected: Vec<_> = keys.iter().map(|key| of_one(key)).collect();
        for level in levels() {
            let digests: Vec<_> = of_level(level, &keys).collect();
            assert!(digests == expected, "{level:?}");
        }
    }

    /// The widest that this processor has, and what it has besides.
    fn levels() -> Vec<Level> {
        let widest = Level::new();
        #[cfg(target_arch = "x86_64")]
        let narrower = [
            widest.as_avx2().map(Level::Avx2),
            widest.as_sse4_2().map(Level::Sse4_2),
            widest.as_sse2().map(Level::Sse2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let narrower = [];
        [widest]
            .into_iter()
            .chain(narrower.into_iter().flatten())
            .collect()
    }
}
