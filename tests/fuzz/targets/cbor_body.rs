#![no_main]

#[allow(dead_code, reason = "each target is one of them")]
#[path = "../../corpus/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::cbor_body(bytes));
