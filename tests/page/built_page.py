"""The built page, for tests in a browser: made once for all test processes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from node_probes import NPM, ROOT, node

DEMO = ROOT / "demo"
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
REQUIRED = "LAST_TEST_PAGE"  # if it is set, nothing is skipped
_MINUTES = 5


def browser() -> str:
    """Return the path of Chromium; without it, skip."""
    named = os.environ.get("LAST_TEST_CHROMIUM", "")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), "")
    if not found:
        _skip("no Chromium is installed: install it, or name it in LAST_TEST_CHROMIUM, to test the page")
    return found


def _skip(reason: str) -> None:
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, and {reason}", pytrace=False)
    pytest.skip(reason)


def _install() -> None:
    """Install the packages of the page from npm, unless they are there."""
    installed, wanted = DEMO / "node_modules" / ".package-lock.json", DEMO / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        return
    done = node(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=DEMO, seconds=60 * _MINUTES)
    if done.returncode:
        _skip(f"the packages of the page cannot be installed: {done.stderr[-500:]}")
    installed.touch()


def _make_content() -> None:
    """Export the student of the page and write its clips, unless they are those of these sources."""
    sources = [DEMO / "make_content.py", ROOT / "src/runs/weights/synthetic.pth", ROOT / "src/deploy/contract.py"]
    sources += [ROOT / "src/plots/drawing.py", ROOT / "src/plots/player/page.py"]
    sources += [*sorted((ROOT / "src/data/synthetic").glob("*.py")), *sorted((ROOT / "configs").glob("layout*/*.yaml"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = DEMO / "content" / "sources.txt"
    if stamp.exists() and stamp.read_text() == digest:
        return
    command = [sys.executable, DEMO / "make_content.py"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=60 * _MINUTES)
    stamp.write_text(digest)


@pytest.fixture(scope="session")
def built_page(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of the page as `npm run build` makes it; skip where there is no browser or no package."""
    browser()
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "built-page"
    with FileLock(DEMO / ".lock"):
        _install()
        _make_content()
        if not (folder / "index.html").exists():
            done = node("build.mjs", folder, folder=DEMO)
            assert done.returncode == 0, done.stderr
    return folder
