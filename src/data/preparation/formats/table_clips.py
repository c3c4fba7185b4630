"""The rows of a table, in long form (a row per joint) or wide form (a row per frame), as the arrays of clips.

Legend: N rows of a clip, M bodies, T frames, V joints, C coordinates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....skeleton import Layout
from ....utils.names import normal_form, squash, suggestion
from .base import BadClip, Source
from .clip_builder import refuse_size
from .csv_rows import CsvFile, CsvRows, Floats, Integers, Texts
from .frame_numbers import first_of, refuse_many
from .parquet_rows import MAGIC, ParquetFile
from .table_columns import TableColumns, find_columns, first_number
from .timing import Timing, refuse_other_rate, timing_of_rate

_SAME_START = 0.1  # a first time is that of its frame's number if it differs by less, as a share


@dataclass(frozen=True)
class Table:
    """The content of a CSV or Parquet file of skeletons.

    Attributes:
        name: the file, for errors.
        header: the names of its columns.
        columns: what its columns hold.
        rows: its rows; the columns of `rows.numbers` are in the order of `positions`.
        positions: the position of a column of the file among those of `rows.numbers`.
        joints: the joint of each value of the column `joint`; empty in the wide form.
        layout: the joints that it has.
    """

    name: str
    header: tuple[str, ...]
    columns: TableColumns
    rows: CsvRows
    positions: Mapping[int, int]
    joints: Integers
    layout: Layout

    def text(self, ours: str) -> Texts | None:
        """Return a column of texts, if there is one."""
        return self.rows.texts.get(ours)

    def number(self, column: int, rows: Integers) -> Floats | None:
        """Return the numbers (N,) of some rows in a column of the file; None if there is no such column."""
        return self.rows.numbers[rows, self.positions[column]] if column >= 0 else None

    def line(self, row: int) -> int:
        """Return the line of a row in the file."""
        return int(self.rows.lines[row])


@dataclass(frozen=True)
class ClipArrays:
    """Joints (M, T, V, C) of a clip, NaN where one is missing, confidences (M, T, V) if there are any, the time."""

    joints: Floats
    confidence: Floats | None
    timing: Timing


def read_table(name: str, data: bytes, layout: Layout, given: Mapping[str, str], needed: Sequence[str] = ()) -> Table:
    """Return the content of a CSV or Parquet file.

    Args:
        name: the file, for errors.
        data: its bytes.
        layout: the joints that it should have.
        given: the user's own mapping of columns, from our names to those of the file.
        needed: the columns of texts that it has to have.

    Raises:
        BadClip: it is no table of this layout.
        UserError: it is a Parquet file, and pyarrow cannot be imported.
    """
    file = open_table(name, data)
    return table_of(name, file.header, file.read, layout, given, needed)


def open_table(name: str, data: bytes) -> CsvFile | ParquetFile:
    """Return a CSV or Parquet file whose header is read.

    Raises:
        BadClip: it is no table.
        UserError: it is a Parquet file, and pyarrow cannot be imported.
    """
    if data[:20].lower().startswith(b"scorer,"):
        raise BadClip(name, 1, "looks like a table of DeepLabCut: read it with data.format: dlc, in a folder per class")
    return ParquetFile(name, data) if data.startswith(MAGIC) else CsvFile(name, data)


def table_of(
    name: str,
    header: Sequence[str],
    read: Callable[[Mapping[str, int], Sequence[int]], CsvRows],
    layout: Layout,
    given: Mapping[str, str],
    needed: Sequence[str] = (),
) -> Table:
    """Return the content of a table whose header is known; see `read_table`.

    Args:
        name, layout, given, needed: as there.
        header: the names of its columns.
        read: returns its rows: columns of texts, by a name of the caller's, and columns of numbers.
    """
    columns = find_columns(name, header, layout, given, needed)
    rows = read(columns.texts, columns.numbers)
    positions = {column: position for position, column in enumerate(columns.numbers)}
    joints = np.zeros(0, np.int64)
    if not columns.is_wide:
        joints = joint_numbers(name, rows.texts["joint"].values, layout)
    return Table(name, tuple(header), columns, rows, positions, joints, layout)


def clip_arrays(clip: str, table: Table, rows: Integers, source: Source) -> ClipArrays:
    """Return the arrays of a clip from its rows, in the order of the file.

    A joint without a row, or with an empty field, is missing; a body without rows in a frame is absent from it. Frames
    that no row names are there, unless each frame has its time.

    Raises:
        BadClip: a field is not a number, two rows are about the same, or there are too many frames.
    """
    for row in rows[table.rows.is_bad[rows]][:1].tolist():
        raise BadClip(clip, table.line(row), table.rows.reasons.get(row, "a field is not a number"))
    bodies, count = _bodies(table, rows)
    frames, length, timing = _frames(clip, table, rows, bodies, source)
    shape = (count, length, table.layout.num_joints)
    refuse_size(clip, count * length * table.layout.num_joints * table.layout.coordinates)
    where: tuple[Integers, ...] = (bodies, frames)
    if not table.columns.is_wide:
        where = (*where, table.joints[table.rows.texts["joint"].codes[rows]])
    _refuse_repeated(clip, table, rows, np.ravel_multi_index(where, shape[: len(where)]))
    joints = np.full((*shape, table.layout.coordinates), np.nan)
    joints[where] = _values(table, rows, table.columns.coordinates)
    confidence = None
    if table.columns.confidence is not None:
        confidence = np.full(shape, np.nan)
        confidence[where] = _values(table, rows, table.columns.confidence)
    return ClipArrays(joints, confidence, timing)


def one_value(clip: str, table: Table, rows: Integers, ours: str) -> str:
    """Return the value that all rows of a clip have in a column of texts; empty if there is no such column.

    Raises:
        BadClip: two rows have different values.
    """
    column = table.text(ours)
    if column is None:
        return ""
    codes = column.codes[rows]
    changed = np.flatnonzero(codes != codes[0])
    if len(changed):
        first, other = column.values[codes[0]][:40], column.values[codes[changed[0]]][:40]
        line = table.line(int(rows[changed[0]]))
        raise BadClip(clip, line, f"the {ours} is {other!r}, but {first!r} in the clip's first row")
    return normal_form(column.values[codes[0]].strip())


def joint_numbers(name: str, values: Sequence[str], layout: Layout) -> Integers:
    """Return the joint of each value of the column `joint`: a name, or a number from 0 or from 1.

    Raises:
        BadClip: the layout has no such joint.
    """
    if all(text.strip().isdecimal() and len(text.strip()) <= 4 for text in values):
        numbers = [int(text) for text in values]
        first = first_number(numbers, layout.num_joints)
        if first is None:
            raise BadClip(
                name, 0, f"its joints are numbered {min(numbers)} to {max(numbers)}, but {layout.name} has "
                f"{layout.num_joints}, from 0 or from 1: use their names",
            )  # fmt: skip
        return np.array(numbers, np.int64) - first
    known = {squash(joint): number for number, joint in enumerate(layout.joints)}
    for text in values:
        if squash(text) not in known:
            near = suggestion(text, layout.joints)
            raise BadClip(name, 0, f"{layout.name} has no joint {text[:40]!r}.{near}")
    return np.array([known[squash(text)] for text in values], np.int64)


def _bodies(table: Table, rows: Integers) -> tuple[Integers, int]:
    """Return the body of each row, and how many there are: in the order of their numbers, else of the rows."""
    column = table.text("body")
    if column is None:
        return np.zeros(len(rows), np.int64), 1
    codes, first, inverse = np.unique(column.codes[rows], return_index=True, return_inverse=True)
    texts = [column.values[code].strip() for code in codes]
    if all(text.isdecimal() and len(text) < 20 for text in texts):
        rank = np.argsort(np.argsort([int(text) for text in texts], kind="stable"))
    else:
        rank = np.argsort(np.argsort(first))
    return rank[inverse], len(codes)


def _frames(clip: str, table: Table, rows: Integers, bodies: Integers, source: Source) -> tuple[Integers, int, Timing]:
    """Return the frame of each row, the number of frames, and the time."""
    numbers, times = table.number(table.columns.frame, rows), table.number(table.columns.time, rows)
    fps = table.number(table.columns.fps, rows)
    if numbers is None and times is None:  # in the wide form alone: a body's frames are its rows, one after another
        numbers = np.zeros(len(rows))
        for body in range(int(bodies.max()) + 1):
            numbers[bodies == body] = np.arange((bodies == body).sum())
    if times is not None and not np.isfinite(times).any():
        times = None
    if times is not None:
        ranked = times if numbers is None else numbers
        _whole(clip, table, rows, ranked, whole=numbers is not None)
        known, first, inverse = np.unique(ranked, return_index=True, return_inverse=True)
        different = np.flatnonzero(times != times[first[inverse]])
        if len(different):
            line = table.line(int(rows[different[0]]))
            raise BadClip(
                clip, line, f"the time is {times[different[0]]:g}, but frame {ranked[different[0]]:g} has another"
            )
        if (rate := _rate(clip, table, rows, fps).fps) > 0:
            refuse_other_rate(clip, times[first], rate)
        if numbers is None and _runs_backwards(table, rows, bodies, times):  # then the order of the rows is the frames'
            order = np.argsort(first)
            return np.argsort(order)[inverse], len(known), Timing(times=times[first[order]])
        if numbers is None:
            return inverse, len(known), Timing(times=times[first])
        return _since_start(clip, known, inverse, times[first], source)
    assert numbers is not None
    _whole(clip, table, rows, numbers, whole=True)
    lowest, last = int(numbers.min()), int(numbers.max())
    start = first_of([lowest], source, perhaps_from_1=True)
    refuse_many(clip, lowest, last, start)
    return numbers.astype(np.int64) - start, last - start + 1, _rate(clip, table, rows, fps)


def _since_start(
    clip: str, known: Floats, inverse: Integers, times: Floats, source: Source
) -> tuple[Integers, int, Timing]:
    """Return frames and times with the empty frames before the first row, if the times count from the same start.

    Times of a clock do not: the first one is then that of the recording's first frame.
    """
    lowest, last = int(known[0]), int(known[-1])
    missing = lowest - first_of([lowest], source, perhaps_from_1=True)
    usual = float(np.median(np.diff(times) / np.diff(known))) if len(known) > 1 else 0.0
    if not missing or not abs(times[0] - missing * usual) <= _SAME_START * missing * usual:
        return inverse, len(known), Timing(times=times)
    refuse_many(clip, lowest, last, lowest - missing)
    before = np.arange(missing) * (times[0] / missing)
    frames: Integers = inverse + missing
    return frames, len(known) + missing, Timing(times=np.r_[before, times])


def _runs_backwards(table: Table, rows: Integers, bodies: Integers, times: Floats) -> bool:
    """Tell whether the time of a later row of the same body, and in the long form of the same joint, is lower."""
    groups = bodies
    if not table.columns.is_wide:
        groups = bodies * table.layout.num_joints + table.joints[table.rows.texts["joint"].codes[rows]]
    order = np.argsort(groups, kind="stable")
    return bool(((np.diff(groups[order]) == 0) & (np.diff(times[order]) < 0)).any())


def _whole(clip: str, table: Table, rows: Integers, numbers: Floats, *, whole: bool) -> None:
    """Refuse frames that are not finite or, with `whole`, not whole numbers."""
    wrong = np.flatnonzero(~np.isfinite(numbers) | (np.abs(numbers) > 2**53))
    if not len(wrong) and whole:
        wrong = np.flatnonzero(numbers != np.round(numbers))
    if len(wrong):
        what = "the number of its frame" if whole else "its time"
        raise BadClip(clip, table.line(int(rows[wrong[0]])), f"{what} is {numbers[wrong[0]]:g}")


def _rate(clip: str, table: Table, rows: Integers, fps: Floats | None) -> Timing:
    if fps is None or np.isnan(fps).all():
        return Timing()
    different = np.flatnonzero(fps != fps[0])
    if len(different):
        raise BadClip(clip, table.line(int(rows[different[0]])), f"its fps is {fps[different[0]]:g}, not {fps[0]:g}")
    return timing_of_rate(clip, float(fps[0]), table.line(int(rows[0])))


def _refuse_repeated(clip: str, table: Table, rows: Integers, cells: Integers) -> None:
    """Refuse two rows about the same body and frame, in the long form also about the same joint."""
    order = np.argsort(cells, kind="stable")
    again = np.flatnonzero(np.diff(cells[order]) == 0)
    if not len(again):
        return
    number = int(order[again + 1].min())
    what = "body and frame" if table.columns.is_wide else "body, frame and joint"
    remedy = "" if table.text("body") else "; several bodies need a column body, several clips a column clip"
    raise BadClip(clip, table.line(int(rows[number])), f"there is an earlier row for the same {what}{remedy}")


def _values(table: Table, rows: Integers, columns: NDArray[np.int64]) -> Floats:
    """Return the numbers of some rows in columns of the file: (N, ...) with the columns' shape, (N, C) if long."""
    positions = np.vectorize(table.positions.__getitem__, otypes=[np.int64])(columns)
    values: Floats = table.rows.numbers[rows[:, None], positions.ravel()[None]]
    values = values.reshape(len(rows), *columns.shape)
    return values if table.columns.is_wide else values[:, 0]
