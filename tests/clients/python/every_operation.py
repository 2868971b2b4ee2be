"""Calls every operation that boto3 knows, with what it does and how it is refused, and checks all of
the answers.

    AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567 python every_operation.py

Wants an endpoint that nobody has used yet. `../run` starts one, and runs this.
"""

import boto3
import botocore

from channels import channels_are_kept
from consumers import consumers_are_registered
from records import records_are_got, records_are_put
from service import careless, kinesis, witness
from settings import (
    accounts_commit_themselves,
    encryption_is_told_of,
    metrics_are_switched,
    modes_and_sizes_change,
    retention_changes,
)
from shards import closed_shards_lead_to_their_children, shard_counts_change, shards_are_listed
from streams import streams_are_created_described_listed_and_deleted
from subscriptions import records_are_pushed
from tags_and_policies import policies_are_kept, tags_are_kept
from witness import refused


def queues_are_unknown():
    """Queues are not there yet: each of their operations is told as one that the service has not."""
    operations = [name for name in kinesis.meta.service_model.operation_names if "Queue" in name]
    assert len(operations) == 12, operations
    for name in operations:
        refused("UnknownOperationException", "", getattr(careless, botocore.xform_name(name)))
    return set(operations)


def main():
    streams_are_created_described_listed_and_deleted()
    records_are_put()
    records_are_got()
    closed_shards_lead_to_their_children()
    shards_are_listed()
    shard_counts_change()
    retention_changes()
    metrics_are_switched()
    encryption_is_told_of()
    modes_and_sizes_change()
    accounts_commit_themselves()
    consumers_are_registered()
    records_are_pushed()
    channels_are_kept()
    tags_are_kept()
    policies_are_kept()
    queues = queues_are_unknown()

    operations = set(kinesis.meta.service_model.operation_names)
    assert witness.succeeded == operations - queues, operations - queues - witness.succeeded
    # Nothing can be wrong with what is asked of these.
    unfailing = {"DescribeLimits", "DescribeAccountSettings"}
    assert witness.refused_of == operations - unfailing, operations - unfailing - witness.refused_of
    print(f"boto3 {boto3.__version__}: all {len(operations)} operations")


if __name__ == "__main__":
    main()
