//! Whether the whole of the public face is linearizable: whatever several threads were answered, one
//! thread could have been, in an order in which no call comes before another that had returned.
//!
//! [`history`] has threads put, read, begin at the tip, trim and split, and records each call with
//! its answer and when it was called and returned, by one counter. [`model`] says what one thread is
//! answered. A [checker](porcupine_rs) looks for the order, shard by shard; that it finds the
//! faults of a wrong history is tested for each kind of fault in [`faults`].
//!
//! `HISTORIES` sets how many histories are checked, `SEED` the first of their seeds. What threads do
//! is decided by the seed, not how they meet.
#![cfg(test)]

mod faults;
mod history;
mod model;

use std::time::Instant;

use history::{Settings, record};
use model::is_linearizable;

const HISTORIES: u64 = 200;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn what_threads_are_answered_one_thread_could_have_been() {
    let count = setting("HISTORIES").unwrap_or(HISTORIES);
    let first = setting("SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH);
        since.expect("later than 1970").as_secs() * 1_000_000
    });
    let (began, mut calls, mut overlapping) = (Instant::now(), 0, 0);
    for seed in first..first + count {
        let history = record(Settings::of(seed), seed);
        calls += history.calls.len();
        overlapping += history.overlapping();
        assert!(
            is_linearizable(&history.calls),
            "SEED={seed}: {:?}: no order explains it:\n{}",
            history.settings,
            history.text()
        );
    }
    let seconds = began.elapsed().as_secs_f64();
    eprintln!(
        "{count} histories from SEED={first}: {calls} calls, {overlapping} of them overlapping, {seconds:.1} s"
    );
    assert!(overlapping > 0, "no two calls were under way at once");
}
