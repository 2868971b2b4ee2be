#![no_main]

#[allow(dead_code, reason = "each target is one of them")]
#[path = "../../corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::shard_id(bytes));
