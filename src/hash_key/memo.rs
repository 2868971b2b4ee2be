//! The hashes of keys that a thread has put lately.
//!
//! Keys repeat: hashing one costs several times the rest of a put, looking it up a tenth of that
//! (`cargo bench --bench append -- keys`). Each thread that puts text keys into a stream of several
//! shards has a memo of 224 KiB, of which it touches what it uses. Nothing depends on it: a key
//! that is not found, because it is long, new, or was displaced, is hashed.

use std::cell::RefCell;

use crate::hash_key::HashKey;

/// Longer keys are not remembered: they are rare.
const KEY_BYTES_MAX: usize = KEY_WORDS * 8 - 1;
const KEY_WORDS: usize = 5;
const SETS: usize = 2048;

/// A key (its length, then its bytes), then its hash key. All zero: none.
type Slot = [u64; KEY_WORDS + 2];

/// Where a key may be found: its last two places are tried, and the older one is displaced.
type Set = [Slot; 2];

thread_local! {
    static SLOTS: RefCell<Vec<Set>> = const { RefCell::new(Vec::new()) };
}

/// The hash key of a partition key, from the memo if it is there.
pub(super) fn hash_key_of(key: &str) -> HashKey {
    let Some(words) = words_of(key) else {
        return HashKey::of(key);
    };
    SLOTS.with_borrow_mut(|sets| {
        if sets.is_empty() {
            // From the allocator's zeroed pages, of which only those that are used become real.
            *sets = vec![Set::default(); SETS];
        }
        let [newer, older] = &mut sets[set_of(words)];
        for slot in [&*newer, &*older] {
            if slot[..KEY_WORDS] == words {
                return HashKey::from_words([slot[KEY_WORDS], slot[KEY_WORDS + 1]]);
            }
        }
        let hash_key = HashKey::of(key);
        *older = *newer;
        newer[..KEY_WORDS].copy_from_slice(&words);
        newer[KEY_WORDS..].copy_from_slice(&hash_key.to_words());
        hash_key
    })
}

/// Length and bytes of a key, padded with zeros. `None`: it is too long.
#[inline]
fn words_of(key: &str) -> Option<[u64; KEY_WORDS]> {
    let len = u8::try_from(key.len())
        .ok()
        .filter(|_| key.len() <= KEY_BYTES_MAX)?;
    let mut bytes = [0; KEY_WORDS * 8];
    // One more, so that no key looks like an empty slot.
    bytes[0] = len + 1;
    bytes[1..=key.len()].copy_from_slice(key.as_bytes());
    let mut words = [0; KEY_WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    Some(words)
}

/// Spreads keys over the sets. Whoever finds keys of one set gains nothing: they are hashed.
#[inline]
fn set_of(words: [u64; KEY_WORDS]) -> usize {
    let spread = words.iter().fold(0_u64, |spread, word| {
        let mixed = u128::from(spread ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        fold(mixed)
    });
    usize::try_from(spread % SETS as u64).expect("an index of a set")
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
const fn fold(product: u128) -> u64 {
    (product >> 64) as u64 ^ product as u64
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
    fn keys_that_differ_in_padding_only_are_not_mixed_up() {
        for key in ["a", "a\0", "a\0\0", "\0", "\0\0", ""] {
            assert_eq!(hash_key_of(key), HashKey::of(key));
        }
    }

    #[test]
    fn a_thousand_keys_are_spread_so_that_nearly_all_are_remembered() {
        let mut counts = vec![0_usize; SETS];
        for i in 0..1000 {
            counts[set_of(words_of(&format!("customer-{i:03}")).expect("short"))] += 1;
        }
        let displaced: usize = counts.iter().map(|count| count.saturating_sub(2)).sum();
        assert!(
            displaced < 50,
            "{displaced} of 1,000 keys share a set with two others"
        );
    }
}
