//! Random operations on a stream and on its twin, which must agree in everything that can be seen.
//!
//! [`twin`] is the executable specification: what a stream does, said naively. [`op`] has the
//! operations, [`run`] does each to both and compares. The clock is turned by hand, also back.
//!
//! `PROPTEST_CASES` sets how many cases are run. A failure shows the plan of the stream and the
//! fewest operations that still fail: write them down as a test below.

#[path = "../common/mod.rs"]
mod common;
mod limits;
mod op;
mod run;
mod twin;

use std::cell::RefCell;
use std::collections::BTreeSet;

use brooklet::{Error, HashKey, Limits, Stream};
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::op::{ops, plans};
use crate::run::{Run, TO_BE_SEEN};

const CASES: u32 = 4_000;

#[test]
fn any_operations_do_to_a_stream_what_they_do_to_its_twin() {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let cases = cases.unwrap_or(CASES);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let seen = RefCell::new(BTreeSet::new());
    let result = TestRunner::new(config).run(&(plans(), ops()), |(plan, ops)| {
        seen.borrow_mut().extend(Run::new(&plan).run(&ops));
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, (plan, ops))) => {
            let ops: Vec<_> = ops.iter().map(|op| format!("    {op:?},\n")).collect();
            panic!("{why}\n{plan:?}\n[\n{}]", ops.concat());
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    // A few cases need not see everything.
    if cases >= CASES {
        let seen = seen.into_inner();
        let unseen: Vec<_> = TO_BE_SEEN
            .iter()
            .filter(|what| !seen.contains(*what))
            .collect();
        assert!(unseen.is_empty(), "{cases} cases saw nothing of {unseen:?}");
    }
}

/// A put that the limits refuse was tried twice, and counted twice.
#[test]
fn a_put_that_is_throttled_counts_once() {
    let limits = Limits::unlimited().write_records_per_second(Some(1));
    let (stream, _clock) = common::build(Stream::builder("orders").limits(limits));
    let producer = stream.producer();
    producer
        .put_record("key", "first")
        .expect("there is room for one");
    for throttled in 1..=3 {
        let error = common::refused(producer.put_record("key", "more"));
        assert_eq!(error.code(), "ProvisionedThroughputExceededException");
        assert_eq!(
            stream.metrics().sum(|shard| shard.puts_throttled),
            throttled
        );
    }
}

/// A clock ran ahead and was set back. A shard that was split then counted as closed long ago, and
/// was forgotten at once, with records that had not expired.
#[test]
fn a_split_after_the_clock_was_set_back_keeps_the_records_of_the_parent() {
    let builder = Stream::builder("orders").retention(common::secs(100));
    let (stream, clock) = common::build(builder);
    clock.advance(common::secs(1_000));
    assert_eq!(stream.shards().len(), 1);
    clock.set(stream.created());
    common::put_into(&stream, 0, "kept");
    stream
        .split_shard(common::id(0), HashKey::new(1 << 127))
        .expect("it is open");
    assert_eq!(common::texts(&common::read_shard(&stream, 0)), ["kept"]);
}

/// The limit that was named left out what large data takes besides, and was above the size refused.
#[test]
fn a_record_too_large_for_the_capacity_is_told_a_size_that_fits() {
    let (stream, _clock) = common::build(Stream::builder("orders").capacity_bytes(1_024));
    let producer = stream.producer();
    let error = common::refused(producer.put_record("key", vec![0; 1_000]));
    let Error::RecordTooLarge {
        data_bytes: 1_000,
        limit_bytes,
    } = error
    else {
        panic!("it is too large: {error:?}");
    };
    assert!(
        limit_bytes < 1_000,
        "{limit_bytes} is no limit that 1,000 is above"
    );
    producer
        .put_record("key", vec![0; limit_bytes])
        .expect("so much fits");
}

/// Without data there is nothing that a largest record could say; its key is too much all the same.
#[test]
fn a_key_that_alone_is_more_than_the_capacity_is_refused() {
    let (stream, _clock) = common::build(Stream::builder("orders").capacity_bytes(1_024));
    let key = "\u{1F30A}".repeat(256);
    let error = common::refused(stream.producer().put_record(key, ""));
    let too_large = Error::RecordTooLarge {
        data_bytes: 0,
        limit_bytes: 0,
    };
    assert_eq!(error, too_large);
}
