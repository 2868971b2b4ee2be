//! The ids that every answer has.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::base64::encode_base64;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
static EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Letters of a UUID, and of 72 bytes in base64.
const UUID_LETTERS: usize = 36;
const EXTENDED_LETTERS: usize = 96;

/// Ids are written so many at a time: they share an allocation, and the loops are long enough to be quick.
const BATCH: usize = 32;

thread_local! {
    static IDS: RefCell<Ids> = RefCell::default();
}

/// The ids of the next answers of a thread, one behind the other.
#[derive(Default)]
struct Ids {
    random: Rng,
    uuids: Bytes,
    extended: Bytes,
}

impl Ids {
    fn next(&mut self) -> [Bytes; 2] {
        if self.uuids.is_empty() {
            self.write();
        }
        [
            self.uuids.split_to(UUID_LETTERS),
            self.extended.split_to(EXTENDED_LETTERS),
        ]
    }

    fn write(&mut self) {
        let mut uuids = BytesMut::zeroed(BATCH * UUID_LETTERS);
        for uuid in uuids.chunks_exact_mut(UUID_LETTERS) {
            write_uuid(self.random.u64(..), self.random.u64(..), uuid);
        }
        self.uuids = uuids.freeze();
        // Three bytes are four letters: each id is of bytes of its own.
        let mut bytes = [0; BATCH * EXTENDED_LETTERS / 4 * 3];
        self.random.fill(&mut bytes);
        self.extended = encode_base64(bytes).into();
    }
}

/// Adds the id of a request, a UUID, and the id that the service's support asks for.
pub(crate) fn add(headers: &mut HeaderMap) {
    let [uuid, extended] = IDS.with_borrow_mut(Ids::next);
    headers.insert(&REQUEST_ID, value(uuid));
    headers.insert(&EXTENDED_ID, value(extended));
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

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("it is of visible characters")
}

#[cfg(test)]
mod tests {
    use crate::base64::decode_base64;

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
            let bytes = decode_base64(extended).unwrap();
            assert_eq!(bytes.len(), 72);
            seen.extend([uuid.to_owned(), extended.to_owned()]);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 200);
    }
}
