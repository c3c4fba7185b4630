"""The page of `demo/`, which runs a student in the browser: its files, as the build put them beside this module.

They are read once, and served as they are, by their names alone: no path of a request is ever joined to a folder. A
checkout has them after `make page`; without them there is a short text that says so.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..utils.program import program

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"
_KINDS = {".js": "text/javascript", ".wasm": "application/wasm", ".npy": "application/octet-stream",
          ".onnx": "application/octet-stream", ".json": "application/json", ".svg": "image/svg+xml"}  # fmt: skip
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>LAST</title></head><body>
<h1>The page is not built</h1>
<p>This server runs a model; the page for the browser is not part of this installation. In a checkout of LAST,
<code>make page</code> builds it (it needs Node 20 or later and the npm registry), and the next
<code>{program} serve</code> has it here.</p>
</body></html>
"""


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    Attributes:
        content: its bytes.
        kind: its media type, with the character set of texts.
    """

    content: bytes
    kind: str


def page_files(folder: Path = FOLDER) -> dict[str, PageFile]:
    """Return the files of the page by their paths in URLs; the page itself is also `/`, there if none is built.

    Raises:
        OSError: a file cannot be read.
    """
    names = sorted(path for path in folder.iterdir() if path.is_file()) if (folder / INDEX).is_file() else []
    found = {f"/{path.name}": PageFile(path.read_bytes(), _kind(path)) for path in names}
    index = found.get(f"/{INDEX}")
    missing = PageFile(_MISSING.format(program=program()).encode(), "text/html; charset=utf-8")
    return {"/": index or missing, **found}


def _kind(path: Path) -> str:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
