"""The shell of a report: its template, styles and program, and what the page may do.

Names come from files of other people. Every text that a template shows is made printable and escaped; the page
forbids itself any connection, and any style or program but its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...utils.errors import UserError
from ...utils.files import write_text
from ...utils.foreign_text import harmless, printable
from ...version import __version__
from ..player import PlayedClip, assets, bytes_of, content_policy, fragment
from .charts import points_of

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent
_LONGEST = 160  # characters of a name
_END = 40  # of these at its end


@dataclass(frozen=True)
class Player:
    """A player for a template: its HTML, and why clips that were wanted are not in it."""

    html: str
    problems: Sequence[str] = ()


def player_of(
    clips: Iterable[Callable[[], PlayedClip]], budget: int, *, label: str, heading: int
) -> tuple[Player, int]:
    """Return a player of those clips that can be shown and fit, and how many bytes of the page they take.

    Args:
        clips: each returns its clip, or raises a UserError.
        budget: how many bytes there are.
        label: the player's name for screen readers.
        heading: the level of the heading with a clip's name.
    """
    kept, problems, used = [], [], 0
    for read in clips:
        try:
            clip = read()
            size = sum(_bytes_of_version(clip, number) for number in range(len(clip.versions)))
            if used + size > budget:
                problems.append(f"{clip.name} is too long for this page.")
                continue
            fragment([clip], label=label)
        except UserError as error:
            problems.append(str(error))
            continue
        kept.append(clip)
        used += size
    if not kept:
        return Player("", problems), 0
    return Player(fragment(kept, label=label, plays=False, heading=heading, embedded=True), problems), used


def _bytes_of_version(clip: PlayedClip, number: int) -> int:
    version = clip.versions[number]
    bodies, frames = version.joints.shape[:2]
    return bytes_of(frames, bodies, clip.layout, with_confidence=version.confidence is not None)


def write_report(
    path: Path, template: Path, values: Mapping[str, Any], *, styles: Sequence[Path] = (), programs: Sequence[Path] = ()
) -> None:
    """Write the page of a template with these values, and with files of styles and programs of its own.

    Raises:
        UserError: the file cannot be written.
    """
    from markupsafe import Markup

    style, program = (
        "".join(file.read_text(encoding="utf-8") for file in (_FOLDER / own, *others))
        for own, others in (("report.css", styles), ("report.js", programs))
    )
    shell = {
        "policy": Markup(content_policy(style, programs=[program])),
        "style": Markup(style),
        "program": Markup(program),
        "assets": Markup(assets()),
        "version": __version__,
    }
    page = _environment(template.parent).get_template(template.name).render({**values, **shell})
    write_text(path, page)


@cache
def _environment(folder: Path) -> "Environment":
    """Return what fills the templates of a folder: each text printable and escaped, an unknown name an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, _FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(name=_short_name, points=points_of, pieces=_pieces)
    return environment


def _shown(value: Any) -> Any:
    """Return a value as it may be shown: text that is not HTML already loses its control characters."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return harmless(value).replace(" %", "\u00a0%")  # a line does not end between a number and its unit


def _short_name(text: str) -> str:
    """Return a name without the middle if it is very long."""
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - _END]} … {shown[-_END:]}"


def _pieces(text: str) -> list[tuple[str, str]]:
    """Return the pieces of a text, each with its kind: in backticks is a `command` of several words, or `code`.

    A full stop after a command at the end is left out, since a command has a box that may fill the line.
    """
    pieces = [
        (("command" if " " in piece else "code") if place % 2 else "text", piece)
        for place, piece in enumerate(text.split("`"))
        if piece
    ]
    ends_with_command = len(pieces) > 1 and pieces[-2][0] == "command" and pieces[-1] == ("text", ".")
    return pieces[:-1] if ends_with_command else pieces
