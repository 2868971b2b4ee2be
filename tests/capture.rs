//! Capturing a stream in a file, and replaying the file: nothing is left out, nothing is changed, and
//! a file that is not right is an error with its line.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use brooklet::testing::{
    Capture, CaptureError, CaptureEvent, CaptureReader, Replay, ReplayReport, capture,
    capture_failure,
};
use brooklet::{
    Clock, Error, HashKey, Limits, ManualClock, PutEntry, StartingPosition, Stream, Timestamp,
};
use proptest::prelude::*;

mod common;

use common::{build, cases, clock, id, millis, open_by_range, secs, stream};

/// What a capture writes of a stream.
fn captured(stream: &Stream) -> String {
    let mut file = Vec::new();
    capture(stream, &mut file).expect("the stream can be read");
    String::from_utf8(file).expect("a capture is text")
}

/// A replay of everything, and its stream.
fn replayed(file: &str) -> (Stream, ReplayReport) {
    let mut replay = Replay::new(file.as_bytes()).expect("the header is good");
    while replay.step().expect("the file is good").is_some() {}
    (replay.stream().clone(), *replay.report())
}

/// Keys and data of all records, in the order in which a subscription reads them, by key.
fn by_key(stream: &Stream) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut reader = stream
        .subscribe(StartingPosition::TrimHorizon)
        .expect("it can be read");
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    loop {
        let batch = reader.get_records(1_000).expect("it can be read");
        if batch.is_empty() {
            return keys;
        }
        for record in &batch {
            let data = record.data().to_vec();
            keys.entry(record.partition_key().to_owned())
                .or_default()
                .push(data);
        }
    }
}

/// A file with all kinds of lines.
fn sample() -> String {
    let (stream, clock) = stream(2);
    let producer = stream.producer();
    clock.advance(millis(1_250));
    producer
        .put_record("customer-17", "two teapots")
        .expect("it is put");
    producer
        .put_record("customer-17", [0xff, 0x00])
        .expect("it is put");
    clock.advance(secs(5));
    stream.merge_shards(id(0), id(1)).expect("they are merged");
    let explicit = PutEntry::new("ключ \"7\"\n", "").explicit_hash_key(HashKey::MAX);
    producer.put_entry(explicit).expect("it is put");
    clock.advance(secs(5));
    stream
        .split_shard(id(2), HashKey::new(1_000))
        .expect("it is split");
    let explicit = PutEntry::new("a", "\u{1}\t").explicit_hash_key(HashKey::new(7));
    producer.put_entry(explicit).expect("it is put");
    clock.advance(secs(1));
    stream.close();
    captured(&stream)
}

const SAMPLE: &str = r#"{"type":"header","format":"brooklet-capture","version":1,"stream":"orders","created_ms":1700000000000,"retention_ms":86400000,"shards":[{"shard_id":"shardId-000000000000","starting_hash_key":"0","ending_hash_key":"170141183460469231731687303715884105727"},{"shard_id":"shardId-000000000001","starting_hash_key":"170141183460469231731687303715884105728","ending_hash_key":"340282366920938463463374607431768211455"}]}
{"type":"record","arrival_ms":1700000001250,"shard_id":"shardId-000000000000","sequence_number":"N0","partition_key":"customer-17","data":"two teapots"}
{"type":"record","arrival_ms":1700000001250,"shard_id":"shardId-000000000000","sequence_number":"N1","partition_key":"customer-17","data_base64":"/wA="}
{"type":"reshard","at_ms":1700000006250,"parents":["shardId-000000000000","shardId-000000000001"],"children":[{"shard_id":"shardId-000000000002","starting_hash_key":"0","ending_hash_key":"340282366920938463463374607431768211455"}]}
{"type":"record","arrival_ms":1700000006250,"shard_id":"shardId-000000000002","sequence_number":"N2","partition_key":"ключ \"7\"\n","data":""}
{"type":"reshard","at_ms":1700000011250,"parents":["shardId-000000000002"],"children":[{"shard_id":"shardId-000000000003","starting_hash_key":"0","ending_hash_key":"999"},{"shard_id":"shardId-000000000004","starting_hash_key":"1000","ending_hash_key":"340282366920938463463374607431768211455"}]}
{"type":"record","arrival_ms":1700000011250,"shard_id":"shardId-000000000003","sequence_number":"N3","partition_key":"a","explicit_hash_key":"0","data":"\u0001\t"}
{"type":"end","records":4,"closed_ms":1700000012250}
"#;

#[test]
fn a_capture_is_lines_of_json_that_people_can_read() {
    let file = sample();
    let mut expected = SAMPLE.to_owned();
    let numbers = CaptureReader::new(file.as_bytes())
        .expect("the header is good")
        .filter_map(|event| match event.expect("the line is good") {
            CaptureEvent::Record(record) => Some(record.sequence_number),
            _ => None,
        });
    for (index, number) in numbers.enumerate() {
        expected = expected.replace(&format!("N{index}"), &number.to_string());
    }
    assert_eq!(file, expected);
}

#[test]
fn a_replay_is_the_same_stream_to_the_byte() {
    let file = sample();
    let (stream, report) = replayed(&file);
    assert_eq!(captured(&stream), file);
    let counts = (
        report.records,
        report.data_bytes,
        report.reshards,
        report.missed,
    );
    assert_eq!(counts, (4, 15, 2, 0));
    assert_eq!(report.sequence_numbers_kept, 4);
    assert!(report.finished);
    assert!(matches!(
        stream.producer().put_record("a", "b"),
        Err(Error::StreamClosed { .. })
    ));
}

/// What is done to a stream that is captured.
#[derive(Clone, Debug)]
enum Op {
    Put {
        key: String,
        data: Vec<u8>,
        hash_key: Option<u128>,
    },
    Split {
        shard: usize,
        at: u128,
    },
    Merge {
        shard: usize,
    },
    Count {
        count: u32,
    },
    Wait {
        ms: u64,
    },
    CatchUp,
}

fn op() -> impl Strategy<Value = Op> {
    let data = prop_oneof![
        "\\PC{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
        proptest::collection::vec(any::<u8>(), 500..600),
    ];
    let hash_key = proptest::option::weighted(0.2, any::<u128>());
    prop_oneof![
        8 => ("[a-dé\"\\\\]{1,2}", data, hash_key)
            .prop_map(|(key, data, hash_key)| Op::Put { key, data, hash_key }),
        1 => (0..8_usize, any::<u128>()).prop_map(|(shard, at)| Op::Split { shard, at }),
        1 => (0..8_usize).prop_map(|shard| Op::Merge { shard }),
        1 => (1..7_u32).prop_map(|count| Op::Count { count }),
        3 => (0..5_000_u64).prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::CatchUp),
    ]
}

fn do_to(stream: &Stream, clock: &ManualClock, op: &Op) {
    match op {
        Op::Put {
            key,
            data,
            hash_key,
        } => {
            let mut entry = PutEntry::new(key, data);
            if let Some(hash_key) = hash_key {
                entry = entry.explicit_hash_key(HashKey::new(*hash_key));
            }
            stream.producer().put_entry(entry).expect("it is put");
        }
        Op::Split { shard, at } => {
            let open = open_by_range(stream);
            // A key out of the shard's range is refused, which is no matter here.
            let _refused = stream.split_shard(id(open[shard % open.len()]), HashKey::new(*at));
        }
        Op::Merge { shard } => {
            let open = open_by_range(stream);
            if open.len() > 1 {
                let lower = shard % (open.len() - 1);
                stream
                    .merge_shards(id(open[lower]), id(open[lower + 1]))
                    .expect("they are adjacent");
            }
        }
        Op::Count { count } => stream
            .update_shard_count(*count)
            .expect("the count is good"),
        Op::Wait { ms } => clock.advance(millis(*ms)),
        Op::CatchUp => {}
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn any_history_is_captured_and_replayed_to_the_byte(
        shard_count in 1..6_u32, ops in proptest::collection::vec(op(), 0..60), close: bool,
    ) {
        let (stream, clock) = stream(shard_count);
        for op in &ops {
            do_to(&stream, &clock, op);
        }
        if close {
            stream.close();
        }
        let file = captured(&stream);
        let (replayed, report) = replayed(&file);
        prop_assert_eq!(captured(&replayed), file);
        prop_assert_eq!(report.records, stream.metrics().records_in());
        prop_assert_eq!(report.sequence_numbers_kept, report.records);
        prop_assert_eq!(by_key(&replayed), by_key(&stream));
    }

    #[test]
    fn a_capture_that_keeps_up_writes_what_one_at_the_end_does(
        shard_count in 1..4_u32, ops in proptest::collection::vec(op(), 0..60),
    ) {
        let (stream, clock) = stream(shard_count);
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        for op in &ops {
            // Records of one moment have no order among shards.
            clock.advance(millis(1));
            do_to(&stream, &clock, op);
            if matches!(op, Op::CatchUp) {
                let summary = capture.catch_up().expect("it can be read");
                prop_assert_eq!(summary.records, stream.metrics().records_in());
            }
        }
        let (summary, file) = capture.finish().expect("it can be read");
        prop_assert_eq!(summary.records, stream.metrics().records_in());
        prop_assert_eq!(summary.missed, 0);
        prop_assert_eq!(String::from_utf8(file).expect("text"), captured(&stream));
    }

    #[test]
    fn any_part_of_a_file_is_read_or_an_error_with_its_line(
        at in any::<prop::sample::Index>(), length in 0..40_usize, put in "[\\PC\n]{0,12}",
    ) {
        let file = sample();
        let at = at.index(file.len());
        let mut bytes = file.into_bytes();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, put.bytes());
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        check_hostile(&bytes, lines)?;
    }

    #[test]
    fn any_bytes_are_an_error_with_their_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        prop_assert!(CaptureReader::new(&bytes[..]).is_err());
        check_hostile(&bytes, lines)?;
    }

    #[test]
    fn any_line_of_json_is_read_or_an_error_with_its_line(
        fields in proptest::collection::vec((field(), value()), 0..8), kind in kind(),
    ) {
        let header = SAMPLE.lines().next().expect("it has a header");
        let fields: String = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        let file = format!("{header}\n{{\"type\":{kind}{fields}}}\n{{\"type\":\"end\",\"records\":0}}\n");
        check_hostile(file.as_bytes(), 3)?;
    }
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["record", "reshard", "missed", "end", "header"])
            .prop_map(|kind| format!("\"{kind}\"")),
        1 => value(),
    ]
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "type",
        "arrival_ms",
        "shard_id",
        "sequence_number",
        "partition_key",
        "explicit_hash_key",
        "data",
        "data_base64",
        "at_ms",
        "parents",
        "children",
        "count",
        "records",
        "closed_ms",
        "x",
    ])
}

fn value() -> impl Strategy<Value = String> {
    let shard =
        r#"{"shard_id":"shardId-000000000002","starting_hash_key":"0","ending_hash_key":"7"}"#;
    prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "[a-z0-9=\"\\\\{}]{0,8}".prop_map(|text| format!("{text:?}")),
        (0..4_u32).prop_map(|index| format!("\"{}\"", id(index))),
        (0..4_u32).prop_map(|index| format!("[\"{}\"]", id(index))),
        (0..4_usize).prop_map(move |count| format!("[{}]", vec![shard; count].join(","))),
        prop::sample::select(vec!["null", "true", "[]", "{}", "[[[[", "}", "\"\\ud800\""])
            .prop_map(str::to_owned),
        (1..500_usize).prop_map(|depth| "[".repeat(depth)),
    ]
}

/// Replays what may be anything. It never panics, and says in which line it stops.
fn check_hostile(bytes: &[u8], lines: u64) -> Result<(), TestCaseError> {
    let result = Replay::new(bytes).and_then(Replay::run);
    match result {
        Ok(report) => prop_assert!(report.finished),
        Err(
            CaptureError::Line { line, .. }
            | CaptureError::Unfinished { line }
            | CaptureError::Refused { line, .. },
        ) => prop_assert!((1..=lines + 1).contains(&line)),
        Err(error) => prop_assert!(false, "{}", error),
    }
    Ok(())
}

#[test]
fn a_file_that_was_cut_off_anywhere_says_so() {
    let file = sample();
    // Without its last line break it is whole.
    for length in 0..file.len() - 1 {
        let part = &file.as_bytes()[..length];
        let whole_lines = part.iter().filter(|byte| **byte == b'\n').count() as u64;
        match Replay::new(part).and_then(Replay::run) {
            // A line without its line break may be whole: then it is the next one that is missing.
            Err(CaptureError::Unfinished { line }) => {
                assert!((whole_lines + 1..=whole_lines + 2).contains(&line));
            }
            other => panic!("{length}: {other:?}"),
        }
    }
    assert!(replayed(file.trim_end()).1.finished);
    assert!(replayed(&file.replace('\n', "\r\n")).1.finished);
}

#[test]
fn what_was_before_the_cut_is_replayed() {
    let file = sample();
    let cut = file.find("\"type\":\"end\"").expect("it has an end");
    let mut replay = Replay::new(&file.as_bytes()[..cut]).expect("the header is good");
    let mut steps = 0;
    let error = loop {
        match replay.step() {
            Ok(Some(_)) => steps += 1,
            Ok(None) => panic!("there is no end line"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CaptureError::Unfinished { line: 8 }));
    assert_eq!((steps, replay.report().records), (6, 4));
    assert!(!replay.report().finished);
    assert!(
        matches!(replay.step(), Ok(None)),
        "an iterator that failed has ended"
    );
    assert!(!replay.report().finished);
}

#[test]
fn a_bad_line_is_an_error_that_says_where_and_what() {
    let sample = sample();
    for (from, to, line, column, problem) in [
        (r#""version":1"#, r#""version":2"#, 1, 1, "version 2"),
        (
            "brooklet-capture",
            "brooklet-kapture",
            1,
            1,
            "the format is not",
        ),
        (
            r#""created_ms":1700000000000"#,
            r#""created_ms":-1"#,
            1,
            90,
            "invalid value",
        ),
        (
            r#""starting_hash_key":"0""#,
            r#""starting_hash_key":"1""#,
            1,
            1,
            "all hash keys",
        ),
        (
            r#""ending_hash_key":"17014"#,
            r#""ending_hash_key":"017014"#,
            1,
            0,
            "leading zeros",
        ),
        (
            r#"{"type":"header""#,
            r#"{"type":"record""#,
            1,
            1,
            "begins with its header",
        ),
        (
            r#""type":"record","arr"#,
            r#""type":"rekord","arr"#,
            2,
            1,
            "the type is none of",
        ),
        (
            r#""arrival_ms":1700000001250,"#,
            "",
            2,
            0,
            "missing field `arrival_ms`",
        ),
        (r#""arrival_ms":1"#, r#""arrival_ms":"1"#, 2, 0, ""),
        (
            r#""arrival_ms""#,
            r#""arrival""#,
            2,
            26,
            "unknown field `arrival`",
        ),
        (
            r#"shardId-000000000000","seq"#,
            r#"shardId-0","seq"#,
            2,
            0,
            "this is written shardId-000000000000",
        ),
        (
            r#"shardId-000000000000","seq"#,
            r#"shardId-000000000001","seq"#,
            2,
            1,
            "is not one of shardId-000000000001",
        ),
        (
            r#"shardId-000000000000","seq"#,
            r#"shardId-000000000009","seq"#,
            2,
            1,
            "shardId-000000000009 is not open",
        ),
        (
            r#""data":"two teapots""#,
            r#""data":"two teapots","data_base64":"""#,
            2,
            1,
            "both data",
        ),
        (r#","data":"two teapots""#, "", 2, 1, "neither data"),
        ("/wA=", "/wA", 3, 0, "no base64"),
        ("/wA=", "!", 3, 0, "no base64"),
        (
            r#""parents":["shardId-000000000000","shardId-000000000001"]"#,
            r#""parents":["shardId-000000000001","shardId-000000000000"]"#,
            4,
            1,
            "the same hash keys",
        ),
        (
            r#""parents":["shardId-000000000000","#,
            r#""parents":["#,
            4,
            1,
            "one of two",
        ),
        (
            r#"[{"shard_id":"shardId-000000000002""#,
            r#"[{"shard_id":"shardId-000000000001""#,
            4,
            1,
            "does not come after",
        ),
        (
            r#""ending_hash_key":"999""#,
            r#""ending_hash_key":"998""#,
            6,
            1,
            "the same hash keys",
        ),
        (
            r#""explicit_hash_key":"0","#,
            "",
            7,
            1,
            "is not one of shardId-000000000003",
        ),
        (
            r#""explicit_hash_key":"0""#,
            r#""explicit_hash_key":0"#,
            7,
            0,
            "expected text in quotes",
        ),
        (
            r#""partition_key":"a""#,
            r#""partition_key":"""#,
            7,
            1,
            "0 characters",
        ),
        (
            r#""records":4"#,
            r#""records":5"#,
            8,
            1,
            "5 records, but there are 4",
        ),
        (
            r#""records":4"#,
            r#""records":4,"records":4"#,
            8,
            0,
            "duplicate field",
        ),
        ("2250}\n", "2250}\n\n", 9, 1, "nothing may follow"),
        ("2250}\n", "2250\n", 8, 0, ""),
        (
            "{\"type\":\"record\"",
            "\n{\"type\":\"record\"",
            2,
            0,
            "EOF",
        ),
        (
            "{\"type\":\"record\"",
            "\u{feff}{\"type\":\"record\"",
            2,
            1,
            "expected value",
        ),
    ] {
        assert!(sample.contains(from), "{from}");
        let file = sample.replacen(from, to, 1);
        match Replay::new(file.as_bytes()).and_then(Replay::run) {
            Err(CaptureError::Line {
                line: at,
                column: in_column,
                problem: text,
            }) => {
                assert_eq!(at, line, "{to}: {text}");
                assert!(text.contains(problem), "{to}: {text}");
                if column > 0 {
                    assert_eq!(in_column, column, "{to}: {text}");
                }
            }
            other => panic!("{to}: {other:?}"),
        }
    }
}

#[test]
fn the_records_of_a_shard_come_in_the_order_of_their_numbers() {
    let mut lines: Vec<_> = SAMPLE.lines().map(str::to_owned).collect();
    let sample = sample();
    for (line, text) in lines.iter_mut().zip(sample.lines()) {
        text.clone_into(line);
    }
    lines.swap(1, 2);
    let file = lines.join("\n");
    let error = Replay::new(file.as_bytes())
        .and_then(Replay::run)
        .expect_err("it is refused");
    assert!(
        error
            .to_string()
            .starts_with("line 3, column 1: the sequence number is not above")
    );
}

#[test]
fn an_error_does_not_quote_a_long_line() {
    let file = SAMPLE.replacen(
        "1700000000000",
        &format!("\"{}\"", "secret".repeat(10_000)),
        1,
    );
    let error = CaptureReader::new(file.as_bytes()).expect_err("it is refused");
    assert!(error.to_string().len() < 300, "{error}");
}

/// Gives so many bytes of one line that never ends, and counts them.
struct Endless {
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(b'[');
        self.given += buffer.len() as u64;
        Ok(buffer.len())
    }
}

#[test]
fn a_line_that_does_not_end_is_given_up() {
    let mut input = BufReader::with_capacity(1 << 20, Endless { given: 0 });
    let error = CaptureReader::new(&mut input).expect_err("it is refused");
    assert!(
        error
            .to_string()
            .contains("line 1, column 1: the line is over")
    );
    assert!(input.get_ref().given < 70 << 20);
}

#[test]
fn a_file_is_read_as_it_is_needed() {
    let (stream, _) = stream(1);
    for n in 0..10_000 {
        stream
            .producer()
            .put_record("a", format!("{n}"))
            .expect("it is put");
    }
    let file = captured(&stream);
    let mut left = file.as_bytes();
    let mut replay = Replay::new(BufReader::with_capacity(1_000, &mut left)).expect("it is good");
    for _ in 0..100 {
        replay.step().expect("it is good");
    }
    drop(replay);
    assert!(left.len() > file.len() * 9 / 10);
}

#[test]
fn the_largest_records_go_through() {
    let (stream, _) = build(Stream::builder("orders").record_bytes_max(10 << 20));
    let producer = stream.producer();
    let key = "\u{1}".repeat(256);
    producer
        .put_record(&*key, vec![1; 10 << 20])
        .expect("it is put");
    producer
        .put_record("binary", vec![0xfe; 10 << 20])
        .expect("it is put");
    let file = captured(&stream);
    let (replayed, report) = replayed(&file);
    assert_eq!(report.data_bytes, 20 << 20);
    assert!(by_key(&replayed) == by_key(&stream));
}

mod time {
    use super::*;

    /// When the records of a replay arrive, in milliseconds since the stream was created.
    fn arrivals(file: &str, speed: f64) -> Vec<u64> {
        let mut replay = Replay::new(file.as_bytes())
            .and_then(|replay| replay.speed(speed))
            .expect("it is good");
        let mut reader = replay
            .stream()
            .subscribe(StartingPosition::TrimHorizon)
            .expect("it can be read");
        let mut arrivals = Vec::new();
        while replay.step().expect("it is good").is_some() {
            for record in &reader.get_records(10).expect("it can be read") {
                let arrival = record.approximate_arrival_timestamp();
                assert_eq!(
                    arrival,
                    replay.clock().now(),
                    "it arrives as the clock is turned"
                );
                arrivals.push(arrival.duration_since(replay.header().created).as_millis());
            }
        }
        arrivals
            .into_iter()
            .map(|ms| u64::try_from(ms).expect("not for ever"))
            .collect()
    }

    #[test]
    fn goes_as_fast_as_it_is_asked_to() {
        let (stream, clock) = stream(1);
        for ms in [0, 1, 999, 60_000, 3_600_000] {
            clock.advance(millis(ms));
            stream.producer().put_record("a", "b").expect("it is put");
        }
        let file = captured(&stream);
        assert_eq!(arrivals(&file, 1.0), [0, 1, 1_000, 61_000, 3_661_000]);
        assert_eq!(arrivals(&file, 60.0), [0, 0, 17, 1_017, 61_017]);
        assert_eq!(arrivals(&file, 0.5), [0, 2, 2_000, 122_000, 7_322_000]);
        assert_eq!(arrivals(&file, f64::INFINITY), [0; 5]);
        for speed in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            let refused = Replay::new(file.as_bytes()).and_then(|replay| replay.speed(speed));
            let error = refused.expect_err("that is no speed");
            assert!(matches!(
                error,
                CaptureError::Stream(Error::InvalidSetting { .. })
            ));
        }
    }

    #[test]
    fn expires_what_had_expired() {
        let (stream, clock) = build(Stream::builder("orders").retention(secs(60)));
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        for _ in 0..5 {
            stream.producer().put_record("a", "b").expect("it is put");
            capture.catch_up().expect("it can be read");
            clock.advance(secs(25));
        }
        let (summary, file) = capture.finish().expect("it can be read");
        assert_eq!(summary.records, 5);
        let (replayed, _) = replayed(&String::from_utf8(file).expect("text"));
        assert_eq!(replayed.retention(), secs(60));
        assert_eq!(
            replayed.metrics().records_retained(),
            3,
            "those of the last minute"
        );
    }

    #[test]
    fn that_was_set_back_is_no_matter() {
        let (stream, clock) = stream(2);
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        for (n, at) in [50_000, 20_000, 60_000, 10_000].into_iter().enumerate() {
            clock.set(Timestamp::from_millis(common::START_MS + at));
            for shard in 0..2 {
                let key = HashKey::new(u128::from(shard == 1) << 127);
                let producer = stream.producer();
                producer
                    .put_record_with_hash_key("a", key, format!("{n}"))
                    .expect("it is put");
            }
            capture.catch_up().expect("it can be read");
        }
        let (summary, file) = capture.finish().expect("it can be read");
        assert_eq!(summary.records, 8);
        let (replayed, report) = replayed(&String::from_utf8(file).expect("text"));
        assert_eq!(report.records, 8);
        assert_eq!(captured(&replayed), captured(&stream));
    }
}

mod a_capture {
    use super::*;

    #[test]
    fn says_what_it_missed() {
        let (stream, _) = build(Stream::builder("orders").capacity_records(3));
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        for n in 0..2 {
            stream
                .producer()
                .put_record("a", format!("{n}"))
                .expect("it is put");
        }
        capture.catch_up().expect("it can be read");
        for n in 2..9 {
            stream
                .producer()
                .put_record("a", format!("{n}"))
                .expect("it is put");
        }
        let (summary, file) = capture.finish().expect("it can be read");
        assert_eq!((summary.records, summary.missed), (5, 4));
        let file = String::from_utf8(file).expect("text");
        let missed = r#"{"type":"missed","shard_id":"shardId-000000000000","count":4}"#;
        assert_eq!(file.lines().nth(3), Some(missed));
        let (_, report) = replayed(&file);
        assert_eq!((report.records, report.missed), (5, 4));
        assert_eq!(report.sequence_numbers_kept, 2, "those before the gap");
    }

    #[test]
    fn says_what_it_missed_of_a_child() {
        let (stream, _) = build(Stream::builder("orders").capacity_records(3));
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        stream
            .split_shard(id(0), HashKey::new(2))
            .expect("it is split");
        for n in 0..9 {
            stream
                .producer()
                .put_record("a", format!("{n}"))
                .expect("it is put");
        }
        let summary = capture.catch_up().expect("it can be read");
        assert_eq!((summary.records, summary.missed), (3, 6));
        let (_, file) = capture.finish().expect("it can be read");
        let (_, report) = replayed(&String::from_utf8(file).expect("text"));
        assert_eq!((report.records, report.missed), (3, 6));
    }

    #[test]
    fn that_begins_late_begins_at_the_trim_horizon() {
        let (stream, clock) = build(Stream::builder("orders").shard_count(2).retention(secs(60)));
        stream
            .producer()
            .put_record("a", "expired")
            .expect("it is put");
        stream.update_shard_count(3).expect("the count is good");
        clock.advance(secs(61));
        let shard = stream.shards()[0].clone();
        let split = shard.hash_key_range().start().get() + 12_345;
        stream
            .split_shard(shard.id(), HashKey::new(split))
            .expect("it is split");
        for n in 0..20 {
            stream
                .producer()
                .put_record(format!("{n}"), format!("{n}"))
                .expect("it is put");
        }
        let file = captured(&stream);
        let (replayed, report) = replayed(&file);
        assert_eq!((report.records, report.reshards), (20, 1));
        assert_eq!(by_key(&replayed), by_key(&stream));
        let ranges = |stream: &Stream| {
            let open = open_by_range(stream).into_iter();
            let shards = open.map(|index| stream.shard(id(index)).expect("it is open"));
            shards
                .map(|shard| shard.hash_key_range())
                .collect::<Vec<_>>()
        };
        assert_eq!(ranges(&replayed), ranges(&stream));
    }

    #[test]
    fn that_comes_too_late_for_a_shard_is_an_error() {
        let (stream, clock) = build(Stream::builder("orders").retention(secs(60)));
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        stream
            .split_shard(id(0), HashKey::new(1 << 127))
            .expect("it is split");
        stream
            .split_shard(id(1), HashKey::new(1 << 126))
            .expect("it is split");
        clock.advance(secs(61));
        let error = capture.catch_up().expect_err("a shard is gone");
        assert!(matches!(error, CaptureError::ShardExpired { shard_id } if shard_id == id(1)));
    }

    #[test]
    fn that_was_throttled_goes_on() {
        let limits = Limits::unlimited().get_records_per_second(Some(2));
        let (stream, clock) = build(Stream::builder("orders").limits(limits));
        let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
        let mut throttled = 0;
        for n in 0..50 {
            stream
                .producer()
                .put_record("a", format!("{n}"))
                .expect("it is put");
            match capture.catch_up() {
                Ok(_) => {}
                Err(CaptureError::Stream(Error::ReadThrottled { .. })) => throttled += 1,
                Err(error) => panic!("{error}"),
            }
            clock.advance(millis(100));
        }
        assert!(throttled > 5);
        clock.advance(secs(10));
        let (summary, file) = capture.finish().expect("there is time enough");
        assert_eq!(summary.records, 50);
        assert_eq!(
            replayed(&String::from_utf8(file).expect("text")).1.records,
            50
        );
    }

    #[test]
    fn that_cannot_be_written_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is full"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (stream, _) = stream(1);
        let error = capture(&stream, Full).expect_err("it is not written");
        assert_eq!(error.to_string(), "the disk is full");
        assert!(Replay::open("no such file").is_err());
    }
}

#[test]
fn a_replay_goes_into_the_stream_that_it_is_asked_for() {
    let (stream, clock) = stream(1);
    for n in 0..10 {
        stream
            .producer()
            .put_record("a", format!("{n}"))
            .expect("it is put");
        clock.advance(millis(100));
    }
    let file = captured(&stream);
    let small = Replay::with_settings(file.as_bytes(), |builder| builder.capacity_records(3));
    let mut replay = small.expect("the header is good");
    while replay.step().expect("it is good").is_some() {}
    assert_eq!(replay.stream().metrics().records_retained(), 3);

    let limits = Limits::unlimited().write_records_per_second(Some(5));
    let limited = Replay::with_settings(file.as_bytes(), |builder| builder.limits(limits));
    let error = limited.and_then(Replay::run).expect_err("it is throttled");
    match error {
        CaptureError::Refused { line, source } => {
            assert!(matches!(source, Error::WriteThrottled { .. }));
            assert!((7..12).contains(&line), "{line}");
        }
        error => panic!("{error}"),
    }
}

mod a_failure {
    use super::*;

    static FILES: AtomicU32 = AtomicU32::new(0);

    /// The path of a file that is not there, and is taken away in the end.
    struct File(std::path::PathBuf);

    impl File {
        fn new() -> Self {
            let number = FILES.fetch_add(1, Ordering::Relaxed);
            let name = format!("brooklet-test-{}-{number}.jsonl", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _absent = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn is_kept_and_replayed() {
        let (file, (stream, _)) = (File::new(), stream(2));
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let result = capture_failure(&stream, &file.0, || {
                stream.producer().put_record("a", "the one that fails")?;
                if stream.metrics().records_in() == 1 {
                    std::panic::panic_any(17);
                }
                Ok::<_, Error>(())
            });
            drop(result);
        }));
        let payload = panic.expect_err("the panic goes on");
        assert_eq!(payload.downcast_ref(), Some(&17));
        let report = Replay::open(&file.0).and_then(Replay::run);
        assert_eq!(report.expect("the file is good").records, 1);
    }

    #[test]
    fn by_an_error_is_kept_too() {
        let (file, (stream, _)) = (File::new(), stream(2));
        let result = capture_failure(&stream, &file.0, || {
            stream.producer().put_record("a", "b")?;
            stream.split_shard(id(7), HashKey::new(2))
        });
        assert!(matches!(result, Err(Error::ShardNotFound { .. })));
        let report = Replay::open(&file.0).and_then(Replay::run);
        assert_eq!(report.expect("the file is good").records, 1);
    }

    #[test]
    fn that_does_not_happen_writes_nothing() {
        let (file, (stream, _)) = (File::new(), stream(2));
        let result = capture_failure(&stream, &file.0, || Ok::<_, Error>(7));
        assert_eq!(result, Ok(7));
        assert!(!file.0.exists());
    }

    #[test]
    fn that_cannot_be_kept_is_the_failure_all_the_same() {
        let (stream, _) = stream(2);
        let result = capture_failure(&stream, "/no/such/folder", || Err::<(), _>("it fails"));
        assert_eq!(result, Err("it fails"));
    }
}

#[test]
fn debug_shows_neither_keys_nor_data() {
    let file = sample();
    let reader = CaptureReader::new(file.as_bytes()).expect("it is good");
    let shown = format!("{reader:?} {:?}", Replay::new(file.as_bytes()));
    let events: Vec<_> = reader.map(|event| format!("{event:?}")).collect();
    let shown = format!("{shown} {events:?}");
    assert!(!shown.contains("customer") && !shown.contains("teapot") && !shown.contains("255, 0"));
    assert!(shown.contains("data_bytes: 11"));
}

#[test]
fn a_capture_while_records_are_put_has_each_of_them() {
    let stream = Stream::builder("orders")
        .shard_count(3)
        .clock(clock())
        .build()
        .expect("the settings make sense");
    let mut capture = Capture::new(&stream, Vec::new()).expect("it can be read");
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let stream = &stream;
            scope.spawn(move || {
                for n in 0..1_000 {
                    let key = format!("{thread}-{}", n % 7);
                    stream
                        .producer()
                        .put_record(key, format!("{n}"))
                        .expect("it is put");
                    if n % 300 == 0 {
                        // The other thread may have been quicker.
                        let _refused = stream.update_shard_count(2 + n / 300);
                    }
                }
            });
        }
        for _ in 0..100 {
            capture.catch_up().expect("it can be read");
        }
    });
    let (summary, file) = capture.finish().expect("it can be read");
    assert_eq!((summary.records, summary.missed), (2_000, 0));
    let (replayed, report) = replayed(&String::from_utf8(file).expect("text"));
    assert_eq!(report.records, 2_000);
    assert_eq!(by_key(&replayed), by_key(&stream));
}

/// An output that does something else once it is first written to.
struct Meanwhile<F: FnOnce()> {
    file: Vec<u8>,
    act: Option<F>,
}

impl<F: FnOnce()> Write for Meanwhile<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(act) = self.act.take() {
            act();
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The shard without records was looked at, and found open, before the capture came to see that the other one
/// was split after it.
#[test]
fn reshards_that_happen_while_it_is_written_are_captured_in_their_order() {
    let builder = Stream::builder("orders").shard_count(2);
    let stream = builder.clock(clock()).build().expect("it is valid");
    let producer = stream.producer();
    let [first, second] = [0, 1].map(|shard| stream.shards()[shard].hash_key_range());
    for n in 0..100 {
        // More than is gathered before it is written.
        let entry = PutEntry::new("a", vec![n; 200]).explicit_hash_key(second.start());
        producer.put_entry(entry).expect("it is put");
    }
    let act = || {
        for (shard, range) in [(0, first), (1, second)] {
            let split = stream.split_shard(id(shard), range.midpoint());
            split.expect("it is open");
        }
    };
    let output = Meanwhile {
        file: Vec::new(),
        act: Some(act),
    };
    let mut capture = Capture::new(&stream, output).expect("it can be read");
    capture.catch_up().expect("it can be read");
    let (summary, output) = capture.finish().expect("it can be read");
    assert!(output.act.is_none());
    assert_eq!((summary.records, summary.reshards), (100, 2));
    let (_, report) = replayed(&String::from_utf8(output.file).expect("text"));
    assert_eq!((report.records, report.reshards), (100, 2));
}

/// Each look at an idle shard counts, however often another one was split.
#[test]
fn a_shard_that_does_nothing_is_looked_at_once() {
    let limits = Limits::unlimited().get_records_per_second(Some(2));
    let builder = Stream::builder("orders").shard_count(2).limits(limits);
    let stream = builder.clock(clock()).build().expect("it is valid");
    let mut lowest = id(0);
    for _ in 0..6 {
        let shard = stream.shard(lowest).expect("it is there");
        let split = stream.split_shard(lowest, shard.hash_key_range().midpoint());
        split.expect("it is open");
        lowest = id(u32::try_from(stream.shards().len()).expect("few") - 2);
    }
    let summary = capture(&stream, io::sink()).expect("no limit holds it up");
    assert_eq!(summary.reshards, 6);
}

/// Not used up by a bounded line: the reader takes a `BufRead` of any kind.
#[test]
fn any_source_of_lines_will_do() {
    let file = sample();
    let mut boxed: Box<dyn BufRead> = Box::new(io::Cursor::new(file));
    assert_eq!(
        CaptureReader::new(&mut boxed).expect("it is good").count(),
        6
    );
}
