//! The ids that every answer has.

use std::cell::RefCell;

use fastrand::Rng;
use http::{HeaderMap, HeaderValue};

thread_local! {
    static RANDOM: RefCell<Rng> = RefCell::new(Rng::new());
}

/// Adds the id of a request, a UUID, and the id that the service's support asks for.
pub(crate) fn add(headers: &mut HeaderMap) {
    let [high, low] = random();
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    );
    headers.insert("x-amzn-requestid", text(&id));
    let words: [u64; 9] = random();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let extended = base64_simd::STANDARD.encode_to_string(&bytes);
    headers.insert("x-amz-id-2", text(&extended));
}

fn random<const N: usize>() -> [u64; N] {
    RANDOM.with_borrow_mut(|random| std::array::from_fn(|_| random.u64(..)))
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("it is of visible characters")
}
