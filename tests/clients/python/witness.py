"""Watches a client: what it called, and whether each answer on the wire is one of the service's model.

boto3 drops members that it does not know and does not miss those that are required, so the answers are
looked at before it reads them.
"""

import base64
import binascii
import json
import re
from datetime import datetime, timezone

import boto3
import botocore.exceptions
from botocore.config import Config

# What the model says of these is not what the service does.
FREE_OF_BOUNDS = {"FailedRecordCount"}


class Witness:
    """Makes clients and remembers what was called."""

    def __init__(self):
        self.succeeded = set()
        self.refused_of = set()

    def connect(self, session=boto3, **config):
        """A client that asks once, and whose answers are all looked at."""
        # Endpoint, region and credentials come from the environment, as anywhere.
        client = session.client(
            "kinesis",
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=30, connect_timeout=10, **config
            ),
        )
        client.meta.events.register("before-parse.kinesis", self._look)
        return client

    def _look(self, operation_model, response_dict, **_):
        name = operation_model.name
        status = response_dict["status_code"]
        headers = {key.lower(): value for key, value in response_dict["headers"].items()}
        where = f"{name}, status {status}"
        assert re.fullmatch(
            r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", headers["x-amzn-requestid"]
        )
        assert len(base64.b64decode(headers["x-amz-id-2"], validate=True)) == 72, where
        if status >= 300:
            self.refused_of.add(name)
            assert headers["content-type"] == "application/x-amz-json-1.1", where
            _look_at_error(where, headers, json.loads(response_dict["body"]))
            return
        self.succeeded.add(name)
        if operation_model.has_event_stream_output:
            assert headers["content-type"] == "application/vnd.amazon.eventstream", where
            return
        assert headers["content-type"] == "application/x-amz-json-1.1", where
        body = response_dict["body"]
        output = operation_model.output_shape
        if output is None or not output.members:
            assert body == b"", f"{where}: {body}"
            return
        _look_at(output, json.loads(body), name)


def _look_at_error(where, headers, body):
    code = body.pop("__type")
    assert headers["x-amzn-errortype"] == code, f"{where}: {code}"
    text = "Message" if code == "SerializationException" else "message"
    assert set(body) <= {text}, f"{where}: {body}"


def _look_at(shape, value, path):
    """Checks a value of an answer, and all that is in it."""
    kind = shape.type_name
    metadata = shape.metadata
    assert value is not None, f"{path} is null"
    if kind == "structure":
        assert type(value) is dict, path
        missing = set(shape.required_members) - set(value)
        assert not missing, f"{path} lacks {missing}"
        for name, member in value.items():
            assert name in shape.members, f"{path} has {name}"
            if name in FREE_OF_BOUNDS:
                assert type(member) is int and member >= 0, path
            else:
                _look_at(shape.members[name], member, f"{path}.{name}")
    elif kind == "list":
        assert type(value) is list, path
        for index, member in enumerate(value):
            _look_at(shape.member, member, f"{path}[{index}]")
    elif kind == "map":
        assert type(value) is dict, path
        for key, member in value.items():
            _look_at(shape.key, key, path)
            _look_at(shape.value, member, f"{path}.{key}")
    elif kind == "string":
        assert type(value) is str, path
        assert not shape.enum or value in shape.enum, f"{path}: {value}"
        _look_at_bounds(metadata, len(value), path)
        pattern = metadata.get("pattern")
        assert pattern is None or re.fullmatch(pattern, value, re.ASCII), f"{path}: {value}"
    elif kind in ("integer", "long"):
        assert type(value) is int, path
        _look_at_bounds(metadata, value, path)
    elif kind == "boolean":
        assert type(value) is bool, path
    elif kind == "timestamp":
        assert type(value) in (int, float), path
        assert round(value, 3) == value, f"{path}: {value} is finer than milliseconds"
    elif kind == "blob":
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise AssertionError(f"{path}: {value}") from error
    else:
        raise AssertionError(f"{path} is of type {kind}")


def _look_at_bounds(metadata, size, path):
    assert metadata.get("min", size) <= size <= metadata.get("max", size), f"{path}: {size}"


def same(actual, expected, path="answer"):
    """Checks an answer with all its members. A function in place of a value says whether one is right."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict), f"{path}: {actual!r}"
        actual = {key: value for key, value in actual.items() if key != "ResponseMetadata"}
        assert set(actual) == set(expected), f"{path}: {sorted(actual)} is not {sorted(expected)}"
        for key, value in expected.items():
            same(actual[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), f"{path}: {actual!r}"
        assert len(actual) == len(expected), f"{path}: {actual!r} is not {expected!r}"
        for index, value in enumerate(expected):
            same(actual[index], value, f"{path}[{index}]")
    elif callable(expected):
        assert expected(actual), f"{path}: {actual!r}"
    else:
        assert type(actual) is type(expected) and actual == expected, (
            f"{path}: {actual!r} is not {expected!r}"
        )


def done(answer):
    """Checks an answer that says nothing but that it is done."""
    same(answer, {})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def refused(code, text, call, **members):
    """Checks that a call is refused with an exception of its type and with a text.

    A text may be a pattern. Texts of violated constraints are compared as a set: their order is not
    said.
    """
    client = call.__self__
    modelled = {shape.name for shape in client.meta.service_model.error_shapes}
    kind = getattr(client.exceptions, code) if code in modelled else None
    try:
        answer = call(**members)
    except botocore.exceptions.ClientError as error:
        assert kind is None or type(error) is kind, f"{code}: {error!r}"
        answer = error.response
    else:
        raise AssertionError(f"{members} is not refused, but answered with {answer}")
    assert answer["Error"]["Code"] == code, f"{answer['Error']} is not {code}"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    actual = answer["Error"]["Message"]
    if isinstance(text, re.Pattern):
        assert text.fullmatch(actual), f"{actual!r} is not {text.pattern!r}"
    elif isinstance(text, set):
        assert violations(actual) == text, f"{actual!r} is not {text!r}"
    else:
        assert actual == text, f"{actual!r} is not {text!r}"


def violations(text):
    """The violated constraints that a text counts and lists."""
    found = re.fullmatch(r"(\d+) validation errors? detected: (.*)", text, re.DOTALL)
    assert found, text
    listed = found[2].split("; Value ")
    listed = [violation.removeprefix("Value ") for violation in listed]
    assert len(listed) == int(found[1]), text
    assert ("errors detected" in text) == (len(listed) > 1), text
    return set(listed)


def violated(value, path, constraint):
    """One violated constraint, as a text lists it."""
    value = "null" if value is None else f"'{value}'"
    return f"{value} at '{path}' failed to satisfy constraint: {constraint}"


def is_now(time):
    """Whether a time is about now, and has no more digits than milliseconds."""
    assert time.microsecond % 1000 == 0, time
    return abs((datetime.now(timezone.utc) - time).total_seconds()) < 120


def is_now_in_seconds(time):
    return time.microsecond == 0 and is_now(time)


def is_number(text):
    """Whether a text is a sequence number of this decade."""
    return type(text) is str and re.fullmatch(r"49\d{54}", text) is not None
