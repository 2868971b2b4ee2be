//! A partition key that an owned record keeps.

use crate::log::chunk::UNIT_BYTES;

/// A copy of a partition key.
///
/// It is here because asking bytes whether they are text, each time that somebody wants to see the
/// key, costs as much as all the rest of an owned record.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OwnedKey(Key);

/// A key has one form, so that equal keys are equal: short if it fits, with zeros behind it.
///
/// Short keys lie in the record itself: that is cheaper than counting references.
#[derive(Clone, PartialEq, Eq)]
enum Key {
    Short { len: u8, bytes: ShortKey },
    Long(Box<str>),
}

/// Whole words: so a record is moved by words.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
struct ShortKey([u8; SHORT_KEY_BYTES_MAX]);

const SHORT_KEY_BYTES_MAX: usize = 24;

impl OwnedKey {
    #[inline]
    pub(crate) fn new(key: &str) -> Self {
        let len = match u8::try_from(key.len()) {
            Ok(len) if key.len() <= SHORT_KEY_BYTES_MAX => len,
            _ => return Self(Key::Long(key.into())),
        };
        let key = key.as_bytes();
        let mut bytes = [0; SHORT_KEY_BYTES_MAX];
        match (
            key.first_chunk::<UNIT_BYTES>(),
            key.last_chunk::<UNIT_BYTES>(),
        ) {
            // As most are: two words, which is cheaper than a call that copies. Of the last one, what the
            // first one has as well is shifted out: in two steps, since it may be all of it.
            (Some(first), Some(last)) if key.len() <= 2 * UNIT_BYTES => {
                let half = (2 * UNIT_BYTES - key.len()) * 4;
                let behind_first = u64::from_le_bytes(*last) >> half >> half;
                bytes[..UNIT_BYTES].copy_from_slice(first);
                bytes[UNIT_BYTES..2 * UNIT_BYTES].copy_from_slice(&behind_first.to_le_bytes());
            }
            _ => bytes[..key.len()].copy_from_slice(key),
        }
        let bytes = ShortKey(bytes);
        Self(Key::Short { len, bytes })
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Key::Short { len, bytes } => {
                let key = &bytes.0[..usize::from(*len)];
                // SAFETY: `new`, which alone makes one, has copied these bytes, and so many of them,
                // from a `str`.
                unsafe { std::str::from_utf8_unchecked(key) }
            }
            Key::Long(key) => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_key_is_the_text_that_it_was_made_of() {
        let text = "aä€𝄞bcdefghijklmnopqrstuvwxyz0123456789".repeat(8);
        for (end, _) in text.char_indices() {
            let key = OwnedKey::new(&text[..end]);
            assert_eq!(key.as_str(), &text[..end]);
            assert!(key == OwnedKey::new(&text.clone()[..end]));
        }
    }
}
