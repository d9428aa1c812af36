"""Fixtures: engines once a run, an empty database and key prefix for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pymongo
import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from tests.support import engines


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    with engines.mongo_replica_set() as uri:
        yield uri


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with engines.redis_server() as url:
        yield url


@pytest.fixture
def mongo_config(mongo_uri: str) -> Iterator[MongoConfig]:
    """Settings for an empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield MongoConfig(uri=mongo_uri, database=name)
    with pymongo.MongoClient(mongo_uri) as client:
        client.drop_database(name)


@pytest.fixture
def redis_config(redis_url: str) -> RedisConfig:
    """Settings with a key prefix of this test's own."""
    return RedisConfig(url=redis_url, prefix=f"t{uuid.uuid4().hex[:8]}:")
