//! Virtual time: a day of stream life in no time, everybody at their turn.
//!
//! Threads are woken one at a time and at their own times, so what they do is the same in every run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use brooklet::testing::{Eventually, FaultPlan, eventually, records_of};
use brooklet::{
    Clock, Error, HashKey, Limits, ManualClock, OnFull, Parker, Registry, StartingPosition, Stream,
    StreamStatus, Timestamp,
};
use common::{START_MS, clock, millis, now_ms, secs, until};

use StartingPosition::{Latest, TrimHorizon};

mod common;

const MINUTE: Duration = secs(60);
const HOUR: Duration = secs(3600);
const DAY: Duration = secs(86_400);
/// What depends on how threads happen to run is tried so often.
const ROUNDS: u32 = 20;

/// A clock that turns itself, from [`START_MS`] on.
fn turning() -> ManualClock {
    ManualClock::turning_itself(Timestamp::from_millis(START_MS))
}

fn stream_on(clock: &ManualClock) -> Stream {
    let builder = Stream::builder("orders").clock(clock.clone());
    builder.build().expect("the settings make sense")
}

mod a_clock_turned_by_hand {
    use super::*;

    #[test]
    fn wakes_exactly_those_whose_time_has_come() {
        let clock = clock();
        let woken = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for deadline in [5, 1, 9, 3, 7] {
                let (clock, woken) = (&clock, &woken);
                scope.spawn(move || {
                    let parker = Parker::new();
                    clock.park(&parker, secs(deadline));
                    woken.lock().expect("no panic").push(deadline);
                });
            }
            until(|| clock.sleeper_count() == 5);
            assert_eq!(clock.next_deadline(), Some(clock.now() + secs(1)));
            clock.advance(millis(4_999));
            until(|| woken.lock().expect("no panic").len() == 2);
            assert_eq!(clock.sleeper_count(), 3);
            assert_eq!(clock.next_deadline(), Some(clock.now() + millis(1)));
            clock.advance(millis(1));
            until(|| woken.lock().expect("no panic").len() == 3);
            assert_eq!(clock.sleeper_count(), 2);
            clock.advance(DAY);
        });
        let mut woken = woken.into_inner().expect("no panic");
        woken[..2].sort_unstable();
        woken[3..].sort_unstable();
        assert_eq!(woken, [1, 3, 5, 7, 9]);
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn run_for_a_time_wakes_each_at_its_own_and_in_order() {
        for _ in 0..ROUNDS {
            let clock = clock();
            let log = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for (name, period) in [("a", 7), ("b", 5), ("c", 5)] {
                    let (clock, log) = (&clock, &log);
                    let sleep = clock.taking_part(move || {
                        for _ in 0..3 {
                            clock.pass(secs(period));
                            let at = clock.monotonic().as_secs();
                            log.lock().expect("no panic").push((at, name));
                        }
                    });
                    scope.spawn(sleep);
                    // So that b sleeps before c does: who sleeps first is woken first.
                    let count = ["a", "b", "c"].iter().position(|one| *one == name);
                    until(|| clock.sleeper_count() == count.expect("it is one of them") + 1);
                }
                clock.run_for(secs(12));
                assert_eq!(clock.monotonic(), secs(12));
                let so_far = log.lock().expect("no panic").clone();
                assert_eq!(so_far, [(5, "b"), (5, "c"), (7, "a"), (10, "b"), (10, "c")]);
                clock.run_for(DAY);
            });
            let log = log.into_inner().expect("no panic");
            assert_eq!(log[5..], [(14, "a"), (15, "b"), (15, "c"), (21, "a")]);
            assert_eq!(clock.monotonic(), secs(12) + DAY);
        }
    }

    #[test]
    fn runs_until_nobody_waits_for_a_time() {
        let clock = clock();
        assert_eq!(clock.run_until_idle(DAY), Duration::ZERO);
        thread::scope(|scope| {
            scope.spawn(clock.taking_part(|| clock.pass(secs(100))));
            scope.spawn(clock.taking_part(|| {
                clock.pass(secs(30));
                clock.pass(secs(300));
            }));
            assert_eq!(
                clock.run_until_idle(secs(200)),
                secs(100),
                "330 is too late"
            );
            assert_eq!(clock.run_until_idle(secs(229)), Duration::ZERO);
            assert_eq!(clock.run_until_idle(secs(230)), secs(230));
        });
        assert_eq!(clock.monotonic(), secs(330));
    }

    #[test]
    fn does_not_run_to_the_end_of_time_for_those_who_wait_without_a_bound() {
        let clock = clock();
        let stream = stream_on(&clock);
        let reader = stream.subscribe(Latest).expect("good");
        thread::scope(|scope| {
            let read = scope.spawn(clock.taking_part(move || reader.batches_blocking(10).count()));
            assert_eq!(clock.run_until_idle(DAY), Duration::ZERO);
            assert_eq!(clock.next_deadline(), None);
            stream.producer().put_record("k", "x").expect("taken");
            clock.run_for(HOUR);
            assert_eq!(clock.monotonic(), HOUR);
            stream.close();
            assert_eq!(read.join().expect("no panic"), 1);
        });
    }

    #[test]
    fn waits_for_those_who_were_woken_by_a_record() {
        for _ in 0..ROUNDS {
            let clock = clock();
            let stream = stream_on(&clock);
            let mut reader = stream.subscribe(Latest).expect("good");
            thread::scope(|scope| {
                scope.spawn(clock.taking_part(|| {
                    for n in 0..5 {
                        clock.pass(MINUTE);
                        let put = stream.producer().put_record("k", n.to_string());
                        put.expect("taken");
                    }
                    stream.close();
                }));
                let (clock, stream) = (&clock, &stream);
                let reading = scope.spawn(clock.taking_part(move || {
                    let mut at = Vec::new();
                    while !reader.is_finished() {
                        let batch = reader.get_records_timeout(10, DAY).expect("it reads");
                        at.extend(batch.iter().map(|_| clock.monotonic().as_secs()));
                    }
                    at
                }));
                clock.run_for(3 * MINUTE);
                assert_eq!(stream.metrics().records_in(), 3);
                assert_eq!(stream.metrics().records_out(), 3, "the reader had its turn");
                clock.run_for(HOUR);
                let at = reading.join().expect("no panic");
                assert_eq!(at, [60, 120, 180, 240, 300]);
            });
        }
    }

    #[test]
    fn does_not_wait_for_those_who_have_ended_panicked_or_never_began() {
        let clock = clock();
        drop(clock.taking_part(|| ()));
        clock.run_for(secs(1));
        let panicking = clock.taking_part(|| {
            clock.pass(secs(1));
            panic!("on purpose");
        });
        thread::scope(|scope| {
            let panicking = scope.spawn(panicking);
            clock.run_for(secs(5));
            panicking.join().expect_err("it panicked");
        });
        let ended = clock.taking_part(|| 17);
        assert_eq!(ended(), 17);
        clock.run_for(secs(1));
        assert_eq!(clock.monotonic(), secs(7));
    }

    #[test]
    fn lets_one_who_takes_part_pass_time_only_when_it_is_turned() {
        let clock = clock();
        thread::scope(|scope| {
            let passing = scope.spawn(clock.taking_part(|| {
                clock.pass(Duration::ZERO);
                clock.pass(secs(2));
                clock.monotonic()
            }));
            until(|| clock.sleeper_count() == 1);
            assert_eq!(clock.monotonic(), Duration::ZERO);
            clock.advance(secs(3));
            assert_eq!(passing.join().expect("no panic"), secs(3));
        });
    }

    #[test]
    fn tells_the_next_deadline_to_the_millisecond_and_not_too_early() {
        let clock = clock();
        thread::scope(|scope| {
            scope.spawn(|| clock.park(&Parker::new(), Duration::from_micros(1_500)));
            until(|| clock.sleeper_count() == 1);
            let next = clock.next_deadline().expect("somebody sleeps");
            assert_eq!(next.as_millis(), START_MS + 2);
            clock.set(next);
        });
        assert_eq!(clock.sleeper_count(), 0);
    }

    #[test]
    fn at_the_end_of_time_neither_wraps_nor_hangs() {
        let clock = ManualClock::new(Timestamp::from_millis(u64::MAX));
        clock.run_for(Duration::MAX);
        clock.run_for(Duration::MAX);
        clock.pass(Duration::MAX);
        assert_eq!(clock.run_until_idle(Duration::MAX), Duration::ZERO);
        assert_eq!(clock.monotonic(), Duration::MAX);
        assert_eq!(clock.now(), Timestamp::from_millis(u64::MAX));
    }
}

mod a_clock_that_turns_itself {
    use super::*;

    #[test]
    fn ends_every_wait_of_a_single_thread_at_its_time() {
        let clock = turning();
        let stream = Stream::builder("orders")
            .capacity_records(1)
            .on_full(OnFull::Wait(MINUTE))
            .retention(HOUR)
            .clock(clock.clone())
            .build()
            .expect("the settings make sense");
        let mut iterator = common::iterator(&stream, Latest);
        let mut reader = stream.subscribe(Latest).expect("good");
        let mut passed = Duration::ZERO;
        let mut step = |expected: Duration| {
            let by = clock.monotonic() - passed;
            passed = clock.monotonic();
            assert_eq!(by, expected);
        };
        assert!(
            iterator
                .get_records_timeout(1, HOUR)
                .expect("it reads")
                .is_empty()
        );
        step(HOUR);
        assert!(
            reader
                .get_records_timeout(1, DAY)
                .expect("it reads")
                .is_empty()
        );
        step(DAY);
        let end = clock.now() + secs(5);
        assert!(
            reader
                .get_records_deadline(1, end)
                .expect("it reads")
                .is_empty()
        );
        step(secs(5));
        assert!(
            iterator
                .get_records_deadline(1, end)
                .expect("it reads")
                .is_empty()
        );
        step(Duration::ZERO);
        let producer = stream.producer();
        producer.put_record("k", "first").expect("taken");
        let full = producer
            .put_record("k", "too many")
            .expect_err("full for a minute");
        assert!(matches!(full, Error::PutTimedOut { .. }));
        step(MINUTE);
        clock.advance(HOUR - secs(90));
        step(HOUR - secs(90));
        producer
            .put_record("k", "second")
            .expect("the first expires");
        step(millis(30_001));
        clock.pass(secs(9));
        step(secs(9));
    }

    #[test]
    fn lets_threads_that_take_part_go_on_in_turns_and_the_same_each_time() {
        let mut first = None;
        for _ in 0..ROUNDS {
            let clock = turning();
            let stream = stream_on(&clock);
            let log = Mutex::new(Vec::new());
            thread::scope(|scope| {
                // All take part before one of them begins.
                let runs = [3, 5, 11_u64].map(|period| {
                    let (clock, stream, log) = (&clock, &stream, &log);
                    clock.taking_part(move || {
                        let mut reader = stream.subscribe(Latest).expect("good");
                        while clock.monotonic() < secs(40) {
                            let batch = reader.get_records_timeout(9, secs(period));
                            assert!(batch.expect("it reads").is_empty());
                            let at = clock.monotonic().as_secs();
                            log.lock().expect("no panic").push((at, period));
                        }
                    })
                });
                for run in runs {
                    scope.spawn(run);
                }
            });
            let mut log = log.into_inner().expect("no panic");
            assert!(log.is_sorted_by_key(|(at, _)| *at));
            for (at, period) in &log {
                assert_eq!(at % period, 0, "each wakes at its own times");
            }
            // Who slept first at the beginning is up to the threads.
            log.sort_unstable();
            assert_eq!(first.get_or_insert_with(|| log.clone()), &log);
        }
    }

    #[test]
    fn hands_on_what_one_puts_to_another_before_time_passes() {
        for _ in 0..ROUNDS {
            let clock = turning();
            let stream = stream_on(&clock);
            let mut reader = stream.subscribe(Latest).expect("good");
            thread::scope(|scope| {
                // Both take part before one of them begins.
                let write = clock.taking_part(|| {
                    for n in 0..10 {
                        clock.pass(MINUTE);
                        stream
                            .producer()
                            .put_record("k", n.to_string())
                            .expect("taken");
                    }
                    stream.close();
                });
                let read = clock.taking_part(|| {
                    let mut lag = Duration::ZERO;
                    while !reader.is_finished() {
                        let batch = reader.get_records_timeout(1, DAY).expect("it reads");
                        for record in &batch {
                            let arrived = record.approximate_arrival_timestamp();
                            lag += clock.now().duration_since(arrived);
                        }
                    }
                    lag
                });
                scope.spawn(write);
                let reading = scope.spawn(read);
                assert_eq!(reading.join().expect("no panic"), Duration::ZERO);
            });
            assert_eq!(clock.monotonic(), 10 * MINUTE);
        }
    }

    #[test]
    fn goes_on_when_one_who_took_part_has_ended() {
        let clock = turning();
        thread::scope(|scope| {
            let long = clock.taking_part(|| clock.pass(DAY));
            let short = clock.taking_part(|| ());
            scope.spawn(long);
            until(|| clock.sleeper_count() == 1);
            assert_eq!(
                clock.monotonic(),
                Duration::ZERO,
                "the other one may be at work"
            );
            scope.spawn(short);
        });
        assert_eq!(clock.monotonic(), DAY);
    }
}

mod a_day {
    use super::*;

    #[test]
    fn of_a_stream_passes_with_retention_throttling_and_states() {
        let clock = clock();
        let registry = Registry::builder()
            .clock(clock.clone())
            .state_delay(secs(10))
            .build();
        let stream = registry
            .create(
                Stream::builder("orders")
                    .retention(6 * HOUR)
                    .limits(Limits::unlimited().write_records_per_second(Some(1))),
            )
            .expect("a new name");
        assert_eq!(stream.status(), StreamStatus::Creating);
        clock.run_for(secs(10));
        assert_eq!(stream.status(), StreamStatus::Active);
        let refused = Mutex::new(0);
        thread::scope(|scope| {
            scope.spawn(clock.taking_part(|| {
                let producer = stream.producer();
                for n in 0..24 * 60 {
                    // The second of two is refused within the second.
                    for data in [format!("{n}"), format!("{n} again")] {
                        if let Err(error) = producer.put_record("k", data) {
                            assert!(error.is_retryable());
                            *refused.lock().expect("no panic") += 1;
                        }
                    }
                    clock.pass(MINUTE);
                }
            }));
            clock.run_for(3 * HOUR);
            assert_eq!(stream.metrics().records_in(), 181);
            stream.update_shard_count(2).expect("it is active");
            assert_eq!(stream.status(), StreamStatus::Updating);
            clock.run_for(secs(10) - millis(1));
            assert_eq!(stream.shards().len(), 1);
            clock.run_for(millis(1));
            assert_eq!(stream.status(), StreamStatus::Active);
            assert_eq!(stream.shards().len(), 3);
            clock.run_for(DAY);
        });
        assert_eq!(*refused.lock().expect("no panic"), 24 * 60);
        // The shard of before the change, and its figures, are gone with its last record.
        assert_eq!(stream.metrics().records_in(), 24 * 60 - 181);
        // Of the last six hours; the last three, and the ten seconds, passed without a record.
        let oldest = records_of(&stream).records()[0].approximate_arrival_timestamp();
        assert!(clock.now().duration_since(oldest) <= 6 * HOUR);
        records_of(&stream).assert_count(3 * 60 - 1);
    }
}

mod a_reshard {
    use super::*;

    const DELAY: Duration = secs(10);
    const HALF: HashKey = HashKey::new(1 << 127);

    /// An active stream, split in ten seconds.
    fn splitting(clock: &ManualClock) -> Stream {
        let registry = Registry::builder().clock(clock.clone());
        let registry = registry.state_delay(DELAY).build();
        let stream = registry
            .create(Stream::builder("orders"))
            .expect("a new name");
        clock.advance(DELAY);
        let parent = stream.shards()[0].id();
        stream.split_shard(parent, HALF).expect("it is active");
        stream
    }

    #[test]
    fn is_what_time_waits_for_and_wakes_its_readers_at_its_time() {
        for _ in 0..ROUNDS {
            let clock = clock();
            let stream = splitting(&clock);
            let due = clock.now() + DELAY;
            assert_eq!(clock.next_deadline(), Some(due));
            assert_eq!(clock.sleeper_count(), 0, "no thread waits");
            let woken = Mutex::new(Vec::new());
            let note = &|what: &'static str| {
                let now = clock.now();
                woken.lock().expect("no panic").push((what, now));
            };
            thread::scope(|scope| {
                let parent = stream.shards()[0].id();
                let mut reader = stream
                    .shard_iterator(parent, TrimHorizon)
                    .expect("it is there");
                let mut subscription = stream.subscribe(TrimHorizon).expect("it is there");
                scope.spawn(clock.taking_part(move || {
                    let end = reader.get_records_timeout(10, HOUR).expect("it is there");
                    assert_eq!(end.child_shards().len(), 2);
                    note("the end");
                }));
                scope.spawn(clock.taking_part(|| {
                    clock.pass(DELAY + secs(1));
                    stream.producer().put_record("k", "x").expect("taken");
                    note("a put");
                }));
                scope.spawn(clock.taking_part(move || {
                    let batch = subscription.get_records_timeout(10, HOUR);
                    assert_eq!(batch.expect("it is there").len(), 1);
                    note("a record");
                }));
                clock.run_for(HOUR);
            });
            let mut woken = woken.into_inner().expect("no panic");
            assert_eq!(woken[0], ("the end", due));
            woken.sort_unstable();
            let later = due + secs(1);
            assert_eq!(woken[..2], [("a put", later), ("a record", later)]);
        }
    }

    #[test]
    fn comes_when_nobody_else_waits_for_a_time() {
        let clock = clock();
        let stream = splitting(&clock);
        assert_eq!(clock.run_until_idle(HOUR), DELAY);
        assert_eq!(stream.shards().len(), 3);
        assert_eq!(clock.run_until_idle(HOUR), Duration::ZERO);
    }

    #[test]
    fn comes_on_a_clock_that_turns_itself_and_wakes_whoever_turned_it() {
        let clock = turning();
        let stream = splitting(&clock);
        let begin = clock.now();
        let parent = stream.shards()[0].id();
        let mut reader = stream
            .shard_iterator(parent, TrimHorizon)
            .expect("it is there");
        let end = reader.get_records_timeout(10, HOUR).expect("it is there");
        assert!(end.shard_ended());
        assert_eq!(clock.now(), begin + DELAY);
    }

    #[test]
    fn keeps_nobody_asleep_on_a_clock_that_turns_itself() {
        let clock = turning();
        let stream = splitting(&clock);
        let begin = clock.monotonic();
        // Neither of the two is woken by it.
        let other = stream_on(&clock);
        let mut reader = other.subscribe(Latest).expect("it is there");
        let batch = reader.get_records_timeout(10, HOUR).expect("it is there");
        assert!(batch.is_empty());
        assert_eq!(clock.monotonic() - begin, HOUR);
        clock.pass(HOUR);
        assert_eq!(stream.shards().len(), 3);
    }
}

mod eventually_ {
    use super::*;

    #[test]
    fn finds_what_is_there_at_once_and_lets_no_time_pass() {
        let clock = clock();
        eventually(&clock, HOUR, || true);
        assert_eq!(eventually(&clock, Duration::ZERO, || Some(5)), 5);
        let found: Result<&str, String> = Ok("found");
        assert_eq!(eventually(&clock, HOUR, || found.clone()), "found");
        assert_eq!(clock.monotonic(), Duration::ZERO);
    }

    #[test]
    fn lets_time_pass_until_it_is_true_and_no_longer() {
        let clock = clock();
        let stream = Stream::builder("orders")
            .retention(HOUR)
            .clock(clock.clone())
            .build()
            .expect("the settings make sense");
        stream.producer().put_record("k", "x").expect("taken");
        eventually(&clock, 2 * HOUR, || records_of(&stream).check_count(0));
        let passed = clock.monotonic();
        assert!(
            passed > HOUR && passed <= HOUR + 2 * HOUR / 100,
            "{passed:?}"
        );
    }

    #[test]
    fn looks_at_the_time_of_each_who_sleeps() {
        let clock = clock();
        let done = Mutex::new(false);
        thread::scope(|scope| {
            scope.spawn(clock.taking_part(|| {
                clock.pass(millis(1_234));
                *done.lock().expect("no panic") = true;
            }));
            eventually(&clock, DAY, || *done.lock().expect("no panic"));
        });
        assert_eq!(clock.monotonic(), millis(1_234));
    }

    #[test]
    fn looks_as_often_as_it_was_told() {
        let clock = clock();
        let mut looks = 0;
        let look = || {
            looks += 1;
            false
        };
        let missing = Eventually::new(&clock, secs(10)).every(secs(3)).check(look);
        assert_eq!(looks, 5, "at 0, 3, 6, 9 and 10");
        assert_eq!(
            missing,
            Err(
                "not within 10s from 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:30.000Z, \
                 in 5 looks; at last: false"
                    .to_owned()
            )
        );
    }

    #[test]
    fn looks_once_if_there_is_no_time_and_a_hundred_times_at_most_otherwise() {
        for (within, looks) in [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 2),
            (millis(1), 2),
            (millis(10), 11),
            (HOUR, 101),
            (Duration::MAX / 2, 101),
        ] {
            let clock = clock();
            let mut count = 0;
            let result = Eventually::new(&clock, within).check(|| {
                count += 1;
                None::<()>
            });
            let missing = result.expect_err("it never is");
            assert!(missing.ends_with("at last: None"), "{missing}");
            assert!(count <= looks + 1 && count >= looks, "{within:?}: {count}");
            assert_eq!(clock.monotonic(), within);
        }
    }

    #[test]
    fn says_what_the_last_look_said() {
        let clock = clock();
        let stream = stream_on(&clock);
        stream.producer().put_record("k", "a cup").expect("taken");
        let panic = catch_unwind(AssertUnwindSafe(|| {
            eventually(&clock, secs(1), || {
                records_of(&stream).check_data(["two teapots"])
            });
        }));
        let text = *panic
            .expect_err("it panics")
            .downcast::<String>()
            .expect("with text");
        assert!(text.contains("not within 1s"), "{text}");
        assert!(text.contains("- 0     \"two teapots\""), "{text}");
        assert!(text.contains("+ 0     \"a cup\""), "{text}");
    }

    #[test]
    fn hands_on_a_panic_of_the_look_and_leaves_the_clock_as_good_as_before() {
        let clock = clock();
        let mut looks = 0;
        let panic = catch_unwind(AssertUnwindSafe(|| {
            eventually(&clock, secs(100), || {
                looks += 1;
                assert!(looks < 4, "on purpose");
                false
            });
        }));
        panic.expect_err("it panics");
        assert_eq!(clock.monotonic(), secs(3));
        clock.run_for(secs(1));
        eventually(&clock, secs(1), || true);
    }

    #[test]
    fn works_on_a_clock_that_turns_itself_and_for_one_who_takes_part() {
        let clock = turning();
        let stream = stream_on(&clock);
        thread::scope(|scope| {
            let put = clock.taking_part(|| {
                clock.pass(HOUR);
                stream.producer().put_record("k", "x")
            });
            let look = clock.taking_part(|| {
                eventually(&clock, DAY, || records_of(&stream).check_count(1));
                clock.monotonic()
            });
            scope.spawn(put);
            let looked = scope.spawn(look).join().expect("no panic");
            assert!(looked >= HOUR && looked < HOUR + DAY / 50, "{looked:?}");
        });
    }

    #[test]
    fn refuses_a_step_of_no_time() {
        let clock = clock();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            Eventually::new(&clock, HOUR).every(Duration::ZERO)
        }));
        panic.expect_err("it panics");
    }

    #[test]
    fn sees_a_retry_succeed_after_faults() {
        let clock = clock();
        let faults = FaultPlan::new();
        let stream = Stream::builder("orders")
            .faults(&faults)
            .clock(clock.clone())
            .build()
            .expect("the settings make sense");
        faults.on_put().next(3).throttle();
        thread::scope(|scope| {
            scope.spawn(clock.taking_part(|| {
                let mut wait = millis(100);
                while stream.producer().put_record("k", "x").is_err() {
                    clock.pass(wait);
                    wait *= 2;
                }
            }));
            eventually(&clock, secs(10), || records_of(&stream).check_data(["x"]));
        });
        assert_eq!(clock.monotonic(), millis(700));
        faults.assert_all_injected();
        let mut reader = stream.subscribe(TrimHorizon).expect("good");
        assert_eq!(reader.get_records(9).expect("it reads").len(), 1);
        assert_eq!(now_ms(&clock), START_MS + 700);
    }
}
