"""The recordings that `predict` classifies: of files, folders and archives, or of JSON lines on standard input."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.preparation.formats import BadClip, Entry, Source
from ..data.preparation.formats.recordings import read_or_copy
from ..data.preparation.formats.tracks import MOST_BODIES
from ..data.preparation.recognise import open_unlabelled
from ..data.store.clip import Clip
from ..data.store.format import HEADER_FILE
from ..data.store.reader import open_store
from ..deploy.json_lines import clip_of_line, numbered_lines
from ..deploy.recognizer import Recognizer
from ..settings.data import data_settings
from ..skeleton import Layout, LayoutMap, build_layout_map, load_layout
from ..utils.errors import UserError
from ..utils.numbers import counted
from ..utils.root_folders import is_file
from .terminal import progress

_logger = logging.getLogger(__name__)
STDIN = "-"
_FEW = 20  # recordings, of which no progress is shown


@dataclass(frozen=True)
class Found:
    """A clip, and the file that was named on the command line for it."""

    origin: str
    clip: Clip


@dataclass(frozen=True)
class Failure:
    """A recording that cannot be classified, and why.

    Attributes:
        origin: the file that was named on the command line.
        name: of the recording; empty if none could be listed.
        reason: what was expected and what was given.
    """

    origin: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


@dataclass(frozen=True)
class Recordings:
    """The recordings of a file, a folder or an archive, which are read one by one.

    Attributes:
        origin: what was named on the command line.
        entries: of the recordings.
        read: reads one of them.
    """

    origin: str
    entries: Sequence[Entry]
    read: Callable[[Entry], Clip]


def source_of(arguments: argparse.Namespace, recognizer: Recognizer) -> Source:
    """Return how recordings are read, so that their clips have the layout of the model.

    Raises:
        UserError: they are described as of a layout that is not the model's and cannot be mapped to it.
    """
    facts = recognizer.facts
    bodies = MOST_BODIES if arguments.per_body else facts.bodies
    source = Source(facts.layout, bodies, ())
    if arguments.dataset:
        config = data_settings(arguments.dataset)
        if config.skeleton != facts.layout:
            raise UserError(
                f"The clips of {config.name} have the layout {config.skeleton}; {recognizer.path} takes {facts.layout}."
            )
        source = Source.of(config)
    elif arguments.layout and (given := load_layout(arguments.layout)) != facts.layout:
        source = replace(source, layout=given, joint_map=_joint_map(given, facts.layout, recognizer.path))
    return replace(
        source,
        bodies=bodies,
        source_fps=arguments.source_fps or source.source_fps,
        is_long=arguments.window is not None,  # windows are counted from the first frame of a recording
        unlabelled=True,
    )


def recordings_of(arguments: argparse.Namespace, source: Source) -> list[Recordings | Failure]:
    """Return the recordings that the arguments name, or why there are none, without those of standard input."""
    if arguments.files == [STDIN]:
        return []
    format_name = arguments.format or (data_settings(arguments.dataset).format if arguments.dataset else "")
    return [_opened(named, source, format_name) for named in arguments.files]


def entries_in(listed: Sequence[Recordings | Failure]) -> list[Entry]:
    """Return all recordings of `recordings_of`."""
    return [entry for each in listed if isinstance(each, Recordings) for entry in each.entries]


def clips_of(
    arguments: argparse.Namespace, source: Source, listed: Sequence[Recordings | Failure] | None = None
) -> Iterator[Found | Failure]:
    """Yield the clips that the arguments name, one after the other; `listed` are those of `recordings_of`."""
    if arguments.files == [STDIN]:
        yield from _lines(source)
        return
    for each in recordings_of(arguments, source) if listed is None else listed:
        if isinstance(each, Failure):
            yield each
        else:
            yield from _clips(each, quiet=arguments.quiet)


def _opened(named: str, source: Source, format_name: str) -> Recordings | Failure:
    try:
        if is_file(Path(named) / HEADER_FILE):
            return _clips_of_store(named, source)
        if is_file(Path(named)) and is_file(Path(named).parent / HEADER_FILE):
            raise UserError(f"{named} is a part of a prepared data set: name its folder, {Path(named).parent}.")
        reader, entries = open_unlabelled(Path(named), source, format_name)
    except UserError as error:
        return Failure(named, "", str(error))
    return Recordings(named, entries, lambda entry: read_or_copy(reader, entry))


def _clips_of_store(named: str, source: Source) -> Recordings:
    """Return the clips of a prepared data set, which are centred and cleaned already.

    Raises:
        UserError: the store cannot be used, or its clips have another layout than the model takes.
    """
    store = open_store(Path(named))
    wanted = source.layout if source.joint_map is None else source.joint_map.target
    if store.skeleton != wanted:
        raise UserError(
            f"{named} is a prepared data set, whose clips have the layout {store.layout} with "
            f"{counted(store.skeleton.num_joints, 'joint')}; the model takes {wanted.name}. Name the recordings of "
            "which it was made: --layout maps their joints."
        )
    entries = [Entry(str(name), store.path, str(number), 0) for number, name in enumerate(store.clips["name"])]

    def read(entry: Entry) -> Clip:
        clip = store[int(entry.member)]
        return replace(clip, fps=clip.fps or source.source_fps)

    return Recordings(named, entries, read)


def _clips(recordings: Recordings, *, quiet: bool) -> Iterator[Found | Failure]:
    """Yield the clips of a file, a folder or an archive, and warn at the end of those that have one frame."""
    named, entries, stills = recordings.origin, recordings.entries, 0
    if len(entries) > 1:
        _logger.info("%s: %s.", named, counted(len(entries), "recording"))
    with progress(quiet or len(entries) <= _FEW).task("classifying", len(entries)) as task:
        for entry in entries:
            try:
                clip = recordings.read(entry)
                stills += clip.joints.shape[1] == 1
                yield Found(named, clip)
            except BadClip as error:
                where = f"line {error.line}: " if error.line else ""
                yield Failure(named, entry.name, f"{where}{error.reason}")
            except UserError as error:  # a package that this format needs is missing
                yield Failure(named, entry.name, str(error))
            task.advance()
    if stills:
        _logger.warning(
            "%s: %d of %s %s one frame, and so no movement that could be recognised.",
            *(named, stills, counted(len(entries), "recording"), "has" if stills == 1 else "have"),
        )


def _lines(source: Source) -> Iterator[Found | Failure]:
    """Yield the recordings of standard input."""
    for number, line in numbered_lines(sys.stdin.buffer):
        try:
            yield Found(STDIN, clip_of_line(line, number, source))
        except BadClip as error:
            yield Failure(STDIN, error.name, error.reason)


def _joint_map(given: Layout, layout: Layout, model: Path) -> LayoutMap:
    try:
        joint_map = build_layout_map(given, layout, {}, f"--layout {given.name} for {model}")
    except UserError as error:
        remedy = "What is to be added has its place under `layout_map` in a data YAML: `predict --dataset` takes one."
        raise UserError(f"{error}\n{remedy}") from None
    if joint_map.missing:
        _logger.warning(
            "%s to %s, the layout of the model: nothing is mapped to %s, so they are missing in every clip.",
            *(given.name, layout.name, ", ".join(joint_map.missing)),
        )
    return joint_map
