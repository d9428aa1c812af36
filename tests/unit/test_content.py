"""Contents by type: what passes, and which member is named when something does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.domain import content
from openim_trio.domain.content import validate_content, validate_element, validate_legacy_element
from openim_trio.domain.errors import Code, ServiceError
from tests.support import contents

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas" / "content"
SECRET = "do-not-quote-me"


def problem(function: Any, *args: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        function(*args)
    assert caught.value.code == Code.ARGS
    assert SECRET not in caught.value.detail
    return caught.value.detail


def sent(content_type: int, value: Any) -> str:
    return problem(validate_content, content_type, json.dumps(value).encode())


def refusal(content_type: int, raw: bytes) -> ServiceError | None:
    """None when it passes; anything but an argument error is a failure."""
    try:
        validate_content(content_type, raw)
    except ServiceError as error:
        return error if error.code == Code.ARGS else pytest.fail(str(error))
    return None


def changed(value: dict[str, Any], path: str, to: Any) -> dict[str, Any]:
    """A copy with the member at the dotted path set."""
    result: dict[str, Any] = json.loads(json.dumps(value))  # no two members are the same object
    at: Any = result
    *parents, last = path.split(".")
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[last] = to
    return result


# --- the schemas themselves -----------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SCHEMAS.rglob("*.json")), ids=lambda path: path.stem)
def test_schema_is_valid(path: Path) -> None:
    schema = json.loads(path.read_text())
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["$id"].endswith(f"schemas/content/{path.relative_to(SCHEMAS).as_posix()}")
    jsonschema.Draft7Validator.check_schema(schema)


def test_every_type_has_its_schema() -> None:
    content.prepare()
    names = content._names(content.schema_root())
    assert names >= {str(number) for number in content.TYPED}
    assert names >= {f"elements/{number}" for number in content.ELEMENT_TYPES}
    assert names >= {f"legacy/{number}" for number in content.LEGACY_ELEMENT_TYPES}


# --- what clients send ----------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", sorted(contents.SENT))
def test_what_official_clients_send(content_type: int) -> None:
    value = contents.SENT[content_type]
    validate_content(content_type, json.dumps(value).encode())
    more = {**value, "somethingNew": {"a": [1, None]}}
    validate_content(content_type, json.dumps(more).encode())


@pytest.mark.parametrize("content_type", [102, 103, 104, 105, 106, 107, 110, 113, 114, 115, 117])
def test_null_is_the_zero_value(content_type: int) -> None:
    nothing = dict.fromkeys(contents.SENT[content_type])
    validate_content(content_type, json.dumps(nothing).encode())
    validate_content(content_type, b"{}")


@pytest.mark.parametrize("content_type", sorted(contents.SENT))
@pytest.mark.parametrize("value", [None, True, 5, SECRET, [SECRET]])
def test_content_must_be_an_object(content_type: int, value: Any) -> None:
    assert sent(content_type, value) == "content: must be object"


@pytest.mark.parametrize("content_type", [101, 110, 112, 121, 200, 1000, 1400, 2001, 5000])
@pytest.mark.parametrize("raw", [b"plain text", b"{", b'{"content":"\xff"}', b"{} {}", b"[" * 9000])
def test_content_must_be_json(content_type: int, raw: bytes) -> None:
    assert problem(validate_content, content_type, raw) == "content: must be JSON"


@pytest.mark.parametrize(
    ("content_type", "path", "to", "expected"),
    [
        (101, "content", 5, "content.content: must be string"),
        (101, "content", None, "content.content: must be string"),
        (102, "sourcePath", [SECRET], "content.sourcePath: must be string"),
        (102, "sourcePicture", SECRET, "content.sourcePicture: must be object"),
        (102, "bigPicture.width", SECRET, "content.bigPicture.width: must be integer"),
        (102, "snapshotPicture.height", 1.5, "content.snapshotPicture.height: must be integer"),
        (103, "duration", "3", "content.duration: must be integer"),
        (103, "dataSize", True, "content.dataSize: must be integer"),
        (104, "snapshotWidth", {}, "content.snapshotWidth: must be integer"),
        (104, "videoUrl", 1, "content.videoUrl: must be string"),
        (105, "fileSize", SECRET, "content.fileSize: must be integer"),
        (105, "fileName", False, "content.fileName: must be string"),
        (106, "atUserList", SECRET, "content.atUserList: must be array"),
        (106, "atUserList", ["u", 7], "content.atUserList[1]: must be string"),
        (106, "atUsersInfo.0.atUserID", 7, "content.atUsersInfo[0].atUserID: must be string"),
        (106, "isAtSelf", 0, "content.isAtSelf: must be boolean"),
        (106, "quoteMessage.seq", "7", "content.quoteMessage.seq: must be integer"),
        (107, "multiMessage", {}, "content.multiMessage: must be array"),
        (107, "multiMessage.1.textElem.content", 7,
         "content.multiMessage[1].textElem.content: must be string"),
        (107, "abstractList", [None], "content.abstractList[0]: must be string"),
        (108, "userID", 7, "content.userID: must be string"),
        (108, "faceURL", 7, "content.faceURL: must be string"),
        (109, "longitude", "13.4", "content.longitude: must be number"),
        (109, "latitude", None, "content.latitude: must be number"),
        (110, "data", {"a": SECRET}, "content.data: must be string"),
        (110, "extension", 7, "content.extension: must be string"),
        (113, "msgTips", True, "content.msgTips: must be string"),
        (114, "quoteMessage", SECRET, "content.quoteMessage: must be object"),
        (114, "quoteMessage.attachedInfoElem.burnDuration", SECRET,
         "content.quoteMessage.attachedInfoElem.burnDuration: must be integer"),
        (115, "index", "3", "content.index: must be integer"),
        (117, "messageEntityList.0.offset", "0",
         "content.messageEntityList[0].offset: must be integer"),
        (117, "text", 7, "content.text: must be string"),
        (118, "content", ["#"], "content.content: must be string"),
        (119, "description", 7, "content.description: must be string"),
        (120, "data", 7, "content.data: must be string"),
        (2001, "detail", {"key": SECRET}, "content.detail: must be string"),
    ],
)  # fmt: skip
def test_a_wrong_member_is_named(content_type: int, path: str, to: Any, expected: str) -> None:
    assert sent(content_type, changed(contents.SENT[content_type], path, to)) == expected


@pytest.mark.parametrize(
    ("content_type", "member"),
    [(101, "content"), (108, "userID"), (109, "longitude"), (109, "latitude"), (118, "content"),
     (1000, "detail"), (2101, "detail"), (5000, "detail"), (1400, "detail")],
)  # fmt: skip
def test_a_missing_member_is_named(content_type: int, member: str) -> None:
    value = {**contents.SENT.get(content_type, {"detail": "x"}), SECRET: 1}
    del value[member]
    assert sent(content_type, value) == f"content.{member}: is required"


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        ("text", 7, "content.detail.text: must be string"),
        ("notificationType", "1", "content.detail.notificationType: must be integer"),
        ("mixType", 6, "content.detail.mixType: must be at most 5"),
        ("mixType", -1, "content.detail.mixType: must be at least 0"),
        ("pictureElem", SECRET, "content.detail.pictureElem: must be object"),
        ("pictureElem", {"sourcePicture": {"width": SECRET}},
         "content.detail.pictureElem.sourcePicture.width: must be integer"),
        ("soundElem", {"duration": SECRET}, "content.detail.soundElem.duration: must be integer"),
    ],
)  # fmt: skip
def test_the_detail_of_a_notice_is_checked(path: str, to: Any, expected: str) -> None:
    assert sent(1400, {"detail": json.dumps(changed(contents.NOTICE, path, to))}) == expected


def test_a_detail_that_is_no_notice() -> None:
    assert sent(1400, {"detail": SECRET}) == "content.detail: must be JSON"
    assert sent(1400, {"detail": "[]"}) == "content.detail: must be object"
    assert sent(1400, {"detail": "{}"}) == "content.detail.notificationName: is required"


def test_other_numbers() -> None:
    validate_content(121, b"[1]")
    for content_type in (116, 99, 0, -5, 500, 5001, 70_000):
        validate_content(content_type, b"\xff any bytes")
        assert problem(validate_content, content_type, b"") == "content: must not be empty"


def test_deep_nesting_is_an_argument_error_or_fine() -> None:
    for depth in (3, 100, 400, 5000):
        raw = b'{"quoteMessage":{"quoteElem":' * depth + b"{}" + b"}}" * depth
        refusal(114, raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["content", "text", "detail", "quoteMessage", "seq", "sourcePicture", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(contents.SENT)), json_values)
def test_any_json_passes_or_is_an_argument_error(content_type: int, value: Any) -> None:
    error = refusal(content_type, json.dumps(value).encode())
    assert error is None or error.detail.startswith("content")


# --- what administrators send ---------------------------------------------------------------------

ELEMENTS = {number: contents.SENT[number] for number in content.ELEMENT_TYPES if number != 1400}
ELEMENTS[1400] = contents.NOTICE


@pytest.mark.parametrize("content_type", content.ELEMENT_TYPES)
def test_elements(content_type: int) -> None:
    element = ELEMENTS[content_type]
    assert validate_element(content_type, element) is element
    for wrong in (None, [], SECRET, 5):
        assert problem(validate_element, content_type, wrong) == "content: must be object"


@pytest.mark.parametrize(
    ("content_type", "required"),
    [
        (101, "content"),
        (102, "sourcePicture bigPicture snapshotPicture"),
        (103, "sourceUrl duration"),
        (104, "videoUrl videoType videoSize duration snapshotUrl snapshotWidth snapshotHeight"),
        (105, "sourceUrl fileName fileSize"),
        (106, "atUserList"),
        (110, "data"),
        (118, "content"),
        (1400, "notificationName notificationType text"),
    ],
)
def test_required_members_of_elements(content_type: int, required: str) -> None:
    for name in required.split():
        element = dict(ELEMENTS[content_type])
        del element[name]
        assert problem(validate_element, content_type, element) == f"content.{name}: is required"
        element[name] = None
        assert f"content.{name}: must be" in problem(validate_element, content_type, element)


@pytest.mark.parametrize(
    ("content_type", "path", "to", "expected"),
    [
        (101, "content", "", "content.content: must not be empty"),
        (102, "bigPicture.url", "", "content.bigPicture.url: must not be empty"),
        (102, "bigPicture", {}, "content.bigPicture.type: is required"),
        (102, "sourcePicture.width", "1", "content.sourcePicture.width: must be integer"),
        (103, "duration", 0, "content.duration: must be at least 1"),
        (106, "atUserList", ["u"] * 1001, "content.atUserList: must have at most 1000 entries"),
        (114, "quoteMessage.seq", "1", "content.quoteMessage.seq: must be integer"),
        (1400, "notificationType", 0, "content.notificationType: must not be 0"),
        (1400, "mixType", 6, "content.mixType: must be at most 5"),
        (1400, "pictureElem", {}, "content.pictureElem.sourcePicture: is required"),
        (1400, "soundElem", {"sourceUrl": "", "duration": 0},
         "content.soundElem.sourceUrl: must not be empty"),
    ],
)  # fmt: skip
def test_wrong_elements(content_type: int, path: str, to: Any, expected: str) -> None:
    element = changed(ELEMENTS[content_type], path, to)
    assert problem(validate_element, content_type, element) == expected


@pytest.mark.parametrize("content_type", [0, 107, 108, 109, 111, 113, 117, 119, 2001])
def test_types_that_administrators_may_not_send(content_type: int) -> None:
    assert problem(validate_element, content_type, {}).startswith("contentType: must be one of")


# --- the older route ------------------------------------------------------------------------------

_EMPTY_PICTURE = {"uuid": "", "type": "", "size": 0, "width": 0, "height": 0, "url": ""}
LEGACY_NOTICE: dict[str, Any] = {
    "notificationName": "documents",
    "notificationFaceURL": "http://files.test/1",
    "notificationType": 1,
    "text": "hello",
    "externalUrl": "",
    "mixType": 0,
    "pictureElem": {
        "sourcePath": "",
        "sourcePicture": _EMPTY_PICTURE,
        "bigPicture": _EMPTY_PICTURE,
        "snapshotPicture": _EMPTY_PICTURE,
    },
    "soundElem": {"uuid": "", "soundPath": "", "sourceUrl": "", "dataSize": 0, "duration": 0},
    "videoElem": {"videoPath": "", "videoSize": 0, "duration": 0, "snapshotWidth": 0},
    "fileElem": {"filePath": "", "uuid": "", "sourceUrl": "", "fileName": "", "fileSize": 0},
    "ex": "",
}


@pytest.mark.parametrize(
    ("content_type", "element"),
    [
        (1400, LEGACY_NOTICE),
        (101, {"text": "a"}),
        (101, {"content": "a"}),
        (102, contents.PICTURE),
        (103, {}),
        (104, contents.VIDEO),
        (105, contents.FILE),
        (110, {"data": "{}", "description": "", "extension": ""}),
        *((number, {"any": 1}) for number in (106, 107, 108, 109, 111, 112, 114)),
    ],
)
def test_legacy_elements(content_type: int, element: dict[str, Any]) -> None:
    assert validate_legacy_element(content_type, element) is element


@pytest.mark.parametrize(
    ("content_type", "element", "expected"),
    [
        (101, {}, "content: must have text or content"),
        (101, {"text": 5}, "content.text: must be string"),
        (102, {"bigPicture": {"width": SECRET}}, "content.bigPicture.width: must be integer"),
        (105, {"fileSize": SECRET}, "content.fileSize: must be integer"),
        (110, {}, "content.data: is required"),
        (110, {"data": {}}, "content.data: must be string"),
        (112, [SECRET], "content: must be object"),
        (1400, changed(LEGACY_NOTICE, "mixType", 4), "content.mixType: must be at most 3"),
        (1400, changed(LEGACY_NOTICE, "notificationFaceURL", None),
         "content.notificationFaceURL: must be string"),
        (1400, changed(LEGACY_NOTICE, "pictureElem.bigPicture.size", "1"),
         "content.pictureElem.bigPicture.size: must be integer"),
    ],
)  # fmt: skip
def test_wrong_legacy_elements(content_type: int, element: Any, expected: str) -> None:
    assert problem(validate_legacy_element, content_type, element) == expected


def test_types_of_the_older_route() -> None:
    assert problem(validate_legacy_element, 113, {}).startswith("contentType")


@pytest.mark.parametrize("number", [106, 107, 114, 117])
def test_the_number_of_objects_is_bounded(number: int) -> None:
    """80,000 empty objects would hold a worker up for a quarter of a second."""
    objects = [{}] * (content.MAX_CONTAINERS + 1)
    body = {"multiMessage": objects, "messageEntityList": objects, "x": objects}
    with pytest.raises(ServiceError, match="objects and lists"):
        validate_content(number, json.dumps(body).encode())


def test_braces_in_a_text_are_no_objects() -> None:
    validate_content(101, json.dumps({"content": "{[" * content.MAX_CONTAINERS}).encode())
    data = json.dumps([{}] * (content.MAX_CONTAINERS + 1))
    validate_content(110, json.dumps({"data": data}).encode())
