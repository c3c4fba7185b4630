"""Exports of BORIS: tabular events, of present and older versions, and aggregated events, as CSV or TSV.

Tabular events have a row for each START and STOP of a state, and for each POINT; aggregated events have a row for each
state with `Start (s)` and `Stop (s)`. Older tabular exports have facts of the observation above the names of the
columns, and `Status` instead of `Behavior type`. Times count from the start of the observation. As in BORIS a START and
its STOP have the same subject, behavior and modifiers; a modifier does not change the class. Columns and pairs: the
user guide of BORIS, "Export events", and its source (export_observation.py, project_functions.py).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ....utils.errors import UserError
from ....utils.names import normal_form, squash
from .rows import Fields, TableRow, columns_of, field_of, find_header, rows_of, seconds_of, stem_of, time_text

_OBSERVATION = "observationid"
_MEDIA = ("mediafilename", "mediafilepath", "mediafile", "mediafiles", "source")
_KIND = ("behaviortype", "status")
_MODIFIER = re.compile(r"modifiers?\d{0,4}", re.ASCII)  # `Modifiers`, or `Modifier #1` and so on
_NO_SUBJECT = {"", "no focal subject", "no subject"}


def is_header(columns: Mapping[str, int]) -> bool:
    """Tell whether these are the columns of an export of BORIS."""
    aggregated = {"behavior", "starts", "stops"} <= columns.keys()
    tabular = {"behavior", "time"} <= columns.keys() and any(name in columns for name in _KIND)
    return aggregated or tabular


def read(path: Path, text: str) -> Iterator[TableRow] | None:
    """Return the intervals and events of an export; None if the file is another."""
    header = find_header(text, is_header)
    return None if header is None else _rows(path, text, *header)


def _rows(path: Path, text: str, line: int, delimiter: str) -> Iterator[TableRow]:
    facts = _facts_above(text, line, delimiter)
    rows = rows_of(path, text, delimiter, line)
    columns = columns_of(next(rows)[1])
    if "starts" in columns:
        for row in rows:
            yield _aggregated(path, row, columns, facts)
    else:
        yield from _paired(path, rows, columns, facts)


def _facts_above(text: str, line: int, delimiter: str) -> Mapping[str, str]:
    """Return what is written above the names of the columns in older exports, by squashed name."""
    above = (each.split(delimiter) for each in text.split("\n")[: line - 1])
    return {squash(parts[0]): normal_form(parts[1].strip(' "\r')) for parts in above if len(parts) > 1}


def _names(path: Path, row: Fields, columns: Mapping[str, int], facts: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the recording may be called: the observation, the media file, or this file."""
    observation = field_of(path, row, columns, (_OBSERVATION,)) or facts.get(_OBSERVATION, "")
    media = field_of(path, row, columns, _MEDIA)
    several = [part for part in media.split(";") if part.strip()]
    found = [observation, stem_of(media) if len(several) == 1 else "", stem_of(path.name)]
    return tuple(dict.fromkeys(name for name in found if name))


def _row(
    path: Path, row: Fields, columns: Mapping[str, int], facts: Mapping[str, str], start: float, stop: float
) -> TableRow:
    line, _ = row
    label = field_of(path, row, columns, ("behavior",))
    if not label:
        raise UserError(f"{path}, line {line}: the event has no behavior. Correct the observation in BORIS.")
    subject = field_of(path, row, columns, ("subject",))
    known = "" if subject.casefold() in _NO_SUBJECT else subject
    is_point = field_of(path, row, columns, _KIND).upper() == "POINT"
    names = _names(path, row, columns, facts)
    return TableRow(str(path), line, names, start, stop, label, is_point=is_point, group=subject, subject=known)


def _aggregated(path: Path, row: Fields, columns: Mapping[str, int], facts: Mapping[str, str]) -> TableRow:
    times = (
        seconds_of(path, row[0], field_of(path, row, columns, (name,)), what)
        for name, what in (("starts", "Start (s)"), ("stops", "Stop (s)"))
    )
    return _row(path, row, columns, facts, *times)


def _paired(
    path: Path, rows: Iterator[Fields], columns: Mapping[str, int], facts: Mapping[str, str]
) -> Iterator[TableRow]:
    """Yield an interval for each START and the next STOP of equal subject, behavior and modifiers, and each POINT."""
    modifiers = [name for name in columns if _MODIFIER.fullmatch(name)]
    begun: dict[tuple[object, ...], TableRow] = {}
    for row in rows:
        line, kind = row[0], field_of(path, row, columns, _KIND).upper()
        time = seconds_of(path, line, field_of(path, row, columns, ("time",)), "Time")
        event = _row(path, row, columns, facts, time, time)
        modified = tuple(field_of(path, row, columns, (name,)) for name in modifiers)
        key = event.names, event.group, event.label, modified
        if kind == "POINT":
            yield event
        elif kind == "START" and key not in begun:
            begun[key] = event
        elif kind == "STOP" and key in begun:
            start = begun.pop(key)
            yield TableRow(**{**vars(start), "stop": time})
        elif kind in ("START", "STOP"):
            raise _unpaired(event, kind, "another START before its STOP" if kind == "START" else "a STOP without START")
        else:
            raise UserError(
                f"{event.where}: the type of the event is {kind[:40]!r}, not START, STOP or POINT. Export tabular "
                "events again from BORIS."
            )
    for event in begun.values():
        raise _unpaired(event, "START", "a START without STOP")


def _unpaired(event: TableRow, kind: str, problem: str) -> UserError:
    return UserError(
        f"{event.where}: the {kind} of {event.label!r} at {time_text(event.start)} s is {problem}. Correct it in BORIS "
        "(it has a command that finds unpaired events) and export again."
    )
