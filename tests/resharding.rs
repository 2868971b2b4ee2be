//! Splitting and merging: the exact rules of the contract, 4.1 to 4.4.

use std::collections::BTreeMap;

use brooklet::{Error, HashKey, Shard, StartingPosition, Stream};
use common::{
    Fields, assert_ranges_partition, build, cases, id, indices, key_of, millis, open_by_range,
    put_into, put_many, read_shard, refused, secs, stream, texts,
};
use proptest::prelude::*;

mod common;

const MIDDLE: u128 = 1 << 127;

fn shard(stream: &Stream, index: u32) -> Shard {
    stream.shard(id(index)).expect("the shard has not expired")
}

fn range(stream: &Stream, index: u32) -> (u128, u128) {
    let range = shard(stream, index).hash_key_range();
    (range.start().get(), range.end().get())
}

/// A shard's parent and adjacent parent.
fn parents(stream: &Stream, index: u32) -> (Option<u32>, Option<u32>) {
    let shard = shard(stream, index);
    let index = |id: Option<brooklet::ShardId>| id.map(|id| id.index());
    (
        index(shard.parent_shard_id()),
        index(shard.adjacent_parent_shard_id()),
    )
}

fn children(stream: &Stream, index: u32) -> Vec<u32> {
    shard(stream, index)
        .child_shards()
        .iter()
        .map(|child| child.shard_id().index())
        .collect()
}

mod a_split {
    use super::*;

    #[test]
    fn closes_the_parent_and_opens_two_children_that_share_its_range() {
        let (stream, _clock) = stream(1);
        stream.split_shard(id(0), HashKey::new(1_000)).unwrap();
        assert_eq!(range(&stream, 1), (0, 999));
        assert_eq!(range(&stream, 2), (1_000, u128::MAX));
        for child in [1, 2] {
            assert_eq!(parents(&stream, child), (Some(0), None));
            assert!(shard(&stream, child).is_open());
            assert!(children(&stream, child).is_empty());
        }
        assert!(!shard(&stream, 0).is_open());
        assert_eq!(children(&stream, 0), [1, 2]);
        assert!(shard(&stream, 0).ending_sequence_number().is_some());
        assert_eq!(indices(&stream.shards()), [0, 1, 2]);
    }

    #[test]
    fn takes_keys_from_two_above_the_start_to_one_below_the_end() {
        for (key, legal) in [
            (0, false),
            (1, false),
            (2, true),
            (3, true),
            (MIDDLE, true),
            (u128::MAX - 1, true),
            (u128::MAX, false),
        ] {
            let (stream, _clock) = stream(1);
            let result = stream.split_shard(id(0), HashKey::new(key));
            assert_eq!(result.is_ok(), legal, "{key}");
            if let Err(error) = result {
                assert!(matches!(error, Error::InvalidSplit { .. }), "{error:?}");
                assert_eq!(error.code(), "InvalidArgumentException");
                assert_eq!(indices(&stream.shards()), [0]);
            }
        }
    }

    #[test]
    fn goes_by_the_shards_own_range() {
        let (stream, _clock) = stream(4);
        let (start, end) = range(&stream, 2);
        let outside = [0, start - 1, start, start + 1, end, end + 1, u128::MAX];
        for key in outside {
            let error = refused(stream.split_shard(id(2), HashKey::new(key)));
            assert!(error.to_string().contains(&key.to_string()), "{error}");
            assert!(error.to_string().contains(&end.to_string()), "{error}");
        }
        stream.split_shard(id(2), HashKey::new(start + 2)).unwrap();
        assert_eq!(range(&stream, 4), (start, start + 1));
        assert_eq!(range(&stream, 5), (start + 2, end));
        stream.split_shard(id(5), HashKey::new(end - 1)).unwrap();
        assert_eq!(range(&stream, 7), (end - 1, end));
        assert_ranges_partition(&stream);
    }

    #[test]
    fn of_the_narrowest_shard_is_refused() {
        let (stream, _clock) = stream(1);
        stream.split_shard(id(0), HashKey::new(2)).unwrap();
        for key in 0..4 {
            assert!(
                stream.split_shard(id(1), HashKey::new(key)).is_err(),
                "{key}"
            );
        }
    }

    #[test]
    fn of_a_closed_or_an_unknown_shard_is_refused() {
        let (stream, _clock) = stream(1);
        stream.split_shard(id(0), HashKey::new(MIDDLE)).unwrap();
        let error = refused(stream.split_shard(id(0), HashKey::new(MIDDLE)));
        assert_eq!(error, Error::ShardClosed { shard_id: id(0) });
        assert_eq!(error.code(), "InvalidArgumentException");
        let error = refused(stream.split_shard(id(3), HashKey::new(MIDDLE)));
        assert!(matches!(error, Error::ShardNotFound { .. }), "{error:?}");
        assert_eq!(error.code(), "ResourceNotFoundException");
        assert_eq!(indices(&stream.shards()), [0, 1, 2]);
    }
}

mod a_merge {
    use super::*;

    #[test]
    fn closes_both_parents_and_opens_a_child_over_both_ranges() {
        let (stream, _clock) = stream(4);
        let (lower, upper) = (range(&stream, 1), range(&stream, 2));
        stream.merge_shards(id(1), id(2)).unwrap();
        assert_eq!(range(&stream, 4), (lower.0, upper.1));
        assert_eq!(parents(&stream, 4), (Some(1), Some(2)));
        for parent in [1, 2] {
            assert!(!shard(&stream, parent).is_open());
            assert_eq!(children(&stream, parent), [4]);
        }
        assert_eq!(open_by_range(&stream), [0, 4, 3]);
    }

    #[test]
    fn closes_both_parents_at_the_same_time() {
        let (stream, clock) = stream(2);
        clock.advance(secs(100));
        put_into(&stream, 1, "late");
        // The clock steps back, so that only one shard's last record lies ahead of it.
        clock.set(stream.created() + secs(50));
        stream.merge_shards(id(0), id(1)).unwrap();
        let ends = [0, 1].map(|parent| {
            Fields::of(shard(&stream, parent).ending_sequence_number().unwrap()).time_secs
        });
        assert_eq!(ends[0], ends[1]);
    }

    #[test]
    fn needs_the_lower_shard_first() {
        let (stream, _clock) = stream(3);
        let error = refused(stream.merge_shards(id(1), id(0)));
        assert_eq!(
            error,
            Error::ShardsNotAdjacent {
                lower: id(1),
                upper: id(0)
            }
        );
        assert_eq!(error.code(), "InvalidArgumentException");
    }

    #[test]
    fn of_shards_that_are_not_adjacent_is_refused() {
        let (stream, _clock) = stream(4);
        for (lower, upper) in [(0, 2), (0, 0), (3, 0), (0, 3), (1, 3)] {
            let error = refused(stream.merge_shards(id(lower), id(upper)));
            assert!(
                matches!(error, Error::ShardsNotAdjacent { .. }),
                "{error:?}"
            );
        }
        assert_eq!(open_by_range(&stream), [0, 1, 2, 3]);
    }

    #[test]
    fn of_a_closed_or_an_unknown_shard_is_refused() {
        let (stream, _clock) = stream(3);
        stream.merge_shards(id(0), id(1)).unwrap();
        for (lower, upper) in [(1, 2), (0, 1)] {
            let error = refused(stream.merge_shards(id(lower), id(upper)));
            assert!(matches!(error, Error::ShardClosed { .. }), "{error:?}");
        }
        for (lower, upper) in [(9, 2), (2, 9)] {
            let error = refused(stream.merge_shards(id(lower), id(upper)));
            assert!(
                matches!(error, Error::ShardNotFound { shard_id, .. } if shard_id == id(9)),
                "{error:?}"
            );
        }
        assert_eq!(open_by_range(&stream), [3, 2]);
    }

    #[test]
    fn undoes_a_split_but_for_the_ids() {
        let (stream, _clock) = stream(1);
        stream.split_shard(id(0), HashKey::new(5)).unwrap();
        stream.merge_shards(id(1), id(2)).unwrap();
        assert_eq!(range(&stream, 3), (0, u128::MAX));
        assert_eq!(parents(&stream, 3), (Some(1), Some(2)));
    }
}

mod an_update_of_the_shard_count {
    use super::*;

    /// From, to, shards ever, open shards by range, and each child with its parents.
    type Lineage = (
        u32,
        u32,
        usize,
        &'static [u32],
        &'static [(&'static [u32], &'static [u32])],
    );

    /// The table of the contract, 4.3: a split is one parent, a merge is two.
    const LINEAGE: &[Lineage] = &[
        (1, 2, 3, &[1, 2], &[(&[0], &[1, 2])]),
        (2, 4, 6, &[2, 3, 4, 5], &[(&[0], &[2, 3]), (&[1], &[4, 5])]),
        (4, 2, 6, &[4, 5], &[(&[0, 1], &[4]), (&[2, 3], &[5])]),
        (
            2,
            3,
            7,
            &[2, 6, 5],
            &[(&[0], &[2, 3]), (&[1], &[4, 5]), (&[3, 4], &[6])],
        ),
        (
            3,
            2,
            7,
            &[5, 6],
            &[(&[1], &[3, 4]), (&[0, 3], &[5]), (&[4, 2], &[6])],
        ),
        (
            4,
            3,
            11,
            &[6, 9, 10],
            &[
                (&[1], &[4, 5]),
                (&[0, 4], &[6]),
                (&[2], &[7, 8]),
                (&[5, 7], &[9]),
                (&[8, 3], &[10]),
            ],
        ),
        (
            3,
            4,
            11,
            &[3, 7, 10, 9],
            &[
                (&[0], &[3, 4]),
                (&[1], &[5, 6]),
                (&[4, 5], &[7]),
                (&[2], &[8, 9]),
                (&[6, 8], &[10]),
            ],
        ),
        (
            4,
            5,
            15,
            &[4, 8, 11, 14, 13],
            &[
                (&[0], &[4, 5]),
                (&[1], &[6, 7]),
                (&[5, 6], &[8]),
                (&[2], &[9, 10]),
                (&[7, 9], &[11]),
                (&[3], &[12, 13]),
                (&[10, 12], &[14]),
            ],
        ),
    ];

    #[test]
    fn has_the_lineage_of_the_contract() {
        for (from, to, total, open, operations) in LINEAGE {
            let (stream, _clock) = stream(*from);
            stream.update_shard_count(*to).unwrap();
            let what = format!("{from} to {to}");
            assert_eq!(stream.shards().len(), *total, "{what}");
            assert_eq!(open_by_range(&stream), *open, "{what}");
            let mut unborn: Vec<_> = (*from..*total as u32).collect();
            for (from, to) in *operations {
                for parent in *from {
                    assert_eq!(
                        children(&stream, *parent),
                        *to,
                        "{what}: children of {parent}"
                    );
                }
                for child in *to {
                    let expected = (Some(from[0]), from.get(1).copied());
                    assert_eq!(
                        parents(&stream, *child),
                        expected,
                        "{what}: parents of {child}"
                    );
                    unborn.retain(|index| index != child);
                }
            }
            assert!(unborn.is_empty(), "{what}: {unborn:?} come from nowhere");
            for first in 0..*from {
                assert_eq!(parents(&stream, first), (None, None));
            }
            assert_uniform(&stream, *to);
        }
    }

    #[test]
    fn to_the_present_count_changes_nothing() {
        let (stream, _clock) = stream(3);
        stream.update_shard_count(3).unwrap();
        assert_eq!(indices(&stream.shards()), [0, 1, 2]);
        assert!(stream.shards().iter().all(Shard::is_open));
    }

    #[test]
    fn leaves_an_end_that_is_off_by_twice_the_count_and_moves_one_that_is_off_by_more() {
        const HALF: u128 = 1 << 127;
        for (off, end) in [(8, HALF + 8), (9, HALF)] {
            let (stream, _clock) = stream(1);
            stream.split_shard(id(0), HashKey::new(HALF + off)).unwrap();
            stream.update_shard_count(4).unwrap();
            let open = open_by_range(&stream);
            let starts: Vec<_> = open.iter().map(|index| range(&stream, *index).0).collect();
            assert_eq!(starts, [0, HALF / 2, end, HALF + HALF / 2], "off by {off}");
        }
    }

    #[test]
    fn leaves_no_shard_of_a_few_keys_where_floors_differ() {
        for (from, to) in [
            (3, 6),
            (6, 3),
            (3, 9),
            (5, 10),
            (7, 21),
            (10, 5),
            (7, 14),
            (12, 9),
        ] {
            let (stream, _clock) = stream(from);
            stream.update_shard_count(to).unwrap();
            assert_uniform(&stream, to);
            let boundaries_kept = if to % from == 0 { from as usize } else { 0 };
            let kept = to as usize + boundaries_kept;
            if to % from == 0 {
                assert_eq!(
                    stream.shards().len(),
                    splits_only(from, to),
                    "{from} to {to}: {kept}"
                );
            }
        }
    }

    /// How many shards there ever were if each of `from` was split and nothing merged.
    fn splits_only(from: u32, to: u32) -> usize {
        (from + 2 * (to - from)) as usize
    }

    #[test]
    fn of_none_or_too_many_is_refused() {
        let (stream, _clock) = stream(2);
        for target in [0, 10_001, u32::MAX] {
            let error = refused(stream.update_shard_count(target));
            assert_eq!(error, Error::InvalidShardCount { target });
            assert_eq!(error.code(), "ValidationException");
        }
        assert_eq!(indices(&stream.shards()), [0, 1]);
    }

    #[test]
    fn without_limits_may_be_any_step() {
        let (stream, _clock) = stream(1);
        stream.update_shard_count(1_000).unwrap();
        assert_uniform(&stream, 1_000);
        stream.update_shard_count(3).unwrap();
        assert_uniform(&stream, 3);
    }

    #[test]
    fn ends_with_exactly_so_many_shards_whatever_the_ranges_before() {
        let narrow = [2, MIDDLE - 1, MIDDLE + 2, u128::MAX - 1, u128::MAX - 4];
        for keys in [
            &narrow[..1],
            &narrow[1..3],
            &narrow[3..4],
            &narrow[3..5],
            &narrow[..],
        ] {
            for target in [1, 2, 3, 7] {
                let (stream, _clock) = stream(1);
                for key in keys {
                    let key = HashKey::new(*key);
                    let open = stream.shards().into_iter().filter(Shard::is_open);
                    let mut holder = open.filter(|shard| shard.hash_key_range().contains(key));
                    let holder = holder.next().expect("some shard holds the key").id();
                    stream.split_shard(holder, key).unwrap();
                }
                if keys.len() as u32 + 1 == target {
                    continue;
                }
                stream.update_shard_count(target).unwrap();
                let open = open_by_range(&stream).len() as u32;
                assert_eq!(open, target, "split at {keys:?}, then to {target}");
                assert_ranges_partition(&stream);
            }
        }
    }

    #[test]
    fn leaves_a_way_from_every_shard_of_before_to_the_open_ones() {
        let (stream, _clock) = stream(5);
        for index in 0..5 {
            put_into(&stream, index, &format!("of {index}"));
        }
        for target in [7, 3, 4] {
            stream.update_shard_count(target).unwrap();
        }
        let by_id: BTreeMap<_, _> = stream
            .shards()
            .into_iter()
            .map(|shard| (shard.id(), shard))
            .collect();
        for shard in by_id.values() {
            assert_eq!(shard.is_open(), shard.child_shards().is_empty());
            for child in shard.child_shards() {
                assert!(child.parent_shards().contains(&shard.id()));
                assert!(by_id.contains_key(&child.shard_id()));
                assert!(child.shard_id() > shard.id());
            }
        }
        let texts: Vec<_> = by_id
            .keys()
            .flat_map(|id| texts(&read_shard(&stream, id.index())))
            .collect();
        assert_eq!(texts, ["of 0", "of 1", "of 2", "of 3", "of 4"]);
    }
}

/// Checks that exactly `count` shards are open, with ranges that are equal within rounding.
fn assert_uniform(stream: &Stream, count: u32) {
    assert_ranges_partition(stream);
    let open = open_by_range(stream);
    assert_eq!(open.len() as u32, count);
    let (uniform, _clock) = common::stream(count);
    for (index, open) in open.iter().enumerate() {
        let (is, aim) = (range(stream, *open), range(&uniform, index as u32));
        let near = 2 * u128::from(count);
        assert!(
            is.0.abs_diff(aim.0) <= near && is.1.abs_diff(aim.1) <= near,
            "{is:?} {aim:?}"
        );
    }
}

#[test]
fn a_child_is_numbered_above_everything_in_its_parents() {
    let (stream, clock) = stream(2);
    for step in 0..30u64 {
        for open in open_by_range(&stream) {
            put_into(&stream, open, "x");
        }
        match step % 4 {
            0 => clock.advance(millis(700)),
            1 => clock.set(stream.created() + millis(step)),
            _ => {}
        }
        let open = open_by_range(&stream);
        if step % 3 == 0 {
            stream.merge_shards(id(open[0]), id(open[1])).unwrap();
        } else {
            let (start, end) = range(&stream, open[0]);
            stream
                .split_shard(id(open[0]), HashKey::new(start + (end - start) / 2))
                .unwrap();
        }
    }
    for child in stream.shards() {
        let start = child.starting_sequence_number();
        let (parent, adjacent) = (child.parent_shard_id(), child.adjacent_parent_shard_id());
        for parent in parent.into_iter().chain(adjacent) {
            let parent = stream.shard(parent).unwrap();
            assert!(parent.ending_sequence_number().unwrap() < start);
            for record in read_shard(&stream, parent.id().index()) {
                assert!(record.sequence_number() < parent.ending_sequence_number().unwrap());
            }
        }
        let fields = (
            Fields::of(start),
            Fields::of(child.starting_sequence_number()),
        );
        assert_eq!(fields.0, fields.1);
        assert_eq!(fields.0.shard_index, u64::from(child.id().index()));
        assert_eq!(fields.0.nibble, fields.0.shard_index % 16);
    }
}

#[test]
fn a_closed_shard_keeps_its_records_and_takes_no_more() {
    let (stream, clock) = stream(1);
    put_many(&stream, 5);
    stream.split_shard(id(0), HashKey::new(MIDDLE)).unwrap();
    for key in [0, MIDDLE - 1, MIDDLE, u128::MAX] {
        let put = stream
            .producer()
            .put_record_with_hash_key("k", HashKey::new(key), "new");
        assert_ne!(put.unwrap().shard_id(), id(0));
    }
    clock.advance(stream.retention());
    assert_eq!(read_shard(&stream, 0).len(), 5);
    let metrics = shard(&stream, 0).metrics();
    assert!(!metrics.open);
    assert_eq!((metrics.records_in, metrics.records_retained), (5, 5));
}

#[test]
fn a_handle_of_a_shard_sees_it_close() {
    let (stream, _clock) = stream(1);
    let handle = shard(&stream, 0);
    assert!(handle.is_open());
    assert_eq!(handle.ending_sequence_number(), None);
    stream.split_shard(id(0), HashKey::new(MIDDLE)).unwrap();
    assert!(!handle.is_open());
    assert_eq!(handle.child_shards().len(), 2);
}

#[test]
fn a_closed_stream_refuses_every_reshard() {
    let (stream, _clock) = stream(2);
    stream.close();
    assert!(stream.split_shard(id(0), HashKey::new(9)).is_err());
    assert!(stream.merge_shards(id(0), id(1)).is_err());
    assert!(stream.update_shard_count(4).is_err());
    assert_eq!(indices(&stream.shards()), [0, 1]);
}

#[test]
fn a_step_back_of_the_clock_stops_no_reshard_and_no_put() {
    let (stream, clock) = stream(1);
    clock.advance(secs(10));
    stream.split_shard(id(0), HashKey::new(MIDDLE)).unwrap();
    clock.set(stream.created() + secs(5));
    stream.split_shard(id(1), HashKey::new(9)).unwrap();
    clock.set(brooklet::Timestamp::from_millis(1_000));
    assert_eq!(stream.status(), brooklet::StreamStatus::Active);
    stream.producer().put_record("k", "x").unwrap();
    stream.merge_shards(id(3), id(4)).unwrap();
    stream.update_shard_count(3).unwrap();
    assert_eq!(open_by_range(&stream).len(), 3);
}

#[test]
fn a_key_goes_to_one_shard_at_a_time_and_its_records_follow_each_other() {
    let (stream, _clock) = build(Stream::builder("orders").shard_count(2));
    let mut put = Vec::new();
    for target in [3, 5, 2, 4, 1] {
        for _ in 0..10 {
            let at = stream
                .producer()
                .put_record("customer-17", put.len().to_string())
                .unwrap();
            let shard = stream.shard(at.shard_id()).unwrap();
            assert!(shard.hash_key_range().contains(HashKey::of("customer-17")));
            put.push(at);
        }
        stream.update_shard_count(target).unwrap();
    }
    // Walk from the first shard of the key along the children that hold it.
    let (mut read, mut next) = (Vec::new(), Some(put[0].shard_id()));
    while let Some(shard_id) = next {
        let mut iterator = stream
            .shard_iterator(shard_id, StartingPosition::TrimHorizon)
            .unwrap();
        let batch = iterator.get_records(1_000).unwrap();
        read.extend(batch.iter().map(|view| view.sequence_number()));
        let mut holders = batch
            .child_shards()
            .iter()
            .filter(|child| child.hash_key_range().contains(HashKey::of("customer-17")));
        next = holders.next().map(|child| child.shard_id());
    }
    let expected: Vec<_> = put
        .iter()
        .map(brooklet::PutRecordOutput::sequence_number)
        .collect();
    assert_eq!(read, expected);
    assert!(read.is_sorted());
}

#[test]
fn resharding_counts_no_record_twice_and_loses_none() {
    let (stream, _clock) = stream(3);
    for i in 0..300 {
        let shards: Vec<_> = stream.shards().into_iter().filter(Shard::is_open).collect();
        let shard = &shards[i % shards.len()];
        let data = i.to_string();
        stream
            .producer()
            .put_record_with_hash_key("k", key_of(shard), data)
            .unwrap();
        if i % 50 == 49 {
            stream.update_shard_count(2 + i as u32 % 5).unwrap();
        }
    }
    let mut all: Vec<usize> = common::read_all(&stream)
        .iter()
        .map(|r| common::text(r).parse().unwrap())
        .collect();
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn any_ranges_become_as_many_equal_ones_as_asked_for(
        first in 1u32..6,
        splits in prop::collection::vec((any::<prop::sample::Index>(), 2u128..=5, 0u8..3), 0..8),
        target in 1u32..40,
    ) {
        let (stream, _clock) = stream(first);
        for (shard, offset, kind) in splits {
            let open = open_by_range(&stream);
            let index = open[shard.index(open.len())];
            let (start, end) = range(&stream, index);
            let key = match kind {
                0 => start.saturating_add(offset),
                1 => end - (offset - 1).min(end),
                _ => start + (end - start) / offset,
            };
            let legal = key >= start.saturating_add(2) && key < end;
            prop_assert_eq!(stream.split_shard(id(index), HashKey::new(key)).is_ok(), legal);
        }
        let before = open_by_range(&stream).len() as u32;
        stream.update_shard_count(target).unwrap();
        prop_assert_eq!(open_by_range(&stream).len() as u32, target);
        if before != target {
            assert_uniform(&stream, target);
        }
    }
}
