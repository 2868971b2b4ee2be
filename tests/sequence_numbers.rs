//! Sequence numbers through the public face: the layout of the contract, 1.6, and its vectors.

use std::str::FromStr;

use brooklet::{SequenceNumber, StartingPosition};
use common::{
    Fields, START_MS, add_decimal, id, key_of, number, put_into, read_shard, secs, stream,
};
use proptest::prelude::*;

mod common;

const SHARD_0_START: &str = "49646437577108476416916876405825929425585429676275269634";
const SHARD_1_START: &str = "49646437577130777162115407028967465143858078037781250066";
const SHARD_17_START: &str = "49646437577130777162115407028967465143858078037781250322";
const SHARD_0_FIRST: &str = "49646437577108476416916876405827138351405044305449975810";
const SHARD_0_SECOND_AT_5S: &str = "49646437577108476416916876405828347277224659278222065666";
const SHARD_0_END_AT_60S: &str = "49646437577119626789516141717395488358902143351022157826";
const CHILD_2_START_AT_61S: &str = "49646437598918605221079825838247861896235531421012197410";
const REAL_SAMPLE: &str = "49590338271490256608559692538361571095921575989136588898";
/// 2^144 + 16.
const NEIGHBOURS_DIFFER_BY: &str = "22300745198530623141535718272648361505980432";

fn starting(shard_count: u32, index: u32) -> String {
    let (stream, _clock) = stream(shard_count);
    stream
        .shard(id(index))
        .unwrap()
        .starting_sequence_number()
        .to_string()
}

#[test]
fn starting_numbers_are_those_of_the_contract() {
    assert_eq!(starting(2, 0), SHARD_0_START);
    assert_eq!(starting(2, 1), SHARD_1_START);
    assert_eq!(starting(18, 17), SHARD_17_START);
}

#[test]
fn the_first_records_have_the_numbers_of_the_contract() {
    let (stream, clock) = stream(2);
    assert_eq!(put_into(&stream, 0, "first").to_string(), SHARD_0_FIRST);
    clock.advance(secs(5));
    assert_eq!(
        put_into(&stream, 0, "second").to_string(),
        SHARD_0_SECOND_AT_5S
    );
    let read: Vec<_> = read_shard(&stream, 0)
        .iter()
        .map(|record| record.sequence_number().to_string())
        .collect();
    assert_eq!(read, [SHARD_0_FIRST, SHARD_0_SECOND_AT_5S]);
}

#[test]
fn the_end_of_a_shard_and_the_start_of_its_child_are_those_of_the_contract() {
    let (stream, clock) = stream(2);
    clock.advance(secs(60));
    let middle = stream.shard(id(0)).unwrap().hash_key_range().end().get() / 2;
    stream
        .split_shard(id(0), brooklet::HashKey::new(middle))
        .unwrap();
    let ending = stream
        .shard(id(0))
        .unwrap()
        .ending_sequence_number()
        .unwrap();
    assert_eq!(ending.to_string(), SHARD_0_END_AT_60S);
    let child = stream.shard(id(2)).unwrap();
    assert_eq!(
        child.starting_sequence_number().to_string(),
        CHILD_2_START_AT_61S
    );
    assert_eq!(child.ending_sequence_number(), None);
}

#[test]
fn neighbouring_first_shards_differ_by_the_constant_of_the_contract() {
    let (stream, _clock) = stream(16);
    let starts: Vec<_> = stream
        .shards()
        .iter()
        .map(|s| s.starting_sequence_number().to_string())
        .collect();
    for pair in starts.windows(2) {
        assert_eq!(add_decimal(&pair[0], NEIGHBOURS_DIFFER_BY), pair[1]);
    }
}

#[test]
fn a_number_of_the_service_parses_and_shows_unchanged() {
    let sample = number(REAL_SAMPLE);
    assert_eq!(sample.to_string(), REAL_SAMPLE);
    let expected = Fields {
        created_secs: 1_542_776_258,
        nibble: 6,
        place: 1_734_642_199,
        time_secs: 1_545_084_650,
        shard_index: 6,
        version: 2,
    };
    assert_eq!(Fields::of(sample), expected);
}

#[test]
fn numbers_increase_within_a_shard_and_lie_between_its_start_and_its_end() {
    let (stream, clock) = stream(1);
    let mut numbers = vec![stream.shard(id(0)).unwrap().starting_sequence_number()];
    for step in 0..50u64 {
        numbers.push(put_into(&stream, 0, "x"));
        match step % 3 {
            0 => clock.advance(secs(step)),
            1 => clock.set(brooklet::Timestamp::from_millis(START_MS - 90_000 * step)),
            _ => {}
        }
    }
    stream
        .split_shard(id(0), brooklet::HashKey::new(1 << 127))
        .unwrap();
    numbers.push(
        stream
            .shard(id(0))
            .unwrap()
            .ending_sequence_number()
            .unwrap(),
    );
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    let text: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    assert!(
        text.windows(2)
            .all(|pair| pair[0].len() == pair[1].len() && pair[0] < pair[1])
    );
}

#[test]
fn the_time_in_a_number_never_goes_back_within_a_shard() {
    let (stream, clock) = stream(1);
    clock.advance(secs(100));
    let before = Fields::of(put_into(&stream, 0, "x"));
    clock.set(brooklet::Timestamp::from_millis(START_MS - 1_000_000));
    let after = Fields::of(put_into(&stream, 0, "x"));
    assert_eq!(
        (before.time_secs, after.time_secs),
        (1_700_000_100, 1_700_000_100)
    );
    assert_eq!(after.place, before.place + 1);
}

#[test]
fn a_record_of_a_child_is_numbered_no_earlier_than_the_childs_creation() {
    let (stream, _clock) = stream(1);
    stream
        .split_shard(id(0), brooklet::HashKey::new(1 << 127))
        .unwrap();
    // In the same second as the close: the child's create time lies a second ahead.
    let fields = Fields::of(put_into(&stream, 1, "x"));
    assert_eq!(fields.created_secs, 1_700_000_001);
    assert_eq!(fields.time_secs, 1_700_000_001);
    let shard = stream.shard(id(1)).unwrap();
    assert!(shard.hash_key_range().contains(key_of(&shard)));
}

#[test]
fn text_that_is_no_number_of_the_service_is_refused() {
    let good = Fields::of(number(SHARD_0_FIRST));
    let cases = [
        ("empty", String::new()),
        ("a word", "latest".into()),
        ("negative", format!("-{SHARD_0_FIRST}")),
        ("a plus sign", format!("+{SHARD_0_FIRST}")),
        ("a leading zero", format!("0{SHARD_0_FIRST}")),
        ("white space", format!(" {SHARD_0_FIRST}")),
        ("trailing text", format!("{SHARD_0_FIRST} ")),
        ("digits of another script", SHARD_0_FIRST.replace('4', "４")),
        ("hexadecimal", "0x15".into()),
        ("130 digits", "9".repeat(130)),
        ("200,000 digits", "9".repeat(200_000)),
        (
            "2^185",
            "49039857307708443467467104868809893875799651909875269632".into(),
        ),
        (
            "1.5 times 2^185",
            "73559785961562665201200657303214840813699477864812904448".into(),
        ),
        (
            "create time too late",
            Fields {
                created_secs: 16_025_175_000,
                ..good
            }
            .decimal(),
        ),
        (
            "top bit of the place set",
            Fields {
                place: 1 << 63,
                ..good
            }
            .decimal(),
        ),
        (
            "an unknown version",
            Fields { version: 7, ..good }.decimal(),
        ),
    ];
    for (what, text) in cases {
        let parsed = SequenceNumber::from_str(&text);
        assert!(
            parsed.is_err(),
            "{what} must be refused, not read as {parsed:?}"
        );
    }
}

#[test]
fn the_last_valid_create_time_is_accepted() {
    let fields = Fields {
        created_secs: 16_025_174_999,
        ..Fields::of(number(SHARD_0_FIRST))
    };
    assert_eq!(fields.number().to_string(), fields.decimal());
}

#[test]
fn a_number_of_before_a_restart_is_refused_by_the_new_stream() {
    let (first, clock) = stream(1);
    let old = put_into(&first, 0, "x");
    clock.advance(secs(1));
    let second = brooklet::Stream::builder("orders")
        .clock(clock)
        .build()
        .unwrap();
    let refused = second.shard_iterator(id(0), StartingPosition::AtSequenceNumber(old));
    assert_eq!(refused.unwrap_err().code(), "InvalidArgumentException");
}

proptest! {
    #[test]
    fn every_number_shows_parses_and_compares_as_the_integer_it_is(
        a in any_fields(),
        b in any_fields(),
    ) {
        let (x, y) = (a.number(), b.number());
        prop_assert_eq!(x.to_string(), a.decimal());
        prop_assert_eq!(Fields::of(x), a);
        prop_assert_eq!(x.to_string().parse(), Ok(x));
        // Of equal length, all of them: as text they compare like the numbers.
        prop_assert_eq!(x.cmp(&y), a.decimal().cmp(&b.decimal()));
        prop_assert_eq!(x == y, a == b);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[0-9 +-]{0,140}|.{0,20}") {
        if let Ok(number) = text.parse::<SequenceNumber>() {
            prop_assert_eq!(number.to_string(), text);
        }
    }
}

prop_compose! {
    /// Fields of a valid number of version 2.
    fn any_fields()(
        created_secs in 1u64..16_025_175_000,
        shard_index in 0u64..1 << 31,
        place in 0u64..1 << 63,
        time_secs in 0u64..1 << 36,
    ) -> Fields {
        Fields { created_secs, nibble: shard_index % 16, place, time_secs, shard_index, version: 2 }
    }
}
