"""ELAN: its tab-delimited text, with or without names of columns, and its own files (.eaf).

Without names a row is `tier, participant, begin, end, duration, annotation, file`, with each time in one or more of the
forms hh:mm:ss.ms, ss.msec and msec; all begins come first, then all ends, then all durations. With names these are
`Begin Time - hh:mm:ss.ms` and so on, and instead of one column for all tiers each tier may have its own. Structure:
ELAN's manual, "Export as tab-delimited text", and the annotation format EAF 3.0.
"""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from ....utils.errors import UserError
from ....utils.names import normal_form
from .rows import (
    LONGEST_TEXT,
    MOST_ROWS,
    Fields,
    TableRow,
    columns_of,
    field_of,
    find_header,
    rows_of,
    seconds_of,
    stem_of,
)

_logger = logging.getLogger(__name__)
_FORMS = {
    "hh:mm:ss.ms": re.compile(r"\d{1,4}:[0-5]\d:[0-5]\d[.,]\d{1,3}", re.ASCII),
    "ss.msec": re.compile(r"\d{1,7}[.,]\d{1,3}", re.ASCII),
    "msec": re.compile(r"\d{1,10}", re.ASCII),
    "smpte": re.compile(r"\d{1,4}:[0-5]\d:[0-5]\d[:;]\d{1,3}", re.ASCII),  # its frame rate is unknown
}
_PREFERRED = ("hh:mm:ss.ms", "ss.msec", "msec")
_TIME_NAME = re.compile(r"(begin|end|duration)(?:time)?(hhmmssms|ssmsec|msec|hhmmssff\w*|)")
_LABEL = ("annotation", "annotations", "value", "annotationvalue", "text", "label")
_FILE = ("filepath", "file", "filename", "path")
_NO_TIER = {"", "tier", "tiername", "participant", "annotator", *_FILE, *_LABEL}
_OFFSET = re.compile(r"--\s+offset:\s*(-?\d{1,12})")
_DEEPEST = 100  # elements within each other in an .eaf; it needs five


def is_header(columns: Mapping[str, int]) -> bool:
    """Tell whether these are the columns of an export of ELAN."""
    return any(name.startswith("begintime") for name in columns) and any(
        name.startswith(("endtime", "duration")) for name in columns
    )


def read(path: Path, text: str) -> Iterator[TableRow] | None:
    """Return the annotations of an export; None if the file is another."""
    header = find_header(text, is_header)
    if header is not None:
        return _named(path, text, *header)
    rows = [row for row in rows_of(path, text, "\t") if not row[1][0].startswith("#")] if "\t" in text else []
    times = _time_columns(rows)
    return None if times is None else _unnamed(path, text, rows, times)


def _named(path: Path, text: str, line: int, delimiter: str) -> Iterator[TableRow]:
    _warn_of_offset(path, text, line)
    rows = rows_of(path, text, delimiter, line)
    header = next(rows)[1]
    columns = columns_of(header)
    times: dict[str, dict[str, int]] = {"begin": {}, "end": {}, "duration": {}}
    for name, column in columns.items():
        if match := _TIME_NAME.fullmatch(name):
            times[match[1]][match[2]] = column
    begins, ends, durations = times.values()
    form = next((form for form in ("hhmmssms", "ssmsec", "msec") if form in begins), "")
    if form not in begins or form not in {**ends, **durations}:
        raise UserError(
            f"{path}, line {line}: begin and end have no form in common. Export them from ELAN as hh:mm:ss.ms or "
            "ss.msec."
        )
    own = {normal_form(header[column]): column for name, column in columns.items() if not _is_about(name)}
    tiers = {} if "tier" in columns or "tiername" in columns else own
    for row in rows:
        start = _time(path, row, begins[form], form == "msec", "the begin time")
        last = _time(path, row, {**durations, **ends}[form], form == "msec", "the end time")
        stop = last if form in ends else start + last
        file = field_of(path, row, columns, _FILE)
        names = tuple(dict.fromkeys(stem_of(name) for name in (file, path.name) if name))
        person = field_of(path, row, columns, ("participant",))
        if tiers:
            labels = {tier: _text(path, row, column) for tier, column in tiers.items()}
        else:
            label = field_of(path, row, columns, _LABEL) or "".join(_text(path, row, c) for c in [*own.values()][:1])
            labels = {field_of(path, row, columns, ("tier", "tiername")): label}
        for tier, label in labels.items():
            if label:
                yield TableRow(str(path), row[0], names, start, stop, label, group=tier, subject=person)


def _is_about(name: str) -> bool:
    return name in _NO_TIER or _TIME_NAME.fullmatch(name) is not None


def _text(path: Path, row: Fields, column: int) -> str:
    return field_of(path, row, {"": column}, ("",))


def _time(path: Path, row: Fields, column: int, in_milliseconds: bool, what: str) -> float:
    text = _text(path, row, column)
    value = seconds_of(path, row[0], text, what)
    return value / 1000 if in_milliseconds else value


@dataclass(frozen=True)
class _TimeColumns:
    """The columns of an export without names: begin, end, whether they are milliseconds, and the annotation."""

    begin: int
    end: int
    in_milliseconds: bool
    label: int


def _time_columns(rows: Sequence[Fields]) -> _TimeColumns | None:
    """Return the columns of the times; None if these are no rows of ELAN."""
    if not rows:
        return None
    width = min(len(fields) for _, fields in rows)
    form_of: dict[int, str] = {}
    for column in range(1, width):
        form = next((form for form, test in _FORMS.items() if all(test.fullmatch(f[column]) for _, f in rows)), "")
        if form and sum(each == form for each in form_of.values()) < 3:
            form_of[column] = form
        elif form_of:
            break
    columns = {form: [column for column, own in form_of.items() if own == form] for form in _PREFERRED}
    form = next((form for form in _PREFERRED if len(columns[form]) > 1), "")
    if not form or max(form_of) - min(form_of) + 1 != len(form_of):
        return None
    # A single column of another form is an annotation that is a number.
    alone = [each[0] for each in columns.values() if len(each) == 1]
    label = min([*alone, max(form_of) + 1])
    return _TimeColumns(columns[form][0], columns[form][1], form == "msec", label)


def _unnamed(path: Path, text: str, rows: Sequence[Fields], times: _TimeColumns) -> Iterator[TableRow]:
    _warn_of_offset(path, text, rows[0][0])
    for row in rows:
        line, fields = row
        start = _time(path, row, times.begin, times.in_milliseconds, "the begin time")
        stop = _time(path, row, times.end, times.in_milliseconds, "the end time")
        if stop < start:
            raise UserError(
                f"{path}, line {line}: the annotation ends before it begins, or the third time is its duration. Export "
                "begin and end times from ELAN."
            )
        label = _text(path, row, times.label) if len(fields) > times.label else ""
        file = _text(path, row, times.label + 1) if len(fields) > times.label + 1 else ""
        names = tuple(dict.fromkeys(stem_of(name) for name in (file, path.name) if name))
        person = _text(path, row, 1) if times.begin > 1 else ""
        if label:
            yield TableRow(str(path), line, names, start, stop, label, group=_text(path, row, 0), subject=person)


def _warn_of_offset(path: Path, text: str, line: int) -> None:
    offsets = {match[1] for each in text.split("\n", line)[:line] for match in _OFFSET.finditer(each)}
    if offsets - {"0"}:
        _logger.warning(
            "%s: a media file has an offset of %s ms in ELAN, which is not applied. If times are late or early by it, "
            "export them again with 'add master media time offset'.", path, ", ".join(sorted(offsets)),
        )  # fmt: skip


# --- .eaf


@dataclass
class _Annotation:
    tier: str
    person: str
    line: int
    begin: str
    end: str
    label: str = ""


@dataclass
class _Document:
    """What is read of an .eaf."""

    path: Path
    parser: Any
    slots: dict[str, str | None] = field(default_factory=dict)
    media: list[str] = field(default_factory=list)
    annotations: list[_Annotation] = field(default_factory=list)
    tier: tuple[str, str] = ("", "")
    inside: _Annotation | None = None
    is_value: bool = False
    depth: int = 0
    has_root: bool = False

    def start(self, name: str, values: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _DEEPEST or len(self.annotations) > MOST_ROWS or len(self.slots) > 2 * MOST_ROWS:
            raise self.refusal(f"has more than {_DEEPEST} nested elements or {MOST_ROWS} annotations")
        if name == "ANNOTATION_DOCUMENT":
            self.has_root = True
        elif name == "TIME_SLOT":
            self.slots[values.get("TIME_SLOT_ID", "")] = values.get("TIME_VALUE")
        elif name == "TIER":
            self.tier = normal_form(values.get("TIER_ID", "")), normal_form(values.get("PARTICIPANT", ""))
        elif name == "MEDIA_DESCRIPTOR":
            self.media.append(values.get("MEDIA_URL", ""))
        elif name == "ALIGNABLE_ANNOTATION":
            refs = values.get("TIME_SLOT_REF1", ""), values.get("TIME_SLOT_REF2", "")
            self.inside = _Annotation(*self.tier, self.parser.CurrentLineNumber, *refs)
            self.annotations.append(self.inside)
        self.is_value = name == "ANNOTATION_VALUE"

    def end(self, name: str) -> None:
        self.depth -= 1
        self.is_value = False
        if name == "ALIGNABLE_ANNOTATION":
            self.inside = None

    def characters(self, text: str) -> None:
        if self.is_value and self.inside is not None:
            self.inside.label += text

    def refusal(self, problem: str) -> UserError:
        line = self.parser.CurrentLineNumber
        return UserError(f"{self.path}, line {line}: the file {problem}. Save it again with ELAN.")

    def refuse_declarations(self, *_: object) -> None:
        raise self.refusal("declares a document type, which ELAN does not write")


def is_eaf(text: str) -> bool:
    """Tell whether a text is XML."""
    return text.lstrip()[:1] == "<"


def read_eaf(path: Path, text: str) -> Iterator[TableRow]:
    """Return the annotations of an .eaf whose times are their own; those that refer to others are not read.

    Raises:
        UserError: it is no such file, or declares a document type, so that no entity is ever expanded.
    """
    parser = expat.ParserCreate("utf-8")  # whatever the file declares: the text has been decoded
    document = _Document(path, parser)
    parser.StartElementHandler, parser.EndElementHandler = document.start, document.end
    parser.CharacterDataHandler = document.characters
    parser.StartDoctypeDeclHandler = document.refuse_declarations
    parser.EntityDeclHandler = document.refuse_declarations
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        problem = expat.errors.messages.get(error.code, "not XML")
        raise UserError(f"{path}, line {error.lineno}: the file is not XML ({problem}). Save it again.") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: the file is not XML ({error}). Save it again with ELAN.") from error
    if not document.has_root:
        raise UserError(f"{path} is XML, but not a file of ELAN (no ANNOTATION_DOCUMENT). Export a table as CSV.")
    names = tuple(dict.fromkeys(stem_of(name) for name in (path.name, *document.media) if name))
    return _annotated(path, document, names)


def _annotated(path: Path, document: _Document, names: tuple[str, ...]) -> Iterator[TableRow]:
    for each in document.annotations:
        start, stop = (_slot(document, slot) for slot in (each.begin, each.end))
        label = normal_form(" ".join(each.label.split()))
        if len(label) > LONGEST_TEXT:
            raise UserError(f"{path}, line {each.line}: an annotation has {len(label)} characters. Shorten it.")
        if label:
            yield TableRow(str(path), each.line, names, start, stop, label, group=each.tier, subject=each.person)


def _slot(document: _Document, slot: str) -> float:
    """Return the time of a slot in seconds; NaN if it has none, which is refused only if its tier is read."""
    text = document.slots.get(slot) or ""
    return int(text) / 1000 if text.isascii() and text.isdecimal() and len(text) < 12 else math.nan
