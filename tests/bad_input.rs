//! Bad input: each kind has its own clear error with the code that Kinesis gives it, changes nothing
//! and panics nowhere.

use std::fmt::Debug;
use std::time::Duration;

use brooklet::{
    Error, HashKey, HashKeyRange, Limits, OnFull, ParseHashKeyError, PartitionKey, PutEntry,
    Registry, SequenceNumber, ShardFilter, ShardId, StartingPosition, Stream, StreamBuilder,
    SubscriptionPositions, TickingClock, Timestamp,
};
use bytes::Bytes;
use common::{
    START_MS, build, clock, id, iterator, millis, now_ms, number, pull, put_into, put_many,
    read_all, read_shard, refused, secs, stream, texts,
};

use StartingPosition::{AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon};

mod common;

const MIB: usize = 1024 * 1024;
const VALIDATION: &str = "ValidationException";
const ARGUMENT: &str = "InvalidArgumentException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const IN_USE: &str = "ResourceInUseException";
const LIMIT: &str = "LimitExceededException";
const THROUGHPUT: &str = "ProvisionedThroughputExceededException";

/// Checks the code and the text of an error that no retry mends.
#[track_caller]
fn assert_refused<T: Debug>(result: Result<T, Error>, code: &str, text: &str) {
    let error = refused(result);
    assert_eq!((error.code(), &*error.to_string()), (code, text));
    assert!(!error.is_retryable());
}

#[test]
fn each_error_has_the_code_of_kinesis_and_says_whether_a_retry_may_help() {
    let stream = || "orders".to_owned();
    let shard_id = id(3);
    let sequence_number = number("0");
    let key = HashKey::MIN;
    let table = [
        (Error::InvalidStreamName { chars: 0 }, VALIDATION, false),
        (
            Error::InvalidSetting {
                setting: "retention",
                value: "0 ns".to_owned(),
                bound: "1 ms to 365 days".to_owned(),
            },
            VALIDATION,
            false,
        ),
        (Error::InvalidPartitionKey { chars: 257 }, VALIDATION, false),
        (
            Error::RecordTooLarge {
                data_bytes: 2,
                limit_bytes: 1,
            },
            VALIDATION,
            false,
        ),
        (
            Error::TooManyEntries {
                entries: 501,
                limit: 500,
            },
            VALIDATION,
            false,
        ),
        (Error::InvalidLimit { limit: 0 }, VALIDATION, false),
        (Error::InvalidShardCount { target: 0 }, VALIDATION, false),
        (
            Error::EntriesTooLarge {
                bytes: 2,
                limit_bytes: 1,
            },
            ARGUMENT,
            false,
        ),
        (Error::OrderingInFuture { sequence_number }, ARGUMENT, false),
        (Error::ShardClosed { shard_id }, ARGUMENT, false),
        (
            Error::InvalidSplit {
                shard_id,
                key,
                start: key,
                end: HashKey::MAX,
            },
            ARGUMENT,
            false,
        ),
        (
            Error::ShardsNotAdjacent {
                lower: id(1),
                upper: id(0),
            },
            ARGUMENT,
            false,
        ),
        (
            Error::SequenceNumberOfOtherShard {
                sequence_number,
                encoded: id(0),
                shard_id,
            },
            ARGUMENT,
            false,
        ),
        (
            Error::SequenceNumberOfOtherStream {
                sequence_number,
                stream: stream(),
            },
            ARGUMENT,
            false,
        ),
        (
            Error::SequenceNumberInFuture {
                sequence_number,
                shard_id,
            },
            ARGUMENT,
            false,
        ),
        (
            Error::TimestampInFuture {
                timestamp: Timestamp::from_millis(u64::MAX),
                now: Timestamp::from_millis(0),
            },
            ARGUMENT,
            false,
        ),
        (Error::SequenceNumberForSubscription, ARGUMENT, false),
        (
            refused("x".parse::<HashKey>().map_err(Error::from)),
            ARGUMENT,
            false,
        ),
        (
            refused("x".parse::<SequenceNumber>().map_err(Error::from)),
            ARGUMENT,
            false,
        ),
        (
            refused("x".parse::<Timestamp>().map_err(Error::from)),
            ARGUMENT,
            false,
        ),
        (
            refused("x".parse::<StartingPosition>().map_err(Error::from)),
            ARGUMENT,
            false,
        ),
        (
            refused("x".parse::<SubscriptionPositions>().map_err(Error::from)),
            ARGUMENT,
            false,
        ),
        (
            refused(TickingClock::with_period(Duration::ZERO).map_err(Error::from)),
            VALIDATION,
            false,
        ),
        (Error::StreamNotFound { stream: stream() }, NOT_FOUND, false),
        (
            Error::ShardNotFound {
                stream: stream(),
                shard_id,
            },
            NOT_FOUND,
            false,
        ),
        (Error::StreamClosed { stream: stream() }, NOT_FOUND, false),
        (
            refused("x".parse::<ShardId>().map_err(Error::from)),
            NOT_FOUND,
            false,
        ),
        (Error::StreamExists { stream: stream() }, IN_USE, false),
        (
            Error::StreamNotActive {
                stream: stream(),
                status: "CREATING",
            },
            IN_USE,
            true,
        ),
        (
            Error::ShardCountStep {
                current: 1,
                target: 3,
            },
            LIMIT,
            false,
        ),
        (Error::ShardCountChanges { limit: 10 }, LIMIT, true),
        (Error::ShardIdsExhausted { stream: stream() }, LIMIT, false),
        (
            Error::WriteThrottled {
                stream: stream(),
                shard_id,
            },
            THROUGHPUT,
            true,
        ),
        (
            Error::ReadThrottled {
                stream: stream(),
                shard_id,
            },
            THROUGHPUT,
            true,
        ),
        (
            Error::ShardFull {
                stream: stream(),
                shard_id,
            },
            THROUGHPUT,
            true,
        ),
        (
            Error::PutTimedOut {
                stream: stream(),
                shard_id,
                waited: secs(1),
            },
            THROUGHPUT,
            true,
        ),
        (
            Error::IteratorExpired {
                stream: stream(),
                shard_id,
            },
            "ExpiredIteratorException",
            false,
        ),
        (
            Error::InternalFailure { stream: stream() },
            "InternalFailure",
            true,
        ),
    ];
    for (error, code, retryable) in &table {
        assert_eq!(
            (error.code(), error.is_retryable()),
            (*code, *retryable),
            "{error:?}"
        );
        let text = error.to_string();
        let first = text.chars().next().expect("it says something");
        assert!(!first.is_uppercase(), "begins with a capital: {text}");
        assert!(
            !text.ends_with(['.', ' ', '\n', '!']),
            "ends like a sentence: {text}"
        );
        assert!(
            !text.contains('\n') && !text.contains("  "),
            "is no single line: {text}"
        );
        let as_error: &dyn std::error::Error = error;
        assert_eq!(as_error.to_string(), text);
    }
    // No variant was forgotten: each has one text, which the enum's source declares.
    let source = include_str!("../src/error.rs");
    assert_eq!(source.matches("#[error(").count(), table.len());
}

#[test]
fn an_error_can_be_kept_compared_and_sent() {
    fn can<T: Clone + PartialEq + Send + Sync + std::error::Error + 'static>(_: &T) {}
    can(&Error::InvalidLimit { limit: 0 });
    assert_ne!(
        Error::InvalidLimit { limit: 0 },
        Error::InvalidLimit { limit: 10_001 }
    );
}

mod names {
    use super::*;

    #[test]
    fn of_1_to_128_letters_digits_and_marks_are_accepted() {
        for name in [
            "a",
            "Z",
            "0",
            "_",
            ".",
            "-",
            "..",
            "a.b-c_D9",
            &"x".repeat(128),
        ] {
            assert_eq!(Stream::new(name, 1).unwrap().name(), name);
        }
    }

    #[test]
    fn of_other_characters_or_lengths_are_refused() {
        let long = "x".repeat(129);
        let huge = "x".repeat(1_000_000);
        for name in [
            "", " ", "a b", "a/b", "a:b", "ü", "a\0", "a\n", "日本", &long, &huge,
        ] {
            let chars = name.chars().count();
            assert_refused(
                Stream::new(name, 1),
                VALIDATION,
                &format!(
                    "stream name of {chars} characters is not 1 to 128 of a-z, A-Z, 0-9, _, . and -"
                ),
            );
            let registry = Registry::new();
            assert_eq!(
                refused(registry.create(Stream::builder(name))),
                Error::InvalidStreamName { chars }
            );
            assert!(registry.list().is_empty());
        }
    }
}

mod partition_keys {
    use super::*;

    /// Every way in which a key comes in.
    fn every_way(stream: &Stream, key: &str) -> Vec<Result<(), Error>> {
        let producer = stream.producer();
        let good = ("good", "x");
        vec![
            producer.put_record(key, "x").map(drop),
            producer.put_record(key.to_owned(), "x").map(drop),
            producer
                .put_record_with_hash_key(key, HashKey::MIN, "x")
                .map(drop),
            producer.put_entry((key, "x")).map(drop),
            producer
                .put_entry(PutEntry::new(key.to_owned(), "x"))
                .map(drop),
            producer.put_records([good, (key, "x"), good]).map(drop),
            stream.shard_for(key).map(drop),
            PartitionKey::new(key).map(drop),
        ]
    }

    #[test]
    fn of_256_characters_are_accepted_whatever_their_bytes() {
        let (stream, _clock) = stream(2);
        for character in ["x", "ü", "日", "🦀"] {
            for result in every_way(&stream, &character.repeat(256)) {
                result.unwrap();
            }
        }
    }

    #[test]
    fn of_none_or_more_characters_are_refused_whatever_their_bytes() {
        let (stream, _clock) = stream(2);
        put_into(&stream, 1, "kept");
        for key in [
            String::new(),
            "x".repeat(257),
            "ü".repeat(257),
            "🦀".repeat(257),
            "x".repeat(2_000_000),
        ] {
            let chars = key.chars().count();
            for result in every_way(&stream, &key) {
                let text = format!("partition key has {chars} characters, not 1 to 256");
                assert_refused(result, VALIDATION, &text);
            }
        }
        assert_eq!(texts(&read_all(&stream)), ["kept"]);
    }
}

mod hash_keys {
    use super::*;

    #[test]
    fn of_0_to_the_largest_are_read() {
        assert_eq!("0".parse(), Ok(HashKey::MIN));
        assert_eq!(
            "340282366920938463463374607431768211455".parse(),
            Ok(HashKey::MAX)
        );
    }

    #[test]
    fn that_are_no_numbers_or_out_of_range_are_refused() {
        let above = "340282366920938463463374607431768211456";
        let nines = "9".repeat(39);
        for text in [above, &nines] {
            let error = text.parse::<HashKey>().unwrap_err();
            let text = "hash key is not in the range 0 to 2^128 - 1";
            assert_refused(Err::<(), _>(error.into()), ARGUMENT, text);
        }
        let long = "1".repeat(40);
        let longer = "1".repeat(100_000);
        for text in [
            "", "-1", "+1", "01", "0x1", " 1", "1 ", "1.0", "1e3", "¹", &long, &longer,
        ] {
            let parsed: Result<HashKey, ParseHashKeyError> = text.parse();
            let text = "hash key is not a decimal number of 1 to 39 digits without leading zeros";
            assert_refused(parsed.map_err(Error::from), ARGUMENT, text);
        }
    }

    #[test]
    fn make_no_range_backwards() {
        assert_eq!(HashKeyRange::new(HashKey::MAX, HashKey::MIN), None);
        assert_eq!(HashKeyRange::new(HashKey::new(6), HashKey::new(5)), None);
        assert!(HashKeyRange::new(HashKey::new(5), HashKey::new(5)).is_some());
    }
}

mod records {
    use super::*;

    fn every_way(stream: &Stream, data: &Bytes) -> Vec<Result<(), Error>> {
        let producer = stream.producer();
        let key = PartitionKey::new("key").unwrap();
        let good = || ("key", Bytes::from_static(b"x"));
        vec![
            producer.put_record("key", data.clone()).map(drop),
            producer.put_record(&key, data.to_vec()).map(drop),
            producer
                .put_record_with_hash_key("key", HashKey::MAX, data.clone())
                .map(drop),
            producer.put_entry(("key", data.clone())).map(drop),
            producer
                .put_records([good(), ("key", data.clone()), good()])
                .map(drop),
        ]
    }

    #[test]
    fn at_the_bound_are_accepted_and_one_byte_above_refused() {
        for bound in [1, 512, 513, 1_000, MIB, 10 * MIB] {
            let builder = Stream::builder("orders").record_bytes_max(bound);
            let (stream, _clock) = build(builder);
            for result in every_way(&stream, &Bytes::from(vec![1; bound + 1])) {
                let above = bound + 1;
                let text = format!("record data is {above} bytes, more than the {bound} allowed");
                assert_refused(result, VALIDATION, &text);
            }
            assert!(
                read_all(&stream).is_empty(),
                "not even the good ones of the batch"
            );
            for result in every_way(&stream, &Bytes::from(vec![1; bound])) {
                result.unwrap();
            }
            let large = read_all(&stream)
                .iter()
                .filter(|r| r.data().len() == bound)
                .count();
            assert!(large >= 5);
        }
    }

    #[test]
    fn are_a_mebibyte_at_most_unless_the_stream_says_otherwise() {
        let (stream, _clock) = stream(1);
        let data_bytes = MIB + 1;
        assert_eq!(
            refused(stream.producer().put_record("key", vec![0; data_bytes])),
            Error::RecordTooLarge {
                data_bytes,
                limit_bytes: MIB
            }
        );
        stream.producer().put_record("key", vec![0; MIB]).unwrap();
    }

    // The story: the bound that the error named did not count what a record takes besides its data, so
    // that a put of exactly so many bytes was refused again.
    #[test]
    fn that_the_capacity_cannot_hold_are_refused_with_a_bound_that_holds() {
        for capacity in [1_024, 1_056, 1_500, 2_048, 5_000, 70_000] {
            for key in ["k", "customer-17", &"x".repeat(200)] {
                let builder = Stream::builder("orders").capacity_bytes(capacity);
                let (stream, _clock) = build(builder);
                let producer = stream.producer();
                let too_large = Bytes::from(vec![7; 80_000]);
                let error = refused(producer.put_record(key, too_large));
                let Error::RecordTooLarge {
                    data_bytes: 80_000,
                    limit_bytes,
                } = error
                else {
                    panic!("{error}");
                };
                assert!(limit_bytes > 0);
                producer
                    .put_record(key, vec![7; limit_bytes])
                    .unwrap_or_else(|error| panic!("capacity {capacity}: {error}"));
                refused(producer.put_record(key, vec![7; limit_bytes + 1]));
                assert_eq!(read_shard(&stream, 0).len(), 1);
            }
        }
    }

    #[test]
    fn whose_key_alone_is_beyond_the_capacity_are_refused() {
        let (stream, _clock) = build(Stream::builder("orders").capacity_bytes(1_024));
        let error = refused(stream.producer().put_record("🦀".repeat(256), "x"));
        assert!(matches!(error, Error::RecordTooLarge { data_bytes: 1, .. }));
    }
}

mod shards {
    use super::*;

    #[test]
    fn that_are_unknown_are_not_found() {
        let (stream, _clock) = stream(2);
        for index in [2, 3, 16, (1 << 31) - 1] {
            let unknown = id(index);
            let text = format!("shard {unknown} in stream orders does not exist");
            let middle = HashKey::new(1 << 100);
            assert_refused(stream.shard(unknown), NOT_FOUND, &text);
            assert_refused(stream.shard_iterator(unknown, Latest), NOT_FOUND, &text);
            assert_refused(stream.split_shard(unknown, middle), NOT_FOUND, &text);
            assert_refused(stream.merge_shards(unknown, id(0)), NOT_FOUND, &text);
            assert_refused(stream.merge_shards(id(0), unknown), NOT_FOUND, &text);
        }
        assert_eq!(stream.shards().len(), 2);
        assert_eq!(ShardId::new(1 << 31), None);
        assert_eq!(ShardId::new(u32::MAX), None);
    }

    #[test]
    fn that_are_closed_can_be_read_and_neither_split_nor_merged() {
        let (stream, _clock) = stream(2);
        put_into(&stream, 0, "kept");
        stream.split_shard(id(0), HashKey::new(1 << 100)).unwrap();
        let text = "shard shardId-000000000000 has already been merged or split";
        assert_refused(
            stream.split_shard(id(0), HashKey::new(1 << 100)),
            ARGUMENT,
            text,
        );
        assert_refused(stream.merge_shards(id(0), id(1)), ARGUMENT, text);
        assert_refused(stream.merge_shards(id(3), id(0)), ARGUMENT, text);
        assert_eq!(texts(&read_shard(&stream, 0)), ["kept"]);
        assert_eq!(stream.shards().len(), 4);
    }

    #[test]
    fn that_are_not_adjacent_in_this_order_are_not_merged() {
        let (stream, _clock) = stream(3);
        for (lower, upper) in [(0, 2), (2, 0), (1, 0), (2, 1), (0, 0), (2, 2)] {
            let text = format!(
                "shards {} and {} are not an adjacent pair, the lower first",
                id(lower),
                id(upper)
            );
            assert_refused(stream.merge_shards(id(lower), id(upper)), ARGUMENT, &text);
        }
        assert_eq!(stream.shards().len(), 3);
    }

    #[test]
    fn are_not_split_at_a_key_that_leaves_nothing_on_one_side() {
        let (stream, _clock) = stream(2);
        let upper = stream.shard(id(1)).unwrap().hash_key_range();
        let (start, end) = (upper.start().get(), upper.end().get());
        for key in [0, 1, start - 1, start, start + 1, end] {
            let key = HashKey::new(key);
            let error = refused(stream.split_shard(id(1), key));
            let (start, end) = (upper.start(), upper.end());
            assert_eq!(
                error,
                Error::InvalidSplit {
                    shard_id: id(1),
                    key,
                    start,
                    end
                }
            );
            assert_eq!(error.code(), ARGUMENT);
        }
        assert_eq!(stream.shards().len(), 2);
    }

    #[test]
    fn are_counted_from_1_to_ten_thousand() {
        let (stream, _clock) = stream(2);
        for target in [0, 10_001, u32::MAX] {
            let text = format!("shard count of {target} is not 1 to 10000");
            assert_refused(stream.update_shard_count(target), VALIDATION, &text);
        }
        assert_eq!(stream.shards().len(), 2);
    }

    #[test]
    fn whose_id_is_no_id_are_not_found() {
        for text in [
            "",
            "-",
            "shardId",
            "shardId-2147483648",
            "shardId--1",
            "ü",
            "1 ",
        ] {
            let parsed = text.parse::<ShardId>().map_err(Error::from);
            assert_refused(parsed, NOT_FOUND, &format!("could not find shard {text}"));
        }
    }
}

mod sequence_numbers {
    use super::*;

    /// Refused at and after the number, with the same error.
    #[track_caller]
    fn refused_by(stream: &Stream, index: u32, number: SequenceNumber) -> Error {
        let error = refused(stream.shard_iterator(id(index), AtSequenceNumber(number)));
        let after = refused(stream.shard_iterator(id(index), AfterSequenceNumber(number)));
        assert_eq!(error, after);
        assert_eq!((error.code(), error.is_retryable()), (ARGUMENT, false));
        error
    }

    #[test]
    fn of_another_shard_are_refused() {
        let (stream, _clock) = stream(2);
        let sequence_number = put_into(&stream, 1, "x");
        let (encoded, shard_id) = (id(1), id(0));
        assert_eq!(
            refused_by(&stream, 0, sequence_number),
            Error::SequenceNumberOfOtherShard {
                sequence_number,
                encoded,
                shard_id
            }
        );
    }

    #[test]
    fn of_another_stream_are_refused() {
        let (stream, clock) = stream(1);
        clock.advance(secs(1));
        let other = Stream::builder("orders").clock(clock).build().unwrap();
        let sequence_number = put_into(&other, 0, "x");
        let stream_name = "orders".to_owned();
        assert_eq!(
            refused_by(&stream, 0, sequence_number),
            Error::SequenceNumberOfOtherStream {
                sequence_number,
                stream: stream_name
            }
        );
    }

    #[test]
    fn of_the_future_are_refused() {
        let (stream, _clock) = stream(1);
        let last = put_into(&stream, 0, "x");
        let mut fields = common::Fields::of(last);
        for ahead in [1, 2, 1_000_000, 1 << 40] {
            fields.place = common::Fields::of(last).place + ahead;
            let (sequence_number, shard_id) = (fields.number(), id(0));
            assert_eq!(
                refused_by(&stream, 0, sequence_number),
                Error::SequenceNumberInFuture {
                    sequence_number,
                    shard_id
                }
            );
        }
    }

    #[test]
    fn of_old_versions_are_refused() {
        let (stream, _clock) = stream(1);
        put_into(&stream, 0, "x");
        for text in ["0", "16", "100000000000000000000"] {
            let old = number(text);
            refused_by(&stream, 0, old);
        }
    }

    #[test]
    fn that_are_no_numbers_are_refused() {
        let long = "9".repeat(1_000_000);
        for text in ["", "x", "-1", "01", "1.0", " 1", "LATEST", &long] {
            let parsed = text.parse::<SequenceNumber>().map_err(Error::from);
            assert_refused(parsed, ARGUMENT, "sequence number is invalid");
        }
    }

    #[test]
    fn for_ordering_of_the_future_are_refused_in_a_batch_too() {
        let (stream, clock) = stream(1);
        let last = put_into(&stream, 0, "kept");
        let mut fields = common::Fields::of(last);
        fields.time_secs = now_ms(&clock) / 1000 + 1;
        fields.place += 10;
        let sequence_number = fields.number();
        let entry = || PutEntry::new("key", "x").sequence_number_for_ordering(sequence_number);
        let producer = stream.producer();
        let expected = Error::OrderingInFuture { sequence_number };
        assert_eq!(refused(producer.put_entry(entry())), expected);
        assert_eq!(
            refused(producer.put_records([PutEntry::new("key", "x"), entry()])),
            expected
        );
        assert_eq!(expected.code(), ARGUMENT);
        assert_eq!(texts(&read_shard(&stream, 0)), ["kept"]);
    }

    #[test]
    fn are_no_position_of_a_subscription() {
        let (stream, _clock) = stream(1);
        let number = put_into(&stream, 0, "x");
        for position in [AtSequenceNumber(number), AfterSequenceNumber(number)] {
            let text = "a subscription starts at TRIM_HORIZON, LATEST or a timestamp, not at a \
                        sequence number";
            assert_refused(stream.subscribe(position), ARGUMENT, text);
        }
    }
}

mod positions {
    use super::*;

    #[test]
    fn of_another_form_are_refused() {
        let long = "LATEST".repeat(100_000);
        for text in ["", "latest", "LATEST:0", "AT_SEQUENCE_NUMBER", "0", &long] {
            let parsed = text.parse::<StartingPosition>().map_err(Error::from);
            let text = "starting position is not TRIM_HORIZON, LATEST, AT_SEQUENCE_NUMBER:number, \
                AFTER_SEQUENCE_NUMBER:number or AT_TIMESTAMP:time";
            assert_refused(parsed, ARGUMENT, text);
        }
    }

    #[test]
    fn of_a_number_that_is_none_are_refused() {
        for text in ["AT_SEQUENCE_NUMBER:", "AFTER_SEQUENCE_NUMBER:-1"] {
            let parsed = text.parse::<StartingPosition>().map_err(Error::from);
            assert_refused(parsed, ARGUMENT, "sequence number is invalid");
        }
    }
}

mod limits_of_a_read {
    use super::*;

    #[test]
    fn are_1_to_ten_thousand_records() {
        let (stream, _clock) = stream(1);
        put_many(&stream, 3);
        let mut reader = iterator(&stream, TrimHorizon);
        let mut subscription = stream.subscribe(TrimHorizon).unwrap();
        for limit in [0, 10_001, usize::MAX] {
            let text = format!("limit of {limit} records is not 1 to 10000");
            assert_refused(reader.get_records(limit), VALIDATION, &text);
            assert_refused(
                reader.get_records_timeout(limit, secs(9)),
                VALIDATION,
                &text,
            );
            let deadline = Timestamp::from_millis(u64::MAX);
            assert_refused(
                reader.get_records_deadline(limit, deadline),
                VALIDATION,
                &text,
            );
            assert_refused(subscription.get_records(limit), VALIDATION, &text);
            assert_refused(
                subscription.get_records_timeout(limit, secs(9)),
                VALIDATION,
                &text,
            );
            let batches = futures_executor::block_on_stream(reader.clone().batches(limit));
            let answers: Vec<_> = batches.collect();
            assert_eq!(answers.len(), 1, "an error, and the end");
        }
        assert_eq!(subscription.get_records(10_000).unwrap().len(), 3);
        assert_eq!(pull(&mut reader).len(), 3, "nothing was skipped");
    }
}

mod times {
    use super::*;

    #[test]
    fn that_are_no_times_are_refused_and_each_error_says_why() {
        let not_a_time = "timestamp is not of the form 2013-01-01T10:00:00.000Z";
        let no_such = "timestamp has a day, a time of day or an offset that does not exist";
        let out = "timestamp is before 1970 or after 584556019-04-03T14:25:51.615Z";
        let long = "1".repeat(100_000);
        for (text, why) in [
            ("", not_a_time),
            ("1357034400000", not_a_time),
            ("2013-01-01 10:00:00", not_a_time),
            (&long, not_a_time),
            ("2013-02-29T10:00:00Z", no_such),
            ("1969-12-31T23:59:59.999Z", out),
        ] {
            let parsed = text.parse::<Timestamp>().map_err(Error::from);
            assert_refused(parsed, ARGUMENT, why);
            let position = format!("AT_TIMESTAMP:{text}").parse::<StartingPosition>();
            assert_refused(position.map_err(Error::from), ARGUMENT, why);
        }
    }

    #[test]
    fn of_the_future_are_refused_everywhere() {
        let (stream, clock) = stream(1);
        put_many(&stream, 1);
        let now = Timestamp::from_millis(now_ms(&clock));
        for timestamp in [
            now + millis(1),
            now + secs(1_000_000),
            Timestamp::from_millis(u64::MAX),
        ] {
            let text = format!("timestamp {timestamp} is later than the current time {now}");
            let position = AtTimestamp(timestamp);
            assert_refused(stream.shard_iterator(id(0), position), ARGUMENT, &text);
            assert_refused(stream.subscribe(position), ARGUMENT, &text);
            for filter in [
                ShardFilter::AtTimestamp(timestamp),
                ShardFilter::FromTimestamp(timestamp),
            ] {
                assert_refused(stream.list_shards(filter), ARGUMENT, &text);
            }
        }
        assert_eq!(pull(&mut iterator(&stream, AtTimestamp(now))).len(), 1);
    }

    #[test]
    fn at_either_end_are_times_like_others() {
        for start_ms in [0, u64::MAX] {
            let clock = brooklet::ManualClock::new(Timestamp::from_millis(start_ms));
            let builder = Stream::builder("orders").clock(clock);
            let stream = builder.build().unwrap();
            put_many(&stream, 2);
            for position in [TrimHorizon, AtTimestamp(Timestamp::from_millis(start_ms))] {
                assert_eq!(
                    pull(&mut iterator(&stream, position)).len(),
                    2,
                    "at {start_ms} ms"
                );
            }
            stream.split_shard(id(0), HashKey::new(1 << 127)).unwrap();
            put_into(&stream, 1, "child");
            assert_eq!(texts(&read_shard(&stream, 1)), ["child"]);
            assert_eq!(
                stream
                    .list_shards(ShardFilter::FromTrimHorizon)
                    .unwrap()
                    .len(),
                3
            );
        }
    }

    // The story: a shard compared the whole time of its making with the part of it that a sequence
    // number can hold, and took its own numbers for those of another stream.
    #[test]
    fn beyond_those_of_sequence_numbers_leave_the_numbers_of_a_stream_its_own() {
        for start_ms in [16_025_174_999_000, 16_025_175_000_000, u64::MAX] {
            let clock = brooklet::ManualClock::new(Timestamp::from_millis(start_ms));
            let stream = Stream::builder("orders").clock(clock).build().unwrap();
            let numbers = put_many(&stream, 3);
            let at = AtSequenceNumber(numbers[1]);
            let at = stream
                .shard_iterator(id(0), at)
                .map(|mut at| texts(&pull(&mut at)));
            assert_eq!(at.unwrap(), ["r1", "r2"], "created at {start_ms} ms");
            let mut reader = iterator(&stream, TrimHorizon);
            assert_eq!(reader.get_records(1).unwrap().len(), 1);
            let kept = reader.position();
            assert_eq!(texts(&pull(&mut iterator(&stream, kept))), ["r1", "r2"]);
        }
    }

    #[test]
    fn of_retention_are_a_millisecond_to_a_year() {
        const YEAR: Duration = secs(365 * 24 * 3600);
        let (stream, _clock) = stream(1);
        put_many(&stream, 1);
        for retention in [
            Duration::ZERO,
            Duration::from_nanos(1),
            millis(1) - Duration::from_nanos(1),
            YEAR + Duration::from_nanos(1),
            Duration::MAX,
        ] {
            let text =
                format!("retention of {retention:?} is out of bounds: it must be 1 ms to 365 days");
            assert_refused(stream.set_retention(retention), VALIDATION, &text);
            let built = Stream::builder("orders").retention(retention).build();
            assert_refused(built, VALIDATION, &text);
        }
        assert_eq!(stream.retention(), secs(24 * 3600));
        for retention in [millis(1), YEAR] {
            stream.set_retention(retention).unwrap();
            assert_eq!(stream.retention(), retention);
            Stream::builder("orders")
                .retention(retention)
                .build()
                .unwrap();
        }
        assert_eq!(read_shard(&stream, 0).len(), 1);
    }
}

mod settings {
    use super::*;

    fn builder() -> StreamBuilder {
        Stream::builder("orders")
    }

    #[test]
    fn that_make_no_sense_are_refused_with_the_value_and_the_bound() {
        let max = u64::MAX;
        for (builder, text) in [
            (
                builder().shard_count(0),
                "shard count of 0 is out of bounds: it must be 1 to 10000",
            ),
            (
                builder().shard_count(10_001),
                "shard count of 10001 is out of bounds: it must be 1 to 10000",
            ),
            (
                builder().shard_count(u32::MAX),
                "shard count of 4294967295 is out of bounds: it must be 1 to 10000",
            ),
            (
                builder().capacity_records(0),
                &format!("capacity in records of 0 is out of bounds: it must be 1 to {max}"),
            ),
            (
                builder().capacity_bytes(0),
                &format!("capacity in bytes of 0 is out of bounds: it must be 1024 to {max}"),
            ),
            (
                builder().capacity_bytes(1_023),
                &format!("capacity in bytes of 1023 is out of bounds: it must be 1024 to {max}"),
            ),
            (
                builder().record_bytes_max(0),
                "largest record in bytes of 0 is out of bounds: it must be 1 to 10485760",
            ),
            (
                builder().record_bytes_max(10 * MIB + 1),
                "largest record in bytes of 10485761 is out of bounds: it must be 1 to 10485760",
            ),
            (
                builder().record_bytes_max(usize::MAX),
                &format!(
                    "largest record in bytes of {} is out of bounds: it must be 1 to 10485760",
                    usize::MAX
                ),
            ),
            (
                builder().on_full(OnFull::Wait(Duration::ZERO)),
                "wait when full of 0 ns is out of bounds: it must be over 0; OnFull::Refuse never \
                 waits",
            ),
        ] {
            assert_refused(builder.clone().build(), VALIDATION, text);
            let registry = Registry::new();
            assert_refused(registry.create(builder), VALIDATION, text);
            assert!(registry.list().is_empty());
        }
    }

    #[test]
    fn at_their_bounds_make_a_stream_that_works() {
        let none = Some(0);
        for builder in [
            builder().shard_count(10_000),
            builder().capacity_records(1),
            builder().capacity_records(u64::MAX),
            builder().capacity_bytes(1_024),
            builder().capacity_bytes(u64::MAX),
            builder()
                .capacity_bytes(u64::MAX)
                .capacity_records(u64::MAX)
                .on_full(OnFull::Refuse),
            builder().record_bytes_max(1),
            builder().record_bytes_max(10 * MIB),
            builder().on_full(OnFull::Wait(Duration::MAX)),
            builder().on_full(OnFull::Wait(Duration::from_nanos(1))),
            builder().retention(millis(1)),
            builder().limits(Limits::unlimited().update_shard_count_per_day(Some(0))),
            builder().limits(Limits::unlimited().read_bytes_per_second(none)),
            builder().limits(Limits::kinesis().write_bytes_per_second(Some(u64::MAX))),
        ] {
            let shown = format!("{builder:?}");
            let (stream, _clock) = build(builder);
            let put = stream.producer().put_record("key", "x").expect(&shown);
            let mut reader = stream
                .shard_iterator(put.shard_id(), TrimHorizon)
                .expect(&shown);
            assert_eq!(reader.get_records(10).expect(&shown).len(), 1);
        }
    }

    #[test]
    fn of_a_wait_without_end_are_left_by_time_and_by_retention() {
        let builder = builder()
            .capacity_records(1)
            .on_full(OnFull::Wait(Duration::MAX));
        let (stream, clock) = build(builder.retention(secs(10)));
        put_many(&stream, 1);
        std::thread::scope(|scope| {
            let put = scope.spawn(|| put_into(&stream, 0, "late"));
            common::until(|| clock.sleeper_count() == 1 || put.is_finished());
            assert!(!put.is_finished(), "the shard is full");
            clock.advance(secs(10) + millis(1));
            put.join().unwrap();
        });
        assert_eq!(texts(&read_shard(&stream, 0)), ["late"]);
    }

    #[test]
    fn of_a_registry_that_stays_in_a_state_for_ever_harm_nothing() {
        let registry = Registry::builder()
            .clock(clock())
            .state_delay(Duration::MAX)
            .build();
        let stream = registry.create(builder()).unwrap();
        assert_eq!(stream.created().as_millis(), START_MS);
        assert_eq!(
            refused(stream.producer().put_record("key", "x")),
            Error::StreamNotFound {
                stream: "orders".to_owned()
            }
        );
        registry.delete("orders").unwrap();
        assert_eq!(registry.list(), ["orders"]);
    }
}
