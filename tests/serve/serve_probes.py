"""What the tests of the server share: a server in a thread, and clients of it."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from threading import Lock
from typing import Any

import numpy as np
import pytest
import uvicorn
from patience import PATIENCE_S
from websockets.sync.client import ClientConnection, connect

from last.serve.gate import Access, Gate
from last.serve.limits import ServeLimits
from last.serve.server import listen, server_of
from last.serve.workers import SharedRecognizer

MANY = {"rate": 100_000.0}  # for tests that are about another limit
# Linux has the whole network 127.0.0.0/8, so that a test can be several clients.
needs_addresses = pytest.mark.skipif(sys.platform != "linux", reason="needs several loopback addresses")
GOOD, BAD = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A server that runs, and what a client does with it."""

    port: int
    gate: Gate
    recognizer: SharedRecognizer
    server: uvicorn.Server

    def request(self, method: str, path: str, body: Any = None, source: str = "", **headers: str) -> Answer:
        given = (source, 0) if source else None
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S, source_address=given)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def predict(self, content: Any, source: str = "", **headers: str) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.request("POST", "/v1/predict", body, source, **{"Content_Type": "application/json", **headers})

    @contextmanager
    def stream(self, source: str = "", path: str = "/v1/stream", **options: Any) -> Iterator[ClientConnection]:
        if source:
            options["source_address"] = (source, 0)
        url = f"ws://127.0.0.1:{self.port}{path}"
        with connect(url, open_timeout=PATIENCE_S, compression=None, proxy=None, **options) as client:
            yield client

    def raw(self, source: str = "") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (source, 0) if source else None)

    def held(self) -> Lock:
        """Return what keeps the model from computing while it is entered."""
        return self.recognizer._lock

    def metric(self, line: str) -> float:
        text = self.request("GET", "/metrics", source="127.0.0.9" if sys.platform == "linux" else "").body.decode()
        return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))


Starts = Callable[..., Running]


@contextmanager
def running(recognizer: SharedRecognizer, access: Access | None = None, **limits: Any) -> Iterator[Running]:
    """Run a server in a thread while the block lasts."""
    with listen("127.0.0.1", 0) as listening:
        server = server_of([recognizer], ServeLimits(**{**MANY, **limits}), access or Access())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            gate = server.config.app
            yield Running(listening.getsockname()[1], gate, recognizer, server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def wait_until(is_done: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not is_done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def body(seed: int = 0) -> np.ndarray:
    """Return the joints (V, C) of a body."""
    return np.random.default_rng(seed).normal(size=(25, 3)).round(3) + np.array([0, 1, 3])


def clip(frames: int = 12, seed: int = 0) -> np.ndarray:
    """Return the joints (F, V, C) of a body that moves."""
    return body(seed)[None] + np.linspace(0, 1, frames)[:, None, None] * np.array([0, 1, 0])


def frame(number: int = 0, **others: Any) -> str:
    """Return a message with a frame of a stream at 30 frames a second."""
    return json.dumps({"joints": (body() + np.array([0, 0.01 * number, 0])).tolist(), "time": number / 30, **others})
