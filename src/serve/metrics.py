"""What the server counts, in the text format of Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counts of one server; several in a process are independent."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        shared: dict[str, Any] = {"namespace": "last", "registry": self._registry}
        self.requests = Counter("requests", "Requests that were answered", ("path", "status"), **shared)
        self.request_seconds = Histogram(
            "request_seconds", "From the head of a request to its answer", ("path",), buckets=_SECONDS, **shared
        )
        self.refused = Counter("refused", "Requests and connections that were refused", ("reason",), **shared)
        self.streams = Gauge("streams", "Open streams", **shared)
        self.frames = Counter("stream_frames", "Frames of streams that were used", **shared)
        self.frame_seconds = Histogram("stream_frame_seconds", "From a frame to its answer", buckets=_SECONDS, **shared)
        self.bad_frames = Counter("stream_bad_frames", "Messages of streams that were refused", **shared)
        self.dropped = Counter("stream_dropped", "Frames of a person that were not used", ("reason",), **shared)
        self.events = Counter("stream_events", "Events of streams", ("kind",), **shared)
        self.waiting = Gauge("tasks", "Clips that wait or are computed", **shared)

    def text(self) -> bytes:
        """Return all counts."""
        return generate_latest(self._registry)
