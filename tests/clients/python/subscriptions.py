"""Records that are pushed."""

import re
from datetime import datetime

from botocore.exceptions import EventStreamError

from service import (
    ACCOUNT,
    DRY_RUN,
    HALF,
    arn,
    careless,
    child,
    create,
    kinesis,
    put,
    read,
    register,
    shard_id,
)
from witness import done, is_now, is_number, refused, same, violated


class Subscription:
    """The events of a shard, as one consumer is pushed them."""

    def __init__(self, consumer, kind="TRIM_HORIZON", index=0, **members):
        answer = kinesis.subscribe_to_shard(
            ConsumerARN=consumer,
            ShardId=shard_id(index),
            StartingPosition={"Type": kind} | members,
        )
        assert set(answer) == {"EventStream", "ResponseMetadata"}
        self._stream = answer["EventStream"]
        self._events = iter(self._stream)

    def event(self):
        """The next event with anything in it: others come from time to time."""
        for event in self._events:
            assert set(event) == {"SubscribeToShardEvent"}
            event = event["SubscribeToShardEvent"]
            if event["Records"] or "ChildShards" in event:
                return event
            same(
                event,
                {"Records": [], "ContinuationSequenceNumber": is_number, "MillisBehindLatest": 0},
            )
        raise AssertionError("the subscription has ended")

    def data(self):
        return [record["Data"] for record in self.event()["Records"]]

    def is_over(self):
        return next(self._events, None) is None

    def close(self):
        self._stream.close()


def records_are_pushed():
    create("pushed", 2)
    records = [put("pushed", data) for data in [b"one", b"two"]]

    def event(*told):
        return {
            "Records": [
                {
                    "SequenceNumber": answer["SequenceNumber"],
                    "ApproximateArrivalTimestamp": is_now,
                    "Data": data,
                    "PartitionKey": "a",
                }
                for answer, data in told
            ],
            "ContinuationSequenceNumber": is_number,
            "MillisBehindLatest": 0,
        }

    reader = register("reader", "pushed")
    subscription = Subscription(reader)
    # What was there before comes first, then what comes.
    history = subscription.event()
    same(history, event((records[0], b"one"), (records[1], b"two")))
    live = put("pushed", b"live")
    pushed = subscription.event()
    same(pushed, event((live, b"live")))
    assert int(pushed["ContinuationSequenceNumber"]) >= int(live["SequenceNumber"])
    subscribe = kinesis.subscribe_to_shard
    address = {"ConsumerARN": reader, "ShardId": shard_id(0)}
    latest = {"StartingPosition": {"Type": "LATEST"}}
    refused(
        "ResourceInUseException",
        f"Another active subscription exists for this consumer: {ACCOUNT}:pushed:{shard_id(0)}:reader",
        subscribe,
        **address,
        **latest,
    )
    other_shard = Subscription(reader, "LATEST", 1)
    put("pushed", b"other", "1")
    assert other_shard.data() == [b"other"]
    other_shard.close()

    after_history = history["ContinuationSequenceNumber"]
    for name, kind, members, expected in [
        ("resumes", "AFTER_SEQUENCE_NUMBER", {"SequenceNumber": after_history}, [b"live"]),
        (
            "after",
            "AFTER_SEQUENCE_NUMBER",
            {"SequenceNumber": records[0]["SequenceNumber"]},
            [b"two", b"live"],
        ),
        (
            "at",
            "AT_SEQUENCE_NUMBER",
            {"SequenceNumber": records[1]["SequenceNumber"]},
            [b"two", b"live"],
        ),
        (
            "since",
            "AT_TIMESTAMP",
            {"Timestamp": history["Records"][0]["ApproximateArrivalTimestamp"]},
            [b"one", b"two", b"live"],
        ),
    ]:
        another = Subscription(register(name, "pushed"), kind, **members)
        assert another.data() == expected, name
        another.close()
    # One that an event ended with can be given to an iterator, too.
    at = {"StartingSequenceNumber": after_history}
    assert read("pushed", "AFTER_SEQUENCE_NUMBER", **at) == [b"live"]
    newest = Subscription(register("newest", "pushed"), "LATEST")
    put("pushed", b"next")
    assert newest.data() == [b"next"] == subscription.data()
    newest.close()

    refused(
        "ResourceNotFoundException",
        f"Consumer none, account {ACCOUNT} not found.",
        subscribe,
        **address | {"ConsumerARN": f"{arn('pushed')}/consumer/none:1700000000"},
        **latest,
    )
    refused(
        "ResourceNotFoundException",
        re.compile(f".*{shard_id(9)}.*pushed.*"),
        subscribe,
        **address | {"ShardId": shard_id(9)},
        **latest,
    )
    idle = {"ConsumerARN": register("idle", "pushed"), "ShardId": shard_id(0)}
    refused("DryRunOperationException", DRY_RUN, subscribe, **idle, **latest, DryRun=True)
    for position in [
        {"Type": "AT_SEQUENCE_NUMBER"},
        {"Type": "AT_TIMESTAMP"},
        {"Type": "AT_TIMESTAMP", "Timestamp": datetime(2100, 1, 1)},
        {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "7" * 56},
    ]:
        refused(
            "InvalidArgumentException",
            re.compile(".+"),
            subscribe,
            **idle,
            StartingPosition=position,
        )
    refused(
        "ValidationException",
        {
            violated(
                "OLDEST",
                "startingPosition.type",
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, "
                "AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
            )
        },
        careless.subscribe_to_shard,
        **idle,
        StartingPosition={"Type": "OLDEST"},
    )

    # The end of a shard says where to go on, and ends the subscription.
    done(
        kinesis.split_shard(
            StreamName="pushed", ShardToSplit=shard_id(0), NewStartingHashKey=str(HALF // 2)
        )
    )
    children = [child(2, 0, HALF // 2 - 1, 0), child(3, HALF // 2, HALF - 1, 0)]
    end = {"Records": [], "MillisBehindLatest": 0, "ChildShards": children}
    same(subscription.event(), end)
    assert subscription.is_over()
    done(
        kinesis.merge_shards(
            StreamName="pushed", ShardToMerge=shard_id(2), AdjacentShardToMerge=shard_id(3)
        )
    )
    late = Subscription(reader, "TRIM_HORIZON", 2)
    same(late.event(), end | {"ChildShards": [child(4, 0, HALF - 1, 2, 3)]})
    assert late.is_over()

    # Who is deregistered is told, and who reads a stream that is deleted.
    for name, ends in [
        ("reader", lambda: kinesis.deregister_stream_consumer(ConsumerARN=reader)),
        (
            "newest",
            lambda: kinesis.delete_stream(StreamName="pushed", EnforceConsumerDeletion=True),
        ),
    ]:
        consumer = kinesis.describe_stream_consumer(StreamARN=arn("pushed"), ConsumerName=name)
        ended = Subscription(consumer["ConsumerDescription"]["ConsumerARN"], "LATEST", 4)
        done(ends())
        try:
            ended.event()
        except EventStreamError as error:
            assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
        else:
            raise AssertionError(f"{name} is not told")
