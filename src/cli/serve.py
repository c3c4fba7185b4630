"""`serve`: answer requests of other programs with an exported model, over HTTP and WebSocket."""

import argparse
import os
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

from ..serve.limits import ServeLimits
from ..utils.errors import UserError
from .options import MOST_THREADS, check_bounds, count, examples, fill
from .terminal import say

NEEDS = ("fastapi", "uvicorn", "websockets", "prometheus_client")
TOKEN_VARIABLE = "LAST_TOKEN"
_SHORTEST_TOKEN = 16
_MOST_WORKERS = 64
_DEFAULTS = {item.name: item.default for item in fields(ServeLimits)}
_LIMITS = {  # of ServeLimits: its metavar and its help
    "max_body_mib": ("MIB", "size of a request"),
    "max_frames": ("N", "frames of a clip"),
    "max_bodies": ("N", "bodies of a clip, and of a frame of a stream"),
    "max_connections": ("N", "streams at the same time"),
    "max_per_address": ("N", "of these from one address"),
    "rate": ("N", "requests a second from one address"),
    "frame_rate": ("FPS", "frames a second of a stream; faster ones are read at this rate"),
    "timeout": ("S", "seconds for a request to arrive, and without a frame until a stream is closed"),
    "waiting": ("N", "clips that wait for a free worker"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "--model", dest="model_path", type=Path, required=True, metavar="FILE", help="an exported file (.onnx or .xml)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="address to listen at (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, metavar="P", help="port; 0 for a free one (default: 8000)")
    parser.add_argument(
        "--token",
        metavar="T",
        help=f"what clients have to send; better in the variable {TOKEN_VARIABLE}, which other users do not see. With "
        "another --host one is needed, and made if none is given",
    )
    parser.add_argument(
        "--allow_origin", action="append", default=[], metavar="URL", help="origin of web pages that may use the server"
    )
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="copies of the model (default: 1)")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="CPU threads of each; 0 for the runtime's choice (default: 1)",
    )
    for name, (metavar, text) in _LIMITS.items():
        kind = type(_DEFAULTS[name])
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=f"{text} (default: {_DEFAULTS[name]:g})")
    parser.epilog = examples(
        """
        {program} serve --model student.onnx
        {program} serve --model student.onnx --port 9000 --max_frames 600 --rate 5
        {program} serve --model student.onnx --host 0.0.0.0 --workers 4
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    check_bounds(arguments, threads=(0, MOST_THREADS), workers=(1, _MOST_WORKERS), port=(0, 65535))
    limits = fill(ServeLimits, arguments)
    given, origins = _token(arguments), [_origin(each) for each in arguments.allow_origin]
    from ..serve.server import access_for, listen, open_recognizers, server_of

    recognizers = open_recognizers(arguments.model_path, arguments.workers, arguments.threads)
    access = access_for(arguments.host, given, origins)
    with listen(arguments.host, arguments.port) as listening:
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        facts = recognizers[0].facts
        lines = [
            f"Serving {facts.model} ({len(facts.classes)} classes, layout {facts.layout.name}) at http://{address}",
            f"Page: http://{address}/; streams: ws://{address}/v1/stream; description: http://{address}/openapi.json; "
            "Ctrl-C ends it.",
        ]
        if access.token and not given:
            lines.append(f"Token, made for this run: {access.token}")
        say(*lines, sep="\n", flush=True)
        server_of(recognizers, limits, access).run(sockets=[listening])
    return 0


def _token(arguments: argparse.Namespace) -> str:
    token: str = os.environ.get(TOKEN_VARIABLE, "") if arguments.token is None else arguments.token
    if (token or arguments.token is not None) and not (
        len(token) >= _SHORTEST_TOKEN and token.isascii() and token.replace("-", "").replace("_", "").isalnum()
    ):
        raise UserError(
            f"A token should have at least {_SHORTEST_TOKEN} letters, digits, - or _. Without one, one is made."
        )
    return token


def _origin(given: str) -> str:
    """Return the origin of web pages as a browser writes it."""
    try:
        parts = urlsplit(given)
        is_origin = (
            parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/") and not parts.query
        )
    except ValueError:
        is_origin = False
    if not is_origin:
        raise UserError(f"--allow_origin takes the origin of web pages, such as https://page.example, not {given!r}.")
    return f"{parts.scheme}://{parts.netloc}".lower()
