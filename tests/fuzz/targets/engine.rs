#![no_main]

#[path = "../../common/mod.rs"]
mod common;
#[path = "../../model/limits.rs"]
mod limits;
#[allow(dead_code, reason = "the machine of random operations uses the rest")]
#[path = "../../model/op.rs"]
mod op;
#[path = "../../corpus/ops.rs"]
mod ops;
#[allow(dead_code, reason = "the machine of random operations uses the rest")]
#[path = "../../model/run.rs"]
mod run;
#[path = "../../model/twin.rs"]
mod twin;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ops::engine(bytes));
