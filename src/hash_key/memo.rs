//! The hashes of keys that a thread has put lately.
//!
//! Keys repeat: hashing one costs about twice the rest of a put, looking it up a part of that. Each
//! thread that puts text keys into a stream of several shards has a memo of 7 KiB, which grows up to
//! 224 KiB as long as most keys are not found in it. Nothing depends on it: a key that is not found, because it is long, new, or was displaced, is
//! hashed.

use std::cell::RefCell;

use crate::hash_key::HashKey;

/// Longer keys are not remembered: they are rare.
const KEY_BYTES_MAX: usize = KEY_WORDS * 8 - 1;
const KEY_WORDS: usize = 5;
const SETS_MIN: usize = 64;
const SETS_MAX: usize = 2048;

/// A key (its length, then its bytes), then its hash key. All zero: none.
type Slot = [u64; KEY_WORDS + 2];

/// Where a key may be found: its last two places are tried, and the older one is displaced.
type Set = [Slot; 2];

#[derive(Default)]
struct Memo {
    sets: Vec<Set>,
    /// Lookups since the memo grew that found nothing, less those that found the key.
    misses: usize,
}

thread_local! {
    static MEMO: RefCell<Memo> = const { RefCell::new(Memo { sets: Vec::new(), misses: 0 }) };
}

/// The hash key of a partition key, from the memo if it is there.
pub(super) fn hash_key_of(key: &str) -> HashKey {
    match words_of(key) {
        Some(words) => MEMO.with_borrow_mut(|memo| memo.recall(words, key)),
        None => HashKey::of(key),
    }
}

impl Memo {
    #[inline]
    fn recall(&mut self, words: [u64; KEY_WORDS], key: &str) -> HashKey {
        let spread = spread(words);
        // Before the first key there is no set.
        if let Some(set) = self.sets.get(place(spread, self.sets.len())) {
            for slot in set {
                if slot[..KEY_WORDS] == words {
                    self.misses = self.misses.saturating_sub(1);
                    return HashKey::from_words([slot[KEY_WORDS], slot[KEY_WORDS + 1]]);
                }
            }
        }
        self.remember(words, spread, HashKey::of(key))
    }

    fn remember(&mut self, words: [u64; KEY_WORDS], spread: u64, hash_key: HashKey) -> HashKey {
        self.misses += 1;
        if self.sets.is_empty() || (self.misses > 4 * self.sets.len() && self.sets.len() < SETS_MAX)
        {
            let count = (self.sets.len() * 4).clamp(SETS_MIN, SETS_MAX);
            // Of the allocator's zeroed pages only those that are used become real.
            self.sets = vec![Set::default(); count];
            self.misses = 0;
        }
        let index = place(spread, self.sets.len());
        let [newer, older] = &mut self.sets[index];
        *older = *newer;
        newer[..KEY_WORDS].copy_from_slice(&words);
        newer[KEY_WORDS..].copy_from_slice(&hash_key.to_words());
        hash_key
    }
}

/// Length and bytes of a key, padded with zeros. `None`: it is too long.
#[inline]
fn words_of(key: &str) -> Option<[u64; KEY_WORDS]> {
    let len = u8::try_from(key.len())
        .ok()
        .filter(|_| key.len() <= KEY_BYTES_MAX)?;
    let mut bytes = [0; KEY_WORDS * 8];
    // One more, so that no key looks like an empty slot.
    bytes[0] = planted!(len + 1, "memo_without_length": 1);
    bytes[1..=key.len()].copy_from_slice(key.as_bytes());
    let mut words = [0; KEY_WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    Some(words)
}

/// Spreads keys over the sets. Whoever finds keys of one set gains nothing: they are hashed.
#[inline]
fn spread(words: [u64; KEY_WORDS]) -> u64 {
    words.iter().fold(0_u64, |spread, word| {
        fold(u128::from(spread ^ word) * 0x9e37_79b9_7f4a_7c15_u128)
    })
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
const fn fold(product: u128) -> u64 {
    (product >> 64) as u64 ^ product as u64
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
        let long = ["x".repeat(39), "x".repeat(40), "日本".repeat(20)];
        for _ in 0..2 {
            for key in keys.iter().chain(&long) {
                assert_eq!(hash_key_of(key), HashKey::of(key));
                assert_eq!(hash_key_of(key), HashKey::of(key));
            }
        }
    }

    #[test]
    fn the_memo_grows_only_as_long_as_most_keys_are_not_found() {
        let mut memo = Memo::default();
        let recall = |memo: &mut Memo, keys: usize| {
            for i in 0..keys * 50 {
                let key = format!("key-{}", i % keys);
                memo.recall(words_of(&key).expect("it is short"), &key);
            }
            memo.sets.len()
        };
        assert_eq!(recall(&mut memo, 50), SETS_MIN);
        assert_eq!(recall(&mut memo, 10_000), SETS_MAX);
    }

    #[test]
    fn keys_that_differ_in_padding_only_are_not_mixed_up() {
        for key in ["a", "a\0", "a\0\0", "\0", "\0\0", ""] {
            assert_eq!(hash_key_of(key), HashKey::of(key));
        }
    }

    #[test]
    fn a_thousand_keys_are_spread_so_that_nearly_all_are_remembered() {
        let mut counts = vec![0_usize; SETS_MAX];
        for i in 0..1000 {
            let words = words_of(&format!("customer-{i:03}")).expect("it is short");
            counts[place(spread(words), SETS_MAX)] += 1;
        }
        let displaced: usize = counts.iter().map(|count| count.saturating_sub(2)).sum();
        assert!(
            displaced < 50,
            "{displaced} of 1,000 keys share a set with two others"
        );
    }
}
