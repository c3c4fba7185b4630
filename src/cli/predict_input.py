"""The recordings that `predict` classifies: of files, folders and archives, or of JSON lines on standard input."""

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.preparation.formats import BadClip, Source
from ..data.preparation.formats.recordings import read_or_copy
from ..data.preparation.formats.tracks import MOST_BODIES
from ..data.preparation.recognise import open_unlabelled
from ..data.store.clip import Clip
from ..data.store.format import HEADER_FILE
from ..data.store.reader import open_store
from ..deploy.json_lines import clip_of_line, numbered_lines
from ..deploy.recognizer import Recognizer
from ..settings.data import DataConfig
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


def source_of(arguments: argparse.Namespace, recognizer: Recognizer) -> Source:
    """Return how recordings are read, so that their clips have the layout of the model.

    Raises:
        UserError: they are described as of a layout that is not the model's and cannot be mapped to it.
    """
    facts = recognizer.facts
    bodies = MOST_BODIES if arguments.per_body else facts.bodies
    source = Source(facts.layout, bodies, ())
    if arguments.dataset:
        config = _data_set(arguments.dataset)
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


def clips_of(arguments: argparse.Namespace, source: Source) -> Iterator[Found | Failure]:
    """Yield the recordings that the arguments name, one after the other."""
    if arguments.files == [STDIN]:
        yield from _lines(source)
        return
    format_name = arguments.format or (_data_set(arguments.dataset).format if arguments.dataset else "")
    for named in arguments.files:
        yield from _recordings(named, source, format_name, quiet=arguments.quiet)


def _recordings(named: str, source: Source, format_name: str, *, quiet: bool) -> Iterator[Found | Failure]:
    """Yield the recordings of a file, a folder, an archive or a prepared data set."""
    if is_file(Path(named) / HEADER_FILE):
        yield from _prepared(named, source)
        return
    try:
        reader, entries = open_unlabelled(Path(named), source, format_name)
    except UserError as error:
        yield Failure(named, "", str(error))
        return
    if len(entries) > 1:
        _logger.info("%s: %s.", named, counted(len(entries), "recording"))
    with progress(quiet or len(entries) <= _FEW).task("classifying", len(entries)) as task:
        for entry in entries:
            try:
                yield Found(named, read_or_copy(reader, entry))
            except BadClip as error:
                where = f"line {error.line}: " if error.line else ""
                yield Failure(named, entry.name, f"{where}{error.reason}")
            except UserError as error:  # a package that this format needs is missing
                yield Failure(named, entry.name, str(error))
            task.advance()


def _prepared(named: str, source: Source) -> Iterator[Found | Failure]:
    """Yield the clips of a prepared data set."""
    store = open_store(Path(named))
    if store.layout != source.layout.name:
        yield Failure(named, "", f"is a prepared data set of the layout {store.layout}, not {source.layout.name}")
        return
    for clip in store:
        yield Found(named, clip)


def _lines(source: Source) -> Iterator[Found | Failure]:
    """Yield the recordings of standard input."""
    for number, line in numbered_lines(sys.stdin.buffer):
        try:
            yield Found(STDIN, clip_of_line(line, number, source))
        except BadClip as error:
            yield Failure(STDIN, error.name, error.reason)


def _joint_map(given: Layout, layout: Layout, model: Path) -> LayoutMap:
    joint_map = build_layout_map(given, layout, {}, f"--layout {given.name} for {model}")
    if joint_map.missing:
        _logger.warning(
            "%s to %s, the layout of the model: nothing is mapped to %s, so they are missing in every clip.",
            *(given.name, layout.name, ", ".join(joint_map.missing)),
        )
    return joint_map


def _data_set(named: str) -> DataConfig:
    from ..utils.config import data_layer, merge, section_layer

    return merge(DataConfig(), [section_layer(data_layer(named), "data")])
