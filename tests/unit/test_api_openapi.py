"""The API document says what the routes are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openim_trio.api import openapi
from openim_trio.api.converter import FieldProblem, fields_of, structure
from openim_trio.api.permissions import Who
from openim_trio.api.route_table import ROUTES
from openim_trio.api.routes import Empty, Route
from tests.support.api_bodies import example, malformed

FILE = Path(__file__).parents[2] / "schemas" / "openapi.json"
DOCUMENT = openapi.document(ROUTES)


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_bytes() == openapi.render(ROUTES), (
        "run: python -m openim_trio.api.openapi > schemas/openapi.json"
    )


def _strings(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            yield value[key]
        for inner in value.values():
            yield from _strings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)


def test_references_lead_somewhere() -> None:
    for reference in _strings(DOCUMENT, "$ref"):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_operations_have_names_of_their_own() -> None:
    names = list(_strings(DOCUMENT["paths"], "operationId"))
    assert len(names) == len(set(names)) == len(ROUTES)


def test_headers_follow_from_the_permission() -> None:
    def headers(path: str) -> list[str]:
        parameters = DOCUMENT["paths"][path]["post"]["parameters"]
        return [item["$ref"].rpartition("/")[2] for item in parameters]

    assert headers("/auth/parse_token") == ["operationID"]
    assert headers("/user/get_users_info") == ["operationID", "token"]
    assert headers("/manager/send_msg") == ["token"]


def test_marks_are_in_the_schemas() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["GetUserTokenResp"]["properties"]["expireTimeSeconds"]["format"] == "int64"
    assert schemas["RevokeMsgReq"]["required"] == ["conversationID", "seq", "userID"]
    assert schemas["RevokeMsgReq"]["properties"]["seq"]["minimum"] == 1
    assert schemas["RevokeMsgReq"]["properties"]["userID"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 256,
    }
    assert schemas["CreateGroupReq"]["properties"]["memberUserIDs"]["type"] == ["array", "null"]
    assert schemas["GetDesignateUsersReq"]["properties"]["userIDs"]["type"] == "array"
    assert schemas["MsgData"]["properties"]["content"]["contentEncoding"] == "base64"


def test_paths_are_the_protocols() -> None:
    for route in ROUTES:
        assert re.fullmatch(r"/[a-z]+/[a-z_]+", route.path), route.path
    paths = [route.path for route in ROUTES]
    assert len(paths) == len(set(paths))
    assert "/msg/delete_msg_phsical_by_seq" in paths


def test_only_two_routes_need_no_token() -> None:
    paths = [route.path for route in ROUTES if route.permission.who is Who.NONE]
    assert paths == ["/auth/get_admin_token", "/auth/parse_token"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_permissions_name_fields_that_exist(route: Route) -> None:
    for path in route.permission.fields:
        assert path.partition(".")[0] in fields_of(route.request)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_request_type_takes_its_example_and_survives_all_others(route: Route) -> None:
    structure(example(route.request), route.request)
    refused = 0
    for body in malformed(route.request):
        try:
            structure(body, route.request)
        except FieldProblem:
            refused += 1
    assert refused
    assert route.request is not Empty or refused == 5


def test_the_document_is_json() -> None:
    assert json.loads(FILE.read_bytes())["openapi"] == "3.1.0"
