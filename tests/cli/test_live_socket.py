"""`live --connect` reads frames from a WebSocket."""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

import numpy as np
import pytest
from deploy_probes import SharedExport
from websockets.sync.server import ServerConnection, serve

from last.cli import live_socket

Command = Callable[..., Any]


@contextmanager
def source(*messages: str | bytes, code: int = 1000) -> Iterator[str]:
    """Yield the address of a server that sends these messages to each client, and closes the connection."""

    def send(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message)
        connection.close(code)

    with serve(send, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/frames"
        server.shutdown()
        thread.join()


def frames(number: int = 60) -> Sequence[str]:
    joints = np.random.default_rng(0).normal(size=(25, 3)).tolist()
    return [json.dumps({"joints": joints, "time": each / 30, "body": "anna"}) for each in range(number)]


def test_messages_of_a_socket_become_events(cli: Command, shared_export: SharedExport) -> None:
    first, *others = frames()
    with source(first.encode(), *others) as url:
        result = cli("live", "--model", shared_export.model, "--threshold", 0.01, "--connect", url)
    assert result.code == 0, result.err
    start, *_, end = [json.loads(line) for line in result.out.splitlines()]
    assert (start["kind"], start["body"], end["kind"]) == ("start", "anna", "end")


def test_a_message_that_is_no_frame_is_named_and_the_others_are_used(cli: Command, shared_export: SharedExport) -> None:
    with source("{", *frames()) as url:
        result = cli("live", "--model", shared_export.model, "--threshold", 0.01, "--connect", url)
    assert result.code == 2 and "error: message 1: is not JSON" in result.err and result.out


@pytest.mark.parametrize(("messages", "code"), [((), 1011), (("x" * (2 << 20),), 1000)], ids=["failed", "too large"])
def test_a_connection_that_breaks_off_is_one_message_after_the_events(
    cli: Command, shared_export: SharedExport, messages: tuple[str, ...], code: int
) -> None:
    with source(*frames(), *messages, code=code) as url:
        result = cli("live", "--model", shared_export.model, "--threshold", 0.01, "--connect", url)
    assert result.code == 2 and f"The connection to {url} ended" in result.err
    assert [json.loads(line)["kind"] for line in result.out.splitlines()][-1] == "end"


def test_an_address_where_nobody_answers_is_refused(
    cli: Command, shared_export: SharedExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_socket, "_OPEN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        silent = cli("live", "--model", shared_export.model, "--connect", f"ws://127.0.0.1:{port}")
    closed = cli("live", "--model", shared_export.model, "--connect", f"ws://127.0.0.1:{port}")
    for result in (silent, closed):
        assert result.code == 2 and f"There is no connection to ws://127.0.0.1:{port}" in result.err


@pytest.mark.parametrize("address", ["http://localhost:1", "ws://", "ws://[::1", "localhost"])
def test_what_is_no_address_of_a_socket_is_refused(cli: Command, shared_export: SharedExport, address: str) -> None:
    result = cli("live", "--model", shared_export.model, "--connect", address)
    assert result.code == 2 and address in result.err and "defect" not in result.err


def test_a_recording_and_a_socket_exclude_each_other(cli: Command, shared_export: SharedExport) -> None:
    result = cli("live", "--model", shared_export.model, "--connect", "ws://localhost:1", "--play", "clip.npz")
    assert result.code == 2 and "--play" in result.err and "--connect" in result.err
