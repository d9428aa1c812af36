"""Drafts: what each function makes, what it refuses, and what becomes of it on its way out."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource

from openim_trio.client import contents
from openim_trio.client.contents import AT_ALL, AtUser, Draft, Entity, OfflinePush, Picture
from openim_trio.client.drafts import FRAME_ROOM, MAX_FRAME
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.model import Message, MessageStatus
from openim_trio.domain import options
from openim_trio.domain.content import TYPED, validate_content
from openim_trio.wire.compression import compress
from openim_trio.wire.proto import sdkws_pb2
from tests.support.contents import SENT

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas" / "content"
URL = "https://files.test/p1"
SECRET = "do-not-quote-me"


def message(content_type: int = 101, value: Any = None, **members: Any) -> Message:
    raw = json.dumps({"content": "hi"} if value is None else value).encode()
    return Message(client_msg_id="c1", content_type=content_type, raw_content=raw, **members)


ENTITY = Entity(type="bold", offset=0, length=2, url=URL, ex="e")
SMALL = Picture(url=f"{URL}-small", width=64, height=48, size=100, mime="image/png", uuid="p2")
DRAFTS: dict[str, Draft] = {
    "text": contents.text("hi"),
    "empty_text": contents.text(""),
    "at_text": contents.at_text("@bob", ["bob"], [AtUser(user_id="bob", group_nickname="Bob")]),
    "at_all": contents.at_text("@all", [AT_ALL], quote=message()),
    "quote": contents.quote("yes", message()),
    "quote_entities": contents.quote("yes", message(), [ENTITY]),
    "advanced_text": contents.advanced_text("bold", [ENTITY]),
    "markdown": contents.markdown("# hi"),
    "picture": contents.picture(URL, width=640, height=480, size=1024, mime="image/png", uuid="p1"),
    "picture_sizes": contents.picture(URL, big=SMALL, snapshot=SMALL),
    "sound": contents.sound(URL, duration=3, size=4000, mime="audio/mp4", uuid="s1"),
    "video": contents.video(URL, duration=12),
    "video_snapshot": contents.video(
        URL, duration=12, size=9, mime="video/mp4", uuid="v1", snapshot=SMALL
    ),
    "file": contents.file(URL, "a.pdf", size=7, mime="application/pdf", uuid="f1"),
    "face": contents.face(3, "smile"),
    "merger": contents.merger("Talk", ["a: hi"], [message(), message(114, {"text": "x"})]),
    "card": contents.card("bob", "Bob", URL, "e"),
    "location": contents.location("here", 13.4, 52),
    "custom": contents.custom('{"a":1}', "d", "e"),
    "beside": contents.custom_not_trigger_conversation("x"),
    "online_only": contents.custom_online_only("x"),
    "typing": contents.typing(True),
}
OF_OLD = {111, 112}
"""content types that nobody sends any more"""


def value(draft: Draft) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(draft.content)
    return parsed


def problem(make: Callable[[], Any]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def sent(draft: Draft, **arguments: Any) -> sdkws_pb2.MsgData:
    known: dict[str, Any] = {
        "sender": "alice", "sender_nickname": "Alice", "sender_face_url": "f", "platform": 7,
    }  # fmt: skip
    target = {} if {"to", "group"} & arguments.keys() else {"to": "bob"}
    return contents.message_data(draft, **(known | target | arguments))


# --- each type ------------------------------------------------------------------------------------


def _registry() -> Registry[Any]:
    schemas = (json.loads(path.read_text()) for path in SCHEMAS.glob("*.json"))
    return Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )


REGISTRY = _registry()


def test_every_type_can_be_made() -> None:
    assert {draft.content_type for draft in DRAFTS.values()} == TYPED - OF_OLD


@pytest.mark.parametrize("name", DRAFTS)
def test_the_server_takes_it(name: str) -> None:
    draft = DRAFTS[name]
    validate_content(draft.content_type, draft.content)
    schema = json.loads((SCHEMAS / f"{draft.content_type}.json").read_text())
    validator = jsonschema.Draft7Validator(schema, registry=REGISTRY)
    validator.validate(value(draft))
    # Only members that the protocol names, or they would be lost on others' devices.
    assert value(draft).keys() <= schema["properties"].keys()
    assert sent(draft).content == draft.content
    assert hash(draft) == hash(attrs.evolve(draft))


def test_texts() -> None:
    assert value(DRAFTS["text"]) == {"content": "hi"}
    assert value(DRAFTS["markdown"]) == {"content": "# hi"}
    assert value(DRAFTS["advanced_text"]) == {
        "text": "bold",
        "messageEntityList": [{"type": "bold", "offset": 0, "length": 2, "url": URL, "ex": "e"}],
    }


def test_mentions() -> None:
    draft = contents.at_text("@bob @carl", ["bob", "carl", "bob"])
    assert draft.at_user_ids == ("bob", "carl")
    assert value(draft)["atUserList"] == ["bob", "carl"]
    assert sent(draft, group="g").atUserIDList == ["bob", "carl"]
    assert value(DRAFTS["at_text"])["atUsersInfo"] == [{"atUserID": "bob", "groupNickname": "Bob"}]
    assert DRAFTS["at_all"].at_user_ids == ("AtAllTag",)
    assert contents.at_text("", map(str, range(10))).at_user_ids == tuple("0123456789")


def test_pictures() -> None:
    made = value(DRAFTS["picture"])
    assert made["sourcePicture"] == made["bigPicture"]
    assert made["sourcePicture"] == {
        "uuid": "p1", "type": "image/png", "size": 1024, "width": 640, "height": 480, "url": URL,
    }  # fmt: skip
    small = made["snapshotPicture"]
    assert small["url"] == f"{URL}?type=image&width=640&height=640"
    assert (small["width"], small["height"]) == (640, 640)
    with_query = contents.picture(f"{URL}?a=%20b&a=#c")
    assert value(with_query)["snapshotPicture"]["url"] == (
        f"{URL}?a=%20b&a=&type=image&width=640&height=640#c"
    )
    given = value(DRAFTS["picture_sizes"])
    assert given["bigPicture"] == given["snapshotPicture"]
    assert given["snapshotPicture"]["url"] == f"{URL}-small"


def test_other_media() -> None:
    assert value(DRAFTS["sound"]) == {
        "uuid": "s1", "sourceUrl": URL, "dataSize": 4000, "duration": 3, "soundType": "audio/mp4",
    }  # fmt: skip
    assert value(DRAFTS["video_snapshot"]) == {
        "videoUUID": "v1", "videoUrl": URL, "videoType": "video/mp4", "videoSize": 9,
        "duration": 12, "snapshotUUID": "p2", "snapshotSize": 100, "snapshotUrl": f"{URL}-small",
        "snapshotWidth": 64, "snapshotHeight": 48, "snapshotType": "image/png",
    }  # fmt: skip
    assert value(DRAFTS["video"])["snapshotUrl"] == ""
    assert value(DRAFTS["file"]) == {
        "uuid": "f1", "sourceUrl": URL, "fileName": "a.pdf", "fileSize": 7,
        "fileType": "application/pdf",
    }  # fmt: skip
    assert value(DRAFTS["face"]) == {"index": 3, "data": "smile"}


def test_cards_places_and_custom_ones() -> None:
    assert value(DRAFTS["card"]) == {
        "userID": "bob", "nickname": "Bob", "faceURL": URL, "ex": "e",
    }  # fmt: skip
    assert value(DRAFTS["location"]) == {
        "description": "here", "longitude": 13.4, "latitude": 52,
    }  # fmt: skip
    assert value(DRAFTS["custom"]) == {"data": '{"a":1}', "description": "d", "extension": "e"}


def test_what_is_not_stored_says_so() -> None:
    off = dict.fromkeys(options.ONLINE_ONLY, False)
    for name in ("typing", "online_only"):
        assert dict(DRAFTS[name].options) == off
        assert dict(sent(DRAFTS[name]).options) == off
    assert value(contents.typing(True)) == {"msgTips": "yes"}
    assert value(contents.typing(False)) == {"msgTips": "no"}
    beside = sent(DRAFTS["beside"])
    assert not beside.options[options.CONVERSATION_UPDATE]
    assert options.is_on(beside.options, options.HISTORY)


# --- messages in messages -------------------------------------------------------------------------

WHOLE = message(
    server_msg_id="s1", conversation_id="si_alice_bob", send_id="bob", recv_id="alice",
    session_type=1, seq=7, send_time=11, create_time=10, is_read=True, sender_nickname="Bob",
    sender_face_url="f", sender_platform=2, attached_info="null", ex="e",
)  # fmt: skip


def test_a_quoted_message() -> None:
    assert value(contents.quote("yes", WHOLE))["quoteMessage"] == {
        "clientMsgID": "c1", "serverMsgID": "s1", "createTime": 10, "sendTime": 11,
        "sessionType": 1, "sendID": "bob", "recvID": "alice", "msgFrom": 100, "contentType": 101,
        "senderPlatformID": 2, "senderNickname": "Bob", "senderFaceUrl": "f", "seq": 7,
        "isRead": True, "status": 2, "attachedInfo": "null", "ex": "e",
        "textElem": {"content": "hi"},
    }  # fmt: skip


def test_what_is_empty_is_left_out() -> None:
    quoted = value(contents.quote("yes", message()))["quoteMessage"]
    assert not {"serverMsgID", "groupID", "senderFaceUrl", "attachedInfo", "ex"} & quoted.keys()


@pytest.mark.parametrize("content_type", sorted(TYPED - OF_OLD - {106, 114}))
def test_each_type_has_its_element(content_type: int) -> None:
    found = value(contents.quote("yes", message(content_type, SENT[content_type])))
    quoted = found["quoteMessage"]
    [element] = (name for name in quoted if name.endswith("Elem"))
    assert quoted[element] == SENT[content_type]
    schema = json.loads((SCHEMAS / "message.json").read_text())["properties"]
    shape = schema[element]["then"]["$ref"]
    assert shape == f"{110 if content_type in (119, 120) else content_type}.json"


def test_quotes_are_not_nested() -> None:
    quoting = message(114, {"text": "second", "quoteMessage": {"textElem": {"content": SECRET}}})
    quoted = value(contents.quote("third", quoting))["quoteMessage"]
    assert (quoted["contentType"], quoted["textElem"]) == (101, {"content": "second"})
    assert "quoteElem" not in quoted
    mention = message(106, {"text": "@a", "quoteMessage": {"textElem": {"content": SECRET}}})
    quoted = value(contents.at_text("fourth", ["a"], quote=mention))["quoteMessage"]
    assert quoted["atTextElem"] == {"text": "@a"}


@pytest.mark.parametrize("text", [None, ""])
def test_a_quote_without_a_text(text: str | None) -> None:
    quoted = value(contents.quote("x", message(114, {"text": text})))["quoteMessage"]
    assert quoted["textElem"] == {"content": ""}


def test_a_forwarded_quote_keeps_what_it_quotes() -> None:
    inner = {"text": "second", "quoteMessage": {"clientMsgID": "c0"}}
    [found] = value(contents.merger("", [], [message(114, inner)]))["multiMessage"]
    assert found["quoteElem"] == inner


def test_a_forwarded_bundle() -> None:
    bundle = contents.merger("t", ["a"], (WHOLE for _ in range(3)))
    again = contents.merger("t2", [], [message(107, value(bundle))])
    [found] = value(again)["multiMessage"]
    assert found["mergeElem"] == value(bundle)


def test_a_notice_is_quoted_as_one() -> None:
    quoted = value(contents.quote("?", message(2101, {"detail": "{}"})))["quoteMessage"]
    assert quoted["notificationElem"] == {"detail": "{}"}
    assert quoted["msgFrom"] == 200


@pytest.mark.parametrize(
    ("content_type", "raw", "expected"),
    [(101, b"{}", "{}"), (101, b"\xff", "�"), (4242, b"any", "any"), (102, b"[]", "[]")],
)
def test_foreign_content_is_quoted_as_text(content_type: int, raw: bytes, expected: str) -> None:
    """Another server may have let anything pass; the answer to it has to be valid all the same."""
    found = Message(client_msg_id="c1", content_type=content_type, raw_content=raw)
    quoted = value(contents.quote("?", found))["quoteMessage"]
    assert quoted["content"] == expected
    assert not any(name.endswith("Elem") for name in quoted)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(MessageStatus.SENDING, 1), (MessageStatus.UNKNOWN, 1), (MessageStatus.FAILED, 3)],
)
def test_only_statuses_that_others_know(status: MessageStatus, expected: int) -> None:
    quoted = value(contents.quote("x", message(status=status)))["quoteMessage"]
    assert quoted["status"] == expected


# --- bad arguments --------------------------------------------------------------------------------

DELETED = message(status=MessageStatus.DELETED)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: contents.text(5), "content: must be a string"),
        (lambda: contents.text(b"x"), "content: must be a string"),
        (lambda: contents.text("\ud800"), "content: holds half a surrogate pair"),
        (lambda: contents.markdown(None), "content: must be a string"),
        (lambda: contents.at_text("x", []), "at_user_ids: mentions nobody"),
        (lambda: contents.at_text("x", "bob"), "at_user_ids: must be several, not one string"),
        (lambda: contents.at_text("x", ["u"] * 11), "at_user_ids: holds more than 10"),
        (lambda: contents.at_text("x", ["a", ""]), "at_user_ids[1]: must not be empty"),
        (lambda: contents.at_text("x", ["u" * 65]),
         "at_user_ids[0]: longer than 64 characters"),
        (lambda: contents.at_text("x", ["u"], ["u"]),
         "infos[0]: must be AtUser"),
        (lambda: contents.at_text("x", ["u"], [AtUser(user_id="")]),
         "infos[0].user_id: must not be empty"),
        (lambda: contents.at_text("x", ["u"], quote=DELETED), "quote: was deleted"),
        (lambda: contents.quote("x", DELETED), "message: was deleted"),
        (lambda: contents.quote("x", "c1"), "message: must be a Message"),
        (lambda: contents.quote("x", message(), [ENTITY, 5]),
         "entities[1]: must be Entity"),
        (lambda: contents.advanced_text("x", [Entity(type="", offset=0, length=0)]),
         "entities[0].type: must not be empty"),
        (lambda: contents.advanced_text("x", [Entity(type="b", offset=-1, length=0)]),
         "entities[0].offset: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.picture(""), "url: must not be empty"),
        (lambda: contents.picture("/tmp/do-not-quote-me.png"),
         "url: must be a URL that others can open"),
        (lambda: contents.picture("C:\\do-not-quote-me.png"),
         "url: must be a URL that others can open"),
        (lambda: contents.picture("https://[do-not-quote-me"),
         "url: must be a URL that others can open"),
        (lambda: contents.picture(URL, width=-1),
         "width: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.picture(URL, height=1.5),
         "height: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.picture(URL, size=2**53),
         "size: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.picture(URL, size=True),
         "size: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.picture(URL, snapshot=Picture(url="x")),
         "snapshot.url: must be a URL that others can open"),
        (lambda: contents.picture(URL, big=URL),
         "big: must be Picture"),
        (lambda: contents.sound("", duration=1), "url: must not be empty"),
        (lambda: contents.sound(URL, duration=-1),
         "duration: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.sound(URL, duration=1, mime=5),
         "mime: must be a string"),
        (lambda: contents.video("x", duration=1), "url: must be a URL that others can open"),
        (lambda: contents.video(URL, duration=1, snapshot=Picture(url=URL, width=-1)),
         "snapshot.width: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.file(URL, ""), "name: must not be empty"),
        (lambda: contents.file("a.pdf", "a.pdf"), "url: must be a URL that others can open"),
        (lambda: contents.face(-1), "index: must be an integer from 0 to 2**53 - 1"),
        (lambda: contents.merger("t", [], []), "messages: must not be empty"),
        (lambda: contents.merger("t", [], [message(), DELETED]), "messages[1]: was deleted"),
        (lambda: contents.merger("t", "a", [message()]),
         "abstracts: must be several, not one string"),
        (lambda: contents.card("", "Bob"), "user_id: must not be empty"),
        (lambda: contents.card("u" * 65, "Bob"), "user_id: longer than 64 characters"),
        (lambda: contents.location("x", 180.1, 0), "longitude: must be from -180 to 180"),
        (lambda: contents.location("x", 0, -91), "latitude: must be from -90 to 90"),
        (lambda: contents.location("x", float("nan"), 0), "longitude: must be a finite number"),
        (lambda: contents.location("x", 0, "52"),
         "latitude: must be a finite number"),
        (lambda: contents.custom({"a": 1}), "data: must be a string"),
        (lambda: contents.custom_online_only("x", "y", 5),
         "extension: must be a string"),
        (lambda: contents.custom_not_trigger_conversation("x", b"y"),
         "description: must be a string"),
        (lambda: contents.typing("yes"),
         "now: must be True or False"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_named(make: Callable[[], Any], expected: str) -> None:
    assert problem(make) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"content": b"plain"}, "content: must be JSON"),
        ({"content": b""}, "content: must not be empty"),
        ({"content": b'{"content":5}'}, "content.content: must be string"),
        ({"content": '{"content":"x"}'}, "content: must be bytes"),
        ({"at_user_ids": "bob"}, "at_user_ids: must be several, not one string"),
        ({"at_user_ids": [5]}, "at_user_ids[0]: must be a string"),
        ({"options": {"history": 1}}, "options['history']: must be True or False"),
        ({"options": {"": True}}, "options: must not be empty"),
        ({"ex": {}}, "ex: must be a string"),
        ({"attached_info": None}, "attached_info: must be a string"),
    ],
)
def test_drafts_of_ones_own_are_checked(members: dict[str, Any], expected: str) -> None:
    arguments: dict[str, Any] = {"content_type": 101, "content": b'{"content":"x"}'}
    assert problem(lambda: Draft(**(arguments | members))) == expected


def test_what_a_push_shows_is_checked() -> None:
    wrong: Any = 5
    assert problem(lambda: OfflinePush(title=wrong)) == "offline_push.title: must be a string"
    assert problem(lambda: OfflinePush(ios_badge_count=wrong)) == (
        "offline_push.ios_badge_count: must be True or False"
    )


def test_a_draft_does_not_change_or_show_its_content() -> None:
    switches = {"history": False}
    draft = attrs.evolve(contents.text(SECRET), options=switches)
    switches["history"] = True
    assert draft.options == {"history": False}
    with pytest.raises(TypeError):
        draft.options["history"] = True
    assert SECRET not in repr(draft)
    assert draft != contents.text(SECRET)


# --- the message ----------------------------------------------------------------------------------


def test_a_message_to_a_user() -> None:
    push = OfflinePush(title="t", desc="d", ex="x", ios_push_sound="s", ios_badge_count=True)
    draft = attrs.evolve(
        contents.text("hi"), options={"offlinePush": False}, attached_info="null", ex="e",
        offline_push=push,
    )  # fmt: skip
    made = sent(draft, to="bob", client_msg_id="c1")
    assert made == sdkws_pb2.MsgData(
        sendID="alice", recvID="bob", clientMsgID="c1", senderPlatformID=7, senderNickname="Alice",
        senderFaceURL="f", sessionType=1, msgFrom=100, contentType=101,
        content=b'{"content":"hi"}', status=1, options={"offlinePush": False},
        attachedInfo="null", ex="e",
        offlinePushInfo=sdkws_pb2.OfflinePushInfo(
            title="t", desc="d", ex="x", iOSPushSound="s", iOSBadgeCount=True
        ),
    )  # fmt: skip


def test_a_message_to_a_group() -> None:
    made = sent(contents.text("hi"), group="g")
    assert (made.sessionType, made.groupID, made.recvID) == (3, "g", "")
    assert (made.createTime, made.sendTime, made.seq) == (0, 0, 0)
    assert not made.HasField("offlinePushInfo")


def test_ids_are_new_and_hex() -> None:
    made = {sent(contents.text("hi")).clientMsgID for _ in range(100)}
    assert len(made) == 100
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in made)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"to": "bob", "group": "g"}, "to, group: exactly one of them"),
        ({"to": ""}, "to, group: exactly one of them"),
        ({"to": "b" * 65}, "to: longer than 64 characters"),
        ({"to": 5}, "to: must be a string"),
        ({"group": "g" * 65}, "group: longer than 64 characters"),
        ({"group": "\udfff"}, "group: holds half a surrogate pair"),
        ({"sender": ""}, "sender: must not be empty"),
        ({"client_msg_id": "c" * 65}, "client_msg_id: longer than 64 characters"),
        ({"sender_nickname": None}, "sender_nickname: must be a string"),
        ({"platform": 99}, "platform: no such number"),
    ],
)
def test_bad_addresses(arguments: dict[str, Any], expected: str) -> None:
    assert problem(lambda: sent(contents.text("hi"), **arguments)) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"content_type": 2001, "content": b'{"detail":"{}"}'},
         "content_type: 2001 is the server's own"),
        ({"content_type": 0}, "content_type: must be positive"),
        ({"options": {"isNotNotification": False}},
         "options.isNotNotification: may not be false"),
        ({"options": {str(n): True for n in range(33)}}, "options: holds more than 32 keys"),
        ({"at_user_ids": ["u"] * 1001}, "at_user_ids: holds more than 1000 items"),
        ({"content": b'{"content":"%s"}' % (b"x" * 256 * 1024)},
         "content: larger than 262144 bytes"),
        ({"ex": "x" * 400_000}, "draft: larger than 393216 bytes"),
    ],
)  # fmt: skip
def test_what_the_server_would_refuse_is_refused_here(
    members: dict[str, Any], expected: str
) -> None:
    draft = attrs.evolve(contents.text("hi"), **members)
    assert problem(lambda: sent(draft)) == expected


def test_what_does_not_fit_a_frame_is_refused() -> None:
    """The server would close the connection over it, again and again."""
    noise = random.Random(7).randbytes(100_000).hex()
    limit = MAX_FRAME - FRAME_ROOM
    expected = f"draft: larger than {limit} bytes when compressed"
    assert problem(lambda: sent(contents.text(noise))) == expected
    fits = sent(contents.text(noise[:80_000]), client_msg_id="c1")
    assert len(compress(fits.SerializeToString())) <= limit < fits.ByteSize()
    assert sent(contents.text("x" * 200_000)).content


# --- anything -------------------------------------------------------------------------------------

anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.lists(st.text(), max_size=3) | st.just(message())
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(
        [
            contents.text, contents.at_text, contents.quote, contents.advanced_text,
            contents.markdown, contents.picture, contents.file, contents.face, contents.merger,
            contents.card, contents.location, contents.custom, contents.typing,
        ]
    ),
    st.lists(anything, min_size=1, max_size=3),
)  # fmt: skip
def test_any_arguments_make_a_valid_draft_or_are_refused(
    make: Callable[..., Draft], arguments: list[Any]
) -> None:
    try:
        draft = make(*arguments)
    except InvalidArgument:
        return
    except TypeError as error:
        assert "argument" in str(error)  # noqa: PT017  (a wrong number of arguments is Python's)
        return
    validate_content(draft.content_type, draft.content)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(TYPED)), st.binary(max_size=30), st.sampled_from(MessageStatus))
def test_any_message_can_be_quoted(content_type: int, raw: bytes, status: MessageStatus) -> None:
    found = Message(client_msg_id="c1", content_type=content_type, raw_content=raw, status=status)
    try:
        draft = contents.quote("x", found)
    except InvalidArgument:
        assert status is MessageStatus.DELETED
        return
    validate_content(draft.content_type, draft.content)
