"""The contract of a reader of recordings: it lists them, then reads one clip at a time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from ....settings.data import DataConfig
from ....skeleton import Layout, LayoutMap
from ....utils.plug_ins import CLASS, Kind
from ...store.clip import Clip, ClipMetadata

# A reason may quote a line of a file, which can have megabytes.
_LONGEST_REASON = 300
MOST_FRAMES = 1 << 18  # of a recording: two hours at 30 frames per second
# A reader's module has a class `Reader`; the module is imported when its format is used.
KIND = Kind(f"{__package__.rpartition('.')[0]}.readers", "format of recordings", needs={"Reader": CLASS})


class BadClip(ValueError):
    """An unreadable recording: its name, the faulty line (0: the whole file) and the reason."""

    def __init__(self, name: str, line: int, reason: str) -> None:
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]} ..."
        super().__init__(name, line, reason)
        self.name, self.line, self.reason = name, line, reason

    def __str__(self) -> str:
        return f"{self.name}, line {self.line}: {self.reason}" if self.line else f"{self.name}: {self.reason}"


class DroppedClip(BadClip):
    """A well-formed recording that is skipped, since it has no body in any frame."""


@dataclass(frozen=True)
class Entry:
    """One recording that can be read.

    Attributes:
        name: the clip's name, unique within the source.
        path: the file, or the zip archive that holds it.
        member: its name inside the archive; empty for a plain file.
        size: its size in bytes, outside the zip archive; for a `.gz` the compressed size.
        copies: recordings of the same name, read in this order if it is damaged.
    """

    name: str
    path: Path
    member: str
    size: int
    copies: "tuple[Entry, ...]" = ()

    @property
    def location(self) -> str:
        """Return the location of the recording for a message."""
        return f"{self.member} in {self.path}" if self.member else str(self.path)


@dataclass(frozen=True)
class Source:
    """Properties of a data set that its reader needs.

    Attributes:
        layout: the joint layout of the skeletons in its recordings.
        bodies: maximum number of bodies per clip.
        classes: the class names, in the order of their labels.
        fps: frames per second of the clips; 0 keeps those of the recordings.
        source_fps: frames per second of recordings that do not tell it; 0 if unknown.
        joint_map: the map from `layout` to the layout of the clips; None if it is the same.
        columns: of tables, our names of columns with those of the file.
        merged: classes to which others are mapped, so that recordings need not have them.
        is_long: a table of intervals labels parts of the recordings, so that they have no labels themselves.
        unlabelled: labels are not wanted, so that recordings need none, and may have any name and be in any folder.
        tables: these tables, which are no recordings.
    """

    layout: Layout
    bodies: int
    classes: tuple[str, ...]
    fps: float = 0.0
    source_fps: float = 0.0
    joint_map: LayoutMap | None = None
    columns: tuple[tuple[str, str], ...] = ()
    merged: frozenset[str] = frozenset()
    is_long: bool = False
    unlabelled: bool = False
    tables: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: DataConfig, tables: Sequence[Path] = ()) -> "Source":
        """Return the properties of a data set; `tables` are those of its intervals, needed to list recordings.

        Raises:
            UserError: there is no such layout, or its joints cannot be mapped.
        """
        joint_map = config.joint_map
        return cls(
            layout=config.skeleton if joint_map is None else joint_map.source,
            bodies=config.bodies,
            classes=tuple(config.recorded_classes),
            fps=config.fps,
            source_fps=config.source_fps,
            joint_map=joint_map,
            columns=tuple(config.columns.items()),
            merged=frozenset(name for name in config.class_map.values() if name is not None),
            is_long=bool(config.intervals.file),
            tables=tuple(path.resolve() for path in tables),
        )

    @property
    def has_labels(self) -> bool:
        """Return whether each recording has a label, by its name, its folder or its content."""
        return not (self.is_long or self.unlabelled)

    def is_table(self, path: Path) -> bool:
        """Tell whether a file is a table of intervals."""
        return bool(self.tables) and path.resolve() in self.tables

    @property
    def center(self) -> int:
        """Return the joint on which clips are centred."""
        return (self.layout if self.joint_map is None else self.joint_map.target).center


class Reader(Protocol):
    """Reader of one recording format."""

    def __init__(self, source: Source) -> None: ...

    def entries(self, raw: Path) -> Sequence[Entry]:
        """List the recordings below `raw` (a folder, or a zip archive) in the order of their names."""
        ...

    def read(self, entry: Entry) -> Clip:
        """Read, clean and centre one recording.

        Raises:
            BadClip: it is damaged.
            DroppedClip: it is well-formed, but has nothing to learn from.
        """
        ...


@runtime_checkable
class NamesClasses(Protocol):
    """Reader of a format whose recordings have the names of their classes, not numbers."""

    names_classes: ClassVar[bool]


@runtime_checkable
class FindsClasses(Protocol):
    """Reader of a format whose recordings can be prepared without a list of their classes."""

    def find_classes(self, raw: Path) -> Sequence[str]:
        """Return the classes of the recordings below `raw`."""
        ...

    def metadata(self, entry: Entry) -> ClipMetadata:
        """Return the label and the metadata of a recording without reading its joints."""
        ...


@runtime_checkable
class KnowsJoints(Protocol):
    """Reader of a format whose files tell their joints, so that a layout is checked without reading them wholly."""

    def layout_problem(self, raw: Path) -> str:
        """Return why the first recordings below `raw` cannot have the source's layout; empty if one of them can."""
        ...


@runtime_checkable
class ListsProtocols(Protocol):
    """Reader of a format whose files list the training and test clips."""

    def protocols(self, raw: Path) -> Mapping[str, Mapping[str, Collection[str]]]:
        """Return the names of the entries by protocol and by part, train or test."""
        ...


def list_formats() -> list[str]:
    """Return the names that `data.format` accepts."""
    return KIND.names()


def get_reader(name: str, source: Source) -> Reader:
    """Return the reader of the format `name`.

    Raises:
        UserError: there is no such format, or its module cannot be used.
    """
    reader: Reader = KIND.find(name).Reader(source)
    return reader


def reader_of(config: DataConfig, tables: Sequence[Path] = ()) -> Reader:
    """Return the reader of a data set's recordings; `tables` are those of its intervals, needed to list recordings.

    Raises:
        UserError: there is no such format or layout.
    """
    return get_reader(config.format, Source.of(config, tables))
