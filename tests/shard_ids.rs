//! Shard ids: the contract, 1.5, through the public face.

use std::str::FromStr;

use brooklet::{HashKey, ShardId};
use common::{id, indices, stream};
use proptest::prelude::*;

mod common;

#[test]
fn a_shard_id_shows_twelve_digits() {
    assert_eq!(id(0).to_string(), "shardId-000000000000");
    assert_eq!(id(17).to_string(), "shardId-000000000017");
    assert_eq!(id(2_147_483_647).to_string(), "shardId-002147483647");
}

#[test]
fn a_shard_id_is_read_in_every_form_that_the_service_reads() {
    for (text, index) in [
        ("shardId-000000000000", 0),
        ("shardId-000000000017", 17),
        ("0", 0),
        ("17", 17),
        ("shard-0", 0),
        ("x-00", 0),
        ("-5", 5),
        ("shardId-00000000000000000000000000000000003", 3),
        ("shardId-2147483647", 2_147_483_647),
    ] {
        assert_eq!(ShardId::from_str(text), Ok(id(index)), "{text:?}");
    }
}

#[test]
fn text_that_is_no_shard_id_is_refused() {
    let bad = [
        "",
        "-",
        "shardId",
        "shardId-",
        "shardId-x",
        "shardId-1x",
        "shardId-+1",
        "shardId--1",
        "x-1-2",
        "shardId- 1",
        "shardId-1 ",
        "shardId-１",
        "2147483648",
        "shardId-002147483648",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ];
    for text in bad {
        assert!(ShardId::from_str(text).is_err(), "{text:?} must be refused");
    }
}

#[test]
fn the_greatest_shard_id_is_that_of_the_contract() {
    assert!(ShardId::new(2_147_483_647).is_some());
    assert!(ShardId::new(2_147_483_648).is_none());
    assert!(ShardId::new(u32::MAX).is_none());
}

#[test]
fn shard_ids_count_every_shard_that_a_stream_ever_had() {
    let (stream, clock) = stream(2);
    stream
        .split_shard(id(1), HashKey::new(u128::MAX - 9))
        .unwrap();
    stream.merge_shards(id(0), id(2)).unwrap();
    assert_eq!(indices(&stream.shards()), [0, 1, 2, 3, 4]);
    // Expired shards are gone, and their ids are not given again.
    clock.advance(stream.retention() + common::millis(1));
    assert_eq!(indices(&stream.shards()), [3, 4]);
    stream.merge_shards(id(4), id(3)).unwrap();
    assert_eq!(indices(&stream.shards()), [3, 4, 5]);
}

proptest! {
    #[test]
    fn a_shard_id_shows_and_parses(index in 0u32..1 << 31) {
        prop_assert_eq!(id(index).to_string(), format!("shardId-{index:012}"));
        prop_assert_eq!(ShardId::from_str(&id(index).to_string()), Ok(id(index)));
        prop_assert_eq!(id(index).index(), index);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(shardId)?-?[0-9]{0,30}|.{0,20}") {
        if let Ok(shard_id) = ShardId::from_str(&text) {
            prop_assert!(text.ends_with(&shard_id.index().to_string()));
        }
    }
}
