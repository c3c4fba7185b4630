"""Slow, malformed and abusive clients of a server, which `server_load` runs in a process of their own."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

ADDRESS = "127.0.0.99"
_UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_POST = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_PATIENCE_S = 30  # until an attack is over
_BODY = [[0.5, 1.0, 3.0]] * 25


async def posted(port: int, body: bytes, address: str) -> str:
    """Send a clip and return the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        writer.write(_POST + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        return (await reader.readexactly(12))[9:].decode()
    finally:
        writer.transport.abort()


class Attacks:
    """Clients that misbehave, all at one address.

    Args:
        port: of the server.
        seconds: how long.

    Attributes:
        made: how often each attack was made.
    """

    def __init__(self, port: int, seconds: float) -> None:
        self.port, self.end = port, time.monotonic() + seconds
        self.made: Counter[str] = Counter()

    async def run(self) -> None:
        """Make all attacks again and again until the end."""
        attacks = (
            self.malformed, self.malformed_stream, self.large, self.slow, self.deaf, self.connections, self.hasty,
            self.expensive, self.expensive,
        )  # fmt: skip
        tasks = [asyncio.create_task(self._again(each)) for each in attacks]
        await asyncio.sleep(max(0.0, self.end - time.monotonic()))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_PATIENCE_S)

    async def _again(self, attack: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self.end:
            with suppress(OSError, WebSocketException, asyncio.IncompleteReadError, TimeoutError):
                await attack()
            self.made[getattr(attack, "__name__", "")] += 1
            await asyncio.sleep(0.05)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(ADDRESS, 0))

    async def malformed(self) -> None:
        """Send what is no clip."""
        for body in (b"{", b"[" * 100_000, b'{"joints": [[[NaN]]]}', b'{"joints": 1e999}', b"\xff" * 1000):
            await posted(self.port, body, ADDRESS)

    async def malformed_stream(self) -> None:
        """Send bad frames until the server closes the stream, and then a frame of the future and a hundred bodies."""
        hundred = json.dumps({"joints": [_BODY] * 100})
        url = f"ws://127.0.0.1:{self.port}/v1/stream"
        async with connect(url, local_addr=(ADDRESS, 0), compression=None, proxy=None) as socket:
            await socket.send(json.dumps({"joints": _BODY, "time": 1e10}))
            for text in (hundred, "{", *["[" * 1000] * 30):
                await socket.send(text)

    async def expensive(self) -> None:
        """Stream as many people in as long windows as are allowed, as fast as the server reads."""
        people = [[[x + 3 * body, y, z] for x, y, z in _BODY] for body in range(10)]
        settings = {"window": 10, "rate": 60, "every": 5, "most_bodies": 10}
        url = f"ws://127.0.0.1:{self.port}/v1/stream"
        async with connect(url, local_addr=(ADDRESS, 0), compression=None, proxy=None) as socket:
            await socket.send(json.dumps({"settings": settings}))
            for number in range(2000):
                await socket.send(json.dumps({"joints": people, "time": number / 60}))

    async def large(self) -> None:
        """Send two gigabytes without saying so."""
        _, writer = await self._open()
        try:
            writer.write(_POST + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(2 << 14):
                writer.write(b"20000\r\n" + b" " * 0x20000 + b"\r\n")
                await writer.drain()
        finally:
            writer.transport.abort()

    async def slow(self) -> None:
        """Send the head of a request, a byte at a time."""
        _, writer = await self._open()
        try:
            for number in range(100):
                writer.write(_POST[number : number + 1])
                await writer.drain()
                await asyncio.sleep(0.3)
        finally:
            writer.transport.abort()

    async def deaf(self) -> None:
        """Open a stream, send pings, and read nothing."""
        _, writer = await self._open()
        try:
            writer.write(_UPGRADE)
            await asyncio.sleep(0.5)
            for _ in range(200):
                writer.write((b"\x89\xfd\0\0\0\0" + b"x" * 125) * 500)
                await asyncio.wait_for(writer.drain(), 20)
        finally:
            writer.transport.abort()

    async def connections(self) -> None:
        """Connect a thousand times and send nothing."""
        opened = [asyncio.create_task(self._open()) for _ in range(200)]
        for _ in range(4):
            opened += [asyncio.create_task(self._open()) for _ in range(200)]
            await asyncio.sleep(0.1)
        for found in await asyncio.gather(*opened, return_exceptions=True):
            if isinstance(found, tuple):
                found[1].transport.abort()

    async def hasty(self) -> None:
        """Send requests as fast as they are answered."""
        for _ in range(100):
            await posted(self.port, b"{}", ADDRESS)


def main() -> None:
    """Make attacks on the port, for the seconds, in the arguments; print how many."""
    attacks = Attacks(int(sys.argv[1]), float(sys.argv[2]))

    async def run() -> None:
        await attacks.run()
        print(json.dumps(attacks.made), flush=True)
        os._exit(0)  # `wait_for` can lose a cancellation (Python 3.11), and `asyncio.run` would wait for that task

    asyncio.run(run())


if __name__ == "__main__":
    main()
