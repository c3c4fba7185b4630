"""The player's HTML: a fragment for any page, and a page of its own.

Names come from files of other people. They reach a page as JSON in which no character can end the element, and the
player shows them as text only. The page forbids itself any connection, and any program but the player's own.
"""

import hashlib
import html
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ...utils.files import write_text
from ...utils.foreign_text import printable
from .. import drawing
from .clips import PlayedClip, encode

PAGE_LIMIT_BYTES = 64 << 20
_FOLDER = Path(__file__).parent
_SCRIPTS, _STYLES = ("drawing.js", "gestures.js", "player.js"), ("player.css",)


def fragment(
    clips: Sequence[PlayedClip], *, label: str = "Clips", plays: bool = True, heading: int = 2, embedded: bool = False
) -> str:
    """Return the HTML of a player of some clips, for a page that also has `assets()`, once and after all fragments.

    Args:
        clips: at least one.
        label: its name for screen readers.
        plays: start playing at once, except for readers who prefer reduced motion.
        heading: the level of the heading with a clip's name, from 1 to 6, one below that of what surrounds the player.
        embedded: the page has other content: it scrolls under a wheel or a finger, unless the clip has the focus.

    Raises:
        UserError: there is no clip, a clip does not fit its layout, or they are too many for a page.
    """
    if not clips:
        raise UserError("There is no clip to show.")
    values = {**encode(clips), "shared": conventions()}
    content = json_in_script(values)
    if len(content) > PAGE_LIMIT_BYTES:
        raise UserError(
            f"The page would have {len(content) >> 20:,} MiB, more than the {PAGE_LIMIT_BYTES >> 20} MiB that it may "
            "have. Show fewer clips, or shorter ones."
        )
    return (
        f'<section class="last-player" aria-label="{html.escape(printable(label))}" data-plays="{str(plays).lower()}" '
        f'data-heading="{heading}" data-embedded="{str(embedded).lower()}">'
        f'<script type="application/json">{content}</script>'
        "<noscript><p>The player needs JavaScript.</p></noscript></section>"
    )


def assets() -> str:
    """Return the player's styles and its program, as elements of a page."""
    return f"<style>{_styles()}</style>\n<script>{_program()}</script>"


def content_policy(*styles: str, programs: Sequence[str] = ()) -> str:
    """Return the element for the head of a page that allows the player, these styles and programs, and nothing else."""
    allowed = " ".join(_digest(style) for style in (_styles(), *styles))
    run = " ".join(_digest(program) for program in (_program(), *programs))
    policy = f"default-src 'none'; img-src data:; style-src {allowed}; script-src {run}; "
    policy += "base-uri 'none'; form-action 'none'"
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'


def write_page(path: Path, clips: Sequence[PlayedClip], *, title: str) -> None:
    """Write a page that plays clips, one file that needs no other.

    Raises:
        UserError: see `fragment`; or the file cannot be written.
    """
    shown, style = html.escape(printable(title)), _read("page.css")
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        content_policy(style),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{shown}</title><style>{style}</style></head>",
        f'<body><main><h1 class="lp-heading">{shown}</h1>',
        fragment(clips),
        f"</main>{assets()}</body></html>",
    ]
    write_text(path, "\n".join(lines) + "\n")


def conventions() -> dict[str, Any]:
    """Return the colours and measures that the player shares with the pictures."""
    return {
        "light": asdict(drawing.LIGHT),
        "dark": asdict(drawing.DARK),
        "margin": drawing.MARGIN,
        "eye_distance": drawing.EYE_DISTANCE,
        "limb_share": drawing.LIMB_SHARE,
        "grid_lines": drawing.GRID_LINES,
        "halo_width": drawing.HALO_WIDTH,
        "halo_depth": drawing.HALO_DEPTH,
        "head_width": drawing.HEAD_WIDTH,
        "faintest": drawing.FAINTEST,
        "azimuth": drawing.AZIMUTH_DEGREES,
        "elevation": drawing.ELEVATION_DEGREES,
        "default_fps": drawing.DEFAULT_FPS,
    }


def json_in_script(values: Any) -> str:
    """Return JSON that can be the content of an element `script`: a `<` can only be inside of a string."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


@cache
def _styles() -> str:
    return "".join(map(_read, _STYLES))


@cache
def _program() -> str:
    """Return the player's program, which defines no global name."""
    return '"use strict";(() => {\n' + "".join(map(_read, _SCRIPTS)) + "})();"


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
