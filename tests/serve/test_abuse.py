"""Clients that misbehave while good ones stream, which lose nothing."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from patience import PATIENCE_S
from serve_probes import BAD, GOOD, Running, Starts, clip, frame, needs_addresses, wait_until
from test_served_streams import EAGER, rest

from last.serve.connections import StreamConnection

pytestmark = needs_addresses
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def sent_frame(opcode: int, content: bytes, final: bool = True) -> bytes:
    """Return a frame of the WebSocket protocol of up to 65535 bytes, masked with zeros."""
    length = bytes([0x80 | len(content)]) if len(content) < 126 else b"\xfe" + len(content).to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | opcode]) + length + bytes(4) + content


def upgrade(client: socket.socket) -> None:
    """Open a stream; what comes before the server has agreed is not part of it."""
    client.sendall(UPGRADE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")


def is_ended(client: socket.socket) -> bool:
    """Read until the server ends a connection."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


@contextmanager
def good_client(server: Running) -> Iterator[None]:
    """Stream and send clips while the block runs, and check that everything was answered in the end."""
    stop, failures = threading.Event(), []

    def work() -> None:
        try:
            with server.stream(GOOD) as stream:
                stream.send(json.dumps({"settings": {**EAGER, "every": 1}}))
                number = 0
                while not stop.is_set() or number < 30:
                    stream.send(frame(number, body="good"))
                    number += 1
                    if number % 20 == 0:
                        assert server.predict({"joints": clip().tolist()}, source=GOOD).status == 200
                    stop.wait(0.005)
                stream.send(json.dumps({"finish": True}))
                *events, last = rest(stream)
                assert last == {"dropped": {"absent": 0}}
                assert [event["kind"] for event in events] == ["start", "end"]
                assert events[1]["time"] == pytest.approx((number - 1) / 30)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not failures, failures


def test_a_thousand_connections_of_one_address_take_no_place_of_others(start: Starts) -> None:
    found = start(max_connections=8, max_per_address=2)
    with good_client(found):
        clients = []
        for _ in range(1000):
            with suppress(OSError):
                clients.append(found.raw(BAD))
        wait_until(lambda: found.metric('last_refused_total{reason="connections"}') >= 1000 - 16)
        assert found.gate.guard.sockets.taken[BAD] <= 16
        for client in clients:
            client.close()
    wait_until(lambda: found.gate.guard.sockets.taken[BAD] == 0)


def test_silent_and_slow_clients_are_disconnected(start: Starts) -> None:
    found = start(timeout=0.5)
    with good_client(found):
        silent, slow = found.raw(BAD), found.raw(BAD)
        slow.sendall(b"GET /v1/model HTTP/1.1\r\nHost: loc")
        again = found.raw(BAD)  # which begins a second request after its first was answered
        again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert again.recv(12) == b"HTTP/1.1 200"
        again.sendall(b"GET /health HTTP/1.1\r\nHost")
        for client in (silent, slow, again):
            with client:
                assert is_ended(client)
    assert found.metric('last_refused_total{reason="timeout"}') == 3


def test_a_stream_whose_client_reads_nothing_and_answers_no_ping_is_ended(start: Starts) -> None:
    found = start(timeout=0.5)
    ended = threading.Event()

    def send_on(client: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client.sendall(sent_frame(1, frame().encode()))
                if ended.wait(0.01):
                    return

    with good_client(found), found.raw(BAD) as client:
        upgrade(client)
        thread = threading.Thread(target=send_on, args=(client,))
        thread.start()
        wait_until(lambda: found.gate.guard.streams.taken[BAD] == 0)
        ended.set()
        thread.join(PATIENCE_S)


def test_pings_of_a_client_that_reads_nothing_fill_no_memory_and_end_its_stream(
    start: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = [0]
    handle = StreamConnection.handle_ping

    def watched(connection: StreamConnection) -> None:
        handle(connection)
        largest[0] = max(largest[0], connection.transport.get_write_buffer_size())

    monkeypatch.setattr(StreamConnection, "handle_ping", watched)
    found = start(timeout=0.5)
    pings = sent_frame(9, b"x" * 125) * 1000
    with good_client(found), found.raw(BAD) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        upgrade(client)
        with pytest.raises(OSError):
            while True:
                client.sendall(pings)
        wait_until(lambda: found.gate.guard.streams.taken[BAD] == 0)
    assert largest[0] < 1 << 20


@pytest.mark.long
def test_answers_that_nobody_reads_end_the_connection(start: Starts) -> None:
    found = start(timeout=2.0)  # which is also that of the good client's answers to pings
    request = b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with good_client(found), found.raw(BAD) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(1.0)  # some systems tell this client nothing, since it does not read
        with pytest.raises(OSError):
            while True:
                client.sendall(request * 100)
        wait_until(lambda: found.gate.guard.sockets.taken[BAD] == 0)


def test_a_message_in_endlessly_many_empty_parts_ends_the_stream(start: Starts) -> None:
    found = start()
    with good_client(found), found.raw(BAD) as client:
        upgrade(client)
        client.sendall(sent_frame(1, b"", final=False))
        with pytest.raises(OSError):
            while True:
                client.sendall(sent_frame(0, b"", final=False) * 100)
        wait_until(lambda: found.gate.guard.streams.taken[BAD] == 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # as TLS begins
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1" + b"0" * 5000 + b"\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /v1/model HTTP/1.0\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_leaves_nothing_behind(start: Starts, sent: bytes) -> None:
    check_refused(start(timeout=0.5), sent, is_stream=False)


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 1000,
        sent_frame(1, b"\xff\xfe"),
        sent_frame(3, b""),
        sent_frame(0, b""),
        b"\x81\xff" + b"\x7f" * 8,  # which announces 9 exabytes
    ],
)
def test_what_is_no_message_ends_the_stream_and_leaves_nothing_behind(start: Starts, sent: bytes) -> None:
    check_refused(start(timeout=0.5), sent, is_stream=True)


def check_refused(found: Running, sent: bytes, is_stream: bool) -> None:
    with found.raw(BAD) as client:
        if is_stream:
            upgrade(client)
        with suppress(OSError):
            client.sendall(sent)
        assert is_ended(client)
    wait_until(lambda: found.gate.guard.sockets.taken[BAD] == 0)
    assert found.predict({"joints": clip().tolist()}, source=GOOD).status == 200
