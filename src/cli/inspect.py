"""`inspect`: look for what would spoil training before it starts."""

import argparse
import json
import logging
import shlex
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ..inspection.clip_source import ClipSource, find_clips
from ..inspection.findings import Contents, Distribution, Finding, Inspection, Severity
from ..inspection.inspector import UNTRAINED, as_json, inspect_clips, played, write_inspection_json
from ..utils.errors import Unwritable, UserError
from ..utils.files import refuse_unwritable, write_text
from ..utils.names import file_name, first_few
from ..utils.numbers import counted, percent
from ..utils.program import install_command, program
from .folders import add_sought, sought_by
from .options import add_shared, check_bounds, examples
from .terminal import progress, remark, say, table

NEEDS = ("pydantic",)

_logger = logging.getLogger(__name__)

_UNREADABLE = "unreadable"  # the kind of clips that cannot be looked at

SPOILED = 5  # the exit code if something would spoil training
_MINUTES = 2.0
_FEWEST_FOR_STUDENTS = 40
_CLIPS_NAMED, _CLASSES_SHOWN = 3, 30
_HEADINGS = {
    Severity.SPOILS: "would spoil training",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add_sought(parser)
    written = parser.add_mutually_exclusive_group()
    written.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (.html) or the data (.json) to write (default: ./inspect-NAME.html and .json)",
    )
    written.add_argument("--json", action="store_true", help="print the inspection as JSON and write no file")
    parser.add_argument(
        "--minutes",
        type=float,
        default=_MINUTES,
        metavar="M",
        help="how long students are trained, to find wrong labels and what more clips would bring "
        f"(default: {_MINUTES:g})",
    )
    parser.add_argument("--no_training", action="store_true", help="train no students")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the students (default: 0)")
    parser.add_argument(
        "--write_ignore",
        type=Path,
        metavar="FILE",
        help="also write the names of clips with a grave fault of their own, for `preprocess --ignore FILE`",
    )
    add_shared(parser, "--data_root", "--output_root", "--env")
    parser.epilog = examples(
        """
        {program} inspect nw_ucla
        {program} inspect ./recordings --no_training
        {program} inspect data/gestures --out gestures.html --minutes 5
        {program} inspect data/gestures --write_ignore bad.txt
        """
    )


def run(arguments: argparse.Namespace) -> int:
    """Inspect, print the findings, write the page; return 5 if something would spoil training, else 0."""
    check_bounds(arguments, minutes=(0, 600), seed=(0, 2**32 - 1))
    if arguments.out is not None and arguments.out.suffix.lower() not in {".html", ".htm", ".json"}:
        raise UserError(f"--out {arguments.out} should end in .html or .json.")
    _refuse_unwritable(arguments)
    source = find_clips(sought_by(arguments))
    untrained = _untrained(arguments, source)
    minutes = 0.0 if untrained else arguments.minutes
    quiet = arguments.quiet or arguments.json
    inspection = inspect_clips(
        source, minutes=minutes, seed=arguments.seed, progress=progress(quiet), untrained=untrained or UNTRAINED
    )
    if arguments.json:
        say(json.dumps(as_json(inspection, source.names), indent=2))
    else:
        _show(inspection, source, _as_typed(arguments))
        _write(inspection, source, arguments.out)
    if arguments.write_ignore is not None:
        written = _write_ignored(arguments.write_ignore, inspection, source.names)
        if arguments.json:
            _logger.info("%s", written)
        else:
            say(written)
    return SPOILED if inspection.spoils else 0


def _refuse_unwritable(arguments: argparse.Namespace) -> None:
    """Refuse files that could not be written at the end.

    Raises:
        UserError: the folder of one cannot be written.
    """
    if arguments.write_ignore is not None:
        refuse_unwritable(arguments.write_ignore)
    if arguments.out is not None:
        refuse_unwritable(arguments.out)
    elif not arguments.json:
        try:
            refuse_unwritable(Path.cwd(), folder=True)
        except Unwritable as error:
            raise UserError(f"{error} Name it with --out FILE.") from error


def _untrained(arguments: argparse.Namespace, source: ClipSource) -> str:
    """Return why no students are trained; empty if they are."""
    if arguments.no_training:
        return UNTRAINED
    if len(source.names) < _FEWEST_FOR_STUDENTS:
        return f"{UNTRAINED}, which need {_FEWEST_FOR_STUDENTS} clips or more"
    if find_spec("torch") is None:
        _logger.warning(
            "No students are trained, so wrong labels are not looked for: they need torch. Install it with: %s",
            install_command("last-har[train]"),
        )
        return UNTRAINED
    return ""


def _as_typed(arguments: argparse.Namespace) -> str:
    """Return the path and the options that say how to read it, for the command that shows a clip."""
    words = [arguments.path]
    for option in ("format", "layout", "dataset", "data_root"):
        if value := getattr(arguments, option):
            words += [f"--{option}", str(value)]
    return shlex.join(words)


def _show(inspection: Inspection, source: ClipSource, path: str) -> None:
    """Print what the set holds, the findings, what could not be checked, and the learning curve."""
    contents = inspection.contents
    say(f"Inspected: {counted(contents.clips, 'clip')} of {inspection.where}.")
    table("contents", ["what", "how many"], _facts(contents))
    if 0 < len(contents.classes) <= _CLASSES_SHOWN:
        table("classes", ["class", "clips"], [[name, f"{count:,}"] for name, count in contents.classes.items()])
    for finding in inspection.findings:
        _show_finding(finding, source.names, path)
    if not inspection.findings:
        say("The inspection found nothing wrong.")
    skipped: dict[str, list[str]] = {}
    for kind, reason in inspection.checked.items():
        if reason:
            skipped.setdefault(reason.rstrip("."), []).append(kind)
    done = len(inspection.checked) - sum(map(len, skipped.values()))
    remark(f"Looked for: {counted(done, 'kind')} of faults.")
    for reason, kinds in skipped.items():
        remark(f"Not looked for, since {reason}: {', '.join(kinds)}.")
    told = inspection.curve.advice if inspection.curve else f"not measured: {inspection.no_curve}."
    say(f"More clips: {told}")


def _show_finding(finding: Finding, names: Sequence[str], path: str) -> None:
    headline = f"{_HEADINGS[finding.severity]}: {finding.title}. {finding.message}"
    say(headline, always=finding.severity is not Severity.NOTE)
    shown = [f"{names[each.clip]} ({each.detail})" if each.detail else names[each.clip] for each in finding.evidence]
    unreadable = finding.kind == _UNREADABLE
    if shown and (finding.clips < len(names) or unreadable):
        say(f"  clips: {first_few(shown, _CLIPS_NAMED)}")
        if not unreadable:
            say(f"  look: {program()} view {path} --clip {shlex.quote(names[finding.evidence[0].clip])}")
    say(f"  what to do: {finding.remedy.replace('`', '')}")


def _facts(contents: Contents) -> list[list[str]]:
    """Return rows of a table about a set."""
    rows = [["clips", f"{contents.clips:,}"]]
    for name in ("classes", "subjects", "cameras", "setups"):
        known = {key: count for key, count in getattr(contents, name).items() if key != 0}
        if known:
            rows.append([name, f"{len(known):,}, with {_range(min(known.values()), max(known.values()))} clips each"])
    for name, parts in contents.parts.items():
        rows.append([f"split {name}", ", ".join(f"{count:,} {part}" for part, count in parts.items())])
    rows.append(["frames", _spread(contents.frames)])
    if contents.seconds is not None:
        rows.append(["seconds", _spread(contents.seconds)])
    rates = {f"{rate:g}" if rate else "unknown": count for rate, count in contents.frame_rates.items()}
    rows.append(["frame rates", first_few([f"{rate} ({count:,})" for rate, count in rates.items()], 5)])
    rows.append(["bodies", ", ".join(f"{number} ({count:,})" for number, count in contents.bodies.items())])
    if contents.size is not None:
        rows.append(["height of a body", _spread(contents.size)])
    rows.append(["missing joints", percent(contents.missing)])
    return rows


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _spread(found: Distribution) -> str:
    return f"{found.lowest:.4g} to {found.highest:.4g}, half of them {found.quarter:.4g} to {found.three_quarters:.4g}"


def _write(inspection: Inspection, source: ClipSource, out: Path | None) -> None:
    """Write the page, the JSON file, or both."""
    from ..inspection.page import write_inspection_page

    page = out if out is not None and out.suffix.lower() != ".json" else None
    data = out if out is not None and page is None else None
    if out is None:
        page, data = (Path(f"inspect-{file_name(source.name)}{ending}") for ending in (".html", ".json"))
    if data is not None:
        write_inspection_json(data, inspection, source.names)
        say(f"Data: {data.absolute()}")
    if page is not None:
        write_inspection_page(page, inspection, partial(played, source), names=source.names)
        say(f"Page: {page.absolute()}")


def _write_ignored(path: Path, inspection: Inspection, names: Sequence[str]) -> str:
    """Write the clips with a grave fault of their own as a list for `preprocess --ignore`; return a line about it.

    A single such clip is listed too. A fault of all clips is one of the set, and a list of all would be of no use.
    """
    lines = ["# Clips with a grave fault of their own, as `inspect` found them"]
    listed: set[int] = set()
    unlisted = 0
    for finding in inspection.findings:
        if not finding.unusable or finding.clips >= len(names):
            continue
        clips = [each.clip for each in finding.evidence if each.clip not in listed]
        listed.update(clips)
        unlisted += finding.clips - len(finding.evidence)
        lines += [f"# {finding.title}:", *(names[clip] for clip in clips)]
    write_text(path, "\n".join(lines) + "\n")
    if unlisted:
        _logger.warning(
            "Not listed: %s more. Prepare the recordings without these, and inspect again.", f"{unlisted:,}"
        )
    return f"Clips to ignore: {path.absolute()} ({counted(len(listed), 'clip')})"
