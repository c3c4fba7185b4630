"""An inspection as one HTML page: a verdict, the findings with moving skeletons, and what the data set holds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path

from ..data.preparation.formats import BadClip
from ..plots.html import Bars, Player, Range, bars_of, curve_of, player_of, range_of, write_report
from ..plots.player import PAGE_LIMIT_BYTES, PlayedClip
from ..utils.errors import UserError
from ..utils.numbers import counted, percent
from .findings import Contents, Distribution, Evidence, Finding, Inspection, Severity

_MOST_PLAYED, _MOST_PLAYED_OF_ONE = 30, 3  # clips on the page, and of one finding
_ROWS, _ROWS_AT_ONCE = 50, 5  # of the clips of one finding: the others are counted, or unfolded
_PLAYERS_BYTES = PAGE_LIMIT_BYTES - (12 << 20)  # the rest is for tables
_PLAYER_BYTES = 12 << 20  # so that a few long recordings leave room for other findings
_TEMPLATE = Path(__file__).parent / "page.html.j2"


@dataclass(frozen=True)
class _Label:
    """A text with the class of its style."""

    style: str
    label: str


_SEVERITIES = {
    Severity.SPOILS: _Label("spoils", "would spoil training"),
    Severity.WARNING: _Label("warning", "may harm training"),
    Severity.NOTE: _Label("note", "note"),
}
_VERDICTS = {
    Severity.SPOILS: _Label("spoils", "This would spoil training"),
    Severity.WARNING: _Label("warning", "Look at this first"),
    Severity.NOTE: _Label("ready", "Ready for training"),
}
_ORDER = list(_SEVERITIES)


@dataclass(frozen=True)
class _Row:
    """A clip of a finding in its table."""

    name: str
    detail: str
    other: str


@dataclass(frozen=True)
class _Shown:
    """A finding as the template shows it: the first rows, those to unfold, and how many there are of how many."""

    title: str
    severity: _Label
    message: str
    remedy: str
    first: Sequence[_Row]
    more: Sequence[_Row]
    count: str
    pairs: bool
    details: bool
    player: Player


def write_inspection_page(
    path: Path, inspection: Inspection, clip_of: Callable[[int], PlayedClip], *, names: Sequence[str]
) -> None:
    """Write the page of an inspection: one file that needs no other.

    Args:
        path: of the page.
        inspection: what to show.
        clip_of: returns the clip of a number; it may raise BadClip or a UserError, and the page then says why.
        names: of all inspected clips, by number.

    Raises:
        UserError: the file cannot be written.
    """
    findings = sorted(inspection.findings, key=lambda finding: _ORDER.index(finding.severity))
    flat: set[bool] = set()

    def shown_clip(number: int) -> PlayedClip:
        clip = clip_of(number)
        flat.add(clip.layout.flat)
        return clip

    shown = list(_shown(findings, shown_clip, names))
    curve = inspection.curve
    measured = {point.clips: point.accuracies for point in curve.points} if curve else {}
    values = {
        "name": inspection.name,
        "where": inspection.where,
        "facts": _facts(inspection.contents),
        "verdict": _VERDICTS[findings[0].severity if findings else Severity.NOTE],
        "summary": _summary(findings),
        "findings": shown,
        "turns": False in flat,
        "line": curve_of(measured, curve.forecast) if curve else None,
        "advice": curve.advice if curve else "",
        "no_curve": inspection.no_curve,
        "charts": list(_charts(inspection.contents)),
        "ranges": list(_ranges(inspection.contents)),
        "looked_for": [_words(kind) for kind, problem in inspection.checked.items() if not problem],
        "not_possible": [(_words(kind), problem) for kind, problem in inspection.checked.items() if problem],
    }
    write_report(path, _TEMPLATE, values)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _facts(contents: Contents) -> str:
    """Return a sentence with the numbers of clips, classes, people and cameras."""
    numbers = {
        "class": len(contents.classes),
        "subject": len([number for number in contents.subjects if number]),
        "camera": len([number for number in contents.cameras if number]),
        "setup": len([number for number in contents.setups if number]),
    }
    parts = [counted(contents.clips, "clip"), *(counted(many, noun) for noun, many in numbers.items() if many)]
    missing = f", {percent(contents.missing)} of the joints are missing" if contents.missing else ""
    return f"{', '.join(parts)}{missing}."


def _summary(findings: Sequence[Finding]) -> str:
    """Return sentences with the number of findings of each severity."""
    numbers = [sum(finding.severity is severity for finding in findings) for severity in _ORDER]
    if not any(numbers):
        return "Nothing wrong or unusual was found."
    kinds = ("would spoil training", "may harm training", "worth knowing")
    parts = [f"{number} {kind}" for number, kind in zip(numbers, kinds, strict=True) if number]
    return f"{counted(len(findings), 'finding')}: {', '.join(parts)}."


def _shown(findings: Sequence[Finding], clip_of: Callable[[int], PlayedClip], names: Sequence[str]) -> Iterator[_Shown]:
    """Yield the findings with their players, those that would spoil training first."""
    left = _PLAYERS_BYTES
    for finding, played in zip(findings, _played(findings), strict=True):
        clips = [partial(_clip, evidence, clip_of) for evidence in played]
        player, used = player_of(clips, min(left, _PLAYER_BYTES), label=f"Clips: {finding.title}", heading=4)
        left -= used
        if finding.evidence and not played:
            player = Player("", [f"the page plays {_MOST_PLAYED} clips at most; `view` shows any clip."])
        rows = [_row(evidence, names) for evidence in finding.evidence[:_ROWS]]
        affected = max(finding.clips, len(finding.evidence))
        yield _Shown(
            finding.title,
            _SEVERITIES[finding.severity],
            finding.message,
            finding.remedy,
            rows[:_ROWS_AT_ONCE],
            rows[_ROWS_AT_ONCE:],
            f"Listed: {len(rows)} of {counted(affected, 'clip')}." if affected > len(rows) else "",
            any(row.other for row in rows),
            any(row.detail for row in rows),
            player,
        )


def _played(findings: Sequence[Finding]) -> list[list[Evidence]]:
    """Return the clips of each finding to play: the clearest of each finding, then the second of each, and so on."""
    played: list[list[Evidence]] = [[] for _ in findings]
    for place in range(_MOST_PLAYED_OF_ONE):
        for finding, chosen in zip(findings, played, strict=True):
            if place < len(finding.evidence) and sum(map(len, played)) < _MOST_PLAYED:
                chosen.append(finding.evidence[place])
    return played


def _row(evidence: Evidence, names: Sequence[str]) -> _Row:
    other = "" if evidence.other is None else names[evidence.other]
    return _Row(names[evidence.clip], evidence.detail, other)


def _clip(evidence: Evidence, clip_of: Callable[[int], PlayedClip]) -> PlayedClip:
    """Return a clip as it shows a finding: marked, and beside the clip that belongs to it.

    Raises:
        UserError: it cannot be read.
    """
    try:
        clip = clip_of(evidence.clip)
        other = None if evidence.other is None else clip_of(evidence.other)
    except BadClip as error:
        raise UserError(str(error)) from error
    named = [clip.layout.joints[joint] for joint in evidence.joints if 0 <= joint < clip.layout.num_joints]
    marked = f"marked: {', '.join(map(_words, named))}" if named else ""
    versions = list(clip.versions[:1])
    if other is not None and other.layout == clip.layout:
        titles = (each.name + (f" ({each.caption})" if each.caption else "") for each in (clip, other))
        versions = [replace(each.versions[0], title=title) for each, title in zip((clip, other), titles, strict=True)]
    caption = ", ".join(filter(None, (clip.caption, evidence.detail, marked)))
    return replace(
        clip, versions=versions, caption=caption, marked_frames=evidence.frames, marked_joints=evidence.joints
    )


def _charts(contents: Contents) -> Iterator[Bars]:
    """Yield the bars of what there are numbers of."""
    yield bars_of("Clips of each class", contents.classes)
    for protocol, parts in contents.parts.items():
        yield bars_of(f"Parts of {protocol}", parts)
    numbered = {"subject": contents.subjects, "camera": contents.cameras, "setup": contents.setups}
    for noun, numbers in numbered.items():
        if any(numbers):  # 0 is unknown
            named = {f"{noun} {number}" if number else "unknown": clips for number, clips in sorted(numbers.items())}
            yield bars_of(f"Clips of each {noun}", named)
    if contents.frame_rates:
        rates = {f"{rate:g}" if rate else "unknown": clips for rate, clips in sorted(contents.frame_rates.items())}
        yield bars_of("Frames per second", rates)
    if contents.bodies:
        yield bars_of(
            "Bodies in a clip", {counted(many, "body"): clips for many, clips in sorted(contents.bodies.items())}
        )


def _ranges(contents: Contents) -> Iterator[Range]:
    """Yield the distributions of lengths and sizes that are known."""
    titled: dict[str, Distribution | None] = {
        "Frames of a clip": contents.frames,
        "Seconds of a clip": contents.seconds,
        "Height of a body, in the unit of the coordinates": contents.size,
    }
    for title, values in titled.items():
        line = range_of(title, astuple(values)) if values else None
        if line is not None:
            yield line
