"""Connections of the server, counted and timed from the first byte on; uvicorn alone would keep silent ones forever."""

import asyncio
import os
import socket
import struct
from typing import ClassVar

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from .limits import Guard, network_of
from .metrics import Metrics

_NO_LINGER = struct.pack("HH" if os.name == "nt" else "ii", 1, 0)
_MOST_FRAGMENTS = 1024  # of one message
_MOST_PINGS = 100  # between two messages
_MOST_UNREAD = 64 << 10  # bytes of answers to pings


def reset(transport: asyncio.Transport) -> None:
    """End a connection at once. The system would otherwise keep what its client does not read, for minutes."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class _Stall:
    """Aborts a connection whose client does not read what was sent to it."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport, self._seconds = transport, seconds
        self._timer: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=0)  # so that any byte that the system does not take starts the timer

    def begin(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, reset, self._transport)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Stalls(asyncio.Protocol):
    """A connection that ends if its client does not read."""

    _stall: _Stall

    def pause_writing(self) -> None:
        """Wait a limited time for a client that does not read."""
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        """Go on with a client that reads."""
        super().resume_writing()
        self._stall.end()


class HttpConnection(_Stalls, H11Protocol):
    """A connection over which requests come: of a limited number, with a limited time for the head of each."""

    guard: ClassVar[Guard]
    metrics: ClassVar[Metrics]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a connection if there are too many."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # answers are short
        self._stall = _Stall(transport, self.guard.limits.timeout)
        self._head: asyncio.TimerHandle | None = None
        self._address = network_of(self.client[0] if self.client else "")
        self._counted = self.guard.sockets.take(self._address)
        if not self._counted:
            self.metrics.refused.labels("connections").inc()
            reset(transport)
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place of the connection back."""
        self._end_timers()
        if self._counted:
            self._counted = False
            self.guard.sockets.free(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and time the head of a request that has begun."""
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        elif self._head is not None:
            self._head.cancel()
            self._head = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection, and its place, over to that of a stream."""
        self._end_timers()
        self._counted = False
        super().handle_websocket_upgrade(event)

    def _await_head(self) -> None:
        if self._head is None:
            self._head = asyncio.get_running_loop().call_later(self.guard.limits.timeout, self._expire)

    def _expire(self) -> None:
        self.metrics.refused.labels("timeout").inc()
        reset(self.transport)

    def _end_timers(self) -> None:
        self._stall.end()
        if self._head is not None:
            self._head.cancel()
            self._head = None


class StreamConnection(_Stalls, WebSocketsSansIOProtocol):
    """The connection of a stream, which has the place that its request had."""

    guard: ClassVar[Guard]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch whether the client reads."""
        super().connection_made(transport)
        self._stall = _Stall(self.transport, self.guard.limits.timeout)
        self._pings = 0
        self.close_timeout = min(self.close_timeout, self.guard.limits.timeout)
        self._address = network_of(self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place of the connection back."""
        self._stall.end()
        self.guard.sockets.free(self._address)
        super().connection_lost(exc)

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; one that refuses the stream completes its handshake, which uvicorn would call a defect."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def handle_ping(self) -> None:
        """Answer a ping, unless nothing but pings comes, or the client does not read the answers."""
        self._pings += 1
        if self._pings > _MOST_PINGS or self.transport.get_write_buffer_size() > _MOST_UNREAD:
            reset(self.transport)
            return
        super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        """Hand on a message."""
        self._pings = 0
        super().send_receive_event_to_app()

    def handle_cont(self, event: Frame) -> None:
        """Refuse a message in very many parts, which may be empty and then have no size that is limited."""
        if len(self.frames) >= _MOST_FRAGMENTS:
            reset(self.transport)
            return
        super().handle_cont(event)


def connections_of(guard: Guard, metrics: Metrics) -> tuple[type[HttpConnection], type[StreamConnection]]:
    """Return the classes of connections for a server with these limits."""
    http = type("HttpConnection", (HttpConnection,), {"guard": guard, "metrics": metrics})
    return http, type("StreamConnection", (StreamConnection,), {"guard": guard})
