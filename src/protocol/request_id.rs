//! The ids that every answer has.

use std::cell::RefCell;

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::base64::encode_base64;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
static EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Letters of a UUID, and of 72 bytes in base64.
const UUID_LETTERS: usize = 36;
const EXTENDED_LETTERS: usize = 96;

/// Ids are written so many at a time: the loops are long enough to be quick.
const BATCH: usize = 32;

thread_local! {
    static IDS: RefCell<Ids> = RefCell::default();
}

/// The ids of the next answers of a thread, one behind the other.
#[derive(Default)]
struct Ids {
    random: Rng,
    uuids: Vec<u8>,
    extended: String,
    /// How many of them no answer has yet.
    left: usize,
}

impl Ids {
    /// Both are copied: with a share in memory that others have, too, each would have to be counted.
    fn next(&mut self) -> [HeaderValue; 2] {
        if self.left == 0 {
            self.write();
        }
        self.left -= 1;
        [
            value(&self.uuids[self.left * UUID_LETTERS..][..UUID_LETTERS]),
            value(&self.extended.as_bytes()[self.left * EXTENDED_LETTERS..][..EXTENDED_LETTERS]),
        ]
    }

    fn write(&mut self) {
        self.uuids.resize(BATCH * UUID_LETTERS, 0);
        for uuid in self.uuids.chunks_exact_mut(UUID_LETTERS) {
            write_uuid(self.random.u64(..), self.random.u64(..), uuid);
        }
        // Three bytes are four letters: each id is of bytes of its own.
        let mut bytes = [0; BATCH * EXTENDED_LETTERS / 4 * 3];
        self.random.fill(&mut bytes);
        self.extended = encode_base64(bytes);
        self.left = BATCH;
    }
}

/// Adds the id of a request, a UUID, and the id that the service's support asks for.
pub(crate) fn add(headers: &mut HeaderMap) {
    let [uuid, extended] = IDS.with_borrow_mut(Ids::next);
    headers.insert(&REQUEST_ID, uuid);
    headers.insert(&EXTENDED_ID, extended);
}

/// Writes a UUID of version 4.
fn write_uuid(high: u64, low: u64, out: &mut [u8]) {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let [first, second, third, fourth] = [high >> 32, high, low >> 32, low].map(hexadecimal);
    out.fill(b'-');
    out[..8].copy_from_slice(&first);
    out[9..13].copy_from_slice(&second[..4]);
    out[14..18].copy_from_slice(&second[4..]);
    out[19..23].copy_from_slice(&third[..4]);
    out[24..28].copy_from_slice(&third[4..]);
    out[28..].copy_from_slice(&fourth);
}

/// The eight digits of the lower half of a number, all at once.
const fn hexadecimal(number: u64) -> [u8; 8] {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // One digit in each byte.
    let spread = number & 0xffff_ffff;
    let spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    let spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    let digits = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    // Ten and more reach sixteen with six; the letters are as far behind the digits.
    let letters = (digits + EACH * 6) >> 4 & EACH;
    (digits + EACH * b'0' as u64 + letters * (b'a' - b'9' - 1) as u64).to_be_bytes()
}

fn value(id: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(id).expect("it is of visible characters")
}

#[cfg(test)]
mod tests {
    use crate::base64::decode_base64;

    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 0x0123_4567, 0x89ab_cdef, 0xffff_ffff, 0x9090_a0af] {
            let expected = format!("{number:08x}");
            assert_eq!(hexadecimal(number | 1 << 40), expected.as_bytes());
        }
    }

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
