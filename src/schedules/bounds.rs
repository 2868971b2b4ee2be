//! Retention, capacity and limits, at which several threads arrive together.

use super::*;
use crate::error::Error;
use crate::limits::Limits;
use crate::shard::OnFull;

const RETENTION: Duration = Duration::from_millis(10);

#[test]
fn records_that_expire_while_they_are_read_are_given_or_counted_as_missed() {
    scenario(&["missed none", "missed some"], |outcomes| {
        let clock = ManualClock::default();
        let stream = built(builder().clock(clock.clone()).retention(RETENTION));
        let producers = [0, 1].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        let turning = spawn({
            let clock = clock.clone();
            move || {
                for _ in 0..3 {
                    clock.advance(Duration::from_millis(6));
                }
                // Time of day may go back; what is trimmed stays so.
                clock.set(clock.now() - Duration::from_millis(12));
            }
        });
        let readers = [1, 3].map(|limit| {
            let shard = stream.shards().remove(0);
            spawn(move || {
                let (mut iterator, mut given) = (from_the_first(&shard), Given::default());
                for _ in 0..3 {
                    given.add(&iterator.get_records(limit).unwrap());
                }
                (iterator, given)
            })
        });
        let ledger = Ledger::new(join(producers));
        turning.join().unwrap();
        for (mut iterator, mut given) in join(readers) {
            drain(&mut iterator, &mut given);
            given.check_all(&ledger);
            outcomes.came_to(if given.missed == 0 {
                "missed none"
            } else {
                "missed some"
            });
        }
    });
}

#[test]
fn a_retention_that_is_changed_meanwhile_brings_nothing_back() {
    scenario(&["retained", "trimmed"], |outcomes| {
        let clock = ManualClock::default();
        let stream = built(builder().clock(clock.clone()).retention(secs(60)));
        let shard = stream.shards().remove(0);
        let changing = spawn({
            let stream = stream.clone();
            move || {
                stream.set_retention(RETENTION).unwrap();
                stream.set_retention(secs(60)).unwrap();
            }
        });
        let producing = spawn({
            let (stream, clock) = (stream.clone(), clock.clone());
            move || {
                let puts = put_all(&stream, 0, 2);
                clock.advance(RETENTION * 2);
                [puts, put_all(&stream, 1, 2)].concat()
            }
        });
        let watching = spawn({
            let shard = shard.clone();
            move || {
                let mut trimmed = 0;
                for _ in 0..3 {
                    let now = shard.metrics().records_trimmed;
                    assert!(now >= trimmed, "the horizon goes back");
                    trimmed = now;
                }
                trimmed
            }
        });
        let ledger = Ledger::new(join([producing]));
        changing.join().unwrap();
        let trimmed = watching.join().unwrap();
        let (mut iterator, mut given) = (from_the_first(&shard), Given::default());
        drain(&mut iterator, &mut given);
        given.check_all(&ledger);
        assert!(given.missed >= trimmed && given.missed <= 2);
        outcomes.came_to(if given.missed == 0 {
            "retained"
        } else {
            "trimmed"
        });
    });
}

#[test]
fn a_full_shard_takes_as_many_records_as_have_expired() {
    scenario(&["refused some", "refused none"], |outcomes| {
        let clock = ManualClock::default();
        let settings = builder().clock(clock.clone()).retention(RETENTION);
        let stream = built(settings.capacity_records(3).on_full(OnFull::Refuse));
        let producers = [0, 1].map(|name| {
            let producer = stream.producer();
            spawn(move || {
                let mut refused = 0;
                for count in 1..=3 {
                    match producer.put_record("k", small((name, count))) {
                        Ok(_) => {}
                        Err(Error::ShardFull { .. }) => refused += 1,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                refused
            })
        });
        let watching = spawn({
            let shard = stream.shards().remove(0);
            move || [(); 3].map(|()| assert!(shard.metrics().records_retained <= 3))
        });
        clock.advance(RETENTION * 2);
        let refused: u64 = join(producers).into_iter().sum();
        watching.join().unwrap();
        let figures = stream.shards()[0].metrics();
        assert_eq!(figures.records_in + refused, 6);
        // Three before the clock was turned, and three after it, at most.
        assert!((3..=6).contains(&figures.records_in));
        outcomes.came_to(if refused == 0 {
            "refused none"
        } else {
            "refused some"
        });
    });
}

#[test]
fn puts_that_wait_for_room_go_on_when_records_have_expired() {
    scenario(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let settings = builder().clock(clock.clone()).retention(RETENTION);
        let full = OnFull::Wait(Duration::MAX);
        let stream = built(settings.capacity_records(2).on_full(full));
        put_all(&stream, 0, 2);
        let putters = [1, 2].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 1))
        });
        let turning = [(); 2].map(|()| {
            let clock = clock.clone();
            // Neither of the two alone makes room.
            spawn(move || clock.advance(Duration::from_millis(6)))
        });
        join(turning);
        join(putters);
        let figures = stream.shards()[0].metrics();
        assert_eq!((figures.records_in, figures.records_trimmed), (4, 2));
        assert_eq!(clock.sleeper_count(), 0);
        outcomes.came_to("done");
    });
}

#[test]
fn puts_that_wait_for_room_end_while_the_clock_is_turned_and_the_stream_looked_at() {
    scenario(&["done"], |outcomes| {
        let clock = ManualClock::default();
        let settings = builder().clock(clock.clone()).retention(RETENTION);
        let full = OnFull::Wait(Duration::MAX);
        let stream = built(settings.capacity_records(2).on_full(full));
        let putters = [1, 2].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        while stream.metrics().records_in() < 6 {
            clock.advance(Duration::from_millis(6));
            thread::yield_now();
        }
        join(putters);
        assert_eq!(clock.sleeper_count(), 0);
        outcomes.came_to("done");
    });
}

#[test]
fn puts_that_wait_for_room_too_long_are_refused() {
    scenario(&["refused"], |outcomes| {
        let clock = ManualClock::default();
        let settings = builder().clock(clock.clone()).capacity_records(1);
        let stream = built(settings.on_full(OnFull::Wait(secs(1))));
        put_all(&stream, 0, 1);
        let putters = [1, 2].map(|name| {
            let producer = stream.producer();
            spawn(move || producer.put_record("k", small((name, 1))).unwrap_err())
        });
        // A put may begin to wait when the clock was turned already.
        let turning = spawn({
            let clock = clock.clone();
            move || {
                for _ in 0..3 {
                    clock.advance(secs(1));
                }
            }
        });
        turning.join().unwrap();
        clock.advance(secs(1));
        while clock.sleeper_count() > 0 {
            clock.advance(secs(1));
            thread::yield_now();
        }
        stream.close();
        for refused in join(putters) {
            assert!(matches!(
                refused,
                Error::PutTimedOut { .. } | Error::StreamClosed { .. }
            ));
        }
        assert_eq!(stream.shards()[0].metrics().records_in, 1);
        outcomes.came_to("refused");
    });
}

#[test]
fn limits_let_through_as_many_records_as_they_say() {
    scenario(&["in the first second", "also in the next"], |outcomes| {
        let clock = ManualClock::default();
        let limits = Limits::unlimited().write_records_per_second(Some(2));
        let stream = built(builder().clock(clock.clone()).limits(limits));
        let producers = [0, 1].map(|name| {
            let producer = stream.producer();
            spawn(move || {
                let puts = (1..=3).map(|count| producer.put_record("k", small((name, count))));
                let refused = puts.filter(|put| match put {
                    Ok(_) => false,
                    Err(Error::WriteThrottled { .. }) => true,
                    Err(error) => panic!("{error:?}"),
                });
                refused.count() as u64
            })
        });
        clock.advance(secs(1));
        let refused: u64 = join(producers).into_iter().sum();
        let figures = stream.shards()[0].metrics();
        assert_eq!(figures.puts_throttled, refused);
        assert_eq!(figures.records_in + refused, 6);
        outcomes.came_to(match figures.records_in {
            2 => "in the first second",
            3 | 4 => "also in the next",
            more => panic!("{more} records in two seconds"),
        });
    });
}
