"""What every route does alike, with routes made for the test and services that know one token."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import Any

import attrs
import orjson
import pytest
import trio
from quart_trio import QuartTrio

from openim_trio.api.endpoint import Surroundings, endpoint, within
from openim_trio.api.marks import Text
from openim_trio.api.permissions import (
    ADMIN,
    ANY,
    GADMIN,
    MEMBER,
    NONE,
    SELF,
    SELFIN,
    Permission,
    check_permission,
)
from openim_trio.api.routes import Call, Empty, Route, route
from openim_trio.api.transport import bare_app
from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.model import ApiConfig, Config
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.groups import Membership
from openim_trio.domain.platforms import Platform
from openim_trio.observability.metrics import Metrics

HEADERS = {"operationID": "op1", "token": "good"}
ALICE = Actor("alice", Platform.IOS, is_admin=False)
ROOT = Actor("root", Platform.ADMIN, is_admin=True)
ROLES = {"g1": {"alice": 100, "bob": 20}}


@attrs.frozen(kw_only=True)
class Named:
    userID: str


@attrs.frozen(kw_only=True)
class Ask:
    userID: Text
    other: str = ""
    groups: list[str] = attrs.field(factory=list)
    inner: list[Named] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Told:
    words: str
    items: list[str]


class Tokens:
    async def check(self, token: str) -> Actor:
        if token == "good":
            return ALICE
        raise ServiceError(Code.TOKEN_MALFORMED, "not a token")


class Groups:
    async def members(self, group_id: str) -> Any:
        roles = ROLES.get(group_id, {})
        return Membership(group_id, roles, frozenset(roles), {})


async def echo(call: Call, request: Ask) -> Told:
    return Told(words=f"{call.actor.user_id} asks for <{request.userID}>", items=[])


async def big(call: Call, request: Ask) -> Told:
    return Told(words="x" * 5000, items=[])


async def nothing(call: Call, request: Ask) -> Empty:
    return Empty()


async def refuse(call: Call, request: Ask) -> Empty:
    raise ServiceError(Code.GROUP_DISMISSED, "groupID: gone")


async def crash(call: Call, request: Ask) -> Empty:
    raise KeyError("password=hunter2")


async def no_store(call: Call, request: Ask) -> Empty:
    raise StoreUnavailable("mongodb://user:secret@host")


async def forever(call: Call, request: Ask) -> Empty:
    await trio.sleep_forever()
    return Empty()


ROUTES = [
    route("/t/echo", Ask, Told, ANY, echo),
    route("/t/open", Ask, Told, NONE, echo),
    route("/t/self", Ask, Told, SELF("userID"), echo),
    route("/t/strict", Ask, Told, ANY, echo, bad_body=400),
    route("/t/big", Ask, Told, ANY, big),
    route("/t/nothing", Ask, Empty, ANY, nothing),
    route("/t/refuse", Ask, Empty, ANY, refuse),
    route("/t/crash", Ask, Empty, ANY, crash),
    route("/t/no_store", Ask, Empty, ANY, no_store),
    route("/t/forever", Ask, Empty, ANY, forever, seconds=0.01),
]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(metrics: Metrics) -> QuartTrio:
    config = Config(api=ApiConfig(max_body=10_000))
    services: Any = SimpleNamespace(tokens=Tokens(), groups=Groups())
    around = Surroundings(services, config, metrics)
    app = bare_app("test", config.api.max_body)
    for each in ROUTES:
        app.add_url_rule(each.path, each.path, endpoint(each, around), methods=["POST"])
    return app


async def post(
    app: QuartTrio, path: str, body: Any = None, headers: dict[str, str] = HEADERS
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else orjson.dumps({"userID": "u"} | (body or {}))
    response = await app.test_client().post(path, data=data, headers=headers)
    return response.status_code, orjson.loads(await response.get_data())


async def test_success_has_data_and_escapes_html(app: QuartTrio) -> None:
    response = await app.test_client().post("/t/echo", data=b'{"userid":"u"}', headers=HEADERS)
    assert response.status_code == 200
    assert response.content_type.startswith("application/json")
    assert await response.get_data() == (
        b'{"errCode":0,"errMsg":"","errDlt":"",'
        b'"data":{"words":"alice asks for \\u003cu\\u003e","items":null}}'
    )


async def test_a_response_without_fields_has_no_data(app: QuartTrio) -> None:
    status, answer = await post(app, "/t/nothing")
    assert (status, answer) == (200, {"errCode": 0, "errMsg": "", "errDlt": ""})


async def test_the_operation_id_is_asked_for_before_the_token(app: QuartTrio) -> None:
    _, answer = await post(app, "/t/echo", headers={})
    assert answer == {
        "errCode": 1001,
        "errMsg": "ArgsError",
        "errDlt": "header must have operationID",
    }


async def test_a_token_is_asked_for_before_the_body_is_looked_at(app: QuartTrio) -> None:
    _, answer = await post(app, "/t/echo", b"{", headers={"operationID": "op1"})
    assert (answer["errCode"], answer["errDlt"]) == (1001, "header must have token")
    _, answer = await post(app, "/t/echo", b"{", headers={"operationID": "op1", "token": "bad"})
    assert answer["errCode"] == 1503


async def test_open_routes_need_no_token_but_an_operation_id(app: QuartTrio) -> None:
    _, answer = await post(app, "/t/open", headers={"operationID": "op1"})
    assert answer["errCode"] == 0
    _, answer = await post(app, "/t/open", headers={})
    assert answer["errCode"] == 1001


async def test_the_permission_is_checked_after_the_body(app: QuartTrio) -> None:
    _, answer = await post(app, "/t/self", {"userID": "bob"})
    assert answer["errCode"] == 1002
    assert "data" not in answer
    _, answer = await post(app, "/t/self", b"{}")
    assert (answer["errCode"], answer["errDlt"]) == (1001, "userID: is required")
    _, answer = await post(app, "/t/self", {"userID": "alice"})
    assert answer["errCode"] == 0


async def test_bad_bodies(app: QuartTrio) -> None:
    for body in (b"{", b"[]", b"5", b'{"userID":5}', b"userID=5", b"[" * 5000):
        status, answer = await post(app, "/t/echo", body)
        assert (status, answer["errCode"]) == (200, 1001), body
        status, answer = await post(app, "/t/strict", body)
        assert (status, answer["errCode"]) == (400, 1001), body


async def test_a_body_that_is_too_large_is_refused(app: QuartTrio) -> None:
    status, answer = await post(app, "/t/echo", b'{"userID":"' + b"x" * 20_000 + b'"}')
    assert (status, answer["errCode"]) == (200, 1001)
    assert answer["errDlt"] == "body: larger than 10000 bytes"


async def test_errors_of_services_keep_their_code(app: QuartTrio) -> None:
    status, answer = await post(app, "/t/refuse")
    assert status == 200
    assert answer == {
        "errCode": 1204,
        "errMsg": "DismissedAlreadyError",
        "errDlt": "groupID: gone",
    }


async def test_a_crash_shows_nothing_of_its_insides(app: QuartTrio) -> None:
    status, answer = await post(app, "/t/crash")
    assert (status, answer["errCode"]) == (500, 500)
    assert "hunter2" not in str(answer)
    status, answer = await post(app, "/t/no_store")
    assert (status, answer["errCode"]) == (200, 90002)
    assert "secret" not in str(answer)


async def test_a_handler_is_given_so_much_time(app: QuartTrio) -> None:
    status, answer = await post(app, "/t/forever")
    assert (status, answer["errCode"]) == (200, 90002)


async def test_a_client_that_goes_away_leaves_nothing_half_done() -> None:
    steps = []

    async def work() -> None:
        steps.append("begun")
        await trio.lowlevel.checkpoint()
        steps.append("done")

    with trio.CancelScope() as client:
        client.cancel()
        await within(5, work)
    assert steps == ["begun", "done"]


async def test_unknown_paths_and_methods_are_plain_text(app: QuartTrio) -> None:
    for method, path in (
        ("POST", "/nowhere"),
        ("GET", "/t/echo"),
        ("GET", "/"),
        ("PUT", "/t/echo"),
    ):
        response = await app.test_client().open(path, method=method)
        assert response.status_code == 404
        assert response.content_type.startswith("text/plain")


async def test_options_on_any_path(app: QuartTrio) -> None:
    for path in ("/t/echo", "/nowhere"):
        response = await app.test_client().options(path)
        assert response.status_code == 200
        assert await response.get_data() == b'"Options Request!"'
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_every_answer_can_be_read_by_browsers_and_told_apart(app: QuartTrio) -> None:
    ids = set()
    for path in ("/t/echo", "/t/crash", "/nowhere"):
        response = await app.test_client().post(path, data=b'{"userID":"u"}', headers=HEADERS)
        assert response.headers["Access-Control-Allow-Methods"] == "*"
        assert response.headers["Access-Control-Max-Age"] == "172800"
        ids.add(response.headers["X-HTTP-ID"])
    assert len(ids) == 3


async def test_gzip_only_for_those_who_ask(app: QuartTrio) -> None:
    async def fetch(path: str, **headers: str) -> tuple[str | None, bytes]:
        response = await app.test_client().post(
            path, data=b'{"userID":"u"}', headers={**HEADERS, **headers}
        )
        return response.headers.get("Content-Encoding"), await response.get_data()

    encoding, plain = await fetch("/t/big")
    assert encoding is None
    encoding, packed = await fetch("/t/big", **{"Accept-Encoding": "gzip"})
    assert encoding == "gzip"
    assert len(packed) < len(plain)
    assert gzip.decompress(packed) == plain
    assert (await fetch("/t/big", **{"Accept-Encoding": "gzip;q=0, deflate"}))[0] is None
    assert (await fetch("/t/echo", **{"Accept-Encoding": "gzip"}))[0] is None


async def test_requests_are_counted_by_route_and_code(app: QuartTrio, metrics: Metrics) -> None:
    await post(app, "/t/echo")
    await post(app, "/t/refuse")
    await post(app, "/t/refuse")

    def count(path: str, code: str) -> float | None:
        return metrics.registry.get_sample_value(
            "openim_trio_rest_requests_total", {"route": path, "code": code}
        )

    assert count("/t/echo", "0") == 1
    assert count("/t/refuse", "1204") == 2


BOB = Actor("bob", Platform.IOS, is_admin=False)
CAROL = Actor("carol", Platform.IOS, is_admin=False)


@pytest.mark.parametrize(
    ("permission", "ask", "allowed", "refused"),
    [
        (ADMIN, Ask(userID="alice"), [ROOT], [ALICE, BOB]),
        (SELF("userID"), Ask(userID="alice"), [ROOT, ALICE], [BOB]),
        (SELFIN("userID", "other"), Ask(userID="bob", other="alice"), [ROOT, ALICE, BOB], [CAROL]),
        (MEMBER("groups"), Ask(userID="u", groups=["g1"]), [ROOT, ALICE, BOB], [CAROL]),
        (MEMBER("groups"), Ask(userID="u", groups=["g1", "g2"]), [ROOT], [ALICE, BOB]),
        (GADMIN("groups"), Ask(userID="u", groups=["g1"]), [ROOT, ALICE], [BOB, CAROL]),
        (
            SELF("inner.userID"),
            Ask(userID="u", inner=[Named(userID="bob")]),
            [ROOT, BOB],
            [ALICE, CAROL],
        ),
    ],
)
async def test_permissions(
    permission: Permission, ask: Ask, allowed: list[Actor], refused: list[Actor]
) -> None:
    groups: Any = Groups()
    for actor in allowed:
        await check_permission(permission, actor, ask, groups)
    for actor in refused:
        with pytest.raises(ServiceError) as caught:
            await check_permission(permission, actor, ask, groups)
        assert caught.value.code is Code.NO_PERMISSION


def test_a_route_says_all_of_it() -> None:
    assert route("/a/b", Ask, Told, ANY, echo) == Route("/a/b", Ask, Told, ANY, echo)
