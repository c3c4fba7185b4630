"""Recognise what raw recordings are, from their files' names and JSON, to look at them before they are described."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ...settings.data import DataConfig, data_settings
from ...skeleton import list_layouts
from ...utils.config import merge, override_layer, section_layer
from ...utils.errors import UserError
from ...utils.zip_files import Archive, DamagedZip
from .formats import BadClip, DroppedClip, Entry, FindsClasses, KnowsJoints, Reader, Source, get_reader, list_formats
from .formats.csv_rows import LIMIT_BYTES
from .formats.json_recordings import format_looked_like, read_json
from .formats.listing import files_below, size_of, tally, tell_of_large
from .formats.other_layouts import flat_layout
from .formats.recordings import damage_of_archive, read_bytes

_LOOKED_AT = 500  # files
_TRIED = 3  # recordings
_JSON = re.compile(r"\.json(\.gz)?$")
_JSON_FORMATS = "coco, mediapipe, kinect_azure, zed, tao"
# What the path of a file shows: the data set of the program that it belongs to.
_DATA_SETS = (
    (re.compile(r"s\d{3}c\d{3}p\d{3}r\d{3}a\d{3}\.skeleton(\.txt)?(\.gz)?$"), "ntu120"),
    (re.compile(r"skeleton_pos\.txt(\.gz)?$"), "sbu"),
    (re.compile(r"a\d\d_s\d\d_e\d\d_v\d\d\.json(\.txt)?(\.gz)?$"), "nw_ucla"),
)
_FORMAT_OF = {"ntu120": "ntu", "sbu": "sbu", "nw_ucla": "nw_ucla"}
# What the ending of a file shows: its format. A plain `.json` may be of several, and its content is looked at.
_FORMATS = (
    (re.compile(r"_keypoints\.json$"), "openpose"),
    (re.compile(r"\.bvh(\.gz)?$"), "bvh"),
    (re.compile(r"\.c3d(\.gz)?$"), "c3d"),
    (re.compile(r"\.(slp|h5|hdf5)$"), "sleap"),
    (re.compile(r"dlc_\w+\.csv(\.gz)?$"), "dlc"),  # DeepLabCut ends a video's name with DLC, network and date
    (re.compile(r"\.pkl$"), "pyskl"),
    (re.compile(r"(^|/)[xy]_(train|test)\.npy$"), "ctrgcn"),
    (re.compile(r"\.(npy|npz)$"), "folder"),
    (re.compile(r"\.(csv(\.gz)?|parquet)$"), "table"),
)

_NTU = re.compile(r"\.skeleton(\.txt)?(\.gz)?$")
_JSON_OR_CSV = re.compile(r"\.(json|csv)(\.txt)?(\.gz)?$")


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
        return data_settings(data_set)
    found = format_name or _first(_FORMATS, names) or _format_by_content(raw)
    if not found:
        raise UserError(_unrecognised(raw, names))
    name = name_of_recordings(raw)
    config = DataConfig(name=name, format=found)
    chosen = layout or _only_layout(config, raw)
    described = {"name": name, "format": found, "layout": chosen}
    layer = override_layer([f"data.{key}={json.dumps(value)}" for key, value in described.items()])
    return merge(DataConfig(), [section_layer(layer, "data")])


def name_of_recordings(raw: Path) -> str:
    """Return the name of a folder of recordings, which may have dots, or that of a file without its ending."""
    return raw.name if raw.is_dir() else raw.stem


def _unrecognised(raw: Path, names: list[str]) -> str:
    """Return a message about recordings of an unknown format: what is there, and what to do."""
    if not names:
        return (
            f"{raw} is an empty folder: it holds no file. Put the recordings there, a folder for each class, such as "
            f"{raw / 'wave' / 'take1_P001.json'}, or name another folder."
        )
    seen = f"It holds {tally(names)}. " if raw.is_dir() else ""
    if any(_JSON.search(name) for name in names):
        formats = f"JSON files are of one of the formats {_JSON_FORMATS}, but the first ones look like none of them"
        told = f"{seen}{formats}: if they are damaged, copy them again. Otherwise name"
    else:
        told = f"{seen}Name"
    return (
        f"{raw} is neither a prepared data set nor recordings of a recognised kind. {told} their format with --format "
        f"({', '.join(list_formats())}) and their joint layout with --layout, or describe them in a data YAML."
    )


def open_recordings(config: DataConfig, raw: Path) -> tuple[Reader, list[Entry], list[str]]:
    """Return a reader, the recordings that it finds in `raw`, and the names of their classes, if it finds any.

    Recordings of a known data set have its classes. Others have those of their folders or tables; files without a
    class are found too.

    Raises:
        UserError: there are no recordings in `raw`, or they cannot be listed.
    """
    tell_of_large(raw)
    if config.classes:
        reader = get_reader(config.format, Source.of(config))
        return reader, list(reader.entries(raw)), list(config.recorded_classes)
    source = Source(config.skeleton, config.bodies, ())
    reader = get_reader(config.format, source)
    classes: list[str] = []
    if isinstance(reader, FindsClasses):
        try:
            classes = list(reader.find_classes(raw))
        except UserError:  # a file, where a folder of class folders is expected
            classes = []
        source = replace(source, classes=tuple(classes), is_long=not classes)
        reader = get_reader(config.format, source)
    return reader, list(reader.entries(raw)), classes


def open_unlabelled(raw: Path, source: Source, format_name: str = "") -> tuple[Reader, list[Entry]]:
    """Return a reader, and the recordings that it finds in `raw`, which may have any name and need no label.

    Args:
        raw: a file or a folder.
        source: the properties of the recordings; their classes are not used.
        format_name: the format; recognised by names or content of the files if empty.

    Raises:
        UserError: there are no recordings in `raw`, their format is not recognised, or they cannot be listed.
    """
    if not raw.exists():
        raise UserError(f"There is no file or folder {raw}.")
    found = format_name or _format_in(raw)
    if not found:
        if damage := _damage(raw):
            raise UserError(f"{damage}, so it is damaged or cut short: copy it again.")
        seen = f" It holds {tally(_names(raw)) or 'no file'}." if raw.is_dir() else ""
        raise UserError(
            f"{raw} holds no recordings of a recognised kind.{seen} Name their format with --format "
            f"({', '.join(list_formats())})."
        )
    reader = get_reader(found, replace(source, classes=(), unlabelled=True))
    return reader, list(reader.entries(raw))


def _format_in(raw: Path) -> str:
    """Return the format of the recordings in `raw` by the names of its files, or by the first one; empty if unknown."""
    names = _names(raw)
    if data_set := _first(_DATA_SETS, names):
        return _FORMAT_OF[data_set]
    if any(_NTU.search(name) for name in names):
        return "ntu"
    found = _first(_FORMATS, names)
    if found not in ("", "table"):
        return found
    return _format_by_content(raw) or found


def _format_by_content(raw: Path) -> str:
    """Return the format that one of the first JSON or CSV files in `raw` has by its content; empty if none has one."""
    files = [raw] if raw.is_file() else islice(files_below(raw), _LOOKED_AT)
    for path in islice((path for path in files if _JSON_OR_CSV.search(path.name.lower())), _TRIED):
        if found := _format_of_content(Entry(path.name, path, "", size_of(path))):
            return found
    return ""


def _damage(raw: Path) -> str:
    """Return which file is damaged, and how, if none of the first archives and JSON files in `raw` can be read."""
    files = [raw] if raw.is_file() else islice(files_below(raw), _LOOKED_AT)
    named = [path for path in files if path.suffix.lower() == ".zip" or _JSON.search(path.name.lower())]
    damages = [_damage_of(path) for path in named[:_TRIED]]
    return damages[0] if damages and all(damages) else ""


def _damage_of(path: Path) -> str:
    if path.suffix.lower() == ".zip":
        reason = damage_of_archive(path)
        return f"{path} is not a readable zip archive ({reason})" if reason else ""
    try:
        read_json(Entry(path.name, path, "", size_of(path)))
    except BadClip as error:
        where = f" (line {error.line})" if error.line else ""
        return f"{path} {error.reason}{where}"
    return ""


def _format_of_content(entry: Entry) -> str:
    with suppress(BadClip):
        if ".json" in entry.name.lower():
            return format_looked_like(read_json(entry))
        if read_bytes(entry, LIMIT_BYTES).startswith(b"scorer,"):
            return "dlc"
    return ""


def _only_layout(config: DataConfig, raw: Path) -> str:
    """Return the only layout of the program that the first recordings fit; the one with z if they have it.

    Raises:
        UserError: none or several fit.
    """
    listed = _Listed(raw)
    problems = {name: _problem(replace(config, layout=name), listed) for name in list_layouts()}
    fitting = [name for name, problem in problems.items() if not problem]
    if config.format == "table":  # x, y and z fit a layout of x and y too
        fitting = [name for name in fitting if name not in map(flat_layout, fitting)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"The recordings in {raw} fit several joint layouts: name one with --layout {_or(fitting)}.")
    if len(set(problems.values())) == 1:  # it is not the layout
        problem = problems[list_layouts()[0]].rstrip(".")
        raise UserError(f"The recordings in {raw} cannot be read as {config.format}: {problem}.")
    raise UserError(
        f"The recordings in {raw}, read as {config.format}, fit none of the known joint layouts. Name another format "
        f"with --format ({', '.join(list_formats())}), or their layout with --layout FILE.yaml, a layout YAML."
    )


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass
class _Listed:
    """Recordings that are listed once, since the list does not depend on their layout.

    Attributes:
        raw: where they are.
        first: the first ones, and all classes, as soon as they could be listed.
    """

    raw: Path
    first: tuple[Sequence[Entry], list[str]] | None = None

    def with_reader(self, config: DataConfig) -> tuple[Reader, Sequence[Entry]]:
        """Return a reader of a description without classes, and the first recordings."""
        if self.first is None:
            reader, found, classes = open_recordings(config, self.raw)
            self.first = found[:_TRIED], classes
            return reader, self.first[0]
        entries, classes = self.first
        source = Source(config.skeleton, config.bodies, tuple(classes))
        reader = get_reader(config.format, source)
        if isinstance(reader, FindsClasses) and not classes:
            reader = get_reader(config.format, replace(source, is_long=True))
        return reader, entries


def _problem(config: DataConfig, listed: _Listed) -> str:
    """Return why the first recordings cannot be read with the layout of `config`; empty if one of them can."""
    problem = "there is no body in the first recordings"
    try:
        reader = get_reader(config.format, Source(config.skeleton, config.bodies, ()))
        if isinstance(reader, KnowsJoints):
            return reader.layout_problem(listed.raw)
        reader, first = listed.with_reader(config)
        for entry in first:
            with suppress(DroppedClip):
                reader.read(entry)
                return ""
    except (UserError, BadClip) as error:
        problem = str(error)
    return problem


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
