//! Assertions: what they accept, what they say, and that looking changes nothing.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use brooklet::testing::{FaultPlan, Mismatch, records_from, records_of};
use brooklet::{
    HashKey, Limits, ManualClock, PutEntry, Record, Registry, StartingPosition, Stream,
};
use common::{build, clock, id, secs, stream};
use serde::Deserialize;

use StartingPosition::TrimHorizon;

mod common;

const NONE: [&str; 0] = [];

/// A stream with one shard that has these records, `key=data` each.
fn with(records: &[&str]) -> (Stream, ManualClock) {
    let (stream, clock) = stream(1);
    for record in records {
        let (key, data) = record.split_once('=').expect("a key and data");
        let put = stream.producer().put_record(key, data.to_owned());
        put.expect("the shard takes the record");
    }
    (stream, clock)
}

#[track_caller]
fn mismatch(checked: Result<(), Mismatch>) -> String {
    checked.expect_err("they differ").to_string()
}

/// What a panic said.
fn panic_text(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    *payload.downcast::<String>().expect("with text")
}

/// Leaves out where a record lies: numbers of records depend on when they were put.
fn lines(text: &str) -> Vec<String> {
    let places = |line: &str| match line.split_once("  key ") {
        Some((shown, _)) => format!("{shown} @"),
        None => line.to_owned(),
    };
    text.lines().map(places).collect()
}

mod in_order {
    use super::*;

    #[test]
    fn records_are_as_expected() {
        let (stream, _) = with(&["a=1", "b=2", "a=3"]);
        let found = records_of(&stream);
        found.assert_data(["1", "2", "3"]);
        found.assert_data([b"1", b"2", b"3"]);
        found.assert_data(vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]);
        found.assert_count(3);
        records_of(&stream).of_key("a").assert_data(["1", "3"]);
        records_of(&stream).of_key("c").assert_none();
        records_of(&stream).of_key("c").assert_data(NONE);
        records_of(&stream).of_shard(id(0)).assert_count(3);
        records_of(&stream).of_shard(id(1)).assert_none();
    }

    #[test]
    fn the_difference_shows_what_was_expected_what_came_and_where() {
        let (stream, _) = with(&["a=1", "a=two", "b=3", "a=4"]);
        let text = mismatch(records_of(&stream).check_data(["1", "2", "3", "4"]));
        assert_eq!(
            text,
            "records of stream orders are not as expected in this order: \
             4 expected, 4 came, 1 missing (-), 1 not expected (+)\n    \
             0     \"1\"\n  \
             - 1     \"2\"\n  \
             + 1     \"two\"  key \"a\" in shardId-000000000000 at "
                .to_owned()
                + &records_of(&stream).records()[1]
                    .sequence_number()
                    .to_string()
                + ", 2023-11-14T22:13:20.000Z\n    2     \"3\"\n    3     \"4\""
        );
        let panicked = panic_text(|| records_of(&stream).assert_data(["1", "2", "3", "4"]));
        assert_eq!(panicked, text);
        let debug = format!("{:?}", records_of(&stream).check_data(NONE).unwrap_err());
        assert_eq!(debug, mismatch(records_of(&stream).check_data(NONE)));
    }

    #[test]
    fn one_that_is_missing_or_too_many_moves_the_others_without_a_difference() {
        let (stream, _) = with(&["a=1", "a=2", "a=3", "a=4", "a=5", "a=6"]);
        let found = records_of(&stream);
        let text = mismatch(found.check_data(["1", "2", "2b", "3", "5", "6"]));
        assert_eq!(
            lines(&text)[1..],
            [
                "    0     \"1\"",
                "    1     \"2\"",
                "  - 2     \"2b\"",
                "    2     \"3\"",
                "  + 3     \"4\" @",
                "    4     \"5\"",
                "    5     \"6\"",
            ]
        );
        let text = mismatch(found.check_data(["1", "2", "3"]));
        assert!(text.contains("3 expected, 6 came, 0 missing (-), 3 not expected (+)"));
        let text = mismatch(found.check_data(["1", "2", "3", "4", "5", "6", "7", "8"]));
        assert!(text.contains("8 expected, 6 came, 2 missing (-), 0 not expected (+)"));
        let text = mismatch(found.check_data(NONE));
        assert!(text.contains("0 expected, 6 came, 0 missing (-), 6 not expected (+)"));
    }

    #[test]
    fn repeated_data_is_counted() {
        let (stream, _) = with(&["a=x", "a=x", "a=y", "a=x"]);
        let found = records_of(&stream);
        let text = mismatch(found.check_data(["x", "y", "x", "x"]));
        assert!(text.contains("1 missing (-), 1 not expected (+)"), "{text}");
        found.assert_data(["x", "x", "y", "x"]);
    }

    #[test]
    fn equal_records_far_from_a_difference_are_only_counted() {
        let records: Vec<_> = (0..100).map(|n| format!("a={n}")).collect();
        let records: Vec<_> = records.iter().map(String::as_str).collect();
        let (stream, _) = with(&records);
        let expected = (0..100).map(|n| if n == 50 { -1 } else { n }.to_string());
        let text = mismatch(records_of(&stream).check_data(expected));
        assert_eq!(
            lines(&text)[1..],
            [
                "    0     \"0\"",
                "    1     \"1\"",
                "    ...   46 as expected",
                "    48    \"48\"",
                "    49    \"49\"",
                "  - 50    \"-1\"",
                "  + 50    \"50\" @",
                "    51    \"51\"",
                "    52    \"52\"",
                "    ...   45 as expected",
                "    98    \"98\"",
                "    99    \"99\"",
            ]
        );
    }

    #[test]
    fn a_difference_of_thousands_of_records_is_shown_in_part() {
        let (stream, _) = stream(1);
        let entries = (0..10_000).map(|n| ("k", format!("r{n}")));
        let put = stream.producer().put_records(entries).expect("answered");
        assert_eq!(put.failed_record_count(), 0);
        let text = mismatch(records_of(&stream).check_data((0..9_000).map(|n| format!("s{n}"))));
        assert!(text.contains("9000 expected, 10000 came, 9000 missing (-), 10000 not"));
        assert!(text.lines().count() < 100);
        assert!(text.ends_with("    ...   18940 more"), "{text}");
        // Of as many, each is compared with the one at its place.
        let expected = (0..10_000).map(|n| if n % 2_000 == 0 { 1 } else { n });
        let text = mismatch(records_of(&stream).check_data(expected.map(|n| format!("r{n}"))));
        assert!(text.contains("5 missing (-), 5 not expected (+)"), "{text}");
    }

    #[test]
    fn data_that_is_no_text_or_long_is_shown_as_well_as_can_be() {
        let (stream, _) = stream(1);
        let producer = stream.producer();
        producer.put_record("k", [0, 159, 146, 150]).expect("taken");
        producer.put_record("k", [255; 100]).expect("taken");
        producer.put_record("k", "a\nb\"c").expect("taken");
        producer.put_record("k", "é".repeat(1_000)).expect("taken");
        producer.put_record("k", "").expect("taken");
        let text = mismatch(records_of(&stream).check_data(NONE));
        let lines = lines(&text);
        assert_eq!(lines[1], "  + 0     <4 bytes: 00 9f 92 96> @");
        assert!(lines[2].starts_with("  + 1     <100 bytes: ff ff"));
        assert!(lines[2].ends_with("ff ...> @"));
        assert_eq!(lines[3], "  + 2     \"a\\nb\\\"c\" @");
        assert!(lines[4].ends_with("é\"... (2000 bytes) @"));
        assert_eq!(lines[5], "  + 4     \"\" @");
    }
}

mod by_key {
    use super::*;

    #[test]
    fn records_of_each_key_are_compared_in_their_order() {
        let (stream, _) = stream(4);
        for (key, data) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", "2")] {
            stream.producer().put_record(key, data).expect("taken");
        }
        records_of(&stream).assert_by_key([
            ("c", vec!["1"]),
            ("a", vec!["1", "2"]),
            ("b", vec!["1", "2"]),
        ]);
        // A key that is named twice has what is expected of it one after the other.
        records_of(&stream).assert_by_key(
            [("a", ["1"]), ("b", ["1"]), ("c", ["1"])]
                .into_iter()
                .chain([("a", ["2"]), ("b", ["2"])]),
        );
    }

    #[test]
    fn each_key_that_differs_is_shown() {
        let (stream, _) = stream(4);
        for (key, data) in [("a", "1"), ("b", "2"), ("b", "1"), ("d", "1")] {
            stream.producer().put_record(key, data).expect("taken");
        }
        let expected = [("a", vec!["1"]), ("b", vec!["1", "2"]), ("c", vec!["1"])];
        let text = mismatch(records_of(&stream).check_by_key(expected));
        let heads: Vec<_> = text.lines().filter(|line| line.starts_with('r')).collect();
        assert_eq!(heads.len(), 3, "{text}");
        assert!(heads[0].starts_with("records of stream orders, key \"b\" are not as expected"));
        assert!(heads[1].contains("key \"c\"") && heads[1].contains("1 expected, 0 came"));
        assert!(heads[2].contains("key \"d\"") && heads[2].contains("0 expected, 1 came"));
        let panicked = panic_text(|| records_of(&stream).assert_by_key([("a", ["1"])]));
        assert!(panicked.contains("key \"d\""));
    }

    #[test]
    fn records_of_a_key_keep_their_order_across_reshards() {
        let (stream, _) = stream(2);
        for n in 0..30 {
            if n % 10 == 5 {
                stream.update_shard_count(1 + n / 10).expect("active");
            }
            for key in ["a", "b", "c"] {
                let put = stream.producer().put_record(key, format!("{n}"));
                put.expect("taken");
            }
        }
        let all = || (0..30).map(|n| n.to_string());
        records_of(&stream).assert_by_key([("a", all()), ("b", all()), ("c", all())]);
    }
}

mod in_any_order {
    use super::*;

    #[test]
    fn only_what_is_missing_or_too_many_counts() {
        let (stream, _) = with(&["a=1", "a=2", "a=2", "a=3"]);
        let found = records_of(&stream);
        found.assert_data_in_any_order(["3", "2", "1", "2"]);
        let text = mismatch(found.check_data_in_any_order(["3", "1", "2", "1", "4"]));
        assert_eq!(
            lines(&text),
            [
                "records of stream orders are not as expected in any order: \
                 5 expected, 4 came, 2 missing (-), 1 not expected (+)",
                "  - 3     \"1\"",
                "  - 4     \"4\"",
                "  + 2     \"2\" @",
            ]
        );
        let panicked = panic_text(|| found.assert_data_in_any_order(["1"]));
        assert!(panicked.contains("in any order"));
    }
}

mod contained {
    use super::*;

    #[test]
    fn records_are_found_in_order_whatever_lies_between() {
        let (stream, _) = with(&["a=1", "a=2", "a=3", "a=2"]);
        let found = records_of(&stream);
        found.assert_contains(["1", "3"]);
        found.assert_contains(["2", "2"]);
        found.assert_contains(NONE);
        let text = mismatch(found.check_contains(["3", "1"]));
        assert!(
            text.starts_with(
                "records of stream orders do not contain \"1\", at index 1 of what was \
                 expected; what came:\n    0     \"1\"  key \"a\" in shard"
            ),
            "{text}"
        );
        assert!(panic_text(|| found.assert_contains(["2", "2", "2"])).contains("index 2"));
        let none = records_of(&stream).of_key("b");
        assert!(mismatch(none.check_contains(["1"])).ends_with("what came:\n    none"));
    }

    #[test]
    fn a_wrong_count_shows_what_came() {
        let (stream, _) = with(&["a=1", "a=2"]);
        let text = mismatch(records_of(&stream).check_count(3));
        assert!(text.starts_with("records of stream orders are 2, not 3; what came:\n"));
        assert_eq!(text.lines().count(), 3);
        assert!(panic_text(|| records_of(&stream).assert_none()).contains("are 2, not 0"));
        assert!(panic_text(|| records_of(&stream).assert_count(1)).contains("are 2, not 1"));
    }
}

mod typed {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Order {
        item: String,
        count: u32,
        #[serde(default)]
        notes: Vec<String>,
    }

    fn order(item: &str, count: u32) -> Order {
        Order {
            item: item.to_owned(),
            count,
            notes: Vec::new(),
        }
    }

    const TEAPOT: &str = r#"a={"item": "teapot", "count": 2}"#;
    const CUP: &str = r#"b={"count": 1, "item": "cup"}"#;

    #[test]
    fn records_are_compared_as_values() {
        let (stream, _) = with(&[TEAPOT, CUP]);
        let found = records_of(&stream).json::<Order>();
        found.assert_eq([order("teapot", 2), order("cup", 1)]);
        found.assert_eq_in_any_order([order("cup", 1), order("teapot", 2)]);
        assert_eq!(found.values().expect("all are orders")[1].item, "cup");
        let of_b = records_of(&stream).json::<Order>().of_key("b");
        of_b.assert_eq([order("cup", 1)]);
        let of_shard = records_of(&stream).json::<Order>().of_shard(id(0));
        assert_eq!(of_shard.values().expect("all are orders").len(), 2);
    }

    #[test]
    fn a_short_value_differs_on_a_line() {
        let (stream, _) = with(&[TEAPOT, CUP]);
        let found = records_of(&stream).json::<Order>();
        let text = mismatch(found.check_eq([order("teapot", 2), order("cup", 3)]));
        assert_eq!(
            lines(&text)[1..],
            [
                "    0     Order { item: \"teapot\", count: 2, notes: [] }",
                "  - 1     Order { item: \"cup\", count: 3, notes: [] }",
                "  + 1     Order { item: \"cup\", count: 1, notes: [] } @",
            ]
        );
        assert!(panic_text(|| found.assert_eq([])).contains("0 expected, 2 came"));
        assert!(panic_text(|| found.assert_eq_in_any_order([])).contains("in any order"));
    }

    #[test]
    fn a_long_value_shows_the_lines_that_differ() {
        let notes: Vec<_> = (0..12)
            .map(|n| format!("a note of some length {n}"))
            .collect();
        let json = format!(r#"a={{"item": "teapot", "count": 2, "notes": {notes:?}}}"#);
        let (stream, _) = with(&[&json]);
        let mut expected = Order {
            notes,
            ..order("teapot", 2)
        };
        records_of(&stream)
            .json::<Order>()
            .assert_eq([expected.clone()]);
        expected.notes[5] = "another note".to_owned();
        let found = records_of(&stream).json::<Order>();
        let text = mismatch(found.check_eq([expected]));
        assert!(
            text.contains("\n  ~ 0     key \"a\" in shardId-000000000000 at "),
            "{text}"
        );
        let changed: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("  - ") || line.starts_with("  + "))
            .map(str::trim_end)
            .collect();
        assert_eq!(
            changed,
            [
                "  -               \"another note\",",
                "  +               \"a note of some length 5\",",
            ]
        );
    }

    #[test]
    fn what_is_no_such_json_is_equal_to_nothing_and_shown_with_the_reason() {
        let (stream, _) = with(&[TEAPOT, "a=a cup", r#"a={"item": "tray"}"#]);
        let found = records_of(&stream).json::<Order>();
        let text = mismatch(found.check_eq([order("teapot", 2)]));
        assert!(text.contains("typed::Order: expected value at line 1 column 1: \"a cup\""));
        assert!(text.contains("missing field `count`"), "{text}");
        assert!(text.contains("2 not expected (+)"));
        let error = found.values().expect_err("the second is no order");
        assert!(
            error.to_string().contains("key \"a\" in shardId"),
            "{error}"
        );
    }

    #[test]
    fn a_value_that_is_not_equal_to_itself_is_no_reason_to_hang() {
        #[derive(Debug, Deserialize)]
        struct Never(#[allow(dead_code, reason = "it is shown")] u32);
        impl PartialEq for Never {
            fn eq(&self, _: &Self) -> bool {
                false
            }
        }
        let (stream, _) = with(&["a=1", "a=2"]);
        let found = records_of(&stream).json::<Never>();
        let text = mismatch(found.check_eq([Never(1), Never(2)]));
        assert!(text.contains("2 missing (-), 2 not expected (+)"), "{text}");
        mismatch(found.check_eq_in_any_order([Never(1), Never(2)]));
    }
}

mod looking {
    use super::*;

    #[test]
    fn changes_no_figure_no_limit_and_no_fault() {
        let faults = FaultPlan::new();
        let (stream, clock) = build(
            Stream::builder("orders")
                .limits(Limits::kinesis())
                .retention(secs(86_400))
                .faults(&faults),
        );
        let rule = faults.on_get_records().throttle();
        stream.producer().put_record("k", "x").expect("taken");
        let before = format!("{:?}", stream.metrics());
        for _ in 0..50 {
            records_of(&stream).assert_data(["x"]);
        }
        assert_eq!(format!("{:?}", stream.metrics()), before);
        assert_eq!(rule.seen_count(), 0);
        // Neither does it trim what it may not see any more.
        clock.advance(secs(86_401));
        records_of(&stream).assert_none();
        faults.stop();
        let mut iterator = common::iterator(&stream, TrimHorizon);
        let batch = iterator.get_records(10).expect("no limit is reached");
        assert_eq!((batch.len(), batch.missed_count()), (0, 0));
    }

    #[test]
    fn sees_all_shards_parents_before_children_and_what_is_closed() {
        let (stream, _) = stream(2);
        let put = |key, data: &str| {
            let entry = PutEntry::new("k", data.to_owned()).explicit_hash_key(key);
            stream.producer().put_entry(entry).expect("taken");
        };
        put(HashKey::MAX, "b0");
        put(HashKey::MIN, "a0");
        stream.merge_shards(id(0), id(1)).expect("adjacent");
        put(HashKey::MIN, "c0");
        stream.close();
        records_of(&stream).assert_data(["a0", "b0", "c0"]);
    }

    #[test]
    fn sees_more_than_one_read_gives_and_what_lies_in_many_chunks() {
        let (stream, _) = stream(1);
        for from in 0..25 {
            let entries = (0..1_000).map(|n| ("k", format!("{}", from * 1_000 + n)));
            stream.producer().put_records(entries).expect("answered");
        }
        stream
            .producer()
            .put_record("k", vec![7; 1 << 20])
            .expect("taken");
        let found = records_of(&stream);
        found.assert_count(25_001);
        let data = found.records()[..25_000].iter().map(common::text);
        assert!(data.eq((0..25_000).map(|n| n.to_string())));
    }

    #[test]
    fn finds_nothing_in_a_stream_that_is_gone() {
        let registry = Registry::builder().clock(clock()).build();
        let stream = registry
            .create(Stream::builder("orders"))
            .expect("a new name");
        stream.producer().put_record("k", "x").expect("taken");
        registry.delete("orders").expect("it is there");
        records_of(&stream).assert_none();
    }

    #[test]
    fn may_be_done_while_others_put_and_trim() {
        let (stream, _) = build(Stream::builder("orders").capacity_records(50));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..20_000 {
                    stream
                        .producer()
                        .put_record("k", n.to_string())
                        .expect("taken");
                }
                stream.close();
            });
            while stream.shards()[0].is_open() {
                let found = records_of(&stream);
                let numbers: Vec<u64> = found
                    .records()
                    .iter()
                    .map(|record| common::text(record).parse().expect("a number"))
                    .collect();
                assert!(numbers.windows(2).all(|two| two[0] < two[1]));
            }
        });
        records_of(&stream).assert_count(50);
    }

    #[test]
    fn takes_records_from_anywhere() {
        let (stream, _) = with(&["a=1", "b=2"]);
        let mut reader = stream.subscribe(TrimHorizon).expect("good");
        let batch = reader.get_records(10).expect("it reads");
        records_from("the reader", batch.records()).assert_data(["1", "2"]);
        records_from("the reader", batch)
            .of_key("b")
            .assert_data(["2"]);
        let none = records_from("nobody", Vec::<Record>::new());
        let text = mismatch(none.check_data(["1"]));
        assert!(
            text.starts_with("records of nobody are not as expected"),
            "{text}"
        );
    }

    #[test]
    fn is_shown_without_keys_and_data_where_nothing_is_compared() {
        fn check<T: Send + Sync + Debug>(_: &T) {}
        let (stream, _) = with(&["secret key=secret data"]);
        let found = records_of(&stream);
        check(&found);
        let json = records_of(&stream).json::<String>();
        check(&json);
        let shown = format!("{found:?} {json:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
