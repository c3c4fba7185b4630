"""What a table of intervals says about each recording: checked labels and times, and the recording that is meant."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from ....settings.data import DataConfig
from ....utils.errors import UserError
from ....utils.names import alike, first_few, normal_form, suggestion
from ....utils.numbers import counted
from ...store.recordings import LEFT_OUT
from ..formats.base import Entry
from ..formats.known_numbers import number_of_zero
from .rows import TableRow, span_text, stem_of, time_text
from .tables import find_tables, read_tables

_NUMBER = re.compile(r"\D*(\d{1,9})\D*", re.ASCII)
_SHOWN = 3
_ROUNDING = 1.01e-3  # seconds: a millisecond, which BORIS and ELAN round to, and the error of computing with it


@dataclass(frozen=True)
class PlannedInterval:
    """One labelled interval of a recording.

    Attributes:
        where: file and line of the table.
        start, stop: in seconds or frames; the interval ends before `stop`.
        label: the class, or `LEFT_OUT`.
        in_frames: whether start and stop are frames.
    """

    where: str
    start: float
    stop: float
    label: int
    in_frames: bool

    @property
    def span(self) -> str:
        """Return start and stop for a message."""
        return span_text(self.start, self.stop)


@dataclass(frozen=True)
class Plan:
    """The intervals of one recording in the order of time, and its subject (0 if the table does not tell it)."""

    intervals: tuple[PlannedInterval, ...]
    subject: int = 0


@dataclass(frozen=True)
class Plans:
    """The intervals of all recordings, by the name of the recording.

    Attributes:
        config: the data set.
        of: the plans.
        merged: number of intervals that overlap another one with the same label, and became one with it.
    """

    config: DataConfig
    of: Mapping[str, Plan]
    merged: int = 0

    @property
    def background(self) -> int:
        """Return the label of the time that is in no interval."""
        name = self.config.intervals.background
        return self.config.classes.index(normal_form(name)) if name else LEFT_OUT

    def only(self, names: Iterable[str]) -> "Plans":
        """Return the plans of these recordings alone."""
        return replace(self, of={name: self.of[name] for name in names})

    def facts(self) -> list[object]:
        """Return everything that determines the clips of the recordings, as JSON values."""
        settings = {key: value for key, value in vars(self.config.intervals).items() if key != "file"}
        content = [
            (name, plan.subject, [(each.start, each.stop, each.label, each.in_frames) for each in plan.intervals])
            for name, plan in sorted(self.of.items())
        ]
        return [settings, content]


def table_of(config: DataConfig, folder: Path | None = None) -> list[Path]:
    """Return the tables of a data set; a relative path is below `folder`, or the current folder.

    Raises:
        UserError: there is none.
    """
    return find_tables((folder or Path()) / Path(config.intervals.file).expanduser())


def labels_in(config: DataConfig, tables: Sequence[Path]) -> list[str]:
    """Return the distinct labels in the tables of a data set, in the order of their names.

    Raises:
        UserError: a table cannot be used.
    """
    return sorted({row.label for row in read_tables(tables, config.intervals.tiers) if row.label})


def read_plans(config: DataConfig, tables: Sequence[Path], entries: Sequence[Entry]) -> Plans:
    """Return the plan of every recording that the tables name.

    Args:
        config: the data set.
        tables: the files.
        entries: all recordings that were found.

    Raises:
        UserError: a table cannot be used: an unknown recording or label, an interval that is empty, runs backwards or
            overlaps one with another label, a point event, or several subjects in one recording.
    """
    check_background(config)
    rows = read_tables(tables, config.intervals.tiers)
    _check_labels(config, rows)
    known = _Recordings(entries)
    of: dict[str, list[TableRow]] = defaultdict(list)
    for row in rows:
        of[known.named(row)].append(row)
    zero = number_of_zero(number for row in rows if (number := _number(row.subject)) is not None)
    plans, merged = {}, 0
    for name, own in of.items():
        plan, count = _plan(config, own, zero)
        plans[name], merged = plan, merged + count
    return Plans(config, plans, merged)


def check_background(config: DataConfig) -> None:
    """Refuse a class of the background that is not listed.

    Raises:
        UserError: it is not in `data.classes`.
    """
    name = config.intervals.background
    if name and normal_form(name) not in config.classes:
        raise UserError(
            f"The class of the background, {name!r}, is not in data.classes of {config.name}. Add it there, or leave "
            "the time between intervals out with data.intervals.background=null."
        )


def _check_labels(config: DataConfig, rows: Sequence[TableRow]) -> None:
    """Refuse labels that are not classes of the recordings, and those that differ only in case or accents."""
    known = set(config.recorded_classes)
    where = {row.label: row for row in reversed(rows) if row.label}
    unknown = sorted(set(where) - known)
    if unknown:
        first = where[unknown[0]]
        raise UserError(
            f"{first.where}: the labels {first_few([*map(repr, unknown)], _SHOWN)} are not classes of {config.name}."
            f"{suggestion(unknown[0], [*known])} List them under data.classes, or map them to classes, or to null, "
            "under data.class_map."
        )
    for one, other in alike([*where]):
        if config.class_map.get(one, one) != config.class_map.get(other, other):
            raise UserError(
                f"{where[other].where}: the labels {one!r} and {other!r} differ only in case or accents. If they are "
                f"the same, map one to the other: data.class_map: {{{other}: {one}}}."
            )


class _Recordings:
    """The recordings by the names that a table may have for them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._names = [entry.name for entry in entries]
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in self._names:
            for each in {name.casefold(), name.rpartition("/")[2].casefold()}:
                self._by_name[each].append(name)

    def named(self, row: TableRow) -> str:
        """Return the recording of a row.

        Raises:
            UserError: there is none, or more than one.
        """
        candidates = dict.fromkeys(each for name in row.names for each in (name.casefold(), stem_of(name).casefold()))
        for each in candidates:
            found = self._by_name.get(each, [])
            exact = [name for name in found if name.casefold() == each] or found
            if len(exact) == 1:
                return exact[0]
            if exact:
                raise UserError(
                    f"{row.where}: the recording {row.names[0]!r} may be {exact[0]!r} or {exact[1]!r}. Write its name "
                    "with the folder."
                )
        near = suggestion(row.names[0], self._names)
        example = f" Such as {self._names[0]!r} was found." if not near and self._names else ""
        raise UserError(
            f"{row.where}: there is no recording {' or '.join(map(repr, row.names))}.{near}{example} Correct the name, "
            "or remove the rows."
        )


def _plan(config: DataConfig, rows: Sequence[TableRow], zero: int) -> tuple[Plan, int]:
    """Return the plan of a recording from its rows, and how many intervals were merged."""
    subjects = {row.subject: row for row in rows if row.subject}
    if len(subjects) > 1:
        one, other = [*subjects][:2]
        raise UserError(
            f"{subjects[other].where}: the recording {rows[0].names[0]!r} has the subjects {one!r} and {other!r}, and "
            "a recording can have one. Select one with data.intervals.tiers if the table is of BORIS, else correct it."
        )
    labels = dict(zip(config.recorded_classes, config.class_labels, strict=True))
    named = [row for row in rows if row.label]
    planned = [_interval(config, row, labels) for row in named]
    if len({each.in_frames for each in planned}) > 1:
        raise UserError(f"{planned[0].where}: the recording has intervals in seconds and in frames. Use one unit.")
    intervals, merged = _without_overlap(config, sorted(planned, key=lambda each: (each.start, each.stop)))
    number = _number(next(iter(subjects), ""))
    return Plan(tuple(intervals), zero if number == 0 else number or 0), merged


def _interval(config: DataConfig, row: TableRow, labels: Mapping[str, int | None]) -> PlannedInterval:
    start, stop, in_frames = row.start, row.stop, row.in_frames
    if row.is_point:
        length = config.intervals.point
        if not length or (config.intervals.unit == "frames") != in_frames:
            unit = "frames" if in_frames else "seconds"
            raise UserError(
                f"{row.where}: {row.label!r} at {time_text(row.start)} is an event without a duration. Give such "
                f"events one in {unit}, data.intervals.point, or remove them."
            )
        stop = start + length
    if stop < start:
        raise UserError(f"{row.where}: the interval runs backwards, from {span_text(start, stop)}. Exchange the two.")
    if stop == start:
        raise UserError(
            f"{row.where}: the interval is empty, from {span_text(start, stop)} (it ends before its stop). Correct or "
            "remove it."
        )
    label = labels[row.label]
    return PlannedInterval(row.where, start, stop, LEFT_OUT if label is None else label, in_frames)


def _without_overlap(config: DataConfig, intervals: Sequence[PlannedInterval]) -> tuple[list[PlannedInterval], int]:
    """Return the intervals, those merged that overlap and have the same label, and how many were merged.

    Where one overlaps the next by a millisecond or less, the next begins where it ends, whatever their labels.
    """
    kept: list[PlannedInterval] = []
    for each in intervals:
        before = kept[-1] if kept else None
        if before is not None and _touches(before, each):
            each = replace(each, start=before.stop)
        if before is None or each.start >= before.stop:
            kept.append(each)
        elif each.label == before.label:
            stop = max(before.stop, each.stop)
            kept[-1] = PlannedInterval(before.where, before.start, stop, before.label, before.in_frames)
        else:
            first, other = (_class_name(config, one.label) for one in (before, each))
            raise UserError(
                f"{each.where}: the interval {each.span} of {other} overlaps {before.span} of {first} "
                f"({before.where}). A frame has one class: shorten one of them, or select one tier or "
                "subject with data.intervals.tiers."
            )
    assert all(one.stop <= other.start for one, other in pairwise(kept))
    return kept, len(intervals) - len(kept)


def _touches(before: PlannedInterval, after: PlannedInterval) -> bool:
    """Tell whether two intervals in seconds overlap by no more than rounding, so that one follows the other."""
    return not after.in_frames and before.stop - _ROUNDING < after.start < before.stop < after.stop


def _class_name(config: DataConfig, label: int) -> str:
    return "a class that is left out" if label == LEFT_OUT else repr(config.classes[label])


def _number(subject: str) -> int | None:
    """Return the number in the name of a subject, such as 3 for `P03`; None if there is none."""
    match = _NUMBER.fullmatch(subject)
    return int(match[1]) if match else None


def without_plan(names: Sequence[str]) -> str:
    """Return a sentence about recordings that the tables do not name."""
    are = "is" if len(names) == 1 else "are"
    return (
        f"No row of the intervals names {counted(len(names), 'recording')}, which {are} left out: "
        f"{first_few(names, _SHOWN)}. A recording without events needs a row with its name and empty start, "
        "stop and label."
    )
