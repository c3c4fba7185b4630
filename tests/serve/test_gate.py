"""Who may use the server, and how much of it."""

import json
import socket
from collections.abc import Iterator

import pytest
from serve_probes import BAD, GOOD, Running, Starts, clip, frame, needs_addresses, running, wait_until
from websockets.exceptions import InvalidStatus

from last.serve import server as serving
from last.serve.gate import Access
from last.serve.workers import SharedRecognizer

NESTED = clip().tolist()
TOKEN = "a-token-of-the-tests"


def head(found: Running, **headers: str) -> int:
    return found.request("GET", "/v1/model", **headers).status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 200),
        ("localhost", 200),
        ("[::1]:9", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.org:9", 421),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused(server: Running, host: str, status: int) -> None:
    assert head(server, Host=host) == status


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://[", "https://localhost"]
)
def test_web_pages_of_other_origins_are_refused_over_http_and_for_streams(server: Running, origin: str) -> None:
    assert head(server, Origin=origin) == 403
    with pytest.raises(InvalidStatus) as refused, server.stream(additional_headers={"Origin": origin}):
        pass
    assert refused.value.response.status_code == 403


def test_pages_of_the_server_itself_and_of_allowed_origins_pass(start: Starts) -> None:
    found = start(Access(origins=frozenset({"https://page.example"})))
    assert head(found, Origin=f"http://127.0.0.1:{found.port}") == 200
    assert head(found, Origin="https://page.example") == 200
    with found.stream(origin="https://page.example") as stream:
        stream.send(frame())


@pytest.fixture(scope="module")
def guarded(recognizer: SharedRecognizer) -> Iterator[Running]:
    with running(recognizer, Access(TOKEN, frozenset())) as found:
        yield found


@pytest.mark.parametrize("given", ["", TOKEN, f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ü", f"Bearer {TOKEN[:-1]}"])
def test_a_request_without_the_token_is_refused(guarded: Running, given: str) -> None:
    answer = guarded.request("GET", "/v1/model", Authorization=given)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert guarded.request("GET", f"/v1/model?token={TOKEN}").status == 401


def test_a_refused_stream_is_no_error_in_the_log(guarded: Running, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidStatus), guarded.stream():
        pass
    wait_until(lambda: not guarded.gate.guard.sockets.used)
    assert caplog.records == []


def test_browsers_let_allowed_pages_read_answers_and_send_clips(start: Starts) -> None:
    page = "https://page.example"
    found = start(Access(TOKEN, origins=frozenset([page])))
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization, content-type"}
    preflight = found.request("OPTIONS", "/v1/predict", Origin=page, **asked)
    assert preflight.status == 200 and preflight.headers["access-control-allow-origin"] == page
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    refused = found.predict({"joints": NESTED}, Origin=page)
    answer = found.predict({"joints": NESTED}, Origin=page, Authorization=f"Bearer {TOKEN}")
    assert (refused.status, answer.status) == (401, 200)
    assert {each.headers["access-control-allow-origin"] for each in (refused, answer)} == {page}
    other = found.request("OPTIONS", "/v1/predict", Origin="https://evil.example", **asked)
    assert other.status >= 400 and "access-control-allow-origin" not in other.headers


def test_short_answers_are_sent_at_once(server: Running) -> None:
    with server.raw():
        wait_until(lambda: server.server.server_state.connections)
        connections = [*server.server.server_state.connections]
        options = [
            each.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for each in connections
        ]
        assert options and all(options)


def test_a_name_that_was_made_to_lead_here_needs_no_token_to_be_refused(start: Starts) -> None:
    found = start(Access(TOKEN))
    assert head(found, Host="evil.example", Authorization=f"Bearer {TOKEN}") == 421


@pytest.mark.parametrize("path", ["/nothing", "/health", "/v1/predict", "/v1/stream/"])
def test_a_stream_at_another_path_is_refused_and_takes_no_place(server: Running, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused, server.stream(path=path):
        pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body) == {"error": "There is no stream at this path."}


def test_a_server_that_ends_while_a_body_arrives_is_no_error_in_the_log(
    recognizer: SharedRecognizer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_SHUTDOWN_S", 0.1)
    with running(recognizer) as found, found.raw() as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        wait_until(lambda: found.gate.guard.bodies.used)
    assert [each.getMessage() for each in caplog.records if each.exc_info] == []


def test_the_token_opens_all_paths_and_health_needs_none(guarded: Running) -> None:
    assert guarded.request("GET", "/metrics", Authorization=f"Bearer {TOKEN}", Host="any.example").status == 200
    assert guarded.request("GET", "/health").status == 200
    assert guarded.request("GET", "/metrics").status == 401


def test_a_stream_takes_the_token_as_a_header_a_parameter_or_a_subprotocol(guarded: Running) -> None:
    with guarded.stream(additional_headers={"Authorization": f"Bearer {TOKEN}"}):
        pass
    with guarded.stream(path=f"/v1/stream?token={TOKEN}"):
        pass
    with guarded.stream(subprotocols=["last", f"token.{TOKEN}"]) as stream:
        assert stream.subprotocol == "last"
    for path, protocols in (("/v1/stream", None), ("/v1/stream?token=x", None), ("/v1/stream", ["last", "token.x"])):
        with pytest.raises(InvalidStatus) as refused, guarded.stream(path=path, subprotocols=protocols):
            pass
        assert refused.value.response.status_code == 401


@needs_addresses
def test_an_address_with_too_many_requests_waits_and_others_do_not(start: Starts) -> None:
    found = start(rate=0.5)
    assert found.request("GET", "/v1/model", source=BAD).status == 200
    answer = found.request("GET", "/v1/model", source=BAD)
    assert answer.status == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 2
    with pytest.raises(InvalidStatus) as refused, found.stream(BAD):
        pass
    assert refused.value.response.status_code == 429
    assert found.request("GET", "/v1/model", source=GOOD).status == 200
    assert found.request("GET", "/health", source=BAD).status == 200  # which what watches the server asks often


def test_a_body_above_the_limit_is_refused_by_its_stated_length(server: Running) -> None:
    with server.raw() as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483648\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 413"


def test_a_body_above_the_limit_is_refused_while_it_is_read_and_the_connection_ends(start: Starts) -> None:
    found = start(max_body_mib=0.1)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with found.raw() as client:
        client.sendall(head)
        sent, ended = 0, False
        try:
            while sent < 2 << 30:
                client.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            ended = True
    assert ended
    assert found.metric('last_refused_total{reason="body"}') == 1
    assert found.gate.guard.bodies.used == 0


def test_a_client_that_sends_a_little_too_much_can_read_why(start: Starts) -> None:
    answer = start(max_body_mib=0.1).predict(b" " * 300_000)
    assert answer.status == 413
    assert "0.1 MiB" in answer.json["error"]


def test_a_body_that_arrives_too_slowly_is_refused(start: Starts) -> None:
    found = start(timeout=0.2)
    with found.raw() as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        assert client.recv(12) == b"HTTP/1.1 408"


@needs_addresses
def test_bodies_of_one_address_do_not_take_the_memory_of_all(start: Starts) -> None:
    found = start(max_body_mib=0.5)
    begun = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n" + b" " * 400_000
    clients = [found.raw(BAD) for _ in range(4)]
    for client in clients:
        client.sendall(begun)
    wait_until(lambda: found.metric('last_refused_total{reason="bodies"}') >= 1)
    assert found.gate.guard.bodies.taken[BAD] <= 2 * (1 << 19)
    assert found.predict({"joints": NESTED}, source=GOOD).status == 200
    for client in clients:
        client.close()
    wait_until(lambda: found.gate.guard.bodies.used == 0)


def test_clips_beyond_the_queue_are_refused_and_may_come_again(start: Starts) -> None:
    found = start(waiting=1)
    with found.held():
        clients = [post_clip(found) for _ in range(2)]
        wait_until(lambda: found.metric("last_tasks ") == 2)
        answer = found.predict({"joints": NESTED})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    for client in clients:
        assert client.recv(12) == b"HTTP/1.1 200"
        client.close()
    assert found.predict({"joints": NESTED}).status == 200


def post_clip(found: Running) -> socket.socket:
    content = json.dumps({"joints": NESTED}).encode()
    client = found.raw()
    start = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    client.sendall(f"{start}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return client
