"""Channels: their state, as nothing is delivered."""

import re

from service import ACCOUNT, REGION, arn, kinesis, summary
from witness import done, is_now, is_now_in_seconds, refused, same


def channel_asked(name):
    return {
        "ChannelName": name,
        "ServiceExecutionRoleARN": f"arn:aws:iam::{ACCOUNT}:role/delivery",
        "StreamConfigurationList": [
            {"StreamARN": arn("flexible"), "RecordConfiguration": {"RecordFormatType": "JSON"}}
        ],
        "S3DestinationConfiguration": {
            "StorageConfiguration": {
                "BucketARN": "arn:aws:s3:::bucket",
                "ExpectedBucketOwner": ACCOUNT,
                "CompressionType": "GZIP",
            }
        },
    }


def channels_are_kept():
    answer = kinesis.create_channel(**channel_asked("archive"), Tags={"team": "archive"})
    channel = answer["ChannelDescription"]
    channel_arn, channel_id = channel["ChannelARN"], channel["ChannelId"]
    assert channel_arn == f"arn:aws:kinesis:{REGION}:{ACCOUNT}:channel/{channel_id}"
    told = {
        "ChannelName": "archive",
        "ChannelARN": channel_arn,
        "ChannelId": channel_id,
        "ChannelStatus": "ACTIVE",
        "ChannelCreationTimestamp": is_now,
    }
    stream = {"StreamARN": arn("flexible"), "StreamCreationTimestamp": is_now_in_seconds}
    described = told | {
        "ServiceExecutionRoleARN": f"arn:aws:iam::{ACCOUNT}:role/delivery",
        "StreamConfigurationList": [stream | {"RecordConfiguration": {"RecordFormatType": "JSON"}}],
        "S3DestinationConfiguration": {
            "DataFreshnessInSeconds": 300,
            "DeadLetterQueueS3Configuration": {
                "BucketARN": "arn:aws:s3:::bucket",
                "ExpectedBucketOwner": ACCOUNT,
                "ErrorOutputPrefix": str,
            },
            "StorageConfiguration": {
                "BucketARN": "arn:aws:s3:::bucket",
                "ExpectedBucketOwner": ACCOUNT,
                "CompressionType": "GZIP",
                "StorageClass": "STANDARD",
            },
        },
        "LoggingConfiguration": {
            "CloudWatchLogs": {
                "Enabled": False,
                "LogGroupName": f"/aws/kinesis/archive/{channel_id}",
                "LogStreamName": "DestinationDelivery",
            }
        },
    }
    same(channel, described | {"ChannelStatus": "CREATING"})
    kinesis.get_waiter("channel_active").wait(ChannelARN=channel_arn)
    same(kinesis.describe_channel(ChannelARN=channel_arn), {"ChannelDescription": described})
    summaries = [told | {"ChannelDestinationType": "S3", "Streams": [stream]}]
    same(kinesis.list_channels(), {"ChannelSummaries": summaries})

    table = channel_asked("tables")
    del table["S3DestinationConfiguration"]
    table["StreamConfigurationList"][0]["RecordConfiguration"] = {
        "RecordFormatType": "GSR_JSON",
        "GSRSchemaARN": f"arn:aws:glue:{REGION}:{ACCOUNT}:schema/registry/orders",
    }
    table["S3TablesDestinationConfiguration"] = {
        "DataFreshnessInSeconds": 600,
        "DeadLetterQueueS3Configuration": {
            "BucketARN": "arn:aws:s3:::bucket",
            "ExpectedBucketOwner": ACCOUNT,
        },
        "S3TablesConfigurationList": [
            {
                "TableBucketARN": f"arn:aws:s3tables:{REGION}:{ACCOUNT}:bucket/tables",
                "Namespace": "sales",
                "TableName": "orders",
                "CompressionType": "ZSTD",
                "PartitionSpec": {
                    "PartitionFields": [{"Transform": "TIME_HOUR", "SourceName": "created_at"}]
                },
            }
        ],
    }
    encrypted = {"EncryptionType": "KMS", "KeyId": "alias/own"}
    created = kinesis.create_channel(**table, EncryptionConfiguration=encrypted)
    created = created["ChannelDescription"]
    same(created["EncryptionConfiguration"], encrypted)
    same(created["S3TablesDestinationConfiguration"], table["S3TablesDestinationConfiguration"])
    assert "S3DestinationConfiguration" not in created
    pages = kinesis.get_paginator("list_channels").paginate(
        StreamFilter=[{"StreamARN": arn("flexible")}], PaginationConfig={"PageSize": 1}
    )
    pages = [[channel["ChannelName"] for channel in page["ChannelSummaries"]] for page in pages]
    assert pages == [["archive"], ["tables"]]
    same(
        kinesis.list_channels(StreamFilter=[{"StreamARN": arn("orders")}]), {"ChannelSummaries": []}
    )
    assert summary("flexible")["ChannelCount"] == 2
    assert kinesis.describe_limits()["ChannelCount"] == 2

    logs = {"Enabled": True, "LogGroupName": "/own", "LogStreamName": "delivery"}
    described["S3DestinationConfiguration"]["DataFreshnessInSeconds"] = 900
    described["LoggingConfiguration"] = {"CloudWatchLogs": logs}
    same(
        kinesis.update_channel(
            ChannelARN=channel_arn,
            S3DestinationConfiguration={"DataFreshnessInSeconds": 900},
            LoggingConfiguration={"CloudWatchLogs": logs},
        ),
        {"ChannelDescription": described | {"ChannelStatus": "UPDATING"}},
    )
    same(kinesis.describe_channel(ChannelARN=channel_arn), {"ChannelDescription": described})

    tags = kinesis.list_tags_for_resource(ResourceARN=channel_arn)
    same(tags, {"Tags": [{"Key": "team", "Value": "archive"}]})
    refused(
        "InvalidArgumentException",
        re.compile(".*channel.*", re.IGNORECASE),
        kinesis.tag_resource,
        ResourceARN=channel_arn,
        Tags={"a": "b"},
    )
    refused(
        "ResourceInUseException",
        re.compile("Channel archive .*already exists."),
        kinesis.create_channel,
        **channel_asked("archive"),
    )
    both = channel_asked("both") | {
        "S3TablesDestinationConfiguration": table["S3TablesDestinationConfiguration"]
    }
    refused("ValidationException", re.compile(".+"), kinesis.create_channel, **both)
    provisioned = channel_asked("fixed")
    provisioned["StreamConfigurationList"][0]["StreamARN"] = arn("orders")
    refused("ValidationException", re.compile(".+"), kinesis.create_channel, **provisioned)
    refused(
        "InvalidArgumentException", "NextToken is invalid.", kinesis.list_channels, NextToken="AAAA"
    )
    refused(
        "ValidationException",
        re.compile(".*901.*"),
        kinesis.update_channel,
        ChannelARN=channel_arn,
        S3DestinationConfiguration={"DataFreshnessInSeconds": 901},
    )
    refused(
        "ResourceInUseException",
        re.compile(".*flexible.*channels.*"),
        kinesis.delete_stream,
        StreamName="flexible",
    )
    none = {"ChannelARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:channel/none"}
    for operation, members in [
        (kinesis.describe_channel, {}),
        (kinesis.delete_channel, {}),
        (kinesis.update_channel, {"LoggingConfiguration": {"CloudWatchLogs": logs}}),
    ]:
        refused("ResourceNotFoundException", re.compile(".*none.*"), operation, **none, **members)
    for ends in [channel_arn, created["ChannelARN"]]:
        done(kinesis.delete_channel(ChannelARN=ends))
    same(kinesis.list_channels(), {"ChannelSummaries": []})
