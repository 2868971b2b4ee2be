"""Consumers: registered, described, listed and deregistered."""

import re

from service import ACCOUNT, arn, create, kinesis, not_found, register, summary
from witness import done, is_now, refused, same


def consumers_are_registered():
    create("read", 2)
    stream = {"StreamARN": arn("read")}

    def told(name, status="ACTIVE"):
        consumer_arn = re.compile(re.escape(f"{arn('read')}/consumer/{name}:") + r"\d{10}")
        return {
            "ConsumerName": name,
            "ConsumerARN": lambda text: consumer_arn.fullmatch(text),
            "ConsumerStatus": status,
            "ConsumerCreationTimestamp": is_now,
        }

    answer = kinesis.register_stream_consumer(
        **stream, ConsumerName="audit", Tags={"team": "audit"}
    )
    same(answer, {"Consumer": told("audit", "CREATING")})
    audit = answer["Consumer"]["ConsumerARN"]
    described = {"ConsumerDescription": told("audit") | stream}
    for address in [
        {"ConsumerARN": audit},
        stream | {"ConsumerName": "audit"},
        stream | {"ConsumerName": "audit", "ConsumerARN": audit},
    ]:
        same(kinesis.describe_stream_consumer(**address), described)
    for name in ["billing", "copy"]:
        register(name)
    names = ["audit", "billing", "copy"]
    same(kinesis.list_stream_consumers(**stream), {"Consumers": [told(name) for name in names]})
    created = summary("read")["StreamCreationTimestamp"]
    same(
        kinesis.list_stream_consumers(**stream, StreamCreationTimestamp=created, MaxResults=1),
        {"Consumers": [told("audit")], "NextToken": lambda token: token},
    )
    pages = kinesis.get_paginator("list_stream_consumers").paginate(
        **stream, PaginationConfig={"PageSize": 2}
    )
    pages = [[consumer["ConsumerName"] for consumer in page["Consumers"]] for page in pages]
    assert pages == [["audit", "billing"], ["copy"]]
    assert summary("read")["ConsumerCount"] == 3

    refused(
        "ResourceInUseException",
        re.compile("Consumer audit .*already exists.*"),
        kinesis.register_stream_consumer,
        **stream,
        ConsumerName="audit",
    )
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        kinesis.register_stream_consumer,
        StreamARN=arn("none"),
        ConsumerName="audit",
    )
    refused(
        "ResourceNotFoundException",
        not_found("none"),
        kinesis.list_stream_consumers,
        StreamARN=arn("none"),
    )
    refused(
        "InvalidArgumentException",
        "NextToken is invalid.",
        kinesis.list_stream_consumers,
        **stream,
        NextToken="AAAA",
    )
    for operation in [kinesis.describe_stream_consumer, kinesis.deregister_stream_consumer]:
        refused(
            "ResourceNotFoundException",
            f"Consumer none, account {ACCOUNT} not found.",
            operation,
            **stream,
            ConsumerName="none",
        )
        refused("InvalidArgumentException", re.compile(".+"), operation, ConsumerName="audit")
        refused(
            "InvalidArgumentException",
            re.compile(".+"),
            operation,
            ConsumerARN=audit,
            ConsumerName="billing",
        )
    refused(
        "ResourceInUseException",
        f"DeleteStream can't delete {arn('read')} because there are consumers associated with this "
        "data stream. To delete read anyway, set the EnforceConsumerDeletion parameter to true to "
        "force the deletion of all the consumers that are associated with it.",
        kinesis.delete_stream,
        StreamName="read",
    )

    done(kinesis.deregister_stream_consumer(ConsumerARN=audit))
    done(kinesis.deregister_stream_consumer(**stream, ConsumerName="copy"))
    same(kinesis.list_stream_consumers(**stream), {"Consumers": [told("billing")]})
    assert register("audit") != audit, "the same name again has another ARN"
    done(kinesis.delete_stream(StreamName="read", EnforceConsumerDeletion=True))
