"""The page that `last serve` offers, and what stands there where it is not built."""

from collections.abc import Callable
from pathlib import Path

import pytest
from serve_probes import Running, Starts

from last.serve import app, page_files
from last.serve.gate import Access


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a folder with a page."""
    for name in ("index.html", "page.js", "page.css", "ort.wasm", "model.onnx"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def with_page(built: Path, start: Starts, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Running]:
    """Return a function that starts a server that has the page."""
    monkeypatch.setattr(app, "page_files", lambda: page_files.page_files(built))
    return start


def test_every_file_is_served_by_its_name_with_its_kind(with_page: Callable[..., Running]) -> None:
    server = with_page()
    for path, kind in (
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/page.js", "text/javascript"),
        ("/ort.wasm", "application/wasm"),
    ):
        answer = server.request("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert answer.body.decode() == (path.strip("/") or "index.html")


def test_the_page_may_not_load_anything_from_elsewhere(with_page: Callable[..., Running]) -> None:
    headers = with_page().request("GET", "/").headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/page/../page.js", "/app.py", "/.hidden", "/page"])
def test_no_other_file_is_served(with_page: Callable[..., Running], path: str) -> None:
    assert with_page().request("GET", path).status == 404


def test_the_page_needs_no_token_and_the_model_does(with_page: Callable[..., Running]) -> None:
    server = with_page(Access("a-token-of-a-test"))
    assert server.request("GET", "/").status == 200
    assert server.request("GET", "/page.js").status == 200
    assert server.request("GET", "/v1/model").status == 401


def test_the_page_is_refused_under_another_name(with_page: Callable[..., Running]) -> None:
    assert with_page().request("GET", "/", Host="elsewhere.example").status == 421


def test_without_a_page_the_server_says_how_to_build_it(tmp_path: Path) -> None:
    (only,) = page_files.page_files(tmp_path / "nothing").items()
    assert only[0] == "/"
    assert "make page" in only[1].content.decode()
