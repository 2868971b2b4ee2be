"""Puts ten records into the stream `characters`, one after the other."""

import json
import os

import boto3

ENDPOINT = os.environ.get("ENDPOINT", "http://127.0.0.1:4567")

CHARACTERS = [
    ("a01", "DataOne", 10, "Database Warrior"),
    ("a02", "DataTwo", 20, "Stream Tamer"),
    ("a03", "DataThree", 30, "Shard Splitter"),
    ("a04", "DataFour", 40, "Queue Jumper"),
    ("a05", "DataFive", 50, "Log Keeper"),
    ("a06", "DataSix", 60, "Batch Baker"),
    ("a07", "DataSeven", 70, "Replay Ranger"),
    ("a08", "DataEight", 80, "Hash Hunter"),
    ("a09", "DataNine", 90, "Lock Breaker"),
    ("a10", "DataTen", 100, "Tail Reader"),
]

kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT)

for partition_key, tag, score, character in CHARACTERS:
    data = json.dumps({"data_tag": tag, "score": str(score), "char": character})
    put = kinesis.put_record(
        StreamName="characters", Data=data, PartitionKey=partition_key
    )
    print("put", partition_key, "into", put["ShardId"], put["SequenceNumber"])
