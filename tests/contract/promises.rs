//! The promises, each with a door that has nothing behind it yet.

use std::time::Duration;

use crate::door::{Batch, Door, Filter, From, Put, Read, put, shard};

const HOUR: Duration = Duration::from_secs(3600);
const MAX: u128 = u128::MAX;

/// Declares a test for each promise.
macro_rules! every_promise {
    ($open:expr) => {
        crate::promises::every_promise!($open;
            what_is_put_is_read_byte_for_byte
            records_of_a_shard_are_read_in_the_order_of_their_puts
            sequence_numbers_of_a_shard_rise
            a_key_always_goes_to_the_shard_of_its_hash
            an_explicit_hash_key_decides_on_the_shard
            every_hash_key_has_one_shard
            a_batch_is_answered_in_its_order
            one_entry_that_is_not_valid_refuses_the_batch
            a_record_may_be_empty_and_as_large_as_a_mebibyte
            a_record_of_more_than_a_mebibyte_is_refused
            a_key_has_1_to_256_characters
            a_limit_bounds_a_batch
            an_iterator_can_be_used_again
            latest_reads_what_is_put_after_it_was_made
            at_and_after_a_sequence_number_begin_there
            a_number_that_was_trimmed_begins_at_the_next_record
            a_number_of_another_shard_is_refused
            at_timestamp_begins_with_the_first_record_of_that_time
            a_timestamp_of_the_future_is_refused
            a_reader_is_told_how_far_it_is_behind
            records_expire_with_the_retention
            a_longer_retention_does_not_bring_back_what_expired
            a_split_shard_ends_and_names_its_children
            merged_shards_end_and_name_their_child
            a_closed_shard_is_read_to_its_end
            children_begin_after_all_numbers_of_their_parents
            a_closed_shard_cannot_be_resharded
            shards_that_are_no_neighbours_do_not_merge
            a_split_leaves_each_side_two_keys
            a_shard_count_is_reached_with_equal_ranges
            filters_list_what_they_say
            a_stream_that_is_not_there_is_not_found
            a_shard_that_is_not_there_is_not_found
            a_name_is_taken_once
            a_deleted_stream_leaves_nothing_to_one_of_its_name
        );
    };
    ($open:expr; $($promise:ident)*) => {$(
        #[test]
        fn $promise() {
            crate::promises::$promise(&$open);
        }
    )*};
}

pub(crate) use every_promise;

/// A door with a stream of so many shards.
fn with_stream(door: &impl Door, shard_count: u32) -> &'static str {
    door.create_stream("orders", shard_count).unwrap();
    "orders"
}

/// All that a shard has from a position on, and how it ended.
fn read_all(door: &impl Door, stream: &str, shard: &str, from: From) -> (Vec<Read>, Batch) {
    let mut iterator = door.iterator(stream, shard, from).unwrap();
    let mut all = Vec::new();
    loop {
        let batch = door.read(&iterator, 3).unwrap();
        all.extend_from_slice(&batch.records);
        match &batch.next {
            Some(next) if !batch.records.is_empty() => iterator.clone_from(next),
            _ => return (all, batch),
        }
    }
}

fn data(records: &[Read]) -> Vec<String> {
    let text = |record: &Read| String::from_utf8(record.data.clone()).unwrap();
    records.iter().map(text).collect()
}

/// Puts records with these data into a shard.
fn put_into(door: &impl Door, stream: &str, hash_key: u128, data: &[&str]) -> Vec<String> {
    let put = |data: &&str| {
        let put = Put {
            hash_key: Some(hash_key),
            ..put("key", *data)
        };
        door.put(stream, put).unwrap().number
    };
    data.iter().map(put).collect()
}

/// Numbers of the same shard as numbers: they have more digits than any integer.
fn ordered(numbers: &[String]) -> bool {
    let rank = |number: &String| (number.len(), number.clone());
    numbers.windows(2).all(|two| rank(&two[0]) < rank(&two[1]))
}

pub fn what_is_put_is_read_byte_for_byte(door: &impl Door) {
    let stream = with_stream(door, 1);
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let keys = [
        "k",
        "ünïcode ☃ 日本",
        "\"quoted\\\"\n\u{7}",
        &"x".repeat(256),
    ];
    for (index, key) in keys.iter().enumerate() {
        for length in [0, 1, 2, 3, 511, 512, 513, 5_000] {
            door.put(stream, put(key, &bytes[..length])).unwrap();
            door.advance(Duration::from_millis(index as u64));
        }
    }
    let (records, _) = read_all(door, stream, &shard(0), From::TrimHorizon);
    assert_eq!(records.len(), keys.len() * 8);
    for (index, record) in records.iter().enumerate() {
        let length = [0, 1, 2, 3, 511, 512, 513, 5_000][index % 8];
        assert_eq!(record.key, keys[index / 8]);
        assert_eq!(record.data, bytes[..length]);
    }
}

pub fn records_of_a_shard_are_read_in_the_order_of_their_puts(door: &impl Door) {
    let stream = with_stream(door, 1);
    let expected: Vec<_> = (0..40).map(|index| index.to_string()).collect();
    for (index, data) in expected.iter().enumerate() {
        door.put(stream, put(&format!("key-{}", index % 7), data.as_str()))
            .unwrap();
    }
    let (records, last) = read_all(door, stream, &shard(0), From::TrimHorizon);
    assert_eq!(data(&records), expected);
    assert!(last.next.is_some(), "an open shard goes on");
}

pub fn sequence_numbers_of_a_shard_rise(door: &impl Door) {
    let stream = with_stream(door, 1);
    let mut numbers = vec![
        door.list_shards(stream, Filter::All).unwrap()[0]
            .starting_number
            .clone(),
    ];
    for _ in 0..5 {
        numbers.extend(put_into(door, stream, 0, &["a", "b"]));
        door.advance(Duration::from_millis(700));
    }
    assert!(ordered(&numbers), "{numbers:?}");
    let (records, _) = read_all(door, stream, &shard(0), From::TrimHorizon);
    let read: Vec<_> = records.into_iter().map(|record| record.number).collect();
    assert_eq!(
        read,
        numbers[1..],
        "a record is read with the number of its put"
    );
}

pub fn a_key_always_goes_to_the_shard_of_its_hash(door: &impl Door) {
    let stream = with_stream(door, 4);
    // The contract, 1.4: MD5 of the key, read as a number.
    for (key, hash) in [
        ("a", 16_955_237_001_963_240_173_058_271_559_858_726_497),
        ("1", 261_578_874_264_819_908_609_102_035_485_573_088_411),
        (
            "partitionKey",
            193_318_062_818_912_349_798_954_611_745_638_949_166,
        ),
        ("ü", 255_482_112_228_542_481_294_366_945_247_899_473_731),
        (
            "日本",
            103_341_369_634_063_465_466_164_320_546_103_703_539_u128,
        ),
    ] {
        let expected = shard(u32::try_from(hash / (1 << 126)).unwrap());
        for _ in 0..3 {
            assert_eq!(
                door.put(stream, put(key, "x")).unwrap().shard,
                expected,
                "{key}"
            );
        }
    }
}

pub fn an_explicit_hash_key_decides_on_the_shard(door: &impl Door) {
    let stream = with_stream(door, 2);
    for (hash_key, expected) in [(0, 0), (MAX / 2, 0), (MAX / 2 + 1, 1), (MAX, 1)] {
        let put = Put {
            hash_key: Some(hash_key),
            ..put("a", "x")
        };
        assert_eq!(door.put(stream, put).unwrap().shard, shard(expected));
    }
    let (records, _) = read_all(door, stream, &shard(1), From::TrimHorizon);
    assert!(
        records.iter().all(|record| record.key == "a"),
        "the key is kept"
    );
}

pub fn every_hash_key_has_one_shard(door: &impl Door) {
    let stream = with_stream(door, 5);
    door.split(
        stream,
        &shard(2),
        170_141_183_460_469_231_731_687_303_715_884_105_728,
    )
    .unwrap();
    let mut shards = door.list_shards(stream, Filter::AtLatest).unwrap();
    shards.sort_by_key(|shard| shard.start);
    assert_eq!(shards[0].start, 0);
    assert_eq!(shards.last().unwrap().end, MAX);
    for two in shards.windows(2) {
        assert_eq!(two[0].end + 1, two[1].start);
    }
}

pub fn a_batch_is_answered_in_its_order(door: &impl Door) {
    let stream = with_stream(door, 4);
    let puts: Vec<_> = (0..100)
        .map(|index| put(&index.to_string(), index.to_string()))
        .collect();
    let answers = door.put_all(stream, puts.clone()).unwrap();
    assert_eq!(answers.len(), puts.len());
    for (asked, answer) in puts.iter().zip(answers) {
        let stored = answer.unwrap();
        let from = From::At(stored.number.clone());
        let iterator = door.iterator(stream, &stored.shard, from).unwrap();
        let batch = door.read(&iterator, 1).unwrap();
        assert_eq!(batch.records[0].data, asked.data);
        assert_eq!(batch.records[0].number, stored.number);
    }
}

pub fn one_entry_that_is_not_valid_refuses_the_batch(door: &impl Door) {
    let stream = with_stream(door, 1);
    let refused = door.put_all(stream, vec![put("a", "x"), put("", "y")]);
    assert_eq!(refused.unwrap_err(), "ValidationException");
    let (records, _) = read_all(door, stream, &shard(0), From::TrimHorizon);
    assert_eq!(records, []);
}

pub fn a_record_may_be_empty_and_as_large_as_a_mebibyte(door: &impl Door) {
    let stream = with_stream(door, 1);
    let large = vec![7; 1024 * 1024];
    door.put(stream, put("a", "")).unwrap();
    door.put(stream, put("a", large.as_slice())).unwrap();
    let (records, _) = read_all(door, stream, &shard(0), From::TrimHorizon);
    assert_eq!(records[0].data, b"");
    assert_eq!(records[1].data, large);
}

pub fn a_record_of_more_than_a_mebibyte_is_refused(door: &impl Door) {
    let stream = with_stream(door, 1);
    let refused = door.put(stream, put("a", vec![7; 1024 * 1024 + 1]));
    assert_eq!(refused.unwrap_err(), "ValidationException");
}

pub fn a_key_has_1_to_256_characters(door: &impl Door) {
    let stream = with_stream(door, 1);
    for (key, is_valid) in [
        (String::new(), false),
        ("ü".to_owned(), true),
        ("ü".repeat(256), true),
        ("ü".repeat(257), false),
        ("x".repeat(257), false),
    ] {
        match door.put(stream, put(&key, "x")) {
            Ok(_) => assert!(is_valid, "{}", key.len()),
            Err(code) => {
                assert!(!is_valid, "{}", key.len());
                assert_eq!(code, "ValidationException");
            }
        }
    }
}

pub fn a_limit_bounds_a_batch(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["a", "b", "c"]);
    let iterator = door.iterator(stream, &shard(0), From::TrimHorizon).unwrap();
    for limit in 1..=3 {
        assert_eq!(door.read(&iterator, limit).unwrap().records.len(), limit);
    }
    assert_eq!(door.read(&iterator, 10_000).unwrap().records.len(), 3);
    for limit in [0, 10_001] {
        assert_eq!(
            door.read(&iterator, limit).unwrap_err(),
            "ValidationException"
        );
    }
}

pub fn an_iterator_can_be_used_again(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["a", "b"]);
    let iterator = door.iterator(stream, &shard(0), From::TrimHorizon).unwrap();
    let first = door.read(&iterator, 1).unwrap();
    let again = door.read(&iterator, 1).unwrap();
    assert_eq!(first.records, again.records);
    let (next, other) = (first.next.unwrap(), again.next.unwrap());
    assert_ne!(next, other, "each is one of its own");
    assert_eq!(data(&door.read(&next, 1).unwrap().records), ["b"]);
    assert_eq!(data(&door.read(&other, 1).unwrap().records), ["b"]);
}

pub fn latest_reads_what_is_put_after_it_was_made(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["before"]);
    let iterator = door.iterator(stream, &shard(0), From::Latest).unwrap();
    put_into(door, stream, 0, &["after"]);
    let batch = door.read(&iterator, 10).unwrap();
    assert_eq!(data(&batch.records), ["after"]);
}

pub fn at_and_after_a_sequence_number_begin_there(door: &impl Door) {
    let stream = with_stream(door, 1);
    let numbers = put_into(door, stream, 0, &["a", "b", "c"]);
    let from = |from| data(&read_all(door, stream, &shard(0), from).0);
    assert_eq!(from(From::At(numbers[1].clone())), ["b", "c"]);
    assert_eq!(from(From::After(numbers[1].clone())), ["c"]);
    let start = door.list_shards(stream, Filter::All).unwrap()[0]
        .starting_number
        .clone();
    assert_eq!(from(From::At(start.clone())), ["a", "b", "c"]);
    assert_eq!(from(From::After(start)), ["a", "b", "c"]);
}

pub fn a_number_that_was_trimmed_begins_at_the_next_record(door: &impl Door) {
    let stream = with_stream(door, 1);
    let old = put_into(door, stream, 0, &["old"]).remove(0);
    door.advance(23 * HOUR);
    put_into(door, stream, 0, &["young"]);
    door.advance(2 * HOUR);
    for from in [From::At(old.clone()), From::After(old)] {
        let (records, _) = read_all(door, stream, &shard(0), from);
        assert_eq!(data(&records), ["young"]);
    }
}

pub fn a_number_of_another_shard_is_refused(door: &impl Door) {
    let stream = with_stream(door, 2);
    let number = put_into(door, stream, 0, &["a"]).remove(0);
    let refused = door.iterator(stream, &shard(1), From::At(number));
    assert_eq!(refused.unwrap_err(), "InvalidArgumentException");
    let refused = door.iterator(stream, &shard(0), From::At("1234".to_owned()));
    assert_eq!(refused.unwrap_err(), "InvalidArgumentException");
}

pub fn at_timestamp_begins_with_the_first_record_of_that_time(door: &impl Door) {
    let stream = with_stream(door, 1);
    let mut times = Vec::new();
    for data in ["a", "b", "c"] {
        times.push(door.now_ms());
        put_into(door, stream, 0, &[data]);
        door.advance(Duration::from_millis(10));
    }
    let from = |ms| data(&read_all(door, stream, &shard(0), From::AtMillis(ms)).0);
    assert_eq!(from(0), ["a", "b", "c"]);
    assert_eq!(from(times[1]), ["b", "c"]);
    assert_eq!(from(times[1] + 1), ["c"]);
    let nothing: [&str; 0] = [];
    assert_eq!(from(times[2] + 1), nothing);
    let (records, _) = read_all(door, stream, &shard(0), From::TrimHorizon);
    let arrivals: Vec<_> = records.iter().map(|record| record.arrival_ms).collect();
    assert_eq!(arrivals, times);
}

pub fn a_timestamp_of_the_future_is_refused(door: &impl Door) {
    let stream = with_stream(door, 1);
    let refused = door.iterator(stream, &shard(0), From::AtMillis(door.now_ms() + 1000));
    assert_eq!(refused.unwrap_err(), "InvalidArgumentException");
}

pub fn a_reader_is_told_how_far_it_is_behind(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["a"]);
    door.advance(Duration::from_millis(250));
    put_into(door, stream, 0, &["b"]);
    door.advance(Duration::from_millis(100));
    let iterator = door.iterator(stream, &shard(0), From::TrimHorizon).unwrap();
    let first = door.read(&iterator, 1).unwrap();
    assert_eq!(first.millis_behind, 350);
    assert_eq!(door.read(&first.next.unwrap(), 1).unwrap().millis_behind, 0);
}

pub fn records_expire_with_the_retention(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["a"]);
    door.advance(HOUR);
    put_into(door, stream, 0, &["b"]);
    door.advance(23 * HOUR);
    let read = || data(&read_all(door, stream, &shard(0), From::TrimHorizon).0);
    assert_eq!(
        read(),
        ["a", "b"],
        "what is as old as the retention is there"
    );
    door.advance(Duration::from_millis(1));
    assert_eq!(read(), ["b"]);
}

pub fn a_longer_retention_does_not_bring_back_what_expired(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["a"]);
    door.advance(12 * HOUR);
    put_into(door, stream, 0, &["b"]);
    door.advance(13 * HOUR);
    door.set_retention_hours(stream, 48).unwrap();
    let read = || data(&read_all(door, stream, &shard(0), From::TrimHorizon).0);
    assert_eq!(read(), ["b"]);
    door.advance(12 * HOUR);
    assert_eq!(read(), ["b"], "it is 25 hours old");
    door.set_retention_hours(stream, 24).unwrap();
    let nothing: [&str; 0] = [];
    assert_eq!(read(), nothing, "a shorter one counts at once");
}

pub fn a_split_shard_ends_and_names_its_children(door: &impl Door) {
    let stream = with_stream(door, 1);
    put_into(door, stream, 0, &["a"]);
    door.split(stream, &shard(0), 1000).unwrap();
    let (records, last) = read_all(door, stream, &shard(0), From::TrimHorizon);
    assert_eq!(data(&records), ["a"]);
    assert_eq!(last.next, None);
    let parents = vec![shard(0)];
    assert_eq!(
        last.children,
        [(shard(1), parents.clone()), (shard(2), parents)]
    );
    let shards = door.list_shards(stream, Filter::AtLatest).unwrap();
    assert_eq!((shards[0].start, shards[0].end), (0, 999));
    assert_eq!((shards[1].start, shards[1].end), (1000, MAX));
    assert!(shards.iter().all(|child| child.parent == Some(shard(0))));
    assert!(shards.iter().all(|child| child.adjacent_parent.is_none()));
}

pub fn merged_shards_end_and_name_their_child(door: &impl Door) {
    let stream = with_stream(door, 2);
    door.merge(stream, &shard(0), &shard(1)).unwrap();
    for parent in [shard(0), shard(1)] {
        let (_, last) = read_all(door, stream, &parent, From::TrimHorizon);
        assert_eq!(last.next, None);
        assert_eq!(last.children, [(shard(2), vec![shard(0), shard(1)])]);
    }
    let child = door
        .list_shards(stream, Filter::AtLatest)
        .unwrap()
        .remove(0);
    assert_eq!((child.start, child.end), (0, MAX));
    assert_eq!(
        (child.parent, child.adjacent_parent),
        (Some(shard(0)), Some(shard(1)))
    );
}

pub fn a_closed_shard_is_read_to_its_end(door: &impl Door) {
    let stream = with_stream(door, 1);
    let open = door.iterator(stream, &shard(0), From::TrimHorizon).unwrap();
    let numbers = put_into(door, stream, 0, &["a", "b"]);
    door.split(stream, &shard(0), 1000).unwrap();
    put_into(door, stream, 0, &["of a child"]);
    let first = door.read(&open, 1).unwrap();
    assert_eq!(
        (data(&first.records), first.children.len()),
        (vec!["a".to_owned()], 0)
    );
    let second = door.read(&first.next.unwrap(), 10).unwrap();
    assert_eq!(data(&second.records), ["b"]);
    assert_eq!((second.next, second.children.len()), (None, 2));
    let parent = &door.list_shards(stream, Filter::All).unwrap()[0];
    let end = parent.ending_number.clone().unwrap();
    assert!(ordered(&[numbers[1].clone(), end.clone()]));
    let (records, last) = read_all(door, stream, &shard(0), From::At(end));
    assert_eq!((records, last.next), (vec![], None));
    let (records, last) = read_all(door, stream, &shard(0), From::Latest);
    assert_eq!((records, last.next), (vec![], None));
}

pub fn children_begin_after_all_numbers_of_their_parents(door: &impl Door) {
    let stream = with_stream(door, 2);
    let mut numbers = put_into(door, stream, 0, &["a", "b"]);
    door.merge(stream, &shard(0), &shard(1)).unwrap();
    numbers.extend(put_into(door, stream, 0, &["c"]));
    door.split(stream, &shard(2), MAX / 2).unwrap();
    numbers.extend(put_into(door, stream, 0, &["d"]));
    assert!(ordered(&numbers), "{numbers:?}");
}

pub fn a_closed_shard_cannot_be_resharded(door: &impl Door) {
    let stream = with_stream(door, 2);
    door.split(stream, &shard(0), 1000).unwrap();
    let code = "InvalidArgumentException";
    assert_eq!(door.split(stream, &shard(0), 500).unwrap_err(), code);
    assert_eq!(door.merge(stream, &shard(0), &shard(1)).unwrap_err(), code);
}

pub fn shards_that_are_no_neighbours_do_not_merge(door: &impl Door) {
    let stream = with_stream(door, 3);
    for (lower, upper) in [(0, 2), (1, 0), (1, 1)] {
        let refused = door.merge(stream, &shard(lower), &shard(upper));
        assert_eq!(refused.unwrap_err(), "InvalidArgumentException");
    }
    door.merge(stream, &shard(1), &shard(2)).unwrap();
}

pub fn a_split_leaves_each_side_two_keys(door: &impl Door) {
    let stream = with_stream(door, 1);
    for key in [0, 1, MAX] {
        let refused = door.split(stream, &shard(0), key);
        assert_eq!(refused.unwrap_err(), "InvalidArgumentException", "{key}");
    }
    door.split(stream, &shard(0), 2).unwrap();
    door.split(stream, &shard(2), MAX - 1).unwrap();
}

pub fn a_shard_count_is_reached_with_equal_ranges(door: &impl Door) {
    let stream = with_stream(door, 4);
    door.set_shard_count(stream, 3).unwrap();
    let ids: Vec<_> = door.list_shards(stream, Filter::AtLatest).unwrap();
    let mut sorted = ids.clone();
    sorted.sort_by_key(|shard| shard.start);
    // The contract, 4.3: as reported from the service.
    let named: Vec<_> = sorted.iter().map(|shard| shard.id.clone()).collect();
    assert_eq!(named, [shard(6), shard(9), shard(10)]);
    assert_eq!(
        sorted[0].end,
        113_427_455_640_312_821_154_458_202_477_256_070_484
    );
    assert_eq!(door.list_shards(stream, Filter::All).unwrap().len(), 11);
}

pub fn filters_list_what_they_say(door: &impl Door) {
    let stream = with_stream(door, 2);
    let ids = |filter| {
        let shards = door.list_shards(stream, filter).unwrap();
        shards.into_iter().map(|shard| shard.id).collect::<Vec<_>>()
    };
    door.advance(HOUR);
    door.split(stream, &shard(0), 1000).unwrap();
    let all: Vec<_> = (0..4).map(shard).collect();
    assert_eq!(ids(Filter::All), all);
    assert_eq!(ids(Filter::AtLatest), all[1..]);
    assert_eq!(ids(Filter::AtTrimHorizon), all[..2]);
    assert_eq!(ids(Filter::After(shard(1))), all[2..]);
    door.advance(25 * HOUR);
    assert_eq!(ids(Filter::All), all[1..], "the parent has expired");
}

pub fn a_stream_that_is_not_there_is_not_found(door: &impl Door) {
    let code = "ResourceNotFoundException";
    assert_eq!(door.put("nowhere", put("a", "x")).unwrap_err(), code);
    assert_eq!(
        door.put_all("nowhere", vec![put("a", "x")]).unwrap_err(),
        code
    );
    let iterator = door.iterator("nowhere", &shard(0), From::Latest);
    assert_eq!(iterator.unwrap_err(), code);
    assert_eq!(door.list_shards("nowhere", Filter::All).unwrap_err(), code);
    assert_eq!(door.split("nowhere", &shard(0), 9).unwrap_err(), code);
    assert_eq!(door.delete_stream("nowhere").unwrap_err(), code);
}

pub fn a_shard_that_is_not_there_is_not_found(door: &impl Door) {
    let stream = with_stream(door, 2);
    let code = "ResourceNotFoundException";
    let iterator = door.iterator(stream, &shard(2), From::TrimHorizon);
    assert_eq!(iterator.unwrap_err(), code);
    let iterator = door.iterator(stream, "shardId-x", From::TrimHorizon);
    assert_eq!(iterator.unwrap_err(), code);
    assert_eq!(door.split(stream, &shard(2), 9).unwrap_err(), code);
    assert_eq!(door.merge(stream, &shard(1), &shard(2)).unwrap_err(), code);
    // The contract, 1.5: any form with the right digits is the shard.
    door.iterator(stream, "x-1", From::TrimHorizon).unwrap();
}

pub fn a_name_is_taken_once(door: &impl Door) {
    let stream = with_stream(door, 1);
    let refused = door.create_stream(stream, 1);
    assert_eq!(refused.unwrap_err(), "ResourceInUseException");
}

pub fn a_deleted_stream_leaves_nothing_to_one_of_its_name(door: &impl Door) {
    let stream = with_stream(door, 1);
    let number = put_into(door, stream, 0, &["old"]).remove(0);
    let iterator = door.iterator(stream, &shard(0), From::TrimHorizon).unwrap();
    door.delete_stream(stream).unwrap();
    assert_eq!(
        door.read(&iterator, 10).unwrap_err(),
        "ResourceNotFoundException"
    );
    door.create_stream(stream, 1).unwrap();
    put_into(door, stream, 0, &["new"]);
    assert_eq!(
        door.read(&iterator, 10).unwrap_err(),
        "ResourceNotFoundException"
    );
    let refused = door.iterator(stream, &shard(0), From::At(number));
    assert_eq!(refused.unwrap_err(), "InvalidArgumentException");
    let (records, _) = read_all(door, stream, &shard(0), From::TrimHorizon);
    assert_eq!(data(&records), ["new"]);
}
