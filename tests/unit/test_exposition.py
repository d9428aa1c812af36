"""Figures of several workers as one text."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from openim_trio.observability.exposition import Samples, SamplesError, dump, render
from openim_trio.observability.metrics import Metrics

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _parse(text: bytes) -> Values:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def _worker(connections: int, codes: dict[str, int]) -> Samples:
    metrics = Metrics()
    metrics.connections.set(connections)
    for code, count in codes.items():
        metrics.handshakes.labels(code).inc(count)
    metrics.append_seconds.labels("store").observe(0.003)
    samples: Samples = json.loads(json.dumps(dump(metrics.registry)))
    return samples


def test_sums_over_workers() -> None:
    workers = {"a": _worker(3, {"0": 5}), "b": _worker(4, {"0": 1, "1501": 2})}
    values = _parse(render(workers))
    assert values["openim_trio_workers", ()] == 2
    assert values["openim_trio_connections", ()] == 7
    assert values["openim_trio_handshakes_total", (("code", "0"),)] == 6
    assert values["openim_trio_handshakes_total", (("code", "1501"),)] == 2
    assert values["openim_trio_append_seconds_count", (("step", "store"),)] == 2
    assert values["openim_trio_append_seconds_bucket", (("le", "0.002"), ("step", "store"))] == 0
    assert values["openim_trio_append_seconds_bucket", (("le", "0.005"), ("step", "store"))] == 2


def test_each_worker_by_label() -> None:
    workers = {"a": _worker(3, {"0": 5}), "b": _worker(4, {"0": 1})}
    text = render(workers, by_worker=True)
    values = _parse(text)
    assert values["openim_trio_connections", (("worker", "a"),)] == 3
    assert values["openim_trio_connections", (("worker", "b"),)] == 4
    assert values["openim_trio_handshakes_total", (("code", "0"), ("worker", "b"))] == 1
    assert text.count(b"# TYPE openim_trio_connections gauge") == 1


def test_one_worker_alone_is_what_the_library_prints() -> None:
    metrics = Metrics()
    metrics.connections.set(2)
    values = _parse(render({"a": dump(metrics.registry)}))
    from prometheus_client import generate_latest

    original = _parse(generate_latest(metrics.registry))
    del values["openim_trio_workers", ()]
    assert values == {key: value for key, value in original.items() if "_created" not in key[0]}


@pytest.mark.parametrize("samples", [[["name"]], [["n", "gauge", "t", [["n", 3, 4]]]], [3]])
def test_other_shapes_are_refused(samples: Samples) -> None:
    with pytest.raises(SamplesError, match="worker a"):
        render({"a": samples})
