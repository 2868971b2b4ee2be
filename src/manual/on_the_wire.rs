//! Code that was written for Kinesis, run on brooklet: in ten minutes, in any language.
//!
//! There are two doors. In Rust, the AWS SDK talks to a [`Registry`](crate::Registry) in the same
//! process, through no socket (feature `aws`). Every other language talks to an endpoint on the
//! loopback (feature `server`). Behind both is the feature `protocol`: one function from a request to
//! its answer. What one door writes, the others read, and so does the Rust face of this crate.
//!
//! # Rust, in the same process
//!
//! ```toml
//! [dev-dependencies]
//! brooklet = { version = "0.1", features = ["aws"] }
//! ```
//!
//! A test gives the service a client that asks no network. The rest of the service's code stays as it
//! is: it is given a client, as it is in production.
//!
//! ```rs
//! let registry = brooklet::Registry::new();
//! let client = aws_sdk_kinesis::Client::new(&brooklet::aws::config(&registry));
//! ```
//!
//! Where the service makes its own configuration, it takes the HTTP client only:
//! `config.http_client(brooklet::aws::http_client(&registry))`. Neither needs a runtime. With a
//! [`ManualClock`](crate::ManualClock), retries and waiters of the SDK go by that clock.
//!
//! # Everybody else, on the loopback
//!
//! ```sh
//! cargo install brooklet --features server
//! brooklet serve --port 4567 --create orders:2
//! ```
//!
//! It prints its address when it is ready, keeps everything in memory, and ends with `Ctrl-C`. Any
//! credentials do, unless `--access-key` and `--secret-key` say which are right.
//!
//! Python:
//!
//! ```python
//! client = boto3.client(
//!     "kinesis",
//!     endpoint_url="http://127.0.0.1:4567",
//!     region_name="us-east-1",
//!     aws_access_key_id="any",
//!     aws_secret_access_key="any",
//! )
//! ```
//!
//! JavaScript (the SDK speaks HTTP/2 to Kinesis, also without TLS):
//!
//! ```js
//! const client = new KinesisClient({
//!   endpoint: "http://127.0.0.1:4567",
//!   region: "us-east-1",
//!   credentials: { accessKeyId: "any", secretAccessKey: "any" },
//! });
//! ```
//!
//! Java (CBOR and HTTP/2, both as it does by itself):
//!
//! ```java
//! KinesisAsyncClient client = KinesisAsyncClient.builder()
//!     .endpointOverride(URI.create("http://127.0.0.1:4567"))
//!     .region(Region.US_EAST_1)
//!     .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")))
//!     .build();
//! ```
//!
//! All of them, without a line of code: `AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567` in the
//! environment of the program.
//!
//! # Tests that are worth having
//!
//! - A stream of a [`Registry`](crate::Registry) on a [`ManualClock`](crate::ManualClock) expires
//!   records, iterators and tokens when the test turns the clock.
//! - [`RegistryBuilder::state_delay`](crate::RegistryBuilder::state_delay) (`--state-delay-ms`) lets a
//!   stream be CREATING for a while: does the code wait until it is ACTIVE? And UPDATING: does it look
//!   for the children of a split before they are there?
//! - [`Limits::kinesis`](crate::Limits::kinesis) (`--limits kinesis`) has puts and reads throttled: does
//!   the code look at `FailedRecordCount`?
//! - A split in the middle: does the code read the parents to their ends before the children?
//!
//! # Every operation
//!
//! *Full*: as the service does it. *State*: what is set is kept, checked and shown, and has no further
//! effect, as there is nothing here that it could act on. *Not yet*: `UnknownOperationException`.
//!
//! | operation | |
//! | --- | --- |
//! | `CreateStream`, `DeleteStream`, `DescribeStream`, `DescribeStreamSummary`, `ListStreams` | full |
//! | `ListShards`, `SplitShard`, `MergeShards`, `UpdateShardCount` | full |
//! | `PutRecord`, `PutRecords`, `GetShardIterator`, `GetRecords` | full |
//! | `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer`, `ListStreamConsumers`, `SubscribeToShard` | full |
//! | `IncreaseStreamRetentionPeriod`, `DecreaseStreamRetentionPeriod`, `UpdateMaxRecordSize` | full |
//! | `UpdateStreamRecordDistributionStrategy` | full: `AUTO` has the open shards take turns |
//! | `AddTagsToStream`, `RemoveTagsFromStream`, `ListTagsForStream`, `TagResource`, `UntagResource`, `ListTagsForResource` | full |
//! | `DescribeLimits`, `DescribeAccountSettings`, `UpdateAccountSettings` | full |
//! | `UpdateStreamMode`, `UpdateStreamWarmThroughput` | state: a stream on demand does not scale by itself |
//! | `EnableEnhancedMonitoring`, `DisableEnhancedMonitoring` | state: no metrics are sent anywhere |
//! | `StartStreamEncryption`, `StopStreamEncryption` | state: records say that they are encrypted; nothing is |
//! | `PutResourcePolicy`, `GetResourcePolicy`, `DeleteResourcePolicy` | state: nobody is refused |
//! | `CreateChannel`, `DescribeChannel`, `ListChannels`, `UpdateChannel`, `DeleteChannel` | state: nothing is delivered |
//! | the 12 operations on queues | not yet |
