"""Looks at what the settings of an endpoint change.

    python other_settings.py SETTING

SETTING is what the endpoint was started with: `limits` (`--limits kinesis`), `states`
(`--state-delay-ms`), `tls` (`--tls`) or `signatures` (`--access-key`, `--secret-key`).
"""

import os
import re
import sys

import boto3
from botocore.exceptions import SSLError

from witness import Witness, done, is_number, refused, same

ACCOUNT = os.environ.get("BROOKLET_ACCOUNT", "000000000000")
SHARD = "shardId-000000000000"

kinesis = Witness().connect()


def limits():
    """A shard takes 1 MiB a second, and no more."""
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    records = [{"Data": b"x" * 1023 * 1024, "PartitionKey": "a"}] * 3
    answer = kinesis.put_records(StreamName="orders", Records=records)
    exceeded = f"Rate exceeded for shard {SHARD} in stream orders under account {ACCOUNT}."
    refusal = {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": exceeded,
    }
    stored = {"ShardId": SHARD, "SequenceNumber": is_number}
    # Three do not fit into a second, however slow this machine is: two might.
    assert answer["FailedRecordCount"] >= 1
    same(answer["Records"][0], stored)
    same(answer["Records"][2], refusal)
    # One at a time is refused as soon as two come within a second.
    for _ in range(100):
        try:
            kinesis.put_record(StreamName="orders", **records[0])
        except kinesis.exceptions.ProvisionedThroughputExceededException as error:
            assert error.response["Error"]["Message"] == exceeded
            break
    else:
        raise AssertionError("nothing is refused")
    # With retries of its own, as any client has them, the SDK gets it through.
    patient = boto3.client("kinesis", config=boto3.session.Config(retries={"max_attempts": 10}))
    patient.put_record(StreamName="orders", Data=b"x" * 512 * 1024, PartitionKey="a")


def states():
    """Streams are CREATING, UPDATING and DELETING for a while."""
    orders = {"StreamName": "orders"}

    def status():
        return kinesis.describe_stream_summary(**orders)["StreamDescriptionSummary"]["StreamStatus"]

    def wait(waiter):
        kinesis.get_waiter(waiter).wait(**orders, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})

    kinesis.create_stream(**orders, ShardCount=1)
    assert status() == "CREATING"
    assert kinesis.describe_stream(**orders)["StreamDescription"]["Shards"] == []
    not_found = f"Stream orders under account {ACCOUNT} not found."
    put = {"Data": b"", "PartitionKey": "a"}
    refused("ResourceNotFoundException", not_found, kinesis.put_record, **orders, **put)
    wait("stream_exists")
    kinesis.put_record(**orders, **put)
    split = {"ShardToSplit": SHARD, "NewStartingHashKey": "1000"}
    done(kinesis.split_shard(**orders, **split))
    assert status() == "UPDATING"
    refused(
        "ResourceInUseException",
        f"Stream orders under account {ACCOUNT} not ACTIVE, instead in state UPDATING",
        kinesis.split_shard,
        **orders,
        **split,
    )
    kinesis.put_record(**orders, **put)
    wait("stream_exists")
    assert len(kinesis.list_shards(**orders)["Shards"]) == 3
    done(kinesis.delete_stream(**orders))
    assert status() == "DELETING"
    refused("ResourceNotFoundException", not_found, kinesis.put_record, **orders, **put)
    wait("stream_not_exists")


def tls():
    """Whoever is given the certificate trusts the endpoint; nobody else does."""
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    assert kinesis.meta.endpoint_url.startswith("https://")
    assert kinesis.list_streams()["StreamNames"] == ["orders"]
    del os.environ["AWS_CA_BUNDLE"]
    stranger = Witness().connect()
    try:
        stranger.list_streams()
    except SSLError:
        pass
    else:
        raise AssertionError("a certificate that nobody knows is trusted")


def signatures():
    """Only who has the key is answered."""
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    assert kinesis.list_streams()["StreamNames"] == ["orders"]
    key = os.environ["AWS_ACCESS_KEY_ID"]
    for key, code in [(key, "InvalidSignatureException"), ("OTHER", "UnrecognizedClientException")]:
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key="wrong")
        forger = Witness().connect(session)
        refused(code, re.compile(".+", re.DOTALL), forger.list_streams)


if __name__ == "__main__":
    setting = sys.argv[1]
    {"limits": limits, "states": states, "tls": tls, "signatures": signatures}[setting]()
    print(f"boto3: {setting}")
