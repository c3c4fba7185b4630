"""Stream frames to a server as good clients do, while others misbehave, and count what the good ones lose.

Starts `last serve` with an exported file. Good clients, each at an address of its own, send 30 frames a second and read
the events; one sends clips. Slow, malformed and abusive clients come from one other address, all the time. A good
client loses something if its events differ from those of this process, if a frame is dropped, if an answer does not
come, or if its connection ends. Linux only: it needs the addresses 127.0.0.2 and further.
"""

import argparse
import asyncio
import json
import platform
import re
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import server_attacks
from server_attacks import posted
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from last.deploy.recognizer import Recognizer
from last.live.settings import LiveSettings
from last.live.stream import StreamRecognizer

_EXAMPLE = "example: python benchmarks/reliability/server_load.py model.onnx --seconds 60"
_FPS = 30
_SETTLE_S = 2.0  # for which the others go on
_SETTINGS: dict[str, Any] = {"threshold": 0.01, "onset": 0.0, "offset": 0.0, "smoothing": 0.0}  # for many events


@dataclass
class Measured:
    """What happened.

    Attributes:
        events: received by good clients.
        lost: what they lost, by kind.
        latencies: seconds from a frame that is classified, and from a clip, to the answer.
        attacks: how often each attack was made.
    """

    events: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=lambda: {"frame": [], "clip": []})
    attacks: Counter[str] = field(default_factory=Counter)


class Load:
    """Clients of one server."""

    def __init__(self, port: int, recognizer: Recognizer, seconds: float) -> None:
        self.port, self.recognizer, self.end = port, recognizer, time.monotonic() + seconds
        self.frames = round(seconds * _FPS)
        self.measured = Measured()

    def joints(self, client: int, frame: int) -> list[list[float]]:
        """Return the joints (V, C) of a person who changes motion every few seconds."""
        layout = self.recognizer.facts.layout
        still = np.random.default_rng(client).normal(size=(layout.num_joints, layout.coordinates))
        way = np.random.default_rng((client, frame // 60)).normal(size=still.shape)
        found: list[list[float]] = (still + way * np.sin(frame / 10)).round(4).tolist()
        return found

    def expected(self, client: int) -> list[tuple[str, str, float]]:
        """Return the events that the frames of a client bring in this process."""
        live = StreamRecognizer(self.recognizer, LiveSettings(**_SETTINGS))
        found = []
        for frame in range(self.frames):
            found += live.push(self.joints(client, frame), client, frame / _FPS)
        return [(event.kind, event.label, event.time) for event in (*found, *live.finish())]

    async def stream(self, client: int, expected: list[tuple[str, str, float]]) -> None:
        """Stream as a good client."""
        url = f"ws://127.0.0.1:{self.port}/v1/stream"
        lost, probes = self.measured.lost, deque[float]()
        try:
            async with connect(url, local_addr=(f"127.0.0.{2 + client}", 0), compression=None, proxy=None) as socket:
                reading = asyncio.create_task(self._read(socket, probes))
                await self._send(socket, client, probes)
                await socket.send(json.dumps({"finish": True}))
                messages = await asyncio.wait_for(reading, 60)
        except (OSError, WebSocketException, TimeoutError) as error:
            lost[f"a stream ended: {error!r}"] += 1
            return
        events = [message for message in messages if "kind" in message]
        found = [(event["kind"], event["label"], event["time"]) for event in events]
        self.measured.events += len(found)
        lost["events"] += len(set(expected) ^ set(found))
        dropped = sum(sum(message.get("dropped", {}).values()) for message in messages)
        lost["frames dropped"] += dropped
        lost["errors"] += sum("error" in message for message in messages)
        lost["answers"] += len(probes)

    async def _send(self, socket: ClientConnection, client: int, probes: deque[float]) -> None:
        await socket.send(json.dumps({"settings": _SETTINGS}))
        begun = time.monotonic()
        for frame in range(self.frames):
            await asyncio.sleep(max(0.0, begun + frame / _FPS - time.monotonic()))
            message = {"joints": self.joints(client, frame), "body": client, "time": frame / _FPS}
            sent = time.monotonic()
            await socket.send(json.dumps(message))
            if frame % 5 == 4:  # frames that are classified; the answer to no JSON comes after theirs
                probes.append(sent)
                await socket.send("{")

    def _took(self, kind: str, since: float) -> None:
        self.measured.latencies[kind].append(time.monotonic() - since)

    async def _read(self, socket: ClientConnection, probes: deque[float]) -> list[dict[str, Any]]:
        messages = []
        async for text in socket:
            message = json.loads(text)
            if "error" in message and probes:
                self._took("frame", probes.popleft())
            else:
                messages.append(message)
        return messages

    async def clips(self) -> None:
        """Send a clip every half second as a good client."""
        joints = [self.joints(0, frame) for frame in range(60)]
        while time.monotonic() < self.end:
            since = time.monotonic()
            try:
                status = await posted(self.port, json.dumps({"joints": joints}).encode(), "127.0.0.80")
            except (OSError, asyncio.IncompleteReadError) as error:
                status = repr(error)
            if status == "200":
                self._took("clip", since)
            else:
                self.measured.lost[f"a clip: {status}"] += 1
            await asyncio.sleep(0.5)


async def _run(load: Load, clients: int) -> None:
    expected = [load.expected(client) for client in range(clients)]
    load.end = time.monotonic() + load.frames / _FPS
    await asyncio.gather(load.clips(), *(load.stream(client, expected[client]) for client in range(clients)))


@contextmanager
def _attacked(port: int, seconds: float, made: Counter[str]) -> Iterator[None]:
    """Attack the server in another process while the block runs, and count the attacks."""
    command = [sys.executable, str(Path(server_attacks.__file__)), str(port), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attacks:
        yield
        made.update(json.loads(attacks.communicate()[0]))


def _report(measured: Measured, clients: int, frames: int) -> int:
    lost = sum(measured.lost.values())
    print(f"{platform.machine()}, Python {platform.python_version()}; {clients} good clients, {frames} frames each")
    print("attacks:", ", ".join(f"{name} {number}" for name, number in sorted(measured.attacks.items())) or "none")
    print(f"events of good clients: {measured.events}, lost: {lost} {dict(+measured.lost) or ''}")
    for kind, seconds in measured.latencies.items():
        ms = [f"{1000 * value:.1f}" for value in np.percentile(seconds, (50, 95, 99, 100))] if seconds else []
        print(f"{kind}: {len(seconds)} answers; median, 95 %, 99 %, slowest: {', '.join(ms)} ms")
    return 1 if lost else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code, 1 if a good client lost something."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=_EXAMPLE)
    parser.add_argument("model", help="an exported file")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--clients", type=int, default=4, help="good clients that stream (default 4)")
    parser.add_argument("--peaceful", action="store_true", help="without the others, to compare")
    options = parser.parse_args(arguments)
    command = [sys.executable, "-m", "last", "serve", "--model", options.model, "--port", "0", "--timeout", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            found = re.search(r":(\d+)\s*$", server.stdout.readline())
            if found is None:
                return 2
            load = Load(int(found[1]), Recognizer(options.model, 1), options.seconds)
            peaceful = nullcontext()
            attacked = _attacked(load.port, options.seconds + _SETTLE_S, load.measured.attacks)
            with peaceful if options.peaceful else attacked:
                asyncio.run(_run(load, options.clients))
            if server.poll() is not None:
                load.measured.lost["the server"] += 1
        finally:
            server.terminate()
    return _report(load.measured, options.clients, load.frames)


if __name__ == "__main__":
    sys.exit(main())
