"""`last serve`, as a user runs it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest
from deploy_probes import SharedExport
from patience import PATIENCE_S

from last.cli import serve as command

Cli = Callable[..., object]


@contextmanager
def served(*arguments: object, **variables: str) -> Iterator[tuple[subprocess.Popen, str, int]]:
    """Start `last serve` at a free port; yield the process, what it printed first, and its port."""
    command = [sys.executable, "-m", "last", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables})
    try:
        printed = process.stdout.readline()
        yield process, printed, int(re.search(r":(\d+)\s*$", printed)[1])
    finally:
        process.kill()
        process.stdout.close()
        process.wait(PATIENCE_S)


def get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_serves_on_this_machine_until_a_signal_comes(shared_export: SharedExport) -> None:
    with served("--model", shared_export.model) as (process, printed, port):
        assert printed.startswith("Serving nano_e (3 classes, layout ntu25) at http://127.0.0.1:")
        assert json.loads(get(port, "/health")[1])["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == (1 if os.name == "nt" else 143)


def test_where_others_reach_it_a_token_is_made_and_needed(shared_export: SharedExport) -> None:
    with served("--model", shared_export.model, "--host", "0.0.0.0") as (process, _, port):
        process.stdout.readline()
        token = re.fullmatch(r"Token, made for this run: (\S{32})\n", process.stdout.readline())[1]
        assert get(port, "/v1/model")[0] == 401
        assert get(port, "/v1/model", Authorization=f"Bearer {token}")[0] == 200


def test_the_token_of_the_environment_is_needed_and_not_printed(shared_export: SharedExport) -> None:
    token = "token-of-the-environment"
    with served("--model", shared_export.model, LAST_TOKEN=token) as (process, _, port):
        assert get(port, "/v1/model")[0] == 401
        assert get(port, "/v1/model", Authorization=f"Bearer {token}")[0] == 200
        process.terminate()
        assert token not in process.stdout.read()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--token", "short"), "A token should have at least 16 letters"),
        (("--token", ""), "A token should have at least 16 letters"),
        (("--port", "70000"), "--port 70000 should be at most 65,535"),
        (("--max_frames", "0"), "max_frames 0 should be from 1"),
        (("--rate", "-1"), "rate -1 should be from 0.1"),
        (("--workers", "1000"), "--workers 1000 should be at most 64"),
        (("--host", "no.such.host.invalid"), "cannot listen at no.such.host.invalid"),
        (("--allow_origin", "page.example"), "--allow_origin takes the origin of web pages, such as https://page"),
        (("--allow_origin", "https://page.example/a"), "--allow_origin takes the origin of web pages"),
        (("--allow_origin", "https://["), "--allow_origin takes the origin of web pages"),
    ],
)
def test_impossible_options_are_refused(
    cli: Cli, shared_export: SharedExport, arguments: tuple[str, ...], error: str
) -> None:
    result = cli("serve", "--model", shared_export.model, *arguments)
    assert result.code == 2
    assert error in result.err


def test_an_origin_is_written_as_browsers_write_it() -> None:
    assert command._origin("https://Page.example:8443/") == "https://page.example:8443"


def test_a_port_that_is_taken_is_named(cli: Cli, shared_export: SharedExport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cli("serve", "--model", shared_export.model, "--port", port)
    assert result.code == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in result.err


def test_only_exported_files_are_served(cli: Cli, shared_export: SharedExport) -> None:
    result = cli("serve", "--model", shared_export.checkpoint)
    assert result.code == 2
    assert "is not an exported model" in result.err


def test_without_its_packages_it_names_their_extra(
    cli: Cli, shared_export: SharedExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("last.utils.extras.find_spec", lambda name: None if name == "fastapi" else object())
    result = cli("serve", "--model", shared_export.model)
    assert result.code == 2
    assert "last-har[serve]" in result.err
