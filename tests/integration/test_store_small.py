"""Tokens, hidden messages, bounds, send status."""

from __future__ import annotations

import time

import attrs

from openim_trio.config.model import MongoConfig
from openim_trio.domain.records import TokenRecord, TokenState
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import open_store

LATER = time.time_ns() // 10**9 + 3_600


def token(name: str, user_id: str = "u", issued_at: int = 1) -> TokenRecord:
    return TokenRecord(name, user_id, 2, TokenState.NORMAL, issued_at, LATER)


async def test_tokens(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        for item in (token("t2", issued_at=2), token("t1"), token("x", "other")):
            await store.tokens.add(item)
        assert await store.tokens.get("t1") == token("t1")
        assert await store.tokens.get("none") is None
        assert await store.tokens.of_user("u") == [token("t1"), token("t2", issued_at=2)]
        await store.tokens.set_state(["t1", "none"], TokenState.KICKED)
        await store.tokens.set_expiry(["x"], LATER + 300)
        await store.tokens.delete(["t2"])
        await store.tokens.delete([])
        assert await store.tokens.of_user("u") == [attrs.evolve(token("t1"), state=2)]
        assert await store.tokens.get("x") == attrs.evolve(
            token("x", "other"), expires_at=LATER + 300
        )


async def test_hidden_messages(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.hidden.add("u", "c", [3, 5, 5, 9, 0, 2**70])
        await store.hidden.add("u", "c", [5, 7])
        await store.hidden.add("u", "d", [1])
        await store.hidden.add("v", "c", [4])
        await store.hidden.add("u", "c", [])
        found = await store.hidden.within("u", [("c", 4, 8), ("d", 2, 5), ("e", 1, 2**80)])
        assert found == {"c": {5, 7}}
        assert await store.hidden.within("u", [("c", 1, 3), ("c", 9, 9), ("d", -1, 2**80)]) == {
            "c": {3, 9}, "d": {1},
        }  # fmt: skip
        assert await store.hidden.within("u", []) == {}


async def test_bounds_only_rise(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.bounds.raise_min_seq("c", 5)
        await store.bounds.raise_min_seq("c", 3)
        assert await store.bounds.min_seqs(["c", "d"]) == {"c": 5}
        assert await store.bounds.min_seqs([]) == {}


async def test_send_status(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        assert await store.send_status.get("op") == 0
        await store.send_status.put("op", 1)
        await store.send_status.put("op", 2)
        assert await store.send_status.get("op") == 2
