"""Streams: created, described, listed and deleted."""

import re

from service import (
    ACCOUNT,
    AT_LEAST_1,
    AT_MOST_10000,
    HALF,
    KEY_MAX,
    NAME,
    NOT_EMPTY,
    REGION,
    arn,
    careless,
    create_on_demand,
    kinesis,
    not_found,
    shard,
    shard_id,
    summary,
)
from witness import done, is_now_in_seconds, refused, same, violated


def streams_are_created_described_listed_and_deleted():
    done(
        kinesis.create_stream(
            StreamName="orders", ShardCount=2, Tags={"team": "sales"}, MaxRecordSizeInKiB=2048
        )
    )
    create_on_demand("clicks", RecordDistributionStrategy="AUTO")
    # Nothing but a name makes a stream on demand.
    done(kinesis.create_stream(StreamName="by-default"))
    kinesis.get_waiter("stream_exists").wait(StreamName="orders")

    described = {
        "StreamName": "orders",
        "StreamARN": arn("orders"),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "StreamCreationTimestamp": is_now_in_seconds,
    }
    details = {
        "RetentionPeriodHours": 24,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }
    shards = [shard(0, 0, HALF - 1), shard(1, HALF, KEY_MAX)]
    whole = described | details | {"Shards": shards, "HasMoreShards": False}
    for address in [
        {"StreamName": "orders"},
        {"StreamARN": arn("orders")},
        {"StreamName": "orders", "StreamARN": arn("orders")},
    ]:
        same(kinesis.describe_stream(**address), {"StreamDescription": whole})
    first = whole | {"Shards": shards[:1], "HasMoreShards": True}
    second = whole | {"Shards": shards[1:]}
    same(kinesis.describe_stream(StreamName="orders", Limit=1), {"StreamDescription": first})
    same(
        kinesis.describe_stream(StreamName="orders", ExclusiveStartShardId=shard_id(0)),
        {"StreamDescription": second},
    )
    pages = kinesis.get_paginator("describe_stream").paginate(
        StreamName="orders", PaginationConfig={"PageSize": 1}
    )
    pages = list(pages)
    same(pages, [{"StreamDescription": first}, {"StreamDescription": second}])

    counts = {"ConsumerCount": 0, "ChannelCount": 0, "QueueCount": 0}
    same(
        summary("orders"),
        described | details | counts | {"OpenShardCount": 2, "MaxRecordSizeInKiB": 2048},
    )
    for stream, strategy in [("clicks", "AUTO"), ("by-default", "USER_PARTITION_KEY")]:
        same(
            summary(stream),
            described
            | details
            | counts
            | {
                "StreamName": stream,
                "StreamARN": arn(stream),
                "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
                "OpenShardCount": 4,
                "MaxRecordSizeInKiB": 1024,
                "WarmThroughput": {"TargetMiBps": 0, "CurrentMiBps": 0},
                "RecordDistributionStrategy": strategy,
            },
        )

    def listed(stream, mode):
        told = {"StreamName": stream, "StreamARN": arn(stream)}
        return described | told | {"StreamModeDetails": {"StreamMode": mode}}

    names = ["by-default", "clicks", "orders"]
    summaries = [
        listed(name, mode) for name, mode in zip(names, ["ON_DEMAND"] * 2 + ["PROVISIONED"])
    ]
    same(
        kinesis.list_streams(),
        {"StreamNames": names, "HasMoreStreams": False, "StreamSummaries": summaries},
    )
    same(
        kinesis.list_streams(Limit=1, ExclusiveStartStreamName="by-delay"),
        {
            "StreamNames": names[1:2],
            "HasMoreStreams": True,
            "NextToken": bool,
            "StreamSummaries": summaries[1:2],
        },
    )
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
    assert [page["StreamNames"] for page in pages] == [names[:2], names[2:]]

    refused(
        "ResourceInUseException",
        f"Stream orders under account {ACCOUNT} already exists.",
        kinesis.create_stream,
        StreamName="orders",
        ShardCount=1,
    )
    refused(
        "ValidationException",
        "ShardCount is not expected when StreamMode=ON_DEMAND",
        kinesis.create_stream,
        StreamName="other",
        ShardCount=1,
        StreamModeDetails={"StreamMode": "ON_DEMAND"},
    )
    refused(
        "InvalidArgumentException",
        re.compile(".*AUTO.*"),
        kinesis.create_stream,
        StreamName="other",
        ShardCount=1,
        RecordDistributionStrategy="AUTO",
    )
    refused(
        "LimitExceededException",
        "This request would exceed the shard limit for the account "
        f"{ACCOUNT} in {REGION}. Current shard count for the account: 10. Limit: 20000. Number of "
        "additional shards that would have resulted from this request: 30000. Refer to the AWS "
        "Service Limits page "
        "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits "
        "and how to request higher limits.",
        kinesis.create_stream,
        StreamName="other",
        ShardCount=30000,
    )
    refused(
        "ValidationException",
        {
            violated("0", "shardCount", AT_LEAST_1),
            violated("", "streamName", NAME),
            violated("", "streamName", NOT_EMPTY),
        },
        careless.create_stream,
        StreamName="",
        ShardCount=0,
    )
    refused(
        "SerializationException",
        "class java.lang.String can not be converted to an Integer",
        careless.create_stream,
        StreamName="other",
        ShardCount="one",
    )
    for operation in [
        kinesis.describe_stream,
        kinesis.describe_stream_summary,
        kinesis.delete_stream,
    ]:
        refused("ResourceNotFoundException", not_found("none"), operation, StreamName="none")
        refused("ResourceNotFoundException", not_found("none"), operation, StreamARN=arn("none"))
    elsewhere = arn("orders").replace(ACCOUNT, "999999999999")
    refused(
        "ResourceNotFoundException",
        not_found("orders"),
        kinesis.describe_stream,
        StreamARN=elsewhere,
    )
    refused(
        "InvalidArgumentException",
        re.compile(".*orders.*clicks.*"),
        kinesis.describe_stream,
        StreamName="orders",
        StreamARN=arn("clicks"),
    )
    refused(
        "ValidationException",
        {violated("10001", "limit", AT_MOST_10000)},
        careless.describe_stream,
        StreamName="orders",
        Limit=10001,
    )
    refused(
        "InvalidArgumentException",
        "NextToken is invalid.",
        kinesis.list_streams,
        NextToken="AAAA",
    )

    done(kinesis.delete_stream(StreamARN=arn("by-default")))
    done(kinesis.delete_stream(StreamName="clicks"))
    kinesis.get_waiter("stream_not_exists").wait(StreamName="clicks")
    assert kinesis.list_streams()["StreamNames"] == ["orders"]
