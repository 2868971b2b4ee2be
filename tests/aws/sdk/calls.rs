//! Every operation that the SDK has, called once at least.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::client::Waiters;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    ChannelStatus, ChannelStreamConfiguration, ConsumerStatus, EncryptionType, MetricsName,
    MinimumThroughputBillingCommitmentInput, MinimumThroughputBillingCommitmentInputStatus,
    PutRecordsRequestEntry, RecordConfiguration, RecordDistributionStrategy, RecordFormatType,
    S3CompressionType, S3DestinationConfiguration, S3DestinationUpdateInput,
    S3StorageConfiguration, ScalingType, ShardFilter, ShardFilterType, ShardIteratorType,
    StreamMode, StreamModeDetails, StreamStatus,
};
use futures_executor::block_on;

use crate::world::{World, arn, position};

/// The operations of the SDK.
const OPERATIONS: [&str; 45] = [
    "AddTagsToStream",
    "CreateChannel",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteChannel",
    "DeleteResourcePolicy",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeAccountSettings",
    "DescribeChannel",
    "DescribeLimits",
    "DescribeStream",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "DisableEnhancedMonitoring",
    "EnableEnhancedMonitoring",
    "GetRecords",
    "GetResourcePolicy",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListChannels",
    "ListShards",
    "ListStreamConsumers",
    "ListStreams",
    "ListTagsForResource",
    "ListTagsForStream",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "PutResourcePolicy",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "SubscribeToShard",
    "TagResource",
    "UntagResource",
    "UpdateAccountSettings",
    "UpdateChannel",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "UpdateStreamWarmThroughput",
];

#[test]
fn every_operation_of_the_sdk_is_answered() {
    let world = World::new();
    block_on(async {
        streams(&world).await;
        records(&world).await;
        shards(&world).await;
        settings(&world).await;
        encryption_and_monitoring(&world).await;
        consumers(&world).await;
        tags(&world).await;
        policies(&world).await;
        account(&world).await;
        channels(&world).await;
        let delete = world.client.delete_stream().stream_name("orders");
        delete.send().await.expect("deleted");
    });
    let called = world.calls.operations();
    let all: BTreeSet<_> = OPERATIONS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(called, all);
}

async fn streams(world: &World) {
    let client = &world.client;
    world.create("orders", 2).await;
    let described = client.describe_stream().stream_name("orders").send().await;
    let described = described
        .expect("described")
        .stream_description
        .expect("it is");
    assert_eq!(described.stream_status, StreamStatus::Active);
    assert_eq!(described.stream_arn, arn("orders"));
    assert_eq!(described.shards.len(), 2);
    assert_eq!(
        described.stream_creation_timestamp,
        DateTime::from_secs(1_577_836_800)
    );
    let summary = client
        .describe_stream_summary()
        .stream_arn(arn("orders"))
        .send()
        .await;
    let summary = summary
        .expect("described")
        .stream_description_summary
        .expect("it is");
    assert_eq!(
        (summary.open_shard_count, summary.retention_period_hours),
        (2, 24)
    );
    let listed = client.list_streams().send().await.expect("listed");
    assert_eq!(listed.stream_names(), ["orders"]);
    assert!(!listed.has_more_streams());
    let limits = client.describe_limits().send().await.expect("described");
    assert_eq!(limits.open_shard_count(), 2);
}

async fn records(world: &World) {
    let client = &world.client;
    let put = client
        .put_record()
        .stream_name("orders")
        .explicit_hash_key("0");
    let put = put.partition_key("customer-17").data(Blob::new("one"));
    let put = put.send().await.expect("put");
    assert_eq!(put.shard_id(), "shardId-000000000000");
    let entry = |data: &str| {
        let entry = PutRecordsRequestEntry::builder().explicit_hash_key("1");
        let entry = entry.partition_key("customer-18").data(Blob::new(data));
        entry.build().expect("it is whole")
    };
    let batch = client.put_records().stream_arn(arn("orders"));
    let batch = batch
        .records(entry("two"))
        .records(entry("three"))
        .send()
        .await;
    let batch = batch.expect("put");
    assert_eq!(
        (batch.failed_record_count(), batch.records().len()),
        (Some(0), 2)
    );
    let get = client.get_shard_iterator().stream_name("orders");
    let get = get.shard_id("shardId-000000000000");
    let get = get.shard_iterator_type(ShardIteratorType::AtSequenceNumber);
    let iterator = get
        .starting_sequence_number(put.sequence_number())
        .send()
        .await;
    let iterator = iterator.expect("an iterator").shard_iterator;
    let got = client
        .get_records()
        .set_shard_iterator(iterator)
        .send()
        .await;
    let got = got.expect("read");
    let data: Vec<_> = got
        .records()
        .iter()
        .map(|record| record.data().as_ref())
        .collect();
    assert_eq!(data, [&b"one"[..], b"two", b"three"]);
    assert_eq!(got.records()[0].partition_key(), Some("customer-17"));
    assert!(got.next_shard_iterator().is_some());
    assert_eq!(got.millis_behind_latest(), Some(0));
}

async fn shards(world: &World) {
    let client = &world.client;
    let split = client.split_shard().stream_name("orders");
    let split = split
        .shard_to_split("shardId-000000000000")
        .new_starting_hash_key("1000");
    split.send().await.expect("split");
    let merge = client.merge_shards().stream_name("orders");
    let merge = merge.shard_to_merge("shardId-000000000002");
    let merge = merge.adjacent_shard_to_merge("shardId-000000000003");
    merge.send().await.expect("merged");
    let update = client
        .update_shard_count()
        .stream_name("orders")
        .target_shard_count(4);
    let updated = update
        .scaling_type(ScalingType::UniformScaling)
        .send()
        .await;
    let updated = updated.expect("updated");
    assert_eq!(
        (updated.current_shard_count(), updated.target_shard_count()),
        (Some(2), Some(4))
    );
    let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest);
    let list = client.list_shards().stream_name("orders");
    let listed = list
        .shard_filter(filter.build().expect("it is whole"))
        .send()
        .await;
    assert_eq!(listed.expect("listed").shards().len(), 4);
}

async fn settings(world: &World) {
    let client = &world.client;
    let longer = client
        .increase_stream_retention_period()
        .stream_name("orders");
    longer
        .retention_period_hours(48)
        .send()
        .await
        .expect("longer");
    let shorter = client
        .decrease_stream_retention_period()
        .stream_name("orders");
    shorter
        .retention_period_hours(24)
        .send()
        .await
        .expect("shorter");
    let size = client.update_max_record_size().stream_arn(arn("orders"));
    size.max_record_size_in_kib(2048)
        .send()
        .await
        .expect("larger");
    world.create_on_demand("metered").await;
    let strategy = client
        .update_stream_record_distribution_strategy()
        .stream_arn(arn("metered"));
    let strategy = strategy.record_distribution_strategy(RecordDistributionStrategy::Auto);
    strategy.send().await.expect("distributed by the service");
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand);
    let update = client.update_stream_mode().stream_arn(arn("orders"));
    let update = update.stream_mode_details(mode.build().expect("it is whole"));
    update.send().await.expect("another mode");
}

async fn encryption_and_monitoring(world: &World) {
    let client = &world.client;
    let start = client.start_stream_encryption().stream_name("orders");
    let start = start
        .encryption_type(EncryptionType::Kms)
        .key_id("alias/orders");
    start.send().await.expect("encrypted");
    let put = client.put_record().stream_name("orders").partition_key("k");
    let put = put.data(Blob::new("secret")).send().await.expect("put");
    assert_eq!(put.encryption_type(), Some(&EncryptionType::Kms));
    let stop = client.stop_stream_encryption().stream_name("orders");
    let stop = stop
        .encryption_type(EncryptionType::Kms)
        .key_id("alias/orders");
    stop.send().await.expect("not encrypted");
    let enable = client.enable_enhanced_monitoring().stream_name("orders");
    let enabled = enable
        .shard_level_metrics(MetricsName::IncomingBytes)
        .send()
        .await;
    let enabled = enabled.expect("enabled");
    assert_eq!(
        enabled.desired_shard_level_metrics(),
        [MetricsName::IncomingBytes]
    );
    let disable = client.disable_enhanced_monitoring().stream_name("orders");
    let disabled = disable.shard_level_metrics(MetricsName::All).send().await;
    assert!(
        disabled
            .expect("disabled")
            .desired_shard_level_metrics()
            .is_empty()
    );
}

async fn consumers(world: &World) {
    let client = &world.client;
    let audit = world.register("orders", "audit").await;
    let described = client
        .describe_stream_consumer()
        .consumer_arn(&audit)
        .send()
        .await;
    let described = described
        .expect("described")
        .consumer_description
        .expect("it is");
    assert_eq!(described.consumer_status, ConsumerStatus::Active);
    let listed = client
        .list_stream_consumers()
        .stream_arn(arn("orders"))
        .send()
        .await;
    assert_eq!(listed.expect("listed").consumers().len(), 1);
    let open = client
        .list_shards()
        .stream_name("orders")
        .send()
        .await
        .expect("listed");
    let shard = open.shards().last().expect("there are some").shard_id();
    let subscribe = client
        .subscribe_to_shard()
        .consumer_arn(&audit)
        .shard_id(shard);
    let subscribe = subscribe.starting_position(position(ShardIteratorType::TrimHorizon));
    let mut events = subscribe.send().await.expect("subscribed").event_stream;
    events.recv().await.expect("received").expect("an event");
    let deregister = client.deregister_stream_consumer().consumer_arn(audit);
    deregister.send().await.expect("deregistered");
}

async fn tags(world: &World) {
    let client = &world.client;
    let add = client
        .add_tags_to_stream()
        .stream_name("orders")
        .tags("team", "sales");
    add.send().await.expect("tagged");
    let tag = client
        .tag_resource()
        .resource_arn(arn("orders"))
        .tags("stage", "test");
    tag.send().await.expect("tagged");
    let listed = client
        .list_tags_for_stream()
        .stream_name("orders")
        .send()
        .await;
    let listed = listed.expect("listed");
    let tags: Vec<_> = listed
        .tags()
        .iter()
        .map(|tag| (tag.key(), tag.value()))
        .collect();
    assert_eq!(tags, [("stage", Some("test")), ("team", Some("sales"))]);
    let untag = client
        .untag_resource()
        .resource_arn(arn("orders"))
        .tag_keys("stage");
    untag.send().await.expect("untagged");
    let remove = client
        .remove_tags_from_stream()
        .stream_name("orders")
        .tag_keys("team");
    remove.send().await.expect("untagged");
    let listed = client
        .list_tags_for_resource()
        .resource_arn(arn("orders"))
        .send()
        .await;
    assert!(listed.expect("listed").tags().is_empty());
}

async fn policies(world: &World) {
    let client = &world.client;
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"111111111111"}},"Action":"kinesis:GetRecords","Resource":"{}"}}]}}"#,
        arn("orders")
    );
    let put = client
        .put_resource_policy()
        .resource_arn(arn("orders"))
        .policy(&text);
    put.send().await.expect("set");
    let got = client
        .get_resource_policy()
        .resource_arn(arn("orders"))
        .send()
        .await;
    assert_eq!(got.expect("got").policy(), text);
    let delete = client.delete_resource_policy().resource_arn(arn("orders"));
    delete.send().await.expect("deleted");
    let got = client
        .get_resource_policy()
        .resource_arn(arn("orders"))
        .send()
        .await;
    assert_eq!(got.expect("got").policy(), "{}");
}

async fn account(world: &World) {
    let client = &world.client;
    let commitment = MinimumThroughputBillingCommitmentInput::builder()
        .status(MinimumThroughputBillingCommitmentInputStatus::Enabled)
        .build()
        .expect("it is whole");
    let update = client.update_account_settings();
    let update = update.minimum_throughput_billing_commitment(commitment);
    update.send().await.expect("committed");
    let settings = client
        .describe_account_settings()
        .send()
        .await
        .expect("described");
    let commitment = settings
        .minimum_throughput_billing_commitment()
        .expect("there is one");
    assert_eq!(commitment.status().as_str(), "ENABLED");
    let warm = client.update_stream_warm_throughput().stream_name("orders");
    let warm = warm.warm_throughput_mibps(100).send().await.expect("warm");
    let throughput = warm.warm_throughput().expect("it says so");
    assert_eq!(throughput.target_mibps(), Some(100));
}

async fn channels(world: &World) {
    let client = &world.client;
    let storage = S3StorageConfiguration::builder()
        .bucket_arn("arn:aws:s3:::bucket")
        .expected_bucket_owner("000000000000")
        .compression_type(S3CompressionType::Gzip)
        .build()
        .expect("it is whole");
    let format = RecordConfiguration::builder().record_format_type(RecordFormatType::Json);
    let source = ChannelStreamConfiguration::builder()
        .stream_arn(arn("orders"))
        .record_configuration(format.build().expect("it is whole"))
        .build()
        .expect("it is whole");
    let destination = S3DestinationConfiguration::builder().storage_configuration(storage);
    let create = client.create_channel().channel_name("archive");
    let create = create.service_execution_role_arn("arn:aws:iam::000000000000:role/delivery");
    let create = create.stream_configuration_list(source);
    let create = create.s3_destination_configuration(destination.build());
    let created = create
        .send()
        .await
        .expect("created")
        .channel_description
        .expect("it is");
    let channel = created.channel_arn;
    let wait = client.wait_until_channel_active().channel_arn(&channel);
    wait.wait(Duration::from_secs(300))
        .await
        .expect("it becomes active");
    let described = client.describe_channel().channel_arn(&channel).send().await;
    let described = described
        .expect("described")
        .channel_description
        .expect("it is");
    assert_eq!(described.channel_status, ChannelStatus::Active);
    let listed = client.list_channels().send().await.expect("listed");
    assert_eq!(listed.channel_summaries().len(), 1);
    let fresh = S3DestinationUpdateInput::builder().data_freshness_in_seconds(600);
    let update = client.update_channel().channel_arn(&channel);
    let update = update.s3_destination_configuration(fresh.build().expect("it is whole"));
    update.send().await.expect("updated");
    client
        .delete_channel()
        .channel_arn(channel)
        .send()
        .await
        .expect("deleted");
}
