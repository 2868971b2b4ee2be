//! Iterators and pages, handed to a client and taken back.
//!
//! A token is its content, and a code that only this account can make: it is refused unless both are
//! as they were. The content is read after that only, so whatever a client makes up is never looked
//! at. Each token has a serial number, so that no two are the same.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::base64::{decode_base64, encode_base64};

/// What tokens of the service begin with, so that ours look like them.
const PREFIX: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
/// Bytes of the code.
pub(crate) const CODE_BYTES: usize = 16;

/// The key of an account's tokens.
pub(crate) struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// A key that nobody knows.
    pub(crate) fn random() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random numbers");
        Self(Hmac::new_from_slice(&key).expect("a key may have any length"))
    }

    /// The text of a token with some content.
    pub(crate) fn seal(&self, content: &[u8]) -> String {
        let mut bytes = content.to_vec();
        bytes.extend_from_slice(&self.code(content));
        encode_base64(&bytes)
    }

    /// The content of a token, if it is one of this account.
    pub(crate) fn open(&self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = decode_base64(text)?;
        let content = bytes.len().checked_sub(CODE_BYTES)?;
        // In constant time, so that no code can be guessed byte by byte.
        let mac = self.0.clone().chain_update(&bytes[..content]);
        mac.verify_truncated_left(&bytes[content..]).ok()?;
        bytes.truncate(content);
        Some(bytes)
    }

    fn code(&self, content: &[u8]) -> [u8; CODE_BYTES] {
        let code = self.0.clone().chain_update(content).finalize().into_bytes();
        std::array::from_fn(|index| code[index])
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

/// Writes the content of a token.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

/// Reads the content of a token.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl Writer {
    /// Begins a token of a kind.
    pub(crate) fn new(kind: u8) -> Self {
        let mut content = PREFIX.to_vec();
        content.push(kind);
        Self(content)
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let mut this = self.number(text.len() as u64);
        this.0.extend_from_slice(text.as_bytes());
        this
    }

    /// Ends a token that has so many bytes with its code, unless it has more.
    pub(crate) fn padded(mut self, bytes: usize) -> Self {
        let length = bytes.saturating_sub(CODE_BYTES).max(self.0.len());
        self.0.resize(length, 0);
        self
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Reader<'a> {
    /// Reads a token of a kind; `None` if it is of another.
    pub(crate) fn new(kind: u8, content: &'a [u8]) -> Option<Self> {
        let (first, rest) = content.strip_prefix(&PREFIX)?.split_first()?;
        (*first == kind).then_some(Self(rest))
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// `Some` if all was read but what only fills the token.
    pub(crate) fn end(self) -> Option<()> {
        self.0.iter().all(|byte| *byte == 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_to_what_was_sealed() {
        let key = TokenKey::random();
        let content = Writer::new(1).number(7).text("orders");
        let opened = key.open(&key.seal(content.content())).expect("it is one");
        let mut reader = Reader::new(1, &opened).expect("it is of this kind");
        assert_eq!((reader.number(), reader.text()), (Some(7), Some("orders")));
        assert_eq!(reader.end(), Some(()));
        assert!(Reader::new(2, &opened).is_none());
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_none() {
        let key = TokenKey::random();
        let token = key.seal(Writer::new(1).number(7).text("orders").content());
        let bytes = decode_base64(&token).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = encode_base64(&changed);
            assert_eq!(key.open(&text), None);
        }
        for length in 0..token.len() {
            assert_eq!(key.open(&token[..length]), None);
        }
        assert_eq!(TokenKey::random().open(&token), None);
    }
}
