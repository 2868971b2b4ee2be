"""Pulls the records of the stream `characters` from its first shard, five at a time."""

import json
import os

import boto3

ENDPOINT = os.environ.get("ENDPOINT", "http://127.0.0.1:4567")

kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT)

stream = kinesis.describe_stream(StreamName="characters")
shard_id = stream["StreamDescription"]["Shards"][0]["ShardId"]
iterator = kinesis.get_shard_iterator(
    StreamName="characters", ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
)["ShardIterator"]

while True:
    pulled = kinesis.get_records(ShardIterator=iterator, Limit=5)
    if not pulled["Records"]:
        break
    print("pulled", len(pulled["Records"]), "records")
    for record in pulled["Records"]:
        data = json.loads(record["Data"])
        print(record["PartitionKey"], data["score"], data["char"])
    iterator = pulled["NextShardIterator"]

print("behind by", pulled["MillisBehindLatest"], "ms")
