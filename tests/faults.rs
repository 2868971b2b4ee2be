//! Faults: each of them, by each way to call a stream, scripted and at random.
//!
//! All runs in one thread on a clock that is turned by hand, unless threads are what it is about.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brooklet::testing::{Call, Fault, FaultPlan, FaultRule, Injected, records_of};
use brooklet::{
    Clock, Error, HashKey, Limits, ManualClock, PartitionKey, Producer, PutEntry, PutRecordOutput,
    RecordBatch, Registry, ShardIterator, StartingPosition, Stream, StreamStatus, Subscription,
};
use common::{clock, id, millis, now_ms, secs, until};
use futures_executor::block_on;

use StartingPosition::{Latest, TrimHorizon};

mod common;

const HOUR: Duration = secs(3600);

/// A stream with a plan, on a clock of its own.
fn stream_with(faults: &FaultPlan, shard_count: u32) -> (Stream, ManualClock) {
    let clock = clock();
    let stream = Stream::builder("orders")
        .shard_count(shard_count)
        .faults(faults)
        .clock(clock.clone())
        .build()
        .expect("the settings make sense");
    (stream, clock)
}

/// Every way to put one record.
type PutWay = fn(&Producer, &str, &str) -> Result<PutRecordOutput, Error>;

fn put_ways() -> Vec<(&'static str, PutWay)> {
    vec![
        ("put_record", |producer, key, data| {
            producer.put_record(key, data)
        }),
        ("a hashed key", |producer, key, data| {
            producer.put_record(&PartitionKey::new(key)?, data)
        }),
        ("a hash key", |producer, key, data| {
            producer.put_record_with_hash_key(key, HashKey::of(key), data)
        }),
        ("put_entry", |producer, key, data| {
            producer.put_entry(PutEntry::new(key, data))
        }),
        ("put_records", |producer, key, data| {
            let mut output = producer.put_records([(key, data)])?.into_iter();
            output.next().expect("an answer for the entry")
        }),
    ]
}

/// What reads a stream of one shard, a record at a time, in one of the ways. `None`: it has ended.
type Pull = Box<dyn FnMut() -> Option<Result<RecordBatch, Error>>>;

/// Every way to read, with whether it reads as a subscription does.
fn read_ways(stream: &Stream) -> Vec<(&'static str, bool, Pull)> {
    fn iterator(stream: &Stream) -> ShardIterator {
        let shard = stream.shards().remove(0);
        shard.iterator(TrimHorizon).expect("the position is good")
    }
    fn subscription(stream: &Stream) -> Subscription {
        stream.subscribe(TrimHorizon).expect("the position is good")
    }
    macro_rules! ways {
        ($name:literal, $is_subscription:literal, $reader:ident) => {{
            let (mut a, mut b, mut c, mut d) = (
                $reader(stream),
                $reader(stream),
                $reader(stream),
                $reader(stream),
            );
            let mut e = $reader(stream).batches_blocking(1);
            let mut f = $reader(stream).batches(1);
            let ready = d.ready();
            let ways: Vec<(&'static str, bool, Pull)> = vec![
                (
                    concat!($name, " get_records"),
                    $is_subscription,
                    Box::new(move || Some(a.get_records(1))),
                ),
                (
                    concat!($name, " get_records_timeout"),
                    $is_subscription,
                    Box::new(move || Some(b.get_records_timeout(1, HOUR))),
                ),
                (
                    concat!($name, " get_records_async"),
                    $is_subscription,
                    Box::new(move || Some(block_on(c.get_records_async(1)))),
                ),
                (
                    concat!($name, " ready"),
                    $is_subscription,
                    Box::new(move || {
                        ready.try_recv().expect("it rings while there is something");
                        Some(d.get_records(1))
                    }),
                ),
                (
                    concat!($name, " batches_blocking"),
                    $is_subscription,
                    Box::new(move || e.next()),
                ),
                (
                    concat!($name, " batches"),
                    $is_subscription,
                    Box::new(move || {
                        let mut context = Context::from_waker(Waker::noop());
                        match futures_core::Stream::poll_next(Pin::new(&mut f), &mut context) {
                            Poll::Ready(item) => item,
                            Poll::Pending => panic!("there is something to read"),
                        }
                    }),
                ),
            ];
            ways
        }};
    }
    let mut ways = ways!("iterator", false, iterator);
    ways.extend(ways!("subscription", true, subscription));
    let mut until = iterator(stream);
    let end = clock().now() + HOUR;
    ways.push((
        "iterator get_records_deadline",
        false,
        Box::new(move || Some(until.get_records_deadline(1, end))),
    ));
    let mut until = subscription(stream);
    ways.push((
        "subscription get_records_deadline",
        true,
        Box::new(move || Some(until.get_records_deadline(1, end))),
    ));
    ways
}

/// Tries a fault on the second pull of each way to read. Four records, `r0` to `r3`, are there.
fn on_each_way_to_read(
    shard_count: u32,
    make: impl Fn(&FaultPlan) -> FaultRule,
    check: impl Fn(&Stream, &ManualClock, &FaultRule, (bool, bool), &mut Pull),
) {
    let names: Vec<_> = {
        let (stream, _clock) = stream_with(&FaultPlan::new(), shard_count);
        read_ways(&stream).iter().map(|way| way.0).collect()
    };
    assert_eq!(names.len(), 14);
    for (index, name) in names.into_iter().enumerate() {
        println!("{name}");
        let faults = FaultPlan::new();
        let (stream, clock) = stream_with(&faults, shard_count);
        for n in 0..4 {
            let producer = stream.producer();
            producer
                .put_record_with_hash_key("key", HashKey::MIN, format!("r{n}"))
                .expect("the shard takes the record");
        }
        let rule = make(&faults);
        let (_, is_subscription, mut pull) = read_ways(&stream).swap_remove(index);
        let ends = name.contains("batches");
        assert_eq!(text(pull()), "r0");
        check(&stream, &clock, &rule, (is_subscription, ends), &mut pull);
        rule.assert_injected(1);
        faults.assert_all_injected();
    }
}

/// The data of a batch of one record.
#[track_caller]
fn text(pulled: Option<Result<RecordBatch, Error>>) -> String {
    let batch = batch(pulled);
    assert_eq!((batch.len(), batch.missed_count()), (1, 0));
    common::view_texts(&batch).remove(0)
}

#[track_caller]
fn batch(pulled: Option<Result<RecordBatch, Error>>) -> RecordBatch {
    pulled.expect("it has not ended").expect("it can be read")
}

#[track_caller]
fn error<T: Debug>(pulled: Option<Result<T, Error>>) -> Error {
    pulled
        .expect("it has not ended")
        .expect_err("it is refused")
}

fn throttled(shard: u32) -> Error {
    Error::WriteThrottled {
        stream: "orders".to_owned(),
        shard_id: id(shard),
    }
}

fn failed() -> Error {
    Error::InternalFailure {
        stream: "orders".to_owned(),
    }
}

/// What a plan did, without the time and the stream.
fn done(faults: &FaultPlan) -> Vec<(Call, u64, Option<usize>, Fault)> {
    let what = |injected: Injected| {
        (
            injected.call,
            injected.count,
            injected.entry,
            injected.fault,
        )
    };
    faults.injected().into_iter().map(what).collect()
}

/// What a panic said.
fn panic_text(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload
            .downcast_ref::<&str>()
            .map_or_else(String::new, |text| (*text).to_owned()),
    }
}

mod puts {
    use super::*;

    /// Tries a fault on the second put of each way to put, into one shard and into four.
    fn on_each_way_to_put(
        make: impl Fn(&FaultPlan) -> FaultRule,
        check: impl Fn(&Stream, &ManualClock, Result<PutRecordOutput, Error>, &[&str]),
    ) {
        for (name, way) in put_ways() {
            for shard_count in [1, 4] {
                println!("{name}, {shard_count} shards");
                let faults = FaultPlan::new();
                let (stream, clock) = stream_with(&faults, shard_count);
                let producer = stream.producer();
                let rule = make(&faults);
                way(&producer, "key", "first").expect("the first is taken");
                let second = way(&producer, "key", "second");
                let taken = if second.is_ok() {
                    &["first", "second"][..]
                } else {
                    &["first"]
                };
                check(&stream, &clock, second, taken);
                rule.assert_injected(1);
                faults.assert_all_injected();
                // The fault is over; a stream that was closed stays so.
                match way(&producer, "key", "third") {
                    Ok(put) => assert!(put.shard_id() >= id(0)),
                    Err(error) => assert!(matches!(error, Error::StreamClosed { .. }), "{error}"),
                }
                rule.assert_injected(1);
            }
        }
    }

    #[test]
    fn a_throttled_put_is_refused_as_by_a_limit_and_stores_nothing() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).throttle(),
            |stream, _, second, taken| {
                let shard = stream.shard_for("key").expect("it is open");
                assert_eq!(second, Err(throttled(shard.id().index())));
                let code = second.map_err(|error| (error.code(), error.is_retryable()));
                let expected = ("ProvisionedThroughputExceededException", true);
                assert_eq!(code, Err(expected));
                records_of(stream).assert_data(taken);
            },
        );
    }

    #[test]
    fn a_failed_put_stores_nothing() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).fail(),
            |stream, _, second, taken| {
                assert_eq!(second, Err(failed()));
                let code = second.map_err(|error| (error.code(), error.is_retryable()));
                assert_eq!(code, Err(("InternalFailure", true)));
                records_of(stream).assert_data(taken);
            },
        );
    }

    #[test]
    fn a_put_whose_answer_is_dropped_was_accepted() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).drop_answer(),
            |stream, _, second, _| {
                assert_eq!(second, Err(failed()));
                records_of(stream).assert_data(["first", "second"]);
            },
        );
    }

    #[test]
    fn an_answer_that_is_late_takes_the_time_of_the_clock_after_the_put() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).answer_late(secs(2)),
            |stream, clock, second, taken| {
                second.expect("it is taken");
                assert_eq!(clock.monotonic(), secs(2));
                let found = records_of(stream);
                found.assert_data(taken);
                let arrivals = found.records().iter();
                let arrivals = arrivals.map(|r| r.approximate_arrival_timestamp().as_millis());
                assert_eq!(arrivals.collect::<Vec<_>>(), [common::START_MS; 2]);
            },
        );
    }

    #[test]
    fn a_shard_that_is_split_before_a_put_hands_it_on_to_a_child() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).split_shard(),
            |stream, _, second, taken| {
                let put = second.expect("it is taken");
                let first = stream.shard(records_of(stream).records()[0].shard_id());
                let children = first.expect("it is there").child_shards();
                assert_eq!(children.len(), 2);
                assert!(
                    children
                        .iter()
                        .any(|child| child.shard_id() == put.shard_id())
                );
                records_of(stream).of_key("key").assert_data(taken);
            },
        );
    }

    #[test]
    fn a_shard_count_that_changes_before_a_put_is_nothing_to_it() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).update_shard_count(3),
            |stream, _, second, taken| {
                second.expect("it is taken");
                assert_eq!(common::open_by_range(stream).len(), 3);
                records_of(stream).of_key("key").assert_data(taken);
            },
        );
    }

    #[test]
    fn a_stream_that_is_closed_before_a_put_refuses_it() {
        on_each_way_to_put(
            |faults| faults.on_put().nth(2).close_stream(),
            |stream, _, second, taken| {
                assert!(matches!(second, Err(Error::StreamClosed { .. })));
                records_of(stream).assert_data(taken);
            },
        );
    }

    #[test]
    fn the_tests_own_code_runs_before_a_put() {
        on_each_way_to_put(
            |faults| {
                faults.on_put().nth(2).run("put another", |stream| {
                    let put = stream.producer().put_record("key", "between");
                    put.expect("rules do not see what an action puts");
                })
            },
            |stream, _, second, _| {
                second.expect("it is taken");
                records_of(stream).assert_data(["first", "between", "second"]);
            },
        );
    }

    #[test]
    fn a_shard_is_merged_before_a_put_with_the_one_above_or_below_and_not_with_itself() {
        for (key, shard_count, merged) in [
            (HashKey::MIN, 2, Some([0, 1])),
            (HashKey::MAX, 2, Some([0, 1])),
            (HashKey::MIN, 4, Some([0, 1])),
            (HashKey::MAX, 4, Some([2, 3])),
            (HashKey::MIN, 1, None),
        ] {
            let faults = FaultPlan::new();
            let (stream, _clock) = stream_with(&faults, shard_count);
            let rule = faults.on_put().nth(1).merge_shard();
            let put = stream.producer().put_record_with_hash_key("k", key, "x");
            let put = put.expect("it is taken");
            let Some([lower, upper]) = merged else {
                assert_eq!(rule.injected_count(), 0, "there is nothing to merge with");
                let refused = faults.injected().remove(0).refused;
                assert!(matches!(refused, Some(Error::ShardsNotAdjacent { .. })));
                assert!(panic_text(|| faults.assert_all_injected()).contains("refused: shards"));
                continue;
            };
            rule.assert_injected(1);
            assert_eq!(put.shard_id(), id(shard_count));
            let child = stream.shard(put.shard_id()).expect("it is there");
            let parents = (child.parent_shard_id(), child.adjacent_parent_shard_id());
            assert_eq!(parents, (Some(id(lower)), Some(id(upper))));
        }
    }

    #[test]
    fn that_are_the_next_ones_are_counted_alone_and_in_batches() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 4);
        let producer = stream.producer();
        producer.put_record("a", "before the rule").expect("taken");
        let rule = faults.on_put().next(3).throttle();
        producer
            .put_record("a", "0")
            .expect_err("the first of three");
        let output = producer
            .put_records((1..5).map(|n| ("a", n.to_string())))
            .expect("the call is answered");
        let refused: Vec<_> = output.failed().map(|(index, _)| index).collect();
        assert_eq!(refused, [0, 1]);
        rule.assert_injected(3);
        assert_eq!(rule.seen_count(), 5);
        assert_eq!(
            done(&faults),
            [
                (Call::Put, 1, None, Fault::Throttle),
                (Call::Put, 2, Some(0), Fault::Throttle),
                (Call::Put, 3, Some(1), Fault::Throttle),
            ]
        );
        records_of(&stream).assert_data(["before the rule", "3", "4"]);
    }

    #[test]
    fn of_one_key_shard_or_stream_are_counted_without_the_others() {
        let faults = FaultPlan::new();
        let registry = Registry::builder().faults(&faults).clock(clock()).build();
        let orders = registry
            .create(Stream::builder("orders").shard_count(2))
            .expect("a new name");
        let invoices = registry
            .create(Stream::builder("invoices"))
            .expect("a new name");
        let of_key = faults.on_put().partition_key("b").nth(2).fail();
        let of_shard = faults
            .on_put()
            .stream("orders")
            .shard(id(1))
            .nth(2)
            .throttle();
        let of_stream = faults.on_put().stream("invoices").every(2).fail();

        let mut refused = Vec::new();
        let to = |key| {
            if key == "b" {
                HashKey::MAX
            } else {
                HashKey::MIN
            }
        };
        for (n, (stream, key)) in [
            (&orders, "a"),
            (&orders, "b"),
            (&invoices, "a"),
            (&orders, "b"), // the second with this key; it decides, being the first rule
            (&orders, "a"),
            (&invoices, "a"),
            (&orders, "b"),
        ]
        .into_iter()
        .enumerate()
        {
            let put = stream
                .producer()
                .put_record_with_hash_key(key, to(key), "x");
            refused.extend(put.err().map(|error| (n, error.code())));
        }
        assert_eq!(refused, [(3, "InternalFailure"), (5, "InternalFailure")]);
        assert_eq!(of_key.injected_count(), 1);
        assert_eq!(of_stream.injected_count(), 1);
        assert_eq!((of_shard.injected_count(), of_shard.seen_count()), (0, 3));
        let text = panic_text(|| faults.assert_all_injected());
        assert!(
            text.contains(
                "throttle on 2nd put of shardId-000000000001 in stream orders: \
                 3 calls seen, 0 faults injected"
            ),
            "{text}"
        );
    }

    #[test]
    fn are_late_and_refused_at_once_if_two_rules_say_so() {
        let faults = FaultPlan::new();
        let (stream, clock) = stream_with(&faults, 1);
        faults.on_put().nth(1).answer_late(secs(1));
        faults.on_put().nth(1).fail();
        faults.on_put().nth(1).answer_late(secs(2));
        let put = stream.producer().put_record("k", "x");
        assert_eq!(put.expect_err("it fails"), failed());
        assert_eq!(clock.monotonic(), secs(3));
        faults.assert_all_injected();
        records_of(&stream).assert_none();
    }

    #[test]
    fn that_are_not_valid_are_refused_without_a_fault() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        let rule = faults.on_put().throttle();
        for (name, way) in put_ways() {
            let empty = way(&stream.producer(), "", "x").expect_err("no key");
            assert!(matches!(empty, Error::InvalidPartitionKey { .. }), "{name}");
            let data = "x".repeat(2 << 20);
            let large = way(&stream.producer(), "k", &data).expect_err("too large");
            assert!(matches!(large, Error::RecordTooLarge { .. }), "{name}");
        }
        stream.close();
        for (name, way) in put_ways() {
            let closed = way(&stream.producer(), "k", "x").expect_err("closed");
            assert!(matches!(closed, Error::StreamClosed { .. }), "{name}");
        }
        assert_eq!(rule.seen_count(), 0);
        faults.assert_none_injected();
    }

    #[test]
    fn that_the_limits_refuse_are_refused_so_with_a_plan_too() {
        let faults = FaultPlan::new();
        let clock = clock();
        let stream = Stream::builder("orders")
            .limits(Limits::unlimited().write_records_per_second(Some(2)))
            .faults(&faults)
            .clock(clock.clone())
            .build()
            .expect("the settings make sense");
        faults.on_put().nth(1).throttle();
        let producer = stream.producer();
        let put = || producer.put_record("k", "x").map_err(|error| error.code());
        assert!(
            put().is_err(),
            "the fault, which takes nothing of the limit"
        );
        assert!(put().is_ok() && put().is_ok());
        assert!(put().is_err(), "the limit");
        clock.advance(millis(500));
        assert!(put().is_ok());
    }
}

mod batches {
    use super::*;

    fn entries(count: usize) -> Vec<(String, String)> {
        (0..count)
            .map(|n| (format!("key-{n}"), format!("r{n}")))
            .collect()
    }

    fn taken(count: usize, without: &[usize]) -> Vec<String> {
        let taken = (0..count).filter(|n| !without.contains(n));
        taken.map(|n| format!("r{n}")).collect()
    }

    #[test]
    fn fail_in_the_entries_that_were_named_and_in_no_other() {
        for shard_count in [1, 4] {
            let faults = FaultPlan::new();
            let (stream, _clock) = stream_with(&faults, shard_count);
            let fail = faults.on_put_records().nth(2).entries([3, 7]).fail();
            let throttle = faults.on_put_records().nth(2).entries([0, 7]).throttle();
            let producer = stream.producer();
            let first = producer.put_records(entries(10)).expect("answered");
            assert_eq!(first.failed_record_count(), 0);

            let second = producer.put_records(entries(10)).expect("answered");
            let codes: Vec<_> = second
                .failed()
                .map(|(at, error)| (at, error.code()))
                .collect();
            assert_eq!(
                codes,
                [
                    (0, "ProvisionedThroughputExceededException"),
                    (3, "InternalFailure"),
                    (7, "InternalFailure"),
                ]
            );
            fail.assert_injected(2);
            throttle.assert_injected(1);
            let both = [taken(10, &[]), taken(10, &[0, 3, 7])].concat();
            records_of(&stream).assert_data_in_any_order(both);
            let asked = faults.injected().into_iter().map(|one| one.entry.unwrap());
            assert_eq!(asked.collect::<Vec<_>>(), [3, 7, 0]);
        }
    }

    #[test]
    fn name_the_shard_of_each_entry_that_is_throttled() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 4);
        let rule = faults.on_put_records().nth(1).throttle();
        let output = stream
            .producer()
            .put_records(entries(20))
            .expect("answered");
        for (answer, (key, _)) in output.records().iter().zip(entries(20)) {
            let shard = stream.shard_for(key.as_str()).expect("it is open");
            assert_eq!(*answer, Err(throttled(shard.id().index())));
        }
        rule.assert_injected(1);
        records_of(&stream).assert_none();
    }

    #[test]
    fn whose_answer_is_dropped_are_put_twice_by_who_puts_them_again() {
        for shard_count in [1, 4] {
            let faults = FaultPlan::new();
            let (stream, _clock) = stream_with(&faults, shard_count);
            let rule = faults.on_put_records().nth(1).drop_answer();
            let producer = stream.producer();
            let error = producer.put_records(entries(5)).expect_err("it is dropped");
            assert_eq!(error, failed());
            assert!(error.is_retryable());
            producer.put_records(entries(5)).expect("answered");
            rule.assert_injected(1);
            let twice = [taken(5, &[]), taken(5, &[])].concat();
            records_of(&stream).assert_data_in_any_order(twice);
        }
    }

    #[test]
    fn whose_entries_answers_are_dropped_have_accepted_them() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 2);
        let rule = faults
            .on_put_records()
            .nth(1)
            .entries([1, 2, 9])
            .drop_answer();
        let output = stream.producer().put_records(entries(4)).expect("answered");
        let refused: Vec<_> = output
            .failed()
            .map(|(at, error)| (at, error.clone()))
            .collect();
        assert_eq!(refused, [(1, failed()), (2, failed())]);
        records_of(&stream).assert_data_in_any_order(taken(4, &[]));
        rule.assert_injected(2);
        let text = panic_text(|| faults.assert_all_injected());
        assert!(
            text.contains("entries {1, 2, 9}: 1 calls seen, 2 faults"),
            "{text}"
        );
    }

    #[test]
    fn that_fail_as_a_whole_store_nothing() {
        for shard_count in [1, 4] {
            let faults = FaultPlan::new();
            let (stream, _clock) = stream_with(&faults, shard_count);
            let call = faults.on_put_records().nth(1).fail();
            let entry = faults.on_put_records().nth(1).entries([1]).throttle();
            let record = faults.on_put().next(2).throttle();
            let error = stream
                .producer()
                .put_records(entries(3))
                .expect_err("it fails");
            assert_eq!(error, failed());
            call.assert_injected(1);
            entry.assert_injected(0);
            record.assert_injected(0);
            records_of(&stream).assert_none();
        }
    }

    #[test]
    fn are_late_once_and_meet_a_stream_that_was_changed_once() {
        let faults = FaultPlan::new();
        let (stream, clock) = stream_with(&faults, 2);
        faults
            .on_put_records()
            .nth(1)
            .entries([0, 1])
            .answer_late(secs(1));
        faults.on_put_records().nth(1).split_shard();
        faults.on_put_records().nth(1).update_shard_count(5);
        faults.on_put().nth(2).answer_late(secs(4));
        let output = stream
            .producer()
            .put_records(entries(20))
            .expect("answered");
        assert_eq!(output.failed_record_count(), 0);
        assert_eq!(clock.monotonic(), secs(5));
        assert_eq!(common::open_by_range(&stream).len(), 5);
        records_of(&stream).assert_data_in_any_order(taken(20, &[]));
        faults.assert_all_injected();
    }

    #[test]
    fn find_the_stream_closed_by_a_fault_before_them_or_between() {
        for shard_count in [1, 4] {
            let faults = FaultPlan::new();
            let (stream, _clock) = stream_with(&faults, shard_count);
            faults.on_put().nth(3).close_stream();
            let error = stream
                .producer()
                .put_records(entries(4))
                .expect_err("closed");
            assert!(matches!(error, Error::StreamClosed { .. }));
            records_of(&stream).assert_none();
            faults.assert_all_injected();
        }
    }

    #[test]
    fn of_no_entry_are_no_call() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 2);
        let rule = faults.on_put_records().fail();
        let none: [(&str, &str); 0] = [];
        let output = stream.producer().put_records(none).expect("answered");
        assert!(output.records().is_empty());
        assert_eq!(rule.seen_count(), 0);
    }
}

mod reads {
    use super::*;

    /// The rest is read, whatever came between.
    fn rest(pull: &mut Pull, from: usize) {
        for n in from..4 {
            assert_eq!(text(pull()), format!("r{n}"));
        }
    }

    #[test]
    fn that_are_throttled_or_fail_or_are_lost_leave_the_reader_where_it_was() {
        let shard_id = id(0);
        let stream = || "orders".to_owned();
        let throttled = Error::ReadThrottled {
            stream: stream(),
            shard_id,
        };
        type Make = fn(&FaultPlan) -> FaultRule;
        let makes: [(Make, Error); 3] = [
            (
                |faults| faults.on_get_records().nth(2).throttle(),
                throttled,
            ),
            (|faults| faults.on_get_records().nth(2).fail(), failed()),
            (
                |faults| faults.on_get_records().nth(2).drop_answer(),
                failed(),
            ),
        ];
        for (make, expected) in makes {
            on_each_way_to_read(1, make, |_, _, _, _, pull| {
                assert_eq!(error(pull()), expected);
                rest(pull, 1);
            });
        }
    }

    #[test]
    fn are_told_that_their_iterator_has_expired() {
        on_each_way_to_read(
            1,
            |faults| faults.on_get_records().nth(2).expire_iterator(),
            |_, _, _, (is_subscription, ends), pull| {
                let expired = Error::IteratorExpired {
                    stream: "orders".to_owned(),
                    shard_id: id(0),
                };
                let found = error(pull());
                assert_eq!(found, expired);
                assert_eq!(found.code(), "ExpiredIteratorException");
                assert!(!found.is_retryable());
                if ends {
                    assert!(pull().is_none(), "no retry mends it");
                } else if is_subscription {
                    // It takes another iterator itself.
                    rest(pull, 1);
                } else {
                    assert_eq!(error(pull()), expired, "it stays expired");
                }
            },
        );
    }

    #[test]
    fn go_on_at_the_position_of_an_iterator_that_has_expired() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        let producer = stream.producer();
        let mut iterator = common::iterator(&stream, TrimHorizon);
        producer.put_record("k", "first").expect("taken");
        assert_eq!(iterator.get_records(10).expect("it reads").len(), 1);
        faults.on_get_records().nth(1).expire_iterator();
        // Nothing to read: a Kinesis iterator expires all the same.
        iterator.get_records(10).expect_err("it has expired");
        let mut clone = iterator.clone();
        for expired in [&mut iterator, &mut clone] {
            let ready = expired.ready();
            assert_eq!(ready.len(), 1, "there is an error to be had");
            // None of these waits.
            let all = [
                expired.get_records(10),
                expired.get_records_timeout(10, HOUR),
                expired.get_records_deadline(10, Clock::now(&clock()) + HOUR),
                block_on(expired.get_records_async(10)),
            ];
            for result in all {
                let error = result.expect_err("it has expired");
                assert!(matches!(error, Error::IteratorExpired { .. }));
            }
            let limit = expired.get_records(0).expect_err("no limit");
            assert!(matches!(limit, Error::InvalidLimit { .. }));
        }
        producer.put_record("k", "second").expect("taken");
        let again = stream.shards()[0].iterator(iterator.position());
        let batch = again.expect("a good position").get_records(10);
        assert_eq!(common::view_texts(&batch.expect("it reads")), ["second"]);
    }

    #[test]
    fn that_are_late_have_read_before_the_time_passed() {
        on_each_way_to_read(
            1,
            |faults| faults.on_get_records().nth(2).answer_late(secs(3)),
            |_, clock, _, _, pull| {
                assert_eq!(text(pull()), "r1");
                assert_eq!(clock.monotonic(), secs(3));
                rest(pull, 2);
            },
        );
    }

    #[test]
    fn meet_a_shard_that_was_split_between_two_of_them() {
        on_each_way_to_read(
            1,
            |faults| faults.on_get_records().nth(2).split_shard(),
            |stream, _, _, _, pull| {
                assert_eq!(text(pull()), "r1");
                assert_eq!(stream.shards().len(), 3);
                assert_eq!(text(pull()), "r2");
                let last = batch(pull());
                assert_eq!(common::view_texts(&last), ["r3"]);
                assert!(last.shard_ended());
                let children = last.child_shards().iter().map(|child| child.shard_id());
                assert_eq!(children.collect::<Vec<_>>(), [id(1), id(2)]);
            },
        );
    }

    #[test]
    fn meet_a_shard_that_was_merged_between_two_of_them() {
        on_each_way_to_read(
            2,
            |faults| faults.on_get_records().nth(2).merge_shard(),
            |stream, _, _, _, pull| {
                assert_eq!(text(pull()), "r1");
                assert_eq!(common::open_by_range(stream), [2]);
                assert_eq!(text(pull()), "r2");
                let last = batch(pull());
                assert_eq!(common::view_texts(&last), ["r3"]);
                assert_eq!(last.child_shards()[0].shard_id(), id(2));
            },
        );
    }

    #[test]
    fn meet_a_stream_with_another_count_of_shards() {
        on_each_way_to_read(
            1,
            |faults| faults.on_get_records().nth(2).update_shard_count(4),
            |stream, _, _, _, pull| {
                assert_eq!(text(pull()), "r1");
                assert_eq!(common::open_by_range(stream).len(), 4);
                rest(pull, 2);
            },
        );
    }

    #[test]
    fn that_are_overrun_learn_what_they_missed() {
        on_each_way_to_read(
            1,
            |faults| faults.on_get_records().nth(2).overrun_reader(1),
            |stream, _, _, _, pull| {
                let batch = batch(pull());
                assert_eq!(batch.missed_count(), 2);
                assert_eq!(common::view_texts(&batch), ["r3"]);
                assert_eq!(stream.metrics().records_retained(), 1);
            },
        );
    }

    #[test]
    fn that_are_overrun_altogether_miss_all_and_go_on() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        common::put_many(&stream, 3);
        let mut iterator = common::iterator(&stream, TrimHorizon);
        assert_eq!(iterator.get_records(1).expect("it reads").len(), 1);
        faults.on_get_records().nth(1).overrun_reader(0);
        let batch = iterator.get_records(10).expect("it reads");
        assert_eq!((batch.len(), batch.missed_count()), (0, 2));
        common::put_into(&stream, 0, "next");
        let batch = iterator.get_records(10).expect("it reads");
        assert_eq!(common::view_texts(&batch), ["next"]);
        // More than there are is no fault.
        faults.on_get_records().nth(1).overrun_reader(u64::MAX);
        assert_eq!(
            iterator.get_records(10).expect("it reads").missed_count(),
            0
        );
    }

    #[test]
    fn end_when_the_stream_is_closed_between_two_of_them() {
        on_each_way_to_read(
            1,
            |faults| faults.on_get_records().nth(2).close_stream(),
            |_, _, _, (_, ends), pull| {
                assert_eq!(text(pull()), "r1");
                assert_eq!(text(pull()), "r2");
                let last = batch(pull());
                assert_eq!(common::view_texts(&last), ["r3"]);
                assert!(last.shard_ended());
                if ends {
                    assert!(pull().is_none());
                }
            },
        );
    }

    #[test]
    fn meet_what_the_tests_own_code_put() {
        on_each_way_to_read(
            1,
            |faults| {
                faults
                    .on_get_records()
                    .nth(2)
                    .run("put, read and list", |stream| {
                        stream.producer().put_record("k", "r4").expect("taken");
                        let mut other = stream.subscribe(TrimHorizon).expect("a reader");
                        assert_eq!(other.get_records(10).expect("it reads").len(), 5);
                        assert_eq!(stream.shards().len(), 1);
                    })
            },
            |_, _, rule, _, pull| {
                assert_eq!(text(pull()), "r1");
                rest(pull, 2);
                assert_eq!(text(pull()), "r4");
                assert_eq!(rule.seen_count(), 5, "what the code read is not counted");
            },
        );
    }

    #[test]
    fn of_a_stream_that_is_deleted_by_the_tests_own_code_fail() {
        let faults = FaultPlan::new();
        let registry = Registry::builder().faults(&faults).build();
        let stream = registry
            .create(Stream::builder("orders"))
            .expect("a new name");
        common::put_many(&stream, 1);
        let inner = registry.clone();
        faults.on_get_records().nth(1).run("delete", move |stream| {
            inner.delete(stream.name()).expect("it is there");
        });
        let mut iterator = common::iterator(&stream, TrimHorizon);
        let error = iterator.get_records(1).expect_err("it is gone");
        assert!(matches!(error, Error::StreamNotFound { .. }));
    }

    #[test]
    fn the_third_of_shard_2_is_exactly_that() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 4);
        let rule = faults.on_get_records().shard(id(2)).nth(3).throttle();
        let mut iterators: Vec<_> = stream
            .shards()
            .iter()
            .map(|shard| shard.iterator(TrimHorizon).expect("a good position"))
            .collect();
        let mut refused = Vec::new();
        for round in 1..=5 {
            for (shard, iterator) in iterators.iter_mut().enumerate() {
                if iterator.get_records(10).is_err() {
                    refused.push((round, shard));
                }
            }
        }
        assert_eq!(refused, [(3, 2)]);
        rule.assert_injected(1);
        assert_eq!(rule.seen_count(), 5);
    }

    #[test]
    fn without_their_stream_cannot_have_it_resharded() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        common::put_many(&stream, 1);
        let mut iterator = common::iterator(&stream, TrimHorizon);
        drop(stream);
        let rule = faults.on_get_records().nth(1).split_shard();
        assert_eq!(iterator.get_records(10).expect("it reads").len(), 1);
        rule.assert_injected(0);
        let refused = faults.injected().remove(0).refused;
        assert!(matches!(refused, Some(Error::StreamNotFound { .. })));
    }
}

mod iterators {
    use super::*;

    #[test]
    fn are_refused_late_or_made_of_a_changed_stream_by_each_way_to_make_them() {
        type Make = fn(&Stream) -> Result<(), Error>;
        let ways: [(&str, Make); 3] = [
            ("Shard::iterator", |stream| {
                stream.shards()[0].iterator(Latest).map(drop)
            }),
            ("Stream::shard_iterator", |stream| {
                stream.shard_iterator(id(0), TrimHorizon).map(drop)
            }),
            ("Stream::subscribe_from", |stream| {
                let positions = stream.subscribe(Latest)?.positions();
                stream.subscribe_from(&positions).map(drop)
            }),
        ];
        for (name, way) in ways {
            let faults = FaultPlan::new();
            let (stream, clock) = stream_with(&faults, 1);
            let mine = || faults.on_get_shard_iterator().shard(id(0));
            mine().nth(1).throttle();
            mine().nth(2).fail();
            mine().nth(3).drop_answer();
            mine().nth(4).answer_late(secs(2));
            mine().nth(5).split_shard();
            let codes: Vec<_> = (0..4)
                .map(|_| way(&stream).map_err(|error| error.code()))
                .collect();
            let failed = Err("InternalFailure");
            let throttled = Err("ProvisionedThroughputExceededException");
            assert_eq!(codes, [throttled, failed, failed, Ok(())], "{name}");
            assert_eq!(clock.monotonic(), secs(2));
            way(&stream).expect("a closed shard can be read");
            assert_eq!(stream.shards().len(), 3);
            faults.assert_all_injected();
        }
    }
}

mod waits {
    use super::*;

    /// Every way to wait for a first record, with the news that come.
    fn each_way_to_wait(
        make: impl Fn(&FaultPlan) -> FaultRule,
        check: impl Fn(&str, &Stream, &ManualClock, Result<RecordBatch, Error>),
    ) {
        type Wait = fn(&Stream) -> Result<RecordBatch, Error>;
        fn iterator(stream: &Stream) -> ShardIterator {
            stream.shards()[0]
                .iterator(Latest)
                .expect("a good position")
        }
        fn subscription(stream: &Stream) -> Subscription {
            stream.subscribe(Latest).expect("a good position")
        }
        let ways: [(&str, Wait); 10] = [
            ("iterator timeout", |stream| {
                iterator(stream).get_records_timeout(10, HOUR)
            }),
            ("iterator deadline", |stream| {
                iterator(stream).get_records_deadline(10, clock().now() + HOUR)
            }),
            ("iterator async", |stream| {
                block_on(iterator(stream).get_records_async(10))
            }),
            ("iterator blocking", |stream| {
                let next = iterator(stream).batches_blocking(10).next();
                next.expect("it has not ended")
            }),
            ("iterator batches", |stream| {
                let mut batches = iterator(stream).batches(10);
                let next = std::future::poll_fn(|context| {
                    futures_core::Stream::poll_next(Pin::new(&mut batches), context)
                });
                block_on(next).expect("it has not ended")
            }),
            ("subscription timeout", |stream| {
                subscription(stream).get_records_timeout(10, HOUR)
            }),
            ("subscription deadline", |stream| {
                subscription(stream).get_records_deadline(10, clock().now() + HOUR)
            }),
            ("subscription async", |stream| {
                block_on(subscription(stream).get_records_async(10))
            }),
            ("subscription blocking", |stream| {
                let next = subscription(stream).batches_blocking(10).next();
                next.unwrap_or_else(|| subscription(stream).get_records(10))
            }),
            ("subscription batches", |stream| {
                let mut batches = subscription(stream).batches(10);
                let next = std::future::poll_fn(|context| {
                    futures_core::Stream::poll_next(Pin::new(&mut batches), context)
                });
                block_on(next).unwrap_or_else(|| subscription(stream).get_records(10))
            }),
        ];
        for (name, wait) in ways {
            println!("{name}");
            let faults = FaultPlan::new();
            let (stream, clock) = stream_with(&faults, 1);
            let rule = make(&faults);
            let result = wait(&stream);
            check(name, &stream, &clock, result);
            rule.assert_injected(1);
            let shard_id = faults.injected()[0].shard_id;
            assert_eq!(shard_id.is_none(), name.starts_with("subscription"));
        }
    }

    #[test]
    fn end_with_a_record_that_the_tests_own_code_puts_before_them() {
        each_way_to_wait(
            |faults| {
                faults.on_wait().nth(1).run("put", |stream| {
                    stream.producer().put_record("k", "news").expect("taken");
                })
            },
            |_, _, _, result| {
                assert_eq!(common::view_texts(&result.expect("it reads")), ["news"]);
            },
        );
    }

    #[test]
    fn end_with_a_stream_that_is_closed_before_them() {
        each_way_to_wait(
            |faults| faults.on_wait().nth(1).close_stream(),
            |name, _, _, result| {
                let batch = result.expect("it reads");
                assert!(batch.is_empty());
                assert_eq!(batch.shard_ended(), name.starts_with("iterator"));
            },
        );
    }

    #[test]
    fn fail_before_they_wait() {
        each_way_to_wait(
            |faults| faults.on_wait().nth(1).fail(),
            |_, stream, _, result| {
                assert_eq!(result.expect_err("it fails"), failed());
                assert_eq!(stream.metrics().shards[0].waiting_readers, 0);
            },
        );
    }

    #[test]
    fn begin_late_and_meet_what_came_meanwhile() {
        each_way_to_wait(
            |faults| {
                let late = faults.on_wait().nth(1).answer_late(secs(5));
                faults.on_wait().nth(1).run("put", |stream| {
                    stream.producer().put_record("k", "news").expect("taken");
                });
                late
            },
            |_, _, clock, result| {
                assert_eq!(result.expect("it reads").len(), 1);
                assert_eq!(clock.monotonic(), secs(5));
            },
        );
    }
}

mod late_answers {
    use super::*;

    #[test]
    fn that_wait_end_when_somebody_else_turns_the_clock() {
        let faults = FaultPlan::new().late_answers_wait();
        let (stream, clock) = stream_with(&faults, 1);
        faults.on_put().nth(1).answer_late(secs(10));
        std::thread::scope(|scope| {
            let put = scope.spawn(|| stream.producer().put_record("k", "x"));
            until(|| clock.sleeper_count() == 1);
            records_of(&stream).assert_data(["x"]);
            clock.advance(secs(9));
            assert_eq!(clock.sleeper_count(), 1);
            clock.advance(secs(1));
            put.join().expect("no panic").expect("it is taken");
        });
    }

    #[test]
    fn let_others_whose_time_comes_meanwhile_go_on() {
        let faults = FaultPlan::new();
        let (stream, clock) = stream_with(&faults, 1);
        faults.on_put().nth(1).answer_late(secs(10));
        std::thread::scope(|scope| {
            let other = scope.spawn(clock.taking_part(|| {
                clock.pass(secs(4));
                clock.monotonic()
            }));
            stream.producer().put_record("k", "x").expect("it is taken");
            assert_eq!(other.join().expect("no panic"), secs(4));
        });
        assert_eq!(clock.monotonic(), secs(10));
    }
}

mod seeds {
    use super::*;

    /// Which of 200 puts of each shard are refused, by a seed, in whichever order.
    fn refused(seed: u64, by_shard: bool) -> Vec<Vec<usize>> {
        let faults = FaultPlan::with_seed(seed);
        let (stream, _clock) = stream_with(&faults, 3);
        faults.on_put().at_random(0.1).throttle();
        faults.on_put().at_random(0.05).fail();
        let mut refused = vec![Vec::new(); 3];
        let calls: Vec<_> = if by_shard {
            (0..600).map(|n| (n / 200, n % 200)).collect()
        } else {
            (0..600).map(|n| (n % 3, n / 3)).collect()
        };
        for (shard, n) in calls {
            let hash_key = common::key_of(&stream.shards()[shard]);
            let put = stream
                .producer()
                .put_record_with_hash_key("k", hash_key, "x");
            if put.is_err() {
                refused[shard].push(n);
            }
        }
        assert_eq!(faults.injected_count() as usize, refused.concat().len());
        refused
    }

    #[test]
    fn give_the_same_faults_again_and_others_give_others() {
        let once = refused(7, true);
        assert_eq!(once, refused(7, true));
        assert_ne!(once, refused(8, true));
        assert_ne!(once[0], once[1], "shards do not fail together");
        let count = once.concat().len();
        assert!((40..150).contains(&count), "about 87 of 600: {count}");
    }

    #[test]
    fn decide_for_each_shard_whatever_happens_to_the_others() {
        assert_eq!(refused(7, true), refused(7, false));
    }

    #[test]
    fn decide_the_same_for_threads_in_any_order() {
        let run = || {
            let faults = FaultPlan::with_seed(3);
            let (stream, _clock) = stream_with(&faults, 4);
            faults.on_put().at_random(0.2).fail();
            std::thread::scope(|scope| {
                let threads: Vec<_> = stream
                    .shards()
                    .iter()
                    .map(|shard| {
                        let (hash_key, producer) = (common::key_of(shard), stream.producer());
                        scope.spawn(move || {
                            let put = |_: &u32| {
                                let put = producer.put_record_with_hash_key("k", hash_key, "x");
                                put.is_err()
                            };
                            (0..200_u32).filter(put).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                let ended = threads.into_iter().map(|thread| thread.join());
                ended
                    .map(|refused| refused.expect("no panic"))
                    .collect::<Vec<_>>()
            })
        };
        let once = run();
        assert!(once.iter().all(|refused| !refused.is_empty()));
        assert_eq!(once, run());
    }

    #[test]
    fn never_and_always_are_probabilities_too() {
        let faults = FaultPlan::with_seed(1);
        let (stream, _clock) = stream_with(&faults, 1);
        let never = faults.on_put().at_random(0.0).fail();
        let always = faults.on_put().at_random(1.0).throttle();
        for _ in 0..100 {
            let put = stream.producer().put_record("k", "x");
            assert_eq!(put.expect_err("always"), throttled(0));
        }
        never.assert_injected(0);
        always.assert_injected(100);
        faults.assert_all_injected();
    }

    /// Runs one of the tests below in a process of its own, and returns what it printed.
    fn child(test: &str, seed: Option<&str>) -> (bool, String) {
        let mut command = Command::new(std::env::current_exe().expect("the test has a path"));
        command.args(["--exact", test, "--nocapture", "--include-ignored"]);
        command
            .env("BROOKLET_TEST_CHILD", "1")
            .env_remove("BROOKLET_SEED");
        if let Some(seed) = seed {
            command.env("BROOKLET_SEED", seed);
        }
        let output = command.output().expect("the test runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Prints which puts failed, in a process that [`child`] has started.
    #[test]
    fn come_from_the_environment_in_a_process_of_its_own() {
        if std::env::var_os("BROOKLET_TEST_CHILD").is_none() {
            return;
        }
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        faults.on_put().at_random(0.3).fail();
        faults.on_put().at_random(0.1).throttle();
        let put = |_: &u32| stream.producer().put_record("k", "x").is_err();
        let refused: Vec<_> = (0..200_u32).filter(put).collect();
        println!("refused {refused:?}");
    }

    #[test]
    fn are_printed_once_and_taken_from_the_environment() {
        let test = "seeds::come_from_the_environment_in_a_process_of_its_own";
        let (passed, text) = child(test, None);
        assert!(passed, "{text}");
        let printed = text.matches("BROOKLET_SEED=").count();
        assert_eq!(printed, 1, "{text}");
        let seed = text.split("BROOKLET_SEED=").nth(1).expect("a seed");
        let seed = seed.split(' ').next().expect("a word");
        let refused = |text: &str| {
            let line = text.lines().find(|line| line.contains("refused ["));
            let line = line.expect("it prints what was refused");
            line[line.find("refused [").expect("it is there")..].to_owned()
        };
        let (passed, again) = child(test, Some(seed));
        assert!(passed, "{again}");
        assert_eq!(refused(&text), refused(&again));
        let (_, other) = child(test, Some("12345"));
        assert_ne!(refused(&text), refused(&other));

        for wrong in ["", "seventeen", "-1", "99999999999999999999"] {
            let (passed, text) = child(test, Some(wrong));
            assert!(!passed);
            assert!(text.contains("not a whole number below 2^64"), "{text}");
        }
    }
}

mod plans {
    use super::*;

    #[test]
    fn go_on_though_their_handles_are_dropped() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        faults.on_put().nth(2).throttle();
        drop(faults);
        let producer = stream.producer();
        producer.put_record("k", "x").expect("taken");
        producer.put_record("k", "x").expect_err("the second");
    }

    #[test]
    fn are_of_all_streams_of_a_registry_but_those_with_their_own() {
        let (of_registry, own) = (FaultPlan::new(), FaultPlan::new());
        let clock = clock();
        let registry = Registry::builder()
            .faults(&of_registry)
            .clock(clock.clone())
            .state_delay(secs(5))
            .build();
        let orders = registry
            .create(Stream::builder("orders"))
            .expect("a new name");
        let other = registry
            .create(Stream::builder("other").faults(&own))
            .expect("a new name");
        let by_registry = of_registry.on_put().fail();
        let by_own = own.on_put().fail();
        let put = |stream: &Stream| stream.producer().put_record("k", "x");
        // A stream that is being created is not found, and nobody is asked.
        let not_found = put(&orders).expect_err("too early");
        assert!(matches!(not_found, Error::StreamNotFound { .. }));
        by_registry.assert_injected(0);
        clock.advance(secs(5));
        for name in ["orders", "other"] {
            let stream = registry.get(name).expect("it is there");
            assert!(put(&stream).is_err());
            assert_eq!(stream.status(), StreamStatus::Active);
        }
        by_registry.assert_injected(1);
        by_own.assert_injected(1);
        drop(other);
    }

    #[test]
    fn can_be_stopped_as_a_whole_and_rule_by_rule() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        let first = faults.on_put().throttle();
        let second = faults.on_put().fail();
        let put = || stream.producer().put_record("k", "x");
        assert_eq!(put(), Err(throttled(0)));
        first.stop();
        assert_eq!(put(), Err(failed()));
        faults.stop();
        put().expect("taken");
        assert_eq!((first.seen_count(), second.seen_count()), (1, 2));
        assert_eq!(faults.injected_count(), 2);
        assert!(faults.report().contains("stopped"));
    }

    #[test]
    fn tell_what_they_did_in_words() {
        let faults = FaultPlan::new();
        let (stream, clock) = stream_with(&faults, 2);
        faults.on_put().nth(1).throttle();
        faults.on_put_records().entries([1]).fail();
        faults
            .on_get_records()
            .shard(id(1))
            .next(1)
            .answer_late(millis(1_500));
        faults
            .on_wait()
            .every(2)
            .run("close by hand", Stream::close);
        let to = |hash_key| PutEntry::new("k", "x").explicit_hash_key(hash_key);
        let producer = stream.producer();
        producer.put_entry(to(HashKey::MIN)).expect_err("throttled");
        clock.advance(secs(1));
        producer
            .put_records([to(HashKey::MIN), to(HashKey::MAX)])
            .expect("answered");
        let mut iterator = stream.shards()[1].iterator(TrimHorizon).expect("good");
        iterator.get_records(1).expect("late");
        let mut subscription = stream.subscribe(Latest).expect("good");
        let pending = poll_once(&mut subscription);
        assert!(pending);
        assert!(!poll_once(&mut subscription), "the second wait closes it");
        let lines: Vec<_> = faults.injected().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "2023-11-14T22:13:20.000Z 1st put in orders/shardId-000000000000: throttle",
                "2023-11-14T22:13:21.000Z 1st put_records in orders/shardId-000000000001, \
                 entry 1: fail",
                "2023-11-14T22:13:21.000Z 1st get_records in orders/shardId-000000000001: \
                 answer 1.5s late",
                "2023-11-14T22:13:22.500Z 2nd wait in orders: run \"close by hand\"",
            ]
        );
        let report = faults.report();
        for line in [
            "throttle on 1st put: 3 calls seen, 1 faults injected",
            "fail on every put_records, entries {1}: 1 calls seen, 1 faults injected",
            "answer 1.5s late on the next 1 of get_records of shardId-000000000001: \
             2 calls seen, 1 faults injected",
            "run \"close by hand\" on each 2nd wait: 2 calls seen, 1 faults injected",
        ] {
            assert!(report.contains(line), "{line}\nis not in\n{report}");
        }
        assert!(!report.contains("BROOKLET_SEED"), "nothing was random");
        assert_eq!(
            format!("{faults:?}"),
            "FaultPlan { rules: 4, injected: 4, .. }"
        );
    }

    /// Polls once; whether it has to wait.
    fn poll_once(subscription: &mut Subscription) -> bool {
        let mut future = Box::pin(subscription.get_records_async(1));
        let mut context = Context::from_waker(Waker::noop());
        future.as_mut().poll(&mut context).is_pending()
    }

    #[test]
    fn say_what_did_not_come() {
        let faults = FaultPlan::with_seed(9);
        let (stream, _clock) = stream_with(&faults, 1);
        let rule = faults.on_put().nth(3).throttle();
        faults.on_get_records().at_random(0.5).fail();
        stream.producer().put_record("k", "x").expect("taken");
        let text = panic_text(|| rule.assert_injected(1));
        assert!(
            text.starts_with(
                "the fault was to be injected 1 times, and was 0 times: \
                 throttle on 3rd put: 1 calls seen, 0 faults injected\n"
            ),
            "{text}"
        );
        let text = panic_text(|| faults.assert_all_injected());
        assert!(text.contains("not every fault was injected"), "{text}");
        assert!(text.contains("BROOKLET_SEED=9"), "{text}");
        faults.assert_none_injected();
        faults.on_put().fail();
        stream
            .producer()
            .put_record("k", "x")
            .expect_err("it fails");
        let text = panic_text(|| faults.assert_none_injected());
        assert!(text.contains("1 faults injected"), "{text}");
    }

    #[test]
    fn refuse_what_makes_no_sense() {
        let faults = FaultPlan::new();
        let texts = [
            panic_text(|| drop(faults.on_put().nth(0))),
            panic_text(|| drop(faults.on_put().every(0))),
            panic_text(|| drop(faults.on_put().at_random(1.5))),
            panic_text(|| drop(faults.on_put().at_random(-0.1))),
            panic_text(|| drop(faults.on_put().at_random(f64::NAN))),
            panic_text(|| drop(faults.on_put().update_shard_count(0))),
            panic_text(|| drop(faults.on_put().update_shard_count(10_001))),
        ];
        for (text, part) in texts.iter().zip([
            "counted from 1",
            "counted from 1",
            "0 to 1, not 1.5",
            "0 to 1, not -0.1",
            "0 to 1, not NaN",
            "1 to 10000, not 0",
            "1 to 10000, not 10001",
        ]) {
            assert!(text.contains(part), "{text}");
        }
        assert!(faults.report().is_empty(), "no rule was made");
    }

    #[test]
    fn outlive_an_action_that_panics_and_so_does_the_stream() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 2);
        faults
            .on_put()
            .nth(1)
            .run("panic", |_| panic!("on purpose"));
        faults
            .on_get_records()
            .nth(2)
            .run("panic", |_| panic!("on purpose"));
        faults
            .on_wait()
            .nth(1)
            .run("panic", |_| panic!("on purpose"));
        let producer = stream.producer();
        assert_eq!(
            panic_text(|| drop(producer.put_record("k", "never"))),
            "on purpose"
        );
        let rule = faults.on_put().nth(1).fail();
        producer.put_record("k", "x").expect_err("rules go on");
        rule.assert_injected(1);
        producer.put_record("k", "first").expect("taken");
        producer.put_record("k", "second").expect("taken");
        let mut reader = stream.subscribe(TrimHorizon).expect("good");
        let ready = reader.ready();
        assert_eq!(reader.get_records(1).expect("it reads").len(), 1);
        let text = panic_text(|| drop(reader.get_records(1)));
        assert_eq!(text, "on purpose");
        assert_eq!(ready.len(), 1, "the bell is set though it panicked");
        let batch = reader.get_records(1).expect("it reads");
        assert_eq!(common::view_texts(&batch), ["second"]);
        let text = panic_text(|| drop(reader.get_records_timeout(1, HOUR)));
        assert_eq!(text, "on purpose");
        stream.close();
        let after = reader.get_records_timeout(1, HOUR).expect("it reads");
        assert!(after.is_empty() && reader.is_finished());
    }

    #[test]
    fn take_rules_while_others_call_and_count_each_call_once() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 2);
        let refused = AtomicU64::new(0);
        let mut rules = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for n in 0..300 {
                        let put = stream.producer().put_record(&*format!("{n}"), "x");
                        refused.fetch_add(u64::from(put.is_err()), Ordering::Relaxed);
                    }
                });
            }
            for _ in 0..20 {
                rules.push(faults.on_put().next(5).throttle());
                std::thread::yield_now();
            }
        });
        let injected: u64 = rules.iter().map(FaultRule::injected_count).sum();
        assert_eq!(injected, refused.load(Ordering::Relaxed));
        assert_eq!(faults.injected_count(), injected);
        assert!(rules.iter().all(|rule| rule.injected_count() <= 5));
        records_of(&stream).assert_count(900 - injected as usize);
    }

    #[test]
    fn keep_the_details_of_the_newest_faults_and_count_all() {
        let faults = FaultPlan::new();
        let (stream, _clock) = stream_with(&faults, 1);
        let rule = faults.on_put().fail();
        let producer = stream.producer();
        for _ in 0..100_005 {
            producer.put_record("k", "x").expect_err("it fails");
        }
        assert_eq!(faults.injected_count(), 100_005);
        rule.assert_injected(100_005);
        let injected = faults.injected();
        assert_eq!((injected.len(), injected[0].count), (100_000, 6));
        assert!(faults.report().contains("the last 20 of 100005"));
    }

    #[test]
    fn reshard_again_and_again_and_lose_no_record() {
        let faults = FaultPlan::with_seed(11);
        let (stream, clock) = stream_with(&faults, 2);
        faults.on_put().at_random(0.02).split_shard();
        faults.on_put().at_random(0.05).merge_shard();
        faults.on_put().at_random(0.02).drop_answer();
        faults.on_put().at_random(0.05).fail();
        faults.on_get_records().at_random(0.1).split_shard();
        faults.on_get_records().at_random(0.2).merge_shard();
        faults.on_get_records().at_random(0.1).drop_answer();
        faults.on_get_records().at_random(0.1).throttle();
        faults.on_get_records().at_random(0.1).expire_iterator();
        faults.on_get_records().at_random(0.1).answer_late(secs(1));
        let producer = stream.producer();
        let mut reader = stream.subscribe(TrimHorizon).expect("good");
        let mut seen: Vec<Vec<u32>> = vec![Vec::new(); 7];
        let mut read = |reader: &mut Subscription| {
            let Ok(batch) = reader.get_records(10) else {
                return;
            };
            assert_eq!(batch.missed_count(), 0);
            for record in &batch {
                let key: usize = record.partition_key().parse().expect("a number");
                let n = common::text(&record.to_record()).parse().expect("a number");
                // A record whose answer was dropped comes twice; nothing else does, or out of order.
                if seen[key].last() != Some(&n) {
                    seen[key].push(n);
                }
            }
        };
        for n in 0..1_000_u32 {
            let key = (n % 7).to_string();
            while producer.put_record(&*key, n.to_string()).is_err() {}
            if n % 3 == 0 {
                read(&mut reader);
            }
        }
        stream.close();
        while !reader.is_finished() {
            read(&mut reader);
        }
        for (key, seen) in seen.iter().enumerate() {
            let all: Vec<_> = (0..1_000).filter(|n| n % 7 == key as u32).collect();
            assert_eq!(*seen, all, "{}", faults.report());
        }
        assert!(stream.shards().len() > 20, "{}", faults.report());
        assert!(clock.monotonic() > secs(5));
    }

    #[test]
    fn can_be_shared_by_streams_and_threads() {
        fn check<T: Send + Sync + Clone + Debug + 'static>() {}
        check::<FaultPlan>();
        check::<FaultRule>();
        let calls = Arc::new(AtomicU64::new(0));
        let faults = FaultPlan::default();
        let counted = Arc::clone(&calls);
        faults.on_put().run("count", move |stream| {
            assert!(stream.name().starts_with('s'));
            counted.fetch_add(1, Ordering::Relaxed);
        });
        for n in 0..3 {
            let stream = Stream::builder(format!("s{n}"))
                .faults(&faults)
                .build()
                .expect("the settings make sense");
            stream.producer().put_record("k", "x").expect("taken");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 3);
        let names: Vec<_> = faults
            .injected()
            .into_iter()
            .map(|one| one.stream)
            .collect();
        assert_eq!(names, ["s0", "s1", "s2"]);
    }

    #[test]
    fn with_no_rule_change_nothing() {
        let faults = FaultPlan::new();
        let (stream, clock) = stream_with(&faults, 2);
        let (plain, _) = common::stream(2);
        for stream in [&stream, &plain] {
            for (n, (_, way)) in put_ways().into_iter().enumerate() {
                way(&stream.producer(), &format!("key-{n}"), "x").expect("taken");
            }
            let mut reader = stream.subscribe(TrimHorizon).expect("good");
            while !reader.get_records(2).expect("it reads").is_empty() {}
        }
        assert_eq!(common::read_all(&stream), common::read_all(&plain));
        let figures = |stream: &Stream| format!("{:?}", stream.metrics());
        assert_eq!(figures(&stream), figures(&plain));
        assert_eq!(now_ms(&clock), common::START_MS);
    }
}
