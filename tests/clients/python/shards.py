"""Shards: split, merged, counted and listed, and what leads from one to the next."""

import re
from datetime import datetime

from service import (
    ACCOUNT,
    AT_LEAST_1,
    HALF,
    KEY_MAX,
    arn,
    careless,
    child,
    could_not_find,
    create,
    create_on_demand,
    iterator,
    kinesis,
    not_found,
    on_demand,
    put,
    shard,
    shard_id,
    summary,
)
from witness import done, refused, same, violated


def closed_shards_lead_to_their_children():
    stream = {"StreamName": "lineage"}
    create("lineage")
    put("lineage", b"parent")
    third = KEY_MAX // 3
    done(kinesis.split_shard(**stream, ShardToSplit=shard_id(0), NewStartingHashKey=str(third)))
    done(
        kinesis.split_shard(
            StreamARN=arn("lineage"), ShardToSplit=shard_id(2), NewStartingHashKey=str(HALF)
        )
    )
    put("lineage", b"child", ExplicitHashKey="0")
    done(kinesis.merge_shards(**stream, ShardToMerge=shard_id(1), AdjacentShardToMerge=shard_id(3)))
    put("lineage", b"grandchild", ExplicitHashKey="0")
    shards = [
        shard(0, 0, KEY_MAX, closed=True),
        shard(1, 0, third - 1, 0, closed=True),
        shard(2, third, KEY_MAX, 0, closed=True),
        shard(3, third, HALF - 1, 2, closed=True),
        shard(4, HALF, KEY_MAX, 2),
        shard(5, 0, HALF - 1, 1, 3),
    ]
    same(kinesis.list_shards(**stream), {"Shards": shards})

    first = kinesis.get_records(ShardIterator=iterator("lineage"))
    assert first["Records"][0]["Data"] == b"parent"
    if "NextShardIterator" in first:
        first = kinesis.get_records(ShardIterator=first["NextShardIterator"])
    same(
        {key: first[key] for key in first if key != "Records"},
        {
            "MillisBehindLatest": 0,
            "ChildShards": [child(1, 0, third - 1, 0), child(2, third, KEY_MAX, 0)],
        },
    )
    # Through the whole lineage, each parent before its children.
    seen, left, got = set(), [shard_id(0)], []
    while left:
        this = left.pop(0)
        if this in seen:
            continue
        seen.add(this)
        token = iterator("lineage", index=int(this[-12:]))
        while token:
            answer = kinesis.get_records(ShardIterator=token, Limit=1)
            got += [record["Data"] for record in answer["Records"]]
            token = answer.get("NextShardIterator")
            assert ("ChildShards" in answer) == (token is None)
            left += [child["ShardId"] for child in answer.get("ChildShards", [])]
            if not answer["Records"]:
                break
    assert got == [b"parent", b"child", b"grandchild"]
    assert seen == {shard_id(index) for index in range(6)}
    # The end of a closed shard can be begun at, too.
    ended = kinesis.get_records(ShardIterator=iterator("lineage", "LATEST", 3))
    same(
        ended,
        {"Records": [], "MillisBehindLatest": 0, "ChildShards": [child(5, 0, HALF - 1, 1, 3)]},
    )

    refused(
        "InvalidArgumentException",
        f"Shard {shard_id(0)} in stream lineage under account {ACCOUNT} has already been merged or "
        "split, and thus is not eligible for merging or splitting.",
        kinesis.split_shard,
        **stream,
        ShardToSplit=shard_id(0),
        NewStartingHashKey="2",
    )
    for key in ["1", str(HALF - 1)]:
        refused(
            "InvalidArgumentException",
            f"NewStartingHashKey {key} used in SplitShard() on shard {shard_id(5)} in stream lineage "
            f"under account {ACCOUNT} is not both greater than one plus the shard's StartingHashKey 0 "
            f"and less than the shard's EndingHashKey {HALF - 1}.",
            kinesis.split_shard,
            **stream,
            ShardToSplit=shard_id(5),
            NewStartingHashKey=key,
        )
    for lower, upper in [(4, 5), (4, 4)]:
        refused(
            "InvalidArgumentException",
            f"Shards {shard_id(lower)} and {shard_id(upper)} in stream lineage under account {ACCOUNT} "
            "are not an adjacent pair of shards eligible for merging",
            kinesis.merge_shards,
            **stream,
            ShardToMerge=shard_id(lower),
            AdjacentShardToMerge=shard_id(upper),
        )
    refused(
        "ResourceNotFoundException",
        could_not_find(shard_id(9), "lineage"),
        kinesis.split_shard,
        **stream,
        ShardToSplit="9",
        NewStartingHashKey="2",
    )
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        kinesis.merge_shards,
        StreamName="none",
        ShardToMerge=shard_id(0),
        AdjacentShardToMerge=shard_id(1),
    )
    refused(
        "ValidationException",
        {
            violated(
                "01",
                "newStartingHashKey",
                "Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})",
            )
        },
        careless.split_shard,
        **stream,
        ShardToSplit=shard_id(5),
        NewStartingHashKey="01",
    )


def shards_are_listed():
    """Of the stream that was resharded before."""
    stream = {"StreamName": "lineage"}

    def ids(**members):
        answer = kinesis.list_shards(**stream, **members)
        return [int(shard["ShardId"][-12:]) for shard in answer["Shards"]]

    created = summary("lineage")["StreamCreationTimestamp"]
    for members, expected in [
        ({"StreamCreationTimestamp": created}, [0, 1, 2, 3, 4, 5]),
        ({"ExclusiveStartShardId": shard_id(3)}, [4, 5]),
        ({"ShardFilter": {"Type": "AT_LATEST"}}, [4, 5]),
        ({"ShardFilter": {"Type": "AT_TRIM_HORIZON"}}, [0]),
        ({"ShardFilter": {"Type": "FROM_TRIM_HORIZON"}}, [0, 1, 2, 3, 4, 5]),
        ({"ShardFilter": {"Type": "AFTER_SHARD_ID", "ShardId": shard_id(1)}}, [2, 3, 4, 5]),
        ({"ShardFilter": {"Type": "AT_TIMESTAMP", "Timestamp": datetime(2000, 1, 1)}}, [0]),
        (
            {"ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": datetime(2000, 1, 1)}},
            [0, 1, 2, 3, 4, 5],
        ),
    ]:
        assert ids(**members) == expected, f"{members}: {ids(**members)}"
    # A shard that is closed in this very moment is of it.
    for kind in ["AT_TIMESTAMP", "FROM_TIMESTAMP"]:
        put("lineage", b"now", ExplicitHashKey="0")
        records = kinesis.get_records(ShardIterator=iterator("lineage", index=5))["Records"]
        now = records[-1]["ApproximateArrivalTimestamp"]
        assert ids(ShardFilter={"Type": kind, "Timestamp": now})[-2:] == [4, 5]

    # The paginator of boto3 says the stream again with each token, which the service refuses, and so
    # does the endpoint: pages are turned by hand.
    pages = []
    asked = stream | {"ShardFilter": {"Type": "AFTER_SHARD_ID", "ShardId": "0"}}
    while asked:
        page = kinesis.list_shards(**asked, MaxResults=2)
        pages.append([int(shard["ShardId"][-12:]) for shard in page["Shards"]])
        asked = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert pages == [[1, 2], [3, 4], [5]], pages

    token = kinesis.list_shards(**stream, MaxResults=1)["NextToken"]
    list_shards = kinesis.list_shards
    refused(
        "InvalidArgumentException",
        "Either NextToken or StreamName should be provided.",
        list_shards,
    )
    refused(
        "InvalidArgumentException",
        "NextToken and StreamName cannot be provided together.",
        list_shards,
        **stream,
        NextToken=token,
    )
    refused("InvalidArgumentException", "NextToken is invalid.", list_shards, NextToken=token[:-4])
    refused("ResourceNotFoundException", not_found("none"), list_shards, StreamName="none")
    refused(
        "ResourceNotFoundException",
        not_found("lineage"),
        list_shards,
        **stream,
        StreamCreationTimestamp=datetime(2000, 1, 1),
    )
    for shard_filter in [
        {"Type": "AT_TIMESTAMP"},
        {"Type": "AFTER_SHARD_ID"},
        {"Type": "AT_LATEST", "ShardId": shard_id(0)},
        {"Type": "AT_TIMESTAMP", "Timestamp": datetime(2100, 1, 1)},
    ]:
        refused(
            "InvalidArgumentException",
            re.compile(".+"),
            list_shards,
            **stream,
            ShardFilter=shard_filter,
        )
    refused(
        "ValidationException",
        {
            violated(
                "NEW",
                "shardFilter.type",
                "Member must satisfy enum value set: [AFTER_SHARD_ID, AT_TRIM_HORIZON, "
                "FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP]",
            )
        },
        careless.list_shards,
        **stream,
        ShardFilter={"Type": "NEW"},
    )


def shard_counts_change():
    create("scaled", 2)

    def scale(count, **address):
        address = address or {"StreamName": "scaled"}
        return kinesis.update_shard_count(
            **address, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
        )

    def ranges():
        open_shards = kinesis.list_shards(StreamName="scaled", ShardFilter={"Type": "AT_LATEST"})
        open_shards = [shard["HashKeyRange"] for shard in open_shards["Shards"]]
        open_shards.sort(key=lambda keys: int(keys["StartingHashKey"]))
        return [(int(keys["StartingHashKey"]), int(keys["EndingHashKey"])) for keys in open_shards]

    told = {"StreamName": "scaled", "StreamARN": arn("scaled")}
    same(scale(3), told | {"CurrentShardCount": 2, "TargetShardCount": 3})
    third = 2**128 // 3
    assert ranges() == [(0, third - 1), (third, 2 * third - 1), (2 * third, KEY_MAX)], ranges()
    same(
        scale(2, StreamARN=arn("scaled")),
        told | {"CurrentShardCount": 3, "TargetShardCount": 2},
    )
    assert ranges() == [(0, HALF - 1), (HALF, KEY_MAX)], ranges()
    same(scale(2), told | {"CurrentShardCount": 2, "TargetShardCount": 2})

    scale(4)
    for target, way in [(9, "up over double"), (1, "down below half")]:
        refused(
            "LimitExceededException",
            f"UpdateShardCount cannot scale {way} your current open shard count. Current open shard "
            f"count: 4 Target shard count: {target}",
            kinesis.update_shard_count,
            StreamName="scaled",
            TargetShardCount=target,
            ScalingType="UNIFORM_SCALING",
        )
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        kinesis.update_shard_count,
        StreamName="none",
        TargetShardCount=1,
        ScalingType="UNIFORM_SCALING",
    )
    refused(
        "ValidationException",
        {
            violated("0", "targetShardCount", AT_LEAST_1),
            violated(
                "ALL_AT_ONCE",
                "scalingType",
                "Member must satisfy enum value set: [UNIFORM_SCALING]",
            ),
        },
        careless.update_shard_count,
        StreamName="scaled",
        TargetShardCount=0,
        ScalingType="ALL_AT_ONCE",
    )

    create_on_demand("flexible")
    for operation, members in [
        (kinesis.update_shard_count, {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
        (kinesis.split_shard, {"ShardToSplit": shard_id(0), "NewStartingHashKey": "9"}),
        (
            kinesis.merge_shards,
            {"ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1)},
        ),
    ]:
        refused(
            "ValidationException",
            on_demand("flexible"),
            operation,
            StreamName="flexible",
            **members,
        )
