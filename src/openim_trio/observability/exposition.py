"""A worker's metrics as plain data, and the Prometheus text of several workers together.

Shape of `Samples` (JSON-able, it goes through a socket between workers):
    [[family, type, help, [[sample, {label: value}, number], …]], …]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Samples = list[list[Any]]

WORKER_LABEL = "worker"
_WORKERS = "openim_trio_workers"
_CREATED = "_created"
"""prometheus_client's creation times: they do not add up"""

_Labels = tuple[tuple[str, str], ...]


class SamplesError(ValueError):
    """Not the shape of `Samples`."""


def dump(registry: CollectorRegistry) -> Samples:
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [
                [sample.name, dict(sample.labels), sample.value]
                for sample in family.samples
                if not sample.name.endswith(_CREATED) and math.isfinite(sample.value)
            ],
        ]
        for family in registry.collect()
    ]


def render(workers: Mapping[str, Samples], *, by_worker: bool = False) -> bytes:
    """Prometheus text: summed over the workers, or each with its label `worker`.

    Raises SamplesError."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(list(_merge(workers, by_worker=by_worker)), len(workers)))
    return generate_latest(registry)


class _Merged(Collector):
    def __init__(self, metrics: list[Metric], workers: int) -> None:
        self._metrics = metrics
        self._workers = workers

    def collect(self) -> Iterable[Metric]:
        count = Metric(_WORKERS, "Workers whose figures are in here", "gauge")
        count.add_sample(_WORKERS, {}, self._workers)
        return [count, *self._metrics]


def _merge(workers: Mapping[str, Samples], *, by_worker: bool) -> Iterable[Metric]:
    """One family once, whatever number of workers has it; the workers' order is kept."""
    heads: dict[str, tuple[str, str]] = {}
    sums: dict[str, dict[tuple[str, _Labels], float]] = {}
    for worker, families in workers.items():
        extra = ((WORKER_LABEL, worker),) if by_worker else ()
        try:
            for name, kind, text, samples in families:
                heads.setdefault(name, (kind, text))
                _add(sums.setdefault(name, {}), samples, extra)
        except (TypeError, ValueError, AttributeError) as error:
            raise SamplesError(f"worker {worker}: {error}") from error
    for name, (kind, text) in heads.items():
        metric = Metric(name, text, kind)
        for (sample, labels), value in sums[name].items():
            metric.add_sample(sample, dict(labels), value)
        yield metric


def _add(totals: dict[tuple[str, _Labels], float], samples: Iterable[Any], extra: _Labels) -> None:
    for name, labels, value in samples:
        key = (name, (*labels.items(), *extra))
        totals[key] = totals.get(key, 0.0) + float(value)
