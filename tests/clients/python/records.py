"""Records: put and got."""

import re
from datetime import datetime, timedelta, timezone

from service import (
    ACCOUNT,
    AT_LEAST_1,
    DRY_RUN,
    KEY_MAX,
    NOT_EMPTY,
    NOT_NULL,
    UNADDRESSED,
    arn,
    careless,
    could_not_find,
    create,
    iterator,
    kinesis,
    no_shard,
    not_found,
    put,
    read,
    shard_id,
)
from witness import is_now, is_number, refused, same, violated


def records_are_put():
    number = {"SequenceNumber": is_number}
    first = put("orders", b"one")
    same(first, number | {"ShardId": shard_id(0)})
    same(put("orders", b"two", "1"), number | {"ShardId": shard_id(1)})
    second = put(
        "orders",
        b"three",
        ExplicitHashKey="0",
        SequenceNumberForOrdering=first["SequenceNumber"],
    )
    same(second, number | {"ShardId": shard_id(0)})
    assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])

    entries = [
        {"Data": b"", "PartitionKey": "a"},
        {"Data": bytes(range(256)), "PartitionKey": "1"},
        {"Data": "grüße".encode(), "PartitionKey": "日本", "ExplicitHashKey": str(KEY_MAX)},
    ]
    answer = kinesis.put_records(StreamARN=arn("orders"), Records=entries)
    same(
        answer,
        {
            "FailedRecordCount": 0,
            "Records": [number | {"ShardId": shard_id(index)} for index in [0, 1, 1]],
        },
    )
    assert read("orders") == [b"one", b"three", b""]
    assert read("orders", index=1) == [b"two", bytes(range(256)), "grüße".encode()]

    # 2 MiB are what this stream lets a record have, and no byte more.
    put("orders", b"x" * (2 * 1024 * 1024), "1")
    too_long = 2 * 1024 * 1024 + 1
    heap = f"java.nio.HeapByteBuffer[pos=0 lim={too_long} cap={too_long}]"
    refused(
        "ValidationException",
        {violated(heap, "data", "Member must have length less than or equal to 2097152")},
        kinesis.put_record,
        StreamName="orders",
        Data=b"x" * too_long,
        PartitionKey="a",
    )
    for operation, members in [
        (kinesis.put_record, {"Data": b"", "PartitionKey": "a"}),
        (kinesis.put_records, {"Records": entries}),
    ]:
        refused(
            "DryRunOperationException",
            DRY_RUN,
            operation,
            StreamName="orders",
            DryRun=True,
            **members,
        )
        refused(
            "ResourceNotFoundException", not_found("none"), operation, StreamName="none", **members
        )
    assert read("orders") == [b"one", b"three", b""], "what is tried is not done"

    over, nonsense = str(KEY_MAX + 1), "7" * 56
    out_of_range = (
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value "
        f"was {over}"
    )
    refused(
        "InvalidArgumentException",
        out_of_range,
        kinesis.put_record,
        StreamName="orders",
        Data=b"",
        PartitionKey="a",
        ExplicitHashKey=over,
    )
    refused(
        "InvalidArgumentException",
        out_of_range,
        kinesis.put_records,
        StreamName="orders",
        Records=entries + [{"Data": b"", "PartitionKey": "a", "ExplicitHashKey": over}],
    )
    refused(
        "InvalidArgumentException",
        f"ExclusiveMinimumSequenceNumber {nonsense} used in PutRecord on stream orders under account "
        f"{ACCOUNT} is invalid.",
        kinesis.put_record,
        StreamName="orders",
        Data=b"",
        PartitionKey="a",
        SequenceNumberForOrdering=nonsense,
    )
    refused(
        "ValidationException",
        {violated(None, "partitionKey", NOT_NULL), violated(None, "data", NOT_NULL)},
        careless.put_record,
        StreamName="orders",
    )
    refused(
        "ValidationException",
        {violated("", "records.2.member.partitionKey", NOT_EMPTY)},
        careless.put_records,
        StreamName="orders",
        Records=entries[:1] + [{"Data": b"", "PartitionKey": ""}],
    )
    refused(
        "InvalidArgumentException",
        re.compile("Records size exceeds 10 MB limit"),
        kinesis.put_records,
        StreamName="orders",
        Records=[{"Data": b"x" * 1024 * 1024, "PartitionKey": "a"}] * 10,
    )
    assert read("orders") == [b"one", b"three", b""], "nothing of what was refused is there"


def records_are_got():
    create("readings", 2)
    records = [put("readings", data) for data in [b"one", b"two"]]
    # A time between two records: the clock goes on meanwhile.
    early = kinesis.get_records(ShardIterator=iterator("readings"))["Records"][1]
    while True:
        records.append(put("readings", b"late"))
        late = kinesis.get_records(ShardIterator=iterator("readings"))["Records"][-1]
        if late["ApproximateArrivalTimestamp"] > early["ApproximateArrivalTimestamp"]:
            break
    everything = read("readings")

    def record(index, data):
        return {
            "SequenceNumber": records[index]["SequenceNumber"],
            "ApproximateArrivalTimestamp": is_now,
            "Data": data,
            "PartitionKey": "a",
        }

    answer = kinesis.get_records(
        ShardIterator=iterator("readings"), Limit=1, StreamARN=arn("readings")
    )
    same(
        answer,
        {
            "Records": [record(0, b"one")],
            "NextShardIterator": lambda text: text,
            "MillisBehindLatest": lambda millis: 0 <= millis < 120_000,
        },
    )
    token = answer["NextShardIterator"]
    rest = kinesis.get_records(ShardIterator=token)
    same(
        rest,
        {
            "Records": [record(1, b"two")]
            + [record(index, b"late") for index in range(2, len(records))],
            "NextShardIterator": lambda text: text != token,
            "MillisBehindLatest": 0,
        },
    )
    again = kinesis.get_records(ShardIterator=token)
    same(again["Records"], rest["Records"], "an iterator can be used again")
    quoted = kinesis.get_records(ShardIterator=f'"{token}"')
    same(quoted["Records"], rest["Records"])

    number = records[1]["SequenceNumber"]
    at = {"StartingSequenceNumber": number}
    assert read("readings", "AT_SEQUENCE_NUMBER", **at) == everything[1:]
    assert read("readings", "AFTER_SEQUENCE_NUMBER", **at) == everything[2:]
    begin = kinesis.describe_stream(StreamName="readings")["StreamDescription"]["Shards"][0]
    begin = begin["SequenceNumberRange"]["StartingSequenceNumber"]
    assert read("readings", "AT_SEQUENCE_NUMBER", StartingSequenceNumber=begin) == everything
    between = early["ApproximateArrivalTimestamp"] + timedelta(milliseconds=1)
    behind = [
        data
        for data, record in zip(
            everything, kinesis.get_records(ShardIterator=iterator("readings"))["Records"]
        )
        if record["ApproximateArrivalTimestamp"] >= between
    ]
    assert behind and read("readings", "AT_TIMESTAMP", Timestamp=between) == behind
    exact = late["ApproximateArrivalTimestamp"]
    assert b"late" in read("readings", "AT_TIMESTAMP", Timestamp=exact)
    assert read("readings", "AT_TIMESTAMP", Timestamp=datetime(2000, 1, 1)) == everything
    latest = iterator("readings", "LATEST")
    put("readings", b"latest")
    newest = kinesis.get_records(ShardIterator=latest)
    assert [record["Data"] for record in newest["Records"]] == [b"latest"]
    # A shard may be said by its number alone.
    answer = kinesis.get_shard_iterator(
        StreamARN=arn("readings"), ShardId="shard-0", ShardIteratorType="TRIM_HORIZON"
    )
    whole = kinesis.get_records(ShardIterator=answer["ShardIterator"])
    assert [record["Data"] for record in whole["Records"]] == everything + [b"latest"]

    get = kinesis.get_shard_iterator
    address = {"StreamName": "readings", "ShardId": shard_id(0)}
    either = (
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
        "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request "
        "specified "
    )
    for kind, members, text in [
        ("AT_SEQUENCE_NUMBER", {}, f"{either}AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        ("LATEST", at, f"{either}LATEST and also a StartingSequenceNumber."),
        (
            "AT_TIMESTAMP",
            {},
            "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current "
            "request has no timestamp parameter.",
        ),
        (
            "AT_TIMESTAMP",
            {"Timestamp": datetime(2100, 1, 1, tzinfo=timezone.utc)},
            re.compile(
                r"The timestampInMillis parameter cannot be greater than the "
                r"currentTimestampInMillis. timestampInMillis: 4102444800000, "
                r"currentTimestampInMillis: \d{13}"
            ),
        ),
        (
            "AT_SEQUENCE_NUMBER",
            {"StartingSequenceNumber": "7" * 56},
            f"StartingSequenceNumber {'7' * 56} used in GetShardIterator on shard {shard_id(0)} in "
            f"stream readings under account {ACCOUNT} is invalid.",
        ),
    ]:
        refused("InvalidArgumentException", text, get, **address, ShardIteratorType=kind, **members)
    refused(
        "InvalidArgumentException",
        f"Invalid StartingSequenceNumber. It encodes {shard_id(0)}, while it was used in a call to a "
        f"shard with {shard_id(1)}",
        get,
        **address | {"ShardId": shard_id(1)},
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        **at,
    )
    horizon = {"ShardIteratorType": "TRIM_HORIZON"}
    for stream, index in [("readings", 9), ("none", 0)]:
        refused(
            "ResourceNotFoundException",
            no_shard(shard_id(index), stream),
            get,
            StreamName=stream,
            ShardId=shard_id(index),
            **horizon,
        )
    refused(
        "ResourceNotFoundException",
        could_not_find("shardId-x", "readings"),
        get,
        StreamName="readings",
        ShardId="shardId-x",
        **horizon,
    )
    refused(
        "ValidationException",
        {
            violated(
                "OLDEST",
                "shardIteratorType",
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, "
                "AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
            )
        },
        careless.get_shard_iterator,
        **address,
        ShardIteratorType="OLDEST",
    )
    refused("InvalidArgumentException", UNADDRESSED, get, ShardId=shard_id(0), **horizon)
    refused("DryRunOperationException", DRY_RUN, get, **address, **horizon, DryRun=True)

    get = kinesis.get_records
    refused("DryRunOperationException", DRY_RUN, get, ShardIterator=token, DryRun=True)
    for damaged in ["AAAA", token[:-4], token[:8] + ("A" if token[8] != "A" else "B") + token[9:]]:
        refused("InvalidArgumentException", "Invalid ShardIterator.", get, ShardIterator=damaged)
    refused(
        "InvalidArgumentException",
        re.compile(".+"),
        get,
        ShardIterator=token,
        StreamARN=arn("orders"),
    )
    refused(
        "ValidationException",
        {violated("", "shardIterator", NOT_EMPTY), violated("0", "limit", AT_LEAST_1)},
        careless.get_records,
        ShardIterator="",
        Limit=0,
    )
    kinesis.delete_stream(StreamName="readings")
    refused(
        "ResourceNotFoundException",
        re.compile(".*readings.*(not found.|does not exist)"),
        get,
        ShardIterator=token,
    )
    create("readings")
    refused(
        "ResourceNotFoundException", no_shard(shard_id(0), "readings"), get, ShardIterator=token
    )
    # Of a stream that was created in 2023.
    foreign = "49646437577108476416916876405825929425585429676275269634"
    refused(
        "InvalidArgumentException",
        f"StartingSequenceNumber {foreign} used in GetShardIterator on shard {shard_id(0)} in stream "
        f"readings under account {ACCOUNT} is invalid because it did not come from this stream.",
        kinesis.get_shard_iterator,
        **address,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=foreign,
    )
    kinesis.delete_stream(StreamName="readings")
