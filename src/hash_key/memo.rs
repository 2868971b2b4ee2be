//! The hashes of keys that a thread has put lately.
//!
//! Keys repeat: hashing one costs about twice the rest of a put, looking it up a part of that. Each
//! thread that puts text keys into a stream of several shards has a memo of 3 KiB for those of up to 15
//! bytes, which grows up to 152 KiB as long as more than one key in 17 is not found in it, and one of 4 to
//! 250 KiB if it puts any of up to 39. Nothing depends on them: a key that is not found, because it
//! is long, new, or was displaced, is hashed.

use std::cell::RefCell;

use crate::hash_key::HashKey;

/// Words of a short key: half of the work, and more of the memo in the fastest cache.
const SHORT: usize = 2;
/// Longer keys than these words have are not remembered: they are rare.
const LONG: usize = 5;
const SETS_MIN: usize = 16;
const SETS_MAX: usize = 1024;
/// Places of a set. Of two, a quarter of a thousand keys in as many sets of them would displace each
/// other; of four in half as many, a fiftieth does.
const WAYS: usize = 4;
/// A key that is not found counts as much as so many that are, which take as long together as hashing
/// it twice: a memo that is too small is felt long before one that is too large.
const MISS_COST: usize = 16;

/// A key of so many words. All zero: none.
#[derive(Clone, Copy)]
struct Slot<const WORDS: usize> {
    /// Its bytes, and its length.
    key: [u64; WORDS],
    hash_key: [u64; 2],
}

/// Where a key may be found.
#[derive(Clone, Copy)]
struct Set<const WORDS: usize> {
    /// Of each key a part of what spreads it: only where that is equal, keys are compared.
    tags: [u32; WAYS],
    slots: [Slot<WORDS>; WAYS],
    /// The key that is displaced next.
    oldest: usize,
}

struct Memo<const WORDS: usize> {
    sets: Vec<Set<WORDS>>,
    /// Lookups since the memo grew that found nothing, [`MISS_COST`] for each, less those that found the
    /// key.
    misses: usize,
}

thread_local! {
    static OF_SHORT: RefCell<Memo<SHORT>> = const { RefCell::new(Memo::NEW) };
    static OF_LONG: RefCell<Memo<LONG>> = const { RefCell::new(Memo::NEW) };
}

/// The hash key of a partition key, from a memo if it is there.
pub(super) fn hash_key_of(key: &str) -> HashKey {
    match words_of(key) {
        Some(words) => OF_SHORT.with_borrow_mut(|memo| memo.recall(words, key)),
        None => hash_key_of_long(key),
    }
}

#[inline(never)]
fn hash_key_of_long(key: &str) -> HashKey {
    match words_of(key) {
        Some(words) => OF_LONG.with_borrow_mut(|memo| memo.recall(words, key)),
        None => HashKey::of(key),
    }
}

impl<const WORDS: usize> Set<WORDS> {
    const EMPTY: Self = Self {
        tags: [0; WAYS],
        slots: [Slot {
            key: [0; WORDS],
            hash_key: [0; 2],
        }; WAYS],
        oldest: 0,
    };
}

impl<const WORDS: usize> Memo<WORDS> {
    const NEW: Self = Self {
        sets: Vec::new(),
        misses: 0,
    };

    #[inline]
    fn recall(&mut self, words: [u64; WORDS], key: &str) -> HashKey {
        let spread = spread(words);
        // Before the first key there is no set.
        if let Some(set) = self.sets.get(place(spread, self.sets.len())) {
            for (tag, slot) in set.tags.iter().zip(&set.slots) {
                if *tag == tag_of(spread) && slot.is_of(words) {
                    self.misses = self.misses.saturating_sub(1);
                    return HashKey::from_words(slot.hash_key);
                }
            }
        }
        self.remember(words, spread, HashKey::of(key))
    }

    fn remember(&mut self, words: [u64; WORDS], spread: u64, hash_key: HashKey) -> HashKey {
        self.misses += MISS_COST;
        let sets = self.sets.len();
        if sets == 0 || (self.misses > 2 * MISS_COST * WAYS * sets && sets < SETS_MAX) {
            self.sets = vec![Set::EMPTY; (sets * 4).clamp(SETS_MIN, SETS_MAX)];
            self.misses = 0;
        }
        let index = place(spread, self.sets.len());
        let set = &mut self.sets[index];
        set.tags[set.oldest] = tag_of(spread);
        set.slots[set.oldest] = Slot {
            key: words,
            hash_key: hash_key.to_words(),
        };
        set.oldest = (set.oldest + 1) % WAYS;
        hash_key
    }
}

/// Bytes of a key, padded with zeros, and its length. `None`: it is too long.
///
/// Each word is read from the key as it lies there. Copied first and read back as words, it would have to
/// wait for the copy (a fifth of a put).
#[inline]
fn words_of<const WORDS: usize>(key: &str) -> Option<[u64; WORDS]> {
    let bytes = key.as_bytes();
    if bytes.len() >= WORDS * 8 {
        return None;
    }
    let mut words: [u64; WORDS] = std::array::from_fn(|index| word_at(bytes, index * 8));
    // One more, so that no key looks like an empty slot.
    let length = bytes.len() as u64;
    words[WORDS - 1] |= planted!(length + 1, "memo_without_length": 1) << 56;
    Some(words)
}

/// The eight bytes from a place on, as far as there are some.
#[inline]
fn word_at(bytes: &[u8], from: usize) -> u64 {
    let rest = bytes.get(from..).unwrap_or_default();
    if let Some(word) = rest.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(last), false) = (bytes.last_chunk(), rest.is_empty()) {
        // Without the bytes before the place.
        return u64::from_le_bytes(*last) >> (64 - 8 * rest.len());
    }
    // Fewer than eight bytes: two pieces that overlap.
    if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (rest.len() - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    rest.iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Spreads keys over the sets. Whoever finds keys of one set gains nothing: they are hashed.
#[inline]
fn spread<const WORDS: usize>(words: [u64; WORDS]) -> u64 {
    // Odd numbers without a pattern: the golden ratio, and roots of the first primes.
    const ODD: [u64; 5] = [
        0x9e37_79b9_7f4a_7c15,
        0x6a09_e667_f3bc_c909,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
    ];
    // Pairs side by side, so that none waits for another.
    let (pairs, rest) = words.as_chunks();
    let mut all = rest.iter().fold(0, |all, word| all ^ word);
    for ([a, b], odd) in pairs.iter().zip(ODD[1..].as_chunks::<2>().0) {
        let pair = fold((a ^ odd[0]) as u128 * (b ^ odd[1]) as u128);
        all = all.rotate_left(32) ^ pair;
    }
    fold(all as u128 * ODD[0] as u128)
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
const fn fold(product: u128) -> u64 {
    (product >> 64) as u64 ^ product as u64
}

impl<const WORDS: usize> Slot<WORDS> {
    /// Whether it is that of a key. Word by word: the key's were written one by one just now.
    #[inline]
    fn is_of(&self, words: [u64; WORDS]) -> bool {
        (0..WORDS).all(|index| self.key[index] == words[index])
    }
}

/// The part of a key's spread that does not choose its set.
#[inline]
const fn tag_of(spread: u64) -> u32 {
    (spread >> 32) as u32
}

/// The index of a key's set, of a power of two of them; 0 of none.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "only the low bits are used"
)]
const fn place(spread: u64, sets: usize) -> usize {
    spread as usize & sets.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_hashes_alike_whether_it_is_new_known_displaced_or_long() {
        let keys: Vec<_> = (0..20_000).map(|i| format!("key-{i}")).collect();
        let long = [15, 16, 39, 40].map(|len| "x".repeat(len));
        let long = long.into_iter().chain(["日本".repeat(20)]);
        let long: Vec<_> = long.collect();
        for _ in 0..2 {
            for key in keys.iter().chain(&long) {
                assert_eq!(hash_key_of(key), HashKey::of(key));
                assert_eq!(hash_key_of(key), HashKey::of(key));
            }
        }
    }

    /// Sets after so many keys came fifty times each, and how many of a hundred were found in the end.
    fn recall_often(keys: usize, nth: impl Fn(usize) -> usize) -> (usize, usize) {
        let (mut memo, mut found) = (Memo::<SHORT>::NEW, 0);
        for i in 0..keys * 50 {
            let key = format!("customer-{:03}", nth(i) % keys);
            let before = memo.misses;
            memo.recall(words_of(&key).expect("it is short"), &key);
            let was_found = memo.misses <= before;
            found += usize::from(was_found && i >= keys * 40);
        }
        (memo.sets.len(), found / (keys / 10))
    }

    /// The numbers in another order, as good as random.
    fn shuffled(i: usize) -> usize {
        let i = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from((i ^ i >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40).unwrap()
    }

    #[test]
    fn the_memo_grows_only_as_long_as_keys_are_not_found() {
        assert_eq!(recall_often(30, |i| i).0, SETS_MIN);
        assert_eq!(recall_often(30, shuffled).0, SETS_MIN);
        assert_eq!(recall_often(5_000, |i| i).0, SETS_MAX);
    }

    #[test]
    fn of_a_thousand_keys_nearly_all_are_found_in_any_order() {
        let orders: [fn(usize) -> usize; 2] = [|i| i, shuffled];
        for nth in orders {
            let (sets, found) = recall_often(1000, nth);
            assert_eq!(sets, SETS_MAX);
            assert!(found >= 97, "{found} of 100 keys");
        }
    }

    #[test]
    fn the_words_of_a_key_are_its_bytes_and_its_length() {
        let text: String = ('!'..='~').collect();
        assert_words::<SHORT>(&text);
        assert_words::<LONG>(&text);
    }

    fn assert_words<const WORDS: usize>(text: &str) {
        let bytes_max = WORDS * 8 - 1;
        for len in 0..=bytes_max {
            for from in [0, 1, 7] {
                let key = &text[from..from + len];
                let mut bytes = vec![0; WORDS * 8];
                bytes[..len].copy_from_slice(key.as_bytes());
                bytes[bytes_max] = u8::try_from(len + 1).unwrap();
                let words = words_of::<WORDS>(key).unwrap();
                let words = words.map(u64::to_le_bytes).concat();
                assert_eq!(words, bytes, "of {key:?}");
            }
        }
        assert_eq!(words_of::<WORDS>(&text[..=bytes_max]), None);
    }

    #[test]
    fn keys_that_differ_in_padding_only_are_not_mixed_up() {
        for key in ["a", "a\0", "a\0\0", "\0", "\0\0", ""] {
            assert_eq!(hash_key_of(key), HashKey::of(key));
        }
    }

    #[test]
    fn a_key_in_the_place_of_another_is_not_taken_for_it() {
        let [here, there] = ["here", "there"].map(|key| words_of(key).unwrap());
        let mut memo = Memo::<SHORT>::NEW;
        memo.remember(there, spread(here), HashKey::of("there"));
        assert_eq!(memo.recall(here, "here"), HashKey::of("here"));
    }

    #[test]
    fn a_slot_is_that_of_a_key_if_all_words_are_equal() {
        let key = words_of::<LONG>("a key of more than four words of text").unwrap();
        let slot = Slot {
            key,
            hash_key: [0; 2],
        };
        assert!(slot.is_of(key));
        for index in 0..LONG {
            let mut other = key;
            other[index] ^= 1;
            assert!(!slot.is_of(other), "word {index} is another");
        }
    }
}
