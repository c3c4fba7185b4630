"""What every request passes before it reaches the application: origin, token, rate, size and time."""

import asyncio
import hmac
import json
import time as clocks
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .limits import Guard, network_of, retry_after
from .metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = "/health"
STREAM = "/v1/stream"
SUBPROTOCOL = "last"  # that of a stream whose token is in another subprotocol: `token.` and the token
_TOKEN_PROTOCOL = "token."
_LINGER_S = 2.0  # how long a refused body is read and thrown away, so that its sender gets to read the answer
_LINGER_BYTES = 4 << 20  # and how much of it at most
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Access:
    """Who may use the server.

    Attributes:
        token: what a client has to know; empty for nothing.
        hosts: the names by which the server may be called, without ports; empty for any name. A name that is none of
            them is that of a web page whose address was made to lead here.
        origins: those of web pages that may use it, such as `https://example.org`, besides pages of its own.
    """

    token: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset(LOOPBACK)
    origins: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """Why a request was refused.

    Attributes:
        status: of HTTP.
        reason: one word, for the metrics.
        error: a sentence for the client.
        headers: further ones of the answer.
        closes: whether the connection ends with the answer.
    """

    status: int
    reason: str
    error: str
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False


class Gate:
    """An ASGI application in front of another one.

    Args:
        app: the other one.
        guard: the counts behind the limits.
        access: who may use the server.
        metrics: where refusals are counted.
        paths: those of the application, which the metrics name.
        open_paths: those that anybody may read without a token; the limits hold for them too.
    """

    def __init__(
        self,
        app: App,
        guard: Guard,
        access: Access,
        metrics: Metrics,
        paths: Iterable[str],
        open_paths: Iterable[str] = (),
    ) -> None:
        self.app, self.guard, self.access, self.metrics = app, guard, access, metrics
        self.paths, self.open_paths = frozenset(paths), frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._stream(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["path"] in self.paths else "other"
        began = clocks.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(path, str(message["status"])).inc()
                self.metrics.request_seconds.labels(path).observe(clocks.monotonic() - began)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await self._refuse(refusal, receive, counted)
            return
        address, held = _address(scope), [0]
        try:
            body = await self._body(scope, receive, address, held)
            if isinstance(body, Refusal):
                await self._refuse(body, receive, counted)
            elif body is not None:
                await self.app(scope, _replayed(body, receive), counted)
        finally:
            self.guard.bodies.free(address, held[0])

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = _address(scope)
        refusal = self._refusal(scope)
        if refusal is None and scope["path"] != STREAM:
            refusal = Refusal(404, "path", "There is no stream at this path.")
        if refusal is None:
            full = self.guard.streams.refusal(address)
            if full:
                what, status = ("your address has", 429) if full == "address" else ("there are", 503)
                error = f"Too many streams: {what} as many as this server allows."
                refusal = Refusal(status, "streams", error, (("retry-after", "5"),))
        if refusal is not None:
            await receive()  # that a client connects
            await self._refuse(refusal, None, send, "websocket.")
            return
        self.guard.streams.take(address)
        self.metrics.streams.inc()
        try:
            await self.app(scope, receive, send)
        finally:
            self.metrics.streams.dec()
            self.guard.streams.free(address)

    # --- reasons to refuse

    def _refusal(self, scope: Scope) -> Refusal | None:
        """Return why the head of a request is refused; None if it is not."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self.access.hosts and _name(host) not in self.access.hosts:
            return Refusal(421, "host", "This server is not called by that name, see --host.")
        origin = headers.get("origin")
        if origin is not None and origin not in self.access.origins and _host_of(origin) != host.lower():
            return Refusal(403, "origin", "Web pages of other origins may not use this server, see --allow_origin.")
        if scope["path"] == HEALTH:
            return None
        wait = self.guard.rates.wait(_address(scope))
        if wait:
            error = f"More than {self.guard.limits.rate:g} requests a second came from your address."
            return Refusal(429, "rate", error, (("retry-after", retry_after(wait)),))
        is_open = scope["type"] == "http" and scope["path"] in self.open_paths
        if self.access.token and not is_open and not self._knows_token(scope, headers):
            error = "A token is needed: Authorization: Bearer TOKEN."
            return Refusal(401, "token", error, (("www-authenticate", "Bearer"),))
        return None

    def _knows_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        tokens = [given.strip()] if kind.lower() == "bearer" else []
        if scope["type"] == "websocket":
            tokens += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
            named = [each for each in scope.get("subprotocols", ()) if each.startswith(_TOKEN_PROTOCOL)]
            tokens += [each.removeprefix(_TOKEN_PROTOCOL) for each in named]
        right = self.access.token.encode()
        return any(hmac.compare_digest(each.encode("utf-8", "replace"), right) for each in tokens)

    # --- bodies

    async def _body(self, scope: Scope, receive: Receive, address: str, held: list[int]) -> bytes | Refusal | None:
        """Return the body of a request, or why it is refused; None if the client has left.

        Args:
            scope, receive: of the request.
            address: of the client.
            held: its only entry is increased by the bytes that are counted for this address.
        """
        limits = self.guard.limits
        large = Refusal(413, "body", f"A request may have {limits.max_body_mib:g} MiB.", closes=True)
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if stated.isdigit() and int(stated[:20]) > limits.max_body_bytes:
            return large
        chunks = bytearray()
        try:
            async with asyncio.timeout(limits.timeout):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    chunk = message.get("body", b"")
                    if len(chunks) + len(chunk) > limits.max_body_bytes:
                        return large
                    if not self.guard.bodies.take(address, len(chunk)):
                        error = "Too many large requests arrive at the same time."
                        return Refusal(503, "bodies", error, (("retry-after", "1"),), closes=True)
                    held[0] += len(chunk)
                    chunks += chunk
                    if not message.get("more_body", False):
                        return bytes(chunks)
        except asyncio.CancelledError:
            return Refusal(503, "shutdown", "The server is shutting down.")
        except TimeoutError:
            return Refusal(408, "timeout", f"The request did not arrive within {limits.timeout:g} s.", closes=True)

    async def _refuse(self, refusal: Refusal, receive: Receive | None, send: Send, kind: str = "") -> None:
        """Answer with a refusal; read on for a moment if the client may still be sending."""
        self.metrics.refused.labels(refusal.reason).inc()
        content = json.dumps({"error": refusal.error}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(content))), *refusal.headers]
        headers += [("connection", "close")] if refusal.closes else []
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": f"{kind}http.response.start", "status": refusal.status, "headers": encoded})
        lingers = refusal.closes and receive is not None
        await send({"type": f"{kind}http.response.body", "body": content, "more_body": lingers})
        if lingers and receive is not None:
            await _thrown_away(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _thrown_away(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_LINGER_S):
            left = _LINGER_BYTES
            while left > 0 and (message := await receive())["type"] == "http.request":
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        pass


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that has the body in one message."""
    waiting = [body]

    async def received() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return received


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return network_of(client[0]) if client else ""


def _name(host: str) -> str:
    """Return the name in a header Host, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _host_of(origin: str) -> str:
    """Return host and port of an origin; a space, which no host has, where it has none."""
    try:
        return urlsplit(origin).netloc.lower() or " "
    except ValueError:
        return " "
