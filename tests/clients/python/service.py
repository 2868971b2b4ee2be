"""The service as the other files speak of it: its clients, its names, its texts, and calls that they
all make."""

import os

from witness import Witness, done, is_number, same

REGION = os.environ.get("AWS_REGION", "us-east-1")
ACCOUNT = os.environ.get("BROOKLET_ACCOUNT", "000000000000")
KEY_MAX = 2**128 - 1
# The first key of the second of two shards.
HALF = 2**127

NAME = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
NOT_NULL = "Member must not be null"
NOT_EMPTY = "Member must have length greater than or equal to 1"
AT_LEAST_1 = "Member must have value greater than or equal to 1"
AT_MOST_10000 = "Member must have value less than or equal to 10000"
DRY_RUN = "Request would have succeeded, but DryRun flag is set."
UNADDRESSED = "Either StreamName or StreamARN must be provided."

witness = Witness()
kinesis = witness.connect()
# Sends what the model forbids, so that the service is the one to refuse it.
careless = witness.connect(parameter_validation=False)


def arn(stream):
    return f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}"


def not_found(stream):
    return f"Stream {stream} under account {ACCOUNT} not found."


def no_shard(shard, stream):
    return f"Shard {shard} in stream {stream} under account {ACCOUNT} does not exist"


def could_not_find(shard, stream):
    return f"Could not find shard {shard} in stream {stream} under account {ACCOUNT}."


def on_demand(stream):
    return f"Request is invalid. Stream {stream} under account {ACCOUNT} is in On-Demand mode."


def shard_id(index):
    return f"shardId-{index:012}"


def shard(index, first, last, *parents, closed=False):
    """A shard as lists have it."""
    numbers = {"StartingSequenceNumber": is_number}
    if closed:
        numbers["EndingSequenceNumber"] = is_number
    described = {
        "ShardId": shard_id(index),
        "HashKeyRange": {"StartingHashKey": str(first), "EndingHashKey": str(last)},
        "SequenceNumberRange": numbers,
    }
    for member, parent in zip(["ParentShardId", "AdjacentParentShardId"], parents):
        described[member] = shard_id(parent)
    return described


def child(index, first, last, *parents):
    """A shard as the end of its parents has it."""
    return {
        "ShardId": shard_id(index),
        "ParentShards": [shard_id(parent) for parent in parents],
        "HashKeyRange": {"StartingHashKey": str(first), "EndingHashKey": str(last)},
    }


def create(stream, shards=1, **members):
    done(kinesis.create_stream(StreamName=stream, ShardCount=shards, **members))


def create_on_demand(stream, **members):
    mode = {"StreamMode": "ON_DEMAND"}
    done(kinesis.create_stream(StreamName=stream, StreamModeDetails=mode, **members))


def summary(stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def put(stream, data, key="a", **members):
    return kinesis.put_record(StreamName=stream, Data=data, PartitionKey=key, **members)


def iterator(stream, kind="TRIM_HORIZON", index=0, **members):
    answer = kinesis.get_shard_iterator(
        StreamName=stream, ShardId=shard_id(index), ShardIteratorType=kind, **members
    )
    same(answer, {"ShardIterator": lambda text: 1 <= len(text) <= 512})
    return answer["ShardIterator"]


def read(stream, *position, **members):
    """The data behind a position."""
    records = kinesis.get_records(ShardIterator=iterator(stream, *position, **members))["Records"]
    return [record["Data"] for record in records]


def register(consumer, stream="read", **members):
    answer = kinesis.register_stream_consumer(
        StreamARN=arn(stream), ConsumerName=consumer, **members
    )
    return answer["Consumer"]["ConsumerARN"]
