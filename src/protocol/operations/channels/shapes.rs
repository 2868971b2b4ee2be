//! The shapes of channels (the contract, 2.11).

use crate::protocol::operations::Operation;
use crate::protocol::shape::{Member, Pattern, Shape, Text};
use crate::protocol::shapes::{
    ANY_INTEGER, CHANNEL_ARN, KEY_ID, LIMIT, NAME, NEXT_TOKEN, STREAM_ARN, TAGS,
};

static ROLE_ARN: Pattern =
    Pattern::new(r"arn:aws[-a-z0-9]*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]+");
static SCHEMA_ARN: Pattern = Pattern::new(
    r"arn:aws[-a-z0-9]*:glue:[-a-z0-9]+:\d{12}:schema/[-a-zA-Z0-9_$#.]+/[-a-zA-Z0-9_$#.]+",
);
static BUCKET_ARN: Pattern = Pattern::new(r"arn:aws[-a-z0-9]*:s3:::[a-z0-9._-]{3,63}");
static TABLE_BUCKET_ARN: Pattern =
    Pattern::new(r"arn:aws[-a-z0-9]*:s3tables:[-a-z0-9]+:\d{12}:bucket/[a-z0-9_-]{3,63}");
static BUCKET_OWNER: Pattern = Pattern::new(r"\d{12}");
static ERROR_OUTPUT_PREFIX: Pattern = Pattern::new(r"[0-9A-Za-z!\-_'.*()\/]+");
static OUTPUT_KEY_TEMPLATE: Pattern = Pattern::new(r"[0-9A-Za-z!\-_'.*()\/=:{}]+");
static TABLE_NAME: Pattern = Pattern::new(r"[0-9a-z_]+");
static SOURCE_NAME: Pattern = Pattern::new(r"[a-zA-Z0-9\.\_]+");
static LOG_GROUP_NAME: Pattern = Pattern::new(r"[\.\-_/#A-Za-z0-9]+");
static LOG_STREAM_NAME: Pattern = Pattern::new(r"[^:*]*");

const fn text(max: usize, pattern: &'static Pattern) -> Shape {
    Shape::Text(Text::of(1, max).matching(pattern))
}

const fn one_of(words: &'static [&'static str]) -> Shape {
    Shape::Text(Text::one_of(words))
}

/// A list as long as the service's model lets any be.
const fn list(of: &'static Shape) -> Shape {
    Shape::List {
        of,
        min: 1,
        max: 10_000,
    }
}

const STREAM_CONFIGURATION: Shape = Shape::Structure {
    name: "ChannelStreamConfiguration",
    members: &[
        Member::required("StreamARN", STREAM_ARN),
        Member::required("RecordConfiguration", RECORD_CONFIGURATION),
    ],
};

const RECORD_CONFIGURATION: Shape = Shape::Structure {
    name: "RecordConfiguration",
    members: &[
        Member::required(
            "RecordFormatType",
            one_of(&["GSR_JSON", "JSON", "STRING", "BYTE_ARRAY"]),
        ),
        Member::optional("GSRSchemaARN", text(512, &SCHEMA_ARN)),
    ],
};

const BUCKET: Member = Member::required("BucketARN", text(2048, &BUCKET_ARN));
const OWNER: Member = Member::required(
    "ExpectedBucketOwner",
    Shape::Text(Text::of(12, 12).matching(&BUCKET_OWNER)),
);

const DEAD_LETTERS: Shape = Shape::Structure {
    name: "DeadLetterQueueS3Configuration",
    members: &[
        BUCKET,
        OWNER,
        Member::optional("ErrorOutputPrefix", text(512, &ERROR_OUTPUT_PREFIX)),
    ],
};

const STORAGE: Shape = Shape::Structure {
    name: "S3StorageConfiguration",
    members: &[
        BUCKET,
        OWNER,
        Member::optional("OutputKeyTemplate", text(1024, &OUTPUT_KEY_TEMPLATE)),
        Member::optional(
            "StorageClass",
            one_of(&["STANDARD", "INTELLIGENT_TIERING", "GLACIER_IR"]),
        ),
        Member::required("CompressionType", one_of(&["NONE", "GZIP", "ZSTD"])),
    ],
};

const S3_DESTINATION: Shape = Shape::Structure {
    name: "S3DestinationConfiguration",
    members: &[
        Member::optional("DataFreshnessInSeconds", ANY_INTEGER),
        Member::optional("DeadLetterQueueS3Configuration", DEAD_LETTERS),
        Member::required("StorageConfiguration", STORAGE),
    ],
};

const PARTITION_FIELD: Shape = Shape::Structure {
    name: "PartitionField",
    members: &[
        Member::required("Transform", one_of(&["TIME_HOUR"])),
        Member::required("SourceName", text(255, &SOURCE_NAME)),
    ],
};

const PARTITION_SPEC: Shape = Shape::Structure {
    name: "PartitionSpec",
    members: &[Member::required(
        "PartitionFields",
        Shape::List {
            of: &PARTITION_FIELD,
            min: 1,
            max: 10,
        },
    )],
};

const TABLE: Shape = Shape::Structure {
    name: "S3TablesConfiguration",
    members: &[
        Member::required("TableBucketARN", text(2048, &TABLE_BUCKET_ARN)),
        Member::required("Namespace", text(255, &TABLE_NAME)),
        Member::required("TableName", text(255, &TABLE_NAME)),
        Member::required("CompressionType", one_of(&["NONE", "ZSTD", "SNAPPY"])),
        Member::optional("PartitionSpec", PARTITION_SPEC),
    ],
};

const TABLES_DESTINATION: Shape = Shape::Structure {
    name: "S3TablesDestinationConfiguration",
    members: &[
        Member::optional("DataFreshnessInSeconds", ANY_INTEGER),
        Member::required("DeadLetterQueueS3Configuration", DEAD_LETTERS),
        Member::required("S3TablesConfigurationList", list(&TABLE)),
    ],
};

const ENCRYPTION: Shape = Shape::Structure {
    name: "ChannelEncryptionConfiguration",
    members: &[
        Member::required("EncryptionType", one_of(&["KMS"])),
        Member::required("KeyId", KEY_ID),
    ],
};

const LOGGING: Shape = Shape::Structure {
    name: "ChannelLoggingConfiguration",
    members: &[Member::required("CloudWatchLogs", LOGS)],
};

const LOGS: Shape = Shape::Structure {
    name: "CloudWatchLogs",
    members: &[
        Member::required("Enabled", Shape::Boolean),
        Member::optional("LogGroupName", text(512, &LOG_GROUP_NAME)),
        Member::optional("LogStreamName", text(512, &LOG_STREAM_NAME)),
    ],
};

/// What can be changed of either destination.
const DESTINATION_UPDATE: Shape = Shape::Structure {
    name: "S3DestinationUpdateInput",
    members: &[Member::required("DataFreshnessInSeconds", ANY_INTEGER)],
};

const STREAM_FILTER: Shape = Shape::Structure {
    name: "StreamFilter",
    members: &[
        Member::required("StreamARN", STREAM_ARN),
        Member::optional("StreamCreationTimestamp", Shape::Timestamp),
    ],
};

const CHANNEL: Member = Member::required("ChannelARN", CHANNEL_ARN);

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateChannel",
        members: &[
            Member::required("ChannelName", NAME),
            Member::required("ServiceExecutionRoleARN", text(512, &ROLE_ARN)),
            Member::required("StreamConfigurationList", list(&STREAM_CONFIGURATION)),
            Member::optional("S3DestinationConfiguration", S3_DESTINATION),
            Member::optional("S3TablesDestinationConfiguration", TABLES_DESTINATION),
            Member::optional("EncryptionConfiguration", ENCRYPTION),
            Member::optional("Tags", TAGS),
            Member::optional("LoggingConfiguration", LOGGING),
        ],
        run: super::create_channel,
    },
    Operation {
        name: "DescribeChannel",
        members: &[CHANNEL],
        run: super::describe_channel,
    },
    Operation {
        name: "ListChannels",
        members: &[
            Member::optional("StreamFilter", list(&STREAM_FILTER)),
            Member::optional("MaxResults", LIMIT),
            Member::optional("NextToken", NEXT_TOKEN),
        ],
        run: super::list_channels,
    },
    Operation {
        name: "UpdateChannel",
        members: &[
            CHANNEL,
            Member::optional("S3DestinationConfiguration", DESTINATION_UPDATE),
            Member::optional("S3TablesDestinationConfiguration", DESTINATION_UPDATE),
            Member::optional("LoggingConfiguration", LOGGING),
        ],
        run: super::update_channel,
    },
    Operation {
        name: "DeleteChannel",
        members: &[CHANNEL],
        run: super::delete_channel,
    },
];
