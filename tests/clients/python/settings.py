"""What is set of a stream, and of an account."""

import re
from datetime import timedelta

from service import (
    ACCOUNT,
    NOT_NULL,
    REGION,
    arn,
    careless,
    create,
    iterator,
    kinesis,
    not_found,
    put,
    shard_id,
    summary,
)
from witness import done, is_now, is_number, refused, same, violated

METRICS = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
]


def retention_changes():
    stream = {"StreamName": "orders"}
    increase = kinesis.increase_stream_retention_period
    decrease = kinesis.decrease_stream_retention_period

    def hours():
        return summary("orders")["RetentionPeriodHours"]

    done(increase(**stream, RetentionPeriodHours=8760))
    assert hours() == 8760
    done(decrease(StreamARN=arn("orders"), RetentionPeriodHours=48))
    assert hours() == 48
    done(increase(**stream, RetentionPeriodHours=48))
    done(decrease(**stream, RetentionPeriodHours=48))
    for operation, asked, text in [
        (
            increase,
            47,
            "Requested retention period (47 hours) for stream orders can not be shorter than existing "
            "retention period (48 hours). Use DecreaseRetentionPeriod API.",
        ),
        (
            decrease,
            49,
            "Requested retention period (49 hours) for stream orders can not be longer than existing "
            "retention period (48 hours). Use IncreaseRetentionPeriod API.",
        ),
        (
            increase,
            8761,
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) "
            "is too long.",
        ),
        (
            decrease,
            23,
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is "
            "too short.",
        ),
    ]:
        refused("InvalidArgumentException", text, operation, **stream, RetentionPeriodHours=asked)
    for operation in [increase, decrease]:
        refused(
            "ResourceNotFoundException",
            not_found("none"),
            operation,
            StreamName="none",
            RetentionPeriodHours=24,
        )
    assert hours() == 48


def metrics_are_switched():
    stream = {"StreamName": "orders"}
    told = stream | {"StreamARN": arn("orders")}
    enable, disable = kinesis.enable_enhanced_monitoring, kinesis.disable_enhanced_monitoring

    def changed(before, after):
        return told | {"CurrentShardLevelMetrics": before, "DesiredShardLevelMetrics": after}

    some = ["IncomingBytes", "OutgoingRecords"]
    same(enable(**stream, ShardLevelMetrics=some[::-1]), changed([], some))
    same(enable(StreamARN=arn("orders"), ShardLevelMetrics=["ALL"]), changed(some, METRICS))
    same(
        disable(**stream, ShardLevelMetrics=METRICS[:3]),
        changed(METRICS, METRICS[3:]),
    )
    same(summary("orders")["EnhancedMonitoring"], [{"ShardLevelMetrics": METRICS[3:]}])
    same(disable(StreamARN=arn("orders"), ShardLevelMetrics=["ALL"]), changed(METRICS[3:], []))
    for operation, dashing in [
        (enable, careless.enable_enhanced_monitoring),
        (disable, careless.disable_enhanced_monitoring),
    ]:
        refused(
            "ResourceNotFoundException",
            not_found("none"),
            operation,
            StreamName="none",
            ShardLevelMetrics=["ALL"],
        )
        refused(
            "ValidationException",
            re.compile("1 validation error detected: .*'shardLevelMetrics'.*length.*"),
            dashing,
            **stream,
            ShardLevelMetrics=[],
        )


def encryption_is_told_of():
    stream = {"StreamName": "secrets"}
    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    create("secrets")
    put("secrets", b"plain")
    done(kinesis.start_stream_encryption(**stream, **key))
    description = kinesis.describe_stream(**stream)["StreamDescription"]
    assert (description["EncryptionType"], description["KeyId"]) == ("KMS", "alias/aws/kinesis")
    assert (summary("secrets")["EncryptionType"], summary("secrets")["KeyId"]) == (
        "KMS",
        "alias/aws/kinesis",
    )
    told = {"ShardId": shard_id(0), "SequenceNumber": is_number}
    same(put("secrets", b"hidden"), told | {"EncryptionType": "KMS"})
    answer = kinesis.put_records(**stream, Records=[{"Data": b"both", "PartitionKey": "a"}])
    same(answer, {"FailedRecordCount": 0, "EncryptionType": "KMS", "Records": [told]})
    records = kinesis.get_records(ShardIterator=iterator("secrets"))["Records"]
    assert [record.get("EncryptionType") for record in records[1:]] == ["KMS", "KMS"]
    other = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
    done(
        kinesis.start_stream_encryption(StreamARN=arn("secrets"), EncryptionType="KMS", KeyId=other)
    )
    assert summary("secrets")["KeyId"] == other
    done(
        kinesis.stop_stream_encryption(StreamARN=arn("secrets"), EncryptionType="KMS", KeyId=other)
    )
    description = kinesis.describe_stream(**stream)["StreamDescription"]
    assert description["EncryptionType"] == "NONE" and "KeyId" not in description
    for operation in [kinesis.start_stream_encryption, kinesis.stop_stream_encryption]:
        refused("ResourceNotFoundException", not_found("none"), operation, StreamName="none", **key)
        refused(
            "InvalidArgumentException",
            re.compile(".*EncryptionType.*"),
            operation,
            **stream,
            EncryptionType="NONE",
            KeyId="a",
        )
    refused(
        "InvalidArgumentException",
        re.compile(".*not encrypted.*"),
        kinesis.stop_stream_encryption,
        **stream,
        **key,
    )


def modes_and_sizes_change():
    def mode(stream, to, **members):
        return kinesis.update_stream_mode(
            StreamARN=arn(stream), StreamModeDetails={"StreamMode": to}, **members
        )

    create("moved", 3)
    done(mode("moved", "ON_DEMAND"))
    described = summary("moved")
    assert described["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert described["OpenShardCount"] == 3, "the shards stay"
    done(mode("moved", "PROVISIONED"))
    assert summary("moved")["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    refused(
        "LimitExceededException",
        re.compile(".*24 hours.*"),
        kinesis.update_stream_mode,
        StreamARN=arn("moved"),
        StreamModeDetails={"StreamMode": "ON_DEMAND"},
    )
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        kinesis.update_stream_mode,
        StreamARN=arn("none"),
        StreamModeDetails={"StreamMode": "ON_DEMAND"},
    )

    def distribute(stream, strategy):
        return kinesis.update_stream_record_distribution_strategy(
            StreamARN=arn(stream), RecordDistributionStrategy=strategy
        )

    done(distribute("flexible", "AUTO"))
    assert summary("flexible")["RecordDistributionStrategy"] == "AUTO"
    shards = [
        kinesis.put_record(StreamName="flexible", Data=b"keyless")["ShardId"] for _ in range(4)
    ]
    assert sorted(shards) == [shard_id(index) for index in range(4)], "the shards take turns"
    records = kinesis.get_records(ShardIterator=iterator("flexible"))["Records"]
    same(
        records,
        [
            {
                "SequenceNumber": is_number,
                "ApproximateArrivalTimestamp": is_now,
                "Data": b"keyless",
            }
        ],
    )
    number = records[0]["SequenceNumber"]
    refused(
        "InvalidArgumentException",
        re.compile(".*AUTO.*"),
        kinesis.put_record,
        StreamName="flexible",
        Data=b"",
        SequenceNumberForOrdering=number,
    )
    done(distribute("flexible", "USER_PARTITION_KEY"))
    refused(
        "ValidationException",
        {violated(None, "partitionKey", NOT_NULL)},
        kinesis.put_record,
        StreamName="flexible",
        Data=b"",
    )
    refused(
        "InvalidArgumentException",
        re.compile(".*AUTO.*"),
        kinesis.update_stream_record_distribution_strategy,
        StreamARN=arn("orders"),
        RecordDistributionStrategy="AUTO",
    )

    done(kinesis.update_max_record_size(StreamARN=arn("orders"), MaxRecordSizeInKiB=10240))
    assert summary("orders")["MaxRecordSizeInKiB"] == 10240
    done(kinesis.update_max_record_size(StreamARN=arn("orders"), MaxRecordSizeInKiB=1024))
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        kinesis.update_max_record_size,
        StreamARN=arn("none"),
        MaxRecordSizeInKiB=1024,
    )
    for size, bound in [
        (1023, "greater than or equal to 1024"),
        (10241, "less than or equal to 10240"),
    ]:
        refused(
            "ValidationException",
            {violated(str(size), "maxRecordSizeInKiB", f"Member must have value {bound}")},
            careless.update_max_record_size,
            StreamARN=arn("orders"),
            MaxRecordSizeInKiB=size,
        )


def accounts_commit_themselves():
    off = {"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}}
    same(kinesis.describe_account_settings(), off)
    warm = kinesis.update_stream_warm_throughput
    refused(
        "ValidationException",
        re.compile(".*commitment.*"),
        warm,
        StreamName="flexible",
        WarmThroughputMiBps=100,
    )
    started = kinesis.update_account_settings(
        MinimumThroughputBillingCommitment={"Status": "ENABLED"}
    )
    on = {
        "MinimumThroughputBillingCommitment": {
            "Status": "ENABLED",
            "StartedAt": is_now,
            "EarliestAllowedEndAt": lambda time: is_now(time - timedelta(hours=24)),
        }
    }
    same(started, on)
    same(kinesis.describe_account_settings(), on)
    same(
        warm(StreamName="flexible", WarmThroughputMiBps=100),
        {
            "StreamName": "flexible",
            "StreamARN": arn("flexible"),
            "WarmThroughput": {"TargetMiBps": 100, "CurrentMiBps": 100},
        },
    )
    assert summary("flexible")["WarmThroughput"] == {"TargetMiBps": 100, "CurrentMiBps": 100}
    refused(
        "ValidationException",
        re.compile(".*10240.*"),
        warm,
        StreamARN=arn("flexible"),
        WarmThroughputMiBps=10241,
    )
    refused(
        "ValidationException", re.compile(".+"), warm, StreamName="orders", WarmThroughputMiBps=1
    )
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        warm,
        StreamName="none",
        WarmThroughputMiBps=1,
    )
    ending = kinesis.update_account_settings(
        MinimumThroughputBillingCommitment={"Status": "DISABLED"}
    )
    on["MinimumThroughputBillingCommitment"]["Status"] = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    same(ending, on)
    same(kinesis.describe_account_settings(), on)
    refused(
        "ValidationException",
        re.compile(
            "1 validation error detected: Value 'MAYBE' at "
            "'minimumThroughputBillingCommitment.status' .*: "
            r"\[ENABLED, DISABLED\]"
        ),
        careless.update_account_settings,
        MinimumThroughputBillingCommitment={"Status": "MAYBE"},
    )

    streams = [summary(name) for name in kinesis.list_streams()["StreamNames"]]
    are_on_demand = [stream["StreamModeDetails"]["StreamMode"] == "ON_DEMAND" for stream in streams]
    same(
        kinesis.describe_limits(),
        {
            "ShardLimit": 20000,
            "OpenShardCount": sum(stream["OpenShardCount"] for stream in streams),
            "OnDemandStreamCount": sum(are_on_demand),
            "OnDemandStreamCountLimit": 50,
            "ChannelCount": 0,
            "ChannelCountLimit": lambda count: count > 0,
        },
    )
