//! The ids that every answer has.

use std::cell::RefCell;

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
static EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Letters of a UUID, and of 72 bytes in base64.
const UUID_LETTERS: usize = 36;
const EXTENDED_LETTERS: usize = 96;

thread_local! {
    static RANDOM: RefCell<Rng> = RefCell::new(Rng::new());
}

/// Adds the id of a request, a UUID, and the id that the service's support asks for.
pub(crate) fn add(headers: &mut HeaderMap) {
    // Both ids share an allocation.
    let mut text = [0; UUID_LETTERS + EXTENDED_LETTERS];
    let (uuid, extended) = text.split_at_mut(UUID_LETTERS);
    let words: [u64; 11] = RANDOM.with_borrow_mut(|random| std::array::from_fn(|_| random.u64(..)));
    write_uuid(words[0], words[1], uuid);
    write_base64(&words[2..], extended);
    let text = Bytes::copy_from_slice(&text);
    headers.insert(&REQUEST_ID, value(text.slice(..UUID_LETTERS)));
    headers.insert(&EXTENDED_ID, value(text.slice(UUID_LETTERS..)));
}

/// Writes a UUID of version 4.
fn write_uuid(high: u64, low: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let number = u128::from(high) << 64 | u128::from(low);
    // Where hyphens are left.
    let starts = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    out.fill(b'-');
    for (byte, start) in number.to_be_bytes().into_iter().zip(starts) {
        out[start] = DIGITS[usize::from(byte >> 4)];
        out[start + 1] = DIGITS[usize::from(byte & 0xf)];
    }
}

/// Writes words of 72 bytes in base64.
fn write_base64(words: &[u64], out: &mut [u8]) {
    let mut bytes = [0; EXTENDED_LETTERS / 4 * 3];
    for (piece, word) in bytes.chunks_exact_mut(8).zip(words) {
        piece.copy_from_slice(&word.to_ne_bytes());
    }
    let letters = base64_simd::STANDARD.encode(&bytes, base64_simd::Out::from_slice(out));
    debug_assert_eq!(letters.len(), EXTENDED_LETTERS);
}

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("it is of visible characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_the_services_and_are_never_the_same() {
        let mut seen = Vec::new();
        for _ in 0..100 {
            let mut headers = HeaderMap::new();
            add(&mut headers);
            let uuid = headers["x-amzn-requestid"].to_str().unwrap();
            let parts: Vec<_> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
            let is_hex = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
            assert!(uuid.chars().all(is_hex), "{uuid}");
            let extended = headers["x-amz-id-2"].to_str().unwrap();
            let bytes = base64_simd::STANDARD.decode_to_vec(extended).unwrap();
            assert_eq!(bytes.len(), 72);
            seen.extend([uuid.to_owned(), extended.to_owned()]);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 200);
    }
}
