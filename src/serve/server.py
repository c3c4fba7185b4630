"""The server: the application behind a listening socket."""

import ipaddress
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.middleware.cors import CORSMiddleware

from ..utils.errors import UserError
from ..utils.system_errors import reason
from .app import create_app
from .connections import connections_of
from .gate import LOOPBACK, Access
from .limits import MESSAGE_BYTES, Guard, ServeLimits
from .workers import SharedRecognizer

_BACKLOG = 1024  # connections that wait to be accepted
_AT_ONCE = 16  # of them are accepted before others are served again
_HEAD_BYTES = 16 << 10
_KEEP_ALIVE_S = 5
_PING_S = 20.0
_SHUTDOWN_S = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; the port 0 is any free one.

    Raises:
        UserError: the name is unknown, or the port is taken or may not be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(
            f"The server cannot listen at {host}, port {port} ({reason(error)}). Choose others: --host, --port."
        ) from error


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def access_for(host: str, token: str, origins: Sequence[str] = ()) -> Access:
    """Return who may use a server at an address; where others reach it, and no token is given, a random one is."""
    if is_loopback(host):
        return Access(token, frozenset((*LOOPBACK, host.lower())), frozenset(origins))
    return Access(token or secrets.token_urlsafe(24), frozenset(), frozenset(origins))


def open_recognizers(path: Path, workers: int, threads: int) -> list[SharedRecognizer]:
    """Return a model as often as it computes at the same time.

    Raises:
        UserError: the file cannot be run, see `Recognizer`.
    """
    return [SharedRecognizer(path, threads) for _ in range(workers)]


class _Server(uvicorn.Server):
    """A server that accepts few connections at once, while many may wait; asyncio has one number for both."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(_BACKLOG)


def server_of(recognizers: Sequence[SharedRecognizer], limits: ServeLimits, access: Access) -> uvicorn.Server:
    """Return a server; `run(sockets=[...])` serves until SIGINT or SIGTERM, or until its `should_exit` is set."""
    guard = Guard(limits)
    gate = create_app(recognizers, limits, access, guard)
    http, ws = connections_of(guard, gate.metrics)
    app: Any = gate
    if access.origins:  # whose pages a browser lets read answers only if these say so
        app = CORSMiddleware(
            gate, allow_origins=sorted(access.origins), allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip
    return _Server(
        uvicorn.Config(
            app, http=http, ws=ws, loop="asyncio", lifespan="on", interface="asgi3",
            ws_max_size=MESSAGE_BYTES, ws_per_message_deflate=False,
            ws_ping_interval=min(_PING_S, limits.timeout), ws_ping_timeout=limits.timeout,
            h11_max_incomplete_event_size=_HEAD_BYTES, timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_SHUTDOWN_S, backlog=_AT_ONCE, proxy_headers=False, server_header=False,
            log_config=None, log_level="error", access_log=False,
        )
    )  # fmt: skip
