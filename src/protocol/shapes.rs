//! The shapes that several operations have in common (the contract, 1.1).

use crate::protocol::shape::{Member, Pattern, Shape, Text};

static NAME_PATTERN: Pattern = Pattern::new(r"[a-zA-Z0-9_.-]+");
static STREAM_ARN_PATTERN: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+");
static CONSUMER_ARN_PATTERN: Pattern = Pattern::new(
    r"(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+",
);
static RESOURCE_ARN_PATTERN: Pattern =
    Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel|queue)/\S+");
static CHANNEL_ARN_PATTERN: Pattern = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:channel/\S+");
static HASH_KEY_PATTERN: Pattern = Pattern::new(r"0|([1-9]\d{0,38})");
static SEQUENCE_NUMBER_PATTERN: Pattern = Pattern::new(r"0|([1-9]\d{0,128})");

pub(crate) const NAME_TEXT: Text = Text::of(1, 128).matching(&NAME_PATTERN);
/// Of a stream, a consumer or a channel.
pub(crate) const NAME: Shape = Shape::Text(NAME_TEXT);
pub(crate) const SHARD_ID: Shape = NAME;
pub(crate) const STREAM_ARN: Shape = Shape::Text(Text::of(1, 2048).matching(&STREAM_ARN_PATTERN));
pub(crate) const CONSUMER_ARN: Shape =
    Shape::Text(Text::of(1, 2048).matching(&CONSUMER_ARN_PATTERN));
pub(crate) const RESOURCE_ARN: Shape =
    Shape::Text(Text::of(1, 2048).matching(&RESOURCE_ARN_PATTERN));
pub(crate) const CHANNEL_ARN: Shape = Shape::Text(Text::of(1, 2048).matching(&CHANNEL_ARN_PATTERN));
pub(crate) const HASH_KEY: Shape = Shape::Text(Text::of(0, usize::MAX).matching(&HASH_KEY_PATTERN));
pub(crate) const SEQUENCE_NUMBER: Shape =
    Shape::Text(Text::of(0, usize::MAX).matching(&SEQUENCE_NUMBER_PATTERN));
pub(crate) const PARTITION_KEY: Shape = Shape::Text(Text::of(1, 256));
pub(crate) const NEXT_TOKEN: Shape = Shape::Text(Text::of(1, 1_048_576));
pub(crate) const SHARD_ITERATOR: Shape = Shape::Text(Text::of(1, 512));
pub(crate) const KEY_ID: Shape = Shape::Text(Text::of(1, 2048));
pub(crate) const ENCRYPTION_TYPE: Shape = Shape::Text(Text::one_of(&["NONE", "KMS"]));
/// 1 or more.
pub(crate) const POSITIVE: Shape = Shape::Integer {
    min: 1,
    max: i32::MAX as i64,
};
/// 0 or more.
pub(crate) const NATURAL: Shape = Shape::Integer {
    min: 0,
    max: i32::MAX as i64,
};
/// How many items a page has, or records an answer, at most.
pub(crate) const LIMIT: Shape = Shape::Integer {
    min: 1,
    max: 10_000,
};
/// As a number of hours: what is allowed depends on the stream.
pub(crate) const ANY_INTEGER: Shape = Shape::Integer {
    min: i64::MIN,
    max: i64::MAX,
};

const TAG_KEY_TEXT: Text = Text::of(1, 128);
const TAG_VALUE_TEXT: Text = Text::of(0, 256);
pub(crate) const TAG_KEY: Shape = Shape::Text(TAG_KEY_TEXT);
pub(crate) const TAGS: Shape = Shape::Map {
    keys: &TAG_KEY_TEXT,
    values: &TAG_VALUE_TEXT,
    min: 1,
    max: 200,
};
pub(crate) const TAG_KEYS: Shape = Shape::List {
    of: &TAG_KEY,
    min: 1,
    max: 50,
};

pub(crate) const STREAM_MODE_DETAILS: Shape = Shape::Structure {
    name: "StreamModeDetails",
    members: &[Member::required(
        "StreamMode",
        Shape::Text(Text::one_of(&["PROVISIONED", "ON_DEMAND"])),
    )],
};
pub(crate) const DISTRIBUTION_STRATEGY: Shape =
    Shape::Text(Text::one_of(&["AUTO", "USER_PARTITION_KEY"]));
/// In the order in which the service lists them.
pub(crate) const ITERATOR_TYPE: Shape = Shape::Text(Text::one_of(&[
    "AFTER_SEQUENCE_NUMBER",
    "LATEST",
    "AT_TIMESTAMP",
    "AT_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
]));

pub(crate) const STREAM_NAME: Member = Member::unless("StreamARN", "StreamName", NAME);
pub(crate) const STREAM_ARN_OPTIONAL: Member = Member::optional("StreamARN", STREAM_ARN);
pub(crate) const STREAM_ARN_REQUIRED: Member = Member::required("StreamARN", STREAM_ARN);
