//! Hash keys and the ranges of shards: the contract, 1.4, through the public face.

use std::str::FromStr;

use brooklet::{HashKey, HashKeyRange, PartitionKey, Shard, Stream};
use common::{assert_ranges_partition, id, key_of, open_by_range, stream};
use proptest::prelude::*;

mod common;

const TOP: &str = "340282366920938463463374607431768211455";

fn ends(shard_count: u32) -> Vec<String> {
    let (stream, _clock) = stream(shard_count);
    stream
        .shards()
        .iter()
        .map(|shard| shard.hash_key_range().end().to_string())
        .collect()
}

#[test]
fn the_first_ranges_of_a_stream_are_those_of_the_contract() {
    let cases: [(u32, &[&str]); 5] = [
        (1, &[]),
        (2, &["170141183460469231731687303715884105727"]),
        (
            3,
            &[
                "113427455640312821154458202477256070484",
                "226854911280625642308916404954512140969",
            ],
        ),
        (
            4,
            &[
                "85070591730234615865843651857942052863",
                "170141183460469231731687303715884105727",
                "255211775190703847597530955573826158591",
            ],
        ),
        (
            5,
            &[
                "68056473384187692692674921486353642290",
                "136112946768375385385349842972707284581",
                "204169420152563078078024764459060926872",
                "272225893536750770770699685945414569163",
            ],
        ),
    ];
    for (count, all_but_last) in cases {
        let mut expected = all_but_last.to_vec();
        expected.push(TOP);
        assert_eq!(ends(count), expected, "{count} shards");
    }
}

#[test]
fn the_first_ranges_are_the_whole_space_for_any_count() {
    for count in (1..=70).chain([127, 128, 1_000, 9_999, 10_000]) {
        let (stream, _clock) = stream(count);
        assert_eq!(stream.shards().len(), count as usize);
        assert_eq!(open_by_range(&stream), (0..count).collect::<Vec<_>>());
        assert_ranges_partition(&stream);
    }
}

#[test]
fn a_partition_keys_hash_is_its_md5_as_a_number() {
    for (key, hash) in [
        ("a", "16955237001963240173058271559858726497"),
        ("1", "261578874264819908609102035485573088411"),
        ("partitionKey", "193318062818912349798954611745638949166"),
        ("ü", "255482112228542481294366945247899473731"),
        ("日本", "103341369634063465466164320543046703539"),
    ] {
        assert_eq!(HashKey::of(key).to_string(), hash, "{key}");
        assert_eq!(
            PartitionKey::new(key).unwrap().hash_key().to_string(),
            hash,
            "{key}"
        );
    }
}

#[test]
fn long_keys_are_hashed_as_the_digest_pads_them() {
    // Around the lengths at which MD5 takes another block; from an independent implementation.
    for (length, hash) in LONG_KEYS {
        assert_eq!(
            HashKey::of(&"x".repeat(*length)).to_string(),
            *hash,
            "{length} characters"
        );
    }
}

#[test]
fn a_record_goes_to_the_open_shard_whose_range_holds_its_hash() {
    let (stream, _clock) = stream(5);
    stream
        .split_shard(
            id(2),
            HashKey::new(150_000_000_000_000_000_000_000_000_000_000_000_000),
        )
        .unwrap();
    stream.merge_shards(id(0), id(1)).unwrap();
    for i in 0..500 {
        let key = format!("customer-{i}");
        let put = stream.producer().put_record(key.as_str(), "x").unwrap();
        let takers: Vec<_> = stream
            .shards()
            .into_iter()
            .filter(|s| s.is_open() && s.hash_key_range().contains(HashKey::of(&key)))
            .map(|shard| shard.id())
            .collect();
        assert_eq!(takers, [put.shard_id()], "{key}");
        assert_eq!(stream.shard_for(key.as_str()).unwrap().id(), put.shard_id());
        let reused = PartitionKey::new(key).unwrap();
        assert_eq!(
            stream
                .producer()
                .put_record(&reused, "x")
                .unwrap()
                .shard_id(),
            put.shard_id()
        );
    }
}

#[test]
fn both_ends_of_every_range_belong_to_its_shard() {
    let (stream, _clock) = stream(7);
    for shard in stream.shards() {
        let range = shard.hash_key_range();
        for hash_key in [range.start(), range.end()] {
            let put = stream
                .producer()
                .put_record_with_hash_key("any", hash_key, "x")
                .unwrap();
            assert_eq!(put.shard_id(), shard.id(), "{hash_key}");
        }
    }
    let put = stream
        .producer()
        .put_record_with_hash_key("any", HashKey::MAX, "x")
        .unwrap();
    assert_eq!(put.shard_id(), id(6));
}

#[test]
fn a_hash_key_is_a_plain_decimal_number_of_at_most_128_bits() {
    for good in [
        "0",
        "1",
        "9",
        "10",
        "170141183460469231731687303715884105728",
        TOP,
    ] {
        assert_eq!(HashKey::from_str(good).unwrap().to_string(), good);
    }
    let bad = [
        "",
        "00",
        "01",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1_000",
        "0x10",
        "1e3",
        "１",
        "340282366920938463463374607431768211456",
        "999999999999999999999999999999999999999",
        "1000000000000000000000000000000000000000",
    ];
    for text in bad {
        assert!(HashKey::from_str(text).is_err(), "{text:?} must be refused");
    }
    assert_eq!(HashKey::MIN, HashKey::new(0));
    assert_eq!(HashKey::MAX, HashKey::new(u128::MAX));
}

#[test]
fn a_range_includes_both_its_ends_and_is_never_empty() {
    let range = HashKeyRange::new(HashKey::new(3), HashKey::new(5)).unwrap();
    let inside: Vec<_> = (0..9)
        .filter(|key| range.contains(HashKey::new(*key)))
        .collect();
    assert_eq!(inside, [3, 4, 5]);
    assert!(HashKeyRange::new(HashKey::new(3), HashKey::new(3)).is_some());
    assert!(HashKeyRange::new(HashKey::new(4), HashKey::new(3)).is_none());
}

#[test]
fn a_range_is_shown_by_its_ends() {
    let range = HashKeyRange::new(HashKey::new(3), HashKey::MAX).unwrap();
    assert_eq!(range.to_string(), format!("3..={TOP}"));
    assert_eq!(format!("{range:?}"), range.to_string());
}

#[test]
fn a_shard_is_split_at_the_midpoint_of_its_range_down_to_four_keys() {
    let (stream, _clock) = stream(1);
    let mut splits = 0;
    loop {
        // The newest shard is the upper half of the one before.
        let shard = stream.shards().pop().unwrap();
        let range = shard.hash_key_range();
        let keys_above_first = range.end().get() - range.start().get();
        let result = stream.split_shard(shard.id(), range.midpoint());
        assert_eq!(result.is_ok(), keys_above_first >= 3, "{range}");
        if result.is_err() {
            break;
        }
        splits += 1;
        let children: Vec<_> = stream.shards().into_iter().rev().take(2).collect();
        let (upper, lower) = (children[0].hash_key_range(), children[1].hash_key_range());
        assert!(lower.is_adjacent_below(upper) && !upper.is_adjacent_below(lower));
        assert_eq!(
            (lower.start(), upper.start(), upper.end()),
            (range.start(), range.midpoint(), range.end())
        );
        let size = |range: HashKeyRange| range.end().get() - range.start().get();
        assert_eq!(size(lower), size(upper), "halves of a power of two");
    }
    assert_eq!(splits, 127, "to two keys");
}

#[test]
fn a_stream_has_exactly_one_open_shard_for_every_key_after_any_resharding() {
    let (stream, _clock) = stream(3);
    for step in 0..40u32 {
        let open: Vec<Shard> = stream.shards().into_iter().filter(Shard::is_open).collect();
        if step % 3 == 2 {
            let by_range = open_by_range(&stream);
            let at = step as usize % (by_range.len() - 1);
            stream
                .merge_shards(id(by_range[at]), id(by_range[at + 1]))
                .unwrap();
        } else {
            let shard = &open[step as usize % open.len()];
            let (start, end) = (shard.hash_key_range().start(), shard.hash_key_range().end());
            let key = start.get() + (end.get() - start.get()) / 3;
            stream.split_shard(shard.id(), HashKey::new(key)).unwrap();
        }
        assert_ranges_partition(&stream);
    }
}

#[test]
fn an_explicit_hash_key_routes_even_on_the_narrowest_shard() {
    let (stream, _clock) = stream(1);
    stream.split_shard(id(0), HashKey::new(2)).unwrap();
    let narrow = stream.shard(id(1)).unwrap();
    assert_eq!(
        (key_of(&narrow).get(), narrow.hash_key_range().end().get()),
        (0, 1)
    );
    for (key, shard) in [(0, 1), (1, 1), (2, 2), (u128::MAX, 2)] {
        let put = stream
            .producer()
            .put_record_with_hash_key("k", HashKey::new(key), "x")
            .unwrap();
        assert_eq!(put.shard_id(), id(shard), "{key}");
    }
}

proptest! {
    #[test]
    fn a_hash_key_shows_and_parses_as_its_number(key in any::<u128>()) {
        prop_assert_eq!(HashKey::new(key).to_string(), key.to_string());
        prop_assert_eq!(HashKey::from_str(&key.to_string()), Ok(HashKey::new(key)));
    }

    #[test]
    fn uniform_ranges_differ_by_less_than_their_count(count in 1u32..=10_000) {
        let stream = Stream::new("orders", count).unwrap();
        let size = u128::MAX / u128::from(count);
        for shard in stream.shards() {
            let range = shard.hash_key_range();
            let width = range.end().get() - range.start().get();
            prop_assert!(width.abs_diff(size) <= u128::from(count), "{width} of {size}");
        }
    }
}

/// Lengths of keys of `x`, and their hashes.
const LONG_KEYS: &[(usize, &str)] = &[
    (55, "5598677822710009742975573124516056946"),
    (56, "136300121664425810192795845712325488971"),
    (63, "167164904685642968168622967722413492609"),
    (64, "257513575296852538869236784184212923478"),
    (65, "36933822082214601677702738381390220534"),
    (128, "285268482900707880114086091688070011851"),
    (256, "265353499944959180620795534685136097465"),
];
