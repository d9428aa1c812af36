"""A worker's metrics.  All of them add up, so that the sum over workers is meaningful.

Histograms are in seconds unless the name says otherwise.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCY = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 400)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"openim_trio_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"openim_trio_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(
                f"openim_trio_{name}", text, labels, buckets=buckets, registry=self.registry
            )

        # gateway
        self.connections = gauge("connections", "Open client connections")
        self.handshakes = counter("handshakes", "WebSocket handshakes by errCode", "code")
        self.protocol_errors = counter(
            "protocol_errors", "Connections closed for what they sent", "reason"
        )
        self.requests = counter("requests", "Requests by identifier and errCode", "req", "code")
        self.pushes = counter("pushes", "Push frames put into outboxes")
        self.slow_reader_drops = counter(
            "slow_reader_drops", "Pushes let go because a reader was slow"
        )
        self.slow_reader_closes = counter(
            "slow_reader_closes", "Connections closed because they took nothing"
        )
        self.kicks = counter("kicks", "Connections kicked")
        # append path
        self.sends = counter("sends", "Sends by result", "result")
        self.append_seconds = histogram(
            "append_seconds", "Append latency by step", _LATENCY, "step"
        )
        self.batch_messages = histogram("batch_messages", "Messages per flush", _SIZES)
        self.queue_depth = gauge("queue_depth", "Entries in a queue", "queue")
        self.busy_leases = counter("busy_leases", "Blocks that met another flush's lease")
        self.duplicate_keys = counter(
            "duplicate_keys", "Blocks not stored at their seq (duplicate key or unclear)"
        )
        self.known_keys = counter("known_keys", "Sends answered as an earlier attempt was")
        self.catch_ups = counter("catch_ups", "Catch-ups from the store")
        self.seeds = counter("seeds", "Conversations seeded from the store")
        self.look_ups = counter("look_ups", "Keys searched in the store")
        self.repeats = counter("repeats", "Commits repeated on a new Redis server")
        # engines
        self.engine_errors = counter("engine_errors", "Failed engine calls", "engine")
        self.bus_messages = counter("bus_messages", "Messages received from the bus")
        self.bus_losses = counter("bus_losses", "Lost bus subscriptions")
        self.reconciled = counter("reconciled", "Messages delivered after a gap was noticed")
        # REST
        self.rest_requests = counter("rest_requests", "REST requests", "route", "code")
        self.rest_seconds = histogram("rest_seconds", "REST latency", _LATENCY, "route")
