"""Tags and policies of streams and consumers."""

import re

from service import ACCOUNT, arn, kinesis, not_found, register
from witness import done, refused, same


def tags_are_kept():
    """Those of a stream by the older operations and by the newer ones, and those of a consumer. Those
    of a channel are looked at where channels are."""

    def listed(*tags, more=None):
        answer = {"Tags": [{"Key": key, "Value": value} for key, value in tags]}
        return answer if more is None else answer | {"HasMoreTags": more}

    stream = {"StreamName": "orders"}
    consumer = register("tagged", "orders", Tags={"a": "1"})
    done(kinesis.add_tags_to_stream(**stream, Tags={"b": "", "a@x": "größe 1"}))
    done(kinesis.tag_resource(ResourceARN=arn("orders"), Tags={"b": "2", "c": "3"}))
    tags = [("a@x", "größe 1"), ("b", "2"), ("c", "3"), ("team", "sales")]
    same(kinesis.list_tags_for_stream(**stream), listed(*tags, more=False))
    same(kinesis.list_tags_for_resource(ResourceARN=arn("orders")), listed(*tags))
    same(
        kinesis.list_tags_for_stream(StreamARN=arn("orders"), Limit=2, ExclusiveStartTagKey="aaa"),
        listed(*tags[1:3], more=True),
    )
    done(kinesis.remove_tags_from_stream(**stream, TagKeys=["b", "unknown"]))
    done(kinesis.untag_resource(ResourceARN=arn("orders"), TagKeys=["c", "a@x"]))
    same(kinesis.list_tags_for_stream(**stream), listed(("team", "sales"), more=False))

    done(kinesis.tag_resource(ResourceARN=consumer, Tags={"b": "2"}))
    done(kinesis.untag_resource(ResourceARN=consumer, TagKeys=["a"]))
    same(kinesis.list_tags_for_resource(ResourceARN=consumer), listed(("b", "2")))

    many = {f"key-{index}": "" for index in range(50)}
    refused(
        "InvalidArgumentException",
        f"Failed to add tags to stream orders under account {ACCOUNT} because a given stream cannot "
        "have more than 10 tags associated with it.",
        kinesis.add_tags_to_stream,
        **stream,
        Tags=many,
    )
    invalid = (
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, "
        "_ . / = + - % @."
    )
    illegal = (
        f"Failed to {{}} stream orders under account {ACCOUNT} because some tags contained illegal "
        "characters. The allowed characters are Unicode letters, white-spaces, "
        "'_',',','/','=','+','-','@'."
    )
    for text, character in [(invalid, "!"), (illegal, "%")]:
        refused(
            "InvalidArgumentException",
            text.format("add tags to"),
            kinesis.add_tags_to_stream,
            **stream,
            Tags={character: ""},
        )
        refused(
            "InvalidArgumentException",
            text.format("remove tags from"),
            kinesis.remove_tags_from_stream,
            **stream,
            TagKeys=[character],
        )
    for operation, members in [
        (kinesis.add_tags_to_stream, {"Tags": {"a": ""}}),
        (kinesis.remove_tags_from_stream, {"TagKeys": ["a"]}),
        (kinesis.list_tags_for_stream, {}),
    ]:
        refused(
            "ResourceNotFoundException", not_found("none"), operation, StreamName="none", **members
        )
    for operation, members in [
        (kinesis.tag_resource, {"Tags": {"a": ""}}),
        (kinesis.untag_resource, {"TagKeys": ["a"]}),
        (kinesis.list_tags_for_resource, {}),
    ]:
        refused(
            "ResourceNotFoundException",
            not_found("none"),
            operation,
            ResourceARN=arn("none"),
            **members,
        )
        refused(
            "ResourceNotFoundException",
            f"Consumer none, account {ACCOUNT} not found.",
            operation,
            ResourceARN=f"{arn('orders')}/consumer/none:1700000000",
            **members,
        )
    same(kinesis.list_tags_for_stream(**stream), listed(("team", "sales"), more=False))
    done(kinesis.deregister_stream_consumer(ConsumerARN=consumer))


def policies_are_kept():
    consumer = register("trusted", "orders")
    for resource, action in [
        (arn("orders"), "kinesis:PutRecord"),
        (consumer, "kinesis:SubscribeToShard"),
    ]:
        policy = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", '
            f'"Action": "{action}", "Resource": "{resource}"}}]}}'
        )
        address = {"ResourceARN": resource}
        same(kinesis.get_resource_policy(**address), {"Policy": "{}"})
        done(kinesis.put_resource_policy(**address, Policy=policy))
        same(kinesis.get_resource_policy(**address), {"Policy": policy})
        done(kinesis.put_resource_policy(**address, Policy=policy.replace("Allow", "Deny")))
        same(kinesis.get_resource_policy(**address), {"Policy": policy.replace("Allow", "Deny")})
        done(kinesis.delete_resource_policy(**address))
        same(kinesis.get_resource_policy(**address), {"Policy": "{}"})
        refused(
            "ResourceNotFoundException",
            re.compile(".*policy.*"),
            kinesis.delete_resource_policy,
            **address,
        )
        for wrong in ["no document", policy.replace(resource, arn("others"))]:
            refused(
                "InvalidArgumentException",
                re.compile(".+"),
                kinesis.put_resource_policy,
                **address,
                Policy=wrong,
            )
    for operation, members in [
        (kinesis.put_resource_policy, {"Policy": "{}"}),
        (kinesis.get_resource_policy, {}),
        (kinesis.delete_resource_policy, {}),
    ]:
        refused(
            "ResourceNotFoundException",
            not_found("none"),
            operation,
            ResourceARN=arn("none"),
            **members,
        )
    done(kinesis.deregister_stream_consumer(ConsumerARN=consumer))
