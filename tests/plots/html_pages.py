"""HTML pages in tests: hostile names, the elements of a page, and the page as a browser shows it."""

import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

HOSTILE_NAMES = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\"quotes' & slashes/\\ <b>bold</b>",
    "two\nlines\x00\x1b[31m\u202ereversed",
    "not UTF-8 \udcff",
    "ümläut 動作",
]


class Elements(HTMLParser):
    """The elements of a page in their order, and the content of the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


@cache
def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), "")
    if not found:
        pytest.skip("there is no Chromium or Chrome to open the page in")
    return found


def opened(page: Path) -> str:
    """Return the document of a page after its scripts have run for a second."""
    profile = page.parent / "profile"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    command = [browser(), *options, "--virtual-time-budget=1000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, timeout=120, check=True, encoding="utf-8").stdout
