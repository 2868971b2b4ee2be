//! MD5 of several short keys at once.
//!
//! The steps of one MD5 wait for each other, which leaves most of a processor idle. Many keys side
//! by side, a lane each, fill it: for short keys that costs less than half of hashing them one after
//! another. Wider vectors than each processor has would halve it again, but choosing them at run time takes
//! unsafe code or a heavy dependency ([the manual](crate::manual::speed) has figures). The algorithm is
//! that of RFC 1321; what it computes is checked against the `md-5` crate.

/// Keys that are hashed side by side. So many that the compiler turns each step into a loop over
/// vectors; of fewer lanes it makes scalar instructions, which cost a quarter more.
pub(super) const LANES: usize = 64;

/// The longest key that fits one block with its padding.
pub(super) const KEY_BYTES_MAX: usize = 55;

type Lanes = [u32; LANES];

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

/// The digests of up to [`LANES`] keys of up to [`KEY_BYTES_MAX`] bytes, as big-endian numbers.
pub(super) fn md5(keys: &[&str]) -> [u128; LANES] {
    let blocks = transposed(keys);
    let start = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut state = start.map(|word| [word; LANES]);
    round::<0>(&mut state, &blocks, |b, c, d| (b & c) | (!b & d));
    round::<1>(&mut state, &blocks, |b, c, d| (b & d) | (c & !d));
    round::<2>(&mut state, &blocks, |b, c, d| b ^ c ^ d);
    round::<3>(&mut state, &blocks, |b, c, d| c ^ (b | !d));
    std::array::from_fn(|lane| {
        let word = |i: usize| u128::from(state[i][lane].wrapping_add(start[i]).swap_bytes());
        word(0) << 96 | word(1) << 64 | word(2) << 32 | word(3)
    })
}

/// The padded blocks, word by word, with a lane for each key.
fn transposed(keys: &[&str]) -> [Lanes; 16] {
    let mut words = [[0; LANES]; 16];
    for (lane, key) in keys.iter().enumerate() {
        // Word by word: written as bytes and read back as words, each block would have to wait for that.
        let (whole, rest) = key.as_bytes().split_at(key.len() / 4 * 4);
        for (word, bytes) in words.iter_mut().zip(whole.chunks_exact(4)) {
            word[lane] = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        words[whole.len() / 4][lane] = u32::from_le_bytes(last);
        words[14][lane] = u32::try_from(key.len() * 8).expect("a key is short");
    }
    words
}

/// The sixteen steps of a round.
#[inline(always)]
fn round<const ROUND: usize>(
    [a, b, c, d]: &mut [Lanes; 4],
    blocks: &[Lanes; 16],
    mix: impl Fn(u32, u32, u32) -> u32 + Copy,
) {
    let (factor, offset) = [(1, 0), (5, 1), (3, 5), (7, 0)][ROUND];
    for quad in 0..4 {
        let step = |i: usize| {
            let i = quad * 4 + i;
            (SINES[ROUND * 16 + i], &blocks[(i * factor + offset) % 16])
        };
        let rotations = ROTATIONS[ROUND];
        turn(a, (b, c, d), step(0), rotations[0], mix);
        turn(d, (a, b, c), step(1), rotations[1], mix);
        turn(c, (d, a, b), step(2), rotations[2], mix);
        turn(b, (c, d, a), step(3), rotations[3], mix);
    }
}

/// One step, in all lanes.
#[inline(always)]
fn turn(
    to: &mut Lanes,
    (b, c, d): (&Lanes, &Lanes, &Lanes),
    (sine, words): (u32, &Lanes),
    rotation: u32,
    mix: impl Fn(u32, u32, u32) -> u32,
) {
    for lane in 0..LANES {
        let sum = to[lane]
            .wrapping_add(mix(b[lane], c[lane], d[lane]))
            .wrapping_add(sine)
            .wrapping_add(words[lane]);
        to[lane] = sum.rotate_left(rotation).wrapping_add(b[lane]);
    }
}
