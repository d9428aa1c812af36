"""Request and response bodies: from JSON values to objects and back."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.api import json_body
from openim_trio.api.converter import MAX_DEPTH, FieldProblem, structure, unstructure
from openim_trio.api.marks import (
    FILLED,
    PRESENT,
    REQUIRED,
    UNIQUE,
    AtLeast,
    AtMost,
    Int32,
    Int64,
    MaxItems,
    OneOf,
    Text,
    UInt64,
)
from openim_trio.api.proto_bridge import from_proto, to_proto
from openim_trio.api.types.messages import MsgData, PullMessageBySeqsResp
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.wire.proto import sdkws_pb2


@attrs.frozen(kw_only=True)
class Inner:
    userID: Text
    level: Annotated[Int32, OneOf(0, 1, 2)] = 0


@attrs.frozen(kw_only=True)
class Sample:
    name: Text
    users: Annotated[list[Inner], REQUIRED, MaxItems(3)]
    seq: Annotated[Int64, AtLeast(0), AtMost(100)] = 0
    version: UInt64 = 0
    flag: bool = False
    choice: bool | None = None
    inner: Inner | None = None
    ids: Annotated[list[str], FILLED, UNIQUE] = attrs.field(factory=list)
    named: dict[str, Inner] = attrs.field(factory=dict)
    free: dict[str, Any] = attrs.field(factory=dict)
    blob: bytes = b""


@attrs.frozen(kw_only=True)
class MayBeEmpty:
    ids: Annotated[list[str], PRESENT]


MINIMAL = {"name": "n", "users": [{"userID": "u"}]}


def test_keys_match_in_any_case_and_unknown_keys_are_ignored() -> None:
    value = {"NAME": "n", "Users": [{"userid": "u", "LEVEL": 2}], "nonsense": {"a": [1]}}
    assert structure(value, Sample) == Sample(name="n", users=[Inner(userID="u", level=2)])


def test_null_is_absent() -> None:
    value = {**MINIMAL, "seq": None, "flag": None, "inner": None, "ids": None, "named": None}
    assert structure(value, Sample) == structure(MINIMAL, Sample)


def test_nullable_scalars_tell_unset_from_zero() -> None:
    assert structure(MINIMAL, Sample).choice is None
    assert structure({**MINIMAL, "choice": False}, Sample).choice is False


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"name": None}, "name", "is required"),
        ({"name": ""}, "name", "is required"),
        ({"name": 5}, "name", "must be a string"),
        ({"users": []}, "users", "is required"),
        ({"users": {}}, "users", "must be a list"),
        ({"users": [{"userID": "u"}, {}]}, "users[1].userID", "is required"),
        ({"users": [{"userID": "u"}, 7]}, "users[1]", "must be an object"),
        ({"users": [{"userID": "u", "level": 9}]}, "users[0].level", "must be one of 0, 1, 2"),
        ({"users": [{"userID": "u"}] * 4}, "users", "holds more than 3 items"),
        ({"seq": True}, "seq", "must be an integer"),
        ({"seq": "5"}, "seq", "must be an integer"),
        ({"seq": 5.0}, "seq", "must be an integer"),
        ({"seq": -1}, "seq", "must be at least 0"),
        ({"seq": 101}, "seq", "must be at most 100"),
        ({"seq": 2**63}, "seq", "is out of range for int64"),
        ({"version": -1}, "version", "is out of range for uint64"),
        ({"flag": 1}, "flag", "must be true or false"),
        ({"choice": "yes"}, "choice", "must be true or false"),
        ({"inner": []}, "inner", "must be an object"),
        ({"inner": {"userID": []}}, "inner.userID", "must be a string"),
        ({"ids": ["a", ""]}, "ids", "holds an empty item"),
        ({"ids": ["a", "a"]}, "ids", "holds an item twice"),
        ({"ids": ["a", None]}, "ids[1]", "must be a string"),
        ({"named": {"a": {}}}, "named[a].userID", "is required"),
        ({"named": []}, "named", "must be an object"),
        ({"free": []}, "free", "must be an object"),
        ({"blob": "***"}, "blob", "must be a base64 string"),
    ],
)
def test_problems_name_the_field(changes: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(FieldProblem) as caught:
        structure({**MINIMAL, **changes}, Sample)
    assert (caught.value.path, caught.value.problem) == (path, problem)


def test_a_list_that_may_be_empty_must_still_be_there() -> None:
    assert structure({"ids": []}, MayBeEmpty).ids == []
    with pytest.raises(FieldProblem, match="ids: is required"):
        structure({}, MayBeEmpty)


def test_free_objects_may_not_nest_too_deep() -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(levels - 1):
            value = {"a": [value]} if len(value) % 2 else {"a": value}
        return value

    structure({**MINIMAL, "free": nested(10)}, Sample)
    with pytest.raises(FieldProblem, match="deeper"):
        structure({**MINIMAL, "free": nested(MAX_DEPTH * 3)}, Sample)


def test_answers_show_zero_values_and_null_for_what_is_empty() -> None:
    sample = Sample(name="", users=[], version=2**64 - 1, blob=b"\x00\xff", free={"a": []})
    assert unstructure(sample, Sample) == {
        "name": "",
        "users": None,
        "seq": 0,
        "version": 2**64 - 1,
        "flag": False,
        "choice": None,
        "inner": None,
        "ids": None,
        "named": None,
        "free": {"a": []},
        "blob": "AP8=",
    }
    assert list(unstructure(sample, Sample))[:3] == ["name", "users", "seq"]


def test_an_array_as_data_stays_an_array() -> None:
    assert unstructure([], list[Inner]) == []
    assert unstructure([Inner(userID="u")], list[Inner]) == [{"userID": "u", "level": 0}]


def test_json_numbers_keep_64_bits_and_html_is_escaped() -> None:
    text = json_body.dump({"a": 2**63 - 1, "b": 2**64 - 1, "c": "<b>&</b>", "d": "中"})
    assert text == (
        b'{"a":9223372036854775807,"b":18446744073709551615,'
        b'"c":"\\u003cb\\u003e\\u0026\\u003c/b\\u003e","d":"' + "中".encode() + b'"}'
    )


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000, b'{"a":' * 5000, b'"\\ud800"'],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        json_body.parse(body)
    assert caught.value.code is Code.ARGS


def test_a_body_that_would_fill_the_memory_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ServiceError, match="more than"):
        json_body.parse(b"[" + b"{}," * 300_000 + b"{}]")


def test_an_empty_body_is_an_empty_object() -> None:
    assert json_body.parse(b"") == {}
    assert json_body.parse(b" \n") == {}


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(ServiceError, match="body: must be an object"):
        json_body.request_of([], Sample)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from([f.name for f in attrs.fields(Sample)]), JSON_VALUES)
    | JSON_VALUES
)
def test_any_json_is_structured_or_refused(value: Any) -> None:
    try:
        sample = structure(value, Sample)
    except FieldProblem:
        return
    orjson.dumps(unstructure(sample, Sample))


def test_protobuf_messages_and_types_have_the_same_fields() -> None:
    msg = sdkws_pb2.MsgData(
        sendID="a",
        content=b"\x01\x02",
        seq=7,
        options={"history": False},
        atUserIDList=["x"],
        offlinePushInfo=sdkws_pb2.OfflinePushInfo(title="t"),
    )
    assert to_proto(from_proto(MsgData, msg), sdkws_pb2.MsgData) == msg
    pulled = sdkws_pb2.PullMessageBySeqsResp()
    pulled.msgs["si_a_b"].Msgs.append(msg)
    pulled.msgs["si_a_b"].endSeq = 7
    resp = from_proto(PullMessageBySeqsResp, pulled)
    assert resp.msgs["si_a_b"].Msgs[0].sendID == "a"
    assert resp.notificationMsgs == {}
    assert to_proto(resp, sdkws_pb2.PullMessageBySeqsResp) == pulled
    assert (
        unstructure(resp, PullMessageBySeqsResp)["msgs"]["si_a_b"]["Msgs"][0]["content"] == "AQI="
    )


def test_a_sub_message_that_is_not_set_is_null() -> None:
    assert from_proto(MsgData, sdkws_pb2.MsgData()).offlinePushInfo is None
