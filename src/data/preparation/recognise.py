"""Recognise what raw recordings are, from the names of their files, to look at them before they are described."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ...settings.data import DataConfig
from ...skeleton import list_layouts
from ...utils.config import data_layer, merge, override_layer, section_layer
from ...utils.errors import UserError
from ...utils.zip_files import Archive, DamagedZip
from .formats import BadClip, DroppedClip, Entry, Reader, Source, get_reader, list_formats
from .formats.listing import files_below, tally

_LOOKED_AT = 500  # files
# What the path of a file shows: the data set of the program that it belongs to.
_DATA_SETS = (
    (re.compile(r"s\d{3}c\d{3}p\d{3}r\d{3}a\d{3}\.skeleton(\.txt)?(\.gz)?$"), "ntu120"),
    (re.compile(r"skeleton_pos\.txt(\.gz)?$"), "sbu"),
    (re.compile(r"a\d\d_s\d\d_e\d\d_v\d\d\.json(\.txt)?(\.gz)?$"), "nw_ucla"),
)
# What the ending of a file shows: its format. A `.json` may be of several, and needs --format.
_FORMATS = (
    (re.compile(r"\.pkl$"), "pyskl"),
    (re.compile(r"(^|/)[xy]_(train|test)\.npy$"), "ctrgcn"),
    (re.compile(r"\.(npy|npz)$"), "folder"),
    (re.compile(r"\.csv(\.gz)?$"), "table"),
)


def recognised(raw: Path, format_name: str = "", layout: str = "") -> DataConfig:
    """Return a description that is enough to read the recordings in `raw`: a data set's, or a format and a layout.

    Args:
        raw: a file or a folder.
        format_name: the format; recognised by the names of the files if empty.
        layout: the name of the joint layout, or the path of a layout file; if empty, the only one that fits.

    Raises:
        UserError: the recordings are not recognised; the message says what to add.
    """
    names = _names(raw)
    data_set = _first(_DATA_SETS, names)
    if data_set and not format_name and not layout:
        return merge(DataConfig(), [section_layer(data_layer(data_set), "data")])
    found = format_name or _first(_FORMATS, names)
    if not found:
        seen = f"It holds {tally(names) or 'no file'}. " if raw.is_dir() else ""
        raise UserError(
            f"{raw} is neither a prepared data set nor recordings of a recognised kind. {seen}Name their format with "
            f"--format ({', '.join(list_formats())}) and their joint layout with --layout, or a data YAML with "
            "--dataset."
        )
    config = DataConfig(name=raw.stem, format=found)
    chosen = layout or _only_layout(config, raw)
    described = {"name": raw.stem, "format": found, "layout": chosen}
    layer = override_layer([f"data.{key}={json.dumps(value)}" for key, value in described.items()])
    return merge(DataConfig(), [section_layer(layer, "data")])


def open_recordings(config: DataConfig, raw: Path) -> tuple[Reader, list[Entry], list[str]]:
    """Return a reader, the recordings that it finds in `raw`, and the names of their classes, if it finds any.

    Recordings of a known data set have its classes. Others have those of their folders or tables; files without a
    class are found too.

    Raises:
        UserError: there are no recordings in `raw`, or they cannot be listed.
    """
    if config.classes:
        reader = get_reader(config.format, Source.of(config))
        return reader, list(reader.entries(raw)), list(config.recorded_classes)
    source = Source(config.skeleton, config.bodies, ())
    reader = get_reader(config.format, source)
    classes: list[str] = []
    if hasattr(reader, "find_classes"):
        try:
            classes = list(reader.find_classes(raw))
        except UserError:  # a file, where a folder of class folders is expected
            classes = []
        source = replace(source, classes=tuple(classes), is_long=not classes)
        reader = get_reader(config.format, source)
    return reader, list(reader.entries(raw)), classes


def _only_layout(config: DataConfig, raw: Path) -> str:
    """Return the only layout of the program that the first recordings fit.

    Raises:
        UserError: none or several fit.
    """
    fitting = [name for name in list_layouts() if _fits(replace(config, layout=name), raw)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"The recordings in {raw} fit several joint layouts: name one with --layout {_or(fitting)}.")
    raise UserError(
        f"The recordings in {raw}, read as {config.format}, fit none of the known joint layouts. Name another format "
        f"with --format ({', '.join(list_formats())}), or their layout with --layout FILE.yaml, a layout YAML."
    )


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _fits(config: DataConfig, raw: Path) -> bool:
    """Tell whether one of the first recordings can be read with the layout of `config`."""
    try:
        reader, entries, _ = open_recordings(config, raw)
    except UserError:
        return False
    for entry in entries[:3]:
        try:
            reader.read(entry)
        except DroppedClip:
            continue
        except BadClip:
            return False
        return True
    return False


def _first(kinds: Iterable[tuple[re.Pattern[str], str]], names: list[str]) -> str:
    """Return the first kind of which one of the files is."""
    return next((kind for pattern, kind in kinds if any(pattern.search(name) for name in names)), "")


def _names(raw: Path) -> list[str]:
    """Return the names of the first files in `raw`, in small letters, those in zip archives among them."""
    files = [raw] if raw.is_file() else list(islice(files_below(raw), _LOOKED_AT))
    names = [path.relative_to(raw.parent).as_posix() for path in files]
    for path in files[:_LOOKED_AT]:
        if path.suffix.lower() in {".zip", ".npz"}:
            try:
                with Archive(path) as archive:
                    names += [member.name for member in archive.members[:_LOOKED_AT]]
            except (OSError, DamagedZip):
                continue
    return [name.lower().replace("\\", "/") for name in names]
