"""A table of intervals in CSV: `recording,start,stop,label`, in seconds, or `start_frame,stop_frame`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ....utils.errors import UserError
from .rows import Fields, TableRow, checked_time, columns_of, field_of, find_header, rows_of, seconds_of, stem_of

_RECORDING = (
    "recording",
    "clip",
    "video",
    "file",
    "filename",
    "videoname",
    "videoid",
    "sequence",
    "media",
    "mediafile",
)
_LABEL = ("label", "class", "action", "activity", "behavior", "behaviour", "gesture", "sign", "event", "annotation")
_SUBJECT = ("subject", "performer", "person", "participant", "individual", "animal")
_TIER = ("tier",)
_START = ("start", "starttime", "starts", "startseconds", "begin", "begintime", "onset", "from")
_STOP = ("stop", "stoptime", "stops", "stopseconds", "end", "endtime", "ends", "endseconds", "offset", "to")
_START_FRAME = ("startframe", "framestart", "beginframe", "firstframe")
_STOP_FRAME = ("stopframe", "framestop", "endframe", "frameend")


def is_header(columns: Mapping[str, int]) -> bool:
    """Tell whether these are the columns of such a table."""
    return any(name in columns for name in _LABEL) and any(name in columns for name in (*_START, *_START_FRAME))


def read(path: Path, text: str) -> Iterator[TableRow] | None:
    """Return the rows of such a table; None if the file is another."""
    header = find_header(text, is_header)
    return None if header is None else _rows(path, text, *header)


def _rows(path: Path, text: str, line: int, delimiter: str) -> Iterator[TableRow]:
    rows = rows_of(path, text, delimiter, line)
    columns = _checked(path, line, next(rows))
    for row in rows:
        yield _row(path, row, columns)


def _checked(path: Path, line: int, header: Fields) -> Mapping[str, int]:
    """Return the columns by name, if start and stop are in the same unit."""
    columns = columns_of(header[1])
    in_frames = not any(name in columns for name in _START)
    if not any(name in columns for name in (_STOP_FRAME if in_frames else _STOP)):
        wanted = "stop_frame" if in_frames else "stop"
        raise UserError(
            f"{path}, line {line}: the table has no column {wanted}. Its columns should be recording, start, stop and "
            "label, or start_frame and stop_frame in frames."
        )
    return columns


def _row(path: Path, row: Fields, columns: Mapping[str, int]) -> TableRow:
    line, _ = row
    named = field_of(path, row, columns, _RECORDING)
    if not named and any(name in columns for name in _RECORDING):
        raise UserError(f"{path}, line {line}: the row names no recording. Write its name, or remove the row.")
    in_frames = not any(name in columns for name in _START)
    begin = field_of(path, row, columns, _START_FRAME if in_frames else _START)
    end = field_of(path, row, columns, _STOP_FRAME if in_frames else _STOP)
    label = field_of(path, row, columns, _LABEL)
    names = tuple(dict.fromkeys([named, stem_of(named)])) if named else (stem_of(path.name),)
    subject, tier = (field_of(path, row, columns, own) for own in (_SUBJECT, _TIER))
    if not label and not begin and not end:
        return TableRow(str(path), line, names, 0.0, 0.0, "", subject=subject)
    if not label:
        raise UserError(f"{path}, line {line}: the interval has no label. Write one, or remove the row.")
    start = _time(path, line, begin, "the start", in_frames)
    stop = _time(path, line, end, "the stop", in_frames) if end else start
    return TableRow(str(path), line, names, start, stop, label, in_frames, not end, tier, subject)


def _time(path: Path, line: int, text: str, what: str, in_frames: bool) -> float:
    if not in_frames:
        return seconds_of(path, line, text, what)
    if not (text.isascii() and text.removesuffix(".0").isdecimal()) or len(text) > 18:
        raise UserError(f"{path}, line {line}: {what} is {text[:40]!r}, not the number of a frame. Correct it.")
    return checked_time(path, line, float(text), what)
