//! The records that every contender is given, and the proof that they arrived.

use std::ops::Range;

use brooklet::Data;
use bytes::Bytes;

/// How many keys repeat; a power of two, so that finding one costs nothing.
pub const REPEATING_KEYS: usize = 1024;
/// How many different data there are: enough to keep one reference count from being everybody's
/// bottleneck, few enough to stay in the cache.
pub const DATA: usize = 64;

/// Where the data of a record comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataKind {
    /// A clone of a shared [`Bytes`]: one reference count up, later one down.
    #[default]
    Shared,
    /// Static memory: no reference count at all, the best case of whoever keeps the handle.
    Static,
    /// Memory of its own, allocated and copied for each record.
    Fresh,
}

/// A partition key as contenders carry it that know no keys: in place, without an allocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Key {
    len: u8,
    bytes: [u8; 15],
}

/// A record as contenders carry it that know no records.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub key: Key,
    pub data: Bytes,
}

/// The records of a workload: record `i` has the key and the data at `i`, wrapped around.
#[derive(Debug)]
pub struct Records {
    kind: DataKind,
    /// The same keys in both forms.
    keys: Box<[Key]>,
    texts: String,
    data: Box<[Bytes]>,
}

/// What a reader has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub sum: u64,
    pub missed: u64,
    /// Whether it reads every byte of the data, or only the first eight.
    pub every_byte: bool,
}

impl Key {
    fn new(text: &str) -> Self {
        let mut bytes = [0; 15];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self {
            len: u8::try_from(text.len()).expect("keys are short"),
            bytes,
        }
    }

    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Records {
    pub const KEY_BYTES: usize = 12;

    /// Records of which keys repeat after [`REPEATING_KEYS`] and data after [`DATA`].
    pub fn repeating(data_bytes: usize, kind: DataKind) -> Self {
        let data = (0..DATA).map(|seed| one_data(seed, data_bytes, kind));
        Self::new(REPEATING_KEYS, kind, data.collect())
    }

    /// Records of which `keys` (a power of two) are different.
    pub fn with_keys(keys: usize, data_bytes: usize, kind: DataKind) -> Self {
        let data = (0..DATA).map(|seed| one_data(seed, data_bytes, kind));
        Self::new(keys, kind, data.collect())
    }

    /// Records of which `count` data (a power of two) are different, and lie one after the other.
    pub fn with_data(count: usize, data_bytes: usize) -> Self {
        let mut all = Vec::with_capacity(count * data_bytes);
        for seed in 0..count {
            fill(&mut all, seed, data_bytes);
        }
        let all = Bytes::from(all);
        let data = (0..count).map(|i| all.slice(i * data_bytes..(i + 1) * data_bytes));
        Self::new(REPEATING_KEYS, DataKind::Shared, data.collect())
    }

    fn new(keys: usize, kind: DataKind, data: Box<[Bytes]>) -> Self {
        assert!(keys.is_power_of_two() && data.len().is_power_of_two());
        // An odd factor: different numbers stay different.
        let texts: Vec<String> = (0..keys as u64)
            .map(|i| format!("dev-{:08}", i * 7_654_321 % 100_000_000))
            .collect();
        Self {
            kind,
            keys: texts.iter().map(|text| Key::new(text)).collect(),
            texts: texts.concat(),
            data,
        }
    }

    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub fn data_bytes(&self) -> usize {
        self.data[0].len()
    }

    #[inline]
    pub fn key(&self, index: usize) -> Key {
        self.keys[index & (self.keys.len() - 1)]
    }

    #[inline]
    pub fn key_text(&self, index: usize) -> &str {
        let at = (index & (self.keys.len() - 1)) * Self::KEY_BYTES;
        &self.texts[at..at + Self::KEY_BYTES]
    }

    #[inline]
    pub fn data(&self, index: usize) -> Bytes {
        let data = &self.data[index & (self.data.len() - 1)];
        match self.kind {
            DataKind::Shared | DataKind::Static => data.clone(),
            DataKind::Fresh => Bytes::copy_from_slice(data),
        }
    }

    /// The same data, to look at.
    #[inline]
    pub fn data_ref(&self, index: usize) -> &Bytes {
        &self.data[index & (self.data.len() - 1)]
    }

    /// The same data as brooklet takes it: lent, where a channel has to count a reference.
    #[inline]
    pub fn lent(&self, index: usize) -> Data<'_> {
        match self.kind {
            DataKind::Shared | DataKind::Static => {
                (&self.data[index & (self.data.len() - 1)]).into()
            }
            DataKind::Fresh => self.data(index).into(),
        }
    }

    #[inline]
    pub fn message(&self, index: usize) -> Message {
        Message {
            key: self.key(index),
            data: self.data(index),
        }
    }

    /// What a reader of exactly these records has seen.
    pub fn expected(&self, indices: Range<usize>, every_byte: bool) -> Tally {
        let mut tally = Tally::new(every_byte);
        for index in indices {
            let data = &self.data[index & (self.data.len() - 1)];
            tally.see(self.key_text(index).as_bytes(), data);
        }
        tally
    }
}

impl Tally {
    pub fn new(every_byte: bool) -> Self {
        Self {
            every_byte,
            ..Self::default()
        }
    }

    /// Looks at one record: the beginning of its key and of its data, or all of it.
    #[inline]
    pub fn see(&mut self, key: &[u8], data: &[u8]) {
        self.count += 1;
        let data = if self.every_byte {
            sum_of(data)
        } else {
            word(data)
        };
        self.sum = self.sum.wrapping_add(word(key)).wrapping_add(data);
    }

    #[inline]
    pub fn see_message(&mut self, message: &Message) {
        self.see(message.key.as_bytes(), &message.data);
    }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

/// Reads every byte.
#[inline]
pub fn sum_of(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks();
    let words = words.iter().copied().map(u64::from_le_bytes);
    let rest = rest.iter().copied().map(u64::from);
    words.chain(rest).fold(0, u64::wrapping_add)
}

fn one_data(seed: usize, data_bytes: usize, kind: DataKind) -> Bytes {
    let mut data = Vec::with_capacity(data_bytes);
    fill(&mut data, seed, data_bytes);
    match kind {
        DataKind::Static => Bytes::from_static(data.leak()),
        DataKind::Shared | DataKind::Fresh => Bytes::from(data),
    }
}

/// Appends data that differs from seed to seed in its first eight bytes.
fn fill(all: &mut Vec<u8>, seed: usize, data_bytes: usize) {
    let mut word = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let end = all.len() + data_bytes;
    while all.len() < end {
        let bytes = word.to_le_bytes();
        all.extend_from_slice(&bytes[..bytes.len().min(end - all.len())]);
        word = word.rotate_left(7) ^ seed as u64;
    }
}
