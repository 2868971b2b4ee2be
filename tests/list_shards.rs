//! Listing shards with the six filters: the contract, 2.7.

use brooklet::{Error, HashKey, ShardFilter, Stream, Timestamp};
use common::{
    START_MS, build, cases, id, indices, millis, now_ms, put_into, refused, secs, stream,
};
use proptest::prelude::*;

use ShardFilter::{
    AfterShardId, AtLatest, AtTimestamp, AtTrimHorizon, FromTimestamp, FromTrimHorizon,
};

mod common;

const RETENTION_SECS: u64 = 100;

fn at(secs_after: u64) -> Timestamp {
    Timestamp::from_millis(START_MS) + secs(secs_after)
}

fn list(stream: &Stream, filter: ShardFilter) -> Vec<u32> {
    indices(&stream.list_shards(filter).unwrap())
}

/// 0 and 1 begin at 0 s; at 10 s, 0 is split into 2 and 3; at 20 s, 3 and 1 are merged into 4.
fn history() -> (Stream, brooklet::ManualClock) {
    let (stream, clock) = build(
        Stream::builder("orders")
            .shard_count(2)
            .retention(secs(RETENTION_SECS)),
    );
    clock.set(at(10));
    stream.split_shard(id(0), HashKey::new(1 << 100)).unwrap();
    clock.set(at(20));
    stream.merge_shards(id(3), id(1)).unwrap();
    clock.set(at(30));
    (stream, clock)
}

#[test]
fn from_trim_horizon_lists_every_unexpired_shard() {
    let (stream, clock) = history();
    assert_eq!(list(&stream, FromTrimHorizon), [0, 1, 2, 3, 4]);
    clock.set(at(10 + RETENTION_SECS));
    assert_eq!(list(&stream, FromTrimHorizon), [0, 1, 2, 3, 4]);
    clock.advance(millis(1));
    assert_eq!(list(&stream, FromTrimHorizon), [1, 2, 3, 4]);
    clock.set(at(20 + RETENTION_SECS) + millis(1));
    assert_eq!(list(&stream, FromTrimHorizon), [2, 4]);
}

#[test]
fn at_latest_lists_the_open_shards() {
    let (stream, clock) = history();
    assert_eq!(list(&stream, AtLatest), [2, 4]);
    clock.advance(secs(1_000_000));
    assert_eq!(list(&stream, AtLatest), [2, 4]);
}

#[test]
fn at_trim_horizon_lists_what_was_open_then() {
    let (stream, clock) = history();
    // Younger than its retention: the shards that it began with.
    assert_eq!(list(&stream, AtTrimHorizon), [0, 1]);
    for (horizon, open) in [
        (0, vec![0, 1]),
        (5, vec![0, 1]),
        (10, vec![0, 1, 2, 3]),
        (11, vec![1, 2, 3]),
        (20, vec![1, 2, 3, 4]),
        (21, vec![2, 4]),
    ] {
        clock.set(at(horizon + RETENTION_SECS));
        assert_eq!(list(&stream, AtTrimHorizon), open, "horizon at {horizon} s");
    }
}

#[test]
fn at_timestamp_lists_what_was_open_then() {
    let (stream, _clock) = history();
    for (time, open) in [
        (0, vec![0, 1]),
        (9, vec![0, 1]),
        (10, vec![0, 1, 2, 3]),
        (15, vec![1, 2, 3]),
        (20, vec![1, 2, 3, 4]),
        (25, vec![2, 4]),
        (30, vec![2, 4]),
    ] {
        assert_eq!(list(&stream, AtTimestamp(at(time))), open, "at {time} s");
    }
    let before_the_stream = Timestamp::from_millis(START_MS - 1);
    assert_eq!(list(&stream, AtTimestamp(before_the_stream)), [0, 1]);
    assert_eq!(
        list(&stream, AtTimestamp(Timestamp::from_millis(0))),
        [0, 1]
    );
}

#[test]
fn at_timestamp_lists_what_was_split_and_what_came_of_it_in_the_moment_of_creation() {
    let (stream, clock) = stream(1);
    stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
    clock.advance(secs(1));
    assert_eq!(list(&stream, AtTimestamp(stream.created())), [0, 1, 2]);
}

#[test]
fn from_timestamp_lists_the_open_shards_and_those_closed_since() {
    let (stream, clock) = history();
    for (time, listed) in [
        (0, vec![0, 1, 2, 3, 4]),
        (10, vec![0, 1, 2, 3, 4]),
        (11, vec![1, 2, 3, 4]),
        (20, vec![1, 2, 3, 4]),
        (21, vec![2, 4]),
        (30, vec![2, 4]),
    ] {
        assert_eq!(
            list(&stream, FromTimestamp(at(time))),
            listed,
            "from {time} s"
        );
    }
    // A time before the horizon is the horizon.
    clock.set(at(15 + RETENTION_SECS));
    assert_eq!(list(&stream, FromTimestamp(at(0))), [1, 2, 3, 4]);
}

#[test]
fn after_shard_id_lists_greater_ids_whether_or_not_that_one_exists() {
    let (stream, clock) = history();
    assert_eq!(list(&stream, AfterShardId(id(0))), [1, 2, 3, 4]);
    assert_eq!(list(&stream, AfterShardId(id(3))), [4]);
    assert!(list(&stream, AfterShardId(id(4))).is_empty());
    assert!(list(&stream, AfterShardId(id(2_147_483_647))).is_empty());
    clock.set(at(15 + RETENTION_SECS));
    assert_eq!(list(&stream, AfterShardId(id(0))), [1, 2, 3, 4]);
}

#[test]
fn a_time_in_the_future_is_refused() {
    let (stream, _clock) = history();
    for filter in [
        AtTimestamp(at(30) + millis(1)),
        FromTimestamp(at(30) + millis(1)),
    ] {
        let error = refused(stream.list_shards(filter));
        assert!(
            matches!(error, Error::TimestampInFuture { .. }),
            "{error:?}"
        );
        assert_eq!(error.code(), "InvalidArgumentException");
    }
}

#[test]
fn an_expired_shard_is_never_listed() {
    let (stream, clock) = history();
    clock.set(at(20 + RETENTION_SECS) + millis(1));
    let filters = [
        FromTrimHorizon,
        AtTrimHorizon,
        AtLatest,
        AtTimestamp(at(15)),
        FromTimestamp(at(0)),
        AfterShardId(id(0)),
    ];
    for filter in filters {
        let listed = list(&stream, filter);
        assert!(
            listed.iter().all(|index| [2, 4].contains(index)),
            "{filter:?}: {listed:?}"
        );
    }
}

#[test]
fn a_stream_that_was_never_resharded_lists_the_same_for_every_filter() {
    let (stream, clock) = stream(3);
    for _ in 0..3 {
        let now = Timestamp::from_millis(now_ms(&clock));
        for filter in [
            FromTrimHorizon,
            AtTrimHorizon,
            AtLatest,
            AtTimestamp(now),
            FromTimestamp(now),
        ] {
            assert_eq!(list(&stream, filter), [0, 1, 2], "{filter:?}");
        }
        clock.advance(stream.retention());
    }
}

#[test]
fn shards_come_in_the_order_of_their_ids() {
    let (stream, _clock) = stream(4);
    for target in [7, 2, 5] {
        stream.update_shard_count(target).unwrap();
    }
    let listed = list(&stream, FromTrimHorizon);
    assert_eq!(listed, (0..listed.len() as u32).collect::<Vec<_>>());
    assert_eq!(listed, indices(&stream.shards()));
    assert!(list(&stream, AtLatest).is_sorted());
}

/// Checks that the shards listed at a time cover all hash keys.
fn assert_covers(stream: &Stream, filter: ShardFilter) {
    let mut ranges: Vec<_> = stream
        .list_shards(filter)
        .unwrap()
        .iter()
        .map(|shard| {
            (
                shard.hash_key_range().start().get(),
                shard.hash_key_range().end().get(),
            )
        })
        .collect();
    ranges.sort_unstable();
    let mut covered = None;
    for (start, end) in ranges {
        let next = covered.map_or(Some(0), |covered: u128| covered.checked_add(1));
        assert!(
            next.is_none_or(|next| start <= next),
            "{filter:?} leaves a gap before {start}"
        );
        covered = covered.max(Some(end));
    }
    assert_eq!(
        covered,
        Some(u128::MAX),
        "{filter:?} leaves a gap at the end"
    );
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn the_shards_of_any_moment_cover_all_hash_keys(
        steps in prop::collection::vec((0u64..30, any::<bool>(), 1u32..6), 1..12),
        back in any::<bool>(),
    ) {
        let (stream, clock) = build(
            Stream::builder("orders").shard_count(2).retention(secs(RETENTION_SECS)),
        );
        for (step, forward, target) in steps {
            if back && !forward {
                clock.set(Timestamp::from_millis(now_ms(&clock).max(START_MS + 10_000) - 10_000));
            } else {
                clock.advance(secs(step));
            }
            let open = stream.list_shards(AtLatest).unwrap();
            put_into(&stream, open[step as usize % open.len()].id().index(), "x");
            stream.update_shard_count(target).unwrap();
            assert_covers(&stream, AtLatest);
            assert_covers(&stream, AtTrimHorizon);
        }
        clock.advance(secs(20));
        let (now, created) = (now_ms(&clock), START_MS);
        let horizon = now.saturating_sub(RETENTION_SECS * 1_000).max(created);
        for time in (horizon..=now).step_by(500) {
            assert_covers(&stream, AtTimestamp(Timestamp::from_millis(time)));
            assert_covers(&stream, FromTimestamp(Timestamp::from_millis(time)));
        }
    }
}
